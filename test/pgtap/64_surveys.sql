-- Surveys (A32, R truth 13): who is asked about which case, once; how he answers; who reads it; what follows a low score.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

INSERT INTO csm.surveys (tenant_id, key, label) VALUES (small.tenant(), 'after', 'How did we do?'), (small.tenant(), 'other', 'Another'), (small.tenant(), 'early', 'Early');
UPDATE csm.surveys SET ask_when = 'resolved', delay = '2 days' WHERE key = 'early';
INSERT INTO csm.survey_questions (tenant_id, survey_id, key, position, kind, label, required, low)
SELECT small.tenant(), s.id, q.key, q.position, q.kind, q.label, q.required, q.low
FROM csm.surveys s, (VALUES ('satisfied', 1, 'csat', 'Were you satisfied?', true, 2), ('recommend', 2, 'nps', 'Would you recommend us?', false, 3), ('easy', 3, 'ces', 'Was it easy?', false, NULL), ('words', 4, 'text', 'Anything else?', false, NULL)) q(key, position, kind, label, required, low)
WHERE s.key IN ('after', 'early');
INSERT INTO csm.case_types (tenant_id, case_type, parent_type, label, settings) VALUES
    (small.tenant(), 'asked', 'case', 'Asked', '{"survey": "after"}'), (small.tenant(), 'below', 'asked', 'Inherits', '{}'), (small.tenant(), 'unasked', 'asked', 'Switched off', '{"survey": null}'),
    (small.tenant(), 'missing', 'case', 'Names none', '{"survey": "nothing"}'), (small.tenant(), 'early', 'case', 'Early', '{"survey": "early"}');

