-- The history of a case: every change, who made it and in which relation to the
-- case, chained by hashes and sealed, so that what somebody changed behind
-- csm's back is found.  Written by one C trigger (src/csm_history.c); what a
-- hash is made of stands at the top of src/csm_history_chain.c.

-- No check constraints: the server parses them anew for every statement, and
-- one trigger alone writes these rows.
CREATE TABLE csm.case_history (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    action text NOT NULL,
    actor_id bigint,
    actor_name text,
    persona text,
    relation text,
    on_behalf_of bigint,
    audience text NOT NULL,
    payload jsonb,
    salt bytea,
    payload_hash bytea NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    CONSTRAINT case_history_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_history_chain_key UNIQUE (case_id, seq),
    CONSTRAINT case_history_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id)
);
SELECT csm_private.adopt_table('csm.case_history');

-- As the entries of the case.
CREATE POLICY case_history_select ON csm.case_history FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c
                   WHERE c.id = case_id AND c.tenant_id = case_history.tenant_id
                     AND CASE audience
                         WHEN 'shared' THEN true
                         WHEN 'internal' THEN csm_private.case_allows(c, 'case_work')
                         ELSE csm_private.case_side_allows(c, audience) END));
-- The portal reads no seq and no hash: gaps would count the links that it may
-- not see.
GRANT SELECT (id, tenant_id, case_id, at, action, actor_id, actor_name, relation, on_behalf_of, audience, payload)
    ON csm.case_history TO csm_portal;
GRANT SELECT ON csm.case_history TO csm_agent, csm_admin;

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

-- A seal says how long the chains of a tenant were, and how they ended.  It
-- has a leaf for each case whose chain grew since the seal before.
CREATE TABLE csm.history_seals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    leaves bigint NOT NULL,
    root bytea NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    covered_to bigint NOT NULL,
    scanned_to bigint NOT NULL,
    horizon bigint NOT NULL,
    CONSTRAINT history_seals_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT history_seals_chain_key UNIQUE (tenant_id, seq),
    CONSTRAINT history_seals_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id)
);
SELECT csm_private.adopt_table('csm.history_seals');

-- No reference to the case: the leaf is to outlive it.
CREATE TABLE csm.history_leaves (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    seal_id bigint NOT NULL,
    case_id bigint NOT NULL,
    length bigint NOT NULL,
    last_hash bytea NOT NULL,
    CONSTRAINT history_leaves_pkey PRIMARY KEY (case_id, length, tenant_id),
    CONSTRAINT history_leaves_seal_fkey FOREIGN KEY (seal_id, tenant_id) REFERENCES csm.history_seals (id, tenant_id)
);
CREATE INDEX history_leaves_seal_idx ON csm.history_leaves (seal_id, case_id);
SELECT csm_private.adopt_table('csm.history_leaves');

CREATE POLICY history_seals_select ON csm.history_seals FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'internal', 'account_manage'));
CREATE POLICY history_leaves_select ON csm.history_leaves FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure') OR csm.all_in(tenant_id, 'internal', 'account_manage'));
GRANT SELECT ON csm.history_seals, csm.history_leaves TO csm_agent, csm_admin;

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

-- ---- the hashes, for SQL ----

CREATE FUNCTION csm_private.history_payload_hash(salt bytea, actor_name text, payload jsonb) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_payload_hash' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_payload_hash(bytea, text, jsonb) IS
'payload_hash of a link; NULL where salt or payload is null or the salt has another length than 16';

