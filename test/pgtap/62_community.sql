-- The community: who reads, asks, answers and moderates where; the life of posts; what becomes of them.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.try(person text, role_name text, statement text, keep boolean DEFAULT false, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN answer ~ '^ERROR' THEN substr(answer, 7, 5) ELSE answer END
    FROM small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, statement, persona, keep) answer $$;
-- All that the client is told, ids of posts made equal.
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
        answer := regexp_replace(format('%s | %s | %s | %s', SQLSTATE, m, d, h), '\d{3,}|(answer|question|comment) \d+', 'N', 'g');
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
-- A criterion that is true of the persons named.
CREATE FUNCTION pg_temp.criterion(of_key text, VARIADIC people text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) VALUES (small.tenant(), of_key, of_key, 'any') RETURNING id INTO made;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id)
    SELECT small.tenant(), made, 'user', small.u(p) FROM unnest(people) p;
    RETURN made;
END $$;
CREATE FUNCTION pg_temp.grant_on(forum text, of_action text, of_key text, denied boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies)
    SELECT f.tenant_id, f.audience_id, of_action, c.id, denied FROM csm.forums f, csm.user_criteria c
    WHERE f.key = forum AND c.key = of_key AND c.tenant_id = f.tenant_id $$;
CREATE TABLE pg_temp.named (name text PRIMARY KEY, id bigint);
GRANT SELECT ON pg_temp.named TO csm_portal, csm_agent, csm_guest, csm_admin;
CREATE FUNCTION pg_temp.ask(person text, forum text, of_title text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.try(person, role_name, format('SELECT (csm.ask(%L, %L, ''body of '' || %L)).id', forum, of_title, of_title), true);
BEGIN
    IF answer ~ '^[0-9]+$' THEN INSERT INTO pg_temp.named VALUES (of_title, answer::bigint); RETURN 'asked'; END IF;
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.n(of_name text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT id FROM pg_temp.named WHERE name = of_name $$;
CREATE FUNCTION pg_temp.answer(person text, question text, of_body text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.try(person, role_name, format('SELECT (csm.answer_question(%s, %L)).id', pg_temp.n(question), of_body), true);
BEGIN
    IF answer ~ '^[0-9]+$' AND length(answer) < 5 THEN INSERT INTO pg_temp.named VALUES (of_body, answer::bigint); RETURN 'answered'; END IF;
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.comment(person text, kind text, post text, of_body text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.try(person, role_name, format('SELECT (csm.comment_post(%L, %s, %L)).id', kind, pg_temp.n(post), of_body), true);
BEGIN
    IF answer ~ '^[0-9]+$' AND length(answer) < 5 THEN INSERT INTO pg_temp.named VALUES (of_body, answer::bigint); RETURN 'commented'; END IF;
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.moderate(person text, kind text, post text, act text, forum text DEFAULT NULL, keep boolean DEFAULT true, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT (csm.moderate(%L, %s, %L, ''because'', %L)).action', kind, pg_temp.n(post), act, forum), keep) $$;
CREATE FUNCTION pg_temp.sees(person text, tab text, of_name text, role_name text DEFAULT 'csm_portal') RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT count(*) FROM csm.%I WHERE id = %s', tab, pg_temp.n(of_name))) = '1' $$;

-- ---- the world: readers, askers, answerers, moderators, and one who is denied ----
SELECT pg_temp.criterion('readers', 'north contact', 'stranger', 'student', 'mother', 'consumer agent', 'b2b agent', 'north reader'),
       pg_temp.criterion('askers', 'stranger', 'north contact', 'student', 'b2b agent'), pg_temp.criterion('answerers', 'student', 'mother', 'north contact', 'b2b agent'),
       pg_temp.criterion('moderators', 'mother', 'b2b agent'), pg_temp.criterion('banned', 'north reader');
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$INSERT INTO csm.forums (key, title) VALUES ('printers', 'Printers') RETURNING key$$, true), 'printers', 'A6 an administrator opens a forum');
SELECT is(pg_temp.try(v.who, v.role_name, $$INSERT INTO csm.forums (key, title) VALUES ('x', 'X')$$), '42501', 'A6 no forum by ' || v.who)
FROM (VALUES ('b2b agent', 'csm_agent'), ('stranger', 'csm_portal'), ('b2b agent', 'csm_admin')) v(who, role_name);
SELECT is((SELECT count(*) FROM csm.audiences a JOIN csm.forums f ON f.audience_id = a.id WHERE f.key = 'printers' AND a.within_id IS NULL), 1::bigint, 'A6 with an audience of its own');
SELECT is(pg_temp.try('stranger', 'csm_portal', 'SELECT count(*) FROM csm.forums'), '0', 'A6 without a grant nobody sees it');
SELECT pg_temp.grant_on('printers', 'read', 'readers'), pg_temp.grant_on('printers', 'ask', 'askers'), pg_temp.grant_on('printers', 'answer', 'answerers'),
       pg_temp.grant_on('printers', 'moderate', 'moderators'), pg_temp.grant_on('printers', 'read', 'banned', true);

-- One post of each kind and state, by the stranger (questions) and the student (answers, comments).
SELECT is(pg_temp.ask('stranger', 'printers', 'jam'), 'asked', 'A6 who may ask asks');
SELECT is(pg_temp.answer('student', 'jam', 'open the lid'), 'answered', 'A6 who may answer answers');
SELECT is(pg_temp.comment('student', 'answer', 'open the lid', 'mind your fingers'), 'commented', 'A6 and comments');
DO $$
DECLARE
    s text;
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    FOREACH s IN ARRAY '{held,hidden,deleted}'::text[] LOOP
        INSERT INTO csm.questions (tenant_id, forum_id, author_id, state, title, body)
        SELECT small.tenant(), f.id, small.u('stranger'), s, s, s FROM csm.forums f WHERE f.key = 'printers';
        INSERT INTO pg_temp.named SELECT 'question ' || s, max(id) FROM csm.questions;
        INSERT INTO csm.answers (tenant_id, question_id, author_id, state, body) VALUES (small.tenant(), pg_temp.n('jam'), small.u('student'), s, s);
        INSERT INTO pg_temp.named SELECT 'answer ' || s, max(id) FROM csm.answers;
        INSERT INTO csm.post_comments (tenant_id, question_id, author_id, state, body) VALUES (small.tenant(), pg_temp.n('jam'), small.u('student'), s, s);
        INSERT INTO pg_temp.named SELECT 'comment ' || s, max(id) FROM csm.post_comments;
    END LOOP;
    INSERT INTO pg_temp.named VALUES ('question visible', pg_temp.n('jam')), ('answer visible', pg_temp.n('open the lid')), ('comment visible', pg_temp.n('mind your fingers'));
END $$;

-- ---- the matrix: audience × kind × state, for every role ----
-- reads: in the audience; own: wrote it; moderates. "yes" by the rule in plain words, independent of the policies.
CREATE TEMP TABLE viewer(who text, role_name text, reads boolean, moderates boolean);
INSERT INTO viewer VALUES ('stranger', 'csm_portal', true, false), ('student', 'csm_portal', true, false), ('north contact', 'csm_portal', true, false),
    ('mother', 'csm_portal', true, true), ('b2b agent', 'csm_agent', true, true), ('consumer agent', 'csm_agent', true, false),
    ('north reader', 'csm_portal', false, false), ('acme admin', 'csm_portal', false, false), ('desk manager', 'csm_agent', false, false),
    ('desk admin', 'csm_admin', false, false), ('b2b agent', 'csm_portal', true, true);
SELECT is(pg_temp.sees(v.who, CASE k.kind WHEN 'comment' THEN 'post_comments' ELSE k.kind || 's' END, k.kind || ' ' || s.state, v.role_name),
          v.reads AND (s.state IN ('visible', 'deleted') OR v.moderates OR v.who = CASE k.kind WHEN 'question' THEN 'stranger' ELSE 'student' END),
          format('A6 %s (%s) sees a %s that is %s: the rule', v.who, v.role_name, k.kind, s.state))
FROM viewer v, unnest('{question,answer,comment}'::text[]) k(kind), unnest('{visible,held,hidden,deleted}'::text[]) s(state);
SELECT is(pg_temp.try('nobody', r.role_name, format('SELECT count(*) FROM csm.%I', t.tab)), '0', format('V14 nobody sees no row of %s under %s', t.tab, r.role_name))
FROM unnest('{forums,questions,answers,post_comments,votes,subscriptions,community_profiles,case_questions}'::text[]) t(tab), unnest('{csm_portal,csm_agent}'::text[]) r(role_name);
SELECT is(pg_temp.try('nobody', 'csm_portal', format('SELECT count(*) FROM csm.%I', t.tab)), '0', 'V14 nobody sees no row of ' || t.tab)
FROM unnest('{post_versions,post_reports,moderation_acts}'::text[]) t(tab);
-- Another tenant, with a grant that names everybody it can.
INSERT INTO csm.users (tenant_id, display_name) VALUES (small.tenant('foreign'), 'foreigner');
INSERT INTO small.named SELECT 'user', 'foreigner', id FROM csm.users WHERE display_name = 'foreigner';
SELECT is(pg_temp.try('foreigner', 'csm_portal', format('SELECT count(*) FROM csm.%I', t.tab)), '0', 'V13 another tenant sees no row of ' || t.tab)
FROM unnest('{forums,questions,answers,post_comments,votes,community_profiles,moderation_acts,post_versions}'::text[]) t(tab);
SELECT is(pg_temp.try('foreigner', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('jam'))), '42501', 'V13 nor votes on what it cannot see');

-- Acting: by right, on a question that all readers see.
SELECT is(pg_temp.try(v.who, v.role_name, a.statement), CASE WHEN v.outcome[a.n] = 'y' THEN a.expected ELSE v.outcome[a.n] END, format('A6 %s by %s (%s)', a.what, v.who, v.role_name))
FROM (VALUES (1, 'ask', $$SELECT (csm.ask('printers', 't', 'b')).state$$, 'visible'),
             (2, 'answer', format('SELECT (csm.answer_question(%s, ''b'')).state', pg_temp.n('jam')), 'visible'),
             (3, 'comment', format('SELECT (csm.comment_post(''question'', %s, ''b'')).state', pg_temp.n('jam')), 'visible'),
             (4, 'vote', format('SELECT csm.vote(''question'', %s)', pg_temp.n('jam')), '1'),
             (5, 'report', format('SELECT csm.report_post(''question'', %s, ''spam'')', pg_temp.n('jam')), 'true'),
             (6, 'lock', format('SELECT (csm.moderate(''question'', %s, ''lock'', ''quarrel'')).action', pg_temp.n('jam')), 'lock'),
             (7, 'accept', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('open the lid')), 'true'),
             (8, 'follow', format('INSERT INTO csm.subscriptions (question_id) VALUES (%s) RETURNING ''ok''', pg_temp.n('jam')), 'ok')) a(n, what, statement, expected),
     (VALUES ('stranger', 'csm_portal', '{y,42501,y,42501,55000,42501,y,23505}'::text[]),
             ('north contact', 'csm_portal', '{y,y,y,y,y,42501,42501,y}'),
             ('mother', 'csm_portal', '{42501,y,y,y,y,y,y,y}'), ('b2b agent', 'csm_agent', '{y,y,y,y,y,y,y,y}'),
             ('consumer agent', 'csm_agent', '{42501,42501,42501,y,y,42501,42501,y}'),
             ('north reader', 'csm_portal', '{42501,42501,42501,42501,42501,42501,42501,42501}'),
             ('acme admin', 'csm_portal', '{42501,42501,42501,42501,42501,42501,42501,42501}'),
             ('nobody', 'csm_portal', '{42501,42501,42501,42501,42501,42501,42501,22023}')) v(who, role_name, outcome);

-- Hidden and missing: the same words, whatever is asked.
SELECT is(pg_temp.told(v.who, 'csm_portal', replace(s.statement, '#', pg_temp.n(v.post)::text)), pg_temp.told(v.who, 'csm_portal', replace(s.statement, '#', '987654')),
          format('V15 %s: hidden from %s and missing are told alike', s.what, v.who))
FROM (VALUES ('north reader', 'jam'), ('north contact', 'question hidden'), ('north contact', 'question held')) v(who, post),
     (VALUES ('answer', 'SELECT csm.answer_question(#, ''b'')'), ('comment', 'SELECT csm.comment_post(''question'', #, ''b'')'), ('vote', 'SELECT csm.vote(''question'', #)'),
             ('report', 'SELECT csm.report_post(''question'', #, ''r'')'), ('moderate', 'SELECT csm.moderate(''question'', #, ''hide'', ''r'')'), ('edit', 'SELECT csm.edit_post(''question'', #, ''b'')'),
             ('delete', 'SELECT csm.delete_post(''question'', #)'), ('case', 'SELECT csm.case_from_question(#)'), ('follow', 'INSERT INTO csm.subscriptions (question_id) VALUES (#)')) s(what, statement);
SELECT is(replace(pg_temp.told('north reader', 'csm_portal', $$SELECT csm.ask('printers', 't', 'b')$$), 'printers', 'x'), pg_temp.told('north reader', 'csm_portal', $$SELECT csm.ask('x', 't', 'b')$$), 'V15 a forum that is hidden and one that is missing');
SELECT is(pg_temp.try(v.who, v.role_name, v.statement), '42501', 'A6 no write beside the functions: ' || v.statement)
FROM (VALUES ('mother', 'csm_portal', 'INSERT INTO csm.questions (forum_id, title, body) VALUES (1, ''t'', ''b'')'), ('mother', 'csm_portal', 'UPDATE csm.questions SET state = ''hidden'''), ('mother', 'csm_portal', 'DELETE FROM csm.answers'),
             ('mother', 'csm_portal', 'UPDATE csm.answers SET score = 100'), ('b2b agent', 'csm_agent', 'INSERT INTO csm.votes (question_id, value) VALUES (1, 1)'), ('b2b agent', 'csm_agent', 'UPDATE csm.moderation_acts SET reason = ''x''')) v(who, role_name, statement);

-- ---- the tree: nothing inherited unless the forum says so ----
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$WITH p AS (SELECT id FROM csm.forums WHERE key = 'printers')
    INSERT INTO csm.forums (key, title, parent_id, inherits) SELECT v.key, v.key, p.id, v.inherits FROM p, (VALUES ('lasers', true), ('secrets', false)) v(key, inherits) RETURNING 'ok'$$, true), 'ok', 'A6 forums below it');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT string_agg(key, ',' ORDER BY key) FROM csm.forums$$), 'lasers,printers', 'A6 the parent''s rights hold where inherits is set, and only there');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT (csm.ask('lasers', 't', 'b')).state$$), 'visible', 'A6 so does the right to ask');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT (csm.ask('secrets', 't', 'b')).state$$), '42501', 'A6 not in the one beside it');
