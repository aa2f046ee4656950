-- Passwords: lock-out that no rollback undoes, resets, and answers that tell a stranger nothing.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();
SET LOCAL csm.tenant = 'small';
SELECT csm_private.set_password(small.tenant(), small.u(n), 'right horse of ' || n) FROM unnest('{north contact,mother,b2b agent,student,viewer}'::text[]) n;

-- A statement as a visitor, or as somebody; and who is signed in after it.
CREATE FUNCTION small.visit(statement text, person bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    me bigint;
BEGIN
    PERFORM set_config('csm.user_id', coalesce(person::text, ''), true);
    PERFORM set_config('role', CASE WHEN person IS NULL THEN 'csm_guest' ELSE 'csm_portal' END, true);
    EXECUTE statement INTO answer;
    me := csm.current_user_id();
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN answer || coalesce(': ' || (SELECT display_name FROM csm.users WHERE id = me), '');
END $$;
CREATE FUNCTION small.logs_in(login text, password text, source text DEFAULT 'test') RETURNS text LANGUAGE sql
AS $$ SELECT small.visit(format('SELECT status FROM csm.sign_in_password(%L, %L, %L)', login, password, source)) $$;
CREATE FUNCTION small.reason() RETURNS text LANGUAGE sql AS $$ SELECT details->>'reason' FROM csm.audit_log WHERE kind = 'sign_in_refused' ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION small.mailed(person text) RETURNS text LANGUAGE sql AS $$ SELECT payload->>'token' FROM csm.outbox WHERE user_id = small.u(person) ORDER BY id DESC LIMIT 1 $$;

-- Who gets in.
SELECT is(small.logs_in('north.contact@small.example', 'right horse of north contact'), 'signed_in: north contact', 'A35 e-mail and password');
SELECT is(small.logs_in(' North.Contact@SMALL.example ', 'right horse of north contact'), 'signed_in: north contact', 'A35 the address however it is written');
UPDATE csm.users SET external_id = 'S-1' WHERE id = small.u('student');
SELECT is(small.logs_in('S-1', 'right horse of student'), 'signed_in: student', 'A35 by external id');
SELECT is(small.logs_in('north.contact@small.example', 'right horse of mother'), 'refused', 'A35 not with another''s password');
SELECT is(small.reason(), 'wrong_password', 'A35 the audit log knows why');
SELECT is(small.logs_in('north.contact@small.example', 'Right horse of north contact'), 'refused', 'A35 upper and lower case count');
SELECT is(small.logs_in('nobody@small.example', 'right horse of north contact'), 'refused', 'A35 nobody is known so');
SELECT is(small.reason(), 'no_password', 'A35 the audit log knows why');
SELECT is(small.logs_in('son@small.example', 'right horse of son'), 'refused', 'A35 nor who has no password');
SELECT is(small.visit($$SELECT status FROM csm.sign_in_password(NULL, NULL)$$), 'refused', 'A35 NULL is refused');
SELECT is(small.visit($$SELECT status FROM csm.sign_in_password('north.contact@small.example', repeat('x', 100000))$$), 'refused', 'A35 so is what is too long');
SELECT is(small.logs_in($$' OR true --$$, $$' OR true --$$), 'refused', 'A35 and SQL');
UPDATE csm.users SET enabled = false WHERE id = small.u('mother');
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'refused', 'A35 a disabled person is refused');
UPDATE csm.users SET enabled = true WHERE id = small.u('mother');
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'signed_in: mother', 'A35 and enabled again is not');
SET LOCAL csm.tenant = 'foreign';
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'refused', 'V13 not in another tenant');
SET LOCAL csm.tenant = 'nowhere';
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'refused', 'V13 nor in none');
SET LOCAL csm.tenant = 'small';
-- Unicode: composed and decomposed are one password.
SELECT csm_private.set_password(small.tenant(), small.u('son'), U&'Stra\00dfe nach \00c5lborg');
SELECT is(small.logs_in('son@small.example', U&'Stra\00dfe nach A\030alborg'), 'signed_in: son', 'A35 the same characters, composed otherwise');

-- A refusal leaves nobody.
SELECT is(small.visit($$SELECT status FROM csm.sign_in_password('mother@small.example', 'wrong')$$, small.u('north contact')), 'refused', 'A35 a wrong password leaves nobody, whoever was before');

