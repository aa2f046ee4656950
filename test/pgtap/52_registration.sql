-- Registration of consumers and contacts, invitations, codes and domains (R A12, A14, A17, A18, X8). What is attacked with passwords
-- stands in 50 and 51, the captcha in 52_captcha.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/registration.sql
SELECT * FROM no_plan();
-- Everything here is asked by real roles; a captcha is solved once in each flow and left out elsewhere.
UPDATE csm.tenants SET settings = settings || '{"captcha": {"required": false}}' WHERE id = small.tenant();

-- A18 ----------------------------------------------------------------------
SELECT is(small.consumer('new@shop.example'), 'accepted', 'A18 a stranger registers');
SELECT is((small.registration('new@shop.example')).state, 'pending', 'A18 his registration is pending');
SELECT is_empty($$SELECT FROM csm.users WHERE email = 'new@shop.example'$$, 'A18 no person before the address is proven');
SELECT is(small.mail('registration_confirm', 'new@shop.example') - 'token', jsonb_build_object('kind', 'consumer', 'display_name', 'Some Body',
          'registration_id', (small.registration('new@shop.example')).id), 'A18 a mail goes to the address');
SELECT matches(small.mail('registration_confirm', 'new@shop.example')->>'token', '^[A-Za-z0-9_-]{43}$', 'A18 with a token of 256 bits');
SELECT is((SELECT token_hash FROM csm_private.registration_tokens), sha256(convert_to(small.mail('registration_confirm', 'new@shop.example')->>'token', 'UTF8')),
                'A18 which is stored as a hash');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT status FROM csm.confirm_registration(%L)', t)), 'refused', 'A18 another token is refused: ' || coalesce(left(t, 20), 'NULL'))
FROM unnest(ARRAY[NULL, '', 'x', repeat('A', 43), repeat('A', 5000), '%']) t;
SELECT is(small.confirm('new@shop.example'), 'confirmed', 'A18 the token proves the address');
SELECT is(small.confirm('new@shop.example'), 'refused', 'A18 once');
SELECT is((SELECT u.display_name || ', ' || u.enabled || ', ' || (c.user_id IS NOT NULL) FROM csm.users u LEFT JOIN csm.consumers c ON c.user_id = u.id WHERE u.email = 'new@shop.example'),
          'Some Body, true, true', 'A18 he is a person and a consumer');
SELECT is((SELECT r.state || ' ' || (r.user_id = u.id) FROM csm.registrations r JOIN csm.users u ON u.email = r.email WHERE r.email = 'new@shop.example'), 'approved true', 'A18 approved, and by nobody');
SELECT is(small.mail('registration_welcome', 'new@shop.example')->>'known', 'false', 'A18 welcome');
INSERT INTO small.named SELECT 'user', 'new', id FROM csm.users WHERE email = 'new@shop.example';
SELECT is(small.as('new', $$SELECT branch FROM csm.open_case('It does not work')$$), 'b2c', 'A18 he opens a case');
SELECT is(small.as('new', $$SELECT kind || ' ' || (subject_user_id = csm.current_user_id()) FROM csm.audit_log$$), 'consumer_registered true', 'A18 and reads what is recorded of it');

-- Passwords: chosen by who has proven the address, when he proves it.
SELECT is(small.consumer('pass@shop.example'), 'accepted', 'A18 another stranger');
SELECT is(small.confirm('pass@shop.example', p), s, format('A18 password %s: %s', left(p, 20), s))
FROM (VALUES ('short', 'too_short'), (repeat('long', 500), 'too_long'), ('password123456', 'denied'), ('pass@shop.example', 'denied'), ('my pass is secret', 'denied'),
             ('correct horse battery', 'confirmed'), ('another horse battery', 'refused')) v(p, s);
