-- Signing in with ID tokens: tokens of Debian's jose, the examples of the RFCs, and every attack on them that is known.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();
CREATE TABLE small.token (name text PRIMARY KEY, token text);
\copy small.token FROM PROGRAM 'perl test/lib/tokens.pl' WITH (FORMAT csv, DELIMITER E'\t', QUOTE E'\b')
SET LOCAL csm.tenant = 'small';

CREATE FUNCTION small.t(text) RETURNS text LANGUAGE sql STABLE RETURN (SELECT t.token FROM small.token t WHERE t.name = $1);
-- As a visitor. Who is signed in after it, or the reason that the audit log has.
CREATE FUNCTION small.signs_in(name text, nonce text DEFAULT NULL, compact text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a record;
    me bigint;
    before bigint := (SELECT max(id) FROM csm.audit_log);
BEGIN
    IF compact IS NULL AND NOT EXISTS (SELECT FROM small.token t WHERE t.name = signs_in.name) THEN
        RAISE EXCEPTION 'there is no token "%"', name;
    END IF;
    compact := coalesce(compact, small.t(name));
    PERFORM set_config('role', 'csm_guest', true);
    SELECT * INTO a FROM csm.sign_in(compact, true, signs_in.nonce);
    me := csm.current_user_id();
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.user_id', '', true);
    IF a.status = 'signed_in' AND a.user_id = me THEN
        RETURN (SELECT u.display_name FROM csm.users u WHERE u.id = me);
    ELSIF a.status = 'refused' AND a.user_id IS NULL AND me IS NULL THEN
        RETURN 'refused: ' || (SELECT l.details->>'reason' FROM csm.audit_log l WHERE l.id > coalesce(before, 0) AND l.kind = 'sign_in_refused'
                               AND l.details->>'method' = 'token' AND l.tenant_id = small.tenant());
    END IF;
    RETURN format('status %s, user_id %s, signed in %s', a.status, a.user_id, me);
END $$;

-- A provider, set up as an administrator does.
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$INSERT INTO csm.identity_providers (name, issuer, audience, create_as)
    VALUES ('Provider', 'https://idp.example', 'portal', 'consumer') RETURNING name$$, NULL, true), 'Provider', 'A35 an administrator adds a provider');
CREATE FUNCTION small.provider() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT id FROM csm.identity_providers WHERE audience = 'portal' AND issuer = 'https://idp.example');
SELECT is(small.signs_in('RS256'), 'refused: unknown_key', 'A35 before it has keys, nobody signs in');
CREATE FUNCTION small.sets_keys(name text, person text DEFAULT 'desk admin', role_name text DEFAULT 'csm_admin', keep boolean DEFAULT true) RETURNS text LANGUAGE sql
AS $$ SELECT small.run(small.u(person), role_name, format('SELECT csm.set_provider_keys(%s, %L)', small.provider(), small.t(name)), NULL, keep) $$;
SELECT is(small.sets_keys('@jwks'), '4', 'A35 and sets its keys');
SELECT is((SELECT string_agg(k.kid || ' ' || array_to_string(k.algorithms, ','), '; ' ORDER BY k.kid) FROM csm.identity_provider_keys k),
          'ec ES256; ec384 ES384; ec521 ES512; rsa RS256,RS384,RS512,PS256,PS384,PS512', 'A35 each key may do what its type can');

-- Who is made.
SELECT is(small.signs_in('RS256'), 'Alice of the provider', 'A35 an unknown subject becomes a person');
SELECT is((SELECT u.email || ' ' || (n.user_id IS NOT NULL) || ' ' || e.subject FROM csm.external_identities e JOIN csm.users u ON u.id = e.user_id
           LEFT JOIN csm.consumers n ON n.user_id = u.id), 'alice@idp.example true alice', 'A35 with a verified address and as a consumer');
SELECT is((SELECT array_agg(kind ORDER BY id) FROM csm.audit_log WHERE subject_user_id = (SELECT id FROM csm.users WHERE email = 'alice@idp.example')),
          '{person_created,identity_added}', 'A35 the audit log has it');
