-- Mail on its way in (R truth 18): who wrote it, which case it answers, what the sender's rights make of it, what never becomes of it.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

SELECT small.new_user('gateway'), small.new_user('gone', false) \g /dev/null
SELECT csm.allow_mail_gateway(small.u('gateway'));
CREATE SEQUENCE small.mails;

-- A mail from a person of the small world, proven, and what the gateway is told of it.
CREATE FUNCTION small.mail(person text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql
RETURN jsonb_build_object('message_id', format('<%s@mail.example>', nextval('small.mails')), 'from', replace(person, ' ', '.') || '@small.example',
                          'to', 'help@desk.example', 'subject', 'A question', 'text', 'Hello there', 'authentication', '{"dmarc": "pass"}'::jsonb) || more;
CREATE FUNCTION small.hand_over(mail jsonb, role_name text DEFAULT 'csm_portal', caller text DEFAULT 'gateway') RETURNS text LANGUAGE sql
RETURN small.run(small.u(caller), role_name, format('SELECT to_jsonb(r) - ''case_number'' FROM csm.receive_email(%L) r', mail), NULL, true);
CREATE FUNCTION small.outcome(mail jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN t LIKE 'ERROR%' THEN t ELSE concat_ws(' ', t::jsonb ->> 'status', t::jsonb ->> 'reason', (SELECT n.name FROM small.named n WHERE n.kind = 'case' AND n.id = (t::jsonb ->> 'case_id')::bigint)) END
    FROM small.hand_over(mail) t
$$;
CREATE FUNCTION small.token(subject text, person text) RETURNS text LANGUAGE sql RETURN csm_private.mail_token(small.c(subject), small.u(person));
CREATE FUNCTION small.to_token(subject text, person text) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('to', format('help+%s@desk.example', small.token(subject, person)));
CREATE FUNCTION small.last_entry(subject text) RETURNS text LANGUAGE sql
RETURN (SELECT e.author_name || ': ' || e.body FROM csm.case_entries e WHERE e.case_id = small.c(subject) ORDER BY e.id DESC LIMIT 1);
CREATE FUNCTION small.last_log() RETURNS csm.email_log LANGUAGE sql RETURN (SELECT l FROM csm.email_log l ORDER BY l.id DESC LIMIT 1);
CREATE FUNCTION small.setting(given jsonb) RETURNS void LANGUAGE sql AS
$$ UPDATE csm.tenants SET settings = settings || jsonb_build_object('mail_in', given || '{"per_sender": 99999}'::jsonb) WHERE id = small.tenant() $$;
SELECT small.setting('{}');

-- Who hands over.
SELECT is(small.outcome(small.mail('north contact')), 'opened', 'T18 allow: a gateway hands over mail');
SELECT is(small.hand_over(small.mail('north contact'), r, n), 'ERROR 42501: mail is handed over by gateways', format('T18 nobody else: %s as %s', n, r))
FROM (VALUES ('csm_portal', 'north contact'), ('csm_portal', 'north admin'), ('csm_agent', 'desk manager'), ('csm_admin', 'desk admin')) v(r, n);
SELECT matches(small.run(NULL, 'csm_portal', $$SELECT csm.receive_email('{}')$$), '^ERROR 42501', 'V14 nor nobody');
SELECT matches(small.run(small.u('mother'), 'csm_guest', $$SELECT csm.receive_email('{}')$$), '^ERROR 42501', 'V14 nor a visitor');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.allow_mail_gateway(%s)', small.u('desk admin'))), '^ERROR 42501', 'T18 no administrator makes himself one');
SELECT throws_ok('SELECT csm.allow_mail_gateway(900000000000)', '22023', NULL, 'T18 a gateway is somebody');
SELECT csm.allow_mail_sender(small.u('proxy'));
SELECT matches(small.hand_over(small.mail('north contact'), 'csm_agent', 'proxy'), '^ERROR 42501', 'T18 who sends mail does not hand it over');
SELECT matches(small.run(small.u('gateway'), 'csm_portal', $$SELECT csm.receive_email(x) FROM (VALUES ('[]'::jsonb)) v(x)$$), '^ERROR 22023', 'T18 a mail is an object');
SELECT matches(small.run(small.u('gateway'), 'csm_portal', $$SELECT csm.receive_email(NULL)$$), '^ERROR 22023', 'T18 and not null');

-- A new case, with the rights of whoever wrote it.
CREATE TEMP TABLE opened AS
SELECT n.name, (SELECT t FROM small.hand_over(small.mail(n.name, jsonb_build_object('subject', 'New from ' || n.name))) t)::jsonb AS told
FROM unnest('{north contact,all three,paragon partner,mother,employee,student,b2b agent}'::text[]) n(name);
SELECT results_eq($$SELECT o.name, c.branch, u.display_name, p.display_name, a.name, c.channel, c.subject, c.description
                    FROM opened o JOIN csm.cases c ON c.id = (o.told ->> 'case_id')::bigint JOIN csm.users u ON u.id = c.requester_id JOIN csm.users p ON p.id = c.opened_by
                    LEFT JOIN csm.accounts a ON a.id = c.account_id WHERE o.told ->> 'status' = 'opened' ORDER BY o.name$$,
    $$VALUES ('all three', 'b2b', 'all three', 'all three', 'south', 'email', 'New from all three', 'Hello there'),
             ('b2b agent', 'internal', 'b2b agent', 'b2b agent', NULL, 'email', 'New from b2b agent', 'Hello there'),
             ('employee', 'internal', 'employee', 'employee', NULL, 'email', 'New from employee', 'Hello there'),
             ('mother', 'b2c', 'mother', 'mother', NULL, 'email', 'New from mother', 'Hello there'),
             ('north contact', 'b2b', 'north contact', 'north contact', 'north', 'email', 'New from north contact', 'Hello there'),
             ('paragon partner', 'b2b', 'paragon partner', 'paragon partner', 'paragon', 'email', 'New from paragon partner', 'Hello there'),
             ('student', 'internal', 'student', 'student', NULL, 'email', 'New from student', 'Hello there')$$,
    'T18 a contact, partner, consumer, employee, student and agent each open their own case');
SELECT is((SELECT told -> 'entry_id' FROM opened WHERE name = 'mother'), 'null', 'T18 without an entry');
DELETE FROM csm.role_permissions WHERE tenant_id = small.tenant() AND role = 'person' AND action = 'case_create';
SELECT is(small.outcome(small.mail('north reader')), 'refused not_permitted', 'T18 who may open no case opens none by mail');
SELECT is((small.last_log()).status || ' ' || (small.last_log()).body || ' ' || ((small.last_log()).user_id = small.u('north reader')) || ' ' || (small.last_log()).detail LIKE 'refused Hello there true 42501%', true,
          'T18 it is recorded, with its text and the reason');
SELECT is(small.run(small.u('north reader'), 'csm_portal', $$SELECT number FROM csm.open_case('x')$$) LIKE 'ERROR 42501%', true, 'T18 as he opens none in the portal');
INSERT INTO csm.role_permissions (tenant_id, role, action, reach) VALUES (small.tenant(), 'person', 'case_create', 'own');
SELECT is(small.outcome(small.mail('north reader')), 'opened', 'T18 allow: as soon as he may');
SELECT small.setting('{"opens": false}');
SELECT is(small.outcome(small.mail('north contact')), 'refused not_permitted', 'T18 where mail opens no case, nobody');
SELECT small.setting('{}');

-- An answer, by token.
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: pump', 'north contact'))), 'commented north: pump', 'T18 an answer to the address with the token');
SELECT is(small.last_entry('north: pump'), 'north contact: Hello there', 'T18 becomes an entry of his');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object(h, format('<a@b.example> <%s.1@desk.example>', small.token('north: pump', 'north contact'))))), 'commented north: pump', 'T18 by the token in ' || h)
FROM unnest('{in_reply_to,references}'::text[]) h;
SELECT is(small.outcome(small.mail(n, small.to_token(s, n))), 'commented ' || s, format('T18 %s answers on %s', n, s))
FROM (VALUES ('paragon partner', 'north: with partner'), ('mother', 'mother: card'), ('mother', 'son: phone'), ('employee', 'employee: laptop'), ('student', 'student: password'),
             ('globex lawyer', 'dispute: named'), ('b2b agent', 'north: pump'), ('acme admin', 'plant: leak'), ('daughter', 'son: phone')) v(n, s);