CREATE FUNCTION small.signs_in(email text, password text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN t.refusal IS NULL THEN 'signed_in' ELSE 'refused' END
    FROM csm.users u, csm_private.try_password(small.tenant(), u.id, password, 'test') t WHERE u.email = signs_in.email
$$;
SELECT is(small.signs_in('pass@shop.example', 'correct horse battery') || ' ' || small.signs_in('pass@shop.example', 'another horse battery'), 'signed_in refused', 'A18 he signs in with it');
-- Who has credentials keeps them: registering again is no way to a new password.
SELECT is(small.consumer('PASS@shop.example') || ' ' || small.confirm('PASS@shop.example', 'another horse battery'), 'accepted confirmed', 'A18 he registers again');
SELECT is(small.signs_in('pass@shop.example', 'correct horse battery') || ' ' || small.signs_in('pass@shop.example', 'another horse battery'), 'signed_in refused', 'A18 his password stays');
UPDATE csm.users SET external_id = 'directory 7' WHERE id = small.u('lodger');
SELECT is(small.consumer(e) || ' ' || small.confirm(e, 'correct horse battery') || ' ' || small.signs_in(e, 'correct horse battery'), s, 'A18 known: ' || e)
FROM (VALUES ('ward@small.example', 'accepted confirmed signed_in'), ('lodger@small.example', 'accepted confirmed refused')) v(e, s);

-- Known or not, the answers are the same; a known person gets a persona and keeps all else.
CREATE TEMP TABLE before AS SELECT * FROM csm.users;
SELECT is(small.consumer(e), 'accepted', 'A18 accepted, whoever has it: ' || e) FROM unnest(ARRAY['student@small.example', ' Employee@SMALL.example ', 'mother@small.example', 'nobody@small.example']) e;
SELECT is((SELECT count(*) FROM csm.outbox WHERE kind = 'registration_confirm' AND recipient ILIKE ANY ('{student@small.example,employee@small.example,mother@small.example,nobody@small.example}')), 4::bigint, 'A18 every address gets the same mail');
SELECT is(small.confirm(e), 'confirmed', 'A18 confirmed, whoever has it: ' || e) FROM unnest(ARRAY['student@small.example', 'Employee@SMALL.example', 'mother@small.example', 'nobody@small.example']) e;
SELECT results_eq('SELECT id, display_name, email, language, enabled FROM csm.users WHERE id IN (SELECT id FROM before) ORDER BY id', 'SELECT id, display_name, email, language, enabled FROM before ORDER BY id',
                  'A18 nothing about known persons changes');
SELECT is((SELECT count(*) FROM csm.users WHERE id NOT IN (SELECT id FROM before)), 1::bigint, 'A18 no duplicates: one stranger, one row');
SELECT is((SELECT count(*) FROM csm.consumers WHERE user_id IN (small.u('student'), small.u('employee'), small.u('mother'))), 3::bigint, 'A18 they are consumers now');
SELECT is(small.mail('registration_welcome', 'student@small.example')->>'known', 'true', 'A18 what differs, differs in the mail');
UPDATE csm.users SET enabled = false WHERE id = small.u('colleague');
SELECT is(small.consumer('colleague@small.example') || ' ' || small.confirm('colleague@small.example'), 'accepted refused', 'A18 who was disabled does not come back as a consumer');
SELECT is((SELECT state FROM small.registration('colleague@small.example')) || (SELECT count(*) FROM csm.consumers WHERE user_id = small.u('colleague')), 'no_longer_required0', 'A18 nor gets the persona');
UPDATE csm.users SET enabled = true WHERE id = small.u('colleague');

-- Two tokens of one person: one is enough.
SELECT is(small.consumer('twice@shop.example') || small.consumer('TWICE@shop.example'), 'acceptedaccepted', 'A18 twice');
SELECT is(small.confirm('TWICE@shop.example'), 'confirmed', 'A18 the second is confirmed');
SELECT is(small.confirm('twice@shop.example'), 'refused', 'A18 the first is not needed any more');
SELECT is((SELECT string_agg(state, ' ' ORDER BY id) FROM csm.registrations WHERE email_key = 'twice@shop.example'), 'no_longer_required approved', 'R2.7 pending→no_longer_required');

-- What is malformed is refused.
SELECT is(small.consumer(e), 'refused', 'A18 no address: ' || coalesce(left(replace(e, E'\n', '\n'), 40), 'NULL'))
FROM unnest(ARRAY[NULL, '', 'x', '@', 'a@', '@b', 'a@b@c', 'a b@c.example', E'a@b.example\nBcc: all@b.example', 'A <a@b.example>', 'a@b.example,c@b.example', 'a@b.example;c@b.example',
                  repeat('a', 321) || '@b.example', E'a\u0001@b.example']) e;
SELECT is(small.run(NULL, 'csm_guest', format('SELECT status FROM csm.register_consumer(%L, %L, NULL, %L)', 'a@b.example', n, l)), 'refused', format('A18 no name or language: %L %L', left(n, 20), l))
FROM (VALUES (NULL, 'en'), ('', 'en'), ('  ', 'en'), (repeat('x', 201), 'en'), (E'A\r\nB', 'en'), ('A', NULL), ('A', 'english'), ('A', E'en\n')) v(n, l);
SELECT is_empty($$SELECT FROM csm.registrations WHERE email = 'a@b.example'$$, 'A18 and leaves nothing');

-- Terms, and tenants that register nobody (the college).
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"terms": "2026-01", "per_source": 1000}') WHERE id = small.tenant();
SELECT is(small.consumer('terms@shop.example'), 'refused', 'A17 terms have to be accepted');
SELECT is(small.consumer('terms@shop.example', NULL, ', terms => ''2025-01'''), 'refused', 'A17 those that hold now');
SELECT is(small.consumer('terms@shop.example', NULL, ', terms => ''2026-01'''), 'accepted', 'A17 accepted');
SELECT is((small.registration('terms@shop.example')).terms, '2026-01', 'A17 which, is kept');
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"consumers": false, "per_source": 1000}') WHERE id = small.tenant();
SELECT is(small.consumer('closed@shop.example') || ' ' || small.contact('closed@shop.example'), 'refused accepted', 'A18 a tenant may register no consumers');
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"contacts": false, "per_source": 1000}') WHERE id = small.tenant();
SELECT is(small.consumer('closed@shop.example') || ' ' || small.contact('closed@shop.example'), 'accepted refused', 'A17 or no contacts');
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"per_source": 1000}') WHERE id = small.tenant();
SELECT throws_ok(format($$UPDATE csm.tenants SET settings = jsonb_build_object('registration', %L::jsonb) WHERE id = small.tenant()$$, s), '23514', NULL, 'A17 no setting: ' || s)
FROM unnest(ARRAY['[]', '{"per_source": 0}', '{"per_email": "x"}', '{"terms": 1}', '{"consumers": "no"}', '{"other": 1}']) s;

