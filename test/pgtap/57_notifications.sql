-- Notifications: who is told of what, in which words, by which channel; what he may not see when it is sent does not reach
-- him.
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, NULL, true), '^(ERROR .....): .*', '\1')
$$;
CREATE FUNCTION pg_temp.says(person text, subject text, body text, visibility text DEFAULT 'shared', role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.does(person, format('SELECT id FROM csm.comment(%s, %L, %L)', small.c(subject), body, visibility), role_name)
$$;
-- The clock of these tests: each call is a minute later than the one before.
CREATE SEQUENCE pg_temp.minutes;
CREATE FUNCTION pg_temp.time_passes() RETURNS bigint LANGUAGE sql AS $$
    SELECT done FROM csm.run_due(clock_timestamp() + nextval('pg_temp.minutes') * interval '1 minute') WHERE kind = 'notify'
$$;
CREATE FUNCTION pg_temp.told(subject text, of_kind text, of_channel text DEFAULT 'email') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(u.name, ', ' ORDER BY u.name)
    FROM csm.notifications n JOIN small.named u ON u.kind = 'user' AND u.id = n.user_id
    WHERE n.case_id = small.c(subject) AND n.kind = of_kind AND n.channel = of_channel
$$;
CREATE FUNCTION pg_temp.states() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s, ' ' ORDER BY s) FROM (SELECT n.state || ':' || count(*) AS s FROM csm.notifications n WHERE n.channel <> 'portal' GROUP BY n.state) x
$$;
CREATE TEMP TABLE got AS SELECT * FROM csm.next_notifications();
CREATE FUNCTION pg_temp.fetch(lease interval DEFAULT '5 minutes') RETURNS bigint LANGUAGE sql AS $$
    TRUNCATE got; INSERT INTO got SELECT * FROM csm.next_notifications(lease => lease); SELECT count(*) FROM got
$$;
CREATE FUNCTION pg_temp.is_sent() RETURNS bigint LANGUAGE sql AS $$
    SELECT csm.acknowledge_notifications(ARRAY(SELECT n.id FROM csm.notifications n WHERE n.attempts > 0))
$$;
CREATE FUNCTION pg_temp.from_scratch() RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.time_passes(); DELETE FROM csm.notifications; DELETE FROM csm.notification_preferences
$$;

-- What is shipped.
SELECT is((SELECT count(*) FROM csm.notification_rules WHERE tenant_id = small.tenant()), (SELECT count(*) FROM csm_private.shipped_notification_rules()), 'A11 a tenant gets the rules that are shipped');
SELECT set_has('SELECT event FROM csm.notification_rules WHERE tenant_id = small.tenant()', $$SELECT unnest('{opened,commented,resolved,closed,escalated,group_assigned}'::text[])$$, 'A11 each event of the product has its rule');
SELECT is_empty($$SELECT event FROM csm_private.shipped_notification_rules() EXCEPT SELECT event FROM csm_private.shipped_notification_templates() WHERE language = 'de'$$, 'A11 each has words in German');
SELECT is_empty($$SELECT event, language FROM csm_private.shipped_notification_templates() t WHERE NOT EXISTS (SELECT FROM csm_private.shipped_notification_templates() o WHERE o.event = t.event AND o.language <> t.language)$$, 'A11 and in both languages');
SELECT is((SELECT count(*) FROM csm.timers WHERE kind = 'notify'), 2::bigint, 'A11 csm.run_due() reads the events of each tenant');
SELECT is((SELECT count(*) FROM csm.notifications), 0::bigint, 'A11 (nothing yet)');

-- A11: who is told. The actor is not.
UPDATE csm.cases SET assigned_to = small.u('b2b agent') WHERE id = small.c('north: pump');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'assigned'), 'b2b agent', 'A11 who gets a case is told');
SELECT is(pg_temp.told('north: pump', 'assigned', 'portal'), 'b2b agent', 'A11 by both channels');
SELECT isnt(pg_temp.says('north contact', 'north: pump', 'It drips.'), 'ERROR 42501', 'A11 (the requester comments)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'commented'), 'b2b agent', 'A11 a comment of the requester is told to the desk, not to himself');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'On our way.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (the agent answers)');
SELECT is(pg_temp.time_passes(), 2::bigint, 'A11 csm.run_due() says so');
SELECT is((SELECT string_agg(u.name, ', ' ORDER BY n.id) FROM csm.notifications n JOIN small.named u ON u.kind = 'user' AND u.id = n.user_id WHERE n.kind = 'commented' AND n.channel = 'email'),
          'b2b agent, north contact', 'A11 the answer of the agent is told to the requester, not to himself');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE kind = 'commented'), 4::bigint, 'A11 once for each event, person and channel');
UPDATE csm_private.notification_readers SET position = 0;
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE kind = 'commented'), 4::bigint, 'A11 whatever the reader forgets');

