# What a session sees follows what is true now: in open transactions, prepared
# statements, cursors and functions, across commit, rollback, savepoint and
# prepared transactions, and when time passes without any write.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);
use CsmTest;

my $node = new_node('sessions');
$node->start;
small_world($node);

my $sees = q{SELECT coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases};
my $manager = person($node, 'north manager');
my $holding = person($node, 'holding manager');
my $reader = person($node, 'globex reader');
my $student = person($node, 'student');
my $mother = person($node, 'mother');
my $all = seen_by($node, $manager);
my $end = "UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = $manager";
my $mend = "UPDATE csm.contacts SET valid_during = NULL WHERE user_id = $manager";
my $generic = "SET plan_cache_mode = force_generic_plan; PREPARE q AS $sees";

cmp_ok(scalar(split /,/, $all), '>', 5, 'the manager sees something');

sub admin
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# A session in a transaction of somebody, with a generic plan prepared.
sub opened
{
	my ($user_id, $begin) = @_;
	my $session = session($node);
	$session->ask($generic);
	$session->become($user_id, 'csm_portal', $begin);
	return $session;
}

# --- one statement of another session, every kind of edge ---

sub changes
{
	my ($what, $user_id, $break, $undo) = @_;
	my ($open, $prepared, $cursor) = map { opened($user_id) } 1 .. 3;
	my $before = $open->ask($sees);

	is($prepared->ask('EXECUTE q'), $before, "V10 $what: before");
	$cursor->ask('DECLARE c NO SCROLL CURSOR FOR SELECT id FROM csm.cases ORDER BY id');
	my $first = $cursor->ask('FETCH 1 FROM c');
	admin($break);
	my $now = seen_by($node, $user_id);
	isnt($now, $before, "V10 $what: changes what he sees");
	is($open->ask($sees), $now, "V10 $what: next statement of an open transaction");
	is($prepared->ask('EXECUTE q'), $now, "V10 $what: prepared statement in an open transaction");
	if ($now eq 'none')
	{
		is($cursor->ask('FETCH ALL FROM c'), '', "V10 $what: FETCH");
	}
	admin($undo);
	is($open->ask($sees), $before, "V10 allow: $what undone");
	is($prepared->ask('EXECUTE q'), $before, "V10 allow: $what undone, prepared statement");
	$_->quit for $open, $prepared, $cursor;
	return;
}
changes('membership ended', $manager, $end, $mend);
changes('login of the contact disabled', $manager,
	"UPDATE csm.contacts SET login_enabled = false WHERE user_id = $manager", "UPDATE csm.contacts SET login_enabled = true WHERE user_id = $manager");
changes('role changed', $manager,
	"UPDATE csm.contacts SET role = 'customer' WHERE user_id = $manager", "UPDATE csm.contacts SET role = 'case_manager' WHERE user_id = $manager");
changes('user disabled', $manager,
	"UPDATE csm.users SET enabled = false WHERE id = $manager", "UPDATE csm.users SET enabled = true WHERE id = $manager");
changes('tenant disabled', $manager,
	"UPDATE csm.tenants SET enabled = false WHERE key = 'small'", "UPDATE csm.tenants SET enabled = true WHERE key = 'small'");
changes('subtree moved', $holding,
	"UPDATE csm.accounts SET parent_id = NULL WHERE id = small.a('north')", "UPDATE csm.accounts SET parent_id = small.a('acme') WHERE id = small.a('north')");
changes('relationship ended', person($node, 'broker admin'),
	"UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('broker-holding')",
	"UPDATE csm.account_relationships SET valid_during = NULL WHERE id = small.r('broker-holding')");
changes('account created below a customer', person($node, 'broker admin'), q{
	INSERT INTO csm.accounts (tenant_id, name, parent_id) VALUES (small.tenant(), 'annex', small.a('plant'));
	SELECT small.new_case('annex: roof', 'b2b', 'plant contact', 'plant');
	SET session_replication_role = replica;
	UPDATE csm.cases SET account_id = (SELECT id FROM csm.accounts WHERE name = 'annex') WHERE subject = 'annex: roof'},
	q{SET session_replication_role = replica; DELETE FROM csm.cases WHERE subject = 'annex: roof';
	SET session_replication_role = origin; DELETE FROM small.named WHERE name = 'annex: roof'; DELETE FROM csm.accounts WHERE name = 'annex'});
