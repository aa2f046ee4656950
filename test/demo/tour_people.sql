-- A stranger becomes a contact. Included after tour_work.sql.

-- ----
\connect - demo_group_admin
\set as demo_group_admin
\set title 'A code for colleagues'
\set look 'The administrator of the Halden Group makes a registration code for its German shops. It is told once and kept as a hash.'
\ir step.sql
\set ECHO queries
SELECT code FROM csm.rotate_registration_code(:shop);
\set ECHO none
SELECT code FROM csm.rotate_registration_code(:shop) \gset
\echo Lost already? The next one takes its place.
\echo
SELECT :'code' ~ '^([0-9A-Z]{4}-){3}[0-9A-Z]{4}$' AS seen \gset
\set should t
\set what 'four groups of four'
\ir check.sql

-- ----
\connect - demo_visitor
\set as demo_visitor
\set title 'A stranger registers'
\set look 'A visitor reaches a handful of functions. The captcha is work: of many numbers one gives the right hash, and the widget tries them.'
\ir step.sql
\set ECHO queries
SELECT status FROM csm.register_contact('ida.berg@halden.example', 'Ida Berg', :'code', 'no captcha');
\set ECHO none
SELECT status AS seen FROM csm.register_contact('ida.berg@halden.example', 'Ida Berg', :'code', 'no captcha') \gset
\set ECHO queries
SELECT c ->> 'algorithm' AS algorithm, left(c ->> 'challenge', 16) || '…' AS challenge, c ->> 'maxnumber' AS maxnumber
FROM csm.captcha_challenge() c;
\set ECHO none
SELECT csm.captcha_challenge() AS challenge \gset
-- what the widget does in the browser
SELECT translate(encode(convert_to((:'challenge'::jsonb - 'maxnumber' || jsonb_build_object('number', n))::text, 'UTF8'), 'base64'),
                 E'\n', '') AS captcha
FROM generate_series(0, (:'challenge'::jsonb ->> 'maxnumber')::int) n
WHERE encode(sha256(convert_to((:'challenge'::jsonb ->> 'salt') || n, 'UTF8')), 'hex') = :'challenge'::jsonb ->> 'challenge' \gset
\set command 'SELECT status FROM csm.register_contact(''ida.berg@halden.example'', ''Ida Berg'', :code, :captcha);'
\echo :command
SELECT status FROM csm.register_contact('ida.berg@halden.example', 'Ida Berg', :'code', :'captcha') \gset
\echo :status
\echo
SELECT :'seen' || ', ' || :'status' AS seen \gset
\set should 'refused, accepted'
\set what 'answers without captcha, and with it'
\ir check.sql
\connect - postgres
\echo The process that sends mail fetches what there is:
\echo
\set ECHO queries
SELECT kind, recipient, payload ? 'token' AS has_token FROM csm.next_mail() ORDER BY id DESC LIMIT 1;
\set ECHO none
SELECT payload ->> 'token' AS token FROM csm.outbox WHERE kind = 'registration_confirm' AND recipient = 'ida.berg@halden.example' \gset
\connect - demo_visitor
\echo She follows the link in it, which proves that the address is hers:
\echo
\set ECHO queries
SELECT status FROM csm.confirm_registration(:'token');
SELECT status FROM csm.confirm_registration(:'token');
\set ECHO none
SELECT count(*) AS seen FROM csm.registrations \gset
\set should 0
\set what 'requests that a visitor reads'
\ir check.sql

