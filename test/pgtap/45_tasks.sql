-- Tasks, lines and blocks: who sees and writes them, their states, what they keep a case from, what calls attention.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- The whole of what a client is told, with the numbers of the case taken out.
CREATE FUNCTION pg_temp.told(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    m text; d text; h text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', small.u(person)::text, true), set_config('role', role_name, true);
        EXECUTE statement;
        RAISE EXCEPTION 'nothing was refused';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        answer := format('%s | %s | %s | %s', SQLSTATE, m, d, h);
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.code(answer text) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN answer ~ '^ERROR' THEN substr(answer, 7, 5) ELSE answer END $$;
CREATE FUNCTION pg_temp.try(person text, role_name text, statement text, keep boolean DEFAULT false) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_temp.code(small.run(small.u(person), role_name, statement, NULL, keep)) $$;
-- One case whatever happened to it: written by the system.
CREATE FUNCTION pg_temp.reset(of_case text, of_state text DEFAULT 'open') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    UPDATE csm.cases SET state = of_state, needs_attention = false WHERE id = small.c(of_case);
    PERFORM set_config('csm.importing', 'off', true);
END $$;
CREATE FUNCTION pg_temp.now(of_case text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SELECT concat_ws('' '', %s) FROM csm.cases WHERE id = %s', columns, small.c(of_case)) INTO answer;
    RETURN answer;
END $$;

-- People for tasks: a doer without any reach over b2b cases, and a group.
SELECT small.new_staff('back office', 'consumer_agent'), small.new_staff('second line', 'viewer', NULL, '{internal}');
INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'Warehouse') RETURNING id AS warehouse \gset
INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (small.tenant(), :warehouse, small.u('second line')), (small.tenant(), :warehouse, small.u('north colleague'));

-- ---- opening ----
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, 'Order a pump')
          RETURNING concat_ws(' ', number = 'CT' || lpad(id::text, 7, '0'), branch, state, blocking, visible_to_customer, priority, opened_by = %s)$$, small.c('north: pump'), small.u('b2b agent'))),
          't b2b open t f 4 t', 'B27 an agent opens a task; csm stamps it');
SELECT is(pg_temp.try(v.who, v.role_name, format('INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, ''x'') RETURNING state', small.c('north: pump'))), v.outcome,
          format('B27 opening a task by %s as %s', v.who, v.role_name))
FROM (VALUES ('desk manager', 'csm_agent', 'open'), ('account team', 'csm_agent', 'open'), ('consumer agent', 'csm_agent', '42501'), ('viewer', 'csm_agent', '42501'),
             ('contributor', 'csm_agent', '42501'), ('desk admin', 'csm_agent', '42501'), ('desk admin', 'csm_admin', '42501'), ('north contact', 'csm_portal', '42501'),
             ('north admin', 'csm_portal', '42501'), ('b2b agent', 'csm_portal', '42501'), ('north admin', 'csm_agent', '42501')) v(who, role_name, outcome);
SELECT is(replace(pg_temp.told('consumer agent', 'csm_agent', format('INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, ''x'')', small.c('north: pump'))), small.c('north: pump')::text, 'N'),
          replace(pg_temp.told('consumer agent', 'csm_agent', 'INSERT INTO csm.case_tasks (case_id, subject) VALUES (987654321, ''x'')'), '987654321', 'N'),
          'V15 a task on a hidden case and on a missing one: the same words');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$INSERT INTO csm.case_tasks (case_id, subject, priority) VALUES (%s, 'x', 5)$$, small.c('north: pump'))), '23514', '23514 a priority beyond 4');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, '  ')$$, small.c('north: pump'))), '23514', '23514 a blank subject');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$INSERT INTO csm.case_tasks (case_id, subject, state) VALUES (%s, 'x', 'closed')$$, small.c('north: pump'))), '42501', '42501 the first state is not the client''s to choose');
SELECT throws_ok(format($$INSERT INTO csm.case_tasks (tenant_id, case_id, subject, state) VALUES (%s, %s, 'x', 'closed')$$, small.tenant(), small.c('north: pump')), 'SM002', NULL, 'SM002 nor a superuser''s');
SELECT throws_ok(format($$INSERT INTO csm.case_tasks (tenant_id, case_id, subject) VALUES (%s, %s, 'x')$$, small.tenant('foreign'), small.c('north: pump')), '42501', NULL, 'V13 no task across tenants, whoever writes');