changes('household left', $mother,
	"UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('son')",
	"UPDATE csm.household_members SET valid_during = NULL WHERE user_id = small.u('son')");
changes('head of household changed', $mother,
	"UPDATE csm.households SET head_user_id = small.u('lodger')", "UPDATE csm.households SET head_user_id = $mother");
changes('consumer row deleted', person($node, 'stranger'),
	"DELETE FROM csm.consumers WHERE user_id = small.u('stranger')", "INSERT INTO csm.consumers (tenant_id, user_id) VALUES (small.tenant(), small.u('stranger'))");
changes('share given', $student,
	"INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), $student)",
	"DELETE FROM csm.case_parties WHERE user_id = $student");
changes('share given to his account', $reader,
	"INSERT INTO csm.case_parties (tenant_id, case_id, account_id) VALUES (small.tenant(), small.c('north: pump'), small.a('globex'))",
	'DELETE FROM csm.case_parties');
changes('permission taken from the role', $manager,
	"DELETE FROM csm.role_permissions WHERE role = 'case_manager' AND tenant_id = small.tenant() AND action = 'case_read'",
	"INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (small.tenant(), 'case_manager', 'case_read', 'subtree')");

# TRUNCATE waits for open transactions; what follows them hears of it.
{
	my $session = opened($student);
	admin("INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), $student)");
	my $before = $session->ask('EXECUTE q; COMMIT');
	admin('TRUNCATE csm.case_parties');
	$session->become($student);
	my $now = $session->ask('EXECUTE q');
	isnt($now, $before, 'V10 TRUNCATE of an edge table');
	is($now, seen_by($node, $student), 'V10 TRUNCATE: what is left');
	$session->quit;
}

# Staff side.
foreach my $case (
	[ 'staff role ended', 'b2b agent', "UPDATE csm.user_roles SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('b2b agent')",
		"UPDATE csm.user_roles SET valid_during = NULL WHERE user_id = small.u('b2b agent')" ],
	[ 'off the team', 'account team', "UPDATE csm.account_team SET valid_during = 'empty' WHERE member_id = small.u('account team')",
		"UPDATE csm.account_team SET valid_during = NULL WHERE member_id = small.u('account team')" ],
	[ 'organisation moved', 'shop agent', "UPDATE csm.service_organizations SET parent_id = small.o('shop') WHERE name = 'village'",
		"UPDATE csm.service_organizations SET parent_id = small.o('region') WHERE name = 'village'" ],
	[ 'subtree excluded', 'shop agent', "UPDATE csm.service_organization_members SET excluded = ARRAY[small.o('shop')] WHERE user_id = small.u('shop agent')",
		"UPDATE csm.service_organization_members SET excluded = '{}' WHERE user_id = small.u('shop agent')" ])
{
	my ($what, $name, $break, $undo) = @$case;
	my $session = session($node);
	$session->become(person($node, $name), 'csm_agent');
	my $before = $session->ask($sees);
	admin($break);
	isnt($session->ask($sees), $before, "V10 $what: next statement of an open transaction");
	admin($undo);
	is($session->ask($sees), $before, "V10 allow: $what undone");
	$session->quit;
}

# A login mapped and unmapped while its session is open.
my $login = session($node, user => 'student_login');
$login->ask($generic);
isnt($login->ask('BEGIN; EXECUTE q'), 'none', 'V10 mapped login before');
admin("SELECT csm.map_login($student, NULL)");
is($login->ask('EXECUTE q'), 'none', 'V10 login no longer mapped: prepared statement in an open transaction');
admin("SELECT csm.map_login($student, 'student_login')");
isnt($login->ask('EXECUTE q'), 'none', 'V10 allow: mapped again');
admin("SELECT csm.map_login($student, NULL); SELECT csm.map_login($mother, 'student_login')");
is($login->ask('EXECUTE q'), seen_by($node, $mother), 'V10 mapped to another: that one, at once');
admin("SELECT csm.map_login($mother, NULL); SELECT csm.map_login($student, 'student_login')");
$login->quit;

