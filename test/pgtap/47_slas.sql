-- SLAs: attached, paused, resumed, completed by what happens to a case; warnings and breach by time; and what is counted,
-- against a naive definition that goes through the log minute by minute.
\set ON_ERROR_STOP on
SELECT * FROM no_plan();
SET TIME ZONE 'UTC';
SET jit = off;
SELECT setseed(0.48);
\ir ../lib/naive_time.sql
CREATE SCHEMA sla;
SELECT csm.create_tenant('sla', 'Sla', 'boss@sla.example') AS tenant \gset
SELECT csm.create_tenant('other', 'Other', 'boss@other.example') AS other \gset
SELECT u.id AS boss FROM csm.users u WHERE u.tenant_id = :tenant \gset
SELECT u.id AS stranger FROM csm.users u WHERE u.tenant_id = :other \gset
CREATE FUNCTION sla.person(called text, staff_role text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (INSERT INTO csm.users (tenant_id, display_name) VALUES (1, called) RETURNING id),
         r AS (INSERT INTO csm.user_roles (tenant_id, user_id, role) SELECT 1, id, staff_role FROM u WHERE staff_role IS NOT NULL)
    SELECT id FROM u $$;
SELECT sla.person('requester') AS requester, sla.person('nosy') AS nosy, sla.person('agent', 'agent') AS agent,
       sla.person('viewer', 'viewer') AS viewer, sla.person('manager', 'manager') AS manager \gset
INSERT INTO csm.accounts (tenant_id, name) VALUES (:tenant, 'Holding') RETURNING id AS holding \gset
INSERT INTO csm.accounts (tenant_id, name, parent_id) VALUES (:tenant, 'Alpha', :holding) RETURNING id AS alpha \gset
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home) VALUES (:tenant, :requester, :alpha, 'customer', true),
    (:tenant, :nosy, :alpha, 'customer', true);

