-- Publications on their way: whom one addresses, and a mail for each of them.
--
-- When a publication is published, csm.run_due() writes down whom it addresses,
-- once each, in batches; each batch has a timer of its own, so that several
-- runners share the work and a crash loses none of it. A batch asks for each
-- person, as he (csm_private.as_person()), whether he reads the publication, and
-- puts it into the outbox for him alone, in his language; csm.next_mail() asks once
-- more. Who does not read it, has no address or does not want it gets nothing.

CREATE TABLE csm.publication_recipients (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    publication_id bigint NOT NULL,
    user_id bigint NOT NULL,
    batch bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    settled_at timestamptz,
    CONSTRAINT publication_recipients_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_recipients_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_recipients_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publication_recipients_once UNIQUE (publication_id, user_id),
    CONSTRAINT publication_recipients_state_check CHECK (state IN ('waiting', 'mailed', 'withheld', 'failed')
        AND (state = 'waiting') = (settled_at IS NULL))
);
CREATE INDEX publication_recipients_batch_idx ON csm.publication_recipients (batch) WHERE state = 'waiting';
CREATE INDEX publication_recipients_user_idx ON csm.publication_recipients (user_id);
SELECT csm_private.adopt_table('csm.publication_recipients');
CREATE POLICY publication_recipients_select ON csm.publication_recipients FOR SELECT TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id() AND csm_private.publication_allows(publication_id, tenant_id, 'read')
        OR csm_private.publication_allows(publication_id, tenant_id, 'manage'));
GRANT SELECT ON csm.publication_recipients TO csm_portal, csm_agent;

COMMENT ON TABLE csm.publication_recipients IS 'Persons whom a publication addressed when it was published by mail, once each, and what became of it. Written by csm.run_due(), deleted 90 days after the publication ended';
COMMENT ON COLUMN csm.publication_recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_recipients.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_recipients.user_id IS 'The person';
COMMENT ON COLUMN csm.publication_recipients.batch IS 'With which others he is looked at: object of a timer of kind publication_mail';
COMMENT ON COLUMN csm.publication_recipients.state IS 'waiting; mailed: his message was put into csm.outbox; withheld: he did not read it, had no address or did not want it, then or when it was handed to the sender, or it ended before; failed: it could not be put together';
COMMENT ON COLUMN csm.publication_recipients.settled_at IS 'When that was; NULL while he waits';
COMMENT ON POLICY publication_recipients_select ON csm.publication_recipients IS 'One''s own, of what one reads; all for who manages the audience';

-- ---- whom it addresses ----