-- A17 by code ----------------------------------------------------------------
CREATE TEMP TABLE code AS SELECT small.as('north admin', format('SELECT code FROM csm.rotate_registration_code(%s)', small.a('north'))) AS c;
SELECT matches(c, '^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$', 'A17 an administrator makes a code') FROM code;
SELECT is_empty($$SELECT FROM csm_private.registration_codes r, code WHERE r::text LIKE '%' || code.c || '%'$$, 'A17 which is not stored');
SELECT is(small.as(p, format('SELECT status || coalesce(code, '''') FROM csm.rotate_registration_code(%s)', small.a('north'))), 'refused', 'A17 a code is not made by ' || p)
FROM unnest(ARRAY['north contact', 'north manager', 'south admin', 'umbrella admin', 'mother', 'paragon admin']) p;
SELECT is(small.as('north admin', 'SELECT status FROM csm.rotate_registration_code(999999)'), 'refused', 'V15 a missing account gives the same answer');
SELECT is(small.contact('by.code@firm.example', lower(replace(c, '-', ' '))), 'accepted', 'A17 a stranger registers with the code, as he types it') FROM code;
SELECT is(small.contact('wrong.code@firm.example', 'AAAA-AAAA-AAAA-AAAA'), 'accepted', 'A17 a wrong code gives the same answer');
SELECT is(small.contact('no.code@firm.example'), 'accepted', 'A17 none at all too');
SELECT is((SELECT count(DISTINCT payload - 'token' - 'registration_id') FROM csm.outbox WHERE recipient LIKE '%code@firm.example'), 1::bigint, 'A17 and the same mail');
SELECT is(small.as('north admin', $$SELECT count(*) FROM csm.registrations$$), '0', 'A17 who has not proven his address is shown to nobody');
SELECT is(small.confirm(e), 'confirmed', 'A17 the same answer after the proof: ' || e) FROM unnest(ARRAY['by.code@firm.example', 'wrong.code@firm.example', 'no.code@firm.example']) e;
SELECT is((small.registration(e)).state || ' ' || coalesce((small.registration(e)).route, '-'), s, 'A17 ' || e || ' is ' || s)
FROM (VALUES ('by.code@firm.example', 'requested code'), ('wrong.code@firm.example', 'pending -'), ('no.code@firm.example', 'pending -')) v(e, s);
SELECT is_empty($$SELECT FROM csm.users WHERE email LIKE '%code@firm.example'$$, 'A17 nobody is a person yet');

-- Who is asked: the account's administrators, its ancestors', the partner's who administers it; nobody else.
SELECT is((SELECT string_agg(recipient, ' ' ORDER BY recipient) FROM csm.outbox WHERE kind = 'registration_requested'),
          'acme.admin@small.example north.admin@small.example', 'A17 the request goes to every customer administrator');
SELECT is(small.as(p, $$SELECT count(*) FROM csm.registrations WHERE email LIKE '%code@firm.example'$$), n, format('A17 %s sees %s of the requests', p, n))
FROM (VALUES ('north admin', '1'), ('acme admin', '1'), ('south admin', '0'), ('north manager', '0'), ('north contact', '0'), ('umbrella admin', '0'), ('paragon admin', '0'), ('mother', '0')) v(p, n);
SELECT is(small.as('desk manager', $$SELECT count(*) FROM csm.registrations WHERE email LIKE '%code@firm.example'$$, role_name => 'csm_agent'), '3', 'A17 staff see those of no account too');
SELECT is(small.as('b2b agent', $$SELECT count(*) FROM csm.registrations$$, role_name => 'csm_agent'), '0', 'A17 staff without account_manage do not');
UPDATE csm.account_relationships SET administers = true WHERE id = small.r('paragon-north');
SELECT is((SELECT string_agg(DISTINCT n.name, ', ' ORDER BY n.name) FROM csm_private.contact_managers(small.a('north'), small.tenant()) m JOIN small.named n ON n.kind = 'user' AND n.id = m.user_id),
          'acme admin, north admin, paragon admin', 'A17 a partner who administers the account is asked as well');
-- The rows say the same as the map, for everybody and every account.
SELECT is_empty($$
    SELECT a.name, u.name FROM small.named a, small.named u
    WHERE a.kind = 'account' AND u.kind = 'user'
      AND (small.run(u.id, 'csm_portal', format('SELECT csm.account_allows(%s, ''contact_manage'')', a.id)) = 'true')
          <> EXISTS (SELECT FROM csm_private.contact_managers(a.id, small.tenant()) m WHERE m.user_id = u.id) $$,
    'A17 who is asked is who may decide, for every account and person');
UPDATE csm.account_relationships SET administers = false WHERE id = small.r('paragon-north');

-- One approval suffices.
CREATE FUNCTION small.approve(person text, email text, more text DEFAULT '', role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.as(person, format('SELECT status FROM csm.approve_registration(%s%s)', (small.registration(email)).id, more), role_name => role_name)
$$;
SELECT is(small.approve(p, 'by.code@firm.example'), 'refused', 'A17 it is not for ' || p || ' to approve')
FROM unnest(ARRAY['south admin', 'north manager', 'north contact', 'umbrella admin', 'mother']) p;
SELECT is(small.as('north admin', 'SELECT status FROM csm.approve_registration(999999)'), 'refused', 'V15 a missing registration gives the same answer');
SELECT is(small.approve('north admin', 'wrong.code@firm.example'), 'refused', 'A17 nor one that led nowhere');
SELECT is(small.approve('north admin', 'by.code@firm.example'), 'approved', 'A17 an administrator approves');
SELECT is(small.approve('acme admin', 'by.code@firm.example'), 'approved', 'A17 another one afterwards: it stays so');
SELECT is((SELECT string_agg(k.role || ' ' || a.name || ' ' || k.is_home || ' ' || k.login_enabled, ', ') FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id JOIN csm.accounts a ON a.id = k.account_id
           WHERE u.email = 'by.code@firm.example'), 'customer north true true', 'A17 he is a contact, once, with the least role');
SELECT is((SELECT decided_by FROM small.registration('by.code@firm.example')), small.u('north admin'), 'A17 the first has decided');
SELECT is(small.mail('registration_approved', 'by.code@firm.example')->>'account', 'north', 'A17 he is told');
INSERT INTO small.named SELECT 'user', 'by code', id FROM csm.users WHERE email = 'by.code@firm.example';
SELECT is(small.as('by code', $$SELECT branch || ' ' || account_id FROM csm.open_case('Pump')$$), 'b2b ' || small.a('north'), 'A17 and opens a case for the account');
CREATE FUNCTION small.reset(email text, password text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(NULL, 'csm_guest', format('SELECT status FROM csm.reset_password(%L, %L)', small.mail('first_password', email)->>'token', password), NULL, true)
$$;
SELECT is(small.reset('by.code@firm.example', 'short') || ' ' || small.reset('by.code@firm.example', 'correct horse battery'), 'too_short changed', 'A17 he sets his first password himself');
SELECT is(small.reset('by.code@firm.example', 'correct horse battery'), 'refused', 'A17 once');
SELECT is(small.signs_in('by.code@firm.example', 'correct horse battery') || ' ' || small.signs_in('by.code@firm.example', 'another horse battery'), 'signed_in refused', 'A17 and signs in');
SELECT is(small.as('north admin', format('SELECT string_agg(kind, '' '' ORDER BY id) FROM csm.audit_log WHERE account_id = %s', small.a('north'))),
          'registration_code_rotated registration_requested contact_added registration_approved', 'A17 the administrators read the audit of it');
SELECT is(small.as('south admin', format('SELECT count(*) FROM csm.audit_log WHERE account_id = %s', small.a('north'))), '0', 'A17 others do not');

-- A18: refusals of visitors are recorded too, without the address.
SELECT is(small.as('desk admin', $$SELECT string_agg(DISTINCT details->>'reason', ' ' ORDER BY details->>'reason') FROM csm.audit_log WHERE kind = 'registration_refused' AND details->>'function' ~ '^(register|confirm)'$$, role_name => 'csm_admin'),
          'closed disabled email terms token', 'A18 administrators read why visitors were refused');
SELECT is_empty($$SELECT FROM csm.audit_log WHERE details::text LIKE '%@%'$$, 'A18 no address is in the log');

-- A wrong code: staff choose the account (X8).
CREATE FUNCTION small.assign(person text, email text, account bigint, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT small.as(person, format('SELECT status FROM csm.assign_registration(%s, %s)', (small.registration(email)).id, account), role_name => role_name)
$$;
SELECT is(small.assign('b2b agent', 'wrong.code@firm.example', small.a('north')), 'refused', 'A17 an agent does not say which account');
SELECT matches(small.assign('north admin', 'wrong.code@firm.example', small.a('north'), 'csm_portal'), '^ERROR 42501', 'A17 nor a customer');
SELECT is(small.assign('desk manager', 'wrong.code@firm.example', 999999), 'refused', 'A17 nor anybody one that is not there');
SELECT matches(small.approve('desk manager', 'wrong.code@firm.example', role_name => 'csm_agent'), '^ERROR 55000', 'R2.7 pending is not approved');
SELECT is(small.assign('desk manager', 'wrong.code@firm.example', small.a('south')), 'requested', 'A17 staff say which account');
SELECT is(small.mail('registration_requested', 'south.admin@small.example')->>'email', 'wrong.code@firm.example', 'A17 and its administrator is asked');
SELECT is(small.assign('desk manager', 'wrong.code@firm.example', small.a('north')) LIKE 'ERROR 55000%', true, 'A17 once');

-- Rejection, with a reason.
CREATE FUNCTION small.reject(person text, email text, reason text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.as(person, format('SELECT status FROM csm.reject_registration(%s, %L)', (small.registration(email)).id, reason), role_name => role_name)
$$;
SELECT is(small.reject('north admin', 'wrong.code@firm.example', 'no'), 'refused', 'A17 another account''s administrator does not reject');
SELECT matches(small.reject('south admin', 'wrong.code@firm.example', r), '^ERROR 22023', 'A17 a rejection needs a reason') FROM unnest(ARRAY[NULL, '', ' ', repeat('x', 4001)]) r;
SELECT is(small.reject('south admin', 'wrong.code@firm.example', 'Nobody knows you'), 'rejected', 'A17 rejected');
SELECT is(small.mail('registration_rejected', 'wrong.code@firm.example')->>'reason', 'Nobody knows you', 'A17 he is told why');
SELECT matches(small.approve('south admin', 'wrong.code@firm.example'), '^ERROR 55000', 'R2.7 rejected stays so');
SELECT matches(small.reject('acme admin', 'wrong.code@firm.example', 'again'), '^ERROR 55000', 'R2.7 and is not rejected twice');
SELECT is(small.reject('desk manager', 'no.code@firm.example', 'No customer', 'csm_agent'), 'rejected', 'R2.7 pending→rejected by staff');

-- Rotated and withdrawn codes.
SELECT isnt(small.as('acme admin', format('SELECT code FROM csm.rotate_registration_code(%s)', small.a('north'))), c, 'A17 a parent''s administrator rotates the code') FROM code;
SELECT is(small.contact('old.code@firm.example', c) || ' ' || small.confirm('old.code@firm.example') || ' ' || (small.registration('old.code@firm.example')).state, 'accepted confirmed pending', 'A17 the old one leads nowhere') FROM code;
UPDATE code SET c = small.as('north admin', format('SELECT code FROM csm.rotate_registration_code(%s)', small.a('north')));
SELECT is(small.contact('known@small.example', c), 'accepted', 'A17 allow: the new one') FROM code;
SELECT is(small.as('north admin', format('SELECT status || coalesce(code, '''') FROM csm.rotate_registration_code(%s, true)', small.a('north'))), 'withdrawn', 'A17 withdrawn');
SELECT is(small.contact('late@firm.example', c) || ' ' || small.confirm('late@firm.example') || ' ' || (small.registration('late@firm.example')).state, 'accepted confirmed pending', 'A17 there is none any more') FROM code;
UPDATE csm.accounts SET active = false WHERE id = small.a('north');
SELECT is(small.confirm('known@small.example') || ' ' || (small.registration('known@small.example')).state, 'confirmed pending', 'A17 an account that is not active takes nobody in');
UPDATE csm.accounts SET active = true WHERE id = small.a('north');

