-- What everybody may do as one of every audience of a random world: asked of the access map, and defined in plain SQL over
-- base tables (csm_private.audience_rights()), on a portal and on a staff connection and through every persona.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.86, people => 50, accounts => 40, cases => 5) \g /dev/null

-- Facts: trees of groups and products, what is owned and until when, places and languages.
INSERT INTO csm.groups (tenant_id, name) SELECT t.id, 'g' || n FROM world.tenants t, generate_series(1, 9) n ORDER BY t.id, n;
UPDATE csm.groups g SET parent_id = p.id FROM csm.groups p
WHERE p.tenant_id = g.tenant_id AND substr(g.name, 2)::int > 3 AND p.name = 'g' || substr(g.name, 2)::int / 2;
INSERT INTO csm.group_members (tenant_id, group_id, user_id)
SELECT u.tenant_id, g.id, u.id FROM csm.users u JOIN csm.groups g ON g.tenant_id = u.tenant_id WHERE world.chance(0.08 + 0 * (u.id + g.id));
INSERT INTO csm.products (tenant_id, name) SELECT t.id, 'p' || n FROM world.tenants t, generate_series(1, 12) n ORDER BY t.id, n;
UPDATE csm.products g SET parent_id = p.id FROM csm.products p
WHERE p.tenant_id = g.tenant_id AND g.name ~ '^p[0-9]+$' AND substr(g.name, 2)::int > 4 AND p.name = 'p' || substr(g.name, 2)::int / 2;
INSERT INTO csm.sold_products (tenant_id, account_id, user_id, product_id, valid_during)
SELECT o.tenant_id, o.account_id, o.user_id, p.id, world.era()
FROM (SELECT a.tenant_id, a.id AS account_id, NULL::bigint AS user_id FROM csm.accounts a
    UNION ALL SELECT u.tenant_id, NULL, u.id FROM csm.users u) o
JOIN csm.products p ON p.tenant_id = o.tenant_id WHERE world.chance(0.08 + 0 * (coalesce(o.account_id, o.user_id) + p.id));
INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id, installed_at, removed_at)
SELECT o.tenant_id, o.account_id, o.user_id, p.id, now() - interval '900 days',
       CASE WHEN world.chance(0.4) THEN now() - interval '30 days' WHEN world.chance(0.3) THEN now() + interval '900 days' END
FROM (SELECT a.tenant_id, a.id AS account_id, NULL::bigint AS user_id FROM csm.accounts a
    UNION ALL SELECT u.tenant_id, NULL, u.id FROM csm.users u) o
JOIN csm.products p ON p.tenant_id = o.tenant_id WHERE world.chance(0.06 + 0 * (coalesce(o.account_id, o.user_id) + p.id));
UPDATE csm.users SET location = world.pick('{DE,DE-BY,DE-BY-M,DE-BE,DEX,FR}'::text[]), language = world.pick('{de,de-AT,DE,en,en-GB,den}'::text[])
WHERE world.chance(0.8);

-- Lists of each kind, and of none; consumers and contacts who are none any more stay on theirs.
INSERT INTO csm.recipient_lists (tenant_id, name, kind)
SELECT t.id, 'l' || n, (ARRAY['users', 'accounts', 'contacts', 'consumers', NULL])[n % 5 + 1] FROM world.tenants t, generate_series(1, 10) n;
INSERT INTO csm.recipients (tenant_id, list_id, account_id, user_id)
SELECT l.tenant_id, l.id, r.account_id, r.user_id
FROM csm.recipient_lists l
CROSS JOIN LATERAL (SELECT 'accounts' AS kind, a.id AS account_id, NULL::bigint AS user_id FROM csm.accounts a WHERE a.tenant_id = l.tenant_id
                  UNION ALL SELECT 'users', NULL, u.id FROM csm.users u WHERE u.tenant_id = l.tenant_id
                  UNION ALL SELECT 'consumers', NULL, c.user_id FROM csm.consumers c WHERE c.tenant_id = l.tenant_id
                  UNION SELECT 'contacts', k.account_id, k.user_id FROM csm.contacts k WHERE k.tenant_id = l.tenant_id) r
WHERE (r.kind = l.kind OR l.kind IS NULL AND r.kind IN ('users', 'accounts'))
  AND world.chance(0.15 + 0 * (l.id + coalesce(r.account_id, 0) + coalesce(r.user_id, 0)));
DELETE FROM csm.consumers WHERE user_id % 7 = 0;

