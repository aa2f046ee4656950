-- Reading events: at least once, in order, each subscriber at his own pace.
--
-- A row of csm.events gets its position from csm.next_events(), and only when
-- it is committed: whoever commits late comes later, and nobody is skipped.
-- What a subscriber receives is judged when it is handed out, by the rule of
-- csm.cases for the person in whose name he reads, or of what else it is about
-- (csm_private.event_allows(), 88_subject_events.sql).

CREATE TABLE csm.event_positions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    last bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_positions_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT event_positions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id)
);
SELECT csm_private.adopt_table('csm.event_positions');
CREATE POLICY event_positions_select ON csm.event_positions FOR SELECT TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.event_positions TO csm_admin;

COMMENT ON TABLE csm.event_positions IS 'The last position given in each tenant; its row is locked by the session that gives positions';
COMMENT ON COLUMN csm.event_positions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_positions.last IS 'Highest position in csm.events; grows, also after events were pruned';
COMMENT ON POLICY event_positions_select ON csm.event_positions IS 'Administrators, who start a subscriber at the end';

CREATE TABLE csm.event_subscribers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    key text NOT NULL,
    user_id bigint NOT NULL,
    kinds text[],
    case_types text[],
    position bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_at timestamptz,
    acknowledged_at timestamptz,
    subjects text[] NOT NULL DEFAULT '{case}',
    CONSTRAINT event_subscribers_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT event_subscribers_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT event_subscribers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT event_subscribers_key UNIQUE (tenant_id, key),
    CONSTRAINT event_subscribers_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT event_subscribers_subjects_check CHECK (subjects <@ '{case,article,question,publication}'::text[] AND cardinality(subjects) > 0),
    CONSTRAINT event_subscribers_position_check CHECK (position >= 0 AND delivered >= 0)
);
SELECT csm_private.adopt_table('csm.event_subscribers');
CREATE POLICY event_subscribers_select ON csm.event_subscribers FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY event_subscribers_write ON csm.event_subscribers FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.event_subscribers TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (key, user_id, kinds, case_types, position, subjects), UPDATE (user_id, kinds, case_types, subjects), DELETE
    ON csm.event_subscribers TO csm_admin;

COMMENT ON TABLE csm.event_subscribers IS 'Programs that follow the events of a tenant, each with its own place in the order. One that is not used any more is deleted, for it keeps csm.prune_events() from deleting what it has not acknowledged';
COMMENT ON COLUMN csm.event_subscribers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.event_subscribers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_subscribers.key IS 'Name in csm.next_events(), unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.event_subscribers.user_id IS 'Person who reads: events are those of what he sees, and only he can ask';
COMMENT ON COLUMN csm.event_subscribers.kinds IS 'Kinds of events wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.subjects IS 'What events are wanted of: case, article, question, publication';
COMMENT ON COLUMN csm.event_subscribers.case_types IS 'Of cases: types wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.position IS 'Acknowledged so far; a new subscriber begins after it: 0 with the oldest event that is kept, csm.event_positions.last with the next one';
COMMENT ON COLUMN csm.event_subscribers.delivered IS 'Highest position handed out to him';
COMMENT ON COLUMN csm.event_subscribers.created_at IS 'When the subscriber was made';
COMMENT ON COLUMN csm.event_subscribers.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_subscribers.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON POLICY event_subscribers_select ON csm.event_subscribers IS 'Everyone his own; administrators all';
COMMENT ON POLICY event_subscribers_write ON csm.event_subscribers IS 'Administrators make and delete subscribers';

-- The subscriber of the caller, locked: of two readers at once, one waits.
CREATE FUNCTION csm_private.own_subscriber(subscriber text) RETURNS csm.event_subscribers
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s csm.event_subscribers;
BEGIN
    SELECT * INTO s FROM csm.event_subscribers x
    WHERE x.key = subscriber AND x.user_id = csm.current_user_id() AND x.tenant_id = csm.current_tenant_id()
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no subscriber "%" of yours', subscriber USING ERRCODE = '42501',
            HINT = 'An administrator makes subscribers in csm.event_subscribers; only the person named there may ask.';
    END IF;
    RETURN s;