SELECT pg_temp.grant_on('lasers', 'ask', 'moderators');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT (csm.ask('lasers', 't', 'b')).state$$), '42501', 'A6 grants of its own narrow what it inherits');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', $$SELECT (csm.ask('lasers', 't', 'b')).state$$), 'visible', 'A6 for whom both allow it, it holds');
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.forums SET inherits = false WHERE key = 'lasers' RETURNING 'ok'$$, true), 'ok', 'A6 no longer inheriting');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT string_agg(key, ',' ORDER BY key) FROM csm.forums$$), 'printers', 'V10 it is gone with the next statement');
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.forums SET inherits = true WHERE key = 'printers'$$), '23514', 'A6 a forum at the top inherits from nothing');
SELECT throws_ok($$UPDATE csm.forums SET parent_id = NULL WHERE key = 'secrets'$$, '42501', NULL, 'A6 a forum stays where it is');
SELECT throws_ok($$UPDATE csm.forums SET audience_id = (SELECT max(id) FROM csm.audiences) WHERE key = 'printers'$$, '42501', NULL, 'A6 and keeps its audience');

-- ---- visitors ----
CREATE FUNCTION pg_temp.guest(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.tenant', 'small', true);
    RETURN pg_temp.try('nobody', 'csm_guest', statement);
END $$;
SELECT is(pg_temp.guest('SELECT count(*) FROM csm.forums'), '0', 'B58 a visitor sees no forum that is not public');
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.forums SET is_public = true WHERE key = 'printers' RETURNING 'ok'$$, true), 'ok', 'B58 it is made public');
SELECT is(pg_temp.guest($$SELECT string_agg(title, ',' ORDER BY title) FROM csm.questions$$), 'deleted,jam', 'B58 then he sees what all see: not held, not hidden');
SELECT is(pg_temp.guest($$SELECT string_agg(body, ',' ORDER BY body) FROM csm.answers$$), 'deleted,open the lid', 'B58 answers likewise');
SELECT is(pg_temp.guest($$SELECT string_agg(body, ',' ORDER BY body) FROM csm.post_comments$$), 'deleted,mind your fingers', 'B58 and comments');
SELECT is(pg_temp.guest('SELECT author_id FROM csm.questions'), '42501', 'B58 he reads names, no numbers of people');
SELECT is(pg_temp.guest($$SELECT csm.ask('printers', 't', 'b')$$), '42501', 'B58 he writes nothing');
SELECT is(pg_temp.try('nobody', 'csm_guest', $$SELECT count(*) FROM csm.questions$$), '0', 'V14 a visitor of no tenant sees nothing');
SELECT is((SELECT set_config('csm.tenant', 'foreign', false)) || pg_temp.try('nobody', 'csm_guest', $$SELECT count(*) FROM csm.questions$$), 'foreign0', 'V13 a visitor of another tenant none');
SELECT set_config('csm.tenant', '', false);
SELECT is(pg_temp.try('stranger', 'csm_guest', $$SELECT count(*) FROM csm.questions$$), '0', 'B58 who is signed in is no visitor');
SELECT is(pg_temp.try('north reader', 'csm_portal', 'SELECT count(*) FROM csm.questions'), '0', 'A6 deny wins also where visitors read');
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.forums SET is_public = false WHERE key = 'printers' RETURNING 'ok'$$, true), 'ok', 'B58 no longer public');
SELECT is(pg_temp.guest('SELECT count(*) FROM csm.questions') || pg_temp.guest('SELECT count(*) FROM csm.answers') || pg_temp.guest('SELECT count(*) FROM csm.post_comments'), '000', 'B58 with all that hangs on it');

