-- What time does to cases (R 2.4, C20, T14), each exclusion with its twin, and csm.run_due() itself.
\set ON_ERROR_STOP on
\ir ../lib/clockwork.sql
SELECT * FROM no_plan();

-- The reminder on day 5, the closing on day 10.
SELECT cw.new_case('plain', 'resolved') AS c \gset
SELECT is((SELECT due_at - resolved_at FROM csm.timers t JOIN csm.cases c ON c.id = t.case_id WHERE c.id = :c AND t.kind = 'auto_close_reminder'),
          interval '120:00:00', 'R2.4 the reminder is due 5 days after the solution');
SELECT is(cw.due(4.99, 'auto_close'), 'nothing', 'T14 nothing before day 5');
SELECT is(cw.said(:c), 0::bigint, 'T14 no reminder before day 5');
SELECT updated_at AS before FROM csm.cases WHERE id = :c \gset
SELECT is(cw.due(5.01, 'auto_close'), 'auto_close_reminder 1/0/0', 'T14 day 5: one reminder');
SELECT is(cw.said(:c), 1::bigint, 'T14 the reminder is a shared entry of the system');
SELECT is((SELECT format('%s %s %s', state, needs_attention, updated_at = :'before') FROM csm.cases WHERE id = :c), 'resolved f t',
          'R2.4 the reminder leaves the case as it was');
SELECT is(cw.timers(:c), 'auto_close 10', 'R2.4 then the closing is due on day 10');
SELECT is(cw.due(5.01, 'auto_close'), 'nothing', 'T14 a second run on day 5 finds nothing');
SELECT is(cw.said(:c), 1::bigint, 'T14 and reminds nobody again');
SELECT is(cw.due(9.99, 'auto_close'), 'nothing', 'T14 nothing before day 10');
SELECT is(cw.due(10.01, 'auto_close'), 'auto_close 1/0/0', 'T14 day 10: one closing');
SELECT is((SELECT format('%s %s', state, closed_at IS NOT NULL) FROM csm.cases WHERE id = :c), 'closed t', 'T14 day 10: closed');
SELECT is(cw.said(:c), 2::bigint, 'R2.4 the closing adds a comment');
SELECT is(cw.timers(:c), 'none', 'R2.4 and no timer is left');
SELECT is(cw.due(20, 'auto_close'), 'nothing', 'T14 nothing more on day 20');
SELECT cw.new_case('runner was down', 'resolved') AS c \gset
SELECT is(cw.due(10.01, 'auto_close'), 'auto_close_reminder 1/0/0', 'R2.4 the first run on day 10');
SELECT is(format('%s %s', cw.state(:c), cw.said(:c)), 'closed 1', 'R2.4 closes at once, without a reminder that comes too late');

-- What keeps a case open: each against a twin that it does not hold for, on day 5 and on day 10, and when it ends.
INSERT INTO csm.escalation_templates (template, label) VALUES ('plain', 'Plain');
CREATE TABLE cw.pair (reason text PRIMARY KEY, kept bigint, twin bigint);
CREATE FUNCTION cw.exclude(reason text, case_id bigint, holds boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE reason
        WHEN 'auto_close' THEN cw.as('agent', format('UPDATE csm.cases SET auto_close = %L WHERE id = %s RETURNING id', NOT holds, case_id))
        WHEN 'needs_attention' THEN cw.as('agent', format('UPDATE csm.cases SET needs_attention = %L WHERE id = %s RETURNING id', holds, case_id))
        WHEN 'comment' THEN CASE WHEN holds THEN cw.as('customer', format('SELECT (csm.comment(%s, ''Hm'')).id', case_id))
            ELSE cw.as('agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING id', case_id)) END
        WHEN 'escalated' THEN CASE WHEN holds THEN cw.as('agent', format('SELECT csm.request_escalation(%s, ''plain'', ''inactivity'', ''x'')', case_id))
            ELSE cw.as('agent', format('SELECT (csm.deescalate(id)).id FROM csm.escalations WHERE case_id = %s AND state = ''escalated''', case_id)) END
        WHEN 'account escalated' THEN CASE WHEN holds THEN cw.as('agent', format('SELECT csm.request_account_escalation(%s, ''plain'', ''inactivity'', ''x'')',
                (SELECT account_id FROM csm.cases WHERE id = case_id)))
            ELSE cw.as('agent', format('SELECT (csm.deescalate(id)).id FROM csm.escalations WHERE account_id = %s AND state = ''escalated''',
                (SELECT account_id FROM csm.cases WHERE id = case_id))) END
    END;
