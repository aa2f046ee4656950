-- A random world, the same for the same seed: two tenants with every kind of edge that the rules V1 to V9 know, valid,
-- expired and not yet begun, and cases that use every key column. To be run as superuser in a test database:
--
--   \ir ../lib/world.sql
--   SELECT world.build(seed => 0.42, people => 1000, accounts => 300, cases => 2000);
--
-- The second tenant has a tenth of that size. world.tenants names both.
CREATE SCHEMA world;

CREATE TABLE world.tenants (place int PRIMARY KEY, id bigint NOT NULL);

CREATE FUNCTION world.chance(share float) RETURNS boolean LANGUAGE sql VOLATILE
RETURN random() < share;

CREATE FUNCTION world.pick(things anyarray) RETURNS anyelement LANGUAGE sql VOLATILE
AS 'SELECT things[1 + floor(random() * cardinality(things))::int]';

-- When an edge counts; years away from today, so that no test waits for a boundary.
CREATE FUNCTION world.era() RETURNS tstzrange LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    luck float := random();
    today timestamptz := date_trunc('day', now());
BEGIN
    RETURN CASE
        WHEN luck < 0.50 THEN NULL
        WHEN luck < 0.65 THEN tstzrange(today - interval '900 days', today + interval '900 days')
        WHEN luck < 0.75 THEN tstzrange(today - interval '900 days', NULL)
        WHEN luck < 0.88 THEN tstzrange(today - interval '900 days', today - interval '30 days')
        WHEN luck < 0.98 THEN tstzrange(today + interval '900 days', NULL)
        ELSE 'empty'
    END;
END $$;

