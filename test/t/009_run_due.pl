# What is due is done exactly once through the death of a runner: kill -9 in the
# middle of a group, after groups that were committed, and with two at work.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('run_due');
$node->start;
small_world($node);
$node->safe_psql('postgres', 'ALTER SYSTEM SET restart_after_crash = on');
$node->reload;

# 300 cases that are to be reminded of, 300 that are to be closed.
$node->safe_psql('postgres', q{
	SET csm.importing = on;
	INSERT INTO csm.cases (tenant_id, subject, requester_id, branch, state, resolved_at)
		SELECT small.tenant(), 'due ' || n, small.u('student'), 'internal', 'resolved',
			   clock_timestamp() - CASE WHEN n % 2 = 0 THEN interval '6 days' ELSE interval '11 days' END
		FROM generate_series(1, 600) n;
	RESET csm.importing;
	INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
		SELECT tenant_id, CASE WHEN resolved_at > now() - interval '7 days' THEN 'auto_close_reminder' ELSE 'auto_close' END, id, id, now() - interval '1 hour'
		FROM csm.cases WHERE subject LIKE 'due %'});

# state, entries of the system, events of closing, timers: a case a line would be 600
my $outcome = q{
	SELECT string_agg(format('%s cases %s said %s closed %s timer %s', n, state, said, closed, timer), '; ' ORDER BY state)
	FROM (SELECT state, said, closed, timer, count(*) n
		  FROM (SELECT c.state, (SELECT count(*) FROM csm.case_entries e WHERE e.case_id = c.id AND e.author_id IS NULL) AS said,
					   (SELECT count(*) FROM csm.events v WHERE v.case_id = c.id AND v.kind = 'closed') AS closed,
					   (SELECT coalesce(string_agg(t.kind, ','), 'none') FROM csm.timers t WHERE t.case_id = c.id) AS timer
				FROM csm.cases c WHERE c.subject LIKE 'due %') x
		  GROUP BY state, said, closed, timer) y};
my $done = '300 cases closed said 1 closed 1 timer none; 300 cases resolved said 1 closed 0 timer auto_close';
my $untouched = '300 cases resolved said 0 closed 0 timer auto_close; 300 cases resolved said 0 closed 0 timer auto_close_reminder';

# A runner that stops in the middle of its work, because another session holds
# the table that it has to write; then kill -9.
sub kill_in_the_middle
{
	my ($call, $table) = @_;
	my ($holder, $runner) = map { session($node) } 1 .. 2;
	my $pid = $runner->ask('SELECT pg_backend_pid()');

	$holder->ask("BEGIN; LOCK TABLE $table IN SHARE MODE");
	$runner->send($call);
	ok($runner->wait_blocked($node, $pid), "D5 a runner in the middle of its work: $table");
	kill 'KILL', $pid;
	is($runner->result, 'refused', 'D5 killed');
	$_->quit for $holder, $runner;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not recover';
	return;
}

is($node->safe_psql('postgres', $outcome), $untouched, 'D5 fixture: nothing is done');
kill_in_the_middle('SELECT * FROM csm.run_due()', 'csm.case_entries');
is($node->safe_psql('postgres', $outcome), $untouched, 'D5 after the crash all of it is still due');
is($node->safe_psql('postgres', q{SELECT sum(done) FROM csm.run_due("limit" => 200)}), '200', 'D5 some is done and committed');
kill_in_the_middle('SELECT * FROM csm.run_due()', 'csm.events');
is($node->safe_psql('postgres', q{SELECT count(*) FROM csm.timers WHERE due_at < now() AND case_id IS NOT NULL}), '400', 'D5 what was committed stays done, the rest is due');

# Two at once, one of which dies.
{
	my ($holder, $second) = map { session($node) } 1 .. 2;
	$second->ask('BEGIN');
	is($second->ask(q{SELECT sum(done) FROM csm.run_due("limit" => 100)}), '100', 'D5 a second runner at work');
	is($node->safe_psql('postgres', q{SELECT sum(done) FROM csm.run_due("limit" => 100)}), '100', 'D5 the first passes it by');
	kill 'KILL', $second->ask('SELECT pg_backend_pid()');
	$_->quit for $holder, $second;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not recover';
}
is($node->safe_psql('postgres', q{SELECT sum(done) FROM csm.run_due() WHERE kind ~ 'auto_close'}), '300', 'D5 run again: what was left, and what died with the second');
is($node->safe_psql('postgres', $outcome), $done, 'D5 everything is done exactly once');
is($node->safe_psql('postgres', q{SELECT coalesce(sum(done), 0) FROM csm.run_due() WHERE kind ~ 'auto_close'}), '0', 'D5 run once more: nothing');

# A prepared transaction that holds a case is passed by.
my $case = $node->safe_psql('postgres', q{SELECT min(id) FROM csm.cases WHERE subject LIKE 'due %' AND state = 'resolved'});
$node->safe_psql('postgres', qq{BEGIN; SELECT FROM csm.cases WHERE id = $case FOR NO KEY UPDATE; PREPARE TRANSACTION 'held'});
is($node->safe_psql('postgres', q{SELECT done, busy FROM csm.run_due(now() + interval '5 days') WHERE kind ~ 'auto_close'}), '299|1', 'D5 a case that is held is busy, and nobody waits for it');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'held'});
is($node->safe_psql('postgres', q{SELECT done, busy FROM csm.run_due(now() + interval '5 days') WHERE kind ~ 'auto_close'}), '1|0', 'D5 allow: done afterwards');
$node->stop;
done_testing();
