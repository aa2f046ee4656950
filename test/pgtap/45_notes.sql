-- Special handling notes and response templates.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.try(person text, role_name text, statement text, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN answer ~ '^ERROR' THEN substr(answer, 7, 5) ELSE answer END
    FROM small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, statement, NULL, keep) answer $$;

-- ---- handling notes: B35 ----
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'Pump') RETURNING id AS pump \gset
INSERT INTO csm.assets (tenant_id, product_id, account_id) VALUES (small.tenant(), :pump, small.a('north')) RETURNING id AS item \gset
INSERT INTO csm.assets (tenant_id, product_id, user_id) VALUES (small.tenant(), :pump, small.u('stranger')) RETURNING id AS private_item \gset
UPDATE csm.cases SET product_id = :pump, asset_id = :item WHERE id = small.c('north: pump');
CREATE FUNCTION pg_temp.note(person text, role_name text, target text, id bigint, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('INSERT INTO csm.handling_notes (%I, body) VALUES (%s, %L) RETURNING created_by = %s', target, id, target || ' by ' || person, small.u(person)), keep) $$;
SELECT is(pg_temp.note(v.who, v.role_name, v.target, v.id), v.outcome, format('B35 a note on a %s by %s as %s', v.what, v.who, v.role_name))
FROM (VALUES
    ('b2b agent', 'csm_agent', 'case', 'case_id', small.c('north: pump'), 'true'), ('b2b agent', 'csm_agent', 'consumer''s case', 'case_id', small.c('stranger: refund'), '42501'),
    ('b2b agent', 'csm_agent', 'account', 'account_id', small.a('north'), 'true'), ('b2b agent', 'csm_agent', 'contact', 'contact_id', small.k('north contact at north'), 'true'),
    ('b2b agent', 'csm_agent', 'person', 'user_id', small.u('north contact'), 'true'), ('b2b agent', 'csm_agent', 'consumer', 'user_id', small.u('stranger'), '42501'),
    ('b2b agent', 'csm_agent', 'product', 'product_id', :pump, 'true'), ('b2b agent', 'csm_agent', 'item', 'asset_id', :item, 'true'), ('b2b agent', 'csm_agent', 'consumer''s item', 'asset_id', :private_item, '42501'),
    ('consumer agent', 'csm_agent', 'consumer', 'user_id', small.u('stranger'), 'true'), ('consumer agent', 'csm_agent', 'account', 'account_id', small.a('north'), '42501'), ('consumer agent', 'csm_agent', 'case', 'case_id', small.c('north: pump'), '42501'),
    ('consumer agent', 'csm_agent', 'contact', 'contact_id', small.k('north contact at north'), '42501'), ('consumer agent', 'csm_agent', 'item', 'asset_id', :item, '42501'), ('consumer agent', 'csm_agent', 'product', 'product_id', :pump, 'true'),
    ('account team', 'csm_agent', 'account of his team', 'account_id', small.a('north'), 'true'), ('account team', 'csm_agent', 'other account', 'account_id', small.a('umbrella'), '42501'),
    ('account team', 'csm_agent', 'contact of his team', 'contact_id', small.k('north contact at north'), 'true'), ('account team', 'csm_agent', 'other contact', 'contact_id', small.k('umbrella admin at umbrella'), '42501'),
    ('viewer', 'csm_agent', 'case', 'case_id', small.c('north: pump'), '42501'), ('viewer', 'csm_agent', 'account', 'account_id', small.a('north'), '42501'), ('viewer', 'csm_agent', 'product', 'product_id', :pump, '42501'),
    ('contributor', 'csm_agent', 'case', 'case_id', small.c('acme: contributed'), '42501'), ('desk admin', 'csm_admin', 'case', 'case_id', small.c('north: pump'), '42501'),
    ('north admin', 'csm_portal', 'account', 'account_id', small.a('north'), '42501'), ('north admin', 'csm_agent', 'account', 'account_id', small.a('north'), '42501'), ('b2b agent', 'csm_portal', 'case', 'case_id', small.c('north: pump'), '42501'),
    ('b2b agent', 'csm_agent', 'missing case', 'case_id', 987654321, '42501'), ('b2b agent', 'csm_agent', 'missing person', 'user_id', 987654321, '42501'), ('b2b agent', 'csm_agent', 'missing item', 'asset_id', 987654321, '42501'),
    ('b2b agent', 'csm_agent', 'missing contact', 'contact_id', 987654321, '42501')
) v(who, role_name, what, target, id, outcome);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.handling_notes (case_id, account_id, body) VALUES (%s, %s, ''x'')', small.c('north: pump'), small.a('north'))), '23514', '23514 a note is about one thing');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'INSERT INTO csm.handling_notes (body) VALUES (''x'')'), '23514', '23514 and about something');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.handling_notes (case_id, body) VALUES (%s, '' '')', small.c('north: pump'))), '23514', '23514 blanks are no note');

