-- The verbs of a case.
--
-- csm.open_case() writes a plain INSERT with the caller's own rights, so that
-- who may open which case is said once, in policies and column privileges.  The
-- others write as csm_owner what the caller could not, and ask the rule of the
-- policies (csm_private.case_allows) and the machine first.

-- Runs as the caller.  Nobody can name it: csm.open_case() holds it by its
-- identity, and csm_private admits no role.
CREATE OR REPLACE FUNCTION csm_private.open_case_row(announced boolean, subject text, description text, case_type text, account_id bigint,
    requester_id bigint, counterparty_account_id bigint, product_id bigint, asset_id bigint, priority integer,
    channel text, fields jsonb, idempotency_key text) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    further CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id,household_id,internal_contact_id,
        service_organization_id,counterparty_contact_id,impact,urgency,language,assigned_group_id,assigned_to,parent_id}'::text[];
    for_everybody CONSTANT text[] := '{attributes,partner_account_id,partner_contact_id}'::text[];
    me CONSTANT bigint := csm.current_user_id();
    unknown text;
    f csm.cases;
    c csm.cases;
    again boolean;
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject of the new case is null' USING ERRCODE = '22004', HINT = 'Say in one line what it is about.';
    ELSIF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;
    IF fields - further <> '{}' THEN
        SELECT string_agg(k, ', ') INTO unknown FROM jsonb_object_keys(fields - further) k;
        RAISE EXCEPTION 'a case cannot be opened with the fields given' USING ERRCODE = '22023',
            DETAIL = format('Not among the fields: %s.', unknown),
            HINT = format('Fields are %s; the others have parameters of their own.', array_to_string(further, ', '));
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases e
        WHERE (e.opened_by = me OR me IS NULL AND e.opened_by IS NULL) AND e.idempotency_key = idempotency_key;
        again := FOUND;
    END IF;
    IF again IS NOT TRUE THEN
        -- Columns are named as far as everybody may write them, else all that
        -- staff may: PostgreSQL asks for the privilege on each that is named.
        -- The trigger fills in what is null.
        IF fields <> '{}' THEN
            f := jsonb_populate_record(NULL::csm.cases, fields);
        END IF;
        IF fields - for_everybody = '{}' THEN
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        ELSE
            INSERT INTO csm.cases (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, attributes, partner_account_id, partner_contact_id, household_id, internal_contact_id,
                service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id)
            VALUES (subject, description, case_type, account_id, requester_id, counterparty_account_id, product_id,
                asset_id, priority, channel, f.attributes, f.partner_account_id, f.partner_contact_id, f.household_id, f.internal_contact_id,
                f.service_organization_id, f.counterparty_contact_id, f.impact, f.urgency, f.language, f.assigned_group_id, f.assigned_to, f.parent_id)
            ON CONFLICT ON CONSTRAINT cases_idempotency_key DO NOTHING
            RETURNING * INTO c;
        END IF;
        IF c.id IS NULL THEN
            -- The same call came through another session a moment ago.
            SELECT * INTO c FROM csm.cases e WHERE e.opened_by = me AND e.idempotency_key = idempotency_key;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'idempotency key belongs to a case that you may not see any more' USING ERRCODE = '42501',
                    HINT = 'Use a new key for a new case.';
            END IF;
            again := true;
        END IF;
    END IF;
    IF again AND (c.subject, c.description, c.case_type) IS DISTINCT FROM (subject, description, coalesce(case_type, 'case')) THEN
        RAISE EXCEPTION 'idempotency key was used for another case' USING ERRCODE = 'SM006',
            DETAIL = format('Case %s has another subject, description or type.', c.number),
            HINT = 'Use a new key for a new case.';
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text)
    OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text),
    csm_private.begin_open(boolean, text), csm_private.end_open(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text) IS
'Body of csm.open_case(): the INSERT with the caller''s rights, or the case that the key opened before';

