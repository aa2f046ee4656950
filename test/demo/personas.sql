-- The people of the tour: who they are, their login roles, and what they must see. "expected" is hand-written SQL over the
-- bare tables, run as superuser: the tour compares it with what row-level security lets through.
CREATE TABLE demo.personas (login name PRIMARY KEY, user_id bigint, granted name, who text, expected bigint);

INSERT INTO csm.users (display_name, email, external_id) VALUES ('Noa Lindqvist', 'noa@college.example', 'student');

-- The head of a household in which two people complained, he himself at least twice.
CREATE TABLE demo.home AS
SELECT c.household_id, c.user_id AS head_id
FROM demo.consumers c
JOIN demo.consumers m ON m.household_id = c.household_id
JOIN csm.cases k ON k.requester_id = m.user_id
WHERE c.head AND c.household_id IS NOT NULL
GROUP BY c.household_id, c.user_id
HAVING count(DISTINCT m.user_id) > 1 AND count(DISTINCT k.id) FILTER (WHERE m.user_id = c.user_id) >= 2
ORDER BY count(DISTINCT k.state) DESC, count(DISTINCT k.id) DESC, c.household_id LIMIT 1;

-- Cases by the number of an account: as customer's, and from submission on as those of the other company in a dispute.
CREATE VIEW demo.of_account AS
SELECT c.id, a.number, c.opened_at, c.partner_account_id, a.id = c.account_id AS as_customer
FROM csm.cases c
JOIN csm.accounts a ON a.id = c.account_id OR a.id = c.counterparty_account_id AND c.submitted_at IS NOT NULL;

-- Of the plain contacts in the child account and below, the one who asked most.
CREATE TABLE demo.plain_contact AS
SELECT k.user_id, k.account
FROM demo.requesters k
JOIN csm.contacts x ON x.id = k.contact_id AND x.login_enabled AND x.valid_during IS NULL
JOIN csm.cases c ON c.requester_id = k.user_id
WHERE (k.number = 'A01.1.1.1' OR k.number LIKE 'A01.1.1.1.%') AND k.role = 'customer'
GROUP BY k.user_id, k.account ORDER BY count(*) DESC, k.user_id LIMIT 1;

INSERT INTO demo.personas (login, user_id, granted, who, expected)
SELECT 'demo_consumer', head_id, 'csm_portal'::name, 'a consumer, head of a household',
       (SELECT count(*) FROM csm.cases c WHERE c.branch = 'b2c' AND c.requester_id IN
           (SELECT m.user_id FROM csm.household_members m WHERE m.household_id = h.household_id))
FROM demo.home h
UNION ALL
SELECT 'demo_contact', k.user_id, 'csm_portal', 'a plain contact at ' || k.account,
       (SELECT count(*) FROM csm.cases c
        WHERE k.user_id IN (c.requester_id, c.opened_by) AND c.account_id IN
              (SELECT x.account_id FROM csm.contacts x WHERE x.user_id = k.user_id))
FROM demo.plain_contact k
UNION ALL
SELECT 'demo_child_manager', k.user_id, 'csm_portal', 'case manager of Halden Germany Retail (level 4)',
       (SELECT count(DISTINCT id) FROM demo.of_account WHERE number = 'A01.1.1.1' OR number LIKE 'A01.1.1.1.%')
FROM demo.contacts k WHERE (k.number, k.role, k.n) = ('A01.1.1.1', 'case_manager', 1)
UNION ALL
SELECT 'demo_parent_manager', k.user_id, 'csm_portal', 'case manager of the Halden Group (level 1)',
       (SELECT count(DISTINCT id) FROM demo.of_account WHERE number = 'A01' OR number LIKE 'A01.%')
FROM demo.contacts k WHERE (k.number, k.role, k.n) = ('A01', 'case_manager', 1)
UNION ALL
SELECT 'demo_partner', k.user_id, 'csm_portal', 'administrator of Brightwater Partners',
       (SELECT count(DISTINCT id) FROM demo.of_account
        WHERE (number = 'A01.1' OR number LIKE 'A01.1.%') AND opened_at >= '2015-01-01 00:00+00'
           OR (number = 'A02.1' OR number LIKE 'A02.1.%') AND partner_account_id = k.account_id AND as_customer)
FROM demo.contacts k WHERE (k.number, k.role, k.n) = ('P01', 'partner_admin', 1)
UNION ALL
SELECT 'demo_student', u.id, 'csm_portal', 'a student: a row in csm.users, nothing else', 0
FROM csm.users u WHERE u.external_id = 'student'
UNION ALL
SELECT 'demo_agent', s.user_id, 'csm_agent', 'an agent for companies',
       (SELECT count(*) FROM csm.cases c
        WHERE c.branch = 'b2b' OR c.branch = 'internal' AND s.user_id IN (c.requester_id, c.opened_by))
FROM demo.staff s WHERE s.n = 1
UNION ALL
SELECT 'demo_branch_agent', s.user_id, 'csm_agent', 'an agent of the region West',
       (SELECT count(*) FROM csm.cases c JOIN csm.service_organizations o ON o.id = c.service_organization_id
        WHERE o.name IN ('West', 'California', 'Mountain'))
       + (SELECT count(*) FROM csm.cases c WHERE c.branch = 'internal' AND s.user_id IN (c.requester_id, c.opened_by))
FROM demo.staff s WHERE s.n = 78
UNION ALL
SELECT 'demo_desk', s.user_id, 'csm_agent', 'an agent of the internal desk',
       (SELECT count(*) FROM csm.cases c WHERE c.branch = 'internal')
FROM demo.staff s WHERE s.n = 111
UNION ALL
SELECT 'demo_bi', s.user_id, 'csm_reporter', 'a BI tool, mapped to a viewer of all branches', (SELECT count(*) FROM csm.cases)
FROM demo.staff s WHERE s.n = 92
UNION ALL
SELECT 'demo_nobody', NULL, 'csm_portal', 'a login role that stands for no person', 0;

-- A role for each, and for whom it stands. map_login grants nothing; the csm role says which API the login may use.
SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', login, granted) FROM demo.personas
UNION ALL
SELECT format('SELECT csm.map_login(%s, %L)', user_id, login) FROM demo.personas WHERE user_id IS NOT NULL
\o /dev/null
\gexec
\o

-- The case about which the tour asks why somebody sees it: in the child account, opened in 2015, by another contact.
CREATE TABLE demo.landmarks AS
SELECT (SELECT c.id FROM csm.cases c JOIN csm.accounts a ON a.id = c.account_id
        WHERE (a.number = 'A01.1.1.1' OR a.number LIKE 'A01.1.1.1.%') AND c.opened_at >= '2015-01-01 00:00+00'
          AND c.requester_id NOT IN (SELECT user_id FROM demo.personas WHERE user_id IS NOT NULL)
          AND c.partner_account_id IS NULL
        ORDER BY c.state = 'awaiting_info' DESC, c.id LIMIT 1) AS case_id,
       (SELECT r.id FROM csm.account_relationships r JOIN csm.accounts a ON a.id = r.customer_account_id
        JOIN csm.accounts p ON p.id = r.partner_account_id WHERE a.number = 'A01.1' AND p.number = 'P01') AS relationship_id;

-- What is left to the partner when the first relationship has ended.
INSERT INTO demo.personas (login, who, expected)
SELECT 'partner_after', NULL, count(*)
FROM demo.of_account c JOIN csm.accounts p ON p.id = c.partner_account_id
WHERE (c.number = 'A02.1' OR c.number LIKE 'A02.1.%') AND p.number = 'P01' AND c.as_customer;
