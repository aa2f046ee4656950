# Two databases that differ only in rows which an outsider may not see answer
# everything that he can ask alike: queries, counts, searches, functions,
# inserts, errors. Ids that are made while he asks are compared by the order in
# which they first appear; what else tells the volume (EXPLAIN, timing) is not
# covered.

use strict;
use warnings;

use Test::More;
use CsmTest;

# Sequences of the two begin here; every number from here on is an id made later.
my $first_new_id = 3_000_000;
# Hidden in the second database, missing in the first.
my $there = 77_777;

my $node = new_node('twin');
$node->start;
for my $database ('one', 'two')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	small_world($node, $database);
	my $start = $database eq 'one' ? $first_new_id : $first_new_id + 5_000_000;
	$node->safe_psql($database, qq{
		DO \$\$
		DECLARE
			s regclass;
		BEGIN
			FOR s IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = 'csm'::regnamespace LOOP
				EXECUTE format('ALTER SEQUENCE %s RESTART WITH $start', s);
			END LOOP;
		END \$\$;
		INSERT INTO csm.products (id, tenant_id, name) OVERRIDING SYSTEM VALUE VALUES (7, small.tenant(), 'pump')});
}
$node->safe_psql('two', hidden_rows());

# Persons who are outsiders to all of that.
my @outsiders = (
	[ 'stranger', 'csm_portal' ],
	[ 'student', 'csm_portal' ],
	[ 'north contact', 'csm_portal' ],
	[ 'north manager', 'csm_portal' ],
	[ 'paragon admin', 'csm_portal' ],
	[ 'globex manager', 'csm_portal' ],
	[ 'mother', 'csm_portal' ],
	[ 'person team', 'csm_agent' ],
	[ 'shop agent', 'csm_agent' ],
	[ 'proxy', 'csm_reporter' ],
	[ undef, 'csm_portal' ],
	[ undef, 'csm_guest' ]);

