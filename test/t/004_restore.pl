# Dump and restore lose nothing: every row of every table, sequences, paths,
# and what each person sees; no trigger derives or judges a second time.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use CsmTest;

my $node = new_node('restore');
$node->start;
small_world($node);

# The tables that the small world leaves empty, and rows that a trigger would
# make differently today.
$node->safe_psql('postgres', q{
	INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'first line');
	INSERT INTO csm.groups (tenant_id, name, parent_id) SELECT tenant_id, 'second line', id FROM csm.groups;
	INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, min(id), small.u('b2b agent') FROM csm.groups GROUP BY 1;
	-- a grant of a role that a trigger would refuse today, and of an audience that stands for other grants
	INSERT INTO csm.user_criteria (tenant_id, key, label) VALUES (small.tenant(), 'agents', 'Agents');
	INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, role) SELECT tenant_id, id, 'role', 'agent' FROM csm.user_criteria;
	INSERT INTO csm.audiences (tenant_id, owner_id) VALUES (small.tenant(), small.u('b2b agent'));
	SELECT csm_private.audience_within(id, '[{"criteria": "agents", "action": "read"}]') FROM csm.audiences;
	INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), E'a\ttab, a \\\\ backslash,\na line and an "ä"');
	-- knowledge: what stands, what is written, what readers say; words and states that a trigger would make differently
	INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) VALUES (small.tenant(), 'help', 'Help', true);
	INSERT INTO csm.knowledge_categories (tenant_id, base_id, title) SELECT tenant_id, id, 'Pumps' FROM csm.knowledge_bases;
	INSERT INTO csm.articles (tenant_id, base_id, title, body, is_public, category_id)
	SELECT tenant_id, base_id, 'Pumps', 'How to bleed a pump', true, id FROM csm.knowledge_categories;
	SELECT csm.act_on_article(id, 'publish') FROM csm.articles;
	SELECT csm.act_on_article(id, 'revise') FROM csm.articles;
	INSERT INTO csm.articles (tenant_id, base_id, title, body, language, translation_of) SELECT tenant_id, base_id, 'Pumpen', 'Wie man sie entlüftet', 'de', id FROM csm.articles;
	INSERT INTO csm.article_feedback (tenant_id, article_id, user_id, rating) SELECT tenant_id, min(id), small.u('son'), 5 FROM csm.articles GROUP BY 1;
	SELECT csm.view_article(min(id)) FROM csm.articles;
	SELECT csm_private.due_article_views(tenant_id, id, now()) FROM csm.knowledge_bases;
	SELECT csm.view_article(min(id)) FROM csm.articles;
	SELECT csm.attach_article(small.c('north: valve'), min(id), 'solution') FROM csm.articles;
	SELECT csm.report_knowledge_gap(small.c('north: valve'), 'valves');
	-- the community: a thread, and what happens to it
	INSERT INTO csm.forums (tenant_id, key, title) VALUES (small.tenant(), 'pumps', 'Pumps');
	INSERT INTO csm.forums (tenant_id, key, title, parent_id, inherits) SELECT tenant_id, 'valves', 'Valves', id, true FROM csm.forums;
	INSERT INTO csm.community_profiles (tenant_id, user_id, forum_id, handle) SELECT tenant_id, small.u('son'), id, 'son' FROM csm.forums WHERE key = 'pumps';
	INSERT INTO csm.questions (tenant_id, forum_id, author_id, title, body) SELECT tenant_id, id, small.u('son'), 'Why', 'does it leak?' FROM csm.forums WHERE key = 'pumps';
	INSERT INTO csm.answers (tenant_id, question_id, author_id, body, accepted) SELECT tenant_id, id, small.u('mother'), 'It is old.', true FROM csm.questions;
	INSERT INTO csm.post_comments (tenant_id, question_id, answer_id, author_id, body) SELECT tenant_id, question_id, id, small.u('son'), 'Ah.' FROM csm.answers;
	INSERT INTO csm.votes (tenant_id, question_id, voter_id, value) SELECT tenant_id, id, small.u('mother'), 1 FROM csm.questions;
	INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) SELECT tenant_id, small.u('mother'), id FROM csm.questions;
	INSERT INTO csm.post_versions (tenant_id, audience_id, answer_id, author_id, body) SELECT tenant_id, audience_id, id, author_id, 'It is new.' FROM csm.answers;
	INSERT INTO csm.post_reports (tenant_id, audience_id, answer_id, reporter_id, reason) SELECT tenant_id, audience_id, id, small.u('son'), 'rude' FROM csm.answers;
	INSERT INTO csm.moderation_acts (tenant_id, audience_id, forum_id, question_id, author_id, action, actor_id, reason)
	SELECT tenant_id, audience_id, forum_id, id, author_id, 'lock', small.u('b2b agent'), 'quarrel' FROM csm.questions;
	INSERT INTO csm.case_questions (tenant_id, case_id, question_id, relation) SELECT tenant_id, small.c('north: valve'), id, 'raised' FROM csm.questions;
	INSERT INTO csm.interactions (tenant_id, branch, channel, subject) VALUES (small.tenant(), 'b2c', 'chat', 'hello');
	INSERT INTO csm.interaction_entries (tenant_id, interaction_id, author_kind, author_name, body) SELECT tenant_id, id, 'bot', 'bot', 'hi' FROM csm.interactions;
	INSERT INTO csm_private.interaction_tokens (tenant_id, interaction_id, token_hash, expires_at) SELECT tenant_id, id, sha256('visitor'), '2100-01-01' FROM csm.interactions;
	INSERT INTO csm.case_internal (tenant_id, case_id, attributes) VALUES (small.tenant(), small.c('north: pump'), '{"cost": 12}');
	INSERT INTO csm.case_side_fields (tenant_id, case_id, side, attributes) VALUES (small.tenant(), small.c('dispute: globex'), 'customer', '{"ref": "7"}');
	INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), small.u('student'));
	INSERT INTO csm.case_parties (tenant_id, case_id, account_id, capabilities, valid_during)
	VALUES (small.tenant(), small.c('north: valve'), small.a('umbrella'), '{case_read,case_comment}', tstzrange(now() - interval '1 day', NULL));
	-- tasks and lines, open and ended, whose blocks and stamps a trigger would write again
	INSERT INTO csm.case_tasks (tenant_id, case_id, subject) VALUES (small.tenant(), small.c('north: valve'), 'open'), (small.tenant(), small.c('north: valve'), 'ended');
	UPDATE csm.case_tasks SET state = 'closed' WHERE subject = 'ended';
	INSERT INTO csm.case_lines (tenant_id, case_id, description) VALUES (small.tenant(), small.c('north: valve'), 'open'), (small.tenant(), small.c('north: valve'), 'ended');
	UPDATE csm.case_lines SET state = 'resolved_denied' WHERE description = 'ended';
	INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind) VALUES (small.tenant(), small.c('north: valve'), small.c('north: pump'), 'related');
	INSERT INTO csm.handling_notes (tenant_id, account_id, body) VALUES (small.tenant(), small.a('north'), 'call first');
	INSERT INTO csm.response_templates (tenant_id, name, body) VALUES (small.tenant(), 'hello', 'Dear {{requester.name}}');
	-- items whose root, an entitlement whose holder, and links that a trigger would judge otherwise today
	INSERT INTO csm.sold_products (tenant_id, account_id, product_id) SELECT tenant_id, small.a('north'), id FROM csm.products;
	INSERT INTO csm.sold_products (tenant_id, account_id, product_id, parent_id) SELECT tenant_id, account_id, product_id, id FROM csm.sold_products;
	INSERT INTO csm.assets (tenant_id, account_id, product_id, serial_number) SELECT tenant_id, small.a('north'), id, 'top' FROM csm.products;
	INSERT INTO csm.assets (tenant_id, account_id, product_id, serial_number, parent_id) SELECT tenant_id, account_id, product_id, 'below', id FROM csm.assets;
	UPDATE csm.assets SET location = 'hall' WHERE serial_number = 'top';
	INSERT INTO csm.asset_contacts (tenant_id, asset_id, contact_id) SELECT tenant_id, min(id), small.k('paragon contact at paragon') FROM csm.assets GROUP BY 1;
	INSERT INTO csm.asset_parties (tenant_id, asset_id, account_id) SELECT tenant_id, max(id), small.a('umbrella') FROM csm.assets GROUP BY 1;
	INSERT INTO csm.contracts (tenant_id, account_id, name) VALUES (small.tenant(), small.a('north'), 'care');
	INSERT INTO csm.contract_lines (tenant_id, contract_id, asset_id) SELECT c.tenant_id, c.id, min(a.id) FROM csm.contracts c, csm.assets a GROUP BY 1, 2;
	INSERT INTO csm.entitlements (tenant_id, name, asset_id, total, used) SELECT tenant_id, 'care', min(id), 5, 1 FROM csm.assets GROUP BY 1;
	INSERT INTO csm.entitlement_uses (tenant_id, entitlement_id, case_id, unit, units) SELECT tenant_id, id, small.c('north: valve'), 'cases', 1 FROM csm.entitlements;
	-- SLAs whose log a trigger would go on with, by a calendar that a trigger would judge
	INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (small.tenant(), 'desk', 'Europe/Berlin');
	INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time) SELECT tenant_id, id, 1, '22:00', '06:00' FROM csm.calendars;
	INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) SELECT tenant_id, id, '2030-01-01', 'New Year' FROM csm.calendars;
	SELECT csm.create_standard_slas(min(id), small.tenant()) FROM csm.calendars;
	UPDATE csm.cases SET priority = 2 WHERE id = small.c('north: valve');
	DELETE FROM csm.account_relationships WHERE id = small.r('paragon-north');
	-- a subtree that was moved, and rows stored so that children come first
	UPDATE csm.accounts SET parent_id = small.a('south') WHERE id = small.a('north');
	UPDATE csm.accounts SET parent_id = small.a('acme') WHERE id = small.a('north');
	UPDATE csm.accounts SET name = name WHERE id = small.a('holding');
	INSERT INTO csm.licence_products (tenant_id, product, label, roles) VALUES (small.tenant(), 'service', 'Service', '{agent}');
	SELECT csm.place_hold('court', case_id => small.c('north: valve'));
	SELECT csm.erase_person(small.u('lodger'), 'gone');
	UPDATE csm.users SET enabled = false WHERE id = small.u('lodger');
	SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'probe');
	SELECT csm_private.give_positions(small.tenant());
	SELECT csm_private.emit(small.tenant(), small.c('north: valve'), 'probe', '{"not": "placed"}');
	INSERT INTO csm.event_subscribers (tenant_id, key, user_id, kinds, position) VALUES (small.tenant(), 'mail', small.u('b2b agent'), '{probe}', 1);
	-- registrations in states that a trigger would refuse, what is mailed and what is secret
	INSERT INTO csm.account_domains (tenant_id, account_id, domain, verified_at) VALUES (small.tenant(), small.a('north'), 'north.example', now());
	INSERT INTO csm_private.registration_codes (account_id, tenant_id, code_hash) VALUES (small.a('north'), small.tenant(), csm_private.code_hash(small.tenant(), 'K7QF'));
	INSERT INTO csm.registrations (tenant_id, kind, email, display_name, account_id) VALUES (small.tenant(), 'contact', 'a@north.example', 'A', small.a('north'));
	SELECT csm_private.issue_registration_token(r, 'confirm', now() + interval '1 day') FROM csm.registrations r;
	INSERT INTO csm.registrations (tenant_id, kind, email, display_name) VALUES (small.tenant(), 'consumer', 'b@north.example', 'B');
	UPDATE csm.registrations SET state = 'approved', user_id = small.u('son'), confirmed_at = now(), decided_at = now() WHERE kind = 'consumer';
	SELECT csm_private.send_mail(small.tenant(), 'probe', 'a@north.example', small.u('son'));
	SELECT csm.allow_mail_sender(small.u('viewer'));
	INSERT INTO csm.surveys (tenant_id, key, label) VALUES (small.tenant(), 'after', 'After');
	INSERT INTO csm.survey_questions (tenant_id, survey_id, key, kind, label) SELECT tenant_id, id, 'q', 'csat', 'Q' FROM csm.surveys;
	INSERT INTO csm.survey_responses (tenant_id, case_id, survey_id, user_id, expires_at) SELECT tenant_id, small.c('north: valve'), id, small.u('son'), '2100-01-01' FROM csm.surveys;
	INSERT INTO csm.survey_answers (tenant_id, response_id, question_id, case_id, user_id, score) SELECT r.tenant_id, r.id, q.id, r.case_id, r.user_id, 3 FROM csm.survey_responses r, csm.survey_questions q;
	INSERT INTO csm_private.survey_tokens (response_id, tenant_id, user_id, token_hash) SELECT id, tenant_id, user_id, sha256('survey') FROM csm.survey_responses;
	SELECT csm.allow_mail_gateway(small.u('viewer'));
	INSERT INTO csm.email_log (tenant_id, message_id, from_address, status, case_id, body) VALUES (small.tenant(), '<a@x.example>', 'a@x.example', 'refused', small.c('north: valve'), 'text');
	SELECT csm_private.mail_token(small.c('north: valve'), small.u('son'));
	-- people: an address that waits, preferences, one who was merged
	SELECT csm_private.ask_for_email(small.u('son'), 'new@son.example');
	INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES (small.tenant(), small.u('son'), '*', 'email', false);
	SELECT csm.merge_users(small.u('lodger'), small.new_user('lodger twice'), 'the same');
	SELECT csm.attach(small.c('north: valve'), 'a.bin', content => '\x00ff0a5c');
	SELECT csm_private.seal_history(small.tenant());
	SELECT csm.comment(small.c('north: valve'), 'after the seal');
	UPDATE csm.tenants SET settings = '{"a": 1}' WHERE key = 'small';
	DELETE FROM csm.roles WHERE role = 'contributor' AND tenant_id = small.tenant('foreign');
	SET session_replication_role = replica;
	UPDATE csm.user_criteria_parts SET role = 'consumer';
	UPDATE csm.audience_grants SET denies = true;
	UPDATE csm.articles SET search = 'other:1', state = 'retired', updated_at = '2001-01-01' WHERE language = 'de';
	UPDATE csm.article_versions SET revision = 9, edited_at = '2001-01-01' WHERE version = 1;
	UPDATE csm.audiences a SET within_id = NULL FROM csm.forums f WHERE f.key = 'valves' AND a.id = f.audience_id;
	UPDATE csm.questions SET search = 'other:1', score = 7, is_public = true, author_name = 'Somebody';
	UPDATE csm.answers SET is_public = true, thread_shown = false, score = 3;
	UPDATE csm.post_comments SET author_name = 'Somebody';
	-- rows that only functions and triggers write
	INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience) VALUES (small.tenant(), 'college', 'https://id.college.example', 'csm');
	INSERT INTO csm.identity_provider_keys (tenant_id, provider_id, kid, jwk, algorithms)
	SELECT tenant_id, id, 'k1', '{"kty": "RSA", "n": "AQ", "e": "AQAB"}', '{RS256}' FROM csm.identity_providers;
	INSERT INTO csm.external_identities (tenant_id, provider_id, subject, user_id) SELECT tenant_id, id, 's-1', small.u('student') FROM csm.identity_providers;
	INSERT INTO csm.spent_tokens (tenant_id, provider_id, token_hash, expires_at)
	SELECT tenant_id, id, sha256('spent'), '2100-01-01' FROM csm.identity_providers;
	INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience)
	VALUES (small.tenant(), small.u('student'), small.c('north: valve'), 4711, 'probe', 'email', 'shared');
	INSERT INTO csm.denied_passwords (tenant_id, password) VALUES (small.tenant(), 'password1234');
	INSERT INTO csm.password_policies (tenant_id) VALUES (small.tenant());
	INSERT INTO csm.passwords (tenant_id, user_id, hash) VALUES (small.tenant(), small.u('student'), '$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA');
	INSERT INTO csm.password_resets (tenant_id, user_id, token_hash, expires_at) VALUES (small.tenant(), small.u('student'), sha256('reset'), '2100-01-01');
	INSERT INTO csm.sessions (tenant_id, user_id, expires_at, idle_minutes) VALUES (small.tenant(), small.u('student'), '2100-01-01', 30);
	INSERT INTO csm_private.session_tokens (tenant_id, session_id, token_hash) SELECT tenant_id, id, sha256('session') FROM csm.sessions;
	INSERT INTO csm.dispute_proposals (tenant_id, case_id, round, side, proposed_by, proposed_name, reference, amount, currency)
	VALUES (small.tenant(), small.c('dispute: globex'), 1, 'counterparty', small.u('globex manager'), 'Old Name', 'CN-1', 10.50, 'EUR');
	INSERT INTO csm.escalation_templates (tenant_id, template, label) VALUES (small.tenant(), 'hot', 'Hot');
	INSERT INTO csm.escalations (tenant_id, template_id, case_id, state, source, reason, severity, justification)
	SELECT tenant_id, id, small.c('north: valve'), 'requested', 'customer', 'inactivity', 'high', 'nobody answers' FROM csm.escalation_templates;
	INSERT INTO csm.recipient_lists (tenant_id, name) VALUES (small.tenant(), 'all');
	INSERT INTO csm.recipients (tenant_id, list_id, account_id) SELECT tenant_id, id, small.a('north') FROM csm.recipient_lists;
	-- publications in stages to which nobody brings them at once, and a list whose kind a trigger would judge
	UPDATE csm.recipient_lists SET kind = 'consumers';
	INSERT INTO csm.publication_series (tenant_id, audience_id, key, title) SELECT tenant_id, min(id), 'news', 'News' FROM csm.audiences GROUP BY 1;
	INSERT INTO csm.publications (tenant_id, audience_id, series_id, state, published_at, author_id, revision)
	SELECT tenant_id, audience_id, id, 'published', '2001-01-01', small.u('b2b agent'), 7 FROM csm.publication_series;
	INSERT INTO csm.publication_texts (tenant_id, publication_id, language, title, body) SELECT tenant_id, id, 'en', 'Pumps', 'They work.' FROM csm.publications;
	INSERT INTO csm.publication_acts (tenant_id, publication_id, action, note) SELECT tenant_id, id, 'reject', 'no' FROM csm.publications;
	INSERT INTO csm.publication_recipients (tenant_id, publication_id, user_id, batch) SELECT tenant_id, id, small.u('son'), 1 FROM csm.publications;
	INSERT INTO csm.case_publications (tenant_id, case_id, publication_id) SELECT tenant_id, small.c('north: valve'), id FROM csm.publications;
	INSERT INTO csm.case_children (tenant_id, parent_id, case_id) VALUES (small.tenant(), small.c('south: delivery'), small.c('north: valve'));
	INSERT INTO csm.major_changes (tenant_id, case_id, fields) VALUES (small.tenant(), small.c('south: delivery'), '{priority}');
	UPDATE csm.cases SET number = 'CS-OLD-1', updated_at = '2001-01-01', state = 'closed', state_class = 'closed', closed_at = '2001-01-01',
		assigned_to = small.u('b2b agent'), product_id = (SELECT min(id) FROM csm.products)
	WHERE id = small.c('north: pump');
});