-- Lock-out: a hundred wrong passwords, each rolled back.
DO $$
BEGIN
    FOR i IN 1..100 LOOP
        BEGIN
            PERFORM csm.sign_in_password('b2b.agent@small.example', 'guess ' || i, 'attacker');
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
        EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        END;
    END LOOP;
END $$;
SELECT is(small.logs_in('b2b.agent@small.example', 'right horse of b2b agent'), 'refused', 'A35 100 wrong passwords, each rolled back, lock the login');
SELECT is(small.reason(), 'locked', 'A35 which is why the right one is refused');
SELECT is(small.logs_in('north.contact@small.example', 'right horse of north contact'), 'signed_in: north contact', 'A35 others are not locked');
SELECT ok(EXISTS (SELECT FROM csm_private.attempts WHERE count >= 5 AND free_at > clock_timestamp() AND expires_at = free_at + interval '1 hour'),
          'A35 after five wrong ones the login pauses, for an hour it is not forgotten');
-- Pauses of two, four and five seconds.
INSERT INTO csm.password_policies (tenant_id, free_attempts, first_pause, longest_pause) VALUES (small.tenant(), 2, '2 seconds', '5 seconds');
CREATE FUNCTION small.guesses() RETURNS text LANGUAGE sql AS $$ SELECT small.logs_in('viewer@small.example', 'guess'); SELECT small.reason() $$;
CREATE FUNCTION small.opens() RETURNS text LANGUAGE sql AS $$ SELECT small.logs_in('viewer@small.example', 'right horse of viewer') $$;
CREATE FUNCTION small.after(seconds double precision) RETURNS text LANGUAGE sql AS $$ SELECT pg_sleep(seconds); SELECT small.guesses() $$;
SELECT is(ARRAY[small.guesses(), small.guesses(), small.guesses()], '{wrong_password,wrong_password,locked}', 'A35 the first pause begins when what is allowed is used up');
SELECT is(small.opens(), 'refused', 'A35 in it the right password is refused');
SELECT is(small.after(2.1), 'wrong_password', 'A35 when it ends one attempt is looked at');
SELECT is(small.after(2.1), 'locked', 'A35 a wrong one begins a pause twice as long');
SELECT is(small.after(2.1), 'wrong_password', 'A35 which ends');
SELECT is(small.after(5.1), 'wrong_password', 'A35 the longest pause is as long as the policy says');
SELECT pg_sleep(5.1);
SELECT is(small.opens(), 'signed_in: viewer', 'A35 the right password opens after the pause');
SELECT is(ARRAY[small.guesses(), small.opens()], '{wrong_password,signed_in: viewer}', 'A35 and all begins anew');
DELETE FROM csm.password_policies;
-- A good one forgives.
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'signed_in: mother', 'A35 a right one');
SELECT small.logs_in('mother@small.example', 'guess') FROM generate_series(1, 4);
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'signed_in: mother', 'A35 four wrong ones lock nobody');
SELECT small.logs_in('mother@small.example', 'guess') FROM generate_series(1, 4);
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'signed_in: mother', 'A35 a right one begins anew');
-- Per source.
INSERT INTO csm.password_policies (tenant_id, source_attempts) VALUES (small.tenant(), 3);
SELECT small.logs_in(i || '@small.example', 'guess', '192.0.2.7') FROM generate_series(1, 3) i;
SELECT is(small.logs_in('mother@small.example', 'right horse of mother', '192.0.2.7'), 'refused', 'A35 a source that guesses is refused, whoever it says it is');
SELECT is(small.reason(), 'source_limit', 'A35 for that reason');
SELECT is(small.logs_in('mother@small.example', 'right horse of mother', '192.0.2.8'), 'signed_in: mother', 'A35 another source is not');
SELECT is((SELECT count(*) FROM generate_series(1, 10) WHERE small.logs_in('mother@small.example', 'right horse of mother', '192.0.2.9') = 'signed_in: mother'), 10::bigint,
          'A35 good ones are not counted');
UPDATE csm.password_policies SET source_attempts = DEFAULT;

-- The same time, known or not, locked or not: a hash is computed each time.
CREATE FUNCTION small.takes(login text, source text DEFAULT 'timing') RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    PERFORM csm.sign_in_password(login, 'guess', source);
    RETURN extract(epoch FROM clock_timestamp() - began) * 1000;
