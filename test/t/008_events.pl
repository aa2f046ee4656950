# Events are delivered at least once and in order: through a crash on either
# side of the acknowledgement, through dump and restore, and while many write.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('events');
$node->start;
small_world($node);
my $agent = person($node, 'b2b agent');

$node->safe_psql('postgres', qq{
	INSERT INTO csm.event_subscribers (tenant_id, key, user_id) VALUES (small.tenant(), 'mail', $agent), (small.tenant(), 'bi', $agent)});

sub emit
{
	my (@kinds) = @_;
	$node->safe_psql('postgres', "SELECT csm_private.emit(small.tenant(), small.c('north: pump'), '$_')") foreach @kinds;
	return;
}

# Reads in a transaction that stays open; "position kind" a line.
sub read_events
{
	my ($session, $subscriber) = @_;
	$session->become($agent, 'csm_agent');
	return $session->ask("SELECT position || ' ' || kind FROM csm.next_events('$subscriber') ORDER BY position");
}

sub read_once
{
	my ($subscriber, $database) = @_;
	my $session = session($node, dbname => $database // 'postgres');
	my $answer = read_events($session, $subscriber);
	$session->ask('COMMIT');
	$session->quit;
	return $answer;
}

sub acknowledge
{
	my ($subscriber, $position, $database) = @_;
	my $session = session($node, dbname => $database // 'postgres');
	$session->become($agent, 'csm_agent');
	my $answer = $session->ask("SELECT csm.acknowledge('$subscriber', $position)");
	$session->ask('COMMIT');
	$session->quit;
	return $answer;
}

# A crash between delivery and acknowledgement.
emit('one', 'two', 'three');
is(read_once('mail'), "1 one\n2 two\n3 three", 'D5 delivered');
is(acknowledge('mail', 1), '1', 'D5 one acknowledged');
crash($node);
is(read_once('mail'), "2 two\n3 three", 'D5 after a crash the rest is delivered again, at its positions');
is(acknowledge('mail', 3), '3', 'D5 and can be acknowledged');
crash($node);
is(read_once('mail'), '', 'D5 what was acknowledged is not repeated after a crash');

# A crash before the delivery is committed, and one of a writer.
emit('four');
my $reader = session($node);
my $writer = session($node);
is(read_events($reader, 'mail'), '4 four', 'D5 delivered, not yet committed');
$writer->ask(q{BEGIN; SELECT csm_private.emit(small.tenant(), small.c('north: valve'), 'never')});
crash($node);
$_->quit foreach $reader, $writer;
is(acknowledge('mail', 4), 'ERROR 22023', 'D5 a delivery that did not commit cannot be acknowledged');
is(read_once('mail'), '4 four', 'D5 it is made again, and of a writer who did not commit there is nothing');
is(acknowledge('mail', 4), '4', 'D5 acknowledged');
is(read_once('bi'), "1 one\n2 two\n3 three\n4 four", 'D5 another subscriber has it all before him');

# Restore: what was acknowledged, delivered, committed without a position, and not committed.
is(acknowledge('bi', 2), '2', 'D5 acknowledged by another');
emit('five');
is(read_once('mail'), '5 five', 'D5 delivered');
emit('six');
$writer = session($node);
$writer->ask(q{BEGIN; SELECT csm_private.emit(small.tenant(), small.c('north: valve'), 'late')});
my $file = "$PostgreSQL::Test::Utils::tmp_check/dump";
system_or_bail('pg_dump', '-d', $node->connstr('postgres'), '-f', $file);
$writer->ask('COMMIT');
$writer->quit;
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-o', "$file.out", '-d', $node->connstr('restored'), '-f', $file);
is(read_once('mail', 'restored'), "5 five\n6 six", 'D5 T17 restored: nothing lost, nothing repeated that was acknowledged');
is(read_once('bi', 'restored'), "3 three\n4 four\n5 five\n6 six", 'D5 T17 restored: each subscriber where he was');
is(acknowledge('mail', 6, 'restored'), '6', 'D5 T17 restored: acknowledged');
$node->safe_psql('restored', q{SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'seven')});
is(read_once('mail', 'restored'), '7 seven', 'D5 T17 restored: it goes on');
is(read_once('mail'), "5 five\n6 six\n7 late", 'D5 the original goes on by itself');

# Many write, in transactions that take their ids early and commit late, and two read meanwhile.
$node->safe_psql('postgres', q{
	DELETE FROM csm.event_subscribers;
	DELETE FROM csm.events;
	CREATE TABLE public.busy AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM csm.cases WHERE branch = 'b2b' AND state_class = 'open';
	CREATE TABLE public.received (reader text, id bigint, case_id bigint, "position" bigint, n bigint GENERATED ALWAYS AS IDENTITY);
	GRANT INSERT ON public.received TO csm_agent;
	GRANT SELECT ON public.busy TO csm_agent});
$node->safe_psql('postgres', qq{
	INSERT INTO csm.event_subscribers (tenant_id, key, user_id) SELECT small.tenant(), k, $agent FROM unnest('{r1,r2}'::text[]) k});
my $script = "$PostgreSQL::Test::Utils::tmp_check/write.sql";
append_to_file($script, q{\set n random(1, 12)
\set m random(1, 3)
BEGIN;
UPDATE csm.cases SET priority = 1 + priority % 4 WHERE id = (SELECT id FROM public.busy WHERE n = :n);
SELECT pg_sleep(0.002 * :m);
UPDATE csm.cases SET priority = 1 + priority % 4 WHERE id = (SELECT id FROM public.busy WHERE n = :n);
COMMIT;
});
my $out = '';
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', 6, '-t', 60, '-f', $script, $node->connstr('postgres') ],
	'<', \undef, '>', \$out, '2>', \$out, IPC::Run::timeout(120));
