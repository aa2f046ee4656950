-- The walk. Read from standard input in this folder (see demo.sh); variables bold, plain, pause.
--
-- A step connects as the login role of a person, asks, and checks the answer against what was found beforehand without
-- row-level security (personas.sql). A statement that must be refused checks its SQLSTATE.
\pset footer off
\pset null '-'
\set SHOW_CONTEXT never
\set n 0
SELECT jsonb_object_agg(login, found) AS expected
FROM (SELECT login, format('%s, sum of ids %s', count(*), sum(case_id)) AS found FROM demo.expected GROUP BY login) e \gset
SELECT count(*) AS all_cases FROM csm.cases \gset
SELECT count(*) AS child_cases FROM demo.expected WHERE login = 'demo_child_manager' \gset
SELECT case_id, relationship_id FROM demo.landmarks \gset
SELECT max(user_id) FILTER (WHERE login = 'demo_child_manager') AS child_manager,
       max(user_id) FILTER (WHERE login = 'demo_parent_manager') AS parent_manager,
       max(user_id) FILTER (WHERE login = 'demo_contact') AS contact,
       max(user_id) FILTER (WHERE login = 'demo_partner') AS partner
FROM demo.personas \gset
SELECT id AS shop FROM csm.accounts WHERE number = 'A01.1.1.1' \gset
SELECT count(*) FILTER (WHERE c.id IN (SELECT case_id FROM demo.expected WHERE login = 'demo_child_manager')) AS terminals_child,
       count(*) AS terminals
FROM csm.cases c WHERE c.search @@ to_tsquery('english', 'terminal') \gset
SELECT count(*) FILTER (WHERE o.name IN ('West', 'California', 'Mountain')) AS owed_west, count(*) AS owed
FROM csm.cases c LEFT JOIN csm.service_organizations o ON o.id = c.service_organization_id
WHERE c.subject ILIKE '%debt not owed%' \gset

-- ----
\set title 'What is in the database'
\set look 'Three kinds of cases in one table: complaints of consumers (real), cases of companies and of employees (made up).'
\ir step.sql
\set ECHO queries
SELECT branch, count(*) AS cases, count(DISTINCT requester_id) AS people, count(DISTINCT account_id) AS accounts,
       count(DISTINCT product_id) AS products, min(opened_at)::date AS first, max(opened_at)::date AS last
FROM csm.cases GROUP BY branch ORDER BY cases DESC;
SELECT resolution_code AS answer_of_the_company, count(*), count(*) FILTER (WHERE reopen_count > 0) AS disputed
FROM csm.cases WHERE branch = 'b2c' GROUP BY resolution_code ORDER BY count(*) DESC;
\set ECHO none
SELECT count(*) || ' complaints, ' || sum(reopen_count) || ' disputed' AS seen FROM csm.cases WHERE branch = 'b2c' \gset
\set should '28156 complaints, 4708 disputed'
\set what 'loaded, as the file has them'
\ir check.sql

-- ----
\connect - demo_consumer
\set as demo_consumer
\set title 'A consumer'
\set look 'The head of a household sees his own complaints and those of its members, and nothing of the other 24,000 people.'
\ir step.sql
\set ECHO queries
SELECT display_name, personas, tenant_key FROM csm.whoami();
\ir look.sql

-- ----
\connect - demo_contact
\set as demo_contact
\set title 'A plain contact of a company'
\set look 'The same two questions. What this person asked himself, and no case of a colleague in the same account.'
\ir step.sql
\set ECHO queries
SELECT display_name, personas, roles FROM csm.whoami();
\ir look.sql

-- ----
\connect - demo_child_manager
\set as demo_child_manager
\set title 'The case manager of a child account'
\set look 'The role covers the account and all below it. Of the three accounts above not even the names are seen.'
\ir step.sql
\set ECHO queries
SELECT number, tree FROM csm.account_tree();
\ir look.sql
SELECT count(*) AS seen FROM csm.accounts WHERE number IN ('A01', 'A01.1', 'A01.1.1', 'A01.1.1.2') \gset
\set should 0
\set what 'accounts seen above this one and beside it'
\ir check.sql

-- ----
\connect - demo_parent_manager
\set as demo_parent_manager
\set title 'The case manager of the parent'
\set look 'The same role at the top of the tree: cases of all six levels, the child''s among them.'
\ir step.sql
\set ECHO queries
SELECT length(number) - length(replace(number, '.', '')) + 1 AS level, count(*) AS accounts, min(name) AS for_example
FROM csm.accounts GROUP BY 1 ORDER BY 1;
\ir look.sql
SELECT count(*) AS seen FROM csm.cases c JOIN csm.accounts a ON a.id IN (c.account_id, c.counterparty_account_id)
WHERE a.number = 'A01.1.1.1' OR a.number LIKE 'A01.1.1.1.%' \gset
\set should :child_cases
\set what 'among them cases that the child''s manager sees'
\ir check.sql

