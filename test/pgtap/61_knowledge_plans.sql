-- Plans over articles under every role: the index of the words, of a base's newest, of a narrow reader's few; and nobody
-- costs nothing. A world of 20,000 articles, of which one consumer reads a hundred.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

DO $$
BEGIN
    INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'editors');
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u('desk manager') FROM csm.groups;
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u('desk admin') FROM csm.groups;
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u('viewer') FROM csm.groups;
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) VALUES (small.tenant(), 'son', 'Son', 'any'), (small.tenant(), 'wide', 'Wide', 'any');
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id)
    SELECT small.tenant(), id, 'user', CASE key WHEN 'son' THEN small.u('son') ELSE small.u('mother') END FROM csm.user_criteria;
    -- 200 bases of 100 articles; the son reads one, the mother all
    INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) SELECT small.tenant(), 'b' || n, 'B', n <= 2 FROM generate_series(1, 200) n;
    UPDATE csm.audiences SET group_id = (SELECT id FROM csm.groups);
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT b.tenant_id, b.audience_id, 'read', c.id FROM csm.knowledge_bases b JOIN csm.user_criteria c ON c.key = CASE b.key WHEN 'b7' THEN 'son' ELSE 'wide' END OR c.key = 'wide';
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.articles (tenant_id, base_id, is_public, state, published_at, title, body)
    SELECT b.tenant_id, b.id, b.is_public AND n <= 10, CASE WHEN n % 50 = 0 THEN 'retired' ELSE 'published' END, now() - n * interval '1 hour',
           'article ' || n || ' of ' || b.key, 'word' || n || ' text' || (b.id * 100 + n)
    FROM csm.knowledge_bases b, generate_series(1, 100) n;
    PERFORM set_config('csm.importing', 'off', true);
END $$;
-- as autovacuum leaves it: who has yet to read through a list of new words may not want the index
DO $$ BEGIN PERFORM gin_clean_pending_list('csm.articles_search_idx'); END $$;
ANALYZE csm.articles;

SET csm.allow_explain = on;
SET csm.tenant = 'small';
CREATE FUNCTION pg_temp.plan(person bigint, role_name text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found text := '';
BEGIN
    PERFORM set_config('csm.user_id', coalesce(person::text, ''), true);
    PERFORM set_config('role', role_name, true);
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        found := found || line || E'\n';
    END LOOP;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN found;
END $$;
CREATE TEMP TABLE readers (who text, role_name text, reads bigint);
INSERT INTO readers VALUES ('son', 'csm_portal', 98 + 20), ('mother', 'csm_portal', 19600), ('desk manager', 'csm_agent', 20000), ('viewer', 'csm_reporter', 20000),
    ('desk admin', 'csm_admin', 20000), (NULL, 'csm_guest', 20), (NULL, 'csm_portal', 0), (NULL, 'csm_agent', 0), (NULL, 'csm_reporter', 0), (NULL, 'csm_admin', 0);
CREATE TEMP VIEW r AS SELECT *, CASE WHEN who IS NOT NULL THEN small.u(who) END AS person, coalesce(who, 'nobody') || ' as ' || role_name AS whose FROM readers;

SELECT is(small.run(person, role_name, 'SELECT count(id) FROM csm.articles'), reads::text, 'B40 what is read by ' || whose) FROM r;
-- who reads few may be better off with the index of these
SELECT ok(p ~ CASE WHEN reads < 200 THEN 'articles_(search|public|key)_idx' ELSE 'articles_search_idx' END AND p !~ 'Seq Scan', 'A5 words are found by an index, by ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, $$SELECT id FROM csm.articles WHERE csm.matches(search, 'text723'::tsquery)$$) p
WHERE role_name <> 'csm_reporter' AND (who IS NOT NULL OR role_name = 'csm_guest');
SELECT ok(strpos(p, 'articles_base_idx') > 0 AND strpos(p, 'Sort') = 0 AND strpos(p, 'Seq Scan') = 0, 'A5 the newest of a base come in the order of an index, to ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, format('SELECT id FROM csm.articles WHERE base_id = %s ORDER BY published_at DESC, id DESC LIMIT 10',
                                                                (SELECT id FROM csm.knowledge_bases WHERE key = CASE WHEN r.role_name = 'csm_guest' THEN 'b1' ELSE 'b7' END AND tenant_id = small.tenant()))) p
WHERE who IN ('mother', 'desk manager', 'viewer', 'desk admin');
-- One condition on the key of what is his, so that a list which wants some of them, in any order, ends when it has them.
SELECT matches(p, 'articles_key_idx.*\n.*Cond: \(CASE WHEN is_public THEN .0.::bigint ELSE audience_id END = ANY \(csm_private.article_keys_shown\(\)\)\)',
               'A28 who reads a hundred of many does not read through all: ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, 'SELECT title FROM csm.articles') p WHERE who = 'son';
SELECT matches(p, 'Limit\n +->  Index Scan using articles_key_idx', 'A28 and any ten of them are read one by one: ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, 'SELECT title FROM csm.articles LIMIT 10') p WHERE who = 'son';
SELECT matches(p, 'Limit\n +->  Seq Scan on articles\n', 'A28 who reads nearly all of them does without: ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, 'SELECT title FROM csm.articles LIMIT 10') p WHERE who = 'mother';
SELECT ok(strpos(p, 'articles_public_idx') > 0 AND strpos(p, 'Seq Scan') = 0, 'A28 a visitor reads by the index of what is public')
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, 'SELECT title FROM csm.articles ORDER BY published_at DESC, id DESC LIMIT 10') p WHERE role_name = 'csm_guest';
SELECT ok(strpos(p, 'Seq Scan on articles') = 0, 'V14 nobody costs no scan: ' || whose)
FROM r CROSS JOIN LATERAL pg_temp.plan(person, role_name, 'SELECT id FROM csm.articles') p WHERE who IS NULL;
-- No result depends on whom a plan was made for.
PREPARE newest AS SELECT count(*) FROM csm.articles;
SET plan_cache_mode = force_generic_plan;
SELECT is(small.run(person, role_name, 'EXECUTE newest'), reads::text, 'V10 one plan, ' || whose)
FROM r WHERE role_name <> 'csm_reporter';
SELECT * FROM finish();
