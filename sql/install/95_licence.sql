-- The licence meter: who counts, and which act made him count.
--
-- Nothing is written down for it. An act is a link of csm.case_history; what it
-- was is read from the persona and the relation that the link recorded, and from
-- the roles that its actor held then. What of that counts, a policy says. So any
-- policy can be asked about any past, and the answer is the same at any time.

CREATE TABLE csm.licence_products (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    product text NOT NULL,
    label text NOT NULL,
    roles text[] NOT NULL,
    CONSTRAINT licence_products_pkey PRIMARY KEY (product, tenant_id),
    CONSTRAINT licence_products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT licence_products_key_check CHECK (product ~ '^[a-z][a-z0-9_]{0,62}$')
);
SELECT csm_private.adopt_table('csm.licence_products');

CREATE TABLE csm.licence_policies (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    policy text NOT NULL,
    label text NOT NULL,
    counts text[] NOT NULL,
    window_days integer NOT NULL DEFAULT 0,
    products text[] NOT NULL DEFAULT '{}',
    union_products boolean NOT NULL DEFAULT true,
    active boolean NOT NULL DEFAULT false,
    CONSTRAINT licence_policies_pkey PRIMARY KEY (policy, tenant_id),
    CONSTRAINT licence_policies_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT licence_policies_key_check CHECK (policy ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT licence_policies_counts_check CHECK (counts <@
        '{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[]),
    CONSTRAINT licence_policies_window_check CHECK (window_days BETWEEN 0 AND 3650)
);
CREATE UNIQUE INDEX licence_policies_active_idx ON csm.licence_policies (tenant_id) WHERE active;
SELECT csm_private.adopt_table('csm.licence_policies');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{licence_products,licence_policies}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure'') OR csm.all_in(tenant_id, ''internal'', ''account_manage''))', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Administrators, and managers with reach all''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.licence_products IS 'What is licensed separately: each product covers the acts of some roles';
COMMENT ON COLUMN csm.licence_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_products.product IS 'Key of the product';
COMMENT ON COLUMN csm.licence_products.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_products.roles IS 'csm.roles that it covers. A staff role: what is done while holding it. Any role of another kind: whatever those do who ask for service';
COMMENT ON TABLE csm.licence_policies IS 'Readings of a licence contract: which acts make a person count. csm.licence_usage() answers by any of them, also for the past';
COMMENT ON COLUMN csm.licence_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_policies.policy IS 'Key of the policy';
COMMENT ON COLUMN csm.licence_policies.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_policies.counts IS 'Acts that count: fulfiller (worked on a case), stakeholder (acted for a customer by a staff role of that class), counterparty_act (an action on a dispute as the other company: propose, withdraw, escalate ...), counterparty_update (its comments and files, and the acknowledgement that its first comment is), approver (decided where an approver was asked), requester (whatever else those did who ask for service)';
COMMENT ON COLUMN csm.licence_policies.window_days IS 'An act counts in the period in which it falls and for so many days more; 0: in the period alone';
COMMENT ON COLUMN csm.licence_policies.products IS 'Only acts that these csm.licence_products cover; empty: all acts, as one product';
COMMENT ON COLUMN csm.licence_policies.union_products IS 'True: who acts under several products counts once; false: once for each';
COMMENT ON COLUMN csm.licence_policies.active IS 'The policy that is meant when none is named; at most one in a tenant';

-- What an act was, as far as its link alone says. One expression, in the index
-- too, so that the meter reads one entry for each person and kind of act, however
-- many acts there are.
CREATE VIEW csm_private.acts WITH (security_invoker = true) AS
SELECT h.id, h.tenant_id, h.case_id, h.at, h.actor_id, h.action, h.persona, h.relation,
       CASE WHEN h.persona LIKE 'staff:%' OR h.persona = 'staff' THEN h.persona
            WHEN h.relation = 'approver' THEN 'approver'
            WHEN h.relation LIKE 'respondent%' THEN
                CASE WHEN h.action IN ('comment', 'private_entry', 'attach', 'update', 'acknowledge') THEN 'counterparty_update' ELSE 'counterparty_act' END
            WHEN h.relation IS NULL OR h.on_behalf_of IS NOT NULL AND coalesce(h.persona, '') NOT LIKE 'contact:%' THEN 'other'
            ELSE 'requester' END AS kind