SELECT is(small.signs_in(name), 'Alice of the provider', 'A35 ' || name) FROM unnest('{RS256,PS256,ES256,several audiences,nonce,fraction,within skew,just within the limit,long lived}'::text[]) name;
SELECT is((SELECT count(*) FROM csm.users WHERE display_name = 'Alice of the provider'), 1::bigint, 'A35 she is one person');
SELECT is(small.signs_in('bob'), 'Bob', 'A35 another subject is another person');
SELECT is(small.signs_in('no kid ES256'), 'Alice of the provider', 'A35 a token without kid, where one key fits its algorithm');
SELECT is(small.signs_in('umlaut'), 'Zoë 日', 'A35 names of all languages');
SELECT is((SELECT language || ' ' || time_zone FROM csm.users WHERE email = 'zoe@idp.example'), 'fr-FR UTC', 'A35 locale as a language tag, no claim for the time zone');

-- The allow-list.
SELECT is(small.signs_in(name), 'refused: algorithm', 'A35 not in the list: ' || name) FROM unnest('{RS384,ES384,ES512}'::text[]) name;
UPDATE csm.identity_providers SET algorithms = '{RS384,ES384,ES512}' WHERE id = small.provider();
SELECT is(small.signs_in(name), 'Alice of the provider', 'A35 in the list: ' || name) FROM unnest('{RS384,ES384,ES512}'::text[]) name;
SELECT is(small.signs_in('RS256'), 'refused: algorithm', 'A35 no longer in the list');
UPDATE csm.identity_providers SET algorithms = DEFAULT WHERE id = small.provider();

-- What is refused, and why. Nothing is raised.
CREATE TABLE small.refused (name text PRIMARY KEY, reason text);
INSERT INTO small.refused VALUES
    ('wrong issuer', 'unknown_provider'), ('issuer with slash', 'unknown_provider'), ('no issuer', 'unknown_provider'), ('issuer of two', 'unknown_provider'),
    ('wrong audience', 'audience'), ('no audience', 'audience'), ('audience of numbers', 'audience'), ('no authorized party', 'audience'),
    ('other authorized party', 'audience'), ('bob elsewhere', 'audience'),
    ('expired', 'expired'), ('no exp', 'expired'), ('exp as text', 'expired'), ('exp negative', 'expired'), ('exp beyond time', 'expired'),
    ('exp beyond number', 'malformed'), ('no iat', 'issued_in_future'), ('issued tomorrow', 'issued_in_future'),
    ('not yet valid', 'not_yet_valid'), ('nbf as text', 'not_yet_valid'),
    ('no subject', 'subject'), ('empty subject', 'subject'), ('subject as number', 'subject'), ('long subject', 'subject'),
    ('forged', 'signature'), ('forged ES256', 'signature'), ('by thief', 'unknown_key'), ('unknown kid', 'unknown_key'), ('own jwk', 'signature'),
    ('own jwk and kid', 'signature'), ('own jku', 'signature'), ('own x5u', 'signature'), ('kid injection', 'unknown_key'),
    ('payload exchanged', 'signature'), ('header exchanged', 'signature'), ('algorithm exchanged', 'signature'), ('signature cut', 'signature'),
    ('signature changed', 'signature'), ('key of another type', 'algorithm'), ('ES256 all zero', 'signature'), ('ES256 too short', 'signature'),
    ('ES256 too long', 'signature'),
    ('alg none', 'algorithm'), ('alg None', 'malformed'), ('alg NONE', 'malformed'), ('alg nOnE', 'malformed'),
    ('alg none without signature', 'malformed'), ('alg None without signature', 'malformed'), ('alg NONE without signature', 'malformed'),
    ('alg nOnE without signature', 'malformed'), ('alg missing', 'malformed'), ('alg of two', 'malformed'),
    ('HS256 with PEM', 'algorithm'), ('HS256 with PEM without end', 'algorithm'), ('HS256 with modulus', 'algorithm'), ('HS256 with JWK', 'algorithm'),
    ('crit', 'critical_header'), ('crit b64', 'critical_header'), ('crit empty', 'critical_header'), ('crit null', 'critical_header'),
    ('JWE', 'malformed'), ('two parts', 'malformed'), ('four parts', 'malformed'), ('empty parts', 'malformed'), ('empty payload', 'malformed'),
    ('padding', 'malformed'), ('blank', 'malformed'), ('base64 not for URLs', 'malformed'), ('word', 'session'), ('JSON serialization', 'session'),
    ('payload no JSON', 'malformed'), ('payload array', 'malformed'), ('payload empty object', 'unknown_provider'), ('payload with NUL', 'malformed'),
    ('payload no UTF-8', 'malformed'), ('payload trailing', 'malformed'), ('claim twice', 'malformed'), ('payload deep', 'malformed'),
    ('header no JSON', 'malformed'), ('header array', 'malformed'), ('huge', 'too_large'), ('surrogates', 'malformed'),
    ('RFC 7519 3.1', 'unknown_provider'), ('RFC 7519 6.1', 'malformed');
