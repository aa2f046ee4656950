-- Acting for another: csm.on_behalf_of(), what it gives, takes, and leaves behind.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/tokens.sql
SELECT * FROM no_plan();
GRANT SELECT ON small.named TO csm_agent, csm_portal;

-- As small.run(), acting for somebody.
CREATE FUNCTION small.for(person text, other text, role_name text, statement text, keep boolean DEFAULT false, persona text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', small.u(person)::text, true);
        PERFORM set_config('role', role_name, true);
        IF persona IS NOT NULL THEN
            PERFORM csm.act_as(persona);
        END IF;
        PERFORM csm.on_behalf_of(small.u(other));
        IF NOT row_security_active('csm.cases') THEN
            RAISE EXCEPTION 'row security is not active for %', role_name;
        END IF;
        EXECUTE statement INTO answer;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        END IF;
        PERFORM csm.on_behalf_of(NULL);
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := 'ERROR ' || SQLSTATE || ': ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.persona', '', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
CREATE FUNCTION small.ids(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, 'SELECT coalesce(string_agg(id::text, '','' ORDER BY id), ''none'') FROM csm.cases');
CREATE FUNCTION small.ids_for(person text, other text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql
RETURN small.for(person, other, role_name, 'SELECT coalesce(string_agg(id::text, '','' ORDER BY id), ''none'') FROM csm.cases');

-- Who may: nobody until a tenant says so.
SELECT is(small.ids_for('desk manager', 'north contact') LIKE 'ERROR 42501: permission denied to act for user %', true, 'D2 no shipped role acts for others');
INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES
    (small.tenant(), 'manager', 'act_for', 'all'), (small.tenant(), 'agent', 'act_for', 'all'), (small.tenant(), 'relationship_agent', 'act_for', 'team'),
    (small.tenant(), 'customer_admin', 'act_for', 'subtree'), (small.tenant(), 'person', 'act_for', 'own');
SELECT is(small.ids_for('north admin', 'north contact') LIKE 'ERROR 42501%', true, 'D2 it is for staff, whatever the rows say');
SELECT is(small.ids_for('account team', 'north contact') LIKE 'ERROR 42501%', true, 'D2 and with reach all alone');
SELECT is(small.ids_for('consumer agent', 'mother') LIKE 'ERROR 42501%', true, 'D2 a role that has it not');
SELECT is(small.run(small.u('desk manager'), 'csm_portal', format('SELECT csm.on_behalf_of(%s)', small.u('north contact'))) LIKE 'ERROR 42501%', true, 'D2 nor on a connection for customers');
SELECT is(small.run(NULL, 'csm_agent', format('SELECT csm.on_behalf_of(%s)', small.u('north contact'))) LIKE 'ERROR 42501%', true, 'V14 nobody acts for nobody');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.on_behalf_of(%s)', id)) = format('ERROR 42501: permission denied to act for user %s', id), true, 'V15 missing, foreign and disabled: the same words')
FROM (VALUES (900000000000), ((SELECT u.id FROM csm.users u WHERE u.email = 'admin@foreign.example')), (small.new_user('gone', false))) v(id);

-- What it gives.
SELECT is(small.ids_for('desk manager', 'north contact'), small.ids('north contact'), 'D2 the cases of a contact');
SELECT isnt(small.ids('north contact'), 'none', 'D2 which are some');
SELECT isnt(small.ids('north contact'), small.ids('desk manager', 'csm_agent'), 'D2 and not those of the manager');
SELECT is(small.ids_for('desk manager', n), small.ids(n), 'D2 the cases of ' || n)
FROM unnest('{north manager,acme admin,paragon partner,broker admin,mother,son,daughter,student,employee,all three,globex lawyer,stranger}'::text[]) n;
SELECT is(small.ids_for('desk manager', 'viewer'), small.ids('viewer', 'csm_portal'), 'D2 of staff: as a customer, not as staff');
SELECT is(small.ids_for('desk manager', 'desk admin'), small.ids('desk admin', 'csm_portal'), 'D2 nor as administrator');
-- Never more than he could do himself: an agent for companies reaches branch b2b.
SELECT is(small.ids_for('b2b agent', 'north contact'), small.ids('north contact'), 'D2 an agent for companies: a contact');
SELECT is(small.ids_for('b2b agent', 'mother'), 'none', 'D2 nothing of a consumer');
SELECT is(small.ids_for('b2b agent', 'student'), 'none', 'D2 nothing of an employee');
SELECT is(small.ids_for('b2b agent', 'all three'), small.run(small.u('all three'), 'csm_portal', 'SELECT string_agg(id::text, '','' ORDER BY id) FROM csm.cases WHERE branch = ''b2b'''), 'D2 of one who is both the part for companies');
DELETE FROM csm.role_permissions WHERE role = 'agent' AND action = 'contact_read' AND tenant_id = small.tenant();
SELECT is(small.ids_for('b2b agent', 'north contact') LIKE 'ERROR 42501%', true, 'D2 nor where he may not know whose contact it is');
INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (small.tenant(), 'agent', 'contact_read', 'all');
CREATE TEMP TABLE beyond AS
SELECT a.name AS agent, o.name AS other, i.id
FROM (VALUES ('desk manager'), ('b2b agent')) a(name)
JOIN small.named o ON o.kind = 'user' AND o.name NOT IN ('gone', a.name)
CROSS JOIN LATERAL regexp_split_to_table(small.ids_for(a.name, o.name), ',') i(id)
WHERE i.id <> 'none';
SELECT cmp_ok((SELECT count(*) FROM beyond), '>', 60::bigint, 'D2 for everybody: some cases');
SELECT is((SELECT count(*) FROM beyond b WHERE NOT b.id = ANY (string_to_array(small.ids(b.agent, 'csm_agent'), ','))), 0::bigint, 'D2 none that the agent does not see himself');
SELECT is((SELECT count(*) FROM beyond b WHERE NOT b.id = ANY (string_to_array(small.ids(b.other), ','))), 0::bigint, 'D2 nor the other person');

-- Actions: what both may.
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT (csm.comment(%s, ''for him'')).body', small.c('north: pump'))), 'for him', 'D2 allow: comments');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT (csm.comment(%s, ''for him'')).body', small.c('north: valve'))) LIKE 'ERROR SM001%', true, 'D2 deny: on a case that the person does not see');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT (csm.comment(%s, ''for him'', ''internal'')).body', small.c('north: pump'))) LIKE 'ERROR 42501%', true, 'D2 deny: no work note');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('UPDATE csm.cases SET priority = 1 WHERE id = %s RETURNING 1', small.c('north: pump'))) IS NULL, true, 'D2 deny: no plain UPDATE');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET state = 'resolved', resolution_code = 'x', resolution_notes = 'x' WHERE id = small.c('north: pump');
SET LOCAL csm.importing = off;
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT (csm.act(%s, ''accept'')).state', small.c('north: pump'))) LIKE 'ERROR 42501%', true, 'D2 deny: does not decide for him, for staff never does');
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('SELECT (csm.act(%s, ''accept'')).state', small.c('north: pump'))), 'closed', 'D2 allow: he himself does');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET state = 'open' WHERE id = small.c('north: pump');
SET LOCAL csm.importing = off;
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'SELECT (csm.open_case(''for him'')).requester_id'), small.u('north contact')::text, 'D2 allow: opens a case for him');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'WITH n AS (INSERT INTO csm.cases (subject) VALUES (''for him'') RETURNING *) SELECT concat_ws('','', branch, requester_id, opened_by, account_id) FROM n'),
          format('b2b,%s,%s,%s', small.u('north contact'), small.u('desk manager'), small.a('north')), 'D2 which names both');
