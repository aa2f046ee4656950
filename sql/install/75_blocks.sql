-- What a case waits for (R 2.5): a dimension of its own beside the state.
--
-- Blocks of reason customer_info follow the state of the case, those of reason
-- task follow case_tasks; staff write the other two.  A block has no text and no
-- reference that not every party of the case may read: the task names its
-- block, not the block its task.

-- Who asks, and in which function: for policies of tables that belong to the desk.
CREATE FUNCTION csm_private.is_staff(action text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_is_staff' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.is_staff(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.is_staff(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.is_staff(text) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.is_staff(text) IS
'Whether a staff role of the person counts now, one that permits the action with whatever reach; NULL: any staff role. False under csm_portal and for nobody';

CREATE TABLE csm.case_blocks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    reason text NOT NULL,
    note text,
    blocked_by bigint,
    blocked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    unblocked_by bigint,
    unblocked_at timestamptz,
    CONSTRAINT case_blocks_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_blocks_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_blocks_blocked_by_fkey FOREIGN KEY (blocked_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_blocks_unblocked_by_fkey FOREIGN KEY (unblocked_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_blocks_reason_check CHECK (reason IN ('customer_info', 'task', 'problem', 'other')),
    CONSTRAINT case_blocks_note_check CHECK (length(note) BETWEEN 1 AND 400),
    CONSTRAINT case_blocks_times_check CHECK (unblocked_at >= blocked_at AND (unblocked_by IS NULL OR unblocked_at IS NOT NULL))
);
CREATE INDEX case_blocks_case_idx ON csm.case_blocks (case_id, blocked_at);
CREATE INDEX case_blocks_open_idx ON csm.case_blocks (case_id) WHERE unblocked_at IS NULL;
CREATE INDEX case_blocks_ended_idx ON csm.case_blocks (tenant_id, unblocked_at) WHERE unblocked_at IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_blocks');

CREATE POLICY case_blocks_select ON csm.case_blocks FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id));
CREATE POLICY case_blocks_insert ON csm.case_blocks FOR INSERT TO csm_agent
    WITH CHECK (reason IN ('problem', 'other')
                AND EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id
                            AND csm_private.case_allows(c, 'case_work')));
CREATE POLICY case_blocks_update ON csm.case_blocks FOR UPDATE TO csm_agent
    USING (reason IN ('problem', 'other')
           AND EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_blocks.tenant_id
                       AND csm_private.case_allows(c, 'case_work')));

-- Takes the row lock of a case whose dependents are about to be written, and
-- refuses where it cannot have a new one.  A case whose solution is proposed gets
-- nothing unfinished: accepting it must not fail for what the customer cannot see.
CREATE FUNCTION csm_private.lock_for_dependent(case_id bigint, tenant_id bigint, what text, unfinished boolean DEFAULT true)
RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id AND e.tenant_id = tenant_id FOR NO KEY UPDATE;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004',
            DETAIL = format('Its state is "%s".', c.state), HINT = 'csm.open_follow_up() opens a case that refers to it.';
    ELSIF unfinished AND c.state_class = 'resolved' THEN
        RAISE EXCEPTION '% is not possible on case %', what, c.number USING ERRCODE = 'SM002',
            DETAIL = format('A solution is proposed: its state is "%s".', c.state),
            HINT = 'Wait for the answer of the customer.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) IS
'Locks a case and returns it; a row of nulls where there is none. what: noun phrase for the message; unfinished: whether it would keep the case from being resolved. Errors: SM004 case closed, SM002 solution proposed. For triggers that have asked for the right before';