END $$;
-- In turns, as often as a busy machine needs for one undisturbed time of each.
CREATE FUNCTION small.alike(one text, other text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    shortest double precision;
    shortest_other double precision;
BEGIN
    FOR i IN 1..30 LOOP
        shortest := least(shortest, small.takes(one, 'timing ' || i));
        shortest_other := least(shortest_other, small.takes(other, 'timing ' || i));
        IF i >= 3 AND abs(shortest - shortest_other) < least(shortest, shortest_other) / 2 THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT ok(small.alike('north.manager@small.example', 'nobody@small.example'), 'A35 unknown and without password take the same time');
SELECT csm_private.set_password(small.tenant(), small.u('north manager'), 'right horse of north manager');
SELECT ok(small.alike('north.manager@small.example', 'nobody@small.example'), 'A35 so do known and unknown');
SELECT small.logs_in('north.manager@small.example', 'guess') FROM generate_series(1, 5);
SELECT ok(small.alike('north.manager@small.example', 'nobody@small.example'), 'A35 so do locked and unknown');
SELECT cmp_ok(small.takes('nobody@small.example'), '>', 10::double precision, 'A35 which is the time of a hash');
SELECT ok(NOT csm_private.password_outdated(csm_private.password_hash('x')), 'A35 new hashes have today''s cost');
SELECT matches((SELECT hash FROM csm.passwords WHERE user_id = small.u('mother')), '^\$argon2id\$v=19\$m=65536,t=2,p=1\$', 'A35 Argon2id');

-- Changing it.
CREATE FUNCTION small.changes(person text, before text, after text) RETURNS text LANGUAGE sql
AS $$ SELECT split_part(small.visit(format('SELECT csm.change_password(%L, %L)', before, after), small.u(person)), ':', 1) $$;
SELECT is(small.changes('mother', 'right horse of mother', 'another horse of her own'), 'changed', 'A35 the person changes it');
SELECT is(small.logs_in('mother@small.example', 'another horse of her own'), 'signed_in: mother', 'A35 the new one counts');
SELECT is(small.logs_in('mother@small.example', 'right horse of mother'), 'refused', 'A35 the old one no longer');
SELECT is(small.changes('mother', 'wrong', 'a third horse of her own'), 'refused', 'A35 not without the current one');
SELECT is(small.changes('mother', 'another horse of her own', 'another horse of her own'), 'unchanged', 'A35 not to the same');
SELECT is(small.changes('mother', 'another horse of her own', 'short'), 'too_short', 'A35 minimum length');
SELECT is(small.changes('mother', 'another horse of her own', 'elevenchars'), 'too_short', 'A35 twelve unless the tenant says otherwise');
SELECT is(small.changes('mother', 'another horse of her own', repeat('long ', 300)), 'too_long', 'A35 nor endless');
SELECT is(small.changes('mother', 'another horse of her own', w), 'denied', 'A35 denied: ' || w)
FROM unnest('{password1234,PassWord1234,aaaaaaaaaaaaaa,correcthorsebatterystaple,mother@small.example,my mother and I}'::text[]) w;
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$INSERT INTO csm.denied_passwords (password) VALUES ('small world 1') RETURNING 'added'$$, NULL, true), 'added', 'A35 an administrator denies further ones');
SELECT is(small.changes('mother', 'another horse of her own', 'Small World 1'), 'denied', 'A35 which nobody may choose');
SELECT is(small.logs_in('mother@small.example', 'another horse of her own'), 'signed_in: mother', 'A35 what was refused changed nothing');
SELECT is(small.visit($$SELECT csm.change_password('x', 'a third horse of her own')$$), 'refused', 'A35 a visitor without login is refused');

-- Must change.
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.require_password_change(%s)', small.u('mother')), NULL, true), '', 'A35 staff demand another password');
SELECT is(small.logs_in('mother@small.example', 'another horse of her own'), 'must_change', 'A35 must change: nobody is signed in');
SELECT is(small.logs_in('mother@small.example', 'wrong'), 'refused', 'A35 which only the right password is told');
SELECT is(small.visit($$SELECT csm.change_password('another horse of her own', 'a third horse of her own', 'mother@small.example')$$), 'changed', 'A35 she changes it by her login');
SELECT is(small.logs_in('mother@small.example', 'a third horse of her own'), 'signed_in: mother', 'A35 and signs in');