-- Work notes and what is one side's.
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('desk manager', 'north: pump', 'He never pays.', 'internal', 'csm_agent'), 'ERROR 42501', 'B52 (a work note)');
SELECT isnt(pg_temp.says('north contact', 'north: pump', 'Only for us.', 'private'), 'ERROR 42501', 'B52 (an entry of one side)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'commented'), 'b2b agent, b2b agent', 'B52 a work note is told to the desk alone');
SELECT is((SELECT count(*) FROM csm.notifications WHERE audience = 'internal' AND user_id <> small.u('b2b agent')), 0::bigint, 'B52 and to no customer');
SELECT is(pg_temp.fetch(), 2::bigint, 'B52 allow: the agent gets it');
SELECT matches((SELECT string_agg(body, ' ') FROM got), 'He never pays\.', 'B52 with its words');
-- a row for the customer, as no rule would make it
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, entry_id)
SELECT tenant_id, small.u('north contact'), case_id, event_id, kind, 'email', 'internal', entry_id FROM csm.notifications WHERE audience = 'internal' AND channel = 'email';
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, entry_id, state, sent_at)
SELECT tenant_id, small.u('north contact'), case_id, event_id, kind, 'portal', 'internal', entry_id, 'sent', now() FROM csm.notifications WHERE audience = 'internal' AND user_id = small.u('north contact');
SELECT is(pg_temp.fetch(), 0::bigint, 'B52 a work note never goes to a customer, even where a row says so');
SELECT is((SELECT state FROM csm.notifications WHERE channel = 'email' AND user_id = small.u('north contact')), 'withheld', 'B52 it is withheld');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.notifications'), '0', 'B52 nor does he see the row');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications()'), '0', 'B52 nor in his inbox');
SELECT is(pg_temp.does('north contact', 'SELECT csm.mark_read()'), '0', 'B52 nor marks it');
-- the same row with another entry's id has no words of the entry
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, entry_id)
SELECT tenant_id, small.u('north contact'), case_id, -1, 'commented', 'email', 'shared', entry_id FROM csm.notifications WHERE audience = 'internal' LIMIT 1;
SELECT is(pg_temp.fetch(), 1::bigint, 'B52 (a row that is shared, of an entry that is not)');
SELECT unalike((SELECT body FROM got), '%pays%', 'B52 quotes nothing of it');

-- V10: what was taken away between event and sending.
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'Soon.', 'shared', 'csm_agent'), 'ERROR 42501', 'V10 (an answer)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications()'), '1', 'V10 allow: in the inbox before');
UPDATE csm.contacts SET valid_during = tstzrange(NULL, clock_timestamp()) WHERE id = small.k('north contact at north');
SELECT is(pg_temp.fetch(), 0::bigint, 'V10 a membership ended between event and sending');
SELECT is((SELECT state FROM csm.notifications WHERE channel = 'email'), 'withheld', 'V10 is withheld, and recorded so');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.notifications') || pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications()'), '00', 'V10 and gone from the inbox');
UPDATE csm.contacts SET valid_during = NULL WHERE id = small.k('north contact at north');
SELECT is(pg_temp.fetch(), 0::bigint, 'V10 what was withheld is not sent later');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'Later.', 'shared', 'csm_agent'), 'ERROR 42501', 'V10 (another)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.fetch(), 1::bigint, 'V10 allow: a member gets the next one');
UPDATE csm.users SET enabled = false WHERE id = small.u('north contact');
UPDATE csm.notifications SET claimed_until = NULL WHERE state = 'waiting';
SELECT is(pg_temp.fetch(), 0::bigint, 'V10 one who was disabled gets nothing, a second time neither');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'To nobody.', 'shared', 'csm_agent'), 'ERROR 42501', 'V10 (while he is disabled)');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE state = 'waiting'), 0::bigint, 'V10 nor is anything made for him');
UPDATE csm.users SET enabled = true, email = NULL WHERE id = small.u('north contact');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'By what?', 'shared', 'csm_agent'), 'ERROR 42501', 'V10 (without an address)');
SELECT pg_temp.time_passes();
SELECT is((SELECT string_agg(channel, ' ') FROM csm.notifications n JOIN csm.case_entries e ON e.id = n.entry_id WHERE e.body = 'By what?'), 'portal', 'A11 who has no address is told in the portal alone');
UPDATE csm.users SET email = 'north.contact@small.example' WHERE id = small.u('north contact');

