-- Measures search and suggestions for each kind of person; prints a table in Markdown.  Variable: runs, of a figure.
--
-- "unrestricted" is the same call by a role whose policies let every row of the tenant through.  (A superuser is no
-- measure: without the tenant's condition no index gives him the newest rows.)  Everything runs in one session, the two
-- sides of a comparison in turns; a figure is the median.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET csm.tenant = 'bench';
SET search_path = public, pg_catalog;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bench_free') THEN
        CREATE ROLE bench_free IN ROLE csm_agent;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_policies WHERE policyname = 'bench_free') THEN
        CREATE POLICY bench_free ON csm.articles TO bench_free USING (true);
        CREATE POLICY bench_free ON csm.questions TO bench_free USING (true);
        CREATE POLICY bench_free ON csm.cases TO bench_free USING (true);
        CREATE POLICY bench_free ON csm.accounts TO bench_free USING (true);
        CREATE POLICY bench_free ON csm.users TO bench_free USING (true);
    END IF;
END $$;
CREATE TEMP TABLE person (n integer, who text, id bigint, role_name text);
INSERT INTO person VALUES (1, 'guest', NULL, 'csm_guest'), (2, 'consumer', (SELECT consumers_from + 1 FROM bench.config), 'csm_portal'),
    (3, 'partner of 50,000', 1006, 'csm_portal'), (4, 'agent of all', 1008, 'csm_agent');
-- Words of articles by how many hold them.
CREATE TEMP TABLE lexeme AS
    SELECT s.word, s.ndoc / 20000.0 AS share FROM ts_stat('SELECT vector FROM bench.bodies') s
    WHERE s.word ~ '^[a-z]{5,9}$' AND EXISTS (SELECT FROM bench.words w WHERE w.word = s.word AND csm.search_query(w.word, 'en') = quote_literal(w.word)::tsquery);
