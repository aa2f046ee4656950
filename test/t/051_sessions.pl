# Tokens of sessions and API keys where several connections, a pooler or a
# standby take part, and every way by which somebody might make more of one.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('tokens', streaming => 1);
$node->start;
small_world($node);
$node->safe_psql('postgres', q{
	INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (small.tenant(), 'manager', 'act_for', 'all');
	CREATE SCHEMA shop;
	GRANT USAGE, CREATE ON SCHEMA shop TO plain, portal_app, student_login;
	CREATE TABLE shop.many AS SELECT i FROM generate_series(1, 3000) i;
	GRANT USAGE ON SCHEMA shop TO PUBLIC;
	GRANT SELECT ON shop.many TO PUBLIC;
	ANALYZE shop.many;
});

my %id = map { $_ => person($node, $_) } 'north manager', 'north contact', 'globex reader', 'student', 'mother', 'desk manager';
my $sees = q{SELECT coalesce(csm.current_user_id()::text, 'nobody') || ' ' || coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases};
my %seen = map { $_ => "$id{$_} " . seen_by($node, $id{$_}) } 'north manager', 'north contact', 'globex reader', 'student', 'mother';
my $nobody = 'nobody none';

# A token for a person, made as a trusted backend would.
sub token
{
	my ($name, $call, $role) = @_;
	$call //= 'csm.start_session()';
	$role //= 'csm_portal';
	return $node->safe_psql('postgres',
		"LOAD 'csm'; BEGIN; SET LOCAL csm.user_id = '$id{$name}'; SET LOCAL ROLE $role; SELECT $call; COMMIT");
}

sub row_of
{
	my ($token) = @_;
	return $node->safe_psql('postgres', "SELECT session_id FROM csm_private.session_tokens WHERE token_hash = sha256(convert_to('$token', 'UTF8'))");
}

