-- Ends the install and every update: refuses a catalogue that breaks a rule of
-- the house.  Tests call the function too.  Only members of the extension are
-- judged, and only the roles of csm: what a DBA adds in his own name is his.

CREATE OR REPLACE FUNCTION csm_private.verify_install()
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
    ), named_type AS (
        -- not the row or the array of a table: some versions list those as members too
        SELECT t.oid, t.typowner, t.typcategory, format('type %s', t.oid::regtype) AS name
        FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
        LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
        LEFT JOIN pg_class c ON c.oid = coalesce(e.typrelid, t.typrelid)
        WHERE coalesce(c.relkind, 'c') = 'c'
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
          UNION ALL SELECT t.name, t.typowner FROM named_type t)
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
          UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, t.name FROM named_type t WHERE t.typcategory <> 'A'
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