FROM csm.case_history h
WHERE h.actor_id IS NOT NULL;
ALTER VIEW csm_private.acts OWNER TO csm_owner;
REVOKE ALL ON csm_private.acts FROM PUBLIC;
COMMENT ON VIEW csm_private.acts IS 'Links of csm.case_history that a person made, with their kind for the licence meter';
COMMENT ON COLUMN csm_private.acts.id IS 'csm.case_history.id';
COMMENT ON COLUMN csm_private.acts.tenant_id IS 'Tenant of the link';
COMMENT ON COLUMN csm_private.acts.case_id IS 'The case';
COMMENT ON COLUMN csm_private.acts.at IS 'When it was done';
COMMENT ON COLUMN csm_private.acts.actor_id IS 'Who did it';
COMMENT ON COLUMN csm_private.acts.action IS 'What was done';
COMMENT ON COLUMN csm_private.acts.persona IS 'As what he did it';
COMMENT ON COLUMN csm_private.acts.relation IS 'In which relations to the case';
COMMENT ON COLUMN csm_private.acts.kind IS 'staff:<role>, staff, approver, counterparty_update, counterparty_act, other (for somebody else, or on a case shared with him) or requester';
CREATE INDEX case_history_acts_idx ON csm.case_history (tenant_id,
    (CASE WHEN persona LIKE 'staff:%' OR persona = 'staff' THEN persona
          WHEN relation = 'approver' THEN 'approver'
          WHEN relation LIKE 'respondent%' THEN
              CASE WHEN action IN ('comment', 'private_entry', 'attach', 'update', 'acknowledge') THEN 'counterparty_update' ELSE 'counterparty_act' END
          WHEN relation IS NULL OR on_behalf_of IS NOT NULL AND coalesce(persona, '') NOT LIKE 'contact:%' THEN 'other'
          ELSE 'requester' END), actor_id, at, id)
    WHERE actor_id IS NOT NULL;

CREATE FUNCTION csm_private.act_kinds(tenant_id bigint) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE kinds AS (
        SELECT (SELECT a.kind FROM csm_private.acts a WHERE a.tenant_id = act_kinds.tenant_id ORDER BY a.kind LIMIT 1) AS kind
      UNION ALL
        SELECT (SELECT a.kind FROM csm_private.acts a WHERE a.tenant_id = act_kinds.tenant_id AND a.kind > k.kind ORDER BY a.kind LIMIT 1)
        FROM kinds k WHERE k.kind IS NOT NULL
    )
    SELECT k.kind FROM kinds k WHERE k.kind IS NOT NULL
$$;
COMMENT ON FUNCTION csm_private.act_kinds(bigint) IS 'Kinds of csm_private.acts that the tenant has, walked over by the index';

