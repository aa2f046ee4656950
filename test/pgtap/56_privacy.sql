-- Personal data: every column is classified; what is exported, to whom; an erasure leaves no trace and breaks nothing;
-- mentions by others; legal holds; retention; what reporting sees.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
\ir ../lib/quaddle.sql
SELECT * FROM no_plan();

-- The catalogue of personal columns.
CREATE TEMP VIEW wordy AS
SELECT n.nspname || '.' || c.relname AS tab, a.attname::text AS col, a.attstattarget, y.typname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type y ON y.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('csm', 'csm_private')
  AND y.typname IN ('text', '_text', 'varchar', 'bpchar', 'name', 'json', 'jsonb', '_jsonb', 'bytea', 'tsvector', 'xml', 'inet', 'citext', 'hstore');
SELECT is_empty('SELECT tab, col FROM wordy EXCEPT SELECT table_name, column_name FROM csm_private.personal_columns()',
                'A37 every column that can hold words is classified in csm_private.personal_columns()');
SELECT is_empty('SELECT table_name, column_name FROM csm_private.personal_columns() EXCEPT SELECT tab, col FROM wordy',
                'A37 personal_columns() names no column that is not there');
SELECT is_empty('SELECT table_name, column_name FROM csm_private.personal_columns() GROUP BY 1, 2 HAVING count(*) > 1', 'A37 personal_columns() names each once');
SELECT is_empty($$SELECT * FROM csm_private.personal_columns() WHERE content NOT IN ('none', 'person', 'text', 'secret')
                  OR (content = 'none') <> (erasure IS NULL) OR erasure NOT IN ('null', 'word', 'object', 'list', 'delete', 'own', 'offer')
                  OR erasure IN ('null', 'word', 'object', 'list', 'delete') AND subject IS NULL$$, 'A37 personal_columns() says of each what becomes of it');
SELECT is_empty($$SELECT p.table_name, p.subject FROM csm_private.personal_columns() p
                  WHERE p.subject IS NOT NULL AND NOT EXISTS (SELECT FROM csm.person_references() r WHERE r.table_name = p.table_name AND r.column_name = p.subject)$$,
                'A37 subjects are columns that name a person');
SELECT is_empty($$SELECT w.tab, w.col FROM wordy w JOIN csm_private.personal_columns() p ON p.table_name = w.tab AND p.column_name = w.col
                  WHERE p.content <> 'none' AND w.attstattarget <> 0 AND (w.tab, w.col) NOT IN (('csm.cases', 'subject'), ('csm.cases', 'search'),
                                                                                    ('csm.articles', 'title'), ('csm.articles', 'search'),
                                                                                    ('csm.questions', 'title'), ('csm.questions', 'search'))$$,
                'A37 the planner keeps no samples of personal columns');
SELECT is_empty($$SELECT n.nspname || '.' || c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid = 'bigint'::regtype
                  WHERE c.relkind = 'r' AND n.nspname IN ('csm', 'csm_private')
                    AND a.attname ~ '(^|_)(user|actor|author|person|requester|approver|member|manager)_id$|_by$|^on_behalf_of$'
                  EXCEPT SELECT table_name, column_name FROM csm.person_references()$$, 'A37 whatever names a person is exported');

-- Reporting.
SELECT is_empty($$SELECT p.table_name, p.column_name FROM csm_private.personal_columns() p
                  WHERE p.content <> 'none' AND p.table_name <> 'csm.accounts' AND has_column_privilege('csm_reporter', p.table_name, p.column_name, 'SELECT')$$,
                'A37 csm_reporter reads no personal column');
SELECT is(small.run(small.u('desk manager'), 'csm_reporter', $$SELECT label || ' ' || is_consumer FROM csm_report.people WHERE id = $$ || small.u('her')),
          'Person ' || small.u('her') || ' true', 'A37 reporting sees a number in place of a name');
SELECT is(small.run(small.u('desk manager'), 'csm_reporter', 'SELECT display_name FROM csm.users LIMIT 1'), 'ERROR 42501: permission denied for table users', 'A37 and not the name');

-- Export.
SELECT is(small.run(small.u('stranger'), 'csm_portal', format('SELECT csm.export_person(%s)', small.u('her'))),
          format('ERROR 42501: permission denied for personal data of user %s', small.u('her')), 'A37 export: not of another person');
SELECT is(small.run(small.u(person), 'csm_agent', format('SELECT csm.export_person(%s)', id)), format('ERROR 42501: permission denied for personal data of user %s', id),
          format('V15 export by %s of %s', person, what))
