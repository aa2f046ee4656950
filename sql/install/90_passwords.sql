-- Passwords, for those who have no identity provider.
--
-- Nobody but the person learns or sets one: others can have him sent a token
-- with which he sets it himself.  Every answer to somebody who is not signed in
-- is the same whether or not the person is known, and takes the same time:
-- a hash is computed in any case (src/csm_password.c).
--
-- Attempts are counted before the password is looked at and outside the
-- transaction (src/csm_attempt.c), so no client can take one back.

CREATE TABLE csm.password_policies (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    allowed boolean NOT NULL DEFAULT true,
    minimum_length integer NOT NULL DEFAULT 12,
    free_attempts integer NOT NULL DEFAULT 5,
    first_pause interval NOT NULL DEFAULT '1 minute',
    longest_pause interval NOT NULL DEFAULT '1 hour',
    source_attempts integer NOT NULL DEFAULT 100,
    source_period interval NOT NULL DEFAULT '15 minutes',
    reset_valid interval NOT NULL DEFAULT '1 hour',
    CONSTRAINT password_policies_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT password_policies_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    -- NIST SP 800-63B, 5.1.1.2: at least eight characters
    CONSTRAINT password_policies_length_check CHECK (minimum_length BETWEEN 8 AND 128),
    CONSTRAINT password_policies_attempts_check CHECK (free_attempts BETWEEN 1 AND 100 AND source_attempts BETWEEN 1 AND 1000000),
    CONSTRAINT password_policies_pause_check CHECK (first_pause BETWEEN '1 second' AND '1 day' AND longest_pause BETWEEN first_pause AND '1 day'
        AND source_period BETWEEN '1 second' AND '1 day' AND reset_valid BETWEEN '1 minute' AND '7 days')
);
SELECT csm_private.adopt_table('csm.password_policies');
CREATE POLICY password_policies_all ON csm.password_policies FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT, DELETE, INSERT (allowed, minimum_length, free_attempts, first_pause, longest_pause, source_attempts, source_period, reset_valid),
      UPDATE (allowed, minimum_length, free_attempts, first_pause, longest_pause, source_attempts, source_period, reset_valid)
      ON csm.password_policies TO csm_admin;

COMMENT ON TABLE csm.password_policies IS 'What the tenant demands of passwords and of those who try them; without a row the defaults hold';
COMMENT ON COLUMN csm.password_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_policies.allowed IS 'False: nobody signs in with a password';
COMMENT ON COLUMN csm.password_policies.minimum_length IS 'Characters';
COMMENT ON COLUMN csm.password_policies.free_attempts IS 'Wrong passwords of one login until the first pause';
COMMENT ON COLUMN csm.password_policies.first_pause IS 'How long the login is then locked; each further wrong password doubles it';
COMMENT ON COLUMN csm.password_policies.longest_pause IS 'And never longer; without an attempt for so long all is forgotten';
COMMENT ON COLUMN csm.password_policies.source_attempts IS 'Wrong passwords and reset requests from one source in source_period';
COMMENT ON COLUMN csm.password_policies.source_period IS 'See source_attempts';
COMMENT ON COLUMN csm.password_policies.reset_valid IS 'How long the token of a reset is good';
COMMENT ON POLICY password_policies_all ON csm.password_policies IS 'Administrators';

CREATE TABLE csm.denied_passwords (
    password text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    CONSTRAINT denied_passwords_pkey PRIMARY KEY (password, tenant_id),
    CONSTRAINT denied_passwords_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT denied_passwords_password_check CHECK (password = lower(password) AND length(password) BETWEEN 1 AND 1000)
);
SELECT csm_private.adopt_table('csm.denied_passwords');
CREATE POLICY denied_passwords_all ON csm.denied_passwords FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT, DELETE, INSERT (password) ON csm.denied_passwords TO csm_admin;

