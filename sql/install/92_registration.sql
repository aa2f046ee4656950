-- Registration: how strangers become consumers and contacts (R A17, A18, X8).
--
-- A registration is a row that goes through
--
--   pending    e-mail not proven yet; or proven, and staff have to say which account
--   requested  the administrators of the account have it; one of them decides
--   approved   the persona is there
--   rejected, no_longer_required
--
-- What a stranger is told is the same whoever has an e-mail address, a code or
-- an account: whether an address is known is not even looked at before its owner
-- has proven that it is his.  What differs, differs in his mail.

CREATE TABLE csm.account_domains (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint NOT NULL,
    domain text NOT NULL,
    verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT account_domains_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_domains_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_domains_domain_key UNIQUE (tenant_id, domain),
    CONSTRAINT account_domains_domain_check CHECK (length(domain) <= 253 AND domain = lower(domain)
        AND domain ~ '^([^@.[:space:][:cntrl:]]{1,63}\.)+[^@.[:space:][:cntrl:]]{1,63}$')
);
CREATE INDEX account_domains_account_idx ON csm.account_domains (account_id);
SELECT csm_private.adopt_table('csm.account_domains');
CREATE POLICY account_domains_select ON csm.account_domains FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm.account_allows(account_id, 'contact_manage') OR csm.all_in(tenant_id, 'b2b', 'account_manage'));
CREATE POLICY account_domains_write ON csm.account_domains FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
GRANT SELECT ON csm.account_domains TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (account_id, domain, verified_at), UPDATE (account_id, verified_at), DELETE ON csm.account_domains TO csm_agent, csm_admin;

COMMENT ON TABLE csm.account_domains IS 'E-mail domains of accounts: who proves an address there may ask that account to take him in';
COMMENT ON COLUMN csm.account_domains.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_domains.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_domains.account_id IS 'The account';
COMMENT ON COLUMN csm.account_domains.domain IS 'Part of an address after the @, in lower case; subdomains are domains of their own';
COMMENT ON COLUMN csm.account_domains.verified_at IS 'When staff made sure that the domain is the company''s; NULL: not yet, and it counts for nothing';
COMMENT ON COLUMN csm.account_domains.created_at IS 'When the row was made';
COMMENT ON POLICY account_domains_select ON csm.account_domains IS 'Who manages contacts of the account; staff with account_manage';
COMMENT ON POLICY account_domains_write ON csm.account_domains IS 'Staff with account_manage: a customer does not vouch for himself';

