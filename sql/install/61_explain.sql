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
