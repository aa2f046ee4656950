-- B58: what a visitor who is not signed in reaches: registering, signing in, and nothing else.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
\ir ../lib/registration.sql
SELECT * FROM no_plan();

CREATE TEMP TABLE reach AS
SELECT p.oid, p.proname::text AS name,
       p.proname ~ '(_allows|_allowing)$' OR p.proname IN ('account_known', 'accounts_known', 'all_in', 'all_tenant') AS predicate
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('csm', 'csm_report') AND has_function_privilege('csm_guest', p.oid, 'EXECUTE');
SELECT set_eq('SELECT DISTINCT name FROM reach WHERE NOT predicate', ARRAY[
    -- who is asking
    'current_user_id', 'current_tenant_id', 'guest_tenant_id', 'default_tenant_id', 'whoami', 'act_as', 'sign_out',
    -- arithmetic with text
    'matches', 'contains', 'resembles', 'resemblance', 'search_query', 'search_score', 'highlight',
    'time_slice', 'time_slices', 'slice_start', 'in_slices', 'next_slices',
    -- search of what is public
    'search', 'search_facets', 'suggest', 'answer',
    -- signing in
    'sign_in', 'sign_in_password', 'change_password', 'request_password_reset', 'reset_password',
    -- public knowledge
    'article_in', 'view_article', 'rate_article',
    -- registration
    'captcha_challenge', 'register_consumer', 'register_contact', 'confirm_registration', 'accept_invitation',
    -- a new address answers
    'confirm_email',
    -- no more mail of a kind, by the token in it
    'unsubscribe',
    -- a survey by its token
    'survey_by_token', 'answer_survey',
    -- a conversation without a name
    'open_guest_interaction', 'guest_say', 'guest_transcript'],
    'B58 functions that a visitor may call');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname IN ('csm', 'csm_report', 'csm_private') AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                    AND c.relname NOT IN ('knowledge_bases', 'knowledge_categories', 'articles', 'forums', 'questions', 'answers', 'post_comments')
                    AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('csm_guest', c.oid, 'USAGE, SELECT, UPDATE')
                             ELSE has_table_privilege('csm_guest', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                                  OR has_any_column_privilege('csm_guest', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END$$, 'B58 no table but those of public knowledge and community, no column, no sequence');
SELECT is_empty($$SELECT m.roleid::regrole FROM pg_auth_members m WHERE m.member = 'csm_guest'::regrole$$, 'B58 the role is a member of nothing');

-- The predicates answer no to a visitor; allow: yes to who may.
SELECT is(small.run(NULL, 'csm_guest', format('SELECT csm.account_allows(%s, ''case_read'')', small.a('north'))), 'false', 'B58 no predicate is true for a visitor');
SELECT is(small.as('north admin', format('SELECT csm.account_allows(%s, ''case_read'')', small.a('north'))), 'true', 'B58 allow: it is for an administrator');
SELECT is(small.run(NULL, 'csm_guest', 'SELECT csm.all_in(1, ''b2b'', ''case_read'')'), 'false', 'B58 nor of all');
SELECT is(small.run(NULL, 'csm_guest', 'SELECT cardinality(csm.accounts_allowing(''case_read''))'), '0', 'B58 no key is listed');

-- Of what others may call, everything is refused.
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname = 'csm' AND (p.proname LIKE '%registration%' OR p.proname LIKE '%invit%' OR p.proname LIKE '%mail%')
                    AND p.proname NOT IN ('confirm_registration', 'accept_invitation', 'confirm_email') AND has_function_privilege('csm_guest', p.oid, 'EXECUTE')$$,
                'B58 a visitor decides nothing, invites nobody and reads no mail');