# --- time passes, nobody writes ---

{
	my ($open, $prepared, $between, $cursor) = map { opened($manager) } 1 .. 4;
	my $future = opened($student);
	my $start = $future->ask('EXECUTE q');
	admin("INSERT INTO csm.case_parties (tenant_id, case_id, user_id, valid_during)
		VALUES (small.tenant(), small.c('south: delivery'), $student, tstzrange(clock_timestamp() + interval '3 seconds', clock_timestamp() + interval '6 seconds'))");
	admin("UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp() + interval '3 seconds') WHERE user_id = $manager");
	is($open->ask($sees), $all, 'V10 expiry ahead: still there');
	is($prepared->ask('EXECUTE q'), $all, 'V10 expiry ahead: prepared statement');
	is($between->ask("COMMIT; BEGIN; SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; $sees"), $all, 'V10 expiry ahead: next transaction');
	is($future->ask('EXECUTE q'), $start, 'V10 share not yet begun');
	$cursor->ask('DECLARE c NO SCROLL CURSOR FOR SELECT id FROM csm.cases ORDER BY id');
	is(scalar(split /\n/, $cursor->ask('FETCH 2 FROM c')), 2, 'V10 expiry ahead: cursor');
	sleep 3.3;
	is($open->ask($sees), 'none', 'V10 expired without a write: open transaction');
	is($prepared->ask('EXECUTE q'), 'none', 'V10 expired without a write: prepared statement in an open transaction');
	is($between->ask("COMMIT; BEGIN; SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; $sees"), 'none', 'V10 expired without a write: next transaction');
	is($cursor->ask('FETCH ALL FROM c'), '', 'V10 expired without a write: FETCH');
	isnt($future->ask('EXECUTE q'), $start, 'V10 allow: share that began without a write');
	sleep 3;
	is($future->ask('EXECUTE q'), $start, 'V10 share that ended without a write');
	admin("$mend; DELETE FROM csm.case_parties WHERE user_id = $student");
	is($open->ask($sees), $all, 'V10 allow: restored');
	$_->quit for $open, $prepared, $between, $cursor, $future;
}

# --- cursors: an old snapshot must neither keep access nor spoil what comes after ---

{
	my $session = opened($manager);
	$session->ask('DECLARE c NO SCROLL CURSOR FOR SELECT id FROM csm.cases ORDER BY id');
	admin($end);
	is($session->ask('FETCH ALL FROM c'), '', 'V10 a cursor declared before the end and first fetched after it');
	is($session->ask($sees), 'none', 'V10 after the cursor');
	admin($mend);
	$session->ask('DECLARE d NO SCROLL CURSOR FOR SELECT id FROM csm.cases ORDER BY id');
	$session->ask('FETCH 1 FROM d');
	admin($end);
	$session->ask('FETCH 1 FROM d');
	is($session->ask("COMMIT; BEGIN; SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; $sees"), 'none',
		'V10 a FETCH under an old snapshot leaves no old map behind');
	admin($mend);
	is($session->ask($sees), $all, 'V10 allow: restored');
	$session->quit;

	# WITH HOLD is a result that was taken, no query
	$session = opened($manager);
	$session->ask('DECLARE h CURSOR WITH HOLD FOR SELECT id FROM csm.cases');
	$session->ask('COMMIT');
	isnt($session->ask('FETCH 1 FROM h'), '', 'a cursor WITH HOLD keeps the rows of its commit');
	$session->quit;
}

# --- REPEATABLE READ and SERIALIZABLE: one snapshot, and nothing of it is kept ---

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $session = opened($manager, "BEGIN ISOLATION LEVEL $level");
	is($session->ask('EXECUTE q'), $all, "V10 $level: before");
	admin($end);
	is($session->ask('EXECUTE q'), $all, "V10 $level: the snapshot of the transaction stays");
	is($session->ask($sees), $all, "V10 $level: also for a new plan");
	is($session->ask("COMMIT; BEGIN; SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; EXECUTE q"), 'none',
		"V10 $level: its map is not kept");
	admin($mend);
	is($session->ask('EXECUTE q'), $all, "V10 allow: $level, restored");
	$session->ask('COMMIT');

	# The other way round: a map of now is no map of then.
	$session->become($manager, 'csm_portal', "BEGIN ISOLATION LEVEL $level");
	$session->ask('SELECT 1');
	admin($end);
	$session->ask('SELECT 1');
	is($session->ask('EXECUTE q'), $all, "V10 $level: a map first made after the change is of the transaction's snapshot");
	$session->ask('COMMIT');
	$session->become($manager);
	is($session->ask('EXECUTE q'), 'none', "V10 $level: and does not outlive it");
	admin($mend);
	$session->quit;
}

