-- Notifications: who is told of an event, once each, by which channel.
--
-- csm.run_due() reads the events of a tenant in the order of their positions,
-- as every subscriber does, and writes one row for each event, person and
-- channel. A row says that somebody is to be told, and holds no words: these are
-- put together when it is read or sent, of what the person may see at that time
-- (94_send_notifications.sql). So nothing that was taken from him since reaches
-- him, and nothing of a case is stored twice.

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_notifications_check CHECK (
    NOT settings ? 'notifications'
    OR (jsonb_typeof(settings->'notifications') = 'object'
        AND (settings->'notifications') - '{language,domain,unsubscribe_url,keep_days}'::text[] = '{}'
        AND coalesce(settings->'notifications'->>'language', 'en') ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'
        AND coalesce(settings->'notifications'->>'domain', 'x.example') ~ '^([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}$'
        AND coalesce(settings->'notifications'->>'unsubscribe_url', 'https://x.example') ~ '^https://[^[:space:][:cntrl:]<>"]+$'
        AND coalesce(length(settings->'notifications'->>'unsubscribe_url'), 0) <= 1000
        AND coalesce(settings->'notifications'->>'keep_days', '1') ~ '^[1-9][0-9]{0,4}$'));

CREATE TABLE csm.notifications (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    case_id bigint NOT NULL,
    event_id bigint NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    audience text NOT NULL,
    side text,
    entry_id bigint,
    state text NOT NULL DEFAULT 'waiting',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at timestamptz,
    claimed_until timestamptz,
    sent_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    CONSTRAINT notifications_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT notifications_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT notifications_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT notifications_once UNIQUE (event_id, user_id, channel),
    CONSTRAINT notifications_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,39}$' AND channel ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notifications_audience_check CHECK (audience IN ('shared', 'internal', 'private')
        AND (audience = 'private') = (side IS NOT NULL) AND side IN ('customer', 'counterparty', 'operator')),
    CONSTRAINT notifications_state_check CHECK (state IN ('waiting', 'sent', 'withheld', 'failed')
        AND (state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT notifications_attempts_check CHECK (attempts >= 0),
    CONSTRAINT notifications_error_check CHECK (length(error) <= 1000)
);
CREATE INDEX notifications_inbox_idx ON csm.notifications (user_id, id DESC);
CREATE INDEX notifications_waiting_idx ON csm.notifications (channel, id) WHERE state = 'waiting';
CREATE INDEX notifications_age_idx ON csm.notifications (tenant_id, created_at);
SELECT csm_private.adopt_table('csm.notifications');
ALTER TABLE csm.notifications ALTER COLUMN error SET STATISTICS 0;

-- One's own, while one sees what it tells of: the rule of an entry, which a
-- notification shares with what it is about. No branch is named, so that the
-- case itself is looked at.
CREATE POLICY notifications_select ON csm.notifications FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
        AND csm_private.entry_allows(case_id, tenant_id, '', audience, coalesce(side, '')));
GRANT SELECT ON csm.notifications TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.notifications IS 'Who is told of which event, once by each channel. Written by csm.run_due(), deleted after a time (README)';
COMMENT ON COLUMN csm.notifications.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.notifications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notifications.user_id IS 'The person who is told';
COMMENT ON COLUMN csm.notifications.case_id IS 'The case';
COMMENT ON COLUMN csm.notifications.event_id IS 'The event (csm.events.id, no foreign key: events are deleted sooner)';
COMMENT ON COLUMN csm.notifications.kind IS 'What happened: event of csm.notification_rules';
COMMENT ON COLUMN csm.notifications.channel IS 'Way by which he is told; portal is read in place by csm.my_notifications()';
COMMENT ON COLUMN csm.notifications.audience IS 'As csm.events.audience: who besides may know';
COMMENT ON COLUMN csm.notifications.side IS 'As csm.events.side';
COMMENT ON COLUMN csm.notifications.entry_id IS 'The comment that it is about (csm.case_entries.id, no foreign key); NULL for other events';
COMMENT ON COLUMN csm.notifications.state IS 'waiting: for a sender process; sent (in the portal: at once); withheld: when it was to be sent he saw the case no more, wanted no such mail any more, or had no address; failed: given up after ten attempts';
COMMENT ON COLUMN csm.notifications.created_at IS 'When it was made';
COMMENT ON COLUMN csm.notifications.read_at IS 'When he marked it as read; NULL until then';
COMMENT ON COLUMN csm.notifications.claimed_until IS 'Not handed out again before; NULL: never handed out, or done with';
COMMENT ON COLUMN csm.notifications.sent_at IS 'When a sender process said that it was sent; in the portal when it was made';
COMMENT ON COLUMN csm.notifications.attempts IS 'How often it was handed out';
COMMENT ON COLUMN csm.notifications.error IS 'What the sender process said of the last attempt that failed, up to 1,000 characters; NULL for none';
COMMENT ON POLICY notifications_select ON csm.notifications IS 'One''s own, while one sees the case, and what happened there';

