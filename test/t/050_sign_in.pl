# Signing in as seen from connections: how long an identity lasts, what it
# survives, what stands in the log, what a crash and a standby do to it.

use strict;
use warnings;

use Test::More;
use CsmTest;

my $node = new_node('sign_in', streaming => 1, lines => [ "session_preload_libraries = 'csm'", 'log_statement = all', 'log_min_duration_statement = 0' ]);
$node->start;
small_world($node);
my %token = map { chomp; split /\t/, $_, 2 } `perl test/lib/tokens.pl`;
cmp_ok(scalar keys %token, '>', 100, 'jose made the tokens');
$node->safe_psql('postgres', qq{
	INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience, link_by)
	VALUES (small.tenant(), 'Provider', 'https://idp.example', 'portal', 'email');
	SELECT csm.set_provider_keys(min(id), '$token{'@jwks'}') FROM csm.identity_providers;
	ALTER DATABASE postgres SET csm.tenant = 'small';
	CREATE ROLE visitor LOGIN IN ROLE csm_guest, csm_portal;
	SELECT csm_private.set_password(small.tenant(), small.u('mother'), 'right horse of mother');
	SELECT csm_private.set_password(small.tenant(), small.u('student'), 'right horse of student');
});
my $known = person($node, 'north contact');
my $who = q{SELECT coalesce(csm.current_user_id()::text, 'nobody')};
my $sees = q{SELECT count(*) FROM csm.cases};
my $all = $node->safe_psql('postgres', qq{BEGIN; SET LOCAL csm.user_id = '$known'; SET LOCAL ROLE csm_portal; $sees; COMMIT});
cmp_ok($all, '>', 1, 'the person sees something');
sub sign_in { my ($name, $rest) = @_; return "SELECT status FROM csm.sign_in('$token{$name}'" . ($rest // '') . ')' }

# How long it lasts.
my $visitor = session($node, user => 'visitor');
is($visitor->ask('BEGIN; ' . sign_in('email verified') . "; $who; $sees; COMMIT"), "signed_in\n$known\n$all", 'A35 for the transaction');
is($visitor->ask("$who; $sees"), "nobody\n0", 'A35 and no longer');
is($visitor->ask(sign_in('email verified') . "; $who"), "signed_in\nnobody", 'A35 for a statement of its own');
is($visitor->ask(sign_in('email verified', ', false') . "; $who; BEGIN; $sees; COMMIT; $sees"), "signed_in\n$known\n$all\n$all", 'A35 for the session');
is($visitor->ask('BEGIN; ' . sign_in('forged') . "; $who; COMMIT; $who"), "refused\nnobody\n$known", 'A35 a forged token leaves nobody, for the transaction');
is($visitor->ask(sign_in('forged', ', false') . "; $who"), "refused\nnobody", 'A35 and for the session');
is($visitor->ask('BEGIN; ' . sign_in('email verified', ', false') . "; ROLLBACK; $who"), "signed_in\nnobody", 'A35 what was rolled back did not happen');
$visitor->ask(sign_in('email verified', ', false'));
is($visitor->ask('SHOW csm.user_id'), $known, 'A35 SHOW gives the person and nothing else');
is($visitor->ask("SELECT setting FROM pg_settings WHERE name = 'csm.user_id'"), $known, 'A35 so does pg_settings');
like($visitor->ask("SET csm.user_id = '$known\@s'"), qr/ERROR 42501/, 'A35 nobody writes the stamp himself');
is(session($node)->ask("SET csm.user_id = '$known\@s'"), 'ERROR 22023', 'A35 not even a superuser');
is($visitor->ask("DISCARD ALL; $who"), 'nobody', 'A35 DISCARD ALL signs out');
$visitor->ask(sign_in('email verified', ', false'));
$visitor->ask(q{SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
	SET parallel_leader_participation = off; SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off});
is($visitor->ask($sees), $all, 'A35 parallel workers believe it');
$node->safe_psql('postgres', "UPDATE csm.users SET enabled = false WHERE id = $known");
is($visitor->ask("$who; $sees"), "nobody\n0", 'A35 disabled: an open session sees nothing');
$node->safe_psql('postgres', "UPDATE csm.users SET enabled = true WHERE id = $known");
is($visitor->ask($who), $known, 'A35 enabled again');
# an identity that ends by itself
is($node->safe_psql('postgres', "SELECT csm_private.sign_in_as($known, false, clock_timestamp() + interval '1 second');
	$who; SELECT pg_sleep(1.1); $who") =~ s/\n+/ /gr =~ s/^ //r, "$known nobody", 'A35 the session is nobody when the token has ended');
# behind a pooler the next client of the connection is nobody
is($visitor->ask("SELECT csm.sign_out(); SELECT status FROM csm.sign_in_password('mother\@small.example', 'right horse of mother'); $who") =~ s/^\n//r,
	"signed_in\nnobody", 'A35 a password signs in for the transaction');
is($visitor->ask("SELECT status FROM csm.sign_in_password('mother\@small.example', 'right horse of mother', NULL, false); $who"),
	"signed_in\n" . person($node, 'mother'), 'A35 or for the session');
$visitor->quit;

# A hundred wrong passwords: savepoints, transactions that roll back, connections that die.
# The source may try more often than the login: the login is what is to lock.
$node->safe_psql('postgres', 'INSERT INTO csm.password_policies (tenant_id, source_attempts) VALUES (small.tenant(), 1000000)');
my $attacker = session($node, user => 'visitor');
my $guess = q{SELECT status FROM csm.sign_in_password('student@small.example', 'guess')};
$attacker->ask('BEGIN; ' . "SAVEPOINT s; $guess; ROLLBACK TO s; " x 50 . 'ROLLBACK');
$attacker->ask("BEGIN; $guess; ROLLBACK; " x 49);
$attacker->ask("BEGIN; $guess");
$attacker->quit;
my $right = q{SELECT status FROM csm.sign_in_password('student@small.example', 'right horse of student')};
is($node->safe_psql('postgres', "SET ROLE csm_guest; $right"), 'refused', 'A35 100 wrong passwords, all rolled back, lock the login');
is($node->safe_psql('postgres', "SELECT details->>'reason' FROM csm.audit_log WHERE kind = 'sign_in_refused' ORDER BY id DESC LIMIT 1"), 'locked', 'A35 for that reason');
$node->safe_psql('postgres', q{UPDATE csm.password_policies SET first_pause = '1 day', longest_pause = '1 day'});
$node->safe_psql('postgres', "BEGIN; SELECT csm.sign_in_password('mother\@small.example', 'guess ' || i) FROM generate_series(1, 6) i; ROLLBACK");
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
crash($node);
is($node->safe_psql('postgres', q{SET ROLE csm_guest; SELECT status FROM csm.sign_in_password('mother@small.example', 'right horse of mother')}), 'refused',
	'A35 a crash forgets no lock');
$node->stop('fast');
$node->start;
is($node->safe_psql('postgres', q{SET ROLE csm_guest; SELECT status FROM csm.sign_in_password('mother@small.example', 'right horse of mother')}), 'refused',
	'A35 nor does a restart');

# What the server logs. First that it would be seen.
my $size = -s $node->logfile;
$node->safe_psql('postgres', q{SELECT csm.sign_in_password('x@small.example', 'in the text of the statement')});
sub logged { my ($text) = @_; return index(PostgreSQL::Test::Utils::slurp_file($node->logfile, $size), $text) >= 0 }
ok(logged('in the text of the statement'), 'A35 a password in the text of a statement stands in the log');
PostgreSQL::Test::Utils::append_to_file("$PostgreSQL::Test::Utils::tmp_check/bound.sql", "SELECT csm.sign_in_password('x\@small.example', :password);\n");
my @pgbench = ('pgbench', '-n', '-M', 'extended', '-t', '1', '-f', "$PostgreSQL::Test::Utils::tmp_check/bound.sql");
$node->command_ok([ @pgbench, '-D', 'password=bound but logged', 'postgres' ], 'pgbench binds it');
ok(logged('bound but logged'), 'A35 so does a bound one, as long as the server logs parameters');
$node->safe_psql('postgres', 'ALTER DATABASE postgres SET log_parameter_max_length = 0');
$node->command_ok([ @pgbench, '-D', 'password=bound and kept secret', 'postgres' ], 'pgbench binds it');
ok(!logged('bound and kept secret'), 'A35 and not with log_parameter_max_length = 0');
ok(!logged('argon2id'), 'A35 no hash stands in the log');

# A standby.
$node->safe_psql('postgres', sign_in('email verified'));
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('sign_in_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', 'BEGIN; ' . sign_in('email verified') . "; $who; SET LOCAL ROLE csm_portal; $sees; COMMIT"), "signed_in\n$known\n$all", 'A35 an ID token on a standby');
is($standby->safe_psql('postgres', sign_in('forged')), 'refused', 'A35 a forged one is refused there');
is($standby->safe_psql('postgres', sign_in('bob')), 'refused', 'A35 so is a subject that is not known');
like(session($standby)->ask($right), qr/ERROR 25006/, 'A35 a password needs the primary');

done_testing();
