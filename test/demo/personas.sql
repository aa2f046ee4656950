-- The people of the tour: who they are, their login roles, and which cases each must see. demo.expected is SQL
-- written by hand over the bare tables, run as superuser: the tour compares it with what row-level security lets
-- through.
CREATE TABLE demo.personas (place int, login name PRIMARY KEY, user_id bigint, granted name, who text);
CREATE TABLE demo.expected (login name, case_id bigint, PRIMARY KEY (login, case_id));

INSERT INTO csm.users (display_name, email, external_id) VALUES ('Noa Lindqvist', 'noa@college.example', 'student');

-- The head of a household in which two people complained, the head at least twice.
CREATE TABLE demo.home AS
SELECT c.household_id, c.user_id AS head_id
FROM demo.consumers c
JOIN demo.consumers m ON m.household_id = c.household_id
JOIN csm.cases k ON k.requester_id = m.user_id
WHERE c.head AND c.household_id IS NOT NULL
GROUP BY c.household_id, c.user_id
HAVING count(DISTINCT m.user_id) > 1 AND count(DISTINCT k.id) FILTER (WHERE m.user_id = c.user_id) >= 2
ORDER BY count(DISTINCT k.state) DESC, count(DISTINCT k.id) DESC, c.household_id LIMIT 1;

-- Of the plain contacts in the child account and below, the one who asked most.
CREATE TABLE demo.plain_contact AS
SELECT k.user_id, k.account
FROM demo.requesters k
JOIN csm.contacts x ON x.id = k.contact_id AND x.login_enabled AND x.valid_during IS NULL
JOIN csm.cases c ON c.requester_id = k.user_id
WHERE (k.number = 'A01.1.1.1' OR k.number LIKE 'A01.1.1.1.%') AND k.role = 'customer'
GROUP BY k.user_id, k.account ORDER BY count(*) DESC, k.user_id LIMIT 1;

INSERT INTO demo.personas (place, login, user_id, granted, who)
SELECT 1, 'demo_consumer', head_id, 'csm_portal'::name, 'a consumer, head of a household' FROM demo.home
UNION ALL
SELECT 2, 'demo_contact', user_id, 'csm_portal', 'a plain contact at ' || account FROM demo.plain_contact
UNION ALL
SELECT v.place, v.login, k.user_id, 'csm_portal', v.who
FROM (VALUES (3, 'demo_child_manager', 'A01.1.1.1', 'case_manager', 'case manager of Halden Germany Retail (level 4)'),
             (4, 'demo_parent_manager', 'A01', 'case_manager', 'case manager of the Halden Group (level 1)'),
             (5, 'demo_partner', 'P01', 'partner_admin', 'administrator of Brightwater Partners'))
     v(place, login, number, role, who)
JOIN demo.contacts k USING (number, role)
UNION ALL
SELECT 6, 'demo_student', id, 'csm_portal', 'a student: a row in csm.users, nothing else'
FROM csm.users WHERE external_id = 'student'
UNION ALL
SELECT v.place, v.login, s.user_id, v.granted, v.who
FROM (VALUES (7, 'demo_agent', 1, 'csm_agent', 'an agent for companies'),
             (8, 'demo_branch_agent', 78, 'csm_agent', 'an agent of the region West'),
             (9, 'demo_desk', 111, 'csm_agent', 'an agent of the internal desk'),
             (10, 'demo_bi', 92, 'csm_reporter', 'a BI tool, mapped to a viewer of all branches'))
     v(place, login, n, granted, who)
JOIN demo.staff s USING (n)
UNION ALL
SELECT 11, 'demo_nobody', NULL, 'csm_portal', 'a login role that stands for no person'
UNION ALL
SELECT 12, 'demo_manager', user_id, 'csm_agent', 'a service manager' FROM demo.staff WHERE n = 61
UNION ALL
SELECT 13, 'demo_admin', user_id, 'csm_admin', 'the administrator of the desk' FROM demo.staff WHERE n = 121;

-- Two companies that trade with one another, and the case manager of each.
INSERT INTO demo.personas (place, login, user_id, granted, who)
SELECT v.place, v.login, k.user_id, 'csm_portal', format('case manager of %s, which %s', a.name, v.what)
FROM (SELECT r.partner_account_id AS claimant, r.customer_account_id AS respondent
      FROM csm.account_relationships r JOIN csm.accounts c ON c.id = r.partner_account_id JOIN csm.accounts o ON o.id = r.customer_account_id
      WHERE r.type = 'trades_with' AND left(c.number, 3) NOT IN ('A01', 'A02') AND left(o.number, 3) NOT IN ('A01', 'A02')
      ORDER BY r.id LIMIT 1) t
