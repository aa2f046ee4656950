-- Major cases (R B32, C21): one case for what strikes many customers.
--
-- A case is proposed as a candidate; a manager accepts it, and a new major case
-- is made whose child it becomes. A major case has no customer: its branch is
-- internal. Each recipient of a list gets a child case of his own. What happens
-- to the major case afterwards is written down once (major_changes) and reaches
-- each child through a timer of its own, under that child's lock alone, so that
-- 100,000 children are neither locked nor written by whoever works on the major
-- case. Each child remembers up to where it has followed.
--
-- Locks go from parent to child, never back.

CREATE TABLE csm.case_children (
    parent_id bigint NOT NULL,
    case_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    created boolean NOT NULL DEFAULT false,
    followed bigint NOT NULL DEFAULT 0,
    CONSTRAINT case_children_pkey PRIMARY KEY (parent_id, case_id, tenant_id),
    CONSTRAINT case_children_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_children_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_children_recipient_check CHECK (num_nonnulls(account_id, user_id) <= 1)
);
-- A recipient gets one child of a major case, however many run
-- csm.create_children() at once and at whatever isolation.
CREATE UNIQUE INDEX case_children_account_idx ON csm.case_children (parent_id, account_id) WHERE created AND account_id IS NOT NULL;
CREATE UNIQUE INDEX case_children_user_idx ON csm.case_children (parent_id, user_id) WHERE created AND user_id IS NOT NULL;
CREATE INDEX case_children_case_idx ON csm.case_children (case_id);
SELECT csm_private.adopt_table('csm.case_children');

CREATE TABLE csm.major_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    fields text[] NOT NULL DEFAULT '{}',
    entry_id bigint,
    closes boolean NOT NULL DEFAULT false,
    CONSTRAINT major_changes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT major_changes_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT major_changes_entry_fkey FOREIGN KEY (entry_id, tenant_id) REFERENCES csm.case_entries (id, tenant_id),
    CONSTRAINT major_changes_fields_check CHECK (fields <@ '{priority,resolution_code,resolution_notes}'::text[])
);
CREATE INDEX major_changes_case_idx ON csm.major_changes (case_id, id);
SELECT csm_private.adopt_table('csm.major_changes');

CREATE POLICY case_children_select ON csm.case_children FOR SELECT TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_children.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY major_changes_select ON csm.major_changes FOR SELECT TO csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = major_changes.tenant_id
                   AND csm_private.case_allows(c, 'case_work')));
GRANT SELECT ON csm.case_children, csm.major_changes TO csm_agent;

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

-- ---- passing down ----

-- Sync is off by default. csm.tenants.settings: {"major": {"sync": true,
-- "fields": [...], "recursive": true}}.
CREATE FUNCTION csm_private.major_fields(tenant_id bigint) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN (m.major -> 'sync') = 'true'
                THEN coalesce((SELECT array_agg(f) FROM jsonb_array_elements_text(m.major -> 'fields') f),
                              '{priority,comments,work_notes,resolution_code,resolution_notes}')
                ELSE '{}' END
    FROM (SELECT t.settings -> 'major' AS major FROM csm.tenants t WHERE t.id = major_fields.tenant_id) m);
END $$;

CREATE FUNCTION csm_private.major_recursive(tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(t.settings -> 'major' -> 'recursive' = 'true', false) FROM csm.tenants t WHERE t.id = major_recursive.tenant_id);
END $$;