END $$;
INSERT INTO cw.pair SELECT r, cw.new_case(r || ': kept', 'resolved', CASE r WHEN 'account escalated' THEN 'stranger' ELSE 'customer' END),
                           cw.new_case(r || ': twin', 'resolved')
FROM unnest('{auto_close,needs_attention,comment,escalated,account escalated}'::text[]) r;
SELECT matches(cw.exclude(reason, kept, true), '^([0-9]+|escalated)$', 'R2.4 fixture: ' || reason) FROM cw.pair;
SELECT is(cw.due(5.01, 'auto_close'), 'auto_close_reminder 10/0/0', 'R2.4 day 5 looks at all');
SELECT is(cw.said(kept), 0::bigint, 'T14 no reminder: ' || reason) FROM cw.pair;
SELECT is(cw.said(twin), 1::bigint, 'T14 allow: the twin is reminded: ' || reason) FROM cw.pair;
-- The exclusion is over on the kept one and begins on a third that was reminded.
SELECT cw.exclude(reason, kept, false) FROM cw.pair;
SELECT is(cw.due(7, 'auto_close'), 'auto_close_reminder 5/0/0', 'R2.4 looked at again within a day');
SELECT is(cw.said(kept), 1::bigint, 'R2.4 reminded once it is over: ' || reason) FROM cw.pair;
SELECT cw.exclude(reason, kept, true) FROM cw.pair;
SELECT is(cw.due(10.01, 'auto_close'), 'auto_close 10/0/0', 'R2.4 day 10 looks at all');
SELECT is(cw.state(kept), 'resolved', 'T14 not closed though reminded: ' || reason) FROM cw.pair;
SELECT is(cw.state(twin), 'closed', 'T14 allow: the twin is closed: ' || reason) FROM cw.pair;
SELECT cw.exclude(reason, kept, false) FROM cw.pair;
SELECT is(cw.due(11.1, 'auto_close'), 'auto_close 5/0/0', 'R2.4 looked at again a day later');
SELECT is(cw.state(kept), 'closed', 'R2.4 closed once it is over: ' || reason) FROM cw.pair;

-- An escalation of the account that nobody has decided yet keeps nothing open.
INSERT INTO csm.groups (name) VALUES ('deciders') RETURNING id AS deciders \gset
INSERT INTO csm.group_members (group_id, user_id) VALUES (:deciders, :manager);
INSERT INTO csm.escalation_templates (template, label, approval_group_id) VALUES ('decided', 'Decided', :deciders);
SELECT cw.new_case('only asked for', 'resolved', 'stranger') AS c \gset
SELECT is(cw.as('agent', format('SELECT csm.request_account_escalation(%s, ''decided'', ''inactivity'', ''x'')', :beta)), 'requested', 'R2.4 fixture: asked for');
SELECT is(cw.due(10.01, 'auto_close') || ' ' || cw.state(:c), 'auto_close_reminder 1/0/0 closed', 'R2.4 and is closed by time');

-- A solution that is given up.
SELECT cw.new_case('given up', 'resolved') AS c \gset
SELECT is(cw.as('customer', format('SELECT (csm.act(%s, ''reject'', ''No'')).state', :c)), 'open', 'R2.2.14 fixture: rejected');
SELECT is((SELECT auto_close FROM csm.cases WHERE id = :c), false, 'R2.4 back to open: the flag is cleared');
SELECT is(cw.timers(:c), 'none', 'R2.4 and the timer is gone');
SELECT is(cw.due(10.01, 'auto_close') || ' ' || cw.state(:c), 'nothing open', 'T14 a rejected solution is not closed by time');
SELECT cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')$$, :c));
SELECT is((SELECT auto_close FROM csm.cases WHERE id = :c), true, 'R2.4 the next solution sets the flag again');
SELECT cw.as('agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s', :c));
SELECT is(cw.due(10.01, 'auto_close') || ' ' || cw.state(:c), 'auto_close_reminder 1/0/0 closed', 'T14 and is closed by time');
SELECT cw.new_case('opted out', 'open') AS c \gset
SELECT cw.as('agent', format('UPDATE csm.cases SET auto_close = false WHERE id = %s', :c));
SELECT cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')$$, :c));
SELECT is(cw.due(10.01, 'auto_close') || ' ' || cw.state(:c), 'auto_close_reminder 1/0/0 resolved', 'R2.4 a flag that was off before the first solution stays off');
SELECT is(cw.as('customer', format('UPDATE csm.cases SET auto_close = true WHERE id = %s', :c)), '42501', 'R2.4 a customer cannot write the flag');
SELECT cw.new_case('accepted', 'resolved') AS c \gset
SELECT cw.as('customer', format('SELECT csm.act(%s, ''accept'')', :c));
SELECT is(cw.timers(:c), 'none', 'R2.4 accepted: no timer is left');

