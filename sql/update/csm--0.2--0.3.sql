-- From 0.2 to 0.3.  "-- @part NAME" stands for sql/install/NAME, with functions
-- as CREATE OR REPLACE; "-- @function NAME PART" for one of its functions;
-- "-- @comments" for the comments of all parts.
\echo Use "ALTER EXTENSION csm UPDATE TO '0.3'" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

-- Acting for another
ALTER TABLE csm.role_permissions DROP CONSTRAINT role_permissions_action_check;
ALTER TABLE csm.role_permissions ADD CONSTRAINT role_permissions_action_check CHECK (action IN (
        'case_read', 'case_comment', 'case_create', 'case_decide', 'contact_read', 'contact_manage',
        'product_read', 'product_manage', 'entitlement_read', 'account_manage', 'person_manage',
        'case_work', 'configure', 'act_for'));
ALTER TABLE csm.case_entries ADD COLUMN IF NOT EXISTS on_behalf_of bigint;
ALTER TABLE csm.events ADD COLUMN IF NOT EXISTS on_behalf_of bigint;
-- Who acts, for whom, and signed in by what; see src/csm_map.c.

CREATE OR REPLACE FUNCTION csm_private.person_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_person_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.person_id() IS
'The person whose rights count: csm.current_user_id(), or the one for whom he acts (csm.on_behalf_of()); NULL when nobody is signed in';

CREATE OR REPLACE FUNCTION csm_private.in_person() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_in_person' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.in_person() IS
'Whether somebody is signed in, neither by an API key nor acting for another: what concerns his own login is done in person';

CREATE OR REPLACE FUNCTION csm_private.current_session_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_session_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.current_session_id() IS
'csm.sessions.id of the session or API key by which somebody is signed in; NULL where he is signed in otherwise, and for nobody';

ALTER FUNCTION csm_private.person_id() OWNER TO csm_owner;
ALTER FUNCTION csm_private.in_person() OWNER TO csm_owner;
ALTER FUNCTION csm_private.current_session_id() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.person_id(), csm_private.in_person(), csm_private.current_session_id() FROM PUBLIC;
-- May the portal open this case?  Checked after the trigger has filled in what
-- was left out; false for a hidden and for a missing reference alike, so that a
-- foreign key never speaks to a portal role.
CREATE OR REPLACE FUNCTION csm_private.may_open(c csm.cases) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- for whom he acts, if he does (csm.on_behalf_of())
    me CONSTANT bigint := csm_private.person_id();
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF me IS NULL OR c.opened_by IS DISTINCT FROM csm.current_user_id() THEN
        RETURN false;
    END IF;
    IF c.branch = 'b2b' THEN
        IF c.requester_id = me THEN
            -- V4 lets a partner's contact see what he opened; to open for a
            -- customer he needs the right on that account.
            IF NOT (csm.account_allows(c.account_id, 'case_create')
                    OR csm.opener_allows(me, 'b2b', c.account_id, 'case_create')
                       AND EXISTS (SELECT FROM csm.contacts k
                                   WHERE k.user_id = me AND k.account_id = c.account_id AND k.tenant_id = c.tenant_id
                                     AND k.login_enabled
                                     AND (k.valid_during IS NULL OR k.valid_during @> at_time))) THEN
                RETURN false;
            END IF;
        ELSIF NOT csm.account_allows(c.account_id, 'case_create')
              OR NOT EXISTS (SELECT FROM csm.contacts k
                             WHERE k.user_id = c.requester_id AND k.account_id = c.account_id
                               AND k.tenant_id = c.tenant_id
                               AND (k.valid_during IS NULL OR k.valid_during @> at_time)) THEN
            RETURN false;
        END IF;
    ELSIF NOT csm.requester_allows(c.requester_id, c.branch, NULL, 'case_create') THEN
        RETURN false;
    END IF;
    IF c.counterparty_account_id IS NOT NULL
       AND NOT csm_private.may_dispute(c.account_id, c.counterparty_account_id, c.tenant_id, c.case_type) THEN
        RETURN false;
    END IF;
    IF c.partner_account_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM csm.account_relationships r
                       WHERE r.tenant_id = c.tenant_id AND r.type = 'partner_of'
                         AND r.partner_account_id = c.partner_account_id
                         AND (r.valid_during IS NULL OR r.valid_during @> at_time)
                         AND (r.customer_account_id = c.account_id
                              OR r.include_descendants
                                 AND c.account_id IN (SELECT csm_private.subtree(r.customer_account_id, r.tenant_id)))) THEN
        RETURN false;
    END IF;
    IF c.partner_contact_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM csm.contacts k
                       WHERE k.id = c.partner_contact_id AND k.tenant_id = c.tenant_id
                         AND k.account_id = c.partner_account_id
                         AND (k.valid_during IS NULL OR k.valid_during @> at_time)) THEN
        RETURN false;
    END IF;
    RETURN c.product_id IS NULL
        OR EXISTS (SELECT FROM csm.products p WHERE p.id = c.product_id AND p.tenant_id = c.tenant_id AND p.active);
END $$;
ALTER FUNCTION csm_private.may_open(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_open(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_open(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';

-- Two persons made one: what verifies history asks
-- Persons who turned out to be one.  Rows that refer to a person are re-pointed
-- (93_merge.sql); history and audit log, which are never changed, keep the id
-- that was, and this table says whose it is now.

CREATE TABLE csm.user_merges (
    removed_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kept_id bigint NOT NULL,
    reason text NOT NULL,
    merged_by bigint,
    merged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed jsonb NOT NULL,
    given_up jsonb NOT NULL DEFAULT '[]',
    CONSTRAINT user_merges_pkey PRIMARY KEY (removed_id, tenant_id),
    CONSTRAINT user_merges_kept_fkey FOREIGN KEY (kept_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_merges_merged_by_fkey FOREIGN KEY (merged_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_merges_self_check CHECK (removed_id <> kept_id),
    CONSTRAINT user_merges_reason_check CHECK (length(btrim(reason)) BETWEEN 1 AND 1000),
    CONSTRAINT user_merges_removed_check CHECK (jsonb_typeof(removed) = 'object'),
    CONSTRAINT user_merges_given_up_check CHECK (jsonb_typeof(given_up) = 'array')
);
CREATE INDEX user_merges_kept_idx ON csm.user_merges (kept_id);
CREATE INDEX user_merges_merged_by_idx ON csm.user_merges (merged_by);
SELECT csm_private.adopt_table('csm.user_merges');
-- Personal data: no sample in the planner's statistics.
ALTER TABLE csm.user_merges ALTER COLUMN reason SET STATISTICS 0, ALTER COLUMN removed SET STATISTICS 0,
    ALTER COLUMN given_up SET STATISTICS 0;
CREATE POLICY user_merges_select ON csm.user_merges FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.user_merges TO csm_agent, csm_admin;

COMMENT ON TABLE csm.user_merges IS 'Which person became which: one row for each that was removed; written by csm.merge_users()';
COMMENT ON COLUMN csm.user_merges.removed_id IS 'csm.users.id that is no more; history and audit log still name it';
COMMENT ON COLUMN csm.user_merges.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_merges.kept_id IS 'Whose it is now; moves on when he is merged himself';
COMMENT ON COLUMN csm.user_merges.reason IS 'Why, in words';
COMMENT ON COLUMN csm.user_merges.merged_by IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.user_merges.merged_at IS 'When';
COMMENT ON COLUMN csm.user_merges.removed IS 'The row of csm.users as it was; personal data';
COMMENT ON COLUMN csm.user_merges.given_up IS 'Rows that both persons had, as they stood for the one removed, each {"table": …, "row": …}, without hashes and tokens. Personal data';
COMMENT ON POLICY user_merges_select ON csm.user_merges IS 'Staff with person_manage, administrators';

CREATE OR REPLACE FUNCTION csm_private.person_now(user_id bigint, tenant_id bigint) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce((SELECT m.kept_id FROM csm.user_merges m
                     WHERE m.removed_id = person_now.user_id AND m.tenant_id = person_now.tenant_id), person_now.user_id);
END;
COMMENT ON FUNCTION csm_private.person_now(bigint, bigint) IS
'Whose id it is now: of a person who was merged, the one who was kept; else the same';

CREATE OR REPLACE FUNCTION csm_private.person_ids(user_id bigint, tenant_id bigint) RETURNS bigint[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT person_ids.user_id || ARRAY(SELECT m.removed_id FROM csm.user_merges m
                                       WHERE m.kept_id = person_ids.user_id AND m.tenant_id = person_ids.tenant_id);
END;
COMMENT ON FUNCTION csm_private.person_ids(bigint, bigint) IS
'Every id under which history and audit log may name the person: his own, and those merged into him';

CREATE OR REPLACE FUNCTION csm_private.begin_merge(removed bigint, kept bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_merge' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_merge(bigint, bigint) IS
'Announces that rows are re-pointed from the one person to the other: until end_merge() or the end of the transaction triggers step aside as while restoring, but the history of cases goes on, and append-only rows may have the one id replaced by the other';

CREATE OR REPLACE FUNCTION csm_private.end_merge() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_merge' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_merge() IS 'Ends what begin_merge() announced';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.person_now(bigint, bigint)',
        'csm_private.person_ids(bigint, bigint)',
        'csm_private.begin_merge(bigint, bigint)',
        'csm_private.end_merge()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION csm_private.history_link_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, erased boolean, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.case_id, h.seq, h.salt IS NULL AND h.payload IS NULL,
           CASE
           WHEN h.seq <> coalesce(h.seq_before, 0) + 1 THEN
               'link ' || coalesce(h.seq_before, 0) + 1 || ' is missing'
           WHEN h.previous_hash IS DISTINCT FROM h.hash_before THEN
               'does not continue link ' || coalesce(h.seq_before, 0)
           WHEN h.hash IS DISTINCT FROM csm_private.history_link_hash(h.previous_hash, h.id, h.tenant_id, h.case_id, h.seq, h.at,
                    h.action, h.actor_id, h.persona, h.relation, h.on_behalf_of, h.audience, h.payload_hash) THEN
               'link was changed'
           WHEN h.salt IS NULL AND h.payload IS NULL THEN
               CASE WHEN h.actor_name IS NOT NULL THEN 'actor_name was changed' END
           WHEN h.payload_hash IS DISTINCT FROM csm_private.history_payload_hash(h.salt, h.actor_name, h.payload) THEN
               'payload, salt or actor_name was changed'
           WHEN h.payload ? 'entry.id' AND e.id IS NULL THEN
               'entry ' || (h.payload #>> '{entry.id,1}') || ' is missing'
           WHEN h.payload ? 'entry.id'
                AND (e.case_id, e.tenant_id, e.author_id, e.author_name, e.visibility, e.side, e.created_at,
                     encode(sha256(convert_to(e.body, 'UTF8')), 'hex'))
                    IS DISTINCT FROM
                    (h.case_id, h.tenant_id, csm_private.person_now((h.payload #>> '{entry.author_id,1}')::bigint, h.tenant_id), h.actor_name,
                     h.payload #>> '{entry.visibility,1}', h.payload #>> '{entry.side,1}',
                     (h.payload #>> '{entry.created_at,1}')::timestamptz, h.payload #>> '{entry.body_sha256,1}') THEN
               'entry ' || e.id || ' was changed'
           END
    FROM (SELECT l.*, lag(l.seq) OVER chain AS seq_before, lag(l.hash) OVER chain AS hash_before
          FROM csm.case_history l
          WHERE (only_tenant IS NULL OR l.tenant_id = only_tenant) AND (only_case IS NULL OR l.case_id = only_case)
          WINDOW chain AS (PARTITION BY l.case_id ORDER BY l.seq)) h
    LEFT JOIN csm.case_entries e ON e.id = (h.payload #>> '{entry.id,1}')::bigint
$$;
CREATE OR REPLACE FUNCTION csm_private.attachment_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.case_id, h.seq,
           CASE WHEN a.id IS NULL THEN 'attachment ' || (h.payload #>> '{attachment.id,1}') || ' is missing'
                WHEN a.url IS NULL AND t.content IS NULL THEN 'content of attachment ' || a.id || ' is missing'
                WHEN t.content IS NOT NULL AND (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256)
                THEN 'content of attachment ' || a.id || ' was changed'
                ELSE 'attachment ' || a.id || ' was changed' END
    FROM csm.case_history h
    LEFT JOIN csm.attachments a ON a.id = (h.payload #>> '{attachment.id,1}')::bigint
    LEFT JOIN csm.attachment_contents t ON t.attachment_id = a.id AND t.tenant_id = a.tenant_id
    WHERE (only_tenant IS NULL OR h.tenant_id = only_tenant) AND (only_case IS NULL OR h.case_id = only_case)
      AND h.payload ? 'attachment.id'
      AND (a.id IS NULL
           OR (a.case_id, a.tenant_id, a.entry_id, a.author_id, a.author_name, a.visibility, a.side, a.file_name, a.media_type,
               a.size, encode(a.sha256, 'hex'), a.url, a.created_at)
              IS DISTINCT FROM
              (h.case_id, h.tenant_id, (h.payload #>> '{attachment.entry_id,1}')::bigint,
               csm_private.person_now((h.payload #>> '{attachment.author_id,1}')::bigint, h.tenant_id), h.actor_name, h.payload #>> '{attachment.visibility,1}', h.payload #>> '{attachment.side,1}',
               h.payload #>> '{attachment.file_name,1}', h.payload #>> '{attachment.media_type,1}',
               (h.payload #>> '{attachment.size,1}')::bigint, h.payload #>> '{attachment.sha256,1}', h.payload #>> '{attachment.url,1}',
               (h.payload #>> '{attachment.created_at,1}')::timestamptz)
           OR a.url IS NULL AND t.content IS NULL
           OR (octet_length(t.content), sha256(t.content)) IS DISTINCT FROM (a.size, a.sha256) AND t.content IS NOT NULL)
$$;

-- The door in what is append-only: wider, and in attachments and notes of use too
CREATE OR REPLACE FUNCTION csm_private.begin_erasures() RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_erasures' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.begin_erasures() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.begin_erasures() FROM PUBLIC;
CREATE OR REPLACE TRIGGER attachments_10_append_only BEFORE UPDATE OR DELETE ON csm.attachments
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'file_name', 'size', 'sha256', 'url');
CREATE OR REPLACE TRIGGER attachment_contents_10_append_only BEFORE UPDATE OR DELETE ON csm.attachment_contents
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('content');
CREATE OR REPLACE TRIGGER entitlement_uses_10_append_only BEFORE UPDATE OR DELETE ON csm.entitlement_uses
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('note');

-- Signing in
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

CREATE OR REPLACE FUNCTION csm_private.audit(kind text, actor bigint, subject bigint, account bigint DEFAULT NULL,
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

CREATE OR REPLACE FUNCTION csm_private.attempt(kind text, key text, allowed integer, period interval, longest interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_attempt' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.attempt(text, text, integer, interval, interval) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) IS
'Counts an attempt of this kind by this key, whether or not the transaction commits; false when it is one too many, which is then not counted. longest NULL: so many in a period. Else back-off: after so many a pause of one period, doubled by each further attempt up to longest, forgotten when nothing happened for longest. Errors 22004 for NULL, 22023 for values out of range, 25006 on a standby';

CREATE OR REPLACE FUNCTION csm_private.attempt_forgive(kind text, key text, allowed integer, period interval, longest interval DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_attempt_forgive' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) IS
'The attempt just counted was a good one: a rate gets it back, a back-off begins anew. Arguments as those of csm_private.attempt()';

-- Identity and tokens -----------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.sign_in_as(user_id bigint, local boolean, until timestamptz DEFAULT 'infinity', session_id bigint DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'csm_sign_in_as' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) IS
'Makes the transaction (local) or the session that person''s, for statements that start before until; NULL: nobody''s. For functions that have checked the proof; asks nothing. Error 22004 when local is null';

CREATE OR REPLACE FUNCTION csm_private.new_token() RETURNS text
AS 'MODULE_PATHNAME', 'csm_new_token' LANGUAGE c VOLATILE PARALLEL SAFE;
ALTER FUNCTION csm_private.new_token() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.new_token() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.new_token() IS
'256 random bits in base64url, 43 characters. Stored as csm_private.token_hash() only';

CREATE OR REPLACE FUNCTION csm_private.token_hash(token text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(convert_to(token, 'UTF8'));
ALTER FUNCTION csm_private.token_hash(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.token_hash(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.token_hash(text) IS
'SHA-256 of a token: what is stored and looked up. Enough for 256 random bits, never for a password';
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
CREATE OR REPLACE FUNCTION csm_private.audit_identity() RETURNS trigger
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

CREATE OR REPLACE FUNCTION csm_private.key_algorithms(jwk text, OUT algorithms text[], OUT fault text)
AS 'MODULE_PATHNAME', 'csm_key_algorithms' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
ALTER FUNCTION csm_private.key_algorithms(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.key_algorithms(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.key_algorithms(text) IS
'Signature algorithms that a JSON Web Key can verify, or why it must not be used: one of the two is NULL';

CREATE OR REPLACE FUNCTION csm.set_provider_keys(provider_id bigint, jwks jsonb) RETURNS integer
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

CREATE OR REPLACE FUNCTION csm_private.adopt_subject(provider_id bigint, subject text, tenant_id bigint, claims jsonb,
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

CREATE OR REPLACE FUNCTION csm_private.spend_token(tenant_id bigint, provider_id bigint, jti text, until timestamptz) RETURNS boolean
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

CREATE OR REPLACE FUNCTION csm_private.record_refusal(tenant_id bigint, method text, reason text, user_id bigint DEFAULT NULL,
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

CREATE OR REPLACE FUNCTION csm.sign_in(token text, local boolean DEFAULT true, nonce text DEFAULT NULL, OUT status text, OUT user_id bigint)
AS 'MODULE_PATHNAME', 'csm_sign_in' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000;
ALTER FUNCTION csm.sign_in(text, boolean, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.sign_in(text, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.sign_in(text, boolean, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.sign_in(text, boolean, text) IS
'Signs in with the token of a session or API key that csm issued, or an ID token of a provider of the visitor''s tenant (csm.tenant): for the transaction, or with local false for the connection until the token ends. nonce: the one that the portal sent with its request, if it did. status is signed_in, or refused, which leaves nobody signed in and says no more; csm.audit_log has the reason. Raises nothing for what a token may contain';

-- People: mail on its way out
-- Mail on its way out.
--
-- The database sends nothing itself: what is to be sent stands in csm.outbox
-- until a sender process has handed it on. A message may carry a single-use
-- token in clear; nothing but csm.next_mail() gives it out, nobody has a
-- privilege on the table, and a message that was sent, or whose token is of no
-- use any more, is deleted.

CREATE TABLE csm.mail_senders (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT mail_senders_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT mail_senders_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
SELECT csm_private.adopt_table('csm.mail_senders');
CREATE POLICY mail_senders_select ON csm.mail_senders FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.mail_senders TO csm_admin;

COMMENT ON TABLE csm.mail_senders IS 'Persons, as a rule technical ones, as whom a sender process may fetch mail of the tenant; kept by csm.allow_mail_sender()';
COMMENT ON COLUMN csm.mail_senders.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_senders.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_senders.created_at IS 'Since when';
COMMENT ON POLICY mail_senders_select ON csm.mail_senders IS 'Administrators see who may fetch mail';

CREATE TABLE csm.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kind text NOT NULL,
    recipient text NOT NULL,
    user_id bigint,
    language text NOT NULL DEFAULT 'en',
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    claimed_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT outbox_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT outbox_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT outbox_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT outbox_kind_check CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- One address, and nothing that a header or an envelope would read otherwise.
    CONSTRAINT outbox_recipient_check CHECK (length(recipient) <= 320
        AND recipient ~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$'),
    CONSTRAINT outbox_payload_check CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT outbox_attempts_check CHECK (attempts >= 0)
);
CREATE INDEX outbox_user_idx ON csm.outbox (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.outbox');
-- No sample of what is secret or personal enters the planner's statistics.
ALTER TABLE csm.outbox ALTER COLUMN recipient SET STATISTICS 0, ALTER COLUMN payload SET STATISTICS 0;

COMMENT ON TABLE csm.outbox IS 'Messages that wait for a sender process; read through csm.next_mail(), deleted when acknowledged or expired';
COMMENT ON COLUMN csm.outbox.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.outbox.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.outbox.kind IS 'Which template: README lists them with their payloads';
COMMENT ON COLUMN csm.outbox.recipient IS 'One e-mail address';
COMMENT ON COLUMN csm.outbox.user_id IS 'The person it is for; NULL when he has no row yet';
COMMENT ON COLUMN csm.outbox.language IS 'Language tag for the template';
COMMENT ON COLUMN csm.outbox.payload IS 'What the template fills in, a JSON object; token is a single-use secret';
COMMENT ON COLUMN csm.outbox.created_at IS 'When it was written';
COMMENT ON COLUMN csm.outbox.expires_at IS 'From then on it is deleted instead of handed out; NULL: never';
COMMENT ON COLUMN csm.outbox.claimed_until IS 'Not handed out again before, unless acknowledged; NULL: never handed out';
COMMENT ON COLUMN csm.outbox.attempts IS 'How often it was handed out';

CREATE OR REPLACE FUNCTION csm_private.send_mail(tenant_id bigint, kind text, recipient text, user_id bigint DEFAULT NULL,
    language text DEFAULT 'en', payload jsonb DEFAULT '{}', expires_at timestamptz DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO csm.outbox (tenant_id, kind, recipient, user_id, language, payload, expires_at)
    VALUES (send_mail.tenant_id, send_mail.kind, btrim(send_mail.recipient), send_mail.user_id,
            coalesce(send_mail.language, 'en'), coalesce(send_mail.payload, '{}'), send_mail.expires_at)
$$;
COMMENT ON FUNCTION csm_private.send_mail(bigint, text, text, bigint, text, jsonb, timestamptz) IS
'Puts a message into the outbox; error 23514 for what is not one plain address';

CREATE OR REPLACE FUNCTION csm.allow_mail_sender(user_id bigint, allowed boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to name a mail sender' USING ERRCODE = '42501',
            HINT = 'Mail carries tokens that sign people in: only a superuser or a member of csm_owner may call csm.allow_mail_sender().';
    ELSIF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = allow_mail_sender.user_id) THEN
        RAISE EXCEPTION 'there is no user %', coalesce(allow_mail_sender.user_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Name a csm.users.id.';
    END IF;
    IF allowed THEN
        INSERT INTO csm.mail_senders (user_id, tenant_id)
        SELECT u.id, u.tenant_id FROM csm.users u WHERE u.id = allow_mail_sender.user_id
        ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM csm.mail_senders s WHERE s.user_id = allow_mail_sender.user_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.allow_mail_sender(bigint, boolean) IS
'Lets a sender process that is signed in as this person fetch mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';

-- Of which tenants the caller sends mail: NULL stands for all.
CREATE OR REPLACE FUNCTION csm_private.sender_tenant(OUT tenant_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN;
    END IF;
    SELECT s.tenant_id INTO tenant_id FROM csm.mail_senders s
    WHERE s.user_id = csm.current_user_id() AND s.tenant_id = csm.current_tenant_id();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'mail is for sender processes' USING ERRCODE = '42501',
            HINT = 'The DBA names the person of a sender process with csm.allow_mail_sender().';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.sender_tenant() IS
'Tenant whose mail the caller sends; NULL for the system, which sends everybody''s. Error 42501 for anybody else';

CREATE OR REPLACE FUNCTION csm.next_mail("limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes') RETURNS SETOF csm.outbox
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_mail() must be between 1 and 10000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce("limit"::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    DELETE FROM csm.outbox o
    WHERE o.expires_at <= at_time AND (mine IS NULL OR o.tenant_id = mine);
    RETURN QUERY
    WITH free AS (
        SELECT o.id, o.tenant_id FROM csm.outbox o
        WHERE (mine IS NULL OR o.tenant_id = mine) AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
        ORDER BY o.id LIMIT "limit" FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE csm.outbox o SET claimed_until = at_time + lease, attempts = o.attempts + 1
        FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
        RETURNING o.*
    )
    SELECT * FROM claimed c ORDER BY c.id;
END $$;
COMMENT ON FUNCTION csm.next_mail(integer, interval) IS
'Messages to be sent, the oldest first: each to one caller at a time, again when the lease has passed without csm.acknowledge_mail(). Commit before sending. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE OR REPLACE FUNCTION csm.acknowledge_mail(ids bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    gone bigint;
BEGIN
    WITH d AS (
        DELETE FROM csm.outbox o
        WHERE o.id = ANY (ids) AND o.attempts > 0 AND (mine IS NULL OR o.tenant_id = mine)
        RETURNING 1
    )
    SELECT count(*) INTO gone FROM d;
    RETURN gone;
END $$;
COMMENT ON FUNCTION csm.acknowledge_mail(bigint[]) IS
'Says that messages were sent, or are to be given up; deletes them and returns how many there were. Callers as csm.next_mail(). Error 42501';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.send_mail(bigint, text, text, bigint, text, jsonb, timestamptz)',
        'csm_private.sender_tenant()',
        'csm.allow_mail_sender(bigint, boolean)',
        'csm.next_mail(integer, interval)',
        'csm.acknowledge_mail(bigint[])']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.next_mail(integer, interval), csm.acknowledge_mail(bigint[]) TO csm_portal, csm_agent, csm_admin;
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

CREATE OR REPLACE FUNCTION csm_private.password_hash(password text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_password_hash' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION csm_private.password_hash(text) IS
'Argon2id with a new salt: 64 MB of memory, some 60 ms, at most eight at a time in a database';

CREATE OR REPLACE FUNCTION csm_private.password_matches(password text, hash text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_password_matches' LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION csm_private.password_matches(text, text) IS
'Is it the password of the hash? Hash NULL: false, after the same time';

CREATE OR REPLACE FUNCTION csm_private.password_outdated(hash text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_password_outdated' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.password_outdated(text) IS
'Was the hash made at another cost than new ones?';

-- The same characters, however a keyboard composes them (NIST SP 800-63B, 5.1.1.2).
CREATE OR REPLACE FUNCTION csm_private.password_text(password text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(password) > 4000 THEN left(password, 1000)
            WHEN getdatabaseencoding() = 'UTF8' THEN normalize(password, NFKC) ELSE password END;
COMMENT ON FUNCTION csm_private.password_text(text) IS
'What is hashed of a password: Unicode in form NFKC; of what is too long to be one, the beginning';

-- Rules -------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.password_policy(tenant_id bigint) RETURNS csm.password_policies
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT p FROM csm.password_policies p WHERE p.tenant_id = password_policy.tenant_id),
                    ROW(password_policy.tenant_id, true, 12, 5, '1 minute', '1 hour', 100, '15 minutes', '1 hour')::csm.password_policies)
$$;
COMMENT ON FUNCTION csm_private.password_policy(bigint) IS
'The policy of the tenant, or the defaults';

-- Of the most used passwords those that are long enough to be tried.
CREATE OR REPLACE FUNCTION csm_private.common_passwords() RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
RETURN unnest('{password,password1,password12,password123,password1234,password12345,password123456,passw0rd,p@ssw0rd,p@ssword,
    12345678,123456789,1234567890,12345678910,123456789012,1234567890123,87654321,987654321,0987654321,11111111,00000000,
    qwertyui,qwertyuiop,qwerty123,qwerty1234,qwerty12345,qwerty123456,1q2w3e4r,1q2w3e4r5t,1q2w3e4r5t6y,1qaz2wsx,1qaz2wsx3edc,zaq12wsx,
    asdfghjkl,asdfasdf,zxcvbnm123,abcd1234,abcdefgh,abcdefghijkl,a1b2c3d4,aa123456,iloveyou,iloveyou123,letmein123,letmein1234,
    welcome1,welcome123,welcome1234,admin123,admin1234,administrator,changeme,changeme123,changeme1234,football,baseball,basketball,
    sunshine,princess,superman,trustno1,computer,internet,whatever,michelle,jennifer,correcthorsebatterystaple}'::text[]);
COMMENT ON FUNCTION csm_private.common_passwords() IS
'Passwords denied to everybody, in lower case, beside csm.denied_passwords';

CREATE OR REPLACE FUNCTION csm_private.password_fault(tenant_id bigint, user_id bigint, password text) RETURNS text
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

CREATE OR REPLACE FUNCTION csm_private.set_password(tenant_id bigint, user_id bigint, password text, must_change boolean DEFAULT false) RETURNS void
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

CREATE OR REPLACE FUNCTION csm_private.source_of(source text) RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(nullif(btrim(source), ''), host(inet_client_addr()), 'local');
COMMENT ON FUNCTION csm_private.source_of(text) IS
'Where a request comes from: what a trusted backend says, else the address of the connection';

CREATE OR REPLACE FUNCTION csm_private.person_of_login(tenant_id bigint, login text) RETURNS csm.users
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

CREATE OR REPLACE FUNCTION csm_private.try_password(tenant_id bigint, user_id bigint, password text, source text,
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

CREATE OR REPLACE FUNCTION csm.sign_in_password(login text, password text, source text DEFAULT NULL, local boolean DEFAULT true,
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

CREATE OR REPLACE FUNCTION csm.change_password(current_password text, new_password text, login text DEFAULT NULL, source text DEFAULT NULL,
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

CREATE OR REPLACE FUNCTION csm_private.issue_password_reset(tenant_id bigint, user_id bigint, kind text DEFAULT 'password_reset',
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

CREATE OR REPLACE FUNCTION csm.request_password_reset(login text, source text DEFAULT NULL, OUT status text)
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

CREATE OR REPLACE FUNCTION csm.reset_password(token text, new_password text, OUT status text)
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

CREATE OR REPLACE FUNCTION csm.send_password_reset(user_id bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION csm.require_password_change(user_id bigint) RETURNS void
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

-- Sessions, API keys, directory import
-- csm's own sessions and API keys: opaque tokens by which csm.sign_in() knows a
-- person.  A row ends by being deleted; see src/csm_session_token.c, which
-- finds rows, writes last_used_at in place and relies on the order of the first
-- four columns.

CREATE TABLE csm.sessions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL DEFAULT 'session',
    label text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    idle_minutes integer,
    persona text,
    actions text[],
    CONSTRAINT sessions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT sessions_kind_check CHECK (kind IN ('session', 'key')),
    CONSTRAINT sessions_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT sessions_idle_check CHECK ((idle_minutes IS NULL) = (kind = 'key') AND idle_minutes > 1),
    CONSTRAINT sessions_persona_check CHECK (persona ~ '^(contact:[0-9]{1,18}|consumer|employee|staff:[a-z0-9_]{1,62})$'),
    CONSTRAINT sessions_actions_check CHECK (actions <@ '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage,product_read,product_manage,entitlement_read,account_manage,person_manage,case_work,configure,act_for}'::text[]
        AND cardinality(actions) > 0 AND array_position(actions, NULL) IS NULL)
);
CREATE INDEX sessions_user_idx ON csm.sessions (user_id);
SELECT csm_private.adopt_table('csm.sessions');
-- No row is signalled when it is made: nobody can stand on it yet.
CREATE TRIGGER sessions_signal AFTER DELETE OR UPDATE ON csm.sessions
    FOR EACH ROW EXECUTE FUNCTION csm_private.signal('session', 'id');
CREATE TRIGGER sessions_signal_truncate AFTER TRUNCATE ON csm.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.signal();
ALTER TABLE csm.sessions ENABLE ALWAYS TRIGGER sessions_signal;
ALTER TABLE csm.sessions ENABLE ALWAYS TRIGGER sessions_signal_truncate;

CREATE TABLE csm_private.session_tokens (
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    CONSTRAINT session_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT session_tokens_session_key UNIQUE (session_id, tenant_id),
    CONSTRAINT session_tokens_session_fkey FOREIGN KEY (session_id, tenant_id)
        REFERENCES csm.sessions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT session_tokens_hash_check CHECK (length(token_hash) = 32)
);
ALTER TABLE csm_private.session_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.session_tokens FROM PUBLIC;
ALTER TABLE csm_private.session_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.session_tokens', '');

-- An administrator of customers reaches the login of a person only where every
-- persona of that person lies in his reach: what the person does elsewhere is
-- none of his business.
CREATE OR REPLACE FUNCTION csm_private.administers(user_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF csm.current_tenant_id() IS DISTINCT FROM tenant_id THEN
        RETURN false;
    END IF;
    RETURN csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure')
        OR EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = user_id AND k.tenant_id = tenant_id
                   AND csm_private.is_valid(k.valid_during, at_time))
       AND NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = user_id AND k.tenant_id = tenant_id
                       AND csm_private.is_valid(k.valid_during, at_time)
                       AND csm.account_allows(k.account_id, 'contact_manage') IS NOT TRUE)
       AND NOT EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = user_id AND n.tenant_id = tenant_id)
       AND NOT EXISTS (SELECT FROM csm.employees m WHERE m.user_id = user_id AND m.tenant_id = tenant_id)
       AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = user_id AND r.tenant_id = tenant_id
                       AND csm_private.is_valid(r.valid_during, at_time));
END $$;
ALTER FUNCTION csm_private.administers(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.administers(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.administers(bigint, bigint) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.administers(bigint, bigint) IS
'Whether the caller administers the login of the person: staff with person_manage or configure; with contact_manage only while every persona of the person is a contact in his reach';

CREATE POLICY sessions_select ON csm.sessions FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR csm_private.administers(user_id, tenant_id));
GRANT SELECT ON csm.sessions TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.sessions IS 'Sessions and API keys that csm issued; made by csm.start_session() and csm.create_api_key(), ended by csm.revoke_session() and its like. A row that expired may stand until its person starts another';
COMMENT ON COLUMN csm.sessions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sessions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sessions.user_id IS 'The person who signs in by it';
COMMENT ON COLUMN csm.sessions.last_used_at IS 'Last sign-in by it, to the minute; uses on a standby do not count. Written outside transactions';
COMMENT ON COLUMN csm.sessions.kind IS 'session, or key (API key)';
COMMENT ON COLUMN csm.sessions.label IS 'What the person called it; NULL for nothing';
COMMENT ON COLUMN csm.sessions.created_at IS 'When it was made';
COMMENT ON COLUMN csm.sessions.expires_at IS 'Absolute end';
COMMENT ON COLUMN csm.sessions.idle_minutes IS 'A session ends when it was not used for so many minutes; NULL for an API key';
COMMENT ON COLUMN csm.sessions.persona IS 'An API key counts through this persona alone; NULL: through all';
COMMENT ON COLUMN csm.sessions.actions IS 'An API key permits these actions alone, as far as its person holds them; NULL: all';
COMMENT ON POLICY sessions_select ON csm.sessions IS 'One''s own, and those of people whose login one administers';
COMMENT ON TABLE csm_private.session_tokens IS 'How the token of a session or API key is known: the token itself is stored nowhere';
COMMENT ON COLUMN csm_private.session_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.session_tokens.session_id IS 'The session or API key';
COMMENT ON COLUMN csm_private.session_tokens.tenant_id IS 'Its tenant';

-- ---- signing in by a token ----

CREATE OR REPLACE FUNCTION csm_private.sign_in_by_token(token text, local boolean) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_sign_in_by_token' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.sign_in_by_token(text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.sign_in_by_token(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.sign_in_by_token(text, boolean) IS
'Signs in by the token of a session or API key, for the transaction (local) or the connection; the person, or NULL and nothing done where the token is unknown or has expired. On a standby the absolute end alone counts';

-- ---- making and ending ----

CREATE OR REPLACE FUNCTION csm_private.session_setting(tenant_id bigint, key text) RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN jsonb_typeof(t.settings -> d.key) = 'number'
                THEN least(greatest((t.settings ->> d.key)::numeric, d.least), d.most)::integer ELSE d.normal END
    FROM csm.tenants t, (VALUES ('session_idle_minutes', 30, 2, 43200), ('session_hours', 12, 1, 8760),
                                ('api_key_days', 365, 0, 3650)) AS d(key, normal, least, most)
    WHERE t.id = session_setting.tenant_id AND d.key = session_setting.key
$$;
ALTER FUNCTION csm_private.session_setting(bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.session_setting(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.session_setting(bigint, text) IS
'A setting of the tenant: session_idle_minutes (30), session_hours (12), api_key_days (365; 0: no API keys); what is no number counts as not set, what is out of range as the nearest';

-- Locks the person, so that of making one and ending all of them one is first.
CREATE OR REPLACE FUNCTION csm_private.add_session(kind text, label text, expires_at timestamptz, persona text, actions text[], token text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    made bigint;
BEGIN
    PERFORM FROM csm.users u WHERE u.id = me AND u.tenant_id = tenant AND u.enabled FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'permission denied to make a %', kind USING ERRCODE = '42501', HINT = 'Sign in again.';
    END IF;
    INSERT INTO csm.sessions AS s (tenant_id, user_id, kind, label, expires_at, idle_minutes, persona, actions)
    VALUES (tenant, me, kind, label, expires_at,
            CASE kind WHEN 'session' THEN csm_private.session_setting(tenant, 'session_idle_minutes') END, persona, actions)
    RETURNING s.id INTO made;
    INSERT INTO csm_private.session_tokens (token_hash, session_id, tenant_id)
    VALUES (csm_private.token_hash(token), made, tenant);
    RETURN made;
END $$;
ALTER FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) IS
'A row of csm.sessions for the signed-in person, and its token; error 42501 when he was disabled meanwhile';

CREATE OR REPLACE FUNCTION csm.start_session(label text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    token CONSTANT text := csm_private.new_token();
    made bigint;
BEGIN
    IF NOT csm_private.in_person() THEN
        RAISE EXCEPTION 'permission denied to start a session' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another.';
    ELSIF length(label) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'label of a session has 1 to 200 characters' USING ERRCODE = '22023',
            DETAIL = format('It has %s.', length(label)), HINT = 'Leave it out.';
    END IF;
    -- A session started from another ends with that one at the latest.
    made := csm_private.add_session('session', label,
        least(clock_timestamp() + make_interval(hours => csm_private.session_setting(tenant, 'session_hours')),
              (SELECT s.expires_at FROM csm.sessions s WHERE s.id = csm_private.current_session_id())),
        NULL, NULL, token);
    -- What has ended, and what was not used for longest beyond a hundred.
    DELETE FROM csm.sessions s
    WHERE s.user_id = me AND s.tenant_id = tenant
      AND (s.expires_at <= clock_timestamp()
           OR s.last_used_at + make_interval(mins => s.idle_minutes) <= clock_timestamp()
           OR s.id IN (SELECT o.id FROM csm.sessions o
                       WHERE o.user_id = me AND o.tenant_id = tenant AND o.kind = 'session'
                       ORDER BY o.last_used_at DESC, o.id DESC OFFSET 100));
    PERFORM csm_private.audit('session_started', me, me, NULL, jsonb_build_object('session_id', made));
    RETURN token;
END $$;
ALTER FUNCTION csm.start_session(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.start_session(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.start_session(text) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.start_session(text) IS
'A token by which the signed-in person can sign in (csm.sign_in()) until the session ends: 256 random bits, told once, stored as a hash. A person has at most 100 sessions. Errors: 42501 nobody, by an API key or for another; 22023 label too long; 25006 on a standby';

CREATE OR REPLACE FUNCTION csm.create_api_key(name text, persona text DEFAULT NULL, actions text[] DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    narrowed CONSTANT text := nullif(current_setting('csm.persona', true), '');
    days CONSTANT integer := csm_private.session_setting(tenant, 'api_key_days');
    token CONSTANT text := 'csmk_' || csm_private.new_token();
    made bigint;
BEGIN
    IF NOT csm_private.in_person() OR days = 0 THEN
        RAISE EXCEPTION 'permission denied to make an API key' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another. The tenant''s setting api_key_days may forbid keys.';
    ELSIF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'name of an API key has 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Name what will use it.';
    END IF;
    persona := coalesce(persona, narrowed);
    IF persona <> narrowed OR NOT EXISTS (SELECT FROM csm.whoami() w WHERE persona IS NULL OR persona = ANY (w.personas)) THEN
        RAISE EXCEPTION 'persona "%" is not the caller''s', persona USING ERRCODE = '42501',
            HINT = 'csm.whoami() lists personas; staff personas count on a connection for staff.';
    ELSIF cardinality(actions) = 0 OR array_position(actions, NULL) IS NOT NULL OR NOT actions <@
          '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage,product_read,product_manage,entitlement_read,account_manage,person_manage,case_work,configure,act_for}'::text[] THEN
        RAISE EXCEPTION 'actions of an API key are unknown' USING ERRCODE = '22023',
            DETAIL = format('Given are %s.', actions::text), HINT = 'Name actions as in csm.role_permissions, or leave them out.';
    END IF;
    expires_at := coalesce(expires_at, clock_timestamp() + make_interval(days => least(days, 90)));
    IF expires_at <= clock_timestamp() OR expires_at > clock_timestamp() + make_interval(days => days) THEN
        RAISE EXCEPTION 'an API key cannot end at %', expires_at USING ERRCODE = '22023',
            HINT = format('It ends within %s days from now.', days);
    END IF;
    made := csm_private.add_session('key', name, expires_at, persona, actions, token);
    DELETE FROM csm.sessions s WHERE s.user_id = me AND s.tenant_id = tenant AND s.expires_at <= clock_timestamp();
    IF (SELECT count(*) FROM csm.sessions s WHERE s.user_id = me AND s.tenant_id = tenant AND s.kind = 'key') > 50 THEN
        RAISE EXCEPTION 'the quota of API keys is used up' USING ERRCODE = 'SM007',
            DETAIL = 'Allowed are 50.', HINT = 'Revoke what is not needed any more.';
    END IF;
    PERFORM csm_private.audit('api_key_made', me, me, NULL,
        jsonb_build_object('session_id', made, 'persona', persona, 'actions', to_jsonb(actions), 'expires_at', expires_at));
    RETURN token;
END $$;
ALTER FUNCTION csm.create_api_key(text, text, text[], timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) IS
'A token for an integration, which signs in as the caller by csm.sign_in(): through one persona and for some actions only where given; with what the caller may at the time of use, never more. Ends after 90 days or as given, at most the tenant''s api_key_days. Told once, stored as a hash. Errors: 42501 nobody, by an API key, for another, another''s persona, keys forbidden; 22023 name, actions or end; SM007 more than 50';

CREATE OR REPLACE FUNCTION csm_private.end_sessions(user_id bigint, tenant_id bigint, keys boolean) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ended integer;
BEGIN
    PERFORM FROM csm.users u WHERE u.id = user_id AND u.tenant_id = tenant_id FOR NO KEY UPDATE;
    DELETE FROM csm.sessions s
    WHERE s.user_id = user_id AND s.tenant_id = tenant_id AND (keys OR s.kind = 'session');
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended > 0 THEN
        PERFORM csm_private.audit('sessions_ended', csm.current_user_id(), user_id, NULL,
            jsonb_build_object('ended', ended, 'keys', keys), tenant_id);
    END IF;
    RETURN ended;
END $$;
ALTER FUNCTION csm_private.end_sessions(bigint, bigint, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) IS
'Ends the sessions of a person, keys: his API keys as well; how many. For functions that change a login';

CREATE OR REPLACE FUNCTION csm.revoke_session(session_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s csm.sessions;
BEGIN
    IF NOT csm_private.in_person() THEN
        RAISE EXCEPTION 'permission denied to revoke a session' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another.';
    END IF;
    DELETE FROM csm.sessions x
    WHERE x.id = session_id AND x.tenant_id = csm.current_tenant_id()
      AND (x.user_id = csm.current_user_id() OR csm_private.administers(x.user_id, x.tenant_id))
    RETURNING * INTO s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM csm_private.audit('session_revoked', csm.current_user_id(), s.user_id, NULL,
        jsonb_build_object('session_id', s.id, 'kind', s.kind));
    RETURN true;
END $$;
ALTER FUNCTION csm.revoke_session(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.revoke_session(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.revoke_session(bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.revoke_session(bigint) IS
'Ends a session or API key (csm.sessions.id) at once, open transactions included: one''s own, or of a person whose login one administers. False where there is none, another''s alike. Error 42501: nobody, by an API key or for another';

CREATE OR REPLACE FUNCTION csm.revoke_all_sessions(user_id bigint DEFAULT NULL, keys boolean DEFAULT true) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    user_id := coalesce(user_id, csm.current_user_id());
    IF NOT csm_private.in_person() OR keys IS NULL
       OR user_id <> csm.current_user_id() AND NOT csm_private.administers(user_id, csm.current_tenant_id()) THEN
        RAISE EXCEPTION 'permission denied to revoke the sessions of user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One revokes one''s own, in person, and an administrator those of people who are contacts in his reach alone.';
    END IF;
    RETURN csm_private.end_sessions(user_id, csm.current_tenant_id(), keys);
END $$;
ALTER FUNCTION csm.revoke_all_sessions(bigint, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.revoke_all_sessions(bigint, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.revoke_all_sessions(bigint, boolean) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.revoke_all_sessions(bigint, boolean) IS
'Ends all sessions of the person, by default the caller, and his API keys unless keys is false; how many. The one that the caller uses ends too. Error 42501: nobody, by an API key, for another, or a person whose login he does not administer, missing ones alike';

-- ---- what ends with a login ----

CREATE OR REPLACE FUNCTION csm_private.login_ends() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT bigint := (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
    tenant CONSTANT bigint := NEW.tenant_id;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    ELSIF TG_TABLE_NAME = 'contacts'
          AND (EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = person AND k.tenant_id = tenant AND k.login_enabled)
               OR EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = person AND n.tenant_id = tenant)
               OR EXISTS (SELECT FROM csm.employees m WHERE m.user_id = person AND m.tenant_id = tenant)
               OR EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = person AND r.tenant_id = tenant)) THEN
        RETURN NULL;
    END IF;
    PERFORM csm_private.end_sessions(person, tenant, true);
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.login_ends() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.login_ends() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.login_ends() IS
'Trigger of csm.users and csm.contacts: sessions and API keys end when the person is disabled, or the login of his last persona. Argument: the column that names the person';

CREATE TRIGGER users_60_login_ends AFTER UPDATE OF enabled ON csm.users
    FOR EACH ROW WHEN (OLD.enabled AND NOT NEW.enabled) EXECUTE FUNCTION csm_private.login_ends('id');
CREATE TRIGGER contacts_60_login_ends AFTER UPDATE OF login_enabled ON csm.contacts
    FOR EACH ROW WHEN (OLD.login_enabled AND NOT NEW.login_enabled) EXECUTE FUNCTION csm_private.login_ends('user_id');

-- ---- acting for another ----

CREATE OR REPLACE FUNCTION csm_private.set_behalf(user_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_set_behalf' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.set_behalf(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_behalf(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_behalf(bigint) IS
'The signed-in person acts for that one until the transaction ends; NULL lifts it. Asks nothing: whether he may shows in his rights';

CREATE OR REPLACE FUNCTION csm.on_behalf_of(user_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me bigint;
BEGIN
    PERFORM csm_private.set_behalf(NULL);
    me := csm.current_user_id();
    IF me IS NULL THEN
        RAISE EXCEPTION 'permission denied to act for user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501', HINT = 'Sign in first.';
    ELSIF user_id IS NULL OR user_id = me THEN
        RETURN;
    END IF;
    PERFORM csm_private.set_behalf(user_id);
    IF csm.current_user_id() IS NULL THEN
        PERFORM csm_private.set_behalf(NULL);
        RAISE EXCEPTION 'permission denied to act for user %', user_id USING ERRCODE = '42501',
            HINT = 'Staff with the action act_for and reach all may, for enabled people of their tenant.';
    END IF;
    PERFORM csm_private.audit('acted_for', me, user_id);
END $$;
ALTER FUNCTION csm.on_behalf_of(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.on_behalf_of(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.on_behalf_of(bigint) TO csm_agent, csm_admin;
COMMENT ON FUNCTION csm.on_behalf_of(bigint) IS
'Until the transaction ends the caller acts for that person: with that person''s rights as a customer, in the branches where the caller holds act_for and contact_read, and of the actions those that the caller himself holds there with reach all. Entries, history and events name both. NULL, or oneself, lifts it. Error 42501: nobody, without act_for, no such person, disabled or of another tenant';

CREATE OR REPLACE FUNCTION csm.on_behalf_of() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_on_behalf_of' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm.on_behalf_of() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.on_behalf_of() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.on_behalf_of() TO csm_agent, csm_admin;
COMMENT ON FUNCTION csm.on_behalf_of() IS
'For whom the caller acts (csm.users.id); NULL for himself';
-- People who come from a directory: known by external_id.

-- Why a row of an import cannot be taken; NULL: it can.  What the table checks
-- is checked here first, so that one bad row does not undo the good ones.
CREATE OR REPLACE FUNCTION csm_private.directory_fault(r jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    texts CONSTANT text[] := '{external_id,display_name,email,language,time_zone,phone,title,department}'::text[];
    fault text;
BEGIN
    IF jsonb_typeof(r) IS DISTINCT FROM 'object' THEN
        RETURN 'not an object';
    END IF;
    SELECT format('unknown key "%s"', left(k, 63)) INTO fault FROM jsonb_object_keys(r) k
    WHERE k <> ALL (texts || '{enabled,employee}'::text[]) ORDER BY k LIMIT 1;
    IF fault IS NULL THEN
        SELECT format('%s is no text', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key = ANY (texts) AND jsonb_typeof(e.value) NOT IN ('string', 'null') ORDER BY e.key LIMIT 1;
    END IF;
    IF fault IS NULL THEN
        SELECT format('%s is neither true nor false', e.key) INTO fault FROM jsonb_each(r) e
        WHERE e.key IN ('enabled', 'employee') AND jsonb_typeof(e.value) <> 'boolean' ORDER BY e.key LIMIT 1;
    END IF;
    RETURN CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN coalesce(length(r ->> 'external_id') NOT BETWEEN 1 AND 400, true) THEN 'external_id is missing, or longer than 400 characters'
        WHEN r ? 'display_name' AND coalesce(length(r ->> 'display_name') NOT BETWEEN 1 AND 200, true)
            THEN 'display_name has 1 to 200 characters'
        WHEN length(r ->> 'email') > 320 OR r ->> 'email' !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN 'email is not an address'
        WHEN r ? 'language' AND coalesce(r ->> 'language' !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$', true)
            THEN 'language is not a language tag'
        WHEN r ? 'time_zone' AND r ->> 'time_zone' IS NULL THEN 'time_zone is null'
        WHEN length(r ->> 'phone') > 64 THEN 'phone has at most 64 characters'
        WHEN length(r ->> 'title') > 200 THEN 'title has at most 200 characters'
        WHEN r -> 'employee' = 'false' AND r ->> 'department' IS NOT NULL THEN 'department of somebody who is no employee'
    END;
END $$;
ALTER FUNCTION csm_private.directory_fault(jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.directory_fault(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.directory_fault(jsonb) IS
'What is wrong with an element given to csm.upsert_users(), taken by itself; NULL: nothing';

-- One row of the directory, found in order; writes only what differs.
CREATE OR REPLACE FUNCTION csm_private.upsert_user(tenant_id bigint, r jsonb, OUT outcome text, OUT user_id bigint, OUT reason text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    u csm.users;
    wanted csm.users;
    is_new boolean;
    changed integer := 0;
    n integer;
BEGIN
    SELECT * INTO u FROM csm.users x
    WHERE x.tenant_id = tenant_id AND x.external_id = r ->> 'external_id' FOR NO KEY UPDATE;
    is_new := NOT FOUND;
    IF is_new AND NOT r ? 'display_name' THEN
        outcome := 'rejected';
        reason := 'display_name of a new person is missing';
        RETURN;
    END IF;
    user_id := u.id;
    IF EXISTS (SELECT FROM csm.users x
               WHERE x.tenant_id = tenant_id AND x.email_key = lower(btrim(r ->> 'email')) AND x.id IS DISTINCT FROM u.id) THEN
        outcome := 'rejected';
        reason := 'email belongs to another person';
        RETURN;
    END IF;

    IF is_new THEN
        INSERT INTO csm.users AS x (tenant_id, external_id, display_name, email, language, time_zone, phone, title, enabled)
        VALUES (tenant_id, r ->> 'external_id', r ->> 'display_name', r ->> 'email', coalesce(r ->> 'language', 'en'),
                coalesce(r ->> 'time_zone', 'UTC'), r ->> 'phone', r ->> 'title', coalesce((r ->> 'enabled')::boolean, true))
        RETURNING x.id INTO user_id;
    ELSE
        wanted := jsonb_populate_record(u, r - '{employee,department,external_id}'::text[]);
        UPDATE csm.users x
        SET display_name = wanted.display_name, email = wanted.email, language = wanted.language, time_zone = wanted.time_zone,
            phone = wanted.phone, title = wanted.title, enabled = wanted.enabled
        WHERE x.id = u.id AND x.tenant_id = tenant_id
          AND (x.display_name, x.email, x.language, x.time_zone, x.phone, x.title, x.enabled) IS DISTINCT FROM
              (wanted.display_name, wanted.email, wanted.language, wanted.time_zone, wanted.phone, wanted.title, wanted.enabled);
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;

    IF r -> 'employee' = 'false' THEN
        DELETE FROM csm.employees e WHERE e.user_id = user_id AND e.tenant_id = tenant_id;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    ELSIF r -> 'employee' = 'true' OR r ? 'department' THEN
        INSERT INTO csm.employees AS e (user_id, tenant_id, department)
        VALUES (user_id, tenant_id, r ->> 'department')
        ON CONFLICT ON CONSTRAINT employees_pkey DO UPDATE SET department = excluded.department
        WHERE r ? 'department' AND e.department IS DISTINCT FROM excluded.department;
        GET DIAGNOSTICS n = ROW_COUNT;
        changed := changed + n;
    END IF;
    outcome := CASE WHEN is_new THEN 'created' WHEN changed > 0 THEN 'updated' ELSE 'unchanged' END;
END $$;
ALTER FUNCTION csm_private.upsert_user(bigint, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.upsert_user(bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.upsert_user(bigint, jsonb) IS
'One element of csm.upsert_users() in which csm_private.directory_fault() finds nothing: outcome created, updated, unchanged or rejected, the person, and why rejected';

CREATE OR REPLACE FUNCTION csm.upsert_users(people jsonb, deactivate_missing boolean DEFAULT false)
RETURNS TABLE (item integer, external_id text, outcome text, user_id bigint, reason text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    me CONSTANT bigint := csm.current_user_id();
    counts jsonb := '{"created": 0, "updated": 0, "unchanged": 0, "rejected": 0, "deactivated": 0}'::jsonb;
    named text[];
    doubles text[];
    unknown_zones text[];
    waiting integer[] := '{}'::integer[];
    left_over integer[];
    r jsonb;
    i integer;
BEGIN
    IF tenant IS NULL OR NOT csm.all_in(tenant, 'internal', 'configure') OR csm_private.person_id() <> me THEN
        RAISE EXCEPTION 'permission denied to import people' USING ERRCODE = '42501', HINT = 'Administrators import into their own tenant.';
    ELSIF jsonb_typeof(people) IS DISTINCT FROM 'array' OR deactivate_missing IS NULL THEN
        RAISE EXCEPTION 'people is not a JSON array' USING ERRCODE = '22023', HINT = 'Pass an array of objects with external_id.';
    ELSIF deactivate_missing AND jsonb_array_length(people) = 0 THEN
        RAISE EXCEPTION 'an empty directory would deactivate everybody' USING ERRCODE = '22023',
            HINT = 'Look whether the export failed; disable single people in csm.users.';
    END IF;
    -- One import of the tenant after the other; a row, not an advisory lock that anybody could hold.
    PERFORM FROM csm.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;

    SELECT array_agg(x.id), array_agg(x.id) FILTER (WHERE x.many) INTO named, doubles
    FROM (SELECT e ->> 'external_id' AS id, count(*) > 1 AS many FROM jsonb_array_elements(people) e
          WHERE jsonb_typeof(e) = 'object' AND jsonb_typeof(e -> 'external_id') = 'string' GROUP BY 1) x;
    unknown_zones := ARRAY(SELECT z FROM (SELECT DISTINCT e ->> 'time_zone' FROM jsonb_array_elements(people) e
                                          WHERE jsonb_typeof(e) = 'object') AS x(z)
                           WHERE z IS NOT NULL
                             AND NOT EXISTS (SELECT FROM pg_timezone_names t WHERE t.name = z));

    -- "waiting" gets what may find its e-mail freed by a later row.
    FOR i IN 1 .. jsonb_array_length(people) LOOP
        r := people -> (i - 1);
        item := i;
        user_id := NULL;
        reason := csm_private.directory_fault(r);
        external_id := CASE WHEN jsonb_typeof(r) = 'object' AND jsonb_typeof(r -> 'external_id') = 'string' THEN r ->> 'external_id' END;
        IF reason IS NULL AND external_id = ANY (doubles) THEN
            reason := 'external_id stands twice in this import';
        ELSIF reason IS NULL AND r ->> 'time_zone' = ANY (unknown_zones) THEN
            reason := 'time_zone is unknown';
        END IF;
        IF reason IS NULL THEN
            waiting := waiting || i;
        ELSE
            outcome := 'rejected';
            counts := jsonb_set(counts, '{rejected}', to_jsonb((counts ->> 'rejected')::integer + 1));
            RETURN NEXT;
        END IF;
    END LOOP;

    LOOP
        left_over := '{}'::integer[];
        FOREACH i IN ARRAY waiting LOOP
            r := people -> (i - 1);
            SELECT x.outcome, x.user_id, x.reason INTO outcome, user_id, reason FROM csm_private.upsert_user(tenant, r) x;
            IF outcome = 'rejected' THEN
                left_over := left_over || i;
                CONTINUE;
            END IF;
            item := i;
            external_id := r ->> 'external_id';
            counts := jsonb_set(counts, ARRAY[outcome], to_jsonb((counts ->> outcome)::integer + 1));
            RETURN NEXT;
        END LOOP;
        EXIT WHEN left_over = '{}'::integer[] OR cardinality(left_over) = cardinality(waiting);
        waiting := left_over;
    END LOOP;
    FOREACH i IN ARRAY left_over LOOP
        r := people -> (i - 1);
        SELECT x.outcome, x.user_id, x.reason INTO outcome, user_id, reason FROM csm_private.upsert_user(tenant, r) x;
        item := i;
        external_id := r ->> 'external_id';
        counts := jsonb_set(counts, '{rejected}', to_jsonb((counts ->> 'rejected')::integer + 1));
        RETURN NEXT;
    END LOOP;

    IF deactivate_missing THEN
        FOR item, external_id, outcome, user_id, reason IN
            UPDATE csm.users u SET enabled = false
            WHERE u.tenant_id = tenant AND u.enabled AND u.external_id IS NOT NULL AND u.external_id <> ALL (coalesce(named, '{}')) AND u.id <> me
            RETURNING NULL::integer, u.external_id, 'deactivated', u.id, NULL::text
        LOOP
            counts := jsonb_set(counts, '{deactivated}', to_jsonb((counts ->> 'deactivated')::integer + 1));
            RETURN NEXT;
        END LOOP;
    END IF;
    PERFORM csm_private.audit('people_imported', me, NULL, NULL, counts);
END $$;
ALTER FUNCTION csm.upsert_users(jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.upsert_users(jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.upsert_users(jsonb, boolean) TO csm_admin;
COMMENT ON FUNCTION csm.upsert_users(jsonb, boolean) IS
'Makes and updates people by external_id: objects with external_id, display_name, email, language, time_zone, phone, title, enabled, employee, department; a key left out changes nothing. A row for each with outcome created, updated, unchanged or rejected and the reason; deactivate_missing disables enabled people who have an external_id that is not named (never the caller), outcome deactivated. Administrators. Errors: 42501; 22023 no array, or an empty one with deactivate_missing; 23505 where somebody else takes an e-mail at the same moment: nothing is done then, repeat it';

-- Registration
-- csm.run_due(): everything that time does.
--
-- One call is one transaction. A crash leaves every timer that the call had
-- claimed as it was. Items are worked off in groups, one subtransaction a
-- group (a subtransaction an item would overflow what other sessions' snapshots
-- keep of them); where an item fails, its group is done again item by item, and
-- the one that fails is put off, longer each time, and never dropped.

-- One line a kind, in the order of the module files. The timer is gone already:
-- the handler may set it anew.
CREATE OR REPLACE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'retention' THEN PERFORM csm_private.due_retention(t.tenant_id, t.object_id, at);
        WHEN 'follow_parent' THEN PERFORM csm_private.due_follow_parent(t.tenant_id, t.object_id, at);
        WHEN 'registration' THEN PERFORM csm_private.due_registration(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;

-- What became of each timer: done, or busy where somebody has the case in hand
-- and the timer stays. Nothing here waits for the lock of a case.
CREATE OR REPLACE FUNCTION csm_private.run_group(claimed csm.timers[], at timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.timers;
    free bigint[];
    reminders bigint[];
    closings bigint[];
    outcomes text[] := '{}'::text[];
BEGIN
    free := ARRAY(SELECT c.id FROM csm.cases c
                  WHERE c.id = ANY (ARRAY(SELECT u.case_id FROM unnest(claimed) u WHERE u.case_id IS NOT NULL))
                  ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED);
    DELETE FROM csm.timers d USING unnest(claimed) u
    WHERE d.kind = u.kind AND d.object_id = u.object_id AND d.tenant_id = u.tenant_id
      AND (u.case_id IS NULL OR u.case_id = ANY (free));
    FOREACH t IN ARRAY claimed LOOP
        IF t.case_id IS NOT NULL AND t.case_id <> ALL (free) THEN
            outcomes := outcomes || 'busy'::text;
            CONTINUE;
        ELSIF t.kind = 'auto_close_reminder' THEN
            reminders := reminders || t.object_id;
        ELSIF t.kind = 'auto_close' THEN
            closings := closings || t.object_id;
        ELSE
            PERFORM csm_private.run_timer(t, at);
        END IF;
        outcomes := outcomes || 'done'::text;
    END LOOP;
    IF reminders IS NOT NULL THEN
        PERFORM csm_private.due_auto_close_reminder(reminders, at);
    END IF;
    IF closings IS NOT NULL THEN
        PERFORM csm_private.due_auto_close(closings, at);
    END IF;
    RETURN outcomes;
END $$;

-- Runs as csm_owner whoever asks; only csm.run_due() and csm.run_due_in(), which
-- check the caller, may execute it.
CREATE OR REPLACE FUNCTION csm_private.run_timers(now timestamptz, "limit" integer, only_tenant bigint)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    group_size CONSTANT integer := 100;
    left_over integer := run_timers."limit";
    seen csm.timers;
    claimed csm.timers[];
    t csm.timers;
    cause text;
    of_group text[];
    kinds text[] := '{}'::text[];
    outcomes text[] := '{}'::text[];
BEGIN
    IF run_timers.now IS NULL OR run_timers."limit" IS NULL OR run_timers."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023',
            HINT = 'Leave them out for the clock and 10,000 timers.';
    END IF;
    seen.due_at := '-infinity';
    seen.kind := '';
    seen.object_id := 0;
    LOOP
        SELECT array_agg(x.d ORDER BY (x.d).due_at, (x.d).kind, (x.d).object_id) INTO claimed
        FROM (SELECT d FROM csm.timers d
              WHERE d.due_at <= run_timers.now AND (d.due_at, d.kind, d.object_id) > (seen.due_at, seen.kind, seen.object_id)
                AND (only_tenant IS NULL OR d.tenant_id = only_tenant)
              ORDER BY d.due_at, d.kind, d.object_id
              LIMIT least(group_size, left_over) FOR UPDATE SKIP LOCKED) x;
        EXIT WHEN claimed IS NULL;
        seen := claimed[cardinality(claimed)];
        left_over := left_over - cardinality(claimed);

        BEGIN
            of_group := csm_private.run_group(claimed, run_timers.now);
        EXCEPTION WHEN OTHERS THEN
            of_group := '{}';
            FOREACH t IN ARRAY claimed LOOP
                BEGIN
                    of_group := of_group || csm_private.run_group(ARRAY[t], run_timers.now);
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS cause = MESSAGE_TEXT;
                    cause := SQLSTATE || ': ' || cause;
                    -- 1, 2, 4 ... minutes later, at most a day
                    UPDATE csm.timers d
                    SET attempts = d.attempts + 1, error = left(cause, 1000),
                        due_at = run_timers.now + least(interval '1 minute' * 2 ^ least(d.attempts, 11), interval '1 day')
                    WHERE d.kind = t.kind AND d.object_id = t.object_id AND d.tenant_id = t.tenant_id;
                    of_group := of_group || 'failed'::text;
                END;
            END LOOP;
        END;
        FOREACH t IN ARRAY claimed LOOP
            kinds := kinds || t.kind;
        END LOOP;
        outcomes := outcomes || of_group;
        EXIT WHEN left_over <= 0;
    END LOOP;
    RETURN QUERY
        SELECT u.kind, count(*) FILTER (WHERE u.outcome = 'done'), count(*) FILTER (WHERE u.outcome = 'failed'),
               count(*) FILTER (WHERE u.outcome = 'busy')
        FROM unnest(kinds, outcomes) u(kind, outcome) GROUP BY u.kind ORDER BY u.kind;
END $$;

CREATE OR REPLACE FUNCTION csm.run_due_in(tenant_id bigint, now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.acts_as_system() THEN
        IF NOT coalesce(csm.all_in(run_due_in.tenant_id, 'internal', 'configure'), false) THEN
            RAISE EXCEPTION 'permission denied to run what is due' USING ERRCODE = '42501',
                HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
        ELSIF run_due_in.now > clock_timestamp() THEN
            RAISE EXCEPTION 'what is not due yet cannot be run' USING ERRCODE = '42501',
                DETAIL = format('The time given is %s.', run_due_in.now), HINT = 'Leave now out.';
        END IF;
    END IF;
    RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due_in.now, run_due_in."limit", run_due_in.tenant_id) r;
END $$;

-- Runs with the rights of its caller: who has those of csm_owner runs it for
-- all tenants.
CREATE OR REPLACE FUNCTION csm.run_due(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 10000)
RETURNS TABLE (kind text, done bigint, failed bigint, busy bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RETURN QUERY SELECT r.* FROM csm_private.run_timers(run_due.now, run_due."limit", NULL) r;
    ELSE
        RETURN QUERY SELECT r.* FROM csm.run_due_in(csm.current_tenant_id(), run_due.now, run_due."limit") r;
    END IF;
END $$;

-- pg_cron runs the job as whoever calls this. The texts are constants: nothing
-- of cron exists where the extension is not installed.
CREATE OR REPLACE FUNCTION csm.schedule(schedule text DEFAULT '* * * * *', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    call text;
    job bigint;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to schedule csm.run_due()' USING ERRCODE = '42501',
            HINT = 'Only a superuser or a member of csm_owner may call csm.schedule().';
    ELSIF schedule."limit" IS NULL OR schedule."limit" < 1 THEN
        RAISE EXCEPTION 'limit must not be null nor less than 1' USING ERRCODE = '22023',
            HINT = 'Leave it out for 10,000 timers a run.';
    ELSIF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        RAISE EXCEPTION 'extension "pg_cron" is not installed in database "%"', current_database() USING ERRCODE = '55000',
            DETAIL = 'Without it another scheduler has to run csm.run_due().',
            HINT = format('CREATE EXTENSION pg_cron; where it lives in another database, run there: '
                          'SELECT cron.schedule_in_database(''csm'', ''* * * * *'', ''SELECT csm.run_due()'', %L);', current_database());
    END IF;
    call := 'SELECT cron.schedule($1, $2, $3)';
    EXECUTE call INTO job
        USING 'csm', schedule.schedule, format('SELECT csm.run_due("limit" => %s)', schedule."limit");
    RETURN job;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.run_timer(csm.timers, timestamptz)',
        'csm_private.run_group(csm.timers[], timestamptz)',
        'csm_private.run_timers(timestamptz, integer, bigint)',
        'csm.run_due_in(bigint, timestamptz, integer)',
        'csm.run_due(timestamptz, integer)',
        'csm.schedule(text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.run_due_in(bigint, timestamptz, integer), csm.run_due(timestamptz, integer) TO csm_admin;
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';
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

CREATE OR REPLACE FUNCTION csm_private.altcha_challenge(key bytea, max_number integer, expires timestamptz) RETURNS text
AS 'MODULE_PATHNAME', 'csm_altcha_challenge' LANGUAGE c VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.altcha_challenge(bytea, integer, timestamptz) IS
'A new signed challenge as JSON text; error 22023 for a key shorter than 32 bytes, a max_number below 1 or an expiry before 1970';

CREATE OR REPLACE FUNCTION csm_private.altcha_solved(key bytea, challenge text, number bigint, salt text, signature text) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'csm_altcha_solved' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.altcha_solved(bytea, text, bigint, text, text) IS
'Until when a challenge may be used, NULL unless it was signed with the key and the number solves it. Knows neither the clock nor what was used already';

CREATE OR REPLACE FUNCTION csm_private.captcha_setting(settings jsonb, name text) RETURNS integer
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
CREATE OR REPLACE FUNCTION csm_private.captcha_key(tenant_id bigint) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(s.value || int8send(captcha_key.tenant_id)) FROM csm_private.secrets s WHERE s.name = 'captcha'
$$;
COMMENT ON FUNCTION csm_private.captcha_key(bigint) IS 'Key that signs the challenges of a tenant';

CREATE OR REPLACE FUNCTION csm.captcha_challenge() RETURNS json
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
CREATE OR REPLACE FUNCTION csm_private.use_captcha(tenant_id bigint, payload text) RETURNS boolean
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
CREATE OR REPLACE FUNCTION csm_private.captcha_passed(tenant_id bigint, payload text, source text) RETURNS boolean
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
-- Which roles a customer's administrator may give (R A14): never above his own.
-- Compared is what the role would permit on that account with what he himself
-- may do there, through whichever persona; so one who administers an account
-- from outside gives no right that he has at home alone.

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_assignable_roles_check CHECK (
    NOT settings ? 'assignable_roles' OR jsonb_typeof(settings->'assignable_roles') = 'array');

CREATE OR REPLACE FUNCTION csm_private.role_within(account_id bigint, role text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.all_in(csm.current_tenant_id(), 'b2b', 'account_manage')
        OR csm.account_allows(role_within.account_id, 'contact_manage') AND NOT EXISTS (
            SELECT FROM csm.role_permissions p
            WHERE p.role = role_within.role AND p.tenant_id = csm.current_tenant_id() AND p.reach IN ('account', 'subtree', 'related')
              -- what every contact has is above nobody
              AND NOT EXISTS (SELECT FROM csm.role_permissions c
                              WHERE c.role = 'customer' AND c.tenant_id = p.tenant_id AND c.action = p.action AND c.reach = p.reach)
              AND CASE p.reach
                  WHEN 'account' THEN csm.account_allows(role_within.account_id, p.action) IS NOT TRUE
                  WHEN 'subtree' THEN EXISTS (SELECT FROM csm_private.subtree(role_within.account_id, p.tenant_id) AS s(id)
                                              WHERE csm.account_allows(s.id, p.action) IS NOT TRUE)
                  ELSE NOT EXISTS (
                      SELECT FROM csm.contacts k
                      JOIN csm.role_permissions own ON own.role = k.role AND own.tenant_id = k.tenant_id
                                                   AND own.action = p.action AND own.reach = 'related'
                      WHERE k.user_id = csm.current_user_id() AND k.account_id = role_within.account_id AND k.tenant_id = p.tenant_id
                        AND k.login_enabled AND csm_private.is_valid(k.valid_during, statement_timestamp())
                        AND coalesce(nullif(current_setting('csm.persona', true), ''), 'contact:' || k.id) = 'contact:' || k.id)
                  END), false)
$$;
ALTER FUNCTION csm_private.role_within(bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.role_within(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.role_within(bigint, text) IS
'Whether the role permits a contact of the account nothing that the caller, who manages its contacts, may not do there himself. True for staff with account_manage; false for nobody and where he does not manage them';
-- Registration: how strangers become consumers and contacts (R A17, A18, X8).
--
-- A registration is a row that goes through
--
--   pending    e-mail not proven yet; or proven, and staff have to say which account
--   requested  the administrators of the account have it; one of them decides
--   approved   the persona is there
--   rejected, no_longer_required
--
-- What a stranger is told is the same whoever has an e-mail address, a code or
-- an account: whether an address is known is not even looked at before its owner
-- has proven that it is his.  What differs, differs in his mail.

CREATE TABLE csm.account_domains (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint NOT NULL,
    domain text NOT NULL,
    verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT account_domains_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_domains_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_domains_domain_key UNIQUE (tenant_id, domain),
    CONSTRAINT account_domains_domain_check CHECK (length(domain) <= 253 AND domain = lower(domain)
        AND domain ~ '^([^@.[:space:][:cntrl:]]{1,63}\.)+[^@.[:space:][:cntrl:]]{1,63}$')
);
CREATE INDEX account_domains_account_idx ON csm.account_domains (account_id);
SELECT csm_private.adopt_table('csm.account_domains');
CREATE POLICY account_domains_select ON csm.account_domains FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm.account_allows(account_id, 'contact_manage') OR csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY account_domains_write ON csm.account_domains FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
GRANT SELECT ON csm.account_domains TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (account_id, domain, verified_at), UPDATE (account_id, verified_at), DELETE ON csm.account_domains TO csm_agent, csm_admin;

COMMENT ON TABLE csm.account_domains IS 'E-mail domains of accounts: who proves an address there may ask that account to take him in';
COMMENT ON COLUMN csm.account_domains.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_domains.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_domains.account_id IS 'The account';
COMMENT ON COLUMN csm.account_domains.domain IS 'Part of an address after the @, in lower case; subdomains are domains of their own';
COMMENT ON COLUMN csm.account_domains.verified_at IS 'When staff made sure that the domain is the company''s; NULL: not yet, and it counts for nothing';
COMMENT ON COLUMN csm.account_domains.created_at IS 'When the row was made';
COMMENT ON POLICY account_domains_select ON csm.account_domains IS 'Who manages contacts of the account; staff with account_manage';
COMMENT ON POLICY account_domains_write ON csm.account_domains IS 'Staff with account_manage: a customer does not vouch for himself';

-- A code is what csm made, 80 random bits, so a plain hash suffices.
CREATE TABLE csm_private.registration_codes (
    account_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    code_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT registration_codes_pkey PRIMARY KEY (account_id, tenant_id),
    CONSTRAINT registration_codes_account_fkey FOREIGN KEY (account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT registration_codes_hash_key UNIQUE (tenant_id, code_hash)
);
ALTER TABLE csm_private.registration_codes OWNER TO csm_owner;
REVOKE ALL ON csm_private.registration_codes FROM PUBLIC;
ALTER TABLE csm_private.registration_codes ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.registration_codes', '');
COMMENT ON TABLE csm_private.registration_codes IS 'The registration code of an account, as a hash; the audit log says who made it';
COMMENT ON COLUMN csm_private.registration_codes.account_id IS 'The account';
COMMENT ON COLUMN csm_private.registration_codes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_codes.code_hash IS 'As csm_private.code_hash() makes it';
COMMENT ON COLUMN csm_private.registration_codes.created_at IS 'When the code was made';

CREATE TABLE csm.registrations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    email text NOT NULL,
    email_key text GENERATED ALWAYS AS (lower(btrim(email))) STORED,
    display_name text NOT NULL,
    language text NOT NULL DEFAULT 'en',
    terms text,
    account_id bigint,
    role text,
    route text,
    invited_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at timestamptz,
    decided_at timestamptz,
    decided_by bigint,
    reason text,
    user_id bigint,
    CONSTRAINT registrations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT registrations_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT registrations_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT registrations_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT registrations_invited_by_fkey FOREIGN KEY (invited_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_decided_by_fkey FOREIGN KEY (decided_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_kind_check CHECK (kind IN ('consumer', 'contact', 'invitation')),
    CONSTRAINT registrations_state_check CHECK (state IN ('pending', 'requested', 'approved', 'rejected', 'no_longer_required')),
    CONSTRAINT registrations_route_check CHECK (route IN ('code', 'domain', 'invitation', 'staff')),
    CONSTRAINT registrations_text_check CHECK (length(display_name) BETWEEN 1 AND 200 AND length(email) <= 320
        AND length(language) <= 35 AND length(terms) <= 200 AND length(reason) <= 4000),
    CONSTRAINT registrations_account_check CHECK (CASE kind
        WHEN 'consumer' THEN num_nonnulls(account_id, role, route, invited_by) = 0
        WHEN 'invitation' THEN account_id IS NOT NULL AND role IS NOT NULL
        ELSE true END),
    CONSTRAINT registrations_requested_check CHECK (state <> 'requested' OR (account_id IS NOT NULL AND confirmed_at IS NOT NULL)),
    CONSTRAINT registrations_approved_check CHECK (state <> 'approved' OR (user_id IS NOT NULL AND confirmed_at IS NOT NULL)),
    CONSTRAINT registrations_rejected_check CHECK (state <> 'rejected' OR btrim(coalesce(reason, '')) <> ''),
    CONSTRAINT registrations_decided_check CHECK ((state IN ('pending', 'requested')) = (decided_at IS NULL))
);
-- The second of two requests of one person for one account is not required.
CREATE UNIQUE INDEX registrations_requested_idx ON csm.registrations (tenant_id, email_key, account_id) WHERE state = 'requested';
CREATE INDEX registrations_open_idx ON csm.registrations (tenant_id, email_key) WHERE state IN ('pending', 'requested');
CREATE INDEX registrations_account_idx ON csm.registrations (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX registrations_user_idx ON csm.registrations (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.registrations');
ALTER TABLE csm.registrations ALTER COLUMN email SET STATISTICS 0, ALTER COLUMN email_key SET STATISTICS 0,
    ALTER COLUMN display_name SET STATISTICS 0, ALTER COLUMN reason SET STATISTICS 0;

-- An address that nobody has proven is shown to nobody, but for who invited it.
CREATE POLICY registrations_select ON csm.registrations FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
           OR ((confirmed_at IS NOT NULL OR kind = 'invitation')
               AND (csm.account_allows(account_id, 'contact_manage')
                    OR csm.all_in(tenant_id, CASE kind WHEN 'consumer' THEN 'b2c' ELSE 'b2b' END,
                                  CASE kind WHEN 'consumer' THEN 'person_manage' ELSE 'account_manage' END))));
GRANT SELECT ON csm.registrations TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.registrations IS 'Requests of strangers to become a consumer or a contact, and invitations; written by functions only';
COMMENT ON COLUMN csm.registrations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.registrations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.registrations.kind IS 'consumer, contact (he asked) or invitation (he was asked)';
COMMENT ON COLUMN csm.registrations.state IS 'pending, requested, approved, rejected or no_longer_required; which may follow which is enforced';
COMMENT ON COLUMN csm.registrations.email IS 'Address as given';
COMMENT ON COLUMN csm.registrations.email_key IS 'Address as csm.users.email_key';
COMMENT ON COLUMN csm.registrations.display_name IS 'Name as given; of a person who is known already nothing is changed';
COMMENT ON COLUMN csm.registrations.language IS 'Language of his mail, and his own if he is new';
COMMENT ON COLUMN csm.registrations.terms IS 'Which terms he accepted; NULL: none were put to him';
COMMENT ON COLUMN csm.registrations.account_id IS 'Account to which he wants; NULL for consumers, and while staff have to find out';
COMMENT ON COLUMN csm.registrations.role IS 'Role that he gets; NULL until it is decided';
COMMENT ON COLUMN csm.registrations.route IS 'What led to the account: code, domain, invitation or staff; NULL while none is known';
COMMENT ON COLUMN csm.registrations.invited_by IS 'Who invited him; NULL where he asked himself';
COMMENT ON COLUMN csm.registrations.created_at IS 'When he registered or was invited';
COMMENT ON COLUMN csm.registrations.confirmed_at IS 'When he proved that the address is his; NULL: not yet';
COMMENT ON COLUMN csm.registrations.decided_at IS 'When it ended; NULL while open';
COMMENT ON COLUMN csm.registrations.decided_by IS 'Who decided; NULL where nobody had to';
COMMENT ON COLUMN csm.registrations.reason IS 'Reason of a rejection; it is mailed to him';
COMMENT ON COLUMN csm.registrations.user_id IS 'The person who has the persona now; NULL unless approved';
COMMENT ON POLICY registrations_select ON csm.registrations IS 'Proven ones and invitations: who manages contacts of the account, staff with account_manage (consumers: person_manage); one''s own';

CREATE TABLE csm_private.registration_tokens (
    registration_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    purpose text NOT NULL,
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT registration_tokens_pkey PRIMARY KEY (registration_id, tenant_id),
    CONSTRAINT registration_tokens_registration_fkey FOREIGN KEY (registration_id, tenant_id)
        REFERENCES csm.registrations (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT registration_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT registration_tokens_purpose_check CHECK (purpose IN ('confirm', 'invite'))
);
ALTER TABLE csm_private.registration_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.registration_tokens FROM PUBLIC;
ALTER TABLE csm_private.registration_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.registration_tokens', '');
COMMENT ON TABLE csm_private.registration_tokens IS 'The token by which a registration goes on, as a hash; gone when used';
COMMENT ON COLUMN csm_private.registration_tokens.registration_id IS 'The registration';
COMMENT ON COLUMN csm_private.registration_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_tokens.purpose IS 'confirm: proves the address; invite: accepts an invitation';
COMMENT ON COLUMN csm_private.registration_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON COLUMN csm_private.registration_tokens.expires_at IS 'From then on it is of no use';

-- States (R 2.7), whoever writes.
CREATE OR REPLACE FUNCTION csm_private.guard_registration() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'a registration begins as pending, not as %', NEW.state USING ERRCODE = '55000';
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.kind) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.kind) THEN
        RAISE EXCEPTION 'what registration % is cannot be changed', OLD.id USING ERRCODE = '55000';
    ELSIF NEW.state <> OLD.state
          AND NOT ((OLD.state, NEW.state) IN (('pending', 'rejected'), ('pending', 'no_longer_required'))
                   OR OLD.kind <> 'consumer' AND (OLD.state, NEW.state) IN (('pending', 'requested'), ('requested', 'approved'),
                                                  ('requested', 'rejected'), ('requested', 'no_longer_required'))
                   OR OLD.kind <> 'contact' AND (OLD.state, NEW.state) = ('pending', 'approved')) THEN
        RAISE EXCEPTION 'registration % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = '55000',
            DETAIL = format('It is of kind %s.', OLD.kind),
            HINT = 'A contact''s request is approved by an administrator of the account; what is decided stays so.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.guard_registration() IS
'Which state of a registration may follow which; error 55000';
CREATE TRIGGER registrations_10_states BEFORE INSERT OR UPDATE ON csm.registrations
    FOR EACH ROW EXECUTE FUNCTION csm_private.guard_registration();

-- Settings -----------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.registration_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((settings->'registration'->>name)::integer,
                CASE name WHEN 'per_source' THEN 20 WHEN 'per_email' THEN 5 WHEN 'per_account' THEN 50
                          WHEN 'confirm_hours' THEN 48 WHEN 'invite_days' THEN 14 END);
COMMENT ON FUNCTION csm_private.registration_setting(jsonb, text) IS
'per_source (registrations of a source in an hour; 20), per_email (mails to an address in a day; 5), per_account (requests, and invitations, of an account in a day; 50), confirm_hours (48) or invite_days (14; how long tokens live) from the settings of a tenant';

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_registration_check CHECK (
    (NOT settings ? 'registration'
     OR (jsonb_typeof(settings->'registration') = 'object'
         AND (settings->'registration') - '{consumers,contacts,terms,per_source,per_email,per_account,confirm_hours,invite_days}'::text[] = '{}'
         AND coalesce(jsonb_typeof(settings->'registration'->'consumers'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'registration'->'contacts'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'registration'->'terms'), 'string') = 'string'
         AND coalesce(settings->'registration'->>'per_source', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'per_email', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'per_account', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'confirm_hours', '1') ~ '^[1-9][0-9]{0,3}$'
         AND coalesce(settings->'registration'->>'invite_days', '1') ~ '^[1-9][0-9]{0,2}$')));

-- Who manages contacts ------------------------------------------------------

-- From the rows, as V1 and V5 say it; the map answers only for who is signed in.
CREATE OR REPLACE FUNCTION csm_private.contact_managers(account bigint, tenant bigint)
RETURNS TABLE (user_id bigint, contact_id bigint, account_id bigint, role text)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    WITH up AS (
        SELECT string_to_array(a.path::text, '.')::bigint[] AS ids
        FROM csm.accounts a WHERE a.id = contact_managers.account AND a.tenant_id = contact_managers.tenant
    ), served AS (
        SELECT r.partner_account_id AS id
        FROM csm.account_relationships r, up
        WHERE r.tenant_id = contact_managers.tenant AND r.type = 'partner_of' AND r.administers
          AND (r.customer_account_id = contact_managers.account
               OR r.include_descendants AND r.customer_account_id = ANY (up.ids))
          AND csm_private.is_valid(r.valid_during, statement_timestamp())
    )
    SELECT DISTINCT k.user_id, k.id, k.account_id, k.role
    FROM csm.contacts k
    JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = k.tenant_id AND p.action = 'contact_manage'
    JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id AND u.enabled
    WHERE k.tenant_id = contact_managers.tenant AND k.login_enabled
      AND csm_private.is_valid(k.valid_during, statement_timestamp())
      AND (p.reach = 'account' AND k.account_id = contact_managers.account
           OR p.reach = 'subtree' AND k.account_id = ANY ((SELECT up.ids FROM up)::bigint[])
           OR p.reach = 'related' AND k.account_id IN (SELECT s.id FROM served s))
$$;
COMMENT ON FUNCTION csm_private.contact_managers(bigint, bigint) IS
'Contacts who manage the contacts of an account: its own administrators, those of its ancestors, those of partners that administer it';

CREATE OR REPLACE FUNCTION csm_private.manages_contacts(account_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.account_allows(a.id, 'contact_manage') OR csm.all_in(a.tenant_id, 'b2b', 'account_manage'), false)
    FROM csm.accounts a WHERE a.id = manages_contacts.account_id AND a.tenant_id = csm.current_tenant_id()
$$;
COMMENT ON FUNCTION csm_private.manages_contacts(bigint) IS
'Whether the caller manages the contacts of the account, as its administrator or as staff; NULL for a missing account';

CREATE OR REPLACE FUNCTION csm_private.may_assign_role(account_id bigint, role text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_or(
               csm.all_in(r.tenant_id, 'b2b', 'account_manage')
               OR CASE WHEN t.settings ? 'assignable_roles' THEN t.settings->'assignable_roles' ? r.role
                       ELSE r.role IN ('customer', 'customer_admin', 'partner', 'partner_admin') END
                  AND csm_private.role_within(may_assign_role.account_id, r.role)), false)
    FROM csm.roles r JOIN csm.tenants t ON t.id = r.tenant_id
    WHERE r.role = may_assign_role.role AND r.tenant_id = csm.current_tenant_id() AND r.kind = 'contact'
$$;
COMMENT ON FUNCTION csm_private.may_assign_role(bigint, text) IS
'Whether the caller may give a contact of the account this role (R A14). Staff with account_manage: any contact role. Who manages its contacts: one that the tenant''s settings list (assignable_roles; by default customer, customer_admin, partner, partner_admin) and that is not above his own, as csm_private.role_within() says';

-- Helpers ------------------------------------------------------------------

-- One plain address, and nothing that a header or an envelope would read
-- otherwise; as the CHECK of csm.outbox.
CREATE OR REPLACE FUNCTION csm_private.is_address(email text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(email) <= 320
    AND btrim(email) ~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$';
COMMENT ON FUNCTION csm_private.is_address(text) IS 'Whether mail can be sent there; NULL for NULL';

CREATE OR REPLACE FUNCTION csm_private.is_name(display_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN btrim(display_name) <> '' AND length(display_name) <= 200 AND display_name !~ '[[:cntrl:]]';
COMMENT ON FUNCTION csm_private.is_name(text) IS 'Whether it can be a person''s name; NULL for NULL';

CREATE OR REPLACE FUNCTION csm_private.is_language(language text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(language) <= 35 AND language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$';
COMMENT ON FUNCTION csm_private.is_language(text) IS 'Whether it is a language tag as csm.users takes it; NULL for NULL';

CREATE OR REPLACE FUNCTION csm_private.code_hash(tenant_id bigint, code text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(tenant_id || ' ' || translate(upper(code), 'OIL -', '011'), 'UTF8'));
COMMENT ON FUNCTION csm_private.code_hash(bigint, text) IS
'SHA-256 of a registration code within its tenant; case, blanks and hyphens do not count, O is read as 0, I and L as 1';

CREATE OR REPLACE FUNCTION csm_private.issue_registration_token(r csm.registrations, purpose text, expires_at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.new_token();
BEGIN
    INSERT INTO csm_private.registration_tokens (registration_id, tenant_id, purpose, token_hash, expires_at)
    VALUES (r.id, r.tenant_id, issue_registration_token.purpose, csm_private.token_hash(token), issue_registration_token.expires_at);
    PERFORM csm_private.set_timer(r.tenant_id, 'registration', r.id, NULL, issue_registration_token.expires_at);
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.issue_registration_token(csm.registrations, text, timestamptz) IS
'Makes the token by which a registration goes on, and the timer that ends it; the caller mails it';

CREATE OR REPLACE FUNCTION csm_private.mail_registration(r csm.registrations, kind text, details jsonb DEFAULT '{}', expires_at timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.send_mail((r).tenant_id, kind, (r).email, (r).user_id, (r).language,
        jsonb_strip_nulls(jsonb_build_object('registration_id', (r).id, 'display_name', (r).display_name,
            'account', (SELECT a.name FROM csm.accounts a WHERE a.id = (r).account_id AND a.tenant_id = (r).tenant_id
                        AND (r).state IN ('approved', 'rejected') OR (r).kind = 'invitation' AND a.id = (r).account_id AND a.tenant_id = (r).tenant_id)))
        || details, expires_at)
$$;
COMMENT ON FUNCTION csm_private.mail_registration(csm.registrations, text, jsonb, timestamptz) IS
'Mails something to whom a registration is about; the account''s name only where he is taken in, rejected or invited';

-- With a registration all open ones of its address are locked, in the order of
-- ids: who decides one may end the others, and two tokens of one person are used
-- one after the other.
CREATE OR REPLACE FUNCTION csm_private.lock_registration(INOUT r csm.registrations)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM csm.registrations x
    WHERE x.tenant_id = r.tenant_id AND (x.id = r.id OR x.email_key = r.email_key AND x.state IN ('pending', 'requested'))
    ORDER BY x.id FOR NO KEY UPDATE;
    SELECT x.* INTO r FROM csm.registrations x WHERE x.id = r.id AND x.tenant_id = r.tenant_id;
END $$;
COMMENT ON FUNCTION csm_private.lock_registration(csm.registrations) IS
'Locks a registration and what else is open for its address; the row as it is then';

CREATE OR REPLACE FUNCTION csm_private.claim_registration(token text, purpose text, OUT r csm.registrations)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hash CONSTANT bytea := csm_private.token_hash(left(token, 100));
BEGIN
    SELECT x.* INTO r FROM csm_private.registration_tokens s
    JOIN csm.registrations x ON x.id = s.registration_id AND x.tenant_id = s.tenant_id
    JOIN csm.tenants t ON t.id = x.tenant_id AND t.enabled
    WHERE s.token_hash = hash AND s.purpose = claim_registration.purpose AND s.expires_at > clock_timestamp();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    r := csm_private.lock_registration(r);
    -- used or withdrawn while this one waited
    PERFORM FROM csm_private.registration_tokens s WHERE s.token_hash = hash FOR UPDATE;
    IF NOT FOUND THEN
        r := NULL;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.claim_registration(text, text) IS
'The registration whose unexpired token this is, locked; NULL for any other token';

CREATE OR REPLACE FUNCTION csm_private.end_registration_token(r csm.registrations) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM csm_private.registration_tokens s WHERE s.registration_id = (r).id AND s.tenant_id = (r).tenant_id;
    SELECT csm_private.set_timer((r).tenant_id, 'registration', (r).id, NULL, NULL)
$$;
COMMENT ON FUNCTION csm_private.end_registration_token(csm.registrations) IS 'Takes back the token of a registration and its timer';

-- One row a human: a known address gives its person, whatever name he gave now.
CREATE OR REPLACE FUNCTION csm_private.person_of(r csm.registrations, OUT person csm.users, OUT is_new boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.users (tenant_id, display_name, email, language)
    VALUES (r.tenant_id, r.display_name, btrim(r.email), r.language)
    ON CONFLICT (tenant_id, email_key) DO NOTHING
    RETURNING * INTO person;
    is_new := FOUND;
    IF NOT is_new THEN
        SELECT * INTO person FROM csm.users u WHERE u.tenant_id = r.tenant_id AND u.email_key = r.email_key FOR NO KEY UPDATE;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.person_of(csm.registrations) IS
'The person of the address, locked; made where nobody has it';

-- Gives the contact persona, unless he has it: then nothing is changed, least
-- of all a login that an administrator has disabled.
CREATE OR REPLACE FUNCTION csm_private.add_contact(person bigint, tenant bigint, account bigint, role text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM csm.contacts k
               WHERE k.user_id = person AND k.account_id = account AND k.tenant_id = tenant
                 AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(clock_timestamp(), NULL)) THEN
        RETURN false;
    END IF;
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home, valid_during)
    VALUES (tenant, person, account, add_contact.role,
            NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = person AND k.tenant_id = tenant AND k.is_home
                          AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(clock_timestamp(), NULL)),
            tstzrange(clock_timestamp(), NULL));
    RETURN true;
END $$;
COMMENT ON FUNCTION csm_private.add_contact(bigint, bigint, bigint, text) IS
'Makes the person, whose row is locked, a contact of the account; false where he is one already';

CREATE OR REPLACE FUNCTION csm_private.decide_registration(r csm.registrations, state text, person bigint DEFAULT NULL, reason text DEFAULT NULL)
RETURNS csm.registrations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    x csm.registrations;
    other csm.registrations;
BEGIN
    UPDATE csm.registrations u
    SET state = decide_registration.state, user_id = coalesce(person, u.user_id), reason = decide_registration.reason,
        role = coalesce(u.role, r.role), confirmed_at = coalesce(u.confirmed_at, r.confirmed_at),
        decided_at = clock_timestamp(), decided_by = csm.current_user_id()
    WHERE u.id = r.id AND u.tenant_id = r.tenant_id
    RETURNING * INTO x;
    PERFORM csm_private.end_registration_token(x);
    IF x.state = 'approved' THEN
        -- what else the same person has asked of the same account
        FOR other IN
            UPDATE csm.registrations u
            SET state = 'no_longer_required', decided_at = clock_timestamp()
            WHERE u.tenant_id = x.tenant_id AND u.email_key = x.email_key AND u.id <> x.id
              AND u.state IN ('pending', 'requested') AND (u.kind = 'consumer') = (x.kind = 'consumer')
              AND u.account_id IS NOT DISTINCT FROM x.account_id
            RETURNING *
        LOOP
            PERFORM csm_private.end_registration_token(other);
        END LOOP;
    END IF;
    RETURN x;
END $$;
COMMENT ON FUNCTION csm_private.decide_registration(csm.registrations, text, bigint, text) IS
'Ends a registration, whose row is locked, and where it is approved the other open ones of the same address for the same account';

-- The request goes to everybody who manages contacts of the account. Beyond the
-- account's limit it waits for staff instead.
CREATE OR REPLACE FUNCTION csm_private.request_registration(r csm.registrations) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
BEGIN
    PERFORM csm_private.end_registration_token(r);
    UPDATE csm.registrations u
    SET state = 'requested', account_id = r.account_id, route = r.route, confirmed_at = r.confirmed_at
    WHERE u.id = r.id AND u.tenant_id = r.tenant_id;
    FOR m IN SELECT DISTINCT u.id, u.email, u.language, a.name
             FROM csm_private.contact_managers(r.account_id, r.tenant_id) c
             JOIN csm.users u ON u.id = c.user_id AND u.tenant_id = r.tenant_id AND u.email IS NOT NULL
             JOIN csm.accounts a ON a.id = r.account_id AND a.tenant_id = r.tenant_id
    LOOP
        PERFORM csm_private.send_mail(r.tenant_id, 'registration_requested', m.email, m.id, m.language,
            jsonb_build_object('registration_id', r.id, 'display_name', r.display_name, 'email', r.email, 'account', m.name));
    END LOOP;
    PERFORM csm_private.audit('registration_requested', csm.current_user_id(), NULL, r.account_id,
        jsonb_build_object('registration_id', r.id, 'route', r.route), r.tenant_id);
END $$;
COMMENT ON FUNCTION csm_private.request_registration(csm.registrations) IS
'Puts a proven registration before the administrators of its account and mails them';

CREATE OR REPLACE FUNCTION csm_private.is_superfluous(r csm.registrations) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id
                   WHERE u.tenant_id = (r).tenant_id AND u.email_key = (r).email_key AND k.account_id = (r).account_id
                     AND csm_private.is_valid(k.valid_during, statement_timestamp()))
        OR EXISTS (SELECT FROM csm.registrations x
                   WHERE x.tenant_id = (r).tenant_id AND x.email_key = (r).email_key AND x.account_id = (r).account_id
                     AND x.state = 'requested' AND x.id <> (r).id)
$$;
COMMENT ON FUNCTION csm_private.is_superfluous(csm.registrations) IS
'Whether the person of the address is a contact of the account already, or another request of his is before its administrators';

CREATE OR REPLACE FUNCTION csm_private.still_manages(person bigint, account bigint, tenant bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm_private.contact_managers(account, tenant) m WHERE m.user_id = person)
        OR EXISTS (SELECT FROM csm.user_roles a
                   JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = a.tenant_id
                    AND p.action = 'account_manage' AND p.reach = 'all'
                   JOIN csm.users u ON u.id = a.user_id AND u.tenant_id = a.tenant_id AND u.enabled
                   WHERE a.user_id = person AND a.tenant_id = tenant AND (a.branches IS NULL OR 'b2b' = ANY (a.branches))
                     AND csm_private.is_valid(a.valid_during, statement_timestamp()))
$$;
COMMENT ON FUNCTION csm_private.still_manages(bigint, bigint, bigint) IS
'Whether the person, who need not be signed in, manages the contacts of the account now';

-- First credentials ----------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.has_credentials(person csm.users) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (person).login_role IS NOT NULL OR (person).external_id IS NOT NULL
        OR EXISTS (SELECT FROM csm.passwords p WHERE p.user_id = (person).id AND p.tenant_id = (person).tenant_id)
        OR EXISTS (SELECT FROM csm.external_identities e WHERE e.user_id = (person).id AND e.tenant_id = (person).tenant_id)
$$;
COMMENT ON FUNCTION csm_private.has_credentials(csm.users) IS
'Whether the person signs in somehow already, or comes from a directory that will let him: then registering gives him no password';

CREATE OR REPLACE FUNCTION csm_private.first_password_fault(r csm.registrations, password text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN password IS NOT NULL THEN
        coalesce(csm_private.password_fault((r).tenant_id, NULL, password),
                 CASE WHEN t.folded IN ((r).email_key, lower((r).display_name))
                        OR length(split_part((r).email_key, '@', 1)) >= 4 AND strpos(t.folded, split_part((r).email_key, '@', 1)) > 0
                      THEN 'denied' END) END
    FROM (SELECT lower(csm_private.password_text(password))) t(folded)
$$;
COMMENT ON FUNCTION csm_private.first_password_fault(csm.registrations, text) IS
'As csm_private.password_fault(), for somebody who is no person yet; NULL for no password';

-- The address is proven and nobody has to decide (any more).
CREATE OR REPLACE FUNCTION csm_private.complete_registration(r csm.registrations, password text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found CONSTANT record := csm_private.person_of(r);
    person CONSTANT csm.users := found.person;
    added boolean := true;
BEGIN
    IF NOT person.enabled THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
        RETURN false;
    END IF;
    IF password IS NOT NULL AND NOT csm_private.has_credentials(person) AND (csm_private.password_policy(r.tenant_id)).allowed THEN
        PERFORM csm_private.set_password(r.tenant_id, person.id, password);
    END IF;
    IF r.kind = 'consumer' THEN
        INSERT INTO csm.consumers (user_id, tenant_id) VALUES (person.id, r.tenant_id) ON CONFLICT DO NOTHING;
    ELSE
        added := csm_private.add_contact(person.id, r.tenant_id, r.account_id, r.role);
    END IF;
    r := csm_private.decide_registration(r, CASE WHEN added THEN 'approved' ELSE 'no_longer_required' END, person.id);
    PERFORM csm_private.mail_registration(r, 'registration_welcome', jsonb_build_object('known', NOT found.is_new));
    PERFORM csm_private.audit(CASE r.kind WHEN 'consumer' THEN 'consumer_registered' ELSE 'invitation_accepted' END,
        person.id, person.id, r.account_id, jsonb_build_object('registration_id', r.id, 'known', NOT found.is_new), r.tenant_id);
    RETURN true;
END $$;
COMMENT ON FUNCTION csm_private.complete_registration(csm.registrations, text) IS
'Gives the person of a proven address the persona, and a password where he has no credentials; false where he is disabled, and nothing is given';

-- A proven request of a contact. What leads to no account waits for staff, and so
-- does what is too much for one account.
CREATE OR REPLACE FUNCTION csm_private.forward_registration(r csm.registrations) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = r.account_id AND a.tenant_id = r.tenant_id AND a.active)
       OR NOT csm_private.attempt('registration account', r.tenant_id || ' ' || r.account_id,
                  (SELECT csm_private.registration_setting(t.settings, 'per_account') FROM csm.tenants t WHERE t.id = r.tenant_id), '1 day') THEN
        PERFORM csm_private.end_registration_token(r);
        UPDATE csm.registrations u SET confirmed_at = r.confirmed_at, account_id = NULL, route = NULL
        WHERE u.id = r.id AND u.tenant_id = r.tenant_id;
        PERFORM csm_private.audit('registration_pending', NULL, NULL, NULL, jsonb_build_object('registration_id', r.id), r.tenant_id);
    ELSIF csm_private.is_superfluous(r) THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
    ELSE
        PERFORM csm_private.request_registration(r);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.forward_registration(csm.registrations) IS
'Puts a proven request before the administrators of its account, or leaves it pending for staff';
-- Registering, confirming, deciding, inviting: what people call.
--
-- What is refused is answered by a status, so that the refusal stands in the
-- audit log: an error would take it back. It says no more than that; the log has
-- the reason. Rates are counted whether or not the caller commits.

CREATE OR REPLACE FUNCTION csm_private.refuse_registration(tenant_id bigint, what text, reason text,
    account_id bigint DEFAULT NULL, role text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    IF csm_private.attempt('registration refusal', coalesce(tenant_id, 0) || ' ' || coalesce(me, 0), 1000, '1 hour') THEN
        -- what somebody tried elsewhere is no business of an account that he named
        PERFORM csm_private.audit('registration_refused', me, NULL,
            (SELECT a.id FROM csm.accounts a WHERE a.id = refuse_registration.account_id AND csm_private.manages_contacts(a.id)),
            jsonb_strip_nulls(jsonb_build_object('function', what, 'reason', reason, 'role', left(role, 63), 'account_id', account_id)), tenant_id);
    END IF;
    RETURN 'refused';
END $$;
COMMENT ON FUNCTION csm_private.refuse_registration(bigint, text, text, bigint, text) IS
'Records why something was refused, at most a thousand times an hour for each person and for visitors together, and returns refused';

-- Everything is done the same way whoever the address belongs to; the code is
-- looked up always, and what came of it is told to nobody but those who decide.
CREATE OR REPLACE FUNCTION csm_private.begin_registration(kind text, email text, display_name text, captcha text, language text,
    source text, terms text, code text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.guest_tenant_id(), csm.current_tenant_id());
    caller CONSTANT text := left(csm_private.source_of(source), 200);
    settings jsonb;
    reason text;
    r csm.registrations;
    until timestamptz;
BEGIN
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant AND t.enabled;
    IF NOT FOUND THEN
        RETURN 'refused';
    END IF;
    reason := CASE
        WHEN settings->'registration'->>(kind || 's') = 'false' THEN 'closed'
        WHEN csm_private.is_address(email) IS NOT TRUE THEN 'email'
        WHEN csm_private.is_name(display_name) IS NOT TRUE THEN 'display_name'
        WHEN csm_private.is_language(language) IS NOT TRUE THEN 'language'
        WHEN length(terms) > 200 OR settings->'registration'->>'terms' <> coalesce(terms, '') THEN 'terms'
        WHEN length(code) > 100 THEN 'code'
        WHEN NOT csm_private.attempt('registration', tenant || ' ' || caller,
                                     csm_private.registration_setting(settings, 'per_source'), '1 hour') THEN 'source_limit'
        WHEN NOT csm_private.captcha_passed(tenant, captcha, caller) THEN 'captcha'
        WHEN NOT csm_private.attempt('registration mail', tenant || ' ' || lower(btrim(email)),
                                     csm_private.registration_setting(settings, 'per_email'), '1 day') THEN 'address_limit' END;
    IF reason IS NOT NULL THEN
        RETURN csm_private.refuse_registration(tenant, 'register_' || kind, reason);
    END IF;
    IF code IS NOT NULL THEN
        SELECT c.account_id, 'code' INTO r.account_id, r.route
        FROM csm_private.registration_codes c JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id AND a.active
        WHERE c.tenant_id = tenant AND c.code_hash = csm_private.code_hash(tenant, code);
    ELSIF kind = 'contact' THEN
        SELECT d.account_id, 'domain' INTO r.account_id, r.route
        FROM csm.account_domains d JOIN csm.accounts a ON a.id = d.account_id AND a.tenant_id = d.tenant_id AND a.active
        WHERE d.tenant_id = tenant AND d.domain = split_part(lower(btrim(email)), '@', 2) AND d.verified_at IS NOT NULL;
    END IF;
    INSERT INTO csm.registrations (tenant_id, kind, email, display_name, language, terms, account_id, route)
    VALUES (tenant, kind, btrim(email), btrim(display_name), language, terms, r.account_id, r.route)
    RETURNING * INTO r;
    until := clock_timestamp() + interval '1 hour' * csm_private.registration_setting(settings, 'confirm_hours');
    PERFORM csm_private.mail_registration(r, 'registration_confirm',
        jsonb_build_object('kind', kind, 'token', csm_private.issue_registration_token(r, 'confirm', until)), until);
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm_private.begin_registration(text, text, text, text, text, text, text, text) IS
'Writes a pending registration and the mail that proves its address; accepted, or refused for malformed or missing values, terms not accepted, a captcha not passed, or too many';

CREATE OR REPLACE FUNCTION csm.register_consumer(email text, display_name text, captcha text DEFAULT NULL, language text DEFAULT 'en',
    source text DEFAULT NULL, terms text DEFAULT NULL, OUT status text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.begin_registration('consumer', email, display_name, captcha, language, source, terms, NULL)
$$;
COMMENT ON FUNCTION csm.register_consumer(text, text, text, text, text, text) IS
'A visitor asks to become a consumer. accepted: a mail with a token went to the address, whoever has it; refused: malformed, captcha not passed, terms of the tenant not accepted, or too many from this source or to this address. captcha: payload of the widget; source: address of the visitor, where a backend stands between (NULL: that of the connection); terms: those he accepted. Raises nothing';

CREATE OR REPLACE FUNCTION csm.register_contact(email text, display_name text, code text DEFAULT NULL, captcha text DEFAULT NULL,
    language text DEFAULT 'en', source text DEFAULT NULL, terms text DEFAULT NULL, OUT status text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.begin_registration('contact', email, display_name, captcha, language, source, terms, nullif(btrim(code), ''))
$$;
COMMENT ON FUNCTION csm.register_contact(text, text, text, text, text, text, text) IS
'A visitor asks to become a contact of the account whose registration code he gives, or without one of the account to which the domain of his address belongs. Once he has proven the address the administrators of the account are asked; staff, where code or domain lead nowhere. Answers and other arguments as csm.register_consumer()';

CREATE OR REPLACE FUNCTION csm.confirm_registration(token text, password text DEFAULT NULL, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_registration(token, 'confirm');
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.guest_tenant_id(), 'confirm_registration', 'token');
        RETURN;
    END IF;
    r.confirmed_at := clock_timestamp();
    IF r.kind = 'contact' THEN
        PERFORM csm_private.forward_registration(r);
        status := 'confirmed';
        RETURN;
    END IF;
    status := csm_private.first_password_fault(r, password);
    IF status IS NULL THEN
        status := CASE WHEN csm_private.complete_registration(r, password) THEN 'confirmed'
                       ELSE csm_private.refuse_registration(r.tenant_id, 'confirm_registration', 'disabled') END;
    END IF;
END $$;
COMMENT ON FUNCTION csm.confirm_registration(text, text) IS
'Proves the address of a registration with the token that was mailed there. A consumer is one from then on; a known person gets the persona, nothing else about him changes. password: the first one of a consumer who has no credentials; NULL for who signs in through a provider. A contact''s request goes to those who decide, with the same answer wherever it goes. status: confirmed; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used or expired. Pass both as bind parameters';

CREATE OR REPLACE FUNCTION csm.accept_invitation(token text, password text DEFAULT NULL, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_registration(token, 'invite');
BEGIN
    IF r.id IS NULL OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = r.account_id AND a.tenant_id = r.tenant_id AND a.active) THEN
        status := csm_private.refuse_registration(coalesce(r.tenant_id, csm.guest_tenant_id()), 'accept_invitation',
                                                  CASE WHEN r.id IS NULL THEN 'token' ELSE 'account' END);
        RETURN;
    END IF;
    r.confirmed_at := clock_timestamp();
    IF NOT csm_private.still_manages(r.invited_by, r.account_id, r.tenant_id) THEN
        -- who invited him could not do so today: those decide who can
        PERFORM csm_private.request_registration(r);
        status := 'accepted';
        RETURN;
    END IF;
    status := csm_private.first_password_fault(r, password);
    IF status IS NULL THEN
        status := CASE WHEN csm_private.complete_registration(r, password) THEN 'accepted'
                       ELSE csm_private.refuse_registration(r.tenant_id, 'accept_invitation', 'disabled') END;
    END IF;
END $$;
COMMENT ON FUNCTION csm.accept_invitation(text, text) IS
'Accepts an invitation with the token that was mailed: the person of that address, made where nobody has it, becomes a contact of the account. password: his first one, where he has no credentials; NULL for who signs in through a provider. status: accepted; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used, expired or withdrawn. Pass both as bind parameters';

-- Administrators ------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.claim_decision(registration_id bigint) RETURNS csm.registrations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations;
BEGIN
    SELECT x.* INTO r FROM csm.registrations x
    WHERE x.id = claim_decision.registration_id AND x.tenant_id = csm.current_tenant_id()
      AND x.kind <> 'consumer' AND (x.confirmed_at IS NOT NULL OR x.kind = 'invitation');
    IF NOT FOUND OR csm_private.manages_contacts(r.account_id) IS NOT TRUE
       AND csm.all_in(r.tenant_id, 'b2b', 'account_manage') IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    RETURN csm_private.lock_registration(r);
END $$;
COMMENT ON FUNCTION csm_private.claim_decision(bigint) IS
'A proven request of a contact, or an invitation, that the caller may decide, its row locked; NULL for a missing and a hidden one';

CREATE OR REPLACE FUNCTION csm.approve_registration(registration_id bigint, role text DEFAULT 'customer', OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
    wanted CONSTANT text := coalesce(r.role, approve_registration.role);
    person csm.users;
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'approve_registration', 'registration');
        RETURN;
    ELSIF r.state IN ('approved', 'no_longer_required') THEN
        status := r.state;
        RETURN;
    ELSIF r.state <> 'requested' THEN
        RAISE EXCEPTION 'registration % cannot be approved', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state),
            HINT = CASE r.state WHEN 'pending' THEN 'Staff first say which account it is for: csm.assign_registration().'
                                ELSE 'What was decided stays so.' END;
    ELSIF NOT csm_private.may_assign_role(r.account_id, wanted) THEN
        status := csm_private.refuse_registration(r.tenant_id, 'approve_registration', 'role', r.account_id, wanted);
        RETURN;
    END IF;
    r.role := wanted;
    person := (csm_private.person_of(r)).person;
    IF csm_private.add_contact(person.id, r.tenant_id, r.account_id, wanted) THEN
        r := csm_private.decide_registration(r, 'approved', person.id);
        PERFORM csm_private.mail_registration(r, 'registration_approved');
        IF NOT csm_private.has_credentials(person) AND (csm_private.password_policy(r.tenant_id)).allowed THEN
            PERFORM csm_private.issue_password_reset(r.tenant_id, person.id, 'first_password',
                interval '1 day' * (SELECT csm_private.registration_setting(t.settings, 'invite_days') FROM csm.tenants t WHERE t.id = r.tenant_id));
        END IF;
    ELSE
        r := csm_private.decide_registration(r, 'no_longer_required');
    END IF;
    PERFORM csm_private.audit('registration_approved', csm.current_user_id(), person.id, r.account_id,
        jsonb_build_object('registration_id', r.id, 'role', wanted, 'state', r.state));
    status := r.state;
END $$;
COMMENT ON FUNCTION csm.approve_registration(bigint, text) IS
'Makes whoever asked a contact of the account with that role, and mails him; without credentials he gets a second mail, with a token for csm.reset_password(). One approval suffices: a second one changes nothing. For who manages contacts of the account, and staff with account_manage. status: approved; no_longer_required when he is a contact there already; refused (recorded): no such registration, or a role that is not the caller''s to give. Error 55000 when it is neither requested nor approved';

CREATE OR REPLACE FUNCTION csm.reject_registration(registration_id bigint, reason text, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'reject_registration', 'registration');
        RETURN;
    ELSIF btrim(coalesce(reject_registration.reason, '')) = '' OR length(reject_registration.reason) > 4000 THEN
        RAISE EXCEPTION 'a rejection needs a reason of at most 4,000 characters' USING ERRCODE = '22023',
            HINT = 'It is mailed to whom it concerns.';
    ELSIF r.state NOT IN ('pending', 'requested') THEN
        RAISE EXCEPTION 'registration % cannot be rejected', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state), HINT = 'What was decided stays so.';
    END IF;
    r := csm_private.decide_registration(r, 'rejected', NULL, btrim(reject_registration.reason));
    IF r.kind = 'contact' THEN
        PERFORM csm_private.mail_registration(r, 'registration_rejected', jsonb_build_object('reason', r.reason));
    END IF;
    PERFORM csm_private.audit(CASE r.kind WHEN 'contact' THEN 'registration_rejected' ELSE 'invitation_withdrawn' END,
        csm.current_user_id(), NULL, r.account_id, jsonb_build_object('registration_id', r.id));
    status := r.state;
END $$;
COMMENT ON FUNCTION csm.reject_registration(bigint, text) IS
'Rejects a request with a reason, which is mailed, or withdraws an invitation. Callers as csm.approve_registration(); of requests without an account, staff. status: rejected, or refused (recorded): no such registration. Errors: 22023 no reason, 55000 decided already';

CREATE OR REPLACE FUNCTION csm.assign_registration(registration_id bigint, account_id bigint, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
BEGIN
    IF csm.all_in(r.tenant_id, 'b2b', 'account_manage') IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = assign_registration.account_id AND a.tenant_id = r.tenant_id AND a.active) THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'assign_registration',
                                                  CASE WHEN r.id IS NULL THEN 'registration' ELSE 'account' END, assign_registration.account_id);
        RETURN;
    ELSIF r.state <> 'pending' OR r.kind <> 'contact' THEN
        RAISE EXCEPTION 'registration % is not waiting for an account', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state);
    END IF;
    r.account_id := assign_registration.account_id;
    r.route := 'staff';
    IF csm_private.is_superfluous(r) THEN
        status := (csm_private.decide_registration(r, 'no_longer_required')).state;
    ELSE
        PERFORM csm_private.request_registration(r);
        status := 'requested';
    END IF;
END $$;
COMMENT ON FUNCTION csm.assign_registration(bigint, bigint) IS
'Staff say which account a request is for that led nowhere; its administrators are asked then. status: requested; no_longer_required when he is a contact there already; refused (recorded): no such registration or active account, or not staff with account_manage. Error 55000 when it is not pending';

CREATE OR REPLACE FUNCTION csm.invite_contact(account_id bigint, email text, display_name text, role text DEFAULT 'customer',
    language text DEFAULT 'en', OUT status text, OUT registration_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    settings jsonb;
    r csm.registrations;
    until timestamptz;
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = invite_contact.account_id AND a.tenant_id = tenant AND a.active) THEN
        status := csm_private.refuse_registration(tenant, 'invite_contact', 'account', invite_contact.account_id, role);
        RETURN;
    ELSIF csm_private.may_assign_role(account_id, role) IS NOT TRUE THEN
        status := csm_private.refuse_registration(tenant, 'invite_contact', 'role', invite_contact.account_id, role);
        RETURN;
    ELSIF csm_private.is_address(email) IS NOT TRUE THEN
        RAISE EXCEPTION 'invalid e-mail address %', coalesce(quote_literal(email), 'NULL') USING ERRCODE = '22023',
            HINT = 'Give one plain address, without a name.';
    ELSIF csm_private.is_name(display_name) IS NOT TRUE THEN
        RAISE EXCEPTION 'a name has 1 to 200 characters, none of them a control character' USING ERRCODE = '22023';
    ELSIF csm_private.is_language(language) IS NOT TRUE THEN
        RAISE EXCEPTION 'invalid language tag %', coalesce(quote_literal(language), 'NULL') USING ERRCODE = '22023',
            HINT = 'A tag as in BCP 47, for example en or pt-BR.';
    END IF;
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant;
    IF NOT csm_private.attempt('invitation', tenant || ' ' || account_id, csm_private.registration_setting(settings, 'per_account'), '1 day')
       OR NOT csm_private.attempt('registration mail', tenant || ' ' || lower(btrim(email)),
                                  csm_private.registration_setting(settings, 'per_email'), '1 day') THEN
        RAISE EXCEPTION 'too many invitations' USING ERRCODE = 'SM007',
            DETAIL = 'The account has sent as many as it may in a day, or that address has got as many mails.',
            HINT = 'Try again later, or ask the service desk.';
    END IF;
    INSERT INTO csm.registrations (tenant_id, kind, email, display_name, language, account_id, role, route, invited_by)
    VALUES (tenant, 'invitation', btrim(email), btrim(display_name), language, account_id, role, 'invitation', csm.current_user_id())
    RETURNING * INTO r;
    until := clock_timestamp() + interval '1 day' * csm_private.registration_setting(settings, 'invite_days');
    PERFORM csm_private.mail_registration(r, 'invitation',
        jsonb_build_object('token', csm_private.issue_registration_token(r, 'invite', until)), until);
    PERFORM csm_private.audit('contact_invited', csm.current_user_id(), NULL, account_id,
        jsonb_build_object('registration_id', r.id, 'role', role));
    status := 'invited';
    registration_id := r.id;
END $$;
COMMENT ON FUNCTION csm.invite_contact(bigint, text, text, text, text) IS
'Invites somebody to become a contact of the account: a mail with a token goes to the address, whoever has it. For who manages contacts of the account, and staff with account_manage; csm.reject_registration() withdraws it. status: invited, or refused (recorded): no such active account of his, or a role that is not his to give. Errors: 22023 malformed e-mail, name or language; SM007 too many';

CREATE OR REPLACE FUNCTION csm.rotate_registration_code(account_id bigint, withdraw boolean DEFAULT false, OUT status text, OUT code text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    random bytea;
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE THEN
        status := csm_private.refuse_registration(tenant, 'rotate_registration_code', 'account', rotate_registration_code.account_id);
        RETURN;
    END IF;
    IF withdraw THEN
        DELETE FROM csm_private.registration_codes c WHERE c.account_id = rotate_registration_code.account_id AND c.tenant_id = tenant;
    ELSE
        random := csm_private.token_hash(csm_private.new_token());
        -- 16 of 32 signs that nobody confuses
        SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (get_byte(random, i) & 31) + 1, 1)
                          || CASE WHEN i IN (3, 7, 11) THEN '-' ELSE '' END, '' ORDER BY i)
          INTO code FROM generate_series(0, 15) i;
        INSERT INTO csm_private.registration_codes AS c (account_id, tenant_id, code_hash)
        VALUES (rotate_registration_code.account_id, tenant, csm_private.code_hash(tenant, code))
        ON CONFLICT ON CONSTRAINT registration_codes_pkey
        DO UPDATE SET code_hash = excluded.code_hash, created_at = clock_timestamp();
    END IF;
    PERFORM csm_private.audit(CASE WHEN withdraw THEN 'registration_code_withdrawn' ELSE 'registration_code_rotated' END,
        csm.current_user_id(), NULL, account_id);
    status := CASE WHEN withdraw THEN 'withdrawn' ELSE 'rotated' END;
END $$;
COMMENT ON FUNCTION csm.rotate_registration_code(bigint, boolean) IS
'A new registration code for the account, shown this once; the one before counts no more, but for registrations begun with it. withdraw: no code from now on. For who manages contacts of the account, and staff with account_manage. status: rotated, withdrawn, or refused (recorded): no such account of his';

-- Handler of timers of kind registration: an address that nobody has proven is
-- somebody else's affair and goes.
CREATE OR REPLACE FUNCTION csm_private.due_registration(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations;
BEGIN
    SELECT x.* INTO r FROM csm_private.registration_tokens s
    JOIN csm.registrations x ON x.id = s.registration_id AND x.tenant_id = s.tenant_id
    WHERE s.registration_id = object_id AND s.tenant_id = due_registration.tenant_id AND s.expires_at <= at
    FOR UPDATE OF x;
    IF NOT FOUND THEN
        RETURN;
    ELSIF r.kind <> 'invitation' AND r.confirmed_at IS NULL THEN
        DELETE FROM csm.registrations x WHERE x.id = r.id AND x.tenant_id = r.tenant_id;
    ELSIF r.state = 'pending' THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
    ELSE
        PERFORM csm_private.end_registration_token(r);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_registration(bigint, bigint, timestamptz) IS
'When the token of a registration has expired: what was never proven is deleted, an invitation ends as no_longer_required';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname IN ('csm', 'csm_private')
               AND p.proname IN ('guard_registration', 'registration_setting', 'contact_managers', 'manages_contacts', 'may_assign_role',
                                 'code_hash', 'issue_registration_token', 'mail_registration', 'lock_registration', 'claim_registration', 'end_registration_token',
                                 'person_of', 'add_contact', 'decide_registration', 'request_registration', 'is_superfluous', 'still_manages',
                                 'has_credentials', 'first_password_fault', 'complete_registration', 'forward_registration',
                                 'refuse_registration', 'is_address', 'is_name', 'is_language',
                                 'begin_registration', 'register_consumer', 'register_contact', 'confirm_registration', 'accept_invitation',
                                 'claim_decision', 'approve_registration', 'reject_registration', 'assign_registration', 'invite_contact',
                                 'rotate_registration_code', 'due_registration')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.register_consumer(text, text, text, text, text, text), csm.register_contact(text, text, text, text, text, text, text),
    csm.confirm_registration(text, text), csm.accept_invitation(text, text) TO csm_guest, csm_portal;
GRANT EXECUTE ON FUNCTION csm.approve_registration(bigint, text), csm.reject_registration(bigint, text),
    csm.invite_contact(bigint, text, text, text, text), csm.rotate_registration_code(bigint, boolean) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.assign_registration(bigint, bigint) TO csm_agent, csm_admin;

-- People: customer administration, profile, two persons made one
-- Customer administration (R A12 to A16): what somebody with contact_manage does
-- with the contacts of his accounts, and staff with account_manage with all.
--
-- The functions refuse by a status, so that the refusal stands in the audit log,
-- and with one and the same for what is hidden, missing and not permitted.
-- Nobody administers himself, nor a contact whose role is above his own.

-- Audit ---------------------------------------------------------------------

-- Whoever writes, by function or plainly; not the system.
CREATE OR REPLACE FUNCTION csm_private.audit_contacts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    c csm.contacts;
BEGIN
    IF me IS NULL OR csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        c := OLD;
    ELSE
        c := NEW;
    END IF;
    IF TG_OP <> 'UPDATE' OR OLD.user_id <> NEW.user_id OR OLD.account_id <> NEW.account_id THEN
        PERFORM csm_private.audit(CASE TG_OP WHEN 'DELETE' THEN 'contact_removed' WHEN 'INSERT' THEN 'contact_added' ELSE 'contact_moved' END,
            me, c.user_id, c.account_id, jsonb_build_object('contact_id', c.id, 'role', c.role), c.tenant_id);
        RETURN NULL;
    END IF;
    IF OLD.role <> NEW.role THEN
        PERFORM csm_private.audit('contact_role_changed', me, c.user_id, c.account_id,
            jsonb_build_object('contact_id', c.id, 'role', c.role, 'before', OLD.role), c.tenant_id);
    END IF;
    IF OLD.login_enabled <> NEW.login_enabled THEN
        PERFORM csm_private.audit(CASE WHEN c.login_enabled THEN 'contact_login_enabled' ELSE 'contact_login_disabled' END,
            me, c.user_id, c.account_id, jsonb_build_object('contact_id', c.id), c.tenant_id);
    END IF;
    IF OLD.valid_during IS DISTINCT FROM NEW.valid_during THEN
        PERFORM csm_private.audit('contact_validity_changed', me, c.user_id, c.account_id,
            jsonb_build_object('contact_id', c.id, 'valid_during', c.valid_during, 'before', OLD.valid_during), c.tenant_id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.audit_contacts() IS
'Trigger of csm.contacts: what somebody signed in changes is audited as contact_added, contact_removed, contact_moved, contact_role_changed, contact_login_enabled, contact_login_disabled or contact_validity_changed';
CREATE TRIGGER contacts_50_audit AFTER INSERT OR UPDATE OR DELETE ON csm.contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_contacts();

CREATE OR REPLACE FUNCTION csm_private.audit_user_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    r csm.user_roles;
BEGIN
    IF me IS NULL OR csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        r := OLD;
    ELSE
        r := NEW;
    END IF;
    PERFORM csm_private.audit(CASE TG_OP WHEN 'DELETE' THEN 'staff_role_removed' WHEN 'INSERT' THEN 'staff_role_added' ELSE 'staff_role_changed' END,
        me, r.user_id, NULL,
        jsonb_build_object('role', r.role, 'branches', r.branches, 'reach', r.reach, 'service_organization_id', r.service_organization_id,
                           'valid_during', r.valid_during), r.tenant_id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.audit_user_roles() IS
'Trigger of csm.user_roles: what somebody signed in changes is audited as staff_role_added, staff_role_changed or staff_role_removed';
CREATE TRIGGER user_roles_50_audit AFTER INSERT OR UPDATE OR DELETE ON csm.user_roles
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_user_roles();

-- Who may --------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm_private.contact_to_administer(contact_id bigint) RETURNS csm.contacts
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c FROM csm.contacts c
    WHERE c.id = contact_to_administer.contact_id AND c.tenant_id = csm.current_tenant_id()
      AND c.user_id <> csm.current_user_id() AND c.user_id IS DISTINCT FROM csm.on_behalf_of()
      AND csm_private.manages_contacts(c.account_id) AND csm_private.role_within(c.account_id, c.role)
$$;
COMMENT ON FUNCTION csm_private.contact_to_administer(bigint) IS
'The contact, where the caller may administer it: not himself, in an account whose contacts he manages, with a role not above his own; else NULL';

-- Whether the person is a contact of the caller's accounts and nothing else.
CREATE OR REPLACE FUNCTION csm_private.person_in_reach(of_user bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_or(
        csm.all_in(u.tenant_id, 'internal', 'person_manage')
        OR u.login_role IS NULL
           AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = u.id AND r.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id AND e.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = u.id AND c.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.representations r
                           WHERE u.id IN (r.representative_id, r.represented_id) AND r.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.household_members m WHERE m.user_id = u.id AND m.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.contacts k
                           WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id
                             AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(statement_timestamp(), NULL)
                             AND (csm_private.manages_contacts(k.account_id) AND csm_private.role_within(k.account_id, k.role)) IS NOT TRUE)),
        false)
    FROM csm.users u
    WHERE u.id = person_in_reach.of_user AND u.tenant_id = csm.current_tenant_id() AND u.id <> csm.current_user_id()
$$;
COMMENT ON FUNCTION csm_private.person_in_reach(bigint) IS
'Whether every persona of the person, present or to come, is one that the caller may administer; staff with person_manage: always. False for himself';

CREATE OR REPLACE FUNCTION csm_private.refuse_administration(kind text, account_id bigint, details jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- what somebody tried elsewhere is no business of an account that he named
    known CONSTANT bigint := (SELECT a.id FROM csm.accounts a
                              WHERE a.id = refuse_administration.account_id AND csm_private.manages_contacts(a.id));
BEGIN
    PERFORM csm_private.audit(kind || '_refused', csm.current_user_id(), NULL, known, jsonb_strip_nulls(details));
    RETURN 'refused';
END $$;
COMMENT ON FUNCTION csm_private.refuse_administration(text, bigint, jsonb) IS
'Records a refusal, in the account only where the caller manages it, and returns refused';

CREATE OR REPLACE FUNCTION csm_private.limit_contact_mail(account_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.attempt('contact_mail', account_id::text, 100, interval '1 day') THEN
        RAISE EXCEPTION 'too many mails to contacts of the account' USING ERRCODE = 'SM007',
            DETAIL = 'At most 100 a day are sent on request of its administrators.', HINT = 'Try again later, or ask the service desk.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.limit_contact_mail(bigint) IS 'SM007 when administrators of the account had more than 100 mails sent in a day';

-- What they do ----------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm.add_contact(account_id bigint, display_name text, role text DEFAULT 'customer', email text DEFAULT NULL,
    phone text DEFAULT NULL, title text DEFAULT NULL, language text DEFAULT NULL, time_zone text DEFAULT NULL)
RETURNS TABLE (status text, contact_id bigint)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    person bigint;
    made bigint;
BEGIN
    PERFORM csm_private.check_profile(coalesce(add_contact.display_name, ''), add_contact.email, add_contact.language,
                                      add_contact.time_zone, add_contact.phone, add_contact.title);
    IF csm_private.manages_contacts(add_contact.account_id) IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = add_contact.account_id AND a.tenant_id = tenant AND a.active)
       OR csm_private.may_assign_role(add_contact.account_id, add_contact.role) IS NOT TRUE THEN
        RETURN QUERY SELECT csm_private.refuse_administration('contact_add', add_contact.account_id,
            jsonb_build_object('account_id', add_contact.account_id, 'role', left(add_contact.role, 63))), NULL::bigint;
        RETURN;
    END IF;
    IF add_contact.email IS NOT NULL THEN
        PERFORM csm_private.limit_contact_mail(add_contact.account_id);
    END IF;
    INSERT INTO csm.users (tenant_id, display_name, phone, title, language, time_zone)
    VALUES (tenant, btrim(add_contact.display_name), nullif(add_contact.phone, ''), nullif(add_contact.title, ''),
            coalesce(add_contact.language, 'en'), coalesce(add_contact.time_zone, 'UTC'))
    RETURNING id INTO person;
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, valid_during)
    VALUES (tenant, person, add_contact.account_id, add_contact.role, tstzrange(clock_timestamp(), NULL))
    RETURNING id INTO made;
    IF add_contact.email IS NOT NULL THEN
        PERFORM csm_private.ask_for_email(person, add_contact.email, joins => true);
    END IF;
    RETURN QUERY SELECT 'added', made;
END $$;
COMMENT ON FUNCTION csm.add_contact(bigint, text, text, text, text, text, text, text) IS
'Adds a contact to an account whose contacts the caller manages, with one of the assignable roles that is not above his own: a person of his own who counts at once, for cases on his behalf. An e-mail address becomes his when it has answered (csm.confirm_email()); if somebody has it already, the two become one then, and until then nothing tells. status: added, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';

CREATE OR REPLACE FUNCTION csm.set_contact_login(contact_id bigint, enabled boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR enabled IS NULL THEN
        RETURN csm_private.refuse_administration('contact_login', NULL, jsonb_build_object('contact_id', contact_id, 'enabled', enabled));
    END IF;
    UPDATE csm.contacts k SET login_enabled = enabled
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND k.login_enabled <> enabled;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.set_contact_login(bigint, boolean) IS
'Switches what this contact may do for his account off or on, from the next statement of every session on; the person''s other personas stay. Returns done, or refused (recorded): not the caller''s to administer, or himself';

CREATE OR REPLACE FUNCTION csm.set_contact_role(contact_id bigint, role text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR csm_private.may_assign_role(c.account_id, set_contact_role.role) IS NOT TRUE THEN
        RETURN csm_private.refuse_administration('contact_role', c.account_id,
            jsonb_build_object('contact_id', contact_id, 'role', left(set_contact_role.role, 63)));
    END IF;
    UPDATE csm.contacts k SET role = set_contact_role.role
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND k.role <> set_contact_role.role;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.set_contact_role(bigint, text) IS
'Gives a contact another of the assignable roles, none above the caller''s own; a contact always has one. Returns done, or refused (recorded): no such contact of his, himself, a role that is not his to give';

CREATE OR REPLACE FUNCTION csm.end_contact(contact_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
    at_time CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF c.id IS NULL THEN
        RETURN csm_private.refuse_administration('contact_end', NULL, jsonb_build_object('contact_id', contact_id));
    END IF;
    UPDATE csm.contacts k SET valid_during = coalesce(k.valid_during, tstzrange(NULL, NULL)) * tstzrange(NULL, at_time)
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(at_time, NULL);
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.end_contact(bigint) IS
'Ends a contact''s membership of the account now; his row and his cases stay. Returns done, or refused (recorded)';

-- One answer whether or not the person is anything elsewhere.
CREATE OR REPLACE FUNCTION csm.update_contact(contact_id bigint, display_name text DEFAULT NULL, email text DEFAULT NULL, language text DEFAULT NULL,
    time_zone text DEFAULT NULL, phone text DEFAULT NULL, title text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.contacts := csm_private.contact_to_administer(update_contact.contact_id);
    u csm.users;
    given CONSTANT jsonb := (
        SELECT coalesce(jsonb_agg(f.name), '[]')
        FROM (VALUES ('display_name', update_contact.display_name), ('email', update_contact.email), ('language', update_contact.language),
                     ('time_zone', update_contact.time_zone), ('phone', update_contact.phone), ('title', update_contact.title)) f(name, given)
        WHERE f.given IS NOT NULL);
BEGIN
    PERFORM csm_private.check_profile(update_contact.display_name, update_contact.email, update_contact.language,
                                      update_contact.time_zone, update_contact.phone, update_contact.title);
    IF c.id IS NULL THEN
        RETURN csm_private.refuse_administration('contact_update', NULL,
            jsonb_build_object('contact_id', update_contact.contact_id, 'fields', given));
    END IF;
    IF update_contact.email IS NOT NULL THEN
        PERFORM csm_private.limit_contact_mail(c.account_id);
    END IF;
    SELECT * INTO u FROM csm.users e WHERE e.id = c.user_id AND e.tenant_id = c.tenant_id FOR NO KEY UPDATE;
    IF csm_private.person_in_reach(u.id) THEN
        PERFORM csm_private.set_profile(u.id, update_contact.display_name, update_contact.language, update_contact.time_zone,
                                        update_contact.phone, update_contact.title);
        IF update_contact.email IS NOT NULL THEN
            PERFORM csm_private.ask_for_email(u.id, update_contact.email);
        END IF;
    ELSIF u.email IS NOT NULL THEN
        PERFORM csm_private.send_mail(u.tenant_id, 'profile_change_asked', u.email, u.id, u.language, jsonb_build_object('fields', given));
    END IF;
    PERFORM csm_private.audit('contact_updated', csm.current_user_id(), c.user_id, c.account_id,
        jsonb_build_object('contact_id', c.id, 'fields', given), c.tenant_id);
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm.update_contact(bigint, text, text, text, text, text, text) IS
'Asks for a change of the person behind a contact; the empty string empties phone and title. Done while every persona of that person is the caller''s to administer, a new e-mail address when it has answered; else the person is asked, at his address on record, to do it himself. Returns accepted either way, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';

-- The address on record, whoever the person is: so the answer tells nothing.
CREATE OR REPLACE FUNCTION csm.send_credentials(contact_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR NOT (csm_private.password_policy(c.tenant_id)).allowed THEN
        RETURN csm_private.refuse_administration('credentials', c.account_id, jsonb_build_object('contact_id', contact_id));
    END IF;
    PERFORM csm_private.limit_contact_mail(c.account_id);
    PERFORM csm_private.issue_password_reset(c.tenant_id, c.user_id, 'credentials', interval '3 days');
    PERFORM csm_private.audit('credentials_sent', csm.current_user_id(), c.user_id, c.account_id, jsonb_build_object('contact_id', c.id), c.tenant_id);
    RETURN 'sent';
END $$;
COMMENT ON FUNCTION csm.send_credentials(bigint) IS
'Sends a contact, to his address on record, a token to set his password (csm.reset_password()), his first one too. Nobody else learns it or sets it. Returns sent, also where he has no address, or refused (recorded): not the caller''s to administer, or the tenant has no passwords. Error SM007 too many mails';

-- Colleagues -------------------------------------------------------------------

CREATE OR REPLACE FUNCTION csm.colleagues(of_account bigint DEFAULT NULL)
RETURNS TABLE (account_id bigint, contact_id bigint, display_name text, title text, email text, phone text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.id, k.id, u.display_name, u.title, u.email, u.phone
    FROM csm.accounts a
    JOIN csm.contacts k ON k.account_id = a.id AND k.tenant_id = a.tenant_id AND k.login_enabled
                       AND csm_private.is_valid(k.valid_during, statement_timestamp())
    JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id AND u.enabled
    WHERE a.tenant_id = csm.current_tenant_id() AND a.directory_visible
      AND (of_account IS NULL OR a.id = of_account)
      AND EXISTS (SELECT FROM csm.contacts mine
                  WHERE mine.account_id = a.id AND mine.tenant_id = a.tenant_id AND mine.user_id = csm.current_user_id()
                    AND mine.login_enabled AND csm_private.is_valid(mine.valid_during, statement_timestamp())
                    AND coalesce(nullif(current_setting('csm.persona', true), ''), 'contact:' || mine.id) = 'contact:' || mine.id)
    ORDER BY a.id, u.display_name, k.id
$$;
COMMENT ON FUNCTION csm.colleagues(bigint) IS
'The directory: the current contacts of accounts in which the caller is one himself, where accounts.directory_visible is on; NULL for all of his accounts. No row elsewhere, for a hidden and a missing account alike';

CREATE OR REPLACE FUNCTION csm.show_directory(account_id bigint, visible boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE OR visible IS NULL THEN
        RETURN csm_private.refuse_administration('directory', account_id, jsonb_build_object('account_id', account_id, 'visible', visible));
    END IF;
    UPDATE csm.accounts a SET directory_visible = visible WHERE a.id = account_id AND a.directory_visible <> visible;
    IF FOUND THEN
        PERFORM csm_private.audit('directory_changed', csm.current_user_id(), NULL, account_id, jsonb_build_object('visible', visible));
    END IF;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.show_directory(bigint, boolean) IS
'Switches accounts.directory_visible: whether contacts of the account may list one another. Returns done, or refused (recorded)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.audit_contacts()',
        'csm_private.audit_user_roles()',
        'csm_private.contact_to_administer(bigint)',
        'csm_private.person_in_reach(bigint)',
        'csm_private.refuse_administration(text, bigint, jsonb)',
        'csm_private.limit_contact_mail(bigint)',
        'csm.add_contact(bigint, text, text, text, text, text, text, text)',
        'csm.set_contact_login(bigint, boolean)',
        'csm.set_contact_role(bigint, text)',
        'csm.end_contact(bigint)',
        'csm.update_contact(bigint, text, text, text, text, text, text)',
        'csm.send_credentials(bigint)',
        'csm.colleagues(bigint)',
        'csm.show_directory(bigint, boolean)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        IF starts_with(f::text, 'csm.') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent, csm_admin', f);
        END IF;
    END LOOP;
END $$;
-- Two rows of csm.users that are one human become one.
--
-- What refers to a person is read from the catalogue: every foreign key of csm's
-- own tables to csm.users, so that none can be forgotten.  Where both have a row
-- that can be there only once, the kept person's stands:
--
-- * Rows with a validity: of the other's row what lies outside the kept one's
--   time remains.  csm_private.merge_ranges() lists these tables; a test compares
--   it with the exclusion constraints there are.
-- * Other rows: the other's goes.  csm.user_merges keeps what was given up, but
--   for secrets.
-- * Rights are not lost: of two contacts of the same account the wider role
--   remains, of two shares of a case what either permits. A person who was
--   disabled adds no credentials.

-- The columns by which two rows of a person are the same, beside the person.
CREATE OR REPLACE FUNCTION csm_private.merge_ranges()
RETURNS TABLE (tab text, person_column text, key_columns text[])
LANGUAGE sql IMMUTABLE ROWS 10
BEGIN ATOMIC
    VALUES
        ('csm.household_members', 'user_id', '{household_id}'::text[]),
        ('csm.representations', 'representative_id', '{represented_id,household_id}'),
        ('csm.representations', 'represented_id', '{representative_id,household_id}'),
        ('csm.service_organization_members', 'user_id', '{service_organization_id}'),
        ('csm.user_roles', 'user_id', '{role,service_organization_id}'),
        ('csm.account_team', 'member_id', '{account_id,user_id,household_id,responsibility}'),
        ('csm.account_team', 'user_id', '{member_id,responsibility}'),
        ('csm.case_parties', 'user_id', '{case_id}'),
        ('csm.asset_parties', 'user_id', '{asset_id,sold_product_id}'),
        ('csm.contacts', 'user_id', '{account_id}');
END;
COMMENT ON FUNCTION csm_private.merge_ranges() IS
'Tables in which a person has one row at a time, and what else the rows are told apart by';

CREATE OR REPLACE FUNCTION csm_private.given_up(tab text, old jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('table', tab, 'row', old - ARRAY(
        SELECT k FROM jsonb_object_keys(old) k WHERE k ~ '(hash|token|secret|password)'))
$$;
COMMENT ON FUNCTION csm_private.given_up(text, jsonb) IS 'A row as csm.user_merges keeps it: without what is secret';

-- Rows of "gone" that cannot stand beside rows of "kept".
CREATE OR REPLACE FUNCTION csm_private.give_up_duplicates(tab regclass, col text, gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i record;
    found jsonb;
    lost jsonb := jsonb '[]';
BEGIN
    FOR i IN
        SELECT x.indexrelid,
               coalesce((SELECT string_agg(format(CASE WHEN x.indnullsnotdistinct THEN 'k.%1$I IS NOT DISTINCT FROM g.%1$I'
                                                       ELSE 'k.%1$I = g.%1$I' END, a.attname), ' AND ')
                         FROM pg_attribute a
                         WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) AND a.attname <> col), 'true') AS same,
               format('SELECT * FROM %s WHERE %s', tab, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')) AS counted,
               format('SELECT c.ctid FROM %s c WHERE %s', tab, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true')) AS places,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
                                                    AND a.attname = 'idempotency_key') AS by_key
        FROM pg_index x JOIN pg_attribute p ON p.attrelid = x.indrelid AND p.attname = col
        WHERE x.indrelid = tab AND x.indisunique AND p.attnum = ANY (x.indkey) AND NOT 0 = ANY (x.indkey)
    LOOP
        IF i.by_key THEN
            -- A key tells a repeated request from a new one; both rows stay.
            EXECUTE format('UPDATE %1$s g SET idempotency_key = NULL '
                           'WHERE g.%2$I = $1 AND EXISTS (SELECT FROM (%4$s) k WHERE k.%2$I = $2 AND %3$s)', tab, col, i.same, i.counted)
            USING gone, kept;
        ELSE
            EXECUTE format('WITH d AS (DELETE FROM %1$s g WHERE g.%2$I = $1 AND g.ctid IN (%5$s) '
                           'AND EXISTS (SELECT FROM (%4$s) k WHERE k.%2$I = $2 AND %3$s) RETURNING g) '
                           'SELECT jsonb_agg(to_jsonb(d.g)) FROM d', tab, col, i.same, i.counted, i.places)
            INTO found USING gone, kept;
            SELECT lost || coalesce(jsonb_agg(csm_private.given_up(tab::text, f.r)), '[]') INTO lost
            FROM jsonb_array_elements(found) f(r);
        END IF;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.give_up_duplicates(regclass, text, bigint, bigint) IS
'Deletes rows that refer to the one where a unique index allows no second beside that of the other, and returns them; of rows that differ by idempotency_key only the key is taken';

-- Every reference of csm's own tables, but for those that are listed.
CREATE OR REPLACE FUNCTION csm_private.repoint(target regclass, gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
    col text;
    lost jsonb := jsonb '[]';
BEGIN
    FOR r IN
        SELECT f.tab, array_agg(f.col ORDER BY f.col) AS cols,
               string_agg(format('%1$I = CASE x.%1$I WHEN $2 THEN $1 ELSE x.%1$I END', f.col), ', ') AS changes,
               string_agg(format('x.%I = $2', f.col), ' OR ') AS named
        FROM (SELECT DISTINCT c.conrelid::regclass AS tab, a.attname::text AS col
              FROM pg_constraint c
              JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.conrelid AND d.deptype = 'e'
              JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'csm'
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname <> 'tenant_id'
              WHERE c.contype = 'f' AND c.confrelid = target AND c.conparentid = 0) f
        GROUP BY f.tab ORDER BY f.tab
    LOOP
        FOREACH col IN ARRAY r.cols LOOP
            lost := lost || csm_private.give_up_duplicates(r.tab, col, gone, kept);
        END LOOP;
        -- a row at once: a case gets one link
        EXECUTE format('UPDATE %s x SET %s WHERE %s', r.tab, r.changes, r.named) USING kept, gone;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.repoint(regclass, bigint, bigint) IS
'Makes every row of csm''s own tables that refers to the one row of the target refer to the other; returns what was given up';

-- Of rows with a validity, what lies outside the kept person's.
CREATE OR REPLACE FUNCTION csm_private.trim_ranges(gone bigint, kept bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
    columns text;
    row_id bigint;
    old jsonb;
    twins bigint[];
    rest tstzmultirange;
    first tstzrange;
    lost jsonb := jsonb '[]';
BEGIN
    FOR m IN SELECT * FROM csm_private.merge_ranges() LOOP
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns
        FROM pg_attribute a
        WHERE a.attrelid = m.tab::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = '';
        FOR row_id, old, twins, rest IN EXECUTE format(
            'SELECT g.id, to_jsonb(g), o.ids, tstzmultirange(coalesce(g.valid_during, tstzrange(NULL, NULL))) - o.during '
            'FROM %1$s g CROSS JOIN LATERAL ('
            '    SELECT range_agg(coalesce(k.valid_during, tstzrange(NULL, NULL))) AS during, array_agg(k.id ORDER BY k.id) AS ids '
            '    FROM %1$s k WHERE k.%2$I = $2 AND (%3$s) '
            '      AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && coalesce(g.valid_during, tstzrange(NULL, NULL))) o '
            'WHERE g.%2$I = $1 AND o.ids IS NOT NULL',
            m.tab, m.person_column,
            (SELECT string_agg(format('k.%1$I IS NOT DISTINCT FROM g.%1$I', c), ' AND ') FROM unnest(m.key_columns) c)) USING gone, kept
        LOOP
            lost := lost || csm_private.given_up(m.tab, old);
            IF isempty(rest) THEN
                IF m.tab = 'csm.contacts' THEN
                    lost := lost || csm_private.repoint('csm.contacts', row_id, twins[1]);
                END IF;
                EXECUTE format('DELETE FROM %s g WHERE g.id = $1', m.tab) USING row_id;
            ELSE
                first := (SELECT u FROM unnest(rest) u ORDER BY u LIMIT 1);
                EXECUTE format('UPDATE %s g SET valid_during = $2 WHERE g.id = $1', m.tab) USING row_id, first;
                EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM ('
                               'SELECT (jsonb_populate_record(NULL::%1$s, $1 || jsonb_build_object(''valid_during'', u))).* '
                               'FROM unnest($2) u WHERE u <> $3) n', m.tab, columns)
                USING old, rest, first;
            END IF;
        END LOOP;
    END LOOP;
    RETURN lost;
END $$;
COMMENT ON FUNCTION csm_private.trim_ranges(bigint, bigint) IS
'Where both persons have a row at a time at which one can be, leaves of the one''s what lies outside the other''s; returns the rows as they were';

-- Rights that the kept person's row would not have by itself.  Only for all of
-- its time, and only from a contact whose login is not disabled.
CREATE OR REPLACE FUNCTION csm_private.widen_rights(gone bigint, kept bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE csm.contacts k SET role = g.role
    FROM csm.contacts g
    WHERE k.user_id = kept AND g.user_id = gone AND g.account_id = k.account_id AND g.tenant_id = k.tenant_id
      AND g.role <> k.role AND g.login_enabled AND k.login_enabled
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL))
      AND NOT EXISTS (
          SELECT FROM csm.role_permissions p
          WHERE p.role = k.role AND p.tenant_id = k.tenant_id
            AND NOT EXISTS (SELECT FROM csm.role_permissions w
                            WHERE w.role = g.role AND w.tenant_id = g.tenant_id AND w.action = p.action
                              AND (w.reach = p.reach OR w.reach = 'subtree' AND p.reach = 'account')));
    UPDATE csm.case_parties k SET capabilities = ARRAY(SELECT DISTINCT c FROM unnest(k.capabilities || g.capabilities) c ORDER BY 1)
    FROM csm.case_parties g
    WHERE k.user_id = kept AND g.user_id = gone AND g.case_id = k.case_id AND NOT k.capabilities @> g.capabilities
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL));
    UPDATE csm.asset_parties k SET authorized = true
    FROM csm.asset_parties g
    WHERE k.user_id = kept AND g.user_id = gone AND g.authorized AND NOT k.authorized
      AND (g.asset_id, g.sold_product_id) IS NOT DISTINCT FROM (k.asset_id, k.sold_product_id)
      AND coalesce(g.valid_during, tstzrange(NULL, NULL)) @> coalesce(k.valid_during, tstzrange(NULL, NULL));
END $$;
COMMENT ON FUNCTION csm_private.widen_rights(bigint, bigint) IS
'Gives rows of the kept person what the other''s rows for the same account, case or item permit beyond them, where those count for all of the time';

CREATE OR REPLACE FUNCTION csm_private.merge_users(keep bigint, remove bigint, reason text, merged_by bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k csm.users;
    g csm.users;
    lost jsonb := jsonb '[]';
BEGIN
    PERFORM FROM csm.users u WHERE u.id IN (keep, remove) ORDER BY u.id FOR UPDATE;
    SELECT * INTO k FROM csm.users u WHERE u.id = keep;
    SELECT * INTO g FROM csm.users u WHERE u.id = remove;
    PERFORM csm_private.begin_merge(remove, keep);

    -- One does not speak for oneself, nor stand above oneself.
    WITH d AS (
        DELETE FROM csm.representations r
        WHERE r.representative_id IN (keep, remove) AND r.represented_id IN (keep, remove) RETURNING r
    )
    SELECT lost || coalesce(jsonb_agg(csm_private.given_up('csm.representations', to_jsonb(d.r))), '[]') INTO lost FROM d;
    UPDATE csm.employees e SET manager_id = NULL
    WHERE e.user_id IN (keep, remove) AND e.manager_id IN (keep, remove);
    -- What the one left open, the other fills.
    UPDATE csm.employees e SET department = coalesce(e.department, o.department), manager_id = coalesce(e.manager_id, o.manager_id)
    FROM csm.employees o WHERE e.user_id = keep AND o.user_id = remove;
    UPDATE csm.consumers c SET registered_at = least(c.registered_at, o.registered_at)
    FROM csm.consumers o WHERE c.user_id = keep AND o.user_id = remove;

    -- What is on its way to one of them is void, the other's sessions and keys end; a login that was disabled opens nothing anew.
    DELETE FROM csm.password_resets r WHERE r.user_id IN (keep, remove);
    DELETE FROM csm_private.email_changes c WHERE c.user_id IN (keep, remove);
    DELETE FROM csm.sessions s WHERE s.user_id = remove;
    IF NOT g.enabled THEN
        DELETE FROM csm.passwords p WHERE p.user_id = remove;
        DELETE FROM csm.external_identities x WHERE x.user_id = remove;
    END IF;

    PERFORM csm_private.widen_rights(remove, keep);
    lost := lost || csm_private.trim_ranges(remove, keep);
    UPDATE csm.contacts c SET is_home = false
    WHERE c.user_id = remove AND c.is_home
      AND EXISTS (SELECT FROM csm.contacts h
                  WHERE h.user_id = keep AND h.is_home
                    AND coalesce(h.valid_during, tstzrange(NULL, NULL)) && coalesce(c.valid_during, tstzrange(NULL, NULL)));
    lost := lost || csm_private.repoint('csm.users', remove, keep);

    DELETE FROM csm.users u WHERE u.id = remove;
    UPDATE csm.users u SET email = coalesce(u.email, g.email), phone = coalesce(u.phone, g.phone), title = coalesce(u.title, g.title),
        external_id = coalesce(u.external_id, g.external_id)
    WHERE u.id = keep;
    INSERT INTO csm.user_merges (removed_id, tenant_id, kept_id, reason, merged_by, removed, given_up)
    VALUES (remove, g.tenant_id, keep, btrim(merge_users.reason), nullif(merge_users.merged_by, remove), to_jsonb(g), lost);
    PERFORM csm_private.end_merge();
    PERFORM csm_private.audit('users_merged', merge_users.merged_by, keep, NULL,
        jsonb_build_object('removed_id', remove, 'given_up', jsonb_array_length(lost)), k.tenant_id);
END $$;
COMMENT ON FUNCTION csm_private.merge_users(bigint, bigint, text, bigint) IS
'Makes the two one; asks nothing. Both are of one tenant';

CREATE OR REPLACE FUNCTION csm.merge_users(keep bigint, remove bigint, reason text) RETURNS csm.user_merges
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    is_admin boolean := is_system;
    k csm.users;
    g csm.users;
    made csm.user_merges;
BEGIN
    IF NOT is_system AND csm.all_in(csm.current_tenant_id(), 'internal', 'person_manage') IS NOT TRUE THEN
        RAISE EXCEPTION 'persons are merged by staff with person_manage' USING ERRCODE = '42501',
            HINT = 'Ask a service manager.';
    END IF;
    is_admin := is_system OR csm.all_in(csm.current_tenant_id(), 'internal', 'configure');
    SELECT * INTO k FROM csm.users u WHERE u.id = keep AND (is_system OR u.tenant_id = csm.current_tenant_id());
    SELECT * INTO g FROM csm.users u WHERE u.id = remove AND (is_system OR u.tenant_id = csm.current_tenant_id());
    IF k.id IS NULL OR g.id IS NULL OR k.tenant_id <> g.tenant_id THEN
        RAISE EXCEPTION 'there are no users % and % of one tenant', coalesce(keep::text, 'NULL'), coalesce(remove::text, 'NULL')
            USING ERRCODE = '42501', HINT = 'Name two rows of csm.users that you see.';
    ELSIF k.id = g.id THEN
        RAISE EXCEPTION 'user % cannot be merged with himself', keep USING ERRCODE = '22023', HINT = 'Name two different users.';
    ELSIF length(btrim(reason)) BETWEEN 1 AND 1000 IS NOT TRUE THEN
        RAISE EXCEPTION 'a merge needs a reason of 1 to 1000 characters' USING ERRCODE = '22023',
            HINT = 'It stands in csm.user_merges.';
    ELSIF me IN (k.id, g.id) THEN
        RAISE EXCEPTION 'nobody merges himself with another' USING ERRCODE = '42501',
            DETAIL = 'It would give him the other''s rights.', HINT = 'Ask a colleague.';
    ELSIF NOT is_admin AND EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id IN (k.id, g.id)) THEN
        RAISE EXCEPTION 'persons with staff roles are merged by an administrator' USING ERRCODE = '42501',
            DETAIL = 'The merged person has the roles of both.',
            HINT = 'It takes person_manage and configure.';
    ELSIF NOT is_system AND EXISTS (SELECT FROM csm.mail_senders m WHERE m.user_id IN (k.id, g.id)) THEN
        RAISE EXCEPTION 'who sends mail is not merged' USING ERRCODE = '42501',
            DETAIL = 'The merged person could read every token that is mailed.',
            HINT = 'The DBA takes it back first: csm.allow_mail_sender(id, false).';
    ELSIF g.login_role IS NOT NULL AND NOT is_system THEN
        RAISE EXCEPTION 'user % has a login role', g.id USING ERRCODE = '55000',
            HINT = 'The DBA takes it back first: csm.map_login(id, NULL).';
    END IF;
    PERFORM csm_private.merge_users(k.id, g.id, reason, me);
    SELECT * INTO made FROM csm.user_merges m WHERE m.removed_id = g.id AND m.tenant_id = g.tenant_id;
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.merge_users(bigint, bigint, text) IS
'Makes two persons one: everything that refers to the one refers to the other from then on, what is missing of the kept person''s row is filled in, sessions and API keys of the other end, and the other row is gone. Recorded in csm.user_merges, csm.audit_log and the history of each case (action merge). For staff with person_manage; with configure too where either has a staff role. Errors: 42501, 22023 the same person or no reason, 55000 the one to remove has a login role';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.merge_ranges()',
        'csm_private.given_up(text, jsonb)',
        'csm_private.give_up_duplicates(regclass, text, bigint, bigint)',
        'csm_private.repoint(regclass, bigint, bigint)',
        'csm_private.trim_ranges(bigint, bigint)',
        'csm_private.widen_rights(bigint, bigint)',
        'csm_private.merge_users(bigint, bigint, text, bigint)',
        'csm.merge_users(bigint, bigint, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.merge_users(bigint, bigint, text) TO csm_agent, csm_admin;
-- What a person keeps of himself: profile, e-mail address, preferences for
-- notifications.

CREATE TABLE csm.notification_preferences (
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    event text NOT NULL,
    channel text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    enabled boolean NOT NULL,
    CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id, event, channel, tenant_id),
    CONSTRAINT notification_preferences_user_fkey FOREIGN KEY (user_id, tenant_id)
        REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT notification_preferences_event_check CHECK (event = '*' OR event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_preferences_channel_check CHECK (channel = '*' OR channel ~ '^[a-z][a-z_]{0,39}$')
);
SELECT csm_private.adopt_table('csm.notification_preferences');
CREATE POLICY notification_preferences_select ON csm.notification_preferences FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_insert ON csm.notification_preferences FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_update ON csm.notification_preferences FOR UPDATE TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_delete ON csm.notification_preferences FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
GRANT SELECT, DELETE, INSERT (event, channel, enabled), UPDATE (enabled)
    ON csm.notification_preferences TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.notification_preferences IS 'Which events a person wants to hear of, and how; what he does not say is the sender''s default';
COMMENT ON COLUMN csm.notification_preferences.user_id IS 'The person';
COMMENT ON COLUMN csm.notification_preferences.event IS 'Kind of event (csm.events.kind); * for every one without a row of its own';
COMMENT ON COLUMN csm.notification_preferences.channel IS 'Way by which he is told, such as email; * for every one without a row of its own. A row that names the event goes before one that names the channel';
COMMENT ON COLUMN csm.notification_preferences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_preferences.enabled IS 'Whether he wants it';
COMMENT ON POLICY notification_preferences_select ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_insert ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_update ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_delete ON csm.notification_preferences IS 'One''s own';

CREATE OR REPLACE FUNCTION csm_private.wants_notification(user_id bigint, tenant_id bigint, event text, channel text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.enabled FROM csm.notification_preferences p
    WHERE p.user_id = wants_notification.user_id AND p.tenant_id = wants_notification.tenant_id
      AND p.event IN (wants_notification.event, '*') AND p.channel IN (wants_notification.channel, '*')
    ORDER BY p.event = '*', p.channel = '*' LIMIT 1
$$;
ALTER FUNCTION csm_private.wants_notification(bigint, bigint, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) IS
'What the person said about this event on this channel; NULL when nothing, and the default counts';

-- A new address counts when it has answered.  Whoever asked for it sees nothing
-- change before, whether or not the address belongs to somebody.
CREATE TABLE csm_private.email_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    user_id bigint NOT NULL,
    email text NOT NULL,
    token_hash bytea NOT NULL,
    joins boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT email_changes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT email_changes_token_key UNIQUE (token_hash),
    CONSTRAINT email_changes_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT email_changes_email_check CHECK (length(email) <= 320 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$')
);
CREATE INDEX email_changes_user_idx ON csm_private.email_changes (user_id);
ALTER TABLE csm_private.email_changes OWNER TO csm_owner;
REVOKE ALL ON csm_private.email_changes FROM PUBLIC;
ALTER TABLE csm_private.email_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE csm_private.email_changes ALTER COLUMN email SET STATISTICS 0;
SELECT pg_extension_config_dump('csm_private.email_changes', '');
SELECT pg_extension_config_dump('csm_private.email_changes_id_seq', '');
COMMENT ON TABLE csm_private.email_changes IS 'Addresses that wait to be confirmed';
COMMENT ON COLUMN csm_private.email_changes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.email_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.email_changes.user_id IS 'The person';
COMMENT ON COLUMN csm_private.email_changes.email IS 'Address that is to become his';
COMMENT ON COLUMN csm_private.email_changes.token_hash IS 'SHA-256 of the token that was sent there';
COMMENT ON COLUMN csm_private.email_changes.joins IS 'True: the row of a person whom an administrator added; where the address is somebody''s already, the two become one when he confirms';
COMMENT ON COLUMN csm_private.email_changes.created_at IS 'When it was asked for';
COMMENT ON COLUMN csm_private.email_changes.expires_at IS 'Until when the token counts';

-- One answer whether or not the address is somebody's: what differs is the mail.
CREATE OR REPLACE FUNCTION csm_private.ask_for_email(of_user bigint, email text, joins boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u csm.users;
    owner_id bigint;
    token CONSTANT text := csm_private.new_token();
    until CONSTANT timestamptz := clock_timestamp() + interval '3 days';
BEGIN
    SELECT * INTO u FROM csm.users e WHERE e.id = of_user;
    SELECT e.id INTO owner_id FROM csm.users e
    WHERE e.tenant_id = u.tenant_id AND e.email_key = lower(btrim(ask_for_email.email));
    DELETE FROM csm_private.email_changes c WHERE c.user_id = u.id;
    IF owner_id = u.id THEN
        IF u.email <> btrim(ask_for_email.email) THEN
            UPDATE csm.users e SET email = btrim(ask_for_email.email) WHERE e.id = u.id AND e.tenant_id = u.tenant_id;
        END IF;
        RETURN;
    END IF;
    INSERT INTO csm_private.email_changes (tenant_id, user_id, email, token_hash, joins, expires_at)
    VALUES (u.tenant_id, u.id, btrim(ask_for_email.email), csm_private.token_hash(token), joins, until);
    IF owner_id IS NOT NULL AND NOT joins THEN
        PERFORM csm_private.send_mail(u.tenant_id, 'email_in_use', email, owner_id, u.language, '{}', until);
    ELSE
        PERFORM csm_private.send_mail(u.tenant_id, CASE WHEN joins THEN 'contact_added' ELSE 'confirm_email' END, email,
            owner_id, u.language, jsonb_build_object('token', token, 'name', u.display_name), until);
    END IF;
END $$;
ALTER FUNCTION csm_private.ask_for_email(bigint, text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) IS
'Sends a token to the address, which becomes the person''s with csm.confirm_email(); a request before is void. An address of somebody else gets a warning instead, or, where the person was added by an administrator (joins), the question whether he is the same. No check of the caller';

-- All that a profile can be refused for: asked before whose it is, so that a
-- refusal tells nothing.
CREATE OR REPLACE FUNCTION csm_private.check_profile(display_name text, email text, language text, time_zone text, phone text, title text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF display_name IS NOT NULL AND (btrim(display_name) = '' OR length(display_name) > 200 OR display_name ~ '[[:cntrl:]]') THEN
        RAISE EXCEPTION 'a name has 1 to 200 characters, none of them a control character' USING ERRCODE = '22023',
            HINT = 'Leave it out to keep it.';
    ELSIF email IS NOT NULL AND (length(email) > 320
              OR btrim(email) !~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$') THEN
        RAISE EXCEPTION 'invalid e-mail address %', quote_literal(left(email, 320)) USING ERRCODE = '22023',
            HINT = 'Give one plain address, without a name.';
    ELSIF language IS NOT NULL AND (length(language) > 35 OR language !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$') THEN
        RAISE EXCEPTION 'invalid language tag %', quote_literal(left(language, 35)) USING ERRCODE = '22023',
            HINT = 'A tag as in BCP 47, for example en or pt-BR.';
    ELSIF time_zone IS NOT NULL AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = check_profile.time_zone) THEN
        RAISE EXCEPTION 'there is no time zone %', quote_literal(left(time_zone, 64)) USING ERRCODE = '22023',
            HINT = 'Choose a name of pg_timezone_names, for example Europe/Berlin.';
    ELSIF length(phone) > 64 OR length(title) > 200 OR phone ~ '[[:cntrl:]]' OR title ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a telephone number has at most 64 characters, a title 200, none of them a control character'
            USING ERRCODE = '22023', HINT = 'The empty string takes them away.';
    END IF;
END $$;
ALTER FUNCTION csm_private.check_profile(text, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) IS
'Error 22023 for what cannot stand in a profile; NULL always can';

-- One place where a person's own columns are changed on request; '' empties
-- phone and title, NULL keeps.
CREATE OR REPLACE FUNCTION csm_private.set_profile(of_user bigint, display_name text, language text, time_zone text, phone text, title text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE csm.users u SET
        display_name = coalesce(btrim(set_profile.display_name), u.display_name),
        language = coalesce(set_profile.language, u.language),
        time_zone = coalesce(set_profile.time_zone, u.time_zone),
        phone = CASE WHEN set_profile.phone IS NULL THEN u.phone ELSE nullif(set_profile.phone, '') END,
        title = CASE WHEN set_profile.title IS NULL THEN u.title ELSE nullif(set_profile.title, '') END
    WHERE u.id = of_user;
END $$;
ALTER FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) IS
'Changes what is given; the empty string empties phone and title. No check of the caller, nor of what is given: csm_private.check_profile()';

CREATE OR REPLACE FUNCTION csm.update_profile(display_name text DEFAULT NULL, email text DEFAULT NULL, language text DEFAULT NULL,
    time_zone text DEFAULT NULL, phone text DEFAULT NULL, title text DEFAULT NULL) RETURNS csm.users
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    u csm.users;
BEGIN
    IF me IS NULL THEN
        RAISE EXCEPTION 'nobody is signed in' USING ERRCODE = '42501',
            HINT = 'A person changes his own profile.';
    END IF;
    PERFORM csm_private.check_profile(update_profile.display_name, update_profile.email, update_profile.language,
                                      update_profile.time_zone, update_profile.phone, update_profile.title);
    PERFORM csm_private.set_profile(me, update_profile.display_name, update_profile.language, update_profile.time_zone,
                                    update_profile.phone, update_profile.title);
    IF update_profile.email IS NOT NULL THEN
        IF NOT csm_private.attempt('email_change', me::text, 5, interval '1 day') THEN
            RAISE EXCEPTION 'the e-mail address was changed too often' USING ERRCODE = 'SM007',
                HINT = 'Try again tomorrow.';
        END IF;
        PERFORM csm_private.ask_for_email(me, update_profile.email);
    END IF;
    PERFORM csm_private.audit('profile_changed', me, me, NULL,
        (SELECT jsonb_build_object('fields', coalesce(jsonb_agg(f.name), '[]'))
         FROM (VALUES ('display_name', update_profile.display_name), ('email', update_profile.email), ('language', update_profile.language),
                      ('time_zone', update_profile.time_zone), ('phone', update_profile.phone), ('title', update_profile.title)) f(name, given)
         WHERE f.given IS NOT NULL));
    SELECT * INTO u FROM csm.users e WHERE e.id = me;
    RETURN u;
END $$;
ALTER FUNCTION csm.update_profile(text, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.update_profile(text, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.update_profile(text, text, text, text, text, text) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.update_profile(text, text, text, text, text, text) IS
'Changes what is given of the caller''s own profile and returns his row; the empty string empties phone and title. A new e-mail address counts after csm.confirm_email() with the token that is sent there. Errors: 42501 nobody, 22023 what cannot stand in a profile, SM007 more than five addresses a day';

CREATE OR REPLACE FUNCTION csm.confirm_email(token text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    c csm_private.email_changes;
    u csm.users;
    owner_id bigint;
BEGIN
    DELETE FROM csm_private.email_changes e
    WHERE e.token_hash = csm_private.token_hash(token) AND e.tenant_id = tenant AND e.expires_at > clock_timestamp()
    RETURNING * INTO c;
    IF c.id IS NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', csm.current_user_id(), NULL);
        RETURN 'refused';
    END IF;
    SELECT * INTO u FROM csm.users e WHERE e.id = c.user_id AND e.tenant_id = c.tenant_id FOR UPDATE;
    SELECT e.id INTO owner_id FROM csm.users e
    WHERE e.tenant_id = c.tenant_id AND e.email_key = lower(btrim(c.email)) AND e.id <> u.id;
    IF owner_id IS NOT NULL AND c.joins THEN
        PERFORM csm_private.merge_users(owner_id, u.id, 'confirmed by e-mail', owner_id);
    ELSIF owner_id IS NOT NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', u.id, u.id, NULL, '{"reason": "in_use"}');
        RETURN 'refused';
    ELSE
        UPDATE csm.users e SET email = c.email WHERE e.id = u.id AND e.tenant_id = u.tenant_id;
        IF u.email IS NOT NULL THEN
            PERFORM csm_private.send_mail(u.tenant_id, 'email_changed', u.email, u.id, u.language, '{}');
        END IF;
    END IF;
    PERFORM csm_private.audit('email_confirmed', coalesce(owner_id, u.id), coalesce(owner_id, u.id));
    RETURN 'confirmed';
END $$;
ALTER FUNCTION csm.confirm_email(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.confirm_email(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.confirm_email(text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.confirm_email(text) IS
'Whoever has the token that was sent to a new address makes it his, signed in or not; single use, three days. A person whom a customer''s administrator added and whose address is somebody''s becomes one with him. Returns confirmed, or refused without saying why. The old address is told';

-- Licence meter
-- The licence meter: who counts, and which act made him count.
--
-- Nothing is written down for it. An act is a link of csm.case_history; what it
-- was is read from the persona and the relation that the link recorded, and from
-- the roles that its actor held then. What of that counts, a policy says. So any
-- policy can be asked about any past, and the answer is the same at any time.

CREATE TABLE csm.licence_products (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    product text NOT NULL,
    label text NOT NULL,
    roles text[] NOT NULL,
    CONSTRAINT licence_products_pkey PRIMARY KEY (product, tenant_id),
    CONSTRAINT licence_products_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT licence_products_key_check CHECK (product ~ '^[a-z][a-z0-9_]{0,62}$')
);
SELECT csm_private.adopt_table('csm.licence_products');

CREATE TABLE csm.licence_policies (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    policy text NOT NULL,
    label text NOT NULL,
    counts text[] NOT NULL,
    window_days integer NOT NULL DEFAULT 0,
    products text[] NOT NULL DEFAULT '{}',
    union_products boolean NOT NULL DEFAULT true,
    active boolean NOT NULL DEFAULT false,
    CONSTRAINT licence_policies_pkey PRIMARY KEY (policy, tenant_id),
    CONSTRAINT licence_policies_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT licence_policies_key_check CHECK (policy ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT licence_policies_counts_check CHECK (counts <@
        '{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[]),
    CONSTRAINT licence_policies_window_check CHECK (window_days BETWEEN 0 AND 3650)
);
CREATE UNIQUE INDEX licence_policies_active_idx ON csm.licence_policies (tenant_id) WHERE active;
SELECT csm_private.adopt_table('csm.licence_policies');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{licence_products,licence_policies}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure'') OR csm.all_in(tenant_id, ''internal'', ''account_manage''))', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Administrators, and managers with reach all''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.licence_products IS 'What is licensed separately: each product covers the acts of some roles';
COMMENT ON COLUMN csm.licence_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_products.product IS 'Key of the product';
COMMENT ON COLUMN csm.licence_products.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_products.roles IS 'csm.roles that it covers. A staff role: what is done while holding it. Any role of another kind: whatever those do who ask for service';
COMMENT ON TABLE csm.licence_policies IS 'Readings of a licence contract: which acts make a person count. csm.licence_usage() answers by any of them, also for the past';
COMMENT ON COLUMN csm.licence_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_policies.policy IS 'Key of the policy';
COMMENT ON COLUMN csm.licence_policies.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_policies.counts IS 'Acts that count: fulfiller (worked on a case), stakeholder (acted for a customer by a staff role of that class), counterparty_act (an action on a dispute as the other company: propose, withdraw, escalate ...), counterparty_update (its comments and files, and the acknowledgement that its first comment is), approver (decided where an approver was asked), requester (whatever else those did who ask for service)';
COMMENT ON COLUMN csm.licence_policies.window_days IS 'An act counts in the period in which it falls and for so many days more; 0: in the period alone';
COMMENT ON COLUMN csm.licence_policies.products IS 'Only acts that these csm.licence_products cover; empty: all acts, as one product';
COMMENT ON COLUMN csm.licence_policies.union_products IS 'True: who acts under several products counts once; false: once for each';
COMMENT ON COLUMN csm.licence_policies.active IS 'The policy that is meant when none is named; at most one in a tenant';

-- What an act was, as far as its link alone says. One expression, in the index
-- too, so that the meter reads one entry for each person and kind of act, however
-- many acts there are.
CREATE VIEW csm_private.acts WITH (security_invoker = true) AS
SELECT h.id, h.tenant_id, h.case_id, h.at, h.actor_id, h.action, h.persona, h.relation,
       CASE WHEN h.persona LIKE 'staff:%' OR h.persona = 'staff' THEN h.persona
            WHEN h.relation = 'approver' THEN 'approver'
            WHEN h.relation LIKE 'respondent%' THEN
                CASE WHEN h.action IN ('comment', 'private_entry', 'attach', 'update', 'acknowledge') THEN 'counterparty_update' ELSE 'counterparty_act' END
            WHEN h.relation IS NULL OR h.on_behalf_of IS NOT NULL AND coalesce(h.persona, '') NOT LIKE 'contact:%' THEN 'other'
            ELSE 'requester' END AS kind
FROM csm.case_history h
WHERE h.actor_id IS NOT NULL;
ALTER VIEW csm_private.acts OWNER TO csm_owner;
REVOKE ALL ON csm_private.acts FROM PUBLIC;
COMMENT ON VIEW csm_private.acts IS 'Links of csm.case_history that a person made, with their kind for the licence meter';
COMMENT ON COLUMN csm_private.acts.id IS 'csm.case_history.id';
COMMENT ON COLUMN csm_private.acts.tenant_id IS 'Tenant of the link';
COMMENT ON COLUMN csm_private.acts.case_id IS 'The case';
COMMENT ON COLUMN csm_private.acts.at IS 'When it was done';
COMMENT ON COLUMN csm_private.acts.actor_id IS 'Who did it';
COMMENT ON COLUMN csm_private.acts.action IS 'What was done';
COMMENT ON COLUMN csm_private.acts.persona IS 'As what he did it';
COMMENT ON COLUMN csm_private.acts.relation IS 'In which relations to the case';
COMMENT ON COLUMN csm_private.acts.kind IS 'staff:<role>, staff, approver, counterparty_update, counterparty_act, other (for somebody else, or on a case shared with him) or requester';
CREATE INDEX case_history_acts_idx ON csm.case_history (tenant_id,
    (CASE WHEN persona LIKE 'staff:%' OR persona = 'staff' THEN persona
          WHEN relation = 'approver' THEN 'approver'
          WHEN relation LIKE 'respondent%' THEN
              CASE WHEN action IN ('comment', 'private_entry', 'attach', 'update', 'acknowledge') THEN 'counterparty_update' ELSE 'counterparty_act' END
          WHEN relation IS NULL OR on_behalf_of IS NOT NULL AND coalesce(persona, '') NOT LIKE 'contact:%' THEN 'other'
          ELSE 'requester' END), actor_id, at, id)
    WHERE actor_id IS NOT NULL;

CREATE OR REPLACE FUNCTION csm_private.act_kinds(tenant_id bigint) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE kinds AS (
        SELECT (SELECT a.kind FROM csm_private.acts a WHERE a.tenant_id = act_kinds.tenant_id ORDER BY a.kind LIMIT 1) AS kind
      UNION ALL
        SELECT (SELECT a.kind FROM csm_private.acts a WHERE a.tenant_id = act_kinds.tenant_id AND a.kind > k.kind ORDER BY a.kind LIMIT 1)
        FROM kinds k WHERE k.kind IS NOT NULL
    )
    SELECT k.kind FROM kinds k WHERE k.kind IS NOT NULL
$$;
COMMENT ON FUNCTION csm_private.act_kinds(bigint) IS 'Kinds of csm_private.acts that the tenant has, walked over by the index';

-- The two readings of the portal of an intermediary (R 5.6, C4).
CREATE OR REPLACE FUNCTION csm_private.shipped_licence_policies()
RETURNS TABLE (policy text, label text, counts text[], active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    VALUES
        ('related_free', 'Who acts in a portal on requests of his own or related accounts is free', '{fulfiller,stakeholder}'::text[], true),
        ('counterparty_counts', 'Whoever updates or resolves a request that another company opened counts',
            '{fulfiller,stakeholder,counterparty_act,counterparty_update}', false);
END;
COMMENT ON FUNCTION csm_private.shipped_licence_policies() IS 'Licence policies that a new tenant gets';

CREATE OR REPLACE FUNCTION csm_private.ship_licence_policies() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        INSERT INTO csm.licence_policies (tenant_id, policy, label, counts, active)
        SELECT NEW.id, s.policy, s.label, s.counts, s.active FROM csm_private.shipped_licence_policies() s;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.ship_licence_policies() IS 'Trigger of csm.tenants: the licence policies that a new tenant gets';

-- Of each person whom the policy counts in that time: his first act of each
-- kind that counts, and by product where the policy names some. Kinds and people
-- are walked over by the index, from one to the next. What depends on roles is a
-- matter of time: the spans in which the roles that he held give an act this
-- class. Compiling the plan would take longer than running it.
CREATE OR REPLACE FUNCTION csm_private.licence_firsts(p csm.licence_policies, during tstzrange)
RETURNS TABLE (user_id bigint, product text, counts_as text, at timestamptz, history_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
    WITH RECURSIVE people AS (
        SELECT k.kind, (SELECT a.actor_id FROM csm_private.acts a
                        WHERE a.tenant_id = p.tenant_id AND a.kind = k.kind ORDER BY a.actor_id LIMIT 1) AS actor_id
        FROM csm_private.act_kinds(p.tenant_id) k(kind)
        WHERE k.kind = ANY (p.counts)
           OR k.kind LIKE 'staff%' AND p.counts && '{fulfiller,stakeholder,requester}'
           OR k.kind = 'other' AND p.counts && '{stakeholder,requester}'
      UNION ALL
        SELECT w.kind, (SELECT a.actor_id FROM csm_private.acts a
                        WHERE a.tenant_id = p.tenant_id AND a.kind = w.kind AND a.actor_id > w.actor_id ORDER BY a.actor_id LIMIT 1)
        FROM people w WHERE w.actor_id IS NOT NULL
    ), scope AS (
        SELECT NULL::text AS product, NULL::text[] AS roles, true AS asks
        WHERE p.products = '{}'
      UNION ALL
        SELECT l.product, l.roles, EXISTS (SELECT FROM csm.roles r
                                           WHERE r.tenant_id = l.tenant_id AND r.role = ANY (l.roles) AND r.kind <> 'staff')
        FROM csm.licence_products l WHERE l.tenant_id = p.tenant_id AND l.product = ANY (p.products)
    ), held AS (
        SELECT u.user_id, s.product,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'fulfiller'), '{}') AS f,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'stakeholder'), '{}') AS s,
               coalesce(range_agg(v.span) FILTER (WHERE r.user_class = 'external'), '{}') AS e
        FROM csm.user_roles u
        JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id
        CROSS JOIN LATERAL (SELECT coalesce(u.valid_during, tstzrange(NULL, NULL)) AS span) v
        JOIN scope s ON s.product IS NULL OR u.role = ANY (s.roles)
        WHERE u.tenant_id = p.tenant_id
        GROUP BY u.user_id, s.product
    ), stakeholders AS (
        SELECT u.user_id, range_agg(coalesce(u.valid_during, tstzrange(NULL, NULL))) AS s
        FROM csm.user_roles u
        JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id
        WHERE u.tenant_id = p.tenant_id AND r.user_class = 'stakeholder'
        GROUP BY u.user_id
    ), claims AS (
        SELECT w.kind, w.actor_id, s.product, c.counts_as, c.spans * tstzmultirange(during) AS spans
        FROM people w
        CROSS JOIN scope s
        LEFT JOIN held h ON h.user_id = w.actor_id AND h.product IS NOT DISTINCT FROM s.product
        LEFT JOIN stakeholders o ON o.user_id = w.actor_id
        CROSS JOIN LATERAL (
            SELECT coalesce(h.f, '{}') AS f, coalesce(h.s, '{}') AS s, coalesce(h.e, '{}') AS e, '{(,)}'::tstzmultirange AS ever) x
        CROSS JOIN LATERAL (
            SELECT 'fulfiller' AS counts_as, CASE WHEN s.product IS NULL THEN x.ever - (x.s + x.e - x.f) ELSE x.f END AS spans
            WHERE w.kind = 'staff'
          UNION ALL SELECT 'stakeholder', x.s - x.f WHERE w.kind = 'staff'
          UNION ALL SELECT 'requester', x.e - x.f - x.s WHERE w.kind = 'staff'
          UNION ALL SELECT 'stakeholder', x.s WHERE w.kind = 'other'
          UNION ALL SELECT 'requester', x.ever - coalesce(o.s, '{}') WHERE w.kind = 'other' AND s.asks
          UNION ALL
            SELECT CASE (SELECT r.user_class FROM csm.roles r WHERE r.tenant_id = p.tenant_id AND r.role = substr(w.kind, 7))
                   WHEN 'stakeholder' THEN 'stakeholder' WHEN 'external' THEN 'requester' ELSE 'fulfiller' END, x.ever
            WHERE w.kind LIKE 'staff:%' AND (s.product IS NULL OR substr(w.kind, 7) = ANY (s.roles))
          UNION ALL SELECT w.kind, x.ever WHERE w.kind NOT LIKE 'staff%' AND w.kind <> 'other' AND s.asks) c
        WHERE w.actor_id IS NOT NULL AND c.counts_as = ANY (p.counts)
    )
    SELECT DISTINCT ON (c.actor_id, c.product, c.counts_as) c.actor_id, c.product, c.counts_as, f.at, f.id
    FROM claims c
    CROSS JOIN LATERAL unnest(c.spans) AS span
    CROSS JOIN LATERAL (
        SELECT a.at, a.id FROM csm_private.acts a
        WHERE a.tenant_id = p.tenant_id AND a.kind = c.kind AND a.actor_id = c.actor_id
          AND a.at >= coalesce(lower(span), '-infinity') AND a.at <= coalesce(upper(span), 'infinity') AND a.at <@ span
        ORDER BY a.at, a.id LIMIT 1) f
    ORDER BY c.actor_id, c.product, c.counts_as, f.at, f.id
$$;
COMMENT ON FUNCTION csm_private.licence_firsts(csm.licence_policies, tstzrange) IS
'First act of each kind that counts by the policy in that time, for each person, and each product where the policy names some';

-- The caller's right, and the policy that he means.
CREATE OR REPLACE FUNCTION csm_private.licence_policy(policy text) RETURNS csm.licence_policies
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := csm.current_tenant_id();
    found csm.licence_policies;
    unknown text;
BEGIN
    IF NOT csm_private.acts_as_system() AND NOT coalesce(csm.all_in(tenant, 'internal', 'configure')
                                                         OR csm.all_in(tenant, 'internal', 'account_manage'), false) THEN
        RAISE EXCEPTION 'permission denied to read the licence meter' USING ERRCODE = '42501',
            HINT = 'Administrators do, and managers with reach all.';
    END IF;
    tenant := coalesce(tenant, csm.default_tenant_id());
    SELECT * INTO found FROM csm.licence_policies l
    WHERE l.tenant_id = tenant AND CASE WHEN policy IS NULL THEN l.active ELSE l.policy = policy END;
    IF found.policy IS NULL THEN
        RAISE EXCEPTION 'there is no licence policy %', coalesce(quote_ident(policy), 'that is active') USING ERRCODE = '22023',
            HINT = 'Name one of csm.licence_policies.';
    END IF;
    SELECT u.product INTO unknown FROM unnest(found.products) u(product)
    WHERE NOT EXISTS (SELECT FROM csm.licence_products l WHERE l.product = u.product AND l.tenant_id = found.tenant_id) LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'licence policy "%" names the product "%", which does not exist', found.policy, unknown USING ERRCODE = '22023',
            HINT = 'Name one of csm.licence_products.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION csm_private.licence_policy(text) IS
'The policy of the caller''s tenant, the active one for NULL. Errors: 42501 for others than administrators and managers with reach all, 22023 no such policy, or one that names an unknown product';

CREATE OR REPLACE FUNCTION csm.licence_usage(period tstzrange, policy text DEFAULT NULL)
RETURNS TABLE (user_id bigint, display_name text, product text, user_class text, highest_class text, counts_as text,
               first_at timestamptz, case_id bigint, action text, persona text, relation text, history_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p CONSTANT csm.licence_policies := csm_private.licence_policy(licence_usage.policy);
BEGIN
    IF period IS NULL OR isempty(period) OR lower_inf(period) OR upper_inf(period)
       OR NOT isfinite(lower(period)) OR NOT isfinite(upper(period)) THEN
        RAISE EXCEPTION 'a licence period has a beginning and an end' USING ERRCODE = '22023',
            DETAIL = format('It is %s.', coalesce(period::text, 'null')), HINT = 'For example tstzrange(''2026-01-01'', ''2026-02-01'').';
    END IF;
    RETURN QUERY
    WITH firsts AS (
        SELECT f.user_id, CASE WHEN NOT p.union_products THEN f.product END AS share, f.product, f.counts_as, f.at, f.history_id
        FROM csm_private.licence_firsts(p, tstzrange(lower(period) - p.window_days * interval '1 day', upper(period),
            CASE WHEN lower_inc(period) THEN '[' ELSE '(' END || CASE WHEN upper_inc(period) THEN ']' ELSE ')' END)) f
    ), counted AS (
        SELECT DISTINCT ON (f.user_id, f.share) f.*,
               min(array_position('{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[], f.counts_as))
                   OVER (PARTITION BY f.user_id, f.share) AS highest
        FROM firsts f
        ORDER BY f.user_id, f.share, f.at, f.history_id,
                 array_position('{fulfiller,stakeholder,counterparty_act,counterparty_update,approver,requester}'::text[], f.counts_as), f.product
    )
    SELECT c.user_id, u.display_name, c.product,
           CASE WHEN c.counts_as LIKE 'counterparty%' THEN 'counterparty' WHEN c.counts_as = 'approver' THEN 'requester' ELSE c.counts_as END,
           ('{fulfiller,stakeholder,counterparty,counterparty,requester,requester}'::text[])[c.highest],
           c.counts_as, c.at, h.case_id, h.action, h.persona, h.relation, c.history_id
    FROM counted c
    JOIN csm.case_history h ON h.id = c.history_id AND h.tenant_id = p.tenant_id
    LEFT JOIN csm.users u ON u.id = c.user_id AND u.tenant_id = p.tenant_id
    ORDER BY c.user_id, c.product;
END $$;
COMMENT ON FUNCTION csm.licence_usage(tstzrange, text) IS
'Every person whom a policy (NULL: the active one) counts in the period, with the first act that made him count and the highest class he reached; once, or once for each product where the policy does not unite them. Without products the column product is null. Administrators, and managers with reach all; errors: 42501, 22023 no such policy or a period without beginning or end';

CREATE OR REPLACE FUNCTION csm.licence_preview(policy text, against text DEFAULT NULL, months integer DEFAULT 12)
RETURNS TABLE (month date, counted bigint, counted_against bigint, added bigint, dropped bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p CONSTANT csm.licence_policies := csm_private.licence_policy(licence_preview.policy);
    other CONSTANT csm.licence_policies := csm_private.licence_policy(licence_preview.against);
    this_month CONSTANT timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    first timestamp;
BEGIN
    IF months IS NULL OR months NOT BETWEEN 1 AND 120 THEN
        RAISE EXCEPTION 'months must be between 1 and 120' USING ERRCODE = '22023', HINT = 'Leave it out for twelve.';
    END IF;
    FOR first IN SELECT this_month - n * interval '1 month' FROM generate_series(months - 1, 0, -1) n LOOP
        RETURN QUERY
        WITH mine AS (
            SELECT DISTINCT u.user_id, CASE WHEN NOT p.union_products THEN u.product END AS share
            FROM csm_private.licence_firsts(p, tstzrange(first AT TIME ZONE 'UTC' - p.window_days * interval '1 day',
                                                         (first + interval '1 month') AT TIME ZONE 'UTC')) u
        ), theirs AS (
            SELECT DISTINCT u.user_id, CASE WHEN NOT other.union_products THEN u.product END AS share
            FROM csm_private.licence_firsts(other, tstzrange(first AT TIME ZONE 'UTC' - other.window_days * interval '1 day',
                                                             (first + interval '1 month') AT TIME ZONE 'UTC')) u
        )
        SELECT first::date, (SELECT count(*) FROM mine), (SELECT count(*) FROM theirs),
               (SELECT count(*) FROM (SELECT m.user_id, m.share FROM mine m EXCEPT SELECT t.user_id, t.share FROM theirs t) x),
               (SELECT count(*) FROM (SELECT t.user_id, t.share FROM theirs t EXCEPT SELECT m.user_id, m.share FROM mine m) x);
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.licence_preview(text, text, integer) IS
'What a policy would have counted in each of the last months (UTC, the running one included, 1 to 120), compared with another one (NULL: the active one): how many each counts, and whom the policy adds and drops. Administrators, and managers with reach all; errors: 42501, 22023';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.act_kinds(bigint)',
        'csm_private.shipped_licence_policies()',
        'csm_private.ship_licence_policies()',
        'csm_private.licence_firsts(csm.licence_policies, tstzrange)',
        'csm_private.licence_policy(text)',
        'csm.licence_usage(tstzrange, text)',
        'csm.licence_preview(text, text, integer)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.licence_usage(tstzrange, text), csm.licence_preview(text, text, integer) TO csm_agent, csm_admin;
CREATE TRIGGER tenants_40_licence AFTER INSERT ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.ship_licence_policies();
INSERT INTO csm.licence_policies (tenant_id, policy, label, counts, active)
SELECT t.id, s.policy, s.label, s.counts, s.active FROM csm.tenants t, csm_private.shipped_licence_policies() s;

-- Privacy
-- Personal data: what is kept of a person, given out, erased, and how long.
--
-- Every column that could hold personal data is classified in
-- csm_private.personal_columns(); a test refuses a column that is not. Erasing,
-- searching, exporting and the planner's statistics follow that list, so that a
-- new table has to say only there what it keeps.

-- ---- what is personal ----

CREATE OR REPLACE FUNCTION csm_private.personal_columns()
RETURNS TABLE (table_name text, column_name text, content text, subject text, erasure text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    VALUES
        ('csm.users', 'display_name', 'person', 'id', 'own'),
        ('csm.users', 'email', 'person', 'id', 'own'),
        ('csm.users', 'email_key', 'person', 'id', 'own'),
        ('csm.users', 'phone', 'person', 'id', 'own'),
        ('csm.users', 'title', 'person', 'id', 'own'),
        ('csm.users', 'login_role', 'person', 'id', 'own'),
        ('csm.users', 'external_id', 'person', 'id', 'own'),
        ('csm.employees', 'department', 'person', 'user_id', 'null'),
        ('csm.households', 'name', 'person', 'head_user_id', 'word'),
        ('csm.accounts', 'name', 'text', NULL, 'offer'),
        ('csm.assets', 'serial_number', 'person', 'user_id', 'null'),
        ('csm.assets', 'location', 'person', 'user_id', 'null'),
        ('csm.contracts', 'name', 'text', NULL, 'offer'),
        ('csm.contract_lines', 'description', 'text', NULL, 'offer'),
        ('csm.entitlements', 'name', 'text', NULL, 'offer'),
        ('csm.entitlement_uses', 'note', 'text', 'used_by', 'null'),
        ('csm.cases', 'subject', 'text', 'requester_id', 'own'),
        ('csm.cases', 'description', 'text', 'requester_id', 'own'),
        ('csm.cases', 'resolution_notes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'attributes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'search', 'text', 'requester_id', 'own'),
        ('csm.cases', 'idempotency_key', 'person', 'requester_id', 'own'),
        ('csm.case_internal', 'attributes', 'text', NULL, 'own'),
        ('csm.case_side_fields', 'attributes', 'text', NULL, 'own'),
        ('csm.case_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.case_entries', 'body', 'text', 'author_id', 'own'),
        ('csm.attachments', 'author_name', 'person', 'author_id', 'own'),
        ('csm.attachments', 'file_name', 'text', 'author_id', 'own'),
        ('csm.attachments', 'url', 'text', 'author_id', 'own'),
        ('csm.attachments', 'sha256', 'person', 'author_id', 'own'),
        ('csm.attachment_contents', 'content', 'person', NULL, 'own'),
        ('csm.case_history', 'actor_name', 'person', 'actor_id', 'own'),
        ('csm.case_history', 'payload', 'text', 'actor_id', 'own'),
        ('csm.case_history', 'salt', 'secret', 'actor_id', 'own'),
        ('csm.events', 'payload', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'proposed_name', 'person', 'proposed_by', 'word'),
        ('csm.dispute_proposals', 'notes', 'text', 'proposed_by', 'null'),
        ('csm.dispute_proposals', 'reference', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'decided_name', 'person', 'decided_by', 'word'),
        ('csm.dispute_proposals', 'reason', 'text', 'decided_by', 'null'),
        ('csm.case_tasks', 'subject', 'text', 'opened_by', 'word'),
        ('csm.case_tasks', 'description', 'text', 'opened_by', 'null'),
        ('csm.case_tasks', 'close_notes', 'text', 'closed_by', 'null'),
        ('csm.case_lines', 'description', 'text', 'opened_by', 'word'),
        ('csm.case_lines', 'resolution_notes', 'text', NULL, 'offer'),
        ('csm.case_blocks', 'note', 'text', 'blocked_by', 'word'),
        ('csm.escalations', 'justification', 'text', 'requested_by', 'word'),
        ('csm.escalations', 'decision_note', 'text', 'decided_by', 'word'),
        ('csm.escalations', 'closing_note', 'text', 'closed_by', 'word'),
        ('csm.handling_notes', 'body', 'text', 'user_id', 'word'),
        ('csm.response_templates', 'body', 'text', NULL, 'offer'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.external_identities', 'subject', 'person', 'user_id', 'delete'),
        ('csm.passwords', 'hash', 'secret', 'user_id', 'delete'),
        ('csm.password_resets', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.registrations', 'email', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'email_key', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'display_name', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'terms', 'text', 'user_id', 'delete'),
        ('csm.registrations', 'reason', 'text', 'user_id', 'delete'),
        ('csm.sessions', 'label', 'person', 'user_id', 'delete'),
        ('csm_private.session_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm_private.email_changes', 'email', 'person', 'user_id', 'delete'),
        ('csm_private.email_changes', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.user_merges', 'reason', 'text', 'kept_id', 'word'),
        ('csm.user_merges', 'removed', 'person', 'kept_id', 'object'),
        ('csm.user_merges', 'given_up', 'person', 'kept_id', 'list'),
        ('csm_private.registration_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.legal_holds', 'reason', 'text', 'user_id', 'word'),
        ('csm.erasure_requests', 'reason', 'text', 'user_id', 'word')
  UNION ALL
    -- Names of things, keys, states, computed values: nothing of a person.
    SELECT n.table_name, c.column_name, 'none', NULL, NULL
    FROM (VALUES
        ('csm.users', 'language time_zone'),
        ('csm.tenants', 'key name settings'),
        ('csm.accounts', 'number'),
        ('csm.account_relationships', 'type scope'),
        ('csm.account_team', 'responsibility'),
        ('csm.contacts', 'role'),
        ('csm.user_roles', 'role branches reach'),
        ('csm.roles', 'role kind user_class label branches'),
        ('csm.role_permissions', 'role action reach'),
        ('csm.service_organizations', 'name'),
        ('csm.groups', 'name'),
        ('csm.products', 'name'),
        ('csm.sold_products', 'branch'),
        ('csm.assets', 'branch'),
        ('csm.contracts', 'branch number'),
        ('csm.entitlements', 'branch channels unit'),
        ('csm.entitlement_uses', 'unit'),
        ('csm.cases', 'branch state_class state number case_type language channel resolution_code major_state'),
        ('csm.case_types', 'case_type parent_type label settings'),
        ('csm.case_states', 'case_type state state_class label'),
        ('csm.case_transitions', 'case_type from_state action to_state actors required_fields effects label from_type to_type'),
        ('csm.case_type_fields', 'case_type name label type audience required_for choices reference'),
        ('csm.case_entries', 'branch visibility side idempotency_key'),
        ('csm.case_parties', 'capabilities'),
        ('csm.case_side_fields', 'side'),
        ('csm.attachments', 'visibility side media_type'),
        ('csm.case_history', 'action persona relation audience payload_hash previous_hash hash'),
        ('csm.history_seals', 'root previous_hash hash'),
        ('csm.history_leaves', 'last_hash'),
        ('csm.events', 'kind audience side'),
        ('csm.event_subscribers', 'key kinds case_types'),
        ('csm.dispute_proposals', 'side currency resolution_code outcome'),
        ('csm.case_tasks', 'branch number state'),
        ('csm.case_lines', 'state'),
        ('csm.case_blocks', 'reason'),
        ('csm.case_links', 'kind'),
        ('csm.case_slas', 'name type state'),
        ('csm.sla_definitions', 'name type calendar_from case_types branches'),
        ('csm.sla_events', 'event'),
        ('csm.calendars', 'name time_zone'),
        ('csm.calendar_exceptions', 'name'),
        ('csm.escalation_templates', 'template label severity targets reasons'),
        ('csm.escalations', 'state source reason severity trend'),
        ('csm.recipient_lists', 'name'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.audit_log', 'kind'),
        ('csm.identity_providers', 'name issuer audience algorithms subject_claim claims link_by create_as create_role'),
        ('csm.identity_provider_keys', 'kid jwk algorithms'),
        ('csm.spent_tokens', 'token_hash'),
        ('csm.denied_passwords', 'password'),
        ('csm.account_domains', 'domain'),
        ('csm.notification_preferences', 'event channel'),
        ('csm.sessions', 'kind persona actions'),
        ('csm.registrations', 'kind state language role route'),
        ('csm_private.registration_codes', 'code_hash'),
        ('csm_private.registration_tokens', 'purpose'),
        ('csm_private.captcha_used', 'challenge'),
        ('csm_private.secrets', 'name value'),
        ('csm.erasure_requests', 'erased'),
        ('csm.licence_products', 'product label roles'),
        ('csm.licence_policies', 'policy label counts products'),
        ('csm_private.shipped_copies', 'kind key content')
    ) AS n(table_name, columns), string_to_table(n.columns, ' ') AS c(column_name);
END;
ALTER FUNCTION csm_private.personal_columns() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.personal_columns() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';

-- ---- holds and requests ----

CREATE TABLE csm.legal_holds (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint,
    account_id bigint,
    case_id bigint,
    reason text NOT NULL,
    placed_by bigint,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_by bigint,
    released_at timestamptz,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT legal_holds_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT legal_holds_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT legal_holds_placed_by_fkey FOREIGN KEY (placed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_released_by_fkey FOREIGN KEY (released_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_one_target CHECK (num_nonnulls(user_id, account_id, case_id) = 1),
    CONSTRAINT legal_holds_reason_check CHECK (length(reason) BETWEEN 1 AND 4000),
    CONSTRAINT legal_holds_released_check CHECK (released_at >= placed_at AND (released_by IS NULL OR released_at IS NOT NULL))
);
SELECT csm_private.adopt_table('csm.legal_holds');

CREATE TABLE csm.erasure_requests (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    case_id bigint,
    reason text NOT NULL,
    requested_by bigint,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by bigint,
    erased_at timestamptz,
    erased jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT erasure_requests_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT erasure_requests_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT erasure_requests_requested_by_fkey FOREIGN KEY (requested_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_approved_by_fkey FOREIGN KEY (approved_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_second_person_check CHECK (approved_by <> requested_by),
    CONSTRAINT erasure_requests_reason_check CHECK (length(reason) BETWEEN 1 AND 4000)
);
CREATE UNIQUE INDEX erasure_requests_open_idx ON csm.erasure_requests (user_id) WHERE erased_at IS NULL;
SELECT csm_private.adopt_table('csm.erasure_requests');

-- What ANALYZE takes from a column it keeps as samples. Personal columns that no
-- plan asks about get none; subject and search are analysed anew after an
-- erasure.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT p.table_name, p.column_name FROM csm_private.personal_columns() p
             WHERE p.content <> 'none' AND NOT (p.table_name = 'csm.cases' AND p.column_name IN ('subject', 'search'))
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', c.table_name, c.column_name);
    END LOOP;
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{legal_holds,erasure_requests}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''person_manage'') OR csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff with person_manage, and administrators''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_admin', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';
COMMENT ON TABLE csm.erasure_requests IS 'Erasures of persons, asked for and done; at most one open for a person';
COMMENT ON COLUMN csm.erasure_requests.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.erasure_requests.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.erasure_requests.user_id IS 'The person';
COMMENT ON COLUMN csm.erasure_requests.case_id IS 'Privacy request it comes from; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.reason IS 'Why; emptied with the erasure, as it may name the person';
COMMENT ON COLUMN csm.erasure_requests.requested_by IS 'Who asked for it; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.requested_at IS 'When he asked';
COMMENT ON COLUMN csm.erasure_requests.approved_by IS 'The second person, who had it done; NULL for retention, the system and while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased_at IS 'When it was done; NULL while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased IS 'How many rows were emptied or deleted, by table; a JSON object';

-- ---- who may, and what is held ----

CREATE OR REPLACE FUNCTION csm_private.may_keep_privacy(tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.acts_as_system()
        OR coalesce(tenant_id = csm.current_tenant_id() AND (csm.all_in(tenant_id, 'internal', 'person_manage')
                                                             OR csm.all_in(tenant_id, 'internal', 'configure')), false)
$$;
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';

-- Unknown, of another tenant, and without the right: the same words (V15).
CREATE OR REPLACE FUNCTION csm_private.person_to_keep(user_id bigint) RETURNS csm.users
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person csm.users;
BEGIN
    SELECT * INTO person FROM csm.users u WHERE u.id = person_to_keep.user_id;
    IF person.id IS NULL OR NOT csm_private.may_keep_privacy(person.tenant_id) THEN
        RAISE EXCEPTION 'permission denied for personal data of user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators keep them, for persons of their tenant.';
    END IF;
    RETURN person;
END $$;
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';

CREATE OR REPLACE FUNCTION csm_private.holds_on(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.legal_holds h
                   WHERE h.tenant_id = c.tenant_id AND h.released_at IS NULL
                     AND (h.case_id = c.id OR h.user_id = c.requester_id OR h.account_id = c.account_id))
$$;
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';

CREATE OR REPLACE FUNCTION csm_private.refuse_held(person csm.users) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM csm.legal_holds h WHERE h.user_id = person.id AND h.released_at IS NULL)
       OR EXISTS (SELECT FROM csm.legal_holds h WHERE h.tenant_id = person.tenant_id AND h.released_at IS NULL)
          AND EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = person.id AND csm_private.holds_on(c)) THEN
        RAISE EXCEPTION 'user % is under a legal hold', person.id USING ERRCODE = '55006',
            DETAIL = 'The person, one of his cases, or the account of one is held.', HINT = 'csm.legal_holds names it.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';

CREATE OR REPLACE FUNCTION csm.place_hold(reason text, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL, case_id bigint DEFAULT NULL)
RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint;
    made csm.legal_holds;
BEGIN
    SELECT x.tenant_id INTO tenant
    FROM (SELECT u.tenant_id FROM csm.users u WHERE u.id = user_id
          UNION ALL SELECT a.tenant_id FROM csm.accounts a WHERE a.id = account_id
          UNION ALL SELECT c.tenant_id FROM csm.cases c WHERE c.id = case_id) x;
    IF tenant IS NULL OR NOT csm_private.may_keep_privacy(tenant) THEN
        RAISE EXCEPTION 'permission denied to place a legal hold' USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators hold a person, an account or a case of their tenant.';
    END IF;
    INSERT INTO csm.legal_holds (tenant_id, user_id, account_id, case_id, reason, placed_by)
    VALUES (tenant, user_id, account_id, case_id, reason, csm.current_user_id()) RETURNING * INTO made;
    PERFORM csm_private.audit('legal_hold_placed', csm.current_user_id(), user_id, account_id, jsonb_build_object('hold', made.id), tenant);
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';

CREATE OR REPLACE FUNCTION csm.release_hold(hold_id bigint) RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hold csm.legal_holds;
BEGIN
    SELECT * INTO hold FROM csm.legal_holds h WHERE h.id = hold_id FOR UPDATE;
    IF hold.id IS NULL OR NOT csm_private.may_keep_privacy(hold.tenant_id) THEN
        RAISE EXCEPTION 'permission denied to release legal hold %', coalesce(hold_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators do.';
    ELSIF hold.released_at IS NULL THEN
        UPDATE csm.legal_holds h SET released_at = clock_timestamp(), released_by = csm.current_user_id()
        WHERE h.id = hold.id AND h.tenant_id = hold.tenant_id RETURNING * INTO hold;
        PERFORM csm_private.audit('legal_hold_released', csm.current_user_id(), hold.user_id, hold.account_id,
                                  jsonb_build_object('hold', hold.id), hold.tenant_id);
    END IF;
    RETURN hold;
END $$;
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';

-- ---- erasing ----

-- What stands in the person's own cases: texts, fields, files (whoever attached
-- them, for their content cannot be searched), and the history of all that.
-- With all_texts also what anybody wrote there.
CREATE OR REPLACE FUNCTION csm_private.erase_texts(case_ids bigint[], all_texts boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cases bigint;
    entries bigint;
    files bigint;
    links bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.cases c
    SET subject = 'erased', description = NULL, resolution_notes = CASE WHEN c.resolution_notes IS NOT NULL THEN 'erased' END,
        attributes = '{}', idempotency_key = NULL
    WHERE c.id = ANY (case_ids);
    GET DIAGNOSTICS cases = ROW_COUNT;
    UPDATE csm.case_internal f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_side_fields f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_lines l
    SET description = CASE WHEN l.description IS NOT NULL THEN 'erased' END,
        resolution_notes = CASE WHEN l.resolution_notes IS NOT NULL THEN 'erased' END
    WHERE l.case_id = ANY (case_ids);
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a
    WHERE a.case_id = ANY (case_ids) AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id AND t.content <> '';
    UPDATE csm.attachments a
    SET file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.case_id = ANY (case_ids) AND a.file_name <> 'erased';
    GET DIAGNOSTICS files = ROW_COUNT;
    IF all_texts THEN
        UPDATE csm.case_entries e SET body = 'erased' WHERE e.case_id = ANY (case_ids) AND e.body <> 'erased';
        GET DIAGNOSTICS entries = ROW_COUNT;
        UPDATE csm.case_tasks t
        SET subject = 'erased', description = CASE WHEN t.description IS NOT NULL THEN 'erased' END,
            close_notes = CASE WHEN t.close_notes IS NOT NULL THEN 'erased' END
        WHERE t.case_id = ANY (case_ids);
        UPDATE csm.dispute_proposals p
        SET notes = CASE WHEN p.notes IS NOT NULL THEN 'erased' END, reason = CASE WHEN p.reason IS NOT NULL THEN 'erased' END
        WHERE p.case_id = ANY (case_ids);
        UPDATE csm.handling_notes n SET body = 'erased' WHERE n.case_id = ANY (case_ids);
        UPDATE csm.case_blocks b SET note = 'erased' WHERE b.case_id = ANY (case_ids) AND b.note IS NOT NULL;
        UPDATE csm.escalations x
        SET justification = 'erased', decision_note = CASE WHEN x.decision_note IS NOT NULL THEN 'erased' END,
            closing_note = CASE WHEN x.closing_note IS NOT NULL THEN 'erased' END
        WHERE x.case_id = ANY (case_ids);
    END IF;
    -- The links that the statements above left say nothing of what was.
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.case_id = ANY (case_ids) AND h.salt IS NOT NULL AND h.action <> 'erase'
      AND (h.payload ?| '{subject,description,resolution_notes,attributes,idempotency_key,internal.attributes,customer.attributes,counterparty.attributes,attachment.id}'
           OR all_texts AND h.payload ? 'entry.id');
    GET DIAGNOSTICS links = ROW_COUNT;
    PERFORM csm_private.end_erasure();
    RETURN jsonb_build_object('cases', cases, 'attachments', files, 'case_history', links) || CASE WHEN all_texts
        THEN jsonb_build_object('case_entries', entries) ELSE '{}' END;
END $$;
COMMENT ON FUNCTION csm_private.erase_texts(bigint[], boolean) IS
'Empties what is written in these cases: their own texts, fields and files, with all_texts also what anybody wrote on them; and the history of it. Returns how many rows by table';

CREATE OR REPLACE FUNCTION csm_private.erase(person csm.users) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id ORDER BY c.id);
    gone jsonb := csm_private.erase_texts(own, false);
    kinds CONSTANT text[] := ARRAY(SELECT csm_private.act_kinds(person.tenant_id));
    -- History goes on naming persons who were made one with him.
    ids CONSTANT bigint[] := person.id || ARRAY(SELECT m.removed_id FROM csm.user_merges m WHERE m.kept_id = person.id);
    c record;
    n bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.case_entries e SET author_name = 'erased', body = 'erased' WHERE e.author_id = person.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_entries', n);
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a WHERE a.author_id = person.id AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id;
    UPDATE csm.attachments a
    SET author_name = 'erased', file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.author_id = person.id;
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.salt IS NOT NULL
      AND h.id = ANY (ARRAY(SELECT a.id FROM csm_private.acts a
                            WHERE a.tenant_id = person.tenant_id AND a.kind = ANY (kinds) AND a.actor_id = ANY (ids)));
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_history', n + (gone ->> 'case_history')::bigint);
    UPDATE csm.handling_notes t SET body = 'erased'
    FROM csm.contacts k WHERE k.user_id = person.id AND t.contact_id = k.id AND t.tenant_id = k.tenant_id;

    FOR c IN SELECT p.table_name, p.subject, p.erasure, array_agg(p.column_name ORDER BY p.column_name) AS columns
             FROM csm_private.personal_columns() p WHERE p.erasure IN ('null', 'word', 'object', 'list', 'delete') GROUP BY 1, 2, 3
    LOOP
        IF c.erasure = 'delete' THEN
            EXECUTE format('DELETE FROM %s WHERE %I = $1 AND tenant_id = $2', c.table_name, c.subject) USING person.id, person.tenant_id;
        ELSE
            EXECUTE format('UPDATE %s SET %s WHERE %I = $1 AND tenant_id = $2', c.table_name,
                           (SELECT string_agg(format(CASE c.erasure WHEN 'null' THEN '%1$I = NULL' WHEN 'object' THEN '%1$I = ''{}''' WHEN 'list' THEN '%1$I = ''[]'''
                                                     ELSE '%1$I = CASE WHEN %1$I IS NOT NULL THEN ''erased'' END' END, x), ', ')
                            FROM unnest(c.columns) x), c.subject)
            USING person.id, person.tenant_id;
        END IF;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            gone := gone || jsonb_build_object(substr(c.table_name, 5), n + coalesce((gone ->> substr(c.table_name, 5))::bigint, 0));
        END IF;
    END LOOP;
    -- What was begun with his address before there was a person.
    DELETE FROM csm.outbox o WHERE o.tenant_id = person.tenant_id AND lower(btrim(o.recipient)) = person.email_key;
    DELETE FROM csm.registrations r WHERE r.tenant_id = person.tenant_id AND r.email_key = person.email_key;
    UPDATE csm.contacts k SET login_enabled = false WHERE k.user_id = person.id AND k.login_enabled;
    UPDATE csm.users u
    SET display_name = 'erased', email = NULL, phone = NULL, title = NULL, external_id = NULL, login_role = NULL,
        language = 'en', time_zone = 'UTC', enabled = false
    WHERE u.id = person.id AND u.tenant_id = person.tenant_id;
    PERFORM csm_private.end_erasure();
    -- Samples of what was erased stand in the planner's statistics.
    ANALYZE csm.cases (subject, search);
    RETURN gone;
END $$;
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';

CREATE OR REPLACE FUNCTION csm.request_erasure(case_id bigint, reason text) RETURNS csm.erasure_requests
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    made csm.erasure_requests;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF c.id IS NULL OR NOT (is_system OR csm_private.case_allows(c, 'case_read')) THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'permission denied to ask for an erasure from case %', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the privacy request do.';
    ELSIF csm_private.machine_type(c.tenant_id, c.case_type) IS DISTINCT FROM 'privacy_request' AND c.case_type <> 'privacy_request'
       OR c.attributes ->> 'right_asked' IS DISTINCT FROM 'erasure' OR c.state_class NOT IN ('open', 'waiting')
       OR NOT EXISTS (SELECT FROM csm.case_internal i WHERE i.case_id = c.id AND i.tenant_id = c.tenant_id AND i.attributes ? 'identity_proof') THEN
        RAISE EXCEPTION 'case % is no privacy request for erasure whose identity is confirmed', c.number USING ERRCODE = '22023',
            HINT = 'Take a case of type privacy_request with right_asked erasure, and set identity_proof, first.';
    END IF;
    INSERT INTO csm.erasure_requests (tenant_id, user_id, case_id, reason, requested_by)
    VALUES (c.tenant_id, c.requester_id, c.id, reason, csm.current_user_id()) RETURNING * INTO made;
    PERFORM csm_private.audit('erasure_requested', csm.current_user_id(), c.requester_id, NULL, jsonb_build_object('request', made.id), c.tenant_id);
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.request_erasure(bigint, text) IS
'Asks that the requester of a privacy request be erased; a second person does it with csm.erase_person(). Staff who work on the case. Errors: SM001, 42501, 22023 no open privacy_request with right_asked erasure and an identity_proof, 23505 asked for already';

CREATE OR REPLACE FUNCTION csm.erase_person(user_id bigint, reason text) RETURNS csm.erasure_requests
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person csm.users := csm_private.person_to_keep(erase_person.user_id);
    me CONSTANT bigint := csm.current_user_id();
    request csm.erasure_requests;
    gone jsonb;
BEGIN
    IF coalesce(erase_person.reason, '') !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'an erasure needs a reason' USING ERRCODE = '22023', HINT = 'Say on what ground the person is erased.';
    END IF;
    SELECT * INTO person FROM csm.users u WHERE u.id = person.id FOR UPDATE;
    SELECT * INTO request FROM csm.erasure_requests r WHERE r.user_id = person.id AND r.erased_at IS NULL FOR UPDATE;
    IF request.id IS NULL AND csm_private.acts_as_system() THEN
        INSERT INTO csm.erasure_requests (tenant_id, user_id, reason) VALUES (person.tenant_id, person.id, erase_person.reason)
        RETURNING * INTO request;
    ELSIF request.id IS NULL THEN
        RAISE EXCEPTION 'nobody asked for the erasure of user %', person.id USING ERRCODE = '55000',
            HINT = 'csm.request_erasure() does, from his privacy request; a second person then erases.';
    ELSIF me IN (request.requested_by, person.id) THEN
        RAISE EXCEPTION 'erasing user % takes a second person', person.id USING ERRCODE = '42501',
            HINT = 'Neither who asked for it nor the person himself can approve it.';
    END IF;
    PERFORM csm_private.refuse_held(person);
    gone := csm_private.erase(person);
    UPDATE csm.erasure_requests r
    SET erased = gone, approved_by = me, erased_at = clock_timestamp(), reason = 'erased'
    WHERE r.id = request.id AND r.tenant_id = request.tenant_id RETURNING * INTO request;
    PERFORM csm_private.audit('person_erased', me, person.id, NULL, jsonb_build_object('request', request.id), person.tenant_id);
    RETURN request;
END $$;
COMMENT ON FUNCTION csm.erase_person(bigint, text) IS
'Erases a person: every registered personal column of his, the texts, fields and files of his cases, his entries, the history of these; his row stays, disabled, as a number. Keeps cases, counts, and a chain that verifies. Done by staff with person_manage or an administrator other than who asked for it with csm.request_erasure(); the system needs no request. What others wrote: csm.find_mentions(), before. Errors: 42501 (also for an unknown person), 55000 nobody asked, 55006 legal hold, 22023 no reason';

-- ---- what others wrote ----

CREATE OR REPLACE FUNCTION csm_private.mention_pattern(person csm.users) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(DISTINCT regexp_replace(w.word, '([][\\.(){}*+?^$|])', '\\\1', 'g'), '|')
    FROM (SELECT t.term FROM unnest(ARRAY[person.display_name, person.email, person.phone, person.external_id,
                                          substring(person.display_name FROM '[^[:space:]]+$')]) t(term)
          WHERE length(btrim(t.term)) >= 3 AND person.display_name <> 'erased') n
    -- as it stands in a text, and as JSON writes it
    CROSS JOIN LATERAL (VALUES (btrim(n.term)), (btrim(to_json(btrim(n.term))::text, '"'))) w(word)
$$;
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id; NULL for an erased one';

-- Which column tells a row of a table, and which its case.
CREATE OR REPLACE FUNCTION csm_private.row_key(table_name text, OUT key text, OUT case_key text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT a.attname FROM pg_attribute a
            WHERE a.attrelid = table_name::regclass AND a.attname IN ('id', 'case_id', 'user_id') AND NOT a.attisdropped
            ORDER BY array_position('{id,case_id,user_id}', a.attname::text) LIMIT 1),
           CASE WHEN table_name = 'csm.cases' THEN 'id'
                WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = table_name::regclass AND a.attname = 'case_id') THEN 'case_id' END
$$;
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';

CREATE OR REPLACE FUNCTION csm.find_mentions(user_id bigint)
RETURNS TABLE (table_name text, column_name text, row_id bigint, case_id bigint, excerpt text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(find_mentions.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id);
    c record;
BEGIN
    FOR c IN SELECT p.table_name AS tab, p.column_name AS col, p.subject, p.erasure, k.key, k.case_key
             FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
             WHERE p.content IN ('text', 'person') AND k.key IS NOT NULL AND p.table_name <> 'csm.users'
               AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content') AND pattern IS NOT NULL
             ORDER BY 1, 2
    LOOP
        -- without what csm.erase_person() empties by itself
        RETURN QUERY EXECUTE format(
            'SELECT %L, %L, t.%I, %s, substring(t.%I::text FROM ''(?i).{0,40}(?:'' || $2 || '').{0,40}'') FROM %s t '
            'WHERE t.tenant_id = $3 AND t.%I::text ~* $2 %s %s', c.tab, c.col, c.key, coalesce('t.' || quote_ident(c.case_key), 'NULL::bigint'),
            c.col, c.tab, c.col,
            CASE WHEN c.subject IS NOT NULL AND c.erasure <> 'offer' THEN format('AND t.%I IS DISTINCT FROM $1', c.subject) ELSE '' END,
            CASE WHEN c.tab IN ('csm.case_history', 'csm.case_internal', 'csm.case_side_fields', 'csm.case_lines', 'csm.attachments')
                 THEN format('AND t.%I <> ALL ($4)', c.case_key) ELSE '' END)
        USING person.id, pattern, person.tenant_id, own;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';

CREATE OR REPLACE FUNCTION csm.redact_mention(user_id bigint, table_name text, column_name text, row_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(redact_mention.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    place record;
    n bigint;
BEGIN
    SELECT p.table_name AS tab, p.column_name AS col, k.key, k.case_key INTO place
    FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
    WHERE p.table_name = redact_mention.table_name AND p.column_name = redact_mention.column_name
      AND p.content IN ('text', 'person') AND k.key IS NOT NULL
      AND p.table_name <> 'csm.users' AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content');
    IF place.tab IS NULL THEN
        RAISE EXCEPTION 'nothing can be redacted in column %.%', redact_mention.table_name, redact_mention.column_name USING ERRCODE = '22023',
            HINT = 'csm.find_mentions() names table, column and row.';
    ELSIF NOT (csm_private.acts_as_system() OR EXISTS (SELECT FROM csm.erasure_requests r
                                                       WHERE r.user_id = person.id AND r.erased_at IS NULL
                                                         AND r.requested_by IS DISTINCT FROM csm.current_user_id())) THEN
        RAISE EXCEPTION 'redacting what others wrote about user % takes a second person', person.id USING ERRCODE = '42501',
            HINT = 'csm.request_erasure() asks for it, from his privacy request.';
    END IF;
    PERFORM csm_private.refuse_held(person);
    IF place.case_key IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s t JOIN csm.cases c ON c.id = t.%I AND c.tenant_id = t.tenant_id '
                       'WHERE t.%I = $1 AND t.tenant_id = $2 AND csm_private.holds_on(c)', place.tab, place.case_key, place.key)
        INTO n USING row_id, person.tenant_id;
        IF n > 0 THEN
            RAISE EXCEPTION 'row % of % belongs to a case under a legal hold', row_id, place.tab USING ERRCODE = '55006',
                HINT = 'csm.legal_holds names it.';
        END IF;
    END IF;
    PERFORM csm_private.begin_erasures();
    IF place.tab = 'csm.case_history' THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.id = row_id AND h.tenant_id = person.tenant_id AND (h.payload::text ~* pattern OR h.actor_name ~* pattern);
    ELSE
        EXECUTE format('UPDATE %1$s t SET %2$I = regexp_replace(t.%2$I::text, $1, ''erased'', ''gi'')::%3$s '
                       'WHERE t.%4$I = $2 AND t.tenant_id = $3 AND t.%2$I::text ~* $1',
                       place.tab, place.col, (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
                                              WHERE a.attrelid = place.tab::regclass AND a.attname = place.col), place.key)
        USING pattern, row_id, person.tenant_id;
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    -- A link that vouches for the old text cannot stay.
    IF n > 0 AND place.tab IN ('csm.case_entries', 'csm.attachments') THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.case_id = (SELECT e.case_id FROM csm.case_entries e WHERE place.tab = 'csm.case_entries' AND e.id = row_id
                           UNION ALL SELECT a.case_id FROM csm.attachments a WHERE place.tab = 'csm.attachments' AND a.id = row_id)
          AND h.payload #>> CASE place.tab WHEN 'csm.attachments' THEN '{attachment.id,1}'::text[] ELSE '{entry.id,1}' END = row_id::text;
    END IF;
    PERFORM csm_private.end_erasure();
    IF n > 0 THEN
        PERFORM csm_private.audit('mention_redacted', csm.current_user_id(), person.id, NULL,
                                  jsonb_build_object('table', place.tab, 'column', place.col, 'row', row_id), person.tenant_id);
    END IF;
    RETURN n > 0;
END $$;
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';

-- ---- retention ----

-- One tenant, at most so many cases and persons: what is left over the next run
-- meets.
CREATE OR REPLACE FUNCTION csm_private.retain(tenant_id bigint, at timestamptz, at_most integer)
RETURNS TABLE (kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rules CONSTANT jsonb := (SELECT t.settings -> 'retention' FROM csm.tenants t WHERE t.id = tenant_id);
    before timestamptz;
    ids bigint[];
    person csm.users;
    gone jsonb;
BEGIN
    IF jsonb_typeof(rules -> 'case_days') = 'number' THEN
        kind := 'case';
        before := at - (rules ->> 'case_days')::numeric::integer * interval '1 day';
        SELECT count(*) INTO held FROM csm.cases c
        WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
          AND coalesce(c.closed_at, c.updated_at) < before AND csm_private.holds_on(c);
        ids := ARRAY(SELECT c.id FROM csm.cases c
                     WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
                       AND coalesce(c.closed_at, c.updated_at) < before AND NOT csm_private.holds_on(c)
                     ORDER BY c.id LIMIT at_most FOR NO KEY UPDATE SKIP LOCKED);
        erased := cardinality(ids);
        IF erased > 0 THEN
            PERFORM csm_private.erase_texts(ids, true);
            ANALYZE csm.cases (subject, search);
        END IF;
        RETURN NEXT;
    END IF;
    IF jsonb_typeof(rules -> 'person_days') = 'number' THEN
        kind := 'person';
        before := at - (rules ->> 'person_days')::numeric::integer * interval '1 day';
        erased := 0;
        held := 0;
        FOR person IN
            SELECT u.* FROM csm.users u
            WHERE u.tenant_id = tenant_id AND u.created_at < before AND u.login_role IS NULL AND u.display_name <> 'erased'
              AND NOT EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = u.id AND (r.valid_during IS NULL OR upper_inf(r.valid_during) OR upper(r.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.registered_at >= before)
              AND NOT EXISTS (SELECT FROM csm.representations k WHERE u.id IN (k.representative_id, k.represented_id)
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.household_members k WHERE k.user_id = u.id
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.mail_senders s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.event_subscribers s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.sold_products s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.contracts s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = u.id
                              AND (c.state_class NOT IN ('closed', 'cancelled') OR c.updated_at >= before))
              AND NOT EXISTS (SELECT FROM csm.audit_log a WHERE a.actor_id = u.id AND a.at >= before)
            ORDER BY u.id LIMIT at_most FOR UPDATE SKIP LOCKED
        LOOP
            BEGIN
                PERFORM csm_private.refuse_held(person);
            EXCEPTION WHEN object_in_use THEN
                held := held + 1;
                CONTINUE;
            END;
            INSERT INTO csm.erasure_requests AS r (tenant_id, user_id, reason) VALUES (tenant_id, person.id, 'retention')
            ON CONFLICT (user_id) WHERE erased_at IS NULL DO NOTHING;
            gone := csm_private.erase(person);
            UPDATE csm.erasure_requests r SET erased = gone, erased_at = clock_timestamp(), reason = 'erased'
            WHERE r.user_id = person.id AND r.erased_at IS NULL;
            PERFORM csm_private.audit('person_erased', NULL, person.id, NULL, '{"by": "retention"}', tenant_id);
            erased := erased + 1;
        END LOOP;
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days; nothing where a legal hold stands';

CREATE OR REPLACE FUNCTION csm.run_retention(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 1000)
RETURNS TABLE (tenant_id bigint, kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT everywhere AND NOT coalesce(csm.all_in(mine, 'internal', 'configure'), false) THEN
        RAISE EXCEPTION 'permission denied to run retention' USING ERRCODE = '42501',
            HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
    ELSIF run_retention.now IS NULL OR run_retention."limit" IS NULL OR run_retention."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023', HINT = 'Leave them out.';
    ELSIF NOT everywhere AND run_retention.now > clock_timestamp() THEN
        RAISE EXCEPTION 'what is to be kept still cannot be erased' USING ERRCODE = '42501',
            DETAIL = format('The time given is %s.', run_retention.now), HINT = 'Leave now out.';
    END IF;
    RETURN QUERY SELECT t.id, r.kind, r.erased, r.held
                 FROM csm.tenants t CROSS JOIN LATERAL csm_private.retain(t.id, run_retention.now, run_retention."limit") r
                 WHERE everywhere OR t.id = mine;
END $$;
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases and persons of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE OR REPLACE FUNCTION csm_private.due_retention(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_most CONSTANT integer := 200;
    most bigint;
BEGIN
    SELECT max(r.erased) INTO most FROM csm_private.retain(due_retention.tenant_id, due_retention.at, at_most) r;
    IF most IS NOT NULL THEN
        PERFORM csm_private.set_timer(due_retention.tenant_id, 'retention', due_retention.object_id, NULL,
            due_retention.at + CASE WHEN most < at_most THEN interval '1 day' ELSE interval '1 minute' END);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';

CREATE OR REPLACE FUNCTION csm_private.begin_retention() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.settings ? 'retention' THEN
        FOR rule IN SELECT r.key, r.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings -> 'retention') WHEN 'object'
                                                          THEN NEW.settings -> 'retention' ELSE '{"retention": null}' END) r LOOP
            IF rule.key NOT IN ('case_days', 'person_days') OR jsonb_typeof(rule.value) <> 'number'
               OR rule.value::text !~ '^[1-9][0-9]{0,4}$' THEN
                RAISE EXCEPTION 'setting retention of a tenant has case_days and person_days, whole days from 1 to 99999' USING ERRCODE = '22023',
                    DETAIL = format('It has %s: %s.', rule.key, rule.value), HINT = 'Leave out what is to be kept for ever.';
            END IF;
        END LOOP;
    END IF;
    PERFORM csm_private.set_timer(NEW.id, 'retention', NEW.id, NULL,
        CASE WHEN NEW.settings ? 'retention' THEN clock_timestamp() + interval '1 hour' END);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';

-- ---- what is kept of a person ----

-- Columns that say whom a row is about or by: foreign keys to csm.users, and
-- those without one.
CREATE OR REPLACE FUNCTION csm.person_references() RETURNS TABLE (table_name text, column_name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, t.relname), a.attname::text
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_class u ON u.oid = k.confrelid AND u.relname = 'users'
    JOIN pg_namespace un ON un.oid = u.relnamespace AND un.nspname = 'csm'
    WHERE k.contype = 'f' AND n.nspname IN ('csm', 'csm_private') AND a.attname <> 'tenant_id'
  UNION
    VALUES ('csm.users', 'id'), ('csm.case_history', 'actor_id'), ('csm.case_history', 'on_behalf_of'), ('csm.events', 'actor_id'),
           ('csm.events', 'on_behalf_of'), ('csm.case_entries', 'on_behalf_of'),
           ('csm.audit_log', 'actor_id'), ('csm.audit_log', 'subject_user_id'), ('csm.case_children', 'user_id')
$$;
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';

CREATE OR REPLACE FUNCTION csm.export_person_in_full(user_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(export_person_in_full.user_id);
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.table_name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND NOT EXISTS (SELECT FROM csm_private.personal_columns() p
                                       WHERE p.table_name = f.table_name AND p.column_name = a.attname AND p.content = 'secret')) AS columns
             FROM csm.person_references() f ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1 AND t.tenant_id = $2) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING person.id, person.tenant_id;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = person.id AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM person.id;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', person.id, 'made_at', clock_timestamp(), 'made_by', csm.current_user_id(), 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';

-- With the rights of its caller: a person reads of himself what he may read
-- elsewhere, no more.
CREATE OR REPLACE FUNCTION csm.export_person(user_id bigint DEFAULT csm.current_user_id()) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    IF export_person.user_id IS DISTINCT FROM me OR me IS NULL OR NOT row_security_active('csm.users') THEN
        RETURN csm.export_person_in_full(export_person.user_id);
    END IF;
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND has_column_privilege(f.oid, a.attnum, 'SELECT')) AS columns
             FROM (SELECT p.table_name, p.column_name, c.oid
                   FROM csm.person_references() p
                   JOIN pg_class c ON c.relname = split_part(p.table_name, '.', 2)
                   JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = split_part(p.table_name, '.', 1)
                   -- the relation first: elsewhere one of the same name has other columns
                   WHERE CASE WHEN n.nspname = 'csm' THEN has_column_privilege(c.oid, p.column_name, 'SELECT') ELSE false END) f
             ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING me;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = me AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM me;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', me, 'made_at', clock_timestamp(), 'made_by', me, 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';

-- ---- reporting ----

CREATE VIEW csm_report.people WITH (security_invoker = true) AS
SELECT u.id,
       'Person ' || u.id AS label,
       u.enabled,
       u.language,
       u.time_zone,
       u.created_at,
       EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id AND e.tenant_id = u.tenant_id) AS is_employee,
       EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_consumer,
       EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_contact
FROM csm.users u;
ALTER VIEW csm_report.people OWNER TO csm_owner;
REVOKE ALL ON csm_report.people FROM PUBLIC;
GRANT SELECT ON csm_report.people TO csm_agent, csm_reporter, csm_admin;
-- A department names few people, a free text may name any.
REVOKE SELECT ON csm.employees, csm.contract_lines FROM csm_reporter;
GRANT SELECT (user_id, tenant_id, manager_id) ON csm.employees TO csm_reporter;
GRANT SELECT (id, tenant_id, contract_id, product_id, sold_product_id, asset_id, quantity) ON csm.contract_lines TO csm_reporter;
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.may_keep_privacy(bigint)',
        'csm_private.person_to_keep(bigint)',
        'csm_private.holds_on(csm.cases)',
        'csm_private.refuse_held(csm.users)',
        'csm.place_hold(text, bigint, bigint, bigint)',
        'csm.release_hold(bigint)',
        'csm_private.erase_texts(bigint[], boolean)',
        'csm_private.erase(csm.users)',
        'csm.request_erasure(bigint, text)',
        'csm.erase_person(bigint, text)',
        'csm_private.mention_pattern(csm.users)',
        'csm_private.row_key(text)',
        'csm.find_mentions(bigint)',
        'csm.redact_mention(bigint, text, text, bigint)',
        'csm_private.retain(bigint, timestamptz, integer)',
        'csm.run_retention(timestamptz, integer)',
        'csm_private.due_retention(bigint, bigint, timestamptz)',
        'csm_private.begin_retention()',
        'csm.person_references()',
        'csm.export_person_in_full(bigint)',
        'csm.export_person(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.place_hold(text, bigint, bigint, bigint), csm.release_hold(bigint), csm.request_erasure(bigint, text),
    csm.erase_person(bigint, text), csm.find_mentions(bigint), csm.redact_mention(bigint, text, text, bigint) TO csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.run_retention(timestamptz, integer) TO csm_admin;
GRANT EXECUTE ON FUNCTION csm.export_person(bigint), csm.export_person_in_full(bigint), csm.person_references() TO csm_portal, csm_agent, csm_admin;

CREATE TRIGGER tenants_50_retention AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_retention();
-- Samples that were taken when the columns had statistics.
DELETE FROM pg_statistic s
USING csm_private.personal_columns() p, pg_attribute a
WHERE p.content <> 'none' AND a.attrelid = p.table_name::regclass AND a.attname = p.column_name AND a.attstattarget = 0
  AND s.starelid = a.attrelid AND s.staattnum = a.attnum;

COMMENT ON SCHEMA csm IS 'Customer service management: the public tables and functions';
COMMENT ON SCHEMA csm_private IS 'Internals of csm; no role but csm_owner has USAGE';
COMMENT ON SCHEMA csm_report IS 'Views for reporting: row-level security of the reader applies, no personal data';
COMMENT ON FUNCTION csm_private.schema_of(text) IS
'Quoted name of the schema in which an installed extension lives; NULL when it is not installed';
COMMENT ON FUNCTION csm_private.is_valid(tstzrange, timestamptz) IS
'Whether the range counts at the instant; NULL range: always';
COMMENT ON FUNCTION csm_private.next_change(tstzrange, timestamptz) IS
'First instant after the given one at which is_valid() can answer otherwise; NULL when it never will';
COMMENT ON FUNCTION csm.current_user_id() IS
'The signed-in person (csm.users.id); NULL when nobody is signed in, or the person or the tenant is disabled';
COMMENT ON FUNCTION csm.current_tenant_id() IS
'Tenant of the signed-in person; NULL when nobody is signed in';
COMMENT ON FUNCTION csm.guest_tenant_id() IS
'Tenant of a visitor who is not signed in: the one whose key stands in csm.tenant, by default the only tenant; NULL when somebody is signed in, the key is unknown, or the tenant is disabled';
COMMENT ON FUNCTION csm.default_tenant_id() IS
'Default of every tenant_id column: the tenant of the signed-in person; without identity the only tenant; error 22023 where there are several';
COMMENT ON FUNCTION csm.sign_out() IS
'Makes the session nobody, with no fallback to a mapped login role, until the setting is made anew or RESET ALL';
COMMENT ON FUNCTION csm.act_as(text) IS
'Narrows the rights of the transaction to one persona: contact:<id>, consumer, employee or staff:<role>; NULL lifts it. Error 22023 for text of another form; a well-formed persona that the person does not hold gives no rights';
COMMENT ON FUNCTION csm_private.access_support(internal) IS
'Planner support of the access predicates: index condition, selectivity, cost';
COMMENT ON FUNCTION csm.all_tenant(text) IS
'The tenant in which the person has reach "all" for the action in at least one branch; NULL when in none';
COMMENT ON FUNCTION csm.accounts_allowing(text) IS
'Sorted ids: accounts on which the action is allowed, or on a part of whose cases; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.accounts_known() IS
'Sorted ids: accounts on which the person has any right at all; empty for nobody';
COMMENT ON FUNCTION csm.requesters_allowing(text) IS
'Sorted ids: the person and those he speaks for (household members, represented persons, persons on whose team he is); empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.openers_allowing(text) IS
'Sorted ids: the person himself when opening a case can give him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.internal_contacts_allowing(text) IS
'Sorted ids: the person himself when being the internal contact of a case gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_accounts_allowing(text) IS
'Sorted ids: partner accounts through which cases that name the partner account admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids through which cases that name him as partner contact admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.households_allowing(text) IS
'Sorted ids: households that the person heads, or on whose team he is; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.organizations_allowing(text) IS
'Sorted ids: service organisations in the person''s reach; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.shared_cases_allowing(text) IS
'Sorted ids: cases shared with the person or one of his accounts; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparties_allowing(text) IS
'Sorted ids: accounts for which the person may act as the counterparty of a dispute; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparty_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids, when being named as the counterparty''s contact gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.parties_allowing(text) IS
'Sorted keys of csm.cases.party_keys through which the person may have the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) IS
'The rarer parties of a case as one array (id * 8 + kind), NULL when there are none: one index and one arm of the policy serve them all';
COMMENT ON FUNCTION csm.party_allows(bigint[], text, bigint, timestamptz, timestamptz, text) IS
'True where any party in csm.cases.party_keys admits the action, each by its own rule: partner_allows, partner_contact_allows, household_allows, internal_contact_allows, organization_allows, and, once the case is submitted, counterparty_allows and counterparty_contact_allows';
COMMENT ON FUNCTION csm.all_in(bigint, text, text) IS
'True where the person has reach "all" for the action in the branch (b2b, b2c, internal) of that tenant';
COMMENT ON FUNCTION csm.account_allows(bigint, text) IS
'True where the person may do the action on every case and record of the account; an account of which he may see cases only from a date on is left out';
COMMENT ON FUNCTION csm.account_allows(bigint, timestamptz, text) IS
'As account_allows(bigint, text), and for an account of a partner relationship with history_from, from that instant on';
COMMENT ON FUNCTION csm.account_known(bigint) IS
'True where the person has any right on the account';
COMMENT ON FUNCTION csm.requester_allows(bigint, text, bigint, text) IS
'True for the person''s own cases while the persona behind them is valid (V4), and for b2c cases of those he speaks for (V6); account_id may be NULL';
COMMENT ON FUNCTION csm.opener_allows(bigint, text, bigint, text) IS
'True for cases that the person opened, while the persona he opened them through is valid (V4); account_id may be NULL';
COMMENT ON FUNCTION csm.internal_contact_allows(bigint, text, text) IS
'True where the person is the internal contact of the case and holds a staff role with reach own';
COMMENT ON FUNCTION csm.partner_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person''s partner account, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.partner_contact_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person as partner contact, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.household_allows(bigint, text) IS
'True for the household that the person heads, or on whose team he is';
COMMENT ON FUNCTION csm.organization_allows(bigint, text, text) IS
'True for service organisations in the person''s reach, less the excluded subtrees';
COMMENT ON FUNCTION csm.shared_case_allows(bigint, text) IS
'True for a case shared with the person or one of his accounts, as far as the share''s capabilities go (V7)';
COMMENT ON FUNCTION csm.counterparty_allows(bigint, timestamptz, text) IS
'True where the person acts for the account against which a dispute is raised: by role, or as any contact where the account has neither manager nor admin (V8)';
COMMENT ON FUNCTION csm.counterparty_contact_allows(bigint, text) IS
'True where the person is the named contact of the counterparty (V8)';
COMMENT ON FUNCTION csm_private.signal() IS
'Row and TRUNCATE trigger of the edge tables: tells every session that access maps built from these keys are suspect. Arguments: pairs of key kind and column';
COMMENT ON FUNCTION csm_private.restoring() IS
'True while rows are loaded from a dump (csm.restoring is on, or auto and a superuser runs with row_security off) and while personal data are erased. Every trigger that derives or judges honours it';
COMMENT ON FUNCTION csm_private.adopt_table(text) IS
'Install scripts only: owner, row security, tenant policy and dump registration for a new table';
COMMENT ON FUNCTION csm_private.signal_on(text, text[], text[]) IS
'Install scripts only: attaches the signal triggers to an edge table';
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches and csm.contains: index condition, selectivity';
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';
COMMENT ON TABLE csm.tenants IS 'One row an organisation that serves customers; made by csm.create_tenant()';
COMMENT ON COLUMN csm.tenants.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.tenants.key IS 'Short name for csm.tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.tenants.name IS 'Name that people read';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object';
COMMENT ON COLUMN csm.tenants.enabled IS 'False: nobody of the tenant is signed in any more, from the next statement on';
COMMENT ON COLUMN csm.tenants.created_at IS 'When the tenant was made';
COMMENT ON POLICY tenants_select ON csm.tenants IS 'Everyone signed in reads his own tenant';
COMMENT ON POLICY tenants_update ON csm.tenants IS 'Administrators change name and settings';
COMMENT ON TABLE csm.roles IS 'Roles that a persona can hold; shipped ones are copied by csm.create_tenant()';
COMMENT ON COLUMN csm.roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.roles.role IS 'Key of the role';
COMMENT ON COLUMN csm.roles.kind IS 'Who can hold it: person (everyone), contact, consumer or staff';
COMMENT ON COLUMN csm.roles.user_class IS 'Class for licence counting: external, stakeholder or fulfiller';
COMMENT ON COLUMN csm.roles.label IS 'Name that people read';
COMMENT ON COLUMN csm.roles.branches IS 'Branches in which a staff role counts; an assignment can only narrow them';
COMMENT ON COLUMN csm.roles.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON POLICY roles_select ON csm.roles IS 'Everyone signed in reads the roles of his tenant';
COMMENT ON POLICY roles_write ON csm.roles IS 'Administrators keep the roles';
COMMENT ON TABLE csm.role_permissions IS 'What a role may do, and how far it reaches; the rules V1 to V9 are compiled from these rows';
COMMENT ON COLUMN csm.role_permissions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.role_permissions.role IS 'Role that gets the permission';
COMMENT ON COLUMN csm.role_permissions.action IS 'Action; case_work (staff: take, answer, work notes, plain UPDATE), configure (administration) and act_for (csm.on_behalf_of(); shipped with no role) are for staff roles only';
COMMENT ON COLUMN csm.role_permissions.reach IS 'own; account, subtree, related (contacts); team, organization, all (staff). A reach that does not fit the kind of the role gives nothing';
COMMENT ON POLICY role_permissions_select ON csm.role_permissions IS 'Everyone signed in reads the permissions of his tenant';
COMMENT ON POLICY role_permissions_write ON csm.role_permissions IS 'Administrators keep the permissions';
COMMENT ON TABLE csm.users IS 'One row a human, whatever personas he has';
COMMENT ON COLUMN csm.users.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.users.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.users.display_name IS 'Name shown on cases he takes part in';
COMMENT ON COLUMN csm.users.email IS 'E-mail as written; NULL when unknown';
COMMENT ON COLUMN csm.users.email_key IS 'E-mail trimmed and in lower case; unique in the tenant';
COMMENT ON COLUMN csm.users.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.users.time_zone IS 'Time zone name (IANA)';
COMMENT ON COLUMN csm.users.phone IS 'Telephone number as written';
COMMENT ON COLUMN csm.users.title IS 'Job title or form of address';
COMMENT ON COLUMN csm.users.enabled IS 'False: the person is nobody, from the next statement on (V10)';
COMMENT ON COLUMN csm.users.login_role IS 'PostgreSQL role that acts as this person; set by csm.map_login() only';
COMMENT ON COLUMN csm.users.external_id IS 'Key in the directory the person was imported from; unique in the tenant';
COMMENT ON COLUMN csm.users.created_at IS 'When the row was made';
COMMENT ON TABLE csm.employees IS 'Employee persona: the person works for the tenant';
COMMENT ON COLUMN csm.employees.user_id IS 'The person';
COMMENT ON COLUMN csm.employees.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.employees.department IS 'Department; NULL when unknown';
COMMENT ON COLUMN csm.employees.manager_id IS 'Superior; gives no rights';
COMMENT ON POLICY employees_select ON csm.employees IS 'Oneself; staff for internal service';
COMMENT ON POLICY employees_write ON csm.employees IS 'Staff with person_manage';
COMMENT ON TABLE csm.consumers IS 'Consumer persona: the person buys for himself (B2C)';
COMMENT ON COLUMN csm.consumers.user_id IS 'The person';
COMMENT ON COLUMN csm.consumers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.consumers.registered_at IS 'When he became a consumer';
COMMENT ON POLICY consumers_select ON csm.consumers IS 'Oneself, whom one speaks for (V6), staff for consumers';
COMMENT ON POLICY consumers_write ON csm.consumers IS 'Staff with person_manage';
COMMENT ON FUNCTION csm_private.subtree(bigint, bigint) IS
'Ids of an account and all its descendants; no row for an unknown account';
COMMENT ON TABLE csm.accounts IS 'Companies: customers, partners, or both, in a tree of up to 100 levels';
COMMENT ON COLUMN csm.accounts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.accounts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.accounts.number IS 'Human-facing number, unique in the tenant; made from the id when not given';
COMMENT ON COLUMN csm.accounts.name IS 'Name of the company';
COMMENT ON COLUMN csm.accounts.parent_id IS 'Parent account; NULL at the top. A cycle is refused with SM005';
COMMENT ON COLUMN csm.accounts.root_id IS 'Top of the tree, kept by trigger from path';
COMMENT ON COLUMN csm.accounts.path IS 'Ids from the top down to this account, kept by trigger; never written by a client';
COMMENT ON COLUMN csm.accounts.is_customer IS 'The company buys';
COMMENT ON COLUMN csm.accounts.is_partner IS 'The company looks after other accounts';
COMMENT ON COLUMN csm.accounts.active IS 'False: no business any more; gives or takes no access by itself';
COMMENT ON COLUMN csm.accounts.directory_visible IS 'True: contacts may list their colleagues';
COMMENT ON COLUMN csm.accounts.restrict_contact_access IS 'True: plain contacts (roles of reach account) lose the account-wide reading of sold products and install-base items; those linked or authorised keep it';
COMMENT ON COLUMN csm.accounts.created_at IS 'When the row was made';
COMMENT ON TABLE csm_private.tree_moves IS 'One row a tenant, written by every move in its account tree: serialises moves under REPEATABLE READ';
COMMENT ON COLUMN csm_private.tree_moves.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.tree_moves.moves IS 'How many times accounts were moved';
COMMENT ON FUNCTION csm_private.tree_is_current(bigint) IS
'Whether the transaction sees the tenant''s account tree as it is now; always true under READ COMMITTED';
COMMENT ON FUNCTION csm_private.accounts_before() IS 'Numbers an account and takes the tree lock before paths are read';
COMMENT ON FUNCTION csm_private.accounts_after() IS 'Gives new and moved accounts their paths; refuses cycles (SM005) and more than 100 levels (54000)';
COMMENT ON FUNCTION csm_private.depth_of(bigint, bigint) IS 'Levels from the top to the account, by its parents';
COMMENT ON TABLE csm.contacts IS 'Contact persona: the person acts for the account with a role; a person may be contact of many accounts';
COMMENT ON COLUMN csm.contacts.id IS 'Identity, unique in the database; the persona is contact:<id>';
COMMENT ON COLUMN csm.contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contacts.user_id IS 'The person';
COMMENT ON COLUMN csm.contacts.account_id IS 'The account';
COMMENT ON COLUMN csm.contacts.role IS 'Role of kind contact; one of another kind is refused';
COMMENT ON COLUMN csm.contacts.is_home IS 'Account for which he opens cases unless he names another; one at a time';
COMMENT ON COLUMN csm.contacts.login_enabled IS 'False: this persona gives no rights, from the next statement on; the person''s others stay (V10)';
COMMENT ON COLUMN csm.contacts.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON FUNCTION csm_private.check_role_kind() IS 'Refuses a role whose kind does not fit the table; the argument is the kind';
COMMENT ON TABLE csm.account_relationships IS 'A partner account looks after a customer account, or two accounts trade with one another';
COMMENT ON COLUMN csm.account_relationships.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_relationships.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_relationships.type IS 'partner_of gives the partner access (V5); trades_with gives none and allows disputes between the two';
COMMENT ON COLUMN csm.account_relationships.partner_account_id IS 'The partner';
COMMENT ON COLUMN csm.account_relationships.customer_account_id IS 'The customer that he looks after';
COMMENT ON COLUMN csm.account_relationships.scope IS 'What partner_admin reads: named (cases whose partner_account_id is his account) or all';
COMMENT ON COLUMN csm.account_relationships.history_from IS 'With scope all: cases opened before are left out; NULL means the whole history';
COMMENT ON COLUMN csm.account_relationships.include_descendants IS 'True: holds for the customer''s descendants too';
COMMENT ON COLUMN csm.account_relationships.administers IS 'True: partner_admin manages the customer''s contacts';
COMMENT ON COLUMN csm.account_relationships.valid_during IS 'When the relationship counts; NULL means always';
COMMENT ON POLICY accounts_select ON csm.accounts IS 'Accounts on which the person has any right; staff for business customers';
COMMENT ON POLICY accounts_insert ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY accounts_update ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY contacts_select ON csm.contacts IS 'One''s own, those of accounts with contact_read, staff for business customers';
COMMENT ON POLICY contacts_write ON csm.contacts IS 'Staff with account_manage';
COMMENT ON POLICY account_relationships_select ON csm.account_relationships IS 'The customer''s managers, the partner''s people, staff for business customers';
COMMENT ON POLICY account_relationships_write ON csm.account_relationships IS 'Staff with account_manage';
COMMENT ON POLICY users_select ON csm.users IS 'Oneself; whoever reads one of the person''s personas; staff for internal service';
COMMENT ON POLICY users_insert ON csm.users IS 'Staff with person_manage';
COMMENT ON POLICY users_update ON csm.users IS 'Staff with person_manage';
COMMENT ON TABLE csm.households IS 'Consumers who live together; the head, himself a current member, speaks for current members (V6)';
COMMENT ON COLUMN csm.households.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.households.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.households.name IS 'Name that people read';
COMMENT ON COLUMN csm.households.head_user_id IS 'Head of household; counts while he is a current member; NULL for none';
COMMENT ON TABLE csm.household_members IS 'Membership of a household; one current row a person and household';
COMMENT ON COLUMN csm.household_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.household_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.household_members.household_id IS 'The household';
COMMENT ON COLUMN csm.household_members.user_id IS 'The member';
COMMENT ON COLUMN csm.household_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.representations IS 'One person speaks for another in consumer cases (V6)';
COMMENT ON COLUMN csm.representations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.representations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.representations.representative_id IS 'Who speaks';
COMMENT ON COLUMN csm.representations.represented_id IS 'For whom he speaks';
COMMENT ON COLUMN csm.representations.household_id IS 'Within a household: counts only while both are current members; NULL for any';
COMMENT ON COLUMN csm.representations.valid_during IS 'When the representation counts; NULL means always';
COMMENT ON POLICY households_select ON csm.households IS 'Its head, its team, staff for consumers';
COMMENT ON POLICY household_members_select ON csm.household_members IS 'Oneself, the head, the team, staff for consumers';
COMMENT ON POLICY representations_select ON csm.representations IS 'Both persons, staff for consumers';
COMMENT ON POLICY households_write ON csm.households IS 'Staff with person_manage';
COMMENT ON POLICY household_members_write ON csm.household_members IS 'Staff with person_manage';
COMMENT ON POLICY representations_write ON csm.representations IS 'Staff with person_manage';
COMMENT ON TABLE csm.service_organizations IS 'Stores, branches and other places that give service, in a tree';
COMMENT ON COLUMN csm.service_organizations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organizations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organizations.name IS 'Name that people read';
COMMENT ON COLUMN csm.service_organizations.parent_id IS 'Organisation above; NULL at the top';
COMMENT ON TABLE csm.service_organization_members IS 'Staff of a service organisation: reach organization covers it and what lies below, less what is excluded (V9)';
COMMENT ON COLUMN csm.service_organization_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organization_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organization_members.service_organization_id IS 'The organisation';
COMMENT ON COLUMN csm.service_organization_members.user_id IS 'The person';
COMMENT ON COLUMN csm.service_organization_members.excluded IS 'Organisations left out with everything below them';
COMMENT ON COLUMN csm.service_organization_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.user_roles IS 'Staff personas: staff:<role>; they count under csm_agent, csm_reporter and csm_admin only (V9)';
COMMENT ON COLUMN csm.user_roles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_roles.user_id IS 'The person';
COMMENT ON COLUMN csm.user_roles.role IS 'Role of kind staff; one of another kind is refused';
COMMENT ON COLUMN csm.user_roles.branches IS 'Narrows the branches of the role; NULL keeps them';
COMMENT ON COLUMN csm.user_roles.reach IS 'Replaces the reach of the role''s permissions (not own); NULL keeps it';
COMMENT ON COLUMN csm.user_roles.service_organization_id IS 'With reach organization: this organisation and what lies below, beside the memberships; NULL for those alone';
COMMENT ON COLUMN csm.user_roles.valid_during IS 'When the role counts; NULL means always';
COMMENT ON TABLE csm.account_team IS 'Who looks after an account, a person or a household: reach team (V9)';
COMMENT ON COLUMN csm.account_team.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_team.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_team.account_id IS 'The account; exactly one of account, user and household is set';
COMMENT ON COLUMN csm.account_team.user_id IS 'The person (his b2c cases)';
COMMENT ON COLUMN csm.account_team.household_id IS 'The household (its cases and those of its current members)';
COMMENT ON COLUMN csm.account_team.member_id IS 'Who looks after it';
COMMENT ON COLUMN csm.account_team.responsibility IS 'In which function';
COMMENT ON COLUMN csm.account_team.valid_during IS 'When it counts; NULL means always';
COMMENT ON TABLE csm.groups IS 'Groups of staff to which cases are assigned; give no sight of cases';
COMMENT ON COLUMN csm.groups.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.groups.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.groups.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.groups.parent_id IS 'Group above; NULL at the top';
COMMENT ON TABLE csm.group_members IS 'Members of a group';
COMMENT ON COLUMN csm.group_members.group_id IS 'The group';
COMMENT ON COLUMN csm.group_members.user_id IS 'The person';
COMMENT ON COLUMN csm.group_members.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY user_roles_select ON csm.user_roles IS 'One''s own; staff with person_manage; administrators';
COMMENT ON POLICY user_roles_write ON csm.user_roles IS 'Administrators';
COMMENT ON POLICY account_team_select ON csm.account_team IS 'Members, and staff who read the account''s contacts';
COMMENT ON POLICY account_team_write ON csm.account_team IS 'Staff with account_manage';
COMMENT ON TABLE csm.products IS 'Catalogue of products and services, in a tree; a sub-product names its product as parent';
COMMENT ON COLUMN csm.products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.products.name IS 'Name, unique below its parent';
COMMENT ON COLUMN csm.products.parent_id IS 'Product above; NULL at the top';
COMMENT ON COLUMN csm.products.active IS 'False: not offered for new cases';
COMMENT ON POLICY products_select ON csm.products IS 'Everyone signed in reads the catalogue of his tenant';
COMMENT ON POLICY products_write ON csm.products IS 'Administrators, and staff with product_manage';
COMMENT ON TABLE csm.case_types IS 'Kinds of case; each has a state machine of its own';
COMMENT ON COLUMN csm.case_types.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_types.case_type IS 'Key of the type';
COMMENT ON COLUMN csm.case_types.parent_type IS 'Type from which states, transitions, fields and settings are inherited; NULL for none';
COMMENT ON COLUMN csm.case_types.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_types.active IS 'False: no new case of the type';
COMMENT ON COLUMN csm.case_types.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON COLUMN csm.case_types.settings IS 'What the type says about time and forms, a JSON object; a key that is absent is inherited from the parent type, null switches it off. Keys: priority (1 to 4, of a new case that names none), begins_as_draft, reminder_days and close_days (of a proposed solution), awaiting_info_days, survey, sla, max_attachments and max_attachment_bytes; of disputes response_hours, auto_accept_days, max_rounds, appeal_days, counterparties (trades_with, or any) and both_sides (true: one person may act for both)';
COMMENT ON COLUMN csm.case_types.own_machine IS 'True: only the type''s own states and transitions hold; fields and settings are still inherited';
COMMENT ON TABLE csm.case_states IS 'States of a case type; a state of a type hides the one of the same key that it would inherit';
COMMENT ON COLUMN csm.case_states.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_states.case_type IS 'The type';
COMMENT ON COLUMN csm.case_states.state IS 'Key of the state';
COMMENT ON COLUMN csm.case_states.value IS 'Number by which other systems know the state';
COMMENT ON COLUMN csm.case_states.state_class IS 'What the state means to timers, SLAs and reports: draft, new, open, waiting, resolved, closed or cancelled';
COMMENT ON COLUMN csm.case_states.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_states.active IS 'False: the type does without the state that it would inherit, and without the actions that lead from or to it';
COMMENT ON TABLE csm.case_transitions IS 'A row of a type hides the one of the same state and action that it would inherit. From which state which action leads where, who may take it, and what it demands';
COMMENT ON COLUMN csm.case_transitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_transitions.case_type IS 'The type';
COMMENT ON COLUMN csm.case_transitions.from_state IS 'State in which the action can be taken';
COMMENT ON COLUMN csm.case_transitions.action IS 'Key of the action; one that leads back to from_state changes fields only';
COMMENT ON COLUMN csm.case_transitions.to_state IS 'State to which it leads';
COMMENT ON COLUMN csm.case_transitions.actors IS 'Relations to the case that may take it; any one suffices';
COMMENT ON COLUMN csm.case_transitions.required_fields IS 'Columns of the case that must not be null or blank afterwards, and what csm.act() must be given with a proposal (reference, amount, currency); SM003 otherwise';
COMMENT ON COLUMN csm.case_transitions.note_required IS 'True: csm.act() demands a note (SM003); it becomes a shared entry';
COMMENT ON COLUMN csm.case_transitions.effects IS 'What the action sets, a JSON object. Key: a column (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes) or "actor:column" for one relation, which goes before the plain key; "note" offers the note; "proposal" makes one in csm.dispute_proposals (made) or decides the pending one (accepted, rejected, withdrawn, lapsed, confirmed). Value: text in the column''s input form, null clears. A value that the caller writes in the same statement goes first';
COMMENT ON COLUMN csm.case_transitions.label IS 'Caption of the button';
COMMENT ON COLUMN csm.case_transitions.active IS 'False: the type does without the action that it would inherit';
COMMENT ON COLUMN csm.case_transitions.from_type IS 'Type whose from_state it is, filled in: case_type or the farthest ancestor that has the state';
COMMENT ON COLUMN csm.case_transitions.to_type IS 'Type whose to_state it is, filled in likewise';
COMMENT ON TABLE csm.cases IS 'Cases. Rows are never deleted; closed ones never change. State changes are judged by the machine of the case type, whoever writes';
COMMENT ON COLUMN csm.cases.id IS 'Identity, unique in the database; tells the volume of cases to whoever sees two of them';
COMMENT ON COLUMN csm.cases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.cases.number IS 'Human-facing number, unique in the tenant; made from the id (CS0000042) when not given';
COMMENT ON COLUMN csm.cases.branch IS 'b2b, b2c or internal: set at creation from the requester''s persona, never changed';
COMMENT ON COLUMN csm.cases.case_type IS 'Type, and with it the machine';
COMMENT ON COLUMN csm.cases.state IS 'State of the machine';
COMMENT ON COLUMN csm.cases.state_class IS 'Class of the state, copied from csm.case_states';
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low); the case type''s by default, else 4';
COMMENT ON COLUMN csm.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.subject IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.cases.description IS 'The matter, up to 100,000 characters; NULL for none';
COMMENT ON COLUMN csm.cases.language IS 'Text search configuration for search, such as english; an unknown one counts as simple';
COMMENT ON COLUMN csm.cases.channel IS 'How it came in: web, phone, email, chat, ...';
COMMENT ON COLUMN csm.cases.requester_id IS 'For whom the case is; the caller by default';
COMMENT ON COLUMN csm.cases.opened_by IS 'Who opened it; NULL for the system';
COMMENT ON COLUMN csm.cases.account_id IS 'Customer account of a b2b case; the caller''s home account by default';
COMMENT ON COLUMN csm.cases.household_id IS 'Household of a b2c case';
COMMENT ON COLUMN csm.cases.counterparty_account_id IS 'The other company of a dispute; sees the case from submission on (V8)';
COMMENT ON COLUMN csm.cases.counterparty_contact_id IS 'Contact named for the other company';
COMMENT ON COLUMN csm.cases.partner_account_id IS 'Partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.partner_contact_id IS 'Contact of the partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.internal_contact_id IS 'Employee who speaks for the customer';
COMMENT ON COLUMN csm.cases.service_organization_id IS 'Service organisation that the case belongs to (V9)';
COMMENT ON COLUMN csm.cases.product_id IS 'Product concerned';
COMMENT ON COLUMN csm.cases.asset_id IS 'Install-base item concerned';
COMMENT ON COLUMN csm.cases.entitlement_id IS 'Entitlement under which the case is worked';
COMMENT ON COLUMN csm.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm.cases.assigned_to IS 'Person who works on it';
COMMENT ON COLUMN csm.cases.parent_id IS 'Major case or case it follows up';
COMMENT ON COLUMN csm.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm.cases.resolution_notes IS 'The proposed solution, read by the customer';
COMMENT ON COLUMN csm.cases.needs_attention IS 'The customer, or somebody beside the assignee, said something new';
COMMENT ON COLUMN csm.cases.attributes IS 'Fields of the case type that every party to the case may read, a JSON object';
COMMENT ON COLUMN csm.cases.party_keys IS 'Partner, household, internal contact, service organisation and counterparty as keys for the policy (id * 8 + kind); NULL for none';
COMMENT ON COLUMN csm.cases.search IS 'Words of number, subject and description, for csm.matches(); kept by trigger';
COMMENT ON COLUMN csm.cases.idempotency_key IS 'Given by the client; the same opener and key return the first case';
COMMENT ON COLUMN csm.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm.cases.updated_at IS 'Last change of the row or new entry';
COMMENT ON COLUMN csm.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm.cases.auto_close IS 'False: a proposed solution that nobody answers is not closed by time. Goes off when a solution is given up, on again with the next one; what is written in the same statement goes first';
COMMENT ON COLUMN csm.cases.follow_up_at IS 'When whoever works on the case wants to look at it again: needs_attention goes on then, and a case that waits for information is not closed by time until a day later; NULL for never';
COMMENT ON COLUMN csm.cases.last_response_at IS 'Last shared entry by staff; NULL before the first';
COMMENT ON COLUMN csm.cases.made_sla IS 'False once any SLA of the case was breached; csm sets it';
COMMENT ON COLUMN csm.cases.escalated IS 'An escalation of the case is open; kept by csm.escalations';
COMMENT ON COLUMN csm.cases.follow_the_sun IS 'The customer spoke on a case of priority 1 or 2, or it was escalated: worked on around the clock';
COMMENT ON COLUMN csm.cases.major_state IS 'proposed, accepted, rejected or cancelled as a major case; NULL for an ordinary case';
COMMENT ON TABLE csm.case_parties IS 'A case shared with a person or an account (V7)';
COMMENT ON COLUMN csm.case_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_parties.case_id IS 'The case';
COMMENT ON COLUMN csm.case_parties.user_id IS 'Person it is shared with; exactly one of user and account is set';
COMMENT ON COLUMN csm.case_parties.account_id IS 'Account it is shared with: all its current contacts';
COMMENT ON COLUMN csm.case_parties.capabilities IS 'case_read, and case_comment and case_decide where granted';
COMMENT ON COLUMN csm.case_parties.granted_by IS 'Who shared it; NULL for the system';
COMMENT ON COLUMN csm.case_parties.valid_during IS 'When the share counts; NULL means always';
COMMENT ON TABLE csm.case_entries IS 'Comments, work notes and private entries; append-only';
COMMENT ON COLUMN csm.case_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_entries.case_id IS 'The case';
COMMENT ON COLUMN csm.case_entries.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_entries.author_id IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.case_entries.author_name IS 'His name when he wrote it (V11)';
COMMENT ON COLUMN csm.case_entries.visibility IS 'shared: all who see the case; internal: staff who work on it; private: the author''s side and staff who work on it';
COMMENT ON COLUMN csm.case_entries.side IS 'Side of the author: customer, counterparty or operator';
COMMENT ON COLUMN csm.case_entries.body IS 'Text, up to 100,000 characters';
COMMENT ON COLUMN csm.case_entries.idempotency_key IS 'Given by the client; the same author and key on a case return the first entry';
COMMENT ON COLUMN csm.case_entries.on_behalf_of IS 'For whom the author acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.case_entries.created_at IS 'When it was written';
COMMENT ON TABLE csm.case_internal IS 'Fields of a case that only staff who work on it may read';
COMMENT ON COLUMN csm.case_internal.case_id IS 'The case';
COMMENT ON COLUMN csm.case_internal.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_internal.attributes IS 'Fields, a JSON object';
COMMENT ON TABLE csm.case_side_fields IS 'Fields of a case that one side and staff who work on it may read';
COMMENT ON COLUMN csm.case_side_fields.case_id IS 'The case';
COMMENT ON COLUMN csm.case_side_fields.side IS 'customer or counterparty';
COMMENT ON COLUMN csm.case_side_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_side_fields.attributes IS 'Fields, a JSON object';
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';
COMMENT ON FUNCTION csm_private.case_arms(text, text) IS
'Install scripts only: text of the visibility rule for an action; arms portal, everyone (staff connections) or operator';
COMMENT ON FUNCTION csm_private.case_allows(csm.cases, text) IS
'The rule of the policies of csm.cases for one row and any action; false for nobody, a null row and an unknown action';
COMMENT ON FUNCTION csm_private.case_side_allows(csm.cases, text) IS
'Whether the signed-in person reads what belongs to one side (customer, counterparty) of the case, or works on the case';
COMMENT ON FUNCTION csm_private.case_allows(bigint, bigint, text) IS
'Whether the case is visible to the signed-in person and allows him the action; false for a missing case, nobody and an unknown action';
COMMENT ON FUNCTION csm_private.entry_allows(bigint, bigint, text, text, text) IS
'Whether an entry of the case is visible to the signed-in person: shared with the case, internal to staff who work on it, private to its side and staff who work on it';
COMMENT ON POLICY cases_select ON csm.cases IS 'V1 to V8: whoever asks for service and has case_read through any arm';
COMMENT ON POLICY cases_select_staff ON csm.cases IS 'V1 to V9: staff connections, by any arm and by reach all';
COMMENT ON POLICY cases_update ON csm.cases IS 'Staff with case_work; the machine judges the rest';
COMMENT ON POLICY cases_insert ON csm.cases IS 'Who may open a case for himself or another, with references he may make';
COMMENT ON POLICY cases_insert_own ON csm.cases IS 'Staff open their own cases as everybody does';
COMMENT ON POLICY cases_insert_agent ON csm.cases IS 'Staff with case_create open cases for customers in their reach';
COMMENT ON POLICY case_entries_select ON csm.case_entries IS 'Shared: all who see the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON POLICY case_entries_insert ON csm.case_entries IS 'Whoever may comment, in his own name; work notes by staff who work on the case';
COMMENT ON POLICY case_parties_select ON csm.case_parties IS 'All who see the case but its counterparty';
COMMENT ON POLICY case_parties_write ON csm.case_parties IS 'Staff who work on the case';
COMMENT ON POLICY case_internal_all ON csm.case_internal IS 'Staff who work on the case';
COMMENT ON POLICY case_side_fields_select ON csm.case_side_fields IS 'One side, and staff who work on the case';
COMMENT ON FUNCTION csm_private.case_guard() IS
'Trigger of csm.cases: fills in a new case, judges every change by the machine of the case type (42501, SM002, SM003, SM004), refuses DELETE and TRUNCATE';
COMMENT ON FUNCTION csm_private.entry_guard() IS
'Trigger of csm.case_entries: author, name, side, branch and time of a new entry; SM004 on a closed case';
COMMENT ON FUNCTION csm_private.append_only() IS
'BEFORE trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501). Arguments: columns that an announced erasure may change';
COMMENT ON FUNCTION csm_private.case_actors(csm.cases) IS
'Relations of the current person to the case, as case_transitions.actors names them; empty for none';
COMMENT ON FUNCTION csm_private.acts_as_system() IS
'True for a write without identity by a role that row security does not bind';
COMMENT ON FUNCTION csm_private.importing() IS
'True while a superuser loads history with csm.importing = on';
COMMENT ON FUNCTION csm_private.machine_type(bigint, text) IS
'The farthest type on the chain of parents whose states and transitions count for a case type, itself where it has a machine of its own; NULL for an unknown type';
COMMENT ON FUNCTION csm_private.actions_for(bigint, text, text, text) IS
'Actions that a relation (system, customer, ...) may take from a state of the type''s machine; empty for what is unknown or null';
COMMENT ON FUNCTION csm_private.dispute_permits(csm.cases, text) IS
'Whether the caller may take the action on a dispute: the machine, and that a second person confirms a ruling and a manager names the contact';
COMMENT ON FUNCTION csm_private.begin_open(boolean, text) IS
'Announces a new case: as draft or not, with a key or NULL; error 22023 for an empty key or one longer than 200 characters';
COMMENT ON FUNCTION csm_private.end_open(csm.cases) IS
'Ends the announcement of a new case that was not met; returns its argument';
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text, jsonb, boolean) IS
'Judges an action of the caller or, with as_system, of the system (42501, 22023, SM004, SM002) and announces it, with the proposal in fields (reference, amount, currency); returns the note to write, NULL for none';
COMMENT ON FUNCTION csm_private.begin_system(bigint) IS
'Announces that the next change of the case is csm''s own: judged as the system''s, and it may write escalated, follow_the_sun and major_state';
COMMENT ON FUNCTION csm_private.begin_acts(bigint[], text) IS
'Announces that the next change of each of these cases is an action of the system''s with a note; at most 256 cases';
COMMENT ON FUNCTION csm_private.begin_notes(bigint[]) IS
'Announces an entry of the system''s on each of these cases, without effects of its own; at most 256 cases';
COMMENT ON FUNCTION csm_private.end_many() IS
'Takes back what was announced for many cases and has not been met';
COMMENT ON FUNCTION csm_private.begin_note(bigint, boolean) IS
'Announces the note of an act: an entry that has no effects of its own; with as_system it has no author';
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';
COMMENT ON FUNCTION csm_private.entry_effects() IS
'Trigger of csm.case_entries: a customer''s shared comment resumes a waiting case, needs_attention, first_response_at, updated_at';
COMMENT ON TABLE csm.case_type_fields IS 'Fields that a case type adds to its cases; a field of a type hides the one of the same name that it would inherit';
COMMENT ON COLUMN csm.case_type_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_type_fields.case_type IS 'The type';
COMMENT ON COLUMN csm.case_type_fields.name IS 'Key of the value in the JSON object';
COMMENT ON COLUMN csm.case_type_fields.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_type_fields.type IS 'What the JSON value must be: text and choice a string, integer a whole number of 64 bits, number, boolean, date a string YYYY-MM-DD, timestamp a string of RFC 3339 with its offset, reference the id of a row. null means no value';
COMMENT ON COLUMN csm.case_type_fields.audience IS 'Who reads it: all (csm.cases.attributes), staff (csm.case_internal), customer or counterparty (csm.case_side_fields of that side)';
COMMENT ON COLUMN csm.case_type_fields.required IS 'True: a case that is no draft has a value (SM003); audience all only';
COMMENT ON COLUMN csm.case_type_fields.required_for IS 'Actions that demand a value (SM003)';
COMMENT ON COLUMN csm.case_type_fields.choices IS 'What a choice may be; NULL for other types';
COMMENT ON COLUMN csm.case_type_fields.reference IS 'Table of csm to which a reference leads; NULL for other types. The row must exist in the tenant and be visible to the writer when it is written (42501)';
COMMENT ON COLUMN csm.case_type_fields."position" IS 'Order on a form';
COMMENT ON COLUMN csm.case_type_fields.active IS 'False: the type does without the field that it would inherit';
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Who asks for service reads the fields of his tenant''s types, but staff''s';
COMMENT ON POLICY case_type_fields_select_staff ON csm.case_type_fields IS 'Staff connections read all fields of their tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';
COMMENT ON FUNCTION csm_private.fields_guard() IS
'Trigger of csm.case_internal and csm.case_side_fields: values are fields of the case type for that audience (22023), references exist and are visible (42501), the case is not closed (SM004)';
COMMENT ON FUNCTION csm_private.with_attributes(text, jsonb) IS
'The object with those keys that name fields of the type for all parties moved into its key attributes; what is no object, and keys of an unknown type, come back as they are';
COMMENT ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) IS
'Writes fields of a case by their names where staff and sides have theirs, and returns what csm.cases.attributes becomes. Errors: 22023 no such field, 42501 another side''s or staff''s';
COMMENT ON FUNCTION csm_private.type_chain(bigint, text) IS
'The type (depth 0) and its ancestors; in_machine: whether states and transitions of that ancestor are inherited. No row for an unknown type';
COMMENT ON FUNCTION csm_private.type_setting(bigint, text, text) IS
'A key of csm.case_types.settings as it holds for the type: its own, else the nearest ancestor''s; NULL where nobody says anything or the nearest says null';
COMMENT ON FUNCTION csm_private.machine_states(bigint, text) IS
'States of the machine of a case type, inherited ones included; case_type and depth say whose row it is';
COMMENT ON FUNCTION csm_private.machine_transitions(bigint, text) IS
'Transitions of the machine of a case type, inherited ones included; none from or to a state that the machine does without';
COMMENT ON FUNCTION csm_private.type_fields(bigint, text) IS
'Fields of a case type, inherited ones included';
COMMENT ON FUNCTION csm_private.offers(csm.cases) IS
'Body of csm.actions(): what the machine of the case permits the current person in its state; no check that he sees the case';
COMMENT ON FUNCTION csm_private.type_chain_guard() IS
'Trigger of csm.case_types: 23514 where a type would be its own ancestor or have more than 31';
COMMENT ON FUNCTION csm_private.transition_types() IS
'Trigger of csm.case_transitions: whose states from_state and to_state are; 23503 where the type neither has nor inherits one';
COMMENT ON FUNCTION csm_private.person_id() IS
'The person whose rights count: csm.current_user_id(), or the one for whom he acts (csm.on_behalf_of()); NULL when nobody is signed in';
COMMENT ON FUNCTION csm_private.in_person() IS
'Whether somebody is signed in, neither by an API key nor acting for another: what concerns his own login is done in person';
COMMENT ON FUNCTION csm_private.current_session_id() IS
'csm.sessions.id of the session or API key by which somebody is signed in; NULL where he is signed in otherwise, and for nobody';
COMMENT ON TABLE csm.user_merges IS 'Which person became which: one row for each that was removed; written by csm.merge_users()';
COMMENT ON COLUMN csm.user_merges.removed_id IS 'csm.users.id that is no more; history and audit log still name it';
COMMENT ON COLUMN csm.user_merges.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_merges.kept_id IS 'Whose it is now; moves on when he is merged himself';
COMMENT ON COLUMN csm.user_merges.reason IS 'Why, in words';
COMMENT ON COLUMN csm.user_merges.merged_by IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.user_merges.merged_at IS 'When';
COMMENT ON COLUMN csm.user_merges.removed IS 'The row of csm.users as it was; personal data';
COMMENT ON COLUMN csm.user_merges.given_up IS 'Rows that both persons had, as they stood for the one removed, each {"table": …, "row": …}, without hashes and tokens. Personal data';
COMMENT ON POLICY user_merges_select ON csm.user_merges IS 'Staff with person_manage, administrators';
COMMENT ON FUNCTION csm_private.person_now(bigint, bigint) IS
'Whose id it is now: of a person who was merged, the one who was kept; else the same';
COMMENT ON FUNCTION csm_private.person_ids(bigint, bigint) IS
'Every id under which history and audit log may name the person: his own, and those merged into him';
COMMENT ON FUNCTION csm_private.begin_merge(bigint, bigint) IS
'Announces that rows are re-pointed from the one person to the other: until end_merge() or the end of the transaction triggers step aside as while restoring, but the history of cases goes on, and append-only rows may have the one id replaced by the other';
COMMENT ON FUNCTION csm_private.end_merge() IS 'Ends what begin_merge() announced';
COMMENT ON TABLE csm_private.shipped_copies IS 'What csm gave each tenant, to know at an update what the tenant has changed since';
COMMENT ON COLUMN csm_private.shipped_copies.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state, case_transition or case_field';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states, transitions and fields, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions only), kept (differs from what csm ships)';
COMMENT ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text) IS
'Body of csm.open_case(): the INSERT with the caller''s rights, or the case that the key opened before';
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. priority: the case type''s by default, else 4. fields: fields of the case type, and further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';
COMMENT ON FUNCTION csm_private.take_action(csm.cases, text, text, jsonb, boolean) IS
'Body of csm.act() and csm_private.act_as_system(), run as csm_owner: c says which case, as_system who is judged; errors as csm.act()';
COMMENT ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) IS
'Takes an action as the system, whoever runs the function of csm that calls it; only csm_owner may. A note has no author. Errors as csm.act()';
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes), and reference, amount, currency of a proposal, and fields of the case type by their names; who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';
COMMENT ON FUNCTION csm.actions(bigint) IS
'What the caller may do with the case now: action, caption, state it leads to, fields that must be filled in then, whether a note must be given. No row for a case that is closed, hidden or missing';
COMMENT ON FUNCTION csm.comment(bigint, text, text, text) IS
'Writes an entry on a case and returns it. visibility: shared (all who see the case), internal (work note), private (the author''s side and staff). The same author, case and idempotency_key return the first entry, also after the case was closed. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM006 key used for another text, 22004 null argument, 22023 empty text or unknown visibility';
COMMENT ON FUNCTION csm.case_people(bigint) IS
'Names of the people and accounts on a case that the caller sees (V11); relation is requester, opener, assignee, internal_contact, account, counterparty, partner, counterparty_contact, partner_contact, household or party. user_id and account_id are NULL where they do not apply. Parties are not shown to the counterparty. No row for a hidden or missing case';
COMMENT ON FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) IS
'The rules V1 to V9 in plain SQL: one row a person, case and reason, at an instant. NULL person or case: all of the tenant. Side: customer, staff (counts under csm_agent, csm_reporter and csm_admin only) or NULL for both. Persona: through which persona; NULL: a share with the person himself';
COMMENT ON FUNCTION csm_private.staff_side() IS
'True when the role of SET ROLE, else of the session, has the privileges of csm_agent, csm_reporter or csm_admin';
COMMENT ON FUNCTION csm_private.asks_as_staff(bigint) IS
'Whether the caller sees the case as staff; false: as a party to it; SM001: not at all';
COMMENT ON FUNCTION csm.explain_access(bigint, bigint) IS
'Why a person can see a case: one row a reason with the rule (V1 to V9), the role, through what, and the actions; where nothing grants, one row with granted = false that says what is lacking. V9 counts under staff roles only. For staff who see the case; everybody else asks about himself (42501). A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.who_can_see(bigint) IS
'Who can see a case, by which rule and role, and what he may do there; V9 counts under staff roles only. Staff who see the case get everybody, anybody else his own rows. A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.account_tree(bigint) IS
'The accounts that the caller sees, as a tree to read: from "root" down, or from his topmost visible accounts. depth counts from 0 where the tree begins. No row for a root that is hidden or missing (V12)';
COMMENT ON FUNCTION csm_private.check_accounts(bigint) IS
'Accounts whose path or root is not what their parents say; NULL for all tenants. No check of the caller';
COMMENT ON FUNCTION csm.verify_accounts(bigint) IS
'As csm.verify_accounts(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.verify_accounts() IS
'Accounts whose path, root or depth is not what their parents say, and what is wrong; no row when all is well. Members of csm_owner: all tenants; an administrator: his own';
COMMENT ON FUNCTION csm.whoami() IS
'Always one row: the signed-in person, his tenant (of a visitor: csm.guest_tenant_id()), the persona he narrowed himself to (NULL: all), the personas he holds, his roles, and how far they reach. Reach of staff roles is listed under staff roles only, where it counts. Nobody: NULLs and empty arrays';
COMMENT ON TABLE csm.events IS 'What happened to cases, once each; read through csm.next_events(). Written by triggers, deleted by csm.prune_events()';
COMMENT ON COLUMN csm.events.id IS 'Identity, unique in the database; in the order of commits within a case, not across cases';
COMMENT ON COLUMN csm.events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.events.case_id IS 'The case';
COMMENT ON COLUMN csm.events.kind IS 'What happened: opened, state_changed, resolved, reopened, closed, assigned, priority_changed, commented, and what further modules add';
COMMENT ON COLUMN csm.events.actor_id IS 'Person who did it (csm.users.id, no foreign key); NULL for the system';
COMMENT ON COLUMN csm.events.on_behalf_of IS 'For whom he acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.events.audience IS 'shared: who sees the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON COLUMN csm.events.side IS 'Side of a private event: customer, counterparty or operator; NULL for the others';
COMMENT ON COLUMN csm.events.payload IS 'Keys and values of the change, a JSON object without free text; README lists them by kind';
COMMENT ON COLUMN csm.events.created_at IS 'When it happened';
COMMENT ON COLUMN csm.events.position IS 'Place in the order of delivery within the tenant; NULL until csm.next_events() has met the committed row';
COMMENT ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) IS
'Writes an event, after locking its case; nothing while restoring or importing. actor_id: NULL where time acts, whoever runs the clock. Error 22004 when tenant, case or kind is null';
COMMENT ON FUNCTION csm_private.case_events() IS
'AFTER trigger of csm.cases: opened, then for a change of state one of resolved, reopened, closed, state_changed; assigned; priority_changed';
COMMENT ON FUNCTION csm_private.entry_events() IS
'AFTER trigger of csm.case_entries: commented, for whom the entry is';
COMMENT ON TABLE csm.timers IS 'When csm.run_due() looks at something again; at most one timer per kind and object';
COMMENT ON COLUMN csm.timers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.timers.kind IS 'What is due: names the handler';
COMMENT ON COLUMN csm.timers.object_id IS 'The row that it is about: which table, the kind says';
COMMENT ON COLUMN csm.timers.case_id IS 'Case to which the object belongs; NULL where it belongs to none';
COMMENT ON COLUMN csm.timers.due_at IS 'From when on it is looked at; after a failure the next attempt';
COMMENT ON COLUMN csm.timers.attempts IS 'How often the handler failed since the timer was set';
COMMENT ON COLUMN csm.timers.error IS 'SQLSTATE and message of the last failure; NULL when there was none';
COMMENT ON POLICY timers_select ON csm.timers IS 'Administrators all of the tenant; staff those of the cases that they work on';
COMMENT ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) IS
'Sets or moves the timer of a kind and object; due_at NULL clears it, case_id NULL where the object belongs to no case';
COMMENT ON VIEW csm_report.cases IS 'One row for each case that the reader may see; no subject, no text, no personal data';
COMMENT ON COLUMN csm_report.cases.id IS 'Key, csm.cases.id';
COMMENT ON COLUMN csm_report.cases.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.cases.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.cases.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.cases.state IS 'State of its machine';
COMMENT ON COLUMN csm_report.cases.state_class IS 'draft, new, open, waiting, resolved, closed or cancelled: the same for every type';
COMMENT ON COLUMN csm_report.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm_report.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.channel IS 'How it came in';
COMMENT ON COLUMN csm_report.cases.product_id IS 'Product concerned; NULL for none';
COMMENT ON COLUMN csm_report.cases.product IS 'Name of the product';
COMMENT ON COLUMN csm_report.cases.parent_product IS 'Name of the product above; NULL at the top';
COMMENT ON COLUMN csm_report.cases.account_id IS 'Customer account; NULL unless b2b';
COMMENT ON COLUMN csm_report.cases.account IS 'Name of the customer account; NULL where the reader may not see the account';
COMMENT ON COLUMN csm_report.cases.top_account_id IS 'Top of the customer''s account tree; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.top_account IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.partner_account_id IS 'Partner that looks after the case';
COMMENT ON COLUMN csm_report.cases.partner IS 'Name of the partner; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.counterparty_account_id IS 'The other company of a dispute';
COMMENT ON COLUMN csm_report.cases.counterparty IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.service_organization_id IS 'Service organisation that the case belongs to';
COMMENT ON COLUMN csm_report.cases.service_organization IS 'Its name';
COMMENT ON COLUMN csm_report.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm_report.cases.assigned_group IS 'Name of the group';
COMMENT ON COLUMN csm_report.cases.assignee_id IS 'Who works on it (csm.users.id); a name would be personal data';
COMMENT ON COLUMN csm_report.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm_report.cases.needs_attention IS 'Something new was said';
COMMENT ON COLUMN csm_report.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm_report.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm_report.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm_report.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm_report.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm_report.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm_report.cases.updated_at IS 'Last change or entry';
COMMENT ON COLUMN csm_report.cases.first_response_seconds IS 'Seconds from submission to the first response; NULL while there is none';
COMMENT ON COLUMN csm_report.cases.resolve_seconds IS 'Seconds from submission to the last proposed solution; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.close_seconds IS 'Seconds from submission to closing; NULL while open';
COMMENT ON COLUMN csm_report.cases.age_seconds IS 'Seconds from making to closing, or to now while open; NULL when the time of closing is not known (imported cases)';
COMMENT ON FUNCTION csm.set_fields(bigint, jsonb) IS
'Sets fields of a case by their names, wherever they live, and returns the case; null clears a field. Staff who work on the case set all, a side the fields that only it reads. Errors: SM001 no such case, 42501 not permitted, or a reference that does not exist or is hidden, SM003 a required field would be cleared, SM004 case closed, 22023 no such field or a value of another type';
COMMENT ON FUNCTION csm_private.check_configures(bigint) IS
'42501 unless the caller holds the action configure in the tenant, or writes as the system';
COMMENT ON FUNCTION csm_private.machine_begins(bigint, text) IS
'States in which a new case can begin: the first of class draft, and the first of class new unless the type begins as draft';
COMMENT ON FUNCTION csm_private.machine_walk(bigint, text) IS
'States of a machine; reached: a new case can come there, ends: from there it can be closed or cancelled';
COMMENT ON FUNCTION csm.check_case_type(text) IS
'What is wrong with a case type: no first state, state cannot be reached, state without a way out, dead action, unknown actor, unknown field, unknown action, two states with one number, state of cases is missing, setting out of range. object names the state, the state and action, the field or the setting. No row: the machine is sound. Errors: 42501 without the action configure, 22023 no such type';
COMMENT ON FUNCTION csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean) IS
'Makes a case type that inherits from parent (NULL: from none) and changes what is given. settings: as csm.case_types.settings. states, transitions, fields: arrays of objects with the columns of csm.case_states, csm.case_transitions (from_state may be an array) and csm.case_type_fields; of an inherited state or action only what changes need be said, "active": false does without it. own_machine: nothing of the parent''s machine is inherited. Errors: 42501 without the action configure, 22023 no such parent or a machine that is not sound (csm.check_case_type), 23503 no such state, 23505 the type exists, 23502 and 23514 a value that no row may have';
COMMENT ON FUNCTION csm.machine_diagram(text) IS
'The machine of a case type as a Mermaid stateDiagram, inherited states and actions included; NULL for an unknown type, and for nobody';
COMMENT ON TABLE csm.dispute_proposals IS 'Proposals of a dispute, round by round, and rulings of the operator. Written by the actions of the machine alone; a row never changes but for its outcome, once';
COMMENT ON COLUMN csm.dispute_proposals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.dispute_proposals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.dispute_proposals.case_id IS 'The dispute';
COMMENT ON COLUMN csm.dispute_proposals.round IS 'Counts the proposals and rulings of the dispute from 1';
COMMENT ON COLUMN csm.dispute_proposals.side IS 'counterparty: a proposal of the respondent; operator: a ruling';
COMMENT ON COLUMN csm.dispute_proposals.proposed_by IS 'Who made it; NULL for the system';
COMMENT ON COLUMN csm.dispute_proposals.proposed_name IS 'His name when he made it (V11)';
COMMENT ON COLUMN csm.dispute_proposals.proposed_at IS 'When it was made';
COMMENT ON COLUMN csm.dispute_proposals.reference IS 'What it stands on: number of a credit note, payment, shipment; NULL only for a ruling that moves no money';
COMMENT ON COLUMN csm.dispute_proposals.amount IS 'Amount offered, in currency; NULL for none';
COMMENT ON COLUMN csm.dispute_proposals.currency IS 'Three letters (ISO 4217); NULL without an amount';
COMMENT ON COLUMN csm.dispute_proposals.resolution_code IS 'Resolution code of the case as proposed';
COMMENT ON COLUMN csm.dispute_proposals.notes IS 'Resolution notes of the case as proposed; the text of a ruling';
COMMENT ON COLUMN csm.dispute_proposals.outcome IS 'accepted or rejected by the claimant, withdrawn by the respondent, lapsed (escalated, or the claim withdrawn), confirmed (a ruling); NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_by IS 'Who decided; NULL while pending and for the system';
COMMENT ON COLUMN csm.dispute_proposals.decided_name IS 'His name when he decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_at IS 'When it was decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.reason IS 'Note given with the decision; NULL for none';
COMMENT ON POLICY dispute_proposals_select ON csm.dispute_proposals IS 'All who see the case: both sides and the operator';
COMMENT ON FUNCTION csm_private.proposal_guard() IS
'Trigger of csm.dispute_proposals: written by the trigger of csm.cases only, or while importing; nothing changes but the outcome, once (42501)';
COMMENT ON FUNCTION csm_private.proposals_follow() IS
'AFTER trigger of csm.cases: makes or decides a proposal where the transition taken has the effect "proposal", and its event; SM002 when there is none to decide';
COMMENT ON FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) IS
'Whether whoever asks for service may name that other side: a current relationship trades_with between the two accounts, or, with the type setting counterparties = "any", any active account';
COMMENT ON FUNCTION csm.dispute_counterparties() IS
'With whom the caller may open a dispute: the other account and its name, for each of the accounts for which he may open cases (for_account_id). Current relationships of type trades_with, in either direction; no row for nobody';
COMMENT ON FUNCTION csm_private.dispute_timers() IS
'AFTER trigger of csm.cases: sets and clears the clocks of a dispute (respondent''s answer, automatic acceptance, appeal window) when its state changes';
COMMENT ON FUNCTION csm_private.due_dispute_response(bigint, bigint, timestamptz) IS
'Timer dispute_response: escalates a dispute on which the respondent said nothing for response_hours';
COMMENT ON FUNCTION csm_private.due_dispute_auto_accept(bigint, bigint, timestamptz) IS
'Timer dispute_auto_accept: accepts a proposal that nobody answered, unless auto_close is off or something keeps the case open (attention, an escalation); then it looks again a day later';
COMMENT ON FUNCTION csm_private.due_dispute_appeal(bigint, bigint, timestamptz) IS
'Timer dispute_appeal: a ruling becomes final when its appeal window has ended';
COMMENT ON FUNCTION csm_private.limit_rounds(csm.cases) IS
'Escalates a dispute in which max_rounds proposals were rejected; returns the case as it is then';
COMMENT ON TABLE csm.case_history IS 'What happened to a case: one link for each change; a chain for each case, append-only';
COMMENT ON COLUMN csm.case_history.id IS 'Identity, unique in the database; grows within a case';
COMMENT ON COLUMN csm.case_history.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_history.case_id IS 'The case';
COMMENT ON COLUMN csm.case_history.seq IS 'Place in the chain of the case, from 1 on without a gap';
COMMENT ON COLUMN csm.case_history.at IS 'When it happened; for a change of the case row its updated_at';
COMMENT ON COLUMN csm.case_history.action IS 'open, imported, update, comment, work_note, private_entry, attach, or the action of the machine that was taken';
COMMENT ON COLUMN csm.case_history.actor_id IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.case_history.actor_name IS 'His name then, system for the system; NULL when erased';
COMMENT ON COLUMN csm.case_history.persona IS 'As what he did it: the persona he had narrowed himself to, else staff, contact, consumer or employee by his relation; NULL for the system and for who only shares the case';
COMMENT ON COLUMN csm.case_history.relation IS 'Relations to the case under which it was permitted, as csm.case_transitions.actors names them, separated by comma and blank; NULL for who only shares the case';
COMMENT ON COLUMN csm.case_history.on_behalf_of IS 'The requester, where another opened the case for him or spoke for his side; NULL otherwise';
COMMENT ON COLUMN csm.case_history.audience IS 'Who reads the link: shared (all who see the case), internal (staff who work on it), customer or counterparty (one side, and staff who work on it)';
COMMENT ON COLUMN csm.case_history.payload IS 'Field -> [old, new]; times in UTC. A first link has every field that is not null. A name with a point is no column of csm.cases: internal.attributes, customer.attributes, counterparty.attributes, entry.* and attachment.* of what was added. NULL when erased';
COMMENT ON COLUMN csm.case_history.salt IS '16 random bytes, hashed with actor_name and payload; NULL when erased';
COMMENT ON COLUMN csm.case_history.payload_hash IS 'SHA-256 of salt, actor_name and payload; outlives them';
COMMENT ON COLUMN csm.case_history.previous_hash IS 'hash of the link before; NULL in a first link';
COMMENT ON COLUMN csm.case_history.hash IS 'SHA-256 of previous_hash, the other columns and payload_hash';
COMMENT ON POLICY case_history_select ON csm.case_history IS 'Shared: all who see the case; internal: staff who work on it; else one side and staff who work on it';
COMMENT ON TABLE csm.history_seals IS 'Seals over the history of a tenant, chained and append-only; whoever keeps the hash of one elsewhere can prove later what the history was';
COMMENT ON COLUMN csm.history_seals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.history_seals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_seals.seq IS 'Place in the tenant''s chain of seals, from 1 on without a gap';
COMMENT ON COLUMN csm.history_seals.at IS 'When it was made';
COMMENT ON COLUMN csm.history_seals.leaves IS 'How many cases it has in csm.history_leaves';
COMMENT ON COLUMN csm.history_seals.root IS 'Merkle root over its leaves in the order of their cases';
COMMENT ON COLUMN csm.history_seals.previous_hash IS 'hash of the seal before; NULL in a first seal';
COMMENT ON COLUMN csm.history_seals.hash IS 'SHA-256 of previous_hash, tenant_id, seq, at, leaves and root';
COMMENT ON COLUMN csm.history_seals.covered_to IS 'Every link up to this csm.case_history.id is in this seal or one before';
COMMENT ON COLUMN csm.history_seals.scanned_to IS 'So is every link up to this id that was committed when the seal was made; one that is committed later finds the next seal';
COMMENT ON COLUMN csm.history_seals.horizon IS 'Transaction id: when all before it have ended, scanned_to counts as covered_to. One that this cluster has not reached comes from another, where all have ended';
COMMENT ON TABLE csm.history_leaves IS 'What a seal says of a case; append-only';
COMMENT ON COLUMN csm.history_leaves.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_leaves.seal_id IS 'The seal';
COMMENT ON COLUMN csm.history_leaves.case_id IS 'The case';
COMMENT ON COLUMN csm.history_leaves.length IS 'How many links its chain had';
COMMENT ON COLUMN csm.history_leaves.last_hash IS 'hash of the last of them';
COMMENT ON POLICY history_seals_select ON csm.history_seals IS 'Administrators, and managers with reach all';
COMMENT ON POLICY history_leaves_select ON csm.history_leaves IS 'Administrators, and managers with reach all';
COMMENT ON FUNCTION csm_private.history_payload_hash(bytea, text, jsonb) IS
'payload_hash of a link; NULL where salt or payload is null or the salt has another length than 16';
COMMENT ON FUNCTION csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea) IS
'hash of a link; NULL where a value is missing or a hash has another length than 32';
COMMENT ON FUNCTION csm_private.history_leaf(bigint, bigint, bigint, bytea) IS 'Leaf of a seal';
COMMENT ON FUNCTION csm_private.history_root(bytea[]) IS 'Merkle root over leaves in the order given; NULL for none';
COMMENT ON FUNCTION csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea) IS 'hash of a seal';
COMMENT ON FUNCTION csm_private.case_payload(csm.cases) IS
'The row as the payload of a first link: field -> [null, value] for what is tracked and not null';
COMMENT ON FUNCTION csm_private.case_words(csm.cases) IS 'csm.cases.search as it would be computed for the row';
COMMENT ON FUNCTION csm_private.history() IS
'AFTER row trigger that writes csm.case_history; argument: case, entry, fields or attachment';
COMMENT ON FUNCTION csm_private.begin_erasure(bigint) IS
'Announces that personal data in append-only rows of the case are erased: until end_erasure(), another announcement or the end of the transaction the columns that the triggers name may be changed, and no other';
COMMENT ON FUNCTION csm_private.begin_erasures() IS
'The same for all cases, for append-only rows of none, and for the personal columns of csm.cases, whatever their state; guards of other tables stand aside';
COMMENT ON FUNCTION csm_private.end_erasure() IS 'Ends what begin_erasure() announced';
COMMENT ON FUNCTION csm.case_as_of(bigint, timestamptz) IS
'The row of a case as it was at that time, rebuilt from its history, for whoever sees the case now; search is computed with today''s text search configuration. No row for a hidden or missing case, before it existed, before it was imported, and, for the counterparty, while it was a draft. Fields of erased links are missing';
COMMENT ON FUNCTION csm_private.seal_history(bigint, bigint) IS
'Seals what has been committed of a tenant''s history since the last seal, at most that many links; returns how many. No new link, no seal';
COMMENT ON FUNCTION csm_private.due_seal(bigint, bigint, timestamptz) IS
'Handler of timers of kind seal, one a tenant: seals, and comes again after the tenant''s setting seal_minutes (60 by default), at once where links were left over';
COMMENT ON FUNCTION csm_private.begin_seals() IS 'Trigger of csm.tenants: the first timer of kind seal';
COMMENT ON FUNCTION csm_private.history_link_problems(bigint, bigint) IS
'Every link with what is wrong with it or with the entry it speaks of, NULL where nothing is; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_case_problems(bigint, bigint) IS
'Cases that are missing, differ from what their history says, or have none though younger ones do; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_seal_problems(bigint, bigint) IS
'Seals that were changed or removed, and sealed links that are missing or others; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm.verify_history(bigint) IS
'Reads the history of the caller''s tenant (without identity: of all tenants), or of one case, and compares it with its hashes, its seals, the entries, attachments and cases as they are. Always one row: intact; links read, of these erased and not yet sealed; seals; and of the first broken row the case, the place in its chain, and what is wrong (case NULL: a seal). For administrators, and managers with reach all; errors: 42501, SM001';
COMMENT ON TABLE csm.attachments IS 'Files on a case; append-only, written by csm.attach()';
COMMENT ON COLUMN csm.attachments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.attachments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachments.case_id IS 'The case';
COMMENT ON COLUMN csm.attachments.entry_id IS 'Entry of the case that it belongs to; NULL: the case itself';
COMMENT ON COLUMN csm.attachments.author_id IS 'Who attached it; NULL for the system';
COMMENT ON COLUMN csm.attachments.author_name IS 'His name then (V11)';
COMMENT ON COLUMN csm.attachments.visibility IS 'That of its entry, copied; shared without one';
COMMENT ON COLUMN csm.attachments.side IS 'Side of its author, or of its entry, copied: customer, counterparty or operator';
COMMENT ON COLUMN csm.attachments.file_name IS 'Name without path, 1 to 255 characters';
COMMENT ON COLUMN csm.attachments.media_type IS 'Media type without parameters (RFC 6838), as the client gave it: not to be trusted';
COMMENT ON COLUMN csm.attachments.size IS 'Bytes; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.sha256 IS 'SHA-256 of the content, computed here where the content is here; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.url IS 'http or https address of the content, up to 2,000 characters; NULL where it stands in csm.attachment_contents';
COMMENT ON COLUMN csm.attachments.created_at IS 'When it was attached';
COMMENT ON TABLE csm.attachment_contents IS 'Contents that are kept in the database; append-only';
COMMENT ON COLUMN csm.attachment_contents.attachment_id IS 'The attachment';
COMMENT ON COLUMN csm.attachment_contents.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachment_contents.content IS 'The bytes, not compressed';
COMMENT ON POLICY attachments_select ON csm.attachments IS 'As the entry it belongs to; without one, all who see the case';
COMMENT ON POLICY attachment_contents_select ON csm.attachment_contents IS 'Whoever sees the attachment';
COMMENT ON FUNCTION csm_private.file_name(text) IS
'A file name as it can be kept and shown: what follows the last / or \, without control and direction characters, without blanks and points at its ends, characters that a file system refuses as _, cut to 255 characters before the extension; NULL where nothing is left';
COMMENT ON FUNCTION csm_private.attachment_limit(csm.cases, text, bigint) IS
'A limit as the case type says, else the tenant, else the last argument';
COMMENT ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) IS
'Attaches a file to a case, or to an entry that the caller wrote, and returns it. Either content, which is kept here and whose size and SHA-256 are computed (size and sha256, where given, must agree), or url, with which size and sha256 are kept as given. file_name loses its path and what cannot be shown. media_type: application/octet-stream by default. Limits: max_attachments of a case (100) and max_attachment_bytes of a content (10,485,760) in the settings of the case type, else of the tenant; of a consumer the quota attachments of the tenant. Errors: SM001 no such case, 42501 not permitted, or no entry of his, SM004 case closed, SM007 too many, 22004 null argument, 22023 name, type, url or content not acceptable or too large';
COMMENT ON FUNCTION csm_private.attachment_problems(bigint, bigint) IS
'Attachments that are not what the history says, and contents that are not what their attachment says; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.is_staff(text) IS
'Whether a staff role of the person counts now, one that permits the action with whatever reach; NULL: any staff role. False under csm_portal and for nobody';
COMMENT ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) IS
'Locks a case and returns it; a row of nulls where there is none. what: noun phrase for the message; unfinished: whether it would keep the case from being resolved. Errors: SM004 case closed, SM002 solution proposed. For triggers that have asked for the right before';
COMMENT ON FUNCTION csm_private.call_attention(bigint, bigint) IS
'Switches needs_attention on as csm''s own change; nothing on a case that has it, is resolved or is closed';
COMMENT ON FUNCTION csm_private.block_guard() IS
'Trigger of csm.case_blocks: who and when; SM004 or SM002 on a case that cannot be blocked any more, 42501 for a block that ended';
COMMENT ON FUNCTION csm_private.block_effects() IS
'Trigger of csm.case_blocks: the end of a block calls attention to the case (R 2.5); events blocked and unblocked for reasons problem and other';
COMMENT ON FUNCTION csm_private.block_overtaken() IS
'Trigger of csm.case_blocks: ends a block that was being changed while its case was resolved or closed';
COMMENT ON FUNCTION csm_private.never_deleted() IS
'Trigger that refuses DELETE and TRUNCATE for everybody (42501)';
COMMENT ON FUNCTION csm_private.case_dependents() IS
'Trigger of csm.cases: waiting for the customer begins and ends a block; a case that is resolved or ends has no blocks; cancelling it cancels its tasks and lines; submitting it submits its lines';
COMMENT ON TABLE csm.case_blocks IS 'What cases wait for, kept with beginning and end (R 2.5)';
COMMENT ON COLUMN csm.case_blocks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_blocks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_blocks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_blocks.reason IS 'customer_info: an answer of the customer, kept by the state of the case; task: a blocking task, kept by csm.case_tasks; problem: the workaround of a problem; other: something else, said in note. The last two are written by staff';
COMMENT ON COLUMN csm.case_blocks.note IS 'What it waits for, up to 400 characters, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_blocks.blocked_by IS 'Who began it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_blocks.blocked_at IS 'When it began, stamped';
COMMENT ON COLUMN csm.case_blocks.unblocked_by IS 'Who ended it, stamped; NULL for the system and while it lasts';
COMMENT ON COLUMN csm.case_blocks.unblocked_at IS 'When it ended: a value of a client''s own is replaced by the clock; NULL while it lasts. An ended block never changes';
COMMENT ON POLICY case_blocks_select ON csm.case_blocks IS 'All who see the case';
COMMENT ON POLICY case_blocks_insert ON csm.case_blocks IS 'Staff who work on the case, for reasons problem and other';
COMMENT ON POLICY case_blocks_update ON csm.case_blocks IS 'Staff who work on the case end a block of reason problem or other';
COMMENT ON VIEW csm.case_action_status IS 'Whose move it is on each case that the reader sees';
COMMENT ON COLUMN csm.case_action_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_action_status.tenant_id IS 'Tenant of the case';
COMMENT ON COLUMN csm.case_action_status.action_status IS 'done (closed or cancelled), else needs_attention, else blocked, else active';
COMMENT ON COLUMN csm.case_action_status.blocked_by_reasons IS 'Reasons of the open blocks, sorted; also where the status is needs_attention. Empty when none';
COMMENT ON COLUMN csm.case_action_status.blocked_since IS 'Beginning of the oldest open block; NULL when none, and for a case that was imported as waiting';
COMMENT ON FUNCTION csm_private.task_guard() IS
'Trigger of csm.case_tasks: number, branch, who and when; the states; the block of a blocking task. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 task or case closed, SM002 state a task cannot begin in, or a blocking task while a solution is proposed';
COMMENT ON FUNCTION csm_private.task_effects() IS
'Trigger of csm.case_tasks: ends the block of a task that does not block any more; cancels a task whose case was cancelled meanwhile; events task_opened and task_closed';
COMMENT ON TABLE csm.case_tasks IS 'Work for somebody on the desk that a case needs. Rows are never deleted; closed and cancelled ones never change';
COMMENT ON COLUMN csm.case_tasks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_tasks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_tasks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_tasks.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_tasks.number IS 'Human-facing number, unique in the tenant; made from the id (CT0000042)';
COMMENT ON COLUMN csm.case_tasks.subject IS 'What is to be done, up to 400 characters';
COMMENT ON COLUMN csm.case_tasks.description IS 'More about it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.state IS 'open, in_progress, closed or cancelled';
COMMENT ON COLUMN csm.case_tasks.blocking IS 'True: while the task is open the case is blocked and can be neither resolved nor closed';
COMMENT ON COLUMN csm.case_tasks.visible_to_customer IS 'True: whoever sees the case sees the task, except the other company of a dispute';
COMMENT ON COLUMN csm.case_tasks.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm.case_tasks.assigned_group_id IS 'Group that does it; NULL for none';
COMMENT ON COLUMN csm.case_tasks.assigned_to IS 'Person who does it; NULL for nobody yet';
COMMENT ON COLUMN csm.case_tasks.due_at IS 'When it should be done; NULL for no term. Nothing happens by itself then';
COMMENT ON COLUMN csm.case_tasks.close_notes IS 'What came of it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.block_id IS 'The block that the task made last; NULL where it never blocked';
COMMENT ON COLUMN csm.case_tasks.opened_by IS 'Who opened it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_tasks.opened_at IS 'When it was opened, stamped';
COMMENT ON COLUMN csm.case_tasks.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_tasks.closed_by IS 'Who closed or cancelled it, stamped; NULL for the system and while it is open';
COMMENT ON COLUMN csm.case_tasks.closed_at IS 'When it was closed or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_tasks_select ON csm.case_tasks IS 'T10: tasks with the flag, by the customer''s side of a visible case';
COMMENT ON POLICY case_tasks_select_staff ON csm.case_tasks IS 'Those who work on the case; staff to whom the task is assigned, in person or by group; with the flag all who see the case but its counterparty';
COMMENT ON POLICY case_tasks_insert ON csm.case_tasks IS 'Staff who work on the case';
COMMENT ON POLICY case_tasks_update ON csm.case_tasks IS 'Staff who work on the case, and staff to whom the task is assigned';
COMMENT ON FUNCTION csm_private.may_order(csm.cases) IS
'Whether the person decides for the customer of a case that is draft or new; false for a null row';
COMMENT ON FUNCTION csm_private.line_guard() IS
'Trigger of csm.case_lines: position, first state, who and when; the states. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 line or case closed, SM002 state not possible, or a new line while a solution is proposed';
COMMENT ON FUNCTION csm_private.line_overtaken() IS
'Trigger of csm.case_lines: cancels a line that was being changed while its case was cancelled';
COMMENT ON TABLE csm.case_lines IS 'Products or issues of one case, each with a state of its own. Rows are never deleted; ended ones never change';
COMMENT ON COLUMN csm.case_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_lines.case_id IS 'The case';
COMMENT ON COLUMN csm.case_lines.position IS 'Number of the line in its case, from 1, given in the order of adding';
COMMENT ON COLUMN csm.case_lines.product_id IS 'Product that is ordered or concerned; NULL where description says what';
COMMENT ON COLUMN csm.case_lines.quantity IS 'How many, above 0, up to six decimals; the unit is the product''s';
COMMENT ON COLUMN csm.case_lines.description IS 'What it is about, up to 10,000 characters; NULL where the product says it';
COMMENT ON COLUMN csm.case_lines.state IS 'draft, new, work_in_progress, awaiting_info, resolved_accepted, resolved_denied or cancelled; begins as draft on a draft, else as new';
COMMENT ON COLUMN csm.case_lines.resolution_notes IS 'What came of it, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_lines.opened_by IS 'Who added it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_lines.opened_at IS 'When it was added, stamped';
COMMENT ON COLUMN csm.case_lines.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_lines.closed_at IS 'When it was resolved or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_lines_select ON csm.case_lines IS 'All who see the case';
COMMENT ON POLICY case_lines_insert ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins; an active product of the tenant';
COMMENT ON POLICY case_lines_update ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins';
COMMENT ON FUNCTION csm_private.case_holds(csm.cases, text) IS
'Whether the person has the action on the customer''s side of the case by anything but a share; false for nobody and a null row';
COMMENT ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) IS
'Whether the signed-in person may let in this person or account. as_desk: whoever is visible to him; else a current contact, or an account, of the subtree of an account in which he is a contact himself. False for hidden and missing alike';
COMMENT ON FUNCTION csm_private.case_to_share(bigint) IS
'The case, where the caller may share it; errors SM001 and 42501 of csm.share_case()';
COMMENT ON FUNCTION csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz) IS
'Body of csm.share_case(); visible: whether the caller sees the person or account';
COMMENT ON FUNCTION csm.share_case(bigint, bigint, bigint, text[], timestamptz) IS
'Lets a person, or all current contacts of an account, in to a case, until the given time (NULL: without end), and returns the share. capabilities: case_read, and case_comment and case_decide where named. Sharing again replaces both. By staff who work on the case, with whom they see; by whoever has case_decide on the customer''s side other than by a share, with contacts and accounts of his own accounts'' subtrees. Counts from the next statement on. Errors: SM001 no such case, 42501 not his to share, or person or account out of reach (hidden and missing alike), 22023 argument';
COMMENT ON FUNCTION csm.unshare_case(bigint, bigint, bigint) IS
'Ends the share of a case with a person or an account, from the next statement on; true where one was ended. By staff who work on the case, whoever granted it or could grant it, and the person himself. The row is kept with its end. Errors: SM001 no such case, 42501 not permitted, 22023 not exactly one of user_id and account_id';
COMMENT ON TABLE csm.case_links IS 'Cases that belong together. A link changes no right on either case';
COMMENT ON COLUMN csm.case_links.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_links.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_links.from_case_id IS 'The case that follows up, is the duplicate, or is related';
COMMENT ON COLUMN csm.case_links.to_case_id IS 'The case that it refers to';
COMMENT ON COLUMN csm.case_links.kind IS 'follow_up: opened because the other one is closed (R 2.2); duplicate: the other one is the same matter; related';
COMMENT ON COLUMN csm.case_links.created_by IS 'Who linked them; NULL for the system';
COMMENT ON COLUMN csm.case_links.created_at IS 'When they were linked';
COMMENT ON POLICY case_links_select ON csm.case_links IS 'Whoever sees both cases';
COMMENT ON POLICY case_links_insert ON csm.case_links IS 'Staff who work on the case that refers and see the other';
COMMENT ON POLICY case_links_delete ON csm.case_links IS 'Staff who work on the case that refers; a follow-up stays one';
COMMENT ON FUNCTION csm_private.open_follow_up_row(bigint, text, text, text) IS
'Body of csm.open_follow_up(): opens the new case with the caller''s rights';
COMMENT ON FUNCTION csm_private.link_follow_up(csm.cases, bigint) IS
'Body of csm.open_follow_up(): links the case that the caller just opened; returns it';
COMMENT ON FUNCTION csm.open_follow_up(bigint, text, text, text) IS
'Opens a case that follows up a closed or cancelled one, with its type, requester, account, counterparty, product (where still offered) and priority, links the two and returns the new one. subject: that of the old one by default. The same opener and idempotency_key return the first case. Errors: SM001 no such case, SM002 the case is not closed, and those of csm.open_case()';
COMMENT ON FUNCTION csm.assets_allowing(text) IS
'Sorted ids: install-base items that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.sold_products_allowing(text) IS
'Sorted ids: sold products that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.asset_allows(bigint, text) IS
'True for an install-base item that the person is linked to as its contact, or authorised on: action product_read or asset_read';
COMMENT ON FUNCTION csm.sold_product_allows(bigint, text) IS
'As asset_allows, of a sold product';
COMMENT ON POLICY asset_contacts_select ON csm.asset_contacts IS 'Who manages the item, and whoever sees both it and the contact';
COMMENT ON POLICY asset_contacts_insert ON csm.asset_contacts IS 'A15: who has product_manage on the item''s account, for a contact he reads; 42501 for hidden, missing and unfit alike';
COMMENT ON POLICY asset_contacts_delete ON csm.asset_contacts IS 'Who has product_manage on the item''s account';
COMMENT ON POLICY asset_parties_select ON csm.asset_parties IS 'The person authorised, and who manages the item';
COMMENT ON POLICY asset_parties_select_staff ON csm.asset_parties IS 'The person authorised, and staff who read the item';
COMMENT ON POLICY asset_parties_insert ON csm.asset_parties IS 'B18: staff with product_manage; a customer''s administrator for people and accounts that he manages';
COMMENT ON POLICY asset_parties_update ON csm.asset_parties IS 'Who manages the item';
COMMENT ON POLICY asset_parties_delete ON csm.asset_parties IS 'Who manages the item';
COMMENT ON TABLE csm.sold_products IS 'What was sold: a product of the catalogue in the hands of an account or a person, in a tree';
COMMENT ON COLUMN csm.sold_products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sold_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sold_products.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.sold_products.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.sold_products.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.sold_products.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.sold_products.parent_id IS 'Sold product that it is part of; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.sold_products.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.sold_products.quantity IS 'How many, greater than 0';
COMMENT ON COLUMN csm.sold_products.valid_during IS 'When the sale holds; NULL means always. csm.state() makes in_preparation, active or expired of it';
COMMENT ON COLUMN csm.sold_products.created_at IS 'When the row was made';
COMMENT ON TABLE csm.assets IS 'Install base: each single item that an account or a person has, in a tree';
COMMENT ON COLUMN csm.assets.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.assets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.assets.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.assets.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.assets.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.assets.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.assets.sold_product_id IS 'Sale that it came with; NULL when unknown';
COMMENT ON COLUMN csm.assets.parent_id IS 'Item that it is built into; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.assets.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.assets.serial_number IS 'Serial number, unique for a product in the tenant; NULL when unknown';
COMMENT ON COLUMN csm.assets.location IS 'Where it stands, in words';
COMMENT ON COLUMN csm.assets.purchased_on IS 'Day of the purchase; NULL when unknown';
COMMENT ON COLUMN csm.assets.installed_at IS 'In use from then on; NULL: not yet. csm.state() makes in_preparation, installed or removed of this and removed_at';
COMMENT ON COLUMN csm.assets.removed_at IS 'Out of use from then on; NULL: never';
COMMENT ON COLUMN csm.assets.created_at IS 'When the row was made';
COMMENT ON TABLE csm.asset_contacts IS 'A contact linked to an item or a sold product; he reads it whatever else he may read. For a partner''s contact while the partner looks after the owner';
COMMENT ON COLUMN csm.asset_contacts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_contacts.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_contacts.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_contacts.contact_id IS 'Contact of the account that owns it, or of a partner that looks after that account (23514 else); once for each item';
COMMENT ON TABLE csm.asset_parties IS 'A person or an account authorised on an item or a sold product (B18), or listed there';
COMMENT ON COLUMN csm.asset_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_parties.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_parties.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_parties.user_id IS 'Person authorised; exactly one of person and account is set';
COMMENT ON COLUMN csm.asset_parties.account_id IS 'Account authorised: all its current contacts';
COMMENT ON COLUMN csm.asset_parties.authorized IS 'False: listed only, gives no access';
COMMENT ON COLUMN csm.asset_parties.granted_by IS 'Who authorised; NULL for the system';
COMMENT ON COLUMN csm.asset_parties.valid_during IS 'When it counts; NULL means always';
COMMENT ON FUNCTION csm_private.link_fits(csm.asset_contacts) IS
'Whether the contact belongs to the account that owns the item, or to a current partner of it; false where a person owns it';
COMMENT ON FUNCTION csm_private.manages_item(bigint, bigint, bigint) IS
'Whether the signed-in person has product_manage on the item or the sold product; false for a missing one';
COMMENT ON FUNCTION csm_private.may_link(csm.asset_contacts) IS 'Whether the signed-in person may link this contact to this item';
COMMENT ON FUNCTION csm_private.may_authorize(csm.asset_parties) IS 'Whether the signed-in person may authorise this party on this item';
COMMENT ON FUNCTION csm_private.item_tree_before() IS
'Trigger of csm.sold_products and csm.assets: takes the lock of the trees, begins root_id';
COMMENT ON FUNCTION csm_private.item_tree_after() IS
'Trigger of csm.sold_products and csm.assets: root_id of new and moved rows and of what hangs below; refuses cycles and more than 100 levels (23514)';
COMMENT ON FUNCTION csm_private.item_changes_hands() IS
'Trigger of csm.sold_products and csm.assets: a change of owner ends links and authorisations';
COMMENT ON FUNCTION csm_private.check_link() IS
'Trigger of csm.asset_contacts: refuses a contact who does not fit the item (23514)';
COMMENT ON FUNCTION csm_private.case_asset() IS
'Trigger of csm.cases: the install-base item named must be one that the writer reads (42501, hidden and missing alike)';
COMMENT ON FUNCTION csm.state(csm.sold_products) IS 'State of a sold product now: in_preparation, active or expired';
COMMENT ON FUNCTION csm.state(csm.assets) IS 'State of an install-base item now: in_preparation, installed or removed';
COMMENT ON FUNCTION csm.restrict_contact_access(bigint, boolean) IS
'Switches accounts.restrict_contact_access for who has product_manage on the account (B19): true takes the account-wide reading of sold products and items from plain contacts. Error 42501, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.register_product(bigint, text, date) IS
'A consumer registers an item he owns and gets it back. Errors: 42501 no consumer, 22023 bad argument, unknown product, or product and serial number held already (whoever holds them), SM007 more than the tenant''s quota of products (25); items removed do not count';
COMMENT ON POLICY contract_lines_select ON csm.contract_lines IS 'Whoever reads the contract';
COMMENT ON POLICY contract_lines_write ON csm.contract_lines IS 'Staff with product_manage for the branch of the contract';
COMMENT ON POLICY entitlement_uses_select ON csm.entitlement_uses IS 'Staff who see both the case and the entitlement';
COMMENT ON TABLE csm.contracts IS 'Service contracts of an account or a person';
COMMENT ON COLUMN csm.contracts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contracts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contracts.account_id IS 'Account whose contract it is; exactly one of account and person is set';
COMMENT ON COLUMN csm.contracts.user_id IS 'Consumer whose contract it is';
COMMENT ON COLUMN csm.contracts.branch IS 'b2b where it is an account''s, else b2c';
COMMENT ON COLUMN csm.contracts.number IS 'Number, unique in the tenant; NULL for none';
COMMENT ON COLUMN csm.contracts.name IS 'Name that people read';
COMMENT ON COLUMN csm.contracts.draft IS 'True: not approved yet, covers nothing';
COMMENT ON COLUMN csm.contracts.cancelled IS 'True: covers nothing any more';
COMMENT ON COLUMN csm.contracts.valid_during IS 'When it holds; NULL means always. csm.state() makes draft, active, expired or cancelled of the flags and this';
COMMENT ON COLUMN csm.contracts.created_at IS 'When the row was made';
COMMENT ON TABLE csm.contract_lines IS 'What a contract covers; one without lines covers everything of its owner';
COMMENT ON COLUMN csm.contract_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contract_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contract_lines.contract_id IS 'The contract';
COMMENT ON COLUMN csm.contract_lines.product_id IS 'Product covered; exactly one of product, sold product and item is set';
COMMENT ON COLUMN csm.contract_lines.sold_product_id IS 'Sold product covered, of the same owner (23514 else), with the items that came with it';
COMMENT ON COLUMN csm.contract_lines.asset_id IS 'Install-base item covered, of the same owner (23514 else)';
COMMENT ON COLUMN csm.contract_lines.quantity IS 'How many are covered; for people to read';
COMMENT ON COLUMN csm.contract_lines.description IS 'In words; NULL for none';
COMMENT ON TABLE csm.entitlements IS 'A right to service: for an account or person, a product, a sold product or item, a contract, or several of them at once, which a case must then meet all';
COMMENT ON COLUMN csm.entitlements.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlements.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlements.holder_account_id IS 'Account whose it is: the one named, else the owner of item, sold product or contract; kept by trigger';
COMMENT ON COLUMN csm.entitlements.holder_user_id IS 'Consumer whose it is, likewise; both NULL for an entitlement that names a product alone';
COMMENT ON COLUMN csm.entitlements.branch IS 'b2b or b2c by its holder; NULL without';
COMMENT ON COLUMN csm.entitlements.name IS 'Name that people read';
COMMENT ON COLUMN csm.entitlements.account_id IS 'Cases of this account; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.user_id IS 'Cases of this consumer; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.product_id IS 'Cases on this product, named by the case or else by its item; NULL does not ask. Weight 2';
COMMENT ON COLUMN csm.entitlements.sold_product_id IS 'Cases on an item that came with this sold product; NULL does not ask. Weight 3 (once, with asset_id)';
COMMENT ON COLUMN csm.entitlements.asset_id IS 'Cases on this install-base item; NULL does not ask. Weight 3';
COMMENT ON COLUMN csm.entitlements.contract_id IS 'Cases that this contract covers while it is active; NULL does not ask. Weight 4';
COMMENT ON COLUMN csm.entitlements.calendar_id IS 'Calendar by which service is given; NULL for none of its own';
COMMENT ON COLUMN csm.entitlements.channels IS 'Channels by which the case must have come in; NULL for any';
COMMENT ON COLUMN csm.entitlements.valid_during IS 'When it holds; NULL means always';
COMMENT ON COLUMN csm.entitlements.unit IS 'What is counted: cases (one at closing) or hours (csm.use_entitlement_hours())';
COMMENT ON COLUMN csm.entitlements.total IS 'Units bought; NULL for no limit';
COMMENT ON COLUMN csm.entitlements.used IS 'Units used, never more than total; beyond it see csm.entitlement_uses.over_units';
COMMENT ON COLUMN csm.entitlements.suspended IS 'True: fits no case for the time being';
COMMENT ON COLUMN csm.entitlements.cancelled IS 'True: fits no case any more';
COMMENT ON COLUMN csm.entitlements.created_at IS 'When the row was made';
COMMENT ON TABLE csm.entitlement_uses IS 'Ledger of what was used of entitlements, and by which case; append-only';
COMMENT ON COLUMN csm.entitlement_uses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlement_uses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlement_uses.entitlement_id IS 'The entitlement';
COMMENT ON COLUMN csm.entitlement_uses.case_id IS 'The case; of unit cases it has one row at most';
COMMENT ON COLUMN csm.entitlement_uses.unit IS 'cases or hours';
COMMENT ON COLUMN csm.entitlement_uses.units IS 'Units of service given';
COMMENT ON COLUMN csm.entitlement_uses.over_units IS 'How many of them the entitlement had none left for; the rest counts in csm.entitlements.used';
COMMENT ON COLUMN csm.entitlement_uses.note IS 'What for, up to 2,000 characters; NULL for none';
COMMENT ON COLUMN csm.entitlement_uses.used_by IS 'Who closed the case or booked the hours; NULL for the system';
COMMENT ON COLUMN csm.entitlement_uses.used_at IS 'When';
COMMENT ON FUNCTION csm.state(csm.contracts) IS 'State of a contract now: draft (also before it begins), active, expired or cancelled';
COMMENT ON FUNCTION csm.state(csm.entitlements) IS 'State of an entitlement now: draft (before it begins), active, suspended, expired or cancelled; says nothing of units left';
COMMENT ON FUNCTION csm.case_entitlements(bigint) IS
'The entitlements that fit a case now and that the caller reads, best first: sum of the weights of what they name (account or person 1, product 2, sold product or item 3, contract 4), then the earlier end, then the lower id. remaining: units left, NULL for no limit. Error SM001 for a hidden and a missing case alike';
COMMENT ON FUNCTION csm.best_entitlement(bigint) IS
'The first of csm.case_entitlements(): its id, NULL when none fits. Error SM001';
COMMENT ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) IS
'Books hours of work on the entitlement of a case and returns the row of the ledger; what is more than is left becomes over-use. Hours are rounded to two decimals. Errors: SM001 no such case, 42501 not working on it, SM004 case closed, 22023 hours out of range, note too long, or the case has no entitlement of hours';
COMMENT ON FUNCTION csm_private.entitlement_holder() IS 'Trigger of csm.entitlements: keeps the holder';
COMMENT ON FUNCTION csm_private.holder_changes() IS 'Trigger of what an entitlement may name: a new owner becomes the holder';
COMMENT ON FUNCTION csm_private.check_line() IS 'Trigger of csm.contract_lines: what is covered belongs to the contract''s owner (23514)';
COMMENT ON FUNCTION csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz) IS
'Entitlements that fit a case of this account or person, product, item and channel at the instant, with the sum of their weights; whoever asks';
COMMENT ON FUNCTION csm_private.fill_entitlement() IS 'Trigger of csm.cases: gives a new case the entitlement that fits, when exactly one does';
COMMENT ON FUNCTION csm_private.use_entitlement() IS 'Trigger of csm.cases: a closed case uses a unit of an entitlement counted in cases, once';
COMMENT ON FUNCTION csm_private.check_entitlement() IS
'Trigger of csm.cases: an entitlement chosen must be readable (42501, hidden and missing alike) and fit the case (23514)';
COMMENT ON TABLE csm.handling_notes IS 'What staff should know about a case, account, contact, person, product or install-base item; never read by those who ask for service';
COMMENT ON COLUMN csm.handling_notes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.handling_notes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.handling_notes.case_id IS 'The case; exactly one of the six references is set';
COMMENT ON COLUMN csm.handling_notes.account_id IS 'The account';
COMMENT ON COLUMN csm.handling_notes.contact_id IS 'The contact: the person in his function for one account';
COMMENT ON COLUMN csm.handling_notes.user_id IS 'The person, whatever his personas';
COMMENT ON COLUMN csm.handling_notes.product_id IS 'The product';
COMMENT ON COLUMN csm.handling_notes.asset_id IS 'The install-base item';
COMMENT ON COLUMN csm.handling_notes.body IS 'The note, up to 10,000 characters';
COMMENT ON COLUMN csm.handling_notes.priority IS '1 (read first) to 4';
COMMENT ON COLUMN csm.handling_notes.expires_at IS 'From when on csm.notes_for() leaves it out; NULL for never. An end in the past ends it';
COMMENT ON COLUMN csm.handling_notes.created_by IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.handling_notes.created_at IS 'When it was written';
COMMENT ON POLICY handling_notes_select ON csm.handling_notes IS 'Staff with case_work where the subject belongs';
COMMENT ON POLICY handling_notes_insert ON csm.handling_notes IS 'The same, in their own name';
COMMENT ON POLICY handling_notes_update ON csm.handling_notes IS 'The same';
COMMENT ON FUNCTION csm.notes_for(bigint) IS
'Handling notes that hold for a case now: on the case itself, its accounts, its contacts, the requester, its product and its install-base item; at most 20, by priority, then the newest. about: case, account, contact, person, product or asset. No row for a case that is hidden or missing';
COMMENT ON FUNCTION csm_private.template_values(bigint) IS
'Every placeholder that a response template may use, with its value on the case for the caller; values are NULL for a case that he does not see, and where the case has none';
COMMENT ON FUNCTION csm_private.template_guard() IS
'Trigger of csm.response_templates: error 22023 for an unknown placeholder and for braces that make none';
COMMENT ON TABLE csm.response_templates IS 'Answers prepared for staff; csm.render_template() fills them in';
COMMENT ON COLUMN csm.response_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.response_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.response_templates.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.response_templates.body IS 'Text with placeholders such as {{case.number}} and {{requester.name}}; an unknown one is refused';
COMMENT ON COLUMN csm.response_templates.case_type IS 'Type of case that it is for, to choose by; NULL for any';
COMMENT ON COLUMN csm.response_templates.active IS 'False: not rendered any more';
COMMENT ON POLICY response_templates_select ON csm.response_templates IS 'Staff';
COMMENT ON POLICY response_templates_write ON csm.response_templates IS 'Administrators';
COMMENT ON FUNCTION csm_private.render_template_text(text, bigint) IS
'Text of an active template, once the case is seen; errors SM001 and 22023 of csm.render_template()';
COMMENT ON FUNCTION csm.render_template(text, bigint) IS
'The template of that name filled in for a case, with what the caller may read. A value that is missing or hidden is empty; a value is inserted as it stands and never expanded again. Errors: SM001 no such case, 22023 no such active template';
COMMENT ON COLUMN csm.accounts.calendar_id IS
'Calendar by which SLAs of the account are reckoned where their definition says so; NULL: that of the nearest account above that has one';
COMMENT ON FUNCTION csm_private.calendar_guard() IS
'Trigger of csm.calendars: 22023 for a time zone that the server does not know and for parents that form a circle';
COMMENT ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz) IS
'Open time of a calendar between two instants in whole seconds, rounded toward zero; negative when "from" is later. An instant is open when the wall clock of the calendar''s zone then shows an open time: an hour that the clocks skip does not count, one that they repeat counts twice. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 22008 an instant that is infinite or not between 1970 and 2200';
COMMENT ON FUNCTION csm.business_add(bigint, timestamptz, bigint) IS
'The instant nearest to "from" that so many open seconds separate from it: the earliest after it, for a negative number the latest before it; "from" itself for 0. So business_seconds(c, f, business_add(c, f, s)) = s always. An infinite "from" is returned. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 55000 a calendar without any open time, 22008 a result or an instant that is not between 1970 and 2200';
COMMENT ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) IS
'Open hours of a weekday (1 = Monday) without exceptions, in seconds since midnight; what the night before leaves included';
COMMENT ON FUNCTION csm_private.ics_events(text) IS
'Property lines of the VEVENTs of an iCalendar text (RFC 5545), numbered by event; each event begins with a row BEGIN';
COMMENT ON FUNCTION csm_private.ics_wall(text, text, text) IS
'A DATE or DATE-TIME value of iCalendar as the wall clock of a zone shows it; a value without zone is of that zone';
COMMENT ON FUNCTION csm.import_holidays(bigint, text) IS
'Adds the events of an iCalendar text to a calendar as exceptions and returns how many dates were new; a date with the same name is there already and stays. Whole days are closed; on a day that an event covers in part the usual hours of now remain outside it. Values in UTC or another zone are converted, those without zone are of the calendar''s. Cancelled events are passed over. Administrators. Errors: 22023 no such calendar, text, zone or length, 22007 no date, 0A000 a recurring event';
COMMENT ON TABLE csm.calendars IS 'When a desk is open: weekly hours in a time zone, less holidays, plus special days';
COMMENT ON COLUMN csm.calendars.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendars.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendars.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.calendars.time_zone IS 'Zone on whose wall clock the hours are read, a name of pg_timezone_names; never inherited';
COMMENT ON COLUMN csm.calendars.parent_id IS
'Calendar from which this one inherits: weekly hours where it has none of its own, exceptions on dates on which it has none of its own; NULL for none';
COMMENT ON TABLE csm.calendar_intervals IS
'Open hours, of a weekday or of an exception. Hours may overlap; they are then one';
COMMENT ON COLUMN csm.calendar_intervals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_intervals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_intervals.calendar_id IS 'Calendar, for weekly hours; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.weekday IS '1 = Monday to 7 = Sunday, the day on which the hours begin; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.exception_id IS 'Exception whose hours these are; NULL for weekly hours';
COMMENT ON COLUMN csm.calendar_intervals.start_time IS 'When they begin, on the wall clock; whole seconds';
COMMENT ON COLUMN csm.calendar_intervals.end_time IS
'When they end, not included; before start_time: on the next day. 24:00 is midnight; a day open throughout is 00:00 to 24:00';
COMMENT ON TABLE csm.calendar_exceptions IS
'Holidays and special days. An exception replaces its date from midnight to midnight, what a night shift of the eve leaves included: closed, or open in its own hours. Several on one date: open is what all of them leave open';
COMMENT ON COLUMN csm.calendar_exceptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_exceptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_exceptions.calendar_id IS 'Calendar; those that inherit from it have the exception too';
COMMENT ON COLUMN csm.calendar_exceptions.on_date IS 'Date in the zone of whichever calendar counts it';
COMMENT ON COLUMN csm.calendar_exceptions.name IS 'Name of the day';
COMMENT ON FUNCTION csm_private.sla_condition(jsonpath) IS
'Check constraint: true for a predicate over columns of csm.cases without variables, else error 22023';
COMMENT ON FUNCTION csm_private.case_staff_reads(csm.cases) IS
'Whether the signed-in person has case_read on the case as staff (V9), not only as a customer; false for nobody and a null row';
COMMENT ON POLICY sla_definitions_select ON csm.sla_definitions IS 'Staff connections read what is promised';
COMMENT ON POLICY sla_definitions_write ON csm.sla_definitions IS 'Administrators keep it';
COMMENT ON POLICY case_slas_select ON csm.case_slas IS 'Whoever sees the case, those that customers may see';
COMMENT ON POLICY case_slas_select_staff ON csm.case_slas IS
'Staff who read the case; on a case that he sees only as a customer, those that customers may see';
COMMENT ON POLICY case_slas_select_report ON csm.case_slas IS 'Reporting connections: those of the cases that they see';
COMMENT ON POLICY sla_events_select ON csm.sla_events IS 'Staff who read the case';
COMMENT ON FUNCTION csm_private.case_slas() IS
'AFTER trigger of csm.cases: attaches SLAs and moves them on as their definitions say';
COMMENT ON FUNCTION csm_private.due_sla(bigint, bigint, timestamptz) IS
'Timer handler: notes the warnings and the breach of an SLA that lie at or before "at", and sets the next timer; does nothing on one that has ended';
COMMENT ON FUNCTION csm_private.recompute_sla(bigint, bigint, boolean, boolean) IS
'Folds the log of an SLA; true when that gives what is stored. write: stores what it gives; retarget: an open one takes its definition as it is now. NULL for an unknown one. The caller holds the lock of the case';
COMMENT ON FUNCTION csm_private.sla_business(csm.case_slas, timestamptz) IS
'Open time that the SLA has counted until an instant not before as_of';
COMMENT ON FUNCTION csm_private.reckon_slas(bigint[]) IS
'Reckons open SLAs anew that depend on these calendars or on what inherits from them';
COMMENT ON FUNCTION csm_private.calendar_changed() IS 'Trigger of csm.calendars: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_exceptions_changed() IS 'Trigger of csm.calendar_exceptions: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_intervals_changed() IS 'Trigger of csm.calendar_intervals: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm.recompute_sla(bigint) IS
'Folds the log of an SLA and returns the row, corrected where something else was stored; an ended one is then reckoned by its calendar as that is now. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm.verify_slas(bigint) IS
'SLAs whose stored sums differ from what their log gives: none, but for ended ones whose calendar was changed afterwards. Changes nothing. Error 42501 without the action configure';
COMMENT ON FUNCTION csm.retarget_slas(bigint) IS
'Lets the open SLAs of a definition go on as the definition is now (duration, fixed calendar, name, visibility); nothing counted or paused is lost. Returns how many. Without it a changed definition counts for SLAs attached from then on. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm_private.standard_slas() IS
'What csm.create_standard_slas() writes (conditions: R 2.6)';
COMMENT ON FUNCTION csm.create_standard_slas(bigint, bigint) IS
'Writes a first set of definitions, to be changed as the tenant likes: response from opening to the first shared entry of staff, resolution to the closing with pauses while the customer is asked or has a solution to judge, an update every two hours of work on priority 1. A name that is there stays; returns how many are new. No tenant has definitions before: a promise is the tenant''s to make. Errors: 42501 without the action configure, 22023 no such calendar';
COMMENT ON VIEW csm.case_sla_status IS 'SLAs as they are at this moment, with no job to run; who sees which: csm.case_slas';
COMMENT ON COLUMN csm.case_sla_status.id IS 'csm.case_slas.id';
COMMENT ON COLUMN csm.case_sla_status.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_sla_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_sla_status.name IS 'Name of the definition';
COMMENT ON COLUMN csm.case_sla_status.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_sla_status.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_sla_status.started_at IS 'Since when it counts';
COMMENT ON COLUMN csm.case_sla_status.due_at IS 'When the time is or was up; NULL while paused, infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_sla_status.business_elapsed IS 'Open time counted until now';
COMMENT ON COLUMN csm.case_sla_status.remaining_seconds IS 'Open seconds left, rounded up; 0 when the time is up';
COMMENT ON COLUMN csm.case_sla_status.percent IS 'Part of the duration that has been counted, rounded down; above 100 after the breach';
COMMENT ON COLUMN csm.case_sla_status.breached IS 'The time is up, or was when it ended; true from due_at on, whether or not a timer has run';
COMMENT ON TABLE csm.sla_definitions IS
'What is promised: how much open time may pass between two conditions. Conditions are SQL/JSON path predicates over the row of csm.cases ($.column, of attributes $.attributes.key): data that runs no code; one that fails on a row is false. They are looked at when a column changes that some definition reads';
COMMENT ON COLUMN csm.sla_definitions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sla_definitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_definitions.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.sla_definitions.type IS 'response, resolution or update; update begins anew with each shared entry of staff';
COMMENT ON COLUMN csm.sla_definitions.duration_seconds IS 'Open seconds that are allowed; at most ten years';
COMMENT ON COLUMN csm.sla_definitions.calendar_from IS
'Whose calendar counts: none (around the clock), fixed, that of the account or the nearest account above, that of the entitlement';
COMMENT ON COLUMN csm.sla_definitions.calendar_id IS 'The calendar when fixed; else the one where account or entitlement have none; NULL: around the clock';
COMMENT ON COLUMN csm.sla_definitions.case_types IS
'Case types for which it is, with those that inherit from them and have none of the same type of their own; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.branches IS 'Branches for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.priorities IS 'Priorities for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.start_when IS 'Attaches one where none is open or completed and neither stop nor cancel hold; does not have to stay true';
COMMENT ON COLUMN csm.sla_definitions.pause_when IS 'Time does not count while it holds; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.stop_when IS 'Completes it';
COMMENT ON COLUMN csm.sla_definitions.reset_when IS 'When it becomes true, counting begins anew, also of one that was completed; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.cancel_when IS 'Ends it without result; goes before stop; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.warn_at IS 'Percent of the duration at which event sla_warned is written, 1 to 99';
COMMENT ON COLUMN csm.sla_definitions.visible_to_customer IS 'Customers who see the case see its status';
COMMENT ON COLUMN csm.sla_definitions.active IS 'False: attaches no more; what is attached goes on';
COMMENT ON TABLE csm.case_slas IS
'SLAs of cases. All that is counted follows from csm.sla_events and the calendar (csm.recompute_sla); the row holds it as of the last event';
COMMENT ON COLUMN csm.case_slas.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_slas.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_slas.case_id IS 'The case';
COMMENT ON COLUMN csm.case_slas.definition_id IS 'The definition under which it runs now';
COMMENT ON COLUMN csm.case_slas.name IS 'Name of the definition when it was attached or took over';
COMMENT ON COLUMN csm.case_slas.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_slas.visible_to_customer IS 'Customers who see the case see it';
COMMENT ON COLUMN csm.case_slas.calendar_id IS 'Calendar that counts, chosen when it was attached or took over; NULL: around the clock';
COMMENT ON COLUMN csm.case_slas.duration_seconds IS 'Open seconds allowed; kept when the definition changes, see csm.retarget_slas()';
COMMENT ON COLUMN csm.case_slas.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_slas.attached_at IS 'When it was attached';
COMMENT ON COLUMN csm.case_slas.started_at IS 'Since when it counts: attached_at, or the last reset';
COMMENT ON COLUMN csm.case_slas.as_of IS 'Until when elapsed and business_elapsed are counted: the last event; csm.case_sla_status counts until now';
COMMENT ON COLUMN csm.case_slas.elapsed IS 'Time counted around the clock, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.business_elapsed IS 'Open time counted, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.due_at IS
'When the time is up if nothing happens before: the earliest instant at which the open time equals the duration. NULL while paused, and when it was paused as it ended; infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_slas.breached_at IS 'When the time was up, as of the last event; NULL: it was not. A reset clears it; csm.cases.made_sla remembers';
COMMENT ON TABLE csm.sla_events IS 'The log of SLAs, append-only: elapsed, open and due time are a function of it and the calendar';
COMMENT ON COLUMN csm.sla_events.id IS 'Identity, unique in the database; the order of the log';
COMMENT ON COLUMN csm.sla_events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_events.case_sla_id IS 'The SLA';
COMMENT ON COLUMN csm.sla_events.at IS 'When; never before the row before it';
COMMENT ON COLUMN csm.sla_events.event IS
'attach, pause, resume, reset, complete, cancel; retarget: went on under another target; reckon: the calendar had changed; warn and breach: noted, at their instant';
COMMENT ON COLUMN csm.sla_events.percent IS 'Part of the duration, for warn and breach; NULL for others';
COMMENT ON COLUMN csm.sla_events.definition_id IS 'Definition, for attach and retarget';
COMMENT ON COLUMN csm.sla_events.calendar_id IS 'Calendar, for attach and retarget; NULL there: around the clock';
COMMENT ON COLUMN csm.sla_events.duration_seconds IS 'Target, for attach and retarget; the last one holds for the whole log';
COMMENT ON TABLE csm.escalation_templates IS 'Kinds of escalation: how severe, why, and who decides';
COMMENT ON COLUMN csm.escalation_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalation_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalation_templates.template IS 'Key by which it is asked for';
COMMENT ON COLUMN csm.escalation_templates.label IS 'Name that people read, customers too where for_customers is set';
COMMENT ON COLUMN csm.escalation_templates.severity IS 'high or medium';
COMMENT ON COLUMN csm.escalation_templates.targets IS 'What can be escalated with it: case, account';
COMMENT ON COLUMN csm.escalation_templates.reasons IS 'Reasons for which it may be asked: inactivity, lack_of_progress, customer_deadline';
COMMENT ON COLUMN csm.escalation_templates.approval_group_id IS 'Group whose members decide; NULL, or a group without members: escalated at once';
COMMENT ON COLUMN csm.escalation_templates.for_customers IS 'Customers may ask for it, for cases';
COMMENT ON COLUMN csm.escalation_templates.active IS 'False: it can be asked for no more';
COMMENT ON TABLE csm.escalations IS 'Escalations of cases and accounts; staff only. At most one open (requested, escalated) per case and per account';
COMMENT ON COLUMN csm.escalations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalations.template_id IS 'The template';
COMMENT ON COLUMN csm.escalations.case_id IS 'Case that is escalated; exactly one of case and account is set';
COMMENT ON COLUMN csm.escalations.account_id IS 'Account that is escalated';
COMMENT ON COLUMN csm.escalations.state IS 'requested, then escalated or declined; escalated ends closed, requested too when the case ends first';
COMMENT ON COLUMN csm.escalations.source IS 'customer or internal: on whose side it was asked for first';
COMMENT ON COLUMN csm.escalations.reason IS 'inactivity, lack_of_progress or customer_deadline';
COMMENT ON COLUMN csm.escalations.severity IS 'high or medium, from the template';
COMMENT ON COLUMN csm.escalations.trend IS 'improving, same or declining, as staff judge it';
COMMENT ON COLUMN csm.escalations.justification IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.escalations.requested_by IS 'Who asked; NULL for the system';
COMMENT ON COLUMN csm.escalations.requested_at IS 'When';
COMMENT ON COLUMN csm.escalations.decided_by IS 'Who decided; NULL where the template needs no decision, or the system did';
COMMENT ON COLUMN csm.escalations.decided_at IS 'When; NULL while requested';
COMMENT ON COLUMN csm.escalations.decision_note IS 'What he said; NULL for nothing';
COMMENT ON COLUMN csm.escalations.closed_by IS 'Who took it back; NULL while it is open, for the system, and where the end of the case closed it';
COMMENT ON COLUMN csm.escalations.closed_at IS 'When it ended; NULL before';
COMMENT ON COLUMN csm.escalations.closing_note IS 'Why; NULL for nothing';
COMMENT ON POLICY escalation_templates_select ON csm.escalation_templates IS 'Staff and administrators read those of their tenant';
COMMENT ON POLICY escalation_templates_write ON csm.escalation_templates IS 'Administrators keep them';
COMMENT ON POLICY escalations_select ON csm.escalations IS 'Staff who work on the case or for the account; nobody else (R 3.4)';
COMMENT ON POLICY escalations_update ON csm.escalations IS 'The same, the trend of an open one';
COMMENT ON FUNCTION csm_private.works_for_account(bigint, bigint) IS
'Whether the signed-in person works on cases of the account; false for nobody and for NULL';
COMMENT ON TABLE csm.recipient_lists IS 'Whom a major case concerns';
COMMENT ON COLUMN csm.recipient_lists.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipient_lists.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipient_lists.name IS 'Name that people read, unique in the tenant';
COMMENT ON COLUMN csm.recipient_lists.created_at IS 'When it was made';
COMMENT ON TABLE csm.recipients IS 'Accounts and persons of a list';
COMMENT ON COLUMN csm.recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipients.list_id IS 'The list';
COMMENT ON COLUMN csm.recipients.account_id IS 'Account; exactly one of account and user is set';
COMMENT ON COLUMN csm.recipients.user_id IS 'Person: a consumer or an employee';
COMMENT ON TABLE csm.case_children IS 'Cases that have or had a parent, and up to where they have followed it; kept by csm';
COMMENT ON COLUMN csm.case_children.parent_id IS 'The parent';
COMMENT ON COLUMN csm.case_children.case_id IS 'The child; it counts while cases.parent_id says so';
COMMENT ON COLUMN csm.case_children.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_children.account_id IS 'Account of the child; NULL where it has none';
COMMENT ON COLUMN csm.case_children.user_id IS 'Requester of the child where it has no account; NULL where it has one';
COMMENT ON COLUMN csm.case_children.created IS 'csm.create_children() made it';
COMMENT ON COLUMN csm.case_children.followed IS 'Last of the parent''s major_changes that the child has taken over or let pass';
COMMENT ON TABLE csm.major_changes IS 'What children of a case have to follow, in order; kept by csm';
COMMENT ON COLUMN csm.major_changes.id IS 'Identity; taken under the lock of the parent, so in the order of its changes';
COMMENT ON COLUMN csm.major_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.major_changes.case_id IS 'The parent';
COMMENT ON COLUMN csm.major_changes.fields IS 'Columns of the parent that changed; a child takes the value that the parent has when the child follows';
COMMENT ON COLUMN csm.major_changes.entry_id IS 'Entry of the parent that children get as well; NULL for none';
COMMENT ON COLUMN csm.major_changes.closes IS 'The parent was closed, and its children are';
COMMENT ON POLICY case_children_select ON csm.case_children IS 'Staff who work on the child';
COMMENT ON POLICY major_changes_select ON csm.major_changes IS 'Staff who work on the parent';
COMMENT ON TABLE csm.event_positions IS 'The last position given in each tenant; its row is locked by the session that gives positions';
COMMENT ON COLUMN csm.event_positions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_positions.last IS 'Highest position in csm.events; grows, also after events were pruned';
COMMENT ON POLICY event_positions_select ON csm.event_positions IS 'Administrators, who start a subscriber at the end';
COMMENT ON TABLE csm.event_subscribers IS 'Programs that follow the events of a tenant, each with its own place in the order. One that is not used any more is deleted, for it keeps csm.prune_events() from deleting what it has not acknowledged';
COMMENT ON COLUMN csm.event_subscribers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.event_subscribers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_subscribers.key IS 'Name in csm.next_events(), unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.event_subscribers.user_id IS 'Person who reads: events are those of cases that he sees, and only he can ask';
COMMENT ON COLUMN csm.event_subscribers.kinds IS 'Kinds of events wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.case_types IS 'Case types wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.position IS 'Acknowledged so far; a new subscriber begins after it: 0 with the oldest event that is kept, csm.event_positions.last with the next one';
COMMENT ON COLUMN csm.event_subscribers.delivered IS 'Highest position handed out to him';
COMMENT ON COLUMN csm.event_subscribers.created_at IS 'When the subscriber was made';
COMMENT ON COLUMN csm.event_subscribers.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_subscribers.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON POLICY event_subscribers_select ON csm.event_subscribers IS 'Everyone his own; administrators all';
COMMENT ON POLICY event_subscribers_write ON csm.event_subscribers IS 'Administrators make and delete subscribers';
COMMENT ON FUNCTION csm_private.own_subscriber(text) IS
'The subscriber of that key whose person is signed in, its row locked; 42501 for a missing one and for another person''s';
COMMENT ON FUNCTION csm_private.give_positions(bigint) IS
'Gives the next positions to committed events of the tenant, in the order of ids, up to 10,000; does nothing while another session does it';
COMMENT ON FUNCTION csm.next_events(text, integer) IS
'The next events of a subscriber after what he acknowledged, in the order of positions: the same again until csm.acknowledge(). Call it in a transaction of its own, read-write; positions hold once that has committed, id tells a repeated event. Only events of cases that the caller sees now, of the kinds and types wanted; an empty answer means none for now. Errors: 42501 not the caller''s subscriber, 22023 limit outside 1 to 10000, 40001 under REPEATABLE READ when another session gave positions meanwhile';
COMMENT ON FUNCTION csm.acknowledge(text, bigint) IS
'Says that the subscriber has handled every event up to the position; returns how far he is. Never goes back. Errors: 42501 not the caller''s subscriber, 22023 beyond what was delivered, 22004 null';
COMMENT ON FUNCTION csm_private.events_waiting(bigint, bigint) IS
'How many events of the tenant stand after a position or wait for one, and the time of the oldest (NULL for none); for administrators (42501)';
COMMENT ON VIEW csm.event_lag IS 'How far each subscriber of the tenant is behind; for administrators';
COMMENT ON COLUMN csm.event_lag.tenant_id IS 'Tenant of the subscriber';
COMMENT ON COLUMN csm.event_lag.key IS 'The subscriber';
COMMENT ON COLUMN csm.event_lag.user_id IS 'Person who reads';
COMMENT ON COLUMN csm.event_lag.position IS 'Acknowledged so far';
COMMENT ON COLUMN csm.event_lag.delivered IS 'Handed out so far';
COMMENT ON COLUMN csm.event_lag.waiting IS 'Events of the tenant after that, also those that he will not be shown';
COMMENT ON COLUMN csm.event_lag.oldest IS 'When the oldest of them happened; NULL for none';
COMMENT ON COLUMN csm.event_lag.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_lag.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON FUNCTION csm.prune_events(interval, integer) IS
'Deletes events older than keep that every subscriber of their tenant has acknowledged (all old ones where there is no subscriber), up to limit rows; returns how many. Administrators for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023 negative keep or limit below 1';
COMMENT ON FUNCTION csm_private.quota(jsonb, text) IS
'A quota from the settings of a tenant, or its default; NULL means no limit. Quotas: cases_per_day 10, comments_per_day 25 (per case), attachments 5 (per record), products 25';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object. csm reads event_notify (true: NOTIFY with each event; off by default, because it makes commits wait for one another), use_asset_contacts (true: plain contacts see only install-base items that they are linked to), seal_minutes (between two seals of the history; 60), max_attachments (of a case; 100) and max_attachment_bytes (of one content; 10485760), unless the case type says otherwise, and quotas (cases_per_day 10, comments_per_day 25, attachments 5, products 25; null: no limit), registration, assignable_roles and captcha (README)';
COMMENT ON FUNCTION csm_private.case_quota() IS
'AFTER INSERT trigger of csm.cases: SM007 when a person opened more consumer cases through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.entry_quota() IS
'AFTER INSERT trigger of csm.case_entries: SM007 when a person commented more often on a consumer case through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) IS
'SM007 when used, which counts what is being added, exceeds the quota; nothing for staff, the system, importing and restoring. The caller has locked what it counted, and asks for consumers only. Error 22023 for an unknown quota';
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';
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
COMMENT ON FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) IS
'Writes a row of csm.audit_log; nothing on a standby, in a read-only transaction, and where the tenant is not known';
COMMENT ON TABLE csm_private.secrets IS 'Random keys of this database; not part of a dump';
COMMENT ON COLUMN csm_private.secrets.name IS 'What the key is for';
COMMENT ON COLUMN csm_private.secrets.value IS '256 random bits';
COMMENT ON TABLE csm_private.attempts IS 'Counters of attempts, outside transactions; read and written by csm_private.attempt() only. Not part of a dump';
COMMENT ON COLUMN csm_private.attempts.tag IS 'Keyed hash of kind and key; 0 for a row not used yet';
COMMENT ON COLUMN csm_private.attempts.free_at IS 'Rate: when nothing is counted any more; back-off: end of the pause';
COMMENT ON COLUMN csm_private.attempts.expires_at IS 'From when on the row is free for another key';
COMMENT ON COLUMN csm_private.attempts.count IS 'Back-off: attempts so far';
COMMENT ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) IS
'Counts an attempt of this kind by this key, whether or not the transaction commits; false when it is one too many, which is then not counted. longest NULL: so many in a period. Else back-off: after so many a pause of one period, doubled by each further attempt up to longest, forgotten when nothing happened for longest. Errors 22004 for NULL, 22023 for values out of range, 25006 on a standby';
COMMENT ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) IS
'The attempt just counted was a good one: a rate gets it back, a back-off begins anew. Arguments as those of csm_private.attempt()';
COMMENT ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) IS
'Makes the transaction (local) or the session that person''s, for statements that start before until; NULL: nobody''s. For functions that have checked the proof; asks nothing. Error 22004 when local is null';
COMMENT ON FUNCTION csm_private.new_token() IS
'256 random bits in base64url, 43 characters. Stored as csm_private.token_hash() only';
COMMENT ON FUNCTION csm_private.token_hash(text) IS
'SHA-256 of a token: what is stored and looked up. Enough for 256 random bits, never for a password';
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
COMMENT ON TABLE csm.identity_provider_keys IS 'Public keys of the providers, kept by csm.set_provider_keys()';
COMMENT ON COLUMN csm.identity_provider_keys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_provider_keys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_provider_keys.provider_id IS 'The provider';
COMMENT ON COLUMN csm.identity_provider_keys.kid IS 'Name of the key in the header of a token; NULL when it has none';
COMMENT ON COLUMN csm.identity_provider_keys.jwk IS 'The key as a JSON Web Key (RFC 7517), public members only';
COMMENT ON COLUMN csm.identity_provider_keys.algorithms IS 'What it may verify: by type and curve, or the one that the key names';
COMMENT ON COLUMN csm.identity_provider_keys.created_at IS 'When it was set';
COMMENT ON POLICY identity_provider_keys_select ON csm.identity_provider_keys IS 'Administrators see the keys';
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
COMMENT ON TABLE csm.spent_tokens IS 'Tokens of single_use providers that were used, until they would have expired; nobody but csm reads it';
COMMENT ON COLUMN csm.spent_tokens.provider_id IS 'The provider';
COMMENT ON COLUMN csm.spent_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.spent_tokens.token_hash IS 'SHA-256 of the claim jti';
COMMENT ON COLUMN csm.spent_tokens.expires_at IS 'When the token ends, clock skew included';
COMMENT ON FUNCTION csm_private.audit_identity() IS
'AFTER trigger of providers and identities: a row of the audit log for each change. Argument: beginning of the kind';
COMMENT ON FUNCTION csm_private.key_algorithms(text) IS
'Signature algorithms that a JSON Web Key can verify, or why it must not be used: one of the two is NULL';
COMMENT ON FUNCTION csm.set_provider_keys(bigint, jsonb) IS
'Makes these the keys of the provider, a JSON Web Key Set (RFC 7517), and returns how many can be used; keys for encryption and of unknown types are passed over, what is not in the set any more is accepted no longer. Errors: 42501 no such provider in the administrator''s tenant; 22023 no key set, no usable key, a name twice, a private or symmetric key';
COMMENT ON FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) IS
'Who an unknown subject of a verified token is: a known person by link_by, or a new one by create_as; else why he is refused. Raises nothing that claims could cause';
COMMENT ON FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) IS
'True for the first use of a token, whether or not the transaction of that use commits';
COMMENT ON FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) IS
'Writes why somebody was not signed in: at most a thousand rows an hour for each person, and for nobody in particular';
COMMENT ON FUNCTION csm.sign_in(text, boolean, text) IS
'Signs in with the token of a session or API key that csm issued, or an ID token of a provider of the visitor''s tenant (csm.tenant): for the transaction, or with local false for the connection until the token ends. nonce: the one that the portal sent with its request, if it did. status is signed_in, or refused, which leaves nobody signed in and says no more; csm.audit_log has the reason. Raises nothing for what a token may contain';
COMMENT ON TABLE csm.mail_senders IS 'Persons, as a rule technical ones, as whom a sender process may fetch mail of the tenant; kept by csm.allow_mail_sender()';
COMMENT ON COLUMN csm.mail_senders.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_senders.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_senders.created_at IS 'Since when';
COMMENT ON POLICY mail_senders_select ON csm.mail_senders IS 'Administrators see who may fetch mail';
COMMENT ON TABLE csm.outbox IS 'Messages that wait for a sender process; read through csm.next_mail(), deleted when acknowledged or expired';
COMMENT ON COLUMN csm.outbox.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.outbox.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.outbox.kind IS 'Which template: README lists them with their payloads';
COMMENT ON COLUMN csm.outbox.recipient IS 'One e-mail address';
COMMENT ON COLUMN csm.outbox.user_id IS 'The person it is for; NULL when he has no row yet';
COMMENT ON COLUMN csm.outbox.language IS 'Language tag for the template';
COMMENT ON COLUMN csm.outbox.payload IS 'What the template fills in, a JSON object; token is a single-use secret';
COMMENT ON COLUMN csm.outbox.created_at IS 'When it was written';
COMMENT ON COLUMN csm.outbox.expires_at IS 'From then on it is deleted instead of handed out; NULL: never';
COMMENT ON COLUMN csm.outbox.claimed_until IS 'Not handed out again before, unless acknowledged; NULL: never handed out';
COMMENT ON COLUMN csm.outbox.attempts IS 'How often it was handed out';
COMMENT ON FUNCTION csm_private.send_mail(bigint, text, text, bigint, text, jsonb, timestamptz) IS
'Puts a message into the outbox; error 23514 for what is not one plain address';
COMMENT ON FUNCTION csm.allow_mail_sender(bigint, boolean) IS
'Lets a sender process that is signed in as this person fetch mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';
COMMENT ON FUNCTION csm_private.sender_tenant() IS
'Tenant whose mail the caller sends; NULL for the system, which sends everybody''s. Error 42501 for anybody else';
COMMENT ON FUNCTION csm.next_mail(integer, interval) IS
'Messages to be sent, the oldest first: each to one caller at a time, again when the lease has passed without csm.acknowledge_mail(). Commit before sending. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm.acknowledge_mail(bigint[]) IS
'Says that messages were sent, or are to be given up; deletes them and returns how many there were. Callers as csm.next_mail(). Error 42501';
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
COMMENT ON TABLE csm.denied_passwords IS 'Passwords that nobody of the tenant may choose: lists of leaked ones, the name of the company; COPY into it';
COMMENT ON COLUMN csm.denied_passwords.password IS 'In lower case; upper and lower case do not count';
COMMENT ON COLUMN csm.denied_passwords.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY denied_passwords_all ON csm.denied_passwords IS 'Administrators';
COMMENT ON TABLE csm.passwords IS 'Who can sign in with a password; no role reads or writes it';
COMMENT ON COLUMN csm.passwords.user_id IS 'The person';
COMMENT ON COLUMN csm.passwords.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.passwords.hash IS 'Argon2id with salt and cost, as libsodium writes it';
COMMENT ON COLUMN csm.passwords.must_change IS 'True: good for nothing but csm.change_password()';
COMMENT ON COLUMN csm.passwords.changed_at IS 'When it was set';
COMMENT ON TABLE csm.password_resets IS 'Who may set a password with the token that he was sent: one at a time, a newer token replaces it; no role reads it';
COMMENT ON COLUMN csm.password_resets.user_id IS 'The person';
COMMENT ON COLUMN csm.password_resets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_resets.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm.password_resets.expires_at IS 'From when on it is good for nothing';
COMMENT ON FUNCTION csm_private.password_hash(text) IS
'Argon2id with a new salt: 64 MB of memory, some 60 ms, at most eight at a time in a database';
COMMENT ON FUNCTION csm_private.password_matches(text, text) IS
'Is it the password of the hash? Hash NULL: false, after the same time';
COMMENT ON FUNCTION csm_private.password_outdated(text) IS
'Was the hash made at another cost than new ones?';
COMMENT ON FUNCTION csm_private.password_text(text) IS
'What is hashed of a password: Unicode in form NFKC; of what is too long to be one, the beginning';
COMMENT ON FUNCTION csm_private.password_policy(bigint) IS
'The policy of the tenant, or the defaults';
COMMENT ON FUNCTION csm_private.common_passwords() IS
'Passwords denied to everybody, in lower case, beside csm.denied_passwords';
COMMENT ON FUNCTION csm_private.password_fault(bigint, bigint, text) IS
'Why the person may not choose this password: too_short, too_long (1,000 characters), denied; NULL: he may. user_id NULL: nothing of the person is compared';
COMMENT ON FUNCTION csm_private.set_password(bigint, bigint, text, boolean) IS
'Stores the password of a person; asks nothing, tokens of resets end. The caller has looked at csm_private.password_fault()';
COMMENT ON FUNCTION csm_private.source_of(text) IS
'Where a request comes from: what a trusted backend says, else the address of the connection';
COMMENT ON FUNCTION csm_private.person_of_login(bigint, text) IS
'The person with this e-mail, else with this external id; NULL for none';
COMMENT ON FUNCTION csm_private.try_password(bigint, bigint, text, text) IS
'Is it the password of the person? Counts the attempt before it looks. refusal NULL: yes; else source_limit, locked, wrong_password, no_password (of a person who has none, is disabled or unknown, or where passwords are not allowed)';
COMMENT ON FUNCTION csm.sign_in_password(text, text, text, boolean) IS
'Signs a person of the visitor''s tenant (csm.tenant) in by e-mail or external id and password, for the transaction or with local false for the session. source: the visitor''s address, from a backend that stands between. status: signed_in; must_change: right, but only csm.change_password() is open to him; refused, which leaves nobody signed in and says no more. Pass the password as a bind parameter';
COMMENT ON FUNCTION csm.change_password(text, text, text, text) IS
'Sets another password: of the signed-in person, or, when nobody is signed in, of the person with that login (who must change it first). status: changed; refused (current password wrong, login locked); too_short, too_long, denied, unchanged (new password). Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.issue_password_reset(bigint, bigint, text, interval) IS
'Sends the person, to his address on record, a token with which he sets his password once; an earlier one ends. kind: the template. valid NULL: as the policy says. False when he is unknown, disabled or has no address; asks nothing else';
COMMENT ON FUNCTION csm.request_password_reset(text, text) IS
'Sends a person who has a password a token to set another one. status is always accepted, whether or not somebody is known by that login, and where too many were asked for: three an hour for a person, and those of a source';
COMMENT ON FUNCTION csm.reset_password(text, text) IS
'Sets the password with the token of a reset or an invitation, once, and unlocks the login; signs nobody in. status: changed; refused (token unknown, used, replaced or expired); too_short, too_long, denied, which leave the token good. Pass both as bind parameters';
COMMENT ON FUNCTION csm.send_password_reset(bigint) IS
'Sends the person a token to set his password, to his address on record; who had none gets one so. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm.require_password_change(bigint) IS
'The person''s password is good for nothing but csm.change_password() from now on. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm_private.directory_fault(jsonb) IS
'What is wrong with an element given to csm.upsert_users(), taken by itself; NULL: nothing';
COMMENT ON FUNCTION csm_private.upsert_user(bigint, jsonb) IS
'One element of csm.upsert_users() in which csm_private.directory_fault() finds nothing: outcome created, updated, unchanged or rejected, the person, and why rejected';
COMMENT ON FUNCTION csm.upsert_users(jsonb, boolean) IS
'Makes and updates people by external_id: objects with external_id, display_name, email, language, time_zone, phone, title, enabled, employee, department; a key left out changes nothing. A row for each with outcome created, updated, unchanged or rejected and the reason; deactivate_missing disables enabled people who have an external_id that is not named (never the caller), outcome deactivated. Administrators. Errors: 42501; 22023 no array, or an empty one with deactivate_missing; 23505 where somebody else takes an e-mail at the same moment: nothing is done then, repeat it';
COMMENT ON FUNCTION csm_private.administers(bigint, bigint) IS
'Whether the caller administers the login of the person: staff with person_manage or configure; with contact_manage only while every persona of the person is a contact in his reach';
COMMENT ON TABLE csm.sessions IS 'Sessions and API keys that csm issued; made by csm.start_session() and csm.create_api_key(), ended by csm.revoke_session() and its like. A row that expired may stand until its person starts another';
COMMENT ON COLUMN csm.sessions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sessions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sessions.user_id IS 'The person who signs in by it';
COMMENT ON COLUMN csm.sessions.last_used_at IS 'Last sign-in by it, to the minute; uses on a standby do not count. Written outside transactions';
COMMENT ON COLUMN csm.sessions.kind IS 'session, or key (API key)';
COMMENT ON COLUMN csm.sessions.label IS 'What the person called it; NULL for nothing';
COMMENT ON COLUMN csm.sessions.created_at IS 'When it was made';
COMMENT ON COLUMN csm.sessions.expires_at IS 'Absolute end';
COMMENT ON COLUMN csm.sessions.idle_minutes IS 'A session ends when it was not used for so many minutes; NULL for an API key';
COMMENT ON COLUMN csm.sessions.persona IS 'An API key counts through this persona alone; NULL: through all';
COMMENT ON COLUMN csm.sessions.actions IS 'An API key permits these actions alone, as far as its person holds them; NULL: all';
COMMENT ON POLICY sessions_select ON csm.sessions IS 'One''s own, and those of people whose login one administers';
COMMENT ON TABLE csm_private.session_tokens IS 'How the token of a session or API key is known: the token itself is stored nowhere';
COMMENT ON COLUMN csm_private.session_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.session_tokens.session_id IS 'The session or API key';
COMMENT ON COLUMN csm_private.session_tokens.tenant_id IS 'Its tenant';
COMMENT ON FUNCTION csm_private.sign_in_by_token(text, boolean) IS
'Signs in by the token of a session or API key, for the transaction (local) or the connection; the person, or NULL and nothing done where the token is unknown or has expired. On a standby the absolute end alone counts';
COMMENT ON FUNCTION csm_private.session_setting(bigint, text) IS
'A setting of the tenant: session_idle_minutes (30), session_hours (12), api_key_days (365; 0: no API keys); what is no number counts as not set, what is out of range as the nearest';
COMMENT ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) IS
'A row of csm.sessions for the signed-in person, and its token; error 42501 when he was disabled meanwhile';
COMMENT ON FUNCTION csm.start_session(text) IS
'A token by which the signed-in person can sign in (csm.sign_in()) until the session ends: 256 random bits, told once, stored as a hash. A person has at most 100 sessions. Errors: 42501 nobody, by an API key or for another; 22023 label too long; 25006 on a standby';
COMMENT ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) IS
'A token for an integration, which signs in as the caller by csm.sign_in(): through one persona and for some actions only where given; with what the caller may at the time of use, never more. Ends after 90 days or as given, at most the tenant''s api_key_days. Told once, stored as a hash. Errors: 42501 nobody, by an API key, for another, another''s persona, keys forbidden; 22023 name, actions or end; SM007 more than 50';
COMMENT ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) IS
'Ends the sessions of a person, keys: his API keys as well; how many. For functions that change a login';
COMMENT ON FUNCTION csm.revoke_session(bigint) IS
'Ends a session or API key (csm.sessions.id) at once, open transactions included: one''s own, or of a person whose login one administers. False where there is none, another''s alike. Error 42501: nobody, by an API key or for another';
COMMENT ON FUNCTION csm.revoke_all_sessions(bigint, boolean) IS
'Ends all sessions of the person, by default the caller, and his API keys unless keys is false; how many. The one that the caller uses ends too. Error 42501: nobody, by an API key, for another, or a person whose login he does not administer, missing ones alike';
COMMENT ON FUNCTION csm_private.login_ends() IS
'Trigger of csm.users and csm.contacts: sessions and API keys end when the person is disabled, or the login of his last persona. Argument: the column that names the person';
COMMENT ON FUNCTION csm_private.set_behalf(bigint) IS
'The signed-in person acts for that one until the transaction ends; NULL lifts it. Asks nothing: whether he may shows in his rights';
COMMENT ON FUNCTION csm.on_behalf_of(bigint) IS
'Until the transaction ends the caller acts for that person: with that person''s rights as a customer, in the branches where the caller holds act_for and contact_read, and of the actions those that the caller himself holds there with reach all. Entries, history and events name both. NULL, or oneself, lifts it. Error 42501: nobody, without act_for, no such person, disabled or of another tenant';
COMMENT ON FUNCTION csm.on_behalf_of() IS
'For whom the caller acts (csm.users.id); NULL for himself';
COMMENT ON TABLE csm_private.captcha_used IS 'Challenges that were solved and used, until they expire; not part of a dump, as their key is not';
COMMENT ON COLUMN csm_private.captcha_used.tenant_id IS 'Tenant whose challenge it was';
COMMENT ON COLUMN csm_private.captcha_used.challenge IS 'The challenge, 32 bytes';
COMMENT ON COLUMN csm_private.captcha_used.expires_at IS 'From then on the row is not needed any more';
COMMENT ON FUNCTION csm_private.altcha_challenge(bytea, integer, timestamptz) IS
'A new signed challenge as JSON text; error 22023 for a key shorter than 32 bytes, a max_number below 1 or an expiry before 1970';
COMMENT ON FUNCTION csm_private.altcha_solved(bytea, text, bigint, text, text) IS
'Until when a challenge may be used, NULL unless it was signed with the key and the number solves it. Knows neither the clock nor what was used already';
COMMENT ON FUNCTION csm_private.captcha_setting(jsonb, text) IS
'max_number (the greatest number to try; 100000) or minutes (for which a challenge counts; 20) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.captcha_key(bigint) IS 'Key that signs the challenges of a tenant';
COMMENT ON FUNCTION csm.captcha_challenge() IS
'A challenge as the ALTCHA widget expects it from its challenge URL: algorithm, challenge, maxnumber, salt, signature. Nothing is stored. NULL where the tenant is not known';
COMMENT ON FUNCTION csm_private.use_captcha(bigint, text) IS
'Whether the payload of the widget (JSON in base64) solves a challenge of the tenant that is neither expired nor used; it is used then';
COMMENT ON FUNCTION csm_private.captcha_passed(bigint, text, text) IS
'Whether the captcha is passed: by the function that csm.captcha_verifier names, else by csm''s proof of work; always where the tenant''s settings say {"captcha": {"required": false}}';
COMMENT ON FUNCTION csm_private.role_within(bigint, text) IS
'Whether the role permits a contact of the account nothing that the caller, who manages its contacts, may not do there himself. True for staff with account_manage; false for nobody and where he does not manage them';
COMMENT ON TABLE csm.account_domains IS 'E-mail domains of accounts: who proves an address there may ask that account to take him in';
COMMENT ON COLUMN csm.account_domains.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_domains.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_domains.account_id IS 'The account';
COMMENT ON COLUMN csm.account_domains.domain IS 'Part of an address after the @, in lower case; subdomains are domains of their own';
COMMENT ON COLUMN csm.account_domains.verified_at IS 'When staff made sure that the domain is the company''s; NULL: not yet, and it counts for nothing';
COMMENT ON COLUMN csm.account_domains.created_at IS 'When the row was made';
COMMENT ON POLICY account_domains_select ON csm.account_domains IS 'Who manages contacts of the account; staff with account_manage';
COMMENT ON POLICY account_domains_write ON csm.account_domains IS 'Staff with account_manage: a customer does not vouch for himself';
COMMENT ON TABLE csm_private.registration_codes IS 'The registration code of an account, as a hash; the audit log says who made it';
COMMENT ON COLUMN csm_private.registration_codes.account_id IS 'The account';
COMMENT ON COLUMN csm_private.registration_codes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_codes.code_hash IS 'As csm_private.code_hash() makes it';
COMMENT ON COLUMN csm_private.registration_codes.created_at IS 'When the code was made';
COMMENT ON TABLE csm.registrations IS 'Requests of strangers to become a consumer or a contact, and invitations; written by functions only';
COMMENT ON COLUMN csm.registrations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.registrations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.registrations.kind IS 'consumer, contact (he asked) or invitation (he was asked)';
COMMENT ON COLUMN csm.registrations.state IS 'pending, requested, approved, rejected or no_longer_required; which may follow which is enforced';
COMMENT ON COLUMN csm.registrations.email IS 'Address as given';
COMMENT ON COLUMN csm.registrations.email_key IS 'Address as csm.users.email_key';
COMMENT ON COLUMN csm.registrations.display_name IS 'Name as given; of a person who is known already nothing is changed';
COMMENT ON COLUMN csm.registrations.language IS 'Language of his mail, and his own if he is new';
COMMENT ON COLUMN csm.registrations.terms IS 'Which terms he accepted; NULL: none were put to him';
COMMENT ON COLUMN csm.registrations.account_id IS 'Account to which he wants; NULL for consumers, and while staff have to find out';
COMMENT ON COLUMN csm.registrations.role IS 'Role that he gets; NULL until it is decided';
COMMENT ON COLUMN csm.registrations.route IS 'What led to the account: code, domain, invitation or staff; NULL while none is known';
COMMENT ON COLUMN csm.registrations.invited_by IS 'Who invited him; NULL where he asked himself';
COMMENT ON COLUMN csm.registrations.created_at IS 'When he registered or was invited';
COMMENT ON COLUMN csm.registrations.confirmed_at IS 'When he proved that the address is his; NULL: not yet';
COMMENT ON COLUMN csm.registrations.decided_at IS 'When it ended; NULL while open';
COMMENT ON COLUMN csm.registrations.decided_by IS 'Who decided; NULL where nobody had to';
COMMENT ON COLUMN csm.registrations.reason IS 'Reason of a rejection; it is mailed to him';
COMMENT ON COLUMN csm.registrations.user_id IS 'The person who has the persona now; NULL unless approved';
COMMENT ON POLICY registrations_select ON csm.registrations IS 'Proven ones and invitations: who manages contacts of the account, staff with account_manage (consumers: person_manage); one''s own';
COMMENT ON TABLE csm_private.registration_tokens IS 'The token by which a registration goes on, as a hash; gone when used';
COMMENT ON COLUMN csm_private.registration_tokens.registration_id IS 'The registration';
COMMENT ON COLUMN csm_private.registration_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_tokens.purpose IS 'confirm: proves the address; invite: accepts an invitation';
COMMENT ON COLUMN csm_private.registration_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON COLUMN csm_private.registration_tokens.expires_at IS 'From then on it is of no use';
COMMENT ON FUNCTION csm_private.guard_registration() IS
'Which state of a registration may follow which; error 55000';
COMMENT ON FUNCTION csm_private.registration_setting(jsonb, text) IS
'per_source (registrations of a source in an hour; 20), per_email (mails to an address in a day; 5), per_account (requests, and invitations, of an account in a day; 50), confirm_hours (48) or invite_days (14; how long tokens live) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.contact_managers(bigint, bigint) IS
'Contacts who manage the contacts of an account: its own administrators, those of its ancestors, those of partners that administer it';
COMMENT ON FUNCTION csm_private.manages_contacts(bigint) IS
'Whether the caller manages the contacts of the account, as its administrator or as staff; NULL for a missing account';
COMMENT ON FUNCTION csm_private.may_assign_role(bigint, text) IS
'Whether the caller may give a contact of the account this role (R A14). Staff with account_manage: any contact role. Who manages its contacts: one that the tenant''s settings list (assignable_roles; by default customer, customer_admin, partner, partner_admin) and that is not above his own, as csm_private.role_within() says';
COMMENT ON FUNCTION csm_private.is_address(text) IS 'Whether mail can be sent there; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_name(text) IS 'Whether it can be a person''s name; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_language(text) IS 'Whether it is a language tag as csm.users takes it; NULL for NULL';
COMMENT ON FUNCTION csm_private.code_hash(bigint, text) IS
'SHA-256 of a registration code within its tenant; case, blanks and hyphens do not count, O is read as 0, I and L as 1';
COMMENT ON FUNCTION csm_private.issue_registration_token(csm.registrations, text, timestamptz) IS
'Makes the token by which a registration goes on, and the timer that ends it; the caller mails it';
COMMENT ON FUNCTION csm_private.mail_registration(csm.registrations, text, jsonb, timestamptz) IS
'Mails something to whom a registration is about; the account''s name only where he is taken in, rejected or invited';
COMMENT ON FUNCTION csm_private.lock_registration(csm.registrations) IS
'Locks a registration and what else is open for its address; the row as it is then';
COMMENT ON FUNCTION csm_private.claim_registration(text, text) IS
'The registration whose unexpired token this is, locked; NULL for any other token';
COMMENT ON FUNCTION csm_private.end_registration_token(csm.registrations) IS 'Takes back the token of a registration and its timer';
COMMENT ON FUNCTION csm_private.person_of(csm.registrations) IS
'The person of the address, locked; made where nobody has it';
COMMENT ON FUNCTION csm_private.add_contact(bigint, bigint, bigint, text) IS
'Makes the person, whose row is locked, a contact of the account; false where he is one already';
COMMENT ON FUNCTION csm_private.decide_registration(csm.registrations, text, bigint, text) IS
'Ends a registration, whose row is locked, and where it is approved the other open ones of the same address for the same account';
COMMENT ON FUNCTION csm_private.request_registration(csm.registrations) IS
'Puts a proven registration before the administrators of its account and mails them';
COMMENT ON FUNCTION csm_private.is_superfluous(csm.registrations) IS
'Whether the person of the address is a contact of the account already, or another request of his is before its administrators';
COMMENT ON FUNCTION csm_private.still_manages(bigint, bigint, bigint) IS
'Whether the person, who need not be signed in, manages the contacts of the account now';
COMMENT ON FUNCTION csm_private.has_credentials(csm.users) IS
'Whether the person signs in somehow already, or comes from a directory that will let him: then registering gives him no password';
COMMENT ON FUNCTION csm_private.first_password_fault(csm.registrations, text) IS
'As csm_private.password_fault(), for somebody who is no person yet; NULL for no password';
COMMENT ON FUNCTION csm_private.complete_registration(csm.registrations, text) IS
'Gives the person of a proven address the persona, and a password where he has no credentials; false where he is disabled, and nothing is given';
COMMENT ON FUNCTION csm_private.forward_registration(csm.registrations) IS
'Puts a proven request before the administrators of its account, or leaves it pending for staff';
COMMENT ON FUNCTION csm_private.refuse_registration(bigint, text, text, bigint, text) IS
'Records why something was refused, at most a thousand times an hour for each person and for visitors together, and returns refused';
COMMENT ON FUNCTION csm_private.begin_registration(text, text, text, text, text, text, text, text) IS
'Writes a pending registration and the mail that proves its address; accepted, or refused for malformed or missing values, terms not accepted, a captcha not passed, or too many';
COMMENT ON FUNCTION csm.register_consumer(text, text, text, text, text, text) IS
'A visitor asks to become a consumer. accepted: a mail with a token went to the address, whoever has it; refused: malformed, captcha not passed, terms of the tenant not accepted, or too many from this source or to this address. captcha: payload of the widget; source: address of the visitor, where a backend stands between (NULL: that of the connection); terms: those he accepted. Raises nothing';
COMMENT ON FUNCTION csm.register_contact(text, text, text, text, text, text, text) IS
'A visitor asks to become a contact of the account whose registration code he gives, or without one of the account to which the domain of his address belongs. Once he has proven the address the administrators of the account are asked; staff, where code or domain lead nowhere. Answers and other arguments as csm.register_consumer()';
COMMENT ON FUNCTION csm.confirm_registration(text, text) IS
'Proves the address of a registration with the token that was mailed there. A consumer is one from then on; a known person gets the persona, nothing else about him changes. password: the first one of a consumer who has no credentials; NULL for who signs in through a provider. A contact''s request goes to those who decide, with the same answer wherever it goes. status: confirmed; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used or expired. Pass both as bind parameters';
COMMENT ON FUNCTION csm.accept_invitation(text, text) IS
'Accepts an invitation with the token that was mailed: the person of that address, made where nobody has it, becomes a contact of the account. password: his first one, where he has no credentials; NULL for who signs in through a provider. status: accepted; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used, expired or withdrawn. Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.claim_decision(bigint) IS
'A proven request of a contact, or an invitation, that the caller may decide, its row locked; NULL for a missing and a hidden one';
COMMENT ON FUNCTION csm.approve_registration(bigint, text) IS
'Makes whoever asked a contact of the account with that role, and mails him; without credentials he gets a second mail, with a token for csm.reset_password(). One approval suffices: a second one changes nothing. For who manages contacts of the account, and staff with account_manage. status: approved; no_longer_required when he is a contact there already; refused (recorded): no such registration, or a role that is not the caller''s to give. Error 55000 when it is neither requested nor approved';
COMMENT ON FUNCTION csm.reject_registration(bigint, text) IS
'Rejects a request with a reason, which is mailed, or withdraws an invitation. Callers as csm.approve_registration(); of requests without an account, staff. status: rejected, or refused (recorded): no such registration. Errors: 22023 no reason, 55000 decided already';
COMMENT ON FUNCTION csm.assign_registration(bigint, bigint) IS
'Staff say which account a request is for that led nowhere; its administrators are asked then. status: requested; no_longer_required when he is a contact there already; refused (recorded): no such registration or active account, or not staff with account_manage. Error 55000 when it is not pending';
COMMENT ON FUNCTION csm.invite_contact(bigint, text, text, text, text) IS
'Invites somebody to become a contact of the account: a mail with a token goes to the address, whoever has it. For who manages contacts of the account, and staff with account_manage; csm.reject_registration() withdraws it. status: invited, or refused (recorded): no such active account of his, or a role that is not his to give. Errors: 22023 malformed e-mail, name or language; SM007 too many';
COMMENT ON FUNCTION csm.rotate_registration_code(bigint, boolean) IS
'A new registration code for the account, shown this once; the one before counts no more, but for registrations begun with it. withdraw: no code from now on. For who manages contacts of the account, and staff with account_manage. status: rotated, withdrawn, or refused (recorded): no such account of his';
COMMENT ON FUNCTION csm_private.due_registration(bigint, bigint, timestamptz) IS
'When the token of a registration has expired: what was never proven is deleted, an invitation ends as no_longer_required';
COMMENT ON FUNCTION csm_private.audit_contacts() IS
'Trigger of csm.contacts: what somebody signed in changes is audited as contact_added, contact_removed, contact_moved, contact_role_changed, contact_login_enabled, contact_login_disabled or contact_validity_changed';
COMMENT ON FUNCTION csm_private.audit_user_roles() IS
'Trigger of csm.user_roles: what somebody signed in changes is audited as staff_role_added, staff_role_changed or staff_role_removed';
COMMENT ON FUNCTION csm_private.contact_to_administer(bigint) IS
'The contact, where the caller may administer it: not himself, in an account whose contacts he manages, with a role not above his own; else NULL';
COMMENT ON FUNCTION csm_private.person_in_reach(bigint) IS
'Whether every persona of the person, present or to come, is one that the caller may administer; staff with person_manage: always. False for himself';
COMMENT ON FUNCTION csm_private.refuse_administration(text, bigint, jsonb) IS
'Records a refusal, in the account only where the caller manages it, and returns refused';
COMMENT ON FUNCTION csm_private.limit_contact_mail(bigint) IS 'SM007 when administrators of the account had more than 100 mails sent in a day';
COMMENT ON FUNCTION csm.add_contact(bigint, text, text, text, text, text, text, text) IS
'Adds a contact to an account whose contacts the caller manages, with one of the assignable roles that is not above his own: a person of his own who counts at once, for cases on his behalf. An e-mail address becomes his when it has answered (csm.confirm_email()); if somebody has it already, the two become one then, and until then nothing tells. status: added, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.set_contact_login(bigint, boolean) IS
'Switches what this contact may do for his account off or on, from the next statement of every session on; the person''s other personas stay. Returns done, or refused (recorded): not the caller''s to administer, or himself';
COMMENT ON FUNCTION csm.set_contact_role(bigint, text) IS
'Gives a contact another of the assignable roles, none above the caller''s own; a contact always has one. Returns done, or refused (recorded): no such contact of his, himself, a role that is not his to give';
COMMENT ON FUNCTION csm.end_contact(bigint) IS
'Ends a contact''s membership of the account now; his row and his cases stay. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm.update_contact(bigint, text, text, text, text, text, text) IS
'Asks for a change of the person behind a contact; the empty string empties phone and title. Done while every persona of that person is the caller''s to administer, a new e-mail address when it has answered; else the person is asked, at his address on record, to do it himself. Returns accepted either way, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.send_credentials(bigint) IS
'Sends a contact, to his address on record, a token to set his password (csm.reset_password()), his first one too. Nobody else learns it or sets it. Returns sent, also where he has no address, or refused (recorded): not the caller''s to administer, or the tenant has no passwords. Error SM007 too many mails';
COMMENT ON FUNCTION csm.colleagues(bigint) IS
'The directory: the current contacts of accounts in which the caller is one himself, where accounts.directory_visible is on; NULL for all of his accounts. No row elsewhere, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.show_directory(bigint, boolean) IS
'Switches accounts.directory_visible: whether contacts of the account may list one another. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm_private.merge_ranges() IS
'Tables in which a person has one row at a time, and what else the rows are told apart by';
COMMENT ON FUNCTION csm_private.given_up(text, jsonb) IS 'A row as csm.user_merges keeps it: without what is secret';
COMMENT ON FUNCTION csm_private.give_up_duplicates(regclass, text, bigint, bigint) IS
'Deletes rows that refer to the one where a unique index allows no second beside that of the other, and returns them; of rows that differ by idempotency_key only the key is taken';
COMMENT ON FUNCTION csm_private.repoint(regclass, bigint, bigint) IS
'Makes every row of csm''s own tables that refers to the one row of the target refer to the other; returns what was given up';
COMMENT ON FUNCTION csm_private.trim_ranges(bigint, bigint) IS
'Where both persons have a row at a time at which one can be, leaves of the one''s what lies outside the other''s; returns the rows as they were';
COMMENT ON FUNCTION csm_private.widen_rights(bigint, bigint) IS
'Gives rows of the kept person what the other''s rows for the same account, case or item permit beyond them, where those count for all of the time';
COMMENT ON FUNCTION csm_private.merge_users(bigint, bigint, text, bigint) IS
'Makes the two one; asks nothing. Both are of one tenant';
COMMENT ON FUNCTION csm.merge_users(bigint, bigint, text) IS
'Makes two persons one: everything that refers to the one refers to the other from then on, what is missing of the kept person''s row is filled in, sessions and API keys of the other end, and the other row is gone. Recorded in csm.user_merges, csm.audit_log and the history of each case (action merge). For staff with person_manage; with configure too where either has a staff role. Errors: 42501, 22023 the same person or no reason, 55000 the one to remove has a login role';
COMMENT ON TABLE csm.notification_preferences IS 'Which events a person wants to hear of, and how; what he does not say is the sender''s default';
COMMENT ON COLUMN csm.notification_preferences.user_id IS 'The person';
COMMENT ON COLUMN csm.notification_preferences.event IS 'Kind of event (csm.events.kind); * for every one without a row of its own';
COMMENT ON COLUMN csm.notification_preferences.channel IS 'Way by which he is told, such as email; * for every one without a row of its own. A row that names the event goes before one that names the channel';
COMMENT ON COLUMN csm.notification_preferences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_preferences.enabled IS 'Whether he wants it';
COMMENT ON POLICY notification_preferences_select ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_insert ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_update ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_delete ON csm.notification_preferences IS 'One''s own';
COMMENT ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) IS
'What the person said about this event on this channel; NULL when nothing, and the default counts';
COMMENT ON TABLE csm_private.email_changes IS 'Addresses that wait to be confirmed';
COMMENT ON COLUMN csm_private.email_changes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.email_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.email_changes.user_id IS 'The person';
COMMENT ON COLUMN csm_private.email_changes.email IS 'Address that is to become his';
COMMENT ON COLUMN csm_private.email_changes.token_hash IS 'SHA-256 of the token that was sent there';
COMMENT ON COLUMN csm_private.email_changes.joins IS 'True: the row of a person whom an administrator added; where the address is somebody''s already, the two become one when he confirms';
COMMENT ON COLUMN csm_private.email_changes.created_at IS 'When it was asked for';
COMMENT ON COLUMN csm_private.email_changes.expires_at IS 'Until when the token counts';
COMMENT ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) IS
'Sends a token to the address, which becomes the person''s with csm.confirm_email(); a request before is void. An address of somebody else gets a warning instead, or, where the person was added by an administrator (joins), the question whether he is the same. No check of the caller';
COMMENT ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) IS
'Error 22023 for what cannot stand in a profile; NULL always can';
COMMENT ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) IS
'Changes what is given; the empty string empties phone and title. No check of the caller, nor of what is given: csm_private.check_profile()';
COMMENT ON FUNCTION csm.update_profile(text, text, text, text, text, text) IS
'Changes what is given of the caller''s own profile and returns his row; the empty string empties phone and title. A new e-mail address counts after csm.confirm_email() with the token that is sent there. Errors: 42501 nobody, 22023 what cannot stand in a profile, SM007 more than five addresses a day';
COMMENT ON FUNCTION csm.confirm_email(text) IS
'Whoever has the token that was sent to a new address makes it his, signed in or not; single use, three days. A person whom a customer''s administrator added and whose address is somebody''s becomes one with him. Returns confirmed, or refused without saying why. The old address is told';
COMMENT ON TABLE csm.licence_products IS 'What is licensed separately: each product covers the acts of some roles';
COMMENT ON COLUMN csm.licence_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_products.product IS 'Key of the product';
COMMENT ON COLUMN csm.licence_products.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_products.roles IS 'csm.roles that it covers. A staff role: what is done while holding it. Any role of another kind: whatever those do who ask for service';
COMMENT ON TABLE csm.licence_policies IS 'Readings of a licence contract: which acts make a person count. csm.licence_usage() answers by any of them, also for the past';
COMMENT ON COLUMN csm.licence_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_policies.policy IS 'Key of the policy';
COMMENT ON COLUMN csm.licence_policies.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_policies.counts IS 'Acts that count: fulfiller (worked on a case), stakeholder (acted for a customer by a staff role of that class), counterparty_act (an action on a dispute as the other company: propose, withdraw, escalate ...), counterparty_update (its comments and files, and the acknowledgement that its first comment is), approver (decided where an approver was asked), requester (whatever else those did who ask for service)';
COMMENT ON COLUMN csm.licence_policies.window_days IS 'An act counts in the period in which it falls and for so many days more; 0: in the period alone';
COMMENT ON COLUMN csm.licence_policies.products IS 'Only acts that these csm.licence_products cover; empty: all acts, as one product';
COMMENT ON COLUMN csm.licence_policies.union_products IS 'True: who acts under several products counts once; false: once for each';
COMMENT ON COLUMN csm.licence_policies.active IS 'The policy that is meant when none is named; at most one in a tenant';
COMMENT ON VIEW csm_private.acts IS 'Links of csm.case_history that a person made, with their kind for the licence meter';
COMMENT ON COLUMN csm_private.acts.id IS 'csm.case_history.id';
COMMENT ON COLUMN csm_private.acts.tenant_id IS 'Tenant of the link';
COMMENT ON COLUMN csm_private.acts.case_id IS 'The case';
COMMENT ON COLUMN csm_private.acts.at IS 'When it was done';
COMMENT ON COLUMN csm_private.acts.actor_id IS 'Who did it';
COMMENT ON COLUMN csm_private.acts.action IS 'What was done';
COMMENT ON COLUMN csm_private.acts.persona IS 'As what he did it';
COMMENT ON COLUMN csm_private.acts.relation IS 'In which relations to the case';
COMMENT ON COLUMN csm_private.acts.kind IS 'staff:<role>, staff, approver, counterparty_update, counterparty_act, other (for somebody else, or on a case shared with him) or requester';
COMMENT ON FUNCTION csm_private.act_kinds(bigint) IS 'Kinds of csm_private.acts that the tenant has, walked over by the index';
COMMENT ON FUNCTION csm_private.shipped_licence_policies() IS 'Licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.ship_licence_policies() IS 'Trigger of csm.tenants: the licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.licence_firsts(csm.licence_policies, tstzrange) IS
'First act of each kind that counts by the policy in that time, for each person, and each product where the policy names some';
COMMENT ON FUNCTION csm_private.licence_policy(text) IS
'The policy of the caller''s tenant, the active one for NULL. Errors: 42501 for others than administrators and managers with reach all, 22023 no such policy, or one that names an unknown product';
COMMENT ON FUNCTION csm.licence_usage(tstzrange, text) IS
'Every person whom a policy (NULL: the active one) counts in the period, with the first act that made him count and the highest class he reached; once, or once for each product where the policy does not unite them. Without products the column product is null. Administrators, and managers with reach all; errors: 42501, 22023 no such policy or a period without beginning or end';
COMMENT ON FUNCTION csm.licence_preview(text, text, integer) IS
'What a policy would have counted in each of the last months (UTC, the running one included, 1 to 120), compared with another one (NULL: the active one): how many each counts, and whom the policy adds and drops. Administrators, and managers with reach all; errors: 42501, 22023';
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';
COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';
COMMENT ON TABLE csm.erasure_requests IS 'Erasures of persons, asked for and done; at most one open for a person';
COMMENT ON COLUMN csm.erasure_requests.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.erasure_requests.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.erasure_requests.user_id IS 'The person';
COMMENT ON COLUMN csm.erasure_requests.case_id IS 'Privacy request it comes from; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.reason IS 'Why; emptied with the erasure, as it may name the person';
COMMENT ON COLUMN csm.erasure_requests.requested_by IS 'Who asked for it; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.requested_at IS 'When he asked';
COMMENT ON COLUMN csm.erasure_requests.approved_by IS 'The second person, who had it done; NULL for retention, the system and while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased_at IS 'When it was done; NULL while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased IS 'How many rows were emptied or deleted, by table; a JSON object';
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';
COMMENT ON FUNCTION csm_private.erase_texts(bigint[], boolean) IS
'Empties what is written in these cases: their own texts, fields and files, with all_texts also what anybody wrote on them; and the history of it. Returns how many rows by table';
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';
COMMENT ON FUNCTION csm.request_erasure(bigint, text) IS
'Asks that the requester of a privacy request be erased; a second person does it with csm.erase_person(). Staff who work on the case. Errors: SM001, 42501, 22023 no open privacy_request with right_asked erasure and an identity_proof, 23505 asked for already';
COMMENT ON FUNCTION csm.erase_person(bigint, text) IS
'Erases a person: every registered personal column of his, the texts, fields and files of his cases, his entries, the history of these; his row stays, disabled, as a number. Keeps cases, counts, and a chain that verifies. Done by staff with person_manage or an administrator other than who asked for it with csm.request_erasure(); the system needs no request. What others wrote: csm.find_mentions(), before. Errors: 42501 (also for an unknown person), 55000 nobody asked, 55006 legal hold, 22023 no reason';
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id; NULL for an erased one';
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days; nothing where a legal hold stands';
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases and persons of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';
COMMENT ON FUNCTION csm_private.drop_guard() IS
'Sees to it that no command of this session drops a table of csm that holds rows, unless csm.allow_drop is on (error 55000)';
COMMENT ON EVENT TRIGGER csm_drop_guard IS
'Arms csm_private.drop_guard() before a command that can take the extension with it';
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';
-- Last: what an install must hold
-- Ends the install and every update: refuses a catalogue that breaks a rule of
-- the house.  Tests call the function too.  Only members of the extension are
-- judged, and only the roles of csm: what a DBA adds in his own name is his.

CREATE OR REPLACE FUNCTION csm_private.verify_install()
RETURNS TABLE (problem text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH extension AS (
        SELECT e.oid, e.extconfig FROM pg_extension e WHERE e.extname = 'csm'
    ), house AS (
        SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname IN ('csm', 'csm_private', 'csm_report')
    ), csm_role AS (
        SELECT r.oid, r.rolname FROM pg_roles r
        WHERE r.rolname IN ('csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
    ), owner AS (
        SELECT r.oid FROM pg_roles r WHERE r.rolname = 'csm_owner'
    ), member AS (
        SELECT d.classid, d.objid FROM pg_depend d, extension e
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    ), rel AS (
        SELECT c.*, h.nspname, format('%I.%I', h.nspname, c.relname) AS name,
               h.nspname = 'csm_private' AND c.relname ~ '^anchor_[0-9]+$' AS is_anchor
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN house h ON h.oid = c.relnamespace
    ), func AS (
        SELECT p.*, h.nspname, p.oid::regprocedure::text AS name, l.lanname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        JOIN house h ON h.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    ), granted AS (
        -- what roles may do with a table or some of its columns
        SELECT DISTINCT r.oid AS relid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r, aclexplode(r.relacl) a
        UNION
        SELECT t.attrelid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r JOIN pg_attribute t ON t.attrelid = r.oid AND NOT t.attisdropped, aclexplode(t.attacl) a
    ), policy AS (
        SELECT p.*, r.name AS table_name,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS command
        FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
    )
    -- row-level security
    SELECT 'table without row-level security', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND NOT r.relrowsecurity AND NOT r.is_anchor
  UNION ALL
    SELECT 'table without restrictive tenant policy', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND r.nspname = 'csm'
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = r.oid AND NOT p.polpermissive AND p.polcmd = '*'
                        AND pg_get_expr(p.polqual, p.polrelid) ~ '^\(?(tenant_id|id) = csm\.current_tenant_id\(\)\)?$'
                        AND (p.polroles = '{0}'
                             OR p.polroles @> (SELECT array_agg(c.oid) FROM csm_role c WHERE c.rolname <> 'csm_guest')))
  UNION ALL
    -- granted without a permissive policy for the role and the command: either is a slip
    SELECT 'privilege without policy', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = g.relid AND p.polpermissive AND (p.polcmd = '*' OR p.command = g.privilege_type)
                        AND (p.polroles = '{0}' OR g.grantee = ANY (p.polroles)))
  UNION ALL
    SELECT 'privilege that row-level security does not bind', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
  UNION ALL
    SELECT 'view without security_invoker', r.name FROM rel r
    WHERE r.relkind = 'v' AND NOT coalesce(r.reloptions && '{security_invoker=true,security_invoker=on}', false)
  UNION ALL
    SELECT 'report column of a type that BI tools cannot read', format('%s.%I', r.name, a.attname)
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE r.nspname = 'csm_report' AND (t.typname IN ('json', 'jsonb', 'ltree', 'tsvector') OR t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A')
  UNION ALL
    -- functions
    SELECT 'function without pinned search_path', f.name FROM func f
    WHERE (f.prosecdef OR f.lanname = 'plpgsql' OR f.lanname = 'sql' AND f.prosqlbody IS NULL)
      AND f.lanname NOT IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function without pinned search_path', f.name FROM func f
    WHERE f.prosecdef AND f.lanname IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function of a superuser', f.name FROM func f JOIN pg_roles r ON r.oid = f.proowner
    WHERE f.prosecdef AND r.rolsuper
  UNION ALL
    -- owners
    SELECT 'owner is not csm_owner', v.name
    FROM (SELECT f.name, f.proowner FROM func f
          UNION ALL SELECT r.name, r.relowner FROM rel r
          UNION ALL SELECT format('schema %I', n.nspname), n.nspowner FROM pg_namespace n JOIN house h ON h.oid = n.oid
          UNION ALL SELECT format('type %s', t.oid::regtype), t.typowner
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid)
         AS v(name, owner) CROSS JOIN owner o
    WHERE v.owner <> o.oid
  UNION ALL
    -- dump
    SELECT 'not registered for dump', r.name FROM rel r CROSS JOIN extension e
    WHERE r.relkind IN ('r', 'p', 'S') AND NOT r.is_anchor AND NOT r.oid = ANY (coalesce(e.extconfig, '{}'))
  UNION ALL
    -- comments
    SELECT 'without comment', v.name
    FROM (SELECT 'pg_class'::regclass, r.oid, 0, r.name FROM rel r WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_class'::regclass, r.oid, a.attnum, format('%s.%I', r.name, a.attname)
                    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_proc'::regclass, f.oid, 0, f.name FROM func f
          UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, p.table_name)
                    FROM policy p JOIN rel r ON r.oid = p.polrelid
                    WHERE starts_with(p.polname, r.relname)
          UNION ALL SELECT 'pg_namespace'::regclass, h.oid, 0, format('schema %I', h.nspname) FROM house h
          UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, format('type %s', t.oid::regtype)
                    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
                    WHERE t.typcategory <> 'A'
          UNION ALL SELECT 'pg_event_trigger'::regclass, t.oid, 0, format('event trigger %I', t.evtname)
                    FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid)
         AS v(class, oid, subid, name)
    WHERE NOT EXISTS (SELECT FROM pg_description d
                      WHERE d.classoid = v.class AND d.objoid = v.oid AND d.objsubid = v.subid AND d.description <> '')
  UNION ALL
    -- PUBLIC; a function without a list of privileges may be called by anybody
    SELECT 'open to PUBLIC', format('%s on %s', v.privilege_type, v.name)
    FROM (SELECT f.name, a.grantee, a.privilege_type
          FROM func f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
          UNION ALL SELECT g.name, g.grantee, g.privilege_type FROM granted g
          UNION ALL SELECT format('schema %I', n.nspname), a.grantee, a.privilege_type
                    FROM pg_namespace n JOIN house h ON h.oid = n.oid, aclexplode(n.nspacl) a) AS v
    WHERE v.grantee = 0
  UNION ALL
    -- nothing outside the three schemas; an event trigger has no schema
    SELECT 'outside the schemas of csm', pg_describe_object(m.classid, m.objid, 0)
    FROM member m, pg_identify_object(m.classid, m.objid, 0) i
    WHERE m.classid <> 'pg_event_trigger'::regclass
      AND NOT coalesce(i.schema IN (SELECT h.nspname FROM house h), false)
      AND NOT (m.classid = 'pg_namespace'::regclass AND m.objid IN (SELECT h.oid FROM house h))
$$;
ALTER FUNCTION csm_private.verify_install() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.verify_install() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';

DO $$
DECLARE
    found text;
    problems bigint;
BEGIN
    SELECT count(*), string_agg(format('%s: %s', v.problem, v.object), E'\n' ORDER BY v.problem, v.object)
      INTO problems, found FROM csm_private.verify_install() v;
    IF problems > 0 THEN
        RAISE EXCEPTION 'the catalogue of csm breaks % of its rules', problems
            USING ERRCODE = '55000', DETAIL = found,
                  HINT = 'This is a fault in the install script of csm.';
    END IF;
END $$;
