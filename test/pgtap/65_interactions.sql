-- Interactions: who opens, sees, answers and closes a conversation; visitors without a name; what becomes a case.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.try(person text, role_name text, statement text, keep boolean DEFAULT false, persona text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN answer ~ '^ERROR' THEN substr(answer, 7, 5) ELSE answer END
    FROM small.run(CASE WHEN person <> 'nobody' THEN small.u(person) END, role_name, statement, persona, keep) answer $$;
CREATE FUNCTION pg_temp.told(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text; d text; h text; answer text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', coalesce(CASE WHEN person <> 'nobody' THEN small.u(person) END::text, ''), true), set_config('role', role_name, true);
        EXECUTE statement;
        RAISE EXCEPTION 'nothing was refused';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        answer := regexp_replace(format('%s | %s | %s | %s', SQLSTATE, m, d, h), 'interaction \d+', 'N', 'g');
    END;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.u(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT CASE WHEN $1 IS NULL THEN 'NULL' ELSE small.u($1)::text END $$;
CREATE FUNCTION pg_temp.open(person text, role_name text, channel text, subject text, requester text DEFAULT NULL, keep boolean DEFAULT true, persona text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.try(person, role_name, format('SELECT concat_ws('' '', branch, account_id = coalesce(%s, 0), channel, state, handled_by, verification, verified_how) FROM csm.open_interaction(%L, %L, %s)',
        coalesce((SELECT k.account_id::text FROM csm.contacts k WHERE k.user_id = small.u(coalesce(requester, person)) AND k.is_home), '0'), channel, subject, pg_temp.u(requester)), keep, persona);
BEGIN
    IF keep AND answer !~ '^[0-9A-Z]{5}$' THEN
        INSERT INTO small.named SELECT 'interaction', $4, max(i.id) FROM csm.interactions i;
    END IF;
    RETURN answer;
END $$;
CREATE FUNCTION pg_temp.i(text) RETURNS bigint LANGUAGE sql STABLE RETURN small.id('interaction', $1);
CREATE FUNCTION pg_temp.act(person text, role_name text, subject text, action text, keep boolean DEFAULT true) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(person, role_name, format('SELECT concat_ws('' '', state, handled_by, assigned_to IS NOT NULL) FROM csm.act_on_interaction(%s, %L)', pg_temp.i(subject), action), keep) $$;

-- ---- opening ----
SELECT is(pg_temp.open(v.who, v.role_name, v.channel, v.subject, v.requester), v.outcome, format('A29 %s (%s) opens by %s for %s', v.who, v.role_name, v.channel, coalesce(v.requester, 'himself')))
FROM (VALUES (1, 'stranger', 'csm_portal', 'chat', 'refund', NULL, 'b2c chat new agent verified sign_in'), (2, 'north contact', 'csm_portal', 'chat', 'pump', NULL, 'b2b t chat new agent verified sign_in'),
             (3, 'student', 'csm_portal', 'bot', 'password', NULL, 'internal bot new bot verified sign_in'), (4, 'b2b agent', 'csm_agent', 'phone', 'call of north', 'north colleague', 'b2b t phone new agent claimed desk'),
             (5, 'consumer agent', 'csm_agent', 'phone', 'call of son', 'son', 'b2c phone new agent claimed desk'), (6, 'all three', 'csm_portal', 'email', 'mail', NULL, 'b2b t email new agent verified sign_in'),
             (7, 'b2b agent', 'csm_agent', 'phone', 'x', 'son', '42501'), (8, 'consumer agent', 'csm_agent', 'phone', 'x', 'north contact', '42501'), (9, 'stranger', 'csm_portal', 'chat', 'x', 'son', '42501'),
             (10, 'north manager', 'csm_portal', 'chat', 'x', 'north contact', '42501'), (11, 'viewer', 'csm_agent', 'phone', 'x', 'son', '42501'), (12, 'b2b agent', 'csm_portal', 'phone', 'x', 'north contact', '42501'),
             (13, 'stranger', 'csm_portal', 'pigeon', 'x', NULL, '23514')) v(n, who, role_name, channel, subject, requester, outcome)
ORDER BY v.n;
SELECT is(pg_temp.try('nobody', r, 'SELECT csm.open_interaction(''chat'')'), '42501', 'V14 nobody opens none under ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT is(pg_temp.open('all three', 'csm_portal', 'chat', 'x', NULL, false, 'consumer'), 'b2c chat new agent verified sign_in', 'T12 the persona decides: as a consumer');
SELECT is(pg_temp.open('all three', 'csm_portal', 'chat', 'x', NULL, false, 'employee'), 'internal chat new agent verified sign_in', 'T12 as an employee');
SELECT is(pg_temp.told('consumer agent', 'csm_agent', format('SELECT csm.open_interaction(''phone'', NULL, %s)', small.u('north contact'))), pg_temp.told('consumer agent', 'csm_agent', 'SELECT csm.open_interaction(''phone'', NULL, 987654321)'), 'V15 a person out of reach and a missing one');
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.open_interaction(''chat'', NULL, NULL, %s)', small.a('north'))), '42501', 'A29 not at an account that is not his');
SELECT is(pg_temp.told('stranger', 'csm_portal', format('SELECT csm.open_interaction(''chat'', NULL, NULL, %s)', small.a('north'))), pg_temp.told('stranger', 'csm_portal', 'SELECT csm.open_interaction(''chat'', NULL, NULL, 987654321)'), 'V15 nor one that is missing');

-- ---- visitors ----
SELECT set_config('csm.tenant', 'small', false);
CREATE TABLE pg_temp.guests (name text PRIMARY KEY, id bigint, token text);
CREATE FUNCTION pg_temp.visitor(of_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    answer text := pg_temp.try('nobody', 'csm_guest', $q$SELECT interaction_id || ' ' || token FROM csm.open_guest_interaction('chat', 'somebody asks')$q$, true);
BEGIN
    INSERT INTO pg_temp.guests VALUES (of_name, split_part(answer, ' ', 1)::bigint, split_part(answer, ' ', 2));
    INSERT INTO small.named VALUES ('interaction', of_name, split_part(answer, ' ', 1)::bigint);
END $$;
CREATE FUNCTION pg_temp.token(of_name text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT token FROM pg_temp.guests WHERE name = of_name $$;
SELECT pg_temp.visitor('anna'), pg_temp.visitor('ben');
SELECT is((SELECT concat_ws(' ', branch, coalesce(requester_id, 0), coalesce(opened_by, 0), verification, state) FROM csm.interactions WHERE id = pg_temp.i('anna')), 'b2c 0 0 none new', 'A29 a visitor has no name');
SELECT is((SELECT count(*) FROM csm_private.interaction_tokens k JOIN pg_temp.guests g ON g.id = k.interaction_id WHERE k.token_hash = sha256(convert_to(g.token, 'UTF8'))), 2::bigint, 'A29 of the token only the hash is kept');
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''hello'') > 0', pg_temp.token('anna')), true), 'true', 'A29 by the token he speaks');
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT string_agg(author_name || '': '' || body, '','') FROM csm.guest_transcript(%L)', pg_temp.token('anna'))), 'visitor: hello', 'A29 and reads');
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT count(*) FROM csm.guest_transcript(%L)', pg_temp.token('ben'))), '0', 'A29 his own, not that of another');
SELECT is(pg_temp.told('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''hello'')', 'x')), pg_temp.told('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''hello'')', repeat('A', 43))), 'V15 no token but his');
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT csm.%s', f)), '42501', 'A29 without one nothing: ' || f) FROM unnest('{guest_say(NULL\, ''x''),guest_transcript(NULL)}'::text[]) f;
SELECT is(pg_temp.try('nobody', 'csm_guest', 'SELECT count(*) FROM csm.interactions'), '42501', 'A29 no table');
SELECT is(pg_temp.try('stranger', 'csm_guest', format('SELECT csm.guest_say(%L, ''x'')', pg_temp.token('anna'))), '42501', 'A29 who is signed in is no visitor');
SELECT is(pg_temp.try('stranger', 'csm_guest', 'SELECT csm.open_guest_interaction()'), '42501', 'A29 nor opens as one');
SELECT is(pg_temp.try('nobody', 'csm_guest', 'SELECT csm.open_guest_interaction(''phone'')'), '22023', '22023 a visitor does not telephone through the database');
SELECT set_config('csm.tenant', 'foreign', false);
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''x'')', pg_temp.token('anna'))), '42501', 'V13 the token opens nothing in another tenant');
SELECT set_config('csm.tenant', 'small', false);
UPDATE csm_private.interaction_tokens SET expires_at = clock_timestamp() WHERE interaction_id = pg_temp.i('ben');
SELECT is(pg_temp.try('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''x'')', pg_temp.token('ben'))), '42501', 'A29 nor after it has expired');
SELECT is((pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.tenants SET settings = settings || '{"interactions": {"guest_sessions_per_hour": 3, "messages_per_hour": 3}}' RETURNING key$$, true)), 'small', 'A29 the administrator sets how many');
CREATE FUNCTION pg_temp.thrice(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text := '';
BEGIN
    FOR i IN 1 .. 3 LOOP said := said || pg_temp.try(person, role_name, statement) || ' '; END LOOP;
    RETURN said;
END $$;
SELECT is(pg_temp.thrice('nobody', 'csm_guest', $$SELECT token <> '' FROM csm.open_guest_interaction()$$), 'true true SM007 ', 'A29 SM007 so many visitors an hour, whether or not it was kept');
SELECT is(pg_temp.thrice('nobody', 'csm_guest', format('SELECT csm.guest_say(%L, ''x'') > 0', pg_temp.token('anna'))), 'true true SM007 ', 'A29 SM007 so many messages');
SELECT throws_ok(format($$UPDATE csm.tenants SET settings = settings || '{"interactions": %s}' WHERE key = 'small'$$, v), '22023', NULL, '22023 setting interactions: ' || v)
FROM unnest('{"true","[]","{\"guests\": 1}","{\"guest_hours\": \"1\"}","{\"guest_hours\": 1.5}","{\"guest_hours\": null}","{\"idle_hours\": -1}"}'::text[]) v;
UPDATE csm.tenants SET settings = settings - 'interactions' WHERE key = 'small';

-- ---- who sees ----
-- By the rule: the requester and who speaks for him; staff by branch, account, team.
SELECT is(pg_temp.try(v.who, v.role_name, $$SELECT string_agg(coalesce(subject, '-'), ',' ORDER BY subject COLLATE "C") FROM csm.interactions WHERE subject <> 'somebody asks' OR requester_id IS NULL$$), v.outcome, format('A29 V9 interactions that %s (%s) sees', v.who, v.role_name))
FROM (VALUES ('stranger', 'csm_portal', 'refund'), ('north contact', 'csm_portal', 'pump'), ('student', 'csm_portal', 'password'), ('north colleague', 'csm_portal', 'call of north'), ('son', 'csm_portal', 'call of son'),
             ('mother', 'csm_portal', 'call of son'), ('daughter', 'csm_portal', 'call of son'), ('lodger', 'csm_portal', NULL), ('north manager', 'csm_portal', NULL), ('north reader', 'csm_portal', NULL), ('acme admin', 'csm_portal', NULL), ('paragon admin', 'csm_portal', NULL),
             ('b2b agent', 'csm_agent', 'call of north,mail,pump'), ('consumer agent', 'csm_agent', 'call of son,refund,somebody asks,somebody asks'), ('desk manager', 'csm_agent', 'call of north,call of son,mail,password,pump,refund,somebody asks,somebody asks'),
             ('account team', 'csm_agent', 'call of north,pump'), ('household team', 'csm_agent', 'call of son'), ('b2b agent', 'csm_portal', NULL), ('desk admin', 'csm_admin', NULL), ('nobody', 'csm_portal', NULL), ('nobody', 'csm_agent', NULL)) v(who, role_name, outcome);
SELECT is(pg_temp.try(v.who, v.role_name, 'SELECT count(*) FROM csm.interaction_entries'), v.outcome, format('A29 the transcript of a visitor, for %s (%s)', v.who, v.role_name))
FROM (VALUES ('consumer agent', 'csm_agent', '1'), ('b2b agent', 'csm_agent', '0'), ('stranger', 'csm_portal', '0'), ('nobody', 'csm_portal', '0')) v(who, role_name, outcome);
INSERT INTO csm.users (tenant_id, display_name) VALUES (small.tenant('foreign'), 'foreign agent');
INSERT INTO small.named SELECT 'user', 'foreign agent', id FROM csm.users WHERE display_name = 'foreign agent';
INSERT INTO csm.user_roles (tenant_id, user_id, role) VALUES (small.tenant('foreign'), small.u('foreign agent'), 'manager');
SELECT is(pg_temp.try('foreign agent', 'csm_agent', 'SELECT (SELECT count(*) FROM csm.interactions) + (SELECT count(*) FROM csm.interaction_entries)'), '0', 'V13 another desk sees none');
SELECT is(pg_temp.try('b2b agent', 'csm_reporter', $$SELECT count(*) FROM csm_report.interactions$$), '3', 'A29 reporting follows the reader''s reach');
SELECT is(pg_temp.try('b2b agent', 'csm_reporter', v), '42501', 'A29 without whom and what: ' || v) FROM unnest('{"SELECT requester_id FROM csm.interactions","SELECT subject FROM csm.interactions","SELECT body FROM csm.interaction_entries"}'::text[]) v;
SELECT is(pg_temp.try(v.who, v.role_name, v.statement), '42501', 'A29 no write beside the functions: ' || v.statement)
FROM (VALUES ('desk manager', 'csm_agent', 'UPDATE csm.interactions SET state = ''closed'''), ('desk manager', 'csm_agent', 'DELETE FROM csm.interaction_entries'), ('stranger', 'csm_portal', 'INSERT INTO csm.interaction_entries (interaction_id, author_kind, author_name, body) VALUES (1, ''agent'', ''x'', ''x'')')) v(who, role_name, statement);

-- Hidden and missing: the same words.
SELECT is(pg_temp.told(v.who, v.role_name, replace(s, '#', pg_temp.i('pump')::text)), pg_temp.told(v.who, v.role_name, replace(s, '#', '987654321')), format('V15 %s by %s', s, v.who))
FROM (VALUES ('consumer agent', 'csm_agent'), ('stranger', 'csm_portal'), ('north manager', 'csm_portal')) v(who, role_name),
     unnest('{"SELECT csm.say(#, ''x'')","SELECT csm.act_on_interaction(#, ''take'')","SELECT csm.case_from_interaction(#)"}'::text[]) s;

-- ---- speaking ----
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT author_kind || '' '' || author_name FROM csm.say(%s, ''text'', %L)', pg_temp.i(v.subject), v.kind)), v.outcome, format('A29 %s (%s) speaks in "%s" as %s', v.who, v.role_name, v.subject, coalesce(v.kind, 'himself')))
FROM (VALUES ('stranger', 'csm_portal', 'refund', NULL, 'customer stranger'), ('consumer agent', 'csm_agent', 'refund', NULL, 'agent consumer agent'), ('consumer agent', 'csm_agent', 'refund', 'bot', 'bot bot'), ('consumer agent', 'csm_agent', 'refund', 'system', 'system system'),
             ('stranger', 'csm_portal', 'refund', 'agent', '42501'), ('stranger', 'csm_portal', 'refund', 'bot', '42501'), ('viewer', 'csm_agent', 'refund', NULL, '42501'), ('viewer', 'csm_agent', 'refund', 'agent', '42501'), ('b2b agent', 'csm_agent', 'refund', NULL, '42501'),
             ('consumer agent', 'csm_agent', 'refund', 'customer', '42501'), ('mother', 'csm_portal', 'call of son', NULL, 'customer mother'), ('stranger', 'csm_portal', 'refund', 'king', '22023'), ('consumer agent', 'csm_agent', 'anna', NULL, 'agent consumer agent')) v(who, role_name, subject, kind, outcome);
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT csm.say(%s, %L)', pg_temp.i('refund'), v.body)), v.outcome, v.outcome || ' say: ' || v.what) FROM (VALUES ('  ', '23514', 'blank'), (repeat('x', 10001), '23514', 'too long'), (NULL, '23502', 'null')) v(body, outcome, what);
SELECT is(pg_temp.try('stranger', 'csm_portal', format('SELECT (csm.say(%s, ''where is my money'')).id > 0', pg_temp.i('refund')), true), 'true', 'A29 the customer asks');
SELECT is((SELECT state || coalesce(answered_at::text, ' unanswered') FROM csm.interactions WHERE id = pg_temp.i('refund')), 'new unanswered', 'A29 nobody has answered');
SELECT throws_ok('UPDATE csm.interaction_entries SET body = ''other''', '42501', NULL, 'A29 nobody changes the transcript');
SELECT throws_ok('DELETE FROM csm.interaction_entries', '42501', NULL, 'A29 nor deletes of it');
SELECT throws_ok('TRUNCATE csm.interaction_entries', '42501', NULL, 'A29 nor all');

-- ---- from the bot to the agent: every state × action × actor ----
SELECT small.new_staff('second manager', 'manager');
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT (csm.say(%s, ''turn it off'', ''bot'')).id > 0', pg_temp.i('password')), true), 'true', 'A29 the bot answers');
SELECT is((SELECT concat_ws(' ', state, handled_by, answered_at IS NOT NULL) FROM csm.interactions WHERE id = pg_temp.i('password')), 'active bot t', 'A29 which makes it active');
SELECT is(pg_temp.act('desk manager', 'csm_agent', 'password', 'hand_over'), 'active agent f', 'A29 it hands over to an agent');
SELECT is(pg_temp.act('desk manager', 'csm_agent', 'password', 'take'), 'active agent t', 'A29 who takes it');
SELECT is(pg_temp.act('second manager', 'csm_agent', 'password', 'take'), 'SM002', 'SM002 a second one is told');
SELECT is((SELECT concat_ws(' ', waited = taken_at - handed_over_at, lasted IS NULL) FROM csm.interactions WHERE id = pg_temp.i('password')), 't t', 'A29 how long the customer waited for an agent');
SELECT is(pg_temp.act('second manager', 'csm_agent', 'password', 'hand_over', false), 'active agent f', 'A29 a colleague may pass it on');
SELECT is(pg_temp.act('desk manager', 'csm_agent', 'password', 'wrap_up'), 'wrap_up agent t', 'A29 the conversation is over');
SELECT is((SELECT lasted = wrapped_at - opened_at FROM csm.interactions WHERE id = pg_temp.i('password')), true, 'A29 how long it lasted');
SELECT is(pg_temp.try('student', 'csm_portal', format('SELECT csm.say(%s, ''thanks'')', pg_temp.i('password'))), '55000', 'A29 the customer has said all');
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT author_kind FROM csm.say(%s, ''he knew his password'')', pg_temp.i('password'))), 'agent', 'A29 the agent still writes');
SELECT is(pg_temp.act('desk manager', 'csm_agent', 'password', 'close'), 'closed agent t', 'A29 it is closed');
SELECT is(pg_temp.try('desk manager', 'csm_agent', format('SELECT csm.say(%s, ''more'')', pg_temp.i('password'))), '55000', 'A29 nobody writes any more');
CREATE FUNCTION pg_temp.in_state(of_state text) RETURNS void LANGUAGE sql AS $$
    UPDATE csm.interactions SET state = of_state, closed_at = CASE of_state WHEN 'closed' THEN clock_timestamp() END, wrapped_at = NULL,
        assigned_to = CASE WHEN of_state <> 'new' THEN small.u('desk manager') END, handled_by = 'agent' WHERE id = pg_temp.i('pump') $$;
CREATE FUNCTION pg_temp.walk(person text, role_name text, of_state text, action text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.in_state(of_state);
    RETURN split_part(pg_temp.act(person, role_name, 'pump', action, false), ' ', 1);
END $$;
SELECT is(pg_temp.walk(w.who, w.role_name, s.state, a.action),
          CASE WHEN w.rights = 'none' OR w.rights = 'closes' AND a.action <> 'close' THEN '42501'
               ELSE coalesce((SELECT to_state FROM (VALUES ('new', 'take', 'active'), ('new', 'close', 'closed'), ('active', 'hand_over', 'active'), ('active', 'wrap_up', 'wrap_up'),
                                                          ('active', 'close', 'closed'), ('wrap_up', 'close', 'closed')) t(from_state, action, to_state)
                              WHERE t.from_state = s.state AND t.action = a.action), 'SM002') END,
          format('A29 %s: %s by %s (%s)', s.state, a.action, w.who, w.role_name))
FROM unnest('{new,active,wrap_up,closed}'::text[]) s(state), unnest('{take,hand_over,wrap_up,close}'::text[]) a(action),
     (VALUES ('b2b agent', 'csm_agent', 'works'), ('account team', 'csm_agent', 'works'), ('north contact', 'csm_portal', 'closes'), ('viewer', 'csm_agent', 'none'), ('consumer agent', 'csm_agent', 'none'),
             ('north manager', 'csm_portal', 'none'), ('b2b agent', 'csm_portal', 'none'), ('nobody', 'csm_agent', 'none')) w(who, role_name, rights);
SELECT is(pg_temp.act('b2b agent', 'csm_agent', 'pump', 'dance', false), '22023', '22023 an unknown action');
SELECT pg_temp.in_state('new');

-- ---- who it is ----
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT concat_ws('' '', verification, verified_how, verified_by = %s, branch) FROM csm.verify_interaction(%s, %L, %L, %s)', small.u(v.who), pg_temp.i(v.subject), v.level, v.how, pg_temp.u(v.person))), v.outcome,
          format('A29 %s: %s of "%s" by %s (%s)', v.outcome, coalesce(v.level, 'null'), v.subject, v.who, coalesce(v.person, 'same person')))
FROM (VALUES ('consumer agent', 'csm_agent', 'call of son', 'verified', 'callback', NULL, 'verified callback t b2c'), ('consumer agent', 'csm_agent', 'anna', 'verified', 'callback', 'ward', 'verified callback t b2c'),
             ('desk manager', 'csm_agent', 'anna', 'claimed', 'callback', 'north colleague', 'claimed callback t b2b'), ('consumer agent', 'csm_agent', 'anna', 'verified', 'callback', 'north colleague', '42501'),
             ('consumer agent', 'csm_agent', 'anna', 'verified', 'callback', NULL, '22023'), ('consumer agent', 'csm_agent', 'anna', 'none', 'callback', 'ward', '22023'), ('consumer agent', 'csm_agent', 'anna', 'verified', NULL, 'ward', '22023'),
             ('consumer agent', 'csm_agent', 'anna', 'verified', 'Free text', 'ward', '23514'), ('viewer', 'csm_agent', 'anna', 'verified', 'callback', 'ward', '42501'), ('b2b agent', 'csm_agent', 'anna', 'verified', 'callback', 'ward', '42501'),
             ('stranger', 'csm_portal', 'refund', 'verified', 'callback', NULL, '42501')) v(who, role_name, subject, level, how, person, outcome);
SELECT is(pg_temp.told('consumer agent', 'csm_agent', format('SELECT csm.verify_interaction(%s, ''verified'', ''x'', %s)', pg_temp.i('anna'), small.u('north colleague'))), pg_temp.told('consumer agent', 'csm_agent', format('SELECT csm.verify_interaction(%s, ''verified'', ''x'', 987654321)', pg_temp.i('anna'))), 'V15 a person out of reach and a missing one');
SELECT is(pg_temp.try('ward', 'csm_portal', format('SELECT count(*) FROM csm.interactions WHERE id = %s', pg_temp.i('anna'))), '0', 'A29 before, it is nobody''s');
SELECT is(pg_temp.try('consumer agent', 'csm_agent', format('SELECT (csm.case_from_interaction(%s)).id', pg_temp.i('anna'))), '55000', 'A29 nor can it become a case');
SELECT is(pg_temp.try('consumer agent', 'csm_agent', format('SELECT (csm.verify_interaction(%s, ''verified'', ''callback'', %s)).verification', pg_temp.i('anna'), small.u('ward')), true), 'verified', 'A29 it is the ward');
SELECT is(pg_temp.try('ward', 'csm_portal', format('SELECT count(*) FROM csm.interactions WHERE id = %s', pg_temp.i('anna'))), '1', 'A29 whose it is from then on');

-- ---- a case of it ----
SELECT is(pg_temp.try(v.who, v.role_name, format('SELECT concat_ws('' '', branch, requester_id = %s, channel, subject) FROM csm.case_from_interaction(%s)', small.u(v.person), pg_temp.i(v.subject))), v.outcome, format('A29 a case of "%s" by %s (%s)', v.subject, v.who, v.role_name))
FROM (VALUES ('consumer agent', 'csm_agent', 'anna', 'ward', 'b2c t chat somebody asks'), ('ward', 'csm_portal', 'anna', 'ward', 'b2c t chat somebody asks'), ('b2b agent', 'csm_agent', 'pump', 'north contact', 'b2b t chat pump'), ('north contact', 'csm_portal', 'pump', 'north contact', 'b2b t chat pump'),
             ('b2b agent', 'csm_agent', 'anna', 'ward', '42501'), ('stranger', 'csm_portal', 'anna', 'ward', '42501'), ('viewer', 'csm_agent', 'pump', 'north contact', '42501'), ('guardian', 'csm_portal', 'anna', 'ward', '42501')) v(who, role_name, subject, person, outcome);
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT (csm.case_from_interaction(%s, ''Pump rattles'', ''since Monday'', ''complaint'')).case_type', pg_temp.i('pump')), true), 'complaint', 'A29 with what the agent adds');
SELECT is(pg_temp.try('north contact', 'csm_portal', format('SELECT (csm.case_from_interaction(%s)).subject', pg_temp.i('pump')), true), 'Pump rattles', 'A29 called again it is the same case');
SELECT is((SELECT count(*) FROM csm.interactions WHERE case_id IS NOT NULL), 1::bigint, 'A29 which leads back to the transcript');
SELECT is((SELECT count(*) FROM csm.case_entries e JOIN csm.interactions i ON i.case_id = e.case_id), 0::bigint, 'A29 nothing of it is copied');
SELECT is(pg_temp.try('north manager', 'csm_portal', $$SELECT concat_ws(' ', (SELECT count(*) FROM csm.cases WHERE subject = 'Pump rattles'), (SELECT count(*) FROM csm.interactions))$$), '1 0', 'A29 who sees the case sees the conversation by its own rule');
SELECT is(pg_temp.try('b2b agent', 'csm_agent', format('SELECT csm.verify_interaction(%s, ''verified'', ''callback'', %s)', pg_temp.i('pump'), small.u('north colleague'))), '42501', 'A29 then it stays his whose case it is');

-- ---- plans ----
-- Among many that he does not see.
INSERT INTO csm.interactions (tenant_id, branch, requester_id, channel, verification, verified_how)
SELECT small.tenant(), 'internal', u.id, 'chat', 'claimed', 'desk' FROM generate_series(1, 6000) i
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n, count(*) OVER () AS people FROM csm.users u WHERE tenant_id = small.tenant() AND display_name NOT IN ('stranger', 'b2b agent')) u ON u.n = 1 + i % u.people;
ANALYZE csm.interactions;
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
SELECT ok(pg_temp.plan(w.who, w.role_name, 'SELECT * FROM csm.interactions') ~ w.index_used AND pg_temp.plan(w.who, w.role_name, 'SELECT * FROM csm.interactions') !~ 'Seq Scan|SubPlan', format('A29 V14 interactions by %s (%s): through an index', w.who, w.role_name))
FROM (VALUES ('stranger', 'csm_portal', 'interactions_requester_idx'), ('nobody', 'csm_portal', 'interactions_newest_idx'), ('nobody', 'csm_agent', 'interactions_newest_idx')) w(who, role_name, index_used);

-- ---- a service organisation ----
SELECT is(pg_temp.open('son', 'csm_portal', 'chat', 'till', NULL) IS NOT NULL, true, 'A29 somebody turns to the desk');
CREATE FUNCTION pg_temp.sees(who text, role_name text, subject text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(who, role_name, format('SELECT (SELECT count(*) FROM csm.interactions WHERE id = %1$s) || ''/'' || (SELECT count(*) FROM csm.interaction_entries WHERE interaction_id = %1$s)', pg_temp.i(subject))) $$;
SELECT is(pg_temp.try('son', 'csm_portal', format('SELECT (csm.say(%s, ''it does not open'')).id > 0', pg_temp.i('till')), true) || pg_temp.act('consumer agent', 'csm_agent', 'till', 'take'), 'trueactive agent t', 'A29 the desk takes it');
SELECT is(pg_temp.sees(w, 'csm_agent', 'till'), '0/0', 'V9 which was handed to no organisation: ' || w) FROM unnest('{shop agent,region agent}'::text[]) w;
CREATE FUNCTION pg_temp.hand_over(who text, role_name text, of_organization text, keep boolean DEFAULT true, of_action text DEFAULT 'hand_over') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(who, role_name, format('SELECT (csm.act_on_interaction(%s, %L, %s)).service_organization_id', pg_temp.i('till'), of_action, of_organization), keep) $$;
SELECT is(pg_temp.hand_over(v.who, v.role_name, v.of, false, v.act), v.outcome, format('%s handing over: %s', v.outcome, v.what))
FROM (VALUES ('consumer agent', 'csm_agent', '987654321', 'hand_over', '42501', 'to an organisation that is missing'), ('consumer agent', 'csm_agent', small.o('shop')::text, 'wrap_up', '22023', 'with another action'),
             ('son', 'csm_portal', small.o('shop')::text, 'hand_over', '42501', 'by the customer'), ('shop agent', 'csm_agent', small.o('shop')::text, 'hand_over', '42501', 'to oneself what one does not see')) v(who, role_name, of, act, outcome, what);
INSERT INTO csm.service_organizations (tenant_id, name) VALUES (small.tenant('foreign'), 'elsewhere');
SELECT is(pg_temp.hand_over('consumer agent', 'csm_agent', (SELECT id::text FROM csm.service_organizations WHERE name = 'elsewhere'), false), '42501', 'V13 nor to one of another tenant');
SELECT is(pg_temp.hand_over('consumer agent', 'csm_agent', small.o('shop')::text), small.o('shop')::text, 'A29 it is handed over to the shop');
SELECT is(pg_temp.sees(v.who, v.role_name, 'till'), v.outcome, format('V9 then it is seen by %s (%s): %s', v.who, v.role_name, v.outcome))
FROM (VALUES ('shop agent', 'csm_agent', '1/1'), ('shop agent', 'csm_portal', '0/0'), ('region agent', 'csm_agent', '0/0'), ('consumer agent', 'csm_agent', '1/1'), ('b2b agent', 'csm_agent', '0/0'), ('son', 'csm_portal', '1/1'), ('nobody', 'csm_agent', '0/0')) v(who, role_name, outcome);
SELECT is(pg_temp.try('shop agent', 'csm_reporter', format('SELECT service_organization_id = %s FROM csm_report.interactions WHERE id = %s', small.o('shop'), pg_temp.i('till'))), 'true', 'A29 and counted in his report');
SELECT is(pg_temp.try('shop agent', 'csm_agent', format('SELECT csm.verify_interaction(%s, ''verified'', ''callback'', %s)', pg_temp.i('till'), small.u('mother'))), '42501', 'A29 which gives no reach over persons: he makes nobody its requester');
SELECT is(pg_temp.act('shop agent', 'csm_agent', 'till', 'take'), 'active agent t', 'A29 who takes it');
SELECT is(pg_temp.try('shop agent', 'csm_agent', format('SELECT author_kind FROM csm.say(%s, ''pull'')', pg_temp.i('till')), true), 'agent', 'A29 speaks');
SELECT is(pg_temp.try('shop agent', 'csm_agent', format('SELECT service_organization_id = %s AND requester_id = %s FROM csm.case_from_interaction(%s)', small.o('shop'), small.u('son'), pg_temp.i('till')), true), 'true', 'A29 and makes a case of it that his organisation serves');
SELECT is(pg_temp.hand_over('shop agent', 'csm_agent', small.o('village')::text), small.o('village')::text, 'A29 he passes it on');
SELECT is(pg_temp.sees(v.who, 'csm_agent', 'till'), v.outcome, 'V9 which moves it: ' || v.who) FROM (VALUES ('shop agent', '0/0'), ('region agent', '1/2')) v(who, outcome);
SELECT is(pg_temp.act('region agent', 'csm_agent', 'till', 'take'), 'active agent t', 'V9 an organisation above the village works on it');
SELECT is(pg_temp.hand_over('region agent', 'csm_agent', 'NULL'), small.o('village')::text, 'A29 handed over without naming one, it stays there');

-- ---- nobody says anything any more ----
CREATE FUNCTION pg_temp.idle(hours numeric) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM csm.run_due((SELECT max(created_at) FROM csm.interaction_entries WHERE interaction_id = pg_temp.i('till') AND author_kind <> 'system') + hours * interval '1 hour', 1000000);
    RETURN (SELECT state || coalesce(' ' || (closed_at - opened_at > interval '1 hour')::text, '') FROM csm.interactions WHERE id = pg_temp.i('till'));
END $$;
-- he and the desk have done nothing since the last word
UPDATE csm.interactions SET opened_at = x.t, taken_at = x.t, handed_over_at = x.t FROM (SELECT min(created_at) - interval '1 hour' AS t FROM csm.interaction_entries WHERE interaction_id = pg_temp.i('till')) x WHERE id = pg_temp.i('till');
SELECT pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.tenants SET settings = settings || '{"interactions": {"idle_hours": 5}}' RETURNING key$$, true);
SELECT is(pg_temp.idle(4.9), 'active', 'A29 before the hours of the setting it goes on');
SELECT is(pg_temp.try('son', 'csm_portal', format('SELECT (csm.say(%s, ''I pulled'')).id > 0', pg_temp.i('till')), true), 'true', 'A29 a word');
UPDATE csm.timers SET due_at = due_at - interval '10 hours' WHERE kind = 'interaction_idle' AND object_id = pg_temp.i('till');
SELECT is(pg_temp.idle(4.9), 'active', 'A29 counts anew');
SELECT pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.tenants SET settings = settings || '{"interactions": {"idle_hours": 0}}' RETURNING key$$, true);
SELECT is(pg_temp.idle(100), 'active', 'A29 0: never');
SELECT pg_temp.try('desk admin', 'csm_admin', $$UPDATE csm.tenants SET settings = settings || '{"interactions": {"idle_hours": 5}}' RETURNING key$$, true);
SELECT is(pg_temp.idle(130), 'closed true', 'A29 after that it is closed by time');
SELECT is((SELECT author_kind || ': ' || body FROM csm.interaction_entries WHERE interaction_id = pg_temp.i('till') ORDER BY id DESC LIMIT 1), 'system: Closed after 5 hours without a word.', 'A29 as the transcript says');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'interaction_idle' AND object_id = pg_temp.i('till')), 0::bigint, 'A29 and looked at no more');
SELECT is((SELECT count(*) FROM csm.interactions i WHERE i.channel = 'email' AND i.state <> 'closed'), 1::bigint, 'A29 an e-mail waits');
SELECT is(pg_temp.try('son', 'csm_portal', format('SELECT csm.say(%s, ''x'')', pg_temp.i('till'))), '55000', 'A29 then he opens a new one');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'interaction_idle' AND error IS NOT NULL), 0::bigint, 'A29 none failed');
UPDATE csm.tenants SET settings = settings - 'interactions' WHERE key = 'small';

-- ---- persons ----
SELECT csm.erase_person(small.u('ward'), 'gone');
SELECT is((SELECT string_agg(DISTINCT author_name || '/' || body, ',') FROM csm.interaction_entries WHERE interaction_id = pg_temp.i('anna') AND author_kind <> 'system'), 'erased/erased', 'A38 what a visitor said, who turned out to be he, is empty');
SELECT is((SELECT count(*) FROM csm_private.interaction_tokens WHERE interaction_id = pg_temp.i('anna')), 0::bigint, 'A38 and his token opens nothing');
SELECT is((SELECT subject FROM csm.interactions WHERE id = pg_temp.i('anna')), 'erased', 'A38 what it was about is empty too');
SELECT is((SELECT count(*) FROM csm.interaction_entries WHERE body = 'where is my money'), 1::bigint, 'A38 others'' is not');
SELECT * FROM finish();