-- One statement as a person: its first value as text, or the SQLSTATE. What it wrote stays.
CREATE FUNCTION sla.as(person bigint, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', coalesce(person::text, ''), true), set_config('role', role_name, true);
        IF NOT row_security_active('csm.case_slas') THEN
            RAISE EXCEPTION 'row security is not active';
        END IF;
        EXECUTE statement INTO answer;
    EXCEPTION WHEN OTHERS THEN answer := SQLSTATE;
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
CREATE FUNCTION sla.open(person bigint, priority integer DEFAULT 4, more text DEFAULT '') RETURNS bigint LANGUAGE sql AS $$
    SELECT sla.as(person, 'csm_portal', format('SELECT id FROM csm.open_case(%L, priority => %s %s)', 'broken', priority, more))::bigint $$;
CREATE FUNCTION sla.agent_does(of_case bigint, action text, note text DEFAULT NULL, fields text DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT sla.as((SELECT id FROM csm.users WHERE display_name = 'agent'), 'csm_agent',
                  format('SELECT state FROM csm.act(%s, %L, %L, %L)', of_case, action, note, fields)) $$;
-- The log of a case's SLAs as one text: "resolution: attach pause resume".
CREATE FUNCTION sla.log(of_case bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s', type, log), '; ' ORDER BY type, id)
    FROM (SELECT s.id, s.type, string_agg(e.event || coalesce(' ' || e.percent || '%', ''), ' ' ORDER BY e.id) AS log
          FROM csm.case_slas s JOIN csm.sla_events e ON e.case_sla_id = s.id WHERE s.case_id = of_case GROUP BY s.id, s.type) x $$;
CREATE FUNCTION sla.states(of_case bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.type || ' ' || s.state, ', ' ORDER BY s.type, s.id) FROM csm.case_slas s WHERE s.case_id = of_case $$;
CREATE FUNCTION sla.differ() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM csm.verify_slas(1) $$;

-- ---- standard definitions, and the life of a case ----

SELECT sla.open(:requester) AS before_all \gset
SELECT is(sla.log(:before_all), NULL, 'R2.6 a tenant begins without definitions, a case without SLAs');
SELECT is(sla.as(:agent, 'csm_agent', 'SELECT csm.create_standard_slas()'), '42501', 'R2.6 standard definitions: not by agents');
SELECT is(sla.as(:boss, 'csm_admin', 'SELECT csm.create_standard_slas()'), '9', 'R2.6 standard definitions are written');
SELECT is(sla.as(:boss, 'csm_admin', 'SELECT csm.create_standard_slas()'), '0', 'R2.6 and not a second time');

SELECT sla.open(:requester, 3) AS c \gset
SELECT is(sla.log(:c), 'resolution: attach; response: attach', 'R2.6 a new case: response and resolution of its priority');
SELECT is((SELECT string_agg(s.name || ' ' || s.duration_seconds, ', ' ORDER BY s.name) FROM csm.case_slas s WHERE s.case_id = :c),
    'Resolution, priority 3 144000, Response, priority 3 28800', 'R2.6 with the duration of the priority');
SELECT is((SELECT count(*) FROM csm.timers t WHERE t.case_id = :c AND t.kind = 'sla'), 2::bigint, 'R2.6 each has its timer');
SELECT is((SELECT bool_and(s.due_at = s.attached_at + s.duration_seconds * '1 second'::interval AND s.attached_at = c.opened_at)
           FROM csm.case_slas s JOIN csm.cases c ON c.id = s.case_id WHERE s.case_id = :c), true, 'R2.6 due after the duration, from the opening on');
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L, %L)', :c, 'only us', 'internal')) \gset
SELECT is(sla.states(:c), 'resolution running, response running', 'R2.6 a work note is no response');
SELECT sla.as(:requester, 'csm_portal', format('SELECT csm.comment(%s, %L)', :c, 'hurry')) \gset
SELECT is(sla.states(:c), 'resolution running, response running', 'R2.6 nor is the customer''s own comment');
SELECT is(sla.agent_does(:c, 'take'), 'open', 'R2.6 the agent takes the case');
SELECT is(sla.states(:c), 'resolution running, response running', 'R2.6 nor is taking it');
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L)', :c, 'hello')) \gset
SELECT is(sla.states(:c), 'resolution running, response completed', 'R2.6 the first shared entry of staff completes the response');
SELECT is((SELECT s.as_of FROM csm.case_slas s WHERE s.case_id = :c AND s.type = 'response'), (SELECT c.first_response_at FROM csm.cases c WHERE c.id = :c),
    'B45 at first_response_at');
SELECT is((SELECT count(*) FROM csm.timers t WHERE t.case_id = :c AND t.kind = 'sla'), 1::bigint, 'R2.6 what is completed has no timer');
SELECT is(sla.agent_does(:c, 'request_info', 'which one?'), 'awaiting_info', 'T14 information is asked for');
SELECT is(sla.states(:c), 'resolution paused, response completed', 'T14 awaiting information pauses the resolution');
SELECT is((SELECT s.due_at FROM csm.case_slas s WHERE s.case_id = :c AND s.type = 'resolution'), NULL, 'T14 while paused nothing is due');
SELECT is((SELECT count(*) FROM csm.timers t WHERE t.case_id = :c AND t.kind = 'sla'), 0::bigint, 'T14 nor is there a timer');
SELECT sla.as(:requester, 'csm_portal', format('SELECT csm.comment(%s, %L)', :c, 'the blue one')) \gset
SELECT is((SELECT c.state || ', ' || sla.states(c.id) FROM csm.cases c WHERE c.id = :c), 'open, resolution running, response completed', 'T14 the customer''s comment resumes it');
SELECT is(sla.agent_does(:c, 'propose', 'try this', '{"resolution_code": "fixed", "resolution_notes": "turned it on"}'), 'resolved', 'R2.6 a solution is proposed');
SELECT is(sla.states(:c), 'resolution paused, response completed', 'R2.6 it is the customer''s turn: paused');
SELECT is(sla.as(:requester, 'csm_portal', format('SELECT state FROM csm.act(%s, %L, %L)', :c, 'reject', 'no')), 'open', 'R2.6 rejected');
SELECT is(sla.states(:c), 'resolution running, response completed', 'R2.6 reopened: resumed');
SELECT is(sla.agent_does(:c, 'propose', 'and this', '{"resolution_code": "fixed", "resolution_notes": "turned it"}'), 'resolved', 'R2.6 proposed again');
SELECT is(sla.as(:requester, 'csm_portal', format('SELECT state FROM csm.act(%s, %L)', :c, 'accept')), 'closed', 'R2.6 accepted');
SELECT is(sla.log(:c), 'resolution: attach pause resume pause resume pause complete; response: attach complete', 'R2.6 the log tells all of it');
SELECT is((SELECT bool_and(s.elapsed = s.business_elapsed AND s.elapsed = (
               SELECT sum(e.next - e.at) FROM (SELECT e.*, lead(e.at) OVER (ORDER BY e.id) AS next FROM csm.sla_events e WHERE e.case_sla_id = s.id) e
               WHERE e.event IN ('attach', 'resume')))
           FROM csm.case_slas s WHERE s.case_id = :c), true, 'R2.6 pauses are not counted, all else is');
SELECT is((SELECT c.made_sla FROM csm.cases c WHERE c.id = :c), true, 'B45 made_sla: no SLA was missed');
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after a life');

SELECT sla.open(:requester, 2, ', draft => true') AS draft \gset
SELECT is(sla.log(:draft), NULL, 'R2.6 a draft promises nothing');
SELECT is(sla.as(:requester, 'csm_portal', format('SELECT state FROM csm.act(%s, %L)', :draft, 'submit')), 'new', 'R2.6 submitted');
SELECT is(sla.log(:draft), 'resolution: attach; response: attach', 'R2.6 with submission they begin');
SELECT is(sla.as(:requester, 'csm_portal', format('SELECT state FROM csm.act(%s, %L)', :draft, 'cancel')), 'cancelled', 'R2.6 cancelled');
SELECT is(sla.log(:draft), 'resolution: attach cancel; response: attach cancel', 'R2.6 a cancelled case cancels them');

-- nothing is done where nothing matters
SELECT sla.open(:requester, 4) AS quiet \gset
SELECT sla.agent_does(:quiet, 'take') \gset
CREATE TABLE sla.before AS SELECT s.id, s.xmin::text AS version, (SELECT max(e.id) FROM csm.sla_events e) AS last FROM csm.case_slas s WHERE s.case_id = :quiet;
SELECT is(sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET subject = %L, impact = 1, assigned_to = %s WHERE id = %s RETURNING subject', 'other', :agent, :quiet)), 'other', 'B26 a column that no definition reads');
SELECT is((SELECT count(*) FROM csm.case_slas s JOIN sla.before b ON b.id = s.id WHERE b.version = s.xmin::text AND b.last = (SELECT max(e.id) FROM csm.sla_events e)), 2::bigint, 'B26 leaves SLAs alone');

-- ---- where somebody has a trigger on the tables, statements write, and it sees all of it ----

CREATE TABLE sla.seen (relation text, operation text);
CREATE FUNCTION sla.watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO sla.seen VALUES (TG_TABLE_NAME, TG_OP);
    RETURN coalesce(NEW, OLD);
END $$;
CREATE FUNCTION sla.lived(of_case bigint) RETURNS text LANGUAGE sql AS $$
    SELECT sla.agent_does(of_case, 'take') || ' ' || sla.agent_does(of_case, 'request_info', '?') || ' '
           || sla.as((SELECT id FROM csm.users WHERE display_name = 'requester'), 'csm_portal', format('SELECT state FROM csm.act(%s, %L)', of_case, 'cancel'))
           || ' ' || sla.states(of_case) || ' ' || sla.log(of_case) || ' ' || (SELECT count(*) FROM csm.timers t WHERE t.case_id = of_case AND t.kind = 'sla') $$;
SELECT sla.open(:requester, 3) AS plain \gset
SELECT sla.lived(:plain) AS lived \gset
SELECT format('CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON csm.%I FOR EACH ROW EXECUTE FUNCTION sla.watch()', t)
FROM unnest('{case_slas,sla_events,timers}'::text[]) t \gexec
SELECT sla.open(:requester, 3) AS watched \gset
SELECT is(sla.lived(:watched), :'lived', 'B26 a life with triggers on SLAs, log and timers is the same');
SELECT is((SELECT string_agg(format('%s %s', relation, lower(operation)), ', ' ORDER BY relation, operation) FROM (SELECT DISTINCT * FROM sla.seen) s),
    'case_slas insert, case_slas update, sla_events insert, timers delete, timers insert', 'B26 and the triggers saw every write');
SELECT format('DROP TRIGGER watch ON csm.%I', t) FROM unnest('{case_slas,sla_events,timers}'::text[]) t \gexec
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, either way');

-- ---- another definition: nothing counted is lost ----

SELECT sla.open(:requester, 3) AS p \gset
SELECT sla.agent_does(:p, 'take') \gset
SELECT sla.agent_does(:p, 'request_info', '?') \gset
SELECT sla.as(:requester, 'csm_portal', format('SELECT csm.comment(%s, %L)', :p, '!')) \gset
CREATE TABLE sla.p AS SELECT * FROM csm.case_slas WHERE case_id = :p;
SELECT is(sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET priority = 1 WHERE id = %s RETURNING priority', :p)), '1', 'B26 the priority rises');
SELECT is((SELECT string_agg(format('%s %s %s', s.name, s.duration_seconds, s.started_at = b.started_at AND s.id = b.id), ', ' ORDER BY s.name)
           FROM csm.case_slas s LEFT JOIN sla.p b USING (id) WHERE s.case_id = :p AND s.type <> 'update'),
    'Resolution, priority 1 28800 t, Response, priority 3 28800 t', 'B26 what is open goes on under the other definition, since the same instant; what is completed stays');
SELECT matches(sla.log(:p), '^resolution: attach pause resume retarget; response: ', 'B26 their log goes on, the pause in it');
SELECT is((SELECT s.elapsed = (SELECT sum(e.next - e.at) FROM (SELECT e.*, lead(e.at) OVER (ORDER BY e.id) AS next FROM csm.sla_events e WHERE e.case_sla_id = s.id) e
               WHERE e.event IN ('attach', 'resume')) AND s.due_at = s.as_of + '8 hours' - s.elapsed
           FROM csm.case_slas s WHERE s.case_id = :p AND s.type = 'resolution'), true, 'B26 due from what was counted before, without the pause');
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, branches, start_when, stop_when)
VALUES (:tenant, 'consumers', 'response', 60, '{b2c}', '$.state_class == "new"', '$.first_response_at != null');
UPDATE csm.sla_definitions SET priorities = '{1}' WHERE type = 'response' AND name = 'Response, priority 4';
SELECT sla.open(:requester, 1) AS q \gset
SELECT is((SELECT count(*) FROM csm.case_slas s WHERE s.case_id = :q AND s.type = 'response'), 2::bigint, 'B26 two definitions of a type may concern a case');
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET priority = 4 WHERE id = %s RETURNING 1', :q)) \gset
SELECT is((SELECT string_agg(DISTINCT s.state, ', ') FROM csm.case_slas s WHERE s.case_id = :q AND s.type = 'response'), 'cancelled', 'B26 where no definition of the type concerns the case any more it is cancelled');
UPDATE csm.sla_definitions SET priorities = '{4}' WHERE type = 'response' AND name = 'Response, priority 4';
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after other definitions');

-- ---- update SLA: begins anew with each shared entry of staff ----

SELECT sla.open(:requester, 1) AS u \gset
SELECT sla.agent_does(:u, 'take') \gset
SELECT is((SELECT s.started_at = c.updated_at FROM csm.case_slas s JOIN csm.cases c ON c.id = s.case_id WHERE s.case_id = :u AND s.type = 'update'), true, 'B26 update: begins with the work');
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L)', :u, 'one')) \gset
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L, %L)', :u, 'note', 'internal')) \gset
SELECT sla.as(:requester, 'csm_portal', format('SELECT csm.comment(%s, %L)', :u, 'yes?')) \gset
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L)', :u, 'two')) \gset
SELECT is((SELECT split_part(sla.log(:u), 'update: ', 2)), 'attach reset reset', 'B26 update: each shared entry of staff begins it anew, nothing else');
SELECT is((SELECT s.started_at = c.last_response_at AND s.due_at = c.last_response_at + '2 hours' FROM csm.case_slas s JOIN csm.cases c ON c.id = s.case_id
           WHERE s.case_id = :u AND s.type = 'update'), true, 'B26 update: due two hours after the last');