-- ---- sight: T10 ----
CREATE FUNCTION pg_temp.new_task(of_subject text, on_case text, flag boolean DEFAULT false, of_blocking boolean DEFAULT false, to_person text DEFAULT NULL, to_group bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
    WITH t AS (INSERT INTO csm.case_tasks (tenant_id, case_id, subject, visible_to_customer, blocking, assigned_to, assigned_group_id)
               VALUES (small.tenant(), small.c(on_case), of_subject, flag, of_blocking, CASE WHEN to_person IS NOT NULL THEN small.u(to_person) END, to_group) RETURNING id)
    INSERT INTO small.named SELECT 'task', of_subject, id FROM t RETURNING id
$$;
CREATE FUNCTION pg_temp.t(text) RETURNS bigint LANGUAGE sql AS $$ SELECT small.id('task', $1) $$;
SELECT count(pg_temp.new_task(v.a, v.b, v.c, v.d, v.e, v.f)) FROM (VALUES
    ('hidden', 'north: pump', false, false, NULL, NULL::bigint), ('flagged', 'north: pump', true, false, NULL, NULL),
    ('of office', 'north: pump', false, false, 'back office', NULL), ('of warehouse', 'north: pump', false, false, NULL, :warehouse),
    ('of colleague', 'north: pump', false, false, 'north colleague', NULL),
    ('dispute flagged', 'dispute: globex', true, false, NULL, NULL), ('refund flagged', 'stranger: refund', true, false, NULL, NULL)) v(a, b, c, d, e, f) \g /dev/null
INSERT INTO csm.case_parties (tenant_id, case_id, user_id) VALUES (small.tenant(), small.c('north: pump'), small.u('student'));
CREATE FUNCTION pg_temp.tasks(person text, role_name text, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, $q$SELECT string_agg(subject, ',' ORDER BY id) FROM csm.case_tasks$q$, persona) $$;
SELECT is(pg_temp.tasks(v.who, v.role_name, v.persona), v.seen, format('T10 tasks that %s sees as %s%s', v.who, v.role_name, coalesce(' narrowed to ' || v.persona, '')))
FROM (VALUES
    ('north contact', 'csm_portal', 'flagged', NULL), ('north manager', 'csm_portal', 'flagged,dispute flagged', NULL), ('holding manager', 'csm_portal', 'flagged,dispute flagged', NULL),
    ('north contact', 'csm_agent', 'flagged', NULL), ('student', 'csm_portal', 'flagged', NULL), ('broker admin', 'csm_portal', 'flagged,dispute flagged', NULL),
    ('north colleague', 'csm_portal', NULL, NULL), ('north colleague', 'csm_agent', NULL, NULL), ('south admin', 'csm_portal', NULL, NULL),
    ('globex manager', 'csm_portal', NULL, NULL), ('globex manager', 'csm_agent', NULL, NULL), ('stranger', 'csm_portal', 'refund flagged', NULL),
    ('b2b agent', 'csm_agent', 'hidden,flagged,of office,of warehouse,of colleague,dispute flagged', NULL), ('b2b agent', 'csm_portal', NULL, NULL),
    ('account team', 'csm_agent', 'hidden,flagged,of office,of warehouse,of colleague,dispute flagged', NULL),
    ('desk manager', 'csm_admin', 'hidden,flagged,of office,of warehouse,of colleague,dispute flagged,refund flagged', NULL),
    ('viewer', 'csm_agent', 'flagged,dispute flagged,refund flagged', NULL), ('desk admin', 'csm_admin', NULL, NULL),
    ('back office', 'csm_agent', 'of office,refund flagged', NULL), ('back office', 'csm_portal', NULL, NULL),
    ('second line', 'csm_agent', 'of warehouse', NULL), ('second line', 'csm_agent', 'of warehouse', 'staff:viewer'), ('consumer agent', 'csm_agent', 'refund flagged', NULL),
    ('nobody', 'csm_portal', NULL, NULL), ('nobody', 'csm_agent', NULL, NULL)) v(who, role_name, seen, persona);
SELECT is(pg_temp.try('back office', 'csm_agent', format('SELECT count(*) FROM csm.cases WHERE id = %s', small.c('north: pump'))), '0', 'B27 the assignee of a task sees the task, not the case');
BEGIN;
UPDATE csm.user_roles SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE user_id = small.u('second line');
SELECT is(pg_temp.tasks('second line', 'csm_agent'), NULL, 'V10 who is staff no more sees no task of his group');
ROLLBACK;
SELECT is(pg_temp.tasks('second line', 'csm_agent'), 'of warehouse', 'V10 and again with the role');
SELECT is(small.run(NULL, 'csm_portal', $$SELECT string_agg(subject, ',') FROM csm.case_tasks$$), NULL, 'V14 nobody sees no task');

-- ---- states: every change, for who works on the case, its assignee, and the system ----
CREATE FUNCTION pg_temp.change(person text, from_state text, to_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    made bigint;
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.case_tasks (tenant_id, case_id, subject, state, blocking, assigned_to, closed_at)
    VALUES (small.tenant(), small.c('north: valve'), 'x', from_state, false, small.u('back office'), CASE WHEN from_state ~ '^c' THEN now() END) RETURNING id INTO made;
    PERFORM set_config('csm.importing', 'off', true);
    IF person = 'system' THEN
        BEGIN
            UPDATE csm.case_tasks SET state = to_state WHERE id = made RETURNING state INTO answer;
        EXCEPTION WHEN OTHERS THEN answer := SQLSTATE;
        END;
        RETURN answer;
    END IF;
    RETURN pg_temp.try(person, 'csm_agent', format('UPDATE csm.case_tasks SET state = %L WHERE id = %s RETURNING state', to_state, made));
END $$;
BEGIN;
SELECT is(pg_temp.change(w, f, t), CASE WHEN w = 'viewer' THEN NULL WHEN f ~ '^c' THEN 'SM004' ELSE t END, format('B27 %s→%s by %s', f, t, w))
FROM unnest('{b2b agent,back office,system,viewer}'::text[]) w, unnest('{open,in_progress,closed,cancelled}'::text[]) f, unnest('{open,in_progress,closed,cancelled}'::text[]) t;
ROLLBACK;
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET state = ''gone'' WHERE id = %s', pg_temp.t('hidden'))), '23514', '23514 an unknown state');
SELECT is(pg_temp.try('back office', 'csm_agent', format($$UPDATE csm.case_tasks SET state = 'closed', close_notes = 'Sent' WHERE id = %s
          RETURNING concat_ws(' ', state, closed_by = %s, closed_at IS NOT NULL)$$, pg_temp.t('of office'), small.u('back office'))), 'closed t t', 'B27 the assignee closes his task');
SELECT is(pg_temp.try('back office', 'csm_agent', format($$UPDATE csm.case_tasks SET assigned_to = NULL WHERE id = %s$$, pg_temp.t('of office'))), '42501', '42501 who does not work on the case cannot push his task away');
SELECT is(pg_temp.try('second line', 'csm_agent', format($$UPDATE csm.case_tasks SET assigned_to = %s WHERE id = %s RETURNING 'taken'$$, small.u('second line'), pg_temp.t('of warehouse'))), 'taken', 'B27 a member of the group takes the task');
SELECT is(pg_temp.try('second line', 'csm_agent', format($$UPDATE csm.case_tasks SET subject = 'x' WHERE id = %s RETURNING 1$$, pg_temp.t('hidden'))), NULL, 'B27 and no other');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET case_id = %s WHERE id = %s', small.c('north: valve'), pg_temp.t('hidden'))), '42501', '42501 a task stays on its case');
SELECT throws_ok(format('UPDATE csm.case_tasks SET %s WHERE id = %s', c, pg_temp.t('hidden')), '42501', NULL, '42501 whoever writes: ' || c)
FROM unnest('{case_id = case_id + 1,number = ''x'',opened_by = NULL,closed_at = now()}'::text[]) c WHERE c <> 'opened_by = NULL';
SELECT throws_ok(format('DELETE FROM csm.case_tasks WHERE id = %s', pg_temp.t('hidden')), '42501', NULL, 'B27 tasks are never deleted');
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('DELETE FROM csm.case_tasks WHERE id = %s', pg_temp.t('hidden'))), '42501', 'B27 nor by a manager');

