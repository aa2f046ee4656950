-- The access predicates: C functions that answer from the person's access map
-- (src/csm_map_answer.c) whether a value in a row admits an action.
--
-- Each predicate has one key column (its first argument) and a companion that
-- returns every key for which it can be true.  csm_access_support turns the
-- predicate into the index condition key = ANY (companion), lossy, so that the
-- predicate itself is evaluated again on every row.
--
-- STRICT where no argument may be missing: it lets a partial index on
-- key IS NOT NULL answer the arm.  requester_allows and opener_allows are not,
-- because their account is NULL for consumers and employees.
--
-- LEAKPROOF: a predicate reads its arguments and the map, returns a boolean
-- and raises nothing that depends on an argument (an unknown action is false,
-- not an error); loading the map depends on the session alone.  The argument is
-- in full at the top of src/csm_access.c.

CREATE FUNCTION csm_private.access_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_access_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.access_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.access_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.access_support(internal) IS
'Planner support of the access predicates: index condition, selectivity, cost';

CREATE FUNCTION csm.all_tenant(action text) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_all_tenant' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.all_tenant(text) IS
'The tenant in which the person has reach "all" for the action in at least one branch; NULL when in none';

CREATE FUNCTION csm.accounts_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_accounts_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.accounts_allowing(text) IS
'Sorted ids: accounts on which the action is allowed, or on a part of whose cases; empty for nobody and for an unknown action';

CREATE FUNCTION csm.accounts_known() RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_accounts_known' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.accounts_known() IS
'Sorted ids: accounts on which the person has any right at all; empty for nobody';

CREATE FUNCTION csm.requesters_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_requesters_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.requesters_allowing(text) IS
'Sorted ids: the person and those he speaks for (household members, represented persons, persons on whose team he is); empty for nobody and for an unknown action';

CREATE FUNCTION csm.openers_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_openers_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.openers_allowing(text) IS
'Sorted ids: the person himself when opening a case can give him the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm.internal_contacts_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_internal_contacts_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.internal_contacts_allowing(text) IS
'Sorted ids: the person himself when being the internal contact of a case gives him the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm.partner_accounts_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_partner_accounts_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.partner_accounts_allowing(text) IS
'Sorted ids: partner accounts through which cases that name the partner account admit the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm.partner_contacts_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_partner_contacts_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.partner_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids through which cases that name him as partner contact admit the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm.households_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_households_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.households_allowing(text) IS
'Sorted ids: households that the person heads, or on whose team he is; empty for nobody and for an unknown action';

CREATE FUNCTION csm.organizations_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_organizations_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.organizations_allowing(text) IS
'Sorted ids: service organisations in the person''s reach; empty for nobody and for an unknown action';

CREATE FUNCTION csm.shared_cases_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_shared_cases_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.shared_cases_allowing(text) IS
'Sorted ids: cases shared with the person or one of his accounts; empty for nobody and for an unknown action';

CREATE FUNCTION csm.counterparties_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_counterparties_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.counterparties_allowing(text) IS
'Sorted ids: accounts for which the person may act as the counterparty of a dispute; empty for nobody and for an unknown action';

CREATE FUNCTION csm.counterparty_contacts_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_counterparty_contacts_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.counterparty_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids, when being named as the counterparty''s contact gives him the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm.parties_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_parties_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.parties_allowing(text) IS
'Sorted keys of csm.cases.party_keys through which the person may have the action; empty for nobody and for an unknown action';

CREATE FUNCTION csm_private.party_keys(partner_account_id bigint, partner_contact_id bigint, household_id bigint,
    internal_contact_id bigint, service_organization_id bigint, counterparty_account_id bigint,
    counterparty_contact_id bigint) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_party_keys' LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint)
    TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) IS
'The rarer parties of a case as one array (id * 8 + kind), NULL when there are none: one index and one arm of the policy serve them all';

