-- Does search find the right article?  Articles and questions are those of the demo (test/demo/data/README.md says where
-- they come from). Variable: demo, the folder of the files.  Prints one line a way of asking: mean reciprocal rank (0 where
-- the article is not among the first ten), share of questions whose article comes first, and is among the first three.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SELECT csm.create_tenant('quality', 'Quality', 'admin@quality.example') AS tenant \gset
CREATE TABLE library (key text, language text, translation_of text, category text, product text, is_public boolean, title text, keywords text, body text);
CREATE TABLE asked (question text, language text, key text);
\set copy_library '\\copy library FROM ' :demo '/knowledge.csv (FORMAT csv, HEADER)'
:copy_library
\set copy_asked '\\copy asked FROM ' :demo '/knowledge_questions.csv (FORMAT csv, HEADER)'
:copy_asked
INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) VALUES (:tenant, 'help', 'Help', true);
SET csm.importing = on;
INSERT INTO csm.articles (tenant_id, base_id, number, language, is_public, state, published_at, title, keywords, body)
SELECT b.tenant_id, b.id, 'KB-' || l.key, l.language, true, 'published', clock_timestamp(), l.title, l.keywords, l.body
FROM library l, csm.knowledge_bases b;
RESET csm.importing;
ANALYZE csm.articles;
CREATE FUNCTION pg_temp.rank_in(keys text[], key text) RETURNS integer LANGUAGE sql RETURN array_position(keys[1:10], 'KB-' || key);
CREATE TEMP TABLE ranked (way text, key text, rank integer);
GRANT ALL ON ranked, asked TO csm_guest;
-- each question in its language, as a tenant that serves both would be set up
UPDATE csm.tenants SET settings = settings || '{"search": {"languages": ["en", "es"]}}' WHERE id = :tenant;
SET csm.tenant = 'quality';
SET ROLE csm_guest;
INSERT INTO ranked SELECT 'csm.search()', a.key, pg_temp.rank_in(ARRAY(SELECT number FROM csm.search(a.question, '{article}', "limit" => 10) ORDER BY score DESC, id), a.key) FROM asked a;
INSERT INTO ranked SELECT 'csm.suggest()', a.key, pg_temp.rank_in(ARRAY(SELECT number FROM csm.suggest(a.question, 10) ORDER BY score DESC, id), a.key) FROM asked a;
INSERT INTO ranked SELECT 'csm.answer()', a.key, pg_temp.rank_in(ARRAY(SELECT number FROM csm.answer(a.question, 10) ORDER BY score DESC, id), a.key) FROM asked a;
INSERT INTO ranked SELECT 'all words, ts_rank_cd()', a.key, pg_temp.rank_in(ARRAY(
    SELECT number FROM csm.articles WHERE search @@ plainto_tsquery(CASE a.language WHEN 'es' THEN 'spanish' ELSE 'english' END::regconfig, a.question)
    ORDER BY ts_rank_cd(search, plainto_tsquery(CASE a.language WHEN 'es' THEN 'spanish' ELSE 'english' END::regconfig, a.question)) DESC, id), a.key) FROM asked a;
INSERT INTO ranked SELECT 'any word, ts_rank()', a.key, pg_temp.rank_in(ARRAY(
    SELECT number FROM csm.articles WHERE search @@ q.q ORDER BY ts_rank(search, q.q) DESC, id), a.key)
FROM asked a, LATERAL (SELECT replace(plainto_tsquery(CASE a.language WHEN 'es' THEN 'spanish' ELSE 'english' END::regconfig, a.question)::text, '&', '|')::tsquery) q(q);
RESET ROLE;
\pset format unaligned
\pset tuples_only on
SELECT format('| %s | %s | %s | %s %% | %s %% |', way, count(*), round(avg(coalesce(1.0 / rank, 0)), 3),
              round(100.0 * count(*) FILTER (WHERE rank = 1) / count(*)), round(100.0 * count(*) FILTER (WHERE rank <= 3) / count(*)))
FROM ranked GROUP BY way ORDER BY avg(coalesce(1.0 / rank, 0)) DESC;
