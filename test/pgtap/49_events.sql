-- Events: what is written when, once; who receives what, in which order, until it is acknowledged; lag and pruning.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- What happened since the last look: kind and what the payload says, in the order of ids.
CREATE SEQUENCE small.looked MINVALUE 0;
CREATE FUNCTION small.since() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(kind || CASE WHEN shown <> '' THEN ' ' || shown ELSE '' END, ', ' ORDER BY id)
    FROM (SELECT e.id, e.kind, concat_ws(' ', e.payload->>'from', e.payload->>'to', e.payload->>'action',
                                         nullif(e.payload->>'visibility', 'shared')) AS shown,
                 setval('small.looked', greatest(e.id, 1)) AS seen
          FROM csm.events e WHERE e.id > (SELECT last_value FROM small.looked) ORDER BY e.id) x
$$;
CREATE FUNCTION small.does(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := small.run(small.u(person), role_name, statement, NULL, true);
BEGIN
    IF answer LIKE 'ERROR%' THEN
        RAISE EXCEPTION '%: %', statement, answer;
    END IF;
    RETURN answer;
END $$;

-- One case, from the first to the last event.
SELECT small.does('north contact', 'csm_portal', $$SELECT (csm.open_case('pump again')).id$$) AS id \gset
SELECT is(small.since(), 'opened', 'events: a case opened');
SELECT is((SELECT (case_id, actor_id, audience, side, payload)::text FROM csm.events ORDER BY id DESC LIMIT 1),
          ROW(:id, small.u('north contact'), 'shared', NULL::text,
              '{"state": "new", "channel": "web", "priority": 4, "case_type": "case"}'::jsonb)::text,
          'events: opened says type, state, priority, channel and who');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'take')).state$$, :id));
SELECT is(small.since(), 'state_changed new open take, assigned', 'events: taking a case is a change of state and an assignment');
SELECT is((SELECT payload FROM csm.events ORDER BY id DESC LIMIT 1),
          jsonb_build_object('assigned_to', small.u('b2b agent'), 'assigned_group_id', NULL, 'from_person', NULL, 'from_group', NULL),
          'events: assigned says from whom to whom');
