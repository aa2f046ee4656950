-- Plans of search and suggestions under every role: words and fragments within slices of time, and nothing waits for what
-- is rare. A world of 30,000 articles of three years, of which visitors read a tenth.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

DO $$
DECLARE
    base bigint;
BEGIN
    INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'editors');
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u('desk manager') FROM csm.groups;
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) VALUES (small.tenant(), 'wide', 'Wide', 'any');
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id) SELECT small.tenant(), id, 'user', small.u('mother') FROM csm.user_criteria;
    INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) VALUES (small.tenant(), 'b', 'B', true) RETURNING id INTO base;
    UPDATE csm.audiences SET group_id = (SELECT id FROM csm.groups);
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT b.tenant_id, b.audience_id, 'read', c.id FROM csm.knowledge_bases b, csm.user_criteria c WHERE b.id = base;
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.articles (tenant_id, base_id, is_public, state, published_at, title, body)
    SELECT small.tenant(), base, n % 10 = 0, 'published', now() - n * interval '50 minutes',
           'heading ' || n || CASE WHEN hashint4(n) % 20 = 0 THEN ' trombone' ELSE '' END || CASE WHEN n > 29000 AND n % 100 < 2 THEN ' xylophone' ELSE '' END,
           'text common' || CASE WHEN n % 20 < 2 THEN ' tenth' ELSE '' END || CASE WHEN n % 7 < 2 THEN ' seventh' ELSE '' END || CASE WHEN n % 100 = 3 THEN ' hundredth' ELSE '' END
    FROM generate_series(1, 30000) n;
    PERFORM set_config('csm.importing', 'off', true);
END $$;
DO $$ BEGIN PERFORM gin_clean_pending_list('csm.articles_search_idx'), gin_clean_pending_list('csm.articles_title_trgm_idx'); END $$;
ANALYZE csm.articles;