-- The two readings of the portal of an intermediary (R 5.6, C4).
CREATE FUNCTION csm_private.shipped_licence_policies()
RETURNS TABLE (policy text, label text, counts text[], active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    VALUES
        ('related_free', 'Who acts in a portal on requests of his own or related accounts is free', '{fulfiller,stakeholder}'::text[], true),
        ('counterparty_counts', 'Whoever updates or resolves a request that another company opened counts',
            '{fulfiller,stakeholder,counterparty_act,counterparty_update}', false);
END;
COMMENT ON FUNCTION csm_private.shipped_licence_policies() IS 'Licence policies that a new tenant gets';

CREATE FUNCTION csm_private.ship_licence_policies() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        INSERT INTO csm.licence_policies (tenant_id, policy, label, counts, active)
        SELECT NEW.id, s.policy, s.label, s.counts, s.active FROM csm_private.shipped_licence_policies() s;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.ship_licence_policies() IS 'Trigger of csm.tenants: the licence policies that a new tenant gets';

-- Of each person whom the policy counts in that time: his first act of each
-- kind that counts, and by product where the policy names some. Kinds and people
-- are walked over by the index, from one to the next. What depends on roles is a
-- matter of time: the spans in which the roles that he held give an act this
-- class. Compiling the plan would take longer than running it.
CREATE FUNCTION csm_private.licence_firsts(p csm.licence_policies, during tstzrange)
RETURNS TABLE (user_id bigint, product text, counts_as text, at timestamptz, history_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
    WITH RECURSIVE people AS (
        SELECT k.kind, (SELECT a.actor_id FROM csm_private.acts a
                        WHERE a.tenant_id = p.tenant_id AND a.kind = k.kind ORDER BY a.actor_id LIMIT 1) AS actor_id
        FROM csm_private.act_kinds(p.tenant_id) k(kind)
        WHERE k.kind = ANY (p.counts)
           OR k.kind LIKE 'staff%' AND p.counts && '{fulfiller,stakeholder,requester}'
           OR k.kind = 'other' AND p.counts && '{stakeholder,requester}'
      UNION ALL
        SELECT w.kind, (SELECT a.actor_id FROM csm_private.acts a
                        WHERE a.tenant_id = p.tenant_id AND a.kind = w.kind AND a.actor_id > w.actor_id ORDER BY a.actor_id LIMIT 1)
        FROM people w WHERE w.actor_id IS NOT NULL
    ), scope AS (
        SELECT NULL::text AS product, NULL::text[] AS roles, true AS asks
        WHERE p.products = '{}'
      UNION ALL
        SELECT l.product, l.roles, EXISTS (SELECT FROM csm.roles r
                                           WHERE r.tenant_id = l.tenant_id AND r.role = ANY (l.roles) AND r.kind <> 'staff')
        FROM csm.licence_products l WHERE l.tenant_id = p.tenant_id AND l.product = ANY (p.products)
    ), held AS (
        SELECT u.user_id, s.product,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'fulfiller'), '{}') AS f,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'stakeholder'), '{}') AS s,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'external'), '{}') AS e
        FROM csm.user_roles u
        JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id
        CROSS JOIN LATERAL (SELECT coalesce(u.valid_during, tstzrange(NULL, NULL)) AS span) v
        JOIN scope s ON s.product IS NULL OR u.role = ANY (s.roles)
        WHERE u.tenant_id = p.tenant_id
        GROUP BY u.user_id, s.product
    ), stakeholders AS (
        SELECT u.user_id, range_agg(coalesce(u.valid_during, tstzrange(NULL, NULL))) AS s
        FROM csm.user_roles u
        JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id
        WHERE u.tenant_id = p.tenant_id AND r.user_class = 'stakeholder'
        GROUP BY u.user_id
    ), claims AS (
        SELECT w.kind, w.actor_id, s.product, c.counts_as, c.spans * tstzmultirange(during) AS spans
        FROM people w
        CROSS JOIN scope s
        LEFT JOIN held h ON h.user_id = w.actor_id AND h.product IS NOT DISTINCT FROM s.product
        LEFT JOIN stakeholders o ON o.user_id = w.actor_id
        CROSS JOIN LATERAL (
            SELECT coalesce(h.f, '{}') AS f, coalesce(h.s, '{}') AS s, coalesce(h.e, '{}') AS e, '{(,)}'::tstzmultirange AS ever) x
        CROSS JOIN LATERAL (
            SELECT 'fulfiller' AS counts_as, CASE WHEN s.product IS NULL THEN x.ever - (x.s + x.e - x.f) ELSE x.f END AS spans
            WHERE w.kind = 'staff'
          UNION ALL SELECT 'stakeholder', x.s - x.f WHERE w.kind = 'staff'
          UNION ALL SELECT 'requester', x.e - x.f - x.s WHERE w.kind = 'staff'
          UNION ALL SELECT 'stakeholder', x.s WHERE w.kind = 'other'
          UNION ALL SELECT 'requester', x.ever - coalesce(o.s, '{}') WHERE w.kind = 'other' AND s.asks
          UNION ALL
            SELECT CASE (SELECT r.user_class FROM csm.roles r WHERE r.tenant_id = p.tenant_id AND r.role = substr(w.kind, 7))
                   WHEN 'stakeholder' THEN 'stakeholder' WHEN 'external' THEN 'requester' ELSE 'fulfiller' END, x.ever
            WHERE w.kind LIKE 'staff:%' AND (s.product IS NULL OR substr(w.kind, 7) = ANY (s.roles))
          UNION ALL SELECT w.kind, x.ever WHERE w.kind NOT LIKE 'staff%' AND w.kind <> 'other' AND s.asks) c
        WHERE w.actor_id IS NOT NULL AND c.counts_as = ANY (p.counts)
    )
    SELECT DISTINCT ON (c.actor_id, c.product, c.counts_as) c.actor_id, c.product, c.counts_as, f.at, f.id
    FROM claims c
    CROSS JOIN LATERAL unnest(c.spans) AS span
    CROSS JOIN LATERAL (
        SELECT a.at, a.id FROM csm_private.acts a
        WHERE a.tenant_id = p.tenant_id AND a.kind = c.kind AND a.actor_id = c.actor_id
          AND a.at >= coalesce(lower(span), '-infinity') AND a.at <= coalesce(upper(span), 'infinity') AND a.at <@ span
        ORDER BY a.at, a.id LIMIT 1) f
    ORDER BY c.actor_id, c.product, c.counts_as, f.at, f.id