-- A11: preferences.
SELECT pg_temp.from_scratch();
SELECT is(pg_temp.does('north contact', $$INSERT INTO csm.notification_preferences (event, channel, enabled) VALUES ('commented', 'email', false) RETURNING event$$), 'commented', 'A11 no mail of comments');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'Off.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'commented') IS NULL, true, 'A11 off: none');
SELECT is(pg_temp.told('north: pump', 'commented', 'portal'), 'north contact', 'A11 the other channel is another preference');
SELECT is(pg_temp.does('north contact', $$UPDATE csm.notification_preferences SET enabled = true RETURNING event$$), 'commented', 'A11 on again');
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'On.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'commented'), 'north contact', 'A11 on: told');
UPDATE csm.notification_preferences SET enabled = false;
SELECT is(pg_temp.fetch(), 0::bigint, 'A11 turned off before it is sent: withheld');
SELECT pg_temp.from_scratch();
UPDATE csm.notification_rules SET enabled = false WHERE event = 'commented' AND tenant_id = small.tenant();
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'By default.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications), 0::bigint, 'A11 a rule that is off by default tells nobody');
INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES (small.tenant(), small.u('north contact'), '*', 'email', true);
SELECT isnt(pg_temp.says('b2b agent', 'north: pump', 'Asked for.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
SELECT is((SELECT string_agg(channel, ' ') FROM csm.notifications), 'email', 'A11 but who asks for it');
UPDATE csm.notification_rules SET enabled = true WHERE tenant_id = small.tenant();

-- A11: the other events.
SELECT pg_temp.from_scratch();
INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'pumps');
INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u(n) FROM csm.groups, unnest('{viewer,b2b agent}'::text[]) n;
UPDATE csm.cases SET assigned_group_id = (SELECT id FROM csm.groups WHERE name = 'pumps'), assigned_to = NULL WHERE id = small.c('north: pump');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'group_assigned'), 'b2b agent, north contact, viewer', 'A11 a new group: its members and the requester');
SELECT is(pg_temp.told('north: pump', 'assigned') IS NULL, true, 'A11 nobody is told that it is nobody''s');
SELECT isnt(pg_temp.says('desk manager', 'north: pump', 'Between us.', 'internal', 'csm_agent'), 'ERROR 42501', 'B52 (a work note for the group)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'commented'), 'b2b agent, viewer', 'B52 a viewer in the group is told by relation');
SELECT is(pg_temp.fetch(), 4::bigint, 'B52 (three of the group, one of the note)');
SELECT is((SELECT string_agg(u.name || ' ' || n.state, ', ' ORDER BY u.name) FROM csm.notifications n JOIN small.named u ON u.kind = 'user' AND u.id = n.user_id WHERE n.kind = 'commented' AND n.channel = 'email'),
          'b2b agent waiting, viewer withheld', 'B52 but who reads without working on cases gets no work note');
SELECT pg_temp.from_scratch();
SELECT is(pg_temp.does('b2b agent', format('SELECT state FROM csm.act(%s, ''propose'', ''Done.'', ''{"resolution_code": "fixed", "resolution_notes": "New seal."}'')', small.c('north: pump')), 'csm_agent'), 'resolved', 'A11 (a solution)');
SELECT is(pg_temp.does('north contact', format('SELECT state FROM csm.act(%s, ''accept'')', small.c('north: pump'))), 'closed', 'A11 (accepted)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: pump', 'resolved'), 'north contact', 'A11 resolved is told to the requester');
SELECT is(pg_temp.told('north: pump', 'closed') IS NULL, true, 'A11 closed not to him who closed it');
SELECT is(pg_temp.fetch() >= 1, true, 'A11 (sent)');
SELECT matches((SELECT body FROM got WHERE kind = 'resolved'), 'New seal\.', 'A11 with the proposed solution');
SELECT pg_temp.from_scratch();
SELECT csm_private.emit(small.tenant(), small.c('north: with paragon'), 'escalated');
SELECT csm_private.emit(small.tenant(), small.c('north: with paragon'), 'unheard_of');
SELECT is(csm.prune_events('0') > 0, true, 'D5 (old events are pruned)');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY id) FROM csm.events WHERE tenant_id = small.tenant()), 'escalated unheard_of', 'D5 but not what nobody was told of yet');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('north: with paragon', 'escalated') IS NOT NULL, true, 'A11 escalated');
SELECT is((SELECT count(*) FROM csm.notifications WHERE kind = 'unheard_of'), 0::bigint, 'A11 an event without a rule is told to nobody');