# --- one's own changes: visible at once, gone with the rollback ---

{
	my $session = session($node);
	my $as = "SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; $sees; RESET ROLE";
	is($session->ask("BEGIN; $as"), $all, 'V10 own transaction: before');
	is($session->ask("SAVEPOINT a; $end; $as"), 'none', 'V10 own uncommitted edge change');
	is($session->ask("ROLLBACK TO a; $as"), $all, 'V10 ROLLBACK TO takes it back');
	is($session->ask("$end; $as"), 'none', 'V10 changed again');
	$session->ask('ROLLBACK');
	is($session->ask("BEGIN; $as; COMMIT"), $all, 'V10 ROLLBACK takes it back');
	is($session->ask("BEGIN; SAVEPOINT a; $end; RELEASE a; $as; ROLLBACK; BEGIN; $as; COMMIT"), "none\n$all", 'V10 a released savepoint is rolled back with the rest');
	is($session->ask("BEGIN; UPDATE csm.accounts SET parent_id = NULL WHERE id = small.a('plant'); $as; ROLLBACK; BEGIN; $as; COMMIT") =~ s/^.*\n//r, $all,
		'V10 a move rolled back');
	is($session->ask("BEGIN; TRUNCATE csm.case_parties, csm.account_relationships; DELETE FROM csm.contacts WHERE false; $as; ROLLBACK; BEGIN; $as; COMMIT"), "$all\n$all",
		'V10 a TRUNCATE rolled back');
	# an error in a block that is caught
	is($session->ask("BEGIN; DO \$\$ BEGIN $end; RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN NULL; END \$\$; $as; COMMIT"), $all,
		'V10 a change undone by an exception block');
	$session->quit;
}

# --- prepared transactions ---

{
	my $open = opened($manager);
	is($open->ask('EXECUTE q'), $all, 'V10 before PREPARE TRANSACTION');
	admin("BEGIN; $end; PREPARE TRANSACTION 'p1'");
	is($open->ask('EXECUTE q'), $all, 'V10 a prepared transaction changes nothing yet');
	admin("COMMIT PREPARED 'p1'");
	is($open->ask('EXECUTE q'), 'none', 'V10 committed by another session');
	admin("BEGIN; $mend; PREPARE TRANSACTION 'p2'");
	is($open->ask('EXECUTE q'), 'none', 'V10 not yet back');
	admin("ROLLBACK PREPARED 'p2'");
	is($open->ask('EXECUTE q'), 'none', 'V10 rolled back: not back');
	admin("BEGIN; $mend; PREPARE TRANSACTION 'p3'");
	$open->ask('COMMIT');
	$node->restart;
	admin("COMMIT PREPARED 'p3'");
	is(seen_by($node, $manager), $all, 'V10 allow: committed after a restart');
	$open->quit;

	# The session that prepares its own change must not keep the map it saw.
	my $own = session($node);
	my $as = "SET LOCAL csm.user_id = '$manager'; SET LOCAL ROLE csm_portal; $sees; RESET ROLE";
	is($own->ask("BEGIN; $end; $as; PREPARE TRANSACTION 'p4'"), 'none', 'V10 own change before PREPARE TRANSACTION');
	is($own->ask("BEGIN; $as; COMMIT"), $all, 'V10 after PREPARE TRANSACTION the session is as all others');
	is($own->ask("ROLLBACK PREPARED 'p4'; BEGIN; $as; COMMIT"), $all, 'V10 after ROLLBACK PREPARED');
	$own->quit;
}

