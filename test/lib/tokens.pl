#!/usr/bin/perl
# Signed tokens for tests, made by Debian's jose, which shares no code with csm: good ones, and every attack that is known.
#
#   tokens.pl            prints name and token a line, for \copy; names with a leading @ are key sets and keys
#
# All claim issuer https://idp.example and audience portal unless the name says otherwise.
use strict;
use warnings;

use File::Temp;
use IPC::Open2;
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);

my $json = JSON::PP->new->canonical->allow_nonref;
my $dir = File::Temp->newdir;
my $now = time;
my %keys;
my @lines;

sub run
{
	my ($input, @command) = @_;
	my $pid = open2(my $out, my $in, @command);
	print $in $input;
	close $in;
	my $answer = do { local $/; <$out> };
	waitpid $pid, 0;
	die "@command failed\n" if $? != 0;
	return $answer;
}

sub key
{
	my ($name, %template) = @_;
	my $made = $json->decode(run($json->encode(\%template), qw(jose jwk gen -i -)));
	$keys{$name} = $made;
	return $made;
}

sub public
{
	my ($key) = @_;
	my %members = %$key;
	delete @members{qw(d p q dp dq qi k key_ops)};
	return \%members;
}

sub claims
{
	my (%more) = @_;
	my %all = (iss => 'https://idp.example', aud => 'portal', sub => 'alice', iat => $now, exp => $now + 600,
		email => 'alice@idp.example', email_verified => JSON::PP::true, name => 'Alice of the provider', %more);
	delete $all{$_} foreach grep { !defined $all{$_} } keys %all;
	return \%all;
}

sub compact
{
	my ($key, $header, $claims) = @_;
	my $payload = ref $claims ? $json->encode($claims) : $claims;
	my %signing = %$key;
	delete @signing{qw(alg kid use)};
	my $file = "$dir/key";
	open my $fh, '>', $file or die;
	print $fh $json->encode(\%signing);
	close $fh;
	my $input = "$dir/payload";
	open $fh, '>', $input or die;
	binmode $fh;
	print $fh $payload;
	close $fh;
	return run('', qw(jose jws sig -c -I), $input, '-k', $file, '-s', $json->encode({ protected => $header }));
}

# A signature is put under what jose would refuse to sign.
sub by_hand
{
	my ($header, $claims, $signature) = @_;
	return join '.', map { encode_base64url(ref $_ ? $json->encode($_) : $_) } $header, $claims, $signature;
}

sub give
{
	my ($name, $value) = @_;
	push @lines, "$name\t$value";
	return $value;
}

