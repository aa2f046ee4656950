-- What the C triggers of cases and entries do, written as PL/pgSQL triggers on
-- the same tables, to be compared with: new cases filled in, changes judged by
-- the machine, entries and what they mean for their case, history in a chain,
-- events, timers and blocks.  Relations of a person to a case
-- (csm_private.case_actors) and what SLAs, quotas and entitlements do stay as they are.
\set ON_ERROR_STOP on

CREATE FUNCTION bench.guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me bigint := csm.current_user_id();
    now timestamptz := clock_timestamp();
    relations text[];
    t csm.case_transitions;
    class text;
    field text;
    value text;
    row_after jsonb;
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.opened_by IS NOT NULL AND NEW.opened_by <> me THEN
            RAISE EXCEPTION 'a case is opened in one''s own name' USING ERRCODE = '42501';
        END IF;
        NEW.opened_by := me;
        NEW.requester_id := coalesce(NEW.requester_id, me);
        NEW.number := coalesce(NEW.number, 'CS' || lpad(NEW.id::text, 7, '0'));
        IF NEW.account_id IS NULL THEN
            SELECT k.account_id INTO NEW.account_id FROM csm.contacts k
            WHERE k.user_id = NEW.requester_id AND k.tenant_id = NEW.tenant_id AND k.login_enabled AND k.is_home
              AND (k.valid_during IS NULL OR k.valid_during @> statement_timestamp()) LIMIT 1;
        END IF;
        NEW.branch := CASE WHEN NEW.account_id IS NOT NULL THEN 'b2b'
                           WHEN EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = NEW.requester_id) THEN 'b2c' ELSE 'internal' END;
        NEW.case_type := coalesce(NEW.case_type, 'case');
        NEW.language := coalesce(NEW.language, 'english');
        NEW.channel := coalesce(NEW.channel, 'web');
        NEW.priority := coalesce(NEW.priority, 4);
        NEW.impact := coalesce(NEW.impact, 3);
        NEW.urgency := coalesce(NEW.urgency, 3);
        NEW.attributes := coalesce(NEW.attributes, '{}');
        NEW.needs_attention := coalesce(NEW.needs_attention, false);
        NEW.reopen_count := 0;
        NEW.reassignment_count := 0;
        NEW.opened_at := now;
        NEW.submitted_at := now;
        NEW.updated_at := now;
        NEW.resolved_at := NULL;
        NEW.closed_at := NULL;
        SELECT s.state, s.state_class INTO NEW.state, NEW.state_class FROM csm.case_states s
        JOIN csm.case_types y ON y.case_type = s.case_type AND y.tenant_id = s.tenant_id AND y.active
        WHERE s.case_type = NEW.case_type AND s.tenant_id = NEW.tenant_id AND s.state_class = 'new' ORDER BY s.value LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'case type "%" does not exist', NEW.case_type USING ERRCODE = '22023';
        END IF;
        NEW.search := setweight(to_tsvector('english', NEW.number || ' ' || NEW.subject), 'A')
                   || setweight(to_tsvector('english', coalesce(NEW.description, '')), 'B');
        RETURN NEW;
    END IF;

    IF OLD.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', OLD.number USING ERRCODE = 'SM004';
    END IF;
    IF current_setting('bench.entry', true) = OLD.id::text THEN
        relations := '{customer,claimant}';
        PERFORM set_config('bench.entry', '', true);
        IF current_setting('bench.side', true) = 'customer' AND OLD.assigned_to IS DISTINCT FROM me THEN
            NEW.needs_attention := true;
        ELSIF current_setting('bench.side', true) = 'operator' THEN
            NEW.first_response_at := coalesce(OLD.first_response_at, now);
        END IF;
        IF OLD.state_class = 'waiting' AND current_setting('bench.side', true) = 'customer' THEN
            SELECT x.to_state INTO NEW.state FROM csm.case_transitions x
            WHERE x.tenant_id = OLD.tenant_id AND x.case_type = OLD.case_type AND x.from_state = OLD.state AND x.action = 'resume';
        END IF;
    ELSE
        relations := csm_private.case_actors(OLD);
        IF relations = '{}' THEN
            RAISE EXCEPTION 'action "update" on case % is not permitted', OLD.number USING ERRCODE = '42501';
        END IF;
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.number, NEW.branch, NEW.opened_by, NEW.opened_at, NEW.idempotency_key, NEW.requester_id, NEW.account_id,
        NEW.counterparty_account_id) IS DISTINCT FROM
       (OLD.id, OLD.tenant_id, OLD.number, OLD.branch, OLD.opened_by, OLD.opened_at, OLD.idempotency_key, OLD.requester_id, OLD.account_id,
        OLD.counterparty_account_id) THEN
        RAISE EXCEPTION 'a fixed column of case % cannot be changed', OLD.number USING ERRCODE = '42501';
    END IF;
    NEW.state_class := OLD.state_class;
    NEW.submitted_at := OLD.submitted_at;
    NEW.resolved_at := OLD.resolved_at;
    NEW.closed_at := OLD.closed_at;
    NEW.reopen_count := OLD.reopen_count;
    NEW.reassignment_count := OLD.reassignment_count;
    IF NEW.state IS DISTINCT FROM OLD.state THEN
        SELECT x.* INTO t FROM csm.case_transitions x
        WHERE x.tenant_id = OLD.tenant_id AND x.case_type = OLD.case_type AND x.from_state = OLD.state AND x.to_state = NEW.state
          AND x.actors && relations ORDER BY x.action LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no action leads case % from "%" to "%"', OLD.number, OLD.state, NEW.state USING ERRCODE = 'SM002';
        END IF;
        row_after := to_jsonb(NEW);
        FOR field, value IN SELECT e.key, e.value FROM jsonb_each_text(t.effects) e WHERE e.key !~ ':' LOOP
            IF field = 'assigned_to' AND value = 'actor' AND NEW.assigned_to IS NULL THEN
                NEW.assigned_to := me;
            END IF;
        END LOOP;
        FOREACH field IN ARRAY t.required_fields LOOP
            IF coalesce(row_after->>field, '') !~ '[^[:space:]]' THEN
                RAISE EXCEPTION 'action "%" on case % needs %', t.action, OLD.number, field USING ERRCODE = 'SM003';
            END IF;
        END LOOP;
        SELECT s.state_class INTO class FROM csm.case_states s
        WHERE s.tenant_id = OLD.tenant_id AND s.case_type = OLD.case_type AND s.state = NEW.state;
        NEW.state_class := class;
        IF class = 'resolved' THEN
            NEW.resolved_at := now;
        ELSIF class IN ('closed', 'cancelled') THEN
            NEW.closed_at := now;
        ELSIF OLD.state_class = 'resolved' THEN
            NEW.resolved_at := NULL;
            NEW.reopen_count := OLD.reopen_count + 1;
        END IF;
        PERFORM set_config('bench.action', t.action, true);
    ELSE
        PERFORM set_config('bench.action', 'update', true);
    END IF;
    IF NEW.assigned_to <> OLD.assigned_to THEN
        NEW.reassignment_count := OLD.reassignment_count + 1;
    END IF;
    IF (NEW.subject, NEW.description, NEW.language) IS DISTINCT FROM (OLD.subject, OLD.description, OLD.language) THEN
        NEW.search := setweight(to_tsvector('english', NEW.number || ' ' || NEW.subject), 'A')
                   || setweight(to_tsvector('english', coalesce(NEW.description, '')), 'B');
    END IF;
    NEW.updated_at := now;
    RETURN NEW;