# --- a change while a map is being read ---

{
	my ($building, $blocker) = (session($node), session($node));
	my $pid = $building->ask('SELECT pg_backend_pid()');
	$building->become($manager);
	$blocker->ask('BEGIN; LOCK TABLE csm.account_relationships IN ACCESS EXCLUSIVE MODE');
	$building->send($sees);
	ok($building->wait_blocked($node, $pid), 'the map is half read: contacts are known, relationships are locked');
	admin("UPDATE csm.contacts SET login_enabled = false WHERE user_id = $manager");
	$blocker->ask('COMMIT');
	$building->result;
	is($building->ask($sees), 'none', 'V10 what was signalled while the map was being read counts for the next statement');
	admin("UPDATE csm.contacts SET login_enabled = true WHERE user_id = $manager");
	is($building->ask($sees), $all, 'V10 allow: and so does the way back');

	# An error half way leaves no half of a map.
	$building->ask('COMMIT');
	admin("UPDATE csm.contacts SET login_enabled = login_enabled, role = 'case_reader' WHERE user_id = $manager");
	admin("UPDATE csm.contacts SET role = 'case_manager' WHERE user_id = $manager");
	$blocker->ask('BEGIN; LOCK TABLE csm.account_relationships IN ACCESS EXCLUSIVE MODE');
	$building->become($manager);
	$building->ask("SET LOCAL lock_timeout = '200ms'; SAVEPOINT a");
	is($building->ask($sees), 'ERROR 55P03', 'a map that cannot be read is an error');
	$blocker->ask('COMMIT');
	is($building->ask("ROLLBACK TO a; $sees"), $all, 'V10 allow: after an error half way the map is read anew');
	$building->ask('ROLLBACK');
	is($building->ask('SELECT current_user, current_setting(\'search_path\') LIKE \'%public%\''), 'postgres|t', 'and nothing of its rights or settings stays behind');
	$_->quit for $building, $blocker;
}

# --- functions of several statements, while another session revokes ---

