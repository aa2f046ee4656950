-- Tokens in the mail that people get: who answers on which case, and who
-- wants no more of which mail.
--
-- A token is derived from a key of this database, so that the same matter
-- always has the same one, and is stored hashed beside what it stands for, so
-- that mail of long ago is still recognised after a restore, which makes a new
-- key.  Lower-case hexadecimal, because an address may be folded on its way.

INSERT INTO csm_private.secrets (name, value)
VALUES ('mail', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')));

CREATE TABLE csm_private.mail_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    user_id bigint NOT NULL,
    case_id bigint,
    event text,
    channel text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT mail_tokens_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT mail_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT mail_tokens_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT mail_tokens_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT mail_tokens_matter_check CHECK (CASE WHEN case_id IS NULL THEN event IS NOT NULL AND channel IS NOT NULL
                                                    ELSE event IS NULL AND channel IS NULL END)
);
CREATE INDEX mail_tokens_user_idx ON csm_private.mail_tokens (user_id);
ALTER TABLE csm_private.mail_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.mail_tokens FROM PUBLIC;
ALTER TABLE csm_private.mail_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE csm_private.mail_tokens ALTER COLUMN token_hash SET STATISTICS 0;
SELECT pg_extension_config_dump('csm_private.mail_tokens', '');
SELECT pg_extension_config_dump('csm_private.mail_tokens_id_seq', '');

COMMENT ON TABLE csm_private.mail_tokens IS 'Tokens in mail that was sent: a case on which its reader answers, or an event that he may unsubscribe from';
COMMENT ON COLUMN csm_private.mail_tokens.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.mail_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.mail_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.mail_tokens.user_id IS 'The person to whom it was sent';
COMMENT ON COLUMN csm_private.mail_tokens.case_id IS 'The case that the mail is about; NULL for a token that unsubscribes';
COMMENT ON COLUMN csm_private.mail_tokens.event IS 'Event to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.channel IS 'Channel to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.created_at IS 'When it was first given out';

-- 160 bits. The key has a fixed length and stands before either hash.
CREATE FUNCTION csm_private.derived_token(matter bytea) RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(substr(sha256(s.value || sha256(s.value || derived_token.matter)), 1, 20), 'hex')
    FROM csm_private.secrets s WHERE s.name = 'mail'
$$;
COMMENT ON FUNCTION csm_private.derived_token(bytea) IS
'The token of a matter: 40 hexadecimal digits that nobody without the key of the database can guess';

CREATE FUNCTION csm_private.mail_token(case_id bigint, user_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.derived_token('\x72'::bytea || int8send(case_id) || int8send(user_id));
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.mail_tokens t WHERE t.token_hash = csm_private.token_hash(token)) THEN
        INSERT INTO csm_private.mail_tokens (tenant_id, token_hash, user_id, case_id)
        SELECT c.tenant_id, csm_private.token_hash(token), mail_token.user_id, c.id FROM csm.cases c WHERE c.id = mail_token.case_id
        ON CONFLICT ON CONSTRAINT mail_tokens_hash_key DO NOTHING;
    END IF;
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.mail_token(bigint, bigint) IS
'The token by which an answer of this person on this case is recognised: for Message-ID and Reply-To. Always the same until a restore. No check of the caller, nor of what the person sees';

CREATE FUNCTION csm_private.unsubscribe_token(user_id bigint, tenant_id bigint, event text, channel text) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.derived_token('\x75'::bytea || int8send(user_id) || convert_to(event || '/' || channel, 'UTF8'));
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.mail_tokens t WHERE t.token_hash = csm_private.token_hash(token)) THEN
        INSERT INTO csm_private.mail_tokens (tenant_id, token_hash, user_id, event, channel)
        VALUES (unsubscribe_token.tenant_id, csm_private.token_hash(token), unsubscribe_token.user_id, unsubscribe_token.event, unsubscribe_token.channel)
        ON CONFLICT ON CONSTRAINT mail_tokens_hash_key DO NOTHING;
    END IF;
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.unsubscribe_token(bigint, bigint, text, text) IS
'The token by which whoever has it lets this person hear no more of the event on the channel: csm.unsubscribe()';

-- Reads what a mail answers to: any text that may contain a token, such as the
-- headers To, In-Reply-To and References.
CREATE FUNCTION csm_private.mail_token_target(header text, OUT tenant_id bigint, OUT case_id bigint, OUT user_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tenant_id, t.case_id, t.user_id
    FROM (SELECT m.word[1] AS token, m.n
          FROM regexp_matches(lower(left(header, 20000)), '(?:^|[^0-9a-z])([0-9a-f]{40})(?![0-9a-z])', 'g') WITH ORDINALITY m(word, n)
          ORDER BY m.n LIMIT 100) found
    JOIN csm_private.mail_tokens t ON t.token_hash = csm_private.token_hash(found.token) AND t.case_id IS NOT NULL
    ORDER BY found.n LIMIT 1
$$;
COMMENT ON FUNCTION csm_private.mail_token_target(text) IS
'The case and the person of the first token of csm_private.mail_token() in the text; nulls where there is none. Says nothing about who sent the text';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.derived_token(bytea)',
        'csm_private.mail_token(bigint, bigint)',
        'csm_private.unsubscribe_token(bigint, bigint, text, text)',
        'csm_private.mail_token_target(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
