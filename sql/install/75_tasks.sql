-- Tasks of a case (R B27): work for somebody on the desk, with a life of its own.
--
-- A task is seen by those who work on its case, by its assignee and the members
-- of its group where they are staff (they see the task, not the case), and, with
-- visible_to_customer, by all who see the case but the other company of a dispute.
--
--   open -> in_progress, closed, cancelled      in_progress -> open, closed, cancelled
--
-- A task that is closed or cancelled never changes.  While a blocking one is
-- open the case is blocked and can be neither resolved nor closed: the guard of
-- csm.cases refuses (src/csm_dependents.c).  Cancelling the case cancels its tasks.

CREATE TABLE csm.case_tasks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    branch text NOT NULL,
    number text NOT NULL,
    subject text NOT NULL,
    description text,
    state text NOT NULL DEFAULT 'open',
    blocking boolean NOT NULL DEFAULT true,
    visible_to_customer boolean NOT NULL DEFAULT false,
    priority smallint NOT NULL DEFAULT 4,
    assigned_group_id bigint,
    assigned_to bigint,
    due_at timestamptz,
    close_notes text,
    block_id bigint,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_by bigint,
    closed_at timestamptz,
    CONSTRAINT case_tasks_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_tasks_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_tasks_block_fkey FOREIGN KEY (block_id, tenant_id) REFERENCES csm.case_blocks (id, tenant_id),
    CONSTRAINT case_tasks_group_fkey FOREIGN KEY (assigned_group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT case_tasks_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_closed_by_fkey FOREIGN KEY (closed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_tasks_number_key UNIQUE (tenant_id, number),
    CONSTRAINT case_tasks_branch_check CHECK (branch IN ('b2b', 'b2c', 'internal')),
    CONSTRAINT case_tasks_state_check CHECK (state IN ('open', 'in_progress', 'closed', 'cancelled')),
    CONSTRAINT case_tasks_closed_check CHECK ((state IN ('closed', 'cancelled')) = (closed_at IS NOT NULL)),
    CONSTRAINT case_tasks_priority_check CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT case_tasks_subject_check CHECK (length(subject) BETWEEN 1 AND 400 AND subject !~ '^[[:space:]]*$'),
    CONSTRAINT case_tasks_text_check CHECK (length(description) <= 100000 AND length(close_notes) <= 100000
        AND length(number) BETWEEN 1 AND 40)
);
CREATE INDEX case_tasks_case_idx ON csm.case_tasks (case_id);
CREATE INDEX case_tasks_blocking_idx ON csm.case_tasks (case_id) WHERE blocking AND state IN ('open', 'in_progress');
CREATE INDEX case_tasks_assigned_to_idx ON csm.case_tasks (assigned_to) WHERE assigned_to IS NOT NULL;
CREATE INDEX case_tasks_group_idx ON csm.case_tasks (assigned_group_id) WHERE assigned_group_id IS NOT NULL;
CREATE INDEX case_tasks_due_idx ON csm.case_tasks (tenant_id, due_at) WHERE state IN ('open', 'in_progress');
SELECT csm_private.adopt_table('csm.case_tasks');

DO $$
DECLARE
    -- The branch spares those who see all of it the look-up of the case.
    works CONSTANT text := $e$csm.all_in(tenant_id, branch, 'case_work')$e$;
    -- Groups are few: the sub-select runs once a query.
    does CONSTANT text := $e$(assigned_to = csm.current_user_id() OR assigned_group_id IN
        (SELECT m.group_id FROM csm.group_members m WHERE m.user_id = csm.current_user_id())) AND csm_private.is_staff()$e$;
    through_case CONSTANT text := $e$EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_tasks.tenant_id AND %s)$e$;
    flagged CONSTANT text := $e$(csm_private.case_side_allows(c, 'customer') OR NOT csm_private.case_side_allows(c, 'counterparty'))$e$;
    worked CONSTANT text := $e$csm_private.case_allows(c, 'case_work')$e$;
BEGIN
    EXECUTE format('CREATE POLICY case_tasks_select ON csm.case_tasks FOR SELECT TO csm_portal USING (visible_to_customer AND %s)',
                   format(through_case, flagged));
    EXECUTE format('CREATE POLICY case_tasks_select_staff ON csm.case_tasks FOR SELECT TO csm_agent, csm_admin USING (%s OR %s OR %s)',
                   works, does, format(through_case, format('CASE WHEN visible_to_customer THEN %s ELSE %s END', flagged, worked)));
    EXECUTE format('CREATE POLICY case_tasks_insert ON csm.case_tasks FOR INSERT TO csm_agent WITH CHECK (%s)',
                   format(through_case, worked));
    EXECUTE format('CREATE POLICY case_tasks_update ON csm.case_tasks FOR UPDATE TO csm_agent USING (%s OR %s OR %s)',
                   works, does, format(through_case, worked));
