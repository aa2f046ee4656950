-- SLAs, privacy and history. Included after tour_dispute.sql.

-- ----
\connect - demo_admin
\set as demo_admin
\set title 'What is promised, and how it is counted'
\set look 'A promise is a row: eight working hours, the clock stands still while the customer is asked. Conditions are data over the case.'
\ir step.sql
\set ECHO queries
INSERT INTO csm.calendars (name, time_zone) VALUES ('Office', 'America/New_York');
INSERT INTO csm.calendar_intervals (calendar_id, weekday, start_time, end_time)
SELECT id, weekday, '09:00', '17:00' FROM csm.calendars, generate_series(1, 5) weekday WHERE name = 'Office';
INSERT INTO csm.sla_definitions (name, type, duration_seconds, calendar_from, calendar_id, branches, start_when, pause_when, stop_when)
SELECT 'Solution in eight working hours', 'resolution', 8 * 3600, 'fixed', id, '{b2b}',
       '$.state_class == "new"', '$.state_class == "waiting" || $.state_class == "resolved"', '$.state_class == "closed"'
FROM csm.calendars WHERE name = 'Office';
SELECT c.name, csm.business_add(c.id, '2015-07-02 15:00-04', 8 * 3600) AS from_thursday_three_o_clock,
       csm.business_seconds(c.id, '2015-07-02 15:00-04', '2015-07-06 09:00-04') / 3600 AS hours_until_monday_nine
FROM csm.calendars c;
\set ECHO none
SELECT csm.business_add(c.id, '2015-07-02 15:00-04', 8 * 3600) = '2015-07-03 15:00-04' AS seen FROM csm.calendars c \gset
\set should t
\set what 'eight hours from Thursday three o''clock end on Friday at three'
\ir check.sql

-- ----
\connect - demo_contact
\set as demo_agent
\set title 'The clock runs, stands still, and runs out'
\set look 'The question to the customer stops it, his comment alone starts it again. Four days later time is up, whoever looks.'
\ir step.sql
\set ECHO queries
SELECT id, number, state FROM csm.open_case('Terminal prints no receipts');
\set ECHO none
SELECT id AS timed_case FROM csm.cases WHERE subject = 'Terminal prints no receipts' ORDER BY id DESC LIMIT 1 \gset
\connect - demo_agent
\set ECHO queries
SELECT number, state FROM csm.act(:timed_case, 'take');
SELECT number, state FROM csm.act(:timed_case, 'request_info', note => 'Which model is it?');
SELECT name, state, due_at IS NULL AS no_due_time FROM csm.case_slas WHERE case_id = :timed_case;
\connect - demo_contact
\set ECHO queries
SELECT author_name IS NOT NULL AS said FROM csm.comment(:timed_case, 'The small one at the counter.');
\connect - postgres
\set ECHO queries
SELECT kind, done, failed FROM csm.run_due(clock_timestamp() + interval '4 days') WHERE kind = 'sla';
\connect - demo_agent
\set ECHO queries
SELECT event, percent FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = :timed_case ORDER BY e.id;
\set ECHO none
SELECT string_agg(event, ', ' ORDER BY e.id) AS seen
FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = :timed_case \gset
\set should 'attach, pause, resume, warn, warn, breach'
\set what 'its log'
\ir check.sql

-- ----
\connect - demo_consumer
\set as demo_consumer
\set title 'A consumer asks for the deletion of what is known about him'
\set look 'A type of its own: it says what must be told, who may do what, and what only staff may read.'
\ir step.sql
\set ON_ERROR_STOP off
\set ECHO queries
SELECT csm.open_case('Delete my data', case_type => 'privacy_request');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
SELECT id, number, state, priority FROM csm.open_case('Delete my data', case_type => 'privacy_request',
    fields => '{"attributes": {"right_asked": "erasure"}}');
\set ECHO none
SELECT id AS privacy_case FROM csm.cases WHERE subject = 'Delete my data' \gset
\set should SM003
\set what 'error without the right that is asked'
\ir check.sql
\connect - demo_manager
\set ECHO queries
SELECT number, state FROM csm.act(:privacy_case, 'take');
SELECT number, state FROM csm.act(:privacy_case, 'request_identity', note => 'Please send a copy of a document with your name.');
\set ON_ERROR_STOP off
SELECT csm.act(:privacy_case, 'confirm_identity');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
SELECT number, state FROM csm.set_fields(:privacy_case, '{"identity_proof": "passport, seen by the desk"}');
SELECT number, state FROM csm.act(:privacy_case, 'confirm_identity');
\connect - demo_consumer
\set ECHO queries
SELECT action, label FROM csm.actions(:privacy_case);
\set ECHO none
SELECT :'seen' || ', ' || state || ', ' || (attributes ? 'identity_proof') AS seen FROM csm.cases WHERE id = :privacy_case \gset
\set should 'SM003, open, false'
\set what 'error without proof; state; does the consumer read how he was identified'
\ir check.sql

-- ----
\connect - demo_manager
\set as demo_manager
\set title 'What happened, and whether it is still what was written'
\set look 'Every change is a link of a chain: who, in which relation to the case. A row changed behind its back is found.'
\ir step.sql
\set ECHO queries
SELECT seq, action, actor_name, relation, audience, payload -> 'state' AS state FROM csm.case_history WHERE case_id = :privacy_case ORDER BY seq;
SELECT state, assigned_to IS NOT NULL AS assigned
FROM csm.case_as_of(:privacy_case, (SELECT at FROM csm.case_history WHERE case_id = :privacy_case AND action = 'take'));
SELECT intact, links FROM csm.verify_history(:privacy_case);
\connect - postgres
\echo Somebody with all rights over the server switches the triggers off and changes what was said:
\echo
\set ECHO queries
SET session_replication_role = replica;
UPDATE csm.case_history SET payload = jsonb_set(payload, '{right_asked}', '["erasure", "access"]')
WHERE case_id = :privacy_case AND action = 'take';
RESET session_replication_role;
\connect - demo_manager
\set ECHO queries
SELECT intact, broken_seq, what FROM csm.verify_history(:privacy_case);
\set ECHO none
SELECT intact || ', ' || broken_seq AS seen,
       'false, ' || (SELECT seq FROM csm.case_history WHERE case_id = :privacy_case AND action = 'take') AS should
FROM csm.verify_history(:privacy_case) \gset
\set what 'verdict and link'
\ir check.sql
