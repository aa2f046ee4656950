-- Case types for those who keep them: made, judged, drawn; and fields for those
-- who fill them in.

CREATE FUNCTION csm.set_fields(case_id bigint, fields jsonb) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    is_system CONSTANT boolean := csm_private.acts_as_system();
    attributes jsonb;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_comment')) THEN
        RAISE EXCEPTION 'fields of case % are not yours to set', c.number USING ERRCODE = '42501',
            HINT = 'A side sets its own fields; staff who work on the case set all.';
    ELSIF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass field names and values.';
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    END IF;
    attributes := csm_private.write_fields(c, fields, false);
    -- The trigger refuses it to whoever does not work on the case.
    IF attributes <> c.attributes THEN
        UPDATE csm.cases e SET attributes = attributes WHERE e.id = case_id RETURNING * INTO c;
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm.set_fields(bigint, jsonb) IS
'Sets fields of a case by their names, wherever they live, and returns the case; null clears a field. Staff who work on the case set all, a side the fields that only it reads. Errors: SM001 no such case, 42501 not permitted, or a reference that does not exist or is hidden, SM003 a required field would be cleared, SM004 case closed, 22023 no such field or a value of another type';

-- ---- types ----

CREATE FUNCTION csm_private.check_configures(tenant bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (csm.all_in(tenant, 'internal', 'configure') IS TRUE OR csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'permission denied to configure case types' USING ERRCODE = '42501',
            HINT = 'Administrators with the action configure keep the case types of their tenant.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.check_configures(bigint) IS
'42501 unless the caller holds the action configure in the tenant, or writes as the system';

CREATE FUNCTION csm_private.machine_begins(tenant_id bigint, case_type text) RETURNS TABLE (state text, state_class text)
LANGUAGE sql STABLE STRICT ROWS 2
BEGIN ATOMIC
    SELECT DISTINCT ON (m.state_class) m.state, m.state_class
    FROM csm_private.machine_states(tenant_id, case_type) m
    WHERE m.state_class = 'draft'
       OR m.state_class = 'new' AND csm_private.type_setting(machine_begins.tenant_id, machine_begins.case_type, 'begins_as_draft') IS DISTINCT FROM 'true'
    ORDER BY m.state_class, m.value;
END;
COMMENT ON FUNCTION csm_private.machine_begins(bigint, text) IS
'States in which a new case can begin: the first of class draft, and the first of class new unless the type begins as draft';

-- The walk over a machine: which states a case can come to, and from which it
-- can be brought to an end.
CREATE FUNCTION csm_private.machine_walk(tenant_id bigint, case_type text)
RETURNS TABLE (state text, state_class text, value integer, reached boolean, ends boolean)
LANGUAGE sql STABLE STRICT ROWS 10
BEGIN ATOMIC
    WITH RECURSIVE s AS MATERIALIZED (
        SELECT m.state, m.state_class, m.value FROM csm_private.machine_states(tenant_id, case_type) m
    ), t AS MATERIALIZED (
        -- closed rows never change, so nothing leads out of a final state
        SELECT m.from_state, m.to_state FROM csm_private.machine_transitions(tenant_id, case_type) m
        JOIN s ON s.state = m.from_state AND s.state_class NOT IN ('closed', 'cancelled')
    ), forth AS (
        SELECT b.state FROM csm_private.machine_begins(tenant_id, case_type) b
      UNION
        SELECT t.to_state FROM forth f JOIN t ON t.from_state = f.state
    ), back AS (
        SELECT s.state FROM s WHERE s.state_class IN ('closed', 'cancelled')
      UNION
        SELECT t.from_state FROM back b JOIN t ON t.to_state = b.state
    )
    SELECT s.state, s.state_class, s.value, s.state IN (SELECT f.state FROM forth f), s.state IN (SELECT b.state FROM back b)
    FROM s;
END;
COMMENT ON FUNCTION csm_private.machine_walk(bigint, text) IS
'States of a machine; reached: a new case can come there, ends: from there it can be closed or cancelled';

CREATE FUNCTION csm.check_case_type(case_type text)
RETURNS TABLE (problem text, object text, detail text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm.default_tenant_id();
    wanted CONSTANT text := check_case_type.case_type;
    set_by_action CONSTANT text[] := '{subject,description,priority,impact,urgency,assigned_to,assigned_group_id,
        product_id,asset_id,resolution_code,resolution_notes,note,proposal}'::text[];
    relations CONSTANT text[] := '{requester,customer,claimant,respondent,partner,agent,assignee,manager,system,approver}'::text[];
BEGIN
    PERFORM csm_private.check_configures(tenant);
    IF NOT EXISTS (SELECT FROM csm.case_types t WHERE t.case_type = wanted AND t.tenant_id = tenant) THEN
        RAISE EXCEPTION 'case type "%" does not exist', wanted USING ERRCODE = '22023', HINT = 'Choose one of csm.case_types.';
    END IF;
    RETURN QUERY
    WITH walk AS MATERIALIZED (
        SELECT * FROM csm_private.machine_walk(tenant, wanted)
    ), moves AS MATERIALIZED (
        SELECT t.*, t.from_state || ' ' || t.action AS object FROM csm_private.machine_transitions(tenant, wanted) t
    ), effect AS (
        SELECT m.object, e.key, CASE WHEN e.key LIKE '%:%' THEN split_part(e.key, ':', 1) END AS actor,
               regexp_replace(e.key, '^[^:]*:', '') AS effect_column
        FROM moves m, jsonb_object_keys(m.effects) e(key)
    ), field AS MATERIALIZED (
        SELECT f.name, f.audience, u.action FROM csm_private.type_fields(tenant, wanted) f, unnest(f.required_for) u(action)
    ), found (n, problem, object, detail) AS (
        SELECT 1, 'no first state', wanted, format('No state has the class %s, so no case can be opened.', b.state_class)
        FROM (SELECT CASE csm_private.type_setting(tenant, wanted, 'begins_as_draft') WHEN 'true' THEN 'draft' ELSE 'new' END) b(state_class)
        WHERE NOT EXISTS (SELECT FROM walk w WHERE w.state_class = b.state_class)
      UNION ALL
        SELECT 2, 'state cannot be reached', w.state, 'No chain of actions leads there from where a case begins.'
        FROM walk w WHERE NOT w.reached
      UNION ALL
        SELECT 3, 'state without a way out', w.state, 'No chain of actions leads from there to a closed or cancelled state.'
        FROM walk w WHERE NOT w.ends
      UNION ALL
        SELECT 4, 'dead action', m.object, 'Its state is final, and what is closed never changes.'
        FROM moves m JOIN walk w ON w.state = m.from_state WHERE w.state_class IN ('closed', 'cancelled')
      UNION ALL
        SELECT 4, 'dead action', m.object, 'Its state cannot be reached.'
        FROM moves m JOIN walk w ON w.state = m.from_state WHERE NOT w.reached AND w.state_class NOT IN ('closed', 'cancelled')
      UNION ALL
        -- of inherited actions that was meant: the type does without their state
        SELECT 4, 'dead action', t.from_state || ' ' || t.action, 'The type does without the state that it leads from or to.'
        FROM csm.case_transitions t
        WHERE t.case_type = wanted AND t.tenant_id = tenant AND t.active
          AND NOT EXISTS (SELECT FROM moves m WHERE m.from_state = t.from_state AND m.action = t.action)
      UNION ALL
        SELECT 4, 'dead action', m.object, format('It demands field "%s", which only staff set, and no staff may take it.', f.name)
        FROM moves m JOIN field f ON f.action = m.action AND f.audience = 'staff'
        WHERE NOT m.actors && '{agent,assignee,manager,system}'
      UNION ALL
        SELECT 5, 'unknown actor', e.object, format('Effect "%s" names an actor that there is not.', e.key)
        FROM effect e WHERE e.actor <> ALL (relations)
      UNION ALL
        SELECT 6, 'unknown field', e.object, format('Effect "%s" names what no action sets.', e.key)
        FROM effect e WHERE e.effect_column <> ALL (set_by_action)
      UNION ALL
        SELECT 7, 'unknown action', f.name, format('The field is required for action "%s", which the type does not have.', f.action)
        FROM field f WHERE NOT EXISTS (SELECT FROM moves m WHERE m.action = f.action)
      UNION ALL
        SELECT 8, 'two states with one number', string_agg(w.state, ', ' ORDER BY w.state), format('Number %s.', w.value)
        FROM walk w GROUP BY w.value HAVING count(*) > 1
      UNION ALL
        SELECT 9, 'state of cases is missing', c.state, format('%s cases stand in it.', count(*))
        FROM csm.cases c WHERE c.case_type = wanted AND c.tenant_id = tenant AND NOT EXISTS (SELECT FROM walk w WHERE w.state = c.state)
        GROUP BY c.state
      UNION ALL
        SELECT 10, 'setting out of range', k.key, format('It is %s.', v.value)
        FROM unnest('{priority,reminder_days,close_days,awaiting_info_days,response_hours,auto_accept_days,max_rounds,appeal_days}'::text[]) k(key),
             LATERAL (SELECT csm_private.type_setting(tenant, wanted, k.key)) v(value)
        WHERE v.value IS NOT NULL
          AND CASE WHEN jsonb_typeof(v.value) <> 'number' THEN true
                   WHEN k.key = 'priority' THEN v.value NOT IN ('1', '2', '3', '4')
                   ELSE v.value::numeric <= 0 END
    )
    SELECT f.problem, f.object, f.detail FROM found f ORDER BY f.n, f.object, f.detail;
END $$;
COMMENT ON FUNCTION csm.check_case_type(text) IS
'What is wrong with a case type: no first state, state cannot be reached, state without a way out, dead action, unknown actor, unknown field, unknown action, two states with one number, state of cases is missing, setting out of range. object names the state, the state and action, the field or the setting. No row: the machine is sound. Errors: 42501 without the action configure, 22023 no such type';

CREATE FUNCTION csm.create_case_type(parent text, case_type text, label text, settings jsonb DEFAULT '{}',
    states jsonb DEFAULT '[]', transitions jsonb DEFAULT '[]', fields jsonb DEFAULT '[]', own_machine boolean DEFAULT false)
RETURNS csm.case_types
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := csm.default_tenant_id();
    made csm.case_types;
    found text;
BEGIN
    PERFORM csm_private.check_configures(tenant);
    IF parent IS NOT NULL AND NOT EXISTS (SELECT FROM csm.case_types t WHERE t.case_type = parent AND t.tenant_id = tenant) THEN
        RAISE EXCEPTION 'case type "%" does not exist', parent USING ERRCODE = '22023', HINT = 'Choose one of csm.case_types as parent.';
    END IF;
    INSERT INTO csm.case_types AS t (tenant_id, case_type, parent_type, label, settings, own_machine)
    VALUES (tenant, case_type, parent, label, settings, own_machine)
    RETURNING * INTO made;
    SELECT string_agg(DISTINCT k.name, ', ') INTO found
    FROM (VALUES (states, '{state,value,state_class,label,active}'::text[]),
                 (transitions, '{from_state,action,to_state,actors,required_fields,note_required,effects,label,active}'),
                 (fields, '{name,label,type,audience,required,required_for,choices,reference,position,active}')) AS given(list, known),
         jsonb_array_elements(given.list) AS e, jsonb_object_keys(e) AS k(name)
    WHERE k.name <> ALL (given.known);
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'description of case type "%" has unknown keys', case_type USING ERRCODE = '22023',
            DETAIL = format('Keys: %s.', found), HINT = 'States, transitions and fields have the columns of their tables.';
    END IF;
    -- What an overriding state leaves out it has from the inherited one.
    INSERT INTO csm.case_states (tenant_id, case_type, state, value, state_class, label, active)
    SELECT tenant, case_type, e.state, coalesce(e.value, m.value), coalesce(e.state_class, m.state_class),
           coalesce(e.label, m.label, initcap(replace(e.state, '_', ' '))), coalesce(e.active, true)
    FROM jsonb_to_recordset(states) AS e(state text, value integer, state_class text, label text, active boolean)
    LEFT JOIN csm_private.machine_states(tenant, parent) m ON m.state = e.state AND NOT own_machine;
    INSERT INTO csm.case_transitions (tenant_id, case_type, from_state, action, to_state, actors, required_fields, note_required,
                                      effects, label, active)
    SELECT tenant, case_type, s.state, e.action, coalesce(e.to_state, m.to_state, s.state), coalesce(e.actors, m.actors, '{system}'),
           coalesce(e.required_fields, m.required_fields, '{}'), coalesce(e.note_required, m.note_required, false),
           coalesce(e.effects, m.effects, '{}'), coalesce(e.label, m.label, initcap(replace(e.action, '_', ' '))), coalesce(e.active, true)
    FROM jsonb_to_recordset(transitions) AS e(from_state jsonb, action text, to_state text, actors text[], required_fields text[],
                                              note_required boolean, effects jsonb, label text, active boolean)
    CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(e.from_state) WHEN 'array' THEN e.from_state
                                                 ELSE jsonb_build_array(e.from_state) END) AS s(state)
    LEFT JOIN csm_private.machine_transitions(tenant, parent) m
        ON m.from_state = s.state AND m.action = e.action AND NOT own_machine;
    INSERT INTO csm.case_type_fields (tenant_id, case_type, name, label, type, audience, required, required_for, choices, reference,
                                      "position", active)
    SELECT tenant, case_type, e.name, coalesce(e.label, initcap(replace(e.name, '_', ' '))), coalesce(e.type, 'text'),
           coalesce(e.audience, 'all'), coalesce(e.required, false), coalesce(e.required_for, '{}'), e.choices, e.reference,
           coalesce(e."position", n.n::integer), coalesce(e.active, true)
    FROM jsonb_array_elements(fields) WITH ORDINALITY AS n(value, n)
    CROSS JOIN LATERAL jsonb_to_record(n.value) AS e(name text, label text, type text, audience text, required boolean,
                                                     required_for text[], choices text[], reference text, "position" integer, active boolean);
    SELECT string_agg(format('%s: %s. %s', c.problem, c.object, c.detail), E'\n') INTO found FROM csm.check_case_type(case_type) c;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'case type "%" is not sound', case_type USING ERRCODE = '22023', DETAIL = found,
            HINT = 'csm.check_case_type() tells what must hold.';
    END IF;
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean) IS
'Makes a case type that inherits from parent (NULL: from none) and changes what is given. settings: as csm.case_types.settings. states, transitions, fields: arrays of objects with the columns of csm.case_states, csm.case_transitions (from_state may be an array) and csm.case_type_fields; of an inherited state or action only what changes need be said, "active": false does without it. own_machine: nothing of the parent''s machine is inherited. Errors: 42501 without the action configure, 22023 no such parent or a machine that is not sound (csm.check_case_type), 23503 no such state, 23505 the type exists, 23502 and 23514 a value that no row may have';