-- Periods and texts per type, inherited; asked again when the time has come.
INSERT INTO csm.case_types (case_type, parent_type, label, settings) VALUES
    ('quick', 'case', 'Quick', '{"reminder_days": 1, "close_days": 2, "close_text": "Fini"}'),
    ('patient', 'case', 'Patient', '{"close_days": null}'),
    ('silent', 'case', 'Silent', '{"reminder_days": null}'),
    ('quicker', 'quick', 'Quicker', '{"close_days": 1.5}'),
    ('asking', 'case', 'Asking', '{"awaiting_info_days": 3}'),
    ('wrong', 'case', 'Wrong', '{"close_days": "soon"}');
SELECT is(cw.timers(cw.new_case('t', 'resolved', 'customer', v.type)), v.expected, 'R2.4 periods of type ' || v.type)
FROM (VALUES ('quick', 'auto_close_reminder 1'), ('quicker', 'auto_close_reminder 1'), ('silent', 'auto_close 10'),
             ('patient', 'auto_close_reminder 5'), ('asking', 'auto_close_reminder 5')) v(type, expected);
SELECT is(cw.due(1.6, 'auto_close'), 'auto_close_reminder 2/0/0', 'R2.4 day 1.6: quick is reminded, quicker is closed');
SELECT results_eq($$SELECT case_type, state FROM csm.cases WHERE case_type LIKE 'quick%' ORDER BY case_type$$,
                  $$VALUES ('quick', 'resolved'), ('quicker', 'closed')$$, 'R2.4 the nearest type''s period counts');
SELECT cw.due(2.1, 'auto_close');
SELECT is((SELECT e.body FROM csm.case_entries e JOIN csm.cases c ON c.id = e.case_id WHERE c.case_type = 'quick' AND e.author_id IS NULL ORDER BY e.id DESC LIMIT 1),
          'Fini', 'R2.4 the type''s own text');
