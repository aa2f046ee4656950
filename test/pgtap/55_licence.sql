-- The licence meter: which act is of which class, what two readings of the same contract make of it, who may ask; and,
-- on random worlds, that what the index walk answers is what one plain query over the history says.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION small.does(person text, role_name text, statement text, persona text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := small.run(small.u(person), role_name, statement, persona, true);
BEGIN
    IF answer LIKE 'ERROR%' THEN
        RAISE EXCEPTION '%: %', statement, answer;
    END IF;
    RETURN answer;
END $$;
-- What a policy says of a person in the last day: class, what made him count, action.
CREATE FUNCTION small.counted(person text, of_policy text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', u.user_class, u.counts_as, u.action)
    FROM csm.licence_usage(tstzrange(now() - interval '1 day', now() + interval '1 day'), of_policy) u WHERE u.user_id = small.u(person)
$$;

-- Real acts. The system has no tenant of its own here, so an administrator asks.
SELECT small.does('north contact', 'csm_portal', format($$SELECT (csm.open_case('claim', NULL, 'dispute', counterparty_account_id => %s)).id$$, small.a('globex'))) AS claim \gset
SELECT small.does('globex manager', 'csm_portal', format('SELECT (csm.comment(%s, ''We look at it.'')).id', :claim));
SELECT small.does('globex manager', 'csm_portal', format($$SELECT (csm.act(%s, 'propose', NULL, '{"reference": "CN-1", "resolution_code": "Credit", "resolution_notes": "Credited."}')).id$$, :claim));
SELECT small.does('north contact', 'csm_portal', format('SELECT (csm.act(%s, ''accept'')).id', :claim));
SELECT small.does('globex contact', 'csm_portal', $$SELECT (csm.open_case('own affair')).id$$);
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.open_case('by phone', requester_id => %s, account_id => %s)).id$$, small.u('acme contact'), small.a('acme'))) AS phoned \gset
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.act(%s, ''take'')).id', :phoned));
SELECT small.does('contributor', 'csm_agent', format($$SELECT (csm.open_case('for a customer', requester_id => %s, account_id => %s)).id$$, small.u('acme contact'), small.a('acme')));
SELECT small.does('employee', 'csm_portal', $$SELECT (csm.open_case('my laptop')).id$$);

CREATE FUNCTION small.asks(of_policy text, person text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u('desk admin'), 'csm_admin', format($q$SELECT concat_ws(' ', u.user_class, u.counts_as, u.action)
        FROM csm.licence_usage(tstzrange(now() - interval '1 day', now() + interval '1 day'), %L) u WHERE u.user_id = %s$q$, of_policy, small.u(person)))
$$;
INSERT INTO csm.licence_policies (tenant_id, policy, label, counts) VALUES
    (small.tenant(), 'all', 'Everybody', '{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'),
    (small.tenant(), 'resolving', 'The other company only where it resolves', '{fulfiller,counterparty_act}');
SELECT is(small.asks('all', person), expected, 'A38 class of the first act: ' || person)
FROM (VALUES ('north contact', 'requester requester open'), ('globex contact', 'requester requester open'),
             ('globex manager', 'counterparty counterparty_update acknowledge'), ('b2b agent', 'fulfiller fulfiller open'),
             ('contributor', 'stakeholder stakeholder open'), ('employee', 'requester requester open')) v(person, expected);
SELECT is(small.asks('related_free', 'globex manager'), NULL, 'C4 reading 1: the other company of a dispute is free');
SELECT is(small.asks('counterparty_counts', 'globex manager'), 'counterparty counterparty_update acknowledge', 'C4 reading 2: it counts from its first comment on');
SELECT is(small.asks('resolving', 'globex manager'), 'counterparty counterparty_act propose', 'C4 reading 3: only with the act that resolves');
SELECT is(small.asks('related_free', 'north contact'), NULL, 'A23 a customer is free');
SELECT is(small.asks('counterparty_counts', 'north contact'), NULL, 'A23 a claimant is free by either reading');
SELECT is(small.asks(NULL, 'b2b agent'), 'fulfiller fulfiller open', 'A38 without a name the active policy answers');

-- Products (A36): internal and external service on one database.
INSERT INTO csm.licence_products (tenant_id, product, label, roles) VALUES
    (small.tenant(), 'customer_service', 'External', '{agent,consumer_agent,manager,contributor,customer}'),
    (small.tenant(), 'internal_service', 'Internal', '{manager,location_agent}');
