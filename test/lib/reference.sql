-- What README has to name, one a line: each table and view of csm and csm_report, each function of csm that somebody
-- may call, with the names of its parameters (the type of one that has none).
SELECT CASE n.nspname WHEN 'csm' THEN c.relname::text ELSE n.nspname || '.' || c.relname END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('csm', 'csm_report') AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT f.proname || '(' || coalesce(string_agg(coalesce(nullif(f.proargnames[a.i], ''), format_type(a.type, NULL)), ', ' ORDER BY a.i), '') || ')'
FROM pg_proc f
LEFT JOIN LATERAL unnest(f.proargtypes::oid[]) WITH ORDINALITY a(type, i) ON true
WHERE f.pronamespace = 'csm'::regnamespace AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
GROUP BY f.oid, f.proname
ORDER BY 1;
