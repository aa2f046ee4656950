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
