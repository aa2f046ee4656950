-- What a case type inherits.  The chain leads from the type over its parents;
-- of what two types on it say about the same thing the nearer counts: state by
-- state, action by action, setting by setting.  csm_machine.c reads machines
-- through these functions, so that the rule is written once.

-- Kept free of circles by csm_private.type_chain_guard(); the depth of 32
-- ends the walk where rows came in by another way.
CREATE OR REPLACE FUNCTION csm_private.type_chain(tenant_id bigint, case_type text)
RETURNS TABLE (case_type text, depth integer, in_machine boolean)
LANGUAGE sql STABLE ROWS 4
BEGIN ATOMIC
    WITH RECURSIVE chain AS (
        SELECT t.case_type, t.parent_type, 0 AS depth, true AS in_machine, t.own_machine
        FROM csm.case_types t
        WHERE t.case_type = type_chain.case_type AND t.tenant_id = type_chain.tenant_id
      UNION ALL
        SELECT t.case_type, t.parent_type, c.depth + 1, c.in_machine AND NOT c.own_machine, t.own_machine
        FROM chain c JOIN csm.case_types t ON t.case_type = c.parent_type AND t.tenant_id = type_chain.tenant_id
        WHERE c.depth < 32
    )
    SELECT c.case_type, c.depth, c.in_machine FROM chain c;
END;
COMMENT ON FUNCTION csm_private.type_chain(bigint, text) IS
'The type (depth 0) and its ancestors; in_machine: whether states and transitions of that ancestor are inherited. No row for an unknown type';

CREATE OR REPLACE FUNCTION csm_private.type_setting(tenant_id bigint, case_type text, key text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT nullif(t.settings -> key, 'null')
    FROM csm_private.type_chain(tenant_id, case_type) c
    JOIN csm.case_types t ON t.case_type = c.case_type AND t.tenant_id = type_setting.tenant_id
    WHERE t.settings ? key
    ORDER BY c.depth LIMIT 1;
END;
COMMENT ON FUNCTION csm_private.type_setting(bigint, text, text) IS
'A key of csm.case_types.settings as it holds for the type: its own, else the nearest ancestor''s; NULL where nobody says anything or the nearest says null';

CREATE OR REPLACE FUNCTION csm_private.machine_states(tenant_id bigint, case_type text)
RETURNS TABLE (state text, value integer, state_class text, label text, case_type text, depth integer)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT n.state, n.value, n.state_class, n.label, n.case_type, n.depth
    FROM (SELECT DISTINCT ON (s.state) s.state, s.value, s.state_class, s.label, s.active, s.case_type, c.depth
          FROM csm_private.type_chain(machine_states.tenant_id, machine_states.case_type) c
          JOIN csm.case_states s ON s.case_type = c.case_type AND s.tenant_id = machine_states.tenant_id
          WHERE c.in_machine
          ORDER BY s.state, c.depth) n
    WHERE n.active;
END;
COMMENT ON FUNCTION csm_private.machine_states(bigint, text) IS
'States of the machine of a case type, inherited ones included; case_type and depth say whose row it is';

CREATE OR REPLACE FUNCTION csm_private.machine_transitions(tenant_id bigint, case_type text)
RETURNS TABLE (from_state text, action text, to_state text, actors text[], required_fields text[], note_required boolean,
               effects jsonb, label text, case_type text, depth integer)
LANGUAGE sql STABLE ROWS 30
BEGIN ATOMIC
    WITH known AS MATERIALIZED (
        SELECT s.state FROM csm_private.machine_states(machine_transitions.tenant_id, machine_transitions.case_type) s
    )
    SELECT n.from_state, n.action, n.to_state, n.actors, n.required_fields, n.note_required, n.effects, n.label, n.case_type, n.depth
    FROM (SELECT DISTINCT ON (t.from_state, t.action) t.*, c.depth
          FROM csm_private.type_chain(machine_transitions.tenant_id, machine_transitions.case_type) c
          JOIN csm.case_transitions t ON t.case_type = c.case_type AND t.tenant_id = machine_transitions.tenant_id
          WHERE c.in_machine
          ORDER BY t.from_state, t.action, c.depth) n
    WHERE n.active
      AND n.from_state IN (SELECT k.state FROM known k) AND n.to_state IN (SELECT k.state FROM known k);
END;
COMMENT ON FUNCTION csm_private.machine_transitions(bigint, text) IS
'Transitions of the machine of a case type, inherited ones included; none from or to a state that the machine does without';

CREATE OR REPLACE FUNCTION csm_private.type_fields(tenant_id bigint, case_type text) RETURNS SETOF csm.case_type_fields
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT (n.f).*
    FROM (SELECT DISTINCT ON (f.name) f
          FROM csm_private.type_chain(type_fields.tenant_id, type_fields.case_type) c
          JOIN csm.case_type_fields f ON f.case_type = c.case_type AND f.tenant_id = type_fields.tenant_id
          ORDER BY f.name, c.depth) n
    WHERE (n.f).active;
END;
COMMENT ON FUNCTION csm_private.type_fields(bigint, text) IS
'Fields of a case type, inherited ones included';

CREATE FUNCTION csm_private.offers(c csm.cases)
RETURNS TABLE (action text, label text, to_state text, required_fields text[], note_required boolean)
AS 'MODULE_PATHNAME', 'csm_offers' LANGUAGE c STABLE STRICT ROWS 10;
COMMENT ON FUNCTION csm_private.offers(csm.cases) IS
'Body of csm.actions(): what the machine of the case permits the current person in its state; no check that he sees the case';

-- ---- what keeps the rows sound ----

-- Two sessions could close a circle together, so parents change one at a time
-- in a tenant.
CREATE OR REPLACE FUNCTION csm_private.type_chain_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR NEW.parent_type IS NULL THEN
        RETURN NEW;
    END IF;
    PERFORM FROM csm.tenants t WHERE t.id = NEW.tenant_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM csm_private.type_chain(NEW.tenant_id, NEW.parent_type) c
               WHERE c.case_type = NEW.case_type OR c.depth >= 31) THEN
        RAISE EXCEPTION 'case type "%" cannot inherit from "%"', NEW.case_type, NEW.parent_type USING ERRCODE = '23514',
            DETAIL = 'It would be its own ancestor, or have more than 31.', HINT = 'Choose another parent_type.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.type_chain_guard() IS
