-- The schema that clients rely on: tables and columns of the design with their types (further columns may stand beside
-- them), keys with tenant_id inside, comments, row security.
SELECT * FROM no_plan();

CREATE TEMP TABLE expected (tab text PRIMARY KEY, key text NOT NULL, columns text NOT NULL);
-- columns: name, type; without a type it is bigint
INSERT INTO expected VALUES
    ('tenants', 'id', 'id, key text, name text, settings jsonb, enabled boolean'),
    ('users', 'id,tenant_id', 'id, display_name text, email text, language text, time_zone text, phone text, title text, enabled boolean, login_role text, external_id text, location text'),
    ('employees', 'user_id,tenant_id', 'user_id, department text, manager_id'),
    ('consumers', 'user_id,tenant_id', 'user_id, registered_at timestamptz'),
    ('accounts', 'id,tenant_id', 'id, number text, name text, parent_id, path ltree, is_customer boolean, is_partner boolean, active boolean, directory_visible boolean, restrict_contact_access boolean'),
    ('contacts', 'id,tenant_id', 'id, user_id, account_id, role text, is_home boolean, login_enabled boolean, valid_during tstzrange'),
    ('account_relationships', 'id,tenant_id', 'id, type text, partner_account_id, customer_account_id, scope text, history_from timestamptz, include_descendants boolean, administers boolean, valid_during tstzrange'),
    ('households', 'id,tenant_id', 'id, name text, head_user_id'),
    ('household_members', 'id,tenant_id', 'household_id, user_id, valid_during tstzrange'),
    ('representations', 'id,tenant_id', 'representative_id, represented_id, household_id, valid_during tstzrange'),
    ('user_roles', 'id,tenant_id', 'user_id, role text, branches text[], reach text, service_organization_id, valid_during tstzrange'),
    ('account_team', 'id,tenant_id', 'account_id, user_id, household_id, member_id, responsibility text, valid_during tstzrange'),
    ('groups', 'id,tenant_id', 'id, name text, parent_id'),
    ('group_members', 'group_id,user_id,tenant_id', 'group_id, user_id'),
    ('user_criteria', 'id,tenant_id', 'id, key text, label text, match text, active boolean'),
    ('user_criteria_parts', 'id,tenant_id', 'id, criteria_id, kind text, user_id, group_id, role text, account_id, include_descendants boolean, persona text, product_id, location text, language text, list_id'),
    ('audiences', 'id,tenant_id', 'id, within_id, owner_id, group_id, grants_key text'),
    ('audience_grants', 'audience_id,criteria_id,action,tenant_id', 'audience_id, action text, criteria_id, denies boolean'),
    ('service_organizations', 'id,tenant_id', 'id, name text, parent_id'),
    ('service_organization_members', 'id,tenant_id', 'service_organization_id, user_id, excluded bigint[], valid_during tstzrange'),
    ('roles', 'role,tenant_id', 'role text, kind text, user_class text'),
    ('role_permissions', 'role,tenant_id,action,reach', 'role text, action text, reach text'),
    ('case_parties', 'id,tenant_id', 'case_id, user_id, account_id, capabilities text[], granted_by, valid_during tstzrange'),
    ('products', 'id,tenant_id', 'id, name text, parent_id'),
    ('sold_products', 'id,tenant_id', 'id, account_id, user_id, branch text, product_id, parent_id, root_id, quantity numeric, valid_during tstzrange'),
    ('assets', 'id,tenant_id', 'id, account_id, user_id, branch text, product_id, sold_product_id, parent_id, root_id, serial_number text, location text, purchased_on date, installed_at timestamptz, removed_at timestamptz'),
    ('asset_contacts', 'id,tenant_id', 'id, asset_id, sold_product_id, contact_id'),
    ('asset_parties', 'id,tenant_id', 'id, asset_id, sold_product_id, user_id, account_id, authorized boolean, granted_by, valid_during tstzrange'),
    ('contracts', 'id,tenant_id', 'id, account_id, user_id, number text, name text, draft boolean, cancelled boolean, valid_during tstzrange'),
    ('contract_lines', 'id,tenant_id', 'id, contract_id, product_id, sold_product_id, asset_id, quantity numeric'),
    ('entitlements', 'id,tenant_id', 'id, account_id, user_id, product_id, sold_product_id, asset_id, contract_id, calendar_id, channels text[], valid_during tstzrange, unit text, total numeric, used numeric, suspended boolean, cancelled boolean'),
    ('entitlement_uses', 'id,tenant_id', 'id, entitlement_id, case_id, unit text, units numeric, over_units numeric, note text, used_by, used_at timestamptz'),
    ('cases', 'id,tenant_id', 'id, number text, branch text, case_type text, state text, state_class text, priority smallint, impact smallint, urgency smallint, subject text, description text, language text, channel text, requester_id, opened_by, account_id, household_id, counterparty_account_id, counterparty_contact_id, partner_account_id, partner_contact_id, internal_contact_id, service_organization_id, product_id, asset_id, entitlement_id, assigned_group_id, assigned_to, parent_id, resolution_code text, resolution_notes text, needs_attention boolean, attributes jsonb, search tsvector, opened_at timestamptz, submitted_at timestamptz, resolved_at timestamptz, closed_at timestamptz, updated_at timestamptz, first_response_at timestamptz, reopen_count integer, reassignment_count integer'),
    ('case_entries', 'id,tenant_id', 'id, case_id, author_id, author_name text, visibility text, side text, body text, idempotency_key text, created_at timestamptz, on_behalf_of'),
    ('user_merges', 'removed_id,tenant_id', 'removed_id, kept_id, reason text, merged_by, merged_at timestamptz, removed jsonb, given_up jsonb'),
    ('notification_preferences', 'user_id,event,channel,tenant_id', 'user_id, event text, channel text, enabled boolean'),
    ('notification_rules', 'event,channel,tenant_id', 'event text, channel text, recipients text[], enabled boolean'),
    ('notification_templates', 'event,channel,language,tenant_id', 'event text, channel text, language text, subject text, body text'),
    ('notifications', 'id,tenant_id', 'id, user_id, case_id, event_id, kind text, channel text, audience text, side text, entry_id, state text, created_at timestamptz, read_at timestamptz, claimed_until timestamptz, sent_at timestamptz, attempts integer, error text'),
    ('case_internal', 'case_id,tenant_id', 'case_id, attributes jsonb'),
    ('case_side_fields', 'case_id,side,tenant_id', 'case_id, side text, attributes jsonb'),
    ('dispute_proposals', 'id,tenant_id', 'id, case_id, round integer, side text, proposed_by, proposed_name text, proposed_at timestamptz, reference text, amount numeric, currency text, resolution_code text, notes text, outcome text, decided_by, decided_name text, decided_at timestamptz, reason text'),
    ('attachments', 'id,tenant_id', 'id, case_id, entry_id, author_id, author_name text, visibility text, side text, file_name text, media_type text, size, sha256 bytea, url text, created_at timestamptz'),
    ('attachment_contents', 'attachment_id,tenant_id', 'attachment_id, content bytea'),
    ('case_history', 'id,tenant_id', 'id, case_id, seq, at timestamptz, action text, actor_id, actor_name text, persona text, relation text, on_behalf_of, audience text, payload jsonb, salt bytea, payload_hash bytea, previous_hash bytea, hash bytea'),
    ('history_seals', 'id,tenant_id', 'id, seq, at timestamptz, leaves, root bytea, previous_hash bytea, hash bytea, covered_to, scanned_to, horizon'),
    ('history_leaves', 'case_id,length,tenant_id', 'seal_id, case_id, length, last_hash bytea'),
    ('events', 'id,tenant_id', 'id, case_id, kind text, actor_id, audience text, side text, payload jsonb, created_at timestamptz, position, on_behalf_of, article_id, question_id, answer_id, publication_id'),
    ('event_positions', 'tenant_id', 'last'),
    ('event_subscribers', 'id,tenant_id', 'id, key text, user_id, kinds text[], case_types text[], position, delivered, created_at timestamptz, asked_at timestamptz, acknowledged_at timestamptz, subjects text[]'),
    ('case_blocks', 'id,tenant_id', 'case_id, reason text, note text, blocked_by, blocked_at timestamptz, unblocked_by, unblocked_at timestamptz'),
    ('case_tasks', 'id,tenant_id', 'case_id, branch text, number text, subject text, description text, state text, blocking boolean, visible_to_customer boolean, priority smallint, assigned_group_id, assigned_to, due_at timestamptz, close_notes text, block_id, opened_by, opened_at timestamptz, updated_at timestamptz, closed_by, closed_at timestamptz'),
    ('case_lines', 'id,tenant_id', 'case_id, position integer, product_id, quantity numeric, description text, state text, resolution_notes text, opened_by, opened_at timestamptz, updated_at timestamptz, closed_at timestamptz'),
    ('case_links', 'id,tenant_id', 'from_case_id, to_case_id, kind text, created_by, created_at timestamptz'),
    ('handling_notes', 'id,tenant_id', 'case_id, account_id, contact_id, user_id, product_id, asset_id, body text, priority smallint, expires_at timestamptz, created_by, created_at timestamptz'),
    ('response_templates', 'id,tenant_id', 'name text, body text, case_type text, active boolean'),
    ('knowledge_bases', 'id,tenant_id', 'id, audience_id, is_public boolean, self_publish boolean, key text, title text, description text, language text, created_at timestamptz'),
    ('knowledge_categories', 'id,tenant_id', 'id, base_id, parent_id, title text'),
    ('articles', 'id,tenant_id', 'id, audience_id, base_id, is_public boolean, state text, published_at timestamptz, expires_at timestamptz, author_id, category_id, product_id, translation_of, version integer, updated_at timestamptz, number text, language text, title text, keywords text, body text, search tsvector'),
    ('article_versions', 'id,tenant_id', 'id, article_id, version integer, revision integer, state text, author_id, edited_by, approved_by, created_at timestamptz, edited_at timestamptz, publish_at timestamptz, published_at timestamptz, ended_at timestamptz, title text, keywords text, body text, note text'),
    ('article_feedback', 'id,tenant_id', 'id, article_id, user_id, version integer, helpful boolean, solved boolean, rating smallint, comment text, created_at timestamptz, updated_at timestamptz'),
    ('article_views', 'article_id,on_day,tenant_id', 'article_id, on_day date, views'),
    ('case_articles', 'case_id,article_id,tenant_id', 'case_id, article_id, relation text, attached_by, attached_at timestamptz'),
    ('knowledge_gaps', 'id,tenant_id', 'id, case_id, base_id, state text, summary text, reported_by, reported_at timestamptz, claimed_by, article_id, closed_at timestamptz'),
    ('recipient_lists', 'id,tenant_id', 'id, name text, created_at timestamptz, kind text'),
    ('publication_series', 'id,tenant_id', 'id, audience_id, key text, title text, description text, event text, active boolean'),
    ('publications', 'id,tenant_id', 'id, audience_id, series_id, state text, published_at timestamptz, expires_at timestamptz, author_id, by_mail boolean, language text, revision integer, publish_at timestamptz, ended_at timestamptz, created_at timestamptz'),
    ('publication_texts', 'publication_id,language,tenant_id', 'publication_id, language text, title text, body text'),
    ('publication_acts', 'id,tenant_id', 'id, publication_id, action text, actor_id, note text, created_at timestamptz'),
    ('publication_recipients', 'id,tenant_id', 'id, publication_id, user_id, batch, state text, settled_at timestamptz'),
    ('case_publications', 'case_id,publication_id,tenant_id', 'case_id, publication_id, attached_by, attached_at timestamptz'),
    ('recipients', 'id,tenant_id', 'id, list_id, account_id, user_id'),
    ('case_children', 'parent_id,case_id,tenant_id', 'parent_id, case_id, account_id, user_id, created boolean, followed'),
    ('major_changes', 'id,tenant_id', 'id, case_id, fields text[], entry_id, closes boolean'),
    ('sessions', 'id,tenant_id', 'id, user_id, last_used_at timestamptz, kind text, label text, created_at timestamptz, expires_at timestamptz, idle_minutes integer, persona text, actions text[]'),
    ('audit_log', 'id,tenant_id', 'id, at timestamptz, kind text, actor_id, subject_user_id, account_id, details jsonb'),
    ('identity_providers', 'id,tenant_id', 'id, name text, issuer text, audience text, algorithms text[], clock_skew interval, require_nonce boolean, single_use boolean, subject_claim text, claims jsonb, trust_email boolean, link_by text, create_as text, create_account_id, create_role text, enabled boolean'),
    ('identity_provider_keys', 'id,tenant_id', 'id, provider_id, kid text, jwk jsonb, algorithms text[]'),
    ('external_identities', 'id,tenant_id', 'id, provider_id, subject text, user_id'),
    ('spent_tokens', 'provider_id,token_hash,tenant_id', 'provider_id, token_hash bytea, expires_at timestamptz'),
    ('password_policies', 'tenant_id', 'allowed boolean, minimum_length integer, free_attempts integer, first_pause interval, longest_pause interval, source_attempts integer, source_period interval, reset_valid interval'),
    ('denied_passwords', 'password,tenant_id', 'password text'),
    ('passwords', 'user_id,tenant_id', 'user_id, hash text, must_change boolean, changed_at timestamptz'),
    ('password_resets', 'user_id,tenant_id', 'user_id, token_hash bytea, expires_at timestamptz'),
    ('timers', 'kind,object_id,tenant_id', 'kind text, object_id, case_id, due_at timestamptz, attempts integer, error text'),
    ('escalation_templates', 'id,tenant_id', 'id, template text, label text, severity text, targets text[], reasons text[], approval_group_id, for_customers boolean, active boolean'),
    ('escalations', 'id,tenant_id', 'id, template_id, case_id, account_id, state text, source text, reason text, severity text, trend text, justification text, requested_by, requested_at timestamptz, decided_by, decided_at timestamptz, closed_at timestamptz'),
    ('sla_definitions', 'id,tenant_id', 'id, name text, type text, calendar_id, case_types text[], priorities smallint[], start_when jsonpath, pause_when jsonpath, stop_when jsonpath, reset_when jsonpath, cancel_when jsonpath, active boolean'),
    ('case_slas', 'id,tenant_id', 'id, case_id, definition_id, state text, elapsed interval, business_elapsed interval, due_at timestamptz, breached_at timestamptz'),
    ('sla_events', 'id,tenant_id', 'id, case_sla_id, at timestamptz, event text'),
    ('calendars', 'id,tenant_id', 'id, name text, time_zone text, parent_id'),
    ('calendar_intervals', 'id,tenant_id', 'id, calendar_id, weekday smallint, exception_id'),
    ('calendar_exceptions', 'id,tenant_id', 'id, calendar_id, on_date date, name text'),
    ('mail_senders', 'user_id,tenant_id', 'user_id, created_at timestamptz'),
    ('surveys', 'id,tenant_id', 'id, key text, label text, ask_when text, delay interval, valid_for interval, quarantine interval, active boolean, labels jsonb'),
    ('survey_questions', 'id,tenant_id', 'id, survey_id, key text, position smallint, kind text, label text, required boolean, low smallint, labels jsonb'),
    ('survey_responses', 'id,tenant_id', 'id, case_id, survey_id, user_id, sent_at timestamptz, expires_at timestamptz, answered_at timestamptz, csat smallint, nps smallint, ces smallint, low boolean'),
    ('survey_answers', 'response_id,question_id,tenant_id', 'response_id, question_id, case_id, user_id, score smallint, body text'),
    ('mail_gateways', 'user_id,tenant_id', 'user_id, created_at timestamptz'),
    ('email_log', 'id,tenant_id', 'id, received_at timestamptz, message_id text, from_address text, user_id, status text, reason text, detail text, case_id, entry_id, attached integer, not_attached integer, subject text, body text, settled_by, settled_at timestamptz'),
    ('outbox', 'id,tenant_id', 'id, kind text, recipient text, user_id, language text, payload jsonb, created_at timestamptz, expires_at timestamptz, claimed_until timestamptz, attempts integer'),
    ('account_domains', 'id,tenant_id', 'id, account_id, domain text, verified_at timestamptz, created_at timestamptz'),
    ('registrations', 'id,tenant_id', 'id, kind text, state text, email text, email_key text, display_name text, language text, terms text, account_id, role text, route text, invited_by, created_at timestamptz, confirmed_at timestamptz, decided_at timestamptz, decided_by, reason text, user_id'),
    ('licence_products', 'product,tenant_id', 'product text, label text, roles text[]'),
    ('licence_policies', 'policy,tenant_id', 'policy text, label text, counts text[], window_days integer, products text[], union_products boolean, active boolean'),
    ('legal_holds', 'id,tenant_id', 'id, user_id, account_id, case_id, reason text, placed_by, placed_at timestamptz, released_by, released_at timestamptz'),
    ('forums', 'id,tenant_id', 'id, audience_id, parent_id, key text, title text, description text, inherits boolean, is_public boolean, hold_posts integer, active boolean'),
    ('questions', 'id,tenant_id', 'id, audience_id, forum_id, author_id, created_at timestamptz, activity_at timestamptz, edited_at timestamptz, score integer, answer_count integer, is_public boolean, locked boolean, answered boolean, by_staff boolean, state text, author_name text, language text, title text, body text, search tsvector'),
    ('answers', 'id,tenant_id', 'id, audience_id, question_id, author_id, created_at timestamptz, edited_at timestamptz, score integer, is_public boolean, thread_shown boolean, accepted boolean, by_staff boolean, state text, author_name text, body text'),
    ('post_comments', 'id,tenant_id', 'id, audience_id, question_id, answer_id, author_id, created_at timestamptz, edited_at timestamptz, is_public boolean, thread_shown boolean, by_staff boolean, state text, author_name text, body text'),
    ('votes', 'id,tenant_id', 'id, question_id, answer_id, voter_id, value smallint, created_at timestamptz'),
    ('subscriptions', 'id,tenant_id', 'id, user_id, forum_id, question_id, created_at timestamptz, seen_at timestamptz'),
    ('community_profiles', 'user_id,tenant_id', 'user_id, forum_id, audience_id, visible boolean, handle text, display text, about text, created_at timestamptz'),
    ('post_versions', 'id,tenant_id', 'id, audience_id, question_id, answer_id, comment_id, author_id, title text, body text, replaced_by, replaced_at timestamptz'),
    ('post_reports', 'id,tenant_id', 'id, audience_id, question_id, answer_id, comment_id, reporter_id, reason text, created_at timestamptz, closed_by, closed_at timestamptz'),
    ('moderation_acts', 'id,tenant_id', 'id, audience_id, forum_id, question_id, answer_id, comment_id, author_id, action text, to_forum_id, actor_id, reason text, created_at timestamptz'),
    ('case_questions', 'id,tenant_id', 'id, case_id, question_id, relation text, created_by, created_at timestamptz'),
    ('interactions', 'id,tenant_id', 'id, branch text, requester_id, account_id, opened_by, opened_at timestamptz, channel text, state text, handled_by text, assigned_to, verification text, verified_how text, verified_by, verified_at timestamptz, case_id, subject text, language text, answered_at timestamptz, handed_over_at timestamptz, taken_at timestamptz, wrapped_at timestamptz, closed_at timestamptz, waited interval, lasted interval, service_organization_id'),
    ('interaction_entries', 'id,tenant_id', 'id, interaction_id, author_kind text, author_id, author_name text, body text, created_at timestamptz'),
    ('erasure_requests', 'id,tenant_id', 'id, user_id, case_id, reason text, requested_by, requested_at timestamptz, approved_by, erased_at timestamptz, erased jsonb'),
    ('case_types', 'case_type,tenant_id', 'case_type text, parent_type text, label text, settings jsonb, own_machine boolean'),
    ('case_states', 'case_type,state,tenant_id', 'case_type text, state text, value integer, state_class text, label text'),
    ('case_transitions', 'case_type,from_state,action,tenant_id', 'case_type text, from_state text, action text, to_state text, actors text[], required_fields text[], effects jsonb'),
    ('case_type_fields', 'case_type,name,tenant_id', 'case_type text, name text, type text, audience text, required boolean, choices text[], reference text');