my $rsa = key('rsa', kty => 'RSA', bits => 2048);
my $ec = key('ec', kty => 'EC', crv => 'P-256');
my $ec384 = key('ec384', kty => 'EC', crv => 'P-384');
my $ec521 = key('ec521', kty => 'EC', crv => 'P-521');
my $thief = key('thief', kty => 'RSA', bits => 2048);
my %set = (rsa => $rsa, ec => $ec, ec384 => $ec384, ec521 => $ec521);
my @public = map { { %{ public($set{$_}) }, kid => $_, use => 'sig' } } sort keys %set;
give('@jwks', $json->encode({ keys => \@public }));
give('@rotated', $json->encode({ keys => [ { %{ public($thief) }, kid => 'new' }, @public[0, 1] ] }));
give('@rsa only', $json->encode({ keys => [ { %{ public($rsa) }, kid => 'rsa', alg => 'RS256' } ] }));
give('@private', $json->encode({ keys => [ { %$rsa, kid => 'rsa' } ] }));
give('@short', $json->encode({ keys => [ { kty => 'RSA', e => 'AQAB', n => encode_base64url(substr(decode_base64url($rsa->{n}), 0, 128)), kid => 'short' } ] }));
give('@encryption', $json->encode({ keys => [ { %{ public($rsa) }, kid => 'rsa', use => 'enc' }, { %{ public($ec) }, kid => 'ec' },
			{ kty => 'OKP', crv => 'Ed25519', x => '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid => 'ed' } ] }));
give('@off the curve', $json->encode({ keys => [ { %{ public($ec) }, x => encode_base64url("\1" x 32), kid => 'ec' } ] }));

# Good ones.
sub rs256 { return compact($rsa, { alg => 'RS256', kid => 'rsa' }, claims(@_)) }
give('RS256', rs256());
give('RS384', compact($rsa, { alg => 'RS384', kid => 'rsa' }, claims()));
give('PS256', compact($rsa, { alg => 'PS256', kid => 'rsa' }, claims()));
give('ES256', compact($ec, { alg => 'ES256', kid => 'ec', typ => 'JWT' }, claims()));
give('ES384', compact($ec384, { alg => 'ES384', kid => 'ec384' }, claims()));
give('ES512', compact($ec521, { alg => 'ES512', kid => 'ec521' }, claims()));
give('no kid ES256', compact($ec, { alg => 'ES256' }, claims()));
give('bob', rs256(sub => 'bob', email => 'bob@idp.example', name => 'Bob'));
give('bob elsewhere', rs256(aud => 'elsewhere'));
give('several audiences', rs256(aud => [ 'other', 'portal' ], azp => 'portal'));
give('nonce', rs256(nonce => 'n-0S6_WzA2Mj'));
give('fraction', rs256(exp => $now + 600.5, iat => $now - 0.25));
give('jti 1', rs256(jti => 'one'));
give('jti 2', rs256(jti => 'two'));
give('within skew', rs256(exp => $now - 20, iat => $now - 600, nbf => $now - 600));
give('by thief', compact($thief, { alg => 'RS256', kid => 'new' }, claims()));
give('long lived', rs256(exp => 253402300799));

# Claims that do not fit.
give('wrong issuer', rs256(iss => 'https://evil.example'));
give('issuer with slash', rs256(iss => 'https://idp.example/'));
give('no issuer', rs256(iss => undef));
give('issuer of two', rs256(iss => [ 'https://idp.example' ]));
give('wrong audience', rs256(aud => 'other'));
give('no audience', rs256(aud => undef));
give('audience of numbers', rs256(aud => [ 1, 'portal' ], azp => 'portal'));
give('no authorized party', rs256(aud => [ 'other', 'portal' ]));
give('other authorized party', rs256(azp => 'other'));
give('expired', rs256(exp => $now - 3600, iat => $now - 7200));
give('no exp', rs256(exp => undef));
give('exp as text', rs256(exp => '' . ($now + 600)));
give('exp negative', rs256(exp => -1));
give('exp beyond time', compact($rsa, { alg => 'RS256', kid => 'rsa' }, $json->encode(claims()) =~ s/"exp":\d+/"exp":1e300/r));
give('exp beyond number', compact($rsa, { alg => 'RS256', kid => 'rsa' }, $json->encode(claims()) =~ s/"exp":\d+/"exp":1e400/r));
give('no iat', rs256(iat => undef));
give('issued tomorrow', rs256(iat => $now + 86400, exp => $now + 90000));
give('not yet valid', rs256(nbf => $now + 86400, exp => $now + 90000));
give('nbf as text', rs256(nbf => 'now'));
give('no subject', rs256(sub => undef));
give('empty subject', rs256(sub => ''));
give('subject as number', rs256(sub => 7));
give('long subject', rs256(sub => 'x' x 401));
give('other nonce', rs256(nonce => 'other'));
give('no jti', rs256());

# Signatures that do not hold.
give('forged', compact($thief, { alg => 'RS256', kid => 'rsa' }, claims()));
give('forged ES256', compact(key('thief ec', kty => 'EC', crv => 'P-256'), { alg => 'ES256', kid => 'ec' }, claims()));
give('unknown kid', compact($thief, { alg => 'RS256', kid => 'thief' }, claims()));
give('own jwk', compact($thief, { alg => 'RS256', jwk => public($thief) }, claims()));
give('own jwk and kid', compact($thief, { alg => 'RS256', kid => 'rsa', jwk => public($thief) }, claims()));
give('own jku', compact($thief, { alg => 'RS256', kid => 'rsa', jku => 'https://evil.example/jwks' }, claims()));
give('own x5u', compact($thief, { alg => 'RS256', kid => 'rsa', x5u => 'https://evil.example/x5' }, claims()));
give('kid injection', compact($thief, { alg => 'RS256', kid => "x' OR '1'='1" }, claims()));
my ($h, $p, $s) = split /\./, rs256();
give('payload exchanged', join('.', $h, encode_base64url($json->encode(claims(sub => 'root'))), $s));
give('header exchanged', join('.', encode_base64url($json->encode({ alg => 'RS256', kid => 'rsa', typ => 'JWT' })), $p, $s));
give('algorithm exchanged', join('.', encode_base64url($json->encode({ alg => 'PS256', kid => 'rsa' })), $p, $s));
give('signature cut', join('.', $h, $p, substr($s, 0, 200)));
give('signature changed', join('.', $h, $p, ($s =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/er)));
give('key of another type', compact($ec, { alg => 'ES256', kid => 'rsa' }, claims()));
my ($eh, $ep) = split /\./, compact($ec, { alg => 'ES256', kid => 'ec' }, claims());
give('ES256 all zero', join('.', $eh, $ep, encode_base64url("\0" x 64)));
give('ES256 too short', join('.', $eh, $ep, encode_base64url("\1" x 8)));
give('ES256 too long', join('.', $eh, $ep, encode_base64url("\1" x 640)));

# Algorithms that are not allowed. HS256 keyed with what everybody knows of the public key.
foreach my $none (qw(none None NONE nOnE))
{
	give("alg $none", by_hand({ alg => $none, kid => 'rsa' }, claims(), 'x'));
	give("alg $none without signature", by_hand({ alg => $none, kid => 'rsa' }, claims(), '') );
}
give('alg missing', by_hand({ kid => 'rsa' }, claims(), decode_base64url($s)));
give('alg of two', by_hand({ alg => ['RS256'], kid => 'rsa' }, claims(), decode_base64url($s)));
my $der = decode_base64url($rsa->{n});
my $pem = do {
	# SubjectPublicKeyInfo of a 2048-bit key, as a provider's PEM file has it
	my $spki = pack('H*', '30820122300d06092a864886f70d01010105000382010f003082010a0282010100') . $der . pack('H*', '0203010001');
	"-----BEGIN PUBLIC KEY-----\n" . (encode_base64url($spki) =~ tr{-_}{+/}r =~ s/(.{64})/$1\n/gr) . "\n-----END PUBLIC KEY-----\n";
};
foreach my $secret ([ 'PEM', $pem ], [ 'PEM without end', $pem =~ s/\n\z//r ], [ 'modulus', $der ], [ 'JWK', $json->encode({ %{ public($rsa) } }) ])
{
	give("HS256 with $secret->[0]", compact({ kty => 'oct', k => encode_base64url($secret->[1]) }, { alg => 'HS256', kid => 'rsa' }, claims()));
}
give('crit', compact($rsa, { alg => 'RS256', kid => 'rsa', crit => ['exp'], exp => $now }, claims()));
give('crit b64', by_hand({ alg => 'RS256', kid => 'rsa', crit => ['b64'], b64 => JSON::PP::false }, claims(), decode_base64url($s)));
give('crit empty', compact($rsa, { alg => 'RS256', kid => 'rsa', crit => [] }, claims()));
give('crit null', compact($rsa, { alg => 'RS256', kid => 'rsa', crit => undef }, claims()));

# What is no token.
give('JWE', join '.', ($h) x 5);
give('two parts', "$h.$p");
give('four parts', "$h.$p.$s.$s");
give('empty parts', '..');
give('empty payload', "$h..$s");
give('padding', "$h.$p.$s==");
give('blank', "$h .$p.$s");
give('base64 not for URLs', join('.', $h, $p, '+/' . substr($s, 2)));
give('word', 'password');
give('JSON serialization', $json->encode({ payload => $p, protected => $h, signature => $s }));
sub signed_text { return compact($rsa, { alg => 'RS256', kid => 'rsa' }, $_[0]) }
give('payload no JSON', signed_text('hello'));
give('payload array', signed_text('[1]'));
give('payload empty object', signed_text('{}'));
give('payload with NUL', signed_text($json->encode(claims()) =~ s/"Alice/"\\u0000Alice/r));
give('payload no UTF-8', signed_text($json->encode(claims()) =~ s/"Alice/"\xff\xfe/r));
give('payload trailing', signed_text($json->encode(claims()) . ' x'));
give('claim twice', signed_text($json->encode(claims()) =~ s/\{/{"sub":"root",/r));
give('payload deep', signed_text('{"a":' . ('[' x 5000) . (']' x 5000) . '}'));
give('header no JSON', join('.', encode_base64url('hello'), $p, $s));
give('header array', join('.', encode_base64url('[]'), $p, $s));
give('huge', rs256(padding => 'x' x 20000));
give('just within the limit', rs256(padding => 'x' x 11000));
give('surrogates', signed_text($json->encode(claims()) =~ s/"Alice/"\\ud800Alice/r));

# Claims that reach csm.users.
give('umlaut', rs256(sub => 'zoe', name => "Zo\x{c3}\x{ab} \x{e6}\x{97}\x{a5}", email => 'zoe@idp.example', locale => 'fr_FR', zoneinfo => 'Europe/Paris'));
give('ugly claims', rs256(sub => 'ugly', name => 'x' x 1000, email => "a\@b.example\nBcc: all\@b.example", locale => '../../etc', phone_number => 'x' x 500));
give('claims of wrong types', rs256(sub => 'types', name => { a => 1 }, email => [1], locale => 7));
give('email not verified', rs256(sub => 'unverified', email => 'north.contact@small.example', email_verified => JSON::PP::false));
give('email unknown whether verified', rs256(sub => 'unverified', email => 'north.contact@small.example', email_verified => undef));
give('email verified', rs256(sub => 'verified', email => 'North.Contact@small.example'));
give('email of a colleague', rs256(sub => 'second', email => 'north.contact@small.example'));
give('external id', rs256(sub => 'directory', email => undef, employee => 'E-77'));

# RFC 7515, A.2 and A.3 with their keys; RFC 7519, 3.1 and 6.1.
give('@RFC 7515 keys', $json->encode({ keys => [
	{ kty => 'RSA', e => 'AQAB', n => 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ' },
	{ kty => 'EC', kid => 'A.3', crv => 'P-256', x => 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y => 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' } ] }));
my $rfc_payload = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
my $a2 = 'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw';
my $a3 = 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q';
give('RFC 7515 A.2', "eyJhbGciOiJSUzI1NiJ9.$rfc_payload.$a2");
give('RFC 7515 A.2 changed', "eyJhbGciOiJSUzI1NiJ9.$rfc_payload." . reverse($a2));
give('RFC 7515 A.3', "eyJhbGciOiJFUzI1NiJ9.$rfc_payload.$a3");
give('RFC 7515 A.3 changed', "eyJhbGciOiJFUzI1NiJ9.$rfc_payload." . reverse($a3));
give('RFC 7519 3.1', "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.$rfc_payload.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
give('RFC 7519 6.1', "eyJhbGciOiJub25lIn0.$rfc_payload.");

print "$_\n" foreach @lines;