SELECT is((SELECT e.side FROM csm.case_entries e WHERE e.case_id = small.c('north: pump') ORDER BY e.id DESC LIMIT 1), 'operator', 'T18 staff answer as staff');
SELECT is((SELECT string_agg(DISTINCT h.action, ',') FROM csm.case_history h WHERE h.case_id = small.c('mother: card') AND h.actor_id = small.u('mother')), 'comment', 'T18 history names the sender');
SELECT is((SELECT count(*) FROM csm.case_history h WHERE h.actor_id = small.u('gateway')), 0::bigint, 'T18 and never the gateway');

-- There and back: what csm sends is answered by who gets it.
UPDATE csm.tenants SET settings = settings || '{"notifications": {"domain": "desk.example"}}' WHERE id = small.tenant();
SELECT small.run(small.u('b2b agent'), 'csm_agent', format('SELECT csm.comment(%s, ''Which valve?'')', small.c('north: valve')), NULL, true) \g /dev/null
RESET csm.user_id;
SELECT csm.run_due(clock_timestamp() + interval '1 hour') \g /dev/null
CREATE TEMP TABLE sent AS SELECT * FROM csm.next_notifications() n WHERE n.case_id = small.c('north: valve') AND n.user_id = small.u('north colleague') AND n.kind = 'commented';
SELECT is((SELECT count(*) FROM sent), 1::bigint, 'T18 the requester gets a notification');
SELECT is(small.outcome(small.mail('north colleague', jsonb_build_object('to', reply_to, 'text', 'The red one'))), 'commented north: valve', 'T18 whose Reply-To leads back') FROM sent;
SELECT is(small.outcome(small.mail('north colleague', jsonb_build_object('in_reply_to', message_id, 'text', 'The red one'))), 'commented north: valve', 'T18 as does its Message-ID') FROM sent;
SELECT is(small.outcome(small.mail('north colleague', jsonb_build_object('references', thread_id, 'text', 'The red one'))), 'commented north: valve', 'T18 or that of its thread') FROM sent;
SELECT is(small.outcome(small.mail('south contact', jsonb_build_object('in_reply_to', message_id, 'text', 'A copy'))), 'refused not_permitted', 'T18 not for who was sent a copy') FROM sent;
SELECT is(small.outcome(small.mail('north colleague', jsonb_build_object('message_id', message_id))), 'ignored loop', 'T18 and sent back it is a loop') FROM sent;

