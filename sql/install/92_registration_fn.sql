-- Registering, confirming, deciding, inviting: what people call.
--
-- What is refused is answered by a status, so that the refusal stands in the
-- audit log: an error would take it back. It says no more than that; the log has
-- the reason. Rates are counted whether or not the caller commits.

CREATE FUNCTION csm_private.refuse_registration(tenant_id bigint, what text, reason text,
    account_id bigint DEFAULT NULL, role text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    IF csm_private.attempt('registration refusal', coalesce(tenant_id, 0) || ' ' || coalesce(me, 0), 1000, '1 hour') THEN
        -- what somebody tried elsewhere is no business of an account that he named
        PERFORM csm_private.audit('registration_refused', me, NULL,
            (SELECT a.id FROM csm.accounts a WHERE a.id = refuse_registration.account_id AND csm_private.manages_contacts(a.id)),
            jsonb_strip_nulls(jsonb_build_object('function', what, 'reason', reason, 'role', left(role, 63), 'account_id', account_id)), tenant_id);
    END IF;
    RETURN 'refused';
END $$;
COMMENT ON FUNCTION csm_private.refuse_registration(bigint, text, text, bigint, text) IS
'Records why something was refused, at most a thousand times an hour for each person and for visitors together, and returns refused';

-- Everything is done the same way whoever the address belongs to; the code is
-- looked up always, and what came of it is told to nobody but those who decide.
CREATE FUNCTION csm_private.begin_registration(kind text, email text, display_name text, captcha text, language text,
    source text, terms text, code text) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.guest_tenant_id(), csm.current_tenant_id());
    caller CONSTANT text := left(csm_private.source_of(source), 200);
    settings jsonb;
    reason text;
    r csm.registrations;
    until timestamptz;
BEGIN
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant AND t.enabled;
    IF NOT FOUND THEN
        RETURN 'refused';
    END IF;
    reason := CASE
        WHEN settings->'registration'->>(kind || 's') = 'false' THEN 'closed'
        WHEN csm_private.is_address(email) IS NOT TRUE THEN 'email'
        WHEN csm_private.is_name(display_name) IS NOT TRUE THEN 'display_name'
        WHEN csm_private.is_language(language) IS NOT TRUE THEN 'language'
        WHEN length(terms) > 200 OR settings->'registration'->>'terms' <> coalesce(terms, '') THEN 'terms'
        WHEN length(code) > 100 THEN 'code'
        WHEN NOT csm_private.attempt('registration', tenant || ' ' || caller,
                                     csm_private.registration_setting(settings, 'per_source'), '1 hour') THEN 'source_limit'
        WHEN NOT csm_private.captcha_passed(tenant, captcha, caller) THEN 'captcha'
        WHEN NOT csm_private.attempt('registration mail', tenant || ' ' || lower(btrim(email)),
                                     csm_private.registration_setting(settings, 'per_email'), '1 day') THEN 'address_limit' END;
    IF reason IS NOT NULL THEN
        RETURN csm_private.refuse_registration(tenant, 'register_' || kind, reason);
    END IF;
    IF code IS NOT NULL THEN
        SELECT c.account_id, 'code' INTO r.account_id, r.route
        FROM csm_private.registration_codes c JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id AND a.active
        WHERE c.tenant_id = tenant AND c.code_hash = csm_private.code_hash(tenant, code);
    ELSIF kind = 'contact' THEN
        SELECT d.account_id, 'domain' INTO r.account_id, r.route
        FROM csm.account_domains d JOIN csm.accounts a ON a.id = d.account_id AND a.tenant_id = d.tenant_id AND a.active
        WHERE d.tenant_id = tenant AND d.domain = split_part(lower(btrim(email)), '@', 2) AND d.verified_at IS NOT NULL;
    END IF;
    INSERT INTO csm.registrations (tenant_id, kind, email, display_name, language, terms, account_id, route)
    VALUES (tenant, kind, btrim(email), btrim(display_name), language, terms, r.account_id, r.route)
    RETURNING * INTO r;
    until := clock_timestamp() + interval '1 hour' * csm_private.registration_setting(settings, 'confirm_hours');
    PERFORM csm_private.mail_registration(r, 'registration_confirm',
        jsonb_build_object('kind', kind, 'token', csm_private.issue_registration_token(r, 'confirm', until)), until);
    RETURN 'accepted';
END $$;
COMMENT ON FUNCTION csm_private.begin_registration(text, text, text, text, text, text, text, text) IS
'Writes a pending registration and the mail that proves its address; accepted, or refused for malformed or missing values, terms not accepted, a captcha not passed, or too many';

