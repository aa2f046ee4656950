-- Who reads sold products, install-base items, contracts and entitlements: every person against every row of a random
-- world, asked by SELECT as csm_portal and csm_agent and with personas, and defined in plain SQL over base tables.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.46, people => 260, accounts => 80, cases => 20) \g /dev/null

-- Roles that come apart: reading one of the two, managing without, reach related.
INSERT INTO csm.role_permissions (tenant_id, role, action, reach)
SELECT t.id, v.role, v.action, v.reach FROM world.tenants t, (VALUES
    ('w_commenter', 'product_read', 'account'), ('w_decider', 'product_read', 'subtree'), ('w_broker', 'product_read', 'related'),
    ('w_broker', 'entitlement_read', 'account'), ('w_misfit', 'product_read', 'all'), ('w_wrong', 'product_read', 'subtree'),
    ('w_mixed', 'product_read', 'team'), ('w_mixed', 'entitlement_read', 'team'), ('w_owner', 'product_read', 'own')) v(role, action, reach);
UPDATE csm.accounts SET restrict_contact_access = true WHERE id % 3 = 0;
-- In the first tenant plain contacts read all items of their account, in the second only those they are linked to.
UPDATE csm.tenants SET settings = settings || '{"use_asset_contacts": true}' WHERE id = (SELECT id FROM world.tenants WHERE place = 2);

-- More than one row in two belongs to accounts; the others to consumers, and some to people who are none.
INSERT INTO csm.sold_products (tenant_id, account_id, user_id, product_id, valid_during)
SELECT t.id, o.account_id, o.user_id, (SELECT id FROM csm.products WHERE tenant_id = t.id LIMIT 1), world.era()
FROM world.tenants t
CROSS JOIN LATERAL (
    SELECT a.id AS account_id, NULL::bigint AS user_id FROM csm.accounts a, generate_series(1, 2) WHERE a.tenant_id = t.id
  UNION ALL
    SELECT NULL, c.user_id FROM csm.consumers c WHERE c.tenant_id = t.id
  UNION ALL
    SELECT NULL, u.id FROM csm.users u WHERE u.tenant_id = t.id AND u.id % 11 = 0) o;
INSERT INTO csm.assets (tenant_id, account_id, user_id, product_id, sold_product_id, installed_at)
SELECT s.tenant_id, s.account_id, s.user_id, s.product_id, s.id, now() FROM csm.sold_products s, generate_series(1, 2);
-- Links as a dump may bring them: also of contacts and partners who are such no more, or never were.
BEGIN;
SET LOCAL csm.restoring = on;
INSERT INTO csm.asset_contacts (tenant_id, asset_id, sold_product_id, contact_id)
SELECT k.tenant_id, CASE WHEN i.what = 'a' THEN i.id END, CASE WHEN i.what = 's' THEN i.id END, k.id
FROM csm.contacts k
CROSS JOIN LATERAL (
    SELECT 'a' AS what, a.id, a.account_id FROM csm.assets a WHERE a.tenant_id = k.tenant_id
  UNION ALL
    SELECT 's', s.id, s.account_id FROM csm.sold_products s WHERE s.tenant_id = k.tenant_id) i
WHERE abs(hashint8(k.id * 1000003 + i.id + ascii(i.what))) % CASE
    WHEN i.account_id = k.account_id THEN 4
    WHEN EXISTS (SELECT FROM csm.account_relationships r
                 WHERE r.partner_account_id = k.account_id AND r.type = 'partner_of'
                   AND (r.customer_account_id = i.account_id OR r.include_descendants)) THEN 40
    ELSE 700 END = 0;
COMMIT;
INSERT INTO csm.asset_parties (tenant_id, asset_id, sold_product_id, user_id, account_id, authorized, valid_during)
SELECT t.id, CASE WHEN x.n % 2 = 0 THEN x.asset END, CASE WHEN x.n % 2 = 1 THEN x.sold END,
       CASE WHEN x.n % 3 = 0 THEN x.person END, CASE WHEN x.n % 3 > 0 THEN x.account END, x.n % 5 > 0, world.era()
FROM world.tenants t
CROSS JOIN LATERAL (
    SELECT n, (SELECT id FROM csm.assets WHERE tenant_id = t.id AND n > 0 ORDER BY random() LIMIT 1) AS asset,
           (SELECT id FROM csm.sold_products WHERE tenant_id = t.id AND n > 0 ORDER BY random() LIMIT 1) AS sold,
           (SELECT id FROM csm.users WHERE tenant_id = t.id AND n > 0 ORDER BY random() LIMIT 1) AS person,
           (SELECT account_id FROM csm.contacts WHERE tenant_id = t.id AND n > 0 ORDER BY random() LIMIT 1) AS account
    FROM generate_series(1, 1200) n) x