-- Later versions of libcjose refuse critical headers by themselves, as no token.
SELECT is(CASE WHEN name LIKE 'crit%' THEN replace(small.signs_in(name), 'malformed', 'critical_header') ELSE small.signs_in(name) END,
          'refused: ' || reason, 'A35 refused: ' || name) FROM small.refused ORDER BY name COLLATE "C";
SELECT is(small.signs_in('null', NULL, ''), 'refused: session', 'A35 refused: the empty text');
SELECT is((SELECT status || coalesce(user_id::text, '') FROM csm.sign_in(NULL)), 'refused', 'A35 refused: NULL');
SELECT is(small.signs_in('garbage', NULL, repeat('A', 16000) || '.' || repeat('A', 100) || '.A-_9'), 'refused: malformed', 'A35 refused: much of nothing');
SELECT is(count(*), 0::bigint, 'A35 no person came of all that') FROM csm.users WHERE display_name IN ('root', '7') OR email LIKE '%root%';
-- Every byte of a good token matters: one at a time, changed, left out, or put in.
SELECT is(count(*) FILTER (WHERE a NOT LIKE 'refused: %'), 0::bigint, 'A35 no change of one character in a good token is accepted')
FROM (SELECT small.signs_in('x', NULL, overlay(t PLACING c FROM i FOR 1)) AS a
      FROM (SELECT small.t('ES256') AS t) s, generate_series(1, length(t) - 1, 3) i, unnest('{A,.,_}'::text[]) c WHERE substr(t, i, 1) <> c) x;

-- The RFCs' own examples: their signature is good, what fails is that they are for nobody.
INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience) VALUES (small.tenant(), 'Joe', 'joe', 'portal');
RESET csm.user_id;
SELECT is((SELECT csm.set_provider_keys(p.id, small.t('@RFC 7515 keys')::jsonb) FROM csm.identity_providers p WHERE p.issuer = 'joe'), 2, 'A35 keys of RFC 7515');
SELECT is(small.signs_in('RFC 7515 A.2'), 'refused: audience', 'A35 RFC 7515 A.2: signature good');
SELECT is(small.signs_in('RFC 7515 A.2 changed'), 'refused: signature', 'A35 RFC 7515 A.2 changed');
SELECT is(small.signs_in('RFC 7515 A.3'), 'refused: audience', 'A35 RFC 7515 A.3: signature good');
SELECT is(small.signs_in('RFC 7515 A.3 changed'), 'refused: signature', 'A35 RFC 7515 A.3 changed');
SELECT is(small.signs_in('RFC 7519 3.1'), 'refused: algorithm', 'A35 RFC 7519 3.1: HS256 is no algorithm of any key');
DELETE FROM csm.identity_providers WHERE issuer = 'joe';

