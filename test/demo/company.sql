-- The company: Meridian Financial Services (invented) serves companies and consumers. Its tenant, branches, staff.
CREATE EXTENSION IF NOT EXISTS csm CASCADE;
SELECT csm.create_tenant('meridian', 'Meridian Financial Services', 'desk@meridian.example') AS tenant \gset

\ir world.sql

-- A role of its own beside the shipped ones, since roles are rows: it answers whoever asks as an employee or a student.
INSERT INTO csm.roles (role, kind, user_class, label, branches)
VALUES ('desk_agent', 'staff', 'fulfiller', 'Agent of the internal desk', '{internal}');
INSERT INTO csm.role_permissions (role, action, reach)
SELECT 'desk_agent', action, 'all' FROM unnest('{case_read,case_comment,case_create,case_work}'::text[]) action;

INSERT INTO csm.service_organizations (name) VALUES ('Meridian');
INSERT INTO csm.service_organizations (name, parent_id)
SELECT v.name, o.id FROM csm.service_organizations o,
    unnest('{West,Midwest,South,Northeast,Overseas}'::text[]) v(name)
WHERE o.name = 'Meridian';
INSERT INTO csm.service_organizations (name, parent_id)
SELECT v.name, o.id FROM (VALUES
        ('West', 'California'), ('West', 'Mountain'), ('Midwest', 'Great Lakes'), ('South', 'Florida'),
        ('South', 'Texas'), ('Northeast', 'New York')) v(region, name)
JOIN csm.service_organizations o ON o.name = v.region;

INSERT INTO csm.groups (name) VALUES ('Payments desk'), ('Cards desk'), ('Consumer desk'), ('Internal desk');

-- 240 employees; the first 121 serve customers.
CREATE TABLE demo.staff AS
SELECT n, 'employee ' || n AS key,
       CASE WHEN n <= 30 THEN 'agent' WHEN n <= 60 THEN 'consumer_agent' WHEN n <= 64 THEN 'manager'
            WHEN n <= 76 THEN 'relationship_agent' WHEN n <= 91 THEN 'location_agent' WHEN n <= 94 THEN 'viewer'
            WHEN n <= 104 THEN 'contributor' WHEN n <= 110 THEN 'proxy' WHEN n <= 120 THEN 'desk_agent'
            WHEN n = 121 THEN 'admin' END AS role,
       NULL::bigint AS user_id
FROM generate_series(1, 240) n;

INSERT INTO csm.users (display_name, email, title, external_id)
SELECT demo.given_name(key) || ' ' || demo.family_name(key), 'staff' || n || '@meridian.example',
       coalesce(r.label, demo.pick('{Accountant,Analyst,Buyer,Clerk,Developer,Lawyer,Planner}', key)), key
FROM demo.staff LEFT JOIN csm.roles r USING (role);
UPDATE demo.staff s SET user_id = u.id FROM csm.users u WHERE u.external_id = s.key;

INSERT INTO csm.employees (user_id, department, manager_id)
SELECT s.user_id, CASE WHEN s.role IS NULL THEN demo.pick('{Accounting,IT,Legal,Purchasing,Risk}', s.key) ELSE 'Service' END,
       m.user_id
FROM demo.staff s LEFT JOIN demo.staff m ON m.n = 61 + s.n % 4 AND m.n <> s.n;

-- Most roles as shipped; some narrowed to a branch, some with another reach.
INSERT INTO csm.user_roles (user_id, role, branches, reach)
SELECT user_id, role,
       CASE WHEN role = 'manager' AND n = 62 THEN '{b2b}'::text[] WHEN role = 'manager' AND n = 63 THEN '{b2c,internal}'
            WHEN role = 'viewer' AND n = 94 THEN '{b2c}' END,
       CASE WHEN role = 'agent' AND n > 25 THEN 'team' END
FROM demo.staff WHERE role IS NOT NULL;
-- Somebody who left the desk last winter.
UPDATE csm.user_roles SET valid_during = tstzrange('2014-01-01', '2014-12-01')
WHERE user_id = (SELECT user_id FROM demo.staff WHERE n = 60);

-- Location agents: three for each region; the last of a region not for what lies below it.
INSERT INTO csm.service_organization_members (service_organization_id, user_id, excluded)
SELECT o.id, s.user_id,
       CASE WHEN s.n % 3 = 2 THEN ARRAY(SELECT c.id FROM csm.service_organizations c WHERE c.parent_id = o.id) ELSE '{}' END
FROM demo.staff s
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place
      FROM csm.service_organizations WHERE name IN ('West', 'Midwest', 'South', 'Northeast', 'Overseas')) o
    ON o.place = (s.n - 77) / 3
WHERE s.role = 'location_agent';

INSERT INTO csm.group_members (group_id, user_id)
SELECT g.id, s.user_id
FROM demo.staff s JOIN csm.groups g ON g.name = CASE
    WHEN s.role = 'consumer_agent' THEN 'Consumer desk' WHEN s.role = 'desk_agent' THEN 'Internal desk'
    WHEN s.role = 'agent' AND s.n % 2 = 0 THEN 'Payments desk' WHEN s.role = 'agent' THEN 'Cards desk' END;
