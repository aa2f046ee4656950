-- Publications: stages and who takes them, whom one addresses, mail for each of them by his own rights, the end of it;
-- what erasure, export and merging do with it.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE TEMP TABLE p (name text PRIMARY KEY, id bigint);
CREATE FUNCTION pg_temp.p(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM p WHERE name = $1';
CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, keep => true), '^(ERROR .....): .*', '\1') $$;
CREATE FUNCTION pg_temp.tries(person text, statement text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement), '^(ERROR .....): .*', '\1') $$;
CREATE FUNCTION pg_temp.state(publication text) RETURNS text LANGUAGE sql AS $$ SELECT state FROM csm.publications WHERE id = pg_temp.p(publication) $$;
-- Each call is a minute later than the one before.
CREATE SEQUENCE pg_temp.minutes;
CREATE FUNCTION pg_temp.time_passes(further interval DEFAULT '0') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(kind || ' ' || done || CASE WHEN failed > 0 THEN ' failed ' || failed ELSE '' END, ', ' ORDER BY kind)
    FROM csm.run_due(clock_timestamp() + nextval('pg_temp.minutes') * interval '1 minute' + further) WHERE kind ~ '^publication'
$$;
CREATE FUNCTION pg_temp.became(publication text, of_state text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(u.name, ', ' ORDER BY u.name), '') FROM csm.publication_recipients r JOIN small.named u ON u.kind = 'user' AND u.id = r.user_id
    WHERE r.publication_id = pg_temp.p(publication) AND r.state = of_state $$;

DO $$
BEGIN
    INSERT INTO csm.user_criteria (tenant_id, key, label, match)
    SELECT small.tenant(), x, x, 'any' FROM unnest('{everybody,writers,approvers,consumers,north,lodgers}'::text[]) x;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona, user_id, account_id)
    SELECT small.tenant(), c.id, v.kind, v.persona, v.person, v.account
    FROM csm.user_criteria c JOIN (VALUES
        ('everybody', 'persona', 'consumer', NULL, NULL), ('everybody', 'persona', 'contact', NULL, NULL), ('everybody', 'persona', 'employee', NULL, NULL),
        ('everybody', 'persona', 'staff', NULL, NULL), ('consumers', 'persona', 'consumer', NULL, NULL), ('north', 'account', NULL, NULL, small.a('north')),
        ('writers', 'user', NULL, small.u('account team'), NULL), ('writers', 'user', NULL, small.u('proxy'), NULL),
        ('approvers', 'user', NULL, small.u('desk manager'), NULL), ('approvers', 'user', NULL, small.u('b2b agent'), NULL),
        ('lodgers', 'user', NULL, small.u('lodger'), NULL)) v(key, kind, persona, person, account) ON v.key = c.key;
    INSERT INTO csm.publication_series (tenant_id, key, title) VALUES (small.tenant(), 'outages', 'Outages'), (small.tenant(), 'shut', 'Shut');
    INSERT INTO csm.publication_series (tenant_id, key, title) VALUES (small.tenant('foreign'), 'outages', 'Theirs');
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT s.tenant_id, s.audience_id, v.action, c.id
    FROM csm.publication_series s JOIN (VALUES ('everybody', 'read'), ('writers', 'contribute'), ('approvers', 'manage')) v(key, action) ON s.key = 'outages'
    JOIN csm.user_criteria c ON c.key = v.key AND c.tenant_id = s.tenant_id;
END $$;
SELECT isnt(audience_id, NULL, 'B41 a series has an audience of its own') FROM csm.publication_series WHERE key = 'shut' AND tenant_id = small.tenant();
SELECT throws_ok($$UPDATE csm.publication_series SET audience_id = (SELECT max(id) FROM csm.audiences) WHERE key = 'shut'$$, '42501', NULL, 'B41 which never changes');

-- ---- stages ----

