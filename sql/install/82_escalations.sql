-- Escalations of a case or an account (R B31): requested, then escalated or
-- declined; an escalated one ends closed. A template says how severe it is, for
-- which reasons it may be asked, and which group decides; without a group it is
-- escalated at once.
--
-- What is open on a case ends with it (src/csm_case_follow.c).
--
-- A customer sees of it the flag cases.escalated and nothing else, so what the
-- functions answer him must not tell whether somebody else has asked before.

CREATE TABLE csm.escalation_templates (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    template text NOT NULL,
    label text NOT NULL,
    severity text NOT NULL DEFAULT 'high',
    targets text[] NOT NULL DEFAULT '{case,account}',
    reasons text[] NOT NULL DEFAULT '{inactivity,lack_of_progress,customer_deadline}',
    approval_group_id bigint,
    for_customers boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT escalation_templates_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT escalation_templates_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT escalation_templates_group_fkey FOREIGN KEY (approval_group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT escalation_templates_template_key UNIQUE (tenant_id, template),
    CONSTRAINT escalation_templates_template_check CHECK (template ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT escalation_templates_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT escalation_templates_severity_check CHECK (severity IN ('high', 'medium')),
    CONSTRAINT escalation_templates_targets_check CHECK (targets <@ '{case,account}'::text[] AND cardinality(targets) > 0),
    CONSTRAINT escalation_templates_reasons_check CHECK (cardinality(reasons) > 0
        AND reasons <@ '{inactivity,lack_of_progress,customer_deadline}'::text[])
);
CREATE INDEX escalation_templates_group_idx ON csm.escalation_templates (approval_group_id) WHERE approval_group_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.escalation_templates');

CREATE TABLE csm.escalations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    template_id bigint NOT NULL,
    case_id bigint,
    account_id bigint,
    state text NOT NULL,
    source text NOT NULL,
    reason text NOT NULL,
    severity text NOT NULL,
    trend text NOT NULL DEFAULT 'same',
    justification text NOT NULL,
    requested_by bigint,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_by bigint,
    decided_at timestamptz,
    decision_note text,
    closed_by bigint,
    closed_at timestamptz,
    closing_note text,
    CONSTRAINT escalations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT escalations_template_fkey FOREIGN KEY (template_id, tenant_id) REFERENCES csm.escalation_templates (id, tenant_id),
    CONSTRAINT escalations_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT escalations_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT escalations_requested_by_fkey FOREIGN KEY (requested_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT escalations_decided_by_fkey FOREIGN KEY (decided_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT escalations_closed_by_fkey FOREIGN KEY (closed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT escalations_target_check CHECK (num_nonnulls(case_id, account_id) = 1),
    CONSTRAINT escalations_state_check CHECK (state IN ('requested', 'escalated', 'declined', 'closed')),
    CONSTRAINT escalations_decided_check CHECK ((state = 'requested') = (decided_at IS NULL) OR state = 'closed'),
    CONSTRAINT escalations_closed_check CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT escalations_source_check CHECK (source IN ('customer', 'internal')),
    CONSTRAINT escalations_reason_check CHECK (reason IN ('inactivity', 'lack_of_progress', 'customer_deadline')),
    CONSTRAINT escalations_severity_check CHECK (severity IN ('high', 'medium')),
    CONSTRAINT escalations_trend_check CHECK (trend IN ('improving', 'same', 'declining')),
    CONSTRAINT escalations_text_check CHECK (length(justification) BETWEEN 1 AND 4000 AND length(decision_note) <= 4000
        AND length(closing_note) <= 4000)
);
-- One open at a time.
CREATE UNIQUE INDEX escalations_open_case_idx ON csm.escalations (case_id) WHERE state IN ('requested', 'escalated');
CREATE UNIQUE INDEX escalations_open_account_idx ON csm.escalations (account_id) WHERE state IN ('requested', 'escalated');
CREATE INDEX escalations_case_idx ON csm.escalations (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX escalations_account_idx ON csm.escalations (account_id) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.escalations');

CREATE POLICY escalation_templates_select ON csm.escalation_templates FOR SELECT TO csm_agent, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY escalation_templates_write ON csm.escalation_templates FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY escalations_select ON csm.escalations FOR SELECT TO csm_agent
    USING ((account_id IS NOT NULL AND (csm.all_in(tenant_id, 'b2b', 'case_work') OR csm.account_allows(account_id, 'case_work')))
        OR EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = escalations.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY escalations_update ON csm.escalations FOR UPDATE TO csm_agent
    USING (state IN ('requested', 'escalated')
       AND ((account_id IS NOT NULL AND (csm.all_in(tenant_id, 'b2b', 'case_work') OR csm.account_allows(account_id, 'case_work')))
            OR EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = escalations.tenant_id
                       AND csm_private.case_allows(c, 'case_work'))));
GRANT SELECT ON csm.escalation_templates, csm.escalations TO csm_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON csm.escalation_templates TO csm_admin;
GRANT UPDATE (trend) ON csm.escalations TO csm_agent;

COMMENT ON TABLE csm.escalation_templates IS 'Kinds of escalation: how severe, why, and who decides';
COMMENT ON COLUMN csm.escalation_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalation_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalation_templates.template IS 'Key by which it is asked for';
COMMENT ON COLUMN csm.escalation_templates.label IS 'Name that people read, customers too where for_customers is set';
COMMENT ON COLUMN csm.escalation_templates.severity IS 'high or medium';
COMMENT ON COLUMN csm.escalation_templates.targets IS 'What can be escalated with it: case, account';
COMMENT ON COLUMN csm.escalation_templates.reasons IS 'Reasons for which it may be asked: inactivity, lack_of_progress, customer_deadline';
COMMENT ON COLUMN csm.escalation_templates.approval_group_id IS 'Group whose members decide; NULL, or a group without members: escalated at once';
COMMENT ON COLUMN csm.escalation_templates.for_customers IS 'Customers may ask for it, for cases';
COMMENT ON COLUMN csm.escalation_templates.active IS 'False: it can be asked for no more';
COMMENT ON TABLE csm.escalations IS 'Escalations of cases and accounts; staff only. At most one open (requested, escalated) per case and per account';
COMMENT ON COLUMN csm.escalations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalations.template_id IS 'The template';
COMMENT ON COLUMN csm.escalations.case_id IS 'Case that is escalated; exactly one of case and account is set';
COMMENT ON COLUMN csm.escalations.account_id IS 'Account that is escalated';
COMMENT ON COLUMN csm.escalations.state IS 'requested, then escalated or declined; escalated ends closed, requested too when the case ends first';
COMMENT ON COLUMN csm.escalations.source IS 'customer or internal: on whose side it was asked for first';
COMMENT ON COLUMN csm.escalations.reason IS 'inactivity, lack_of_progress or customer_deadline';
COMMENT ON COLUMN csm.escalations.severity IS 'high or medium, from the template';
COMMENT ON COLUMN csm.escalations.trend IS 'improving, same or declining, as staff judge it';
COMMENT ON COLUMN csm.escalations.justification IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.escalations.requested_by IS 'Who asked; NULL for the system';
COMMENT ON COLUMN csm.escalations.requested_at IS 'When';
COMMENT ON COLUMN csm.escalations.decided_by IS 'Who decided; NULL where the template needs no decision, or the system did';
COMMENT ON COLUMN csm.escalations.decided_at IS 'When; NULL while requested';
COMMENT ON COLUMN csm.escalations.decision_note IS 'What he said; NULL for nothing';
COMMENT ON COLUMN csm.escalations.closed_by IS 'Who took it back; NULL while it is open, for the system, and where the end of the case closed it';
COMMENT ON COLUMN csm.escalations.closed_at IS 'When it ended; NULL before';
COMMENT ON COLUMN csm.escalations.closing_note IS 'Why; NULL for nothing';
COMMENT ON POLICY escalation_templates_select ON csm.escalation_templates IS 'Staff and administrators read those of their tenant';
COMMENT ON POLICY escalation_templates_write ON csm.escalation_templates IS 'Administrators keep them';
COMMENT ON POLICY escalations_select ON csm.escalations IS 'Staff who work on the case or for the account; nobody else (R 3.4)';
COMMENT ON POLICY escalations_update ON csm.escalations IS 'The same, the trend of an open one';

-- ---- what the rest of csm asks ----

-- The arm of the policies for accounts.
CREATE FUNCTION csm_private.works_for_account(account_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT works_for_account.account_id IS NOT NULL
       AND (coalesce(csm.all_in(works_for_account.tenant_id, 'b2b', 'case_work'), false)
            OR coalesce(csm.account_allows(works_for_account.account_id, 'case_work'), false))
$$;
ALTER FUNCTION csm_private.works_for_account(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.works_for_account(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.works_for_account(bigint, bigint) IS
'Whether the signed-in person works on cases of the account; false for nobody and for NULL';

CREATE FUNCTION csm_private.kept_open(needs_attention boolean, escalated boolean, account_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_kept_open' LANGUAGE c STABLE;

-- The flag of the case follows the escalation. The case is locked; the flag is
-- csm's own to write.
CREATE FUNCTION csm_private.flag_escalated(tenant_id bigint, case_id bigint, escalated boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM csm_private.begin_system(case_id);
    UPDATE csm.cases c SET escalated = flag_escalated.escalated, follow_the_sun = c.follow_the_sun OR flag_escalated.escalated
    WHERE c.id = case_id AND c.tenant_id = flag_escalated.tenant_id;
    PERFORM csm_private.emit(tenant_id, case_id, CASE WHEN escalated THEN 'escalated' ELSE 'deescalated' END);
END $$;

-- What happens to the escalation of a case stands among its work notes.
CREATE FUNCTION csm_private.note_escalation(tenant_id bigint, case_id bigint, said text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM csm_private.begin_note(case_id, csm.current_user_id() IS NULL);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility) VALUES (tenant_id, case_id, said, 'internal');
END $$;

CREATE FUNCTION csm_private.escalation_needs_decision(t csm.escalation_templates) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.group_members m WHERE m.group_id = t.approval_group_id AND m.tenant_id = t.tenant_id)
$$;

-- ---- asking ----

CREATE FUNCTION csm_private.escalation_template(tenant_id bigint, template text, target text, reason text, justification text,
    customer boolean) RETURNS csm.escalation_templates
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t csm.escalation_templates;
BEGIN
    SELECT * INTO t FROM csm.escalation_templates x
    WHERE x.tenant_id = escalation_template.tenant_id AND x.template = escalation_template.template
      AND x.active AND target = ANY (x.targets) AND (x.for_customers OR NOT customer);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no escalation "%" of % %', template, CASE target WHEN 'case' THEN 'a' ELSE 'an' END, target
            USING ERRCODE = '22023', HINT = 'csm.escalation_options() lists those for cases, csm.escalation_templates all.';
    ELSIF reason IS NULL OR reason <> ALL (t.reasons) THEN
        RAISE EXCEPTION 'reason % does not fit escalation "%"', coalesce(quote_ident(reason), 'NULL'), template
            USING ERRCODE = '22023', HINT = format('Reasons are %s.', array_to_string(t.reasons, ', '));
    ELSIF justification IS NULL OR justification !~ '[^[:space:]]' OR length(justification) > 4000 THEN
        RAISE EXCEPTION 'the justification of an escalation is missing or too long' USING ERRCODE = 'SM003',
            DETAIL = 'Missing: justification.', HINT = 'Say why, in at most 4,000 characters.';
    END IF;
    RETURN t;
END $$;

CREATE FUNCTION csm.escalation_options(case_id bigint) RETURNS TABLE (template text, label text, reasons text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = escalation_options.case_id;
    IF c.state_class IN ('draft', 'closed', 'cancelled')
       OR NOT (csm_private.case_allows(c, 'case_work') OR csm_private.case_allows(c, 'case_decide')) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT t.template, t.label, t.reasons FROM csm.escalation_templates t
        WHERE t.tenant_id = c.tenant_id AND t.active AND 'case' = ANY (t.targets)
          AND (t.for_customers OR csm_private.case_allows(c, 'case_work'))
        ORDER BY t.template;
END $$;

CREATE FUNCTION csm.request_escalation(case_id bigint, template text, reason text, justification text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    internal boolean;
    at_once boolean;
    c csm.cases;
    t csm.escalation_templates;
    e csm.escalations;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = request_escalation.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    internal := is_system OR csm_private.case_allows(c, 'case_work');
    IF NOT (internal OR csm_private.case_allows(c, 'case_decide')) THEN
        RAISE EXCEPTION 'escalation of case % is not permitted', c.number USING ERRCODE = '42501',
            HINT = 'It takes case_decide on the customer''s side, or case_work.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = c.id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    ELSIF c.state_class = 'draft' THEN
        RAISE EXCEPTION 'case % is a draft and cannot be escalated', c.number USING ERRCODE = 'SM002',
            HINT = 'Submit it first.';
    END IF;
    t := csm_private.escalation_template(c.tenant_id, template, 'case', reason, justification, NOT internal);
    at_once := NOT csm_private.escalation_needs_decision(t);

    SELECT * INTO e FROM csm.escalations x WHERE x.case_id = c.id AND x.state IN ('requested', 'escalated');
    IF FOUND AND internal THEN
        RAISE EXCEPTION 'case % has an open escalation', c.number USING ERRCODE = '23505',
            DETAIL = format('Escalation %s is %s.', e.id, e.state), HINT = 'Write a work note, or set its trend.';
    END IF;
    -- Read by staff: why the case is escalated, or once more should be.
    PERFORM csm_private.note_escalation(c.tenant_id, c.id, format('Escalation "%s" requested (%s): %s', t.label, reason, justification));
    IF e.id IS NULL THEN
        -- The lock of the case keeps others out; under REPEATABLE READ, where it
        -- does not, this ends in a serialization failure.
        INSERT INTO csm.escalations AS x (tenant_id, template_id, case_id, state, source, reason, severity, justification,
                                          requested_by, decided_at)
        VALUES (c.tenant_id, t.id, c.id, CASE WHEN at_once THEN 'escalated' ELSE 'requested' END,
                CASE WHEN internal THEN 'internal' ELSE 'customer' END, reason, t.severity, justification,
                csm.current_user_id(), CASE WHEN at_once THEN clock_timestamp() END)
        ON CONFLICT DO NOTHING
        RETURNING * INTO e;
        PERFORM csm_private.emit(c.tenant_id, c.id, 'escalation_requested',
            jsonb_build_object('escalation_id', e.id, 'reason', reason, 'severity', e.severity), 'internal');
    ELSIF at_once AND e.state = 'requested' THEN
        -- What he asks for needs no decision, so one that is pending cannot hold it up.
        UPDATE csm.escalations x SET state = 'escalated', decided_at = clock_timestamp(),
            decision_note = 'Requested by the customer.'
        WHERE x.id = e.id AND x.tenant_id = e.tenant_id
        RETURNING * INTO e;
    END IF;
    IF e.state = 'escalated' AND NOT c.escalated THEN
        PERFORM csm_private.flag_escalated(c.tenant_id, c.id, true);
    END IF;
    RETURN e.state;
END $$;

CREATE FUNCTION csm.request_account_escalation(account_id bigint, template text, reason text, justification text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    at_once boolean;
    a csm.accounts;
    t csm.escalation_templates;
    e csm.escalations;
BEGIN
    SELECT * INTO a FROM csm.accounts x WHERE x.id = request_account_escalation.account_id;
    IF a.id IS NULL OR NOT (is_system OR csm_private.works_for_account(a.id, a.tenant_id)) THEN
        RAISE EXCEPTION 'escalation of account % is not permitted', account_id USING ERRCODE = '42501',
            HINT = 'The account does not exist, or you do not work on its cases.';
    END IF;
    t := csm_private.escalation_template(a.tenant_id, template, 'account', reason, justification, false);
    at_once := NOT csm_private.escalation_needs_decision(t);
    INSERT INTO csm.escalations AS x (tenant_id, template_id, account_id, state, source, reason, severity, justification,
                                      requested_by, decided_at)
    VALUES (a.tenant_id, t.id, a.id, CASE WHEN at_once THEN 'escalated' ELSE 'requested' END, 'internal', reason, t.severity,
            justification, csm.current_user_id(), CASE WHEN at_once THEN clock_timestamp() END)
    ON CONFLICT DO NOTHING
    RETURNING * INTO e;
    IF e.id IS NULL THEN
        RAISE EXCEPTION 'account % has an open escalation', a.id USING ERRCODE = '23505',
            HINT = 'See csm.escalations; set its trend.';
    END IF;
    RETURN e.state;
END $$;

-- ---- deciding and ending ----

-- The escalation and, before it, its case are locked.
CREATE FUNCTION csm_private.take_escalation(escalation_id bigint) RETURNS csm.escalations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e csm.escalations;
    c csm.cases;
BEGIN
    SELECT * INTO e FROM csm.escalations x WHERE x.id = escalation_id;
    SELECT * INTO c FROM csm.cases x WHERE x.id = e.case_id AND x.tenant_id = e.tenant_id FOR NO KEY UPDATE;
    IF e.id IS NULL
       OR NOT (csm_private.acts_as_system() OR csm_private.works_for_account(e.account_id, e.tenant_id)
               OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'escalation % does not exist', coalesce(escalation_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    END IF;
    SELECT * INTO e FROM csm.escalations x WHERE x.id = escalation_id FOR NO KEY UPDATE;
    RETURN e;
END $$;

CREATE FUNCTION csm.decide_escalation(id bigint, approve boolean, note text DEFAULT NULL) RETURNS csm.escalations
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e csm.escalations := csm_private.take_escalation(decide_escalation.id);
BEGIN
    IF NOT (csm_private.acts_as_system()
            OR EXISTS (SELECT FROM csm.escalation_templates t
                       JOIN csm.group_members m ON m.group_id = t.approval_group_id AND m.tenant_id = t.tenant_id
                       WHERE t.id = e.template_id AND t.tenant_id = e.tenant_id AND m.user_id = csm.current_user_id())) THEN
        RAISE EXCEPTION 'decision on escalation % is not permitted', e.id USING ERRCODE = '42501',
            HINT = 'The members of its template''s approval group decide.';
    ELSIF approve IS NULL THEN
        RAISE EXCEPTION 'approve of csm.decide_escalation() is null' USING ERRCODE = '22004', HINT = 'Say true or false.';
    ELSIF e.state <> 'requested' THEN
        RAISE EXCEPTION 'escalation % is not open to decision', e.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', e.state), HINT = 'Only what is requested can be decided.';
    END IF;
    UPDATE csm.escalations x SET state = CASE WHEN approve THEN 'escalated' ELSE 'declined' END,
        decided_by = csm.current_user_id(), decided_at = clock_timestamp(), decision_note = note
    WHERE x.id = e.id AND x.tenant_id = e.tenant_id
    RETURNING * INTO e;
    IF e.case_id IS NOT NULL THEN
        PERFORM csm_private.note_escalation(e.tenant_id, e.case_id,
            CASE WHEN approve THEN 'Escalation approved' ELSE 'Escalation declined' END || coalesce(': ' || note, '.'));
        IF approve THEN
            PERFORM csm_private.flag_escalated(e.tenant_id, e.case_id, true);
        ELSE
            PERFORM csm_private.emit(e.tenant_id, e.case_id, 'escalation_declined',
                jsonb_build_object('escalation_id', e.id), 'internal');
        END IF;
    END IF;
    RETURN e;
END $$;

CREATE FUNCTION csm.deescalate(id bigint, note text DEFAULT NULL) RETURNS csm.escalations
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e csm.escalations := csm_private.take_escalation(deescalate.id);
BEGIN
    IF e.state <> 'escalated' THEN
        RAISE EXCEPTION 'escalation % cannot be taken back', e.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', e.state), HINT = 'Only what is escalated can be; what is requested is decided.';
    END IF;
    UPDATE csm.escalations x SET state = 'closed', closed_by = csm.current_user_id(), closed_at = clock_timestamp(),
        closing_note = note
    WHERE x.id = e.id AND x.tenant_id = e.tenant_id
    RETURNING * INTO e;
    IF e.case_id IS NOT NULL THEN
        PERFORM csm_private.note_escalation(e.tenant_id, e.case_id, 'Escalation ended' || coalesce(': ' || note, '.'));
        PERFORM csm_private.flag_escalated(e.tenant_id, e.case_id, false);
    END IF;
    RETURN e;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.kept_open(boolean, boolean, bigint)', NULL, 'Whether time leaves a case with such columns alone: it needs attention, or it or its account (NULL: it has none) is escalated (R 2.4)'),
        ('csm_private.flag_escalated(bigint, bigint, boolean)', NULL, 'Writes cases.escalated of a locked case, and the event'),
        ('csm_private.note_escalation(bigint, bigint, text)', NULL, 'A work note in the name of whoever escalates'),
        ('csm_private.escalation_needs_decision(csm.escalation_templates)', NULL, 'Whether anybody is there to decide'),
        ('csm_private.escalation_template(bigint, text, text, text, text, boolean)', NULL, 'The template asked for; error 22023 for an unknown one, or a reason that does not fit, SM003 without justification'),
        ('csm_private.take_escalation(bigint)', NULL, 'Locks an escalation that the caller may see; error 42501 for one that is missing or hidden'),
        ('csm.escalation_options(bigint)', 'csm_portal, csm_agent', 'Escalations for which the caller may ask on the case: key, name, reasons; no row where he may not, or the case is hidden, a draft or closed'),
        ('csm.request_escalation(bigint, text, text, text)', 'csm_portal, csm_agent', 'Asks to escalate a case: whoever has case_decide or case_work on it. Returns requested or escalated (at once, where nobody has to decide). A customer who asks again is noted for staff. Errors: SM001 no such case, 42501 not permitted, SM004 closed, SM002 draft, 22023 unknown template or reason, SM003 no justification, 23505 open escalation (to staff only)'),
        ('csm.request_account_escalation(bigint, text, text, text)', 'csm_agent', 'Asks to escalate an account: staff who work on its cases. Returns requested or escalated. Errors: 42501 not permitted or no such account, 22023 unknown template or reason, SM003 no justification, 23505 open escalation'),
        ('csm.decide_escalation(bigint, boolean, text)', 'csm_agent', 'Approves or declines a requested escalation: staff who see it and are members of the template''s group. Errors: 42501 not permitted or no such escalation, SM002 not requested, 22004 approve null'),
        ('csm.deescalate(bigint, text)', 'csm_agent', 'Ends an escalation: staff who work on the case or for the account. Errors: 42501 no such escalation, SM002 not escalated')
    ) AS v(name, granted, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
        IF f.granted IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.name, f.granted);
        END IF;
    END LOOP;
END $$;