-- A case of a type, opened by the requester; what he does; what time does.
CREATE FUNCTION small.ask_case(of_name text, person text, type text DEFAULT 'asked', draft boolean DEFAULT false) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO small.named SELECT 'case', of_name, small.run(small.u(person), 'csm_portal', format('SELECT id FROM csm.open_case(%L, case_type => %L, draft => %L)', of_name, type, draft), NULL, true)::bigint RETURNING id
$$;
CREATE FUNCTION small.act(person text, subject text, action text, note text DEFAULT NULL, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, format('SELECT (csm.act(%s, %L, %L, %L)).state', small.c(subject), action, note, CASE WHEN action IN ('propose', 'close') AND role_name = 'csm_agent' THEN '{"resolution_code": "a", "resolution_notes": "b"}' ELSE '{}' END), NULL, true);
CREATE FUNCTION small.due(days numeric DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM set_config('csm.user_id', '', true);
    RESET csm.user_id;
    SELECT coalesce(string_agg(format('%s %s/%s', r.kind, r.done, r.failed), ' ' ORDER BY r.kind), 'nothing') INTO answer
    FROM csm.run_due(clock_timestamp() + interval '1 second' + days * interval '1 day') r WHERE r.kind LIKE 'survey%';
    RETURN answer;
END $$;
CREATE FUNCTION small.response(subject text) RETURNS csm.survey_responses LANGUAGE sql RETURN (SELECT r FROM csm.survey_responses r WHERE r.case_id = small.c(subject));
CREATE FUNCTION small.asked(subject text) RETURNS boolean LANGUAGE sql RETURN EXISTS (SELECT FROM csm.survey_responses r WHERE r.case_id = small.c(subject));
CREATE FUNCTION small.token(subject text) RETURNS text LANGUAGE sql
RETURN (SELECT o.payload ->> 'token' FROM csm.outbox o WHERE o.kind = 'survey' AND o.payload ->> 'number' = (SELECT c.number FROM csm.cases c WHERE c.id = small.c($1)));
CREATE FUNCTION small.answer(token text, answers jsonb, person text DEFAULT NULL, role_name text DEFAULT 'csm_guest') RETURNS text LANGUAGE sql
RETURN small.run(CASE WHEN person IS NOT NULL THEN small.u(person) END, role_name, format('SELECT status FROM csm.answer_survey(%L, %L)', token, answers), NULL, true);

-- Who is asked.
SELECT small.ask_case('one', 'north contact'), small.ask_case('two', 'mother', 'below'), small.ask_case('three', 'student') \g /dev/null
SELECT is(small.act('north contact', 'one', 'close'), 'closed', 'A32 fixture: a contact closes his case');
SELECT is((SELECT string_agg(kind || ' ' || object_id, ',') FROM csm.timers WHERE kind = 'survey'), 'survey ' || small.c('one'), 'A32 which sets the timer');
SELECT is((SELECT count(*) FROM csm.survey_responses), 0::bigint, 'A32 nobody is asked by closing itself');
SELECT is(small.due(), 'survey 1/0', 'A32 time asks');
SELECT is((small.response('one')).user_id, small.u('north contact'), 'A32 the requester is asked');
SELECT results_eq($$SELECT o.recipient, o.user_id = small.u('north contact'), o.payload ->> 'label', length(o.payload ->> 'token'), o.expires_at - (small.response('one')).sent_at FROM csm.outbox o WHERE o.kind = 'survey'$$,
                  $$VALUES ('north.contact@small.example', true, 'How did we do?', 43, interval '30 days')$$, 'A32 by a mail with a token');
SELECT is((SELECT count(*) FROM csm_private.survey_tokens t WHERE t.token_hash = sha256(convert_to(small.token('one'), 'UTF8'))), 1::bigint, 'A32 which is kept as a hash');
SELECT is(small.act('mother', 'two', 'close') || small.due() || small.asked('two'), 'closedsurvey 1/0true', 'A32 a type inherits the survey of its parent');
SELECT small.ask_case(t, 'employee', t) FROM unnest('{unasked,missing,case}'::text[]) t \g /dev/null
SELECT is(small.act('employee', t, 'close') || small.asked(t) || small.due(), 'closedfalse' || CASE t WHEN 'missing' THEN 'survey 1/0' ELSE 'nothing' END, 'A32 nobody is asked about a case of type ' || t) FROM unnest('{unasked,missing,case}'::text[]) t;
SELECT is((SELECT count(*) FROM csm.survey_responses), 2::bigint, 'A32 none of the three');
SELECT small.ask_case('while inactive', 'employee') \g /dev/null
UPDATE csm.surveys SET active = false WHERE key = 'after';
SELECT is(small.act('employee', 'while inactive', 'close') || left(small.due(), 0) || small.asked('while inactive'), 'closedfalse', 'A32 nor while the survey is not active');
UPDATE csm.surveys SET active = true WHERE key = 'after';
SELECT small.ask_case('draft', 'student', 'asked', true), small.ask_case('dropped', 'student') \g /dev/null
SELECT is(small.act('student', n, 'cancel') || small.due() || small.asked(n), 'cancellednothingfalse', 'A32 nor about one that was cancelled: ' || n) FROM unnest('{draft,dropped}'::text[]) n;
SELECT small.ask_case('child', 'all three'), small.ask_case('parent', 'student') \g /dev/null
SET LOCAL csm.importing = on;
UPDATE csm.cases SET parent_id = small.c('parent') WHERE id = small.c('child');
SET LOCAL csm.importing = off;
SELECT is(small.act('all three', 'child', 'close') || small.due() || small.asked('child'), 'closednothingfalse', 'A32 nor about a child of another');
INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES (small.tenant(), small.u('colleague'), 'survey', 'email', false);
SELECT small.ask_case('opted out', 'colleague') \g /dev/null
SELECT is(small.act('colleague', 'opted out', 'close') || small.due() || small.asked('opted out'), 'closedsurvey 1/0false', 'A32 nor who does not want it');
SELECT small.ask_case('gone', 'daughter') \g /dev/null
SELECT is(small.act('daughter', 'gone', 'close'), 'closed', 'A32 fixture');
UPDATE csm.users SET enabled = false WHERE id = small.u('daughter');
SELECT is(small.due() || small.asked('gone'), 'survey 1/0false', 'V10 nor who is disabled');
SELECT small.ask_case('moved', 'plant contact') \g /dev/null
SELECT is(small.act('plant contact', 'moved', 'close'), 'closed', 'A32 fixture');
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('plant contact');
SELECT is(small.due() || small.asked('moved'), 'survey 1/0false', 'V10 nor who does not see the case any more');
SELECT small.ask_case('no address', 'ward') \g /dev/null
UPDATE csm.users SET email = NULL WHERE id = small.u('ward');
SELECT is(small.act('ward', 'no address', 'close') || small.due() || small.asked('no address') || coalesce(small.token('no address'), ' no mail'), 'closedsurvey 1/0true no mail', 'A32 who has no address is asked in the portal');

-- Once a case, also after it was opened again (R truth 13).
SELECT small.ask_case('again', 'lodger', 'early') \g /dev/null
SELECT is(small.act('consumer agent', 'again', 'take', NULL, 'csm_agent') || small.act('consumer agent', 'again', 'propose', NULL, 'csm_agent'), 'openresolved', 'T13 a solution');
SELECT is(small.due() || small.asked('again'), 'survey 1/0false', 'A32 within the delay nobody is asked');
SELECT is(small.act('lodger', 'again', 'reject', 'No') || small.due(3) || small.asked('again'), 'opensurvey 1/0false', 'T13 nor about a case that is open again');
SELECT is(small.act('consumer agent', 'again', 'propose', NULL, 'csm_agent') || small.due() || small.due(3) || small.asked('again'), 'resolvedsurvey 1/0survey 1/0true', 'T13 after the next solution he is asked');
SELECT is(small.act('lodger', 'again', 'reject', 'No') || small.act('consumer agent', 'again', 'propose', NULL, 'csm_agent') || small.due() || small.due(3), 'openresolvedsurvey 1/0survey 1/0', 'T13 opened again and resolved again');
SELECT is(small.act('lodger', 'again', 'accept') || small.due(3), 'closedsurvey 1/0', 'T13 and closed');
SELECT is((SELECT count(*) FROM csm.survey_responses r WHERE r.case_id = small.c('again')), 1::bigint, 'T13 one survey for the case');
SELECT is((SELECT count(*) FROM csm.outbox o WHERE o.kind = 'survey' AND o.user_id = small.u('lodger')), 1::bigint, 'T13 and one mail');
SELECT throws_ok(format('INSERT INTO csm.survey_responses (tenant_id, case_id, survey_id, user_id, expires_at) SELECT tenant_id, case_id, survey_id, user_id, expires_at FROM csm.survey_responses WHERE case_id = %s', small.c('again')), '23505', NULL, 'T13 whoever writes');

-- Not too often.
UPDATE csm.surveys SET quarantine = '30 days' WHERE key = 'after';
SELECT small.ask_case('soon', 'north contact'), small.ask_case('first', 'south contact') \g /dev/null
SELECT is(small.act('north contact', 'soon', 'close') || small.due() || small.asked('soon'), 'closedsurvey 1/0false', 'A32 within the quarantine a person is not asked again');
SELECT is(small.act('south contact', 'first', 'close') || small.due() || small.asked('first'), 'closedsurvey 1/0true', 'A32 allow: somebody else is');
UPDATE csm.surveys SET quarantine = '0' WHERE key = 'after';

-- Answering by token.
CREATE TEMP TABLE form AS SELECT small.run(NULL, 'csm_guest', format('SELECT label || questions FROM csm.survey_by_token(%L)', small.token('one'))) AS shown;
SELECT is((SELECT shown LIKE 'How did we do?[{%' AND shown NOT LIKE '%' || (SELECT number FROM csm.cases WHERE id = small.c('one')) || '%' FROM form), true, 'A32 a visitor with the token sees the questions, nothing of the case');
SELECT is(small.run(NULL, 'csm_guest', $$SELECT count(*) FROM csm.survey_by_token('forged')$$), '0', 'A32 one with another sees nothing');
SELECT is(small.answer(t, '{"satisfied": 5}'), 'refused', 'A32 refused: ' || coalesce(t, 'NULL')) FROM unnest(ARRAY['forged', '', NULL, repeat('A', 43)]) t;
SELECT is(small.answer(small.token('one'), a), 'invalid', 'A32 not an answer: ' || coalesce(left(a::text, 60), 'NULL'))
FROM unnest(ARRAY['{}', '[]', '7', NULL, '{"recommend": 5}', '{"satisfied": 0}', '{"satisfied": 6}', '{"satisfied": 4.5}', '{"satisfied": "5"}', '{"satisfied": null}', '{"satisfied": 5, "recommend": 11}', '{"satisfied": 5, "recommend": -1}',
                  '{"satisfied": 5, "easy": 8}', '{"satisfied": 5, "words": 7}', '{"satisfied": 5, "other": 1}', '{"satisfied": 1e400}', jsonb_build_object('satisfied', 5, 'words', repeat('x', 4001))::text]::jsonb[]) a;
SELECT is((SELECT count(*) FROM csm.survey_answers), 0::bigint, 'A32 nothing half done');
SELECT is(small.answer(small.token('one'), jsonb_build_object('satisfied', 5, 'recommend', 9, 'easy', 7, 'words', E'Fine\u202E\r\nthanks\u0007')), 'accepted', 'A32 allow: an answer');
SELECT is(small.answer(small.token('one'), '{"satisfied": 1}'), 'refused', 'A32 a token counts once');
SELECT is((SELECT count(*) FROM csm_private.survey_tokens t WHERE t.response_id = (small.response('one')).id), 0::bigint, 'A32 and is gone when it was used');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT count(*) FROM csm.survey_by_token(%L)', small.token('one'))), '0', 'A32 and shows nothing more');
SELECT results_eq($$SELECT csat, nps, ces, low, answered_at IS NOT NULL FROM csm.survey_responses WHERE case_id = small.c('one')$$, $$VALUES (5::smallint, 9::smallint, 7::smallint, false, true)$$, 'A32 the scores');
SELECT is((SELECT string_agg(q.key || '=' || coalesce(a.score::text, a.body), ';' ORDER BY q.position) FROM csm.survey_answers a JOIN csm.survey_questions q ON q.id = a.question_id), E'satisfied=5;recommend=9;easy=7;words=Fine\nthanks', 'A32 the answers, text without control and direction characters');
SELECT is((SELECT e.audience || ' ' || e.actor_id || ' ' || (e.payload ->> 'csat') FROM csm.events e WHERE e.kind = 'survey_answered'), 'internal ' || small.u('north contact') || ' 5', 'A32 event survey_answered, for staff');
SELECT is(small.due(), 'nothing', 'A32 nothing follows');
UPDATE csm.survey_responses SET expires_at = clock_timestamp() WHERE case_id = small.c('first');
SELECT is(small.answer(small.token('first'), '{"satisfied": 5}'), 'refused', 'A32 expired: refused alike');
SELECT is((SELECT count(*) FROM csm_private.survey_tokens t WHERE t.response_id = (small.response('first')).id), 1::bigint, 'A32 its token');
SELECT csm_private.delete_expired(small.tenant(), 100) \g /dev/null
SELECT is((SELECT count(*) FROM csm_private.survey_tokens t WHERE t.response_id = (small.response('first')).id), 0::bigint, 'A32 goes by itself');

-- Whoever writes: no score that there is not, and a text that is asked for has words.
SELECT throws_ok(format('UPDATE csm.survey_responses SET %s WHERE case_id = %s', v, small.c('one')), '23514', NULL, 'A32 no response with ' || v) FROM unnest('{csat = 0,csat = 6,nps = -1,nps = 11,ces = 0,ces = 8}'::text[]) v;
UPDATE csm.survey_questions SET required = true WHERE key = 'words';
SELECT is(small.answer(small.token('two'), a), 'invalid', 'A32 a text that is asked for: ' || a::text) FROM unnest(ARRAY['{"satisfied": 5}', '{"satisfied": 5, "words": null}', '{"satisfied": 5, "words": ""}', '{"satisfied": 5, "words": " \n"}']::jsonb[]) a;
UPDATE csm.survey_questions SET required = false WHERE key = 'words';

-- Answering signed in.
CREATE FUNCTION small.mine(person text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), role_name, $$SELECT coalesce(string_agg(s.label || ' ' || coalesce((SELECT c.subject FROM csm.cases c WHERE c.id = s.case_id), 'hidden'), ','), 'none') FROM csm.my_surveys() s$$);
CREATE FUNCTION small.answer_mine(person text, subject text, answers jsonb) RETURNS text LANGUAGE sql
RETURN small.run(small.u(person), 'csm_portal', format('SELECT status FROM csm.answer_my_survey(%s, %L)', coalesce((small.response(subject)).id, 0), answers), NULL, true);
SELECT is(small.mine('ward'), 'How did we do? no address', 'A32 what a person is asked to answer');
SELECT is(small.mine(n), 'none', 'A32 none for ' || n) FROM unnest('{north contact,south contact,guardian,desk manager}'::text[]) n;
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.my_surveys()'), '0', 'V14 nobody is asked nothing');
SELECT is(small.answer_mine(n, 'no address', '{"satisfied": 5}'), 'refused', 'A32 nobody answers for another: ' || n) FROM unnest('{guardian,north contact,desk manager}'::text[]) n;
SELECT is(small.answer_mine('ward', 'no address', '{"satisfied": 9}'), 'invalid', 'A32 the same rules');
SELECT is(small.answer_mine('ward', 'no address', '{"satisfied": 2, "recommend": 0, "words": "Slow"}'), 'accepted', 'A32 allow: who was asked');
SELECT is(small.answer_mine('ward', 'no address', '{"satisfied": 5}') || small.mine('ward'), 'refusednone', 'A32 once');
SELECT is(small.run(small.u('ward'), 'csm_portal', 'SELECT status FROM csm.answer_my_survey(900000000000, ''{}'')'), 'refused', 'A32 a missing one alike');