SELECT is((SELECT c.follow_the_sun FROM csm.cases c WHERE c.id = :u), true, 'B45 follow_the_sun: the customer wrote on priority 1');
SELECT is((SELECT c.follow_the_sun FROM csm.cases c WHERE c.id = :c), false, 'B45 follow_the_sun: not on priority 3');
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET follow_the_sun = false, made_sla = false WHERE id = %s RETURNING 1', :u)) \gset
SELECT is((SELECT c.follow_the_sun AND c.made_sla FROM csm.cases c WHERE c.id = :u), true, 'B45 the facts are not for agents to write');

-- ---- warnings and breach ----

SELECT is((SELECT count(*) FROM csm.events e WHERE e.kind IN ('sla_warned', 'sla_breached')), 0::bigint, 'D5 no SLA event yet');
SELECT sla.open(:requester, 2) AS w \gset
SELECT count(*) FROM csm.run_due(statement_timestamp() + '1 hour') \gset
SELECT is(sla.log(:w), 'resolution: attach; response: attach', 'B26 a quarter of four hours: no warning');
SELECT count(*) FROM csm.run_due(statement_timestamp() + '2 hours 1 minute') \gset
SELECT is(sla.log(:w), 'resolution: attach; response: attach warn 50%', 'B26 a warning at half the time');
SELECT is((SELECT e.at - s.started_at FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = :w AND e.event = 'warn'), '2 hours'::interval,
    'B26 it stands in the log at its instant, whenever the timer ran');
