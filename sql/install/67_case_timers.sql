-- What time does to a case that waits for its customer.
--
-- A proposed solution: a reminder after reminder_days, closed after close_days.
-- A question: after awaiting_info_days the action time_out, if the type has
-- that setting. Settings of the type, csm.case_types.settings. All that speaks
-- against it is asked when the time has come, not when the timer was set; what
-- it keeps open is looked at again a day later.

CREATE FUNCTION csm_private.type_text(tenant_id bigint, case_type text, key text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_type_text' LANGUAGE c STABLE STRICT;

CREATE FUNCTION csm_private.type_period(tenant_id bigint, case_type text, key text) RETURNS interval
AS 'MODULE_PATHNAME', 'csm_type_period_sql' LANGUAGE c STABLE STRICT;

CREATE FUNCTION csm_private.case_follows() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_follows' LANGUAGE c;

-- The case is locked by run_due; what is read is how it stands now.
CREATE FUNCTION csm_private.say_as_system(tenant_id bigint, case_id bigint, body text, visibility text DEFAULT 'shared',
    idempotency_key text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM csm_private.begin_note(case_id, true);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
    VALUES (tenant_id, case_id, body, visibility, idempotency_key);
END $$;

CREATE FUNCTION csm_private.say_as_system_to_all(case_ids bigint[], setting text, otherwise text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM csm_private.begin_notes(case_ids);
    INSERT INTO csm.case_entries (tenant_id, case_id, body)
    SELECT c.tenant_id, c.id, coalesce(csm_private.type_text(c.tenant_id, c.case_type, setting), otherwise)
    FROM csm.cases c WHERE c.id = ANY (case_ids) ORDER BY c.id;
    PERFORM csm_private.end_many();
END $$;

-- Handlers that have much to do work on many cases with a statement each;
-- run_due has locked them. What a case keeps open is looked at a day later.
CREATE FUNCTION csm_private.due_auto_close(case_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked_again bigint;
    closing bigint[];
BEGIN
    WITH resolved AS MATERIALIZED (
        SELECT c.id, c.tenant_id, c.case_type, c.resolved_at, NOT c.auto_close OR csm_private.kept_open(c.needs_attention, c.escalated, c.account_id) AS kept
        FROM csm.cases c WHERE c.id = ANY (case_ids) AND c.state_class = 'resolved'
    ), due AS MATERIALIZED (
        SELECT r.*, r.resolved_at + csm_private.type_period(r.tenant_id, r.case_type, 'close_days') AS closes_at FROM resolved r
    ), again AS MATERIALIZED (
        SELECT csm_private.set_case_timer(d.tenant_id, 'auto_close', d.id,
                                          CASE WHEN d.closes_at > at THEN d.closes_at ELSE at + interval '24 hours' END)
        FROM due d WHERE d.closes_at IS NOT NULL AND (d.kept OR d.closes_at > at)
    )
    SELECT (SELECT count(*) FROM again), array_agg(d.id ORDER BY d.id) FILTER (WHERE NOT d.kept AND d.closes_at <= at)
      INTO looked_again, closing FROM due d;
    IF closing IS NOT NULL THEN
        PERFORM csm_private.begin_acts(closing, 'close');
        UPDATE csm.cases c SET updated_at = c.updated_at WHERE c.id = ANY (closing);
        PERFORM csm_private.say_as_system_to_all(closing, 'close_text',
            'Closed automatically: the proposed solution was neither accepted nor rejected.');
    END IF;
END $$;

CREATE FUNCTION csm_private.due_auto_close_reminder(case_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked_again bigint;
    closing bigint[];
    reminding bigint[];
BEGIN
    WITH resolved AS MATERIALIZED (
        SELECT c.id, c.tenant_id, c.case_type, c.resolved_at, NOT c.auto_close OR csm_private.kept_open(c.needs_attention, c.escalated, c.account_id) AS kept
        FROM csm.cases c WHERE c.id = ANY (case_ids) AND c.state_class = 'resolved'
    ), due AS MATERIALIZED (
        SELECT r.id, r.tenant_id, r.resolved_at + p.closes AS closes_at, r.resolved_at + p.reminds AS reminds_at,
               coalesce(r.resolved_at + p.closes <= at, false) OR p.reminds IS NULL AS closes, r.kept
        FROM resolved r,
             LATERAL (SELECT csm_private.type_period(r.tenant_id, r.case_type, 'close_days') AS closes,
                             csm_private.type_period(r.tenant_id, r.case_type, 'reminder_days') AS reminds) p
    ), again AS MATERIALIZED (
        SELECT csm_private.set_case_timer(d.tenant_id,
                   CASE WHEN d.kept OR d.reminds_at > at THEN 'auto_close_reminder' ELSE 'auto_close' END, d.id,
                   CASE WHEN d.reminds_at > at THEN d.reminds_at WHEN d.kept THEN at + interval '24 hours' ELSE d.closes_at END)
        FROM due d WHERE NOT d.closes AND (d.kept OR d.reminds_at > at OR d.closes_at IS NOT NULL)
    )
    SELECT (SELECT count(*) FROM again),
           array_agg(d.id ORDER BY d.id) FILTER (WHERE d.closes),
           array_agg(d.id ORDER BY d.id) FILTER (WHERE NOT d.closes AND NOT d.kept AND d.reminds_at <= at)
      INTO looked_again, closing, reminding FROM due d;
    IF reminding IS NOT NULL THEN
        PERFORM csm_private.say_as_system_to_all(reminding, 'reminder_text',
            'A solution has been proposed. Please accept or reject it; without an answer the case will be closed.');
    END IF;
    IF closing IS NOT NULL THEN
        PERFORM csm_private.due_auto_close(closing, at);
    END IF;
END $$;

CREATE FUNCTION csm_private.due_awaiting_timeout(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = object_id AND e.tenant_id = due_awaiting_timeout.tenant_id;
    IF c.state_class IS DISTINCT FROM 'waiting'
       OR csm_private.type_period(c.tenant_id, c.case_type, 'awaiting_info_days') IS NULL THEN
        RETURN;
    ELSIF c.follow_up_at > at THEN
        PERFORM csm_private.set_timer(c.tenant_id, 'awaiting_timeout', c.id, c.id, c.follow_up_at + interval '24 hours');
    ELSIF NOT c.auto_close OR csm_private.kept_open(c.needs_attention, c.escalated, c.account_id) THEN
        PERFORM csm_private.set_timer(c.tenant_id, 'awaiting_timeout', c.id, c.id, at + interval '24 hours');
    ELSE
        PERFORM csm_private.act_as_system(c.id, 'time_out',
            coalesce(csm_private.type_text(c.tenant_id, c.case_type, 'timeout_text'),
                     'Closed automatically: the information asked for was not given.'));
    END IF;
END $$;

CREATE FUNCTION csm_private.due_follow_up(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = object_id AND e.tenant_id = due_follow_up.tenant_id;
    IF c.follow_up_at <= at AND NOT c.needs_attention AND c.state_class NOT IN ('closed', 'cancelled') THEN
        PERFORM csm_private.begin_system(c.id);
        UPDATE csm.cases e SET needs_attention = true WHERE e.id = c.id AND e.tenant_id = c.tenant_id;
    END IF;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('type_text(bigint, text, text)', 'csm_private.type_setting() as text, remembered by the session until a type of the tenant changes'),
        ('type_period(bigint, text, text)', 'A setting of a case type that counts days, as so many times 24 hours; NULL for none; error 22023 when it is no number from 0 to 36525'),
        ('case_follows()', 'AFTER trigger of csm.cases: timers of the state and of follow_up_at, the clocks of a dispute, the end of an open escalation, what children of a major case follow, the link to a parent'),
        ('say_as_system(bigint, bigint, text, text, text)', 'An entry without author and without effects of its own; run as csm_owner, who has locked the case'),
        ('say_as_system_to_all(bigint[], text, text)', 'The same entry on many cases, shared: the text that the setting of the case type gives, otherwise the one given'),
        ('due_auto_close_reminder(bigint[], timestamptz)', 'Handler: reminds of proposed solutions, then sets auto_close'),
        ('due_auto_close(bigint[], timestamptz)', 'Handler: closes cases whose proposed solution nobody answered'),
        ('due_awaiting_timeout(bigint, bigint, timestamptz)', 'Handler: action time_out on a case whose question nobody answered; where follow_up_at is still to come, a day after it'),
        ('due_follow_up(bigint, bigint, timestamptz)', 'Handler: needs_attention goes on when follow_up_at has come')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION csm_private.%s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION csm_private.%s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION csm_private.%s IS %L', f.name, f.comment);
    END LOOP;
END $$;

-- Triggers of csm.cases that an update fires have no WHEN clause: it would be
-- parsed anew for every statement.  C code decides what concerns it.
CREATE TRIGGER cases_60_follows AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_follows();