COMMENT ON TABLE csm.denied_passwords IS 'Passwords that nobody of the tenant may choose: lists of leaked ones, the name of the company; COPY into it';
COMMENT ON COLUMN csm.denied_passwords.password IS 'In lower case; upper and lower case do not count';
COMMENT ON COLUMN csm.denied_passwords.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY denied_passwords_all ON csm.denied_passwords IS 'Administrators';

CREATE TABLE csm.passwords (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    hash text NOT NULL,
    must_change boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT passwords_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT passwords_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT passwords_hash_check CHECK (starts_with(hash, '$argon2id$'))
);
SELECT csm_private.adopt_table('csm.passwords');
ALTER TABLE csm.passwords ALTER COLUMN hash SET STATISTICS 0;

COMMENT ON TABLE csm.passwords IS 'Who can sign in with a password; no role reads or writes it';
COMMENT ON COLUMN csm.passwords.user_id IS 'The person';
COMMENT ON COLUMN csm.passwords.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.passwords.hash IS 'Argon2id with salt and cost, as libsodium writes it';
COMMENT ON COLUMN csm.passwords.must_change IS 'True: good for nothing but csm.change_password()';
COMMENT ON COLUMN csm.passwords.changed_at IS 'When it was set';

CREATE TABLE csm.password_resets (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT password_resets_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT password_resets_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT password_resets_token_key UNIQUE (token_hash)
);
SELECT csm_private.adopt_table('csm.password_resets');

COMMENT ON TABLE csm.password_resets IS 'Who may set a password with the token that he was sent: one at a time, a newer token replaces it; no role reads it';
COMMENT ON COLUMN csm.password_resets.user_id IS 'The person';
COMMENT ON COLUMN csm.password_resets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_resets.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm.password_resets.expires_at IS 'From when on it is good for nothing';

-- Hashes ------------------------------------------------------------------

