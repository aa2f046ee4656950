# README, "Setting up a portal": its commands, as they stand there. Only names of
# hosts, the token and the folder of the pooler are put in.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my ($section) = slurp_file('README.md') =~ /^### Setting up a portal\n(.*?)^### /ms;
my @block = $section =~ /^```(\w+)\n(.*?)^```$/msg;
my @kinds = @block[ grep { $_ % 2 == 0 } 0 .. $#block ];
my ($once, $provider, $keys, $request, $ini, $start, $by_session, $trust, $by_backend) = @block[ grep { $_ % 2 } 0 .. $#block ];
is("@kinds", 'sql sql sh sql ini sql sql sql sql', 'README: nine pieces');

my $node = new_node('setup');
$node->start;
my %token = map { chomp; split /\t/, $_, 2 } `perl test/lib/tokens.pl`;
sub fitted { return $_[0] =~ s{https://login\.company\.example}{https://idp.example}gr =~ s/portal-client-id/portal/gr }
# Statements one by one, with the bind parameter.
sub request
{
	my ($session, $text, $parameter) = @_;
	my @statements = map { s/\$1\b/'$parameter'/r } grep { /\S/ } split /;[^\n]*\n/, $text;
	return $session->ask(join '; ', @statements);
}

$node->safe_psql('postgres', 'SET client_min_messages = error; CREATE EXTENSION csm CASCADE');
$node->safe_psql('postgres', $once);
is($node->safe_psql('postgres', 'SELECT user_id, tenant_key FROM csm.whoami()', extra_params => [ '-U', 'alice' ]), '1|acme', 'README: alice is user 1');

# With a provider.
is($node->safe_psql('postgres', fitted($provider), extra_params => [ '-U', 'alice' ]), '1', 'README: the provider');
my $bin = PostgreSQL::Test::Utils::tempdir();
append_to_file("$bin/curl", "#!/bin/sh\ncat '$bin/jwks'\n");
append_to_file("$bin/jwks", $token{'@jwks'});
chmod 0755, "$bin/curl";
append_to_file("$bin/keys.sh", fitted($keys));
{
	local $ENV{PATH} = "$bin:$ENV{PATH}";
	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, 'alice', 'postgres');
	my $said;
	ok(IPC::Run::run([ 'sh', "$bin/keys.sh" ], '<', \undef, '>', \$said, '2>&1'), 'README: the keys') or diag($said);
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM csm.identity_provider_keys'), '4', 'README: which are there');
my $portal = session($node, user => 'portal');
like(request($portal, $request, $token{RS256}), qr/^signed_in\|\d+$/, 'README: somebody signs in, who has no case yet');
is(request($portal, $request, $token{forged}), 'refused|', 'README: a forged token');
my $person = $node->safe_psql('postgres', q{SELECT user_id FROM csm.external_identities WHERE subject = 'alice'});
is($node->safe_psql('postgres', "SELECT count(*) FROM csm.employees WHERE user_id = $person"), '1', 'README: he is an employee');
my $number = $portal->ask(qq{BEGIN; SELECT user_id FROM csm.sign_in('$token{RS256}'); SELECT number FROM csm.open_case('Screen is dark'); COMMIT}) =~ s/^\d+\n//r;
is(request($portal, $request, $token{RS256}), "signed_in|$person\n$number|Screen is dark", 'README: and sees his case');
is($portal->ask('SELECT count(*) FROM csm.cases'), '0', 'README: for the transaction');
$portal->quit;

# With a trusted backend.
$node->safe_psql('postgres', $trust);
my $backend = session($node, user => 'backend');
is(request($backend, $by_backend =~ s/'42'/'$person'/r), "$number|Screen is dark", 'README: the backend is believed');
is($backend->ask('SELECT count(*) FROM csm.cases'), '0', 'README: for the transaction only');
is(request($backend, $by_backend), '', 'README: who does not exist sees nothing');
$backend->quit;

# With pgbouncer.
SKIP:
{
	my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
	skip 'pgbouncer is not installed', 5 unless $pgbouncer;
	my $folder = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $host = $node->host;
	my $own = $node->port;
	$ini =~ s{host=127\.0\.0\.1 port=5432 dbname=crm}{host=$host port=$own dbname=postgres};
	$ini =~ s{/etc/pgbouncer/|/run/pgbouncer}{$folder/}g;
	$ini =~ s/scram-sha-256/trust/;
	append_to_file("$folder/ini", $ini . "default_pool_size = 1\nlisten_port = $port\nlogfile = $folder/log\npidfile = $folder/pid\n");
	append_to_file("$folder/userlist.txt", qq{"portal" ""\n});
	my $bouncer = IPC::Run::start([ $pgbouncer, '-q', "$folder/ini" ], '<', \undef, '>', "$folder/out", '2>&1');
	my $tries = 100;
	select undef, undef, undef, 0.1 until -S "$folder/.s.PGSQL.$port" || $tries-- == 0;
	my ($one, $two) = map { session($node, connstr => "host=$folder port=$port dbname=crm", user => 'portal') } 1 .. 2;
	is($one->ask('SELECT pg_backend_pid()'), $two->ask('SELECT pg_backend_pid()'), 'README: two clients of pgbouncer share a connection');
	my ($cookie) = request($one, $start, $token{RS256}) =~ /^signed_in\|$person\n(\S+)$/;
	like($cookie // '', qr/^[\w-]{43}$/, 'README: the token for the cookie');
	is(request($two, $by_session, $cookie), "signed_in\n$number|Screen is dark", 'README: signs in from any client');
	is($one->ask('SELECT count(*) FROM csm.cases'), '0', 'README: and leaves nobody behind');
	is(request($two, $by_session, 'A' x 43), 'refused', 'README: another does not');
	$_->quit for $one, $two;
	$bouncer->signal('TERM');
	$bouncer->finish;
}
$node->stop;
done_testing();
