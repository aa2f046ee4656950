-- Interactions: conversations by chat, telephone, e-mail, bot or social network
-- (R A29).  One precedes a case, accompanies it, or makes it needless.
--
-- new (nobody has answered) -> active (bot or agent) -> wrap_up (over, the agent
-- still writes) -> closed.  Who sees one: the requester and who speaks for him,
-- and staff by the same predicates as cases.  A visitor who is not signed in
-- holds his by a token alone.

CREATE TABLE csm.interactions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    branch text NOT NULL,
    requester_id bigint,
    account_id bigint,
    opened_by bigint,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    channel text NOT NULL,
    state text NOT NULL DEFAULT 'new',
    handled_by text NOT NULL DEFAULT 'agent',
    assigned_to bigint,
    verification text NOT NULL DEFAULT 'none',
    verified_how text,
    verified_by bigint,
    verified_at timestamptz,
    case_id bigint,
    subject text,
    language text NOT NULL DEFAULT 'english',
    answered_at timestamptz,
    handed_over_at timestamptz,
    taken_at timestamptz,
    wrapped_at timestamptz,
    closed_at timestamptz,
    waited interval GENERATED ALWAYS AS (taken_at - coalesce(handed_over_at, opened_at)) STORED,
    lasted interval GENERATED ALWAYS AS (coalesce(wrapped_at, closed_at) - opened_at) STORED,
    service_organization_id bigint,
    CONSTRAINT interactions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT interactions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT interactions_requester_fkey FOREIGN KEY (requester_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT interactions_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_verified_by_fkey FOREIGN KEY (verified_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interactions_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT interactions_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT interactions_branch_check CHECK (branch IN ('b2b', 'b2c', 'internal') AND (branch = 'b2b') = (account_id IS NOT NULL)),
    CONSTRAINT interactions_channel_check CHECK (channel IN ('chat', 'phone', 'email', 'bot', 'social')),
    CONSTRAINT interactions_state_check CHECK (state IN ('new', 'active', 'wrap_up', 'closed') AND (state = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT interactions_handler_check CHECK (handled_by IN ('bot', 'agent')),
    CONSTRAINT interactions_verification_check CHECK (verification IN ('none', 'claimed', 'verified')
        AND (verification = 'none') = (verified_how IS NULL) AND verified_how ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT interactions_text_check CHECK (length(subject) BETWEEN 1 AND 400 AND length(language) <= 63)
);
CREATE INDEX interactions_newest_idx ON csm.interactions (tenant_id, opened_at DESC, id DESC);
CREATE INDEX interactions_requester_idx ON csm.interactions (requester_id, opened_at);
CREATE INDEX interactions_account_idx ON csm.interactions (account_id, opened_at) WHERE account_id IS NOT NULL;
CREATE INDEX interactions_case_idx ON csm.interactions (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX interactions_organization_idx ON csm.interactions (service_organization_id, opened_at) WHERE service_organization_id IS NOT NULL;
CREATE INDEX interactions_waiting_idx ON csm.interactions (tenant_id, opened_at) WHERE assigned_to IS NULL AND state IN ('new', 'active');
SELECT csm_private.adopt_table('csm.interactions');

CREATE TABLE csm.interaction_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    interaction_id bigint NOT NULL,
    author_kind text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT interaction_entries_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT interaction_entries_interaction_fkey FOREIGN KEY (interaction_id, tenant_id) REFERENCES csm.interactions (id, tenant_id),
    CONSTRAINT interaction_entries_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT interaction_entries_kind_check CHECK (author_kind IN ('customer', 'agent', 'bot', 'system')),
    CONSTRAINT interaction_entries_body_check CHECK (length(body) BETWEEN 1 AND 10000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT interaction_entries_name_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX interaction_entries_interaction_idx ON csm.interaction_entries (interaction_id, id);
SELECT csm_private.adopt_table('csm.interaction_entries');
CREATE TRIGGER interaction_entries_10_append_only BEFORE UPDATE OR DELETE ON csm.interaction_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('author_name', 'body');
CREATE TRIGGER interaction_entries_10_append_only_truncate BEFORE TRUNCATE ON csm.interaction_entries
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

CREATE TABLE csm_private.interaction_tokens (
    interaction_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT interaction_tokens_pkey PRIMARY KEY (interaction_id, tenant_id),
    CONSTRAINT interaction_tokens_interaction_fkey FOREIGN KEY (interaction_id, tenant_id)
        REFERENCES csm.interactions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT interaction_tokens_hash_key UNIQUE (token_hash)
);
ALTER TABLE csm_private.interaction_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.interaction_tokens FROM PUBLIC;
ALTER TABLE csm_private.interaction_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.interaction_tokens', '');

CREATE POLICY interactions_select ON csm.interactions FOR SELECT TO csm_portal
    USING (csm.requester_allows(requester_id, branch, account_id, 'case_read'));
CREATE POLICY interactions_select_staff ON csm.interactions FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (csm.all_in(tenant_id, branch, 'case_read')
           OR csm.account_allows(account_id, opened_at, 'case_read')
           OR csm.organization_allows(service_organization_id, branch, 'case_read')
           OR csm.requester_allows(requester_id, branch, account_id, 'case_read'));
CREATE POLICY interaction_entries_select ON csm.interaction_entries FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (EXISTS (SELECT FROM csm.interactions i WHERE i.id = interaction_id AND i.tenant_id = interaction_entries.tenant_id));
GRANT SELECT ON csm.interactions, csm.interaction_entries TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, branch, account_id, opened_at, channel, state, handled_by, assigned_to, verification, verified_how, case_id,
              language, answered_at, handed_over_at, taken_at, wrapped_at, closed_at, waited, lasted, service_organization_id) ON csm.interactions TO csm_reporter;

COMMENT ON TABLE csm.interactions IS 'Conversations with people who ask for service, over any channel; written by functions only, never deleted';
COMMENT ON COLUMN csm.interactions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interactions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interactions.branch IS 'b2b, b2c or internal, from the requester''s persona; b2c for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.requester_id IS 'For whom it was opened; NULL for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm.interactions.opened_by IS 'Who opened it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interactions.opened_at IS 'When';
COMMENT ON COLUMN csm.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm.interactions.state IS 'new (nobody answered yet), active, wrap_up (over, the agent still writes) or closed';
COMMENT ON COLUMN csm.interactions.handled_by IS 'bot or agent: who answers, or has to';
COMMENT ON COLUMN csm.interactions.assigned_to IS 'The agent who has it; NULL while none has';
COMMENT ON COLUMN csm.interactions.verification IS 'How sure it is that the requester is the one: none, claimed (he said so), verified';
COMMENT ON COLUMN csm.interactions.verified_how IS 'By what, as a key: sign_in, callback, security_question, ...; NULL for none';
COMMENT ON COLUMN csm.interactions.verified_by IS 'Who judged it; NULL where csm did';
COMMENT ON COLUMN csm.interactions.verified_at IS 'When';
COMMENT ON COLUMN csm.interactions.case_id IS 'The case that came of it; NULL for none';
COMMENT ON COLUMN csm.interactions.subject IS 'What it is about, up to 400 characters; NULL when not said';
COMMENT ON COLUMN csm.interactions.language IS 'Text search configuration of its language';
COMMENT ON COLUMN csm.interactions.answered_at IS 'First answer of a bot or agent';
COMMENT ON COLUMN csm.interactions.handed_over_at IS 'When the bot, or the agent before, last handed it over; NULL for never';
COMMENT ON COLUMN csm.interactions.taken_at IS 'When the agent who has it took it';
COMMENT ON COLUMN csm.interactions.wrapped_at IS 'When the conversation was over';
COMMENT ON COLUMN csm.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm.interactions.waited IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm.interactions.lasted IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON COLUMN csm.interactions.service_organization_id IS 'Service organisation to which it was handed over; NULL for none';
COMMENT ON POLICY interactions_select ON csm.interactions IS 'The requester, and who speaks for him (V4, V6)';
COMMENT ON POLICY interactions_select_staff ON csm.interactions IS 'Staff connections: by branch, account, team or service organisation (V9), and the requester';
COMMENT ON TABLE csm.interaction_entries IS 'What was said, never changed. A case that came of the interaction refers to it, nothing is copied';
COMMENT ON COLUMN csm.interaction_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interaction_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interaction_entries.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm.interaction_entries.author_kind IS 'customer, agent, bot or system';
COMMENT ON COLUMN csm.interaction_entries.author_id IS 'Who wrote it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interaction_entries.author_name IS 'Name of the author when he wrote; visitor, bot and system as such';
COMMENT ON COLUMN csm.interaction_entries.body IS 'What was said, up to 10,000 characters';
COMMENT ON COLUMN csm.interaction_entries.created_at IS 'When';
COMMENT ON POLICY interaction_entries_select ON csm.interaction_entries IS 'Whoever sees the interaction';
COMMENT ON TABLE csm_private.interaction_tokens IS 'By what a visitor who is not signed in holds his interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.interaction_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.interaction_tokens.expires_at IS 'Until when it opens the interaction';

-- Settings of the tenant ----------------------------------------------------

-- guest_sessions_per_hour: R A29.
CREATE FUNCTION csm_private.interaction_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'interactions' ? name THEN (settings->'interactions'->>name)::integer
            ELSE CASE name WHEN 'guest_sessions_per_hour' THEN 200 WHEN 'sessions_per_hour' THEN 20
                           WHEN 'messages_per_hour' THEN 300 WHEN 'guest_hours' THEN 24
                           WHEN 'idle_hours' THEN 72 END END;
COMMENT ON FUNCTION csm_private.interaction_setting(jsonb, text) IS
'A number from the setting interactions of a tenant, or its default: guest_sessions_per_hour 200 (all visitors together), sessions_per_hour 20 (of a person), messages_per_hour 300 (of the customer in one interaction), guest_hours 24 (how long a visitor''s token holds), idle_hours 72 (without a word until it is closed; 0: it is not)';

CREATE FUNCTION csm_private.check_interaction_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    IF csm_private.restoring() OR NOT NEW.settings ? 'interactions' THEN
        RETURN NULL;
    END IF;
    FOR s IN SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings->'interactions') WHEN 'object'
                                                   THEN NEW.settings->'interactions' ELSE '{"interactions": true}' END) e LOOP
        IF s.key NOT IN ('guest_sessions_per_hour', 'sessions_per_hour', 'messages_per_hour', 'guest_hours', 'idle_hours')
           OR jsonb_typeof(s.value) <> 'number' OR s.value::text !~ '^[0-9]{1,5}$' THEN
            RAISE EXCEPTION 'setting interactions of a tenant has guest_sessions_per_hour, sessions_per_hour, messages_per_hour, guest_hours and idle_hours'
                USING ERRCODE = '22023', DETAIL = format('It has %s: %s.', s.key, s.value),
                      HINT = 'Each is a whole number up to 99999; 0 lets nobody in.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.check_interaction_settings() IS 'Trigger of csm.tenants: judges the setting interactions (22023)';
CREATE TRIGGER tenants_50_interactions AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_interaction_settings();

CREATE FUNCTION csm_private.count_interaction(tenant_id bigint, setting text, key text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := (SELECT csm_private.interaction_setting(t.settings, setting) FROM csm.tenants t WHERE t.id = count_interaction.tenant_id);
BEGIN
    IF most = 0 OR NOT csm_private.attempt('interaction_' || setting, key, most, interval '1 hour') THEN
        RAISE EXCEPTION 'too many interactions or messages' USING ERRCODE = 'SM007',
            DETAIL = format('The limit %s is %s.', setting, most), HINT = 'Try again later.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.count_interaction(bigint, text, text) IS
'Counts one of what a setting limits to so many in an hour, whether or not the transaction commits; SM007 when it is one too many';

-- Who may -------------------------------------------------------------------

CREATE FUNCTION csm_private.interaction_allows(i csm.interactions, action text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.all_in(i.tenant_id, i.branch, action)
                    OR csm.account_allows(i.account_id, i.opened_at, action) AND csm_private.is_staff(action)
                    OR csm.organization_allows(i.service_organization_id, i.branch, action)
                    OR csm.requester_allows(i.requester_id, i.branch, i.account_id, action), false)
$$;
COMMENT ON FUNCTION csm_private.interaction_allows(csm.interactions, text) IS
'The rule of the policies for one row and any action; false for nobody and a null row';

CREATE FUNCTION csm_private.lock_interaction(interaction_id bigint) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions;
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = lock_interaction.interaction_id;
    IF csm_private.interaction_allows(i, 'case_read') THEN
        SELECT * INTO i FROM csm.interactions x WHERE x.id = lock_interaction.interaction_id FOR NO KEY UPDATE;
    END IF;
    IF NOT csm_private.interaction_allows(i, 'case_read') THEN
        RAISE EXCEPTION 'interaction % does not exist', coalesce(interaction_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm_private.lock_interaction(bigint) IS
'The interaction, locked; 42501 for hidden and missing alike';

-- A conversation with the desk: staff answer it, in no other way than they work
-- on cases.
CREATE FUNCTION csm_private.require_work(i csm.interactions) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.interaction_allows(i, 'case_work') THEN
        RAISE EXCEPTION 'permission denied for interaction %', i.id USING ERRCODE = '42501', HINT = 'Staff who work on such cases do that.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.require_work(csm.interactions) IS '42501 unless the caller works on such cases as staff';

-- Opening -------------------------------------------------------------------

-- As contact of the account (his home account by default), else as consumer,
-- else as anybody of the house.
CREATE FUNCTION csm_private.affiliation(user_id bigint, tenant_id bigint, persona text, INOUT account_id bigint, OUT branch text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    asked CONSTANT bigint := account_id;
BEGIN
    SELECT k.account_id INTO account_id FROM csm.contacts k
    WHERE k.user_id = user_id AND k.tenant_id = tenant_id AND k.login_enabled
      AND csm_private.is_valid(k.valid_during, statement_timestamp())
      AND CASE WHEN asked IS NOT NULL THEN k.account_id = asked
               WHEN persona LIKE 'contact:%' THEN true ELSE k.is_home END
      AND (persona IS NULL OR persona = 'contact:' || k.id);
    branch := CASE WHEN account_id IS NOT NULL THEN 'b2b'
                   WHEN asked IS NOT NULL THEN NULL
                   WHEN EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = user_id AND n.tenant_id = tenant_id)
                        AND coalesce(persona, 'consumer') = 'consumer' THEN 'b2c'
                   ELSE 'internal' END;
END $$;
COMMENT ON FUNCTION csm_private.affiliation(bigint, bigint, text, bigint) IS
'As what a person turns to the desk: branch, and account for b2b; branch NULL where he is no contact of the account named';

CREATE FUNCTION csm.open_interaction(channel text, subject text DEFAULT NULL, requester_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL,
    language text DEFAULT 'english', by_bot boolean DEFAULT false) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm_private.person_id();
    own CONSTANT boolean := me IS NOT NULL AND coalesce(requester_id, me) = me;
    a record;
    i csm.interactions;
BEGIN
    i.tenant_id := csm.current_tenant_id();
    i.requester_id := coalesce(requester_id, me);
    SELECT * INTO a FROM csm_private.affiliation(i.requester_id, i.tenant_id,
        CASE WHEN own THEN nullif(current_setting('csm.persona', true), '') END, account_id);
    i.branch := a.branch;
    i.account_id := a.account_id;
    i.opened_at := clock_timestamp();
    -- For oneself whoever is signed in; for another, staff who work on such cases.
    IF me IS NULL OR i.branch IS NULL
       OR NOT EXISTS (SELECT FROM csm.users u WHERE u.id = i.requester_id AND u.tenant_id = i.tenant_id)
       OR NOT (own OR csm_private.interaction_allows(i, 'case_work')) THEN
        RAISE EXCEPTION 'permission denied to open an interaction' USING ERRCODE = '42501',
            HINT = 'For oneself, at an account of one''s own; staff who work on cases, for persons in their reach.';
    END IF;
    IF own THEN
        PERFORM csm_private.count_interaction(i.tenant_id, 'sessions_per_hour', me::text);
    END IF;
    INSERT INTO csm.interactions (tenant_id, branch, requester_id, account_id, opened_by, opened_at, channel, handled_by, subject, language,
                                  verification, verified_how, verified_at)
    VALUES (i.tenant_id, i.branch, i.requester_id, i.account_id, csm.current_user_id(), i.opened_at, channel,
            CASE WHEN by_bot OR channel = 'bot' THEN 'bot' ELSE 'agent' END, subject, language,
            CASE WHEN own AND me = csm.current_user_id() THEN 'verified' ELSE 'claimed' END,
            CASE WHEN NOT own THEN 'desk' WHEN me = csm.current_user_id() THEN 'sign_in' ELSE 'on_behalf' END, i.opened_at)
    RETURNING * INTO i;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm.open_interaction(text, text, bigint, bigint, text, boolean) IS
'Opens an interaction and returns it: for oneself (verified by sign_in; by csm.on_behalf_of() claimed by on_behalf), staff also for a person in their reach (claimed by desk). channel: chat, phone, email, bot, social. account_id: the home account by default. by_bot: a bot answers first; so for channel bot. Errors: 42501 nobody signed in, or person or account out of reach (hidden and missing alike), 23514 channel or subject, SM007 too many this hour';

CREATE FUNCTION csm.open_guest_interaction(channel text DEFAULT 'chat', subject text DEFAULT NULL, language text DEFAULT 'english',
    by_bot boolean DEFAULT false, OUT interaction_id bigint, OUT token text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := csm.guest_tenant_id();
    hours integer;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'there is no tenant for visitors' USING ERRCODE = '42501',
            HINT = 'Set csm.tenant to its key; who is signed in calls csm.open_interaction().';
    ELSIF channel IS NULL OR channel NOT IN ('chat', 'bot', 'social') THEN
        RAISE EXCEPTION 'a visitor comes by chat, bot or social' USING ERRCODE = '22023',
            DETAIL = format('Given: %s.', coalesce(channel, 'NULL')), HINT = 'Other channels are for staff to open.';
    END IF;
    PERFORM csm_private.count_interaction(tenant, 'guest_sessions_per_hour', tenant::text);
    SELECT csm_private.interaction_setting(t.settings, 'guest_hours') INTO hours FROM csm.tenants t WHERE t.id = tenant;
    INSERT INTO csm.interactions (tenant_id, branch, channel, handled_by, subject, language)
    VALUES (tenant, 'b2c', channel, CASE WHEN by_bot OR channel = 'bot' THEN 'bot' ELSE 'agent' END, subject, language)
    RETURNING id INTO interaction_id;
    token := csm_private.new_token();
    INSERT INTO csm_private.interaction_tokens (interaction_id, tenant_id, token_hash, expires_at)
    VALUES (interaction_id, tenant, csm_private.token_hash(token), clock_timestamp() + make_interval(hours => hours));
END $$;
COMMENT ON FUNCTION csm.open_guest_interaction(text, text, text, boolean) IS
'Opens an interaction for a visitor who is not signed in, and returns the token by which alone he speaks and reads: csm.guest_say(), csm.guest_transcript(). channel: chat, bot, social. Errors: 42501 no tenant, or signed in, 22023 channel, 23514 subject, SM007 too many visitors this hour (setting interactions.guest_sessions_per_hour)';

-- Speaking ------------------------------------------------------------------

CREATE FUNCTION csm_private.write_interaction(i csm.interactions, kind text, author_id bigint, body text) RETURNS csm.interaction_entries
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e csm.interaction_entries;
BEGIN
    IF i.state = 'closed' OR i.state = 'wrap_up' AND kind = 'customer' THEN
        RAISE EXCEPTION 'interaction % is over', i.id USING ERRCODE = '55000', DETAIL = format('Its state is %s.', i.state),
            HINT = 'Open a new one.';
    ELSIF kind = 'customer' THEN
        PERFORM csm_private.count_interaction(i.tenant_id, 'messages_per_hour', i.id::text);
    END IF;
    INSERT INTO csm.interaction_entries (tenant_id, interaction_id, author_kind, author_id, author_name, body)
    VALUES (i.tenant_id, i.id, kind, author_id,
            CASE WHEN kind IN ('bot', 'system') THEN kind
                 ELSE coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = author_id AND u.tenant_id = i.tenant_id), 'visitor') END, body)
    RETURNING * INTO e;
    IF kind IN ('bot', 'agent') THEN
        UPDATE csm.interactions x
        SET answered_at = coalesce(x.answered_at, e.created_at), state = CASE x.state WHEN 'new' THEN 'active' ELSE x.state END
        WHERE x.id = i.id AND (x.answered_at IS NULL OR x.state = 'new');
    END IF;
    RETURN e;
END $$;
COMMENT ON FUNCTION csm_private.write_interaction(csm.interactions, text, bigint, text) IS
'Writes an entry of an interaction that the caller has locked; the first answer makes it active. 55000 when it is over, SM007 too many messages of the customer';

CREATE FUNCTION csm.say(interaction_id bigint, body text, author_kind text DEFAULT NULL) RETURNS csm.interaction_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i CONSTANT csm.interactions := csm_private.lock_interaction(interaction_id);
    works CONSTANT boolean := csm_private.interaction_allows(i, 'case_work') AND i.requester_id IS DISTINCT FROM csm_private.person_id();
    kind CONSTANT text := coalesce(author_kind, CASE WHEN works THEN 'agent' ELSE 'customer' END);
BEGIN
    IF kind NOT IN ('customer', 'agent', 'bot', 'system') THEN
        RAISE EXCEPTION 'nobody speaks as "%"', kind USING ERRCODE = '22023', HINT = 'Kinds are customer, agent, bot and system.';
    ELSIF (CASE kind WHEN 'customer' THEN csm.requester_allows(i.requester_id, i.branch, i.account_id, 'case_comment') ELSE works END)
          IS NOT TRUE THEN
        RAISE EXCEPTION 'permission denied to speak as % in interaction %', kind, i.id USING ERRCODE = '42501',
            HINT = 'The requester speaks as customer; staff who work on such cases as agent, bot or system.';
    END IF;
    RETURN csm_private.write_interaction(i, kind, csm.current_user_id(), body);
END $$;
COMMENT ON FUNCTION csm.say(bigint, text, text) IS
'Writes into the transcript and returns the entry: the requester as customer, staff who work on such cases as agent, or for a bot or a system that runs under their name. Errors: 42501 no such interaction, or not permitted, 55000 over, 22023 kind, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour';

CREATE FUNCTION csm_private.guest_interaction(token text) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions;
BEGIN
    SELECT x.* INTO i
    FROM csm_private.interaction_tokens k JOIN csm.interactions x ON x.id = k.interaction_id AND x.tenant_id = k.tenant_id
    WHERE k.token_hash = csm_private.token_hash(guest_interaction.token) AND k.expires_at > clock_timestamp()
      AND k.tenant_id = csm.guest_tenant_id();
    IF i.id IS NULL THEN
        RAISE EXCEPTION 'the token opens no interaction' USING ERRCODE = '42501',
            HINT = 'It is unknown or expired; csm.open_guest_interaction() gives a new one.';
    END IF;
    RETURN i;
END $$;
COMMENT ON FUNCTION csm_private.guest_interaction(text) IS
'The interaction that a visitor''s token opens; 42501 for an unknown one, an expired one and one of another tenant alike';

CREATE FUNCTION csm.guest_say(token text, body text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    i csm.interactions := csm_private.guest_interaction(token);
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id AND x.tenant_id = i.tenant_id FOR NO KEY UPDATE;
    RETURN (csm_private.write_interaction(i, 'customer', NULL, guest_say.body)).id;
END $$;
COMMENT ON FUNCTION csm.guest_say(text, text) IS
'A visitor speaks; returns the id of the entry. Errors: 42501 token, 55000 over, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour. Pass both as bind parameters';

CREATE FUNCTION csm.guest_transcript(token text) RETURNS TABLE (id bigint, author_kind text, author_name text, body text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    i CONSTANT csm.interactions := csm_private.guest_interaction(guest_transcript.token);
BEGIN
    RETURN QUERY SELECT e.id, e.author_kind, e.author_name, e.body, e.created_at FROM csm.interaction_entries e
                 WHERE e.interaction_id = i.id AND e.tenant_id = i.tenant_id ORDER BY e.id;
END $$;
COMMENT ON FUNCTION csm.guest_transcript(text) IS
'What was said in a visitor''s interaction, in order. Error 42501 token. Pass it as a bind parameter';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.interaction_setting(jsonb, text)',
        'csm_private.check_interaction_settings()',
        'csm_private.count_interaction(bigint, text, text)',
        'csm_private.interaction_allows(csm.interactions, text)',
        'csm_private.lock_interaction(bigint)',
        'csm_private.require_work(csm.interactions)',
        'csm_private.affiliation(bigint, bigint, text, bigint)',
        'csm_private.write_interaction(csm.interactions, text, bigint, text)',
        'csm_private.guest_interaction(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.open_interaction(text, text, bigint, bigint, text, boolean)',
        'csm.say(bigint, text, text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.open_guest_interaction(text, text, text, boolean)',
        'csm.guest_say(text, text)',
        'csm.guest_transcript(text)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest', f);
    END LOOP;
END $$;
