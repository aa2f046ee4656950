-- Disputes: two companies and the operator between them.
--
-- The machine says who does what when (case type dispute in 40_shipped.sql);
-- what a machine cannot say, src/csm_dispute.c demands of whoever writes.  Here
-- stand the proposals, the choice of the other side, and what time does.

CREATE TABLE csm.dispute_proposals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    round integer NOT NULL,
    side text NOT NULL,
    proposed_by bigint,
    proposed_name text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reference text,
    amount numeric,
    currency text,
    resolution_code text,
    notes text,
    outcome text,
    decided_by bigint,
    decided_name text,
    decided_at timestamptz,
    reason text,
    CONSTRAINT dispute_proposals_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT dispute_proposals_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT dispute_proposals_proposed_by_fkey FOREIGN KEY (proposed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT dispute_proposals_decided_by_fkey FOREIGN KEY (decided_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT dispute_proposals_round_key UNIQUE (case_id, round),
    CONSTRAINT dispute_proposals_round_check CHECK (round > 0),
    CONSTRAINT dispute_proposals_side_check CHECK (side IN ('counterparty', 'operator')),
    CONSTRAINT dispute_proposals_reference_check CHECK (CASE WHEN reference IS NULL THEN side = 'operator' AND amount IS NULL
        ELSE length(reference) <= 200 AND reference ~ '[^[:space:]]' END),
    CONSTRAINT dispute_proposals_amount_check CHECK (num_nulls(amount, currency) <> 1 AND amount >= 0 AND amount < 'Infinity'
        AND currency ~ '^[A-Z]{3}$'),
    CONSTRAINT dispute_proposals_text_check CHECK (length(notes) <= 100000 AND length(resolution_code) <= 100
        AND length(reason) <= 100000),
    CONSTRAINT dispute_proposals_outcome_check CHECK (outcome IN ('accepted', 'rejected', 'withdrawn', 'lapsed', 'confirmed')
        AND (outcome = 'confirmed') <= (side = 'operator') AND (outcome = 'accepted') <= (side = 'counterparty')),
    CONSTRAINT dispute_proposals_decided_check CHECK ((outcome IS NULL) = (decided_at IS NULL)
        AND (outcome IS NULL) = (decided_name IS NULL)
        AND (outcome IS NOT NULL OR num_nonnulls(decided_by, reason) = 0)),
    CONSTRAINT dispute_proposals_second_person_check CHECK (outcome <> 'confirmed' OR decided_by <> proposed_by)
);
CREATE UNIQUE INDEX dispute_proposals_pending_idx ON csm.dispute_proposals (case_id) WHERE outcome IS NULL;
SELECT csm_private.adopt_table('csm.dispute_proposals');

CREATE POLICY dispute_proposals_select ON csm.dispute_proposals FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = dispute_proposals.tenant_id));
GRANT SELECT ON csm.dispute_proposals TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.dispute_proposals IS 'Proposals of a dispute, round by round, and rulings of the operator. Written by the actions of the machine alone; a row never changes but for its outcome, once';
COMMENT ON COLUMN csm.dispute_proposals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.dispute_proposals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.dispute_proposals.case_id IS 'The dispute';
COMMENT ON COLUMN csm.dispute_proposals.round IS 'Counts the proposals and rulings of the dispute from 1';
COMMENT ON COLUMN csm.dispute_proposals.side IS 'counterparty: a proposal of the respondent; operator: a ruling';
COMMENT ON COLUMN csm.dispute_proposals.proposed_by IS 'Who made it; NULL for the system';
COMMENT ON COLUMN csm.dispute_proposals.proposed_name IS 'His name when he made it (V11)';
COMMENT ON COLUMN csm.dispute_proposals.proposed_at IS 'When it was made';
COMMENT ON COLUMN csm.dispute_proposals.reference IS 'What it stands on: number of a credit note, payment, shipment; NULL only for a ruling that moves no money';
COMMENT ON COLUMN csm.dispute_proposals.amount IS 'Amount offered, in currency; NULL for none';
COMMENT ON COLUMN csm.dispute_proposals.currency IS 'Three letters (ISO 4217); NULL without an amount';
COMMENT ON COLUMN csm.dispute_proposals.resolution_code IS 'Resolution code of the case as proposed';
COMMENT ON COLUMN csm.dispute_proposals.notes IS 'Resolution notes of the case as proposed; the text of a ruling';
COMMENT ON COLUMN csm.dispute_proposals.outcome IS 'accepted or rejected by the claimant, withdrawn by the respondent, lapsed (escalated, or the claim withdrawn), confirmed (a ruling); NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_by IS 'Who decided; NULL while pending and for the system';
COMMENT ON COLUMN csm.dispute_proposals.decided_name IS 'His name when he decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_at IS 'When it was decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.reason IS 'Note given with the decision; NULL for none';
COMMENT ON POLICY dispute_proposals_select ON csm.dispute_proposals IS 'All who see the case: both sides and the operator';

