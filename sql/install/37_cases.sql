-- Cases, what is said on them, and with whom they are shared.

-- What policies and lists read stands first, NOT NULL and of fixed width before
-- the rest: a row is unpacked only as far as it is read.
CREATE TABLE csm.cases (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    requester_id bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_id bigint,
    opened_by bigint,
    submitted_at timestamptz,
    branch text NOT NULL,
    state_class text NOT NULL,
    state text NOT NULL,
    party_keys bigint[] GENERATED ALWAYS AS (csm_private.party_keys(partner_account_id, partner_contact_id, household_id,
        internal_contact_id, service_organization_id, counterparty_account_id, counterparty_contact_id)) STORED,
    number text NOT NULL,
    case_type text NOT NULL DEFAULT 'case',
    priority smallint NOT NULL,
    impact smallint NOT NULL DEFAULT 3,
    urgency smallint NOT NULL DEFAULT 3,
    subject text NOT NULL,
    description text,
    language text NOT NULL DEFAULT 'english',
    channel text NOT NULL DEFAULT 'web',
    household_id bigint,
    counterparty_account_id bigint,
    counterparty_contact_id bigint,
    partner_account_id bigint,
    partner_contact_id bigint,
    internal_contact_id bigint,
    service_organization_id bigint,
    product_id bigint,
    asset_id bigint,
    entitlement_id bigint,
    assigned_group_id bigint,
    assigned_to bigint,
    parent_id bigint,
    resolution_code text,
    resolution_notes text,
    needs_attention boolean NOT NULL DEFAULT false,
    attributes jsonb NOT NULL DEFAULT '{}',
    search tsvector,
    idempotency_key text,
    resolved_at timestamptz,
    closed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_response_at timestamptz,
    reopen_count integer NOT NULL DEFAULT 0,
    reassignment_count integer NOT NULL DEFAULT 0,
    auto_close boolean NOT NULL DEFAULT true,
    escalated boolean NOT NULL DEFAULT false,
    follow_the_sun boolean NOT NULL DEFAULT false,
    major_state text,
    follow_up_at timestamptz,
    last_response_at timestamptz,
    made_sla boolean NOT NULL DEFAULT true,
    CONSTRAINT cases_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT cases_type_fkey FOREIGN KEY (case_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    -- Also says that the tenant exists: whose requester it is, is a person of that tenant.
    CONSTRAINT cases_requester_fkey FOREIGN KEY (requester_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_opened_by_fkey FOREIGN KEY (opened_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_household_fkey FOREIGN KEY (household_id, tenant_id) REFERENCES csm.households (id, tenant_id),
    CONSTRAINT cases_counterparty_account_fkey FOREIGN KEY (counterparty_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_counterparty_contact_fkey FOREIGN KEY (counterparty_contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT cases_partner_account_fkey FOREIGN KEY (partner_account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT cases_partner_contact_fkey FOREIGN KEY (partner_contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT cases_internal_contact_fkey FOREIGN KEY (internal_contact_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_organization_fkey FOREIGN KEY (service_organization_id, tenant_id) REFERENCES csm.service_organizations (id, tenant_id),
    CONSTRAINT cases_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT cases_group_fkey FOREIGN KEY (assigned_group_id, tenant_id) REFERENCES csm.groups (id, tenant_id),
    CONSTRAINT cases_assigned_to_fkey FOREIGN KEY (assigned_to, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT cases_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT cases_number_key UNIQUE (tenant_id, number),
    CONSTRAINT cases_idempotency_key UNIQUE (opened_by, idempotency_key)
);
-- What every row holds.  In C (src/csm_case_check.c), because the server parses
-- a CHECK constraint anew for every statement.
CREATE FUNCTION csm_private.case_fits(c csm.cases) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_case_fits' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
ALTER FUNCTION csm_private.case_fits(csm.cases) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.case_fits(csm.cases) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.case_fits(csm.cases) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.case_fits(csm.cases) IS
'CHECK constraint of csm.cases. True, or error 23514 that names the rule as a constraint: cases_ branch (b2b, b2c, internal), customer (an account makes it b2b, a household b2c), counterparty (another account), named_contact (with its account), class, priority (1 to 4), impact (1 to 3, urgency too), subject (1 to 400 characters, not blank), text (lengths of the other texts), attributes (a JSON object of 64 kB), self (not its own parent), major (proposed, accepted, rejected, cancelled), each followed by _check';
ALTER TABLE csm.cases ADD CONSTRAINT cases_check CHECK (csm_private.case_fits(cases));

-- One index an arm of the rule below (the key of the predicate first, then the
-- order in which lists are read), and the orders in which those who see all
-- read.
CREATE INDEX cases_newest_idx ON csm.cases (tenant_id, opened_at DESC, id DESC);
CREATE INDEX cases_account_idx ON csm.cases (account_id, opened_at);
CREATE INDEX cases_requester_idx ON csm.cases (requester_id, opened_at);
CREATE INDEX cases_opened_by_idx ON csm.cases (opened_by);
-- Without fast update: a pending list would be read through by every look-up.
CREATE INDEX cases_party_idx ON csm.cases USING gin (party_keys) WITH (fastupdate = off) WHERE party_keys IS NOT NULL;
CREATE INDEX cases_parent_idx ON csm.cases (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX cases_assigned_to_idx ON csm.cases (assigned_to) WHERE assigned_to IS NOT NULL;
CREATE INDEX cases_search_idx ON csm.cases USING gin (search, (ARRAY[csm.time_slice(opened_at)]));
CREATE INDEX cases_major_idx ON csm.cases (tenant_id, opened_at) WHERE major_state = 'accepted';
DO $$
BEGIN
    EXECUTE format('CREATE INDEX cases_subject_trgm_idx ON csm.cases USING gin (subject %s.gin_trgm_ops)',
                   csm_private.schema_of('pg_trgm'));
END $$;
-- Every plan reads the statistics of the keys.  A row of pg_statistic below
-- 2 kB is not compressed and is read in a tenth of the time; an array column
-- keeps ten elements for each unit of its target.
ALTER TABLE csm.cases
    ALTER id SET STATISTICS 60, ALTER account_id SET STATISTICS 60, ALTER requester_id SET STATISTICS 60,
    ALTER opened_by SET STATISTICS 60, ALTER party_keys SET STATISTICS 6;
SELECT csm_private.adopt_table('csm.cases');

CREATE TABLE csm.case_parties (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    user_id bigint,
    account_id bigint,
    capabilities text[] NOT NULL DEFAULT '{case_read}',
    granted_by bigint DEFAULT csm.current_user_id(),
    valid_during tstzrange,
    CONSTRAINT case_parties_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_parties_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_parties_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_parties_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT case_parties_granted_by_fkey FOREIGN KEY (granted_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_parties_one_party CHECK (num_nonnulls(user_id, account_id) = 1),
    CONSTRAINT case_parties_capabilities_check CHECK (capabilities <@ '{case_read,case_comment,case_decide}'::text[]
        AND 'case_read' = ANY (capabilities)),
    CONSTRAINT case_parties_once EXCLUDE USING gist (case_id WITH =, (coalesce(user_id, 0)) WITH =,
        (coalesce(account_id, 0)) WITH =, (coalesce(valid_during, tstzrange(NULL, NULL))) WITH &&)
);
CREATE INDEX case_parties_user_idx ON csm.case_parties (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX case_parties_account_idx ON csm.case_parties (account_id) WHERE account_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.case_parties');
SELECT csm_private.signal_on('csm.case_parties',
    '{tenant_id,case_id,user_id,account_id,capabilities,valid_during}', 'user', 'user_id', 'party', 'account_id');

CREATE FUNCTION csm_private.entry_fits(visibility text, side text, body text, idempotency_key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_entry_fits' LANGUAGE c IMMUTABLE PARALLEL SAFE;
ALTER FUNCTION csm_private.entry_fits(text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.entry_fits(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.entry_fits(text, text, text, text) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.entry_fits(text, text, text, text) IS
'CHECK constraint of csm.case_entries. True, or error 23514 that names the rule as a constraint: case_entries_ visibility (shared, internal, private), side (customer, counterparty, operator), body (1 to 100,000 characters, the key at most 200), each followed by _check';
CREATE TABLE csm.case_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint NOT NULL,
    branch text NOT NULL,
    author_id bigint,
    author_name text NOT NULL,
    visibility text NOT NULL DEFAULT 'shared',
    side text NOT NULL,
    body text NOT NULL,
    idempotency_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    on_behalf_of bigint,
    CONSTRAINT case_entries_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT case_entries_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_entries_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT case_entries_idempotency_key UNIQUE (case_id, author_id, idempotency_key),
    CONSTRAINT case_entries_check CHECK (csm_private.entry_fits(visibility, side, body, idempotency_key))
);
CREATE INDEX case_entries_case_idx ON csm.case_entries (case_id, created_at);
CREATE INDEX case_entries_feed_idx ON csm.case_entries (tenant_id, created_at DESC);
SELECT csm_private.adopt_table('csm.case_entries');

CREATE TABLE csm.case_internal (
    case_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attributes jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT case_internal_pkey PRIMARY KEY (case_id, tenant_id),
    CONSTRAINT case_internal_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_internal_attributes_check CHECK (jsonb_typeof(attributes) = 'object')
);
SELECT csm_private.adopt_table('csm.case_internal');

CREATE TABLE csm.case_side_fields (
    case_id bigint NOT NULL,
    side text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attributes jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT case_side_fields_pkey PRIMARY KEY (case_id, side, tenant_id),
    CONSTRAINT case_side_fields_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_side_fields_side_check CHECK (side IN ('customer', 'counterparty')),
    CONSTRAINT case_side_fields_attributes_check CHECK (jsonb_typeof(attributes) = 'object')
);
SELECT csm_private.adopt_table('csm.case_side_fields');

COMMENT ON TABLE csm.cases IS 'Cases. Rows are never deleted; closed ones never change. State changes are judged by the machine of the case type, whoever writes';
COMMENT ON COLUMN csm.cases.id IS 'Identity, unique in the database; tells the volume of cases to whoever sees two of them';
COMMENT ON COLUMN csm.cases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.cases.number IS 'Human-facing number, unique in the tenant; made from the id (CS0000042) when not given';
COMMENT ON COLUMN csm.cases.branch IS 'b2b, b2c or internal: set at creation from the requester''s persona, never changed';
COMMENT ON COLUMN csm.cases.case_type IS 'Type, and with it the machine';
COMMENT ON COLUMN csm.cases.state IS 'State of the machine';
COMMENT ON COLUMN csm.cases.state_class IS 'Class of the state, copied from csm.case_states';
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low); the case type''s by default, else 4';
COMMENT ON COLUMN csm.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.subject IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.cases.description IS 'The matter, up to 100,000 characters; NULL for none';
COMMENT ON COLUMN csm.cases.language IS 'For search: a text search configuration, such as english, or a language tag, such as de; an unknown one counts as simple';
COMMENT ON COLUMN csm.cases.channel IS 'How it came in: web, phone, email, chat, ...';
COMMENT ON COLUMN csm.cases.requester_id IS 'For whom the case is; the caller by default';
COMMENT ON COLUMN csm.cases.opened_by IS 'Who opened it; NULL for the system';
COMMENT ON COLUMN csm.cases.account_id IS 'Customer account of a b2b case; the caller''s home account by default';
COMMENT ON COLUMN csm.cases.household_id IS 'Household of a b2c case';
COMMENT ON COLUMN csm.cases.counterparty_account_id IS 'The other company of a dispute; sees the case from submission on (V8)';
COMMENT ON COLUMN csm.cases.counterparty_contact_id IS 'Contact named for the other company';
COMMENT ON COLUMN csm.cases.partner_account_id IS 'Partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.partner_contact_id IS 'Contact of the partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.internal_contact_id IS 'Employee who speaks for the customer';
COMMENT ON COLUMN csm.cases.service_organization_id IS 'Service organisation that the case belongs to (V9)';
COMMENT ON COLUMN csm.cases.product_id IS 'Product concerned';
COMMENT ON COLUMN csm.cases.asset_id IS 'Install-base item concerned';
COMMENT ON COLUMN csm.cases.entitlement_id IS 'Entitlement under which the case is worked';
COMMENT ON COLUMN csm.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm.cases.assigned_to IS 'Person who works on it';
COMMENT ON COLUMN csm.cases.parent_id IS 'Major case or case it follows up';
COMMENT ON COLUMN csm.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm.cases.resolution_notes IS 'The proposed solution, read by the customer';
COMMENT ON COLUMN csm.cases.needs_attention IS 'The customer, or somebody beside the assignee, said something new';
COMMENT ON COLUMN csm.cases.attributes IS 'Fields of the case type that every party to the case may read, a JSON object';
COMMENT ON COLUMN csm.cases.party_keys IS 'Partner, household, internal contact, service organisation and counterparty as keys for the policy (id * 8 + kind); NULL for none';
COMMENT ON COLUMN csm.cases.search IS 'Words of number, subject and description, with and without accents, for csm.matches(); kept by trigger';
COMMENT ON COLUMN csm.cases.idempotency_key IS 'Given by the client; the same opener and key return the first case';
COMMENT ON COLUMN csm.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm.cases.updated_at IS 'Last change of the row or new entry';
COMMENT ON COLUMN csm.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm.cases.auto_close IS 'False: a proposed solution that nobody answers is not closed by time. Goes off when a solution is given up, on again with the next one; what is written in the same statement goes first';
COMMENT ON COLUMN csm.cases.follow_up_at IS 'When whoever works on the case wants to look at it again: needs_attention goes on then, and a case that waits for information is not closed by time until a day later; NULL for never';
COMMENT ON COLUMN csm.cases.last_response_at IS 'Last shared entry by staff; NULL before the first';
COMMENT ON COLUMN csm.cases.made_sla IS 'False once any SLA of the case was breached; csm sets it';
COMMENT ON COLUMN csm.cases.escalated IS 'An escalation of the case is open; kept by csm.escalations';
COMMENT ON COLUMN csm.cases.follow_the_sun IS 'The customer spoke on a case of priority 1 or 2, or it was escalated: worked on around the clock';
COMMENT ON COLUMN csm.cases.major_state IS 'proposed, accepted, rejected or cancelled as a major case; NULL for an ordinary case';
COMMENT ON TABLE csm.case_parties IS 'A case shared with a person or an account (V7)';
COMMENT ON COLUMN csm.case_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_parties.case_id IS 'The case';
COMMENT ON COLUMN csm.case_parties.user_id IS 'Person it is shared with; exactly one of user and account is set';
COMMENT ON COLUMN csm.case_parties.account_id IS 'Account it is shared with: all its current contacts';
COMMENT ON COLUMN csm.case_parties.capabilities IS 'case_read, and case_comment and case_decide where granted';
COMMENT ON COLUMN csm.case_parties.granted_by IS 'Who shared it; NULL for the system';
COMMENT ON COLUMN csm.case_parties.valid_during IS 'When the share counts; NULL means always';
COMMENT ON TABLE csm.case_entries IS 'Comments, work notes and private entries; append-only';
COMMENT ON COLUMN csm.case_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_entries.case_id IS 'The case';
COMMENT ON COLUMN csm.case_entries.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_entries.author_id IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.case_entries.author_name IS 'His name when he wrote it (V11)';
COMMENT ON COLUMN csm.case_entries.visibility IS 'shared: all who see the case; internal: staff who work on it; private: the author''s side and staff who work on it';
COMMENT ON COLUMN csm.case_entries.side IS 'Side of the author: customer, counterparty or operator';
COMMENT ON COLUMN csm.case_entries.body IS 'Text, up to 100,000 characters';
COMMENT ON COLUMN csm.case_entries.idempotency_key IS 'Given by the client; the same author and key on a case return the first entry';
COMMENT ON COLUMN csm.case_entries.on_behalf_of IS 'For whom the author acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.case_entries.created_at IS 'When it was written';
COMMENT ON TABLE csm.case_internal IS 'Fields of a case that only staff who work on it may read';
COMMENT ON COLUMN csm.case_internal.case_id IS 'The case';
COMMENT ON COLUMN csm.case_internal.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_internal.attributes IS 'Fields, a JSON object';
COMMENT ON TABLE csm.case_side_fields IS 'Fields of a case that one side and staff who work on it may read';
COMMENT ON COLUMN csm.case_side_fields.case_id IS 'The case';
COMMENT ON COLUMN csm.case_side_fields.side IS 'customer or counterparty';
COMMENT ON COLUMN csm.case_side_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_side_fields.attributes IS 'Fields, a JSON object';