-- Without the right to: refused, recorded, not lost.
CREATE TEMP TABLE entries_before AS SELECT count(*) AS n FROM csm.case_entries;
SELECT is(small.outcome(small.mail(n, small.to_token(s, w))), 'refused not_permitted', format('T18 %s with the mail of %s on %s', n, w, s))
FROM (VALUES ('south contact', 'north: pump', 'north contact'), ('son', 'mother: card', 'mother'), ('north contact', 'north: valve', 'north colleague'), ('globex contact', 'dispute: draft', 'north manager'),
             ('consumer agent', 'north: pump', 'north contact'), ('paragon partner', 'plant: leak', 'plant contact'), ('viewer', 'north: pump', 'b2b agent'), ('north reader', 'north: pump', 'north contact'),
             ('gateway', 'north: pump', 'north contact')) v(n, s, w);
SELECT is((SELECT count(*) FROM csm.case_entries), (SELECT n FROM entries_before), 'T18 nothing was written on any case');
SELECT is((SELECT count(*) FROM csm.email_log WHERE status = 'refused' AND case_id IS NOT NULL AND body = 'Hello there' AND detail IS NOT NULL), 9::bigint, 'T18 each has a row in the log that says on which case');
SELECT is(small.outcome(small.mail('north manager', small.to_token('north: pump', 'north contact'))), 'commented north: pump', 'T18 allow: a colleague who may, with the mail of another');
SELECT is(small.last_entry('north: pump'), 'north manager: Hello there', 'T18 in his own name');
-- What hides a case and what is missing look the same.
SELECT is(small.hand_over(small.mail('south contact', small.to_token('north: pump', 'north contact'))),
          small.hand_over(small.mail('south contact', jsonb_build_object('to', format('help+%s@desk.example', repeat('0a', 20))))), 'V15 a hidden case and a forged token: the same answer');
SELECT is(small.hand_over(small.mail('south contact', small.to_token('north: pump', 'north contact'))),
          '{"reason": "not_permitted", "status": "refused", "case_id": null, "attached": 0, "entry_id": null, "not_attached": 0}', 'V15 which names no case');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('to', format('help+%s@desk.example', overlay(small.token('north: pump', 'north contact') PLACING 'x' FROM 40))))), 'opened', 'T18 what is no token is none');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('to', format('help+%s@desk.example', translate(small.token('north: pump', 'north contact'), '0123456789', '1234567890'))))), 'refused not_permitted', 'T18 a forged token opens nothing');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('in_reply_to', '<0123456789abcdef0123456789abcdef01234567@elsewhere.example>'))), 'opened', 'T18 the id of another system''s mail is no token');

-- An answer to mail that came in before.
SELECT is(small.outcome(small.mail('north contact', '{"message_id": "<first@north.example>", "subject": "Thread"}')), 'opened', 'T18 the first mail of a thread');
INSERT INTO small.named SELECT 'case', 'thread', c.id FROM csm.cases c WHERE c.subject = 'Thread';
SELECT is(small.outcome(small.mail('north contact', '{"in_reply_to": "<first@north.example>", "text": "And more", "message_id": "<second@north.example>"}')), 'commented thread', 'T18 the second is an answer');
SELECT is(small.outcome(small.mail('north manager', '{"references": "<nothing@x.example> <second@north.example>"}')), 'commented thread', 'T18 so is a colleague''s');
SELECT is(small.outcome(small.mail('south contact', '{"in_reply_to": "<first@north.example>"}')), 'opened', 'V15 for who does not see the case it is a mail like any other');
SELECT is(small.outcome(small.mail('south contact', '{"in_reply_to": "<missing@north.example>"}')), 'opened', 'V15 as is one that answers to nothing');