my $asked = 0;
for my $outsider (@outsiders)
{
	my ($name, $role) = @$outsider;
	my %answers = map { $_ => [ ask($_, $name, $role) ] } 'one', 'two';
	my @statements = script($role);
	my @differing = grep { $answers{one}[$_] ne $answers{two}[$_] } 0 .. $#statements;

	$asked += @statements;
	is(scalar(@differing), 0,
		'T17 twin databases answer ' . ($name // 'nobody') . " as $role alike (" . scalar(@statements) . ' statements)');
	for my $i (@differing[0 .. ($#differing < 4 ? $#differing : 4)])
	{
		diag("$statements[$i]\n  one: $answers{one}[$i]\n  two: $answers{two}[$i]");
	}
}
note("$asked statements asked of each database");

# The difference is really there, for whoever may see it.
my $count = 'SELECT count(*) FROM csm.cases';
isnt((ask_as('one', 'desk manager', 'csm_agent', $count))[0], (ask_as('two', 'desk manager', 'csm_agent', $count))[0],
	'T17 a manager sees the two differ');
done_testing();

sub hidden_rows
{
	return qq{
		SET csm.importing = on;
		INSERT INTO csm.users (id, tenant_id, display_name, email) OVERRIDING SYSTEM VALUE
			SELECT $there + i, small.tenant(), 'secret ' || i, 'secret' || i || '\@small.example' FROM generate_series(0, 9) i;
		INSERT INTO csm.accounts (id, tenant_id, number, name, parent_id, is_partner) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), 'SECRET', 'secret', NULL, true), ($there + 1, small.tenant(), 'SECRET1', 'secret below', $there, false);
		INSERT INTO csm.contacts (id, tenant_id, user_id, account_id, role) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), $there, $there, 'partner_admin'), ($there + 1, small.tenant(), $there + 1, $there + 1, 'case_manager');
		INSERT INTO csm.account_relationships (tenant_id, partner_account_id, customer_account_id, scope)
			VALUES (small.tenant(), $there, $there + 1, 'all');
		INSERT INTO csm.consumers (tenant_id, user_id) VALUES (small.tenant(), $there + 2), (small.tenant(), $there + 3);
		INSERT INTO csm.employees (tenant_id, user_id) VALUES (small.tenant(), $there + 4);
		INSERT INTO csm.households (id, tenant_id, name, head_user_id) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), 'secret household', $there + 2);
		INSERT INTO csm.household_members (tenant_id, household_id, user_id)
			VALUES (small.tenant(), $there, $there + 2), (small.tenant(), $there, $there + 3);
		INSERT INTO csm.representations (tenant_id, representative_id, represented_id) VALUES (small.tenant(), $there + 5, $there + 2);
		INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (small.tenant(), $there + 6, 'manager');
		INSERT INTO csm.cases (id, tenant_id, number, branch, state, state_class, subject, requester_id, opened_by, account_id,
			counterparty_account_id, idempotency_key, opened_at, submitted_at) OVERRIDING SYSTEM VALUE
			SELECT $there + i, small.tenant(), 'SECRET' || i, b.branch, 'open', 'open', 'secret pump password delivery', b.requester, b.requester,
				b.account, NULL, 'my key', '2025-01-01', '2025-01-01'
			FROM (VALUES (0, 'b2b', $there, $there), (1, 'b2c', $there + 2, NULL), (2, 'internal', $there + 4, NULL),
				(3, 'b2b', $there + 1, $there + 1)) b(i, branch, requester, account);
		INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_id, author_name, visibility, side, body, idempotency_key)
			SELECT small.tenant(), c.id, c.branch, c.requester_id, 'secret', 'shared', 'customer', 'pump', 'my key'
			FROM csm.cases c WHERE c.id >= $there;
		INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), $there, $there + 7);
		-- on cases that some outsiders see: what is the desk's, and what belongs to both cases of a link
		INSERT INTO csm.case_tasks (id, tenant_id, case_id, subject, blocking, assigned_to) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), small.c('north: pump'), 'secret task', false, $there + 6),
			($there + 1, small.tenant(), $there, 'secret task', true, NULL);
		INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind) VALUES (small.tenant(), $there, small.c('north: pump'), 'related');
		INSERT INTO csm.case_blocks (tenant_id, case_id, reason) VALUES (small.tenant(), $there, 'other');
		INSERT INTO csm.case_lines (tenant_id, case_id, description, state) VALUES (small.tenant(), $there, 'secret line', 'new');
		INSERT INTO csm.handling_notes (tenant_id, account_id, body) VALUES (small.tenant(), small.a('north'), 'secret note');
		-- a work note with a file, and their links of history, on a case that some outsiders see
		RESET csm.importing;
		SELECT csm.attach(e.case_id, 'secret.txt', content => 'secret', entry_id => e.id) FROM csm.comment(small.c('north: pump'), 'secret note', 'internal') e;
		SET csm.importing = on;
		INSERT INTO csm.sold_products (id, tenant_id, account_id, product_id) OVERRIDING SYSTEM VALUE VALUES ($there, small.tenant(), $there, 7);
		INSERT INTO csm.assets (id, tenant_id, account_id, user_id, product_id, serial_number) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), $there, NULL, 7, 'SECRET'), ($there + 1, small.tenant(), NULL, $there + 2, 7, 'SECRET1');
		INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) VALUES (small.tenant(), $there, $there);
		INSERT INTO csm.asset_parties (tenant_id, asset_id, user_id) VALUES (small.tenant(), $there, $there + 7);
		INSERT INTO csm.contracts (id, tenant_id, account_id, name, number) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), $there, 'secret', 'SECRET');
		INSERT INTO csm.contract_lines (tenant_id, contract_id, asset_id) VALUES (small.tenant(), $there, $there);
		INSERT INTO csm.entitlements (id, tenant_id, name, account_id, asset_id, total, used) OVERRIDING SYSTEM VALUE
			VALUES ($there, small.tenant(), 'secret', $there, NULL, 5, 2), ($there + 1, small.tenant(), 'secret', NULL, $there, 5, 2);
		INSERT INTO csm.entitlement_uses (tenant_id, entitlement_id, case_id, unit, units) VALUES (small.tenant(), $there, $there, 'cases', 1);
		-- more of what is hidden anyway: another tenant with everything
		SELECT csm.create_tenant('secret', 'Secret', 'admin\@secret.example');
		ANALYZE;
	};
}