ON CONFLICT DO NOTHING;
INSERT INTO csm.contracts (tenant_id, account_id, user_id, name)
SELECT s.tenant_id, s.account_id, s.user_id, 'Contract' FROM csm.sold_products s WHERE s.id % 3 = 0;
INSERT INTO csm.entitlements (tenant_id, name, account_id, user_id, asset_id, contract_id, product_id)
SELECT c.tenant_id, 'By owner', c.account_id, c.user_id, NULL::bigint, NULL::bigint, NULL::bigint FROM csm.contracts c WHERE c.id % 3 = 0
UNION ALL SELECT c.tenant_id, 'By contract', NULL, NULL, NULL, c.id, NULL FROM csm.contracts c WHERE c.id % 3 = 1
UNION ALL SELECT a.tenant_id, 'By item', NULL, NULL, a.id, NULL, NULL FROM csm.assets a WHERE a.id % 5 = 0
UNION ALL SELECT p.tenant_id, 'By product', NULL, NULL, NULL, NULL, p.id FROM csm.products p;
ANALYZE;

-- The definition. reads: what an action gives on the rows of an account, through which persona; manages: by more than
-- being a plain contact of it.
CREATE FUNCTION pg_temp.account_reads(tenant bigint, at_time timestamptz)
RETURNS TABLE (user_id bigint, account_id bigint, action text, manages boolean, persona text, staff boolean) LANGUAGE sql STABLE AS $$
    WITH closure AS MATERIALIZED (SELECT * FROM world.closure(tenant)),
    k AS (
        SELECT k.* FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id AND u.enabled
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    )
    SELECT k.user_id, x.account_id, p.action, p.reach = 'subtree', 'contact:' || k.id, false
    FROM k JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = tenant AND p.reach IN ('account', 'subtree')
    JOIN closure x ON x.ancestor_id = k.account_id AND (p.reach = 'subtree' OR x.account_id = k.account_id)
    WHERE p.action IN ('product_read', 'entitlement_read')
  UNION
    SELECT k.user_id, x.account_id, p.action, true, 'contact:' || k.id, false
    FROM k JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = tenant AND p.reach = 'related'
    JOIN csm.account_relationships r ON r.partner_account_id = k.account_id AND r.type = 'partner_of'
         AND (r.valid_during IS NULL OR r.valid_during @> at_time)
    JOIN closure x ON x.ancestor_id = r.customer_account_id AND (r.include_descendants OR x.account_id = r.customer_account_id)
    WHERE p.action IN ('product_read', 'entitlement_read')
$$;
CREATE FUNCTION pg_temp.team_reads(tenant bigint, at_time timestamptz)
RETURNS TABLE (user_id bigint, account_id bigint, owner_id bigint, action text, persona text) LANGUAGE sql STABLE AS $$
    SELECT t.member_id, t.account_id, coalesce(t.user_id, m.user_id), p.action, 'staff:' || a.role
    FROM csm.account_team t
    JOIN csm.users u ON u.id = t.member_id AND u.enabled
    JOIN csm.user_roles a ON a.user_id = t.member_id AND (a.valid_during IS NULL OR a.valid_during @> at_time)
    JOIN csm.roles r ON r.role = a.role AND r.tenant_id = tenant
    JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = tenant AND p.action IN ('product_read', 'entitlement_read')
    LEFT JOIN csm.household_members m ON m.household_id = t.household_id AND (m.valid_during IS NULL OR m.valid_during @> at_time)
    WHERE t.tenant_id = tenant AND (t.valid_during IS NULL OR t.valid_during @> at_time)
      AND p.reach IN ('team', 'organization', 'all') AND coalesce(a.reach, p.reach) = 'team'
      AND CASE WHEN t.account_id IS NULL THEN 'b2c' ELSE 'b2b' END = ANY (r.branches)
      AND (a.branches IS NULL OR CASE WHEN t.account_id IS NULL THEN 'b2c' ELSE 'b2b' END = ANY (a.branches))