-- ---- who wrote it ----
SELECT is((SELECT author_name FROM csm.questions WHERE id = pg_temp.n('jam')), 'member-' || small.u('stranger'), 'V11 without a profile a neutral name, never that of the person');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$INSERT INTO csm.community_profiles (forum_id, handle, display, about) SELECT id, 'fixer', 'The Fixer', 'paper' FROM csm.forums WHERE key = 'printers' RETURNING visible$$, true), 'false', 'A6 a profile is not shown by itself');
SELECT is(pg_temp.ask('stranger', 'printers', 'toner'), 'asked', 'A6 he asks again');
SELECT is((SELECT author_name FROM csm.questions WHERE id = pg_temp.n('toner')), 'The Fixer', 'V11 under the name of his profile');
SELECT is(pg_temp.try('student', 'csm_portal', 'SELECT count(*) FROM csm.community_people()'), '0', 'A6 who has not opted in is not in the directory');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$UPDATE csm.community_profiles SET visible = true RETURNING handle$$, true), 'fixer', 'A6 he opts in');
SELECT is(pg_temp.try(v.who, v.role_name, $$SELECT string_agg(handle || ' ' || display || ' ' || questions, ',') FROM csm.community_people()$$), v.outcome, format('A6 the directory for %s (%s)', v.who, v.role_name))
FROM (VALUES ('student', 'csm_portal', 'fixer The Fixer 2'), ('b2b agent', 'csm_agent', 'fixer The Fixer 2'), ('north reader', 'csm_portal', NULL), ('acme admin', 'csm_portal', NULL), ('nobody', 'csm_portal', NULL)) v(who, role_name, outcome);
SELECT is(pg_temp.try('student', 'csm_portal', format('UPDATE csm.community_profiles SET about = ''hacked'' WHERE user_id = %s RETURNING ''done''', small.u('stranger'))), NULL, 'A6 nobody changes another''s');
SELECT is(pg_temp.try('acme admin', 'csm_portal', $$INSERT INTO csm.community_profiles (forum_id, handle) VALUES ((SELECT min(f) FROM (SELECT 1 AS f) x), 'nosy')$$), '42501', 'A6 nobody shows himself where he does not read');
SELECT is(pg_temp.told('acme admin', 'csm_portal', $$INSERT INTO csm.community_profiles (forum_id, handle) VALUES (987654, 'nosy')$$), pg_temp.told('acme admin', 'csm_portal', format('INSERT INTO csm.community_profiles (forum_id, handle) VALUES (%s, ''nosy'')', (SELECT id FROM csm.forums WHERE key = 'printers'))), 'V15 a hidden forum and a missing one are refused alike');
SELECT is(pg_temp.try('student', 'csm_portal', $$INSERT INTO csm.community_profiles (forum_id, handle) SELECT id, 'member-1' FROM csm.forums$$), '23514', 'A6 nobody takes a neutral name for his own');
SELECT is(pg_temp.try('stranger', 'csm_portal', 'DELETE FROM csm.community_profiles RETURNING handle', true), 'fixer', 'A6 he opts out');
SELECT is((SELECT author_name FROM csm.questions WHERE id = pg_temp.n('toner')), 'member-' || small.u('stranger'), 'A6 which takes his name off what he wrote');