-- A code is what csm made, 80 random bits, so a plain hash suffices.
CREATE TABLE csm_private.registration_codes (
    account_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    code_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT registration_codes_pkey PRIMARY KEY (account_id, tenant_id),
    CONSTRAINT registration_codes_account_fkey FOREIGN KEY (account_id, tenant_id)
        REFERENCES csm.accounts (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT registration_codes_hash_key UNIQUE (tenant_id, code_hash)
);
ALTER TABLE csm_private.registration_codes OWNER TO csm_owner;
REVOKE ALL ON csm_private.registration_codes FROM PUBLIC;
ALTER TABLE csm_private.registration_codes ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.registration_codes', '');
COMMENT ON TABLE csm_private.registration_codes IS 'The registration code of an account, as a hash; the audit log says who made it';
COMMENT ON COLUMN csm_private.registration_codes.account_id IS 'The account';
COMMENT ON COLUMN csm_private.registration_codes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_codes.code_hash IS 'As csm_private.code_hash() makes it';
COMMENT ON COLUMN csm_private.registration_codes.created_at IS 'When the code was made';

CREATE TABLE csm.registrations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    email text NOT NULL,
    email_key text GENERATED ALWAYS AS (lower(btrim(email))) STORED,
    display_name text NOT NULL,
    language text NOT NULL DEFAULT 'en',
    terms text,
    account_id bigint,
    role text,
    route text,
    invited_by bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at timestamptz,
    decided_at timestamptz,
    decided_by bigint,
    reason text,
    user_id bigint,
    CONSTRAINT registrations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT registrations_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT registrations_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT registrations_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT registrations_invited_by_fkey FOREIGN KEY (invited_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_decided_by_fkey FOREIGN KEY (decided_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT registrations_kind_check CHECK (kind IN ('consumer', 'contact', 'invitation')),
    CONSTRAINT registrations_state_check CHECK (state IN ('pending', 'requested', 'approved', 'rejected', 'no_longer_required')),
    CONSTRAINT registrations_route_check CHECK (route IN ('code', 'domain', 'invitation', 'staff')),
    CONSTRAINT registrations_text_check CHECK (length(display_name) BETWEEN 1 AND 200 AND length(email) <= 320
        AND length(language) <= 35 AND length(terms) <= 200 AND length(reason) <= 4000),
    CONSTRAINT registrations_account_check CHECK (CASE kind
        WHEN 'consumer' THEN num_nonnulls(account_id, role, route, invited_by) = 0
        WHEN 'invitation' THEN account_id IS NOT NULL AND role IS NOT NULL
        ELSE true END),
    CONSTRAINT registrations_requested_check CHECK (state <> 'requested' OR (account_id IS NOT NULL AND confirmed_at IS NOT NULL)),
    CONSTRAINT registrations_approved_check CHECK (state <> 'approved' OR (user_id IS NOT NULL AND confirmed_at IS NOT NULL)),
    CONSTRAINT registrations_rejected_check CHECK (state <> 'rejected' OR btrim(coalesce(reason, '')) <> ''),
    CONSTRAINT registrations_decided_check CHECK ((state IN ('pending', 'requested')) = (decided_at IS NULL))
);
-- The second of two requests of one person for one account is not required.
CREATE UNIQUE INDEX registrations_requested_idx ON csm.registrations (tenant_id, email_key, account_id) WHERE state = 'requested';
CREATE INDEX registrations_open_idx ON csm.registrations (tenant_id, email_key) WHERE state IN ('pending', 'requested');
CREATE INDEX registrations_account_idx ON csm.registrations (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX registrations_user_idx ON csm.registrations (user_id) WHERE user_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.registrations');
ALTER TABLE csm.registrations ALTER COLUMN email SET STATISTICS 0, ALTER COLUMN email_key SET STATISTICS 0,
    ALTER COLUMN display_name SET STATISTICS 0, ALTER COLUMN reason SET STATISTICS 0;

-- An address that nobody has proven is shown to nobody, but for who invited it.
CREATE POLICY registrations_select ON csm.registrations FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id()
           OR ((confirmed_at IS NOT NULL OR kind = 'invitation')
               AND (csm.account_allows(account_id, 'contact_manage')
                    OR csm.all_in(tenant_id, CASE kind WHEN 'consumer' THEN 'b2c' ELSE 'b2b' END,
                                  CASE kind WHEN 'consumer' THEN 'person_manage' ELSE 'account_manage' END))));
GRANT SELECT ON csm.registrations TO csm_portal, csm_agent, csm_admin;

COMMENT ON TABLE csm.registrations IS 'Requests of strangers to become a consumer or a contact, and invitations; written by functions only';
COMMENT ON COLUMN csm.registrations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.registrations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.registrations.kind IS 'consumer, contact (he asked) or invitation (he was asked)';
COMMENT ON COLUMN csm.registrations.state IS 'pending, requested, approved, rejected or no_longer_required; which may follow which is enforced';
COMMENT ON COLUMN csm.registrations.email IS 'Address as given';
COMMENT ON COLUMN csm.registrations.email_key IS 'Address as csm.users.email_key';
COMMENT ON COLUMN csm.registrations.display_name IS 'Name as given; of a person who is known already nothing is changed';
COMMENT ON COLUMN csm.registrations.language IS 'Language of his mail, and his own if he is new';
COMMENT ON COLUMN csm.registrations.terms IS 'Which terms he accepted; NULL: none were put to him';
COMMENT ON COLUMN csm.registrations.account_id IS 'Account to which he wants; NULL for consumers, and while staff have to find out';
COMMENT ON COLUMN csm.registrations.role IS 'Role that he gets; NULL until it is decided';
COMMENT ON COLUMN csm.registrations.route IS 'What led to the account: code, domain, invitation or staff; NULL while none is known';
COMMENT ON COLUMN csm.registrations.invited_by IS 'Who invited him; NULL where he asked himself';
COMMENT ON COLUMN csm.registrations.created_at IS 'When he registered or was invited';
COMMENT ON COLUMN csm.registrations.confirmed_at IS 'When he proved that the address is his; NULL: not yet';
COMMENT ON COLUMN csm.registrations.decided_at IS 'When it ended; NULL while open';
COMMENT ON COLUMN csm.registrations.decided_by IS 'Who decided; NULL where nobody had to';
COMMENT ON COLUMN csm.registrations.reason IS 'Reason of a rejection; it is mailed to him';
COMMENT ON COLUMN csm.registrations.user_id IS 'The person who has the persona now; NULL unless approved';
COMMENT ON POLICY registrations_select ON csm.registrations IS 'Proven ones and invitations: who manages contacts of the account, staff with account_manage (consumers: person_manage); one''s own';

CREATE TABLE csm_private.registration_tokens (
    registration_id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    purpose text NOT NULL,
    token_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT registration_tokens_pkey PRIMARY KEY (registration_id, tenant_id),
    CONSTRAINT registration_tokens_registration_fkey FOREIGN KEY (registration_id, tenant_id)
        REFERENCES csm.registrations (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT registration_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT registration_tokens_purpose_check CHECK (purpose IN ('confirm', 'invite'))
);
ALTER TABLE csm_private.registration_tokens OWNER TO csm_owner;
REVOKE ALL ON csm_private.registration_tokens FROM PUBLIC;
ALTER TABLE csm_private.registration_tokens ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.registration_tokens', '');
COMMENT ON TABLE csm_private.registration_tokens IS 'The token by which a registration goes on, as a hash; gone when used';
COMMENT ON COLUMN csm_private.registration_tokens.registration_id IS 'The registration';
COMMENT ON COLUMN csm_private.registration_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_tokens.purpose IS 'confirm: proves the address; invite: accepts an invitation';
COMMENT ON COLUMN csm_private.registration_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON COLUMN csm_private.registration_tokens.expires_at IS 'From then on it is of no use';

-- States (R 2.7), whoever writes.
CREATE FUNCTION csm_private.guard_registration() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'a registration begins as pending, not as %', NEW.state USING ERRCODE = '55000';
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.kind) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.kind) THEN
        RAISE EXCEPTION 'what registration % is cannot be changed', OLD.id USING ERRCODE = '55000';
    ELSIF NEW.state <> OLD.state
          AND NOT ((OLD.state, NEW.state) IN (('pending', 'rejected'), ('pending', 'no_longer_required'))
                   OR OLD.kind <> 'consumer' AND (OLD.state, NEW.state) IN (('pending', 'requested'), ('requested', 'approved'),
                                                  ('requested', 'rejected'), ('requested', 'no_longer_required'))
                   OR OLD.kind <> 'contact' AND (OLD.state, NEW.state) = ('pending', 'approved')) THEN
        RAISE EXCEPTION 'registration % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = '55000',
            DETAIL = format('It is of kind %s.', OLD.kind),
            HINT = 'A contact''s request is approved by an administrator of the account; what is decided stays so.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.guard_registration() IS
'Which state of a registration may follow which; error 55000';
CREATE TRIGGER registrations_10_states BEFORE INSERT OR UPDATE ON csm.registrations
    FOR EACH ROW EXECUTE FUNCTION csm_private.guard_registration();

-- Settings -----------------------------------------------------------------

CREATE FUNCTION csm_private.registration_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((settings->'registration'->>name)::integer,
                CASE name WHEN 'per_source' THEN 20 WHEN 'per_email' THEN 5 WHEN 'per_account' THEN 50
                          WHEN 'confirm_hours' THEN 48 WHEN 'invite_days' THEN 14 END);
COMMENT ON FUNCTION csm_private.registration_setting(jsonb, text) IS
'per_source (registrations of a source in an hour; 20), per_email (mails to an address in a day; 5), per_account (requests, and invitations, of an account in a day; 50), confirm_hours (48) or invite_days (14; how long tokens live) from the settings of a tenant';

ALTER TABLE csm.tenants ADD CONSTRAINT tenants_registration_check CHECK (
    (NOT settings ? 'registration'
     OR (jsonb_typeof(settings->'registration') = 'object'
         AND (settings->'registration') - '{consumers,contacts,terms,per_source,per_email,per_account,confirm_hours,invite_days}'::text[] = '{}'
         AND coalesce(jsonb_typeof(settings->'registration'->'consumers'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'registration'->'contacts'), 'boolean') = 'boolean'
         AND coalesce(jsonb_typeof(settings->'registration'->'terms'), 'string') = 'string'
         AND coalesce(settings->'registration'->>'per_source', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'per_email', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'per_account', '1') ~ '^[1-9][0-9]{0,6}$'
         AND coalesce(settings->'registration'->>'confirm_hours', '1') ~ '^[1-9][0-9]{0,3}$'
         AND coalesce(settings->'registration'->>'invite_days', '1') ~ '^[1-9][0-9]{0,2}$')));

-- Who manages contacts ------------------------------------------------------

-- From the rows, as V1 and V5 say it; the map answers only for who is signed in.
CREATE FUNCTION csm_private.contact_managers(account bigint, tenant bigint)
RETURNS TABLE (user_id bigint, contact_id bigint, account_id bigint, role text)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    WITH up AS (
        SELECT string_to_array(a.path::text, '.')::bigint[] AS ids
        FROM csm.accounts a WHERE a.id = contact_managers.account AND a.tenant_id = contact_managers.tenant
    ), served AS (
        SELECT r.partner_account_id AS id
        FROM csm.account_relationships r, up
        WHERE r.tenant_id = contact_managers.tenant AND r.type = 'partner_of' AND r.administers
          AND (r.customer_account_id = contact_managers.account
               OR r.include_descendants AND r.customer_account_id = ANY (up.ids))
          AND csm_private.is_valid(r.valid_during, statement_timestamp())
    )
    SELECT DISTINCT k.user_id, k.id, k.account_id, k.role
    FROM csm.contacts k
    JOIN csm.role_permissions p ON p.role = k.role AND p.tenant_id = k.tenant_id AND p.action = 'contact_manage'
    JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id AND u.enabled
    WHERE k.tenant_id = contact_managers.tenant AND k.login_enabled
      AND csm_private.is_valid(k.valid_during, statement_timestamp())
      AND (p.reach = 'account' AND k.account_id = contact_managers.account
           OR p.reach = 'subtree' AND k.account_id = ANY ((SELECT up.ids FROM up)::bigint[])
           OR p.reach = 'related' AND k.account_id IN (SELECT s.id FROM served s))
$$;
COMMENT ON FUNCTION csm_private.contact_managers(bigint, bigint) IS
'Contacts who manage the contacts of an account: its own administrators, those of its ancestors, those of partners that administer it';

CREATE FUNCTION csm_private.manages_contacts(account_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.account_allows(a.id, 'contact_manage') OR csm.all_in(a.tenant_id, 'b2b', 'account_manage'), false)
    FROM csm.accounts a WHERE a.id = manages_contacts.account_id AND a.tenant_id = csm.current_tenant_id()
$$;
COMMENT ON FUNCTION csm_private.manages_contacts(bigint) IS
'Whether the caller manages the contacts of the account, as its administrator or as staff; NULL for a missing account';

CREATE FUNCTION csm_private.may_assign_role(account_id bigint, role text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_or(
               csm.all_in(r.tenant_id, 'b2b', 'account_manage')
               OR CASE WHEN t.settings ? 'assignable_roles' THEN t.settings->'assignable_roles' ? r.role
                       ELSE r.role IN ('customer', 'customer_admin', 'partner', 'partner_admin') END
                  AND csm_private.role_within(may_assign_role.account_id, r.role)), false)
    FROM csm.roles r JOIN csm.tenants t ON t.id = r.tenant_id
    WHERE r.role = may_assign_role.role AND r.tenant_id = csm.current_tenant_id() AND r.kind = 'contact'
$$;
COMMENT ON FUNCTION csm_private.may_assign_role(bigint, text) IS
'Whether the caller may give a contact of the account this role (R A14). Staff with account_manage: any contact role. Who manages its contacts: one that the tenant''s settings list (assignable_roles; by default customer, customer_admin, partner, partner_admin) and that is not above his own, as csm_private.role_within() says';

-- Helpers ------------------------------------------------------------------

-- One plain address, and nothing that a header or an envelope would read
-- otherwise; as the CHECK of csm.outbox.
CREATE FUNCTION csm_private.is_address(email text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(email) <= 320
    AND btrim(email) ~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$';
COMMENT ON FUNCTION csm_private.is_address(text) IS 'Whether mail can be sent there; NULL for NULL';

CREATE FUNCTION csm_private.is_name(display_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN btrim(display_name) <> '' AND length(display_name) <= 200 AND display_name !~ '[[:cntrl:]]';
COMMENT ON FUNCTION csm_private.is_name(text) IS 'Whether it can be a person''s name; NULL for NULL';

CREATE FUNCTION csm_private.is_language(language text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN length(language) <= 35 AND language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$';
COMMENT ON FUNCTION csm_private.is_language(text) IS 'Whether it is a language tag as csm.users takes it; NULL for NULL';

CREATE FUNCTION csm_private.code_hash(tenant_id bigint, code text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(tenant_id || ' ' || translate(upper(code), 'OIL -', '011'), 'UTF8'));
COMMENT ON FUNCTION csm_private.code_hash(bigint, text) IS
'SHA-256 of a registration code within its tenant; case, blanks and hyphens do not count, O is read as 0, I and L as 1';

CREATE FUNCTION csm_private.issue_registration_token(r csm.registrations, purpose text, expires_at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token CONSTANT text := csm_private.new_token();
BEGIN
    INSERT INTO csm_private.registration_tokens (registration_id, tenant_id, purpose, token_hash, expires_at)
    VALUES (r.id, r.tenant_id, issue_registration_token.purpose, csm_private.token_hash(token), issue_registration_token.expires_at);
    PERFORM csm_private.set_timer(r.tenant_id, 'registration', r.id, NULL, issue_registration_token.expires_at);
    RETURN token;
END $$;
COMMENT ON FUNCTION csm_private.issue_registration_token(csm.registrations, text, timestamptz) IS
'Makes the token by which a registration goes on, and the timer that ends it; the caller mails it';

CREATE FUNCTION csm_private.mail_registration(r csm.registrations, kind text, details jsonb DEFAULT '{}', expires_at timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.send_mail((r).tenant_id, kind, (r).email, (r).user_id, (r).language,
        jsonb_strip_nulls(jsonb_build_object('registration_id', (r).id, 'display_name', (r).display_name,
            'account', (SELECT a.name FROM csm.accounts a WHERE a.id = (r).account_id AND a.tenant_id = (r).tenant_id
                        AND (r).state IN ('approved', 'rejected') OR (r).kind = 'invitation' AND a.id = (r).account_id AND a.tenant_id = (r).tenant_id)))
        || details, expires_at)
$$;
COMMENT ON FUNCTION csm_private.mail_registration(csm.registrations, text, jsonb, timestamptz) IS
'Mails something to whom a registration is about; the account''s name only where he is taken in, rejected or invited';

-- With a registration all open ones of its address are locked, in the order of
-- ids: who decides one may end the others, and two tokens of one person are used
-- one after the other.
CREATE FUNCTION csm_private.lock_registration(INOUT r csm.registrations)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM csm.registrations x
    WHERE x.tenant_id = r.tenant_id AND (x.id = r.id OR x.email_key = r.email_key AND x.state IN ('pending', 'requested'))
    ORDER BY x.id FOR NO KEY UPDATE;
    SELECT x.* INTO r FROM csm.registrations x WHERE x.id = r.id AND x.tenant_id = r.tenant_id;
END $$;
COMMENT ON FUNCTION csm_private.lock_registration(csm.registrations) IS
'Locks a registration and what else is open for its address; the row as it is then';

CREATE FUNCTION csm_private.claim_registration(token text, purpose text, OUT r csm.registrations)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hash CONSTANT bytea := csm_private.token_hash(left(token, 100));
BEGIN
    SELECT x.* INTO r FROM csm_private.registration_tokens s
    JOIN csm.registrations x ON x.id = s.registration_id AND x.tenant_id = s.tenant_id
    JOIN csm.tenants t ON t.id = x.tenant_id AND t.enabled
    WHERE s.token_hash = hash AND s.purpose = claim_registration.purpose AND s.expires_at > clock_timestamp();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    r := csm_private.lock_registration(r);
    -- used or withdrawn while this one waited
    PERFORM FROM csm_private.registration_tokens s WHERE s.token_hash = hash FOR UPDATE;
    IF NOT FOUND THEN
        r := NULL;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.claim_registration(text, text) IS
'The registration whose unexpired token this is, locked; NULL for any other token';

CREATE FUNCTION csm_private.end_registration_token(r csm.registrations) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM csm_private.registration_tokens s WHERE s.registration_id = (r).id AND s.tenant_id = (r).tenant_id;
    SELECT csm_private.set_timer((r).tenant_id, 'registration', (r).id, NULL, NULL)
$$;
COMMENT ON FUNCTION csm_private.end_registration_token(csm.registrations) IS 'Takes back the token of a registration and its timer';

-- One row a human: a known address gives its person, whatever name he gave now.
CREATE FUNCTION csm_private.person_of(r csm.registrations, OUT person csm.users, OUT is_new boolean)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.users (tenant_id, display_name, email, language)
    VALUES (r.tenant_id, r.display_name, btrim(r.email), r.language)
    ON CONFLICT (tenant_id, email_key) DO NOTHING
    RETURNING * INTO person;
    is_new := FOUND;
    IF NOT is_new THEN
        SELECT * INTO person FROM csm.users u WHERE u.tenant_id = r.tenant_id AND u.email_key = r.email_key FOR NO KEY UPDATE;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.person_of(csm.registrations) IS
'The person of the address, locked; made where nobody has it';

-- Gives the contact persona, unless he has it: then nothing is changed, least
-- of all a login that an administrator has disabled.
CREATE FUNCTION csm_private.add_contact(person bigint, tenant bigint, account bigint, role text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM csm.contacts k
               WHERE k.user_id = person AND k.account_id = account AND k.tenant_id = tenant
                 AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(clock_timestamp(), NULL)) THEN
        RETURN false;
    END IF;
    INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home, valid_during)
    VALUES (tenant, person, account, add_contact.role,
            NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = person AND k.tenant_id = tenant AND k.is_home
                          AND coalesce(k.valid_during, tstzrange(NULL, NULL)) && tstzrange(clock_timestamp(), NULL)),
            tstzrange(clock_timestamp(), NULL));
    RETURN true;
END $$;
COMMENT ON FUNCTION csm_private.add_contact(bigint, bigint, bigint, text) IS
'Makes the person, whose row is locked, a contact of the account; false where he is one already';

CREATE FUNCTION csm_private.decide_registration(r csm.registrations, state text, person bigint DEFAULT NULL, reason text DEFAULT NULL)
RETURNS csm.registrations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    x csm.registrations;
    other csm.registrations;
BEGIN
    UPDATE csm.registrations u
    SET state = decide_registration.state, user_id = coalesce(person, u.user_id), reason = decide_registration.reason,
        role = coalesce(u.role, r.role), confirmed_at = coalesce(u.confirmed_at, r.confirmed_at),
        decided_at = clock_timestamp(), decided_by = csm.current_user_id()
    WHERE u.id = r.id AND u.tenant_id = r.tenant_id
    RETURNING * INTO x;
    PERFORM csm_private.end_registration_token(x);
    IF x.state = 'approved' THEN
        -- what else the same person has asked of the same account
        FOR other IN
            UPDATE csm.registrations u
            SET state = 'no_longer_required', decided_at = clock_timestamp()
            WHERE u.tenant_id = x.tenant_id AND u.email_key = x.email_key AND u.id <> x.id
              AND u.state IN ('pending', 'requested') AND (u.kind = 'consumer') = (x.kind = 'consumer')
              AND u.account_id IS NOT DISTINCT FROM x.account_id
            RETURNING *
        LOOP
            PERFORM csm_private.end_registration_token(other);
        END LOOP;
    END IF;
    RETURN x;
END $$;
COMMENT ON FUNCTION csm_private.decide_registration(csm.registrations, text, bigint, text) IS
'Ends a registration, whose row is locked, and where it is approved the other open ones of the same address for the same account';

-- The request goes to everybody who manages contacts of the account. Beyond the
-- account's limit it waits for staff instead.
CREATE FUNCTION csm_private.request_registration(r csm.registrations) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
BEGIN
    PERFORM csm_private.end_registration_token(r);
    UPDATE csm.registrations u
    SET state = 'requested', account_id = r.account_id, route = r.route, confirmed_at = r.confirmed_at
    WHERE u.id = r.id AND u.tenant_id = r.tenant_id;
    FOR m IN SELECT DISTINCT u.id, u.email, u.language, a.name
             FROM csm_private.contact_managers(r.account_id, r.tenant_id) c
             JOIN csm.users u ON u.id = c.user_id AND u.tenant_id = r.tenant_id AND u.email IS NOT NULL
             JOIN csm.accounts a ON a.id = r.account_id AND a.tenant_id = r.tenant_id
    LOOP
        PERFORM csm_private.send_mail(r.tenant_id, 'registration_requested', m.email, m.id, m.language,
            jsonb_build_object('registration_id', r.id, 'display_name', r.display_name, 'email', r.email, 'account', m.name));
    END LOOP;
    PERFORM csm_private.audit('registration_requested', csm.current_user_id(), NULL, r.account_id,
        jsonb_build_object('registration_id', r.id, 'route', r.route), r.tenant_id);
END $$;
COMMENT ON FUNCTION csm_private.request_registration(csm.registrations) IS
'Puts a proven registration before the administrators of its account and mails them';

CREATE FUNCTION csm_private.is_superfluous(r csm.registrations) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.contacts k JOIN csm.users u ON u.id = k.user_id AND u.tenant_id = k.tenant_id
                   WHERE u.tenant_id = (r).tenant_id AND u.email_key = (r).email_key AND k.account_id = (r).account_id
                     AND csm_private.is_valid(k.valid_during, statement_timestamp()))
        OR EXISTS (SELECT FROM csm.registrations x
                   WHERE x.tenant_id = (r).tenant_id AND x.email_key = (r).email_key AND x.account_id = (r).account_id
                     AND x.state = 'requested' AND x.id <> (r).id)
$$;
COMMENT ON FUNCTION csm_private.is_superfluous(csm.registrations) IS
'Whether the person of the address is a contact of the account already, or another request of his is before its administrators';

CREATE FUNCTION csm_private.still_manages(person bigint, account bigint, tenant bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm_private.contact_managers(account, tenant) m WHERE m.user_id = person)
        OR EXISTS (SELECT FROM csm.user_roles a
                   JOIN csm.role_permissions p ON p.role = a.role AND p.tenant_id = a.tenant_id
                    AND p.action = 'account_manage' AND p.reach = 'all'
                   JOIN csm.users u ON u.id = a.user_id AND u.tenant_id = a.tenant_id AND u.enabled
                   WHERE a.user_id = person AND a.tenant_id = tenant AND (a.branches IS NULL OR 'b2b' = ANY (a.branches))
                     AND csm_private.is_valid(a.valid_during, statement_timestamp()))
$$;
COMMENT ON FUNCTION csm_private.still_manages(bigint, bigint, bigint) IS
'Whether the person, who need not be signed in, manages the contacts of the account now';

-- First credentials ----------------------------------------------------------

CREATE FUNCTION csm_private.has_credentials(person csm.users) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (person).login_role IS NOT NULL OR (person).external_id IS NOT NULL
        OR EXISTS (SELECT FROM csm.passwords p WHERE p.user_id = (person).id AND p.tenant_id = (person).tenant_id)
        OR EXISTS (SELECT FROM csm.external_identities e WHERE e.user_id = (person).id AND e.tenant_id = (person).tenant_id)
$$;
COMMENT ON FUNCTION csm_private.has_credentials(csm.users) IS
'Whether the person signs in somehow already, or comes from a directory that will let him: then registering gives him no password';

CREATE FUNCTION csm_private.first_password_fault(r csm.registrations, password text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN password IS NOT NULL THEN
        coalesce(csm_private.password_fault((r).tenant_id, NULL, password),
                 CASE WHEN t.folded IN ((r).email_key, lower((r).display_name))
                        OR length(split_part((r).email_key, '@', 1)) >= 4 AND strpos(t.folded, split_part((r).email_key, '@', 1)) > 0
                      THEN 'denied' END) END
    FROM (SELECT lower(csm_private.password_text(password))) t(folded)
$$;
COMMENT ON FUNCTION csm_private.first_password_fault(csm.registrations, text) IS
'As csm_private.password_fault(), for somebody who is no person yet; NULL for no password';

-- The address is proven and nobody has to decide (any more).
CREATE FUNCTION csm_private.complete_registration(r csm.registrations, password text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found CONSTANT record := csm_private.person_of(r);
    person CONSTANT csm.users := found.person;
    added boolean := true;
BEGIN
    IF NOT person.enabled THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
        RETURN false;
    END IF;
    IF password IS NOT NULL AND NOT csm_private.has_credentials(person) AND (csm_private.password_policy(r.tenant_id)).allowed THEN
        PERFORM csm_private.set_password(r.tenant_id, person.id, password);
    END IF;
    IF r.kind = 'consumer' THEN
        INSERT INTO csm.consumers (user_id, tenant_id) VALUES (person.id, r.tenant_id) ON CONFLICT DO NOTHING;
    ELSE
        added := csm_private.add_contact(person.id, r.tenant_id, r.account_id, r.role);
    END IF;
    r := csm_private.decide_registration(r, CASE WHEN added THEN 'approved' ELSE 'no_longer_required' END, person.id);
    PERFORM csm_private.mail_registration(r, 'registration_welcome', jsonb_build_object('known', NOT found.is_new));
    PERFORM csm_private.audit(CASE r.kind WHEN 'consumer' THEN 'consumer_registered' ELSE 'invitation_accepted' END,
        person.id, person.id, r.account_id, jsonb_build_object('registration_id', r.id, 'known', NOT found.is_new), r.tenant_id);
    RETURN true;
END $$;
COMMENT ON FUNCTION csm_private.complete_registration(csm.registrations, text) IS
'Gives the person of a proven address the persona, and a password where he has no credentials; false where he is disabled, and nothing is given';

-- A proven request of a contact. What leads to no account waits for staff, and so
-- does what is too much for one account.
CREATE FUNCTION csm_private.forward_registration(r csm.registrations) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM csm.accounts a WHERE a.id = r.account_id AND a.tenant_id = r.tenant_id AND a.active)
       OR NOT csm_private.attempt('registration account', r.tenant_id || ' ' || r.account_id,
                  (SELECT csm_private.registration_setting(t.settings, 'per_account') FROM csm.tenants t WHERE t.id = r.tenant_id), '1 day') THEN
        PERFORM csm_private.end_registration_token(r);
        UPDATE csm.registrations u SET confirmed_at = r.confirmed_at, account_id = NULL, route = NULL
        WHERE u.id = r.id AND u.tenant_id = r.tenant_id;
        PERFORM csm_private.audit('registration_pending', NULL, NULL, NULL, jsonb_build_object('registration_id', r.id), r.tenant_id);
    ELSIF csm_private.is_superfluous(r) THEN
        PERFORM csm_private.decide_registration(r, 'no_longer_required');
    ELSE
        PERFORM csm_private.request_registration(r);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.forward_registration(csm.registrations) IS
'Puts a proven request before the administrators of its account, or leaves it pending for staff';
