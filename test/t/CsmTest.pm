# Servers with csm and the small world (test/lib/small.sql) in them, and
# sessions that stay open, so that a test can interleave what several do.
package CsmTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_node small_world session person seen_by crash);

# A server; "lines" go into its configuration. Not yet started.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => $options{streaming} // 0, extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', join("\n",
		'fsync = off', "timezone = 'UTC'", 'max_prepared_transactions = 10', 'autovacuum = off', "lock_timeout = '60s'",
		@{ $options{lines} // ["session_preload_libraries = 'csm'"] }) . "\n");
	return $node;
}

# The small world, and the login roles of the tests.
sub small_world
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	$node->safe_psql($database, 'SET client_min_messages = error; CREATE EXTENSION csm CASCADE');
	system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$PostgreSQL::Test::Utils::tmp_check/small.out",
		'-d', $node->connstr($database), '-f', 'test/lib/small.sql');
	$node->safe_psql($database, q{
		DO $$
		DECLARE
			name text;
		BEGIN
			FOREACH name IN ARRAY '{plain,portal_app,student_login,viewer_login}'::text[] LOOP
				IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
					EXECUTE format('CREATE ROLE %I LOGIN', name);
				END IF;
			END LOOP;
		END $$;
		GRANT csm_portal TO plain, student_login;
		GRANT csm_portal, csm_agent TO portal_app;
		GRANT csm_reporter TO viewer_login;
		GRANT SET ON PARAMETER csm.user_id TO portal_app;
		SELECT csm.map_login(small.u('student'), 'student_login'), csm.map_login(small.u('viewer'), 'viewer_login');
	});
	return;
}

sub person
{
	my ($node, $name) = @_;
	return $node->safe_psql('postgres', "SELECT small.u('$name')");
}

# Ids of the cases that somebody sees, through a session of his own.
sub seen_by
{
	my ($node, $user_id, $role, $database) = @_;

	$role //= 'csm_portal';
	return $node->safe_psql($database // 'postgres', qq{
		LOAD 'csm';
		BEGIN;
		SET LOCAL csm.user_id = '$user_id';
		SET LOCAL ROLE $role;
		SELECT coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases;
		COMMIT});
}

# Options: user, dbname, options (as in PGOPTIONS), connstr.
sub session
{
	my ($node, %options) = @_;
	return CsmTest::Session->new($node, %options);
}

# kill -9 to a backend: every process dies, shared memory is given up, the server
# recovers from its log. (The postmaster itself is spared: without an init that
# buries it, its process id would seem to run on.)
sub crash
{
	my ($node) = @_;
	my ($victim, $witness) = map { session($node) } 1 .. 2;

	$node->safe_psql('postgres', 'ALTER SYSTEM SET restart_after_crash = on');
	$node->reload;
	kill 'KILL', $victim->ask('SELECT pg_backend_pid()');
	1 until $witness->ask('SELECT pg_sleep(0.05)') eq 'refused';
	$_->quit foreach $victim, $witness;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not recover';
	return;
}

package CsmTest::Session;

use IPC::Run;

my $limit = $PostgreSQL::Test::Utils::timeout_default // 180;

sub new
{
	my ($class, $node, %options) = @_;
	my $connstr = $options{connstr} // $node->connstr($options{dbname} // 'postgres');
	my $self = bless { in => '', out => '', err => '', number => 0 }, $class;

	$connstr .= " user=$options{user}" if $options{user};
	$connstr .= " options='$options{options}'" if $options{options};
	$self->{timer} = IPC::Run::timeout($limit);
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $connstr ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	return $self;
}

# Sends statements without waiting for their end.
sub send
{
	my ($self, $sql) = @_;
	my $mark = 'done ' . ++$self->{number};

	$self->{in} .= "$sql\n;\n\\echo '$mark'\n\\warn '$mark'\n";
	$self->{timer}->start($limit);
	eval { $self->{run}->pump_nb } or return;
	return;
}

# What the statements sent last gave: rows, then "ERROR sqlstate", or
# "refused" where the connection was.
sub result
{
	my ($self) = @_;
	my $mark = qr/done $self->{number}\r?\n/;
	my ($out, $errors);

	until ($self->{out} =~ $mark && $self->{err} =~ $mark)
	{
		last unless $self->{run}->pumpable;
		eval { $self->{run}->pump; 1 } or do {
			die $@ if $@ =~ /timeout/;
			last;
		};
	}
	unless ($self->{out} =~ $mark)
	{
		eval { $self->{run}->finish };
		return 'refused';
	}
	($out, $errors) = ($self->{out}, $self->{err});
	($self->{out}, $self->{err}) = ('', '');
	s/$mark// for $out, $errors;
	$out .= join '', map { /^(?:ERROR|FATAL):\s+(\w{5})/m ? "ERROR $1\n" : () } split /\n/, $errors;
	$out =~ s/\s+\z//;
	return $out;
}

sub ask
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->result;
}

# Begins a transaction as somebody.
sub become
{
	my ($self, $user_id, $role, $begin) = @_;
	$begin //= 'BEGIN';
	$role //= 'csm_portal';
	return $self->ask("$begin; SET LOCAL csm.user_id = '$user_id'; SET LOCAL ROLE $role");
}

# Waits until the session waits for a lock.
sub wait_blocked
{
	my ($self, $node, $pid) = @_;
	return $node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
}

sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish };
	return;
}

1;
