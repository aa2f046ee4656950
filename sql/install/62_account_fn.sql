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
