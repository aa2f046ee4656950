# Parallel plans give the rows of serial ones, for people of every size. The
# identity and what it may see reach the workers.

use strict;
use warnings;

use Test::More;
use CsmTest;

my $node = new_node('parallel', lines => [ "session_preload_libraries = 'csm'", 'max_worker_processes = 12', 'max_parallel_workers = 8' ]);
$node->start;
small_world($node);
$node->safe_psql('postgres', q{
	-- a partner with 20,000 customers
	INSERT INTO csm.accounts (tenant_id, name) SELECT small.tenant(), 'customer ' || i FROM generate_series(1, 20000) i;
	INSERT INTO csm.account_relationships (tenant_id, partner_account_id, customer_account_id, scope)
	SELECT small.tenant(), small.a('broker'), id, 'all' FROM csm.accounts WHERE name LIKE 'customer %';
	BEGIN;
	SET LOCAL csm.importing = on;
	INSERT INTO csm.cases (tenant_id, branch, state, state_class, subject, requester_id, opened_by, account_id, opened_at, submitted_at)
	SELECT small.tenant(), 'b2b', 'open', 'open', 'matter ' || i, small.u('umbrella admin'), small.u('umbrella admin'),
	       CASE WHEN i % 4 = 0 THEN small.a('plant') ELSE a.id END, '2024-02-01', '2024-02-01'
	FROM generate_series(1, 20000) i JOIN csm.accounts a ON a.name = 'customer ' || i;
	INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_name, visibility, side, body)
	SELECT tenant_id, id, branch, 'Somebody', 'shared', 'customer', 'text' FROM csm.cases;
	COMMIT;
	CREATE SCHEMA probe;
	GRANT USAGE ON SCHEMA probe TO PUBLIC;
	CREATE FUNCTION probe.pid() RETURNS integer LANGUAGE plpgsql VOLATILE PARALLEL SAFE COST 1 AS 'BEGIN RETURN pg_backend_pid(); END';
	-- EXPLAIN is not for the portal
	CREATE FUNCTION probe.workers(query text) RETURNS integer LANGUAGE plpgsql AS $$
	DECLARE
		plan json;
	BEGIN
		EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
		RETURN (regexp_match(plan::text, '"Workers Launched": (\d+)'))[1]::int;
	END $$;
});
$node->safe_psql('postgres', 'VACUUM ANALYZE');

my $parallel = q{SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
	SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL min_parallel_index_scan_size = 0; SET LOCAL parallel_leader_participation = off};
# for cases alone: an entry finds its case by index
my $scan = "$parallel; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off";
my $rows = q{SELECT md5(string_agg(concat_ws(':', id, account_id, state), ',' ORDER BY id)) || ' ' || count(*) FROM csm.cases};
my $entries = q{SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM csm.case_entries};
my $where = q{SELECT count(*) FILTER (WHERE p = pg_backend_pid()) || ' ' || (count(*) > 0) FROM (SELECT probe.pid() AS p FROM csm.cases OFFSET 0) x};

my $session = session($node);
foreach my $someone ([ 'broker admin', 'csm_portal' ], [ 'plant manager', 'csm_portal' ], [ 'holding manager', 'csm_portal' ],
	[ 'umbrella admin', 'csm_portal' ], [ 'all three', 'csm_portal' ], [ 'b2b agent', 'csm_agent' ], [ 'desk manager', 'csm_agent' ])
{
	my ($name, $role) = @$someone;
	my $id = person($node, $name);

	foreach my $pair ([ $rows, $scan ], [ $entries, $parallel ])
	{
		my ($query, $settings) = @$pair;

		$session->become($id, $role);
		my $serial = $session->ask("SET LOCAL max_parallel_workers_per_gather = 0; $query");
		$session->ask('COMMIT');
		$session->become($id, $role);
		my $in_parallel = $session->ask("$settings; $query");
		$session->ask('COMMIT');
		is($in_parallel, $serial, "V10 $name: a parallel plan gives the rows of a serial one");
	}
	$session->become($id, $role);
	is($session->ask("$scan; $where"), '0 true', "V10 $name: the rows were judged by workers");
	$session->ask('COMMIT');
}

# The plan itself.
my $agent = person($node, 'b2b agent');
my $broker = person($node, 'broker admin');
$session->become($agent, 'csm_agent');
cmp_ok($session->ask("$scan; SELECT probe.workers(\$q\$$rows\$q\$)"), '>', 0, 'workers were launched');
$session->ask('COMMIT');
$session->become($broker);
cmp_ok($session->ask('SELECT count(*) FROM csm.cases'), '>', 10000, 'somebody with 20,000 accounts');
$session->ask('COMMIT');

# A login role that is mapped, without any setting.
my $mapped = session($node, user => 'viewer_login');
is($mapped->ask("BEGIN; $scan; SELECT count(*) FROM csm.cases; COMMIT"),
	$mapped->ask('SET max_parallel_workers_per_gather = 0; SELECT count(*) FROM csm.cases'),
	'V14 a mapped login is the same person in workers');

# Nobody, and the end of access between two executions of one plan.
is($session->ask("BEGIN; $scan; SET LOCAL ROLE csm_portal; SELECT count(*) FROM csm.cases; COMMIT"), '0', 'V14 nobody sees nothing in workers');
$session->ask("SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT count(*) FROM csm.cases");
$session->become($broker);
my $before = $session->ask("$scan; EXECUTE q");
$node->safe_psql('postgres', "UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE partner_account_id = small.a('broker')");
my $after = $session->ask('EXECUTE q');
cmp_ok($before, '>', 10000, 'V10 before the relationships ended');
is($after, '0', 'V10 a prepared parallel plan in an open transaction: relationships ended');
$session->ask('COMMIT');
$session->become($agent, 'csm_agent');
cmp_ok($session->ask("$scan; EXECUTE q"), '>', 10000, 'V10 the same plan for another person');
$session->ask('COMMIT');

# The worker reads a snapshot; what it concludes under it must not stay in the leader.
$session->become(person($node, 'plant manager'));
$before = $session->ask("$scan; SELECT count(*) FROM csm.cases");
$node->safe_psql('postgres', "UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('plant manager')");
is($session->ask('SELECT count(*) FROM csm.cases'), '0', 'V10 login disabled between two parallel statements');
$session->ask('COMMIT');
cmp_ok($before, '>=', 5000, 'V10 before the login was disabled');

$_->quit for $session, $mapped;
$node->stop;
done_testing();