CREATE TABLE csm_private.notification_readers (
    tenant_id bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at timestamptz,
    CONSTRAINT notification_readers_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT notification_readers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.notification_readers OWNER TO csm_owner;
REVOKE ALL ON csm_private.notification_readers FROM PUBLIC;
ALTER TABLE csm_private.notification_readers ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.notification_readers', '');
COMMENT ON TABLE csm_private.notification_readers IS 'How far csm.run_due() has read the events of each tenant to make notifications';
COMMENT ON COLUMN csm_private.notification_readers.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.notification_readers.position IS 'Position in csm.events up to which notifications were made';
COMMENT ON COLUMN csm_private.notification_readers.since IS 'What happened before is told to nobody';
COMMENT ON COLUMN csm_private.notification_readers.read_at IS 'When it last read; NULL for never';

-- ---- what is configured ----

-- The first rule of a tenant sets the reader going, from now on.
CREATE FUNCTION csm_private.begin_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR EXISTS (SELECT FROM csm_private.notification_readers r WHERE r.tenant_id = NEW.tenant_id) THEN
        RETURN NULL;
    END IF;
    INSERT INTO csm_private.notification_readers (tenant_id, position)
    VALUES (NEW.tenant_id, coalesce((SELECT p.last FROM csm.event_positions p WHERE p.tenant_id = NEW.tenant_id), 0))
    ON CONFLICT DO NOTHING;
    PERFORM csm_private.set_timer(NEW.tenant_id, 'notify', NEW.tenant_id, NULL, clock_timestamp());
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_notifications() IS
'Trigger of csm.notification_rules: with the first rule of a tenant, its events are read by csm.run_due()';
CREATE TRIGGER notification_rules_50_begin AFTER INSERT ON csm.notification_rules
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_notifications();

-- Comments alone have words of their own to be quoted.
CREATE FUNCTION csm_private.notification_values(case_id bigint, entry_id bigint) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (SELECT jsonb_object_agg(v.placeholder, v.value) FROM csm_private.template_values(notification_values.case_id) v)
        || jsonb_build_object('entry.author', e.author_name, 'entry.body', e.body)
    FROM (VALUES (1)) AS always(n)
    LEFT JOIN csm.case_entries e ON e.id = notification_values.entry_id AND e.case_id = notification_values.case_id;
END;
COMMENT ON FUNCTION csm_private.notification_values(bigint, bigint) IS
'Every placeholder of a notification, with what the caller may read there; null for what he may not';

CREATE FUNCTION csm_private.notification_template_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.check_placeholders(concat_ws(' ', NEW.event, NEW.channel, NEW.language), t.text,
            ARRAY(SELECT jsonb_object_keys(csm_private.notification_values(NULL, NULL))))
        FROM (VALUES (NEW.subject), (NEW.body)) t(text);
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.notification_template_guard() IS
'Trigger of csm.notification_templates: error 22023 for an unknown placeholder and for braces that make none';
CREATE TRIGGER notification_templates_10_guard BEFORE INSERT OR UPDATE ON csm.notification_templates
    FOR EACH ROW EXECUTE FUNCTION csm_private.notification_template_guard();

-- ---- whom an event concerns ----

CREATE FUNCTION csm_private.notification_kinds(kind text, payload jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN kind = 'assigned' THEN array_remove(ARRAY[
            CASE WHEN payload ->> 'assigned_to' <> '' AND payload ->> 'assigned_to' IS DISTINCT FROM payload ->> 'from_person' THEN 'assigned' END,
            CASE WHEN payload ->> 'assigned_group_id' <> '' AND payload ->> 'assigned_group_id' IS DISTINCT FROM payload ->> 'from_group' THEN 'group_assigned' END], NULL)
        WHEN payload ->> 'action' = 'escalate' AND kind IN ('state_changed', 'reopened') THEN '{escalated}'
        WHEN payload ->> 'action' = 'rule' AND kind = 'resolved' THEN '{ruled}'
        WHEN kind = 'state_changed' AND payload ->> 'action' IN ('submit', 'approve') THEN '{submitted}'
        WHEN kind = 'state_changed' AND payload ->> 'action' = 'request_approval' THEN '{approval_requested}'
        WHEN kind = 'state_changed' AND payload ->> 'action' = 'decline' THEN '{declined}'
        WHEN kind = 'state_changed' AND payload ->> 'action' IN ('request_info', 'request_identity') THEN '{info_requested}'
        ELSE ARRAY[kind] END;
END;
COMMENT ON FUNCTION csm_private.notification_kinds(text, jsonb) IS
'What an event is for csm.notification_rules, what says most first: assigned and group_assigned for what is new, submitted, approval_requested, declined, info_requested, escalated and ruled by the action, else its kind';

-- Of an account that is a party or the other company: those whose role lets
-- them read its cases; where nobody's does, all its contacts (V8).
CREATE FUNCTION csm_private.account_readers(account_id bigint, tenant_id bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 3
BEGIN ATOMIC
    WITH contact AS (
        SELECT k.user_id, EXISTS (SELECT FROM csm.role_permissions p
                                  WHERE p.role = k.role AND p.tenant_id = k.tenant_id AND p.action = 'case_read'
                                    AND p.reach IN ('account', 'subtree')) AS reads
        FROM csm.contacts k
        WHERE k.account_id = account_readers.account_id AND k.tenant_id = account_readers.tenant_id AND k.login_enabled
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
    )
    SELECT c.user_id FROM contact c WHERE c.reads OR NOT EXISTS (SELECT FROM contact r WHERE r.reads);
END;
COMMENT ON FUNCTION csm_private.account_readers(bigint, bigint) IS
'Persons who read cases for an account: by their role, or, where no contact''s role says so, all contacts';

-- By relation, before anything is asked of visibility: what is internal goes to
-- the desk alone, what is one side's not to the other.
CREATE FUNCTION csm_private.notification_recipients(c csm.cases, audience text, side text, relations text[]) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 5
BEGIN ATOMIC
    SELECT DISTINCT p.user_id
    FROM (
        SELECT 'assignee' AS relation, 'operator' AS of_side, c.assigned_to AS user_id
      UNION ALL
        SELECT r.relation, 'operator', m.user_id
        FROM csm.group_members m CROSS JOIN (VALUES ('group'), ('desk')) r(relation)
        WHERE m.group_id = c.assigned_group_id AND m.tenant_id = c.tenant_id AND (r.relation = 'group' OR c.assigned_to IS NULL)
      UNION ALL
        SELECT 'desk', 'operator', c.assigned_to
      UNION ALL
        SELECT 'account_team', 'operator', t.member_id
        FROM csm.account_team t
        WHERE t.tenant_id = c.tenant_id
          AND (t.account_id = c.account_id OR t.user_id = c.requester_id OR t.household_id = c.household_id)
          AND csm_private.is_valid(t.valid_during, statement_timestamp())
      UNION ALL
        SELECT 'internal_contact', 'customer', c.internal_contact_id
      UNION ALL
        SELECT 'requester', 'customer', c.requester_id
      UNION ALL
        SELECT 'opener', 'customer', c.opened_by
      UNION ALL
        SELECT 'partner_contact', 'customer', k.user_id
        FROM csm.contacts k WHERE k.id = c.partner_contact_id AND k.tenant_id = c.tenant_id
      UNION ALL
        SELECT w.relation, 'customer', k.user_id
        FROM csm.contacts k CROSS JOIN (VALUES ('customer_admin', 'contact_manage'), ('approver', 'case_decide')) w(relation, action)
        WHERE k.account_id = c.account_id AND k.tenant_id = c.tenant_id
          AND csm_private.is_valid(k.valid_during, statement_timestamp())
          AND EXISTS (SELECT FROM csm.role_permissions r
                      WHERE r.role = k.role AND r.tenant_id = k.tenant_id AND r.action = w.action AND r.reach IN ('account', 'subtree'))
          AND (w.relation <> 'approver' OR k.user_id NOT IN (c.requester_id, coalesce(c.opened_by, 0)))
      UNION ALL
        SELECT 'party', 'customer', coalesce(s.user_id, r.user_id)
        FROM csm.case_parties s
        LEFT JOIN LATERAL csm_private.account_readers(s.account_id, s.tenant_id) r(user_id) ON s.account_id IS NOT NULL
        WHERE s.case_id = c.id AND s.tenant_id = c.tenant_id AND csm_private.is_valid(s.valid_during, statement_timestamp())
      UNION ALL
        SELECT 'counterparty', 'counterparty', k.user_id
        FROM csm.contacts k WHERE k.id = c.counterparty_contact_id AND k.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'counterparty', 'counterparty', r.user_id
        FROM csm_private.account_readers(c.counterparty_account_id, c.tenant_id) r(user_id)
        WHERE c.counterparty_contact_id IS NULL
    ) p
    WHERE p.user_id IS NOT NULL AND p.relation = ANY (relations)
      AND CASE audience WHEN 'shared' THEN true WHEN 'private' THEN p.of_side IN (side, 'operator') ELSE p.of_side = 'operator' END;
END;
COMMENT ON FUNCTION csm_private.notification_recipients(csm.cases, text, text, text[]) IS
'Persons who stand in one of the relations to the case and on a side that the event is for. Whether they see the case is asked when they are told';

-- ---- reading events ----

-- In the transaction that moves the position on, so that after a crash both
-- happened or neither. Of two who run it, one waits at the timer of the tenant.
CREATE FUNCTION csm_private.make_notifications(tenant_id bigint, at_most integer) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    reader csm_private.notification_readers;
    upto bigint;
    n integer;
    tokens bigint;
BEGIN
    SELECT * INTO reader FROM csm_private.notification_readers r WHERE r.tenant_id = tenant_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM csm_private.give_positions(tenant_id);
    SELECT count(*), max(x.position) INTO n, upto
    FROM (SELECT e.position FROM csm.events e
          WHERE e.tenant_id = tenant_id AND e.position > reader.position ORDER BY e.position LIMIT at_most) x;
    IF n > 0 THEN
        -- He who did it is not told. What is one's own affair comes first where
        -- an event is of two kinds. Tokens are made here, by one runner, and not
        -- where messages are claimed: two senders would wait for one another.
        WITH made AS (
            INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, side, entry_id, state, sent_at)
            SELECT DISTINCT ON (e.id, u.id, r.channel)
                   e.tenant_id, u.id, e.case_id, e.id, k.kind, r.channel, e.audience, e.side, (e.payload ->> 'entry_id')::bigint,
                   CASE r.channel WHEN 'portal' THEN 'sent' ELSE 'waiting' END, CASE r.channel WHEN 'portal' THEN clock_timestamp() END
            FROM csm.events e
            JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
            CROSS JOIN LATERAL unnest(csm_private.notification_kinds(e.kind, e.payload)) WITH ORDINALITY k(kind, n)
            JOIN csm.notification_rules r ON r.event = k.kind AND r.tenant_id = e.tenant_id
            CROSS JOIN LATERAL csm_private.notification_recipients(c, e.audience, e.side, r.recipients) p(user_id)
            JOIN csm.users u ON u.id = p.user_id AND u.tenant_id = e.tenant_id AND u.enabled
            WHERE e.tenant_id = tenant_id AND e.position > reader.position AND e.position <= upto AND e.created_at >= reader.since
              AND u.id IS DISTINCT FROM e.actor_id
              AND (r.channel <> 'email' OR u.email IS NOT NULL)
              AND coalesce(csm_private.wants_notification(u.id, u.tenant_id, k.kind, r.channel), r.enabled)
            ORDER BY e.id, u.id, r.channel, k.n
            ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
            RETURNING *
        )
        SELECT (SELECT count(csm_private.mail_token(m.case_id, m.user_id))
                FROM (SELECT DISTINCT x.case_id, x.user_id FROM made x WHERE x.state = 'waiting') m)
             + (SELECT count(csm_private.unsubscribe_token(m.user_id, m.tenant_id, m.kind, m.channel))
                FROM (SELECT DISTINCT x.user_id, x.tenant_id, x.kind, x.channel FROM made x WHERE x.state = 'waiting') m)
        INTO tokens;
    END IF;
    UPDATE csm_private.notification_readers r SET position = coalesce(upto, r.position), read_at = clock_timestamp()
    WHERE r.tenant_id = tenant_id;
    RETURN n;
END $$;
COMMENT ON FUNCTION csm_private.make_notifications(bigint, integer) IS
'Makes the notifications of the next events of a tenant, at most so many; returns how many events were read';

CREATE FUNCTION csm_private.due_notify(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_once CONSTANT integer := 5000;
    keep interval;
    read integer := csm_private.make_notifications(tenant_id, at_once);
BEGIN
    IF read < at_once THEN
        SELECT interval '1 day' * coalesce((t.settings -> 'notifications' ->> 'keep_days')::integer, 90) INTO keep
        FROM csm.tenants t WHERE t.id = tenant_id;
        DELETE FROM csm.notifications n
        WHERE n.tenant_id = tenant_id
          AND n.id IN (SELECT o.id FROM csm.notifications o
                       WHERE o.tenant_id = tenant_id AND o.created_at < at - keep ORDER BY o.created_at LIMIT 1000);
    END IF;
    PERFORM csm_private.set_timer(tenant_id, 'notify', object_id, NULL,
        at + CASE WHEN read < at_once THEN interval '1 second' ELSE interval '0' END);
END $$;
COMMENT ON FUNCTION csm_private.due_notify(bigint, bigint, timestamptz) IS
'Handler of timers of kind notify, one a tenant with rules: makes notifications, and deletes what is older than the tenant keeps (setting notifications, keep_days; 90)';

-- ---- the inbox ----

-- A name in the first language there is: the person's tag, its base, the same of
-- the tenant, English.
CREATE FUNCTION csm_private.notification_template(event text, channel text)
RETURNS TABLE (language text, subject text, body text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT bigint := csm.current_tenant_id();
    tongue text;
    tongues text[] := '{}'::text[];
BEGIN
    FOR tongue IN
        SELECT w.tag FROM (SELECT 1, u.language FROM csm.users u WHERE u.id = csm.current_user_id() AND u.tenant_id = mine
                           UNION ALL SELECT 2, t.settings -> 'notifications' ->> 'language' FROM csm.tenants t WHERE t.id = mine
                           UNION ALL SELECT 3, 'en') w(n, tag)
        WHERE w.tag IS NOT NULL ORDER BY w.n
    LOOP
        tongues := tongues || lower(tongue) || split_part(lower(tongue), '-', 1);
    END LOOP;
    RETURN QUERY
        SELECT t.language, t.subject, t.body FROM csm.notification_templates t
        WHERE t.tenant_id = mine AND t.event IN (notification_template.event, '*')
          AND t.channel IN (notification_template.channel, '*') AND t.language = ANY (tongues)
        ORDER BY t.event = '*', array_position(tongues, t.language), t.channel = '*' LIMIT 1;
END $$;
COMMENT ON FUNCTION csm_private.notification_template(text, text) IS
'The words for the signed-in person: of the event before those of all, in his language (exact tag, base) before the tenant''s and English, of the channel before those of all. No row where there are none, and for nobody';

-- What stands in a header is one line: a line break in a value would begin
-- another header.
CREATE FUNCTION csm_private.one_line(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(btrim(regexp_replace(value, '[[:cntrl:][:space:]\u0080-\u009f\u2028\u2029]+', ' ', 'g')), 400);
COMMENT ON FUNCTION csm_private.one_line(text) IS
'The text as one line of at most 400 characters, without control characters';

-- Runs under the policies of its caller: a notification that he may not see any
-- more has no text, whoever asks in his name.
CREATE FUNCTION csm_private.notification_message(argument jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_build_object('language', t.language, 'subject', csm_private.one_line(csm_private.fill_in(t.subject, v.filled)),
                              'body', csm_private.fill_in(t.body, v.filled))
    FROM csm.notifications n
    CROSS JOIN LATERAL csm_private.notification_template(n.kind, n.channel) t
    CROSS JOIN LATERAL csm_private.notification_values(n.case_id, n.entry_id) v(filled)
    WHERE n.id = (argument ->> 'id')::bigint;
END;
COMMENT ON FUNCTION csm_private.notification_message(jsonb) IS
'language, subject and body of the notification {"id": …} for the person who reads it; NULL where it is not his, or he sees the case or the entry no more, or the tenant has no words for it';

CREATE FUNCTION csm.my_notifications("limit" integer DEFAULT 50, before bigint DEFAULT NULL, unread boolean DEFAULT false)
RETURNS TABLE (id bigint, case_id bigint, kind text, subject text, body text, created_at timestamptz, read_at timestamptz)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT n.id, n.case_id, n.kind, m.message ->> 'subject', m.message ->> 'body', n.created_at, n.read_at
    FROM (SELECT x.* FROM csm.notifications x
          WHERE x.user_id = csm.current_user_id() AND x.channel = 'portal' AND (before IS NULL OR x.id < before)
            AND (x.read_at IS NULL OR unread IS NOT TRUE)
          ORDER BY x.id DESC LIMIT least(greatest("limit", 0), 1000)) n
    CROSS JOIN LATERAL csm_private.notification_message(jsonb_build_object('id', n.id)) m(message)
    ORDER BY n.id DESC;
END;
COMMENT ON FUNCTION csm.my_notifications(integer, bigint, boolean) IS
'The caller''s inbox, the newest first, at most limit (up to 1,000) before that id, in his language; unread: only what is not marked as read. Only what he sees now. Words are NULL where the tenant has none';

CREATE FUNCTION csm.mark_read(ids bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    marked bigint;
BEGIN
    WITH m AS (
        UPDATE csm.notifications n SET read_at = clock_timestamp()
        WHERE n.user_id = csm.current_user_id() AND n.tenant_id = csm.current_tenant_id() AND n.channel = 'portal'
          AND n.read_at IS NULL AND (ids IS NULL OR n.id = ANY (ids))
          AND csm_private.entry_allows(n.case_id, n.tenant_id, '', n.audience, coalesce(n.side, ''))
        RETURNING 1
    )
    SELECT count(*) INTO marked FROM m;
    RETURN marked;
END $$;
COMMENT ON FUNCTION csm.mark_read(bigint[]) IS
'Marks these notifications of the caller''s inbox as read, NULL for all; returns how many were unread and are his to see';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.begin_notifications()',
        'csm_private.notification_values(bigint, bigint)',
        'csm_private.notification_template_guard()',
        'csm_private.notification_kinds(text, jsonb)',
        'csm_private.account_readers(bigint, bigint)',
        'csm_private.notification_recipients(csm.cases, text, text, text[])',
        'csm_private.make_notifications(bigint, integer)',
        'csm_private.due_notify(bigint, bigint, timestamptz)',
        'csm_private.notification_template(text, text)',
        'csm_private.one_line(text)',
        'csm_private.notification_message(jsonb)',
        'csm.my_notifications(integer, bigint, boolean)',
        'csm.mark_read(bigint[])']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.mark_read(bigint[]),
    csm.my_notifications(integer, bigint, boolean),
    csm_private.notification_message(jsonb),
    csm_private.notification_template(text, text),
    csm_private.notification_values(bigint, bigint),
    csm_private.one_line(text)
    TO csm_portal, csm_agent, csm_admin;
