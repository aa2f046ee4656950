-- User criteria and audiences: who reads, contributes to, asks in, answers in,
-- moderates and manages a knowledge base, an article, a forum.
--
-- A criterion is reusable data: parts that are each true of a person or not,
-- all or any of which must be.  One without parts, or an inactive one, is true
-- of nobody.  An audience is what criteria grant on something, action by
-- action.  What decides, in this order:
--	1. the audience's staff (its owner, the members of its group, on a staff
--	   connection) may do everything;
--	2. who satisfies a criterion that denies the action may not do it.  Denials
--	   look at everything that the person is, whatever persona he has narrowed
--	   himself to, because narrowing must not open anything;
--	3. who satisfies a criterion that grants the action, or grants manage, may;
--	4. nobody else: no grant, no access.
-- No action implies another, but manage all.  An audience within another one
-- narrows it: both must allow the action, and an action for which the inner one
-- has no grant of its own is left as the outer one says.  Who manages the outer
-- one passes the grants of the inner one, but not its denials, unless he is
-- staff of the outer one.
--
-- The access map holds the answer (src/csm_map_audience.c); the same rules stand
-- below once more in plain SQL, in csm_private.audience_rights(), which must not
-- call a predicate of the map.

CREATE TABLE csm.user_criteria (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    label text NOT NULL,
    match text NOT NULL DEFAULT 'all',
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT user_criteria_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_criteria_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT user_criteria_key_key UNIQUE (tenant_id, key),
    CONSTRAINT user_criteria_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT user_criteria_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT user_criteria_match_check CHECK (match IN ('all', 'any'))
);
SELECT csm_private.adopt_table('csm.user_criteria');
SELECT csm_private.signal_on('csm.user_criteria', '{tenant_id,match,active}', 'audience', 'tenant_id');