-- B49: an approval by the customer.
SELECT pg_temp.from_scratch();
SELECT pg_temp.does('north contact', $$SELECT id FROM csm.open_case('spare parts', case_type => 'order')$$) AS parts \gset
INSERT INTO small.named VALUES ('case', 'spare parts', :parts);
SELECT is(pg_temp.does('north contact', format('SELECT state FROM csm.act(%s, ''request_approval'')', :parts)), 'awaiting_approval', 'B49 (approval is asked for)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('spare parts', 'approval_requested'), 'north admin, north manager', 'B49 who may approve is told');
SELECT is(pg_temp.fetch(), (SELECT count(*) FROM csm.notifications WHERE channel = 'email'), 'B49 and sees what is asked');
SELECT matches((SELECT min(body) FROM got WHERE kind = 'approval_requested'), 'north contact asks for your approval', 'B49 by whom');
SELECT is(pg_temp.does('north manager', format('SELECT state FROM csm.act(%s, ''decline'', ''Too dear.'')', :parts)), 'draft', 'B49 (declined)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('spare parts', 'declined'), 'north contact', 'B49 who asked is told of a refusal');
SELECT is(pg_temp.does('north contact', format('SELECT state FROM csm.act(%s, ''request_approval'')', :parts)), 'awaiting_approval', 'B49 (asked again)');
SELECT is(pg_temp.does('north admin', format('SELECT state FROM csm.act(%s, ''approve'')', :parts)), 'new', 'B49 (approved)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('spare parts', 'submitted'), 'north contact', 'B49 and of an approval');

-- Disputes: what one side may know.
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('north manager', 'dispute: globex', 'Pay us.'), 'ERROR 42501', 'V8 (the claimant comments)');
SELECT isnt(pg_temp.says('north manager', 'dispute: globex', 'Our lawyer says.', 'private'), 'ERROR 42501', 'V8 (and for his side)');
SELECT pg_temp.time_passes();
SELECT is(pg_temp.told('dispute: globex', 'commented'), (SELECT CASE WHEN counterparty_contact_id IS NULL THEN 'globex manager, globex reader' ELSE 'globex lawyer' END FROM csm.cases WHERE id = small.c('dispute: globex')),
          'V8 the other company is told what is shared, once');
SELECT pg_temp.fetch();
SELECT matches((SELECT string_agg(body, ' ') FROM got), 'Pay us\.', 'V8 allow: with the words');
SELECT unalike((SELECT string_agg(body, ' ') FROM got), '%lawyer says%', 'V8 and nothing of the claimant''s own');

-- Languages.
SELECT pg_temp.from_scratch();
INSERT INTO csm.notification_templates (tenant_id, event, channel, language, subject, body) VALUES
    (small.tenant(), 'commented', '*', 'de-at', 'Servus {{case.number}}', 'x'), (small.tenant(), 'commented', 'email', 'fr', 'Bonjour {{case.number}}', 'x');
CREATE FUNCTION pg_temp.in_language(tag text, tenant_tag text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE csm.users SET language = tag WHERE id = small.u('north contact');
    UPDATE csm.tenants SET settings = CASE WHEN tenant_tag IS NULL THEN '{}' ELSE jsonb_build_object('notifications', jsonb_build_object('language', tenant_tag)) END WHERE id = small.tenant();
    UPDATE csm.notifications SET claimed_until = NULL, attempts = 0, state = 'waiting', sent_at = NULL WHERE channel = 'email';
    PERFORM pg_temp.fetch();
    RETURN (SELECT language || ': ' || regexp_replace(subject, '\[?CS\d+\]?', '#') FROM got WHERE user_id = small.u('north contact'));
END $$;
SELECT isnt(pg_temp.says('b2b agent', 'north: with paragon', 'Any language.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE channel = 'email' AND user_id = small.u('north contact')), 1::bigint, 'A11 (a notification)');
SELECT is(pg_temp.in_language('en'), 'en: # Comment: north: with paragon', 'A11 English');
SELECT is(pg_temp.in_language('de'), 'de: # Kommentar: north: with paragon', 'A11 German');
SELECT is(pg_temp.in_language('de-CH'), 'de: # Kommentar: north: with paragon', 'A11 a region falls back to its language');
SELECT is(pg_temp.in_language('de-AT'), 'de-at: Servus #', 'A11 the exact tag goes first');
SELECT is(pg_temp.in_language('fr-CA'), 'fr: Bonjour #', 'A11 a language of the tenant''s own');
SELECT is(pg_temp.in_language('pt', 'de-DE'), 'de: # Kommentar: north: with paragon', 'A11 an unknown one falls back to the tenant''s');
SELECT is(pg_temp.in_language('pt', 'nl'), 'en: # Comment: north: with paragon', 'A11 and that to English');
SELECT is(pg_temp.in_language('pt'), 'en: # Comment: north: with paragon', 'A11 so without one of the tenant''s');
SELECT throws_ok($$INSERT INTO csm.notification_templates (tenant_id, event, channel, language, subject, body) VALUES (small.tenant(), 'closed', '*', 'nl', '{{case.secret}}', 'x')$$, '22023', NULL, 'A11 an unknown placeholder is refused in the subject');
SELECT throws_ok($$INSERT INTO csm.notification_templates (tenant_id, event, channel, language, subject, body) VALUES (small.tenant(), 'closed', '*', 'nl', 'x', '{{case.number}')$$, '22023', NULL, 'A11 and one that is not closed in the body');
SELECT lives_ok($$INSERT INTO csm.notification_templates (tenant_id, event, channel, language, subject, body) VALUES (small.tenant(), 'closed', '*', 'nl', '{{case.number}}', '{{entry.body}}')$$, 'A11 allow: a known one');
SELECT throws_ok(format($$UPDATE csm.tenants SET settings = jsonb_build_object('notifications', %L::jsonb) WHERE id = small.tenant()$$, s), '23514', NULL, 'A11 no setting: ' || s)
FROM unnest(ARRAY['[]', '{"lang": "de"}', '{"language": "d"}', '{"domain": "x"}', '{"domain": "a b.example"}', '{"unsubscribe_url": "http://x.example"}', '{"unsubscribe_url": "https://x.example/>"}', '{"keep_days": 0}']) s;

-- Headers.
SELECT pg_temp.from_scratch();
UPDATE csm.tenants SET settings = '{"notifications": {"domain": "mail.small.example", "unsubscribe_url": "https://small.example/u?t="}}' WHERE id = small.tenant();
UPDATE csm.users SET language = 'en' WHERE id = small.u('north contact');
UPDATE csm.cases SET subject = E'x\r\nBcc: all@evil.example\u2028\u0085{{case.number}} {{me.name}}' WHERE id = small.c('north: with paragon');
SELECT isnt(pg_temp.says('b2b agent', 'north: with paragon', 'Look: {{case.subject}}', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes(), pg_temp.fetch();
SELECT is((SELECT subject ~ '[[:cntrl:]\u0080-\u009f\u2028]' FROM got WHERE user_id = small.u('north contact')), false, 'A11 a subject is one line, whatever was typed');
SELECT matches((SELECT subject FROM got WHERE user_id = small.u('north contact')), 'x Bcc: all@evil\.example \{\{case\.number\}\} \{\{me\.name\}\}$', 'A11 and what was typed is not filled in again');
SELECT matches((SELECT body FROM got WHERE user_id = small.u('north contact')), 'Look: \{\{case\.subject\}\}', 'A11 nor in the text');
SELECT matches((SELECT body FROM got WHERE user_id = small.u('north contact')), '^-- Please write above this line --\n\nHello', 'T18 an answer is written above a line, where it comes back');
SELECT is((SELECT row(message_id = format('<%s.%s@mail.small.example>', reply_token, id), thread_id, reply_to, list_unsubscribe)::text FROM got WHERE user_id = small.u('north contact')),
          (SELECT row(true, '<' || r || '@mail.small.example>', 'reply+' || r || '@mail.small.example', format('<https://small.example/u?t=%s>, <mailto:unsubscribe+%s@mail.small.example>', u, u))::text
           FROM (SELECT reply_token, unsubscribe_token FROM got WHERE user_id = small.u('north contact')) t(r, u)), 'A11 header values');
SELECT is((SELECT t::text FROM got, csm_private.mail_token_target(reply_to) t WHERE got.user_id = small.u('north contact')), row(small.tenant(), small.c('north: with paragon'), small.u('north contact'))::text, 'T18 an answer is recognised by its address');
SELECT is((SELECT t::text FROM got, csm_private.mail_token_target('<x@y> ' || upper(message_id)) t WHERE got.user_id = small.u('north contact')), row(small.tenant(), small.c('north: with paragon'), small.u('north contact'))::text, 'T18 and by what it refers to');
SELECT is((SELECT t.user_id FROM got, csm_private.mail_token_target(unsubscribe_token) t WHERE got.user_id = small.u('north contact')), NULL, 'T18 deny: the other token answers nothing');
SELECT is((SELECT t.user_id FROM csm_private.mail_token_target(repeat('0', 40) || ' ' || repeat('f', 41)) t), NULL, 'T18 deny: nor does a guess');
SELECT isnt((SELECT csm_private.mail_token(small.c('north: with paragon'), small.u('north contact'))), (SELECT csm_private.mail_token(small.c('north: with paragon'), small.u('north manager'))), 'T18 a token is one person''s');
SELECT isnt((SELECT csm_private.mail_token(small.c('north: with paragon'), small.u('north contact'))), (SELECT csm_private.mail_token(small.c('north: pump'), small.u('north contact'))), 'T18 and one case''s');
SELECT is((SELECT count(*) FROM csm_private.mail_tokens t, got WHERE t::text LIKE '%' || got.reply_token || '%' OR t::text LIKE '%' || got.unsubscribe_token || '%'), 0::bigint, 'T18 no token is stored in clear');

-- Out and in again: of the answer only what is new becomes a comment.
CREATE FUNCTION pg_temp.answers(tongue text, text_above text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    out record;
    answer jsonb;
BEGIN
    PERFORM pg_temp.from_scratch();
    UPDATE csm.users SET language = tongue WHERE id = small.u('north contact');
    PERFORM pg_temp.says('b2b agent', 'north: with paragon', 'Which pump? ' || tongue, 'shared', 'csm_agent');
    RESET csm.user_id;
    PERFORM pg_temp.time_passes(), pg_temp.fetch();
    SELECT * INTO STRICT out FROM got WHERE user_id = small.u('north contact');
    answer := small.run(small.u('gateway'), 'csm_portal', format('SELECT to_jsonb(r) FROM csm.receive_email(%L) r',
        jsonb_build_object('message_id', format('<%s@home.example>', out.id), 'from', out.recipient, 'to', out.reply_to, 'subject', 'Re: ' || out.subject,
            'text', text_above || E'\nOn Monday we wrote:\n\n' || regexp_replace(out.body, '^', '> ', 'gn'), 'authentication', '{"dmarc": "pass"}'::jsonb)), NULL, true)::jsonb;
    RETURN (answer ->> 'status') || ': ' || (SELECT author_name || ' ' || body FROM csm.case_entries WHERE id = (answer ->> 'entry_id')::bigint);
END $$;
SELECT small.new_user('gateway') \g /dev/null
SELECT csm.allow_mail_gateway(small.u('gateway')) \g /dev/null
SELECT is(pg_temp.answers(v.tongue, v.said), 'commented: north contact ' || v.kept, 'T18 of an answer to a message in ' || v.tongue || ' what is new is kept')
FROM (VALUES ('en', E'The blue one.\n\n', 'The blue one.'), ('de', E'Die blaue.\n\nGruß', E'Die blaue.\n\nGruß'), ('de-AT', 'Die blaue.', 'Die blaue.'), ('fr', E'La bleue\n> et pas la verte', E'La bleue\n> et pas la verte')) v(tongue, said, kept);
SELECT is((SELECT split_part(body, E'\n', 1) FROM got WHERE user_id = small.u('north contact')), '-- Please write above this line --', 'T18 the line is in the language of the message');
SELECT is(pg_temp.answers('de', 'x'), 'commented: north contact x', 'T18 (a message in German)');
SELECT is((SELECT split_part(body, E'\n', 1) FROM got WHERE user_id = small.u('north contact')), '-- Bitte oberhalb dieser Zeile antworten --', 'T18 German for a German one');
UPDATE csm.tenants SET settings = settings || '{"mail_in": {"marker": "== cut here =="}}' WHERE id = small.tenant();
SELECT is(pg_temp.answers('de', 'y'), 'commented: north contact y', 'T18 a tenant''s own line stands for all');
SELECT is((SELECT split_part(body, E'\n', 1) FROM got WHERE user_id = small.u('north contact')), '== cut here ==', 'T18 and is written');
UPDATE csm.tenants SET settings = settings || '{"mail_in": {"marker": ""}}' WHERE id = small.tenant();
SELECT is(pg_temp.answers('en', 'z'), 'commented: north contact z', 'T18 without one the quotation is left out');
SELECT is((SELECT split_part(body, E'\n', 1) FROM got WHERE user_id = small.u('north contact')), 'Hello north contact,', 'T18 and none is written');


-- One that cannot be put together does not hold up the others.
UPDATE csm.cases SET assigned_to = small.u('b2b agent') WHERE id = small.c('north: with paragon');
SELECT pg_temp.from_scratch();
SELECT csm_private.emit(small.tenant(), small.c('north: with paragon'), 'commented');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE channel = 'email'), 2::bigint, 'A11 (two recipients)');
SELECT small.u('north contact') AS victim \gset
BEGIN;
CREATE POLICY tap_breaks ON csm.notifications AS RESTRICTIVE FOR SELECT TO csm_portal USING (user_id <> :victim OR 1 / (id - id) = 1);
SELECT is(pg_temp.fetch(), (SELECT count(*) - 1 FROM csm.notifications WHERE channel = 'email'), 'A11 the others are handed out');
SELECT is((SELECT state || ' ' || error FROM csm.notifications WHERE channel = 'email' AND user_id = small.u('north contact')), 'waiting could not be put together: 22012', 'A11 it is tried again');
ROLLBACK;
SELECT is(pg_temp.fetch(), (SELECT count(*) FROM csm.notifications WHERE channel = 'email'), 'A11 allow: when nothing breaks, all');
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('b2b agent', 'north: with paragon', 'Once more.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes(), pg_temp.fetch();

-- Claim, acknowledge, fail.
SELECT is(pg_temp.fetch(), 0::bigint, 'A11 what is claimed is not handed out again');
UPDATE csm.notifications SET claimed_until = clock_timestamp() WHERE state = 'waiting';
SELECT is(pg_temp.fetch() > 0, true, 'A11 but when its lease is over');
SELECT is((SELECT max(attempts) FROM got), 2, 'A11 a second time');
SELECT is((SELECT csm.acknowledge_notifications(array_agg(id), E'550 no such\nuser') = count(*) FROM got), true, 'A11 a failure is recorded');
SELECT is((SELECT bool_and(error LIKE '550 no such%' AND state = 'waiting' AND claimed_until BETWEEN clock_timestamp() + interval '1 minute 50 s' AND clock_timestamp() + interval '2 minutes') FROM csm.notifications WHERE channel = 'email'), true, 'A11 and tried again, later each time');
UPDATE csm.notifications SET claimed_until = clock_timestamp(), attempts = 9 WHERE state = 'waiting';
SELECT is(pg_temp.fetch() > 0, true, 'A11 (the tenth time)');
SELECT is((SELECT csm.acknowledge_notifications(array_agg(id), 'no') = count(*) FROM got), true, 'A11 (fails too)');
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM csm.notifications WHERE channel = 'email'), 'failed', 'A11 after ten attempts it is given up');
UPDATE csm.notifications SET state = 'waiting', claimed_until = clock_timestamp() WHERE channel = 'email';
SELECT is(pg_temp.fetch(), 0::bigint, 'A11 as is what nobody ever acknowledged');
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM csm.notifications WHERE channel = 'email'), 'failed', 'A11 it is failed');
UPDATE csm.notifications SET state = 'waiting', attempts = 0, claimed_until = NULL, error = NULL WHERE channel = 'email';
SELECT is(csm.acknowledge_notifications(ARRAY(SELECT id FROM csm.notifications)), 0::bigint, 'A11 what was not handed out is not acknowledged');
SELECT is(pg_temp.fetch() = pg_temp.is_sent(), true, 'A11 what was is');
SELECT is(pg_temp.is_sent(), 0::bigint, 'A11 once');
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM csm.notifications WHERE channel = 'email'), 'sent', 'A11 and is sent');
SELECT throws_ok(c, '22023', NULL, 'A11 ' || c) FROM unnest(ARRAY['SELECT csm.next_notifications("limit" => 0)', 'SELECT csm.next_notifications("limit" => 1001)', 'SELECT csm.next_notifications(lease => ''0'')', 'SELECT csm.next_notifications(NULL)']) c;

-- Who sends.
SELECT is(pg_temp.does(p, 'SELECT count(*) FROM csm.next_notifications()', r) || pg_temp.does(p, 'SELECT csm.acknowledge_notifications(''{1}'')', r), 'ERROR 42501ERROR 42501', format('B58 %s fetches nothing', p))
FROM (VALUES ('north contact', 'csm_portal'), ('b2b agent', 'csm_agent'), ('desk admin', 'csm_admin')) x(p, r);
SELECT csm.allow_mail_sender(small.u('stranger'));
UPDATE csm.notifications SET state = 'waiting', attempts = 0, claimed_until = NULL, sent_at = NULL WHERE channel = 'email';
SELECT is(pg_temp.does('stranger', 'SELECT count(*) FROM csm.next_notifications()') <> '0', true, 'B58 allow: the person of the sender does');
SELECT is(pg_temp.does('stranger', format('SELECT csm.acknowledge_notifications(ARRAY[%s])', (SELECT string_agg(id::text, ',') FROM csm.notifications WHERE channel = 'email' AND state = 'waiting'))) <> '0', true, 'B58 allow: and acknowledges');
SELECT is(pg_temp.does('stranger', 'WITH n AS MATERIALIZED (SELECT count(*) AS n FROM csm.next_notifications(lease => ''1 s'')) SELECT csm.current_user_id() = ' || small.u('stranger') || ' FROM n'), 'true', 'V14 and is himself afterwards');
SELECT csm.allow_mail_sender(small.u('stranger'), false);

SELECT is(pg_temp.does(p, 'SELECT count(*) FROM csm.notification_status()', r), 'ERROR 42501', format('V14 how sending goes is not for %s', p)) FROM (VALUES ('north contact', 'csm_portal'), ('b2b agent', 'csm_agent'), ('b2b agent', 'csm_admin')) x(p, r);
SELECT is(pg_temp.does('desk admin', $$SELECT string_agg(concat_ws(' ', channel, state, notifications), ', ') FROM csm.notification_status()$$, 'csm_admin'),
          (SELECT string_agg(x, ', ' ORDER BY x COLLATE "C") FROM (SELECT concat_ws(' ', channel, state, count(*)) AS x FROM csm.notifications GROUP BY channel, state) y), 'V14 allow: an administrator counts');

-- The identity of the caller is what it was.
SELECT is(csm.current_user_id(), NULL, 'V14 the sender is nobody afterwards, as before');
SELECT is(current_user = session_user AND current_setting('role') = 'none', true, 'V14 and under his own role');

-- The inbox.
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('b2b agent', 'north: with paragon', b, 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (comment ' || b || ')') FROM unnest('{one,two,three}'::text[]) b;
SELECT pg_temp.time_passes();
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications()'), '3', 'A11 the inbox');
SELECT matches(pg_temp.does('north contact', 'SELECT string_agg(body, ''|'') FROM csm.my_notifications()'), 'three.*two.*one', 'A11 the newest first, with words');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications(2)') || pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications(before => (SELECT min(id) FROM csm.my_notifications(2)))'), '21', 'A11 in pages');
SELECT is(pg_temp.does('north contact', 'SELECT csm.mark_read(ARRAY(SELECT id FROM csm.my_notifications(1)))'), '1', 'A11 marked as read');
SELECT is(pg_temp.does('north contact', 'SELECT csm.mark_read(ARRAY(SELECT id FROM csm.my_notifications(1)))'), '0', 'A11 once');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.my_notifications(unread => true)'), '2', 'A11 what is unread');
SELECT is(pg_temp.does('north contact', 'SELECT csm.mark_read()'), '2', 'A11 all of it');
SELECT is(pg_temp.does(p, 'SELECT count(*) FROM csm.notifications', r), '0', format('V14 %s sees nobody else''s', p))
FROM (VALUES ('north manager', 'csm_portal'), ('north colleague', 'csm_portal'), ('desk manager', 'csm_agent'), ('stranger', 'csm_portal')) x(p, r);
SELECT is(pg_temp.does('desk manager', format('SELECT csm.mark_read(ARRAY[%s])', (SELECT string_agg(id::text, ',') FROM csm.notifications)), 'csm_agent'), '0', 'V14 nor marks them');
SELECT is(small.run(NULL, r, 'SELECT count(*) FROM csm.notifications'), '0', 'V14 nobody sees none: ' || r) FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.my_notifications()') || small.run(NULL, 'csm_portal', 'SELECT csm.mark_read()'), '00', 'V14 nor by the functions');
SELECT is(split_part(small.run(NULL, 'csm_guest', s), ':', 1), 'ERROR 42501', 'B58 a visitor: ' || s)
FROM unnest('{SELECT count(*) FROM csm.notifications,SELECT count(*) FROM csm.my_notifications(),SELECT csm.mark_read(),SELECT count(*) FROM csm.next_notifications(),SELECT count(*) FROM csm.notification_rules}'::text[]) s;
SELECT is(pg_temp.does('north contact', $$INSERT INTO csm.notifications (user_id, case_id, event_id, kind, channel, audience) VALUES (1, 1, 1, 'x', 'email', 'shared')$$), 'ERROR 42501', 'V14 nobody writes one');
SELECT is(pg_temp.does('north contact', 'SELECT count(*) FROM csm.notification_templates'), 'ERROR 42501', 'V14 the words are the administrators''');