-- Attention for the owner (R 2.5), unless the case is past needing it.
CREATE FUNCTION csm_private.call_attention(case_id bigint, tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM FROM csm.cases c
    WHERE c.id = case_id AND c.tenant_id = tenant_id AND NOT c.needs_attention
      AND c.state_class NOT IN ('resolved', 'closed', 'cancelled')
    FOR NO KEY UPDATE;
    IF FOUND THEN
        PERFORM csm_private.begin_system(case_id);
        UPDATE csm.cases c SET needs_attention = true WHERE c.id = case_id AND c.tenant_id = tenant_id;
    END IF;
END $$;
ALTER FUNCTION csm_private.call_attention(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.call_attention(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.call_attention(bigint, bigint) IS
'Switches needs_attention on as csm''s own change; nothing on a case that has it, is resolved or is closed';

CREATE FUNCTION csm_private.block_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.blocked_by := csm.current_user_id();
        NEW.blocked_at := clock_timestamp();
        NEW.unblocked_by := NULL;
        NEW.unblocked_at := NULL;
        -- The others follow what has locked and judged the case already.
        IF NEW.reason IN ('problem', 'other') THEN
            SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
            -- Hidden and missing alike: the policy refuses.
            IF csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system() THEN
                PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a block');
            END IF;
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.unblocked_at IS NOT NULL
       OR (NEW.id, NEW.tenant_id, NEW.case_id, NEW.reason, NEW.blocked_by, NEW.blocked_at)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.reason, OLD.blocked_by, OLD.blocked_at) THEN
        RAISE EXCEPTION 'block % cannot be changed', OLD.id USING ERRCODE = '42501',
            DETAIL = 'A block ends once, and what it is stays as it was written.',
            HINT = 'Write a new block.';
    END IF;
    IF NEW.unblocked_at IS NOT NULL THEN
        NEW.unblocked_at := greatest(clock_timestamp(), OLD.blocked_at);
        NEW.unblocked_by := csm.current_user_id();
    ELSE
        NEW.unblocked_by := NULL;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.block_guard() IS
'Trigger of csm.case_blocks: who and when; SM004 or SM002 on a case that cannot be blocked any more, 42501 for a block that ended';

-- An answer to a question calls attention through the change of state itself
-- (src/csm_lifecycle.c).
CREATE FUNCTION csm_private.block_effects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF NEW.reason IN ('problem', 'other') THEN
        PERFORM csm_private.emit(NEW.tenant_id, NEW.case_id, CASE TG_OP WHEN 'INSERT' THEN 'blocked' ELSE 'unblocked' END,
                                 jsonb_build_object('block_id', NEW.id, 'reason', NEW.reason));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.reason <> 'customer_info' THEN
        PERFORM csm_private.call_attention(NEW.case_id, NEW.tenant_id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.block_effects() IS
'Trigger of csm.case_blocks: the end of a block calls attention to the case (R 2.5); events blocked and unblocked for reasons problem and other';

-- Locks the case last: it may have come to its end meanwhile, passing over this
-- row (src/csm_dependents.c).
CREATE FUNCTION csm_private.block_overtaken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF NOT (csm_private.restoring() OR csm_private.importing()) THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        IF c.state_class IN ('resolved', 'closed', 'cancelled') THEN
            UPDATE csm.case_blocks b SET unblocked_at = clock_timestamp()
            WHERE b.id = NEW.id AND b.tenant_id = NEW.tenant_id AND b.unblocked_at IS NULL;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.block_overtaken() IS
'Trigger of csm.case_blocks: ends a block that was being changed while its case was resolved or closed';

CREATE FUNCTION csm_private.never_deleted() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = '42501',
        HINT = 'End it: by its state, or by the time at which it ended.';
END $$;
COMMENT ON FUNCTION csm_private.never_deleted() IS
'Trigger that refuses DELETE and TRUNCATE for everybody (42501)';

CREATE FUNCTION csm_private.case_dependents() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_case_dependents' LANGUAGE c;
COMMENT ON FUNCTION csm_private.case_dependents() IS
'Trigger of csm.cases: waiting for the customer begins and ends a block; a case that is resolved or ends has no blocks; cancelling it cancels its tasks and lines; submitting it submits its lines';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY '{block_guard,block_effects,block_overtaken,never_deleted,case_dependents}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION csm_private.%s() OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION csm_private.%s() FROM PUBLIC', f);
    END LOOP;
END $$;
CREATE TRIGGER case_blocks_10_guard BEFORE INSERT OR UPDATE ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.block_guard();
CREATE TRIGGER case_blocks_20_effects_begun AFTER INSERT ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.block_effects();
CREATE TRIGGER case_blocks_20_effects AFTER UPDATE ON csm.case_blocks
    FOR EACH ROW WHEN (OLD.unblocked_at IS NULL AND NEW.unblocked_at IS NOT NULL)
    EXECUTE FUNCTION csm_private.block_effects();
CREATE TRIGGER case_blocks_30_overtaken AFTER UPDATE ON csm.case_blocks
    FOR EACH ROW WHEN (NEW.unblocked_at IS NULL)
    EXECUTE FUNCTION csm_private.block_overtaken();
CREATE TRIGGER case_blocks_10_keep BEFORE DELETE ON csm.case_blocks
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_blocks_10_keep_truncate BEFORE TRUNCATE ON csm.case_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER cases_45_dependents AFTER UPDATE ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_dependents();

GRANT SELECT ON csm.case_blocks TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, reason, note), UPDATE (note, unblocked_at) ON csm.case_blocks TO csm_agent;

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

-- Under the policies of the reader: what he may not see has no row here.
CREATE VIEW csm.case_action_status WITH (security_invoker = true) AS
    SELECT c.id AS case_id, c.tenant_id,
           CASE WHEN c.state_class IN ('closed', 'cancelled') THEN 'done'
                WHEN c.needs_attention THEN 'needs_attention'
                WHEN c.state_class = 'waiting' OR b.reasons IS NOT NULL THEN 'blocked'
                ELSE 'active' END AS action_status,
           coalesce(b.reasons, CASE WHEN c.state_class = 'waiting' THEN '{customer_info}'::text[] ELSE '{}' END) AS blocked_by_reasons,
           b.since AS blocked_since
    FROM csm.cases c
    CROSS JOIN LATERAL (SELECT array_agg(DISTINCT x.reason ORDER BY x.reason) AS reasons, min(x.blocked_at) AS since
                        FROM csm.case_blocks x
                        WHERE x.case_id = c.id AND x.tenant_id = c.tenant_id AND x.unblocked_at IS NULL) b;
ALTER VIEW csm.case_action_status OWNER TO csm_owner;
REVOKE ALL ON csm.case_action_status FROM PUBLIC;
GRANT SELECT ON csm.case_action_status TO csm_portal, csm_agent, csm_admin;
COMMENT ON VIEW csm.case_action_status IS 'Whose move it is on each case that the reader sees';
COMMENT ON COLUMN csm.case_action_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_action_status.tenant_id IS 'Tenant of the case';
COMMENT ON COLUMN csm.case_action_status.action_status IS 'done (closed or cancelled), else needs_attention, else blocked, else active';
COMMENT ON COLUMN csm.case_action_status.blocked_by_reasons IS 'Reasons of the open blocks, sorted; also where the status is needs_attention. Empty when none';
COMMENT ON COLUMN csm.case_action_status.blocked_since IS 'Beginning of the oldest open block; NULL when none, and for a case that was imported as waiting';