-- A17 by domain ----------------------------------------------------------------
INSERT INTO csm.account_domains (tenant_id, account_id, domain) VALUES (small.tenant(), small.a('north'), 'north.example');
SELECT is(small.contact('early@north.example') || ' ' || small.confirm('early@north.example') || ' ' || (small.registration('early@north.example')).state, 'accepted confirmed pending', 'A17 a domain that is not verified leads nowhere');
SELECT matches(small.as('north admin', $$UPDATE csm.account_domains SET verified_at = now()$$), '^ERROR 42501', 'A17 a customer does not vouch for himself');
SELECT is(small.as('desk manager', $$UPDATE csm.account_domains SET verified_at = now() RETURNING domain$$, role_name => 'csm_agent'), 'north.example', 'A17 staff verify');
SELECT is(small.as('north admin', 'SELECT domain FROM csm.account_domains'), 'north.example', 'A17 administrators see their domains');
SELECT is(small.as('south admin', 'SELECT domain FROM csm.account_domains'), NULL, 'A17 and nobody else''s');
SELECT is(small.contact(e) || ' ' || small.confirm(e) || ' ' || (small.registration(e)).state || ' ' || coalesce((small.registration(e)).route, '-'), s, 'A17 ' || e)
FROM (VALUES ('One@North.Example', 'accepted confirmed requested domain'), ('two@sub.north.example', 'accepted confirmed pending -'), ('three@northxexample', 'accepted confirmed pending -'),
             ('four@evil.example.north.example.evil', 'accepted confirmed pending -')) v(e, s);