CREATE OR REPLACE FUNCTION csm.open_case(subject text, description text DEFAULT NULL, case_type text DEFAULT 'case',
    account_id bigint DEFAULT NULL, requester_id bigint DEFAULT NULL, counterparty_account_id bigint DEFAULT NULL,
    product_id bigint DEFAULT NULL, asset_id bigint DEFAULT NULL, priority integer DEFAULT NULL, channel text DEFAULT 'web',
    fields jsonb DEFAULT '{}', draft boolean DEFAULT false, idempotency_key text DEFAULT NULL) RETURNS csm.cases
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT csm_private.end_open(csm_private.open_case_row(
        csm_private.begin_open(draft, idempotency_key), subject, description, case_type, account_id, requester_id,
        counterparty_account_id, product_id, asset_id, priority, channel,
        csm_private.with_attributes(case_type, fields), idempotency_key));
END;
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. priority: the case type''s by default, else 4. fields: fields of the case type, and further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';

-- Both ways to take an action end here; the row is locked, so that of two who
-- act at once the second is judged by what the first left.
CREATE OR REPLACE FUNCTION csm_private.take_action(case_id bigint, action text, note text, fields jsonb, as_system boolean) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settable CONSTANT text[] := '{subject,description,priority,impact,urgency,assigned_to,assigned_group_id,
        product_id,asset_id,counterparty_contact_id,resolution_code,resolution_notes,reference,amount,currency}'::text[];
    further jsonb;
    c csm.cases;
    f csm.cases;
    said text;
BEGIN
    IF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields is not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} or leave it out.';
    END IF;

    SELECT * INTO c FROM csm.cases e WHERE e.id = case_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    said := csm_private.begin_act(c, action, nullif(btrim(note, E' \t\r\n'), ''), fields, as_system);
    IF fields = '{}' THEN
        -- The trigger does the rest.
        UPDATE csm.cases e SET updated_at = e.updated_at WHERE e.id = case_id RETURNING * INTO c;
    ELSE
        f := jsonb_populate_record(c, fields);
        further := fields - settable;
        IF further <> '{}' THEN
            f.attributes := csm_private.write_fields(c, further, as_system);
        END IF;
        UPDATE csm.cases e
        SET subject = f.subject, description = f.description, priority = f.priority, impact = f.impact, urgency = f.urgency,
            assigned_to = f.assigned_to, assigned_group_id = f.assigned_group_id, product_id = f.product_id, asset_id = f.asset_id,
            counterparty_contact_id = f.counterparty_contact_id, resolution_code = f.resolution_code, resolution_notes = f.resolution_notes,
            attributes = f.attributes
        WHERE e.id = case_id
        RETURNING * INTO c;
    END IF;
    IF said IS NOT NULL THEN
        PERFORM csm_private.begin_note(c.id, as_system);
        INSERT INTO csm.case_entries (tenant_id, case_id, body) VALUES (c.tenant_id, c.id, said);
    END IF;
    IF c.counterparty_account_id IS NOT NULL AND action = 'reject' THEN
        c := csm_private.limit_rounds(c);
    END IF;
    RETURN c;
END $$;
ALTER FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) IS
'Body of csm.act() and csm_private.act_as_system(), run as csm_owner: as_system says who is judged; errors as csm.act()';

CREATE OR REPLACE FUNCTION csm_private.act_as_system(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN csm_private.take_action(case_id, action, note, fields, true);
END $$;
ALTER FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) IS
'Takes an action as the system, whoever runs the function of csm that calls it; only csm_owner may. A note has no author. Errors as csm.act()';

CREATE OR REPLACE FUNCTION csm.act(case_id bigint, action text, note text DEFAULT NULL, fields jsonb DEFAULT '{}') RETURNS csm.cases
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF case_id IS NULL OR action IS NULL THEN
        RAISE EXCEPTION '% of csm.act() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'action' END
            USING ERRCODE = '22004', HINT = 'csm.actions(case_id) lists what can be done.';
    END IF;
    IF csm_private.case_allows(case_id, csm.current_tenant_id(), 'case_read') IS NOT TRUE AND NOT csm_private.acts_as_system() THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    RETURN csm_private.take_action(case_id, action, note, fields, false);