-- ---- what blocks: B36, R 2.5 ----
SELECT pg_temp.reset('north: valve') \g /dev/null
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, 'Blocking') RETURNING id$$, small.c('north: valve')), true) ~ '^\d+$', true, 'B27 a blocking task');
SELECT id AS blocker FROM csm.case_tasks WHERE subject = 'Blocking' \gset
CREATE FUNCTION pg_temp.blocks(of_case text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', reason, (SELECT display_name FROM csm.users u WHERE u.id = b.blocked_by), CASE WHEN unblocked_at IS NOT NULL THEN 'ended by ' || coalesce((SELECT display_name FROM csm.users u WHERE u.id = b.unblocked_by), 'system') END), ', ' ORDER BY id)
    FROM csm.case_blocks b WHERE case_id = small.c(of_case) $$;
CREATE FUNCTION pg_temp.status(person text, role_name text, of_case text) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format($q$SELECT concat_ws(' ', action_status, blocked_by_reasons::text) FROM csm.case_action_status WHERE case_id = %s$q$, small.c(of_case))) $$;
SELECT is(pg_temp.blocks('north: valve'), 'task b2b agent', 'R2.5 an open blocking task blocks its case');
SELECT is(pg_temp.status(v.who, v.role_name, 'north: valve'), v.seen, format('B36 action status for %s as %s', v.who, v.role_name))
FROM (VALUES ('b2b agent', 'csm_agent', 'blocked {task}'), ('north colleague', 'csm_portal', 'blocked {task}'), ('viewer', 'csm_agent', 'blocked {task}'), ('south admin', 'csm_portal', NULL)) v(who, role_name, seen);

