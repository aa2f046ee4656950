-- What each role may do with each table, as a matrix: s(elect) i(nsert) u(pdate) d(elete); a capital letter means only on
-- some columns, which are listed below. A table that is not named here fails the test.
SELECT * FROM no_plan();
CREATE TEMP TABLE matrix (tab text PRIMARY KEY, guest text, portal text, agent text, reporter text, admin text);
INSERT INTO matrix VALUES
    ('csm.tenants', '', 's', 's', 's', 'sU'),
    ('csm.roles', '', 's', 's', 's', 'siud'),
    ('csm.role_permissions', '', 's', 's', 's', 'siud'),
    ('csm.users', '', 's', 'sIU', 'S', 'sIU'),
    ('csm.employees', '', 's', 'siud', 'S', 'siud'),
    ('csm.consumers', '', 's', 'siud', 's', 'siud'),
    ('csm.accounts', '', 's', 'sIU', 's', 'sIU'),
    ('csm.contacts', '', 's', 'siud', 's', 'siud'),
    ('csm.account_relationships', '', 's', 'siud', 's', 'siud'),
    ('csm.households', '', 's', 'siud', 'S', 'siud'),
    ('csm.household_members', '', 's', 'siud', 's', 'siud'),
    ('csm.representations', '', 's', 'siud', 's', 'siud'),
    ('csm.service_organizations', '', '', 's', 's', 'siud'),
    ('csm.service_organization_members', '', '', 's', 's', 'siud'),
    ('csm.user_roles', '', 's', 's', 's', 'siud'),
    ('csm.account_team', '', '', 'siud', 's', 'siud'),
    ('csm.groups', '', '', 's', 's', 'siud'),
    ('csm.group_members', '', '', 's', 's', 'siud'),
    ('csm.user_criteria', '', '', 's', 's', 'sIUd'),
    ('csm.user_criteria_parts', '', '', 's', 's', 'sIUd'),
    ('csm.audiences', '', '', 's', 's', 'sIUd'),
    ('csm.audience_grants', '', '', 'sIUd', 's', 'sIUd'),
    ('csm.products', '', 's', 'sIU', 's', 'sIU'),
    ('csm.knowledge_bases', 's', 's', 'sU', 'S', 'sIU'),
    ('csm.knowledge_categories', 's', 's', 'sIUd', 's', 's'),
    ('csm.articles', 's', 'sI', 'sIU', 'S', 's'),
    ('csm.article_versions', '', 's', 's', '', ''),
    ('csm.article_feedback', '', 's', 's', 'S', 's'),
    ('csm.article_views', '', '', 's', 's', 's'),
    ('csm.case_articles', '', 's', 'sd', 'S', 's'),
    ('csm.knowledge_gaps', '', '', 's', '', ''),
    ('csm_report.article_use', '', '', 's', 's', 's'),
    ('csm.sold_products', '', 's', 'sIU', 'S', 'sIU'),
    ('csm.assets', '', 's', 'sIU', 'S', 'sIU'),
    ('csm.asset_contacts', '', 'sId', 'sId', '', 'sId'),
    ('csm.asset_parties', '', 'sIUd', 'sIUd', '', 'sIUd'),
    ('csm.contracts', '', 's', 'sIU', 'S', 'sIU'),
    ('csm.contract_lines', '', 's', 'sId', 'S', 'sId'),
    ('csm.entitlements', '', 's', 'sIU', 'S', 'sIU'),
    ('csm.entitlement_uses', '', '', 's', '', 's'),
    ('csm.case_types', '', 's', 's', 's', 'siud'),
    ('csm.case_states', '', 's', 's', 's', 'siud'),
    ('csm.case_transitions', '', 's', 's', 's', 'siud'),
    ('csm.case_type_fields', '', 's', 's', 's', 'siud'),
    ('csm.cases', '', 'sI', 'sIU', 'S', 's'),
    ('csm.case_entries', '', 'sI', 'sI', '', 's'),
    ('csm.case_parties', '', 's', 'sIU', '', 's'),
    ('csm.case_internal', '', '', 'siu', '', ''),
    ('csm.case_blocks', '', 's', 'sIU', '', 's'),
    ('csm.case_action_status', '', 's', 's', '', 's'),
    ('csm.case_tasks', '', 's', 'sIU', '', 's'),
    ('csm.case_lines', '', 'sIU', 'sIU', '', 's'),
    ('csm.case_links', '', 's', 'sId', '', 's'),
    ('csm.handling_notes', '', '', 'sIU', '', ''),
    ('csm.response_templates', '', '', 's', '', 'sIUd'),
    ('csm.case_side_fields', '', 's', 's', '', ''),
    ('csm.dispute_proposals', '', 's', 's', '', 's'),
    ('csm.attachments', '', 's', 's', '', 's'),
    ('csm.attachment_contents', '', 's', 's', '', 's'),
    ('csm.case_history', '', 'S', 's', '', 's'),
    ('csm.history_seals', '', '', 's', '', 's'),
    ('csm.history_leaves', '', '', 's', '', 's'),
    ('csm.events', '', '', '', '', ''),
    ('csm.event_positions', '', '', '', '', 's'),
    ('csm.event_subscribers', '', 's', 's', '', 'sIUd'),
    ('csm.event_lag', '', '', '', '', 's'),
    ('csm.timers', '', '', 's', '', 's'),
    ('csm.sla_definitions', '', '', 's', 's', 'siud'),
    ('csm.case_slas', '', 's', 's', 's', 's'),
    ('csm.case_sla_status', '', 's', 's', 's', 's'),
    ('csm.sla_events', '', '', 's', '', 's'),
    ('csm.calendars', '', '', 's', 's', 'siud'),
    ('csm.calendar_intervals', '', '', 's', 's', 'siud'),
    ('csm.calendar_exceptions', '', '', 's', 's', 'siud'),
    ('csm.escalation_templates', '', '', 's', '', 'siud'),
    ('csm.escalations', '', '', 'sU', '', ''),
    ('csm.recipient_lists', '', '', 'siud', '', ''),
    ('csm.recipients', '', '', 'siud', '', ''),
    ('csm.case_children', '', '', 's', '', ''),
    ('csm.major_changes', '', '', 's', '', ''),
    ('csm.audit_log', '', 's', 's', '', 's'),
    ('csm.sessions', '', 's', 's', '', 's'),
    ('csm.identity_providers', '', '', '', '', 'sIUd'),
    ('csm.identity_provider_keys', '', '', '', '', 's'),
    ('csm.external_identities', '', 's', 's', '', 'sId'),
    ('csm.spent_tokens', '', '', '', '', ''),
    ('csm.password_policies', '', '', '', '', 'sIUd'),
    ('csm.denied_passwords', '', '', '', '', 'sId'),
    ('csm.passwords', '', '', '', '', ''),
    ('csm.password_resets', '', '', '', '', ''),
    ('csm.mail_senders', '', '', '', '', 's'),
    ('csm.publication_series', '', 's', 's', 's', 'sIU'),
    ('csm.publications', '', 's', 'sU', 'S', 's'),
    ('csm.publication_texts', '', 's', 's', '', 's'),
    ('csm.publication_acts', '', '', 's', '', ''),
    ('csm.publication_recipients', '', 's', 's', '', ''),
    ('csm.case_publications', '', '', 'sId', '', ''),
    ('csm.surveys', '', '', 's', 's', 'siud'),
    ('csm.survey_questions', '', '', 's', 's', 'siud'),
    ('csm.survey_responses', '', '', 's', 'S', 's'),
    ('csm.survey_answers', '', '', 's', 'S', 's'),
    ('csm_report.surveys', '', '', 's', 's', 's'),
    ('csm_report.satisfaction', '', '', 's', 's', 's'),
    ('csm.mail_gateways', '', '', '', '', 's'),
    ('csm.email_log', '', '', 's', '', 's'),
    ('csm.outbox', '', '', '', '', ''),
    ('csm.account_domains', '', 's', 'sIUd', '', 'sIUd'),
    ('csm.registrations', '', 's', 's', '', 's'),
    ('csm.user_merges', '', '', 's', '', 's'),
    ('csm.notification_preferences', '', 'sIUd', 'sIUd', '', 'sIUd'),
    ('csm.notification_rules', '', 's', 's', '', 'sIUd'),
    ('csm.notification_templates', '', '', '', '', 'sIUd'),
    ('csm.notifications', '', 's', 's', '', 's'),
    ('csm.licence_products', '', '', 's', '', 'siud'),
    ('csm.licence_policies', '', '', 's', '', 'siud'),
    ('csm.legal_holds', '', '', 's', '', 's'),
    ('csm.erasure_requests', '', '', 's', '', 's'),
    ('csm_report.people', '', '', 's', 's', 's'),
    ('csm.forums', 'S', 's', 's', '', 'sIU'),
    ('csm.questions', 'S', 's', 's', '', 's'),
    ('csm.answers', 'S', 's', 's', '', 's'),
    ('csm.post_comments', 'S', 's', 's', '', 's'),
    ('csm.votes', '', 's', 's', '', 's'),
    ('csm.subscriptions', '', 'sIUd', 'sIUd', '', ''),
    ('csm.community_profiles', '', 'sIUd', 'sIUd', '', 's'),
    ('csm.post_versions', '', 's', 's', '', ''),
    ('csm.post_reports', '', 's', 's', '', ''),
    ('csm.moderation_acts', '', 's', 's', '', ''),
    ('csm.case_questions', '', 's', 's', '', 's'),
    ('csm.interactions', '', 's', 's', 'S', 's'),
    ('csm.interaction_entries', '', 's', 's', '', 's'),
    ('csm_report.interactions', '', '', 's', 's', 's'),
    ('csm_report.cases', '', '', 's', 's', 's');

