-- Articles and questions for the bench of search, beside the cases of data.sql. Variables: articles, questions.
--
-- 20 bases: three public, and read by consumers and contacts; seven read by both; five by contacts, five by staff alone.
-- Words are those of the cases, the front of the list the more frequent ones.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET session_replication_role = replica;
SET csm.restoring = on;
SELECT tenant FROM bench.config \gset
DROP TABLE IF EXISTS bench.bodies;

INSERT INTO csm.user_criteria (tenant_id, key, label, match) SELECT :tenant, 'search_' || p, p, 'any' FROM unnest('{consumer,contact,staff}'::text[]) p;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona)
SELECT :tenant, c.id, 'persona', c.label FROM csm.user_criteria c WHERE c.key ~ '^search_';
INSERT INTO csm.audiences (id, tenant_id) OVERRIDING SYSTEM VALUE SELECT 9000000 + g, :tenant FROM generate_series(1, 22) g;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
SELECT :tenant, a.id, 'read', c.id FROM csm.audiences a CROSS JOIN csm.user_criteria c
WHERE a.id BETWEEN 9000001 AND 9000022 AND c.key ~ '^search_'
  AND CASE c.label WHEN 'consumer' THEN a.id - 9000000 IN (1,2,3,4,5,6,7,8,9,10,21)
                   WHEN 'contact' THEN a.id - 9000000 <= 15 OR a.id = 9000021 ELSE true END;
INSERT INTO csm.knowledge_bases (id, tenant_id, audience_id, is_public, key, title)
OVERRIDING SYSTEM VALUE SELECT 9000000 + g, :tenant, 9000000 + g, g <= 3, 'search_' || g, 'Base ' || g FROM generate_series(1, 20) g;
INSERT INTO csm.forums (id, tenant_id, audience_id, key, title, is_public)
OVERRIDING SYSTEM VALUE SELECT 9000000 + g, :tenant, 9000020 + g, 'search_' || g, 'Forum ' || g, g = 1 FROM generate_series(1, 2) g;

-- 20,000 texts of 60 to 100 words
CREATE TABLE bench.bodies AS
    SELECT g AS n, string_agg(w.word, ' ' ORDER BY i) AS body, setweight(to_tsvector('english', string_agg(w.word, ' ' ORDER BY i)), 'D') AS vector
    FROM generate_series(0, 19999) g CROSS JOIN generate_series(1, 100) i
    JOIN bench.words w ON w.n = 1 + floor((SELECT count(*) FROM bench.words) * power(bench.r(g, 300 + i), 3))::bigint
    WHERE i <= 60 + g % 41
    GROUP BY g;
CREATE UNIQUE INDEX ON bench.bodies (n);
ANALYZE bench.bodies;

UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN ('csm.articles'::regclass, 'csm.questions'::regclass);
\c
SET session_replication_role = replica;
SET csm.restoring = on;
INSERT INTO csm.articles (tenant_id, audience_id, base_id, is_public, state, published_at, author_id, version, updated_at, number, language, title, body, search)
SELECT c.tenant, 9000000 + k.base, 9000000 + k.base, k.base <= 3 AND bench.r(g, 33) < 0.7, 'published',
       c.first_day + (c.last_day - c.first_day) * (g::double precision / :articles), 1008, 1, c.last_day, 'KB' || lpad(g::text, 7, '0'), 'en',
       s.body || ' ' || t.body, b.body, setweight(to_tsvector('simple', 'KB' || lpad(g::text, 7, '0')), 'A') || s.vector || t.vector || b.vector
FROM bench.config c, generate_series(1, :articles) g,
     LATERAL (SELECT 1 + floor(20 * bench.r(g, 30))::bigint AS base) k,
     bench.subjects s, bench.subjects t, bench.bodies b
WHERE s.n = floor(40000 * bench.r(g, 31))::bigint AND t.n = floor(40000 * bench.r(g, 34))::bigint AND b.n = floor(20000 * bench.r(g, 32))::bigint;
INSERT INTO csm.questions (tenant_id, audience_id, forum_id, author_id, created_at, is_public, author_name, language, title, body, search)
SELECT c.tenant, 9000020 + k.forum, 9000000 + k.forum, c.consumers_from + 1 + g % 1000, c.first_day + (c.last_day - c.first_day) * (g::double precision / :questions),
       k.forum = 1, 'Somebody', 'en', s.body, d.body, s.vector || d.vector
FROM bench.config c, generate_series(1, :questions) g, LATERAL (SELECT CASE WHEN bench.r(g, 40) < 0.9 THEN 1 ELSE 2 END AS forum) k,
     bench.subjects s, bench.descriptions d
WHERE s.n = floor(40000 * bench.r(g, 41))::bigint AND d.n = floor(40000 * bench.r(g, 42))::bigint;