-- Nobody resolves or closes it meanwhile, however he writes.
SELECT is(pg_temp.try(v.who, v.role_name, replace(v.statement, '$c', small.c('north: valve')::text)), 'SM002', format('B27 refused while a blocking task is open: %s by %s', v.what, v.who))
FROM (VALUES ('propose', 'b2b agent', 'csm_agent', $$SELECT csm.act($c, 'propose', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$),
             ('close', 'b2b agent', 'csm_agent', $$SELECT csm.act($c, 'close', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$),
             ('close', 'desk manager', 'csm_agent', $$SELECT csm.act($c, 'close', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$),
             ('close', 'north colleague', 'csm_portal', $$SELECT csm.act($c, 'close')$$),
             ('UPDATE to resolved', 'b2b agent', 'csm_agent', $$UPDATE csm.cases SET state = 'resolved', resolution_code = 'x', resolution_notes = 'y' WHERE id = $c$$),
             ('UPDATE to closed', 'b2b agent', 'csm_agent', $$UPDATE csm.cases SET state = 'closed', resolution_code = 'x', resolution_notes = 'y' WHERE id = $c$$)) v(what, who, role_name, statement);
SELECT pg_temp.reset('north: valve', 'resolved') \g /dev/null
SELECT throws_ok(format('UPDATE csm.cases SET state = ''closed'' WHERE id = %s', small.c('north: valve')), 'SM002', NULL, 'B27 nor the system, which closes what time resolved');
SELECT is(pg_temp.try('north colleague', 'csm_portal', format('SELECT csm.act(%s, ''accept'')', small.c('north: valve'))), 'SM002', 'B27 nor the customer who accepts (an imported case)');
SELECT pg_temp.reset('north: valve') \g /dev/null
SELECT alike(pg_temp.told('b2b agent', 'csm_agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$, small.c('north: valve'))),
            format('%%Task CT%s is open.%%', lpad(:'blocker', 7, '0')), 'SM002 who works on the case is told which task it is');
SELECT unalike(pg_temp.told('north colleague', 'csm_portal', format($$SELECT csm.act(%s, 'close')$$, small.c('north: valve'))), '%CT0%', 'SM002 who asks for service is not');
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT (csm.act(%s, ''request_info'', ''which?'')).state', small.c('north: valve'))), 'awaiting_info', 'B27 other work goes on');

-- Its end: attention, and the way is free.
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET state = ''closed'' WHERE id = %s RETURNING state', :blocker), true), 'closed', 'B27 the task is closed');
SELECT is(pg_temp.blocks('north: valve'), 'task b2b agent ended by b2b agent', 'R2.5 with the task ends the block, which is kept');
SELECT is(pg_temp.now('north: valve', 'needs_attention'), 't', 'R2.5 the end of a block calls attention');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'needs_attention {}', 'B36 action status: somebody must look');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'propose', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')).state$$, small.c('north: valve'))), 'resolved', 'B27 and the case can be resolved');
SELECT is(pg_temp.try('north colleague', 'csm_portal', format($$SELECT (csm.act(%s, 'close')).state$$, small.c('north: valve'))), 'closed', 'B27 and closed');

-- The flag is configurable, on and off.
SELECT pg_temp.reset('north: valve') \g /dev/null
SELECT pg_temp.new_task('loose', 'north: valve') \g /dev/null
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'active {}', 'B27 a task that does not block leaves the case free');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'close', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')).state$$, small.c('north: valve'))), 'closed', 'B27 which can be closed beside it');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET blocking = true WHERE id = %s RETURNING blocking', pg_temp.t('loose')), true), 'true', 'B27 made blocking');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'blocked {task}', 'B27 it blocks');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET blocking = false WHERE id = %s RETURNING blocking', pg_temp.t('loose')), true), 'false', 'B27 made loose again');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'needs_attention {}', 'R2.5 the end of a block calls attention, whatever ended it');
SELECT pg_temp.reset('north: valve', 'resolved') \g /dev/null
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET blocking = true WHERE id = %s', pg_temp.t('loose'))), 'SM002', 'SM002 nothing blocks a case whose solution is proposed');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.case_tasks (case_id, subject) VALUES (%s, ''x'')', small.c('north: valve'))), 'SM002', 'SM002 no new blocking task then either');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.case_tasks (case_id, subject, blocking) VALUES (%s, ''x'', false) RETURNING state', small.c('north: valve'))), 'open', 'B27 one that does not block may be opened');
SELECT pg_temp.reset('north: valve', 'closed') \g /dev/null
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.case_tasks (case_id, subject, blocking) VALUES (%s, ''x'', false) RETURNING state', small.c('north: valve'))), 'SM004', 'SM004 no task on a closed case');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_tasks SET state = ''closed'' WHERE id = %s RETURNING state', pg_temp.t('loose'))), 'closed', 'B27 what was left open beside a closed case can be finished');