CREATE FUNCTION pg_temp.may(role_name text, tab oid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN has_table_privilege(role_name, tab, p.name) THEN p.letter
                           WHEN p.name <> 'DELETE' AND has_any_column_privilege(role_name, tab, p.name) THEN upper(p.letter)
                           ELSE '' END, '' ORDER BY p.n)
    FROM (VALUES (1, 'SELECT', 's'), (2, 'INSERT', 'i'), (3, 'UPDATE', 'u')) p(n, name, letter)
$$;
CREATE TEMP TABLE found AS
SELECT n.nspname || '.' || c.relname AS tab, r.role_name,
       pg_temp.may(r.role_name, c.oid) || CASE WHEN has_table_privilege(r.role_name, c.oid, 'DELETE') THEN 'd' ELSE '' END AS may
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r(role_name)
WHERE n.nspname IN ('csm', 'csm_report') AND c.relkind IN ('r', 'p', 'v', 'm');
SELECT is(f.may, coalesce(CASE f.role_name WHEN 'csm_guest' THEN m.guest WHEN 'csm_portal' THEN m.portal WHEN 'csm_agent' THEN m.agent
                                           WHEN 'csm_reporter' THEN m.reporter WHEN 'csm_admin' THEN m.admin END, 'a table that the matrix does not name'),
          format('privileges: %s on %s', f.role_name, f.tab))