-- By number.
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('subject', 'Re: ' || (SELECT number FROM csm.cases WHERE id = small.c('north: pump')) || ' pump'))), 'commented north: pump', 'T18 a number that he sees');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('subject', lower((SELECT number FROM csm.cases WHERE id = small.c('north: pump')))))), 'commented north: pump', 'T18 in small letters');
SELECT is(small.outcome(small.mail('south contact', jsonb_build_object('subject', (SELECT number FROM csm.cases WHERE id = small.c('north: pump'))))), 'opened', 'V15 a number that he does not see');
SELECT is(small.outcome(small.mail('south contact', '{"subject": "CS9999999"}')), 'opened', 'V15 and one that is not there');
SELECT is(small.outcome(small.mail('north reader', jsonb_build_object('subject', (SELECT number FROM csm.cases WHERE id = small.c('north: pump'))))), 'refused not_permitted', 'T18 who reads a case but may not comment');

-- What the machine says: waiting goes on, closed stays closed.
SELECT is(small.run(small.u('consumer agent'), 'csm_agent', format($$SELECT (csm.act(%s, 'request_info', 'Which card?')).state$$, small.c('mother: card')), NULL, true), 'awaiting_info', 'T18 a case that waits for the customer');
SELECT is(small.outcome(small.mail('mother', small.to_token('mother: card', 'mother'))), 'commented mother: card', 'T18 her answer');
SELECT is((SELECT state FROM csm.cases WHERE id = small.c('mother: card')), 'open', 'T18 takes it up again');
SELECT small.new_case('north: over', 'b2b', 'north contact', 'north', '{}', 'closed') \g /dev/null
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: over', 'north contact'))), 'refused case_closed', 'SM004 an answer on a closed case is refused');
SELECT is((small.last_log()).body, 'Hello there', 'T18 and not lost');
SELECT is(small.outcome(small.mail('south contact', small.to_token('north: over', 'north contact'))), 'refused not_permitted', 'V15 whether it is closed only those learn who see it');
SELECT small.setting('{"closed": "follow_up"}');
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: over', 'north contact'))), 'opened', 'T18 or opens a case that follows up');
SELECT is((SELECT c.subject || ' ' || c.description FROM csm.cases c JOIN csm.case_links l ON l.from_case_id = c.id AND l.to_case_id = small.c('north: over') AND l.kind = 'follow_up'), 'Follow-up: north: over Hello there', 'T18 which is linked');
SELECT is(small.outcome(small.mail('north reader', small.to_token('north: over', 'north reader'))), 'refused not_permitted', 'T18 for who may open one');
SELECT small.setting('{}');

-- Who wrote it.
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('authentication', x))), 'refused unauthenticated', format('T18 From alone proves nobody: %s', x))
FROM (VALUES ('{}'::jsonb), ('null'), ('{"dmarc": "fail"}'), ('{"dmarc": null}'), ('{"spf": "pass", "dkim": "pass"}'), ('{"dmarc": "passport"}')) v(x);
SELECT is((small.last_log()).user_id, NULL, 'T18 the log does not say that he did');
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: pump', 'north contact') || '{"authentication": {}}')), 'refused unauthenticated', 'T18 nor does a token, by default');
SELECT small.setting('{"trust": "token"}');
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: pump', 'north contact') || '{"authentication": {}}')), 'commented north: pump', 'T18 where the tenant is content with it, his own token');
SELECT is(small.outcome(small.mail('north manager', small.to_token('north: pump', 'north contact') || '{"authentication": {}}')), 'refused unauthenticated', 'T18 not that of another');
SELECT is(small.outcome(small.mail('north contact', '{"authentication": {}}')), 'refused unauthenticated', 'T18 nor none');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('authentication', '{}'::jsonb, 'to', repeat('ab', 20)))), 'refused unauthenticated', 'T18 nor a forged one');
SELECT small.setting('{"trust": "any"}');
SELECT is(small.outcome(small.mail('north contact', '{"authentication": {}}')), 'opened', 'T18 where the gateway lets nobody else in');
SELECT small.setting('{}');
SELECT is(small.hand_over(small.mail('nobody at all')), small.hand_over(small.mail('gone')), 'V10 who is disabled looks like who is unknown');
SELECT is(small.outcome(small.mail('nobody at all')), 'refused unknown_sender', 'T18 an unknown address is refused');
SELECT is((small.last_log()).body, 'Hello there', 'T18 and what it wrote is kept');
SELECT is(small.outcome(small.mail('x', jsonb_build_object('from', f))), 'opened', 'T18 an address as people write it: ' || f)
FROM unnest(ARRAY['North.Contact@SMALL.example', '"Contact, North" <north.contact@small.example>', ' North <north.contact@small.example> ', '<north.contact@small.example>']) f;
SELECT is(small.outcome(small.mail('x', jsonb_build_object('from', f))), 'refused malformed', 'T18 not as they forge it: ' || replace(f, E'\n', '\n'))
FROM unnest(ARRAY['north.contact@small.example, mother@small.example', '<north.contact@small.example> <mother@small.example>', E'north.contact@small.example\nBcc: all@x.example', E'A <north.contact@small.example>\r\nX: y',
                  'north.contact@small.example <', 'no address', repeat('a', 400) || '@small.example', 'a b@small.example']) f;
