-- What is personal: every column that could hold personal data is classified
-- here, and a test refuses one that is not. Erasing, searching, exporting and
-- the planner's statistics follow the list, so that a new table has to say only
-- here what it keeps.

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
        ('csm.users', 'location', 'person', 'id', 'null'),
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
        ('csm.articles', 'title', 'text', 'author_id', 'offer'),
        ('csm.articles', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.articles', 'body', 'text', 'author_id', 'offer'),
        ('csm.articles', 'search', 'text', 'author_id', 'own'),
        ('csm.article_versions', 'title', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'body', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'note', 'text', NULL, 'offer'),
        ('csm.article_feedback', 'comment', 'text', 'user_id', 'word'),
        ('csm.knowledge_gaps', 'summary', 'text', 'reported_by', 'word'),
        ('csm.questions', 'author_name', 'person', 'author_id', 'word'),
        ('csm.questions', 'title', 'text', 'author_id', 'word'),
        ('csm.questions', 'body', 'text', 'author_id', 'word'),
        ('csm.questions', 'search', 'text', 'author_id', 'null'),
        ('csm.answers', 'author_name', 'person', 'author_id', 'word'),
        ('csm.answers', 'body', 'text', 'author_id', 'word'),
        ('csm.post_comments', 'author_name', 'person', 'author_id', 'word'),
        ('csm.post_comments', 'body', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'title', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'body', 'text', 'author_id', 'word'),
        ('csm.post_reports', 'reason', 'text', 'reporter_id', 'word'),
        ('csm.moderation_acts', 'reason', 'text', 'actor_id', 'word'),
        ('csm.community_profiles', 'handle', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'display', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'about', 'text', 'user_id', 'delete'),
        ('csm.publication_texts', 'title', 'text', NULL, 'offer'),
        ('csm.publication_texts', 'body', 'text', NULL, 'offer'),
        ('csm.publication_acts', 'note', 'text', 'actor_id', 'word'),
        ('csm.interactions', 'subject', 'text', 'requester_id', 'word'),
        ('csm.interaction_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.interaction_entries', 'body', 'text', 'author_id', 'own'),
        ('csm_private.interaction_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.email_log', 'message_id', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'from_address', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'detail', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'subject', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'body', 'text', 'user_id', 'delete'),
        ('csm.survey_answers', 'body', 'text', 'user_id', 'null'),
        ('csm_private.survey_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
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
        ('csm_private.mail_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.notifications', 'error', 'person', 'user_id', 'delete'),
        ('csm.notification_templates', 'subject', 'text', NULL, 'offer'),
        ('csm.notification_templates', 'body', 'text', NULL, 'offer'),
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
        ('csm.user_criteria', 'key label match'),
        ('csm.user_criteria_parts', 'kind role persona location language'),
        ('csm.audiences', 'grants_key'),
        ('csm.audience_grants', 'action'),
        ('csm.products', 'name'),
        ('csm.knowledge_bases', 'key title description language'),
        ('csm.knowledge_categories', 'title'),
        ('csm.articles', 'state number language'),
        ('csm.article_versions', 'state'),
        ('csm.case_articles', 'relation'),
        ('csm.knowledge_gaps', 'state'),
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
        ('csm.event_subscribers', 'key kinds case_types subjects'),
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
        ('csm.recipient_lists', 'name kind'),
        ('csm.publication_series', 'key title description event'),
        ('csm.publications', 'state language'),
        ('csm.publication_texts', 'language'),
        ('csm.publication_acts', 'action'),
        ('csm.publication_recipients', 'state'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.forums', 'key title description'),
        ('csm.questions', 'state language'),
        ('csm.answers', 'state'),
        ('csm.post_comments', 'state'),
        ('csm.moderation_acts', 'action'),
        ('csm.case_questions', 'relation'),
        ('csm.interactions', 'branch channel state handled_by verification verified_how language'),
        ('csm.interaction_entries', 'author_kind'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.email_log', 'status reason'),
        ('csm.surveys', 'key label ask_when labels'),
        ('csm.survey_questions', 'key kind label labels'),
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
        ('csm_private.mail_tokens', 'event channel'),
        ('csm.notifications', 'kind channel audience side state'),
        ('csm.notification_rules', 'event channel recipients'),
        ('csm.notification_templates', 'event channel language'),
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

ALTER FUNCTION csm.person_references() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.person_references() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.person_references() TO csm_portal, csm_agent, csm_admin;

-- What ANALYZE takes from a column it keeps as samples. Personal columns that no
-- plan asks about get none; subject and search are analysed anew after an
-- erasure.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT p.table_name, p.column_name FROM csm_private.personal_columns() p
             WHERE p.content <> 'none' AND (p.table_name, p.column_name) NOT IN (('csm.cases', 'subject'), ('csm.cases', 'search'),
                                                                         ('csm.articles', 'title'), ('csm.articles', 'search'),
                                                                         ('csm.questions', 'title'), ('csm.questions', 'search'))
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', c.table_name, c.column_name);
    END LOOP;
END $$;