FROM found f LEFT JOIN matrix m USING (tab) ORDER BY f.tab, f.role_name;
SELECT is_empty('SELECT m.tab FROM matrix m WHERE m.tab NOT IN (SELECT tab FROM found)', 'privileges: every table of the matrix is there');

-- Columns, where not all.
CREATE FUNCTION pg_temp.columns(role_name text, tab regclass, privilege text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(a.attname, ' ' ORDER BY a.attname COLLATE "C")
    FROM pg_attribute a WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(role_name, tab, a.attnum, privilege)
$$;
SELECT is(pg_temp.columns(v.role_name, v.tab::regclass, v.privilege),
          (SELECT string_agg(c, ' ' ORDER BY c COLLATE "C") FROM string_to_table(v.columns, ' ') c),
          format('privileges: columns of %s for %s by %s', v.tab, v.privilege, v.role_name))
FROM (VALUES
    ('csm_portal', 'csm.cases', 'INSERT', 'case_type subject description priority channel requester_id account_id counterparty_account_id partner_account_id partner_contact_id product_id asset_id attributes'),
    ('csm_portal', 'csm.case_entries', 'INSERT', 'case_id body visibility idempotency_key'),
    ('csm_agent', 'csm.case_entries', 'INSERT', 'case_id body visibility idempotency_key'),
    ('csm_agent', 'csm.case_parties', 'UPDATE', 'capabilities valid_during'),
    ('csm_portal', 'csm.case_lines', 'INSERT', 'case_id product_id quantity description'),
    ('csm_portal', 'csm.case_lines', 'UPDATE', 'quantity description state'),
    ('csm_agent', 'csm.case_blocks', 'INSERT', 'case_id reason note'),
    ('csm_agent', 'csm.case_blocks', 'UPDATE', 'note unblocked_at'),
    ('csm_agent', 'csm.case_tasks', 'UPDATE', 'subject description state blocking visible_to_customer priority assigned_group_id assigned_to due_at close_notes'),
    ('csm_agent', 'csm.escalations', 'UPDATE', 'trend'),
    ('csm_reporter', 'csm.users', 'SELECT', 'id tenant_id language time_zone enabled created_at'),
    ('csm_reporter', 'csm.households', 'SELECT', 'id tenant_id'),
    ('csm_reporter', 'csm.employees', 'SELECT', 'user_id tenant_id manager_id'),
    ('csm_reporter', 'csm.contract_lines', 'SELECT', 'id tenant_id contract_id product_id sold_product_id asset_id quantity'),
    ('csm_admin', 'csm.tenants', 'UPDATE', 'name settings'),
    ('csm_portal', 'csm.case_history', 'SELECT', 'id tenant_id case_id at action actor_id actor_name relation on_behalf_of audience payload'),
    ('csm_portal', 'csm.asset_contacts', 'INSERT', 'asset_id sold_product_id contact_id'),
    ('csm_portal', 'csm.asset_parties', 'INSERT', 'asset_id sold_product_id user_id account_id authorized valid_during'),
    ('csm_portal', 'csm.asset_parties', 'UPDATE', 'authorized valid_during'),
    ('csm_portal', 'csm.articles', 'INSERT', 'base_id category_id product_id translation_of language title keywords body'),
    ('csm_agent', 'csm.articles', 'INSERT', 'base_id category_id product_id translation_of language title keywords body'),
    ('csm_agent', 'csm.articles', 'UPDATE', 'is_public expires_at category_id product_id audience_id'),
    ('csm_agent', 'csm.knowledge_bases', 'UPDATE', 'title description language'),
    ('csm_admin', 'csm.knowledge_bases', 'UPDATE', 'is_public self_publish key title description language'),
    ('csm_reporter', 'csm.articles', 'SELECT', 'id tenant_id audience_id base_id is_public state published_at expires_at category_id product_id translation_of version updated_at number language'),
    ('csm_reporter', 'csm.article_feedback', 'SELECT', 'id tenant_id article_id version helpful solved rating created_at updated_at'),
    ('csm_agent', 'csm.publications', 'UPDATE', 'expires_at by_mail'),
    ('csm_reporter', 'csm.publications', 'SELECT', 'id tenant_id audience_id series_id state published_at expires_at by_mail language revision publish_at ended_at created_at'),
    ('csm_agent', 'csm.case_publications', 'INSERT', 'case_id publication_id'),
    ('csm_admin', 'csm.publication_series', 'INSERT', 'audience_id key title description event active'),
    ('csm_admin', 'csm.publication_series', 'UPDATE', 'key title description event active'),
    ('csm_guest', 'csm.questions', 'SELECT', 'id tenant_id forum_id created_at activity_at edited_at score answer_count locked answered by_staff author_name language title body search is_public'),
    ('csm_guest', 'csm.answers', 'SELECT', 'id tenant_id question_id created_at edited_at score accepted by_staff author_name body'),
    ('csm_guest', 'csm.post_comments', 'SELECT', 'id tenant_id question_id answer_id created_at edited_at by_staff author_name body'),
    ('csm_portal', 'csm.subscriptions', 'UPDATE', 'seen_at'),
    ('csm_portal', 'csm.community_profiles', 'INSERT', 'forum_id visible handle display about'),
    ('csm_admin', 'csm.forums', 'UPDATE', 'key title description inherits is_public hold_posts active'),
    ('csm_reporter', 'csm.interactions', 'SELECT', 'id tenant_id branch account_id opened_at channel state handled_by assigned_to verification verified_how case_id language answered_at handed_over_at taken_at wrapped_at closed_at waited lasted service_organization_id'),
    ('csm_reporter', 'csm.assets', 'SELECT', 'id tenant_id account_id branch product_id sold_product_id parent_id root_id purchased_on installed_at removed_at created_at')
) v(role_name, tab, privilege, columns);
SELECT is_empty($$ SELECT c FROM unnest('{id,tenant_id,number,branch,state_class,requester_id,opened_by,account_id,opened_at,submitted_at,closed_at,search}'::text[]) c
                   WHERE has_column_privilege('csm_agent', 'csm.cases', c, 'UPDATE') $$,
                'privileges: what a case is and whose it is, no client changes');
SELECT is_empty($$ SELECT c FROM unnest('{subject,description,requester_id,opened_by,household_id,resolution_notes,attributes,search}'::text[]) c
                   WHERE has_column_privilege('csm_reporter', 'csm.cases', c, 'SELECT') $$,
                'privileges: reporting reads no personal data of cases');
SELECT is_empty($$ SELECT r, c.oid::regclass FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r, pg_class c
                   JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname IN ('csm', 'csm_report', 'csm_private') AND c.relkind IN ('r', 'p', 'v', 'm')
                     AND has_table_privilege(r, c.oid, 'TRUNCATE, REFERENCES, TRIGGER') $$,
                'privileges: nobody truncates, references or attaches triggers');
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
                   WHERE n.nspname IN ('csm', 'csm_report', 'csm_private') AND a.grantee = 0 $$, 'privileges: PUBLIC has nothing on a table');
