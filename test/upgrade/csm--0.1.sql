\echo Use "CREATE EXTENSION csm CASCADE" to load this file. \quit

-- Every name below is written with its schema; what is left resolves in
-- pg_catalog only, so that no object planted elsewhere can capture it.  SET
-- LOCAL, because a plain SET would outlive CREATE EXTENSION.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- Roles, schemas, and the checks that come before everything else.
--
-- Roles are shared by all databases of the cluster: they are created when
-- missing and never dropped by DROP EXTENSION.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['csm_owner', 'csm_guest', 'csm_portal',
                                  'csm_agent', 'csm_reporter', 'csm_admin']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END $$;

-- csm_owner owns every table and every SECURITY DEFINER function: whoever is
-- or becomes csm_owner sees every tenant.  A member or a login is accepted
-- only where another database of this cluster already relies on the role (its
-- DBA decided that); superuser rights and BYPASSRLS never.
DO $$
DECLARE
    owner pg_roles;
    members bigint;
    used_elsewhere boolean;
BEGIN
    SELECT * INTO owner FROM pg_roles WHERE rolname = 'csm_owner';
    SELECT count(*) INTO members FROM pg_auth_members WHERE roleid = owner.oid;
    SELECT EXISTS (SELECT FROM pg_shdepend d
                   WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = owner.oid
                     AND d.dbid <> 0
                     AND d.dbid <> (SELECT oid FROM pg_database WHERE datname = current_database()))
      INTO used_elsewhere;
    IF owner.rolsuper OR owner.rolbypassrls THEN
        RAISE EXCEPTION 'role "csm_owner" must not be a superuser and must not bypass row-level security'
            USING ERRCODE = '42501', HINT = 'ALTER ROLE csm_owner NOSUPERUSER NOBYPASSRLS, then create the extension.';
    ELSIF (owner.rolcanlogin OR members > 0) AND NOT used_elsewhere THEN
        RAISE EXCEPTION 'role "csm_owner" must have neither LOGIN nor members'
            USING ERRCODE = '42501',
                  DETAIL = format('LOGIN: %s, members: %s.', owner.rolcanlogin, members),
                  HINT = 'Revoke the memberships and ALTER ROLE csm_owner NOLOGIN, then create the extension.';
    END IF;
END $$;

-- ltree and pg_trgm live where the DBA put them.  Their operators enter
-- policies and functions below, so a schema into which anybody may write is
-- refused: a planted operator would run as csm_owner.
DO $$
DECLARE
    ext record;
BEGIN
    FOR ext IN SELECT e.extname, n.nspname, n.nspacl, n.nspowner
               FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
               WHERE e.extname IN ('ltree', 'pg_trgm', 'btree_gist')
    LOOP
        IF EXISTS (SELECT FROM aclexplode(coalesce(ext.nspacl, acldefault('n', ext.nspowner))) a
                   WHERE a.grantee = 0 AND a.privilege_type = 'CREATE') THEN
            RAISE EXCEPTION 'schema "%" of extension "%" can be written by PUBLIC', ext.nspname, ext.extname
                USING ERRCODE = '42501',
                      HINT = format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, then create the extension.', ext.nspname);
        END IF;
    END LOOP;
END $$;

CREATE SCHEMA csm;
CREATE SCHEMA csm_private;
CREATE SCHEMA csm_report;

ALTER SCHEMA csm OWNER TO csm_owner;
ALTER SCHEMA csm_private OWNER TO csm_owner;
ALTER SCHEMA csm_report OWNER TO csm_owner;

GRANT USAGE ON SCHEMA csm TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT USAGE ON SCHEMA csm_report TO csm_agent, csm_reporter, csm_admin;

COMMENT ON SCHEMA csm IS 'Customer service management: the public tables and functions';
COMMENT ON SCHEMA csm_private IS 'Internals of csm; no role but csm_owner has USAGE';
COMMENT ON SCHEMA csm_report IS 'Views for reporting: row-level security of the reader applies, no personal data';

