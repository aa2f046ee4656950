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
    -- csm.act() takes columns of the case, words of a proposal and fields of the
    -- type by one name
    CONSTRAINT case_type_fields_name_check CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$' AND name <> ALL (
        '{id,tenant_id,requester_id,opened_at,account_id,opened_by,submitted_at,branch,state_class,state,party_keys,
         number,case_type,priority,impact,urgency,subject,description,language,channel,household_id,
         counterparty_account_id,counterparty_contact_id,partner_account_id,partner_contact_id,internal_contact_id,
         service_organization_id,product_id,asset_id,entitlement_id,assigned_group_id,assigned_to,parent_id,
         resolution_code,resolution_notes,needs_attention,attributes,search,idempotency_key,resolved_at,closed_at,
         updated_at,first_response_at,reopen_count,reassignment_count,auto_close,escalated,follow_the_sun,
         major_state,note,reference,amount,currency}'::text[])),
    CONSTRAINT case_type_fields_kind_check CHECK (type IN
        ('text', 'integer', 'number', 'boolean', 'date', 'timestamp', 'choice', 'reference')),
    CONSTRAINT case_type_fields_audience_check CHECK (audience IN ('all', 'staff', 'customer', 'counterparty')),
    -- Other audiences' fields are written when the case is there already.
    CONSTRAINT case_type_fields_required_check CHECK (audience = 'all' OR NOT required),
    CONSTRAINT case_type_fields_choices_check CHECK ((type = 'choice') = (choices IS NOT NULL) AND cardinality(choices) > 0
        AND array_position(choices, NULL) IS NULL),
    CONSTRAINT case_type_fields_reference_check CHECK ((type = 'reference') = (reference IS NOT NULL) AND reference IN
        ('users', 'accounts', 'contacts', 'households', 'products', 'sold_products', 'assets', 'contracts',
         'entitlements', 'cases', 'groups', 'service_organizations'))
);
SELECT csm_private.adopt_table('csm.case_type_fields');
SELECT csm_private.signal_on('csm.case_type_fields',
    '{tenant_id,case_type,name,type,audience,required,required_for,choices,reference,active}', 'machine', 'tenant_id');

CREATE POLICY case_type_fields_select ON csm.case_type_fields FOR SELECT TO csm_portal
    USING (tenant_id = csm.current_tenant_id() AND audience <> 'staff');
CREATE POLICY case_type_fields_select_staff ON csm.case_type_fields FOR SELECT TO csm_agent, csm_reporter, csm_admin
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
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Who asks for service reads the fields of his tenant''s types, but staff''s';
COMMENT ON POLICY case_type_fields_select_staff ON csm.case_type_fields IS 'Staff connections read all fields of their tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';

-- ---- who judges the values ----

CREATE FUNCTION csm_private.fields_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_fields_guard' LANGUAGE c;
ALTER FUNCTION csm_private.fields_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.fields_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.fields_guard() IS
'Trigger of csm.case_internal and csm.case_side_fields: values are fields of the case type for that audience (22023), references exist and are visible (42501), the case is not closed (SM004)';

CREATE TRIGGER case_internal_10_fields BEFORE INSERT OR UPDATE ON csm.case_internal
    FOR EACH ROW EXECUTE FUNCTION csm_private.fields_guard();
CREATE TRIGGER case_side_fields_10_fields BEFORE INSERT OR UPDATE ON csm.case_side_fields
    FOR EACH ROW EXECUTE FUNCTION csm_private.fields_guard();

-- ---- fields by name, wherever they live ----

CREATE FUNCTION csm_private.with_attributes(case_type text, fields jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_with_attributes' LANGUAGE c STABLE;
ALTER FUNCTION csm_private.with_attributes(text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.with_attributes(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.with_attributes(text, jsonb) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.with_attributes(text, jsonb) IS
'The object with those keys that name fields of the type for all parties moved into its key attributes; what is no object, and keys of an unknown type, come back as they are';

-- Runs as csm_owner for callers that have asked whether the person may act on
-- the case; here it is asked who may write which field.
CREATE OR REPLACE FUNCTION csm_private.write_fields(c csm.cases, given jsonb, as_system boolean) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    works CONSTANT boolean := as_system OR csm_private.case_allows(c, 'case_work') OR csm_private.acts_as_system();
    attributes jsonb := c.attributes;
    part record;
BEGIN
    FOR part IN
        SELECT f.audience, jsonb_object_agg(g.key, g.value) AS fields, array_agg(g.key) AS names
        FROM jsonb_each(given) g
        -- of staff's fields nobody else learns that there are any
        LEFT JOIN csm_private.type_fields(c.tenant_id, c.case_type) f ON f.name = g.key AND (works OR f.audience <> 'staff')
        GROUP BY f.audience
        ORDER BY f.audience NULLS FIRST
    LOOP
        IF part.audience IS NULL THEN
            RAISE EXCEPTION 'case type "%" has no such field', c.case_type USING ERRCODE = '22023',
                DETAIL = format('Not among the fields: %s.', array_to_string(part.names, ', ')),
                HINT = 'csm.case_type_fields describes the fields of each type; which columns csm.act() sets, its comment says.';
        ELSIF part.audience = 'all' THEN
            attributes := attributes || part.fields;
        ELSIF part.audience = 'staff' THEN
            INSERT INTO csm.case_internal AS i (case_id, tenant_id, attributes)
            VALUES (c.id, c.tenant_id, part.fields)
            ON CONFLICT ON CONSTRAINT case_internal_pkey DO UPDATE SET attributes = i.attributes || excluded.attributes;
        ELSIF works OR csm_private.case_side_allows(c, part.audience) THEN
            INSERT INTO csm.case_side_fields AS s (case_id, side, tenant_id, attributes)
            VALUES (c.id, part.audience, c.tenant_id, part.fields)
            ON CONFLICT ON CONSTRAINT case_side_fields_pkey DO UPDATE SET attributes = s.attributes || excluded.attributes;
        ELSE
            RAISE EXCEPTION 'fields of case % are not yours to set', c.number USING ERRCODE = '42501',
                DETAIL = format('Fields: %s.', array_to_string(part.names, ', ')),
                HINT = 'A side sets its own fields; staff who work on the case set all.';
        END IF;
    END LOOP;
    RETURN attributes;
END $$;
ALTER FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) IS
'Writes fields of a case by their names where staff and sides have theirs, and returns what csm.cases.attributes becomes. Errors: 22023 no such field, 42501 another side''s or staff''s';
