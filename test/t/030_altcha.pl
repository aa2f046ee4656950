# The ALTCHA library from npm solves our challenge, and the solution is accepted,
# once. Skipped only where the npm registry cannot be reached.

use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $folder = PostgreSQL::Test::Utils::tempdir();
copy("test/npm/altcha/$_", $folder) or die "cannot copy $_: $!" foreach qw(package.json package-lock.json solve.mjs);
$ENV{HOME} = $folder;
$ENV{npm_config_cache} = "$folder/cache";
if (system("cd $folder && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1") != 0)
{
	plan skip_all => 'the npm registry cannot be reached' if system('npm ping >/dev/null 2>&1') != 0;
	die 'npm ci failed: ' . slurp_file("$folder/npm.log");
}

my $node = new_node('altcha');
$node->start;
$node->safe_psql('postgres', q{
	SET client_min_messages = error;
	CREATE EXTENSION csm CASCADE;
	SELECT csm.create_tenant('small', 'Small', 'admin@small.example');
	CREATE ROLE visitor LOGIN IN ROLE csm_guest});

sub as_visitor
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'visitor' ]);
}

sub challenge
{
	return as_visitor('SELECT csm.captcha_challenge()');
}

sub solve
{
	my ($challenge, $widget) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'node', "$folder/solve.mjs", $widget ], '<', \$challenge, '>', \$out, '2>', \$err) or die "node: $err";
	chomp $out;
	return $out;
}

sub register
{
	my ($email, $payload) = @_;
	return as_visitor("SELECT status FROM csm.register_consumer('$email', 'Some Body', '$payload')");
}

foreach my $widget (1, 3)
{
	my $solution = solve(challenge(), $widget);

	is(register("first$widget\@new.example", $solution), 'accepted', "A18 captcha: solved by the library as widget $widget does");
	is(register("second$widget\@new.example", $solution), 'refused', "A18 captcha: not twice, widget $widget");
}

# A solution of somebody else's challenge, and one that came too late.
my $altered = challenge();
$altered =~ s/"signature":"\K(.)/$1 eq '0' ? '1' : '0'/e;
is(register('third@new.example', solve($altered, 1)), 'refused', 'A18 captcha: solved, but not signed by us');
my $late = $node->safe_psql('postgres', q{SELECT csm_private.altcha_challenge(csm_private.captcha_key(t.id), 1000, clock_timestamp() - interval '1 second') FROM csm.tenants t});
is(register('third@new.example', solve($late, 1)), 'refused', 'A18 captcha: solved too late');
is(register('third@new.example', solve(challenge(), 1)), 'accepted', 'A18 captcha: allow: ours, in time');
is($node->safe_psql('postgres', q{SELECT string_agg(email, ' ' ORDER BY id) FROM csm.registrations}),
	'first1@new.example first3@new.example third@new.example', 'A18 captcha: a refusal leaves nothing');
$node->stop;
done_testing();
