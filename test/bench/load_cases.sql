-- Cases, in the order in which they were opened: 80 % b2b, 15 % b2c, 5 %
-- internal, three years, most of them long closed.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET csm.restoring = on;

INSERT INTO csm.cases (id, tenant_id, number, branch, case_type, state, state_class, priority, subject, description,
                       channel, requester_id, opened_by, account_id, counterparty_account_id, partner_account_id,
                       product_id, assigned_to, resolution_code, resolution_notes, search, opened_at, submitted_at,
                       resolved_at, closed_at, updated_at, first_response_at)
OVERRIDING SYSTEM VALUE
SELECT x.id, c.tenant, x.number, x.branch, 'case', x.state,
       CASE x.state WHEN 'awaiting_info' THEN 'waiting' ELSE x.state END,
       1 + floor(4 * sqrt(bench.r(x.id, 10)))::integer, s.body, d.body,
       (ARRAY['web', 'email', 'phone', 'chat'])[1 + x.id % 4], x.requester_id,
       CASE WHEN x.special OR bench.r(x.id, 6) < 0.7 THEN x.requester_id
            ELSE c.agents_from + 1 + floor(c.agents * bench.r(x.id, 7))::bigint END,
       x.account_id,
       -- rare columns: a dispute in 100, a named partner in 50
       CASE WHEN x.account_id IS NOT NULL AND x.luck < 0.01
            THEN nullif(bench.account(c.accounts - 4000 + x.id % 500, c.accounts), x.account_id) END,
       CASE WHEN x.account_id IS NOT NULL AND x.luck > 0.98
            THEN nullif(bench.account(c.accounts - 3500 + x.id % 3000, c.accounts), x.account_id) END,
       CASE WHEN bench.r(x.id, 8) < 0.3 THEN 1 + x.id % 200 END,
       CASE WHEN x.state <> 'new' AND bench.r(x.id, 9) < 0.8
            THEN c.agents_from + 1 + floor(c.agents * bench.r(x.id, 9) / 0.8)::bigint END,
       CASE WHEN x.state IN ('resolved', 'closed') THEN 'solved' END,
       CASE WHEN x.state IN ('resolved', 'closed') THEN 'Done.' END,
       setweight(to_tsvector('simple', x.number), 'A') || s.vector || d.vector,
       x.opened_at, x.opened_at,
       CASE WHEN x.state IN ('resolved', 'closed') THEN x.opened_at + interval '3 days' END,
       CASE WHEN x.state IN ('cancelled', 'closed') THEN x.opened_at + interval '5 days' END,
       x.opened_at + interval '5 days',
       CASE WHEN x.state <> 'new' THEN x.opened_at + interval '2 hours' END
FROM bench.config c,
LATERAL (
    SELECT g.id, 'CS' || lpad(g.id::text, 7, '0') AS number, k.branch, k.special, bench.r(g.id, 5) AS luck,
           c.first_day + (c.last_day - c.first_day) * (g.id::double precision / c.cases) AS opened_at,
           CASE k.branch WHEN 'b2b' THEN coalesce(p.account, a.id) END AS account_id,
           CASE WHEN k.special THEN p.person
                WHEN k.branch = 'b2b' AND a.id % 2 = 0 AND bench.r(g.id, 3) < 0.4 THEN c.seconds_from + a.id
                WHEN k.branch = 'b2b' THEN c.contacts_from + a.id
                WHEN k.branch = 'b2c' THEN c.consumers_from + 1 + floor(c.consumers * bench.r(g.id, 3))::bigint
                ELSE c.employees_from + 1 + floor(c.employees * bench.r(g.id, 3))::bigint END AS requester_id,
           coalesce(CASE WHEN g.id > c.cases * 35 / 36
                THEN (ARRAY['new','new','open','open','open','open','awaiting_info','resolved','resolved','closed'])
                     [1 + floor(10 * bench.r(g.id, 4))::integer]
                ELSE (ARRAY['open','awaiting_info','resolved','cancelled','cancelled'])
                     [1 + floor(100 * bench.r(g.id, 4))::integer] END, 'closed') AS state
    FROM generate_series(1, :cases::bigint) AS g(id)
    -- the bench persons' own: one in 5,000 b2b (of their account), one in 5,000 internal
    LEFT JOIN bench.people p ON p.ord = 1 + (g.id / 5000) % 9 AND g.id % 5000 IN (17, 18)
                            AND NOT (g.id % 5000 = 18 AND p.account IS NULL)
    CROSS JOIN LATERAL (SELECT bench.customer(bench.r(g.id, 2), c.accounts)) AS a(id)
    CROSS JOIN LATERAL (SELECT p.person IS NOT NULL,
                               CASE WHEN p.person IS NOT NULL THEN CASE g.id % 5000 WHEN 18 THEN 'b2b' ELSE 'internal' END
                                    WHEN bench.r(g.id, 1) < 0.8 THEN 'b2b'
                                    WHEN bench.r(g.id, 1) < 0.95 THEN 'b2c' ELSE 'internal' END) AS k(special, branch)
    OFFSET 0
) x
JOIN bench.subjects s ON s.n = (hashint8extended(x.id, 11) & 2147483647) % 40000
JOIN bench.descriptions d ON d.n = (hashint8extended(x.id, 12) & 2147483647) % 40000;