# What an outsider asks. $there is hidden or missing.
sub script
{
	my ($role) = @_;
	my @tables = split /\n/, $node->safe_psql('one', qq{
		SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'csm'::regnamespace AND c.relkind = 'r'
			AND has_table_privilege('$role', c.oid, 'SELECT') ORDER BY 1});
	my @keys = (map { "csm.$_" } qw(accounts_allowing('case_read') accounts_known() requesters_allowing('case_read')
		openers_allowing('case_read') shared_cases_allowing('case_read') all_tenant('case_read')
		assets_allowing('asset_read') sold_products_allowing('product_read')));

	# What staff may refer to is not checked (a foreign key may answer them).
	my @references = $role eq 'csm_agent' ? () : (
		(map { "INSERT INTO csm.cases (subject, $_) VALUES ('mine', $there)" }
			qw(account_id requester_id counterparty_account_id partner_account_id partner_contact_id product_id asset_id
			household_id internal_contact_id parent_id counterparty_contact_id)),
		(map { "SELECT (csm.open_case('mine', $_ => $there)).subject" }
			qw(account_id requester_id counterparty_account_id product_id asset_id)));

	return (
		(map { "SELECT to_jsonb(t) FROM csm.$_ t ORDER BY to_jsonb(t)" } @tables),
		(map { "SELECT count(*) FROM csm.$_" } @tables),
		(map { "SELECT $_" } @keys),
		(map { "SELECT to_jsonb(t) FROM csm.$_ t WHERE id = $there" } qw(cases users accounts contacts households assets sold_products contracts entitlements)),
		'SELECT * FROM csm.whoami()',
		'SELECT count(*), min(opened_at), max(id) FROM csm.cases',
		'SELECT state, count(*) FROM csm.cases GROUP BY state ORDER BY 1',
		"SELECT subject FROM csm.cases WHERE csm.contains(subject, 'pump') ORDER BY id",
		"SELECT subject FROM csm.cases WHERE csm.matches(search, to_tsquery('english', 'pump | password')) ORDER BY id",
		"SELECT subject FROM csm.cases WHERE subject ILIKE '%secret%'",
		"SELECT id FROM csm.cases WHERE 1 / (CASE WHEN subject ~ 'secret' THEN 0 ELSE 1 END) = 1 ORDER BY id",
		"SELECT subject::int FROM csm.cases WHERE subject ~ 'secret'",
		'SELECT * FROM csm.account_tree()',
		"SELECT * FROM csm.account_tree($there)",
		(map { "SELECT * FROM csm.$_($there)" } qw(case_people actions who_can_see)),
		"SELECT * FROM csm.explain_access(csm.current_user_id(), $there)",
		"SELECT * FROM csm.explain_access($there, $there)",
		"SELECT csm.comment($there, 'hello')",
		"SELECT csm.comment($there, 'hello', idempotency_key => 'my key')",
		"SELECT csm.act($there, 'close')",
		"SELECT csm.act($there, 'nonsense')",
		"SELECT csm.attach($there, 'a.txt', content => 'x')",
		"SELECT csm.attach(c.id, 'a.txt', content => 'x', entry_id => $there) FROM (SELECT id FROM csm.cases WHERE opened_by = csm.current_user_id() ORDER BY id) c",
		"SELECT * FROM csm.case_as_of($there, clock_timestamp())",
		"SELECT * FROM csm.verify_history($there)",
		'SELECT case_id, at, action, actor_name, relation, on_behalf_of, audience, payload FROM csm.case_history ORDER BY id',
		'SELECT audience, count(*) FROM csm.case_history GROUP BY 1 ORDER BY 1',
		"INSERT INTO csm.case_entries (case_id, body) VALUES ($there, 'hello')",
		"INSERT INTO csm.case_entries (case_id, body, idempotency_key) VALUES ($there, 'hello', 'my key')",
		"INSERT INTO csm.case_tasks (case_id, subject) VALUES ($there, 'x')",
		"INSERT INTO csm.case_lines (case_id, description) VALUES ($there, 'x')",
		"INSERT INTO csm.case_blocks (case_id, reason) VALUES ($there, 'other')",
		"UPDATE csm.case_tasks SET state = 'closed' WHERE id = $there",
		"SELECT csm.share_case($there, csm.current_user_id() + 1)",
		"SELECT csm.unshare_case($there, csm.current_user_id() + 1)",
		"SELECT csm.open_follow_up($there)",
		"SELECT * FROM csm.notes_for($there)",
		"SELECT csm.best_entitlement($there)",
		"SELECT * FROM csm.case_entitlements($there)",
		"SELECT csm.use_entitlement_hours($there, 1)",
		"SELECT csm.restrict_contact_access($there, true)",
		(map { "INSERT INTO csm.asset_contacts ($_, contact_id) VALUES ($there, (SELECT min(id) FROM csm.contacts))" } qw(asset_id sold_product_id)),
		(map { "INSERT INTO csm.asset_parties ($_, user_id) VALUES ($there, csm.current_user_id())" } qw(asset_id sold_product_id)),
		"UPDATE csm.asset_parties SET authorized = true",
		"DELETE FROM csm.asset_contacts",
		"SELECT csm.render_template('none', $there)",
		(map { "SELECT csm.$_ FROM (SELECT id FROM csm.cases WHERE opened_by = csm.current_user_id() ORDER BY id) c" } "share_case(c.id, $there)", "share_case(c.id, NULL, $there)",
			"unshare_case(c.id, $there)", 'open_follow_up(c.id)'),
		@references,
		"INSERT INTO csm.cases (id, subject) VALUES ($there, 'mine')",
		"INSERT INTO csm.cases (number, subject) VALUES ('SECRET1', 'mine')",
		"UPDATE csm.cases SET subject = 'mine' WHERE id = $there",
		"DELETE FROM csm.cases WHERE id = $there",
		"SELECT csm.act_as('contact:$there')",
		# and what he may do, so that new ids appear
		"INSERT INTO csm.cases (subject) VALUES ('mine') RETURNING id, number, subject, branch",
		"SELECT id, number, subject FROM csm.open_case('mine again', idempotency_key => 'my key')",
		"SELECT id, number, subject FROM csm.open_case('mine again', idempotency_key => 'my key')",
		"SELECT id, body FROM csm.comment((SELECT max(id) FROM csm.cases), 'said', idempotency_key => 'my key')",
		"SELECT id, body FROM csm.comment((SELECT max(id) FROM csm.cases), 'said', idempotency_key => 'my key')",
		"SELECT id, number, subject, state FROM csm.cases ORDER BY id",
		"SELECT id, case_id, body FROM csm.case_entries ORDER BY id");
}