SELECT matches(small.run(NULL, 'csm_guest', s), '^ERROR 42501', 'B58 refused: ' || s)
FROM unnest(ARRAY['SELECT * FROM csm.users', 'SELECT * FROM csm.registrations', 'SELECT * FROM csm.outbox', 'SELECT * FROM csm.cases', 'SELECT * FROM csm.audit_log',
                  'SELECT csm.next_mail()', 'SELECT csm.approve_registration(1)', 'SELECT csm.invite_contact(1, ''a@b.example'', ''A'')', 'SELECT csm.rotate_registration_code(1)',
                  'SELECT csm.open_case(''x'')', 'SELECT csm_private.new_token()', 'SELECT csm_private.send_mail(1, ''x'', ''a@b.example'')',
                  'SELECT csm_private.captcha_key(1)', 'SELECT * FROM csm_private.secrets']) s;
SELECT matches(small.run(NULL, 'csm_guest', $$SELECT set_config('csm.user_id', '1', true)$$), '^ERROR 42501', 'B58 a visitor signs in as nobody by hand');
SELECT is(small.consumer('new@shop.example'), 'accepted', 'B58 allow: a visitor registers');

-- Mail: only who was named fetches it.
SELECT matches(small.as('desk admin', 'SELECT csm.next_mail()', role_name => 'csm_admin'), '^ERROR 42501: mail is for', 'B58 an administrator is no mail sender');
SELECT matches(small.as('desk admin', format('SELECT csm.allow_mail_sender(%s)', small.u('desk admin')), role_name => 'csm_admin'), '^ERROR 42501', 'B58 nor makes himself one');
SELECT csm.allow_mail_sender(small.u('proxy'));
SELECT is(small.as('proxy', $$SELECT count(*) || ' ' || min(recipient) FROM csm.next_mail()$$), '1 new@shop.example', 'B58 allow: the sender that the DBA named');
SELECT is(small.as('proxy', 'SELECT count(*) FROM csm.next_mail()'), '0', 'B58 a message is handed out to one');
UPDATE csm.outbox SET claimed_until = clock_timestamp() - interval '1 second';
SELECT is(small.as('proxy', $$SELECT count(*) || ' ' || min(attempts) FROM csm.next_mail()$$), '1 2', 'B58 again when it was not acknowledged in time');
SELECT is(small.as('desk admin', 'SELECT csm.acknowledge_mail(ARRAY[1])', role_name => 'csm_admin') LIKE 'ERROR 42501%', true, 'B58 others do not acknowledge');
SELECT is(small.as('proxy', format('SELECT csm.acknowledge_mail(ARRAY[%s])', (SELECT id FROM csm.outbox))), '1', 'B58 sent');
SELECT is_empty('SELECT FROM csm.outbox', 'B58 and gone, its token with it');
SELECT is(small.consumer('late@shop.example'), 'accepted', 'B58 another');
UPDATE csm.outbox SET expires_at = clock_timestamp() - interval '1 second';
SELECT is(small.as('proxy', 'SELECT count(*) FROM csm.next_mail()'), '0', 'B58 what has expired is not sent');
SELECT is_empty('SELECT FROM csm.outbox', 'B58 but deleted');
SELECT csm.allow_mail_sender(small.u('proxy'), false);
SELECT matches(small.as('proxy', 'SELECT csm.next_mail()'), '^ERROR 42501', 'B58 a sender no longer');
RESET csm.user_id;
SELECT lives_ok('SELECT csm.next_mail()', 'B58 allow: the system sends for everybody');
SELECT throws_ok('SELECT csm.next_mail(0)', '22023', NULL, 'B58 not nothing');
SELECT throws_ok(format('SELECT csm_private.send_mail(small.tenant(), ''x'', %L)', r), '23514', NULL, 'B58 no header is injected: ' || replace(r, E'\n', '\n'))
FROM unnest(ARRAY[E'a@b.example\nBcc: c@d', 'a@b.example, c@d.example', '<a@b.example>', 'a@b.example;c@d.example', 'A B <a@b.example>', '"a"@b.example']) r;
SELECT * FROM finish();
ROLLBACK;
