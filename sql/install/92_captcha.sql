-- Captcha: the ALTCHA proof of work, inside the database.
--
-- A challenge is signed and not stored (src/csm_captcha.c).  A solution counts
-- once: the insertion of its challenge into csm_private.captcha_used decides
-- between two who present it at once.

INSERT INTO csm_private.secrets (name, value)
VALUES ('captcha', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')));

CREATE TABLE csm_private.captcha_used (
    tenant_id bigint NOT NULL,
    challenge bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT captcha_used_pkey PRIMARY KEY (challenge, tenant_id),
    CONSTRAINT captcha_used_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
CREATE INDEX captcha_used_expires_idx ON csm_private.captcha_used (expires_at);
ALTER TABLE csm_private.captcha_used OWNER TO csm_owner;
REVOKE ALL ON csm_private.captcha_used FROM PUBLIC;
ALTER TABLE csm_private.captcha_used ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.captcha_used', 'WHERE false');
COMMENT ON TABLE csm_private.captcha_used IS 'Challenges that were solved and used, until they expire; not part of a dump, as their key is not';
COMMENT ON COLUMN csm_private.captcha_used.tenant_id IS 'Tenant whose challenge it was';
COMMENT ON COLUMN csm_private.captcha_used.challenge IS 'The challenge, 32 bytes';
COMMENT ON COLUMN csm_private.captcha_used.expires_at IS 'From then on the row is not needed any more';

CREATE FUNCTION csm_private.altcha_challenge(key bytea, max_number integer, expires timestamptz) RETURNS text
AS 'MODULE_PATHNAME', 'csm_altcha_challenge' LANGUAGE c VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.altcha_challenge(bytea, integer, timestamptz) IS
'A new signed challenge as JSON text; error 22023 for a key shorter than 32 bytes, a max_number below 1 or an expiry before 1970';

CREATE FUNCTION csm_private.altcha_solved(key bytea, challenge text, number bigint, salt text, signature text) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'csm_altcha_solved' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.altcha_solved(bytea, text, bigint, text, text) IS
'Until when a challenge may be used, NULL unless it was signed with the key and the number solves it. Knows neither the clock nor what was used already';

CREATE FUNCTION csm_private.captcha_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((settings->'captcha'->>name)::integer, CASE name WHEN 'max_number' THEN 100000 WHEN 'minutes' THEN 20 END);
COMMENT ON FUNCTION csm_private.captcha_setting(jsonb, text) IS
'max_number (the greatest number to try; 100000) or minutes (for which a challenge counts; 20) from the settings of a tenant';

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_captcha_check CHECK (
    NOT settings ? 'captcha'
    OR (jsonb_typeof(settings->'captcha') = 'object'
        AND (settings->'captcha') - '{required,max_number,minutes}'::text[] = '{}'
        AND coalesce(jsonb_typeof(settings->'captcha'->'required'), 'boolean') = 'boolean'
        AND coalesce(settings->'captcha'->>'max_number', '1') ~ '^[1-9][0-9]{0,7}$'
        AND coalesce(settings->'captcha'->>'minutes', '1') ~ '^[1-9][0-9]{0,3}$'));

-- A key for each tenant: what one tenant asked solves nothing for another.
CREATE FUNCTION csm_private.captcha_key(tenant_id bigint) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(s.value || int8send(captcha_key.tenant_id)) FROM csm_private.secrets s WHERE s.name = 'captcha'
$$;
COMMENT ON FUNCTION csm_private.captcha_key(bigint) IS 'Key that signs the challenges of a tenant';

CREATE FUNCTION csm.captcha_challenge() RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.guest_tenant_id(), csm.current_tenant_id());
BEGIN
    RETURN (SELECT csm_private.altcha_challenge(csm_private.captcha_key(t.id),
                csm_private.captcha_setting(t.settings, 'max_number'),
                clock_timestamp() + interval '1 minute' * csm_private.captcha_setting(t.settings, 'minutes'))::json
            FROM csm.tenants t WHERE t.id = tenant);
END $$;
COMMENT ON FUNCTION csm.captcha_challenge() IS
'A challenge as the ALTCHA widget expects it from its challenge URL: algorithm, challenge, maxnumber, salt, signature. Nothing is stored. NULL where the tenant is not known';

-- Whoever presents the same solution at the same time waits here for the first
-- to commit, and is refused then.
CREATE FUNCTION csm_private.use_captcha(tenant_id bigint, payload text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb;
    until timestamptz;
BEGIN
    IF payload IS NULL OR length(payload) > 4096 THEN
        RETURN false;
    END IF;
    BEGIN
        given := convert_from(decode(payload, 'base64'), 'UTF8')::jsonb;
    EXCEPTION WHEN OTHERS THEN
        RETURN false;
    END;
    IF jsonb_typeof(given) <> 'object' OR given->>'algorithm' IS DISTINCT FROM 'SHA-256'
       OR jsonb_typeof(given->'number') IS DISTINCT FROM 'number' OR given->>'number' !~ '^[0-9]{1,9}$' THEN
        RETURN false;
    END IF;
    until := csm_private.altcha_solved(csm_private.captcha_key(tenant_id), given->>'challenge', (given->>'number')::bigint,
                                       given->>'salt', given->>'signature');
    IF until IS NULL OR until <= clock_timestamp() THEN
        RETURN false;
    END IF;
    DELETE FROM csm_private.captcha_used u
    WHERE u.ctid = ANY (ARRAY(SELECT o.ctid FROM csm_private.captcha_used o WHERE o.expires_at <= clock_timestamp()
                              LIMIT 10 FOR UPDATE SKIP LOCKED));
    INSERT INTO csm_private.captcha_used (tenant_id, challenge, expires_at)
    VALUES (use_captcha.tenant_id, decode(given->>'challenge', 'hex'), until)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION csm_private.use_captcha(bigint, text) IS
'Whether the payload of the widget (JSON in base64) solves a challenge of the tenant that is neither expired nor used; it is used then';

-- The name comes from a setting that only a superuser makes. A verifier that is
-- missing or fails lets nobody pass.
CREATE FUNCTION csm_private.captcha_passed(tenant_id bigint, payload text, source text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named CONSTANT text := nullif(btrim(current_setting('csm.captcha_verifier', true)), '');
    verifier regprocedure;
    passed boolean;
BEGIN
    IF (SELECT t.settings->'captcha'->>'required' FROM csm.tenants t WHERE t.id = captcha_passed.tenant_id) = 'false' THEN
        RETURN true;
    ELSIF named IS NULL THEN
        RETURN csm_private.use_captcha(captcha_passed.tenant_id, payload);
    END IF;
    BEGIN
        verifier := to_regprocedure(named || '(bigint,text,text)');
        EXECUTE format('SELECT %s($1, $2, $3)', verifier::oid::regproc) INTO passed USING tenant_id, payload, source;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'csm.captcha_verifier "%" failed: %', named, SQLERRM;
        RETURN false;
    END;
    RETURN coalesce(passed, false);
END $$;
COMMENT ON FUNCTION csm_private.captcha_passed(bigint, text, text) IS
'Whether the captcha is passed: by the function that csm.captcha_verifier names, else by csm''s proof of work; always where the tenant''s settings say {"captcha": {"required": false}}';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.altcha_challenge(bytea, integer, timestamptz)',
        'csm_private.altcha_solved(bytea, text, bigint, text, text)',
        'csm_private.captcha_setting(jsonb, text)',
        'csm_private.captcha_key(bigint)',
        'csm.captcha_challenge()',
        'csm_private.use_captcha(bigint, text)',
        'csm_private.captcha_passed(bigint, text, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.captcha_challenge() TO csm_guest, csm_portal, csm_agent, csm_admin;