-- An imported task keeps its case from ending like any other, and blocks it.
SELECT pg_temp.reset('north: valve') \g /dev/null
BEGIN;
SET LOCAL csm.importing = on;
INSERT INTO csm.case_tasks (tenant_id, number, case_id, subject, state, opened_at) VALUES (small.tenant(), 'OLD-1', small.c('north: valve'), 'imported', 'in_progress', '2015-01-01');
COMMIT;
SELECT is((SELECT concat_ws(' ', number, branch, state, opened_at AT TIME ZONE 'UTC', block_id IS NOT NULL) FROM csm.case_tasks WHERE subject = 'imported'), 'OLD-1 b2b in_progress 2015-01-01 00:00:00 t', 'B27 an imported task is as it was');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'blocked {task}', 'B27 it blocks its case');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT csm.act(%s, 'close', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$, small.c('north: valve'))), 'SM002', 'B27 and keeps it from being closed');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', 'UPDATE csm.case_tasks SET state = ''closed'' WHERE subject = ''imported'' RETURNING state', true), 'closed', 'B27 until it is closed');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'needs_attention {}', 'R2.5 which ends its block');
SELECT throws_ok(format('INSERT INTO csm.case_tasks (tenant_id, case_id, subject) VALUES (%s, 987654321, ''x'')', small.tenant()), '42501', NULL, 'B27 no task on a case that does not exist, whoever writes');

-- Cancelling the case.
SELECT pg_temp.reset('north: valve') \g /dev/null
SELECT pg_temp.new_task('to cancel', 'north: valve', false, true) \g /dev/null
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''cancel'', ''void'')) SELECT count(*) FROM a', small.c('north: valve')), true), '1', 'B27 a case is cancelled beside a blocking task');
SELECT is((SELECT concat_ws(' ', t.state, t.closed_by = small.u('desk manager'), b.unblocked_at IS NOT NULL) FROM csm.case_tasks t JOIN csm.case_blocks b ON b.id = t.block_id WHERE t.id = pg_temp.t('to cancel')),
          'cancelled t t', 'B27 its tasks are cancelled, and blocks end');
SELECT is(pg_temp.now('north: valve', 'state, needs_attention'), 'cancelled f', 'R2.5 a block that ends with its case calls nobody');
SELECT is(pg_temp.status('b2b agent', 'csm_agent', 'north: valve'), 'done {}', 'B36 action status of a case that ended');

-- Blocks of the state, and by hand.
SELECT pg_temp.reset('north: with paragon') \g /dev/null
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''request_info'', ''which?'')) SELECT count(*) FROM a', small.c('north: with paragon')), true), '1', 'R2.5 a question');
SELECT is(pg_temp.blocks('north: with paragon'), 'customer_info b2b agent', 'R2.5 request_info blocks');
SELECT is(pg_temp.status('north contact', 'csm_portal', 'north: with paragon'), 'blocked {customer_info}', 'B36 the customer reads that it is his turn');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('WITH a AS MATERIALIZED (SELECT csm.comment(%s, ''that one'')) SELECT count(*) FROM a', small.c('north: with paragon')), true), '1', 'R2.5 the answer');
SELECT is(pg_temp.blocks('north: with paragon'), 'customer_info b2b agent ended by north contact', 'R2.5 the answer ends the block');
SELECT is(pg_temp.now('north: with paragon', 'state, needs_attention'), 'open t', 'R2.5 and calls attention');
UPDATE csm.cases SET needs_attention = false WHERE id = small.c('north: with paragon');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('WITH a AS MATERIALIZED (SELECT csm.act(%1$s, ''request_info'', ''which?'')) SELECT count(*) FROM a', small.c('north: with paragon')), true), '1', 'R2.5 asked again');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.cases SET state = ''open'' WHERE id = %s RETURNING needs_attention', small.c('north: with paragon')), true), 'true', 'R2.5 the agent who resumes resolves the block as well');
SELECT is(pg_temp.blocks('north: with paragon'), 'customer_info b2b agent ended by north contact, customer_info b2b agent ended by b2b agent', 'R2.5 each wait has a row of its own');
UPDATE csm.cases SET needs_attention = false WHERE id = small.c('north: with paragon');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('WITH a AS MATERIALIZED (SELECT csm.act(%1$s, ''request_info'', ''which?'')) SELECT count(*) FROM a', small.c('north: with paragon')), true), '1', 'R2.5 and again');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT concat_ws(' ', state, needs_attention) FROM csm.act(%s, 'propose', NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$, small.c('north: with paragon'))),
          'resolved f', 'R2.5 a wait that a solution makes moot calls nobody (auto-close, R 2.4)');
SELECT is(pg_temp.try(v.who, v.role_name, format('INSERT INTO csm.case_blocks (case_id, reason, note) VALUES (%s, %L, ''Waits'') RETURNING reason', small.c(v.subject), v.reason)), v.outcome,
          format('B36 a block %s by %s on %s', v.reason, v.who, v.subject))
FROM (VALUES ('b2b agent', 'csm_agent', 'acme: invoice', 'problem', 'problem'), ('b2b agent', 'csm_agent', 'acme: invoice', 'other', 'other'),
             ('b2b agent', 'csm_agent', 'acme: invoice', 'task', '42501'), ('b2b agent', 'csm_agent', 'acme: invoice', 'customer_info', '42501'),
             ('consumer agent', 'csm_agent', 'acme: invoice', 'other', '42501'), ('viewer', 'csm_agent', 'acme: invoice', 'other', '42501'), ('desk manager', 'csm_agent', 'acme: invoice', 'other', 'other'),
             ('acme contact', 'csm_portal', 'acme: invoice', 'other', '42501'), ('acme admin', 'csm_agent', 'acme: invoice', 'other', '42501')) v(who, role_name, subject, reason, outcome);
