-- Slow definitions, in plain SQL over base tables, of what the case rules do not say: who may open a case, and who sees
-- the rows of the other tables. csm_private.access_reasons() defines who sees a case. To be run after world.sql.

-- Each account with itself and everything above it, by parent_id.
CREATE FUNCTION world.closure(tenant bigint) RETURNS TABLE (account_id bigint, ancestor_id bigint) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up(account_id, ancestor_id, parent_id) AS (
        SELECT a.id, a.id, a.parent_id FROM csm.accounts a WHERE a.tenant_id = tenant
      UNION ALL
        SELECT up.account_id, a.id, a.parent_id FROM up JOIN csm.accounts a ON a.id = up.parent_id
    )
    SELECT up.account_id, up.ancestor_id FROM up
$$;

-- Which persona gives a person which action on which account, whatever the case; staff by team, flagged.
-- action NULL: the person belongs to the account, his role notwithstanding.
CREATE FUNCTION world.account_rights(tenant bigint, at_time timestamptz)
RETURNS TABLE (user_id bigint, account_id bigint, action text, persona text, staff boolean) LANGUAGE sql STABLE AS $$
    WITH closure AS MATERIALIZED (SELECT * FROM world.closure(tenant)),
    k AS (
        SELECT k.* FROM csm.contacts k
        JOIN csm.users u ON u.id = k.user_id AND u.enabled
        JOIN csm.tenants t ON t.id = k.tenant_id AND t.enabled
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    ),
    related AS (
        SELECT r.partner_account_id, x.account_id, r.administers
        FROM csm.account_relationships r
        JOIN closure x ON x.ancestor_id = r.customer_account_id
        WHERE r.tenant_id = tenant AND r.type = 'partner_of' AND (r.valid_during IS NULL OR r.valid_during @> at_time)
          AND (r.include_descendants OR x.account_id = r.customer_account_id)
    )
    SELECT k.user_id, k.account_id, NULL, 'contact:' || k.id, false FROM k
  UNION
    SELECT k.user_id, x.account_id, p.action, 'contact:' || k.id, false
    FROM k JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = tenant AND p.reach IN ('account', 'subtree')
    JOIN closure x ON x.ancestor_id = k.account_id AND (p.reach = 'subtree' OR x.account_id = k.account_id)
    WHERE p.action <> 'case_work'
  UNION
    SELECT k.user_id, r.account_id, p.action, 'contact:' || k.id, false
    FROM k JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = tenant AND p.reach = 'related'
    JOIN related r ON r.partner_account_id = k.account_id
    WHERE p.action NOT IN ('contact_read', 'contact_manage') OR r.administers
  UNION
    SELECT t.member_id, t.account_id, p.action, 'staff:' || a.role, true
    FROM csm.account_team t
    JOIN csm.users u ON u.id = t.member_id AND u.enabled
    JOIN csm.user_roles a ON a.user_id = t.member_id
    JOIN csm.roles r ON r.role = a.role AND r.tenant_id = tenant AND r.kind = 'staff'
    JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = tenant
    WHERE t.tenant_id = tenant AND t.account_id IS NOT NULL
      AND (t.valid_during IS NULL OR t.valid_during @> at_time) AND (a.valid_during IS NULL OR a.valid_during @> at_time)
      AND p.reach IN ('team', 'organization', 'all') AND coalesce(a.reach, p.reach) = 'team'
      AND 'b2b' = ANY (r.branches) AND (a.branches IS NULL OR 'b2b' = ANY (a.branches))
$$;

-- Reach all of staff roles.
CREATE FUNCTION world.all_rights(tenant bigint, at_time timestamptz)
RETURNS TABLE (user_id bigint, branch text, action text, persona text) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT a.user_id, b.branch, p.action, 'staff:' || a.role
    FROM csm.user_roles a
    JOIN csm.users u ON u.id = a.user_id AND u.enabled
    JOIN csm.roles r ON r.role = a.role AND r.tenant_id = tenant AND r.kind = 'staff'
    JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = tenant
    CROSS JOIN unnest(r.branches) b(branch)
    WHERE a.tenant_id = tenant AND (a.valid_during IS NULL OR a.valid_during @> at_time)
      AND p.reach IN ('team', 'organization', 'all') AND coalesce(a.reach, p.reach) = 'all' AND (a.branches IS NULL OR b.branch = ANY (a.branches))