-- One note on everything that the case touches, and on what it does not.
INSERT INTO csm.handling_notes (tenant_id, case_id, account_id, contact_id, user_id, product_id, asset_id, body, priority, created_at) VALUES
    (small.tenant(), small.c('north: pump'), NULL, NULL, NULL, NULL, NULL, 'on the case', 3, '2024-01-01'),
    (small.tenant(), NULL, small.a('north'), NULL, NULL, NULL, NULL, 'on the account', 3, '2024-01-02'),
    (small.tenant(), NULL, NULL, small.k('north contact at north'), NULL, NULL, NULL, 'on the contact', 3, '2024-01-03'),
    (small.tenant(), NULL, NULL, NULL, small.u('north contact'), NULL, NULL, 'on the person', 1, '2024-01-01'),
    (small.tenant(), NULL, NULL, NULL, NULL, :pump, NULL, 'on the product', 4, '2024-01-01'),
    (small.tenant(), NULL, NULL, NULL, NULL, NULL, :item, 'on the item', 2, '2024-01-01'),
    (small.tenant(), small.c('north: valve'), NULL, NULL, NULL, NULL, NULL, 'on another case', 1, '2024-01-01'),
    (small.tenant(), NULL, small.a('acme'), NULL, NULL, NULL, NULL, 'on the parent account', 1, '2024-01-01'),
    (small.tenant(), NULL, NULL, NULL, small.u('stranger'), NULL, NULL, 'on a stranger', 1, '2024-01-01'),
    (small.tenant(), NULL, NULL, NULL, NULL, NULL, :private_item, 'on another item', 1, '2024-01-01');
CREATE FUNCTION pg_temp.notes(person text, role_name text, of_case text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT string_agg(about || '': '' || body, '', '') FROM csm.notes_for(%s)', small.c(of_case))) $$;
SELECT is(pg_temp.notes('b2b agent', 'csm_agent', 'north: pump'),
          'person: on the person, asset: on the item, contact: on the contact, account: on the account, case: on the case, product: on the product', 'B35 notes for a case: by priority, then the newest');
SELECT is(pg_temp.notes(v.who, v.role_name, v.subject), v.seen, format('B35 notes for "%s" that %s reads as %s', v.subject, v.who, v.role_name))
FROM (VALUES ('account team', 'csm_agent', 'north: pump', 'person: on the person, asset: on the item, contact: on the contact, account: on the account, case: on the case, product: on the product'),
             ('viewer', 'csm_agent', 'north: pump', NULL), ('north contact', 'csm_agent', 'north: pump', NULL), ('north contact', 'csm_portal', 'north: pump', '42501'), ('b2b agent', 'csm_portal', 'north: pump', '42501'),
             ('consumer agent', 'csm_agent', 'north: pump', NULL), ('consumer agent', 'csm_agent', 'stranger: refund', 'person: on a stranger'), ('b2b agent', 'csm_agent', 'stranger: refund', NULL)) v(who, role_name, subject, seen);
SELECT is(pg_temp.try(v.who, v.role_name, 'SELECT count(*) FROM csm.handling_notes'), v.seen, format('B35 handling notes by SELECT for %s as %s', v.who, v.role_name))
FROM (VALUES ('b2b agent', 'csm_agent', '8'), ('consumer agent', 'csm_agent', '3'), ('desk manager', 'csm_agent', '10'), ('viewer', 'csm_agent', '0'), ('north admin', 'csm_agent', '0'),
             ('desk admin', 'csm_agent', '0'), ('nobody', 'csm_agent', '0'), ('north admin', 'csm_portal', '42501')) v(who, role_name, seen);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'SELECT count(*) FROM csm.notes_for(987654321)'), '0', 'B35 no notes for a missing case');