-- A low score is followed up: the case is closed, so by a case.
SELECT is((small.response('no address')).low, true, 'A32 a low score');
SELECT is(small.due(), 'survey_low 1/0', 'A32 is followed up by time');
SELECT is((SELECT c.subject || ' ' || c.state || ' ' || (c.requester_id = small.u('ward')) || ' ' || coalesce(c.description, '') FROM csm.cases c JOIN csm.case_links l ON l.from_case_id = c.id AND l.to_case_id = small.c('no address') AND l.kind = 'follow_up'),
          'Follow-up of a survey: ' || (SELECT number FROM csm.cases WHERE id = small.c('no address')) || ' new true CSAT 2, NPS 0', 'A32 a case that refers to it');
SELECT is((SELECT e.audience || ' ' || coalesce(e.actor_id::text, 'system') FROM csm.events e WHERE e.kind = 'survey_low_score'), 'internal system', 'A32 event survey_low_score');
SELECT small.ask_case('open still', 'globex contact', 'early') \g /dev/null
INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'desk');
SELECT is(small.act('b2b agent', 'open still', 'take', NULL, 'csm_agent') || small.act('b2b agent', 'open still', 'propose', NULL, 'csm_agent') || small.due(3), 'openresolvedsurvey 1/0', 'A32 fixture: asked while a solution stands');
UPDATE csm.cases SET assigned_group_id = (SELECT id FROM csm.groups WHERE name = 'desk') WHERE id = small.c('open still');
SELECT is(small.answer(small.token('open still'), '{"satisfied": 5, "recommend": 3}', 'globex contact', 'csm_portal') || small.due(), 'acceptedsurvey_low 1/0', 'A32 any low score counts');
SELECT is((SELECT t.subject || ' ' || t.description || ' ' || t.blocking || ' ' || g.name FROM csm.case_tasks t JOIN csm.groups g ON g.id = t.assigned_group_id WHERE t.case_id = small.c('open still')), 'Follow up a low score CSAT 5, NPS 3 false desk', 'A32 where the case is not closed: a task for its group');