$$;

-- For whom a person speaks in consumer matters (V6), and over which households he has a say; staff by team, flagged.
CREATE FUNCTION world.consumer_rights(tenant bigint, at_time timestamptz)
RETURNS TABLE (user_id bigint, for_id bigint, household_id bigint, staff boolean) LANGUAGE sql STABLE AS $$
    WITH m AS (
        SELECT m.household_id, m.user_id FROM csm.household_members m
        WHERE m.tenant_id = tenant AND (m.valid_during IS NULL OR m.valid_during @> at_time)
    ),
    head AS (
        SELECT h.head_user_id AS user_id, h.id FROM csm.households h
        JOIN csm.users u ON u.id = h.head_user_id AND u.enabled
        JOIN m ON m.household_id = h.id AND m.user_id = h.head_user_id
        WHERE h.tenant_id = tenant
    ),
    team AS (
        SELECT DISTINCT t.member_id, t.user_id, t.household_id
        FROM csm.account_team t
        JOIN csm.users u ON u.id = t.member_id AND u.enabled
        JOIN csm.user_roles a ON a.user_id = t.member_id
        JOIN csm.roles r ON r.role = a.role AND r.tenant_id = tenant AND r.kind = 'staff'
        JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = tenant AND p.action = 'case_read'
        WHERE t.tenant_id = tenant
          AND (t.valid_during IS NULL OR t.valid_during @> at_time) AND (a.valid_during IS NULL OR a.valid_during @> at_time)
          AND p.reach IN ('team', 'organization', 'all') AND coalesce(a.reach, p.reach) = 'team'
          AND 'b2c' = ANY (r.branches) AND (a.branches IS NULL OR 'b2c' = ANY (a.branches))
    )
    SELECT c.user_id, c.user_id, NULL::bigint, false
    FROM csm.consumers c JOIN csm.users u ON u.id = c.user_id AND u.enabled WHERE c.tenant_id = tenant
  UNION
    SELECT h.user_id, m.user_id, NULL, false FROM head h JOIN m ON m.household_id = h.id
  UNION
    SELECT h.user_id, NULL, h.id, false FROM head h
  UNION
    SELECT p.representative_id, p.represented_id, NULL, false
    FROM csm.representations p JOIN csm.users u ON u.id = p.representative_id AND u.enabled
    WHERE p.tenant_id = tenant AND (p.valid_during IS NULL OR p.valid_during @> at_time)
      AND (p.household_id IS NULL OR 2 = (SELECT count(DISTINCT m.user_id) FROM m
                                          WHERE m.household_id = p.household_id
                                            AND m.user_id IN (p.representative_id, p.represented_id)))
  UNION
    SELECT t.member_id, t.user_id, NULL, true FROM team t WHERE t.user_id IS NOT NULL
  UNION
    SELECT t.member_id, m.user_id, t.household_id, true FROM team t JOIN m ON m.household_id = t.household_id
  UNION
    SELECT t.member_id, NULL, t.household_id, true FROM team t WHERE t.household_id IS NOT NULL
$$;

-- All of it computed once; the functions below read these tables.
CREATE TABLE world.account_right (tenant_id bigint, user_id bigint, account_id bigint, action text, persona text, staff boolean);
CREATE TABLE world.all_right (tenant_id bigint, user_id bigint, branch text, action text, persona text);
CREATE TABLE world.consumer_right (tenant_id bigint, user_id bigint, for_id bigint, household_id bigint, staff boolean);
CREATE TABLE world.reason (tenant_id bigint, user_id bigint, case_id bigint, rule text, role text, via text, actions text[], staff boolean, persona text);
CREATE INDEX ON world.account_right (user_id, account_id);
CREATE INDEX ON world.all_right (user_id);
CREATE INDEX ON world.consumer_right (user_id);
CREATE INDEX ON world.reason (user_id, case_id);