$$;
COMMENT ON FUNCTION csm_private.licence_firsts(csm.licence_policies, tstzrange) IS
'First act of each kind that counts by the policy in that time, for each person, and each product where the policy names some';

-- The caller's right, and the policy that he means.
CREATE FUNCTION csm_private.licence_policy(policy text) RETURNS csm.licence_policies
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := csm.current_tenant_id();
    found csm.licence_policies;
    unknown text;
BEGIN
    IF NOT csm_private.acts_as_system() AND NOT coalesce(csm.all_in(tenant, 'internal', 'configure')
                                                         OR csm.all_in(tenant, 'internal', 'account_manage'), false) THEN
        RAISE EXCEPTION 'permission denied to read the licence meter' USING ERRCODE = '42501',
            HINT = 'Administrators do, and managers with reach all.';
    END IF;
    tenant := coalesce(tenant, csm.default_tenant_id());
    SELECT * INTO found FROM csm.licence_policies l
    WHERE l.tenant_id = tenant AND CASE WHEN policy IS NULL THEN l.active ELSE l.policy = policy END;
    IF found.policy IS NULL THEN
        RAISE EXCEPTION 'there is no licence policy %', coalesce(quote_ident(policy), 'that is active') USING ERRCODE = '22023',
            HINT = 'Name one of csm.licence_policies.';
    END IF;
    SELECT u.product INTO unknown FROM unnest(found.products) u(product)
    WHERE NOT EXISTS (SELECT FROM csm.licence_products l WHERE l.product = u.product AND l.tenant_id = found.tenant_id) LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'licence policy "%" names the product "%", which does not exist', found.policy, unknown USING ERRCODE = '22023',
            HINT = 'Name one of csm.licence_products.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION csm_private.licence_policy(text) IS
'The policy of the caller''s tenant, the active one for NULL. Errors: 42501 for others than administrators and managers with reach all, 22023 no such policy, or one that names an unknown product';