-- Who reads the results.
SELECT is(small.run(small.u(n), 'csm_agent', format('SELECT count(*) FROM csm.survey_answers WHERE case_id IN (%s, %s)', small.c('one'), small.c('no address'))), w, format('A32 %s reads the answers of the cases that he works on: %s', n, w))
FROM (VALUES ('desk manager', '7'), ('b2b agent', '4'), ('consumer agent', '3'), ('viewer', '0'), ('north admin', '0')) v(n, w);
SELECT is(small.run(small.u('b2b agent'), 'csm_agent', 'SELECT body FROM csm.survey_answers WHERE body IS NOT NULL'), E'Fine\nthanks', 'A32 with their words');
SELECT is(small.run(small.u(n), 'csm_portal', 'SELECT count(*) FROM csm.' || t), 'ERROR 42501: permission denied for table ' || t, format('A32 no customer reads %s: %s', t, n)) FROM unnest('{north contact,north admin}'::text[]) n, unnest('{survey_responses,survey_answers,surveys,survey_questions}'::text[]) t;
SELECT is(small.run(small.u('desk manager'), 'csm_reporter', 'SELECT string_agg(csat::text, '','' ORDER BY csat) FROM csm.survey_responses'), '2,5,5', 'A32 reports read scores');
SELECT matches(small.run(small.u('desk manager'), 'csm_reporter', s), '^ERROR 42501', 'A32 and no text, no person: ' || s) FROM unnest(ARRAY['SELECT body FROM csm.survey_answers', 'SELECT user_id FROM csm.survey_responses', 'SELECT * FROM csm.survey_answers', 'SELECT user_id FROM csm.survey_answers']) s;
SELECT is(small.run(small.u(n), r, format('SELECT count(id) FROM csm.survey_responses WHERE case_id IN (%s, %s)', small.c('one'), small.c('no address'))), w, format('A32 responses that %s reads as %s: %s', n, r, w))
FROM (VALUES ('desk manager', 'csm_agent', '2'), ('b2b agent', 'csm_agent', '1'), ('consumer agent', 'csm_agent', '1'), ('viewer', 'csm_agent', '0'), ('desk manager', 'csm_reporter', '2'), ('b2b agent', 'csm_reporter', '1'), ('viewer', 'csm_reporter', '2')) v(n, r, w);
SELECT is(small.run(small.u(n), 'csm_reporter', format('SELECT count(score) FROM csm.survey_answers WHERE case_id IN (%s, %s)', small.c('one'), small.c('no address'))), w, format('A32 scores that %s reads: %s', n, w))
FROM (VALUES ('desk manager', '5'), ('b2b agent', '3'), ('consumer agent', '2')) v(n, w);
SELECT is(small.run(NULL, 'csm_reporter', 'SELECT count(id) FROM csm.survey_responses'), '0', 'V14 nobody reads nothing');
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_admin', 'SELECT count(*) FROM csm.survey_responses'), '0', 'V15 nor another tenant');
SELECT matches(small.run(small.u(n), r, 'UPDATE csm.survey_responses SET csat = 5'), '^ERROR 42501', format('A32 nobody changes them: %s', r)) FROM (VALUES ('desk manager', 'csm_agent'), ('desk admin', 'csm_admin')) v(n, r);