-- Names that mean something to Mermaid get a tail.
CREATE FUNCTION csm.machine_diagram(case_type text) RETURNS text
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH tenant AS (
        SELECT coalesce(csm.current_tenant_id(),
                        CASE WHEN csm_private.acts_as_system() THEN csm.default_tenant_id() END) AS id
    ), s AS MATERIALIZED (
        SELECT m.*, CASE WHEN m.state IN ('end', 'state', 'note', 'direction', 'default', 'class', 'style', 'click', 'as')
                         THEN m.state || '_' ELSE m.state END AS name
        FROM tenant, csm_private.machine_states(tenant.id, machine_diagram.case_type) m
    ), line (part, n, m, text) AS (
        SELECT 1, 0, '', 'stateDiagram-v2'
        WHERE EXISTS (SELECT FROM s)
      UNION ALL
        SELECT 2, s.value, s.state, format('    state "%s" as %s', translate(s.label, E'"\n\r', ''''), s.name) FROM s
      UNION ALL
        SELECT 3, 0, f.state_class, format('    [*] --> %s', f.name)
        FROM (SELECT b.state_class, s.name FROM tenant, csm_private.machine_begins(tenant.id, machine_diagram.case_type) b
              JOIN s ON s.state = b.state) f
      UNION ALL
        SELECT 4, a.value, t.action, format('    %s --> %s: %s (%s)', a.name, b.name, t.action, array_to_string(t.actors, ', '))
        FROM tenant, csm_private.machine_transitions(tenant.id, machine_diagram.case_type) t
        JOIN s a ON a.state = t.from_state JOIN s b ON b.state = t.to_state
      UNION ALL
        SELECT 5, s.value, s.state, format('    %s --> [*]', s.name) FROM s WHERE s.state_class IN ('closed', 'cancelled')
    )
    SELECT string_agg(l.text, E'\n' ORDER BY l.part, l.n, l.m COLLATE "C") FROM line l;
END;
COMMENT ON FUNCTION csm.machine_diagram(text) IS
'The machine of a case type as a Mermaid stateDiagram, inherited states and actions included; NULL for an unknown type, and for nobody';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm.set_fields(bigint, jsonb)', 'csm_private.check_configures(bigint)',
        'csm_private.machine_begins(bigint, text)', 'csm_private.machine_walk(bigint, text)', 'csm.check_case_type(text)',
        'csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean)', 'csm.machine_diagram(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.set_fields(bigint, jsonb) TO csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm.check_case_type(text),
    csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean) TO csm_admin;
GRANT EXECUTE ON FUNCTION csm.machine_diagram(text) TO csm_portal, csm_agent, csm_reporter, csm_admin;