CREATE FUNCTION csm.register_consumer(email text, display_name text, captcha text DEFAULT NULL, language text DEFAULT 'en',
    source text DEFAULT NULL, terms text DEFAULT NULL, OUT status text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.begin_registration('consumer', email, display_name, captcha, language, source, terms, NULL)
$$;
COMMENT ON FUNCTION csm.register_consumer(text, text, text, text, text, text) IS
'A visitor asks to become a consumer. accepted: a mail with a token went to the address, whoever has it; refused: malformed, captcha not passed, terms of the tenant not accepted, or too many from this source or to this address. captcha: payload of the widget; source: address of the visitor, where a backend stands between (NULL: that of the connection); terms: those he accepted. Raises nothing';

CREATE FUNCTION csm.register_contact(email text, display_name text, code text DEFAULT NULL, captcha text DEFAULT NULL,
    language text DEFAULT 'en', source text DEFAULT NULL, terms text DEFAULT NULL, OUT status text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.begin_registration('contact', email, display_name, captcha, language, source, terms, nullif(btrim(code), ''))
$$;
COMMENT ON FUNCTION csm.register_contact(text, text, text, text, text, text, text) IS
'A visitor asks to become a contact of the account whose registration code he gives, or without one of the account to which the domain of his address belongs. Once he has proven the address the administrators of the account are asked; staff, where code or domain lead nowhere. Answers and other arguments as csm.register_consumer()';

CREATE FUNCTION csm.confirm_registration(token text, password text DEFAULT NULL, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_registration(token, 'confirm');
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.guest_tenant_id(), 'confirm_registration', 'token');
        RETURN;
    END IF;
    r.confirmed_at := clock_timestamp();
    IF r.kind = 'contact' THEN
        PERFORM csm_private.forward_registration(r);
        status := 'confirmed';
        RETURN;
    END IF;
    status := csm_private.first_password_fault(r, password);
    IF status IS NULL THEN
        status := CASE WHEN csm_private.complete_registration(r, password) THEN 'confirmed'
                       ELSE csm_private.refuse_registration(r.tenant_id, 'confirm_registration', 'disabled') END;
    END IF;
END $$;
COMMENT ON FUNCTION csm.confirm_registration(text, text) IS
'Proves the address of a registration with the token that was mailed there. A consumer is one from then on; a known person gets the persona, nothing else about him changes. password: the first one of a consumer who has no credentials; NULL for who signs in through a provider. A contact''s request goes to those who decide, with the same answer wherever it goes. status: confirmed; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used or expired. Pass both as bind parameters';

CREATE FUNCTION csm.accept_invitation(token text, password text DEFAULT NULL, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_registration(token, 'invite');
BEGIN
    IF r.id IS NULL OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = r.account_id AND a.tenant_id = r.tenant_id AND a.active) THEN
        status := csm_private.refuse_registration(coalesce(r.tenant_id, csm.guest_tenant_id()), 'accept_invitation',
                                                  CASE WHEN r.id IS NULL THEN 'token' ELSE 'account' END);
        RETURN;
    END IF;
    r.confirmed_at := clock_timestamp();
    IF NOT csm_private.still_manages(r.invited_by, r.account_id, r.tenant_id) THEN
        -- who invited him could not do so today: those decide who can
        PERFORM csm_private.request_registration(r);
        status := 'accepted';
        RETURN;
    END IF;
    status := csm_private.first_password_fault(r, password);
    IF status IS NULL THEN
        status := CASE WHEN csm_private.complete_registration(r, password) THEN 'accepted'
                       ELSE csm_private.refuse_registration(r.tenant_id, 'accept_invitation', 'disabled') END;
    END IF;
END $$;
COMMENT ON FUNCTION csm.accept_invitation(text, text) IS
'Accepts an invitation with the token that was mailed: the person of that address, made where nobody has it, becomes a contact of the account. password: his first one, where he has no credentials; NULL for who signs in through a provider. status: accepted; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used, expired or withdrawn. Pass both as bind parameters';

-- Administrators ------------------------------------------------------------

CREATE FUNCTION csm_private.claim_decision(registration_id bigint) RETURNS csm.registrations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations;
BEGIN
    SELECT x.* INTO r FROM csm.registrations x
    WHERE x.id = claim_decision.registration_id AND x.tenant_id = csm.current_tenant_id()
      AND x.kind <> 'consumer' AND (x.confirmed_at IS NOT NULL OR x.kind = 'invitation');
    IF NOT FOUND OR csm_private.manages_contacts(r.account_id) IS NOT TRUE
       AND csm.all_in(r.tenant_id, 'b2b', 'account_manage') IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    RETURN csm_private.lock_registration(r);
END $$;
COMMENT ON FUNCTION csm_private.claim_decision(bigint) IS
'A proven request of a contact, or an invitation, that the caller may decide, its row locked; NULL for a missing and a hidden one';

CREATE FUNCTION csm.approve_registration(registration_id bigint, role text DEFAULT 'customer', OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
    wanted CONSTANT text := coalesce(r.role, approve_registration.role);
    person csm.users;
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'approve_registration', 'registration');
        RETURN;
    ELSIF r.state IN ('approved', 'no_longer_required') THEN
        status := r.state;
        RETURN;
    ELSIF r.state <> 'requested' THEN
        RAISE EXCEPTION 'registration % cannot be approved', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state),
            HINT = CASE r.state WHEN 'pending' THEN 'Staff first say which account it is for: csm.assign_registration().'
                                ELSE 'What was decided stays so.' END;
    ELSIF NOT csm_private.may_assign_role(r.account_id, wanted) THEN
        status := csm_private.refuse_registration(r.tenant_id, 'approve_registration', 'role', r.account_id, wanted);
        RETURN;
    END IF;
    r.role := wanted;
    person := (csm_private.person_of(r)).person;
    IF csm_private.add_contact(person.id, r.tenant_id, r.account_id, wanted) THEN
        r := csm_private.decide_registration(r, 'approved', person.id);
        PERFORM csm_private.mail_registration(r, 'registration_approved');
        IF NOT csm_private.has_credentials(person) AND (csm_private.password_policy(r.tenant_id)).allowed THEN
            PERFORM csm_private.issue_password_reset(r.tenant_id, person.id, 'first_password',
                interval '1 day' * (SELECT csm_private.registration_setting(t.settings, 'invite_days') FROM csm.tenants t WHERE t.id = r.tenant_id));
        END IF;
    ELSE
        r := csm_private.decide_registration(r, 'no_longer_required');
    END IF;
    PERFORM csm_private.audit('registration_approved', csm.current_user_id(), person.id, r.account_id,
        jsonb_build_object('registration_id', r.id, 'role', wanted, 'state', r.state));
    status := r.state;
END $$;
COMMENT ON FUNCTION csm.approve_registration(bigint, text) IS
'Makes whoever asked a contact of the account with that role, and mails him; without credentials he gets a second mail, with a token for csm.reset_password(). One approval suffices: a second one changes nothing. For who manages contacts of the account, and staff with account_manage. status: approved; no_longer_required when he is a contact there already; refused (recorded): no such registration, or a role that is not the caller''s to give. Error 55000 when it is neither requested nor approved';

CREATE FUNCTION csm.reject_registration(registration_id bigint, reason text, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
BEGIN
    IF r.id IS NULL THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'reject_registration', 'registration');
        RETURN;
    ELSIF btrim(coalesce(reject_registration.reason, '')) = '' OR length(reject_registration.reason) > 4000 THEN
        RAISE EXCEPTION 'a rejection needs a reason of at most 4,000 characters' USING ERRCODE = '22023',
            HINT = 'It is mailed to whom it concerns.';
    ELSIF r.state NOT IN ('pending', 'requested') THEN
        RAISE EXCEPTION 'registration % cannot be rejected', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state), HINT = 'What was decided stays so.';
    END IF;
    r := csm_private.decide_registration(r, 'rejected', NULL, btrim(reject_registration.reason));
    IF r.kind = 'contact' THEN
        PERFORM csm_private.mail_registration(r, 'registration_rejected', jsonb_build_object('reason', r.reason));
    END IF;
    PERFORM csm_private.audit(CASE r.kind WHEN 'contact' THEN 'registration_rejected' ELSE 'invitation_withdrawn' END,
        csm.current_user_id(), NULL, r.account_id, jsonb_build_object('registration_id', r.id));
    status := r.state;
