-- csm's own sessions and API keys: opaque tokens by which csm.sign_in() knows a
-- person.  A row ends by being deleted; see src/csm_session_token.c, which
-- finds rows, writes last_used_at in place and relies on the order of the first
-- four columns.

CREATE TABLE csm.sessions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL DEFAULT 'session',
    label text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    idle_minutes integer,
    persona text,
    actions text[],
    CONSTRAINT sessions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT sessions_kind_check CHECK (kind IN ('session', 'key')),
    CONSTRAINT sessions_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT sessions_idle_check CHECK ((idle_minutes IS NULL) = (kind = 'key') AND idle_minutes > 1),
    CONSTRAINT sessions_persona_check CHECK (persona ~ '^(contact:[0-9]{1,18}|consumer|employee|staff:[a-z0-9_]{1,62})$'),
    CONSTRAINT sessions_actions_check CHECK (actions <@ '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage,product_read,product_manage,entitlement_read,account_manage,person_manage,case_work,configure,act_for}'::text[]
        AND cardinality(actions) > 0 AND array_position(actions, NULL) IS NULL)
);
CREATE INDEX sessions_user_idx ON csm.sessions (user_id);
SELECT csm_private.adopt_table('csm.sessions');
-- No row is signalled when it is made: nobody can stand on it yet.
CREATE TRIGGER sessions_signal AFTER DELETE OR UPDATE ON csm.sessions
    FOR EACH ROW EXECUTE FUNCTION csm_private.signal('session', 'id');
CREATE TRIGGER sessions_signal_truncate AFTER TRUNCATE ON csm.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.signal();
ALTER TABLE csm.sessions ENABLE ALWAYS TRIGGER sessions_signal;
ALTER TABLE csm.sessions ENABLE ALWAYS TRIGGER sessions_signal_truncate;

CREATE TABLE csm_private.session_tokens (
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    CONSTRAINT session_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT session_tokens_session_key UNIQUE (session_id, tenant_id),
    CONSTRAINT session_tokens_session_fkey FOREIGN KEY (session_id, tenant_id)
        REFERENCES csm.sessions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT session_tokens_hash_check CHECK (length(token_hash) = 32)
);
ALTER TABLE csm_private.session_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.session_tokens FROM PUBLIC;
ALTER TABLE csm_private.session_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.session_tokens', '');

-- An administrator of customers reaches the login of a person only where every
-- persona of that person lies in his reach: what the person does elsewhere is
-- none of his business.
CREATE FUNCTION csm_private.administers(user_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_time CONSTANT timestamptz := statement_timestamp();
BEGIN
    IF csm.current_tenant_id() IS DISTINCT FROM tenant_id THEN
        RETURN false;
    END IF;
    RETURN csm.all_in(tenant_id, 'internal', 'person_manage') OR csm.all_in(tenant_id, 'internal', 'configure')
        OR EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = user_id AND k.tenant_id = tenant_id
                   AND csm_private.is_valid(k.valid_during, at_time))
       AND NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = user_id AND k.tenant_id = tenant_id
                       AND csm_private.is_valid(k.valid_during, at_time)
                       AND csm.account_allows(k.account_id, 'contact_manage') IS NOT TRUE)
       AND NOT EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = user_id AND n.tenant_id = tenant_id)
       AND NOT EXISTS (SELECT FROM csm.employees m WHERE m.user_id = user_id AND m.tenant_id = tenant_id)
       AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = user_id AND r.tenant_id = tenant_id
                       AND csm_private.is_valid(r.valid_during, at_time));