-- The same rules as csm_private.audience_rights(), asked from the criteria to the
-- persons. What comes out is asked again of each person himself, so a person too
-- many does no harm; the test compares both.
CREATE FUNCTION csm_private.audience_people(audience_id bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE chain(n, id, within_id, tenant_id) AS (
        SELECT 0, a.id, a.within_id, a.tenant_id FROM csm.audiences a WHERE a.id = audience_people.audience_id
      UNION ALL
        SELECT c.n + 1, a.id, a.within_id, a.tenant_id FROM chain c JOIN csm.audiences a ON a.id = c.within_id AND a.tenant_id = c.tenant_id
    ),
    -- the innermost that says who reads
    criterion AS (
        SELECT c.id, c.tenant_id, c.match, (SELECT count(*) FROM csm.user_criteria_parts p WHERE p.criteria_id = c.id AND p.tenant_id = c.tenant_id) AS parts
        FROM csm.audience_grants g JOIN csm.user_criteria c ON c.id = g.criteria_id AND c.tenant_id = g.tenant_id
        WHERE c.active AND g.action = 'read' AND NOT g.denies
          AND g.audience_id = (SELECT h.id FROM chain h
                               WHERE EXISTS (SELECT FROM csm.audience_grants x WHERE x.audience_id = h.id AND x.tenant_id = h.tenant_id
                                                                                 AND x.action = 'read' AND NOT x.denies)
                               ORDER BY h.n LIMIT 1)
    ),
    part AS MATERIALIZED (
        SELECT p.* FROM csm.user_criteria_parts p JOIN criterion c ON c.id = p.criteria_id AND c.tenant_id = p.tenant_id
    ),
    contact AS (
        SELECT k.user_id, k.account_id, k.role, k.tenant_id FROM csm.contacts k
        WHERE k.login_enabled AND csm_private.is_valid(k.valid_during, statement_timestamp())
    ),
    groups_below(part_id, tenant_id, group_id) AS (
        SELECT p.id, p.tenant_id, p.group_id FROM part p WHERE p.group_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, g.id FROM groups_below b JOIN csm.groups g ON g.parent_id = b.group_id AND g.tenant_id = b.tenant_id
    ),
    products_below(part_id, tenant_id, product_id) AS (
        SELECT p.id, p.tenant_id, p.product_id FROM part p WHERE p.product_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, d.id FROM products_below b JOIN csm.products d ON d.parent_id = b.product_id AND d.tenant_id = b.tenant_id
    ),
    accounts_below(part_id, tenant_id, account_id) AS (
        SELECT p.id, p.tenant_id, p.account_id FROM part p WHERE p.account_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, a.id
        FROM accounts_below b JOIN part p ON p.id = b.part_id AND p.include_descendants
        JOIN csm.accounts a ON a.parent_id = b.account_id AND a.tenant_id = b.tenant_id
    ),
    owned AS (
        SELECT b.part_id, b.tenant_id, o.account_id, o.user_id
        FROM products_below b CROSS JOIN LATERAL (
            SELECT s.account_id, s.user_id FROM csm.sold_products s
            WHERE s.product_id = b.product_id AND s.tenant_id = b.tenant_id AND csm_private.is_valid(s.valid_during, statement_timestamp())
          UNION ALL
            SELECT a.account_id, a.user_id FROM csm.assets a
            WHERE a.product_id = b.product_id AND a.tenant_id = b.tenant_id AND (a.removed_at IS NULL OR a.removed_at > statement_timestamp())) o
    ),
    fact(part_id, user_id) AS (
        SELECT p.id, p.user_id FROM part p WHERE p.user_id IS NOT NULL
      UNION ALL
        SELECT b.part_id, m.user_id FROM groups_below b JOIN csm.group_members m ON m.group_id = b.group_id AND m.tenant_id = b.tenant_id
      UNION ALL
        SELECT p.id, k.user_id
        FROM part p JOIN csm.roles o ON o.role = p.role AND o.tenant_id = p.tenant_id AND o.kind = 'contact'
        JOIN contact k ON k.role = o.role AND k.tenant_id = o.tenant_id
      UNION ALL
        SELECT p.id, r.user_id
        FROM part p JOIN csm.roles o ON o.role = p.role AND o.tenant_id = p.tenant_id AND o.kind = 'staff'
        JOIN csm.user_roles r ON r.role = o.role AND r.tenant_id = o.tenant_id
        WHERE csm_private.is_valid(r.valid_during, statement_timestamp())
      UNION ALL
        SELECT b.part_id, k.user_id FROM accounts_below b JOIN contact k ON k.account_id = b.account_id AND k.tenant_id = b.tenant_id
      UNION ALL
        SELECT p.id, h.user_id
        FROM part p CROSS JOIN LATERAL (
            SELECT c.user_id FROM csm.consumers c WHERE p.persona = 'consumer' AND c.tenant_id = p.tenant_id
          UNION ALL
            SELECT e.user_id FROM csm.employees e WHERE p.persona = 'employee' AND e.tenant_id = p.tenant_id
          UNION ALL
            SELECT k.user_id FROM contact k WHERE p.persona = 'contact' AND k.tenant_id = p.tenant_id
          UNION ALL
            SELECT r.user_id FROM csm.user_roles r JOIN csm.roles o ON o.role = r.role AND o.tenant_id = r.tenant_id AND o.kind = 'staff'
            WHERE p.persona = 'staff' AND r.tenant_id = p.tenant_id AND csm_private.is_valid(r.valid_during, statement_timestamp())) h
      UNION ALL
        SELECT o.part_id, k.user_id FROM owned o JOIN contact k ON k.account_id = o.account_id AND k.tenant_id = o.tenant_id
      UNION ALL
        SELECT o.part_id, c.user_id FROM owned o JOIN csm.consumers c ON c.user_id = o.user_id AND c.tenant_id = o.tenant_id
      UNION ALL
        SELECT p.id, u.id FROM part p JOIN csm.users u ON u.tenant_id = p.tenant_id AND u.location || '-' LIKE p.location || '-%'
      UNION ALL
        SELECT p.id, u.id FROM part p JOIN csm.users u ON u.tenant_id = p.tenant_id AND lower(u.language) || '-' LIKE lower(p.language) || '-%'
      UNION ALL
        SELECT p.id, coalesce(r.user_id, k.user_id)
        FROM part p
        JOIN csm.recipient_lists l ON l.id = p.list_id AND l.tenant_id = p.tenant_id
        JOIN csm.recipients r ON r.list_id = l.id AND r.tenant_id = l.tenant_id
        LEFT JOIN contact k ON k.account_id = r.account_id AND k.tenant_id = r.tenant_id AND (r.user_id IS NULL OR k.user_id = r.user_id)
        WHERE (r.account_id IS NULL OR k.user_id IS NOT NULL)
          AND (l.kind IS DISTINCT FROM 'consumers' OR EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = r.user_id AND c.tenant_id = r.tenant_id))
    ),
    met AS (
        SELECT p.criteria_id, f.user_id, count(DISTINCT p.id) AS parts FROM fact f JOIN part p ON p.id = f.part_id GROUP BY 1, 2
    )
    SELECT DISTINCT u.id
    FROM met m
    JOIN criterion c ON c.id = m.criteria_id AND (c.match = 'any' OR m.parts = c.parts)
    JOIN csm.users u ON u.id = m.user_id AND u.tenant_id = c.tenant_id AND u.enabled