-- Nonce.
SELECT is(small.signs_in('nonce', 'n-0S6_WzA2Mj'), 'Alice of the provider', 'A35 the nonce that was sent');
SELECT is(small.signs_in('nonce', 'n-0S6_WzA2Mk'), 'refused: nonce', 'A35 another nonce');
SELECT is(small.signs_in('RS256', 'n-0S6_WzA2Mj'), 'refused: nonce', 'A35 none where one was sent');
UPDATE csm.identity_providers SET require_nonce = true WHERE id = small.provider();
SELECT is(small.signs_in('nonce'), 'refused: nonce', 'A35 none given where the provider demands one');
UPDATE csm.identity_providers SET require_nonce = false WHERE id = small.provider();

-- Single use, also where the first use was rolled back.
UPDATE csm.identity_providers SET single_use = true WHERE id = small.provider();
SELECT is(small.signs_in('no jti'), 'refused: replayed', 'A35 single use demands a jti');
SELECT is(small.signs_in('jti 1'), 'Alice of the provider', 'A35 the first use');
SELECT is(small.signs_in('jti 1'), 'refused: replayed', 'A35 the second');
SAVEPOINT first_use;
SELECT is(small.signs_in('jti 2'), 'Alice of the provider', 'A35 another token');
ROLLBACK TO first_use;
SELECT is(small.signs_in('jti 2'), 'refused: replayed', 'A35 a use that was rolled back is one');
SELECT csm_private.attempt_forgive('token', small.provider() || ' ' || encode(csm_private.token_hash('one'), 'hex'), 1, '7 days');
SELECT is(small.signs_in('jti 1'), 'refused: replayed', 'A35 what was committed is known without the counters');
UPDATE csm.identity_providers SET single_use = false WHERE id = small.provider();

-- Rotation.
SELECT is(small.sets_keys('@rotated'), '3', 'A35 keys are rotated');
SELECT is(small.signs_in('by thief'), 'Alice of the provider', 'A35 the new key counts at once');
SELECT is(small.signs_in('RS256'), 'refused: unknown_key', 'A35 the old one no longer');
SELECT is(small.signs_in('ES256'), 'Alice of the provider', 'A35 one that stayed does');
SELECT is(small.sets_keys('@rsa only'), '1', 'A35 back to one key, which names its algorithm');
SELECT is(small.signs_in('RS256'), 'Alice of the provider', 'A35 it counts for that');
SELECT is(small.signs_in('PS256'), 'refused: algorithm', 'A35 and for no other');
SELECT matches(small.sets_keys(name), '^ERROR 22023: ' || message, 'A35 refused keys: ' || name)
FROM (VALUES ('@private', 'key "rsa" of identity provider "Provider" is a private'), ('@short', '.* has no key that could be used'),
             ('@off the curve', '.* has no key that could be used')) v(name, message);
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.set_provider_keys(%s, %L)', small.provider(), jwks)), '^ERROR 22023', 'A35 refused keys: ' || jwks)
FROM unnest(ARRAY['{}', '[]', '{"keys": []}', '{"keys": [1]}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', '{"keys": [{"kty": "RSA"}]}', '{"keys": {}}', 'null']) jwks;
SELECT is(small.signs_in('RS256'), 'Alice of the provider', 'A35 refused keys change nothing');
SELECT is(small.sets_keys('@encryption'), '1', 'A35 keys for encryption and unknown types are passed over');
SELECT is((SELECT string_agg(kid, ',') FROM csm.identity_provider_keys), 'ec', 'A35 the one for signatures is kept');
SELECT matches(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_admin', format('SELECT csm.set_provider_keys(%s, %L)', small.provider(), small.t('@jwks'))),
    '^ERROR 42501: there is no identity provider', 'V13 an administrator of another tenant sets no keys');