-- Unsubscribing.
SELECT is((SELECT count(*) FROM csm.notification_preferences), 0::bigint, 'A11 (no preference)');
SELECT csm_private.unsubscribe_token(small.u('north contact'), small.tenant(), 'commented', 'email') AS token \gset
SELECT is(small.run(NULL, 'csm_guest', 'SELECT csm.unsubscribe(''guess'')', NULL, true) || small.run(NULL, 'csm_guest', 'SELECT csm.unsubscribe(NULL)', NULL, true), 'acceptedaccepted', 'B58 a guess gets the same answer');
SELECT is((SELECT count(*) FROM csm.notification_preferences), 0::bigint, 'B58 and changes nothing');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.unsubscribe(%L)', :'token'), NULL, true), 'accepted', 'B58 a visitor unsubscribes by the token');
SELECT is((SELECT string_agg(p::text, ',') FROM csm.notification_preferences p), format('(%s,commented,email,%s,f)', small.u('north contact'), small.tenant()), 'B58 from that event and channel');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.unsubscribe(%L)', upper(:'token')), NULL, true), 'accepted', 'B58 again the same');
SELECT is((SELECT count(*) FROM csm.audit_log WHERE kind = 'unsubscribed'), 1::bigint, 'B58 recorded once');
INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES (small.tenant(), small.u('north contact'), 'closed', '*', true), (small.tenant(), small.u('north contact'), 'opened', 'email', true);
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.unsubscribe(%L, true)', :'token'), NULL, true), 'accepted', 'B58 from everything');
SELECT is((SELECT string_agg(e || csm_private.wants_notification(small.u('north contact'), small.tenant(), e, c), ' ' ORDER BY e, c) FROM unnest('{closed,commented,opened,other}'::text[]) e, unnest('{email}'::text[]) c),
          'closedfalse commentedfalse openedfalse otherfalse', 'B58 no mail any more');