SELECT small.new_user('old self') \g /dev/null
SELECT csm_private.merge_users(small.u('mother'), small.u('old self'), 'one human', NULL);
SELECT is(small.outcome(small.mail('old self', small.to_token('mother: card', 'mother'))), 'commented mother: card', 'T18 the address of before two persons were made one');
SELECT is(small.last_entry('mother: card'), 'mother: Hello there', 'T18 is his who remained');
UPDATE csm.contacts SET login_enabled = false WHERE user_id = small.u('north colleague');
SELECT is(small.outcome(small.mail('north colleague', small.to_token('north: valve', 'north colleague'))), 'refused not_permitted', 'V10 a contact whose login is disabled has nothing by mail either');
SELECT is(small.outcome(jsonb_set(small.mail('x'), '{from}', '"admin@foreign.example"')), 'refused unknown_sender', 'V15 somebody of another tenant is unknown');

-- Nobody wrote it.
CREATE TEMP TABLE cases_before AS SELECT count(*) AS n FROM csm.cases;
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: pump', 'north contact') || jsonb_build_object('headers', jsonb_build_object(h, v)))), 'ignored ' || r, format('T18 %s: %s', h, v))
FROM (VALUES ('Auto-Submitted', 'auto-replied', 'auto_submitted'), ('auto-submitted', 'auto-generated; owner-email="a@b.example"', 'auto_submitted'), ('Precedence', 'bulk', 'auto_submitted'), ('Precedence', ' Junk ', 'auto_submitted'),
             ('X-Autoreply', 'yes', 'auto_submitted'), ('X-Auto-Response-Suppress', 'All', 'auto_submitted'), ('List-Id', '<l.example>', 'mailing_list'), ('Precedence', 'list', 'mailing_list'), ('X-Loop', 'desk', 'loop'),
             ('Return-Path', '<>', 'bounce'), ('Content-Type', 'multipart/report; report-type=delivery-status', 'bounce')) v(h, v, r);
SELECT is(small.outcome(small.mail('x', jsonb_build_object('from', f))), 'ignored bounce', format('T18 from %s', coalesce(f, 'nobody'))) FROM unnest(ARRAY['', '<>', NULL, 'MAILER-DAEMON@mx.example', 'Postmaster <postmaster@mx.example>']) f;
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('message_id', format('<%s@desk.example>', small.token('north: pump', 'north contact'))))), 'ignored loop', 'T18 what csm itself sent comes back');
SELECT is((small.last_log()).body, NULL, 'T18 nothing of these is kept');
SELECT is((SELECT count(*) FROM csm.cases), (SELECT n FROM cases_before), 'T18 and none of them opened a case');
SELECT is(small.outcome(small.mail('north contact', '{"headers": {"Auto-Submitted": "no", "Precedence": "first-class", "Return-Path": "<north.contact@small.example>"}}')), 'opened', 'T18 allow: a person''s mail has headers too');
UPDATE csm.tenants SET settings = jsonb_set(settings, '{mail_in,per_sender}', '3') WHERE id = small.tenant();
SELECT is((SELECT string_agg(small.outcome(small.mail('holding contact')), ',' ORDER BY i) FROM generate_series(1, 4) i), 'opened,opened,opened,refused too_many', 'T18 no more of one sender in an hour than the tenant takes');
SELECT is(small.outcome(small.mail('acme contact')), 'opened', 'T18 others are not concerned');
SELECT is((SELECT string_agg(small.outcome(small.mail('plant contact', '{"authentication": {}}')), ',' ORDER BY i) FROM generate_series(1, 4) i), 'refused unauthenticated,refused unauthenticated,refused unauthenticated,refused too_many', 'T18 in his name somebody else');
SELECT is(small.outcome(small.mail('plant contact')), 'opened', 'T18 uses up none of his');
SELECT small.setting('{}');

