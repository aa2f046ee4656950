-- The life of a case: R 2.2 and 2.3 as one table of who may do what in which state, every refusal included; then what
-- follows from an action, what a new case gets, and what no writer can do, be it COPY or a superuser's script.
\set ON_ERROR_STOP on
CREATE SCHEMA life;
CREATE TABLE life.person (name text PRIMARY KEY, id bigint NOT NULL, role_name text NOT NULL);

-- Runs one statement as a person ("system": a superuser without identity, "nobody": a portal role without identity) and
-- returns its first value as text, or the SQLSTATE. What it wrote stays only with keep.
CREATE FUNCTION life.run(who text, statement text, keep boolean DEFAULT false, as_role text DEFAULT NULL, as_persona text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p life.person;
    answer text;
BEGIN
    SELECT * INTO p FROM life.person WHERE name = who;
    BEGIN
        IF p.id IS NOT NULL THEN
            PERFORM set_config('csm.user_id', p.id::text, true);
        ELSIF who NOT IN ('system', 'nobody') THEN
            RAISE EXCEPTION 'the fixture has no person "%"', who USING ERRCODE = 'XX000';
        END IF;
        IF as_persona IS NOT NULL THEN
            PERFORM csm.act_as(as_persona);
        END IF;
        IF who <> 'system' THEN
            PERFORM set_config('role', coalesce(as_role, p.role_name, 'csm_portal'), true);
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
-- The same, and all that the client is told.
CREATE FUNCTION life.told(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p life.person;
    m text; d text; h text;
BEGIN
    SELECT * INTO p FROM life.person WHERE name = who;
    BEGIN
        IF p.id IS NOT NULL THEN
            PERFORM set_config('csm.user_id', p.id::text, true);
        END IF;
        PERFORM set_config('role', coalesce(p.role_name, 'csm_portal'), true);
        EXECUTE statement;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
            RETURN format('%s | %s | %s | %s', SQLSTATE, m, d, h);
    END;
END $$;

SELECT csm.create_tenant('life', 'Life', 'boss@life.example') AS tenant \gset
CREATE FUNCTION life.person(called text, of_role text, staff_role text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (INSERT INTO csm.users (display_name) VALUES (called) RETURNING id),
         r AS (INSERT INTO csm.user_roles (user_id, role) SELECT id, staff_role FROM u WHERE staff_role IS NOT NULL)
    INSERT INTO life.person SELECT called, id, of_role FROM u RETURNING id
$$;
SELECT life.person('requester', 'csm_portal') AS requester, life.person('colleague', 'csm_portal') AS colleague,
       life.person('admin', 'csm_portal') AS admin, life.person('reader', 'csm_portal') AS reader,
       life.person('party', 'csm_portal') AS party, life.person('respondent', 'csm_portal') AS respondent,
       life.person('consumer', 'csm_portal') AS consumer, life.person('head', 'csm_portal') AS head,
       life.person('student', 'csm_portal') AS student,
       life.person('agent', 'csm_agent', 'agent') AS agent, life.person('agent2', 'csm_agent', 'agent') AS agent2,
       life.person('manager', 'csm_agent', 'manager') AS manager, life.person('viewer', 'csm_agent', 'viewer') AS viewer,
       life.person('consumer_agent', 'csm_agent', 'consumer_agent') AS consumer_agent,
       life.person('contributor', 'csm_agent', 'contributor') AS contributor \gset
INSERT INTO csm.accounts (name) VALUES ('Alpha') RETURNING id AS alpha \gset
INSERT INTO csm.accounts (name) VALUES ('Beta') RETURNING id AS beta \gset
INSERT INTO csm.accounts (name) VALUES ('Gamma') RETURNING id AS gamma \gset
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES
    (:requester, :alpha, 'customer', true), (:requester, :gamma, 'customer', false), (:colleague, :alpha, 'customer', true),
    (:admin, :alpha, 'customer_admin', true), (:reader, :alpha, 'case_reader', true), (:respondent, :beta, 'customer_admin', true);
INSERT INTO csm.account_relationships (type, partner_account_id, customer_account_id) VALUES ('trades_with', :alpha, :beta);
INSERT INTO csm.consumers (user_id) VALUES (:consumer), (:head);
INSERT INTO csm.households (name, head_user_id) VALUES ('Home', :head) RETURNING id AS household \gset
INSERT INTO csm.household_members (household_id, user_id) VALUES (:household, :head), (:household, :student);
INSERT INTO csm.groups (name) VALUES ('Desk') RETURNING id AS desk \gset

-- A case of Alpha in each state, shared for comments with "party".
CREATE TABLE life.subject (state text PRIMARY KEY, id bigint NOT NULL);
BEGIN;
SET LOCAL csm.importing = on;
WITH c AS (INSERT INTO csm.cases (subject, state, requester_id, opened_by, account_id)
           SELECT 'in state ' || s, s, :requester, :requester, :alpha
           FROM unnest('{draft,new,open,awaiting_info,resolved,closed,cancelled}'::text[]) s RETURNING id, state)
INSERT INTO life.subject SELECT state, id FROM c;
INSERT INTO csm.case_parties (case_id, user_id, capabilities) SELECT id, :party, '{case_read,case_comment}' FROM life.subject;
COMMIT;
CREATE FUNCTION life.c(of_state text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM life.subject WHERE state = of_state';
GRANT USAGE ON SCHEMA life TO csm_portal, csm_agent;
GRANT SELECT ON life.subject TO csm_portal, csm_agent;

SELECT * FROM no_plan();

-- R 2.2: one line an actor and action; a column a state. A word is the state that follows; p is 42501 (not permitted),
-- t SM002 (not from this state), x SM004 (closed), h SM001 (hidden), f SM003 (a field is missing).
CREATE TEMP TABLE expected (who text, action text, draft text, new text, open text, awaiting_info text, resolved text,
                            closed text, cancelled text);
INSERT INTO expected VALUES
    ('requester', 'submit',       'new',       't',         't',         't',         't',        'x', 'x'),
    ('requester', 'take',         'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('requester', 'assign',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('requester', 'request_info', 'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('requester', 'resume',       't',         't',         't',         'open',      't',        'x', 'x'),
    ('requester', 'propose',      'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('requester', 'accept',       't',         't',         't',         't',         'closed',   'x', 'x'),
    ('requester', 'reject',       't',         't',         't',         't',         'open',     'x', 'x'),
    ('requester', 'close',        't',         'closed',    'closed',    'closed',    'p',        'x', 'x'),
    ('requester', 'cancel',       'cancelled', 'cancelled', 'p',         'p',         't',        'x', 'x'),
    ('admin',     'submit',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('admin',     'take',         'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('admin',     'resume',       't',         't',         't',         'open',      't',        'x', 'x'),
    ('admin',     'propose',      'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('admin',     'accept',       't',         't',         't',         't',         'closed',   'x', 'x'),
    ('admin',     'reject',       't',         't',         't',         't',         'open',     'x', 'x'),
    ('admin',     'close',        't',         'closed',    'closed',    'closed',    'p',        'x', 'x'),
    ('admin',     'cancel',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('agent',     'submit',       'new',       't',         't',         't',         't',        'x', 'x'),
    ('agent',     'take',         't',         'open',      't',         't',         't',        'x', 'x'),
    ('agent',     'assign',       't',         'new',       'open',      'awaiting_info', 't',    'x', 'x'),
    ('agent',     'request_info', 't',         't',         'awaiting_info', 't',     't',        'x', 'x'),
    ('agent',     'resume',       't',         't',         't',         'open',      't',        'x', 'x'),
    ('agent',     'propose',      't',         't',         'resolved',  'resolved',  't',        'x', 'x'),
    ('agent',     'accept',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('agent',     'reject',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('agent',     'close',        't',         'closed',    'closed',    'closed',    'p',        'x', 'x'),
    ('agent',     'cancel',       'cancelled', 'p',         'p',         'p',         't',        'x', 'x'),
    ('manager',   'take',         't',         'open',      't',         't',         't',        'x', 'x'),
    ('manager',   'assign',       't',         'new',       'open',      'awaiting_info', 't',    'x', 'x'),
    ('manager',   'accept',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('manager',   'reject',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('manager',   'close',        't',         'closed',    'closed',    'closed',    'p',        'x', 'x'),
    ('manager',   'cancel',       'cancelled', 'cancelled', 'cancelled', 'cancelled', 't',        'x', 'x'),
    ('system',    'take',         'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('system',    'accept',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('system',    'close',        't',         'p',         'p',         'p',         'closed',   'x', 'x'),
    ('system',    'cancel',       'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('system',    'time_out',     't',         't',         't',         'closed',    't',        'x', 'x'),
    ('system',    'close_with_parent', 't',    'closed',    'closed',    'closed',    't',        'x', 'x'),
    ('requester', 'time_out',     'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('requester', 'close_with_parent', 'p',    'p',         'p',         'p',         'p',        'p', 'p'),
    ('agent',     'time_out',     'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('agent',     'close_with_parent', 'p',    'p',         'p',         'p',         'p',        'p', 'p'),
    ('manager',   'time_out',     'p',         'p',         'p',         'p',         'p',        'p', 'p'),
    ('manager',   'close_with_parent', 'p',    'p',         'p',         'p',         'p',        'p', 'p');
INSERT INTO expected
SELECT w, a, e, e, e, e, e, e, e
FROM (VALUES ('reader', 'p'), ('party', 'p'), ('viewer', 'p'), ('colleague', 'h'), ('consumer_agent', 'h'), ('respondent', 'h'),
             ('nobody', 'h')) v(w, e),
     unnest('{submit,take,assign,request_info,resume,propose,accept,reject,close,cancel}'::text[]) a;

SELECT is(life.run(e.who, format('SELECT (csm.act(%s, %L, %L, %L)).state', life.c(s.state), e.action, 'because',
              CASE WHEN e.who IN ('agent', 'manager', 'system') AND e.action IN ('propose', 'close')
                   THEN '{"resolution_code": "Fixed", "resolution_notes": "Replaced"}' ELSE '{}' END)),
          CASE to_jsonb(e) ->> s.state WHEN 'p' THEN '42501' WHEN 't' THEN 'SM002' WHEN 'x' THEN 'SM004' WHEN 'h' THEN 'SM001'
               ELSE to_jsonb(e) ->> s.state END,
          format('R2.2 %s: %s by %s', s.state, e.action, e.who))
FROM expected e, life.subject s;
SELECT is((SELECT count(*) FROM csm.case_transitions WHERE case_type = 'case'), 23::bigint, 'R2.2 no transition beside those of the table');

-- csm.actions tells beforehand exactly what csm.act would allow.
SELECT is(life.run(w.who, format('SELECT string_agg(action, '','' ORDER BY action) FROM csm.actions(%s)', s.id)),
          (SELECT string_agg(e.action, ',' ORDER BY e.action) FROM expected e
           WHERE e.who = w.who AND (to_jsonb(e) ->> s.state) NOT IN ('p', 't', 'x', 'h')),
          format('R2.3 actions of %s in %s', w.who, s.state))
FROM unnest('{requester,agent,reader,party,viewer,colleague,respondent,nobody}'::text[]) w(who), life.subject s;

-- A plain UPDATE is judged by the same machine: from, to, who, outcome.
SELECT is(life.run(v.who, format('UPDATE csm.cases SET state = %L, resolution_code = ''Fixed'', resolution_notes = ''Done'' WHERE id = %s RETURNING state',
                                 v.wanted, life.c(v.state))),
          v.outcome, format('R2.2 UPDATE %s→%s by %s', v.state, v.wanted, v.who))
FROM (VALUES
    ('agent', 'draft', 'new', 'new'),                ('agent', 'draft', 'open', 'SM002'),       ('agent', 'draft', 'cancelled', 'cancelled'),
    ('agent', 'new', 'open', 'open'),                ('agent', 'new', 'resolved', 'SM002'),     ('agent', 'new', 'closed', 'closed'),
    ('agent', 'new', 'draft', 'SM002'),              ('agent', 'new', 'cancelled', '42501'),    ('manager', 'new', 'cancelled', 'cancelled'),
    ('agent', 'open', 'new', 'SM002'),               ('agent', 'open', 'awaiting_info', 'SM003'), ('agent', 'open', 'resolved', 'resolved'),
    ('agent', 'open', 'closed', 'closed'),           ('agent', 'open', 'cancelled', '42501'),   ('manager', 'open', 'cancelled', 'cancelled'),
    ('agent', 'awaiting_info', 'open', 'open'),      ('agent', 'awaiting_info', 'resolved', 'resolved'),
    ('agent', 'resolved', 'closed', '42501'),        ('agent', 'resolved', 'open', '42501'),    ('manager', 'resolved', 'closed', '42501'),
    ('agent', 'closed', 'open', 'SM004'),            ('agent', 'cancelled', 'new', 'SM004'),    ('manager', 'closed', 'resolved', 'SM004'),
    ('agent', 'open', 'nowhere', 'SM002'),
    ('system', 'resolved', 'closed', 'closed'),      ('system', 'new', 'open', '42501'),        ('system', 'open', 'new', 'SM002'),
    ('system', 'closed', 'open', 'SM004'),           ('system', 'closed', 'closed', 'SM004')
) v(who, state, wanted, outcome);
SELECT is(life.run(w, format('UPDATE csm.cases SET state = ''closed'' WHERE id = %s RETURNING state', life.c('new'))), '42501',
          'R2.3 no UPDATE at all for csm_portal: ' || w)
FROM unnest('{requester,admin,party}'::text[]) w;
SELECT is(life.run('viewer', format('UPDATE csm.cases SET subject = ''x'' WHERE id = %s RETURNING subject', life.c('new'))), NULL,
          'R2.3 who reads all and works on none updates no row');

-- The main path, with what each step leaves behind.
CREATE TEMP TABLE path AS SELECT life.run('requester', $$SELECT (csm.open_case('Printer', 'It burns')).id$$, true)::bigint AS id;
GRANT SELECT ON path TO csm_portal, csm_agent;
CREATE FUNCTION life.act(who text, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT life.run(who, format('SELECT (csm.act(%s, %L, %L, %L)).state', (SELECT id FROM path), action, note, fields), true)
$$;
CREATE FUNCTION life.now(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT concat_ws('' '', %s) FROM csm.cases WHERE id = (SELECT id FROM path)', columns) INTO answer;
    RETURN answer;
END $$;
SELECT is(life.now('number, branch, state, state_class, priority, account_id, requester_id, opened_by, channel, needs_attention,
                    reopen_count, reassignment_count, num_nulls(resolved_at, closed_at, assigned_to), submitted_at = opened_at, opened_at = updated_at'),
          format('CS%s b2b new new 4 %s %s %s web f 0 0 3 t t', lpad((SELECT id FROM path)::text, 7, '0'), :alpha, :requester, :requester),
          'R2.2 – →new: what a case is at birth');
SELECT is(life.act('agent', 'take'), 'open', 'R2.2 new→open take');
SELECT is(life.now('assigned_to, reassignment_count, needs_attention'), :'agent' || ' 0 f', 'R2.2 new→open: whoever takes a case that nobody has is its assignee');
SELECT is(life.now('first_response_at IS NULL'), 't', 'R2.2 taking a case is no response');
SELECT is(life.act('agent', 'request_info'), 'SM003', 'SM003 a question must be asked');
SELECT is(life.act('agent', 'request_info', '   '), 'SM003', 'SM003 blanks are no question');
SELECT is(life.act('agent', 'request_info', 'Which model?'), 'awaiting_info', 'R2.2 open→awaiting_info request_info');
SELECT is(life.now('state_class, first_response_at IS NULL'), 'waiting f', 'R2.2 open→awaiting_info: the question is the first response');
SELECT is((SELECT concat_ws('|', body, side, visibility, author_name) FROM csm.case_entries WHERE case_id = (SELECT id FROM path) ORDER BY id DESC LIMIT 1),
          'Which model?|operator|shared|agent', 'R2.2 the note of an action is a shared entry');
SELECT is(life.run('requester', format('SELECT (csm.comment(%s, ''LX-80'')).side', (SELECT id FROM path)), true), 'customer', 'T14 customer answers');
SELECT is(life.now('state, needs_attention'), 'open t', 'T14 comment by the customer in awaiting_info → open, attention on');
SELECT is(life.run('agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING needs_attention', (SELECT id FROM path)), true), 'false',
          'R2.5 the assignee switches attention off');
SELECT is(life.act('agent', 'propose', NULL, '{"resolution_code": "Fixed"}'), 'SM003', 'SM003 a proposal needs code and notes');
SELECT is(life.told('agent', format('SELECT csm.act(%s, ''propose'', NULL, %L)', (SELECT id FROM path), '{"resolution_notes": " "}')),
          format('SM003 | action "propose" on case %s lacks a required field | Missing: resolution_code, resolution_notes. | Give them to csm.act() in fields, a note in note.', life.now('number')),
          'SM003 names all that is missing, blanks included');
SELECT is(life.act('agent', 'propose', NULL, '{"resolution_code": "Fixed", "resolution_notes": "Fuse"}'), 'resolved', 'R2.2 open→resolved propose');
SELECT is(life.now('resolved_at IS NOT NULL, closed_at IS NULL'), 't t', 'R2.2 open→resolved: since when a proposal stands');
SELECT is(life.run('requester', format('SELECT (csm.comment(%s, ''Will try'')).id IS NOT NULL', (SELECT id FROM path)), true), 'true', 'R2.3 a comment on a resolved case');
SELECT is(life.now('state, needs_attention'), 'resolved t', 'R2.3 which stays resolved');
SELECT is(life.act('requester', 'reject'), 'SM003', 'SM003 rejecting needs a reason');
SELECT is(life.act('requester', 'reject', 'Still burns'), 'open', 'R2.2 resolved→open reject');
SELECT is(life.now('resolved_at IS NULL, reopen_count, needs_attention, assigned_to'), 't 1 t ' || :'agent', 'R2.2 resolved→open: counted, and somebody must look');
SELECT is(life.act('manager', 'assign', NULL, format('{"assigned_to": %s}', :agent2)::jsonb), 'open', 'R2.3 manager assigns');
SELECT is(life.now('assigned_to, reassignment_count'), :'agent2' || ' 1', 'R2.3 a case that changes hands is counted');
SELECT is(life.run('agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s', (SELECT id FROM path))), '42501',
          'R2.5 attention is not switched off by another agent');
SELECT is(life.act('agent2', 'request_info', 'Now?'), 'awaiting_info', 'R2.2 open→awaiting_info a second time');
SELECT is(life.act('agent2', 'resume'), 'open', 'R2.2 awaiting_info→open resume by the agent');
SELECT is(life.act('agent2', 'request_info', 'And now?'), 'awaiting_info', 'R2.2 open→awaiting_info a third time');
SELECT is(life.act('agent2', 'propose', 'Please check', '{"resolution_notes": "New printer"}'), 'resolved', 'R2.2 awaiting_info→resolved propose');
SELECT is(life.act('admin', 'accept'), 'closed', 'R2.2 resolved→closed accept, by whoever decides for the account');
SELECT is(life.now('state_class, closed_at IS NOT NULL, resolved_at IS NOT NULL, needs_attention, resolution_code, resolution_notes'),
          'closed t t f Fixed New printer', 'R2.2 resolved→closed: what remains');
SELECT is(life.act('admin', 'accept'), 'SM004', 'SM004 accept twice');
SELECT is(life.run('requester', format('SELECT csm.comment(%s, ''Thanks'')', (SELECT id FROM path))), 'SM004', 'SM004 no comment on a closed case');
SELECT is(life.run('requester', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''Thanks'')', (SELECT id FROM path))), 'SM004', 'SM004 no plain INSERT either');
SELECT is(life.run('agent', format('SELECT csm.comment(%s, ''note'', ''internal'')', (SELECT id FROM path))), 'SM004', 'SM004 no work note');
SELECT is(life.run('system', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''Thanks'')', (SELECT id FROM path))), 'SM004', 'SM004 not from a superuser');
SELECT is(life.run('colleague', format('SELECT csm.comment(%s, ''Thanks'')', (SELECT id FROM path))), 'SM001', 'SM001 goes before SM004: hidden stays hidden');
SELECT is(life.run('reader', format('SELECT csm.comment(%s, ''Thanks'')', (SELECT id FROM path))), '42501', '42501 goes before SM004');
SELECT is(life.run('agent', format('UPDATE csm.cases SET priority = 1 WHERE id = %s', (SELECT id FROM path))), 'SM004', 'SM004 closed rows are immutable');
SELECT is(life.run('system', format('UPDATE csm.cases SET priority = priority WHERE id = %s', (SELECT id FROM path))), 'SM004', 'SM004 for a superuser, even where nothing would change');

-- Closing by either side, from each open state.
SELECT is(life.run('requester', format('SELECT concat_ws(''|'', a.state, a.resolution_code, a.resolution_notes) FROM csm.act(%s, ''close'') a', life.c(s))),
          'closed|Solved by customer|Closed by customer', 'R2.2 ' || s || '→closed by the customer, who need not explain')
FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(life.run('agent', format('SELECT (csm.act(%s, ''close'')).state', life.c(s))), 'SM003', 'SM003 an agent who closes from ' || s || ' must explain')
FROM unnest('{new,open,awaiting_info}'::text[]) s;
SELECT is(life.run('requester', format('SELECT (csm.act(%s, ''close'', NULL, ''{"resolution_notes": "Never mind"}'')).resolution_notes', life.c('open'))),
          'Never mind', 'R2.2 a value that the caller gives goes before the effect');
SELECT is(life.run('requester', format('SELECT csm.act(%s, ''close'', NULL, ''{"priority": 1}'')', life.c('open'))), '42501',
          '42501 a customer sets what the transition demands and nothing else');
SELECT is(life.run('requester', format('SELECT csm.act(%s, ''close'', NULL, ''{"assigned_to": 1}'')', life.c('open'))), '42501',
          '42501 no reference is written by a customer');
SELECT is(life.run('requester', format('SELECT array_to_string(required_fields, '','') FROM csm.actions(%s) WHERE action = ''close''', life.c('open'))), '',
          'R2.3 actions asks the customer for no field that is filled in for him');
SELECT is(life.run('agent', format('SELECT array_to_string(required_fields, '','') FROM csm.actions(%s) WHERE action = ''close''', life.c('open'))),
          'resolution_code,resolution_notes', 'R2.3 actions asks the agent');

-- Comments.
SELECT is(life.run('party', format('SELECT csm.comment(%s, ''LX-80'') IS NOT NULL AND (SELECT state = ''open'' FROM csm.cases WHERE id = %1$s)', life.c('awaiting_info'))),
          'false', 'R2.2 awaiting_info→open: the state within the statement is the old one');
SELECT is(life.run('party', format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''LX-80'')) SELECT count(*) FROM e', life.c('awaiting_info')), true), '1', 'V7 a party with case_comment comments');
SELECT is((SELECT state FROM csm.cases WHERE id = life.c('awaiting_info')), 'open', 'T14 whoever of the customer''s side answers resumes work');
BEGIN;
SET LOCAL csm.importing = on;
UPDATE csm.cases SET state = 'awaiting_info', needs_attention = false WHERE id = life.c('awaiting_info');
COMMIT;
SELECT is(life.run('agent', format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''Ping'')) SELECT count(*) FROM e', life.c('awaiting_info')), true), '1', 'R2.3 the agent may comment meanwhile');
SELECT is((SELECT state || needs_attention FROM csm.cases WHERE id = life.c('awaiting_info')), 'awaiting_infofalse', 'R2.2 an agent''s comment resumes nothing and calls nobody');
SELECT is(life.run('requester', format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''psst'', ''private'')) SELECT count(*) FROM e', life.c('awaiting_info')), true), '1', 'V8 a private entry');
SELECT is((SELECT state FROM csm.cases WHERE id = life.c('awaiting_info')), 'awaiting_info', 'T14 a private entry is no answer');
SELECT is(life.run('requester', format('SELECT csm.comment(%s, ''x'', ''internal'')', life.c('new'))), '42501', '42501 a customer writes no work note');
SELECT is(life.run('requester', format('INSERT INTO csm.case_entries (case_id, body, visibility) VALUES (%s, ''x'', ''internal'')', life.c('new'))), '42501', '42501 not by INSERT either');
SELECT is(life.run('agent', format('SELECT (csm.comment(%s, ''x'', ''internal'')).side', life.c('new'))), 'operator', 'R2.3 an agent writes a work note');
SELECT is(life.run('requester', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''plain'') RETURNING concat_ws('' '', author_name, side, branch, visibility)', life.c('new'))),
          'requester customer b2b shared', 'V11 a plain INSERT is stamped');
SELECT is(life.run('requester', format('INSERT INTO csm.case_entries (case_id, body, author_id) VALUES (%s, ''x'', %s)', life.c('new'), :agent)), '42501', '42501 nobody writes in another''s name');
SELECT is(life.told('requester', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''x'')', 987654321)),
          life.told('requester', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''x'')', life.run('consumer', $$SELECT (csm.open_case('mine')).id$$, true))),
          'V15 an entry on a hidden case and on a missing one: the same words');
SELECT is(replace(life.told('colleague', format('SELECT csm.%s', f.call)), life.c('new')::text, 'N'),
          replace(life.told('colleague', format('SELECT csm.%s', replace(f.call, life.c('new')::text, '987654321'))), '987654321', 'N'),
          'V15 ' || split_part(f.call, '(', 1) || ' on a hidden case and on a missing one: the same words')
FROM (VALUES (format('act(%s, ''close'')', life.c('new'))), (format('comment(%s, ''x'')', life.c('new')))) f(call);
SELECT is(life.run('colleague', format('SELECT count(*) FROM csm.case_people(%s)', life.c('new'))), '0', 'V11 people of a hidden case: no row');

-- Idempotency.
SELECT is(life.run('requester', format('SELECT count(DISTINCT (e).id) FROM (SELECT csm.comment(%s, ''once'', ''shared'', ''k1'') e FROM generate_series(1, 3)) s', life.c('new')), true), '1',
          'SM006 the same key and body give the first entry');
SELECT is(life.run('requester', format('SELECT csm.comment(%s, ''twice'', ''shared'', ''k1'')', life.c('new'))), 'SM006', 'SM006 the same key with another body');
SELECT is(life.run('requester', format('SELECT csm.comment(%s, ''once'', ''private'', ''k1'')', life.c('new'))), 'SM006', 'SM006 or with another visibility');
SELECT is(life.run('admin', format('SELECT (csm.comment(%s, ''twice'', ''shared'', ''k1'')).body', life.c('new'))), 'twice', 'SM006 another author''s key is another key');
SELECT is(life.run('requester', $$SELECT count(DISTINCT (c).id) FROM (SELECT csm.open_case('again', idempotency_key => 'k') c FROM generate_series(1, 3)) s$$, true), '1',
          'SM006 the same key opens one case');
SELECT is(life.run('requester', $$SELECT csm.open_case('other', idempotency_key => 'k')$$), 'SM006', 'SM006 the same key for another case');
SELECT is(life.run('colleague', $$SELECT (csm.open_case('other', idempotency_key => 'k')).subject$$), 'other', 'SM006 another opener''s key is another key');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', idempotency_key => '')$$), '22023', '22023 an empty key');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', idempotency_key => repeat('k', 201))$$), '22023', '22023 a key too long');
SELECT is(life.run('requester', format('SELECT csm.comment(%s, ''x'', ''shared'', repeat(''k'', 201))', life.c('new'))), '22023', '22023 a key too long for a comment');

-- A new case: for whom, and of which kind.
SELECT is(life.run(v.who, format($$WITH c AS (INSERT INTO csm.cases (subject%1$s) VALUES ('x'%2$s) RETURNING *) SELECT concat_ws(' ', branch, account_id, household_id, requester_id) FROM c$$,
                                 v.columns, v.vals), as_persona => v.persona), v.outcome, 'D5 branch: ' || v.descr)
FROM (VALUES
    ('requester', NULL, '', '', format('b2b %s %s', :alpha, :requester), 'home account of a contact'),
    ('requester', NULL, ', account_id', ', ' || :gamma, format('b2b %s %s', :gamma, :requester), 'another account of his'),
    ('requester', NULL, ', account_id', ', ' || :beta, '42501', 'not a foreign account'),
    ('requester', NULL, ', account_id', ', 987654', '42501', 'not a missing account'),
    ('requester', 'employee', '', '', format('internal %s', :requester), 'persona employee'),
    ('requester', 'consumer', '', '', '42501', 'persona consumer of somebody who is none'),
    ('requester', 'contact:' || (SELECT id FROM csm.contacts WHERE user_id = :requester AND account_id = :gamma), '', '', format('b2b %s %s', :gamma, :requester), 'persona of the other contact'),
    ('consumer', NULL, '', '', format('b2c %s', :consumer), 'a consumer'),
    ('student', NULL, '', '', format('internal %s', :student), 'anybody without a persona row'),
    ('head', NULL, ', requester_id', ', ' || :student, format('b2c %s', :student), 'the head of a household for a member'),
    ('student', NULL, ', requester_id', ', ' || :head, '42501', 'not the member for the head'),
    ('admin', NULL, ', requester_id', ', ' || :requester, format('b2b %s %s', :alpha, :requester), 'the admin for a colleague, at home'),
    ('admin', NULL, ', requester_id, account_id', format(', %s, %s', :requester, :alpha), format('b2b %s %s', :alpha, :requester), 'the admin for a colleague, account named'),
    ('requester', NULL, ', requester_id', ', ' || :admin, '42501', 'not the contact for the admin'),
    ('requester', NULL, ', requester_id', ', 987654', '42501', 'not for a missing person'),
    ('agent', NULL, ', requester_id', ', ' || :requester, format('b2b %s %s', :alpha, :requester), 'the agent for a contact'),
    ('agent', NULL, ', requester_id', ', ' || :consumer, '42501', 'not the b2b agent for a consumer'),
    ('consumer_agent', NULL, ', requester_id', ', ' || :consumer, format('b2c %s', :consumer), 'the consumer agent for a consumer'),
    ('contributor', NULL, ', requester_id', ', ' || :consumer, format('b2c %s', :consumer), 'the contributor for a consumer'),
    ('manager', NULL, ', requester_id', ', ' || :student, format('internal %s', :student), 'the manager for an employee'),
    ('nobody', NULL, '', '', '42501', 'nobody opens nothing')
) v(who, persona, columns, vals, outcome, descr);
SELECT is(life.run('system', $$INSERT INTO csm.cases (subject) VALUES ('x')$$), '23502', '23502 the system must say for whom');
SELECT is(life.run('system', format($$INSERT INTO csm.cases (subject, requester_id) VALUES ('x', %s) RETURNING concat_ws(' ', branch, account_id, opened_by IS NULL)$$, :requester)),
          format('b2b %s t', :alpha), 'D5 the system opens for a requester');
SELECT is(life.run('requester', $$INSERT INTO csm.cases (subject, state) VALUES ('x', 'closed')$$), '42501', '42501 no state by a client');
SELECT is(life.run('system', format($$INSERT INTO csm.cases (subject, requester_id, state) VALUES ('x', %s, 'closed')$$, :requester)), 'SM002', 'SM002 a case begins at the beginning');
SELECT is(life.run('system', format($$INSERT INTO csm.cases (subject, requester_id, opened_at, closed_at) VALUES ('x', %s, '2001-01-01', '2001-01-02') RETURNING (opened_at > '2020-01-01' AND closed_at IS NULL)::text$$, :requester)),
          'true', 'D5 times are not the writer''s to give');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', case_type => 'nope')$$), '22023', '22023 unknown case type');
SELECT is(life.run('requester', $$SELECT csm.open_case(NULL)$$), '22004', '22004 no subject');
SELECT is(life.run('requester', $$SELECT csm.open_case('  ')$$), '23514', '23514 blank subject');
SELECT is(life.run('requester', $$SELECT csm.open_case(repeat('x', 401))$$), '23514', '23514 subject too long');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', repeat('word ', 100000))$$), '23514', '23514 description too long, and nothing worse');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', priority => 5)$$), '23514', '23514 no such priority');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', priority => 100000)$$), '22003', '22003 no number for a priority');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', fields => '{"state": "closed"}')$$), '22023', '22023 state is no field');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', fields => '[]')$$), '22023', '22023 fields is no object');
SELECT is(life.run('requester', format($$SELECT csm.open_case('x', fields => '{"assigned_to": %s}')$$, :agent)), '42501', '42501 a customer assigns nobody');
SELECT is(life.run('agent', format($$SELECT (csm.open_case('x', requester_id => %s, fields => '{"assigned_to": %s, "impact": 1}')).assigned_to$$, :requester, :agent)), :'agent', 'D5 an agent may');
SELECT is(life.run('requester', $$SELECT (csm.open_case('x', fields => '{"attributes": {"a": 1}}')).attributes->>'a'$$), '1', 'D5 attributes through fields');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', product_id => 987654)$$), '42501', 'V15 a product that does not exist');
SELECT is(life.run('requester', $$SELECT csm.open_case('x', asset_id => 987654)$$), '42501', 'V15 an asset that does not exist');
SELECT is(life.run('requester', format($$SELECT csm.open_case('x', counterparty_account_id => %s)$$, :gamma)), '42501', 'V15 a counterparty with whom there is no trade');

-- Drafts, and the other side of a dispute.
CREATE TEMP TABLE dispute AS SELECT life.run('requester', format($$SELECT (csm.open_case('Invoice', counterparty_account_id => %s, draft => true)).id$$, :beta), true)::bigint AS id;
SELECT is((SELECT concat_ws(' ', state, state_class, submitted_at IS NULL) FROM csm.cases WHERE id = (SELECT id FROM dispute)), 'draft draft t', 'D5 a draft');
SELECT is(life.run('requester', $$SELECT (csm.open_case('after the draft')).state$$), 'new', 'D5 the next case is none');
SELECT is(life.run('respondent', format('SELECT csm.comment(%s, ''x'')', (SELECT id FROM dispute))), 'SM001', 'V8 the counterparty knows nothing of a draft');
SELECT is(life.run('requester', format('SELECT (csm.act(%s, ''submit'')).state', (SELECT id FROM dispute)), true), 'new', 'R2.2 draft→new submit');
SELECT is((SELECT submitted_at > opened_at FROM csm.cases WHERE id = (SELECT id FROM dispute)), true, 'R2.2 draft→new: submitted now');
SELECT is(life.run('respondent', format('SELECT (csm.comment(%s, ''We disagree'')).side', (SELECT id FROM dispute)), true), 'counterparty', 'V8 and sees it from submission on');
SELECT is(life.run('respondent', format('SELECT csm.act(%s, %L)', (SELECT id FROM dispute), a)), '42501', 'V8 in the default machine the counterparty takes no action: ' || a)
FROM unnest('{close,cancel,accept}'::text[]) a;
SELECT is(life.run('requester', format('SELECT (csm.act(%s, ''close'')).state', (SELECT id FROM dispute))), 'closed', 'V8 the claimant does');
SELECT is(life.run('respondent', format('SELECT string_agg(concat_ws(''='', relation, coalesce(user_id, account_id), display_name), '','' ORDER BY relation) FROM csm.case_people(%s)', (SELECT id FROM dispute))),
          format('account=%s=Alpha,counterparty=%s=Beta,opener=%s=requester,requester=%2$s=requester', :alpha, :beta, :requester),
          'V8 of the other side: the account''s name and who acts');
SELECT is(life.run('requester', format('SELECT string_agg(relation, '','' ORDER BY relation) FROM csm.case_people(%s)', life.c('new'))), 'account,opener,party,requester', 'V11 parties are shown to the own side');

-- What no writer can do.
SELECT is(life.run('agent', format('UPDATE csm.cases SET subject = ''Toner'', priority = 1 WHERE id = %s RETURNING subject', life.c('open'))), 'Toner', 'R2.3 an agent corrects fields');
SELECT is(life.run('agent', format('UPDATE csm.cases SET description = ''inkless'' WHERE id = %s RETURNING (search @@ ''inkless''::tsquery)::text', life.c('open'))), 'true', 'D4 search follows the text');
SELECT is(life.run('system', format('UPDATE csm.cases SET %I = %s WHERE id = %s', v.col, v.val, life.c('open'))), '42501', 'D5 fixed: ' || v.col)
FROM (VALUES ('tenant_id', '99'), ('number', '''X'''), ('branch', '''b2c'''), ('opened_by', '99'), ('opened_at', '''2001-01-01'''), ('idempotency_key', '''x''')) v(col, val);
SELECT is(life.run('system', format('UPDATE csm.cases SET %I = %s WHERE id = %s RETURNING %1$I IS DISTINCT FROM %2$s', v.col, v.val, life.c('open'))), 'true', 'D5 derived: ' || v.col)
FROM (VALUES ('state_class', '''closed'''), ('search', '''x''::tsvector'), ('submitted_at', '''2001-01-01''::timestamptz'), ('resolved_at', '''2001-01-01''::timestamptz'),
             ('closed_at', '''2001-01-01''::timestamptz'), ('updated_at', '''2001-01-01''::timestamptz'), ('first_response_at', '''2001-01-01''::timestamptz'),
             ('reopen_count', '9'), ('reassignment_count', '9')) v(col, val);
SELECT is(life.run('agent', format('UPDATE csm.cases SET requester_id = %s WHERE id = %s', :admin, life.c('open'))), '42501', '42501 an agent moves no case to another requester');
SELECT is(life.run('system', format('UPDATE csm.cases SET requester_id = %s WHERE id = %s RETURNING requester_id', :admin, life.c('open'))), :'admin', 'D5 a data repair may');
SELECT is(life.run('requester', format('UPDATE csm.cases SET subject = ''x'' WHERE id = %s', life.c('open')), as_role => session_user::text), '42501',
          'D5 a superuser who acts for a customer is a customer');
SELECT is(life.run(w, s), '42501', format('R2.2 deleted: never, %s by %s', split_part(s, ' ', 1), w))
FROM unnest('{system,agent,requester}'::text[]) w,
     unnest(ARRAY['DELETE FROM csm.cases', 'TRUNCATE csm.cases CASCADE', 'DELETE FROM csm.case_entries', 'TRUNCATE csm.case_entries CASCADE',
                  'UPDATE csm.case_entries SET body = ''x''']) s;
SELECT is(life.run('system', format('UPDATE csm.cases SET case_type = ''nope'' WHERE id = %s', life.c('open'))), '22023', '22023 no such type to change to');

-- Importing.
BEGIN;
SET LOCAL csm.importing = on;
INSERT INTO csm.cases (subject, state, requester_id, opened_by, opened_at, closed_at, updated_at, number)
VALUES ('old', 'closed', :consumer, NULL, '2015-01-02 03:04Z', '2015-02-01Z', '2015-02-01Z', 'OLD-1');
SELECT is((SELECT concat_ws(' ', number, branch, state_class, opened_at AT TIME ZONE 'UTC', submitted_at = opened_at, closed_at AT TIME ZONE 'UTC', updated_at = closed_at, opened_by IS NULL)
           FROM csm.cases WHERE number = 'OLD-1'),
          'OLD-1 b2c closed 2015-01-02 03:04:00 t 2015-02-01 00:00:00 t t', 'D5 importing: states and times as given');
INSERT INTO csm.case_entries (case_id, author_id, body, created_at) SELECT id, :consumer, 'old words', '2015-01-03Z' FROM csm.cases WHERE number = 'OLD-1';
SELECT is((SELECT concat_ws(' ', e.author_name, e.side, e.branch, e.created_at AT TIME ZONE 'UTC', c.updated_at AT TIME ZONE 'UTC')
           FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id WHERE c.number = 'OLD-1'),
          'consumer customer b2c 2015-01-03 00:00:00 2015-02-01 00:00:00', 'D5 importing: entries on a closed case, without effects');
SELECT throws_ok(format($$INSERT INTO csm.cases (subject, state, requester_id) VALUES ('x', 'gone', %s)$$, :consumer), 'SM002', NULL, 'SM002 importing: the state must exist');
SELECT throws_ok(format($$INSERT INTO csm.cases (subject, state, requester_id, case_type) VALUES ('x', 'new', %s, 'gone')$$, :consumer), '22023', NULL, '22023 importing: the type must exist');
SELECT is(life.run('requester', $$SELECT (csm.open_case('x')).state$$), 'new', 'D5 importing: the setting does nothing for another role');
SELECT is(life.run('requester', format('SELECT csm.act(%s, ''take'')', life.c('new'))), '42501', 'D5 importing: another role is judged');
COMMIT;
SELECT is(life.run('agent', $$SELECT set_config('csm.importing', 'on', true)$$), '42501', 'D5 importing: for superusers');

-- COPY is a writer like any other.
CREATE FUNCTION life.copied(line text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY csm.cases (subject, requester_id, state) FROM PROGRAM %L CSV', 'echo ' || line);
    RETURN (SELECT concat_ws(' ', state, state_class, branch, number = 'CS' || lpad(id::text, 7, '0'))
            FROM csm.cases WHERE subject = split_part(line, ',', 1));
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(life.copied(format('copied,%s,new', :consumer)), 'new new b2c t', 'D5 COPY is judged and filled in');
SELECT is(life.copied(format('copied2,%s,closed', :consumer)), 'SM002', 'SM002 COPY begins no case as closed');

-- Machines are data: another type, inherited or its own, heeded at once and taken back by ROLLBACK.
SELECT is(life.run('requester', $$SELECT csm.open_case('x', case_type => 'child')$$), '22023', 'D5 a type that does not exist yet');
INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('child', 'case', 'Child');
SELECT is(life.run('requester', $$SELECT (csm.open_case('x', case_type => 'child')).state$$), 'new', 'D5 a type without states inherits the machine');
BEGIN;
UPDATE csm.case_types SET active = false WHERE case_type = 'child';
SELECT is(life.run('requester', $$SELECT csm.open_case('x', case_type => 'child')$$), '22023', 'D5 no new case of an inactive type');
ROLLBACK;
SELECT is(life.run('requester', $$SELECT (csm.open_case('x', case_type => 'child')).state$$), 'new', 'D5 a rolled-back change of the machine is forgotten');
BEGIN;
UPDATE csm.case_transitions SET actors = '{requester}' WHERE case_type = 'case' AND from_state = 'new' AND action = 'take';
SELECT is(life.run('requester', format('SELECT (csm.act(%s, ''take'')).state', life.c('new'))), 'open', 'D5 a changed machine counts for the next statement');
SELECT is(life.run('agent', format('SELECT csm.act(%s, ''take'')', life.c('new'))), '42501', 'D5 for those who lost as well');
ROLLBACK;
SELECT is(life.run('agent', format('SELECT (csm.act(%s, ''take'')).state', life.c('new'))), 'open', 'D5 and back again');
SELECT throws_ok($$UPDATE csm.case_types SET parent_type = 'child' WHERE case_type = 'case'$$, '23514', NULL, 'D5 no types in a circle');
BEGIN;
SET LOCAL csm.restoring = on;
UPDATE csm.case_types SET parent_type = 'child' WHERE case_type = 'case';
DELETE FROM csm.case_states;
RESET csm.restoring;
SELECT is(life.run('requester', $$SELECT csm.open_case('x')$$), '22023', 'D5 types that a dump brought in a circle, without states: an error, no loop');
ROLLBACK;
BEGIN;
INSERT INTO csm.case_types (case_type, label) VALUES ('ticket', 'Ticket');
INSERT INTO csm.case_states (case_type, state, value, state_class, label) VALUES
    ('ticket', 'fresh', 1, 'new', 'Fresh'), ('ticket', 'open', 2, 'open', 'Open'), ('ticket', 'done', 3, 'closed', 'Done');
INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, effects, note_required, label) VALUES
    ('ticket', 'fresh', 'finish', 'done', '{customer,agent}',
     '{"resolution_code": "Done", "customer:resolution_code": "Done by customer", "customer:note": "I am done", "priority": "4"}', true, 'Finish');
SELECT is(life.run('requester', $$SELECT (csm.open_case('x', case_type => 'ticket', draft => true)).state$$), '22023', 'D5 a type without drafts');
CREATE TEMP TABLE ticket AS SELECT life.run('requester', $$SELECT (csm.open_case('x', case_type => 'ticket', priority => 2)).id$$, true)::bigint AS id;
SELECT is((SELECT concat_ws(' ', state, state_class) FROM csm.cases WHERE id = (SELECT id FROM ticket)), 'fresh new', 'D5 a machine may rename its states');
SELECT is(life.run('agent', format('SELECT csm.act(%s, ''finish'')', (SELECT id FROM ticket))), 'SM003', 'SM003 the note offered to customers is none for agents');
SELECT is(life.run('requester', format('SELECT concat_ws('' '', state, resolution_code, priority) FROM csm.act(%s, ''finish'')', (SELECT id FROM ticket))), 'done Done by customer 4', 'D5 effects of an actor go before effects for all');
SELECT is(life.run('requester', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''finish'')) SELECT count(*) FROM a', (SELECT id FROM ticket)), true), '1', 'D5 finish');
SELECT is((SELECT string_agg(body, ',') FROM csm.case_entries WHERE case_id = (SELECT id FROM ticket)), 'I am done', 'D5 effects may offer the note');
SELECT is(life.run('agent', format('UPDATE csm.cases SET case_type = ''ticket'' WHERE id = %s', life.c('new'))), 'SM002', 'SM002 no change to a type that lacks the state');
SELECT is(life.run('agent', format('UPDATE csm.cases SET case_type = ''ticket'' WHERE id = %s RETURNING case_type', life.c('open'))), 'ticket', 'R2.3 to one that has it');
ROLLBACK;

-- Arguments.
SELECT is(life.run('agent', 'SELECT csm.' || v.call), v.code, format('%s %s', v.code, v.call))
FROM (VALUES ('act(NULL, ''take'')', '22004'), ('act(1, NULL)', '22004'), ('act(-5, ''take'')', 'SM001'), ('comment(NULL, ''x'')', '22004'), ('comment(1, NULL)', '22004'),
             ('comment(1, ''  '')', '22023'), ('comment(1, ''x'', ''loud'')', '22023'), ('comment(1, ''x'', NULL)', '22023'), ('comment(-1, ''x'')', 'SM001'),
             ('comment(1, repeat(''x'', 100001))', '23514')) v(call, code);
SELECT is(life.run('agent', format('SELECT csm.act(%s, %L, NULL, %L)', life.c('new'), v.action, v.fields)), v.code, format('%s act %s %s', v.code, v.action, v.fields))
FROM (VALUES ('nonsense', '{}', '22023'), ('take', '{"state": "closed"}', '22023'), ('take', '[1]', '22023'), ('take', '{"priority": "high"}', '22P02'),
             ('take', '{"priority": 9}', '23514'), ('take', '{"assigned_to": 987654}', '23503')) v(action, fields, code);
SELECT is(life.run('agent', $$SELECT count(*) FROM csm.actions(NULL)$$), '0', 'R2.3 actions of no case');
SELECT is(life.run('agent', $$SELECT count(*) FROM csm.case_people(NULL)$$), '0', 'V11 people of no case');

-- What is announced meets one write and no other.
SELECT is(life.run('agent', format($$WITH a AS MATERIALIZED (SELECT csm.act(%s, 'take')) SELECT count(*) FROM a$$, life.c('new'))), '1', 'D5 an act');
SELECT is(life.run('requester', s), '42501', 'D5 no client announces: ' || s)
FROM unnest(ARRAY['SELECT csm_private.begin_open(true, NULL)', 'SELECT csm_private.begin_note(1)', 'SELECT csm_private.begin_entry(1, ''shared'', ''customer'', 1)',
                  'SELECT csm_private.open_case_row(true, ''x'', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4, ''web'', ''{}'', NULL)']) s;

SELECT * FROM finish();