CREATE TEMP VIEW col AS
SELECT e.tab, split_part(c, ' ', 1) AS name, coalesce(nullif(split_part(c, ' ', 2), ''), 'bigint') AS type
FROM expected e CROSS JOIN unnest(string_to_array(e.columns || CASE WHEN e.tab = 'tenants' THEN '' ELSE ', tenant_id' END, ', ')) c;
SELECT has_table('csm', tab, 'schema: table ' || tab) FROM expected;
SELECT is((SELECT regexp_replace(replace(format_type(a.atttypid, NULL), 'timestamp with time zone', 'timestamptz'), '^.*\.', '')
           FROM pg_attribute a WHERE a.attrelid = to_regclass('csm.' || col.tab) AND a.attname = col.name AND NOT a.attisdropped),
          col.type, format('schema: %s.%s %s', col.tab, col.name, col.type)) FROM col;
SELECT is((SELECT string_agg(a.attname, ',' ORDER BY k.n)
           FROM pg_constraint c CROSS JOIN unnest(c.conkey) WITH ORDINALITY k(attnum, n)
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
           WHERE c.contype = 'p' AND c.conrelid = to_regclass('csm.' || e.tab)),
          e.key, 'schema: primary key of ' || e.tab) FROM expected e;

-- Every table that there is, also one that came later.
CREATE TEMP VIEW tab AS
SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relname, c.relrowsecurity
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'csm' AND c.relkind IN ('r', 'p');
SELECT is_empty($$SELECT name FROM tab WHERE relname NOT IN (SELECT e.tab FROM expected e)$$, 'schema: no table that this list does not know');
SELECT is_empty($$SELECT name FROM tab WHERE NOT relrowsecurity$$, 'V13 row security is on for every table');
SELECT is_empty($$
    SELECT t.name FROM tab t
    WHERE t.relname <> 'tenants' AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'tenant_id' AND a.attnotnull) $$,
    'V13 every table has tenant_id, never null');