CREATE FUNCTION world.compute(at_time timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t bigint;
BEGIN
    TRUNCATE world.account_right, world.all_right, world.consumer_right, world.reason;
    FOR t IN SELECT id FROM world.tenants LOOP
        INSERT INTO world.account_right SELECT t, r.* FROM world.account_rights(t, at_time) r;
        INSERT INTO world.all_right SELECT t, r.* FROM world.all_rights(t, at_time) r;
        INSERT INTO world.consumer_right SELECT t, r.* FROM world.consumer_rights(t, at_time) r;
        INSERT INTO world.reason SELECT t, r.* FROM csm_private.access_reasons(t, NULL, NULL, NULL, at_time) r;
    END LOOP;
    ANALYZE world.account_right, world.all_right, world.consumer_right, world.reason;
END $$;

-- May the person open a case of his own through the portal: for this requester, on this account (NULL: none)?
CREATE FUNCTION world.may_open(tenant bigint, me bigint, requester bigint, account bigint, at_time timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id
                   WHERE u.id = me AND u.tenant_id = tenant AND u.enabled AND t.enabled)
       AND CASE
        WHEN account IS NOT NULL THEN
            -- For himself: where he is a contact, or his role says so. For another: his role must say so, and the other
            -- be a contact there.
            (requester = me AND EXISTS (SELECT FROM world.account_right r
                                        WHERE r.user_id = me AND r.account_id = account AND NOT r.staff AND r.action IS NULL))
         OR (EXISTS (SELECT FROM world.account_right r
                     WHERE r.user_id = me AND r.account_id = account AND NOT r.staff AND r.action = 'case_create')
             AND (requester = me
                  OR EXISTS (SELECT FROM csm.contacts k
                             WHERE k.user_id = requester AND k.account_id = account AND k.tenant_id = tenant
                               AND (k.valid_during IS NULL OR k.valid_during @> at_time))))
        ELSE
            -- Without account: himself, as employee or consumer; or a consumer for whom he speaks.
            requester = me
         OR EXISTS (SELECT FROM world.consumer_right s
                    WHERE s.user_id = me AND s.for_id = requester AND NOT s.staff)
        END
$$;

-- On which side of each case the person stands.
CREATE FUNCTION world.sides(me bigint, staff_side boolean)
RETURNS TABLE (case_id bigint, sees boolean, works boolean, customer boolean, counterparty boolean) LANGUAGE sql STABLE AS $$
    SELECT r.case_id,
           bool_or('case_read' = ANY (r.actions)),
           bool_or('case_work' = ANY (r.actions)),
           -- staff with reach own stand on the customer's side
           bool_or('case_read' = ANY (r.actions)
                   AND (r.rule < 'V8' OR r.rule = 'V9' AND r.via IN ('opener', 'internal contact'))),
           bool_or(r.rule = 'V8' AND 'case_read' = ANY (r.actions))
    FROM world.reason r
    WHERE r.user_id = me AND (staff_side OR NOT r.staff) GROUP BY r.case_id
$$;

-- Rows of a table that a person sees, as text keys.
CREATE FUNCTION world.visible(tenant bigint, me bigint, staff_side boolean, at_time timestamptz)
RETURNS TABLE (tab text, keys text[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    here boolean := EXISTS (SELECT FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id
                            WHERE u.id = me AND u.tenant_id = tenant AND u.enabled AND t.enabled);
    known bigint[];
    readable bigint[];
    speaks bigint[];
    houses bigint[];
    b2b boolean := staff_side AND EXISTS (SELECT FROM world.all_right r
                                          WHERE (r.user_id, r.branch, r.action) = (me, 'b2b', 'contact_read'));
    b2c boolean := staff_side AND EXISTS (SELECT FROM world.all_right r
                                          WHERE (r.user_id, r.branch, r.action) = (me, 'b2c', 'contact_read'));
    internal boolean := staff_side AND EXISTS (SELECT FROM world.all_right r
                                               WHERE (r.user_id, r.branch, r.action) = (me, 'internal', 'contact_read'));
    keeper boolean := staff_side AND EXISTS (SELECT FROM world.all_right r
                                             WHERE r.user_id = me AND r.branch = 'internal'
                                               AND r.action IN ('person_manage', 'configure'));
BEGIN
    IF NOT here THEN
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT r.account_id), array_agg(DISTINCT r.account_id) FILTER (WHERE r.action = 'contact_read')
      INTO known, readable
    FROM world.account_right r WHERE r.user_id = me AND (staff_side OR NOT r.staff);
    SELECT array_agg(DISTINCT r.for_id), array_agg(DISTINCT r.household_id) INTO speaks, houses
    FROM world.consumer_right r WHERE r.user_id = me AND (staff_side OR NOT r.staff);
    known := coalesce(known, '{}');
    readable := coalesce(readable, '{}');
    speaks := array_remove(coalesce(speaks, '{}'), NULL);
    houses := array_remove(coalesce(houses, '{}'), NULL);

    RETURN QUERY SELECT 'accounts', array_agg(a.id::text ORDER BY a.id) FROM csm.accounts a
        WHERE a.tenant_id = tenant AND (a.id = ANY (known) OR b2b);
    RETURN QUERY SELECT 'contacts', array_agg(k.id::text ORDER BY k.id) FROM csm.contacts k
        WHERE k.tenant_id = tenant AND (k.user_id = me OR k.account_id = ANY (readable) OR b2b);
    RETURN QUERY SELECT 'account_relationships', array_agg(r.id::text ORDER BY r.id) FROM csm.account_relationships r
        WHERE r.tenant_id = tenant AND (r.customer_account_id = ANY (readable) OR b2b
              OR (r.partner_account_id = ANY (known) AND r.customer_account_id = ANY (known)));
    RETURN QUERY SELECT 'employees', array_agg(e.user_id::text ORDER BY e.user_id) FROM csm.employees e
        WHERE e.tenant_id = tenant AND (e.user_id = me OR internal);
    RETURN QUERY SELECT 'consumers', array_agg(c.user_id::text ORDER BY c.user_id) FROM csm.consumers c
        WHERE c.tenant_id = tenant AND (c.user_id = me OR c.user_id = ANY (speaks) OR b2c);
    RETURN QUERY SELECT 'users', array_agg(u.id::text ORDER BY u.id) FROM csm.users u
        WHERE u.tenant_id = tenant AND (u.id = me OR internal
              OR EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id
                         AND (k.account_id = ANY (readable) OR b2b))
              OR EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = u.id
                         AND (c.user_id = ANY (speaks) OR b2c)));
    RETURN QUERY SELECT 'households', array_agg(h.id::text ORDER BY h.id) FROM csm.households h
        WHERE h.tenant_id = tenant AND (h.id = ANY (houses) OR b2c);
    RETURN QUERY SELECT 'household_members', array_agg(m.id::text ORDER BY m.id) FROM csm.household_members m
        WHERE m.tenant_id = tenant AND (m.user_id = me OR m.household_id = ANY (houses) OR b2c);
    RETURN QUERY SELECT 'representations', array_agg(p.id::text ORDER BY p.id) FROM csm.representations p
        WHERE p.tenant_id = tenant AND (me IN (p.representative_id, p.represented_id) OR b2c);
    RETURN QUERY SELECT 'user_roles', array_agg(a.id::text ORDER BY a.id) FROM csm.user_roles a
        WHERE a.tenant_id = tenant AND (a.user_id = me OR keeper);
    IF staff_side THEN
        RETURN QUERY SELECT 'account_team', array_agg(t.id::text ORDER BY t.id) FROM csm.account_team t
            WHERE t.tenant_id = tenant AND (t.member_id = me OR t.account_id = ANY (readable) OR b2b);
    END IF;
    -- Children follow their case; notes and one side's entries do not follow all the way.
    RETURN QUERY
        SELECT 'case_entries', array_agg(e.id::text ORDER BY e.id)
        FROM csm.case_entries e JOIN world.sides(me, staff_side) r ON r.case_id = e.case_id
        WHERE r.sees AND (e.visibility = 'shared' OR r.works
              OR e.visibility = 'private' AND (e.side = 'customer' AND r.customer OR e.side = 'counterparty' AND r.counterparty));
    RETURN QUERY SELECT 'case_parties', array_agg(p.id::text ORDER BY p.id) FROM csm.case_parties p
        WHERE p.tenant_id = tenant
          AND p.case_id IN (SELECT r.case_id FROM world.sides(me, staff_side) r WHERE r.sees AND (r.works OR r.customer OR NOT r.counterparty));
END $$;