SELECT count(*) FROM csm.run_due(statement_timestamp() + '2 hours 1 minute') \gset
SELECT is(sla.log(:w), 'resolution: attach; response: attach warn 50%', 'B26 once');
SELECT count(*) FROM csm.run_due(statement_timestamp() + '4 hours 1 minute') \gset
SELECT is(sla.log(:w), 'resolution: attach; response: attach warn 50% warn 75% breach 100%', 'B26 what was missed is made up for, in order, then the breach');
SELECT is((SELECT s.breached_at - s.started_at FROM csm.case_slas s WHERE s.case_id = :w AND s.type = 'response'), '4 hours'::interval, 'B26 breached when the time was up');
SELECT is((SELECT string_agg(format('%s %s %s', e.kind, e.payload ->> 'percent', e.audience), ', ' ORDER BY e.id) FROM csm.events e WHERE e.case_id = :w AND e.kind LIKE 'sla%'),
    'sla_warned 50 shared, sla_warned 75 shared, sla_breached 100 shared', 'D5 events of an SLA that customers may see');
SELECT is((SELECT c.made_sla FROM csm.cases c WHERE c.id = :w), false, 'B45 made_sla: missed');
SELECT sla.as(:agent, 'csm_agent', format('SELECT csm.comment(%s, %L)', :w, 'sorry')) \gset
SELECT is((SELECT s.state || ' ' || (s.breached_at IS NOT NULL) FROM csm.case_slas s WHERE s.case_id = :w AND s.type = 'response'), 'completed true', 'B26 completed late: still breached');
SELECT count(*) FROM csm.run_due(statement_timestamp() + '15 hours') \gset
SELECT is((SELECT string_agg(DISTINCT format('%s %s', e.kind, e.audience), ', ') FROM csm.events e WHERE e.case_id = :w AND e.payload ->> 'type' = 'resolution'),
    'sla_warned internal', 'D5 events of an SLA that customers may not see are internal');
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after timers');
SELECT is(sla.as(:boss, 'csm_admin', 'SELECT count(*) FROM csm.run_due()') IS NOT NULL, true, 'B26 an administrator runs the timers of his tenant');

INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label) VALUES (:tenant, 'quick', 'case', 'Quick one');
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, case_types, warn_at, start_when, stop_when, visible_to_customer)
VALUES (:tenant, 'one second', 'resolution', 1, '{quick}', '{}', '$.state_class == "new"', '$.state_class == "closed"', false) RETURNING id AS second \gset
SELECT sla.open(:requester, 4, ', case_type => ''quick''') AS late \gset
SELECT is((SELECT string_agg(s.name, ', ' ORDER BY s.name COLLATE "C") FROM csm.case_slas s WHERE s.case_id = :late), 'Resolution, priority 4, Response, priority 4, one second', 'B26 a definition for the case type');
SELECT is((SELECT breached FROM csm.case_sla_status WHERE case_id = :late AND name = 'one second'), false, 'B26 status: not breached yet');
SELECT pg_sleep(1.05) \gset
SELECT is((SELECT breached FROM csm.case_sla_status WHERE case_id = :late AND name = 'one second'), true, 'B26 status: breached by time alone, no timer has run');
SELECT is((SELECT remaining_seconds FROM csm.case_sla_status WHERE case_id = :late AND name = 'one second'), 0::bigint, 'B26 status: nothing left');
SELECT is((SELECT c.made_sla FROM csm.cases c WHERE c.id = :late), true, 'B45 made_sla: nobody noticed yet');
SELECT is(sla.agent_does(:late, 'close', 'done', '{"resolution_code": "fixed", "resolution_notes": "done"}'), 'closed', 'B26 closed too late');
SELECT is((SELECT split_part(log, ' ', 1) || ' ' || log FROM (SELECT string_agg(e.event, ' ' ORDER BY e.id) AS log FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id
           WHERE s.case_id = :late AND s.name = 'one second') x), 'attach attach breach complete', 'B26 a breach that no timer noticed is noticed by the change');
SELECT is((SELECT c.made_sla FROM csm.cases c WHERE c.id = :late), false, 'B45 made_sla: also on the closed case');
SELECT is(sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET subject = %L WHERE id = %s RETURNING 1', 'x', :late)), 'SM004', 'SM004 the closed case is closed for everything else');
SELECT is((SELECT count(*) FROM csm.timers t WHERE t.kind = 'sla' AND t.case_id = :late), 0::bigint, 'B26 what has ended has no timer');

-- ---- conditions ----

PREPARE define(text, jsonpath, jsonpath) AS
    INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, start_when, stop_when) VALUES (1, $1, 'resolution', 60, $2, $3);
