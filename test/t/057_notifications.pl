# Notifications through the death of the server: what was claimed and not
# acknowledged comes again after its lease, and each event is told once whatever
# dies while they are made.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('notifications');
$node->start;
small_world($node);
$node->safe_psql('postgres', 'ALTER SYSTEM SET restart_after_crash = on');
$node->reload;
$node->safe_psql('postgres', q{
	DELETE FROM csm.notification_rules WHERE channel = 'portal';
	SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'commented') FROM generate_series(1, 200)});

my $counts = q{SELECT count(*) || ' of ' || count(DISTINCT event_id) || ' events' FROM csm.notifications};
my $run = q{SELECT done FROM csm.run_due(clock_timestamp() + interval '%d minutes') WHERE kind = 'notify'};

# A runner that dies in the middle, because another session holds the table that it writes.
my ($holder, $runner) = map { session($node) } 1 .. 2;
my $pid = $runner->ask('SELECT pg_backend_pid()');
$holder->ask('BEGIN; LOCK TABLE csm.notifications IN SHARE MODE');
$runner->send(sprintf $run, 1);
ok($runner->wait_blocked($node, $pid), 'A11 a runner in the middle of making notifications');
kill 'KILL', $pid;
is($runner->result, 'refused', 'A11 killed');
$_->quit for $holder, $runner;
$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not recover';
is($node->safe_psql('postgres', $counts), '0 of 0 events', 'A11 nothing is half done');
is($node->safe_psql('postgres', sprintf($run, 2)), '2', 'A11 the next runner');
is($node->safe_psql('postgres', $counts), '200 of 200 events', 'A11 tells each event once');

# A server that dies between claim and acknowledgement.
is($node->safe_psql('postgres', q{SELECT count(*) FROM csm.next_notifications("limit" => 150, lease => '10 seconds')}), '150', 'A11 claimed');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FROM csm.next_notifications("limit" => 1000)}), '50', 'A11 after the crash: what was not claimed');
$node->poll_query_until('postgres', q{SELECT bool_and(claimed_until < clock_timestamp()) FROM csm.notifications WHERE claimed_until < clock_timestamp() + interval '1 minute'})
	or die 'the lease does not end';
is($node->safe_psql('postgres', q{SELECT count(*) || ' ' || min(attempts) || ' ' || max(attempts) FROM csm.next_notifications("limit" => 1000)}), '150 2 2',
	'A11 after the lease: what was claimed, again');
is($node->safe_psql('postgres', q{SELECT csm.acknowledge_notifications(array_agg(id)) FROM csm.notifications}), '200', 'A11 acknowledged');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{UPDATE csm.notifications SET claimed_until = NULL; SELECT count(*) FROM csm.next_notifications()}), '0', 'A11 what was acknowledged does not come again');

$node->stop;
done_testing();