-- Scores: NPS = promoters less detractors.
SET LOCAL csm.importing = on;
INSERT INTO csm.cases (tenant_id, branch, state, subject, requester_id, case_type) SELECT small.tenant(), 'internal', 'closed', 'n' || i, small.u('student'), 'below' FROM generate_series(1, 10) i;
SET LOCAL csm.importing = off;
INSERT INTO csm.survey_responses (tenant_id, case_id, survey_id, user_id, sent_at, expires_at, answered_at, csat, nps, ces)
SELECT small.tenant(), c.id, s.id, c.requester_id, '2024-05-03', '2024-06-03', CASE WHEN x.i < 10 THEN timestamptz '2024-05-04' END, x.csat, x.nps, x.ces
FROM (SELECT row_number() OVER (ORDER BY id) AS i, id, requester_id FROM csm.cases WHERE case_type = 'below' AND subject LIKE 'n%') c
JOIN (VALUES (1, 5, 10, 7), (2, 5, 9, 6), (3, 4, 9, 5), (4, 3, 8, 4), (5, 2, 7, 3), (6, 1, 6, 2), (7, 4, 0, 1), (8, 5, 10, NULL), (9, NULL, NULL, NULL), (10, NULL, NULL, NULL)) x(i, csat, nps, ces) USING (i)
JOIN csm.surveys s ON s.key = 'after' AND s.tenant_id = small.tenant();
SELECT is(small.run(small.u('desk manager'), r, $$SELECT concat_ws(' ', sent, answered, csat, csat_satisfied, nps, ces, low) FROM csm_report.satisfaction WHERE case_type = 'below' AND month = '2024-05-01'$$), '10 9 3.63 62.5 25.0 4.00 0', 'A32 scores of a month: ' || r) FROM unnest('{csm_reporter,csm_agent}'::text[]) r;
SELECT is(small.run(small.u('desk manager'), 'csm_reporter', $$SELECT string_agg(nps_group, ',' ORDER BY nps) FROM csm_report.surveys WHERE case_type = 'below' AND sent_at = '2024-05-03'$$), 'detractor,detractor,passive,passive,promoter,promoter,promoter,promoter', 'A32 and of each');
SELECT is(small.run(small.u('consumer agent'), 'csm_reporter', $$SELECT count(*) FROM csm_report.surveys WHERE branch <> 'b2c'$$), '0', 'A32 of cases that the reader sees alone');
SELECT cmp_ok(small.run(small.u('consumer agent'), 'csm_reporter', $$SELECT count(*) FROM csm_report.surveys$$)::integer, '>', 0, 'A32 allow: which are some');

