-- Captcha: the ALTCHA proof of work (A17, A18). The npm library solves it in test/t/030_altcha.pl; here every attack.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/registration.sql
SELECT * FROM no_plan();

-- A challenge.
CREATE TEMP TABLE c AS SELECT small.run(NULL, 'csm_guest', 'SELECT csm.captcha_challenge()')::json AS j;
SELECT is((SELECT string_agg(k, ' ' ORDER BY k) FROM c, json_object_keys(j) k), 'algorithm challenge maxnumber salt signature', 'A18 captcha: a challenge is what the widget expects');
SELECT is(j->>'algorithm' || ' ' || (j->>'maxnumber'), 'SHA-256 300', 'A18 captcha: as hard as the tenant says') FROM c;
SELECT matches(j->>'salt', '^[0-9a-f]{24}\?expires=[0-9]+&$', 'A18 captcha: the salt names the time of expiry, and a delimiter ends it') FROM c;
SELECT matches(j->>'signature', '^[0-9a-f]{64}$', 'A18 captcha: it is signed') FROM c;
SELECT isnt((SELECT csm.captcha_challenge()->>'challenge'), j->>'challenge', 'A18 captcha: no two are alike') FROM c;
SELECT is((SELECT count(DISTINCT csm.captcha_challenge()->>'challenge') FROM generate_series(1, 50)), 50::bigint, 'A18 captcha: not even fifty');

-- A solution counts, once.
SELECT is(small.consumer('one@new.example', small.solve(j)), 'accepted', 'A18 captcha: a solution is accepted') FROM c;
SELECT is(small.consumer('two@new.example', small.solve(j)), 'refused', 'A18 captcha: a replayed one is refused') FROM c;
SELECT is(small.contact('two@new.example', NULL, small.solve(j)), 'refused', 'A17 captcha: for another function too') FROM c;
SELECT is(small.consumer('two@new.example'), 'accepted', 'A18 captcha: a fresh one is accepted');
SELECT is((SELECT count(*) FROM csm.registrations), 2::bigint, 'A18 captcha: a refusal leaves no row');

-- Anything else is refused, not raised.
SELECT is(small.consumer('x@new.example', p), 'refused', 'A18 captcha: refused: ' || coalesce(left(p, 40), 'NULL'))
FROM unnest(ARRAY[NULL, '', ' ', 'x', '====', 'e30=', 'W10=', 'bnVsbA==', 'MQ==', 'InN0cmluZyI=', repeat('A', 4096), repeat('A', 4097), repeat('W1tb', 1000),
                  encode(convert_to(repeat('[', 3000), 'UTF8'), 'base64'), encode('\xff00fe'::bytea, 'base64'), encode(convert_to('{"number":"\u0000"}', 'UTF8'), 'base64')]) p;
SELECT is(small.consumer('x@new.example', small.solve(csm.captcha_challenge(), change::jsonb)), 'refused', 'A18 captcha: refused with ' || change)
FROM unnest(ARRAY['{"number": 301}', '{"number": -1}', '{"number": "1"}', '{"number": 1.5}', '{"number": 1e300}', '{"number": null}', '{"number": 99999999999999999999}', '{"number": {}}',
                  '{"algorithm": "SHA-1"}', '{"algorithm": "none"}', '{"algorithm": null}', '{"algorithm": ["SHA-256"]}',
                  '{"signature": null}', '{"signature": ""}', '{"signature": "00"}', '{"challenge": null}', '{"challenge": ""}',
                  '{"salt": null}', '{"salt": ""}', '{"salt": "000000000000000000000000?expires=99999999999&"}']) change;
SELECT is(small.consumer('x@new.example', small.solve(j, jsonb_build_object('signature', upper(j->>'signature')))), 'refused', 'A18 captcha: not in capital letters') FROM (SELECT csm.captcha_challenge() j) n;
SELECT is(small.consumer('x@new.example', small.solve(n.j, jsonb_build_object('signature', o.j->>'signature'))), 'refused', 'A18 captcha: nor with another''s signature')
FROM (SELECT csm.captcha_challenge() j) n, (SELECT csm.captcha_challenge() j) o;

-- The time of expiry cannot be stretched by digits of the number: same hash, same signature, another salt.
CREATE FUNCTION pg_temp.spliced(j json) RETURNS text LANGUAGE sql AS $$
    SELECT encode(convert_to(jsonb_build_object('algorithm', 'SHA-256', 'challenge', j->>'challenge', 'signature', j->>'signature',
                  'salt', (j->>'salt') || left(n, 1), 'number', substr(n, 2)::int)::text, 'UTF8'), 'base64')
    FROM (SELECT convert_from(decode(small.solve(j), 'base64'), 'UTF8')::jsonb->>'number' AS n) s WHERE length(n) > 1 AND substr(n, 2, 1) <> '0'
