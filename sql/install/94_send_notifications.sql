-- Notifications on their way out, to the process that sends them.
--
-- A message is put together when it is claimed, by the recipient's own rights:
-- csm_private.as_person() runs csm_private.notification_message() as he would,
-- under his role and row security. What he may not see any more has no message,
-- and is recorded as withheld.

CREATE FUNCTION csm_private.list_unsubscribe(token text, settings jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT nullif(concat_ws(', ', '<' || (settings -> 'notifications' ->> 'unsubscribe_url') || token || '>',
                                  '<mailto:unsubscribe+' || token || '@' || (settings -> 'notifications' ->> 'domain') || '>'), '');
END;
COMMENT ON FUNCTION csm_private.list_unsubscribe(text, jsonb) IS
'Value of the header List-Unsubscribe, by the tenant''s setting notifications; NULL without domain and unsubscribe_url';

-- An answer may be to a message of before the setting was changed, or in another
-- language than its reader has now: it is cut at any of them.
CREATE FUNCTION csm_private.mail_markers(tenant_id bigint, language text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.own = '' THEN '{}'
                WHEN lower(mail_markers.language) ~ '^de(-|$)' THEN array_remove(ARRAY[s.own, s.de, s.en], NULL)
                ELSE array_remove(ARRAY[s.own, s.en, s.de], NULL) END
    FROM (SELECT t.settings -> 'mail_in' ->> 'marker' AS own, '-- Please write above this line --' AS en,
                 '-- Bitte oberhalb dieser Zeile antworten --' AS de
          FROM csm.tenants t WHERE t.id = mail_markers.tenant_id) s
$$;
COMMENT ON FUNCTION csm_private.mail_markers(bigint, text) IS
'Lines above which one answers a message: first the one for messages in that language, the tenant''s own (setting mail_in, marker) before the shipped ones; none where his own is empty';

-- What an address or a header needs, of the tenant's settings.
CREATE FUNCTION csm_private.notification_headers(n csm.notifications, settings jsonb,
    OUT reply_token text, OUT message_id text, OUT thread_id text, OUT reply_to text, OUT unsubscribe_token text, OUT list_unsubscribe text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    domain CONSTANT text := settings -> 'notifications' ->> 'domain';
BEGIN
    reply_token := csm_private.mail_token(n.case_id, n.user_id);
    unsubscribe_token := csm_private.unsubscribe_token(n.user_id, n.tenant_id, n.kind, n.channel);
    IF domain IS NOT NULL THEN
        message_id := format('<%s.%s@%s>', reply_token, n.id, domain);
        thread_id := format('<%s@%s>', reply_token, domain);
        reply_to := format('reply+%s@%s', reply_token, domain);
    END IF;
    list_unsubscribe := csm_private.list_unsubscribe(unsubscribe_token, settings);
END $$;
COMMENT ON FUNCTION csm_private.notification_headers(csm.notifications, jsonb) IS
'Tokens of a message, and header values made of them and of the tenant''s setting notifications; these are NULL without domain or unsubscribe_url';

-- One claimed notification: the message, or NULL where it is withheld.
CREATE FUNCTION csm_private.message_for(n csm.notifications, person csm.users) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT person.enabled
       OR n.channel = 'email' AND coalesce(person.email, '') !~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$'
       OR csm_private.wants_notification(n.user_id, n.tenant_id, n.kind, n.channel) IS FALSE THEN
        RETURN NULL;
    END IF;
    RETURN csm_private.as_person(n.user_id, csm_private.role_of_person(n.user_id, n.tenant_id),
                                 'csm_private.notification_message(jsonb)'::regprocedure, jsonb_build_object('id', n.id));
END $$;
COMMENT ON FUNCTION csm_private.message_for(csm.notifications, csm.users) IS
'What csm_private.notification_message() gives the recipient now; NULL where he sees the matter no more, is disabled, has no plain address, or said that he does not want it';

CREATE FUNCTION csm.next_notifications(channel text DEFAULT 'email', "limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (id bigint, tenant_id bigint, user_id bigint, recipient text, case_id bigint, kind text, language text,
               subject text, body text, message_id text, thread_id text, reply_to text, list_unsubscribe text,
               reply_token text, unsubscribe_token text, attempts integer, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
    most_attempts CONSTANT integer := 10;
    -- Those that are withheld do not count, but not without end in one call.
    rounds integer := 10;
    wanted integer := next_notifications."limit";
    claimed bigint[];
    of record;
    n csm.notifications;
    message jsonb;
BEGIN
    IF next_notifications.channel IS NULL OR wanted IS NULL OR wanted NOT BETWEEN 1 AND 1000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_notifications() must be between 1 and 1000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(wanted::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    WHILE wanted > 0 AND rounds > 0 LOOP
        rounds := rounds - 1;
        WITH free AS (
            SELECT o.id, o.tenant_id, o.attempts FROM csm.notifications o
            WHERE o.state = 'waiting' AND o.channel = next_notifications.channel AND (mine IS NULL OR o.tenant_id = mine)
              AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
            ORDER BY o.id LIMIT wanted FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE csm.notifications o
            SET state = CASE WHEN f.attempts < most_attempts THEN 'waiting' ELSE 'failed' END,
                error = CASE WHEN f.attempts < most_attempts THEN o.error ELSE coalesce(o.error, 'never acknowledged') END,
                claimed_until = CASE WHEN f.attempts < most_attempts THEN at_time + lease END,
                attempts = least(f.attempts + 1, most_attempts)
            FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
            RETURNING o.id
        )
        SELECT array_agg(t.id) INTO claimed FROM taken t;
        EXIT WHEN claimed IS NULL;
        FOR of IN
            SELECT o AS notification, u AS person, t.settings
            FROM csm.notifications o
            JOIN csm.users u ON u.id = o.user_id AND u.tenant_id = o.tenant_id
            JOIN csm.tenants t ON t.id = o.tenant_id
            WHERE o.id = ANY (claimed) AND o.state = 'waiting' ORDER BY o.id
        LOOP
            n := of.notification;
            -- One that cannot be put together must not hold up the others.
            BEGIN
                message := csm_private.message_for(n, of.person);
            EXCEPTION WHEN OTHERS THEN
                UPDATE csm.notifications o SET error = 'could not be put together: ' || SQLSTATE WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END;
            IF message IS NULL THEN
                UPDATE csm.notifications o SET state = 'withheld', claimed_until = NULL WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END IF;
            wanted := wanted - 1;
            id := n.id;
            tenant_id := n.tenant_id;
            user_id := n.user_id;
            recipient := CASE n.channel WHEN 'email' THEN (of.person).email END;
            case_id := n.case_id;
            kind := n.kind;
            language := message ->> 'language';
            subject := message ->> 'subject';
            -- Where answers come back, above the line from which on they are cut.
            body := concat(CASE WHEN n.channel = 'email' AND of.settings -> 'notifications' ? 'domain'
                                THEN (csm_private.mail_markers(n.tenant_id, language))[1] || E'\n\n' END, message ->> 'body');
            attempts := n.attempts;
            created_at := n.created_at;
            SELECT h.reply_token, h.message_id, h.thread_id, h.reply_to, h.unsubscribe_token, h.list_unsubscribe
            INTO reply_token, message_id, thread_id, reply_to, unsubscribe_token, list_unsubscribe
            FROM csm_private.notification_headers(n, of.settings) h;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.next_notifications(text, integer, interval) IS
'Notifications of a channel that are to be sent, the oldest first, ready to be sent: each to one caller at a time, again when the lease has passed without csm.acknowledge_notifications(), at most ten times. What the recipient does not see any more is withheld. Call it in a transaction of its own and commit before sending. recipient: e-mail address, NULL for other channels. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE FUNCTION csm.acknowledge_notifications(ids bigint[], error text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    n bigint;
BEGIN
    -- 1, 2, 4 ... minutes later, at most a day
    UPDATE csm.notifications o
    SET state = CASE WHEN acknowledge_notifications.error IS NULL THEN 'sent' WHEN o.attempts < 10 THEN 'waiting' ELSE 'failed' END,
        sent_at = CASE WHEN acknowledge_notifications.error IS NULL THEN clock_timestamp() END,
        error = left(acknowledge_notifications.error, 1000),
        claimed_until = CASE WHEN acknowledge_notifications.error IS NOT NULL AND o.attempts < 10
                             THEN clock_timestamp() + least(interval '1 minute' * 2 ^ (o.attempts - 1), interval '1 day') END
    WHERE o.id = ANY (ids) AND o.state = 'waiting' AND o.attempts > 0 AND (mine IS NULL OR o.tenant_id = mine);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm.acknowledge_notifications(bigint[], text) IS
'Says that notifications were sent, or, with an error, that they could not be: then they come again after 1, 2, 4 … minutes, and are given up after ten attempts. Returns how many there were. Callers as csm.next_notifications(). Error 42501';

CREATE FUNCTION csm.notification_status() RETURNS TABLE (channel text, state text, notifications bigint, oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT everywhere AND csm.all_in(mine, 'internal', 'configure') IS NOT TRUE THEN
        RAISE EXCEPTION 'how notifications are sent is for administrators' USING ERRCODE = '42501',
            HINT = 'Everyone reads his own in csm.notifications.';
    END IF;
    RETURN QUERY
        SELECT n.channel, n.state, count(*), min(n.created_at) FROM csm.notifications n
        WHERE everywhere OR n.tenant_id = mine GROUP BY 1, 2 ORDER BY 1, 2;
END $$;
COMMENT ON FUNCTION csm.notification_status() IS
'How many notifications of the tenant wait, were sent, withheld or given up, and the time of the oldest, by channel: whether the sender process keeps up. Administrators, the system; error 42501 for anybody else';

-- The answer is the same whatever the token: who has none learns nothing.
CREATE FUNCTION csm.unsubscribe(token text, everything boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm_private.mail_tokens;
BEGIN
    SELECT * INTO t FROM csm_private.mail_tokens m
    WHERE m.token_hash = csm_private.token_hash(lower(btrim(left(unsubscribe.token, 200)))) AND m.case_id IS NULL;
    IF FOUND THEN
        IF everything THEN
            -- A row that names the event goes before one that names the channel.
            DELETE FROM csm.notification_preferences p
            WHERE p.user_id = t.user_id AND p.tenant_id = t.tenant_id AND p.channel = t.channel AND p.event <> '*';
            INSERT INTO csm.notification_preferences (user_id, tenant_id, event, channel, enabled)
            SELECT p.user_id, p.tenant_id, p.event, t.channel, false FROM csm.notification_preferences p
            WHERE p.user_id = t.user_id AND p.tenant_id = t.tenant_id AND p.channel = '*' AND p.event <> '*' AND p.enabled;
        END IF;
        INSERT INTO csm.notification_preferences AS p (user_id, tenant_id, event, channel, enabled)
        VALUES (t.user_id, t.tenant_id, CASE WHEN everything THEN '*' ELSE t.event END, t.channel, false)
        ON CONFLICT ON CONSTRAINT notification_preferences_pkey DO UPDATE SET enabled = false WHERE p.enabled;
        IF FOUND THEN
            PERFORM csm_private.audit('unsubscribed', csm.current_user_id(), t.user_id, NULL,
                jsonb_build_object('event', CASE WHEN everything THEN '*' ELSE t.event END, 'channel', t.channel), t.tenant_id);
        END IF;
    END IF;
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm.unsubscribe(text, boolean) IS
'Whoever has the token of a message lets its recipient hear no more of that kind of event on that channel, or of any (everything); as often as he likes. Always returns accepted. Undone in csm.notification_preferences';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.mail_markers(bigint, text)',
        'csm_private.list_unsubscribe(text, jsonb)',
        'csm_private.notification_headers(csm.notifications, jsonb)',
        'csm_private.message_for(csm.notifications, csm.users)',
        'csm.next_notifications(text, integer, interval)',
        'csm.acknowledge_notifications(bigint[], text)',
        'csm.notification_status()',
        'csm.unsubscribe(text, boolean)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.next_notifications(text, integer, interval), csm.acknowledge_notifications(bigint[], text)
    TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.notification_status() TO csm_admin;
GRANT EXECUTE ON FUNCTION csm.unsubscribe(text, boolean) TO csm_guest, csm_portal, csm_agent, csm_admin;
