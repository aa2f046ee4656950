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