-- ---- votes ----
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('jam')), true), '1', 'A6 a vote counts');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('jam')), true), '1', 'A6 once');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('jam')), true), '2', 'A6 that of another beside it');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.vote(''question'', %s, -1)', pg_temp.n('jam')), true), '0', 'A6 the last one of a person stands');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.vote(''question'', %s, 0)', pg_temp.n('jam')), true), '1', 'A6 and can be taken back');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.vote(''answer'', %s)', pg_temp.n('open the lid'))), '42501', 'A6 nobody votes on his own answer');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.vote(%L, %s, %s)', v.kind, pg_temp.n(v.post), v.value)), '22023', '22023 vote: ' || v.what)
FROM (VALUES ('comment', 'mind your fingers', '1', 'on a comment'), ('answer', 'open the lid', '2', 'of 2'), ('answer', 'open the lid', 'NULL', 'of null'), ('thing', 'open the lid', '1', 'on a thing')) v(kind, post, value, what);
SELECT is(pg_temp.try('mother', 'csm_portal', 'SELECT count(*) FROM csm.votes'), '1', 'A6 one sees one''s own votes');
SELECT is(pg_temp.try('student', 'csm_portal', 'SELECT count(*) FROM csm.votes'), '0', 'A6 not those of others');
SELECT is((SELECT score FROM csm.questions WHERE id = pg_temp.n('jam')), (SELECT sum(value)::integer FROM csm.votes WHERE question_id = pg_temp.n('jam')), 'A6 the score is the sum of the votes');

-- ---- accepting ----
SELECT is(pg_temp.answer('north contact', 'jam', 'buy a new one'), 'answered', 'A6 a second answer');
SELECT is((SELECT answer_count FROM csm.questions WHERE id = pg_temp.n('jam')), 2, 'A6 those that all see are counted');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('open the lid')), true), 'true', 'A6 the asker accepts one');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('buy a new one')), true), 'true', 'A6 he changes his mind');
SELECT is((SELECT string_agg(body, ',') FROM csm.answers WHERE accepted), 'buy a new one', 'A6 exactly one is accepted');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('open the lid')), true), 'true', 'A6 a moderator may too');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.accept_answer(%s, false)).answered', pg_temp.n('open the lid'))), 'false', 'A6 it can be taken back');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('answer hidden'))), '42501', 'V15 a hidden answer is none');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('answer held'))), '55000', 'A6 what waits cannot be accepted');

-- ---- editing and deleting ----
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''paper jam'', ''jam again'')', pg_temp.n('jam')), true), '', 'A6 an author edits');
SELECT is((SELECT title || '/' || body || '/' || (edited_at IS NOT NULL) FROM csm.questions WHERE id = pg_temp.n('jam')), 'jam again/paper jam/true', 'A6 it says what he wrote');
SELECT is(pg_temp.try(v.who, 'csm_portal', format('SELECT string_agg(title || ''/'' || body, '','') FROM csm.post_versions WHERE question_id = %s', pg_temp.n('jam'))), v.outcome, 'A6 what it said before, for ' || v.who)
FROM (VALUES ('stranger', 'jam/body of jam'), ('mother', 'jam/body of jam'), ('student', NULL), ('north reader', NULL)) v(who, outcome);
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''x'')', pg_temp.n('jam'))), '42501', 'A6 others do not edit');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''x'')', pg_temp.n('jam'))), '', 'A6 but moderators');
UPDATE csm.tenants SET settings = settings || '{"community": {"edit_minutes": 0, "posts_per_day": null, "votes_per_day": null}}' WHERE key = 'small';
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''x'')', pg_temp.n('jam'))), '55000', 'A6 an author edits as long as the setting says');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''x'')', pg_temp.n('jam'))), '', 'A6 moderators at any time');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.edit_post(''answer'', %s, ''x'', ''title'')', pg_temp.n('open the lid'))), '22023', '22023 edit_post: an answer has no title');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.edit_post(''answer'', %s, '' '')', pg_temp.n('open the lid'))), '23514', '23514 edit_post: blank');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.delete_post(''question'', %s)', pg_temp.n('jam'))), '42501', 'A6 nobody else deletes: moderators hide');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.delete_post(''question'', %s)', pg_temp.n('jam')), true), '', 'A6 the author takes it back');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT title || ''/'' || body || ''/'' || (search IS NULL) FROM csm.questions WHERE id = %s', pg_temp.n('jam'))), 'deleted/deleted/true', 'A6 a place remains where it was');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT count(*) FROM csm.answers WHERE question_id = %s AND state = ''visible''', pg_temp.n('jam'))), '2', 'A6 what hangs on it can still be read');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.delete_post(''question'', %s)', pg_temp.n('jam'))), '55000', 'A6 once');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT (csm.answer_question(%s, ''x'')).state', pg_temp.n('jam'))), '55000', 'A6 it takes no further answer');

