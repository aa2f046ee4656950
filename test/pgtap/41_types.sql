-- Case types as data: what a type inherits and overrides, its typed fields judged whoever writes them, and the functions
-- by which an administrator makes a type, has it judged and sees it drawn.
\set ON_ERROR_STOP on
CREATE SCHEMA kind;
CREATE TABLE kind.person (name text PRIMARY KEY, id bigint NOT NULL, role_name text NOT NULL);

-- Runs one statement as a person ("system": a superuser without identity, "nobody": a portal role without identity) and
-- returns its first value as text, or the SQLSTATE. What it wrote stays only with keep.
CREATE FUNCTION kind.run(who text, statement text, keep boolean DEFAULT false, as_role text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p kind.person;
    answer text;
BEGIN
    SELECT * INTO p FROM kind.person WHERE name = who;
    BEGIN
        IF p.id IS NOT NULL THEN
            PERFORM set_config('csm.user_id', p.id::text, true);
        ELSIF who NOT IN ('system', 'nobody') THEN
            RAISE EXCEPTION 'the fixture has no person "%"', who USING ERRCODE = 'XX000';
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
CREATE FUNCTION kind.told(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p kind.person;
    m text; d text; h text;
BEGIN
    SELECT * INTO p FROM kind.person WHERE name = who;
    BEGIN
        PERFORM set_config('csm.user_id', p.id::text, true), set_config('role', p.role_name, true);
        EXECUTE statement;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
            RETURN format('%s | %s | %s | %s', SQLSTATE, m, d, h);
    END;
END $$;

SELECT csm.create_tenant('kind', 'Kinds', 'boss@kind.example') AS tenant \gset
CREATE FUNCTION kind.person(called text, of_role text, staff_role text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (INSERT INTO csm.users (display_name) VALUES (called) RETURNING id),
         r AS (INSERT INTO csm.user_roles (user_id, role) SELECT id, staff_role FROM u WHERE staff_role IS NOT NULL)
    INSERT INTO kind.person SELECT called, id, of_role FROM u RETURNING id
$$;
SELECT kind.person('requester', 'csm_portal') AS requester, kind.person('manager', 'csm_portal') AS case_manager,
       kind.person('other', 'csm_portal') AS other, kind.person('stranger', 'csm_portal') AS stranger,
       kind.person('agent', 'csm_agent', 'agent') AS agent, kind.person('viewer', 'csm_agent', 'viewer') AS viewer,
       kind.person('admin', 'csm_admin', 'admin') AS admin, kind.person('plain', 'csm_admin', 'viewer') AS plain \gset
INSERT INTO csm.accounts (name) VALUES ('Alpha') RETURNING id AS alpha \gset
INSERT INTO csm.accounts (name) VALUES ('Beta') RETURNING id AS beta \gset
INSERT INTO csm.accounts (name) VALUES ('Gamma') RETURNING id AS gamma \gset
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES (:requester, :alpha, 'customer', true),
    (:case_manager, :alpha, 'case_manager', true), (:other, :beta, 'customer_admin', true), (:stranger, :gamma, 'customer', true);
INSERT INTO csm.account_relationships (type, partner_account_id, customer_account_id) VALUES ('trades_with', :alpha, :beta);
GRANT USAGE ON SCHEMA kind TO csm_portal, csm_agent, csm_admin;

SELECT * FROM no_plan();

-- ---- settings ----

INSERT INTO csm.case_types (case_type, parent_type, label, settings) VALUES
    ('upper', NULL, 'Upper', '{"priority": 2, "close_days": 10, "survey": "short"}'),
    ('middle', 'upper', 'Middle', '{"close_days": 20, "survey": null}'),
    ('lower', 'middle', 'Lower', '{"reminder_days": 3}');
SELECT is(csm_private.type_setting(:tenant, t, k)::text, v, format('D5 setting %s of %s', k, t))
FROM (VALUES ('lower', 'reminder_days', '3'), ('lower', 'close_days', '20'), ('lower', 'priority', '2'), ('lower', 'survey', NULL), ('upper', 'survey', '"short"'),
             ('middle', 'reminder_days', NULL), ('lower', 'nonsense', NULL), ('missing', 'priority', NULL)) v(t, k, v);
SELECT throws_ok($$UPDATE csm.case_types SET settings = '[]' WHERE case_type = 'upper'$$, '23514', NULL, '23514 settings are an object');

-- ---- what is inherited: random chains against a walk from the top ----

CREATE FUNCTION kind.naive_states(of_type text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    chain text[] := ARRAY[of_type];
    t csm.case_types;
    s csm.case_states;
    known jsonb := '{}';
BEGIN
    LOOP
        SELECT * INTO t FROM csm.case_types WHERE case_type = chain[1];
        EXIT WHEN t.own_machine OR t.parent_type IS NULL;
        chain := t.parent_type || chain;
    END LOOP;
    FOR i IN 1 .. cardinality(chain) LOOP
        FOR s IN SELECT * FROM csm.case_states WHERE case_type = chain[i] LOOP
            known := known || jsonb_build_object(s.state, CASE WHEN s.active THEN to_jsonb(s.label) ELSE 'null' END);
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT e.key || ' ' || e.value FROM jsonb_each_text(known) e WHERE e.value IS NOT NULL;
END $$;
CREATE FUNCTION kind.naive_transitions(of_type text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    chain text[] := ARRAY[of_type];
    t csm.case_types;
    m csm.case_transitions;
    known jsonb := '{}';
BEGIN
    LOOP
        SELECT * INTO t FROM csm.case_types WHERE case_type = chain[1];
        EXIT WHEN t.own_machine OR t.parent_type IS NULL;
        chain := t.parent_type || chain;
    END LOOP;
    FOR i IN 1 .. cardinality(chain) LOOP
        FOR m IN SELECT * FROM csm.case_transitions WHERE case_type = chain[i] LOOP
            known := known || jsonb_build_object(m.from_state || ' ' || m.action, CASE WHEN m.active THEN to_jsonb(m.to_state) ELSE 'null' END);
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT e.key || ' ' || e.value FROM jsonb_each_text(known) e
                 WHERE e.value IS NOT NULL AND split_part(e.key, ' ', 1) IN (SELECT split_part(n, ' ', 1) FROM kind.naive_states(of_type) n)
                   AND e.value IN (SELECT split_part(n, ' ', 1) FROM kind.naive_states(of_type) n);
END $$;
BEGIN;
SELECT setseed(0.41);
INSERT INTO csm.case_types (case_type, parent_type, label, own_machine)
SELECT 'r' || n, CASE WHEN n % 10 > 0 THEN 'r' || (n - 1 - (CASE WHEN n % 10 > 2 THEN floor(random() * 3)::integer ELSE 0 END)) END, 'R', random() < 0.1 FROM generate_series(0, 39) n;
INSERT INTO csm.case_states (case_type, state, value, state_class, label, active)
SELECT 'r' || n, 's' || v, v, (ARRAY['draft', 'new', 'open', 'waiting', 'closed'])[1 + v % 5], 'S ' || n, random() < 0.8
FROM generate_series(0, 39) n, generate_series(0, 7) v WHERE n % 10 = 0 OR random() < 0.3;
DO $$
DECLARE
    n integer; a integer; f text; g text; c text;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        c := 'r' || floor(random() * 40)::integer;
        f := 's' || floor(random() * 8)::integer;
        g := 's' || floor(random() * 8)::integer;
        BEGIN
            INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label, active)
            VALUES (c, f, 'a' || floor(random() * 4)::integer, g, '{agent}', 'A', random() < 0.8);
        EXCEPTION WHEN foreign_key_violation OR unique_violation THEN NULL;
        END;
    END LOOP;
END $$;
SELECT cmp_ok((SELECT count(*) FROM csm.case_transitions WHERE case_type LIKE 'r%' AND case_type <> from_type), '>', 100::bigint, 'D5 random chains: actions between inherited states');
SELECT set_eq(format('SELECT state || '' '' || label FROM csm_private.machine_states(%s, ''r%s'')', :tenant, n), format('SELECT kind.naive_states(''r%s'')', n), 'D5 random chains: states of r' || n)
FROM generate_series(0, 39) n;
SELECT set_eq(format('SELECT from_state || '' '' || action || '' '' || to_state FROM csm_private.machine_transitions(%s, ''r%s'')', :tenant, n), format('SELECT kind.naive_transitions(''r%s'')', n), 'D5 random chains: transitions of r' || n)
FROM generate_series(0, 39) n;
-- The walk over these machines against reachability by brute force: as many steps as there are states.
CREATE FUNCTION kind.naive_reach(of_type text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    reached text[] := ARRAY(SELECT state FROM csm_private.machine_states((SELECT id FROM csm.tenants WHERE key = 'kind'), of_type) s
                            WHERE state_class IN ('draft', 'new') AND value = (SELECT min(value) FROM csm_private.machine_states((SELECT id FROM csm.tenants WHERE key = 'kind'), of_type) m
                                                                               WHERE m.state_class = s.state_class));
    final text[] := ARRAY(SELECT state FROM csm_private.machine_states((SELECT id FROM csm.tenants WHERE key = 'kind'), of_type) WHERE state_class IN ('closed', 'cancelled'));
    ends text[] := final;
BEGIN
    FOR i IN 1 .. 10 LOOP
        reached := reached || ARRAY(SELECT split_part(t, ' ', 3) FROM kind.naive_transitions(of_type) t WHERE split_part(t, ' ', 1) = ANY (reached) AND split_part(t, ' ', 1) <> ALL (final));
        ends := ends || ARRAY(SELECT split_part(t, ' ', 1) FROM kind.naive_transitions(of_type) t WHERE split_part(t, ' ', 3) = ANY (ends) AND split_part(t, ' ', 1) <> ALL (final));
    END LOOP;
    RETURN QUERY SELECT concat_ws(' ', state, state = ANY (reached), state = ANY (ends)) FROM csm_private.machine_states((SELECT id FROM csm.tenants WHERE key = 'kind'), of_type);
END $$;
SELECT set_eq(format('SELECT concat_ws('' '', state, reached, ends) FROM csm_private.machine_walk(%s, ''r%s'')', :tenant, n), format('SELECT kind.naive_reach(''r%s'')', n), 'D5 random machines: reach and ends of r' || n)
FROM generate_series(0, 39) n;
ROLLBACK;

-- ---- a child changes single rows; the rows stay sound ----

BEGIN;
INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('repair', 'case', 'Repair');
SELECT is(kind.run('requester', $$SELECT (csm.open_case('x', case_type => 'repair')).state$$), 'new', 'D5 a child without rows has the parent''s machine');
INSERT INTO csm.case_states (case_type, state, value, state_class, label) VALUES ('repair', 'workshop', 30, 'open', 'In the workshop'), ('repair', 'open', 10, 'open', 'Being looked at');
INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES
    ('repair', 'open', 'send_in', 'workshop', '{agent}', 'Send in'), ('repair', 'workshop', 'send_back', 'open', '{agent}', 'Send back');
SELECT is((SELECT string_agg(concat_ws(' ', action, from_type, to_type), ', ' ORDER BY action) FROM csm.case_transitions WHERE case_type = 'repair'), 'send_back repair case, send_in case repair',
          'D5 whose states an action names: of the farthest that has them');
INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label, active) VALUES ('repair', 'new', 'close', 'closed', '{system}', 'Close', false);
INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('repair', 'new', 'cancel', 'cancelled', '{customer}', 'Cancel');
CREATE TEMP TABLE repair AS SELECT kind.run('requester', $$SELECT (csm.open_case('x', case_type => 'repair')).id$$, true)::bigint AS id;
SELECT is(kind.run('requester', format('SELECT string_agg(action, '','' ORDER BY action) FROM csm.actions(%s)', (SELECT id FROM repair))), 'cancel', 'D5 an action switched off, another for others');
SELECT is(kind.run('requester', format('SELECT csm.act(%s, ''close'')', (SELECT id FROM repair))), 'SM002', 'SM002 an action switched off cannot be taken here');
SELECT is(kind.run('agent', format('SELECT (csm.act((csm.act(%s, ''take'')).id, ''send_in'')).state', (SELECT id FROM repair))), 'workshop', 'D5 actions of parent and child in one machine');
SELECT is((SELECT label FROM csm_private.machine_states(:tenant, 'repair') WHERE state = 'open'), 'Being looked at', 'D5 a state with another label');
DELETE FROM csm.case_states WHERE case_type = 'repair' AND state = 'open';
SELECT is((SELECT label FROM csm_private.machine_states(:tenant, 'repair') WHERE state = 'open'), 'Open', 'D5 without the override the inherited state is back');
SELECT is((SELECT count(*) FROM csm_private.machine_transitions(:tenant, 'repair') WHERE action LIKE 'send%'), 2::bigint, 'D5 and the actions that named it stay');
INSERT INTO csm.case_states (case_type, state, value, state_class, label, active) VALUES ('repair', 'awaiting_info', 18, 'waiting', 'x', false);
SELECT is_empty(format('SELECT FROM csm_private.machine_transitions(%s, ''repair'') WHERE ''awaiting_info'' IN (from_state, to_state)', :tenant), 'D5 a state switched off takes its actions along');
SELECT is(kind.run('admin', $$SELECT count(*) FROM csm.check_case_type('repair')$$), '0', 'D5 which is no fault');
UPDATE csm.case_types SET own_machine = true WHERE case_type = 'repair';
SELECT set_eq(format('SELECT state FROM csm_private.machine_states(%s, ''repair'')', :tenant), ARRAY['workshop'], 'D5 a machine of its own inherits no state');
SELECT is(csm_private.machine_type(:tenant, 'repair'), 'repair', 'D5 and begins with itself');
UPDATE csm.case_types SET own_machine = false WHERE case_type = 'repair';
SELECT is(csm_private.machine_type(:tenant, 'repair'), 'case', 'D5 one that is inherited begins with the ancestor');
SELECT is(csm_private.machine_type(:tenant, 'missing'), NULL, 'D5 no machine of an unknown type');
SELECT throws_ok($$INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('repair', 'open', 'x', 'nowhere', '{agent}', 'x')$$, '23503', NULL, '23503 no such state in the chain');
SELECT throws_ok($$INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('case', 'open', 'x', 'workshop', '{agent}', 'x')$$, '23503', NULL, '23503 a parent knows no state of its child');
SELECT throws_ok($$INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('repair', 'open', 'x', 'open', '{everybody}', 'x')$$, '23514', NULL, '23514 no such actor');
DELETE FROM csm.case_states WHERE case_type = 'repair' AND state = 'workshop';
SELECT is_empty($$SELECT FROM csm.case_transitions WHERE case_type = 'repair' AND action LIKE 'send%'$$, 'D5 a state that goes takes along the actions that name it');
SELECT throws_ok($$UPDATE csm.case_types SET parent_type = 'repair' WHERE case_type = 'case'$$, '23514', NULL, '23514 no type is its own ancestor');
INSERT INTO csm.case_types (case_type, parent_type, label) SELECT 'deep' || n, CASE WHEN n > 0 THEN 'deep' || (n - 1) END, 'Deep' FROM generate_series(0, 31) n;
SELECT throws_ok($$INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('deep32', 'deep31', 'Deep')$$, '23514', NULL, '23514 at most 31 ancestors');
SELECT is((SELECT max(depth) FROM csm_private.type_chain(:tenant, 'deep31')), 31, 'D5 31 ancestors');
DELETE FROM csm.case_types WHERE case_type = 'deep31';
ROLLBACK;

-- ---- typed fields ----

INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('base', 'case', 'Base'), ('claim', 'base', 'Claim');
INSERT INTO csm.case_type_fields (case_type, name, label, type, audience, required, required_for, choices, reference) VALUES
    ('base', 'words', 'Words', 'text', 'all', false, '{}', NULL, NULL), ('base', 'whole', 'Whole', 'integer', 'all', false, '{}', NULL, NULL),
    ('base', 'size', 'Size', 'number', 'all', false, '{}', NULL, NULL), ('base', 'sure', 'Sure', 'boolean', 'all', false, '{}', NULL, NULL),
    ('base', 'bought_on', 'Bought on', 'date', 'all', false, '{}', NULL, NULL), ('base', 'seen_at', 'Seen at', 'timestamp', 'all', false, '{}', NULL, NULL),
    ('claim', 'colour', 'Colour', 'choice', 'all', false, '{}', '{red,dark blue}', NULL), ('claim', 'store', 'Store', 'reference', 'all', false, '{}', NULL, 'accounts'),
    ('claim', 'earlier', 'Earlier case', 'reference', 'all', false, '{}', NULL, 'cases'), ('claim', 'helper', 'Helper', 'reference', 'all', false, '{}', NULL, 'groups'),
    ('claim', 'margin', 'Margin', 'number', 'staff', false, '{propose}', NULL, NULL),
    ('claim', 'our_limit', 'Our limit', 'number', 'customer', false, '{}', NULL, NULL), ('claim', 'their_limit', 'Their limit', 'number', 'counterparty', false, '{}', NULL, NULL),
    ('claim', 'rating', 'Rating', 'integer', 'all', false, '{accept}', NULL, NULL);
CREATE FUNCTION kind.opens(attributes jsonb, who text DEFAULT 'requester', of_type text DEFAULT 'claim', keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT kind.run(who, format('INSERT INTO csm.cases (subject, case_type, attributes, requester_id) VALUES (''x'', %L, %L, %s) RETURNING id > 0', of_type, attributes, (SELECT id FROM kind.person WHERE name = 'requester')), keep)
$$;
SELECT is(kind.opens(jsonb_build_object(v.field, v.value::jsonb)), CASE WHEN v.fits THEN 'true' ELSE '22023' END, format('%s field %s takes %s', CASE WHEN v.fits THEN 'D5' ELSE '22023' END, v.field, v.value))
FROM (VALUES ('words', '"a"', true), ('words', '""', true), ('words', '1', false), ('words', 'true', false), ('words', '["a"]', false), ('words', '{"a": 1}', false), ('words', 'null', true),
             ('whole', '0', true), ('whole', '-7', true), ('whole', '9223372036854775807', true), ('whole', '9223372036854775808', false), ('whole', '-9223372036854775808', true), ('whole', '1.0', true), ('whole', '1e3', true), ('whole', '1.5', false), ('whole', '"1"', false),
             ('size', '1.5', true), ('size', '1e300', true), ('size', '"1"', false), ('size', 'true', false), ('sure', 'true', true), ('sure', 'false', true), ('sure', '1', false), ('sure', '"true"', false),
             ('bought_on', '"2026-02-28"', true), ('bought_on', '"2024-02-29"', true), ('bought_on', '"2026-02-29"', false), ('bought_on', '"2100-02-29"', false), ('bought_on', '"2026-13-01"', false), ('bought_on', '"2026-00-10"', false), ('bought_on', '"2026-01-00"', false),
             ('bought_on', '"26-01-01"', false), ('bought_on', '"2026-1-1"', false), ('bought_on', '"2026-01-01 "', false), ('bought_on', '"0000-01-01"', false), ('bought_on', '"tomorrow"', false), ('bought_on', '20260101', false), ('bought_on', '""', false),
             ('seen_at', '"2026-03-29T09:00:00Z"', true), ('seen_at', '"2026-03-29 09:00+02:00"', true), ('seen_at', '"2026-03-29T09:00:59.123456-03:30"', true), ('seen_at', '"2026-03-29T09:00:00"', false), ('seen_at', '"2026-03-29T24:00:00Z"', false),
             ('seen_at', '"2026-03-29T09:60:00Z"', false), ('seen_at', '"2026-03-29T09:00:60Z"', false), ('seen_at', '"2026-03-29T09:00:00."', false), ('seen_at', '"2026-03-29T09:00:00.Z"', false), ('seen_at', '"2026-03-29"', false), ('seen_at', '"2026-03-29T09:00Zx"', false), ('seen_at', '"2026-03-29T09:00+2"', false),
             ('colour', '"red"', true), ('colour', '"dark blue"', true), ('colour', '"Red"', false), ('colour', '""', false), ('colour', '1', false), ('store', '"1"', false), ('store', '1.5', false), ('store', 'null', true),
             ('nonsense', '1', false), ('margin', '1', false), ('our_limit', '1', false)) v(field, value, fits);
SELECT is(kind.opens('{"a": {"b": [1]}, "colour": 7}', of_type => 'case'), 'true', 'D5 a type without fields takes any object');
SELECT is(kind.opens('{"colour": "red"}', of_type => 'base'), '22023', '22023 a parent has no field of its child');
SELECT is(kind.opens('{"whole": 1}', of_type => 'base'), 'true', 'D5 its own it has');
SELECT is(kind.told('requester', $$INSERT INTO csm.cases (subject, case_type, attributes) VALUES ('x', 'claim', '{"colour": "pink"}')$$),
          '22023 | field "colour" of case type "claim" takes one of: red, dark blue | Given: "pink". | csm.case_type_fields describes the fields of each type.', '22023 says what the field takes');
SELECT is(kind.told('requester', $$INSERT INTO csm.cases (subject, case_type, attributes) VALUES ('x', 'claim', '{"margin": 1}')$$),
          '22023 | case type "claim" has no field "margin" here | Fields here: bought_on, colour, earlier, helper, rating, seen_at, size, store, sure, whole, words. | csm.case_type_fields describes the fields of each type, and who reads them.',
          '22023 says which fields the audience has');

-- Whoever writes: portal, agent, superuser, COPY, import; a dump is not judged.
SELECT is(kind.opens(a, w), r, format('D5 whoever writes: %s %s', w, a))
FROM unnest('{requester,agent,system}'::text[]) w, (VALUES ('{"whole": 1}'::jsonb, 'true'), ('{"whole": "one"}', '22023'), ('{"none": 1}', '22023')) v(a, r) WHERE w <> 'agent';
SELECT is(kind.run('agent', format('INSERT INTO csm.cases (subject, case_type, attributes, requester_id, account_id) VALUES (''x'', ''claim'', %L, %s, %s) RETURNING id > 0', a, :requester, :alpha)), r, 'D5 whoever writes: agent ' || a)
FROM (VALUES ('{"whole": 1}', 'true'), ('{"whole": "one"}', '22023')) v(a, r);
CREATE FUNCTION kind.copied(attributes text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY csm.cases (subject, case_type, requester_id, attributes) FROM PROGRAM %L', format('printf ''copied\tclaim\t%s\t%s\n''', (SELECT id FROM kind.person WHERE name = 'requester'), attributes));
    RETURN 'copied';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(kind.copied('{"whole": 1}'), 'copied', 'D5 COPY is judged: fits');
SELECT is(kind.copied('{"whole": "one"}'), '22023', 'D5 COPY is judged: does not fit');
BEGIN;
SET LOCAL csm.importing = on;
SELECT throws_ok(format($$INSERT INTO csm.cases (subject, case_type, requester_id, account_id, state, attributes) VALUES ('x', 'claim', %s, %s, 'closed', '{"none": 1}')$$, :requester, :alpha), '22023', NULL, '22023 imported rows too');
ROLLBACK;
BEGIN;
SET LOCAL csm.restoring = on;
SELECT lives_ok(format($$INSERT INTO csm.cases (subject, number, case_type, branch, requester_id, account_id, state, state_class, priority, attributes) VALUES ('x', 'N1', 'claim', 'b2b', %s, %s, 'closed', 'closed', 4, '{"none": 1}')$$, :requester, :alpha), 'D7 a dump is loaded as it is');
ROLLBACK;

-- What stood there before is left alone until it is touched.
CREATE TEMP TABLE c AS SELECT 'old' AS name, kind.run('requester', $$SELECT (csm.open_case('old', fields => '{"attributes": {"legacy": {"x": 1}, "whole": "x"}}')).id$$, true)::bigint AS id;
GRANT SELECT ON c TO csm_portal, csm_agent;
CREATE FUNCTION pg_temp.c(called text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM c WHERE name = called';
SELECT is(kind.run('agent', format('UPDATE csm.cases SET case_type = ''claim'' WHERE id = %s RETURNING case_type', pg_temp.c('old')), true), 'claim', 'D5 another type: what stood there stays');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET attributes = attributes || ''{"size": 2}'' WHERE id = %s RETURNING attributes', pg_temp.c('old'))), '{"size": 2, "whole": "x", "legacy": {"x": 1}}', 'D5 beside it a field is set');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET attributes = attributes || ''{"whole": "y"}'' WHERE id = %s RETURNING id', pg_temp.c('old'))), '22023', '22023 once it is touched it is judged');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET attributes = attributes || ''{"legacy": {"x": 2}}'' WHERE id = %s RETURNING id', pg_temp.c('old'))), '22023', '22023 an unknown key is not changed');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET attributes = attributes - ''legacy'' - ''whole'' WHERE id = %s RETURNING attributes', pg_temp.c('old'))), '{}', 'D5 but taken out');

-- References: what the writer may see; hidden and missing alike.
INSERT INTO c SELECT 'mine', kind.run('requester', $$SELECT (csm.open_case('mine')).id$$, true)::bigint;
INSERT INTO c SELECT 'hidden', kind.run('stranger', $$SELECT (csm.open_case('hidden')).id$$, true)::bigint;
SELECT is(kind.opens(jsonb_build_object(f, v), w), r, format('V15 reference %s to %s by %s', f, n, w))
FROM (VALUES ('requester', 'store', 'his account', :alpha::bigint, 'true'), ('requester', 'store', 'a hidden account', :gamma, '42501'), ('requester', 'store', 'no account', 987654321, '42501'),
             ('requester', 'earlier', 'his case', pg_temp.c('mine'), 'true'), ('requester', 'earlier', 'a hidden case', pg_temp.c('hidden'), '42501'), ('requester', 'earlier', 'no case', 987654321, '42501'),
             ('requester', 'helper', 'a table that he may not read', 987654321, '42501'),
             ('system', 'store', 'any account', :gamma, 'true'), ('system', 'store', 'no account', 987654321, '23503')) v(w, f, n, v, r);
SELECT is(replace(kind.told('requester', format($$INSERT INTO csm.cases (subject, case_type, attributes) VALUES ('x', 'claim', '{"earlier": %s}')$$, pg_temp.c('hidden'))), pg_temp.c('hidden')::text, '987654321'),
          kind.told('requester', $$INSERT INTO csm.cases (subject, case_type, attributes) VALUES ('x', 'claim', '{"earlier": 987654321}')$$), 'V15 hidden and missing are reported in the same words');
-- Fields by their names, in their places.
SELECT is(kind.run('requester', $$SELECT (csm.open_case('x', case_type => 'claim', fields => '{"whole": 3, "attributes": {"colour": "red"}}')).attributes$$), '{"whole": 3, "colour": "red"}', 'D5 open_case: fields of the type by their names');
SELECT is(kind.run('requester', $$SELECT csm.open_case('x', case_type => 'claim', fields => '{"margin": 3}')$$), '22023', '22023 open_case: staff''s fields are none of a new case');
SELECT is(kind.run('requester', $$SELECT csm.open_case('x', case_type => 'claim', fields => '{"whole": 3, "attributes": [1]}')$$), '22023', '22023 open_case: attributes that are no object');
SELECT is(kind.run('requester', $$SELECT csm.open_case('x', case_type => 'nope', fields => '{"whole": 3}')$$), '22023', '22023 open_case: an unknown type');
INSERT INTO c SELECT 'claim', kind.run('requester', format($$SELECT (csm.open_case('claim', case_type => 'claim', counterparty_account_id => %s)).id$$, :beta), true)::bigint;
SELECT is(kind.run(w, format('SELECT (csm.set_fields(%s, %L)).id > 0', pg_temp.c('claim'), f)), r, format('D5 set_fields by %s: %s', w, f))
FROM (VALUES ('agent', '{"whole": 5}', 'true'), ('agent', '{"margin": 5}', 'true'), ('agent', '{"our_limit": 5}', 'true'), ('agent', '{"their_limit": 5}', 'true'), ('agent', '{"none": 5}', '22023'), ('agent', '{"margin": "x"}', '22023'),
             ('agent', '{}', 'true'), ('agent', '[]', '22023'), ('requester', '{"our_limit": 5}', 'true'), ('requester', '{"our_limit": "x"}', '22023'), ('requester', '{"their_limit": 5}', '42501'), ('requester', '{"margin": 5}', '22023'), ('requester', '{"whole": 5}', '42501'),
             ('other', '{"their_limit": 5}', 'true'), ('other', '{"our_limit": 5}', '42501'), ('other', '{"margin": 5}', '22023'), ('viewer', '{"whole": 5}', '42501'), ('viewer', '{"our_limit": 5}', '42501'),
             ('stranger', '{"our_limit": 5}', 'SM001'), ('nobody', '{"our_limit": 5}', 'SM001'), ('system', '{"margin": 5, "whole": 2}', 'true')) v(w, f, r);
SELECT is(replace(kind.told('requester', format('SELECT csm.%s', replace(v, '#', pg_temp.c('claim')::text))), 'margin', 'nonsense'), kind.told('requester', format('SELECT csm.%s', replace(replace(v, '#', pg_temp.c('claim')::text), 'margin', 'nonsense'))),
          'V15 a field of staff and one that does not exist are refused in the same words: ' || split_part(v, '(', 1))
FROM unnest(ARRAY['set_fields(#, ''{"margin": 5}'')', 'act(#, ''close'', NULL, ''{"margin": 5}'')', 'open_case(''x'', case_type => ''claim'', fields => ''{"margin": 5}'')', 'open_case(''x'', case_type => ''claim'', fields => ''{"attributes": {"margin": 5}}'')']) v;
SELECT is(kind.run('requester', 'SELECT csm.set_fields(-1, ''{}'')'), 'SM001', 'SM001 set_fields: no such case');
SELECT is(kind.run('agent', format($$SELECT (csm.set_fields(%s, '{"whole": 5, "margin": 2.5, "their_limit": 8}')).attributes$$, pg_temp.c('claim')), true), '{"whole": 5}', 'D5 set_fields: each in its place');
SELECT is(kind.run('requester', format($$SELECT (csm.set_fields(%s, '{"our_limit": 9}')).id > 0$$, pg_temp.c('claim')), true), 'true', 'D5 set_fields: the customer''s own');
SELECT is(kind.run(w, format('SELECT string_agg(side || '' '' || attributes, '', '' ORDER BY side) FROM csm.case_side_fields WHERE case_id = %s', pg_temp.c('claim'))), r, 'D5 fields of the sides, read by ' || w)
FROM (VALUES ('requester', 'customer {"our_limit": 9}'), ('manager', 'customer {"our_limit": 9}'), ('other', 'counterparty {"their_limit": 8}'), ('stranger', NULL), ('agent', 'counterparty {"their_limit": 8}, customer {"our_limit": 9}')) v(w, r);
SELECT is(kind.run(w, format('SELECT attributes FROM csm.case_internal WHERE case_id = %s', pg_temp.c('claim'))), r, 'D5 staff''s fields, read by ' || w)
FROM (VALUES ('agent', '{"margin": 2.5}'), ('viewer', NULL), ('requester', '42501'), ('other', '42501')) v(w, r);
SELECT is(kind.run('agent', format('UPDATE csm.case_internal SET attributes = %L WHERE case_id = %s RETURNING attributes', a, pg_temp.c('claim'))), r, 'D5 case_internal by plain UPDATE: ' || a)
FROM (VALUES ('{"margin": 3}', '{"margin": 3}'), ('{"margin": "x"}', '22023'), ('{"whole": 3}', '22023'), ('{"none": 3}', '22023')) v(a, r);
SELECT is(kind.run('agent', format('INSERT INTO csm.case_internal (case_id, attributes) VALUES (%s, ''{"none": 1}'')', i)), '42501', 'V15 case_internal of a case that is not there or not his: the policy speaks first')
FROM unnest(ARRAY[987654321, (SELECT kind.run('system', format($$INSERT INTO csm.cases (subject, requester_id, case_type, branch) VALUES ('x', %s, 'claim', 'internal') RETURNING id$$, :admin), true)::bigint)]) i;

-- What an action demands, of whom.
SELECT is(kind.run('agent', format('SELECT (csm.act(%s, ''take'')).state', pg_temp.c('claim')), true), 'open', 'D5 a claim is taken');
SELECT is(kind.run('agent', format('SELECT required_fields FROM csm.actions(%s) WHERE action = ''propose''', pg_temp.c('claim'))), '{resolution_code,resolution_notes,margin}', 'D5 actions names the fields of the type');
SELECT is(kind.run('agent', format($$SELECT csm.act((csm.set_fields(%s, '{"margin": null}')).id, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')$$, pg_temp.c('claim'))), 'SM003', 'SM003 an action lacks a field of the type');
SELECT is(kind.run('agent', format($$UPDATE csm.cases SET state = 'resolved', resolution_code = 'a', resolution_notes = 'b' WHERE id = (csm.set_fields(%s, '{"margin": null}')).id$$, pg_temp.c('claim'))), 'SM003', 'SM003 by plain UPDATE too');
SELECT is(kind.run('agent', format($$SELECT (csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b", "margin": 7, "size": 1}')).attributes$$, pg_temp.c('claim')), true), '{"size": 1, "whole": 5}', 'D5 act sets fields of the type, each in its place');
SELECT is((SELECT attributes::text FROM csm.case_internal WHERE case_id = pg_temp.c('claim')), '{"margin": 7}', 'D5 act: staff''s field');
SELECT is(kind.run('requester', format('SELECT required_fields FROM csm.actions(%s) WHERE action = ''accept''', pg_temp.c('claim'))), '{rating}', 'D5 actions names the field for the customer');
SELECT is(kind.run('requester', format('SELECT csm.act(%s, ''accept'', NULL, %L)', pg_temp.c('claim'), f)), r, format('%s accept with %s', r, f))
FROM (VALUES ('{}', 'SM003'), ('{"rating": null}', 'SM003'), ('{"rating": "good"}', '22023'), ('{"rating": 5, "whole": 6}', '42501'), ('{"rating": 5, "margin": 6}', '22023'), ('{"rating": 5, "their_limit": 6}', '42501'), ('{"rating": 5, "none": 6}', '22023')) v(f, r);
SELECT is(kind.run('requester', format('SELECT (csm.act(%s, ''accept'', NULL, ''{"rating": 5, "our_limit": 1}'')).attributes', pg_temp.c('claim')), true), '{"size": 1, "whole": 5, "rating": 5}', 'D5 accept with what it demands');
SELECT is(kind.run('agent', format('SELECT csm.set_fields(%s, ''{"whole": 1}'')', pg_temp.c('claim'))), 'SM004', 'SM004 set_fields on a closed case');
SELECT is(kind.run(w, format('UPDATE csm.case_internal SET attributes = ''{}'' WHERE case_id = %s', pg_temp.c('claim'))), 'SM004', 'SM004 staff''s fields of a closed case, by ' || w) FROM unnest('{agent,system}'::text[]) w;
SELECT is(kind.run('system', format('UPDATE csm.case_side_fields SET attributes = ''{}'' WHERE case_id = %s', pg_temp.c('claim'))), 'SM004', 'SM004 a side''s fields of a closed case');

-- Required: not of a draft, then always.
INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('strict', 'claim', 'Strict');
INSERT INTO csm.case_type_fields (case_type, name, label, type, required) VALUES ('strict', 'serial', 'Serial', 'text', true);
SELECT is(kind.run('requester', format($$SELECT (csm.open_case('x', case_type => 'strict', fields => %L, draft => %s)).state$$, f, d)), r, format('%s a required field: %s, draft %s', r, f, d))
FROM (VALUES ('{}', 'false', 'SM003'), ('{"serial": "  "}', 'false', 'SM003'), ('{"serial": null}', 'false', 'SM003'), ('{"serial": "S1"}', 'false', 'new'), ('{}', 'true', 'draft')) v(f, d, r);
INSERT INTO c SELECT 'draft', kind.run('requester', $$SELECT (csm.open_case('x', case_type => 'strict', draft => true)).id$$, true)::bigint;
INSERT INTO c SELECT 'strict', kind.run('requester', $$SELECT (csm.open_case('x', case_type => 'strict', fields => '{"serial": "S1"}')).id$$, true)::bigint;
SELECT is(kind.run('requester', format('SELECT csm.act(%s, ''submit'')', pg_temp.c('draft'))), 'SM003', 'SM003 a draft is submitted without it');
SELECT is(kind.run('requester', format('SELECT (csm.act(%s, ''cancel'')).state', pg_temp.c('draft'))), 'cancelled', 'D5 and cancelled');
SELECT is(kind.run('agent', format($$SELECT (csm.act((csm.set_fields(%s, '{"serial": "S2"}')).id, 'submit')).state$$, pg_temp.c('draft'))), 'new', 'D5 filled in it is submitted');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET attributes = %s WHERE id = %s RETURNING attributes', e, pg_temp.c('strict'))), r, format('D5 a required field: attributes = %s', e))
FROM (VALUES ($$attributes - 'serial'$$, 'SM003'), ($$'{"serial": ""}'$$, 'SM003'), ($$'{"serial": "S3"}'$$, '{"serial": "S3"}')) v(e, r);
SELECT is(kind.run('agent', format('UPDATE csm.cases SET case_type = ''strict'' WHERE id = %s RETURNING case_type', pg_temp.c('mine'))), 'SM003', 'SM003 nor by another type');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET case_type = ''strict'', attributes = ''{"serial": "S4"}'' WHERE id = %s RETURNING case_type', pg_temp.c('mine'))), 'strict', 'D5 with the field it goes');
SELECT is(kind.run('agent', format('UPDATE csm.cases SET subject = ''y'' WHERE id = %s RETURNING subject', pg_temp.c('strict'))), 'y', 'D5 other columns are not held up');
-- One that came to be required later does not lock the cases that live.
BEGIN;
UPDATE csm.case_type_fields SET required = true WHERE case_type = 'base' AND name = 'words';
SELECT is(kind.run('agent', format('SELECT (csm.act(%s, ''take'')).state', pg_temp.c('strict'))), 'open', 'D5 a field required from now on does not hold up old cases');
SELECT is(kind.opens('{"serial": "S5"}', of_type => 'strict'), 'SM003', 'SM003 but new ones');
SELECT is(kind.opens('{"serial": "S5", "words": "w"}', of_type => 'strict'), 'true', 'D5 a changed definition counts at once');
ROLLBACK;
SELECT is(kind.opens('{"serial": "S5"}', of_type => 'strict'), 'true', 'D5 and not after ROLLBACK');
BEGIN;
INSERT INTO csm.case_type_fields (case_type, name, label, type, active) VALUES ('strict', 'colour', 'Colour', 'text', false);
INSERT INTO csm.case_type_fields (case_type, name, label, type) VALUES ('strict', 'whole', 'Whole', 'text');
SELECT is(kind.opens('{"serial": "x", "colour": "red"}', of_type => 'strict'), '22023', '22023 an inherited field switched off');
SELECT is(kind.opens('{"serial": "x", "whole": "now text"}', of_type => 'strict'), 'true', 'D5 an inherited field of another type');
SELECT is(kind.opens('{"whole": "now text"}'), '22023', '22023 the parent''s stays as it is');
ROLLBACK;
SELECT throws_ok(format('INSERT INTO csm.case_type_fields (case_type, name, label, type, audience, required, choices, reference) VALUES (''claim'', %s)', v), '23514', NULL, '23514 no such field: ' || v)
FROM unnest(ARRAY['''Bad'', ''x'', ''text'', ''all'', false, NULL, NULL', '''subject'', ''x'', ''text'', ''all'', false, NULL, NULL', '''f'', ''x'', ''colour'', ''all'', false, NULL, NULL', '''f'', ''x'', ''text'', ''world'', false, NULL, NULL',
                  '''f'', ''x'', ''text'', ''staff'', true, NULL, NULL', '''f'', ''x'', ''choice'', ''all'', false, NULL, NULL', '''f'', ''x'', ''choice'', ''all'', false, ''{}'', NULL', '''f'', ''x'', ''text'', ''all'', false, ''{a}'', NULL',
                  '''f'', ''x'', ''reference'', ''all'', false, NULL, NULL', '''f'', ''x'', ''reference'', ''all'', false, NULL, ''pg_class''', '''f'', ''x'', ''text'', ''all'', false, NULL, ''users''']) v;

-- A side's reference is looked for with that side's eyes, though csm_owner writes it.
BEGIN;
INSERT INTO csm.case_type_fields (case_type, name, label, type, audience, reference) VALUES ('claim', 'our_shop', 'Our shop', 'reference', 'customer', 'accounts');
INSERT INTO c SELECT 'side', kind.run('requester', $$SELECT (csm.open_case('side', case_type => 'claim')).id$$, true)::bigint;
SELECT is(kind.run('requester', format('SELECT (csm.set_fields(%s, ''{"our_shop": %s}'')).id > 0', pg_temp.c('side'), a)), r, format('V15 a side''s reference: %s', r)) FROM (VALUES (:alpha::bigint, 'true'), (:gamma, '42501'), (987654321, '42501')) v(a, r);
ROLLBACK;

-- Who reads and keeps the fields of types.
SELECT is(kind.run(w, $$SELECT row_security_active('csm.case_type_fields')$$), 'true', 'V13 row security binds ' || w) FROM unnest('{requester,agent,admin}'::text[]) w;
SELECT is(kind.run(w, $$SELECT count(*) FROM csm.case_type_fields WHERE audience = 'staff'$$), r, 'D5 definitions of staff''s fields, read by ' || w) FROM (VALUES ('requester', '0'), ('other', '0'), ('agent', '2'), ('admin', '2')) v(w, r);
SELECT is(kind.run(w, 'SELECT count(*) > 10 FROM csm.case_type_fields'), r, 'V13 fields of one''s own tenant, read by ' || w) FROM (VALUES ('requester', 'true'), ('agent', 'true'), ('admin', 'true'), ('nobody', 'false')) v(w, r);
SELECT is(kind.run(w, $$WITH u AS (UPDATE csm.case_type_fields SET label = 'New' WHERE name = 'colour' RETURNING label) SELECT count(*) FROM u$$), r, 'V13 fields changed by ' || w)
FROM (VALUES ('admin', '1'), ('plain', '0'), ('agent', '42501'), ('requester', '42501')) v(w, r);

-- Another tenant, for a moment: without identity a writer needs the only one.
BEGIN;
SELECT csm.create_tenant('kind2', 'Kinds 2', 'boss@kind2.example') AS tenant2 \gset
INSERT INTO csm.accounts (tenant_id, name) VALUES (:tenant2, 'Elsewhere') RETURNING id AS elsewhere \gset
SELECT is(kind.run('system', format($$INSERT INTO csm.cases (tenant_id, subject, case_type, attributes, requester_id) VALUES (%s, 'x', 'claim', '{"store": %s}', %s)$$, :tenant, :elsewhere, :requester)), '23503', 'V13 no reference into another tenant, not even by the system');
SELECT isnt_empty(format('SELECT FROM csm.case_type_fields WHERE tenant_id = %s', :tenant2), 'V13 another tenant has fields of its own');
SELECT is(kind.run('admin', format('SELECT count(*) FROM csm.case_type_fields WHERE tenant_id = %s', :tenant2)), '0', 'V13 none of another tenant''s');
SELECT is(kind.run('admin', format('INSERT INTO csm.case_type_fields (tenant_id, case_type, name, label, type) VALUES (%s, ''case'', ''x'', ''x'', ''text'')', :tenant2)), '42501', 'V13 nor made in another tenant');
ROLLBACK;

-- ---- an administrator makes a type ----

CREATE FUNCTION kind.make(who text, arguments text, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$SELECT kind.run(who, format('SELECT (csm.create_case_type(%s)).case_type', arguments), keep)$$;
SELECT is(kind.make(w, $$'case', 'return', 'Return'$$), r, 'D5 create_case_type by ' || w)
FROM (VALUES ('admin', 'return'), ('plain', '42501'), ('agent', '42501'), ('requester', '42501'), ('nobody', '42501')) v(w, r);
SELECT is(kind.make('admin', $$'case', 'return', 'Return', settings => '{"priority": 3, "close_days": 4}',
    states => '[{"state": "shipped_back", "value": 40, "state_class": "waiting"}, {"state": "open", "label": "Being checked"}, {"state": "draft", "active": false}]',
    transitions => '[{"from_state": ["open", "awaiting_info"], "action": "send_label", "to_state": "shipped_back", "actors": ["agent"], "note_required": true},
                     {"from_state": "shipped_back", "action": "arrived", "to_state": "open", "actors": ["agent", "system"]},
                     {"from_state": "new", "action": "cancel", "actors": ["customer"]}, {"from_state": ["new", "open"], "action": "close", "active": false}]',
    fields => '[{"name": "shipment", "type": "text", "required": true}, {"name": "condition", "type": "choice", "choices": ["new", "used"], "audience": "staff", "required_for": ["propose"]}]'$$, true),
    'return', 'D5 create_case_type: states, transitions and fields in one call');
SELECT is((SELECT string_agg(concat_ws(' ', state, value, state_class, label, active), ', ' ORDER BY state) FROM csm.case_states WHERE case_type = 'return'),
          'draft 0 draft Draft f, open 10 open Being checked t, shipped_back 40 waiting Shipped Back t', 'D5 create_case_type: an overriding state says what changes');
SELECT is((SELECT string_agg(concat_ws(' ', from_state, action, to_state, actors, note_required, label, active), ', ' ORDER BY from_state, action) FROM csm.case_transitions WHERE case_type = 'return'),
          'awaiting_info send_label shipped_back {agent} t Send Label t, new cancel cancelled {customer} f Cancel t, new close closed {agent,customer} f Close f, open close closed {agent,customer} f Close f, '
          'open send_label shipped_back {agent} t Send Label t, shipped_back arrived open {agent,system} f Arrived t', 'D5 create_case_type: likewise an overriding action');
SELECT is((SELECT string_agg(concat_ws(' ', name, label, type, audience, required, required_for, choices, "position"), ', ' ORDER BY "position") FROM csm.case_type_fields WHERE case_type = 'return'),
          'shipment Shipment text all t {} 1, condition Condition choice staff f {propose} {new,used} 2', 'D5 create_case_type: fields');
SELECT is(kind.run('requester', $$SELECT concat_ws(' ', state, priority) FROM csm.open_case('x', case_type => 'return', fields => '{"shipment": "A1"}')$$), 'new 3', 'D5 a type just made is used');
SELECT is(kind.make('admin', a), r, format('%s create_case_type(%s)', r, a))
FROM (VALUES ($$'case', 'return', 'Again'$$, '23505'), ($$'missing', 'n', 'N'$$, '22023'), ($$'case', 'Bad Key', 'N'$$, '23514'), ($$'case', 'n', NULL$$, '23502'), ($$NULL, 'n', 'N'$$, '22023'),
             ($$'case', 'n', 'N', own_machine => true$$, '22023'), ($$'case', 'n', 'N', states => '{"state": "x"}'$$, '22023'), ($$'case', 'n', 'N', states => '[{"state": "x"}]'$$, '23502'), ($$'case', 'n', 'N', states => '[{"stat": "open"}]'$$, '22023'),
             ($$'case', 'n', 'N', states => '[{"state": "x", "value": 50, "state_class": "open"}]'$$, '22023'), ($$'case', 'n', 'N', transitions => '[{"from_state": "x", "action": "y", "to_state": "open", "actors": ["agent"]}]'$$, '23503'),
             ($$'case', 'n', 'N', transitions => '[{"from_state": "open", "action": "y", "actors": ["everybody"]}]'$$, '23514'), ($$'case', 'n', 'N', fields => '[{"name": "f", "required_for": ["fly"]}]'$$, '22023'),
             ($$'case', 'n', 'N', settings => '{"priority": 9}'$$, '22023'), ($$'case', 'n', 'N', settings => '[]'$$, '23514')) v(a, r);
SELECT is_empty($$SELECT FROM csm.case_types WHERE case_type = 'n'$$, 'D5 create_case_type: what fails leaves nothing');
SELECT is(kind.make('admin', $$NULL, 'mini', 'Mini', states => '[{"state": "new", "value": 1, "state_class": "new"}, {"state": "end", "value": 2, "state_class": "closed", "label": "The \"end\""}]',
    transitions => '[{"from_state": "new", "action": "finish", "to_state": "end", "actors": ["agent", "customer"]}]'$$, true), 'mini', 'D5 create_case_type: a machine from nothing');

-- ---- what is wrong with a machine ----

CREATE FUNCTION kind.findings(change text, of_type text DEFAULT 'mini') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        EXECUTE change;
        SELECT string_agg(problem || ': ' || object, '; ' ORDER BY problem, object) INTO answer FROM csm.check_case_type(of_type);
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
    EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN RETURN answer;
    END;
END $$;
SELECT is(kind.findings('SELECT 1'), NULL, 'D5 check_case_type: a sound machine has no finding');
SELECT is(kind.findings(v.change), v.finding, 'D5 check_case_type: ' || v.finding)
FROM (VALUES ($$UPDATE csm.case_states SET state_class = 'open' WHERE case_type = 'mini' AND state = 'new'$$, 'dead action: new finish; no first state: mini; state cannot be reached: end; state cannot be reached: new'),
             ($$INSERT INTO csm.case_states (case_type, state, value, state_class, label) VALUES ('mini', 'island', 3, 'open', 'x')$$, 'state cannot be reached: island; state without a way out: island'),
             ($$DELETE FROM csm.case_transitions WHERE case_type = 'mini'$$, 'state cannot be reached: end; state without a way out: new'),
             ($$INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('mini', 'end', 'reopen', 'new', '{agent}', 'x')$$, 'dead action: end reopen'),
             ($$UPDATE csm.case_transitions SET effects = '{"boss:priority": "1"}' WHERE case_type = 'mini'$$, 'unknown actor: new finish'),
             ($$UPDATE csm.case_transitions SET effects = '{"closed_at": "now"}' WHERE case_type = 'mini'$$, 'unknown field: new finish'),
             ($$INSERT INTO csm.case_type_fields (case_type, name, label, type, required_for) VALUES ('mini', 'f', 'F', 'text', '{fly}')$$, 'unknown action: f'),
             ($$INSERT INTO csm.case_type_fields (case_type, name, label, type, audience, required_for) VALUES ('mini', 'f', 'F', 'text', 'staff', '{finish}'); UPDATE csm.case_transitions SET actors = '{customer}' WHERE case_type = 'mini'$$, 'dead action: new finish'),
             ($$UPDATE csm.case_types SET settings = '{"priority": 0, "close_days": "ten", "reminder_days": -1, "own": "x"}' WHERE case_type = 'mini'$$, 'setting out of range: close_days; setting out of range: priority; setting out of range: reminder_days'),
             ($$UPDATE csm.case_types SET settings = '{"begins_as_draft": true}' WHERE case_type = 'mini'$$, 'dead action: new finish; no first state: mini; state cannot be reached: end; state cannot be reached: new')) v(change, finding);
SELECT is(kind.findings($$INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('kid', 'mini', 'Kid'); INSERT INTO csm.case_states (case_type, state, value, state_class, label) VALUES ('kid', 'open', 1, 'open', 'x')$$, 'kid'),
          'state cannot be reached: open; state without a way out: open; two states with one number: new, open', 'D5 check_case_type: two states with one number');
SELECT is(kind.findings($$INSERT INTO csm.case_types (case_type, parent_type, label) VALUES ('kid', 'mini', 'Kid'); INSERT INTO csm.case_states (case_type, state, value, state_class, label, active) VALUES ('kid', 'end', 2, 'closed', 'x', false);
                          INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('kid', 'new', 'drop', 'end', '{agent}', 'x')$$, 'kid'),
          'dead action: new drop; state without a way out: new', 'D5 check_case_type: an action to a state that the type does without');
SELECT is(kind.findings(format($$INSERT INTO csm.cases (subject, case_type, requester_id, account_id) VALUES ('x', 'mini', %s, %s); UPDATE csm.case_states SET state = 'fresh' WHERE case_type = 'mini' AND state = 'new' AND false;
                          INSERT INTO csm.case_states (case_type, state, value, state_class, label) VALUES ('mini', 'fresh', 0, 'new', 'x'); INSERT INTO csm.case_transitions (case_type, from_state, action, to_state, actors, label) VALUES ('mini', 'fresh', 'finish', 'end', '{agent}', 'x');
                          DELETE FROM csm.case_states WHERE case_type = 'mini' AND state = 'new'$$, :requester, :alpha)), 'state of cases is missing: new', 'D5 check_case_type: cases in a state that is gone');
SELECT is(kind.run(w, 'SELECT count(*) FROM csm.check_case_type(''mini'')'), r, 'D5 check_case_type by ' || w) FROM (VALUES ('admin', '0'), ('plain', '42501'), ('agent', '42501'), ('requester', '42501')) v(w, r);
SELECT is(kind.run('admin', 'SELECT count(*) FROM csm.check_case_type(''missing'')'), '22023', '22023 check_case_type: no such type');

-- ---- what an update ships ----

BEGIN;
SELECT csm.create_tenant('old', 'Old', 'boss@old.example') AS old \gset
DELETE FROM csm.case_types WHERE tenant_id = :old AND parent_type = 'case';
DELETE FROM csm_private.shipped_copies WHERE tenant_id = :old AND key[1] IN ('complaint', 'request', 'privacy_request', 'order') AND kind <> 'role';
INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label) VALUES (:old, 'order', 'case', 'Our own orders');
SELECT is((SELECT string_agg(concat_ws(' ', kind, added > 0, changed, removed), ', ') FROM csm_private.merge_shipped(:old) WHERE kind ~ '^case'), 'case_type t 0 0, case_state t 0 0, case_transition t 0 0, case_field t 0 0', 'D7 refresh_shipped: new types come to a tenant that is there');
SELECT set_eq(format('SELECT kind, key, content FROM csm_private.tenant_items(%s) WHERE key[1] <> ''order''', :old), 'SELECT kind, key, content FROM csm_private.shipped_items() WHERE key[1] <> ''order''', 'D7 refresh_shipped: with all that belongs to them');
SELECT is((SELECT concat_ws(' ', t.label, t.settings, (SELECT count(*) FROM csm.case_states s WHERE s.tenant_id = :old AND s.case_type = 'order')) FROM csm.case_types t WHERE t.tenant_id = :old AND t.case_type = 'order'), 'Our own orders {} 0',
          'D7 refresh_shipped: a type of the same key that the tenant made is left alone');
SELECT is((SELECT sum(added + changed + removed) FROM csm_private.merge_shipped(:old)), 0::bigint, 'D7 refresh_shipped: a second time nothing');
ROLLBACK;

-- ---- the machine drawn ----

SELECT is(kind.run('requester', 'SELECT csm.machine_diagram(''mini'')'), E'stateDiagram-v2\n    state "New" as new\n    state "The ''end''" as end_\n    [*] --> new\n    new --> end_: finish (agent, customer)\n    end_ --> [*]', 'D5 machine_diagram: Mermaid');
SELECT is((SELECT count(*) FROM regexp_matches(csm.machine_diagram(t), '^    [a-z_]+ --> [a-z_]+: ', 'gn')), (SELECT count(*) FROM csm_private.machine_transitions(:tenant, t)), 'D5 machine_diagram: every transition of ' || t)
FROM unnest('{case,order,return}'::text[]) t;
\set readme `cat README.md`
SELECT ok(strpos(:'readme', E'```mermaid\n' || csm.machine_diagram(t) || E'\n```') > 0, 'D5 README shows the machine as it is: ' || t) FROM unnest('{case,dispute}'::text[]) t;
SELECT unalike(csm.machine_diagram('order'), '%[*] --> new%', 'D5 machine_diagram: an order begins as draft');
SELECT is(kind.run(w, format('SELECT csm.machine_diagram(%L)', t)), NULL, format('V14 machine_diagram of %s for %s', t, w)) FROM (VALUES ('nobody', 'case'), ('agent', 'missing')) v(w, t);

-- The example of README.
SELECT is(kind.run('admin', replace(replace((regexp_match(:'readme', 'SELECT (csm.create_case_type[^;]*);'))[1], 'csm.create', 'SELECT (csm.create'), '''return''', '''returned''') || ').case_type'), 'returned', 'D5 the example of README runs');

SELECT * FROM finish();