-- The same mail again.
CREATE TEMP TABLE twice AS SELECT small.mail('north contact', small.to_token('north: pump', 'north contact')) AS mail;
CREATE TEMP TABLE told AS SELECT small.hand_over(mail) AS first, NULL::text AS second FROM twice;
UPDATE told SET second = small.hand_over((SELECT mail FROM twice));
SELECT is((SELECT second FROM told), (SELECT first FROM told), 'T18 the same mail twice: the same answer');
SELECT is((SELECT count(*) FROM csm.case_entries e WHERE e.id = (SELECT (first::jsonb ->> 'entry_id')::bigint FROM told)), 1::bigint, 'T18 which is an entry');
SELECT is((SELECT count(*) FROM csm.email_log l WHERE l.message_id = (SELECT mail ->> 'message_id' FROM twice)), 1::bigint, 'T18 and a row');
SELECT is(small.hand_over(mail || '{"text": "another"}'), (SELECT first FROM told), 'T18 whatever it says then') FROM twice;
SELECT is(small.outcome(m), 'refused unknown_sender', 'T18 a refusal too') FROM small.mail('nobody here') m, generate_series(1, 2);
SELECT is((SELECT count(*) FROM csm.email_log WHERE from_address = 'nobody.here@small.example'), 1::bigint, 'T18 once');

-- What headers and texts bring along.
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('message_id', m))), 'refused malformed', format('T18 message_id %L', left(m, 30)))
FROM unnest(ARRAY[NULL, '', 'x', '<a b@c.example>', E'<a@b.example>\nBcc: x', '<' || repeat('a', 1000) || '>', '<a><b>']) m;
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object(k, v))), 'refused ' || r, format('T18 %s of another type or size', k))
FROM (VALUES ('subject', '{}'::jsonb, 'malformed'), ('text', '[]', 'malformed'), ('from', '7', 'malformed'), ('headers', '[]', 'malformed'), ('authentication', '"pass"', 'malformed'), ('attachments', '{}', 'malformed'),
             ('text', to_jsonb(repeat('x', 1000001)), 'too_large'), ('references', to_jsonb(repeat('<a@b.example> ', 2000)), 'too_large'), ('attachments', (SELECT jsonb_agg('{}'::jsonb) FROM generate_series(1, 101)), 'too_large')) v(k, v, r);
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('subject', E'Pump\r\n broken\u202E\u200B \u0007now\u2066', 'text', E'One\r\ntwo\u202Ethree\u0007\n'))), 'opened', 'T18 control and direction characters');
SELECT is((SELECT subject || '|' || description FROM csm.cases ORDER BY id DESC LIMIT 1), E'Pump broken now|One\ntwothree', 'T18 are taken out');
SELECT is(small.outcome(small.mail('north contact', jsonb_build_object('subject', repeat('s', 3000), 'text', repeat('t', 200000)))), 'opened', 'T18 what is too long');
SELECT is((SELECT length(subject) || ' ' || length(description) FROM csm.cases ORDER BY id DESC LIMIT 1), '400 100000', 'T18 is cut');
SELECT is(small.outcome(small.mail('north contact', '{"subject": null, "text": null}')), 'opened', 'T18 no subject, no text');
SELECT is((SELECT subject || coalesce(description, '|') FROM csm.cases ORDER BY id DESC LIMIT 1), '(no subject)|', 'T18 is a case all the same');
SELECT is(csm_private.mail_reply(given, csm_private.mail_markers(small.tenant(), 'en')), wanted, 'T18 what he wrote himself: ' || what)
FROM (VALUES ('plain', E'Yes\nplease', E'Yes\nplease'),
             ('above the marker', E'Yes\n\nOn Monday the desk wrote:\n> -- Please write above this line --\n> Which?', 'Yes'),
             ('above a bare marker', E'Yes\n-- Please write above this line --\nold', 'Yes'),
             ('above the German one', E'Ja\n\nAm Montag schrieb der Service:\n> -- Bitte oberhalb dieser Zeile antworten --\n> Welche?', 'Ja'),
             ('above the first of two', E'Ja\n> -- Please write above this line --\n> Which?\n>> -- Bitte oberhalb dieser Zeile antworten --', 'Ja'),
             ('above the first of two, the other way round', E'Ja\n> -- Bitte oberhalb dieser Zeile antworten --\n> Welche?\n>> -- Please write above this line --', 'Ja'),
             ('nothing above it', E'-- Please write above this line --\nold', ''),
             ('without the quotation', E'Yes\n\nOn Monday the desk wrote:\n> Which?\n>\n> Regards\n\n', 'Yes'),
             ('quotations between stay', E'> Which?\nThe blue one', E'> Which?\nThe blue one'),
             ('a colon without a quotation stays', E'My number:', 'My number:'),
             ('nothing', E'> Which?\n', '')) v(what, given, wanted);
