-- Erasing a person, by two persons: one asks for it from a privacy request,
-- the other does it.

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

CREATE POLICY erasure_requests_select ON csm.erasure_requests FOR SELECT TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.erasure_requests TO csm_agent, csm_admin;
COMMENT ON POLICY erasure_requests_select ON csm.erasure_requests IS 'Staff with person_manage, and administrators';
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

-- ---- what is emptied ----

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
        UPDATE csm.survey_answers a SET body = NULL WHERE a.case_id = ANY (case_ids) AND a.body IS NOT NULL;
        UPDATE csm.knowledge_gaps g SET summary = 'erased' WHERE g.case_id = ANY (case_ids);
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
    -- History and the audit log go on naming persons who were made one with him.
    ids CONSTANT bigint[] := person.id || ARRAY(SELECT m.removed_id FROM csm.user_merges m WHERE m.kept_id = person.id);
    addresses CONSTANT text[] := person.email_key || ARRAY(SELECT lower(btrim(m.removed ->> 'email')) FROM csm.user_merges m WHERE m.kept_id = person.id);
    c record;
    n bigint;
BEGIN
    PERFORM csm_private.begin_erasures();
    UPDATE csm.case_entries e SET author_name = 'erased', body = 'erased' WHERE e.author_id = person.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone || jsonb_build_object('case_entries', n);
    -- A visitor who turned out to be he has no author_id.
    UPDATE csm.interaction_entries e SET author_name = 'erased', body = 'erased'
    FROM csm.interactions i
    WHERE i.id = e.interaction_id AND i.tenant_id = e.tenant_id
      AND (e.author_id = person.id OR i.requester_id = person.id AND e.author_kind = 'customer');
    DELETE FROM csm_private.interaction_tokens k
    USING csm.interactions i WHERE i.id = k.interaction_id AND i.tenant_id = k.tenant_id AND i.requester_id = person.id;
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
            EXECUTE format('DELETE FROM %s WHERE %I = ANY ($1) AND tenant_id = $2', c.table_name, c.subject) USING ids, person.tenant_id;
        ELSE
            EXECUTE format('UPDATE %s SET %s WHERE %I = ANY ($1) AND tenant_id = $2', c.table_name,
                           (SELECT string_agg(format(CASE c.erasure WHEN 'null' THEN '%1$I = NULL' WHEN 'object' THEN '%1$I = ''{}''' WHEN 'list' THEN '%1$I = ''[]'''
                                                     ELSE '%1$I = CASE WHEN %1$I IS NOT NULL THEN ''erased'' END' END, x), ', ')
                            FROM unnest(c.columns) x), c.subject)
            USING ids, person.tenant_id;
        END IF;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            gone := gone || jsonb_build_object(substr(c.table_name, 5), n + coalesce((gone ->> substr(c.table_name, 5))::bigint, 0));
        END IF;
    END LOOP;
    -- What was begun with an address of his before there was a person.
    DELETE FROM csm.outbox o WHERE o.tenant_id = person.tenant_id AND lower(btrim(o.recipient)) = ANY (addresses);
    DELETE FROM csm.registrations r WHERE r.tenant_id = person.tenant_id AND r.email_key = ANY (addresses);
    DELETE FROM csm.email_log l WHERE l.tenant_id = person.tenant_id AND l.user_id IS NULL AND l.from_address = ANY (addresses);
    UPDATE csm.contacts k SET login_enabled = false WHERE k.user_id = person.id AND k.login_enabled;
    UPDATE csm.users u
    SET display_name = 'erased', email = NULL, phone = NULL, title = NULL, external_id = NULL, login_role = NULL,
        language = 'en', time_zone = 'UTC', enabled = false
    WHERE u.id = person.id AND u.tenant_id = person.tenant_id;
    PERFORM csm_private.end_erasure();
    -- Samples of what was erased stand in the planner's statistics.
    ANALYZE csm.cases (subject, search);
    ANALYZE csm.questions (title, search);
    RETURN gone;
END $$;
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';

-- ---- who asks, and who does it ----

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

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.erase_texts(bigint[], boolean)',
        'csm_private.erase(csm.users)',
        'csm.request_erasure(bigint, text)',
        'csm.erase_person(bigint, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.request_erasure(bigint, text), csm.erase_person(bigint, text) TO csm_agent, csm_admin;
