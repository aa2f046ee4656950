-- Events of articles, questions and publications: once each, to who reads what they are about when they are handed out,
-- and to nobody who did not ask for them.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();
CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, keep => true), '^(ERROR .....): .*', '\1') $$;
-- What a subscriber gets, as "kind id ...", and acknowledges.
CREATE FUNCTION pg_temp.gets(person text, subscriber text, role_name text DEFAULT 'csm_portal', acknowledges boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got text := pg_temp.does(person, format('SELECT coalesce(string_agg(kind, '' '' ORDER BY position), '''') FROM csm.next_events(%L)', subscriber), role_name);
BEGIN
    IF acknowledges THEN
        PERFORM pg_temp.does(person, format('SELECT csm.acknowledge(%L, delivered) FROM csm.event_subscribers WHERE key = %1$L', subscriber), role_name);
    END IF;
    RETURN got;
END $$;

DO $$
BEGIN
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) SELECT small.tenant(), x, x, 'any' FROM unnest('{consumers,contacts}'::text[]) x;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona) SELECT tenant_id, id, 'persona', rtrim(key, 's') FROM csm.user_criteria;
    INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'editors');
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT g.tenant_id, g.id, u FROM csm.groups g, unnest(ARRAY[small.u('desk manager'), small.u('b2b agent')]) u;
    INSERT INTO csm.knowledge_bases (tenant_id, key, title) VALUES (small.tenant(), 'help', 'Help');
    INSERT INTO csm.forums (tenant_id, key, title) VALUES (small.tenant(), 'pumps', 'Pumps');
    INSERT INTO csm.publication_series (tenant_id, key, title) VALUES (small.tenant(), 'news', 'News');
    UPDATE csm.audiences SET group_id = (SELECT id FROM csm.groups) WHERE tenant_id = small.tenant();
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT a.tenant_id, a.id, v.action, c.id FROM csm.audiences a CROSS JOIN unnest('{read,ask,answer}'::text[]) v(action) JOIN csm.user_criteria c ON c.key = 'consumers';
    DELETE FROM csm.events;
    INSERT INTO csm.event_subscribers (tenant_id, key, user_id, kinds, subjects) VALUES
        (small.tenant(), 'old', small.u('desk manager'), NULL, DEFAULT), (small.tenant(), 'desk', small.u('desk manager'), NULL, '{case,article,question,publication}'),
        (small.tenant(), 'son', small.u('son'), NULL, '{article,question,publication}'), (small.tenant(), 'news', small.u('son'), NULL, '{publication}'),
        (small.tenant(), 'asked', small.u('son'), '{question_asked}', '{article,question}'), (small.tenant(), 'contact', small.u('north contact'), NULL, '{article,question,publication}');
END $$;
SELECT throws_ok('INSERT INTO csm.event_subscribers (tenant_id, key, user_id, subjects) VALUES (small.tenant(), ''x'', small.u(''son''), ' || s || ')', '23514', NULL, 'D5 subjects: ' || s)
FROM unnest(ARRAY['''{}''', '''{cases}''', '''{NULL}''']) s;

-- Articles.
CREATE TEMP TABLE made AS SELECT pg_temp.does('desk manager', 'INSERT INTO csm.articles (base_id, title, body) SELECT id, ''Pumps'', ''text'' FROM csm.knowledge_bases RETURNING id')::bigint AS article, NULL::bigint AS question, NULL::bigint AS answer, NULL::bigint AS publication;
SELECT pg_temp.does(person, format('SELECT csm.act_on_article(%s, %L)', article, action)) FROM made, (VALUES (1, 'desk manager', 'submit'), (2, 'b2b agent', 'publish')) v(n, person, action) ORDER BY n;
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent', false), 'article_published', 'A28 published: who manages the base hears of it');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), 'article_published', 'D5 again, until he has acknowledged it');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), '', 'D5 and then no more');
SELECT is(pg_temp.gets('son', 'son'), 'article_published', 'A28 who reads it too');
SELECT is(pg_temp.gets('north contact', 'contact'), '', 'A28 who does not read it does not');
SELECT is(pg_temp.gets('desk manager', 'old', 'csm_agent'), '', 'D5 who asked for cases gets cases');
SELECT is(pg_temp.gets('son', 'news'), '', 'D5 who asked for publications gets publications');
SELECT is((SELECT e.actor_id = small.u('b2b agent') AND e.payload = jsonb_build_object('base_id', a.base_id, 'number', a.number, 'language', 'en', 'version', 1) FROM csm.events e JOIN csm.articles a ON a.id = e.article_id), true, 'A28 who did it, keys and no words');
SELECT pg_temp.does(person, format('SELECT csm.act_on_article(%s, %L)', article, action)) FROM made, (VALUES (1, 'desk manager', 'revise'), (2, 'desk manager', 'submit'), (3, 'b2b agent', 'publish'), (4, 'b2b agent', 'retire')) v(n, person, action) ORDER BY n;
SELECT is((SELECT string_agg(kind || ' ' || (payload ->> 'version'), ', ' ORDER BY id) FROM csm.events), 'article_published 1, article_published 2, article_retired 2', 'A28 each version, and its end, once');
SELECT is(pg_temp.gets('son', 'son'), 'article_retired', 'A28 who no longer reads it hears that it ended, and nothing of what it was');
SELECT is(pg_temp.gets('north contact', 'contact'), '', 'A28 who would not read it does not');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), 'article_published article_retired', 'A28 who manages it hears of both');
-- By time.
SELECT pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, %L)', article, action)) FROM made, (VALUES (1, 'revise'), (2, 'submit')) v(n, action) ORDER BY n;
SELECT pg_temp.does('b2b agent', format('SELECT csm.act_on_article(%s, ''publish'', at => clock_timestamp() + interval ''0.1 s'')', article)) FROM made;
SELECT pg_sleep(0.12);
SELECT is((SELECT done FROM csm.run_due() WHERE kind = 'article_publish'), 1::bigint, 'A28 (published by time)');
UPDATE csm.articles SET expires_at = clock_timestamp() + interval '0.1 s';
SELECT pg_sleep(0.12);
SELECT is((SELECT done FROM csm.run_due() WHERE kind = 'article_expiry'), 1::bigint, 'A28 (expired)');
SELECT is((SELECT string_agg(kind || coalesce(' ' || actor_id, ''), ', ' ORDER BY id) FROM (SELECT * FROM csm.events ORDER BY id DESC LIMIT 2) e), 'article_published, article_retired', 'A28 what time does has no actor');
SELECT pg_temp.gets('son', 'son'), pg_temp.gets('desk manager', 'desk', 'csm_agent');

-- The community.
UPDATE made SET question = pg_temp.does('mother', 'SELECT (csm.ask(''pumps'', ''Why does it leak?'', ''It does.'')).id', 'csm_portal')::bigint;
UPDATE made SET answer = pg_temp.does('daughter', format('SELECT (csm.answer_question(%s, ''It is old.'')).id', question), 'csm_portal')::bigint;
SELECT pg_temp.does('mother', format('SELECT csm.accept_answer(%s)', answer), 'csm_portal') FROM made;
SELECT is(pg_temp.gets('son', 'son', acknowledges => false), 'question_asked question_answered answer_accepted', 'A6 asked, answered, accepted, in their order');
SELECT is(pg_temp.gets('son', 'asked'), 'question_asked', 'A6 the kinds that he wants');
SELECT is(pg_temp.gets('north contact', 'contact'), '', 'A6 not to who does not read the forum');
SELECT is((SELECT string_agg(u.name || ' ' || (e.answer_id IS NOT NULL), ', ' ORDER BY e.id) FROM csm.events e JOIN small.named u ON u.kind = 'user' AND u.id = e.actor_id WHERE e.question_id IS NOT NULL),
          'mother false, daughter true, mother true', 'A6 who did it');
SELECT pg_temp.does('b2b agent', format('SELECT csm.moderate(''answer'', %s, ''hide'', ''rude'')', answer)) FROM made;
SELECT is(pg_temp.gets('son', 'son'), 'question_asked', 'A6 what was hidden before it was handed out is not');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), 'question_asked question_answered answer_accepted', 'A6 but to moderators');
UPDATE csm.forums SET hold_posts = 1;
UPDATE made SET question = pg_temp.does('son', 'SELECT (csm.ask(''pumps'', ''And now?'', ''Hm.'')).id', 'csm_portal')::bigint;
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), '', 'A6 nothing of a question that is held');
SELECT pg_temp.does('b2b agent', format('SELECT csm.moderate(''question'', %s, ''approve'', ''fine'')', question)) FROM made;
SELECT is((SELECT state FROM csm.questions q JOIN made ON q.id = made.question), 'visible', 'A6 (let pass)');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), 'question_asked', 'A6 until it passes');
SELECT pg_temp.does('b2b agent', format('SELECT csm.moderate(''question'', %s, %L, ''x'')', question, a)) FROM made, (VALUES (1, 'hide'), (2, 'restore')) v(n, a) ORDER BY n;
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), '', 'A6 asked once, whatever becomes of it');

-- Publications.
UPDATE made SET publication = pg_temp.does('desk manager', 'SELECT (csm.create_publication(''news'', ''News'', ''There is.'', by_mail => false)).id')::bigint;
SELECT pg_temp.gets('son', 'son'), pg_temp.gets('son', 'news');
SELECT pg_temp.does(person, format('SELECT csm.act_on_publication(%s, %L, ''because'')', publication, action)) FROM made,
    (VALUES (1, 'desk manager', 'submit'), (2, 'b2b agent', 'approve'), (3, 'b2b agent', 'publish')) v(n, person, action) ORDER BY n;
SELECT is(pg_temp.gets('son', s), 'publication_published', 'B41 whom it addresses hears of it, ' || s) FROM unnest('{son,news}'::text[]) s;
SELECT is(pg_temp.gets('north contact', 'contact'), '', 'B41 nobody else');
SELECT pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''cancel'', ''because'')', publication)) FROM made;
SELECT is(pg_temp.gets('son', 'son'), 'publication_ended', 'B41 and that it ended');
SELECT is(pg_temp.gets('north contact', 'contact'), '', 'B41 as he does of nothing else');
SELECT is((SELECT string_agg(kind || ' ' || (payload ->> 'state'), ', ' ORDER BY id) FROM csm.events WHERE publication_id IS NOT NULL), 'publication_published published, publication_ended cancelled', 'B41 once each');

-- Cases as ever, in one order with the rest; rights that are taken away count at once.
UPDATE csm.cases SET priority = 1 WHERE id = small.c('north: pump');
SELECT is(pg_temp.gets('desk manager', 'old', 'csm_agent'), 'priority_changed', 'D5 who asked for cases gets them');
SELECT is(pg_temp.gets('desk manager', 'desk', 'csm_agent'), 'publication_published publication_ended priority_changed', 'D5 in one order');
SELECT is(small.run(small.u('desk admin'), 'csm_admin', 'UPDATE csm.event_subscribers SET subjects = ''{case,article}'' WHERE key = ''old'' RETURNING 1'), '1', 'D5 administrators say what is wanted');
UPDATE made SET question = pg_temp.does('mother', 'SELECT (csm.ask(''pumps'', ''Again?'', ''Yes.'')).id', 'csm_portal')::bigint;
DELETE FROM csm.consumers WHERE user_id = small.u('son');
SELECT is(pg_temp.gets('son', 'son'), '', 'V10 what one may not read any more one does not hear of');
SELECT matches(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.next_events(''son'')'), '^ERROR 42501', 'V14 nobody has no subscriber');

-- Nothing while importing; the check of the table; notifications pass them by.
CREATE TEMP TABLE before AS SELECT count(*) AS n FROM csm.events;
SET csm.importing = on;
INSERT INTO csm.questions (tenant_id, forum_id, author_id, title, body) SELECT tenant_id, id, small.u('mother'), 'Imported', 'text' FROM csm.forums;
RESET csm.importing;
SELECT is((SELECT count(*) FROM csm.events), n, 'D5 nothing while importing') FROM before;
SELECT throws_ok(format('INSERT INTO csm.events (tenant_id, kind, %s) SELECT %s, ''x'', %s', columns, small.tenant(), v), '23514', NULL, 'D5 an event has one subject: ' || columns)
FROM (VALUES ('article_id, question_id', '1, 1'), ('payload', '''{}'''), ('article_id, answer_id', '1, 1')) x(columns, v);
SELECT is((SELECT failed FROM csm.run_due(clock_timestamp() + interval '1 hour') WHERE kind = 'notify'), 0::bigint, 'A11 notifications are made of cases alone');
SELECT is((SELECT count(*) FROM csm.events e WHERE e.position IS NULL), 0::bigint, 'A11 (all events were read)');
SELECT is((SELECT jsonb_array_length(x -> 'rows') FROM jsonb_array_elements(csm.export_person(small.u('daughter')) -> 'parts') x WHERE x ->> 'table' = 'csm.events'), 1, 'A36 what a person did is exported');
SELECT * FROM finish();