-- Criteria with no part to four, and audiences three deep.
INSERT INTO csm.user_criteria (tenant_id, key, label, match, active)
SELECT t.id, 'c' || n, 'C', world.pick('{all,any,any}'::text[]), NOT world.chance(0.1) FROM world.tenants t, generate_series(1, 45) n;
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id, group_id, role, account_id, include_descendants, persona, product_id, location, language, list_id)
SELECT x.tenant_id, x.id, x.kind,
       CASE x.kind WHEN 'user' THEN (SELECT u.id FROM csm.users u WHERE u.tenant_id = x.tenant_id AND x.n > 0 ORDER BY random() LIMIT 1) END,
       CASE x.kind WHEN 'group' THEN (SELECT g.id FROM csm.groups g WHERE g.tenant_id = x.tenant_id AND x.n > 0 ORDER BY random() LIMIT 1) END,
       CASE x.kind WHEN 'role' THEN (SELECT r.role FROM csm.roles r WHERE r.tenant_id = x.tenant_id AND r.kind IN ('contact', 'staff') AND x.n > 0
                                       AND (EXISTS (SELECT FROM csm.contacts k WHERE k.role = r.role AND k.tenant_id = r.tenant_id)
                                            OR EXISTS (SELECT FROM csm.user_roles k WHERE k.role = r.role AND k.tenant_id = r.tenant_id))
                                     ORDER BY random() LIMIT 1) END,
       CASE x.kind WHEN 'account' THEN (SELECT k.account_id FROM csm.contacts k WHERE k.tenant_id = x.tenant_id AND x.n > 0 ORDER BY random() LIMIT 1) END,
       x.kind = 'account' AND world.chance(0.6),
       CASE x.kind WHEN 'persona' THEN world.pick('{employee,consumer,contact,staff}'::text[]) END,
       CASE x.kind WHEN 'product' THEN (SELECT p.id FROM csm.products p WHERE p.tenant_id = x.tenant_id AND x.n > 0 ORDER BY random() LIMIT 1) END,
       CASE x.kind WHEN 'location' THEN world.pick('{DE,DE-BY,FR}'::text[]) END,
       CASE x.kind WHEN 'language' THEN world.pick('{de,en,de-AT}'::text[]) END,
       CASE x.kind WHEN 'list' THEN (SELECT l.id FROM csm.recipient_lists l WHERE l.tenant_id = x.tenant_id AND x.n > 0 ORDER BY random() LIMIT 1) END
FROM (SELECT c.tenant_id, c.id, n, world.pick('{user,group,role,account,account,persona,product,location,language,list,list}'::text[]) AS kind
      FROM csm.user_criteria c, generate_series(1, 4) n WHERE world.chance(0.5 + 0 * (c.id + n))) x;
-- An account above those of contacts, which only the subtree reaches.
UPDATE csm.user_criteria_parts p SET account_id = a.parent_id FROM csm.accounts a
WHERE a.id = p.account_id AND a.parent_id IS NOT NULL AND p.include_descendants;
-- Roles whose kind does not fit, as a change of the role leaves them.
UPDATE csm.roles SET kind = 'consumer' WHERE role = 'w_bare';
DO $$
BEGIN
    FOR i IN 1 .. 28 LOOP
        INSERT INTO csm.audiences (tenant_id, within_id, owner_id, group_id)
        SELECT t.id, CASE WHEN i > 9 THEN (SELECT a.id FROM csm.audiences a WHERE a.tenant_id = t.id ORDER BY random() LIMIT 1) END,
               CASE WHEN world.chance(0.3) THEN (SELECT u.id FROM csm.users u WHERE u.tenant_id = t.id ORDER BY random() LIMIT 1) END,
               CASE WHEN world.chance(0.3) THEN (SELECT g.id FROM csm.groups g WHERE g.tenant_id = t.id ORDER BY random() LIMIT 1) END
        FROM world.tenants t;
    END LOOP;
END $$;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies)
SELECT a.tenant_id, a.id, world.pick('{read,read,read,contribute,ask,answer,ask,answer,moderate,manage}'::text[]), c.id,
       world.chance(CASE WHEN a.within_id IS NULL THEN 0.1 ELSE 0.2 END + 0 * (a.id + c.id))
FROM csm.audiences a JOIN csm.user_criteria c ON c.tenant_id = a.tenant_id
-- both ids: once for each pair, wherever the planner puts it
WHERE world.chance(CASE WHEN a.within_id IS NULL THEN 0.25 ELSE 0.06 END + 0 * (a.id + c.id))
ON CONFLICT DO NOTHING;
ANALYZE;

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
