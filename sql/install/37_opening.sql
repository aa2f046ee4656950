-- May the portal open this case?  Checked after the trigger has filled in what
-- was left out; false for a hidden and for a missing reference alike, so that a
-- foreign key never speaks to a portal role.
CREATE OR REPLACE FUNCTION csm_private.may_open(c csm.cases) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- for whom he acts, if he does (csm.on_behalf_of())
    me CONSTANT bigint := csm_private.person_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF me IS NULL OR c.opened_by IS DISTINCT FROM csm.current_user_id() THEN
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
-- Most cases name nothing that the map does not know.
CREATE FUNCTION csm_private.may_open_plainly(c csm.cases) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_may_open_plainly' LANGUAGE c STABLE STRICT;
ALTER FUNCTION csm_private.may_open_plainly(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_open_plainly(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_open_plainly(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.may_open_plainly(csm.cases) IS
'True only where csm_private.may_open() is: the person asks for himself, or for whom he represents, and the case names no counterparty, partner or product';
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';