END $$;

CREATE FUNCTION csm_private.task_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    importing CONSTANT boolean := csm_private.importing();
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NOT (csm_private.case_allows(c, 'case_work') OR c.id IS NOT NULL AND (csm_private.acts_as_system() OR importing)) THEN
            RAISE EXCEPTION 'a task on case % is not permitted', NEW.case_id USING ERRCODE = '42501',
                HINT = 'Tasks are opened by staff who work on the case.';
        END IF;
        NEW.number := coalesce(NEW.number, 'CT' || lpad(NEW.id::text, 7, '0'));
        NEW.branch := c.branch;
        NEW.block_id := NULL;
    ELSIF NOT importing THEN
        IF OLD.state IN ('closed', 'cancelled') THEN
            RAISE EXCEPTION 'task % is %', OLD.number, OLD.state USING ERRCODE = 'SM004', HINT = 'Open a new task.';
        END IF;
        IF (NEW.id, NEW.tenant_id, NEW.case_id, NEW.branch, NEW.number, NEW.block_id, NEW.opened_by, NEW.opened_at, NEW.closed_by, NEW.closed_at)
           IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.branch, OLD.number, OLD.block_id, OLD.opened_by, OLD.opened_at, OLD.closed_by, OLD.closed_at) THEN
            RAISE EXCEPTION 'what task % is and whose it is cannot be changed', OLD.number USING ERRCODE = '42501',
                DETAIL = 'Fixed are case, number, and who opened it when; the rest is kept by csm.', HINT = 'Open a new task.';
        END IF;
    END IF;
    IF NOT importing AND TG_OP = 'INSERT' THEN
        IF NEW.state IS DISTINCT FROM 'open' THEN
            RAISE EXCEPTION 'a task cannot begin in state "%"', NEW.state USING ERRCODE = 'SM002',
                HINT = 'Leave state out, or load history with csm.importing = on.';
        END IF;
        NEW.opened_by := csm.current_user_id();
        NEW.opened_at := clock_timestamp();
        NEW.updated_at := NEW.opened_at;
        NEW.closed_by := NULL;
        NEW.closed_at := NULL;
    ELSIF NOT importing THEN
        NEW.updated_at := clock_timestamp();
        IF NEW.state IN ('closed', 'cancelled') THEN
            NEW.closed_by := csm.current_user_id();
            NEW.closed_at := NEW.updated_at;
        END IF;
    END IF;

    -- An open blocking task has an open block, imported or not.
    IF NEW.blocking AND NEW.state IN ('open', 'in_progress') AND (TG_OP = 'INSERT' OR NOT OLD.blocking) THEN
        IF NOT importing THEN
            PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a blocking task');
        END IF;
        INSERT INTO csm.case_blocks (tenant_id, case_id, reason) VALUES (NEW.tenant_id, NEW.case_id, 'task')
        RETURNING id INTO NEW.block_id;
    ELSIF TG_OP = 'INSERT' AND NOT importing THEN
        PERFORM csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a task', false);
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.task_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.task_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.task_guard() IS
'Trigger of csm.case_tasks: number, branch, who and when; the states; the block of a blocking task. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 task or case closed, SM002 state a task cannot begin in, or a blocking task while a solution is proposed';

-- Locks the case last, and so may find it cancelled meanwhile.
CREATE FUNCTION csm_private.task_effects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
    payload jsonb := jsonb_build_object('task_id', NEW.id, 'number', NEW.number, 'state', NEW.state);
    is_open boolean := NEW.state IN ('open', 'in_progress');
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
    IF TG_OP = 'UPDATE' AND is_open AND c.state_class = 'cancelled' AND NOT csm_private.importing() THEN
        UPDATE csm.case_tasks t SET state = 'cancelled' WHERE t.id = NEW.id AND t.tenant_id = NEW.tenant_id;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.blocking AND NOT (is_open AND NEW.blocking) THEN
        UPDATE csm.case_blocks b SET unblocked_at = clock_timestamp()
        WHERE b.id = OLD.block_id AND b.tenant_id = OLD.tenant_id AND b.unblocked_at IS NULL;
    END IF;
    IF TG_OP = 'INSERT' OR NOT is_open THEN
        PERFORM csm_private.emit(NEW.tenant_id, NEW.case_id, CASE TG_OP WHEN 'INSERT' THEN 'task_opened' ELSE 'task_closed' END, payload,
                                 CASE WHEN NEW.visible_to_customer THEN 'private' ELSE 'internal' END,
                                 CASE WHEN NEW.visible_to_customer THEN 'customer' END);
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.task_effects() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.task_effects() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.task_effects() IS
'Trigger of csm.case_tasks: ends the block of a task that does not block any more; cancels a task whose case was cancelled meanwhile; events task_opened and task_closed';