SELECT is(small.contact('five@north.example', 'WRONG') || ' ' || small.confirm('five@north.example') || ' ' || (small.registration('five@north.example')).state, 'accepted confirmed pending', 'A17 a wrong code is for staff, whatever the domain');

-- Known persons: no duplicate, home stays where it is.
SELECT is(small.contact('south.contact@small.example') || ' ' || small.confirm('south.contact@small.example') || ' ' || small.assign('desk manager', 'south.contact@small.example', small.a('north'))
          || ' ' || small.approve('north admin', 'south.contact@small.example'), 'accepted confirmed requested approved', 'A17 a contact of another account');
SELECT is((SELECT string_agg(a.name || ' ' || k.is_home, ', ' ORDER BY k.id) FROM csm.contacts k JOIN csm.accounts a ON a.id = k.account_id WHERE k.user_id = small.u('south contact')), 'south true, north false', 'A17 has both personas then');
SELECT is(small.contact('north.contact@small.example') || ' ' || small.confirm('north.contact@small.example') || ' ' || small.assign('desk manager', 'north.contact@small.example', small.a('north')),
          'accepted confirmed no_longer_required', 'R2.7 pending→no_longer_required: a contact already');
UPDATE csm.contacts SET login_enabled = false WHERE id = small.k('north colleague at north');
SELECT is(small.contact('north.colleague@small.example') || ' ' || small.confirm('north.colleague@small.example') || ' ' || small.assign('desk manager', 'north.colleague@small.example', small.a('north')),
          'accepted confirmed no_longer_required', 'A17 who was disabled does not come back by registering');