CREATE FUNCTION csm_private.password_hash(password text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_password_hash' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION csm_private.password_hash(text) IS
'Argon2id with a new salt: 64 MB of memory, some 60 ms, at most eight at a time in a database';

CREATE FUNCTION csm_private.password_matches(password text, hash text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_password_matches' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION csm_private.password_matches(text, text) IS
'Is it the password of the hash? Hash NULL: false, after the same time';

CREATE FUNCTION csm_private.password_outdated(hash text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_password_outdated' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.password_outdated(text) IS
'Was the hash made at another cost than new ones?';

-- The same characters, however a keyboard composes them (NIST SP 800-63B, 5.1.1.2).
CREATE FUNCTION csm_private.password_text(password text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(password) > 4000 THEN left(password, 1000)
            WHEN getdatabaseencoding() = 'UTF8' THEN normalize(password, NFKC) ELSE password END;
COMMENT ON FUNCTION csm_private.password_text(text) IS
'What is hashed of a password: Unicode in form NFKC; of what is too long to be one, the beginning';

-- Rules -------------------------------------------------------------------

CREATE FUNCTION csm_private.password_policy(tenant_id bigint) RETURNS csm.password_policies
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT p FROM csm.password_policies p WHERE p.tenant_id = password_policy.tenant_id),
                    ROW(password_policy.tenant_id, true, 12, 5, '1 minute', '1 hour', 100, '15 minutes', '1 hour')::csm.password_policies)
$$;
COMMENT ON FUNCTION csm_private.password_policy(bigint) IS
'The policy of the tenant, or the defaults';

-- Of the most used passwords those that are long enough to be tried.
CREATE FUNCTION csm_private.common_passwords() RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
RETURN unnest('{password,password1,password12,password123,password1234,password12345,password123456,passw0rd,p@ssw0rd,p@ssword,
    12345678,123456789,1234567890,12345678910,123456789012,1234567890123,87654321,987654321,0987654321,11111111,00000000,
    qwertyui,qwertyuiop,qwerty123,qwerty1234,qwerty12345,qwerty123456,1q2w3e4r,1q2w3e4r5t,1q2w3e4r5t6y,1qaz2wsx,1qaz2wsx3edc,zaq12wsx,
    asdfghjkl,asdfasdf,zxcvbnm123,abcd1234,abcdefgh,abcdefghijkl,a1b2c3d4,aa123456,iloveyou,iloveyou123,letmein123,letmein1234,
    welcome1,welcome123,welcome1234,admin123,admin1234,administrator,changeme,changeme123,changeme1234,football,baseball,basketball,
    sunshine,princess,superman,trustno1,computer,internet,whatever,michelle,jennifer,correcthorsebatterystaple}'::text[]);
COMMENT ON FUNCTION csm_private.common_passwords() IS
'Passwords denied to everybody, in lower case, beside csm.denied_passwords';

CREATE FUNCTION csm_private.password_fault(tenant_id bigint, user_id bigint, password text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN password IS NULL OR length(password) < (csm_private.password_policy(password_fault.tenant_id)).minimum_length THEN 'too_short'
        WHEN length(password) > 1000 OR octet_length(password) > 4000 THEN 'too_long'
        WHEN t.folded ~ '^(.)\1*$'
             OR t.folded IN (SELECT csm_private.common_passwords())
             OR EXISTS (SELECT FROM csm.denied_passwords d WHERE d.password = t.folded AND d.tenant_id = password_fault.tenant_id)
             OR EXISTS (SELECT FROM csm.users u WHERE u.id = password_fault.user_id AND u.tenant_id = password_fault.tenant_id
                          AND (t.folded IN (u.email_key, lower(u.display_name))
                               OR length(split_part(u.email_key, '@', 1)) >= 4 AND strpos(t.folded, split_part(u.email_key, '@', 1)) > 0))
            THEN 'denied' END
    FROM (SELECT lower(csm_private.password_text(password))) t(folded)
$$;
COMMENT ON FUNCTION csm_private.password_fault(bigint, bigint, text) IS
'Why the person may not choose this password: too_short, too_long (1,000 characters), denied; NULL: he may. user_id NULL: nothing of the person is compared';

CREATE FUNCTION csm_private.set_password(tenant_id bigint, user_id bigint, password text, must_change boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.passwords AS p (tenant_id, user_id, hash, must_change)
    VALUES (set_password.tenant_id, set_password.user_id,
            csm_private.password_hash(csm_private.password_text(password)), set_password.must_change)
    ON CONFLICT ON CONSTRAINT passwords_pkey DO UPDATE
        SET hash = excluded.hash, must_change = excluded.must_change, changed_at = clock_timestamp();
    DELETE FROM csm.password_resets r WHERE r.user_id = set_password.user_id AND r.tenant_id = set_password.tenant_id;
    PERFORM csm_private.end_sessions(set_password.user_id, set_password.tenant_id, false);
END $$;
COMMENT ON FUNCTION csm_private.set_password(bigint, bigint, text, boolean) IS
'Stores the password of a person; asks nothing, tokens of resets end. The caller has looked at csm_private.password_fault()';

-- Trying one --------------------------------------------------------------

CREATE FUNCTION csm_private.source_of(source text) RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(nullif(btrim(source), ''), host(inet_client_addr()), 'local');
COMMENT ON FUNCTION csm_private.source_of(text) IS
'Where a request comes from: what a trusted backend says, else the address of the connection';

CREATE FUNCTION csm_private.person_of_login(tenant_id bigint, login text) RETURNS csm.users
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u FROM csm.users u
    WHERE u.tenant_id = person_of_login.tenant_id
      AND (u.email_key = lower(btrim(login)) OR u.external_id = btrim(login))
    ORDER BY u.email_key = lower(btrim(login)) DESC NULLS LAST LIMIT 1
$$;
COMMENT ON FUNCTION csm_private.person_of_login(bigint, text) IS
'The person with this e-mail, else with this external id; NULL for none';

CREATE FUNCTION csm_private.try_password(tenant_id bigint, user_id bigint, password text, source text,
    OUT refusal text, OUT must_change boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    policy CONSTANT csm.password_policies := csm_private.password_policy(try_password.tenant_id);
    place CONSTANT text := try_password.tenant_id || ' ' || csm_private.source_of(try_password.source);
    known csm.passwords;
    -- whoever has no password shares a counter that is not looked at
    login_key text;
    free boolean;
BEGIN
    IF NOT csm_private.attempt('password_source', place, policy.source_attempts, policy.source_period) THEN
        refusal := 'source_limit';
        RETURN;
    END IF;
    SELECT p.* INTO known FROM csm.passwords p JOIN csm.users u ON u.id = p.user_id AND u.tenant_id = p.tenant_id
    WHERE p.user_id = try_password.user_id AND p.tenant_id = try_password.tenant_id AND u.enabled AND policy.allowed;
    login_key := try_password.tenant_id || ' ' || coalesce(known.user_id, 0);
    free := csm_private.attempt('password_login', login_key, policy.free_attempts, policy.first_pause, policy.longest_pause)
            AND known.user_id IS NOT NULL;
    IF NOT csm_private.password_matches(csm_private.password_text(try_password.password), CASE WHEN free THEN known.hash END) THEN
        refusal := CASE WHEN known.user_id IS NULL THEN 'no_password' WHEN free THEN 'wrong_password' ELSE 'locked' END;
        RETURN;
    END IF;
    PERFORM csm_private.attempt_forgive('password_login', login_key, policy.free_attempts, policy.first_pause, policy.longest_pause);
    PERFORM csm_private.attempt_forgive('password_source', place, policy.source_attempts, policy.source_period);
    IF csm_private.password_outdated(known.hash) AND current_setting('transaction_read_only') = 'off' THEN
        UPDATE csm.passwords p SET hash = csm_private.password_hash(csm_private.password_text(try_password.password))
        WHERE p.user_id = known.user_id AND p.tenant_id = known.tenant_id;
    END IF;
    must_change := known.must_change;
END $$;
COMMENT ON FUNCTION csm_private.try_password(bigint, bigint, text, text) IS
'Is it the password of the person? Counts the attempt before it looks. refusal NULL: yes; else source_limit, locked, wrong_password, no_password (of a person who has none, is disabled or unknown, or where passwords are not allowed)';

CREATE FUNCTION csm.sign_in_password(login text, password text, source text DEFAULT NULL, local boolean DEFAULT true,
    OUT status text, OUT user_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- of the visitor, whoever was signed in before
    tenant bigint;
    person csm.users;
    tried record;
BEGIN
    PERFORM csm_private.sign_in_as(NULL, coalesce(sign_in_password.local, true));
    tenant := csm.guest_tenant_id();
    status := 'refused';
    IF tenant IS NULL THEN
        RETURN;
    END IF;
    person := csm_private.person_of_login(tenant, sign_in_password.login);
    tried := csm_private.try_password(tenant, person.id, sign_in_password.password, sign_in_password.source);
    IF tried.refusal IS NOT NULL THEN
        PERFORM csm_private.record_refusal(tenant, 'password', tried.refusal, person.id);
    ELSIF tried.must_change THEN
        status := 'must_change';
    ELSE
        PERFORM csm_private.sign_in_as(person.id, coalesce(sign_in_password.local, true));
        PERFORM csm_private.audit('signed_in', person.id, person.id, NULL, '{"method": "password"}', tenant);
        status := 'signed_in';
        user_id := person.id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.sign_in_password(text, text, text, boolean) IS
'Signs a person of the visitor''s tenant (csm.tenant) in by e-mail or external id and password, for the transaction or with local false for the session. source: the visitor''s address, from a backend that stands between. status: signed_in; must_change: right, but only csm.change_password() is open to him; refused, which leaves nobody signed in and says no more. Pass the password as a bind parameter';

-- Setting one -------------------------------------------------------------

CREATE FUNCTION csm.change_password(current_password text, new_password text, login text DEFAULT NULL, source text DEFAULT NULL,
    OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    person bigint := me;
    tried record;
BEGIN
    status := 'refused';
    IF tenant IS NULL OR me IS NULL AND login IS NULL THEN
        RETURN;
    ELSIF me IS NULL THEN
        person := (csm_private.person_of_login(tenant, change_password.login)).id;
    END IF;
    tried := csm_private.try_password(tenant, person, current_password, source);
    IF tried.refusal IS NOT NULL THEN
        PERFORM csm_private.record_refusal(tenant, 'change_password', tried.refusal, person);
        RETURN;
    END IF;
    status := coalesce(csm_private.password_fault(tenant, person, new_password),
                       CASE WHEN csm_private.password_text(new_password) = csm_private.password_text(current_password) THEN 'unchanged' END);
    IF status IS NULL THEN
        PERFORM csm_private.set_password(tenant, person, new_password);
        PERFORM csm_private.audit('password_changed', person, person, NULL, '{}', tenant);
        status := 'changed';
    END IF;
END $$;
COMMENT ON FUNCTION csm.change_password(text, text, text, text) IS
'Sets another password: of the signed-in person, or, when nobody is signed in, of the person with that login (who must change it first). status: changed; refused (current password wrong, login locked); too_short, too_long, denied, unchanged (new password). Pass both as bind parameters';

CREATE FUNCTION csm_private.issue_password_reset(tenant_id bigint, user_id bigint, kind text DEFAULT 'password_reset',
    valid interval DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    person csm.users;
    token CONSTANT text := csm_private.new_token();
    until CONSTANT timestamptz := clock_timestamp() + coalesce(issue_password_reset.valid,
        (csm_private.password_policy(issue_password_reset.tenant_id)).reset_valid);
BEGIN
    SELECT * INTO person FROM csm.users u
    WHERE u.id = issue_password_reset.user_id AND u.tenant_id = issue_password_reset.tenant_id AND u.enabled AND u.email IS NOT NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO csm.password_resets AS r (tenant_id, user_id, token_hash, expires_at)
    VALUES (person.tenant_id, person.id, csm_private.token_hash(token), until)
    ON CONFLICT ON CONSTRAINT password_resets_pkey DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at;
    PERFORM csm_private.send_mail(person.tenant_id, issue_password_reset.kind, person.email, person.id, person.language,
        jsonb_build_object('token', token, 'name', person.display_name, 'expires_at', until), until);
    RETURN true;
END $$;
COMMENT ON FUNCTION csm_private.issue_password_reset(bigint, bigint, text, interval) IS
'Sends the person, to his address on record, a token with which he sets his password once; an earlier one ends. kind: the template. valid NULL: as the policy says. False when he is unknown, disabled or has no address; asks nothing else';

CREATE FUNCTION csm.request_password_reset(login text, source text DEFAULT NULL, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    policy csm.password_policies;
    person csm.users;
BEGIN
    status := 'accepted';
    IF tenant IS NULL THEN
        RETURN;
    END IF;
    policy := csm_private.password_policy(tenant);
    IF NOT csm_private.attempt('password_source', tenant || ' ' || csm_private.source_of(source), policy.source_attempts, policy.source_period) THEN
        RETURN;
    END IF;
    person := csm_private.person_of_login(tenant, login);
    -- who has no password signs in elsewhere; he gets one by invitation only
    IF csm_private.attempt('password_reset', tenant || ' ' || coalesce(person.id, 0), 3, '1 hour') AND policy.allowed
       AND EXISTS (SELECT FROM csm.passwords p WHERE p.user_id = person.id AND p.tenant_id = tenant)
       AND csm_private.issue_password_reset(tenant, person.id) THEN
        PERFORM csm_private.audit('password_reset_sent', csm.current_user_id(), person.id, NULL, '{}', tenant);
    END IF;
END $$;
COMMENT ON FUNCTION csm.request_password_reset(text, text) IS
'Sends a person who has a password a token to set another one. status is always accepted, whether or not somebody is known by that login, and where too many were asked for: three an hour for a person, and those of a source';

CREATE FUNCTION csm.reset_password(token text, new_password text, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reset csm.password_resets;
    policy csm.password_policies;
BEGIN
    -- the lock lets one of two who use it at once find it, the other none
    SELECT r.* INTO reset FROM csm.password_resets r JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
    WHERE r.token_hash = csm_private.token_hash(reset_password.token) AND r.expires_at > clock_timestamp() AND u.enabled
    FOR UPDATE OF r;
    IF NOT FOUND THEN
        status := 'refused';
        RETURN;
    END IF;
    status := csm_private.password_fault(reset.tenant_id, reset.user_id, new_password);
    IF status IS NULL THEN
        policy := csm_private.password_policy(reset.tenant_id);
        PERFORM csm_private.set_password(reset.tenant_id, reset.user_id, new_password);
        PERFORM csm_private.attempt_forgive('password_login', reset.tenant_id || ' ' || reset.user_id,
            policy.free_attempts, policy.first_pause, policy.longest_pause);
        PERFORM csm_private.audit('password_reset', reset.user_id, reset.user_id, NULL, '{}', reset.tenant_id);
        status := 'changed';
    END IF;
END $$;
COMMENT ON FUNCTION csm.reset_password(text, text) IS
'Sets the password with the token of a reset or an invitation, once, and unlocks the login; signs nobody in. status: changed; refused (token unknown, used, replaced or expired); too_short, too_long, denied, which leave the token good. Pass both as bind parameters';

-- For administrators ------------------------------------------------------

CREATE FUNCTION csm.send_password_reset(user_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT coalesce(csm.all_in(tenant, 'internal', 'person_manage'), false)
       OR NOT csm_private.issue_password_reset(tenant, send_password_reset.user_id) THEN
        RAISE EXCEPTION 'no password reset can be sent to user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage send one to an enabled person who has an e-mail address.';
    END IF;
    PERFORM csm_private.audit('password_reset_sent', csm.current_user_id(), send_password_reset.user_id, NULL, '{}', tenant);
END $$;
COMMENT ON FUNCTION csm.send_password_reset(bigint) IS
'Sends the person a token to set his password, to his address on record; who had none gets one so. Staff with person_manage. Error 42501';

CREATE FUNCTION csm.require_password_change(user_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF coalesce(csm.all_in(tenant, 'internal', 'person_manage'), false) THEN
        UPDATE csm.passwords p SET must_change = true WHERE p.user_id = require_password_change.user_id AND p.tenant_id = tenant;
    END IF;
    IF NOT FOUND OR NOT coalesce(csm.all_in(tenant, 'internal', 'person_manage'), false) THEN
        RAISE EXCEPTION 'user % has no password that you could have changed', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage demand it of a person who has a password.';
    END IF;
    PERFORM csm_private.audit('password_change_required', csm.current_user_id(), require_password_change.user_id, NULL, '{}', tenant);
END $$;
COMMENT ON FUNCTION csm.require_password_change(bigint) IS
'The person''s password is good for nothing but csm.change_password() from now on. Staff with person_manage. Error 42501';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.password_hash(text)',
        'csm_private.password_matches(text, text)',
        'csm_private.password_outdated(text)',
        'csm_private.password_text(text)',
        'csm_private.password_policy(bigint)',
        'csm_private.common_passwords()',
        'csm_private.password_fault(bigint, bigint, text)',
        'csm_private.set_password(bigint, bigint, text, boolean)',
        'csm_private.source_of(text)',
        'csm_private.person_of_login(bigint, text)',
        'csm_private.try_password(bigint, bigint, text, text)',
        'csm.sign_in_password(text, text, text, boolean)',
        'csm.change_password(text, text, text, text)',
        'csm_private.issue_password_reset(bigint, bigint, text, interval)',
        'csm.request_password_reset(text, text)',
        'csm.reset_password(text, text)',
        'csm.send_password_reset(bigint)',
        'csm.require_password_change(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.sign_in_password(text, text, text, boolean), csm.change_password(text, text, text, text),
    csm.request_password_reset(text, text), csm.reset_password(text, text)
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT EXECUTE ON FUNCTION csm.send_password_reset(bigint), csm.require_password_change(bigint) TO csm_agent, csm_admin;