SELECT is(small.for('b2b agent', 'mother', 'csm_agent', 'INSERT INTO csm.cases (subject) VALUES (''for her'') RETURNING branch') LIKE 'ERROR 42501%', true, 'D2 deny: not in a branch that is not his');
SELECT is(small.for('desk manager', 'mother', 'csm_agent', 'INSERT INTO csm.cases (subject) VALUES (''for her'') RETURNING branch'), 'b2c', 'D2 allow: by one whose it is');

-- What concerns the person alone stays his.
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'SELECT csm.current_user_id()'), small.u('desk manager')::text, 'D2 he remains who he is');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'SELECT csm.on_behalf_of()'), small.u('north contact')::text, 'D2 and says for whom he acts');
SELECT isnt(small.start('north contact'), NULL, 'a session of the contact');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT count(*) FROM csm.sessions WHERE user_id = %s', small.u('north contact'))), '0', 'D2 does not see his sessions so');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', s) LIKE 'ERROR 42501%', true, 'D2 who acts for another does not ' || s)
FROM unnest(ARRAY['SELECT csm.start_session()', 'SELECT csm.create_api_key(''x'')', 'SELECT csm.revoke_all_sessions()', 'SELECT csm.revoke_session(1)']) s;
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'UPDATE csm.users SET phone = ''1'' RETURNING 1') IS NULL, true, 'D2 nor has he his own rights beside');