-- ----
\connect - demo_partner
\set as demo_partner
\set title 'A partner'
\set look 'Of one customer all cases since 2015 (scope all), of another only those that name the partner (scope named).'
\ir step.sql
\set ECHO queries
SELECT c.name AS customer, r.scope, r.history_from::date, r.include_descendants, r.valid_during
FROM csm.account_relationships r JOIN csm.accounts c ON c.id = r.customer_account_id;
\ir look.sql
\set ECHO queries
SELECT granted, rule, role, via FROM csm.explain_access(csm.current_user_id(), :case_id);
\set ECHO none
SELECT string_agg(DISTINCT rule, ' ') AS seen FROM csm.explain_access(csm.current_user_id(), :case_id) WHERE granted \gset
\set should V5
\set what 'rule that shows the partner this case'
\ir check.sql

-- ----
\set title 'The partner, after the relationship has ended'
\set look 'The partner stays connected. Somebody else ends the first relationship, and the partner''s next statement knows.'
\ir step.sql
\set command 'UPDATE csm.account_relationships SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = ' :relationship_id ';'
\echo '-- in another session:'
\echo :command
\echo
\setenv CSM_DEMO_COMMAND :command
\! $CSM_DEMO_PSQL -c "$CSM_DEMO_COMMAND"
\set as partner_after
\ir look.sql
\set ON_ERROR_STOP off
\set ECHO queries
SELECT granted, rule FROM csm.explain_access(csm.current_user_id(), :case_id);
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should SM001
\set what 'error for a case no longer seen, as for one that does not exist'
\ir check.sql

-- ----
\connect - demo_agent
\set as demo_agent
\set title 'Why does somebody see a case?'
\set look 'An agent asks about the case of the last two screens: the child''s manager, the parent''s, the plain contact, the partner.'
\ir step.sql
\set ECHO queries
SELECT number, account, state, opened_at::date AS opened FROM csm_report.cases WHERE id = :case_id;
SELECT u.display_name, e.granted, e.rule, e.role, e.via
FROM csm.users u CROSS JOIN LATERAL csm.explain_access(u.id, :case_id) e
WHERE u.id IN (:child_manager, :parent_manager, :contact, :partner) ORDER BY u.id;
SELECT rule, role, count(*) AS people, min(display_name) AS for_example
FROM csm.who_can_see(:case_id) GROUP BY rule, role ORDER BY rule, role;
\set ECHO none
SELECT string_agg(rule, ', ' ORDER BY u.id) AS seen
FROM unnest(ARRAY[:child_manager, :parent_manager, :partner]::bigint[]) WITH ORDINALITY u(user_id, id)
CROSS JOIN LATERAL csm.explain_access(u.user_id, :case_id) e \gset
\set should 'V1, V1, no rule'
\set what 'rules for the child''s manager, the parent''s manager, the partner'
\ir check.sql

-- ----
\set title 'An agent for companies'
\set look 'Every case of every company, and the agent''s own questions as an employee; no complaint of a consumer.'
\ir step.sql
\set ECHO queries
SELECT display_name, personas, roles FROM csm.whoami();
\ir look.sql

-- ----
\connect - demo_branch_agent
\set as demo_branch_agent
\set title 'An agent of one region'
\set look 'The reach is a service organisation and what lies below it: complaints from the western states, and no others.'
\ir step.sql
\ir look.sql

-- ----
\connect - demo_student
\set as demo_student
\set title 'A student opens a case'
\set look 'Noa is a row in csm.users: no consumer, no contact, no employee. That is enough to ask, and to see what she asked.'
\ir step.sql
\ir look.sql
\set ECHO queries
SELECT number, branch, state, subject
FROM csm.open_case('Cannot sign in to the scholarship page', 'It says that my link has expired.');
\set ECHO none
SELECT max(id) AS student_case, count(*) AS seen FROM csm.cases \gset
\set should 1
\set what 'cases that the student sees now'
\ir check.sql

-- ----
\set title 'Two refusals'
\set look 'To take a case is for agents, whatever its state. To accept is for her, but there is no solution to accept yet.'
\ir step.sql
\set ON_ERROR_STOP off
\set ECHO queries
SELECT csm.act(:student_case, 'take');
\set seen :SQLSTATE
\echo
SELECT csm.act(:student_case, 'accept');
\set seen :seen ', ' :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should '42501, SM002'
\set what 'errors'
\ir check.sql

-- ----
\connect - demo_desk
\set as demo_desk
\set title 'An agent of the internal desk works on it'
\set look 'Take, a work note for colleagues, a question to the student: the case waits.'
\ir step.sql
\set ECHO queries
SELECT number, state, assigned_to = csm.current_user_id() AS mine FROM csm.act(:student_case, 'take');
SELECT visibility, body FROM csm.comment(:student_case, 'Third expired link this week, see the mail queue.', 'internal');
SELECT number, state FROM csm.act(:student_case, 'request_info', note => 'When did you get the link?');
\set ECHO none
SELECT state AS seen FROM csm.cases WHERE id = :student_case \gset
\set should awaiting_info
\set what 'state'
\ir check.sql