SELECT is(replace(pg_temp.told('consumer agent', 'csm_agent', format('INSERT INTO csm.case_blocks (case_id, reason) VALUES (%s, ''other'')', small.c('north: pump'))), small.c('north: pump')::text, 'N'),
          replace(pg_temp.told('consumer agent', 'csm_agent', 'INSERT INTO csm.case_blocks (case_id, reason) VALUES (987654321, ''other'')'), '987654321', 'N'),
          'V15 a block on a hidden case and on a missing one: the same words');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.case_blocks (case_id, reason) VALUES (%s, ''problem'') RETURNING 1', small.c('acme: invoice')), true), '1', 'B36 waits for a problem''s workaround');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_blocks SET unblocked_at = ''2001-01-01'' WHERE case_id = %s RETURNING unblocked_by = %s AND unblocked_at > now() - interval ''1 minute''', small.c('acme: invoice'), small.u('b2b agent')), true), 'true', 'B36 its end is stamped');
SELECT is(pg_temp.now('acme: invoice', 'needs_attention'), 't', 'R2.5 it calls attention');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_blocks SET note = ''x'' WHERE case_id = %s', small.c('acme: invoice'))), '42501', 'R2.5 a block that ended is kept as it was');
SELECT throws_ok('UPDATE csm.case_blocks SET unblocked_at = NULL', '42501', NULL, 'R2.5 whoever writes');
SELECT throws_ok('DELETE FROM csm.case_blocks', '42501', NULL, 'R2.5 and is not deleted');
SELECT is(small.run(small.u('south admin'), 'csm_portal', 'SELECT count(*) FROM csm.case_blocks'), '0', 'V2 blocks of a hidden case are hidden');
SELECT is(small.run(small.u('acme contact'), 'csm_portal', 'SELECT count(*) FROM csm.case_blocks'), '1', 'B36 blocks of a visible case are not');

-- ---- needs_attention: who calls it, who switches it off ----
CREATE FUNCTION pg_temp.calls(person text, role_name text, of_visibility text, assignee text, major boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    answer boolean;
BEGIN
    BEGIN
        PERFORM pg_temp.reset('north: pump');
        PERFORM set_config('csm.importing', 'on', true);
        UPDATE csm.cases SET major_state = 'accepted' WHERE id = small.c('holding: audit');
        UPDATE csm.cases SET assigned_to = CASE WHEN assignee IS NOT NULL THEN small.u(assignee) END, parent_id = CASE WHEN major THEN small.c('holding: audit') END WHERE id = small.c('north: pump');
        PERFORM set_config('csm.importing', 'off', true);
        IF small.run(small.u(person), role_name, format('WITH e AS MATERIALIZED (SELECT csm.comment(%s, ''x'', %L)) SELECT count(*) FROM e', small.c('north: pump'), of_visibility), NULL, true) <> '1' THEN
            RAISE EXCEPTION 'no entry was written';
        END IF;
        SELECT needs_attention INTO answer FROM csm.cases WHERE id = small.c('north: pump');
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN NULL;
    END;
    RETURN answer;
END $$;
SELECT is(pg_temp.calls(v.who, v.role_name, v.visibility, v.assignee, v.major), v.calls, format('R2.5 %s entry by %s, assigned to %s%s: attention %s', v.visibility, v.who, coalesce(v.assignee, 'nobody'), CASE WHEN v.major THEN ', child of a major case' ELSE '' END, v.calls))
FROM (VALUES ('north contact', 'csm_portal', 'shared', NULL, false, true), ('north contact', 'csm_portal', 'shared', 'b2b agent', false, true), ('north contact', 'csm_portal', 'private', 'b2b agent', false, true),
             ('b2b agent', 'csm_agent', 'shared', 'b2b agent', false, false), ('desk manager', 'csm_agent', 'shared', 'b2b agent', false, true), ('account team', 'csm_agent', 'shared', 'b2b agent', false, true),
             ('desk manager', 'csm_agent', 'internal', 'b2b agent', false, false), ('desk manager', 'csm_agent', 'internal', 'b2b agent', true, true), ('b2b agent', 'csm_agent', 'internal', 'b2b agent', true, true),
             ('b2b agent', 'csm_agent', 'internal', NULL, true, true), ('b2b agent', 'csm_agent', 'shared', NULL, false, false)) v(who, role_name, visibility, assignee, major, calls);
INSERT INTO csm.user_roles (tenant_id, user_id, role) SELECT small.tenant(), small.new_user('agent and admin'), r FROM unnest('{agent}'::text[]) r;
INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (small.tenant(), small.u('agent and admin'), 'admin');
BEGIN;
SELECT pg_temp.reset('north: pump') \g /dev/null
UPDATE csm.cases SET assigned_to = small.u('b2b agent'), needs_attention = true WHERE id = small.c('north: pump');
SELECT is(pg_temp.try(v.who, v.role_name, format('UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING needs_attention', small.c('north: pump'))), v.outcome, format('R2.5 attention switched off by %s as %s', v.who, v.role_name))
FROM (VALUES ('b2b agent', 'csm_agent', 'false'), ('desk manager', 'csm_agent', 'false'), ('agent and admin', 'csm_agent', 'false'), ('account team', 'csm_agent', '42501'), ('viewer', 'csm_agent', NULL),
             ('north contact', 'csm_portal', '42501'), ('north admin', 'csm_portal', '42501'), ('north admin', 'csm_agent', NULL)) v(who, role_name, outcome);
SELECT is(pg_temp.try('account team', 'csm_agent', format('UPDATE csm.cases SET needs_attention = true WHERE id = %s RETURNING needs_attention', small.c('north: pump'))), 'true', 'R2.5 switched on by whoever works on the case');
ROLLBACK;

-- ---- lines: B28 ----
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'Pump') RETURNING id AS pump \gset
INSERT INTO csm.products (tenant_id, name, active) VALUES (small.tenant(), 'Old pump', false) RETURNING id AS old_pump \gset
INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant('foreign'), 'Foreign pump') RETURNING id AS foreign_pump \gset
SELECT small.new_case('order', 'b2b', 'north contact', 'north', '{}', 'draft') \g /dev/null
SELECT is(pg_temp.try(v.who, v.role_name, format('INSERT INTO csm.case_lines (case_id, product_id, quantity) VALUES (%s, %s, 3) RETURNING concat_ws('' '', position, state, quantity)', small.c('order'), v.product)), v.outcome,
          format('B28 a line of product %s on a draft by %s as %s', v.called, v.who, v.role_name))