my %readers = map { $_ => session($node) } qw(r1 r2);
my $rest = 3;
while ($rest > 0)
{
	$rest-- unless $bench->pumpable;
	$bench->pump_nb if $bench->pumpable;
	foreach my $key (sort keys %readers)
	{
		my $session = $readers{$key};

		$session->become($agent, 'csm_agent');
		$session->ask(qq{INSERT INTO public.received (reader, id, case_id, "position")
			SELECT '$key', id, case_id, position FROM csm.next_events('$key', 7)});
		$session->ask('COMMIT');
		$session->become($agent, 'csm_agent');
		my $got = $session->ask("SELECT csm.acknowledge('$key', (SELECT delivered FROM csm.event_subscribers WHERE key = '$key'))");
		$session->ask('COMMIT');
		$rest = 3 if !$bench->pumpable && $node->safe_psql('postgres', "SELECT count(*) FROM csm.events WHERE position IS NULL OR position > $got");
	}
}
$bench->finish;
$_->quit foreach values %readers;
like($out, qr{actually processed: 360/360}, 'D5 writers are done') or diag($out);
is($node->safe_psql('postgres', 'SELECT count(*) FROM csm.events'), '720', 'D5 an event for each change');
foreach my $key (qw(r1 r2))
{
	is($node->safe_psql('postgres', "SELECT count(*) || ' ' || count(DISTINCT id) FROM public.received WHERE reader = '$key'"),
		'720 720', "D5 $key received each, and what he acknowledged only once");
	is($node->safe_psql('postgres', qq{SELECT count(*) FROM (SELECT id < lag(id) OVER (PARTITION BY case_id ORDER BY n) AS back,
		"position" < lag("position") OVER (ORDER BY n) AS out_of_order FROM public.received WHERE reader = '$key') x WHERE back OR out_of_order}),
		'0', "D5 $key received those of each case in the order of their ids");
}
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT id < lag(id) OVER (ORDER BY "position") AS back FROM csm.events) x WHERE back}),
	'>', 0, 'D5 although ids committed out of order');

# The wake-up, where the tenant wants it.
my $listener = session($node);
$listener->ask('LISTEN csm_events');
emit('quiet');
unlike($listener->ask('SELECT 1'), qr/Asynchronous/, 'D5 no notification unless the tenant wants it');
$node->safe_psql('postgres', q{UPDATE csm.tenants SET settings = '{"event_notify": true}' WHERE key = 'small'});
emit('loud');
my $heard = $listener->ask('SELECT 1');
my $tenant = $node->safe_psql('postgres', 'SELECT small.tenant()');
like($heard, qr/Asynchronous notification "csm_events" with payload "$tenant"/, 'D5 a notification names the tenant, nothing more');
$listener->quit;

$node->stop;
done_testing();
