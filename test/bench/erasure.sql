-- A person with many cases among twice as many of others, an entry of the requester on each.
SELECT csm.create_tenant('bench', 'Bench', 'admin@bench.example') AS tenant \gset
INSERT INTO csm.users (tenant_id, display_name, email) SELECT :tenant, 'Person ' || i, 'p' || i || '@bench.example' FROM generate_series(1, 1000) i;
INSERT INTO csm.consumers (tenant_id, user_id) SELECT tenant_id, id FROM csm.users WHERE id > 1;
INSERT INTO csm.cases (tenant_id, requester_id, subject, description)
SELECT :tenant, CASE WHEN i <= :cases THEN 500 ELSE 600 + i % 300 END, 'subject ' || i, repeat('word' || i || ' ', 20) FROM generate_series(1, 3 * :cases) i;
SET csm.importing = on;
INSERT INTO csm.case_entries (tenant_id, case_id, author_id, author_name, body)
SELECT c.tenant_id, c.id, u.id, u.display_name, 'a comment' FROM csm.cases c JOIN csm.users u ON u.id = c.requester_id;
RESET csm.importing;
VACUUM ANALYZE;