CREATE FUNCTION csm_private.proposal_guard() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    decision CONSTANT text[] := '{outcome,decided_by,decided_name,decided_at,reason}'::text[];
BEGIN
    IF csm_private.restoring() OR TG_OP = 'INSERT' AND csm_private.importing() THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    ELSIF TG_OP IN ('INSERT', 'UPDATE') AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'proposals are written by the actions of the dispute' USING ERRCODE = '42501',
            HINT = 'csm.act(case_id, ''propose'', NULL, ''{"reference": ...}'') makes one.';
    ELSIF TG_OP IN ('DELETE', 'TRUNCATE') OR TG_OP = 'UPDATE'
          AND (OLD.outcome IS NOT NULL OR to_jsonb(OLD) - decision <> to_jsonb(NEW) - decision) THEN
        RAISE EXCEPTION 'proposals are neither changed nor deleted' USING ERRCODE = '42501',
            HINT = 'The next proposal is a round of its own.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.proposal_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.proposal_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.proposal_guard() IS
'Trigger of csm.dispute_proposals: written by the trigger of csm.cases only, or while importing; nothing changes but the outcome, once (42501)';
CREATE TRIGGER dispute_proposals_10_guard BEFORE INSERT OR UPDATE OR DELETE ON csm.dispute_proposals
    FOR EACH ROW EXECUTE FUNCTION csm_private.proposal_guard();
CREATE TRIGGER dispute_proposals_10_guard_truncate BEFORE TRUNCATE ON csm.dispute_proposals
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.proposal_guard();

CREATE FUNCTION csm_private.proposals_follow() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_proposals_follow' LANGUAGE c;
ALTER FUNCTION csm_private.proposals_follow() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.proposals_follow() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.proposals_follow() IS
'AFTER trigger of csm.cases: makes or decides a proposal where the transition taken has the effect "proposal", and its event; SM002 when there is none to decide';
CREATE TRIGGER cases_35_proposals AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.proposals_follow();

-- ---- the other side ----

CREATE FUNCTION csm_private.may_dispute(account_id bigint, counterparty_account_id bigint, tenant_id bigint, case_type text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF csm_private.type_setting(tenant_id, case_type, 'counterparties') = '"any"' THEN
        RETURN EXISTS (SELECT FROM csm.accounts a
                       WHERE a.id = counterparty_account_id AND a.tenant_id = tenant_id AND a.active);
    END IF;
    RETURN EXISTS (SELECT FROM csm.account_relationships r
                   WHERE r.tenant_id = tenant_id AND r.type = 'trades_with'
                     AND (r.partner_account_id, r.customer_account_id) IN
                         ((account_id, counterparty_account_id), (counterparty_account_id, account_id))
                     AND (r.valid_during IS NULL OR r.valid_during @> statement_timestamp()));
END $$;
ALTER FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) IS
'Whether whoever asks for service may name that other side: a current relationship trades_with between the two accounts, or, with the type setting counterparties = "any", any active account';