CREATE TABLE csm.user_criteria_parts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    criteria_id bigint NOT NULL,
    kind text NOT NULL,
    user_id bigint,
    group_id bigint,
    role text,
    account_id bigint,
    include_descendants boolean NOT NULL DEFAULT false,
    persona text,
    product_id bigint,
    location text,
    language text,
    list_id bigint,
    CONSTRAINT user_criteria_parts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_criteria_parts_criteria_fkey FOREIGN KEY (criteria_id, tenant_id)
        REFERENCES csm.user_criteria (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT user_criteria_parts_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_criteria_parts_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT user_criteria_parts_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT user_criteria_parts_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT user_criteria_parts_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT user_criteria_parts_list_fkey FOREIGN KEY (list_id, tenant_id) REFERENCES csm.recipient_lists (id, tenant_id),
    CONSTRAINT user_criteria_parts_kind_check CHECK (
        num_nonnulls(user_id, group_id, role, account_id, persona, product_id, location, language, list_id) = 1
        AND CASE kind WHEN 'user' THEN user_id IS NOT NULL WHEN 'group' THEN group_id IS NOT NULL
                      WHEN 'role' THEN role IS NOT NULL WHEN 'account' THEN account_id IS NOT NULL
                      WHEN 'persona' THEN persona IS NOT NULL WHEN 'product' THEN product_id IS NOT NULL
                      WHEN 'location' THEN location IS NOT NULL WHEN 'language' THEN language IS NOT NULL
                      WHEN 'list' THEN list_id IS NOT NULL ELSE false END),
    CONSTRAINT user_criteria_parts_descendants_check CHECK (NOT include_descendants OR kind = 'account'),
    CONSTRAINT user_criteria_parts_persona_check CHECK (persona IN ('employee', 'consumer', 'contact', 'staff')),
    CONSTRAINT user_criteria_parts_location_check CHECK (length(location) <= 64 AND location ~ '^[A-Z0-9]+(-[A-Z0-9]+)*$'),
    CONSTRAINT user_criteria_parts_language_check CHECK (length(language) <= 35 AND language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$')
);
CREATE INDEX user_criteria_parts_criteria_idx ON csm.user_criteria_parts (criteria_id);
SELECT csm_private.adopt_table('csm.user_criteria_parts');
SELECT csm_private.signal_on('csm.user_criteria_parts',
    '{tenant_id,criteria_id,kind,user_id,group_id,role,account_id,include_descendants,persona,product_id,location,language,list_id}',
    'audience', 'tenant_id');

-- Criteria know roles of contacts and of staff; everybody else is named by his persona.
CREATE FUNCTION csm_private.check_criteria_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND EXISTS (SELECT FROM csm.roles r
                   WHERE r.role = NEW.role AND r.tenant_id = NEW.tenant_id AND r.kind NOT IN ('contact', 'staff')) THEN
        RAISE EXCEPTION 'role "%" is neither a role of contacts nor one of staff', NEW.role
            USING ERRCODE = '23514', HINT = 'Name the persona instead, for example consumer.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.check_criteria_role() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_criteria_role() FROM PUBLIC;
CREATE TRIGGER user_criteria_parts_10_role BEFORE INSERT OR UPDATE OF role ON csm.user_criteria_parts
    FOR EACH ROW WHEN (NEW.role IS NOT NULL) EXECUTE FUNCTION csm_private.check_criteria_role();

-- within_id < id: no circle, and whoever reads audiences in the order of their
-- ids has met the outer one before.
CREATE TABLE csm.audiences (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    within_id bigint,
    owner_id bigint,
    group_id bigint,
    grants_key text,
    CONSTRAINT audiences_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT audiences_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT audiences_within_fkey FOREIGN KEY (within_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT audiences_owner_fkey FOREIGN KEY (owner_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT audiences_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT audiences_within_check CHECK (within_id < id),
    CONSTRAINT audiences_made_check CHECK (grants_key IS NULL OR within_id IS NOT NULL AND num_nonnulls(owner_id, group_id) = 0),
    CONSTRAINT audiences_grants_key UNIQUE (within_id, grants_key)
);
CREATE INDEX audiences_tenant_idx ON csm.audiences (tenant_id);
SELECT csm_private.adopt_table('csm.audiences');
SELECT csm_private.signal_on('csm.audiences', '{id,tenant_id,within_id,owner_id,group_id}', 'audience', 'tenant_id');

CREATE TABLE csm.audience_grants (
    audience_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    action text NOT NULL,
    criteria_id bigint NOT NULL,
    denies boolean NOT NULL DEFAULT false,
    CONSTRAINT audience_grants_pkey PRIMARY KEY (audience_id, criteria_id, action, tenant_id),
    CONSTRAINT audience_grants_audience_fkey FOREIGN KEY (audience_id, tenant_id)
        REFERENCES csm.audiences (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT audience_grants_criteria_fkey FOREIGN KEY (criteria_id, tenant_id) REFERENCES csm.user_criteria (id, tenant_id),
    CONSTRAINT audience_grants_action_check CHECK (action IN ('read', 'contribute', 'ask', 'answer', 'moderate', 'manage'))
);
CREATE INDEX audience_grants_criteria_idx ON csm.audience_grants (criteria_id);
SELECT csm_private.adopt_table('csm.audience_grants');
SELECT csm_private.signal_on('csm.audience_grants', '{audience_id,tenant_id,action,criteria_id,denies}', 'audience', 'tenant_id');

-- What criteria depend on beside the edges of the access map.  A person's
-- groups and what he or his account owns concern those who have them; the trees
-- of groups and products the whole tenant.
SELECT csm_private.signal_on('csm.groups', '{id,tenant_id,parent_id}', 'audience', 'tenant_id');
SELECT csm_private.signal_on('csm.group_members', '{group_id,user_id,tenant_id}', 'member', 'user_id');
SELECT csm_private.signal_on('csm.products', '{id,tenant_id,parent_id}', 'audience', 'tenant_id');
SELECT csm_private.signal_on('csm.sold_products', '{tenant_id,account_id,user_id,product_id,valid_during}',
    'owned', 'account_id', 'owned', 'user_id');
SELECT csm_private.signal_on('csm.assets', '{tenant_id,account_id,user_id,product_id,removed_at}',
    'owned', 'account_id', 'owned', 'user_id');

-- The definition.  A fact is something that is true of the person; it counts
-- where his connection and the persona he narrowed himself to let it.
CREATE FUNCTION csm_private.audience_rights(tenant bigint, person bigint, about bigint, staff_side boolean, narrowed text,
    at_time timestamptz)
RETURNS TABLE (action text, granted boolean, criteria text[], via text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 6
BEGIN ATOMIC
    WITH RECURSIVE me AS (
        SELECT u.id, u.location, u.language
        FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id
        WHERE u.id = person AND u.tenant_id = tenant AND u.enabled AND t.enabled
    ),
    k AS (
        SELECT k.id, k.account_id, k.role, narrowed IS NULL OR narrowed = 'contact:' || k.id AS counts
        FROM csm.contacts k JOIN me ON me.id = k.user_id
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    ),
    s AS (
        SELECT a.role, staff_side AND (narrowed IS NULL OR narrowed = 'staff:' || a.role) AS counts
        FROM csm.user_roles a
        JOIN me ON me.id = a.user_id
        JOIN csm.roles r ON r.role = a.role AND r.tenant_id = a.tenant_id AND r.kind = 'staff'
        WHERE a.tenant_id = tenant AND (a.valid_during IS NULL OR a.valid_during @> at_time)
    ),
    persona AS (
        SELECT 'contact' AS persona, k.counts FROM k
      UNION ALL
        SELECT 'staff', s.counts FROM s
      UNION ALL
        SELECT 'consumer', narrowed IS NULL OR narrowed = 'consumer'
        FROM csm.consumers c JOIN me ON me.id = c.user_id WHERE c.tenant_id = tenant
      UNION ALL
        SELECT 'employee', narrowed IS NULL OR narrowed = 'employee'
        FROM csm.employees e JOIN me ON me.id = e.user_id WHERE e.tenant_id = tenant
    ),
    -- What is true of the person counts through every persona that he has, the
    -- internal requester included, who needs no row; his groups and what he
    -- owns as staff on a staff connection alone.
    self AS (
        SELECT narrowed IS NULL OR narrowed = 'employee' OR EXISTS (SELECT FROM persona p WHERE p.counts) AS counts,
               staff_side AND (narrowed IS NULL OR narrowed LIKE 'staff:%' AND EXISTS (SELECT FROM persona p WHERE p.counts))
                   AS counts_as_staff
    ),
    account_up(account_id, parent_id, counts) AS (
        SELECT a.id, a.parent_id, k.counts FROM k JOIN csm.accounts a ON a.id = k.account_id AND a.tenant_id = tenant
      UNION
        SELECT a.id, a.parent_id, up.counts
        FROM account_up up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
    ),
    group_up(group_id, parent_id) AS (
        SELECT g.id, g.parent_id
        FROM csm.group_members m JOIN me ON me.id = m.user_id
        JOIN csm.groups g ON g.id = m.group_id AND g.tenant_id = m.tenant_id
        WHERE m.tenant_id = tenant
      UNION
        SELECT g.id, g.parent_id
        FROM group_up up JOIN csm.groups g ON g.id = up.parent_id AND g.tenant_id = tenant
    ),
    product_up(product_id, counts) AS (
        SELECT o.product_id, h.counts
        FROM (SELECT sp.account_id, sp.user_id, sp.product_id FROM csm.sold_products sp
              WHERE sp.tenant_id = tenant AND (sp.valid_during IS NULL OR sp.valid_during @> at_time)
            UNION ALL
              SELECT a.account_id, a.user_id, a.product_id FROM csm.assets a
              WHERE a.tenant_id = tenant AND (a.removed_at IS NULL OR a.removed_at > at_time)) o
        JOIN (SELECT k.account_id, NULL::bigint AS user_id, k.counts FROM k
            UNION ALL
              SELECT NULL, me.id, p.counts FROM me CROSS JOIN persona p WHERE p.persona = 'consumer') h
          ON h.account_id = o.account_id OR h.user_id = o.user_id
      UNION
        SELECT p.parent_id, up.counts
        FROM product_up up JOIN csm.products p ON p.id = up.product_id AND p.tenant_id = tenant
        WHERE p.parent_id IS NOT NULL
    ),
    fact AS (
        SELECT p.id AS part_id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.id = p.user_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts_as_staff
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN group_up g ON g.group_id = p.group_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, r.counts
        FROM csm.user_criteria_parts p
        JOIN (SELECT k.role, k.counts FROM k JOIN csm.roles r ON r.role = k.role AND r.tenant_id = tenant AND r.kind = 'contact'
              UNION ALL SELECT s.role, s.counts FROM s) r ON r.role = p.role
        WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, k.counts
        FROM csm.user_criteria_parts p JOIN k ON k.account_id = p.account_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, up.counts
        FROM csm.user_criteria_parts p JOIN account_up up ON up.account_id = p.account_id
        WHERE p.tenant_id = tenant AND p.include_descendants
      UNION ALL
        SELECT p.id, h.counts
        FROM csm.user_criteria_parts p JOIN persona h ON h.persona = p.persona WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, o.counts
        FROM csm.user_criteria_parts p JOIN product_up o ON o.product_id = p.product_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.location || '-' LIKE p.location || '-%' WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON lower(me.language) || '-' LIKE lower(p.language) || '-%'
        WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, CASE WHEN r.account_id IS NOT NULL THEN k.counts WHEN l.kind = 'consumers' THEN h.counts ELSE self.counts END
        FROM csm.user_criteria_parts p
        JOIN csm.recipient_lists l ON l.id = p.list_id AND l.tenant_id = tenant
        JOIN csm.recipients r ON r.list_id = l.id AND r.tenant_id = tenant
        CROSS JOIN self JOIN me ON r.user_id IS NULL OR r.user_id = me.id
        LEFT JOIN k ON k.account_id = r.account_id
        LEFT JOIN persona h ON h.persona = 'consumer'
        WHERE p.tenant_id = tenant AND (r.account_id IS NULL OR k.id IS NOT NULL)
          AND (l.kind IS DISTINCT FROM 'consumers' OR h.persona IS NOT NULL)
    ),
    part AS (
        SELECT p.criteria_id, count(f.part_id) > 0 AS met, coalesce(bool_or(f.counts), false) AS counts
        FROM csm.user_criteria_parts p LEFT JOIN fact f ON f.part_id = p.id
        WHERE p.tenant_id = tenant
        GROUP BY p.id, p.criteria_id
    ),
    criterion AS (
        SELECT c.id, c.key,
               CASE c.match WHEN 'all' THEN bool_and(p.met) ELSE bool_or(p.met) END AS met,
               CASE c.match WHEN 'all' THEN bool_and(p.counts) ELSE bool_or(p.counts) END AS counts
        FROM csm.user_criteria c JOIN part p ON p.criteria_id = c.id
        WHERE c.tenant_id = tenant AND c.active
        GROUP BY c.id, c.key, c.match
    ),
    chain(n, id, within_id, staff_of) AS (
        SELECT 0, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM csm.audiences a CROSS JOIN self
        WHERE a.id = about AND a.tenant_id = tenant AND EXISTS (SELECT FROM me)
      UNION ALL
        SELECT c.n + 1, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM chain c JOIN csm.audiences a ON a.id = c.within_id AND a.tenant_id = tenant CROSS JOIN self
    ),
    -- what each audience of the chain says by itself
    level AS (
        SELECT c.n, c.staff_of,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies), '{}') AS ruled,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE g.denies AND r.met), '{}') AS denied,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted_by,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE g.denies AND r.met), '{}') AS denied_by
        FROM chain c
        LEFT JOIN csm.audience_grants g ON g.audience_id = c.id AND g.tenant_id = tenant
        LEFT JOIN criterion r ON r.id = g.criteria_id
        GROUP BY c.n, c.staff_of
    ),
    -- from the outermost to the one that was asked about
    state(n, staff, actions) AS (
        SELECT l.n, l.staff_of IS NOT NULL,
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE l.staff_of IS NOT NULL
                        OR NOT a.action = ANY (l.denied)
                           AND (a.action = ANY (l.granted) OR 'manage' = ANY (l.granted) AND NOT 'manage' = ANY (l.denied)))
        FROM level l WHERE l.n = (SELECT max(x.n) FROM level x)
      UNION ALL
        SELECT l.n, s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions),
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions)
                        OR a.action = ANY (s.actions) AND NOT a.action = ANY (l.denied)
                           AND (NOT a.action = ANY (l.ruled) OR a.action = ANY (l.granted) OR 'manage' = ANY (s.actions)))
        FROM state s JOIN level l ON l.n = s.n - 1
    )
    SELECT a.action, coalesce(a.action = ANY (s.actions), false),
           CASE WHEN s.staff THEN '{}'
                WHEN a.action = ANY (s.actions) THEN ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.granted_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) IN (a.action, 'manage') ORDER BY 1)
                ELSE ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.denied_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) = a.action ORDER BY 1) END,
           CASE WHEN s.n IS NULL THEN 'no such audience, or no such person'
                WHEN s.staff THEN (SELECT min(l.staff_of) FROM level l)
                WHEN a.action = ANY (s.actions) THEN 'granted'
                WHEN EXISTS (SELECT FROM level l WHERE a.action = ANY (l.denied)) THEN 'denied'
                ELSE 'no grant' END
    FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) WITH ORDINALITY a(action, n)
    LEFT JOIN state s ON s.n = 0
    ORDER BY a.n;
