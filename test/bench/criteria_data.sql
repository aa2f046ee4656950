-- 1,000 audiences of 200 criteria over a million articles, and three persons who read few, some and most of them.
-- Variable: articles.
SET client_min_messages = warning;
SELECT setseed(0.5);
SELECT csm.create_tenant('bench', 'Bench', 'admin@bench.example') AS tenant \gset
SELECT id AS tenant FROM csm.tenants \gset
SET session_replication_role = replica;
INSERT INTO csm.accounts (id, tenant_id, number, name, root_id, path) OVERRIDING SYSTEM VALUE
SELECT n, :tenant, n, 'account ' || n, n, n::text::ltree FROM generate_series(1, 2000) n;
INSERT INTO csm.products (id, tenant_id, name) OVERRIDING SYSTEM VALUE SELECT n, :tenant, 'product ' || n FROM generate_series(1, 100) n;
INSERT INTO csm.users (id, tenant_id, display_name, location) OVERRIDING SYSTEM VALUE
SELECT 1000 + n, :tenant, 'person ' || n, (ARRAY['DE', 'DE-BY', 'FR', 'GB'])[1 + n % 4] FROM generate_series(1, 10000) n;
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role) SELECT :tenant, 1000 + n, 1 + n % 2000, 'customer' FROM generate_series(1, 10000) n;
INSERT INTO csm.sold_products (tenant_id, account_id, product_id) SELECT :tenant, n, 1 + random() * 99 FROM generate_series(1, 2000) n, generate_series(1, 20);
INSERT INTO csm.assets (tenant_id, account_id, product_id) SELECT :tenant, n, 1 + random() * 99 FROM generate_series(1, 2000) n, generate_series(1, 50);
INSERT INTO csm.user_criteria (id, tenant_id, key, label, match) OVERRIDING SYSTEM VALUE
SELECT n, :tenant, 'c' || n, 'C', CASE WHEN n % 3 = 0 THEN 'all' ELSE 'any' END FROM generate_series(1, 200) n;
-- 1 to 100: one product each; 101 to 150: places and languages; 151 to 199: accounts; 200: every contact
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, product_id) SELECT :tenant, n, 'product', n FROM generate_series(1, 100) n;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, location) SELECT :tenant, n, 'location', (ARRAY['DE', 'FR', 'GB'])[1 + n % 3] FROM generate_series(101, 150) n;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, language) SELECT :tenant, n, 'language', 'en' FROM generate_series(101, 150) n;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, account_id, include_descendants) SELECT :tenant, n, 'account', n * 10 + k, true FROM generate_series(151, 199) n, generate_series(1, 5) k;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona) VALUES (:tenant, 200, 'persona', 'contact');
INSERT INTO csm.audiences (id, tenant_id) OVERRIDING SYSTEM VALUE VALUES (1, :tenant);
INSERT INTO csm.audiences (id, tenant_id, within_id) OVERRIDING SYSTEM VALUE SELECT n, :tenant, 1 FROM generate_series(2, 1000) n;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (:tenant, 1, 'read', 200);
-- three grants and a denial each; 3 of them are for everybody, half of the others for who is person 9999
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
SELECT :tenant, a, 'read', CASE WHEN a <= 4 THEN 200 ELSE 151 + (a * 7 + k) % 49 END FROM generate_series(2, 1000) a, generate_series(1, 3) k ON CONFLICT DO NOTHING;
INSERT INTO csm.user_criteria (id, tenant_id, key, label) OVERRIDING SYSTEM VALUE VALUES (201, :tenant, 'most', 'M'), (202, :tenant, 'some', 'S');
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id) VALUES (:tenant, 201, 'user', 10999), (:tenant, 202, 'user', 10998);
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) SELECT :tenant, a, 'read', 201 FROM generate_series(5, 1000) a WHERE a % 10 < 8;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) SELECT :tenant, a, 'read', 202 FROM generate_series(5, 1000) a WHERE a % 20 = 0;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies) SELECT :tenant, a, 'read', 1 + a % 100, true FROM generate_series(5, 1000) a WHERE a % 4 = 1;
INSERT INTO csm.knowledge_bases (id, tenant_id, key, title, audience_id) OVERRIDING SYSTEM VALUE VALUES (1, :tenant, 'base', 'Base', 1);
INSERT INTO csm.articles (tenant_id, audience_id, base_id, state, published_at, number, language, title, body)
SELECT :tenant, CASE WHEN n % 1000 = 0 THEN 1 + n % 3 ELSE 5 + (random() * 995)::int % 996 END, 1, 'published', timestamptz '2020-01-01' + n * interval '3 minutes',
       'KB' || n, 'en', 'Article ' || n, repeat('How a pump is mended. ', 10)
FROM generate_series(1, :articles) n;
RESET session_replication_role;
VACUUM ANALYZE;