-- Expiry.
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'UPDATE csm.handling_notes SET expires_at = clock_timestamp() WHERE body = ''on the item'' RETURNING 1', true), '1', 'B35 a note is ended');
SELECT unalike(pg_temp.notes('b2b agent', 'csm_agent', 'north: pump'), '%on the item%', 'B35 and not shown from then on, with no job to run');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'UPDATE csm.handling_notes SET expires_at = now() + interval ''1 day'' WHERE body = ''on the item'' RETURNING 1', true), '1', 'B35 an end ahead');
SELECT alike(pg_temp.notes('b2b agent', 'csm_agent', 'north: pump'), '%on the item%', 'B35 is none yet');
SELECT is(pg_temp.try('consumer agent', 'csm_agent', 'WITH u AS (UPDATE csm.handling_notes SET body = ''x'' WHERE body = ''on the item'' RETURNING 1) SELECT count(*) FROM u'), '0', 'B35 who does not see a note does not change it');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'UPDATE csm.handling_notes SET account_id = 1'), '42501', '42501 what a note is about stays');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'DELETE FROM csm.handling_notes'), '42501', '42501 a note is ended, not deleted');
-- At most 20.
INSERT INTO csm.handling_notes (tenant_id, account_id, body, priority, created_at)
SELECT small.tenant(), small.a('south'), 'note ' || i, CASE WHEN i = 7 THEN 1 ELSE 3 END, '2024-01-01'::timestamptz + i * interval '1 day' FROM generate_series(1, 25) i;
SELECT is(pg_temp.notes('b2b agent', 'csm_agent', 'south: delivery'),
          'account: note 7, ' || (SELECT string_agg('account: note ' || i, ', ' ORDER BY i DESC) FROM generate_series(6, 25) i WHERE i <> 7), 'B35 the first twenty');

-- ---- response templates: B56 ----
SELECT is(pg_temp.try(v.who, v.role_name, 'INSERT INTO csm.response_templates (name, body) VALUES (''t'', ''Hello'') RETURNING name'), v.outcome, format('B56 a template by %s as %s', v.who, v.role_name))
FROM (VALUES ('desk admin', 'csm_admin', 't'), ('b2b agent', 'csm_agent', '42501'), ('desk manager', 'csm_admin', '42501'), ('north admin', 'csm_portal', '42501'), ('north admin', 'csm_admin', '42501')) v(who, role_name, outcome);
SELECT is(pg_temp.try('desk admin', 'csm_admin', format('INSERT INTO csm.response_templates (name, body) VALUES (''t'', %L) RETURNING name', v.body)), v.outcome, format('B56 template "%s"', v.body))
FROM (VALUES ('Dear {{requester.name}}', 't'), ('{{case.number}}{{case.number}}', 't'), ('one { brace } is text', 't'), ('Dear {{requester.salary}}', '22023'), ('{{}}', '22023'), ('{{ case.number }}', '22023'),
             ('Dear {{requester.name', '22023'), ('Dear requester.name}}', '22023'), ('{{case.number}} {{', '22023'), ('{{{case.number}}}', 't'), ('{{case.{{number}}}}', '22023'), ('{{CASE.NUMBER}}', '22023')) v(body, outcome);
