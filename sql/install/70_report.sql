-- Views for reporting.  They run with the rights and the row-level security of
-- the reader (security_invoker), have a key of one column, and no personal
-- data: csm_reporter may SELECT * from each.

CREATE VIEW csm_report.cases WITH (security_invoker = true) AS
SELECT c.id,
       c.number,
       c.branch,
       c.case_type,
       c.state,
       c.state_class,
       c.priority,
       c.impact,
       c.urgency,
       c.channel,
       c.product_id,
       p.name AS product,
       pp.name AS parent_product,
       c.account_id,
       a.name AS account,
       t.id AS top_account_id,
       t.name AS top_account,
       c.partner_account_id,
       pa.name AS partner,
       c.counterparty_account_id,
       ca.name AS counterparty,
       c.service_organization_id,
       s.name AS service_organization,
       c.assigned_group_id,
       g.name AS assigned_group,
       c.assigned_to AS assignee_id,
       c.resolution_code,
       c.needs_attention,
       c.reopen_count,
       c.reassignment_count,
       c.opened_at,
       c.submitted_at,
       c.first_response_at,
       c.resolved_at,
       c.closed_at,
       c.updated_at,
       extract(epoch FROM c.first_response_at - c.submitted_at)::bigint AS first_response_seconds,
       extract(epoch FROM c.resolved_at - c.submitted_at)::bigint AS resolve_seconds,
       extract(epoch FROM c.closed_at - c.submitted_at)::bigint AS close_seconds,
       extract(epoch FROM CASE WHEN c.state_class IN ('closed', 'cancelled') THEN c.closed_at ELSE statement_timestamp() END
           - c.opened_at)::bigint AS age_seconds
FROM csm.cases c
-- Every join is by the key of the other table: none adds or loses a case, and
-- one whose columns are not asked for is not made.
LEFT JOIN csm.products p ON p.id = c.product_id AND p.tenant_id = c.tenant_id
LEFT JOIN csm.products pp ON pp.id = p.parent_id AND pp.tenant_id = p.tenant_id
LEFT JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id
LEFT JOIN csm.accounts t ON t.id = a.root_id AND t.tenant_id = a.tenant_id
LEFT JOIN csm.accounts pa ON pa.id = c.partner_account_id AND pa.tenant_id = c.tenant_id
LEFT JOIN csm.accounts ca ON ca.id = c.counterparty_account_id AND ca.tenant_id = c.tenant_id
LEFT JOIN csm.service_organizations s ON s.id = c.service_organization_id AND s.tenant_id = c.tenant_id
LEFT JOIN csm.groups g ON g.id = c.assigned_group_id AND g.tenant_id = c.tenant_id;
ALTER VIEW csm_report.cases OWNER TO csm_owner;
REVOKE ALL ON csm_report.cases FROM PUBLIC;
GRANT SELECT ON csm_report.cases TO csm_agent, csm_reporter, csm_admin;

COMMENT ON VIEW csm_report.cases IS 'One row for each case that the reader may see; no subject, no text, no personal data';
COMMENT ON COLUMN csm_report.cases.id IS 'Key, csm.cases.id';
COMMENT ON COLUMN csm_report.cases.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.cases.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.cases.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.cases.state IS 'State of its machine';
COMMENT ON COLUMN csm_report.cases.state_class IS 'draft, new, open, waiting, resolved, closed or cancelled: the same for every type';
COMMENT ON COLUMN csm_report.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm_report.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.channel IS 'How it came in';
COMMENT ON COLUMN csm_report.cases.product_id IS 'Product concerned; NULL for none';
COMMENT ON COLUMN csm_report.cases.product IS 'Name of the product';
COMMENT ON COLUMN csm_report.cases.parent_product IS 'Name of the product above; NULL at the top';
COMMENT ON COLUMN csm_report.cases.account_id IS 'Customer account; NULL unless b2b';
COMMENT ON COLUMN csm_report.cases.account IS 'Name of the customer account; NULL where the reader may not see the account';
COMMENT ON COLUMN csm_report.cases.top_account_id IS 'Top of the customer''s account tree; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.top_account IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.partner_account_id IS 'Partner that looks after the case';
COMMENT ON COLUMN csm_report.cases.partner IS 'Name of the partner; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.counterparty_account_id IS 'The other company of a dispute';
COMMENT ON COLUMN csm_report.cases.counterparty IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.service_organization_id IS 'Service organisation that the case belongs to';
COMMENT ON COLUMN csm_report.cases.service_organization IS 'Its name';
COMMENT ON COLUMN csm_report.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm_report.cases.assigned_group IS 'Name of the group';
COMMENT ON COLUMN csm_report.cases.assignee_id IS 'Who works on it (csm.users.id); a name would be personal data';
COMMENT ON COLUMN csm_report.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm_report.cases.needs_attention IS 'Something new was said';
COMMENT ON COLUMN csm_report.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm_report.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm_report.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm_report.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm_report.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm_report.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm_report.cases.updated_at IS 'Last change or entry';
COMMENT ON COLUMN csm_report.cases.first_response_seconds IS 'Seconds from submission to the first response; NULL while there is none';
COMMENT ON COLUMN csm_report.cases.resolve_seconds IS 'Seconds from submission to the last proposed solution; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.close_seconds IS 'Seconds from submission to closing; NULL while open';
COMMENT ON COLUMN csm_report.cases.age_seconds IS 'Seconds from making to closing, or to now while open; NULL when the time of closing is not known (imported cases)';