SET csm.allow_explain = on;
SET csm.tenant = 'small';
CREATE FUNCTION pg_temp.explain(person bigint, role_name text, options text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found text := '';
BEGIN
    PERFORM set_config('csm.user_id', coalesce(person::text, ''), true), set_config('role', role_name, true);
    FOR line IN EXECUTE 'EXPLAIN (' || options || ') ' || query LOOP
        found := found || line || E'\n';
    END LOOP;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN found;
END $$;
CREATE TEMP VIEW readers AS SELECT *, CASE WHEN who IS NOT NULL THEN small.u(who) END AS person, coalesce(who, 'a visitor') || ' as ' || role_name AS whose
FROM (VALUES ('mother', 'csm_portal'), ('desk manager', 'csm_agent'), ('desk admin', 'csm_admin'), (NULL, 'csm_guest')) v(who, role_name);
-- The slices of the last weeks, as the searches ask for them.
CREATE TEMP VIEW window_of AS SELECT r.*, s.first, format($$state = 'published' AND published_at BETWEEN %L AND %L AND csm.in_slices(csm.time_slices(published_at, is_public), %s, %s)
    ORDER BY published_at DESC, id DESC LIMIT 50$$, csm.slice_start(s.first), now(), s.first + s.more, s.first + s.more + 3) AS within
FROM readers r, LATERAL (SELECT csm.time_slice(now()) - 3 AS first, CASE WHEN r.who IS NULL THEN 4294967296 ELSE 0 END AS more) s;

SELECT matches(p, format('Index Cond: \(\(%s.*\) AND \(csm\.time_slices\(published_at, is_public\) &&', i) || CASE WHEN who IS NULL THEN '|articles_public_idx' ELSE '' END, format('A5 %s within slices of time are found by one index, by %s', what, whose))
FROM window_of CROSS JOIN (VALUES ('words', 'search @@ ', $$csm.matches(search, 'tenth & seventh')$$), ('fragments', 'title ~~', $$csm.contains(title, 'trombone')$$)) v(what, i, condition)
CROSS JOIN LATERAL pg_temp.explain(person, role_name, 'COSTS OFF', format('SELECT id FROM csm.articles WHERE %s AND %s', condition, within)) p;
-- Slices alone, or beside what needs no index, are no condition of an index.
SELECT ok(strpos(p, '&&') = 0, format('A5 slices by themselves are not, by %s: %s', whose, condition))
FROM window_of CROSS JOIN unnest(ARRAY['true', $$csm.contains(title, 'he')$$]) condition
CROSS JOIN LATERAL pg_temp.explain(person, role_name, 'COSTS OFF', format('SELECT id FROM csm.articles WHERE %s AND %s', condition, within)) p;

-- Blocks that a suggestion reads, the second time.
CREATE FUNCTION pg_temp.blocks(person bigint, role_name text, typed text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    FOR i IN 1 .. 2 LOOP
        said := pg_temp.explain(person, role_name, 'COSTS OFF, ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF', format('SELECT * FROM csm.suggest(%L)', typed));
    END LOOP;
    RETURN substring(said FROM 'Buffers: shared hit=([0-9]+)');
END $$;
SELECT cmp_ok(pg_temp.blocks(person, role_name, typed), '<', most::bigint, format('A5 few blocks are read for %s, by %s: %s', what, whose, typed))
FROM readers CROSS JOIN (VALUES ('what nothing has', 'qqqzz', 600), ('a word that nothing has', 'qqqzz ', 600), ('a mistake', 'tqombone', 1500), ('what is common', 'trom', 600),
    ('what only the oldest have', 'xylo', 600),
    ('what nothing has beside a common word', 'seventh qqqzz', 600)) v(what, typed, most);
SELECT is(small.run(person, role_name, 'SELECT count(*) FROM csm.suggest(''xylo'')'), '5', 'A5 and is found: ' || whose) FROM readers;

-- ---- where there are more rows a wrong guess costs more: the planner thinks of a hundred times as many ----
UPDATE pg_class SET reltuples = reltuples * 100 WHERE oid = 'csm.articles'::regclass;
-- A word that statistics do not list may be in no row.
CREATE FUNCTION pg_temp.expected(person bigint, role_name text, word text) RETURNS double precision LANGUAGE sql AS $$
    SELECT substring(pg_temp.explain(person, role_name, 'COSTS ON', format('SELECT id FROM csm.articles WHERE csm.matches(search, %L)', word)) FROM 'rows=([0-9]+)')::double precision $$;
SELECT cmp_ok(pg_temp.expected(person, role_name, 'qqqzz'), '<', (pg_temp.expected(person, role_name, word) / 5), format('A5 it is thought to be rarer by far than those that they list: %s', whose))
FROM readers CROSS JOIN (SELECT e.word FROM pg_stats s, unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) e(word, share)
    WHERE s.schemaname = 'csm' AND s.tablename = 'articles' AND s.attname = 'search' AND e.word IS NOT NULL ORDER BY e.share LIMIT 1) x;
SELECT matches(p, 'articles_search_idx', format('A5 nobody walks through all for a word that may be nowhere: %s', whose))
FROM readers CROSS JOIN LATERAL pg_temp.explain(person, role_name, 'COSTS OFF', $$SELECT id FROM csm.articles WHERE csm.matches(search, 'qqqzz') AND state = 'published' ORDER BY published_at DESC, id DESC LIMIT 50$$) p;

SELECT cmp_ok(pg_temp.blocks(person, role_name, typed), '<', 600::bigint, format('A5 nor for a fragment of which statistics know one title: %s', whose))
FROM readers CROSS JOIN (SELECT substring(t FROM '[0-9]+') AS typed FROM pg_stats, unnest(histogram_bounds::text::text[]) t
    WHERE schemaname = 'csm' AND tablename = 'articles' AND attname = 'title' AND substring(t FROM '[0-9]+')::integer BETWEEN 20000 AND 28000 LIMIT 1) x;

-- ---- words that statistics do not list, asked of the index where the newest are wanted ----
ALTER TABLE csm.articles ALTER search SET STATISTICS 1;
ANALYZE csm.articles;
SELECT is((SELECT count(*) FROM pg_stats s, unnest(s.most_common_elems::text::text[]) e WHERE s.schemaname = 'csm' AND s.tablename = 'articles'
    AND s.attname = 'search' AND e IN ('hundredth', 'xylophon', 'qqqzz')), 0::bigint, 'statistics list none of the words asked for');
CREATE TEMP TABLE asked AS SELECT * FROM (SELECT * FROM readers WHERE who IN ('mother', 'desk manager')) r
CROSS JOIN (VALUES ('hundredth', 300, 0.01), ('xylophone', 20, 0), ('qqqzz', 0, 0)) v(word, there, among_newest)
CROSS JOIN LATERAL (SELECT format('SELECT id FROM csm.articles WHERE csm.matches(search, csm.search_query(%L, ''en''))', word) AS query) q;
CREATE FUNCTION pg_temp.rows_expected(plan text) RETURNS double precision LANGUAGE sql AS $$
    SELECT substring(plan FROM 'Scan [^\n]*rows=([0-9]+)')::double precision $$;
SELECT ok(CASE WHEN among_newest > 0 THEN pg_temp.rows_expected(p) BETWEEN there * 0.7 AND there * 1.4 ELSE pg_temp.rows_expected(p) < 5 END,
    format('A5 the newest tell how many there are: %s, by %s', word, whose))
FROM asked CROSS JOIN LATERAL pg_temp.explain(person, role_name, 'COSTS ON', query || ' ORDER BY published_at DESC, id DESC LIMIT 5') p;
SELECT is(pg_temp.rows_expected(pg_temp.explain(person, role_name, 'COSTS ON', query)), pg_temp.rows_expected(pg_temp.explain(person, role_name, 'COSTS ON', replace(query, word, 'nothing'))),
    format('A5 nobody asks where all are wanted: %s, by %s', word, whose))
FROM asked;
SELECT is(pg_temp.rows_expected(pg_temp.explain(person, role_name, 'COSTS ON', q || ' ORDER BY published_at DESC, id DESC LIMIT 5')), pg_temp.rows_expected(pg_temp.explain(person, role_name, 'COSTS ON', q)),
    format('A5 nor where a beginning is asked for, whose lists are many: %s', whose))
FROM asked CROSS JOIN LATERAL (SELECT 'SELECT id FROM csm.articles WHERE csm.matches(search, ''hundredt:*'')' AS q) x WHERE word = 'hundredth';
SELECT matches(p, CASE WHEN among_newest > 0 THEN 'newest_idx' ELSE 'search_idx' END, format('A5 who wants the newest walks to what is common, and looks up what is not: %s, by %s', word, whose))
FROM asked CROSS JOIN LATERAL pg_temp.explain(person, role_name, 'COSTS OFF', query || ' ORDER BY published_at DESC, id DESC LIMIT 5') p;
-- A serializable transaction has not read what its planner asked.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pg_temp.rows_expected(pg_temp.explain(person, role_name, 'COSTS ON', query || ' ORDER BY published_at DESC, id DESC LIMIT 5')) AS expected FROM asked WHERE word = 'hundredth' LIMIT 1 \gset
SELECT count(*) AS locks FROM pg_locks WHERE mode = 'SIReadLock' AND pid = pg_backend_pid() AND relation = 'csm.articles_search_idx'::regclass \gset
ROLLBACK;
SELECT is(:expected > 200 AND :locks = 0, true, 'A5 what is asked while planning is not locked');
SELECT * FROM finish();
