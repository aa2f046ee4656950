-- Who sees and works on a case: the one place where it is said.
--
-- The rule is an OR of arms over the columns of csm.cases, without a
-- sub-select, so that the planner can answer each arm from the index on its
-- key.  It stands several times in the catalogue, for one action each, because a
-- policy stores a parsed expression; it is written once, here.

CREATE FUNCTION csm_private.case_arms(action text, arms text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own CONSTANT text := '
        csm.account_allows(account_id, opened_at, {a})
     OR csm.requester_allows(requester_id, branch, account_id, {a})
     OR csm.opener_allows(opened_by, branch, account_id, {a})';
    -- Partners, households, organisations, counterparties: seldom set, so they
    -- share one key column and one index.
    parties CONSTANT text := '
        (party_keys IS NOT NULL
         AND csm.party_allows(party_keys, branch, account_id, opened_at, submitted_at, {a}))';
    shared CONSTANT text := ' csm.shared_case_allows(id, {a})';
    everywhere CONSTANT text := ' csm.all_in(tenant_id, branch, {a})';
    rule text;
BEGIN
    rule := CASE arms
        WHEN 'portal' THEN own || ' OR ' || shared || ' OR ' || parties
        WHEN 'everyone' THEN everywhere || ' OR ' || own || ' OR ' || shared || ' OR ' || parties
        WHEN 'operator' THEN everywhere || ' OR ' || own || ' OR ' || parties
    END;
    RETURN replace(rule, '{a}', quote_literal(action));
END $$;
ALTER FUNCTION csm_private.case_arms(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_arms(text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_arms(text, text) IS
'Install scripts only: text of the visibility rule for an action; arms portal, everyone (staff connections) or operator';

DO $$
DECLARE
    asks CONSTANT text := csm_private.case_arms('case_read', 'portal');
    reads CONSTANT text := csm_private.case_arms('case_read', 'everyone');
    works CONSTANT text := csm_private.case_arms('case_work', 'operator');
    creates CONSTANT text := csm_private.case_arms('case_create', 'operator');
BEGIN
    -- Under csm_portal staff reach never counts: an arm less to plan.
    EXECUTE format('CREATE POLICY cases_select ON csm.cases FOR SELECT TO csm_portal USING (%s)', asks);
    EXECUTE format('CREATE POLICY cases_select_staff ON csm.cases FOR SELECT '
                   'TO csm_agent, csm_reporter, csm_admin USING (%s)', reads);
    EXECUTE format('CREATE POLICY cases_update ON csm.cases FOR UPDATE TO csm_agent USING (%s)', works);
    EXECUTE format('CREATE POLICY cases_insert_agent ON csm.cases FOR INSERT TO csm_agent WITH CHECK (%s)', creates);
    CREATE POLICY cases_insert ON csm.cases FOR INSERT TO csm_portal
        WITH CHECK (csm_private.may_open_plainly(cases) OR csm_private.may_open(cases));
    CREATE POLICY cases_insert_own ON csm.cases FOR INSERT TO csm_agent
        WITH CHECK (csm_private.may_open_plainly(cases) OR csm_private.may_open(cases));
END $$;

-- The same rule for a row in hand: functions that write as csm_owner ask it,
-- and children that not everybody may read.  In C (src/csm_actor.c), because a
-- body that is inlined would be planned with every query on a child.
CREATE FUNCTION csm_private.case_allows(c csm.cases, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_allows' LANGUAGE c STABLE PARALLEL SAFE COST 10;
CREATE FUNCTION csm_private.case_side_allows(c csm.cases, side text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_side_allows' LANGUAGE c STABLE PARALLEL SAFE COST 10;
ALTER FUNCTION csm_private.case_allows(csm.cases, text) OWNER TO csm_owner;
ALTER FUNCTION csm_private.case_side_allows(csm.cases, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_allows(csm.cases, text), csm_private.case_side_allows(csm.cases, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.case_allows(csm.cases, text), csm_private.case_side_allows(csm.cases, text)
    TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.case_allows(csm.cases, text) IS
'The rule of the policies of csm.cases for one row and any action; false for nobody, a null row and an unknown action';
COMMENT ON FUNCTION csm_private.case_side_allows(csm.cases, text) IS
'Whether the signed-in person reads what belongs to one side (customer, counterparty) of the case, or works on the case';

-- The same for a child that names its case: src/csm_case_fetch.c reads the row.
-- Planned as a sub-select, the arms above would cost every query on entries
-- more than reading them.
CREATE FUNCTION csm_private.case_allows(case_id bigint, tenant_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_allows_by_id' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100;
CREATE FUNCTION csm_private.entry_allows(case_id bigint, tenant_id bigint, branch text, visibility text, side text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100
SUPPORT csm_private.access_support;
ALTER FUNCTION csm_private.case_allows(bigint, bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm_private.entry_allows(bigint, bigint, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_allows(bigint, bigint, text), csm_private.entry_allows(bigint, bigint, text, text, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.case_allows(bigint, bigint, text), csm_private.entry_allows(bigint, bigint, text, text, text)
    TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.case_allows(bigint, bigint, text) IS
'Whether the case is visible to the signed-in person and allows him the action; false for a missing case, nobody and an unknown action';
COMMENT ON FUNCTION csm_private.entry_allows(bigint, bigint, text, text, text) IS
'Whether an entry of the case is visible to the signed-in person: shared with the case, internal to staff who work on it, private to its side and staff who work on it';

CREATE POLICY case_entries_select ON csm.case_entries FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.entry_allows(case_id, tenant_id, branch, visibility, side));
CREATE POLICY case_entries_insert ON csm.case_entries FOR INSERT TO csm_portal, csm_agent
    WITH CHECK (author_id = csm.current_user_id()
        AND csm_private.case_allows(case_id, tenant_id, CASE visibility WHEN 'internal' THEN 'case_work' ELSE 'case_comment' END));

-- Other children follow their case by an EXISTS, which runs under the policies
-- of csm.cases.
-- With whom the customer shared it is not the affair of the other company.
CREATE POLICY case_parties_select ON csm.case_parties FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_parties.tenant_id
                   AND (csm_private.case_side_allows(c, 'customer') OR NOT csm_private.case_side_allows(c, 'counterparty'))));
CREATE POLICY case_parties_write ON csm.case_parties FOR ALL TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_parties.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY case_internal_all ON csm.case_internal FOR ALL TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_internal.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY case_side_fields_select ON csm.case_side_fields FOR SELECT TO csm_portal, csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_side_fields.tenant_id
                   AND csm_private.case_side_allows(c, case_side_fields.side)));

GRANT SELECT ON csm.cases, csm.case_entries, csm.case_parties TO csm_portal, csm_agent, csm_admin;
GRANT SELECT ON csm.case_side_fields TO csm_portal, csm_agent;
GRANT SELECT, INSERT, UPDATE ON csm.case_internal TO csm_agent;
GRANT SELECT (id, tenant_id, number, branch, case_type, state, state_class, priority, impact, urgency, language, channel,
              account_id, counterparty_account_id, partner_account_id, service_organization_id, product_id, asset_id,
              entitlement_id, assigned_group_id, assigned_to, parent_id, resolution_code, needs_attention, opened_at,
              submitted_at, resolved_at, closed_at, updated_at, first_response_at, reopen_count, reassignment_count,
              last_response_at, made_sla)
    ON csm.cases TO csm_reporter;
GRANT INSERT (case_type, subject, description, priority, channel, requester_id, account_id, counterparty_account_id,
              partner_account_id, partner_contact_id, product_id, asset_id, attributes) ON csm.cases TO csm_portal, csm_agent;
GRANT INSERT (household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language,
              assigned_group_id, assigned_to, parent_id),
      UPDATE (case_type, subject, description, priority, impact, urgency, language, channel, state, counterparty_contact_id,
              partner_account_id, partner_contact_id, internal_contact_id, service_organization_id, household_id, product_id,
              asset_id, entitlement_id, assigned_group_id, assigned_to, parent_id, resolution_code, resolution_notes,
              needs_attention, attributes, auto_close, follow_up_at) ON csm.cases TO csm_agent;
GRANT INSERT (case_id, body, visibility, idempotency_key) ON csm.case_entries TO csm_portal, csm_agent;
GRANT INSERT (case_id, user_id, account_id, capabilities, valid_during), UPDATE (capabilities, valid_during)
    ON csm.case_parties TO csm_agent;

COMMENT ON POLICY cases_select ON csm.cases IS 'V1 to V8: whoever asks for service and has case_read through any arm';
COMMENT ON POLICY cases_select_staff ON csm.cases IS 'V1 to V9: staff connections, by any arm and by reach all';
COMMENT ON POLICY cases_update ON csm.cases IS 'Staff with case_work; the machine judges the rest';
COMMENT ON POLICY cases_insert ON csm.cases IS 'Who may open a case for himself or another, with references he may make';
COMMENT ON POLICY cases_insert_own ON csm.cases IS 'Staff open their own cases as everybody does';
COMMENT ON POLICY cases_insert_agent ON csm.cases IS 'Staff with case_create open cases for customers in their reach';
COMMENT ON POLICY case_entries_select ON csm.case_entries IS 'Shared: all who see the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON POLICY case_entries_insert ON csm.case_entries IS 'Whoever may comment, in his own name; work notes by staff who work on the case';
COMMENT ON POLICY case_parties_select ON csm.case_parties IS 'All who see the case but its counterparty';
COMMENT ON POLICY case_parties_write ON csm.case_parties IS 'Staff who work on the case';
COMMENT ON POLICY case_internal_all ON csm.case_internal IS 'Staff who work on the case';
COMMENT ON POLICY case_side_fields_select ON csm.case_side_fields IS 'One side, and staff who work on the case';