SELECT matches(small.sets_keys('@jwks', 'b2b agent', 'csm_agent'), '^ERROR 42501', 'A35 agents set no keys');
SELECT matches(small.sets_keys('@jwks', 'north admin', 'csm_admin'), '^ERROR 42501', 'A35 nor does who is no administrator');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', 'SELECT csm.set_provider_keys(0, ''{}'')'), '^ERROR 42501: there is no identity provider 0', 'V15 a provider that does not exist');
SELECT is(small.sets_keys('@jwks'), '4', 'A35 and back');

-- Who an unknown subject is.
UPDATE csm.identity_providers SET create_as = NULL WHERE id = small.provider();
SELECT is(small.signs_in('email verified'), 'refused: unknown_subject', 'A35 unknown subjects are refused where nobody is made');
UPDATE csm.identity_providers SET link_by = 'email' WHERE id = small.provider();
SELECT is(small.signs_in('email not verified'), 'refused: unknown_subject', 'A35 an address that is not verified links nobody');
SELECT is(small.signs_in('email unknown whether verified'), 'refused: unknown_subject', 'A35 nor one of which nothing is said');
SELECT is(small.signs_in('email verified'), 'north contact', 'A35 a verified one links a known person');
SELECT is(small.signs_in('email of a colleague'), 'refused: linked_to_another_subject', 'A35 who is linked once at a provider is not linked again');
DELETE FROM csm.external_identities WHERE subject = 'verified';
UPDATE csm.identity_providers SET trust_email = true WHERE id = small.provider();
SELECT is(small.signs_in('email unknown whether verified'), 'north contact', 'A35 a provider that gives out the addresses is believed');
DELETE FROM csm.external_identities WHERE subject = 'unverified';
UPDATE csm.identity_providers SET trust_email = false, link_by = NULL, create_as = 'employee' WHERE id = small.provider();
SELECT is(small.signs_in('email verified'), 'refused: belongs_to_another_person', 'A35 nobody takes a known person''s address');
SELECT is(small.signs_in('email not verified'), 'Alice of the provider', 'A35 an address that is not verified is left out');
SELECT is((SELECT u.email || '' || (m.user_id IS NOT NULL) FROM csm.external_identities e JOIN csm.users u ON u.id = e.user_id LEFT JOIN csm.employees m ON m.user_id = u.id
           WHERE e.subject = 'unverified'), NULL, 'A35 and not stored');
SELECT is((SELECT count(*) FROM csm.employees m JOIN csm.external_identities e ON e.user_id = m.user_id WHERE e.subject = 'unverified'), 1::bigint, 'A35 made as an employee');
UPDATE csm.identity_providers SET claims = claims || '{"external_id": "employee"}', link_by = 'external_id' WHERE id = small.provider();
UPDATE csm.users SET external_id = 'E-77' WHERE id = small.u('student');
SELECT is(small.signs_in('external id'), 'student', 'A35 linked by the id of the directory');
UPDATE csm.identity_providers SET link_by = NULL, create_as = 'contact', create_account_id = small.a('plant'), create_role = 'customer' WHERE id = small.provider();
DELETE FROM csm.external_identities WHERE subject IN ('ugly', 'types');
SELECT is(small.signs_in('claims of wrong types'), 'types', 'A35 claims of wrong types count as missing');
SELECT is((SELECT k.role || ' ' || a.name FROM csm.contacts k JOIN csm.accounts a ON a.id = k.account_id JOIN csm.external_identities e ON e.user_id = k.user_id
           WHERE e.subject = 'types'), 'customer plant', 'A35 made as a contact of the company');
SELECT is(small.signs_in('ugly claims'), 'refused: claims', 'A35 an address with a line break makes nobody');
SELECT throws_ok($$UPDATE csm.identity_providers SET create_as = 'contact', create_account_id = NULL WHERE id = small.provider()$$, '23514');
SELECT throws_ok($$UPDATE csm.identity_providers SET algorithms = '{none}' WHERE id = small.provider()$$, '23514');
SELECT throws_ok($$UPDATE csm.identity_providers SET algorithms = '{HS256}' WHERE id = small.provider()$$, '23514');
SELECT throws_ok($$UPDATE csm.identity_providers SET clock_skew = '1 hour' WHERE id = small.provider()$$, '23514');
SELECT throws_ok($$INSERT INTO csm.identity_provider_keys (tenant_id, provider_id, jwk, algorithms) VALUES (small.tenant(), small.provider(), '{"kty":"oct","k":"x"}', '{HS256}')$$, '23514');