SELECT is(cw.due(40, 'auto_close') ~ 'auto_close_reminder 1', false, 'R2.4 fixture: time passes');
SELECT is((SELECT state FROM csm.cases WHERE case_type = 'patient'), 'resolved', 'R2.4 close_days null: reminded, never closed');
SELECT is((SELECT cw.said(id) FROM csm.cases WHERE case_type = 'patient'), 1::bigint, 'R2.4 close_days null: reminded once');
SELECT cw.new_case('longer', 'resolved') AS c \gset
UPDATE csm.case_types SET settings = settings || '{"close_days": 30, "reminder_days": 20}' WHERE case_type = 'case';
SELECT is(cw.due(10.01, 'auto_close') || ' ' || cw.timers(:c), 'auto_close_reminder 1/0/0 auto_close_reminder 20', 'R2.4 a longer period counts for what waits already');
UPDATE csm.case_types SET settings = settings || '{"close_days": 10, "reminder_days": 5}' WHERE case_type = 'case';
SELECT cw.new_case('wrong', 'open', 'customer', 'wrong') AS c \gset
SELECT is(cw.as('agent', format($$SELECT csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')$$, :c)), '22023',
          'R2.4 a period that is no number is refused');

-- A question that nobody answers.
SELECT cw.new_case('default type', 'awaiting_info') AS c \gset
SELECT is(cw.timers(:c), 'none', 'C20 no timeout by default');
SELECT cw.new_case('answered', 'awaiting_info', 'customer', 'asking') AS answered, cw.new_case('silence', 'awaiting_info', 'customer', 'asking') AS silence,
       cw.new_case('attention', 'awaiting_info', 'customer', 'asking') AS attention, cw.new_case('dated', 'awaiting_info', 'customer', 'asking') AS dated \gset
SELECT is(cw.timers(:silence), 'awaiting_timeout 3', 'C20 the period of the type');
SELECT is(cw.as('customer', format('SELECT (csm.comment(%s, ''Here'')).case_id', :answered)) || ' ' || cw.state(:answered) || ' ' || cw.timers(:answered),
          :answered || ' open none', 'T14 a comment of the customer resumes the case, and the timeout is gone');
SELECT cw.as('agent', format('UPDATE csm.cases SET needs_attention = true WHERE id = %s', :attention));
SELECT cw.as('agent', format('UPDATE csm.cases SET follow_up_at = clock_timestamp() + interval ''6 days'' WHERE id = %s', :dated));
SELECT is(cw.timers(:dated), 'awaiting_timeout 3, follow_up 6', 'C20 the follow-up date has a timer');
SELECT is(cw.due(2.99, 'awaiting'), 'nothing', 'C20 nothing before the third day');
SELECT is(cw.due(3.01, 'awaiting'), 'awaiting_timeout 3/0/0', 'C20 day 3 looks at the three that wait');
SELECT is((SELECT state || ' ' || resolution_code FROM csm.cases WHERE id = :silence) || ' ' || cw.said(:silence), 'closed No answer 1', 'C20 closed for want of an answer, with a comment');
SELECT is(cw.state(:attention), 'awaiting_info', 'C20 not where attention is needed');
SELECT is(cw.state(:dated), 'awaiting_info', 'C20 not before the follow-up date');
SELECT is(cw.state(:answered), 'open', 'C20 not what was answered');
SELECT is(cw.timers(:dated), 'awaiting_timeout 7, follow_up 6', 'C20 it waits until a day after the follow-up date');
SELECT is(cw.due(6.01, 'follow'), 'follow_up 1/0/0', 'C20 the follow-up date comes');
SELECT is((SELECT format('%s %s', state, needs_attention) FROM csm.cases WHERE id = :dated), 'awaiting_info t', 'C20 the date asks for attention first');
SELECT cw.as('agent', format('UPDATE csm.cases SET needs_attention = false WHERE id IN (%s, %s)', :dated, :attention));
SELECT cw.due(7.1, 'awaiting');
SELECT is(cw.state(:dated) || cw.state(:attention), 'closedclosed', 'C20 allow: closed when nothing keeps it');
SELECT cw.new_case('dated no more', 'open') AS c \gset
SELECT cw.as('agent', format('UPDATE csm.cases SET follow_up_at = clock_timestamp() + interval ''2 days'' WHERE id = %s', :c));
SELECT cw.as('agent', format('UPDATE csm.cases SET follow_up_at = NULL WHERE id = %s', :c));
SELECT is(cw.timers(:c), 'none', 'C20 no date, no timer');

-- Imported cases have no timers: their life was led elsewhere.
SET csm.importing = on;
INSERT INTO csm.cases (subject, state, requester_id, account_id, resolved_at) VALUES ('imported', 'resolved', :customer, :alpha, now()) RETURNING id AS c \gset
UPDATE csm.cases SET state = 'open' WHERE id = :c;
UPDATE csm.cases SET state = 'resolved' WHERE id = :c;
RESET csm.importing;
SELECT is(cw.timers(:c), 'none', 'R2.4 an imported case has no timer');

-- csm.run_due(): who, when, how many.
SELECT csm.create_tenant('other', 'Other', 'admin@other.example') AS other \gset
CREATE FUNCTION cw.plant(of_tenant bigint, how_many integer) RETURNS void LANGUAGE sql AS $$
    DELETE FROM csm.timers WHERE kind = 'follow_up';
    INSERT INTO csm.timers (tenant_id, kind, object_id, due_at) SELECT of_tenant, 'follow_up', -n, '2020-01-01' FROM generate_series(1, how_many) n
$$;
CREATE FUNCTION cw.planted() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM csm.timers WHERE object_id < 0$$;
SELECT cw.plant(:tenant, 1), cw.plant(:other, 2);
INSERT INTO csm.timers (tenant_id, kind, object_id, due_at) VALUES (:tenant, 'follow_up', -9, '2020-01-01');
SELECT is(cw.as('admin', 'SELECT string_agg(r::text, '','') FROM csm.run_due() r WHERE kind = ''follow_up'''), '(follow_up,1,0,0)', 'D5 run_due by an administrator');
SELECT results_eq('SELECT object_id, tenant_id FROM csm.timers WHERE object_id < 0 ORDER BY 1', format('VALUES (-2::bigint, %1$s::bigint), (-1, %1$s)', :other),
                  'D5 run_due by an administrator: his own tenant only');
SELECT is(cw.as('admin', 'SELECT count(*) FROM csm.run_due(clock_timestamp() + interval ''1 s'')'), '42501', 'D5 run_due by an administrator: never beyond the clock');
SELECT is(cw.as('admin', 'SELECT count(*) FROM csm.run_due(clock_timestamp() - interval ''1 s'')'), '0', 'D5 allow: up to the clock');
SELECT is(cw.as('admin', format('SELECT count(*) FROM csm.run_due_in(%s)', :other)), '42501', 'D5 run_due_in: not for another tenant');
SELECT is(cw.as(who, 'SELECT count(*) FROM csm.run_due()'), '42501', 'D5 run_due: not by ' || who) FROM unnest('{customer,agent,manager}'::text[]) who;
SELECT is(cw.as('manager', 'SELECT count(*) FROM csm.run_due()', 'csm_admin'), '42501', 'D5 run_due: the role csm_admin alone does not do');
SELECT is(cw.planted(), 2::bigint, 'D5 and what is the other''s is still due');
CREATE ROLE clockwork_48 LOGIN;
GRANT csm_owner TO clockwork_48;
SET SESSION AUTHORIZATION clockwork_48;
SELECT is((SELECT string_agg(r::text, ',') FROM csm.run_due(clock_timestamp() + interval '1 s') r WHERE r.kind = 'follow_up'), '(follow_up,2,0,0)',
          'D5 run_due by a member of csm_owner: all tenants, and beyond the clock');
RESET SESSION AUTHORIZATION;
DROP ROLE clockwork_48;
SELECT is(cw.as('system', format('SELECT count(*) FROM csm.run_due("limit" => %s)', l)), '22023', 'D5 run_due: limit ' || l) FROM unnest('{0,-1,"NULL"}'::text[]) l;
SELECT is(cw.as('system', 'SELECT count(*) FROM csm.run_due(NULL)'), '22023', 'D5 run_due: now null');
SELECT cw.plant(:tenant, 250);
SELECT is((SELECT done FROM csm.run_due("limit" => 30) WHERE kind = 'follow_up'), 30::bigint, 'D5 run_due: the limit');
SELECT is(cw.planted(), 220::bigint, 'D5 run_due: the limit, and no more');
SELECT is((SELECT done FROM csm.run_due() WHERE kind = 'follow_up'), 220::bigint, 'D5 run_due: several groups in a call');

-- An item that fails is put off and never lost; it stops no other.
SELECT cw.new_case('healthy', 'resolved') AS healthy \gset
INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label) VALUES (:tenant, 'broken', 'case', 'Broken');
SELECT cw.new_case('broken', 'resolved', 'customer', 'broken') AS broken \gset
INSERT INTO csm.case_transitions (tenant_id, case_type, from_state, action, to_state, actors, label, active) VALUES (:tenant, 'broken', 'resolved', 'close', 'closed', '{agent}', 'Close', true);
INSERT INTO csm.timers (tenant_id, kind, object_id, due_at) VALUES (:tenant, 'unheard_of', 1, '2020-01-01');
SELECT is(cw.due(10.01, 'auto_close|unheard'), 'auto_close_reminder 1/1/0, unheard_of 0/1/0', 'D5 a failing item stops no other');
SELECT is(cw.state(:healthy), 'closed', 'D5 the other is done');
SELECT is(cw.state(:broken), 'resolved', 'D5 the failing one is untouched');
SELECT is((SELECT format('%s %s', attempts, error) FROM csm.timers WHERE kind = 'unheard_of'), '1 0A000: timers of kind "unheard_of" have no handler', 'D5 the error is noted');
SELECT matches((SELECT error FROM csm.timers WHERE case_id = :broken), '^42501: ', 'D5 the error is noted with its code');
SELECT is(cw.due(10.01, 'unheard'), 'nothing', 'D5 it is not tried again at once');
SELECT is((SELECT string_agg(r.failed::text, ',') FROM csm.run_due(clock_timestamp() + interval '10.01 days 61 s') r WHERE r.kind = 'unheard_of'), '1', 'D5 but a minute later');
SELECT is((SELECT round(extract(epoch FROM due_at - clock_timestamp() - interval '10.01 days 61 s')) BETWEEN 100 AND 121 AND attempts = 2 FROM csm.timers WHERE kind = 'unheard_of'), true, 'D5 then two minutes later');
UPDATE csm.timers SET attempts = 40, due_at = '2020-01-01' WHERE kind = 'unheard_of';
SELECT is((SELECT due_at FROM csm.timers WHERE kind = 'unheard_of' AND (SELECT count(*) FROM csm.run_due('2020-01-02')) >= 0), '2020-01-01'::timestamptz, 'D5 fixture');
SELECT is((SELECT due_at FROM csm.timers WHERE kind = 'unheard_of'), '2020-01-03'::timestamptz, 'D5 at most a day later');
DELETE FROM csm.case_transitions WHERE case_type = 'broken';
SELECT cw.due(30, 'auto_close_rem');
SELECT is(cw.state(:broken), 'closed', 'D5 done when the cause is gone');
DELETE FROM csm.timers WHERE kind = 'unheard_of';

-- Whoever runs the clock, what time does is the system's.
INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label, settings) VALUES (:tenant, 'instant', 'case', 'Instant', '{"reminder_days": null, "close_days": 0}');
SELECT cw.new_case('by the administrator', 'resolved', 'customer', 'instant') AS c \gset
SELECT is(cw.as('admin', 'SELECT done FROM csm.run_due() WHERE kind = ''auto_close'''), '1', 'D5 an administrator lets time close a case');
SELECT is(cw.state(:c) || ' ' || cw.said(:c), 'closed 1', 'D5 the closing and its comment are the system''s');
SELECT is((SELECT count(*) FROM csm.events WHERE case_id = :c AND kind = 'closed' AND actor_id IS NULL), 1::bigint, 'D5 so is the event');