END $$;
ALTER FUNCTION csm_private.own_subscriber(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.own_subscriber(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.own_subscriber(text) IS
'The subscriber of that key whose person is signed in, its row locked; 42501 for a missing one and for another person''s';

-- One session at a time gives positions, and holds the lock until it commits;
-- who finds it taken reads what has its position already.  A row lock and no
-- advisory one, which any client could hold.
--
-- The second statement begins after the lock was taken, so it sees every
-- position given before.  Under REPEATABLE READ it may not, and fails (40001).
-- Within a case, what has the lower id committed first: whenever a row is seen
-- here, so are those of its case that come before it.
CREATE FUNCTION csm_private.give_positions(tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last bigint;
    given bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM csm.event_positions p WHERE p.tenant_id = tenant_id) THEN
        INSERT INTO csm.event_positions (tenant_id) VALUES (tenant_id) ON CONFLICT DO NOTHING;
    END IF;
    SELECT p.last INTO last FROM csm.event_positions p WHERE p.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH waiting AS (
        SELECT e.id, row_number() OVER (ORDER BY e.id) AS n
        FROM (SELECT x.id FROM csm.events x
              WHERE x.tenant_id = tenant_id AND x.position IS NULL ORDER BY x.id LIMIT 10000) e
    ), placed AS (
        UPDATE csm.events e SET position = last + w.n
        FROM waiting w WHERE e.id = w.id AND e.tenant_id = tenant_id
        RETURNING e.id
    )
    SELECT count(*) INTO given FROM placed;
    IF given > 0 THEN
        UPDATE csm.event_positions p SET last = p.last + given WHERE p.tenant_id = tenant_id;
    END IF;
END $$;
ALTER FUNCTION csm_private.give_positions(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.give_positions(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.give_positions(bigint) IS
'Gives the next positions to committed events of the tenant, in the order of ids, up to 10,000; does nothing while another session does it';

CREATE FUNCTION csm.next_events(subscriber text, "limit" integer DEFAULT 100) RETURNS SETOF csm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Hidden events are passed by, but not without end in one call.
    most CONSTANT integer := 100000;
    s csm.event_subscribers := csm_private.own_subscriber(subscriber);
    of_cases CONSTANT boolean := 'case' = ANY (s.subjects);
    of_others CONSTANT boolean := s.subjects && '{article,question,publication}'::text[];
    found record;
    n integer := 0;
    skipped bigint := s.position;
    handed bigint := s.delivered;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit of csm.next_events() must be between 1 and 10000' USING ERRCODE = '22023',
            DETAIL = format('It is %s.', coalesce("limit"::text, 'null')), HINT = 'Ask for what you can handle before you acknowledge.';
    END IF;
    PERFORM csm_private.give_positions(s.tenant_id);
    FOR found IN
        SELECT e, e.position AS at,
               (s.kinds IS NULL OR e.kind = ANY (s.kinds))
               AND CASE WHEN e.case_id IS NOT NULL
                        THEN of_cases AND (s.case_types IS NULL OR c.case_type = ANY (s.case_types))
                             AND csm_private.case_allows(c, CASE e.audience WHEN 'internal' THEN 'case_work' ELSE 'case_read' END)
                             AND (e.audience <> 'private' OR csm_private.case_side_allows(c, e.side))
                        ELSE of_others AND csm_private.event_allows(e, s.subjects) END AS wanted
        FROM csm.events e LEFT JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
        WHERE e.tenant_id = s.tenant_id AND e.position > s.position
        ORDER BY e.position LIMIT most
    LOOP
        IF found.wanted THEN
            n := n + 1;
            handed := greatest(handed, found.at);
            RETURN NEXT found.e;
            EXIT WHEN n = "limit";
        ELSIF n = 0 THEN
            skipped := found.at;
        END IF;
    END LOOP;
    handed := greatest(handed, skipped);
    IF (skipped, handed) IS DISTINCT FROM (s.position, s.delivered)
       OR s.asked_at IS NULL OR s.asked_at < clock_timestamp() - interval '1 minute' THEN
        UPDATE csm.event_subscribers x SET position = skipped, delivered = handed, asked_at = clock_timestamp()
        WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
    END IF;
END $$;
COMMENT ON FUNCTION csm.next_events(text, integer) IS
'The next events of a subscriber after what he acknowledged, in the order of positions: the same again until csm.acknowledge(). Call it in a transaction of its own, read-write; positions hold once that has committed, id tells a repeated event. Only events of cases, articles, questions and publications that the caller sees now, of the subjects, kinds and types wanted; an empty answer means none for now. Errors: 42501 not the caller''s subscriber, 22023 limit outside 1 to 10000, 40001 under REPEATABLE READ when another session gave positions meanwhile';

CREATE FUNCTION csm.acknowledge(subscriber text, "position" bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s csm.event_subscribers := csm_private.own_subscriber(subscriber);
BEGIN
    IF acknowledge.position IS NULL THEN
        RAISE EXCEPTION 'position of csm.acknowledge() is null' USING ERRCODE = '22004',
            HINT = 'Give the position of the last event that was handled.';
    ELSIF acknowledge.position > greatest(s.position, s.delivered) THEN
        RAISE EXCEPTION 'subscriber "%" cannot acknowledge what was not delivered', subscriber USING ERRCODE = '22023',
            DETAIL = format('Position %s; delivered so far: %s.', acknowledge.position, greatest(s.position, s.delivered)),
            HINT = 'A delivery counts once the transaction of csm.next_events() has committed.';
    ELSIF acknowledge.position > s.position THEN
        UPDATE csm.event_subscribers x SET position = acknowledge.position, acknowledged_at = clock_timestamp()
        WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
        RETURN acknowledge.position;
    END IF;
    RETURN s.position;
END $$;
COMMENT ON FUNCTION csm.acknowledge(text, bigint) IS
'Says that the subscriber has handled every event up to the position; returns how far he is. Never goes back. Errors: 42501 not the caller''s subscriber, 22023 beyond what was delivered, 22004 null';

CREATE FUNCTION csm_private.events_waiting(tenant_id bigint, "position" bigint, OUT waiting bigint, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm.all_in(tenant_id, 'internal', 'configure') THEN
        RAISE EXCEPTION 'the lag of subscribers is for administrators' USING ERRCODE = '42501',
            HINT = 'Your own row of csm.event_subscribers tells how far you are.';
    END IF;
    SELECT count(*), min(e.created_at) INTO waiting, oldest
    FROM (SELECT x.created_at FROM csm.events x
          WHERE x.tenant_id = events_waiting.tenant_id AND x.position > events_waiting.position
          UNION ALL
          SELECT x.created_at FROM csm.events x WHERE x.tenant_id = events_waiting.tenant_id AND x.position IS NULL) e;
END $$;
COMMENT ON FUNCTION csm_private.events_waiting(bigint, bigint) IS
'How many events of the tenant stand after a position or wait for one, and the time of the oldest (NULL for none); for administrators (42501)';

CREATE VIEW csm.event_lag WITH (security_invoker = true) AS
    SELECT s.tenant_id, s.key, s.user_id, s.position, s.delivered, w.waiting, w.oldest, s.asked_at, s.acknowledged_at
    FROM csm.event_subscribers s CROSS JOIN LATERAL csm_private.events_waiting(s.tenant_id, s.position) w;
ALTER VIEW csm.event_lag OWNER TO csm_owner;
REVOKE ALL ON csm.event_lag FROM PUBLIC;
GRANT SELECT ON csm.event_lag TO csm_admin;
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

-- Without subscribers there is nobody to wait for, so also what never got a
-- position goes when it is old enough.
CREATE FUNCTION csm.prune_events(keep interval DEFAULT '30 days', "limit" integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
    before CONSTANT timestamptz := clock_timestamp() - keep;
    deleted bigint;
BEGIN
    IF NOT everywhere AND (mine IS NULL OR NOT csm.all_in(mine, 'internal', 'configure')) THEN
        RAISE EXCEPTION 'events are pruned by administrators' USING ERRCODE = '42501',
            HINT = 'Connect as csm_admin of the tenant, or as a member of csm_owner without identity.';
    ELSIF keep IS NULL OR keep < interval '0' OR "limit" IS NULL OR "limit" < 1 THEN
        RAISE EXCEPTION 'keep must not be negative and limit must be at least 1' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(keep::text, 'null'), coalesce("limit"::text, 'null')),
            HINT = 'Leave them out for 30 days and 10,000 rows.';
    END IF;
    WITH handled AS (
        -- Notifications are made of events too, where csm.run_due() runs.
        SELECT t.id AS tenant_id, least((SELECT min(s.position) FROM csm.event_subscribers s WHERE s.tenant_id = t.id),
                                        (SELECT r.position FROM csm_private.notification_readers r
                                         WHERE r.tenant_id = t.id AND r.read_at > clock_timestamp() - interval '1 day')) AS position
        FROM csm.tenants t WHERE everywhere OR t.id = mine
    ), old AS (
        SELECT o.id, o.tenant_id
        FROM handled h CROSS JOIN LATERAL (
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND e.position <= coalesce(h.position, 9223372036854775807) AND e.created_at < before
            UNION ALL
            SELECT e.id, e.tenant_id FROM csm.events e
            WHERE e.tenant_id = h.tenant_id AND h.position IS NULL AND e.position IS NULL AND e.created_at < before) o
        LIMIT "limit"
    ), gone AS (
        DELETE FROM csm.events e USING old o WHERE e.id = o.id AND e.tenant_id = o.tenant_id RETURNING 1
    )
    SELECT count(*) INTO deleted FROM gone;
    RETURN deleted;
END $$;
COMMENT ON FUNCTION csm.prune_events(interval, integer) IS
'Deletes events older than keep that every subscriber of their tenant has acknowledged, and of which notifications were made (all old ones where there is no subscriber and csm.run_due() was not called for a day), up to limit rows; returns how many. Administrators for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023 negative keep or limit below 1';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.next_events(text, integer)',
        'csm.acknowledge(text, bigint)',
        'csm.prune_events(interval, integer)',
        'csm_private.events_waiting(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.next_events(text, integer), csm.acknowledge(text, bigint) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.prune_events(interval, integer), csm_private.events_waiting(bigint, bigint) TO csm_admin;