# name => digest of all rows, in the order of their text
my $tables_sql = q{
	SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('csm', 'csm_private') AND c.relkind = 'r' AND c.relname !~ '^anchor_'
	  -- random keys and counters of a database are not part of its dump
	  AND NOT EXISTS (SELECT FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS u(oid, dumped)
					  WHERE e.extname = 'csm' AND u.oid = c.oid AND u.dumped = 'WHERE false')
	ORDER BY 1};
my @tables = split /\n/, $node->safe_psql('postgres', $tables_sql);
cmp_ok(scalar(@tables), '>', 25, 'tables to compare');

is($node->safe_psql('postgres', q{
	SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname LIKE 'csm%' AND c.relkind IN ('r', 'S') AND c.relname !~ '^anchor_'
	  AND c.oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'csm')}),
	'', 'T17 every table and sequence is registered for dump');

sub contents
{
	my ($database) = @_;
	my %found;

	$found{$_} = $node->safe_psql($database, "SELECT count(*) || ' rows ' || md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM $_ t")
	  foreach @tables;
	$found{$_} = $node->safe_psql($database, "SELECT last_value || ' ' || is_called FROM $_")
	  foreach split /\n/, $node->safe_psql($database, q{
		SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname LIKE 'csm%' AND c.relkind = 'S' ORDER BY 1});
	return \%found;
}