END $$;
COMMENT ON FUNCTION csm.reject_registration(bigint, text) IS
'Rejects a request with a reason, which is mailed, or withdraws an invitation. Callers as csm.approve_registration(); of requests without an account, staff. status: rejected, or refused (recorded): no such registration. Errors: 22023 no reason, 55000 decided already';

CREATE FUNCTION csm.assign_registration(registration_id bigint, account_id bigint, OUT status text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations := csm_private.claim_decision(registration_id);
BEGIN
    IF csm.all_in(r.tenant_id, 'b2b', 'account_manage') IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = assign_registration.account_id AND a.tenant_id = r.tenant_id AND a.active) THEN
        status := csm_private.refuse_registration(csm.current_tenant_id(), 'assign_registration',
                                                  CASE WHEN r.id IS NULL THEN 'registration' ELSE 'account' END, assign_registration.account_id);
        RETURN;
    ELSIF r.state <> 'pending' OR r.kind <> 'contact' THEN
        RAISE EXCEPTION 'registration % is not waiting for an account', r.id USING ERRCODE = '55000',
            DETAIL = format('Its state is %s.', r.state);
    END IF;
    r.account_id := assign_registration.account_id;
    r.route := 'staff';
    IF csm_private.is_superfluous(r) THEN
        status := (csm_private.decide_registration(r, 'no_longer_required')).state;
    ELSE
        PERFORM csm_private.request_registration(r);
        status := 'requested';
    END IF;