$$;

CREATE FUNCTION csm_private.check_reach(p csm.publications) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100000;
BEGIN
    IF p.by_mail AND (SELECT count(*) FROM (SELECT FROM csm_private.audience_people(p.audience_id) LIMIT most + 1) x) > most THEN
        RAISE EXCEPTION 'publication % addresses too many', p.id USING ERRCODE = '54000',
            DETAIL = format('One is mailed to at most %s persons.', most), HINT = 'Write several, or publish it in the portal alone (by_mail).';
    END IF;
END $$;

CREATE FUNCTION csm.publication_reach(publication_id bigint, OUT persons bigint, OUT with_address bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm.publications := csm_private.known_publication(publication_reach.publication_id);
BEGIN
    IF NOT csm_private.publication_actors(p) && '{manager}'::text[] THEN
        RAISE EXCEPTION 'whom publication % reaches is for who approves it', p.id USING ERRCODE = '42501',
            HINT = 'Who manages the audience of the series does.';
    END IF;
    SELECT count(*), count(u.email) INTO persons, with_address
    FROM csm_private.audience_people(p.audience_id) a(user_id) JOIN csm.users u ON u.id = a.user_id AND u.tenant_id = p.tenant_id;
END $$;

-- ---- what time does ----

CREATE FUNCTION csm_private.due_publication_publish(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications;
BEGIN
    SELECT * INTO p FROM csm.publications x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF p.id IS NULL THEN
        -- in somebody's hands
        PERFORM csm_private.set_timer(tenant_id, 'publication_publish', object_id, NULL, at + interval '1 minute');
    ELSIF p.state = 'ready' AND p.publish_at <= at THEN
        PERFORM csm_private.check_reach(p);
        UPDATE csm.publications x SET state = 'published' WHERE x.id = p.id AND x.tenant_id = p.tenant_id;
        INSERT INTO csm.publication_acts (tenant_id, publication_id, action, actor_id) VALUES (p.tenant_id, p.id, 'publish', NULL);
    END IF;
END $$;

CREATE FUNCTION csm_private.due_publication_expiry(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH ended AS (
        UPDATE csm.publications p SET state = 'expired'
        WHERE p.id = object_id AND p.tenant_id = tenant_id AND p.state = 'published' AND p.expires_at <= at
        RETURNING p.id
    )
    INSERT INTO csm.publication_acts (tenant_id, publication_id, action, actor_id) SELECT tenant_id, e.id, 'expire', NULL FROM ended e;
END $$;

-- Once in all: who is there already stays, whoever runs it again.
CREATE FUNCTION csm_private.due_publication_address(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch_size CONSTANT integer := 200;
    p csm.publications;
    people bigint[];
    batch bigint;
BEGIN
    SELECT * INTO p FROM csm.publications x WHERE x.id = object_id AND x.tenant_id = tenant_id;
    IF p.state <> 'published' OR NOT p.by_mail THEN
        RETURN;
    END IF;
    people := ARRAY(SELECT a FROM csm_private.audience_people(p.audience_id) a ORDER BY 1);
    FOR n IN 0 .. (cardinality(people) - 1) / batch_size LOOP
        batch := nextval('csm.publication_recipients_id_seq');
        INSERT INTO csm.publication_recipients (tenant_id, publication_id, user_id, batch)
        SELECT p.tenant_id, p.id, u, batch FROM unnest(people[n * batch_size + 1:(n + 1) * batch_size]) u
        ON CONFLICT ON CONSTRAINT publication_recipients_once DO NOTHING;
        PERFORM csm_private.set_timer(p.tenant_id, 'publication_mail', batch, NULL, at);
    END LOOP;
END $$;

-- Run as the person by csm_private.as_person(): the one question that stands
-- between a publication that is published and who reads it.
CREATE FUNCTION csm_private.reads_audience(argument jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_jsonb(csm.audience_allows((argument ->> 'audience_id')::bigint, 'read'));
END $$;

-- What is asked of a table is asked in one statement for the whole batch, in
-- select lists alone: a condition might be evaluated for every person there is.
-- Whether he reads it each person is asked by himself.
CREATE FUNCTION csm_private.due_publication_mail(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications;
    s csm.publication_series;
    settings jsonb;
    of record;
    mailed bigint[] := '{}'::bigint[];
    failed bigint[] := '{}'::bigint[];
BEGIN
    SELECT x.* INTO p FROM csm.publications x
    WHERE x.tenant_id = tenant_id
      AND x.id = (SELECT r.publication_id FROM csm.publication_recipients r WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting' LIMIT 1);
    SELECT x.* INTO s FROM csm.publication_series x WHERE x.id = p.series_id AND x.tenant_id = tenant_id;
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant_id;
    FOR of IN
        SELECT r.id, u.id AS user_id, csm_private.role_of_person(u.id, u.tenant_id) AS role,
               csm_private.wants_notification(u.id, u.tenant_id, s.event, 'email') IS NOT FALSE AS wants
        FROM csm.publication_recipients r JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
        WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting'
          AND p.state = 'published' AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp())
          AND u.enabled AND u.email ~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$'
        ORDER BY r.id FOR NO KEY UPDATE OF r
    LOOP
        -- One who cannot be asked must not hold up the others.
        BEGIN
            IF of.wants AND csm_private.as_person(of.user_id, of.role, 'csm_private.reads_audience(jsonb)'::regprocedure,
                                                  jsonb_build_object('audience_id', p.audience_id)) = 'true' THEN
                mailed := mailed || of.id;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            failed := failed || of.id;
        END;
    END LOOP;
    PERFORM csm_private.send_mail(tenant_id, 'publication', k.email, k.user_id, (k.words).language,
                jsonb_build_object('publication_id', p.id, 'series', s.key, 'title', csm_private.one_line((k.words).title), 'body', (k.words).body,
                                   'unsubscribe_token', k.token, 'list_unsubscribe', csm_private.list_unsubscribe(k.token, settings)),
                coalesce(p.expires_at, at + interval '30 days'))
    FROM (SELECT u.id AS user_id, u.email, csm_private.publication_text(p, u.language) AS words,
                 csm_private.unsubscribe_token(u.id, u.tenant_id, s.event, 'email') AS token
          FROM csm.publication_recipients r JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
          WHERE r.id = ANY (mailed) AND r.tenant_id = tenant_id ORDER BY r.id) k;
    UPDATE csm.publication_recipients r
    SET state = CASE WHEN r.id = ANY (mailed) THEN 'mailed' WHEN r.id = ANY (failed) THEN 'failed' ELSE 'withheld' END, settled_at = clock_timestamp()
    WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting';
END $$;

-- What waits in the outbox is not handed out any more, whoever put it there
-- meanwhile: csm.next_mail() asks.
CREATE FUNCTION csm_private.publication_stands(publication_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.publications p
                   WHERE p.id = publication_stands.publication_id AND p.tenant_id = publication_stands.tenant_id AND p.state = 'published')
$$;

-- Between the outbox and the sender much may have happened: who was to be mailed
-- is asked once more.
CREATE FUNCTION csm_private.publication_recipient(publication_id bigint, tenant_id bigint, user_id bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    of record;
BEGIN
    SELECT p.audience_id, btrim(u.email) AS email, csm_private.role_of_person(u.id, u.tenant_id) AS role INTO of
    FROM csm.publications p
    JOIN csm.publication_series s ON s.id = p.series_id AND s.tenant_id = p.tenant_id
    JOIN csm.users u ON u.id = user_id AND u.tenant_id = p.tenant_id
    WHERE p.id = publication_id AND p.tenant_id = tenant_id AND u.enabled AND csm_private.is_address(u.email)
      AND csm_private.wants_notification(u.id, u.tenant_id, s.event, 'email') IS NOT FALSE;
    IF FOUND AND csm_private.as_person(user_id, of.role, 'csm_private.reads_audience(jsonb)'::regprocedure,
                                       jsonb_build_object('audience_id', of.audience_id)) = 'true' THEN
        RETURN of.email;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION csm_private.due_publication_clear(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_once CONSTANT integer := 10000;
    keep CONSTANT interval := interval '90 days';
    ended timestamptz;
    n integer;
BEGIN
    SELECT p.ended_at INTO ended FROM csm.publications p WHERE p.id = object_id AND p.tenant_id = tenant_id;
    IF ended + keep > at THEN
        DELETE FROM csm.outbox m
        WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.outbox o
                                  WHERE o.tenant_id = tenant_id AND o.kind = 'publication' AND o.payload ->> 'publication_id' = object_id::text
                                  FOR UPDATE SKIP LOCKED));
        PERFORM csm_private.set_timer(tenant_id, 'publication_clear', object_id, NULL, ended + keep);
    ELSE
        DELETE FROM csm.publication_recipients r
        WHERE r.id = ANY (ARRAY(SELECT x.id FROM csm.publication_recipients x
                                WHERE x.publication_id = object_id AND x.tenant_id = tenant_id LIMIT at_once));
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n = at_once THEN
            PERFORM csm_private.set_timer(tenant_id, 'publication_clear', object_id, NULL, at + interval '1 minute');
        END IF;
    END IF;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.audience_people(bigint)', NULL, 'Persons who satisfy the criteria by which the innermost audience that says so grants read: all who could be addressed. Whether each of them reads is asked of himself'),
        ('csm_private.check_reach(csm.publications)', NULL, 'Error 54000 where a publication would be mailed to more than 100,000 persons'),
        ('csm.publication_reach(bigint)', 'csm_agent', 'How many persons a publication addresses, and how many of them have an address: for who manages its audience. Error 42501 hidden, missing or not permitted'),
        ('csm_private.due_publication_publish(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_publish: publishes what was planned; a minute later where somebody has it in hand'),
        ('csm_private.due_publication_expiry(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_expiry: lets a publication expire'),
        ('csm_private.due_publication_address(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_address: writes down whom a publication addresses, in batches of 200, each with a timer'),
        ('csm_private.reads_audience(jsonb)', 'csm_portal, csm_agent', 'Whether whoever runs it reads as one of the audience {"audience_id": …}. Run by csm_private.as_person()'),
        ('csm_private.due_publication_mail(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_mail: a mail for each person of a batch who is enabled, has a plain address, did not say that he wants none, and whom the audience of the publication lets read now'),
        ('csm_private.publication_stands(bigint, bigint)', NULL, 'Whether the publication is published still'),
        ('csm_private.publication_recipient(bigint, bigint, bigint)', NULL, 'Where the mail of a publication to a person is to go now; NULL where he does not read it any more, is disabled, has no plain address, or said that he wants none'),
        ('csm_private.due_publication_clear(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_clear: takes what was not sent out of the outbox when a publication has ended; 90 days later forgets whom it addressed')
    ) AS v(name, granted, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
        IF f.granted IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.name, f.granted);
        END IF;
    END LOOP;
END $$;
