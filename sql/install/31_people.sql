-- People: one row a human; employee, consumer, contact and staff are personas.

CREATE TABLE csm.users (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    display_name text NOT NULL,
    email text,
    email_key text GENERATED ALWAYS AS (lower(btrim(email))) STORED,
    language text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    phone text,
    title text,
    enabled boolean NOT NULL DEFAULT true,
    login_role text,
    external_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    location text,
    CONSTRAINT users_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT users_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email_key),
    CONSTRAINT users_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT users_login_role_key UNIQUE (login_role),
    CONSTRAINT users_display_name_check CHECK (length(display_name) BETWEEN 1 AND 200),
    CONSTRAINT users_email_check CHECK (length(email) <= 320 AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT users_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    CONSTRAINT users_text_check CHECK (length(phone) <= 64 AND length(title) <= 200
        AND length(time_zone) <= 64 AND length(external_id) <= 400),
    CONSTRAINT users_location_check CHECK (length(location) <= 64 AND location ~ '^[A-Z0-9]+(-[A-Z0-9]+)*$')
);
SELECT csm_private.adopt_table('csm.users');
SELECT csm_private.signal_on('csm.users', '{id,tenant_id,enabled,login_role,location,language}', 'user', 'id', 'login', 'login_role');

COMMENT ON TABLE csm.users IS 'One row a human, whatever personas he has';
COMMENT ON COLUMN csm.users.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.users.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.users.display_name IS 'Name shown on cases he takes part in';
COMMENT ON COLUMN csm.users.email IS 'E-mail as written; NULL when unknown';
COMMENT ON COLUMN csm.users.email_key IS 'E-mail trimmed and in lower case; unique in the tenant';
COMMENT ON COLUMN csm.users.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.users.time_zone IS 'Time zone name (IANA)';
COMMENT ON COLUMN csm.users.phone IS 'Telephone number as written';
COMMENT ON COLUMN csm.users.title IS 'Job title or form of address';
COMMENT ON COLUMN csm.users.enabled IS 'False: the person is nobody, from the next statement on (V10)';
COMMENT ON COLUMN csm.users.login_role IS 'PostgreSQL role that acts as this person; set by csm.map_login() only';
COMMENT ON COLUMN csm.users.external_id IS 'Key in the directory the person was imported from; unique in the tenant';
COMMENT ON COLUMN csm.users.created_at IS 'When the row was made';
COMMENT ON COLUMN csm.users.location IS 'Where the person is, from the whole to the part, joined by -: country, region and so on (DE, DE-BY; capital letters and digits). User criteria go by it, so it is kept by staff with person_manage and not by the person; NULL when unknown';

CREATE TABLE csm.employees (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    department text,
    manager_id bigint,
    CONSTRAINT employees_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT employees_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT employees_manager_fkey FOREIGN KEY (manager_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT employees_manager_check CHECK (manager_id <> user_id)
);
CREATE INDEX employees_manager_idx ON csm.employees (manager_id);
SELECT csm_private.adopt_table('csm.employees');
SELECT csm_private.signal_on('csm.employees', '{user_id,tenant_id}', 'user', 'user_id');

CREATE POLICY employees_select ON csm.employees FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'contact_read'));
CREATE POLICY employees_write ON csm.employees FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'person_manage'));
GRANT SELECT ON csm.employees TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.employees TO csm_agent, csm_admin;

COMMENT ON TABLE csm.employees IS 'Employee persona: the person works for the tenant';
COMMENT ON COLUMN csm.employees.user_id IS 'The person';
COMMENT ON COLUMN csm.employees.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.employees.department IS 'Department; NULL when unknown';
COMMENT ON COLUMN csm.employees.manager_id IS 'Superior; gives no rights';
COMMENT ON POLICY employees_select ON csm.employees IS 'Oneself; staff for internal service';
COMMENT ON POLICY employees_write ON csm.employees IS 'Staff with person_manage';

CREATE TABLE csm.consumers (
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT consumers_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT consumers_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id) ON DELETE CASCADE
);
SELECT csm_private.adopt_table('csm.consumers');
SELECT csm_private.signal_on('csm.consumers', '{user_id,tenant_id}', 'user', 'user_id');

CREATE POLICY consumers_select ON csm.consumers FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id()
           OR csm.requester_allows(user_id, 'b2c', NULL, 'case_read')
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY consumers_write ON csm.consumers FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
GRANT SELECT ON csm.consumers TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.consumers TO csm_agent, csm_admin;

COMMENT ON TABLE csm.consumers IS 'Consumer persona: the person buys for himself (B2C)';
COMMENT ON COLUMN csm.consumers.user_id IS 'The person';
COMMENT ON COLUMN csm.consumers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.consumers.registered_at IS 'When he became a consumer';
COMMENT ON POLICY consumers_select ON csm.consumers IS 'Oneself, whom one speaks for (V6), staff for consumers';
COMMENT ON POLICY consumers_write ON csm.consumers IS 'Staff with person_manage';