SELECT small.does('b2b agent', 'csm_agent', format($$UPDATE csm.cases SET priority = 2, subject = 'pump' WHERE id = %s RETURNING id$$, :id));
SELECT is(small.since(), 'priority_changed 4 2', 'events: priority changed, by a plain UPDATE');
SELECT small.does('b2b agent', 'csm_agent', format($$UPDATE csm.cases SET subject = 'pump' WHERE id = %s RETURNING id$$, :id));
SELECT is(small.since(), NULL, 'events: a change that is no business event leaves none');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.comment(%s, 'hot', 'internal')).id$$, :id));
SELECT is(small.since(), 'commented internal', 'events: a work note');
SELECT is((SELECT audience || ' ' || coalesce(side, '-') FROM csm.events ORDER BY id DESC LIMIT 1), 'internal -', 'events: for staff alone');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'request_info', 'which pump?')).state$$, :id));
SELECT is(small.since(), 'state_changed open awaiting_info request_info, commented', 'events: an act with its note');
SELECT small.does('north contact', 'csm_portal', format($$INSERT INTO csm.case_entries (case_id, body) VALUES (%s, 'the old one') RETURNING id$$, :id));
SELECT is(small.since(), 'state_changed awaiting_info open resume, commented', 'T14 events: a comment that answers resumes the case');
SELECT small.does('b2b agent', 'csm_agent', format($$SELECT (csm.act(%s, 'propose', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')).state$$, :id));
SELECT is(small.since(), 'resolved open resolved propose', 'events: a proposal is resolved, and nothing beside');
SELECT small.does('north contact', 'csm_portal', format($$SELECT (csm.act(%s, 'reject', 'still leaks')).state$$, :id));
SELECT is(small.since(), 'reopened resolved open reject, commented', 'events: a rejection is reopened');
SELECT small.does('b2b agent', 'csm_agent', format($$UPDATE csm.cases SET state = 'resolved', resolution_notes = 'c' WHERE id = %s RETURNING id$$, :id));
SELECT is(small.since(), 'resolved open resolved propose', 'events: a plain UPDATE of the state is the action that was meant');
SELECT small.does('north contact', 'csm_portal', format($$SELECT (csm.act(%s, 'accept')).state$$, :id));
SELECT is(small.since(), 'closed resolved closed accept', 'events: an acceptance is closed');

SELECT small.does('north contact', 'csm_portal', $$SELECT (csm.open_case('later', draft => true)).id$$) AS draft \gset
SELECT small.does('north contact', 'csm_portal', format($$SELECT (csm.act(%s, 'submit')).state$$, :draft));
SELECT small.does('north contact', 'csm_portal', format($$SELECT (csm.act(%s, 'cancel')).state$$, :draft));
SELECT is(small.since(), 'opened, state_changed draft new submit, closed new cancelled cancel', 'events: a draft, submitted and cancelled');

-- Many rows, either way of writing them, and what must leave nothing.
SELECT small.does('desk manager', 'csm_agent', $$WITH u AS (UPDATE csm.cases SET priority = 1 WHERE state_class = 'open' RETURNING id)
    SELECT count(*) FROM u$$) AS many \gset
SELECT ok(:many > 10, 'events: a statement over many cases');
SELECT is((SELECT count(DISTINCT case_id) || ' ' || count(*) FROM csm.events WHERE kind = 'priority_changed' AND payload->>'to' = '1'),
          :'many' || ' ' || :'many', 'events: leaves one for each');
SELECT isnt(small.since(), NULL, 'events: looked at');
SELECT is(small.run(small.u('b2b agent'), 'csm_agent', format('SELECT (csm.comment(%s, ''no'')).id', small.c('acme: invoice'))) ~ '^\d+$', true,
          'events: a comment whose transaction fails');
SELECT is(small.since(), NULL, 'events: leaves none');
SET LOCAL csm.importing = on;
UPDATE csm.cases SET state = 'resolved', priority = 3 WHERE id = small.c('acme: invoice');
INSERT INTO csm.case_entries (tenant_id, case_id, branch, author_name, body) VALUES (small.tenant(), small.c('acme: invoice'), 'b2b', 'x', 'x');
SELECT csm_private.emit(small.tenant(), small.c('acme: invoice'), 'probe');
SET LOCAL csm.importing = off;
SELECT is(small.since(), NULL, 'events: what is imported leaves none');
SET LOCAL csm.restoring = on;
UPDATE csm.cases SET state = 'open', state_class = 'open' WHERE id = small.c('acme: invoice');
SELECT csm_private.emit(small.tenant(), small.c('acme: invoice'), 'probe');
SET LOCAL csm.restoring = off;
SELECT is(small.since(), NULL, 'events: what is restored leaves none');
RESET csm.user_id;
UPDATE csm.cases SET priority = 2 WHERE id = small.c('acme: invoice');
SELECT is((SELECT kind || ' ' || coalesce(actor_id::text, 'system') FROM csm.events ORDER BY id DESC LIMIT 1), 'priority_changed system',
          'events: the system has no name');
SELECT throws_ok(format($$SELECT csm_private.emit(%s, -1, 'probe')$$, small.tenant()), '23503', NULL, 'events: no event without its case');
SELECT throws_ok(format($$SELECT csm_private.emit(%s, NULL, 'probe')$$, small.tenant()), '22004', NULL, 'events: no event without a case named');
SELECT throws_ok(format($$SELECT csm_private.emit(%s, %s, 'Probe')$$, small.tenant(), small.c('acme: invoice')), '23514', NULL, 'events: a kind is a key');
SELECT throws_ok(format($$SELECT csm_private.emit(%s, %s, 'probe', '[]')$$, small.tenant(), small.c('acme: invoice')), '23514', NULL, 'events: a payload is an object');
SELECT throws_ok(format($$SELECT csm_private.emit(%s, %s, 'probe', '{}', 'private')$$, small.tenant(), small.c('acme: invoice')), '23514', NULL,
                 'events: a private event names its side');
SELECT is(small.run(small.u('desk admin'), r, 'SELECT count(*) FROM csm.events') LIKE 'ERROR 42501%', true, 'events: read through csm.next_events() alone, ' || r)
FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;

-- Who receives what: for everyone in the small world, on either side, the events of the cases and entries that he sees
-- through row security, and no other.
DELETE FROM csm.events;
SELECT csm_private.emit(c.tenant_id, c.id, 'probe') FROM csm.cases c ORDER BY c.id;
SELECT csm_private.emit(e.tenant_id, e.case_id, 'probe_entry', jsonb_build_object('entry_id', e.id), e.visibility,
                        CASE e.visibility WHEN 'private' THEN e.side END)
FROM csm.case_entries e ORDER BY e.id;
INSERT INTO csm.event_subscribers (tenant_id, key, user_id)
SELECT u.tenant_id, 'of-' || u.id, u.id FROM csm.users u WHERE u.tenant_id = small.tenant();
CREATE TEMP TABLE received AS
SELECT n.name, r.role_name,
       small.run(n.id, r.role_name, format($$SELECT string_agg(e.case_id::text, ' ' ORDER BY e.case_id) FROM csm.next_events('of-%s', 10000) e WHERE e.kind = 'probe'$$, n.id)) AS cases,
       small.run(n.id, r.role_name, 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM csm.cases') AS cases_seen,
       small.run(n.id, r.role_name, format($$SELECT string_agg(e.payload->>'entry_id', ' ' ORDER BY (e.payload->>'entry_id')::bigint) FROM csm.next_events('of-%s', 10000) e WHERE e.kind = 'probe_entry'$$, n.id)) AS entries,
       small.run(n.id, r.role_name, 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM csm.case_entries') AS entries_seen
FROM small.named n CROSS JOIN unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
WHERE n.kind = 'user';
SELECT is(cases, cases_seen, format('events: %s as %s receives those of the cases that he sees', name, role_name)) FROM received ORDER BY name, role_name;
SELECT is(entries, entries_seen, format('events: %s as %s receives those of the entries that he sees', name, role_name)) FROM received ORDER BY name, role_name;
SELECT ok(count(DISTINCT cases) > 15 AND count(DISTINCT entries) > 4 AND bool_or(cases IS NULL), 'events: they differ, and some receive nothing') FROM received;
SELECT is((SELECT r.cases FROM received r WHERE r.name = 'north contact' AND r.role_name = 'csm_portal') ~ ('\m' || small.c('north: valve') || '\M'), false,
          'V3 events: a contact receives nothing of his colleague''s case');
SELECT is((SELECT r.cases FROM received r WHERE r.name = 'globex manager' AND r.role_name = 'csm_portal') ~ ('\m' || small.c('dispute: draft') || '\M'), false,
          'V8 events: the counterparty receives nothing of a draft');

-- At least once, in order.
CREATE FUNCTION small.next(person text, subscriber text, most integer DEFAULT 100, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT string_agg(e.kind, '' '' ORDER BY e.position) FROM csm.next_events(%L, %s) e', subscriber, most), NULL, true)
$$;
CREATE FUNCTION small.ack(person text, subscriber text, upto bigint, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT csm.acknowledge(%L, %s)', subscriber, coalesce(upto::text, 'NULL')), NULL, true)
$$;
DELETE FROM csm.event_subscribers;
DELETE FROM csm.events;
SELECT 0 AS start \gset
INSERT INTO csm.event_subscribers (tenant_id, key, user_id, kinds, case_types, position) VALUES
    (small.tenant(), 'mail', small.u('b2b agent'), NULL, NULL, :start),
    (small.tenant(), 'bi', small.u('b2b agent'), '{one,four}', NULL, :start),
    (small.tenant(), 'typed', small.u('b2b agent'), NULL, '{request}', :start),
    (small.tenant(), 'portal', small.u('north contact'), NULL, NULL, :start);
SELECT csm_private.emit(small.tenant(), small.c(c), k) FROM (VALUES (1, 'north: pump', 'one'), (2, 'acme: invoice', 'two'),
    (3, 'son: phone', 'three'), (4, 'north: pump', 'four'), (5, 'acme: invoice', 'five')) v(n, c, k) ORDER BY n;
SELECT is(small.next('b2b agent', 'mail', 2), 'one two', 'events: as many as asked for, the first first');
SELECT is(small.next('b2b agent', 'mail', 2), 'one two', 'events: again the same, until acknowledged');
SELECT is(small.next('b2b agent', 'mail'), 'one two four five', 'events: of other branches nothing');
SELECT is(small.next('b2b agent', 'bi'), 'one four', 'events: only the kinds wanted');
SELECT is(small.next('b2b agent', 'typed'), NULL, 'events: only the case types wanted');
SELECT is(small.next('north contact', 'portal', 100, 'csm_portal'), 'one four', 'events: a customer, on the portal');
SELECT is(small.ack('b2b agent', 'mail', :start + 2), (:start + 2)::text, 'events: acknowledged as far as said');
SELECT is(small.next('b2b agent', 'mail', 1), 'four', 'events: then the next');
SELECT is(small.next('b2b agent', 'bi'), 'one four', 'events: another subscriber is where he was');
SELECT is(small.ack('b2b agent', 'mail', :start + 1), (:start + 3)::text, 'events: what was acknowledged or passed by stays so');
SELECT matches(small.ack('b2b agent', 'mail', :start + 6), '^ERROR 22023: subscriber "mail" cannot acknowledge', 'events: not beyond what was delivered');
SELECT matches(small.ack('b2b agent', 'mail', NULL), '^ERROR 22004', 'events: not nothing');
SELECT is(small.ack('b2b agent', 'mail', :start + 5), (:start + 5)::text, 'events: up to what was delivered');
SELECT is(small.next('b2b agent', 'mail'), NULL, 'events: nothing is left');
SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'six');
SELECT is(small.next('b2b agent', 'mail'), 'six', 'events: until something happens');
SELECT is((SELECT array_agg(e.position - :start ORDER BY e.id) FROM csm.events e), '{1,2,3,4,5,6}'::bigint[], 'events: each has its position once');

-- Judged when handed out (V10).
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('north contact');
SELECT is(small.next('north contact', 'portal', 100, 'csm_portal'), NULL, 'V10 events: who lost the case receives no event of it any more');
UPDATE csm.contacts SET login_enabled = true WHERE user_id = small.u('north contact');
SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'seven');
SELECT is(small.next('north contact', 'portal', 100, 'csm_portal'), 'seven', 'V10 events: who has it back receives what follows');

-- Whose subscriber it is; hidden and missing alike.
SELECT is(small.next('desk manager', s), 'ERROR 42501: there is no subscriber "' || s || '" of yours', 'events: not for another person: ' || s)
FROM unnest('{mail,nowhere}'::text[]) s;
SELECT is(small.ack('desk manager', s, 1), 'ERROR 42501: there is no subscriber "' || s || '" of yours', 'events: nor to acknowledge: ' || s)
FROM unnest('{mail,nowhere}'::text[]) s;
SELECT is(small.run(NULL, 'csm_agent', 'SELECT count(*) FROM csm.next_events(''mail'')'), 'ERROR 42501: there is no subscriber "mail" of yours', 'V14 events: nobody');
SELECT is(small.run(small.u('b2b agent'), 'csm_guest', 'SELECT count(*) FROM csm.next_events(''mail'')') LIKE 'ERROR 42501: permission denied%', true, 'events: not under csm_guest');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', format('SELECT count(*) FROM csm.next_events(''mail'', %s)', n)), '^ERROR 22023', 'events: limit ' || n)
FROM unnest('{0,-1,10001,"NULL"}'::text[]) n;
SELECT is(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT string_agg(key, '' '' ORDER BY key) FROM csm.event_subscribers'), 'bi mail typed', 'events: everyone sees his own subscribers');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT string_agg(key, '' '' ORDER BY key) FROM csm.event_subscribers'), 'bi mail portal typed', 'events: an administrator all');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', format('INSERT INTO csm.event_subscribers (key, user_id) VALUES (''x'', %s) RETURNING key', small.u('b2b agent'))),
               '^ERROR 42501', 'events: staff make no subscriber');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', format('INSERT INTO csm.event_subscribers (key, user_id, position) SELECT ''x'', %s, last FROM csm.event_positions RETURNING key', small.u('b2b agent'))),
          'x', 'events: an administrator does, from the end on');
SELECT matches(small.run((SELECT u.id FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id WHERE t.key = 'foreign'), 'csm_admin',
               format('INSERT INTO csm.event_subscribers (key, user_id) VALUES (''x'', %s) RETURNING key', small.u('b2b agent'))),
               '^ERROR 23503', 'V13 events: no subscriber reads in the name of another tenant''s person');

-- Lag and pruning.
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT string_agg(key || ' ' || waiting, ', ' ORDER BY key) FROM csm.event_lag$$),
          'bi 7, mail 2, portal 1, typed 2', 'events: how far each subscriber is behind');
SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'eight');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$SELECT string_agg(key || ' ' || waiting, ', ' ORDER BY key) FROM csm.event_lag$$),
          'bi 8, mail 3, portal 2, typed 3', 'events: also by those that nobody has asked for');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT count(*) FROM csm.event_lag'), '^ERROR 42501', 'events: the lag is for administrators');