END;
ALTER FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) IS
'What a person may do as one of an audience, in plain SQL: a row an action. On a staff connection or not, narrowed to a persona (NULL: to none), at an instant. criteria: keys of those that grant it, or deny it';

-- Answered from the access map, as 21_access.sql says of the other predicates.
CREATE FUNCTION csm.audience_allows(audience_id bigint, action text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_audience_allows' LANGUAGE c STABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
COMMENT ON FUNCTION csm.audience_allows(bigint, text) IS
'True where the person may do the action (read, contribute, ask, answer, moderate, manage) as one of the audience; false for nobody and for an unknown action';
CREATE FUNCTION csm.audiences_allowing(action text) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_audiences_allowing' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
COMMENT ON FUNCTION csm.audiences_allowing(text) IS
'Sorted ids: audiences as one of which the person may do the action; empty for nobody and for an unknown action';
ALTER FUNCTION csm.audience_allows(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm.audiences_allowing(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.audience_allows(bigint, text), csm.audiences_allowing(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.audience_allows(bigint, text), csm.audiences_allowing(text)
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;

-- Found or made: what has the same grants within the same audience shares one
-- row, so that a million articles need no more audiences than there are rules.
CREATE FUNCTION csm_private.audience_within(outer_id bigint, grants jsonb) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    wanted_key text;
    found bigint;
    unknown text;
BEGIN
    SELECT a.tenant_id INTO tenant FROM csm.audiences a WHERE a.id = outer_id;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'audience % does not exist', coalesce(outer_id::text, 'NULL') USING ERRCODE = '22023';
    ELSIF jsonb_typeof(grants) IS DISTINCT FROM 'array' OR EXISTS (
            SELECT FROM jsonb_array_elements(CASE WHEN jsonb_typeof(grants) = 'array' THEN grants END) e
            WHERE jsonb_typeof(e) <> 'object' OR jsonb_typeof(e -> 'criteria') IS DISTINCT FROM 'string'
               OR coalesce(e ->> 'action', '') NOT IN ('read', 'contribute', 'ask', 'answer', 'moderate', 'manage')
               OR jsonb_typeof(coalesce(e -> 'denies', 'false')) <> 'boolean') THEN
        RAISE EXCEPTION 'grants are a JSON array of objects with criteria, action and denies' USING ERRCODE = '22023',
            HINT = 'For example [{"criteria": "pump-owners", "action": "read"}].';
    END IF;
    SELECT e ->> 'criteria' INTO unknown FROM jsonb_array_elements(grants) e
    WHERE NOT EXISTS (SELECT FROM csm.user_criteria c WHERE c.tenant_id = tenant AND c.key = e ->> 'criteria') LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'there are no criteria %', quote_literal(unknown) USING ERRCODE = '22023',
            HINT = 'csm.user_criteria has those of the tenant.';
    END IF;
    -- named twice for one action, criteria deny
    SELECT string_agg(g.action || CASE WHEN g.denies THEN '-' ELSE '+' END || g.id, ' ' ORDER BY g.action, g.id)
      INTO wanted_key
    FROM (SELECT e ->> 'action' AS action, c.id, bool_or(coalesce((e ->> 'denies')::boolean, false)) AS denies
          FROM jsonb_array_elements(grants) e JOIN csm.user_criteria c ON c.tenant_id = tenant AND c.key = e ->> 'criteria'
          GROUP BY 1, 2) g;
    IF wanted_key IS NULL THEN
        RETURN outer_id;
    END IF;
    SELECT a.id INTO found FROM csm.audiences a WHERE a.within_id = outer_id AND a.grants_key = wanted_key;
    IF found IS NOT NULL THEN
        RETURN found;
    END IF;
    INSERT INTO csm.audiences (tenant_id, within_id, grants_key) VALUES (tenant, outer_id, wanted_key)
    ON CONFLICT (within_id, grants_key) DO NOTHING RETURNING id INTO found;
    IF found IS NULL THEN
        SELECT a.id INTO STRICT found FROM csm.audiences a WHERE a.within_id = outer_id AND a.grants_key = wanted_key;
        RETURN found;
    END IF;
    INSERT INTO csm.audience_grants (audience_id, tenant_id, action, criteria_id, denies)
    SELECT found, tenant, m[1], m[3]::bigint, m[2] = '-'
    FROM string_to_table(wanted_key, ' ') g(entry), regexp_match(g.entry, '^([a-z]+)([+-])(\d+)$') m;
    RETURN found;
END $$;
ALTER FUNCTION csm_private.audience_within(bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audience_within(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audience_within(bigint, jsonb) IS
'The audience within another that has exactly these grants, a JSON array of {"criteria": key, "action": …, "denies": boolean}; made where there is none, the outer one itself for an empty array. Errors 22023: no such audience, no such criteria, another form. No check of the caller';

CREATE FUNCTION csm.explain_audience(user_id bigint, audience_id bigint)
RETURNS TABLE (action text, granted boolean, criteria text[], via text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 6
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    -- Whoever keeps persons, the tenant or the audience asks about anybody.
    IF me IS NULL OR explain_audience.user_id IS DISTINCT FROM me
                     AND NOT coalesce(csm.all_in(tenant, 'internal', 'person_manage') OR csm.all_in(tenant, 'internal', 'configure')
                                      OR csm_private.staff_side() AND csm.audience_allows(explain_audience.audience_id, 'manage'), false) THEN
        RAISE EXCEPTION 'permission denied to explain the access of another person' USING ERRCODE = '42501',
            HINT = 'Ask about yourself; staff who manage the audience, persons or the tenant ask about anybody.';
    END IF;
    RETURN QUERY
        SELECT s.action, s.granted, s.criteria,
               s.via || CASE WHEN s.granted AND NOT c.granted THEN ', counts under staff roles only' ELSE '' END
        FROM csm_private.audience_rights(tenant, explain_audience.user_id, explain_audience.audience_id, true, NULL, at_time)
             WITH ORDINALITY s(action, granted, criteria, via, n)
        JOIN csm_private.audience_rights(tenant, explain_audience.user_id, explain_audience.audience_id, false, NULL, at_time) c
          ON c.action = s.action
        ORDER BY s.n;
END $$;
ALTER FUNCTION csm.explain_audience(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.explain_audience(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.explain_audience(bigint, bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.explain_audience(bigint, bigint) IS
'What a person may do as one of an audience and why: a row an action, with the keys of the criteria that grant it, or deny it. Personas are not narrowed. Everybody asks about himself; staff who manage the audience, persons or the tenant about anybody (42501 else). A missing audience, a missing person and one of another tenant: nothing is granted';

-- What audience_within() made stands for its grants: others may share it.
CREATE FUNCTION csm_private.check_audience_grant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_audience CONSTANT bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.audience_id ELSE NEW.audience_id END;
    made_of text;
BEGIN
    IF NOT csm_private.restoring() THEN
        SELECT a.grants_key INTO made_of FROM csm.audiences a WHERE a.id = of_audience;
        IF made_of IS NOT NULL
           AND (TG_OP <> 'INSERT' OR NOT NEW.action || CASE WHEN NEW.denies THEN '-' ELSE '+' END || NEW.criteria_id
                                         = ANY (string_to_array(made_of, ' '))) THEN
            RAISE EXCEPTION 'the grants of audience % cannot change', of_audience USING ERRCODE = '42501',
                DETAIL = 'It was made for these grants, and everything that has them shares it.',
                HINT = 'Choose other grants for the article instead.';
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
ALTER FUNCTION csm_private.check_audience_grant() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_audience_grant() FROM PUBLIC;
CREATE TRIGGER audience_grants_10_made BEFORE INSERT OR UPDATE OR DELETE ON csm.audience_grants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_audience_grant();

-- Configuration of the desk: staff connections read it.  A portal role has no
-- grant here; what it may read says the policy of the article.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{user_criteria,user_criteria_parts,audiences,audience_grants}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read the desk of their tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;
CREATE POLICY audience_grants_insert ON csm.audience_grants FOR INSERT TO csm_agent, csm_admin
    WITH CHECK (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY audience_grants_update ON csm.audience_grants FOR UPDATE TO csm_agent, csm_admin
    USING (csm.audience_allows(audience_id, 'manage'));
CREATE POLICY audience_grants_delete ON csm.audience_grants FOR DELETE TO csm_agent, csm_admin
    USING (csm.audience_allows(audience_id, 'manage'));
GRANT INSERT (key, label, match, active), UPDATE (key, label, match, active) ON csm.user_criteria TO csm_admin;
GRANT INSERT (criteria_id, kind, user_id, group_id, role, account_id, include_descendants, persona, product_id, location, language, list_id),
      UPDATE (kind, user_id, group_id, role, account_id, include_descendants, persona, product_id, location, language, list_id)
    ON csm.user_criteria_parts TO csm_admin;
GRANT INSERT (within_id, owner_id, group_id), UPDATE (owner_id, group_id) ON csm.audiences TO csm_admin;
GRANT INSERT (audience_id, action, criteria_id, denies), UPDATE (denies) ON csm.audience_grants TO csm_agent, csm_admin;
GRANT DELETE ON csm.audience_grants TO csm_agent;

COMMENT ON TABLE csm.user_criteria IS 'Whom something is for: a reusable rule about people';
COMMENT ON COLUMN csm.user_criteria.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria.key IS 'Short name, unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.user_criteria.label IS 'Name that people read';
COMMENT ON COLUMN csm.user_criteria.match IS 'all: every part must be true of the person; any: one. Without parts: nobody';
COMMENT ON COLUMN csm.user_criteria.active IS 'False: nobody satisfies them, neither where they grant nor where they deny';
COMMENT ON TABLE csm.user_criteria_parts IS 'One thing that is true of a person or not; the kind says which column is set, and only that one is';
COMMENT ON COLUMN csm.user_criteria_parts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria_parts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria_parts.criteria_id IS 'The criteria it is part of';
COMMENT ON COLUMN csm.user_criteria_parts.kind IS 'user, group, role, account, persona, product, location, language or list';
COMMENT ON COLUMN csm.user_criteria_parts.user_id IS 'This person';
COMMENT ON COLUMN csm.user_criteria_parts.group_id IS 'Members of this group and of the groups below it; on a staff connection only';
COMMENT ON COLUMN csm.user_criteria_parts.role IS 'Who has this role now: a role of contacts, or (on a staff connection only) one of staff; 23514 for another kind';
COMMENT ON COLUMN csm.user_criteria_parts.account_id IS 'Current contacts of this account who may log in';
COMMENT ON COLUMN csm.user_criteria_parts.include_descendants IS 'With an account: contacts of the accounts below it as well';
COMMENT ON COLUMN csm.user_criteria_parts.persona IS 'Who has it now: employee (a row in csm.employees), consumer, contact of any account, or (on a staff connection only) staff of any role';
COMMENT ON COLUMN csm.user_criteria_parts.product_id IS 'Who owns this product or one below it: a consumer himself, a contact through his account. Sold products count while they are valid, install-base items until they are removed';
COMMENT ON COLUMN csm.user_criteria_parts.location IS 'Whose csm.users.location is this one or below it: DE is true of DE-BY';
COMMENT ON COLUMN csm.user_criteria_parts.language IS 'Whose csm.users.language is this one or narrower, in any case of letters: de is true of de-AT. Everybody chooses his language himself, so it sorts and does not protect';
COMMENT ON COLUMN csm.user_criteria_parts.list_id IS 'Who is on this list of csm.recipient_lists: the person himself, current contacts of an account who may log in; on one of consumers while he is one';
COMMENT ON TABLE csm.audiences IS 'What criteria grant on something: a knowledge base, some of its articles, a forum. Everything with the same rules can share one';
COMMENT ON COLUMN csm.audiences.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audiences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audiences.within_id IS 'The audience that this one narrows; NULL: it stands by itself';
COMMENT ON COLUMN csm.audiences.owner_id IS 'May do everything, on a staff connection only; within another audience only while that one lets him read. NULL: nobody';
COMMENT ON COLUMN csm.audiences.group_id IS 'Whose members, those of the groups below it included, may do the same; NULL: none';
COMMENT ON COLUMN csm.audiences.grants_key IS 'Grants for which csm made it, as text; they cannot change. NULL: its grants are kept by hand';
COMMENT ON TABLE csm.audience_grants IS 'Which criteria may, or may not, do what; no grant means nobody but the audience''s staff';
COMMENT ON COLUMN csm.audience_grants.audience_id IS 'The audience';
COMMENT ON COLUMN csm.audience_grants.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audience_grants.action IS 'read, contribute (write articles; does not imply read), ask, answer, moderate, or manage, which is all of them';
COMMENT ON COLUMN csm.audience_grants.criteria_id IS 'Whom it is for';
COMMENT ON COLUMN csm.audience_grants.denies IS 'True: who satisfies the criteria may not, whatever else grants it to him';
COMMENT ON POLICY audience_grants_insert ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_update ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_delete ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON FUNCTION csm_private.check_criteria_role() IS 'Trigger of csm.user_criteria_parts: refuses a role that is neither of contacts nor of staff (23514)';
COMMENT ON FUNCTION csm_private.check_audience_grant() IS 'Trigger of csm.audience_grants: those of an audience that csm made cannot change (42501)';