sub signs_in
{
	my ($token, $local) = @_;
	return "SELECT status FROM csm.sign_in('$token', " . ($local // 'true') . ')';
}

my $manager = token('north manager');
my $reader = token('globex reader');
isnt($seen{'north manager'}, $seen{'globex reader'}, 'the two people see different cases');

# A connection of one's own.
my $one = session($node, user => 'plain');
is($one->ask($sees), $nobody, 'V14 nobody to begin with');
is($one->ask('BEGIN; ' . signs_in($manager) . "; $sees"), "signed_in\n$seen{'north manager'}", 'D2 signed in for the transaction');
is($one->ask("COMMIT; $sees"), $nobody, 'D2 and not beyond');
is($one->ask(signs_in($manager) . "; $sees"), "signed_in\n$nobody", 'D2 outside a transaction it ends with the statement');
is($one->ask(signs_in($manager, 'false') . "; $sees"), "signed_in\n$seen{'north manager'}", 'D2 or for the connection');
is($one->ask('BEGIN; ' . signs_in($reader) . "; $sees; COMMIT; $sees"), "signed_in\n$seen{'globex reader'}\n$seen{'north manager'}",
	'D2 another for a transaction, then the first again');
is($one->ask('BEGIN; SAVEPOINT a; ' . signs_in($reader) . "; ROLLBACK TO a; $sees; COMMIT"), "signed_in\n$seen{'north manager'}",
	'D2 a rollback to a savepoint takes it back');
is($one->ask(signs_in('x' x 43, 'false') . "; $sees"), "refused\n$nobody", 'D2 a wrong token leaves nobody, whoever was before');
is($one->ask(signs_in($manager, 'false') . "; BEGIN; " . signs_in('x' x 43) . "; $sees; COMMIT; $sees"),
	"signed_in\nrefused\n$nobody\n$seen{'north manager'}", 'D2 in a transaction for its length');
is($one->ask("SELECT csm.sign_out(); $sees"), "\n$nobody", 'D2 signed out');

# Forging with a token in hand, and without one.
foreach my $user ('plain', 'student_login', 'portal_app')
{
	my $same = $user eq 'student_login' ? $seen{student} : $nobody;
	my $row = row_of($manager);
	my $hash = $node->safe_psql('postgres', "SELECT encode(sha256(convert_to('$manager', 'UTF8')), 'hex')");
	my $own = token('student');
	my %route = (
		'the hash instead of the token' => [ signs_in($hash, 'false') ],
		'the row instead of the token' => [ signs_in($row, 'false') ],
		'a token and more' => [ signs_in("$manager' || ' ", 'false') ],
		'a token in capitals' => [ signs_in(uc $manager, 'false') ],
		'the prefix of keys before a session' => [ signs_in("csmk_$manager", 'false') ],
		'nothing' => [ 'SELECT status FROM csm.sign_in(NULL, false)' ],
		'an empty token' => [ signs_in('', 'false') ],
		'the private function' => [ "SELECT csm_private.sign_in_by_token('$manager', false)" ],
		'signing in as anybody' => [ "SELECT csm_private.sign_in_as($id{'north manager'}, false)" ],
		'acting for somebody' => [ "SELECT csm.on_behalf_of($id{'north manager'})" ],
		'acting for somebody by the private function' => [ "SELECT csm_private.set_behalf($id{'north manager'})" ],
		'the setting of acting for somebody' => [ "SET csm.on_behalf_of = '$id{'north manager'}\@$id{student}'" ],
		'the same by set_config' => [ "SELECT set_config('csm.on_behalf_of', '$id{'north manager'}\@$id{student}', false)" ],
		'the same for its role' => [ "ALTER ROLE $user SET csm.on_behalf_of = '$id{'north manager'}\@$id{student}'", '\c' ],
		'reading the hashes' => [ 'SELECT * FROM csm_private.session_tokens' ],
		'a row of one\'s own making' => [ "INSERT INTO csm.sessions (tenant_id, user_id, expires_at) VALUES (1, $id{'north manager'}, 'infinity')" ],
		'a session that is given away' => [ signs_in($own, 'false'), "UPDATE csm.sessions SET user_id = $id{'north manager'}", 'SELECT csm.sign_out()' ],
		'a transaction that failed' => [ 'BEGIN', signs_in($manager), 'SELECT 1/0', 'ROLLBACK' ],
		'a transaction that is over' => [ 'BEGIN', signs_in($manager), 'COMMIT' ],
	);

	foreach my $name (sort keys %route)
	{
		my $session = session($node, user => $user);
		my $answer;

		$session->ask($sees);
		$session->ask($_) foreach @{ $route{$name} };
		$answer = $session->ask($sees);
		$session->quit;
		ok($answer eq $nobody || $answer eq $same || $answer eq 'refused', "V14 $user: $name leaves nobody or the same person")
		  or diag("answer: $answer");
	}
	my $asked = session($node, user => $user, options => "-c csm.on_behalf_of=$id{'north manager'}\@$id{student}");
	my $answered = $asked->ask($sees);
	$asked->quit;
	ok($answered eq $same || $answered eq 'refused', "V14 $user: PGOPTIONS gives nobody else's rights") or diag("answer: $answered");
	my $carrier = session($node, user => $user);
	$carrier->ask(signs_in($manager, 'false'));
	is($carrier->ask($sees), $seen{'north manager'}, "D2 $user: allow: the token itself");
	$carrier->ask("CREATE OR REPLACE FUNCTION shop.carried_$user() RETURNS text LANGUAGE sql SET csm.user_id FROM CURRENT AS 'SELECT coalesce(csm.current_user_id()::text, ''nobody'')'");
	$carrier->ask('SELECT csm.sign_out()');
	# portal_app may say who it is, in this way as in others
	unlike($carrier->ask("SELECT shop.carried_$user()"), qr/^$id{'north manager'}$/, "V14 $user: SET FROM CURRENT carries nothing on")
	  unless $user eq 'portal_app';
	is($carrier->ask($sees), $nobody, "V14 $user: nor beyond");
	$carrier->quit;
}

# Revoked while in use.
my $watcher = session($node);
$one->ask(signs_in($manager, 'false'));
$one->ask("SET plan_cache_mode = force_generic_plan; PREPARE q AS $sees; BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT id FROM csm.cases");
is(scalar(split /\n/, $one->ask('FETCH 2 FROM c')), 2, 'V10 before, cursor');
is($one->ask('EXECUTE q'), $seen{'north manager'}, 'V10 before, prepared');
my $repeatable = session($node, user => 'plain');
is($repeatable->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . signs_in($manager) . "; $sees"), "signed_in\n$seen{'north manager'}", 'D2 under REPEATABLE READ');
$node->safe_psql('postgres', 'DELETE FROM csm.sessions WHERE id = ' . row_of($manager));
is($one->ask('FETCH ALL FROM c'), '', 'V10 revoked: FETCH in an open transaction');
is($one->ask('EXECUTE q'), $nobody, 'V10 revoked: a prepared statement');
is($one->ask("COMMIT; $sees"), $nobody, 'V10 revoked: the connection');
is($repeatable->ask($sees), $nobody, 'V10 revoked: under REPEATABLE READ');
$repeatable->ask('ROLLBACK');
is($one->ask(signs_in($manager, 'false')), 'refused', 'V10 revoked: and no other');
is($repeatable->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1'), 1, 'a snapshot from before');
my $late = token('north manager');
is($repeatable->ask(signs_in($late) . "; COMMIT"), 'signed_in', 'D2 a session younger than the snapshot');
is($repeatable->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1'), 1, 'another snapshot from before');
$node->safe_psql('postgres', 'DELETE FROM csm.sessions WHERE id = ' . row_of($late));
is($repeatable->ask(signs_in($late) . "; COMMIT"), 'refused', 'V10 one that was revoked after the snapshot');

# Whoever revokes waits for nobody, and requests with one token not for one another.
$manager = token('north manager');
my $two = session($node, user => 'plain');
foreach my $end ('COMMIT', 'ROLLBACK')
{
	$node->safe_psql('postgres', "UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '5 minutes' WHERE id = " . row_of($manager));
	$one->ask('BEGIN; ' . signs_in($manager));
	is($two->ask("SET lock_timeout = '5s'; BEGIN; " . signs_in($manager) . "; $sees; COMMIT"), "signed_in\n$seen{'north manager'}",
		"D2 two requests at once with one token, the first of which will $end");
	$one->ask($end);
	is($node->safe_psql('postgres', "SELECT clock_timestamp() - last_used_at < interval '1 minute' FROM csm.sessions WHERE id = " . row_of($manager)), 't',
		"D2 the use is noted after $end");
}
$node->safe_psql('postgres', "UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '5 minutes' WHERE id = " . row_of($manager));
is($one->ask('BEGIN READ ONLY; ' . signs_in($manager) . "; $sees"), "signed_in\n$seen{'north manager'}", 'D2 in a read-only transaction');
is($node->safe_psql('postgres', "SELECT clock_timestamp() - last_used_at < interval '1 minute' FROM csm.sessions WHERE id = " . row_of($manager)), 't', 'D2 the use is noted there too');
is($watcher->ask("SET lock_timeout = '5s'; UPDATE csm.users SET enabled = false WHERE id = $id{'north manager'}"), '', 'A13 disabling waits for no transaction of his');
is($one->ask($sees), $nobody, 'A13 and takes everything at once');
$one->ask('ROLLBACK');
$watcher->ask("UPDATE csm.users SET enabled = true WHERE id = $id{'north manager'}");
is($one->ask(signs_in($manager, 'false')), 'refused', 'A13 the token died with it');

# The connection is signed in for no longer than the session may be idle.
my $idle = token('north contact');
$node->safe_psql('postgres', "UPDATE csm.sessions SET idle_minutes = 2, last_used_at = clock_timestamp() - interval '119 seconds', expires_at = clock_timestamp() + interval '59 seconds' WHERE id = " . row_of($idle));
is($one->ask(signs_in($idle, 'false') . "; $sees"), "signed_in\n$seen{'north contact'}", 'D2 a session about to end');
$node->safe_psql('postgres', "UPDATE csm.sessions SET expires_at = clock_timestamp() + interval '1 second' WHERE id = " . row_of($idle));
$one->ask(signs_in($idle, 'false'));
is($one->ask("SELECT pg_sleep(1.2); $sees"), "\n$nobody", 'D2 when it has ended the connection is nobody, with no write of anybody');

# Workers believe it as their leader does.
my $token = token('north manager');
my $in_workers = q{SELECT coalesce(min(csm.current_user_id() + 0 * i)::text, 'nobody') || ':' || count(*) FILTER (WHERE csm.account_known(i)) FROM shop.many};
my $parallel = q{SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off};
my $alone = $two->ask('BEGIN; ' . signs_in($token) . "; $in_workers; COMMIT");
like($alone, qr/^signed_in\n$id{'north manager'}:[1-9]/, 'D2 without workers');
is($two->ask("$parallel; BEGIN; " . signs_in($token) . "; $in_workers; COMMIT"), $alone, 'D2 in workers');
my $key = token('north manager', "csm.create_api_key('k', actions => '{product_read}')");
is($two->ask('BEGIN; ' . signs_in($key) . "; $sees; COMMIT"), "signed_in\n$id{'north manager'} none", 'D2 a key that reads no case');
is($two->ask('RESET max_parallel_workers_per_gather; BEGIN; ' . signs_in($key) . "; $in_workers; COMMIT"),
	$two->ask("$parallel; BEGIN; " . signs_in($key) . "; $in_workers; COMMIT"), 'D2 its limits hold in workers');

# Acting for another, in workers and as long as the transaction.
my $desk = session($node, user => 'portal_app');
my $acting = "BEGIN; SET LOCAL csm.user_id = '$id{'desk manager'}'; SET LOCAL ROLE csm_agent; SELECT csm.on_behalf_of($id{'mother'})";
is($desk->ask("$acting; $sees; COMMIT") =~ s/^\s+//r, $seen{mother} =~ s/^\d+/$id{'desk manager'}/r, 'D2 acting for a consumer');
is($desk->ask("SELECT csm.on_behalf_of() IS NULL; BEGIN; SET LOCAL csm.user_id = '$id{'desk manager'}'; SET LOCAL ROLE csm_agent; SELECT csm.on_behalf_of() IS NULL; COMMIT"), "t\nt",
	'D2 not in the next transaction');
my $counted = q{SELECT count(*) FILTER (WHERE csm.requester_allows(} . $id{mother} . q{ + 0 * i, 'b2c', NULL, 'case_read')) || ':' || count(*) FILTER (WHERE csm.all_in(} . $node->safe_psql('postgres', 'SELECT small.tenant()') . q{ + 0 * i, 'b2b', 'case_read')) FROM shop.many};
is($desk->ask("$acting; $counted; COMMIT") =~ s/^\s+//r, '3000:0', 'D2 his rights without workers');
is($desk->ask("$parallel; $acting; $counted; COMMIT") =~ s/^\s+//r, '3000:0', 'D2 and in workers');

# Behind a pooler: one server connection, many people, nothing reset.
SKIP:
{
	my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
	skip 'pgbouncer is not installed', 1 unless $pgbouncer;
	my $folder = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	append_to_file("$folder/ini", join("\n",
		'[databases]', 'postgres = host=' . $node->host . ' port=' . $node->port . ' dbname=postgres',
		'[pgbouncer]', 'pool_mode = transaction', 'default_pool_size = 1', 'max_client_conn = 50',
		'auth_type = trust', "auth_file = $folder/users", 'listen_addr =', "listen_port = $port", "unix_socket_dir = $folder",
		"logfile = $folder/log", "pidfile = $folder/pid", 'ignore_startup_parameters = extra_float_digits', ''));
	append_to_file("$folder/users", qq{"plain" ""\n});
	my $bouncer = IPC::Run::start([ $pgbouncer, '-q', "$folder/ini" ], '<', \undef, '>', "$folder/out", '2>&1');
	my $tries = 100;
	select undef, undef, undef, 0.1 until -S "$folder/.s.PGSQL.$port" || $tries-- == 0;
	my @client = map { session($node, connstr => "host=$folder port=$port dbname=postgres", user => 'plain') } 1 .. 2;
	my $of_reader = token('globex reader');

	is($client[0]->ask('SELECT pg_backend_pid()'), $client[1]->ask('SELECT pg_backend_pid()'), 'both clients share one server connection');
	foreach my $round (1 .. 3)
	{
		is($client[0]->ask('BEGIN; ' . signs_in($token) . "; $sees; COMMIT"), "signed_in\n$seen{'north manager'}", "D2 round $round: the first by his token");
		is($client[1]->ask('BEGIN; ' . signs_in($of_reader) . "; $sees; COMMIT"), "signed_in\n$seen{'globex reader'}", "D2 round $round: the second by his");
		is($client[0]->ask($sees), $nobody, "V14 round $round: without one the first is nobody");
	}
	$client[0]->ask('BEGIN; ' . signs_in($token) . '; SELECT 1/0');
	$client[0]->ask('ROLLBACK');
	is($client[1]->ask($sees), $nobody, 'V14 nobody after an error');
	$node->safe_psql('postgres', 'DELETE FROM csm.sessions WHERE id = ' . row_of($of_reader));
	is($client[1]->ask('BEGIN; ' . signs_in($of_reader) . "; $sees; COMMIT"), "refused\n$nobody", 'V10 revoked behind the pooler');
	$_->quit foreach @client;
	$bouncer->signal('TERM');
	eval { $bouncer->finish };
}

# A standby: the absolute end counts, uses are neither judged nor noted.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('tokens_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $there = session($standby, user => 'plain');
my $reads = token('north contact');
my $long_idle = token('north contact');
my $ended = token('north contact');
$node->safe_psql('postgres', "UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '2 hours' WHERE id = " . row_of($long_idle));
$node->safe_psql('postgres', "UPDATE csm.sessions SET expires_at = clock_timestamp() WHERE id = " . row_of($ended));
$node->wait_for_catchup($standby, 'replay');
is($there->ask('BEGIN; ' . signs_in($reads) . "; $sees; COMMIT"), "signed_in\n$seen{'north contact'}", 'D2 signed in on a standby');
is($there->ask('BEGIN; ' . signs_in($long_idle) . "; $sees; COMMIT"), "signed_in\n$seen{'north contact'}", 'D2 idle: a standby does not judge it');
is($one->ask(signs_in($long_idle)), 'refused', 'D2 the primary does');
is($there->ask('BEGIN; ' . signs_in($ended) . "; $sees; COMMIT"), "refused\n$nobody", 'D2 ended: a standby knows');
is($there->ask('BEGIN; ' . signs_in($reads) . '; SELECT csm.start_session()'), "signed_in\nERROR 25006", 'D2 no session is started there');
$there->ask('ROLLBACK; ' . signs_in($reads, 'false') . '; BEGIN');
is($there->ask($sees), $seen{'north contact'}, 'V10 signed in on a standby, before');
$node->safe_psql('postgres', 'DELETE FROM csm.sessions WHERE id = ' . row_of($reads));
$node->wait_for_catchup($standby, 'replay');
is($there->ask($sees), $nobody, 'V10 revoked on the primary: an open transaction on the standby');

$_->quit foreach $one, $two, $repeatable, $watcher, $desk, $there;
$standby->stop;
$node->stop;
done_testing();