-- Reset.
CREATE FUNCTION small.asks(login text, source text DEFAULT 'asking') RETURNS text LANGUAGE sql
AS $$ SELECT small.visit(format('SELECT csm.request_password_reset(%L, %L)', login, source)) $$;
CREATE FUNCTION small.resets(token text, password text) RETURNS text LANGUAGE sql
AS $$ SELECT small.visit(format('SELECT csm.reset_password(%L, %L)', token, password)) $$;
SELECT is(small.asks('student@small.example'), 'accepted', 'A35 a reset is asked for');
SELECT is(small.asks(who), 'accepted', 'A35 the same answer: ' || who) FROM unnest('{nobody@small.example,daughter@small.example,"",x}'::text[]) who;
SELECT is((SELECT string_agg(recipient || ' ' || kind, ',') FROM csm.outbox), 'student@small.example password_reset', 'A35 one mail, to the address on record');
SELECT is((SELECT token_hash FROM csm.password_resets), sha256(convert_to(small.mailed('student'), 'UTF8')), 'A35 of the token only the hash is kept');
SELECT is(length(small.mailed('student')), 43, 'A35 256 random bits');
SELECT is(small.resets('x' || substr(small.mailed('student'), 2), 'a horse to begin with'), 'refused', 'A35 another token is refused') FROM (SELECT 1) x WHERE small.mailed('student') NOT LIKE 'x%';
SELECT is(small.resets(small.mailed('student'), 'short'), 'too_short', 'A35 a poor password');
SELECT is(small.resets(small.mailed('student'), 'a horse to begin with'), 'changed', 'A35 does not use up the token');
SELECT is(small.logs_in('student@small.example', 'a horse to begin with'), 'signed_in: student', 'A35 the new password counts');
SELECT is(small.resets(small.mailed('student'), 'a horse to go on with'), 'refused', 'A35 the token was good once');
SELECT is(small.resets(NULL, 'a horse to go on with'), 'refused', 'A35 NULL is no token');
SELECT is(small.resets('', 'a horse to go on with'), 'refused', 'A35 nor is nothing');
-- newer replaces older, and both expire
SELECT small.asks('student@small.example');
CREATE TABLE small.older AS SELECT small.mailed('student') AS token;
SELECT small.asks('student@small.example');
SELECT is(small.resets((SELECT token FROM small.older), 'a horse to go on with'), 'refused', 'A35 a newer token replaces the older');
UPDATE csm.password_resets SET expires_at = clock_timestamp() - interval '1 second';
SELECT is(small.resets(small.mailed('student'), 'a horse to go on with'), 'refused', 'A35 a token expires');
SELECT is((SELECT count(*) FROM csm.outbox WHERE user_id = small.u('student')), 3::bigint, 'A35 three mails until now');
SELECT is(small.asks('student@small.example'), 'accepted', 'A35 a fourth within an hour is accepted');
SELECT is((SELECT count(*) FROM csm.outbox WHERE user_id = small.u('student')), 3::bigint, 'A35 and not sent');
-- a reset unlocks
SELECT small.logs_in('north.contact@small.example', 'guess') FROM generate_series(1, 6);
SELECT small.asks('north.contact@small.example');
SELECT is(small.resets(small.mailed('north contact'), 'a horse after the lock'), 'changed', 'A35 who is locked out resets');
SELECT is(small.logs_in('north.contact@small.example', 'a horse after the lock'), 'signed_in: north contact', 'A35 and gets in at once');

-- Nobody but the person learns or sets it.
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.send_password_reset(%s)', small.u('daughter')), NULL, true), '', 'A35 staff send a reset');
SELECT is(small.resets(small.mailed('daughter'), 'a horse for the first time'), 'changed', 'A35 by which who had no password gets one');
SELECT is(small.logs_in('daughter@small.example', 'a horse for the first time'), 'signed_in: daughter', 'A35 which counts');
SELECT matches(small.run(small.u(who), role_name, format('SELECT csm.send_password_reset(%s)', small.u('mother'))), '^ERROR 42501', format('A35 no reset is sent by %s as %s', who, role_name))
FROM (VALUES ('b2b agent', 'csm_agent'), ('north contact', 'csm_portal'), ('viewer', 'csm_agent'), ('desk manager', 'csm_portal')) v(who, role_name);
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.send_password_reset(%s)', (SELECT id FROM csm.users WHERE email = 'admin@foreign.example'))),
          replace(small.run(small.u('desk manager'), 'csm_agent', 'SELECT csm.send_password_reset(987654321)'), '987654321', (SELECT id::text FROM csm.users WHERE email = 'admin@foreign.example')),
          'V15 a person of another tenant and one that does not exist give the same error');
