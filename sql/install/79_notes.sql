-- What the desk should know while it works on a case, and how it answers:
-- special handling notes (R B35) and response templates (R B56).  Neither is for
-- those who ask for service: csm_portal has no privilege on either table.

CREATE TABLE csm.handling_notes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    case_id bigint,
    account_id bigint,
    contact_id bigint,
    user_id bigint,
    product_id bigint,
    asset_id bigint,
    body text NOT NULL,
    priority smallint NOT NULL DEFAULT 4,
    expires_at timestamptz,
    created_by bigint DEFAULT csm.current_user_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT handling_notes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT handling_notes_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT handling_notes_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT handling_notes_account_fkey FOREIGN KEY (account_id, tenant_id) REFERENCES csm.accounts (id, tenant_id),
    CONSTRAINT handling_notes_contact_fkey FOREIGN KEY (contact_id, tenant_id) REFERENCES csm.contacts (id, tenant_id),
    CONSTRAINT handling_notes_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT handling_notes_product_fkey FOREIGN KEY (product_id, tenant_id) REFERENCES csm.products (id, tenant_id),
    CONSTRAINT handling_notes_asset_fkey FOREIGN KEY (asset_id, tenant_id) REFERENCES csm.assets (id, tenant_id),
    CONSTRAINT handling_notes_created_by_fkey FOREIGN KEY (created_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT handling_notes_one_subject CHECK (num_nonnulls(case_id, account_id, contact_id, user_id, product_id, asset_id) = 1),
    CONSTRAINT handling_notes_body_check CHECK (length(body) BETWEEN 1 AND 10000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT handling_notes_priority_check CHECK (priority BETWEEN 1 AND 4)
);
CREATE INDEX handling_notes_case_idx ON csm.handling_notes (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX handling_notes_account_idx ON csm.handling_notes (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX handling_notes_contact_idx ON csm.handling_notes (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX handling_notes_user_idx ON csm.handling_notes (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX handling_notes_product_idx ON csm.handling_notes (product_id) WHERE product_id IS NOT NULL;
CREATE INDEX handling_notes_asset_idx ON csm.handling_notes (asset_id) WHERE asset_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.handling_notes');

-- Staff with case_work where the subject belongs: on the case, for business
-- customers or this account; a person or an item that they see; a product, which
-- belongs to no customer, wherever they work on cases.
DO $$
DECLARE
    for_account CONSTANT text := $e$csm.all_in(%1$s.tenant_id, 'b2b', 'case_work') OR csm.account_allows(%1$s.account_id, 'case_work')$e$;
    rule CONSTANT text := $e$
        csm_private.is_staff('case_work') AND CASE
            WHEN case_id IS NOT NULL THEN EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id AND c.tenant_id = handling_notes.tenant_id
                                                  AND csm_private.case_allows(c, 'case_work'))
            WHEN account_id IS NOT NULL THEN %s
            WHEN contact_id IS NOT NULL THEN EXISTS (SELECT FROM csm.contacts k WHERE k.id = contact_id
                                                     AND k.tenant_id = handling_notes.tenant_id AND (%s))
            WHEN user_id IS NOT NULL THEN EXISTS (SELECT FROM csm.users u WHERE u.id = user_id AND u.tenant_id = handling_notes.tenant_id)
            WHEN asset_id IS NOT NULL THEN EXISTS (SELECT FROM csm.assets i WHERE i.id = asset_id AND i.tenant_id = handling_notes.tenant_id)
            ELSE true END$e$;
    staff text;
BEGIN
    staff := format(rule, format(for_account, 'handling_notes'), format(for_account, 'k'));
    EXECUTE format('CREATE POLICY handling_notes_select ON csm.handling_notes FOR SELECT TO csm_agent USING (%s)', staff);
    EXECUTE format('CREATE POLICY handling_notes_insert ON csm.handling_notes FOR INSERT TO csm_agent '
                   'WITH CHECK (created_by = csm.current_user_id() AND (%s))', staff);
    EXECUTE format('CREATE POLICY handling_notes_update ON csm.handling_notes FOR UPDATE TO csm_agent USING (%s)', staff);
END $$;
GRANT SELECT ON csm.handling_notes TO csm_agent;
GRANT INSERT (case_id, account_id, contact_id, user_id, product_id, asset_id, body, priority, expires_at),
      UPDATE (body, priority, expires_at) ON csm.handling_notes TO csm_agent;

COMMENT ON TABLE csm.handling_notes IS 'What staff should know about a case, account, contact, person, product or install-base item; never read by those who ask for service';
COMMENT ON COLUMN csm.handling_notes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.handling_notes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.handling_notes.case_id IS 'The case; exactly one of the six references is set';
COMMENT ON COLUMN csm.handling_notes.account_id IS 'The account';
COMMENT ON COLUMN csm.handling_notes.contact_id IS 'The contact: the person in his function for one account';
COMMENT ON COLUMN csm.handling_notes.user_id IS 'The person, whatever his personas';
COMMENT ON COLUMN csm.handling_notes.product_id IS 'The product';
COMMENT ON COLUMN csm.handling_notes.asset_id IS 'The install-base item';
COMMENT ON COLUMN csm.handling_notes.body IS 'The note, up to 10,000 characters';
COMMENT ON COLUMN csm.handling_notes.priority IS '1 (read first) to 4';
COMMENT ON COLUMN csm.handling_notes.expires_at IS 'From when on csm.notes_for() leaves it out; NULL for never. An end in the past ends it';
COMMENT ON COLUMN csm.handling_notes.created_by IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.handling_notes.created_at IS 'When it was written';
COMMENT ON POLICY handling_notes_select ON csm.handling_notes IS 'Staff with case_work where the subject belongs';
COMMENT ON POLICY handling_notes_insert ON csm.handling_notes IS 'The same, in their own name';
COMMENT ON POLICY handling_notes_update ON csm.handling_notes IS 'The same';

-- Runs under the policies of the caller.
CREATE FUNCTION csm.notes_for(case_id bigint)
RETURNS TABLE (note_id bigint, about text, priority smallint, body text, expires_at timestamptz, created_at timestamptz)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT n.id, s.about, n.priority, n.body, n.expires_at, n.created_at
    FROM csm.cases c
    CROSS JOIN LATERAL (
        SELECT 'case', n.id FROM csm.handling_notes n WHERE n.case_id = c.id
      UNION ALL
        SELECT 'account', n.id FROM csm.handling_notes n
        WHERE n.account_id IN (c.account_id, c.counterparty_account_id, c.partner_account_id)
      UNION ALL
        SELECT 'contact', n.id FROM csm.contacts k JOIN csm.handling_notes n ON n.contact_id = k.id
        WHERE k.user_id = c.requester_id AND k.account_id = c.account_id
           OR k.id IN (c.counterparty_contact_id, c.partner_contact_id)
      UNION ALL
        SELECT 'person', n.id FROM csm.handling_notes n WHERE n.user_id = c.requester_id
      UNION ALL
        SELECT 'product', n.id FROM csm.handling_notes n WHERE n.product_id = c.product_id
      UNION ALL
        SELECT 'asset', n.id FROM csm.handling_notes n WHERE n.asset_id = c.asset_id) AS s(about, id)
    JOIN csm.handling_notes n ON n.id = s.id AND n.tenant_id = c.tenant_id
    WHERE c.id = notes_for.case_id AND (n.expires_at IS NULL OR n.expires_at > statement_timestamp())
    ORDER BY n.priority, n.created_at DESC, n.id DESC
    LIMIT 20
$$;
ALTER FUNCTION csm.notes_for(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.notes_for(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.notes_for(bigint) TO csm_agent;
COMMENT ON FUNCTION csm.notes_for(bigint) IS
'Handling notes that hold for a case now: on the case itself, its accounts, its contacts, the requester, its product and its install-base item; at most 20, by priority, then the newest. about: case, account, contact, person, product or asset. No row for a case that is hidden or missing';

CREATE TABLE csm.response_templates (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    body text NOT NULL,
    case_type text,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT response_templates_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT response_templates_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT response_templates_type_fkey FOREIGN KEY (case_type, tenant_id) REFERENCES csm.case_types (case_type, tenant_id),
    CONSTRAINT response_templates_name_key UNIQUE (tenant_id, name),
    CONSTRAINT response_templates_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT response_templates_body_check CHECK (length(body) BETWEEN 1 AND 100000)
);
SELECT csm_private.adopt_table('csm.response_templates');

CREATE POLICY response_templates_select ON csm.response_templates FOR SELECT TO csm_agent, csm_admin
    USING (csm_private.is_staff());
CREATE POLICY response_templates_write ON csm.response_templates FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
GRANT SELECT ON csm.response_templates TO csm_agent, csm_admin;
GRANT INSERT (name, body, case_type, active), UPDATE (name, body, case_type, active), DELETE ON csm.response_templates TO csm_admin;

-- What can be filled in.  One list for the check and for the values: a name that
-- is accepted has a value.  Names of people come from csm.case_people(), which
-- is what the caller may read on the case (V11).
CREATE FUNCTION csm_private.template_values(case_id bigint) RETURNS TABLE (placeholder text, value text)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH c AS (
        SELECT c.* FROM csm.cases c WHERE c.id = template_values.case_id
    ), named AS (
        SELECT p.relation, min(p.display_name) AS name FROM csm.case_people(template_values.case_id) p GROUP BY p.relation
    )
    SELECT v.placeholder, v.value
    FROM (VALUES (1)) AS always(n)
    LEFT JOIN c ON true
    CROSS JOIN LATERAL (VALUES
        ('case.number', c.number),
        ('case.subject', c.subject),
        -- of the type itself or of the nearest one that it inherits from
        ('case.state', (WITH RECURSIVE t(case_type, depth) AS (
                            SELECT c.case_type, 0
                          UNION ALL
                            SELECT p.parent_type, t.depth + 1
                            FROM t JOIN csm.case_types p ON p.case_type = t.case_type AND p.tenant_id = c.tenant_id
                            WHERE p.parent_type IS NOT NULL AND t.depth < 100)
                        SELECT s.label
                        FROM t JOIN csm.case_states s ON s.case_type = t.case_type AND s.state = c.state AND s.tenant_id = c.tenant_id
                        ORDER BY t.depth LIMIT 1)),
        ('case.priority', c.priority::text),
        ('case.channel', c.channel),
        ('case.opened_on', to_char(c.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')),
        ('case.resolution_code', c.resolution_code),
        ('case.resolution_notes', c.resolution_notes),
        ('requester.name', (SELECT n.name FROM named n WHERE n.relation = 'requester')),
        ('opener.name', (SELECT n.name FROM named n WHERE n.relation = 'opener')),
        ('assignee.name', (SELECT n.name FROM named n WHERE n.relation = 'assignee')),
        ('account.name', (SELECT n.name FROM named n WHERE n.relation = 'account')),
        ('counterparty.name', (SELECT n.name FROM named n WHERE n.relation = 'counterparty')),
        ('partner.name', (SELECT n.name FROM named n WHERE n.relation = 'partner')),
        ('product.name', (SELECT p.name FROM csm.products p WHERE p.id = c.product_id AND p.tenant_id = c.tenant_id)),
        ('me.name', (SELECT u.display_name FROM csm.users u WHERE u.id = csm.current_user_id()))
    ) AS v(placeholder, value);
END $$;
ALTER FUNCTION csm_private.template_values(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.template_values(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.template_values(bigint) TO csm_portal, csm_agent;
COMMENT ON FUNCTION csm_private.template_values(bigint) IS
'Every placeholder that a template may use, with its value on the case for the caller; values are NULL for a case that he does not see, and where the case has none';

CREATE FUNCTION csm_private.template_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        PERFORM csm_private.check_placeholders(NEW.name, NEW.body, ARRAY(SELECT v.placeholder FROM csm_private.template_values(NULL) v));
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.template_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.template_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.template_guard() IS
'Trigger of csm.response_templates: error 22023 for an unknown placeholder and for braces that make none';
CREATE TRIGGER response_templates_10_guard BEFORE INSERT OR UPDATE ON csm.response_templates
    FOR EACH ROW EXECUTE FUNCTION csm_private.template_guard();

COMMENT ON TABLE csm.response_templates IS 'Answers prepared for staff; csm.render_template() fills them in';
COMMENT ON COLUMN csm.response_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.response_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.response_templates.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.response_templates.body IS 'Text with placeholders such as {{case.number}} and {{requester.name}}; an unknown one is refused';
COMMENT ON COLUMN csm.response_templates.case_type IS 'Type of case that it is for, to choose by; NULL for any';
COMMENT ON COLUMN csm.response_templates.active IS 'False: not rendered any more';
COMMENT ON POLICY response_templates_select ON csm.response_templates IS 'Staff';
COMMENT ON POLICY response_templates_write ON csm.response_templates IS 'Administrators';

CREATE FUNCTION csm_private.render_template_text(template text, case_id bigint) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t csm.response_templates;
BEGIN
    IF NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = case_id) THEN
        RAISE EXCEPTION 'case % does not exist', case_id USING ERRCODE = 'SM001',
            HINT = 'A case that you may not see is reported in the same way.';
    END IF;
    SELECT * INTO t FROM csm.response_templates r WHERE r.name = template AND r.active;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'template "%" does not exist', template USING ERRCODE = '22023',
            HINT = 'Choose one of csm.response_templates that is active.';
    END IF;
    RETURN t.body;
END $$;
ALTER FUNCTION csm_private.render_template_text(text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.render_template_text(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.render_template_text(text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm_private.render_template_text(text, bigint) IS
'Text of an active template, once the case is seen; errors SM001 and 22023 of csm.render_template()';

CREATE FUNCTION csm.render_template(template text, case_id bigint) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT csm_private.fill_in(t.body, (SELECT jsonb_object_agg(v.placeholder, v.value) FROM csm_private.template_values(case_id) v))
    FROM csm_private.render_template_text(template, case_id) AS t(body);
END;
ALTER FUNCTION csm.render_template(text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.render_template(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.render_template(text, bigint) TO csm_agent;
COMMENT ON FUNCTION csm.render_template(text, bigint) IS
'The template of that name filled in for a case, with what the caller may read. A value that is missing or hidden is empty; a value is inserted as it stands and never expanded again. Errors: SM001 no such case, 22023 no such active template';