CROSS JOIN LATERAL (VALUES (14, 'demo_claimant'::name, t.claimant, 'claims'), (15, 'demo_respondent', t.respondent, 'answers the claim'))
    v(place, login, account_id, what)
JOIN demo.contacts k ON k.account_id = v.account_id AND k.role = 'case_manager'
JOIN csm.accounts a ON a.id = v.account_id;

-- The administrator of a group of companies, and the login of a portal on the web: visitors, until they sign in.
INSERT INTO demo.personas (place, login, user_id, granted, who)
SELECT 16, 'demo_group_admin', user_id, 'csm_portal', 'administrator of the Halden Group'
FROM demo.contacts WHERE number = 'A01' AND role = 'customer_admin'
UNION ALL
SELECT 17, 'demo_visitor', NULL, 'csm_guest', 'a visitor, who may register and sign in';

-- A role for each, and for whom it stands. map_login grants nothing; the csm role says which API the login may use.
\o /dev/null
SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', login, granted) FROM demo.personas
UNION ALL
SELECT format('SELECT csm.map_login(%s, %L)', user_id, login) FROM demo.personas WHERE user_id IS NOT NULL
\gexec
GRANT csm_portal TO demo_visitor;
\o

-- Cases by the number of an account: as customer's, and from submission on as those of the other company in a dispute.
CREATE VIEW demo.of_account AS
SELECT c.id, a.number, c.opened_at, c.partner_account_id, a.id = c.account_id AS as_customer
FROM csm.cases c
JOIN csm.accounts a ON a.id = c.account_id OR a.id = c.counterparty_account_id AND c.submitted_at IS NOT NULL;

INSERT INTO demo.expected
SELECT 'demo_consumer'::name, c.id FROM csm.cases c
WHERE c.branch = 'b2c' AND c.requester_id IN
      (SELECT m.user_id FROM csm.household_members m JOIN demo.home h ON h.household_id = m.household_id)
UNION
SELECT 'demo_contact', c.id FROM csm.cases c JOIN demo.plain_contact k ON k.user_id IN (c.requester_id, c.opened_by)
UNION
SELECT 'demo_child_manager', id FROM demo.of_account WHERE number = 'A01.1.1.1' OR number LIKE 'A01.1.1.1.%'
UNION
SELECT 'demo_parent_manager', id FROM demo.of_account WHERE number = 'A01' OR number LIKE 'A01.%'
UNION
SELECT 'demo_partner', id FROM demo.of_account
WHERE (number = 'A01.1' OR number LIKE 'A01.1.%') AND opened_at >= '2015-01-01 00:00+00'
UNION
SELECT login, o.id
FROM unnest('{demo_partner,partner_after}'::name[]) login, demo.of_account o JOIN csm.accounts p ON p.id = o.partner_account_id
WHERE (o.number = 'A02.1' OR o.number LIKE 'A02.1.%') AND o.as_customer AND p.number = 'P01'
UNION
SELECT 'demo_agent', id FROM csm.cases WHERE branch = 'b2b'
UNION
SELECT p.login, c.id FROM csm.cases c JOIN demo.personas p ON p.user_id IN (c.requester_id, c.opened_by)
WHERE p.login IN ('demo_agent', 'demo_branch_agent') AND c.branch = 'internal'
UNION
SELECT 'demo_branch_agent', c.id FROM csm.cases c JOIN csm.service_organizations o ON o.id = c.service_organization_id
WHERE o.name IN ('West', 'California', 'Mountain')
UNION
SELECT 'demo_bi', id FROM csm.cases;

-- The case about which the tour asks why somebody sees it: in the child account, opened in 2015, by another contact.
CREATE TABLE demo.landmarks AS
SELECT (SELECT c.id FROM csm.cases c JOIN csm.accounts a ON a.id = c.account_id
        WHERE (a.number = 'A01.1.1.1' OR a.number LIKE 'A01.1.1.1.%') AND c.opened_at >= '2015-01-01 00:00+00'
          AND c.requester_id NOT IN (SELECT user_id FROM demo.personas WHERE user_id IS NOT NULL)
          AND c.partner_account_id IS NULL
        ORDER BY c.state = 'awaiting_info' DESC, c.id LIMIT 1) AS case_id,
       (SELECT r.id FROM csm.account_relationships r JOIN csm.accounts a ON a.id = r.customer_account_id
        JOIN csm.accounts p ON p.id = r.partner_account_id WHERE a.number = 'A01.1' AND p.number = 'P01') AS relationship_id;