FROM (VALUES ('north contact', 'csm_portal', :pump, 'pump', '1 draft 3'), ('north admin', 'csm_portal', :pump, 'pump', '1 draft 3'), ('b2b agent', 'csm_agent', :pump, 'pump', '1 draft 3'),
             ('north contact', 'csm_portal', :old_pump, 'inactive', '42501'), ('north contact', 'csm_portal', :foreign_pump, 'of another tenant', '42501'), ('north contact', 'csm_portal', 987654321, 'missing', '42501'),
             ('north colleague', 'csm_portal', :pump, 'pump', '42501'), ('north reader', 'csm_portal', :pump, 'pump', '42501'), ('viewer', 'csm_agent', :pump, 'pump', '42501')) v(who, role_name, product, called, outcome);
SELECT is(replace(pg_temp.told('north colleague', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, description) VALUES (%s, ''x'')', small.c('order'))), small.c('order')::text, 'N'),
          replace(pg_temp.told('north colleague', 'csm_portal', 'INSERT INTO csm.case_lines (case_id, description) VALUES (987654321, ''x'')'), '987654321', 'N'),
          'V15 a line on a hidden case and on a missing one: the same words');
SELECT is(pg_temp.told('north contact', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, product_id) VALUES (%s, %s)', small.c('order'), :foreign_pump)),
          pg_temp.told('north contact', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, product_id) VALUES (%s, 987654321)', small.c('order'))),
          'V15 a hidden product and a missing one: the same words');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, product_id, quantity) VALUES (%s, %s, 2), (%1$s, NULL, 1)', small.c('order'), :pump)), '23514', '23514 a line says what it is about');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, description, quantity) VALUES (%s, ''x'', 0)', small.c('order'))), '23514', '23514 a quantity is above 0');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('WITH l AS (INSERT INTO csm.case_lines (case_id, product_id, quantity, description) VALUES (%s, %s, 2, NULL), (%1$s, NULL, 1, ''hose'') RETURNING 1) SELECT count(*) FROM l', small.c('order'), :pump), true), '2', 'B28 two lines');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('UPDATE csm.case_lines SET quantity = 5 WHERE case_id = %s AND position = 1 RETURNING quantity', small.c('order')), true), '5', 'B28 the customer corrects a line of his draft');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('UPDATE csm.case_lines SET state = ''new'' WHERE case_id = %s', small.c('order'))), '42501', '42501 a draft becomes new with its case');
