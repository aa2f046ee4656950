# An update from every earlier version, with the demo's data in it, ends with the
# catalogue of a fresh install, keeps every row, and answers everybody as a
# database that was never updated.
#
# The library is the new one from the start, so an earlier version cannot be
# worked with before its update: its rows come from the fresh database, as a
# restore brings them.  The shipped machines are the earlier version's own.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my ($version) = slurp_file('csm.control') =~ /^default_version = '(.*)'/m;
# The oldest version is a script of its own; those between are that and the updates up to them.
my @earlier = map { /csm--([0-9.]+)(?:--[0-9.]+)?\.sql/ } glob('test/upgrade/csm--*.sql'), glob('sql/update/csm--*.sql*');
my %seen;
@earlier = grep { !$seen{$_}++ } @earlier;
my $node = new_node('upgrade', lines => [ "session_preload_libraries = 'csm'", 'shared_buffers = 128MB', 'max_wal_size = 2GB' ]);

$node->start;
cmp_ok(scalar(@earlier), '>', 0, 'there is a version to update from');

sub psql_file
{
	my ($database, @files) = @_;

	system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$PostgreSQL::Test::Utils::tmp_check/upgrade.out",
		'-d', $node->connstr($database), map { ('-f', $_) } @files);
}

# As test/demo/demo.sh loads it.
sub load_demo
{
	my ($database) = @_;

	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	psql_file($database, 'test/demo/company.sql');
	system_or_bail('sh', '-c', 'gzip -dc test/demo/data/cfpb_complaints_2015.csv.gz | psql -Xq -v ON_ERROR_STOP=1 -d "$1" -c "$2"', 'sh',
		$node->connstr($database),
		'COPY demo.complaints (complaint_id, product, sub_product, issue, sub_issue, state, zip_code, received_on,
			sent_to_company_on, company_response, timely_response, consumer_disputed) FROM STDIN (FORMAT csv, HEADER)');
	psql_file($database, map { "test/demo/$_.sql" } qw(load_b2c load_b2b personas));
}

my $columns_sql = q{
	SELECT c.oid::regclass, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE n.nspname = 'csm' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
	  AND c.relname !~ '^case_(types|states|transitions)$'
	GROUP BY 1 ORDER BY 1};

# The rows of one database, as far as the other knows tables and columns.
sub carry
{
	my ($from, $to, $columns) = @_;

	for (split /\n/, $columns)
	{
		my ($table, $list) = split /\|/;
		system_or_bail('sh', '-c', 'psql -Xq -d "$1" -c "COPY (SELECT $4 FROM $3) TO STDOUT" | psql -Xq -v ON_ERROR_STOP=1 -d "$2" -c "
			SET session_replication_role = replica" -c "DELETE FROM $3" -c "CREATE TEMP TABLE carried AS SELECT $4 FROM $3 LIMIT 0" -c "
			COPY carried FROM STDIN" -c "INSERT INTO $3 ($4) OVERRIDING SYSTEM VALUE SELECT * FROM carried"',
			'sh', $node->connstr($from), $node->connstr($to), $table, $list);
	}
}

sub contents
{
	my ($database, $columns) = @_;
	my %found;

	for (split /\n/, $columns)
	{
		my ($table, $list) = split /\|/;
		$found{$table} = $node->safe_psql($database,
			"SELECT count(*) || ' rows ' || md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM (SELECT $list FROM $table) t");
	}
	return \%found;
}