END $$;
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes), and reference, amount, currency of a proposal, and fields of the case type by their names; who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';

CREATE OR REPLACE FUNCTION csm.actions(case_id bigint)
RETURNS TABLE (action text, label text, to_state text, required_fields text[], note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = actions.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system())
       OR c.state_class IN ('closed', 'cancelled') THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT o.action, o.label, o.to_state, o.required_fields, o.note_required
        FROM csm_private.offers(c) o
        WHERE c.counterparty_account_id IS NULL OR csm_private.dispute_permits(c, o.action)
        ORDER BY o.action;
END $$;
COMMENT ON FUNCTION csm.actions(bigint) IS
'What the caller may do with the case now: action, caption, state it leads to, fields that must be filled in then, whether a note must be given. No row for a case that is closed, hidden or missing';

CREATE OR REPLACE FUNCTION csm.comment(case_id bigint, body text, visibility text DEFAULT 'shared', idempotency_key text DEFAULT NULL)
RETURNS csm.case_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    is_system CONSTANT boolean := csm_private.acts_as_system();
    tenant bigint := csm.current_tenant_id();
    e csm.case_entries;
    again boolean := false;
BEGIN
    IF case_id IS NULL OR body IS NULL THEN
        RAISE EXCEPTION '% of csm.comment() is null', CASE WHEN case_id IS NULL THEN 'case_id' ELSE 'body' END
            USING ERRCODE = '22004', HINT = 'Give the case and the text.';
    ELSIF body !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'body of the comment is empty' USING ERRCODE = '22023', HINT = 'Give a text.';
    ELSIF visibility IS NULL OR visibility NOT IN ('shared', 'internal', 'private') THEN
        RAISE EXCEPTION 'visibility "%" is unknown', visibility USING ERRCODE = '22023',
            HINT = 'Use shared, internal or private.';
    ELSIF length(idempotency_key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 200 characters' USING ERRCODE = '22023',
            DETAIL = format('It has %s.', length(idempotency_key)), HINT = 'A random UUID serves well.';
    END IF;
    IF is_system THEN
        tenant := (SELECT x.tenant_id FROM csm.cases x WHERE x.id = case_id);
    END IF;
    IF tenant IS NULL OR NOT (is_system OR csm_private.case_allows(case_id, tenant, 'case_read')) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system
               OR csm_private.case_allows(case_id, tenant, CASE visibility WHEN 'internal' THEN 'case_work' ELSE 'case_comment' END)) THEN
        RAISE EXCEPTION '% on case % is not permitted', CASE visibility WHEN 'internal' THEN 'a work note' ELSE 'a comment' END,
            (SELECT x.number FROM csm.cases x WHERE x.id = case_id)
            USING ERRCODE = '42501', HINT = 'Comments need case_comment; work notes are for staff who work on the case.';
    END IF;

    IF idempotency_key IS NOT NULL THEN
        SELECT * INTO e FROM csm.case_entries x
        WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key
          AND (x.author_id = me OR me IS NULL AND x.author_id IS NULL);
        again := FOUND;
    END IF;
    IF NOT again THEN
        INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
        VALUES (tenant, case_id, body, visibility, idempotency_key)
        ON CONFLICT ON CONSTRAINT case_entries_idempotency_key DO NOTHING
        RETURNING * INTO e;
        IF NOT FOUND THEN
            SELECT * INTO e FROM csm.case_entries x
            WHERE x.case_id = case_id AND x.idempotency_key = idempotency_key AND x.author_id = me;
            again := true;
        END IF;
    END IF;
    IF again AND (e.body, e.visibility) IS DISTINCT FROM (body, visibility) THEN
        RAISE EXCEPTION 'idempotency key was used for another comment' USING ERRCODE = 'SM006',
            DETAIL = format('Entry %s on case %s has another text or visibility.', e.id,
                            (SELECT x.number FROM csm.cases x WHERE x.id = case_id)),
            HINT = 'Use a new key for a new comment.';
    END IF;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm.comment(bigint, text, text, text) IS