$$;
CREATE TEMP TABLE reads AS SELECT t.id AS tenant_id, r.* FROM world.tenants t, pg_temp.account_reads(t.id, statement_timestamp()) r;
CREATE TEMP TABLE team AS SELECT t.id AS tenant_id, r.* FROM world.tenants t, pg_temp.team_reads(t.id, statement_timestamp()) r;
CREATE TEMP TABLE everywhere AS SELECT t.id AS tenant_id, r.* FROM world.tenants t, world.all_rights(t.id, statement_timestamp()) r
    WHERE r.action IN ('product_read', 'entitlement_read');
CREATE TEMP TABLE speaks AS SELECT t.id AS tenant_id, r.* FROM world.tenants t, world.consumer_rights(t.id, statement_timestamp()) r
    WHERE NOT r.staff AND r.for_id IS NOT NULL;
CREATE TEMP TABLE own_contact AS
SELECT k.tenant_id, k.user_id, k.id, k.account_id FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id AND u.enabled
WHERE k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> statement_timestamp());
CREATE TEMP TABLE item AS
SELECT 'assets' AS tab, a.tenant_id, a.id, a.account_id, a.user_id, a.branch, 'product_read' AS action FROM csm.assets a
UNION ALL SELECT 'sold_products', s.tenant_id, s.id, s.account_id, s.user_id, s.branch, 'product_read' FROM csm.sold_products s
UNION ALL SELECT 'contracts', c.tenant_id, c.id, c.account_id, c.user_id, c.branch, 'entitlement_read' FROM csm.contracts c
UNION ALL SELECT 'entitlements', e.tenant_id, e.id, coalesce(e.account_id, a.account_id, c.account_id),
                 coalesce(e.user_id, a.user_id, c.user_id), NULL, 'entitlement_read'
          FROM csm.entitlements e LEFT JOIN csm.assets a ON a.id = e.asset_id LEFT JOIN csm.contracts c ON c.id = e.contract_id;
ANALYZE reads, team, everywhere, speaks, own_contact, item;

CREATE TEMP TABLE reason AS
-- the account's own people; a plain contact less where the account is restricted, and items where links decide
SELECT i.tab, i.id, r.user_id, r.persona, false AS staff,
       CASE WHEN r.manages THEN 'manager' ELSE 'plain contact' END AS arm
FROM item i JOIN reads r ON r.account_id = i.account_id AND r.action = i.action
JOIN csm.accounts a ON a.id = i.account_id JOIN csm.tenants t ON t.id = i.tenant_id
WHERE r.manages OR i.action = 'entitlement_read'
   OR NOT a.restrict_contact_access AND NOT (i.tab = 'assets' AND coalesce(t.settings ->> 'use_asset_contacts', 'false') = 'true')
UNION ALL
-- contact on the record: of the owner, or of a partner that looks after it now
SELECT CASE WHEN l.asset_id IS NULL THEN 'sold_products' ELSE 'assets' END, i.id, k.user_id, 'contact:' || k.id, false,
       CASE WHEN k.account_id = i.account_id THEN 'linked contact' ELSE 'linked partner' END
FROM csm.asset_contacts l JOIN own_contact k ON k.id = l.contact_id
JOIN item i ON (i.tab, i.id) IN (('assets', l.asset_id), ('sold_products', l.sold_product_id))
WHERE k.account_id = i.account_id
   OR EXISTS (SELECT FROM csm.account_relationships r JOIN world.closure(i.tenant_id) x ON x.ancestor_id = r.customer_account_id
              WHERE r.partner_account_id = k.account_id AND r.type = 'partner_of' AND x.account_id = i.account_id
                AND (r.include_descendants OR x.account_id = r.customer_account_id)
                AND (r.valid_during IS NULL OR r.valid_during @> statement_timestamp()))
UNION ALL
SELECT i.tab, i.id, u.id, NULL, false, 'authorised person'
FROM csm.asset_parties p JOIN csm.users u ON u.id = p.user_id AND u.enabled
JOIN item i ON (i.tab, i.id) IN (('assets', p.asset_id), ('sold_products', p.sold_product_id))
WHERE p.authorized AND (p.valid_during IS NULL OR p.valid_during @> statement_timestamp())
UNION ALL
SELECT i.tab, i.id, k.user_id, 'contact:' || k.id, false, 'authorised account'
FROM csm.asset_parties p JOIN own_contact k ON k.account_id = p.account_id
JOIN item i ON (i.tab, i.id) IN (('assets', p.asset_id), ('sold_products', p.sold_product_id))
WHERE p.authorized AND (p.valid_during IS NULL OR p.valid_during @> statement_timestamp())
UNION ALL
-- V6 is of cases and products; an entitlement is the consumer's own
SELECT i.tab, i.id, s.user_id, 'consumer', false, CASE WHEN s.user_id = s.for_id THEN 'consumer' ELSE 'head or representative' END
FROM item i JOIN speaks s ON s.for_id = i.user_id
WHERE i.action = 'product_read'
   OR s.user_id = s.for_id AND EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = s.user_id)