CREATE FUNCTION csm.dispute_counterparties()
RETURNS TABLE (account_id bigint, name text, for_account_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF me IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH mine AS MATERIALIZED (
            SELECT k.account_id FROM csm.contacts k
            WHERE k.user_id = me AND k.tenant_id = tenant AND k.login_enabled
              AND (k.valid_during IS NULL OR k.valid_during @> at_time)
              AND csm.opener_allows(me, 'b2b', k.account_id, 'case_create')
          UNION
            SELECT a FROM unnest(csm.accounts_allowing('case_create')) a
        ), trades AS (
            SELECT r.customer_account_id AS other, m.account_id AS own
            FROM mine m JOIN csm.account_relationships r ON r.partner_account_id = m.account_id
            WHERE r.tenant_id = tenant AND r.type = 'trades_with' AND (r.valid_during IS NULL OR r.valid_during @> at_time)
          UNION
            SELECT r.partner_account_id, m.account_id
            FROM mine m JOIN csm.account_relationships r ON r.customer_account_id = m.account_id
            WHERE r.tenant_id = tenant AND r.type = 'trades_with' AND (r.valid_during IS NULL OR r.valid_during @> at_time)
        )
        SELECT a.id, a.name, t.own
        FROM trades t JOIN csm.accounts a ON a.id = t.other AND a.tenant_id = tenant
        ORDER BY a.name, a.id, t.own;
END $$;
ALTER FUNCTION csm.dispute_counterparties() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.dispute_counterparties() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.dispute_counterparties() TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm.dispute_counterparties() IS
'With whom the caller may open a dispute: the other account and its name, for each of the accounts for which he may open cases (for_account_id). Current relationships of type trades_with, in either direction; no row for nobody';

-- ---- what time does ----

-- The clocks are set by csm_private.case_follows().

CREATE FUNCTION csm_private.due_dispute_response(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    allowed interval;
    last_word timestamptz;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = object_id AND e.tenant_id = tenant_id;
    allowed := csm_private.type_period(tenant_id, c.case_type, 'response_hours') / 24;
    IF NOT 'escalate' = ANY (csm_private.actions_for(c.tenant_id, c.case_type, c.state, 'system')) OR allowed IS NULL THEN
        RETURN;
    END IF;
    -- He who writes is not silent.
    SELECT max(e.created_at) INTO last_word FROM csm.case_entries e
    WHERE e.case_id = object_id AND e.side = 'counterparty' AND e.visibility = 'shared';
    IF last_word + allowed > at THEN
        PERFORM csm_private.set_timer(tenant_id, 'dispute_response', object_id, object_id, last_word + allowed);
    ELSE
        PERFORM csm_private.act_as_system(object_id, 'escalate', 'The respondent did not answer in time');
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_dispute_response(bigint, bigint, timestamptz) IS
'Timer dispute_response: escalates a dispute on which the respondent said nothing for response_hours';

CREATE FUNCTION csm_private.due_dispute_auto_accept(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = object_id AND e.tenant_id = tenant_id;
    IF NOT 'accept' = ANY (csm_private.actions_for(c.tenant_id, c.case_type, c.state, 'system')) THEN
        RETURN;
    ELSIF NOT c.auto_close OR csm_private.kept_open(c.needs_attention, c.escalated, c.account_id) THEN
        -- What stands in the way may be gone tomorrow.
        PERFORM csm_private.set_timer(tenant_id, 'dispute_auto_accept', object_id, object_id, at + interval '24 hours');
    ELSE
        PERFORM csm_private.act_as_system(object_id, 'accept', 'Accepted automatically: the proposal was not answered in time');
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_dispute_auto_accept(bigint, bigint, timestamptz) IS
'Timer dispute_auto_accept: accepts a proposal that nobody answered, unless auto_close is off or something keeps the case open (attention, an escalation); then it looks again a day later';

CREATE FUNCTION csm_private.due_dispute_appeal(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = object_id AND e.tenant_id = tenant_id;
    IF 'confirm' = ANY (csm_private.actions_for(c.tenant_id, c.case_type, c.state, 'system')) THEN
        PERFORM csm_private.act_as_system(object_id, 'confirm', 'The appeal window has ended');
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_dispute_appeal(bigint, bigint, timestamptz) IS
'Timer dispute_appeal: a ruling becomes final when its appeal window has ended';

-- After a rejection: enough rounds bring the operator in.
CREATE FUNCTION csm_private.limit_rounds(c csm.cases) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := (csm_private.type_setting(c.tenant_id, c.case_type, 'max_rounds') #>> '{}')::integer;
BEGIN
    IF (SELECT count(*) FROM csm.dispute_proposals p WHERE p.case_id = c.id AND p.outcome = 'rejected') >= most
       AND 'escalate' = ANY (csm_private.actions_for(c.tenant_id, c.case_type, c.state, 'system')) THEN
        RETURN csm_private.act_as_system(c.id, 'escalate', format('%s proposals were rejected', most));
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.limit_rounds(csm.cases) IS
'Escalates a dispute in which max_rounds proposals were rejected; returns the case as it is then';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.due_dispute_response(bigint, bigint, timestamptz)',
        'csm_private.due_dispute_auto_accept(bigint, bigint, timestamptz)',
        'csm_private.due_dispute_appeal(bigint, bigint, timestamptz)',
        'csm_private.limit_rounds(csm.cases)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
