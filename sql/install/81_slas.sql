-- SLAs: what is promised (definitions), what a case has of it (case_slas), and
-- the log from which that follows (sla_events).  Conditions: src/csm_sla_rule.c;
-- counting: src/csm_sla_clock.c; the trigger: src/csm_sla_trigger.c.

CREATE FUNCTION csm_private.sla_condition(condition jsonpath) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_sla_condition' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
ALTER FUNCTION csm_private.sla_condition(jsonpath) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.sla_condition(jsonpath) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.sla_condition(jsonpath) TO csm_admin;
COMMENT ON FUNCTION csm_private.sla_condition(jsonpath) IS
'Check constraint: true for a predicate over columns of csm.cases without variables, else error 22023';

CREATE TABLE csm.sla_definitions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    type text NOT NULL,
    duration_seconds bigint NOT NULL,
    calendar_from text NOT NULL DEFAULT 'none',
    calendar_id bigint,
    case_types text[],
    branches text[],
    priorities smallint[],
    start_when jsonpath NOT NULL,
    pause_when jsonpath,
    stop_when jsonpath NOT NULL,
    reset_when jsonpath,
    cancel_when jsonpath,
    warn_at smallint[] NOT NULL DEFAULT '{50,75}',
    visible_to_customer boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT sla_definitions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sla_definitions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT sla_definitions_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id),
    CONSTRAINT sla_definitions_name_key UNIQUE (tenant_id, name),
    CONSTRAINT sla_definitions_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT sla_definitions_type_check CHECK (type IN ('response', 'resolution', 'update')),
    CONSTRAINT sla_definitions_duration_check CHECK (duration_seconds BETWEEN 1 AND 315576000),
    CONSTRAINT sla_definitions_source_check CHECK (calendar_from IN ('none', 'fixed', 'account', 'entitlement')),
    CONSTRAINT sla_definitions_fixed_check CHECK (CASE calendar_from WHEN 'none' THEN calendar_id IS NULL
        WHEN 'fixed' THEN calendar_id IS NOT NULL ELSE true END),
    CONSTRAINT sla_definitions_branches_check CHECK (branches <@ '{b2b,b2c,internal}'::text[]),
    CONSTRAINT sla_definitions_priorities_check CHECK (priorities <@ '{1,2,3,4}'::smallint[]),
    CONSTRAINT sla_definitions_conditions_check CHECK (csm_private.sla_condition(start_when)
        AND coalesce(csm_private.sla_condition(pause_when), true) AND csm_private.sla_condition(stop_when)
        AND coalesce(csm_private.sla_condition(reset_when), true) AND coalesce(csm_private.sla_condition(cancel_when), true)),
    CONSTRAINT sla_definitions_warn_check CHECK (0 < ALL (warn_at) AND 100 > ALL (warn_at) AND cardinality(warn_at) <= 20)
);
CREATE INDEX sla_definitions_calendar_idx ON csm.sla_definitions (calendar_id) WHERE calendar_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.sla_definitions');
-- As csm_private.signal_on() does it, but for any change: jsonpath knows no equality.
CREATE TRIGGER sla_definitions_signal AFTER INSERT OR UPDATE OR DELETE ON csm.sla_definitions
    FOR EACH ROW EXECUTE FUNCTION csm_private.signal('sla', 'tenant_id');
CREATE TRIGGER sla_definitions_signal_truncate AFTER TRUNCATE ON csm.sla_definitions
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.signal();
ALTER TABLE csm.sla_definitions ENABLE ALWAYS TRIGGER sla_definitions_signal;
ALTER TABLE csm.sla_definitions ENABLE ALWAYS TRIGGER sla_definitions_signal_truncate;

CREATE TABLE csm.case_slas (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    definition_id bigint NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    visible_to_customer boolean NOT NULL,
    calendar_id bigint,
    duration_seconds bigint NOT NULL,
    state text NOT NULL,
    attached_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    as_of timestamptz NOT NULL,
    elapsed interval NOT NULL,
    business_elapsed interval NOT NULL,
    due_at timestamptz,
    breached_at timestamptz,
    CONSTRAINT case_slas_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_slas_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_slas_definition_fkey FOREIGN KEY (definition_id, tenant_id) REFERENCES csm.sla_definitions (id, tenant_id),
    CONSTRAINT case_slas_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id),
    CONSTRAINT case_slas_state_check CHECK (state IN ('running', 'paused', 'completed', 'cancelled'))
);
CREATE INDEX case_slas_case_idx ON csm.case_slas (case_id);
CREATE INDEX case_slas_definition_idx ON csm.case_slas (definition_id) WHERE state IN ('running', 'paused');
CREATE INDEX case_slas_calendar_idx ON csm.case_slas (calendar_id) WHERE calendar_id IS NOT NULL AND state IN ('running', 'paused');
CREATE INDEX case_slas_due_idx ON csm.case_slas (tenant_id, due_at) WHERE state = 'running';
SELECT csm_private.adopt_table('csm.case_slas');