CREATE FUNCTION pg_temp.publication(situation text, author text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    step text;
BEGIN
    made := pg_temp.does(author, 'SELECT (csm.create_publication(''outages'', ''Pumps are down'', ''We work on it.'', by_mail => false)).id')::bigint;
    FOREACH step IN ARRAY CASE situation
        WHEN 'author' THEN '{}' WHEN 'review' THEN '{submit}' WHEN 'ready' THEN '{submit,approve}' WHEN 'published' THEN '{submit,approve,publish}'
        WHEN 'expired' THEN '{submit,approve,publish,expire}' WHEN 'cancelled' THEN '{cancel}' END::text[]
    LOOP
        PERFORM pg_temp.does(CASE step WHEN 'submit' THEN author WHEN 'cancel' THEN author WHEN 'publish' THEN author ELSE 'desk manager' END,
                             format('SELECT csm.act_on_publication(%s, %L)', made, step));
    END LOOP;
    RETURN made;
END $$;
INSERT INTO p SELECT s || ' ' || a, pg_temp.publication(s, a)
FROM unnest('{author,review,ready,published,expired,cancelled}'::text[]) s, unnest('{account team,b2b agent}'::text[]) a;
SELECT is(pg_temp.state(s || ' ' || a), s, format('B41 a publication by %s comes to %s', a, s))
FROM unnest('{author,review,ready,published,expired,cancelled}'::text[]) s, unnest('{account team,b2b agent}'::text[]) a;

-- Who may, by hand: a(uthor), another c(ontributor), m(anager), s(ystem). After the slash where a manager wrote it himself (w)
-- and another of them is the manager (m). Nobody else ever may: r(eader), 0 (nobody), f(oreign).
CREATE TEMP TABLE permitted (situation text, action text, who text, to_state text);
INSERT INTO permitted VALUES
    ('author', 'submit', 'ams/wms', 'review'), ('author', 'cancel', 'ams/wms', 'cancelled'),
    ('review', 'withdraw', 'as/ws', 'author'), ('review', 'reject', 'ms/wms', 'author'), ('review', 'approve', 'ms/ms', 'ready'), ('review', 'cancel', 'ms/wms', 'cancelled'),
    ('ready', 'revise', 'ams/wms', 'author'), ('ready', 'publish', 'ams/wms', 'published'), ('ready', 'cancel', 'ms/wms', 'cancelled'),
    ('published', 'expire', 'ms/wms', 'expired'), ('published', 'cancel', 'ms/wms', 'cancelled');
CREATE FUNCTION pg_temp.tries_as(letter text, publication bigint, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text := format('SELECT (csm.act_on_publication(%s, %L, ''because'')).state', publication, action);
    answer text;
BEGIN
    IF letter = 's' THEN
        BEGIN
            PERFORM set_config('csm.user_id', NULL, true);
            EXECUTE statement INTO answer;
            RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
        EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN NULL;
                  WHEN OTHERS THEN answer := 'ERROR ' || SQLSTATE;
        END;
        RETURN answer;
    END IF;
    RETURN small.run(CASE letter WHEN 'f' THEN (SELECT min(id) FROM csm.users WHERE tenant_id = small.tenant('foreign')) WHEN '0' THEN NULL
                                 ELSE small.u(CASE letter WHEN 'a' THEN 'account team' WHEN 'c' THEN 'proxy' WHEN 'm' THEN 'desk manager'
                                                          WHEN 'w' THEN 'b2b agent' ELSE 'viewer' END) END, 'csm_agent', statement);
END $$;
SELECT ok(CASE WHEN strpos(split_part(coalesce(m.who, '/'), '/', CASE author WHEN 'account team' THEN 1 ELSE 2 END), letter) > 0 THEN x.answer = m.to_state
               WHEN letter = 's' THEN x.answer = 'ERROR SM002'
               ELSE x.answer ~ '^ERROR (42501|SM002)' END,
          format('B41 %s, written by %s: %s by %s gives %s', situation, author, action, letter, x.answer))
FROM unnest('{author,review,ready,published,expired,cancelled}'::text[]) situation
CROSS JOIN unnest('{submit,withdraw,reject,approve,revise,publish,expire,cancel}'::text[]) action
CROSS JOIN unnest('{account team,b2b agent}'::text[]) author
CROSS JOIN string_to_table(CASE author WHEN 'account team' THEN 'acmr0fs' ELSE 'acwmr0fs' END, NULL) letter
CROSS JOIN LATERAL pg_temp.tries_as(letter, pg_temp.p(situation || ' ' || author), action) x(answer)
LEFT JOIN permitted m USING (situation, action);
SELECT is(small.run(small.u(person), 'csm_agent', format('SELECT string_agg(action, '' '' ORDER BY action) FROM csm.publication_actions(%s)', pg_temp.p(situation || ' account team'))),
          (SELECT string_agg(m.action, ' ' ORDER BY m.action) FROM permitted m WHERE m.situation = v.situation AND strpos(split_part(m.who, '/', 1), letter) > 0),
          format('B41 actions listed for %s, %s', person, situation))
FROM unnest('{author,review,ready,published}'::text[]) v(situation), (VALUES ('account team', 'a'), ('desk manager', 'm')) w(person, letter);
-- The trigger holds who writes without asking.
CREATE FUNCTION pg_temp.try_write(publication bigint, to_state text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE csm.publications SET state = to_state WHERE id = publication;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN RETURN true;
          WHEN SQLSTATE 'SM002' THEN RETURN false;
END $$;
SELECT is((SELECT string_agg(to_state, ' ' ORDER BY to_state) FROM unnest('{author,review,ready,published,expired,cancelled}'::text[]) t(to_state)
           WHERE t.to_state <> situation AND pg_temp.try_write(pg_temp.p(situation || ' account team'), t.to_state)),
          (SELECT string_agg(DISTINCT to_state, ' ' ORDER BY to_state) FROM permitted m WHERE m.situation = v.situation),
          'SM002 steps from ' || situation || ' by plain UPDATE')
FROM (SELECT x FROM unnest('{author,review,ready,published,expired,cancelled}'::text[]) x) v(situation);
SELECT throws_ok(format('UPDATE csm.publications SET %s WHERE id = %s', change, pg_temp.p('review account team')), code, NULL, 'B41 what was submitted does not change: ' || change)
FROM (VALUES ('by_mail = true', 'SM002'), ('language = ''de''', 'SM002'), ('audience_id = (SELECT audience_id FROM csm.publication_series WHERE key = ''shut'')', 'SM002'),
             ('series_id = series_id + 1', '42501')) v(change, code);
SELECT lives_ok(format('UPDATE csm.publications SET expires_at = now() + interval ''1 day'' WHERE id = %s', pg_temp.p('review account team')), 'B41 but its end');
SELECT throws_ok(format('%s WHERE publication_id = %s', s, pg_temp.p('review account team')), 'SM002', NULL, 'B41 nor its words: ' || s)
FROM (VALUES ('UPDATE csm.publication_texts SET body = body || ''!'''), ('DELETE FROM csm.publication_texts')) v(s);
SELECT throws_ok(format('INSERT INTO csm.publication_texts (tenant_id, publication_id, language, title, body) VALUES (%s, %s, ''fr'', ''a'', ''b'')', small.tenant(), pg_temp.p('ready account team')),
                 'SM002', NULL, 'B41 nor is a language added');
SELECT throws_ok('DELETE FROM csm.publications', '42501', NULL, 'B41 publications are not deleted');
SELECT throws_ok('UPDATE csm.publication_acts SET action = ''edit''', '42501', NULL, 'B41 nor is who did what changed');
SELECT throws_ok('INSERT INTO csm.publications (tenant_id, series_id, state, published_at) SELECT tenant_id, id, ''published'', now() FROM csm.publication_series WHERE key = ''shut''',
                 'SM002', NULL, 'B41 a new one is being written');

-- Writing.
SELECT is(pg_temp.tries(person, 'SELECT (csm.create_publication(''outages'', ''t'', ''b'')).state'), outcome, 'B41 begun by ' || person)
FROM (VALUES ('account team', 'author'), ('desk manager', 'author'), ('viewer', 'ERROR 42501')) v(person, outcome);
SELECT is(pg_temp.tries('account team', format('SELECT (csm.create_publication(%L, ''t'', ''b'')).state', s)), 'ERROR 42501', 'V15 hidden and missing series are alike: ' || s)
FROM unnest('{shut,nowhere}'::text[]) s;
SELECT matches(small.run(small.u('globex contact'), 'csm_portal', 'SELECT csm.create_publication(''outages'', ''t'', ''b'')'), '^ERROR 42501: permission denied for function', 'B41 not from the portal');
UPDATE csm.publication_series SET active = false WHERE key = 'outages' AND tenant_id = small.tenant();
SELECT is(pg_temp.tries('account team', 'SELECT csm.create_publication(''outages'', ''t'', ''b'')'), 'ERROR 55000', 'B41 nothing new in a closed series');
UPDATE csm.publication_series SET active = true WHERE key = 'outages';
INSERT INTO p SELECT 'words', pg_temp.publication('author', 'account team');
SELECT is(pg_temp.does('account team', format('SELECT revision FROM csm.edit_publication(%s, 2, ''Pumpen'', ''Wir arbeiten daran.'', ''de'')', pg_temp.p('words'))), '3', 'B41 a language is added');
SELECT is(pg_temp.tries('account team', format('SELECT revision FROM csm.edit_publication(%s, %s)', pg_temp.p('words'), args)), outcome, 'B41 edit: ' || args)
FROM (VALUES ('2, ''x'', NULL', 'ERROR 40001'), ('NULL, ''x'', NULL', 'ERROR 22004'), ('3, NULL, NULL', 'ERROR 22004'), ('3, '' '', NULL', 'ERROR 23514'), ('3, ''x'', NULL, ''fr''', 'ERROR 23502'),
             ('3, NULL, NULL, ''de''', '4'), ('3, ''x'', NULL', '4')) v(args, outcome);
SELECT is(pg_temp.tries(person, format('SELECT revision FROM csm.edit_publication(%s, 3, ''Pumps'', NULL)', pg_temp.p('words'))), outcome, 'B41 edited by ' || person)
FROM (VALUES ('account team', '4'), ('desk manager', '4'), ('proxy', 'ERROR 42501'), ('viewer', 'ERROR 42501')) v(person, outcome);
SELECT is(pg_temp.does('desk manager', format('SELECT revision FROM csm.edit_publication(%s, 3, ''Pumps'', NULL)', pg_temp.p('words'))), '4', 'B41 (a manager writes on it)');
SELECT is((SELECT string_agg(language || ' ' || title, ',' ORDER BY language) FROM csm.publication_texts WHERE publication_id = pg_temp.p('words')), 'de Pumpen,en Pumps', 'B41 its words');
SELECT is(pg_temp.does('account team', format('SELECT state FROM csm.act_on_publication(%s, ''submit'')', pg_temp.p('words'))), 'review', 'B41 (submitted)');
SELECT is(pg_temp.tries('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''approve'')', pg_temp.p('words'))), 'ERROR 42501', 'B41 who wrote on it does not approve it');
SELECT is(pg_temp.tries('b2b agent', format('SELECT state FROM csm.act_on_publication(%s, %s)', pg_temp.p('words'), args)), outcome, 'B41 act: ' || args)
FROM (VALUES ('''approve''', 'ready'), ('''reject''', 'ERROR SM003'), ('''reject'', ''no''', 'author'), ('''dance''', 'ERROR 22023'), ('''approve'', at => now()', 'ERROR 22023'),
             ('''approve'', revision => 1', 'ERROR 40001'), ('''approve'', revision => 4', 'ready')) v(args, outcome);
SELECT is((SELECT string_agg(action || ' ' || (SELECT name FROM small.named WHERE kind = 'user' AND id = actor_id), ', ' ORDER BY id) FROM csm.publication_acts WHERE publication_id = pg_temp.p('words')),
          'create account team, edit account team, edit desk manager, submit account team', 'B41 who did what');
SELECT is(pg_temp.tries(person, format('SELECT count(*) FROM csm.publication_acts WHERE publication_id = %s', pg_temp.p('words'))), outcome, 'B41 read by ' || person)
FROM (VALUES ('account team', '4'), ('b2b agent', '4'), ('proxy', '0'), ('viewer', '0')) v(person, outcome);

-- ---- whom it addresses ----

INSERT INTO csm.recipient_lists (tenant_id, name, kind) VALUES (small.tenant(), 'some', 'users'), (small.tenant(), 'north', 'accounts'),
    (small.tenant(), 'reps', 'contacts'), (small.tenant(), 'buyers', 'consumers'), (small.tenant('foreign'), 'theirs', 'users');
CREATE FUNCTION pg_temp.l(text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT id FROM csm.recipient_lists WHERE name = $1 $$;
SELECT is(pg_temp.tries('desk manager', format('INSERT INTO csm.recipients (list_id, account_id, user_id) VALUES (%s, %s, %s) RETURNING 1', pg_temp.l(list),
                        CASE WHEN account <> '' THEN small.a(account)::text ELSE 'NULL' END, CASE WHEN person <> '' THEN small.u(person)::text ELSE 'NULL' END)), outcome,
          format('B41 a list of %s takes %s', list, concat_ws(' at ', nullif(person, ''), nullif(account, ''))))
FROM (VALUES ('some', '', 'son', '1'), ('some', 'north', '', 'ERROR 23514'), ('north', 'north', '', '1'), ('north', '', 'son', 'ERROR 23514'), ('north', 'north', 'north contact', 'ERROR 23514'),
             ('reps', 'north', 'north contact', '1'), ('reps', 'north', 'globex contact', 'ERROR 23514'), ('reps', 'north', '', 'ERROR 23514'),
             ('buyers', '', 'son', '1'), ('buyers', '', 'north contact', 'ERROR 23514')) v(list, account, person, outcome);
SELECT is(pg_temp.tries('account team', format('INSERT INTO csm.recipients (list_id, user_id) VALUES (%s, %s)', pg_temp.l('some'), small.u('son'))), 'ERROR 42501', 'B41 lists are kept by managers');
INSERT INTO csm.recipients (tenant_id, list_id, account_id, user_id) VALUES (small.tenant(), pg_temp.l('some'), NULL, small.u('son')), (small.tenant(), pg_temp.l('some'), NULL, small.u('globex contact')),
    (small.tenant(), pg_temp.l('north'), small.a('north'), NULL), (small.tenant(), pg_temp.l('reps'), small.a('north'), small.u('north contact')), (small.tenant(), pg_temp.l('buyers'), NULL, small.u('mother'));
SELECT throws_ok('INSERT INTO csm.recipients (tenant_id, list_id, account_id) SELECT tenant_id, list_id, account_id FROM csm.recipients WHERE list_id = pg_temp.l(''north'')', '23505', NULL, 'B41 once each');
SELECT throws_ok('UPDATE csm.recipient_lists SET kind = ''users'' WHERE name = ''north''', '23514', NULL, 'B41 a list with rows keeps its kind');
SELECT is(pg_temp.does('desk manager', 'SELECT major_state FROM csm.open_major(''pumps'')'), 'accepted', 'B41 (a major case)');
SELECT is(pg_temp.tries('desk manager', format('SELECT csm.create_children(%s, %s)', (SELECT id FROM csm.cases WHERE major_state = 'accepted'), pg_temp.l(list))), outcome, 'B41 children for a list of ' || list)
FROM (VALUES ('some', '2'), ('north', '1'), ('buyers', '1'), ('reps', '1')) v(list, outcome);

INSERT INTO p SELECT 'to', pg_temp.publication('author', 'desk manager');
CREATE FUNCTION pg_temp.reach(publication text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(n.name, ', ' ORDER BY n.name), 'nobody') FROM small.named n
    WHERE n.kind = 'user' AND n.id IN (SELECT csm_private.audience_people(p.audience_id) FROM csm.publications p WHERE p.id = pg_temp.p(publication)) $$;
CREATE FUNCTION pg_temp.of_north() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT n.name, ', ' ORDER BY n.name) FROM csm.contacts k JOIN small.named n ON n.kind = 'user' AND n.id = k.user_id JOIN csm.users u ON u.id = k.user_id
    WHERE k.account_id = small.a('north') AND k.login_enabled AND u.enabled AND (k.valid_during IS NULL OR k.valid_during @> now()) $$;
CREATE FUNCTION pg_temp.addressed(args text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.does('desk manager', format('SELECT id FROM csm.address_publication(%s, %s)', pg_temp.p('to'), args));
    RETURN pg_temp.reach('to');
END $$;
SELECT is(pg_temp.addressed(args), outcome, 'B41 addressed to ' || args)
FROM (VALUES ('lists => ARRAY[' || pg_temp.l('some') || ']', 'globex contact, son'), ('lists => ARRAY[' || pg_temp.l('reps') || ']', 'north contact'),
             ('lists => ARRAY[' || pg_temp.l('buyers') || ']', 'mother'), ('lists => ARRAY[' || pg_temp.l('north') || ']', pg_temp.of_north()), ('''{north}''', pg_temp.of_north())) v(args, outcome);
SELECT is(pg_temp.tries('desk manager', format('SELECT csm.address_publication(%s, %s)', pg_temp.p('to'), args)), 'ERROR 22023', 'V15 no such list or criteria: ' || args)
FROM (VALUES ('lists => ARRAY[' || pg_temp.l('theirs') || ']'), ('lists => ARRAY[0]'), ('''{nothing}''')) v(args);
SELECT is(pg_temp.tries(person, format('SELECT state FROM csm.address_publication(%s, %s)', pg_temp.p(publication), args)), outcome, format('B41 %s addresses %s, %s', person, publication, args))
FROM (VALUES ('account team', 'author account team', 'lists => ARRAY[' || pg_temp.l('some') || ']', 'ERROR 22023'), ('account team', 'author account team', '''{north}''', 'author'),
             ('proxy', 'author account team', '''{north}''', 'ERROR 42501'), ('desk manager', 'ready account team', '''{north}''', 'ERROR SM002')) v(person, publication, args, outcome);
SELECT is(pg_temp.tries(person, format('SELECT persons > 0 FROM csm.publication_reach(%s)', pg_temp.p('words'))), outcome, 'B41 how many it reaches, asked by ' || person)
FROM (VALUES ('desk manager', 'true'), ('account team', 'ERROR 42501')) v(person, outcome);

-- ---- publishing: in the portal and by mail ----

UPDATE csm.users SET language = 'de-AT' WHERE id = small.u('son');
UPDATE csm.users SET email = NULL WHERE id = small.u('globex contact');
INSERT INTO p SELECT 'sent', pg_temp.does('desk manager', 'SELECT (csm.create_publication(''outages'', E''Pumps\nare down'', ''We work on it.'')).id')::bigint;
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.edit_publication(%s, 2, ''Pumpen'', ''Wir arbeiten daran.'', ''de'')', pg_temp.p('sent'))), 'author', 'B41 (in two languages)');
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.address_publication(%s, ''{consumers,north}'', ARRAY[%s, %s], ''{lodgers}'')', pg_temp.p('sent'), pg_temp.l('some'), pg_temp.l('north'))),
          'author', 'B41 (to consumers, contacts of north and a list, but not to the lodger)');
SELECT pg_temp.does('desk manager', format('SELECT csm.act_on_publication(%s, ''submit'')', pg_temp.p('sent'))), pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''approve'')', pg_temp.p('sent')));
INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES (small.tenant(), small.u('mother'), 'publication', 'email', false);
SELECT is(pg_temp.does(person, format('INSERT INTO csm.case_publications (case_id, publication_id) VALUES (%s, %s) RETURNING 1', c, pg_temp.p('sent'))), outcome, format('B41 %s ties it to %s', person, what))
FROM (VALUES ('b2b agent', (SELECT id FROM csm.cases WHERE subject = 'pumps' AND major_state = 'accepted'), 'a case that he does not see', 'ERROR 42501'), ('desk manager', 0, 'no case', 'ERROR 42501'),
             ('desk manager', small.c('north: pump'), 'a case that is no major case', 'ERROR 22023'),
             ('desk manager', (SELECT id FROM csm.cases WHERE subject = 'pumps' AND major_state = 'accepted'), 'the major case', '1')) v(person, c, what, outcome);
CREATE FUNCTION pg_temp.reads(person text, publication text, role_name text DEFAULT 'csm_portal', persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT concat_ws('' '', (SELECT count(*) FROM csm.publications WHERE id = %1$s), (SELECT count(*) FROM csm.publication_texts WHERE publication_id = %1$s),
                     (SELECT count(*) FROM csm.my_publications() WHERE publication_id = %1$s))', pg_temp.p(publication)), persona) $$;
SELECT is(pg_temp.reads('son', 'sent'), '0 0 0', 'B41 what is not published is read by nobody it addresses');
SELECT is(pg_temp.reads('desk manager', 'sent', 'csm_agent'), '1 2 0', 'B41 but by who manages the audience');
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''publish'')', pg_temp.p('sent'))), 'published', 'B41 (published)');
SELECT is((SELECT string_agg(e.kind || ' ' || e.audience, ',') FROM csm.events e JOIN csm.cases c ON c.id = e.case_id WHERE c.major_state = 'accepted' AND e.kind ~ 'publication'),
          'publication_published internal', 'B41 an event of the major case');
SELECT is(pg_temp.reads(person, 'sent', role_name), outcome, format('B41 %s, %s reads it: %s', person, role_name, outcome))
FROM (VALUES ('son', 'csm_portal', '1 2 1'), ('mother', 'csm_portal', '1 2 1'), ('north contact', 'csm_portal', '1 2 1'), ('globex contact', 'csm_portal', '1 2 1'), ('lodger', 'csm_portal', '0 0 0'),
             ('acme contact', 'csm_portal', '0 0 0'), ('account team', 'csm_agent', '0 0 0'), ('desk manager', 'csm_agent', '1 2 1'), ('viewer', 'csm_agent', '0 0 0')) v(person, role_name, outcome);
SELECT is(pg_temp.reads('north contact', 'sent', 'csm_portal', persona), outcome, 'T12 narrowed to ' || persona)
FROM (VALUES ('contact:' || small.k('north contact at north'), '1 2 1'), ('employee', '0 0 0')) v(persona, outcome);
SELECT is(small.run(NULL, r, 'SELECT (SELECT count(*) FROM csm.publications) + (SELECT count(*) FROM csm.publication_texts)'), '0', 'V14 nobody reads nothing, as ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT matches(small.run(NULL, 'csm_guest', 'SELECT count(*) FROM csm.publications'), '^ERROR 42501', 'B41 visitors have no part in it');
SELECT is(small.run((SELECT min(id) FROM csm.users WHERE tenant_id = small.tenant('foreign')), r, 'SELECT count(*) FROM csm.publications'), '0', 'V13 nor another tenant, as ' || r) FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT is(small.run(small.u(person), 'csm_portal', 'SELECT language || '' '' || title FROM csm.my_publications()'), outcome, 'B41 in his language, else in its own: ' || person)
FROM (VALUES ('son', 'de Pumpen'), ('mother', E'en Pumps\nare down')) v(person, outcome);
SELECT is(small.run(small.u('son'), 'csm_portal', 'SELECT count(*) FROM csm.my_publications(' || args || ')'), n, 'B41 a page: ' || args) FROM (VALUES ('0', '0'), ('1', '1'), ('10, now() - interval ''1 day''', '0')) v(args, n);

-- (What became of the publications above is done with.)
DELETE FROM csm.timers WHERE kind = 'publication_clear';
-- Of those it addressed, one leaves north before his mail is written.
SELECT is((SELECT count(*) FROM csm_private.run_group(ARRAY(SELECT t FROM csm.timers t WHERE t.kind = 'publication_address'), clock_timestamp())), 1::bigint, 'B41 csm.run_due() finds whom it addresses');
SELECT is(pg_temp.became('sent', 'waiting'), pg_temp.reach('sent'), 'B41 once each, with those whom it excludes');
SELECT is((SELECT count(*) FROM csm.outbox WHERE kind = 'publication'), 0::bigint, 'B41 (no mail yet)');
UPDATE csm.contacts SET valid_during = tstzrange(now() - interval '1 day', clock_timestamp()) WHERE id = small.k('north colleague at north');
UPDATE csm.users SET email = 'north,reader@small.example' WHERE id = small.u('north reader');
SELECT is(pg_temp.time_passes(), 'publication_mail 1', 'B41 (a batch)');
SELECT is(pg_temp.became('sent', 'withheld'), 'globex contact, lodger, mother, north colleague, north reader', 'B41 nothing for who has no address, may not read it, wants no mail, left, or has no plain address');
SELECT is((SELECT string_agg(n.name, ', ' ORDER BY n.name) FROM csm.outbox o JOIN small.named n ON n.kind = 'user' AND n.id = o.user_id WHERE o.kind = 'publication'), pg_temp.became('sent', 'mailed'), 'B41 a message for each of the others');
SELECT cmp_ok((SELECT count(*) FROM csm.outbox WHERE kind = 'publication'), '>=', 4::bigint, 'B41 (there are some)');
SELECT is_empty($$SELECT o.id FROM csm.outbox o JOIN csm.users u ON u.id = o.user_id WHERE o.kind = 'publication' AND o.recipient <> u.email$$, 'B41 to his own address alone');
SELECT is_empty($$SELECT o.id FROM csm.outbox o JOIN csm.users u ON u.email <> o.recipient AND o.payload::text ~ u.email WHERE o.kind = 'publication'$$, 'B41 nobody is told of another');
SELECT is((SELECT o.language || ': ' || (o.payload ->> 'title') || ', ' || (o.payload ->> 'body') FROM csm.outbox o WHERE o.user_id = small.u(person) AND o.kind = 'publication'), outcome, 'B41 words for ' || person)
FROM (VALUES ('son', 'de: Pumpen, Wir arbeiten daran.'), ('north contact', 'en: Pumps are down, We work on it.')) v(person, outcome);
SELECT is(pg_temp.time_passes(), NULL, 'B41 nothing is left to do');
UPDATE csm.publication_recipients SET state = 'waiting', settled_at = NULL WHERE state = 'withheld' AND user_id = small.u('mother');
SELECT csm_private.set_timer(small.tenant(), 'publication_address', pg_temp.p('sent'), NULL, now());
SELECT is(pg_temp.time_passes(), 'publication_address 1, publication_mail 1', 'B41 run again');
SELECT is((SELECT count(*) FROM csm.outbox WHERE kind = 'publication'), (SELECT count(*) FROM csm.publication_recipients WHERE state = 'mailed'), 'B41 nobody gets it twice');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.unsubscribe(%L)', (SELECT payload ->> 'unsubscribe_token' FROM csm.outbox WHERE user_id = small.u('son') AND kind = 'publication')), keep => true), 'accepted', 'B41 by the token of the mail');
SELECT is(csm_private.wants_notification(small.u('son'), small.tenant(), 'publication', 'email'), false, 'B41 its reader unsubscribes');
SELECT is(pg_temp.tries(person, format('SELECT count(*) FROM csm.publication_recipients WHERE publication_id = %s', pg_temp.p('sent')), role_name), outcome, format('B41 who it was addressed to, read by %s, %s', person, role_name))
FROM (VALUES ('son', 'csm_portal', '1'), ('north colleague', 'csm_portal', '0'), ('globex contact', 'csm_portal', '1'), ('acme contact', 'csm_portal', '0'), ('account team', 'csm_agent', '0'),
             ('desk manager', 'csm_agent', (SELECT count(*)::text FROM csm.publication_recipients))) v(person, role_name, outcome);

-- What waits in the outbox is judged once more when it is handed out.
CREATE FUNCTION pg_temp.handed_out(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE change;
    SELECT coalesce(string_agg(n.name || CASE WHEN m.recipient = replace(n.name, ' ', '.') || '@small.example' THEN '' ELSE ' at ' || m.recipient END, ', ' ORDER BY n.name), '') INTO found
    FROM csm.next_mail() m JOIN small.named n ON n.kind = 'user' AND n.id = m.user_id WHERE m.kind = 'publication';
    SELECT found || coalesce('; not ' || string_agg(n.name, ', ' ORDER BY n.name), '') INTO found
    FROM csm.publication_recipients r JOIN small.named n ON n.kind = 'user' AND n.id = r.user_id
    WHERE r.state = 'withheld' AND r.settled_at > statement_timestamp() AND r.publication_id = pg_temp.p('sent')
      AND NOT EXISTS (SELECT FROM csm.outbox o WHERE o.user_id = r.user_id AND o.kind = 'publication');
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = found;
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN SQLERRM;
END $$;
SELECT is(pg_temp.handed_out(change), outcome, 'B41 handed out ' || case_of)
FROM (VALUES
    ('SELECT 1', 'all three, daughter, north admin, north contact, north manager, stranger, ward; not son', 'but not to who has unsubscribed'),
    ('UPDATE csm.contacts SET login_enabled = false WHERE id = small.k(''north contact at north'')',
        'all three, daughter, north admin, north manager, stranger, ward; not north contact, son', 'nor to who is of the account no more'),
    ('UPDATE csm.users SET enabled = false WHERE id IN (small.u(''ward''), small.u(''daughter''))',
        'all three, north admin, north contact, north manager, stranger; not daughter, son, ward', 'nor to who is disabled'),
    ('DELETE FROM csm.consumers WHERE user_id = small.u(''stranger'')',
        'all three, daughter, north admin, north contact, north manager, ward; not son, stranger', 'nor to who is no consumer any more'),
    ('UPDATE csm.users SET email = CASE id WHEN small.u(''ward'') THEN ''new@small.example'' ELSE ''a,b@small.example'' END WHERE id IN (small.u(''ward''), small.u(''stranger''))',
        'all three, daughter, north admin, north contact, north manager, ward at new@small.example; not son, stranger', 'to an address of now, if it is plain'),
    ('UPDATE csm.user_criteria SET active = false WHERE key = ''everybody''', '; not all three, daughter, north admin, north contact, north manager, son, stranger, ward', 'to nobody whom the series lets read no more')
) v(change, outcome, case_of);

-- ---- its end ----

SELECT is((SELECT count(*) FROM csm.next_mail(1)), 1::bigint, 'B41 a sender takes a message');
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''cancel'', ''wrong pumps'')', pg_temp.p('sent'))), 'cancelled', 'B41 (cancelled)');
SELECT is((SELECT count(*) FROM csm.next_mail()), 0::bigint, 'B41 what waits is not handed out any more, though it is there');
SELECT cmp_ok((SELECT count(*) FROM csm.outbox WHERE kind = 'publication'), '>=', 3::bigint, 'B41 (it is)');
SELECT is(pg_temp.reads(person, 'sent', role_name), outcome, 'B41 nor read by ' || person) FROM (VALUES ('son', 'csm_portal', '0 0 0'), ('desk manager', 'csm_agent', '1 2 0')) v(person, role_name, outcome);
SELECT is(pg_temp.time_passes(), 'publication_clear 1', 'B41 csm.run_due() clears up');
SELECT is((SELECT count(*) FROM csm.outbox WHERE kind = 'publication'), 0::bigint, 'B41 the outbox');
SELECT is((SELECT count(*) > 0 FROM csm.publication_recipients), true, 'B41 whom it addressed is known for a while');
SELECT is(pg_temp.time_passes('91 days'), 'publication_clear 1', 'B41 90 days');
SELECT is((SELECT count(*) FROM csm.publication_recipients), 0::bigint, 'B41 then forgotten');

-- Planned and expiring: nothing by hand.
INSERT INTO p SELECT 'planned', pg_temp.does('desk manager', 'SELECT (csm.create_publication(''outages'', ''Later'', ''Later.'', expires_at => now() + interval ''2 days'')).id')::bigint;
SELECT pg_temp.does('desk manager', format('SELECT csm.act_on_publication(%s, ''submit'')', pg_temp.p('planned'))), pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''approve'')', pg_temp.p('planned')));
SELECT is(pg_temp.tries('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''publish'', at => now() + interval ''3 days'')', pg_temp.p('planned'))), 'ERROR 22023', 'B41 not after its end');
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''publish'', at => now() + interval ''1 day'')', pg_temp.p('planned'))), 'ready', 'B41 planned for tomorrow');
SELECT is(pg_temp.time_passes(), NULL, 'B41 not today');
SELECT is(pg_temp.time_passes('1 day'), 'publication_publish 1', 'B41 tomorrow');
SELECT is(pg_temp.time_passes(), 'publication_address 1, publication_mail 1', 'B41 and mailed');
SELECT is(pg_temp.state('planned'), 'published', 'B41 it is published');
SELECT is(pg_temp.tries(person, format('UPDATE csm.publications SET expires_at = %s WHERE id = %s RETURNING 1', change, pg_temp.p('planned'))), outcome, format('B41 its end: %s by %s', change, person))
FROM (VALUES ('desk manager', 'now() + interval ''9 days''', '1'), ('desk manager', 'now() - interval ''1 day''', 'ERROR 22023'), ('account team', 'NULL', NULL), ('viewer', 'NULL', NULL)) v(person, change, outcome);
SELECT is((SELECT DISTINCT o.expires_at FROM csm.outbox o WHERE o.kind = 'publication'), (SELECT expires_at FROM csm.publications WHERE id = pg_temp.p('planned')), 'B41 its mail ends with it');
UPDATE csm.publications SET expires_at = clock_timestamp() + interval '0.2 s' WHERE id = pg_temp.p('planned');
SELECT is(pg_temp.reads('mother', 'planned'), '1 1 1', 'B41 read');
SELECT pg_sleep(0.25);
SELECT is(pg_temp.reads('mother', 'planned'), '0 0 0', 'V10 until its end, before anybody has run what is due');
SELECT is(pg_temp.time_passes(), 'publication_clear 1, publication_expiry 1', 'B41 csm.run_due() lets it expire');
SELECT is(pg_temp.state('planned'), 'expired', 'B41 expired');
SELECT is((SELECT string_agg(action || coalesce(' ' || actor_id, ''), ',' ORDER BY id) FROM csm.publication_acts WHERE publication_id = pg_temp.p('planned') AND action IN ('publish', 'expire')), 'publish,expire', 'B41 by time');

-- Lists count as they are: who leaves one, or the account, reads no more with the next statement; who joins does.
INSERT INTO p SELECT 'listed', pg_temp.does('account team', 'SELECT (csm.create_publication(''outages'', ''Listed'', ''Listed.'')).id')::bigint;
SELECT is(pg_temp.tries(person, format('UPDATE csm.publications SET by_mail = false WHERE id = %s RETURNING 1', pg_temp.p('listed'))), outcome, 'B41 portal alone, says ' || person)
FROM (VALUES ('account team', '1'), ('desk manager', '1'), ('proxy', NULL)) v(person, outcome);
UPDATE csm.publications SET by_mail = false WHERE id = pg_temp.p('listed');
SELECT is(pg_temp.does('desk manager', format('SELECT state FROM csm.address_publication(%s, lists => ARRAY[%s, %s])', pg_temp.p('listed'), pg_temp.l('some'), pg_temp.l('reps'))), 'author', 'B41 (to two lists)');
SELECT pg_temp.does('account team', format('SELECT csm.act_on_publication(%s, ''submit'')', pg_temp.p('listed'))), pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''approve'')', pg_temp.p('listed'))),
       pg_temp.does('account team', format('SELECT csm.act_on_publication(%s, ''publish'')', pg_temp.p('listed')));