-- In his language.
UPDATE csm.surveys SET labels = '{"de": "Wie war es?", "de-ch": "Wie isch es gsi?"}' WHERE key = 'after';
UPDATE csm.survey_questions SET labels = '{"de": "Waren Sie zufrieden?"}' WHERE key = 'satisfied';
UPDATE csm.users SET language = CASE id WHEN small.u('acme contact') THEN 'de-AT' WHEN small.u('acme admin') THEN 'DE-CH' WHEN small.u('holding contact') THEN 'fr' ELSE 'en' END
WHERE id IN (small.u('acme contact'), small.u('acme admin'), small.u('holding contact'), small.u('south admin'));
CREATE TEMP TABLE tongue AS SELECT * FROM (VALUES ('acme contact', 'Wie war es?', 'Waren Sie zufrieden?'), ('acme admin', 'Wie isch es gsi?', 'Waren Sie zufrieden?'),
    ('holding contact', 'How did we do?', 'Were you satisfied?'), ('south admin', 'How did we do?', 'Were you satisfied?')) v(who, title, question);
SELECT small.ask_case('words of ' || who, who) FROM tongue \g /dev/null
SELECT is(string_agg(small.act(who, 'words of ' || who, 'close'), ','), 'closed,closed,closed,closed', 'A32 fixture: four languages') FROM tongue;
SELECT is(small.due(), 'survey 4/0', 'A32 all four are asked');
SELECT is((SELECT o.payload ->> 'label' FROM csm.outbox o WHERE o.kind = 'survey' AND o.user_id = small.u(who)), title, 'A32 the mail, in the language of ' || who) FROM tongue;
SELECT is(small.run(NULL, 'csm_guest', format('SELECT label || ''/'' || (questions -> 0 ->> ''label'') || ''/'' || (questions -> 1 ->> ''label'') FROM csm.survey_by_token(%L)', small.token('words of ' || who))),
          title || '/' || question || '/Would you recommend us?', 'A32 the page behind its link, what is not translated as it was written: ' || who) FROM tongue;