# What everybody sees, in the portal and as staff.
my $sight = q{
	CREATE TEMP TABLE sight (user_id bigint, role text, ids text);
	DO $$
	DECLARE
		u bigint;
		r text;
		found text;
	BEGIN
		FOR u IN SELECT id FROM csm.users ORDER BY id LOOP
			FOREACH r IN ARRAY '{csm_portal,csm_agent}'::text[] LOOP
				PERFORM set_config('csm.user_id', u::text, true), set_config('role', r, true);
				SELECT string_agg(id::text, ',' ORDER BY id) INTO found FROM csm.cases;
				PERFORM set_config('role', 'none', true);
				INSERT INTO sight VALUES (u, r, found);
			END LOOP;
		END LOOP;
	END $$;
	SELECT user_id, role, ids FROM sight ORDER BY 1, 2};

# What the history says of itself, and of which cases it is no more true.
my $chains = q{
	SELECT v::text FROM csm.verify_history() v
	UNION ALL SELECT c.number || ' ' || v.what FROM csm.cases c, csm.verify_history(c.id) v WHERE NOT v.intact};

my $rows = contents('postgres');
my $verified = $node->safe_psql('postgres', $chains);
is($verified =~ s/.*\n//r, 'CS-OLD-1 case differs from its history in assigned_to, closed_at, number, product_id, state, state_class, updated_at',
	'D5 history: only what was changed behind its back');