CREATE FUNCTION pg_temp.word(near double precision, nth integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT word FROM (SELECT word, row_number() OVER (ORDER BY abs(ln(share / near)), word) AS n FROM lexeme WHERE share > 0) x WHERE n = nth $$;
CREATE TEMP TABLE query AS SELECT n, what, q FROM (VALUES
    (1, 'a rare word', pg_temp.word(0.003)),
    (2, 'a word of 1 %', pg_temp.word(0.01)),
    (3, 'a word of 5 %', pg_temp.word(0.05)),
    (4, 'a word of 20 %', pg_temp.word(0.2)),
    (5, 'two words', pg_temp.word(0.05) || ' ' || pg_temp.word(0.1)),
    (6, 'two rare words', pg_temp.word(0.01) || ' ' || pg_temp.word(0.01, 2)),
    (7, 'four words, some of them', pg_temp.word(0.01) || ' ' || pg_temp.word(0.01, 2) || ' ' || pg_temp.word(0.01, 3) || ' ' || pg_temp.word(0.01, 4)),
    (8, 'a typing error', overlay(pg_temp.word(0.01) PLACING 'q' FROM 3 FOR 1))) v(n, what, q);

-- Milliseconds of a statement for a person; with free, unrestricted in his name.
CREATE FUNCTION pg_temp.once(p person, free boolean, statement text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    n bigint;
    took double precision;
BEGIN
    PERFORM set_config('csm.user_id', coalesce(p.id::text, CASE WHEN free THEN '1008' ELSE '' END), true);
    PERFORM set_config('role', CASE WHEN free THEN 'bench_free' ELSE p.role_name END, true);
    began := clock_timestamp();
    EXECUTE statement INTO n;
    took := extract(epoch FROM clock_timestamp() - began) * 1000;
    PERFORM set_config('role', 'none', true);
    RETURN took;
END $$;
CREATE TEMP TABLE figure (part text, n integer, person integer, free boolean, ms double precision);
CREATE FUNCTION pg_temp.measure(part text, nth integer, p person, statement text, other text, runs integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.once(p, false, statement), pg_temp.once(p, true, other);
    FOR i IN 1 .. runs LOOP
        INSERT INTO figure VALUES (part, nth, p.n, false, pg_temp.once(p, false, statement)), (part, nth, p.n, true, pg_temp.once(p, true, other));
    END LOOP;
END $$;

-- search, by kind of thing; suggestions; one statement against @@
SELECT count(pg_temp.measure(k, q.n, p, format('SELECT count(*) FROM csm.search(%L, %L)', q.q, '{' || k || '}'),
                             format('SELECT count(*) FROM csm.search(%L, %L)', q.q, '{' || k || '}'), :runs))
FROM query q, person p, unnest('{article,case}'::text[]) k WHERE NOT (k = 'case' AND p.who = 'guest') \g /dev/null
SELECT count(pg_temp.measure('everything', q.n, p, format('SELECT count(*) FROM csm.search(%L)', q.q), format('SELECT count(*) FROM csm.search(%L)', q.q), :runs))
FROM query q, person p \g /dev/null

CREATE TEMP TABLE typed AS SELECT n, what, q FROM (VALUES
    (1, 'three letters of a word', left(pg_temp.word(0.05), 3)),
    (2, 'three letters of a common word', left(pg_temp.word(0.2), 3)),
    (3, 'five letters', left(pg_temp.word(0.02), 5)),
    (4, 'a word and three letters', pg_temp.word(0.05) || ' ' || left(pg_temp.word(0.03), 3)),
    (5, 'two words and five letters', pg_temp.word(0.05) || ' ' || pg_temp.word(0.1) || ' ' || left(pg_temp.word(0.02), 5)),
    (6, 'a sentence', 'my ' || pg_temp.word(0.05) || ' does not ' || pg_temp.word(0.02) || ' since the ' || pg_temp.word(0.01) || ' of the ' || pg_temp.word(0.03) || ' '),
    (7, 'letters that nothing has', 'zqx'),
    (8, 'a typing error', overlay(pg_temp.word(0.01) PLACING 'q' FROM 3 FOR 1)),
    (9, 'a word and a typing error', pg_temp.word(0.05) || ' ' || overlay(pg_temp.word(0.01) PLACING 'q' FROM 6 FOR 1))) v(n, what, q);
SELECT count(pg_temp.measure('suggest', t.n, p, format('SELECT count(*) FROM csm.suggest(%L)', t.q), format('SELECT count(*) FROM csm.suggest(%L)', t.q), :runs))
FROM typed t, person p \g /dev/null

SELECT count(pg_temp.measure('@@', q.n, p,
    format('SELECT count(*) FROM (SELECT id FROM csm.articles WHERE state = ''published'' AND csm.matches(search, %L::tsquery) ORDER BY published_at DESC, id DESC LIMIT 50) x', csm.search_query(q.q, 'en')),
    'SELECT 1', :runs))
FROM query q, person p WHERE q.n IN (1, 3) \g /dev/null
SELECT count(pg_temp.measure('@@ plain', q.n, p,
    format('SELECT count(*) FROM (SELECT id FROM csm.articles WHERE state = ''published'' AND search @@ %L::tsquery ORDER BY published_at DESC, id DESC LIMIT 50) x', csm.search_query(q.q, 'en')),
    'SELECT 1', 1))
FROM query q, person p WHERE q.n IN (1, 3) \g /dev/null

CREATE TEMP TABLE result AS
SELECT part, n, person, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE NOT free) AS ours,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE free) AS other
FROM figure GROUP BY part, n, person;
CREATE FUNCTION pg_temp.cell(ours double precision, other double precision) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN ours IS NULL THEN '–' ELSE round(ours::numeric, CASE WHEN ours < 10 THEN 1 ELSE 0 END) || ' / ' || round((ours / other)::numeric, 2) END $$;

SELECT format(E'%s articles, %s questions, %s cases, %s accounts; median of %s. Each cell: milliseconds, and divided by the same call unrestricted.\n',
              (SELECT count(*) FROM csm.articles), (SELECT count(*) FROM csm.questions), (SELECT cases FROM bench.config), (SELECT accounts FROM bench.config), :runs);
SELECT format(E'\n**csm.search(), %s**\n\n| | guest | consumer | partner of 50,000 | agent of all |\n|---|--:|--:|--:|--:|\n%s', k,
              (SELECT string_agg(format('| %s | %s |', q.what, (SELECT string_agg(pg_temp.cell(r.ours, r.other), ' | ' ORDER BY p.n)
                                                                 FROM person p LEFT JOIN result r ON r.part = k AND r.n = q.n AND r.person = p.n)), E'\n' ORDER BY q.n) FROM query q))
FROM unnest('{article,case,everything}'::text[]) k;
SELECT format(E'\n**csm.suggest()**\n\n| | guest | consumer | partner of 50,000 | agent of all |\n|---|--:|--:|--:|--:|\n%s',
              string_agg(format('| %s | %s |', t.what, (SELECT string_agg(pg_temp.cell(r.ours, r.other), ' | ' ORDER BY p.n)
                                                         FROM person p LEFT JOIN result r ON r.part = 'suggest' AND r.n = t.n AND r.person = p.n)), E'\n' ORDER BY t.n)) FROM typed t;
SELECT format(E'\n**The newest 50 articles with a word, below the policies: csm.matches() and @@** (milliseconds)\n\n| | guest | consumer | partner of 50,000 | agent of all |\n|---|--:|--:|--:|--:|\n%s',
              string_agg(format('| %s | %s |', q.what, (SELECT string_agg(round(r.ours::numeric, 1) || ', @@ ' || round(s.ours::numeric), ' | ' ORDER BY p.n)
                                                         FROM person p JOIN result r ON r.part = '@@' AND r.n = q.n AND r.person = p.n
                                                         JOIN result s ON s.part = '@@ plain' AND s.n = q.n AND s.person = p.n)), E'\n' ORDER BY q.n)) FROM query q WHERE q.n IN (1, 3);
SELECT format(E'\nWorst ratio of csm.search(): %s; of csm.suggest(): %s. Slowest suggestion: %s ms.\n',
              (SELECT round(max(ours / other)::numeric, 2) FROM result WHERE part IN ('article', 'case', 'everything')),
              (SELECT round(max(ours / other)::numeric, 2) FROM result WHERE part = 'suggest'),
              (SELECT round(max(ours)::numeric, 1) FROM result WHERE part = 'suggest'));