{
	admin(q{
		CREATE SCHEMA watch;
		GRANT USAGE ON SCHEMA watch TO PUBLIC;
		-- counts once a tenth of a second; volatile: a new snapshot for each query
		CREATE FUNCTION watch.counts(rounds integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
		DECLARE
			told text := '';
		BEGIN
			FOR i IN 1 .. rounds LOOP
				told := told || (SELECT CASE WHEN count(*) > 0 THEN 'y' ELSE 'n' END FROM csm.cases);
				PERFORM pg_sleep(0.1);
			END LOOP;
			RETURN told;
		END $$;
		CREATE FUNCTION watch.stable_counts(rounds integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
		DECLARE
			told text := '';
		BEGIN
			FOR i IN 1 .. rounds LOOP
				told := told || (SELECT CASE WHEN count(*) > 0 THEN 'y' ELSE 'n' END FROM csm.cases);
				PERFORM pg_sleep(0.1);
			END LOOP;
			RETURN told;
		END $$});
	my ($volatile, $stable) = map { opened($manager) } 1 .. 2;
	my $off = "UPDATE csm.contacts SET login_enabled = false WHERE user_id = $manager";
	my $on = "UPDATE csm.contacts SET login_enabled = true WHERE user_id = $manager";
	$volatile->send('SELECT watch.counts(15)');
	$stable->send('SELECT watch.stable_counts(15)');
	sleep 0.6;
	admin($off);
	like($volatile->result, qr/^y+n+$/, 'V10 a volatile function in one call: its later queries see that the login was disabled');
	like($stable->result, qr/^y+n*$/, 'V10 a stable function in one call never goes back and forth');
	is($_->ask('EXECUTE q'), 'none', 'V10 the next statement sees it') for $volatile, $stable;
	$volatile->send('SELECT watch.counts(15)');
	sleep 0.6;
	admin($on);
	like($volatile->result, qr/^n+y+$/, 'V10 allow: and that it was enabled again');

	# An end that is later than the statement's beginning: statement_timestamp() decides.
	$volatile->send('SELECT watch.counts(10)');
	sleep 0.5;
	admin($end);
	like($volatile->result, qr/^y+$/, 'V10 what ends during a call is valid to its end');
	is($volatile->ask('EXECUTE q'), 'none', 'V10 and not for the next statement');
	admin($mend);
	$_->quit for $volatile, $stable;

	# A change of person within one call.
	is(admin(qq{
		CREATE FUNCTION watch.both(a bigint, b bigint) RETURNS text LANGUAGE plpgsql AS \$\$
		DECLARE
			told text := '';
			who bigint;
		BEGIN
			FOREACH who IN ARRAY ARRAY[a, b, a, 0, b] LOOP
				PERFORM set_config('csm.user_id', who::text, true), set_config('role', 'csm_portal', true);
				told := told || '|' || (SELECT coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases);
				PERFORM set_config('role', 'none', true);
			END LOOP;
			RETURN told;
		END \$\$;
		SELECT watch.both($manager, $reader)}),
		join('|', '', $all, seen_by($node, $reader), $all, 'none', seen_by($node, $reader)), 'V14 several people within one call');
}

# --- one prepared statement, many people ---

{
	my $session = session($node);
	$session->ask($generic);
	my %expected = map { my $id = person($node, $_); $id => seen_by($node, $id) }
	  'north manager', 'holding manager', 'globex reader', 'broker admin', 'mother', 'student', 'umbrella admin', 'paragon admin', 'all three';
	my $wrong = 0;
	foreach my $round (1 .. 3)
	{
		foreach my $id (sort keys %expected)
		{
			$session->become($id);
			$wrong++ if $session->ask('EXECUTE q') ne $expected{$id};
			$session->ask($round == 2 ? 'ROLLBACK' : 'COMMIT');
			$wrong++ if $session->ask('BEGIN; SET LOCAL ROLE csm_portal; EXECUTE q; COMMIT') ne 'none';
		}
	}
	is($wrong, 0, 'V14 one generic plan, nine people, three rounds: each sees his own, nobody nothing');
	$session->become($manager);
	is($session->ask('EXECUTE q'), $all, 'V14 first person of a transaction');
	is($session->ask("RESET ROLE; SET LOCAL csm.user_id = '$reader'; SET LOCAL ROLE csm_portal; EXECUTE q"), $expected{$reader}, 'V14 second person of a transaction');
	is($session->ask("RESET ROLE; SET LOCAL csm.user_id = ''; SET LOCAL ROLE csm_portal; EXECUTE q"), 'none', 'V14 then nobody');
	$session->ask('COMMIT');

	# The role decides on which side he stands, for one plan too.
	my $agent = person($node, 'b2b agent');
	is($session->ask("BEGIN; SET LOCAL csm.user_id = '$agent'; SET LOCAL ROLE csm_portal; EXECUTE q"), 'none', 'V9 staff in the portal: only his own affairs');
	isnt($session->ask('RESET ROLE; SET LOCAL ROLE csm_agent; EXECUTE q'), 'none', 'V9 allow: the same transaction as csm_agent');
	is($session->ask('RESET ROLE; SET LOCAL ROLE csm_portal; EXECUTE q'), 'none', 'V9 and back in the portal');
	$session->ask('COMMIT');
	# A persona narrows, and lifts again.
	my $three = person($node, 'all three');
	$session->become($three);
	my $whole = $session->ask('EXECUTE q');
	my @parts = map { $session->ask("SELECT csm.act_as($_); EXECUTE q") =~ s/^\n//r } "'consumer'", "'employee'", 'NULL';
	cmp_ok(length $parts[0], '<', length $whole, 'V4 persona consumer: less');
	isnt($parts[0], $parts[1], 'V4 persona employee: other cases');
	is($parts[2], $whole, 'V4 allow: no persona: all again');
	$session->quit;
}

# --- DROP and CREATE EXTENSION under a session that used it ---

{
	$node->safe_psql('postgres', 'CREATE DATABASE second TEMPLATE postgres');
	my $session = session($node, dbname => 'second');
	$session->become($manager);
	is($session->ask("$sees; COMMIT"), $all, 'V10 before DROP EXTENSION');
	$node->safe_psql('second', 'SET client_min_messages = error; SET csm.allow_drop = on; DROP SCHEMA small CASCADE; DROP EXTENSION csm CASCADE; CREATE EXTENSION csm CASCADE');
	system('psql', '-Xq', '-o', '/dev/null', '-d', $node->connstr('second'), '-f', 'test/lib/small.sql') == 0 or die;
	$session->become($manager);
	is($session->ask($sees), seen_by($node, $manager, 'csm_portal', 'second'), 'V10 after DROP and CREATE EXTENSION the session goes on');
	$node->safe_psql('second', $end);
	is($session->ask($sees), 'none', 'V10 and hears of changes');
	$session->quit;
}

# --- memory ---

{
	admin(q{
		INSERT INTO csm.accounts (tenant_id, name, parent_id) SELECT small.tenant(), 'shop ' || i, small.a('umbrella') FROM generate_series(1, 300) i;
		WITH u AS (INSERT INTO csm.users (tenant_id, display_name) SELECT small.tenant(), 'shopper ' || i FROM generate_series(1, 500) i RETURNING id)
		INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) SELECT small.tenant(), id, small.a('umbrella'), 'case_manager' FROM u;
		CREATE FUNCTION watch.everybody() RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE
			who bigint;
			total bigint := 0;
		BEGIN
			FOR who IN SELECT id FROM csm.users WHERE display_name LIKE 'shopper %' ORDER BY id LOOP
				PERFORM set_config('csm.user_id', who::text, true), set_config('role', 'csm_portal', true);
				total := total + (SELECT count(*) FROM csm.cases) + cardinality(csm.accounts_allowing('case_read'));
				PERFORM set_config('role', 'none', true);
			END LOOP;
			RETURN total;
		END $$});
	my $maps = q{SELECT coalesce(sum(total_bytes), 0), count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'csm access map%'};
	my $session = session($node);

	$session->ask("SET csm.map_memory = '1MB'");
	$session->ask('SELECT watch.everybody()');
	my ($bytes, $contexts) = split /\|/, $session->ask($maps);
	cmp_ok($bytes, '<=', 1024 * 1024, "maps of 500 people stay within csm.map_memory ($bytes bytes)");
	cmp_ok($contexts, '>', 5, "and several are kept ($contexts contexts)");
	$session->quit;

	$session = session($node);
	$session->ask('SELECT watch.everybody()');
	my ($many) = $session->ask($maps) =~ /\|(\d+)/;
	cmp_ok($many, '>', 400, 'by default the maps of 500 such people are all kept');
	$session->ask('SELECT watch.everybody()') for 1 .. 2;
	my $sum = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
	$session->ask($sum);
	my $before = $session->ask($sum);
	$session->ask('SELECT watch.everybody()') for 1 .. 5;
	my $after = $session->ask($sum);
	cmp_ok(abs($after - $before), '<', 128 * 1024, "2,500 further changes of person leave memory as it was ($before, $after)");

	# Maps are thrown away and made again: nothing of the old ones stays.
	# A first round fills the caches of what such a change brings about.
	my $anew = sub {
		my ($times) = @_;
		$session->ask("DO \$\$ BEGIN FOR i IN 1 .. $times LOOP UPDATE csm.contacts SET login_enabled = NOT login_enabled WHERE user_id = $manager; "
			  . "PERFORM set_config('csm.user_id', '$manager', true); PERFORM csm.accounts_allowing('case_read'); END LOOP; END \$\$");
	};
	$anew->(200);
	$before = $session->ask($sum);
	$anew->(400);
	$after = $session->ask($sum);
	cmp_ok($after - $before, '<', 128 * 1024, "400 maps made anew leave memory as it was ($before, $after)");
	$session->quit;
}

$node->stop;
done_testing();
