# Signing in, erasing, counting licences; called by people.sh, which made the databases.
#
# Signing in: processor time in the server's process for reading and verifying a token against OpenSSL's verification
# alone (token.c), rounds taking turns; and what a client waits for csm.sign_in(), less a statement that does nothing
# (pgbench, prepared, one connection). Figures are medians over rounds, ratios medians of the rounds' ratios.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64 qw(decode_base64url);

my ($psql, $pgbench, $host, $port, $lib, $scratch) = @ENV{qw(BENCH_PSQL BENCH_PGBENCH BENCH_SOCKET BENCH_PORT BENCH_LIB BENCH_SCRATCH)};
my $rounds = $ENV{ROUNDS} || 9;
my $tries = $ENV{TRIES} || 5000;
my $acts = $ENV{ACTS} || 5_000_000;
my $cases = $ENV{CASES} || 10_000;
my @rows;

sub ask
{
	my ($database, $sql) = @_;
	open my $out, '-|', $psql, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $host, '-p', $port, '-U', 'postgres', '-d', $database, '-c', $sql or die $!;
	local $/;
	my $answer = <$out> // '';
	close $out or die "failed: $sql\n";
	$answer =~ s/\n\z//;
	return $answer;
}

# Seconds that a statement takes by psql's clock, and its answer.
sub timed
{
	my ($database, $sql) = @_;
	my $answer = qx($psql -XAtq -v ON_ERROR_STOP=1 -h $host -p $port -U postgres -d $database -c '\\timing on' -c "$sql");
	die "failed: $sql\n" if $? || $answer !~ s/\n?Time: ([\d.]+) ms.*//s;
	return ($1 / 1000, $answer);
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return @sorted % 2 ? $sorted[$#sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

# Mean latency of the statement, in microseconds, less that of one that does nothing.
sub latency
{
	my ($statement) = @_;
	my $file = "$scratch/statement.sql";
	die "not signed in\n" unless ask('people', "SET ROLE visitor; $statement") eq 'signed_in';
	open my $script, '>', $file or die $!;
	print $script "BEGIN;\nSELECT 1 AS nothing;\n$statement;\nCOMMIT;\n";
	close $script;
	my $out = qx($pgbench -n -M prepared -r -t $tries -h $host -p $port -U visitor -f $file people 2>&1);
	die "pgbench: $out" if $? || $out !~ /number of failed transactions: 0 /;
	my @milliseconds = $out =~ /^ +([\d.]+) +\d+ +\S/mg;
	die "pgbench: $out" if @milliseconds != 4;
	return 1000 * ($milliseconds[2] - $milliseconds[1]);
}

sub row { my ($what, $measured, $wanted) = @_; push @rows, "| $what | $measured | " . ($wanted // '') . ' |'; print STDERR "$what: $measured\n"; }
sub verdict { my ($value, $limit, $text) = @_; return $value <= $limit ? $text : "$text, **missed**"; }

# Keys and tokens by Debian's jose, as in the tests.
my %token = map { chomp; split /\t/, $_, 2 } `perl test/lib/tokens.pl`;
my %key = map { $_->{kid} => $_ } @{ decode_json($token{'@jwks'})->{keys} };
my %spki = (
	RS256 => '30820122300d06092a864886f70d01010105000382010f003082010a0282010100' . unpack('H*', decode_base64url($key{rsa}{n})) . '0203010001',
	ES256 => '3059301306072a8648ce3d020106082a8648ce3d030107034200' . '04' . unpack('H*', decode_base64url($key{ec}{x}) . decode_base64url($key{ec}{y})));
my %jwk = (RS256 => encode_json($key{rsa}), ES256 => encode_json($key{ec}));

ask('people', qq{
	CREATE SCHEMA bench;
	CREATE FUNCTION bench.csm(text, text, text, text, integer) RETURNS double precision AS '$lib', 'bench_csm' LANGUAGE c;
	CREATE FUNCTION bench.openssl(text, bytea, bytea, integer) RETURNS double precision AS '$lib', 'bench_openssl' LANGUAGE c;
	SELECT csm.create_tenant('bench', 'Bench', 'admin\@bench.example');
	INSERT INTO csm.users (display_name, email) SELECT 'Person ' || i, 'p' || i || '\@bench.example' FROM generate_series(1, 100000) i;
	INSERT INTO csm.identity_providers (name, issuer, audience) VALUES ('Provider', 'https://idp.example', 'portal');
	INSERT INTO csm.external_identities (provider_id, subject, user_id)
	SELECT p.id, CASE u.id WHEN 77 THEN 'alice' ELSE 's' || u.id END, u.id FROM csm.identity_providers p, csm.users u;
	SELECT csm.set_provider_keys(min(id), '$token{'@jwks'}') FROM csm.identity_providers;
	CREATE ROLE visitor LOGIN IN ROLE csm_guest, csm_portal});
my $session = ask('people', q{BEGIN; SET LOCAL csm.user_id = '77'; SET LOCAL ROLE csm_portal; SELECT csm.start_session('bench'); COMMIT});
ask('people', 'VACUUM ANALYZE');

foreach my $algorithm (qw(RS256 ES256))
{
	my $compact = $token{$algorithm};
	my ($signed, $signature) = $compact =~ /^(.*)\.(.*)$/;
	my $hex = unpack('H*', decode_base64url($signature));
	my (@csm, @bare, @ratio, @wait);

	# one connection, so that both find the caches of the processor in the same state
	foreach my $pair (split /\n/, ask('people', qq{SELECT bench.csm('$compact', '$jwk{$algorithm}', 'https://idp.example', 'portal', 1000) || ' '
		|| bench.openssl('$signed', '\\x$hex', '\\x$spki{$algorithm}', 1000) FROM generate_series(0, $rounds)}))
	{
		my ($ours, $theirs) = split / /, $pair;
		push @csm, $ours;
		push @bare, $theirs;
		push @ratio, $ours / $theirs;
	}
	# the first round fetches algorithms and imports the key
	shift @$_ foreach \@csm, \@bare, \@ratio;
	push @wait, latency("SELECT status FROM csm.sign_in('$compact')") for 1 .. $rounds;
	row("`sign_in`, $algorithm, reading and verifying", sprintf('%.1f µs, %.0f a second and core', median(@csm), 1e6 / median(@csm)));
	row("the same ÷ OpenSSL's verification alone (" . sprintf('%.1f µs)', median(@bare)), verdict(median(@ratio), 1.2, sprintf('%.2f', median(@ratio))), '1.2');
	row("`sign_in`, $algorithm, look-ups and all", sprintf('%.0f µs, %.0f a second and core', median(@wait), 1e6 / median(@wait)));
}
my @wait = map { latency("SELECT status FROM csm.sign_in('$session')") } 1 .. $rounds;
row('`sign_in` with the token of a session', verdict(median(@wait), 60, sprintf('%.0f µs', median(@wait))), '60 µs');

my ($seconds, $erased) = timed('erasure', q{SELECT erased FROM csm.erase_person(500, 'bench')});
my $intact = ask('erasure', 'SELECT intact FROM csm.verify_history()');
die "the history does not verify\n" unless $intact eq 't';
row("`erase_person` of one with $cases cases, an entry on each", sprintf('%.2f s', $seconds));
print STDERR "$erased\n";

foreach my $policy (qw(related_free counterparty_counts everybody))
{
	my ($counted, @took);
	foreach (1 .. 3)
	{
		($seconds, $counted) = timed('licence', "SELECT count(*) FROM csm.licence_usage('[2025-01-01,2026-01-02)', '$policy')");
		push @took, $seconds;
	}
	row("`licence_usage`, $acts acts, `$policy` ($counted counted)", verdict(median(@took), 2, sprintf('%.2f s', median(@took))), '2 s');
}

open my $out, '>', $ENV{BENCH_RESULTS} or die $!;
my ($cpu) = map { /: (.*)/ } grep { /^model name/ } do { open my $f, '<', '/proc/cpuinfo' or die $!; <$f> };
print $out "# People: signing in, erasing, licences\n\n", ask('people', 'SELECT version()') =~ s/ on .*//r, ', ', $cpu // 'unknown processor',
  ", $rounds rounds of $tries sign-ins; by `test/bench/people.sh`.\n\n| | measured | wanted |\n|---|--:|--:|\n", map { "$_\n" } @rows;
close $out;