SELECT is(small.outcome(small.mail('north contact', small.to_token('north: pump', 'north contact') || '{"text": "> Which?\n> x"}')), 'refused empty', 'T18 a quotation alone is no answer');

-- Attachments, with his rights and limits.
UPDATE csm.tenants SET settings = settings || '{"max_attachment_bytes": 10}' WHERE id = small.tenant();
SELECT is((r ->> 'attached') || ' ' || (r ->> 'not_attached'), '2 4', 'T18 attachments: taken and left out')
FROM (SELECT small.hand_over(small.mail('north contact', small.to_token('north: pump', 'north contact') || jsonb_build_object('text', '> quoted', 'attachments', jsonb_build_array(
    jsonb_build_object('file_name', '../../etc/a.txt', 'media_type', 'text/plain', 'content', encode('hello', 'base64')), jsonb_build_object('url', 'https://files.example/x'),
    jsonb_build_object('file_name', 'large', 'content', encode('hello hello', 'base64')), jsonb_build_object('file_name', 'b', 'content', '***'), jsonb_build_object('url', 'file:///etc/passwd'), '"text"'::jsonb))))::jsonb AS r) x;
SELECT results_eq($$SELECT a.file_name, a.size, e.body, u.display_name FROM csm.attachments a JOIN csm.case_entries e ON e.id = a.entry_id JOIN csm.users u ON u.id = a.author_id WHERE a.case_id = small.c('north: pump') ORDER BY a.id$$,
    $$VALUES ('a.txt', 5::bigint, '[no text]', 'north contact'), ('attachment', NULL, '[no text]', 'north contact')$$, 'T18 they belong to the entry and to the sender');
SELECT is(small.outcome(small.mail('mother')), 'opened', 'B44 a consumer''s mails');
SELECT small.run(small.u('mother'), 'csm_portal', $$SELECT csm.open_case('case ' || i) FROM generate_series(1, 8) i$$, NULL, true) \g /dev/null
SELECT matches(small.run(small.u('mother'), 'csm_portal', $$SELECT count(csm.open_case('case ' || i)) FROM generate_series(1, 8) i$$, NULL, true), '^[78E]', 'B44 count among the cases of a day');
UPDATE csm.tenants SET settings = settings || '{"quotas": {"cases_per_day": 1}}' WHERE id = small.tenant();
SELECT is(small.outcome(small.mail('mother')), 'refused quota', 'SM007 one too many is refused');
SELECT is((small.last_log()).body, 'Hello there', 'T18 and not lost');

-- Who reads the log.
SELECT cmp_ok(small.run(small.u('desk admin'), r, 'SELECT count(*) FROM csm.email_log')::bigint, '>', 50::bigint, 'T18 administrators read the log: ' || r) FROM unnest('{csm_agent,csm_admin}'::text[]) r;
SELECT is(small.run(small.u(n), 'csm_agent', 'SELECT count(*) FROM csm.email_log'), '0', 'T18 other staff do not: ' || n) FROM unnest('{b2b agent,viewer,consumer agent,proxy}'::text[]) n;
SELECT matches(small.run(small.u(n), r, 'SELECT count(*) FROM csm.email_log'), '^ERROR 42501', format('T18 nor %s as %s', n, r)) FROM (VALUES ('north admin', 'csm_portal'), ('gateway', 'csm_portal'), ('desk admin', 'csm_reporter')) v(n, r);
SELECT is(small.run(NULL, 'csm_admin', 'SELECT count(*) FROM csm.email_log'), '0', 'V14 nobody reads nothing');
SELECT is(small.run((SELECT id FROM csm.users WHERE email = 'admin@foreign.example'), 'csm_admin', 'SELECT count(*) FROM csm.email_log'), '0', 'V15 nor another tenant');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', 'UPDATE csm.email_log SET body = NULL'), '^ERROR 42501', 'T18 nobody changes it');

