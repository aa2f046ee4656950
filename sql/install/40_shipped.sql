-- What csm ships: templates, no rows.  csm.create_tenant() copies them, and
-- csm.refresh_shipped() merges what an update of csm changes here.

CREATE OR REPLACE FUNCTION csm_private.shipped_roles()
RETURNS TABLE (role text, kind text, user_class text, label text, branches text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    VALUES
        ('person', 'person', 'external', 'Every enabled person', '{b2b,b2c,internal}'::text[]),
        ('customer', 'contact', 'external', 'Contact', '{b2b}'),
        ('case_reader', 'contact', 'external', 'Contact who reads the account''s cases', '{b2b}'),
        ('case_manager', 'contact', 'external', 'Case manager of the customer', '{b2b}'),
        ('customer_admin', 'contact', 'external', 'Administrator of the customer', '{b2b}'),
        ('partner', 'contact', 'external', 'Partner', '{b2b}'),
        ('partner_admin', 'contact', 'external', 'Administrator of the partner', '{b2b}'),
        ('consumer', 'consumer', 'external', 'Consumer', '{b2c}'),
        ('agent', 'staff', 'fulfiller', 'Agent for business customers', '{b2b}'),
        ('consumer_agent', 'staff', 'fulfiller', 'Agent for consumers', '{b2c}'),
        ('manager', 'staff', 'fulfiller', 'Service manager', '{b2b,b2c,internal}'),
        ('relationship_agent', 'staff', 'fulfiller', 'Agent for the customers on whose team he is', '{b2b,b2c}'),
        ('location_agent', 'staff', 'fulfiller', 'Agent of a service organisation', '{b2b,b2c,internal}'),
        ('viewer', 'staff', 'stakeholder', 'Reader of all cases', '{b2b,b2c,internal}'),
        ('contributor', 'staff', 'stakeholder', 'Employee who opens cases for customers', '{b2b,b2c,internal}'),
        ('proxy', 'staff', 'stakeholder', 'Internal contact of a case', '{b2b,b2c,internal}'),
        ('admin', 'staff', 'fulfiller', 'Administrator of the desk', '{b2b,b2c,internal}');
END;

-- A permission with reach own is no licence to see: the rows decide what is own.
CREATE OR REPLACE FUNCTION csm_private.shipped_permissions()
RETURNS TABLE (role text, action text, reach text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80
BEGIN ATOMIC
    SELECT p.role, a.action, p.reach
    FROM (VALUES
        ('person', 'own', '{case_read,case_comment,case_create,case_decide}'::text[]),
        ('customer', 'account', '{product_read,entitlement_read}'),
        ('case_reader', 'account', '{case_read,product_read,entitlement_read}'),
        ('case_manager', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('customer_admin', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('customer_admin', 'subtree', '{contact_manage,product_manage}'),
        -- cases that name a partner's contact are his through partner_contact_id
        ('partner', 'account', '{product_read,entitlement_read}'),
        ('partner', 'related', '{case_create}'),
        ('partner_admin', 'subtree', '{case_read,case_comment,case_create,case_decide,product_read,entitlement_read,contact_read}'),
        ('partner_admin', 'subtree', '{contact_manage,product_manage}'),
        ('partner_admin', 'related', '{case_read,case_comment,case_create,case_decide,contact_read,contact_manage}'),
        ('consumer', 'own', '{product_read}'),
        -- staff never decide for the customer
        ('agent', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('consumer_agent', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('manager', 'all', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('manager', 'all', '{account_manage,person_manage,product_manage}'),
        ('relationship_agent', 'team', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('location_agent', 'organization', '{case_read,case_comment,case_create,case_work,contact_read,product_read,entitlement_read}'),
        ('viewer', 'all', '{case_read,contact_read,product_read,entitlement_read}'),
        ('contributor', 'all', '{case_create}'),
        ('contributor', 'own', '{case_read,case_comment,case_decide}'),
        ('proxy', 'own', '{case_read,case_comment,case_decide}'),
        ('admin', 'all', '{configure}')
    ) AS p(role, reach, actions), unnest(p.actions) AS a(action);
END;

CREATE OR REPLACE FUNCTION csm_private.shipped_case_types()
RETURNS TABLE (case_type text, parent_type text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    VALUES ('case', NULL::text, 'Case');
END;

CREATE OR REPLACE FUNCTION csm_private.shipped_case_states()
RETURNS TABLE (case_type text, state text, value integer, state_class text, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('case', 'draft', 0, 'draft', 'Draft'),
        ('case', 'new', 1, 'new', 'New'),
        ('case', 'open', 10, 'open', 'Open'),
        ('case', 'awaiting_info', 18, 'waiting', 'Awaiting info'),
        ('case', 'resolved', 6, 'resolved', 'Resolved'),
        ('case', 'closed', 3, 'closed', 'Closed'),
        ('case', 'cancelled', 7, 'cancelled', 'Cancelled');
END;

CREATE OR REPLACE FUNCTION csm_private.shipped_case_transitions()
RETURNS TABLE (case_type text, from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
    SELECT 'case', f.from_state, t.action, coalesce(t.to_state, f.from_state), t.actors,
           t.required_fields, t.note_required, t.effects, t.label
    FROM (VALUES
        ('{draft}'::text[], 'submit', 'new', '{requester,agent}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('{draft}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('{new}', 'take', 'open', '{agent}', '{}', false, '{}', 'Assign to me'),
        ('{new,open,awaiting_info}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('{open}', 'request_info', 'awaiting_info', '{agent}', '{}', true, '{}', 'Request info'),
        ('{awaiting_info}', 'resume', 'open', '{agent,customer}', '{}', false, '{}', 'Resume'),
        ('{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_code,resolution_notes}', false, '{}', 'Propose solution'),
        ('{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Accept solution'),
        ('{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Reject solution'),
        -- auto-close of a proposal that nobody answered
        ('{resolved}', 'close', 'closed', '{system}', '{}', false, '{}', 'Close'),
        ('{new,open,awaiting_info}', 'close', 'closed', '{agent,customer}', '{resolution_code,resolution_notes}', false,
            '{"customer:resolution_code": "Solved by customer", "customer:resolution_notes": "Closed by customer", "customer:note": "Closed by customer"}', 'Close'),
        ('{new}', 'cancel', 'cancelled', '{requester,manager}', '{}', false, '{}', 'Cancel'),
        ('{open,awaiting_info}', 'cancel', 'cancelled', '{manager}', '{}', false, '{}', 'Cancel')
    ) AS t(from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state);
END;

-- All of it in one form: one row for each thing that a tenant may change as a
-- whole.  A role is one thing with its permissions, so that a role which a
-- tenant narrowed is never widened behind his back.
CREATE OR REPLACE FUNCTION csm_private.shipped_items()
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           to_jsonb(r) || jsonb_build_object('permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm_private.shipped_permissions() p WHERE p.role = r.role))
    FROM csm_private.shipped_roles() r
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type], to_jsonb(t) FROM csm_private.shipped_case_types() t
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) FROM csm_private.shipped_case_states() s
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t)
    FROM csm_private.shipped_case_transitions() t;
END;

-- The same form of what a tenant has now.
CREATE OR REPLACE FUNCTION csm_private.tenant_items(tenant bigint)
RETURNS TABLE (kind text, key text[], content jsonb)
LANGUAGE sql STABLE STRICT ROWS 60
BEGIN ATOMIC
    SELECT 'role', ARRAY[r.role],
           jsonb_build_object('role', r.role, 'kind', r.kind, 'user_class', r.user_class, 'label', r.label,
               'branches', r.branches, 'permissions',
               (SELECT coalesce(jsonb_agg(p.action || ' ' || p.reach ORDER BY p.action COLLATE "C", p.reach COLLATE "C"), '[]')
                FROM csm.role_permissions p WHERE p.role = r.role AND p.tenant_id = r.tenant_id))
    FROM csm.roles r WHERE r.tenant_id = tenant
  UNION ALL
    SELECT 'case_type', ARRAY[t.case_type],
           jsonb_build_object('case_type', t.case_type, 'parent_type', t.parent_type, 'label', t.label)
    FROM csm.case_types t WHERE t.tenant_id = tenant
  UNION ALL
    SELECT 'case_state', ARRAY[s.case_type, s.state], to_jsonb(s) - 'tenant_id'
    FROM csm.case_states s WHERE s.tenant_id = tenant
  UNION ALL
    SELECT 'case_transition', ARRAY[t.case_type, t.from_state, t.action], to_jsonb(t) - 'tenant_id'
    FROM csm.case_transitions t WHERE t.tenant_id = tenant;
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.shipped_roles()', 'Roles that csm ships'),
        ('csm_private.shipped_permissions()', 'Permissions of the roles that csm ships'),
        ('csm_private.shipped_case_types()', 'Case types that csm ships'),
        ('csm_private.shipped_case_states()', 'States of the case types that csm ships'),
        ('csm_private.shipped_case_transitions()', 'Transitions of the case types that csm ships'),
        ('csm_private.shipped_items()', 'Everything that csm ships, one row for each thing that a tenant may change: role (with its permissions), case_type, case_state, case_transition'),
        ('csm_private.tenant_items(bigint)', 'What a tenant has, in the form of csm_private.shipped_items()')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