UNION ALL
SELECT i.tab, i.id, t.user_id, t.persona, true, CASE WHEN i.account_id IS NULL THEN 'team of person' ELSE 'team of account' END
FROM item i JOIN team t ON t.action = i.action AND (t.account_id = i.account_id OR t.owner_id = i.user_id)
UNION ALL
SELECT i.tab, i.id, e.user_id, e.persona, true, 'all'
FROM item i JOIN everywhere e ON e.tenant_id = i.tenant_id AND e.action = i.action
     AND CASE WHEN i.account_id IS NOT NULL THEN e.branch = 'b2b' WHEN i.user_id IS NOT NULL THEN e.branch = 'b2c' ELSE true END;
CREATE INDEX ON reason (user_id, tab);
ANALYZE reason;

CREATE FUNCTION pg_temp.defined(who bigint, of_tab text, staff_side boolean, narrowed text DEFAULT NULL) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT r.id ORDER BY r.id), '{}') FROM reason r
    WHERE r.user_id = who AND r.tab = of_tab AND (staff_side OR NOT r.staff)
      AND (narrowed IS NULL OR r.persona = narrowed OR r.persona IS NULL AND NOT narrowed ^@ 'staff:')
$$;
CREATE FUNCTION pg_temp.asked(who bigint, of_tab text, role_name text, narrowed text DEFAULT NULL) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[];
BEGIN
    PERFORM world.enter(who, role_name, narrowed);
    IF NOT row_security_active('csm.' || of_tab) THEN
        RAISE EXCEPTION 'row security is not active on %', of_tab;
    END IF;
    EXECUTE format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM csm.%I', of_tab) INTO found;
    PERFORM world.leave();
    RETURN found;
END $$;

CREATE TEMP TABLE answer AS
SELECT u.id AS user_id, v.tab, r.role_name, pg_temp.asked(u.id, v.tab, r.role_name) AS asked,
       pg_temp.defined(u.id, v.tab, r.role_name <> 'csm_portal') AS defined
FROM csm.users u, (VALUES ('assets'), ('sold_products'), ('contracts'), ('entitlements')) v(tab),
     (VALUES ('csm_portal'), ('csm_agent')) r(role_name);
SELECT is((SELECT count(*) FROM answer a WHERE a.tab = v.tab AND a.role_name = v.role_name AND a.asked <> a.defined), 0::bigint,
          format('T9 every person reads the rows of %s that the definition gives him, as %s', v.tab, v.role_name))
FROM (SELECT DISTINCT tab, role_name FROM answer) v ORDER BY v.tab, v.role_name;
SELECT diag(format('%s, user %s as %s: too many %s, missing %s', a.tab, a.user_id, a.role_name,
                   (SELECT array_agg(k) FROM (SELECT unnest(a.asked) EXCEPT SELECT unnest(a.defined) LIMIT 5) x(k)),
                   (SELECT array_agg(k) FROM (SELECT unnest(a.defined) EXCEPT SELECT unnest(a.asked) LIMIT 5) x(k))))
FROM (SELECT a.*, row_number() OVER (PARTITION BY tab, role_name ORDER BY user_id) AS n FROM answer a WHERE asked <> defined) a WHERE n <= 3;

-- Each arm has granted often enough to mean something, alone, in each table it is of; and every table has denied.
SELECT diag(format('%-14s %-24s %s pairs, %s by it alone', tab, arm, count(*), count(*) FILTER (WHERE alone)))
FROM (SELECT r.*, NOT EXISTS (SELECT FROM reason o WHERE o.user_id = r.user_id AND o.tab = r.tab AND o.id = r.id AND o.arm <> r.arm) AS alone
      FROM reason r) x GROUP BY tab, arm ORDER BY tab, arm;
SELECT cmp_ok((SELECT count(*) FROM reason r WHERE r.tab = v.tab AND r.arm = v.arm
               AND NOT EXISTS (SELECT FROM reason o WHERE o.user_id = r.user_id AND o.tab = r.tab AND o.id = r.id AND o.arm <> r.arm)),
              '>=', 10::bigint, format('T9 %s: at least 10 pairs granted by nothing but %s', v.tab, v.arm))
