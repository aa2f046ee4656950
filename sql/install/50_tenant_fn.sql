-- Tenants: made, mapped to login roles, and brought up to date.
--
-- What only the DBA may do runs with the rights of its caller (SECURITY
-- INVOKER): a superuser or a member of csm_owner has them, nobody can lend
-- them, and no function need guess who called it.

-- What csm gave a tenant.  Base of the three-way merge in merge_shipped(): a
-- row that still is as csm gave it may be replaced, one that differs or is gone
-- is the tenant's own decision.
CREATE TABLE csm_private.shipped_copies (
    tenant_id bigint NOT NULL,
    kind text NOT NULL,
    key text[] NOT NULL,
    content jsonb NOT NULL,
    CONSTRAINT shipped_copies_pkey PRIMARY KEY (tenant_id, kind, key),
    CONSTRAINT shipped_copies_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id) ON DELETE CASCADE
);
ALTER TABLE csm_private.shipped_copies OWNER TO csm_owner;
REVOKE ALL ON csm_private.shipped_copies FROM PUBLIC;
ALTER TABLE csm_private.shipped_copies ENABLE ROW LEVEL SECURITY;
SELECT pg_extension_config_dump('csm_private.shipped_copies', '');
COMMENT ON TABLE csm_private.shipped_copies IS 'What csm gave each tenant, to know at an update what the tenant has changed since';
COMMENT ON COLUMN csm_private.shipped_copies.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state, case_transition, case_field, notification_rule or notification_template';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';

CREATE FUNCTION csm.map_login(user_id bigint, role text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login pg_roles;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to map a login role'
            USING ERRCODE = '42501', HINT = 'Only a superuser or a member of csm_owner may call csm.map_login().';
    END IF;
    IF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = map_login.user_id) THEN
        RAISE EXCEPTION 'there is no user %', coalesce(map_login.user_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.users.id.';
    END IF;
    IF role IS NOT NULL THEN
        SELECT * INTO login FROM pg_roles r WHERE r.rolname = role;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'role "%" does not exist', role USING ERRCODE = '42704', HINT = 'Create the role first.';
        ELSIF role IN ('csm_owner', 'csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
              OR role LIKE 'pg\_%' THEN
            RAISE EXCEPTION 'role "%" stands for many people and cannot be mapped to one', role
                USING ERRCODE = '22023', HINT = 'Create a role for this person, and grant it the csm role he needs.';
        ELSIF login.rolsuper OR login.rolbypassrls OR pg_has_role(login.oid, 'csm_owner', 'MEMBER') THEN
            RAISE EXCEPTION 'role "%" cannot be mapped: row-level security does not bind it', role
                USING ERRCODE = '42501',
                      DETAIL = 'It is a superuser, has BYPASSRLS, or is a member of csm_owner.',
                      HINT = 'Map an ordinary role.';
        ELSIF EXISTS (SELECT FROM csm.users u WHERE u.login_role = role AND u.id <> map_login.user_id) THEN
            RAISE EXCEPTION 'role "%" is mapped to another user', role
                USING ERRCODE = '23505',
                      DETAIL = format('It stands for user %s.', (SELECT u.id FROM csm.users u WHERE u.login_role = role)),
                      HINT = 'Unmap it there first: csm.map_login(user_id, NULL).';
        END IF;
    END IF;
    UPDATE csm.users u SET login_role = role
    WHERE u.id = map_login.user_id AND u.login_role IS DISTINCT FROM role;
END $$;

CREATE FUNCTION csm.create_tenant(key text, name text, admin_email text, admin_login_role text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    person bigint;
BEGIN
    IF NOT pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to create a tenant'
            USING ERRCODE = '42501', HINT = 'Only a superuser or a member of csm_owner may call csm.create_tenant().';
    ELSIF key IS NULL OR key !~ '^[a-z][a-z0-9_-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid tenant key %', coalesce(quote_literal(key), 'NULL')
            USING ERRCODE = '22023', HINT = 'Begin with a lower-case letter; then letters, digits, - and _, at most 63.';
    ELSIF EXISTS (SELECT FROM csm.tenants t WHERE t.key = create_tenant.key) THEN
        RAISE EXCEPTION 'tenant "%" exists already', key
            USING ERRCODE = '23505', HINT = 'Choose another key.';
    ELSIF name IS NULL OR length(name) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'the name of a tenant has 1 to 200 characters' USING ERRCODE = '22023';
    ELSIF admin_email IS NULL OR length(admin_email) > 320 OR admin_email !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN
        RAISE EXCEPTION 'invalid e-mail address %', coalesce(quote_literal(admin_email), 'NULL') USING ERRCODE = '22023';
    END IF;

    INSERT INTO csm.tenants AS t (key, name) VALUES (create_tenant.key, create_tenant.name) RETURNING t.id INTO tenant;
    PERFORM csm_private.merge_shipped(tenant);
    INSERT INTO csm.users AS u (tenant_id, display_name, email)
    VALUES (tenant, left(split_part(admin_email, '@', 1), 200), admin_email)
    RETURNING u.id INTO person;
    -- admin configures; manager makes the first accounts and people
    INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (tenant, person, 'admin'), (tenant, person, 'manager');
    IF admin_login_role IS NOT NULL THEN
        PERFORM csm.map_login(person, admin_login_role);
    END IF;
    RETURN tenant;
END $$;

CREATE FUNCTION csm.refresh_shipped(tenant_id bigint)
RETURNS TABLE (kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm.all_in(refresh_shipped.tenant_id, 'internal', 'configure') IS NOT TRUE THEN
        RAISE EXCEPTION 'permission denied to refresh tenant %', coalesce(refresh_shipped.tenant_id::text, 'NULL')
            USING ERRCODE = '42501',
                  HINT = 'An administrator refreshes his own tenant; a member of csm_owner calls csm.refresh_shipped().';
    END IF;
    RETURN QUERY SELECT * FROM csm_private.merge_shipped(refresh_shipped.tenant_id);
END $$;

CREATE FUNCTION csm.refresh_shipped()
RETURNS TABLE (tenant_id bigint, kind text, added integer, changed integer, removed integer, kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(current_user, 'csm_owner', 'USAGE') THEN
        FOR tenant_id IN SELECT t.id FROM csm.tenants t ORDER BY t.id LOOP
            RETURN QUERY SELECT refresh_shipped.tenant_id, m.* FROM csm_private.merge_shipped(refresh_shipped.tenant_id) m;
        END LOOP;
    ELSE
        RETURN QUERY SELECT csm.current_tenant_id(), m.* FROM csm.refresh_shipped(csm.current_tenant_id()) m;
    END IF;
END $$;

ALTER FUNCTION csm.map_login(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm.create_tenant(text, text, text, text) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped(bigint) OWNER TO csm_owner;
ALTER FUNCTION csm.refresh_shipped() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.map_login(bigint, text), csm.create_tenant(text, text, text, text),
    csm.refresh_shipped(bigint), csm.refresh_shipped() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.refresh_shipped(bigint), csm.refresh_shipped() TO csm_admin;
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states, transitions, fields, and rules and words of notifications, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions, rules and words of notifications only), kept (differs from what csm ships)';
