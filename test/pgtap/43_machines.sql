-- Every shipped machine against a table of its own: who may do what in which state, through csm.act and through plain
-- UPDATE, and every refusal. The table below is written from the rules (R 2.2, 2.3; B28 for orders), not from the rows
-- that csm ships. The machine of disputes has a test of its own. Then each row of R 2.2 with what it must hold and leave.
\set ON_ERROR_STOP on
CREATE SCHEMA mach;
CREATE TABLE mach.person (name text PRIMARY KEY, id bigint NOT NULL, role_name text NOT NULL);

-- Runs one statement as a person ("system": a superuser without identity, "nobody": a portal role without identity) and
-- returns its first value as text, or the SQLSTATE. What it wrote stays only with keep.
CREATE FUNCTION mach.run(who text, statement text, keep boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p mach.person;
    answer text;
BEGIN
    SELECT * INTO p FROM mach.person WHERE name = who;
    BEGIN
        IF p.id IS NOT NULL THEN
            PERFORM set_config('csm.user_id', p.id::text, true);
        ELSIF who NOT IN ('system', 'nobody') THEN
            RAISE EXCEPTION 'the fixture has no person "%"', who USING ERRCODE = 'XX000';
        END IF;
        IF who <> 'system' THEN
            PERFORM set_config('role', coalesce(p.role_name, 'csm_portal'), true);
        END IF;
        EXECUTE statement INTO answer;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := SQLSTATE;
    END;
    PERFORM set_config('role', 'none', true);
    RETURN answer;
END $$;

SELECT csm.create_tenant('mach', 'Machines', 'boss@mach.example') AS tenant \gset
CREATE FUNCTION mach.person(called text, of_role text, staff_role text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (INSERT INTO csm.users (display_name) VALUES (called) RETURNING id),
         r AS (INSERT INTO csm.user_roles (user_id, role) SELECT id, staff_role FROM u WHERE staff_role IS NOT NULL)
    INSERT INTO mach.person SELECT called, id, of_role FROM u RETURNING id
$$;
SELECT mach.person('requester', 'csm_portal') AS requester, mach.person('opener', 'csm_portal') AS opener,
       mach.person('colleague', 'csm_portal') AS colleague, mach.person('reader', 'csm_portal') AS reader,
       mach.person('partner', 'csm_portal') AS partner,
       mach.person('party', 'csm_portal') AS party, mach.person('decider', 'csm_portal') AS decider,
       mach.person('agent', 'csm_agent', 'agent') AS agent, mach.person('assignee', 'csm_agent', 'agent') AS assignee,
       mach.person('manager', 'csm_agent', 'manager') AS manager, mach.person('viewer', 'csm_agent', 'viewer') AS viewer,
       mach.person('proxy', 'csm_agent', 'proxy') AS proxy, mach.person('stranger', 'csm_portal') AS stranger,
       mach.person('consumer_agent', 'csm_agent', 'consumer_agent') AS consumer_agent \gset
INSERT INTO csm.accounts (name) VALUES ('Alpha') RETURNING id AS alpha \gset
INSERT INTO csm.accounts (name, is_partner) VALUES ('Dealer', true) RETURNING id AS dealer \gset
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES
    (:requester, :alpha, 'customer', true), (:opener, :alpha, 'customer_admin', true), (:colleague, :alpha, 'case_manager', true),
    (:reader, :alpha, 'case_reader', true), (:stranger, :alpha, 'customer', true);
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES (:partner, :dealer, 'partner', true) RETURNING id AS partner_contact \gset
INSERT INTO csm.account_relationships (type, partner_account_id, customer_account_id) VALUES ('partner_of', :dealer, :alpha);

-- A case of each machine in each of its states: the opener asked for the requester.
CREATE TABLE mach.subject (case_type text, state text, id bigint NOT NULL, PRIMARY KEY (case_type, state));
BEGIN;
SET LOCAL csm.importing = on;
WITH c AS (INSERT INTO csm.cases (subject, case_type, state, requester_id, opened_by, account_id, assigned_to, internal_contact_id,
                                  partner_account_id, partner_contact_id, attributes)
           SELECT t || ' ' || s, t, s, :requester, :opener, :alpha, :assignee, :proxy, :dealer, :partner_contact,
                  CASE t WHEN 'privacy_request' THEN '{"right_asked": "access"}'::jsonb ELSE '{}' END
           FROM unnest('{case,complaint,request,privacy_request,order}'::text[]) t,
                unnest('{draft,awaiting_approval,new,open,awaiting_info,awaiting_identity,resolved,closed,cancelled}'::text[]) s
           WHERE (s <> 'awaiting_approval' OR t = 'order') AND (s <> 'awaiting_identity' OR t = 'privacy_request')
           RETURNING case_type, state, id)
INSERT INTO mach.subject SELECT case_type, state, id FROM c;
INSERT INTO csm.case_internal (case_id, attributes)
SELECT id, '{"identity_proof": "passport"}' FROM mach.subject WHERE case_type = 'privacy_request';
INSERT INTO csm.case_parties (case_id, user_id, capabilities) SELECT id, :party, '{case_read,case_comment}' FROM mach.subject;
INSERT INTO csm.case_parties (case_id, user_id, capabilities) SELECT id, :decider, '{case_read,case_decide}' FROM mach.subject;
COMMIT;
CREATE FUNCTION mach.c(of_type text, of_state text) RETURNS bigint LANGUAGE sql STABLE AS
    'SELECT id FROM mach.subject WHERE case_type = of_type AND state = of_state';
GRANT USAGE ON SCHEMA mach TO csm_portal, csm_agent;
GRANT SELECT ON mach.subject TO csm_portal, csm_agent;

SELECT * FROM no_plan();

-- What each person is to these cases. R: requester, C: decides for the customer, O: neither asked nor opened (approves),
-- A: works on the case, M: manages, S: system; '': sees it and decides nothing; '-': does not see it.
CREATE TEMP TABLE is_to (who text PRIMARY KEY, relations text NOT NULL);
INSERT INTO is_to VALUES
    ('requester', 'RC'), ('opener', 'C'), ('colleague', 'CO'), ('decider', 'CO'), ('partner', 'CO'), ('proxy', 'CO'), ('agent', 'A'),
    ('assignee', 'A'), ('manager', 'AM'), ('system', 'S'), ('reader', ''), ('party', ''), ('viewer', ''), ('stranger', '-'), ('consumer_agent', '-'), ('nobody', '-');

-- The machines: from which states (d draft, p awaiting_approval, n new, o open, w awaiting_info, i awaiting_identity,
-- r resolved) which action leads where (= stays) and who may take it. "note": a plain UPDATE cannot take it.
CREATE TEMP TABLE rule (case_type text, froms text, action text, leads_to text, who text, note boolean DEFAULT false);
INSERT INTO rule (froms, action, leads_to, who, note, case_type) SELECT v.*, t FROM (VALUES
    ('d',   'submit',            'new',           'RA', false),
    ('d',   'cancel',            'cancelled',     'RA', false),
    ('n',   'take',              'open',          'A',  false),
    ('now', 'assign',            '=',             'A',  false),
    ('o',   'request_info',      'awaiting_info', 'A',  true),
    ('w',   'resume',            'open',          'AC', false),
    ('ow',  'propose',           'resolved',      'A',  false),
    ('r',   'accept',            'closed',        'C',  false),
    ('r',   'reject',            'open',          'C',  true),
    ('r',   'close',             'closed',        'S',  false),
    ('w',   'time_out',          'closed',        'S',  false),
    ('now', 'close_with_parent', 'closed',        'S',  false)) v(froms, action, leads_to, who, note),
    unnest('{case,complaint,request,privacy_request,order}'::text[]) t;
INSERT INTO rule VALUES
    ('case',            'now',  'close',            'closed',            'AC', false),
    ('case',            'n',    'cancel',           'cancelled',         'RM', false),
    ('case',            'ow',   'cancel',           'cancelled',         'M',  false),
    ('complaint',       'now',  'close',            'closed',            'C',  false),
    ('complaint',       'n',    'cancel',           'cancelled',         'RM', false),
    ('request',         'now',  'close',            'closed',            'AC', false),
    ('request',         'n',    'cancel',           'cancelled',         'RM', false),
    ('request',         'ow',   'cancel',           'cancelled',         'M',  false),
    ('privacy_request', 'nowi', 'close',            'closed',            'C',  false),
    ('privacy_request', 'n',    'cancel',           'cancelled',         'RM', false),
    ('privacy_request', 'now',  'request_identity', 'awaiting_identity', 'A',  true),
    ('privacy_request', 'i',    'confirm_identity', 'open',              'A',  false),
    ('privacy_request', 'i',    'assign',           '=',                 'A',  false),
    ('privacy_request', 'i',    'time_out',         'closed',            'S',  false),
    ('privacy_request', 'i',    'close_with_parent', 'closed',           'S',  false),
    ('privacy_request', 'owi',  'refuse',           'resolved',          'M',  true),
    ('order',           'now',  'close',            'closed',            'AC', false),
    ('order',           'd',    'request_approval', 'awaiting_approval', 'RA', false),
    ('order',           'p',    'approve',          'new',               'O',  false),
    ('order',           'p',    'decline',          'draft',             'O',  true),
    ('order',           'p',    'recall',           'draft',             'RA', false),
    ('order',           'p',    'cancel',           'cancelled',         'RA', false);
CREATE TEMP TABLE step AS
SELECT r.case_type, s.state AS from_state, r.action, CASE r.leads_to WHEN '=' THEN s.state ELSE r.leads_to END AS to_state, r.who, r.note
FROM rule r JOIN (VALUES ('d', 'draft'), ('p', 'awaiting_approval'), ('n', 'new'), ('o', 'open'), ('w', 'awaiting_info'),
                         ('i', 'awaiting_identity'), ('r', 'resolved')) s(letter, state) ON strpos(r.froms, s.letter) > 0;
-- Has a person one of the relations?
CREATE FUNCTION pg_temp.may(relations text, who text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    $$SELECT EXISTS (SELECT FROM string_to_table(relations, NULL) l WHERE strpos(who, l) > 0)$$;

-- What csm.act answers: hidden before permission, permission before state.
CREATE FUNCTION pg_temp.answer(of_type text, of_state text, wanted text, relations text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN relations = '-' THEN 'SM001'
                WHEN NOT EXISTS (SELECT FROM step s WHERE s.case_type = of_type AND s.action = wanted AND pg_temp.may(relations, s.who)) THEN '42501'
                WHEN of_state IN ('closed', 'cancelled') THEN 'SM004'
                ELSE coalesce((SELECT CASE WHEN pg_temp.may(relations, s.who) THEN s.to_state ELSE '42501' END
                               FROM step s WHERE s.case_type = of_type AND s.from_state = of_state AND s.action = wanted), 'SM002') END
$$;
SELECT is((SELECT string_agg(p.who || ' ' || mach.run(p.who, format('SELECT (csm.act(%s, %L, ''because'', %L)).state', s.id, a.action,
                      CASE WHEN p.relations ~ '[AS]' THEN '{"resolution_code": "Fixed", "resolution_notes": "Replaced"}' ELSE '{}' END)), ', ' ORDER BY p.who) FROM is_to p),
          (SELECT string_agg(p.who || ' ' || pg_temp.answer(s.case_type, s.state, a.action, p.relations), ', ' ORDER BY p.who) FROM is_to p),
          format('T13 %s %s: %s by everybody', s.case_type, s.state, a.action))
FROM mach.subject s JOIN (SELECT DISTINCT case_type, action FROM step) a USING (case_type)
ORDER BY s.case_type, s.state, a.action;
-- An action of another machine is none of this one's.
SELECT is(mach.run('agent', format('SELECT csm.act(%s, ''approve'')', mach.c(t, 'open'))), '22023', '22023 no action approve: ' || t)
FROM unnest('{case,complaint,request,privacy_request}'::text[]) t;

-- csm.actions offers exactly what csm.act would take.
SELECT is((SELECT string_agg(p.who || ' ' || coalesce(mach.run(p.who, format('SELECT string_agg(action || '' '' || to_state, '','' ORDER BY action COLLATE "C") FROM csm.actions(%s)', s.id)), 'nothing'), '; ' ORDER BY p.who) FROM is_to p),
          (SELECT string_agg(p.who || ' ' || coalesce((SELECT string_agg(t.action || ' ' || t.to_state, ',' ORDER BY t.action COLLATE "C") FROM step t
                                                       WHERE t.case_type = s.case_type AND t.from_state = s.state AND pg_temp.may(p.relations, t.who)), 'nothing'), '; ' ORDER BY p.who) FROM is_to p),
          format('R2.3 %s %s: what everybody is offered', s.case_type, s.state))
FROM mach.subject s ORDER BY s.case_type, s.state;

-- A plain UPDATE says from where to where; a step that demands a note cannot be meant.
CREATE FUNCTION pg_temp.updated(of_type text, of_state text, wanted text, relations text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN of_state IN ('closed', 'cancelled') THEN 'SM004'
                WHEN NOT EXISTS (SELECT FROM step s WHERE (s.case_type, s.from_state, s.to_state) = (of_type, of_state, wanted)) THEN 'SM002'
                ELSE coalesce((SELECT CASE WHEN bool_and(s.note) THEN 'SM003' ELSE wanted END FROM step s
                               WHERE (s.case_type, s.from_state, s.to_state) = (of_type, of_state, wanted) AND pg_temp.may(relations, s.who)
                               HAVING count(*) > 0), '42501') END
$$;
SELECT is((SELECT string_agg(p.who || ' ' || coalesce(mach.run(p.who, format('UPDATE csm.cases SET state = %L, resolution_code = ''Fixed'', resolution_notes = ''Done'' WHERE id = %s RETURNING state', w.state, s.id)), 'no row'), ', ' ORDER BY p.who)
           FROM is_to p WHERE p.who IN ('requester', 'opener', 'agent', 'manager', 'system', 'viewer', 'proxy')),
          -- csm_portal has no UPDATE; staff reach only the rows on which they work
          (SELECT string_agg(p.who || ' ' || CASE WHEN m.role_name = 'csm_portal' THEN '42501' WHEN p.relations !~ '[AS]' THEN 'no row'
                                                  ELSE pg_temp.updated(s.case_type, s.state, w.state, p.relations) END, ', ' ORDER BY p.who)
           FROM is_to p LEFT JOIN mach.person m ON m.name = p.who WHERE p.who IN ('requester', 'opener', 'agent', 'manager', 'system', 'viewer', 'proxy')),
          format('T13 %s: UPDATE %s→%s', s.case_type, s.state, w.state))
FROM mach.subject s JOIN mach.subject w ON w.case_type = s.case_type AND w.state <> s.state
ORDER BY s.case_type, s.state, w.state;

-- The rows that csm ships say nothing beside the table.
SELECT set_eq(format('SELECT from_state, action, to_state FROM csm_private.machine_transitions(%s, %L)', :tenant, t),
              format('SELECT from_state, action, to_state FROM step WHERE case_type = %L', t), 'R2.2 no transition beside those of the table: ' || t)
FROM unnest('{case,complaint,request,privacy_request,order}'::text[]) t;
SELECT is_empty(format('SELECT * FROM csm.check_case_type(%L)', case_type), 'D5 the shipped machine is sound: ' || case_type)
FROM csm.case_types ORDER BY case_type;

-- ---- R 2.2 row by row ----

CREATE TABLE mach.path (name text PRIMARY KEY, id bigint NOT NULL);
GRANT SELECT ON mach.path TO csm_portal, csm_agent;
-- Opens a case for one row of the table and brings it into a state, as the people who may.
CREATE FUNCTION mach.open(path_name text, in_state text DEFAULT 'new', of_type text DEFAULT 'case') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    case_id bigint := mach.run('requester', format('SELECT (csm.open_case(%L, case_type => %L)).id', path_name, of_type), true);
BEGIN
    INSERT INTO mach.path VALUES (path_name, case_id);
    IF in_state <> 'new' THEN
        PERFORM mach.run('agent', format('SELECT csm.act(%s, ''take'')', case_id), true);
    END IF;
    IF in_state IN ('awaiting_info', 'resolved', 'closed') THEN
        PERFORM mach.run('agent', format('SELECT csm.act(%s, ''request_info'', ''Which one?'')', case_id), true);
    END IF;
    IF in_state IN ('resolved', 'closed') THEN
        PERFORM mach.run('agent', format('SELECT csm.act(%s, ''propose'', NULL, ''{"resolution_code": "Fixed", "resolution_notes": "Replaced"}'')', case_id), true);
    END IF;
    IF in_state = 'closed' THEN
        PERFORM mach.run('requester', format('SELECT csm.act(%s, ''accept'')', case_id), true);
    END IF;
END $$;
CREATE FUNCTION mach.act(path_name text, who text, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT mach.run(who, format('SELECT (csm.act(%s, %L, %L, %L)).state', p.id, action, note, fields), true) FROM mach.path p WHERE p.name = path_name
$$;
CREATE FUNCTION mach.now(path_name text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT concat_ws('' '', %s) FROM csm.cases WHERE id = (SELECT id FROM mach.path WHERE name = %L)', columns, path_name) INTO answer;
    RETURN answer;
END $$;

SELECT mach.open('create');
SELECT is(mach.now('create', 'state, state_class, priority, branch'), 'new new 4 b2b', 'R2.2.1 –→new: create, by the customer');
SELECT is(mach.run('agent', format('SELECT (csm.open_case(''x'', account_id => %s, requester_id => %s)).state', :alpha, :requester)), 'new', 'R2.2.1 –→new: create, by an agent');
SELECT is(mach.run('system', format('INSERT INTO csm.cases (subject, requester_id, account_id) VALUES (''x'', %s, %s) RETURNING state', :requester, :alpha)), 'new', 'R2.2.1 –→new: create, by the system');
SELECT is(mach.run('partner', format('INSERT INTO csm.cases (subject, requester_id, account_id) VALUES (''x'', %s, %s) RETURNING state', :requester, :alpha)), 'new', 'R2.2.1 –→new: create, by the partner');
SELECT is(mach.run('stranger', format('INSERT INTO csm.cases (subject, requester_id) VALUES (''x'', %s) RETURNING state', :requester)), '42501', 'R2.2.1 –→new: not for a colleague without the right');
SELECT mach.open('take');
SELECT is(mach.act('take', 'requester', 'take'), '42501', 'R2.2.2 new→open: not by the customer');
SELECT is(mach.act('take', 'agent', 'take'), 'open', 'R2.2.2 new→open: assign to me');
SELECT is(mach.now('take', 'assigned_to'), :'agent', 'R2.2.2 new→open: the agent has it');
SELECT mach.open('assigned');
SELECT is(mach.act('assigned', 'manager', 'assign', NULL, jsonb_build_object('assigned_to', :assignee)), 'new', 'R2.2.3 new→open: assigned by a manager, still new');
SELECT is(mach.act('assigned', 'assignee', 'take') || mach.now('assigned', ''' '', assigned_to'), 'open  ' || :assignee, 'R2.2.3 new→open: accepted by the agent to whom it was assigned');
SELECT mach.open('ask', 'open');
SELECT is(mach.act('ask', 'agent', 'request_info'), 'SM003', 'R2.2.4 open→awaiting_info: needs a comment');
SELECT is(mach.act('ask', 'agent', 'request_info', 'Which one?'), 'awaiting_info', 'R2.2.4 open→awaiting_info: request info');
SELECT is((SELECT body || ' ' || visibility FROM csm.case_entries WHERE case_id = (SELECT id FROM mach.path WHERE name = 'ask')), 'Which one? shared', 'R2.2.4 open→awaiting_info: the customer reads it');
SELECT is(mach.run('requester', format('SELECT (csm.comment(%s, ''The blue one'')).visibility', (SELECT id FROM mach.path WHERE name = 'ask')), true), 'shared', 'R2.2.5 awaiting_info→open: the customer comments');
SELECT is(mach.now('ask', 'state, needs_attention'), 'open t', 'R2.2.5 awaiting_info→open: any customer update resumes');
SELECT mach.open('resume', 'awaiting_info');
SELECT is(mach.run('agent', format('SELECT (csm.comment(%s, ''Hello?'')).visibility', (SELECT id FROM mach.path WHERE name = 'resume')), true), 'shared', 'R2.2.6 awaiting_info→open: an agent''s comment');
SELECT is(mach.now('resume', 'state'), 'awaiting_info', 'R2.2.6 awaiting_info→open: an agent''s comment does not resume');
SELECT is(mach.act('resume', 'agent', 'resume'), 'open', 'R2.2.6 awaiting_info→open: info received');
SELECT mach.open('propose', 'open');
SELECT is(mach.act('propose', 'agent', 'propose', NULL, '{"resolution_code": "Fixed"}'), 'SM003', 'R2.2.7 open→resolved: code without notes');
SELECT is(mach.act('propose', 'agent', 'propose', NULL, '{"resolution_notes": "Replaced"}'), 'SM003', 'R2.2.7 open→resolved: notes without code');
SELECT is(mach.act('propose', 'agent', 'propose', NULL, '{"resolution_code": "Fixed", "resolution_notes": "Replaced"}'), 'resolved', 'R2.2.7 open→resolved: propose solution');
SELECT is(mach.now('propose', 'resolved_at IS NOT NULL'), 't', 'R2.2.7 open→resolved: when it was resolved');
SELECT mach.open('propose2', 'resolved');
SELECT is(mach.now('propose2', 'state, resolved_at IS NOT NULL'), 'resolved t', 'R2.2.8 awaiting_info→resolved: propose solution');
SELECT is(mach.act('propose', 'agent', 'accept'), '42501', 'R2.2.9 resolved→closed: not by an agent');
SELECT is(mach.act('propose', 'requester', 'accept'), 'closed', 'R2.2.9 resolved→closed: accept solution');
SELECT is(mach.now('propose', 'closed_at IS NOT NULL'), 't', 'R2.2.9 resolved→closed: when it was closed');
SELECT is(mach.act('propose2', 'requester', 'reject'), 'SM003', 'R2.2.10 resolved→open: a reason is mandatory');
SELECT is(mach.act('propose2', 'manager', 'reject', 'no'), '42501', 'R2.2.10 resolved→open: not by a manager');
SELECT is(mach.act('propose2', 'requester', 'reject', 'It still burns'), 'open', 'R2.2.10 resolved→open: reject solution');
SELECT is(mach.now('propose2', 'resolved_at IS NULL, reopen_count'), 't 1', 'R2.2.10 resolved→open: counted');
SELECT mach.open('auto', 'resolved');
SELECT is(mach.act('auto', 'agent', 'close', NULL, '{"resolution_code": "x", "resolution_notes": "x"}'), '42501', 'R2.2.11 resolved→closed: no agent closes what is resolved');
SELECT is(mach.act('auto', 'requester', 'close'), '42501', 'R2.2.11 resolved→closed: the customer accepts, he does not close');
SELECT is(mach.act('auto', 'system', 'close', 'Closed for want of an answer'), 'closed', 'R2.2.11 resolved→closed: auto-close by the system');
SELECT mach.open('c' || s, s), mach.open('d' || s, s), mach.open('e' || s, s), mach.open('f' || s, s) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.act('c' || s, 'agent', 'close'), 'SM003', format('R2.2.12 %s→closed: an agent gives code and notes', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.act('c' || s, 'agent', 'close', NULL, '{"resolution_code": "Fixed", "resolution_notes": "By phone"}'), 'closed', format('R2.2.12 %s→closed: close case, by an agent', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.act('d' || s, 'requester', 'close'), 'closed', format('R2.2.13 %s→closed: close case, by the customer, without notes', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.now('d' || s, 'resolution_code || ''; '' || resolution_notes'), 'Solved by customer; Closed by customer', format('R2.2.13 %s→closed: the system writes who closed it', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is((SELECT body FROM csm.case_entries WHERE case_id = (SELECT id FROM mach.path WHERE name = 'd' || s) ORDER BY id DESC LIMIT 1), 'Closed by customer', format('R2.2.13 %s→closed: as comment as well', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.act('e' || s, 'agent', 'close_with_parent'), '42501', format('R2.2.14 %s→closed: not by hand', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.act('e' || s, 'system', 'close_with_parent'), 'closed', format('R2.2.14 %s→closed: with the parent major case', s)) FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(mach.run(w, format('DELETE FROM csm.cases WHERE id = %s', mach.c('case', s))), '42501', format('R2.2.15 %s→deleted: never, by %s', s, w))
FROM unnest('{new,open,awaiting_info,resolved}'::text[]) s, unnest('{requester,agent,manager,system}'::text[]) w;
SELECT is(mach.run(w, format('SELECT (csm.act(%s, ''submit'')).state', mach.c(t, 'draft'))), 'new', format('R2.2.16 draft→new: submit %s, by %s', t, w))
FROM unnest('{case,order}'::text[]) t, unnest('{requester,agent}'::text[]) w;
SELECT is(mach.run(w, format('SELECT (csm.act(%s, ''cancel'')).state', mach.c('order', s))), r, format('R2.2.17 %s→cancelled: cancel an order, by %s', s, w))
FROM (VALUES ('draft', 'requester', 'cancelled'), ('draft', 'agent', 'cancelled'), ('awaiting_approval', 'requester', 'cancelled'), ('draft', 'manager', 'cancelled'),
             ('draft', 'colleague', '42501'), ('new', 'requester', 'SM002'), ('new', 'manager', 'SM002'), ('open', 'manager', 'SM002'), ('awaiting_info', 'manager', 'SM002')) v(s, w, r);
SELECT is(mach.act('f' || s, w, 'cancel'), r, format('R2.2.18 %s→cancelled: %s', s, w))
FROM (VALUES ('open', 'requester', '42501'), ('open', 'agent', '42501'), ('open', 'manager', 'cancelled'), ('awaiting_info', 'requester', '42501'), ('awaiting_info', 'manager', 'cancelled'),
             ('new', 'agent', '42501'), ('new', 'requester', 'cancelled')) v(s, w, r);
SELECT mach.open('done', 'closed');
SELECT is(mach.run(w, format(s, (SELECT id FROM mach.path WHERE name = 'done'))), r, format('R2.2.19 closed→anything: never, %s by %s', left(s, 40), w))
FROM (VALUES ('requester', 'SELECT csm.act(%s, ''reject'', ''x'')', 'SM004'), ('agent', 'SELECT csm.act(%s, ''resume'')', 'SM004'), ('manager', 'UPDATE csm.cases SET state = ''open'' WHERE id = %s', 'SM004'),
             ('system', 'UPDATE csm.cases SET state = ''open'' WHERE id = %s', 'SM004'), ('agent', 'UPDATE csm.cases SET subject = ''x'' WHERE id = %s', 'SM004'),
             ('requester', 'SELECT csm.comment(%s, ''x'')', 'SM004'), ('agent', 'SELECT csm.comment(%s, ''x'', ''internal'')', 'SM004'),
             ('agent', 'INSERT INTO csm.case_internal (case_id, attributes) VALUES (%s, ''{"x": 1}'')', 'SM004'), ('agent', 'SELECT csm.set_fields(%s, ''{}'')', 'SM004')) v(w, s, r);

-- ---- what the other machines add ----

SELECT is(mach.run('requester', format($$SELECT (csm.open_case('x', case_type => %L, fields => %L)).priority$$, t, f)), p, 'D5 default priority: ' || t)
FROM (VALUES ('case', '{}', '4'), ('complaint', '{}', '3'), ('request', '{}', '4'), ('privacy_request', '{"right_asked": "erasure"}', '2'), ('order', '{}', '4')) v(t, f, p);
SELECT is(mach.run('requester', $$SELECT (csm.open_case('x', case_type => 'complaint', priority => 1)).priority$$), '1', 'D5 a priority that is given counts');
SELECT is(mach.run('requester', $$INSERT INTO csm.cases (subject, case_type) VALUES ('x', 'complaint') RETURNING priority$$), '3', 'D5 default priority of a plain INSERT');

-- Orders: placed by oneself, or after a colleague has agreed.
SELECT is(mach.run('requester', $$SELECT concat_ws(' ', state, state_class, submitted_at IS NULL) FROM csm.open_case('Paper', case_type => 'order')$$), 'draft draft t', 'B28 an order begins as draft, asked for or not');
SELECT mach.open('order', 'new', 'order');
SELECT is(mach.act('order', 'requester', 'request_approval'), 'awaiting_approval', 'A19 approval by a colleague: asked for');
SELECT is(mach.now('order', 'state_class, submitted_at IS NULL'), 'draft t', 'A19 approval by a colleague: nothing is placed yet');
SELECT is(mach.act('order', 'requester', 'approve'), '42501', 'A19 approval by a colleague: nobody approves his own');
SELECT is(mach.act('order', 'agent', 'approve'), '42501', 'A19 approval by a colleague: staff do not decide for the customer');
SELECT is(mach.act('order', 'reader', 'approve'), '42501', 'A19 approval by a colleague: who only reads does not');
SELECT is(mach.act('order', 'colleague', 'decline'), 'SM003', 'A19 approval by a colleague: a refusal says why');
SELECT is(mach.act('order', 'colleague', 'decline', 'Too much'), 'draft', 'A19 approval by a colleague: declined');
SELECT is(mach.act('order', 'requester', 'request_approval') || mach.act('order', 'requester', 'recall'), 'awaiting_approvaldraft', 'A19 approval by a colleague: taken back');
SELECT is(mach.act('order', 'requester', 'request_approval') || ' ' || mach.act('order', 'colleague', 'approve'), 'awaiting_approval new', 'A19 approval by a colleague: approved');
SELECT is(mach.now('order', 'submitted_at IS NOT NULL'), 't', 'A19 approval by a colleague: placed');
SELECT is(mach.run('opener', format('SELECT (csm.act(%s, ''approve'')).state', mach.c('order', 'awaiting_approval'))), '42501', 'A19 who opened it for another does not approve it');
-- Where approval is not optional.
BEGIN;
INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('strict_order', 'order', 'Order with approval');
INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label, active) VALUES ('strict_order', 'draft', 'submit', 'new', '{system}', 'Place order', false);
SELECT is_empty($$SELECT * FROM csm.check_case_type('strict_order')$$, 'A19 mandatory approval: the machine is sound');
SELECT mach.open('strict', 'new', 'strict_order');
SELECT is(mach.now('strict', 'state'), 'draft', 'A19 mandatory approval: begins as draft');
SELECT is(mach.act('strict', 'requester', 'submit'), '22023', 'A19 mandatory approval: it cannot be placed alone');
SELECT is(mach.act('strict', 'requester', 'request_approval') || ' ' || mach.act('strict', 'colleague', 'approve'), 'awaiting_approval new', 'A19 mandatory approval: by a colleague with case_decide');
ROLLBACK;

-- Privacy requests: the right that is asked for must be named, and the person known before anything is told.
SELECT is(mach.run('requester', $$SELECT csm.open_case('My data', case_type => 'privacy_request')$$), 'SM003', 'D5 a privacy request names the right');
SELECT is(mach.run('requester', $$SELECT csm.open_case('My data', case_type => 'privacy_request', fields => '{"right_asked": "everything"}')$$), '22023', 'D5 a privacy request names one of the rights');
CREATE TEMP TABLE privacy AS SELECT mach.run('requester', $$SELECT (csm.open_case('My data', case_type => 'privacy_request', fields => '{"right_asked": "access"}')).id$$, true)::bigint AS id;
INSERT INTO mach.path SELECT 'privacy', id FROM privacy;
SELECT is(mach.now('privacy', 'attributes'), '{"right_asked": "access"}', 'D5 fields of the type by their names');
SELECT is(mach.act('privacy', 'agent', 'request_identity', 'Please send a copy'), 'awaiting_identity', 'D5 a privacy request waits for proof of identity');
SELECT is(mach.run('requester', format('SELECT (csm.comment(%s, ''Here'')).visibility', (SELECT id FROM privacy)), true) || ' ' || mach.now('privacy', 'state'), 'shared awaiting_identity', 'D5 the proof is judged by the desk');
SELECT is(mach.act('privacy', 'agent', 'confirm_identity'), 'SM003', 'SM003 how the person was identified is written down');
SELECT is(mach.act('privacy', 'agent', 'confirm_identity', NULL, '{"identity_proof": "Passport seen"}'), 'open', 'D5 then the request is open');
SELECT is((SELECT attributes::text FROM csm.case_internal WHERE case_id = (SELECT id FROM privacy)), '{"identity_proof": "Passport seen"}', 'D5 the field stands where staff read it');
SELECT is(mach.act('privacy', 'agent', 'refuse', 'No', '{"resolution_notes": "Asked last week"}'), '42501', 'D5 an agent does not refuse');
SELECT is(mach.act('privacy', 'manager', 'refuse', 'We answered last week', '{"resolution_notes": "Asked last week"}') || mach.now('privacy', ''' '', resolution_code'), 'resolved  Refused', 'D5 a manager refuses and says why');

SELECT * FROM finish();