CREATE TRIGGER case_tasks_10_guard BEFORE INSERT OR UPDATE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.task_guard();
CREATE TRIGGER case_tasks_10_keep BEFORE DELETE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_tasks_10_keep_truncate BEFORE TRUNCATE ON csm.case_tasks
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_tasks_20_effects AFTER INSERT OR UPDATE ON csm.case_tasks
    FOR EACH ROW EXECUTE FUNCTION csm_private.task_effects();

GRANT SELECT ON csm.case_tasks TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, subject, description, blocking, visible_to_customer, priority, assigned_group_id, assigned_to, due_at),
      UPDATE (subject, description, state, blocking, visible_to_customer, priority, assigned_group_id, assigned_to, due_at, close_notes)
    ON csm.case_tasks TO csm_agent;

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

-- Lines: many products or issues in one case (R B28).  Everybody who sees the
-- case sees its lines.  The customer's side adds and cancels lines until work
-- begins; after that the desk works on them, and the case can be resolved or
-- closed only when every line has come to an end.
--
--   draft -> new                               when the case is submitted
--   new, work_in_progress, awaiting_info -> one another, resolved_accepted, resolved_denied
--   draft, new, work_in_progress, awaiting_info -> cancelled
CREATE TABLE csm.case_lines (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    position integer NOT NULL,
    product_id bigint,
    quantity numeric NOT NULL DEFAULT 1,
    description text,
    state text NOT NULL,
    resolution_notes text,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    CONSTRAINT case_lines_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_lines_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_lines_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT case_lines_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_lines_position_key UNIQUE (case_id, position),
    CONSTRAINT case_lines_position_check CHECK (position > 0),
    CONSTRAINT case_lines_quantity_check CHECK (quantity > 0 AND quantity <= 1000000000 AND scale(quantity) <= 6),
    CONSTRAINT case_lines_state_check CHECK (state IN
        ('draft', 'new', 'work_in_progress', 'awaiting_info', 'resolved_accepted', 'resolved_denied', 'cancelled')),
    CONSTRAINT case_lines_closed_check CHECK
        ((state IN ('resolved_accepted', 'resolved_denied', 'cancelled')) = (closed_at IS NOT NULL)),
    CONSTRAINT case_lines_what_check CHECK (product_id IS NOT NULL OR coalesce(description, '') ~ '[^[:space:]]'),
    CONSTRAINT case_lines_text_check CHECK (length(description) <= 10000 AND length(resolution_notes) <= 10000)
);
CREATE INDEX case_lines_open_idx ON csm.case_lines (case_id)
    WHERE state IN ('draft', 'new', 'work_in_progress', 'awaiting_info');
CREATE INDEX case_lines_product_idx ON csm.case_lines (product_id) WHERE product_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_lines');

-- The customer's side of a case on which work has not begun.
CREATE FUNCTION csm_private.may_order(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(c.state_class IN ('draft', 'new') AND csm_private.case_allows(c, 'case_decide')
                    AND csm_private.case_side_allows(c, 'customer'), false);
END;
ALTER FUNCTION csm_private.may_order(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.may_order(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.may_order(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.may_order(csm.cases) IS
'Whether the person decides for the customer of a case that is draft or new; false for a null row';

CREATE POLICY case_lines_select ON csm.case_lines FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id));
CREATE POLICY case_lines_insert ON csm.case_lines FOR INSERT TO csm_portal, csm_agent
    WITH CHECK (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id
                        AND (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c)))
                AND (product_id IS NULL OR EXISTS (SELECT FROM csm.products p WHERE p.id = product_id
                                                   AND p.tenant_id = case_lines.tenant_id AND p.active)));
CREATE POLICY case_lines_update ON csm.case_lines FOR UPDATE TO csm_portal, csm_agent
    USING (EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = case_lines.tenant_id
                   AND (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c))));