-- Disabled.
UPDATE csm.users SET enabled = false WHERE email = 'alice@idp.example';
SELECT is(small.signs_in('RS256'), 'refused: disabled', 'A35 a disabled person does not sign in');
UPDATE csm.users SET enabled = true WHERE email = 'alice@idp.example';
UPDATE csm.identity_providers SET enabled = false WHERE id = small.provider();
SELECT is(small.signs_in('RS256'), 'refused: unknown_provider', 'A35 nor anybody of a provider that is switched off');
UPDATE csm.identity_providers SET enabled = true WHERE id = small.provider();
SET LOCAL csm.tenant = 'foreign';
SELECT is((SELECT status FROM csm.sign_in(small.t('RS256'))), 'refused', 'V13 the provider of one tenant opens no other');
SET LOCAL csm.tenant = 'unknown';
SELECT is((SELECT status FROM csm.sign_in(small.t('RS256'))), 'refused', 'V13 nor one that does not exist');
SET LOCAL csm.tenant = 'small';

-- A refusal leaves nobody, whoever was before.
CREATE TABLE small.tried AS SELECT (csm.sign_in(small.t('RS256'))).status;
SELECT isnt(csm.current_user_id(), NULL, 'A35 signed in for the transaction');
INSERT INTO small.tried SELECT (csm.sign_in(small.t('forged'))).status;
SELECT is(csm.current_user_id(), NULL, 'A35 a forged token leaves nobody');
SAVEPOINT s;
INSERT INTO small.tried SELECT (csm.sign_in(small.t('RS256'))).status;
SELECT isnt(csm.current_user_id(), NULL, 'A35 signed in again');
ROLLBACK TO s;
SELECT is(csm.current_user_id(), NULL, 'A35 signing in rolls back with the savepoint');

-- Who reads what.
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'alice@idp.example'), 'csm_portal', 'SELECT string_agg(subject, '','') FROM csm.external_identities'), 'alice', 'A35 everybody sees his own identities');
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'alice@idp.example'), 'csm_portal', 'SELECT string_agg(DISTINCT kind, '','' ORDER BY kind) FROM csm.audit_log'), 'identity_added,person_created,sign_in_refused', 'A35 and what the audit log has of him');
SELECT is(small.run(small.u('north contact'), 'csm_portal', 'SELECT count(*) FROM csm.audit_log WHERE subject_user_id IS DISTINCT FROM csm.current_user_id()'), '0', 'V3 nobody else''s');
SELECT cmp_ok(small.run(small.u('desk admin'), 'csm_admin', $$SELECT count(*) FROM csm.audit_log WHERE kind = 'sign_in_refused'$$)::integer, '>', 90, 'A35 administrators, all of the tenant');
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_admin', format('SELECT count(*) FROM csm.audit_log WHERE tenant_id = %s', small.tenant())), '0', 'V13 not of another');
SELECT csm_private.audit('contact_invited', small.u('acme admin'), small.u('north contact'), small.a('north'), '{}', small.tenant());
SELECT is(small.run(small.u(who), 'csm_portal', $$SELECT count(*) FROM csm.audit_log WHERE kind = 'contact_invited'$$), many, 'A35 what was done in an account: ' || who)
FROM (VALUES ('acme admin', '1'), ('north admin', '1'), ('north contact', '1'), ('north manager', '0'), ('south admin', '0')) v(who, many);
SELECT throws_ok('UPDATE csm.audit_log SET kind = ''x''', '42501', NULL, 'A35 the audit log is not changed');
SELECT throws_ok('DELETE FROM csm.audit_log', '42501', NULL, 'A35 nor emptied');

SELECT * FROM finish();
ROLLBACK;