INSERT INTO csm.licence_policies (tenant_id, policy, label, counts, products, union_products) VALUES
    (small.tenant(), 'both', 'One licence', '{fulfiller,stakeholder}', '{customer_service,internal_service}', true),
    (small.tenant(), 'each', 'Two licences', '{fulfiller,stakeholder}', '{customer_service,internal_service}', false),
    (small.tenant(), 'internal', 'Internal alone', '{fulfiller,stakeholder}', '{internal_service}', true),
    (small.tenant(), 'broken', 'No such product', '{fulfiller}', '{nonsense}', true);
SELECT small.does('desk manager', 'csm_agent', format('SELECT (csm.comment(%s, ''I watch this.'', ''internal'')).id', :phoned));
CREATE FUNCTION small.rows(of_policy text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u('desk admin'), 'csm_admin', format($q$SELECT string_agg(u.display_name || ':' || u.product, ', ' ORDER BY u.display_name, u.product)
        FROM csm.licence_usage(tstzrange(now() - interval '1 day', now() + interval '1 day'), %L) u$q$, of_policy))
$$;
SELECT is(small.rows('each'), 'b2b agent:customer_service, contributor:customer_service, desk manager:customer_service, desk manager:internal_service',
          'A36 who works for two products counts for each');
SELECT is(small.rows('both'), 'b2b agent:customer_service, contributor:customer_service, desk manager:customer_service', 'A36 one licence for both: once');
SELECT is(small.rows('internal'), 'desk manager:internal_service', 'A36 an agent for customers is none of internal service');

-- Who may ask.
SELECT is(small.run(small.u(person), role_name, $$SELECT count(*) >= 0 FROM csm.licence_usage(tstzrange(now() - interval '1 day', now()))$$),
          expected, 'A38 the meter for ' || person || ' as ' || role_name)
FROM (VALUES ('desk admin', 'csm_admin', 'true'), ('desk manager', 'csm_agent', 'true'),
             ('b2b agent', 'csm_agent', 'ERROR 42501: permission denied to read the licence meter'),
             ('viewer', 'csm_agent', 'ERROR 42501: permission denied to read the licence meter'),
             ('desk admin', 'csm_portal', 'ERROR 42501: permission denied for function licence_usage'),
             ('north admin', 'csm_portal', 'ERROR 42501: permission denied for function licence_usage')) v(person, role_name, expected);
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT csm.licence_usage(' || period || ', ' || quote_nullable(policy) || ')'), 'ERROR 22023: ' || message, '22023 ' || message)
FROM (VALUES ('NULL', NULL, 'a licence period has a beginning and an end'), ('''empty''', NULL, 'a licence period has a beginning and an end'),
             ('tstzrange(now(), NULL)', NULL, 'a licence period has a beginning and an end'),
             ('tstzrange(''-infinity'', now())', NULL, 'a licence period has a beginning and an end'),
             ('tstzrange(''2024-01-01'', ''2024-02-01'')', 'nonsense', 'there is no licence policy nonsense'),
             ('tstzrange(''2024-01-01'', ''2024-02-01'')', 'broken', 'licence policy "broken" names the product "nonsense", which does not exist')) v(period, policy, message);
SELECT is(small.run(small.u(person), role_name, $$INSERT INTO csm.licence_policies (policy, label, counts) VALUES ('mine', 'Mine', '{}') RETURNING policy$$), expected,
          'A38 policies written by ' || person)
FROM (VALUES ('desk admin', 'csm_admin', 'mine'), ('desk manager', 'csm_agent', 'ERROR 42501: permission denied for table licence_policies'),
             ('desk manager', 'csm_admin', 'ERROR 42501: new row violates row-level security policy for table "licence_policies"')) v(person, role_name, expected);
SELECT throws_ok($$INSERT INTO csm.licence_policies (tenant_id, policy, label, counts, active) VALUES (small.tenant(), 'second', 'x', '{}', true)$$, '23505', NULL,
                 'A38 one policy is active');

-- Two policies over the past.
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT concat_ws(' ', count(*), max(counted), max(counted_against), max(added), max(dropped)) FROM csm.licence_preview('counterparty_counts')$$),
          '12 4 3 1 0', 'A38 preview: the second reading adds one person');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT concat_ws(' ', max(added), max(dropped)) FROM csm.licence_preview('related_free', 'counterparty_counts', 1)$$),
          '0 1', 'A38 preview: the other way round it drops one');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT csm.licence_preview('all', NULL, 121)$$), 'ERROR 22023: months must be between 1 and 120', '22023 too many months');