FROM (VALUES ('b2b agent', 'a customer', small.u('her')), ('desk manager', 'nobody', 99999999), ('viewer', 'a customer', small.u('her')),
             ('desk manager', 'somebody of another tenant', (SELECT min(u.id) FROM csm.users u WHERE u.tenant_id = small.tenant('foreign')))) v(person, what, id);
SELECT ok(small.run(small.u('her'), 'csm_portal', 'SELECT csm.export_person()')::jsonb @> format($${"user_id": %1$s, "made_by": %1$s, "parts": [
              {"table": "csm.users", "through": "id", "rows": [{"display_name": "Wilhelmina Quaddle", "phone": "+49 5557788"}]},
              {"table": "csm.cases", "through": "requester_id", "rows": [{"subject": "Quaddle pump broke"}]},
              {"table": "csm.case_entries", "through": "author_id", "rows": [{"body": "Wilhelmina here again"}]},
              {"table": "csm.case_entries", "through": "csm.cases.requester_id", "rows": [{"body": "Dear Ms Quaddle, we look at it."}]},
              {"table": "csm.attachments", "through": "author_id", "rows": [{"file_name": "quaddle.txt"}]},
              {"table": "csm.case_history", "through": "actor_id"}]}$$, small.u('her'))::jsonb, 'A37 export: a person, of herself, with where each row comes from');
SELECT ok(NOT small.run(small.u('her'), 'csm_portal', 'SELECT csm.export_person()')::jsonb::text ~ 'calls often|Call Quaddle', 'A37 export: not what staff wrote for staff');
SELECT ok(small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.export_person(%s)', small.u('her')))::jsonb @> $${"parts": [
              {"table": "csm.handling_notes", "through": "user_id", "rows": [{"body": "Quaddle calls often"}]},
              {"table": "csm.assets", "through": "user_id", "rows": [{"location": "3 Quaddle Street"}]},
              {"table": "csm.cases", "through": "requester_id", "rows": [{"subject": "Quaddle pump broke"}]}]}$$, 'A37 export: who keeps personal data gets all');
SELECT ok(NOT small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.export_person(%s)', small.u('her'))) ~ '"(salt|token_hash|hash|search)"', 'A37 export: no secrets');
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('her');
SELECT ok(NOT small.run(small.u('her'), 'csm_portal', 'SELECT csm.export_person()')::jsonb::text ~ 'pump broke', 'V10 export: what she may not see any more, she does not get');
UPDATE csm.contacts SET valid_during = NULL WHERE user_id = small.u('her');

-- From the request to the erasure: two persons.
CREATE FUNCTION small.tries(person text, statement text, keep boolean DEFAULT false, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, statement, NULL, keep)
$$;
SELECT 'SELECT csm.erase_person(' || small.u('her') || ', ''she asked'')' AS erase, 'SELECT (csm.request_erasure(' || :wish || ', ''she asked, Quaddle'')).id' AS request \gset
SELECT is(small.tries('desk manager', :'erase'), 'ERROR 55000: nobody asked for the erasure of user ' || small.u('her'), 'A37 no erasure without a request');
SELECT is(small.tries('consumer agent', :'request'), 'ERROR SM001: case ' || :wish || ' does not exist', 'SM001 a privacy request that one may not see');
SELECT is(small.tries('viewer', :'request'), 'ERROR 42501: permission denied to ask for an erasure from case ' || (SELECT number FROM csm.cases WHERE id = :wish), 'A37 who only reads asks for no erasure');
SELECT is(small.tries('b2b agent', :'request'), 'ERROR 22023: case ' || (SELECT number FROM csm.cases WHERE id = :wish) || ' is no privacy request for erasure whose identity is confirmed',
          'A37 identity comes first');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.act(%s, ''take'')).id', :wish));
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.set_fields(%s, '{"identity_proof": "passport of Quaddle"}')).id$$, :wish));
SELECT is(small.tries('b2b agent', format('SELECT csm.request_erasure(%s, ''x'')', :pump)) ~ '^ERROR 22023', true, 'A37 only from a privacy request');
SELECT ok(small.tries('desk manager', :'request', true) ~ '^[0-9]+$', 'A37 a manager who works on the request asks for the erasure');
SELECT is(small.tries('b2b agent', :'request') ~ '^ERROR 23505', true, 'A37 once');
SELECT is(small.tries('desk manager', :'erase'), 'ERROR 42501: erasing user ' || small.u('her') || ' takes a second person', 'A37 who asked does not approve');
SELECT is(small.tries('b2b agent', :'erase'), 'ERROR 42501: permission denied for personal data of user ' || small.u('her'), 'A37 an agent does not erase');
SELECT is(small.tries('desk admin', format('SELECT csm.erase_person(%s, '' '')', small.u('her')), false, 'csm_admin'), 'ERROR 22023: an erasure needs a reason', '22023 no reason');
SELECT is(small.tries('her', :'erase', false, 'csm_portal'), 'ERROR 42501: permission denied for function erase_person', 'A37 nobody erases from the portal');

