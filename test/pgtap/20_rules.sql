-- V1 to V15 by name, each with an allow and a deny that differ in one thing; and the acceptance truths of the reference
-- (T...) that these rows can show. Everything is asked through a real SELECT as csm_portal or csm_agent.
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.allow(descr text, person text, subject text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$ SELECT ok(small.sees(person, subject, role_name, persona), descr) $$;
CREATE FUNCTION pg_temp.deny(descr text, person text, subject text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$ SELECT ok(NOT small.sees(person, subject, role_name, persona), descr) $$;
CREATE FUNCTION pg_temp.answers(descr text, expected text, person text, role_name text, statement text, persona text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$ SELECT is(small.run(small.u(person), role_name, statement, persona), expected, descr) $$;
CREATE FUNCTION pg_temp.acts(descr text, expected text, person text, subject text, role_name text DEFAULT 'csm_portal')
RETURNS text LANGUAGE sql AS $$ SELECT is(small.acts(person, subject, role_name), expected, descr) $$;

-- V1: the subtree, to any depth.
SELECT pg_temp.allow('V1 case manager of the top sees the account itself', 'holding manager', 'holding: audit');
SELECT pg_temp.allow('V1 case manager of the top sees three levels below', 'holding manager', 'plant: leak');
SELECT pg_temp.allow('V1 customer admin sees a grandchild', 'acme admin', 'plant: leak');
SELECT pg_temp.deny('V1 plain contact of the parent does not', 'acme contact', 'north: pump');
SELECT pg_temp.deny('V1 case reader of the parent does not: his reach is the account', 'holding reader', 'acme: invoice');
SELECT pg_temp.acts('V1 case manager comments and decides below', 'cd', 'holding manager', 'plant: leak');
SELECT pg_temp.acts('V1 nothing of a case he does not see', NULL, 'acme contact', 'north: pump');

-- V2: not upwards, not sideways.
SELECT pg_temp.allow('V2 manager of the child sees the child', 'plant manager', 'plant: leak');
SELECT pg_temp.deny('V2 manager of the child does not see the parent', 'plant manager', 'north: pump');
SELECT pg_temp.deny('V2 manager of the child does not see the top', 'north manager', 'holding: audit');
SELECT pg_temp.deny('V2 admin of a sibling does not see it', 'south admin', 'north: pump');
SELECT pg_temp.allow('V2 admin of the sibling sees his own', 'south admin', 'south: delivery');

-- V3: colleagues.
SELECT pg_temp.allow('V3 a role that reads the account sees the colleague''s case', 'north reader', 'north: pump');
SELECT pg_temp.deny('V3 a plain contact does not see the colleague''s case', 'north colleague', 'north: pump');
SELECT pg_temp.acts('V3 who may read the account may no more than that', '', 'north reader', 'north: pump');

-- V4: own, through the persona.
SELECT pg_temp.allow('V4 requester sees his b2b case as contact of the account', 'north contact', 'north: pump');
SELECT pg_temp.allow('V4 consumer sees his b2c case', 'stranger', 'stranger: refund');
SELECT pg_temp.allow('V4 anybody sees his internal case, a student without any persona row too', 'student', 'student: password');
SELECT pg_temp.allow('V4 contact of a partner currently related sees what he opened', 'paragon partner', 'north: opened by paragon');
SELECT pg_temp.acts('V4 own cases can be commented and decided', 'cd', 'student', 'student: password');
SELECT pg_temp.deny('V4 another person''s internal case', 'colleague', 'employee: laptop');
BEGIN;
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.k('north contact at north');
SELECT pg_temp.deny('V4 b2b case of a contact whose membership ended', 'north contact', 'north: pump');
ROLLBACK;
BEGIN;
DELETE FROM csm.consumers WHERE user_id = small.u('stranger');
SELECT pg_temp.deny('V4 b2c case of somebody who is no consumer any more', 'stranger', 'stranger: refund');
ROLLBACK;
BEGIN;
UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('paragon-north');
SELECT pg_temp.deny('V4 partner''s own case once the relationship is over', 'paragon partner', 'north: opened by paragon');
ROLLBACK;
BEGIN;
DELETE FROM csm.role_permissions WHERE role = 'case_manager' AND action = 'case_create' AND tenant_id = small.tenant();
SELECT pg_temp.allow('V4 losing only the right to create hides nothing', 'north manager', 'north: on behalf');
ROLLBACK;

-- V5: partners.
SELECT pg_temp.allow('V5 named: partner admin sees the case that names his account', 'paragon admin', 'north: with paragon');
SELECT pg_temp.deny('V5 named: and not the one that does not', 'paragon admin', 'north: pump');
SELECT pg_temp.allow('V5 partner sees the case that names him', 'paragon partner', 'north: with partner');
SELECT pg_temp.deny('V5 partner does not see the case that names his account only', 'paragon partner', 'north: with paragon');
SELECT pg_temp.deny('V5 a plain contact of the partner sees neither', 'paragon contact', 'north: with paragon');
SELECT pg_temp.allow('V5 all: partner admin sees every case from history_from on', 'paragon admin', 'umbrella: new');
SELECT pg_temp.deny('V5 all: and none from before', 'paragon admin', 'umbrella: old');
SELECT pg_temp.allow('V5 include_descendants: four levels down', 'broker admin', 'plant: leak');
SELECT pg_temp.allow('V5 include_descendants: the customer itself', 'broker admin', 'holding: audit');
BEGIN;
UPDATE csm.account_relationships SET include_descendants = false WHERE id = small.r('broker-holding');
SELECT pg_temp.deny('V5 without include_descendants not', 'broker admin', 'plant: leak');
SELECT pg_temp.allow('V5 without include_descendants the customer itself stays', 'broker admin', 'holding: audit');
ROLLBACK;
BEGIN;
UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.r('paragon-umbrella');
SELECT pg_temp.deny('V5 expiry of the relationship ends it', 'paragon admin', 'umbrella: new');
ROLLBACK;
BEGIN;
DELETE FROM csm.account_relationships WHERE id = small.r('broker-holding');
SELECT pg_temp.deny('V5 ending the relationship ends it', 'broker admin', 'holding: audit');
ROLLBACK;
BEGIN;
UPDATE csm.account_relationships SET history_from = NULL WHERE id = small.r('paragon-umbrella');
SELECT pg_temp.allow('V5 all: without history_from the whole history', 'paragon admin', 'umbrella: old');
ROLLBACK;
BEGIN;
SELECT small.new_relationship('broker-paragon', 'broker', 'paragon', 'all') IS NULL \g /dev/null
SELECT pg_temp.deny('V5 a partner of the partner reaches no further', 'broker admin', 'umbrella: new');
ROLLBACK;

-- V6: households and representatives.
SELECT pg_temp.allow('V6 head of household sees a current member''s case', 'mother', 'son: phone');
SELECT pg_temp.allow('V6 head of household sees the household''s case', 'mother', 'family: meter');
SELECT pg_temp.deny('V6 head of household does not see a member''s internal case', 'mother', 'son: badge');
SELECT pg_temp.deny('V6 plain member sees only his own', 'son', 'mother: card');
SELECT pg_temp.deny('V6 plain member does not see the household''s case', 'son', 'family: meter');
SELECT pg_temp.allow('V6 representative within the household', 'daughter', 'son: phone');
SELECT pg_temp.deny('V6 representative of one member, not of the next', 'daughter', 'lodger: parcel');
SELECT pg_temp.allow('V6 representative outside households', 'guardian', 'ward: bill');
SELECT pg_temp.deny('V6 representative: b2c only', 'guardian', 'ward: badge');
SELECT pg_temp.acts('V6 representative acts in the person''s place', 'cd', 'guardian', 'ward: bill');
BEGIN;
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('son');
SELECT pg_temp.deny('V6 member who left: head', 'mother', 'son: phone');
SELECT pg_temp.deny('V6 member who left: representative within the household', 'daughter', 'son: phone');
SELECT pg_temp.allow('V6 member who left keeps his own', 'son', 'son: phone');
ROLLBACK;
BEGIN;
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('daughter');
SELECT pg_temp.deny('V6 representative who left', 'daughter', 'son: phone');
ROLLBACK;
BEGIN;
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('mother');
SELECT pg_temp.deny('V6 head who left the household', 'mother', 'son: phone');
ROLLBACK;

-- V7: shares.
SELECT pg_temp.deny('V7 outsider before the share', 'stranger', 'north: pump');
BEGIN;
INSERT INTO csm.case_parties (tenant_id, case_id, user_id, capabilities)
VALUES (small.tenant(), small.c('north: pump'), small.u('stranger'), '{case_read,case_comment}');
SELECT pg_temp.allow('V7 party sees that case', 'stranger', 'north: pump');
SELECT pg_temp.deny('V7 party sees no sibling case', 'stranger', 'north: valve');
SELECT pg_temp.acts('V7 party may what the share says', 'c', 'stranger', 'north: pump');
SELECT pg_temp.answers('V7 party reads shared entries, neither work notes nor a side''s own', 'shared', 'stranger', 'csm_portal',
    format('SELECT string_agg(visibility, '','' ORDER BY visibility) FROM csm.case_entries WHERE case_id = %s AND (visibility <> ''private'' OR side = ''counterparty'')', small.c('north: pump')));
UPDATE csm.case_parties SET valid_during = tstzrange(NULL, clock_timestamp());
SELECT pg_temp.deny('V7 party after the share has ended', 'stranger', 'north: pump');
ROLLBACK;
BEGIN;
INSERT INTO csm.case_parties (tenant_id, case_id, account_id) VALUES (small.tenant(), small.c('north: pump'), small.a('initech'));
SELECT pg_temp.allow('V7 share with an account: its contact', 'initech contact', 'north: pump');
SELECT pg_temp.deny('V7 share with an account: nobody else', 'globex manager', 'north: pump');
ROLLBACK;

-- V8: the counterparty.
SELECT pg_temp.allow('V8 manager of the counterparty sees a submitted dispute', 'globex manager', 'dispute: globex');
SELECT pg_temp.deny('V8 and nothing of a draft', 'globex manager', 'dispute: draft');
SELECT pg_temp.allow('V8 a reader of the counterparty reads', 'globex reader', 'dispute: globex');
SELECT pg_temp.acts('V8 and does no more', '', 'globex reader', 'dispute: globex');
SELECT pg_temp.acts('V8 the manager comments and decides', 'cd', 'globex manager', 'dispute: globex');
SELECT pg_temp.deny('V8 a plain contact does not, where the account is managed', 'globex contact', 'dispute: globex');
SELECT pg_temp.allow('V8 the named contact always', 'globex lawyer', 'dispute: named');
SELECT pg_temp.deny('V8 not before submission', 'globex lawyer', 'dispute: draft');
SELECT pg_temp.allow('V8 every contact, where the account has neither manager nor admin', 'initech contact', 'dispute: initech');
SELECT pg_temp.allow('V8 the claimant sees his draft', 'north manager', 'dispute: draft');
SELECT pg_temp.deny('V8 a third account sees nothing', 'umbrella admin', 'dispute: globex');
SELECT pg_temp.answers('V8 of the other side''s account nothing but the id in the case', '0', 'globex manager', 'csm_portal',
    format('SELECT count(*) FROM csm.accounts WHERE id = %s', small.a('north')));
SELECT pg_temp.answers('V8 one side''s private entries stay with it: counterparty', 'counterparty', 'globex manager', 'csm_portal',
    format('SELECT string_agg(side, '','') FROM csm.case_entries WHERE visibility = ''private'' AND case_id = %s', small.c('dispute: globex')));
SELECT pg_temp.answers('V8 one side''s private entries stay with it: claimant', 'customer', 'north manager', 'csm_portal',
    format('SELECT string_agg(side, '','') FROM csm.case_entries WHERE visibility = ''private'' AND case_id = %s', small.c('dispute: globex')));

-- V9: staff.
SELECT pg_temp.allow('V9 agent sees b2b', 'b2b agent', 'north: pump', 'csm_agent');
SELECT pg_temp.deny('V9 agent does not see b2c', 'b2b agent', 'stranger: refund', 'csm_agent');
SELECT pg_temp.allow('V9 consumer agent sees b2c', 'consumer agent', 'stranger: refund', 'csm_agent');
SELECT pg_temp.deny('V9 consumer agent does not see internal', 'consumer agent', 'employee: laptop', 'csm_agent');
SELECT pg_temp.allow('V9 manager sees all branches', 'desk manager', 'employee: laptop', 'csm_agent');
SELECT pg_temp.deny('V9 not through the portal', 'desk manager', 'employee: laptop', 'csm_portal');
SELECT pg_temp.allow('V9 reporting is on the side of staff', 'viewer', 'employee: laptop', 'csm_reporter');
SELECT pg_temp.allow('V9 team of an account', 'account team', 'north: pump', 'csm_agent');
SELECT pg_temp.deny('V9 team of an account: not its child', 'account team', 'plant: leak', 'csm_agent');
SELECT pg_temp.allow('V9 team of a person', 'person team', 'ward: bill', 'csm_agent');
SELECT pg_temp.deny('V9 team of a person: consumer cases only', 'person team', 'ward: badge', 'csm_agent');
SELECT pg_temp.allow('V9 team of a household: its case', 'household team', 'family: meter', 'csm_agent');
SELECT pg_temp.allow('V9 team of a household: a current member''s case', 'household team', 'lodger: parcel', 'csm_agent');
SELECT pg_temp.deny('V9 team of a household: nobody else''s', 'household team', 'stranger: refund', 'csm_agent');
SELECT pg_temp.allow('V9 organisation: the one he belongs to', 'region agent', 'region: hall', 'csm_agent');
SELECT pg_temp.allow('V9 organisation: what lies below', 'region agent', 'village: kiosk', 'csm_agent');
SELECT pg_temp.deny('V9 organisation: less what is excluded', 'region agent', 'city: counter', 'csm_agent');
SELECT pg_temp.deny('V9 organisation: with everything below it', 'region agent', 'shop: till', 'csm_agent');
SELECT pg_temp.deny('V9 organisation: not above', 'shop agent', 'city: counter', 'csm_agent');
SELECT pg_temp.allow('V9 proxy sees the case with him as internal contact', 'proxy', 'acme: by proxy', 'csm_agent');
SELECT pg_temp.deny('V9 proxy sees no other', 'proxy', 'acme: invoice', 'csm_agent');
SELECT pg_temp.allow('V9 contributor follows what he opened', 'contributor', 'acme: contributed', 'csm_agent');
SELECT pg_temp.deny('V9 contributor sees no other', 'contributor', 'acme: by proxy', 'csm_agent');
SELECT pg_temp.acts('V9 agent comments and works, and never decides for the customer', 'cw', 'b2b agent', 'north: pump', 'csm_agent');
SELECT pg_temp.acts('V9 viewer only reads', '', 'viewer', 'north: pump', 'csm_agent');
SELECT pg_temp.deny('V9 administrator of the desk reads no case', 'desk admin', 'north: pump', 'csm_admin');
SELECT pg_temp.answers('V9 work notes are for those who work', 'internal', 'b2b agent', 'csm_agent',
    format('SELECT visibility FROM csm.case_entries WHERE visibility = ''internal'' AND case_id = %s', small.c('north: pump')));
SELECT pg_temp.answers('V9 work notes are not for viewers', NULL, 'viewer', 'csm_agent',
    format('SELECT visibility FROM csm.case_entries WHERE visibility = ''internal'' AND case_id = %s', small.c('north: pump')));
BEGIN;
UPDATE csm.user_roles SET branches = '{internal}' WHERE user_id = small.u('viewer');
SELECT pg_temp.deny('V9 an assignment narrows the branches of its role', 'viewer', 'north: pump', 'csm_agent');
SELECT pg_temp.allow('V9 and keeps the rest', 'viewer', 'employee: laptop', 'csm_agent');
ROLLBACK;

-- V10: with the next statement, within one open transaction. (Other sessions: isolation tests.)
BEGIN;
SELECT pg_temp.allow('V10 before anything ends', 'north manager', 'plant: leak');
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.k('north manager at north');
SELECT pg_temp.deny('V10 membership ended', 'north manager', 'plant: leak');
UPDATE csm.contacts SET valid_during = NULL WHERE id = small.k('north manager at north');
SELECT pg_temp.allow('V10 membership given back', 'north manager', 'plant: leak');
UPDATE csm.contacts SET login_enabled = false WHERE id = small.k('north manager at north');
SELECT pg_temp.deny('V10 login of the contact disabled', 'north manager', 'plant: leak');
UPDATE csm.contacts SET login_enabled = true WHERE id = small.k('north manager at north');
UPDATE csm.users SET enabled = false WHERE id = small.u('north manager');
SELECT pg_temp.deny('V10 person disabled', 'north manager', 'plant: leak');
UPDATE csm.users SET enabled = true WHERE id = small.u('north manager');
UPDATE csm.accounts SET parent_id = small.a('south') WHERE id = small.a('plant');
SELECT pg_temp.deny('V10 subtree moved away', 'north manager', 'plant: leak');
SELECT pg_temp.allow('V10 subtree moved here', 'south admin', 'plant: leak');
UPDATE csm.role_permissions SET reach = 'account' WHERE role = 'customer_admin' AND action = 'case_read' AND tenant_id = small.tenant();
SELECT pg_temp.deny('V10 role changed', 'south admin', 'plant: leak');
UPDATE csm.tenants SET enabled = false WHERE id = small.tenant();
SELECT pg_temp.deny('V10 tenant disabled', 'acme admin', 'acme: invoice');
ROLLBACK;
BEGIN;
SAVEPOINT s;
UPDATE csm.users SET enabled = false WHERE id = small.u('north manager');
SELECT pg_temp.deny('V10 disabled within a savepoint', 'north manager', 'plant: leak');
ROLLBACK TO s;
SELECT pg_temp.allow('V10 and back with ROLLBACK TO', 'north manager', 'plant: leak');
ROLLBACK;
SELECT pg_temp.allow('V10 nothing of the above stays', 'north manager', 'plant: leak');
-- Expiry needs no write: the same session, the same map, a later statement.
BEGIN;
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp() + interval '700 ms') WHERE id = small.k('north manager at north');
SELECT pg_temp.allow('V10 shortly before the end', 'north manager', 'plant: leak');
SELECT pg_sleep(0.9) \g /dev/null
SELECT pg_temp.deny('V10 after the end, without any write', 'north manager', 'plant: leak');
UPDATE csm.contacts SET valid_during = tstzrange(clock_timestamp() + interval '700 ms', NULL) WHERE id = small.k('north manager at north');
SELECT pg_temp.deny('V10 shortly before the beginning', 'north manager', 'plant: leak');
SELECT pg_sleep(0.9) \g /dev/null
SELECT pg_temp.allow('V10 after the beginning, without any write', 'north manager', 'plant: leak');
ROLLBACK;

-- V11: names come with the case.
SELECT pg_temp.answers('V11 names on a visible case', 'true', 'globex manager', 'csm_portal',
    format('SELECT bool_or(display_name = ''north manager'')::text FROM csm.case_people(%s)', small.c('dispute: globex')));
SELECT pg_temp.answers('V11 and not from another''s row in users', '0', 'globex manager', 'csm_portal',
    format('SELECT count(*) FROM csm.users WHERE id = %s', small.u('north manager')));
SELECT is(small.run(small.u('umbrella admin'), 'csm_portal', format('SELECT count(*) FROM csm.case_people(%s)', small.c('dispute: globex'))),
          small.run(small.u('umbrella admin'), 'csm_portal', 'SELECT count(*) FROM csm.case_people(999999999)'),
          'V11 a hidden case has as few people as a missing one');

-- V12: the tree begins where sight begins.
SELECT pg_temp.answers('V12 tree of a manager in the middle begins at his account', 'north,plant', 'north manager', 'csm_portal',
    'SELECT string_agg(name, '','' ORDER BY name) FROM csm.accounts');
SELECT pg_temp.answers('V12 account_tree shows no ancestor', 'false', 'north manager', 'csm_portal',
    'SELECT coalesce(bool_or(t::text ~ ''acme|holding''), false)::text FROM csm.account_tree() t');
SELECT pg_temp.answers('V12 account_tree shows what lies below', 'true', 'north manager', 'csm_portal',
    'SELECT bool_or(t::text ~ ''plant'')::text FROM csm.account_tree() t');

-- V13: the wall between tenants.
SELECT is_empty($$
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'csm' AND c.relkind IN ('r', 'p')
      AND NOT EXISTS (SELECT FROM pg_policy p
                      WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd = '*'
                        AND pg_get_expr(p.polqual, c.oid) IN
                            ('(tenant_id = csm.current_tenant_id())', '(id = csm.current_tenant_id())')) $$,
    'V13 every table has the restrictive tenant policy, as a plain equality');
DO $$
DECLARE
    far bigint := small.tenant('foreign');
    person bigint;
BEGIN
    INSERT INTO csm.users (tenant_id, display_name) VALUES (far, 'far manager') RETURNING id INTO person;
    INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (far, person, 'manager'), (far, person, 'admin');
    INSERT INTO small.named VALUES ('user', 'far manager', person);
END $$;
SELECT pg_temp.deny('V13 a manager of all sees nothing of the other tenant', 'far manager', 'north: pump', 'csm_agent');
SELECT pg_temp.allow('V13 where the manager of this tenant does', 'desk manager', 'north: pump', 'csm_agent');
SELECT pg_temp.answers('V13 not even a mistake in a permissive policy crosses', '0', 'far manager', 'csm_agent',
    'SELECT count(*) FROM csm.cases');
BEGIN;
CREATE POLICY mistake ON csm.cases FOR SELECT TO csm_agent USING (true);
SELECT pg_temp.answers('V13 with a permissive policy that admits everything', '0', 'far manager', 'csm_agent',
    'SELECT count(*) FROM csm.cases');
ROLLBACK;

-- V14: nobody.
CREATE FUNCTION pg_temp.rows_of_nobody(who bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    t record;
    answer text;
BEGIN
    FOR t IN SELECT c.relname, r.role
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             CROSS JOIN unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r(role)
             WHERE n.nspname = 'csm' AND c.relkind IN ('r', 'p', 'v') AND has_any_column_privilege(r.role, c.oid, 'SELECT')
    LOOP
        answer := small.run(who, t.role, format('SELECT count(tenant_id) FROM csm.%I', t.relname));
        IF answer ^@ 'ERROR 42703' THEN
            answer := small.run(who, t.role, format('SELECT count(id) FROM csm.%I', t.relname));
        END IF;
        IF answer IS DISTINCT FROM '0' THEN
            RETURN NEXT format('%s as %s: %s', t.relname, t.role, answer);
        END IF;
    END LOOP;
END $$;
SELECT is_empty('SELECT pg_temp.rows_of_nobody(NULL)', 'V14 nobody: zero rows and no error on every table, for every role');
SELECT is_empty('SELECT pg_temp.rows_of_nobody(999999999)', 'V14 an unknown person is nobody');
SELECT is_empty(format('SELECT pg_temp.rows_of_nobody(%s)', (SELECT small.new_user('disabled', false))), 'V14 a disabled person is nobody');
SELECT isnt(small.run(small.u('student'), 'csm_portal', 'SELECT count(*) FROM csm.users'), '0', 'V14 where somebody gets rows');

-- V15: hidden and missing alike.
CREATE FUNCTION pg_temp.alike(person text, role_name text, template text, hidden bigint) RETURNS text LANGUAGE sql AS $$
    SELECT is(replace(small.run(small.u(person), role_name, format(template, hidden)), hidden::text, '#'),
              replace(small.run(small.u(person), role_name, format(template, 999999999)), '999999999', '#'),
              'V15 alike for hidden and missing: ' || regexp_replace(template, '\s+', ' ', 'g'))
$$;
SELECT pg_temp.alike('stranger', 'csm_portal', t, small.c('north: pump')) FROM unnest(ARRAY[
    'SELECT csm.comment(%s, ''hello'')', 'SELECT csm.act(%s, ''close'')', 'SELECT count(*) FROM csm.actions(%s)',
    'SELECT count(*) FROM csm.case_people(%s)', 'SELECT count(*) FROM csm.who_can_see(%s)',
    'SELECT count(*) FROM csm.explain_access(csm.current_user_id(), %s)',
    'INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''hello'')',
    'SELECT count(*) FROM csm.case_entries WHERE case_id = %s']) t;
SELECT pg_temp.alike('stranger', 'csm_portal', t, small.a('north')) FROM unnest(ARRAY[
    'INSERT INTO csm.cases (subject, account_id) VALUES (''s'', %s)',
    'SELECT csm.open_case(''s'', account_id => %s)',
    'SELECT csm.open_case(''s'', counterparty_account_id => %s)',
    'INSERT INTO csm.cases (subject, partner_account_id) VALUES (''s'', %s)',
    'SELECT count(*) FROM csm.account_tree(%s)']) t;
SELECT pg_temp.alike('north contact', 'csm_portal', t, small.a('umbrella')) FROM unnest(ARRAY[
    'INSERT INTO csm.cases (subject, account_id) VALUES (''s'', %s)',
    'INSERT INTO csm.cases (subject, counterparty_account_id) VALUES (''s'', %s)',
    'INSERT INTO csm.cases (subject, partner_account_id) VALUES (''s'', %s)']) t;
SELECT pg_temp.alike('stranger', 'csm_portal', t, small.u('north contact')) FROM unnest(ARRAY[
    'INSERT INTO csm.cases (subject, requester_id) VALUES (''s'', %s)',
    'SELECT csm.open_case(''s'', requester_id => %s)',
    'SELECT count(*) FROM csm.users WHERE id = %s']) t;
SELECT is(left(small.run(small.u('stranger'), 'csm_portal', format('SELECT csm.comment(%s, ''x'')', small.c('north: pump'))), 11),
          'ERROR SM001', 'SM001 a hidden case is no such case');
SELECT is(left(small.run(small.u('stranger'), 'csm_portal', format('INSERT INTO csm.cases (subject, account_id) VALUES (''s'', %s)', small.a('north'))), 11),
          'ERROR 42501', 'V15 a reference that one may not make is 42501');

-- T1
SELECT pg_temp.deny('T1 K2 does not see the case of K1', 'north colleague', 'north: pump');
SELECT pg_temp.allow('T1 the admin of the account does', 'north admin', 'north: pump');
SELECT pg_temp.allow('T1 the admin of the parent does', 'acme admin', 'north: pump');
SELECT pg_temp.deny('T1 the contact of the parent does not', 'acme contact', 'north: pump');
SELECT pg_temp.deny('T1 the manager of the child does not', 'plant manager', 'north: pump');
SELECT pg_temp.deny('T1 the admin of a sibling does not', 'south admin', 'north: pump');

-- T2
BEGIN;
UPDATE csm.accounts SET parent_id = small.a('globex') WHERE id = small.a('north');
SELECT pg_temp.deny('T2 after a move the old ancestors lose', 'acme admin', 'north: pump');
SELECT pg_temp.deny('T2 after a move the old ancestors lose the whole subtree', 'holding manager', 'plant: leak');
SELECT pg_temp.allow('T2 the new ancestor gains', 'globex manager', 'north: pump');
SELECT pg_temp.allow('T2 the new ancestor gains the whole subtree', 'globex manager', 'plant: leak');
SELECT throws_ok(format('UPDATE csm.accounts SET parent_id = %s WHERE id = %s', small.a('plant'), small.a('globex')),
                 'SM005', NULL, 'T2 a cycle is refused');
ROLLBACK;

-- T4
SELECT pg_temp.allow('T4 on behalf: the one for whom it is sees it', 'north colleague', 'north: on behalf');
SELECT pg_temp.allow('T4 on behalf: the one who opened it sees it', 'north manager', 'north: on behalf');
BEGIN;
UPDATE csm.contacts SET role = 'customer' WHERE id = small.k('north manager at north');
SELECT pg_temp.allow('T4 his right to create is gone, what he opened stays', 'north manager', 'north: on behalf');
SELECT pg_temp.deny('T4 and nothing more', 'north manager', 'north: pump');
ROLLBACK;

-- T5
BEGIN;
SELECT pg_temp.deny('T5 partner before he is named', 'paragon partner', 'north: pump');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET partner_account_id = small.a('paragon'), partner_contact_id = small.k('paragon partner at paragon')
WHERE id = small.c('north: pump');
SELECT pg_temp.allow('T5 partner after he is named', 'paragon partner', 'north: pump');
SELECT pg_temp.allow('T5 partner admin by the partner account', 'paragon admin', 'north: pump');
UPDATE csm.account_relationships SET scope = 'all' WHERE id = small.r('paragon-north');
SELECT pg_temp.allow('T5 scope all shows history', 'paragon admin', 'north: valve');
DELETE FROM csm.account_relationships WHERE id = small.r('paragon-north');
SELECT pg_temp.deny('T5 without the relationship: partner', 'paragon partner', 'north: pump');
SELECT pg_temp.deny('T5 without the relationship: partner admin', 'paragon admin', 'north: pump');
SELECT pg_temp.allow('T5 the case stays', 'north contact', 'north: pump');
ROLLBACK;

-- T6: a second membership, in another account.
BEGIN;
SELECT small.new_contact('south contact', 'umbrella', 'case_reader', false) IS NULL \g /dev/null
SELECT pg_temp.allow('T6 relationship at read level shows that account''s cases', 'south contact', 'umbrella: new');
SELECT pg_temp.allow('T6 beside those at home', 'south contact', 'south: delivery');
UPDATE csm.contacts SET role = 'customer' WHERE id = small.k('south contact at umbrella');
SELECT pg_temp.deny('T6 at own level it does not', 'south contact', 'umbrella: new');
ROLLBACK;

-- T7
BEGIN;
INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), small.u('student'));
SELECT pg_temp.answers('T7 a share shows exactly that case beside his own', 'north: pump,student: password', 'student', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
SELECT pg_temp.answers('T7 and no work note', '0', 'student', 'csm_portal',
    'SELECT count(*) FROM csm.case_entries WHERE visibility = ''internal''');
ROLLBACK;

-- T8
SELECT pg_temp.answers('T8 plain member sees only his own', 'son: badge,son: phone', 'son', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
SELECT pg_temp.answers('T8 head of household sees the current members'' and the household''s', 'family: meter,lodger: parcel,mother: card,son: phone',
    'mother', 'csm_portal', 'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
BEGIN;
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp());
SELECT pg_temp.answers('T8 after the end date nothing but her own', 'mother: card', 'mother', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
SELECT pg_temp.answers('T8 the representative within the household loses it', NULL, 'daughter', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
ROLLBACK;

-- T11
SELECT pg_temp.answers('T11 agent b2b reads no consumer case', 'b2b', 'b2b agent', 'csm_agent',
    'SELECT string_agg(DISTINCT branch, '','') FROM csm.cases');
SELECT pg_temp.answers('T11 relationship agent reads his team''s customers only', 'ward: bill', 'person team', 'csm_agent',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
SELECT pg_temp.answers('T11 location agent reads the subtree less the excluded', 'region: hall,village: kiosk', 'region agent', 'csm_agent',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');

-- T12
SELECT pg_temp.answers('T12 three personas of one person: union of rights', 'south: of all three,three: laptop,three: own', 'all three', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases');
SELECT pg_temp.answers('T12 as contact', 'south: of all three', 'all three', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases', 'contact:' || small.k('all three at south'));
SELECT pg_temp.answers('T12 as consumer', 'three: own', 'all three', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases', 'consumer');
SELECT pg_temp.answers('T12 as employee', 'three: laptop', 'all three', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases', 'employee');
SELECT pg_temp.answers('T12 as somebody else''s contact: nothing', NULL, 'all three', 'csm_portal',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases', 'contact:' || small.k('north manager at north'));
SELECT pg_temp.answers('T12 as staff that he is not: nothing', NULL, 'all three', 'csm_agent',
    'SELECT string_agg(subject, '','' ORDER BY subject) FROM csm.cases', 'staff:manager');
SELECT is((SELECT count(*) FROM csm.users WHERE display_name = 'all three'), 1::bigint, 'T12 one row for one person');
SELECT pg_temp.answers('T12 whoami lists the personas', 'consumer,contact:' || small.k('all three at south') || ',employee', 'all three', 'csm_portal',
    'SELECT array_to_string(personas, '','') FROM csm.whoami()');

-- T16 (that no large table is scanned: 21_differential.sql, where cases are many)
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.cases'), '0', 'T16 nobody sees no case');
SELECT is(small.run(NULL, r, 'SELECT user_id IS NULL AND personas = ''{}'' AND roles = ''{}'' AND reach = ''{}'' FROM csm.whoami()'), 'true',
          'T16 whoami answers nobody as ' || r)
FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;

-- T17: the side doors.
SELECT pg_temp.answers('T17 search does not find a hidden case', '0', 'stranger', 'csm_portal',
    'SELECT count(*) FROM csm.cases WHERE csm.contains(subject, ''pump'')');
SELECT pg_temp.answers('T17 where its reader finds it', '1', 'north contact', 'csm_portal',
    'SELECT count(*) FROM csm.cases WHERE csm.contains(subject, ''pump'')');
SELECT pg_temp.answers('T17 full-text search neither', '0', 'stranger', 'csm_portal',
    'SELECT count(*) FROM csm.cases WHERE csm.matches(search, to_tsquery(''english'', ''pump''))');
SELECT pg_temp.answers('T17 an aggregate counts visible rows only', '1', 'student', 'csm_portal',
    'SELECT count(*) || coalesce(max(NULL::text), '''') FROM csm.cases');
SELECT pg_temp.answers('T17 a function that leaks is not called on hidden rows', '1', 'student', 'csm_portal',
    'SELECT count(*) FROM csm.cases WHERE 1 / (CASE WHEN subject = ''student: password'' THEN 1 ELSE 0 END) = 1');
SELECT unalike(small.run(small.u('stranger'), 'csm_portal', format('INSERT INTO csm.cases (subject, account_id) VALUES (''s'', %s)', small.a('north'))),
               '%fkey%', 'T17 no constraint speaks of a hidden account');
SELECT unalike(small.run(small.u('stranger'), 'csm_portal', 'INSERT INTO csm.cases (subject, product_id) VALUES (''s'', 999999999)'),
               '%fkey%', 'T17 no constraint speaks of a missing product');

-- explain_access and who_can_see
SELECT pg_temp.answers('V1 explain_access names rule and role', 'V1 case_manager {case_read,case_comment,case_decide}', 'holding manager', 'csm_portal',
    format('SELECT concat_ws('' '', rule, role, actions) FROM csm.explain_access(%s, %s)', small.u('holding manager'), small.c('plant: leak')));
SELECT pg_temp.answers('V1 explain_access, asked by staff about somebody who does not see it', 'false no rule', 'b2b agent', 'csm_agent',
    format('SELECT concat_ws('' '', granted::text, rule) FROM csm.explain_access(%s, %s)', small.u('acme contact'), small.c('plant: leak')));
SELECT is(left(small.run(small.u('north contact'), 'csm_portal',
               format('SELECT count(*) FROM csm.explain_access(%s, %s)', small.u('north manager'), small.c('north: pump'))), 11),
          'ERROR 42501', 'V15 explain_access about another person is for staff');
SELECT pg_temp.answers('V9 who_can_see, asked by staff',
    'account team,acme admin,admin,b2b agent,broker admin,desk manager,holding manager,north admin,north contact,north manager,north reader,viewer',
    'b2b agent', 'csm_agent',
    format('SELECT string_agg(DISTINCT display_name, '','' ORDER BY display_name) FROM csm.who_can_see(%s)', small.c('north: pump')));
SELECT pg_temp.answers('V9 who_can_see, asked by a party to the case: himself', 'north contact', 'north contact', 'csm_portal',
    format('SELECT string_agg(DISTINCT display_name, '','') FROM csm.who_can_see(%s)', small.c('north: pump')));

SELECT * FROM finish();