-- ----
\connect - demo_student
\set as demo_student
\set title 'The student answers'
\set look 'She reads the question and not the work note. Her comment alone resumes the work.'
\ir step.sql
\set ECHO queries
SELECT author_name, side, visibility, body FROM csm.case_entries ORDER BY id;
SELECT author_name, body FROM csm.comment(:student_case, 'On Monday. I tried it on Thursday.');
SELECT number, state FROM csm.cases;
\set ECHO none
SELECT (SELECT count(*) FROM csm.case_entries) || ' entries, ' || state AS seen FROM csm.cases WHERE id = :student_case \gset
\set should '2 entries, open'
\set what 'seen by her'
\ir check.sql

-- ----
\connect - demo_desk
\set as demo_desk
\set title 'The agent proposes a solution'
\set look 'A proposal needs a code and notes: the first attempt is refused. Staff cannot accept for the student, either.'
\ir step.sql
\set ON_ERROR_STOP off
\set ECHO queries
SELECT csm.act(:student_case, 'propose');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
SELECT number, state, resolution_code, resolution_notes
FROM csm.act(:student_case, 'propose', fields => '{"resolution_code": "Solved", "resolution_notes": "A new link, valid for a month"}');
\set ON_ERROR_STOP off
SELECT csm.act(:student_case, 'accept');
\set seen :seen ', ' :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should 'SM003, 42501'
\set what 'errors'
\ir check.sql

-- ----
\connect - demo_student
\set as demo_student
\set title 'The student accepts'
\set look 'What she can do now, she asks the database: it draws her buttons. Then the case is closed, for good.'
\ir step.sql
\set ECHO queries
SELECT action, label, to_state, note_required FROM csm.actions(:student_case);
SELECT number, state, resolution_code, closed_at IS NOT NULL AS has_closing_time FROM csm.act(:student_case, 'accept');
\set ON_ERROR_STOP off
SELECT csm.act(:student_case, 'reject', note => 'On second thought');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should SM004
\set what 'error'
\ir check.sql
SELECT state AS seen FROM csm.cases WHERE id = :student_case \gset
\set should closed
\set what 'state'
\ir check.sql

-- ----
\connect - demo_bi
\set as demo_bi
\set title 'A BI tool'
\set look 'Its login stands for a viewer of all branches. csm_report has figures and no text or personal data; the rules still hold.'
\ir step.sql
\set ECHO queries
SELECT state, count(*) FROM csm_report.cases GROUP BY state ORDER BY count(*) DESC;
SELECT coalesce(parent_product, product) AS product, count(*) AS complaints, count(*) FILTER (WHERE state_class = 'open') AS open,
       round(100 * avg((reopen_count > 0)::int), 1) AS percent_disputed
FROM csm_report.cases WHERE branch = 'b2c' GROUP BY 1 ORDER BY complaints DESC LIMIT 5;
\set ON_ERROR_STOP off
SELECT subject FROM csm.cases LIMIT 1;
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should 42501
\set what 'error for what people wrote'
\ir check.sql
SELECT count(*) AS seen, :all_cases + 1 AS should FROM csm_report.cases \gset
\set what 'cases in the report, the student''s among them'
\ir check.sql

-- ----
\connect - demo_nobody
\set as demo_nobody
\set title 'Nobody'
\set look 'A login role that stands for no person: no row, no error. To name oneself a person is refused.'
\ir step.sql
\ir look.sql
\set ON_ERROR_STOP off
\set ECHO queries
SET csm.user_id = '1';
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should 42501
\set what 'error'
\ir check.sql

-- ----
\connect - demo_child_manager
\set as demo_child_manager
\set title 'Search, as somebody who sees little'
\set look 'Full text and substring: both use an index, and both find only what the person may see.'
\ir step.sql
\set ECHO queries
SELECT number, state, opened_at::date AS opened, subject FROM csm.cases
WHERE csm.matches(search, websearch_to_tsquery('english', 'terminals')) ORDER BY opened_at DESC LIMIT 4;
\set ECHO none
SELECT count(*) AS seen, :terminals_child AS should FROM csm.cases
WHERE csm.matches(search, websearch_to_tsquery('english', 'terminals')) \gset
\set what 'found by the child''s manager, of ' :terminals ' in the database'
\ir check.sql
\connect - demo_branch_agent
\set as demo_branch_agent
\echo The agent of the region West, in the complaints:
\echo
\set ECHO queries
SELECT number, state, opened_at::date AS received, subject, attributes ->> 'state' AS from FROM csm.cases
WHERE csm.contains(subject, 'DEBT NOT OWED') ORDER BY opened_at DESC LIMIT 4;
\set ECHO none
SELECT count(*) AS seen, :owed_west AS should FROM csm.cases WHERE csm.contains(subject, 'DEBT NOT OWED') \gset
\set what 'found by the agent, of ' :owed ' in the database'
\ir check.sql