SELECT throws_ok($$EXECUTE define('x', '$.no_such_column == 1', '$.state == "closed"')$$, '22023', 'a condition of an SLA names an unknown column "no_such_column"', 'B26 condition: an unknown column');
SELECT throws_ok($$EXECUTE define('x', '$.priority', '$.state == "closed"')$$, '22023', 'a condition of an SLA must be true or false', 'B26 condition: no predicate');
SELECT throws_ok($$EXECUTE define('x', '$ == 1', '$.state == "closed"')$$, '22023', 'a condition of an SLA must name columns', 'B26 condition: the row as a whole');
SELECT throws_ok($$EXECUTE define('x', '$.priority == $p', '$.state == "closed"')$$, '22023', 'a condition of an SLA has no variables', 'B26 condition: a variable');
SELECT throws_ok($$EXECUTE define('x', '$.priority == 1 && exists($.attributes.a ? (@ > $.bad))', '$.state == "closed"')$$, '22023', NULL, 'B26 condition: an unknown column deep inside');
SELECT throws_ok($$EXECUTE define('x', '$.search == 1', '$.state == "closed"')$$, '22023', NULL, 'B26 condition: not over search words');
SELECT throws_ok($$INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, start_when, stop_when) VALUES (1, 'x', 'resolution', 60, '(((', '$.state == "closed"')$$, '42601', NULL, 'B26 condition: no jsonpath');
SELECT throws_ok($$INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, start_when, stop_when, warn_at) VALUES (1, 'x', 'resolution', 60, '$.state == "new"', '$.state == "closed"', '{100}')$$, '23514', NULL, 'B26 definition: a warning at 100 percent is the breach');
SELECT throws_ok($$INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, start_when, stop_when, calendar_from) VALUES (1, 'x', 'resolution', 60, '$.state == "new"', '$.state == "closed"', 'fixed')$$, '23514', NULL, 'B26 definition: fixed needs a calendar');
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, start_when, pause_when, stop_when, reset_when)
VALUES (:tenant, 'by attribute', 'resolution', 3600, '$.attributes.gold == true', '$.subject like_regex "^wait"', '$.attributes.level.double() > 5', '$.impact == 1');
SELECT sla.open(:requester, 4, $$, fields => '{"attributes": {"gold": true, "level": "high"}}'$$) AS attr \gset
SELECT is((SELECT s.state FROM csm.case_slas s WHERE s.case_id = :attr AND s.name = 'by attribute'), 'running', 'B26 condition over attributes; one that fails on the row is false');
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET subject = %L WHERE id = %s RETURNING 1', 'wait for it', :attr)) \gset
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET impact = 1 WHERE id = %s RETURNING 1', :attr)) \gset
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET subject = %L WHERE id = %s RETURNING 1', 'go', :attr)) \gset
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET urgency = 1 WHERE id = %s RETURNING 1', :attr)) \gset
SELECT sla.as(:agent, 'csm_agent', format('UPDATE csm.cases SET attributes = attributes || %L WHERE id = %s RETURNING 1', '{"level": 6}', :attr)) \gset
SELECT is((SELECT string_agg(e.event, ' ' ORDER BY e.id) FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = :attr AND s.name = 'by attribute'),
    'attach pause reset resume complete', 'B26 pause, reset while paused, resume, stop; reset acts once, when it becomes true');
UPDATE csm.sla_definitions SET active = false WHERE name = 'by attribute';
SELECT sla.open(:requester, 4, $$, fields => '{"attributes": {"gold": true}}'$$) AS attr2 \gset
SELECT is((SELECT count(*) FROM csm.case_slas s WHERE s.case_id = :attr2 AND s.name = 'by attribute'), 0::bigint, 'B26 an inactive definition attaches no more');

-- ---- case types inherit ----

INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label) VALUES (:tenant, 'grave', 'quick', 'Grave one'), (:tenant, 'mild', 'quick', 'Mild one');
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, case_types, start_when, stop_when)
VALUES (:tenant, 'mild', 'resolution', 7200, '{mild}', '$.state_class == "new"', '$.state_class == "closed"');
SELECT sla.open(:requester, 4, ', case_type => ''grave''') AS grave, sla.open(:requester, 4, ', case_type => ''mild''') AS mild \gset
SELECT is((SELECT string_agg(s.name, ', ') FROM csm.case_slas s WHERE s.case_id = :grave AND s.name IN ('mild', 'one second')), 'one second', 'B26 a type inherits the definitions of its parent');
SELECT is((SELECT string_agg(s.name, ', ') FROM csm.case_slas s WHERE s.case_id = :mild AND s.name IN ('mild', 'one second')), 'mild', 'B26 unless it has some of its own');

-- ---- whose calendar ----

INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'desk', 'Europe/Berlin') RETURNING id AS desk \gset
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time) SELECT :tenant, :desk, d, '09:00', '17:00' FROM generate_series(1, 5) d;
INSERT INTO csm.calendars (tenant_id, name, time_zone, parent_id) VALUES (:tenant, 'holding', 'Europe/Berlin', :desk) RETURNING id AS holding_desk \gset
INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'never', 'UTC') RETURNING id AS never \gset
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, calendar_from, calendar_id, priorities, start_when, stop_when)
VALUES (:tenant, 'account hours', 'resolution', 360000, 'account', :desk, '{4}', '$.state_class == "new"', '$.state_class == "closed"') RETURNING id AS by_account \gset
SELECT sla.open(:requester, 4) AS k1 \gset
SELECT is((SELECT s.calendar_id FROM csm.case_slas s WHERE s.case_id = :k1 AND s.name = 'account hours'), :desk::bigint, 'B26 no account has a calendar: that of the definition');
UPDATE csm.accounts SET calendar_id = :holding_desk WHERE id = :holding;
SELECT sla.open(:requester, 4) AS k2 \gset
SELECT is((SELECT s.calendar_id FROM csm.case_slas s WHERE s.case_id = :k2 AND s.name = 'account hours'), :holding_desk::bigint, 'B26 the nearest account above has one');
UPDATE csm.accounts SET calendar_id = :never WHERE id = :alpha;
SELECT sla.open(:requester, 4) AS k3 \gset
SELECT is((SELECT format('%s %s', s.calendar_id, s.due_at) FROM csm.case_slas s WHERE s.case_id = :k3 AND s.name = 'account hours'), format('%s infinity', :never), 'B26 the account''s own; one that is never open is never due and hinders nobody');
SELECT is((SELECT s.due_at FROM csm.case_slas s WHERE s.case_id = :k2 AND s.name = 'account hours'),
    csm.business_add(:holding_desk, (SELECT s.attached_at FROM csm.case_slas s WHERE s.case_id = :k2 AND s.name = 'account hours'), 360000), 'B26 due_at = business_add(calendar, start, duration)');

-- a change of the calendar is counted at once, for what inherits from it too
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name)
SELECT :tenant, :desk, d, 'strike' FROM generate_series(current_date, current_date + 30, '1 day') d;
SELECT is((SELECT count(*) FROM csm.case_slas s WHERE s.case_id IN (:k1, :k2) AND s.name = 'account hours'
             AND s.due_at = csm.business_add(s.calendar_id, s.as_of, s.duration_seconds - extract(epoch FROM s.business_elapsed)::bigint)
             AND s.due_at > now() + '30 days'), 2::bigint, 'B26 a month of holidays moves what is due, also through a parent');
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after the calendar changed');
SELECT is((SELECT count(*) FROM csm.timers t JOIN csm.case_slas s ON s.id = t.object_id WHERE t.kind = 'sla' AND s.case_id IN (:k1, :k2) AND s.name = 'account hours'
             AND t.due_at > now() + '30 days'), 2::bigint, 'B26 and the timers');