FROM (SELECT t.tab, a.arm FROM (VALUES ('assets'), ('sold_products')) t(tab), unnest('{plain contact,manager,linked contact,linked partner,
          authorised person,authorised account,consumer,head or representative,team of account,team of person,all}'::text[]) a(arm)) v;
SELECT cmp_ok((SELECT count(*) FROM item i JOIN csm.accounts a ON a.id = i.account_id AND NOT a.restrict_contact_access
               JOIN reads r ON r.account_id = i.account_id AND r.action = 'product_read' AND NOT r.manages
               WHERE i.tab = 'assets' AND i.tenant_id = (SELECT id FROM world.tenants WHERE place = 2)
                 AND NOT EXISTS (SELECT FROM answer w WHERE w.user_id = r.user_id AND w.tab = i.tab AND i.id = ANY (w.asked))),
              '>=', 5::bigint, 'B20 with use_asset_contacts at least 5 pairs of a plain contact and an item of his account denied');
SELECT cmp_ok((SELECT count(*) FROM item i JOIN csm.accounts a ON a.id = i.account_id AND a.restrict_contact_access
               JOIN reads r ON r.account_id = i.account_id AND r.action = 'product_read' AND NOT r.manages
               WHERE i.tab = 'sold_products' AND NOT EXISTS (SELECT FROM answer w WHERE w.user_id = r.user_id AND w.tab = i.tab AND i.id = ANY (w.asked))),
              '>=', 20::bigint, 'B19 at least 20 pairs of a plain contact and a row of his restricted account denied');
SELECT is((SELECT count(*) FROM answer a CROSS JOIN unnest(a.asked) k(id) JOIN item i ON i.tab = a.tab AND i.id = k.id
           JOIN csm.users u ON u.id = a.user_id WHERE u.tenant_id <> i.tenant_id), 0::bigint, 'V13 nobody reads a row of the other tenant');

-- T16: nobody costs no scan of a table of this size.
CREATE FUNCTION pg_temp.scanned_by_nobody(of_tab text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_all_tables WHERE relid = ('csm.' || of_tab)::regclass);
    found bigint;
BEGIN
    PERFORM set_config('csm.user_id', '', true), set_config('role', 'csm_portal', true);
    EXECUTE format('SELECT count(*) FROM csm.%I', of_tab) INTO found;
    PERFORM set_config('role', 'none', true);
    RETURN found + (SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_all_tables WHERE relid = ('csm.' || of_tab)::regclass) - before;
END $$;
SELECT is(pg_temp.scanned_by_nobody(v.tab), 0::bigint, 'T16 nobody reads no row of ' || v.tab)
FROM unnest('{assets,sold_products,entitlements,asset_contacts,asset_parties}'::text[]) v(tab);

-- Personas narrow.
CREATE TEMP TABLE narrowed AS
SELECT x.user_id, x.persona, v.tab, r.role_name, pg_temp.asked(x.user_id, v.tab, r.role_name, x.persona) AS asked,
       pg_temp.defined(x.user_id, v.tab, r.role_name <> 'csm_portal', x.persona) AS defined
FROM (SELECT DISTINCT user_id, persona FROM reason WHERE persona IS NOT NULL AND user_id % 4 = 0) x,
     (VALUES ('assets'), ('sold_products'), ('contracts'), ('entitlements')) v(tab), (VALUES ('csm_portal'), ('csm_agent')) r(role_name);
SELECT is((SELECT count(*) FROM narrowed WHERE asked <> defined), 0::bigint, 'T12 each persona reads what the definition says of it');
SELECT diag(format('%s, persona %s of user %s as %s: asked %s, defined %s', tab, persona, user_id, role_name, cardinality(asked), cardinality(defined)))
FROM narrowed WHERE asked <> defined LIMIT 5;

-- What changes, changes with the commit: the same session, maps kept.
UPDATE csm.accounts SET restrict_contact_access = NOT restrict_contact_access;
SELECT cmp_ok((SELECT count(*) FROM (SELECT DISTINCT r.user_id FROM reason r WHERE r.arm = 'plain contact' AND r.tab = 'sold_products' LIMIT 40) x
               JOIN answer a ON a.user_id = x.user_id AND a.tab = 'sold_products' AND a.role_name = 'csm_portal'
               WHERE pg_temp.asked(x.user_id, 'sold_products', 'csm_portal') <> a.asked), '>=', 20::bigint,
              'V10 a switch of restrict_contact_access counts at once for those who have read before');
SELECT * FROM finish();