# Of a sample of people in every persona: cases, entries, a search, a page.
my $answers = q{
	CREATE TEMP TABLE answer (line text);
	DO $$
	DECLARE
		person bigint;
		role_name text;
		said text;
	BEGIN
		FOR person IN
			SELECT user_id FROM demo.personas WHERE user_id IS NOT NULL
			UNION (SELECT id FROM csm.users ORDER BY md5(id::text) LIMIT 60)
			UNION (SELECT user_id FROM csm.contacts WHERE role <> 'customer' ORDER BY md5(id::text) LIMIT 40)
			UNION SELECT user_id FROM csm.user_roles ORDER BY 1
		LOOP
			FOREACH role_name IN ARRAY '{csm_portal,csm_agent}'::text[] LOOP
				PERFORM set_config('csm.user_id', person::text, true), set_config('role', role_name, true);
				SELECT format('%s %s: %s cases %s, %s entries, %s found, newest %s', person, role_name, count(*),
					md5(string_agg(c.id || c.state, ',' ORDER BY c.id)), (SELECT count(*) FROM csm.case_entries),
					count(*) FILTER (WHERE csm.matches(c.search, plainto_tsquery('english', 'account'))), max(c.opened_at))
				INTO said FROM csm.cases c;
				PERFORM set_config('role', 'none', true);
				INSERT INTO answer VALUES (said);
			END LOOP;
		END LOOP;
	END $$;
	SELECT string_agg(line, E'\n' ORDER BY line) FROM answer};

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'SET client_min_messages = error; CREATE EXTENSION csm CASCADE');
my $fingerprint = slurp_file('test/lib/fingerprint.sql') . "\nSELECT replace(line, E'\\n', ' ') FROM fingerprint ORDER BY 1;";
my $fresh = $node->safe_psql('fresh', $fingerprint);
cmp_ok(scalar(split /\n/, $fresh), '>', 1000, 'the fingerprint says something');

load_demo('fresh');
my $said = $node->safe_psql('fresh', $answers);
cmp_ok(scalar(split /\n/, $said), '>', 100, 'answers to compare');

for my $from (@earlier)
{
	(my $database = "from_$from") =~ tr/./_/;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "SET client_min_messages = error; CREATE EXTENSION csm VERSION '$from' CASCADE");
	$node->safe_psql($database, q{SELECT csm.create_tenant('meridian', 'Meridian Financial Services', 'desk@meridian.example')});
	my $columns = $node->safe_psql($database, $columns_sql);
	carry('fresh', $database, $columns);
	my $rows = contents($database, $columns);
	is_deeply($rows, contents('fresh', $columns), "$from: the demo's rows are there");

	$node->safe_psql($database, 'ALTER EXTENSION csm UPDATE');
	is($node->safe_psql($database, q{SELECT extversion FROM pg_extension WHERE extname = 'csm'}), $version, "$from to $version");
	my %expected = map { $_ => 1 } split /\n/, $fresh;
	my %got = map { $_ => 1 } split /\n/, $node->safe_psql($database, $fingerprint);
	is(join("\n", map { substr $_, 0, 300 } sort grep { !$got{$_} } keys %expected), '', "$from: nothing of a fresh install is missing");
	is(join("\n", map { substr $_, 0, 300 } sort grep { !$expected{$_} } keys %got), '', "$from: nothing is there that a fresh install has not");
	is_deeply(contents($database, $columns), $rows, "$from: every row is kept");

	$node->safe_psql($database, 'SELECT * FROM csm.refresh_shipped()');
	# the answers name demo.personas
	$node->safe_psql($database, 'CREATE SCHEMA demo; CREATE TABLE demo.personas (login name, user_id bigint)');
	system_or_bail('sh', '-c', 'psql -Xq -d "$1" -c "COPY (SELECT login, user_id FROM demo.personas) TO STDOUT" | psql -Xq -d "$2" -c "COPY demo.personas FROM STDIN"',
		'sh', $node->connstr('fresh'), $node->connstr($database));
	is($node->safe_psql($database, $answers), $said, "$from: everybody is answered alike");
	my $machines = q{SELECT string_agg(t::text, E'\n' ORDER BY t::text) FROM (SELECT %s FROM csm.%s) t};
	is($node->safe_psql($database, sprintf $machines, @$_), $node->safe_psql('fresh', sprintf $machines, @$_), "$from: shipped $_->[1] as in a fresh database")
	  for [ 'case_type, parent_type, label, active, settings', 'case_types' ],
	  [ 'case_type, state, value, state_class, label', 'case_states' ],
	  [ 'case_type, from_state, action, to_state, actors, required_fields, note_required, effects, label', 'case_transitions' ];
}

$node->stop;
done_testing();
