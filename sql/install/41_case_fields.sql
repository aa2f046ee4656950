-- Typed fields of case types.  Their values live where their audience reads
-- them: csm.cases.attributes (all), csm.case_internal (staff) and
-- csm.case_side_fields (customer, counterparty).  Whoever writes there is judged
-- by src/csm_case_fields.c.  A type that neither has nor inherits an active
-- field takes any JSON object.

CREATE TABLE csm.case_type_fields (
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_type text NOT NULL,
    name text NOT NULL,
    label text NOT NULL,
    type text NOT NULL,
    audience text NOT NULL DEFAULT 'all',
    required boolean NOT NULL DEFAULT false,
    required_for text[] NOT NULL DEFAULT '{}',
    choices text[],
    reference text,
    "position" integer NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT case_type_fields_pkey PRIMARY KEY (case_type, name, tenant_id),
    CONSTRAINT case_type_fields_type_fkey FOREIGN KEY (case_type, tenant_id)
        REFERENCES csm.case_types (case_type, tenant_id) ON DELETE CASCADE,
    -- csm.act() takes columns of the case and fields of its type by one name
    CONSTRAINT case_type_fields_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$' AND name <> ALL
        ('{attributes,note,subject,description,priority,impact,urgency,assigned_to,assigned_group_id,product_id,asset_id,resolution_code,resolution_notes}'::text[])),
    CONSTRAINT case_type_fields_kind_check CHECK (type IN
        ('text', 'integer', 'number', 'boolean', 'date', 'timestamp', 'choice', 'reference')),
    CONSTRAINT case_type_fields_audience_check CHECK (audience IN ('all', 'staff', 'customer', 'counterparty')),
    -- Other audiences' fields are written when the case is there already.
    CONSTRAINT case_type_fields_required_check CHECK (audience = 'all' OR NOT required),
    CONSTRAINT case_type_fields_choices_check CHECK ((type = 'choice') = (choices IS NOT NULL) AND cardinality(choices) > 0
        AND array_position(choices, NULL) IS NULL),
    CONSTRAINT case_type_fields_reference_check CHECK ((type = 'reference') = (reference IS NOT NULL) AND reference IN
        ('users', 'accounts', 'contacts', 'households', 'products', 'cases', 'groups', 'service_organizations'))
);
SELECT csm_private.adopt_table('csm.case_type_fields');
SELECT csm_private.signal_on('csm.case_type_fields',
    '{tenant_id,case_type,name,type,audience,required,required_for,choices,reference,active}', 'machine', 'tenant_id');

CREATE POLICY case_type_fields_select ON csm.case_type_fields FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin
    USING (tenant_id = csm.current_tenant_id());
CREATE POLICY case_type_fields_write ON csm.case_type_fields FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.case_type_fields TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT, UPDATE, DELETE ON csm.case_type_fields TO csm_admin;

COMMENT ON TABLE csm.case_type_fields IS 'Fields that a case type adds to its cases; a field of a type hides the one of the same name that it would inherit';
COMMENT ON COLUMN csm.case_type_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_type_fields.case_type IS 'The type';
COMMENT ON COLUMN csm.case_type_fields.name IS 'Key of the value in the JSON object';
COMMENT ON COLUMN csm.case_type_fields.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_type_fields.type IS 'What the JSON value must be: text and choice a string, integer a whole number of 64 bits, number, boolean, date a string YYYY-MM-DD, timestamp a string of RFC 3339 with its offset, reference the id of a row. null means no value';
COMMENT ON COLUMN csm.case_type_fields.audience IS 'Who reads it: all (csm.cases.attributes), staff (csm.case_internal), customer or counterparty (csm.case_side_fields of that side)';
COMMENT ON COLUMN csm.case_type_fields.required IS 'True: a case that is no draft has a value (SM003); audience all only';
COMMENT ON COLUMN csm.case_type_fields.required_for IS 'Actions that demand a value (SM003)';
COMMENT ON COLUMN csm.case_type_fields.choices IS 'What a choice may be; NULL for other types';
COMMENT ON COLUMN csm.case_type_fields.reference IS 'Table of csm to which a reference leads; NULL for other types. The row must exist in the tenant and be visible to the writer when it is written (42501)';
COMMENT ON COLUMN csm.case_type_fields."position" IS 'Order on a form';
COMMENT ON COLUMN csm.case_type_fields.active IS 'False: the type does without the field that it would inherit';
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Everyone signed in reads the fields of his tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';
