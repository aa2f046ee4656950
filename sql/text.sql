-- csm.matches and csm.contains: values, NULLs, and that an index serves them
-- below row-level security.
\set VERBOSITY terse

SELECT csm.matches('a fat cat'::tsvector, 'fat & cat'::tsquery) AS both,
       csm.matches('a fat cat'::tsvector, 'fat & rat'::tsquery) AS one,
       csm.matches('fat:1 cat:2', 'fat <-> cat') AS phrase,
       csm.matches('cat:1 fat:2', 'fat <-> cat') AS reversed,
       csm.matches('fat cat', 'ca:*') AS prefix,
       csm.matches('fat cat', '!rat') AS negated,
       csm.matches('', 'fat') AS nothing;
SELECT csm.matches(NULL, 'fat') IS NULL AND csm.matches('fat', NULL) IS NULL AS strict;

SELECT needle, csm.contains(haystack, needle) AS found
FROM (VALUES ('Hello WORLD', 'lo wo'), ('Hello WORLD', 'LO WO'), ('Hello WORLD', 'world!'), ('Hello', ''), ('', ''),
             ('', 'a'), ('100 %', '0 %'), ('100', '0%'), ('a_b', 'a_b'), ('axb', 'a_b'), ('back\slash', 'K\S'),
             ('ends in \', '\'), ('ÄRGER über alles', 'ärger Ü'), ('plain', 'é'), ('Éclair', 'clair'),
             ('日本語の文字', '語の'), ('I', 'i'), ('@[`{', '`'), ('@[`{', '@{')) AS v(haystack, needle);
SELECT csm.contains(NULL, 'a') IS NULL AND csm.contains('a', NULL) IS NULL AS strict;
-- one call site, a needle that changes from row to row
SELECT count(*) FILTER (WHERE csm.contains('row ' || i || ' of many', i::text)) AS own,
       count(*) FILTER (WHERE csm.contains('row ' || i || ' of many', (i + 1)::text)) AS of_the_next
FROM generate_series(1, 300) i;
-- long text, before and after short
SELECT length(t) AS length, csm.contains(t, 'NEEDLE') AS found
FROM (VALUES (repeat('hay ', 200000) || 'needle'), ('needle'), (repeat('höy ', 200000) || 'nEEdle'), ('hay')) AS v(t);
-- the same as what lower() and strpos() say
SELECT count(*) AS differences
FROM (SELECT substr('Aa Zz [`@{ Ää ÖöŁł ßẞ Ωω Жж 文字', i, n) AS needle, 'aA zZ {@`[ äÄ öÖłŁ ẞß ωΩ жЖ 文字' AS haystack
      FROM generate_series(1, 30) i, generate_series(0, 4) n) v
WHERE csm.contains(haystack, needle) <> (strpos(lower(haystack), lower(needle)) > 0);

SELECT csm_private.like_pattern('50% of a_b\c'), csm_private.like_pattern(''), csm_private.like_pattern('文%');
-- invalid text never comes so far
SELECT csm.contains('x', convert_from('\xff', 'UTF8'));

-- Both are leakproof, and nothing else about them may change unseen.
SELECT p.oid::regprocedure, p.proleakproof, p.proisstrict, p.provolatile, p.proparallel, p.prosupport
FROM pg_proc p WHERE p.oid IN ('csm.matches(tsvector,tsquery)'::regprocedure, 'csm.contains(text,text)'::regprocedure)
ORDER BY 1;

-- Plans of a reader who is bound by a policy.
CREATE SCHEMA text_test;
CREATE TABLE text_test.doc (id integer PRIMARY KEY, owner integer, body text, words tsvector);
INSERT INTO text_test.doc
SELECT i, i % 2, 'Printer ' || i || ' on floor ' || i % 7, to_tsvector('english', 'Printer ' || i || ' on floor ' || i % 7)
FROM generate_series(1, 3000) i;
CREATE INDEX doc_words ON text_test.doc USING gin (words);
CREATE INDEX doc_body ON text_test.doc USING gin (body gin_trgm_ops);
VACUUM ANALYZE text_test.doc;
ALTER TABLE text_test.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON text_test.doc USING (owner = 1);
CREATE ROLE text_reader;
GRANT csm_agent TO text_reader;
GRANT USAGE ON SCHEMA text_test TO text_reader;
GRANT SELECT ON text_test.doc TO text_reader;

SET ROLE text_reader;
SELECT row_security_active('text_test.doc');
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.matches(words, to_tsquery('english', '1234 | 1235'));
SELECT id FROM text_test.doc WHERE csm.matches(words, to_tsquery('english', '1234 | 1235'));
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.contains(body, 'PRINTER 1235');
SELECT id FROM text_test.doc WHERE csm.contains(body, 'PRINTER 1235');
-- what the server's own operators do there
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE words @@ to_tsquery('english', '1235');
-- fewer than three word characters in a row: no index
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.contains(body, 'r 12 o');
-- a frequent word: the rows are counted with the column's statistics, and the
-- newest of them come from the key
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.contains(body, 'floor') ORDER BY id DESC LIMIT 5;
EXPLAIN (COSTS off) SELECT count(*) FROM text_test.doc WHERE csm.contains(body, 'floor');
-- arms of an OR
EXPLAIN (COSTS off) SELECT id FROM text_test.doc
WHERE csm.contains(body, 'printer 1235') OR csm.matches(words, '1237');
-- a needle that is known when the query is planned, but not part of the plan
CREATE FUNCTION pg_temp.needle() RETURNS text LANGUAGE sql STABLE RETURN current_setting('text_test.needle');
SET text_test.needle = 'printer 1235';
PREPARE by_function AS SELECT id FROM text_test.doc WHERE csm.contains(body, pg_temp.needle());
EXPLAIN (COSTS off) EXECUTE by_function;
EXECUTE by_function;
SET text_test.needle = 'printer 77 ';
EXECUTE by_function;
SET text_test.needle = 'r 999';
EXECUTE by_function;
-- a parameter: known in a custom plan only
PREPARE by_parameter(text) AS SELECT id FROM text_test.doc WHERE csm.contains(body, $1);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS off) EXECUTE by_parameter('printer 1235');
EXECUTE by_parameter('printer 1235');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS off) EXECUTE by_parameter('printer 1235');
EXECUTE by_parameter('printer 1235');
RESET plan_cache_mode;
-- no index that fits
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.contains('printer', body);
-- whatever the plan, the same rows
SET enable_bitmapscan = off;
SELECT count(*) FROM text_test.doc WHERE csm.contains(body, 'FLOOR 3');
SELECT count(*) FROM text_test.doc WHERE csm.matches(words, 'floor & 3');
RESET enable_bitmapscan;
SET enable_seqscan = off;
SELECT count(*) FROM text_test.doc WHERE csm.contains(body, 'FLOOR 3');
SELECT count(*) FROM text_test.doc WHERE csm.matches(words, 'floor & 3');
RESET enable_seqscan;
RESET ROLE;