-- The meter against one plain query, on random worlds.
CREATE SCHEMA slow;
CREATE FUNCTION slow.usage(p csm.licence_policies, period tstzrange)
RETURNS TABLE (user_id bigint, product text, counts_as text, highest_class text, history_id bigint) LANGUAGE sql STABLE AS $$
    WITH scope(product, roles, asks) AS (
        SELECT NULL, NULL::text[], true WHERE p.products = '{}'
      UNION ALL
        SELECT l.product, l.roles, EXISTS (SELECT FROM csm.roles r WHERE r.tenant_id = p.tenant_id AND r.kind <> 'staff' AND r.role = ANY (l.roles))
        FROM csm.licence_products l WHERE l.tenant_id = p.tenant_id AND l.product = ANY (p.products)
    ), act AS (
        SELECT h.id, h.at, h.actor_id, s.product,
               CASE
               WHEN starts_with(h.persona, 'staff:') THEN
                   CASE WHEN s.roles IS NULL OR split_part(h.persona, ':', 2) = ANY (s.roles) THEN
                        CASE (SELECT r.user_class FROM csm.roles r WHERE r.tenant_id = h.tenant_id AND r.role = split_part(h.persona, ':', 2))
                        WHEN 'stakeholder' THEN 'stakeholder' WHEN 'external' THEN 'requester' ELSE 'fulfiller' END END
               WHEN h.persona = 'staff' THEN
                   CASE WHEN 'fulfiller' = ANY (o.classes) THEN 'fulfiller' WHEN 'stakeholder' = ANY (o.classes) THEN 'stakeholder'
                        WHEN 'external' = ANY (o.classes) THEN 'requester' WHEN s.roles IS NULL THEN 'fulfiller' END
               WHEN h.relation = 'approver' THEN CASE WHEN s.asks THEN 'approver' END
               WHEN split_part(h.relation, ', ', 1) = 'respondent' THEN
                   CASE WHEN s.asks THEN CASE WHEN h.action IN ('comment', 'private_entry', 'attach', 'update', 'acknowledge') THEN 'counterparty_update' ELSE 'counterparty_act' END END
               WHEN h.relation IS NULL OR h.on_behalf_of IS NOT NULL AND NOT coalesce(starts_with(h.persona, 'contact:'), false) THEN
                   CASE WHEN 'stakeholder' = ANY (o.classes) THEN 'stakeholder' WHEN s.asks AND NOT 'stakeholder' = ANY (e.classes) THEN 'requester' END
               WHEN s.asks THEN 'requester' END AS counts_as
        FROM csm.case_history h CROSS JOIN scope s
        CROSS JOIN LATERAL (SELECT ARRAY(SELECT r.user_class FROM csm.user_roles u JOIN csm.roles r USING (role, tenant_id)
                                         WHERE u.user_id = h.actor_id AND (u.valid_during IS NULL OR u.valid_during @> h.at)
                                           AND (s.roles IS NULL OR u.role = ANY (s.roles))) AS classes) o
        CROSS JOIN LATERAL (SELECT ARRAY(SELECT r.user_class FROM csm.user_roles u JOIN csm.roles r USING (role, tenant_id)
                                         WHERE u.user_id = h.actor_id AND (u.valid_during IS NULL OR u.valid_during @> h.at)) AS classes) e
        WHERE h.tenant_id = p.tenant_id AND h.actor_id IS NOT NULL
          AND h.at >= lower(period) - make_interval(days => p.window_days) AND h.at < upper(period)
    ), counted AS (
        SELECT a.*, CASE WHEN NOT p.union_products THEN a.product END AS share,
               CASE a.counts_as WHEN 'fulfiller' THEN 1 WHEN 'stakeholder' THEN 2 WHEN 'counterparty_act' THEN 3 WHEN 'counterparty_update' THEN 4
                                WHEN 'approver' THEN 5 ELSE 6 END AS rank
        FROM act a WHERE a.counts_as = ANY (p.counts)
    )
    SELECT DISTINCT ON (c.actor_id, c.share) c.actor_id, c.product, c.counts_as,
           CASE min(c.rank) OVER (PARTITION BY c.actor_id, c.share)
           WHEN 1 THEN 'fulfiller' WHEN 2 THEN 'stakeholder' WHEN 3 THEN 'counterparty' WHEN 4 THEN 'counterparty' ELSE 'requester' END, c.id
    FROM counted c ORDER BY c.actor_id, c.share, c.at, c.id, c.rank, c.product