my $seen = $node->safe_psql('postgres', $sight);
my @empty = grep { $rows->{$_} =~ /^0 rows/ } @tables;
is("@empty", '', 'T17 every table holds rows before the dump');
cmp_ok(scalar(grep { /\d\|\w+\|\d/ } split /\n/, $seen), '>', 30, 'people who see something');

my $folder = $PostgreSQL::Test::Utils::tmp_check;
sub dump_of
{
	my ($database, $file, @options) = @_;
	system_or_bail('pg_dump', '-d', $node->connstr($database), '-f', $file, @options);
	return;
}
dump_of('postgres', "$folder/custom", '-Fc', '--exclude-schema=small');
dump_of('postgres', "$folder/plain", '--exclude-schema=small');

# Several jobs load tables at the same time, and pg_restore keeps no order among
# the tables of an extension: their foreign keys must rest meanwhile.
foreach my $how ('custom', 'custom, two jobs', 'plain')
{
	my $database = $how =~ s/\W+/_/gr;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	my @command = $how =~ /custom/
	  ? ('pg_restore', '--exit-on-error', $how =~ /jobs/ ? ('-j', 2) : (), '-d', $node->connstr($database), "$folder/custom")
	  : ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-o', "$folder/out", '-d', $node->connstr($database), '-f', "$folder/plain");
	{
		local $ENV{PGOPTIONS} = $how =~ /jobs/ ? '-c session_replication_role=replica' : '';
		command_ok(\@command, "T17 $how: restored without an error");
	}
	is_deeply(contents($database), $rows, "T17 $how: every row and sequence as it was");
	is($node->safe_psql($database, $sight), $seen, "T17 $how: everybody sees what he saw");
	is($node->safe_psql($database, 'SELECT count(*) FROM csm.verify_accounts()'), '0', "T17 $how: paths are right");
	is($node->safe_psql($database, $chains), $verified, "D5 history, $how: chains and seals are what they were");
	dump_of($database, "$folder/again");
	is(catalog("$folder/again"), catalog("$folder/plain"), "T17 $how: a dump of the copy is the dump of the original");

	# It goes on working.
	is($node->safe_psql($database, q{
		INSERT INTO csm.accounts (tenant_id, name, parent_id) SELECT tenant_id, 'new', id FROM csm.accounts WHERE name = 'plant';
		SELECT id = max(id) OVER () AND path::text LIKE '%.' || parent_id || '.' || id AND number LIKE 'ACC%'
		FROM csm.accounts ORDER BY id DESC LIMIT 1}),
		't', "T17 $how: a new row gets a new id and a path");
	is($node->safe_psql($database, "UPDATE csm.cases SET priority = 2 WHERE number <> 'CS-OLD-1' AND state_class = 'open' RETURNING updated_at > now() - interval '1 hour'") =~ /^t/ ? 1 : 0,
		1, "T17 $how: triggers fire again");
	is($node->safe_psql($database, q{
		SELECT csm_private.seal_history(t.id) > 0 FROM csm.tenants t WHERE t.key = 'small';
		SELECT v.what, v.unsealed, v.links > 40 FROM csm.verify_history() v}),
		"t\ncase differs from its history in assigned_to, closed_at, number, product_id, state, state_class, updated_at|0|t",
		"D5 history, $how: chains and seals go on");
}