SELECT is(small.run(small.u('desk admin'), r, format('SELECT count(*) FROM csm.%I', t)) LIKE 'ERROR 42501%', true, format('A35 %s reads no csm.%s', r, t))
FROM unnest('{csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r, unnest('{passwords,password_resets}'::text[]) t;
SELECT is(array_agg(p.proname ORDER BY p.proname), '{set_password}', 'A35 one function writes a password, and no role may call it')
FROM pg_proc p WHERE p.pronamespace IN ('csm'::regnamespace, 'csm_private'::regnamespace) AND p.prosrc ~ 'INSERT INTO csm\.passwords'
 AND NOT has_function_privilege('csm_admin', p.oid, 'EXECUTE');
-- Passwords not wanted at all.
UPDATE csm.password_policies SET allowed = false;
SELECT is(small.logs_in('mother@small.example', 'a third horse of her own'), 'refused', 'A35 where passwords are not allowed none counts');
UPDATE csm.password_policies SET allowed = true;
SELECT is(small.logs_in('mother@small.example', 'a third horse of her own'), 'signed_in: mother', 'A35 where they are, it does');

-- What a visitor may call.
SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace IN ('csm'::regnamespace, 'csm_private'::regnamespace)
                AND p.proname ~ 'sign_in|password|provider|token|attempt|audit|subject' AND p.proname !~ 'survey' AND has_function_privilege('csm_guest', p.oid, 'EXECUTE')$$,
              '{"csm.sign_in(text,boolean,text)","csm.sign_in_password(text,text,text,boolean)","csm.change_password(text,text,text,text)","csm.request_password_reset(text,text)","csm.reset_password(text,text)"}'::text[],
              'A35 a visitor may call exactly these');

-- Counters.
SELECT is((SELECT string_agg(CASE WHEN csm_private.attempt('t', 'a', 3, '1 hour') THEN 'y' ELSE 'n' END, '') FROM generate_series(1, 5)), 'yyynn', 'A35 a rate: three an hour');
SELECT is(csm_private.attempt('t', 'b', 3, '1 hour'), true, 'A35 each key for itself');
SELECT is(csm_private.attempt('u', 'a', 3, '1 hour'), true, 'A35 and each kind');
SELECT is((SELECT string_agg(CASE WHEN csm_private.attempt('t', 'c', 3, '6 seconds') THEN 'y' ELSE 'n' END, '') FROM generate_series(1, 4)), 'yyyn', 'A35 three in six seconds');
SELECT pg_sleep(2.1);
SELECT is((SELECT string_agg(CASE WHEN csm_private.attempt('t', 'c', 3, '6 seconds') THEN 'y' ELSE 'n' END, '') FROM generate_series(1, 2)), 'yn', 'A35 it drains evenly');
SELECT csm_private.attempt_forgive('t', 'a', 3, '1 hour');
SELECT is(csm_private.attempt('t', 'a', 3, '1 hour'), true, 'A35 one is given back');
SELECT throws_ok($$SELECT csm_private.attempt('t', 'a', 0, '1 hour')$$, '22023');
SELECT throws_ok($$SELECT csm_private.attempt('t', 'a', 1, '-1 hour')$$, '22023');
SELECT throws_ok($$SELECT csm_private.attempt('t', 'a', 1, '100 years')$$, '22023');
SELECT throws_ok($$SELECT csm_private.attempt('t', NULL, 1, '1 hour')$$, '22004');
-- what lasts is not driven out by what does not
SELECT csm_private.attempt('lasting', 'key', 1, '1 day');
SELECT count(csm_private.attempt('flood', i::text, 5, '1 minute')) FROM generate_series(1, 60000) i;
SELECT is(csm_private.attempt('lasting', 'key', 1, '1 day'), false, 'A35 a flood of keys drives out no counter that lasts longer');
SELECT is((SELECT count(*) FROM csm_private.attempts), 16384::bigint, 'A35 and the table does not grow');

SELECT * FROM finish();
ROLLBACK;