SELECT is_empty($$
    SELECT c.conrelid::regclass, c.conname FROM pg_constraint c JOIN tab t ON t.oid = c.conrelid
    WHERE c.contype = 'f' AND c.confrelid <> 'csm.tenants'::regclass
      AND NOT EXISTS (SELECT FROM unnest(c.conkey, c.confkey) k(here, there)
                      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.here AND a.attname = 'tenant_id'
                      JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.there AND b.attname = 'tenant_id') $$,
    'V13 every foreign key pairs tenant_id with tenant_id');
SELECT is_empty($$
    WITH RECURSIVE edge AS (
        SELECT DISTINCT c.conrelid AS a, c.confrelid AS b FROM pg_constraint c JOIN tab t ON t.oid = c.conrelid
        WHERE c.contype = 'f' AND c.conrelid <> c.confrelid
    ), walk(start, at, steps) AS (
        SELECT a, b, 1 FROM edge
      UNION
        SELECT w.start, e.b, w.steps + 1 FROM walk w JOIN edge e ON e.a = w.at WHERE w.steps < 40 AND w.at <> w.start
    )
    SELECT start::regclass FROM walk WHERE start = at $$,
    'schema: foreign keys form no cycle, but of a table with itself');
SELECT is_empty($$
    SELECT t.name, a.attname FROM tab t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
    JOIN pg_type y ON y.oid = a.atttypid WHERE y.typname ~ '^(reg.*|oid|xid.*|cid)$' $$,
    'schema: no reg* and no bare oid column');