'Writes an entry on a case and returns it. visibility: shared (all who see the case), internal (work note), private (the author''s side and staff). The same author, case and idempotency_key return the first entry, also after the case was closed. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM006 key used for another text, 22004 null argument, 22023 empty text or unknown visibility';

CREATE OR REPLACE FUNCTION csm.case_people(case_id bigint)
RETURNS TABLE (relation text, user_id bigint, account_id bigint, display_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.cases;
    own_side boolean;
BEGIN
    SELECT * INTO c FROM csm.cases e WHERE e.id = case_people.case_id;
    IF NOT (csm_private.case_allows(c, 'case_read') OR c.id IS NOT NULL AND csm_private.acts_as_system()) THEN
        RETURN;
    END IF;
    -- With whom the customer shared the case is not the counterparty's affair.
    own_side := csm_private.case_side_allows(c, 'customer') OR csm_private.acts_as_system()
                OR csm.all_in(c.tenant_id, c.branch, 'case_read')
                OR csm.organization_allows(c.service_organization_id, c.branch, 'case_read');
    RETURN QUERY
        SELECT p.relation, u.id, NULL::bigint, u.display_name
        FROM (VALUES (1, 'requester', c.requester_id), (2, 'opener', c.opened_by), (3, 'assignee', c.assigned_to),
                     (4, 'internal_contact', c.internal_contact_id)) p(n, relation, id)
        JOIN csm.users u ON u.id = p.id AND u.tenant_id = c.tenant_id
      UNION ALL
        SELECT p.relation, NULL, a.id, a.name
        FROM (VALUES (1, 'account', c.account_id), (2, 'counterparty', c.counterparty_account_id),
                     (3, 'partner', c.partner_account_id)) p(n, relation, id)
        JOIN csm.accounts a ON a.id = p.id AND a.tenant_id = c.tenant_id
      UNION ALL
        SELECT p.relation, u.id, k.account_id, u.display_name
        FROM (VALUES (1, 'counterparty_contact', c.counterparty_contact_id),
                     (2, 'partner_contact', c.partner_contact_id)) p(n, relation, id)
        JOIN csm.contacts k ON k.id = p.id AND k.tenant_id = c.tenant_id
        JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'household', NULL, NULL, h.name
        FROM csm.households h
        WHERE h.id = c.household_id AND h.tenant_id = c.tenant_id
      UNION ALL
        SELECT 'party', p.user_id, p.account_id, coalesce(u.display_name, a.name)
        FROM csm.case_parties p
        LEFT JOIN csm.users u ON u.id = p.user_id AND u.tenant_id = p.tenant_id
        LEFT JOIN csm.accounts a ON a.id = p.account_id AND a.tenant_id = p.tenant_id
        WHERE own_side AND p.case_id = c.id AND p.tenant_id = c.tenant_id
          AND (p.valid_during IS NULL OR p.valid_during @> statement_timestamp());
END $$;
COMMENT ON FUNCTION csm.case_people(bigint) IS
'Names of the people and accounts on a case that the caller sees (V11); relation is requester, opener, assignee, internal_contact, account, counterparty, partner, counterparty_contact, partner_contact, household or party. user_id and account_id are NULL where they do not apply. Parties are not shown to the counterparty. No row for a hidden or missing case';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text)',
        'csm.act(bigint, text, text, jsonb)',
        'csm.actions(bigint)',
        'csm.comment(bigint, text, text, text)',
        'csm.case_people(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.actions(bigint), csm.case_people(bigint) TO csm_admin;
