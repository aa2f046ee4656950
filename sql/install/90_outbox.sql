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

CREATE FUNCTION csm_private.send_mail(tenant_id bigint, kind text, recipient text, user_id bigint DEFAULT NULL,
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

CREATE FUNCTION csm.allow_mail_sender(user_id bigint, allowed boolean DEFAULT true) RETURNS void
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
CREATE FUNCTION csm_private.sender_tenant(OUT tenant_id bigint)
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

CREATE FUNCTION csm.next_mail("limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes') RETURNS SETOF csm.outbox
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
    -- Those that are withheld do not count, but not without end in one call.
    rounds integer := 10;
    wanted integer := "limit";
    message csm.outbox;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_mail() must be between 1 and 10000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce("limit"::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    DELETE FROM csm.outbox o
    WHERE o.expires_at <= at_time AND (mine IS NULL OR o.tenant_id = mine);
    WHILE wanted > 0 AND rounds > 0 LOOP
        rounds := rounds - 1;
        FOR message IN
            WITH free AS (
                SELECT o.id, o.tenant_id FROM csm.outbox o
                WHERE (mine IS NULL OR o.tenant_id = mine) AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
                  AND (o.kind <> 'publication' OR csm_private.publication_stands((o.payload ->> 'publication_id')::bigint, o.tenant_id))
                ORDER BY o.id LIMIT wanted FOR UPDATE SKIP LOCKED
            ), claimed AS (
                UPDATE csm.outbox o SET claimed_until = at_time + lease, attempts = o.attempts + 1
                FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
                RETURNING o.*
            )
            SELECT * FROM claimed c ORDER BY c.id
        LOOP
            IF message.kind = 'publication' THEN
                -- One who cannot be asked must not hold up the others; he is asked again when the lease has passed.
                BEGIN
                    message.recipient := csm_private.publication_recipient((message.payload ->> 'publication_id')::bigint, message.tenant_id, message.user_id);
                EXCEPTION WHEN OTHERS THEN
                    CONTINUE;
                END;
                IF message.recipient IS NULL THEN
                    DELETE FROM csm.outbox o WHERE o.id = message.id AND o.tenant_id = message.tenant_id;
                    UPDATE csm.publication_recipients r SET state = 'withheld', settled_at = clock_timestamp()
                    WHERE r.publication_id = (message.payload ->> 'publication_id')::bigint AND r.user_id = message.user_id;
                    CONTINUE;
                END IF;
            END IF;
            wanted := wanted - 1;
            RETURN NEXT message;
        END LOOP;
        EXIT WHEN NOT FOUND;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.next_mail(integer, interval) IS
'Messages to be sent, the oldest first: each to one caller at a time, again when the lease has passed without csm.acknowledge_mail(). Commit before sending. A publication goes to who reads it now, at his address of now; who does not gets none. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE FUNCTION csm.acknowledge_mail(ids bigint[]) RETURNS bigint
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
