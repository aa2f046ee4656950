-- Which roles a customer's administrator may give (R A14): never above his own.
-- Compared is what the role would permit on that account with what he himself
-- may do there, through whichever persona; so one who administers an account
-- from outside gives no right that he has at home alone.

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_assignable_roles_check CHECK (
    NOT settings ? 'assignable_roles' OR jsonb_typeof(settings->'assignable_roles') = 'array');

CREATE FUNCTION csm_private.role_within(account_id bigint, role text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.all_in(csm.current_tenant_id(), 'b2b', 'account_manage')
        OR csm.account_allows(role_within.account_id, 'contact_manage') AND NOT EXISTS (
            SELECT FROM csm.role_permissions p
            WHERE p.role = role_within.role AND p.tenant_id = csm.current_tenant_id() AND p.reach IN ('account', 'subtree', 'related')
              -- what every contact has is above nobody
              AND NOT EXISTS (SELECT FROM csm.role_permissions c
                              WHERE c.role = 'customer' AND c.tenant_id = p.tenant_id AND c.action = p.action AND c.reach = p.reach)
              AND CASE p.reach
                  WHEN 'account' THEN csm.account_allows(role_within.account_id, p.action) IS NOT TRUE
                  WHEN 'subtree' THEN EXISTS (SELECT FROM csm_private.subtree(role_within.account_id, p.tenant_id) AS s(id)
                                              WHERE csm.account_allows(s.id, p.action) IS NOT TRUE)
                  ELSE NOT EXISTS (
                      SELECT FROM csm.contacts k
                      JOIN csm.role_permissions own ON own.role = k.role AND own.tenant_id = k.tenant_id
                                                   AND own.action = p.action AND own.reach = 'related'
                      WHERE k.user_id = csm.current_user_id() AND k.account_id = role_within.account_id AND k.tenant_id = p.tenant_id
                        AND k.login_enabled AND csm_private.is_valid(k.valid_during, statement_timestamp())
                        AND coalesce(nullif(current_setting('csm.persona', true), ''), 'contact:' || k.id) = 'contact:' || k.id)
                  END), false)
$$;
ALTER FUNCTION csm_private.role_within(bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.role_within(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.role_within(bigint, text) IS
'Whether the role permits a contact of the account nothing that the caller, who manages its contacts, may not do there himself. True for staff with account_manage; false for nobody and where he does not manage them';
