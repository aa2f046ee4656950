# Every way by which somebody might come to be another person. Each leaves
# nobody, or the person that the login stands for; never another. Run with csm
# not preloaded, preloaded per session, and preloaded by the server.

use strict;
use warnings;

use Test::More;
use CsmTest;

my $node = new_node('forging', lines => []);
$node->start;
small_world($node);
$node->safe_psql('postgres', q{
	CREATE SCHEMA shop;
	GRANT USAGE, CREATE ON SCHEMA shop TO plain, portal_app, student_login;
	-- of another person, callable by all
	CREATE FUNCTION shop.as_student() RETURNS text LANGUAGE sql SECURITY DEFINER
		AS 'SELECT coalesce(csm.current_user_id()::text, ''nobody'')';
	ALTER FUNCTION shop.as_student() OWNER TO student_login;
	CREATE PROCEDURE shop.carry(id text) LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM set_config('csm.user_id', id, false);
		COMMIT;
	END $$;
	CREATE TABLE shop.many AS SELECT i FROM generate_series(1, 3000) i;
	GRANT SELECT ON shop.many TO PUBLIC;
	ANALYZE shop.many;
});
$node->safe_psql('postgres', 'CREATE FUNCTION shop.as_victim() RETURNS text LANGUAGE sql SET csm.user_id = '
	  . "'" . person($node, 'north manager') . "'"
	  . q{ AS 'SELECT coalesce(csm.current_user_id()::text, ''nobody'')'});

my $victim = person($node, 'north manager');
my $student = person($node, 'student');
my $expert = person($node, 'viewer');
my $victim_sees = seen_by_count($victim);
cmp_ok($victim_sees, '>', 3, 'the person to impersonate sees something');

sub seen_by_count
{
	my ($user_id) = @_;
	return scalar(split /,/, seen_by($node, $user_id));
}

# Who the session is and how many cases it sees.
my $probe = q{SELECT coalesce(csm.current_user_id()::text, 'nobody') || ':' || (SELECT count(*) FROM csm.cases)};
my $parallel = q{SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off};
my $in_workers = q{SELECT coalesce(min(csm.current_user_id() + 0 * i)::text, 'nobody') || ':' ||
	count(*) FILTER (WHERE csm.account_known(i)) FROM shop.many};
my $nobody = 'nobody:0';
my $known = $node->safe_psql('postgres',
	"LOAD 'csm'; BEGIN; SET LOCAL csm.user_id = '$victim'; SET LOCAL ROLE csm_portal; SELECT count(*) FROM csm.accounts; COMMIT");

# What the last statement answers; errors on the way may happen.
sub attempt
{
	my ($user, $options, @steps) = @_;
	my $session = session($node, user => $user, options => $options);
	my $answer = '';

	$answer = $session->ask($_) for @steps;
	$session->quit;
	return $answer;
}

sub forged_by
{
	my ($mode, $user, $same, $route, $options, @steps) = @_;
	my $answer = attempt($user, $options, @steps);

	ok($answer eq $nobody || $answer eq 'refused' || (defined $same && $answer =~ /^$same:[01]$/),
		"V14 $mode: $route by $user leaves nobody or the same person")
	  or diag("answer: $answer");
	return;
}

