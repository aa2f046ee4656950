# After an erasure, and what others wrote redacted, a dump of the database
# holds no string of the person; before, it does. What is restored from it
# verifies.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('erasure');
$node->start;
small_world($node);
system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$PostgreSQL::Test::Utils::tmp_check/quaddle.out",
	'-d', $node->connstr('postgres'), '-f', 'test/lib/quaddle.sql');

my $hers = qr/quaddl|wilhelmina|5557788|WQ-77|517561/i;

sub found_in_dump
{
	my ($dump) = @_;

	# the schema of the tests names nobody of hers, but its functions do
	$node->run_log([ 'pg_dump', '-d', $node->connstr('postgres'), '--exclude-schema=small', '-f', $dump ]);
	return [ grep { /$hers/ } split /\n/, slurp_file($dump) ];
}

my $dir = $PostgreSQL::Test::Utils::tmp_check;
cmp_ok(scalar @{ found_in_dump("$dir/before.sql") }, '>', 10, 'A37 a dump before has her strings');

$node->safe_psql('postgres', q{
	SELECT csm.redact_mention(small.u('her'), table_name, column_name, row_id) FROM csm.find_mentions(small.u('her'));
	SELECT csm.erase_person(small.u('her'), 'she asked');
});
is_deeply(found_in_dump("$dir/after.sql"), [], 'A37 a dump afterwards has none');
is($node->safe_psql('postgres', 'SELECT intact FROM csm.verify_history()'), 't', 'A37 the history verifies');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', "$dir/after.sql" ],
	'A37 the dump restores');
is($node->safe_psql('restored', 'SELECT intact FROM csm.verify_history()'), 't', 'A37 and verifies there');

# Dead rows go with VACUUM.
$node->safe_psql('postgres', 'VACUUM FULL csm.cases; VACUUM FULL csm.users; VACUUM FULL csm.case_entries');
is($node->safe_psql('postgres', 'SELECT count(*) FROM small.traces()'), '0', 'A37 nor has a rewritten table');
$node->stop;
done_testing();