# All answers of a person, each as text: rows, or the error with its code, detail and hint.
sub ask
{
	my ($database, $name, $role) = @_;
	my %seen;
	my @answers = ask_as($database, $name, $role, script($role));

	for (@answers)
	{
		s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+\d\d(:\d\d)?)?/TIME/g;
		# salts of history are random, and its hashes with them
		s/\\x[0-9a-f]{32,64}\b/HASH/g;
		s/\b([A-Za-z]*?)0*(\d{7,})/$1 . ($2 < $first_new_id ? $2 : '#' . ($seen{$2} \/\/= 1 + keys %seen))/ge;
	}
	return @answers;
}

sub ask_as
{
	my ($database, $name, $role, @statements) = @_;
	my $id = defined $name ? $node->safe_psql($database, "SELECT small.u('$name')") : '';
	my $input = "\\set VERBOSITY verbose\n\\pset pager off\n";
	my ($out, $err) = ('', '');

	for my $statement (@statements)
	{
		$input .= "\\echo <<next>>\n\\warn <<next>>\nBEGIN;\nSET LOCAL csm.user_id = '$id';\nSET LOCAL ROLE $role;\n$statement;\nCOMMIT;\n";
	}
	$node->psql($database, $input, stdout => \$out, stderr => \$err, on_error_stop => 0);
	my (undef, @out) = split /<<next>>\n?/, "$out\n";
	my (undef, @err) = split /<<next>>\n?/, "$err\n";
	# without file, line and place in the source
	s/^psql:<stdin>:\d+: //mg, s/^LOCATION: .*\n?//mg for @err;
	return map { ($out[$_] // '') . ($err[$_] // '') } 0 .. $#statements;
}
