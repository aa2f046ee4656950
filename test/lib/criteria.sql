-- User criteria and audiences at random, on a world of lib/world.sql: \ir both.

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