'Trigger of csm.case_types: 23514 where a type would be its own ancestor or have more than 31';

CREATE OR REPLACE FUNCTION csm_private.transition_types() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named text;
    owner text;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    FOREACH named IN ARRAY ARRAY[NEW.from_state, NEW.to_state] LOOP
        SELECT s.case_type INTO owner
        FROM csm_private.type_chain(NEW.tenant_id, NEW.case_type) c
        JOIN csm.case_states s ON s.case_type = c.case_type AND s.tenant_id = NEW.tenant_id
        WHERE c.in_machine AND s.state = named
        ORDER BY c.depth DESC LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'case type "%" has no state "%"', NEW.case_type, named USING ERRCODE = '23503',
                DETAIL = format('Action "%s" would lead from or to it.', NEW.action),
                HINT = 'Put the state into csm.case_states first.';
        END IF;
        IF named = NEW.from_state THEN
            NEW.from_type := owner;
        END IF;
        IF named = NEW.to_state THEN
            NEW.to_type := owner;
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.transition_types() IS
'Trigger of csm.case_transitions: whose states from_state and to_state are; 23503 where the type neither has nor inherits one';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.type_chain(bigint, text)', 'csm_private.type_setting(bigint, text, text)',
        'csm_private.machine_states(bigint, text)', 'csm_private.machine_transitions(bigint, text)',
        'csm_private.type_fields(bigint, text)', 'csm_private.offers(csm.cases)', 'csm_private.type_chain_guard()', 'csm_private.transition_types()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

CREATE TRIGGER case_types_10_chain BEFORE INSERT OR UPDATE OF parent_type, case_type, tenant_id ON csm.case_types
    FOR EACH ROW EXECUTE FUNCTION csm_private.type_chain_guard();
CREATE TRIGGER case_transitions_10_types BEFORE INSERT OR UPDATE ON csm.case_transitions
    FOR EACH ROW EXECUTE FUNCTION csm_private.transition_types();
