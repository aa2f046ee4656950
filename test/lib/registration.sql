-- Visitors in the small world, for tests of registration. After small.sql, in the same transaction:
--
--   \ir ../lib/registration.sql
SET LOCAL csm.tenant = 'small';
UPDATE csm.tenants SET settings = settings || '{"captcha": {"max_number": 300}, "registration": {"per_source": 1000}}' WHERE id = small.tenant();

-- Solves a challenge by the letter of the protocol: sha256 in SQL, no code of csm.
CREATE FUNCTION small.solve(challenge json, change jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT translate(encode(convert_to((jsonb_build_object('algorithm', challenge->>'algorithm', 'challenge', challenge->>'challenge', 'number', n,
                                       'salt', challenge->>'salt', 'signature', challenge->>'signature', 'took', 12) || change)::text, 'UTF8'), 'base64'), E'\n', '')
    FROM generate_series(0, (challenge->>'maxnumber')::int) n
    WHERE encode(sha256(convert_to((challenge->>'salt') || n, 'UTF8')), 'hex') = challenge->>'challenge'
$$;
CREATE FUNCTION small.captcha() RETURNS text LANGUAGE sql RETURN small.solve(csm.captcha_challenge());

CREATE FUNCTION small.consumer(email text, captcha text DEFAULT small.captcha(), more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(NULL, 'csm_guest', format('SELECT status FROM csm.register_consumer(%L, ''Some Body'', %L%s)', email, captcha, more), NULL, true)
$$;
CREATE FUNCTION small.contact(email text, code text DEFAULT NULL, captcha text DEFAULT small.captcha(), more text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(NULL, 'csm_guest', format('SELECT status FROM csm.register_contact(%L, ''Some Body'', %L, %L%s)', email, code, captcha, more), NULL, true)
$$;
-- The last mail of a kind to an address, and the token in it.
CREATE FUNCTION small.mail(of_kind text, to_whom text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT payload FROM csm.outbox WHERE kind = of_kind AND recipient = to_whom ORDER BY id DESC LIMIT 1
$$;
CREATE FUNCTION small.confirm(email text, password text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(NULL, 'csm_guest', format('SELECT status FROM csm.confirm_registration(%L, %L)', small.mail('registration_confirm', email)->>'token', password), NULL, true)
$$;
CREATE FUNCTION small.accept(email text, of_kind text DEFAULT 'invitation', password text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(NULL, 'csm_guest', format('SELECT status FROM csm.accept_invitation(%L, %L)', small.mail(of_kind, email)->>'token', password), NULL, true)
$$;
CREATE FUNCTION small.registration(email text) RETURNS csm.registrations LANGUAGE sql AS $$
    SELECT r FROM csm.registrations r WHERE r.email = registration.email ORDER BY id DESC LIMIT 1
$$;
CREATE FUNCTION small.as(person text, statement text, keep boolean DEFAULT true, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, statement, NULL, keep)
$$;