SELECT is_empty($$
    SELECT t.name, a.attname FROM tab t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'id'
    WHERE a.attidentity = '' $$, 'schema: every id is an identity');
SELECT is_empty($$SELECT name FROM tab WHERE obj_description(oid) IS NULL$$, 'schema: every table has a comment');
SELECT is_empty($$
    SELECT t.name, a.attname FROM tab t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE col_description(t.oid, a.attnum) IS NULL $$, 'schema: every column has a comment');
SELECT is_empty($$
    SELECT p.polname, p.polrelid::regclass FROM pg_policy p JOIN tab t ON t.oid = p.polrelid
    WHERE obj_description(p.oid, 'pg_policy') IS NULL $$, 'schema: every policy has a comment');
SELECT is_empty($$
    SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('csm', 'csm_private', 'csm_report') AND obj_description(p.oid, 'pg_proc') IS NULL $$,
    'schema: every function has a comment');
SELECT is_empty($$SELECT name FROM tab t JOIN pg_class c ON c.oid = t.oid WHERE pg_get_userbyid(c.relowner) <> 'csm_owner'$$,
    'schema: csm_owner owns every table');
SELECT is_empty($$
    SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('csm', 'csm_private', 'csm_report') AND p.prosecdef
      AND (pg_get_userbyid(p.proowner) <> 'csm_owner' OR NOT coalesce(p.proconfig, '{}') @> '{"search_path=pg_catalog, pg_temp"}') $$,
    'schema: every SECURITY DEFINER function belongs to csm_owner and has a pinned path');
SELECT is_empty($$
    SELECT t.name FROM tab t JOIN pg_extension e ON e.extname = 'csm' WHERE t.oid <> ALL (coalesce(e.extconfig, '{}')) $$,
    'schema: every table is registered for pg_dump');
-- Nothing is in any table before create_tenant().
CREATE FUNCTION pg_temp.rows_in(t text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; RETURN n; END $$;
SELECT is_empty('SELECT name FROM tab WHERE pg_temp.rows_in(name) > 0', 'schema: the install script puts no row into a table');
SELECT has_function('csm', split_part(f, '(', 1), 'schema: function ' || f) FROM unnest(ARRAY[
    'current_user_id()', 'current_tenant_id()', 'whoami()', 'sign_out()', 'act_as(persona)', 'create_tenant()', 'map_login()', 'refresh_shipped()',
    'account_tree()', 'verify_accounts()', 'case_people(case_id)', 'explain_access(user_id, case_id)', 'who_can_see(case_id)',
    'open_case()', 'act()', 'actions()', 'comment()', 'matches()', 'contains()', 'account_allows()', 'accounts_allowing()', 'all_in()', 'all_tenant()']) f;
SELECT * FROM finish();
