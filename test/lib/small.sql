-- A small world that a person can read, for tests that name people. To be run as superuser in a test database:
--
--   \ir ../lib/small.sql
--
-- Accounts: holding > acme > north > plant, acme > south; paragon and broker are partners; globex (managed) and initech
-- (nobody manages it) are the other side of disputes; umbrella has nothing to do with anybody.
-- small.u('north manager'), small.a('north'), small.c('north: pump') give ids; small.sees() asks a real SELECT.
CREATE SCHEMA small;
CREATE TABLE small.named (kind text, name text, id bigint NOT NULL, PRIMARY KEY (kind, name));

CREATE FUNCTION small.id(of_kind text, of_name text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    found bigint;
BEGIN
    SELECT n.id INTO found FROM small.named n WHERE n.kind = of_kind AND n.name = of_name;
    IF found IS NULL THEN
        RAISE EXCEPTION 'the small world has no % "%"', of_kind, of_name;
    END IF;
    RETURN found;
END $$;
CREATE FUNCTION small.u(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('user', $1);
CREATE FUNCTION small.a(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('account', $1);
CREATE FUNCTION small.k(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('contact', $1);
CREATE FUNCTION small.h(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('household', $1);
CREATE FUNCTION small.o(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('organization', $1);
CREATE FUNCTION small.r(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('relationship', $1);
CREATE FUNCTION small.c(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('case', $1);
CREATE FUNCTION small.tenant(text DEFAULT 'small') RETURNS bigint LANGUAGE sql STABLE
    RETURN (SELECT t.id FROM csm.tenants t WHERE t.key = $1);

-- Run one statement as a person (NULL: nobody) and give back its first value as text, or "ERROR sqlstate: message".
-- Nothing of what the statement writes stays, unless keep.
CREATE FUNCTION small.run(person bigint, role_name text, statement text, persona text DEFAULT NULL, keep boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    secured boolean;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', coalesce(person::text, ''), true);
        PERFORM set_config('role', role_name, true);
        IF persona IS NOT NULL THEN
            PERFORM csm.act_as(persona);
        END IF;
        secured := row_security_active('csm.cases');
        EXECUTE statement INTO answer;
        IF NOT secured THEN
            RAISE EXCEPTION 'row security is not active for %', role_name;
        END IF;
        IF NOT keep THEN
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := 'ERROR ' || SQLSTATE || ': ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.persona', '', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN answer;
END $$;

CREATE FUNCTION small.sees(person text, subject text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL)
RETURNS boolean LANGUAGE sql
RETURN small.run(small.u(person), role_name, format('SELECT count(*) FROM csm.cases WHERE id = %s', small.c(subject)), persona) = '1';

-- Actions that the rule gives the person on a case, beside reading: letters c(omment) d(ecide) w(ork).
CREATE FUNCTION small.letters(c csm.cases) RETURNS text LANGUAGE sql STABLE
RETURN CASE WHEN csm_private.case_allows(c, 'case_comment') THEN 'c' ELSE '' END
    || CASE WHEN csm_private.case_allows(c, 'case_decide') THEN 'd' ELSE '' END
    || CASE WHEN csm_private.case_allows(c, 'case_work') THEN 'w' ELSE '' END;
GRANT USAGE ON SCHEMA small TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;

CREATE FUNCTION small.acts(person text, subject text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, format('SELECT small.letters(c) FROM csm.cases c WHERE id = %s', small.c(subject)));

-- Makers. Each gives the new row its name.
CREATE FUNCTION small.new_user(of_name text, is_enabled boolean DEFAULT true) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.users (tenant_id, display_name, email, enabled)
    VALUES (small.tenant(), of_name, replace(of_name, ' ', '.') || '@small.example', is_enabled) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('user', of_name, made);
    RETURN made;
END $$;
CREATE FUNCTION small.new_account(of_name text, parent text DEFAULT NULL, partner boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.accounts (tenant_id, name, parent_id, is_partner)
    VALUES (small.tenant(), of_name, CASE WHEN parent IS NOT NULL THEN small.a(parent) END, partner) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('account', of_name, made);
    RETURN made;
END $$;
-- Makes the person too where there is none of that name.
CREATE FUNCTION small.new_contact(person text, account text, of_role text, home boolean DEFAULT true,
                                  during tstzrange DEFAULT NULL, login boolean DEFAULT true) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM small.named WHERE kind = 'user' AND name = person) THEN
        PERFORM small.new_user(person);
    END IF;
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home, login_enabled, valid_during)
    VALUES (small.tenant(), small.u(person), small.a(account), of_role, home, login, during) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('contact', person || ' at ' || account, made);
    RETURN made;
END $$;
CREATE FUNCTION small.new_staff(person text, of_role text, of_reach text DEFAULT NULL, of_branches text[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM small.named WHERE kind = 'user' AND name = person) THEN
        PERFORM small.new_user(person);
    END IF;
    INSERT INTO csm.user_roles (tenant_id, user_id, role, reach, branches)
    VALUES (small.tenant(), small.u(person), of_role, of_reach, of_branches);
END $$;
CREATE FUNCTION small.new_relationship(of_name text, partner text, customer text, of_scope text, since timestamptz DEFAULT NULL,
                                       descendants boolean DEFAULT false, of_type text DEFAULT 'partner_of') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.account_relationships (tenant_id, type, partner_account_id, customer_account_id, scope, history_from, include_descendants)
    VALUES (small.tenant(), of_type, small.a(partner), small.a(customer), of_scope, since, descendants) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('relationship', of_name, made);
    RETURN made;
END $$;
-- A case as given, without asking the machine; "keys" are further columns, by the names of the small world.
CREATE FUNCTION small.new_case(of_subject text, of_branch text, requester text, account text DEFAULT NULL,
                               keys jsonb DEFAULT '{}', of_state text DEFAULT 'open', opened timestamptz DEFAULT '2024-06-01 12:00+00')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.cases (tenant_id, branch, state, state_class, subject, requester_id, opened_by, account_id, household_id,
                           counterparty_account_id, counterparty_contact_id, partner_account_id, partner_contact_id,
                           internal_contact_id, service_organization_id, opened_at, submitted_at, updated_at)
    VALUES (small.tenant(), of_branch, of_state, of_state, of_subject, small.u(requester), small.u(coalesce(keys->>'opened_by', requester)),
            CASE WHEN account IS NOT NULL THEN small.a(account) END,
            CASE WHEN keys ? 'household' THEN small.h(keys->>'household') END,
            CASE WHEN keys ? 'counterparty' THEN small.a(keys->>'counterparty') END,
            CASE WHEN keys ? 'counterparty_contact' THEN small.k(keys->>'counterparty_contact') END,
            CASE WHEN keys ? 'partner' THEN small.a(keys->>'partner') END,
            CASE WHEN keys ? 'partner_contact' THEN small.k(keys->>'partner_contact') END,
            CASE WHEN keys ? 'internal_contact' THEN small.u(keys->>'internal_contact') END,
            CASE WHEN keys ? 'organization' THEN small.o(keys->>'organization') END,
            opened, CASE WHEN of_state <> 'draft' THEN opened END, opened)
    RETURNING id INTO made;
    PERFORM set_config('csm.importing', 'off', true);
    INSERT INTO small.named VALUES ('case', of_subject, made);
    RETURN made;
END $$;
CREATE FUNCTION small.new_household(of_name text, head text, VARIADIC members text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.households (tenant_id, name, head_user_id)
    VALUES (small.tenant(), of_name, small.u(head)) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('household', of_name, made);
    INSERT INTO csm.household_members (tenant_id, household_id, user_id)
    SELECT small.tenant(), made, small.u(m) FROM unnest(members) m;
    RETURN made;
END $$;
CREATE FUNCTION small.new_organization(of_name text, parent text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.service_organizations (tenant_id, name, parent_id)
    VALUES (small.tenant(), of_name, CASE WHEN parent IS NOT NULL THEN small.o(parent) END) RETURNING id INTO made;
    INSERT INTO small.named VALUES ('organization', of_name, made);
    RETURN made;
END $$;

DO $$
BEGIN
    PERFORM csm.create_tenant('small', 'Small world', 'admin@small.example');
    PERFORM csm.create_tenant('foreign', 'Foreign world', 'admin@foreign.example');

    PERFORM small.new_account('holding'), small.new_account('acme', 'holding'), small.new_account('north', 'acme'),
            small.new_account('plant', 'north'), small.new_account('south', 'acme'),
            small.new_account('globex'), small.new_account('initech'), small.new_account('umbrella'),
            small.new_account('paragon', NULL, true), small.new_account('broker', NULL, true);

    -- Contacts: one of each role where the rules differ.
    PERFORM small.new_contact('holding contact', 'holding', 'customer'),
            small.new_contact('holding reader', 'holding', 'case_reader'),
            small.new_contact('holding manager', 'holding', 'case_manager'),
            small.new_contact('acme admin', 'acme', 'customer_admin'),
            small.new_contact('acme contact', 'acme', 'customer'),
            small.new_contact('north contact', 'north', 'customer'),
            small.new_contact('north colleague', 'north', 'customer'),
            small.new_contact('north reader', 'north', 'case_reader'),
            small.new_contact('north manager', 'north', 'case_manager'),
            small.new_contact('north admin', 'north', 'customer_admin'),
            small.new_contact('plant contact', 'plant', 'customer'),
            small.new_contact('plant manager', 'plant', 'case_manager'),
            small.new_contact('south contact', 'south', 'customer'),
            small.new_contact('south admin', 'south', 'customer_admin'),
            small.new_contact('globex manager', 'globex', 'case_manager'),
            small.new_contact('globex reader', 'globex', 'case_reader'),
            small.new_contact('globex contact', 'globex', 'customer'),
            small.new_contact('globex lawyer', 'globex', 'customer'),
            small.new_contact('initech contact', 'initech', 'customer'),
            small.new_contact('umbrella admin', 'umbrella', 'customer_admin'),
            small.new_contact('paragon partner', 'paragon', 'partner'),
            small.new_contact('paragon admin', 'paragon', 'partner_admin'),
            small.new_contact('paragon contact', 'paragon', 'customer'),
            small.new_contact('broker admin', 'broker', 'partner_admin');

    -- paragon looks after north (named) and umbrella with all below (all, from 2024 on).
    PERFORM small.new_relationship('paragon-north', 'paragon', 'north', 'named'),
            small.new_relationship('paragon-umbrella', 'paragon', 'umbrella', 'all', '2024-01-01 00:00+00'),
            small.new_relationship('broker-holding', 'broker', 'holding', 'all', NULL, true),
            small.new_relationship('north-globex', 'north', 'globex', 'named', NULL, false, 'trades_with'),
            small.new_relationship('north-initech', 'north', 'initech', 'named', NULL, false, 'trades_with');

    -- People without account.
    PERFORM small.new_user('mother'), small.new_user('son'), small.new_user('daughter'), small.new_user('lodger'),
            small.new_user('guardian'), small.new_user('ward'), small.new_user('stranger'), small.new_user('student'),
            small.new_user('employee'), small.new_user('colleague'), small.new_user('all three');
    INSERT INTO csm.consumers (tenant_id, user_id)
    SELECT small.tenant(), small.u(n) FROM unnest('{mother,son,daughter,lodger,ward,stranger,all three}'::text[]) n;
    INSERT INTO csm.employees (tenant_id, user_id)
    SELECT small.tenant(), small.u(n) FROM unnest('{employee,colleague,all three}'::text[]) n;
    PERFORM small.new_contact('all three', 'south', 'customer');
    PERFORM small.new_household('family', 'mother', 'mother', 'son', 'daughter', 'lodger');
    INSERT INTO csm.representations (tenant_id, representative_id, represented_id, household_id) VALUES
        (small.tenant(), small.u('daughter'), small.u('son'), small.h('family')),
        (small.tenant(), small.u('guardian'), small.u('ward'), NULL);

    -- Staff.
    PERFORM small.new_organization('region'), small.new_organization('city', 'region'), small.new_organization('shop', 'city'),
            small.new_organization('village', 'region');
    PERFORM small.new_staff('b2b agent', 'agent'), small.new_staff('consumer agent', 'consumer_agent'),
            small.new_staff('desk manager', 'manager'), small.new_staff('viewer', 'viewer'),
            small.new_staff('account team', 'relationship_agent'), small.new_staff('person team', 'relationship_agent'),
            small.new_staff('household team', 'relationship_agent'), small.new_staff('region agent', 'location_agent'),
            small.new_staff('shop agent', 'location_agent'), small.new_staff('contributor', 'contributor'),
            small.new_staff('proxy', 'proxy'), small.new_staff('desk admin', 'admin');
    INSERT INTO csm.account_team (tenant_id, member_id, account_id, user_id, household_id) VALUES
        (small.tenant(), small.u('account team'), small.a('north'), NULL, NULL),
        (small.tenant(), small.u('person team'), NULL, small.u('ward'), NULL),
        (small.tenant(), small.u('household team'), NULL, NULL, small.h('family'));
    INSERT INTO csm.service_organization_members (tenant_id, service_organization_id, user_id, excluded) VALUES
        (small.tenant(), small.o('region'), small.u('region agent'), ARRAY[small.o('city')]),
        (small.tenant(), small.o('shop'), small.u('shop agent'), '{}');

    -- Cases.
    PERFORM small.new_case('holding: audit', 'b2b', 'holding contact', 'holding'),
            small.new_case('acme: invoice', 'b2b', 'acme contact', 'acme'),
            small.new_case('north: pump', 'b2b', 'north contact', 'north'),
            small.new_case('north: valve', 'b2b', 'north colleague', 'north'),
            small.new_case('north: on behalf', 'b2b', 'north colleague', 'north', '{"opened_by": "north manager"}'),
            small.new_case('north: with paragon', 'b2b', 'north contact', 'north', '{"partner": "paragon"}'),
            small.new_case('north: with partner', 'b2b', 'north contact', 'north',
                           '{"partner": "paragon", "partner_contact": "paragon partner at paragon"}'),
            small.new_case('plant: leak', 'b2b', 'plant contact', 'plant'),
            small.new_case('south: delivery', 'b2b', 'south contact', 'south'),
            small.new_case('south: of all three', 'b2b', 'all three', 'south'),
            small.new_case('umbrella: old', 'b2b', 'umbrella admin', 'umbrella', '{}', 'open', '2023-06-01 12:00+00'),
            small.new_case('umbrella: new', 'b2b', 'umbrella admin', 'umbrella'),
            small.new_case('north: opened by paragon', 'b2b', 'paragon partner', 'north'),
            small.new_case('dispute: globex', 'b2b', 'north manager', 'north', '{"counterparty": "globex"}'),
            small.new_case('dispute: draft', 'b2b', 'north manager', 'north',
                           '{"counterparty": "globex", "counterparty_contact": "globex lawyer at globex"}', 'draft'),
            small.new_case('dispute: named', 'b2b', 'north manager', 'north',
                           '{"counterparty": "globex", "counterparty_contact": "globex lawyer at globex"}'),
            small.new_case('dispute: initech', 'b2b', 'north manager', 'north', '{"counterparty": "initech"}'),
            small.new_case('son: phone', 'b2c', 'son'),
            small.new_case('mother: card', 'b2c', 'mother'),
            small.new_case('lodger: parcel', 'b2c', 'lodger'),
            small.new_case('family: meter', 'b2c', 'stranger', NULL, '{"household": "family"}'),
            small.new_case('son: badge', 'internal', 'son'),
            small.new_case('ward: bill', 'b2c', 'ward'),
            small.new_case('ward: badge', 'internal', 'ward'),
            small.new_case('stranger: refund', 'b2c', 'stranger'),
            small.new_case('three: own', 'b2c', 'all three'),
            small.new_case('three: laptop', 'internal', 'all three'),
            small.new_case('employee: laptop', 'internal', 'employee'),
            small.new_case('student: password', 'internal', 'student'),
            small.new_case('region: hall', 'b2c', 'stranger', NULL, '{"organization": "region"}'),
            small.new_case('city: counter', 'b2c', 'stranger', NULL, '{"organization": "city"}'),
            small.new_case('shop: till', 'b2c', 'stranger', NULL, '{"organization": "shop"}'),
            small.new_case('village: kiosk', 'b2c', 'stranger', NULL, '{"organization": "village"}'),
            small.new_case('acme: by proxy', 'b2b', 'acme contact', 'acme', '{"internal_contact": "proxy"}'),
            small.new_case('acme: contributed', 'b2b', 'acme contact', 'acme', '{"opened_by": "contributor"}');
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_name, visibility, side, body)
    SELECT small.tenant(), n.id, 'b2b', 'Somebody', v.visibility, v.side, v.visibility || ' ' || v.side
    FROM small.named n
    CROSS JOIN (VALUES ('shared', 'customer'), ('internal', 'operator'), ('private', 'customer'), ('private', 'counterparty')) v(visibility, side)
    WHERE n.kind = 'case' AND n.name IN ('north: pump', 'dispute: globex');
    PERFORM set_config('csm.importing', 'off', true);
END $$;