-- ---- moderation ----
SELECT is(pg_temp.answer('student', 'toner', 'shake it'), 'answered', 'A6 a thread to moderate');
SELECT is(pg_temp.comment('north contact', 'answer', 'shake it', 'gently'), 'commented', 'A6 with a comment on the answer');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.accept_answer(%s)).answered', pg_temp.n('shake it')), true), 'true', 'A6 that is accepted');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT csm.report_post(''answer'', %s, ''dangerous'')', pg_temp.n('shake it')), true), 'true', 'A6 a member reports it');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT csm.report_post(''answer'', %s, ''dangerous'')', pg_temp.n('shake it')), true), 'false', 'A6 once while it is open');
SELECT is(pg_temp.try(v.who, v.role_name, 'SELECT count(*) FROM csm.post_reports'), v.outcome, format('A6 the report for %s', v.who))
FROM (VALUES ('north contact', 'csm_portal', '1'), ('mother', 'csm_portal', '1'), ('b2b agent', 'csm_agent', '1'), ('student', 'csm_portal', '0'), ('stranger', 'csm_portal', '0'), ('consumer agent', 'csm_agent', '0')) v(who, role_name, outcome);
SELECT is(pg_temp.try(v.who, v.role_name, $$SELECT string_agg(why || ' ' || kind, ',' ORDER BY why, kind) FROM csm.moderation_queue()$$), v.outcome, format('A6 the queue of %s (%s)', v.who, v.role_name))
FROM (VALUES ('mother', 'csm_portal', 'held answer,held comment,held question,reported answer'), ('b2b agent', 'csm_agent', 'held answer,held comment,held question,reported answer'),
             ('student', 'csm_portal', NULL), ('consumer agent', 'csm_agent', NULL), ('nobody', 'csm_portal', NULL)) v(who, role_name, outcome);
SELECT is(pg_temp.moderate('mother', 'answer', 'shake it', 'hide'), 'hide', 'A6 a moderator hides it');
SELECT is(pg_temp.try('mother', 'csm_portal', $$SELECT count(*) FROM csm.moderation_queue() WHERE why = 'reported'$$), '0', 'A6 which closes the report');
SELECT is((SELECT concat_ws(' ', q.answer_count, q.answered, a.accepted, c.thread_shown) FROM csm.questions q JOIN csm.answers a ON a.question_id = q.id JOIN csm.post_comments c ON c.answer_id = a.id WHERE q.id = pg_temp.n('toner')), '0 f f f', 'A6 it is neither counted nor accepted, and its comments go with it');
SELECT is(concat_ws(' ', pg_temp.sees(v.who, 'answers', 'shake it', v.role_name), pg_temp.sees(v.who, 'post_comments', 'gently', v.role_name)), v.outcome, format('A6 hidden, for %s', v.who))
FROM (VALUES ('student', 'csm_portal', 't f'), ('north contact', 'csm_portal', 'f t'), ('stranger', 'csm_portal', 'f f'), ('mother', 'csm_portal', 't t')) v(who, role_name, outcome);
SELECT is(pg_temp.moderate('b2b agent', 'answer', 'shake it', 'hide', role_name => 'csm_agent'), '55000', 'A6 a second moderator is told');
SELECT is(pg_temp.moderate('b2b agent', 'answer', 'shake it', 'restore', role_name => 'csm_agent'), 'restore', 'A6 and restores it');
SELECT is((SELECT concat_ws(' ', q.answer_count, q.answered, a.accepted, c.thread_shown) FROM csm.questions q JOIN csm.answers a ON a.question_id = q.id JOIN csm.post_comments c ON c.answer_id = a.id WHERE q.id = pg_temp.n('toner')), '1 f f t', 'A6 to be accepted again');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'hide'), 'hide', 'A6 a question is hidden');
SELECT is(concat_ws(' ', pg_temp.sees('stranger', 'questions', 'toner'), pg_temp.sees('stranger', 'answers', 'shake it'), pg_temp.sees('north contact', 'questions', 'toner'), pg_temp.sees('north contact', 'answers', 'shake it')), 't f f f', 'A6 with its answers, but for its author');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.edit_post(''question'', %s, ''x'')', pg_temp.n('toner'))), '55000', 'A6 who cannot write over it');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'restore'), 'restore', 'A6 and restored');
SELECT is(concat_ws(' ', pg_temp.sees('north contact', 'questions', 'toner'), pg_temp.sees('north contact', 'answers', 'shake it'), pg_temp.sees('student', 'post_comments', 'gently')), 't t t', 'A6 with all that hangs on it');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'lock'), 'lock', 'A6 a thread is locked');
SELECT is(pg_temp.try(v.who, 'csm_portal', format(v.statement, pg_temp.n(v.post))), v.outcome, format('A6 locked: %s by %s', v.what, v.who))
FROM (VALUES ('student', 'answering', 'SELECT (csm.answer_question(%s, ''x'')).state', 'toner', '55000'), ('mother', 'answering', 'SELECT (csm.answer_question(%s, ''x'')).state', 'toner', 'visible'),
             ('north contact', 'voting', 'SELECT csm.vote(''question'', %s)', 'toner', '55000'), ('stranger', 'accepting', 'SELECT (csm.accept_answer(%s)).answered', 'shake it', '55000'),
             ('stranger', 'deleting', 'SELECT csm.delete_post(''question'', %s)', 'toner', '55000'), ('mother', 'accepting', 'SELECT (csm.accept_answer(%s)).answered', 'shake it', 'true')) v(who, what, statement, post, outcome);
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'unlock'), 'unlock', 'A6 and unlocked');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'move', 'secrets'), '42501', 'A6 it is not moved where the moderator does not moderate');
SELECT pg_temp.grant_on('secrets', 'read', 'moderators'), pg_temp.grant_on('secrets', 'moderate', 'moderators');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'move', 'secrets'), 'move', 'A6 it is moved where he does');
SELECT is(concat_ws(' ', pg_temp.sees('stranger', 'questions', 'toner'), pg_temp.sees('student', 'answers', 'shake it'), pg_temp.sees('north contact', 'post_comments', 'gently'), pg_temp.sees('mother', 'post_comments', 'gently')), 'f f f t', 'A6 the audience there decides, over its author too');
SELECT is(pg_temp.try('north contact', 'csm_portal', 'SELECT count(*) FROM csm.post_reports'), '0', 'A6 over reports as well');
SELECT is(pg_temp.moderate('mother', 'question', 'toner', 'move', 'printers'), 'move', 'A6 and back');
SELECT is((SELECT string_agg(action || ' ' || reason, ',' ORDER BY id) FROM csm.moderation_acts WHERE question_id = pg_temp.n('toner')), 'hide because,restore because,lock because,unlock because,move because,move because', 'A6 every act is kept with its reason');
SELECT is((SELECT string_agg(DISTINCT u.display_name, ',' ORDER BY u.display_name) FROM csm.moderation_acts m JOIN csm.users u ON u.id = m.actor_id), 'b2b agent,mother', 'A6 and who it was');
SELECT throws_ok($$UPDATE csm.moderation_acts SET reason = 'other'$$, '42501', NULL, 'A6 nobody changes an act');
SELECT throws_ok($$DELETE FROM csm.moderation_acts$$, '42501', NULL, 'A6 nor deletes one');
SELECT throws_ok($$TRUNCATE csm.moderation_acts$$, '42501', NULL, 'A6 nor all');
SELECT is(pg_temp.try(v.who, 'csm_portal', format('SELECT count(*) > 0 FROM csm.moderation_acts WHERE answer_id = %s', pg_temp.n('shake it'))), v.outcome, 'A6 acts on an answer, for ' || v.who)
FROM (VALUES ('student', 'true'), ('mother', 'true'), ('north contact', 'false'), ('north reader', 'false')) v(who, outcome);
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.moderate(%L, %s, %L, %L, %L)', v.kind, pg_temp.n(v.post), v.act, v.reason, v.forum)), v.outcome, format('%s moderate: %s', v.outcome, v.what))
FROM (VALUES ('answer', 'shake it', 'lock', 'r', NULL, '22023', 'an answer is not locked'), ('question', 'toner', 'move', 'r', NULL, '22023', 'to nowhere'), ('question', 'toner', 'hide', 'r', 'secrets', '22023', 'hiding to a forum'),
             ('question', 'toner', 'burn', 'r', NULL, '22023', 'an unknown action'), ('question', 'toner', 'hide', '  ', NULL, '23514', 'without a reason'), ('question', 'toner', 'hide', NULL, NULL, '23502', 'with a null reason'),
             ('question', 'toner', 'approve', 'r', NULL, '55000', 'approving what is not held'), ('question', 'toner', 'move', 'r', 'printers', '55000', 'where it is'), ('question', 'toner', 'move', 'r', 'nowhere', '42501', 'a forum that is missing')) v(kind, post, act, reason, forum, outcome, what);