END $$;
COMMENT ON FUNCTION csm.assign_registration(bigint, bigint) IS
'Staff say which account a request is for that led nowhere; its administrators are asked then. status: requested; no_longer_required when he is a contact there already; refused (recorded): no such registration or active account, or not staff with account_manage. Error 55000 when it is not pending';

CREATE FUNCTION csm.invite_contact(account_id bigint, email text, display_name text, role text DEFAULT 'customer',
    language text DEFAULT 'en', OUT status text, OUT registration_id bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    settings jsonb;
    r csm.registrations;
    until timestamptz;
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE
       OR NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = invite_contact.account_id AND a.tenant_id = tenant AND a.active) THEN
        status := csm_private.refuse_registration(tenant, 'invite_contact', 'account', invite_contact.account_id, role);
        RETURN;
    ELSIF csm_private.may_assign_role(account_id, role) IS NOT TRUE THEN
        status := csm_private.refuse_registration(tenant, 'invite_contact', 'role', invite_contact.account_id, role);
        RETURN;
    ELSIF csm_private.is_address(email) IS NOT TRUE THEN
        RAISE EXCEPTION 'invalid e-mail address %', coalesce(quote_literal(email), 'NULL') USING ERRCODE = '22023',
            HINT = 'Give one plain address, without a name.';
    ELSIF csm_private.is_name(display_name) IS NOT TRUE THEN
        RAISE EXCEPTION 'a name has 1 to 200 characters, none of them a control character' USING ERRCODE = '22023';
    ELSIF csm_private.is_language(language) IS NOT TRUE THEN
        RAISE EXCEPTION 'invalid language tag %', coalesce(quote_literal(language), 'NULL') USING ERRCODE = '22023',
            HINT = 'A tag as in BCP 47, for example en or pt-BR.';
    END IF;
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant;
    IF NOT csm_private.attempt('invitation', tenant || ' ' || account_id, csm_private.registration_setting(settings, 'per_account'), '1 day')
       OR NOT csm_private.attempt('registration mail', tenant || ' ' || lower(btrim(email)),
                                  csm_private.registration_setting(settings, 'per_email'), '1 day') THEN
        RAISE EXCEPTION 'too many invitations' USING ERRCODE = 'SM007',
            DETAIL = 'The account has sent as many as it may in a day, or that address has got as many mails.',
            HINT = 'Try again later, or ask the service desk.';
    END IF;
    INSERT INTO csm.registrations (tenant_id, kind, email, display_name, language, account_id, role, route, invited_by)
    VALUES (tenant, 'invitation', btrim(email), btrim(display_name), language, account_id, role, 'invitation', csm.current_user_id())
    RETURNING * INTO r;
    until := clock_timestamp() + interval '1 day' * csm_private.registration_setting(settings, 'invite_days');
    PERFORM csm_private.mail_registration(r, 'invitation',
        jsonb_build_object('token', csm_private.issue_registration_token(r, 'invite', until)), until);
    PERFORM csm_private.audit('contact_invited', csm.current_user_id(), NULL, account_id,
        jsonb_build_object('registration_id', r.id, 'role', role));
    status := 'invited';
    registration_id := r.id;
END $$;
COMMENT ON FUNCTION csm.invite_contact(bigint, text, text, text, text) IS
'Invites somebody to become a contact of the account: a mail with a token goes to the address, whoever has it. For who manages contacts of the account, and staff with account_manage; csm.reject_registration() withdraws it. status: invited, or refused (recorded): no such active account of his, or a role that is not his to give. Errors: 22023 malformed e-mail, name or language; SM007 too many';