sub routes
{
	my ($mode) = @_;
	my $set = "SET csm.user_id = '$victim'";

	foreach my $login ([ 'plain', undef ], [ 'student_login', $student ])
	{
		my ($user, $same) = @$login;
		my $forged = sub { forged_by($mode, $user, $same, @_) };

		$forged->('no attempt', undef, $probe);
		$forged->('SET before the library is loaded', undef, $set, $probe);
		$forged->('SET LOCAL in one transaction', undef, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'ROLLBACK', "BEGIN; $probe", $probe);
		$forged->('SET after the library is loaded', undef, $probe, $set, $probe);
		$forged->('set_config', undef, "SELECT set_config('csm.user_id', '$victim', false)", $probe);
		$forged->('set_config, library loaded', undef, $probe, "SELECT set_config('csm.user_id', '$victim', false)", $probe);
		$forged->('PGOPTIONS', "-c csm.user_id=$victim", $probe);
		$forged->('PGOPTIONS with a stamp', "-c csm.user_id=$victim\@1", $probe);
		$forged->('SET with a stamp', undef, $probe, "SET csm.user_id = '$victim\@2'", $probe);
		$forged->('ALTER ROLE of itself', undef, "ALTER ROLE $user SET csm.user_id = '$victim'", "\\c", $probe);
		$forged->('ALTER DATABASE', undef, "ALTER DATABASE postgres SET csm.user_id = '$victim'", "\\c", $probe);
		$forged->('function SET clause', undef,
			"DROP FUNCTION IF EXISTS shop.own_$user",
			"CREATE FUNCTION shop.own_$user() RETURNS text LANGUAGE sql SET csm.user_id = '$victim' AS \$\$ $probe \$\$",
			'BEGIN', "SELECT shop.own_$user()", 'ROLLBACK', $probe);
		unlike(attempt($user, undef, $probe, "SELECT shop.own_$user()"), qr/^$victim:/,
			"V14 $mode: function SET clause by $user gives nothing inside either");
		unlike(attempt($user, undef, $probe, 'SELECT shop.as_victim()'), qr/^$victim$/,
			"V14 $mode: another's function with a SET clause gives $user nothing");
		unlike(attempt($user, undef, 'SELECT shop.as_victim()'), qr/^$victim$/,
			"V14 $mode: another's function with a SET clause gives $user nothing before load");
		$forged->('FROM CURRENT', undef, $set,
			"CREATE OR REPLACE FUNCTION shop.current_$user() RETURNS text LANGUAGE sql SET csm.user_id FROM CURRENT AS \$\$ $probe \$\$",
			"SELECT shop.current_$user()", $probe);
		$forged->('RESET', undef, $set, 'RESET csm.user_id', $probe);
		$forged->('RESET ALL', undef, $set, 'RESET ALL', $probe);
		$forged->('DISCARD ALL', undef, $set, 'DISCARD ALL', $probe);
		$forged->('SET ROLE', undef, 'SET ROLE portal_app', $set, $probe);
		$forged->('SET ROLE of a mapped login', undef, 'SET ROLE viewer_login', $probe);
		$forged->('SET SESSION AUTHORIZATION', undef, 'SET SESSION AUTHORIZATION viewer_login', $probe);
		$forged->('csm.persona', undef, 'SET csm.persona = \'staff:agent\'', $probe);
		$forged->('csm.persona before load', undef, 'SET csm.persona = \'staff:nonsense!\'', $probe);
		$forged->('csm.tenant', undef, 'SET csm.tenant = \'small\'', $probe);
		$forged->('procedure that commits', undef, "CALL shop.carry('$victim')", $probe);
		$forged->('sign_out, then RESET', undef, 'SELECT csm.sign_out()', 'RESET csm.user_id', $probe);
		is(attempt($user, undef, $parallel, 'BEGIN', $set, 'ROLLBACK', $set, $in_workers),
			defined $same ? "$student:0" : $nobody, "V14 $mode: SET by $user reaches no worker");
	}
	my $in_definer = attempt('plain', undef, 'SELECT shop.as_student()');
	is($in_definer, 'nobody', "V14 $mode: a mapped owner's SECURITY DEFINER function does not make the caller that person");
	is(attempt('student_login', undef, 'SELECT csm.sign_out()', $probe), $nobody,
		"V14 $mode: sign_out() ends a mapped login");
	is(attempt('student_login', undef, 'SELECT csm.sign_out()', 'SELECT 1', "BEGIN; SET LOCAL ROLE csm_portal; $probe"), $nobody,
		"V14 $mode: sign_out() holds for the following transactions and SET ROLE");
	is(attempt('student_login', undef, 'SET ROLE csm_portal', $probe), "$student:1",
		"V14 $mode: SET ROLE changes privileges, never the person");
	is(attempt('plain', undef, "SET csm.tenant = 'small'", "SELECT csm.current_tenant_id() IS NULL"), 't',
		"V14 $mode: csm.tenant signs nobody in");

	# The backend that may set it: honoured in the transaction that said so.
	my $trusted = sub { forged_by($mode, 'portal_app', undef, @_) };
	my $load = 'SELECT csm.current_user_id()';
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'SET LOCAL ROLE csm_portal', $probe),
		"$victim:$victim_sees", "V14 $mode: allow: SET LOCAL, then SET LOCAL ROLE");
	is(attempt('portal_app', undef, $load, 'BEGIN', $set, $probe), "$victim:$victim_sees",
		"V14 $mode: allow: SET within the transaction");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", $parallel, $in_workers),
		"$victim:$known", "V14 $mode: allow: workers believe what the leader does");
	is(attempt('portal_app', "-c csm.user_id=$student", $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", $probe),
		"$victim:$victim_sees", "V14 $mode: allow: SET LOCAL over PGOPTIONS");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'SAVEPOINT a',
			"SET LOCAL csm.user_id = '$student'", 'ROLLBACK TO a', $probe),
		"$victim:$victim_sees", "V14 $mode: ROLLBACK TO restores the person");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'SELECT csm.sign_out()', $probe),
		$nobody, "V14 $mode: sign_out() ends a set person");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'SELECT csm.sign_out()', 'COMMIT',
			'BEGIN', "SET LOCAL csm.user_id = '$student'", $probe),
		"$student:1", "V14 $mode: allow: the next person after sign_out()");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", 'SET LOCAL ROLE csm_portal',
			"SET LOCAL csm.user_id = '$student'"),
		'ERROR 42501', "V14 $mode: after SET ROLE the grant no longer applies");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", "SET LOCAL csm.persona = 'staff:agent'", $probe),
		"$victim:0", "V14 $mode: a persona that he does not hold gives nothing");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", "SET LOCAL csm.tenant = 'foreign'", $probe),
		"$victim:$victim_sees", "V14 $mode: csm.tenant is ignored once somebody is signed in");

	$trusted->('SET, then the next transaction', undef, $load, $set, $probe);
	$trusted->('SET before the library is loaded', undef, $set, $probe);
	$trusted->('SET in a transaction before the library is loaded', undef, 'BEGIN', $set, 'COMMIT', "BEGIN; $probe");
	$trusted->('SET in one transaction, then the next', undef, $load, 'BEGIN', $set, 'COMMIT', $probe);
	$trusted->('SET, another SET rolled back', undef, $load, $set, 'BEGIN', "SET csm.user_id = '$student'", 'ROLLBACK', $probe);
	$trusted->('SET, another SET LOCAL ended', undef, $load, $set, 'BEGIN', "SET LOCAL csm.user_id = '$student'", 'COMMIT', $probe);
	$trusted->('SET, rolled back to a savepoint of the next transaction', undef, $load, $set,
		'BEGIN', 'SAVEPOINT a', "SET LOCAL csm.user_id = '$student'", 'ROLLBACK TO a', $probe);
	$trusted->('PGOPTIONS', "-c csm.user_id=$victim", $probe);
	$trusted->('PGOPTIONS, then RESET', "-c csm.user_id=$victim", $load, 'BEGIN', 'RESET csm.user_id', $probe);
	$trusted->('PGOPTIONS, then RESET ALL', "-c csm.user_id=$victim", $load, 'BEGIN', 'RESET ALL', $probe);
	$trusted->('PGOPTIONS, then SET TO DEFAULT', "-c csm.user_id=$victim", $load, 'BEGIN', 'SET csm.user_id TO DEFAULT', $probe);
	$trusted->('procedure that commits', undef, $load, "CALL shop.carry('$victim')", $probe);
	is(attempt('portal_app', undef, $parallel, $load, $set, $in_workers), $nobody,
		"V14 $mode: a worker does not believe a SET of an earlier transaction");
	is(attempt('portal_app', undef, $parallel, $set, $in_workers), $nobody,
		"V14 $mode: a worker does not believe a SET from before the library");
	is(attempt('portal_app', undef, $load, "BEGIN; SELECT shop.as_victim(); $probe") =~ s/^.*\n//r, $nobody,
		"V14 $mode: after a function with a SET clause the caller is who he was");

	# ALTER ROLE and ALTER DATABASE, by whoever may.
	is(attempt('portal_app', undef, "ALTER ROLE portal_app SET csm.user_id = '$victim'", "\\c", $probe, $probe), $nobody,
		"V14 $mode: ALTER ROLE by the trusted role itself leaves nobody");
	is(attempt('portal_app', undef, "BEGIN; $probe"), $nobody, "V14 $mode: nobody in its first transaction either");
	is(attempt('portal_app', undef, $load, 'BEGIN', 'RESET csm.user_id', $probe), $nobody, "V14 $mode: RESET to what ALTER ROLE gave leaves nobody");
	is(attempt('portal_app', undef, $load, 'BEGIN', "SET LOCAL csm.user_id = '$student'", $probe), "$student:1",
		"V14 $mode: allow: SET LOCAL over ALTER ROLE");
	$node->safe_psql('postgres', 'ALTER ROLE portal_app RESET csm.user_id');
	$node->safe_psql('postgres', "ALTER ROLE $_ SET csm.user_id = '$victim'") for 'plain', 'student_login';
	is(attempt('plain', undef, $probe), $nobody, "V14 $mode: ALTER ROLE by a superuser leaves nobody");
	is(attempt('student_login', undef, $probe), $nobody, "V14 $mode: ALTER ROLE by a superuser makes no mapped login another");
	$node->safe_psql('postgres', "ALTER ROLE $_ RESET csm.user_id") for 'plain', 'student_login';
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET csm.user_id = '$victim'");
	is(attempt('plain', undef, $probe), $nobody, "V14 $mode: ALTER DATABASE by a superuser leaves nobody");
	is(attempt('portal_app', undef, $parallel, $load, $in_workers), $nobody, "V14 $mode: nor in a worker");
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET csm.user_id');
	return;
}