END $$;

-- One link of the chain of a case.
CREATE FUNCTION bench.link(c csm.cases, act text, audience text, payload jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me bigint := csm.current_user_id();
    relations text[] := csm_private.case_actors(c);
    salt bytea := uuid_send(gen_random_uuid());
    name text;
    head record;
    sum bytea;
BEGIN
    SELECT h.seq, h.hash INTO head FROM csm.case_history h WHERE h.case_id = c.id ORDER BY h.seq DESC LIMIT 1;
    SELECT u.display_name INTO name FROM csm.users u WHERE u.id = me;
    sum := sha256(salt || convert_to(coalesce(name, 'system') || payload::text, 'UTF8'));
    INSERT INTO csm.case_history (tenant_id, case_id, seq, at, action, actor_id, actor_name, persona, relation, on_behalf_of, audience, payload,
                                  salt, payload_hash, previous_hash, hash)
    VALUES (c.tenant_id, c.id, coalesce(head.seq, 0) + 1, c.updated_at, act, me, coalesce(name, 'system'),
            CASE WHEN relations && '{agent,manager}' THEN 'staff' ELSE 'contact' END, array_to_string(relations, ', '), NULL, audience, payload,
            salt, sum, head.hash,
            sha256(coalesce(head.hash, '') || int8send(c.tenant_id) || int8send(c.id) || int8send(coalesce(head.seq, 0) + 1)
                   || timestamptz_send(c.updated_at) || convert_to(concat_ws('|', act, me, array_to_string(relations, ', '), audience), 'UTF8') || sum));
END $$;

CREATE FUNCTION bench.case_history() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changes jsonb;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT jsonb_object_agg(n.key, jsonb_build_array(NULL, n.value)) INTO changes
        FROM jsonb_each(to_jsonb(NEW) - '{search,party_keys}'::text[]) n WHERE n.value <> 'null';
    ELSE
        SELECT jsonb_object_agg(n.key, jsonb_build_array(o.value, n.value)) INTO changes
        FROM jsonb_each(to_jsonb(NEW) - '{search,party_keys}'::text[]) n
        JOIN jsonb_each(to_jsonb(OLD) - '{search,party_keys}'::text[]) o USING (key) WHERE n.value IS DISTINCT FROM o.value;
        -- a comment's own link tells of it
        IF current_setting('bench.entry_link', true) = NEW.id::text THEN
            PERFORM set_config('bench.pending', coalesce(changes, '{}')::text, true);
            RETURN NULL;
        END IF;
    END IF;
    PERFORM bench.link(NEW, CASE TG_OP WHEN 'INSERT' THEN 'open' ELSE current_setting('bench.action', true) END, 'shared', coalesce(changes, '{}'));
    RETURN NULL;
END $$;

CREATE FUNCTION bench.emit(c csm.cases, kind text, payload jsonb, audience text DEFAULT 'shared', side text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO csm.events (tenant_id, case_id, kind, actor_id, audience, side, payload)
    VALUES (c.tenant_id, c.id, kind, csm.current_user_id(), audience, side, payload);
END $$;

CREATE FUNCTION bench.case_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM bench.emit(NEW, 'opened', jsonb_build_object('case_type', NEW.case_type, 'state', NEW.state, 'priority', NEW.priority, 'channel', NEW.channel));
        RETURN NULL;
    END IF;
    IF NEW.state <> OLD.state THEN
        PERFORM bench.emit(NEW, CASE WHEN NEW.state_class IN ('closed', 'cancelled') THEN 'closed' WHEN NEW.state_class = 'resolved' THEN 'resolved'
                                     WHEN OLD.state_class = 'resolved' THEN 'reopened' ELSE 'state_changed' END,
                           jsonb_build_object('action', current_setting('bench.action', true), 'from', OLD.state, 'to', NEW.state, 'state_class', NEW.state_class));
    END IF;
    IF NEW.assigned_to IS DISTINCT FROM OLD.assigned_to OR NEW.assigned_group_id IS DISTINCT FROM OLD.assigned_group_id THEN
        PERFORM bench.emit(NEW, 'assigned', jsonb_build_object('assigned_to', NEW.assigned_to, 'assigned_group_id', NEW.assigned_group_id,
                                                               'from_person', OLD.assigned_to, 'from_group', OLD.assigned_group_id));
    END IF;
    IF NEW.priority <> OLD.priority THEN
        PERFORM bench.emit(NEW, 'priority_changed', jsonb_build_object('from', OLD.priority, 'to', NEW.priority));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION bench.case_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.state_class = 'resolved' THEN
        INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
        VALUES (NEW.tenant_id, 'auto_close', NEW.id, NEW.id, NEW.updated_at + interval '10 days'),
               (NEW.tenant_id, 'auto_close_reminder', NEW.id, NEW.id, NEW.updated_at + interval '5 days');
    ELSE
        DELETE FROM csm.timers x WHERE x.object_id = NEW.id AND x.kind IN ('auto_close', 'auto_close_reminder', 'awaiting_timeout') AND x.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION bench.case_ends() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM csm.case_blocks b WHERE b.case_id = NEW.id AND b.tenant_id = NEW.tenant_id;
    UPDATE csm.escalations e SET state = 'closed' WHERE e.case_id = NEW.id AND e.tenant_id = NEW.tenant_id AND e.state <> 'closed';
    RETURN NULL;
END $$;

CREATE FUNCTION bench.entry_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    SELECT x.* INTO c FROM csm.cases x WHERE x.id = NEW.case_id AND x.tenant_id = NEW.tenant_id;
    NEW.visibility := coalesce(NEW.visibility, 'shared');
    NEW.author_id := csm.current_user_id();
    IF NOT FOUND OR NOT csm_private.case_allows(c, CASE NEW.visibility WHEN 'internal' THEN 'case_work' ELSE 'case_comment' END) THEN
        NEW.branch := 'internal';
        NEW.author_name := '-';
        NEW.side := 'customer';
        RETURN NEW;
    END IF;
    IF c.state_class IN ('closed', 'cancelled') THEN
        RAISE EXCEPTION 'case % is closed', c.number USING ERRCODE = 'SM004';
    END IF;
    NEW.branch := c.branch;
    SELECT u.display_name INTO NEW.author_name FROM csm.users u WHERE u.id = NEW.author_id;
    NEW.side := CASE WHEN csm_private.case_allows(c, 'case_work') THEN 'operator' ELSE 'customer' END;
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION bench.entry_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c csm.cases;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('bench.entry', NEW.case_id::text, true), set_config('bench.side', NEW.side, true),
            set_config('bench.entry_link', NEW.case_id::text, true), set_config('bench.pending', '{}', true);
    UPDATE csm.cases x SET updated_at = x.updated_at WHERE x.id = NEW.case_id AND x.tenant_id = NEW.tenant_id RETURNING x.* INTO c;
    PERFORM bench.link(c, 'comment', NEW.visibility, jsonb_build_object('entry.id', jsonb_build_array(NULL, NEW.id), 'entry.side', jsonb_build_array(NULL, NEW.side),
                       'entry.visibility', jsonb_build_array(NULL, NEW.visibility),
                       'entry.body', jsonb_build_array(NULL, encode(sha256(convert_to(NEW.body, 'UTF8')), 'hex'))) || current_setting('bench.pending')::jsonb);
    PERFORM set_config('bench.entry_link', '', true);
    PERFORM bench.emit(c, 'commented', jsonb_build_object('entry_id', NEW.id, 'visibility', NEW.visibility, 'side', NEW.side), NEW.visibility,
                       CASE NEW.visibility WHEN 'private' THEN NEW.side END);
    RETURN NULL;
END $$;

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT g.tgrelid::regclass AS tab, g.tgname FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid
             WHERE g.tgrelid IN ('csm.cases'::regclass, 'csm.case_entries'::regclass) AND NOT g.tgisinternal
               AND f.proname IN ('case_guard', 'history', 'case_events', 'case_dependents', 'case_follows',
                                 'entry_guard', 'entry_effects', 'entry_events', 'entry_family') LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.tab, t.tgname);
    END LOOP;
END $$;
CREATE TRIGGER bench_10 BEFORE INSERT OR UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION bench.guard();
CREATE TRIGGER bench_30 AFTER INSERT OR UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION bench.case_history();
CREATE TRIGGER bench_40 AFTER INSERT OR UPDATE ON csm.cases FOR EACH ROW EXECUTE FUNCTION bench.case_events();
CREATE TRIGGER bench_60 AFTER UPDATE ON csm.cases FOR EACH ROW
    WHEN (OLD.state_class <> NEW.state_class AND (OLD.state_class IN ('resolved', 'waiting') OR NEW.state_class = 'resolved')) EXECUTE FUNCTION bench.case_time();
CREATE TRIGGER bench_70 AFTER UPDATE ON csm.cases FOR EACH ROW
    WHEN (OLD.state_class <> NEW.state_class AND NEW.state_class IN ('closed', 'cancelled')) EXECUTE FUNCTION bench.case_ends();
CREATE TRIGGER bench_10 BEFORE INSERT ON csm.case_entries FOR EACH ROW EXECUTE FUNCTION bench.entry_guard();
CREATE TRIGGER bench_20 AFTER INSERT ON csm.case_entries FOR EACH ROW EXECUTE FUNCTION bench.entry_after();
-- SECURITY DEFINER functions run as their owner
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'bench'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA bench TO csm_owner;