SELECT is((SELECT login_enabled FROM csm.contacts WHERE id = small.k('north colleague at north')), false, 'A17 he stays disabled');

-- A12, A14: invitations --------------------------------------------------------
CREATE FUNCTION small.invite(person text, account text, email text, more text DEFAULT '', role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.as(person, format('SELECT status FROM csm.invite_contact(%s, %L, ''Invited''%s)', small.a(account), email, more), role_name => role_name)
$$;
SELECT is(small.invite('north admin', 'north', 'guest@firm.example'), 'invited', 'A12 an administrator invites');
SELECT is(small.mail('invitation', 'guest@firm.example')->>'account', 'north', 'A12 the mail says where to');
SELECT is(small.accept('guest@firm.example'), 'accepted', 'A12 the invitation is accepted');
SELECT is(small.accept('guest@firm.example'), 'refused', 'A12 once');
SELECT is(small.invite('north admin', 'north', 'secret@firm.example') || ' ' || small.accept('secret@firm.example', 'invitation', 'short') || ' ' || small.accept('secret@firm.example', 'invitation', 'correct horse battery')
          || ' ' || small.signs_in('secret@firm.example', 'correct horse battery'), 'invited too_short accepted signed_in', 'A12 with his own password, which nobody else learns');
SELECT is((SELECT k.role || ' ' || k.account_id FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id WHERE u.email = 'guest@firm.example'), 'customer ' || small.a('north'), 'A12 he is a contact');
SELECT is(small.invite('acme admin', 'plant', 'deep@firm.example'), 'invited', 'A12 down the tree');
SELECT is(small.invite('desk manager', 'umbrella', 'staff.invites@firm.example', role_name => 'csm_agent'), 'invited', 'A12 staff invite');
SELECT is(small.invite(p, 'north', 'x@firm.example'), 'refused', 'A12 no invitation by ' || p)
FROM unnest(ARRAY['south admin', 'north manager', 'north contact', 'umbrella admin', 'paragon admin', 'mother']) p;
SELECT matches(small.as('north admin', format('SELECT csm.invite_contact(%s, %L, %L)', small.a('north'), e, n)), '^ERROR 22023', format('A12 malformed: %L %L', left(e, 30), n))
FROM (VALUES ('x', 'N'), (E'a@b.example\nBcc: x@y', 'N'), ('a@b.example', ''), ('a@b.example', E'A\nB'), (NULL, 'N')) v(e, n);
SELECT is(small.invite('north admin', 'north', 'daughter@small.example') || ' ' || small.accept('daughter@small.example'), 'invited accepted', 'A12 a known person, with the same answers');
SELECT is((SELECT count(*) FROM csm.users WHERE email_key = 'daughter@small.example'), 1::bigint, 'A12 no duplicate');
SELECT is(small.invite('north admin', 'north', 'withdrawn@firm.example') || ' ' || small.reject('acme admin', 'withdrawn@firm.example', 'A mistake') || ' ' || small.accept('withdrawn@firm.example'),
          'invited rejected refused', 'A12 an invitation is withdrawn');
SELECT is(small.as('north admin', $$SELECT state FROM csm.registrations WHERE email = 'withdrawn@firm.example'$$), 'rejected', 'A12 administrators see their invitations');

SELECT is(small.invite('north admin', 'north', r || '@role.example', format(', role => %L', r)), 'invited', 'A14 allow: an administrator gives ' || r) FROM unnest(ARRAY['customer', 'customer_admin']) r;
SELECT is(small.invite('north admin', 'north', r || '@role.example', format(', role => %L', r)), 'refused', 'A14 he does not give ' || r)
FROM unnest(ARRAY['case_manager', 'case_reader', 'partner', 'partner_admin', 'admin', 'manager', 'agent', 'consumer', 'person', 'nothing', '']) r;
SELECT is(small.invite('paragon admin', 'paragon', r || '@p.example', format(', role => %L', r)), 'invited', 'A14 allow: a partner''s administrator gives ' || r) FROM unnest(ARRAY['partner', 'partner_admin', 'customer_admin']) r;
SELECT is(small.invite('desk manager', 'north', r || '@s.example', format(', role => %L', r), 'csm_agent'), 'invited', 'A14 allow: staff give ' || r) FROM unnest(ARRAY['case_manager', 'partner']) r;
SELECT is(small.invite('desk manager', 'north', r || '@s.example', format(', role => %L', r), 'csm_agent'), 'refused', 'A14 nobody makes a contact ' || r) FROM unnest(ARRAY['admin', 'manager', 'consumer']) r;
SELECT is(small.contact('role@north.example') || ' ' || small.confirm('role@north.example'), 'accepted confirmed', 'A14 a request');
SELECT is(small.approve('north admin', 'role@north.example', ', role => ''partner_admin'''), 'refused', 'A14 an approval gives no more than one''s own role');
SELECT is(small.approve('north admin', 'role@north.example', ', role => ''admin'''), 'refused', 'A14 nor one of staff');
SELECT is(small.approve('north admin', 'role@north.example', ', role => ''customer_admin'''), 'approved', 'A14 allow: one''s own');
UPDATE csm.tenants SET settings = settings || '{"assignable_roles": ["case_reader"]}' WHERE id = small.tenant();
SELECT is(small.invite('north admin', 'north', 'r@role.example', ', role => ''case_reader'''), 'invited', 'A14 the tenant says which roles can be assigned');
SELECT is(small.invite('north admin', 'north', 's@role.example', ', role => ''customer'''), 'refused', 'A14 and which not');
UPDATE csm.tenants SET settings = settings - 'assignable_roles' WHERE id = small.tenant();
SELECT throws_ok($$UPDATE csm.tenants SET settings = '{"assignable_roles": "admin"}'$$, '23514', NULL, 'A14 assignable roles are a list');

-- What was tried is recorded: for administrators of the tenant, and of an account only what was tried from within it.
SELECT is(small.as('desk admin', $$SELECT count(*) > 20 FROM csm.audit_log WHERE kind = 'registration_refused' AND details->>'function' IN ('invite_contact', 'approve_registration')$$, role_name => 'csm_admin'), 'true', 'A14 refusals are recorded');
SELECT is(small.as('acme admin', $$SELECT string_agg(DISTINCT details->>'reason', ' ') FROM csm.audit_log WHERE kind = 'registration_refused'$$), 'role', 'A14 the account''s administrators see who tried to give too much');
SELECT is(small.as('umbrella admin', $$SELECT count(*) FROM csm.audit_log WHERE kind = 'registration_refused' AND actor_id <> csm.current_user_id()$$), '0', 'A14 others do not');

-- Who invited, and lost the right since: those who have it decide.
SELECT is(small.invite('north admin', 'north', 'later@firm.example', ', role => ''customer_admin'''), 'invited', 'A14 an invitation');
UPDATE csm.contacts SET role = 'customer' WHERE id = small.k('north admin at north');
SELECT is(small.accept('later@firm.example'), 'accepted', 'A14 its sender is no administrator any more');
SELECT is((small.registration('later@firm.example')).state, 'requested', 'A14 so it is a request');
SELECT is(small.approve('north admin', 'later@firm.example'), 'refused', 'A14 which he does not decide');
SELECT is(small.approve('acme admin', 'later@firm.example'), 'approved', 'A14 allow: who is one does');
UPDATE csm.contacts SET role = 'customer_admin' WHERE id = small.k('north admin at north');

-- Rates ------------------------------------------------------------------------
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"per_source": 3, "per_email": 2, "per_account": 2}') WHERE id = small.tenant();
SELECT is((SELECT string_agg(small.consumer(format('flood%s@x.example', n), NULL, ', source => ''198.51.100.1'''), ' ' ORDER BY n) FROM generate_series(1, 5) n),
          'accepted accepted accepted refused refused', 'A18 so many from one source');
