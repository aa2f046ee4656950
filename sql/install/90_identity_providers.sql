-- Signing in with OpenID Connect: providers, their keys, who their subjects
-- are, and csm.sign_in().  A token is verified in C (src/csm_token.c,
-- src/csm_sign_in.c) with keys from these tables only; the database fetches
-- nothing.

CREATE TABLE csm.identity_providers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    issuer text NOT NULL,
    audience text NOT NULL,
    algorithms text[] NOT NULL DEFAULT '{RS256,PS256,ES256}',
    clock_skew interval NOT NULL DEFAULT '1 minute',
    require_nonce boolean NOT NULL DEFAULT false,
    single_use boolean NOT NULL DEFAULT false,
    subject_claim text NOT NULL DEFAULT 'sub',
    claims jsonb NOT NULL DEFAULT '{"display_name": "name", "email": "email", "language": "locale"}',
    trust_email boolean NOT NULL DEFAULT false,
    link_by text,
    create_as text,
    create_account_id bigint,
    create_role text,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT identity_providers_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT identity_providers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT identity_providers_account_fkey FOREIGN KEY (create_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT identity_providers_role_fkey FOREIGN KEY (create_role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT identity_providers_issuer_key UNIQUE (tenant_id, issuer, audience),
    CONSTRAINT identity_providers_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT identity_providers_issuer_check CHECK (length(issuer) BETWEEN 1 AND 400 AND length(audience) BETWEEN 1 AND 400),
    CONSTRAINT identity_providers_algorithms_check CHECK (cardinality(algorithms) > 0
        AND algorithms <@ '{RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512}'::text[]),
    CONSTRAINT identity_providers_skew_check CHECK (clock_skew BETWEEN '0' AND '10 minutes'),
    CONSTRAINT identity_providers_claims_check CHECK (jsonb_typeof(claims) = 'object'
        AND claims - '{display_name,email,language,time_zone,phone,title,external_id}'::text[] = '{}'
        AND NOT jsonb_path_exists(claims, 'strict $.keyvalue().value ? (@.type() != "string")')
        AND length(subject_claim) BETWEEN 1 AND 100),
    CONSTRAINT identity_providers_link_check CHECK (link_by IN ('email', 'external_id')
        AND (link_by <> 'external_id' OR claims ? 'external_id')),
    CONSTRAINT identity_providers_create_check CHECK (create_as IN ('person', 'employee', 'consumer', 'contact')
        AND (create_as = 'contact') = (create_account_id IS NOT NULL AND create_role IS NOT NULL)),
    CONSTRAINT identity_providers_contact_check CHECK (create_as = 'contact' OR num_nonnulls(create_account_id, create_role) = 0)
);
CREATE INDEX identity_providers_account_idx ON csm.identity_providers (create_account_id) WHERE create_account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.identity_providers');

CREATE POLICY identity_providers_all ON csm.identity_providers FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT, DELETE ON csm.identity_providers TO csm_admin;
GRANT INSERT (name, issuer, audience, algorithms, clock_skew, require_nonce, single_use, subject_claim, claims, trust_email,
              link_by, create_as, create_account_id, create_role, enabled),
      UPDATE (name, algorithms, clock_skew, require_nonce, single_use, claims, trust_email,
              link_by, create_as, create_account_id, create_role, enabled) ON csm.identity_providers TO csm_admin;

COMMENT ON TABLE csm.identity_providers IS 'OpenID Connect providers of the tenant: what their ID tokens must be like, and who their subjects are';
COMMENT ON COLUMN csm.identity_providers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_providers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_providers.name IS 'Name that people read';
COMMENT ON COLUMN csm.identity_providers.issuer IS 'The claim iss, to the letter';
COMMENT ON COLUMN csm.identity_providers.audience IS 'The client id of the portal: must be in the claim aud, and be azp where that is given or aud names several';
COMMENT ON COLUMN csm.identity_providers.algorithms IS 'Signature algorithms accepted (RFC 7518); a key narrows them to what it can verify';
COMMENT ON COLUMN csm.identity_providers.clock_skew IS 'How far the clocks may differ for exp, iat and nbf; at most ten minutes';
COMMENT ON COLUMN csm.identity_providers.require_nonce IS 'True: csm.sign_in() must be given the nonce of the request';
COMMENT ON COLUMN csm.identity_providers.single_use IS 'True: a token must have a jti and is good for one sign-in; for portals that go on with a session of csm';
COMMENT ON COLUMN csm.identity_providers.subject_claim IS 'Claim that names the person for good: sub; oid for Microsoft Entra';
COMMENT ON COLUMN csm.identity_providers.claims IS 'Column of csm.users to the claim it is filled from when a person is made; external_id also serves link_by';
COMMENT ON COLUMN csm.identity_providers.trust_email IS 'True: the e-mail is believed without the claim email_verified, because the provider gives out the addresses itself';
COMMENT ON COLUMN csm.identity_providers.link_by IS 'An unknown subject is the known person with this e-mail (verified) or external_id; NULL: never';
COMMENT ON COLUMN csm.identity_providers.create_as IS 'An unknown subject becomes a person without persona (person), an employee, a consumer, or a contact of create_account_id; NULL: he is refused';
COMMENT ON COLUMN csm.identity_providers.create_account_id IS 'Account of the contacts that are made; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.create_role IS 'Their role; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.enabled IS 'False: its tokens are refused';
COMMENT ON COLUMN csm.identity_providers.created_at IS 'When the row was made';
COMMENT ON POLICY identity_providers_all ON csm.identity_providers IS 'Administrators keep the providers; issuer, audience and subject claim stay what they are, because identities stand on them';

CREATE TABLE csm.identity_provider_keys (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    provider_id bigint NOT NULL,
    kid text,
    jwk jsonb NOT NULL,
    algorithms text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT identity_provider_keys_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT identity_provider_keys_provider_fkey FOREIGN KEY (provider_id, tenant_id)
        REFERENCES csm.identity_providers (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT identity_provider_keys_kid_key UNIQUE (provider_id, kid, tenant_id),
    CONSTRAINT identity_provider_keys_jwk_check CHECK (jsonb_typeof(jwk) = 'object' AND NOT jwk ?| '{d,p,q,dp,dq,qi,oth,k}')
);
SELECT csm_private.adopt_table('csm.identity_provider_keys');

CREATE POLICY identity_provider_keys_select ON csm.identity_provider_keys FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.identity_provider_keys TO csm_admin;

COMMENT ON TABLE csm.identity_provider_keys IS 'Public keys of the providers, kept by csm.set_provider_keys()';
COMMENT ON COLUMN csm.identity_provider_keys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_provider_keys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_provider_keys.provider_id IS 'The provider';
COMMENT ON COLUMN csm.identity_provider_keys.kid IS 'Name of the key in the header of a token; NULL when it has none';
COMMENT ON COLUMN csm.identity_provider_keys.jwk IS 'The key as a JSON Web Key (RFC 7517), public members only';
COMMENT ON COLUMN csm.identity_provider_keys.algorithms IS 'What it may verify: by type and curve, or the one that the key names';
COMMENT ON COLUMN csm.identity_provider_keys.created_at IS 'When it was set';
COMMENT ON POLICY identity_provider_keys_select ON csm.identity_provider_keys IS 'Administrators see the keys';

CREATE TABLE csm.external_identities (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    provider_id bigint NOT NULL,
    subject text NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT external_identities_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT external_identities_provider_fkey FOREIGN KEY (provider_id, tenant_id)
        REFERENCES csm.identity_providers (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT external_identities_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT external_identities_subject_key UNIQUE (provider_id, subject, tenant_id),
    CONSTRAINT external_identities_subject_check CHECK (length(subject) BETWEEN 1 AND 400)
);
CREATE INDEX external_identities_user_idx ON csm.external_identities (user_id);
SELECT csm_private.adopt_table('csm.external_identities');
ALTER TABLE csm.external_identities ALTER COLUMN subject SET STATISTICS 0;

CREATE POLICY external_identities_select ON csm.external_identities FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY external_identities_insert ON csm.external_identities FOR INSERT TO csm_admin
    WITH CHECK (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY external_identities_delete ON csm.external_identities FOR DELETE TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.external_identities TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (provider_id, subject, user_id), DELETE ON csm.external_identities TO csm_admin;

COMMENT ON TABLE csm.external_identities IS 'Who the subjects of the providers are; a person may have one at each of several';
COMMENT ON COLUMN csm.external_identities.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.external_identities.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.external_identities.provider_id IS 'The provider';
COMMENT ON COLUMN csm.external_identities.subject IS 'What the provider calls the person, to the letter';
COMMENT ON COLUMN csm.external_identities.user_id IS 'The person';
COMMENT ON COLUMN csm.external_identities.created_at IS 'When they were linked';
COMMENT ON POLICY external_identities_select ON csm.external_identities IS 'One''s own; administrators, all';
COMMENT ON POLICY external_identities_insert ON csm.external_identities IS 'Administrators link subjects';
COMMENT ON POLICY external_identities_delete ON csm.external_identities IS 'Administrators unlink them';

CREATE TABLE csm.spent_tokens (
    provider_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT spent_tokens_pkey PRIMARY KEY (provider_id, token_hash, tenant_id),
    CONSTRAINT spent_tokens_provider_fkey FOREIGN KEY (provider_id, tenant_id)
        REFERENCES csm.identity_providers (id, tenant_id) ON DELETE CASCADE
);
CREATE INDEX spent_tokens_expires_idx ON csm.spent_tokens (expires_at);
SELECT csm_private.adopt_table('csm.spent_tokens');

COMMENT ON TABLE csm.spent_tokens IS 'Tokens of single_use providers that were used, until they would have expired; nobody but csm reads it';
COMMENT ON COLUMN csm.spent_tokens.provider_id IS 'The provider';
COMMENT ON COLUMN csm.spent_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.spent_tokens.token_hash IS 'SHA-256 of the claim jti';
COMMENT ON COLUMN csm.spent_tokens.expires_at IS 'When the token ends, clock skew included';

-- What configuration changes, an administrator of the tenant can look up.
CREATE FUNCTION csm_private.audit_identity() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.audit(TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '_added' WHEN 'DELETE' THEN '_removed' ELSE '_changed' END,
            csm.current_user_id(), (r->>'user_id')::bigint, NULL,
            jsonb_strip_nulls(jsonb_build_object('provider_id', coalesce(r->'provider_id', r->'id'), 'name', r->'name')),
            (r->>'tenant_id')::bigint);
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.audit_identity() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audit_identity() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audit_identity() IS
'AFTER trigger of providers and identities: a row of the audit log for each change. Argument: beginning of the kind';
CREATE TRIGGER identity_providers_50_audit AFTER INSERT OR UPDATE OR DELETE ON csm.identity_providers
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_identity('provider');
CREATE TRIGGER external_identities_50_audit AFTER INSERT OR DELETE ON csm.external_identities
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_identity('identity');

-- Keys --------------------------------------------------------------------

CREATE FUNCTION csm_private.key_algorithms(jwk text, OUT algorithms text[], OUT fault text)
AS 'MODULE_PATHNAME', 'csm_key_algorithms' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
ALTER FUNCTION csm_private.key_algorithms(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.key_algorithms(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.key_algorithms(text) IS
'Signature algorithms that a JSON Web Key can verify, or why it must not be used: one of the two is NULL';

CREATE FUNCTION csm.set_provider_keys(provider_id bigint, jwks jsonb) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p csm.identity_providers;
    given jsonb;
    secret text;
    twice text;
    faults text;
BEGIN
    SELECT * INTO p FROM csm.identity_providers i
    WHERE i.id = set_provider_keys.provider_id
      AND (csm_private.acts_as_system() OR csm.all_in(i.tenant_id, 'internal', 'configure'))
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no identity provider %', coalesce(provider_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Administrators set the keys of the providers of their tenant.';
    ELSIF jsonb_typeof(jwks->'keys') IS DISTINCT FROM 'array' OR jsonb_array_length(jwks->'keys') NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'the keys of identity provider "%" are not a JSON Web Key Set', p.name USING ERRCODE = '22023',
            HINT = 'Give what its jwks_uri answers: an object with an array "keys" of 1 to 100 keys.';
    END IF;

    -- A key that names its algorithm serves that one only.
    WITH k AS (
        SELECT e.jwk, coalesce(e.jwk->>'kid', '#' || e.n) AS label, a.fault, e.jwk ?| '{d,p,q,dp,dq,qi,oth,k}' AS is_secret,
               ARRAY(SELECT x FROM unnest(a.algorithms) x WHERE NOT e.jwk ? 'alg' OR x = e.jwk->>'alg') AS algorithms
        FROM jsonb_array_elements(jwks->'keys') WITH ORDINALITY e(jwk, n)
        CROSS JOIN LATERAL csm_private.key_algorithms(e.jwk::text) a
    ), usable AS (
        SELECT k.jwk->>'kid' AS kid, k.algorithms,
               (SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(k.jwk) m
                WHERE m.key = ANY ('{kty,kid,n,e,crv,x,y}'::text[])) AS jwk
        FROM k WHERE k.algorithms <> '{}'
    )
    SELECT (SELECT jsonb_agg(to_jsonb(u)) FROM usable u),
           (SELECT min(k.label) FROM k WHERE k.is_secret),
           (SELECT min(d.kid) FROM (SELECT u.kid FROM usable u GROUP BY u.kid HAVING count(*) > 1) d),
           (SELECT string_agg(format('%s: %s', k.label, coalesce(k.fault, 'its algorithm is not supported')), '; ') FROM k WHERE k.algorithms = '{}')
      INTO given, secret, twice, faults;
    IF secret IS NOT NULL THEN
        RAISE EXCEPTION 'key "%" of identity provider "%" is a private or symmetric key', secret, p.name USING ERRCODE = '22023',
            HINT = 'Only public keys belong here. Consider a private key that was sent here as lost.';
    ELSIF twice IS NOT NULL THEN
        RAISE EXCEPTION 'two keys of identity provider "%" have the name "%"', p.name, twice USING ERRCODE = '22023';
    ELSIF given IS NULL THEN
        RAISE EXCEPTION 'identity provider "%" has no key that could be used', p.name USING ERRCODE = '22023', DETAIL = faults,
            HINT = 'RSA keys of at least 2048 bits and the curves P-256, P-384 and P-521 can be used.';
    END IF;

    DELETE FROM csm.identity_provider_keys o
    WHERE o.provider_id = p.id AND o.tenant_id = p.tenant_id
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(given) g WHERE g->'jwk' = o.jwk AND g->'algorithms' = to_jsonb(o.algorithms));
    INSERT INTO csm.identity_provider_keys (tenant_id, provider_id, kid, jwk, algorithms)
    SELECT p.tenant_id, p.id, g->>'kid', g->'jwk', ARRAY(SELECT jsonb_array_elements_text(g->'algorithms'))
    FROM jsonb_array_elements(given) g
    WHERE NOT EXISTS (SELECT FROM csm.identity_provider_keys o
                      WHERE o.provider_id = p.id AND o.tenant_id = p.tenant_id AND o.jwk = g->'jwk');
    IF FOUND THEN
        PERFORM csm_private.audit('provider_keys_set', csm.current_user_id(), NULL, NULL,
            jsonb_build_object('provider_id', p.id, 'keys', jsonb_array_length(given)), p.tenant_id);
    END IF;
    RETURN jsonb_array_length(given);
END $$;
ALTER FUNCTION csm.set_provider_keys(bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.set_provider_keys(bigint, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.set_provider_keys(bigint, jsonb) TO csm_admin;
COMMENT ON FUNCTION csm.set_provider_keys(bigint, jsonb) IS
'Makes these the keys of the provider, a JSON Web Key Set (RFC 7517), and returns how many can be used; keys for encryption and of unknown types are passed over, what is not in the set any more is accepted no longer. Errors: 42501 no such provider in the administrator''s tenant; 22023 no key set, no usable key, a name twice, a private or symmetric key';

-- Subjects ----------------------------------------------------------------

CREATE FUNCTION csm_private.adopt_subject(provider_id bigint, subject text, tenant_id bigint, claims jsonb,
    OUT user_id bigint, OUT refusal text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p csm.identity_providers;
    person csm.users;
    -- a claim that is no text counts as missing
    given CONSTANT jsonb := (SELECT jsonb_object_agg(m.key, btrim(adopt_subject.claims->>m.value))
                             FROM csm.identity_providers i CROSS JOIN jsonb_each_text(i.claims) m
                             WHERE i.id = adopt_subject.provider_id AND i.tenant_id = adopt_subject.tenant_id
                               AND jsonb_typeof(adopt_subject.claims->m.value) = 'string' AND btrim(adopt_subject.claims->>m.value) <> '');
    address text;
BEGIN
    SELECT * INTO STRICT p FROM csm.identity_providers i WHERE i.id = adopt_subject.provider_id AND i.tenant_id = adopt_subject.tenant_id;
    IF p.trust_email OR adopt_subject.claims->'email_verified' IN ('true', '"true"') THEN
        address := given->>'email';
    END IF;

    IF p.link_by IS NOT NULL THEN
        SELECT * INTO person FROM csm.users u
        WHERE u.tenant_id = p.tenant_id
          AND CASE p.link_by WHEN 'email' THEN u.email_key = lower(address) ELSE u.external_id = given->>'external_id' END;
    END IF;
    IF person.id IS NULL AND p.create_as IS NULL THEN
        refusal := 'unknown_subject';
    ELSIF NOT person.enabled THEN
        refusal := 'disabled';
    ELSIF EXISTS (SELECT FROM csm.external_identities e
                  WHERE e.user_id = person.id AND e.provider_id = p.id AND e.tenant_id = p.tenant_id) THEN
        refusal := 'linked_to_another_subject';
    ELSIF person.id IS NULL AND EXISTS (SELECT FROM csm.users u WHERE u.tenant_id = p.tenant_id
                                          AND (u.email_key = lower(address) OR u.external_id = given->>'external_id')) THEN
        refusal := 'belongs_to_another_person';
    ELSE
        IF person.id IS NULL THEN
            INSERT INTO csm.users AS u (tenant_id, display_name, email, language, time_zone, phone, title, external_id)
            VALUES (p.tenant_id, left(coalesce(given->>'display_name', address, adopt_subject.subject), 200), address,
                    CASE WHEN given->>'language' ~ '^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$'
                         THEN replace(given->>'language', '_', '-') ELSE 'en' END,
                    coalesce((SELECT z.name FROM pg_timezone_names z WHERE z.name = given->>'time_zone'), 'UTC'),
                    left(given->>'phone', 64), left(given->>'title', 200), given->>'external_id')
            RETURNING u.* INTO person;
            CASE p.create_as
                WHEN 'employee' THEN INSERT INTO csm.employees (user_id, tenant_id) VALUES (person.id, p.tenant_id);
                WHEN 'consumer' THEN INSERT INTO csm.consumers (user_id, tenant_id) VALUES (person.id, p.tenant_id);
                WHEN 'contact' THEN INSERT INTO csm.contacts (tenant_id, user_id, account_id, role)
                                    VALUES (p.tenant_id, person.id, p.create_account_id, p.create_role);
                ELSE NULL;
            END CASE;
            PERFORM csm_private.audit('person_created', NULL, person.id, p.create_account_id,
                jsonb_build_object('provider_id', p.id, 'as', p.create_as), p.tenant_id);
        END IF;
        INSERT INTO csm.external_identities (tenant_id, provider_id, subject, user_id)
        VALUES (p.tenant_id, p.id, adopt_subject.subject, person.id);
        user_id := person.id;
    END IF;
EXCEPTION
    -- somebody was faster, as a rule the same person in another tab
    WHEN unique_violation OR exclusion_violation THEN
        SELECT u.id, CASE WHEN NOT u.enabled THEN 'disabled' END INTO user_id, refusal
        FROM csm.external_identities e JOIN csm.users u ON u.id = e.user_id AND u.tenant_id = e.tenant_id
        WHERE e.provider_id = adopt_subject.provider_id AND e.subject = adopt_subject.subject AND e.tenant_id = adopt_subject.tenant_id;
        IF NOT FOUND THEN
            refusal := 'belongs_to_another_person';
        END IF;
    -- a name, an address or a role that csm does not take
    WHEN integrity_constraint_violation OR data_exception OR raise_exception THEN
        refusal := 'claims';
END $$;
ALTER FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) IS
'Who an unknown subject of a verified token is: a known person by link_by, or a new one by create_as; else why he is refused. Raises nothing that claims could cause';

CREATE FUNCTION csm_private.spend_token(tenant_id bigint, provider_id bigint, jti text, until timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hash CONSTANT bytea := csm_private.token_hash(jti);
BEGIN
    -- The counter stops a client that uses a token and rolls back; the row outlives crash and restore.
    IF NOT csm_private.attempt('token', provider_id || ' ' || encode(hash, 'hex'), 1,
                               least(greatest(until - clock_timestamp(), '1 second'), '7 days')) THEN
        RETURN false;
    END IF;
    DELETE FROM csm.spent_tokens s
    WHERE (s.provider_id, s.token_hash) IN (SELECT o.provider_id, o.token_hash FROM csm.spent_tokens o
                                            WHERE o.expires_at < clock_timestamp() ORDER BY o.expires_at LIMIT 10 FOR UPDATE SKIP LOCKED);
    INSERT INTO csm.spent_tokens (tenant_id, provider_id, token_hash, expires_at) VALUES (tenant_id, provider_id, hash, until)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
ALTER FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) IS
'True for the first use of a token, whether or not the transaction of that use commits';

-- Signing in --------------------------------------------------------------

CREATE FUNCTION csm_private.record_refusal(tenant_id bigint, method text, reason text, user_id bigint DEFAULT NULL,
    provider_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A flood fills neither the disk nor the log of a person who is attacked.
    IF current_setting('transaction_read_only') = 'off'
       AND csm_private.attempt('refusal', tenant_id || ' ' || coalesce(user_id::text, ''), 1000, '1 hour') THEN
        PERFORM csm_private.audit('sign_in_refused', NULL, user_id, NULL,
            jsonb_strip_nulls(jsonb_build_object('method', method, 'reason', reason, 'provider_id', provider_id)), tenant_id);
    END IF;
END $$;
ALTER FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) IS
'Writes why somebody was not signed in: at most a thousand rows an hour for each person, and for nobody in particular';

CREATE FUNCTION csm.sign_in(token text, local boolean DEFAULT true, nonce text DEFAULT NULL, OUT status text, OUT user_id bigint)
AS 'MODULE_PATHNAME', 'csm_sign_in' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000;
ALTER FUNCTION csm.sign_in(text, boolean, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.sign_in(text, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.sign_in(text, boolean, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.sign_in(text, boolean, text) IS
'Signs in with the token of a session or API key that csm issued, or an ID token of a provider of the visitor''s tenant (csm.tenant): for the transaction, or with local false for the connection until the token ends. nonce: the one that the portal sent with its request, if it did. status is signed_in, or refused, which leaves nobody signed in and says no more; csm.audit_log has the reason. Raises nothing for what a token may contain';
