-- Acts in the history, written straight into the table: half by 500 agents, the rest by 500 contributors, 9,000 people of
-- other companies and 39,000 customers, spread over time.
SELECT csm.create_tenant('bench', 'Bench', 'admin@bench.example') AS tenant \gset
INSERT INTO csm.users (tenant_id, display_name) SELECT :tenant, 'person ' || i FROM generate_series(1, 50000) i;
INSERT INTO csm.user_roles (tenant_id, user_id, role)
SELECT tenant_id, id, CASE WHEN id < 510 THEN 'agent' ELSE 'contributor' END FROM csm.users WHERE id BETWEEN 10 AND 1009;
INSERT INTO csm.cases (tenant_id, requester_id, subject) VALUES (:tenant, 5, 'bench');
INSERT INTO csm.case_history (tenant_id, case_id, seq, at, action, actor_id, actor_name, persona, relation, on_behalf_of, audience, payload, salt,
                              payload_hash, previous_hash, hash)
SELECT :tenant, c.id, 100 + i, timestamptz '2025-01-01' + i * interval '1 year' / :acts, ('{comment,take,update,open}'::text[])[1 + i % 4],
       CASE WHEN i % 2 = 0 THEN 10 + (i / 2) % 500 WHEN i % 50 = 1 THEN 510 + (i / 50) % 500 WHEN i % 10 = 3 THEN 1010 + (i / 10) % 9000 ELSE 10100 + i % 39000 END,
       'name', CASE WHEN i % 2 = 0 THEN 'staff' ELSE 'contact' END,
       CASE WHEN i % 2 = 0 THEN 'agent' WHEN i % 50 = 1 THEN 'customer' WHEN i % 10 = 3 THEN 'respondent' ELSE 'requester, customer' END,
       CASE WHEN i % 50 = 1 THEN 5 END, 'shared', '{"state": ["new", "open"], "priority": [4, 3], "assigned_to": [null, 42]}',
       '\x00112233445566778899aabbccddeeff', sha256('a'), sha256('b'), sha256('c')
FROM generate_series(1, :acts) i CROSS JOIN csm.cases c;
INSERT INTO csm.licence_policies (tenant_id, policy, label, counts)
VALUES (:tenant, 'everybody', 'Everybody', '{fulfiller,stakeholder,counterparty_act,counterparty_update,requester}');
VACUUM ANALYZE csm.case_history;