END $$;
ALTER FUNCTION csm_private.administers(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.administers(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.administers(bigint, bigint) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.administers(bigint, bigint) IS
'Whether the caller administers the login of the person: staff with person_manage or configure; with contact_manage only while every persona of the person is a contact in his reach';

CREATE POLICY sessions_select ON csm.sessions FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR csm_private.administers(user_id, tenant_id));
GRANT SELECT ON csm.sessions TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.sessions IS 'Sessions and API keys that csm issued; made by csm.start_session() and csm.create_api_key(), ended by csm.revoke_session() and its like. A row that expired may stand until its person starts another';
COMMENT ON COLUMN csm.sessions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sessions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sessions.user_id IS 'The person who signs in by it';
COMMENT ON COLUMN csm.sessions.last_used_at IS 'Last sign-in by it, to the minute; uses on a standby do not count. Written outside transactions';
COMMENT ON COLUMN csm.sessions.kind IS 'session, or key (API key)';
COMMENT ON COLUMN csm.sessions.label IS 'What the person called it; NULL for nothing';
COMMENT ON COLUMN csm.sessions.created_at IS 'When it was made';
COMMENT ON COLUMN csm.sessions.expires_at IS 'Absolute end';
COMMENT ON COLUMN csm.sessions.idle_minutes IS 'A session ends when it was not used for so many minutes; NULL for an API key';
COMMENT ON COLUMN csm.sessions.persona IS 'An API key counts through this persona alone; NULL: through all';
COMMENT ON COLUMN csm.sessions.actions IS 'An API key permits these actions alone, as far as its person holds them; NULL: all';
COMMENT ON POLICY sessions_select ON csm.sessions IS 'One''s own, and those of people whose login one administers';
COMMENT ON TABLE csm_private.session_tokens IS 'How the token of a session or API key is known: the token itself is stored nowhere';
COMMENT ON COLUMN csm_private.session_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.session_tokens.session_id IS 'The session or API key';
COMMENT ON COLUMN csm_private.session_tokens.tenant_id IS 'Its tenant';

-- ---- signing in by a token ----

CREATE FUNCTION csm_private.sign_in_by_token(token text, local boolean) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_sign_in_by_token' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.sign_in_by_token(text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.sign_in_by_token(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.sign_in_by_token(text, boolean) IS
'Signs in by the token of a session or API key, for the transaction (local) or the connection; the person, or NULL and nothing done where the token is unknown or has expired. On a standby the absolute end alone counts';

-- ---- making and ending ----

CREATE FUNCTION csm_private.session_setting(tenant_id bigint, key text) RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN jsonb_typeof(t.settings -> d.key) = 'number'
                THEN least(greatest((t.settings ->> d.key)::numeric, d.least), d.most)::integer ELSE d.normal END
    FROM csm.tenants t, (VALUES ('session_idle_minutes', 30, 2, 43200), ('session_hours', 12, 1, 8760),
                                ('api_key_days', 365, 0, 3650)) AS d(key, normal, least, most)
    WHERE t.id = session_setting.tenant_id AND d.key = session_setting.key
$$;
ALTER FUNCTION csm_private.session_setting(bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.session_setting(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.session_setting(bigint, text) IS
'A setting of the tenant: session_idle_minutes (30), session_hours (12), api_key_days (365; 0: no API keys); what is no number counts as not set, what is out of range as the nearest';

-- Locks the person, so that of making one and ending all of them one is first.
CREATE FUNCTION csm_private.add_session(kind text, label text, expires_at timestamptz, persona text, actions text[], token text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    made bigint;
BEGIN
    PERFORM FROM csm.users u WHERE u.id = me AND u.tenant_id = tenant AND u.enabled FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'permission denied to make a %', kind USING ERRCODE = '42501', HINT = 'Sign in again.';
    END IF;
    INSERT INTO csm.sessions AS s (tenant_id, user_id, kind, label, expires_at, idle_minutes, persona, actions)
    VALUES (tenant, me, kind, label, expires_at,
            CASE kind WHEN 'session' THEN csm_private.session_setting(tenant, 'session_idle_minutes') END, persona, actions)
    RETURNING s.id INTO made;
    INSERT INTO csm_private.session_tokens (token_hash, session_id, tenant_id)
    VALUES (csm_private.token_hash(token), made, tenant);
    RETURN made;
END $$;
ALTER FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) IS
'A row of csm.sessions for the signed-in person, and its token; error 42501 when he was disabled meanwhile';

CREATE FUNCTION csm.start_session(label text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    token CONSTANT text := csm_private.new_token();
    made bigint;
BEGIN
    IF NOT csm_private.in_person() THEN
        RAISE EXCEPTION 'permission denied to start a session' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another.';
    ELSIF length(label) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'label of a session has 1 to 200 characters' USING ERRCODE = '22023',
            DETAIL = format('It has %s.', length(label)), HINT = 'Leave it out.';
    END IF;
    -- A session started from another ends with that one at the latest.
    made := csm_private.add_session('session', label,
        least(clock_timestamp() + make_interval(hours => csm_private.session_setting(tenant, 'session_hours')),
              (SELECT s.expires_at FROM csm.sessions s WHERE s.id = csm_private.current_session_id())),
        NULL, NULL, token);
    -- What has ended, and what was not used for longest beyond a hundred.
    DELETE FROM csm.sessions s
    WHERE s.user_id = me AND s.tenant_id = tenant
      AND (s.expires_at <= clock_timestamp()
           OR s.last_used_at + make_interval(mins => s.idle_minutes) <= clock_timestamp()
           OR s.id IN (SELECT o.id FROM csm.sessions o
                       WHERE o.user_id = me AND o.tenant_id = tenant AND o.kind = 'session'
                       ORDER BY o.last_used_at DESC, o.id DESC OFFSET 100));
    PERFORM csm_private.audit('session_started', me, me, NULL, jsonb_build_object('session_id', made));
    RETURN token;
END $$;
ALTER FUNCTION csm.start_session(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.start_session(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.start_session(text) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.start_session(text) IS
'A token by which the signed-in person can sign in (csm.sign_in()) until the session ends: 256 random bits, told once, stored as a hash. A person has at most 100 sessions. Errors: 42501 nobody, by an API key or for another; 22023 label too long; 25006 on a standby';

CREATE FUNCTION csm.create_api_key(name text, persona text DEFAULT NULL, actions text[] DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    tenant CONSTANT bigint := csm.current_tenant_id();
    narrowed CONSTANT text := nullif(current_setting('csm.persona', true), '');
    days CONSTANT integer := csm_private.session_setting(tenant, 'api_key_days');
    token CONSTANT text := 'csmk_' || csm_private.new_token();
    made bigint;
BEGIN
    IF NOT csm_private.in_person() OR days = 0 THEN
        RAISE EXCEPTION 'permission denied to make an API key' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another. The tenant''s setting api_key_days may forbid keys.';
    ELSIF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'name of an API key has 1 to 200 characters' USING ERRCODE = '22023', HINT = 'Name what will use it.';
    END IF;
    persona := coalesce(persona, narrowed);
    IF persona <> narrowed OR NOT EXISTS (SELECT FROM csm.whoami() w WHERE persona IS NULL OR persona = ANY (w.personas)) THEN
        RAISE EXCEPTION 'persona "%" is not the caller''s', persona USING ERRCODE = '42501',
            HINT = 'csm.whoami() lists personas; staff personas count on a connection for staff.';
    ELSIF cardinality(actions) = 0 OR array_position(actions, NULL) IS NOT NULL OR NOT actions <@
          '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage,product_read,product_manage,entitlement_read,account_manage,person_manage,case_work,configure,act_for}'::text[] THEN
        RAISE EXCEPTION 'actions of an API key are unknown' USING ERRCODE = '22023',
            DETAIL = format('Given are %s.', actions::text), HINT = 'Name actions as in csm.role_permissions, or leave them out.';
    END IF;
    expires_at := coalesce(expires_at, clock_timestamp() + make_interval(days => least(days, 90)));
    IF expires_at <= clock_timestamp() OR expires_at > clock_timestamp() + make_interval(days => days) THEN
        RAISE EXCEPTION 'an API key cannot end at %', expires_at USING ERRCODE = '22023',
            HINT = format('It ends within %s days from now.', days);
    END IF;
    made := csm_private.add_session('key', name, expires_at, persona, actions, token);
    DELETE FROM csm.sessions s WHERE s.user_id = me AND s.tenant_id = tenant AND s.expires_at <= clock_timestamp();
    IF (SELECT count(*) FROM csm.sessions s WHERE s.user_id = me AND s.tenant_id = tenant AND s.kind = 'key') > 50 THEN
        RAISE EXCEPTION 'the quota of API keys is used up' USING ERRCODE = 'SM007',
            DETAIL = 'Allowed are 50.', HINT = 'Revoke what is not needed any more.';
    END IF;
    PERFORM csm_private.audit('api_key_made', me, me, NULL,
        jsonb_build_object('session_id', made, 'persona', persona, 'actions', to_jsonb(actions), 'expires_at', expires_at));
    RETURN token;
END $$;
ALTER FUNCTION csm.create_api_key(text, text, text[], timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) IS
'A token for an integration, which signs in as the caller by csm.sign_in(): through one persona and for some actions only where given; with what the caller may at the time of use, never more. Ends after 90 days or as given, at most the tenant''s api_key_days. Told once, stored as a hash. Errors: 42501 nobody, by an API key, for another, another''s persona, keys forbidden; 22023 name, actions or end; SM007 more than 50';

CREATE FUNCTION csm_private.end_sessions(user_id bigint, tenant_id bigint, keys boolean) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ended integer;
BEGIN
    PERFORM FROM csm.users u WHERE u.id = user_id AND u.tenant_id = tenant_id FOR NO KEY UPDATE;
    DELETE FROM csm.sessions s
    WHERE s.user_id = user_id AND s.tenant_id = tenant_id AND (keys OR s.kind = 'session');
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended > 0 THEN
        PERFORM csm_private.audit('sessions_ended', csm.current_user_id(), user_id, NULL,
            jsonb_build_object('ended', ended, 'keys', keys), tenant_id);
    END IF;
    RETURN ended;
END $$;
ALTER FUNCTION csm_private.end_sessions(bigint, bigint, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) IS
'Ends the sessions of a person, keys: his API keys as well; how many. For functions that change a login';

CREATE FUNCTION csm.revoke_session(session_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s csm.sessions;
BEGIN
    IF NOT csm_private.in_person() THEN
        RAISE EXCEPTION 'permission denied to revoke a session' USING ERRCODE = '42501',
            HINT = 'Sign in first, in person: neither by an API key nor for another.';
    END IF;
    DELETE FROM csm.sessions x
    WHERE x.id = session_id AND x.tenant_id = csm.current_tenant_id()
      AND (x.user_id = csm.current_user_id() OR csm_private.administers(x.user_id, x.tenant_id))
    RETURNING * INTO s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM csm_private.audit('session_revoked', csm.current_user_id(), s.user_id, NULL,
        jsonb_build_object('session_id', s.id, 'kind', s.kind));
    RETURN true;
END $$;
ALTER FUNCTION csm.revoke_session(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.revoke_session(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.revoke_session(bigint) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.revoke_session(bigint) IS
'Ends a session or API key (csm.sessions.id) at once, open transactions included: one''s own, or of a person whose login one administers. False where there is none, another''s alike. Error 42501: nobody, by an API key or for another';

CREATE FUNCTION csm.revoke_all_sessions(user_id bigint DEFAULT NULL, keys boolean DEFAULT true) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    user_id := coalesce(user_id, csm.current_user_id());
    IF NOT csm_private.in_person() OR keys IS NULL
       OR user_id <> csm.current_user_id() AND NOT csm_private.administers(user_id, csm.current_tenant_id()) THEN
        RAISE EXCEPTION 'permission denied to revoke the sessions of user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One revokes one''s own, in person, and an administrator those of people who are contacts in his reach alone.';
    END IF;
    RETURN csm_private.end_sessions(user_id, csm.current_tenant_id(), keys);
END $$;
ALTER FUNCTION csm.revoke_all_sessions(bigint, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.revoke_all_sessions(bigint, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.revoke_all_sessions(bigint, boolean) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.revoke_all_sessions(bigint, boolean) IS
'Ends all sessions of the person, by default the caller, and his API keys unless keys is false; how many. The one that the caller uses ends too. Error 42501: nobody, by an API key, for another, or a person whose login he does not administer, missing ones alike';

-- ---- what ends with a login ----

CREATE FUNCTION csm_private.login_ends() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT bigint := (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
    tenant CONSTANT bigint := NEW.tenant_id;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    ELSIF TG_TABLE_NAME = 'contacts'
          AND (EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = person AND k.tenant_id = tenant AND k.login_enabled)
               OR EXISTS (SELECT FROM csm.consumers n WHERE n.user_id = person AND n.tenant_id = tenant)
               OR EXISTS (SELECT FROM csm.employees m WHERE m.user_id = person AND m.tenant_id = tenant)
               OR EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = person AND r.tenant_id = tenant)) THEN
        RETURN NULL;
    END IF;
    PERFORM csm_private.end_sessions(person, tenant, true);
    RETURN NULL;
END $$;
ALTER FUNCTION csm_private.login_ends() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.login_ends() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.login_ends() IS
'Trigger of csm.users and csm.contacts: sessions and API keys end when the person is disabled, or the login of his last persona. Argument: the column that names the person';

CREATE TRIGGER users_60_login_ends AFTER UPDATE OF enabled ON csm.users
    FOR EACH ROW WHEN (OLD.enabled AND NOT NEW.enabled) EXECUTE FUNCTION csm_private.login_ends('id');
CREATE TRIGGER contacts_60_login_ends AFTER UPDATE OF login_enabled ON csm.contacts
    FOR EACH ROW WHEN (OLD.login_enabled AND NOT NEW.login_enabled) EXECUTE FUNCTION csm_private.login_ends('user_id');

-- ---- acting for another ----

CREATE FUNCTION csm_private.set_behalf(user_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'csm_set_behalf' LANGUAGE c VOLATILE PARALLEL UNSAFE;
ALTER FUNCTION csm_private.set_behalf(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_behalf(bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_behalf(bigint) IS
'The signed-in person acts for that one until the transaction ends; NULL lifts it. Asks nothing: whether he may shows in his rights';

CREATE FUNCTION csm.on_behalf_of(user_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me bigint;
BEGIN
    PERFORM csm_private.set_behalf(NULL);
    me := csm.current_user_id();
    IF me IS NULL THEN
        RAISE EXCEPTION 'permission denied to act for user %', coalesce(user_id::text, 'NULL') USING ERRCODE = '42501', HINT = 'Sign in first.';
    ELSIF user_id IS NULL OR user_id = me THEN
        RETURN;
    END IF;
    PERFORM csm_private.set_behalf(user_id);
    IF csm.current_user_id() IS NULL THEN
        PERFORM csm_private.set_behalf(NULL);
        RAISE EXCEPTION 'permission denied to act for user %', user_id USING ERRCODE = '42501',
            HINT = 'Staff with the action act_for and reach all may, for enabled people of their tenant.';
    END IF;
    PERFORM csm_private.audit('acted_for', me, user_id);
END $$;
ALTER FUNCTION csm.on_behalf_of(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.on_behalf_of(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.on_behalf_of(bigint) TO csm_agent, csm_admin;
COMMENT ON FUNCTION csm.on_behalf_of(bigint) IS
'Until the transaction ends the caller acts for that person: with that person''s rights as a customer, in the branches where the caller holds act_for and contact_read, and of the actions those that the caller himself holds there with reach all. Entries, history and events name both. NULL, or oneself, lifts it. Error 42501: nobody, without act_for, no such person, disabled or of another tenant';

CREATE FUNCTION csm.on_behalf_of() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_on_behalf_of' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm.on_behalf_of() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.on_behalf_of() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.on_behalf_of() TO csm_agent, csm_admin;
COMMENT ON FUNCTION csm.on_behalf_of() IS
'For whom the caller acts (csm.users.id); NULL for himself';