-- First posts wait.
SELECT is(pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.forums SET hold_posts = 2 WHERE key = 'printers' RETURNING 'ok'$$, true), 'ok', 'A6 first posts wait');
SELECT is(pg_temp.try(v.who, v.role_name, v.statement), v.outcome, format('A6 %s: a first post of %s', v.outcome, v.who))
FROM (VALUES ('b2b agent', 'csm_agent', $$SELECT (csm.ask('printers', 't', 'b')).state$$, 'visible'), ('north contact', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$, 'visible'),
             ('student', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$, 'visible'), ('stranger', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$, 'held')) v(who, role_name, statement, outcome);
SELECT is(pg_temp.ask('stranger', 'printers', 'waiting'), 'asked', 'A6 it waits');
SELECT is(concat_ws(' ', pg_temp.sees('stranger', 'questions', 'waiting'), pg_temp.sees('student', 'questions', 'waiting'), pg_temp.sees('mother', 'questions', 'waiting')), 't f t', 'A6 for its author and moderators alone');
SELECT is(pg_temp.moderate('mother', 'question', 'waiting', 'approve'), 'approve', 'A6 it is approved');
SELECT is(pg_temp.sees('student', 'questions', 'waiting'), true, 'A6 and shown');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$), 'visible', 'A6 who has enough waits no more');
UPDATE csm.forums SET hold_posts = 0, active = false WHERE key = 'printers';
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$), '55000', 'A6 a closed forum takes no question');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT (csm.answer_question(%s, ''b'')).state', pg_temp.n('waiting'))), '55000', 'A6 and no answer');
UPDATE csm.forums SET active = true WHERE key = 'printers';

-- ---- how much ----
UPDATE csm.tenants SET settings = settings || '{"community": {"posts_per_day": 2, "votes_per_day": 0, "reports_per_day": 1}}' WHERE key = 'small';
SELECT is(string_agg(pg_temp.try('b2b agent', 'csm_portal', $$SELECT (csm.ask('printers', 't', 'b')).state$$), ','), 'visible,visible,visible', 'SM007 moderators are not counted') FROM generate_series(1, 3);
CREATE FUNCTION pg_temp.thrice(person text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text := '';
BEGIN
    FOR i IN 1 .. 3 LOOP said := said || pg_temp.try(person, 'csm_portal', statement) || ' '; END LOOP;
    RETURN said;
END $$;
INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
SELECT f.tenant_id, f.audience_id, a, pg_temp.criterion('newcomers', 'plant contact') FROM csm.forums f, unnest('{read}'::text[]) a WHERE f.key = 'printers';
SELECT pg_temp.grant_on('printers', 'ask', 'newcomers');
SELECT is(pg_temp.thrice('plant contact', $$SELECT (csm.ask('printers', 't', 'b')).state$$), 'visible visible SM007 ', 'SM007 so many posts a day, whether or not they were kept');
SELECT is(pg_temp.thrice('plant contact', format('SELECT csm.vote(''question'', %s)', pg_temp.n('waiting'))), 'SM007 SM007 SM007 ', 'SM007 no vote where the limit is 0');
SELECT is(pg_temp.thrice('plant contact', format('SELECT csm.report_post(''question'', %s, ''r'')', pg_temp.n('waiting'))), 'true SM007 SM007 ', 'SM007 so many reports');
SELECT throws_ok(format($$UPDATE csm.tenants SET settings = settings || '{"community": %s}' WHERE key = 'small'$$, v), '22023', NULL, '22023 setting community: ' || v)
FROM unnest('{"true","[]","{\"posts\": 1}","{\"posts_per_day\": \"1\"}","{\"posts_per_day\": 1.5}","{\"posts_per_day\": -1}"}'::text[]) v;
UPDATE csm.tenants SET settings = settings - 'community' WHERE key = 'small';

-- ---- following ----
SELECT is(pg_temp.try('stranger', 'csm_portal', 'SELECT count(*) > 0 FROM csm.subscriptions'), 'true', 'A6 who asks follows his question');
SELECT is(pg_temp.try('north contact', 'csm_portal', $$INSERT INTO csm.subscriptions (forum_id) SELECT id FROM csm.forums WHERE key = 'printers' RETURNING 'ok'$$, true), 'ok', 'A6 one follows a forum');
SELECT is(pg_temp.ask('stranger', 'printers', 'drum'), 'asked', 'A6 something new');
SELECT is(pg_temp.answer('student', 'drum', 'turn it'), 'answered', 'A6 and an answer');
SELECT is(pg_temp.try(v.who, 'csm_portal', $$SELECT string_agg(kind || ' ' || title, ',' ORDER BY kind) FROM csm.community_news() WHERE title = 'drum'$$), v.outcome, 'A6 news for ' || v.who)
FROM (VALUES ('north contact', 'question drum'), ('stranger', 'answer drum'), ('student', NULL), ('mother', NULL)) v(who, outcome);
SELECT is(pg_temp.try('stranger', 'csm_portal', $$WITH u AS (UPDATE csm.subscriptions SET seen_at = clock_timestamp() RETURNING 1) SELECT count(*) > 0 FROM u$$, true), 'true', 'A6 he has read it');
SELECT is(pg_temp.try('stranger', 'csm_portal', $$SELECT count(*) FROM csm.community_news()$$), '0', 'A6 nothing new');
SELECT is(pg_temp.moderate('mother', 'question', 'drum', 'hide'), 'hide', 'A6 it is hidden');
SELECT is(pg_temp.try('north contact', 'csm_portal', $$SELECT count(*) FROM csm.community_news() WHERE title = 'drum'$$), '0', 'A6 what one may not read is no news');
SELECT is(pg_temp.moderate('mother', 'question', 'drum', 'restore'), 'restore', 'A6 restored');
SELECT is(pg_temp.try('student', 'csm_portal', format('UPDATE csm.subscriptions SET seen_at = now() WHERE user_id = %s RETURNING ''done''', small.u('stranger'))), NULL, 'A6 nobody''s subscriptions but one''s own');
SELECT is(pg_temp.try('north reader', 'csm_portal', format('INSERT INTO csm.subscriptions (forum_id) VALUES (%s)', (SELECT id FROM csm.forums WHERE key = 'printers'))), '42501', 'A6 nobody follows what he does not read');

-- ---- a question becomes a case ----
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT concat_ws('' '', branch, requester_id = %s, opened_by = %s, account_id, subject, description, priority, channel) FROM csm.case_from_question(%s)', small.u(v.asker), small.u(v.who), pg_temp.n(v.question))), v.outcome,
          format('A6 a case from the question of %s by %s (%s)', v.asker, v.who, v.role_name))