-- What it leaves behind.
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', format('SELECT (csm.comment(%s, ''recorded'')).body', small.c('north: pump')), true), 'recorded', 'D2 a comment that stays');
SELECT is((SELECT format('%s,%s,%s', author_id, author_name, on_behalf_of) FROM csm.case_entries WHERE body = 'recorded'), format('%s,desk manager,%s', small.u('desk manager'), small.u('north contact')), 'D2 the entry names both');
SELECT is((SELECT format('%s,%s,%s', actor_id, action, on_behalf_of) FROM csm.case_history WHERE case_id = small.c('north: pump') ORDER BY seq DESC LIMIT 1), format('%s,comment,%s', small.u('desk manager'), small.u('north contact')), 'D2 so does history');
SELECT is((SELECT format('%s,%s,%s', actor_id, kind, on_behalf_of) FROM csm.events WHERE case_id = small.c('north: pump') ORDER BY id DESC LIMIT 1), format('%s,commented,%s', small.u('desk manager'), small.u('north contact')), 'D2 so does the event');
SELECT is((SELECT format('%s,%s', actor_id, subject_user_id) FROM csm.audit_log WHERE kind = 'acted_for' ORDER BY id DESC LIMIT 1), format('%s,%s', small.u('desk manager'), small.u('north contact')), 'D2 so does the audit');
SELECT is(small.run(small.u('north contact'), 'csm_portal', 'SELECT count(*) FROM csm.audit_log WHERE kind = ''acted_for'''), '1', 'D2 which the person himself reads');
SELECT is(small.for('desk manager', 'north contact', 'csm_agent', 'SELECT (csm.open_case(''recorded'')).number', true) LIKE 'CS%', true, 'D2 a case that stays');
SELECT is((SELECT format('%s,%s,%s', actor_id, action, on_behalf_of) FROM csm.case_history h JOIN csm.cases c ON c.id = h.case_id WHERE c.subject = 'recorded'), format('%s,open,%s', small.u('desk manager'), small.u('north contact')), 'D2 its history');
SELECT is((SELECT format('%s,%s', actor_id, on_behalf_of) FROM csm.events e JOIN csm.cases c ON c.id = e.case_id WHERE c.subject = 'recorded' AND e.kind = 'opened'), format('%s,%s', small.u('desk manager'), small.u('north contact')), 'D2 its event');
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('SELECT (csm.comment(%s, ''himself'')).body', small.c('north: pump')), NULL, true), 'himself', 'D2 who acts for himself');
SELECT is((SELECT on_behalf_of FROM csm.case_entries WHERE body = 'himself'), NULL, 'D2 leaves no other name');
SELECT is(small.run(small.u('north contact'), 'csm_portal', format('INSERT INTO csm.case_entries (case_id, body, on_behalf_of) VALUES (%s, ''forged'', %s) RETURNING 1', small.c('north: pump'), small.u('north manager'))) LIKE 'ERROR 42501%', true, 'D2 and cannot write one');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT intact FROM csm.verify_history()'), 'true', 'D2 the chains hold');

-- How long.
SELECT set_config('csm.user_id', small.u('desk manager')::text, true);
SET LOCAL ROLE csm_agent;
SELECT is(count(*), 0::bigint, 'D2 acting for a consumer') FROM (SELECT csm.on_behalf_of(small.u('mother'))) x, csm.cases c WHERE false;
SELECT csm.on_behalf_of(small.u('mother'));
SAVEPOINT s;
SELECT csm.on_behalf_of(small.u('son'));
SELECT is(csm.on_behalf_of(), small.u('son'), 'D2 of two the last counts');
ROLLBACK TO s;
SELECT is(csm.on_behalf_of(), small.u('mother'), 'D2 a rollback restores the one before');
SELECT csm.on_behalf_of(NULL);
SELECT is(csm.on_behalf_of(), NULL, 'D2 NULL lifts it');
SELECT string_agg(id::text, ',' ORDER BY id) AS own FROM csm.cases \gset
RESET ROLE;
SELECT is(:'own', small.ids('desk manager', 'csm_agent'), 'D2 and his own rights are back');
SELECT set_config('csm.user_id', small.u('desk manager')::text, true);
SET LOCAL ROLE csm_agent;
SELECT csm.on_behalf_of(small.u('mother'));
SELECT isnt(count(*), 0::bigint, 'D2 her cases') FROM csm.cases;
RESET ROLE;
DELETE FROM csm.role_permissions WHERE role = 'manager' AND action = 'act_for';
SET LOCAL ROLE csm_agent;
SELECT is(csm.current_user_id(), NULL, 'V10 who may no longer is nobody, from the next statement on');
SELECT is(count(*), 0::bigint, 'V10 and sees nothing') FROM csm.cases;
RESET ROLE;
SELECT set_config('csm.user_id', small.u('b2b agent')::text, true);
SET LOCAL ROLE csm_agent;
SELECT is(csm.on_behalf_of(), NULL, 'D2 the next person in the transaction acts for himself');
SELECT is(csm.current_user_id(), small.u('b2b agent'), 'D2 and is somebody');
SELECT throws_ok(format('SET csm.on_behalf_of = ''%s@%s''', small.u('mother'), small.u('b2b agent')), '42501', NULL, 'D2 no role sets the setting');
RESET ROLE;
SELECT throws_ok(format('SET csm.on_behalf_of = ''%s@%s''', small.u('mother'), small.u('b2b agent')), '22023', NULL, 'D2 nor does a superuser');

SELECT * FROM finish();
ROLLBACK;
