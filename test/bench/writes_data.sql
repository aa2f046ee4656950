-- The world of writes.sh: one tenant, accounts with a contact each, agents, and
-- cases enough that indexes have their depth.  Variable: cases.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SELECT csm.create_tenant('writes', 'Writes', 'admin@writes.example') AS tenant \gset
CREATE SCHEMA bench;
CREATE TABLE bench.config AS SELECT :tenant::bigint AS tenant, 2000::bigint AS accounts, 32::bigint AS agents;
INSERT INTO csm.accounts (name) SELECT 'Account ' || i FROM generate_series(1, 2000) i;
CREATE TABLE bench.contact AS SELECT row_number() OVER (ORDER BY id) AS n, id AS account_id, NULL::bigint AS user_id FROM csm.accounts;
WITH u AS (INSERT INTO csm.users (display_name) SELECT 'Contact ' || i FROM generate_series(1, 2000) i RETURNING id, display_name)
UPDATE bench.contact c SET user_id = u.id FROM u WHERE u.display_name = 'Contact ' || c.n;
INSERT INTO csm.contacts (user_id, account_id, role, is_home) SELECT user_id, account_id, 'customer', true FROM bench.contact;
CREATE TABLE bench.agent AS SELECT i AS n, NULL::bigint AS user_id FROM generate_series(1, 32) i;
WITH u AS (INSERT INTO csm.users (display_name) SELECT 'Agent ' || i FROM generate_series(1, 32) i RETURNING id, display_name)
UPDATE bench.agent a SET user_id = u.id FROM u WHERE u.display_name = 'Agent ' || a.n;
INSERT INTO csm.user_roles (user_id, role) SELECT user_id, 'agent' FROM bench.agent;

-- Cases that nobody touches; replica: what triggers would derive is given.
SET session_replication_role = replica;
INSERT INTO csm.cases (tenant_id, number, branch, case_type, priority, state, state_class, subject, description, requester_id, opened_by, account_id,
                       opened_at, submitted_at, updated_at, search)
SELECT :tenant, 'OLD' || i, 'b2b', 'case', 4, s, s, 'old case number ' || i || ' about pump ' || i % 977,
       'The pump ' || i % 977 || ' in hall ' || i % 31 || ' makes a noise when it starts in the morning.', c.user_id, c.user_id, c.account_id,
       at, at, at, to_tsvector('english', 'old case number ' || i || ' about pump ' || i % 977 || ' hall ' || i % 31 || ' makes a noise in the morning')
FROM generate_series(1, :cases) i
JOIN bench.contact c ON c.n = i % 2000 + 1
CROSS JOIN LATERAL (SELECT clock_timestamp() - make_interval(secs => (:cases - i) * 60) AS at,
                           (ARRAY['closed', 'closed', 'open'])[i % 3 + 1] AS s) x;
INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_id, author_name, side, body, created_at)
SELECT c.tenant_id, c.id, 'b2b', c.requester_id, 'Contact', 'customer', 'It is still noisy.', c.opened_at
FROM csm.cases c;
INSERT INTO csm.events (tenant_id, case_id, kind, actor_id, created_at, position)
SELECT c.tenant_id, c.id, 'opened', c.requester_id, c.opened_at, row_number() OVER (ORDER BY c.id) FROM csm.cases c;
RESET session_replication_role;
VACUUM ANALYZE;