DELETE FROM csm.calendar_exceptions WHERE calendar_id = :desk;
SELECT is((SELECT string_agg(DISTINCT e.event, ', ') FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = :k1 AND s.name = 'account hours' AND e.event <> 'attach'), 'reckon', 'B26 the log tells that the calendar changed');
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time) SELECT :tenant, :never, d, '00:00', '24:00' FROM generate_series(1, 7) d;
SELECT is((SELECT isfinite(s.due_at) FROM csm.case_slas s WHERE s.case_id = :k3 AND s.name = 'account hours'), true, 'B26 a calendar that opens makes it due');
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after it opened');

-- a changed definition
UPDATE csm.sla_definitions SET duration_seconds = 720000 WHERE id = :by_account;
SELECT is((SELECT s.duration_seconds FROM csm.case_slas s WHERE s.case_id = :k3 AND s.name = 'account hours'), 360000::bigint, 'B26 a changed definition leaves what is attached');
SELECT is(sla.as(:agent, 'csm_agent', format('SELECT csm.retarget_slas(%s)', :by_account)), '42501', 'B26 retarget_slas: not by agents');
SELECT is(sla.as(:stranger, 'csm_admin', format('SELECT csm.retarget_slas(%s)', :by_account)), '22023', 'V13 retarget_slas: another tenant''s definition is no definition');
SELECT isnt(sla.as(:boss, 'csm_admin', format('SELECT csm.retarget_slas(%s)', :by_account)), '0', 'B26 retarget_slas: by administrators');
SELECT is((SELECT format('%s %s', s.duration_seconds, s.due_at = csm.business_add(s.calendar_id, s.attached_at, 720000)) FROM csm.case_slas s WHERE s.case_id = :k3 AND s.name = 'account hours'), '720000 t', 'B26 retarget_slas: goes on as the definition is now');
SELECT is(sla.differ(), 0::bigint, 'B26 recomputed = stored, after retargeting');

-- the calendar of the entitlement
INSERT INTO csm.entitlements (tenant_id, name, account_id, calendar_id) VALUES (:tenant, 'gold', :alpha, :desk) RETURNING id AS gold \gset
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, calendar_from, priorities, start_when, stop_when)
VALUES (:tenant, 'entitled', 'resolution', 3600, 'entitlement', '{4}', '$.state_class == "new"', '$.state_class == "closed"');
SELECT sla.open(:requester, 4) AS e1 \gset
SELECT is((SELECT s.calendar_id FROM csm.case_slas s WHERE s.case_id = :e1 AND s.name = 'entitled'), (SELECT :desk WHERE EXISTS (SELECT FROM csm.cases c WHERE c.id = :e1 AND c.entitlement_id = :gold))::bigint,
    'B26 the calendar of the entitlement, where the case has one');
UPDATE csm.cases SET entitlement_id = NULL WHERE id = :e1;
SELECT is((SELECT s.calendar_id FROM csm.case_slas s WHERE s.case_id = :e1 AND s.name = 'entitled'), NULL, 'B26 without entitlement around the clock');
UPDATE csm.cases SET entitlement_id = :gold WHERE id = :e1;
SELECT is((SELECT s.calendar_id FROM csm.case_slas s WHERE s.case_id = :e1 AND s.name = 'entitled'), :desk::bigint, 'B26 with another entitlement another calendar counts');

-- ---- what is stored can be checked ----

UPDATE csm.case_slas SET business_elapsed = business_elapsed + '1 microsecond' WHERE case_id = :c AND type = 'resolution' RETURNING id AS tampered, business_elapsed - '1 microsecond'::interval AS right_value \gset
SELECT is(sla.as(:boss, 'csm_admin', 'SELECT string_agg(v::text, '','') FROM csm.verify_slas() v'), :'tampered', 'B26 verify_slas names the one that was changed');
SELECT is((csm.recompute_sla(:tampered)).business_elapsed, :'right_value'::interval, 'B26 recompute_sla puts it right');
SELECT is(sla.differ(), 0::bigint, 'B26 and nothing differs');
SELECT is(sla.as(:stranger, 'csm_admin', format('SELECT csm.recompute_sla(%s)', :tampered)), '22023', 'V13 recompute_sla: another tenant''s SLA is none');
SELECT throws_ok('UPDATE csm.sla_events SET at = at', '42501', NULL, 'B26 the log is append-only: no UPDATE');
SELECT throws_ok('DELETE FROM csm.sla_events', '42501', NULL, 'B26 the log is append-only: no DELETE');
SELECT throws_ok('TRUNCATE csm.sla_events', '42501', NULL, 'B26 the log is append-only: no TRUNCATE');

-- ---- who sees what ----

