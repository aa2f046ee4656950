-- Edges change, and with the next statement the access map says what the definition says: random changes in one open
-- transaction, kept, or undone by ROLLBACK TO, each followed by a comparison for the people whom it may concern and for
-- others. Nothing but the invalidation of the maps connects one step with the next.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.77, people => 240, accounts => 80, cases => 360) \g /dev/null

-- Counts that ROLLBACK TO leaves alone.
CREATE SEQUENCE world.compared;
CREATE SEQUENCE world.wrong;
CREATE SEQUENCE world.moved;

-- One random change; gives back what it was.
CREATE FUNCTION world.change(tenant bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    kinds text[] := '{end contact,revive contact,disable contact login,enable contact logins,change contact role,new contact,'
        'delete contact,move subtree,make top,end relationship,revive relationship,change scope,toggle descendants,change history,'
        'new relationship,delete relationship,disable user,enable users,end member,revive member,change head,end representation,'
        'new representation,delete representation,end share,new share,delete share,end staff role,new staff role,change staff reach,'
        'delete staff role,end team,new team,delete team,exclude organization,new organization member,move organization,'
        'drop permission,add permission,role branches,drop consumer,new consumer,disable tenant}';
    kind text := world.pick(kinds);
    ended tstzrange := tstzrange(NULL, clock_timestamp());
    one bigint;
    other bigint;
BEGIN
    UPDATE csm.tenants SET enabled = true WHERE id = tenant AND NOT enabled;
    SELECT u.id INTO one FROM csm.users u WHERE u.tenant_id = tenant ORDER BY random() LIMIT 1;
    SELECT a.id INTO other FROM csm.accounts a WHERE a.tenant_id = tenant ORDER BY random() LIMIT 1;
    BEGIN
        CASE kind
        WHEN 'end contact' THEN
            UPDATE csm.contacts SET valid_during = ended WHERE id IN (SELECT id FROM csm.contacts WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'revive contact' THEN
            UPDATE csm.contacts SET valid_during = NULL WHERE id IN (SELECT id FROM csm.contacts WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'disable contact login' THEN
            UPDATE csm.contacts SET login_enabled = false WHERE id IN (SELECT id FROM csm.contacts WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'enable contact logins' THEN
            UPDATE csm.contacts SET login_enabled = true WHERE tenant_id = tenant AND NOT login_enabled;
        WHEN 'change contact role' THEN
            UPDATE csm.contacts SET role = world.pick('{customer,case_reader,case_manager,partner_admin,partner,w_broker}'::text[])
            WHERE id IN (SELECT id FROM csm.contacts WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'new contact' THEN
            INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home)
            VALUES (tenant, one, other, world.pick('{customer,case_reader,case_manager,partner_admin}'::text[]), false);
        WHEN 'delete contact' THEN
            DELETE FROM csm.contacts k WHERE k.id = (SELECT k.id FROM csm.contacts k WHERE k.tenant_id = tenant
                AND NOT EXISTS (SELECT FROM csm.cases c WHERE k.id IN (c.partner_contact_id, c.counterparty_contact_id)) ORDER BY random() LIMIT 1);
        WHEN 'move subtree' THEN
            UPDATE csm.accounts SET parent_id = other
            WHERE id = (SELECT id FROM csm.accounts WHERE tenant_id = tenant AND parent_id IS NOT NULL ORDER BY random() LIMIT 1);
        WHEN 'make top' THEN
            UPDATE csm.accounts SET parent_id = NULL WHERE id = other;
        WHEN 'end relationship' THEN
            UPDATE csm.account_relationships SET valid_during = ended
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant AND type = 'partner_of' ORDER BY random() LIMIT 6);
        WHEN 'revive relationship' THEN
            UPDATE csm.account_relationships SET valid_during = NULL
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant AND type = 'partner_of' ORDER BY random() LIMIT 6);
        WHEN 'change scope' THEN
            UPDATE csm.account_relationships SET scope = CASE scope WHEN 'all' THEN 'named' ELSE 'all' END
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'toggle descendants' THEN
            UPDATE csm.account_relationships SET include_descendants = NOT include_descendants
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'change history' THEN
            UPDATE csm.account_relationships SET history_from = clock_timestamp() - random() * interval '1500 days'
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant ORDER BY random() LIMIT 12);
        WHEN 'new relationship' THEN
            INSERT INTO csm.account_relationships (tenant_id, partner_account_id, customer_account_id, scope, include_descendants)
            SELECT tenant, a.id, other, world.pick('{named,all}'::text[]), world.chance(0.5)
            FROM csm.accounts a WHERE a.tenant_id = tenant AND a.is_partner AND a.id <> other ORDER BY random() LIMIT 1;
        WHEN 'delete relationship' THEN
            DELETE FROM csm.account_relationships
            WHERE id IN (SELECT id FROM csm.account_relationships WHERE tenant_id = tenant ORDER BY random() LIMIT 3);
        WHEN 'disable user' THEN
            UPDATE csm.users SET enabled = false WHERE id IN (SELECT id FROM csm.users WHERE tenant_id = tenant ORDER BY random() LIMIT 10);
        WHEN 'enable users' THEN
            UPDATE csm.users SET enabled = true WHERE tenant_id = tenant AND NOT enabled;
        WHEN 'end member' THEN
            UPDATE csm.household_members SET valid_during = ended
            WHERE id IN (SELECT id FROM csm.household_members WHERE tenant_id = tenant ORDER BY random() LIMIT 6);
        WHEN 'revive member' THEN
            UPDATE csm.household_members SET valid_during = NULL
            WHERE id IN (SELECT id FROM csm.household_members WHERE tenant_id = tenant ORDER BY random() LIMIT 6);
        WHEN 'change head' THEN
            UPDATE csm.households h SET head_user_id = (SELECT m.user_id FROM csm.household_members m WHERE m.household_id = h.id ORDER BY random() LIMIT 1)
            WHERE id IN (SELECT id FROM csm.households WHERE tenant_id = tenant ORDER BY random() LIMIT 5);
        WHEN 'end representation' THEN
            UPDATE csm.representations SET valid_during = ended
            WHERE id IN (SELECT id FROM csm.representations WHERE tenant_id = tenant ORDER BY random() LIMIT 10);
        WHEN 'new representation' THEN
            INSERT INTO csm.representations (tenant_id, representative_id, represented_id)
            SELECT tenant, u.id, one FROM csm.users u WHERE u.tenant_id = tenant AND u.id <> one ORDER BY random() LIMIT 1;
        WHEN 'delete representation' THEN
            DELETE FROM csm.representations
            WHERE id IN (SELECT id FROM csm.representations WHERE tenant_id = tenant ORDER BY random() LIMIT 5);
        WHEN 'end share' THEN
            UPDATE csm.case_parties SET valid_during = ended
            WHERE id IN (SELECT id FROM csm.case_parties WHERE tenant_id = tenant ORDER BY random() LIMIT 20);
        WHEN 'new share' THEN
            INSERT INTO csm.case_parties (tenant_id, case_id, user_id, account_id)
            SELECT tenant, c.id, CASE WHEN c.id % 2 = 0 THEN one END, CASE WHEN c.id % 2 = 1 THEN other END
            FROM csm.cases c WHERE c.tenant_id = tenant ORDER BY random() LIMIT 10;
        WHEN 'delete share' THEN
            DELETE FROM csm.case_parties
            WHERE id IN (SELECT id FROM csm.case_parties WHERE tenant_id = tenant ORDER BY random() LIMIT 10);
        WHEN 'end staff role' THEN
            UPDATE csm.user_roles SET valid_during = ended WHERE id IN (SELECT id FROM csm.user_roles WHERE tenant_id = tenant ORDER BY random() LIMIT 4);
        WHEN 'new staff role' THEN
            INSERT INTO csm.user_roles (tenant_id, user_id, role)
            SELECT tenant, one, r.role FROM csm.roles r WHERE r.tenant_id = tenant AND r.kind = 'staff' ORDER BY random() LIMIT 1;
        WHEN 'change staff reach' THEN
            UPDATE csm.user_roles SET reach = world.pick('{team,organization,all,NULL}'::text[])
            WHERE id IN (SELECT id FROM csm.user_roles WHERE tenant_id = tenant ORDER BY random() LIMIT 4);
        WHEN 'delete staff role' THEN
            DELETE FROM csm.user_roles WHERE id IN (SELECT id FROM csm.user_roles WHERE tenant_id = tenant ORDER BY random() LIMIT 2);
        WHEN 'end team' THEN
            UPDATE csm.account_team SET valid_during = ended WHERE id IN (SELECT id FROM csm.account_team WHERE tenant_id = tenant ORDER BY random() LIMIT 20);
        WHEN 'new team' THEN
            INSERT INTO csm.account_team (tenant_id, member_id, account_id)
            SELECT tenant, a.user_id, other FROM csm.user_roles a WHERE a.tenant_id = tenant ORDER BY random() LIMIT 3;
        WHEN 'delete team' THEN
            DELETE FROM csm.account_team WHERE id IN (SELECT id FROM csm.account_team WHERE tenant_id = tenant ORDER BY random() LIMIT 20);
        WHEN 'exclude organization' THEN
            UPDATE csm.service_organization_members m
            SET excluded = ARRAY(SELECT o.id FROM csm.service_organizations o WHERE o.tenant_id = tenant ORDER BY random() LIMIT 3)
            WHERE id IN (SELECT id FROM csm.service_organization_members WHERE tenant_id = tenant ORDER BY random() LIMIT 5);
        WHEN 'new organization member' THEN
            INSERT INTO csm.service_organization_members (tenant_id, service_organization_id, user_id)
            SELECT tenant, o.id, a.user_id FROM csm.service_organizations o, csm.user_roles a
            WHERE o.tenant_id = tenant AND a.tenant_id = tenant ORDER BY random() LIMIT 1;
        WHEN 'move organization' THEN
            UPDATE csm.service_organizations SET parent_id = (SELECT min(id) FROM csm.service_organizations WHERE tenant_id = tenant)
            WHERE id IN (SELECT id FROM csm.service_organizations WHERE tenant_id = tenant AND parent_id IS NOT NULL ORDER BY random() LIMIT 2);
        WHEN 'drop permission' THEN
            DELETE FROM csm.role_permissions
            WHERE tenant_id = tenant AND (role, action, reach) IN
                  (SELECT role, action, reach FROM csm.role_permissions WHERE tenant_id = tenant AND action LIKE 'case%' ORDER BY random() LIMIT 1);
        WHEN 'add permission' THEN
            INSERT INTO csm.role_permissions (tenant_id, role, action, reach)
            VALUES (tenant, world.pick('{customer,case_reader,w_bare,w_misfit}'::text[]), 'case_read', world.pick('{account,subtree,related}'::text[]));
        WHEN 'role branches' THEN
            UPDATE csm.roles SET branches = world.pick('{"{b2b}","{b2c,internal}","{b2b,b2c,internal}"}'::text[])::text[]
            WHERE tenant_id = tenant AND role IN (SELECT r.role FROM csm.roles r WHERE r.tenant_id = tenant AND r.kind = 'staff' ORDER BY random() LIMIT 2);
        WHEN 'drop consumer' THEN
            DELETE FROM csm.consumers WHERE user_id IN (SELECT user_id FROM csm.consumers WHERE tenant_id = tenant ORDER BY random() LIMIT 10);
        WHEN 'new consumer' THEN
            INSERT INTO csm.consumers (tenant_id, user_id) VALUES (tenant, one);
        WHEN 'disable tenant' THEN
            UPDATE csm.tenants SET enabled = false WHERE id = tenant;
        END CASE;
    EXCEPTION WHEN exclusion_violation OR unique_violation OR SQLSTATE 'SM005' THEN
        kind := kind || ' (refused)';
    END;
    RETURN kind;
END $$;

-- A comparison for some people: the same ones again and again, so that their maps are warm, and a few others.
CREATE FUNCTION world.check_some(step int, kind text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    tenant bigint := (SELECT id FROM world.tenants WHERE place = 1);
    pairs bigint;
    wrong bigint;
    sample text;
    was text := current_setting('world.fingerprint', true);
    fingerprint text;
BEGIN
    WITH person AS MATERIALIZED (
        SELECT u.id AS user_id, CASE WHEN u.id % 2 = 0 THEN 'csm_agent' ELSE 'csm_portal' END AS role_name
        FROM csm.users u WHERE u.tenant_id = tenant AND (u.id % 9 = 0 OR u.id % 41 = step % 41)
    ), fast AS (
        SELECT p.user_id, f.case_id, f.letters FROM person p CROSS JOIN LATERAL world.fast(p.user_id, p.role_name) f
    ), slow AS (
        SELECT p.user_id, r.case_id, world.as_letters(array_agg(a.action)) AS letters
        FROM csm_private.access_reasons(tenant, NULL, NULL, NULL, statement_timestamp()) r
        JOIN person p ON p.user_id = r.user_id AND (p.role_name = 'csm_agent' OR NOT r.staff)
        CROSS JOIN unnest(r.actions) a(action)
        GROUP BY 1, 2 HAVING 'case_read' = ANY (array_agg(a.action))
    )
    SELECT count(*), count(*) FILTER (WHERE f.letters IS DISTINCT FROM s.letters),
           min(format('user %s case %s: asked %s, defined %s', user_id, case_id, coalesce(f.letters, 'hidden'), coalesce(s.letters, 'hidden')))
               FILTER (WHERE f.letters IS DISTINCT FROM s.letters),
           md5(string_agg(user_id || ' ' || case_id || ' ' || s.letters, ',' ORDER BY user_id, case_id) FILTER (WHERE user_id % 9 = 0))
      INTO pairs, wrong, sample, fingerprint
    FROM fast f FULL JOIN slow s USING (user_id, case_id);
    PERFORM set_config('world.fingerprint', coalesce(fingerprint, 'empty'), false);
    PERFORM setval('world.compared', (SELECT last_value FROM world.compared) + pairs),
            setval('world.wrong', (SELECT last_value FROM world.wrong) + wrong),
            setval('world.moved', (SELECT last_value FROM world.moved) + (fingerprint IS DISTINCT FROM was)::int);
    IF wrong > 0 THEN
        RETURN format('# step %s, %s: %s of %s pairs wrong, such as %s', step, kind, wrong, pairs, sample);
    END IF;
    RETURN NULL;
END $$;

-- Each part of a step is a statement of the client of its own, so that statement_timestamp() moves on.
SELECT setseed(0.31) \g /dev/null
BEGIN;
SELECT world.check_some(0, 'before') \g /dev/null
\pset null ''
SELECT 'SAVEPOINT s',
       $$SELECT '# ' || set_config('world.kind', world.change((SELECT id FROM world.tenants WHERE place = 1)), false)$$,
       format($$SELECT world.check_some(%s, current_setting('world.kind'))$$, n),
       CASE WHEN n % 3 = 0 THEN 'ROLLBACK TO s' ELSE 'RELEASE s' END,
       CASE WHEN n % 3 = 0 THEN format($$SELECT world.check_some(%s, 'undone')$$, n) END
FROM generate_series(1, 99) n \gexec
COMMIT;
SELECT diag(format('%s pairs compared after %s changes of sight', (SELECT last_value FROM world.compared), (SELECT last_value FROM world.moved)));
SELECT is((SELECT last_value FROM world.wrong), 1::bigint, 'V10 after each change, kept or undone, the access map says what the definition says');
SELECT cmp_ok((SELECT last_value FROM world.moved), '>=', 25::bigint, 'V10 and many of the changes changed what these people see');
SELECT cmp_ok((SELECT last_value FROM world.compared), '>=', 10000::bigint, 'V10 on enough pairs');
SELECT * FROM finish();