SELECT is(small.consumer('flood6@x.example', NULL, ', source => ''198.51.100.2'''), 'accepted', 'A18 another source is not concerned');
SELECT is((SELECT string_agg(small.consumer('victim@x.example', NULL, format(', source => ''203.0.113.%s''', n)), ' ' ORDER BY n) FROM generate_series(1, 4) n),
          'accepted accepted refused refused', 'A18 so many mails to one address, from wherever');
-- A visitor who rolls back what he did is counted all the same.
SELECT is((SELECT string_agg(small.run(NULL, 'csm_guest', format('SELECT status FROM csm.register_consumer(''undone%s@x.example'', ''X'', source => ''198.51.100.9'')', n)), ' ' ORDER BY n) FROM generate_series(1, 5) n),
          'accepted accepted accepted refused refused', 'A18 a rollback does not take the count back');
SELECT is((SELECT count(*) FROM csm.registrations WHERE email LIKE 'undone%'), 0::bigint, 'A18 (it was rolled back)');
INSERT INTO csm.account_domains (tenant_id, account_id, domain, verified_at) VALUES (small.tenant(), small.a('globex'), 'globex.example', now());
SELECT is((SELECT string_agg(small.contact(format('flood%s@globex.example', n), NULL, NULL, format(', source => ''192.0.2.%s''', n)) || small.confirm(format('flood%s@globex.example', n)), ' ' ORDER BY n) FROM generate_series(1, 4) n),
          'acceptedconfirmed acceptedconfirmed acceptedconfirmed acceptedconfirmed', 'A17 a flood of one account gets the same answers');
