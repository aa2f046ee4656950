-- The same two questions for everybody who asks.
\set ECHO queries
SELECT state, count(*) FROM csm.cases GROUP BY state ORDER BY count(*) DESC;
SELECT number, branch, state, opened_at::date AS opened, subject FROM csm.cases ORDER BY opened_at DESC, id DESC LIMIT 5;
\set ECHO none
SELECT count(*) AS seen, :'expected'::jsonb ->> session_user AS should FROM csm.cases \gset
\set what 'cases seen, as a hand-written WHERE without row-level security counts them'
\ir check.sql