INSERT INTO csm.response_templates (tenant_id, name, body) VALUES
    (small.tenant(), 'greeting', E'Dear {{requester.name}},\nyour case {{case.number}} ({{case.subject}}) of {{account.name}} is {{case.state}}.\n{{assignee.name}}{{me.name}}'),
    (small.tenant(), 'plain', 'No placeholder'), (small.tenant(), 'edges', '{{case.number}}'), (small.tenant(), 'notes', 'We say: {{case.resolution_notes}} \1 & done'), (small.tenant(), 'other', '{{counterparty.name}}|{{product.name}}|{{case.priority}}');
INSERT INTO csm.response_templates (tenant_id, name, body, active) VALUES (small.tenant(), 'retired', 'x', false);
SELECT throws_ok(format('UPDATE csm.response_templates SET body = ''{{gone}}'' WHERE name = ''plain'''), '22023', NULL, '22023 a change is checked like a new one, whoever writes');
CREATE FUNCTION pg_temp.render(person text, role_name text, template text, of_case text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT csm.render_template(%L, %s)', template, CASE WHEN of_case = 'missing' THEN 987654321 ELSE small.c(of_case) END)) $$;
SELECT is(pg_temp.render('b2b agent', 'csm_agent', 'greeting', 'north: pump'),
          format(E'Dear north contact,\nyour case CS%s (north: pump) of north is Open.\nb2b agent', lpad(small.c('north: pump')::text, 7, '0')), 'B56 a template is filled in');
SELECT is(pg_temp.render(v.who, v.role_name, v.template, v.subject), v.outcome, format('B56 template %s for "%s" by %s as %s', v.template, v.subject, v.who, v.role_name))
FROM (VALUES ('b2b agent', 'csm_agent', 'plain', 'north: pump', 'No placeholder'), ('b2b agent', 'csm_agent', 'edges', 'north: pump', 'CS' || lpad(small.c('north: pump')::text, 7, '0')), ('b2b agent', 'csm_agent', 'notes', 'north: pump', 'We say:  \1 & done'),
             ('b2b agent', 'csm_agent', 'other', 'north: pump', '|Pump|4'), ('b2b agent', 'csm_agent', 'other', 'dispute: globex', 'globex||4'), ('viewer', 'csm_agent', 'plain', 'north: pump', 'No placeholder'),
             ('b2b agent', 'csm_agent', 'gone', 'north: pump', '22023'), ('b2b agent', 'csm_agent', 'retired', 'north: pump', '22023'), ('b2b agent', 'csm_agent', 'plain', 'stranger: refund', 'SM001'), ('b2b agent', 'csm_agent', 'plain', 'missing', 'SM001'),
             ('north contact', 'csm_agent', 'plain', 'north: pump', '22023'), ('north contact', 'csm_portal', 'plain', 'north: pump', '42501')) v(who, role_name, template, subject, outcome);
-- A value is text, whatever stands in it.
UPDATE csm.cases SET resolution_notes = '{{requester.name}} {{gone}} \1 $1', subject = '{{me.name}}' WHERE id = small.c('north: pump');
SELECT is(pg_temp.render('b2b agent', 'csm_agent', 'notes', 'north: pump'), 'We say: {{requester.name}} {{gone}} \1 $1 \1 & done', 'B56 braces in a value are not expanded again');
-- Every placeholder that is accepted has a place in the values, and the reverse.
INSERT INTO csm.response_templates (tenant_id, name, body) SELECT small.tenant(), 'all', string_agg('{{' || placeholder || '}}', ' ') FROM csm_private.template_values(NULL);
SELECT unalike(pg_temp.render('b2b agent', 'csm_agent', 'all', 'dispute: globex'), '%{{%', 'B56 every placeholder is filled in');
SELECT is(pg_temp.try('viewer', 'csm_agent', 'SELECT count(*) > 0 FROM csm.response_templates'), 'true', 'B56 staff read the templates');
SELECT is(pg_temp.try('north contact', 'csm_agent', 'SELECT count(*) FROM csm.response_templates'), '0', 'B56 and nobody else');
SELECT * FROM finish();