CREATE FUNCTION csm_private.line_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended CONSTANT text[] := '{resolved_accepted,resolved_denied,cancelled}'::text[];
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NOT (csm_private.case_allows(c, 'case_work') OR csm_private.may_order(c)
                OR c.id IS NOT NULL AND (csm_private.acts_as_system() OR csm_private.importing())) THEN
            RAISE EXCEPTION 'a line on case % is not permitted', NEW.case_id USING ERRCODE = '42501',
                HINT = 'Lines are added by staff who work on the case, and by the customer until work begins.';
        END IF;
        IF NOT csm_private.importing() THEN
            c := csm_private.lock_for_dependent(NEW.case_id, NEW.tenant_id, 'a line');
            NEW.state := CASE c.state_class WHEN 'draft' THEN 'draft' ELSE 'new' END;
            NEW.opened_by := csm.current_user_id();
            NEW.opened_at := clock_timestamp();
            NEW.closed_at := NULL;
            NEW.resolution_notes := NULL;
        END IF;
        IF NEW.position IS NULL THEN
            SELECT coalesce(max(l.position), 0) + 1 INTO NEW.position FROM csm.case_lines l WHERE l.case_id = NEW.case_id;
        END IF;
    ELSIF NOT csm_private.importing() THEN
        IF OLD.state = ANY (ended) THEN
            RAISE EXCEPTION 'line % of the case is ended', OLD.position USING ERRCODE = 'SM004',
                DETAIL = format('Its state is "%s".', OLD.state), HINT = 'Add a new line.';
        END IF;
        IF (NEW.id, NEW.tenant_id, NEW.case_id, NEW.position, NEW.opened_by, NEW.opened_at, NEW.closed_at)
           IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.case_id, OLD.position, OLD.opened_by, OLD.opened_at, OLD.closed_at) THEN
            RAISE EXCEPTION 'what line % of the case is cannot be changed', OLD.position USING ERRCODE = '42501',
                DETAIL = 'Fixed are case, position, and who added it when.', HINT = 'Cancel the line and add a new one.';
        END IF;
        IF NEW.state <> OLD.state AND (NEW.state = 'draft' OR OLD.state = 'draft' AND NEW.state NOT IN ('new', 'cancelled')) THEN
            RAISE EXCEPTION 'line % cannot change from state "%" to "%"', OLD.position, OLD.state, NEW.state USING ERRCODE = 'SM002',
                HINT = 'A draft becomes new when its case is submitted.';
        END IF;
        -- The customer cancels; the rest of a line's life is the desk's.  Submitting
        -- the case submits its lines, whoever does it.
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id;
        IF NEW.state NOT IN (OLD.state, 'cancelled') AND (OLD.state <> 'draft' OR c.state_class = 'draft')
           AND csm_private.may_order(c) AND NOT csm_private.case_allows(c, 'case_work') THEN
            RAISE EXCEPTION 'line % is not yours to work on', OLD.position USING ERRCODE = '42501',
                HINT = 'The customer may cancel a line.';
        END IF;
        IF NEW.state = ANY (ended) THEN
            NEW.closed_at := clock_timestamp();
        END IF;
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.line_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.line_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.line_guard() IS
'Trigger of csm.case_lines: position, first state, who and when; the states. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 line or case closed, SM002 state not possible, or a new line while a solution is proposed';

-- As with blocks: the case may have been cancelled meanwhile, passing over this row.
CREATE FUNCTION csm_private.line_overtaken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF NOT (csm_private.restoring() OR csm_private.importing()) THEN
        SELECT * INTO c FROM csm.cases e WHERE e.id = NEW.case_id AND e.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        IF c.state_class = 'cancelled' THEN
            UPDATE csm.case_lines l SET state = 'cancelled' WHERE l.id = NEW.id AND l.tenant_id = NEW.tenant_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.line_overtaken() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.line_overtaken() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.line_overtaken() IS
'Trigger of csm.case_lines: cancels a line that was being changed while its case was cancelled';

CREATE TRIGGER case_lines_10_guard BEFORE INSERT OR UPDATE ON csm.case_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.line_guard();
CREATE TRIGGER case_lines_30_overtaken AFTER UPDATE ON csm.case_lines
    FOR EACH ROW WHEN (NEW.closed_at IS NULL) EXECUTE FUNCTION csm_private.line_overtaken();
CREATE TRIGGER case_lines_10_keep BEFORE DELETE ON csm.case_lines
    FOR EACH ROW EXECUTE FUNCTION csm_private.never_deleted();
CREATE TRIGGER case_lines_10_keep_truncate BEFORE TRUNCATE ON csm.case_lines
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.never_deleted();

GRANT SELECT ON csm.case_lines TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (case_id, product_id, quantity, description), UPDATE (quantity, description, state) ON csm.case_lines TO csm_portal;
GRANT INSERT (case_id, product_id, quantity, description),
      UPDATE (product_id, quantity, description, state, resolution_notes) ON csm.case_lines TO csm_agent;

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