routes('not preloaded');

# The only thing that preloading changes: the first transaction counts.
is(attempt('portal_app', undef, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", $probe), $nobody,
	'V14 not preloaded: what was said before the library came counts for nobody');

$node->append_conf('postgresql.conf', "session_preload_libraries = 'csm'");
$node->reload;
routes('session preload');
is(attempt('portal_app', undef, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", $probe), "$victim:$victim_sees",
	'V14 session preload: allow: the first transaction');

$node->append_conf('postgresql.conf', "session_preload_libraries = ''\nshared_preload_libraries = 'csm'");
$node->restart;
routes('shared preload');
is(attempt('portal_app', undef, 'BEGIN', "SET LOCAL csm.user_id = '$victim'", $probe), "$victim:$victim_sees",
	'V14 shared preload: allow: the first transaction');

# Values that are no id.
foreach my $bad ('x', '-1', '1.0', '1 ', '99999999999999999999', '1@', '1@1')
{
	is(attempt('portal_app', undef, "SET csm.user_id = '$bad'"), 'ERROR 22023', "csm.user_id refuses \"$bad\"");
}
is(attempt('portal_app', undef, 'BEGIN', "SET csm.user_id = '$_'", $probe), $nobody, "V14 user \"$_\" is nobody")
  for '', '0', '900000000000000000', '1000000';
is(attempt('plain', undef, "SET csm.persona = '$_'"), 'ERROR 22023', "csm.persona refuses \"$_\"")
  for 'contact:', 'contact:x', 'staff:', 'staff:Agent', 'king';

$node->stop;
done_testing();