CREATE FUNCTION csm.rotate_registration_code(account_id bigint, withdraw boolean DEFAULT false, OUT status text, OUT code text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := csm.current_tenant_id();
    random bytea;
BEGIN
    IF csm_private.manages_contacts(account_id) IS NOT TRUE THEN
        status := csm_private.refuse_registration(tenant, 'rotate_registration_code', 'account', rotate_registration_code.account_id);
        RETURN;
    END IF;
    IF withdraw THEN
        DELETE FROM csm_private.registration_codes c WHERE c.account_id = rotate_registration_code.account_id AND c.tenant_id = tenant;
    ELSE
        random := csm_private.token_hash(csm_private.new_token());
        -- 16 of 32 signs that nobody confuses
        SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (get_byte(random, i) & 31) + 1, 1)
                          || CASE WHEN i IN (3, 7, 11) THEN '-' ELSE '' END, '' ORDER BY i)
          INTO code FROM generate_series(0, 15) i;
        INSERT INTO csm_private.registration_codes AS c (account_id, tenant_id, code_hash)
        VALUES (rotate_registration_code.account_id, tenant, csm_private.code_hash(tenant, code))
        ON CONFLICT ON CONSTRAINT registration_codes_pkey
        DO UPDATE SET code_hash = excluded.code_hash, created_at = clock_timestamp();
    END IF;
    PERFORM csm_private.audit(CASE WHEN withdraw THEN 'registration_code_withdrawn' ELSE 'registration_code_rotated' END,
        csm.current_user_id(), NULL, account_id);
    status := CASE WHEN withdraw THEN 'withdrawn' ELSE 'rotated' END;
END $$;
COMMENT ON FUNCTION csm.rotate_registration_code(bigint, boolean) IS
'A new registration code for the account, shown this once; the one before counts no more, but for registrations begun with it. withdraw: no code from now on. For who manages contacts of the account, and staff with account_manage. status: rotated, withdrawn, or refused (recorded): no such account of his';

-- Handler of timers of kind registration: an address that nobody has proven is
-- somebody else's affair and goes.
CREATE FUNCTION csm_private.due_registration(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r csm.registrations;
BEGIN
    SELECT x.* INTO r FROM csm_private.registration_tokens s
    JOIN csm.registrations x ON x.id = s.registration_id AND x.tenant_id = s.tenant_id
    WHERE s.registration_id = object_id AND s.tenant_id = due_registration.tenant_id AND s.expires_at <= at
    FOR UPDATE OF x;
    IF NOT FOUND THEN
        RETURN;
    ELSIF r.kind <> 'invitation' AND r.confirmed_at IS NULL THEN
        DELETE FROM csm.registrations x WHERE x.id = r.id AND x.tenant_id = r.tenant_id;
    ELSIF r.state = 'pending' THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
    ELSE
        PERFORM csm_private.end_registration_token(r);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.due_registration(bigint, bigint, timestamptz) IS
'When the token of a registration has expired: what was never proven is deleted, an invitation ends as no_longer_required';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname IN ('csm', 'csm_private')
               AND p.proname IN ('guard_registration', 'registration_setting', 'contact_managers', 'manages_contacts', 'may_assign_role',
                                 'code_hash', 'issue_registration_token', 'mail_registration', 'lock_registration', 'claim_registration', 'end_registration_token',
                                 'person_of', 'add_contact', 'decide_registration', 'request_registration', 'is_superfluous', 'still_manages',
                                 'has_credentials', 'first_password_fault', 'complete_registration', 'forward_registration',
                                 'refuse_registration', 'is_address', 'is_name', 'is_language',
                                 'begin_registration', 'register_consumer', 'register_contact', 'confirm_registration', 'accept_invitation',
                                 'claim_decision', 'approve_registration', 'reject_registration', 'assign_registration', 'invite_contact',
                                 'rotate_registration_code', 'due_registration')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.register_consumer(text, text, text, text, text, text), csm.register_contact(text, text, text, text, text, text, text),
    csm.confirm_registration(text, text), csm.accept_invitation(text, text) TO csm_guest, csm_portal;
GRANT EXECUTE ON FUNCTION csm.approve_registration(bigint, text), csm.reject_registration(bigint, text),
    csm.invite_contact(bigint, text, text, text, text), csm.rotate_registration_code(bigint, boolean) TO csm_portal, csm_agent, csm_admin;
GRANT EXECUTE ON FUNCTION csm.assign_registration(bigint, bigint) TO csm_agent, csm_admin;