CREATE FUNCTION csm.party_allows(party_keys bigint[], branch text, account_id bigint, opened_at timestamptz,
    submitted_at timestamptz, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_party_allows' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 2
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.party_allows(bigint[], text, bigint, timestamptz, timestamptz, text) IS
'True where any party in csm.cases.party_keys admits the action, each by its own rule: partner_allows, partner_contact_allows, household_allows, internal_contact_allows, organization_allows, and, once the case is submitted, counterparty_allows and counterparty_contact_allows';

CREATE FUNCTION csm.all_in(tenant_id bigint, branch text, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_all_in' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.all_in(bigint, text, text) IS
'True where the person has reach "all" for the action in the branch (b2b, b2c, internal) of that tenant';

CREATE FUNCTION csm.account_allows(account_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_account_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.account_allows(bigint, text) IS
'True where the person may do the action on every case and record of the account; an account of which he may see cases only from a date on is left out';

CREATE FUNCTION csm.account_allows(account_id bigint, opened_at timestamptz, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_account_allows_since' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.account_allows(bigint, timestamptz, text) IS
'As account_allows(bigint, text), and for an account of a partner relationship with history_from, from that instant on';

CREATE FUNCTION csm.account_known(account_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_account_known' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.account_known(bigint) IS
'True where the person has any right on the account';

CREATE FUNCTION csm.requester_allows(requester_id bigint, branch text, account_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_requester_allows' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.requester_allows(bigint, text, bigint, text) IS
'True for the person''s own cases while the persona behind them is valid (V4), and for b2c cases of those he speaks for (V6); account_id may be NULL';

CREATE FUNCTION csm.opener_allows(opened_by bigint, branch text, account_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_opener_allows' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.opener_allows(bigint, text, bigint, text) IS
'True for cases that the person opened, while the persona he opened them through is valid (V4); account_id may be NULL';

CREATE FUNCTION csm.internal_contact_allows(internal_contact_id bigint, branch text, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_internal_contact_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.internal_contact_allows(bigint, text, text) IS
'True where the person is the internal contact of the case and holds a staff role with reach own';

CREATE FUNCTION csm.partner_allows(partner_account_id bigint, account_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_partner_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.partner_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person''s partner account, while the relationship is current (V5)';

CREATE FUNCTION csm.partner_contact_allows(partner_contact_id bigint, account_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_partner_contact_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.partner_contact_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person as partner contact, while the relationship is current (V5)';

CREATE FUNCTION csm.household_allows(household_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_household_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.household_allows(bigint, text) IS
'True for the household that the person heads, or on whose team he is';

CREATE FUNCTION csm.organization_allows(service_organization_id bigint, branch text, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_organization_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.organization_allows(bigint, text, text) IS
'True for service organisations in the person''s reach, less the excluded subtrees';

CREATE FUNCTION csm.shared_case_allows(case_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_shared_case_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.shared_case_allows(bigint, text) IS
'True for a case shared with the person or one of his accounts, as far as the share''s capabilities go (V7)';

CREATE FUNCTION csm.counterparty_allows(counterparty_account_id bigint, opened_at timestamptz, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_counterparty_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.counterparty_allows(bigint, timestamptz, text) IS
'True where the person acts for the account against which a dispute is raised: by role, or as any contact where the account has neither manager nor admin (V8)';

CREATE FUNCTION csm.counterparty_contact_allows(counterparty_contact_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_counterparty_contact_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.counterparty_contact_allows(bigint, text) IS
'True where the person is the named contact of the counterparty (V8)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.party_allows(bigint[], text, bigint, timestamptz, timestamptz, text)',
        'csm.parties_allowing(text)',
        'csm.all_in(bigint, text, text)',
        'csm.account_allows(bigint, text)',
        'csm.account_allows(bigint, timestamptz, text)',
        'csm.account_known(bigint)',
        'csm.requester_allows(bigint, text, bigint, text)',
        'csm.opener_allows(bigint, text, bigint, text)',
        'csm.internal_contact_allows(bigint, text, text)',
        'csm.partner_allows(bigint, bigint, text)',
        'csm.partner_contact_allows(bigint, bigint, text)',
        'csm.household_allows(bigint, text)',
        'csm.organization_allows(bigint, text, text)',
        'csm.shared_case_allows(bigint, text)',
        'csm.counterparty_allows(bigint, timestamptz, text)',
        'csm.counterparty_contact_allows(bigint, text)',
        'csm.accounts_allowing(text)',
        'csm.accounts_known()',
        'csm.requesters_allowing(text)',
        'csm.openers_allowing(text)',
        'csm.internal_contacts_allowing(text)',
        'csm.partner_accounts_allowing(text)',
        'csm.partner_contacts_allowing(text)',
        'csm.households_allowing(text)',
        'csm.organizations_allowing(text)',
        'csm.shared_cases_allowing(text)',
        'csm.counterparties_allowing(text)',
        'csm.counterparty_contacts_allowing(text)',
        'csm.all_tenant(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin', f);
    END LOOP;
END $$;
