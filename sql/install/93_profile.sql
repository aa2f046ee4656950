-- What a person keeps of himself: profile, e-mail address, preferences for
-- notifications.

CREATE TABLE csm.notification_preferences (
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    event text NOT NULL,
    channel text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    enabled boolean NOT NULL,
    CONSTRAINT notification_preferences_pkey PRIMARY KEY (user_id, event, channel, tenant_id),
    CONSTRAINT notification_preferences_user_fkey FOREIGN KEY (user_id, tenant_id)
        REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT notification_preferences_event_check CHECK (event = '*' OR event ~ '^[a-z][a-z_]{0,39}$'),
    CONSTRAINT notification_preferences_channel_check CHECK (channel = '*' OR channel ~ '^[a-z][a-z_]{0,39}$')
);
SELECT csm_private.adopt_table('csm.notification_preferences');
CREATE POLICY notification_preferences_select ON csm.notification_preferences FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_insert ON csm.notification_preferences FOR INSERT TO csm_portal, csm_agent, csm_admin
    WITH CHECK (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_update ON csm.notification_preferences FOR UPDATE TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
CREATE POLICY notification_preferences_delete ON csm.notification_preferences FOR DELETE TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id());
GRANT SELECT, DELETE, INSERT (event, channel, enabled), UPDATE (enabled)
    ON csm.notification_preferences TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.notification_preferences IS 'Which events a person wants to hear of, and how; what he does not say csm.notification_rules does';
COMMENT ON COLUMN csm.notification_preferences.user_id IS 'The person';
COMMENT ON COLUMN csm.notification_preferences.event IS 'Kind of event (as csm.notification_rules.event); * for every one without a row of its own';
COMMENT ON COLUMN csm.notification_preferences.channel IS 'Way by which he is told, such as email; * for every one without a row of its own. A row that names the event goes before one that names the channel';
COMMENT ON COLUMN csm.notification_preferences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_preferences.enabled IS 'Whether he wants it';
COMMENT ON POLICY notification_preferences_select ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_insert ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_update ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_delete ON csm.notification_preferences IS 'One''s own';

