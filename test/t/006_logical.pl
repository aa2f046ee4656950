# A logical subscriber: rows arrive as they are, judged at their origin and not
# again, and the sessions there hear of edges that a subscription changes.

use strict;
use warnings;

use Test::More;
use CsmTest;

my @lines = ("session_preload_libraries = 'csm'", 'wal_level = logical', 'max_worker_processes = 12',
	'max_sync_workers_per_subscription = 4', 'wal_retrieve_retry_interval = 100ms');
my $publisher = new_node('publisher', streaming => 'logical', lines => \@lines);
my $subscriber = new_node('subscriber', lines => \@lines);
$_->start for $publisher, $subscriber;
small_world($publisher);
$subscriber->safe_psql('postgres', 'SET client_min_messages = error; CREATE EXTENSION csm CASCADE; CREATE ROLE student_login LOGIN IN ROLE csm_portal');

$publisher->safe_psql('postgres', 'CREATE PUBLICATION everything FOR TABLES IN SCHEMA csm');
$subscriber->safe_psql('postgres', sprintf(q{CREATE SUBSCRIPTION everything CONNECTION '%s' PUBLICATION everything},
	$publisher->connstr('postgres') =~ s/'/''/gr));
$subscriber->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')")
  or die 'the initial copy did not end';
$publisher->wait_for_catchup('everything');

sub publish
{
	my ($sql) = @_;
	$publisher->safe_psql('postgres', $sql);
	$publisher->wait_for_catchup('everything');
	return;
}

sub same
{
	my ($what, $sql) = @_;
	my $here = $publisher->safe_psql('postgres', $sql);
	isnt($here, '', "T16 $what: something to compare");
	is($subscriber->safe_psql('postgres', $sql), $here, "T16 $what: as on the publisher");
	return;
}

my $accounts = 'SELECT id, number, parent_id, root_id, path FROM csm.accounts ORDER BY id';
my $cases = 'SELECT c FROM csm.cases c ORDER BY id';
my $sees = q{SELECT coalesce(string_agg(id::text, ',' ORDER BY id), 'none') FROM csm.cases};
my %id = map { $_ => person($publisher, $_) } 'north manager', 'holding manager', 'broker admin', 'mother', 'region agent', 'student', 'acme admin';

same('accounts after the first copy', $accounts);
same('cases after the first copy', $cases);
same('entries after the first copy', 'SELECT e FROM csm.case_entries e ORDER BY id');
foreach my $name (sort keys %id)
{
	my $role = $name =~ /agent/ ? 'csm_agent' : 'csm_portal';
	is(seen_by($subscriber, $id{$name}, $role), seen_by($publisher, $id{$name}, $role), "T16 $name sees the same on the subscriber");
}
my $mapped = session($subscriber, user => 'student_login');
is($mapped->ask($sees), seen_by($publisher, $id{student}), 'T16 a mapped login on the subscriber');

# Edges that the subscription changes, in sessions that are open here.
sub changes
{
	my ($what, $name, $break, $mend) = @_;
	my $open = session($subscriber);
	my $prepared = session($subscriber);
	my $before;

	$_->ask("SET plan_cache_mode = force_generic_plan; PREPARE q AS $sees") for $open, $prepared;
	$_->become($id{$name}) for $open, $prepared;
	$before = $open->ask($sees);
	is($prepared->ask('EXECUTE q'), $before, "V10 $what: before");
	isnt($before, 'none', "V10 $what: sees something before");
	publish($break);
	my $after = seen_by($publisher, $id{$name});
	isnt($after, $before, "V10 $what: changes what he sees");
	is($open->ask($sees), $after, "V10 $what: in an open transaction on the subscriber");
	is($prepared->ask('EXECUTE q'), $after, "V10 $what: in a prepared statement of an open transaction");
	publish($mend);
	is($open->ask($sees), $before, "V10 allow: $what undone");
	$_->quit for $open, $prepared;
	return;
}
changes('membership ended', 'north manager',
	"UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('north manager')",
	"UPDATE csm.contacts SET valid_during = NULL WHERE user_id = small.u('north manager')");
changes('membership deleted', 'acme admin',
	"DELETE FROM csm.contacts WHERE user_id = small.u('acme admin')",
	"INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) VALUES (small.tenant(), small.u('acme admin'), small.a('acme'), 'customer_admin')");
changes('relationship ended', 'broker admin',
	"UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('broker-holding')",
	"UPDATE csm.account_relationships SET valid_during = NULL WHERE id = small.r('broker-holding')");
changes('subtree moved', 'holding manager',
	"UPDATE csm.accounts SET parent_id = NULL WHERE id = small.a('north')",
	"UPDATE csm.accounts SET parent_id = small.a('acme') WHERE id = small.a('north')");
changes('household left', 'mother',
	"UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('son')",
	"UPDATE csm.household_members SET valid_during = NULL WHERE user_id = small.u('son')");
publish("SELECT csm.map_login(small.u('student'), NULL)");
is($mapped->ask($sees), 'none', 'V10 login no longer mapped: nobody on the subscriber');
same('paths after moves', $accounts);

# Rows as a machine would never let them pass, and paths that no trigger here
# would make: taken as they come.
publish(q{
	SET session_replication_role = replica;
	UPDATE csm.cases SET state = 'closed', state_class = 'closed', closed_at = '2001-01-01' WHERE id = small.c('north: pump');
	UPDATE csm.cases SET state = 'new', state_class = 'new', closed_at = NULL WHERE id = small.c('south: delivery');
	UPDATE csm.cases SET updated_at = '2001-01-01', subject = 'changed though closed' WHERE id = small.c('north: pump');
	INSERT INTO csm.cases (tenant_id, number, branch, state, state_class, priority, subject, requester_id, opened_at, updated_at)
	VALUES (small.tenant(), 'ODD-1', 'internal', 'resolved', 'resolved', 4, 'born resolved', small.u('student'), '2001-01-01', '2001-01-01');
	INSERT INTO csm.accounts (tenant_id, number, name, parent_id, path, root_id)
	VALUES (small.tenant(), 'ODD-1', 'odd path', small.a('acme'), '999.1', 999)});
same('cases that were not judged again', $cases);
same('a path that was not derived again', $accounts);
publish(q{DELETE FROM csm.accounts WHERE number = 'ODD-1'});

# Whoever writes here is judged here.
my ($status, $stdout, $stderr) = $subscriber->psql('postgres', "\\set VERBOSITY sqlstate\nUPDATE csm.cases SET subject = 'x' WHERE number = 'ODD-1' OR state = 'closed'");
like($stderr, qr/SM004/, 'SM004 a local write to a closed case is refused on the subscriber');

# TRUNCATE travels too.
{
	my $open = session($subscriber);
	publish(q{INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: valve'), small.u('student'))});
	$open->become($id{student});
	my $before = $open->ask("$sees; COMMIT");
	publish('TRUNCATE csm.case_parties');
	$open->become($id{student});
	my $after = $open->ask($sees);
	isnt($after, $before, 'V10 TRUNCATE of an edge table on the publisher is heard on the subscriber');
	is($after, seen_by($publisher, $id{student}), 'V10 what is left is as on the publisher');
	$open->quit;
}

$mapped->quit;
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION everything');
$_->stop for $subscriber, $publisher;
done_testing();