SELECT is(csm_private.wants_notification(small.u('north contact'), small.tenant(), 'closed', 'portal'), true, 'B58 the inbox stays');
SELECT is(pg_temp.does('north contact', 'UPDATE csm.notification_preferences SET enabled = true WHERE event = ''*'' RETURNING event'), '*', 'B58 and he can take it back');

-- Tenants.
SELECT is((SELECT count(*) FROM csm.notifications WHERE tenant_id <> small.tenant()), 0::bigint, 'V13 the other tenant has none');
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience)
SELECT tenant_id, user_id, case_id, -2, 'commented', 'email', 'shared' FROM csm.notifications WHERE user_id = small.u('north contact') LIMIT 1;
SELECT csm.allow_mail_sender((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'));
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_portal', 'SELECT count(*) FROM csm.next_notifications()'), '0', 'V13 a sender of another tenant fetches none');
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_portal', format('SELECT csm.acknowledge_notifications(ARRAY[%s])', (SELECT string_agg(id::text, ',') FROM csm.notifications))), '0', 'V13 nor acknowledges any');

-- Against the slow definition: every person is to be told of every case, by mail and in the portal.
DELETE FROM csm.notifications;
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, side, state, sent_at)
SELECT small.tenant(), u.id, c.id, c.id * 10 + a.n, 'commented', w.channel, a.audience, a.side, w.state, CASE w.state WHEN 'sent' THEN now() END
FROM small.named u, small.named c,
     (VALUES (1, 'shared', NULL), (2, 'internal', NULL), (3, 'private', 'customer'), (4, 'private', 'counterparty')) a(n, audience, side),
     (VALUES ('email', 'waiting'), ('portal', 'sent')) w(channel, state)
WHERE u.kind = 'user' AND c.kind = 'case' AND c.id % 9 = 3;
DO $$
BEGIN
    LOOP
        PERFORM FROM csm.next_notifications("limit" => 1000);
        EXIT WHEN NOT EXISTS (SELECT FROM csm.notifications WHERE state = 'waiting' AND attempts = 0);
    END LOOP;
END $$;
CREATE TEMP TABLE seen AS
SELECT u.id AS user_id, x.v::bigint AS notification_id
FROM small.named u, csm_private.role_of_person(u.id, small.tenant()) r(role),
     regexp_split_to_table(small.run(u.id, r.role, 'SELECT string_agg(id::text, '','') FROM csm.notifications WHERE channel = ''portal'''), ',') x(v)
WHERE u.kind = 'user';
-- what csm.explain_access() is made of; which side somebody is on it does not say
CREATE TEMP TABLE due AS
SELECT n.*, (SELECT bool_or('case_read' = ANY (r.actions)) AND (n.audience = 'shared' OR bool_or('case_work' = ANY (r.actions)))
             FROM csm_private.access_reasons(n.tenant_id, n.user_id, n.case_id, NULL, clock_timestamp()) r) AS granted
FROM csm.notifications n;
SELECT is((SELECT count(*) FROM due WHERE channel = 'email' AND audience <> 'private' AND (state = 'waiting') <> coalesce(granted, false)), 0::bigint, 'V10 what is sent is what csm.explain_access() grants');
SELECT is((SELECT count(*) FROM due WHERE channel = 'portal' AND audience <> 'private' AND id IN (SELECT notification_id FROM seen) <> coalesce(granted, false)), 0::bigint, 'V14 what stands in the inbox too');
SELECT is((SELECT count(*) FROM due m JOIN due p USING (user_id, case_id, event_id) WHERE m.channel = 'email' AND p.channel = 'portal' AND (m.state = 'waiting') <> (p.id IN (SELECT notification_id FROM seen))), 0::bigint, 'V10 sent is what is read, of one side''s too');
SELECT is((SELECT count(*) FROM due d JOIN due s USING (user_id, case_id, channel) WHERE d.audience = 'private' AND s.audience = 'shared' AND d.state = 'waiting' AND s.state <> 'waiting'), 0::bigint, 'V10 nothing of one side goes to who does not see the case');
SELECT is((SELECT count(*) FROM seen s JOIN csm.notifications n ON n.id = s.notification_id WHERE n.user_id <> s.user_id), 0::bigint, 'V14 everyone reads his own alone');
SELECT cmp_ok((SELECT count(*) FROM due WHERE channel = 'email' AND state = v), '>', 40::bigint, 'V10 and ' || v || ' are many') FROM unnest('{waiting,withheld}'::text[]) v;

-- Merged, erased, old.
SELECT pg_temp.from_scratch();
SELECT isnt(pg_temp.says('b2b agent', 'north: with paragon', 'For the one who becomes another.', 'shared', 'csm_agent'), 'ERROR 42501', 'A11 (a comment)');
SELECT pg_temp.time_passes();
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience)
SELECT tenant_id, small.u('north colleague'), case_id, event_id, kind, channel, audience FROM csm.notifications WHERE user_id = small.u('north contact') AND channel = 'email';
SELECT lives_ok($$SELECT csm.merge_users(small.u('north colleague'), small.u('north contact'), 'the same')$$, 'A36 (two become one)');
SELECT is((SELECT string_agg(channel, ' ' ORDER BY channel) FROM csm.notifications WHERE user_id = small.u('north colleague')), 'email portal', 'A36 the notifications of both are his, one of each');
SELECT is(pg_temp.fetch(), 1::bigint, 'A36 and are sent to him');
SELECT is((SELECT recipient FROM got), 'north.colleague@small.example', 'A36 at his address');
SELECT lives_ok($$SELECT csm.erase_person(small.u('north colleague'), 'asked')$$, 'A37 (erased)');
SELECT is((SELECT count(*) FROM csm.notifications WHERE user_id = small.u('north colleague')) + (SELECT count(*) FROM csm_private.mail_tokens WHERE user_id = small.u('north colleague')), 0::bigint, 'A37 no notification and no token is left');
SELECT csm_private.emit(small.tenant(), small.c('north: with paragon'), 'escalated');
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications WHERE user_id = small.u('north colleague')), 0::bigint, 'A37 nor is any made');
UPDATE csm.notifications SET created_at = created_at - interval '91 days';
INSERT INTO csm.notifications (tenant_id, user_id, case_id, event_id, kind, channel, audience, created_at) VALUES (small.tenant(), small.u('b2b agent'), small.c('north: with paragon'), -3, 'x', 'email', 'shared', clock_timestamp() - interval '80 days');
SELECT pg_temp.time_passes();
SELECT is((SELECT string_agg(event_id::text, ',') FROM csm.notifications), '-3', 'A37 what is older than 90 days is deleted');
UPDATE csm.tenants SET settings = '{"notifications": {"keep_days": 30}}' WHERE id = small.tenant();
SELECT pg_temp.time_passes();
SELECT is((SELECT count(*) FROM csm.notifications), 0::bigint, 'A37 or than the tenant says');

SELECT * FROM finish();