SELECT is(small.run(small.u(who), 'csm_portal', 'SELECT label || ''/'' || (questions -> 0 ->> ''label'') FROM csm.my_surveys()'), title || '/' || question, 'A32 and signed in: ' || who) FROM tongue;
SELECT is(small.answer(small.token('words of ' || who), '{"satisfied": 4, "words": "gut"}'), 'accepted', 'A32 the answers are the same: ' || who) FROM tongue;
SELECT is((SELECT string_agg(q.key || '=' || coalesce(a.score::text, a.body), ';' ORDER BY q.position) FROM csm.survey_answers a JOIN csm.survey_questions q ON q.id = a.question_id WHERE a.response_id = (small.response('words of ' || who)).id),
          'satisfied=4;words=gut', 'A32 and so are results: ' || who) FROM tongue;
SELECT throws_ok(format('UPDATE csm.%I SET labels = %L', t, l), '23514', NULL, format('A32 %s: no labels %s', t, left(l, 40)))
FROM unnest('{surveys,survey_questions}'::text[]) t, unnest(ARRAY['[]', '"de"', '{"de": 1}', '{"de": null}', '{"de": ["a"]}', '{"de": ""}', '{"de": " "}', '{"DE": "a"}', '{"": "a"}', '{"german!": "a"}', '{"de": "a", "x": "b"}', jsonb_build_object('de', repeat('x', 1001))::text]) l;
SELECT throws_ok(format('UPDATE csm.surveys SET labels = %L', jsonb_build_object('de', repeat('x', 201))), '23514', NULL, 'A32 a title of 201 characters is too long');
SELECT lives_ok(format('UPDATE csm.survey_questions SET labels = %L WHERE key = ''words''', jsonb_build_object('de-at-1996', repeat(E'ü\n', 500))), 'A32 allow: a question of 1,000 characters');
SELECT throws_ok('UPDATE csm.survey_questions SET labels = NULL', '23502', NULL, 'A32 no labels NULL');