FROM (VALUES ('stranger', 'csm_portal', 'stranger', 'drum', 'b2c t t drum body of drum 4 community'), ('consumer agent', 'csm_agent', 'stranger', 'drum', 'b2c t t drum body of drum 4 community'),
             ('student', 'csm_portal', 'stranger', 'drum', '42501'), ('mother', 'csm_portal', 'stranger', 'drum', '42501'), ('north reader', 'csm_portal', 'stranger', 'drum', '42501'),
             ('b2b agent', 'csm_agent', 'stranger', 'drum', '42501'), ('acme admin', 'csm_portal', 'stranger', 'drum', '42501')) v(who, role_name, asker, question, outcome);
SELECT is(pg_temp.ask('north contact', 'printers', 'contract'), 'asked', 'A6 a contact asks');
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT concat_ws('' '', branch, requester_id = %s, account_id = %s, priority, channel) FROM csm.case_from_question(%s)', small.u('north contact'), small.a('north'), pg_temp.n('contract'))), v.outcome,
          format('A6 the asker''s account, when %s opens it', v.who))
FROM (VALUES ('north contact', 'csm_portal', 'b2b t t 4 community'), ('b2b agent', 'csm_agent', 'b2b t t 4 community'), ('consumer agent', 'csm_agent', '42501')) v(who, role_name, outcome);
SELECT pg_temp.grant_on('printers', 'read', 'contributors') FROM (SELECT pg_temp.criterion('contributors', 'contributor')) x;
SELECT is(pg_temp.try('contributor', 'csm_agent', format('SELECT branch FROM csm.case_from_question(%s)', pg_temp.n('contract'))), 'b2b', 'A6 a contributor opens it for the asker');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.case_from_question(%s)).id > 0', pg_temp.n('drum')), true), 'true', 'A6 it is opened');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.case_from_question(%s)).id = (SELECT case_id FROM csm.case_questions)', pg_temp.n('drum')), true), 'true', 'A6 called again it is the same case');
SELECT is((SELECT count(*) FROM csm.case_questions WHERE question_id = pg_temp.n('drum') AND relation = 'raised'), 1::bigint, 'A6 one link');
SELECT is(pg_temp.try(v.who, v.role_name, 'SELECT count(*) FROM csm.case_questions'), v.outcome, format('A6 the link for %s', v.who))
FROM (VALUES ('stranger', 'csm_portal', '1'), ('consumer agent', 'csm_agent', '1'), ('student', 'csm_portal', '0'), ('mother', 'csm_portal', '0'), ('b2b agent', 'csm_agent', '0')) v(who, role_name, outcome);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT csm.case_from_question(%s)', pg_temp.n('drum'))), '42501', 'A6 who may not open one is told no more');

-- ---- and back ----
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT (csm.question_from_case(%s, %L, %L, ''How do I calm it?'')).state', small.c(v.subject), v.forum, v.title)), v.outcome, format('A6 %s: question from case by %s', v.what, v.who))
FROM (VALUES ('b2b agent', 'csm_agent', 'north: pump', 'printers', 'A pump rattles', 'visible', 'anonymised'), ('b2b agent', 'csm_agent', 'north: pump', 'printers', 'North has a pump', '22023', 'names the account'),
             ('b2b agent', 'csm_agent', 'north: pump', 'printers', 'As NORTH CONTACT said', '22023', 'names the requester'), ('b2b agent', 'csm_agent', 'north: pump', 'secrets', 'A pump rattles', '42501', 'no right to ask there'),
             ('b2b agent', 'csm_agent', 'north: pump', 'nowhere', 'A pump rattles', '42501', 'no such forum'), ('consumer agent', 'csm_agent', 'north: pump', 'printers', 'A pump rattles', 'SM001', 'no such case for him'),
             ('viewer', 'csm_agent', 'north: pump', 'printers', 'A pump rattles', '42501', 'only reads the case'), ('north contact', 'csm_portal', 'north: pump', 'printers', 'A pump rattles', '42501', 'not for customers')) v(who, role_name, subject, forum, title, outcome, what);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT (csm.question_from_case(%s, ''printers'', ''A pump rattles'', ''Why?'')).id > 0', small.c('north: pump')), true), 'true', 'A6 it is asked');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT csm.question_from_case(%s, ''printers'', ''A pump rattles'', ''Why?'')', small.c('north: pump'))), '55000', 'A6 once');