CREATE FUNCTION pg_temp.readers() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x, ', ' ORDER BY x) FROM unnest('{son,mother,globex contact,north contact,north manager}'::text[]) x WHERE pg_temp.reads(x, 'listed') = '1 1 1' $$;
SELECT is(pg_temp.readers(), 'globex contact, north contact, son', 'B41 read by who is on them');
DELETE FROM csm.recipients WHERE list_id = pg_temp.l('some') AND user_id = small.u('son');
INSERT INTO csm.recipients (tenant_id, list_id, user_id) VALUES (small.tenant(), pg_temp.l('some'), small.u('mother'));
SELECT is(pg_temp.readers(), 'globex contact, mother, north contact', 'V10 one leaves the list, another joins it');
UPDATE csm.contacts SET login_enabled = false WHERE id = small.k('north contact at north');
SELECT is(pg_temp.readers(), 'globex contact, mother', 'V10 one may not log in for the account any more');
UPDATE csm.contacts SET login_enabled = true WHERE id = small.k('north contact at north');
UPDATE csm.recipients SET account_id = small.a('north'), user_id = small.u('north manager') WHERE list_id = pg_temp.l('reps');
SELECT is(pg_temp.readers(), 'globex contact, mother, north manager', 'V10 another contact is named');
UPDATE csm.user_criteria SET active = false WHERE key = 'list-' || pg_temp.l('some');
SELECT is(pg_temp.readers(), 'north manager', 'V10 the criteria of a list end');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind IN ('publication_address', 'publication_mail')), 0::bigint, 'B41 nothing is mailed of what is for the portal alone');

