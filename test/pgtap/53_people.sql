-- People who are not simply contacts, from end to end: members of a college, contributors, proxies, consumers of an
-- account, teams, service organisations, and one who is several at once.
\ir ../lib/small.sql
SELECT * FROM no_plan();
CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, persona, true), '^(ERROR .....): .*', '\1')
$$;
-- Opens a case as a person, under a name; its branch and requester, or the error.
CREATE FUNCTION pg_temp.opens(person text, subject text, arguments text DEFAULT '', role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.does(person, format('SELECT id FROM csm.open_case(%L%s)', subject, arguments), role_name, persona);
BEGIN
    IF answer ~ '^ERROR' THEN
        RETURN answer;
    END IF;
    INSERT INTO small.named VALUES ('case', subject, answer::bigint);
    RETURN (SELECT c.branch || ' for ' || n.name FROM csm.cases c JOIN small.named n ON n.kind = 'user' AND n.id = c.requester_id WHERE c.id = answer::bigint);
END $$;
CREATE FUNCTION pg_temp.takes(person text, subject text, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}', role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.does(person, format('SELECT state FROM csm.act(%s, %L, %L, %L)', small.c(subject), action, note, fields), role_name)
$$;
CREATE FUNCTION pg_temp.comments(person text, subject text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.does(person, format('SELECT ''said'' FROM csm.comment(%s, ''something'')', small.c(subject)), role_name)
$$;
SELECT lives_ok($$INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (small.tenant(), small.u('desk manager'), 'agent'), (small.tenant(), small.u('desk manager'), 'consumer_agent')$$, 'A20 (a desk)');

-- A20: the college. Employees and students are users; nobody registers them as anything.
SELECT is((SELECT count(*) FROM csm.consumers WHERE user_id = small.u('student'))::text || (SELECT count(*) FROM csm.employees WHERE user_id = small.u('student'))
          || (SELECT count(*) FROM csm.contacts WHERE user_id = small.u('student')), '000', 'A20 a student has no persona row');
SELECT is(pg_temp.opens('student', 'my account is locked'), 'internal for student', 'A20 and opens a case');
SELECT is(pg_temp.opens('employee', 'the projector'), 'internal for employee', 'A20 so does an employee');
SELECT is(small.sees('student', 'my account is locked')::text || small.sees('student', 'student: password') || small.sees('student', 'the projector'), 'truetruefalse', 'A20 each sees his own');
SELECT is(pg_temp.comments('student', 'my account is locked'), 'said', 'A20 comments on it');
SELECT is(pg_temp.takes('desk manager', 'my account is locked', 'take', NULL, '{}', 'csm_agent'), 'open', 'A20 staff take it');
SELECT is(pg_temp.takes('desk manager', 'my account is locked', 'propose', 'Unlocked.', '{"resolution_code": "solved", "resolution_notes": "Unlocked."}', 'csm_agent'), 'resolved', 'A20 solve it');
SELECT is(pg_temp.takes('student', 'my account is locked', 'accept'), 'closed', 'A20 and he accepts');
SELECT is((SELECT count(*) FROM csm.consumers WHERE user_id IN (small.u('student'), small.u('employee')))::text || (SELECT count(*) FROM csm.users WHERE display_name = 'student'), '01',
    'A20 of which he is no consumer, and one row');
UPDATE csm.users SET enabled = false WHERE id = small.u('student');
SELECT is(small.sees('student', 'student: password'), false, 'A20 one who has left sees nothing');
UPDATE csm.users SET enabled = true WHERE id = small.u('student');

-- A21, T12: permissions differ by persona, the person does not.
SELECT is((SELECT count(*) FROM csm.users WHERE id = small.u('all three')), 1::bigint, 'T12 employee, consumer and contact are one row');
SELECT is(pg_temp.does('all three', 'SELECT array_to_string(array(SELECT split_part(p, '':'', 1) FROM unnest(w.personas) p ORDER BY 1), '' '') FROM csm.whoami() w'), 'consumer contact employee', 'T12 with three personas');
SELECT is(pg_temp.does('all three', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases'), 'south: of all three, three: laptop, three: own', 'T12 he sees what any of them sees');
SELECT is(pg_temp.does('all three', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_portal', x.persona), x.sees, format('T12 as %s alone', split_part(x.persona, ':', 1)))
FROM (VALUES ('contact:' || small.k('all three at south'), 'south: of all three'), ('consumer', 'three: own'), ('employee', 'three: laptop')) x(persona, sees);
SELECT is(pg_temp.does('all three', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases WHERE branch = ''b2c'''), 'three: own', 'T12 and a list can be of one kind');
SELECT is(pg_temp.opens('all three', 'at work', '', 'csm_portal', 'employee'), 'internal for all three', 'A21 the persona says what a case is: as an employee');
SELECT is(pg_temp.opens('all three', 'at home', '', 'csm_portal', 'consumer'), 'b2c for all three', 'A21 as a consumer');
SELECT is(pg_temp.opens('all three', 'for the company', '', 'csm_portal', 'contact:' || small.k('all three at south')), 'b2b for all three', 'A21 as a contact');
SELECT is(small.sees('consumer agent', 'at home', 'csm_agent')::text || small.sees('consumer agent', 'at work', 'csm_agent') || small.sees('b2b agent', 'for the company', 'csm_agent'), 'truefalsetrue',
    'A21 and who works on it');

-- B8: contributors open cases for customers and follow them.
SELECT is(pg_temp.opens('contributor', 'heard on the phone', format(', account_id => %s, requester_id => %s', small.a('north'), small.u('north contact')), 'csm_agent'), 'b2b for north contact', 'B8 a contributor opens a case for a customer');
SELECT is(pg_temp.opens('contributor', 'heard at the counter', format(', requester_id => %s', small.u('ward')), 'csm_agent'), 'b2c for ward', 'B8 and for a consumer');
SELECT is(small.sees('contributor', 'heard on the phone', 'csm_agent')::text || small.sees('contributor', 'north: pump', 'csm_agent'), 'truefalse', 'B8 sees what he opened, not its siblings');
SELECT is(small.sees('contributor', 'heard on the phone'), false, 'B8 at the portal he is no staff');
SELECT is(pg_temp.comments('contributor', 'heard on the phone', 'csm_agent'), 'said', 'B8 comments on it');
SELECT is(pg_temp.does('b2b agent', format($$SELECT 'noted' FROM csm.comment(%s, 'between us', 'internal')$$, small.c('heard on the phone')), 'csm_agent'), 'noted', 'B8 (a work note)');
SELECT is(pg_temp.does('contributor', format('SELECT count(*) FROM csm.case_entries WHERE case_id = %s AND visibility = ''internal''', small.c('heard on the phone')), 'csm_agent'), '0', 'B8 of which he reads none');
SELECT is(pg_temp.takes('contributor', 'heard on the phone', 'take', NULL, '{}', 'csm_agent'), 'ERROR 42501', 'B8 nor does he work on it');
SELECT is(small.sees('north contact', 'heard on the phone'), true, 'B8 the customer sees it as his');
SELECT small.new_staff('team contributor', 'contributor', 'team'), small.new_staff('shop contributor', 'contributor', 'organization');
INSERT INTO csm.account_team (tenant_id, member_id, account_id) VALUES (small.tenant(), small.u('team contributor'), small.a('north'));
INSERT INTO csm.service_organization_members (tenant_id, service_organization_id, user_id) VALUES (small.tenant(), small.o('shop'), small.u('shop contributor'));
SELECT is(pg_temp.opens('team contributor', 'for my customer', format(', account_id => %s, requester_id => %s', small.a('north'), small.u('north contact')), 'csm_agent'), 'b2b for north contact', 'B8 a relationship contributor: for his customers');
SELECT is(pg_temp.opens('team contributor', 'for another', format(', account_id => %s, requester_id => %s', small.a('south'), small.u('south contact')), 'csm_agent'), 'ERROR 42501', 'B8 for no other');
SELECT is(pg_temp.opens('employee', 'for another', format(', account_id => %s, requester_id => %s', small.a('south'), small.u('south contact')), 'csm_agent'), 'ERROR 42501', 'B8 an employee without the role for himself alone');

-- B9: the internal contact of a case.
SELECT is(pg_temp.does('b2b agent', format('UPDATE csm.cases SET internal_contact_id = %s WHERE id = %s RETURNING ''named''', small.u('proxy'), small.c('heard on the phone')), 'csm_agent'), 'named', 'B9 staff name an internal contact');
SELECT is(small.sees('proxy', 'heard on the phone', 'csm_agent')::text || small.sees('proxy', 'acme: by proxy', 'csm_agent') || small.sees('proxy', 'north: pump', 'csm_agent'), 'truetruefalse', 'B9 who sees those cases, no other');
SELECT is(pg_temp.comments('proxy', 'heard on the phone', 'csm_agent'), 'said', 'B9 comments');
SELECT is(pg_temp.does('proxy', format('SELECT count(*) FROM csm.case_entries WHERE case_id = %s AND visibility = ''internal''', small.c('heard on the phone')), 'csm_agent'), '0', 'B9 reads no work notes');
SELECT is(pg_temp.takes('b2b agent', 'heard on the phone', 'take', NULL, '{}', 'csm_agent'), 'open', 'B9 (worked on)');
SELECT is(pg_temp.takes('b2b agent', 'heard on the phone', 'propose', 'Done.', '{"resolution_code": "solved", "resolution_notes": "Done."}', 'csm_agent'), 'resolved', 'B9 (solved)');
SELECT is(pg_temp.takes('proxy', 'heard on the phone', 'reject', 'Not at all.', '{}', 'csm_agent'), 'open', 'B9 and answers for the customer');
UPDATE csm.user_roles SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('proxy');
SELECT is(small.sees('proxy', 'heard on the phone', 'csm_agent'), false, 'B9 until the role ends');

-- B14: a consumer of an account is a person with both personas.
SELECT small.new_contact('ward', 'umbrella', 'customer');
SELECT is(pg_temp.opens('umbrella admin', 'for our consumer', format(', account_id => %s, requester_id => %s', small.a('umbrella'), small.u('ward'))), 'b2b for ward', 'B14 a contact opens a case for a consumer of his account');
UPDATE csm.account_relationships SET history_from = NULL WHERE id = small.r('paragon-umbrella');
SELECT is(pg_temp.opens('paragon admin', 'through the partner', format(', account_id => %s, requester_id => %s', small.a('umbrella'), small.u('ward'))), 'b2b for ward', 'B14 so does a partner who looks after the account');
SELECT is(pg_temp.opens('umbrella admin', 'for a stranger', format(', account_id => %s, requester_id => %s', small.a('umbrella'), small.u('stranger'))), 'ERROR 42501', 'B14 not for a consumer who is none of the account');
SELECT is(small.sees('ward', 'for our consumer')::text || small.sees('ward', 'through the partner') || small.sees('ward', 'ward: bill'), 'truetruetrue', 'B14 he sees them beside his own');
SELECT is(small.sees('umbrella admin', 'for our consumer')::text || small.sees('umbrella admin', 'ward: bill'), 'truefalse', 'B14 the account does not see what he buys for himself');
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'meter');
INSERT INTO csm.assets (tenant_id, account_id, product_id, serial_number) SELECT tenant_id, small.a('umbrella'), id, 'M1' FROM csm.products WHERE name = 'meter' AND tenant_id = small.tenant();
INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number) SELECT tenant_id, small.u('ward'), id, 'M2' FROM csm.products WHERE name = 'meter' AND tenant_id = small.tenant();
SELECT is(pg_temp.does('ward', 'SELECT string_agg(serial_number, '' '' ORDER BY serial_number) FROM csm.assets'), 'M1 M2', 'B14 he sees the account''s items and his own');
SELECT is(pg_temp.does('umbrella admin', 'SELECT string_agg(serial_number, '' '' ORDER BY serial_number) FROM csm.assets'), 'M1', 'B14 the account its own, until he lets it');

-- B15: teams of accounts, consumers and households.
SELECT is(pg_temp.does('account team', 'SELECT count(*) FILTER (WHERE account_id = ' || small.a('north') || ') > 3 AND bool_and(account_id = ' || small.a('north') || ') FROM csm.cases', 'csm_agent'), 'true', 'B15 the account''s team: its cases, no other');
SELECT is(pg_temp.does('person team', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_agent'), 'heard at the counter, ward: bill', 'B15 a consumer''s team: his cases as a consumer');
SELECT is(pg_temp.does('household team', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_agent'), 'family: meter, lodger: parcel, mother: card, son: phone', 'B15 a household''s team: its cases and its members''');
SELECT is(pg_temp.takes('household team', 'son: phone', 'take', NULL, '{}', 'csm_agent'), 'open', 'B15 which it works on')
FROM (SELECT pg_temp.does('household team', format('SELECT state FROM csm.cases WHERE id = %s', small.c('son: phone')), 'csm_agent')) x(state) WHERE x.state = 'new';
SELECT is(pg_temp.does('household team', format($$SELECT 'said' FROM csm.comment(%s, 'on it')$$, small.c('son: phone')), 'csm_agent'), 'said', 'B15 and answers');
UPDATE csm.account_team SET valid_during = tstzrange(NULL, clock_timestamp());
SELECT is(pg_temp.does(x.person, 'SELECT count(*) FROM csm.cases', 'csm_agent'), '0', format('B15 until it ends: %s', x.person)) FROM (VALUES ('account team'), ('person team'), ('household team')) x(person);

-- B16: service organisations.
SELECT is(pg_temp.does('shop agent', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_agent'), 'shop: till', 'B16 staff of a place: its cases');
SELECT is(pg_temp.does('region agent', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_agent'), 'region: hall, village: kiosk', 'B16 of a place above: the places below, less those excluded');
INSERT INTO csm.service_organization_members (tenant_id, service_organization_id, user_id) VALUES (small.tenant(), small.o('shop'), small.u('region agent'));
SELECT is(pg_temp.does('region agent', 'SELECT string_agg(subject, '', '' ORDER BY subject) FROM csm.cases', 'csm_agent'), 'region: hall, shop: till, village: kiosk', 'B16 of two: both');
SELECT is(pg_temp.does('desk manager', format('UPDATE csm.cases SET service_organization_id = %s WHERE id = %s RETURNING ''moved''', small.o('shop'), small.c('ward: bill')), 'csm_agent'), 'moved', 'B16 a case is given to a place');
SELECT is(small.sees('shop agent', 'ward: bill', 'csm_agent'), true, 'B16 whose staff see it');
SELECT is(pg_temp.comments('shop agent', 'ward: bill', 'csm_agent'), 'said', 'B16 and work on it');
SELECT is(small.sees('shop agent', 'ward: bill'), false, 'B16 not at the portal');
UPDATE csm.service_organization_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('shop agent');
SELECT is(small.sees('shop agent', 'ward: bill', 'csm_agent'), false, 'B16 until they leave');

-- B52: who reads only.
SELECT is(small.sees('viewer', 'north: pump', 'csm_agent'), true, 'B52 a viewer reads cases');
SELECT is(pg_temp.does('viewer', format('SELECT count(*) FROM csm.contacts WHERE account_id = %s', small.a('north')), 'csm_agent') <> '0', true, 'B52 and customers');
SELECT is(pg_temp.comments('viewer', 'north: pump', 'csm_agent'), 'ERROR 42501', 'B52 comments on none');
SELECT is(pg_temp.takes('viewer', 'north: pump', 'close', 'x', '{}', 'csm_agent'), 'ERROR 42501', 'B52 works on none');
SELECT is(pg_temp.opens('viewer', 'by a viewer', format(', account_id => %s, requester_id => %s', small.a('north'), small.u('north contact')), 'csm_agent'), 'ERROR 42501', 'B52 opens none for a customer');
SELECT is(pg_temp.does('viewer', format('WITH w AS (UPDATE csm.contacts SET login_enabled = false WHERE account_id = %s RETURNING 1) SELECT count(*) FROM w', small.a('north')), 'csm_agent'), '0', 'B52 changes nobody');

-- B3, B10, B12, B13: what a person can be, and how often.
SELECT lives_ok($$SELECT small.new_contact('south contact', 'umbrella', 'customer', false)$$, 'B3 a contact of two accounts, at home in one');
SELECT throws_ok($$SELECT small.new_contact('south contact', 'initech', 'customer', true)$$, '23P01', NULL, 'B3 not at home in two');
SELECT throws_ok($$SELECT small.new_contact('south contact', 'umbrella', 'case_reader', false)$$, '23P01', NULL, 'B3 nor twice in one');
SELECT lives_ok($$INSERT INTO csm.consumers (tenant_id, user_id) SELECT small.tenant(), small.u(n) FROM unnest('{b2b agent,north contact,contributor}'::text[]) n$$, 'B10 agents, contacts, contributors become consumers as well');
SELECT is(pg_temp.opens('b2b agent', 'my own television', '', 'csm_portal', 'consumer'), 'b2c for b2b agent', 'B10 an agent asks as a consumer');
SELECT is(small.sees('b2b agent', 'my own television')::text || small.sees('b2b agent', 'my own television', 'csm_agent'), 'truetrue', 'B10 and sees it, wherever he looks');
SELECT is(pg_temp.takes('b2b agent', 'my own television', 'take', NULL, '{}', 'csm_agent'), 'ERROR 42501', 'B10 but does not work on it');
SELECT throws_ok($$INSERT INTO csm.household_members (tenant_id, household_id, user_id) VALUES (small.tenant(), small.h('family'), small.u('son'))$$, '23P01', NULL, 'B12 a member once at a time');
SELECT lives_ok($$SELECT small.new_household('flat', 'stranger', 'stranger', 'son')$$, 'B12 of several households');
SELECT is(small.sees('mother', 'son: phone'), true, 'B12 a current member');
UPDATE csm.household_members SET valid_during = tstzrange(clock_timestamp() + interval '1 day', NULL) WHERE user_id = small.u('son') AND household_id = small.h('family');
SELECT is(small.sees('mother', 'son: phone'), false, 'B12 who comes tomorrow is none today');
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp() + interval '1 day') WHERE user_id = small.u('son') AND household_id = small.h('family');
SELECT is(small.sees('mother', 'son: phone'), true, 'B12 who leaves tomorrow is one today');
SELECT is(small.sees('daughter', 'son: phone'), true, 'B13 a representative within the household');
UPDATE csm.household_members SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('daughter');
SELECT is(small.sees('daughter', 'son: phone')::text || small.sees('guardian', 'ward: bill'), 'falsetrue', 'B13 until one of the two leaves it; without a household it stays');
SELECT * FROM finish();