-- Timers as rows.
SELECT cw.new_case('watched', 'resolved') AS c \gset
SELECT is(cw.as('agent', format('SELECT count(*) FROM csm.timers WHERE case_id = %s AND kind LIKE ''auto%%''', :c)), '1', 'D5 staff see the timers of cases that they work on');
SELECT is(cw.as('consumer_agent', format('SELECT count(*) FROM csm.timers WHERE case_id = %s', :c)), '0', 'D5 and of no others');
SELECT is(cw.as('admin', format('SELECT count(*) FROM csm.timers WHERE case_id = %s AND kind LIKE ''auto%%''', :c)), '1', 'D5 an administrator sees all of his tenant');
SELECT is(cw.as('customer', 'SELECT count(*) FROM csm.timers'), '42501', 'D5 a customer sees none');
SELECT is(cw.as(who, 'DELETE FROM csm.timers RETURNING 1'), '42501', 'D5 nobody deletes timers: ' || who) FROM unnest('{customer,agent,admin}'::text[]) who;
UPDATE csm.timers SET attempts = 3, error = 'x' WHERE case_id = :c AND kind LIKE 'auto%';
SELECT csm_private.set_timer(:tenant, 'auto_close_reminder', :c, :c, '2030-01-01');
SELECT is((SELECT format('%s %s %s', due_at = '2030-01-01', attempts, error IS NULL) FROM csm.timers WHERE case_id = :c AND kind LIKE 'auto%'), 't 0 t', 'D5 a timer that is set anew forgets its failures');
SELECT csm_private.set_timer(:tenant, 'auto_close_reminder', :c, :c, NULL);
SELECT is(cw.timers(:c), 'none', 'D5 NULL clears a timer');
SELECT throws_ok($$SELECT csm_private.set_timer(1, NULL, 1, NULL, now())$$, '22004', NULL, 'D5 a timer has a kind');

