-- T10: which tasks a person sees, asked of the policies, against a definition in plain SQL over base tables, on a random
-- world; the same for blocks, lines and links, and for the tasks that a plain UPDATE reaches.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.45, people => 400, accounts => 150, cases => 1200) \g /dev/null

-- Tasks on half of the cases, for staff, for customers, for groups and for nobody; some groups with customers in them.
SELECT setseed(0.45) \g /dev/null
INSERT INTO csm.groups (tenant_id, name) SELECT t.id, 'Group ' || i FROM world.tenants t, generate_series(1, 6) i;
INSERT INTO csm.group_members (tenant_id, group_id, user_id)
SELECT g.tenant_id, g.id, u.id FROM csm.groups g JOIN csm.users u ON u.tenant_id = g.tenant_id
WHERE hashint8(u.id * 31 + g.id) % 11 = 0 ON CONFLICT DO NOTHING;
SET csm.importing = on;
CREATE TEMP TABLE dice AS
SELECT c.id AS case_id, c.tenant_id, n, random() AS flag, random() AS whose, hashint8(c.id * 7 + n) AS pick
FROM csm.cases c CROSS JOIN generate_series(1, 3) n WHERE (c.id + n) % 2 = 0;
INSERT INTO csm.case_tasks (tenant_id, case_id, subject, state, blocking, visible_to_customer, assigned_to, assigned_group_id)
SELECT d.tenant_id, d.case_id, 'random', 'open', false, d.flag < 0.4,
       -- staff more often than they are among the people
       CASE WHEN d.whose < 0.3 THEN (SELECT r.user_id FROM csm.user_roles r WHERE r.tenant_id = d.tenant_id ORDER BY hashint8(r.user_id + d.pick) LIMIT 1)
            WHEN d.whose < 0.5 THEN (SELECT u.id FROM csm.users u WHERE u.tenant_id = d.tenant_id ORDER BY hashint8(u.id * 3 + d.pick) LIMIT 1) END,
       CASE WHEN d.whose > 0.4 AND d.whose < 0.7 THEN (SELECT g.id FROM csm.groups g WHERE g.tenant_id = d.tenant_id ORDER BY hashint8(g.id + d.pick) LIMIT 1) END
FROM dice d;
INSERT INTO csm.case_blocks (tenant_id, case_id, reason) SELECT tenant_id, case_id, 'other' FROM dice WHERE n = 1;
INSERT INTO csm.case_lines (tenant_id, case_id, position, description, state) SELECT tenant_id, case_id, 1, 'random', 'new' FROM dice WHERE n = 2;
INSERT INTO csm.case_links (tenant_id, from_case_id, to_case_id, kind)
SELECT d.tenant_id, d.case_id, e.id, 'duplicate'
FROM dice d CROSS JOIN LATERAL (SELECT c.id FROM csm.cases c WHERE c.tenant_id = d.tenant_id AND c.id <> d.case_id
                                  AND (c.requester_id, 0) = ((SELECT x.requester_id FROM csm.cases x WHERE x.id = d.case_id), 0)
                                ORDER BY hashint8(c.id + d.pick) LIMIT 1) e
WHERE n = 3;
SET csm.importing = off;
ANALYZE;

-- The definition. Staff: a role of kind staff that counts now; no access map, no predicate, no policy.
SELECT world.compute(statement_timestamp()) \g /dev/null
CREATE TEMP TABLE staff AS
SELECT DISTINCT a.user_id
FROM csm.user_roles a
JOIN csm.roles r ON r.role = a.role AND r.tenant_id = a.tenant_id AND r.kind = 'staff'
JOIN csm.users u ON u.id = a.user_id AND u.enabled
JOIN csm.tenants t ON t.id = a.tenant_id AND t.enabled
WHERE a.valid_during IS NULL OR a.valid_during @> statement_timestamp();
CREATE TEMP TABLE person AS
SELECT u.tenant_id, u.id, row_number() OVER (PARTITION BY u.tenant_id, s.user_id IS NULL ORDER BY u.id) AS n, s.user_id IS NOT NULL AS is_staff
FROM csm.users u LEFT JOIN staff s ON s.user_id = u.id;
DELETE FROM person WHERE NOT is_staff AND n > 160;
CREATE TEMP TABLE side AS
SELECT p.id AS user_id, s.staff, r.* FROM person p CROSS JOIN (VALUES (false), (true)) s(staff) CROSS JOIN LATERAL world.sides(p.id, s.staff) r WHERE r.sees;
CREATE INDEX ON side (user_id, staff, case_id);
ANALYZE side;
CREATE FUNCTION pg_temp.defined(me bigint, staff_side boolean, tab text) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(x.id::text ORDER BY x.id)
    FROM (SELECT t.id FROM csm.case_tasks t LEFT JOIN side r ON r.user_id = me AND r.staff = staff_side AND r.case_id = t.case_id
          WHERE tab IN ('case_tasks', 'updates')
            AND (coalesce(r.works, false)
                 OR tab = 'case_tasks' AND t.visible_to_customer AND r.case_id IS NOT NULL AND (r.customer OR NOT r.counterparty)
                 OR staff_side AND EXISTS (SELECT FROM staff s WHERE s.user_id = me)
                    AND (t.assigned_to = me OR EXISTS (SELECT FROM csm.group_members m WHERE m.group_id = t.assigned_group_id AND m.user_id = me)))
          UNION ALL
          SELECT b.id FROM csm.case_blocks b JOIN side r ON r.user_id = me AND r.staff = staff_side AND r.case_id = b.case_id WHERE tab = 'case_blocks'
          UNION ALL
          SELECT l.id FROM csm.case_lines l JOIN side r ON r.user_id = me AND r.staff = staff_side AND r.case_id = l.case_id WHERE tab = 'case_lines'
          UNION ALL
          SELECT l.id FROM csm.case_links l JOIN side a ON a.user_id = me AND a.staff = staff_side AND a.case_id = l.from_case_id
          JOIN side b ON b.user_id = me AND b.staff = staff_side AND b.case_id = l.to_case_id WHERE tab = 'case_links') x
