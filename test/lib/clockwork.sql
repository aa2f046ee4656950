-- A tenant for tests of what time does. To be run as superuser in a test database:
--
--   \ir ../lib/clockwork.sql
--
-- People: customer (contact of Alpha), boss (case_manager of Alpha), colleague (contact of Alpha without a role over the
-- account), stranger (contact of Beta), consumer; agent, agent2, manager, consumer_agent, admin. cw.as() runs a statement
-- as one of them and keeps what it wrote; cw.due() lets the clock run.
CREATE SCHEMA cw;
CREATE TABLE cw.person (name text PRIMARY KEY, id bigint NOT NULL, role_name text NOT NULL);

-- First value as text, or the SQLSTATE. "system": a superuser without identity.
CREATE FUNCTION cw.as(who text, statement text, as_role text DEFAULT NULL, keep boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p cw.person;
    answer text;
BEGIN
    SELECT * INTO p FROM cw.person WHERE name = who;
    BEGIN
        IF who <> 'system' THEN
            IF p.id IS NULL THEN
                RAISE EXCEPTION 'the fixture has no person "%"', who USING ERRCODE = 'XX000';
            END IF;
            PERFORM set_config('csm.user_id', p.id::text, true);
            PERFORM set_config('role', coalesce(as_role, p.role_name), true);
            IF NOT row_security_active('csm.cases') THEN
                RAISE EXCEPTION 'row security is not active' USING ERRCODE = 'XX000';
            END IF;
        END IF;
        EXECUTE statement || CASE WHEN statement ~* '^(insert|update|delete)' AND statement !~* 'returning' THEN ' RETURNING 1' ELSE '' END INTO answer;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := SQLSTATE;
    END;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.user_id', NULL, true);
    RETURN answer;
END $$;

SELECT csm.create_tenant('clockwork', 'Clockwork', 'boss@clockwork.example') AS tenant \gset
CREATE FUNCTION cw.person(called text, of_role text, staff_role text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (INSERT INTO csm.users (display_name) VALUES (called) RETURNING id),
         r AS (INSERT INTO csm.user_roles (user_id, role) SELECT id, staff_role FROM u WHERE staff_role IS NOT NULL)
    INSERT INTO cw.person SELECT called, id, of_role FROM u RETURNING id
$$;
SELECT cw.person('customer', 'csm_portal') AS customer, cw.person('boss', 'csm_portal') AS boss,
       cw.person('colleague', 'csm_portal') AS colleague, cw.person('stranger', 'csm_portal') AS stranger,
       cw.person('consumer', 'csm_portal') AS consumer,
       cw.person('agent', 'csm_agent', 'agent') AS agent, cw.person('agent2', 'csm_agent', 'agent') AS agent2,
       cw.person('manager', 'csm_agent', 'manager') AS manager,
       cw.person('consumer_agent', 'csm_agent', 'consumer_agent') AS consumer_agent,
       cw.person('admin', 'csm_admin', 'admin') AS admin \gset
INSERT INTO csm.accounts (name) VALUES ('Alpha') RETURNING id AS alpha \gset
INSERT INTO csm.accounts (name) VALUES ('Beta') RETURNING id AS beta \gset
INSERT INTO csm.contacts (user_id, account_id, role, is_home) VALUES
    (:customer, :alpha, 'customer', true), (:boss, :alpha, 'case_manager', true), (:colleague, :alpha, 'customer', true),
    (:stranger, :beta, 'customer', true);
INSERT INTO csm.consumers (user_id) VALUES (:consumer);
CREATE FUNCTION cw.account(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.accounts WHERE name = $1);
CREATE FUNCTION cw.id(text) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM cw.person WHERE name = $1);

-- A case of the person, opened through the portal and worked on by agent until the state asked for.
CREATE FUNCTION cw.new_case(subject text, wanted text DEFAULT 'new', who text DEFAULT 'customer', case_type text DEFAULT 'case')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    c bigint := cw.as(who, format('SELECT (csm.open_case(%L, case_type => %L)).id', subject, case_type));
    steps text[] := CASE wanted WHEN 'open' THEN '{take}' WHEN 'awaiting_info' THEN '{take,request_info}'
                                WHEN 'resolved' THEN '{take,propose}' ELSE '{}' END;
    step text;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        PERFORM cw.as(CASE who WHEN 'consumer' THEN 'consumer_agent' ELSE 'agent' END,
                      format('SELECT csm.act(%s, %L, %L, %L)', c, step, CASE step WHEN 'request_info' THEN 'Which?' END,
                             CASE step WHEN 'propose' THEN '{"resolution_code": "Fixed", "resolution_notes": "Replaced"}' ELSE '{}' END));
    END LOOP;
    IF (SELECT x.state FROM csm.cases x WHERE x.id = c) IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'the fixture made no case in state "%"', wanted;
    END IF;
    RETURN c;
END $$;

-- Runs what is due so many days from now, as the system; "kind done/failed/busy" of the kinds in question.
CREATE FUNCTION cw.due(days numeric, kinds text DEFAULT '.') RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(format('%s %s/%s/%s', r.kind, r.done, r.failed, r.busy), ', ' ORDER BY r.kind), 'nothing')
    FROM csm.run_due(clock_timestamp() + days * interval '24 hours') r WHERE r.kind ~ kinds AND r.kind <> 'seal'
$$;
CREATE FUNCTION cw.state(case_id bigint) RETURNS text LANGUAGE sql RETURN (SELECT state FROM csm.cases WHERE id = case_id);
-- How many shared entries the system wrote on the case.
CREATE FUNCTION cw.said(case_id bigint) RETURNS bigint LANGUAGE sql
RETURN (SELECT count(*) FROM csm.case_entries e WHERE e.case_id = said.case_id AND e.author_id IS NULL AND e.author_name = 'system'
        AND e.side = 'operator' AND e.visibility = 'shared');
-- The timers of a case: kind and days from now, rounded.
CREATE FUNCTION cw.timers(case_id bigint) RETURNS text LANGUAGE sql
RETURN (SELECT coalesce(string_agg(format('%s %s', t.kind, round(extract(epoch FROM t.due_at - clock_timestamp()) / 86400)), ', ' ORDER BY t.kind), 'none')
        FROM csm.timers t WHERE t.case_id = timers.case_id AND t.kind !~ '^sla');