CREATE FUNCTION csm_private.wants_notification(user_id bigint, tenant_id bigint, event text, channel text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.enabled FROM csm.notification_preferences p
    WHERE p.user_id = wants_notification.user_id AND p.tenant_id = wants_notification.tenant_id
      AND p.event IN (wants_notification.event, '*') AND p.channel IN (wants_notification.channel, '*')
    ORDER BY p.event = '*', p.channel = '*' LIMIT 1
$$;
ALTER FUNCTION csm_private.wants_notification(bigint, bigint, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) IS
'What the person said about this event on this channel; NULL when nothing, and the default counts';

-- A new address counts when it has answered.  Whoever asked for it sees nothing
-- change before, whether or not the address belongs to somebody.
CREATE TABLE csm_private.email_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL,
    user_id bigint NOT NULL,
    email text NOT NULL,
    token_hash bytea NOT NULL,
    joins boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT email_changes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT email_changes_token_key UNIQUE (token_hash),
    CONSTRAINT email_changes_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT email_changes_email_check CHECK (length(email) <= 320 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$')
);
CREATE INDEX email_changes_user_idx ON csm_private.email_changes (user_id);
ALTER TABLE csm_private.email_changes OWNER TO csm_owner;
REVOKE ALL ON csm_private.email_changes FROM PUBLIC;
ALTER TABLE csm_private.email_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE csm_private.email_changes ALTER COLUMN email SET STATISTICS 0;
SELECT pg_extension_config_dump('csm_private.email_changes', '');
SELECT pg_extension_config_dump('csm_private.email_changes_id_seq', '');
COMMENT ON TABLE csm_private.email_changes IS 'Addresses that wait to be confirmed';
COMMENT ON COLUMN csm_private.email_changes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.email_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.email_changes.user_id IS 'The person';
COMMENT ON COLUMN csm_private.email_changes.email IS 'Address that is to become his';
COMMENT ON COLUMN csm_private.email_changes.token_hash IS 'SHA-256 of the token that was sent there';
COMMENT ON COLUMN csm_private.email_changes.joins IS 'True: the row of a person whom an administrator added; where the address is somebody''s already, the two become one when he confirms';
COMMENT ON COLUMN csm_private.email_changes.created_at IS 'When it was asked for';
COMMENT ON COLUMN csm_private.email_changes.expires_at IS 'Until when the token counts';

-- One answer whether or not the address is somebody's: what differs is the mail.
CREATE FUNCTION csm_private.ask_for_email(of_user bigint, email text, joins boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u csm.users;
    owner_id bigint;
    token CONSTANT text := csm_private.new_token();
    until CONSTANT timestamptz := clock_timestamp() + interval '3 days';
BEGIN
    SELECT * INTO u FROM csm.users e WHERE e.id = of_user;
    SELECT e.id INTO owner_id FROM csm.users e
    WHERE e.tenant_id = u.tenant_id AND e.email_key = lower(btrim(ask_for_email.email));
    DELETE FROM csm_private.email_changes c WHERE c.user_id = u.id;
    IF owner_id = u.id THEN
        IF u.email <> btrim(ask_for_email.email) THEN
            UPDATE csm.users e SET email = btrim(ask_for_email.email) WHERE e.id = u.id AND e.tenant_id = u.tenant_id;
        END IF;
        RETURN;
    END IF;
    INSERT INTO csm_private.email_changes (tenant_id, user_id, email, token_hash, joins, expires_at)
    VALUES (u.tenant_id, u.id, btrim(ask_for_email.email), csm_private.token_hash(token), joins, until);
    IF owner_id IS NOT NULL AND NOT joins THEN
        PERFORM csm_private.send_mail(u.tenant_id, 'email_in_use', email, owner_id, u.language, '{}', until);
    ELSE
        PERFORM csm_private.send_mail(u.tenant_id, CASE WHEN joins THEN 'contact_added' ELSE 'confirm_email' END, email,
            owner_id, u.language, jsonb_build_object('token', token, 'name', u.display_name), until);
    END IF;
END $$;
ALTER FUNCTION csm_private.ask_for_email(bigint, text, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) IS
'Sends a token to the address, which becomes the person''s with csm.confirm_email(); a request before is void. An address of somebody else gets a warning instead, or, where the person was added by an administrator (joins), the question whether he is the same. No check of the caller';

-- All that a profile can be refused for: asked before whose it is, so that a
-- refusal tells nothing.
CREATE FUNCTION csm_private.check_profile(display_name text, email text, language text, time_zone text, phone text, title text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF display_name IS NOT NULL AND (btrim(display_name) = '' OR length(display_name) > 200 OR display_name ~ '[[:cntrl:]]') THEN
        RAISE EXCEPTION 'a name has 1 to 200 characters, none of them a control character' USING ERRCODE = '22023',
            HINT = 'Leave it out to keep it.';
    ELSIF email IS NOT NULL AND (length(email) > 320
              OR btrim(email) !~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$') THEN
        RAISE EXCEPTION 'invalid e-mail address %', quote_literal(left(email, 320)) USING ERRCODE = '22023',
            HINT = 'Give one plain address, without a name.';
    ELSIF language IS NOT NULL AND (length(language) > 35 OR language !~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$') THEN
        RAISE EXCEPTION 'invalid language tag %', quote_literal(left(language, 35)) USING ERRCODE = '22023',
            HINT = 'A tag as in BCP 47, for example en or pt-BR.';
    ELSIF time_zone IS NOT NULL AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = check_profile.time_zone) THEN
        RAISE EXCEPTION 'there is no time zone %', quote_literal(left(time_zone, 64)) USING ERRCODE = '22023',
            HINT = 'Choose a name of pg_timezone_names, for example Europe/Berlin.';
    ELSIF length(phone) > 64 OR length(title) > 200 OR phone ~ '[[:cntrl:]]' OR title ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a telephone number has at most 64 characters, a title 200, none of them a control character'
            USING ERRCODE = '22023', HINT = 'The empty string takes them away.';
    END IF;
END $$;
ALTER FUNCTION csm_private.check_profile(text, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) IS
'Error 22023 for what cannot stand in a profile; NULL always can';

-- One place where a person's own columns are changed on request; '' empties
-- phone and title, NULL keeps.
CREATE FUNCTION csm_private.set_profile(of_user bigint, display_name text, language text, time_zone text, phone text, title text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE csm.users u SET
        display_name = coalesce(btrim(set_profile.display_name), u.display_name),
        language = coalesce(set_profile.language, u.language),
        time_zone = coalesce(set_profile.time_zone, u.time_zone),
        phone = CASE WHEN set_profile.phone IS NULL THEN u.phone ELSE nullif(set_profile.phone, '') END,
        title = CASE WHEN set_profile.title IS NULL THEN u.title ELSE nullif(set_profile.title, '') END
    WHERE u.id = of_user;
END $$;
ALTER FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) IS
'Changes what is given; the empty string empties phone and title. No check of the caller, nor of what is given: csm_private.check_profile()';

CREATE FUNCTION csm.update_profile(display_name text DEFAULT NULL, email text DEFAULT NULL, language text DEFAULT NULL,
    time_zone text DEFAULT NULL, phone text DEFAULT NULL, title text DEFAULT NULL) RETURNS csm.users
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    u csm.users;
BEGIN
    IF me IS NULL THEN
        RAISE EXCEPTION 'nobody is signed in' USING ERRCODE = '42501',
            HINT = 'A person changes his own profile.';
    END IF;
    PERFORM csm_private.check_profile(update_profile.display_name, update_profile.email, update_profile.language,
                                      update_profile.time_zone, update_profile.phone, update_profile.title);
    PERFORM csm_private.set_profile(me, update_profile.display_name, update_profile.language, update_profile.time_zone,
                                    update_profile.phone, update_profile.title);
    IF update_profile.email IS NOT NULL THEN
        IF NOT csm_private.attempt('email_change', me::text, 5, interval '1 day') THEN
            RAISE EXCEPTION 'the e-mail address was changed too often' USING ERRCODE = 'SM007',
                HINT = 'Try again tomorrow.';
        END IF;
        PERFORM csm_private.ask_for_email(me, update_profile.email);
    END IF;
    PERFORM csm_private.audit('profile_changed', me, me, NULL,
        (SELECT jsonb_build_object('fields', coalesce(jsonb_agg(f.name), '[]'))
         FROM (VALUES ('display_name', update_profile.display_name), ('email', update_profile.email), ('language', update_profile.language),
                      ('time_zone', update_profile.time_zone), ('phone', update_profile.phone), ('title', update_profile.title)) f(name, given)
         WHERE f.given IS NOT NULL));
    SELECT * INTO u FROM csm.users e WHERE e.id = me;
    RETURN u;
END $$;
ALTER FUNCTION csm.update_profile(text, text, text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.update_profile(text, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.update_profile(text, text, text, text, text, text) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.update_profile(text, text, text, text, text, text) IS
'Changes what is given of the caller''s own profile and returns his row; the empty string empties phone and title. A new e-mail address counts after csm.confirm_email() with the token that is sent there. Errors: 42501 nobody, 22023 what cannot stand in a profile, SM007 more than five addresses a day';

CREATE FUNCTION csm.confirm_email(token text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    c csm_private.email_changes;
    u csm.users;
    owner_id bigint;
BEGIN
    DELETE FROM csm_private.email_changes e
    WHERE e.token_hash = csm_private.token_hash(token) AND e.tenant_id = tenant AND e.expires_at > clock_timestamp()
    RETURNING * INTO c;
    IF c.id IS NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', csm.current_user_id(), NULL);
        RETURN 'refused';
    END IF;
    SELECT * INTO u FROM csm.users e WHERE e.id = c.user_id AND e.tenant_id = c.tenant_id FOR UPDATE;
    SELECT e.id INTO owner_id FROM csm.users e
    WHERE e.tenant_id = c.tenant_id AND e.email_key = lower(btrim(c.email)) AND e.id <> u.id;
    IF owner_id IS NOT NULL AND c.joins THEN
        PERFORM csm_private.merge_users(owner_id, u.id, 'confirmed by e-mail', owner_id);
    ELSIF owner_id IS NOT NULL THEN
        PERFORM csm_private.audit('email_confirmation_refused', u.id, u.id, NULL, '{"reason": "in_use"}');
        RETURN 'refused';
    ELSE
        BEGIN
            UPDATE csm.users e SET email = c.email WHERE e.id = u.id AND e.tenant_id = u.tenant_id;
        EXCEPTION WHEN unique_violation THEN
            -- somebody else confirmed it meanwhile
            PERFORM csm_private.audit('email_confirmation_refused', u.id, u.id, NULL, '{"reason": "in_use"}');
            RETURN 'refused';
        END;
        IF u.email IS NOT NULL THEN
            PERFORM csm_private.send_mail(u.tenant_id, 'email_changed', u.email, u.id, u.language, '{}');
        END IF;
    END IF;
    PERFORM csm_private.audit('email_confirmed', coalesce(owner_id, u.id), coalesce(owner_id, u.id));
    RETURN 'confirmed';
END $$;
ALTER FUNCTION csm.confirm_email(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.confirm_email(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.confirm_email(text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.confirm_email(text) IS
'Whoever has the token that was sent to a new address makes it his, signed in or not; single use, three days. A person whom a customer''s administrator added and whose address is somebody''s becomes one with him. Returns confirmed, or refused without saying why. The old address is told';
