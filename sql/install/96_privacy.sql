-- Personal data: what is kept of a person, given out, erased, and how long.
--
-- Every column that could hold personal data is classified in
-- csm_private.personal_columns(); a test refuses a column that is not. Erasing,
-- searching, exporting and the planner's statistics follow that list, so that a
-- new table has to say only there what it keeps.

-- ---- what is personal ----

CREATE FUNCTION csm_private.personal_columns()
RETURNS TABLE (table_name text, column_name text, content text, subject text, erasure text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    VALUES
        ('csm.users', 'display_name', 'person', 'id', 'own'),
        ('csm.users', 'email', 'person', 'id', 'own'),
        ('csm.users', 'email_key', 'person', 'id', 'own'),
        ('csm.users', 'phone', 'person', 'id', 'own'),
        ('csm.users', 'title', 'person', 'id', 'own'),
        ('csm.users', 'login_role', 'person', 'id', 'own'),
        ('csm.users', 'external_id', 'person', 'id', 'own'),
        ('csm.employees', 'department', 'person', 'user_id', 'null'),
        ('csm.households', 'name', 'person', 'head_user_id', 'word'),
        ('csm.accounts', 'name', 'text', NULL, 'offer'),
        ('csm.assets', 'serial_number', 'person', 'user_id', 'null'),
        ('csm.assets', 'location', 'person', 'user_id', 'null'),
        ('csm.contracts', 'name', 'text', NULL, 'offer'),
        ('csm.contract_lines', 'description', 'text', NULL, 'offer'),
        ('csm.entitlements', 'name', 'text', NULL, 'offer'),
        ('csm.entitlement_uses', 'note', 'text', 'used_by', 'null'),
        ('csm.cases', 'subject', 'text', 'requester_id', 'own'),
        ('csm.cases', 'description', 'text', 'requester_id', 'own'),
        ('csm.cases', 'resolution_notes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'attributes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'search', 'text', 'requester_id', 'own'),
        ('csm.cases', 'idempotency_key', 'person', 'requester_id', 'own'),
        ('csm.case_internal', 'attributes', 'text', NULL, 'own'),
        ('csm.case_side_fields', 'attributes', 'text', NULL, 'own'),
        ('csm.case_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.case_entries', 'body', 'text', 'author_id', 'own'),
        ('csm.attachments', 'author_name', 'person', 'author_id', 'own'),
        ('csm.attachments', 'file_name', 'text', 'author_id', 'own'),
        ('csm.attachments', 'url', 'text', 'author_id', 'own'),
        ('csm.attachments', 'sha256', 'person', 'author_id', 'own'),
        ('csm.attachment_contents', 'content', 'person', NULL, 'own'),
        ('csm.case_history', 'actor_name', 'person', 'actor_id', 'own'),
        ('csm.case_history', 'payload', 'text', 'actor_id', 'own'),
        ('csm.case_history', 'salt', 'secret', 'actor_id', 'own'),
        ('csm.events', 'payload', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'proposed_name', 'person', 'proposed_by', 'word'),
        ('csm.dispute_proposals', 'notes', 'text', 'proposed_by', 'null'),
        ('csm.dispute_proposals', 'reference', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'decided_name', 'person', 'decided_by', 'word'),
        ('csm.dispute_proposals', 'reason', 'text', 'decided_by', 'null'),
        ('csm.case_tasks', 'subject', 'text', 'opened_by', 'word'),
        ('csm.case_tasks', 'description', 'text', 'opened_by', 'null'),
        ('csm.case_tasks', 'close_notes', 'text', 'closed_by', 'null'),
        ('csm.case_lines', 'description', 'text', 'opened_by', 'word'),
        ('csm.case_lines', 'resolution_notes', 'text', NULL, 'offer'),
        ('csm.case_blocks', 'note', 'text', 'blocked_by', 'word'),
        ('csm.escalations', 'justification', 'text', 'requested_by', 'word'),
        ('csm.escalations', 'decision_note', 'text', 'decided_by', 'word'),
        ('csm.escalations', 'closing_note', 'text', 'closed_by', 'word'),
        ('csm.handling_notes', 'body', 'text', 'user_id', 'word'),
        ('csm.response_templates', 'body', 'text', NULL, 'offer'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.external_identities', 'subject', 'person', 'user_id', 'delete'),
        ('csm.passwords', 'hash', 'secret', 'user_id', 'delete'),
        ('csm.password_resets', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.registrations', 'email', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'email_key', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'display_name', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'terms', 'text', 'user_id', 'delete'),
        ('csm.registrations', 'reason', 'text', 'user_id', 'delete'),
        ('csm.sessions', 'label', 'person', 'user_id', 'delete'),
        ('csm_private.session_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm_private.email_changes', 'email', 'person', 'user_id', 'delete'),
        ('csm_private.email_changes', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.user_merges', 'reason', 'text', 'kept_id', 'word'),
        ('csm.user_merges', 'removed', 'person', 'kept_id', 'object'),
        ('csm.user_merges', 'given_up', 'person', 'kept_id', 'list'),
        ('csm_private.registration_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.legal_holds', 'reason', 'text', 'user_id', 'word'),
        ('csm.erasure_requests', 'reason', 'text', 'user_id', 'word')
  UNION ALL
    -- Names of things, keys, states, computed values: nothing of a person.
    SELECT n.table_name, c.column_name, 'none', NULL, NULL
    FROM (VALUES
        ('csm.users', 'language time_zone'),
        ('csm.tenants', 'key name settings'),
        ('csm.accounts', 'number'),
        ('csm.account_relationships', 'type scope'),
        ('csm.account_team', 'responsibility'),
        ('csm.contacts', 'role'),
        ('csm.user_roles', 'role branches reach'),
        ('csm.roles', 'role kind user_class label branches'),
        ('csm.role_permissions', 'role action reach'),
        ('csm.service_organizations', 'name'),
        ('csm.groups', 'name'),
        ('csm.products', 'name'),
        ('csm.sold_products', 'branch'),
        ('csm.assets', 'branch'),
        ('csm.contracts', 'branch number'),
        ('csm.entitlements', 'branch channels unit'),
        ('csm.entitlement_uses', 'unit'),
        ('csm.cases', 'branch state_class state number case_type language channel resolution_code major_state'),
        ('csm.case_types', 'case_type parent_type label settings'),
        ('csm.case_states', 'case_type state state_class label'),
        ('csm.case_transitions', 'case_type from_state action to_state actors required_fields effects label from_type to_type'),
        ('csm.case_type_fields', 'case_type name label type audience required_for choices reference'),
        ('csm.case_entries', 'branch visibility side idempotency_key'),
        ('csm.case_parties', 'capabilities'),
        ('csm.case_side_fields', 'side'),
        ('csm.attachments', 'visibility side media_type'),
        ('csm.case_history', 'action persona relation audience payload_hash previous_hash hash'),
        ('csm.history_seals', 'root previous_hash hash'),
        ('csm.history_leaves', 'last_hash'),
        ('csm.events', 'kind audience side'),
        ('csm.event_subscribers', 'key kinds case_types'),
        ('csm.dispute_proposals', 'side currency resolution_code outcome'),
        ('csm.case_tasks', 'branch number state'),
        ('csm.case_lines', 'state'),
        ('csm.case_blocks', 'reason'),
        ('csm.case_links', 'kind'),
        ('csm.case_slas', 'name type state'),
        ('csm.sla_definitions', 'name type calendar_from case_types branches'),
        ('csm.sla_events', 'event'),
        ('csm.calendars', 'name time_zone'),
        ('csm.calendar_exceptions', 'name'),
        ('csm.escalation_templates', 'template label severity targets reasons'),
        ('csm.escalations', 'state source reason severity trend'),
        ('csm.recipient_lists', 'name'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.audit_log', 'kind'),
        ('csm.identity_providers', 'name issuer audience algorithms subject_claim claims link_by create_as create_role'),
        ('csm.identity_provider_keys', 'kid jwk algorithms'),
        ('csm.spent_tokens', 'token_hash'),
        ('csm.denied_passwords', 'password'),
        ('csm.account_domains', 'domain'),
        ('csm.notification_preferences', 'event channel'),
        ('csm.sessions', 'kind persona actions'),
        ('csm.registrations', 'kind state language role route'),
        ('csm_private.registration_codes', 'code_hash'),
        ('csm_private.registration_tokens', 'purpose'),
        ('csm_private.captcha_used', 'challenge'),
        ('csm_private.secrets', 'name value'),
        ('csm.erasure_requests', 'erased'),
        ('csm.licence_products', 'product label roles'),
        ('csm.licence_policies', 'policy label counts products'),
        ('csm_private.shipped_copies', 'kind key content')
    ) AS n(table_name, columns), string_to_table(n.columns, ' ') AS c(column_name);
END;
ALTER FUNCTION csm_private.personal_columns() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.personal_columns() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';

-- ---- holds and requests ----

CREATE TABLE csm.legal_holds (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint,
    account_id bigint,
    case_id bigint,
    reason text NOT NULL,
    placed_by bigint,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_by bigint,
    released_at timestamptz,
    CONSTRAINT legal_holds_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT legal_holds_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT legal_holds_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT legal_holds_placed_by_fkey FOREIGN KEY (placed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_released_by_fkey FOREIGN KEY (released_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT legal_holds_one_target CHECK (num_nonnulls(user_id, account_id, case_id) = 1),
    CONSTRAINT legal_holds_reason_check CHECK (length(reason) BETWEEN 1 AND 4000),
    CONSTRAINT legal_holds_released_check CHECK (released_at >= placed_at AND (released_by IS NULL OR released_at IS NOT NULL))
);
SELECT csm_private.adopt_table('csm.legal_holds');

CREATE TABLE csm.erasure_requests (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    case_id bigint,
    reason text NOT NULL,
    requested_by bigint,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by bigint,
    erased_at timestamptz,
    erased jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT erasure_requests_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT erasure_requests_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT erasure_requests_requested_by_fkey FOREIGN KEY (requested_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_approved_by_fkey FOREIGN KEY (approved_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT erasure_requests_second_person_check CHECK (approved_by <> requested_by),
    CONSTRAINT erasure_requests_reason_check CHECK (length(reason) BETWEEN 1 AND 4000)
);
CREATE UNIQUE INDEX erasure_requests_open_idx ON csm.erasure_requests (user_id) WHERE erased_at IS NULL;
SELECT csm_private.adopt_table('csm.erasure_requests');

-- What ANALYZE takes from a column it keeps as samples. Personal columns that no
-- plan asks about get none; subject and search are analysed anew after an
-- erasure.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT p.table_name, p.column_name FROM csm_private.personal_columns() p
             WHERE p.content <> 'none' AND NOT (p.table_name = 'csm.cases' AND p.column_name IN ('subject', 'search'))
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', c.table_name, c.column_name);
    END LOOP;
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{legal_holds,erasure_requests}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''person_manage'') OR csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff with person_manage, and administrators''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_admin', t);
    END LOOP;
END $$;

COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';
COMMENT ON TABLE csm.erasure_requests IS 'Erasures of persons, asked for and done; at most one open for a person';
COMMENT ON COLUMN csm.erasure_requests.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.erasure_requests.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.erasure_requests.user_id IS 'The person';
COMMENT ON COLUMN csm.erasure_requests.case_id IS 'Privacy request it comes from; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.reason IS 'Why; emptied with the erasure, as it may name the person';
COMMENT ON COLUMN csm.erasure_requests.requested_by IS 'Who asked for it; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.requested_at IS 'When he asked';
COMMENT ON COLUMN csm.erasure_requests.approved_by IS 'The second person, who had it done; NULL for retention, the system and while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased_at IS 'When it was done; NULL while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased IS 'How many rows were emptied or deleted, by table; a JSON object';

-- ---- who may, and what is held ----

CREATE FUNCTION csm_private.may_keep_privacy(tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.acts_as_system()
        OR coalesce(tenant_id = csm.current_tenant_id() AND (csm.all_in(tenant_id, 'internal', 'person_manage')
                                                             OR csm.all_in(tenant_id, 'internal', 'configure')), false)
$$;
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';

-- Unknown, of another tenant, and without the right: the same words (V15).
CREATE FUNCTION csm_private.person_to_keep(user_id bigint) RETURNS csm.users
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person csm.users;
BEGIN
    SELECT * INTO person FROM csm.users u WHERE u.id = person_to_keep.user_id;
    IF person.id IS NULL OR NOT csm_private.may_keep_privacy(person.tenant_id) THEN
        RAISE EXCEPTION 'permission denied for personal data of user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators keep them, for persons of their tenant.';
    END IF;
    RETURN person;
END $$;
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';

CREATE FUNCTION csm_private.holds_on(c csm.cases) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.legal_holds h
                   WHERE h.tenant_id = c.tenant_id AND h.released_at IS NULL
                     AND (h.case_id = c.id OR h.user_id = c.requester_id OR h.account_id = c.account_id))
$$;
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';

CREATE FUNCTION csm_private.refuse_held(person csm.users) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM csm.legal_holds h WHERE h.user_id = person.id AND h.released_at IS NULL)
       OR EXISTS (SELECT FROM csm.legal_holds h WHERE h.tenant_id = person.tenant_id AND h.released_at IS NULL)
          AND EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = person.id AND csm_private.holds_on(c)) THEN
        RAISE EXCEPTION 'user % is under a legal hold', person.id USING ERRCODE = '55006',
            DETAIL = 'The person, one of his cases, or the account of one is held.', HINT = 'csm.legal_holds names it.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';

CREATE FUNCTION csm.place_hold(reason text, user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL, case_id bigint DEFAULT NULL)
RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint;
    made csm.legal_holds;
BEGIN
    SELECT x.tenant_id INTO tenant
    FROM (SELECT u.tenant_id FROM csm.users u WHERE u.id = user_id
          UNION ALL SELECT a.tenant_id FROM csm.accounts a WHERE a.id = account_id
          UNION ALL SELECT c.tenant_id FROM csm.cases c WHERE c.id = case_id) x;
    IF tenant IS NULL OR NOT csm_private.may_keep_privacy(tenant) THEN
        RAISE EXCEPTION 'permission denied to place a legal hold' USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators hold a person, an account or a case of their tenant.';
    END IF;
    INSERT INTO csm.legal_holds (tenant_id, user_id, account_id, case_id, reason, placed_by)
    VALUES (tenant, user_id, account_id, case_id, reason, csm.current_user_id()) RETURNING * INTO made;
    PERFORM csm_private.audit('legal_hold_placed', csm.current_user_id(), user_id, account_id, jsonb_build_object('hold', made.id), tenant);
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';

CREATE FUNCTION csm.release_hold(hold_id bigint) RETURNS csm.legal_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hold csm.legal_holds;
BEGIN
    SELECT * INTO hold FROM csm.legal_holds h WHERE h.id = hold_id FOR UPDATE;
    IF hold.id IS NULL OR NOT csm_private.may_keep_privacy(hold.tenant_id) THEN
        RAISE EXCEPTION 'permission denied to release legal hold %', coalesce(hold_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'Staff with person_manage and administrators do.';
    ELSIF hold.released_at IS NULL THEN
        UPDATE csm.legal_holds h SET released_at = clock_timestamp(), released_by = csm.current_user_id()
        WHERE h.id = hold.id AND h.tenant_id = hold.tenant_id RETURNING * INTO hold;
        PERFORM csm_private.audit('legal_hold_released', csm.current_user_id(), hold.user_id, hold.account_id,
                                  jsonb_build_object('hold', hold.id), hold.tenant_id);
    END IF;
    RETURN hold;
END $$;
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';

-- ---- erasing ----

-- What stands in the person's own cases: texts, fields, files (whoever attached
-- them, for their content cannot be searched), and the history of all that.
-- With all_texts also what anybody wrote there.
CREATE FUNCTION csm_private.erase_texts(case_ids bigint[], all_texts boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cases bigint;
    entries bigint;
    files bigint;
    links bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.cases c
    SET subject = 'erased', description = NULL, resolution_notes = CASE WHEN c.resolution_notes IS NOT NULL THEN 'erased' END,
        attributes = '{}', idempotency_key = NULL
    WHERE c.id = ANY (case_ids);
    GET DIAGNOSTICS cases = ROW_COUNT;
    UPDATE csm.case_internal f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_side_fields f SET attributes = '{}' WHERE f.case_id = ANY (case_ids) AND f.attributes <> '{}';
    UPDATE csm.case_lines l
    SET description = CASE WHEN l.description IS NOT NULL THEN 'erased' END,
        resolution_notes = CASE WHEN l.resolution_notes IS NOT NULL THEN 'erased' END
    WHERE l.case_id = ANY (case_ids);
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a
    WHERE a.case_id = ANY (case_ids) AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id AND t.content <> '';
    UPDATE csm.attachments a
    SET file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.case_id = ANY (case_ids) AND a.file_name <> 'erased';
    GET DIAGNOSTICS files = ROW_COUNT;
    IF all_texts THEN
        UPDATE csm.case_entries e SET body = 'erased' WHERE e.case_id = ANY (case_ids) AND e.body <> 'erased';
        GET DIAGNOSTICS entries = ROW_COUNT;
        UPDATE csm.case_tasks t
        SET subject = 'erased', description = CASE WHEN t.description IS NOT NULL THEN 'erased' END,
            close_notes = CASE WHEN t.close_notes IS NOT NULL THEN 'erased' END
        WHERE t.case_id = ANY (case_ids);
        UPDATE csm.dispute_proposals p
        SET notes = CASE WHEN p.notes IS NOT NULL THEN 'erased' END, reason = CASE WHEN p.reason IS NOT NULL THEN 'erased' END
        WHERE p.case_id = ANY (case_ids);
        UPDATE csm.handling_notes n SET body = 'erased' WHERE n.case_id = ANY (case_ids);
        UPDATE csm.case_blocks b SET note = 'erased' WHERE b.case_id = ANY (case_ids) AND b.note IS NOT NULL;
        UPDATE csm.escalations x
        SET justification = 'erased', decision_note = CASE WHEN x.decision_note IS NOT NULL THEN 'erased' END,
            closing_note = CASE WHEN x.closing_note IS NOT NULL THEN 'erased' END
        WHERE x.case_id = ANY (case_ids);
    END IF;
    -- The links that the statements above left say nothing of what was.
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.case_id = ANY (case_ids) AND h.salt IS NOT NULL AND h.action <> 'erase'
      AND (h.payload ?| '{subject,description,resolution_notes,attributes,idempotency_key,internal.attributes,customer.attributes,counterparty.attributes,attachment.id}'
           OR all_texts AND h.payload ? 'entry.id');
    GET DIAGNOSTICS links = ROW_COUNT;
    PERFORM csm_private.end_erasure();
    RETURN jsonb_build_object('cases', cases, 'attachments', files, 'case_history', links) || CASE WHEN all_texts
        THEN jsonb_build_object('case_entries', entries) ELSE '{}' END;
END $$;
COMMENT ON FUNCTION csm_private.erase_texts(bigint[], boolean) IS
'Empties what is written in these cases: their own texts, fields and files, with all_texts also what anybody wrote on them; and the history of it. Returns how many rows by table';

CREATE FUNCTION csm_private.erase(person csm.users) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id ORDER BY c.id);
    gone jsonb := csm_private.erase_texts(own, false);
    kinds CONSTANT text[] := ARRAY(SELECT csm_private.act_kinds(person.tenant_id));
    -- History goes on naming persons who were made one with him.
    ids CONSTANT bigint[] := person.id || ARRAY(SELECT m.removed_id FROM csm.user_merges m WHERE m.kept_id = person.id);
    c record;
    n bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.case_entries e SET author_name = 'erased', body = 'erased' WHERE e.author_id = person.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_entries', n);
    UPDATE csm.attachment_contents t SET content = ''
    FROM csm.attachments a WHERE a.author_id = person.id AND t.attachment_id = a.id AND t.tenant_id = a.tenant_id;
    UPDATE csm.attachments a
    SET author_name = 'erased', file_name = 'erased', url = CASE WHEN a.url IS NOT NULL THEN 'https://erased.invalid/' END,
        size = CASE WHEN a.url IS NULL THEN 0 END, sha256 = CASE WHEN a.url IS NULL THEN sha256('') END
    WHERE a.author_id = person.id;
    UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
    WHERE h.salt IS NOT NULL
      AND h.id = ANY (ARRAY(SELECT a.id FROM csm_private.acts a
                            WHERE a.tenant_id = person.tenant_id AND a.kind = ANY (kinds) AND a.actor_id = ANY (ids)));
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_history', n + (gone ->> 'case_history')::bigint);
    UPDATE csm.handling_notes t SET body = 'erased'
    FROM csm.contacts k WHERE k.user_id = person.id AND t.contact_id = k.id AND t.tenant_id = k.tenant_id;

    FOR c IN SELECT p.table_name, p.subject, p.erasure, array_agg(p.column_name ORDER BY p.column_name) AS columns
             FROM csm_private.personal_columns() p WHERE p.erasure IN ('null', 'word', 'object', 'list', 'delete') GROUP BY 1, 2, 3
    LOOP
        IF c.erasure = 'delete' THEN
            EXECUTE format('DELETE FROM %s WHERE %I = $1 AND tenant_id = $2', c.table_name, c.subject) USING person.id, person.tenant_id;
        ELSE
            EXECUTE format('UPDATE %s SET %s WHERE %I = $1 AND tenant_id = $2', c.table_name,
                           (SELECT string_agg(format(CASE c.erasure WHEN 'null' THEN '%1$I = NULL' WHEN 'object' THEN '%1$I = ''{}''' WHEN 'list' THEN '%1$I = ''[]'''
                                                     ELSE '%1$I = CASE WHEN %1$I IS NOT NULL THEN ''erased'' END' END, x), ', ')
                            FROM unnest(c.columns) x), c.subject)
            USING person.id, person.tenant_id;
        END IF;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            gone := gone || jsonb_build_object(substr(c.table_name, 5), n + coalesce((gone ->> substr(c.table_name, 5))::bigint, 0));
        END IF;
    END LOOP;
    -- What was begun with his address before there was a person.
    DELETE FROM csm.outbox o WHERE o.tenant_id = person.tenant_id AND lower(btrim(o.recipient)) = person.email_key;
    DELETE FROM csm.registrations r WHERE r.tenant_id = person.tenant_id AND r.email_key = person.email_key;
    UPDATE csm.contacts k SET login_enabled = false WHERE k.user_id = person.id AND k.login_enabled;
    UPDATE csm.users u
    SET display_name = 'erased', email = NULL, phone = NULL, title = NULL, external_id = NULL, login_role = NULL,
        language = 'en', time_zone = 'UTC', enabled = false
    WHERE u.id = person.id AND u.tenant_id = person.tenant_id;
    PERFORM csm_private.end_erasure();
    -- Samples of what was erased stand in the planner's statistics.
    ANALYZE csm.cases (subject, search);
    RETURN gone;
END $$;
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';

CREATE FUNCTION csm.request_erasure(case_id bigint, reason text) RETURNS csm.erasure_requests
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_system CONSTANT boolean := csm_private.acts_as_system();
    c csm.cases;
    made csm.erasure_requests;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF c.id IS NULL OR NOT (is_system OR csm_private.case_allows(c, 'case_read')) THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    ELSIF NOT (is_system OR csm_private.case_allows(c, 'case_work')) THEN
        RAISE EXCEPTION 'permission denied to ask for an erasure from case %', c.number USING ERRCODE = '42501',
            HINT = 'Staff who work on the privacy request do.';
    ELSIF csm_private.machine_type(c.tenant_id, c.case_type) IS DISTINCT FROM 'privacy_request' AND c.case_type <> 'privacy_request'
       OR c.attributes ->> 'right_asked' IS DISTINCT FROM 'erasure' OR c.state_class NOT IN ('open', 'waiting')
       OR NOT EXISTS (SELECT FROM csm.case_internal i WHERE i.case_id = c.id AND i.tenant_id = c.tenant_id AND i.attributes ? 'identity_proof') THEN
        RAISE EXCEPTION 'case % is no privacy request for erasure whose identity is confirmed', c.number USING ERRCODE = '22023',
            HINT = 'Take a case of type privacy_request with right_asked erasure, and set identity_proof, first.';
    END IF;
    INSERT INTO csm.erasure_requests (tenant_id, user_id, case_id, reason, requested_by)
    VALUES (c.tenant_id, c.requester_id, c.id, reason, csm.current_user_id()) RETURNING * INTO made;
    PERFORM csm_private.audit('erasure_requested', csm.current_user_id(), c.requester_id, NULL, jsonb_build_object('request', made.id), c.tenant_id);
    RETURN made;
END $$;
COMMENT ON FUNCTION csm.request_erasure(bigint, text) IS
'Asks that the requester of a privacy request be erased; a second person does it with csm.erase_person(). Staff who work on the case. Errors: SM001, 42501, 22023 no open privacy_request with right_asked erasure and an identity_proof, 23505 asked for already';

CREATE FUNCTION csm.erase_person(user_id bigint, reason text) RETURNS csm.erasure_requests
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person csm.users := csm_private.person_to_keep(erase_person.user_id);
    me CONSTANT bigint := csm.current_user_id();
    request csm.erasure_requests;
    gone jsonb;
BEGIN
    IF coalesce(erase_person.reason, '') !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'an erasure needs a reason' USING ERRCODE = '22023', HINT = 'Say on what ground the person is erased.';
    END IF;
    SELECT * INTO person FROM csm.users u WHERE u.id = person.id FOR UPDATE;
    SELECT * INTO request FROM csm.erasure_requests r WHERE r.user_id = person.id AND r.erased_at IS NULL FOR UPDATE;
    IF request.id IS NULL AND csm_private.acts_as_system() THEN
        INSERT INTO csm.erasure_requests (tenant_id, user_id, reason) VALUES (person.tenant_id, person.id, erase_person.reason)
        RETURNING * INTO request;
    ELSIF request.id IS NULL THEN
        RAISE EXCEPTION 'nobody asked for the erasure of user %', person.id USING ERRCODE = '55000',
            HINT = 'csm.request_erasure() does, from his privacy request; a second person then erases.';
    ELSIF me IN (request.requested_by, person.id) THEN
        RAISE EXCEPTION 'erasing user % takes a second person', person.id USING ERRCODE = '42501',
            HINT = 'Neither who asked for it nor the person himself can approve it.';
    END IF;
    PERFORM csm_private.refuse_held(person);
    gone := csm_private.erase(person);
    UPDATE csm.erasure_requests r
    SET erased = gone, approved_by = me, erased_at = clock_timestamp(), reason = 'erased'
    WHERE r.id = request.id AND r.tenant_id = request.tenant_id RETURNING * INTO request;
    PERFORM csm_private.audit('person_erased', me, person.id, NULL, jsonb_build_object('request', request.id), person.tenant_id);
    RETURN request;
END $$;
COMMENT ON FUNCTION csm.erase_person(bigint, text) IS
'Erases a person: every registered personal column of his, the texts, fields and files of his cases, his entries, the history of these; his row stays, disabled, as a number. Keeps cases, counts, and a chain that verifies. Done by staff with person_manage or an administrator other than who asked for it with csm.request_erasure(); the system needs no request. What others wrote: csm.find_mentions(), before. Errors: 42501 (also for an unknown person), 55000 nobody asked, 55006 legal hold, 22023 no reason';

-- ---- what others wrote ----

CREATE FUNCTION csm_private.mention_pattern(person csm.users) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(DISTINCT regexp_replace(w.word, '([][\\.(){}*+?^$|])', '\\\1', 'g'), '|')
    FROM (SELECT t.term FROM unnest(ARRAY[person.display_name, person.email, person.phone, person.external_id,
                                          substring(person.display_name FROM '[^[:space:]]+$')]) t(term)
          WHERE length(btrim(t.term)) >= 3 AND person.display_name <> 'erased') n
    -- as it stands in a text, and as JSON writes it
    CROSS JOIN LATERAL (VALUES (btrim(n.term)), (btrim(to_json(btrim(n.term))::text, '"'))) w(word)
$$;
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id; NULL for an erased one';

-- Which column tells a row of a table, and which its case.
CREATE FUNCTION csm_private.row_key(table_name text, OUT key text, OUT case_key text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT a.attname FROM pg_attribute a
            WHERE a.attrelid = table_name::regclass AND a.attname IN ('id', 'case_id', 'user_id') AND NOT a.attisdropped
            ORDER BY array_position('{id,case_id,user_id}', a.attname::text) LIMIT 1),
           CASE WHEN table_name = 'csm.cases' THEN 'id'
                WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = table_name::regclass AND a.attname = 'case_id') THEN 'case_id' END
$$;
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';

CREATE FUNCTION csm.find_mentions(user_id bigint)
RETURNS TABLE (table_name text, column_name text, row_id bigint, case_id bigint, excerpt text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(find_mentions.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id);
    c record;
BEGIN
    FOR c IN SELECT p.table_name AS tab, p.column_name AS col, p.subject, p.erasure, k.key, k.case_key
             FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
             WHERE p.content IN ('text', 'person') AND k.key IS NOT NULL AND p.table_name <> 'csm.users'
               AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content') AND pattern IS NOT NULL
             ORDER BY 1, 2
    LOOP
        -- without what csm.erase_person() empties by itself
        RETURN QUERY EXECUTE format(
            'SELECT %L, %L, t.%I, %s, substring(t.%I::text FROM ''(?i).{0,40}(?:'' || $2 || '').{0,40}'') FROM %s t '
            'WHERE t.tenant_id = $3 AND t.%I::text ~* $2 %s %s', c.tab, c.col, c.key, coalesce('t.' || quote_ident(c.case_key), 'NULL::bigint'),
            c.col, c.tab, c.col,
            CASE WHEN c.subject IS NOT NULL AND c.erasure <> 'offer' THEN format('AND t.%I IS DISTINCT FROM $1', c.subject) ELSE '' END,
            CASE WHEN c.tab IN ('csm.case_history', 'csm.case_internal', 'csm.case_side_fields', 'csm.case_lines', 'csm.attachments')
                 THEN format('AND t.%I <> ALL ($4)', c.case_key) ELSE '' END)
        USING person.id, pattern, person.tenant_id, own;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';

CREATE FUNCTION csm.redact_mention(user_id bigint, table_name text, column_name text, row_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(redact_mention.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    place record;
    n bigint;
BEGIN
    SELECT p.table_name AS tab, p.column_name AS col, k.key, k.case_key INTO place
    FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
    WHERE p.table_name = redact_mention.table_name AND p.column_name = redact_mention.column_name
      AND p.content IN ('text', 'person') AND k.key IS NOT NULL
      AND p.table_name <> 'csm.users' AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content');
    IF place.tab IS NULL THEN
        RAISE EXCEPTION 'nothing can be redacted in column %.%', redact_mention.table_name, redact_mention.column_name USING ERRCODE = '22023',
            HINT = 'csm.find_mentions() names table, column and row.';
    ELSIF NOT (csm_private.acts_as_system() OR EXISTS (SELECT FROM csm.erasure_requests r
                                                       WHERE r.user_id = person.id AND r.erased_at IS NULL
                                                         AND r.requested_by IS DISTINCT FROM csm.current_user_id())) THEN
        RAISE EXCEPTION 'redacting what others wrote about user % takes a second person', person.id USING ERRCODE = '42501',
            HINT = 'csm.request_erasure() asks for it, from his privacy request.';
    END IF;
    PERFORM csm_private.refuse_held(person);
    IF place.case_key IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s t JOIN csm.cases c ON c.id = t.%I AND c.tenant_id = t.tenant_id '
                       'WHERE t.%I = $1 AND t.tenant_id = $2 AND csm_private.holds_on(c)', place.tab, place.case_key, place.key)
        INTO n USING row_id, person.tenant_id;
        IF n > 0 THEN
            RAISE EXCEPTION 'row % of % belongs to a case under a legal hold', row_id, place.tab USING ERRCODE = '55006',
                HINT = 'csm.legal_holds names it.';
        END IF;
    END IF;
    PERFORM csm_private.begin_erasures();
    IF place.tab = 'csm.case_history' THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.id = row_id AND h.tenant_id = person.tenant_id AND (h.payload::text ~* pattern OR h.actor_name ~* pattern);
    ELSE
        EXECUTE format('UPDATE %1$s t SET %2$I = regexp_replace(t.%2$I::text, $1, ''erased'', ''gi'')::%3$s '
                       'WHERE t.%4$I = $2 AND t.tenant_id = $3 AND t.%2$I::text ~* $1',
                       place.tab, place.col, (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
                                              WHERE a.attrelid = place.tab::regclass AND a.attname = place.col), place.key)
        USING pattern, row_id, person.tenant_id;
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    -- A link that vouches for the old text cannot stay.
    IF n > 0 AND place.tab IN ('csm.case_entries', 'csm.attachments') THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.case_id = (SELECT e.case_id FROM csm.case_entries e WHERE place.tab = 'csm.case_entries' AND e.id = row_id
                           UNION ALL SELECT a.case_id FROM csm.attachments a WHERE place.tab = 'csm.attachments' AND a.id = row_id)
          AND h.payload #>> CASE place.tab WHEN 'csm.attachments' THEN '{attachment.id,1}'::text[] ELSE '{entry.id,1}' END = row_id::text;
    END IF;
    PERFORM csm_private.end_erasure();
    IF n > 0 THEN
        PERFORM csm_private.audit('mention_redacted', csm.current_user_id(), person.id, NULL,
                                  jsonb_build_object('table', place.tab, 'column', place.col, 'row', row_id), person.tenant_id);
    END IF;
    RETURN n > 0;
END $$;
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';

-- ---- retention ----

-- One tenant, at most so many cases and persons: what is left over the next run
-- meets.
CREATE FUNCTION csm_private.retain(tenant_id bigint, at timestamptz, at_most integer)
RETURNS TABLE (kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rules CONSTANT jsonb := (SELECT t.settings -> 'retention' FROM csm.tenants t WHERE t.id = tenant_id);
    before timestamptz;
    ids bigint[];
    person csm.users;
    gone jsonb;
BEGIN
    IF jsonb_typeof(rules -> 'case_days') = 'number' THEN
        kind := 'case';
        before := at - (rules ->> 'case_days')::numeric::integer * interval '1 day';
        SELECT count(*) INTO held FROM csm.cases c
        WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
          AND coalesce(c.closed_at, c.updated_at) < before AND csm_private.holds_on(c);
        ids := ARRAY(SELECT c.id FROM csm.cases c
                     WHERE c.tenant_id = tenant_id AND c.state_class IN ('closed', 'cancelled') AND c.subject <> 'erased'
                       AND coalesce(c.closed_at, c.updated_at) < before AND NOT csm_private.holds_on(c)
                     ORDER BY c.id LIMIT at_most FOR NO KEY UPDATE SKIP LOCKED);
        erased := cardinality(ids);
        IF erased > 0 THEN
            PERFORM csm_private.erase_texts(ids, true);
            ANALYZE csm.cases (subject, search);
        END IF;
        RETURN NEXT;
    END IF;
    IF jsonb_typeof(rules -> 'person_days') = 'number' THEN
        kind := 'person';
        before := at - (rules ->> 'person_days')::numeric::integer * interval '1 day';
        erased := 0;
        held := 0;
        FOR person IN
            SELECT u.* FROM csm.users u
            WHERE u.tenant_id = tenant_id AND u.created_at < before AND u.login_role IS NULL AND u.display_name <> 'erased'
              AND NOT EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = u.id AND (r.valid_during IS NULL OR upper_inf(r.valid_during) OR upper(r.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.registered_at >= before)
              AND NOT EXISTS (SELECT FROM csm.representations k WHERE u.id IN (k.representative_id, k.represented_id)
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.household_members k WHERE k.user_id = u.id
                              AND (k.valid_during IS NULL OR upper_inf(k.valid_during) OR upper(k.valid_during) >= before))
              AND NOT EXISTS (SELECT FROM csm.mail_senders s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.event_subscribers s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.sold_products s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.contracts s WHERE s.user_id = u.id)
              AND NOT EXISTS (SELECT FROM csm.cases c WHERE c.requester_id = u.id
                              AND (c.state_class NOT IN ('closed', 'cancelled') OR c.updated_at >= before))
              AND NOT EXISTS (SELECT FROM csm.audit_log a WHERE a.actor_id = u.id AND a.at >= before)
            ORDER BY u.id LIMIT at_most FOR UPDATE SKIP LOCKED
        LOOP
            BEGIN
                PERFORM csm_private.refuse_held(person);
            EXCEPTION WHEN object_in_use THEN
                held := held + 1;
                CONTINUE;
            END;
            INSERT INTO csm.erasure_requests AS r (tenant_id, user_id, reason) VALUES (tenant_id, person.id, 'retention')
            ON CONFLICT (user_id) WHERE erased_at IS NULL DO NOTHING;
            gone := csm_private.erase(person);
            UPDATE csm.erasure_requests r SET erased = gone, erased_at = clock_timestamp(), reason = 'erased'
            WHERE r.user_id = person.id AND r.erased_at IS NULL;
            PERFORM csm_private.audit('person_erased', NULL, person.id, NULL, '{"by": "retention"}', tenant_id);
            erased := erased + 1;
        END LOOP;
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days; nothing where a legal hold stands';

CREATE FUNCTION csm.run_retention(now timestamptz DEFAULT clock_timestamp(), "limit" integer DEFAULT 1000)
RETURNS TABLE (tenant_id bigint, kind text, erased bigint, held bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    everywhere CONSTANT boolean := csm_private.acts_as_system();
    mine CONSTANT bigint := csm.current_tenant_id();
BEGIN
    IF NOT everywhere AND NOT coalesce(csm.all_in(mine, 'internal', 'configure'), false) THEN
        RAISE EXCEPTION 'permission denied to run retention' USING ERRCODE = '42501',
            HINT = 'An administrator runs it for his own tenant, a member of csm_owner for all.';
    ELSIF run_retention.now IS NULL OR run_retention."limit" IS NULL OR run_retention."limit" < 1 THEN
        RAISE EXCEPTION 'now and limit must not be null, nor limit less than 1' USING ERRCODE = '22023', HINT = 'Leave them out.';
    ELSIF NOT everywhere AND run_retention.now > clock_timestamp() THEN
        RAISE EXCEPTION 'what is to be kept still cannot be erased' USING ERRCODE = '42501',
            DETAIL = format('The time given is %s.', run_retention.now), HINT = 'Leave now out.';
    END IF;
    RETURN QUERY SELECT t.id, r.kind, r.erased, r.held
                 FROM csm.tenants t CROSS JOIN LATERAL csm_private.retain(t.id, run_retention.now, run_retention."limit") r
                 WHERE everywhere OR t.id = mine;
END $$;
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases and persons of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';

CREATE FUNCTION csm_private.due_retention(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_most CONSTANT integer := 200;
    most bigint;
BEGIN
    SELECT max(r.erased) INTO most FROM csm_private.retain(due_retention.tenant_id, due_retention.at, at_most) r;
    IF most IS NOT NULL THEN
        PERFORM csm_private.set_timer(due_retention.tenant_id, 'retention', due_retention.object_id, NULL,
            due_retention.at + CASE WHEN most < at_most THEN interval '1 day' ELSE interval '1 minute' END);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';

CREATE FUNCTION csm_private.begin_retention() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.settings ? 'retention' THEN
        FOR rule IN SELECT r.key, r.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings -> 'retention') WHEN 'object'
                                                          THEN NEW.settings -> 'retention' ELSE '{"retention": null}' END) r LOOP
            IF rule.key NOT IN ('case_days', 'person_days') OR jsonb_typeof(rule.value) <> 'number'
               OR rule.value::text !~ '^[1-9][0-9]{0,4}$' THEN
                RAISE EXCEPTION 'setting retention of a tenant has case_days and person_days, whole days from 1 to 99999' USING ERRCODE = '22023',
                    DETAIL = format('It has %s: %s.', rule.key, rule.value), HINT = 'Leave out what is to be kept for ever.';
            END IF;
        END LOOP;
    END IF;
    PERFORM csm_private.set_timer(NEW.id, 'retention', NEW.id, NULL,
        CASE WHEN NEW.settings ? 'retention' THEN clock_timestamp() + interval '1 hour' END);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';

-- ---- what is kept of a person ----

-- Columns that say whom a row is about or by: foreign keys to csm.users, and
-- those without one.
CREATE FUNCTION csm.person_references() RETURNS TABLE (table_name text, column_name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, t.relname), a.attname::text
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_class u ON u.oid = k.confrelid AND u.relname = 'users'
    JOIN pg_namespace un ON un.oid = u.relnamespace AND un.nspname = 'csm'
    WHERE k.contype = 'f' AND n.nspname IN ('csm', 'csm_private') AND a.attname <> 'tenant_id'
  UNION
    VALUES ('csm.users', 'id'), ('csm.case_history', 'actor_id'), ('csm.case_history', 'on_behalf_of'), ('csm.events', 'actor_id'),
           ('csm.events', 'on_behalf_of'), ('csm.case_entries', 'on_behalf_of'),
           ('csm.audit_log', 'actor_id'), ('csm.audit_log', 'subject_user_id'), ('csm.case_children', 'user_id')
$$;
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';

CREATE FUNCTION csm.export_person_in_full(user_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(export_person_in_full.user_id);
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.table_name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND NOT EXISTS (SELECT FROM csm_private.personal_columns() p
                                       WHERE p.table_name = f.table_name AND p.column_name = a.attname AND p.content = 'secret')) AS columns
             FROM csm.person_references() f ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1 AND t.tenant_id = $2) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING person.id, person.tenant_id;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = person.id AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM person.id;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', person.id, 'made_at', clock_timestamp(), 'made_by', csm.current_user_id(), 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';

-- With the rights of its caller: a person reads of himself what he may read
-- elsewhere, no more.
CREATE FUNCTION csm.export_person(user_id bigint DEFAULT csm.current_user_id()) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    r record;
    rows jsonb;
    parts jsonb[] := '{}'::jsonb[];
BEGIN
    IF export_person.user_id IS DISTINCT FROM me OR me IS NULL OR NOT row_security_active('csm.users') THEN
        RETURN csm.export_person_in_full(export_person.user_id);
    END IF;
    FOR r IN SELECT f.table_name, f.column_name,
                    (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                       AND a.atttypid NOT IN ('bytea'::regtype, 'tsvector'::regtype)
                       AND has_column_privilege(f.oid, a.attnum, 'SELECT')) AS columns
             FROM (SELECT p.table_name, p.column_name, c.oid
                   FROM csm.person_references() p
                   JOIN pg_class c ON c.relname = split_part(p.table_name, '.', 2)
                   JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = split_part(p.table_name, '.', 1)
                   -- the relation first: elsewhere one of the same name has other columns
                   WHERE CASE WHEN n.nspname = 'csm' THEN has_column_privilege(c.oid, p.column_name, 'SELECT') ELSE false END) f
             ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM (SELECT %s FROM %s t WHERE t.%I = $1) x',
                       r.columns, r.table_name, r.column_name) INTO rows USING me;
        IF rows IS NOT NULL THEN
            parts := parts || jsonb_build_object('table', r.table_name, 'through', r.column_name, 'rows', rows);
        END IF;
    END LOOP;
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) INTO rows
    FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
    WHERE c.requester_id = me AND e.visibility = 'shared' AND e.author_id IS DISTINCT FROM me;
    IF rows IS NOT NULL THEN
        parts := parts || jsonb_build_object('table', 'csm.case_entries', 'through', 'csm.cases.requester_id', 'rows', rows);
    END IF;
    RETURN jsonb_build_object('user_id', me, 'made_at', clock_timestamp(), 'made_by', me, 'parts', to_jsonb(parts));
END $$;
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';

-- ---- reporting ----

CREATE VIEW csm_report.people WITH (security_invoker = true) AS
SELECT u.id,
       'Person ' || u.id AS label,
       u.enabled,
       u.language,
       u.time_zone,
       u.created_at,
       EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id AND e.tenant_id = u.tenant_id) AS is_employee,
       EXISTS (SELECT FROM csm.consumers k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_consumer,
       EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id) AS is_contact
FROM csm.users u;
ALTER VIEW csm_report.people OWNER TO csm_owner;
REVOKE ALL ON csm_report.people FROM PUBLIC;
GRANT SELECT ON csm_report.people TO csm_agent, csm_reporter, csm_admin;
-- A department names few people, a free text may name any.
REVOKE SELECT ON csm.employees, csm.contract_lines FROM csm_reporter;
GRANT SELECT (user_id, tenant_id, manager_id) ON csm.employees TO csm_reporter;
GRANT SELECT (id, tenant_id, contract_id, product_id, sold_product_id, asset_id, quantity) ON csm.contract_lines TO csm_reporter;
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.may_keep_privacy(bigint)',
        'csm_private.person_to_keep(bigint)',
        'csm_private.holds_on(csm.cases)',
        'csm_private.refuse_held(csm.users)',
        'csm.place_hold(text, bigint, bigint, bigint)',
        'csm.release_hold(bigint)',
        'csm_private.erase_texts(bigint[], boolean)',
        'csm_private.erase(csm.users)',
        'csm.request_erasure(bigint, text)',
        'csm.erase_person(bigint, text)',
        'csm_private.mention_pattern(csm.users)',
        'csm_private.row_key(text)',
        'csm.find_mentions(bigint)',
        'csm.redact_mention(bigint, text, text, bigint)',
        'csm_private.retain(bigint, timestamptz, integer)',
        'csm.run_retention(timestamptz, integer)',
        'csm_private.due_retention(bigint, bigint, timestamptz)',
        'csm_private.begin_retention()',
        'csm.person_references()',
        'csm.export_person_in_full(bigint)',
        'csm.export_person(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.place_hold(text, bigint, bigint, bigint), csm.release_hold(bigint), csm.request_erasure(bigint, text),
    csm.erase_person(bigint, text), csm.find_mentions(bigint), csm.redact_mention(bigint, text, text, bigint) TO csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.run_retention(timestamptz, integer) TO csm_admin;
GRANT EXECUTE ON FUNCTION csm.export_person(bigint), csm.export_person_in_full(bigint), csm.person_references() TO csm_portal, csm_agent, csm_admin;

CREATE TRIGGER tenants_50_retention AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_retention();
