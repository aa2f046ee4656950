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
SELECT csm_private.signal_on('csm.tenants', '{key,settings,enabled}', 'tenant', 'id', 'tenants', '');

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
SELECT csm_private.signal_on('csm.accounts', '{id,tenant_id,parent_id,root_id,restrict_contact_access}', 'tree', 'root_id', 'account', 'id');

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
COMMENT ON COLUMN csm.accounts.restrict_contact_access IS 'True: plain contacts (roles of reach account) lose the account-wide reading of sold products and install-base items; those linked or authorised keep it';
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
    settings jsonb NOT NULL DEFAULT '{}',
    own_machine boolean NOT NULL DEFAULT false,
    CONSTRAINT case_types_pkey PRIMARY KEY (case_type, tenant_id),
    CONSTRAINT case_types_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT case_types_parent_fkey FOREIGN KEY (parent_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT case_types_key_check CHECK (case_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_types_self_check CHECK (parent_type <> case_type),
    CONSTRAINT case_types_settings_check CHECK (jsonb_typeof(settings) = 'object')
);
SELECT csm_private.adopt_table('csm.case_types');
SELECT csm_private.signal_on('csm.case_types', '{tenant_id,case_type,parent_type,active,settings,own_machine}', 'machine', 'tenant_id');

CREATE TABLE csm.case_states (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    state text NOT NULL,
    value integer NOT NULL,
    state_class text NOT NULL,
    label text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT case_states_pkey PRIMARY KEY (case_type, state, tenant_id),
    CONSTRAINT case_states_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_states_value_key UNIQUE (tenant_id, case_type, value),
    CONSTRAINT case_states_key_check CHECK (state ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_states_class_check CHECK (state_class IN
        ('draft', 'new', 'open', 'waiting', 'resolved', 'closed', 'cancelled'))
);
SELECT csm_private.adopt_table('csm.case_states');
SELECT csm_private.signal_on('csm.case_states', '{tenant_id,case_type,state,value,state_class,active}', 'machine', 'tenant_id');

-- An action may lead between inherited states, so the states that it names
-- stand under from_type and to_type: the type itself or an ancestor.
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
    active boolean NOT NULL DEFAULT true,
    from_type text NOT NULL,
    to_type text NOT NULL,
    CONSTRAINT case_transitions_pkey PRIMARY KEY (case_type, from_state, action, tenant_id),
    CONSTRAINT case_transitions_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_from_fkey FOREIGN KEY (from_type, from_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_to_fkey FOREIGN KEY (to_type, to_state, tenant_id)
        REFERENCES csm.case_states (case_type, state, tenant_id) ON DELETE CASCADE,
    CONSTRAINT case_transitions_action_check CHECK (action ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT case_transitions_actors_check CHECK (cardinality(actors) > 0 AND actors <@
        '{requester,customer,claimant,respondent,partner,agent,assignee,manager,system,approver}'::text[]),
    CONSTRAINT case_transitions_required_check CHECK (required_fields <@
        '{subject,description,priority,resolution_code,resolution_notes,assigned_to,assigned_group_id,product_id,account_id,asset_id,counterparty_contact_id,reference,amount,currency}'::text[]),
    CONSTRAINT case_transitions_effects_check CHECK (jsonb_typeof(effects) = 'object')
);
SELECT csm_private.adopt_table('csm.case_transitions');
SELECT csm_private.signal_on('csm.case_transitions',
    '{tenant_id,case_type,from_state,action,to_state,actors,required_fields,note_required,effects,label,active}', 'machine', 'tenant_id');

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
COMMENT ON COLUMN csm.case_types.parent_type IS 'Type from which states, transitions, fields and settings are inherited; NULL for none';
COMMENT ON COLUMN csm.case_types.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_types.active IS 'False: no new case of the type';
COMMENT ON COLUMN csm.case_types.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON COLUMN csm.case_types.settings IS 'What the type says about time and forms, a JSON object; a key that is absent is inherited from the parent type, null switches it off. Keys: priority (1 to 4, of a new case that names none), begins_as_draft, reminder_days and close_days (of a proposed solution), awaiting_info_days, survey, sla, max_attachments and max_attachment_bytes; of disputes response_hours, auto_accept_days, max_rounds, appeal_days, counterparties (trades_with, or any) and both_sides (true: one person may act for both)';
COMMENT ON COLUMN csm.case_types.own_machine IS 'True: only the type''s own states and transitions hold; fields and settings are still inherited';
COMMENT ON TABLE csm.case_states IS 'States of a case type; a state of a type hides the one of the same key that it would inherit';
COMMENT ON COLUMN csm.case_states.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_states.case_type IS 'The type';
COMMENT ON COLUMN csm.case_states.state IS 'Key of the state';
COMMENT ON COLUMN csm.case_states.value IS 'Number by which other systems know the state';
COMMENT ON COLUMN csm.case_states.state_class IS 'What the state means to timers, SLAs and reports: draft, new, open, waiting, resolved, closed or cancelled';
COMMENT ON COLUMN csm.case_states.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_states.active IS 'False: the type does without the state that it would inherit, and without the actions that lead from or to it';
COMMENT ON TABLE csm.case_transitions IS 'A row of a type hides the one of the same state and action that it would inherit. From which state which action leads where, who may take it, and what it demands';
COMMENT ON COLUMN csm.case_transitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_transitions.case_type IS 'The type';
COMMENT ON COLUMN csm.case_transitions.from_state IS 'State in which the action can be taken';
COMMENT ON COLUMN csm.case_transitions.action IS 'Key of the action; one that leads back to from_state changes fields only';
COMMENT ON COLUMN csm.case_transitions.to_state IS 'State to which it leads';
COMMENT ON COLUMN csm.case_transitions.actors IS 'Relations to the case that may take it; any one suffices';
COMMENT ON COLUMN csm.case_transitions.required_fields IS 'Columns of the case that must not be null or blank afterwards, and what csm.act() must be given with a proposal (reference, amount, currency); SM003 otherwise';
COMMENT ON COLUMN csm.case_transitions.note_required IS 'True: csm.act() demands a note (SM003); it becomes a shared entry';
COMMENT ON COLUMN csm.case_transitions.effects IS 'What the action sets, a JSON object. Key: a column (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes) or "actor:column" for one relation, which goes before the plain key; "note" offers the note; "proposal" makes one in csm.dispute_proposals (made) or decides the pending one (accepted, rejected, withdrawn, lapsed, confirmed). Value: text in the column''s input form, null clears. A value that the caller writes in the same statement goes first';
COMMENT ON COLUMN csm.case_transitions.label IS 'Caption of the button';
COMMENT ON COLUMN csm.case_transitions.active IS 'False: the type does without the action that it would inherit';
COMMENT ON COLUMN csm.case_transitions.from_type IS 'Type whose from_state it is, filled in: case_type or the farthest ancestor that has the state';
COMMENT ON COLUMN csm.case_transitions.to_type IS 'Type whose to_state it is, filled in likewise';

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
    priority smallint NOT NULL,
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
    auto_close boolean NOT NULL DEFAULT true,
    escalated boolean NOT NULL DEFAULT false,
    follow_the_sun boolean NOT NULL DEFAULT false,
    major_state text,
    follow_up_at timestamptz,
    last_response_at timestamptz,
    made_sla boolean NOT NULL DEFAULT true,
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
    CONSTRAINT cases_self_check CHECK (parent_id <> id),
    CONSTRAINT cases_major_check CHECK (major_state IN ('proposed', 'accepted', 'rejected', 'cancelled'))
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
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low); the case type''s by default, else 4';
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
COMMENT ON COLUMN csm.cases.auto_close IS 'False: a proposed solution that nobody answers is not closed by time. Goes off when a solution is given up, on again with the next one; what is written in the same statement goes first';
COMMENT ON COLUMN csm.cases.follow_up_at IS 'When whoever works on the case wants to look at it again: needs_attention goes on then, and a case that waits for information is not closed by time until a day later; NULL for never';
COMMENT ON COLUMN csm.cases.last_response_at IS 'Last shared entry by staff; NULL before the first';
COMMENT ON COLUMN csm.cases.made_sla IS 'False once any SLA of the case was breached; csm sets it';
COMMENT ON COLUMN csm.cases.escalated IS 'An escalation of the case is open; kept by csm.escalations';
COMMENT ON COLUMN csm.cases.follow_the_sun IS 'The customer spoke on a case of priority 1 or 2, or it was escalated: worked on around the clock';
COMMENT ON COLUMN csm.cases.major_state IS 'proposed, accepted, rejected or cancelled as a major case; NULL for an ordinary case';
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
    IF me IS NULL OR c.opened_by IS DISTINCT FROM me THEN
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
       AND NOT csm_private.may_dispute(c.account_id, c.counterparty_account_id, c.tenant_id, c.case_type) THEN
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
'BEFORE trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501). Arguments: columns that an announced erasure may change';

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
'The farthest type on the chain of parents whose states and transitions count for a case type, itself where it has a machine of its own; NULL for an unknown type';

CREATE FUNCTION csm_private.actions_for(tenant_id bigint, case_type text, state text, actor text) RETURNS text[]
AS 'MODULE_PATHNAME', 'csm_actions_for' LANGUAGE c STABLE;
COMMENT ON FUNCTION csm_private.actions_for(bigint, text, text, text) IS
'Actions that a relation (system, customer, ...) may take from a state of the type''s machine; empty for what is unknown or null';

CREATE FUNCTION csm_private.dispute_permits(c csm.cases, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_dispute_permits' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION csm_private.dispute_permits(csm.cases, text) IS
'Whether the caller may take the action on a dispute: the machine, and that a second person confirms a ruling and a manager names the contact';

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

CREATE FUNCTION csm_private.begin_act(c csm.cases, action text, note text, fields jsonb, as_system boolean) RETURNS text
AS 'MODULE_PATHNAME', 'csm_begin_act' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text, jsonb, boolean) IS
'Judges an action of the caller or, with as_system, of the system (42501, 22023, SM004, SM002) and announces it, with the proposal in fields (reference, amount, currency); returns the note to write, NULL for none';

CREATE FUNCTION csm_private.begin_system(case_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_system' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_system(bigint) IS
'Announces that the next change of the case is csm''s own: judged as the system''s, and it may write escalated, follow_the_sun and major_state';

CREATE FUNCTION csm_private.begin_acts(case_ids bigint[], action text) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_acts' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_acts(bigint[], text) IS
'Announces that the next change of each of these cases is an action of the system''s with a note; at most 256 cases';

CREATE FUNCTION csm_private.begin_notes(case_ids bigint[]) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_notes' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_notes(bigint[]) IS
'Announces an entry of the system''s on each of these cases, without effects of its own; at most 256 cases';

CREATE FUNCTION csm_private.end_many() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_many' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_many() IS
'Takes back what was announced for many cases and has not been met';

CREATE FUNCTION csm_private.begin_note(case_id bigint, as_system boolean) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_note(bigint, boolean) IS
'Announces the note of an act: an entry that has no effects of its own; with as_system it has no author';

CREATE FUNCTION csm_private.begin_entry(case_id bigint, visibility text, side text, author_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_entry' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';

CREATE FUNCTION csm_private.entry_is_note(entry_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_is_note' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';

CREATE FUNCTION csm_private.entry_effects() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_effects' LANGUAGE c;
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
        'csm_private.actions_for(bigint, text, text, text)',
        'csm_private.dispute_permits(csm.cases, text)',
        'csm_private.begin_open(boolean, text)',
        'csm_private.end_open(csm.cases)',
        'csm_private.begin_act(csm.cases, text, text, jsonb, boolean)',
        'csm_private.begin_system(bigint)',
        'csm_private.begin_note(bigint, boolean)',
        'csm_private.begin_acts(bigint[], text)',
        'csm_private.begin_notes(bigint[])',
        'csm_private.end_many()',
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
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'body');
CREATE TRIGGER case_entries_10_append_only_truncate BEFORE TRUNCATE ON csm.case_entries
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER case_entries_20_effects AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_effects();

-- The machine of disputes that csm ships: a claimant, a respondent, and the
-- operator between them.  The shipped types (40_shipped.sql) take it in.

CREATE FUNCTION csm_private.shipped_dispute_states()
RETURNS TABLE (state text, value integer, state_class text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
BEGIN ATOMIC
    VALUES
        ('draft', 0, 'draft', 'Draft'),
        ('submitted', 1, 'new', 'Submitted'),
        ('in_discussion', 10, 'open', 'In discussion'),
        ('awaiting_claimant', 18, 'waiting', 'Awaiting claimant'),
        ('proposed', 6, 'resolved', 'Proposed'),
        ('escalated', 20, 'open', 'Escalated'),
        ('ruled', 16, 'resolved', 'Ruled'),
        ('settled', 3, 'closed', 'Settled'),
        ('withdrawn', 4, 'closed', 'Withdrawn'),
        ('ruled_final', 5, 'closed', 'Ruled, final'),
        ('cancelled', 7, 'cancelled', 'Cancelled');
END;

-- What the system may take, time takes: escalate when the respondent is silent
-- or after too many rounds, accept when nobody answers a proposal, confirm when
-- the appeal window ends.
CREATE FUNCTION csm_private.shipped_dispute_transitions()
RETURNS TABLE (from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 40
BEGIN ATOMIC
    SELECT f.from_state, t.action, coalesce(t.to_state, f.from_state), t.actors,
           t.required_fields, t.note_required, t.effects, t.label
    FROM (VALUES
        ('{draft}'::text[], 'submit', 'submitted', '{claimant}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('{draft}', 'cancel', 'cancelled', '{claimant}', '{}', true, '{}', 'Cancel'),
        ('{submitted}', 'cancel', 'cancelled', '{agent}', '{}', true, '{}', 'Cancel'),
        ('{submitted}', 'acknowledge', 'in_discussion', '{respondent}', '{}', false, '{}', 'Acknowledge'),
        ('{in_discussion}', 'request_info', 'awaiting_claimant', '{respondent,agent}', '{}', true, '{}', 'Request info'),
        -- any comment of the claimant does it
        ('{awaiting_claimant}', 'resume', 'in_discussion', '{claimant}', '{}', false, '{}', 'Answer'),
        ('{submitted,in_discussion,awaiting_claimant}', 'propose', 'proposed', '{respondent}',
            '{reference,resolution_code,resolution_notes}', false, '{"proposal": "made"}', 'Propose resolution'),
        ('{proposed}', 'accept', 'settled', '{claimant,system}', '{}', false, '{"proposal": "accepted"}', 'Accept'),
        ('{proposed}', 'reject', 'in_discussion', '{claimant}', '{}', true, '{"proposal": "rejected"}', 'Reject'),
        ('{proposed}', 'withdraw_proposal', 'in_discussion', '{respondent}', '{}', false, '{"proposal": "withdrawn"}', 'Withdraw proposal'),
        ('{submitted,in_discussion}', 'escalate', 'escalated', '{claimant,respondent,system}', '{}', true, '{}', 'Escalate to operator'),
        ('{awaiting_claimant}', 'escalate', 'escalated', '{claimant,respondent}', '{}', true, '{}', 'Escalate to operator'),
        ('{proposed}', 'escalate', 'escalated', '{claimant,respondent}', '{}', true, '{"proposal": "lapsed"}', 'Escalate to operator'),
        ('{escalated}', 'send_back', 'in_discussion', '{agent}', '{}', false, '{}', 'Send back to the parties'),
        ('{escalated}', 'rule', 'ruled', '{manager}', '{resolution_code,resolution_notes}', false, '{"proposal": "made"}', 'Rule'),
        ('{ruled}', 'confirm', 'ruled_final', '{agent,system}', '{}', false, '{"proposal": "confirmed"}', 'Confirm ruling'),
        ('{draft,submitted,in_discussion,awaiting_claimant,escalated}', 'withdraw', 'withdrawn', '{claimant}', '{}', false,
            '{"resolution_code": "Withdrawn by claimant", "resolution_notes": "Withdrawn by claimant", "note": "Withdrawn by claimant"}', 'Withdraw claim'),
        ('{proposed,ruled}', 'withdraw', 'withdrawn', '{claimant}', '{}', false,
            '{"resolution_code": "Withdrawn by claimant", "resolution_notes": "Withdrawn by claimant", "note": "Withdrawn by claimant", "proposal": "lapsed"}', 'Withdraw claim'),
        ('{submitted,in_discussion,awaiting_claimant,proposed,escalated}', 'assign_contact', NULL, '{respondent,agent}',
            '{counterparty_contact_id}', false, '{}', 'Name contact')
    ) AS t(from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state);
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_dispute_states()', 'States of the case type dispute that csm ships'),
        ('csm_private.shipped_dispute_transitions()', 'Transitions of the case type dispute that csm ships')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;

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
        ('consumer', 'own', '{product_read,entitlement_read}'),
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

-- Case types, a block each.  What a block does not say is inherited from the
-- parent; the periods are those of R 2.4 and 5.4.
CREATE FUNCTION csm_private.shipped_case_types()
RETURNS TABLE (case_type text, parent_type text, label text, settings jsonb, own_machine boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('case', NULL::text, 'Case', '{"reminder_days": 5, "close_days": 10}'::jsonb, false),
        ('complaint', 'case', 'Complaint', '{"priority": 3}', false),
        ('request', 'case', 'Service request', '{}', false),
        ('privacy_request', 'case', 'Privacy request', '{"priority": 2}', false),
        ('order', 'case', 'Order', '{"begins_as_draft": true}', false),
        ('dispute', NULL, 'Dispute', '{"response_hours": 72, "reminder_days": 5, "auto_accept_days": 10, "max_rounds": 3, "appeal_days": 14}', false);
END;

CREATE FUNCTION csm_private.shipped_case_states()
RETURNS TABLE (case_type text, state text, value integer, state_class text, label text, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT s.case_type, s.state, s.value, s.state_class, s.label, true
    FROM (VALUES
        ('case', 'draft', 0, 'draft', 'Draft'),
        ('case', 'new', 1, 'new', 'New'),
        ('case', 'open', 10, 'open', 'Open'),
        ('case', 'awaiting_info', 18, 'waiting', 'Awaiting info'),
        ('case', 'resolved', 6, 'resolved', 'Resolved'),
        ('case', 'closed', 3, 'closed', 'Closed'),
        ('case', 'cancelled', 7, 'cancelled', 'Cancelled'),

        ('request', 'open', 10, 'open', 'In fulfilment'),
        ('request', 'resolved', 6, 'resolved', 'Delivered'),

        ('privacy_request', 'awaiting_identity', 19, 'waiting', 'Awaiting proof of identity'),
        ('privacy_request', 'resolved', 6, 'resolved', 'Answered'),

        ('order', 'awaiting_approval', 2, 'draft', 'Awaiting approval'),
        ('order', 'open', 10, 'open', 'Work in progress'),
        ('order', 'resolved', 6, 'resolved', 'Delivered')
    ) AS s(case_type, state, value, state_class, label)
  UNION ALL
    SELECT 'dispute', d.state, d.value, d.state_class, d.label, true FROM csm_private.shipped_dispute_states() d;
END;

-- to_state NULL: back to where it came from.  A row without actors switches an
-- inherited action off.
CREATE FUNCTION csm_private.shipped_case_transitions()
RETURNS TABLE (case_type text, from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
    SELECT t.case_type, f.from_state, t.action, coalesce(t.to_state, f.from_state), coalesce(t.actors, '{system}'),
           t.required_fields, t.note_required, t.effects, t.label, t.actors IS NOT NULL
    FROM (VALUES
        ('case', '{draft}'::text[], 'submit', 'new', '{requester,agent}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('case', '{draft}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('case', '{new}', 'take', 'open', '{agent}', '{}', false, '{}', 'Assign to me'),
        ('case', '{new,open,awaiting_info}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('case', '{open}', 'request_info', 'awaiting_info', '{agent}', '{}', true, '{}', 'Request info'),
        ('case', '{awaiting_info}', 'resume', 'open', '{agent,customer}', '{}', false, '{}', 'Resume'),
        ('case', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_code,resolution_notes}', false, '{}', 'Propose solution'),
        ('case', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Accept solution'),
        ('case', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Reject solution'),
        -- auto-close of a proposal that nobody answered
        ('case', '{resolved}', 'close', 'closed', '{system}', '{}', false, '{}', 'Close'),
        -- a question that nobody answered (C20), and R 2.2: the parent major case is closed
        ('case', '{awaiting_info}', 'time_out', 'closed', '{system}', '{}', false, '{"resolution_code": "No answer"}', 'Close for want of an answer'),
        ('case', '{new,open,awaiting_info}', 'close_with_parent', 'closed', '{system}', '{}', false, '{}', 'Close with the major case'),
        ('case', '{new,open,awaiting_info}', 'close', 'closed', '{agent,customer}', '{resolution_code,resolution_notes}', false,
            '{"customer:resolution_code": "Solved by customer", "customer:resolution_notes": "Closed by customer", "customer:note": "Closed by customer"}', 'Close'),
        ('case', '{new}', 'cancel', 'cancelled', '{requester,manager}', '{}', false, '{}', 'Cancel'),
        ('case', '{open,awaiting_info}', 'cancel', 'cancelled', '{manager}', '{}', false, '{}', 'Cancel'),

        -- A complaint ends with an answer that the customer judged: the desk
        -- cannot close it, and cannot cancel it once it is being worked on.
        ('complaint', '{new,open,awaiting_info}', 'close', 'closed', '{customer}', '{resolution_code,resolution_notes}', false,
            '{"resolution_code": "Withdrawn", "resolution_notes": "Withdrawn by customer", "note": "Withdrawn by customer"}', 'Withdraw'),
        ('complaint', '{open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),

        ('request', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_notes}', false,
            '{"resolution_code": "Delivered"}', 'Deliver'),
        ('request', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Confirm receipt'),
        ('request', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Report a fault'),

        -- Nothing is told before the person is known (GDPR article 12(6)); a
        -- refusal is a manager's and says why (article 12(4)).
        ('privacy_request', '{new,open,awaiting_info}', 'request_identity', 'awaiting_identity', '{agent}', '{}', true, '{}', 'Ask for proof of identity'),
        ('privacy_request', '{awaiting_identity}', 'confirm_identity', 'open', '{agent}', '{}', false, '{}', 'Confirm identity'),
        ('privacy_request', '{awaiting_identity}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('privacy_request', '{awaiting_identity}', 'time_out', 'closed', '{system}', '{}', false, '{"resolution_code": "No answer"}', 'Close for want of an answer'),
        ('privacy_request', '{awaiting_identity}', 'close_with_parent', 'closed', '{system}', '{}', false, '{}', 'Close with the major case'),
        ('privacy_request', '{open,awaiting_info,awaiting_identity}', 'refuse', 'resolved', '{manager}', '{resolution_notes}', true,
            '{"resolution_code": "Refused"}', 'Refuse'),
        ('privacy_request', '{new,open,awaiting_info,awaiting_identity}', 'close', 'closed', '{customer}', '{resolution_code,resolution_notes}', false,
            '{"resolution_code": "Withdrawn", "resolution_notes": "Withdrawn by customer", "note": "Withdrawn by customer"}', 'Withdraw'),
        ('privacy_request', '{open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),

        -- An order can be cancelled before it is placed, not afterwards.
        ('order', '{draft}', 'submit', 'new', '{requester,agent}', '{}', false, '{}', 'Place order'),
        ('order', '{draft}', 'request_approval', 'awaiting_approval', '{requester,agent}', '{}', false, '{}', 'Ask a colleague to approve'),
        ('order', '{awaiting_approval}', 'approve', 'new', '{approver}', '{}', false, '{}', 'Approve'),
        ('order', '{awaiting_approval}', 'decline', 'draft', '{approver}', '{}', true, '{}', 'Decline'),
        ('order', '{awaiting_approval}', 'recall', 'draft', '{requester,agent}', '{}', false, '{}', 'Take back'),
        ('order', '{awaiting_approval}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('order', '{new,open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),
        ('order', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_notes}', false,
            '{"resolution_code": "Delivered"}', 'Deliver'),
        ('order', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Confirm receipt'),
        ('order', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Report a fault')
    ) AS t(case_type, from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state)
  UNION ALL
    SELECT 'dispute', d.from_state, d.action, d.to_state, d.actors, d.required_fields, d.note_required, d.effects, d.label, true
    FROM csm_private.shipped_dispute_transitions() d;
END;

-- Fields of the shipped types; audience all, because the customer gives them.
CREATE FUNCTION csm_private.shipped_case_fields()
RETURNS TABLE (case_type text, name text, label text, type text, audience text, required boolean, required_for text[],
               choices text[], reference text, "position" integer, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('dispute', 'claimed_object', 'Order, invoice or transaction in dispute', 'text', 'all', false, '{}'::text[], NULL::text[], NULL::text, 1, true),
        ('dispute', 'claimed_amount', 'Amount claimed', 'number', 'all', false, '{}', NULL, NULL, 2, true),
        ('dispute', 'claimed_currency', 'Currency of the claim', 'text', 'all', false, '{}', NULL, NULL, 3, true),
        ('privacy_request', 'right_asked', 'What is asked', 'choice', 'all', true, '{}'::text[],
            '{access,rectification,erasure,restriction,portability,objection}'::text[], NULL::text, 1, true),
        ('privacy_request', 'identity_proof', 'How the person was identified', 'text', 'staff', false, '{confirm_identity}', NULL, NULL, 2, true);
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
        ('csm_private.shipped_case_fields()', 'Fields of the case types that csm ships')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;

-- Typed fields of case types.  Their values live where their audience reads
-- them: csm.cases.attributes (all), csm.case_internal (staff) and
-- csm.case_side_fields (customer, counterparty).  Whoever writes there is judged
-- by src/csm_case_fields.c.  A type that neither has nor inherits an active
-- field takes any JSON object.

CREATE TABLE csm.case_type_fields (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    name text NOT NULL,
    label text NOT NULL,
    type text NOT NULL,
    audience text NOT NULL DEFAULT 'all',
    required boolean NOT NULL DEFAULT false,
    required_for text[] NOT NULL DEFAULT '{}',
    choices text[],
    reference text,
    "position" integer NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT case_type_fields_pkey PRIMARY KEY (case_type, name, tenant_id),
    CONSTRAINT case_type_fields_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    -- csm.act() takes columns of the case, words of a proposal and fields of the
    -- type by one name
    CONSTRAINT case_type_fields_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$' AND name <> ALL (
        '{id,tenant_id,requester_id,opened_at,account_id,opened_by,submitted_at,branch,state_class,state,party_keys,
         number,case_type,priority,impact,urgency,subject,description,language,channel,household_id,
         counterparty_account_id,counterparty_contact_id,partner_account_id,partner_contact_id,internal_contact_id,
         service_organization_id,product_id,asset_id,entitlement_id,assigned_group_id,assigned_to,parent_id,
         resolution_code,resolution_notes,needs_attention,attributes,search,idempotency_key,resolved_at,closed_at,
         updated_at,first_response_at,reopen_count,reassignment_count,auto_close,escalated,follow_the_sun,
         major_state,note,reference,amount,currency}'::text[])),
    CONSTRAINT case_type_fields_kind_check CHECK (type IN
        ('text', 'integer', 'number', 'boolean', 'date', 'timestamp', 'choice', 'reference')),
    CONSTRAINT case_type_fields_audience_check CHECK (audience IN ('all', 'staff', 'customer', 'counterparty')),
    -- Other audiences' fields are written when the case is there already.
    CONSTRAINT case_type_fields_required_check CHECK (audience = 'all' OR NOT required),
    CONSTRAINT case_type_fields_choices_check CHECK ((type = 'choice') = (choices IS NOT NULL) AND cardinality(choices) > 0
        AND array_position(choices, NULL) IS NULL),
    CONSTRAINT case_type_fields_reference_check CHECK ((type = 'reference') = (reference IS NOT NULL) AND reference IN
        ('users', 'accounts', 'contacts', 'households', 'products', 'sold_products', 'assets', 'contracts',
         'entitlements', 'cases', 'groups', 'service_organizations'))
);
SELECT csm_private.adopt_table('csm.case_type_fields');
SELECT csm_private.signal_on('csm.case_type_fields',
    '{tenant_id,case_type,name,type,audience,required,required_for,choices,reference,active}', 'machine', 'tenant_id');

CREATE POLICY case_type_fields_select ON csm.case_type_fields FOR SELECT TO csm_portal
    USING (tenant_id = csm.current_tenant_id() AND audience <> 'staff');
CREATE POLICY case_type_fields_select_staff ON csm.case_type_fields FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY case_type_fields_write ON csm.case_type_fields FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.case_type_fields TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.case_type_fields TO csm_admin;

COMMENT ON TABLE csm.case_type_fields IS 'Fields that a case type adds to its cases; a field of a type hides the one of the same name that it would inherit';
COMMENT ON COLUMN csm.case_type_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_type_fields.case_type IS 'The type';
COMMENT ON COLUMN csm.case_type_fields.name IS 'Key of the value in the JSON object';
COMMENT ON COLUMN csm.case_type_fields.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_type_fields.type IS 'What the JSON value must be: text and choice a string, integer a whole number of 64 bits, number, boolean, date a string YYYY-MM-DD, timestamp a string of RFC 3339 with its offset, reference the id of a row. null means no value';
COMMENT ON COLUMN csm.case_type_fields.audience IS 'Who reads it: all (csm.cases.attributes), staff (csm.case_internal), customer or counterparty (csm.case_side_fields of that side)';
COMMENT ON COLUMN csm.case_type_fields.required IS 'True: a case that is no draft has a value (SM003); audience all only';
COMMENT ON COLUMN csm.case_type_fields.required_for IS 'Actions that demand a value (SM003)';
COMMENT ON COLUMN csm.case_type_fields.choices IS 'What a choice may be; NULL for other types';
COMMENT ON COLUMN csm.case_type_fields.reference IS 'Table of csm to which a reference leads; NULL for other types. The row must exist in the tenant and be visible to the writer when it is written (42501)';
COMMENT ON COLUMN csm.case_type_fields."position" IS 'Order on a form';
COMMENT ON COLUMN csm.case_type_fields.active IS 'False: the type does without the field that it would inherit';
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Who asks for service reads the fields of his tenant''s types, but staff''s';
COMMENT ON POLICY case_type_fields_select_staff ON csm.case_type_fields IS 'Staff connections read all fields of their tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';

-- ---- who judges the values ----

CREATE FUNCTION csm_private.fields_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_fields_guard' LANGUAGE c;
ALTER FUNCTION csm_private.fields_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.fields_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.fields_guard() IS
'Trigger of csm.case_internal and csm.case_side_fields: values are fields of the case type for that audience (22023), references exist and are visible (42501), the case is not closed (SM004)';

CREATE TRIGGER case_internal_10_fields BEFORE INSERT OR UPDATE ON csm.case_internal
    FOR EACH ROW EXECUTE FUNCTION csm_private.fields_guard();
CREATE TRIGGER case_side_fields_10_fields BEFORE INSERT OR UPDATE ON csm.case_side_fields
    FOR EACH ROW EXECUTE FUNCTION csm_private.fields_guard();

-- ---- fields by name, wherever they live ----

CREATE FUNCTION csm_private.with_attributes(case_type text, fields jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_with_attributes' LANGUAGE c STABLE;
ALTER FUNCTION csm_private.with_attributes(text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.with_attributes(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.with_attributes(text, jsonb) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.with_attributes(text, jsonb) IS
'The object with those keys that name fields of the type for all parties moved into its key attributes; what is no object, and keys of an unknown type, come back as they are';

-- Runs as csm_owner for callers that have asked whether the person may act on
-- the case; here it is asked who may write which field.
CREATE FUNCTION csm_private.write_fields(c csm.cases, given jsonb, as_system boolean) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    works CONSTANT boolean := as_system OR csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system();
    attributes jsonb := c.attributes;
    part record;
BEGIN
    FOR part IN
        SELECT f.audience, jsonb_object_agg(g.key, g.value) AS fields, array_agg(g.key) AS names
        FROM jsonb_each(given) g
        -- of staff's fields nobody else learns that there are any
        LEFT JOIN csm_private.type_fields(c.tenant_id, c.case_type) f ON f.name = g.key AND (works OR f.audience <> 'staff')
        GROUP BY f.audience
        ORDER BY f.audience NULLS FIRST
    LOOP
        IF part.audience IS NULL THEN
            RAISE EXCEPTION 'case type "%" has no such field', c.case_type USING ERRCODE = '22023',
                DETAIL = format('Not among the fields: %s.', array_to_string(part.names, ', ')),
                HINT = 'csm.case_type_fields describes the fields of each type; which columns csm.act() sets, its comment says.';
        ELSIF part.audience = 'all' THEN
            attributes := attributes || part.fields;
        ELSIF part.audience = 'staff' THEN
            INSERT INTO csm.case_internal AS i (case_id, tenant_id, attributes)
            VALUES (c.id, c.tenant_id, part.fields)
            ON CONFLICT ON CONSTRAINT case_internal_pkey DO UPDATE SET attributes = i.attributes || excluded.attributes;
        ELSIF works OR csm_private.case_side_allows(c, part.audience) THEN
            INSERT INTO csm.case_side_fields AS s (case_id, side, tenant_id, attributes)
            VALUES (c.id, part.audience, c.tenant_id, part.fields)
            ON CONFLICT ON CONSTRAINT case_side_fields_pkey DO UPDATE SET attributes = s.attributes || excluded.attributes;
        ELSE
            RAISE EXCEPTION 'fields of case % are not yours to set', c.number USING ERRCODE = '42501',
                DETAIL = format('Fields: %s.', array_to_string(part.names, ', ')),
                HINT = 'A side sets its own fields; staff who work on the case set all.';
        END IF;
    END LOOP;
    RETURN attributes;
END $$;
ALTER FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) IS
'Writes fields of a case by their names where staff and sides have theirs, and returns what csm.cases.attributes becomes. Errors: 22023 no such field, 42501 another side''s or staff''s';

-- What a case type inherits.  The chain leads from the type over its parents;
-- of what two types on it say about the same thing the nearer counts: state by
-- state, action by action, setting by setting.  csm_machine.c reads machines
-- through these functions, so that the rule is written once.

-- Kept free of circles by csm_private.type_chain_guard(); the depth of 32
-- ends the walk where rows came in by another way.
CREATE FUNCTION csm_private.type_chain(tenant_id bigint, case_type text)
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

CREATE FUNCTION csm_private.type_setting(tenant_id bigint, case_type text, key text) RETURNS jsonb
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

CREATE FUNCTION csm_private.machine_states(tenant_id bigint, case_type text)
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

CREATE FUNCTION csm_private.machine_transitions(tenant_id bigint, case_type text)
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

CREATE FUNCTION csm_private.type_fields(tenant_id bigint, case_type text) RETURNS SETOF csm.case_type_fields
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
CREATE FUNCTION csm_private.type_chain_guard() RETURNS trigger
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

CREATE FUNCTION csm_private.transition_types() RETURNS trigger
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

-- How a tenant gets what csm ships: both sides in one form, and their merge.

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
    FROM csm_private.shipped_case_transitions() t
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) FROM csm_private.shipped_case_fields() f;
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
           jsonb_build_object('case_type', t.case_type, 'parent_type', t.parent_type, 'label', t.label,
               'settings', t.settings, 'own_machine', t.own_machine)
    FROM csm.case_types t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) - 'tenant_id'
    FROM csm.case_states s WHERE s.tenant_id = tenant
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t) - '{tenant_id,from_type,to_type}'::text[]
    FROM csm.case_transitions t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_field', ARRAY[f.case_type, f.name], to_jsonb(f) - 'tenant_id'
    FROM csm.case_type_fields f WHERE f.tenant_id = tenant;
END;

-- Puts one shipped thing into a tenant's tables, new or in place of the old.
-- False where it cannot stand: the state that a transition leads to is gone,
-- another state has its number.
CREATE FUNCTION csm_private.put_item(tenant bigint, kind text, content jsonb) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A type of the same key that the tenant made himself is left alone.
    IF kind IN ('case_state', 'case_transition', 'case_field')
       AND NOT EXISTS (SELECT FROM csm.case_types t
                       WHERE t.tenant_id = tenant AND t.case_type = content ->> 'case_type' AND t.shipped) THEN
        RETURN false;
    END IF;
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
        INSERT INTO csm.case_types AS t (tenant_id, case_type, parent_type, label, settings, own_machine, shipped)
        SELECT tenant, c.case_type, c.parent_type, c.label, c.settings, c.own_machine, true
        FROM jsonb_to_record(content) AS c(case_type text, parent_type text, label text, settings jsonb, own_machine boolean)
        ON CONFLICT ON CONSTRAINT case_types_pkey DO UPDATE
            SET parent_type = excluded.parent_type, label = excluded.label, settings = excluded.settings,
                own_machine = excluded.own_machine, shipped = true;
    WHEN 'case_state' THEN
        IF EXISTS (SELECT FROM csm.case_states s
                      WHERE s.tenant_id = tenant AND s.case_type = content ->> 'case_type'
                        AND s.state <> content ->> 'state' AND s.value = (content ->> 'value')::integer) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_states AS s (tenant_id, case_type, state, value, state_class, label, active)
        SELECT tenant, c.case_type, c.state, c.value, c.state_class, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, state text, value integer, state_class text, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_states_pkey DO UPDATE
            SET value = excluded.value, state_class = excluded.state_class, label = excluded.label, active = excluded.active;
    WHEN 'case_transition' THEN
        IF EXISTS (SELECT FROM unnest(ARRAY[content ->> 'from_state', content ->> 'to_state']) AS n(state)
                   WHERE NOT EXISTS (SELECT FROM csm_private.type_chain(tenant, content ->> 'case_type') c
                                     JOIN csm.case_states s ON s.case_type = c.case_type AND s.tenant_id = tenant
                                     WHERE c.in_machine AND s.state = n.state)) THEN
            RETURN false;
        END IF;
        INSERT INTO csm.case_transitions AS t (tenant_id, case_type, from_state, action, to_state, actors,
                                               required_fields, note_required, effects, label, active)
        SELECT tenant, c.case_type, c.from_state, c.action, c.to_state, c.actors,
               c.required_fields, c.note_required, c.effects, c.label, c.active
        FROM jsonb_to_record(content) AS c(case_type text, from_state text, action text, to_state text, actors text[],
                                           required_fields text[], note_required boolean, effects jsonb, label text, active boolean)
        ON CONFLICT ON CONSTRAINT case_transitions_pkey DO UPDATE
            SET to_state = excluded.to_state, actors = excluded.actors, required_fields = excluded.required_fields,
                note_required = excluded.note_required, effects = excluded.effects, label = excluded.label, active = excluded.active;
    WHEN 'case_field' THEN
        INSERT INTO csm.case_type_fields AS f (tenant_id, case_type, name, label, type, audience, required, required_for,
                                               choices, reference, "position", active)
        SELECT tenant, c.case_type, c.name, c.label, c.type, c.audience, c.required, c.required_for,
               c.choices, c.reference, c."position", c.active
        FROM jsonb_to_record(content) AS c(case_type text, name text, label text, type text, audience text, required boolean,
                                           required_for text[], choices text[], reference text, "position" integer, active boolean)
        ON CONFLICT ON CONSTRAINT case_type_fields_pkey DO UPDATE
            SET label = excluded.label, type = excluded.type, audience = excluded.audience, required = excluded.required,
                required_for = excluded.required_for, choices = excluded.choices, reference = excluded.reference,
                "position" = excluded."position", active = excluded.active;
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
    FOREACH kind IN ARRAY ARRAY['role', 'case_type', 'case_state', 'case_transition', 'case_field'] LOOP
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


DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_items()', 'Everything that csm ships, one row for each thing that a tenant may change: role (with its permissions), case_type, case_state, case_transition, case_field'),
        ('csm_private.tenant_items(bigint)', 'What a tenant has, in the form of csm_private.shipped_items()'),
        ('csm_private.put_item(bigint, text, jsonb)', 'Writes one shipped thing into a tenant''s tables; false where what it refers to is missing or the tenant''s own, or its number is taken'),
        ('csm_private.merge_shipped(bigint)', 'Brings one tenant up to what csm ships and keeps what he changed; no check of the caller')
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
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state, case_transition or case_field';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';

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

ALTER FUNCTION csm.map_login(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm.create_tenant(text, text, text, text) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.map_login(bigint, text), csm.create_tenant(text, text, text, text),
    csm.refresh_shipped(bigint), csm.refresh_shipped() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.refresh_shipped(bigint), csm.refresh_shipped() TO csm_admin;
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states, transitions and fields, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions only), kept (differs from what csm ships)';

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
    product_id bigint DEFAULT NULL, asset_id bigint DEFAULT NULL, priority integer DEFAULT NULL, channel text DEFAULT 'web',
    fields jsonb DEFAULT '{}', draft boolean DEFAULT false, idempotency_key text DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.end_open(csm_private.open_case_row(
        csm_private.begin_open(draft, idempotency_key), subject, description, case_type, account_id, requester_id,
        counterparty_account_id, product_id, asset_id, priority, channel,
        csm_private.with_attributes(case_type, fields), idempotency_key));
END;
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. priority: the case type''s by default, else 4. fields: fields of the case type, and further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';

-- Both ways to take an action end here; the row is locked, so that of two who
-- act at once the second is judged by what the first left.
CREATE FUNCTION csm_private.take_action(c csm.cases, action text, note text, fields jsonb, as_system boolean) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settable CONSTANT text[] := '{subject,description,priority,impact,urgency,assigned_to,assigned_group_id,
        product_id,asset_id,counterparty_contact_id,resolution_code,resolution_notes,reference,amount,currency}'::text[];
    further jsonb;
    f csm.cases;
    said text;
BEGIN
    IF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;
    further := fields - settable;

    SELECT * INTO c FROM csm.cases e WHERE e.id = c.id FOR NO KEY UPDATE;
    said := csm_private.begin_act(c, action, nullif(btrim(note, E' \t\r\n'), ''), fields, as_system);
    f := jsonb_populate_record(c, fields);
    IF further <> '{}' THEN
        f.attributes := csm_private.write_fields(c, further, as_system);
    END IF;
    UPDATE csm.cases e
    SET subject = f.subject, description = f.description, priority = f.priority, impact = f.impact, urgency = f.urgency,
        assigned_to = f.assigned_to, assigned_group_id = f.assigned_group_id, product_id = f.product_id, asset_id = f.asset_id,
        counterparty_contact_id = f.counterparty_contact_id, resolution_code = f.resolution_code, resolution_notes = f.resolution_notes,
        attributes = f.attributes
    WHERE e.id = c.id
    RETURNING * INTO c;
    IF said IS NOT NULL THEN
        PERFORM csm_private.begin_note(c.id, as_system);
        INSERT INTO csm.case_entries (tenant_id, case_id, body) VALUES (c.tenant_id, c.id, said);
    END IF;
    IF c.counterparty_account_id IS NOT NULL AND action = 'reject' THEN
        c := csm_private.limit_rounds(c);
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.take_action(csm.cases, text, text, jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.take_action(csm.cases, text, text, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.take_action(csm.cases, text, text, jsonb, boolean) IS
'Body of csm.act() and csm_private.act_as_system(), run as csm_owner: c says which case, as_system who is judged; errors as csm.act()';

CREATE FUNCTION csm_private.act_as_system(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001';
    END IF;
    RETURN csm_private.take_action(c, action, note, fields, true);
END $$;
ALTER FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) IS
'Takes an action as the system, whoever runs the function of csm that calls it; only csm_owner may. A note has no author. Errors as csm.act()';

CREATE FUNCTION csm.act(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
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
    RETURN csm_private.take_action(c, action, note, fields, false);
END $$;
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes), and reference, amount, currency of a proposal, and fields of the case type by their names; who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';

CREATE FUNCTION csm.actions(case_id bigint)
RETURNS TABLE (action text, label text, to_state text, required_fields text[], note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = actions.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system())
       OR c.state_class IN ('closed', 'cancelled') THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT o.action, o.label, o.to_state, o.required_fields, o.note_required
        FROM csm_private.offers(c) o
        WHERE c.counterparty_account_id IS NULL OR csm_private.dispute_permits(c, o.action)
        ORDER BY o.action;
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

-- What happened to cases, for the programs that follow it.
--
-- One row a business event, written in the transaction of the event, under the
-- row lock of its case.  So within a case the order of ids is the order of
-- commits; across cases it is not: a transaction may take its id early and
-- commit late.  A reader that remembered the highest id would skip that one.
-- Therefore rows are written without a position, and csm.next_events() gives
-- positions to rows that are committed (84_event_readers.sql).

CREATE TABLE csm.events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    kind text NOT NULL,
    actor_id bigint,
    audience text NOT NULL DEFAULT 'shared',
    side text,
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    position bigint,
    CONSTRAINT events_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT events_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT events_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT events_audience_check CHECK (audience IN ('shared', 'internal', 'private')),
    CONSTRAINT events_side_check CHECK ((audience = 'private') = (side IS NOT NULL)
        AND side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT events_payload_check CHECK (jsonb_typeof(payload) = 'object')
);
-- What waits for a position, and what has one: no row stands in both.
CREATE INDEX events_waiting_idx ON csm.events (tenant_id, id) WHERE position IS NULL;
CREATE UNIQUE INDEX events_position_idx ON csm.events (tenant_id, position) WHERE position IS NOT NULL;
SELECT csm_private.adopt_table('csm.events');

COMMENT ON TABLE csm.events IS 'What happened to cases, once each; read through csm.next_events(). Written by triggers, deleted by csm.prune_events()';
COMMENT ON COLUMN csm.events.id IS 'Identity, unique in the database; in the order of commits within a case, not across cases';
COMMENT ON COLUMN csm.events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.events.case_id IS 'The case';
COMMENT ON COLUMN csm.events.kind IS 'What happened: opened, state_changed, resolved, reopened, closed, assigned, priority_changed, commented, and what further modules add';
COMMENT ON COLUMN csm.events.actor_id IS 'Person who did it (csm.users.id, no foreign key); NULL for the system';
COMMENT ON COLUMN csm.events.audience IS 'shared: who sees the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON COLUMN csm.events.side IS 'Side of a private event: customer, counterparty or operator; NULL for the others';
COMMENT ON COLUMN csm.events.payload IS 'Keys and values of the change, a JSON object without free text; README lists them by kind';
COMMENT ON COLUMN csm.events.created_at IS 'When it happened';
COMMENT ON COLUMN csm.events.position IS 'Place in the order of delivery within the tenant; NULL until csm.next_events() has met the committed row';

CREATE FUNCTION csm_private.emit(tenant_id bigint, case_id bigint, kind text, payload jsonb DEFAULT '{}',
    audience text DEFAULT 'shared', side text DEFAULT NULL, actor_id bigint DEFAULT csm.current_user_id()) RETURNS void
AS 'MODULE_PATHNAME', 'csm_emit' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) IS
'Writes an event, after locking its case; nothing while restoring or importing. actor_id: NULL where time acts, whoever runs the clock. Error 22004 when tenant, case or kind is null';

CREATE FUNCTION csm_private.case_events() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_events' LANGUAGE c;
ALTER FUNCTION csm_private.case_events() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_events() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_events() IS
'AFTER trigger of csm.cases: opened, then for a change of state one of resolved, reopened, closed, state_changed; assigned; priority_changed';

CREATE FUNCTION csm_private.entry_events() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_events' LANGUAGE c;
ALTER FUNCTION csm_private.entry_events() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_events() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.entry_events() IS
'AFTER trigger of csm.case_entries: commented, for whom the entry is';

CREATE TRIGGER cases_40_events_opened AFTER INSERT ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_events();
CREATE TRIGGER cases_40_events AFTER UPDATE ON csm.cases
    FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.priority IS DISTINCT FROM NEW.priority
          OR OLD.assigned_to IS DISTINCT FROM NEW.assigned_to OR OLD.assigned_group_id IS DISTINCT FROM NEW.assigned_group_id)
    EXECUTE FUNCTION csm_private.case_events();
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_40_events AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_events();

-- Timers: when csm.run_due() (89_run_due.sql) has to look at something again.
--
-- A timer says only when to look. Whether something is to be done then, the
-- handler of its kind decides from the rows as they are at that moment, so a
-- timer that came to nothing does no harm.
--
-- Locks: whoever sets a timer of a case holds the lock of the case. run_due
-- locks the timer first and never waits for the case, so the two orders cannot
-- meet in a deadlock.

CREATE TABLE csm.timers (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kind text NOT NULL,
    object_id bigint NOT NULL,
    case_id bigint,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    CONSTRAINT timers_pkey PRIMARY KEY (kind, object_id, tenant_id),
    CONSTRAINT timers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT timers_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT timers_kind_check CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT timers_attempts_check CHECK (attempts >= 0)
);
CREATE INDEX timers_due_idx ON csm.timers (due_at, kind, object_id);
CREATE INDEX timers_case_idx ON csm.timers (case_id) WHERE case_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.timers');

CREATE POLICY timers_select ON csm.timers FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure')
        OR EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = timers.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.timers TO csm_agent, csm_admin;

COMMENT ON TABLE csm.timers IS 'When csm.run_due() looks at something again; at most one timer per kind and object';
COMMENT ON COLUMN csm.timers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.timers.kind IS 'What is due: names the handler';
COMMENT ON COLUMN csm.timers.object_id IS 'The row that it is about: which table, the kind says';
COMMENT ON COLUMN csm.timers.case_id IS 'Case to which the object belongs; NULL where it belongs to none';
COMMENT ON COLUMN csm.timers.due_at IS 'From when on it is looked at; after a failure the next attempt';
COMMENT ON COLUMN csm.timers.attempts IS 'How often the handler failed since the timer was set';
COMMENT ON COLUMN csm.timers.error IS 'SQLSTATE and message of the last failure; NULL when there was none';
COMMENT ON POLICY timers_select ON csm.timers IS 'Administrators all of the tenant; staff those of the cases that they work on';

CREATE FUNCTION csm_private.set_timer(tenant_id bigint, kind text, object_id bigint, case_id bigint, due_at timestamptz)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_set_timer' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) IS
'Sets or moves the timer of a kind and object; due_at NULL clears it, case_id NULL where the object belongs to no case';

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

-- The two handlers that have most to do work on many cases with a statement
-- each; run_due has locked them. What a case keeps open is looked at a day later.
CREATE FUNCTION csm_private.due_auto_close(case_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closing bigint[];
BEGIN
    WITH resolved AS MATERIALIZED (
        SELECT c.id, c.tenant_id, c.case_type, c.resolved_at, NOT c.auto_close OR csm_private.kept_open(c) AS kept
        FROM csm.cases c WHERE c.id = ANY (case_ids) AND c.state_class = 'resolved'
    ), due AS MATERIALIZED (
        SELECT r.*, r.resolved_at + csm_private.type_period(r.tenant_id, r.case_type, 'close_days') AS closes_at FROM resolved r
    ), again AS (
        INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
        SELECT d.tenant_id, 'auto_close', d.id, d.id, CASE WHEN d.closes_at > at THEN d.closes_at ELSE at + interval '24 hours' END
        FROM due d WHERE d.closes_at IS NOT NULL AND (d.kept OR d.closes_at > at)
    )
    SELECT array_agg(d.id ORDER BY d.id) INTO closing FROM due d WHERE NOT d.kept AND d.closes_at <= at;
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
    closing bigint[];
    reminding bigint[];
BEGIN
    WITH resolved AS MATERIALIZED (
        SELECT c.id, c.tenant_id, c.case_type, c.resolved_at, NOT c.auto_close OR csm_private.kept_open(c) AS kept
        FROM csm.cases c WHERE c.id = ANY (case_ids) AND c.state_class = 'resolved'
    ), due AS MATERIALIZED (
        SELECT r.id, r.tenant_id, r.resolved_at + p.closes AS closes_at, r.resolved_at + p.reminds AS reminds_at,
               coalesce(r.resolved_at + p.closes <= at, false) OR p.reminds IS NULL AS closes, r.kept
        FROM resolved r,
             LATERAL (SELECT csm_private.type_period(r.tenant_id, r.case_type, 'close_days') AS closes,
                             csm_private.type_period(r.tenant_id, r.case_type, 'reminder_days') AS reminds) p
    ), again AS (
        INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
        SELECT d.tenant_id, CASE WHEN d.kept OR d.reminds_at > at THEN 'auto_close_reminder' ELSE 'auto_close' END, d.id, d.id,
               CASE WHEN d.reminds_at > at THEN d.reminds_at WHEN d.kept THEN at + interval '24 hours' ELSE d.closes_at END
        FROM due d WHERE NOT d.closes AND (d.kept OR d.reminds_at > at OR d.closes_at IS NOT NULL)
    )
    SELECT array_agg(d.id ORDER BY d.id) FILTER (WHERE d.closes),
           array_agg(d.id ORDER BY d.id) FILTER (WHERE NOT d.closes AND NOT d.kept AND d.reminds_at <= at)
      INTO closing, reminding FROM due d;
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
    ELSIF NOT c.auto_close OR csm_private.kept_open(c) THEN
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
        ('case_follows()', 'AFTER trigger of csm.cases: timers of the state and of follow_up_at, the end of an open escalation, what children of a major case follow, the link to a parent'),
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

CREATE TRIGGER cases_60_follows AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_follows();
CREATE TRIGGER cases_60_follows_parent AFTER INSERT ON csm.cases
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION csm_private.case_follows();

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
    FOR EACH ROW
    WHEN (NEW.counterparty_account_id IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION csm_private.proposals_follow();

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

-- Which of the three clocks runs, the machine says: the one whose action the
-- system may take from the state.
CREATE FUNCTION csm_private.dispute_timers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_system text[];
    clock record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    by_system := csm_private.actions_for(NEW.tenant_id, NEW.case_type, NEW.state, 'system');
    FOR clock IN
        SELECT t.kind,
               CASE WHEN t.action = ANY (by_system)
                    THEN clock_timestamp() + csm_private.type_period(NEW.tenant_id, NEW.case_type, t.key) / t.part END AS due_at
        FROM (VALUES ('dispute_response', 'escalate', 'response_hours', 24),
                     ('dispute_auto_accept', 'accept', 'auto_accept_days', 1),
                     ('dispute_appeal', 'confirm', 'appeal_days', 1)) t(kind, action, key, part)
    LOOP
        PERFORM csm_private.set_timer(NEW.tenant_id, clock.kind, NEW.id, NEW.id, clock.due_at);
    END LOOP;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.dispute_timers() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.dispute_timers() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.dispute_timers() IS
'AFTER trigger of csm.cases: sets and clears the clocks of a dispute (respondent''s answer, automatic acceptance, appeal window) when its state changes';
CREATE TRIGGER cases_60_dispute_opened AFTER INSERT ON csm.cases
    FOR EACH ROW WHEN (NEW.counterparty_account_id IS NOT NULL) EXECUTE FUNCTION csm_private.dispute_timers();
CREATE TRIGGER cases_60_dispute_timers AFTER UPDATE ON csm.cases
    FOR EACH ROW WHEN (NEW.counterparty_account_id IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION csm_private.dispute_timers();

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
    ELSIF NOT c.auto_close OR csm_private.kept_open(c) THEN
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

-- The history of a case: every change, who made it and in which relation to the
-- case, chained by hashes and sealed, so that what somebody changed behind
-- csm's back is found.  Written by one C trigger (src/csm_history.c); what a
-- hash is made of stands at the top of src/csm_history_chain.c.

-- No check constraints: the server parses them anew for every statement, and
-- one trigger alone writes these rows.
CREATE TABLE csm.case_history (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    action text NOT NULL,
    actor_id bigint,
    actor_name text,
    persona text,
    relation text,
    on_behalf_of bigint,
    audience text NOT NULL,
    payload jsonb,
    salt bytea,
    payload_hash bytea NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    CONSTRAINT case_history_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_history_chain_key UNIQUE (case_id, seq),
    CONSTRAINT case_history_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id)
);
SELECT csm_private.adopt_table('csm.case_history');

-- As the entries of the case.
CREATE POLICY case_history_select ON csm.case_history FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c
                   WHERE c.id = case_id AND c.tenant_id = case_history.tenant_id
                     AND CASE audience
                         WHEN 'shared' THEN true
                         WHEN 'internal' THEN csm_private.case_allows(c, 'case_work')
                         ELSE csm_private.case_side_allows(c, audience) END));
-- The portal reads no seq and no hash: gaps would count the links that it may
-- not see.
GRANT SELECT (id, tenant_id, case_id, at, action, actor_id, actor_name, relation, on_behalf_of, audience, payload)
    ON csm.case_history TO csm_portal;
GRANT SELECT ON csm.case_history TO csm_agent, csm_admin;

COMMENT ON TABLE csm.case_history IS 'What happened to a case: one link for each change; a chain for each case, append-only';
COMMENT ON COLUMN csm.case_history.id IS 'Identity, unique in the database; grows within a case';
COMMENT ON COLUMN csm.case_history.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_history.case_id IS 'The case';
COMMENT ON COLUMN csm.case_history.seq IS 'Place in the chain of the case, from 1 on without a gap';
COMMENT ON COLUMN csm.case_history.at IS 'When it happened; for a change of the case row its updated_at';
COMMENT ON COLUMN csm.case_history.action IS 'open, imported, update, comment, work_note, private_entry, attach, or the action of the machine that was taken';
COMMENT ON COLUMN csm.case_history.actor_id IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.case_history.actor_name IS 'His name then, system for the system; NULL when erased';
COMMENT ON COLUMN csm.case_history.persona IS 'As what he did it: the persona he had narrowed himself to, else staff, contact, consumer or employee by his relation; NULL for the system and for who only shares the case';
COMMENT ON COLUMN csm.case_history.relation IS 'Relations to the case under which it was permitted, as csm.case_transitions.actors names them, separated by comma and blank; NULL for who only shares the case';
COMMENT ON COLUMN csm.case_history.on_behalf_of IS 'The requester, where another opened the case for him or spoke for his side; NULL otherwise';
COMMENT ON COLUMN csm.case_history.audience IS 'Who reads the link: shared (all who see the case), internal (staff who work on it), customer or counterparty (one side, and staff who work on it)';
COMMENT ON COLUMN csm.case_history.payload IS 'Field -> [old, new]; times in UTC. A first link has every field that is not null. A name with a point is no column of csm.cases: internal.attributes, customer.attributes, counterparty.attributes, entry.* and attachment.* of what was added. NULL when erased';
COMMENT ON COLUMN csm.case_history.salt IS '16 random bytes, hashed with actor_name and payload; NULL when erased';
COMMENT ON COLUMN csm.case_history.payload_hash IS 'SHA-256 of salt, actor_name and payload; outlives them';
COMMENT ON COLUMN csm.case_history.previous_hash IS 'hash of the link before; NULL in a first link';
COMMENT ON COLUMN csm.case_history.hash IS 'SHA-256 of previous_hash, the other columns and payload_hash';
COMMENT ON POLICY case_history_select ON csm.case_history IS 'Shared: all who see the case; internal: staff who work on it; else one side and staff who work on it';

-- A seal says how long the chains of a tenant were, and how they ended.  It
-- has a leaf for each case whose chain grew since the seal before.
CREATE TABLE csm.history_seals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    leaves bigint NOT NULL,
    root bytea NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    covered_to bigint NOT NULL,
    scanned_to bigint NOT NULL,
    horizon bigint NOT NULL,
    CONSTRAINT history_seals_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT history_seals_chain_key UNIQUE (tenant_id, seq),
    CONSTRAINT history_seals_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id)
);
SELECT csm_private.adopt_table('csm.history_seals');

-- No reference to the case: the leaf is to outlive it.
CREATE TABLE csm.history_leaves (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    seal_id bigint NOT NULL,
    case_id bigint NOT NULL,
    length bigint NOT NULL,
    last_hash bytea NOT NULL,
    CONSTRAINT history_leaves_pkey PRIMARY KEY (case_id, length, tenant_id),
    CONSTRAINT history_leaves_seal_fkey FOREIGN KEY (seal_id, tenant_id) REFERENCES csm.history_seals (id, tenant_id)
);
CREATE INDEX history_leaves_seal_idx ON csm.history_leaves (seal_id, case_id);
SELECT csm_private.adopt_table('csm.history_leaves');

CREATE POLICY history_seals_select ON csm.history_seals FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'internal', 'account_manage'));
CREATE POLICY history_leaves_select ON csm.history_leaves FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'internal', 'account_manage'));
GRANT SELECT ON csm.history_seals, csm.history_leaves TO csm_agent, csm_admin;

COMMENT ON TABLE csm.history_seals IS 'Seals over the history of a tenant, chained and append-only; whoever keeps the hash of one elsewhere can prove later what the history was';
COMMENT ON COLUMN csm.history_seals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.history_seals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_seals.seq IS 'Place in the tenant''s chain of seals, from 1 on without a gap';
COMMENT ON COLUMN csm.history_seals.at IS 'When it was made';
COMMENT ON COLUMN csm.history_seals.leaves IS 'How many cases it has in csm.history_leaves';
COMMENT ON COLUMN csm.history_seals.root IS 'Merkle root over its leaves in the order of their cases';
COMMENT ON COLUMN csm.history_seals.previous_hash IS 'hash of the seal before; NULL in a first seal';
COMMENT ON COLUMN csm.history_seals.hash IS 'SHA-256 of previous_hash, tenant_id, seq, at, leaves and root';
COMMENT ON COLUMN csm.history_seals.covered_to IS 'Every link up to this csm.case_history.id is in this seal or one before';
COMMENT ON COLUMN csm.history_seals.scanned_to IS 'So is every link up to this id that was committed when the seal was made; one that is committed later finds the next seal';
COMMENT ON COLUMN csm.history_seals.horizon IS 'Transaction id: when all before it have ended, scanned_to counts as covered_to. One that this cluster has not reached comes from another, where all have ended';
COMMENT ON TABLE csm.history_leaves IS 'What a seal says of a case; append-only';
COMMENT ON COLUMN csm.history_leaves.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_leaves.seal_id IS 'The seal';
COMMENT ON COLUMN csm.history_leaves.case_id IS 'The case';
COMMENT ON COLUMN csm.history_leaves.length IS 'How many links its chain had';
COMMENT ON COLUMN csm.history_leaves.last_hash IS 'hash of the last of them';
COMMENT ON POLICY history_seals_select ON csm.history_seals IS 'Administrators, and managers with reach all';
COMMENT ON POLICY history_leaves_select ON csm.history_leaves IS 'Administrators, and managers with reach all';

-- ---- the hashes, for SQL ----

CREATE FUNCTION csm_private.history_payload_hash(salt bytea, actor_name text, payload jsonb) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_payload_hash' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_payload_hash(bytea, text, jsonb) IS
'payload_hash of a link; NULL where salt or payload is null or the salt has another length than 16';

CREATE FUNCTION csm_private.history_link_hash(previous_hash bytea, id bigint, tenant_id bigint, case_id bigint, seq bigint,
    at timestamptz, action text, actor_id bigint, persona text, relation text, on_behalf_of bigint, audience text,
    payload_hash bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_link_hash' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea) IS
'hash of a link; NULL where a value is missing or a hash has another length than 32';

CREATE FUNCTION csm_private.history_leaf(tenant_id bigint, case_id bigint, length bigint, last_hash bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_leaf' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_leaf(bigint, bigint, bigint, bytea) IS 'Leaf of a seal';

CREATE FUNCTION csm_private.history_root(leaves bytea[]) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_root' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_root(bytea[]) IS 'Merkle root over leaves in the order given; NULL for none';

CREATE FUNCTION csm_private.history_seal(previous_hash bytea, tenant_id bigint, seq bigint, at timestamptz, leaves bigint, root bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_seal' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea) IS 'hash of a seal';

CREATE FUNCTION csm_private.case_payload(c csm.cases) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_case_payload' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.case_payload(csm.cases) IS
'The row as the payload of a first link: field -> [null, value] for what is tracked and not null';

CREATE FUNCTION csm_private.case_words(c csm.cases) RETURNS tsvector
AS 'MODULE_PATHNAME', 'csm_case_words' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.case_words(csm.cases) IS 'csm.cases.search as it would be computed for the row';

CREATE FUNCTION csm_private.history() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_history' LANGUAGE c;
COMMENT ON FUNCTION csm_private.history() IS
'AFTER row trigger that writes csm.case_history; argument: case, entry, fields or attachment';

-- The one door in what is append-only.  No setting opens it and no role but the
-- owner can name these functions.
CREATE FUNCTION csm_private.begin_erasure(case_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_erasure' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_erasure(bigint) IS
'Announces that personal data in append-only rows of the case are erased: until end_erasure(), another announcement or the end of the transaction the columns that the triggers name may be changed, and no other';

CREATE FUNCTION csm_private.end_erasure() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_erasure' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_erasure() IS 'Ends what begin_erasure() announced';

-- ---- as it was ----

CREATE FUNCTION csm.case_as_of(case_id bigint, at timestamptz) RETURNS SETOF csm.cases
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    r csm.cases;
    fields jsonb;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RETURN;
    END IF;
    SELECT jsonb_object_agg(f.key, f.value -> 1 ORDER BY h.seq) INTO fields
    FROM csm.case_history h CROSS JOIN LATERAL jsonb_each(h.payload) f
    WHERE h.case_id = c.id AND h.at <= case_as_of.at;
    IF fields IS NOT NULL THEN
        r := jsonb_populate_record(NULL::csm.cases, fields || jsonb_build_object('id', c.id, 'tenant_id', c.tenant_id));
        r.party_keys := csm_private.party_keys(r.partner_account_id, r.partner_contact_id, r.household_id, r.internal_contact_id,
            r.service_organization_id, r.counterparty_account_id, r.counterparty_contact_id);
        r.search := csm_private.case_words(r);
    ELSIF c.updated_at <= case_as_of.at
          AND NOT EXISTS (SELECT FROM csm.case_history h WHERE h.case_id = c.id) THEN
        -- loaded from a version without history, and not changed since
        r := c;
    ELSE
        RETURN;
    END IF;
    -- Nothing of a draft for the counterparty, of one that is past either.
    IF r.submitted_at IS NULL AND NOT (is_system OR csm_private.case_allows(r, 'case_read')) THEN
        RETURN;
    END IF;
    RETURN NEXT r;
END $$;
COMMENT ON FUNCTION csm.case_as_of(bigint, timestamptz) IS
'The row of a case as it was at that time, rebuilt from its history, for whoever sees the case now; search is computed with today''s text search configuration. No row for a hidden or missing case, before it existed, before it was imported, and, for the counterparty, while it was a draft. Fields of erased links are missing';

-- ---- seals ----

-- Ids of links are not taken in the order of commits: a link may be committed
-- after a seal that met a greater id.  So a seal looks again at what the one
-- before it looked at, from covered_to on, and moves covered_to up to that
-- one's scanned_to only when every transaction has ended that ran then.
CREATE FUNCTION csm_private.seal_history(tenant_id bigint, at_most bigint DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last csm.history_seals;
    seal csm.history_seals;
    cases bigint[];
    lengths bigint[];
    hashes bytea[];
    tree bytea[];
    links bigint;
    reached bigint;
    oldest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('csm.history_seals ' || tenant_id, 0));
    SELECT * INTO last FROM csm.history_seals s WHERE s.tenant_id = tenant_id ORDER BY s.seq DESC LIMIT 1;

    -- One statement, one snapshot.
    WITH fresh AS (
        SELECT h.id, h.case_id, h.seq
        FROM csm.case_history h
        WHERE h.tenant_id = tenant_id AND h.id > coalesce(last.covered_to, 0)
          AND NOT EXISTS (SELECT FROM csm.history_leaves l
                          WHERE l.case_id = h.case_id AND l.tenant_id = h.tenant_id AND l.length >= h.seq)
        ORDER BY h.id LIMIT at_most
    ), leaf AS (
        SELECT h.case_id, h.seq AS length, h.hash
        FROM (SELECT f.case_id, max(f.seq) AS seq FROM fresh f GROUP BY f.case_id) m
        JOIN csm.case_history h ON h.case_id = m.case_id AND h.seq = m.seq
    )
    SELECT array_agg(l.case_id ORDER BY l.case_id), array_agg(l.length ORDER BY l.case_id), array_agg(l.hash ORDER BY l.case_id),
           array_agg(csm_private.history_leaf(tenant_id, l.case_id, l.length, l.hash) ORDER BY l.case_id),
           (SELECT count(*) FROM fresh), (SELECT max(f.id) FROM fresh f),
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
      INTO cases, lengths, hashes, tree, links, reached, oldest, seal.horizon
    FROM leaf l;
    IF links = 0 THEN
        RETURN 0;
    END IF;

    seal.covered_to := CASE WHEN last.horizon <= oldest OR last.horizon > seal.horizon THEN least(last.scanned_to, reached)
                            ELSE coalesce(last.covered_to, 0) END;
    seal.scanned_to := CASE WHEN links < at_most THEN greatest(reached, last.scanned_to) ELSE reached END;
    seal.seq := coalesce(last.seq, 0) + 1;
    seal.at := clock_timestamp();
    seal.leaves := cardinality(cases);
    seal.root := csm_private.history_root(tree);
    INSERT INTO csm.history_seals (tenant_id, seq, at, leaves, root, previous_hash, hash, covered_to, scanned_to, horizon)
    VALUES (tenant_id, seal.seq, seal.at, seal.leaves, seal.root, last.hash,
            csm_private.history_seal(last.hash, tenant_id, seal.seq, seal.at, seal.leaves, seal.root),
            seal.covered_to, seal.scanned_to, seal.horizon)
    RETURNING id INTO seal.id;
    INSERT INTO csm.history_leaves (tenant_id, seal_id, case_id, length, last_hash)
    SELECT tenant_id, seal.id, u.case_id, u.length, u.hash FROM unnest(cases, lengths, hashes) AS u(case_id, length, hash);
    RETURN links;
END $$;
COMMENT ON FUNCTION csm_private.seal_history(bigint, bigint) IS
'Seals what has been committed of a tenant''s history since the last seal, at most that many links; returns how many. No new link, no seal';

CREATE FUNCTION csm_private.due_seal(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch CONSTANT bigint := 100000;
    minutes integer;
    links bigint;
BEGIN
    SELECT coalesce((t.settings ->> 'seal_minutes')::integer, 60) INTO minutes FROM csm.tenants t WHERE t.id = due_seal.tenant_id;
    links := csm_private.seal_history(due_seal.tenant_id, batch);
    PERFORM csm_private.set_timer(due_seal.tenant_id, 'seal', due_seal.object_id, NULL,
        due_seal.at + CASE WHEN links < batch THEN minutes * interval '1 minute' ELSE interval '0' END);
END $$;
COMMENT ON FUNCTION csm_private.due_seal(bigint, bigint, timestamptz) IS
'Handler of timers of kind seal, one a tenant: seals, and comes again after the tenant''s setting seal_minutes (60 by default), at once where links were left over';

CREATE FUNCTION csm_private.begin_seals() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.id, 'seal', NEW.id, NULL, clock_timestamp() + interval '1 hour');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_seals() IS 'Trigger of csm.tenants: the first timer of kind seal';

-- ---- what was changed behind csm's back ----

-- Of each link what is wrong with it, NULL where nothing is.
CREATE FUNCTION csm_private.history_link_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, erased boolean, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.case_id, h.seq, h.salt IS NULL AND h.payload IS NULL,
           CASE
           WHEN h.seq <> coalesce(h.seq_before, 0) + 1 THEN
               'link ' || coalesce(h.seq_before, 0) + 1 || ' is missing'
           WHEN h.previous_hash IS DISTINCT FROM h.hash_before THEN
               'does not continue link ' || coalesce(h.seq_before, 0)
           WHEN h.hash IS DISTINCT FROM csm_private.history_link_hash(h.previous_hash, h.id, h.tenant_id, h.case_id, h.seq, h.at,
                    h.action, h.actor_id, h.persona, h.relation, h.on_behalf_of, h.audience, h.payload_hash) THEN
               'link was changed'
           WHEN h.salt IS NULL AND h.payload IS NULL THEN
               CASE WHEN h.actor_name IS NOT NULL THEN 'actor_name was changed' END
           WHEN h.payload_hash IS DISTINCT FROM csm_private.history_payload_hash(h.salt, h.actor_name, h.payload) THEN
               'payload, salt or actor_name was changed'
           WHEN h.payload ? 'entry.id' AND e.id IS NULL THEN
               'entry ' || (h.payload #>> '{entry.id,1}') || ' is missing'
           WHEN h.payload ? 'entry.id'
                AND (e.case_id, e.tenant_id, e.author_id, e.author_name, e.visibility, e.side, e.created_at,
                     encode(sha256(convert_to(e.body, 'UTF8')), 'hex'))
                    IS DISTINCT FROM
                    (h.case_id, h.tenant_id, (h.payload #>> '{entry.author_id,1}')::bigint, h.actor_name,
                     h.payload #>> '{entry.visibility,1}', h.payload #>> '{entry.side,1}',
                     (h.payload #>> '{entry.created_at,1}')::timestamptz, h.payload #>> '{entry.body_sha256,1}') THEN
               'entry ' || e.id || ' was changed'
           END
    FROM (SELECT l.*, lag(l.seq) OVER chain AS seq_before, lag(l.hash) OVER chain AS hash_before
          FROM csm.case_history l
          WHERE (only_tenant IS NULL OR l.tenant_id = only_tenant) AND (only_case IS NULL OR l.case_id = only_case)
          WINDOW chain AS (PARTITION BY l.case_id ORDER BY l.seq)) h
    LEFT JOIN csm.case_entries e ON e.id = (h.payload #>> '{entry.id,1}')::bigint
$$;
COMMENT ON FUNCTION csm_private.history_link_problems(bigint, bigint) IS
'Every link with what is wrong with it or with the entry it speaks of, NULL where nothing is; of one tenant or case, NULL for all';

-- Of each case, whether it still is what its history says.  A history of which
-- something was erased cannot tell.
CREATE FUNCTION csm_private.history_case_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH told AS (
        SELECT h.case_id, h.tenant_id, bool_or(h.payload IS NULL) AS erased,
               jsonb_object_agg(f.key, jsonb_build_array(NULL, f.value -> 1) ORDER BY h.seq)
                   FILTER (WHERE strpos(f.key, '.') = 0) AS fields
        FROM csm.case_history h LEFT JOIN LATERAL jsonb_each(h.payload) f ON true
        WHERE (only_tenant IS NULL OR h.tenant_id = only_tenant) AND (only_case IS NULL OR h.case_id = only_case)
        GROUP BY h.case_id, h.tenant_id
    )
    SELECT t.case_id, 'case is missing'
    FROM told t
    WHERE NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = t.case_id AND c.tenant_id = t.tenant_id)
  UNION ALL
    SELECT c.id, 'case differs from its history in ' || d.fields
    FROM told t JOIN csm.cases c ON c.id = t.case_id AND c.tenant_id = t.tenant_id
    CROSS JOIN LATERAL (
        SELECT string_agg(coalesce(w.key, i.key), ', ' ORDER BY coalesce(w.key, i.key)) AS fields
        FROM jsonb_each(t.fields) w FULL JOIN jsonb_each(csm_private.case_payload(c)) i ON i.key = w.key
        WHERE coalesce(w.value -> 1, 'null') IS DISTINCT FROM coalesce(i.value -> 1, 'null')) d
    WHERE NOT t.erased AND d.fields IS NOT NULL
  UNION ALL
    -- Cases loaded from a version without history are older than any with one.
    SELECT c.id, 'case has no history'
    FROM csm.cases c
    WHERE (only_tenant IS NULL OR c.tenant_id = only_tenant) AND (only_case IS NULL OR c.id = only_case)
      AND c.id > (SELECT min(h.case_id) FROM csm.case_history h WHERE h.seq = 1 AND h.action = 'open')
      AND NOT EXISTS (SELECT FROM csm.case_history h WHERE h.case_id = c.id)
$$;
COMMENT ON FUNCTION csm_private.history_case_problems(bigint, bigint) IS
'Cases that are missing, differ from what their history says, or have none though younger ones do; of one tenant or case, NULL for all';

CREATE FUNCTION csm_private.history_seal_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.case_id, l.length,
           CASE WHEN NOT EXISTS (SELECT FROM csm.case_history x WHERE x.case_id = l.case_id) THEN 'all links of the case are missing'
                WHEN h.id IS NULL THEN 'link is missing, and all after it'
                ELSE 'link is not the one that was sealed' END
    FROM csm.history_leaves l LEFT JOIN csm.case_history h ON h.case_id = l.case_id AND h.seq = l.length AND h.tenant_id = l.tenant_id
    WHERE (only_tenant IS NULL OR l.tenant_id = only_tenant) AND (only_case IS NULL OR l.case_id = only_case)
      AND h.hash IS DISTINCT FROM l.last_hash
  UNION ALL
    SELECT NULL, NULL,
           CASE WHEN s.seq <> coalesce(s.seq_before, 0) + 1 THEN format('seal %s is missing', coalesce(s.seq_before, 0) + 1)
                WHEN s.previous_hash IS DISTINCT FROM s.hash_before
                     OR s.hash IS DISTINCT FROM csm_private.history_seal(s.previous_hash, s.tenant_id, s.seq, s.at, s.leaves, s.root)
                THEN format('seal %s was changed', s.seq)
                ELSE format('leaves of seal %s were changed', s.seq) END
    FROM (SELECT x.*, lag(x.seq) OVER chain AS seq_before, lag(x.hash) OVER chain AS hash_before
          FROM csm.history_seals x
          WHERE (only_tenant IS NULL OR x.tenant_id = only_tenant) AND only_case IS NULL
          WINDOW chain AS (PARTITION BY x.tenant_id ORDER BY x.seq)) s
    CROSS JOIN LATERAL (
        SELECT count(*) AS leaves,
               csm_private.history_root(array_agg(csm_private.history_leaf(l.tenant_id, l.case_id, l.length, l.last_hash)
                                                  ORDER BY l.case_id)) AS root
        FROM csm.history_leaves l WHERE l.seal_id = s.id AND l.tenant_id = s.tenant_id) t
    WHERE s.seq <> coalesce(s.seq_before, 0) + 1
       OR s.previous_hash IS DISTINCT FROM s.hash_before
       OR s.hash IS DISTINCT FROM csm_private.history_seal(s.previous_hash, s.tenant_id, s.seq, s.at, s.leaves, s.root)
       OR (s.leaves, s.root) IS DISTINCT FROM (t.leaves, t.root)
$$;
COMMENT ON FUNCTION csm_private.history_seal_problems(bigint, bigint) IS
'Seals that were changed or removed, and sealed links that are missing or others; of one tenant or case, NULL for all';

CREATE FUNCTION csm.verify_history(case_id bigint DEFAULT NULL)
RETURNS TABLE (intact boolean, links bigint, erased bigint, unsealed bigint, seals bigint,
               broken_case_id bigint, broken_seq bigint, what text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
BEGIN
    IF NOT is_system AND NOT coalesce(csm.all_in(tenant, 'internal', 'configure')
                                      OR csm.all_in(tenant, 'internal', 'account_manage'), false) THEN
        RAISE EXCEPTION 'permission denied to verify the history' USING ERRCODE = '42501',
            HINT = 'Administrators do, and managers with reach all.';
    END IF;
    IF verify_history.case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = verify_history.case_id;
        IF NOT is_system AND c.tenant_id IS DISTINCT FROM tenant
           AND NOT EXISTS (SELECT FROM csm.history_leaves l WHERE l.case_id = verify_history.case_id AND l.tenant_id = tenant) THEN
            RAISE EXCEPTION 'case % does not exist', verify_history.case_id USING ERRCODE = 'SM001',
                HINT = 'A case that you may not see is reported in the same way.';
        END IF;
    END IF;

    WITH link AS MATERIALIZED (
        SELECT p.* FROM csm_private.history_link_problems(tenant, verify_history.case_id) p
    ), problem AS (
        SELECT l.case_id, l.seq, l.what, 1 AS rank FROM link l WHERE l.what IS NOT NULL
      UNION ALL
        SELECT p.case_id, p.seq, p.what, 2 FROM csm_private.history_seal_problems(tenant, verify_history.case_id) p
      UNION ALL
        SELECT p.case_id, p.seq, p.what, 3 FROM csm_private.attachment_problems(tenant, verify_history.case_id) p
      UNION ALL
        SELECT p.case_id, NULL, p.what, 4 FROM csm_private.history_case_problems(tenant, verify_history.case_id) p
    ), first AS (
        SELECT p.* FROM problem p ORDER BY p.case_id NULLS LAST, p.seq NULLS LAST, p.rank LIMIT 1
    )
    SELECT NOT EXISTS (SELECT FROM first), count(*), count(*) FILTER (WHERE l.erased),
           count(*) FILTER (WHERE l.seq > coalesce(s.length, 0)),
           (SELECT f.case_id FROM first f), (SELECT f.seq FROM first f), (SELECT f.what FROM first f)
      INTO intact, links, erased, unsealed, broken_case_id, broken_seq, what
    FROM link l
    LEFT JOIN (SELECT v.case_id, max(v.length) AS length FROM csm.history_leaves v GROUP BY v.case_id) s ON s.case_id = l.case_id;
    SELECT count(*) INTO seals FROM csm.history_seals s WHERE tenant IS NULL OR s.tenant_id = tenant;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION csm.verify_history(bigint) IS
'Reads the history of the caller''s tenant (without identity: of all tenants), or of one case, and compares it with its hashes, its seals, the entries, attachments and cases as they are. Always one row: intact; links read, of these erased and not yet sealed; seals; and of the first broken row the case, the place in its chain, and what is wrong (case NULL: a seal). For administrators, and managers with reach all; errors: 42501, SM001';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.history_payload_hash(bytea, text, jsonb)',
        'csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea)',
        'csm_private.history_leaf(bigint, bigint, bigint, bytea)',
        'csm_private.history_root(bytea[])',
        'csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea)',
        'csm_private.case_payload(csm.cases)',
        'csm_private.case_words(csm.cases)',
        'csm_private.history()',
        'csm_private.begin_erasure(bigint)',
        'csm_private.end_erasure()',
        'csm.case_as_of(bigint, timestamptz)',
        'csm_private.seal_history(bigint, bigint)',
        'csm_private.due_seal(bigint, bigint, timestamptz)',
        'csm_private.begin_seals()',
        'csm_private.history_link_problems(bigint, bigint)',
        'csm_private.history_case_problems(bigint, bigint)',
        'csm_private.history_seal_problems(bigint, bigint)',
        'csm.verify_history(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.case_as_of(bigint, timestamptz) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.verify_history(bigint) TO csm_agent, csm_admin;

CREATE TRIGGER cases_30_history AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('case');
CREATE TRIGGER case_entries_30_history AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('entry');
CREATE TRIGGER case_internal_30_history AFTER INSERT OR UPDATE OR DELETE ON csm.case_internal
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('fields');
CREATE TRIGGER case_side_fields_30_history AFTER INSERT OR UPDATE OR DELETE ON csm.case_side_fields
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('fields');
CREATE TRIGGER tenants_30_seals AFTER INSERT ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_seals();

CREATE TRIGGER case_history_10_append_only BEFORE UPDATE OR DELETE ON csm.case_history
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('actor_name', 'payload', 'salt');
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{history_seals,history_leaves}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only BEFORE UPDATE OR DELETE ON csm.%1$s '
                       'FOR EACH ROW EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
    FOREACH t IN ARRAY '{case_history,history_seals,history_leaves}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only_truncate BEFORE TRUNCATE ON csm.%1$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
END $$;

-- Attachments: what they are here, their content beside, or an address where it
-- is kept.  Rows are neither changed nor deleted.  An attachment is seen by
-- whoever sees its entry, or, without one, like a shared entry.

CREATE TABLE csm.attachments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    entry_id bigint,
    author_id bigint,
    author_name text NOT NULL,
    visibility text NOT NULL DEFAULT 'shared',
    side text NOT NULL,
    file_name text NOT NULL,
    media_type text NOT NULL DEFAULT 'application/octet-stream',
    size bigint,
    sha256 bytea,
    url text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT attachments_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT attachments_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT attachments_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT attachments_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT attachments_visibility_check CHECK (visibility IN ('shared', 'internal', 'private')),
    CONSTRAINT attachments_side_check CHECK (side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT attachments_name_check CHECK (length(file_name) BETWEEN 1 AND 255 AND file_name !~ '[/\\[:cntrl:]]'),
    CONSTRAINT attachments_type_check CHECK (media_type ~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$'),
    CONSTRAINT attachments_url_check CHECK (url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(url) <= 2000),
    CONSTRAINT attachments_content_check CHECK (size >= 0 AND octet_length(sha256) = 32
        AND (url IS NOT NULL OR size IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX attachments_case_idx ON csm.attachments (case_id, created_at);
CREATE INDEX attachments_entry_idx ON csm.attachments (entry_id) WHERE entry_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.attachments');

CREATE TABLE csm.attachment_contents (
    attachment_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    content bytea NOT NULL,
    CONSTRAINT attachment_contents_pkey PRIMARY KEY (attachment_id, tenant_id),
    CONSTRAINT attachment_contents_attachment_fkey FOREIGN KEY (attachment_id, tenant_id) REFERENCES csm.attachments (id, tenant_id)
);
-- Files are compressed already, as a rule; so substring() reads what it needs.
ALTER TABLE csm.attachment_contents ALTER COLUMN content SET STORAGE EXTERNAL;
SELECT csm_private.adopt_table('csm.attachment_contents');

CREATE POLICY attachments_select ON csm.attachments FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c
                   WHERE c.id = case_id AND c.tenant_id = attachments.tenant_id
                     AND CASE visibility
                         WHEN 'shared' THEN true
                         WHEN 'internal' THEN csm_private.case_allows(c, 'case_work')
                         ELSE csm_private.case_side_allows(c, attachments.side) END));
CREATE POLICY attachment_contents_select ON csm.attachment_contents FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.attachments a WHERE a.id = attachment_id AND a.tenant_id = attachment_contents.tenant_id));
GRANT SELECT ON csm.attachments, csm.attachment_contents TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.attachments IS 'Files on a case; append-only, written by csm.attach()';
COMMENT ON COLUMN csm.attachments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.attachments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachments.case_id IS 'The case';
COMMENT ON COLUMN csm.attachments.entry_id IS 'Entry of the case that it belongs to; NULL: the case itself';
COMMENT ON COLUMN csm.attachments.author_id IS 'Who attached it; NULL for the system';
COMMENT ON COLUMN csm.attachments.author_name IS 'His name then (V11)';
COMMENT ON COLUMN csm.attachments.visibility IS 'That of its entry, copied; shared without one';
COMMENT ON COLUMN csm.attachments.side IS 'Side of its author, or of its entry, copied: customer, counterparty or operator';
COMMENT ON COLUMN csm.attachments.file_name IS 'Name without path, 1 to 255 characters';
COMMENT ON COLUMN csm.attachments.media_type IS 'Media type without parameters (RFC 6838), as the client gave it: not to be trusted';
COMMENT ON COLUMN csm.attachments.size IS 'Bytes; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.sha256 IS 'SHA-256 of the content, computed here where the content is here; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.url IS 'http or https address of the content, up to 2,000 characters; NULL where it stands in csm.attachment_contents';
COMMENT ON COLUMN csm.attachments.created_at IS 'When it was attached';
COMMENT ON TABLE csm.attachment_contents IS 'Contents that are kept in the database; append-only';
COMMENT ON COLUMN csm.attachment_contents.attachment_id IS 'The attachment';
COMMENT ON COLUMN csm.attachment_contents.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachment_contents.content IS 'The bytes, not compressed';
COMMENT ON POLICY attachments_select ON csm.attachments IS 'As the entry it belongs to; without one, all who see the case';
COMMENT ON POLICY attachment_contents_select ON csm.attachment_contents IS 'Whoever sees the attachment';

CREATE FUNCTION csm_private.file_name(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(CASE WHEN length(n.name) <= 255 THEN n.name
                  ELSE left(n.name, 255 - length(n.extension)) || n.extension END, '')
    FROM (SELECT s.name, coalesce(substring(s.name FROM '\.[A-Za-z0-9]{1,16}$'), '') AS extension
          FROM (SELECT btrim(regexp_replace(
                           regexp_replace(regexp_replace(given, '^.*[/\\]', ''),
                               '[[:cntrl:]\u0080-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]', '', 'g'),
                           '[<>:"|?*]', '_', 'g'), ' .') AS name) s) n
$$;
COMMENT ON FUNCTION csm_private.file_name(text) IS
'A file name as it can be kept and shown: what follows the last / or \, without control and direction characters, without blanks and points at its ends, characters that a file system refuses as _, cut to 255 characters before the extension; NULL where nothing is left';

CREATE FUNCTION csm_private.attachment_limit(c csm.cases, key text, otherwise bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN jsonb_typeof(s.value) = 'number' THEN floor(s.value::numeric)::bigint ELSE otherwise END
    FROM (SELECT coalesce(csm_private.type_setting(c.tenant_id, c.case_type, attachment_limit.key),
                          (SELECT t.settings -> attachment_limit.key FROM csm.tenants t WHERE t.id = c.tenant_id)) AS value) s
$$;
COMMENT ON FUNCTION csm_private.attachment_limit(csm.cases, text, bigint) IS
'A limit as the case type says, else the tenant, else the last argument';

-- The case is locked before it is judged, so that of two who attach at once the
-- second is counted after the first.
CREATE FUNCTION csm.attach(case_id bigint, file_name text, media_type text DEFAULT NULL, content bytea DEFAULT NULL,
    url text DEFAULT NULL, entry_id bigint DEFAULT NULL, size bigint DEFAULT NULL, sha256 bytea DEFAULT NULL) RETURNS csm.attachments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    clean_name CONSTANT text := csm_private.file_name(file_name);
    clean_type CONSTANT text := lower(btrim(split_part(coalesce(media_type, 'application/octet-stream'), ';', 1)));
    c csm.cases;
    e csm.case_entries;
    a csm.attachments;
    most bigint;
BEGIN
    IF case_id IS NULL OR file_name IS NULL THEN
        RAISE EXCEPTION '% of csm.attach() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'file_name' END
            USING ERRCODE = '22004', HINT = 'Give the case, a name, and content or url.';
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_comment') OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'an attachment to case % is not permitted', c.number USING ERRCODE = '42501',
            HINT = 'Attaching needs case_comment.';
    ELSIF num_nonnulls(content, url) <> 1 THEN
        RAISE EXCEPTION 'an attachment has either content or url' USING ERRCODE = '22023',
            HINT = 'Give the bytes, or the address where they are kept.';
    ELSIF clean_name IS NULL THEN
        RAISE EXCEPTION 'file name "%" has no character that can be kept', left(file_name, 100) USING ERRCODE = '22023',
            HINT = 'Give a name such as invoice.pdf.';
    ELSIF clean_type !~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$' THEN
        RAISE EXCEPTION 'media type "%" is malformed', left(media_type, 100) USING ERRCODE = '22023',
            HINT = 'Give one such as application/pdf, or leave it out.';
    ELSIF url !~ '^https?://[^[:space:][:cntrl:]]+$' OR length(url) > 2000 THEN
        RAISE EXCEPTION 'url of the attachment cannot be kept' USING ERRCODE = '22023',
            HINT = 'Use http or https, without blanks, up to 2,000 characters.';
    ELSIF content IS NOT NULL AND (size <> octet_length(content) OR sha256 <> pg_catalog.sha256(content)) THEN
        RAISE EXCEPTION 'the content is not what was sent' USING ERRCODE = '22023',
            DETAIL = format('%s bytes came.', octet_length(content)), HINT = 'Send it again.';
    ELSIF size < 0 OR octet_length(sha256) <> 32 THEN
        RAISE EXCEPTION 'size or sha256 of the attachment is out of range' USING ERRCODE = '22023',
            HINT = 'A SHA-256 has 32 bytes.';
    END IF;

    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Open a new case that refers to it.';
    END IF;
    IF entry_id IS NOT NULL THEN
        SELECT * INTO e FROM csm.case_entries x
        WHERE x.id = entry_id AND x.case_id = case_id AND (is_system OR x.author_id = me);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'entry % of case % is not yours', entry_id, c.number USING ERRCODE = '42501',
                HINT = 'Attach to an entry that you wrote, or to the case.';
        END IF;
    END IF;
    most := csm_private.attachment_limit(c, 'max_attachment_bytes', 10485760);
    IF octet_length(content) > most THEN
        RAISE EXCEPTION 'attachment "%" is too large', clean_name USING ERRCODE = '22023',
            DETAIL = format('It has %s bytes; at most %s are allowed.', octet_length(content), most),
            HINT = 'Keep it elsewhere and give its url.';
    END IF;
    most := csm_private.attachment_limit(c, 'max_attachments', 100);
    IF (SELECT count(*) FROM csm.attachments x WHERE x.case_id = case_id) >= most THEN
        RAISE EXCEPTION 'case % has too many attachments', c.number USING ERRCODE = 'SM007',
            DETAIL = format('At most %s are allowed.', most), HINT = 'An administrator sets max_attachments of the case type or the tenant.';
    END IF;

    IF c.branch = 'b2c' THEN
        PERFORM csm_private.enforce_quota(c.tenant_id, 'attachments',
            (SELECT count(*) + 1 FROM csm.attachments x WHERE x.case_id = case_id AND x.author_id = me));
    END IF;

    a.side := coalesce(e.side, CASE WHEN is_system OR csm_private.case_allows(c, 'case_work') THEN 'operator'
                                    WHEN csm_private.case_side_allows(c, 'customer') THEN 'customer' ELSE 'counterparty' END);
    a.author_name := coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = me AND u.tenant_id = c.tenant_id), 'system');
    -- The case needs attention as after an entry, but nothing is answered: announced as one of its side alone.
    PERFORM csm_private.begin_entry(case_id, CASE e.visibility WHEN 'internal' THEN 'internal' ELSE 'private' END, a.side, me);
    UPDATE csm.cases x SET updated_at = x.updated_at WHERE x.id = case_id;
    INSERT INTO csm.attachments (tenant_id, case_id, entry_id, author_id, author_name, visibility, side, file_name, media_type, size, sha256, url)
    VALUES (c.tenant_id, case_id, entry_id, me, a.author_name, coalesce(e.visibility, 'shared'), a.side, clean_name, clean_type,
            coalesce(octet_length(content), size), coalesce(pg_catalog.sha256(content), sha256), url)
    RETURNING * INTO a;
    IF content IS NOT NULL THEN
        INSERT INTO csm.attachment_contents (attachment_id, tenant_id, content) VALUES (a.id, a.tenant_id, content);
    END IF;
    PERFORM csm_private.emit(a.tenant_id, a.case_id, 'attached', jsonb_build_object('attachment_id', a.id),
        a.visibility, CASE a.visibility WHEN 'private' THEN a.side END, me);
    RETURN a;
END $$;
COMMENT ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) IS
'Attaches a file to a case, or to an entry that the caller wrote, and returns it. Either content, which is kept here and whose size and SHA-256 are computed (size and sha256, where given, must agree), or url, with which size and sha256 are kept as given. file_name loses its path and what cannot be shown. media_type: application/octet-stream by default. Limits: max_attachments of a case (100) and max_attachment_bytes of a content (10,485,760) in the settings of the case type, else of the tenant; of a consumer the quota attachments of the tenant. Errors: SM001 no such case, 42501 not permitted, or no entry of his, SM004 case closed, SM007 too many, 22004 null argument, 22023 name, type, url or content not acceptable or too large';

-- A content that is no more what its row says, a row that is not what was attached.
CREATE FUNCTION csm_private.attachment_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.case_id, h.seq,
           CASE WHEN a.id IS NULL THEN 'attachment ' || (h.payload #>> '{attachment.id,1}') || ' is missing'
                WHEN a.url IS NULL AND t.content IS NULL THEN 'content of attachment ' || a.id || ' is missing'
                WHEN t.content IS NOT NULL AND (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256)
                THEN 'content of attachment ' || a.id || ' was changed'
                ELSE 'attachment ' || a.id || ' was changed' END
    FROM csm.case_history h
    LEFT JOIN csm.attachments a ON a.id = (h.payload #>> '{attachment.id,1}')::bigint
    LEFT JOIN csm.attachment_contents t ON t.attachment_id = a.id AND t.tenant_id = a.tenant_id
    WHERE (only_tenant IS NULL OR h.tenant_id = only_tenant) AND (only_case IS NULL OR h.case_id = only_case)
      AND h.payload ? 'attachment.id'
      AND (a.id IS NULL
           OR (a.case_id, a.tenant_id, a.entry_id, a.author_id, a.author_name, a.visibility, a.side, a.file_name, a.media_type,
               a.size, encode(a.sha256, 'hex'), a.url, a.created_at)
              IS DISTINCT FROM
              (h.case_id, h.tenant_id, (h.payload #>> '{attachment.entry_id,1}')::bigint, (h.payload #>> '{attachment.author_id,1}')::bigint,
               h.actor_name, h.payload #>> '{attachment.visibility,1}', h.payload #>> '{attachment.side,1}',
               h.payload #>> '{attachment.file_name,1}', h.payload #>> '{attachment.media_type,1}',
               (h.payload #>> '{attachment.size,1}')::bigint, h.payload #>> '{attachment.sha256,1}', h.payload #>> '{attachment.url,1}',
               (h.payload #>> '{attachment.created_at,1}')::timestamptz)
           OR a.url IS NULL AND t.content IS NULL
           OR (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256) AND t.content IS NOT NULL)
$$;
COMMENT ON FUNCTION csm_private.attachment_problems(bigint, bigint) IS
'Attachments that are not what the history says, and contents that are not what their attachment says; of one tenant or case, NULL for all';

DO $$
DECLARE
    f regprocedure;
    t text;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.file_name(text)',
        'csm_private.attachment_limit(csm.cases, text, bigint)',
        'csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea)',
        'csm_private.attachment_problems(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH t IN ARRAY '{attachments,attachment_contents}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only BEFORE UPDATE OR DELETE ON csm.%1$s '
                       'FOR EACH ROW EXECUTE FUNCTION csm_private.append_only()', t);
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only_truncate BEFORE TRUNCATE ON csm.%1$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) TO csm_portal, csm_agent;

CREATE TRIGGER attachments_30_history AFTER INSERT ON csm.attachments
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('attachment');

-- What a case waits for (R 2.5): a dimension of its own beside the state.
--
-- Blocks of reason customer_info follow the state of the case, those of reason
-- task follow case_tasks; staff write the other two.  A block has no text and no
-- reference that not every party of the case may read: the task names its
-- block, not the block its task.

-- Who asks, and in which function: for policies of tables that belong to the desk.
CREATE FUNCTION csm_private.is_staff(action text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_is_staff' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.is_staff(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.is_staff(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.is_staff(text) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.is_staff(text) IS
'Whether a staff role of the person counts now, one that permits the action with whatever reach; NULL: any staff role. False under csm_portal and for nobody';

CREATE TABLE csm.case_blocks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    reason text NOT NULL,
    note text,
    blocked_by bigint,
    blocked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    unblocked_by bigint,
    unblocked_at timestamptz,
    CONSTRAINT case_blocks_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_blocks_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_blocks_blocked_by_fkey FOREIGN KEY (blocked_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_blocks_unblocked_by_fkey FOREIGN KEY (unblocked_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_blocks_reason_check CHECK (reason IN ('customer_info', 'task', 'problem', 'other')),
    CONSTRAINT case_blocks_note_check CHECK (length(note) BETWEEN 1 AND 400),
    CONSTRAINT case_blocks_times_check CHECK (unblocked_at >= blocked_at AND (unblocked_by IS NULL OR unblocked_at IS NOT NULL))
);
CREATE INDEX case_blocks_case_idx ON csm.case_blocks (case_id, blocked_at);
CREATE INDEX case_blocks_open_idx ON csm.case_blocks (case_id) WHERE unblocked_at IS NULL;
CREATE INDEX case_blocks_ended_idx ON csm.case_blocks (tenant_id, unblocked_at) WHERE unblocked_at IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_blocks');

CREATE POLICY case_blocks_select ON csm.case_blocks FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id));
CREATE POLICY case_blocks_insert ON csm.case_blocks FOR INSERT TO csm_agent
    WITH CHECK (reason IN ('problem', 'other')
                AND EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id
                            AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY case_blocks_update ON csm.case_blocks FOR UPDATE TO csm_agent
    USING (reason IN ('problem', 'other')
           AND EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id
                       AND csm_private.case_allows(c, 'case_work')));

-- Takes the row lock of a case whose dependents are about to be written, and
-- refuses where it cannot have a new one.  A case whose solution is proposed gets
-- nothing unfinished: accepting it must not fail for what the customer cannot see.
CREATE FUNCTION csm_private.lock_for_dependent(case_id bigint, tenant_id bigint, what text, unfinished boolean DEFAULT true)
RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id AND e.tenant_id = tenant_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'csm.open_follow_up() opens a case that refers to it.';
    ELSIF unfinished AND c.state_class = 'resolved' THEN
        RAISE EXCEPTION '% is not possible on case %', what, c.number USING ERRCODE = 'SM002',
            DETAIL = format('A solution is proposed: its state is "%s".', c.state),
            HINT = 'Wait for the answer of the customer.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) IS
'Locks a case and returns it; a row of nulls where there is none. what: noun phrase for the message; unfinished: whether it would keep the case from being resolved. Errors: SM004 case closed, SM002 solution proposed. For triggers that have asked for the right before';

-- Attention for the owner (R 2.5), unless the case is past needing it.
CREATE FUNCTION csm_private.call_attention(case_id bigint, tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM FROM csm.cases c
    WHERE c.id = case_id AND c.tenant_id = tenant_id AND NOT c.needs_attention
      AND c.state_class NOT IN ('resolved', 'closed', 'cancelled')
    FOR NO KEY UPDATE;
    IF FOUND THEN
        PERFORM csm_private.begin_system(case_id);
        UPDATE csm.cases c SET needs_attention = true WHERE c.id = case_id AND c.tenant_id = tenant_id;
    END IF;
END $$;
ALTER FUNCTION csm_private.call_attention(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.call_attention(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.call_attention(bigint, bigint) IS
'Switches needs_attention on as csm''s own change; nothing on a case that has it, is resolved or is closed';

CREATE FUNCTION csm_private.block_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.blocked_by := csm.current_user_id();
        NEW.blocked_at := clock_timestamp();
        NEW.unblocked_by := NULL;
        NEW.unblocked_at := NULL;
        -- The others follow what has locked and judged the case already.
        IF NEW.reason IN ('problem', 'other') THEN
            SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
            -- Hidden and missing alike: the policy refuses.
            IF csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system() THEN
                PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a block');
            END IF;
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.unblocked_at IS NOT NULL
       OR (NEW.id, NEW.tenant_id, NEW.case_id, NEW.reason, NEW.blocked_by, NEW.blocked_at)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.reason, OLD.blocked_by, OLD.blocked_at) THEN
        RAISE EXCEPTION 'block % cannot be changed', OLD.id USING ERRCODE = '42501',
            DETAIL = 'A block ends once, and what it is stays as it was written.',
            HINT = 'Write a new block.';
    END IF;
    IF NEW.unblocked_at IS NOT NULL THEN
        NEW.unblocked_at := greatest(clock_timestamp(), OLD.blocked_at);
        NEW.unblocked_by := csm.current_user_id();
    ELSE
        NEW.unblocked_by := NULL;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.block_guard() IS
'Trigger of csm.case_blocks: who and when; SM004 or SM002 on a case that cannot be blocked any more, 42501 for a block that ended';

-- An answer to a question calls attention through the change of state itself
-- (src/csm_lifecycle.c).
CREATE FUNCTION csm_private.block_effects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF NEW.reason IN ('problem', 'other') THEN
        PERFORM csm_private.emit(NEW.tenant_id, NEW.case_id, CASE TG_OP WHEN 'INSERT' THEN 'blocked' ELSE 'unblocked' END,
                                 jsonb_build_object('block_id', NEW.id, 'reason', NEW.reason));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.reason <> 'customer_info' THEN
        PERFORM csm_private.call_attention(NEW.case_id, NEW.tenant_id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.block_effects() IS
'Trigger of csm.case_blocks: the end of a block calls attention to the case (R 2.5); events blocked and unblocked for reasons problem and other';

-- Locks the case last: it may have come to its end meanwhile, passing over this
-- row (src/csm_dependents.c).
CREATE FUNCTION csm_private.block_overtaken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF NOT (csm_private.restoring() OR csm_private.importing()) THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        IF c.state_class IN ('resolved', 'closed', 'cancelled') THEN
            UPDATE csm.case_blocks b SET unblocked_at = clock_timestamp()
            WHERE b.id = NEW.id AND b.tenant_id = NEW.tenant_id AND b.unblocked_at IS NULL;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.block_overtaken() IS
'Trigger of csm.case_blocks: ends a block that was being changed while its case was resolved or closed';

CREATE FUNCTION csm_private.never_deleted() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = '42501',
        HINT = 'End it: by its state, or by the time at which it ended.';
END $$;
COMMENT ON FUNCTION csm_private.never_deleted() IS
'Trigger that refuses DELETE and TRUNCATE for everybody (42501)';

CREATE FUNCTION csm_private.case_dependents() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_dependents' LANGUAGE c;
COMMENT ON FUNCTION csm_private.case_dependents() IS
'Trigger of csm.cases: waiting for the customer begins and ends a block; a case that is resolved or ends has no blocks; cancelling it cancels its tasks and lines; submitting it submits its lines';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY '{block_guard,block_effects,block_overtaken,never_deleted,case_dependents}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION csm_private.%s() OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION csm_private.%s() FROM PUBLIC', f);
    END LOOP;
END $$;
CREATE TRIGGER case_blocks_10_guard BEFORE INSERT OR UPDATE ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.block_guard();
CREATE TRIGGER case_blocks_20_effects_begun AFTER INSERT ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.block_effects();
CREATE TRIGGER case_blocks_20_effects AFTER UPDATE ON csm.case_blocks
    FOR EACH ROW WHEN (OLD.unblocked_at IS NULL AND NEW.unblocked_at IS NOT NULL)
    EXECUTE FUNCTION csm_private.block_effects();
CREATE TRIGGER case_blocks_30_overtaken AFTER UPDATE ON csm.case_blocks
    FOR EACH ROW WHEN (NEW.unblocked_at IS NULL)
    EXECUTE FUNCTION csm_private.block_overtaken();
CREATE TRIGGER case_blocks_10_keep BEFORE DELETE ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_blocks_10_keep_truncate BEFORE TRUNCATE ON csm.case_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER cases_45_dependents AFTER UPDATE ON csm.cases
    FOR EACH ROW WHEN (OLD.state_class IS DISTINCT FROM NEW.state_class)
    EXECUTE FUNCTION csm_private.case_dependents();

GRANT SELECT ON csm.case_blocks TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, reason, note), UPDATE (note, unblocked_at) ON csm.case_blocks TO csm_agent;

COMMENT ON TABLE csm.case_blocks IS 'What cases wait for, kept with beginning and end (R 2.5)';
COMMENT ON COLUMN csm.case_blocks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_blocks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_blocks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_blocks.reason IS 'customer_info: an answer of the customer, kept by the state of the case; task: a blocking task, kept by csm.case_tasks; problem: the workaround of a problem; other: something else, said in note. The last two are written by staff';
COMMENT ON COLUMN csm.case_blocks.note IS 'What it waits for, up to 400 characters, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_blocks.blocked_by IS 'Who began it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_blocks.blocked_at IS 'When it began, stamped';
COMMENT ON COLUMN csm.case_blocks.unblocked_by IS 'Who ended it, stamped; NULL for the system and while it lasts';
COMMENT ON COLUMN csm.case_blocks.unblocked_at IS 'When it ended: a value of a client''s own is replaced by the clock; NULL while it lasts. An ended block never changes';
COMMENT ON POLICY case_blocks_select ON csm.case_blocks IS 'All who see the case';
COMMENT ON POLICY case_blocks_insert ON csm.case_blocks IS 'Staff who work on the case, for reasons problem and other';
COMMENT ON POLICY case_blocks_update ON csm.case_blocks IS 'Staff who work on the case end a block of reason problem or other';

-- Under the policies of the reader: what he may not see has no row here.
CREATE VIEW csm.case_action_status WITH (security_invoker = true) AS
    SELECT c.id AS case_id, c.tenant_id,
           CASE WHEN c.state_class IN ('closed', 'cancelled') THEN 'done'
                WHEN c.needs_attention THEN 'needs_attention'
                WHEN c.state_class = 'waiting' OR b.reasons IS NOT NULL THEN 'blocked'
                ELSE 'active' END AS action_status,
           coalesce(b.reasons, CASE WHEN c.state_class = 'waiting' THEN '{customer_info}'::text[] ELSE '{}' END) AS blocked_by_reasons,
           b.since AS blocked_since
    FROM csm.cases c
    CROSS JOIN LATERAL (SELECT array_agg(DISTINCT x.reason ORDER BY x.reason) AS reasons, min(x.blocked_at) AS since
                        FROM csm.case_blocks x
                        WHERE x.case_id = c.id AND x.tenant_id = c.tenant_id AND x.unblocked_at IS NULL) b;
ALTER VIEW csm.case_action_status OWNER TO csm_owner;
REVOKE ALL ON csm.case_action_status FROM PUBLIC;
GRANT SELECT ON csm.case_action_status TO csm_portal, csm_agent, csm_admin;
COMMENT ON VIEW csm.case_action_status IS 'Whose move it is on each case that the reader sees';
COMMENT ON COLUMN csm.case_action_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_action_status.tenant_id IS 'Tenant of the case';
COMMENT ON COLUMN csm.case_action_status.action_status IS 'done (closed or cancelled), else needs_attention, else blocked, else active';
COMMENT ON COLUMN csm.case_action_status.blocked_by_reasons IS 'Reasons of the open blocks, sorted; also where the status is needs_attention. Empty when none';
COMMENT ON COLUMN csm.case_action_status.blocked_since IS 'Beginning of the oldest open block; NULL when none, and for a case that was imported as waiting';

-- Tasks of a case (R B27): work for somebody on the desk, with a life of its own.
--
-- A task is seen by those who work on its case, by its assignee and the members
-- of its group where they are staff (they see the task, not the case), and, with
-- visible_to_customer, by all who see the case but the other company of a dispute.
--
--   open -> in_progress, closed, cancelled      in_progress -> open, closed, cancelled
--
-- A task that is closed or cancelled never changes.  While a blocking one is
-- open the case is blocked and can be neither resolved nor closed: the guard of
-- csm.cases refuses (src/csm_dependents.c).  Cancelling the case cancels its tasks.

CREATE TABLE csm.case_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    branch text NOT NULL,
    number text NOT NULL,
    subject text NOT NULL,
    description text,
    state text NOT NULL DEFAULT 'open',
    blocking boolean NOT NULL DEFAULT true,
    visible_to_customer boolean NOT NULL DEFAULT false,
    priority smallint NOT NULL DEFAULT 4,
    assigned_group_id bigint,
    assigned_to bigint,
    due_at timestamptz,
    close_notes text,
    block_id bigint,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_by bigint,
    closed_at timestamptz,
    CONSTRAINT case_tasks_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_tasks_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_tasks_block_fkey FOREIGN KEY (block_id, tenant_id) REFERENCES csm.case_blocks (id, tenant_id),
    CONSTRAINT case_tasks_group_fkey FOREIGN KEY (assigned_group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT case_tasks_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_closed_by_fkey FOREIGN KEY (closed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_number_key UNIQUE (tenant_id, number),
    CONSTRAINT case_tasks_branch_check CHECK (branch IN ('b2b', 'b2c', 'internal')),
    CONSTRAINT case_tasks_state_check CHECK (state IN ('open', 'in_progress', 'closed', 'cancelled')),
    CONSTRAINT case_tasks_closed_check CHECK ((state IN ('closed', 'cancelled')) = (closed_at IS NOT NULL)),
    CONSTRAINT case_tasks_priority_check CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT case_tasks_subject_check CHECK (length(subject) BETWEEN 1 AND 400 AND subject !~ '^[[:space:]]*$'),
    CONSTRAINT case_tasks_text_check CHECK (length(description) <= 100000 AND length(close_notes) <= 100000
        AND length(number) BETWEEN 1 AND 40)
);
CREATE INDEX case_tasks_case_idx ON csm.case_tasks (case_id);
CREATE INDEX case_tasks_blocking_idx ON csm.case_tasks (case_id) WHERE blocking AND state IN ('open', 'in_progress');
CREATE INDEX case_tasks_assigned_to_idx ON csm.case_tasks (assigned_to) WHERE assigned_to IS NOT NULL;
CREATE INDEX case_tasks_group_idx ON csm.case_tasks (assigned_group_id) WHERE assigned_group_id IS NOT NULL;
CREATE INDEX case_tasks_due_idx ON csm.case_tasks (tenant_id, due_at) WHERE state IN ('open', 'in_progress');
SELECT csm_private.adopt_table('csm.case_tasks');

DO $$
DECLARE
    -- The branch spares those who see all of it the look-up of the case.
    works CONSTANT text := $e$csm.all_in(tenant_id, branch, 'case_work')$e$;
    -- Groups are few: the sub-select runs once a query.
    does CONSTANT text := $e$(assigned_to = csm.current_user_id() OR assigned_group_id IN
        (SELECT m.group_id FROM csm.group_members m WHERE m.user_id = csm.current_user_id())) AND csm_private.is_staff()$e$;
    through_case CONSTANT text := $e$EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_tasks.tenant_id AND %s)$e$;
    flagged CONSTANT text := $e$(csm_private.case_side_allows(c, 'customer') OR NOT csm_private.case_side_allows(c, 'counterparty'))$e$;
    worked CONSTANT text := $e$csm_private.case_allows(c, 'case_work')$e$;
BEGIN
    EXECUTE format('CREATE POLICY case_tasks_select ON csm.case_tasks FOR SELECT TO csm_portal USING (visible_to_customer AND %s)',
                   format(through_case, flagged));
    EXECUTE format('CREATE POLICY case_tasks_select_staff ON csm.case_tasks FOR SELECT TO csm_agent, csm_admin USING (%s OR %s OR %s)',
                   works, does, format(through_case, format('CASE WHEN visible_to_customer THEN %s ELSE %s END', flagged, worked)));
    EXECUTE format('CREATE POLICY case_tasks_insert ON csm.case_tasks FOR INSERT TO csm_agent WITH CHECK (%s)',
                   format(through_case, worked));
    EXECUTE format('CREATE POLICY case_tasks_update ON csm.case_tasks FOR UPDATE TO csm_agent USING (%s OR %s OR %s)',
                   works, does, format(through_case, worked));
END $$;

CREATE FUNCTION csm_private.task_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    importing CONSTANT boolean := csm_private.importing();
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NOT (csm_private.case_allows(c, 'case_work') OR c.id IS NOT NULL AND (csm_private.acts_as_system() OR importing)) THEN
            RAISE EXCEPTION 'a task on case % is not permitted', NEW.case_id USING ERRCODE = '42501',
                HINT = 'Tasks are opened by staff who work on the case.';
        END IF;
        NEW.number := coalesce(NEW.number, 'CT' || lpad(NEW.id::text, 7, '0'));
        NEW.branch := c.branch;
        NEW.block_id := NULL;
    ELSIF NOT importing THEN
        IF OLD.state IN ('closed', 'cancelled') THEN
            RAISE EXCEPTION 'task % is %', OLD.number, OLD.state USING ERRCODE = 'SM004', HINT = 'Open a new task.';
        END IF;
        IF (NEW.id, NEW.tenant_id, NEW.case_id, NEW.branch, NEW.number, NEW.block_id, NEW.opened_by, NEW.opened_at, NEW.closed_by, NEW.closed_at)
           IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.branch, OLD.number, OLD.block_id, OLD.opened_by, OLD.opened_at, OLD.closed_by, OLD.closed_at) THEN
            RAISE EXCEPTION 'what task % is and whose it is cannot be changed', OLD.number USING ERRCODE = '42501',
                DETAIL = 'Fixed are case, number, and who opened it when; the rest is kept by csm.', HINT = 'Open a new task.';
        END IF;
    END IF;
    IF NOT importing AND TG_OP = 'INSERT' THEN
        IF NEW.state IS DISTINCT FROM 'open' THEN
            RAISE EXCEPTION 'a task cannot begin in state "%"', NEW.state USING ERRCODE = 'SM002',
                HINT = 'Leave state out, or load history with csm.importing = on.';
        END IF;
        NEW.opened_by := csm.current_user_id();
        NEW.opened_at := clock_timestamp();
        NEW.updated_at := NEW.opened_at;
        NEW.closed_by := NULL;
        NEW.closed_at := NULL;
    ELSIF NOT importing THEN
        NEW.updated_at := clock_timestamp();
        IF NEW.state IN ('closed', 'cancelled') THEN
            NEW.closed_by := csm.current_user_id();
            NEW.closed_at := NEW.updated_at;
        END IF;
    END IF;

    -- An open blocking task has an open block, imported or not.
    IF NEW.blocking AND NEW.state IN ('open', 'in_progress') AND (TG_OP = 'INSERT' OR NOT OLD.blocking) THEN
        IF NOT importing THEN
            PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a blocking task');
        END IF;
        INSERT INTO csm.case_blocks (tenant_id, case_id, reason) VALUES (NEW.tenant_id, NEW.case_id, 'task')
        RETURNING id INTO NEW.block_id;
    ELSIF TG_OP = 'INSERT' AND NOT importing THEN
        PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a task', false);
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.task_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.task_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.task_guard() IS
'Trigger of csm.case_tasks: number, branch, who and when; the states; the block of a blocking task. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 task or case closed, SM002 state a task cannot begin in, or a blocking task while a solution is proposed';

-- Locks the case last, and so may find it cancelled meanwhile.
CREATE FUNCTION csm_private.task_effects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
    payload jsonb := jsonb_build_object('task_id', NEW.id, 'number', NEW.number, 'state', NEW.state);
    is_open boolean := NEW.state IN ('open', 'in_progress');
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
    IF TG_OP = 'UPDATE' AND is_open AND c.state_class = 'cancelled' AND NOT csm_private.importing() THEN
        UPDATE csm.case_tasks t SET state = 'cancelled' WHERE t.id = NEW.id AND t.tenant_id = NEW.tenant_id;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.blocking AND NOT (is_open AND NEW.blocking) THEN
        UPDATE csm.case_blocks b SET unblocked_at = clock_timestamp()
        WHERE b.id = OLD.block_id AND b.tenant_id = OLD.tenant_id AND b.unblocked_at IS NULL;
    END IF;
    IF TG_OP = 'INSERT' OR NOT is_open THEN
        PERFORM csm_private.emit(NEW.tenant_id, NEW.case_id, CASE TG_OP WHEN 'INSERT' THEN 'task_opened' ELSE 'task_closed' END, payload,
                                 CASE WHEN NEW.visible_to_customer THEN 'private' ELSE 'internal' END,
                                 CASE WHEN NEW.visible_to_customer THEN 'customer' END);
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.task_effects() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.task_effects() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.task_effects() IS
'Trigger of csm.case_tasks: ends the block of a task that does not block any more; cancels a task whose case was cancelled meanwhile; events task_opened and task_closed';

CREATE TRIGGER case_tasks_10_guard BEFORE INSERT OR UPDATE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.task_guard();
CREATE TRIGGER case_tasks_10_keep BEFORE DELETE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_tasks_10_keep_truncate BEFORE TRUNCATE ON csm.case_tasks
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_tasks_20_effects AFTER INSERT OR UPDATE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.task_effects();

GRANT SELECT ON csm.case_tasks TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, subject, description, blocking, visible_to_customer, priority, assigned_group_id, assigned_to, due_at),
      UPDATE (subject, description, state, blocking, visible_to_customer, priority, assigned_group_id, assigned_to, due_at, close_notes)
    ON csm.case_tasks TO csm_agent;

COMMENT ON TABLE csm.case_tasks IS 'Work for somebody on the desk that a case needs. Rows are never deleted; closed and cancelled ones never change';
COMMENT ON COLUMN csm.case_tasks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_tasks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_tasks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_tasks.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_tasks.number IS 'Human-facing number, unique in the tenant; made from the id (CT0000042)';
COMMENT ON COLUMN csm.case_tasks.subject IS 'What is to be done, up to 400 characters';
COMMENT ON COLUMN csm.case_tasks.description IS 'More about it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.state IS 'open, in_progress, closed or cancelled';
COMMENT ON COLUMN csm.case_tasks.blocking IS 'True: while the task is open the case is blocked and can be neither resolved nor closed';
COMMENT ON COLUMN csm.case_tasks.visible_to_customer IS 'True: whoever sees the case sees the task, except the other company of a dispute';
COMMENT ON COLUMN csm.case_tasks.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm.case_tasks.assigned_group_id IS 'Group that does it; NULL for none';
COMMENT ON COLUMN csm.case_tasks.assigned_to IS 'Person who does it; NULL for nobody yet';
COMMENT ON COLUMN csm.case_tasks.due_at IS 'When it should be done; NULL for no term. Nothing happens by itself then';
COMMENT ON COLUMN csm.case_tasks.close_notes IS 'What came of it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.block_id IS 'The block that the task made last; NULL where it never blocked';
COMMENT ON COLUMN csm.case_tasks.opened_by IS 'Who opened it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_tasks.opened_at IS 'When it was opened, stamped';
COMMENT ON COLUMN csm.case_tasks.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_tasks.closed_by IS 'Who closed or cancelled it, stamped; NULL for the system and while it is open';
COMMENT ON COLUMN csm.case_tasks.closed_at IS 'When it was closed or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_tasks_select ON csm.case_tasks IS 'T10: tasks with the flag, by the customer''s side of a visible case';
COMMENT ON POLICY case_tasks_select_staff ON csm.case_tasks IS 'Those who work on the case; staff to whom the task is assigned, in person or by group; with the flag all who see the case but its counterparty';
COMMENT ON POLICY case_tasks_insert ON csm.case_tasks IS 'Staff who work on the case';
COMMENT ON POLICY case_tasks_update ON csm.case_tasks IS 'Staff who work on the case, and staff to whom the task is assigned';

-- Lines: many products or issues in one case (R B28).  Everybody who sees the
-- case sees its lines.  The customer's side adds and cancels lines until work
-- begins; after that the desk works on them, and the case can be resolved or
-- closed only when every line has come to an end.
--
--   draft -> new                               when the case is submitted
--   new, work_in_progress, awaiting_info -> one another, resolved_accepted, resolved_denied
--   draft, new, work_in_progress, awaiting_info -> cancelled
CREATE TABLE csm.case_lines (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    position integer NOT NULL,
    product_id bigint,
    quantity numeric NOT NULL DEFAULT 1,
    description text,
    state text NOT NULL,
    resolution_notes text,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    CONSTRAINT case_lines_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_lines_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_lines_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT case_lines_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_lines_position_key UNIQUE (case_id, position),
    CONSTRAINT case_lines_position_check CHECK (position > 0),
    CONSTRAINT case_lines_quantity_check CHECK (quantity > 0 AND quantity <= 1000000000 AND scale(quantity) <= 6),
    CONSTRAINT case_lines_state_check CHECK (state IN
        ('draft', 'new', 'work_in_progress', 'awaiting_info', 'resolved_accepted', 'resolved_denied', 'cancelled')),
    CONSTRAINT case_lines_closed_check CHECK
        ((state IN ('resolved_accepted', 'resolved_denied', 'cancelled')) = (closed_at IS NOT NULL)),
    CONSTRAINT case_lines_what_check CHECK (product_id IS NOT NULL OR coalesce(description, '') ~ '[^[:space:]]'),
    CONSTRAINT case_lines_text_check CHECK (length(description) <= 10000 AND length(resolution_notes) <= 10000)
);
CREATE INDEX case_lines_open_idx ON csm.case_lines (case_id)
    WHERE state IN ('draft', 'new', 'work_in_progress', 'awaiting_info');
CREATE INDEX case_lines_product_idx ON csm.case_lines (product_id) WHERE product_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_lines');

-- The customer's side of a case on which work has not begun.
CREATE FUNCTION csm_private.may_order(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(c.state_class IN ('draft', 'new') AND csm_private.case_allows(c, 'case_decide')
                    AND csm_private.case_side_allows(c, 'customer'), false);
END;
ALTER FUNCTION csm_private.may_order(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_order(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_order(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.may_order(csm.cases) IS
'Whether the person decides for the customer of a case that is draft or new; false for a null row';

CREATE POLICY case_lines_select ON csm.case_lines FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id));
CREATE POLICY case_lines_insert ON csm.case_lines FOR INSERT TO csm_portal, csm_agent
    WITH CHECK (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id
                        AND (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c)))
                AND (product_id IS NULL OR EXISTS (SELECT FROM csm.products p WHERE p.id = product_id
                                                   AND p.tenant_id = case_lines.tenant_id AND p.active)));
CREATE POLICY case_lines_update ON csm.case_lines FOR UPDATE TO csm_portal, csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id
                   AND (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c))));

CREATE FUNCTION csm_private.line_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended CONSTANT text[] := '{resolved_accepted,resolved_denied,cancelled}'::text[];
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c)
                OR c.id IS NOT NULL AND (csm_private.acts_as_system() OR csm_private.importing())) THEN
            RAISE EXCEPTION 'a line on case % is not permitted', NEW.case_id USING ERRCODE = '42501',
                HINT = 'Lines are added by staff who work on the case, and by the customer until work begins.';
        END IF;
        IF NOT csm_private.importing() THEN
            c := csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a line');
            NEW.state := CASE c.state_class WHEN 'draft' THEN 'draft' ELSE 'new' END;
            NEW.opened_by := csm.current_user_id();
            NEW.opened_at := clock_timestamp();
            NEW.closed_at := NULL;
            NEW.resolution_notes := NULL;
        END IF;
        IF NEW.position IS NULL THEN
            SELECT coalesce(max(l.position), 0) + 1 INTO NEW.position FROM csm.case_lines l WHERE l.case_id = NEW.case_id;
        END IF;
    ELSIF NOT csm_private.importing() THEN
        IF OLD.state = ANY (ended) THEN
            RAISE EXCEPTION 'line % of the case is ended', OLD.position USING ERRCODE = 'SM004',
                DETAIL = format('Its state is "%s".', OLD.state), HINT = 'Add a new line.';
        END IF;
        IF (NEW.id, NEW.tenant_id, NEW.case_id, NEW.position, NEW.opened_by, NEW.opened_at, NEW.closed_at)
           IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.position, OLD.opened_by, OLD.opened_at, OLD.closed_at) THEN
            RAISE EXCEPTION 'what line % of the case is cannot be changed', OLD.position USING ERRCODE = '42501',
                DETAIL = 'Fixed are case, position, and who added it when.', HINT = 'Cancel the line and add a new one.';
        END IF;
        IF NEW.state <> OLD.state AND (NEW.state = 'draft' OR OLD.state = 'draft' AND NEW.state NOT IN ('new', 'cancelled')) THEN
            RAISE EXCEPTION 'line % cannot change from state "%" to "%"', OLD.position, OLD.state, NEW.state USING ERRCODE = 'SM002',
                HINT = 'A draft becomes new when its case is submitted.';
        END IF;
        -- The customer cancels; the rest of a line's life is the desk's.  Submitting
        -- the case submits its lines, whoever does it.
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NEW.state NOT IN (OLD.state, 'cancelled') AND (OLD.state <> 'draft' OR c.state_class = 'draft')
           AND csm_private.may_order(c) AND NOT csm_private.case_allows(c, 'case_work') THEN
            RAISE EXCEPTION 'line % is not yours to work on', OLD.position USING ERRCODE = '42501',
                HINT = 'The customer may cancel a line.';
        END IF;
        IF NEW.state = ANY (ended) THEN
            NEW.closed_at := clock_timestamp();
        END IF;
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.line_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.line_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.line_guard() IS
'Trigger of csm.case_lines: position, first state, who and when; the states. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 line or case closed, SM002 state not possible, or a new line while a solution is proposed';

-- As with blocks: the case may have been cancelled meanwhile, passing over this row.
CREATE FUNCTION csm_private.line_overtaken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF NOT (csm_private.restoring() OR csm_private.importing()) THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        IF c.state_class = 'cancelled' THEN
            UPDATE csm.case_lines l SET state = 'cancelled' WHERE l.id = NEW.id AND l.tenant_id = NEW.tenant_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.line_overtaken() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.line_overtaken() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.line_overtaken() IS
'Trigger of csm.case_lines: cancels a line that was being changed while its case was cancelled';

CREATE TRIGGER case_lines_10_guard BEFORE INSERT OR UPDATE ON csm.case_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.line_guard();
CREATE TRIGGER case_lines_30_overtaken AFTER UPDATE ON csm.case_lines
    FOR EACH ROW WHEN (NEW.closed_at IS NULL) EXECUTE FUNCTION csm_private.line_overtaken();
CREATE TRIGGER case_lines_10_keep BEFORE DELETE ON csm.case_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_lines_10_keep_truncate BEFORE TRUNCATE ON csm.case_lines
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();

GRANT SELECT ON csm.case_lines TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, product_id, quantity, description), UPDATE (quantity, description, state) ON csm.case_lines TO csm_portal;
GRANT INSERT (case_id, product_id, quantity, description),
      UPDATE (product_id, quantity, description, state, resolution_notes) ON csm.case_lines TO csm_agent;

COMMENT ON TABLE csm.case_lines IS 'Products or issues of one case, each with a state of its own. Rows are never deleted; ended ones never change';
COMMENT ON COLUMN csm.case_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_lines.case_id IS 'The case';
COMMENT ON COLUMN csm.case_lines.position IS 'Number of the line in its case, from 1, given in the order of adding';
COMMENT ON COLUMN csm.case_lines.product_id IS 'Product that is ordered or concerned; NULL where description says what';
COMMENT ON COLUMN csm.case_lines.quantity IS 'How many, above 0, up to six decimals; the unit is the product''s';
COMMENT ON COLUMN csm.case_lines.description IS 'What it is about, up to 10,000 characters; NULL where the product says it';
COMMENT ON COLUMN csm.case_lines.state IS 'draft, new, work_in_progress, awaiting_info, resolved_accepted, resolved_denied or cancelled; begins as draft on a draft, else as new';
COMMENT ON COLUMN csm.case_lines.resolution_notes IS 'What came of it, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_lines.opened_by IS 'Who added it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_lines.opened_at IS 'When it was added, stamped';
COMMENT ON COLUMN csm.case_lines.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_lines.closed_at IS 'When it was resolved or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_lines_select ON csm.case_lines IS 'All who see the case';
COMMENT ON POLICY case_lines_insert ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins; an active product of the tenant';
COMMENT ON POLICY case_lines_update ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins';

-- Who else is let in to a case (R B18), and which cases belong together.

CREATE FUNCTION csm_private.case_holds(c csm.cases, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_holds' LANGUAGE c STABLE PARALLEL SAFE COST 10;
ALTER FUNCTION csm_private.case_holds(csm.cases, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_holds(csm.cases, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_holds(csm.cases, text) IS
'Whether the person has the action on the customer''s side of the case by anything but a share; false for nobody and a null row';

-- Whom the caller may let in: as the desk, whom he sees; as the customer, people
-- and accounts of his own accounts and what lies below them.
CREATE FUNCTION csm_private.may_share_with(tenant_id bigint, of_user bigint, of_account bigint, visible boolean, as_desk boolean) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    at_time CONSTANT timestamptz := statement_timestamp();
    persona CONSTANT text := nullif(current_setting('csm.persona', true), '');
BEGIN
    IF as_desk THEN
        RETURN visible;
    END IF;
    RETURN EXISTS (
        SELECT FROM csm.contacts mine
        JOIN csm.accounts a ON a.tenant_id = mine.tenant_id AND a.id IN (SELECT csm_private.subtree(mine.account_id, mine.tenant_id))
        WHERE mine.user_id = me AND mine.tenant_id = tenant_id AND mine.login_enabled
          AND csm_private.is_valid(mine.valid_during, at_time)
          AND (persona IS NULL OR persona = 'contact:' || mine.id)
          AND (a.id = of_account
               OR EXISTS (SELECT FROM csm.contacts k
                          WHERE k.account_id = a.id AND k.tenant_id = a.tenant_id AND k.user_id = of_user AND k.login_enabled
                            AND csm_private.is_valid(k.valid_during, at_time))));
END $$;
ALTER FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) IS
'Whether the signed-in person may let in this person or account. as_desk: whoever is visible to him; else a current contact, or an account, of the subtree of an account in which he is a contact himself. False for hidden and missing alike';

CREATE FUNCTION csm_private.case_to_share(case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_to_share.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.case_holds(c, 'case_decide') OR csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % is not yours to share', c.number USING ERRCODE = '42501',
            DETAIL = 'A share gives no right to share.',
            HINT = 'Staff who work on the case share it, and whoever decides for the customer.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.case_to_share(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_to_share(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_to_share(bigint) IS
'The case, where the caller may share it; errors SM001 and 42501 of csm.share_case()';

CREATE FUNCTION csm_private.share_case_row(visible boolean, case_id bigint, user_id bigint, account_id bigint,
    capabilities text[], until timestamptz) RETURNS csm.case_parties
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases := csm_private.case_to_share(case_id);
    is_system CONSTANT boolean := csm_private.acts_as_system();
    as_desk CONSTANT boolean := is_system OR csm_private.case_allows(c, 'case_work');
    known CONSTANT text[] := '{case_read,case_comment,case_decide}'::text[];
    granted text[];
    since timestamptz := statement_timestamp();
    p csm.case_parties;
BEGIN
    IF num_nonnulls(user_id, account_id) <> 1 THEN
        RAISE EXCEPTION 'a case is shared with a person or with an account' USING ERRCODE = '22023',
            HINT = 'Give exactly one of user_id and account_id.';
    ELSIF capabilities IS NULL OR NOT capabilities <@ known OR array_position(capabilities, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'capabilities of a share are among case_read, case_comment and case_decide' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', coalesce(capabilities::text, 'null')), HINT = 'case_read is always among them.';
    ELSIF until <= since THEN
        RAISE EXCEPTION 'a share must end in the future' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', until), HINT = 'Leave until out for a share without end; csm.unshare_case() ends one.';
    ELSIF user_id = csm.current_user_id() THEN
        RAISE EXCEPTION 'a case is not shared with oneself' USING ERRCODE = '22023', HINT = 'Name somebody else.';
    ELSIF NOT (is_system OR csm_private.may_share_with(c.tenant_id, user_id, account_id, visible, as_desk)) THEN
        RAISE EXCEPTION 'case % cannot be shared with that person or account', c.number USING ERRCODE = '42501',
            HINT = 'The desk shares with whom it sees, a customer within his own account and those below it.';
    END IF;
    SELECT array_agg(k ORDER BY n) INTO granted
    FROM unnest(known) WITH ORDINALITY u(k, n) WHERE k = 'case_read' OR k = ANY (capabilities);

    PERFORM FROM csm.cases e WHERE e.id = c.id FOR NO KEY UPDATE;
    -- Sharing again replaces what the share allows and until when.
    UPDATE csm.case_parties x
    SET capabilities = granted, valid_during = tstzrange(lower(x.valid_during), until), granted_by = csm.current_user_id()
    WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id
      AND (x.user_id = user_id OR x.account_id = account_id) AND csm_private.is_valid(x.valid_during, since)
    RETURNING * INTO p;
    IF NOT FOUND THEN
        -- Not before an earlier share of the same party has ended.
        SELECT greatest(since, max(upper(x.valid_during))) INTO since
        FROM csm.case_parties x
        WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id AND (x.user_id = user_id OR x.account_id = account_id);
        INSERT INTO csm.case_parties (tenant_id, case_id, user_id, account_id, capabilities, valid_during, granted_by)
        VALUES (c.tenant_id, case_id, user_id, account_id, granted, tstzrange(since, until), csm.current_user_id())
        RETURNING * INTO p;
    END IF;
    PERFORM csm_private.emit(c.tenant_id, c.id, 'shared',
        jsonb_strip_nulls(jsonb_build_object('user_id', user_id, 'account_id', account_id, 'capabilities', granted, 'until', until)),
        'private', 'customer');
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz) IS
'Body of csm.share_case(); visible: whether the caller sees the person or account';

-- What the caller sees is asked here, under his own policies; the rest is
-- written as csm_owner.
CREATE FUNCTION csm.share_case(case_id bigint, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL,
    capabilities text[] DEFAULT '{case_read}', until timestamptz DEFAULT NULL) RETURNS csm.case_parties
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.share_case_row(
        EXISTS (SELECT FROM csm.users u WHERE u.id = user_id) OR EXISTS (SELECT FROM csm.accounts a WHERE a.id = account_id),
        case_id, user_id, account_id, capabilities, until);
END;
COMMENT ON FUNCTION csm.share_case(bigint, bigint, bigint, text[], timestamptz) IS
'Lets a person, or all current contacts of an account, in to a case, until the given time (NULL: without end), and returns the share. capabilities: case_read, and case_comment and case_decide where named. Sharing again replaces both. By staff who work on the case, with whom they see; by whoever has case_decide on the customer''s side other than by a share, with contacts and accounts of his own accounts'' subtrees. Counts from the next statement on. Errors: SM001 no such case, 42501 not his to share, or person or account out of reach (hidden and missing alike), 22023 argument';

CREATE FUNCTION csm.unshare_case(case_id bigint, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    at_time CONSTANT timestamptz := clock_timestamp();
    c csm.cases;
    p csm.case_parties;
BEGIN
    IF num_nonnulls(user_id, account_id) <> 1 THEN
        RAISE EXCEPTION 'a case is shared with a person or with an account' USING ERRCODE = '22023',
            HINT = 'Give exactly one of user_id and account_id.';
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    -- Anybody gives up his own share.
    IF NOT (user_id IS NOT NULL AND user_id = me AND csm_private.case_allows(c, 'case_read')) THEN
        c := csm_private.case_to_share(case_id);
    END IF;
    PERFORM FROM csm.cases e WHERE e.id = c.id FOR NO KEY UPDATE;
    SELECT * INTO p FROM csm.case_parties x
    WHERE x.case_id = case_id AND x.tenant_id = c.tenant_id
      AND (x.user_id = user_id OR x.account_id = account_id) AND csm_private.is_valid(x.valid_during, at_time);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT coalesce(p.user_id = me OR p.granted_by = me OR csm_private.acts_as_system() OR csm_private.case_allows(c, 'case_work')
                    OR csm_private.may_share_with(c.tenant_id, user_id, account_id, false, false), false) THEN
        RAISE EXCEPTION 'that share of case % is not yours to end', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the case end it, whoever granted it, and whoever could have granted it.';
    END IF;
    UPDATE csm.case_parties x SET valid_during = tstzrange(lower(x.valid_during), at_time)
    WHERE x.id = p.id AND x.tenant_id = p.tenant_id;
    PERFORM csm_private.emit(c.tenant_id, c.id, 'unshared',
        jsonb_strip_nulls(jsonb_build_object('user_id', user_id, 'account_id', account_id)), 'private', 'customer');
    RETURN true;
END $$;
COMMENT ON FUNCTION csm.unshare_case(bigint, bigint, bigint) IS
'Ends the share of a case with a person or an account, from the next statement on; true where one was ended. By staff who work on the case, whoever granted it or could grant it, and the person himself. The row is kept with its end. Errors: SM001 no such case, 42501 not permitted, 22023 not exactly one of user_id and account_id';

-- Cases that belong together.  A link is seen by whoever sees both cases.
CREATE TABLE csm.case_links (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    from_case_id bigint NOT NULL,
    to_case_id bigint NOT NULL,
    kind text NOT NULL,
    created_by bigint DEFAULT csm.current_user_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_links_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_links_from_fkey FOREIGN KEY (from_case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_links_to_fkey FOREIGN KEY (to_case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_links_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_links_kind_check CHECK (kind IN ('follow_up', 'duplicate', 'related')),
    CONSTRAINT case_links_self_check CHECK (from_case_id <> to_case_id),
    CONSTRAINT case_links_once UNIQUE (from_case_id, to_case_id, kind)
);
CREATE INDEX case_links_to_idx ON csm.case_links (to_case_id);
-- Related goes both ways: once is enough.
CREATE UNIQUE INDEX case_links_related_key ON csm.case_links
    (least(from_case_id, to_case_id), greatest(from_case_id, to_case_id)) WHERE kind = 'related';
SELECT csm_private.adopt_table('csm.case_links');

CREATE POLICY case_links_select ON csm.case_links FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id)
       AND EXISTS (SELECT FROM csm.cases c WHERE c.id = to_case_id AND c.tenant_id = case_links.tenant_id));
CREATE POLICY case_links_insert ON csm.case_links FOR INSERT TO csm_agent
    WITH CHECK (created_by = csm.current_user_id()
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id
                    AND csm_private.case_allows(c, 'case_work'))
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = to_case_id AND c.tenant_id = case_links.tenant_id));
CREATE POLICY case_links_delete ON csm.case_links FOR DELETE TO csm_agent
    USING (kind <> 'follow_up'
        AND EXISTS (SELECT FROM csm.cases c WHERE c.id = from_case_id AND c.tenant_id = case_links.tenant_id
                    AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.case_links TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (from_case_id, to_case_id, kind), DELETE ON csm.case_links TO csm_agent;

COMMENT ON TABLE csm.case_links IS 'Cases that belong together. A link changes no right on either case';
COMMENT ON COLUMN csm.case_links.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_links.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_links.from_case_id IS 'The case that follows up, is the duplicate, or is related';
COMMENT ON COLUMN csm.case_links.to_case_id IS 'The case that it refers to';
COMMENT ON COLUMN csm.case_links.kind IS 'follow_up: opened because the other one is closed (R 2.2); duplicate: the other one is the same matter; related';
COMMENT ON COLUMN csm.case_links.created_by IS 'Who linked them; NULL for the system';
COMMENT ON COLUMN csm.case_links.created_at IS 'When they were linked';
COMMENT ON POLICY case_links_select ON csm.case_links IS 'Whoever sees both cases';
COMMENT ON POLICY case_links_insert ON csm.case_links IS 'Staff who work on the case that refers and see the other';
COMMENT ON POLICY case_links_delete ON csm.case_links IS 'Staff who work on the case that refers; a follow-up stays one';

-- A closed case never changes; what is left to say is a case of its own.  It is
-- opened with the caller's rights, so who may open it is decided where that is
-- always decided.
CREATE FUNCTION csm_private.open_follow_up_row(case_id bigint, subject text, description text, idempotency_key text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF c.state_class NOT IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is not closed', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'Write a comment on it.';
    END IF;
    RETURN csm.open_case(
        subject => coalesce(subject, left('Follow-up: ' || c.subject, 400)),
        description => description,
        case_type => c.case_type,
        account_id => c.account_id,
        requester_id => c.requester_id,
        counterparty_account_id => c.counterparty_account_id,
        product_id => (SELECT p.id FROM csm.products p WHERE p.id = c.product_id AND p.active),
        priority => c.priority,
        idempotency_key => idempotency_key);
END $$;
CREATE FUNCTION csm_private.link_follow_up(c csm.cases, to_case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.case_allows(c, 'case_read') OR csm_private.acts_as_system() THEN
        INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind)
        VALUES (c.tenant_id, c.id, link_follow_up.to_case_id, 'follow_up')
        ON CONFLICT ON CONSTRAINT case_links_once DO NOTHING;
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.open_follow_up_row(bigint, text, text, text) IS
'Body of csm.open_follow_up(): opens the new case with the caller''s rights';
COMMENT ON FUNCTION csm_private.link_follow_up(csm.cases, bigint) IS
'Body of csm.open_follow_up(): links the case that the caller just opened; returns it';

CREATE FUNCTION csm.open_follow_up(case_id bigint, subject text DEFAULT NULL, description text DEFAULT NULL,
    idempotency_key text DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.link_follow_up(csm_private.open_follow_up_row(case_id, subject, description, idempotency_key), case_id);
END;
COMMENT ON FUNCTION csm.open_follow_up(bigint, text, text, text) IS
'Opens a case that follows up a closed or cancelled one, with its type, requester, account, counterparty, product (where still offered) and priority, links the two and returns the new one. subject: that of the old one by default. The same opener and idempotency_key return the first case. Errors: SM001 no such case, SM002 the case is not closed, and those of csm.open_case()';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz)',
        'csm_private.open_follow_up_row(bigint, text, text, text)',
        'csm_private.link_follow_up(csm.cases, bigint)',
        'csm.share_case(bigint, bigint, bigint, text[], timestamptz)',
        'csm.unshare_case(bigint, bigint, bigint)',
        'csm.open_follow_up(bigint, text, text, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;

-- What customers own: sold products and install-base items, each in a tree;
-- who is linked to them and who is authorised on them.
--
-- Reading follows product_read.  Of items there is a second, derived action:
-- asset_read is product_read, but with the tenant's setting use_asset_contacts
-- a plain contact's own account gives none of it.  A plain contact is one whose
-- role reaches the account alone (reach account); who reaches the subtree
-- manages.  The access map holds both (src/csm_map_customer.c), and the links
-- and authorisations of the person (src/csm_map_assets.c).

CREATE FUNCTION csm.assets_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_assets_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.assets_allowing(text) IS
'Sorted ids: install-base items that the person is linked to or authorised on; empty for nobody and for an unknown action';
CREATE FUNCTION csm.sold_products_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_sold_products_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.sold_products_allowing(text) IS
'Sorted ids: sold products that the person is linked to or authorised on; empty for nobody and for an unknown action';
CREATE FUNCTION csm.asset_allows(asset_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_asset_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.asset_allows(bigint, text) IS
'True for an install-base item that the person is linked to as its contact, or authorised on: action product_read or asset_read';
CREATE FUNCTION csm.sold_product_allows(sold_product_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_sold_product_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.sold_product_allows(bigint, text) IS
'As asset_allows, of a sold product';

CREATE TABLE csm.sold_products (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    product_id bigint NOT NULL,
    parent_id bigint,
    root_id bigint,
    quantity numeric(12, 3) NOT NULL DEFAULT 1,
    valid_during tstzrange,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sold_products_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sold_products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT sold_products_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT sold_products_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT sold_products_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT sold_products_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT sold_products_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT sold_products_quantity_check CHECK (quantity > 0)
);
CREATE INDEX sold_products_account_idx ON csm.sold_products (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX sold_products_user_idx ON csm.sold_products (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sold_products_product_idx ON csm.sold_products (tenant_id, product_id);
CREATE INDEX sold_products_parent_idx ON csm.sold_products (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.sold_products');

CREATE TABLE csm.assets (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    product_id bigint NOT NULL,
    sold_product_id bigint,
    parent_id bigint,
    root_id bigint,
    serial_number text,
    location text,
    purchased_on date,
    installed_at timestamptz,
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT assets_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT assets_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT assets_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT assets_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT assets_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT assets_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT assets_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT assets_serial_key UNIQUE (tenant_id, product_id, serial_number),
    CONSTRAINT assets_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT assets_removed_check CHECK (removed_at >= installed_at),
    CONSTRAINT assets_text_check CHECK (length(serial_number) BETWEEN 1 AND 100 AND length(location) <= 400)
);
CREATE INDEX assets_account_idx ON csm.assets (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX assets_user_idx ON csm.assets (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX assets_sold_product_idx ON csm.assets (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX assets_parent_idx ON csm.assets (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.assets');

CREATE TABLE csm.asset_contacts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    asset_id bigint,
    sold_product_id bigint,
    contact_id bigint NOT NULL,
    CONSTRAINT asset_contacts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT asset_contacts_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id)
        REFERENCES csm.sold_products (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_contact_fkey FOREIGN KEY (contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_contacts_one_item CHECK (num_nonnulls(asset_id, sold_product_id) = 1),
    CONSTRAINT asset_contacts_once UNIQUE NULLS NOT DISTINCT (contact_id, asset_id, sold_product_id)
);
CREATE INDEX asset_contacts_asset_idx ON csm.asset_contacts (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX asset_contacts_sold_product_idx ON csm.asset_contacts (sold_product_id) WHERE sold_product_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.asset_contacts');
SELECT csm_private.signal_on('csm.asset_contacts', '{tenant_id,asset_id,sold_product_id,contact_id}', 'contact', 'contact_id');

CREATE TABLE csm.asset_parties (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    asset_id bigint,
    sold_product_id bigint,
    user_id bigint,
    account_id bigint,
    authorized boolean NOT NULL DEFAULT true,
    granted_by bigint DEFAULT csm.current_user_id(),
    valid_during tstzrange,
    CONSTRAINT asset_parties_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT asset_parties_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_parties_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id)
        REFERENCES csm.sold_products (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT asset_parties_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT asset_parties_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT asset_parties_granted_by_fkey FOREIGN KEY (granted_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT asset_parties_one_item CHECK (num_nonnulls(asset_id, sold_product_id) = 1),
    CONSTRAINT asset_parties_one_party CHECK (num_nonnulls(user_id, account_id) = 1),
    CONSTRAINT asset_parties_once EXCLUDE USING gist ((coalesce(asset_id, 0)) WITH =, (coalesce(sold_product_id, 0)) WITH =,
        (coalesce(user_id, 0)) WITH =, (coalesce(account_id, 0)) WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX asset_parties_asset_idx ON csm.asset_parties (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX asset_parties_sold_product_idx ON csm.asset_parties (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX asset_parties_user_idx ON csm.asset_parties (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX asset_parties_account_idx ON csm.asset_parties (account_id) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.asset_parties');
SELECT csm_private.signal_on('csm.asset_parties',
    '{tenant_id,asset_id,sold_product_id,user_id,account_id,authorized,valid_during}', 'user', 'user_id', 'party', 'account_id');

-- What a case names.  A row of an earlier version may name an item that never
-- was: the constraint then binds what is written from now on.
ALTER TABLE csm.cases ADD CONSTRAINT cases_asset_fkey
    FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id) NOT VALID;
DO $$
BEGIN
    ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_asset_fkey;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE WARNING 'cases name install-base items that do not exist'
            USING DETAIL = SQLERRM,
                  HINT = 'Clear asset_id of open ones, then ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_asset_fkey.';
END $$;

-- Who reads: the rule once for both tables, as text, because a policy stores a
-- parsed expression.  No arm has a sub-select, and each implies the condition of
-- the partial index on its key, so each is answered by an index.
DO $$
DECLARE
    rule CONSTANT text := 'csm.account_allows(account_id, %1$L) '
        'OR (user_id IS NOT NULL AND csm.requester_allows(user_id, ''b2c'', NULL, %1$L)) OR %2$s(id, %1$L)';
    everywhere CONSTANT text := 'csm.all_in(tenant_id, branch, %L)';
    manages CONSTANT text := 'csm.all_in(tenant_id, branch, ''product_manage'') OR csm.account_allows(account_id, ''product_manage'')';
    item record;
    reads text;
BEGIN
    FOR item IN SELECT * FROM (VALUES ('assets', 'asset_read', 'csm.asset_allows', 'asset_allows'),
                                      ('sold_products', 'product_read', 'csm.sold_product_allows', 'sold_product_allows'))
                AS v(tab, action, linked, row_function)
    LOOP
        reads := format(rule, item.action, item.linked);
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal USING (%2$s)', item.tab, reads);
        EXECUTE format('CREATE POLICY %1$s_select_staff ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin USING (%2$s OR %3$s)',
                       item.tab, format(everywhere, item.action), reads);
        EXECUTE format('CREATE POLICY %1$s_insert ON csm.%1$s FOR INSERT TO csm_agent, csm_admin WITH CHECK (%2$s)', item.tab, manages);
        EXECUTE format('CREATE POLICY %1$s_update ON csm.%1$s FOR UPDATE TO csm_agent, csm_admin USING (%2$s)', item.tab, manages);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS %2$L', item.tab,
                       'The owner''s people by reach of product_read, the consumer and who speaks for him (V6), contacts linked to it, those authorised on it');
        EXECUTE format('COMMENT ON POLICY %1$s_select_staff ON csm.%1$s IS %2$L', item.tab, 'The same, and staff by reach of product_read');
        EXECUTE format('COMMENT ON POLICY %1$s_insert ON csm.%1$s IS %2$L', item.tab, 'Who has product_manage on the owner');
        EXECUTE format('COMMENT ON POLICY %1$s_update ON csm.%1$s IS %2$L', item.tab, 'Who has product_manage on the owner, before and after');
        EXECUTE format('GRANT SELECT ON csm.%s TO csm_portal, csm_agent, csm_admin', item.tab);

        -- for functions that run as csm_owner
        EXECUTE format('CREATE FUNCTION csm_private.%1$s(id bigint, tenant_id bigint) RETURNS boolean '
                       'LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS '
                       '$f$ SELECT EXISTS (SELECT FROM csm.%2$s t WHERE t.id = %1$s.id AND t.tenant_id = %1$s.tenant_id AND (%3$s OR %4$s)) $f$',
                       item.row_function, item.tab,
                       format('csm.all_in(t.tenant_id, t.branch, %L)', item.action),
                       format('csm.account_allows(t.account_id, %1$L) OR csm.requester_allows(t.user_id, ''b2c'', NULL, %1$L) OR %2$s(t.id, %1$L)',
                              item.action, item.linked));
        EXECUTE format('ALTER FUNCTION csm_private.%s(bigint, bigint) OWNER TO csm_owner', item.row_function);
        EXECUTE format('REVOKE ALL ON FUNCTION csm_private.%s(bigint, bigint) FROM PUBLIC', item.row_function);
        EXECUTE format('COMMENT ON FUNCTION csm_private.%s(bigint, bigint) IS %L', item.row_function,
                       'Whether the signed-in person reads the row, as the policies say; false for a missing one');
    END LOOP;
END $$;
GRANT SELECT (id, tenant_id, account_id, branch, product_id, parent_id, root_id, quantity, valid_during, created_at)
    ON csm.sold_products TO csm_reporter;
GRANT SELECT (id, tenant_id, account_id, branch, product_id, sold_product_id, parent_id, root_id, purchased_on, installed_at,
              removed_at, created_at) ON csm.assets TO csm_reporter;
GRANT INSERT (account_id, user_id, product_id, parent_id, quantity, valid_during),
      UPDATE (account_id, user_id, product_id, parent_id, quantity, valid_during) ON csm.sold_products TO csm_agent, csm_admin;
GRANT INSERT (account_id, user_id, product_id, sold_product_id, parent_id, serial_number, location, purchased_on, installed_at, removed_at),
      UPDATE (account_id, user_id, product_id, sold_product_id, parent_id, serial_number, location, purchased_on, installed_at, removed_at)
    ON csm.assets TO csm_agent, csm_admin;

-- Does the contact belong to the owner of the item, or to a partner that looks
-- after the owner now?
CREATE FUNCTION csm_private.link_fits(l csm.asset_contacts) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM csm.contacts k
        CROSS JOIN LATERAL (
            SELECT a.account_id FROM csm.assets a WHERE a.id = l.asset_id AND a.tenant_id = l.tenant_id
          UNION ALL
            SELECT s.account_id FROM csm.sold_products s WHERE s.id = l.sold_product_id AND s.tenant_id = l.tenant_id) o
        WHERE k.id = l.contact_id AND k.tenant_id = l.tenant_id
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
          AND (k.account_id = o.account_id
               OR EXISTS (SELECT FROM csm.account_relationships r
                          WHERE r.partner_account_id = k.account_id AND r.tenant_id = l.tenant_id AND r.type = 'partner_of'
                            AND csm_private.is_valid(r.valid_during, statement_timestamp())
                            AND (r.customer_account_id = o.account_id
                                 OR r.include_descendants
                                    AND o.account_id IN (SELECT csm_private.subtree(r.customer_account_id, r.tenant_id))))))
$$;

-- May the person say who is linked to the item, or authorised on it?
CREATE FUNCTION csm_private.manages_item(asset_id bigint, sold_product_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM (
            SELECT a.account_id, a.branch FROM csm.assets a
            WHERE a.id = manages_item.asset_id AND a.tenant_id = manages_item.tenant_id
          UNION ALL
            SELECT s.account_id, s.branch FROM csm.sold_products s
            WHERE s.id = manages_item.sold_product_id AND s.tenant_id = manages_item.tenant_id) o
        WHERE csm.account_allows(o.account_id, 'product_manage')
           OR csm.all_in(manages_item.tenant_id, o.branch, 'product_manage'))
$$;

-- The person linked or authorised must be one whom the manager may know of:
-- staff with product_manage know all, a customer's administrator the people
-- and accounts that he manages himself.
CREATE FUNCTION csm_private.may_link(l csm.asset_contacts) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.manages_item(l.asset_id, l.sold_product_id, l.tenant_id)
       AND csm_private.link_fits(l)
       AND EXISTS (SELECT FROM csm.contacts k
                   WHERE k.id = l.contact_id AND k.tenant_id = l.tenant_id
                     AND (csm.account_allows(k.account_id, 'contact_read')
                          OR csm.all_in(k.tenant_id, 'b2b', 'product_manage')))
$$;
CREATE FUNCTION csm_private.may_authorize(p csm.asset_parties) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.manages_item(p.asset_id, p.sold_product_id, p.tenant_id)
       AND p.granted_by IS NOT DISTINCT FROM csm.current_user_id()
       AND CASE
           WHEN csm.all_in(p.tenant_id, 'b2b', 'product_manage') OR csm.all_in(p.tenant_id, 'b2c', 'product_manage') THEN
               EXISTS (SELECT FROM csm.users u WHERE u.id = p.user_id AND u.tenant_id = p.tenant_id)
               OR EXISTS (SELECT FROM csm.accounts a WHERE a.id = p.account_id AND a.tenant_id = p.tenant_id)
           ELSE csm.account_allows(p.account_id, 'product_manage') IS TRUE
               OR EXISTS (SELECT FROM csm.contacts k
                          WHERE k.user_id = p.user_id AND k.tenant_id = p.tenant_id
                            AND csm_private.is_valid(k.valid_during, statement_timestamp())
                            AND csm.account_allows(k.account_id, 'product_manage'))
           END
$$;

-- A link shows to who manages the item, and to whoever sees both ends.  An authorisation shows to the person
-- authorised and to whoever manages the item; staff who read the item see all.
CREATE POLICY asset_contacts_select ON csm.asset_contacts FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id)
        OR (EXISTS (SELECT FROM csm.assets a WHERE a.id = asset_id AND a.tenant_id = asset_contacts.tenant_id)
            OR EXISTS (SELECT FROM csm.sold_products s WHERE s.id = sold_product_id AND s.tenant_id = asset_contacts.tenant_id))
           AND EXISTS (SELECT FROM csm.contacts k WHERE k.id = contact_id AND k.tenant_id = asset_contacts.tenant_id));
CREATE POLICY asset_contacts_insert ON csm.asset_contacts FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (csm_private.may_link(asset_contacts));
CREATE POLICY asset_contacts_delete ON csm.asset_contacts FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_select ON csm.asset_parties FOR SELECT TO csm_portal
    USING (user_id = csm.current_user_id() OR csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_select_staff ON csm.asset_parties FOR SELECT TO csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
        OR EXISTS (SELECT FROM csm.assets a WHERE a.id = asset_id AND a.tenant_id = asset_parties.tenant_id)
        OR EXISTS (SELECT FROM csm.sold_products s WHERE s.id = sold_product_id AND s.tenant_id = asset_parties.tenant_id));
CREATE POLICY asset_parties_insert ON csm.asset_parties FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (csm_private.may_authorize(asset_parties));
CREATE POLICY asset_parties_update ON csm.asset_parties FOR UPDATE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
CREATE POLICY asset_parties_delete ON csm.asset_parties FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (csm_private.manages_item(asset_id, sold_product_id, tenant_id));
GRANT SELECT, DELETE ON csm.asset_contacts, csm.asset_parties TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (asset_id, sold_product_id, contact_id) ON csm.asset_contacts TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (asset_id, sold_product_id, user_id, account_id, authorized, valid_during), UPDATE (authorized, valid_during)
    ON csm.asset_parties TO csm_portal, csm_agent, csm_admin;
COMMENT ON POLICY asset_contacts_select ON csm.asset_contacts IS 'Who manages the item, and whoever sees both it and the contact';
COMMENT ON POLICY asset_contacts_insert ON csm.asset_contacts IS 'A15: who has product_manage on the item''s account, for a contact he reads; 42501 for hidden, missing and unfit alike';
COMMENT ON POLICY asset_contacts_delete ON csm.asset_contacts IS 'Who has product_manage on the item''s account';
COMMENT ON POLICY asset_parties_select ON csm.asset_parties IS 'The person authorised, and who manages the item';
COMMENT ON POLICY asset_parties_select_staff ON csm.asset_parties IS 'The person authorised, and staff who read the item';
COMMENT ON POLICY asset_parties_insert ON csm.asset_parties IS 'B18: staff with product_manage; a customer''s administrator for people and accounts that he manages';
COMMENT ON POLICY asset_parties_update ON csm.asset_parties IS 'Who manages the item';
COMMENT ON POLICY asset_parties_delete ON csm.asset_parties IS 'Who manages the item';

-- The trees.  A move takes the tenant's lock alone, an insertion below a parent
-- shares it, as for accounts (32_accounts.sql): two moves cannot close a circle
-- unseen, and nothing is put below a parent whose root is about to change.
CREATE FUNCTION csm_private.item_tree_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lock_class CONSTANT integer := 6517614;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF NEW.parent_id = NEW.id THEN
        RAISE EXCEPTION 'row % of csm.% cannot be its own parent', NEW.id, TG_TABLE_NAME
            USING ERRCODE = '23514', HINT = 'Set parent_id to another row, or to NULL at the top.';
    ELSIF TG_OP = 'INSERT' THEN
        -- Below a parent the root follows when the statement ends.
        NEW.root_id := CASE WHEN NEW.parent_id IS NULL THEN NEW.id END;
        IF NEW.parent_id IS NOT NULL THEN
            PERFORM pg_advisory_xact_lock_shared(lock_class, hashint8(NEW.tenant_id));
        END IF;
    ELSIF NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id THEN
        RAISE EXCEPTION 'id and tenant of row % of csm.% cannot change', OLD.id, TG_TABLE_NAME USING ERRCODE = '42501';
    ELSIF NEW.parent_id IS DISTINCT FROM OLD.parent_id THEN
        PERFORM pg_advisory_xact_lock(lock_class, hashint8(NEW.tenant_id));
        INSERT INTO csm_private.tree_moves AS m (tenant_id, moves) VALUES (NEW.tenant_id, 1)
            ON CONFLICT ON CONSTRAINT tree_moves_pkey DO UPDATE SET moves = m.moves + 1;
    ELSIF pg_trigger_depth() < 2 THEN
        NEW.root_id := OLD.root_id;
    END IF;
    IF NEW.parent_id IS NOT NULL AND current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
       AND NOT csm_private.tree_is_current(NEW.tenant_id) THEN
        RAISE EXCEPTION 'could not serialize access due to a concurrent change of a tree'
            USING ERRCODE = '40001', HINT = 'The transaction might succeed if retried.';
    END IF;
    RETURN NEW;
END $$;

-- Once a statement, when all its rows are there: they may come in any order.
-- The only dynamic part is the name of the table that the trigger is on.
CREATE FUNCTION csm_private.item_tree_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved bigint[];
    strays bigint;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id) INTO moved FROM new_rows n WHERE n.parent_id IS NOT NULL;
    ELSIF pg_trigger_depth() < 2 THEN
        SELECT array_agg(n.id) INTO moved
        FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.tenant_id = n.tenant_id
        WHERE n.parent_id IS DISTINCT FROM o.parent_id;
    END IF;
    IF moved IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format($q$
        WITH RECURSIVE up(start, id, tenant_id, parent_id, steps) AS (
            SELECT t.id, t.id, t.tenant_id, t.parent_id, 0 FROM %1$s t WHERE t.id = ANY ($1)
          UNION ALL
            SELECT up.start, t.id, t.tenant_id, t.parent_id, up.steps + 1
            FROM up JOIN %1$s t ON t.id = up.parent_id AND t.tenant_id = up.tenant_id
            WHERE up.steps < 100
        ), top AS (
            SELECT up.start, up.id AS root_id FROM up WHERE up.parent_id IS NULL
        ), down(id, tenant_id, root_id, steps) AS (
            SELECT t.id, t.tenant_id, top.root_id, 0 FROM top JOIN %1$s t ON t.id = top.start
          UNION
            SELECT t.id, t.tenant_id, down.root_id, down.steps + 1
            FROM down JOIN %1$s t ON t.parent_id = down.id AND t.tenant_id = down.tenant_id
            WHERE down.steps < 100
        ), placed AS (
            UPDATE %1$s t SET root_id = d.root_id
            FROM (SELECT DISTINCT id, tenant_id, root_id FROM down) d
            WHERE t.id = d.id AND t.tenant_id = d.tenant_id AND t.root_id IS DISTINCT FROM d.root_id
        )
        -- a parent that does not exist is the foreign key's affair
        SELECT count(*) FROM unnest($1) m(id)
        WHERE NOT EXISTS (SELECT FROM top WHERE top.start = m.id)
          AND EXISTS (SELECT FROM up WHERE up.start = m.id AND up.steps >= 100)$q$, TG_RELID::regclass)
    INTO strays USING moved;
    IF strays > 0 THEN
        RAISE EXCEPTION 'the tree of csm.% would contain a cycle, or more than 100 levels', TG_TABLE_NAME
            USING ERRCODE = '23514', HINT = 'Choose a parent outside the row''s own subtree.';
    END IF;
    RETURN NULL;
END $$;

-- A new owner begins with nobody linked or authorised.
CREATE FUNCTION csm_private.item_changes_hands() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'assets' THEN
        DELETE FROM csm.asset_contacts l WHERE l.asset_id = NEW.id AND l.tenant_id = NEW.tenant_id;
        DELETE FROM csm.asset_parties p WHERE p.asset_id = NEW.id AND p.tenant_id = NEW.tenant_id;
    ELSE
        DELETE FROM csm.asset_contacts l WHERE l.sold_product_id = NEW.id AND l.tenant_id = NEW.tenant_id;
        DELETE FROM csm.asset_parties p WHERE p.sold_product_id = NEW.id AND p.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;

-- After row security has judged the row, so that a client never hears of it.
CREATE FUNCTION csm_private.check_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NOT csm_private.link_fits(NEW) THEN
        RAISE EXCEPTION 'contact % can not be linked to the item', NEW.contact_id
            USING ERRCODE = '23514',
                  HINT = 'Choose a current contact of the account that owns it, or of a partner that looks after that account.';
    END IF;
    RETURN NULL;
END $$;

-- The item that a case names must be one that the writer reads; who writes
-- without identity is bound by the foreign key alone.
CREATE FUNCTION csm_private.case_asset() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing()
       OR csm_private.asset_allows(NEW.asset_id, NEW.tenant_id) OR csm_private.acts_as_system() THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'install-base item % does not exist', NEW.asset_id
        USING ERRCODE = '42501', HINT = 'An item that you may not see is reported in the same way.';
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.link_fits(csm.asset_contacts)',
        'csm_private.manages_item(bigint, bigint, bigint)',
        'csm_private.may_link(csm.asset_contacts)',
        'csm_private.may_authorize(csm.asset_parties)',
        'csm_private.item_tree_before()',
        'csm_private.item_tree_after()',
        'csm_private.item_changes_hands()',
        'csm_private.check_link()',
        'csm_private.case_asset()',
        'csm.assets_allowing(text)',
        'csm.sold_products_allowing(text)',
        'csm.asset_allows(bigint, text)',
        'csm.sold_product_allows(bigint, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.assets_allowing(text), csm.sold_products_allowing(text), csm.asset_allows(bigint, text),
    csm.sold_product_allows(bigint, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm_private.may_link(csm.asset_contacts), csm_private.may_authorize(csm.asset_parties),
    csm_private.manages_item(bigint, bigint, bigint) TO csm_portal, csm_agent, csm_admin;

CREATE TRIGGER sold_products_10_tree BEFORE INSERT OR UPDATE ON csm.sold_products
    FOR EACH ROW EXECUTE FUNCTION csm_private.item_tree_before();
CREATE TRIGGER sold_products_20_tree_insert AFTER INSERT ON csm.sold_products
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER sold_products_20_tree_update AFTER UPDATE ON csm.sold_products
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER sold_products_30_hands AFTER UPDATE ON csm.sold_products FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.item_changes_hands();
CREATE TRIGGER assets_10_tree BEFORE INSERT OR UPDATE ON csm.assets
    FOR EACH ROW EXECUTE FUNCTION csm_private.item_tree_before();
CREATE TRIGGER assets_20_tree_insert AFTER INSERT ON csm.assets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER assets_20_tree_update AFTER UPDATE ON csm.assets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION csm_private.item_tree_after();
CREATE TRIGGER assets_30_hands AFTER UPDATE ON csm.assets FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.item_changes_hands();
CREATE TRIGGER asset_contacts_10_fit AFTER INSERT OR UPDATE ON csm.asset_contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_link();
CREATE TRIGGER cases_20_asset BEFORE INSERT ON csm.cases FOR EACH ROW
    WHEN (NEW.asset_id IS NOT NULL) EXECUTE FUNCTION csm_private.case_asset();
CREATE TRIGGER cases_20_asset_update BEFORE UPDATE OF asset_id ON csm.cases FOR EACH ROW
    WHEN (NEW.asset_id IS NOT NULL AND NEW.asset_id IS DISTINCT FROM OLD.asset_id) EXECUTE FUNCTION csm_private.case_asset();

-- States follow from dates, at the instant of the statement: nothing is written
-- when one begins or ends.
CREATE FUNCTION csm.state(s csm.sold_products) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN s.valid_during IS NULL OR s.valid_during @> statement_timestamp() THEN 'active'
            WHEN lower(s.valid_during) > statement_timestamp() THEN 'in_preparation'
            ELSE 'expired' END;
CREATE FUNCTION csm.state(a csm.assets) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN a.removed_at <= statement_timestamp() THEN 'removed'
            WHEN a.installed_at <= statement_timestamp() THEN 'installed'
            ELSE 'in_preparation' END;

CREATE FUNCTION csm.restrict_contact_access(account_id bigint, restricted boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE csm.accounts a SET restrict_contact_access = restricted
    WHERE a.id = restrict_contact_access.account_id AND a.tenant_id = csm.current_tenant_id()
      AND (csm.account_allows(a.id, 'product_manage') OR csm.all_in(a.tenant_id, 'b2b', 'product_manage'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'products of account % are not yours to manage', account_id
            USING ERRCODE = '42501', HINT = 'An account that you may not see is reported in the same way.';
    END IF;
END $$;

-- A consumer registers what he bought.  His own row is written first: of two
-- registrations at once one waits, and counts what the other left.
CREATE FUNCTION csm.register_product(product_id bigint, serial_number text, purchased_on date DEFAULT NULL) RETURNS csm.assets
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    serial CONSTANT text := btrim(serial_number, E' \t\r\n');
    held bigint;
    made csm.assets;
BEGIN
    IF csm.requester_allows(me, 'b2c', NULL, 'asset_read') IS NOT TRUE THEN
        RAISE EXCEPTION 'only a consumer registers products' USING ERRCODE = '42501',
            HINT = 'Sign in as a person with the persona consumer.';
    ELSIF product_id IS NULL OR serial IS NULL OR length(serial) NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'product and serial number are needed, the latter of 1 to 100 characters' USING ERRCODE = '22023';
    ELSIF purchased_on > current_date + 1 THEN
        RAISE EXCEPTION 'a product cannot have been purchased on %', purchased_on USING ERRCODE = '22023',
            HINT = 'Give the day of the purchase, or leave it out.';
    END IF;
    UPDATE csm.consumers c SET registered_at = c.registered_at WHERE c.user_id = me AND c.tenant_id = tenant;
    SELECT count(*) INTO held FROM csm.assets a
    WHERE a.user_id = me AND a.tenant_id = tenant AND (a.removed_at IS NULL OR a.removed_at > statement_timestamp());
    PERFORM csm_private.enforce_quota(tenant, 'products', held + 1);
    INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number, purchased_on, installed_at)
    SELECT tenant, me, p.id, serial, purchased_on, clock_timestamp()
    FROM csm.products p WHERE p.id = product_id AND p.tenant_id = tenant AND p.active
    ON CONFLICT ON CONSTRAINT assets_serial_key DO NOTHING
    RETURNING * INTO made;
    IF made.id IS NULL THEN
        -- The same for an unknown product and for a number that somebody holds.
        RAISE EXCEPTION 'product % with serial number "%" cannot be registered', product_id, serial USING ERRCODE = '22023',
            HINT = 'Check product and number; if they are right, ask the service desk.';
    END IF;
    RETURN made;
END $$;

ALTER FUNCTION csm.state(csm.sold_products) OWNER TO csm_owner;
ALTER FUNCTION csm.state(csm.assets) OWNER TO csm_owner;
ALTER FUNCTION csm.restrict_contact_access(bigint, boolean) OWNER TO csm_owner;
ALTER FUNCTION csm.register_product(bigint, text, date) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.state(csm.sold_products), csm.state(csm.assets), csm.restrict_contact_access(bigint, boolean),
    csm.register_product(bigint, text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.state(csm.sold_products), csm.state(csm.assets) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.restrict_contact_access(bigint, boolean) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.register_product(bigint, text, date) TO csm_portal;

COMMENT ON TABLE csm.sold_products IS 'What was sold: a product of the catalogue in the hands of an account or a person, in a tree';
COMMENT ON COLUMN csm.sold_products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sold_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sold_products.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.sold_products.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.sold_products.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.sold_products.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.sold_products.parent_id IS 'Sold product that it is part of; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.sold_products.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.sold_products.quantity IS 'How many, greater than 0';
COMMENT ON COLUMN csm.sold_products.valid_during IS 'When the sale holds; NULL means always. csm.state() makes in_preparation, active or expired of it';
COMMENT ON COLUMN csm.sold_products.created_at IS 'When the row was made';
COMMENT ON TABLE csm.assets IS 'Install base: each single item that an account or a person has, in a tree';
COMMENT ON COLUMN csm.assets.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.assets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.assets.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.assets.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.assets.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.assets.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.assets.sold_product_id IS 'Sale that it came with; NULL when unknown';
COMMENT ON COLUMN csm.assets.parent_id IS 'Item that it is built into; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.assets.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.assets.serial_number IS 'Serial number, unique for a product in the tenant; NULL when unknown';
COMMENT ON COLUMN csm.assets.location IS 'Where it stands, in words';
COMMENT ON COLUMN csm.assets.purchased_on IS 'Day of the purchase; NULL when unknown';
COMMENT ON COLUMN csm.assets.installed_at IS 'In use from then on; NULL: not yet. csm.state() makes in_preparation, installed or removed of this and removed_at';
COMMENT ON COLUMN csm.assets.removed_at IS 'Out of use from then on; NULL: never';
COMMENT ON COLUMN csm.assets.created_at IS 'When the row was made';
COMMENT ON TABLE csm.asset_contacts IS 'A contact linked to an item or a sold product; he reads it whatever else he may read. For a partner''s contact while the partner looks after the owner';
COMMENT ON COLUMN csm.asset_contacts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_contacts.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_contacts.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_contacts.contact_id IS 'Contact of the account that owns it, or of a partner that looks after that account (23514 else); once for each item';
COMMENT ON TABLE csm.asset_parties IS 'A person or an account authorised on an item or a sold product (B18), or listed there';
COMMENT ON COLUMN csm.asset_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_parties.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_parties.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_parties.user_id IS 'Person authorised; exactly one of person and account is set';
COMMENT ON COLUMN csm.asset_parties.account_id IS 'Account authorised: all its current contacts';
COMMENT ON COLUMN csm.asset_parties.authorized IS 'False: listed only, gives no access';
COMMENT ON COLUMN csm.asset_parties.granted_by IS 'Who authorised; NULL for the system';
COMMENT ON COLUMN csm.asset_parties.valid_during IS 'When it counts; NULL means always';
COMMENT ON FUNCTION csm_private.link_fits(csm.asset_contacts) IS
'Whether the contact belongs to the account that owns the item, or to a current partner of it; false where a person owns it';
COMMENT ON FUNCTION csm_private.manages_item(bigint, bigint, bigint) IS
'Whether the signed-in person has product_manage on the item or the sold product; false for a missing one';
COMMENT ON FUNCTION csm_private.may_link(csm.asset_contacts) IS 'Whether the signed-in person may link this contact to this item';
COMMENT ON FUNCTION csm_private.may_authorize(csm.asset_parties) IS 'Whether the signed-in person may authorise this party on this item';
COMMENT ON FUNCTION csm_private.item_tree_before() IS
'Trigger of csm.sold_products and csm.assets: takes the lock of the trees, begins root_id';
COMMENT ON FUNCTION csm_private.item_tree_after() IS
'Trigger of csm.sold_products and csm.assets: root_id of new and moved rows and of what hangs below; refuses cycles and more than 100 levels (23514)';
COMMENT ON FUNCTION csm_private.item_changes_hands() IS
'Trigger of csm.sold_products and csm.assets: a change of owner ends links and authorisations';
COMMENT ON FUNCTION csm_private.check_link() IS
'Trigger of csm.asset_contacts: refuses a contact who does not fit the item (23514)';
COMMENT ON FUNCTION csm_private.case_asset() IS
'Trigger of csm.cases: the install-base item named must be one that the writer reads (42501, hidden and missing alike)';
COMMENT ON FUNCTION csm.state(csm.sold_products) IS 'State of a sold product now: in_preparation, active or expired';
COMMENT ON FUNCTION csm.state(csm.assets) IS 'State of an install-base item now: in_preparation, installed or removed';
COMMENT ON FUNCTION csm.restrict_contact_access(bigint, boolean) IS
'Switches accounts.restrict_contact_access for who has product_manage on the account (B19): true takes the account-wide reading of sold products and items from plain contacts. Error 42501, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.register_product(bigint, text, date) IS
'A consumer registers an item he owns and gets it back. Errors: 42501 no consumer, 22023 bad argument, unknown product, or product and serial number held already (whoever holds them), SM007 more than the tenant''s quota of products (25); items removed do not count';

-- Contracts and entitlements: what service a customer may ask for, and how much
-- of it he has used.
--
-- A case is given an entitlement when it is opened and exactly one fits; staff
-- may choose another that fits.  One counted in cases loses a unit when the
-- case is closed, once.  Closing never fails for want of a unit: what goes
-- beyond the total stands in the ledger csm.entitlement_uses as over-use, and
-- csm.entitlements.used never passes total.
--
-- Units are taken with an UPDATE that asks whether any is left, under the row
-- lock of the entitlement: of two cases that close at once on the last unit one
-- waits and finds none.  Cases under one entitlement close one after the other
-- therefore; those under different ones do not meet.

CREATE TABLE csm.contracts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    branch text NOT NULL GENERATED ALWAYS AS (CASE WHEN account_id IS NULL THEN 'b2c' ELSE 'b2b' END) STORED,
    number text,
    name text NOT NULL,
    draft boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    valid_during tstzrange,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT contracts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contracts_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT contracts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT contracts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT contracts_number_key UNIQUE (tenant_id, number),
    CONSTRAINT contracts_owner_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT contracts_text_check CHECK (length(name) BETWEEN 1 AND 200 AND length(number) BETWEEN 1 AND 40)
);
CREATE INDEX contracts_account_idx ON csm.contracts (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX contracts_user_idx ON csm.contracts (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.contracts');

CREATE TABLE csm.contract_lines (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    contract_id bigint NOT NULL,
    product_id bigint,
    sold_product_id bigint,
    asset_id bigint,
    quantity numeric(12, 3) NOT NULL DEFAULT 1,
    description text,
    CONSTRAINT contract_lines_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT contract_lines_contract_fkey FOREIGN KEY (contract_id, tenant_id) REFERENCES csm.contracts (id, tenant_id),
    CONSTRAINT contract_lines_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT contract_lines_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT contract_lines_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT contract_lines_one_thing CHECK (num_nonnulls(product_id, sold_product_id, asset_id) = 1),
    CONSTRAINT contract_lines_once UNIQUE NULLS NOT DISTINCT (contract_id, product_id, sold_product_id, asset_id),
    CONSTRAINT contract_lines_quantity_check CHECK (quantity > 0),
    CONSTRAINT contract_lines_text_check CHECK (length(description) <= 2000)
);
CREATE INDEX contract_lines_sold_product_idx ON csm.contract_lines (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX contract_lines_asset_idx ON csm.contract_lines (asset_id) WHERE asset_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.contract_lines');

CREATE TABLE csm.entitlements (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    holder_account_id bigint,
    holder_user_id bigint,
    branch text GENERATED ALWAYS AS (CASE WHEN holder_account_id IS NOT NULL THEN 'b2b'
                                          WHEN holder_user_id IS NOT NULL THEN 'b2c' END) STORED,
    name text NOT NULL,
    account_id bigint,
    user_id bigint,
    product_id bigint,
    sold_product_id bigint,
    asset_id bigint,
    contract_id bigint,
    calendar_id bigint,
    channels text[],
    valid_during tstzrange,
    unit text NOT NULL DEFAULT 'cases',
    total numeric(12, 2),
    used numeric(12, 2) NOT NULL DEFAULT 0,
    suspended boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT entitlements_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT entitlements_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT entitlements_holder_account_fkey FOREIGN KEY (holder_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT entitlements_holder_user_fkey FOREIGN KEY (holder_user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlements_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT entitlements_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlements_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT entitlements_sold_product_fkey FOREIGN KEY (sold_product_id, tenant_id) REFERENCES csm.sold_products (id, tenant_id),
    CONSTRAINT entitlements_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT entitlements_contract_fkey FOREIGN KEY (contract_id, tenant_id) REFERENCES csm.contracts (id, tenant_id),
    CONSTRAINT entitlements_owner_check CHECK (num_nonnulls(account_id, user_id) <= 1),
    CONSTRAINT entitlements_named_check CHECK (num_nonnulls(account_id, user_id, product_id, sold_product_id, asset_id, contract_id) >= 1),
    CONSTRAINT entitlements_channels_check CHECK (cardinality(channels) > 0 AND array_position(channels, NULL) IS NULL),
    CONSTRAINT entitlements_unit_check CHECK (unit IN ('cases', 'hours')),
    CONSTRAINT entitlements_used_check CHECK (used >= 0 AND used <= total),
    CONSTRAINT entitlements_whole_check CHECK (unit = 'hours' OR (total = trunc(total)) IS NOT FALSE AND used = trunc(used)),
    CONSTRAINT entitlements_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX entitlements_holder_account_idx ON csm.entitlements (holder_account_id) WHERE holder_account_id IS NOT NULL;
CREATE INDEX entitlements_holder_user_idx ON csm.entitlements (holder_user_id) WHERE holder_user_id IS NOT NULL;
CREATE INDEX entitlements_account_idx ON csm.entitlements (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX entitlements_user_idx ON csm.entitlements (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX entitlements_asset_idx ON csm.entitlements (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX entitlements_sold_product_idx ON csm.entitlements (sold_product_id) WHERE sold_product_id IS NOT NULL;
CREATE INDEX entitlements_contract_idx ON csm.entitlements (contract_id) WHERE contract_id IS NOT NULL;
CREATE INDEX entitlements_tenant_idx ON csm.entitlements (tenant_id);
CREATE INDEX entitlements_product_idx ON csm.entitlements (tenant_id, product_id)
    WHERE holder_account_id IS NULL AND holder_user_id IS NULL;
SELECT csm_private.adopt_table('csm.entitlements');
SELECT csm_private.signal_on('csm.entitlements', '{tenant_id}', 'entitlement', 'tenant_id');

CREATE TABLE csm.entitlement_uses (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    entitlement_id bigint NOT NULL,
    case_id bigint NOT NULL,
    unit text NOT NULL,
    units numeric(12, 2) NOT NULL,
    over_units numeric(12, 2) NOT NULL DEFAULT 0,
    note text,
    used_by bigint DEFAULT csm.current_user_id(),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT entitlement_uses_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT entitlement_uses_entitlement_fkey FOREIGN KEY (entitlement_id, tenant_id) REFERENCES csm.entitlements (id, tenant_id),
    CONSTRAINT entitlement_uses_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT entitlement_uses_used_by_fkey FOREIGN KEY (used_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT entitlement_uses_units_check CHECK (units > 0 AND over_units BETWEEN 0 AND units),
    CONSTRAINT entitlement_uses_unit_check CHECK (unit IN ('cases', 'hours')),
    CONSTRAINT entitlement_uses_note_check CHECK (length(note) <= 2000)
);
CREATE UNIQUE INDEX entitlement_uses_once_idx ON csm.entitlement_uses (case_id) WHERE unit = 'cases';
CREATE INDEX entitlement_uses_case_idx ON csm.entitlement_uses (case_id);
CREATE INDEX entitlement_uses_entitlement_idx ON csm.entitlement_uses (entitlement_id, used_at);
SELECT csm_private.adopt_table('csm.entitlement_uses');

ALTER TABLE csm.cases ADD CONSTRAINT cases_entitlement_fkey
    FOREIGN KEY (entitlement_id, tenant_id) REFERENCES csm.entitlements (id, tenant_id) NOT VALID;
DO $$
BEGIN
    ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_entitlement_fkey;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE WARNING 'cases name entitlements that do not exist'
            USING DETAIL = SQLERRM,
                  HINT = 'Clear entitlement_id of open ones, then ALTER TABLE csm.cases VALIDATE CONSTRAINT cases_entitlement_fkey.';
END $$;

-- Who reads: reach of entitlement_read on whose it is.  An entitlement of
-- nobody, for a product alone, is for staff to see.
DO $$
DECLARE
    reads CONSTANT text := 'csm.account_allows(%1$s, ''entitlement_read'') '
        'OR (%2$s IS NOT NULL AND csm.requester_allows(%2$s, ''b2c'', NULL, ''entitlement_read''))';
    everywhere CONSTANT text := ' OR csm.all_in(tenant_id, branch, ''entitlement_read'')';
    of_nobody CONSTANT text := ' OR (holder_account_id IS NULL AND holder_user_id IS NULL AND tenant_id = csm.all_tenant(''entitlement_read''))';
    manages CONSTANT text := 'csm.all_in(tenant_id, coalesce(branch, ''b2b''), ''product_manage'')';
    item record;
BEGIN
    FOR item IN SELECT * FROM (VALUES ('contracts', format(reads, 'account_id', 'user_id'), everywhere),
                                      ('entitlements', format(reads, 'holder_account_id', 'holder_user_id'), everywhere || of_nobody))
                AS v(tab, asks, staff)
    LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal USING (%2$s)', item.tab, item.asks);
        EXECUTE format('CREATE POLICY %1$s_select_staff ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin USING (%2$s)',
                       item.tab, item.asks || item.staff);
        EXECUTE format('CREATE POLICY %1$s_insert ON csm.%1$s FOR INSERT TO csm_agent, csm_admin WITH CHECK (%2$s)', item.tab, manages);
        EXECUTE format('CREATE POLICY %1$s_update ON csm.%1$s FOR UPDATE TO csm_agent, csm_admin USING (%2$s)', item.tab, manages);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS %2$L', item.tab, 'The holder''s people by reach of entitlement_read, and the consumer himself');
        EXECUTE format('COMMENT ON POLICY %1$s_select_staff ON csm.%1$s IS %2$L', item.tab, 'The same, and staff by reach of entitlement_read');
        EXECUTE format('COMMENT ON POLICY %1$s_insert ON csm.%1$s IS %2$L', item.tab, 'Staff with product_manage for the branch');
        EXECUTE format('COMMENT ON POLICY %1$s_update ON csm.%1$s IS %2$L', item.tab, 'Staff with product_manage for the branch');
        EXECUTE format('GRANT SELECT ON csm.%s TO csm_portal, csm_agent, csm_admin', item.tab);
    END LOOP;
END $$;
CREATE POLICY contract_lines_select ON csm.contract_lines FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (EXISTS (SELECT FROM csm.contracts c WHERE c.id = contract_id AND c.tenant_id = contract_lines.tenant_id));
CREATE POLICY contract_lines_write ON csm.contract_lines FOR ALL TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.contracts c WHERE c.id = contract_id AND c.tenant_id = contract_lines.tenant_id
                   AND csm.all_in(c.tenant_id, c.branch, 'product_manage')));
CREATE POLICY entitlement_uses_select ON csm.entitlement_uses FOR SELECT TO csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = entitlement_uses.tenant_id)
       AND EXISTS (SELECT FROM csm.entitlements e WHERE e.id = entitlement_id AND e.tenant_id = entitlement_uses.tenant_id));
GRANT SELECT ON csm.contract_lines TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT SELECT ON csm.entitlement_uses TO csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, account_id, branch, number, draft, cancelled, valid_during, created_at) ON csm.contracts TO csm_reporter;
GRANT SELECT (id, tenant_id, holder_account_id, branch, account_id, product_id, sold_product_id, asset_id, contract_id, calendar_id,
              channels, valid_during, unit, total, used, suspended, cancelled, created_at) ON csm.entitlements TO csm_reporter;
GRANT INSERT (account_id, user_id, number, name, draft, cancelled, valid_during),
      UPDATE (number, name, draft, cancelled, valid_during) ON csm.contracts TO csm_agent, csm_admin;
GRANT INSERT (contract_id, product_id, sold_product_id, asset_id, quantity, description), DELETE
    ON csm.contract_lines TO csm_agent, csm_admin;
GRANT INSERT (name, account_id, user_id, product_id, sold_product_id, asset_id, contract_id, calendar_id, channels, valid_during,
              unit, total, suspended, cancelled),
      UPDATE (name, account_id, user_id, product_id, sold_product_id, asset_id, contract_id, calendar_id, channels, valid_during,
              total, suspended, cancelled) ON csm.entitlements TO csm_agent, csm_admin;
COMMENT ON POLICY contract_lines_select ON csm.contract_lines IS 'Whoever reads the contract';
COMMENT ON POLICY contract_lines_write ON csm.contract_lines IS 'Staff with product_manage for the branch of the contract';
COMMENT ON POLICY entitlement_uses_select ON csm.entitlement_uses IS 'Staff who see both the case and the entitlement';

CREATE FUNCTION csm.state(c csm.contracts) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN c.cancelled THEN 'cancelled'
            WHEN c.draft OR lower(c.valid_during) > statement_timestamp() THEN 'draft'
            WHEN c.valid_during IS NULL OR c.valid_during @> statement_timestamp() THEN 'active'
            ELSE 'expired' END;
CREATE FUNCTION csm.state(e csm.entitlements) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN e.cancelled THEN 'cancelled'
            WHEN lower(e.valid_during) > statement_timestamp() THEN 'draft'
            WHEN NOT (e.valid_during IS NULL OR e.valid_during @> statement_timestamp()) THEN 'expired'
            WHEN e.suspended THEN 'suspended'
            ELSE 'active' END;

-- Whose an entitlement is: the account or person it names, else the owner of
-- the item, the sold product or the contract that it names.
CREATE FUNCTION csm_private.entitlement_holder() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    NEW.holder_account_id := NEW.account_id;
    NEW.holder_user_id := NEW.user_id;
    IF num_nonnulls(NEW.account_id, NEW.user_id) = 0 THEN
        SELECT o.account_id, o.user_id INTO NEW.holder_account_id, NEW.holder_user_id
        FROM (SELECT 1 AS rank, a.account_id, a.user_id FROM csm.assets a
              WHERE a.id = NEW.asset_id AND a.tenant_id = NEW.tenant_id
            UNION ALL
              SELECT 2, s.account_id, s.user_id FROM csm.sold_products s
              WHERE s.id = NEW.sold_product_id AND s.tenant_id = NEW.tenant_id
            UNION ALL
              SELECT 3, c.account_id, c.user_id FROM csm.contracts c
              WHERE c.id = NEW.contract_id AND c.tenant_id = NEW.tenant_id) o
        ORDER BY o.rank LIMIT 1;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION csm_private.holder_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.entitlements e SET name = e.name
        WHERE e.tenant_id = NEW.tenant_id AND num_nonnulls(e.account_id, e.user_id) = 0
          AND CASE TG_TABLE_NAME WHEN 'assets' THEN e.asset_id WHEN 'sold_products' THEN e.sold_product_id ELSE e.contract_id END = NEW.id;
    END IF;
    RETURN NULL;
END $$;

-- A contract covers things of its own owner; a product of the catalogue is
-- nobody's.
CREATE FUNCTION csm_private.check_line() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NEW.product_id IS NULL
       AND NOT EXISTS (
           SELECT FROM csm.contracts c
           JOIN (SELECT a.account_id, a.user_id FROM csm.assets a WHERE a.id = NEW.asset_id AND a.tenant_id = NEW.tenant_id
               UNION ALL
                 SELECT s.account_id, s.user_id FROM csm.sold_products s
                 WHERE s.id = NEW.sold_product_id AND s.tenant_id = NEW.tenant_id) o
             ON (o.account_id, o.user_id) IS NOT DISTINCT FROM (c.account_id, c.user_id)
           WHERE c.id = NEW.contract_id AND c.tenant_id = NEW.tenant_id) THEN
        RAISE EXCEPTION 'contract % cannot cover what its owner does not own', NEW.contract_id
            USING ERRCODE = '23514', HINT = 'Name an item or a sold product of the same account or person.';
    END IF;
    RETURN NULL;
END $$;

-- What a case can be worked under: everything that an entitlement names must be
-- the case's.  Each look-up below is one index, by ids alone (which keep to
-- their tenant by the foreign keys), so that a plan made while the tables were
-- empty stays right.  Of what they find, entitlements that are not valid now,
-- out of units, or for another channel are left out.  A contract counts while
-- it is active, for its own account or person, and, if it has lines, for what
-- they cover.
CREATE FUNCTION csm_private.entitlement_candidates(tenant_id bigint, account_id bigint, user_id bigint, product_id bigint,
    asset_id bigint, channel text, at_time timestamptz)
RETURNS TABLE (entitlement_id bigint, weight integer, ends_at timestamptz)
LANGUAGE sql STABLE ROWS 2
BEGIN ATOMIC
    SELECT e.id,
           CASE WHEN e.account_id IS NOT NULL OR e.user_id IS NOT NULL THEN 1 ELSE 0 END
         + CASE WHEN e.product_id IS NOT NULL THEN 2 ELSE 0 END
         + CASE WHEN e.asset_id IS NOT NULL OR e.sold_product_id IS NOT NULL THEN 3 ELSE 0 END
         + CASE WHEN e.contract_id IS NOT NULL THEN 4 ELSE 0 END,
           upper(e.valid_during)
    FROM (SELECT a.sold_product_id, coalesce($4, a.product_id) AS product_id
          FROM (SELECT) one LEFT JOIN csm.assets a ON a.id = $5) about
    CROSS JOIN LATERAL (
        SELECT x.id FROM csm.entitlements x WHERE x.holder_account_id = $2
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.holder_user_id = $3
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.asset_id = $5
      UNION
        SELECT x.id FROM csm.entitlements x WHERE x.sold_product_id = about.sold_product_id
      UNION
        SELECT x.id FROM csm.entitlements x
        WHERE x.tenant_id = $1 AND x.product_id = about.product_id AND x.holder_account_id IS NULL AND x.holder_user_id IS NULL) k
    -- row by row, whatever the planner makes of the size of the table
    CROSS JOIN LATERAL (SELECT x.* FROM csm.entitlements x WHERE x.id = k.id OFFSET 0) e
    WHERE NOT e.suspended AND NOT e.cancelled
      AND (e.total IS NULL OR e.used < e.total)
      AND (e.valid_during IS NULL OR e.valid_during @> $7)
      AND (e.channels IS NULL OR $6 = ANY (e.channels))
      AND (e.account_id IS NULL OR e.account_id = $2)
      AND (e.user_id IS NULL OR e.user_id = $3)
      AND (e.product_id IS NULL OR e.product_id = about.product_id)
      AND (e.asset_id IS NULL OR e.asset_id = $5)
      AND (e.sold_product_id IS NULL OR e.sold_product_id = about.sold_product_id)
      AND (e.contract_id IS NULL
           OR (SELECT (c.account_id = $2 OR c.user_id = $3) AND NOT c.draft AND NOT c.cancelled
                      AND (c.valid_during IS NULL OR c.valid_during @> $7)
                      AND coalesce((SELECT bool_or(coalesce(l.asset_id = $5 OR l.sold_product_id = about.sold_product_id
                                                            OR l.product_id = about.product_id, false))
                                    FROM csm.contract_lines l WHERE l.contract_id = c.id), true)
               FROM csm.contracts c WHERE c.id = e.contract_id));
END;

CREATE FUNCTION csm.case_entitlements(case_id bigint)
RETURNS TABLE (entitlement_id bigint, name text, weight integer, ends_at timestamptz, remaining numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_entitlements.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_entitlements.case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    RETURN QUERY
        SELECT e.id, e.name, k.weight, k.ends_at, e.total - e.used
        FROM csm_private.entitlement_candidates(c.tenant_id, c.account_id, CASE WHEN c.branch <> 'b2b' THEN c.requester_id END,
                                                c.product_id, c.asset_id, c.channel, statement_timestamp()) k
        JOIN csm.entitlements e ON e.id = k.entitlement_id AND e.tenant_id = c.tenant_id
        WHERE csm_private.acts_as_system()
           OR csm.account_allows(e.holder_account_id, 'entitlement_read')
           OR csm.requester_allows(e.holder_user_id, 'b2c', NULL, 'entitlement_read')
           OR csm.all_in(e.tenant_id, coalesce(e.branch, c.branch), 'entitlement_read')
        ORDER BY k.weight DESC, k.ends_at NULLS LAST, e.id;
END $$;
CREATE FUNCTION csm.best_entitlement(case_id bigint) RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT e.entitlement_id FROM csm.case_entitlements($1) e
        ORDER BY e.weight DESC, e.ends_at NULLS LAST, e.entitlement_id LIMIT 1);

CREATE FUNCTION csm_private.fill_entitlement() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_fill_entitlement' LANGUAGE c;
CREATE FUNCTION csm_private.use_entitlement() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_use_entitlement' LANGUAGE c;

-- Choosing is the work of staff, and among what fits.
CREATE FUNCTION csm_private.check_entitlement() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing() OR csm_private.acts_as_system() THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM csm.entitlements e
                   WHERE e.id = NEW.entitlement_id AND e.tenant_id = NEW.tenant_id
                     AND (csm.account_allows(e.holder_account_id, 'entitlement_read')
                          OR csm.requester_allows(e.holder_user_id, 'b2c', NULL, 'entitlement_read')
                          OR csm.all_in(e.tenant_id, coalesce(e.branch, NEW.branch), 'entitlement_read'))) THEN
        RAISE EXCEPTION 'entitlement % does not exist', NEW.entitlement_id
            USING ERRCODE = '42501', HINT = 'One that you may not see is reported in the same way.';
    ELSIF NOT EXISTS (SELECT FROM csm_private.entitlement_candidates(NEW.tenant_id, NEW.account_id,
                          CASE WHEN NEW.branch <> 'b2b' THEN NEW.requester_id END, NEW.product_id, NEW.asset_id, NEW.channel,
                          statement_timestamp()) k
                      WHERE k.entitlement_id = NEW.entitlement_id) THEN
        RAISE EXCEPTION 'entitlement % does not fit case %', NEW.entitlement_id, NEW.number
            USING ERRCODE = '23514', HINT = format('csm.case_entitlements(%s) lists those that do.', NEW.id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION csm.use_entitlement_hours(case_id bigint, hours numeric, note text DEFAULT NULL) RETURNS csm.entitlement_uses
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    e csm.entitlements;
    asked CONSTANT numeric := round(hours, 2);
    taken numeric;
    made csm.entitlement_uses;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'hours on case % are not yours to book', c.number USING ERRCODE = '42501',
            HINT = 'Hours are booked by staff who work on the case.';
    ELSIF asked IS NULL OR NOT asked BETWEEN 0.01 AND 10000 THEN
        RAISE EXCEPTION 'hours must be between 0.01 and 10000' USING ERRCODE = '22023';
    ELSIF length(note) > 2000 THEN
        RAISE EXCEPTION 'note is longer than 2000 characters' USING ERRCODE = '22023';
    END IF;
    -- The case first, then its entitlement: the order in which closing locks.
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004', HINT = 'Book the hours before it is closed.';
    END IF;
    SELECT * INTO e FROM csm.entitlements x WHERE x.id = c.entitlement_id AND x.tenant_id = c.tenant_id FOR NO KEY UPDATE;
    IF e.unit IS DISTINCT FROM 'hours' THEN
        RAISE EXCEPTION 'case % is not worked under an entitlement of hours', c.number USING ERRCODE = '22023',
            HINT = format('csm.case_entitlements(%s) lists what fits it.', case_id);
    END IF;
    taken := least(asked, coalesce(e.total - e.used, asked));
    UPDATE csm.entitlements x SET used = x.used + taken WHERE x.id = e.id AND x.tenant_id = e.tenant_id;
    INSERT INTO csm.entitlement_uses (tenant_id, entitlement_id, case_id, unit, units, over_units, note)
    VALUES (c.tenant_id, e.id, c.id, 'hours', asked, asked - taken, note)
    RETURNING * INTO made;
    IF made.over_units > 0 THEN
        PERFORM csm_private.emit(c.tenant_id, c.id, 'entitlement_overused',
            jsonb_build_object('entitlement_id', e.id, 'over_units', made.over_units), 'internal');
    END IF;
    RETURN made;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.state(csm.contracts)',
        'csm.state(csm.entitlements)',
        'csm.case_entitlements(bigint)',
        'csm.best_entitlement(bigint)',
        'csm.use_entitlement_hours(bigint, numeric, text)',
        'csm_private.entitlement_holder()',
        'csm_private.holder_changes()',
        'csm_private.check_line()',
        'csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz)',
        'csm_private.fill_entitlement()',
        'csm_private.use_entitlement()',
        'csm_private.check_entitlement()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.state(csm.contracts), csm.state(csm.entitlements) TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.case_entitlements(bigint), csm.best_entitlement(bigint) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) TO csm_agent;

-- not for a unit taken
CREATE TRIGGER entitlements_10_holder BEFORE INSERT OR UPDATE OF name, holder_account_id, holder_user_id, account_id, user_id,
        sold_product_id, asset_id, contract_id ON csm.entitlements
    FOR EACH ROW EXECUTE FUNCTION csm_private.entitlement_holder();
CREATE TRIGGER assets_40_holder AFTER UPDATE ON csm.assets FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER sold_products_40_holder AFTER UPDATE ON csm.sold_products FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER contracts_40_holder AFTER UPDATE ON csm.contracts FOR EACH ROW
    WHEN (OLD.account_id IS DISTINCT FROM NEW.account_id OR OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION csm_private.holder_changes();
CREATE TRIGGER contract_lines_10_fit AFTER INSERT OR UPDATE ON csm.contract_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_line();
CREATE TRIGGER entitlement_uses_10_append_only BEFORE UPDATE OR DELETE ON csm.entitlement_uses
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER entitlement_uses_10_append_only_truncate BEFORE TRUNCATE ON csm.entitlement_uses
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
-- One that is given is judged before one is filled in.
CREATE TRIGGER cases_20_entitlement BEFORE INSERT ON csm.cases FOR EACH ROW
    WHEN (NEW.entitlement_id IS NOT NULL) EXECUTE FUNCTION csm_private.check_entitlement();
CREATE TRIGGER cases_20_entitlement_update BEFORE UPDATE OF entitlement_id ON csm.cases FOR EACH ROW
    WHEN (NEW.entitlement_id IS NOT NULL AND NEW.entitlement_id IS DISTINCT FROM OLD.entitlement_id)
    EXECUTE FUNCTION csm_private.check_entitlement();
CREATE TRIGGER cases_30_entitlement BEFORE INSERT ON csm.cases FOR EACH ROW
    WHEN (NEW.entitlement_id IS NULL) EXECUTE FUNCTION csm_private.fill_entitlement();
CREATE TRIGGER cases_70_entitlement AFTER UPDATE ON csm.cases FOR EACH ROW
    WHEN (NEW.state_class = 'closed' AND OLD.state_class <> 'closed' AND NEW.entitlement_id IS NOT NULL)
    EXECUTE FUNCTION csm_private.use_entitlement();

COMMENT ON TABLE csm.contracts IS 'Service contracts of an account or a person';
COMMENT ON COLUMN csm.contracts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contracts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contracts.account_id IS 'Account whose contract it is; exactly one of account and person is set';
COMMENT ON COLUMN csm.contracts.user_id IS 'Consumer whose contract it is';
COMMENT ON COLUMN csm.contracts.branch IS 'b2b where it is an account''s, else b2c';
COMMENT ON COLUMN csm.contracts.number IS 'Number, unique in the tenant; NULL for none';
COMMENT ON COLUMN csm.contracts.name IS 'Name that people read';
COMMENT ON COLUMN csm.contracts.draft IS 'True: not approved yet, covers nothing';
COMMENT ON COLUMN csm.contracts.cancelled IS 'True: covers nothing any more';
COMMENT ON COLUMN csm.contracts.valid_during IS 'When it holds; NULL means always. csm.state() makes draft, active, expired or cancelled of the flags and this';
COMMENT ON COLUMN csm.contracts.created_at IS 'When the row was made';
COMMENT ON TABLE csm.contract_lines IS 'What a contract covers; one without lines covers everything of its owner';
COMMENT ON COLUMN csm.contract_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contract_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contract_lines.contract_id IS 'The contract';
COMMENT ON COLUMN csm.contract_lines.product_id IS 'Product covered; exactly one of product, sold product and item is set';
COMMENT ON COLUMN csm.contract_lines.sold_product_id IS 'Sold product covered, of the same owner (23514 else), with the items that came with it';
COMMENT ON COLUMN csm.contract_lines.asset_id IS 'Install-base item covered, of the same owner (23514 else)';
COMMENT ON COLUMN csm.contract_lines.quantity IS 'How many are covered; for people to read';
COMMENT ON COLUMN csm.contract_lines.description IS 'In words; NULL for none';
COMMENT ON TABLE csm.entitlements IS 'A right to service: for an account or person, a product, a sold product or item, a contract, or several of them at once, which a case must then meet all';
COMMENT ON COLUMN csm.entitlements.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlements.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlements.holder_account_id IS 'Account whose it is: the one named, else the owner of item, sold product or contract; kept by trigger';
COMMENT ON COLUMN csm.entitlements.holder_user_id IS 'Consumer whose it is, likewise; both NULL for an entitlement that names a product alone';
COMMENT ON COLUMN csm.entitlements.branch IS 'b2b or b2c by its holder; NULL without';
COMMENT ON COLUMN csm.entitlements.name IS 'Name that people read';
COMMENT ON COLUMN csm.entitlements.account_id IS 'Cases of this account; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.user_id IS 'Cases of this consumer; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.product_id IS 'Cases on this product, named by the case or else by its item; NULL does not ask. Weight 2';
COMMENT ON COLUMN csm.entitlements.sold_product_id IS 'Cases on an item that came with this sold product; NULL does not ask. Weight 3 (once, with asset_id)';
COMMENT ON COLUMN csm.entitlements.asset_id IS 'Cases on this install-base item; NULL does not ask. Weight 3';
COMMENT ON COLUMN csm.entitlements.contract_id IS 'Cases that this contract covers while it is active; NULL does not ask. Weight 4';
COMMENT ON COLUMN csm.entitlements.calendar_id IS 'Calendar by which service is given; NULL for none of its own';
COMMENT ON COLUMN csm.entitlements.channels IS 'Channels by which the case must have come in; NULL for any';
COMMENT ON COLUMN csm.entitlements.valid_during IS 'When it holds; NULL means always';
COMMENT ON COLUMN csm.entitlements.unit IS 'What is counted: cases (one at closing) or hours (csm.use_entitlement_hours())';
COMMENT ON COLUMN csm.entitlements.total IS 'Units bought; NULL for no limit';
COMMENT ON COLUMN csm.entitlements.used IS 'Units used, never more than total; beyond it see csm.entitlement_uses.over_units';
COMMENT ON COLUMN csm.entitlements.suspended IS 'True: fits no case for the time being';
COMMENT ON COLUMN csm.entitlements.cancelled IS 'True: fits no case any more';
COMMENT ON COLUMN csm.entitlements.created_at IS 'When the row was made';
COMMENT ON TABLE csm.entitlement_uses IS 'Ledger of what was used of entitlements, and by which case; append-only';
COMMENT ON COLUMN csm.entitlement_uses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlement_uses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlement_uses.entitlement_id IS 'The entitlement';
COMMENT ON COLUMN csm.entitlement_uses.case_id IS 'The case; of unit cases it has one row at most';
COMMENT ON COLUMN csm.entitlement_uses.unit IS 'cases or hours';
COMMENT ON COLUMN csm.entitlement_uses.units IS 'Units of service given';
COMMENT ON COLUMN csm.entitlement_uses.over_units IS 'How many of them the entitlement had none left for; the rest counts in csm.entitlements.used';
COMMENT ON COLUMN csm.entitlement_uses.note IS 'What for, up to 2,000 characters; NULL for none';
COMMENT ON COLUMN csm.entitlement_uses.used_by IS 'Who closed the case or booked the hours; NULL for the system';
COMMENT ON COLUMN csm.entitlement_uses.used_at IS 'When';
COMMENT ON FUNCTION csm.state(csm.contracts) IS 'State of a contract now: draft (also before it begins), active, expired or cancelled';
COMMENT ON FUNCTION csm.state(csm.entitlements) IS 'State of an entitlement now: draft (before it begins), active, suspended, expired or cancelled; says nothing of units left';
COMMENT ON FUNCTION csm.case_entitlements(bigint) IS
'The entitlements that fit a case now and that the caller reads, best first: sum of the weights of what they name (account or person 1, product 2, sold product or item 3, contract 4), then the earlier end, then the lower id. remaining: units left, NULL for no limit. Error SM001 for a hidden and a missing case alike';
COMMENT ON FUNCTION csm.best_entitlement(bigint) IS
'The first of csm.case_entitlements(): its id, NULL when none fits. Error SM001';
COMMENT ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) IS
'Books hours of work on the entitlement of a case and returns the row of the ledger; what is more than is left becomes over-use. Hours are rounded to two decimals. Errors: SM001 no such case, 42501 not working on it, SM004 case closed, 22023 hours out of range, note too long, or the case has no entitlement of hours';
COMMENT ON FUNCTION csm_private.entitlement_holder() IS 'Trigger of csm.entitlements: keeps the holder';
COMMENT ON FUNCTION csm_private.holder_changes() IS 'Trigger of what an entitlement may name: a new owner becomes the holder';
COMMENT ON FUNCTION csm_private.check_line() IS 'Trigger of csm.contract_lines: what is covered belongs to the contract''s owner (23514)';
COMMENT ON FUNCTION csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz) IS
'Entitlements that fit a case of this account or person, product, item and channel at the instant, with the sum of their weights; whoever asks';
COMMENT ON FUNCTION csm_private.fill_entitlement() IS 'Trigger of csm.cases: gives a new case the entitlement that fits, when exactly one does';
COMMENT ON FUNCTION csm_private.use_entitlement() IS 'Trigger of csm.cases: a closed case uses a unit of an entitlement counted in cases, once';
COMMENT ON FUNCTION csm_private.check_entitlement() IS
'Trigger of csm.cases: an entitlement chosen must be readable (42501, hidden and missing alike) and fit the case (23514)';

-- What the desk should know while it works on a case, and how it answers:
-- special handling notes (R B35) and response templates (R B56).  Neither is for
-- those who ask for service: csm_portal has no privilege on either table.

CREATE TABLE csm.handling_notes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint,
    account_id bigint,
    contact_id bigint,
    user_id bigint,
    product_id bigint,
    asset_id bigint,
    body text NOT NULL,
    priority smallint NOT NULL DEFAULT 4,
    expires_at timestamptz,
    created_by bigint DEFAULT csm.current_user_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT handling_notes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT handling_notes_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT handling_notes_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT handling_notes_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT handling_notes_contact_fkey FOREIGN KEY (contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT handling_notes_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT handling_notes_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT handling_notes_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT handling_notes_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT handling_notes_one_subject CHECK (num_nonnulls(case_id, account_id, contact_id, user_id, product_id, asset_id) = 1),
    CONSTRAINT handling_notes_body_check CHECK (length(body) BETWEEN 1 AND 10000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT handling_notes_priority_check CHECK (priority BETWEEN 1 AND 4)
);
CREATE INDEX handling_notes_case_idx ON csm.handling_notes (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX handling_notes_account_idx ON csm.handling_notes (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX handling_notes_contact_idx ON csm.handling_notes (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX handling_notes_user_idx ON csm.handling_notes (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX handling_notes_product_idx ON csm.handling_notes (product_id) WHERE product_id IS NOT NULL;
CREATE INDEX handling_notes_asset_idx ON csm.handling_notes (asset_id) WHERE asset_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.handling_notes');

-- Staff with case_work where the subject belongs: on the case, for business
-- customers or this account; a person or an item that they see; a product, which
-- belongs to no customer, wherever they work on cases.
DO $$
DECLARE
    for_account CONSTANT text := $e$csm.all_in(%1$s.tenant_id, 'b2b', 'case_work') OR csm.account_allows(%1$s.account_id, 'case_work')$e$;
    rule CONSTANT text := $e$
        csm_private.is_staff('case_work') AND CASE
            WHEN case_id IS NOT NULL THEN EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = handling_notes.tenant_id
                                                  AND csm_private.case_allows(c, 'case_work'))
            WHEN account_id IS NOT NULL THEN %s
            WHEN contact_id IS NOT NULL THEN EXISTS (SELECT FROM csm.contacts k WHERE k.id = contact_id
                                                     AND k.tenant_id = handling_notes.tenant_id AND (%s))
            WHEN user_id IS NOT NULL THEN EXISTS (SELECT FROM csm.users u WHERE u.id = user_id AND u.tenant_id = handling_notes.tenant_id)
            WHEN asset_id IS NOT NULL THEN EXISTS (SELECT FROM csm.assets i WHERE i.id = asset_id AND i.tenant_id = handling_notes.tenant_id)
            ELSE true END$e$;
    staff text;
BEGIN
    staff := format(rule, format(for_account, 'handling_notes'), format(for_account, 'k'));
    EXECUTE format('CREATE POLICY handling_notes_select ON csm.handling_notes FOR SELECT TO csm_agent USING (%s)', staff);
    EXECUTE format('CREATE POLICY handling_notes_insert ON csm.handling_notes FOR INSERT TO csm_agent '
                   'WITH CHECK (created_by = csm.current_user_id() AND (%s))', staff);
    EXECUTE format('CREATE POLICY handling_notes_update ON csm.handling_notes FOR UPDATE TO csm_agent USING (%s)', staff);
END $$;
GRANT SELECT ON csm.handling_notes TO csm_agent;
GRANT INSERT (case_id, account_id, contact_id, user_id, product_id, asset_id, body, priority, expires_at),
      UPDATE (body, priority, expires_at) ON csm.handling_notes TO csm_agent;

COMMENT ON TABLE csm.handling_notes IS 'What staff should know about a case, account, contact, person, product or install-base item; never read by those who ask for service';
COMMENT ON COLUMN csm.handling_notes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.handling_notes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.handling_notes.case_id IS 'The case; exactly one of the six references is set';
COMMENT ON COLUMN csm.handling_notes.account_id IS 'The account';
COMMENT ON COLUMN csm.handling_notes.contact_id IS 'The contact: the person in his function for one account';
COMMENT ON COLUMN csm.handling_notes.user_id IS 'The person, whatever his personas';
COMMENT ON COLUMN csm.handling_notes.product_id IS 'The product';
COMMENT ON COLUMN csm.handling_notes.asset_id IS 'The install-base item';
COMMENT ON COLUMN csm.handling_notes.body IS 'The note, up to 10,000 characters';
COMMENT ON COLUMN csm.handling_notes.priority IS '1 (read first) to 4';
COMMENT ON COLUMN csm.handling_notes.expires_at IS 'From when on csm.notes_for() leaves it out; NULL for never. An end in the past ends it';
COMMENT ON COLUMN csm.handling_notes.created_by IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.handling_notes.created_at IS 'When it was written';
COMMENT ON POLICY handling_notes_select ON csm.handling_notes IS 'Staff with case_work where the subject belongs';
COMMENT ON POLICY handling_notes_insert ON csm.handling_notes IS 'The same, in their own name';
COMMENT ON POLICY handling_notes_update ON csm.handling_notes IS 'The same';

-- Runs under the policies of the caller.
CREATE FUNCTION csm.notes_for(case_id bigint)
RETURNS TABLE (note_id bigint, about text, priority smallint, body text, expires_at timestamptz, created_at timestamptz)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT n.id, s.about, n.priority, n.body, n.expires_at, n.created_at
    FROM csm.cases c
    CROSS JOIN LATERAL (
        SELECT 'case', n.id FROM csm.handling_notes n WHERE n.case_id = c.id
      UNION ALL
        SELECT 'account', n.id FROM csm.handling_notes n
        WHERE n.account_id IN (c.account_id, c.counterparty_account_id, c.partner_account_id)
      UNION ALL
        SELECT 'contact', n.id FROM csm.contacts k JOIN csm.handling_notes n ON n.contact_id = k.id
        WHERE k.user_id = c.requester_id AND k.account_id = c.account_id
           OR k.id IN (c.counterparty_contact_id, c.partner_contact_id)
      UNION ALL
        SELECT 'person', n.id FROM csm.handling_notes n WHERE n.user_id = c.requester_id
      UNION ALL
        SELECT 'product', n.id FROM csm.handling_notes n WHERE n.product_id = c.product_id
      UNION ALL
        SELECT 'asset', n.id FROM csm.handling_notes n WHERE n.asset_id = c.asset_id) AS s(about, id)
    JOIN csm.handling_notes n ON n.id = s.id AND n.tenant_id = c.tenant_id
    WHERE c.id = notes_for.case_id AND (n.expires_at IS NULL OR n.expires_at > statement_timestamp())
    ORDER BY n.priority, n.created_at DESC, n.id DESC
    LIMIT 20
$$;
ALTER FUNCTION csm.notes_for(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.notes_for(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.notes_for(bigint) TO csm_agent;
COMMENT ON FUNCTION csm.notes_for(bigint) IS
'Handling notes that hold for a case now: on the case itself, its accounts, its contacts, the requester, its product and its install-base item; at most 20, by priority, then the newest. about: case, account, contact, person, product or asset. No row for a case that is hidden or missing';

CREATE TABLE csm.response_templates (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    body text NOT NULL,
    case_type text,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT response_templates_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT response_templates_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT response_templates_type_fkey FOREIGN KEY (case_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT response_templates_name_key UNIQUE (tenant_id, name),
    CONSTRAINT response_templates_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT response_templates_body_check CHECK (length(body) BETWEEN 1 AND 100000)
);
SELECT csm_private.adopt_table('csm.response_templates');

CREATE POLICY response_templates_select ON csm.response_templates FOR SELECT TO csm_agent, csm_admin
    USING (csm_private.is_staff());
CREATE POLICY response_templates_write ON csm.response_templates FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.response_templates TO csm_agent, csm_admin;
GRANT INSERT (name, body, case_type, active), UPDATE (name, body, case_type, active), DELETE ON csm.response_templates TO csm_admin;

-- What can be filled in.  One list for the check and for the values: a name that
-- is accepted has a value.  Names of people come from csm.case_people(), which
-- is what the caller may read on the case (V11).
CREATE FUNCTION csm_private.template_values(case_id bigint) RETURNS TABLE (placeholder text, value text)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    WITH c AS (
        SELECT c.* FROM csm.cases c WHERE c.id = template_values.case_id
    ), named AS (
        SELECT p.relation, min(p.display_name) AS name FROM csm.case_people(template_values.case_id) p GROUP BY p.relation
    )
    SELECT v.placeholder, v.value
    FROM (VALUES (1)) AS always(n)
    LEFT JOIN c ON true
    CROSS JOIN LATERAL (VALUES
        ('case.number', c.number),
        ('case.subject', c.subject),
        -- of the type itself or of the nearest one that it inherits from
        ('case.state', (WITH RECURSIVE t(case_type, depth) AS (
                            SELECT c.case_type, 0
                          UNION ALL
                            SELECT p.parent_type, t.depth + 1
                            FROM t JOIN csm.case_types p ON p.case_type = t.case_type AND p.tenant_id = c.tenant_id
                            WHERE p.parent_type IS NOT NULL AND t.depth < 100)
                        SELECT s.label
                        FROM t JOIN csm.case_states s ON s.case_type = t.case_type AND s.state = c.state AND s.tenant_id = c.tenant_id
                        ORDER BY t.depth LIMIT 1)),
        ('case.priority', c.priority::text),
        ('case.channel', c.channel),
        ('case.opened_on', to_char(c.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')),
        ('case.resolution_code', c.resolution_code),
        ('case.resolution_notes', c.resolution_notes),
        ('requester.name', (SELECT n.name FROM named n WHERE n.relation = 'requester')),
        ('opener.name', (SELECT n.name FROM named n WHERE n.relation = 'opener')),
        ('assignee.name', (SELECT n.name FROM named n WHERE n.relation = 'assignee')),
        ('account.name', (SELECT n.name FROM named n WHERE n.relation = 'account')),
        ('counterparty.name', (SELECT n.name FROM named n WHERE n.relation = 'counterparty')),
        ('partner.name', (SELECT n.name FROM named n WHERE n.relation = 'partner')),
        ('product.name', (SELECT p.name FROM csm.products p WHERE p.id = c.product_id AND p.tenant_id = c.tenant_id)),
        ('me.name', (SELECT u.display_name FROM csm.users u WHERE u.id = csm.current_user_id()))
    ) AS v(placeholder, value)
$$;
ALTER FUNCTION csm_private.template_values(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.template_values(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.template_values(bigint) TO csm_agent;
COMMENT ON FUNCTION csm_private.template_values(bigint) IS
'Every placeholder that a response template may use, with its value on the case for the caller; values are NULL for a case that he does not see, and where the case has none';

CREATE FUNCTION csm_private.template_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    SELECT string_agg(DISTINCT m[1], ', ') INTO unknown
    FROM regexp_matches(NEW.body, '\{\{([^{}]*)\}\}', 'g') m
    WHERE m[1] NOT IN (SELECT v.placeholder FROM csm_private.template_values(NULL) v);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'template "%" has unknown placeholders', NEW.name USING ERRCODE = '22023',
            DETAIL = format('Unknown: %s.', unknown),
            HINT = format('Placeholders are %s.', (SELECT string_agg(v.placeholder, ', ') FROM csm_private.template_values(NULL) v));
    ELSIF regexp_replace(NEW.body, '\{\{[^{}]*\}\}', '', 'g') ~ '\{\{|\}\}' THEN
        RAISE EXCEPTION 'template "%" has a placeholder that is not closed', NEW.name USING ERRCODE = '22023',
            HINT = 'Write {{name}}; two braces in a row always mean a placeholder.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.template_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.template_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.template_guard() IS
'Trigger of csm.response_templates: error 22023 for an unknown placeholder and for braces that make none';
CREATE TRIGGER response_templates_10_guard BEFORE INSERT OR UPDATE ON csm.response_templates
    FOR EACH ROW EXECUTE FUNCTION csm_private.template_guard();

COMMENT ON TABLE csm.response_templates IS 'Answers prepared for staff; csm.render_template() fills them in';
COMMENT ON COLUMN csm.response_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.response_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.response_templates.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.response_templates.body IS 'Text with placeholders such as {{case.number}} and {{requester.name}}; an unknown one is refused';
COMMENT ON COLUMN csm.response_templates.case_type IS 'Type of case that it is for, to choose by; NULL for any';
COMMENT ON COLUMN csm.response_templates.active IS 'False: not rendered any more';
COMMENT ON POLICY response_templates_select ON csm.response_templates IS 'Staff';
COMMENT ON POLICY response_templates_write ON csm.response_templates IS 'Administrators';

-- The text between placeholders and the values are put together in one pass, so
-- that braces in a value stay what they are.
CREATE FUNCTION csm_private.render_template_text(template text, case_id bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t csm.response_templates;
BEGIN
    IF NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    SELECT * INTO t FROM csm.response_templates r WHERE r.name = template AND r.active;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'template "%" does not exist', template USING ERRCODE = '22023',
            HINT = 'Choose one of csm.response_templates that is active.';
    END IF;
    RETURN t.body;
END $$;
ALTER FUNCTION csm_private.render_template_text(text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.render_template_text(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.render_template_text(text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm_private.render_template_text(text, bigint) IS
'Text of an active template, once the case is seen; errors SM001 and 22023 of csm.render_template()';

CREATE FUNCTION csm.render_template(template text, case_id bigint) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT string_agg(concat(between.text, v.value), '' ORDER BY between.n)
    FROM csm_private.render_template_text(template, case_id) AS t(body)
    CROSS JOIN LATERAL regexp_split_to_table(t.body, '\{\{[^{}]*\}\}') WITH ORDINALITY AS between(text, n)
    LEFT JOIN LATERAL regexp_matches(t.body, '\{\{([^{}]*)\}\}', 'g') WITH ORDINALITY AS named(name, n) ON named.n = between.n
    LEFT JOIN csm_private.template_values(case_id) v ON v.placeholder = named.name[1];
END;
ALTER FUNCTION csm.render_template(text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.render_template(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.render_template(text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm.render_template(text, bigint) IS
'The template of that name filled in for a case, with what the caller may read. A value that is missing or hidden is empty; a value is inserted as it stands and never expanded again. Errors: SM001 no such case, 22023 no such active template';

-- Calendars: when a desk is open.  Compiled and kept in each session by
-- src/csm_calendar.c, reckoned with by src/csm_business_time.c.

CREATE TABLE csm.calendars (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    time_zone text NOT NULL,
    parent_id bigint,
    CONSTRAINT calendars_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendars_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT calendars_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.calendars (id, tenant_id),
    CONSTRAINT calendars_name_key UNIQUE (tenant_id, name),
    CONSTRAINT calendars_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT calendars_zone_check CHECK (length(time_zone) BETWEEN 1 AND 100),
    CONSTRAINT calendars_self_check CHECK (parent_id <> id)
);
CREATE INDEX calendars_parent_idx ON csm.calendars (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.calendars');
SELECT csm_private.signal_on('csm.calendars', '{id,tenant_id,name,time_zone,parent_id}', 'calendar', 'tenant_id');

CREATE TABLE csm.calendar_exceptions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    calendar_id bigint NOT NULL,
    on_date date NOT NULL,
    name text NOT NULL,
    CONSTRAINT calendar_exceptions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendar_exceptions_calendar_fkey FOREIGN KEY (calendar_id, tenant_id)
        REFERENCES csm.calendars (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_exceptions_once UNIQUE (calendar_id, on_date, name),
    CONSTRAINT calendar_exceptions_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT calendar_exceptions_date_check CHECK (on_date >= '1970-01-01' AND on_date < '2200-01-01')
);
SELECT csm_private.adopt_table('csm.calendar_exceptions');
SELECT csm_private.signal_on('csm.calendar_exceptions', '{id,tenant_id,calendar_id,on_date}', 'calendar', 'tenant_id');

CREATE TABLE csm.calendar_intervals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    calendar_id bigint,
    weekday smallint,
    exception_id bigint,
    start_time time(0) NOT NULL,
    end_time time(0) NOT NULL,
    CONSTRAINT calendar_intervals_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendar_intervals_calendar_fkey FOREIGN KEY (calendar_id, tenant_id)
        REFERENCES csm.calendars (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_intervals_exception_fkey FOREIGN KEY (exception_id, tenant_id)
        REFERENCES csm.calendar_exceptions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_intervals_day_check CHECK (num_nonnulls(calendar_id, exception_id) = 1
        AND (calendar_id IS NULL) = (weekday IS NULL)),
    CONSTRAINT calendar_intervals_weekday_check CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT calendar_intervals_time_check CHECK (start_time < '24:00' AND end_time <> start_time)
);
CREATE INDEX calendar_intervals_calendar_idx ON csm.calendar_intervals (calendar_id) WHERE calendar_id IS NOT NULL;
CREATE INDEX calendar_intervals_exception_idx ON csm.calendar_intervals (exception_id) WHERE exception_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.calendar_intervals');
SELECT csm_private.signal_on('csm.calendar_intervals',
    '{tenant_id,calendar_id,weekday,exception_id,start_time,end_time}', 'calendar', 'tenant_id');

ALTER TABLE csm.accounts ADD COLUMN calendar_id bigint,
    ADD CONSTRAINT accounts_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id);
CREATE INDEX accounts_calendar_idx ON csm.accounts (calendar_id) WHERE calendar_id IS NOT NULL;
GRANT INSERT (calendar_id), UPDATE (calendar_id) ON csm.accounts TO csm_agent;
COMMENT ON COLUMN csm.accounts.calendar_id IS
'Calendar by which SLAs of the account are reckoned where their definition says so; NULL: that of the nearest account above that has one';

ALTER TABLE csm.entitlements
    ADD CONSTRAINT entitlements_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{calendars,calendar_exceptions,calendar_intervals}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS '
                       '''Staff connections read the calendars of the tenant; a calendar''''s name may be that of a customer''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

-- A name is looked up, not only parsed: the server would take "UTC+3" for a
-- zone three hours west of Greenwich.
CREATE FUNCTION csm_private.calendar_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.time_zone IS DISTINCT FROM OLD.time_zone)
       AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = NEW.time_zone) THEN
        RAISE EXCEPTION 'calendar "%" names an unknown time zone', NEW.name
            USING ERRCODE = '22023', DETAIL = format('It is %L.', NEW.time_zone),
                  HINT = 'Choose a name of pg_timezone_names, for example Europe/Berlin.';
    END IF;
    IF NEW.parent_id IS NOT NULL AND EXISTS (
        WITH RECURSIVE up(id, parent_id, depth) AS (
            SELECT c.id, c.parent_id, 1 FROM csm.calendars c WHERE c.id = NEW.parent_id AND c.tenant_id = NEW.tenant_id
          UNION ALL
            SELECT c.id, c.parent_id, up.depth + 1
            FROM up JOIN csm.calendars c ON c.id = up.parent_id AND c.tenant_id = NEW.tenant_id WHERE up.depth < 32
        ) SELECT FROM up WHERE up.id = NEW.id OR up.depth = 32) THEN
        RAISE EXCEPTION 'calendar "%" cannot have this parent', NEW.name
            USING ERRCODE = '22023', DETAIL = 'The parents would form a circle, or a chain of more than 32.',
                  HINT = 'Choose a calendar that does not inherit from this one.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.calendar_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.calendar_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.calendar_guard() IS
'Trigger of csm.calendars: 22023 for a time zone that the server does not know and for parents that form a circle';
CREATE TRIGGER calendars_10_guard BEFORE INSERT OR UPDATE ON csm.calendars
    FOR EACH ROW EXECUTE FUNCTION csm_private.calendar_guard();

CREATE FUNCTION csm.business_seconds(calendar_id bigint, "from" timestamptz, "to" timestamptz) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_business_seconds' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz) IS
'Open time of a calendar between two instants in whole seconds, rounded toward zero; negative when "from" is later. An instant is open when the wall clock of the calendar''s zone then shows an open time: an hour that the clocks skip does not count, one that they repeat counts twice. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 22008 an instant that is infinite or not between 1970 and 2200';

CREATE FUNCTION csm.business_add(calendar_id bigint, "from" timestamptz, seconds bigint) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'csm_business_add' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION csm.business_add(bigint, timestamptz, bigint) IS
'The instant nearest to "from" that so many open seconds separate from it: the earliest after it, for a negative number the latest before it; "from" itself for 0. So business_seconds(c, f, business_add(c, f, s)) = s always. An infinite "from" is returned. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 55000 a calendar without any open time, 22008 a result or an instant that is not between 1970 and 2200';

CREATE FUNCTION csm_private.usual_hours(calendar_id bigint, tenant_id bigint, weekday integer) RETURNS int4multirange
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE up(id, parent_id, depth) AS (
        SELECT c.id, c.parent_id, 0 FROM csm.calendars c
        WHERE c.id = usual_hours.calendar_id AND c.tenant_id = usual_hours.tenant_id
      UNION ALL
        SELECT c.id, c.parent_id, up.depth + 1
        FROM up JOIN csm.calendars c ON c.id = up.parent_id AND c.tenant_id = usual_hours.tenant_id WHERE up.depth < 32
    ), source(id) AS (
        SELECT up.id FROM up WHERE EXISTS (SELECT FROM csm.calendar_intervals i WHERE i.calendar_id = up.id)
        ORDER BY up.depth LIMIT 1
    ), hours(weekday, opens, closes) AS (
        SELECT i.weekday, extract(epoch FROM i.start_time)::integer,
               extract(epoch FROM i.end_time)::integer + CASE WHEN i.end_time < i.start_time THEN 86400 ELSE 0 END
        FROM source s JOIN csm.calendar_intervals i ON i.calendar_id = s.id
    )
    SELECT coalesce(range_agg(r), '{}') FROM (
        SELECT int4range(h.opens, least(h.closes, 86400)) AS r FROM hours h WHERE h.weekday = usual_hours.weekday
        UNION ALL
        SELECT int4range(0, h.closes - 86400) FROM hours h
        WHERE h.weekday = (usual_hours.weekday + 5) % 7 + 1 AND h.closes > 86400) AS day;
END;
ALTER FUNCTION csm_private.usual_hours(bigint, bigint, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) IS
'Open hours of a weekday (1 = Monday) without exceptions, in seconds since midnight; what the night before leaves included';

-- One event as its property lines, unfolded, without those of nested parts
-- (an alarm); the time zone part of a file is passed over.
CREATE FUNCTION csm_private.ics_events(ics text) RETURNS TABLE (event integer, property text, params text, value text)
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line text;
    inside text[] := ARRAY[]::text[];
    parts text[];
BEGIN
    event := 0;
    FOREACH line IN ARRAY regexp_split_to_array(regexp_replace(ics, E'\r?\n[ \t]', '', 'g'), E'\r?\n') LOOP
        parts := regexp_match(line, '^([A-Za-z0-9-]+)((?:;[^":]*(?:"[^"]*"[^":]*)*)?):(.*)$');
        CONTINUE WHEN parts IS NULL;
        property := upper(parts[1]);
        params := parts[2];
        value := parts[3];
        IF property = 'BEGIN' THEN
            inside := inside || upper(value);
            IF upper(value) = 'VEVENT' THEN
                event := event + 1;
                RETURN NEXT;
            END IF;
        ELSIF property = 'END' THEN
            inside := trim_array(inside, least(1, cardinality(inside)));
        ELSIF inside[cardinality(inside)] = 'VEVENT' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
ALTER FUNCTION csm_private.ics_events(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ics_events(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ics_events(text) IS
'Property lines of the VEVENTs of an iCalendar text (RFC 5545), numbered by event; each event begins with a row BEGIN';

CREATE FUNCTION csm_private.ics_wall(value text, params text, zone text) RETURNS timestamp
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tzid text := btrim((regexp_match(params, ';TZID=("[^"]*"|[^;]*)', 'i'))[1], '"');
    wall timestamp;
BEGIN
    IF value ~ '^[0-9]{8}$' THEN
        RETURN to_date(value, 'YYYYMMDD');
    ELSIF value !~ '^[0-9]{8}T[0-9]{6}Z?$' THEN
        RAISE EXCEPTION 'not a date or a time of iCalendar: %', left(value, 80)
            USING ERRCODE = '22007', HINT = 'Write 20261224, 20261224T140000 or 20261224T140000Z.';
    END IF;
    wall := (substr(value, 1, 8) || ' ' || substr(value, 10, 6))::timestamp;
    IF right(value, 1) = 'Z' THEN
        RETURN wall AT TIME ZONE 'UTC' AT TIME ZONE zone;
    ELSIF tzid IS NULL OR tzid = zone THEN
        RETURN wall;
    ELSIF NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = tzid) THEN
        RAISE EXCEPTION 'time zone "%" is not known to this server', left(tzid, 80)
            USING ERRCODE = '22023', HINT = 'Write the event in UTC, or with a name of pg_timezone_names.';
    END IF;
    RETURN wall AT TIME ZONE tzid AT TIME ZONE zone;
END $$;
ALTER FUNCTION csm_private.ics_wall(text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ics_wall(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ics_wall(text, text, text) IS
'A DATE or DATE-TIME value of iCalendar as the wall clock of a zone shows it; a value without zone is of that zone';

CREATE FUNCTION csm.import_holidays(calendar_id bigint, ics text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    calendar csm.calendars;
    e record;
    opens timestamp;
    closes timestamp;
    dates date[] := ARRAY[]::date[];
    names text[] := ARRAY[]::text[];
    shut int4range[] := ARRAY[]::int4range[];
    day date;
    added integer;
BEGIN
    SELECT * INTO calendar FROM csm.calendars c
    WHERE c.id = import_holidays.calendar_id
      AND (csm.all_in(c.tenant_id, 'internal', 'configure') OR csm_private.acts_as_system());
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no calendar %', coalesce(import_holidays.calendar_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.calendars.id of a tenant that you administer.';
    ELSIF ics IS NULL OR ics !~* '(^|\n)BEGIN:VCALENDAR' THEN
        RAISE EXCEPTION 'not an iCalendar text' USING ERRCODE = '22023', HINT = 'It begins with BEGIN:VCALENDAR.';
    END IF;

    FOR e IN
        SELECT l.event,
               max(l.value) FILTER (WHERE l.property = 'DTSTART') AS dtstart,
               max(l.params) FILTER (WHERE l.property = 'DTSTART') AS dtstart_params,
               max(l.value) FILTER (WHERE l.property = 'DTEND') AS dtend,
               max(l.params) FILTER (WHERE l.property = 'DTEND') AS dtend_params,
               max(l.value) FILTER (WHERE l.property = 'DURATION') AS duration,
               min(l.property) FILTER (WHERE l.property IN ('RRULE', 'RDATE', 'EXDATE', 'EXRULE', 'RECURRENCE-ID')) AS recurring,
               coalesce(bool_or(upper(l.value) = 'CANCELLED') FILTER (WHERE l.property = 'STATUS'), false) AS cancelled,
               left(coalesce(nullif(btrim(regexp_replace(replace(replace(
                   max(l.value) FILTER (WHERE l.property = 'SUMMARY'), '\n', ' '), '\N', ' '), '\\([\\;,])', '\1', 'g')), ''),
                   'Closed'), 200) AS summary
        FROM csm_private.ics_events(ics) l GROUP BY l.event ORDER BY l.event
    LOOP
        IF e.recurring IS NOT NULL THEN
            RAISE EXCEPTION 'event % ("%") recurs', e.event, e.summary
                USING ERRCODE = '0A000', DETAIL = format('It has %s.', e.recurring),
                      HINT = 'Expand recurring events into one VEVENT a date before importing.';
        ELSIF e.dtstart IS NULL THEN
            RAISE EXCEPTION 'event % ("%") has no DTSTART', e.event, e.summary USING ERRCODE = '22023';
        END IF;
        CONTINUE WHEN e.cancelled;
        opens := csm_private.ics_wall(e.dtstart, e.dtstart_params, calendar.time_zone);
        closes := CASE WHEN e.dtend IS NOT NULL THEN csm_private.ics_wall(e.dtend, e.dtend_params, calendar.time_zone)
                       WHEN e.duration IS NOT NULL THEN opens + e.duration::interval
                       WHEN e.dtstart ~ 'T' THEN opens
                       ELSE opens + '1 day' END;
        IF closes < opens OR closes > opens + '366 days' THEN
            RAISE EXCEPTION 'event % ("%") has an impossible length', e.event, e.summary
                USING ERRCODE = '22023', DETAIL = format('It goes from %s to %s.', opens, closes),
                      HINT = 'An event ends after it begins, and within 366 days.';
        END IF;
        FOR day IN SELECT d::date FROM generate_series(opens::date, closes, '1 day') AS d WHERE d < closes LOOP
            dates := dates || day;
            names := names || e.summary;
            shut := shut || int4range(extract(epoch FROM greatest(opens, day) - day)::integer,
                                      extract(epoch FROM least(closes, day + '1 day'::interval) - day)::integer);
        END LOOP;
    END LOOP;

    -- One statement, so that SLAs are reckoned anew once.
    WITH wanted AS (
        SELECT DISTINCT ON (w.on_date, w.name) * FROM unnest(dates, names, shut) AS w(on_date, name, shut)
        ORDER BY w.on_date, w.name
    ), exception AS (
        INSERT INTO csm.calendar_exceptions AS x (tenant_id, calendar_id, on_date, name)
        SELECT calendar.tenant_id, calendar.id, w.on_date, w.name FROM wanted w
        ON CONFLICT ON CONSTRAINT calendar_exceptions_once DO NOTHING
        RETURNING x.id, x.on_date, x.name
    ), hours AS (
        INSERT INTO csm.calendar_intervals (tenant_id, exception_id, start_time, end_time)
        SELECT calendar.tenant_id, x.id, make_time(lower(o) / 3600, lower(o) / 60 % 60, lower(o) % 60),
               make_time(upper(o) / 3600, upper(o) / 60 % 60, upper(o) % 60)
        FROM exception x JOIN wanted w USING (on_date, name)
        CROSS JOIN LATERAL unnest(csm_private.usual_hours(calendar.id, calendar.tenant_id, extract(isodow FROM x.on_date)::integer)
                                  - int4multirange(w.shut)) AS o
    )
    SELECT count(*) INTO added FROM exception;
    RETURN added;
END $$;
COMMENT ON FUNCTION csm.import_holidays(bigint, text) IS
'Adds the events of an iCalendar text to a calendar as exceptions and returns how many dates were new; a date with the same name is there already and stays. Whole days are closed; on a day that an event covers in part the usual hours of now remain outside it. Values in UTC or another zone are converted, those without zone are of the calendar''s. Cancelled events are passed over. Administrators. Errors: 22023 no such calendar, text, zone or length, 22007 no date, 0A000 a recurring event';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm.business_seconds(bigint, timestamptz, timestamptz)',
                             'csm.business_add(bigint, timestamptz, bigint)',
                             'csm.import_holidays(bigint, text)']::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_admin', f);
    END LOOP;
    GRANT EXECUTE ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz),
        csm.business_add(bigint, timestamptz, bigint) TO csm_agent, csm_reporter;
END $$;

COMMENT ON TABLE csm.calendars IS 'When a desk is open: weekly hours in a time zone, less holidays, plus special days';
COMMENT ON COLUMN csm.calendars.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendars.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendars.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.calendars.time_zone IS 'Zone on whose wall clock the hours are read, a name of pg_timezone_names; never inherited';
COMMENT ON COLUMN csm.calendars.parent_id IS
'Calendar from which this one inherits: weekly hours where it has none of its own, exceptions on dates on which it has none of its own; NULL for none';
COMMENT ON TABLE csm.calendar_intervals IS
'Open hours, of a weekday or of an exception. Hours may overlap; they are then one';
COMMENT ON COLUMN csm.calendar_intervals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_intervals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_intervals.calendar_id IS 'Calendar, for weekly hours; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.weekday IS '1 = Monday to 7 = Sunday, the day on which the hours begin; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.exception_id IS 'Exception whose hours these are; NULL for weekly hours';
COMMENT ON COLUMN csm.calendar_intervals.start_time IS 'When they begin, on the wall clock; whole seconds';
COMMENT ON COLUMN csm.calendar_intervals.end_time IS
'When they end, not included; before start_time: on the next day. 24:00 is midnight; a day open throughout is 00:00 to 24:00';
COMMENT ON TABLE csm.calendar_exceptions IS
'Holidays and special days. An exception replaces its date from midnight to midnight, what a night shift of the eve leaves included: closed, or open in its own hours. Several on one date: open is what all of them leave open';
COMMENT ON COLUMN csm.calendar_exceptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_exceptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_exceptions.calendar_id IS 'Calendar; those that inherit from it have the exception too';
COMMENT ON COLUMN csm.calendar_exceptions.on_date IS 'Date in the zone of whichever calendar counts it';
COMMENT ON COLUMN csm.calendar_exceptions.name IS 'Name of the day';

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

CREATE FUNCTION csm_private.kept_open(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.needs_attention OR c.escalated
        OR c.account_id IS NOT NULL
           AND EXISTS (SELECT FROM csm.escalations e
                       WHERE e.account_id = c.account_id AND e.tenant_id = c.tenant_id AND e.state = 'escalated');
END;

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
        ('csm_private.kept_open(csm.cases)', NULL, 'Whether time leaves the case alone: it needs attention, or it or its account is escalated (R 2.4)'),
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

-- Major cases (R B32, C21): one case for what strikes many customers.
--
-- A case is proposed as a candidate; a manager accepts it, and a new major case
-- is made whose child it becomes. A major case has no customer: its branch is
-- internal. Each recipient of a list gets a child case of his own. What happens
-- to the major case afterwards is written down once (major_changes) and reaches
-- each child through a timer of its own, under that child's lock alone, so that
-- 100,000 children are neither locked nor written by whoever works on the major
-- case. Each child remembers up to where it has followed.
--
-- Locks go from parent to child, never back.

CREATE TABLE csm.recipient_lists (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT recipient_lists_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT recipient_lists_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT recipient_lists_name_key UNIQUE (tenant_id, name),
    CONSTRAINT recipient_lists_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
SELECT csm_private.adopt_table('csm.recipient_lists');

CREATE TABLE csm.recipients (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    list_id bigint NOT NULL,
    account_id bigint,
    user_id bigint,
    CONSTRAINT recipients_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT recipients_list_fkey FOREIGN KEY (list_id, tenant_id) REFERENCES csm.recipient_lists (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT recipients_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT recipients_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT recipients_one_check CHECK (num_nonnulls(account_id, user_id) = 1),
    CONSTRAINT recipients_account_key UNIQUE (list_id, account_id),
    CONSTRAINT recipients_user_key UNIQUE (list_id, user_id)
);
CREATE INDEX recipients_by_account_idx ON csm.recipients (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX recipients_by_user_idx ON csm.recipients (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.recipients');

CREATE TABLE csm.case_children (
    parent_id bigint NOT NULL,
    case_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    created boolean NOT NULL DEFAULT false,
    followed bigint NOT NULL DEFAULT 0,
    CONSTRAINT case_children_pkey PRIMARY KEY (parent_id, case_id, tenant_id),
    CONSTRAINT case_children_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_children_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_children_recipient_check CHECK (num_nonnulls(account_id, user_id) <= 1)
);
-- A recipient gets one child of a major case, however many run
-- csm.create_children() at once and at whatever isolation.
CREATE UNIQUE INDEX case_children_account_idx ON csm.case_children (parent_id, account_id) WHERE created AND account_id IS NOT NULL;
CREATE UNIQUE INDEX case_children_user_idx ON csm.case_children (parent_id, user_id) WHERE created AND user_id IS NOT NULL;
CREATE INDEX case_children_case_idx ON csm.case_children (case_id);
SELECT csm_private.adopt_table('csm.case_children');

CREATE TABLE csm.major_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    fields text[] NOT NULL DEFAULT '{}',
    entry_id bigint,
    closes boolean NOT NULL DEFAULT false,
    CONSTRAINT major_changes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT major_changes_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT major_changes_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT major_changes_fields_check CHECK (fields <@ '{priority,resolution_code,resolution_notes}'::text[])
);
CREATE INDEX major_changes_case_idx ON csm.major_changes (case_id, id);
SELECT csm_private.adopt_table('csm.major_changes');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{recipient_lists,recipients}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_all ON csm.%1$s FOR ALL TO csm_agent '
                       'USING (csm.all_in(tenant_id, ''internal'', ''account_manage''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_all ON csm.%1$s IS ''Managers keep them: whom a major case concerns''', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON csm.%1$s TO csm_agent', t);
    END LOOP;
END $$;
CREATE POLICY case_children_select ON csm.case_children FOR SELECT TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_children.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY major_changes_select ON csm.major_changes FOR SELECT TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = major_changes.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.case_children, csm.major_changes TO csm_agent;

COMMENT ON TABLE csm.recipient_lists IS 'Whom a major case concerns';
COMMENT ON COLUMN csm.recipient_lists.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipient_lists.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipient_lists.name IS 'Name that people read, unique in the tenant';
COMMENT ON COLUMN csm.recipient_lists.created_at IS 'When it was made';
COMMENT ON TABLE csm.recipients IS 'Accounts and persons of a list';
COMMENT ON COLUMN csm.recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipients.list_id IS 'The list';
COMMENT ON COLUMN csm.recipients.account_id IS 'Account; exactly one of account and user is set';
COMMENT ON COLUMN csm.recipients.user_id IS 'Person: a consumer or an employee';
COMMENT ON TABLE csm.case_children IS 'Cases that have or had a parent, and up to where they have followed it; kept by csm';
COMMENT ON COLUMN csm.case_children.parent_id IS 'The parent';
COMMENT ON COLUMN csm.case_children.case_id IS 'The child; it counts while cases.parent_id says so';
COMMENT ON COLUMN csm.case_children.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_children.account_id IS 'Account of the child; NULL where it has none';
COMMENT ON COLUMN csm.case_children.user_id IS 'Requester of the child where it has no account; NULL where it has one';
COMMENT ON COLUMN csm.case_children.created IS 'csm.create_children() made it';
COMMENT ON COLUMN csm.case_children.followed IS 'Last of the parent''s major_changes that the child has taken over or let pass';
COMMENT ON TABLE csm.major_changes IS 'What children of a case have to follow, in order; kept by csm';
COMMENT ON COLUMN csm.major_changes.id IS 'Identity; taken under the lock of the parent, so in the order of its changes';
COMMENT ON COLUMN csm.major_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.major_changes.case_id IS 'The parent';
COMMENT ON COLUMN csm.major_changes.fields IS 'Columns of the parent that changed; a child takes the value that the parent has when the child follows';
COMMENT ON COLUMN csm.major_changes.entry_id IS 'Entry of the parent that children get as well; NULL for none';
COMMENT ON COLUMN csm.major_changes.closes IS 'The parent was closed, and its children are';
COMMENT ON POLICY case_children_select ON csm.case_children IS 'Staff who work on the child';
COMMENT ON POLICY major_changes_select ON csm.major_changes IS 'Staff who work on the parent';

-- ---- passing down ----

-- Sync is off by default. csm.tenants.settings: {"major": {"sync": true,
-- "fields": [...], "recursive": true}}.
CREATE FUNCTION csm_private.major_fields(tenant_id bigint) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN (m.major -> 'sync') = 'true'
                THEN coalesce((SELECT array_agg(f) FROM jsonb_array_elements_text(m.major -> 'fields') f),
                              '{priority,comments,work_notes,resolution_code,resolution_notes}')
                ELSE '{}' END
    FROM (SELECT t.settings -> 'major' AS major FROM csm.tenants t WHERE t.id = major_fields.tenant_id) m);
END $$;

CREATE FUNCTION csm_private.major_recursive(tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(t.settings -> 'major' -> 'recursive' = 'true', false) FROM csm.tenants t WHERE t.id = major_recursive.tenant_id);
END $$;

-- The parent is locked. A timer that is there already is moved, not left alone:
-- its runner may have looked before this change.
CREATE FUNCTION csm_private.pass_down(tenant_id bigint, case_id bigint, fields text[], entry_id bigint, closes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO csm.major_changes (tenant_id, case_id, fields, entry_id, closes)
    VALUES (tenant_id, case_id, fields, entry_id, closes);
    INSERT INTO csm.timers AS t (tenant_id, kind, object_id, case_id, due_at)
    SELECT c.tenant_id, 'follow_parent', c.id, c.id, clock_timestamp()
    FROM csm.case_children k JOIN csm.cases c ON c.id = k.case_id AND c.tenant_id = k.tenant_id
    WHERE k.parent_id = pass_down.case_id AND k.tenant_id = pass_down.tenant_id AND c.parent_id = k.parent_id
      AND c.state_class NOT IN ('closed', 'cancelled')
    ORDER BY c.id
    ON CONFLICT ON CONSTRAINT timers_pkey DO UPDATE SET due_at = excluded.due_at, attempts = 0, error = NULL;
END $$;

-- Called by the trigger of csm.cases (src/csm_case_follow.c): columns that
-- changed, and whether the major case was closed.
CREATE FUNCTION csm_private.major_changed(tenant_id bigint, case_id bigint, changed text[], closes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    passed CONSTANT text[] := ARRAY(SELECT f FROM unnest(changed) f WHERE f = ANY (csm_private.major_fields(tenant_id)));
BEGIN
    IF closes OR cardinality(passed) > 0 THEN
        PERFORM csm_private.pass_down(tenant_id, case_id, passed, NULL, closes);
    END IF;
END $$;

-- An entry of a major case.  The guard of csm.cases sees to the attention that a
-- work note on a child calls.
CREATE FUNCTION csm_private.family_entry(tenant_id bigint, case_id bigint, entry_id bigint, visibility text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id AND x.tenant_id = family_entry.tenant_id;
    IF c.major_state = 'accepted' AND c.state_class NOT IN ('closed', 'cancelled')
       AND (CASE visibility WHEN 'shared' THEN 'comments' WHEN 'internal' THEN 'work_notes' ELSE '' END) = ANY (csm_private.major_fields(tenant_id)) THEN
        PERFORM csm_private.pass_down(tenant_id, case_id, '{}', entry_id, false);
    END IF;
END $$;
CREATE FUNCTION csm_private.entry_family() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_family' LANGUAGE c;
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_80_family AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_family();

-- The key names the first of the copies, so that parents in a circle copy
-- nothing for ever.
CREATE FUNCTION csm_private.copy_entry(c csm.cases, entry_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e csm.case_entries;
    copy_of text;
    made bigint;
BEGIN
    SELECT * INTO e FROM csm.case_entries x WHERE x.id = entry_id AND x.tenant_id = c.tenant_id;
    copy_of := CASE WHEN e.idempotency_key ~ '^parent:[0-9]+$' AND e.author_id IS NULL THEN e.idempotency_key ELSE 'parent:' || e.id END;
    IF e.id IS NULL
       OR EXISTS (SELECT FROM csm.case_entries x WHERE x.case_id = c.id AND x.author_id IS NULL AND x.idempotency_key = copy_of)
       OR EXISTS (SELECT FROM csm.case_entries x WHERE x.id = split_part(copy_of, ':', 2)::bigint AND x.case_id = c.id) THEN
        RETURN NULL;
    END IF;
    PERFORM csm_private.say_as_system(c.tenant_id, c.id, e.body, e.visibility, copy_of);
    SELECT x.id INTO made FROM csm.case_entries x WHERE x.case_id = c.id AND x.author_id IS NULL AND x.idempotency_key = copy_of;
    RETURN made;
END $$;

CREATE FUNCTION csm_private.due_follow_parent(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
    p csm.cases;
    k csm.case_children;
    todo record;
    changed text[];
    copied bigint;
    entry bigint;
    noted boolean := false;
    relay boolean;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = object_id AND x.tenant_id = due_follow_parent.tenant_id;
    SELECT * INTO p FROM csm.cases x WHERE x.id = c.parent_id AND x.tenant_id = c.tenant_id;
    SELECT * INTO k FROM csm.case_children x WHERE x.parent_id = c.parent_id AND x.case_id = c.id AND x.tenant_id = c.tenant_id;
    SELECT max(m.id) AS last, coalesce(bool_or(m.closes), false) AS closes,
           coalesce(array_agg(m.entry_id ORDER BY m.id) FILTER (WHERE m.entry_id IS NOT NULL), '{}') AS entries,
           coalesce(string_agg(array_to_string(m.fields, ','), ','), '') AS fields
      INTO todo FROM csm.major_changes m WHERE m.case_id = c.parent_id AND m.tenant_id = c.tenant_id AND m.id > k.followed;
    IF todo.last IS NULL THEN
        RETURN;
    END IF;
    UPDATE csm.case_children x SET followed = todo.last
    WHERE x.parent_id = k.parent_id AND x.case_id = k.case_id AND x.tenant_id = k.tenant_id;
    IF c.state_class IN ('resolved', 'closed', 'cancelled') THEN
        RETURN;
    END IF;
    -- A child that is a major case itself passes on by its own triggers.
    relay := c.major_state IS DISTINCT FROM 'accepted' AND csm_private.major_recursive(c.tenant_id)
             AND EXISTS (SELECT FROM csm.case_children x WHERE x.parent_id = c.id AND x.tenant_id = c.tenant_id);

    changed := ARRAY(SELECT DISTINCT f FROM string_to_table(todo.fields, ',') f
                     WHERE CASE f WHEN 'priority' THEN c.priority <> p.priority
                                  WHEN 'resolution_code' THEN c.resolution_code IS DISTINCT FROM p.resolution_code
                                  WHEN 'resolution_notes' THEN c.resolution_notes IS DISTINCT FROM p.resolution_notes
                                  ELSE false END);
    IF cardinality(changed) > 0 THEN
        PERFORM csm_private.begin_system(c.id);
        UPDATE csm.cases x SET
            priority = CASE WHEN 'priority' = ANY (changed) THEN p.priority ELSE x.priority END,
            resolution_code = CASE WHEN 'resolution_code' = ANY (changed) THEN p.resolution_code ELSE x.resolution_code END,
            resolution_notes = CASE WHEN 'resolution_notes' = ANY (changed) THEN p.resolution_notes ELSE x.resolution_notes END
        WHERE x.id = c.id AND x.tenant_id = c.tenant_id;
        IF relay THEN
            PERFORM csm_private.pass_down(c.tenant_id, c.id, changed, NULL, false);
        END IF;
    END IF;
    FOREACH entry IN ARRAY todo.entries LOOP
        copied := csm_private.copy_entry(c, entry);
        IF relay AND copied IS NOT NULL THEN
            PERFORM csm_private.pass_down(c.tenant_id, c.id, '{}', copied, false);
        END IF;
        noted := noted OR copied IS NOT NULL
                 AND (SELECT x.visibility = 'internal' FROM csm.case_entries x WHERE x.id = copied AND x.tenant_id = c.tenant_id);
    END LOOP;
    -- R 2.5: a work note has landed on a child of a major case.
    IF noted AND NOT c.needs_attention THEN
        PERFORM csm_private.begin_system(c.id);
        UPDATE csm.cases x SET needs_attention = true WHERE x.id = c.id AND x.tenant_id = c.tenant_id;
    END IF;
    IF todo.closes AND c.state_class <> 'draft' THEN
        PERFORM csm_private.act_as_system(c.id, 'close_with_parent',
            coalesce(csm_private.type_text(c.tenant_id, c.case_type, 'major_text'),
                     'The cause that this case has in common with others was dealt with; it is closed with them.'),
            jsonb_strip_nulls(jsonb_build_object('resolution_code', p.resolution_code, 'resolution_notes', p.resolution_notes)));
        IF relay THEN
            PERFORM csm_private.pass_down(c.tenant_id, c.id, '{}', NULL, true);
        END IF;
    END IF;
END $$;

-- ---- candidates ----

-- The case, locked, for staff who work on it; as manager where that is asked.
CREATE FUNCTION csm_private.take_candidate(case_id bigint, manager boolean) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT csm_private.case_actors(c) && ARRAY['system', (CASE WHEN manager THEN 'manager' ELSE 'agent' END)] THEN
        RAISE EXCEPTION 'case % is not yours to handle as a major case', c.number USING ERRCODE = '42501',
            HINT = CASE WHEN manager THEN 'That is for managers: case_work and account_manage.' ELSE 'That is for staff who work on it.' END;
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004', DETAIL = format('Its state is "%s".', c.state);
    END IF;
    RETURN c;
END $$;

-- What became of a candidate, with a work note and an event.
CREATE FUNCTION csm_private.set_major_state(c csm.cases, major_state text, note text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM csm_private.begin_system(c.id);
    UPDATE csm.cases x SET major_state = set_major_state.major_state WHERE x.id = c.id AND x.tenant_id = c.tenant_id RETURNING * INTO c;
    PERFORM csm_private.begin_note(c.id, csm.current_user_id() IS NULL);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility)
    VALUES (c.tenant_id, c.id, format('Major case %s', major_state) || coalesce(': ' || note, '.'), 'internal');
    PERFORM csm_private.emit(c.tenant_id, c.id, 'major_' || major_state, '{}', 'internal');
    RETURN c;
END $$;

CREATE FUNCTION csm.propose_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, false);
BEGIN
    IF c.state_class NOT IN ('new', 'open', 'waiting') OR c.major_state IN ('proposed', 'accepted')
       OR c.counterparty_account_id IS NOT NULL THEN
        RAISE EXCEPTION 'case % cannot be proposed as a major case', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s", as a major case it is %s.', c.state, coalesce(c.major_state, 'nothing yet')),
            HINT = 'A candidate is new, open or waiting, neither proposed nor accepted before, and no dispute.';
    END IF;
    RETURN csm_private.set_major_state(c, 'proposed', note);
END $$;

CREATE FUNCTION csm.reject_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, true);
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' THEN
        RAISE EXCEPTION 'case % is not proposed as a major case', c.number USING ERRCODE = 'SM002';
    END IF;
    RETURN csm_private.set_major_state(c, 'rejected', note);
END $$;

CREATE FUNCTION csm.cancel_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, false);
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' THEN
        RAISE EXCEPTION 'case % is not proposed as a major case', c.number USING ERRCODE = 'SM002';
    END IF;
    RETURN csm_private.set_major_state(c, 'cancelled', note);
END $$;

-- Without a customer: the branch is internal and the requester whoever opens it.
CREATE FUNCTION csm_private.open_major(tenant_id bigint, subject text, description text, case_type text, priority integer,
    product_id bigint, attributes jsonb, owner_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    IF owner_id IS NULL THEN
        RAISE EXCEPTION 'a major case needs somebody who is responsible for it' USING ERRCODE = '22004',
            DETAIL = 'Nobody is signed in.', HINT = 'Sign in as a manager.';
    END IF;
    INSERT INTO csm.cases (tenant_id, branch, requester_id, case_type, subject, description, priority, product_id, attributes,
                           channel, major_state)
    VALUES (tenant_id, 'internal', owner_id, case_type, subject, description, priority, product_id, attributes,
            'internal', 'accepted')
    RETURNING * INTO c;
    PERFORM csm_private.emit(tenant_id, c.id, 'major_accepted', '{}', 'internal');
    RETURN c;
END $$;

CREATE FUNCTION csm.open_major(subject text, description text DEFAULT NULL, case_type text DEFAULT 'case',
    priority integer DEFAULT NULL, product_id bigint DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (coalesce(csm.all_in(csm.current_tenant_id(), 'internal', 'account_manage'), false)
            AND coalesce(csm.all_in(csm.current_tenant_id(), 'internal', 'case_work'), false)) THEN
        RAISE EXCEPTION 'permission denied to open a major case' USING ERRCODE = '42501',
            HINT = 'That is for managers: case_work and account_manage in the branch internal.';
    END IF;
    IF product_id IS NOT NULL AND NOT EXISTS (SELECT FROM csm.products p WHERE p.id = open_major.product_id
                                              AND p.tenant_id = csm.current_tenant_id()) THEN
        RAISE EXCEPTION 'there is no product %', product_id USING ERRCODE = '22023', HINT = 'Name a csm.products.id.';
    END IF;
    RETURN csm_private.open_major(csm.current_tenant_id(), subject, description, case_type, priority, product_id, '{}',
                                  csm.current_user_id());
END $$;

CREATE FUNCTION csm.accept_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, true);
    major csm.cases;
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' OR c.state_class NOT IN ('new', 'open', 'waiting') THEN
        RAISE EXCEPTION 'case % cannot be accepted as a major case', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s", as a major case it is %s.', c.state, coalesce(c.major_state, 'nothing yet')),
            HINT = 'It must be proposed, and new, open or waiting.';
    END IF;
    major := csm_private.open_major(c.tenant_id, c.subject, c.description, c.case_type, c.priority, c.product_id, c.attributes,
                                    coalesce(csm.current_user_id(), c.assigned_to));
    PERFORM csm_private.begin_system(c.id);
    UPDATE csm.cases x SET parent_id = major.id, major_state = NULL WHERE x.id = c.id AND x.tenant_id = c.tenant_id;
    PERFORM csm_private.begin_note(c.id, csm.current_user_id() IS NULL);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility)
    VALUES (c.tenant_id, c.id, format('Child of major case %s', major.number) || coalesce(': ' || note, '.'), 'internal');
    RETURN major;
END $$;

-- ---- children for recipients ----

CREATE FUNCTION csm.create_children(major_case_id bigint, list_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most CONSTANT integer := 100000;
    m csm.cases := csm_private.take_candidate(major_case_id, true);
    recipients bigint;
    made bigint;
BEGIN
    -- The lock of the major case lets one at a time create children for it.
    SELECT count(*) INTO recipients FROM csm.recipients r WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id;
    IF m.major_state IS DISTINCT FROM 'accepted' THEN
        RAISE EXCEPTION 'case % is not a major case', m.number USING ERRCODE = 'SM002', HINT = 'Propose and accept one first.';
    ELSIF NOT EXISTS (SELECT FROM csm.recipient_lists l WHERE l.id = create_children.list_id AND l.tenant_id = m.tenant_id) THEN
        RAISE EXCEPTION 'there is no recipient list %', coalesce(list_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Choose one of csm.recipient_lists.';
    ELSIF recipients > most THEN
        RAISE EXCEPTION 'recipient list % is too long', list_id USING ERRCODE = '54000',
            DETAIL = format('It has %s recipients; a list has at most %s.', recipients, most), HINT = 'Split it.';
    END IF;
    WITH new_cases AS (
        INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, case_type, subject, description, priority,
                               product_id, attributes, language, channel, parent_id)
        SELECT m.tenant_id, CASE WHEN r.account_id IS NOT NULL THEN 'b2b' WHEN u.user_id IS NOT NULL THEN 'b2c' ELSE 'internal' END,
               coalesce(r.user_id, k.user_id, m.requester_id), r.account_id, m.case_type, m.subject, m.description, m.priority,
               m.product_id, m.attributes, m.language, 'internal', m.id
        FROM csm.recipients r
        LEFT JOIN csm.consumers u ON u.user_id = r.user_id AND u.tenant_id = r.tenant_id
        -- who manages the account's cases before its other contacts; where there is nobody, the major case's own requester
        LEFT JOIN LATERAL (SELECT x.user_id FROM csm.contacts x
                           WHERE x.account_id = r.account_id AND x.tenant_id = r.tenant_id AND x.login_enabled
                             AND (x.valid_during IS NULL OR x.valid_during @> statement_timestamp())
                           ORDER BY x.role NOT IN ('customer_admin', 'case_manager', 'partner_admin'), x.id LIMIT 1) k ON true
        WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id
          -- NOT IN is hashed whatever the statistics say, which know nothing of children made a moment ago
          AND (r.account_id IS NULL OR r.account_id NOT IN (SELECT x.account_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.account_id IS NOT NULL))
          AND (r.user_id IS NULL OR r.user_id NOT IN (SELECT x.user_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.user_id IS NOT NULL))
        ORDER BY r.id
        RETURNING id, tenant_id, account_id, requester_id
    ), linked AS (
        INSERT INTO csm.case_children (parent_id, case_id, tenant_id, account_id, user_id, created, followed)
        SELECT m.id, n.id, n.tenant_id, n.account_id, CASE WHEN n.account_id IS NULL THEN n.requester_id END, true,
               coalesce((SELECT max(x.id) FROM csm.major_changes x WHERE x.case_id = m.id), 0)
        FROM new_cases n
        RETURNING 1
    )
    SELECT count(*) INTO made FROM linked;
    IF made > 0 THEN
        PERFORM csm_private.emit(m.tenant_id, m.id, 'children_created', jsonb_build_object('created', made, 'list_id', list_id), 'internal');
    END IF;
    RETURN made;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.major_fields(bigint)', NULL, 'What children take over from a major case, by tenants.settings: priority, resolution_code, resolution_notes, comments, work_notes; empty while sync is off'),
        ('csm_private.major_recursive(bigint)', NULL, 'Whether children pass on to their own children what they take over'),
        ('csm_private.pass_down(bigint, bigint, text[], bigint, boolean)', NULL, 'Writes down what the children of a locked case have to follow, and sets their timers'),
        ('csm_private.major_changed(bigint, bigint, text[], boolean)', NULL, 'What children of a major case have to follow, as far as the tenant wants it'),
        ('csm_private.family_entry(bigint, bigint, bigint, text)', NULL, 'Passes an entry of a major case down to its children, as far as the tenant wants it'),
        ('csm_private.entry_family()', NULL, 'AFTER INSERT trigger of csm.case_entries: calls csm_private.family_entry() where the case has a parent or is a major case'),
        ('csm_private.copy_entry(csm.cases, bigint)', NULL, 'Copies an entry of the parent onto the case, once; id of the copy, NULL where it is there already'),
        ('csm_private.due_follow_parent(bigint, bigint, timestamptz)', NULL, 'Handler: a child takes over what its parent wrote down'),
        ('csm_private.take_candidate(bigint, boolean)', NULL, 'Locks a case for staff who work on it, or for managers; errors SM001, 42501, SM004'),
        ('csm_private.set_major_state(csm.cases, text, text)', NULL, 'Writes cases.major_state of a locked case, a work note and an event'),
        ('csm_private.open_major(bigint, text, text, text, integer, bigint, jsonb, bigint)', NULL, 'Makes a major case; error 22004 where nobody is responsible'),
        ('csm.propose_major(bigint, text)', 'csm_agent', 'Proposes a case as a major case: staff who work on it. Errors: SM001 no such case, 42501 not permitted, SM004 closed, SM002 not new, open or waiting, a dispute, or proposed before'),
        ('csm.reject_major(bigint, text)', 'csm_agent', 'Rejects a candidate: managers of the case. Errors: SM001, 42501, SM004, SM002 not proposed'),
        ('csm.cancel_major(bigint, text)', 'csm_agent', 'Takes a proposal back: staff who work on the case. Errors: SM001, 42501, SM004, SM002 not proposed'),
        ('csm.accept_major(bigint, text)', 'csm_agent', 'Accepts a candidate: managers of the case. Makes the major case, whose child the candidate becomes, and returns it. Errors: SM001, 42501, SM004, SM002 not proposed or no longer new, open or waiting'),
        ('csm.open_major(text, text, text, integer, bigint)', 'csm_agent', 'Opens a major case without a candidate: managers with reach all in the branch internal. Errors: 42501 not permitted, 22023 unknown case type or product'),
        ('csm.create_children(bigint, bigint)', 'csm_agent', 'Opens a child of the major case for each recipient of the list who has none yet; returns how many. May be run again, and by several at once. Managers of the case. Errors: SM001, 42501, SM004, SM002 no major case, 22023 no such list, 54000 more than 100,000 recipients')
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

-- Reading events: at least once, in order, each subscriber at his own pace.
--
-- A row of csm.events gets its position from csm.next_events(), and only when
-- it is committed: whoever commits late comes later, and nobody is skipped.
-- What a subscriber receives is judged when it is handed out, by the rule of
-- csm.cases for the person in whose name he reads.

CREATE TABLE csm.event_positions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    last bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_positions_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT event_positions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id)
);
SELECT csm_private.adopt_table('csm.event_positions');
CREATE POLICY event_positions_select ON csm.event_positions FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.event_positions TO csm_admin;

COMMENT ON TABLE csm.event_positions IS 'The last position given in each tenant; its row is locked by the session that gives positions';
COMMENT ON COLUMN csm.event_positions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_positions.last IS 'Highest position in csm.events; grows, also after events were pruned';
COMMENT ON POLICY event_positions_select ON csm.event_positions IS 'Administrators, who start a subscriber at the end';

CREATE TABLE csm.event_subscribers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    user_id bigint NOT NULL,
    kinds text[],
    case_types text[],
    position bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_at timestamptz,
    acknowledged_at timestamptz,
    CONSTRAINT event_subscribers_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT event_subscribers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT event_subscribers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT event_subscribers_key UNIQUE (tenant_id, key),
    CONSTRAINT event_subscribers_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT event_subscribers_position_check CHECK (position >= 0 AND delivered >= 0)
);
SELECT csm_private.adopt_table('csm.event_subscribers');
CREATE POLICY event_subscribers_select ON csm.event_subscribers FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY event_subscribers_write ON csm.event_subscribers FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.event_subscribers TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (key, user_id, kinds, case_types, position), UPDATE (user_id, kinds, case_types), DELETE
    ON csm.event_subscribers TO csm_admin;

COMMENT ON TABLE csm.event_subscribers IS 'Programs that follow the events of a tenant, each with its own place in the order. One that is not used any more is deleted, for it keeps csm.prune_events() from deleting what it has not acknowledged';
COMMENT ON COLUMN csm.event_subscribers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.event_subscribers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_subscribers.key IS 'Name in csm.next_events(), unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.event_subscribers.user_id IS 'Person who reads: events are those of cases that he sees, and only he can ask';
COMMENT ON COLUMN csm.event_subscribers.kinds IS 'Kinds of events wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.case_types IS 'Case types wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.position IS 'Acknowledged so far; a new subscriber begins after it: 0 with the oldest event that is kept, csm.event_positions.last with the next one';
COMMENT ON COLUMN csm.event_subscribers.delivered IS 'Highest position handed out to him';
COMMENT ON COLUMN csm.event_subscribers.created_at IS 'When the subscriber was made';
COMMENT ON COLUMN csm.event_subscribers.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_subscribers.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON POLICY event_subscribers_select ON csm.event_subscribers IS 'Everyone his own; administrators all';
COMMENT ON POLICY event_subscribers_write ON csm.event_subscribers IS 'Administrators make and delete subscribers';

-- The subscriber of the caller, locked: of two readers at once, one waits.
CREATE FUNCTION csm_private.own_subscriber(subscriber text) RETURNS csm.event_subscribers
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s csm.event_subscribers;
BEGIN
    SELECT * INTO s FROM csm.event_subscribers x
    WHERE x.key = subscriber AND x.user_id = csm.current_user_id() AND x.tenant_id = csm.current_tenant_id()
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no subscriber "%" of yours', subscriber USING ERRCODE = '42501',
            HINT = 'An administrator makes subscribers in csm.event_subscribers; only the person named there may ask.';
    END IF;
    RETURN s;
END $$;
ALTER FUNCTION csm_private.own_subscriber(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.own_subscriber(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.own_subscriber(text) IS
'The subscriber of that key whose person is signed in, its row locked; 42501 for a missing one and for another person''s';

-- One session at a time gives positions, and holds the lock until it commits;
-- who finds it taken reads what has its position already.  A row lock and no
-- advisory one, which any client could hold.
--
-- The second statement begins after the lock was taken, so it sees every
-- position given before.  Under REPEATABLE READ it may not, and fails (40001).
-- Within a case, what has the lower id committed first: whenever a row is seen
-- here, so are those of its case that come before it.
CREATE FUNCTION csm_private.give_positions(tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last bigint;
    given bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM csm.event_positions p WHERE p.tenant_id = tenant_id) THEN
        INSERT INTO csm.event_positions (tenant_id) VALUES (tenant_id) ON CONFLICT DO NOTHING;
    END IF;
    SELECT p.last INTO last FROM csm.event_positions p WHERE p.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH waiting AS (
        SELECT e.id, row_number() OVER (ORDER BY e.id) AS n
        FROM (SELECT x.id FROM csm.events x
              WHERE x.tenant_id = tenant_id AND x.position IS NULL ORDER BY x.id LIMIT 10000) e
    ), placed AS (
        UPDATE csm.events e SET position = last + w.n
        FROM waiting w WHERE e.id = w.id AND e.tenant_id = tenant_id
        RETURNING e.id
    )
    SELECT count(*) INTO given FROM placed;
    IF given > 0 THEN
        UPDATE csm.event_positions p SET last = p.last + given WHERE p.tenant_id = tenant_id;
    END IF;
END $$;
ALTER FUNCTION csm_private.give_positions(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.give_positions(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.give_positions(bigint) IS
'Gives the next positions to committed events of the tenant, in the order of ids, up to 10,000; does nothing while another session does it';

CREATE FUNCTION csm.next_events(subscriber text, "limit" integer DEFAULT 100) RETURNS SETOF csm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Hidden events are passed by, but not without end in one call.
    most CONSTANT integer := 100000;
    s csm.event_subscribers := csm_private.own_subscriber(subscriber);
    found record;
    n integer := 0;
    skipped bigint := s.position;
    handed bigint := s.delivered;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit of csm.next_events() must be between 1 and 10000' USING ERRCODE = '22023',
            DETAIL = format('It is %s.', coalesce("limit"::text, 'null')), HINT = 'Ask for what you can handle before you acknowledge.';
    END IF;
    PERFORM csm_private.give_positions(s.tenant_id);
    FOR found IN
        SELECT e, e.position AS at,
               (s.kinds IS NULL OR e.kind = ANY (s.kinds)) AND (s.case_types IS NULL OR c.case_type = ANY (s.case_types))
               AND csm_private.case_allows(c, CASE e.audience WHEN 'internal' THEN 'case_work' ELSE 'case_read' END)
               AND (e.audience <> 'private' OR csm_private.case_side_allows(c, e.side)) AS wanted
        FROM csm.events e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
        WHERE e.tenant_id = s.tenant_id AND e.position > s.position
        ORDER BY e.position LIMIT most
    LOOP
        IF found.wanted THEN
            n := n + 1;
            handed := greatest(handed, found.at);
            RETURN NEXT found.e;
            EXIT WHEN n = "limit";
        ELSIF n = 0 THEN
            skipped := found.at;
        END IF;
    END LOOP;
    handed := greatest(handed, skipped);
    IF (skipped, handed) IS DISTINCT FROM (s.position, s.delivered)
       OR s.asked_at IS NULL OR s.asked_at < clock_timestamp() - interval '1 minute' THEN
        UPDATE csm.event_subscribers x SET position = skipped, delivered = handed, asked_at = clock_timestamp()
        WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.next_events(text, integer) IS
'The next events of a subscriber after what he acknowledged, in the order of positions: the same again until csm.acknowledge(). Call it in a transaction of its own, read-write; positions hold once that has committed, id tells a repeated event. Only events of cases that the caller sees now, of the kinds and types wanted; an empty answer means none for now. Errors: 42501 not the caller''s subscriber, 22023 limit outside 1 to 10000, 40001 under REPEATABLE READ when another session gave positions meanwhile';

CREATE FUNCTION csm.acknowledge(subscriber text, "position" bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s csm.event_subscribers := csm_private.own_subscriber(subscriber);
BEGIN
    IF acknowledge.position IS NULL THEN
        RAISE EXCEPTION 'position of csm.acknowledge() is null' USING ERRCODE = '22004',
            HINT = 'Give the position of the last event that was handled.';
    ELSIF acknowledge.position > greatest(s.position, s.delivered) THEN
        RAISE EXCEPTION 'subscriber "%" cannot acknowledge what was not delivered', subscriber USING ERRCODE = '22023',
            DETAIL = format('Position %s; delivered so far: %s.', acknowledge.position, greatest(s.position, s.delivered)),
            HINT = 'A delivery counts once the transaction of csm.next_events() has committed.';
    ELSIF acknowledge.position > s.position THEN
        UPDATE csm.event_subscribers x SET position = acknowledge.position, acknowledged_at = clock_timestamp()
        WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
        RETURN acknowledge.position;
    END IF;
    RETURN s.position;
END $$;
COMMENT ON FUNCTION csm.acknowledge(text, bigint) IS
'Says that the subscriber has handled every event up to the position; returns how far he is. Never goes back. Errors: 42501 not the caller''s subscriber, 22023 beyond what was delivered, 22004 null';

CREATE FUNCTION csm_private.events_waiting(tenant_id bigint, "position" bigint, OUT waiting bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm.all_in(tenant_id, 'internal', 'configure') THEN
        RAISE EXCEPTION 'the lag of subscribers is for administrators' USING ERRCODE = '42501',
            HINT = 'Your own row of csm.event_subscribers tells how far you are.';
    END IF;
    SELECT count(*), min(e.created_at) INTO waiting, oldest
    FROM (SELECT x.created_at FROM csm.events x
          WHERE x.tenant_id = events_waiting.tenant_id AND x.position > events_waiting.position
          UNION ALL
          SELECT x.created_at FROM csm.events x WHERE x.tenant_id = events_waiting.tenant_id AND x.position IS NULL) e;
END $$;
COMMENT ON FUNCTION csm_private.events_waiting(bigint, bigint) IS
'How many events of the tenant stand after a position or wait for one, and the time of the oldest (NULL for none); for administrators (42501)';

CREATE VIEW csm.event_lag WITH (security_invoker = true) AS
    SELECT s.tenant_id, s.key, s.user_id, s.position, s.delivered, w.waiting, w.oldest, s.asked_at, s.acknowledged_at
    FROM csm.event_subscribers s CROSS JOIN LATERAL csm_private.events_waiting(s.tenant_id, s.position) w;
ALTER VIEW csm.event_lag OWNER TO csm_owner;
REVOKE ALL ON csm.event_lag FROM PUBLIC;
GRANT SELECT ON csm.event_lag TO csm_admin;
COMMENT ON VIEW csm.event_lag IS 'How far each subscriber of the tenant is behind; for administrators';
COMMENT ON COLUMN csm.event_lag.tenant_id IS 'Tenant of the subscriber';
COMMENT ON COLUMN csm.event_lag.key IS 'The subscriber';
COMMENT ON COLUMN csm.event_lag.user_id IS 'Person who reads';
COMMENT ON COLUMN csm.event_lag.position IS 'Acknowledged so far';
COMMENT ON COLUMN csm.event_lag.delivered IS 'Handed out so far';
COMMENT ON COLUMN csm.event_lag.waiting IS 'Events of the tenant after that, also those that he will not be shown';
COMMENT ON COLUMN csm.event_lag.oldest IS 'When the oldest of them happened; NULL for none';
COMMENT ON COLUMN csm.event_lag.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_lag.acknowledged_at IS 'When he last acknowledged something new; NULL for never';

-- Without subscribers there is nobody to wait for, so also what never got a
-- position goes when it is old enough.
CREATE FUNCTION csm.prune_events(keep interval DEFAULT '30 days', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
    before CONSTANT timestamptz := clock_timestamp() - keep;
    deleted bigint;
BEGIN
    IF NOT everywhere AND (mine IS NULL OR NOT csm.all_in(mine, 'internal', 'configure')) THEN
        RAISE EXCEPTION 'events are pruned by administrators' USING ERRCODE = '42501',
            HINT = 'Connect as csm_admin of the tenant, or as a member of csm_owner without identity.';
    ELSIF keep IS NULL OR keep < interval '0' OR "limit" IS NULL OR "limit" < 1 THEN
        RAISE EXCEPTION 'keep must not be negative and limit must be at least 1' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(keep::text, 'null'), coalesce("limit"::text, 'null')),
            HINT = 'Leave them out for 30 days and 10,000 rows.';
    END IF;
    WITH handled AS (
        SELECT t.id AS tenant_id, (SELECT min(s.position) FROM csm.event_subscribers s WHERE s.tenant_id = t.id) AS position
        FROM csm.tenants t WHERE everywhere OR t.id = mine
    ), old AS (
        SELECT o.id, o.tenant_id
        FROM handled h CROSS JOIN LATERAL (
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND e.position <= coalesce(h.position, 9223372036854775807) AND e.created_at < before
            UNION ALL
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND h.position IS NULL AND e.position IS NULL AND e.created_at < before) o
        LIMIT "limit"
    ), gone AS (
        DELETE FROM csm.events e USING old o WHERE e.id = o.id AND e.tenant_id = o.tenant_id RETURNING 1
    )
    SELECT count(*) INTO deleted FROM gone;
    RETURN deleted;
END $$;
COMMENT ON FUNCTION csm.prune_events(interval, integer) IS
'Deletes events older than keep that every subscriber of their tenant has acknowledged (all old ones where there is no subscriber), up to limit rows; returns how many. Administrators for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023 negative keep or limit below 1';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.next_events(text, integer)',
        'csm.acknowledge(text, bigint)',
        'csm.prune_events(interval, integer)',
        'csm_private.events_waiting(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.next_events(text, integer), csm.acknowledge(text, bigint) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.prune_events(interval, integer), csm_private.events_waiting(bigint, bigint) TO csm_admin;

-- How much one consumer may make of the portal: new cases and comments a day,
-- attachments, registered products.
--
-- Enforced in C for every writer of the portal (src/csm_quota.c).  Numbers are
-- the tenant's: csm.tenants.settings, key "quotas".

-- Defaults: R 1B, B44.
CREATE FUNCTION csm_private.quota(settings jsonb, quota text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'quotas' ? quota THEN (settings->'quotas'->>quota)::integer
            ELSE CASE quota WHEN 'cases_per_day' THEN 10 WHEN 'comments_per_day' THEN 25
                            WHEN 'attachments' THEN 5 WHEN 'products' THEN 25 END END;
ALTER FUNCTION csm_private.quota(jsonb, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.quota(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.quota(jsonb, text) IS
'A quota from the settings of a tenant, or its default; NULL means no limit. Quotas: cases_per_day 10, comments_per_day 25 (per case), attachments 5 (per record), products 25';

-- What csm itself reads has the right form; a quota is null or a whole number.
ALTER TABLE csm.tenants ADD CONSTRAINT tenants_known_settings_check CHECK (
    (NOT settings ? 'event_notify' OR jsonb_typeof(settings->'event_notify') = 'boolean')
    AND (NOT settings ? 'use_asset_contacts' OR jsonb_typeof(settings->'use_asset_contacts') = 'boolean')
    AND (NOT settings ? 'seal_minutes' OR settings->>'seal_minutes' ~ '^[1-9][0-9]{0,5}$')
    AND (NOT settings ? 'max_attachments' OR settings->>'max_attachments' ~ '^[0-9]{1,9}$')
    AND (NOT settings ? 'max_attachment_bytes' OR settings->>'max_attachment_bytes' ~ '^[0-9]{1,9}$')
    AND (NOT settings ? 'quotas' OR jsonb_typeof(settings->'quotas') = 'object'
         AND (settings->'quotas') - '{cases_per_day,comments_per_day,attachments,products}'::text[] = '{}'
         AND NOT jsonb_path_exists(settings->'quotas', 'strict $.keyvalue().value ? (@ != null
             && (@.type() != "number" || @ < 0 || @ > 1000000 || @.floor() != @))')));
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object. csm reads event_notify (true: NOTIFY with each event; off by default, because it makes commits wait for one another), use_asset_contacts (true: plain contacts see only install-base items that they are linked to), seal_minutes (between two seals of the history; 60), max_attachments (of a case; 100) and max_attachment_bytes (of one content; 10485760), unless the case type says otherwise, and quotas (cases_per_day 10, comments_per_day 25, attachments 5, products 25; null: no limit)';

CREATE FUNCTION csm_private.case_quota() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_quota' LANGUAGE c;
ALTER FUNCTION csm_private.case_quota() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_quota() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.case_quota() IS
'AFTER INSERT trigger of csm.cases: SM007 when a person opened more consumer cases through the portal in 24 hours than the tenant allows';

CREATE FUNCTION csm_private.entry_quota() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_quota' LANGUAGE c;
ALTER FUNCTION csm_private.entry_quota() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_quota() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.entry_quota() IS
'AFTER INSERT trigger of csm.case_entries: SM007 when a person commented more often on a consumer case through the portal in 24 hours than the tenant allows';

CREATE FUNCTION csm_private.enforce_quota(tenant_id bigint, quota text, used bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_enforce_quota' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.enforce_quota(bigint, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) IS
'SM007 when used, which counts what is being added, exceeds the quota; nothing for staff, the system, importing and restoring. The caller has locked what it counted, and asks for consumers only. Error 22023 for an unknown quota';

CREATE TRIGGER cases_20_quota AFTER INSERT ON csm.cases
    FOR EACH ROW WHEN (NEW.branch = 'b2c' AND NEW.opened_by IS NOT NULL)
    EXECUTE FUNCTION csm_private.case_quota();
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_30_quota AFTER INSERT ON csm.case_entries
    FOR EACH ROW WHEN (NEW.branch = 'b2c' AND NEW.author_id IS NOT NULL)
    EXECUTE FUNCTION csm_private.entry_quota();

-- csm.run_due(): everything that time does.
--
-- One call is one transaction. A crash leaves every timer that the call had
-- claimed as it was. Items are worked off in groups, one subtransaction a
-- group (a subtransaction an item would overflow what other sessions' snapshots
-- keep of them); where an item fails, its group is done again item by item, and
-- the one that fails is put off, longer each time, and never dropped.

-- One line a kind, in the order of the module files. The timer is gone already:
-- the handler may set it anew.
CREATE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'follow_parent' THEN PERFORM csm_private.due_follow_parent(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;

-- What became of each timer: done, or busy where somebody has the case in hand
-- and the timer stays. Nothing here waits for the lock of a case.
CREATE FUNCTION csm_private.run_group(claimed csm.timers[], at timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.timers;
    free bigint[];
    reminders bigint[];
    closings bigint[];
    outcomes text[] := '{}'::text[];
BEGIN
    free := ARRAY(SELECT c.id FROM csm.cases c
                  WHERE c.id = ANY (ARRAY(SELECT u.case_id FROM unnest(claimed) u WHERE u.case_id IS NOT NULL))
                  ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED);
    DELETE FROM csm.timers d USING unnest(claimed) u
    WHERE d.kind = u.kind AND d.object_id = u.object_id AND d.tenant_id = u.tenant_id
      AND (u.case_id IS NULL OR u.case_id = ANY (free));
    FOREACH t IN ARRAY claimed LOOP
        IF t.case_id IS NOT NULL AND t.case_id <> ALL (free) THEN
            outcomes := outcomes || 'busy'::text;
            CONTINUE;
        ELSIF t.kind = 'auto_close_reminder' THEN
            reminders := reminders || t.object_id;
        ELSIF t.kind = 'auto_close' THEN
            closings := closings || t.object_id;
        ELSE
            PERFORM csm_private.run_timer(t, at);
        END IF;
        outcomes := outcomes || 'done'::text;
    END LOOP;
    IF reminders IS NOT NULL THEN
        PERFORM csm_private.due_auto_close_reminder(reminders, at);
    END IF;
    IF closings IS NOT NULL THEN
        PERFORM csm_private.due_auto_close(closings, at);
    END IF;
    RETURN outcomes;
END $$;

-- Runs as csm_owner whoever asks; only csm.run_due() and csm.run_due_in(), which
-- check the caller, may execute it.
CREATE FUNCTION csm_private.run_timers(now timestamptz, "limit" integer, only_tenant bigint)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    group_size CONSTANT integer := 100;
    left_over integer := run_timers."limit";
    seen csm.timers;
    claimed csm.timers[];
    t csm.timers;
    cause text;
    of_group text[];
    kinds text[] := '{}'::text[];
    outcomes text[] := '{}'::text[];
BEGIN
    IF run_timers.now IS NULL OR run_timers."limit" IS NULL OR run_timers."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023',
            HINT = 'Leave them out for the clock and 10,000 timers.';
    END IF;
    seen.due_at := '-infinity';
    seen.kind := '';
    seen.object_id := 0;
    LOOP
        SELECT array_agg(x.d ORDER BY (x.d).due_at, (x.d).kind, (x.d).object_id) INTO claimed
        FROM (SELECT d FROM csm.timers d
              WHERE d.due_at <= run_timers.now AND (d.due_at, d.kind, d.object_id) > (seen.due_at, seen.kind, seen.object_id)
                AND (only_tenant IS NULL OR d.tenant_id = only_tenant)
              ORDER BY d.due_at, d.kind, d.object_id
              LIMIT least(group_size, left_over) FOR UPDATE SKIP LOCKED) x;
        EXIT WHEN claimed IS NULL;
        seen := claimed[cardinality(claimed)];
        left_over := left_over - cardinality(claimed);

        BEGIN
            of_group := csm_private.run_group(claimed, run_timers.now);
        EXCEPTION WHEN OTHERS THEN
            of_group := '{}';
            FOREACH t IN ARRAY claimed LOOP
                BEGIN
                    of_group := of_group || csm_private.run_group(ARRAY[t], run_timers.now);
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS cause = MESSAGE_TEXT;
                    cause := SQLSTATE || ': ' || cause;
                    -- 1, 2, 4 ... minutes later, at most a day
                    UPDATE csm.timers d
                    SET attempts = d.attempts + 1, error = left(cause, 1000),
                        due_at = run_timers.now + least(interval '1 minute' * 2 ^ least(d.attempts, 11), interval '1 day')
                    WHERE d.kind = t.kind AND d.object_id = t.object_id AND d.tenant_id = t.tenant_id;
                    of_group := of_group || 'failed'::text;
                END;
            END LOOP;
        END;
        FOREACH t IN ARRAY claimed LOOP
            kinds := kinds || t.kind;
        END LOOP;
        outcomes := outcomes || of_group;
        EXIT WHEN left_over <= 0;
    END LOOP;
    RETURN QUERY
        SELECT u.kind, count(*) FILTER (WHERE u.outcome = 'done'), count(*) FILTER (WHERE u.outcome = 'failed'),
               count(*) FILTER (WHERE u.outcome = 'busy')
        FROM unnest(kinds, outcomes) u(kind, outcome) GROUP BY u.kind ORDER BY u.kind;
END $$;

CREATE FUNCTION csm.run_due_in(tenant_id bigint, now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.acts_as_system() THEN
        IF NOT coalesce(csm.all_in(run_due_in.tenant_id, 'internal', 'configure'), false) THEN
            RAISE EXCEPTION 'permission denied to run what is due' USING ERRCODE = '42501',
                HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
        ELSIF run_due_in.now > clock_timestamp() THEN
            RAISE EXCEPTION 'what is not due yet cannot be run' USING ERRCODE = '42501',
                DETAIL = format('The time given is %s.', run_due_in.now), HINT = 'Leave now out.';
        END IF;
    END IF;
    RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due_in.now, run_due_in."limit", run_due_in.tenant_id) r;
END $$;

-- Runs with the rights of its caller: who has those of csm_owner runs it for
-- all tenants.
CREATE FUNCTION csm.run_due(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due.now, run_due."limit", NULL) r;
    ELSE
        RETURN QUERY SELECT r.* FROM csm.run_due_in(csm.current_tenant_id(), run_due.now, run_due."limit") r;
    END IF;
END $$;

-- pg_cron runs the job as whoever calls this. The texts are constants: nothing
-- of cron exists where the extension is not installed.
CREATE FUNCTION csm.schedule(schedule text DEFAULT '* * * * *', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call text;
    job bigint;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to schedule csm.run_due()' USING ERRCODE = '42501',
            HINT = 'Only a superuser or a member of csm_owner may call csm.schedule().';
    ELSIF schedule."limit" IS NULL OR schedule."limit" < 1 THEN
        RAISE EXCEPTION 'limit must not be null nor less than 1' USING ERRCODE = '22023',
            HINT = 'Leave it out for 10,000 timers a run.';
    ELSIF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RAISE EXCEPTION 'extension "pg_cron" is not installed in database "%"', current_database() USING ERRCODE = '55000',
            DETAIL = 'Without it another scheduler has to run csm.run_due().',
            HINT = format('CREATE EXTENSION pg_cron; where it lives in another database, run there: '
                          'SELECT cron.schedule_in_database(''csm'', ''* * * * *'', ''SELECT csm.run_due()'', %L);', current_database());
    END IF;
    call := 'SELECT cron.schedule($1, $2, $3)';
    EXECUTE call INTO job
        USING 'csm', schedule.schedule, format('SELECT csm.run_due("limit" => %s)', schedule."limit");
    RETURN job;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.run_timer(csm.timers, timestamptz)',
        'csm_private.run_group(csm.timers[], timestamptz)',
        'csm_private.run_timers(timestamptz, integer, bigint)',
        'csm.run_due_in(bigint, timestamptz, integer)',
        'csm.run_due(timestamptz, integer)',
        'csm.schedule(text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.run_due_in(bigint, timestamptz, integer), csm.run_due(timestamptz, integer) TO csm_admin;
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';

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

