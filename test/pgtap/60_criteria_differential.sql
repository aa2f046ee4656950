-- What everybody may do as one of every audience of a random world: asked of the access map, and defined in plain SQL over
-- base tables (csm_private.audience_rights()), on a portal and on a staff connection and through every persona.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.86, people => 50, accounts => 40, cases => 5) \g /dev/null

\ir ../lib/criteria.sql

CREATE FUNCTION pg_temp.asked(who bigint, role_name text, narrowed text DEFAULT NULL) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
BEGIN
    PERFORM world.enter(who, role_name, narrowed);
    IF NOT row_security_active('csm.audiences') THEN
        RAISE EXCEPTION 'row security is not active';
    END IF;
    SELECT coalesce(array_agg(k.id || ' ' || a.action ORDER BY k.id, a.action COLLATE "C"), '{}') INTO found
    FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action), unnest(csm.audiences_allowing(a.action)) k(id);
    PERFORM world.leave();
    RETURN found;
END $$;
CREATE FUNCTION pg_temp.defined(who bigint, staff_side boolean, narrowed text DEFAULT NULL) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(a.id || ' ' || r.action ORDER BY a.id, r.action COLLATE "C"), '{}')
    FROM csm.users u JOIN csm.audiences a ON a.tenant_id = u.tenant_id
    CROSS JOIN LATERAL csm_private.audience_rights(u.tenant_id, u.id, a.id, staff_side, narrowed, statement_timestamp()) r
    WHERE u.id = who AND r.granted
$$;

CREATE TEMP TABLE answer AS
SELECT u.id AS user_id, u.tenant_id, r.role_name, pg_temp.asked(u.id, r.role_name) AS asked,
       pg_temp.defined(u.id, r.role_name <> 'csm_portal') AS defined
FROM csm.users u, unnest('{csm_portal,csm_agent}'::text[]) r(role_name);
SELECT is((SELECT count(*) FROM answer a WHERE a.role_name = v.role_name AND a.asked <> a.defined), 0::bigint,
          'B40 everybody may do what the definition says of him, as ' || v.role_name)
FROM unnest('{csm_portal,csm_agent}'::text[]) v(role_name);
SELECT diag(format('user %s as %s: too many %s, missing %s', a.user_id, a.role_name,
                   (SELECT array_agg(k) FROM (SELECT unnest(a.asked) EXCEPT SELECT unnest(a.defined) LIMIT 5) x(k)),
                   (SELECT array_agg(k) FROM (SELECT unnest(a.defined) EXCEPT SELECT unnest(a.asked) LIMIT 5) x(k))))
FROM (SELECT * FROM answer WHERE asked <> defined LIMIT 5) a;

-- The world says yes and no often enough to mean something, for each action and on each side.
SELECT cmp_ok((SELECT count(*) FROM answer w CROSS JOIN unnest(w.asked) k(entry) WHERE w.role_name = r.role_name AND k.entry LIKE '% ' || v.action),
              '>=', 40::bigint, format('B40 at least 40 pairs of a person and an audience that allows %s, as %s', v.action, r.role_name))
FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) v(action), unnest('{csm_portal,csm_agent}'::text[]) r(role_name);
SELECT cmp_ok((SELECT count(*) FROM answer a JOIN answer p ON p.user_id = a.user_id AND p.role_name = 'csm_portal'
               WHERE a.role_name = 'csm_agent' AND NOT a.asked <@ p.asked), '>=', 10::bigint, 'V9 at least 10 persons may do more on a staff connection');
SELECT is((SELECT count(*) FROM answer a JOIN answer p ON p.user_id = a.user_id AND p.role_name = 'csm_portal'
           WHERE a.role_name = 'csm_agent' AND NOT p.asked <@ a.asked), 0::bigint, 'V9 and nobody less');
CREATE TEMP TABLE why AS
SELECT u.id AS user_id, a.id AS audience_id, a.within_id, r.* FROM csm.users u JOIN csm.audiences a ON a.tenant_id = u.tenant_id
CROSS JOIN LATERAL csm_private.audience_rights(u.tenant_id, u.id, a.id, true, NULL, statement_timestamp()) r;
SELECT cmp_ok((SELECT count(*) FROM why w WHERE w.via ~ v.pattern), '>=', 30::bigint, 'B40 at least 30 answers because of: ' || v.pattern)
FROM unnest('{^owner,^group,^granted,^denied,^no grant}'::text[]) v(pattern);
SELECT cmp_ok((SELECT count(*) FROM why w JOIN why o ON o.user_id = w.user_id AND o.audience_id = w.within_id AND o.action = w.action
               WHERE o.granted AND NOT w.granted), '>=', 30::bigint, 'B40 at least 30 pairs that an inner audience narrows');