SELECT matches(small.run(small.u('b2b agent'), 'csm_admin', 'SELECT count(*) FROM csm.event_lag'), '^ERROR 42501', 'events: who configures nothing sees no lag under csm_admin');
UPDATE csm.events SET created_at = created_at - interval '40 days' WHERE kind <> 'six';
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT csm.prune_events()'), '0', 'events: what somebody has not acknowledged stays');
DELETE FROM csm.event_subscribers WHERE key = 'bi';
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT csm.prune_events()'), '^ERROR 42501', 'events: staff prune nothing');
SELECT matches(small.run(small.u('b2b agent'), 'csm_admin', 'SELECT csm.prune_events()'), '^ERROR 42501', 'events: nor who configures nothing');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.prune_events(%s)', a)), '^ERROR 22023', 'events: prune_events(' || a || ')')
FROM unnest('{"NULL",''-1 day'',"''1 day'', 0"}'::text[]) a;
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT csm.prune_events(''30 days'', 2)', NULL, true), '2', 'events: old ones that all have acknowledged go, as many as said');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'SELECT csm.prune_events()', NULL, true), '3', 'events: then the rest');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY id) FROM csm.events), 'six seven eight', 'events: what is young, unacknowledged or without a position stays');
SELECT is(small.run((SELECT u.id FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id WHERE t.key = 'foreign'), 'csm_admin', 'SELECT csm.prune_events(''0 days'')'),
          '0', 'V13 events: nobody prunes another tenant''s');