-- Too many.
SET session_replication_role = replica;
INSERT INTO csm.users (tenant_id, display_name, language) SELECT small.tenant(), 'n' || n, 'xx' FROM generate_series(1, 100001) n;
RESET session_replication_role;
INSERT INTO csm.user_criteria (tenant_id, key, label) VALUES (small.tenant(), 'xx', 'xx');
INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, language) SELECT tenant_id, id, 'language', 'xx' FROM csm.user_criteria WHERE key = 'xx';
INSERT INTO p SELECT 'many', pg_temp.does('desk manager', 'SELECT (csm.create_publication(''outages'', ''Many'', ''Many.'')).id')::bigint;
SELECT pg_temp.does('desk manager', format('SELECT csm.address_publication(%s, ''{xx}'')', pg_temp.p('many'))), pg_temp.does('desk manager', format('SELECT csm.act_on_publication(%s, ''submit'')', pg_temp.p('many'))),
       pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''approve'')', pg_temp.p('many')));
SELECT is(pg_temp.tries('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''publish'')', pg_temp.p('many'))), 'ERROR 54000', 'B41 100,001 persons are too many');
UPDATE csm.users SET enabled = false WHERE display_name = 'n1';
SELECT is(pg_temp.tries('desk manager', format('SELECT state FROM csm.act_on_publication(%s, ''publish'')', pg_temp.p('many'))), 'published', 'B41 100,000 are not');