$$;
SELECT is(small.consumer('x@new.example', pg_temp.spliced(csm.captcha_challenge())), 'refused', 'A18 captcha: digits do not move into the salt') FROM generate_series(1, 5);

-- Signed with the key of this database and tenant, in time.
CREATE FUNCTION pg_temp.made(key bytea, expires timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT small.solve(csm_private.altcha_challenge(key, 300, expires)::json)
$$;
SELECT is(small.consumer('ok@new.example', pg_temp.made(csm_private.captcha_key(small.tenant()), clock_timestamp() + interval '5 seconds')), 'accepted', 'A18 captcha: with five seconds left');
SELECT is(small.consumer('x@new.example', pg_temp.made(csm_private.captcha_key(small.tenant()), clock_timestamp() - interval '1 second')), 'refused', 'A18 captcha: expired');
SELECT is(small.consumer('x@new.example', pg_temp.made(csm_private.captcha_key(small.tenant('foreign')), clock_timestamp() + interval '1 hour')), 'refused', 'A18 captcha: of another tenant');
SELECT is(small.consumer('x@new.example', pg_temp.made(sha256('mine'), clock_timestamp() + interval '1 hour')), 'refused', 'A18 captcha: of another key');

-- What is used up is forgotten when it has expired.
UPDATE csm_private.captcha_used SET expires_at = clock_timestamp() - interval '1 hour';
SELECT is(small.consumer('three@new.example'), 'accepted', 'A18 captcha: accepted');
SELECT is((SELECT count(*) FROM csm_private.captcha_used), 1::bigint, 'A18 captcha: expired ones are cleared away');

-- A tenant that needs none, and a provider's own.
UPDATE csm.tenants SET settings = settings || '{"captcha": {"required": false}}' WHERE id = small.tenant();
SELECT is(small.consumer('four@new.example', NULL), 'accepted', 'A18 captcha: a tenant may do without');
UPDATE csm.tenants SET settings = settings || '{"captcha": {}}' WHERE id = small.tenant();
SELECT is(small.consumer('five@new.example', NULL), 'refused', 'A18 captcha: by default it is asked');
CREATE SCHEMA provider;
GRANT USAGE ON SCHEMA provider TO csm_owner;
CREATE FUNCTION provider.verify(tenant_id bigint, payload text, source text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF payload = 'fail' THEN
        RAISE EXCEPTION 'provider is down';
    END IF;
    RETURN payload = 'good ' || source;
END $$;
SET LOCAL csm.captcha_verifier = 'provider.verify';
SELECT is(small.consumer('five@new.example', 'good 192.0.2.7', ', source => ''192.0.2.7'''), 'accepted', 'A18 captcha: the verifier of a provider decides');
SELECT is(small.consumer('six@new.example', p), 'refused', 'A18 captcha: and refuses: ' || coalesce(p, 'NULL')) FROM unnest(ARRAY['bad', NULL, 'fail']) p;
SELECT is(small.consumer('six@new.example'), 'refused', 'A18 captcha: a proof of work does not count then');
SET LOCAL csm.captcha_verifier = 'provider.gone';
SELECT is(small.consumer('six@new.example', 'good local'), 'refused', 'A18 captcha: a verifier that is missing lets nobody pass');
SET LOCAL csm.captcha_verifier = 'provider.verify; DROP TABLE x';
SELECT is(small.consumer('six@new.example', 'good local'), 'refused', 'A18 captcha: nor does one that is no name');
SELECT matches(small.run(NULL, 'csm_guest', $$SELECT set_config('csm.captcha_verifier', '', true)$$), '^ERROR 42501', 'A18 captcha: a visitor does not choose the verifier');
SET LOCAL csm.captcha_verifier = '';

SELECT throws_ok(format($$UPDATE csm.tenants SET settings = jsonb_build_object('captcha', %L::jsonb) WHERE id = small.tenant()$$, s), '23514', NULL, 'A18 captcha: no setting: ' || s)
FROM unnest(ARRAY['[]', '{"max_number": 0}', '{"max_number": 1.5}', '{"minutes": -1}', '{"required": "no"}', '{"other": 1}']) s;
SET LOCAL csm.tenant = 'nobody';
SELECT is(small.run(NULL, 'csm_guest', 'SELECT csm.captcha_challenge()'), NULL, 'A18 captcha: no challenge without a tenant');
SELECT * FROM finish();
ROLLBACK;