DELETE FROM csm.event_subscribers;
RESET csm.user_id;
SELECT is(csm.prune_events(), 2::bigint, 'events: without subscribers all that is old goes, for all tenants by the system');
INSERT INTO csm.event_subscribers (tenant_id, key, user_id) VALUES (small.tenant(), 'late', small.u('b2b agent'));
SELECT csm_private.emit(small.tenant(), small.c('north: pump'), 'nine');
SELECT is(small.next('b2b agent', 'late'), 'six nine', 'events: a new subscriber begins with the oldest that is kept');
SELECT is((SELECT max(e.position) - :start FROM csm.events e), 8::bigint, 'events: positions are not given again');

-- The setting of the wake-up.
SELECT throws_ok(format('UPDATE csm.tenants SET settings = %L', s), '23514', NULL, 'events: settings ' || s)
FROM unnest(ARRAY['{"event_notify": 1}', '{"event_notify": null}']) s;
SELECT lives_ok($$UPDATE csm.tenants SET settings = '{"event_notify": false, "of the tenant": 1}'$$, 'events: settings of the right form, and others of the tenant''s own');

SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'csm_private'::regnamespace
    AND p.proname IN ('emit', 'give_positions', 'own_subscriber', 'case_events', 'entry_events')
    AND EXISTS (SELECT FROM unnest('{csm_guest,csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r WHERE has_function_privilege(r, p.oid, 'EXECUTE'))$$,
    'events: no client writes or places one');
SELECT * FROM finish();
ROLLBACK;
