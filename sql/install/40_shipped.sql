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
        ('consumer', 'own', '{product_read,entitlement_read}'),
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

-- Case types, a block each.  What a block does not say is inherited from the
-- parent; the periods are those of R 2.4 and 5.4.
CREATE OR REPLACE FUNCTION csm_private.shipped_case_types()
RETURNS TABLE (case_type text, parent_type text, label text, settings jsonb, own_machine boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('case', NULL::text, 'Case', '{"reminder_days": 5, "close_days": 10}'::jsonb, false),
        ('complaint', 'case', 'Complaint', '{"priority": 3}', false),
        ('request', 'case', 'Service request', '{}', false),
        ('privacy_request', 'case', 'Privacy request', '{"priority": 2}', false),
        ('order', 'case', 'Order', '{"begins_as_draft": true}', false),
        ('dispute', NULL, 'Dispute', '{"response_hours": 72, "reminder_days": 5, "auto_accept_days": 10, "max_rounds": 3, "appeal_days": 14}', false);
END;

CREATE OR REPLACE FUNCTION csm_private.shipped_case_states()
RETURNS TABLE (case_type text, state text, value integer, state_class text, label text, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT s.case_type, s.state, s.value, s.state_class, s.label, true
    FROM (VALUES
        ('case', 'draft', 0, 'draft', 'Draft'),
        ('case', 'new', 1, 'new', 'New'),
        ('case', 'open', 10, 'open', 'Open'),
        ('case', 'awaiting_info', 18, 'waiting', 'Awaiting info'),
        ('case', 'resolved', 6, 'resolved', 'Resolved'),
        ('case', 'closed', 3, 'closed', 'Closed'),
        ('case', 'cancelled', 7, 'cancelled', 'Cancelled'),

        ('request', 'open', 10, 'open', 'In fulfilment'),
        ('request', 'resolved', 6, 'resolved', 'Delivered'),

        ('privacy_request', 'awaiting_identity', 19, 'waiting', 'Awaiting proof of identity'),
        ('privacy_request', 'resolved', 6, 'resolved', 'Answered'),

        ('order', 'awaiting_approval', 2, 'draft', 'Awaiting approval'),
        ('order', 'open', 10, 'open', 'Work in progress'),
        ('order', 'resolved', 6, 'resolved', 'Delivered')
    ) AS s(case_type, state, value, state_class, label)
  UNION ALL
    SELECT 'dispute', d.state, d.value, d.state_class, d.label, true FROM csm_private.shipped_dispute_states() d;
END;

-- to_state NULL: back to where it came from.  A row without actors switches an
-- inherited action off.
CREATE OR REPLACE FUNCTION csm_private.shipped_case_transitions()
RETURNS TABLE (case_type text, from_state text, action text, to_state text, actors text[],
               required_fields text[], note_required boolean, effects jsonb, label text, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
    SELECT t.case_type, f.from_state, t.action, coalesce(t.to_state, f.from_state), coalesce(t.actors, '{system}'),
           t.required_fields, t.note_required, t.effects, t.label, t.actors IS NOT NULL
    FROM (VALUES
        ('case', '{draft}'::text[], 'submit', 'new', '{requester,agent}'::text[], '{}'::text[], false, '{}'::jsonb, 'Submit'),
        ('case', '{draft}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('case', '{new}', 'take', 'open', '{agent}', '{}', false, '{}', 'Assign to me'),
        ('case', '{new,open,awaiting_info}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('case', '{open}', 'request_info', 'awaiting_info', '{agent}', '{}', true, '{}', 'Request info'),
        ('case', '{awaiting_info}', 'resume', 'open', '{agent,customer}', '{}', false, '{}', 'Resume'),
        ('case', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_code,resolution_notes}', false, '{}', 'Propose solution'),
        ('case', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Accept solution'),
        ('case', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Reject solution'),
        -- auto-close of a proposal that nobody answered
        ('case', '{resolved}', 'close', 'closed', '{system}', '{}', false, '{}', 'Close'),
        -- a question that nobody answered (C20), and R 2.2: the parent major case is closed
        ('case', '{awaiting_info}', 'time_out', 'closed', '{system}', '{}', false, '{"resolution_code": "No answer"}', 'Close for want of an answer'),
        ('case', '{new,open,awaiting_info}', 'close_with_parent', 'closed', '{system}', '{}', false, '{}', 'Close with the major case'),
        ('case', '{new,open,awaiting_info}', 'close', 'closed', '{agent,customer}', '{resolution_code,resolution_notes}', false,
            '{"customer:resolution_code": "Solved by customer", "customer:resolution_notes": "Closed by customer", "customer:note": "Closed by customer"}', 'Close'),
        ('case', '{new}', 'cancel', 'cancelled', '{requester,manager}', '{}', false, '{}', 'Cancel'),
        ('case', '{open,awaiting_info}', 'cancel', 'cancelled', '{manager}', '{}', false, '{}', 'Cancel'),

        -- A complaint ends with an answer that the customer judged: the desk
        -- cannot close it, and cannot cancel it once it is being worked on.
        ('complaint', '{new,open,awaiting_info}', 'close', 'closed', '{customer}', '{resolution_code,resolution_notes}', false,
            '{"resolution_code": "Withdrawn", "resolution_notes": "Withdrawn by customer", "note": "Withdrawn by customer"}', 'Withdraw'),
        ('complaint', '{open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),

        ('request', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_notes}', false,
            '{"resolution_code": "Delivered"}', 'Deliver'),
        ('request', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Confirm receipt'),
        ('request', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Report a fault'),

        -- Nothing is told before the person is known (GDPR article 12(6)); a
        -- refusal is a manager's and says why (article 12(4)).
        ('privacy_request', '{new,open,awaiting_info}', 'request_identity', 'awaiting_identity', '{agent}', '{}', true, '{}', 'Ask for proof of identity'),
        ('privacy_request', '{awaiting_identity}', 'confirm_identity', 'open', '{agent}', '{}', false, '{}', 'Confirm identity'),
        ('privacy_request', '{awaiting_identity}', 'assign', NULL, '{agent,manager}', '{}', false, '{}', 'Assign'),
        ('privacy_request', '{awaiting_identity}', 'time_out', 'closed', '{system}', '{}', false, '{"resolution_code": "No answer"}', 'Close for want of an answer'),
        ('privacy_request', '{awaiting_identity}', 'close_with_parent', 'closed', '{system}', '{}', false, '{}', 'Close with the major case'),
        ('privacy_request', '{open,awaiting_info,awaiting_identity}', 'refuse', 'resolved', '{manager}', '{resolution_notes}', true,
            '{"resolution_code": "Refused"}', 'Refuse'),
        ('privacy_request', '{new,open,awaiting_info,awaiting_identity}', 'close', 'closed', '{customer}', '{resolution_code,resolution_notes}', false,
            '{"resolution_code": "Withdrawn", "resolution_notes": "Withdrawn by customer", "note": "Withdrawn by customer"}', 'Withdraw'),
        ('privacy_request', '{open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),

        -- An order can be cancelled before it is placed, not afterwards.
        ('order', '{draft}', 'submit', 'new', '{requester,agent}', '{}', false, '{}', 'Place order'),
        ('order', '{draft}', 'request_approval', 'awaiting_approval', '{requester,agent}', '{}', false, '{}', 'Ask a colleague to approve'),
        ('order', '{awaiting_approval}', 'approve', 'new', '{approver}', '{}', false, '{}', 'Approve'),
        ('order', '{awaiting_approval}', 'decline', 'draft', '{approver}', '{}', true, '{}', 'Decline'),
        ('order', '{awaiting_approval}', 'recall', 'draft', '{requester,agent}', '{}', false, '{}', 'Take back'),
        ('order', '{awaiting_approval}', 'cancel', 'cancelled', '{requester,agent}', '{}', false, '{}', 'Cancel'),
        ('order', '{new,open,awaiting_info}', 'cancel', 'cancelled', NULL, '{}', false, '{}', 'Cancel'),
        ('order', '{open,awaiting_info}', 'propose', 'resolved', '{agent}', '{resolution_notes}', false,
            '{"resolution_code": "Delivered"}', 'Deliver'),
        ('order', '{resolved}', 'accept', 'closed', '{customer}', '{}', false, '{}', 'Confirm receipt'),
        ('order', '{resolved}', 'reject', 'open', '{customer}', '{}', true, '{}', 'Report a fault')
    ) AS t(case_type, from_states, action, to_state, actors, required_fields, note_required, effects, label),
    unnest(t.from_states) AS f(from_state)
  UNION ALL
    SELECT 'dispute', d.from_state, d.action, d.to_state, d.actors, d.required_fields, d.note_required, d.effects, d.label, true
    FROM csm_private.shipped_dispute_transitions() d;
END;

-- Fields of the shipped types; audience all, because the customer gives them.
CREATE OR REPLACE FUNCTION csm_private.shipped_case_fields()
RETURNS TABLE (case_type text, name text, label text, type text, audience text, required boolean, required_for text[],
               choices text[], reference text, "position" integer, active boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    VALUES
        ('dispute', 'claimed_object', 'Order, invoice or transaction in dispute', 'text', 'all', false, '{}'::text[], NULL::text[], NULL::text, 1, true),
        ('dispute', 'claimed_amount', 'Amount claimed', 'number', 'all', false, '{}', NULL, NULL, 2, true),
        ('dispute', 'claimed_currency', 'Currency of the claim', 'text', 'all', false, '{}', NULL, NULL, 3, true),
        ('privacy_request', 'right_asked', 'What is asked', 'choice', 'all', true, '{}'::text[],
            '{access,rectification,erasure,restriction,portability,objection}'::text[], NULL::text, 1, true),
        ('privacy_request', 'identity_proof', 'How the person was identified', 'text', 'staff', false, '{confirm_identity}', NULL, NULL, 2, true);
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
        ('csm_private.shipped_case_fields()', 'Fields of the case types that csm ships')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
