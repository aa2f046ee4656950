-- Entries, three for two cases, in order of time; what they copy from the case
-- follows from the same hashes as in load_cases.sql.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET csm.restoring = on;

INSERT INTO csm.case_entries (id, tenant_id, case_id, branch, author_id, author_name, visibility, side, body, created_at)
OVERRIDING SYSTEM VALUE
SELECT e.id, c.tenant, e.case_id,
       CASE WHEN e.case_id % 5000 = 18 AND e.nth <> 8 THEN 'b2b'
            WHEN e.case_id % 5000 = 17 THEN 'internal'
            WHEN bench.r(e.case_id, 1) < 0.8 THEN 'b2b'
            WHEN bench.r(e.case_id, 1) < 0.95 THEN 'b2c' ELSE 'internal' END,
       c.agents_from + 1 + e.id % c.agents, 'Agent ' || 1 + e.id % c.agents,
       CASE WHEN bench.r(e.id, 21) < 0.85 THEN 'shared' ELSE 'internal' END, 'operator', d.body,
       c.first_day + (c.last_day - c.first_day) * (e.case_id::double precision / c.cases) + interval '1 hour' * (1 + e.id % 48)
FROM bench.config c,
LATERAL (SELECT g AS id, (g + 2) * 2 / 3 AS case_id, ((g + 2) * 2 / 3 / 5000) % 9 + 1 AS nth
         FROM generate_series(1, :cases::bigint * 3 / 2 - 3) g) e
JOIN bench.descriptions d ON d.n = (hashint8extended(e.id, 13) & 2147483647) % 40000;