SELECT is((SELECT string_agg(state, ' ' ORDER BY id) FROM csm.registrations WHERE email LIKE 'flood%globex.example'), 'requested requested pending pending', 'A17 but what is too much waits for staff');
SELECT matches((SELECT string_agg(small.invite('south admin', 'south', format('i%s@x.example', n)), ' ' ORDER BY n) FROM generate_series(1, 3) n), '^invited invited ERROR SM007', 'SM007 so many invitations of one account');

-- Time ------------------------------------------------------------------------
UPDATE csm.tenants SET settings = jsonb_set(settings, '{registration}', '{"per_source": 1000}') WHERE id = small.tenant();
SELECT is(small.consumer('slow@shop.example') || small.contact('slow@firm.example') || small.invite('north admin', 'north', 'slow.guest@firm.example'), 'acceptedacceptedinvited', 'R2.7 three that are never answered');
UPDATE csm_private.registration_tokens SET expires_at = clock_timestamp() - interval '1 second' WHERE registration_id IN (SELECT id FROM csm.registrations WHERE email LIKE 'slow%');
SELECT is(small.confirm('slow@shop.example') || small.accept('slow.guest@firm.example'), 'refusedrefused', 'A18 an expired token is refused');
SELECT is((SELECT done > 2 AND failed = 0 FROM csm.run_due(clock_timestamp() + interval '30 days') WHERE kind = 'registration'), true, 'R2.7 what is overdue is ended');
SELECT is_empty($$SELECT FROM csm.registrations WHERE email IN ('slow@shop.example', 'slow@firm.example')$$, 'A18 an address that nobody has proven is forgotten');
SELECT is((small.registration('slow.guest@firm.example')).state, 'no_longer_required', 'R2.7 pending→no_longer_required: an invitation that was not answered');
SELECT is_empty('SELECT FROM csm_private.registration_tokens', 'A18 no token is left');

-- The machine, for a superuser too.
CREATE FUNCTION small.transition(of_kind text, from_state text, to_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('csm.restoring', 'on', true);
    INSERT INTO csm.registrations (tenant_id, kind, state, email, display_name, account_id, role, confirmed_at, decided_at, user_id, reason)
    VALUES (small.tenant(), of_kind, from_state, 'm@m.example', 'M', CASE WHEN of_kind <> 'consumer' THEN small.a('plant') END, CASE WHEN of_kind <> 'consumer' THEN 'customer' END,
            now(), CASE WHEN from_state NOT IN ('pending', 'requested') THEN now() END, small.u('son'), 'because') RETURNING id INTO made;
    PERFORM set_config('csm.restoring', 'off', true);
    UPDATE csm.registrations SET state = to_state, decided_at = CASE WHEN to_state NOT IN ('pending', 'requested') THEN now() END WHERE id = made;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN RETURN 'ok'; WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(small.transition(k, f, t),
          CASE WHEN f = t OR (f, t) IN (('pending', 'rejected'), ('pending', 'no_longer_required'))
                 OR k <> 'consumer' AND (f, t) IN (('pending', 'requested'), ('requested', 'approved'), ('requested', 'rejected'), ('requested', 'no_longer_required'))
                 OR k <> 'contact' AND (f, t) = ('pending', 'approved') THEN 'ok' ELSE '55000' END, format('R2.7 %s %s→%s', k, f, t))
FROM unnest('{consumer,contact,invitation}'::text[]) k, unnest('{pending,requested,approved,rejected,no_longer_required}'::text[]) f,
     unnest('{pending,requested,approved,rejected,no_longer_required}'::text[]) t
WHERE NOT (k = 'consumer' AND 'requested' IN (f, t));
SELECT throws_ok(format($$INSERT INTO csm.registrations (tenant_id, kind, state, email, display_name, decided_at, reason) VALUES (small.tenant(), 'contact', %L, 'm@m.example', 'M', now(), 'r')$$, s), '55000', NULL,
                 'R2.7 a registration does not begin as ' || s) FROM unnest('{requested,approved,rejected,no_longer_required}'::text[]) s;
SELECT * FROM finish();
ROLLBACK;