SELECT is(sla.as(:requester, 'csm_portal', format('SELECT string_agg(name, '','') FROM csm.case_slas WHERE case_id = %s', :w)), 'Response, priority 2', 'B26 the customer sees what is marked for him');
SELECT is(sla.as(:requester, 'csm_portal', format('SELECT string_agg(name || state, '','') FROM csm.case_sla_status WHERE case_id = %s', :w)), 'Response, priority 2completed', 'B26 the customer sees its status');
SELECT is(sla.as(:nosy, 'csm_portal', format('SELECT count(*) FROM csm.case_slas WHERE case_id = %s', :w)), '0', 'V3 a colleague who does not see the case sees no SLA of it');
SELECT is(sla.as(:agent, 'csm_agent', format('SELECT count(*) FROM csm.case_slas WHERE case_id = %s', :w)), '2', 'V9 an agent sees all SLAs of the case');
SELECT is(sla.as(:viewer, 'csm_agent', format('SELECT count(*) FROM csm.case_sla_status WHERE case_id = %s', :w)), '2', 'V9 a viewer too');
SELECT is(sla.as(:requester, 'csm_agent', format('SELECT count(*) FROM csm.case_slas WHERE case_id = %s', :w)), '1', 'B26 a customer is none of the staff, whatever role he connects with');
SELECT is(sla.as(:requester, 'csm_agent', format('SELECT count(*) FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = %s', :w)), '0', 'B26 nor does he read the log');
SELECT is(sla.as(:viewer, 'csm_agent', format('SELECT count(*) > 3 FROM csm.sla_events e JOIN csm.case_slas s ON s.id = e.case_sla_id WHERE s.case_id = %s', :w)), 'true', 'V9 staff read the log');
SELECT is(sla.as(:viewer, 'csm_reporter', format('SELECT count(*) FROM csm.case_sla_status WHERE case_id = %s', :w)), '2', 'V9 reporting sees them');
SELECT is(sla.as(:stranger, 'csm_admin', 'SELECT count(*) FROM csm.case_slas'), '0', 'V13 another tenant sees none');
SELECT is(sla.as(:stranger, 'csm_admin', 'SELECT count(*) FROM csm.sla_definitions'), '0', 'V13 nor definitions');
SELECT is(sla.as(NULL, 'csm_agent', 'SELECT count(*) FROM csm.case_sla_status'), '0', 'V14 nobody sees none');
SELECT is(sla.as(:requester, 'csm_portal', 'SELECT count(*) FROM csm.sla_definitions'), '42501', 'B26 the portal reads no definitions');
SELECT is(sla.as(:requester, 'csm_portal', 'SELECT count(*) FROM csm.sla_events'), '42501', 'B26 nor the log');
SELECT is(sla.as(:agent, 'csm_agent', 'UPDATE csm.case_slas SET due_at = now() RETURNING 1'), '42501', 'B26 nobody writes SLAs');
SELECT is(sla.as(:manager, 'csm_agent', 'UPDATE csm.sla_definitions SET duration_seconds = 1 RETURNING 1'), '42501', 'B26 nor definitions, but administrators');
SELECT is(sla.as(:boss, 'csm_admin', 'UPDATE csm.sla_definitions SET duration_seconds = 61 WHERE name = ''consumers'' RETURNING 1'), '1', 'B26 administrators do');

-- ---- import ----

SET csm.importing = on;
INSERT INTO csm.cases (tenant_id, number, branch, case_type, state, priority, subject, requester_id, opened_at)
VALUES (:tenant, 'OLD1', 'internal', 'case', 'open', 1, 'old', :agent, '2020-01-01') RETURNING id AS imported \gset
RESET csm.importing;
SELECT is(sla.log(:imported), NULL, 'B26 an imported case brings no SLA');

-- ---- the log against a naive definition, minute by minute ----

-- Logs of random changes around changes of the clocks (in years to come, so that "now" lies before them), written into the
-- tables by hand; what they give is reckoned naively and by csm.
CREATE TABLE sla.zone (zone text, at timestamptz);
INSERT INTO sla.zone VALUES ('Europe/Berlin', '2032-03-28 01:00Z'), ('America/New_York', '2032-11-07 06:00Z'),
    ('Australia/Lord_Howe', '2032-10-02 15:30Z'), ('America/Havana', '2032-11-07 05:00Z'), ('Asia/Beirut', '2032-03-27 22:00Z');
CREATE FUNCTION sla.random_calendar(zone text, n integer, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    c bigint;
BEGIN
    INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (1, zone || n, zone) RETURNING id INTO c;
    -- a split shift on most days, some of it over midnight
    INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
    SELECT 1, c, d, time '00:00' + floor(random() * 600) * interval '1 minute', time '00:00' + (600 + floor(random() * 240)) * interval '1 minute'
    FROM generate_series(1, 7) d WHERE random() < 0.8;
    INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
    SELECT 1, c, d, time '15:00' + floor(random() * 300) * interval '1 minute', time '00:30' + floor(random() * 300) * interval '1 minute'
    FROM generate_series(1, 7) d WHERE random() < 0.7;
    INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name)
    SELECT 1, c, at::date + d, 'off' FROM generate_series(-1, 2) d WHERE random() < 0.25;
    RETURN c;
