-- Disputes between the companies of the small world, for tests that follow them. To be run as superuser in a test database:
--
--   \ir ../lib/disputes.sql
--
-- north claims, globex answers. d.act('globex manager', dispute, 'propose') acts as that person with the role he comes with
-- (csm_portal for the companies) and gives the state that follows or the SQLSTATE; d.brought(state) makes a dispute at a stage.
\ir small.sql

CREATE SCHEMA d;
-- Who takes part. "double" manages cases of both companies; "second manager" is the other person who can confirm.
DO $$
BEGIN
    PERFORM small.new_contact('double', 'north', 'case_manager'), small.new_contact('double', 'globex', 'case_manager', false),
            small.new_staff('second manager', 'manager'),
            small.new_contact('globex former', 'globex', 'customer', true, tstzrange(NULL, '2020-01-01'));
    INSERT INTO csm.account_team (tenant_id, member_id, account_id) VALUES (small.tenant(), small.u('account team'), small.a('globex'));
END $$;
CREATE TABLE d.actor (who text PRIMARY KEY, role_name text NOT NULL);
INSERT INTO d.actor
SELECT w, 'csm_portal' FROM unnest('{north contact,north manager,north admin,acme admin,north reader,north colleague,acme contact,plant manager,globex manager,globex lawyer,
        globex reader,globex contact,initech contact,umbrella admin,paragon admin,double,stranger,nobody}'::text[]) w
UNION ALL SELECT w, 'csm_agent' FROM unnest('{b2b agent,account team,desk manager,second manager,viewer,consumer agent}'::text[]) w
UNION ALL VALUES ('system', 'system');

-- One statement as one of them: its first value, or the SQLSTATE. "told" gives all that a client is told.
CREATE FUNCTION d.run(called text, statement text, keep boolean DEFAULT false, persona text DEFAULT NULL, told boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r text := (SELECT a.role_name FROM d.actor a WHERE a.who = called);
    answer text; m text; de text; h text;
BEGIN
    IF r IS NULL THEN
        RAISE EXCEPTION 'nobody is called "%"', called;
    END IF;
    BEGIN
        IF r = 'system' THEN
            PERFORM set_config('csm.user_id', '', true);
            RESET csm.user_id;
        ELSE
            PERFORM set_config('csm.user_id', CASE called WHEN 'nobody' THEN '' ELSE small.u(called)::text END, true);
            PERFORM set_config('role', r, true);
            IF NOT row_security_active('csm.cases') THEN
                RAISE EXCEPTION 'row security is not active for %', r;
            END IF;
        END IF;
        IF persona IS NOT NULL THEN
            PERFORM csm.act_as(persona);
        END IF;
        EXECUTE statement INTO answer;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, de = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
            answer := CASE WHEN told THEN concat_ws(' | ', SQLSTATE, m, de, h) ELSE SQLSTATE END;
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.persona', '', true);
    RESET csm.user_id;
    RETURN answer;
END $$;

-- What is given along with an action when a test does not say otherwise.
CREATE FUNCTION d.given(action text) RETURNS jsonb LANGUAGE sql RETURN CASE action
    WHEN 'propose' THEN '{"reference": "CN-1", "amount": 90.50, "currency": "EUR", "resolution_code": "Credit", "resolution_notes": "Credited in part"}'
    WHEN 'rule' THEN '{"resolution_code": "For the claimant", "resolution_notes": "The invoice was wrong"}'
    WHEN 'assign_contact' THEN jsonb_build_object('counterparty_contact_id', small.k('globex lawyer at globex'))
    ELSE '{}' END::jsonb;
CREATE FUNCTION d.act(who text, dispute bigint, action text, note text DEFAULT 'because', fields jsonb DEFAULT NULL, keep boolean DEFAULT true, persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT d.run(who, format('SELECT (csm.act(%s, %L, %L, %L)).state', dispute, action, note, coalesce(fields, d.given(action))), keep, persona)
$$;
CREATE FUNCTION d.open(who text, counterparty text DEFAULT 'globex', draft boolean DEFAULT false, keep boolean DEFAULT true, more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT d.run(who, format('SELECT (csm.open_case(''Invoice 7'', ''Charged twice'', ''dispute'', account_id => %s, counterparty_account_id => %s, draft => %L%s)).id',
                             small.a('north'), small.a(counterparty), draft, more), keep)
$$;
CREATE FUNCTION d.now(dispute bigint, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT concat_ws('' '', %s) FROM csm.cases WHERE id = %s', columns, dispute) INTO answer;
    RETURN answer;
END $$;
CREATE FUNCTION d.proposals(dispute bigint, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', %s), ''; '' ORDER BY round) FROM csm.dispute_proposals WHERE case_id = %s', columns, dispute) INTO answer;
    RETURN answer;
END $$;

-- A dispute of north against globex at each stage, brought there by those whose right it is.
CREATE FUNCTION d.brought(to_state text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    c CONSTANT bigint := d.open('north contact', draft => to_state IN ('draft', 'cancelled'));
    step text;
BEGIN
    -- named for the other side, so that the lawyer takes part
    IF to_state NOT IN ('draft', 'cancelled') THEN
        PERFORM d.act('b2b agent', c, 'assign_contact');
    END IF;
    FOREACH step IN ARRAY CASE to_state
        WHEN 'in_discussion' THEN '{globex manager>acknowledge}'
        WHEN 'awaiting_claimant' THEN '{globex manager>acknowledge,globex manager>request_info}'
        WHEN 'proposed' THEN '{globex manager>propose}'
        WHEN 'escalated' THEN '{north contact>escalate}'
        WHEN 'ruled' THEN '{north contact>escalate,desk manager>rule}'
        WHEN 'settled' THEN '{globex manager>propose,north contact>accept}'
        WHEN 'withdrawn' THEN '{north contact>withdraw}'
        WHEN 'ruled_final' THEN '{north contact>escalate,desk manager>rule,second manager>confirm}'
        WHEN 'cancelled' THEN '{north contact>cancel}'
        ELSE '{}' END::text[]
    LOOP
        PERFORM d.act(split_part(step, '>', 1), c, split_part(step, '>', 2));
    END LOOP;
    IF d.now(c, 'state') <> to_state THEN
        RAISE EXCEPTION 'dispute for state % is in state %', to_state, d.now(c, 'state');
    END IF;
    RETURN c;
END $$;
