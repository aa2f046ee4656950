# A streaming standby: the map is built there, and hears of what the primary
# changes when that is replayed, with no write of its own.

use strict;
use warnings;

use Test::More;
use CsmTest;

my $primary = new_node('primary', streaming => 1);
$primary->start;
small_world($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

sub primary
{
	my ($sql) = @_;
	$primary->safe_psql('postgres', $sql);
	$primary->wait_for_catchup($standby, 'replay');
	return;
}

my $sees = q{SELECT coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases};
my %id = map { $_ => person($primary, $_) } 'north manager', 'holding manager', 'broker admin', 'student', 'mother', 'viewer', 'region agent';

foreach my $name (sort keys %id)
{
	my $role = $name =~ /viewer|agent/ ? 'csm_agent' : 'csm_portal';
	my $seen = seen_by($standby, $id{$name}, $role);
	isnt($seen, 'none', "T16 $name sees something on the standby");
	is($seen, seen_by($primary, $id{$name}, $role), "T16 $name sees the same on the standby as on the primary");
}
my $mapped = session($standby, user => 'student_login');
is($mapped->ask($sees), seen_by($primary, $id{student}), 'T16 a mapped login on the standby');
is(session($standby, user => 'plain')->ask($sees), 'none', 'V14 nobody on the standby');

# Revoked on the primary, in sessions that are open on the standby.
my $idle = session($standby);
my $open = session($standby);
my $prepared = session($standby);
my $fetching = session($standby);

$_->ask("SET plan_cache_mode = force_generic_plan; PREPARE q AS $sees") for $prepared, $mapped;
$_->become($id{'north manager'}) for $open, $prepared, $fetching;
my $all = $open->ask($sees);
cmp_ok(scalar(split /,/, $all), '>', 5, 'V10 before');
is($prepared->ask('EXECUTE q'), $all, 'V10 before, prepared');
$fetching->ask("DECLARE c NO SCROLL CURSOR FOR SELECT id FROM csm.cases");
is(scalar(split /\n/, $fetching->ask('FETCH 2 FROM c')), 2, 'V10 before, cursor');
$idle->become($id{'north manager'});
$idle->ask("$sees; COMMIT");

primary("UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('north manager')");
is($open->ask($sees), 'none', 'V10 membership ended: an open transaction on the standby');
is($prepared->ask('EXECUTE q'), 'none', 'V10 membership ended: a prepared statement in an open transaction');
is($fetching->ask('FETCH ALL FROM c'), '', 'V10 membership ended: FETCH');
$fetching->ask('COMMIT'); # its snapshot would hold up the replay
$idle->become($id{'north manager'});
is($idle->ask("$sees; COMMIT"), 'none', 'V10 membership ended: the next transaction');
primary("UPDATE csm.contacts SET valid_during = NULL WHERE user_id = small.u('north manager')");
is($open->ask($sees), $all, 'V10 allow: membership restored, open transaction');
is($prepared->ask('EXECUTE q'), $all, 'V10 allow: membership restored, prepared statement');

# One of every other kind.
sub changes
{
	my ($what, $name, $break, $mend) = @_;
	my $session = session($standby);
	my $user_id = $id{$name} // person($primary, $name);

	$session->become($user_id);
	my $before = $session->ask($sees);
	primary($break);
	isnt($session->ask($sees), $before, "V10 $what: seen in an open transaction on the standby");
	primary($mend);
	is($session->ask($sees), $before, "V10 allow: $what undone");
	$session->quit;
	return;
}
changes('user disabled', 'mother',
	"UPDATE csm.users SET enabled = false WHERE id = small.u('mother')",
	"UPDATE csm.users SET enabled = true WHERE id = small.u('mother')");
changes('tenant disabled', 'mother',
	"UPDATE csm.tenants SET enabled = false WHERE key = 'small'", "UPDATE csm.tenants SET enabled = true WHERE key = 'small'");
changes('relationship ended', 'broker admin',
	"UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('broker-holding')",
	"UPDATE csm.account_relationships SET valid_during = NULL WHERE id = small.r('broker-holding')");
changes('subtree moved', 'holding manager',
	"UPDATE csm.accounts SET parent_id = NULL WHERE id = small.a('north')",
	"UPDATE csm.accounts SET parent_id = small.a('acme') WHERE id = small.a('north')");
changes('permission taken from the role', 'holding manager',
	"DELETE FROM csm.role_permissions WHERE role = 'case_manager' AND tenant_id = small.tenant() AND action = 'case_read'",
	"INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (small.tenant(), 'case_manager', 'case_read', 'subtree')");
changes('share given', 'student',
	"INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), small.u('student'))",
	"DELETE FROM csm.case_parties WHERE user_id = small.u('student')");
primary("SELECT csm.map_login(small.u('student'), NULL)");
is($mapped->ask('EXECUTE q'), 'none', 'V10 login no longer mapped: nobody on the standby');

# Within one call of a function, too: later queries of it see what was replayed.
# On a standby a snapshot counts running transactions otherwise than on a primary.
{
	primary(q{
		CREATE SCHEMA watch;
		GRANT USAGE ON SCHEMA watch TO PUBLIC;
		CREATE FUNCTION watch.counts(rounds integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
		DECLARE
			told text := '';
		BEGIN
			FOR i IN 1 .. rounds LOOP
				told := told || (SELECT CASE WHEN count(*) > 0 THEN 'y' ELSE 'n' END FROM csm.cases);
				PERFORM pg_sleep(0.1);
			END LOOP;
			RETURN told;
		END $$});
	my ($older, $revoking) = map { session($primary) } 1 .. 2;
	$older->ask('BEGIN; SELECT pg_current_xact_id(); CREATE TEMP TABLE t ()');
	$revoking->ask("BEGIN; UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('north manager')");
	primary('CREATE TABLE watch.newer ()');
	$open->send('SELECT watch.counts(25)');
	select undef, undef, undef, 0.7;
	$revoking->ask('COMMIT');
	$primary->wait_for_catchup($standby, 'replay');
	like($open->result, qr/^y+n+$/, 'V10 login disabled: seen by the later queries of one call on the standby');
	is($open->ask($sees), 'none', 'V10 and by the next statement');
	$older->ask('ROLLBACK');
	primary("UPDATE csm.contacts SET login_enabled = true WHERE user_id = small.u('north manager')");
	is($open->ask($sees), $all, 'V10 allow: login enabled again');
	$_->quit for $older, $revoking;
}

# A transaction that rolls back on the primary changes nothing.
primary("BEGIN; UPDATE csm.contacts SET valid_during = 'empty' WHERE user_id = small.u('north manager'); ROLLBACK");
is($open->ask($sees), $all, 'V10 a rollback on the primary changes nothing');

# The standby takes over.
$_->ask('COMMIT') for $open, $prepared;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
$open->become($id{'north manager'});
is($open->ask($sees), $all, 'T16 after promotion the same');
$standby->safe_psql('postgres', "UPDATE csm.users SET enabled = false WHERE id = $id{'north manager'}");
is($open->ask($sees), 'none', 'V10 and its own changes are heard');

$_->quit for $idle, $open, $prepared, $fetching, $mapped;
$standby->stop;
$primary->stop;
done_testing();
