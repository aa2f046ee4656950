-- What has expired goes by itself, of people who never come back; what has not, stays.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();
UPDATE csm.users SET email = 'away@small.example' WHERE id = small.u('north contact');
UPDATE csm.users SET email = 'here@small.example' WHERE id = small.u('mother');

-- Of two people everything that can expire; the one who is away never used his.
CREATE FUNCTION pg_temp.things_of(person bigint, expires timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    provider bigint := (SELECT min(id) FROM csm.identity_providers WHERE tenant_id = small.tenant());
    hash bytea := sha256(convert_to(person::text, 'UTF8'));
BEGIN
    INSERT INTO csm.sessions (tenant_id, user_id, expires_at, idle_minutes) VALUES (small.tenant(), person, expires, 600);
    INSERT INTO csm.sessions (tenant_id, user_id, last_used_at, expires_at, idle_minutes)
    VALUES (small.tenant(), person, expires - interval '1 hour', 'infinity', 60);
    INSERT INTO csm.sessions (tenant_id, user_id, kind, label, expires_at) VALUES (small.tenant(), person, 'key', 'a key', expires);
    INSERT INTO csm.password_resets VALUES (person, small.tenant(), hash, expires);
    INSERT INTO csm_private.email_changes (tenant_id, user_id, email, token_hash, joins, expires_at) VALUES (small.tenant(), person, 'new' || person || '@small.example', hash, false, expires);
    INSERT INTO csm.spent_tokens (tenant_id, provider_id, token_hash, expires_at) VALUES (small.tenant(), provider, hash, expires);
    INSERT INTO csm_private.captcha_used VALUES (small.tenant(), hash, expires);
    PERFORM csm_private.send_mail(small.tenant(), 'news', 'x@small.example', person, 'en', '{}', expires);
END $$;
CREATE FUNCTION pg_temp.left_of(person bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', (SELECT count(*) FROM csm.sessions WHERE user_id = person), (SELECT count(*) FROM csm.password_resets WHERE user_id = person),
                     (SELECT count(*) FROM csm_private.email_changes WHERE user_id = person), (SELECT count(*) FROM csm.outbox WHERE user_id = person),
                     (SELECT count(*) FROM csm.spent_tokens WHERE token_hash = h), (SELECT count(*) FROM csm_private.captcha_used WHERE challenge = h))
    FROM sha256(convert_to(person::text, 'UTF8')) h
$$;
INSERT INTO csm.identity_providers (tenant_id, name, issuer, audience) VALUES (small.tenant(), 'P', 'https://idp.example', 'portal');
SELECT pg_temp.things_of(small.u('north contact'), clock_timestamp() - interval '1 second');
SELECT pg_temp.things_of(small.u('mother'), clock_timestamp() + interval '1 hour');
SELECT csm_private.send_mail(small.tenant(), 'news', 'x@small.example', small.u('mother'));
SELECT is(pg_temp.left_of(small.u('north contact')) || ', ' || pg_temp.left_of(small.u('mother')), '3 1 1 1 1 1, 3 1 1 2 1 1', 'A35 both have something');

SELECT ok((SELECT due_at > clock_timestamp() FROM csm.timers WHERE kind = 'expired' AND object_id = small.tenant()), 'A35 a tenant has a timer of what expires');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'expired'), (SELECT count(*) FROM csm.tenants), 'A35 every tenant');
SELECT is((SELECT done::text || failed FROM csm.run_due() WHERE kind = 'expired'), NULL, 'A35 it is not due yet');
SELECT is(pg_temp.left_of(small.u('north contact')), '3 1 1 1 1 1', 'A35 until then all stays');
UPDATE csm.timers SET due_at = clock_timestamp() - interval '1 second' WHERE kind = 'expired' AND object_id = small.tenant();
SELECT is((SELECT done::text || failed FROM csm.run_due() WHERE kind = 'expired'), '10', 'A35 csm.run_due() looks');
SELECT is(pg_temp.left_of(small.u('north contact')), '0 0 0 0 0 0', 'A35 what expired is gone, though nobody came back');
SELECT is(pg_temp.left_of(small.u('mother')), '3 1 1 2 1 1', 'A35 what did not expire, or never does, stays');
SELECT ok((SELECT due_at BETWEEN clock_timestamp() + interval '23 hours' AND clock_timestamp() + interval '25 hours' FROM csm.timers WHERE kind = 'expired' AND object_id = small.tenant()), 'A35 the next look is in a day');
-- ahead of the clock: what is good still is not taken away
SELECT is((SELECT sum(done) FROM csm.run_due(clock_timestamp() + interval '2 days') WHERE kind = 'expired'), (SELECT count(*)::numeric FROM csm.tenants), 'A35 csm.run_due() ahead of the clock');
SELECT is(pg_temp.left_of(small.u('mother')), '3 1 1 2 1 1', 'A35 ends nothing before its time');
-- more than a batch
INSERT INTO csm_private.captcha_used SELECT small.tenant(), sha256(convert_to('many ' || i, 'UTF8')), clock_timestamp() FROM generate_series(1, 10005) i;
UPDATE csm.timers SET due_at = clock_timestamp() - interval '1 second' WHERE kind = 'expired' AND object_id = small.tenant();
SELECT is((SELECT done FROM csm.run_due() WHERE kind = 'expired'), 1::bigint, 'A35 of very many a part goes');
SELECT is((SELECT count(*) FROM csm_private.captcha_used WHERE expires_at < clock_timestamp()), 5::bigint, 'A35 ten thousand at once');
SELECT ok((SELECT due_at < clock_timestamp() + interval '2 minutes' FROM csm.timers WHERE kind = 'expired' AND object_id = small.tenant()), 'A35 the rest soon');

-- A session that ends so ends as a revoked one: whoever stands on it is nobody.
SELECT is((SELECT count(*) FROM csm_private.session_tokens t WHERE NOT EXISTS (SELECT FROM csm.sessions s WHERE s.id = t.session_id)), 0::bigint, 'D2 no token outlives its session');

-- Strangers who registered and were not taken in: retention does not keep them for ever.
INSERT INTO csm.registrations (tenant_id, kind, email, display_name, created_at)
SELECT small.tenant(), 'contact', n || '@elsewhere.example', n, clock_timestamp() - interval '100 days' FROM unnest('{long ago,lately,open}'::text[]) x, replace(x, ' ', '') n;
UPDATE csm.registrations SET state = 'rejected', reason = 'unknown', decided_at = clock_timestamp() - CASE display_name WHEN 'longago' THEN interval '40 days' ELSE interval '20 days' END
WHERE display_name IN ('longago', 'lately');
UPDATE csm.tenants SET settings = settings || '{"retention": {"case_days": 30}}' WHERE id = small.tenant();
SELECT csm.run_retention();
SELECT is((SELECT string_agg(display_name, ' ' ORDER BY id) FROM csm.registrations), 'longago lately open', 'A37 without person_days registrations stay');
UPDATE csm.tenants SET settings = settings || '{"retention": {"person_days": 30}}' WHERE id = small.tenant();
SELECT is((SELECT erased FROM csm.run_retention() WHERE kind = 'registration'), 1::bigint, 'A37 one that was decided too long ago');
SELECT is((SELECT string_agg(display_name, ' ' ORDER BY id) FROM csm.registrations), 'lately open', 'A37 and what was decided lately, or is open, stays');
SELECT * FROM finish();