CREATE FUNCTION csm.licence_usage(period tstzrange, policy text DEFAULT NULL)
RETURNS TABLE (user_id bigint, display_name text, product text, user_class text, highest_class text, counts_as text,
               first_at timestamptz, case_id bigint, action text, persona text, relation text, history_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p CONSTANT csm.licence_policies := csm_private.licence_policy(licence_usage.policy);
BEGIN
    IF period IS NULL OR isempty(period) OR lower_inf(period) OR upper_inf(period)
       OR NOT isfinite(lower(period)) OR NOT isfinite(upper(period)) THEN
        RAISE EXCEPTION 'a licence period has a beginning and an end' USING ERRCODE = '22023',
            DETAIL = format('It is %s.', coalesce(period::text, 'null')), HINT = 'For example tstzrange(''2026-01-01'', ''2026-02-01'').';
    END IF;
    RETURN QUERY
    WITH firsts AS (
        SELECT f.user_id, CASE WHEN NOT p.union_products THEN f.product END AS share, f.product, f.counts_as, f.at, f.history_id
        FROM csm_private.licence_firsts(p, tstzrange(lower(period) - p.window_days * interval '1 day', upper(period),
            CASE WHEN lower_inc(period) THEN '[' ELSE '(' END || CASE WHEN upper_inc(period) THEN ']' ELSE ')' END)) f
    ), counted AS (
        SELECT DISTINCT ON (f.user_id, f.share) f.*,
               min(array_position('{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[], f.counts_as))
                   OVER (PARTITION BY f.user_id, f.share) AS highest
        FROM firsts f
        ORDER BY f.user_id, f.share, f.at, f.history_id,
                 array_position('{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[], f.counts_as), f.product
    )
    SELECT c.user_id, u.display_name, c.product,
           CASE WHEN c.counts_as LIKE 'counterparty%' THEN 'counterparty' WHEN c.counts_as = 'approver' THEN 'requester' ELSE c.counts_as END,
           ('{fulfiller,stakeholder,counterparty,counterparty,requester,requester}'::text[])[c.highest],
           c.counts_as, c.at, h.case_id, h.action, h.persona, h.relation, c.history_id
    FROM counted c
    JOIN csm.case_history h ON h.id = c.history_id AND h.tenant_id = p.tenant_id
    LEFT JOIN csm.users u ON u.id = c.user_id AND u.tenant_id = p.tenant_id
    ORDER BY c.user_id, c.product;
END $$;
COMMENT ON FUNCTION csm.licence_usage(tstzrange, text) IS
'Every person whom a policy (NULL: the active one) counts in the period, with the first act that made him count and the highest class he reached; once, or once for each product where the policy does not unite them. Without products the column product is null. Administrators, and managers with reach all; errors: 42501, 22023 no such policy or a period without beginning or end';

CREATE FUNCTION csm.licence_preview(policy text, against text DEFAULT NULL, months integer DEFAULT 12)
RETURNS TABLE (month date, counted bigint, counted_against bigint, added bigint, dropped bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p CONSTANT csm.licence_policies := csm_private.licence_policy(licence_preview.policy);
    other CONSTANT csm.licence_policies := csm_private.licence_policy(licence_preview.against);
    this_month CONSTANT timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    first timestamp;
BEGIN
    IF months IS NULL OR months NOT BETWEEN 1 AND 120 THEN
        RAISE EXCEPTION 'months must be between 1 and 120' USING ERRCODE = '22023', HINT = 'Leave it out for twelve.';
    END IF;
    FOR first IN SELECT this_month - n * interval '1 month' FROM generate_series(months - 1, 0, -1) n LOOP
        RETURN QUERY
        WITH mine AS (
            SELECT DISTINCT u.user_id, CASE WHEN NOT p.union_products THEN u.product END AS share
            FROM csm_private.licence_firsts(p, tstzrange(first AT TIME ZONE 'UTC' - p.window_days * interval '1 day',
                                                         (first + interval '1 month') AT TIME ZONE 'UTC')) u
        ), theirs AS (
            SELECT DISTINCT u.user_id, CASE WHEN NOT other.union_products THEN u.product END AS share
            FROM csm_private.licence_firsts(other, tstzrange(first AT TIME ZONE 'UTC' - other.window_days * interval '1 day',
                                                             (first + interval '1 month') AT TIME ZONE 'UTC')) u
        )
        SELECT first::date, (SELECT count(*) FROM mine), (SELECT count(*) FROM theirs),
               (SELECT count(*) FROM (SELECT m.user_id, m.share FROM mine m EXCEPT SELECT t.user_id, t.share FROM theirs t) x),
               (SELECT count(*) FROM (SELECT t.user_id, t.share FROM theirs t EXCEPT SELECT m.user_id, m.share FROM mine m) x);
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.licence_preview(text, text, integer) IS
'What a policy would have counted in each of the last months (UTC, the running one included, 1 to 120), compared with another one (NULL: the active one): how many each counts, and whom the policy adds and drops. Administrators, and managers with reach all; errors: 42501, 22023';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.act_kinds(bigint)',
        'csm_private.shipped_licence_policies()',
        'csm_private.ship_licence_policies()',
        'csm_private.licence_firsts(csm.licence_policies, tstzrange)',
        'csm_private.licence_policy(text)',
        'csm.licence_usage(tstzrange, text)',
        'csm.licence_preview(text, text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.licence_usage(tstzrange, text), csm.licence_preview(text, text, integer) TO csm_agent, csm_admin;
CREATE TRIGGER tenants_40_licence AFTER INSERT ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.ship_licence_policies();