-- GiST knows both as well.
DROP INDEX text_test.doc_words, text_test.doc_body;
CREATE INDEX doc_words_gist ON text_test.doc USING gist (words);
CREATE INDEX doc_body_gist ON text_test.doc USING gist (body gist_trgm_ops);
ANALYZE text_test.doc;
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.matches(words, '1235');
EXPLAIN (COSTS off) SELECT id FROM text_test.doc WHERE csm.contains(body, 'printer 1235');
SELECT id FROM text_test.doc WHERE csm.contains(body, 'PRINTER 1235');
RESET enable_seqscan;
-- a B-tree does not
DROP INDEX text_test.doc_words_gist, text_test.doc_body_gist;
CREATE INDEX doc_words_btree ON text_test.doc (words);
CREATE INDEX doc_body_btree ON text_test.doc (body text_pattern_ops);
-- from 18 on a plan says that a node of it was disabled
CREATE FUNCTION text_test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
        IF line !~ '^ *Disabled: true$' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;
SET enable_seqscan = off;
SELECT * FROM text_test.plan($$SELECT id FROM text_test.doc WHERE csm.matches(words, '1235') AND csm.contains(body, 'printer 1235')$$);
RESET enable_seqscan;

DEALLOCATE ALL;
DROP FUNCTION text_test.plan(text);
DROP SCHEMA text_test CASCADE;
DROP OWNED BY text_reader;
DROP ROLE text_reader;
