-- People from a directory: csm.upsert_users().
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/tokens.sql
SELECT * FROM no_plan();
CREATE FUNCTION small.import(people jsonb, gone boolean DEFAULT false, person text DEFAULT 'desk admin', role_name text DEFAULT 'csm_admin') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, format(
    'SELECT string_agg(concat_ws('' '', item, external_id, outcome, reason), ''; '' ORDER BY item, external_id) FROM csm.upsert_users(%L, %L)', people, gone), NULL, true);
CREATE FUNCTION small.d(of_external_id text) RETURNS csm.users LANGUAGE sql STABLE
RETURN (SELECT u FROM csm.users u WHERE u.external_id = of_external_id AND u.tenant_id = small.tenant());

\set two '[{"external_id": "e1", "display_name": "Ann", "email": "ann@small.example", "language": "de", "time_zone": "Europe/Berlin", "phone": "1", "title": "Dr", "employee": true, "department": "Sales"}, {"external_id": "e2", "display_name": "Bob"}]'
SELECT is(small.import(:'two'), '1 e1 created; 2 e2 created', 'A35 two people come');
SELECT is((SELECT concat_ws(',', display_name, email, language, time_zone, phone, title, enabled) FROM small.d('e1')), 'Ann,ann@small.example,de,Europe/Berlin,1,Dr,t', 'A35 with what is known of them');
SELECT is((SELECT concat_ws(',', display_name, coalesce(email, 'none'), language, time_zone, enabled) FROM small.d('e2')), 'Bob,none,en,UTC,t', 'A35 else with defaults');
SELECT is((SELECT department FROM csm.employees e WHERE e.user_id = (small.d('e1')).id), 'Sales', 'A35 an employee');
SELECT is((SELECT count(*) FROM csm.employees e WHERE e.user_id = (small.d('e2')).id), 0::bigint, 'A35 who is not said to be one, is none');
CREATE TEMP TABLE before AS SELECT u.ctid AS place, u.id FROM csm.users u WHERE u.external_id IS NOT NULL;
SELECT is(small.import(:'two'), '1 e1 unchanged; 2 e2 unchanged', 'A35 the same again changes nothing');
SELECT results_eq('SELECT u.ctid, u.id FROM csm.users u WHERE u.external_id IS NOT NULL ORDER BY 2', 'SELECT place, id FROM before ORDER BY 2', 'A35 not a row is written');
SELECT is((SELECT string_agg(details::text, ' ' ORDER BY id) FROM csm.audit_log WHERE kind = 'people_imported'),
          '{"created": 2, "updated": 0, "rejected": 0, "unchanged": 0, "deactivated": 0} {"created": 0, "updated": 0, "rejected": 0, "unchanged": 2, "deactivated": 0}', 'A35 each import is recorded');

SELECT is(small.import('[{"external_id": "e1", "phone": null, "department": "Service"}, {"external_id": "e2", "employee": true}]'), '1 e1 updated; 2 e2 updated', 'A35 changes');
SELECT is((SELECT concat_ws(',', display_name, email, language, coalesce(phone, 'none'), title) FROM small.d('e1')), 'Ann,ann@small.example,de,none,Dr', 'A35 what is left out stays, null empties');
SELECT is((SELECT string_agg(coalesce(department, 'none'), ',' ORDER BY user_id) FROM csm.employees e WHERE e.user_id IN ((small.d('e1')).id, (small.d('e2')).id)), 'Service,none', 'A35 departments');
SELECT is(small.import('[{"external_id": "e1", "employee": true}, {"external_id": "e2", "employee": false}]'), '1 e1 unchanged; 2 e2 updated', 'A35 no employee any more');
SELECT is((SELECT string_agg(department, ',') FROM csm.employees e WHERE e.user_id IN ((small.d('e1')).id, (small.d('e2')).id)), 'Service', 'A35 the department of the other stays');

-- What cannot be taken is named; the others are.
SELECT is(small.import($$[{"external_id": "ok", "display_name": "Good"}, 7, {}, {"external_id": ""}, {"external_id": 5}, {"external_id": "n"}, {"external_id": "n1", "display_name": ""},
    {"external_id": "n2", "display_name": "X", "email": "no address"}, {"external_id": "n3", "display_name": "X", "email": "student@small.example"},
    {"external_id": "n4", "display_name": "X", "login_role": "postgres"}, {"external_id": "n5", "display_name": "X", "enabled": "yes"}, {"external_id": "n6", "display_name": "X", "language": "not a tag"},
    {"external_id": "n7", "display_name": "X", "time_zone": "Moon/Sea"}, {"external_id": "n8", "display_name": "X", "phone": ["1"]}, {"external_id": "d", "display_name": "X"}, {"external_id": "d", "display_name": "Y"},
    {"external_id": "n9", "display_name": "X", "employee": false, "department": "Y"}, null]$$),
    concat_ws('; ', '1 ok created', '2 rejected not an object', '3 rejected external_id is missing, or longer than 400 characters', '4  rejected external_id is missing, or longer than 400 characters',
    '5 rejected external_id is no text', '6 n rejected display_name of a new person is missing', '7 n1 rejected display_name has 1 to 200 characters', '8 n2 rejected email is not an address',
    '9 n3 rejected email belongs to another person', '10 n4 rejected unknown key "login_role"', '11 n5 rejected enabled is neither true nor false', '12 n6 rejected language is not a language tag',
    '13 n7 rejected time_zone is unknown', '14 n8 rejected phone is no text', '15 d rejected external_id stands twice in this import', '16 d rejected external_id stands twice in this import',
    '17 n9 rejected department of somebody who is no employee', '18 rejected not an object'), 'A35 bad rows are named with their reasons');
