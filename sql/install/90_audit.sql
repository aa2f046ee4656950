-- What signing in, registering and administering people share: the audit log,
-- counters that a ROLLBACK does not take back, and tokens.

-- Audit -------------------------------------------------------------------

CREATE TABLE csm.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    actor_id bigint,
    subject_user_id bigint,
    account_id bigint,
    details jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT audit_log_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT audit_log_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT audit_log_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT audit_log_details_check CHECK (jsonb_typeof(details) = 'object')
);
CREATE INDEX audit_log_at_idx ON csm.audit_log (tenant_id, at);
CREATE INDEX audit_log_subject_idx ON csm.audit_log (subject_user_id, at) WHERE subject_user_id IS NOT NULL;
CREATE INDEX audit_log_actor_idx ON csm.audit_log (actor_id, at) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_account_idx ON csm.audit_log (account_id, at) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.audit_log');

CREATE POLICY audit_log_select ON csm.audit_log FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (subject_user_id = csm.current_user_id()
           OR actor_id = csm.current_user_id()
           OR csm.account_allows(account_id, 'contact_manage')
           OR csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.audit_log TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.audit_log IS 'Who signed in, was refused, was invited, changed or looked at: one row each, written by functions only, never changed';
COMMENT ON COLUMN csm.audit_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audit_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audit_log.at IS 'When it happened';
COMMENT ON COLUMN csm.audit_log.kind IS 'What happened; README lists the kinds';
COMMENT ON COLUMN csm.audit_log.actor_id IS 'Who did it (csm.users.id, no foreign key); NULL for somebody not signed in and for the system';
COMMENT ON COLUMN csm.audit_log.subject_user_id IS 'Whom it concerns (csm.users.id, no foreign key); NULL where no person is known';
COMMENT ON COLUMN csm.audit_log.account_id IS 'Account in which it was done (no foreign key): its administrators read the row; NULL for none';
COMMENT ON COLUMN csm.audit_log.details IS 'Keys and values by kind, a JSON object: reasons and ids, never a password or token';
COMMENT ON POLICY audit_log_select ON csm.audit_log IS 'What one did and what concerns oneself; who manages contacts, his accounts; administrators, all of their tenant';

CREATE TRIGGER audit_log_10_append_only BEFORE UPDATE OR DELETE ON csm.audit_log
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('details');
CREATE TRIGGER audit_log_10_append_only_truncate BEFORE TRUNCATE ON csm.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

CREATE FUNCTION csm_private.audit(kind text, actor bigint, subject bigint, account bigint DEFAULT NULL,
    details jsonb DEFAULT '{}', tenant_id bigint DEFAULT coalesce(csm.current_tenant_id(), csm.guest_tenant_id()))
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- on a standby a transaction is always read-only
    IF tenant_id IS NOT NULL AND current_setting('transaction_read_only') = 'off' THEN
        INSERT INTO csm.audit_log (tenant_id, kind, actor_id, subject_user_id, account_id, details)
        VALUES (audit.tenant_id, audit.kind, audit.actor, audit.subject, audit.account, coalesce(audit.details, '{}'));
    END IF;
END $$;
ALTER FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) IS
'Writes a row of csm.audit_log; nothing on a standby, in a read-only transaction, and where the tenant is not known';

-- Attempts ----------------------------------------------------------------

-- Random keys of this database; never dumped, made anew by CREATE EXTENSION.
CREATE TABLE csm_private.secrets (
    name text NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT secrets_pkey PRIMARY KEY (name),
    CONSTRAINT secrets_value_check CHECK (length(value) = 32)
);
ALTER TABLE csm_private.secrets OWNER TO csm_owner;
REVOKE ALL ON csm_private.secrets FROM PUBLIC;
ALTER TABLE csm_private.secrets ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.secrets', 'WHERE false');
COMMENT ON TABLE csm_private.secrets IS 'Random keys of this database; not part of a dump';
COMMENT ON COLUMN csm_private.secrets.name IS 'What the key is for';
COMMENT ON COLUMN csm_private.secrets.value IS '256 random bits';
INSERT INTO csm_private.secrets (name, value)
VALUES ('attempts', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')));

-- The rows are counters that src/csm_attempt.c changes in place: their number
-- and length stay what they are here.  About one megabyte; not part of a dump.
CREATE TABLE csm_private.attempts (
    tag bigint NOT NULL,
    free_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    count integer NOT NULL
) WITH (fillfactor = 100);
ALTER TABLE csm_private.attempts OWNER TO csm_owner;
REVOKE ALL ON csm_private.attempts FROM PUBLIC;
ALTER TABLE csm_private.attempts ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.attempts', 'WHERE false');
COMMENT ON TABLE csm_private.attempts IS 'Counters of attempts, outside transactions; read and written by csm_private.attempt() only. Not part of a dump';
COMMENT ON COLUMN csm_private.attempts.tag IS 'Keyed hash of kind and key; 0 for a row not used yet';
COMMENT ON COLUMN csm_private.attempts.free_at IS 'Rate: when nothing is counted any more; back-off: end of the pause';
COMMENT ON COLUMN csm_private.attempts.expires_at IS 'From when on the row is free for another key';
COMMENT ON COLUMN csm_private.attempts.count IS 'Back-off: attempts so far';
INSERT INTO csm_private.attempts SELECT 0, 'epoch', 'epoch', 0 FROM generate_series(1, 16384);

CREATE FUNCTION csm_private.attempt(kind text, key text, allowed integer, period interval, longest interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_attempt' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.attempt(text, text, integer, interval, interval) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) IS
'Counts an attempt of this kind by this key, whether or not the transaction commits; false when it is one too many, which is then not counted. longest NULL: so many in a period. Else back-off: after so many a pause of one period, doubled by each further attempt up to longest, forgotten when nothing happened for longest. Errors 22004 for NULL, 22023 for values out of range, 25006 on a standby';

CREATE FUNCTION csm_private.attempt_forgive(kind text, key text, allowed integer, period interval, longest interval DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_attempt_forgive' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) IS
'The attempt just counted was a good one: a rate gets it back, a back-off begins anew. Arguments as those of csm_private.attempt()';

-- Identity and tokens -----------------------------------------------------

CREATE FUNCTION csm_private.sign_in_as(user_id bigint, local boolean, until timestamptz DEFAULT 'infinity', session_id bigint DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_sign_in_as' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) IS
'Makes the transaction (local) or the session that person''s, for statements that start before until; NULL: nobody''s. For functions that have checked the proof; asks nothing. Error 22004 when local is null';

CREATE FUNCTION csm_private.new_token() RETURNS text
AS 'MODULE_PATHNAME', 'csm_new_token' LANGUAGE c VOLATILE PARALLEL SAFE;
ALTER FUNCTION csm_private.new_token() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.new_token() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.new_token() IS
'256 random bits in base64url, 43 characters. Stored as csm_private.token_hash() only';

CREATE FUNCTION csm_private.token_hash(token text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(convert_to(token, 'UTF8'));
ALTER FUNCTION csm_private.token_hash(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.token_hash(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.token_hash(text) IS
'SHA-256 of a token: what is stored and looked up. Enough for 256 random bits, never for a password';