-- Roles beside the shipped ones: capabilities that come apart, and reaches that do not fit the kind of the role, which
-- must give nothing.
CREATE FUNCTION world.extra_roles(tenant bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO csm.roles (tenant_id, role, kind, user_class, label, branches) VALUES
        (tenant, 'w_commenter', 'contact', 'external', 'w', DEFAULT),
        (tenant, 'w_decider', 'contact', 'external', 'w', DEFAULT),
        (tenant, 'w_broker', 'contact', 'external', 'w', DEFAULT),
        (tenant, 'w_misfit', 'contact', 'external', 'w', DEFAULT),
        (tenant, 'w_bare', 'contact', 'external', 'w', DEFAULT),
        (tenant, 'w_owner', 'staff', 'stakeholder', 'w', '{b2b,internal}'),
        (tenant, 'w_mixed', 'staff', 'fulfiller', 'w', '{b2b,b2c}'),
        (tenant, 'w_wrong', 'staff', 'fulfiller', 'w', DEFAULT);
    INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES
        (tenant, 'w_commenter', 'case_read', 'account'), (tenant, 'w_commenter', 'case_comment', 'account'),
        (tenant, 'w_decider', 'case_read', 'subtree'), (tenant, 'w_decider', 'case_decide', 'account'),
        (tenant, 'w_broker', 'case_read', 'related'), (tenant, 'w_broker', 'case_comment', 'related'),
        (tenant, 'w_broker', 'case_create', 'account'),
        (tenant, 'w_misfit', 'case_read', 'all'), (tenant, 'w_misfit', 'case_work', 'account'),
        (tenant, 'w_misfit', 'case_read', 'team'), (tenant, 'w_misfit', 'case_comment', 'organization'),
        (tenant, 'w_owner', 'case_read', 'own'), (tenant, 'w_owner', 'case_work', 'own'),
        (tenant, 'w_mixed', 'case_read', 'team'), (tenant, 'w_mixed', 'case_read', 'organization'),
        (tenant, 'w_mixed', 'case_comment', 'team'), (tenant, 'w_mixed', 'case_work', 'organization'),
        (tenant, 'w_wrong', 'case_read', 'subtree'), (tenant, 'w_wrong', 'case_work', 'account');
$$;

CREATE FUNCTION world.build_tenant(place int, people int, accounts int, cases int) RETURNS void
LANGUAGE plpgsql
SET session_replication_role = origin
AS $$
DECLARE
    tenant bigint;
    today timestamptz := date_trunc('day', now());
    all_users bigint[];
    all_accounts bigint[] := '{}';
    depths int[] := '{}';
    partners bigint[];
    consumers bigint[];
    staff bigint[];
    organizations bigint[] := '{}';
    households bigint[];
    products bigint[];
    staff_roles text[];
    one bigint;
    other bigint;
    i int;
    j int;
    member bigint;
    colleague bigint;
    household bigint;
    branch text;
    requester bigint;
    opener bigint;
    account bigint;
    counterparty bigint;
    partner bigint;
    draft boolean;
BEGIN
    PERFORM csm.create_tenant('world' || place, 'World ' || place, 'admin@world' || place || '.example');
    SELECT id INTO STRICT tenant FROM csm.tenants WHERE key = 'world' || place;
    INSERT INTO world.tenants VALUES (place, tenant);
    PERFORM world.extra_roles(tenant);

    INSERT INTO csm.users (tenant_id, display_name, email, enabled)
    SELECT tenant, 'Person ' || n, 'p' || n || '@world' || place || '.example', world.chance(0.95)
    FROM generate_series(1, people) n;
    SELECT array_agg(id ORDER BY id) INTO all_users FROM csm.users WHERE tenant_id = tenant;

    -- Trees of up to six levels.
    FOR i IN 1 .. accounts LOOP
        j := CASE WHEN i > greatest(2, accounts / 12) THEN 1 + floor(random() * (i - 1))::int END;
        IF depths[j] >= 6 THEN
            j := NULL;
        END IF;
        INSERT INTO csm.accounts (tenant_id, name, parent_id, is_partner)
        VALUES (tenant, 'Account ' || i, all_accounts[j], i % 7 = 0) RETURNING id INTO one;
        all_accounts := all_accounts || one;
        depths := depths || (coalesce(depths[j], 0) + 1);
    END LOOP;
    SELECT array_agg(id ORDER BY id) INTO partners FROM csm.accounts WHERE tenant_id = tenant AND is_partner;

    INSERT INTO csm.employees (user_id, tenant_id, department)
    SELECT id, tenant, 'Desk' FROM unnest(all_users) id WHERE world.chance(0.3);
    INSERT INTO csm.consumers (user_id, tenant_id)
    SELECT id, tenant FROM unnest(all_users) id WHERE world.chance(0.45);

    SELECT array_agg(c.user_id ORDER BY c.user_id) INTO consumers FROM csm.consumers c WHERE c.tenant_id = tenant;

    -- Contacts, up to three a person; a contact of a partner company is mostly one of its partner roles.
    FOR i IN 1 .. people LOOP
        one := all_users[i];
        FOR j IN 1 .. (array[0, 0, 1, 1, 1, 2, 3])[1 + floor(random() * 7)::int] LOOP
            other := CASE WHEN world.chance(0.25) THEN world.pick(partners) ELSE world.pick(all_accounts) END;
            INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home, login_enabled, valid_during)
            VALUES (tenant, one, other,
                    CASE WHEN other = ANY (partners) AND world.chance(0.7)
                         THEN world.pick('{partner,partner_admin,partner_admin,w_broker,customer}'::text[])
                         ELSE world.pick('{customer,customer,customer,case_reader,case_reader,case_manager,customer_admin,'
                                         'w_commenter,w_decider,w_misfit,w_bare,partner,partner_admin}'::text[]) END,
                    j = 1, world.chance(0.92), world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
    END LOOP;

    FOREACH one IN ARRAY partners LOOP
        FOR j IN 1 .. 3 + floor(random() * 6)::int LOOP
            other := world.pick(all_accounts);
            CONTINUE WHEN other = one;
            INSERT INTO csm.account_relationships (tenant_id, type, partner_account_id, customer_account_id, scope,
                                                   history_from, include_descendants, administers, valid_during)
            VALUES (tenant, 'partner_of', one, other, world.pick('{named,all}'::text[]),
                    CASE WHEN world.chance(0.5) THEN today - random() * interval '1500 days' END,
                    world.chance(0.4), world.chance(0.4), world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
    END LOOP;
    FOR i IN 1 .. accounts LOOP
        one := world.pick(all_accounts);
        other := world.pick(all_accounts);
        CONTINUE WHEN other = one;
        INSERT INTO csm.account_relationships (tenant_id, type, partner_account_id, customer_account_id, valid_during)
        VALUES (tenant, 'trades_with', one, other, world.era())
        ON CONFLICT DO NOTHING;
    END LOOP;

    -- Households with present, past and future members; the head is mostly one of them.
    FOR i IN 1 .. greatest(2, people / 10) LOOP
        INSERT INTO csm.households (tenant_id, name) VALUES (tenant, 'Household ' || i) RETURNING id INTO one;
        FOR j IN 1 .. 2 + floor(random() * 3)::int LOOP
            INSERT INTO csm.household_members (tenant_id, household_id, user_id, valid_during)
            VALUES (tenant, one, world.pick(all_users), world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
        UPDATE csm.households h
        SET head_user_id = CASE WHEN world.chance(0.85) THEN
                (SELECT m.user_id FROM csm.household_members m WHERE m.household_id = one ORDER BY m.id LIMIT 1)
                ELSE world.pick(all_users) END
        WHERE h.id = one AND world.chance(0.93);
    END LOOP;
    SELECT array_agg(id ORDER BY id) INTO households FROM csm.households WHERE tenant_id = tenant;
    FOR i IN 1 .. 2 * people LOOP
        one := world.pick(all_users);
        other := world.pick(all_users);
        household := NULL;
        IF world.chance(0.7) THEN
            one := world.pick(households);
            SELECT m.household_id, m.user_id, n.user_id INTO household, member, colleague
            FROM csm.household_members m JOIN csm.household_members n ON n.household_id = m.household_id AND n.user_id <> m.user_id
            WHERE m.household_id = one ORDER BY random() LIMIT 1;
            IF household IS NOT NULL THEN
                one := CASE WHEN i % 2 = 0 THEN member ELSE colleague END;
                other := CASE WHEN i % 2 = 0 THEN colleague ELSE member END;
            ELSE
                one := world.pick(all_users);
            END IF;
        END IF;
        CONTINUE WHEN one = other;
        INSERT INTO csm.representations (tenant_id, representative_id, represented_id, household_id, valid_during)
        VALUES (tenant, one, other,
                coalesce(household, CASE WHEN world.chance(0.2) THEN world.pick(households) END),
                world.era())
        ON CONFLICT DO NOTHING;
    END LOOP;

    -- Staff.
    FOR i IN 1 .. 25 LOOP
        INSERT INTO csm.service_organizations (tenant_id, name, parent_id)
        VALUES (tenant, 'Organisation ' || i, CASE WHEN i > 3 THEN world.pick(organizations) END) RETURNING id INTO one;
        organizations := organizations || one;
    END LOOP;
    SELECT array_agg(role ORDER BY role) || '{contributor,contributor,proxy,w_owner,w_owner,w_mixed}' INTO staff_roles
    FROM csm.roles WHERE tenant_id = tenant AND kind = 'staff';
    SELECT array_agg(u.id ORDER BY u.id) INTO staff
    FROM unnest(all_users) WITH ORDINALITY u(id, n) WHERE u.n % 9 = 0;
    FOREACH one IN ARRAY staff LOOP
        FOR j IN 1 .. 1 + floor(random() * 2)::int LOOP
            INSERT INTO csm.user_roles (tenant_id, user_id, role, branches, reach, service_organization_id, valid_during)
            VALUES (tenant, one, world.pick(staff_roles),
                    CASE WHEN world.chance(0.3) THEN ARRAY(SELECT b FROM unnest('{b2b,b2c,internal}'::text[]) b WHERE world.chance(0.5)) END,
                    CASE WHEN world.chance(0.5) THEN world.pick('{team,team,organization,organization,all}'::text[]) END,
                    CASE WHEN world.chance(0.4) THEN world.pick(organizations) END, world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
        FOR j IN 1 .. floor(random() * 3)::int LOOP
            other := world.pick(organizations[1:8]);
            INSERT INTO csm.service_organization_members (tenant_id, service_organization_id, user_id, excluded, valid_during)
            VALUES (tenant, other, one,
                    CASE WHEN world.chance(0.5) THEN
                        ARRAY(SELECT o.id FROM csm.service_organizations o WHERE o.parent_id = other AND world.chance(0.6)) ELSE '{}' END,
                    world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
        FOR j IN 1 .. floor(random() * 60)::int LOOP
            i := (array[0, 0, 1, 1, 1, 2])[1 + floor(random() * 6)::int];
            INSERT INTO csm.account_team (tenant_id, member_id, account_id, user_id, household_id, valid_during)
            VALUES (tenant, one, CASE WHEN i = 0 THEN world.pick(all_accounts) END,
                    CASE WHEN i = 1 THEN CASE WHEN world.chance(0.2) THEN world.pick(all_users) ELSE world.pick(consumers) END END, CASE WHEN i = 2 THEN world.pick(households) END, world.era())
            ON CONFLICT DO NOTHING;
        END LOOP;
    END LOOP;
    -- Edges of a team give nothing to somebody without a staff role.
    FOR i IN 1 .. people / 20 LOOP
        INSERT INTO csm.account_team (tenant_id, member_id, account_id)
        VALUES (tenant, world.pick(all_users), world.pick(all_accounts)) ON CONFLICT DO NOTHING;
    END LOOP;

    INSERT INTO csm.products (tenant_id, name) SELECT tenant, 'Product ' || n FROM generate_series(1, 5) n;
    SELECT array_agg(id ORDER BY id) INTO products FROM csm.products WHERE tenant_id = tenant;

    FOR i IN 1 .. cases LOOP
        branch := (array['b2b', 'b2b', 'b2b', 'b2c', 'b2c', 'internal'])[1 + floor(random() * 6)::int];
        requester := world.pick(all_users);
        account := NULL;
        counterparty := NULL;
        partner := NULL;
        IF branch = 'b2b' THEN
            account := world.pick(all_accounts);
            IF world.chance(0.9) THEN
                requester := coalesce(world.pick(ARRAY(SELECT k.user_id FROM csm.contacts k WHERE k.account_id = account ORDER BY k.id)),
                                      requester);
            ELSIF world.chance(0.5) THEN
                requester := coalesce(world.pick(ARRAY(
                    SELECT k.user_id FROM csm.account_relationships r JOIN csm.contacts k ON k.account_id = r.partner_account_id
                    WHERE r.customer_account_id = account AND r.type = 'partner_of' ORDER BY k.id)), requester);
            END IF;
            IF world.chance(0.6) THEN
                partner := coalesce(CASE WHEN world.chance(0.8) THEN world.pick(ARRAY(
                    SELECT r.partner_account_id FROM csm.account_relationships r
                    WHERE r.customer_account_id = account AND r.type = 'partner_of' ORDER BY r.id)) END, world.pick(partners));
            END IF;
            IF world.chance(0.5) THEN
                counterparty := nullif(world.pick(all_accounts), account);
            END IF;
        ELSIF branch = 'b2c' THEN
            IF world.chance(0.5) THEN
                requester := world.pick(consumers);
            END IF;
            IF world.chance(0.15) THEN
                counterparty := world.pick(all_accounts);
            END IF;
        END IF;
        opener := CASE WHEN world.chance(0.6) THEN requester WHEN world.chance(0.5) THEN world.pick(all_users)
                       WHEN world.chance(0.8) THEN world.pick(staff) END;
        draft := world.chance(CASE WHEN counterparty IS NULL THEN 0.05 ELSE 0.3 END);
        INSERT INTO csm.cases (tenant_id, branch, state, state_class, subject, requester_id, opened_by, account_id, household_id,
                               counterparty_account_id, counterparty_contact_id, partner_account_id, partner_contact_id,
                               internal_contact_id, service_organization_id, product_id, opened_at, submitted_at, updated_at)
        SELECT tenant, branch, CASE WHEN draft THEN 'draft' ELSE 'open' END, CASE WHEN draft THEN 'draft' ELSE 'open' END,
               'Case ' || i, requester, opener, account,
               CASE WHEN branch = 'b2c' AND world.chance(0.4) THEN world.pick(households) END,
               counterparty,
               CASE WHEN counterparty IS NOT NULL AND world.chance(0.7) THEN
                    world.pick(ARRAY(SELECT k.id FROM csm.contacts k WHERE k.account_id = counterparty ORDER BY 1)) END,
               partner,
               CASE WHEN partner IS NOT NULL AND world.chance(0.9) THEN
                    world.pick(ARRAY(SELECT k.id FROM csm.contacts k WHERE k.account_id = partner
                        AND k.role IN ('partner', 'partner_admin', 'w_broker', 'customer') ORDER BY 1)) END,
               CASE WHEN world.chance(0.4) THEN world.pick(staff) END,
               CASE WHEN world.chance(0.4) THEN world.pick(organizations) END,
               world.pick(products), t.opened_at, CASE WHEN NOT draft THEN t.opened_at END, t.opened_at
        FROM (SELECT today - random() * interval '1800 days') t(opened_at);
    END LOOP;

    INSERT INTO csm.case_parties (tenant_id, case_id, user_id, account_id, capabilities, valid_during)
    SELECT tenant, p.id, CASE WHEN p.luck < 0.7 THEN world.pick(all_users) END, CASE WHEN p.luck >= 0.7 THEN world.pick(all_accounts) END,
           '{case_read}'::text[] || CASE WHEN world.chance(0.5) THEN '{case_comment}'::text[] ELSE '{}' END
               || CASE WHEN world.chance(0.3) THEN '{case_decide}'::text[] ELSE '{}' END, world.era()
    FROM (SELECT c.id, random() AS luck FROM csm.cases c WHERE c.tenant_id = tenant AND c.id % 2 = 0 ORDER BY c.id) p
    ON CONFLICT DO NOTHING;

    INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_name, visibility, side, body)
    SELECT tenant, c.id, c.branch, 'Somebody', v.visibility, v.side, 'Entry of case ' || c.id
    FROM csm.cases c
    CROSS JOIN (VALUES ('shared', 'customer'), ('internal', 'operator'), ('private', 'customer'), ('private', 'counterparty')) v(visibility, side)
    WHERE c.tenant_id = tenant AND c.id % 4 = 0;
END $$;

CREATE FUNCTION world.build(seed float, people int, accounts int, cases int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Rows as given: states, times and branches are part of the world.
    PERFORM set_config('csm.importing', 'on', true);
    PERFORM setseed(seed);
    PERFORM world.build_tenant(1, people, accounts, cases);
    PERFORM world.build_tenant(2, greatest(10, people / 10), greatest(15, accounts / 10), greatest(10, cases / 10));
    PERFORM set_config('csm.importing', 'off', true);
    ANALYZE;
END $$;
