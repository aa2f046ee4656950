-- Households and representation (V6): who speaks for whom among consumers.

CREATE TABLE csm.households (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    head_user_id bigint,
    CONSTRAINT households_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT households_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT households_head_fkey FOREIGN KEY (head_user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT households_name_check CHECK (length(name) BETWEEN 1 AND 200)
);
CREATE INDEX households_head_idx ON csm.households (head_user_id);
SELECT csm_private.adopt_table('csm.households');
SELECT csm_private.signal_on('csm.households', '{id,tenant_id,head_user_id}', 'household', 'id', 'user', 'head_user_id');

CREATE TABLE csm.household_members (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    household_id bigint NOT NULL,
    user_id bigint NOT NULL,
    valid_during tstzrange,
    CONSTRAINT household_members_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT household_members_household_fkey FOREIGN KEY (household_id, tenant_id)
        REFERENCES csm.households (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT household_members_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT household_members_once EXCLUDE USING gist (household_id WITH =, user_id WITH =,
        (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX household_members_user_idx ON csm.household_members (user_id);
SELECT csm_private.adopt_table('csm.household_members');
SELECT csm_private.signal_on('csm.household_members', '{household_id,user_id,valid_during,tenant_id}',
                             'household', 'household_id', 'user', 'user_id');

CREATE TABLE csm.representations (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    representative_id bigint NOT NULL,
    represented_id bigint NOT NULL,
    household_id bigint,
    valid_during tstzrange,
    CONSTRAINT representations_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT representations_representative_fkey FOREIGN KEY (representative_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT representations_represented_fkey FOREIGN KEY (represented_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT representations_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT representations_self_check CHECK (representative_id <> represented_id),
    CONSTRAINT representations_once EXCLUDE USING gist (representative_id WITH =, represented_id WITH =,
        (coalesce(household_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX representations_represented_idx ON csm.representations (represented_id);
CREATE INDEX representations_household_idx ON csm.representations (household_id);
SELECT csm_private.adopt_table('csm.representations');
SELECT csm_private.signal_on('csm.representations',
                             '{representative_id,represented_id,household_id,valid_during,tenant_id}',
                             'user', 'representative_id');

CREATE POLICY households_select ON csm.households FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (csm.household_allows(id, 'case_read') OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY household_members_select ON csm.household_members FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (user_id = csm.current_user_id() OR csm.household_allows(household_id, 'case_read')
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY representations_select ON csm.representations FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (representative_id = csm.current_user_id() OR represented_id = csm.current_user_id()
           OR csm.all_in(tenant_id, 'b2c', 'contact_read'));
CREATE POLICY households_write ON csm.households FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
CREATE POLICY household_members_write ON csm.household_members FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
CREATE POLICY representations_write ON csm.representations FOR ALL TO csm_agent, csm_admin
    USING (csm.all_in(tenant_id, 'b2c', 'person_manage'));
GRANT SELECT ON csm.households, csm.household_members, csm.representations TO csm_portal, csm_agent, csm_admin;
GRANT SELECT ON csm.household_members, csm.representations TO csm_reporter;
GRANT SELECT (id, tenant_id) ON csm.households TO csm_reporter;
GRANT INSERT, UPDATE, DELETE ON csm.households, csm.household_members, csm.representations TO csm_agent, csm_admin;

COMMENT ON TABLE csm.households IS 'Consumers who live together; the head, himself a current member, speaks for current members (V6)';
COMMENT ON COLUMN csm.households.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.households.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.households.name IS 'Name that people read';
COMMENT ON COLUMN csm.households.head_user_id IS 'Head of household; counts while he is a current member; NULL for none';
COMMENT ON TABLE csm.household_members IS 'Membership of a household; one current row a person and household';
COMMENT ON COLUMN csm.household_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.household_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.household_members.household_id IS 'The household';
COMMENT ON COLUMN csm.household_members.user_id IS 'The member';
COMMENT ON COLUMN csm.household_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.representations IS 'One person speaks for another in consumer cases (V6)';
COMMENT ON COLUMN csm.representations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.representations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.representations.representative_id IS 'Who speaks';
COMMENT ON COLUMN csm.representations.represented_id IS 'For whom he speaks';
COMMENT ON COLUMN csm.representations.household_id IS 'Within a household: counts only while both are current members; NULL for any';
COMMENT ON COLUMN csm.representations.valid_during IS 'When the representation counts; NULL means always';
COMMENT ON POLICY households_select ON csm.households IS 'Its head, its team, staff for consumers';
COMMENT ON POLICY household_members_select ON csm.household_members IS 'Oneself, the head, the team, staff for consumers';
COMMENT ON POLICY representations_select ON csm.representations IS 'Both persons, staff for consumers';
COMMENT ON POLICY households_write ON csm.households IS 'Staff with person_manage';
COMMENT ON POLICY household_members_write ON csm.household_members IS 'Staff with person_manage';
COMMENT ON POLICY representations_write ON csm.representations IS 'Staff with person_manage';