-- Kept by administrators.
SELECT is(small.run(small.u('desk admin'), 'csm_admin', $$INSERT INTO csm.surveys (key, label) VALUES ('mine', 'Mine') RETURNING key$$), 'mine', 'A32 allow: administrators define surveys');
SELECT matches(small.run(small.u('desk manager'), 'csm_agent', $$INSERT INTO csm.surveys (key, label) VALUES ('mine', 'Mine')$$), '^ERROR 42501', 'A32 other staff do not');
SELECT throws_ok(format('INSERT INTO csm.survey_questions (tenant_id, survey_id, key, kind, label) SELECT tenant_id, id, ''twice'', ''csat'', ''Again?'' FROM csm.surveys WHERE key = ''after'''), '23505', NULL, 'A32 one score of a kind');

-- Personal data.
RESET csm.user_id;
SELECT csm.erase_person(small.u('ward'), 'asked') \g /dev/null
SELECT is((SELECT count(*) FROM csm.survey_answers a WHERE a.user_id = small.u('ward') AND a.body IS NOT NULL), 0::bigint, 'D7 erasing a person takes his words');
SELECT is((SELECT csat FROM csm.survey_responses WHERE case_id = small.c('no address')), 2::smallint, 'D7 and leaves the score');
SELECT csm.merge_users(small.u('north colleague'), small.u('north contact'), 'one human') \g /dev/null
SELECT is((SELECT user_id FROM csm.survey_responses WHERE case_id = small.c('one')), small.u('north colleague'), 'D7 two persons made one have their surveys');
SELECT * FROM finish();
ROLLBACK;