# A dump's text without what differs between two runs of pg_dump.
sub catalog
{
	my ($file) = @_;
	return join '', grep { !/^\\(un)?restrict / && !/^-- / } split /^/, slurp_file($file);
}

# A restore must be what it says: a person with row_security off is none.
my ($status, $stdout, $stderr) = $node->psql('postgres', q{
	BEGIN;
	SET LOCAL ROLE csm_owner;
	SET LOCAL row_security = off;
	SELECT csm_private.restoring()});
is($stdout, 'f', 'row_security off by another than a superuser is no restore');

# csm is not dropped by mistake.
sub drops
{
	my ($database, $sql) = @_;
	my $session = session($node, dbname => $database);
	my $answer = $session->ask("\\set VERBOSITY verbose\n$sql");
	$session->quit;
	return $answer;
}
foreach my $command ('DROP EXTENSION csm', 'DROP EXTENSION csm CASCADE', 'DROP EXTENSION ltree CASCADE', 'DROP SCHEMA csm CASCADE', 'DROP OWNED BY csm_owner CASCADE')
{
	like(drops('plain', "SET client_min_messages = error; $command"), qr/ERROR (55000|2BP01)/, "T17 $command is refused while there are rows");
}
is(contents('plain')->{'csm.case_entries'}, $rows->{'csm.case_entries'}, 'T17 nothing was lost by a refused drop');
is(drops('plain', 'SET client_min_messages = error; SET csm.allow_drop = on; DROP EXTENSION csm CASCADE; SELECT 1'), '1', 'T17 csm.allow_drop allows it');
is($node->safe_psql('plain', "SELECT count(*) FROM pg_namespace WHERE nspname IN ('csm', 'csm_private', 'csm_report')"), '0', 'T17 nothing stays behind');
$node->safe_psql('plain', 'SET client_min_messages = error; CREATE EXTENSION csm');
is($node->safe_psql('plain', 'DROP EXTENSION csm; SELECT 1'), '1', 'T17 an empty one may go');

$node->stop;
done_testing();