$$;
CREATE FUNCTION slow.act(n integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO csm.case_history (tenant_id, case_id, seq, at, action, actor_id, persona, relation, on_behalf_of, audience, payload_hash, hash)
    SELECT small.tenant(), small.c('north: valve'), 1000 + i, timestamptz '2025-01-01' + floor(random() * 8760) * interval '1 hour',
           ('{open,comment,update,propose,take,accept,attach,approve}'::text[])[1 + floor(random() * 8)],
           CASE WHEN random() < 0.95 THEN (SELECT n.id FROM small.named n WHERE n.kind = 'user' AND n.id % 40 = floor(random() * 40 + i * 0) LIMIT 1) END,
           ('{staff,staff,staff,contact,consumer,employee,contact:7,staff:agent,staff:viewer,staff:helper,staff:gone,NULL}'::text[])[1 + floor(random() * 12)],
           ('{agent,"agent, assignee","requester, customer",customer,respondent,"respondent, partner","claimant, respondent",partner,approver,"customer, approver",NULL}'::text[])[1 + floor(random() * 11)],
           CASE WHEN random() < 0.3 THEN small.u('north contact') END, 'shared', '\x00', '\x00'
    FROM generate_series(1, n) i
$$;
INSERT INTO csm.roles (tenant_id, role, kind, user_class, label) VALUES (small.tenant(), 'helper', 'staff', 'external', 'Helper');
UPDATE csm.licence_products SET roles = roles || '{helper,viewer}'::text[] WHERE product = 'internal_service' AND tenant_id = small.tenant();
SELECT setseed(0.55);
SELECT slow.act(2000);
INSERT INTO csm.user_roles (tenant_id, user_id, role, valid_during)
SELECT small.tenant(), n.id, r.role,
       CASE WHEN random() < 0.2 THEN NULL ELSE tstzrange(timestamptz '2025-01-01' + floor(random() * 180) * interval '1 day',
                                                         timestamptz '2025-07-01' + floor(random() * 180) * interval '1 day') END
FROM small.named n CROSS JOIN unnest('{agent,viewer,helper,manager,contributor}'::text[]) r(role)
WHERE n.kind = 'user' AND random() < 0.25
  AND NOT EXISTS (SELECT FROM csm.user_roles u WHERE u.user_id = n.id AND u.role = r.role);
SELECT ok(count(DISTINCT kind) >= 8 AND count(DISTINCT actor_id) >= 20, 'A38 random acts of every kind') FROM csm_private.acts WHERE tenant_id = small.tenant();

CREATE TABLE slow.trial AS
SELECT i, ROW(small.tenant(), 't' || i, 'x',
              ARRAY(SELECT c FROM unnest('{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[]) c WHERE random() < 0.5 + 0 * i),
              (ARRAY[0, 0, 7, 90])[1 + floor(random() * 4)]::integer,
              ((ARRAY['{}', '{}', '{customer_service}', '{internal_service}', '{customer_service,internal_service}'])[1 + floor(random() * 5)])::text[],
              random() < 0.5, false)::csm.licence_policies AS p,
       tstzrange(x.first, x.first + (1 + floor(random() * 100)) * interval '1 day') AS period
FROM generate_series(1, 30) i CROSS JOIN LATERAL (SELECT timestamptz '2025-01-01' + floor(random() * 300 + 0 * i) * interval '1 day' AS first) x;
INSERT INTO csm.licence_policies SELECT (t.p).* FROM slow.trial t;
-- as the owner without identity, in a database with two tenants, csm.tenant says which
CREATE FUNCTION slow.fast(t slow.trial) RETURNS TABLE (user_id bigint, product text, counts_as text, highest_class text, history_id bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.user_id', small.u('desk admin')::text, true), set_config('role', 'csm_admin', true);
    RETURN QUERY SELECT u.user_id, u.product, u.counts_as, u.highest_class, u.history_id FROM csm.licence_usage(t.period, (t.p).policy) u;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
END $$;
GRANT USAGE ON SCHEMA slow TO csm_admin;
CREATE TABLE slow.answers AS SELECT t.i, f.* FROM slow.trial t CROSS JOIN LATERAL slow.fast(t) f;
CREATE TABLE slow.expected AS SELECT t.i, s.* FROM slow.trial t CROSS JOIN LATERAL slow.usage(t.p, t.period) s;
SELECT ok((SELECT count(*) FROM slow.expected) > 200, 'A38 the random policies count somebody');
SELECT is_empty('(TABLE slow.answers EXCEPT ALL TABLE slow.expected)', 'A38 licence_usage: nobody whom the plain query does not count, by the same act');
SELECT is_empty('(TABLE slow.expected EXCEPT ALL TABLE slow.answers)', 'A38 licence_usage: everybody whom the plain query counts, by the same act');
SELECT * FROM finish();
