-- Sessions and API keys: what a token gives, what ends it, who sees and ends it.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/tokens.sql
SELECT * FROM no_plan();
\set sees 'SELECT coalesce(csm.current_user_id()::text, ''nobody'') || '':'' || count(*) FROM csm.cases'
CREATE FUNCTION small.seen(person text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, 'SELECT coalesce(csm.current_user_id()::text, ''nobody'') || '':'' || count(*) FROM csm.cases', persona);
CREATE TEMP TABLE t (name text PRIMARY KEY, token text NOT NULL);
GRANT SELECT ON t TO csm_portal, csm_agent, csm_admin;
CREATE FUNCTION pg_temp.t(text) RETURNS text LANGUAGE sql STABLE RETURN (SELECT token FROM t WHERE name = $1);

-- A session.
INSERT INTO t VALUES ('manager', small.start('north manager')), ('second', small.start('north manager')), ('contact', small.start('north contact')),
    ('mother', small.start('mother')), ('agent', small.start('b2b agent', 'csm_agent'));
SELECT matches(token, '^[A-Za-z0-9_-]{43}$', 'D2 the token of ' || name || ' is 256 bits in base64url') FROM t;
SELECT is(count(DISTINCT token), 5::bigint, 'D2 no two are alike') FROM t;
SELECT ok(NOT EXISTS (SELECT FROM csm.sessions s, t WHERE s::text LIKE '%' || t.token || '%')
          AND NOT EXISTS (SELECT FROM csm_private.session_tokens s, t WHERE s::text LIKE '%' || t.token || '%')
          AND NOT EXISTS (SELECT FROM csm.audit_log s, t WHERE s::text LIKE '%' || t.token || '%'), 'D2 no token is stored');
SELECT is((SELECT token_hash FROM csm_private.session_tokens WHERE session_id = small.session_of(pg_temp.t('manager'))),
          sha256(convert_to(pg_temp.t('manager'), 'UTF8')), 'D2 its SHA-256 is');
SELECT is(small.by(pg_temp.t('manager'), 'csm_portal', :'sees'), small.seen('north manager'), 'D2 a token gives what its person has');
SELECT isnt(small.seen('north manager'), small.seen('north contact'), 'D2 and the two people differ');
SELECT is(small.by(pg_temp.t('contact'), 'csm_portal', :'sees'), small.seen('north contact'), 'D2 another token another person');
SELECT is(small.by(pg_temp.t('agent'), 'csm_agent', :'sees'), small.seen('b2b agent', 'csm_agent'), 'D2 staff on a connection for staff');
SELECT is(small.by(pg_temp.t('agent'), 'csm_portal', :'sees'), small.seen('b2b agent', 'csm_portal'), 'D2 and not elsewhere');
SELECT is(small.by(pg_temp.t('manager'), 'csm_portal', :'sees', 'contact:' || small.k('north manager at north')), small.seen('north manager', 'csm_portal', 'contact:' || small.k('north manager at north')),
          'D2 a session can be narrowed to a persona');
SELECT is(small.by(pg_temp.t('manager'), 'csm_portal', :'sees', 'consumer'), small.seen('north manager', 'csm_portal', 'consumer'), 'D2 which he may not hold');

-- What is no token.
SELECT is(small.by(x, 'csm_portal', :'sees'), 'refused', 'D2 no token: ' || left(coalesce(x, 'NULL'), 20))
FROM unnest(ARRAY['', 'x', left(pg_temp.t('manager'), 42), pg_temp.t('manager') || 'x', upper(pg_temp.t('manager')), ' ' || pg_temp.t('manager'),
                  pg_temp.t('manager') || '=', encode(sha256(convert_to(pg_temp.t('manager'), 'UTF8')), 'hex'), 'csmk_' || pg_temp.t('manager'),
                  repeat('a', 43), repeat('a', 1000000), small.u('north manager')::text, small.session_of(pg_temp.t('manager'))::text, NULL]) x;

