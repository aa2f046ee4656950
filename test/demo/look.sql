-- The same two questions for everybody who asks. Number and sum of the ids must be as expected.
\set ECHO queries
SELECT state, count(*) FROM csm.cases GROUP BY state ORDER BY count(*) DESC;
SELECT number, branch, state, opened_at::date AS opened, subject FROM csm.cases ORDER BY opened_at DESC, id DESC LIMIT 5;
\set ECHO none
SELECT count(*) AS seen,
       CASE WHEN format('%s, sum of ids %s', count(*), sum(id)) = coalesce(:'expected'::jsonb ->> :'as', '0, sum of ids ')
            THEN count(*)::text ELSE coalesce(:'expected'::jsonb ->> :'as', 'none') END AS should
FROM csm.cases \gset
\set what 'cases seen, the same ones that a WHERE written by hand finds without row-level security'
\ir check.sql