CREATE FUNCTION csm_private.history_link_hash(previous_hash bytea, id bigint, tenant_id bigint, case_id bigint, seq bigint,
    at timestamptz, action text, actor_id bigint, persona text, relation text, on_behalf_of bigint, audience text,
    payload_hash bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_link_hash' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea) IS
'hash of a link; NULL where a value is missing or a hash has another length than 32';

CREATE FUNCTION csm_private.history_leaf(tenant_id bigint, case_id bigint, length bigint, last_hash bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_leaf' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_leaf(bigint, bigint, bigint, bytea) IS 'Leaf of a seal';

CREATE FUNCTION csm_private.history_root(leaves bytea[]) RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_root' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_root(bytea[]) IS 'Merkle root over leaves in the order given; NULL for none';

CREATE FUNCTION csm_private.history_seal(previous_hash bytea, tenant_id bigint, seq bigint, at timestamptz, leaves bigint, root bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'csm_history_seal' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea) IS 'hash of a seal';

CREATE FUNCTION csm_private.case_payload(c csm.cases) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_case_payload' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.case_payload(csm.cases) IS
'The row as the payload of a first link: field -> [null, value] for what is tracked and not null';

CREATE FUNCTION csm_private.case_words(c csm.cases) RETURNS tsvector
AS 'MODULE_PATHNAME', 'csm_case_words' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION csm_private.case_words(csm.cases) IS 'csm.cases.search as it would be computed for the row';

CREATE FUNCTION csm_private.history() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_history' LANGUAGE c;
COMMENT ON FUNCTION csm_private.history() IS
'AFTER row trigger that writes csm.case_history; argument: case, entry, fields or attachment';

-- The one door in what is append-only.  No setting opens it and no role but the
-- owner can name these functions.
CREATE FUNCTION csm_private.begin_erasure(case_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_erasure' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_erasure(bigint) IS
'Announces that personal data in append-only rows of the case are erased: until end_erasure(), another announcement or the end of the transaction the columns that the triggers name may be changed, and no other';

CREATE FUNCTION csm_private.begin_erasures() RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_erasures' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.begin_erasures() IS
'The same for all cases, for append-only rows of none, and for the personal columns of csm.cases, whatever their state; guards of other tables stand aside';

CREATE FUNCTION csm_private.end_erasure() RETURNS void
AS 'MODULE_PATHNAME', 'csm_end_erasure' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm_private.end_erasure() IS 'Ends what begin_erasure() announced';

-- ---- as it was ----

CREATE FUNCTION csm.case_as_of(case_id bigint, at timestamptz) RETURNS SETOF csm.cases
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    r csm.cases;
    fields jsonb;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND is_system) THEN
        RETURN;
    END IF;
    SELECT jsonb_object_agg(f.key, f.value -> 1 ORDER BY h.seq) INTO fields
    FROM csm.case_history h CROSS JOIN LATERAL jsonb_each(h.payload) f
    WHERE h.case_id = c.id AND h.at <= case_as_of.at;
    IF fields IS NOT NULL THEN
        r := jsonb_populate_record(NULL::csm.cases, fields || jsonb_build_object('id', c.id, 'tenant_id', c.tenant_id));
        r.party_keys := csm_private.party_keys(r.partner_account_id, r.partner_contact_id, r.household_id, r.internal_contact_id,
            r.service_organization_id, r.counterparty_account_id, r.counterparty_contact_id);
        r.search := csm_private.case_words(r);
    ELSIF c.updated_at <= case_as_of.at
          AND NOT EXISTS (SELECT FROM csm.case_history h WHERE h.case_id = c.id) THEN
        -- loaded from a version without history, and not changed since
        r := c;
    ELSE
        RETURN;
    END IF;
    -- Nothing of a draft for the counterparty, of one that is past either.
    IF r.submitted_at IS NULL AND NOT (is_system OR csm_private.case_allows(r, 'case_read')) THEN
        RETURN;
    END IF;
    RETURN NEXT r;
END $$;
COMMENT ON FUNCTION csm.case_as_of(bigint, timestamptz) IS
'The row of a case as it was at that time, rebuilt from its history, for whoever sees the case now; search is computed with today''s text search configuration. No row for a hidden or missing case, before it existed, before it was imported, and, for the counterparty, while it was a draft. Fields of erased links are missing';

-- ---- seals ----

-- Ids of links are not taken in the order of commits: a link may be committed
-- after a seal that met a greater id.  So a seal looks again at what the one
-- before it looked at, from covered_to on, and moves covered_to up to that
-- one's scanned_to only when every transaction has ended that ran then.
CREATE FUNCTION csm_private.seal_history(tenant_id bigint, at_most bigint DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last csm.history_seals;
    seal csm.history_seals;
    cases bigint[];
    lengths bigint[];
    hashes bytea[];
    tree bytea[];
    links bigint;
    reached bigint;
    oldest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('csm.history_seals ' || tenant_id, 0));
    SELECT * INTO last FROM csm.history_seals s WHERE s.tenant_id = tenant_id ORDER BY s.seq DESC LIMIT 1;

    -- One statement, one snapshot.
    WITH fresh AS (
        SELECT h.id, h.case_id, h.seq
        FROM csm.case_history h
        WHERE h.tenant_id = tenant_id AND h.id > coalesce(last.covered_to, 0)
          AND NOT EXISTS (SELECT FROM csm.history_leaves l
                          WHERE l.case_id = h.case_id AND l.tenant_id = h.tenant_id AND l.length >= h.seq)
        ORDER BY h.id LIMIT at_most
    ), leaf AS (
        SELECT h.case_id, h.seq AS length, h.hash
        FROM (SELECT f.case_id, max(f.seq) AS seq FROM fresh f GROUP BY f.case_id) m
        JOIN csm.case_history h ON h.case_id = m.case_id AND h.seq = m.seq
    )
    SELECT array_agg(l.case_id ORDER BY l.case_id), array_agg(l.length ORDER BY l.case_id), array_agg(l.hash ORDER BY l.case_id),
           array_agg(csm_private.history_leaf(tenant_id, l.case_id, l.length, l.hash) ORDER BY l.case_id),
           (SELECT count(*) FROM fresh), (SELECT max(f.id) FROM fresh f),
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
      INTO cases, lengths, hashes, tree, links, reached, oldest, seal.horizon
    FROM leaf l;
    IF links = 0 THEN
        RETURN 0;
    END IF;

    seal.covered_to := CASE WHEN last.horizon <= oldest OR last.horizon > seal.horizon THEN least(last.scanned_to, reached)
                            ELSE coalesce(last.covered_to, 0) END;
    seal.scanned_to := CASE WHEN links < at_most THEN greatest(reached, last.scanned_to) ELSE reached END;
    seal.seq := coalesce(last.seq, 0) + 1;
    seal.at := clock_timestamp();
    seal.leaves := cardinality(cases);
    seal.root := csm_private.history_root(tree);
    INSERT INTO csm.history_seals (tenant_id, seq, at, leaves, root, previous_hash, hash, covered_to, scanned_to, horizon)
    VALUES (tenant_id, seal.seq, seal.at, seal.leaves, seal.root, last.hash,
            csm_private.history_seal(last.hash, tenant_id, seal.seq, seal.at, seal.leaves, seal.root),
            seal.covered_to, seal.scanned_to, seal.horizon)
    RETURNING id INTO seal.id;
    INSERT INTO csm.history_leaves (tenant_id, seal_id, case_id, length, last_hash)
    SELECT tenant_id, seal.id, u.case_id, u.length, u.hash FROM unnest(cases, lengths, hashes) AS u(case_id, length, hash);
    RETURN links;
END $$;
COMMENT ON FUNCTION csm_private.seal_history(bigint, bigint) IS
'Seals what has been committed of a tenant''s history since the last seal, at most that many links; returns how many. No new link, no seal';

CREATE FUNCTION csm_private.due_seal(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch CONSTANT bigint := 100000;
    minutes integer;
    links bigint;
BEGIN
    SELECT coalesce((t.settings ->> 'seal_minutes')::integer, 60) INTO minutes FROM csm.tenants t WHERE t.id = due_seal.tenant_id;
    links := csm_private.seal_history(due_seal.tenant_id, batch);
    PERFORM csm_private.set_timer(due_seal.tenant_id, 'seal', due_seal.object_id, NULL,
        due_seal.at + CASE WHEN links < batch THEN minutes * interval '1 minute' ELSE interval '0' END);
END $$;
COMMENT ON FUNCTION csm_private.due_seal(bigint, bigint, timestamptz) IS
'Handler of timers of kind seal, one a tenant: seals, and comes again after the tenant''s setting seal_minutes (60 by default), at once where links were left over';

CREATE FUNCTION csm_private.begin_seals() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.set_timer(NEW.id, 'seal', NEW.id, NULL, clock_timestamp() + interval '1 hour');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_seals() IS 'Trigger of csm.tenants: the first timer of kind seal';

-- ---- what was changed behind csm's back ----

-- Of each link what is wrong with it, NULL where nothing is.
CREATE FUNCTION csm_private.history_link_problems(only_tenant bigint, only_case bigint)
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
COMMENT ON FUNCTION csm_private.history_link_problems(bigint, bigint) IS
'Every link with what is wrong with it or with the entry it speaks of, NULL where nothing is; of one tenant or case, NULL for all';

-- Of each case, whether it still is what its history says.  A history of which
-- something was erased cannot tell.
CREATE FUNCTION csm_private.history_case_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH told AS (
        SELECT h.case_id, h.tenant_id, bool_or(h.payload IS NULL) AS erased,
               jsonb_object_agg(f.key, jsonb_build_array(NULL, f.value -> 1) ORDER BY h.seq)
                   FILTER (WHERE strpos(f.key, '.') = 0) AS fields
        FROM csm.case_history h LEFT JOIN LATERAL jsonb_each(h.payload) f ON true
        WHERE (only_tenant IS NULL OR h.tenant_id = only_tenant) AND (only_case IS NULL OR h.case_id = only_case)
        GROUP BY h.case_id, h.tenant_id
    )
    SELECT t.case_id, 'case is missing'
    FROM told t
    WHERE NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = t.case_id AND c.tenant_id = t.tenant_id)
  UNION ALL
    SELECT c.id, 'case differs from its history in ' || d.fields
    FROM told t JOIN csm.cases c ON c.id = t.case_id AND c.tenant_id = t.tenant_id
    CROSS JOIN LATERAL (
        SELECT string_agg(coalesce(w.key, i.key), ', ' ORDER BY coalesce(w.key, i.key)) AS fields
        FROM jsonb_each(t.fields) w FULL JOIN jsonb_each(csm_private.case_payload(c)) i ON i.key = w.key
        WHERE coalesce(w.value -> 1, 'null') IS DISTINCT FROM coalesce(i.value -> 1, 'null')) d
    WHERE NOT t.erased AND d.fields IS NOT NULL
  UNION ALL
    -- Cases loaded from a version without history are older than any with one.
    SELECT c.id, 'case has no history'
    FROM csm.cases c
    WHERE (only_tenant IS NULL OR c.tenant_id = only_tenant) AND (only_case IS NULL OR c.id = only_case)
      AND c.id > (SELECT min(h.case_id) FROM csm.case_history h WHERE h.seq = 1 AND h.action = 'open')
      AND NOT EXISTS (SELECT FROM csm.case_history h WHERE h.case_id = c.id)
$$;
COMMENT ON FUNCTION csm_private.history_case_problems(bigint, bigint) IS
'Cases that are missing, differ from what their history says, or have none though younger ones do; of one tenant or case, NULL for all';

CREATE FUNCTION csm_private.history_seal_problems(only_tenant bigint, only_case bigint)
RETURNS TABLE (case_id bigint, seq bigint, what text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.case_id, l.length,
           CASE WHEN NOT EXISTS (SELECT FROM csm.case_history x WHERE x.case_id = l.case_id) THEN 'all links of the case are missing'
                WHEN h.id IS NULL THEN 'link is missing, and all after it'
                ELSE 'link is not the one that was sealed' END
    FROM csm.history_leaves l LEFT JOIN csm.case_history h ON h.case_id = l.case_id AND h.seq = l.length AND h.tenant_id = l.tenant_id
    WHERE (only_tenant IS NULL OR l.tenant_id = only_tenant) AND (only_case IS NULL OR l.case_id = only_case)
      AND h.hash IS DISTINCT FROM l.last_hash
  UNION ALL
    SELECT NULL, NULL,
           CASE WHEN s.seq <> coalesce(s.seq_before, 0) + 1 THEN format('seal %s is missing', coalesce(s.seq_before, 0) + 1)
                WHEN s.previous_hash IS DISTINCT FROM s.hash_before
                     OR s.hash IS DISTINCT FROM csm_private.history_seal(s.previous_hash, s.tenant_id, s.seq, s.at, s.leaves, s.root)
                THEN format('seal %s was changed', s.seq)
                ELSE format('leaves of seal %s were changed', s.seq) END
    FROM (SELECT x.*, lag(x.seq) OVER chain AS seq_before, lag(x.hash) OVER chain AS hash_before
          FROM csm.history_seals x
          WHERE (only_tenant IS NULL OR x.tenant_id = only_tenant) AND only_case IS NULL
          WINDOW chain AS (PARTITION BY x.tenant_id ORDER BY x.seq)) s
    CROSS JOIN LATERAL (
        SELECT count(*) AS leaves,
               csm_private.history_root(array_agg(csm_private.history_leaf(l.tenant_id, l.case_id, l.length, l.last_hash)
                                                  ORDER BY l.case_id)) AS root
        FROM csm.history_leaves l WHERE l.seal_id = s.id AND l.tenant_id = s.tenant_id) t
    WHERE s.seq <> coalesce(s.seq_before, 0) + 1
       OR s.previous_hash IS DISTINCT FROM s.hash_before
       OR s.hash IS DISTINCT FROM csm_private.history_seal(s.previous_hash, s.tenant_id, s.seq, s.at, s.leaves, s.root)
       OR (s.leaves, s.root) IS DISTINCT FROM (t.leaves, t.root)
$$;
COMMENT ON FUNCTION csm_private.history_seal_problems(bigint, bigint) IS
'Seals that were changed or removed, and sealed links that are missing or others; of one tenant or case, NULL for all';

CREATE FUNCTION csm.verify_history(case_id bigint DEFAULT NULL)
RETURNS TABLE (intact boolean, links bigint, erased bigint, unsealed bigint, seals bigint,
               broken_case_id bigint, broken_seq bigint, what text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
BEGIN
    IF NOT is_system AND NOT coalesce(csm.all_in(tenant, 'internal', 'configure')
                                      OR csm.all_in(tenant, 'internal', 'account_manage'), false) THEN
        RAISE EXCEPTION 'permission denied to verify the history' USING ERRCODE = '42501',
            HINT = 'Administrators do, and managers with reach all.';
    END IF;
    IF verify_history.case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = verify_history.case_id;
        IF NOT is_system AND c.tenant_id IS DISTINCT FROM tenant
           AND NOT EXISTS (SELECT FROM csm.history_leaves l WHERE l.case_id = verify_history.case_id AND l.tenant_id = tenant) THEN
            RAISE EXCEPTION 'case % does not exist', verify_history.case_id USING ERRCODE = 'SM001',
                HINT = 'A case that you may not see is reported in the same way.';
        END IF;
    END IF;

    WITH link AS MATERIALIZED (
        SELECT p.* FROM csm_private.history_link_problems(tenant, verify_history.case_id) p
    ), problem AS (
        SELECT l.case_id, l.seq, l.what, 1 AS rank FROM link l WHERE l.what IS NOT NULL
      UNION ALL
        SELECT p.case_id, p.seq, p.what, 2 FROM csm_private.history_seal_problems(tenant, verify_history.case_id) p
      UNION ALL
        SELECT p.case_id, p.seq, p.what, 3 FROM csm_private.attachment_problems(tenant, verify_history.case_id) p
      UNION ALL
        SELECT p.case_id, NULL, p.what, 4 FROM csm_private.history_case_problems(tenant, verify_history.case_id) p
    ), first AS (
        SELECT p.* FROM problem p ORDER BY p.case_id NULLS LAST, p.seq NULLS LAST, p.rank LIMIT 1
    )
    SELECT NOT EXISTS (SELECT FROM first), count(*), count(*) FILTER (WHERE l.erased),
           count(*) FILTER (WHERE l.seq > coalesce(s.length, 0)),
           (SELECT f.case_id FROM first f), (SELECT f.seq FROM first f), (SELECT f.what FROM first f)
      INTO intact, links, erased, unsealed, broken_case_id, broken_seq, what
    FROM link l
    LEFT JOIN (SELECT v.case_id, max(v.length) AS length FROM csm.history_leaves v GROUP BY v.case_id) s ON s.case_id = l.case_id;
    SELECT count(*) INTO seals FROM csm.history_seals s WHERE tenant IS NULL OR s.tenant_id = tenant;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION csm.verify_history(bigint) IS
'Reads the history of the caller''s tenant (without identity: of all tenants), or of one case, and compares it with its hashes, its seals, the entries, attachments and cases as they are. Always one row: intact; links read, of these erased and not yet sealed; seals; and of the first broken row the case, the place in its chain, and what is wrong (case NULL: a seal). For administrators, and managers with reach all; errors: 42501, SM001';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.history_payload_hash(bytea, text, jsonb)',
        'csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea)',
        'csm_private.history_leaf(bigint, bigint, bigint, bytea)',
        'csm_private.history_root(bytea[])',
        'csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea)',
        'csm_private.case_payload(csm.cases)',
        'csm_private.case_words(csm.cases)',
        'csm_private.history()',
        'csm_private.begin_erasure(bigint)',
        'csm_private.begin_erasures()',
        'csm_private.end_erasure()',
        'csm.case_as_of(bigint, timestamptz)',
        'csm_private.seal_history(bigint, bigint)',
        'csm_private.due_seal(bigint, bigint, timestamptz)',
        'csm_private.begin_seals()',
        'csm_private.history_link_problems(bigint, bigint)',
        'csm_private.history_case_problems(bigint, bigint)',
        'csm_private.history_seal_problems(bigint, bigint)',
        'csm.verify_history(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.case_as_of(bigint, timestamptz) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.verify_history(bigint) TO csm_agent, csm_admin;

CREATE TRIGGER cases_30_history AFTER INSERT OR UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('case');
CREATE TRIGGER case_entries_30_history AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('entry');
CREATE TRIGGER case_internal_30_history AFTER INSERT OR UPDATE OR DELETE ON csm.case_internal
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('fields');
CREATE TRIGGER case_side_fields_30_history AFTER INSERT OR UPDATE OR DELETE ON csm.case_side_fields
    FOR EACH ROW EXECUTE FUNCTION csm_private.history('fields');
CREATE TRIGGER tenants_30_seals AFTER INSERT ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_seals();

CREATE TRIGGER case_history_10_append_only BEFORE UPDATE OR DELETE ON csm.case_history
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('actor_name', 'payload', 'salt');
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{history_seals,history_leaves}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only BEFORE UPDATE OR DELETE ON csm.%1$s '
                       'FOR EACH ROW EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
    FOREACH t IN ARRAY '{case_history,history_seals,history_leaves}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %1$s_10_append_only_truncate BEFORE TRUNCATE ON csm.%1$s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only()', t);
    END LOOP;
END $$;