-- ----
\connect - demo_group_admin
\set as demo_group_admin
\set title 'Her request comes to the administrator'
\set look 'Whoever manages the contacts of the account sees it. A role above his own he cannot give; one approval suffices.'
\ir step.sql
\set ECHO queries
SELECT r.display_name, r.email, a.name AS wants_to, r.route, r.state
FROM csm.registrations r JOIN csm.accounts a ON a.id = r.account_id WHERE r.state = 'requested';
\set ECHO none
SELECT id AS registration, count(*) OVER () AS seen FROM csm.registrations WHERE state = 'requested' \gset
\set should 1
\set what 'requests before him'
\ir check.sql
\set ECHO queries
SELECT csm.approve_registration(:registration, 'case_manager');
SELECT csm.approve_registration(:registration, 'customer');
\set ECHO none
SELECT k.id AS contact, k.role || ' of ' || a.name AS seen
FROM csm.contacts k JOIN csm.accounts a ON a.id = k.account_id JOIN csm.registrations r ON r.user_id = k.user_id WHERE r.id = :registration \gset
\set should 'customer of Halden Germany Retail'
\set what 'she is'
\ir check.sql

-- ----
\connect - postgres
SELECT payload ->> 'token' AS token FROM csm.outbox WHERE kind = 'first_password' AND recipient = 'ida.berg@halden.example' \gset
\connect - demo_visitor
\set as demo_visitor
\set title 'She signs in'
\set look 'The mail lets her set a password, which nobody else learns. It must not be her address. The session is hers until she leaves.'
\ir step.sql
\set ECHO queries
SELECT status FROM csm.reset_password(:'token', 'ida.berg 1984');
SELECT status FROM csm.reset_password(:'token', 'seven grey herons');
SELECT status FROM csm.sign_in_password('ida.berg@halden.example', 'seven grey heron', local => false);
SELECT status FROM csm.sign_in_password('ida.berg@halden.example', 'seven grey herons', local => false);
SELECT display_name, personas, roles FROM csm.whoami();
SELECT status FROM csm.change_password('seven grey herons', 'eight grey herons');
\set ECHO none
SELECT (SELECT status FROM csm.sign_in_password('ida.berg@halden.example', 'seven grey herons')) || ', '
    || (SELECT status FROM csm.sign_in_password('ida.berg@halden.example', 'eight grey herons', local => false)) AS seen \gset
\set should 'refused, signed_in'
\set what 'the first password now, and the one she chose'
\ir check.sql
\set ECHO queries
SELECT number, branch, state, subject FROM csm.open_case('The new terminal does not start');
SELECT number, state, subject FROM csm.cases;
\set ECHO none
SELECT max(id) AS her_case, count(*) AS seen FROM csm.cases \gset
\set should 1
\set what 'cases that she sees'
\ir check.sql

-- ----
\set title 'She is disabled, in the middle of it'
\set look 'Her session stays open. The administrator switches her contact off, and her next statement sees nothing.'
\ir step.sql
\set command 'SELECT csm.set_contact_login(' :contact ', false);'
\echo '-- in the session of the administrator:'
\echo :command
\echo
\setenv CSM_DEMO_COMMAND :command
\! $CSM_DEMO_PSQL -U demo_group_admin -c "$CSM_DEMO_COMMAND"
\set ECHO queries
SELECT number, state, subject FROM csm.cases;
\set ECHO none
SELECT count(*) AS seen FROM csm.cases \gset
\set should 0
\set what 'cases seen in the same session'
\ir check.sql
\set ON_ERROR_STOP off
\set ECHO queries
SELECT csm.comment(:her_case, 'And now?');
\set seen :SQLSTATE
\echo
\set ON_ERROR_STOP on
\set should SM001
\set what 'error for her own case, as for one that does not exist'
\ir check.sql
\connect - demo_group_admin
\set ECHO queries
SELECT at::date AS day, kind, details ->> 'reason' AS reason FROM csm.audit_log WHERE account_id = :shop ORDER BY id;
\set ECHO none
SELECT string_agg(kind, ', ' ORDER BY id) AS seen FROM csm.audit_log WHERE account_id = :shop AND kind LIKE 'contact%' \gset
\set should 'contact_added, contact_login_disabled'
\set what 'what the log says of contacts'
\ir check.sql