-- What waits for staff.
SELECT small.setting('{"unknown": "queue"}');
SELECT is(small.outcome(small.mail('somebody new')), 'queued unknown_sender', 'T18 an unknown sender may be left to staff');
SELECT is(small.outcome(small.mail('gone')), 'queued unknown_sender', 'V10 a disabled one likewise');
SELECT is(small.outcome(small.mail('somebody new', '{"authentication": {}}')), 'refused unauthenticated', 'T18 but not who is not proven');
CREATE FUNCTION small.queued() RETURNS bigint LANGUAGE sql RETURN (SELECT min(id) FROM csm.email_log WHERE status = 'queued' AND settled_at IS NULL);
SELECT is(small.run(small.u('desk manager'), 'csm_agent', 'SELECT string_agg(DISTINCT status, '','') FROM csm.email_log'),
          CASE WHEN small.run(small.u('desk manager'), 'csm_agent', format('SELECT csm.all_in(%s, ''internal'', ''person_manage'')', small.tenant())) = 'true' THEN 'queued' END, 'T18 staff who keep people see what waits, and nothing else');
SELECT matches(small.run(small.u(n), 'csm_agent', format('SELECT csm.settle_email(%s)', small.queued())), '^ERROR 42501: no mail', 'T18 others settle none: ' || n) FROM unnest('{b2b agent,viewer}'::text[]) n;
SELECT is(small.run(small.u('viewer'), 'csm_agent', format('SELECT csm.settle_email(%s)', small.queued())), replace(small.run(small.u('viewer'), 'csm_agent', 'SELECT csm.settle_email(900000000000)'), '900000000000', small.queued()::text), 'V15 hidden and missing: the same words');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.settle_email(%s, 900000000000)', small.queued())), '^ERROR SM001', 'SM001 with a case on which one works');
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.settle_email(%s)', (SELECT min(id) FROM csm.email_log WHERE status = 'refused'))), '^ERROR 42501', 'T18 what was refused stays so');
CREATE TEMP TABLE waiting AS SELECT small.queued() AS id;
SELECT is(small.run(small.u('desk admin'), 'csm_admin', format('SELECT (csm.settle_email(%s)).settled_by', id), NULL, true), small.u('desk admin')::text, 'T18 allow: an administrator') FROM waiting;
SELECT matches(small.run(small.u('desk admin'), 'csm_admin', format('SELECT csm.settle_email(%s)', id)), '^ERROR 55000', 'T18 once') FROM waiting;
SELECT small.setting('{}');
SELECT throws_ok(format($$UPDATE csm.tenants SET settings = settings || '{"mail_in": %s}' WHERE id = small.tenant()$$, s), '23514', NULL, 'T18 a setting that means nothing: ' || s)
FROM unnest(ARRAY['7', '{"trust": "spf"}', '{"per_sender": 0}', '{"opens": "yes"}', '{"other": 1}', '{"unknown": "open"}']) s;

-- Kept as long as the tenant says, and erased with the person.
RESET csm.user_id;
UPDATE csm.tenants SET settings = settings || '{"retention": {"mail_days": 30}}' WHERE id = small.tenant();
SELECT is(small.outcome(small.mail('acme contact', '{"received_at": "2020-01-01 00:00+00", "message_id": "<old@acme.example>"}')), 'opened', 'T18 a mail of long ago');
SELECT is(small.outcome(small.mail('acme contact', '{"received_at": "nonsense"}')), 'opened', 'T18 when it came is not what the mail says');
SELECT is((SELECT max(received_at) <= clock_timestamp() FROM csm.email_log), true, 'T18 never in the future');
RESET csm.user_id;
SELECT results_eq($$SELECT kind, erased FROM csm.run_retention() WHERE tenant_id = small.tenant()$$, $$VALUES ('mail', 1::bigint)$$, 'D7 retention deletes what is old enough');
SELECT is((SELECT count(*) FROM csm.email_log WHERE message_id = '<old@acme.example>'), 0::bigint, 'D7 that mail');
INSERT INTO csm.email_log (tenant_id, message_id, from_address, status, received_at, user_id) VALUES (small.tenant(), '<held@acme.example>', 'x@y.example', 'refused', '2020-01-01', small.u('acme contact'));
INSERT INTO csm.legal_holds (tenant_id, user_id, reason) VALUES (small.tenant(), small.u('acme contact'), 'court');
SELECT results_eq($$SELECT kind, erased FROM csm.run_retention() WHERE tenant_id = small.tenant()$$, $$VALUES ('mail', 0::bigint)$$, 'D7 not what a legal hold keeps');
SELECT cmp_ok((SELECT count(*) FROM csm.email_log WHERE user_id = small.u('mother')), '>', 0::bigint, 'D7 mails of a person');
SELECT is(small.outcome(small.mail('mother', '{"authentication": {}}')), 'refused unauthenticated', 'D7 and one in her name');
RESET csm.user_id;
SELECT csm.erase_person(small.u('mother'), 'asked') \g /dev/null
SELECT is((SELECT count(*) FROM csm.email_log WHERE user_id = small.u('mother') OR from_address = 'mother@small.example'), 0::bigint, 'D7 go with her');
SELECT * FROM finish();
ROLLBACK;