-- Who starts one.
SELECT is(small.run(NULL, 'csm_portal', 'SELECT csm.start_session()'), 'ERROR 42501: permission denied to start a session', 'D2 nobody starts no session');
SELECT is(small.run(small.u('north manager'), 'csm_portal', 'SELECT csm.start_session('''')') LIKE 'ERROR 22023%', true, '22023 an empty label');
SELECT is(small.run(small.u('north manager'), 'csm_guest', 'SELECT csm.start_session()') LIKE 'ERROR 42501%', true, 'D2 not on a connection for guests');

-- Idle and absolute end; the tenant sets both.
SELECT is((SELECT (idle_minutes, expires_at - created_at BETWEEN interval '11:59' AND interval '12:01')::text FROM csm.sessions WHERE id = small.session_of(pg_temp.t('manager'))),
          '(30,t)', 'D2 half an hour idle, twelve hours in all');
UPDATE csm.tenants SET settings = '{"session_idle_minutes": 5, "session_hours": 1, "api_key_days": "x"}' WHERE key = 'small';
INSERT INTO t VALUES ('short', small.start('south contact'));
SELECT is((SELECT (idle_minutes, expires_at - created_at BETWEEN interval '0:59' AND interval '1:01')::text FROM csm.sessions WHERE id = small.session_of(pg_temp.t('short'))),
          '(5,t)', 'D2 or as the tenant sets it');
SELECT is(csm_private.session_setting(small.tenant(), 'api_key_days'), 365, 'D2 what is no number counts as not set');
UPDATE csm.tenants SET settings = '{"session_idle_minutes": -5, "session_hours": 1e300}' WHERE key = 'small';
SELECT is((csm_private.session_setting(small.tenant(), 'session_idle_minutes'), csm_private.session_setting(small.tenant(), 'session_hours'))::text, '(2,8760)', 'D2 out of range as the nearest');
UPDATE csm.tenants SET settings = '{}' WHERE key = 'small';

UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '4 minutes 50 seconds' WHERE id = small.session_of(pg_temp.t('short'));
SELECT is(small.by(pg_temp.t('short'), 'csm_portal', :'sees'), small.seen('south contact'), 'D2 shortly before the idle end');
SELECT cmp_ok((SELECT clock_timestamp() - last_used_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('short'))), '<', interval '1 minute',
              'D2 renews it, though what was done then was rolled back');
UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '50 seconds' WHERE id = small.session_of(pg_temp.t('short'));
CREATE TEMP TABLE used AS SELECT last_used_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('short'));
SELECT is(small.by(pg_temp.t('short'), 'csm_portal', :'sees'), small.seen('south contact'), 'D2 a use within the minute');
SELECT is((SELECT last_used_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('short'))), (SELECT last_used_at FROM used), 'D2 is not written');
UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '5 minutes 1 second' WHERE id = small.session_of(pg_temp.t('short'));
SELECT is(small.by(pg_temp.t('short'), 'csm_portal', :'sees'), 'refused', 'D2 after the idle end');
UPDATE csm.sessions SET last_used_at = clock_timestamp(), expires_at = clock_timestamp() WHERE id = small.session_of(pg_temp.t('short'));
SELECT is(small.by(pg_temp.t('short'), 'csm_portal', :'sees'), 'refused', 'D2 after the absolute end, however busy');

-- From a session another.
UPDATE csm.sessions SET expires_at = clock_timestamp() + interval '20 minutes' WHERE id = small.session_of(pg_temp.t('contact'));
INSERT INTO t VALUES ('child', small.by(pg_temp.t('contact'), 'csm_portal', 'SELECT csm.start_session()', NULL, true));
SELECT is((SELECT expires_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('child'))), (SELECT expires_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('contact'))),
          'D2 a session started from a session does not outlive it');
SELECT is(small.by(pg_temp.t('child'), 'csm_portal', :'sees'), small.seen('north contact'), 'D2 but gives the same');
UPDATE csm.sessions SET expires_at = clock_timestamp() WHERE id = small.session_of(pg_temp.t('child'));
SELECT matches(small.start('north contact'), '^[A-Za-z0-9_-]{43}$', 'D2 the next start');
SELECT is(small.session_of(pg_temp.t('child')), NULL, 'D2 clears away what has ended');
DO $$ BEGIN FOR i IN 1 .. 101 LOOP PERFORM small.start('plant contact'); END LOOP; END $$;
SELECT is((SELECT count(*) FROM csm.sessions WHERE user_id = small.u('plant contact')), 100::bigint, 'D2 a hundred sessions at most');

-- Who sees which.
CREATE FUNCTION small.listed(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, 'SELECT string_agg(DISTINCT u.display_name, '','' ORDER BY u.display_name) FROM csm.sessions s JOIN small.named n ON n.id = s.user_id AND n.kind = ''user'' JOIN (SELECT id, name FROM small.named WHERE kind = ''user'') u(id, display_name) ON u.id = s.user_id');
GRANT SELECT ON small.named TO csm_portal, csm_agent, csm_admin;
SELECT is(small.listed('north manager'), 'north manager', 'D2 everybody sees his own sessions');
SELECT is(small.listed('north contact'), 'north contact', 'D2 and nobody else''s');
SELECT is(small.listed('north admin'), 'north contact,north manager,plant contact', 'A13 an administrator of customers those of the contacts in his reach');
SELECT is(small.listed('south admin'), 'south contact', 'D2 and of no other account');
SELECT is(small.listed('mother'), 'mother', 'D2 a consumer her own');
SELECT is(small.listed('desk admin', 'csm_admin'), 'b2b agent,mother,north contact,north manager,plant contact,south contact', 'A13 the administrator all');
SELECT is(small.listed('desk manager', 'csm_agent'), small.listed('desk admin', 'csm_admin'), 'D2 so does staff with person_manage');
SELECT is(small.listed('b2b agent', 'csm_agent'), 'b2b agent', 'D2 an agent his own');
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.sessions'), '0', 'V14 nobody sees none');
SELECT is(small.run((SELECT u.id FROM csm.users u WHERE u.email = 'admin@foreign.example'), 'csm_admin', 'SELECT count(*) FROM csm.sessions'), '0', 'V13 nor does another tenant''s administrator');
INSERT INTO t VALUES ('three', small.start('all three'));
SELECT is(small.listed('south admin'), 'south contact', 'D2 a person with a persona elsewhere is not in his reach');
SELECT is(small.run(small.u('north manager'), 'csm_portal', 'DELETE FROM csm.sessions RETURNING 1') LIKE 'ERROR 42501%', true, 'D2 nobody writes the table');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'UPDATE csm.sessions SET expires_at = ''infinity'' RETURNING 1') LIKE 'ERROR 42501%', true, 'A13 not even administrators');

-- Ending one.
CREATE FUNCTION small.revokes(person text, name text, role_name text DEFAULT 'csm_portal', keep boolean DEFAULT false) RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, format('SELECT csm.revoke_session(%s)', coalesce(small.session_of(pg_temp.t(name))::text, 'NULL')), NULL, keep);
SELECT is(small.revokes('north contact', 'manager'), 'false', 'D2 another''s session is not ended');
SELECT is(small.revokes('south admin', 'manager'), 'false', 'A13 nor by an administrator elsewhere');
SELECT is(small.revokes('south admin', 'three'), 'false', 'D2 nor where the person has a persona elsewhere');
SELECT is(small.run(small.u('north contact'), 'csm_portal', 'SELECT csm.revoke_session(900000000000)'), 'false', 'V15 one that does not exist: the same answer');
SELECT is(small.run(NULL, 'csm_portal', 'SELECT csm.revoke_session(1)') LIKE 'ERROR 42501%', true, 'V14 nobody ends nothing');
SELECT is(small.revokes('north manager', 'second', keep => true), 'true', 'D2 one''s own');
SELECT is(small.by(pg_temp.t('second'), 'csm_portal', :'sees'), 'refused', 'D2 is ended');
SELECT is(small.by(pg_temp.t('manager'), 'csm_portal', :'sees'), small.seen('north manager'), 'D2 the other goes on');
SELECT is(small.revokes('north admin', 'manager', keep => true), 'true', 'A13 by his administrator');
SELECT is(small.by(pg_temp.t('manager'), 'csm_portal', :'sees'), 'refused', 'D2 that one is ended too');
SELECT is((SELECT string_agg(kind, ',' ORDER BY id) FROM csm.audit_log WHERE subject_user_id = small.u('north manager')), 'session_started,session_started,session_revoked,session_revoked', 'D2 all of it is recorded');
SELECT is(small.run(small.u('south admin'), 'csm_portal', format('SELECT csm.revoke_all_sessions(%s)', small.u('all three'))) LIKE 'ERROR 42501%', true, 'D2 all of a person beyond one''s reach: no');
SELECT is(small.run(small.u('south admin'), 'csm_portal', 'SELECT csm.revoke_all_sessions(900000000000)') LIKE 'ERROR 42501: permission denied to revoke the sessions of user 900000000000', true, 'V15 nor of nobody, in the same words');
SELECT is(small.run(small.u('all three'), 'csm_portal', 'SELECT csm.revoke_all_sessions()', NULL, true), '1', 'D2 all of one''s own');
SELECT is(small.by(pg_temp.t('three'), 'csm_portal', :'sees'), 'refused', 'D2 end');
SELECT is(small.run(small.u('north admin'), 'csm_portal', format('SELECT csm.revoke_all_sessions(%s)', small.u('plant contact')), NULL, true), '100', 'D2 all of a contact in one''s reach');

-- At once, in the transaction in which he is signed in.
INSERT INTO t VALUES ('open', small.start('south contact'));
SELECT csm_private.sign_in_by_token(pg_temp.t('open'), true) = small.u('south contact') AS ok \gset
SELECT ok(:'ok', 'V10 signed in');
SET LOCAL ROLE csm_portal;
SELECT isnt(count(*), 0::bigint, 'V10 sees his cases') FROM csm.cases;
RESET ROLE;
DELETE FROM csm.sessions WHERE id = small.session_of(pg_temp.t('open'));
SET LOCAL ROLE csm_portal;
SELECT is(count(*), 0::bigint, 'V10 the session is gone: no case from the next statement on') FROM csm.cases;
SELECT is(csm.current_user_id(), NULL, 'V10 and nobody');
RESET ROLE;
SELECT set_config('csm.user_id', '', true);

-- What ends with a login.
INSERT INTO t VALUES ('before', small.start('acme contact')), ('three again', small.start('all three')), ('student', small.start('student'));
UPDATE csm.users SET enabled = false WHERE id = small.u('acme contact');
UPDATE csm.users SET enabled = true WHERE id = small.u('acme contact');
SELECT is(small.by(pg_temp.t('before'), 'csm_portal', :'sees'), 'refused', 'A13 a person who was disabled has no session left, also when he comes back');
INSERT INTO t VALUES ('after', small.start('acme contact'));
SELECT is(small.by(pg_temp.t('after'), 'csm_portal', :'sees'), small.seen('acme contact'), 'D2 he signs in anew');
UPDATE csm.users SET phone = '1' WHERE id = small.u('acme contact');
UPDATE csm.contacts SET is_home = false WHERE user_id = small.u('acme contact');
SELECT is(small.by(pg_temp.t('after'), 'csm_portal', :'sees'), small.seen('acme contact'), 'D2 other changes end nothing');
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('acme contact');
SELECT is(small.by(pg_temp.t('after'), 'csm_portal', :'sees'), 'refused', 'A13 the login of his last persona was disabled');
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('all three');
SELECT is(small.by(pg_temp.t('three again'), 'csm_portal', :'sees'), small.seen('all three'), 'A13 with another persona the session goes on, without the one that ended');
INSERT INTO t VALUES ('student key', small.run(small.u('student'), 'csm_portal', 'SELECT csm.create_api_key(''k'')', NULL, true)), ('guardian', small.start('guardian'));
SELECT csm_private.set_password(small.tenant(), small.u('guardian'), 'correct horse battery');
SELECT is(small.by(pg_temp.t('guardian'), 'csm_portal', :'sees'), 'refused', 'D2 sessions end when the password changes');
SELECT csm_private.set_password(small.tenant(), small.u('student'), 'correct horse battery');
SELECT is(small.by(pg_temp.t('student key'), 'csm_portal', :'sees'), small.seen('student'), 'D2 API keys do not');
INSERT INTO t VALUES ('student again', small.start('student'));
UPDATE csm.tenants SET enabled = false WHERE key = 'small';
SELECT is(small.by(pg_temp.t('student again'), 'csm_portal', 'SELECT coalesce(csm.current_user_id()::text, ''nobody'') || '':'' || count(*) FROM csm.cases'), 'nobody:0', 'V10 a disabled tenant has nobody');
UPDATE csm.tenants SET enabled = true WHERE key = 'small';

-- API keys.
CREATE FUNCTION small.key(person text, arguments text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, format('SELECT csm.create_api_key(%s)', arguments), persona, true);
INSERT INTO t VALUES ('key', small.key('north admin', '''all''')), ('reads', small.key('north admin', '''reads'', actions => ''{case_read}''')),
    ('as contact', small.key('all three', '''one persona'', ''consumer''')), ('desk', small.key('desk manager', '''desk'', ''staff:manager'', ''{case_read,case_work}''', 'csm_agent'));
SELECT matches(token, '^csmk_[A-Za-z0-9_-]{43}$', 'D2 a key can be told from a session: ' || name) FROM t WHERE name IN ('key', 'reads', 'as contact', 'desk');
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', :'sees'), small.seen('north admin'), 'D2 a key gives what its person has');
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', :'sees'), small.seen('north admin'), 'D2 one that reads sees the same cases');
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', format('SELECT (csm.comment(%s, ''hello'')).body', small.c('north: pump'))), 'hello', 'D2 allow: a comment by key');
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', format('SELECT (csm.comment(%s, ''hello'')).body', small.c('north: pump'))) LIKE 'ERROR 42501%', true, 'D2 deny: not by one that reads');
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', format('INSERT INTO csm.case_entries (case_id, body) VALUES (%s, ''hello'') RETURNING body', small.c('north: pump'))) LIKE 'ERROR 42501%', true, 'D2 deny: nor by plain INSERT');
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', 'INSERT INTO csm.cases (subject) VALUES (''x'') RETURNING subject'), 'x', 'D2 allow: opens a case');
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', 'INSERT INTO csm.cases (subject) VALUES (''x'') RETURNING subject') LIKE 'ERROR 42501%', true, 'D2 deny: opens none');
SELECT isnt(small.by(pg_temp.t('key'), 'csm_portal', 'SELECT count(*) FROM csm.contacts WHERE user_id <> csm.current_user_id()'), '0', 'D2 allow: contacts');
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', 'SELECT count(*) FROM csm.contacts WHERE user_id <> csm.current_user_id()'), '0', 'D2 deny: contacts without contact_read');
SELECT is(small.by(pg_temp.t('as contact'), 'csm_portal', :'sees'), small.seen('all three', 'csm_portal', 'consumer'), 'D2 a key of one persona');
SELECT isnt(small.seen('all three', 'csm_portal', 'consumer'), small.seen('all three'), 'D2 which is less than all');
SELECT is(small.by(pg_temp.t('as contact'), 'csm_portal', :'sees', 'consumer'), small.seen('all three', 'csm_portal', 'consumer'), 'D2 narrowed to the same');
SELECT is(small.by(pg_temp.t('as contact'), 'csm_portal', :'sees', 'employee'), 'nobody:0', 'D2 another persona is nobody');
SELECT is(small.by(pg_temp.t('desk'), 'csm_agent', :'sees'), small.seen('desk manager', 'csm_agent'), 'D2 a key of staff');
SELECT is(small.by(pg_temp.t('desk'), 'csm_agent', 'UPDATE csm.users SET phone = ''1'' WHERE id <> csm.current_user_id() RETURNING 1') IS NULL, true, 'D2 deny: person_manage is not among its actions');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('UPDATE csm.users SET phone = ''1'' WHERE id = %s RETURNING 1', small.u('student'))), '1', 'D2 allow: he himself has it');
SELECT is(small.by(pg_temp.t('desk'), 'csm_portal', :'sees'), small.seen('desk manager', 'csm_portal', 'staff:manager'), 'D2 a key of staff on a connection for customers');
-- Never more than the person himself has.
DELETE FROM csm.user_roles WHERE user_id = small.u('desk manager');
SELECT is(small.by(pg_temp.t('desk'), 'csm_agent', :'sees'), small.u('desk manager') || ':0', 'D2 a key loses what its person loses');
SELECT is(small.key('north contact', '''x'', ''staff:manager''') LIKE 'ERROR 42501%', true, 'D2 no key for a persona that one does not hold');
SELECT is(small.key('north contact', format('''x'', ''contact:%s''', small.k('north admin at north'))) LIKE 'ERROR 42501%', true, 'D2 nor for another''s');
SELECT is(small.key('all three', '''x'', ''consumer''', persona => 'employee') LIKE 'ERROR 42501%', true, 'D2 who narrowed himself makes none for what he left');
INSERT INTO t VALUES ('narrow', small.key('all three', '''x''', persona => 'employee'));
SELECT is((SELECT persona FROM csm.sessions WHERE id = small.session_of(pg_temp.t('narrow'))), 'employee', 'D2 but for the one that he kept');
INSERT INTO t VALUES ('wish', small.key('north contact', '''x'', actions => ''{configure,case_work,person_manage,case_read}'''));
SELECT is(small.by(pg_temp.t('wish'), 'csm_portal', :'sees'), small.seen('north contact'), 'D2 actions that its person does not hold give nothing');
SELECT is(small.by(pg_temp.t('wish'), 'csm_agent', :'sees'), small.seen('north contact', 'csm_agent'), 'D2 on no connection');
SELECT is(small.key('north contact', bad) LIKE error || '%', true, error || ' ' || bad)
FROM (VALUES ('NULL', 'ERROR 22023'), ('''''', 'ERROR 22023'), ('''x'', actions => ''{}''', 'ERROR 22023'), ('''x'', actions => ''{root}''', 'ERROR 22023'), ('''x'', actions => ''{NULL}''', 'ERROR 22023'),
             ('''x'', expires_at => ''infinity''', 'ERROR 22023'), ('''x'', expires_at => clock_timestamp()', 'ERROR 22023'), ('''x'', expires_at => clock_timestamp() + interval ''366 days''', 'ERROR 22023'),
             ('''x'', ''king''', 'ERROR 42501')) v(bad, error);
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', s) LIKE 'ERROR 42501%', true, 'D2 a key does not ' || s)
FROM unnest(ARRAY['SELECT csm.start_session()', 'SELECT csm.create_api_key(''x'')', 'SELECT csm.revoke_all_sessions()', 'SELECT csm.revoke_session(1)']) s;
SELECT is((SELECT (kind, idle_minutes, label, expires_at - created_at BETWEEN interval '89 days' AND interval '91 days')::text FROM csm.sessions WHERE id = small.session_of(pg_temp.t('key'))), '(key,,all,t)', 'D2 a key ends after ninety days, idle or not');
UPDATE csm.sessions SET last_used_at = clock_timestamp() - interval '40 days' WHERE id = small.session_of(pg_temp.t('key'));
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', :'sees'), small.seen('north admin'), 'D2 allow: after forty idle days');
SELECT cmp_ok((SELECT clock_timestamp() - last_used_at FROM csm.sessions WHERE id = small.session_of(pg_temp.t('key'))), '<', interval '1 minute', 'D2 its use is noted');
UPDATE csm.sessions SET expires_at = clock_timestamp() WHERE id = small.session_of(pg_temp.t('reads'));
SELECT is(small.by(pg_temp.t('reads'), 'csm_portal', :'sees'), 'refused', 'D2 deny: after its end');
SELECT is(small.run(small.u('north admin'), 'csm_portal', 'SELECT csm.revoke_all_sessions(keys => false)', NULL, true), '0', 'D2 sessions alone');
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', :'sees'), small.seen('north admin'), 'D2 leave the keys');
SELECT is(small.revokes('north admin', 'key', keep => true), 'true', 'D2 a key is revoked as a session is');
SELECT is(small.by(pg_temp.t('key'), 'csm_portal', :'sees'), 'refused', 'D2 and gone');
UPDATE csm.tenants SET settings = '{"api_key_days": 0}' WHERE key = 'small';
SELECT is(small.key('north contact', '''x''') LIKE 'ERROR 42501%', true, 'D2 a tenant may forbid keys');
UPDATE csm.tenants SET settings = '{}' WHERE key = 'small';
SELECT is(small.run(small.u('employee'), 'csm_portal', 'SELECT count(csm.create_api_key(''x'' || i)) FROM generate_series(1, 50) i'), '50', 'D2 allow: fifty keys');
SELECT is(small.run(small.u('employee'), 'csm_portal', 'SELECT count(csm.create_api_key(''x'' || i)) FROM generate_series(1, 51) i') LIKE 'ERROR SM007%', true, 'SM007 not fifty-one');

SELECT * FROM finish();
ROLLBACK;