SELECT is(small.run(small.u(v.who), v.role_name, format('SELECT count(*) FROM csm.case_lines WHERE case_id = %s', small.c('order'))), v.seen, format('B28 lines that %s sees', v.who))
FROM (VALUES ('north contact', 'csm_portal', '2'), ('north admin', 'csm_portal', '2'), ('b2b agent', 'csm_agent', '2'), ('viewer', 'csm_agent', '2'), ('south admin', 'csm_portal', '0'), ('consumer agent', 'csm_agent', '0')) v(who, role_name, seen);
BEGIN;
SELECT is(pg_temp.try('north contact', 'csm_portal', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''cancel'')) SELECT count(*) FROM a', small.c('order')), true), '1', 'B28 a draft is cancelled');
SELECT is((SELECT string_agg(state, ',') FROM csm.case_lines WHERE case_id = small.c('order')), 'cancelled,cancelled', 'B28 its lines follow');
ROLLBACK;
SELECT is(pg_temp.try('north contact', 'csm_portal', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''submit'')) SELECT count(*) FROM a', small.c('order')), true), '1', 'B28 the draft is submitted');
SELECT is((SELECT string_agg(state, ',') FROM csm.case_lines WHERE case_id = small.c('order')), 'new,new', 'B28 its lines are new');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('UPDATE csm.case_lines SET state = %L WHERE case_id = %s AND position = 2 RETURNING state', v.wanted, small.c('order'))), v.outcome, format('B28 new→%s by the customer', v.wanted))
FROM (VALUES ('cancelled', 'cancelled'), ('work_in_progress', '42501'), ('resolved_accepted', '42501'), ('resolved_denied', '42501'), ('draft', 'SM002')) v(wanted, outcome);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('WITH a AS MATERIALIZED (SELECT csm.act(%s, ''take'')) SELECT count(*) FROM a', small.c('order')), true), '1', 'B28 work begins');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('UPDATE csm.case_lines SET state = ''cancelled'' WHERE case_id = %s AND position = 2 RETURNING state', small.c('order'))), NULL, 'B28 then the lines are the desk''s');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('INSERT INTO csm.case_lines (case_id, description) VALUES (%s, ''more'')', small.c('order'))), '42501', 'B28 and the customer adds none');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('INSERT INTO csm.case_lines (case_id, description) VALUES (%s, ''more'') RETURNING concat_ws('' '', position, state)', small.c('order'))), '3 new', 'B28 the agent does');
CREATE FUNCTION pg_temp.line_change(from_state text, to_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.case_lines (tenant_id, case_id, description, state, closed_at)
    VALUES (small.tenant(), small.c('order'), 'x', from_state, CASE WHEN from_state ~ '^(res|can)' THEN now() END) RETURNING id INTO made;
    PERFORM set_config('csm.importing', 'off', true);
    RETURN pg_temp.try('b2b agent', 'csm_agent', format('UPDATE csm.case_lines SET state = %L WHERE id = %s RETURNING state', to_state, made));
END $$;
BEGIN;
SELECT is(pg_temp.line_change(f, t), CASE WHEN f ~ '^(res|can)' THEN 'SM004' WHEN f = t THEN t WHEN t = 'draft' THEN 'SM002' WHEN f = 'draft' AND t NOT IN ('new', 'cancelled') THEN 'SM002' ELSE t END, format('B28 %s→%s', f, t))
FROM unnest('{draft,new,work_in_progress,awaiting_info,resolved_accepted,resolved_denied,cancelled}'::text[]) f, unnest('{draft,new,work_in_progress,awaiting_info,resolved_accepted,resolved_denied,cancelled}'::text[]) t;
ROLLBACK;
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT csm.act(%s, %L, NULL, '{"resolution_code": "x", "resolution_notes": "y"}')$$, small.c('order'), a)), 'SM002', 'B28 refused while a line is open: ' || a) FROM unnest('{propose,close}'::text[]) a;
SELECT is(pg_temp.try('north contact', 'csm_portal', format($$SELECT csm.act(%s, 'close')$$, small.c('order'))), 'SM002', 'B28 by the customer as well');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$WITH l AS (UPDATE csm.case_lines SET state = CASE position WHEN 1 THEN 'resolved_accepted' ELSE 'resolved_denied' END WHERE case_id = %s RETURNING closed_at) SELECT count(closed_at) FROM l$$, small.c('order')), true), '2', 'B28 every line comes to an end');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, %L, NULL, '{"resolution_code": "x", "resolution_notes": "y"}')).state$$, small.c('order'), v.action)), v.outcome, 'B28 then the case can: ' || v.action)
FROM (VALUES ('propose', 'resolved'), ('close', 'closed')) v(action, outcome);
SELECT throws_ok(format('DELETE FROM csm.case_lines WHERE case_id = %s', small.c('order')), '42501', NULL, 'B28 lines are never deleted');

-- Events.
SELECT is((SELECT string_agg(concat_ws(' ', kind, audience, side, payload ->> 'state'), ', ' ORDER BY e.id) FROM csm.events e
           WHERE (e.payload ->> 'task_id')::bigint IN (:blocker, pg_temp.t('flagged')) OR (e.payload ->> 'task_id')::bigint = pg_temp.t('to cancel')),
          'task_opened private customer open, task_opened internal open, task_closed internal closed, task_opened internal open, task_closed internal cancelled', 'D5 events of tasks, for whom they are');
SELECT is((SELECT string_agg(kind || ' ' || (payload ->> 'reason'), ', ' ORDER BY id) FROM csm.events WHERE kind IN ('blocked', 'unblocked')), 'blocked problem, unblocked problem', 'D5 events of blocks');
SELECT * FROM finish();