-- pg_cron
SELECT throws_ok('SELECT csm.schedule()', '55000', format('extension "pg_cron" is not installed in database "%s"', current_database()), 'D5 csm.schedule() without pg_cron says so');
SELECT throws_ok('SELECT csm.schedule("limit" => 0)', '22023', NULL, 'D5 csm.schedule(): limit 0');
SELECT is(cw.as('admin', 'SELECT csm.schedule()'), '42501', 'D5 csm.schedule() is the DBA''s');
-- what csm needs of pg_cron; the database ends with this file
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint GENERATED ALWAYS AS IDENTITY, jobname text PRIMARY KEY, schedule text, command text);
CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO cron.job (jobname, schedule, command) VALUES ($1, $2, $3)
    ON CONFLICT (jobname) DO UPDATE SET schedule = $2, command = $3 RETURNING jobid
$$;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 4294900000, 'pg_cron', 10, 'cron'::regnamespace, false, '1.6';
SELECT is(csm.schedule(), 1::bigint, 'D5 csm.schedule() returns the job');
SELECT is(csm.schedule('*/5 * * * *', 500), 1::bigint, 'D5 called again it changes the job');
SELECT is((SELECT string_agg(format('%s|%s|%s', jobname, schedule, command), ';') FROM cron.job), 'csm|*/5 * * * *|SELECT csm.run_due("limit" => 500)', 'D5 one job, with what it runs');
SELECT lives_ok((SELECT command FROM cron.job), 'D5 and that can be run');
SELECT * FROM finish();