SELECT is((SELECT string_agg(external_id, ',' ORDER BY external_id) FROM csm.users WHERE tenant_id = small.tenant()), 'e1,e2,ok', 'A35 the good one came, no other');
SELECT is((SELECT (details->>'rejected')::integer FROM csm.audit_log WHERE kind = 'people_imported' ORDER BY id DESC LIMIT 1), 17, 'A35 the record counts them');

-- E-mail addresses that move.
SELECT is(small.import('[{"external_id": "e2", "email": "ann@small.example"}, {"external_id": "e1", "email": "ann.new@small.example"}]'), '1 e2 updated; 2 e1 updated', 'A35 an address that a later row frees is taken');
SELECT is(small.import('[{"external_id": "e2", "email": "ann.new@small.example"}, {"external_id": "e1", "email": "Ann@small.example"}]'),
          '1 e2 rejected email belongs to another person; 2 e1 rejected email belongs to another person', 'A35 two that swap are named');

-- Gone.
INSERT INTO csm.users (tenant_id, display_name, external_id) SELECT t.id, 'elsewhere', 'e9' FROM csm.tenants t WHERE t.key = 'foreign';
UPDATE csm.users SET external_id = 'boss' WHERE id = small.u('desk admin');
SELECT ok(small.run((small.d('e2')).id, 'csm_portal', 'SELECT csm.start_session()', NULL, true) IS NOT NULL, 'e2 has a session');
SELECT is(small.import('[{"external_id": "e1"}, {"external_id": "broken", "email": "x"}]'), '1 e1 unchanged; 2 broken rejected email is not an address', 'A35 who is not named stays, when not told otherwise');
SELECT is(small.import('[{"external_id": "e1"}, {"external_id": "ok", "email": "x"}]', true), '1 e1 unchanged; 2 ok rejected email is not an address; e2 deactivated', 'A35 when told so, who is gone is disabled; who is rejected is not gone, nor is the caller');
SELECT is((SELECT string_agg(external_id, ',' ORDER BY external_id) FROM csm.users WHERE external_id IS NOT NULL AND enabled), 'boss,e1,e9,ok', 'A35 no other, and none of another tenant');
SELECT is((SELECT count(*) FROM csm.users WHERE tenant_id = small.tenant() AND external_id IS NULL AND NOT enabled), 0::bigint, 'A35 nor people who came from no directory');
SELECT is((SELECT count(*) FROM csm.sessions s WHERE s.user_id = (small.d('e2')).id), 0::bigint, 'A35 his session is gone');
SELECT is(small.import('[{"external_id": "e1"}, {"external_id": "e2"}, {"external_id": "ok"}]', true), '1 e1 unchanged; 2 e2 unchanged; 3 ok unchanged', 'A35 being named does not enable him');
SELECT is(small.import('[{"external_id": "e2", "enabled": true}]'), '1 e2 updated', 'A35 saying so does');
SELECT is(small.import('[{"external_id": "e2", "location": "DE-BY"}, {"external_id": "ok", "location": "de"}]'), '1 e2 updated; 2 ok rejected location is no place such as DE or DE-BY', 'A35 where a person is');
SELECT is(small.import('[{"external_id": "e2", "location": "DE-BY"}, {"external_id": "new", "display_name": "New", "location": "FR"}]'), '1 e2 unchanged; 2 new created', 'A35 the same again, and of a new one');
SELECT is((SELECT string_agg(location, ' ' ORDER BY external_id) FROM csm.users WHERE external_id IN ('e2', 'new')), 'DE-BY FR', 'B40 by which user criteria go');
DELETE FROM csm.users WHERE external_id = 'new';
SELECT is(small.import('[]'), NULL, 'A35 an empty import does nothing');
SELECT is(small.import('[]', true) LIKE 'ERROR 22023%', true, '22023 an empty directory deactivates nobody');
SELECT is(small.import(p) LIKE 'ERROR 22023%', true, '22023 no array: ' || coalesce(p::text, 'NULL')) FROM (VALUES ('{}'::jsonb), ('null'), ('"x"')) v(p);

-- Who may.
SELECT is(small.import('[{"external_id": "x", "display_name": "X"}]', false, n, r) LIKE 'ERROR 42501%', true, format('A35 %s as %s imports nobody', n, r))
FROM (VALUES ('desk admin', 'csm_agent'), ('desk admin', 'csm_portal'), ('desk manager', 'csm_admin'), ('north admin', 'csm_admin'), ('b2b agent', 'csm_admin')) v(n, r);
SELECT is(small.run(NULL, 'csm_admin', 'SELECT count(*) FROM csm.upsert_users(''[]'')') LIKE 'ERROR 42501%', true, 'V14 nobody imports nobody');
SELECT is(small.run((SELECT u.id FROM csm.users u WHERE u.email = 'admin@foreign.example'), 'csm_admin', $$SELECT outcome FROM csm.upsert_users('[{"external_id": "e1", "display_name": "Ann of another"}]')$$, NULL, true), 'created', 'V13 another tenant''s directory');
SELECT is((small.d('e1')).display_name, 'Ann', 'V13 touches nobody of this one');

-- A large one, in sets of names that are alike to the first 60 characters.
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT string_agg(DISTINCT outcome, ',') FROM csm.upsert_users((SELECT jsonb_agg(jsonb_build_object('external_id', repeat('x', 60) || i, 'display_name', 'P' || i, 'email', i || '@large.example')) FROM generate_series(1, 2000) i))$$, NULL, true), 'created', 'A35 two thousand people');
SELECT is((SELECT count(*) FROM csm.users WHERE display_name ~ '^P[0-9]+$'), 2000::bigint, 'A35 are there');

SELECT * FROM finish();
ROLLBACK;