-- ---- persons ----

SELECT is((SELECT string_agg(DISTINCT x ->> 'table', ',' ORDER BY x ->> 'table') FROM jsonb_array_elements(csm.export_person(small.u('desk manager')) -> 'parts') x WHERE x ->> 'table' ~ 'publication'),
          'csm.case_publications,csm.publication_acts,csm.publication_recipients,csm.publications', 'B41 what concerns him is exported');
SELECT pg_temp.does('b2b agent', format('SELECT csm.act_on_publication(%s, ''reject'', ''he called me'')', pg_temp.p('words')));
SELECT isnt(csm.erase_person(small.u('b2b agent'), 'gone'), NULL, 'B41 (erased)');
SELECT is((SELECT note FROM csm.publication_acts WHERE publication_id = pg_temp.p('words') AND action = 'reject'), 'erased', 'B41 what he said is erased');
INSERT INTO csm.publication_recipients (tenant_id, publication_id, user_id, batch) SELECT small.tenant(), pg_temp.p('to'), small.u(x), 1 FROM unnest('{mother,son}'::text[]) x;
SELECT isnt(csm.merge_users(small.u('son'), small.u('mother'), 'the same'), NULL, 'B41 (made one)');
SELECT is((SELECT count(*) FROM csm.publication_recipients WHERE publication_id = pg_temp.p('to') AND user_id = small.u('son')), 1::bigint, 'B41 is addressed once');
SELECT is((SELECT count(*) FROM csm.recipients WHERE user_id = small.u('son')), 2::bigint, 'B41 and on both lists');
SELECT * FROM finish();