END $$;
CREATE TABLE sla.calendar AS SELECT sla.random_calendar(z.zone, n, z.at) AS id, z.zone, z.at FROM sla.zone z, generate_series(1, 2) n;
SELECT count(naive.watch(c.id, c.zone, c.at - '36 hours'::interval, c.at + '60 hours'::interval)) FROM sla.calendar c \gset
CREATE TABLE sla.trial (id bigint PRIMARY KEY, calendar bigint, duration bigint);
CREATE FUNCTION sla.random_log(calendar bigint, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s bigint;
    duration bigint := 60 * (1 + floor(random() * 1500)::bigint);
    instant timestamptz := at - '36 hours'::interval + floor(random() * 600) * '1 minute'::interval;
    state text := 'running';
    event text := 'attach';
    first_calendar bigint := (SELECT c.id FROM sla.calendar c ORDER BY random() LIMIT 1);
    changes boolean := random() < 0.4;
BEGIN
    INSERT INTO csm.case_slas (tenant_id, case_id, definition_id, name, type, visible_to_customer, calendar_id, duration_seconds, state,
                               attached_at, started_at, as_of, elapsed, business_elapsed)
    SELECT 1, c.id, d.id, 'trial', d.type, false, calendar, duration, 'running', instant, instant, instant, '0', '0'
    FROM csm.cases c, csm.sla_definitions d WHERE c.subject = 'broken' AND c.state = 'open' AND d.name = 'Resolution, priority 4' LIMIT 1
    RETURNING id INTO s;
    LOOP
        INSERT INTO csm.sla_events (tenant_id, case_sla_id, at, event, percent, definition_id, calendar_id, duration_seconds)
        SELECT 1, s, instant, event, CASE event WHEN 'warn' THEN 50 WHEN 'breach' THEN 100 END,
               CASE WHEN event IN ('attach', 'retarget') THEN 1 END,
               CASE WHEN event = 'retarget' OR event = 'attach' AND NOT changes THEN calendar WHEN event = 'attach' THEN first_calendar END,
               CASE WHEN event = 'retarget' OR event = 'attach' AND NOT changes THEN duration WHEN event = 'attach' THEN duration * 2 + 60 END;
        state := CASE event WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'running' WHEN 'complete' THEN 'ended' WHEN 'cancel' THEN 'ended' ELSE state END;
        instant := instant + floor(random() ^ 2 * 900) * '1 minute'::interval;
        EXIT WHEN state = 'ended' OR instant > at + '36 hours'::interval;
        event := CASE WHEN state = 'paused' THEN naive.pick('resume', 'resume', 'resume', 'reset', 'retarget', 'complete', 'reckon')
                      ELSE naive.pick('pause', 'pause', 'pause', 'pause', 'reset', 'retarget', 'warn', 'breach', 'complete', 'cancel') END;
        changes := changes AND event <> 'retarget';
        -- the last target is the one that counts: it is the trial's
        IF event IN ('complete', 'cancel') AND changes THEN
            event := 'retarget';
            changes := false;
        END IF;
    END LOOP;
    IF changes THEN
        INSERT INTO csm.sla_events (tenant_id, case_sla_id, at, event, definition_id, calendar_id, duration_seconds)
        SELECT 1, s, max(e.at), 'retarget', 1, calendar, duration FROM csm.sla_events e WHERE e.case_sla_id = s;
    END IF;
    INSERT INTO sla.trial VALUES (s, calendar, duration);
END $$;
CREATE FUNCTION naive.pick(VARIADIC options text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT options[1 + floor(random() * cardinality(options))::integer] $$;
SELECT count(sla.random_log(c.id, c.at)) FROM sla.calendar c, generate_series(1, 30) \gset
SELECT count(csm.recompute_sla(t.id)) FROM sla.trial t \gset
SELECT is(sla.differ(), 0::bigint, 'B26 random logs: recomputed = stored');

-- Naively: every minute up to the last event of the log belongs to the last change of state before it; it counts if that
-- left the SLA running, and if it lies after the last reset.
CREATE TABLE sla.minute AS
SELECT t.id, m.at, m.open, e.running
FROM sla.trial t
CROSS JOIN LATERAL (SELECT min(e.at) AS begins, max(e.at) AS ends FROM csm.sla_events e WHERE e.case_sla_id = t.id) x
CROSS JOIN LATERAL (SELECT max(e.at) AS since FROM csm.sla_events e WHERE e.case_sla_id = t.id AND e.event IN ('attach', 'reset')) r
JOIN naive.minute m ON m.calendar = t.calendar AND m.at >= r.since AND m.at < x.ends
CROSS JOIN LATERAL (SELECT e.event IN ('attach', 'resume') AS running FROM csm.sla_events e
                    WHERE e.case_sla_id = t.id AND e.at <= m.at AND e.event IN ('attach', 'pause', 'resume', 'complete', 'cancel')
                    ORDER BY e.id DESC LIMIT 1) e;
CREATE TABLE sla.naive AS
SELECT t.id, t.calendar, t.duration, coalesce(60 * count(*) FILTER (WHERE m.running), 0) AS elapsed,
       coalesce(60 * count(*) FILTER (WHERE m.running AND m.open), 0) AS business,
       (SELECT n.at + '1 minute'::interval FROM (SELECT n.at, 60 * count(*) OVER (ORDER BY n.at) AS counted FROM sla.minute n
                                                WHERE n.id = t.id AND n.running AND n.open) n WHERE n.counted = t.duration) AS breached_at
FROM sla.trial t LEFT JOIN sla.minute m ON m.id = t.id GROUP BY t.id, t.calendar, t.duration;
SELECT cmp_ok((SELECT count(*) FROM sla.naive WHERE breached_at IS NOT NULL), '>', 20::bigint, 'B26 random logs: some are breached');
SELECT cmp_ok((SELECT count(*) FROM sla.naive WHERE breached_at IS NULL AND business > 0), '>', 20::bigint, 'B26 random logs: some are not');
SELECT cmp_ok((SELECT count(*) FROM sla.naive WHERE business < elapsed), '>', 20::bigint, 'B26 random logs: some run over closed hours');
SELECT is((SELECT count(*) FROM sla.naive n JOIN csm.case_slas s USING (id) WHERE s.elapsed <> n.elapsed * '1 second'::interval), 0::bigint, 'B26 random logs: elapsed is the naive count');
SELECT is((SELECT count(*) FROM sla.naive n JOIN csm.case_slas s USING (id) WHERE s.business_elapsed <> n.business * '1 second'::interval), 0::bigint, 'B26 random logs: open time is the naive count');
SELECT is((SELECT count(*) FROM sla.naive n JOIN csm.case_slas s USING (id) WHERE s.breached_at IS DISTINCT FROM n.breached_at), 0::bigint, 'B26 random logs: breached when the naive count reaches the duration');
SELECT is((SELECT count(*) FROM sla.naive n JOIN csm.case_slas s USING (id) WHERE (n.business >= n.duration) <> (s.breached_at IS NOT NULL)), 0::bigint, 'B26 random logs: breached means that not less than the duration was counted');
SELECT is((SELECT count(*) FROM sla.naive n JOIN csm.case_slas s USING (id)
           WHERE s.state = 'running' AND n.business < n.duration AND isfinite(s.due_at) AND s.due_at <= (SELECT max(m.at) FROM naive.minute m WHERE m.calendar = n.calendar)
             AND s.due_at <> (SELECT min(m.at) FROM naive.minute m WHERE m.calendar = n.calendar AND m.at >= s.as_of
                                AND naive.seconds(n.calendar, s.as_of, m.at) = n.duration - n.business)), 0::bigint, 'B26 random logs: due at the first minute that completes the duration');
SELECT cmp_ok((SELECT count(*) FROM csm.case_slas s JOIN sla.trial t USING (id) WHERE s.state = 'running' AND s.breached_at IS NULL), '>', 10::bigint, 'B26 random logs: some are running');
SELECT * FROM finish();
