-- Tenants, and the roles that their people may hold.

CREATE TABLE csm.tenants (
    id bigint GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    name text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_key_key UNIQUE (key),
    CONSTRAINT tenants_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT tenants_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT tenants_settings_check CHECK (jsonb_typeof(settings) = 'object')
);
SELECT csm_private.adopt_table('csm.tenants');
SELECT csm_private.signal_on('csm.tenants', '{key,settings,enabled}', 'tenant', 'id', 'tenants', '');

CREATE POLICY tenants_select ON csm.tenants FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (id = csm.current_tenant_id());
CREATE POLICY tenants_update ON csm.tenants FOR UPDATE TO csm_admin
    USING (csm.all_in(id, 'internal', 'configure'));
GRANT SELECT ON csm.tenants TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT UPDATE (name, settings) ON csm.tenants TO csm_admin;

COMMENT ON TABLE csm.tenants IS 'One row an organisation that serves customers; made by csm.create_tenant()';
COMMENT ON COLUMN csm.tenants.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.tenants.key IS 'Short name for csm.tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.tenants.name IS 'Name that people read';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object';
COMMENT ON COLUMN csm.tenants.enabled IS 'False: nobody of the tenant is signed in any more, from the next statement on';
COMMENT ON COLUMN csm.tenants.created_at IS 'When the tenant was made';
COMMENT ON POLICY tenants_select ON csm.tenants IS 'Everyone signed in reads his own tenant';
COMMENT ON POLICY tenants_update ON csm.tenants IS 'Administrators change name and settings';

CREATE TABLE csm.roles (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    role text NOT NULL,
    kind text NOT NULL,
    user_class text NOT NULL,
    label text NOT NULL,
    branches text[] NOT NULL DEFAULT '{b2b,b2c,internal}',
    shipped boolean NOT NULL DEFAULT false,
    CONSTRAINT roles_pkey PRIMARY KEY (role, tenant_id),
    CONSTRAINT roles_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT roles_role_check CHECK (role ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT roles_kind_check CHECK (kind IN ('person', 'contact', 'consumer', 'staff')),
    CONSTRAINT roles_user_class_check CHECK (user_class IN ('external', 'stakeholder', 'fulfiller')),
    CONSTRAINT roles_branches_check CHECK (branches <@ '{b2b,b2c,internal}'::text[])
);
SELECT csm_private.adopt_table('csm.roles');
SELECT csm_private.signal_on('csm.roles', '{tenant_id,role,kind,branches}', 'config', 'tenant_id');

CREATE POLICY roles_select ON csm.roles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY roles_write ON csm.roles FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.roles TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.roles TO csm_admin;

COMMENT ON TABLE csm.roles IS 'Roles that a persona can hold; shipped ones are copied by csm.create_tenant()';
COMMENT ON COLUMN csm.roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.roles.role IS 'Key of the role';
COMMENT ON COLUMN csm.roles.kind IS 'Who can hold it: person (everyone), contact, consumer or staff';
COMMENT ON COLUMN csm.roles.user_class IS 'Class for licence counting: external, stakeholder or fulfiller';
COMMENT ON COLUMN csm.roles.label IS 'Name that people read';
COMMENT ON COLUMN csm.roles.branches IS 'Branches in which a staff role counts; an assignment can only narrow them';
COMMENT ON COLUMN csm.roles.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON POLICY roles_select ON csm.roles IS 'Everyone signed in reads the roles of his tenant';
COMMENT ON POLICY roles_write ON csm.roles IS 'Administrators keep the roles';

CREATE TABLE csm.role_permissions (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    role text NOT NULL,
    action text NOT NULL,
    reach text NOT NULL,
    CONSTRAINT role_permissions_pkey PRIMARY KEY (role, tenant_id, action, reach),
    CONSTRAINT role_permissions_role_fkey FOREIGN KEY (role, tenant_id)
        REFERENCES csm.roles (role, tenant_id) ON DELETE CASCADE,
    CONSTRAINT role_permissions_action_check CHECK (action IN (
        'case_read', 'case_comment', 'case_create', 'case_decide', 'contact_read', 'contact_manage',
        'product_read', 'product_manage', 'entitlement_read', 'account_manage', 'person_manage',
        'case_work', 'configure', 'act_for')),
    CONSTRAINT role_permissions_reach_check CHECK (reach IN (
        'own', 'account', 'subtree', 'related', 'team', 'organization', 'all'))
);
SELECT csm_private.adopt_table('csm.role_permissions');
SELECT csm_private.signal_on('csm.role_permissions', '{tenant_id,role,action,reach}', 'config', 'tenant_id');

CREATE POLICY role_permissions_select ON csm.role_permissions FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY role_permissions_write ON csm.role_permissions FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.role_permissions TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.role_permissions TO csm_admin;

COMMENT ON TABLE csm.role_permissions IS 'What a role may do, and how far it reaches; the rules V1 to V9 are compiled from these rows';
COMMENT ON COLUMN csm.role_permissions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.role_permissions.role IS 'Role that gets the permission';
COMMENT ON COLUMN csm.role_permissions.action IS 'Action; case_work (staff: take, answer, work notes, plain UPDATE), configure (administration) and act_for (csm.on_behalf_of(); shipped with no role) are for staff roles only';
COMMENT ON COLUMN csm.role_permissions.reach IS 'own; account, subtree, related (contacts); team, organization, all (staff). A reach that does not fit the kind of the role gives nothing';
COMMENT ON POLICY role_permissions_select ON csm.role_permissions IS 'Everyone signed in reads the permissions of his tenant';
COMMENT ON POLICY role_permissions_write ON csm.role_permissions IS 'Administrators keep the permissions';