-- The parent is locked. A timer that is there already is moved, not left alone:
-- its runner may have looked before this change.
CREATE FUNCTION csm_private.pass_down(tenant_id bigint, case_id bigint, fields text[], entry_id bigint, closes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO csm.major_changes (tenant_id, case_id, fields, entry_id, closes)
    VALUES (tenant_id, case_id, fields, entry_id, closes);
    INSERT INTO csm.timers AS t (tenant_id, kind, object_id, case_id, due_at)
    SELECT c.tenant_id, 'follow_parent', c.id, c.id, clock_timestamp()
    FROM csm.case_children k JOIN csm.cases c ON c.id = k.case_id AND c.tenant_id = k.tenant_id
    -- not by "=", which could make the planner read all children for each of them
    WHERE k.parent_id = pass_down.case_id AND k.tenant_id = pass_down.tenant_id AND c.parent_id IS NOT DISTINCT FROM k.parent_id
      AND c.state_class NOT IN ('closed', 'cancelled')
    ORDER BY c.id
    ON CONFLICT ON CONSTRAINT timers_pkey DO UPDATE SET due_at = excluded.due_at, attempts = 0, error = NULL;
END $$;

-- Called by the trigger of csm.cases (src/csm_case_follow.c): columns that
-- changed, and whether the major case was closed.
CREATE FUNCTION csm_private.major_changed(tenant_id bigint, case_id bigint, changed text[], closes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    passed CONSTANT text[] := ARRAY(SELECT f FROM unnest(changed) f WHERE f = ANY (csm_private.major_fields(tenant_id)));
BEGIN
    IF closes OR cardinality(passed) > 0 THEN
        PERFORM csm_private.pass_down(tenant_id, case_id, passed, NULL, closes);
    END IF;
END $$;

-- An entry of a major case.  The guard of csm.cases sees to the attention that a
-- work note on a child calls.
CREATE FUNCTION csm_private.family_entry(tenant_id bigint, case_id bigint, entry_id bigint, visibility text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id AND x.tenant_id = family_entry.tenant_id;
    IF c.major_state = 'accepted' AND c.state_class NOT IN ('closed', 'cancelled')
       AND (CASE visibility WHEN 'shared' THEN 'comments' WHEN 'internal' THEN 'work_notes' ELSE '' END) = ANY (csm_private.major_fields(tenant_id)) THEN
        PERFORM csm_private.pass_down(tenant_id, case_id, '{}', entry_id, false);
    END IF;
END $$;
CREATE FUNCTION csm_private.entry_family() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_entry_family' LANGUAGE c;
-- After case_entries_20_effects, which locks the case.
CREATE TRIGGER case_entries_80_family AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_family();

-- The key names the first of the copies, so that parents in a circle copy
-- nothing for ever.
CREATE FUNCTION csm_private.copy_entry(children bigint[], e csm.case_entries) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    copy_of CONSTANT text := CASE WHEN e.idempotency_key ~ '^parent:[0-9]+$' AND e.author_id IS NULL THEN e.idempotency_key
                                  ELSE 'parent:' || e.id END;
    -- children whose entry is the first of them get none
    receiving CONSTANT bigint[] := ARRAY(
        SELECT c FROM unnest(children) c
        WHERE NOT EXISTS (SELECT FROM csm.case_entries x WHERE x.case_id = c AND x.author_id IS NULL AND x.idempotency_key = copy_of)
          AND NOT EXISTS (SELECT FROM csm.case_entries x WHERE x.id = split_part(copy_of, ':', 2)::bigint AND x.case_id = c)
        ORDER BY c);
BEGIN
    PERFORM csm_private.begin_notes(receiving);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
    SELECT e.tenant_id, c, e.body, e.visibility, copy_of FROM unnest(receiving) c;
    PERFORM csm_private.end_many();
    RETURN receiving;
END $$;

-- Children of one parent, locked, that are behind by the same changes: each kind
-- of write is one statement for all of them. "relays": there is one child, and it
-- passes on what it takes over.
CREATE FUNCTION csm_private.follow_parent(tenant_id bigint, parent_id bigint, followed bigint, children bigint[], relays boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.cases;
    missed record;
    e csm.case_entries;
    changed text[];
    writing bigint[];
    noted bigint[] := '{}'::bigint[];
BEGIN
    SELECT max(m.id) AS last, coalesce(bool_or(m.closes), false) AS closes,
           coalesce(array_agg(m.entry_id ORDER BY m.id) FILTER (WHERE m.entry_id IS NOT NULL), '{}') AS entries,
           string_to_array(string_agg(array_to_string(m.fields, ','), ',') FILTER (WHERE m.fields <> '{}'), ',') AS fields
      INTO missed FROM csm.major_changes m
     WHERE m.case_id = follow_parent.parent_id AND m.tenant_id = follow_parent.tenant_id AND m.id > follow_parent.followed;
    IF missed.last IS NULL THEN
        RETURN;
    END IF;
    -- not by "=", which could make the planner read all children of the parent
    UPDATE csm.case_children x SET followed = missed.last
    WHERE x.case_id = ANY (children) AND x.parent_id IS NOT DISTINCT FROM follow_parent.parent_id AND x.tenant_id = follow_parent.tenant_id;
    SELECT * INTO p FROM csm.cases x WHERE x.id = parent_id AND x.tenant_id = follow_parent.tenant_id;
    children := ARRAY(SELECT x.id FROM csm.cases x
                      WHERE x.id = ANY (children) AND x.state_class NOT IN ('resolved', 'closed', 'cancelled') ORDER BY x.id);
    IF children = '{}' THEN
        RETURN;
    END IF;

    IF missed.fields IS NOT NULL THEN
        SELECT array_agg(DISTINCT x.id), array_agg(DISTINCT f) INTO writing, changed
        FROM csm.cases x CROSS JOIN unnest(missed.fields) f
        WHERE x.id = ANY (children)
          AND CASE f WHEN 'priority' THEN x.priority <> p.priority
                     WHEN 'resolution_code' THEN x.resolution_code IS DISTINCT FROM p.resolution_code
                     WHEN 'resolution_notes' THEN x.resolution_notes IS DISTINCT FROM p.resolution_notes
                     ELSE false END;
        IF writing IS NOT NULL THEN
            PERFORM csm_private.begin_systems(writing);
            UPDATE csm.cases x SET
                priority = CASE WHEN 'priority' = ANY (changed) THEN p.priority ELSE x.priority END,
                resolution_code = CASE WHEN 'resolution_code' = ANY (changed) THEN p.resolution_code ELSE x.resolution_code END,
                resolution_notes = CASE WHEN 'resolution_notes' = ANY (changed) THEN p.resolution_notes ELSE x.resolution_notes END
            WHERE x.id = ANY (writing);
            PERFORM csm_private.end_many();
            IF relays THEN
                PERFORM csm_private.pass_down(tenant_id, children[1], changed, NULL, false);
            END IF;
        END IF;
    END IF;
    FOR e IN SELECT x.* FROM unnest(missed.entries) WITH ORDINALITY AS m(id, n)
             JOIN csm.case_entries x ON x.id = m.id AND x.tenant_id = follow_parent.tenant_id ORDER BY m.n LOOP
        writing := csm_private.copy_entry(children, e);
        IF e.visibility = 'internal' THEN
            noted := noted || writing;
        END IF;
        IF relays AND writing <> '{}' THEN
            PERFORM csm_private.pass_down(tenant_id, children[1], '{}', (SELECT max(x.id) FROM csm.case_entries x WHERE x.case_id = children[1]), false);
        END IF;
    END LOOP;
    -- R 2.5: a work note has landed on a child of a major case.
    writing := ARRAY(SELECT x.id FROM csm.cases x WHERE x.id = ANY (noted) AND NOT x.needs_attention ORDER BY x.id);
    IF writing <> '{}' THEN
        PERFORM csm_private.begin_systems(writing);
        UPDATE csm.cases x SET needs_attention = true WHERE x.id = ANY (writing);
        PERFORM csm_private.end_many();
    END IF;
    writing := ARRAY(SELECT x.id FROM csm.cases x WHERE x.id = ANY (children) AND x.state_class <> 'draft' ORDER BY x.id);
    IF missed.closes AND writing <> '{}' THEN
        PERFORM csm_private.begin_acts(writing, 'close_with_parent');
        UPDATE csm.cases x SET resolution_code = coalesce(p.resolution_code, x.resolution_code),
            resolution_notes = coalesce(p.resolution_notes, x.resolution_notes)
        WHERE x.id = ANY (writing);
        PERFORM csm_private.say_as_system_to_all(writing, 'major_text',
            'The cause that this case has in common with others was dealt with; it is closed with them.');
        IF relays THEN
            PERFORM csm_private.pass_down(tenant_id, children[1], '{}', NULL, true);
        END IF;
    END IF;
END $$;

CREATE FUNCTION csm_private.has_children(case_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_has_children' LANGUAGE c STABLE STRICT;

-- run_due has locked the cases. A child that is a major case itself passes on by
-- its own triggers.
CREATE FUNCTION csm_private.due_follow_parent(case_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g record;
BEGIN
    FOR g IN
        WITH child AS (
            SELECT k.tenant_id, k.parent_id, k.followed, c.id,
                   c.major_state IS DISTINCT FROM 'accepted'
                   AND csm_private.major_recursive(c.tenant_id) AND csm_private.has_children(c.id) AS relays
            FROM unnest(case_ids) u JOIN csm.cases c ON c.id = u
            JOIN csm.case_children k ON k.case_id = c.id AND k.parent_id IS NOT DISTINCT FROM c.parent_id AND k.tenant_id = c.tenant_id
        )
        SELECT h.tenant_id, h.parent_id, h.followed, h.relays, array_agg(h.id ORDER BY h.id) AS children
        FROM child h GROUP BY h.tenant_id, h.parent_id, h.followed, h.relays, CASE WHEN h.relays THEN h.id END
        ORDER BY min(h.id)
    LOOP
        PERFORM csm_private.follow_parent(g.tenant_id, g.parent_id, g.followed, g.children, g.relays);
    END LOOP;
END $$;

-- ---- candidates ----

-- The case, locked, for staff who work on it; as manager where that is asked.
CREATE FUNCTION csm_private.take_candidate(case_id bigint, manager boolean) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT csm_private.case_actors(c) && ARRAY['system', (CASE WHEN manager THEN 'manager' ELSE 'agent' END)] THEN
        RAISE EXCEPTION 'case % is not yours to handle as a major case', c.number USING ERRCODE = '42501',
            HINT = CASE WHEN manager THEN 'That is for managers: case_work and account_manage.' ELSE 'That is for staff who work on it.' END;
    END IF;
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004', DETAIL = format('Its state is "%s".', c.state);
    END IF;
    RETURN c;
END $$;

-- What became of a candidate, with a work note and an event.
CREATE FUNCTION csm_private.set_major_state(c csm.cases, major_state text, note text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM csm_private.begin_system(c.id);
    UPDATE csm.cases x SET major_state = set_major_state.major_state WHERE x.id = c.id AND x.tenant_id = c.tenant_id RETURNING * INTO c;
    PERFORM csm_private.begin_note(c.id, csm.current_user_id() IS NULL);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility)
    VALUES (c.tenant_id, c.id, format('Major case %s', major_state) || coalesce(': ' || note, '.'), 'internal');
    PERFORM csm_private.emit(c.tenant_id, c.id, 'major_' || major_state, '{}', 'internal');
    RETURN c;
END $$;

CREATE FUNCTION csm.propose_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, false);
BEGIN
    IF c.state_class NOT IN ('new', 'open', 'waiting') OR c.major_state IN ('proposed', 'accepted')
       OR c.counterparty_account_id IS NOT NULL THEN
        RAISE EXCEPTION 'case % cannot be proposed as a major case', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s", as a major case it is %s.', c.state, coalesce(c.major_state, 'nothing yet')),
            HINT = 'A candidate is new, open or waiting, neither proposed nor accepted before, and no dispute.';
    END IF;
    RETURN csm_private.set_major_state(c, 'proposed', note);
END $$;

CREATE FUNCTION csm.reject_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, true);
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' THEN
        RAISE EXCEPTION 'case % is not proposed as a major case', c.number USING ERRCODE = 'SM002';
    END IF;
    RETURN csm_private.set_major_state(c, 'rejected', note);
END $$;

CREATE FUNCTION csm.cancel_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, false);
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' THEN
        RAISE EXCEPTION 'case % is not proposed as a major case', c.number USING ERRCODE = 'SM002';
    END IF;
    RETURN csm_private.set_major_state(c, 'cancelled', note);
END $$;

-- Without a customer: the branch is internal and the requester whoever opens it.
CREATE FUNCTION csm_private.open_major(tenant_id bigint, subject text, description text, case_type text, priority integer,
    product_id bigint, attributes jsonb, owner_id bigint) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    IF owner_id IS NULL THEN
        RAISE EXCEPTION 'a major case needs somebody who is responsible for it' USING ERRCODE = '22004',
            DETAIL = 'Nobody is signed in.', HINT = 'Sign in as a manager.';
    END IF;
    INSERT INTO csm.cases (tenant_id, branch, requester_id, case_type, subject, description, priority, product_id, attributes,
                           channel, major_state)
    VALUES (tenant_id, 'internal', owner_id, case_type, subject, description, priority, product_id, attributes,
            'internal', 'accepted')
    RETURNING * INTO c;
    PERFORM csm_private.emit(tenant_id, c.id, 'major_accepted', '{}', 'internal');
    RETURN c;
END $$;

CREATE FUNCTION csm.open_major(subject text, description text DEFAULT NULL, case_type text DEFAULT 'case',
    priority integer DEFAULT NULL, product_id bigint DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (coalesce(csm.all_in(csm.current_tenant_id(), 'internal', 'account_manage'), false)
            AND coalesce(csm.all_in(csm.current_tenant_id(), 'internal', 'case_work'), false)) THEN
        RAISE EXCEPTION 'permission denied to open a major case' USING ERRCODE = '42501',
            HINT = 'That is for managers: case_work and account_manage in the branch internal.';
    END IF;
    IF product_id IS NOT NULL AND NOT EXISTS (SELECT FROM csm.products p WHERE p.id = open_major.product_id
                                              AND p.tenant_id = csm.current_tenant_id()) THEN
        RAISE EXCEPTION 'there is no product %', product_id USING ERRCODE = '22023', HINT = 'Name a csm.products.id.';
    END IF;
    RETURN csm_private.open_major(csm.current_tenant_id(), subject, description, case_type, priority, product_id, '{}',
                                  csm.current_user_id());
END $$;

CREATE FUNCTION csm.accept_major(case_id bigint, note text DEFAULT NULL) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases := csm_private.take_candidate(case_id, true);
    major csm.cases;
BEGIN
    IF c.major_state IS DISTINCT FROM 'proposed' OR c.state_class NOT IN ('new', 'open', 'waiting') THEN
        RAISE EXCEPTION 'case % cannot be accepted as a major case', c.number USING ERRCODE = 'SM002',
            DETAIL = format('Its state is "%s", as a major case it is %s.', c.state, coalesce(c.major_state, 'nothing yet')),
            HINT = 'It must be proposed, and new, open or waiting.';
    END IF;
    major := csm_private.open_major(c.tenant_id, c.subject, c.description, c.case_type, c.priority, c.product_id, c.attributes,
                                    coalesce(csm.current_user_id(), c.assigned_to));
    PERFORM csm_private.begin_system(c.id);
    UPDATE csm.cases x SET parent_id = major.id, major_state = NULL WHERE x.id = c.id AND x.tenant_id = c.tenant_id;
    PERFORM csm_private.begin_note(c.id, csm.current_user_id() IS NULL);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility)
    VALUES (c.tenant_id, c.id, format('Child of major case %s', major.number) || coalesce(': ' || note, '.'), 'internal');
    RETURN major;
END $$;

-- ---- children for recipients ----

CREATE FUNCTION csm.create_children(major_case_id bigint, list_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most CONSTANT integer := 100000;
    m csm.cases := csm_private.take_candidate(major_case_id, true);
    recipients bigint;
    made bigint;
BEGIN
    -- The lock of the major case lets one at a time create children for it.
    SELECT count(*) INTO recipients FROM csm.recipients r WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id;
    IF m.major_state IS DISTINCT FROM 'accepted' THEN
        RAISE EXCEPTION 'case % is not a major case', m.number USING ERRCODE = 'SM002', HINT = 'Propose and accept one first.';
    ELSIF NOT EXISTS (SELECT FROM csm.recipient_lists l WHERE l.id = create_children.list_id AND l.tenant_id = m.tenant_id) THEN
        RAISE EXCEPTION 'there is no recipient list %', coalesce(list_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Choose one of csm.recipient_lists.';
    ELSIF recipients > most THEN
        RAISE EXCEPTION 'recipient list % is too long', list_id USING ERRCODE = '54000',
            DETAIL = format('It has %s recipients; a list has at most %s.', recipients, most), HINT = 'Split it.';
    END IF;
    -- contacts stand for their account: one child, asked for by one of them
    WITH recipient AS (
        SELECT r.account_id, CASE WHEN r.account_id IS NULL THEN r.user_id END AS user_id, min(r.id) AS id,
               array_agg(r.user_id) FILTER (WHERE r.account_id IS NOT NULL AND r.user_id IS NOT NULL) AS contacts
        FROM csm.recipients r WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id
        GROUP BY 1, 2
    ), new_cases AS (
        INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, case_type, subject, description, priority,
                               product_id, attributes, language, channel, parent_id)
        SELECT m.tenant_id, CASE WHEN r.account_id IS NOT NULL THEN 'b2b' WHEN u.user_id IS NOT NULL THEN 'b2c' ELSE 'internal' END,
               coalesce(r.user_id, k.user_id, m.requester_id), r.account_id, m.case_type, m.subject, m.description, m.priority,
               m.product_id, m.attributes, m.language, 'internal', m.id
        FROM recipient r
        LEFT JOIN csm.consumers u ON u.user_id = r.user_id AND u.tenant_id = m.tenant_id
        -- who manages the account's cases before its other contacts; where there is nobody, the major case's own requester
        LEFT JOIN LATERAL (SELECT x.user_id FROM csm.contacts x
                           WHERE x.account_id = r.account_id AND x.tenant_id = m.tenant_id AND x.login_enabled
                             AND (x.valid_during IS NULL OR x.valid_during @> statement_timestamp())
                             AND (r.contacts IS NULL OR x.user_id = ANY (r.contacts))
                           ORDER BY x.role NOT IN ('customer_admin', 'case_manager', 'partner_admin'), x.id LIMIT 1) k ON true
        WHERE (r.contacts IS NULL OR k.user_id IS NOT NULL)
          -- NOT IN is hashed whatever the statistics say, which know nothing of children made a moment ago
          AND (r.account_id IS NULL OR r.account_id NOT IN (SELECT x.account_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.account_id IS NOT NULL))
          AND (r.user_id IS NULL OR r.user_id NOT IN (SELECT x.user_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.user_id IS NOT NULL))
        ORDER BY r.id
        RETURNING id, tenant_id, account_id, requester_id
    ), linked AS (
        INSERT INTO csm.case_children (parent_id, case_id, tenant_id, account_id, user_id, created, followed)
        SELECT m.id, n.id, n.tenant_id, n.account_id, CASE WHEN n.account_id IS NULL THEN n.requester_id END, true,
               coalesce((SELECT max(x.id) FROM csm.major_changes x WHERE x.case_id = m.id), 0)
        FROM new_cases n
        RETURNING 1
    )
    SELECT count(*) INTO made FROM linked;
    IF made > 0 THEN
        PERFORM csm_private.emit(m.tenant_id, m.id, 'children_created', jsonb_build_object('created', made, 'list_id', list_id), 'internal');
    END IF;
    RETURN made;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.major_fields(bigint)', NULL, 'What children take over from a major case, by tenants.settings: priority, resolution_code, resolution_notes, comments, work_notes; empty while sync is off'),
        ('csm_private.major_recursive(bigint)', NULL, 'Whether children pass on to their own children what they take over'),
        ('csm_private.pass_down(bigint, bigint, text[], bigint, boolean)', NULL, 'Writes down what the children of a locked case have to follow, and sets their timers'),
        ('csm_private.major_changed(bigint, bigint, text[], boolean)', NULL, 'What children of a major case have to follow, as far as the tenant wants it'),
        ('csm_private.family_entry(bigint, bigint, bigint, text)', NULL, 'Passes an entry of a major case down to its children, as far as the tenant wants it'),
        ('csm_private.entry_family()', NULL, 'AFTER INSERT trigger of csm.case_entries: calls csm_private.family_entry() where the case was proposed or accepted as a major case'),
        ('csm_private.copy_entry(bigint[], csm.case_entries)', NULL, 'Copies an entry of the parent onto its children, once; returns those that did not have it'),
        ('csm_private.follow_parent(bigint, bigint, bigint, bigint[], boolean)', NULL, 'Children that have followed their parent up to the same change take over what it wrote down since'),
        ('csm_private.has_children(bigint)', NULL, 'Whether a case has, or had, children; false for one that does not exist'),
        ('csm_private.due_follow_parent(bigint[], timestamptz)', NULL, 'Handler: children take over what their parents wrote down'),
        ('csm_private.take_candidate(bigint, boolean)', NULL, 'Locks a case for staff who work on it, or for managers; errors SM001, 42501, SM004'),
        ('csm_private.set_major_state(csm.cases, text, text)', NULL, 'Writes cases.major_state of a locked case, a work note and an event'),
        ('csm_private.open_major(bigint, text, text, text, integer, bigint, jsonb, bigint)', NULL, 'Makes a major case; error 22004 where nobody is responsible'),
        ('csm.propose_major(bigint, text)', 'csm_agent', 'Proposes a case as a major case: staff who work on it. Errors: SM001 no such case, 42501 not permitted, SM004 closed, SM002 not new, open or waiting, a dispute, or proposed before'),
        ('csm.reject_major(bigint, text)', 'csm_agent', 'Rejects a candidate: managers of the case. Errors: SM001, 42501, SM004, SM002 not proposed'),
        ('csm.cancel_major(bigint, text)', 'csm_agent', 'Takes a proposal back: staff who work on the case. Errors: SM001, 42501, SM004, SM002 not proposed'),
        ('csm.accept_major(bigint, text)', 'csm_agent', 'Accepts a candidate: managers of the case. Makes the major case, whose child the candidate becomes, and returns it. Errors: SM001, 42501, SM004, SM002 not proposed or no longer new, open or waiting'),
        ('csm.open_major(text, text, text, integer, bigint)', 'csm_agent', 'Opens a major case without a candidate: managers with reach all in the branch internal. Errors: 42501 not permitted, 22023 unknown case type or product'),
        ('csm.create_children(bigint, bigint)', 'csm_agent', 'Opens a child of the major case for each recipient of the list who has none yet; returns how many. Contacts stand for their account: it gets one child, asked for by one of those who are contacts now. May be run again, and by several at once. Managers of the case. Errors: SM001, 42501, SM004, SM002 no major case, 22023 no such list, 54000 more than 100,000 recipients')
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