-- Legal holds.
SELECT is(small.tries('b2b agent', format('SELECT csm.place_hold(''x'', user_id => %s)', small.u('her'))), 'ERROR 42501: permission denied to place a legal hold', 'A37 holds are for those who keep personal data');
SELECT is(small.tries('desk manager', 'SELECT csm.place_hold(''x'', user_id => 99999999)'), 'ERROR 42501: permission denied to place a legal hold', 'V15 a hold on nobody: the same words');
SELECT is(small.tries('desk manager', format('SELECT csm.place_hold(''x'', user_id => %s, case_id => %s)', small.u('her'), :pump)) ~ '^ERROR', true, 'A37 a hold is on one thing');
CREATE FUNCTION small.held(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hold bigint := small.does('desk manager', 'csm_agent', 'SELECT (csm.place_hold(''court'', ' || what || ')).id');
    answer text := small.tries('desk admin', format('SELECT csm.erase_person(%s, ''she asked'')', small.u('her')), false, 'csm_admin');
BEGIN
    PERFORM small.does('desk admin', 'csm_admin', format('SELECT (csm.release_hold(%s)).id', hold));
    RETURN answer;
END $$;
SELECT is(small.held(what), 'ERROR 55006: user ' || small.u('her') || ' is under a legal hold', 'A37 a hold keeps her: ' || split_part(what, ' ', 1))
FROM (VALUES ('user_id => ' || small.u('her')), ('case_id => ' || :pump), ('account_id => ' || small.a('north'))) v(what);
SELECT is((SELECT count(*) FROM csm.legal_holds WHERE released_at IS NULL), 0::bigint, 'A37 holds are released, and stay on record');

-- What others wrote.
SELECT is(small.tries('b2b agent', format('SELECT csm.find_mentions(%s)', small.u('her'))), 'ERROR 42501: permission denied for personal data of user ' || small.u('her'), 'A37 mentions are for those who keep personal data');
CREATE TABLE small.mentions AS SELECT * FROM csm.find_mentions(small.u('her'));
SELECT set_has('SELECT table_name, column_name, case_id FROM small.mentions',
               format($$VALUES ('csm.case_entries', 'body', %s), ('csm.cases', 'description', %s), ('csm.case_tasks', 'subject', %2$s), ('csm.case_history', 'payload', %2$s)$$, :pump, :invoice),
               'A37 mentions: the agent''s answer, a colleague''s case and its history, a task');
SELECT is_empty(format($$SELECT * FROM small.mentions WHERE table_name = 'csm.cases' AND row_id = %s$$, :pump), 'A37 mentions: not what an erasure empties by itself');
SELECT is(small.tries('desk manager', m.call), 'ERROR 42501: redacting what others wrote about user ' || small.u('her') || ' takes a second person', 'A37 who asked does not redact')
FROM (SELECT format('SELECT csm.redact_mention(%s, %L, %L, %s)', small.u('her'), table_name, column_name, row_id) AS call FROM small.mentions LIMIT 1) m;
SELECT is(small.tries('desk admin', format('SELECT csm.redact_mention(%s, ''csm.users'', ''email'', 1)', small.u('her')), false, 'csm_admin'), 'ERROR 22023: nothing can be redacted in column csm.users.email', '22023 no such place');
SELECT is(small.tries('desk admin', format('SELECT csm.redact_mention(%s, %L, %L, %s)', small.u('her'), table_name, column_name, row_id), true, 'csm_admin'), 'true',
          format('A37 redacted: %s.%s', table_name, column_name)) FROM small.mentions ORDER BY table_name, row_id;
SELECT is((SELECT description FROM csm.cases WHERE id = :invoice), 'My colleague erased (erased) knows more.', 'A37 a redacted text keeps the rest');
SELECT is((SELECT array_agg(table_name || '.' || column_name) FROM csm.find_mentions(small.u('her'))), NULL, 'A37 nothing is left to redact');

-- The erasure.
ANALYZE;
SELECT ok(count(*) > 15, 'A37 before, her traces are everywhere') FROM small.traces();
CREATE TABLE small.counts AS SELECT (SELECT count(*) FROM csm.cases) AS cases, (SELECT count(*) FROM csm.case_entries) AS entries,
    (SELECT count(*) FROM csm.attachments) AS files, (SELECT count(*) FROM csm.users) AS users, (SELECT sum(length(hash)) FROM csm.case_history) AS links;
CREATE TABLE small.chain AS SELECT id, case_id, seq, at, action, actor_id, hash FROM csm.case_history;
SELECT is(small.tries('desk admin', :'erase', true, 'csm_admin') ~ '^\(', true, 'A37 the second person erases');
SELECT is_empty('SELECT * FROM small.traces()', 'A37 no trace of her is left in any table, search vector or statistic');
SELECT is_empty('SELECT * FROM small.chain c WHERE NOT EXISTS (SELECT FROM csm.case_history h WHERE (h.id, h.case_id, h.seq, h.at, h.action, h.hash) = (c.id, c.case_id, c.seq, c.at, c.action, c.hash)
                   AND h.actor_id IS NOT DISTINCT FROM c.actor_id)', 'A37 every link of history stays, with who and when');
SELECT is((SELECT intact || ' ' || coalesce(what, '') FROM csm.verify_history()), 'true ', 'A37 the history verifies');
SELECT ok((SELECT erased > 5 FROM csm.verify_history()), 'A37 and counts what was erased');
SELECT is((SELECT format('%s %s %s %s', (SELECT count(*) FROM csm.cases), (SELECT count(*) FROM csm.case_entries), (SELECT count(*) FROM csm.attachments), (SELECT count(*) FROM csm.users))),
          (SELECT format('%s %s %s %s', cases, entries, files, users) FROM small.counts), 'A37 cases, entries, files and persons are as many as before');
SELECT is((SELECT format('%s %s %s %s', subject, state, requester_id, closed_at IS NOT NULL) FROM csm.cases WHERE id = :pump),
          format('erased closed %s t', small.u('her')), 'A37 her case stays, closed, without a word of it');
SELECT is((SELECT string_agg(h.action || ' ' || h.relation || ' ' || (h.payload ->> 'subject'), ';') FROM csm.case_history h WHERE h.case_id = :pump AND h.action = 'erase'),
          'erase system [null, "erased"]', 'A37 its history says that it was erased, and nothing of what it was');
SELECT is((SELECT format('%s|%s|%s|%s', display_name, email, phone, enabled) FROM csm.users WHERE id = small.u('her')), 'erased|||f', 'A37 her row stays as a number');
SELECT is(small.run(small.u('her'), 'csm_portal', 'SELECT coalesce(csm.current_user_id(), 0)'), '0', 'A37 she is nobody any more');
SELECT is((SELECT format('%s %s %s', requested_by = small.u('desk manager'), approved_by = small.u('desk admin'), erased ->> 'cases') FROM csm.erasure_requests WHERE user_id = small.u('her')),
          't t 2', 'A37 the record: who asked, who approved, how much');
SELECT ok(EXISTS (SELECT FROM csm.audit_log WHERE kind = 'person_erased' AND subject_user_id = small.u('her') AND actor_id = small.u('desk admin')), 'A37 audited');
SELECT is(small.sees('north contact', 'north: pump'), true, 'A37 everybody else sees what he saw');
SELECT lives_ok(format('SELECT csm.case_as_of(%s, clock_timestamp())', :pump), 'A37 case_as_of() bears it');
SELECT throws_ok(format('UPDATE csm.case_entries SET body = ''x'' WHERE case_id = %s', :pump), '42501', NULL, 'A37 the door is closed again');
SELECT throws_ok(format('UPDATE csm.cases SET subject = ''x'' WHERE id = %s', :pump), 'SM004', NULL, 'SM004 a closed case is closed again');
SELECT is(csm_private.restoring(), false, 'A37 guards are back');

-- Retention.
CREATE FUNCTION small.retention(rules text) RETURNS void LANGUAGE sql AS $$
    UPDATE csm.tenants SET settings = CASE WHEN rules IS NULL THEN settings - 'retention' ELSE settings || jsonb_build_object('retention', rules::jsonb) END WHERE id = small.tenant()
$$;
SELECT throws_ok(format('SELECT small.retention(%L)', r), '22023', NULL, '22023 no such rule: ' || r) FROM unnest(ARRAY['{"years": 3}', '{"case_days": 0}', '{"case_days": "x"}', '[]', '{"case_days": -1}', 'null']) r;
SELECT small.retention('{"case_days": 30, "person_days": 60}');
SELECT ok(due_at > now(), 'A37 a tenant with the setting has a timer') FROM csm.timers WHERE kind = 'retention' AND tenant_id = small.tenant();
SELECT is(small.tries('desk admin', 'SELECT count(*) FROM csm.run_retention(clock_timestamp() + interval ''1 day'')', false, 'csm_admin'), 'ERROR 42501: what is to be kept still cannot be erased', 'A37 an administrator cannot run ahead of the clock');
SELECT is(small.tries('desk manager', 'SELECT count(*) FROM csm.run_retention()'), 'ERROR 42501: permission denied for function run_retention', 'A37 retention is run by administrators');
SELECT is(small.tries('desk admin', 'SELECT string_agg(concat_ws('' '', kind, erased, held), '', '') FROM csm.run_retention()', false, 'csm_admin'), 'case 0 0, person 0 0, registration 0 0', 'A37 nothing is over yet');
-- one case that is over, one held, one that is open; a person who left, one who is held, one with an open case
SELECT small.does('stranger', 'csm_portal', $$SELECT (csm.open_case('over', 'personal words')).id$$) AS over \gset
SELECT small.does('stranger', 'csm_portal', $$SELECT (csm.open_case('held', 'personal words')).id$$) AS held \gset
SELECT small.does('consumer agent', 'csm_agent', format('SELECT (csm.comment(%s, ''staff words'')).id', :over));
SELECT small.does('stranger', 'csm_portal', format('SELECT (csm.act(%s, ''close'')).id', i)) FROM unnest(ARRAY[:over, :held]) i;
SELECT small.does('desk manager', 'csm_agent', format('SELECT (csm.place_hold(''court'', case_id => %s)).id', :held));
SELECT small.new_user('gone'), small.new_user('gone but held');
SELECT small.does('desk manager', 'csm_agent', format('SELECT (csm.place_hold(''court'', user_id => %s)).id', small.u('gone but held')));
SELECT is((SELECT string_agg(concat_ws(' ', r.kind, r.erased, r.held), ', ' ORDER BY r.kind) FROM csm.run_retention(clock_timestamp() + interval '31 days') r), 'case 1 1, person 0 0, registration 0 0', 'A37 a month later one case is over, one held');
SELECT is((SELECT string_agg(subject || ' ' || coalesce(description, '-'), ', ' ORDER BY id) FROM csm.cases WHERE id IN (:over, :held)), 'erased -, held personal words', 'A37 the texts of that one are gone');
SELECT is((SELECT string_agg(DISTINCT body, ', ') FROM csm.case_entries WHERE case_id = :over), 'erased', 'A37 also what staff wrote there');
SELECT is((SELECT intact FROM csm.verify_history()), true, 'A37 the history verifies after it');
SELECT is((SELECT string_agg(concat_ws(' ', r.kind, r.erased, r.held), ', ' ORDER BY r.kind) FROM csm.run_retention(clock_timestamp() + interval '31 days') r), 'case 0 1, person 0 0, registration 0 0', 'A37 a second run finds nothing');
SELECT ok((SELECT string_agg(u.display_name, ', ' ORDER BY u.id) FROM csm.users u WHERE u.id IN (small.u('gone'), small.u('gone but held'), small.u('mother'), small.u('employee'))) !~ 'erased', 'A37 no person yet');
SELECT small.u('gone') AS gone \gset
CREATE TABLE small.before AS SELECT id FROM csm.users WHERE display_name = 'erased';
SELECT csm.run_retention(clock_timestamp() + interval '61 days');
SELECT is((SELECT string_agg(u.display_name, ', ' ORDER BY u.display_name) FROM csm.users u WHERE u.id IN (small.u('gone'), small.u('gone but held'), small.u('mother'), small.u('employee'), small.u('north contact'))),
          'employee, erased, gone but held, mother, north contact', 'A37 who left is erased; who is held, has an open case, or works here is not');
SELECT is((SELECT array_agg(u.id) FROM csm.users u WHERE u.display_name = 'erased' AND u.id NOT IN (TABLE small.before)), ARRAY[:gone::bigint],
          'A37 nobody else: personas, households and representations in use keep a person');
SELECT is((SELECT done FROM csm.run_due(clock_timestamp() + interval '2 hours') WHERE kind = 'retention'), 1::bigint, 'A37 csm.run_due() runs it');
SELECT small.retention(NULL);
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'retention'), 0::bigint, 'A37 without the setting there is no timer');
SELECT * FROM finish();