SELECT is_empty($$ SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname IN ('csm', 'csm_report', 'csm_private')
                     AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) $$,
                'privileges: PUBLIC has nothing on a function');
SELECT is_empty($$ SELECT r FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r
                   WHERE has_schema_privilege(r, 'csm_private', 'USAGE') OR has_schema_privilege(r, 'csm', 'CREATE') $$,
                'privileges: csm_private is closed, and nobody creates in csm');
SELECT is_empty($$ SELECT p.oid::regprocedure, r FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r
                   WHERE n.nspname = 'csm_private' AND has_function_privilege(r, p.oid, 'EXECUTE')
                     AND p.proname <> 'with_attributes'
                     AND p.proname NOT IN ('events_waiting', 'case_allows', 'entry_allows', 'case_side_allows', 'may_open', 'may_open_plainly', 'party_keys', 'case_fits', 'entry_fits',
                                           'like_pattern', 'open_case_row', 'begin_open', 'end_open',
                                           'is_staff', 'may_order',
                                           'question_for_case', 'open_question_case', 'link_question', 'interaction_for_case', 'open_interaction_case', 'link_interaction',
                                           'share_case_row', 'open_follow_up_row', 'link_follow_up', 'render_template_text', 'template_values', 'fill_in',
                                           -- rendered for the person who reads it
                                           'notification_message', 'notification_template', 'notification_values', 'one_line',
                                           'may_link', 'may_authorize', 'manages_item', 'article_allows', 'base_allows', 'may_place_article', 'note_view', 'gap_allows', 'reader_language', 'article_shown', 'article_keys_shown',
                                           'publication_allows', 'publication_text', 'reads_audience',
                                           -- search: steps of functions that run with the caller's rights
                                           'search_languages', 'search_query_in', 'search_filters', 'search_kinds', 'search_cursor', 'search_page', 'search_way', 'search_cases',
                                           'search_articles', 'search_questions', 'search_names', 'search_snippet', 'facets_of', 'suggested_articles', 'suggested_questions', 'suggested_cases', 'case_to_compare',
                                           'cases_like', 'answer_passage', 'guess_fields',
                                           'case_staff_reads', 'sla_business', 'sla_condition', 'administers') $$,
                'privileges: no more of csm_private can be called than policies call');
SELECT is_empty($$ SELECT r.rolname FROM pg_roles r WHERE r.rolname IN ('csm_owner', 'csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
                     AND (r.rolsuper OR r.rolbypassrls OR r.rolcanlogin OR r.rolcreaterole) $$,
                'privileges: no csm role logs in or bypasses row security');
SELECT * FROM finish();