CREATE TABLE csm.sla_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_sla_id bigint NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL,
    percent smallint,
    definition_id bigint,
    calendar_id bigint,
    duration_seconds bigint,
    CONSTRAINT sla_events_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sla_events_sla_fkey FOREIGN KEY (case_sla_id, tenant_id) REFERENCES csm.case_slas (id, tenant_id),
    CONSTRAINT sla_events_event_check CHECK (event IN
        ('attach', 'pause', 'resume', 'reset', 'retarget', 'warn', 'breach', 'reckon', 'complete', 'cancel'))
);
CREATE INDEX sla_events_sla_idx ON csm.sla_events (case_sla_id, id);
SELECT csm_private.adopt_table('csm.sla_events');

-- ---- who reads ----

CREATE FUNCTION csm_private.case_staff_reads(c csm.cases) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_staff_reads' LANGUAGE c STABLE PARALLEL SAFE COST 10;
ALTER FUNCTION csm_private.case_staff_reads(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_staff_reads(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.case_staff_reads(csm.cases) TO csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.case_staff_reads(csm.cases) IS
'Whether the signed-in person has case_read on the case as staff (V9), not only as a customer; false for nobody and a null row';

CREATE POLICY sla_definitions_select ON csm.sla_definitions FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY sla_definitions_write ON csm.sla_definitions FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY case_slas_select ON csm.case_slas FOR SELECT TO csm_portal
    USING (visible_to_customer
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_slas.tenant_id));
CREATE POLICY case_slas_select_report ON csm.case_slas FOR SELECT TO csm_reporter
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_slas.tenant_id));
CREATE POLICY case_slas_select_staff ON csm.case_slas FOR SELECT TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_slas.tenant_id
                   AND (case_slas.visible_to_customer OR csm_private.case_staff_reads(c.*))));
CREATE POLICY sla_events_select ON csm.sla_events FOR SELECT TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.case_slas s JOIN csm.cases c ON c.id = s.case_id AND c.tenant_id = s.tenant_id
                   WHERE s.id = case_sla_id AND s.tenant_id = sla_events.tenant_id AND csm_private.case_staff_reads(c.*)));
GRANT SELECT ON csm.sla_definitions TO csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.sla_definitions TO csm_admin;
GRANT SELECT ON csm.case_slas TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT SELECT ON csm.sla_events TO csm_agent, csm_admin;
COMMENT ON POLICY sla_definitions_select ON csm.sla_definitions IS 'Staff connections read what is promised';
COMMENT ON POLICY sla_definitions_write ON csm.sla_definitions IS 'Administrators keep it';
COMMENT ON POLICY case_slas_select ON csm.case_slas IS 'Whoever sees the case, those that customers may see';
COMMENT ON POLICY case_slas_select_staff ON csm.case_slas IS
'Staff who read the case; on a case that he sees only as a customer, those that customers may see';
COMMENT ON POLICY case_slas_select_report ON csm.case_slas IS 'Reporting connections: those of the cases that they see';
COMMENT ON POLICY sla_events_select ON csm.sla_events IS 'Staff who read the case';

-- ---- triggers and handler ----

CREATE FUNCTION csm_private.case_slas() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_slas' LANGUAGE c;
COMMENT ON FUNCTION csm_private.case_slas() IS
'AFTER trigger of csm.cases: attaches SLAs and moves them on as their definitions say';