$$;
CREATE FUNCTION pg_temp.asked(who bigint, role_name text, tab text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
BEGIN
    BEGIN
        PERFORM world.enter(who, role_name);
        IF NOT row_security_active('csm.case_tasks') THEN
            RAISE EXCEPTION 'row security is not active for %', role_name USING ERRCODE = 'XX000';
        END IF;
        IF tab = 'updates' THEN
            WITH w AS (UPDATE csm.case_tasks SET priority = priority RETURNING id) SELECT array_agg(id::text ORDER BY id) INTO found FROM w;
        ELSE
            EXECUTE format('SELECT array_agg(id::text ORDER BY id) FROM csm.%I', tab) INTO found;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN found := ARRAY[SQLSTATE, SQLERRM];
    END;
    PERFORM world.leave();
    RETURN found;
END $$;
CREATE TEMP TABLE seen AS
SELECT p.id AS user_id, p.is_staff, r.role_name, t.tab,
       pg_temp.asked(p.id, r.role_name, t.tab) AS asked, pg_temp.defined(p.id, r.role_name = 'csm_agent', t.tab) AS defined
FROM person p CROSS JOIN unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
CROSS JOIN unnest('{case_tasks,case_blocks,case_lines,case_links}'::text[]) t(tab)
UNION ALL
SELECT p.id, p.is_staff, 'csm_agent', 'updates', pg_temp.asked(p.id, 'csm_agent', 'updates'), pg_temp.defined(p.id, true, 'updates')
FROM person p WHERE p.n <= 40;
SELECT diag(format('%-11s %-10s %4s people, %6s rows asked, %6s defined', tab, role_name, count(*), sum(cardinality(asked)), sum(cardinality(defined)))) FROM seen GROUP BY tab, role_name ORDER BY tab, role_name;
SELECT is((SELECT count(*) FROM seen s WHERE (s.tab, s.role_name) = (k.tab, k.role_name) AND s.asked IS DISTINCT FROM s.defined), 0::bigint,
          format('T10 rows of %s for %s as the definition says', k.tab, k.role_name))
FROM (SELECT DISTINCT tab, role_name FROM seen) k ORDER BY k.tab, k.role_name;
SELECT diag(format('%s, user %s as %s: too many %s, missing %s', s.tab, s.user_id, s.role_name,
                   (SELECT array_agg(k) FROM (SELECT unnest(s.asked) EXCEPT SELECT unnest(s.defined) LIMIT 5) x(k)),
                   (SELECT array_agg(k) FROM (SELECT unnest(s.defined) EXCEPT SELECT unnest(s.asked) LIMIT 5) x(k))))
FROM (SELECT s.*, row_number() OVER (PARTITION BY tab, role_name ORDER BY user_id) AS n FROM seen s WHERE asked IS DISTINCT FROM defined) s WHERE n <= 3;

-- Each arm on its own lets people in and keeps others out, or agreement would say little.
CREATE TEMP TABLE arm AS
SELECT a.arm, count(*) AS grants
FROM (SELECT 'flag' AS arm FROM side r JOIN csm.case_tasks t ON t.case_id = r.case_id WHERE t.visible_to_customer AND NOT r.works AND (r.customer OR NOT r.counterparty)
      UNION ALL SELECT 'flag, kept from the counterparty' FROM side r JOIN csm.case_tasks t ON t.case_id = r.case_id WHERE t.visible_to_customer AND NOT r.works AND NOT r.customer AND r.counterparty
      UNION ALL SELECT 'no flag, kept from the customer' FROM side r JOIN csm.case_tasks t ON t.case_id = r.case_id WHERE NOT t.visible_to_customer AND NOT r.works
      UNION ALL SELECT 'work' FROM side r JOIN csm.case_tasks t ON t.case_id = r.case_id WHERE r.works
      UNION ALL SELECT 'assignee without the case' FROM csm.case_tasks t JOIN staff s ON s.user_id = t.assigned_to WHERE NOT EXISTS (SELECT FROM side r WHERE r.user_id = s.user_id AND r.staff AND r.case_id = t.case_id)
      UNION ALL SELECT 'group without the case' FROM csm.case_tasks t JOIN csm.group_members m ON m.group_id = t.assigned_group_id JOIN staff s ON s.user_id = m.user_id
                WHERE NOT EXISTS (SELECT FROM side r WHERE r.user_id = s.user_id AND r.staff AND r.case_id = t.case_id)
      UNION ALL SELECT 'assignee who is no staff' FROM csm.case_tasks t JOIN person p ON p.id = t.assigned_to AND NOT p.is_staff) a GROUP BY a.arm;
SELECT diag(format('%-36s %s', arm, grants)) FROM arm ORDER BY arm;
SELECT cmp_ok(coalesce((SELECT grants FROM arm a WHERE a.arm = w), 0), '>=', 20::bigint, 'T10 at least 20 pairs: ' || w)
FROM unnest('{flag,"flag, kept from the counterparty","no flag, kept from the customer",work,assignee without the case,group without the case,assignee who is no staff}'::text[]) w;
SELECT * FROM finish();