SELECT cmp_ok((SELECT count(DISTINCT (w.user_id, w.audience_id)) FROM why w JOIN csm.audiences a ON a.id = w.audience_id
               JOIN csm.user_criteria c ON c.tenant_id = a.tenant_id AND c.key = ANY (w.criteria)
               JOIN csm.user_criteria_parts p ON p.criteria_id = c.id JOIN csm.recipient_lists l ON l.id = p.list_id
               WHERE l.kind IS NOT DISTINCT FROM v.kind), '>=', 10::bigint, 'B41 at least 10 answers through a list of ' || coalesce(v.kind, 'no kind'))
FROM (VALUES ('users'), ('accounts'), ('contacts'), ('consumers'), (NULL)) v(kind);

-- The array and the predicate are one answer; another tenant's audiences are nobody's.
CREATE FUNCTION pg_temp.asked_one_by_one(who bigint, role_name text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    ids CONSTANT bigint[] := ARRAY(SELECT a.id FROM csm.audiences a);
    found text[];
BEGIN
    PERFORM world.enter(who, role_name, NULL);
    SELECT coalesce(array_agg(k.id || ' ' || a.action ORDER BY k.id, a.action COLLATE "C"), '{}') INTO found
    FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action), unnest(ids) k(id) WHERE csm.audience_allows(k.id, a.action);
    PERFORM world.leave();
    RETURN found;
END $$;
SELECT is((SELECT count(*) FROM answer a WHERE pg_temp.asked_one_by_one(a.user_id, a.role_name) <> a.asked), 0::bigint,
          'V13 audience_allows() asked of every audience of the database says what audiences_allowing() does');
SELECT is((SELECT count(*) FROM answer a CROSS JOIN unnest(a.asked) k(entry) JOIN csm.audiences d ON d.id = split_part(k.entry, ' ', 1)::bigint
           WHERE d.tenant_id <> a.tenant_id), 0::bigint, 'V13 no audience of the other tenant');

-- Personas narrow, and open nothing.
CREATE TEMP TABLE narrowed AS
SELECT x.user_id, x.persona, r.role_name, pg_temp.asked(x.user_id, r.role_name, x.persona) AS asked,
       pg_temp.defined(x.user_id, r.role_name <> 'csm_portal', x.persona) AS defined
FROM (SELECT user_id, 'contact:' || id AS persona FROM csm.contacts UNION SELECT user_id, 'staff:' || role FROM csm.user_roles
      UNION SELECT user_id, 'consumer' FROM csm.consumers UNION SELECT id, 'employee' FROM csm.users
      UNION SELECT id, 'consumer' FROM csm.users WHERE id % 5 = 0) x,
     unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
WHERE x.persona LIKE 'staff:%' OR abs(hashtext(x.user_id || x.persona)) % 4 = 0;
SELECT is((SELECT count(*) FROM narrowed WHERE asked <> defined), 0::bigint, 'T12 each persona may do what the definition says of it');
SELECT is((SELECT count(*) FROM narrowed n JOIN answer a USING (user_id, role_name) WHERE NOT n.asked <@ a.asked), 0::bigint,
          'T12 no persona opens what all of them together do not: denials look at everything');
SELECT cmp_ok((SELECT count(*) FROM narrowed WHERE persona LIKE v.kind || '%' AND cardinality(asked) > 0), '>=', 2::bigint,
              'T12 at least 2 answers that are not empty of a persona ' || v.kind)
FROM unnest('{contact,staff,consumer,employee}'::text[]) v(kind);

-- T16: nobody, and who is disabled.
SELECT is(pg_temp.asked(NULL, r, NULL), '{}', 'V14 nobody is one of no audience, as ' || r) FROM unnest('{csm_guest,csm_portal,csm_agent,csm_admin,csm_reporter}'::text[]) r
WHERE r <> 'csm_guest';
UPDATE csm.users SET enabled = false WHERE id IN (SELECT a.user_id FROM answer a WHERE cardinality(a.asked) > 0);
SELECT is((SELECT count(*) FROM answer a WHERE cardinality(a.asked) > 0 AND cardinality(pg_temp.asked(a.user_id, a.role_name)) > 0), 0::bigint,
          'V10 who is disabled is one of none, from the next statement on');
SELECT * FROM finish();