CREATE FUNCTION csm_private.due_sla(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
AS 'MODULE_PATHNAME', 'csm_due_sla' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.due_sla(bigint, bigint, timestamptz) IS
'Timer handler: notes the warnings and the breach of an SLA that lie at or before "at", and sets the next timer; does nothing on one that has ended';

CREATE FUNCTION csm_private.recompute_sla(tenant_id bigint, case_sla_id bigint, write boolean, retarget boolean) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_recompute_sla' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.recompute_sla(bigint, bigint, boolean, boolean) IS
'Folds the log of an SLA; true when that gives what is stored. write: stores what it gives; retarget: an open one takes its definition as it is now. NULL for an unknown one. The caller holds the lock of the case';

CREATE FUNCTION csm_private.sla_business(s csm.case_slas, at timestamptz) RETURNS interval
AS 'MODULE_PATHNAME', 'csm_sla_business' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION csm_private.sla_business(csm.case_slas, timestamptz) IS
'Open time that the SLA has counted until an instant not before as_of';

-- Rows whose calendars or definitions changed, with their cases locked in one
-- order, as whoever sets a timer must.
CREATE FUNCTION csm_private.reckon_slas(calendars bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    FOR s IN
        WITH RECURSIVE down(id, tenant_id) AS (
            SELECT c.id, c.tenant_id FROM csm.calendars c WHERE c.id = ANY (calendars)
          UNION
            SELECT c.id, c.tenant_id FROM down JOIN csm.calendars c ON c.parent_id = down.id AND c.tenant_id = down.tenant_id
        )
        SELECT x.id, x.tenant_id, x.case_id FROM csm.case_slas x
        WHERE x.calendar_id IN (SELECT down.id FROM down) AND x.state IN ('running', 'paused')
        ORDER BY x.case_id, x.id
    LOOP
        PERFORM FROM csm.cases c WHERE c.id = s.case_id AND c.tenant_id = s.tenant_id FOR NO KEY UPDATE;
        PERFORM csm_private.recompute_sla(s.tenant_id, s.id, true, false);
    END LOOP;
END $$;
COMMENT ON FUNCTION csm_private.reckon_slas(bigint[]) IS
'Reckons open SLAs anew that depend on these calendars or on what inherits from them';

CREATE FUNCTION csm_private.calendar_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.reckon_slas(ARRAY(SELECT DISTINCT r.id FROM changed r));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION csm_private.calendar_exceptions_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.reckon_slas(ARRAY(SELECT DISTINCT r.calendar_id FROM changed r));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION csm_private.calendar_intervals_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.reckon_slas(ARRAY(
            SELECT DISTINCT coalesce(r.calendar_id, e.calendar_id)
            FROM changed r LEFT JOIN csm.calendar_exceptions e ON e.id = r.exception_id AND e.tenant_id = r.tenant_id));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.calendar_changed() IS 'Trigger of csm.calendars: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_exceptions_changed() IS 'Trigger of csm.calendar_exceptions: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_intervals_changed() IS 'Trigger of csm.calendar_intervals: open SLAs are reckoned anew';

-- A row that moves is missed by the old owner's SLAs without the second UPDATE trigger.
DO $$
DECLARE
    t text;
    f text;
BEGIN
    FOR t, f IN VALUES ('calendars', 'calendar_changed'), ('calendar_exceptions', 'calendar_exceptions_changed'),
                       ('calendar_intervals', 'calendar_intervals_changed') LOOP
        EXECUTE format('CREATE TRIGGER %1$s_20_slas_insert AFTER INSERT ON csm.%1$s REFERENCING NEW TABLE AS changed '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.%2$s()', t, f);
        EXECUTE format('CREATE TRIGGER %1$s_20_slas_delete AFTER DELETE ON csm.%1$s REFERENCING OLD TABLE AS changed '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.%2$s()', t, f);
        EXECUTE format('CREATE TRIGGER %1$s_20_slas_old AFTER UPDATE ON csm.%1$s REFERENCING OLD TABLE AS changed '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.%2$s()', t, f);
        EXECUTE format('CREATE TRIGGER %1$s_20_slas_new AFTER UPDATE ON csm.%1$s REFERENCING NEW TABLE AS changed '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.%2$s()', t, f);
    END LOOP;
END $$;
CREATE TRIGGER cases_50_sla AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_slas();
CREATE TRIGGER sla_events_10_append_only BEFORE UPDATE OR DELETE ON csm.sla_events
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER sla_events_10_append_only_truncate BEFORE TRUNCATE ON csm.sla_events
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

-- ---- functions ----

CREATE FUNCTION csm.recompute_sla(case_sla_id bigint) RETURNS csm.case_slas
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s csm.case_slas;
BEGIN
    SELECT * INTO s FROM csm.case_slas x
    WHERE x.id = recompute_sla.case_sla_id
      AND (csm.all_in(x.tenant_id, 'internal', 'configure') OR csm_private.acts_as_system());
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no SLA %', coalesce(recompute_sla.case_sla_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.case_slas.id of a tenant that you administer.';
    END IF;
    PERFORM FROM csm.cases c WHERE c.id = s.case_id AND c.tenant_id = s.tenant_id FOR NO KEY UPDATE;
    PERFORM csm_private.recompute_sla(s.tenant_id, s.id, true, false);
    SELECT * INTO s FROM csm.case_slas x WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
    RETURN s;
END $$;
COMMENT ON FUNCTION csm.recompute_sla(bigint) IS
'Folds the log of an SLA and returns the row, corrected where something else was stored; an ended one is then reckoned by its calendar as that is now. Administrators. Error 22023 for an unknown one';

CREATE FUNCTION csm.verify_slas(tenant_id bigint DEFAULT csm.default_tenant_id()) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM csm_private.check_configures(verify_slas.tenant_id);
    RETURN QUERY SELECT s.id FROM csm.case_slas s
        WHERE s.tenant_id = verify_slas.tenant_id AND NOT csm_private.recompute_sla(s.tenant_id, s.id, false, false)
        ORDER BY s.id;
END $$;
COMMENT ON FUNCTION csm.verify_slas(bigint) IS
'SLAs whose stored sums differ from what their log gives: none, but for ended ones whose calendar was changed afterwards. Changes nothing. Error 42501 without the action configure';

CREATE FUNCTION csm.retarget_slas(definition_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s record;
    n bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM csm.sla_definitions d
                   WHERE d.id = retarget_slas.definition_id
                     AND (csm.all_in(d.tenant_id, 'internal', 'configure') OR csm_private.acts_as_system())) THEN
        RAISE EXCEPTION 'there is no definition %', coalesce(retarget_slas.definition_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.sla_definitions.id of a tenant that you administer.';
    END IF;
    FOR s IN SELECT x.id, x.tenant_id, x.case_id FROM csm.case_slas x
             WHERE x.definition_id = retarget_slas.definition_id AND x.state IN ('running', 'paused')
             ORDER BY x.case_id, x.id LOOP
        PERFORM FROM csm.cases c WHERE c.id = s.case_id AND c.tenant_id = s.tenant_id FOR NO KEY UPDATE;
        PERFORM csm_private.recompute_sla(s.tenant_id, s.id, true, true);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm.retarget_slas(bigint) IS
'Lets the open SLAs of a definition go on as the definition is now (duration, fixed calendar, name, visibility); nothing counted or paused is lost. Returns how many. Without it a changed definition counts for SLAs attached from then on. Administrators. Error 22023 for an unknown one';

CREATE FUNCTION csm_private.standard_slas()
RETURNS TABLE (name text, type text, duration_seconds bigint, priorities smallint[], start_when jsonpath, pause_when jsonpath,
               stop_when jsonpath, cancel_when jsonpath, visible_to_customer boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 9
BEGIN ATOMIC
    SELECT format('%s, priority %s', initcap(v.type), v.priority), v.type, v.hours * 3600::bigint, ARRAY[v.priority::smallint],
           '$.state_class != "draft"'::jsonpath,
           CASE v.type WHEN 'resolution' THEN '$.state_class == "waiting" || $.state_class == "resolved"' END::jsonpath,
           CASE v.type WHEN 'response' THEN '$.first_response_at != null || $.state_class == "closed"'
                       ELSE '$.state_class == "closed"' END::jsonpath,
           '$.state_class == "cancelled"'::jsonpath, v.type = 'response'
    FROM (VALUES ('response', 1, 1), ('response', 2, 4), ('response', 3, 8), ('response', 4, 16),
                 ('resolution', 1, 8), ('resolution', 2, 16), ('resolution', 3, 40), ('resolution', 4, 80)) AS v(type, priority, hours)
    UNION ALL
    SELECT 'Update, priority 1', 'update', 7200, '{1}', '$.state_class == "open"', '$.state_class == "waiting" || $.state_class == "resolved"',
           '$.state_class == "closed"', '$.state_class == "cancelled"', false;
END;
COMMENT ON FUNCTION csm_private.standard_slas() IS
'What csm.create_standard_slas() writes (conditions: R 2.6)';

CREATE FUNCTION csm.create_standard_slas(calendar_id bigint DEFAULT NULL, tenant_id bigint DEFAULT csm.default_tenant_id()) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added integer;
BEGIN
    PERFORM csm_private.check_configures(create_standard_slas.tenant_id);
    IF create_standard_slas.calendar_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM csm.calendars c
        WHERE c.id = create_standard_slas.calendar_id AND c.tenant_id = create_standard_slas.tenant_id) THEN
        RAISE EXCEPTION 'there is no calendar %', create_standard_slas.calendar_id
            USING ERRCODE = '22023', HINT = 'Name a csm.calendars.id of the tenant, or leave it out for around the clock.';
    END IF;
    INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, calendar_from, calendar_id, priorities,
                                     start_when, pause_when, stop_when, cancel_when, visible_to_customer)
    SELECT create_standard_slas.tenant_id, s.name, s.type, s.duration_seconds,
           CASE WHEN create_standard_slas.calendar_id IS NULL THEN 'none' ELSE 'fixed' END, create_standard_slas.calendar_id,
           s.priorities, s.start_when, s.pause_when, s.stop_when, s.cancel_when, s.visible_to_customer
    FROM csm_private.standard_slas() s
    ON CONFLICT ON CONSTRAINT sla_definitions_name_key DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END $$;
COMMENT ON FUNCTION csm.create_standard_slas(bigint, bigint) IS
'Writes a first set of definitions, to be changed as the tenant likes: response from opening to the first shared entry of staff, resolution to the closing with pauses while the customer is asked or has a solution to judge, an update every two hours of work on priority 1. A name that is there stays; returns how many are new. No tenant has definitions before: a promise is the tenant''s to make. Errors: 42501 without the action configure, 22023 no such calendar';

CREATE VIEW csm.case_sla_status WITH (security_invoker = true) AS
SELECT s.id, s.tenant_id, s.case_id, s.name, s.type, s.state, s.started_at, s.due_at, n.business_elapsed,
       greatest(s.duration_seconds - floor(extract(epoch FROM n.business_elapsed))::bigint, 0) AS remaining_seconds,
       least(floor(extract(epoch FROM n.business_elapsed) * 100 / s.duration_seconds), 32767)::integer AS percent,
       extract(epoch FROM n.business_elapsed) >= s.duration_seconds AS breached
FROM csm.case_slas s
CROSS JOIN LATERAL (SELECT csm_private.sla_business(s, statement_timestamp())) AS n(business_elapsed);
ALTER VIEW csm.case_sla_status OWNER TO csm_owner;
REVOKE ALL ON csm.case_sla_status FROM PUBLIC;
GRANT SELECT ON csm.case_sla_status TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON VIEW csm.case_sla_status IS 'SLAs as they are at this moment, with no job to run; who sees which: csm.case_slas';
COMMENT ON COLUMN csm.case_sla_status.id IS 'csm.case_slas.id';
COMMENT ON COLUMN csm.case_sla_status.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_sla_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_sla_status.name IS 'Name of the definition';
COMMENT ON COLUMN csm.case_sla_status.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_sla_status.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_sla_status.started_at IS 'Since when it counts';
COMMENT ON COLUMN csm.case_sla_status.due_at IS 'When the time is or was up; NULL while paused, infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_sla_status.business_elapsed IS 'Open time counted until now';
COMMENT ON COLUMN csm.case_sla_status.remaining_seconds IS 'Open seconds left, rounded up; 0 when the time is up';
COMMENT ON COLUMN csm.case_sla_status.percent IS 'Part of the duration that has been counted, rounded down; above 100 after the breach';
COMMENT ON COLUMN csm.case_sla_status.breached IS 'The time is up, or was when it ended; true from due_at on, whether or not a timer has run';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.case_slas()', 'csm_private.due_sla(bigint, bigint, timestamptz)',
        'csm_private.recompute_sla(bigint, bigint, boolean, boolean)', 'csm_private.sla_business(csm.case_slas, timestamptz)',
        'csm_private.reckon_slas(bigint[])', 'csm_private.calendar_changed()', 'csm_private.calendar_exceptions_changed()',
        'csm_private.calendar_intervals_changed()', 'csm_private.standard_slas()', 'csm.recompute_sla(bigint)',
        'csm.verify_slas(bigint)', 'csm.retarget_slas(bigint)', 'csm.create_standard_slas(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm_private.sla_business(csm.case_slas, timestamptz) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.recompute_sla(bigint), csm.verify_slas(bigint), csm.retarget_slas(bigint),
    csm.create_standard_slas(bigint, bigint) TO csm_admin;

COMMENT ON TABLE csm.sla_definitions IS
'What is promised: how much open time may pass between two conditions. Conditions are SQL/JSON path predicates over the row of csm.cases ($.column, of attributes $.attributes.key): data that runs no code; one that fails on a row is false. They are looked at when a column changes that some definition reads';
COMMENT ON COLUMN csm.sla_definitions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sla_definitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_definitions.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.sla_definitions.type IS 'response, resolution or update; update begins anew with each shared entry of staff';
COMMENT ON COLUMN csm.sla_definitions.duration_seconds IS 'Open seconds that are allowed; at most ten years';
COMMENT ON COLUMN csm.sla_definitions.calendar_from IS
'Whose calendar counts: none (around the clock), fixed, that of the account or the nearest account above, that of the entitlement';
COMMENT ON COLUMN csm.sla_definitions.calendar_id IS 'The calendar when fixed; else the one where account or entitlement have none; NULL: around the clock';
COMMENT ON COLUMN csm.sla_definitions.case_types IS
'Case types for which it is, with those that inherit from them and have none of the same type of their own; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.branches IS 'Branches for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.priorities IS 'Priorities for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.start_when IS 'Attaches one where none is open or completed and neither stop nor cancel hold; does not have to stay true';
COMMENT ON COLUMN csm.sla_definitions.pause_when IS 'Time does not count while it holds; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.stop_when IS 'Completes it';
COMMENT ON COLUMN csm.sla_definitions.reset_when IS 'When it becomes true, counting begins anew, also of one that was completed; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.cancel_when IS 'Ends it without result; goes before stop; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.warn_at IS 'Percent of the duration at which event sla_warned is written, 1 to 99';
COMMENT ON COLUMN csm.sla_definitions.visible_to_customer IS 'Customers who see the case see its status';
COMMENT ON COLUMN csm.sla_definitions.active IS 'False: attaches no more; what is attached goes on';
COMMENT ON TABLE csm.case_slas IS
'SLAs of cases. All that is counted follows from csm.sla_events and the calendar (csm.recompute_sla); the row holds it as of the last event';
COMMENT ON COLUMN csm.case_slas.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_slas.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_slas.case_id IS 'The case';
COMMENT ON COLUMN csm.case_slas.definition_id IS 'The definition under which it runs now';
COMMENT ON COLUMN csm.case_slas.name IS 'Name of the definition when it was attached or took over';
COMMENT ON COLUMN csm.case_slas.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_slas.visible_to_customer IS 'Customers who see the case see it';
COMMENT ON COLUMN csm.case_slas.calendar_id IS 'Calendar that counts, chosen when it was attached or took over; NULL: around the clock';
COMMENT ON COLUMN csm.case_slas.duration_seconds IS 'Open seconds allowed; kept when the definition changes, see csm.retarget_slas()';
COMMENT ON COLUMN csm.case_slas.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_slas.attached_at IS 'When it was attached';
COMMENT ON COLUMN csm.case_slas.started_at IS 'Since when it counts: attached_at, or the last reset';
COMMENT ON COLUMN csm.case_slas.as_of IS 'Until when elapsed and business_elapsed are counted: the last event; csm.case_sla_status counts until now';
COMMENT ON COLUMN csm.case_slas.elapsed IS 'Time counted around the clock, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.business_elapsed IS 'Open time counted, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.due_at IS
'When the time is up if nothing happens before: the earliest instant at which the open time equals the duration. NULL while paused, and when it was paused as it ended; infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_slas.breached_at IS 'When the time was up, as of the last event; NULL: it was not. A reset clears it; csm.cases.made_sla remembers';
COMMENT ON TABLE csm.sla_events IS 'The log of SLAs, append-only: elapsed, open and due time are a function of it and the calendar';
COMMENT ON COLUMN csm.sla_events.id IS 'Identity, unique in the database; the order of the log';
COMMENT ON COLUMN csm.sla_events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_events.case_sla_id IS 'The SLA';
COMMENT ON COLUMN csm.sla_events.at IS 'When; never before the row before it';
COMMENT ON COLUMN csm.sla_events.event IS
'attach, pause, resume, reset, complete, cancel; retarget: went on under another target; reckon: the calendar had changed; warn and breach: noted, at their instant';
COMMENT ON COLUMN csm.sla_events.percent IS 'Part of the duration, for warn and breach; NULL for others';
COMMENT ON COLUMN csm.sla_events.definition_id IS 'Definition, for attach and retarget';
COMMENT ON COLUMN csm.sla_events.calendar_id IS 'Calendar, for attach and retarget; NULL there: around the clock';
COMMENT ON COLUMN csm.sla_events.duration_seconds IS 'Target, for attach and retarget; the last one holds for the whole log';
