# One server connection, many people: a real pgbouncer in transaction mode. No
# client resets anything (server_reset_query does not run in this mode).

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $node = new_node('pooler');
$node->start;
small_world($node);

my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $ini = "$folder/pgbouncer.ini";
append_to_file($ini, join("\n",
	'[databases]',
	'postgres = host=' . $node->host . ' port=' . $node->port . ' dbname=postgres',
	'[pgbouncer]',
	'pool_mode = transaction', 'default_pool_size = 1', 'max_client_conn = 50',
	'auth_type = trust', "auth_file = $folder/users",
	'listen_addr =', "listen_port = $port", "unix_socket_dir = $folder",
	"logfile = $folder/log", "pidfile = $folder/pid", 'ignore_startup_parameters = extra_float_digits', ''));
append_to_file("$folder/users", qq{"portal_app" ""\n"student_login" ""\n"postgres" ""\n});
my $bouncer = IPC::Run::start([ $pgbouncer, '-q', $ini ], '<', \undef, '>', "$folder/out", '2>&1');
my $connstr = "host=$folder port=$port dbname=postgres";

my $tries = 100;
select undef, undef, undef, 0.1 until -S "$folder/.s.PGSQL.$port" || $tries-- == 0;
ok(-S "$folder/.s.PGSQL.$port", 'pgbouncer listens');

my $manager = person($node, 'north manager');
my $reader = person($node, 'globex reader');
my $sees = q{SELECT coalesce(csm.current_user_id()::text, 'nobody') || ' ' || coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases};
my $of_manager = "$manager " . seen_by($node, $manager);
my $of_reader = "$reader " . seen_by($node, $reader);
my $nobody = 'nobody none';
isnt($of_manager, $of_reader, 'the two people see different cases');

my $one = session($node, connstr => $connstr, user => 'portal_app');
my $two = session($node, connstr => $connstr, user => 'portal_app');

is($one->ask('SELECT pg_backend_pid()'), $two->ask('SELECT pg_backend_pid()'), 'both clients share one server connection');

sub as
{
	my ($session, $user_id, $end) = @_;
	return $session->ask("BEGIN; SET LOCAL csm.user_id = '$user_id'; SET LOCAL ROLE csm_portal; $sees; " . ($end // 'COMMIT'));
}

foreach my $round (1 .. 3)
{
	is(as($one, $manager), $of_manager, "V14 round $round: the first sees his cases");
	is(as($two, $reader), $of_reader, "V14 round $round: the second, on the same connection, sees his");
	is($one->ask($sees), $nobody, "V14 round $round: without SET LOCAL the first is nobody");
}
is(as($one, $manager, 'ROLLBACK'), $of_manager, 'V14 a transaction that will be rolled back');
is($two->ask($sees), $nobody, 'V14 nobody after a rollback');
$one->ask("BEGIN; SET LOCAL csm.user_id = '$manager'; SELECT 1/0");
$one->ask('ROLLBACK');
is($two->ask($sees), $nobody, 'V14 nobody after an error');

# LOCAL forgotten.
$one->ask("SET csm.user_id = '$manager'");
is($two->ask($sees), $nobody, 'V14 SET outside a transaction reaches nobody else');
is($one->ask($sees), $nobody, 'V14 nor the next statement of the one who said it');
is($one->ask("BEGIN; SET csm.user_id = '$manager'; $sees; COMMIT"), $of_manager, 'V14 allow: SET in its own transaction');
is($two->ask($sees), $nobody, 'V14 SET without LOCAL ends with the transaction');
is(as($two, $reader), $of_reader, 'V14 the next person is not confused by it');
is($two->ask("BEGIN; SAVEPOINT a; SET LOCAL csm.user_id = '$manager'; ROLLBACK TO a; $sees; COMMIT"), $nobody,
	'V14 ROLLBACK TO uncovers no forgotten SET');
is($two->ask("BEGIN; SET LOCAL csm.user_id = '$reader'; SAVEPOINT a; SET LOCAL csm.user_id = '$manager'; ROLLBACK TO a; $sees; COMMIT"),
	$of_reader, 'V14 ROLLBACK TO restores the person of this transaction');

# What a portal client may leave behind narrows the next one, and no more.
$one->ask("SET csm.persona = 'employee'");
like(as($two, $manager), qr/^$manager none$/, 'V14 a persona left behind widens nothing');
$one->ask('RESET csm.persona');
is(as($two, $manager), $of_manager, 'V14 all his rights again');
$one->ask('BEGIN; SET LOCAL csm.user_id = \'' . $manager . '\'; SELECT csm.sign_out(); COMMIT');
is($two->ask($sees), $nobody, 'V14 nobody after sign_out() of another client');
is(as($two, $reader), $of_reader, 'V14 allow: and the next person can come');

# Access ends for the next transaction on the same connection, and returns.
$node->safe_psql('postgres', "UPDATE csm.users SET enabled = false WHERE id = $manager");
is(as($one, $manager), $nobody, 'V10 disabled: nobody at once');
is(as($two, $reader), $of_reader, 'V10 the other is not touched');
$node->safe_psql('postgres', "UPDATE csm.users SET enabled = true WHERE id = $manager");
is(as($one, $manager), $of_manager, 'V10 enabled again');

# Many transactions of two people through the extended protocol, checked in SQL:
# a wrong count divides by zero.
my $script = "$folder/mixed.sql";
append_to_file($script, sprintf(q{\set who random(0, 1)
\set user_id :who * %d + (1 - :who) * %d
\set cases :who * %d + (1 - :who) * %d
BEGIN;
SELECT set_config('csm.user_id', :user_id::text, true);
SET LOCAL ROLE csm_portal;
SELECT 1 / (count(*) = :cases AND csm.current_user_id() = :user_id)::int FROM csm.cases;
COMMIT;
SELECT 1 / (count(*) = 0)::int FROM csm.cases;
}, $manager, $reader, scalar(split /,/, $of_manager), scalar(split /,/, $of_reader)));
my ($out, $err);
ok(IPC::Run::run([ 'pgbench', '-n', '-M', 'extended', '-c', 4, '-t', 100, '-f', $script, '-h', $folder, '-p', $port, '-U', 'portal_app', 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err), 'V14 400 transactions of two people, four clients, one connection');
unlike($err, qr/division by zero/, 'V14 each saw exactly his cases') or diag($err);
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'portal_app'}), '1', 'still one server connection');

$_->quit for $one, $two;
$bouncer->signal('TERM');
$bouncer->finish;
$node->stop;
done_testing();
