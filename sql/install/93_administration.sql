-- Customer administration (R A12 to A16): what somebody with contact_manage does
-- with the contacts of his accounts, and staff with account_manage with all.
--
-- The functions refuse by a status, so that the refusal stands in the audit log,
-- and with one and the same for what is hidden, missing and not permitted.
-- Nobody administers himself, nor a contact whose role is above his own.

-- Audit ---------------------------------------------------------------------

-- Whoever writes, by function or plainly; not the system.
CREATE FUNCTION csm_private.audit_contacts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    c csm.contacts;
BEGIN
    IF me IS NULL OR csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        c := OLD;
    ELSE
        c := NEW;
    END IF;
    IF TG_OP <> 'UPDATE' OR OLD.user_id <> NEW.user_id OR OLD.account_id <> NEW.account_id THEN
        PERFORM csm_private.audit(CASE TG_OP WHEN 'DELETE' THEN 'contact_removed' WHEN 'INSERT' THEN 'contact_added' ELSE 'contact_moved' END,
            me, c.user_id, c.account_id, jsonb_build_object('contact_id', c.id, 'role', c.role), c.tenant_id);
        RETURN NULL;
    END IF;
    IF OLD.role <> NEW.role THEN
        PERFORM csm_private.audit('contact_role_changed', me, c.user_id, c.account_id,
            jsonb_build_object('contact_id', c.id, 'role', c.role, 'before', OLD.role), c.tenant_id);
    END IF;
    IF OLD.login_enabled <> NEW.login_enabled THEN
        PERFORM csm_private.audit(CASE WHEN c.login_enabled THEN 'contact_login_enabled' ELSE 'contact_login_disabled' END,
            me, c.user_id, c.account_id, jsonb_build_object('contact_id', c.id), c.tenant_id);
    END IF;
    IF OLD.valid_during IS DISTINCT FROM NEW.valid_during THEN
        PERFORM csm_private.audit('contact_validity_changed', me, c.user_id, c.account_id,
            jsonb_build_object('contact_id', c.id, 'valid_during', c.valid_during, 'before', OLD.valid_during), c.tenant_id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.audit_contacts() IS
'Trigger of csm.contacts: what somebody signed in changes is audited as contact_added, contact_removed, contact_moved, contact_role_changed, contact_login_enabled, contact_login_disabled or contact_validity_changed';
CREATE TRIGGER contacts_50_audit AFTER INSERT OR UPDATE OR DELETE ON csm.contacts
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_contacts();

CREATE FUNCTION csm_private.audit_user_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    r csm.user_roles;
BEGIN
    IF me IS NULL OR csm_private.restoring() OR csm_private.importing() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        r := OLD;
    ELSE
        r := NEW;
    END IF;
    PERFORM csm_private.audit(CASE TG_OP WHEN 'DELETE' THEN 'staff_role_removed' WHEN 'INSERT' THEN 'staff_role_added' ELSE 'staff_role_changed' END,
        me, r.user_id, NULL,
        jsonb_build_object('role', r.role, 'branches', r.branches, 'reach', r.reach, 'service_organization_id', r.service_organization_id,
                           'valid_during', r.valid_during), r.tenant_id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.audit_user_roles() IS
'Trigger of csm.user_roles: what somebody signed in changes is audited as staff_role_added, staff_role_changed or staff_role_removed';
CREATE TRIGGER user_roles_50_audit AFTER INSERT OR UPDATE OR DELETE ON csm.user_roles
    FOR EACH ROW EXECUTE FUNCTION csm_private.audit_user_roles();

-- Who may --------------------------------------------------------------------

CREATE FUNCTION csm_private.contact_to_administer(contact_id bigint) RETURNS csm.contacts
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c FROM csm.contacts c
    WHERE c.id = contact_to_administer.contact_id AND c.tenant_id = csm.current_tenant_id()
      AND c.user_id <> csm.current_user_id() AND c.user_id IS DISTINCT FROM csm.on_behalf_of()
      AND csm_private.manages_contacts(c.account_id) AND csm_private.role_within(c.account_id, c.role)
$$;
COMMENT ON FUNCTION csm_private.contact_to_administer(bigint) IS
'The contact, where the caller may administer it: not himself, in an account whose contacts he manages, with a role not above his own; else NULL';

-- Whether the person is a contact of the caller's accounts and nothing else.
CREATE FUNCTION csm_private.person_in_reach(of_user bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_or(
        csm.all_in(u.tenant_id, 'internal', 'person_manage')
        OR u.login_role IS NULL
           AND NOT EXISTS (SELECT FROM csm.user_roles r WHERE r.user_id = u.id AND r.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.employees e WHERE e.user_id = u.id AND e.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = u.id AND c.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.representations r
                           WHERE u.id IN (r.representative_id, r.represented_id) AND r.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.household_members m WHERE m.user_id = u.id AND m.tenant_id = u.tenant_id)
           AND NOT EXISTS (SELECT FROM csm.contacts k
                           WHERE k.user_id = u.id AND k.tenant_id = u.tenant_id
                             AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(statement_timestamp(), NULL)
                             AND (csm_private.manages_contacts(k.account_id) AND csm_private.role_within(k.account_id, k.role)) IS NOT TRUE)),
        false)
    FROM csm.users u
    WHERE u.id = person_in_reach.of_user AND u.tenant_id = csm.current_tenant_id() AND u.id <> csm.current_user_id()
$$;
COMMENT ON FUNCTION csm_private.person_in_reach(bigint) IS
'Whether every persona of the person, present or to come, is one that the caller may administer; staff with person_manage: always. False for himself';

CREATE FUNCTION csm_private.refuse_administration(kind text, account_id bigint, details jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- what somebody tried elsewhere is no business of an account that he named
    known CONSTANT bigint := (SELECT a.id FROM csm.accounts a
                              WHERE a.id = refuse_administration.account_id AND csm_private.manages_contacts(a.id));
BEGIN
    PERFORM csm_private.audit(kind || '_refused', csm.current_user_id(), NULL, known, jsonb_strip_nulls(details));
    RETURN 'refused';
END $$;
COMMENT ON FUNCTION csm_private.refuse_administration(text, bigint, jsonb) IS
'Records a refusal, in the account only where the caller manages it, and returns refused';

CREATE FUNCTION csm_private.limit_contact_mail(account_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.attempt('contact_mail', account_id::text, 100, interval '1 day') THEN
        RAISE EXCEPTION 'too many mails to contacts of the account' USING ERRCODE = 'SM007',
            DETAIL = 'At most 100 a day are sent on request of its administrators.', HINT = 'Try again later, or ask the service desk.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.limit_contact_mail(bigint) IS 'SM007 when administrators of the account had more than 100 mails sent in a day';

-- What they do ----------------------------------------------------------------

CREATE FUNCTION csm.add_contact(account_id bigint, display_name text, role text DEFAULT 'customer', email text DEFAULT NULL,
    phone text DEFAULT NULL, title text DEFAULT NULL, language text DEFAULT NULL, time_zone text DEFAULT NULL)
RETURNS TABLE (status text, contact_id bigint)
LANGUAGE plpgsql SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    person bigint;
    made bigint;
BEGIN
    PERFORM csm_private.check_profile(coalesce(add_contact.display_name, ''), add_contact.email, add_contact.language,
                                      add_contact.time_zone, add_contact.phone, add_contact.title);
    IF csm_private.manages_contacts(add_contact.account_id) IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = add_contact.account_id AND a.tenant_id = tenant AND a.active)
       OR csm_private.may_assign_role(add_contact.account_id, add_contact.role) IS NOT TRUE THEN
        RETURN QUERY SELECT csm_private.refuse_administration('contact_add', add_contact.account_id,
            jsonb_build_object('account_id', add_contact.account_id, 'role', left(add_contact.role, 63))), NULL::bigint;
        RETURN;
    END IF;
    IF add_contact.email IS NOT NULL THEN
        PERFORM csm_private.limit_contact_mail(add_contact.account_id);
    END IF;
    INSERT INTO csm.users (tenant_id, display_name, phone, title, language, time_zone)
    VALUES (tenant, btrim(add_contact.display_name), nullif(add_contact.phone, ''), nullif(add_contact.title, ''),
            coalesce(add_contact.language, 'en'), coalesce(add_contact.time_zone, 'UTC'))
    RETURNING id INTO person;
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, valid_during)
    VALUES (tenant, person, add_contact.account_id, add_contact.role, tstzrange(clock_timestamp(), NULL))
    RETURNING id INTO made;
    IF add_contact.email IS NOT NULL THEN
        PERFORM csm_private.ask_for_email(person, add_contact.email, joins => true);
    END IF;
    RETURN QUERY SELECT 'added', made;
END $$;
COMMENT ON FUNCTION csm.add_contact(bigint, text, text, text, text, text, text, text) IS
'Adds a contact to an account whose contacts the caller manages, with one of the assignable roles that is not above his own: a person of his own who counts at once, for cases on his behalf. An e-mail address becomes his when it has answered (csm.confirm_email()); if somebody has it already, the two become one then, and until then nothing tells. status: added, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';

CREATE FUNCTION csm.set_contact_login(contact_id bigint, enabled boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR enabled IS NULL THEN
        RETURN csm_private.refuse_administration('contact_login', NULL, jsonb_build_object('contact_id', contact_id, 'enabled', enabled));
    END IF;
    UPDATE csm.contacts k SET login_enabled = enabled
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND k.login_enabled <> enabled;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.set_contact_login(bigint, boolean) IS
'Switches what this contact may do for his account off or on, from the next statement of every session on; the person''s other personas stay. Returns done, or refused (recorded): not the caller''s to administer, or himself';

CREATE FUNCTION csm.set_contact_role(contact_id bigint, role text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR csm_private.may_assign_role(c.account_id, set_contact_role.role) IS NOT TRUE THEN
        RETURN csm_private.refuse_administration('contact_role', c.account_id,
            jsonb_build_object('contact_id', contact_id, 'role', left(set_contact_role.role, 63)));
    END IF;
    UPDATE csm.contacts k SET role = set_contact_role.role
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND k.role <> set_contact_role.role;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.set_contact_role(bigint, text) IS
'Gives a contact another of the assignable roles, none above the caller''s own; a contact always has one. Returns done, or refused (recorded): no such contact of his, himself, a role that is not his to give';

CREATE FUNCTION csm.end_contact(contact_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
    at_time CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF c.id IS NULL THEN
        RETURN csm_private.refuse_administration('contact_end', NULL, jsonb_build_object('contact_id', contact_id));
    END IF;
    UPDATE csm.contacts k SET valid_during = coalesce(k.valid_during, tstzrange(NULL, NULL)) * tstzrange(NULL, at_time)
    WHERE k.id = c.id AND k.tenant_id = c.tenant_id AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(at_time, NULL);
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.end_contact(bigint) IS
'Ends a contact''s membership of the account now; his row and his cases stay. Returns done, or refused (recorded)';

-- One answer whether or not the person is anything elsewhere.
CREATE FUNCTION csm.update_contact(contact_id bigint, display_name text DEFAULT NULL, email text DEFAULT NULL, language text DEFAULT NULL,
    time_zone text DEFAULT NULL, phone text DEFAULT NULL, title text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c csm.contacts := csm_private.contact_to_administer(update_contact.contact_id);
    u csm.users;
    given CONSTANT jsonb := (
        SELECT coalesce(jsonb_agg(f.name), '[]')
        FROM (VALUES ('display_name', update_contact.display_name), ('email', update_contact.email), ('language', update_contact.language),
                     ('time_zone', update_contact.time_zone), ('phone', update_contact.phone), ('title', update_contact.title)) f(name, given)
        WHERE f.given IS NOT NULL);
BEGIN
    PERFORM csm_private.check_profile(update_contact.display_name, update_contact.email, update_contact.language,
                                      update_contact.time_zone, update_contact.phone, update_contact.title);
    IF c.id IS NULL THEN
        RETURN csm_private.refuse_administration('contact_update', NULL,
            jsonb_build_object('contact_id', update_contact.contact_id, 'fields', given));
    END IF;
    IF update_contact.email IS NOT NULL THEN
        PERFORM csm_private.limit_contact_mail(c.account_id);
    END IF;
    SELECT * INTO u FROM csm.users e WHERE e.id = c.user_id AND e.tenant_id = c.tenant_id FOR NO KEY UPDATE;
    IF csm_private.person_in_reach(u.id) THEN
        PERFORM csm_private.set_profile(u.id, update_contact.display_name, update_contact.language, update_contact.time_zone,
                                        update_contact.phone, update_contact.title);
        IF update_contact.email IS NOT NULL THEN
            PERFORM csm_private.ask_for_email(u.id, update_contact.email);
        END IF;
    ELSIF u.email IS NOT NULL THEN
        PERFORM csm_private.send_mail(u.tenant_id, 'profile_change_asked', u.email, u.id, u.language, jsonb_build_object('fields', given));
    END IF;
    PERFORM csm_private.audit('contact_updated', csm.current_user_id(), c.user_id, c.account_id,
        jsonb_build_object('contact_id', c.id, 'fields', given), c.tenant_id);
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm.update_contact(bigint, text, text, text, text, text, text) IS
'Asks for a change of the person behind a contact; the empty string empties phone and title. Done while every persona of that person is the caller''s to administer, a new e-mail address when it has answered; else the person is asked, at his address on record, to do it himself. Returns accepted either way, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';

-- The address on record, whoever the person is: so the answer tells nothing.
CREATE FUNCTION csm.send_credentials(contact_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.contacts := csm_private.contact_to_administer(contact_id);
BEGIN
    IF c.id IS NULL OR NOT (csm_private.password_policy(c.tenant_id)).allowed THEN
        RETURN csm_private.refuse_administration('credentials', c.account_id, jsonb_build_object('contact_id', contact_id));
    END IF;
    PERFORM csm_private.limit_contact_mail(c.account_id);
    PERFORM csm_private.issue_password_reset(c.tenant_id, c.user_id, 'credentials', interval '3 days');
    PERFORM csm_private.audit('credentials_sent', csm.current_user_id(), c.user_id, c.account_id, jsonb_build_object('contact_id', c.id), c.tenant_id);
    RETURN 'sent';
END $$;
COMMENT ON FUNCTION csm.send_credentials(bigint) IS
'Sends a contact, to his address on record, a token to set his password (csm.reset_password()), his first one too. Nobody else learns it or sets it. Returns sent, also where he has no address, or refused (recorded): not the caller''s to administer, or the tenant has no passwords. Error SM007 too many mails';

-- Colleagues -------------------------------------------------------------------

CREATE FUNCTION csm.colleagues(of_account bigint DEFAULT NULL)
RETURNS TABLE (account_id bigint, contact_id bigint, display_name text, title text, email text, phone text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.id, k.id, u.display_name, u.title, u.email, u.phone
    FROM csm.accounts a
    JOIN csm.contacts k ON k.account_id = a.id AND k.tenant_id = a.tenant_id AND k.login_enabled
                       AND csm_private.is_valid(k.valid_during, statement_timestamp())
    JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id AND u.enabled
    WHERE a.tenant_id = csm.current_tenant_id() AND a.directory_visible
      AND (of_account IS NULL OR a.id = of_account)
      AND EXISTS (SELECT FROM csm.contacts mine
                  WHERE mine.account_id = a.id AND mine.tenant_id = a.tenant_id AND mine.user_id = csm.current_user_id()
                    AND mine.login_enabled AND csm_private.is_valid(mine.valid_during, statement_timestamp())
                    AND coalesce(nullif(current_setting('csm.persona', true), ''), 'contact:' || mine.id) = 'contact:' || mine.id)
    ORDER BY a.id, u.display_name, k.id
$$;
COMMENT ON FUNCTION csm.colleagues(bigint) IS
'The directory: the current contacts of accounts in which the caller is one himself, where accounts.directory_visible is on; NULL for all of his accounts. No row elsewhere, for a hidden and a missing account alike';

CREATE FUNCTION csm.show_directory(account_id bigint, visible boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE OR visible IS NULL THEN
        RETURN csm_private.refuse_administration('directory', account_id, jsonb_build_object('account_id', account_id, 'visible', visible));
    END IF;
    UPDATE csm.accounts a SET directory_visible = visible WHERE a.id = account_id AND a.directory_visible <> visible;
    IF FOUND THEN
        PERFORM csm_private.audit('directory_changed', csm.current_user_id(), NULL, account_id, jsonb_build_object('visible', visible));
    END IF;
    RETURN 'done';
END $$;
COMMENT ON FUNCTION csm.show_directory(bigint, boolean) IS
'Switches accounts.directory_visible: whether contacts of the account may list one another. Returns done, or refused (recorded)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.audit_contacts()',
        'csm_private.audit_user_roles()',
        'csm_private.contact_to_administer(bigint)',
        'csm_private.person_in_reach(bigint)',
        'csm_private.refuse_administration(text, bigint, jsonb)',
        'csm_private.limit_contact_mail(bigint)',
        'csm.add_contact(bigint, text, text, text, text, text, text, text)',
        'csm.set_contact_login(bigint, boolean)',
        'csm.set_contact_role(bigint, text)',
        'csm.end_contact(bigint)',
        'csm.update_contact(bigint, text, text, text, text, text, text)',
        'csm.send_credentials(bigint)',
        'csm.colleagues(bigint)',
        'csm.show_directory(bigint, boolean)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        IF starts_with(f::text, 'csm.') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent, csm_admin', f);
        END IF;
    END LOOP;
END $$;
