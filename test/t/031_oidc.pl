# A real OpenID Connect provider (npm oidc-provider, on loopback) signs persons
# in, end to end. Skipped only where the npm registry cannot be reached.

use strict;
use warnings;

use File::Copy qw(copy);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $folder = PostgreSQL::Test::Utils::tempdir();
copy("test/npm/oidc/$_", $folder) or die "cannot copy $_: $!" foreach qw(package.json package-lock.json sign_in.mjs);
$ENV{HOME} = $folder;
$ENV{npm_config_cache} = "$folder/cache";
if (system("cd $folder && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1") != 0)
{
	plan skip_all => 'the npm registry cannot be reached' if system('npm ping >/dev/null 2>&1') != 0;
	die 'npm ci failed: ' . slurp_file("$folder/npm.log");
}

my $node = new_node('oidc');
$node->start;
small_world($node);
$node->safe_psql('postgres', q{
	ALTER DATABASE postgres SET csm.tenant = 'small';
	CREATE ROLE visitor LOGIN IN ROLE csm_guest, csm_portal});
my $known = person($node, 'north contact');

# The flow in a browser's place: the provider's answer, and the ID tokens.
sub flow
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'node', "$folder/sign_in.mjs", @arguments ], '>', \$out, '2>', \$err) or die "node: $err";
	# it talks before
	return decode_json((split /\n/, $out)[-1]);
}

foreach my $algorithm (qw(RS256 PS256 ES256))
{
	my $got = flow($algorithm, "nonce-$algorithm", 'north.contact', 'newcomer');
	my $keys = encode_json($got->{jwks});
	my $visitor = session($node, user => 'visitor');
	my $try = sub {
		my ($login, $nonce) = @_;
		return $visitor->ask("BEGIN; SELECT status FROM csm.sign_in('$got->{tokens}{$login}', true, '$nonce'); "
			  . q{SELECT coalesce(min(display_name), 'nobody') FROM csm.users WHERE id = csm.current_user_id(); COMMIT});
	};

	is($try->('newcomer', "nonce-$algorithm"), "refused\nnobody", "A35 $algorithm: a provider that nobody added signs nobody in");
	$node->safe_psql('postgres', qq{
		DELETE FROM csm.users WHERE email = 'newcomer\@small.example';
		INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience, require_nonce, link_by, create_as)
		VALUES (small.tenant(), '$algorithm', '$got->{issuer}', 'csm-portal', true, 'email', 'person');
		SELECT csm.set_provider_keys(max(id), '$keys') FROM csm.identity_providers});
	is($try->('newcomer', "nonce-$algorithm"), "signed_in\nnewcomer of the provider", "A35 $algorithm: a newcomer becomes a person");
	is($try->('north.contact', "nonce-$algorithm"), "signed_in\nnorth contact", "A35 $algorithm: a known person is linked by the verified address");
	is($try->('north.contact', 'another'), "refused\nnobody", "A35 $algorithm: not with the nonce of another request");
	is($visitor->ask("BEGIN; SELECT status FROM csm.sign_in('$got->{tokens}{'north.contact'}', true, 'nonce-$algorithm'); "
		  . 'SET LOCAL ROLE csm_portal; SELECT count(*) > 0 FROM csm.cases; COMMIT'), "signed_in\nt", "A35 $algorithm: and sees his cases");
	$visitor->quit;
}

done_testing();
