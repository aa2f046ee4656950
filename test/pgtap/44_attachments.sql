-- Attachments: who may attach what to which case, what is kept, who sees it, limits, and that it stays as it was.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION small.does(person text, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text := small.run(small.u(person), role_name, statement, NULL, true);
BEGIN
    IF answer LIKE 'ERROR%' THEN
        RAISE EXCEPTION '%: %', statement, answer;
    END IF;
    RETURN answer;
END $$;
-- The SQLSTATE of an attempt, or "done"; nothing stays.
CREATE FUNCTION small.tries(person text, role_name text, statement text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(substring(small.run(small.u(person), role_name, statement) FROM '^ERROR ([0-9A-Z]{5})'), 'done')
$$;
SELECT small.does('north contact', 'csm_portal', $$SELECT (csm.open_case('broken pump')).id$$) AS pump \gset
SELECT small.does('b2b agent', 'csm_agent', format('UPDATE csm.cases SET needs_attention = false WHERE id = %s RETURNING ''done''', :pump));

-- What is kept.
SELECT small.does('north contact', 'csm_portal', format('SELECT (csm.attach(%s, ''C:\tmp\pump.JPG'', ''Image/JPEG; q=1'', ''\xffd8ff00'')).id', :pump)) AS photo \gset
SELECT is((SELECT (case_id, entry_id, author_id, author_name, visibility, side, file_name, media_type, size, sha256, url)::text FROM csm.attachments WHERE id = :photo),
          ROW(:pump::bigint, NULL::bigint, small.u('north contact'), 'north contact', 'shared', 'customer', 'pump.JPG', 'image/jpeg', 4::bigint, sha256('\xffd8ff00'), NULL::text)::text,
          'A7 attachment: name without path, type without parameters, size and SHA-256 of what came');
SELECT is((SELECT content FROM csm.attachment_contents WHERE attachment_id = :photo), '\xffd8ff00', 'A7 attachment: the content');
SELECT is((SELECT needs_attention FROM csm.cases WHERE id = :pump), true, 'A7 attachment: the case needs attention');
SELECT is((SELECT (h.action, h.actor_name, h.relation, h.audience, h.payload -> 'needs_attention', h.payload -> 'attachment.sha256')::text FROM csm.case_history h WHERE h.case_id = :pump ORDER BY seq DESC LIMIT 1),
          ROW('attach', 'north contact', 'requester, customer', 'shared', '[false, true]'::jsonb, jsonb_build_array(NULL, encode(sha256('\xffd8ff00'), 'hex')))::text, 'A7 attachment: one link of history');
SELECT is((SELECT (e.kind, e.audience, e.payload)::text FROM csm.events e WHERE e.case_id = :pump ORDER BY id DESC LIMIT 1),
          ROW('attached', 'shared', jsonb_build_object('attachment_id', :photo))::text, 'A7 attachment: an event');
SELECT small.does('b2b agent', 'csm_agent', format('SELECT csm.act(%s, %L, ''Which?'')', :pump, a)) FROM unnest('{take,request_info}'::text[]) a;
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''again.txt'', content => '''')', :pump));
SELECT is((SELECT state FROM csm.cases WHERE id = :pump), 'awaiting_info', 'R2.2 an attachment answers no question');
SELECT is((SELECT (file_name, media_type, size)::text FROM csm.attachments WHERE case_id = :pump ORDER BY id DESC LIMIT 1), '(again.txt,application/octet-stream,0)', 'A7 attachment: an empty file, of no known type');
SELECT small.does('north contact', 'csm_portal', format('SELECT (csm.attach(%s, ''film.mp4'', ''video/mp4'', url => ''https://files.example/1'', size => 5000000000, sha256 => sha256(''x''))).id', :pump)) AS film \gset
SELECT is((SELECT (a.url, a.size, a.sha256, (SELECT count(*) FROM csm.attachment_contents t WHERE t.attachment_id = a.id))::text FROM csm.attachments a WHERE id = :film),
          ROW('https://files.example/1', 5000000000::bigint, sha256('x'), 0::bigint)::text, 'A7 attachment: one that is kept elsewhere');
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''abc'', size => 3, sha256 => sha256(''abc''))', :pump)), 'done', 'A7 attachment: size and SHA-256 that agree');

-- Names.
SELECT is(csm_private.file_name(given), kept, 'A7 attachment: the name ' || to_json(left(given, 40)))
FROM (VALUES ('invoice.pdf', 'invoice.pdf'), ('/etc/passwd', 'passwd'), ('..\..\boot.ini', 'boot.ini'), ('../..', NULL), ('...', NULL), ('', NULL), (E'a\nb\tc.txt', 'abc.txt'),
             (E'photo\u202Egnp.exe', 'photognp.exe'), (E'\u200Bx\uFEFF.txt', 'x.txt'), (' .hidden. ', 'hidden'), ('a:b*?"<>|.txt', 'a_b______.txt'), ('Übersicht 日本.pdf', 'Übersicht 日本.pdf'),
             ('a/', NULL), (repeat('x', 300) || '.pdf', repeat('x', 251) || '.pdf'), (E'x/\u0001', NULL)) v(given, kept);

-- What is refused.
SELECT is(small.tries(person, role_name, format(statement, :pump, small.c('north: valve'))), expected, format('%s attachment: %s', CASE expected WHEN 'SM001' THEN 'SM001' ELSE 'A7' END, what))
FROM (VALUES ('no case', 'north contact', 'csm_portal', 'SELECT csm.attach(987654321, ''a'', content => ''x'')', 'SM001'),
             ('a hidden case', 'north contact', 'csm_portal', 'SELECT csm.attach(%2$s, ''a'', content => ''x'')', 'SM001'),
             ('to the case of another account', 'umbrella admin', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'')', 'SM001'),
             ('by one who may only read', 'north reader', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'')', '42501'),
             ('by one who may comment', 'north manager', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'')', 'done'),
             ('by a viewer', 'viewer', 'csm_agent', 'SELECT csm.attach(%1$s, ''a'', content => ''x'')', '42501'),
             ('by an agent', 'b2b agent', 'csm_agent', 'SELECT csm.attach(%1$s, ''a'', content => ''x'')', 'done'),
             ('no name', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, NULL, content => ''x'')', '22004'),
             ('a name of nothing', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''../..'', content => ''x'')', '22023'),
             ('neither content nor url', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'')', '22023'),
             ('both content and url', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'', url => ''https://x.example'')', '22023'),
             ('an address that runs', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', url => ''javascript:alert(1)'')', '22023'),
             ('an address with a blank', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', url => ''https://x.example/a b'')', '22023'),
             ('a media type that is none', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', ''<script>'', ''x'')', '22023'),
             ('another size than came', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'', size => 2)', '22023'),
             ('another SHA-256 than came', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', content => ''x'', sha256 => sha256(''y''))', '22023'),
             ('a SHA-256 that is none', 'north contact', 'csm_portal', 'SELECT csm.attach(%1$s, ''a'', url => ''https://x.example'', sha256 => ''\x00'')', '22023'),
             ('a plain INSERT', 'north contact', 'csm_portal', 'INSERT INTO csm.attachments (case_id, author_name, side, file_name, size, sha256) VALUES (%1$s, ''x'', ''customer'', ''x'', 0, sha256('''')) RETURNING id', '42501'),
             ('a plain INSERT of staff', 'b2b agent', 'csm_agent', 'INSERT INTO csm.attachment_contents (attachment_id, content) VALUES (1, '''') RETURNING 1', '42501')) v(what, person, role_name, statement, expected);
SELECT is(small.run(NULL, 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''x'')', :pump)) ~ '^ERROR SM001', true, 'V14 nobody attaches');

-- Limits: of the case type, else of the tenant.
UPDATE csm.tenants SET settings = settings || '{"max_attachments": 4, "max_attachment_bytes": 10}' WHERE key = 'small';
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''0123456789'')', :pump)), 'done', 'SM007 attachment: as many as the tenant allows');
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''0123456789a'')', :pump)), '22023', 'A7 attachment: larger than the tenant allows');
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''0'')', :pump));
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''0'')', :pump)), 'SM007', 'SM007 attachment: more than the tenant allows');
UPDATE csm.case_types SET settings = settings || '{"max_attachments": 5, "max_attachment_bytes": 20}' WHERE tenant_id = small.tenant() AND case_type = 'case';
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''a'', content => ''0123456789a'')', :pump)), 'done', 'A7 attachment: the case type''s limits go before the tenant''s');

SELECT is(small.run(small.u('stranger'), 'csm_portal', format('SELECT count(csm.attach(%s, ''a'', content => ''0'')) FROM generate_series(1, %s)', small.c('stranger: refund'), n)), expected, format('B44 %s attachments of a consumer', n))
FROM (VALUES (5, '5')) v(n, expected);
SELECT is(small.tries('stranger', 'csm_portal', format('SELECT count(csm.attach(%s, ''a'', content => ''0'')) FROM generate_series(1, 6)', small.c('stranger: refund'))), 'SM007', 'B44 no more');

-- Entries: seen as they are.
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.comment(%s, ''look'', ''internal'')).id', :pump)) AS note \gset
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.attach(%s, ''log.txt'', ''text/plain'', ''secret'', entry_id => %s)).id', :pump, :note)) AS log \gset
SELECT is(small.tries('b2b agent', 'csm_agent', format('SELECT csm.attach(%s, ''a'', content => ''0'', entry_id => %s)', :pump, :note)), 'SM007', 'SM007 attachment: those of entries count');
UPDATE csm.case_types SET settings = settings - 'max_attachments' WHERE tenant_id = small.tenant() AND case_type = 'case';
UPDATE csm.tenants SET settings = settings - 'max_attachments' WHERE key = 'small';
SELECT small.does('b2b agent', 'csm_agent', format('SELECT (csm.comment(%s, ''fine'')).id', :pump)) AS said \gset
SELECT is(small.tries(person, role_name, format('SELECT csm.attach(%s, ''a'', content => ''0'', entry_id => %s)', of_case, entry)), expected, 'A7 attachment: ' || what)
FROM (VALUES ('to one''s own entry', 'b2b agent', 'csm_agent', :pump, :said, 'done'),
             ('to an entry of another', 'north contact', 'csm_portal', :pump, :said, '42501'),
             ('to a hidden entry', 'north contact', 'csm_portal', :pump, :note, '42501'),
             ('to no entry', 'north contact', 'csm_portal', :pump, 987654321, '42501'),
             ('to an entry of another case', 'b2b agent', 'csm_agent', small.c('north: pump'), :said, '42501')) v(what, person, role_name, of_case, entry, expected);
SELECT is(small.run(small.u('north contact'), 'csm_portal', replace(s, '@', :note::text)), replace(small.run(small.u('north contact'), 'csm_portal', replace(s, '@', '987654321')), '987654321', :note::text),
          'V15 attachment: a hidden entry and none are told alike') FROM (VALUES (format('SELECT csm.attach(%s, ''a'', content => ''0'', entry_id => @)', :pump))) v(s);
SELECT small.does('globex manager', 'csm_portal', format('SELECT (csm.comment(%s, ''ours'', ''private'')).id', small.c('dispute: globex'))) AS theirs \gset
SELECT small.does('globex manager', 'csm_portal', format('SELECT (csm.attach(%s, ''plan.txt'', content => ''plan'', entry_id => %s)).id', small.c('dispute: globex'), :theirs)) AS plan \gset
SELECT small.does('north manager', 'csm_portal', format('SELECT (csm.attach(%s, ''proof.txt'', content => ''proof'')).id', small.c('dispute: globex'))) AS proof \gset
SELECT is((SELECT (visibility, side)::text FROM csm.attachments WHERE id = :plan), '(private,counterparty)', 'V8 attachment: as its entry');
SELECT is(small.run(small.u(person), role_name, format('SELECT (SELECT count(*) FROM csm.attachments WHERE id = %1$s) || '' '' || (SELECT count(*) FROM csm.attachment_contents WHERE attachment_id = %1$s)'
                                                       ' || '' '' || (SELECT count(*) FROM csm.case_history WHERE payload @> ''{"attachment.id": [%1$s]}'')', id)),
          CASE WHEN sees THEN '1 1 1' ELSE '0 0 0' END, format('V8 attachment: %s for %s', what, person))
FROM (VALUES (:photo, 'of a case', 'north contact', 'csm_portal', true), (:photo, 'of a case', 'north manager', 'csm_portal', true), (:photo, 'of a case', 'north colleague', 'csm_portal', false),
             (:photo, 'of a case', 'umbrella admin', 'csm_portal', false), (:photo, 'of a case', 'b2b agent', 'csm_agent', true), (:photo, 'of a case', 'viewer', 'csm_agent', true),
             (:photo, 'of a case', 'consumer agent', 'csm_agent', false),
             (:log, 'of a work note', 'b2b agent', 'csm_agent', true), (:log, 'of a work note', 'north contact', 'csm_portal', false), (:log, 'of a work note', 'viewer', 'csm_agent', false),
             (:plan, 'of a private entry', 'globex manager', 'csm_portal', true), (:plan, 'of a private entry', 'globex reader', 'csm_portal', true), (:plan, 'of a private entry', 'north manager', 'csm_portal', false),
             (:plan, 'of a private entry', 'b2b agent', 'csm_agent', true), (:plan, 'of a private entry', 'initech contact', 'csm_portal', false),
             (:proof, 'of a dispute', 'globex manager', 'csm_portal', true), (:proof, 'of a dispute', 'north manager', 'csm_portal', true), (:proof, 'of a dispute', 'umbrella admin', 'csm_portal', false)) v(id, what, person, role_name, sees);
SELECT is(small.run(NULL, 'csm_portal', 'SELECT (SELECT count(*) FROM csm.attachments) + (SELECT count(*) FROM csm.attachment_contents)'), '0', 'V14 nobody sees no attachment');

-- They stay.
SELECT throws_ok(s, '42501', NULL, 'A7 attachment: refused to a superuser: ' || s)
FROM unnest(ARRAY['UPDATE csm.attachments SET file_name = file_name', 'DELETE FROM csm.attachments', 'TRUNCATE csm.attachments CASCADE',
                  'UPDATE csm.attachment_contents SET content = content', 'DELETE FROM csm.attachment_contents', 'TRUNCATE csm.attachment_contents']) s;
CREATE FUNCTION pg_temp.tamper(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    EXECUTE statement;
    PERFORM set_config('session_replication_role', 'origin', true);
    SELECT CASE WHEN v.intact THEN 'intact' ELSE v.broken_case_id || '|' || v.what END INTO answer FROM csm.verify_history() v;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN answer;
END $$;
SELECT is(pg_temp.tamper('SELECT 1'), 'intact', 'D5 history: intact with attachments');
SELECT is(pg_temp.tamper(format(s, :photo)), format('%s|%s', :pump, format(what, :photo)), 'D5 history: found: ' || what)
FROM (VALUES ('UPDATE csm.attachment_contents SET content = ''\xffd8ff01'' WHERE attachment_id = %s', 'content of attachment %s was changed'),
             ('DELETE FROM csm.attachment_contents WHERE attachment_id = %s', 'content of attachment %s is missing'),
             ('UPDATE csm.attachments SET file_name = ''other'' WHERE id = %s', 'attachment %s was changed'),
             ('UPDATE csm.attachments SET visibility = ''internal'' WHERE id = %s', 'attachment %s was changed'),
             ('UPDATE csm.attachments SET author_id = NULL WHERE id = %s', 'attachment %s was changed'),
             ('WITH c AS (DELETE FROM csm.attachment_contents WHERE attachment_id = %1$s) DELETE FROM csm.attachments WHERE id = %1$s', 'attachment %s is missing')) v(s, what);

-- A closed case takes no more.
SELECT small.does('north contact', 'csm_portal', format('SELECT csm.act(%s, ''close'', ''done'')', :pump));
SELECT is(small.tries('north contact', 'csm_portal', format('SELECT csm.attach(%s, ''late.txt'', content => ''x'')', :pump)), 'SM004', 'SM004 attachment: to a closed case');
SELECT is(small.tries('b2b agent', 'csm_agent', format('SELECT csm.attach(%s, ''late.txt'', content => ''x'')', :pump)), 'SM004', 'SM004 attachment: to a closed case, by staff');
SELECT throws_ok(format('SELECT csm.attach(%s, ''late.txt'', content => ''x'')', :pump), 'SM004', NULL, 'SM004 attachment: to a closed case, by the system');
SELECT lives_ok(format('SELECT csm.attach(%s, ''scan.txt'', content => ''x'')', small.c('north: pump')), 'A7 attachment: by the system');
SELECT is((SELECT (author_id, author_name, side)::text FROM csm.attachments WHERE file_name = 'scan.txt'), '(,system,operator)', 'A7 attachment: in its name');
SELECT * FROM finish();