-- Schema of an extension that csm builds on, quoted for use in format('%s').
CREATE FUNCTION csm_private.schema_of(extension text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT quote_ident(n.nspname)
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = extension
$$;
ALTER FUNCTION csm_private.schema_of(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.schema_of(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.schema_of(text) IS
'Quoted name of the schema in which an installed extension lives; NULL when it is not installed';

-- When something counts.  A NULL range means always.

CREATE FUNCTION csm_private.is_valid(during tstzrange, at_time timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN during IS NULL OR during @> at_time;
COMMENT ON FUNCTION csm_private.is_valid(tstzrange, timestamptz) IS
'Whether the range counts at the instant; NULL range: always';

-- Bounds are turned into the first microsecond at which the answer differs.
-- STABLE, as what it calls is declared: more would keep it from being inlined.
CREATE FUNCTION csm_private.next_change(during tstzrange, at_time timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN least(
        CASE WHEN lower(during) + CASE WHEN lower_inc(during) THEN interval '0' ELSE interval '1 microsecond' END > at_time
             THEN lower(during) + CASE WHEN lower_inc(during) THEN interval '0' ELSE interval '1 microsecond' END END,
        CASE WHEN upper(during) + CASE WHEN upper_inc(during) THEN interval '1 microsecond' ELSE interval '0' END > at_time
             THEN upper(during) + CASE WHEN upper_inc(during) THEN interval '1 microsecond' ELSE interval '0' END END);
COMMENT ON FUNCTION csm_private.next_change(tstzrange, timestamptz) IS
'First instant after the given one at which is_valid() can answer otherwise; NULL when it never will';

ALTER FUNCTION csm_private.is_valid(tstzrange, timestamptz) OWNER TO csm_owner;
ALTER FUNCTION csm_private.next_change(tstzrange, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.is_valid(tstzrange, timestamptz),
    csm_private.next_change(tstzrange, timestamptz) FROM PUBLIC;

-- Who is asking: identity, tenant, persona.  The settings themselves
-- (csm.user_id, csm.tenant, csm.persona, ...) are defined by the library; see
-- src/csm_session.c.

CREATE FUNCTION csm.current_user_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_user_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.current_user_id() IS
'The signed-in person (csm.users.id); NULL when nobody is signed in, or the person or the tenant is disabled';

CREATE FUNCTION csm.current_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_tenant_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.current_tenant_id() IS
'Tenant of the signed-in person; NULL when nobody is signed in';

CREATE FUNCTION csm.guest_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_guest_tenant_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.guest_tenant_id() IS
'Tenant of a visitor who is not signed in: the one whose key stands in csm.tenant, by default the only tenant; NULL when somebody is signed in, the key is unknown, or the tenant is disabled';

CREATE FUNCTION csm.default_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_default_tenant_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm.default_tenant_id() IS
'Default of every tenant_id column: the tenant of the signed-in person; without identity the only tenant; error 22023 where there are several';

CREATE FUNCTION csm.sign_out() RETURNS void
AS 'MODULE_PATHNAME', 'csm_sign_out' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm.sign_out() IS
'Makes the session nobody, with no fallback to a mapped login role, until the setting is made anew or RESET ALL';

CREATE FUNCTION csm.act_as(persona text) RETURNS void
AS 'MODULE_PATHNAME', 'csm_act_as' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm.act_as(text) IS
'Narrows the rights of the transaction to one persona: contact:<id>, consumer, employee or staff:<role>; NULL lifts it. Error 22023 for text of another form; a well-formed persona that the person does not hold gives no rights';

ALTER FUNCTION csm.current_user_id() OWNER TO csm_owner;
ALTER FUNCTION csm.current_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.guest_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.default_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.sign_out() OWNER TO csm_owner;
ALTER FUNCTION csm.act_as(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.current_user_id(), csm.current_tenant_id(), csm.guest_tenant_id(),
    csm.default_tenant_id(), csm.sign_out(), csm.act_as(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.current_user_id(), csm.current_tenant_id(), csm.guest_tenant_id(),
    csm.default_tenant_id(), csm.sign_out(), csm.act_as(text)
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;

-- The access predicates: C functions that answer from the person's access map
-- (src/csm_map.c) whether a value in a row admits an action.
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

-- C trigger functions, and how a table becomes one of csm's.

CREATE FUNCTION csm_private.signal() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_signal' LANGUAGE c;
ALTER FUNCTION csm_private.signal() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.signal() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.signal() IS
'Row and TRUNCATE trigger of the edge tables: tells every session that access maps built from these keys are suspect. Arguments: pairs of key kind and column';

CREATE FUNCTION csm_private.restoring() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_restoring' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.restoring() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.restoring() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.restoring() IS
'True while rows are loaded from a dump: csm.restoring is on, or auto and a superuser runs with row_security off. Every trigger that derives or judges honours it';

-- Anchors: empty tables that no plan uses.  A change of an access edge sends
-- the relcache message of the anchor to which its key hashes; a session that
-- receives it knows which of its maps may be out of date.  Their number is
-- CSM_ANCHORS in src/csm_signal.c.
DO $$
BEGIN
    FOR i IN 0 .. 255 LOOP
        EXECUTE format('CREATE TABLE csm_private.anchor_%s ()', i);
        EXECUTE format('ALTER TABLE csm_private.anchor_%s OWNER TO csm_owner', i);
        EXECUTE format('REVOKE ALL ON csm_private.anchor_%s FROM PUBLIC', i);
        EXECUTE format('COMMENT ON TABLE csm_private.anchor_%s IS %L', i,
                       'Never holds a row: carries invalidation messages of access edges');
    END LOOP;
END $$;

-- What every table of csm gets: owner, row security, the tenant wall (V13) and
-- registration for pg_dump, its identity sequence included.  The wall compares
-- a plain column, so that an index that begins with tenant_id keeps its order.
CREATE FUNCTION csm_private.adopt_table(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seq text := (SELECT pg_catalog.pg_get_serial_sequence(name, 'id') FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = name::pg_catalog.regclass AND a.attname = 'id' AND a.attidentity <> '');
    short text := pg_catalog.split_part(name, '.', 2);
    tenant_column text := CASE WHEN name = 'csm.tenants' THEN 'id' ELSE 'tenant_id' END;
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO csm_owner', name);
    EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %s FROM PUBLIC', name);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE pg_catalog.format(
        'CREATE POLICY %s_tenant ON %s AS RESTRICTIVE FOR ALL TO csm_portal, csm_agent, csm_reporter, csm_admin '
        'USING (%s = csm.current_tenant_id())', short, name, tenant_column);
    EXECUTE pg_catalog.format('COMMENT ON POLICY %s_tenant ON %s IS %L', short, name,
        'V13: no permissive policy can reach across tenants');
    PERFORM pg_catalog.pg_extension_config_dump(name::pg_catalog.regclass, '');
    IF seq IS NOT NULL THEN
        PERFORM pg_catalog.pg_extension_config_dump(seq::pg_catalog.regclass, '');
    END IF;
END $$;
ALTER FUNCTION csm_private.adopt_table(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.adopt_table(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.adopt_table(text) IS
'Install scripts only: owner, row security, tenant policy and dump registration for a new table';

-- Attaches the signal trigger; "keys" are its arguments, "columns" limits
-- updates to those that matter.  ENABLE ALWAYS: rows that a subscription
-- applies change access as well.
CREATE FUNCTION csm_private.signal_on(name text, columns text[], VARIADIC keys text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    short text := pg_catalog.split_part(name, '.', 2);
    changed text := (SELECT pg_catalog.string_agg(pg_catalog.format(
                         -- ltree's own operator is not in pg_catalog
                         CASE c WHEN 'path' THEN 'OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text'
                                ELSE 'OLD.%1$I IS DISTINCT FROM NEW.%1$I' END, c), ' OR ')
                     FROM pg_catalog.unnest(columns) c);
    arguments text := (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(k), ', ' ORDER BY n)
                       FROM pg_catalog.unnest(keys) WITH ORDINALITY AS u(k, n));
BEGIN
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal AFTER INSERT OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION csm_private.signal(%s)', short, name, arguments);
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal_update AFTER UPDATE ON %s '
        'FOR EACH ROW WHEN (%s) EXECUTE FUNCTION csm_private.signal(%s)',
        short, name, changed, arguments);
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal_truncate AFTER TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.signal()', short, name);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal', name, short);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal_update', name, short);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal_truncate', name, short);
END $$;
ALTER FUNCTION csm_private.signal_on(text, text[], text[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.signal_on(text, text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.signal_on(text, text[], text[]) IS
'Install scripts only: attaches the signal triggers to an edge table';

-- Search that may run below row-level security (src/csm_text.c, where the
-- argument for LEAKPROOF stands).

CREATE FUNCTION csm_private.text_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_text_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.text_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.text_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches and csm.contains: index condition, selectivity';

-- Evaluated in index conditions, with the rights of whoever searches.
CREATE FUNCTION csm_private.like_pattern(needle text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_like_pattern' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.like_pattern(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.like_pattern(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.like_pattern(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';

CREATE FUNCTION csm.matches(document tsvector, query tsquery) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_matches' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.matches(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.matches(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.matches(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';

CREATE FUNCTION csm.contains(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_contains' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 8
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.contains(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.contains(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.contains(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';

-- Tenants, and the roles that their people may hold.

CREATE TABLE csm.tenants (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    name text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_key_key UNIQUE (key),
    CONSTRAINT tenants_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT tenants_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object')
);
SELECT csm_private.adopt_table('csm.tenants');
SELECT csm_private.signal_on('csm.tenants', '{key,enabled}', 'tenant', 'id', 'tenants', '');

CREATE POLICY tenants_select ON csm.tenants FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (id = csm.current_tenant_id());
CREATE POLICY tenants_update ON csm.tenants FOR UPDATE TO csm_admin
    USING (csm.all_in(id, 'internal', 'configure'));
GRANT SELECT ON csm.tenants TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT UPDATE (name, settings) ON csm.tenants TO csm_admin;

COMMENT ON TABLE csm.tenants IS 'One row an organisation that serves customers; made by csm.create_tenant()';
COMMENT ON COLUMN csm.tenants.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.tenants.key IS 'Short name for csm.tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.tenants.name IS 'Name that people read';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object';
COMMENT ON COLUMN csm.tenants.enabled IS 'False: nobody of the tenant is signed in any more, from the next statement on';
COMMENT ON COLUMN csm.tenants.created_at IS 'When the tenant was made';
COMMENT ON POLICY tenants_select ON csm.tenants IS 'Everyone signed in reads his own tenant';
COMMENT ON POLICY tenants_update ON csm.tenants IS 'Administrators change name and settings';

CREATE TABLE csm.roles (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    role text NOT NULL,
    kind text NOT NULL,
    user_class text NOT NULL,
    label text NOT NULL,
    branches text[] NOT NULL DEFAULT '{b2b,b2c,internal}',
    shipped boolean NOT NULL DEFAULT false,
    CONSTRAINT roles_pkey PRIMARY KEY (role, tenant_id),
    CONSTRAINT roles_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT roles_role_check CHECK (role ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT roles_kind_check CHECK (kind IN ('person', 'contact', 'consumer', 'staff')),
    CONSTRAINT roles_user_class_check CHECK (user_class IN ('external', 'stakeholder', 'fulfiller')),
    CONSTRAINT roles_branches_check CHECK (branches <@ '{b2b,b2c,internal}'::text[])
);
SELECT csm_private.adopt_table('csm.roles');
SELECT csm_private.signal_on('csm.roles', '{tenant_id,role,kind,branches}', 'config', 'tenant_id');

CREATE POLICY roles_select ON csm.roles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY roles_write ON csm.roles FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.roles TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.roles TO csm_admin;

COMMENT ON TABLE csm.roles IS 'Roles that a persona can hold; shipped ones are copied by csm.create_tenant()';
COMMENT ON COLUMN csm.roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.roles.role IS 'Key of the role';
COMMENT ON COLUMN csm.roles.kind IS 'Who can hold it: person (everyone), contact, consumer or staff';
COMMENT ON COLUMN csm.roles.user_class IS 'Class for licence counting: external, stakeholder or fulfiller';
COMMENT ON COLUMN csm.roles.label IS 'Name that people read';
COMMENT ON COLUMN csm.roles.branches IS 'Branches in which a staff role counts; an assignment can only narrow them';
COMMENT ON COLUMN csm.roles.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON POLICY roles_select ON csm.roles IS 'Everyone signed in reads the roles of his tenant';
COMMENT ON POLICY roles_write ON csm.roles IS 'Administrators keep the roles';

CREATE TABLE csm.role_permissions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    role text NOT NULL,
    action text NOT NULL,
    reach text NOT NULL,
    CONSTRAINT role_permissions_pkey PRIMARY KEY (role, tenant_id, action, reach),
    CONSTRAINT role_permissions_role_fkey FOREIGN KEY (role, tenant_id)
        REFERENCES csm.roles (role, tenant_id) ON DELETE CASCADE,
    CONSTRAINT role_permissions_action_check CHECK (action IN (
        'case_read', 'case_comment', 'case_create', 'case_decide', 'contact_read', 'contact_manage',
        'product_read', 'product_manage', 'entitlement_read', 'account_manage', 'person_manage',
        'case_work', 'configure')),
    CONSTRAINT role_permissions_reach_check CHECK (reach IN (
        'own', 'account', 'subtree', 'related', 'team', 'organization', 'all'))
);
SELECT csm_private.adopt_table('csm.role_permissions');
SELECT csm_private.signal_on('csm.role_permissions', '{tenant_id,role,action,reach}', 'config', 'tenant_id');

CREATE POLICY role_permissions_select ON csm.role_permissions FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY role_permissions_write ON csm.role_permissions FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.role_permissions TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.role_permissions TO csm_admin;

COMMENT ON TABLE csm.role_permissions IS 'What a role may do, and how far it reaches; the rules V1 to V9 are compiled from these rows';
COMMENT ON COLUMN csm.role_permissions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.role_permissions.role IS 'Role that gets the permission';
COMMENT ON COLUMN csm.role_permissions.action IS 'Action; case_work (staff: take, answer, work notes, plain UPDATE) and configure (administration) are for staff roles only';
COMMENT ON COLUMN csm.role_permissions.reach IS 'own; account, subtree, related (contacts); team, organization, all (staff). A reach that does not fit the kind of the role gives nothing';
COMMENT ON POLICY role_permissions_select ON csm.role_permissions IS 'Everyone signed in reads the permissions of his tenant';
COMMENT ON POLICY role_permissions_write ON csm.role_permissions IS 'Administrators keep the permissions';

-- People: one row a human; employee, consumer, contact and staff are personas.

CREATE TABLE csm.users (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    display_name text NOT NULL,
    email text,
    email_key text GENERATED ALWAYS AS (lower(btrim(email))) STORED,
    language text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    phone text,
    title text,
    enabled boolean NOT NULL DEFAULT true,
    login_role text,
    external_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT users_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT users_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email_key),
    CONSTRAINT users_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT users_login_role_key UNIQUE (login_role),
    CONSTRAINT users_display_name_check CHECK (length(display_name) BETWEEN 1 AND 200),
    CONSTRAINT users_email_check CHECK (length(email) <= 320 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT users_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    CONSTRAINT users_text_check CHECK (length(phone) <= 64 AND length(title) <= 200
        AND length(time_zone) <= 64 AND length(external_id) <= 400)
);
SELECT csm_private.adopt_table('csm.users');
SELECT csm_private.signal_on('csm.users', '{id,tenant_id,enabled,login_role}', 'user', 'id', 'login', 'login_role');

COMMENT ON TABLE csm.users IS 'One row a human, whatever personas he has';
COMMENT ON COLUMN csm.users.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.users.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.users.display_name IS 'Name shown on cases he takes part in';
COMMENT ON COLUMN csm.users.email IS 'E-mail as written; NULL when unknown';
COMMENT ON COLUMN csm.users.email_key IS 'E-mail trimmed and in lower case; unique in the tenant';
COMMENT ON COLUMN csm.users.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.users.time_zone IS 'Time zone name (IANA)';
COMMENT ON COLUMN csm.users.phone IS 'Telephone number as written';
COMMENT ON COLUMN csm.users.title IS 'Job title or form of address';
COMMENT ON COLUMN csm.users.enabled IS 'False: the person is nobody, from the next statement on (V10)';
COMMENT ON COLUMN csm.users.login_role IS 'PostgreSQL role that acts as this person; set by csm.map_login() only';
COMMENT ON COLUMN csm.users.external_id IS 'Key in the directory the person was imported from; unique in the tenant';
COMMENT ON COLUMN csm.users.created_at IS 'When the row was made';

CREATE TABLE csm.employees (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    department text,
    manager_id bigint,
    CONSTRAINT employees_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT employees_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT employees_manager_fkey FOREIGN KEY (manager_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT employees_manager_check CHECK (manager_id <> user_id)
);
CREATE INDEX employees_manager_idx ON csm.employees (manager_id);
SELECT csm_private.adopt_table('csm.employees');
SELECT csm_private.signal_on('csm.employees', '{user_id,tenant_id}', 'user', 'user_id');

CREATE POLICY employees_select ON csm.employees FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'contact_read'));
CREATE POLICY employees_write ON csm.employees FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage'));
GRANT SELECT ON csm.employees TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.employees TO csm_agent, csm_admin;

COMMENT ON TABLE csm.employees IS 'Employee persona: the person works for the tenant';
COMMENT ON COLUMN csm.employees.user_id IS 'The person';
COMMENT ON COLUMN csm.employees.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.employees.department IS 'Department; NULL when unknown';
COMMENT ON COLUMN csm.employees.manager_id IS 'Superior; gives no rights';
COMMENT ON POLICY employees_select ON csm.employees IS 'Oneself; staff for internal service';
COMMENT ON POLICY employees_write ON csm.employees IS 'Staff with person_manage';

CREATE TABLE csm.consumers (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT consumers_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT consumers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
SELECT csm_private.adopt_table('csm.consumers');
SELECT csm_private.signal_on('csm.consumers', '{user_id,tenant_id}', 'user', 'user_id');

CREATE POLICY consumers_select ON csm.consumers FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id()
           OR csm.requester_allows(user_id, 'b2c', NULL, 'case_read')
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY consumers_write ON csm.consumers FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
GRANT SELECT ON csm.consumers TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.consumers TO csm_agent, csm_admin;

COMMENT ON TABLE csm.consumers IS 'Consumer persona: the person buys for himself (B2C)';
COMMENT ON COLUMN csm.consumers.user_id IS 'The person';
COMMENT ON COLUMN csm.consumers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.consumers.registered_at IS 'When he became a consumer';
COMMENT ON POLICY consumers_select ON csm.consumers IS 'Oneself, whom one speaks for (V6), staff for consumers';
COMMENT ON POLICY consumers_write ON csm.consumers IS 'Staff with person_manage';

-- Accounts in a tree, their contacts, and the relationships between accounts.

CREATE TABLE csm.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    number text NOT NULL,
    name text NOT NULL,
    parent_id bigint,
    root_id bigint,
    is_customer boolean NOT NULL DEFAULT true,
    is_partner boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    directory_visible boolean NOT NULL DEFAULT false,
    restrict_contact_access boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT accounts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT accounts_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT accounts_number_key UNIQUE (tenant_id, number),
    CONSTRAINT accounts_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT accounts_number_check CHECK (length(number) BETWEEN 1 AND 40)
);
-- The type and the operators of ltree are bound here, once, to the schema in
-- which the DBA keeps it; function bodies bind when they are created.
DO $$
DECLARE
    l text := csm_private.schema_of('ltree');
BEGIN
    EXECUTE format('ALTER TABLE csm.accounts ADD COLUMN path %s.ltree', l);

    EXECUTE format($f$
        CREATE FUNCTION csm_private.child_path(parent %1$s.ltree, id bigint) RETURNS %1$s.ltree
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        BEGIN ATOMIC
            SELECT CASE WHEN parent IS NULL THEN %1$s.text2ltree(id::text)
                        ELSE parent OPERATOR(%1$s.||) id::text END;
        END $f$, l);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.path_depth(path %1$s.ltree) RETURNS integer
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        BEGIN ATOMIC
            SELECT %1$s.nlevel(path);
        END $f$, l);
    -- No label sorts between "7" and "70" and nothing below a.7 sorts after
    -- either, so a subtree is the half-open range [path, path || '0').
    EXECUTE format($f$
        CREATE FUNCTION csm_private.subtree(account bigint, tenant bigint) RETURNS SETOF bigint
        LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
        BEGIN ATOMIC
            SELECT d.id
            FROM csm.accounts a
            JOIN csm.accounts d ON d.tenant_id = a.tenant_id
                               AND d.path OPERATOR(%1$s.>=) a.path
                               AND d.path OPERATOR(%1$s.<) %1$s.text2ltree(%1$s.ltree2text(a.path) || '0')
            WHERE a.id = account AND a.tenant_id = tenant;
        END $f$, l);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.repath(account bigint, tenant bigint, parent %1$s.ltree) RETURNS bigint
        LANGUAGE sql VOLATILE
        BEGIN ATOMIC
            WITH RECURSIVE t(id, path, root_id, depth) AS (
                SELECT account, csm_private.child_path(parent, account),
                       split_part(%1$s.ltree2text(csm_private.child_path(parent, account)), '.', 1)::bigint,
                       csm_private.path_depth(csm_private.child_path(parent, account))
              UNION ALL
                SELECT c.id, t.path OPERATOR(%1$s.||) c.id::text, t.root_id, t.depth + 1
                FROM t JOIN csm.accounts c ON c.parent_id = t.id AND c.tenant_id = tenant
                WHERE t.depth <= 100
            ), u AS (
                UPDATE csm.accounts a SET path = t.path, root_id = t.root_id
                FROM t WHERE a.id = t.id AND a.tenant_id = tenant AND t.depth <= 100
                RETURNING 1
            )
            SELECT max(depth)::bigint FROM t;
        END $f$, l);
END $$;
CREATE INDEX accounts_path_idx ON csm.accounts (tenant_id, path) INCLUDE (id);
CREATE INDEX accounts_parent_idx ON csm.accounts (parent_id);
ALTER FUNCTION csm_private.subtree(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.subtree(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.subtree(bigint, bigint) IS
'Ids of an account and all its descendants; no row for an unknown account';
DO $$
DECLARE
    l text := csm_private.schema_of('ltree');
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY[format('csm_private.child_path(%s.ltree, bigint)', l),
                             format('csm_private.path_depth(%s.ltree)', l),
                             format('csm_private.repath(bigint, bigint, %s.ltree)', l)]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f, 'Account tree: path arithmetic, bound to the schema of ltree');
    END LOOP;
END $$;

SELECT csm_private.adopt_table('csm.accounts');
SELECT csm_private.signal_on('csm.accounts', '{id,tenant_id,parent_id,root_id}', 'tree', 'root_id', 'account', 'id');

COMMENT ON TABLE csm.accounts IS 'Companies: customers, partners, or both, in a tree of up to 100 levels';
COMMENT ON COLUMN csm.accounts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.accounts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.accounts.number IS 'Human-facing number, unique in the tenant; made from the id when not given';
COMMENT ON COLUMN csm.accounts.name IS 'Name of the company';
COMMENT ON COLUMN csm.accounts.parent_id IS 'Parent account; NULL at the top. A cycle is refused with SM005';
COMMENT ON COLUMN csm.accounts.root_id IS 'Top of the tree, kept by trigger from path';
COMMENT ON COLUMN csm.accounts.path IS 'Ids from the top down to this account, kept by trigger; never written by a client';
COMMENT ON COLUMN csm.accounts.is_customer IS 'The company buys';
COMMENT ON COLUMN csm.accounts.is_partner IS 'The company looks after other accounts';
COMMENT ON COLUMN csm.accounts.active IS 'False: no business any more; gives or takes no access by itself';
COMMENT ON COLUMN csm.accounts.directory_visible IS 'True: contacts may list their colleagues';
COMMENT ON COLUMN csm.accounts.restrict_contact_access IS 'True: plain contacts lose the account-wide reading of products';
COMMENT ON COLUMN csm.accounts.created_at IS 'When the row was made';

-- The tree.  A move takes the tenant's advisory lock alone, an insertion below
-- a parent shares it, both before the statement that reads paths takes its
-- snapshot: two moves cannot close a circle unseen, and no child is born with a
-- path that a move is about to change.  Under REPEATABLE READ the snapshot is
-- older than the lock; there the row in tree_moves, written by every move,
-- makes the server raise 40001.
CREATE TABLE csm_private.tree_moves (
    tenant_id bigint NOT NULL,
    moves bigint NOT NULL DEFAULT 0,
    CONSTRAINT tree_moves_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tree_moves_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.tree_moves OWNER TO csm_owner;
REVOKE ALL ON csm_private.tree_moves FROM PUBLIC;
ALTER TABLE csm_private.tree_moves ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.tree_moves', '');
COMMENT ON TABLE csm_private.tree_moves IS 'One row a tenant, written by every move in its account tree: serialises moves under REPEATABLE READ';
COMMENT ON COLUMN csm_private.tree_moves.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.tree_moves.moves IS 'How many times accounts were moved';

CREATE FUNCTION csm_private.tree_is_current(tenant bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_tree_is_current' LANGUAGE c VOLATILE STRICT;
ALTER FUNCTION csm_private.tree_is_current(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.tree_is_current(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.tree_is_current(bigint) IS
'Whether the transaction sees the tenant''s account tree as it is now; always true under READ COMMITTED';

CREATE FUNCTION csm_private.accounts_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- 0x63736D is "csm": keeps these locks apart from an application's own.
    lock_class CONSTANT integer := 6517613;
    stale boolean := false;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF NEW.parent_id = NEW.id THEN
        RAISE EXCEPTION 'account % cannot be its own parent', NEW.id
            USING ERRCODE = 'SM005', HINT = 'Set parent_id to another account, or to NULL for a top account.';
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.number := coalesce(NEW.number, 'ACC' || lpad(NEW.id::text, greatest(7, length(NEW.id::text)), '0'));
        NEW.path := NULL;
        NEW.root_id := NULL;
        IF NEW.parent_id IS NULL THEN
            NEW.path := csm_private.child_path(NULL, NEW.id);
            NEW.root_id := NEW.id;
        ELSE
            PERFORM pg_advisory_xact_lock_shared(lock_class, hashint8(NEW.tenant_id));
            stale := current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
                AND NOT csm_private.tree_is_current(NEW.tenant_id);
        END IF;
    ELSIF NEW.parent_id IS DISTINCT FROM OLD.parent_id OR NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
        IF NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
            RAISE EXCEPTION 'id and tenant of account % cannot change', OLD.id USING ERRCODE = '42501';
        END IF;
        PERFORM pg_advisory_xact_lock(lock_class, hashint8(NEW.tenant_id));
        INSERT INTO csm_private.tree_moves AS m (tenant_id, moves) VALUES (NEW.tenant_id, 1)
            ON CONFLICT ON CONSTRAINT tree_moves_pkey DO UPDATE SET moves = m.moves + 1;
        stale := current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
            AND NOT csm_private.tree_is_current(NEW.tenant_id);
    ELSIF pg_trigger_depth() < 2 THEN
        NEW.path := OLD.path;
        NEW.root_id := OLD.root_id;
    END IF;
    IF stale THEN
        RAISE EXCEPTION 'could not serialize access due to a concurrent change of the account tree'
            USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NEW;
END $$;

-- Runs once a statement, when all its rows are there: rows may come in any
-- order (COPY), and a subtree moves as one.
CREATE FUNCTION csm_private.accounts_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved record;
    depth bigint := 0;
    strays bigint;
    sample bigint;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        FOR moved IN
            -- Highest new rows first: their parents stood already, or are new tops.
            SELECT n.id, n.tenant_id, p.path
            FROM new_rows n JOIN csm.accounts p ON p.id = n.parent_id AND p.tenant_id = n.tenant_id
            WHERE n.parent_id IS NOT NULL AND p.path IS NOT NULL
        LOOP
            depth := greatest(depth, csm_private.repath(moved.id, moved.tenant_id, moved.path));
        END LOOP;
        SELECT count(*), min(a.id) INTO strays, sample
        FROM new_rows n JOIN csm.accounts a ON a.id = n.id AND a.tenant_id = n.tenant_id
        WHERE a.path IS NULL
          AND EXISTS (SELECT FROM csm.accounts p WHERE p.id = n.parent_id AND p.tenant_id = n.tenant_id);
    ELSE
        IF pg_trigger_depth() > 1
           OR NOT EXISTS (SELECT FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
                          WHERE n.parent_id IS DISTINCT FROM o.parent_id) THEN
            RETURN NULL;
        END IF;
        -- A moved row whose ancestors are reached without coming back to it is
        -- no part of a circle; the walk is as short as the tree is deep.
        WITH RECURSIVE up(start, id, parent_id, tenant_id, steps) AS (
            SELECT n.id, n.id, n.parent_id, n.tenant_id, 0
            FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
            WHERE n.parent_id IS DISTINCT FROM o.parent_id
          UNION ALL
            SELECT up.start, a.id, a.parent_id, a.tenant_id, up.steps + 1
            FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = up.tenant_id
            WHERE up.steps <= 100 AND a.id <> up.start
        )
        SELECT count(*), min(up.start) INTO strays, sample
        FROM up WHERE up.parent_id = up.start;
        IF strays = 0 THEN
            FOR moved IN
                -- Only the topmost moved rows: repath carries what hangs below.
                SELECT n.id, n.tenant_id, n.parent_id
                FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
                WHERE n.parent_id IS DISTINCT FROM o.parent_id
                ORDER BY csm_private.depth_of(n.id, n.tenant_id)
            LOOP
                depth := greatest(depth, csm_private.repath(moved.id, moved.tenant_id,
                    (SELECT p.path FROM csm.accounts p WHERE p.id = moved.parent_id AND p.tenant_id = moved.tenant_id)));
            END LOOP;
        END IF;
    END IF;
    IF depth > 100 THEN
        RAISE EXCEPTION 'account tree would become deeper than 100 levels'
            USING ERRCODE = '54000', HINT = 'Attach the account higher up in the tree.';
    ELSIF strays > 0 THEN
        RAISE EXCEPTION 'account tree would contain a cycle'
            USING ERRCODE = 'SM005',
                  DETAIL = format('Account %s would be its own ancestor.', sample),
                  HINT = 'Choose a parent outside the account''s own subtree.';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION csm_private.depth_of(account bigint, tenant bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE up(parent_id, steps) AS (
        SELECT a.parent_id, 1 FROM csm.accounts a WHERE a.id = account AND a.tenant_id = tenant
      UNION ALL
        SELECT a.parent_id, up.steps + 1
        FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
        WHERE up.steps <= 200
    )
    SELECT max(steps) FROM up
$$;
ALTER FUNCTION csm_private.accounts_before() OWNER TO csm_owner;
ALTER FUNCTION csm_private.accounts_after() OWNER TO csm_owner;
ALTER FUNCTION csm_private.depth_of(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.accounts_before(), csm_private.accounts_after(),
    csm_private.depth_of(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.accounts_before() IS 'Numbers an account and takes the tree lock before paths are read';
COMMENT ON FUNCTION csm_private.accounts_after() IS 'Gives new and moved accounts their paths; refuses cycles (SM005) and more than 100 levels (54000)';
COMMENT ON FUNCTION csm_private.depth_of(bigint, bigint) IS 'Levels from the top to the account, by its parents';

CREATE TRIGGER accounts_10_tree BEFORE INSERT OR UPDATE ON csm.accounts
    FOR EACH ROW EXECUTE FUNCTION csm_private.accounts_before();
CREATE TRIGGER accounts_20_tree_insert AFTER INSERT ON csm.accounts
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.accounts_after();
CREATE TRIGGER accounts_20_tree_update AFTER UPDATE ON csm.accounts
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.accounts_after();

CREATE TABLE csm.contacts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    account_id bigint NOT NULL,
    role text NOT NULL DEFAULT 'customer',
    is_home boolean NOT NULL DEFAULT true,
    login_enabled boolean NOT NULL DEFAULT true,
    valid_during tstzrange,
    CONSTRAINT contacts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contacts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT contacts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT contacts_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT contacts_once EXCLUDE USING gist (user_id WITH =, account_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&),
    CONSTRAINT contacts_one_home EXCLUDE USING gist (user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&) WHERE (is_home)
);
CREATE INDEX contacts_user_idx ON csm.contacts (user_id);
CREATE INDEX contacts_account_idx ON csm.contacts (account_id);
SELECT csm_private.adopt_table('csm.contacts');
SELECT csm_private.signal_on('csm.contacts',
    '{id,tenant_id,user_id,account_id,role,login_enabled,valid_during}', 'user', 'user_id', 'account', 'account_id');

COMMENT ON TABLE csm.contacts IS 'Contact persona: the person acts for the account with a role; a person may be contact of many accounts';
COMMENT ON COLUMN csm.contacts.id IS 'Identity, unique in the database; the persona is contact:<id>';
COMMENT ON COLUMN csm.contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contacts.user_id IS 'The person';
COMMENT ON COLUMN csm.contacts.account_id IS 'The account';
COMMENT ON COLUMN csm.contacts.role IS 'Role of kind contact; one of another kind is refused';
COMMENT ON COLUMN csm.contacts.is_home IS 'Account for which he opens cases unless he names another; one at a time';
COMMENT ON COLUMN csm.contacts.login_enabled IS 'False: this persona gives no rights, from the next statement on; the person''s others stay (V10)';
COMMENT ON COLUMN csm.contacts.valid_during IS 'When the membership counts; NULL means always';

CREATE FUNCTION csm_private.check_role_kind() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND EXISTS (SELECT FROM csm.roles r
                   WHERE r.role = NEW.role AND r.tenant_id = NEW.tenant_id AND r.kind <> TG_ARGV[0]) THEN
        RAISE EXCEPTION 'role "%" is not a role for a % persona', NEW.role, TG_ARGV[0]
            USING ERRCODE = '23514', HINT = format('Choose one of csm.roles with kind = %L.', TG_ARGV[0]);
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.check_role_kind() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_role_kind() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_role_kind() IS 'Refuses a role whose kind does not fit the table; the argument is the kind';
CREATE TRIGGER contacts_10_role BEFORE INSERT OR UPDATE OF role ON csm.contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_role_kind('contact');

CREATE TABLE csm.account_relationships (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    type text NOT NULL DEFAULT 'partner_of',
    partner_account_id bigint NOT NULL,
    customer_account_id bigint NOT NULL,
    scope text NOT NULL DEFAULT 'named',
    history_from timestamptz,
    include_descendants boolean NOT NULL DEFAULT false,
    administers boolean NOT NULL DEFAULT false,
    valid_during tstzrange,
    CONSTRAINT account_relationships_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_relationships_partner_fkey FOREIGN KEY (partner_account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_relationships_customer_fkey FOREIGN KEY (customer_account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_relationships_type_check CHECK (type IN ('partner_of', 'trades_with')),
    CONSTRAINT account_relationships_scope_check CHECK (scope IN ('named', 'all')),
    CONSTRAINT account_relationships_self_check CHECK (partner_account_id <> customer_account_id),
    CONSTRAINT account_relationships_once EXCLUDE USING gist (partner_account_id WITH =, customer_account_id WITH =,
        type WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX account_relationships_partner_idx ON csm.account_relationships (partner_account_id)
    INCLUDE (tenant_id, customer_account_id, type, scope, history_from, include_descendants, administers, valid_during);
CREATE INDEX account_relationships_descendants_idx ON csm.account_relationships (partner_account_id) WHERE include_descendants;
CREATE INDEX account_relationships_customer_idx ON csm.account_relationships (customer_account_id);
SELECT csm_private.adopt_table('csm.account_relationships');
SELECT csm_private.signal_on('csm.account_relationships',
    '{tenant_id,type,partner_account_id,customer_account_id,scope,history_from,include_descendants,administers,valid_during}',
    'relation', 'partner_account_id');

COMMENT ON TABLE csm.account_relationships IS 'A partner account looks after a customer account, or two accounts trade with one another';
COMMENT ON COLUMN csm.account_relationships.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_relationships.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_relationships.type IS 'partner_of gives the partner access (V5); trades_with gives none and allows disputes between the two';
COMMENT ON COLUMN csm.account_relationships.partner_account_id IS 'The partner';
COMMENT ON COLUMN csm.account_relationships.customer_account_id IS 'The customer that he looks after';
COMMENT ON COLUMN csm.account_relationships.scope IS 'What partner_admin reads: named (cases whose partner_account_id is his account) or all';
COMMENT ON COLUMN csm.account_relationships.history_from IS 'With scope all: cases opened before are left out; NULL means the whole history';
COMMENT ON COLUMN csm.account_relationships.include_descendants IS 'True: holds for the customer''s descendants too';
COMMENT ON COLUMN csm.account_relationships.administers IS 'True: partner_admin manages the customer''s contacts';
COMMENT ON COLUMN csm.account_relationships.valid_during IS 'When the relationship counts; NULL means always';

-- Who reads and writes them.
CREATE POLICY accounts_select ON csm.accounts FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.account_known(id) OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY accounts_insert ON csm.accounts FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY accounts_update ON csm.accounts FOR UPDATE TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY contacts_select ON csm.contacts FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id()
           OR csm.account_allows(account_id, 'contact_read')
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY contacts_write ON csm.contacts FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY account_relationships_select ON csm.account_relationships
    FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.account_allows(customer_account_id, 'contact_read')
           OR (csm.account_known(partner_account_id) AND csm.account_known(customer_account_id))
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY account_relationships_write ON csm.account_relationships FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
-- A person is seen by himself, by whoever reads one of his personas, and by
-- staff for internal service (there everybody may ask).
CREATE POLICY users_select ON csm.users FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (id = csm.current_user_id()
           OR csm.all_in(tenant_id, 'internal', 'contact_read')
           OR EXISTS (SELECT FROM csm.contacts c WHERE c.user_id = users.id AND c.tenant_id = users.tenant_id)
           OR EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = users.id AND c.tenant_id = users.tenant_id));
CREATE POLICY users_insert ON csm.users FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.all_in(tenant_id, 'internal', 'person_manage'));
CREATE POLICY users_update ON csm.users FOR UPDATE TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage'));

GRANT SELECT ON csm.accounts, csm.contacts, csm.account_relationships, csm.users
    TO csm_portal, csm_agent, csm_admin;
GRANT SELECT ON csm.accounts, csm.contacts, csm.account_relationships TO csm_reporter;
GRANT SELECT (id, tenant_id, language, time_zone, enabled, created_at) ON csm.users TO csm_reporter;
GRANT INSERT (number, name, parent_id, is_customer, is_partner, active, directory_visible, restrict_contact_access),
      UPDATE (number, name, parent_id, is_customer, is_partner, active, directory_visible, restrict_contact_access)
    ON csm.accounts TO csm_agent, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.contacts, csm.account_relationships TO csm_agent, csm_admin;
GRANT INSERT (display_name, email, language, time_zone, phone, title, enabled, external_id),
      UPDATE (display_name, email, language, time_zone, phone, title, enabled, external_id)
    ON csm.users TO csm_agent, csm_admin;

COMMENT ON POLICY accounts_select ON csm.accounts IS 'Accounts on which the person has any right; staff for business customers';
COMMENT ON POLICY accounts_insert ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY accounts_update ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY contacts_select ON csm.contacts IS 'One''s own, those of accounts with contact_read, staff for business customers';
COMMENT ON POLICY contacts_write ON csm.contacts IS 'Staff with account_manage';
COMMENT ON POLICY account_relationships_select ON csm.account_relationships IS 'The customer''s managers, the partner''s people, staff for business customers';
COMMENT ON POLICY account_relationships_write ON csm.account_relationships IS 'Staff with account_manage';
COMMENT ON POLICY users_select ON csm.users IS 'Oneself; whoever reads one of the person''s personas; staff for internal service';
COMMENT ON POLICY users_insert ON csm.users IS 'Staff with person_manage';
COMMENT ON POLICY users_update ON csm.users IS 'Staff with person_manage';

-- Households and representation (V6): who speaks for whom among consumers.

CREATE TABLE csm.households (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    head_user_id bigint,
    CONSTRAINT households_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT households_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT households_head_fkey FOREIGN KEY (head_user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT households_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX households_head_idx ON csm.households (head_user_id);
SELECT csm_private.adopt_table('csm.households');
SELECT csm_private.signal_on('csm.households', '{id,tenant_id,head_user_id}', 'household', 'id', 'user', 'head_user_id');

CREATE TABLE csm.household_members (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    household_id bigint NOT NULL,
    user_id bigint NOT NULL,
    valid_during tstzrange,
    CONSTRAINT household_members_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT household_members_household_fkey FOREIGN KEY (household_id, tenant_id)
        REFERENCES csm.households (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT household_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT household_members_once EXCLUDE USING gist (household_id WITH =, user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX household_members_user_idx ON csm.household_members (user_id);
SELECT csm_private.adopt_table('csm.household_members');
SELECT csm_private.signal_on('csm.household_members', '{household_id,user_id,valid_during,tenant_id}',
                             'household', 'household_id', 'user', 'user_id');

CREATE TABLE csm.representations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    representative_id bigint NOT NULL,
    represented_id bigint NOT NULL,
    household_id bigint,
    valid_during tstzrange,
    CONSTRAINT representations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT representations_representative_fkey FOREIGN KEY (representative_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT representations_represented_fkey FOREIGN KEY (represented_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT representations_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT representations_self_check CHECK (representative_id <> represented_id),
    CONSTRAINT representations_once EXCLUDE USING gist (representative_id WITH =, represented_id WITH =,
        (coalesce(household_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX representations_represented_idx ON csm.representations (represented_id);
CREATE INDEX representations_household_idx ON csm.representations (household_id);
SELECT csm_private.adopt_table('csm.representations');
SELECT csm_private.signal_on('csm.representations',
                             '{representative_id,represented_id,household_id,valid_during,tenant_id}',
                             'user', 'representative_id');

CREATE POLICY households_select ON csm.households FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.household_allows(id, 'case_read') OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY household_members_select ON csm.household_members FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.household_allows(household_id, 'case_read')
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY representations_select ON csm.representations FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (representative_id = csm.current_user_id() OR represented_id = csm.current_user_id()
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY households_write ON csm.households FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
CREATE POLICY household_members_write ON csm.household_members FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
CREATE POLICY representations_write ON csm.representations FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
GRANT SELECT ON csm.households, csm.household_members, csm.representations TO csm_portal, csm_agent, csm_admin;
GRANT SELECT ON csm.household_members, csm.representations TO csm_reporter;
GRANT SELECT (id, tenant_id) ON csm.households TO csm_reporter;
GRANT INSERT, UPDATE, DELETE ON csm.households, csm.household_members, csm.representations TO csm_agent, csm_admin;

COMMENT ON TABLE csm.households IS 'Consumers who live together; the head, himself a current member, speaks for current members (V6)';
COMMENT ON COLUMN csm.households.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.households.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.households.name IS 'Name that people read';
COMMENT ON COLUMN csm.households.head_user_id IS 'Head of household; counts while he is a current member; NULL for none';
COMMENT ON TABLE csm.household_members IS 'Membership of a household; one current row a person and household';
COMMENT ON COLUMN csm.household_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.household_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.household_members.household_id IS 'The household';
COMMENT ON COLUMN csm.household_members.user_id IS 'The member';
COMMENT ON COLUMN csm.household_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.representations IS 'One person speaks for another in consumer cases (V6)';
COMMENT ON COLUMN csm.representations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.representations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.representations.representative_id IS 'Who speaks';
COMMENT ON COLUMN csm.representations.represented_id IS 'For whom he speaks';
COMMENT ON COLUMN csm.representations.household_id IS 'Within a household: counts only while both are current members; NULL for any';
COMMENT ON COLUMN csm.representations.valid_during IS 'When the representation counts; NULL means always';
COMMENT ON POLICY households_select ON csm.households IS 'Its head, its team, staff for consumers';
COMMENT ON POLICY household_members_select ON csm.household_members IS 'Oneself, the head, the team, staff for consumers';
COMMENT ON POLICY representations_select ON csm.representations IS 'Both persons, staff for consumers';
COMMENT ON POLICY households_write ON csm.households IS 'Staff with person_manage';
COMMENT ON POLICY household_members_write ON csm.household_members IS 'Staff with person_manage';
COMMENT ON POLICY representations_write ON csm.representations IS 'Staff with person_manage';

-- Staff: roles and how far they reach, teams, groups, service organisations.

CREATE TABLE csm.service_organizations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    CONSTRAINT service_organizations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT service_organizations_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT service_organizations_parent_fkey FOREIGN KEY (parent_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT service_organizations_self_check CHECK (parent_id <> id),
    CONSTRAINT service_organizations_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX service_organizations_parent_idx ON csm.service_organizations (parent_id);
SELECT csm_private.adopt_table('csm.service_organizations');
SELECT csm_private.signal_on('csm.service_organizations', '{id,tenant_id,parent_id}', 'organization', 'tenant_id');

CREATE TABLE csm.service_organization_members (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    service_organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    excluded bigint[] NOT NULL DEFAULT '{}',
    valid_during tstzrange,
    CONSTRAINT service_organization_members_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT service_organization_members_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT service_organization_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT service_organization_members_once EXCLUDE USING gist (service_organization_id WITH =, user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX service_organization_members_user_idx ON csm.service_organization_members (user_id);
SELECT csm_private.adopt_table('csm.service_organization_members');
SELECT csm_private.signal_on('csm.service_organization_members',
    '{tenant_id,service_organization_id,user_id,excluded,valid_during}', 'user', 'user_id');

CREATE TABLE csm.user_roles (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    role text NOT NULL,
    branches text[],
    reach text,
    service_organization_id bigint,
    valid_during tstzrange,
    CONSTRAINT user_roles_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_roles_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_roles_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT user_roles_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT user_roles_branches_check CHECK (branches <@ '{b2b,b2c,internal}'::text[]),
    CONSTRAINT user_roles_reach_check CHECK (reach IN ('team', 'organization', 'all')),
    CONSTRAINT user_roles_once EXCLUDE USING gist (user_id WITH =, role WITH =,
        (coalesce(service_organization_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX user_roles_user_idx ON csm.user_roles (user_id);
SELECT csm_private.adopt_table('csm.user_roles');
SELECT csm_private.signal_on('csm.user_roles',
    '{tenant_id,user_id,role,branches,reach,service_organization_id,valid_during}', 'user', 'user_id');
CREATE TRIGGER user_roles_10_role BEFORE INSERT OR UPDATE OF role ON csm.user_roles
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_role_kind('staff');

CREATE TABLE csm.account_team (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    household_id bigint,
    member_id bigint NOT NULL,
    responsibility text NOT NULL DEFAULT 'relationship_manager',
    valid_during tstzrange,
    CONSTRAINT account_team_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_team_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_team_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT account_team_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT account_team_member_fkey FOREIGN KEY (member_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT account_team_one_target CHECK (num_nonnulls(account_id, user_id, household_id) = 1),
    CONSTRAINT account_team_once EXCLUDE USING gist (member_id WITH =, (coalesce(account_id, 0)) WITH =,
        (coalesce(user_id, 0)) WITH =, (coalesce(household_id, 0)) WITH =, responsibility WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX account_team_member_idx ON csm.account_team (member_id);
CREATE INDEX account_team_account_idx ON csm.account_team (account_id);
SELECT csm_private.adopt_table('csm.account_team');
SELECT csm_private.signal_on('csm.account_team',
    '{tenant_id,account_id,user_id,household_id,member_id,valid_during}', 'user', 'member_id');

CREATE TABLE csm.groups (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    CONSTRAINT groups_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT groups_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT groups_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT groups_self_check CHECK (parent_id <> id),
    CONSTRAINT groups_name_key UNIQUE (tenant_id, name),
    CONSTRAINT groups_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
SELECT csm_private.adopt_table('csm.groups');

CREATE TABLE csm.group_members (
    group_id bigint NOT NULL,
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    CONSTRAINT group_members_pkey PRIMARY KEY (group_id, user_id, tenant_id),
    CONSTRAINT group_members_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT group_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id)
);
CREATE INDEX group_members_user_idx ON csm.group_members (user_id);
SELECT csm_private.adopt_table('csm.group_members');

-- Configuration of the desk: staff read it, administrators write it.  A portal
-- role has no grant here at all.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{service_organizations,service_organization_members,groups,group_members}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read the desk of their tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;
CREATE POLICY user_roles_select ON csm.user_roles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'person_manage')
           OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY user_roles_write ON csm.user_roles FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.user_roles TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.user_roles TO csm_admin;
CREATE POLICY account_team_select ON csm.account_team FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (member_id = csm.current_user_id() OR csm.account_allows(account_id, 'contact_read')
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY account_team_write ON csm.account_team FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
GRANT SELECT ON csm.account_team TO csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.account_team TO csm_agent, csm_admin;

COMMENT ON TABLE csm.service_organizations IS 'Stores, branches and other places that give service, in a tree';
COMMENT ON COLUMN csm.service_organizations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organizations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organizations.name IS 'Name that people read';
COMMENT ON COLUMN csm.service_organizations.parent_id IS 'Organisation above; NULL at the top';
COMMENT ON TABLE csm.service_organization_members IS 'Staff of a service organisation: reach organization covers it and what lies below, less what is excluded (V9)';
COMMENT ON COLUMN csm.service_organization_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organization_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organization_members.service_organization_id IS 'The organisation';
COMMENT ON COLUMN csm.service_organization_members.user_id IS 'The person';
COMMENT ON COLUMN csm.service_organization_members.excluded IS 'Organisations left out with everything below them';
COMMENT ON COLUMN csm.service_organization_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.user_roles IS 'Staff personas: staff:<role>; they count under csm_agent, csm_reporter and csm_admin only (V9)';
COMMENT ON COLUMN csm.user_roles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_roles.user_id IS 'The person';
COMMENT ON COLUMN csm.user_roles.role IS 'Role of kind staff; one of another kind is refused';
COMMENT ON COLUMN csm.user_roles.branches IS 'Narrows the branches of the role; NULL keeps them';
COMMENT ON COLUMN csm.user_roles.reach IS 'Replaces the reach of the role''s permissions (not own); NULL keeps it';
COMMENT ON COLUMN csm.user_roles.service_organization_id IS 'With reach organization: this organisation and what lies below, beside the memberships; NULL for those alone';
COMMENT ON COLUMN csm.user_roles.valid_during IS 'When the role counts; NULL means always';
COMMENT ON TABLE csm.account_team IS 'Who looks after an account, a person or a household: reach team (V9)';
COMMENT ON COLUMN csm.account_team.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_team.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_team.account_id IS 'The account; exactly one of account, user and household is set';
COMMENT ON COLUMN csm.account_team.user_id IS 'The person (his b2c cases)';
COMMENT ON COLUMN csm.account_team.household_id IS 'The household (its cases and those of its current members)';
COMMENT ON COLUMN csm.account_team.member_id IS 'Who looks after it';
COMMENT ON COLUMN csm.account_team.responsibility IS 'In which function';
COMMENT ON COLUMN csm.account_team.valid_during IS 'When it counts; NULL means always';
COMMENT ON TABLE csm.groups IS 'Groups of staff to which cases are assigned; give no sight of cases';
COMMENT ON COLUMN csm.groups.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.groups.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.groups.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.groups.parent_id IS 'Group above; NULL at the top';
COMMENT ON TABLE csm.group_members IS 'Members of a group';
COMMENT ON COLUMN csm.group_members.group_id IS 'The group';
COMMENT ON COLUMN csm.group_members.user_id IS 'The person';
COMMENT ON COLUMN csm.group_members.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY user_roles_select ON csm.user_roles IS 'One''s own; staff with person_manage; administrators';
COMMENT ON POLICY user_roles_write ON csm.user_roles IS 'Administrators';
COMMENT ON POLICY account_team_select ON csm.account_team IS 'Members, and staff who read the account''s contacts';
COMMENT ON POLICY account_team_write ON csm.account_team IS 'Staff with account_manage';

-- A minimal catalogue of what is sold and serviced.

CREATE TABLE csm.products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT products_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT products_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT products_self_check CHECK (parent_id <> id),
    CONSTRAINT products_name_key UNIQUE NULLS NOT DISTINCT (tenant_id, parent_id, name),
    CONSTRAINT products_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
SELECT csm_private.adopt_table('csm.products');

CREATE POLICY products_select ON csm.products FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY products_write ON csm.products FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'b2b', 'product_manage'));
GRANT SELECT ON csm.products TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT (name, parent_id, active), UPDATE (name, parent_id, active) ON csm.products TO csm_agent, csm_admin;

COMMENT ON TABLE csm.products IS 'Catalogue of products and services, in a tree; a sub-product names its product as parent';
COMMENT ON COLUMN csm.products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.products.name IS 'Name, unique below its parent';
COMMENT ON COLUMN csm.products.parent_id IS 'Product above; NULL at the top';
COMMENT ON COLUMN csm.products.active IS 'False: not offered for new cases';
COMMENT ON POLICY products_select ON csm.products IS 'Everyone signed in reads the catalogue of his tenant';
COMMENT ON POLICY products_write ON csm.products IS 'Administrators, and staff with product_manage';

-- Case types and their state machines: data, enforced by csm_private.case_guard
-- (src/csm_lifecycle.c) for whoever writes.

CREATE TABLE csm.case_types (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    parent_type text,
    label text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    shipped boolean NOT NULL DEFAULT false,
    CONSTRAINT case_types_pkey PRIMARY KEY (case_type, tenant_id),
    CONSTRAINT case_types_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT case_types_parent_fkey FOREIGN KEY (parent_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT case_types_key_check CHECK (case_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_types_self_check CHECK (parent_type <> case_type)
);
SELECT csm_private.adopt_table('csm.case_types');
SELECT csm_private.signal_on('csm.case_types', '{tenant_id,case_type,parent_type,active}', 'machine', 'tenant_id');

CREATE TABLE csm.case_states (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    state text NOT NULL,
    value integer NOT NULL,
    state_class text NOT NULL,
    label text NOT NULL,
    CONSTRAINT case_states_pkey PRIMARY KEY (case_type, state, tenant_id),
    CONSTRAINT case_states_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_states_value_key UNIQUE (tenant_id, case_type, value),
    CONSTRAINT case_states_key_check CHECK (state ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_states_class_check CHECK (state_class IN
        ('draft', 'new', 'open', 'waiting', 'resolved', 'closed', 'cancelled'))
);
SELECT csm_private.adopt_table('csm.case_states');
SELECT csm_private.signal_on('csm.case_states', '{tenant_id,case_type,state,state_class}', 'machine', 'tenant_id');

CREATE TABLE csm.case_transitions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    from_state text NOT NULL,
    action text NOT NULL,
    to_state text NOT NULL,
    actors text[] NOT NULL,
    required_fields text[] NOT NULL DEFAULT '{}',
    note_required boolean NOT NULL DEFAULT false,
    effects jsonb NOT NULL DEFAULT '{}',
    label text NOT NULL,
    CONSTRAINT case_transitions_pkey PRIMARY KEY (case_type, from_state, action, tenant_id),
    CONSTRAINT case_transitions_from_fkey FOREIGN KEY (case_type, from_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_to_fkey FOREIGN KEY (case_type, to_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_action_check CHECK (action ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_transitions_actors_check CHECK (cardinality(actors) > 0 AND actors <@
        '{requester,customer,claimant,respondent,partner,agent,assignee,manager,system}'::text[]),
    CONSTRAINT case_transitions_required_check CHECK (required_fields <@
        '{subject,description,priority,resolution_code,resolution_notes,assigned_to,assigned_group_id,product_id,account_id,asset_id}'::text[]),
    CONSTRAINT case_transitions_effects_check CHECK (jsonb_typeof(effects) = 'object')
);
SELECT csm_private.adopt_table('csm.case_transitions');
SELECT csm_private.signal_on('csm.case_transitions',
    '{tenant_id,case_type,from_state,action,to_state,actors,required_fields,note_required,effects}', 'machine', 'tenant_id');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{case_types,case_states,case_transitions}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Everyone signed in reads the machines of his tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_portal, csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.case_types IS 'Kinds of case; each has a state machine of its own';
COMMENT ON COLUMN csm.case_types.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_types.case_type IS 'Key of the type';
COMMENT ON COLUMN csm.case_types.parent_type IS 'Type whose states and transitions hold where this one has none of its own; NULL for none';
COMMENT ON COLUMN csm.case_types.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_types.active IS 'False: no new case of the type';
COMMENT ON COLUMN csm.case_types.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON TABLE csm.case_states IS 'States of a case type';
COMMENT ON COLUMN csm.case_states.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_states.case_type IS 'The type';
COMMENT ON COLUMN csm.case_states.state IS 'Key of the state';
COMMENT ON COLUMN csm.case_states.value IS 'Number by which other systems know the state';
COMMENT ON COLUMN csm.case_states.state_class IS 'What the state means to timers, SLAs and reports: draft, new, open, waiting, resolved, closed or cancelled';
COMMENT ON COLUMN csm.case_states.label IS 'Name that people read';
COMMENT ON TABLE csm.case_transitions IS 'From which state which action leads where, who may take it, and what it demands';
COMMENT ON COLUMN csm.case_transitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_transitions.case_type IS 'The type';
COMMENT ON COLUMN csm.case_transitions.from_state IS 'State in which the action can be taken';
COMMENT ON COLUMN csm.case_transitions.action IS 'Key of the action; one that leads back to from_state changes fields only';
COMMENT ON COLUMN csm.case_transitions.to_state IS 'State to which it leads';
COMMENT ON COLUMN csm.case_transitions.actors IS 'Relations to the case that may take it; any one suffices';
COMMENT ON COLUMN csm.case_transitions.required_fields IS 'Columns of the case that must not be null or blank afterwards; SM003 otherwise';
COMMENT ON COLUMN csm.case_transitions.note_required IS 'True: csm.act() demands a note (SM003); it becomes a shared entry';
COMMENT ON COLUMN csm.case_transitions.effects IS 'What the action sets, a JSON object. Key: a column (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, resolution_code, resolution_notes) or "actor:column" for one relation, which goes before the plain key; "note" offers the note. Value: text in the column''s input form, null clears. A value that the caller writes in the same statement goes first';
COMMENT ON COLUMN csm.case_transitions.label IS 'Caption of the button';

-- Cases, what is said on them, and with whom they are shared.

-- What policies and lists read stands first, NOT NULL and of fixed width before
-- the rest: a row is unpacked only as far as it is read.
CREATE TABLE csm.cases (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    requester_id bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_id bigint,
    opened_by bigint,
    submitted_at timestamptz,
    branch text NOT NULL,
    state_class text NOT NULL,
    state text NOT NULL,
    party_keys bigint[] GENERATED ALWAYS AS (csm_private.party_keys(partner_account_id, partner_contact_id, household_id,
        internal_contact_id, service_organization_id, counterparty_account_id, counterparty_contact_id)) STORED,
    number text NOT NULL,
    case_type text NOT NULL DEFAULT 'case',
    priority smallint NOT NULL DEFAULT 4,
    impact smallint NOT NULL DEFAULT 3,
    urgency smallint NOT NULL DEFAULT 3,
    subject text NOT NULL,
    description text,
    language text NOT NULL DEFAULT 'english',
    channel text NOT NULL DEFAULT 'web',
    household_id bigint,
    counterparty_account_id bigint,
    counterparty_contact_id bigint,
    partner_account_id bigint,
    partner_contact_id bigint,
    internal_contact_id bigint,
    service_organization_id bigint,
    product_id bigint,
    asset_id bigint,
    entitlement_id bigint,
    assigned_group_id bigint,
    assigned_to bigint,
    parent_id bigint,
    resolution_code text,
    resolution_notes text,
    needs_attention boolean NOT NULL DEFAULT false,
    attributes jsonb NOT NULL DEFAULT '{}',
    search tsvector,
    idempotency_key text,
    resolved_at timestamptz,
    closed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_response_at timestamptz,
    reopen_count integer NOT NULL DEFAULT 0,
    reassignment_count integer NOT NULL DEFAULT 0,
    CONSTRAINT cases_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT cases_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT cases_type_fkey FOREIGN KEY (case_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT cases_requester_fkey FOREIGN KEY (requester_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT cases_counterparty_account_fkey FOREIGN KEY (counterparty_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_counterparty_contact_fkey FOREIGN KEY (counterparty_contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT cases_partner_account_fkey FOREIGN KEY (partner_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_partner_contact_fkey FOREIGN KEY (partner_contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT cases_internal_contact_fkey FOREIGN KEY (internal_contact_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_organization_fkey FOREIGN KEY (service_organization_id, tenant_id) REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT cases_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT cases_group_fkey FOREIGN KEY (assigned_group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT cases_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT cases_number_key UNIQUE (tenant_id, number),
    CONSTRAINT cases_idempotency_key UNIQUE (opened_by, idempotency_key),
    CONSTRAINT cases_branch_check CHECK (branch IN ('b2b', 'b2c', 'internal')),
    CONSTRAINT cases_customer_check CHECK ((branch = 'b2b') = (account_id IS NOT NULL) AND (household_id IS NULL OR branch = 'b2c')),
    CONSTRAINT cases_counterparty_check CHECK (counterparty_account_id <> account_id),
    CONSTRAINT cases_named_contact_check CHECK ((counterparty_contact_id IS NULL OR counterparty_account_id IS NOT NULL)
        AND (partner_contact_id IS NULL OR partner_account_id IS NOT NULL)
        AND (partner_account_id IS NULL OR account_id IS NOT NULL)),
    CONSTRAINT cases_class_check CHECK (state_class IN ('draft', 'new', 'open', 'waiting', 'resolved', 'closed', 'cancelled')),
    CONSTRAINT cases_priority_check CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT cases_impact_check CHECK (impact BETWEEN 1 AND 3 AND urgency BETWEEN 1 AND 3),
    CONSTRAINT cases_subject_check CHECK (length(subject) BETWEEN 1 AND 400 AND subject !~ '^[[:space:]]*$'),
    CONSTRAINT cases_text_check CHECK (length(description) <= 100000 AND length(resolution_notes) <= 100000
        AND length(resolution_code) <= 100 AND length(channel) BETWEEN 1 AND 40 AND length(language) <= 63
        AND length(idempotency_key) <= 200 AND length(number) BETWEEN 1 AND 40),
    CONSTRAINT cases_attributes_check CHECK (jsonb_typeof(attributes) = 'object' AND pg_column_size(attributes) <= 65536),
    CONSTRAINT cases_self_check CHECK (parent_id <> id)
);
-- One index an arm of the rule below (the key of the predicate first, then the
-- order in which lists are read), and the orders in which those who see all
-- read.
CREATE INDEX cases_newest_idx ON csm.cases (tenant_id, opened_at DESC, id DESC);
CREATE INDEX cases_account_idx ON csm.cases (account_id, opened_at);
CREATE INDEX cases_requester_idx ON csm.cases (requester_id, opened_at);
CREATE INDEX cases_opened_by_idx ON csm.cases (opened_by);
-- Without fast update: a pending list would be read through by every look-up.
CREATE INDEX cases_party_idx ON csm.cases USING gin (party_keys) WITH (fastupdate = off) WHERE party_keys IS NOT NULL;
CREATE INDEX cases_parent_idx ON csm.cases (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX cases_assigned_to_idx ON csm.cases (assigned_to) WHERE assigned_to IS NOT NULL;
CREATE INDEX cases_search_idx ON csm.cases USING gin (search);
DO $$
BEGIN
    EXECUTE format('CREATE INDEX cases_subject_trgm_idx ON csm.cases USING gin (subject %s.gin_trgm_ops)',
                   csm_private.schema_of('pg_trgm'));
END $$;
-- Every plan reads the statistics of the keys.  A row of pg_statistic below
-- 2 kB is not compressed and is read in a tenth of the time; an array column
-- keeps ten elements for each unit of its target.
ALTER TABLE csm.cases
    ALTER id SET STATISTICS 60, ALTER account_id SET STATISTICS 60, ALTER requester_id SET STATISTICS 60,
    ALTER opened_by SET STATISTICS 60, ALTER party_keys SET STATISTICS 6;
SELECT csm_private.adopt_table('csm.cases');

CREATE TABLE csm.case_parties (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    user_id bigint,
    account_id bigint,
    capabilities text[] NOT NULL DEFAULT '{case_read}',
    granted_by bigint DEFAULT csm.current_user_id(),
    valid_during tstzrange,
    CONSTRAINT case_parties_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_parties_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_parties_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_parties_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT case_parties_granted_by_fkey FOREIGN KEY (granted_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_parties_one_party CHECK (num_nonnulls(user_id, account_id) = 1),
    CONSTRAINT case_parties_capabilities_check CHECK (capabilities <@ '{case_read,case_comment,case_decide}'::text[]
        AND 'case_read' = ANY (capabilities)),
    CONSTRAINT case_parties_once EXCLUDE USING gist (case_id WITH =, (coalesce(user_id, 0)) WITH =,
        (coalesce(account_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX case_parties_user_idx ON csm.case_parties (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX case_parties_account_idx ON csm.case_parties (account_id) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_parties');
SELECT csm_private.signal_on('csm.case_parties',
    '{tenant_id,case_id,user_id,account_id,capabilities,valid_during}', 'user', 'user_id', 'party', 'account_id');

CREATE TABLE csm.case_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    branch text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    visibility text NOT NULL DEFAULT 'shared',
    side text NOT NULL,
    body text NOT NULL,
    idempotency_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_entries_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_entries_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_entries_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_entries_idempotency_key UNIQUE (case_id, author_id, idempotency_key),
    CONSTRAINT case_entries_visibility_check CHECK (visibility IN ('shared', 'internal', 'private')),
    CONSTRAINT case_entries_side_check CHECK (side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT case_entries_body_check CHECK (length(body) BETWEEN 1 AND 100000 AND length(idempotency_key) <= 200)
);
CREATE INDEX case_entries_case_idx ON csm.case_entries (case_id, created_at);
CREATE INDEX case_entries_feed_idx ON csm.case_entries (tenant_id, created_at DESC);
SELECT csm_private.adopt_table('csm.case_entries');

CREATE TABLE csm.case_internal (
    case_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attributes jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT case_internal_pkey PRIMARY KEY (case_id, tenant_id),
    CONSTRAINT case_internal_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_internal_attributes_check CHECK (jsonb_typeof(attributes) = 'object')
);
SELECT csm_private.adopt_table('csm.case_internal');

CREATE TABLE csm.case_side_fields (
    case_id bigint NOT NULL,
    side text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attributes jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT case_side_fields_pkey PRIMARY KEY (case_id, side, tenant_id),
    CONSTRAINT case_side_fields_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_side_fields_side_check CHECK (side IN ('customer', 'counterparty')),
    CONSTRAINT case_side_fields_attributes_check CHECK (jsonb_typeof(attributes) = 'object')
);
SELECT csm_private.adopt_table('csm.case_side_fields');

COMMENT ON TABLE csm.cases IS 'Cases. Rows are never deleted; closed ones never change. State changes are judged by the machine of the case type, whoever writes';
COMMENT ON COLUMN csm.cases.id IS 'Identity, unique in the database; tells the volume of cases to whoever sees two of them';
COMMENT ON COLUMN csm.cases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.cases.number IS 'Human-facing number, unique in the tenant; made from the id (CS0000042) when not given';
COMMENT ON COLUMN csm.cases.branch IS 'b2b, b2c or internal: set at creation from the requester''s persona, never changed';
COMMENT ON COLUMN csm.cases.case_type IS 'Type, and with it the machine';
COMMENT ON COLUMN csm.cases.state IS 'State of the machine';
COMMENT ON COLUMN csm.cases.state_class IS 'Class of the state, copied from csm.case_states';
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.subject IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.cases.description IS 'The matter, up to 100,000 characters; NULL for none';
COMMENT ON COLUMN csm.cases.language IS 'Text search configuration for search, such as english; an unknown one counts as simple';
COMMENT ON COLUMN csm.cases.channel IS 'How it came in: web, phone, email, chat, ...';
COMMENT ON COLUMN csm.cases.requester_id IS 'For whom the case is; the caller by default';
COMMENT ON COLUMN csm.cases.opened_by IS 'Who opened it; NULL for the system';
COMMENT ON COLUMN csm.cases.account_id IS 'Customer account of a b2b case; the caller''s home account by default';
COMMENT ON COLUMN csm.cases.household_id IS 'Household of a b2c case';
COMMENT ON COLUMN csm.cases.counterparty_account_id IS 'The other company of a dispute; sees the case from submission on (V8)';
COMMENT ON COLUMN csm.cases.counterparty_contact_id IS 'Contact named for the other company';
COMMENT ON COLUMN csm.cases.partner_account_id IS 'Partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.partner_contact_id IS 'Contact of the partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.internal_contact_id IS 'Employee who speaks for the customer';
COMMENT ON COLUMN csm.cases.service_organization_id IS 'Service organisation that the case belongs to (V9)';
COMMENT ON COLUMN csm.cases.product_id IS 'Product concerned';
COMMENT ON COLUMN csm.cases.asset_id IS 'Install-base item concerned';
COMMENT ON COLUMN csm.cases.entitlement_id IS 'Entitlement under which the case is worked';
COMMENT ON COLUMN csm.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm.cases.assigned_to IS 'Person who works on it';
COMMENT ON COLUMN csm.cases.parent_id IS 'Major case or case it follows up';
COMMENT ON COLUMN csm.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm.cases.resolution_notes IS 'The proposed solution, read by the customer';
COMMENT ON COLUMN csm.cases.needs_attention IS 'The customer, or somebody beside the assignee, said something new';
COMMENT ON COLUMN csm.cases.attributes IS 'Fields of the case type that every party to the case may read, a JSON object';
COMMENT ON COLUMN csm.cases.party_keys IS 'Partner, household, internal contact, service organisation and counterparty as keys for the policy (id * 8 + kind); NULL for none';
COMMENT ON COLUMN csm.cases.search IS 'Words of number, subject and description, for csm.matches(); kept by trigger';
COMMENT ON COLUMN csm.cases.idempotency_key IS 'Given by the client; the same opener and key return the first case';
COMMENT ON COLUMN csm.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm.cases.updated_at IS 'Last change of the row or new entry';
COMMENT ON COLUMN csm.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON TABLE csm.case_parties IS 'A case shared with a person or an account (V7)';
COMMENT ON COLUMN csm.case_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_parties.case_id IS 'The case';
COMMENT ON COLUMN csm.case_parties.user_id IS 'Person it is shared with; exactly one of user and account is set';
COMMENT ON COLUMN csm.case_parties.account_id IS 'Account it is shared with: all its current contacts';
COMMENT ON COLUMN csm.case_parties.capabilities IS 'case_read, and case_comment and case_decide where granted';
COMMENT ON COLUMN csm.case_parties.granted_by IS 'Who shared it; NULL for the system';
COMMENT ON COLUMN csm.case_parties.valid_during IS 'When the share counts; NULL means always';
COMMENT ON TABLE csm.case_entries IS 'Comments, work notes and private entries; append-only';
COMMENT ON COLUMN csm.case_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_entries.case_id IS 'The case';
COMMENT ON COLUMN csm.case_entries.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_entries.author_id IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.case_entries.author_name IS 'His name when he wrote it (V11)';
COMMENT ON COLUMN csm.case_entries.visibility IS 'shared: all who see the case; internal: staff who work on it; private: the author''s side and staff who work on it';
COMMENT ON COLUMN csm.case_entries.side IS 'Side of the author: customer, counterparty or operator';
COMMENT ON COLUMN csm.case_entries.body IS 'Text, up to 100,000 characters';
COMMENT ON COLUMN csm.case_entries.idempotency_key IS 'Given by the client; the same author and key on a case return the first entry';
COMMENT ON COLUMN csm.case_entries.created_at IS 'When it was written';
COMMENT ON TABLE csm.case_internal IS 'Fields of a case that only staff who work on it may read';
COMMENT ON COLUMN csm.case_internal.case_id IS 'The case';
COMMENT ON COLUMN csm.case_internal.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_internal.attributes IS 'Fields, a JSON object';
COMMENT ON TABLE csm.case_side_fields IS 'Fields of a case that one side and staff who work on it may read';
COMMENT ON COLUMN csm.case_side_fields.case_id IS 'The case';
COMMENT ON COLUMN csm.case_side_fields.side IS 'customer or counterparty';
COMMENT ON COLUMN csm.case_side_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_side_fields.attributes IS 'Fields, a JSON object';

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

-- May the portal open this case?  Checked after the trigger has filled in what
-- was left out; false for a hidden and for a missing reference alike, so that a
-- foreign key never speaks to a portal role.
CREATE FUNCTION csm_private.may_open(c csm.cases) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF me IS NULL OR c.opened_by IS DISTINCT FROM me OR c.asset_id IS NOT NULL THEN
        RETURN false;
    END IF;
    IF c.branch = 'b2b' THEN
        IF c.requester_id = me THEN
            -- V4 lets a partner's contact see what he opened; to open for a
            -- customer he needs the right on that account.
            IF NOT (csm.account_allows(c.account_id, 'case_create')
                    OR csm.opener_allows(me, 'b2b', c.account_id, 'case_create')
                       AND EXISTS (SELECT FROM csm.contacts k
                                   WHERE k.user_id = me AND k.account_id = c.account_id AND k.tenant_id = c.tenant_id
                                     AND k.login_enabled
                                     AND (k.valid_during IS NULL OR k.valid_during @> at_time))) THEN
                RETURN false;
            END IF;
        ELSIF NOT csm.account_allows(c.account_id, 'case_create')
              OR NOT EXISTS (SELECT FROM csm.contacts k
                             WHERE k.user_id = c.requester_id AND k.account_id = c.account_id
                               AND k.tenant_id = c.tenant_id
                               AND (k.valid_during IS NULL OR k.valid_during @> at_time)) THEN
            RETURN false;
        END IF;
    ELSIF NOT csm.requester_allows(c.requester_id, c.branch, NULL, 'case_create') THEN
        RETURN false;
    END IF;
    IF c.counterparty_account_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM csm.account_relationships r
                       WHERE r.tenant_id = c.tenant_id AND r.type = 'trades_with'
                         AND (r.partner_account_id, r.customer_account_id) IN
                             ((c.account_id, c.counterparty_account_id), (c.counterparty_account_id, c.account_id))
                         AND (r.valid_during IS NULL OR r.valid_during @> at_time)) THEN
        RETURN false;
    END IF;
    IF c.partner_account_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM csm.account_relationships r
                       WHERE r.tenant_id = c.tenant_id AND r.type = 'partner_of'
                         AND r.partner_account_id = c.partner_account_id
                         AND (r.valid_during IS NULL OR r.valid_during @> at_time)
                         AND (r.customer_account_id = c.account_id
                              OR r.include_descendants
                                 AND c.account_id IN (SELECT csm_private.subtree(r.customer_account_id, r.tenant_id)))) THEN
        RETURN false;
    END IF;
    IF c.partner_contact_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM csm.contacts k
                       WHERE k.id = c.partner_contact_id AND k.tenant_id = c.tenant_id
                         AND k.account_id = c.partner_account_id
                         AND (k.valid_during IS NULL OR k.valid_during @> at_time)) THEN
        RETURN false;
    END IF;
    RETURN c.product_id IS NULL
        OR EXISTS (SELECT FROM csm.products p WHERE p.id = c.product_id AND p.tenant_id = c.tenant_id AND p.active);
END $$;
ALTER FUNCTION csm_private.may_open(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_open(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_open(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';

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
    CREATE POLICY cases_insert ON csm.cases FOR INSERT TO csm_portal WITH CHECK (csm_private.may_open(cases));
    CREATE POLICY cases_insert_own ON csm.cases FOR INSERT TO csm_agent WITH CHECK (csm_private.may_open(cases));
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
CREATE POLICY case_parties_select ON csm.case_parties FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_parties.tenant_id));
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
              submitted_at, resolved_at, closed_at, updated_at, first_response_at, reopen_count, reassignment_count)
    ON csm.cases TO csm_reporter;
GRANT INSERT (case_type, subject, description, priority, channel, requester_id, account_id, counterparty_account_id,
              partner_account_id, partner_contact_id, product_id, asset_id, attributes) ON csm.cases TO csm_portal, csm_agent;
GRANT INSERT (household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language,
              assigned_group_id, assigned_to, parent_id),
      UPDATE (case_type, subject, description, priority, impact, urgency, language, channel, state, counterparty_contact_id,
              partner_account_id, partner_contact_id, internal_contact_id, service_organization_id, household_id, product_id,
              asset_id, entitlement_id, assigned_group_id, assigned_to, parent_id, resolution_code, resolution_notes,
              needs_attention, attributes) ON csm.cases TO csm_agent;
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
COMMENT ON POLICY case_parties_select ON csm.case_parties IS 'All who see the case';
COMMENT ON POLICY case_parties_write ON csm.case_parties IS 'Staff who work on the case';
COMMENT ON POLICY case_internal_all ON csm.case_internal IS 'Staff who work on the case';
COMMENT ON POLICY case_side_fields_select ON csm.case_side_fields IS 'One side, and staff who work on the case';

-- The triggers of cases and entries.  The machine is enforced in C for whoever
-- writes: src/csm_case_trigger.c, src/csm_entry_trigger.c, src/csm_lifecycle.c.
-- All are ordinary triggers: rows that a subscription applies were judged
-- where they were written.

CREATE FUNCTION csm_private.case_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_guard' LANGUAGE c;
COMMENT ON FUNCTION csm_private.case_guard() IS
'Trigger of csm.cases: fills in a new case, judges every change by the machine of the case type (42501, SM002, SM003, SM004), refuses DELETE and TRUNCATE';

CREATE FUNCTION csm_private.entry_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_guard' LANGUAGE c;
COMMENT ON FUNCTION csm_private.entry_guard() IS
'Trigger of csm.case_entries: author, name, side, branch and time of a new entry; SM004 on a closed case';

CREATE FUNCTION csm_private.append_only() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_append_only' LANGUAGE c;
COMMENT ON FUNCTION csm_private.append_only() IS
'Trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501)';

CREATE FUNCTION csm_private.case_actors(c csm.cases) RETURNS text[]
AS 'MODULE_PATHNAME', 'csm_case_actors_sql' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.case_actors(csm.cases) IS
'Relations of the current person to the case, as case_transitions.actors names them; empty for none';

CREATE FUNCTION csm_private.acts_as_system() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_acts_as_system_sql' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.acts_as_system() IS
'True for a write without identity by a role that row security does not bind';

CREATE FUNCTION csm_private.importing() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_importing_sql' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.importing() IS
'True while a superuser loads history with csm.importing = on';

CREATE FUNCTION csm_private.machine_type(tenant_id bigint, case_type text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_machine_type' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.machine_type(bigint, text) IS
'The type whose states and transitions hold for a case type: itself or its nearest ancestor that has states; NULL for an unknown type';

-- What csm's functions announce to the triggers.  An announcement is memory of
-- the backend, meets one write and ends with the transaction at the latest.
CREATE FUNCTION csm_private.begin_open(draft boolean, idempotency_key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_begin_open' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_open(boolean, text) IS
'Announces a new case: as draft or not, with a key or NULL; error 22023 for an empty key or one longer than 200 characters';

CREATE FUNCTION csm_private.end_open(c csm.cases) RETURNS csm.cases
AS 'MODULE_PATHNAME', 'csm_end_open' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_open(csm.cases) IS
'Ends the announcement of a new case that was not met; returns its argument';

CREATE FUNCTION csm_private.begin_act(c csm.cases, action text, note text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_begin_act' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text) IS
'Judges an action (42501, 22023, SM004, SM002) and announces it; returns the note to write, NULL for none';

CREATE FUNCTION csm_private.begin_note(case_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_note(bigint) IS
'Announces the note of an act: an entry that has no effects of its own';

CREATE FUNCTION csm_private.begin_entry(case_id bigint, visibility text, side text, author_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_entry' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';

CREATE FUNCTION csm_private.entry_is_note(entry_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_is_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';

-- The author cannot write the case, so its owner does.  The row is locked by
-- the UPDATE: of two comments at once, one waits.
CREATE FUNCTION csm_private.entry_effects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (csm_private.restoring() OR csm_private.importing() OR csm_private.entry_is_note(NEW.id)) THEN
        PERFORM csm_private.begin_entry(NEW.case_id, NEW.visibility, NEW.side, NEW.author_id);
        UPDATE csm.cases c SET updated_at = c.updated_at WHERE c.id = NEW.case_id AND c.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.entry_effects() IS
'Trigger of csm.case_entries: a customer''s shared comment resumes a waiting case, needs_attention, first_response_at, updated_at';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.case_guard()',
        'csm_private.entry_guard()',
        'csm_private.append_only()',
        'csm_private.case_actors(csm.cases)',
        'csm_private.acts_as_system()',
        'csm_private.importing()',
        'csm_private.machine_type(bigint, text)',
        'csm_private.begin_open(boolean, text)',
        'csm_private.end_open(csm.cases)',
        'csm_private.begin_act(csm.cases, text, text)',
        'csm_private.begin_note(bigint)',
        'csm_private.begin_entry(bigint, text, text, bigint)',
        'csm_private.entry_is_note(bigint)',
        'csm_private.entry_effects()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

CREATE TRIGGER cases_10_guard BEFORE INSERT OR UPDATE OR DELETE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_guard();
CREATE TRIGGER cases_10_guard_truncate BEFORE TRUNCATE ON csm.cases
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.case_guard();

CREATE TRIGGER case_entries_10_guard BEFORE INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_guard();
CREATE TRIGGER case_entries_10_append_only BEFORE UPDATE OR DELETE ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER case_entries_10_append_only_truncate BEFORE TRUNCATE ON csm.case_entries
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER case_entries_20_effects AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_effects();

-- What csm ships: templates, no rows.  csm.create_tenant() copies them, and
-- csm.refresh_shipped() merges what an update of csm changes here.

CREATE FUNCTION csm_private.shipped_roles()
RETURNS TABLE (role text, kind text, user_class text, label text, branches text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    VALUES
        ('person', 'person', 'external', 'Every enabled person', '{b2b,b2c,internal}'::text[]),
        ('customer', 'contact', 'external', 'Contact', '{b2b}'),
        ('case_reader', 'contact', 'external', 'Contact who reads the account''s cases', '{b2b}'),
        ('case_manager', 'contact', 'external', 'Case manager of the customer', '{b2b}'),
        ('customer_admin', 'contact', 'external', 'Administrator of the customer', '{b2b}'),
        ('partner', 'contact', 'external', 'Partner', '{b2b}'),
        ('partner_admin', 'contact', 'external', 'Administrator of the partner', '{b2b}'),
        ('consumer', 'consumer', 'external', 'Consumer', '{b2c}'),
        ('agent', 'staff', 'fulfiller', 'Agent for business customers', '{b2b}'),
        ('consumer_agent', 'staff', 'fulfiller', 'Agent for consumers', '{b2c}'),
        ('manager', 'staff', 'fulfiller', 'Service manager', '{b2b,b2c,internal}'),
        ('relationship_agent', 'staff', 'fulfiller', 'Agent for the customers on whose team he is', '{b2b,b2c}'),
        ('location_agent', 'staff', 'fulfiller', 'Agent of a service organisation', '{b2b,b2c,internal}'),
        ('viewer', 'staff', 'stakeholder', 'Reader of all cases', '{b2b,b2c,internal}'),
        ('contributor', 'staff', 'stakeholder', 'Employee who opens cases for customers', '{b2b,b2c,internal}'),
        ('proxy', 'staff', 'stakeholder', 'Internal contact of a case', '{b2b,b2c,internal}'),
        ('admin', 'staff', 'fulfiller', 'Administrator of the desk', '{b2b,b2c,internal}');
END;

-- A permission with reach own is no licence to see: the rows decide what is own.
CREATE FUNCTION csm_private.shipped_permissions()
RETURNS TABLE (role text, action text, reach text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80
BEGIN ATOMIC
    SELECT p.role, a.action, p.reach
    FROM (VALUES
        ('person', 'own', '{case_read,case_comment,case_create,case_decide}'::text[]),
        ('customer', 'account', '{product_read,entitlement_read}'),
        ('case_reader', 'account', '{case_read,product_read,entitlement_read}'),
        ('case_manager', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('customer_admin', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('customer_admin', 'subtree', '{contact_manage,product_manage}'),
        -- cases that name a partner's contact are his through partner_contact_id
        ('partner', 'account', '{product_read,entitlement_read}'),
        ('partner', 'related', '{case_create}'),
        ('partner_admin', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('partner_admin', 'subtree', '{contact_manage,product_manage}'),
        ('partner_admin', 'related', '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage}'),
        ('consumer', 'own', '{product_read}'),
        -- staff never decide for the customer
        ('agent', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('consumer_agent', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('manager', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('manager', 'all', '{account_manage,person_manage,product_manage}'),
        ('relationship_agent', 'team', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('location_agent', 'organization', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('viewer', 'all', '{case_read,contact_read,product_read,entitlement_read}'),
        ('contributor', 'all', '{case_create}'),
        ('contributor', 'own', '{case_read,case_comment,case_decide}'),
        ('proxy', 'own', '{case_read,case_comment,case_decide}'),
        ('admin', 'all', '{configure}')
    ) AS p(role, reach, actions), unnest(p.actions) AS a(action);
END;

CREATE FUNCTION csm_private.shipped_case_types()
RETURNS TABLE (case_type text, parent_type text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    VALUES ('case', NULL::text, 'Case');
END;

CREATE FUNCTION csm_private.shipped_case_states()
RETURNS TABLE (case_type text, state text, value integer, state_class text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('case', 'draft', 0, 'draft', 'Draft'),
        ('case', 'new', 1, 'new', 'New'),
        ('case', 'open', 10, 'open', 'Open'),
        ('case', 'awaiting_info', 18, 'waiting', 'Awaiting info'),
        ('case', 'resolved', 6, 'resolved', 'Resolved'),
        ('case', 'closed', 3, 'closed', 'Closed'),
        ('case', 'cancelled', 7, 'cancelled', 'Cancelled');
END;

CREATE FUNCTION csm_private.shipped_case_transitions()
RETURNS TABLE (case_type text, from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
    SELECT 'case', f.from_state, t.action, coalesce(t.to_state, f.from_state), t.actors,
           t.required_fields, t.note_required, t.effects, t.label
    FROM (VALUES
        ('{draft}'::text[], 'submit', 'new', '{requester,agent}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('{draft}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('{new}', 'take', 'open', '{agent}', '{}', false, '{}', 'Assign to me'),
        ('{new,open,awaiting_info}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('{open}', 'request_info', 'awaiting_info', '{agent}', '{}', true, '{}', 'Request info'),
        ('{awaiting_info}', 'resume', 'open', '{agent,customer}', '{}', false, '{}', 'Resume'),
        ('{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_code,resolution_notes}', false, '{}', 'Propose solution'),
        ('{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Accept solution'),
        ('{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Reject solution'),
        -- auto-close of a proposal that nobody answered
        ('{resolved}', 'close', 'closed', '{system}', '{}', false, '{}', 'Close'),
        ('{new,open,awaiting_info}', 'close', 'closed', '{agent,customer}', '{resolution_code,resolution_notes}', false,
            '{"customer:resolution_code": "Solved by customer", "customer:resolution_notes": "Closed by customer", "customer:note": "Closed by customer"}', 'Close'),
        ('{new}', 'cancel', 'cancelled', '{requester,manager}', '{}', false, '{}', 'Cancel'),
        ('{open,awaiting_info}', 'cancel', 'cancelled', '{manager}', '{}', false, '{}', 'Cancel')
    ) AS t(from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state);
END;

-- All of it in one form: one row for each thing that a tenant may change as a
-- whole.  A role is one thing with its permissions, so that a role which a
-- tenant narrowed is never widened behind his back.
CREATE FUNCTION csm_private.shipped_items()
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           to_jsonb(r) || jsonb_build_object('permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm_private.shipped_permissions() p WHERE p.role = r.role))
    FROM csm_private.shipped_roles() r
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type], to_jsonb(t) FROM csm_private.shipped_case_types() t
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) FROM csm_private.shipped_case_states() s
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t)
    FROM csm_private.shipped_case_transitions() t;
END;

-- The same form of what a tenant has now.
CREATE FUNCTION csm_private.tenant_items(tenant bigint)
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql STABLE STRICT ROWS 60
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           jsonb_build_object('role', r.role, 'kind', r.kind, 'user_class', r.user_class, 'label', r.label,
               'branches', r.branches, 'permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm.role_permissions p WHERE p.role = r.role AND p.tenant_id = r.tenant_id))
    FROM csm.roles r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type],
           jsonb_build_object('case_type', t.case_type, 'parent_type', t.parent_type, 'label', t.label)
    FROM csm.case_types t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) - 'tenant_id'
    FROM csm.case_states s WHERE s.tenant_id = tenant
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t) - 'tenant_id'
    FROM csm.case_transitions t WHERE t.tenant_id = tenant;
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_roles()', 'Roles that csm ships'),
        ('csm_private.shipped_permissions()', 'Permissions of the roles that csm ships'),
        ('csm_private.shipped_case_types()', 'Case types that csm ships'),
        ('csm_private.shipped_case_states()', 'States of the case types that csm ships'),
        ('csm_private.shipped_case_transitions()', 'Transitions of the case types that csm ships'),
        ('csm_private.shipped_items()', 'Everything that csm ships, one row for each thing that a tenant may change: role (with its permissions), case_type, case_state, case_transition'),
        ('csm_private.tenant_items(bigint)', 'What a tenant has, in the form of csm_private.shipped_items()')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;

-- Tenants: made, mapped to login roles, and brought up to date.
--
-- What only the DBA may do runs with the rights of its caller (SECURITY
-- INVOKER): a superuser or a member of csm_owner has them, nobody can lend
-- them, and no function need guess who called it.

-- What csm gave a tenant.  Base of the three-way merge in merge_shipped(): a
-- row that still is as csm gave it may be replaced, one that differs or is gone
-- is the tenant's own decision.
CREATE TABLE csm_private.shipped_copies (
    tenant_id bigint NOT NULL,
    kind text NOT NULL,
    key text[] NOT NULL,
    content jsonb NOT NULL,
    CONSTRAINT shipped_copies_pkey PRIMARY KEY (tenant_id, kind, key),
    CONSTRAINT shipped_copies_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.shipped_copies OWNER TO csm_owner;
REVOKE ALL ON csm_private.shipped_copies FROM PUBLIC;
ALTER TABLE csm_private.shipped_copies ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.shipped_copies', '');
COMMENT ON TABLE csm_private.shipped_copies IS 'What csm gave each tenant, to know at an update what the tenant has changed since';
COMMENT ON COLUMN csm_private.shipped_copies.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state or case_transition';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';

-- Puts one shipped thing into a tenant's tables, new or in place of the old.
-- False where it cannot stand: the state that a transition leads to is gone,
-- another state has its number.
CREATE FUNCTION csm_private.put_item(tenant bigint, kind text, content jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE kind
    WHEN 'role' THEN
        INSERT INTO csm.roles AS r (tenant_id, role, kind, user_class, label, branches, shipped)
        SELECT tenant, c.role, c.kind, c.user_class, c.label, c.branches, true
        FROM jsonb_to_record(content) AS c(role text, kind text, user_class text, label text, branches text[])
        ON CONFLICT ON CONSTRAINT roles_pkey DO UPDATE
            SET kind = excluded.kind, user_class = excluded.user_class, label = excluded.label,
                branches = excluded.branches, shipped = true;
        DELETE FROM csm.role_permissions p
        WHERE p.tenant_id = tenant AND p.role = content ->> 'role'
          AND NOT content -> 'permissions' ? (p.action || ' ' || p.reach);
        INSERT INTO csm.role_permissions (tenant_id, role, action, reach)
        SELECT tenant, content ->> 'role', split_part(p, ' ', 1), split_part(p, ' ', 2)
        FROM jsonb_array_elements_text(content -> 'permissions') AS p
        ON CONFLICT DO NOTHING;
    WHEN 'case_type' THEN
        IF content ->> 'parent_type' IS NOT NULL
           AND NOT EXISTS (SELECT FROM csm.case_types t
                           WHERE t.tenant_id = tenant AND t.case_type = content ->> 'parent_type') THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_types AS t (tenant_id, case_type, parent_type, label, shipped)
        VALUES (tenant, content ->> 'case_type', content ->> 'parent_type', content ->> 'label', true)
        ON CONFLICT ON CONSTRAINT case_types_pkey DO UPDATE
            SET parent_type = excluded.parent_type, label = excluded.label, shipped = true;
    WHEN 'case_state' THEN
        IF NOT EXISTS (SELECT FROM csm.case_types t
                       WHERE t.tenant_id = tenant AND t.case_type = content ->> 'case_type')
           OR EXISTS (SELECT FROM csm.case_states s
                      WHERE s.tenant_id = tenant AND s.case_type = content ->> 'case_type'
                        AND s.state <> content ->> 'state' AND s.value = (content ->> 'value')::integer) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_states AS s (tenant_id, case_type, state, value, state_class, label)
        SELECT tenant, c.case_type, c.state, c.value, c.state_class, c.label
        FROM jsonb_to_record(content) AS c(case_type text, state text, value integer, state_class text, label text)
        ON CONFLICT ON CONSTRAINT case_states_pkey DO UPDATE
            SET value = excluded.value, state_class = excluded.state_class, label = excluded.label;
    WHEN 'case_transition' THEN
        IF (SELECT count(DISTINCT s.state) FROM csm.case_states s
            WHERE s.tenant_id = tenant AND s.case_type = content ->> 'case_type'
              AND s.state IN (content ->> 'from_state', content ->> 'to_state'))
           < (CASE WHEN content ->> 'from_state' = content ->> 'to_state' THEN 1 ELSE 2 END) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_transitions AS t (tenant_id, case_type, from_state, action, to_state, actors,
                                               required_fields, note_required, effects, label)
        SELECT tenant, c.case_type, c.from_state, c.action, c.to_state, c.actors,
               c.required_fields, c.note_required, c.effects, c.label
        FROM jsonb_to_record(content) AS c(case_type text, from_state text, action text, to_state text, actors text[],
                                           required_fields text[], note_required boolean, effects jsonb, label text)
        ON CONFLICT ON CONSTRAINT case_transitions_pkey DO UPDATE
            SET to_state = excluded.to_state, actors = excluded.actors, required_fields = excluded.required_fields,
                note_required = excluded.note_required, effects = excluded.effects, label = excluded.label;
    END CASE;
    RETURN true;
END $$;

-- Three-way merge of what csm gave (base), what the tenant has (mine) and what
-- csm ships now (theirs), thing by thing.
CREATE FUNCTION csm_private.merge_shipped(tenant bigint)
RETURNS TABLE (kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item record;
    untouched boolean;
BEGIN
    PERFORM FROM csm.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    FOREACH kind IN ARRAY ARRAY['role', 'case_type', 'case_state', 'case_transition'] LOOP
        added := 0;
        changed := 0;
        removed := 0;
        kept := 0;
        FOR item IN
            SELECT key, b.content AS base, m.content AS mine, s.content AS theirs
            FROM (SELECT c.key, c.content FROM csm_private.shipped_copies c
                  WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind) b
            FULL JOIN (SELECT i.key, i.content FROM csm_private.shipped_items() i
                       WHERE i.kind = merge_shipped.kind) s USING (key)
            LEFT JOIN (SELECT i.key, i.content FROM csm_private.tenant_items(tenant) i
                       WHERE i.kind = merge_shipped.kind) m USING (key)
            -- a parent type before its children
            ORDER BY s.content ->> 'parent_type' NULLS FIRST, key
        LOOP
            -- Only what the base knew is compared: a later version may write more.
            untouched := item.mine IS NOT NULL AND item.base IS NOT NULL
                AND item.base = (SELECT jsonb_object_agg(k, item.mine -> k) FROM jsonb_object_keys(item.base) k);
            IF item.theirs IS NULL THEN
                -- No longer shipped.  A transition goes; what rows may name stays.
                IF untouched AND kind = 'case_transition' THEN
                    DELETE FROM csm.case_transitions t
                    WHERE t.tenant_id = tenant AND ARRAY[t.case_type, t.from_state, t.action] = item.key;
                    removed := removed + 1;
                ELSIF item.mine IS NOT NULL THEN
                    kept := kept + 1;
                END IF;
                DELETE FROM csm_private.shipped_copies c
                WHERE c.tenant_id = tenant AND c.kind = merge_shipped.kind AND c.key = item.key;
            ELSIF item.mine = item.theirs
                  OR untouched AND csm_private.put_item(tenant, kind, item.theirs)
                  OR item.base IS NULL AND item.mine IS NULL AND csm_private.put_item(tenant, kind, item.theirs) THEN
                added := added + (item.mine IS NULL)::integer;
                changed := changed + coalesce(item.mine <> item.theirs, false)::integer;
                INSERT INTO csm_private.shipped_copies AS c (tenant_id, kind, key, content)
                VALUES (tenant, merge_shipped.kind, item.key, item.theirs)
                ON CONFLICT ON CONSTRAINT shipped_copies_pkey DO UPDATE SET content = excluded.content
                    WHERE c.content <> excluded.content;
            ELSE
                kept := kept + 1;
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION csm.map_login(user_id bigint, role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login pg_roles;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to map a login role'
            USING ERRCODE = '42501', HINT = 'Only a superuser or a member of csm_owner may call csm.map_login().';
    END IF;
    IF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = map_login.user_id) THEN
        RAISE EXCEPTION 'there is no user %', coalesce(map_login.user_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.users.id.';
    END IF;
    IF role IS NOT NULL THEN
        SELECT * INTO login FROM pg_roles r WHERE r.rolname = role;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'role "%" does not exist', role USING ERRCODE = '42704', HINT = 'Create the role first.';
        ELSIF role IN ('csm_owner', 'csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
              OR role LIKE 'pg\_%' THEN
            RAISE EXCEPTION 'role "%" stands for many people and cannot be mapped to one', role
                USING ERRCODE = '22023', HINT = 'Create a role for this person, and grant it the csm role he needs.';
        ELSIF login.rolsuper OR login.rolbypassrls OR pg_has_role(login.oid, 'csm_owner', 'MEMBER') THEN
            RAISE EXCEPTION 'role "%" cannot be mapped: row-level security does not bind it', role
                USING ERRCODE = '42501',
                      DETAIL = 'It is a superuser, has BYPASSRLS, or is a member of csm_owner.',
                      HINT = 'Map an ordinary role.';
        ELSIF EXISTS (SELECT FROM csm.users u WHERE u.login_role = role AND u.id <> map_login.user_id) THEN
            RAISE EXCEPTION 'role "%" is mapped to another user', role
                USING ERRCODE = '23505',
                      DETAIL = format('It stands for user %s.', (SELECT u.id FROM csm.users u WHERE u.login_role = role)),
                      HINT = 'Unmap it there first: csm.map_login(user_id, NULL).';
        END IF;
    END IF;
    UPDATE csm.users u SET login_role = role
    WHERE u.id = map_login.user_id AND u.login_role IS DISTINCT FROM role;
END $$;

CREATE FUNCTION csm.create_tenant(key text, name text, admin_email text, admin_login_role text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    person bigint;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to create a tenant'
            USING ERRCODE = '42501', HINT = 'Only a superuser or a member of csm_owner may call csm.create_tenant().';
    ELSIF key IS NULL OR key !~ '^[a-z][a-z0-9_-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid tenant key %', coalesce(quote_literal(key), 'NULL')
            USING ERRCODE = '22023', HINT = 'Begin with a lower-case letter; then letters, digits, - and _, at most 63.';
    ELSIF EXISTS (SELECT FROM csm.tenants t WHERE t.key = create_tenant.key) THEN
        RAISE EXCEPTION 'tenant "%" exists already', key
            USING ERRCODE = '23505', HINT = 'Choose another key.';
    ELSIF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'the name of a tenant has 1 to 200 characters' USING ERRCODE = '22023';
    ELSIF admin_email IS NULL OR length(admin_email) > 320 OR admin_email !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN
        RAISE EXCEPTION 'invalid e-mail address %', coalesce(quote_literal(admin_email), 'NULL') USING ERRCODE = '22023';
    END IF;

    INSERT INTO csm.tenants AS t (key, name) VALUES (create_tenant.key, create_tenant.name) RETURNING t.id INTO tenant;
    PERFORM csm_private.merge_shipped(tenant);
    INSERT INTO csm.users AS u (tenant_id, display_name, email)
    VALUES (tenant, left(split_part(admin_email, '@', 1), 200), admin_email)
    RETURNING u.id INTO person;
    -- admin configures; manager makes the first accounts and people
    INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (tenant, person, 'admin'), (tenant, person, 'manager');
    IF admin_login_role IS NOT NULL THEN
        PERFORM csm.map_login(person, admin_login_role);
    END IF;
    RETURN tenant;
END $$;

CREATE FUNCTION csm.refresh_shipped(tenant_id bigint)
RETURNS TABLE (kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm.all_in(refresh_shipped.tenant_id, 'internal', 'configure') IS NOT TRUE THEN
        RAISE EXCEPTION 'permission denied to refresh tenant %', coalesce(refresh_shipped.tenant_id::text, 'NULL')
            USING ERRCODE = '42501',
                  HINT = 'An administrator refreshes his own tenant; a member of csm_owner calls csm.refresh_shipped().';
    END IF;
    RETURN QUERY SELECT * FROM csm_private.merge_shipped(refresh_shipped.tenant_id);
END $$;

CREATE FUNCTION csm.refresh_shipped()
RETURNS TABLE (tenant_id bigint, kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        FOR tenant_id IN SELECT t.id FROM csm.tenants t ORDER BY t.id LOOP
            RETURN QUERY SELECT refresh_shipped.tenant_id, m.* FROM csm_private.merge_shipped(refresh_shipped.tenant_id) m;
        END LOOP;
    ELSE
        RETURN QUERY SELECT csm.current_tenant_id(), m.* FROM csm.refresh_shipped(csm.current_tenant_id()) m;
    END IF;
END $$;

ALTER FUNCTION csm_private.put_item(bigint, text, jsonb) OWNER TO csm_owner;
ALTER FUNCTION csm_private.merge_shipped(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.map_login(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm.create_tenant(text, text, text, text) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.put_item(bigint, text, jsonb), csm_private.merge_shipped(bigint),
    csm.map_login(bigint, text), csm.create_tenant(text, text, text, text),
    csm.refresh_shipped(bigint), csm.refresh_shipped() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.refresh_shipped(bigint), csm.refresh_shipped() TO csm_admin;
COMMENT ON FUNCTION csm_private.put_item(bigint, text, jsonb) IS
'Writes one shipped thing into a tenant''s tables; false where what it refers to is missing or its number is taken';
COMMENT ON FUNCTION csm_private.merge_shipped(bigint) IS
'Brings one tenant up to what csm ships and keeps what he changed; no check of the caller';
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states and transitions, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions only), kept (differs from what csm ships)';

-- The verbs of a case.
--
-- csm.open_case() writes a plain INSERT with the caller's own rights, so that
-- who may open which case is said once, in policies and column privileges.  The
-- others write as csm_owner what the caller could not, and ask the rule of the
-- policies (csm_private.case_allows) and the machine first.

-- Runs as the caller.  Nobody can name it: csm.open_case() holds it by its
-- identity, and csm_private admits no role.
CREATE FUNCTION csm_private.open_case_row(announced boolean, subject text, description text, case_type text, account_id bigint,
    requester_id bigint, counterparty_account_id bigint, product_id bigint, asset_id bigint, priority integer,
    channel text, fields jsonb, idempotency_key text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    further CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id,household_id,internal_contact_id,
        service_organization_id,counterparty_contact_id,impact,urgency,language,assigned_group_id,assigned_to,parent_id}'::text[];
    for_everybody CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id}'::text[];
    me CONSTANT bigint := csm.current_user_id();
    unknown text;
    f csm.cases;
    c csm.cases;
    again boolean;
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject of the new case is null' USING ERRCODE = '22004', HINT = 'Say in one line what it is about.';
    ELSIF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;
    SELECT string_agg(k, ', ') INTO unknown FROM jsonb_object_keys(fields) k WHERE k <> ALL (further);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a case cannot be opened with the fields given' USING ERRCODE = '22023',
            DETAIL = format('Not among the fields: %s.', unknown),
            HINT = format('Fields are %s; the others have parameters of their own.', array_to_string(further, ', '));
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases e
        WHERE (e.opened_by = me OR me IS NULL AND e.opened_by IS NULL) AND e.idempotency_key = idempotency_key;
        again := FOUND;
    END IF;
    IF again IS NOT TRUE THEN
        -- Columns are named as far as everybody may write them, else all that
        -- staff may: PostgreSQL asks for the privilege on each that is named.
        -- The trigger fills in what is null.
        f := jsonb_populate_record(NULL::csm.cases, fields);
        IF fields - for_everybody = '{}' THEN
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        ELSE
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id, household_id, internal_contact_id,
                service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id, f.household_id, f.internal_contact_id,
                f.service_organization_id, f.counterparty_contact_id, f.impact, f.urgency, f.language, f.assigned_group_id, f.assigned_to, f.parent_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        END IF;
        IF c.id IS NULL THEN
            -- The same call came through another session a moment ago.
            SELECT * INTO c FROM csm.cases e WHERE e.opened_by = me AND e.idempotency_key = idempotency_key;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'idempotency key belongs to a case that you may not see any more' USING ERRCODE = '42501',
                    HINT = 'Use a new key for a new case.';
            END IF;
            again := true;
        END IF;
    END IF;
    IF again AND (c.subject, c.description, c.case_type) IS DISTINCT FROM (subject, description, coalesce(case_type, 'case')) THEN
        RAISE EXCEPTION 'idempotency key was used for another case' USING ERRCODE = 'SM006',
            DETAIL = format('Case %s has another subject, description or type.', c.number),
            HINT = 'Use a new key for a new case.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text)
    OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text),
    csm_private.begin_open(boolean, text), csm_private.end_open(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text) IS
'Body of csm.open_case(): the INSERT with the caller''s rights, or the case that the key opened before';

CREATE FUNCTION csm.open_case(subject text, description text DEFAULT NULL, case_type text DEFAULT 'case',
    account_id bigint DEFAULT NULL, requester_id bigint DEFAULT NULL, counterparty_account_id bigint DEFAULT NULL,
    product_id bigint DEFAULT NULL, asset_id bigint DEFAULT NULL, priority integer DEFAULT 4, channel text DEFAULT 'web',
    fields jsonb DEFAULT '{}', draft boolean DEFAULT false, idempotency_key text DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.end_open(csm_private.open_case_row(
        csm_private.begin_open(draft, idempotency_key), subject, description, case_type, account_id, requester_id,
        counterparty_account_id, product_id, asset_id, priority, channel, fields, idempotency_key));
END;
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. fields: further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';

CREATE FUNCTION csm.act(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settable CONSTANT text[] := '{subject,description,priority,impact,urgency,assigned_to,assigned_group_id,
        product_id,asset_id,resolution_code,resolution_notes}'::text[];
    unknown text;
    c csm.cases;
    f csm.cases;
    said text;
BEGIN
    IF case_id IS NULL OR action IS NULL THEN
        RAISE EXCEPTION '% of csm.act() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'action' END
            USING ERRCODE = '22004', HINT = 'csm.actions(case_id) lists what can be done.';
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    IF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;
    SELECT string_agg(k, ', ') INTO unknown FROM jsonb_object_keys(fields) k WHERE k <> ALL (settable);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'an action cannot set the fields given' USING ERRCODE = '22023',
            DETAIL = format('Not among the fields: %s.', unknown),
            HINT = format('Fields are %s.', array_to_string(settable, ', '));
    END IF;

    -- Of two who act at once the second is judged by what the first left.
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id FOR NO KEY UPDATE;
    said := csm_private.begin_act(c, action, nullif(btrim(note, E' \t\r\n'), ''));
    f := jsonb_populate_record(c, fields);
    UPDATE csm.cases e
    SET subject = f.subject, description = f.description, priority = f.priority, impact = f.impact, urgency = f.urgency,
        assigned_to = f.assigned_to, assigned_group_id = f.assigned_group_id, product_id = f.product_id, asset_id = f.asset_id,
        resolution_code = f.resolution_code, resolution_notes = f.resolution_notes
    WHERE e.id = case_id
    RETURNING * INTO c;
    IF said IS NOT NULL THEN
        PERFORM csm_private.begin_note(case_id);
        INSERT INTO csm.case_entries (tenant_id, case_id, body) VALUES (c.tenant_id, case_id, said);
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, resolution_code, resolution_notes); who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';

CREATE FUNCTION csm.actions(case_id bigint)
RETURNS TABLE (action text, label text, to_state text, required_fields text[], note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
    relations text[];
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = actions.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system())
       OR c.state_class IN ('closed', 'cancelled') THEN
        RETURN;
    END IF;
    relations := csm_private.case_actors(c);
    RETURN QUERY
        SELECT t.action, t.label, t.to_state,
               ARRAY(SELECT r FROM unnest(t.required_fields) WITH ORDINALITY u(r, n)
                     WHERE NOT (t.effects ? r)
                       AND NOT EXISTS (SELECT FROM unnest(relations) a WHERE t.effects ? (a || ':' || r))
                     ORDER BY n),
               t.note_required AND NOT (t.effects ? 'note')
                   AND NOT EXISTS (SELECT FROM unnest(relations) a WHERE t.effects ? (a || ':note'))
        FROM csm.case_transitions t
        WHERE t.tenant_id = c.tenant_id AND t.case_type = csm_private.machine_type(c.tenant_id, c.case_type)
          AND t.from_state = c.state AND t.actors && relations
        ORDER BY t.action;
END $$;
COMMENT ON FUNCTION csm.actions(bigint) IS
'What the caller may do with the case now: action, caption, state it leads to, fields that must be filled in then, whether a note must be given. No row for a case that is closed, hidden or missing';

CREATE FUNCTION csm.comment(case_id bigint, body text, visibility text DEFAULT 'shared', idempotency_key text DEFAULT NULL)
RETURNS csm.case_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    e csm.case_entries;
    again boolean := false;
BEGIN
    IF case_id IS NULL OR body IS NULL THEN
        RAISE EXCEPTION '% of csm.comment() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'body' END
            USING ERRCODE = '22004', HINT = 'Give the case and the text.';
    ELSIF body !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'body of the comment is empty' USING ERRCODE = '22023', HINT = 'Give a text.';
    ELSIF visibility IS NULL OR visibility NOT IN ('shared', 'internal', 'private') THEN
        RAISE EXCEPTION 'visibility "%" is unknown', visibility USING ERRCODE = '22023',
            HINT = 'Use shared, internal or private.';
    ELSIF length(idempotency_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 200 characters' USING ERRCODE = '22023',
            DETAIL = format('It has %s.', length(idempotency_key)), HINT = 'A random UUID serves well.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, CASE visibility WHEN 'internal' THEN 'case_work' ELSE 'case_comment' END)) THEN
        RAISE EXCEPTION '% on case % is not permitted', CASE visibility WHEN 'internal' THEN 'a work note' ELSE 'a comment' END, c.number
            USING ERRCODE = '42501', HINT = 'Comments need case_comment; work notes are for staff who work on the case.';
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO e FROM csm.case_entries x
        WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key
          AND (x.author_id = me OR me IS NULL AND x.author_id IS NULL);
        again := FOUND;
    END IF;
    IF NOT again THEN
        INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
        VALUES (c.tenant_id, case_id, body, visibility, idempotency_key)
        ON CONFLICT ON CONSTRAINT case_entries_idempotency_key DO NOTHING
        RETURNING * INTO e;
        IF NOT FOUND THEN
            SELECT * INTO e FROM csm.case_entries x
            WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key AND x.author_id = me;
            again := true;
        END IF;
    END IF;
    IF again AND (e.body, e.visibility) IS DISTINCT FROM (body, visibility) THEN
        RAISE EXCEPTION 'idempotency key was used for another comment' USING ERRCODE = 'SM006',
            DETAIL = format('Entry %s on case %s has another text or visibility.', e.id, c.number),
            HINT = 'Use a new key for a new comment.';
    END IF;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm.comment(bigint, text, text, text) IS
'Writes an entry on a case and returns it. visibility: shared (all who see the case), internal (work note), private (the author''s side and staff). The same author, case and idempotency_key return the first entry, also after the case was closed. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM006 key used for another text, 22004 null argument, 22023 empty text or unknown visibility';

CREATE FUNCTION csm.case_people(case_id bigint)
RETURNS TABLE (relation text, user_id bigint, account_id bigint, display_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
    own_side boolean;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_people.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RETURN;
    END IF;
    -- With whom the customer shared the case is not the counterparty's affair.
    own_side := csm_private.case_side_allows(c, 'customer') OR csm_private.acts_as_system()
                OR csm.all_in(c.tenant_id, c.branch, 'case_read')
                OR csm.organization_allows(c.service_organization_id, c.branch, 'case_read');
    RETURN QUERY
        SELECT p.relation, u.id, NULL::bigint, u.display_name
        FROM (VALUES (1, 'requester', c.requester_id), (2, 'opener', c.opened_by), (3, 'assignee', c.assigned_to),
                     (4, 'internal_contact', c.internal_contact_id)) p(n, relation, id)
        JOIN csm.users u ON u.id = p.id AND u.tenant_id = c.tenant_id
      UNION ALL
        SELECT p.relation, NULL, a.id, a.name
        FROM (VALUES (1, 'account', c.account_id), (2, 'counterparty', c.counterparty_account_id),
                     (3, 'partner', c.partner_account_id)) p(n, relation, id)
        JOIN csm.accounts a ON a.id = p.id AND a.tenant_id = c.tenant_id
      UNION ALL
        SELECT p.relation, u.id, k.account_id, u.display_name
        FROM (VALUES (1, 'counterparty_contact', c.counterparty_contact_id),
                     (2, 'partner_contact', c.partner_contact_id)) p(n, relation, id)
        JOIN csm.contacts k ON k.id = p.id AND k.tenant_id = c.tenant_id
        JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'household', NULL, NULL, h.name
        FROM csm.households h
        WHERE h.id = c.household_id AND h.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'party', p.user_id, p.account_id, coalesce(u.display_name, a.name)
        FROM csm.case_parties p
        LEFT JOIN csm.users u ON u.id = p.user_id AND u.tenant_id = p.tenant_id
        LEFT JOIN csm.accounts a ON a.id = p.account_id AND a.tenant_id = p.tenant_id
        WHERE own_side AND p.case_id = c.id AND p.tenant_id = c.tenant_id
          AND (p.valid_during IS NULL OR p.valid_during @> statement_timestamp());
END $$;
COMMENT ON FUNCTION csm.case_people(bigint) IS
'Names of the people and accounts on a case that the caller sees (V11); relation is requester, opener, assignee, internal_contact, account, counterparty, partner, counterparty_contact, partner_contact, household or party. user_id and account_id are NULL where they do not apply. Parties are not shown to the counterparty. No row for a hidden or missing case';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text)',
        'csm.act(bigint, text, text, jsonb)',
        'csm.actions(bigint)',
        'csm.comment(bigint, text, text, text)',
        'csm.case_people(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.actions(bigint), csm.case_people(bigint) TO csm_admin;

-- Why somebody sees a case: the rules V1 to V9 once more, in plain SQL over
-- the base tables.
--
-- This is the slow, independent definition to which tests compare the access
-- map.  It must not call a predicate of the map, and it follows parent_id, not
-- the paths that a trigger keeps.

CREATE FUNCTION csm_private.access_reasons(tenant bigint, person bigint, about bigint, side text, at_time timestamptz)
RETURNS TABLE (user_id bigint, case_id bigint, rule text, role text, via text, actions text[],
               staff boolean, persona text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
-- Neither SECURITY DEFINER nor SET: the planner can then put this query into
-- the caller's, where "person IS NULL OR ..." and an unwanted side fold away.
BEGIN ATOMIC
    WITH RECURSIVE c AS (
        SELECT c.id, c.branch, c.requester_id, c.opened_by, c.account_id, c.household_id,
               c.counterparty_account_id, c.counterparty_contact_id, c.partner_account_id, c.partner_contact_id,
               c.internal_contact_id, c.service_organization_id, c.opened_at, c.submitted_at
        FROM csm.cases c
        WHERE c.tenant_id = tenant AND (about IS NULL OR c.id = about)
          AND EXISTS (SELECT FROM csm.tenants t WHERE t.id = tenant AND t.enabled)
    ),
    u AS NOT MATERIALIZED (
        SELECT u.id FROM csm.users u
        WHERE u.tenant_id = tenant AND u.enabled AND (person IS NULL OR u.id = person)
    ),
    -- Contact personas that count.
    k AS NOT MATERIALIZED (
        SELECT k.id, k.user_id, k.account_id, k.role, 'contact:' || k.id AS persona
        FROM csm.contacts k JOIN u ON u.id = k.user_id
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
          AND (person IS NULL OR k.user_id = person)
    ),
    member AS NOT MATERIALIZED (
        SELECT m.household_id, m.user_id FROM csm.household_members m
        WHERE m.tenant_id = tenant AND (m.valid_during IS NULL OR m.valid_during @> at_time)
    ),
    permission AS (
        SELECT r.role, r.kind, r.branches, p.reach, p.action
        FROM csm.roles r JOIN csm.role_permissions p ON p.role = r.role AND p.tenant_id = r.tenant_id
        WHERE r.tenant_id = tenant
    ),
    -- What a reach of a contact role gives on a case; working on it never.
    contact_grant AS (
        SELECT p.role, p.reach, array_agg(DISTINCT p.action) AS actions
        FROM permission p
        WHERE p.kind = 'contact' AND p.reach IN ('account', 'subtree', 'related')
          AND p.action IN ('case_read', 'case_comment', 'case_create', 'case_decide')
        GROUP BY p.role, p.reach
    ),
    own AS (
        SELECT coalesce(array_agg(DISTINCT p.action), '{}') AS actions
        FROM permission p
        WHERE p.kind = 'person' AND p.reach = 'own'
          AND p.action IN ('case_read', 'case_comment', 'case_create', 'case_decide')
    ),
    -- Each account of a case with itself and everything above it.
    up(account_id, ancestor_id, parent_id) AS (
        SELECT a.id, a.id, a.parent_id
        FROM csm.accounts a
        WHERE a.tenant_id = tenant
          AND a.id IN (SELECT c.account_id FROM c UNION SELECT c.counterparty_account_id FROM c)
      UNION
        SELECT up.account_id, a.id, a.parent_id
        FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
    ),
    -- Relationships that hold for an account of a case.
    related AS (
        SELECT r.id, r.partner_account_id, r.scope, r.history_from, up.account_id
        FROM csm.account_relationships r
        JOIN up ON up.ancestor_id = r.customer_account_id
               AND (up.account_id = r.customer_account_id OR r.include_descendants)
        WHERE r.tenant_id = tenant AND r.type = 'partner_of'
          AND (r.valid_during IS NULL OR r.valid_during @> at_time)
    ),
    -- Actions of a contact by his role over an account; since: on cases opened then or later.
    over_account AS (
        SELECT k.user_id, k.persona, k.role, k.id AS contact_id, k.account_id AS home_id, up.account_id, g.reach,
               g.actions, NULL::timestamptz AS since, NULL::bigint AS relationship_id,
               CASE WHEN up.account_id = k.account_id THEN 'V3' ELSE 'V1' END AS rule
        FROM k JOIN contact_grant g ON g.role = k.role AND g.reach IN ('account', 'subtree')
        JOIN up ON up.ancestor_id = k.account_id AND (g.reach = 'subtree' OR up.account_id = k.account_id)
      UNION ALL
        SELECT k.user_id, k.persona, k.role, k.id, k.account_id, r.account_id, g.reach,
               array_remove(g.actions, 'case_create'), r.history_from, r.id, 'V5'
        FROM k JOIN contact_grant g ON g.role = k.role AND g.reach = 'related'
        JOIN related r ON r.partner_account_id = k.account_id AND r.scope = 'all'
      UNION ALL
        SELECT k.user_id, k.persona, k.role, k.id, k.account_id, r.account_id, g.reach,
               '{case_create}', NULL, r.id, 'V5'
        FROM k JOIN contact_grant g ON g.role = k.role AND g.reach = 'related' AND 'case_create' = ANY (g.actions)
        JOIN related r ON r.partner_account_id = k.account_id
    ),
    -- Accounts that nobody manages: every contact answers for them in a dispute.
    unmanaged AS (
        SELECT a.account_id
        FROM (SELECT DISTINCT c.counterparty_account_id FROM c) a(account_id)
        WHERE a.account_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM csm.contacts k
                          JOIN permission p ON p.role = k.role AND p.kind = 'contact' AND p.action = 'case_decide'
                                           AND p.reach IN ('account', 'subtree')
                          WHERE k.account_id = a.account_id AND k.tenant_id = tenant
                            AND (k.valid_during IS NULL OR k.valid_during @> at_time))
    ),
    -- For whom a person speaks among consumers.
    speaks AS (
        SELECT h.head_user_id AS user_id, m.user_id AS for_id,
               'head of household ' || h.id AS via
        FROM csm.households h
        JOIN u ON u.id = h.head_user_id
        JOIN member self ON self.household_id = h.id AND self.user_id = h.head_user_id
        JOIN member m ON m.household_id = h.id
        WHERE h.tenant_id = tenant
      UNION ALL
        SELECT p.representative_id, p.represented_id,
               'representative of user ' || p.represented_id || coalesce(' within household ' || p.household_id, '')
        FROM csm.representations p
        JOIN u ON u.id = p.representative_id
        WHERE p.tenant_id = tenant AND (p.valid_during IS NULL OR p.valid_during @> at_time)
          AND (p.household_id IS NULL
               OR (EXISTS (SELECT FROM member m
                           WHERE m.household_id = p.household_id AND m.user_id = p.representative_id)
                   AND EXISTS (SELECT FROM member m
                               WHERE m.household_id = p.household_id AND m.user_id = p.represented_id)))
    ),
    -- Staff assignments that count, with the reach they have in the end.
    duty AS (
        SELECT a.id, a.user_id, a.role, a.service_organization_id, 'staff:' || a.role AS persona,
               CASE WHEN p.reach = 'own' THEN 'own' ELSE coalesce(a.reach, p.reach) END AS reach,
               ARRAY(SELECT unnest(p.branches)
                     INTERSECT
                     SELECT unnest(coalesce(a.branches, p.branches))) AS branches,
               array_agg(DISTINCT p.action) AS actions
        FROM csm.user_roles a
        JOIN u ON u.id = a.user_id
        JOIN permission p ON p.role = a.role AND p.kind = 'staff'
                         AND p.reach IN ('own', 'team', 'organization', 'all')
                         AND p.action IN ('case_read', 'case_comment', 'case_create', 'case_decide', 'case_work')
        WHERE a.tenant_id = tenant AND (a.valid_during IS NULL OR a.valid_during @> at_time)
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    ),
    organization_up(organization_id, ancestor_id, parent_id) AS (
        SELECT o.id, o.id, o.parent_id
        FROM csm.service_organizations o
        WHERE o.tenant_id = tenant AND o.id IN (SELECT c.service_organization_id FROM c)
      UNION
        SELECT x.organization_id, o.id, o.parent_id
        FROM organization_up x
        JOIN csm.service_organizations o ON o.id = x.parent_id AND o.tenant_id = tenant
    ),
    reason(user_id, case_id, rule, role, via, actions, staff, persona) AS (
        -- V1 to V3, V5 with scope all: by role over the account of the case.
        SELECT o.user_id, c.id, o.rule, o.role,
               'contact ' || o.contact_id || ' of account ' || o.home_id
                   || coalesce(', relationship ' || o.relationship_id, '') || ', ' || o.reach,
               o.actions, false, o.persona
        FROM c JOIN over_account o ON o.account_id = c.account_id
        WHERE (o.since IS NULL OR c.opened_at >= o.since)
      UNION ALL
        -- V4: requester and opener, while the persona behind the case is valid.
        SELECT u.id, c.id, 'V4', 'person', i.relation || ', any enabled person', own.actions, false, 'employee'
        FROM c
        CROSS JOIN LATERAL (VALUES ('requester', c.requester_id), ('opener', c.opened_by)) i(relation, user_id)
        JOIN u ON u.id = i.user_id
        CROSS JOIN own
        WHERE c.branch = 'internal'
      UNION ALL
        SELECT u.id, c.id, 'V4', 'person', i.relation || ', consumer', own.actions, false, 'consumer'
        FROM c
        CROSS JOIN LATERAL (VALUES ('requester', c.requester_id), ('opener', c.opened_by)) i(relation, user_id)
        JOIN u ON u.id = i.user_id
        JOIN csm.consumers n ON n.user_id = u.id AND n.tenant_id = tenant
        CROSS JOIN own
        WHERE c.branch = 'b2c'
      UNION ALL
        SELECT k.user_id, c.id, 'V4', 'person', i.relation || ', contact ' || k.id || ' of account ' || k.account_id,
               own.actions, false, k.persona
        FROM c
        CROSS JOIN LATERAL (VALUES ('requester', c.requester_id), ('opener', c.opened_by)) i(relation, user_id)
        JOIN k ON k.user_id = i.user_id
        CROSS JOIN own
        WHERE c.branch = 'b2b'
          AND (k.account_id = c.account_id
               OR EXISTS (SELECT FROM related r
                          WHERE r.account_id = c.account_id AND r.partner_account_id = k.account_id))
      UNION ALL
        -- V5, scope named: the case names the partner account.
        SELECT k.user_id, c.id, 'V5', k.role,
               'contact ' || k.id || ' of partner account ' || k.account_id || ', relationship ' || r.id,
               array_remove(g.actions, 'case_create'), false, k.persona
        FROM c
        JOIN k ON k.account_id = c.partner_account_id
        JOIN related r ON r.partner_account_id = k.account_id AND r.account_id = c.account_id AND r.scope = 'named'
        JOIN contact_grant g ON g.role = k.role AND g.reach = 'related'
      UNION ALL
        -- V5: the case names the partner's contact.
        SELECT k.user_id, c.id, 'V5', k.role,
               'named as partner contact ' || k.id || ', relationship ' || r.id, own.actions, false, k.persona
        FROM c
        JOIN k ON k.id = c.partner_contact_id
        JOIN related r ON r.partner_account_id = k.account_id AND r.account_id = c.account_id
        CROSS JOIN own
        WHERE EXISTS (SELECT FROM permission p WHERE p.role = k.role AND p.kind = 'contact' AND p.reach = 'related')
      UNION ALL
        -- V6: consumers only.
        SELECT s.user_id, c.id, 'V6', 'person', s.via, own.actions, false, 'consumer'
        FROM c JOIN speaks s ON s.for_id = c.requester_id
        CROSS JOIN own
        WHERE c.branch = 'b2c'
      UNION ALL
        SELECT u.id, c.id, 'V6', 'person', 'head of household ' || h.id, own.actions, false, 'consumer'
        FROM c JOIN csm.households h ON h.id = c.household_id AND h.tenant_id = tenant
        JOIN u ON u.id = h.head_user_id
        CROSS JOIN own
        WHERE c.branch = 'b2c'
          AND EXISTS (SELECT FROM member m WHERE m.household_id = h.id AND m.user_id = u.id)
      UNION ALL
        -- V7: shares.  One with the person himself belongs to no persona.
        SELECT u.id, c.id, 'V7', 'party', 'share ' || p.id, p.capabilities, false, NULL
        FROM c JOIN csm.case_parties p ON p.case_id = c.id AND p.tenant_id = tenant
        JOIN u ON u.id = p.user_id
        WHERE (p.valid_during IS NULL OR p.valid_during @> at_time)
      UNION ALL
        SELECT k.user_id, c.id, 'V7', 'party', 'share ' || p.id || ' with account ' || p.account_id
                   || ', contact ' || k.id, p.capabilities, false, k.persona
        FROM c JOIN csm.case_parties p ON p.case_id = c.id AND p.tenant_id = tenant
        JOIN k ON k.account_id = p.account_id
        WHERE (p.valid_during IS NULL OR p.valid_during @> at_time)
      UNION ALL
        -- V8: the counterparty, from submission on.
        SELECT o.user_id, c.id, 'V8', o.role,
               'counterparty, contact ' || o.contact_id || ' of account ' || o.home_id
                   || coalesce(', relationship ' || o.relationship_id, '') || ', ' || o.reach,
               array_remove(o.actions, 'case_create'), false, o.persona
        FROM c JOIN over_account o ON o.account_id = c.counterparty_account_id
        WHERE c.submitted_at IS NOT NULL AND (o.since IS NULL OR c.opened_at >= o.since)
      UNION ALL
        SELECT k.user_id, c.id, 'V8', 'person',
               'counterparty without manager, contact ' || k.id || ' of account ' || k.account_id,
               array_remove(own.actions, 'case_create'), false, k.persona
        FROM c JOIN unmanaged n ON n.account_id = c.counterparty_account_id
        JOIN k ON k.account_id = n.account_id
        CROSS JOIN own
        WHERE c.submitted_at IS NOT NULL
      UNION ALL
        SELECT k.user_id, c.id, 'V8', 'person', 'named as contact ' || k.id || ' of the counterparty',
               array_remove(own.actions, 'case_create'), false, k.persona
        FROM c JOIN k ON k.id = c.counterparty_contact_id
        CROSS JOIN own
        WHERE c.submitted_at IS NOT NULL
      UNION ALL
        -- V9: staff.
        SELECT d.user_id, c.id, 'V9', d.role, 'all of branch ' || c.branch, d.actions, true, d.persona
        FROM c JOIN duty d ON d.reach = 'all' AND c.branch = ANY (d.branches)
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, 'team of account ' || t.account_id, d.actions, true, d.persona
        FROM c JOIN csm.account_team t ON t.account_id = c.account_id AND t.tenant_id = tenant
        JOIN duty d ON d.user_id = t.member_id AND d.reach = 'team' AND 'b2b' = ANY (d.branches)
        WHERE c.branch = 'b2b' AND (t.valid_during IS NULL OR t.valid_during @> at_time)
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, 'team of user ' || t.user_id, d.actions, true, d.persona
        FROM c JOIN csm.account_team t ON t.user_id = c.requester_id AND t.tenant_id = tenant
        JOIN duty d ON d.user_id = t.member_id AND d.reach = 'team' AND 'b2c' = ANY (d.branches)
        WHERE c.branch = 'b2c' AND (t.valid_during IS NULL OR t.valid_during @> at_time)
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, 'team of household ' || t.household_id, d.actions, true, d.persona
        FROM c JOIN csm.account_team t ON t.tenant_id = tenant
                AND (t.household_id = c.household_id
                     OR t.household_id IN (SELECT m.household_id FROM member m WHERE m.user_id = c.requester_id))
        JOIN duty d ON d.user_id = t.member_id AND d.reach = 'team' AND 'b2c' = ANY (d.branches)
        WHERE c.branch = 'b2c' AND (t.valid_during IS NULL OR t.valid_during @> at_time)
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, 'member of service organisation ' || m.service_organization_id,
               d.actions, true, d.persona
        FROM c JOIN organization_up x ON x.organization_id = c.service_organization_id
        JOIN csm.service_organization_members m ON m.service_organization_id = x.ancestor_id AND m.tenant_id = tenant
        JOIN duty d ON d.user_id = m.user_id AND d.reach = 'organization' AND c.branch = ANY (d.branches)
        WHERE (m.valid_during IS NULL OR m.valid_during @> at_time)
          AND NOT EXISTS (SELECT FROM organization_up e
                          WHERE e.organization_id = c.service_organization_id AND e.ancestor_id = ANY (m.excluded))
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, 'role for service organisation ' || d.service_organization_id,
               d.actions, true, d.persona
        FROM c JOIN organization_up x ON x.organization_id = c.service_organization_id
        JOIN duty d ON d.service_organization_id = x.ancestor_id AND d.reach = 'organization'
                   AND c.branch = ANY (d.branches)
      UNION ALL
        SELECT d.user_id, c.id, 'V9', d.role, i.relation, d.actions, true, d.persona
        FROM c
        CROSS JOIN LATERAL (VALUES ('opener', c.opened_by), ('internal contact', c.internal_contact_id))
            i(relation, user_id)
        JOIN duty d ON d.user_id = i.user_id AND d.reach = 'own' AND c.branch = ANY (d.branches)
    )
    SELECT r.user_id, r.case_id, r.rule, r.role, r.via, r.actions, r.staff, r.persona
    FROM reason r
    WHERE cardinality(r.actions) > 0
      AND (person IS NULL OR r.user_id = person)
      AND (side IS NULL OR r.staff = (side = 'staff'));
END;
ALTER FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) IS
'The rules V1 to V9 in plain SQL: one row a person, case and reason, at an instant. NULL person or case: all of the tenant. Side: customer, staff (counts under csm_agent, csm_reporter and csm_admin only) or NULL for both. Persona: through which persona; NULL: a share with the person himself';

-- Whether the role that the connection has taken on is one of staff.
CREATE FUNCTION csm_private.staff_side() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT bool_or(pg_has_role(m.me, r.name, 'USAGE'))
    FROM (SELECT CASE current_setting('role') WHEN 'none' THEN session_user
                      ELSE current_setting('role')::name END) m(me),
         unnest('{csm_agent,csm_reporter,csm_admin}'::name[]) r(name)
$$;
ALTER FUNCTION csm_private.staff_side() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.staff_side() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.staff_side() IS
'True when the role of SET ROLE, else of the session, has the privileges of csm_agent, csm_reporter or csm_admin';

-- How the caller stands to a case he asks about: as staff he may ask about
-- anybody, else about himself.  Error SM001, the same for a hidden and for a
-- missing case.
CREATE FUNCTION csm_private.asks_as_staff(about bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    found csm.cases;
    keeper boolean;
BEGIN
    SELECT * INTO found FROM csm.cases c WHERE c.id = about AND c.tenant_id = tenant;
    -- Who administers persons or roles must be able to ask about any case.
    keeper := coalesce(csm.all_in(tenant, 'internal', 'person_manage') OR csm.all_in(tenant, 'internal', 'configure'), false);
    IF found.id IS NULL OR NOT (keeper OR csm_private.case_allows(found, 'case_read')) THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(about::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    RETURN keeper
        OR csm_private.staff_side()
           AND EXISTS (SELECT FROM csm_private.access_reasons(tenant, me, about, 'staff', statement_timestamp()) r
                       WHERE 'case_read' = ANY (r.actions));
END $$;
ALTER FUNCTION csm_private.asks_as_staff(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.asks_as_staff(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.asks_as_staff(bigint) IS
'Whether the caller sees the case as staff; false: as a party to it; SM001: not at all';

CREATE FUNCTION csm.explain_access(user_id bigint, case_id bigint)
RETURNS TABLE (granted boolean, rule text, role text, via text, actions text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    as_staff CONSTANT boolean := csm_private.asks_as_staff(explain_access.case_id);
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    person CONSTANT bigint := explain_access.user_id;
    about CONSTANT bigint := explain_access.case_id;
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF NOT as_staff AND person IS DISTINCT FROM me THEN
        RAISE EXCEPTION 'permission denied to explain the access of another person' USING ERRCODE = '42501',
            HINT = 'Ask about yourself; staff who see the case ask about anybody.';
    END IF;
    RETURN QUERY
        SELECT true, r.rule, r.role,
               regexp_replace(r.via, '\maccount (\d+)', 'account \1 (' || coalesce(a.number, '') || ')')
                   || CASE WHEN r.staff THEN ', counts under staff roles only' ELSE '' END,
               ARRAY(SELECT n.name FROM unnest('{case_read,case_comment,case_decide,case_work}'::text[]) n(name)
                     WHERE n.name = ANY (r.actions))
        FROM csm_private.access_reasons(tenant, person, about, NULL, at_time) r
        LEFT JOIN csm.accounts a ON a.id = (regexp_match(r.via, '\maccount (\d+)'))[1]::bigint AND a.tenant_id = tenant
        WHERE r.actions && '{case_read,case_comment,case_decide,case_work}'::text[]
        ORDER BY r.staff, r.rule, r.via;
    IF FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT false, 'no rule', NULL::text,
               CASE
                   WHEN NOT EXISTS (SELECT FROM csm.users u
                                    WHERE u.id = person AND u.tenant_id = tenant AND u.enabled)
                       THEN 'no such person, or disabled'
                   WHEN c.submitted_at IS NULL AND EXISTS (
                           SELECT FROM csm.contacts k WHERE k.user_id = person AND k.tenant_id = tenant
                              AND k.account_id = c.counterparty_account_id)
                       THEN 'the case is a draft, hidden from the counterparty'
                   WHEN EXISTS (SELECT FROM csm.contacts k
                                WHERE k.user_id = person AND k.tenant_id = tenant AND k.account_id = c.account_id
                                  AND NOT (k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)))
                       THEN 'contact of the account, but not now or with login disabled'
                   WHEN EXISTS (SELECT FROM csm.case_parties p
                                WHERE p.case_id = c.id AND p.tenant_id = tenant AND p.user_id = person)
                       THEN 'the share is not valid now'
                   ELSE 'no persona of the person reaches the case'
               END,
               '{}'::text[]
        FROM csm.cases c WHERE c.id = about AND c.tenant_id = tenant;
END $$;
ALTER FUNCTION csm.explain_access(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.explain_access(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.explain_access(bigint, bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.explain_access(bigint, bigint) IS
'Why a person can see a case: one row a reason with the rule (V1 to V9), the role, through what, and the actions; where nothing grants, one row with granted = false that says what is lacking. V9 counts under staff roles only. For staff who see the case; everybody else asks about himself (42501). A hidden and a missing case: SM001';

CREATE FUNCTION csm.who_can_see(case_id bigint)
RETURNS TABLE (user_id bigint, display_name text, rule text, role text, actions text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    as_staff CONSTANT boolean := csm_private.asks_as_staff(who_can_see.case_id);
    tenant CONSTANT bigint := csm.current_tenant_id();
    person CONSTANT bigint := CASE WHEN NOT as_staff THEN csm.current_user_id() END;
    about CONSTANT bigint := who_can_see.case_id;
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    RETURN QUERY
        SELECT s.user_id, u.display_name, s.rule, s.role,
               ARRAY(SELECT n.name FROM unnest('{case_read,case_comment,case_decide,case_work}'::text[]) n(name)
                     WHERE n.name = ANY (s.actions))
        FROM (SELECT r.user_id, r.rule, r.role, array_agg(a.action) AS actions
              FROM csm_private.access_reasons(tenant, person, about, NULL, at_time) r
              CROSS JOIN LATERAL unnest(r.actions) a(action)
              WHERE a.action <> 'case_create'
              GROUP BY r.user_id, r.rule, r.role) s
        JOIN csm.users u ON u.id = s.user_id AND u.tenant_id = tenant
        ORDER BY s.user_id, s.rule, s.role;
END $$;
ALTER FUNCTION csm.who_can_see(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.who_can_see(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.who_can_see(bigint) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.who_can_see(bigint) IS
'Who can see a case, by which rule and role, and what he may do there; V9 counts under staff roles only. Staff who see the case get everybody, anybody else his own rows. A hidden and a missing case: SM001';

-- The account tree, for people and for whoever doubts it.

-- Runs under the policies of the caller.  A level is laid out at once, so that
-- the window functions see all the siblings.
CREATE FUNCTION csm.account_tree(root bigint DEFAULT NULL)
RETURNS TABLE (account_id bigint, number text, depth integer, tree text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE glyphs(fork, last, bar) AS (
        -- code points, because a database in another encoding has no such characters
        SELECT chr(c[1]) || chr(c[4]) || ' ', chr(c[2]) || chr(c[4]) || ' ', chr(c[3]) || '  '
        FROM (SELECT CASE getdatabaseencoding() WHEN 'UTF8' THEN '{9500,9492,9474,9472}' ELSE '{124,96,124,45}' END::integer[]) AS e(c)
    ), t(id, tenant_id, number, depth, place, indent, line) AS (
        SELECT a.id, a.tenant_id, a.number, 0,
               ARRAY[row_number() OVER (ORDER BY a.name, a.id)], '', a.name
        FROM csm.accounts a
        WHERE CASE WHEN root IS NULL
                   THEN NOT EXISTS (SELECT FROM csm.accounts p WHERE p.id = a.parent_id AND p.tenant_id = a.tenant_id)
                   ELSE a.id = root END
      UNION ALL
        SELECT c.id, c.tenant_id, c.number, t.depth + 1,
               t.place || row_number() OVER siblings,
               t.indent || CASE WHEN lead(c.id) OVER siblings IS NULL THEN '   ' ELSE g.bar END,
               t.indent || CASE WHEN lead(c.id) OVER siblings IS NULL THEN g.last ELSE g.fork END || c.name
        FROM t
        JOIN csm.accounts c ON c.parent_id = t.id AND c.tenant_id = t.tenant_id
        CROSS JOIN glyphs g
        WHERE t.depth < 100
        WINDOW siblings AS (PARTITION BY t.id ORDER BY c.name, c.id)
    )
    SELECT t.id, t.number, t.depth, t.line FROM t ORDER BY t.place
$$;

-- Nothing here uses path, root_id or the functions that keep them.
CREATE FUNCTION csm_private.check_accounts(tenant bigint DEFAULT NULL)
RETURNS TABLE (account_id bigint, problem text)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE t(id, tenant_id, ids) AS (
        SELECT a.id, a.tenant_id, ARRAY[a.id]
        FROM csm.accounts a
        WHERE a.parent_id IS NULL AND (tenant IS NULL OR a.tenant_id = tenant)
      UNION ALL
        SELECT c.id, c.tenant_id, t.ids || c.id
        FROM t JOIN csm.accounts c ON c.parent_id = t.id AND c.tenant_id = t.tenant_id
    )
    SELECT a.id,
           CASE WHEN t.id IS NULL THEN 'its parents lead in a circle, not to a top account'
                WHEN cardinality(t.ids) > 100 THEN format('%s levels deep, 100 are allowed', cardinality(t.ids))
                WHEN a.path IS NULL THEN 'has no path'
                WHEN a.path::text <> array_to_string(t.ids, '.')
                    THEN format('path is %s, its parents say %s', right(a.path::text, 100), right(array_to_string(t.ids, '.'), 100))
                WHEN a.root_id IS DISTINCT FROM t.ids[1]
                    THEN format('root_id is %s, its parents lead to %s', coalesce(a.root_id::text, 'NULL'), t.ids[1])
           END
    FROM csm.accounts a LEFT JOIN t ON t.id = a.id AND t.tenant_id = a.tenant_id
    WHERE (tenant IS NULL OR a.tenant_id = tenant)
      AND (t.id IS NULL OR cardinality(t.ids) > 100 OR a.path IS NULL
           OR a.path::text <> array_to_string(t.ids, '.') OR a.root_id IS DISTINCT FROM t.ids[1])
    ORDER BY a.id
$$;

CREATE FUNCTION csm.verify_accounts(tenant_id bigint)
RETURNS TABLE (account_id bigint, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm.all_in(verify_accounts.tenant_id, 'internal', 'configure') IS NOT TRUE THEN
        RAISE EXCEPTION 'permission denied to verify the accounts of tenant %', coalesce(verify_accounts.tenant_id::text, 'NULL')
            USING ERRCODE = '42501',
                  HINT = 'An administrator verifies his own tenant; a member of csm_owner calls csm.verify_accounts().';
    END IF;
    RETURN QUERY SELECT * FROM csm_private.check_accounts(verify_accounts.tenant_id);
END $$;

CREATE FUNCTION csm.verify_accounts()
RETURNS TABLE (account_id bigint, problem text)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RETURN QUERY SELECT * FROM csm_private.check_accounts();
    ELSE
        RETURN QUERY SELECT * FROM csm.verify_accounts(csm.current_tenant_id());
    END IF;
END $$;

ALTER FUNCTION csm.account_tree(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm_private.check_accounts(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.verify_accounts(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.verify_accounts() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.account_tree(bigint), csm_private.check_accounts(bigint),
    csm.verify_accounts(bigint), csm.verify_accounts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.account_tree(bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.verify_accounts(bigint), csm.verify_accounts() TO csm_admin;
COMMENT ON FUNCTION csm.account_tree(bigint) IS
'The accounts that the caller sees, as a tree to read: from "root" down, or from his topmost visible accounts. depth counts from 0 where the tree begins. No row for a root that is hidden or missing (V12)';
COMMENT ON FUNCTION csm_private.check_accounts(bigint) IS
'Accounts whose path or root is not what their parents say; NULL for all tenants. No check of the caller';
COMMENT ON FUNCTION csm.verify_accounts(bigint) IS
'As csm.verify_accounts(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.verify_accounts() IS
'Accounts whose path, root or depth is not what their parents say, and what is wrong; no row when all is well. Members of csm_owner: all tenants; an administrator: his own';

-- Who the session is, in one row.

CREATE FUNCTION csm.whoami()
RETURNS TABLE (user_id bigint, display_name text, tenant_id bigint, tenant_key text, persona text,
               personas text[], roles text[], reach text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    narrowed CONSTANT text := nullif(current_setting('csm.persona', true), '');
    staff CONSTANT boolean := csm_private.staff_side();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    RETURN QUERY
    WITH k AS (
        SELECT k.id, k.account_id, k.role, 'contact:' || k.id AS persona
        FROM csm.contacts k
        WHERE k.user_id = me AND k.tenant_id = tenant AND k.login_enabled
          AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    ), s AS (
        SELECT a.id, a.role, a.reach, a.service_organization_id, 'staff:' || a.role AS persona,
               ARRAY(SELECT b.branch FROM unnest(r.branches) WITH ORDINALITY b(branch, n)
                     WHERE a.branches IS NULL OR b.branch = ANY (a.branches) ORDER BY b.n) AS branches
        FROM csm.user_roles a JOIN csm.roles r ON r.role = a.role AND r.tenant_id = a.tenant_id
        WHERE a.user_id = me AND a.tenant_id = tenant
          AND (a.valid_during IS NULL OR a.valid_during @> at_time)
    ), held(persona, place) AS (
        SELECT k.persona, k.id FROM k
        UNION ALL SELECT 'consumer', 0 FROM csm.consumers n WHERE n.user_id = me AND n.tenant_id = tenant
        UNION ALL SELECT 'employee', 0 FROM csm.employees e WHERE e.user_id = me AND e.tenant_id = tenant
        UNION ALL SELECT DISTINCT s.persona, 0 FROM s
    ), reaches(persona, reach) AS (
        SELECT k.persona, g.actions || ' ' || g.reach || ' of ' || a.number || ' (' || n.accounts || ' accounts)'
        FROM k
        JOIN csm.accounts a ON a.id = k.account_id AND a.tenant_id = tenant
        JOIN (SELECT p.role, p.reach, string_agg(p.action, ', ' ORDER BY p.action) AS actions
              FROM csm.role_permissions p
              WHERE p.tenant_id = tenant AND p.reach IN ('account', 'subtree', 'related')
              GROUP BY p.role, p.reach) g ON g.role = k.role
        CROSS JOIN LATERAL (
            SELECT CASE g.reach
                WHEN 'account' THEN 1
                WHEN 'subtree' THEN (SELECT count(*) FROM csm_private.subtree(k.account_id, tenant))
                ELSE (SELECT count(DISTINCT d.id)
                      FROM csm.account_relationships r
                      CROSS JOIN LATERAL (
                          SELECT r.customer_account_id WHERE NOT r.include_descendants
                          UNION ALL
                          SELECT csm_private.subtree(r.customer_account_id, tenant) WHERE r.include_descendants) d(id)
                      WHERE r.partner_account_id = k.account_id AND r.tenant_id = tenant AND r.type = 'partner_of'
                        AND (r.valid_during IS NULL OR r.valid_during @> at_time))
                END) n(accounts)
      UNION ALL
        SELECT s.persona, g.actions || ' ' || g.reach || ' in ' || array_to_string(s.branches, ', ')
               || CASE g.reach
                  WHEN 'team' THEN (
                      SELECT format(' (%s accounts, %s persons, %s households)',
                                    count(t.account_id), count(t.user_id), count(t.household_id))
                      FROM csm.account_team t
                      WHERE t.member_id = me AND t.tenant_id = tenant
                        AND (t.valid_during IS NULL OR t.valid_during @> at_time))
                  WHEN 'organization' THEN (
                      SELECT ' of ' || coalesce(string_agg(DISTINCT o.name, ', '), 'none')
                      FROM csm.service_organizations o
                      WHERE o.tenant_id = tenant
                        AND (o.id = s.service_organization_id
                             OR o.id IN (SELECT m.service_organization_id FROM csm.service_organization_members m
                                         WHERE m.user_id = me AND m.tenant_id = tenant
                                           AND (m.valid_during IS NULL OR m.valid_during @> at_time))))
                  ELSE '' END
        FROM s
        JOIN LATERAL (
            SELECT e.reach, string_agg(e.action, ', ' ORDER BY e.action) AS actions
            FROM (SELECT DISTINCT p.action,
                         CASE WHEN p.reach = 'own' THEN 'own' ELSE coalesce(s.reach, p.reach) END
                  FROM csm.role_permissions p
                  WHERE p.role = s.role AND p.tenant_id = tenant
                    AND p.reach IN ('own', 'team', 'organization', 'all')) e(action, reach)
            GROUP BY e.reach) g ON true
        WHERE staff
    )
    SELECT me, u.display_name, tenant, t.key, narrowed,
           ARRAY(SELECT h.persona FROM held h ORDER BY split_part(h.persona, ':', 1), h.place, h.persona),
           ARRAY(SELECT k.role FROM k UNION SELECT s.role FROM s ORDER BY 1),
           ARRAY(SELECT DISTINCT r.reach FROM reaches r WHERE narrowed IS NULL OR r.persona = narrowed ORDER BY 1)
    FROM (SELECT) one
    LEFT JOIN csm.users u ON u.id = me AND u.tenant_id = tenant
    LEFT JOIN csm.tenants t ON t.id = tenant;
END $$;
ALTER FUNCTION csm.whoami() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.whoami() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.whoami() TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.whoami() IS
'Always one row: the signed-in person, his tenant (of a visitor: csm.guest_tenant_id()), the persona he narrowed himself to (NULL: all), the personas he holds, his roles, and how far they reach. Reach of staff roles is listed under staff roles only, where it counts. Nobody: NULLs and empty arrays';

-- Views for reporting.  They run with the rights and the row-level security of
-- the reader (security_invoker), have a key of one column, and no personal
-- data: csm_reporter may SELECT * from each.

CREATE VIEW csm_report.cases WITH (security_invoker = true) AS
SELECT c.id,
       c.number,
       c.branch,
       c.case_type,
       c.state,
       c.state_class,
       c.priority,
       c.impact,
       c.urgency,
       c.channel,
       c.product_id,
       p.name AS product,
       pp.name AS parent_product,
       c.account_id,
       a.name AS account,
       t.id AS top_account_id,
       t.name AS top_account,
       c.partner_account_id,
       pa.name AS partner,
       c.counterparty_account_id,
       ca.name AS counterparty,
       c.service_organization_id,
       s.name AS service_organization,
       c.assigned_group_id,
       g.name AS assigned_group,
       c.assigned_to AS assignee_id,
       c.resolution_code,
       c.needs_attention,
       c.reopen_count,
       c.reassignment_count,
       c.opened_at,
       c.submitted_at,
       c.first_response_at,
       c.resolved_at,
       c.closed_at,
       c.updated_at,
       extract(epoch FROM c.first_response_at - c.submitted_at)::bigint AS first_response_seconds,
       extract(epoch FROM c.resolved_at - c.submitted_at)::bigint AS resolve_seconds,
       extract(epoch FROM c.closed_at - c.submitted_at)::bigint AS close_seconds,
       extract(epoch FROM CASE WHEN c.state_class IN ('closed', 'cancelled') THEN c.closed_at ELSE statement_timestamp() END
           - c.opened_at)::bigint AS age_seconds
FROM csm.cases c
-- Every join is by the key of the other table: none adds or loses a case, and
-- one whose columns are not asked for is not made.
LEFT JOIN csm.products p ON p.id = c.product_id AND p.tenant_id = c.tenant_id
LEFT JOIN csm.products pp ON pp.id = p.parent_id AND pp.tenant_id = p.tenant_id
LEFT JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id
LEFT JOIN csm.accounts t ON t.id = a.root_id AND t.tenant_id = a.tenant_id
LEFT JOIN csm.accounts pa ON pa.id = c.partner_account_id AND pa.tenant_id = c.tenant_id
LEFT JOIN csm.accounts ca ON ca.id = c.counterparty_account_id AND ca.tenant_id = c.tenant_id
LEFT JOIN csm.service_organizations s ON s.id = c.service_organization_id AND s.tenant_id = c.tenant_id
LEFT JOIN csm.groups g ON g.id = c.assigned_group_id AND g.tenant_id = c.tenant_id;
ALTER VIEW csm_report.cases OWNER TO csm_owner;
REVOKE ALL ON csm_report.cases FROM PUBLIC;
GRANT SELECT ON csm_report.cases TO csm_agent, csm_reporter, csm_admin;

COMMENT ON VIEW csm_report.cases IS 'One row for each case that the reader may see; no subject, no text, no personal data';
COMMENT ON COLUMN csm_report.cases.id IS 'Key, csm.cases.id';
COMMENT ON COLUMN csm_report.cases.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.cases.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.cases.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.cases.state IS 'State of its machine';
COMMENT ON COLUMN csm_report.cases.state_class IS 'draft, new, open, waiting, resolved, closed or cancelled: the same for every type';
COMMENT ON COLUMN csm_report.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm_report.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.channel IS 'How it came in';
COMMENT ON COLUMN csm_report.cases.product_id IS 'Product concerned; NULL for none';
COMMENT ON COLUMN csm_report.cases.product IS 'Name of the product';
COMMENT ON COLUMN csm_report.cases.parent_product IS 'Name of the product above; NULL at the top';
COMMENT ON COLUMN csm_report.cases.account_id IS 'Customer account; NULL unless b2b';
COMMENT ON COLUMN csm_report.cases.account IS 'Name of the customer account; NULL where the reader may not see the account';
COMMENT ON COLUMN csm_report.cases.top_account_id IS 'Top of the customer''s account tree; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.top_account IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.partner_account_id IS 'Partner that looks after the case';
COMMENT ON COLUMN csm_report.cases.partner IS 'Name of the partner; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.counterparty_account_id IS 'The other company of a dispute';
COMMENT ON COLUMN csm_report.cases.counterparty IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.service_organization_id IS 'Service organisation that the case belongs to';
COMMENT ON COLUMN csm_report.cases.service_organization IS 'Its name';
COMMENT ON COLUMN csm_report.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm_report.cases.assigned_group IS 'Name of the group';
COMMENT ON COLUMN csm_report.cases.assignee_id IS 'Who works on it (csm.users.id); a name would be personal data';
COMMENT ON COLUMN csm_report.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm_report.cases.needs_attention IS 'Something new was said';
COMMENT ON COLUMN csm_report.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm_report.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm_report.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm_report.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm_report.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm_report.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm_report.cases.updated_at IS 'Last change or entry';
COMMENT ON COLUMN csm_report.cases.first_response_seconds IS 'Seconds from submission to the first response; NULL while there is none';
COMMENT ON COLUMN csm_report.cases.resolve_seconds IS 'Seconds from submission to the last proposed solution; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.close_seconds IS 'Seconds from submission to closing; NULL while open';
COMMENT ON COLUMN csm_report.cases.age_seconds IS 'Seconds from making to closing, or to now while open; NULL when the time of closing is not known (imported cases)';

-- DROP EXTENSION with rows present demands csm.allow_drop = on, whichever
-- command it comes from (src/csm_drop.c).  The owner of an event trigger must
-- be a superuser, so it stays with whoever installs.

CREATE FUNCTION csm_private.drop_guard() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'csm_drop_guard' LANGUAGE c;
ALTER FUNCTION csm_private.drop_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.drop_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.drop_guard() IS
'Sees to it that no command of this session drops a table of csm that holds rows, unless csm.allow_drop is on (error 55000)';

CREATE EVENT TRIGGER csm_drop_guard ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION csm_private.drop_guard();
COMMENT ON EVENT TRIGGER csm_drop_guard IS
'Arms csm_private.drop_guard() before a command that can take the extension with it';

-- Ends the install and every update: refuses a catalogue that breaks a rule of
-- the house.  Tests call the function too.  Only members of the extension are
-- judged, and only the roles of csm: what a DBA adds in his own name is his.

CREATE FUNCTION csm_private.verify_install()
RETURNS TABLE (problem text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH extension AS (
        SELECT e.oid, e.extconfig FROM pg_extension e WHERE e.extname = 'csm'
    ), house AS (
        SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname IN ('csm', 'csm_private', 'csm_report')
    ), csm_role AS (
        SELECT r.oid, r.rolname FROM pg_roles r
        WHERE r.rolname IN ('csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
    ), owner AS (
        SELECT r.oid FROM pg_roles r WHERE r.rolname = 'csm_owner'
    ), member AS (
        SELECT d.classid, d.objid FROM pg_depend d, extension e
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    ), rel AS (
        SELECT c.*, h.nspname, format('%I.%I', h.nspname, c.relname) AS name,
               h.nspname = 'csm_private' AND c.relname ~ '^anchor_[0-9]+$' AS is_anchor
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN house h ON h.oid = c.relnamespace
    ), func AS (
        SELECT p.*, h.nspname, p.oid::regprocedure::text AS name, l.lanname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        JOIN house h ON h.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    ), granted AS (
        -- what roles may do with a table or some of its columns
        SELECT DISTINCT r.oid AS relid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r, aclexplode(r.relacl) a
        UNION
        SELECT t.attrelid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r JOIN pg_attribute t ON t.attrelid = r.oid AND NOT t.attisdropped, aclexplode(t.attacl) a
    ), policy AS (
        SELECT p.*, r.name AS table_name,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS command
        FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
    )
    -- row-level security
    SELECT 'table without row-level security', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND NOT r.relrowsecurity AND NOT r.is_anchor
  UNION ALL
    SELECT 'table without restrictive tenant policy', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND r.nspname = 'csm'
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = r.oid AND NOT p.polpermissive AND p.polcmd = '*'
                        AND pg_get_expr(p.polqual, p.polrelid) ~ '^\(?(tenant_id|id) = csm\.current_tenant_id\(\)\)?$'
                        AND (p.polroles = '{0}'
                             OR p.polroles @> (SELECT array_agg(c.oid) FROM csm_role c WHERE c.rolname <> 'csm_guest')))
  UNION ALL
    -- granted without a permissive policy for the role and the command: either is a slip
    SELECT 'privilege without policy', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = g.relid AND p.polpermissive AND (p.polcmd = '*' OR p.command = g.privilege_type)
                        AND (p.polroles = '{0}' OR g.grantee = ANY (p.polroles)))
  UNION ALL
    SELECT 'privilege that row-level security does not bind', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
  UNION ALL
    SELECT 'view without security_invoker', r.name FROM rel r
    WHERE r.relkind = 'v' AND NOT coalesce(r.reloptions && '{security_invoker=true,security_invoker=on}', false)
  UNION ALL
    SELECT 'report column of a type that BI tools cannot read', format('%s.%I', r.name, a.attname)
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE r.nspname = 'csm_report' AND (t.typname IN ('json', 'jsonb', 'ltree', 'tsvector') OR t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A')
  UNION ALL
    -- functions
    SELECT 'function without pinned search_path', f.name FROM func f
    WHERE (f.prosecdef OR f.lanname = 'plpgsql' OR f.lanname = 'sql' AND f.prosqlbody IS NULL)
      AND f.lanname NOT IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function without pinned search_path', f.name FROM func f
    WHERE f.prosecdef AND f.lanname IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function of a superuser', f.name FROM func f JOIN pg_roles r ON r.oid = f.proowner
    WHERE f.prosecdef AND r.rolsuper
  UNION ALL
    -- owners
    SELECT 'owner is not csm_owner', v.name
    FROM (SELECT f.name, f.proowner FROM func f
          UNION ALL SELECT r.name, r.relowner FROM rel r
          UNION ALL SELECT format('schema %I', n.nspname), n.nspowner FROM pg_namespace n JOIN house h ON h.oid = n.oid
          UNION ALL SELECT format('type %s', t.oid::regtype), t.typowner
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid)
         AS v(name, owner) CROSS JOIN owner o
    WHERE v.owner <> o.oid
  UNION ALL
    -- dump
    SELECT 'not registered for dump', r.name FROM rel r CROSS JOIN extension e
    WHERE r.relkind IN ('r', 'p', 'S') AND NOT r.is_anchor AND NOT r.oid = ANY (coalesce(e.extconfig, '{}'))
  UNION ALL
    -- comments
    SELECT 'without comment', v.name
    FROM (SELECT 'pg_class'::regclass, r.oid, 0, r.name FROM rel r WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_class'::regclass, r.oid, a.attnum, format('%s.%I', r.name, a.attname)
                    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_proc'::regclass, f.oid, 0, f.name FROM func f
          UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, p.table_name)
                    FROM policy p JOIN rel r ON r.oid = p.polrelid
                    WHERE starts_with(p.polname, r.relname)
          UNION ALL SELECT 'pg_namespace'::regclass, h.oid, 0, format('schema %I', h.nspname) FROM house h
          UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, format('type %s', t.oid::regtype)
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
                    WHERE t.typcategory <> 'A'
          UNION ALL SELECT 'pg_event_trigger'::regclass, t.oid, 0, format('event trigger %I', t.evtname)
                    FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid)
         AS v(class, oid, subid, name)
    WHERE NOT EXISTS (SELECT FROM pg_description d
                      WHERE d.classoid = v.class AND d.objoid = v.oid AND d.objsubid = v.subid AND d.description <> '')
  UNION ALL
    -- PUBLIC; a function without a list of privileges may be called by anybody
    SELECT 'open to PUBLIC', format('%s on %s', v.privilege_type, v.name)
    FROM (SELECT f.name, a.grantee, a.privilege_type
          FROM func f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
          UNION ALL SELECT g.name, g.grantee, g.privilege_type FROM granted g
          UNION ALL SELECT format('schema %I', n.nspname), a.grantee, a.privilege_type
                    FROM pg_namespace n JOIN house h ON h.oid = n.oid, aclexplode(n.nspacl) a) AS v
    WHERE v.grantee = 0
  UNION ALL
    -- nothing outside the three schemas; an event trigger has no schema
    SELECT 'outside the schemas of csm', pg_describe_object(m.classid, m.objid, 0)
    FROM member m, pg_identify_object(m.classid, m.objid, 0) i
    WHERE m.classid <> 'pg_event_trigger'::regclass
      AND NOT coalesce(i.schema IN (SELECT h.nspname FROM house h), false)
      AND NOT (m.classid = 'pg_namespace'::regclass AND m.objid IN (SELECT h.oid FROM house h))
$$;
ALTER FUNCTION csm_private.verify_install() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.verify_install() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';

DO $$
DECLARE
    found text;
    problems bigint;
BEGIN
    SELECT count(*), string_agg(format('%s: %s', v.problem, v.object), E'\n' ORDER BY v.problem, v.object)
      INTO problems, found FROM csm_private.verify_install() v;
    IF problems > 0 THEN
        RAISE EXCEPTION 'the catalogue of csm breaks % of its rules', problems
            USING ERRCODE = '55000', DETAIL = found,
                  HINT = 'This is a fault in the install script of csm.';
    END IF;
END $$;

