-- What csm is in the catalogue, one line a thing, without oids and without the order in which things were made. A fresh
-- install and an updated one give the same lines.
CREATE FUNCTION pg_temp.named(class oid, object oid, sub integer DEFAULT 0) RETURNS text LANGUAGE sql STABLE
RETURN pg_describe_object(class, object, sub);

CREATE TEMP VIEW fingerprint AS
WITH ours AS (
    SELECT classid, objid, pg_describe_object(classid, objid, 0) AS name
    FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'csm')
), rel AS (
    SELECT c.* FROM pg_class c JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
    WHERE c.relname !~ '^anchor_'
)
SELECT 'member ' || name AS line FROM ours
UNION ALL
SELECT format('relation %s: kind %s, owner %s, row security %s %s, acl %s, options %s', oid::regclass, relkind, relowner::regrole,
              relrowsecurity, relforcerowsecurity, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a), reloptions)
FROM rel
UNION ALL
SELECT format('column %s.%s: %s, not null %s, identity "%s", generated "%s", default %s, acl %s, statistics %s, comment %s',
              r.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
              pg_get_expr(d.adbin, d.adrelid), (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) x),
              a.attstattarget, col_description(r.oid, a.attnum))
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
UNION ALL
-- the order in which SELECT * gives the columns
SELECT format('columns of %s: %s', r.oid::regclass, string_agg(a.attname, ' ' ORDER BY a.attnum))
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped GROUP BY r.oid
UNION ALL
SELECT format('constraint %s.%s: %s, validated %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid), c.convalidated)
FROM pg_constraint c JOIN rel r ON r.oid = c.conrelid
UNION ALL
SELECT format('index %s', pg_get_indexdef(i.indexrelid)) FROM pg_index i JOIN rel r ON r.oid = i.indrelid
UNION ALL
SELECT format('trigger %s: %s', t.tgenabled, pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal
UNION ALL
SELECT format('policy %s.%s: permissive %s, for %s to %s, using %s, check %s, comment %s', p.polrelid::regclass, p.polname,
              p.polpermissive, p.polcmd, (SELECT string_agg(x::regrole::text, ' ' ORDER BY x::regrole::text) FROM unnest(p.polroles) x),
              pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
UNION ALL
SELECT format('view %s: %s', oid::regclass, pg_get_viewdef(oid)) FROM rel WHERE relkind = 'v'
UNION ALL
SELECT format('function %s: %s, acl %s', p.oid::regprocedure,
              CASE p.prokind WHEN 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END || ' owner ' || p.proowner::regrole,
              (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(p.proacl) x))
FROM pg_proc p JOIN ours o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
UNION ALL
SELECT format('comment on %s: %s', o.name, d.description)
FROM ours o JOIN pg_description d ON d.classoid = o.classid AND d.objoid = o.objid AND d.objsubid = 0
UNION ALL
SELECT format('dumped %s where %s', t.oid::regclass, e.extcondition[t.n])
FROM pg_extension e, unnest(e.extconfig) WITH ORDINALITY t(oid, n) WHERE e.extname = 'csm';