SELECT is((SELECT concat_ws(' ', author_id = small.u('b2b agent'), by_staff, author_name = 'member-' || author_id) FROM csm.questions WHERE title = 'A pump rattles'), 't t t', 'A6 in the name of who published it, as staff');
SELECT is(pg_temp.try(v.who, v.role_name, $$SELECT concat_ws(' ', (SELECT count(*) FROM csm.questions WHERE title = 'A pump rattles'), (SELECT count(*) FROM csm.case_questions WHERE relation = 'published'))$$), v.outcome, format('A6 the question and the link, for %s', v.who))
FROM (VALUES ('student', 'csm_portal', '1 0'), ('north contact', 'csm_portal', '1 1'), ('b2b agent', 'csm_agent', '1 1'), ('holding manager', 'csm_portal', '0 1'), ('north reader', 'csm_portal', '0 1')) v(who, role_name, outcome);

-- ---- plans ----
-- What a person sees is found through the audiences that he may read, under every role, among many that he does not.
INSERT INTO csm.forums (tenant_id, key, title) VALUES (small.tenant(), 'elsewhere', 'Elsewhere');
SET session_replication_role = replica;
INSERT INTO csm.questions (tenant_id, forum_id, audience_id, is_public, author_id, author_name, title, body)
SELECT tenant_id, id, audience_id, false, small.u('son'), 'x', 'x', 'x' FROM csm.forums, generate_series(1, 6000) i WHERE key = 'elsewhere';
INSERT INTO csm.answers (tenant_id, question_id, audience_id, is_public, author_id, author_name, body) SELECT tenant_id, id, audience_id, false, author_id, 'x', 'x' FROM csm.questions WHERE title = 'x';
INSERT INTO csm.post_comments (tenant_id, question_id, audience_id, is_public, author_id, author_name, body) SELECT tenant_id, id, audience_id, false, author_id, 'x', 'x' FROM csm.questions WHERE title = 'x';
INSERT INTO csm.post_versions (tenant_id, question_id, audience_id, author_id, body) SELECT tenant_id, id, audience_id, author_id, 'x' FROM csm.questions WHERE title = 'x';
INSERT INTO csm.post_reports (tenant_id, question_id, audience_id, reporter_id, reason) SELECT tenant_id, id, audience_id, author_id, 'x' FROM csm.questions WHERE title = 'x';
INSERT INTO csm.moderation_acts (tenant_id, question_id, audience_id, forum_id, author_id, action, actor_id, reason) SELECT tenant_id, id, audience_id, forum_id, author_id, 'hide', author_id, 'x' FROM csm.questions WHERE title = 'x';
RESET session_replication_role;
ANALYZE csm.questions, csm.answers, csm.post_comments, csm.post_versions, csm.post_reports, csm.moderation_acts;
CREATE FUNCTION pg_temp.plan(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text := '';
    l text;
BEGIN
    PERFORM set_config('csm.allow_explain', 'on', true), set_config('enable_seqscan', 'off', true);
    PERFORM set_config('csm.user_id', coalesce(CASE WHEN person <> 'nobody' THEN small.u(person) END::text, ''), true), set_config('role', role_name, true);
    FOR l IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP found := found || l || E'\n'; END LOOP;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true), set_config('enable_seqscan', 'on', true);
    RETURN found;
END $$;
SELECT ok(pg_temp.plan(w.who, w.role_name, 'SELECT * FROM csm.' || t.tab) ~ CASE w.who WHEN 'nobody' THEN 'Index Cond: .*(audience_id = ANY \(csm.audiences_allowing\(.read|tenant_id = csm.current_tenant_id)'
                                                                                            ELSE 'Index Cond: .*audience_id = ANY \(csm.audiences_allowing\(.read' END AND pg_temp.plan(w.who, w.role_name, 'SELECT * FROM csm.' || t.tab) !~ 'SubPlan|InitPlan',
          format('A6 V14 %s by %s (%s): through the index of audiences, no sub-select', t.tab, w.who, w.role_name))
FROM unnest('{questions,answers,post_comments,post_versions,post_reports,moderation_acts}'::text[]) t(tab),
     (VALUES ('stranger', 'csm_portal'), ('mother', 'csm_portal'), ('b2b agent', 'csm_agent'), ('nobody', 'csm_portal')) w(who, role_name);

-- ---- persons ----
-- Two who were one: votes on what turns out to be one's own are gone, and the score with them.
SELECT small.new_user('mother twice');
SELECT pg_temp.grant_on('printers', 'read', 'twins') FROM (SELECT pg_temp.criterion('twins', 'mother twice')) x;
SELECT is(pg_temp.answer('mother', 'waiting', 'be patient'), 'answered', 'A20 the mother answers');
SELECT is(pg_temp.try('mother twice', 'csm_portal', format('SELECT csm.vote(''answer'', %s)', pg_temp.n('be patient')), true), '1', 'A20 and votes for it under her other account');
SELECT is(pg_temp.try('mother twice', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('waiting')), true), '1', 'A20 and for the question');
SELECT is(pg_temp.try('mother', 'csm_portal', format('SELECT csm.vote(''question'', %s)', pg_temp.n('waiting')), true), '2', 'A20 twice');
SELECT csm.merge_users(small.u('mother'), small.u('mother twice'), 'the same');
SELECT is((SELECT score FROM csm.answers WHERE id = pg_temp.n('be patient')), 0, 'A20 once they are one, the vote for herself is gone');
SELECT is((SELECT score FROM csm.questions WHERE id = pg_temp.n('waiting')), 1, 'A20 and counts once elsewhere');
SELECT is((SELECT count(*) FROM csm.questions q WHERE q.score <> (SELECT coalesce(sum(v.value), 0) FROM csm.votes v WHERE v.question_id = q.id)), 0::bigint, 'A6 every score is the sum of the votes');

SELECT csm.erase_person(small.u('student'), 'gone');
SELECT is((SELECT string_agg(DISTINCT author_name || '/' || body, ',') FROM csm.answers WHERE author_id = small.u('student')), 'erased/erased', 'A38 what an erased person wrote is empty');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT count(*) FROM csm.answers WHERE question_id = %s', pg_temp.n('drum'))), '1', 'A38 the thread stands');
SELECT is((SELECT count(*) FROM csm.post_versions WHERE author_id = small.u('student') AND body <> 'erased'), 0::bigint, 'A38 earlier texts are empty as well');
SELECT * FROM finish();
