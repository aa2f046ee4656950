-- Staff: roles and how far they reach, teams, groups, service organisations.

CREATE TABLE csm.service_organizations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    CONSTRAINT service_organizations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT service_organizations_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT service_organizations_parent_fkey FOREIGN KEY (parent_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT service_organizations_self_check CHECK (parent_id <> id),
    CONSTRAINT service_organizations_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX service_organizations_parent_idx ON csm.service_organizations (parent_id);
SELECT csm_private.adopt_table('csm.service_organizations');
SELECT csm_private.signal_on('csm.service_organizations', '{id,tenant_id,parent_id}', 'organization', 'tenant_id');

CREATE TABLE csm.service_organization_members (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    service_organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    excluded bigint[] NOT NULL DEFAULT '{}',
    valid_during tstzrange,
    CONSTRAINT service_organization_members_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT service_organization_members_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT service_organization_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT service_organization_members_once EXCLUDE USING gist (service_organization_id WITH =, user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX service_organization_members_user_idx ON csm.service_organization_members (user_id);
SELECT csm_private.adopt_table('csm.service_organization_members');
SELECT csm_private.signal_on('csm.service_organization_members',
    '{tenant_id,service_organization_id,user_id,excluded,valid_during}', 'user', 'user_id');

CREATE TABLE csm.user_roles (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL,
    role text NOT NULL,
    branches text[],
    reach text,
    service_organization_id bigint,
    valid_during tstzrange,
    CONSTRAINT user_roles_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT user_roles_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT user_roles_role_fkey FOREIGN KEY (role, tenant_id) REFERENCES csm.roles (role, tenant_id),
    CONSTRAINT user_roles_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT user_roles_branches_check CHECK (branches <@ '{b2b,b2c,internal}'::text[]),
    CONSTRAINT user_roles_reach_check CHECK (reach IN ('team', 'organization', 'all')),
    CONSTRAINT user_roles_once EXCLUDE USING gist (user_id WITH =, role WITH =,
        (coalesce(service_organization_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX user_roles_user_idx ON csm.user_roles (user_id);
SELECT csm_private.adopt_table('csm.user_roles');
SELECT csm_private.signal_on('csm.user_roles',
    '{tenant_id,user_id,role,branches,reach,service_organization_id,valid_during}', 'user', 'user_id');
CREATE TRIGGER user_roles_10_role BEFORE INSERT OR UPDATE OF role ON csm.user_roles
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_role_kind('staff');

CREATE TABLE csm.account_team (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    account_id bigint,
    user_id bigint,
    household_id bigint,
    member_id bigint NOT NULL,
    responsibility text NOT NULL DEFAULT 'relationship_manager',
    valid_during tstzrange,
    CONSTRAINT account_team_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT account_team_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT account_team_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT account_team_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT account_team_member_fkey FOREIGN KEY (member_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT account_team_one_target CHECK (num_nonnulls(account_id, user_id, household_id) = 1),
    CONSTRAINT account_team_once EXCLUDE USING gist (member_id WITH =, (coalesce(account_id, 0)) WITH =,
        (coalesce(user_id, 0)) WITH =, (coalesce(household_id, 0)) WITH =, responsibility WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX account_team_member_idx ON csm.account_team (member_id);
CREATE INDEX account_team_account_idx ON csm.account_team (account_id);
SELECT csm_private.adopt_table('csm.account_team');
SELECT csm_private.signal_on('csm.account_team',
    '{tenant_id,account_id,user_id,household_id,member_id,valid_during}', 'user', 'member_id');

CREATE TABLE csm.groups (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    parent_id bigint,
    CONSTRAINT groups_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT groups_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT groups_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT groups_self_check CHECK (parent_id <> id),
    CONSTRAINT groups_name_key UNIQUE (tenant_id, name),
    CONSTRAINT groups_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
SELECT csm_private.adopt_table('csm.groups');

CREATE TABLE csm.group_members (
    group_id bigint NOT NULL,
    user_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    CONSTRAINT group_members_pkey PRIMARY KEY (group_id, user_id, tenant_id),
    CONSTRAINT group_members_group_fkey FOREIGN KEY (group_id, tenant_id) REFERENCES csm.groups (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT group_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id)
);
CREATE INDEX group_members_user_idx ON csm.group_members (user_id);
SELECT csm_private.adopt_table('csm.group_members');

-- Configuration of the desk: staff read it, administrators write it.  A portal
-- role has no grant here at all.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{service_organizations,service_organization_members,groups,group_members}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Staff connections read the desk of their tenant''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep it''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;
CREATE POLICY user_roles_select ON csm.user_roles FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.all_in(tenant_id, 'internal', 'person_manage')
           OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY user_roles_write ON csm.user_roles FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.user_roles TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.user_roles TO csm_admin;
CREATE POLICY account_team_select ON csm.account_team FOR SELECT TO csm_agent, csm_reporter, csm_admin
    USING (member_id = csm.current_user_id() OR csm.account_allows(account_id, 'contact_read')
           OR csm.all_in(tenant_id, 'b2b', 'contact_read'));
CREATE POLICY account_team_write ON csm.account_team FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2b', 'account_manage'));
GRANT SELECT ON csm.account_team TO csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.account_team TO csm_agent, csm_admin;

COMMENT ON TABLE csm.service_organizations IS 'Stores, branches and other places that give service, in a tree';
COMMENT ON COLUMN csm.service_organizations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organizations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organizations.name IS 'Name that people read';
COMMENT ON COLUMN csm.service_organizations.parent_id IS 'Organisation above; NULL at the top';
COMMENT ON TABLE csm.service_organization_members IS 'Staff of a service organisation: reach organization covers it and what lies below, less what is excluded (V9)';
COMMENT ON COLUMN csm.service_organization_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organization_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organization_members.service_organization_id IS 'The organisation';
COMMENT ON COLUMN csm.service_organization_members.user_id IS 'The person';
COMMENT ON COLUMN csm.service_organization_members.excluded IS 'Organisations left out with everything below them';
COMMENT ON COLUMN csm.service_organization_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.user_roles IS 'Staff personas: staff:<role>; they count under csm_agent, csm_reporter and csm_admin only (V9)';
COMMENT ON COLUMN csm.user_roles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_roles.user_id IS 'The person';
COMMENT ON COLUMN csm.user_roles.role IS 'Role of kind staff; one of another kind is refused';
COMMENT ON COLUMN csm.user_roles.branches IS 'Narrows the branches of the role; NULL keeps them';
COMMENT ON COLUMN csm.user_roles.reach IS 'Replaces the reach of the role''s permissions (not own); NULL keeps it';
COMMENT ON COLUMN csm.user_roles.service_organization_id IS 'With reach organization: this organisation and what lies below, beside the memberships; NULL for those alone';
COMMENT ON COLUMN csm.user_roles.valid_during IS 'When the role counts; NULL means always';
COMMENT ON TABLE csm.account_team IS 'Who looks after an account, a person or a household: reach team (V9)';
COMMENT ON COLUMN csm.account_team.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_team.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_team.account_id IS 'The account; exactly one of account, user and household is set';
COMMENT ON COLUMN csm.account_team.user_id IS 'The person (his b2c cases)';
COMMENT ON COLUMN csm.account_team.household_id IS 'The household (its cases and those of its current members)';
COMMENT ON COLUMN csm.account_team.member_id IS 'Who looks after it';
COMMENT ON COLUMN csm.account_team.responsibility IS 'In which function';
COMMENT ON COLUMN csm.account_team.valid_during IS 'When it counts; NULL means always';
COMMENT ON TABLE csm.groups IS 'Groups of staff to which cases are assigned; give no sight of cases';
COMMENT ON COLUMN csm.groups.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.groups.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.groups.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.groups.parent_id IS 'Group above; NULL at the top';
COMMENT ON TABLE csm.group_members IS 'Members of a group';
COMMENT ON COLUMN csm.group_members.group_id IS 'The group';
COMMENT ON COLUMN csm.group_members.user_id IS 'The person';
COMMENT ON COLUMN csm.group_members.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY user_roles_select ON csm.user_roles IS 'One''s own; staff with person_manage; administrators';
COMMENT ON POLICY user_roles_write ON csm.user_roles IS 'Administrators';
COMMENT ON POLICY account_team_select ON csm.account_team IS 'Members, and staff who read the account''s contacts';
COMMENT ON POLICY account_team_write ON csm.account_team IS 'Staff with account_manage';
