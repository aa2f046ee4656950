-- Knowledge: who reads, writes and publishes, the life of an article by hand and by time, visitors, translations, what
-- readers say, articles on cases, gaps; plans under every role.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE TEMP TABLE k (name text PRIMARY KEY, id bigint);
CREATE FUNCTION pg_temp.k(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id FROM k WHERE name = $1';
-- Grants and drops for criteria by key.
CREATE FUNCTION pg_temp.grants(audience bigint, of_action text, criteria text, deny boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id, denies)
    SELECT small.tenant(), audience, of_action, c.id, deny FROM csm.user_criteria c WHERE c.key = criteria AND c.tenant_id = small.tenant()
$$;
CREATE FUNCTION pg_temp.base(of_key text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM csm.knowledge_bases WHERE key = of_key AND tenant_id = small.tenant() $$;
CREATE FUNCTION pg_temp.audience(of_key text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT audience_id FROM csm.knowledge_bases WHERE key = of_key AND tenant_id = small.tenant() $$;
-- A statement by a person whose effect stays.
CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, statement, keep => true) $$;

DO $$
BEGIN
    INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'editors');
    INSERT INTO csm.group_members (tenant_id, group_id, user_id)
    SELECT g.tenant_id, g.id, u FROM csm.groups g, unnest(ARRAY[small.u('desk manager'), small.u('b2b agent')]) u;
    INSERT INTO csm.products (tenant_id, name) VALUES (small.tenant(), 'pump');
    INSERT INTO csm.user_criteria (tenant_id, key, label, match)
    SELECT small.tenant(), x, x, 'any' FROM unnest('{consumers,contacts,writers,silent,lodgers,owners,nobody}'::text[]) x;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona, user_id, product_id)
    SELECT small.tenant(), c.id, v.kind, v.persona, v.person, CASE v.kind WHEN 'product' THEN (SELECT min(id) FROM csm.products) END
    FROM csm.user_criteria c JOIN (VALUES
        ('consumers', 'persona', 'consumer', NULL), ('contacts', 'persona', 'contact', NULL),
        ('writers', 'user', NULL, small.u('account team')), ('writers', 'user', NULL, small.u('proxy')),
        ('silent', 'user', NULL, small.u('region agent')), ('lodgers', 'user', NULL, small.u('lodger')), ('owners', 'product', NULL, NULL))
        v(key, kind, persona, person) ON v.key = c.key;
    INSERT INTO csm.knowledge_bases (tenant_id, key, title) VALUES
        (small.tenant(), 'help', 'Help'), (small.tenant(), 'shut', 'Shut'), (small.tenant(), 'quick', 'Quick'), (small.tenant('foreign'), 'help', 'Theirs');
    UPDATE csm.knowledge_bases SET self_publish = true WHERE key = 'quick';
    UPDATE csm.audiences SET group_id = (SELECT id FROM csm.groups) WHERE tenant_id = small.tenant();
    PERFORM pg_temp.grants(pg_temp.audience(b), 'read', c), pg_temp.grants(pg_temp.audience(b), 'contribute', 'silent')
    FROM unnest('{help,quick}'::text[]) b, unnest('{consumers}'::text[]) c;
    PERFORM pg_temp.grants(pg_temp.audience(b), a, 'writers') FROM unnest('{help,quick}'::text[]) b, unnest('{read,contribute}'::text[]) a;
END $$;

-- ---- the life of an article ----

-- An article in a situation, written by a person.
CREATE FUNCTION pg_temp.article(situation text, author text, of_base text DEFAULT 'help') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    step text;
BEGIN
    made := pg_temp.does(author, format('INSERT INTO csm.articles (base_id, title, body) VALUES (%s, %L, ''first text'') RETURNING id',
                                        pg_temp.base(of_base), situation || ' by ' || author))::bigint;
    FOREACH step IN ARRAY CASE situation
        WHEN 'draft' THEN '{}' WHEN 'review' THEN '{submit}' WHEN 'published' THEN '{submit,publish}'
        WHEN 'retired' THEN '{submit,publish,retire}' WHEN 'draft beside' THEN '{submit,publish,revise}'
        WHEN 'review beside' THEN '{submit,publish,revise,submit}' WHEN 'discarded' THEN '{discard}' END::text[]
    LOOP
        PERFORM pg_temp.does(CASE WHEN step IN ('publish', 'retire') THEN 'desk manager' ELSE author END, format('SELECT csm.act_on_article(%s, %L)', made, step));
    END LOOP;
    RETURN made;
END $$;
INSERT INTO k SELECT s || ' ' || a, pg_temp.article(s, a)
FROM unnest('{draft,review,published,retired,draft beside,review beside,discarded}'::text[]) s, unnest('{account team,b2b agent}'::text[]) a;
INSERT INTO k SELECT 'quick ' || s || ' ' || a, pg_temp.article(s, a, 'quick') FROM unnest('{draft,review}'::text[]) s, unnest('{account team,b2b agent}'::text[]) a;

-- Who may, by hand: a(uthor), another c(ontributor), a contributor who does not read (n), m(anager), a reader (r), s(ystem).
-- After the slash where a manager wrote it himself (w) and another of them is the manager (m). Nobody else ever may: o(utsider), f(oreign), 0 (nobody).
CREATE TEMP TABLE permitted (situation text, action text, who text, to_state text);
INSERT INTO permitted VALUES
    ('draft', 'submit', 'ams/wms', 'review'), ('draft', 'discard', 'ams/wms', 'retired'), ('draft', 'publish', 's/s', 'published'),
    ('review', 'publish', 'ms/ms', 'published'), ('review', 'withdraw', 'as/ws', 'draft'), ('review', 'reject', 'ms/wms', 'draft'), ('review', 'discard', 'ms/wms', 'retired'),
    ('published', 'retire', 'ms/wms', 'retired'), ('published', 'revise', 'acms/acwms', 'published'),
    ('retired', 'revise', 'ms/wms', 'retired'),
    ('draft beside', 'submit', 'ams/wms', 'published'), ('draft beside', 'discard', 'ams/wms', 'published'), ('draft beside', 'publish', 's/s', 'published'),
    ('draft beside', 'retire', 'ms/wms', 'retired'),
    ('review beside', 'publish', 'ms/ms', 'published'), ('review beside', 'withdraw', 'as/ws', 'published'), ('review beside', 'reject', 'ms/wms', 'published'),
    ('review beside', 'discard', 'ms/wms', 'published'), ('review beside', 'retire', 'ms/wms', 'retired'),
    ('quick draft', 'submit', 'ams/wms', 'review'), ('quick draft', 'discard', 'ams/wms', 'retired'), ('quick draft', 'publish', 'ams/wms', 'published'),
    ('quick review', 'publish', 'ams/wms', 'published'), ('quick review', 'withdraw', 'as/ws', 'draft'), ('quick review', 'reject', 'ms/wms', 'draft'),
    ('quick review', 'discard', 'ms/wms', 'retired');
CREATE FUNCTION pg_temp.tries(letter text, article bigint, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text := format('SELECT (csm.act_on_article(%s, %L, ''because'')).state', article, action);
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
    RETURN small.run(CASE letter WHEN 'f' THEN (SELECT min(id) FROM csm.users WHERE tenant_id = small.tenant('foreign'))
                                 WHEN '0' THEN NULL
                                 ELSE small.u(CASE letter WHEN 'a' THEN 'account team' WHEN 'c' THEN 'proxy' WHEN 'n' THEN 'region agent'
                                                          WHEN 'm' THEN 'desk manager' WHEN 'w' THEN 'b2b agent' WHEN 'r' THEN 'son' ELSE 'globex contact' END) END,
                     CASE WHEN letter IN ('r', 'o') THEN 'csm_portal' ELSE 'csm_agent' END, statement);
END $$;
SELECT ok(CASE WHEN strpos(split_part(coalesce(p.who, '/'), '/', CASE author WHEN 'account team' THEN 1 ELSE 2 END), letter) > 0 THEN x.answer = p.to_state
               ELSE x.answer ~ '^ERROR (42501|SM002)' END,
          format('B40 %s, written by %s: %s by %s gives %s', situation, author, action, letter, x.answer))
FROM unnest('{draft,review,published,retired,draft beside,review beside,discarded,quick draft,quick review}'::text[]) situation
CROSS JOIN unnest('{submit,publish,withdraw,reject,discard,retire,revise}'::text[]) action
CROSS JOIN unnest('{account team,b2b agent}'::text[]) author
CROSS JOIN string_to_table(CASE author WHEN 'account team' THEN 'acnmrof0s' ELSE 'acnwmrof0s' END, NULL) letter
CROSS JOIN LATERAL pg_temp.tries(letter, pg_temp.k(situation || ' ' || author), action) x(answer)
LEFT JOIN permitted p USING (situation, action);
-- What article_actions() lists is what act_on_article() does, for each of them.
SELECT is(small.run(small.u(person), 'csm_agent', format('SELECT string_agg(action, '' '' ORDER BY action) FROM csm.article_actions(%s)', pg_temp.k(situation || ' account team'))),
          (SELECT string_agg(DISTINCT p.action, ' ' ORDER BY p.action) FROM permitted p
           WHERE p.situation = v.situation AND strpos(split_part(p.who, '/', 1), letter) > 0),
          format('B40 actions listed for %s, %s', person, situation))
FROM unnest('{draft,review,published,draft beside,review beside,quick draft,quick review}'::text[]) v(situation),
     (VALUES ('account team', 'a'), ('desk manager', 'm')) w(person, letter);

SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT csm.act_on_article(%s, ''publish'')', a)), format('ERROR 42501: article %s does not exist', a),
          'V15 hidden and missing articles: the same error')
FROM unnest(ARRAY[pg_temp.k('draft account team'), 99999999]) a;
SELECT matches(pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, ''reject'')', pg_temp.k('review account team'))), '^ERROR SM003', 'SM003 rejecting an article needs a note');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format($$SELECT (csm.act_on_article(%s, 'reject', 'too long')).state$$, pg_temp.k('review account team'))), 'draft',
          'B40 allow: rejected with a note');
SELECT matches(pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, ''fly'')', pg_temp.k('draft account team'))), '^ERROR 22023', 'B40 an unknown action');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', format('SELECT csm.act_on_article(%s, ''publish'')', pg_temp.k('review b2b agent'))), '^ERROR 42501: to publish',
               'B40 who wrote a text does not publish it, though he manages the base');
-- Nor after a correction of another's draft.
SELECT is(pg_temp.does('desk manager', format($$SELECT revision FROM csm.edit_article(%s, 1, body => 'corrected')$$, pg_temp.k('draft account team'))), '2', 'B40 staff of the base edit a draft');
SELECT is(pg_temp.does('account team', format('SELECT (csm.act_on_article(%s, ''submit'')).state', pg_temp.k('draft account team'))), 'review', 'B40 its author submits it');
SELECT matches(pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, ''publish'')', pg_temp.k('draft account team'))), '^ERROR 42501', 'B40 who corrected it does not publish it');
SELECT is(pg_temp.does('b2b agent', format('SELECT (csm.act_on_article(%s, ''publish'')).body', pg_temp.k('draft account team'))), 'corrected', 'B40 allow: a second person does');

-- Versions.
SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT title || '': '' || body FROM csm.articles WHERE id = %s', pg_temp.k('draft beside account team'))),
          'draft beside by account team: first text', 'A28 a published article');
SELECT is(pg_temp.does('account team', format($$SELECT version || ' ' || revision FROM csm.edit_article(%s, 1, 'new title', 'second text')$$, pg_temp.k('draft beside account team'))), '2 2',
          'B40 editing it makes a new version');
SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT body FROM csm.articles WHERE id = %s', pg_temp.k('draft beside account team'))), 'first text',
          'A28 readers go on reading the published text');
SELECT is(small.run(small.u('son'), 'csm_portal', 'SELECT count(*) FROM csm.article_versions'), '0', 'B40 readers see no versions');
SELECT is(small.run(small.u('proxy'), 'csm_agent', format('SELECT count(*) FROM csm.article_versions WHERE article_id = %s', pg_temp.k('draft beside account team'))), '0', 'B40 nor does another contributor');
SELECT is(small.run(small.u('account team'), 'csm_agent', format('SELECT count(*) FROM csm.article_versions WHERE article_id = %s', pg_temp.k('draft beside account team'))), '2', 'B40 allow: the author his own');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT count(*) FROM csm.article_versions WHERE article_id = %s', pg_temp.k('draft beside account team'))), '2', 'B40 allow: staff of the base');
SELECT matches(pg_temp.does('account team', format($$SELECT csm.edit_article(%s, 1, body => 'lost update')$$, pg_temp.k('draft beside account team'))), '^ERROR 40001', 'B40 an edit of what was changed meanwhile');
SELECT matches(pg_temp.does('account team', format($$SELECT csm.act_on_article(%s, 'submit', revision => 1)$$, pg_temp.k('draft beside account team'))), '^ERROR 40001', 'B40 and a submission of it');
SELECT matches(pg_temp.does('account team', format($$SELECT csm.edit_article(%s, 1, body => 'x')$$, pg_temp.k('published account team'))), '^ERROR SM002', 'B40 no draft, no edit');
SELECT matches(pg_temp.does('account team', format($$SELECT csm.edit_article(%s, 1, body => 'x')$$, pg_temp.k('review account team'))), '^ERROR SM002', 'B40 nor of what is in review');
SELECT matches(pg_temp.does('proxy', format($$SELECT csm.edit_article(%s, 2, body => 'x')$$, pg_temp.k('draft beside account team'))), '^ERROR 42501', 'B40 nor of another''s draft');
DO $$ BEGIN PERFORM pg_temp.does('account team', format('SELECT csm.act_on_article(%s, ''submit'')', pg_temp.k('draft beside account team'))); END $$;
SELECT is(pg_temp.does('desk manager', format($$SELECT title || ' ' || version FROM csm.act_on_article(%s, 'publish')$$, pg_temp.k('draft beside account team'))), 'new title 2', 'B40 published: the text readers read');
SELECT results_eq(format($$SELECT version, state, body FROM csm.article_versions WHERE article_id = %s ORDER BY version$$, pg_temp.k('draft beside account team')),
                  $$VALUES (1, 'replaced', 'first text'), (2, 'published', 'second text')$$, 'B40 the version before is kept');
SELECT throws_ok(format('UPDATE csm.article_versions SET %s WHERE article_id = %s AND version = 1', c, pg_temp.k('draft beside account team')), '42501', NULL, 'B40 what was published never changes: ' || c)
FROM unnest('{body = ''x'',title = ''x'',approved_by = NULL,published_at = now(),note = ''x'',version = 7}'::text[]) c;
SELECT throws_ok(format('UPDATE csm.article_versions SET state = %L WHERE article_id = %s AND version = 1', s, pg_temp.k('draft beside account team')), 'SM002', NULL, 'SM002 a replaced version stays: ' || s)
FROM unnest('{draft,review,published,retired,discarded}'::text[]) s;
SELECT throws_ok('DELETE FROM csm.article_versions', '42501', NULL, 'B40 versions are not deleted');
SELECT throws_ok('TRUNCATE csm.article_versions', '42501', NULL, 'B40 nor truncated');
SELECT throws_ok('DELETE FROM csm.articles', '42501', NULL, 'B40 articles are not deleted');
SELECT throws_ok(format('UPDATE csm.articles SET %s WHERE id = %s', c, pg_temp.k('published account team')), '42501', NULL, 'B40 text and state of an article follow its versions: ' || c)
FROM unnest('{body = ''x'',title = ''x'',state = ''draft'',version = 7,number = ''x''}'::text[]) c;
SELECT throws_ok(format($$INSERT INTO csm.article_versions (tenant_id, article_id, version, state, title, body) VALUES (small.tenant(), %s, 9, 'published', 'x', 'x')$$, pg_temp.k('published account team')),
                 'SM002', NULL, 'SM002 a new version is a draft, whoever writes');
SELECT throws_ok(format($$INSERT INTO csm.article_versions (tenant_id, article_id, version, title, body) VALUES (small.tenant(), %s, 9, 'x', 'x')$$, pg_temp.k('review account team')),
                 '23505', NULL, 'B40 one version is written at a time');

-- ---- who reads ----

CREATE FUNCTION pg_temp.reads(person text, article bigint, role_name text DEFAULT 'csm_portal') RETURNS boolean LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT count(*) FROM csm.articles WHERE id = %s', article)) = '1' $$;
INSERT INTO k VALUES ('plain', pg_temp.k('published account team'));
SELECT ok(pg_temp.reads('son', pg_temp.k('plain')), 'A5 a consumer reads what criteria give him');
SELECT ok(NOT pg_temp.reads('globex contact', pg_temp.k('plain')), 'A5 a contact does not');
SELECT ok(NOT pg_temp.reads('son', pg_temp.k(a)), 'B40 what is not published is not read: ' || a)
FROM unnest('{review account team,retired account team,discarded account team}'::text[]) a;
SELECT ok(pg_temp.reads('account team', pg_temp.k('review account team'), 'csm_agent'), 'B40 allow: an author sees his own');
SELECT ok(NOT pg_temp.reads('proxy', pg_temp.k('review account team'), 'csm_agent'), 'B40 another contributor does not');
SELECT ok(pg_temp.reads('desk manager', pg_temp.k(a), 'csm_agent'), 'B40 staff of the base see all: ' || a)
FROM unnest('{review account team,retired account team,discarded account team,plain}'::text[]) a;
SELECT ok(NOT pg_temp.reads('desk manager', pg_temp.k('plain')), 'B40 not on a portal connection');
SELECT ok(NOT pg_temp.reads('desk admin', pg_temp.k('plain'), 'csm_admin'), 'B40 an administrator is not staff of the base by that');
SELECT is(small.run(small.u('region agent'), 'csm_agent', format($$INSERT INTO csm.articles (base_id, title, body) VALUES (%s, 'x', 'x') RETURNING state$$, pg_temp.base('help'))), 'draft',
          'B40 allow: who may contribute writes');
SELECT ok(NOT pg_temp.reads('region agent', pg_temp.k('plain'), 'csm_agent'), 'B40 contribute does not imply read');
SELECT matches(small.run(small.u('son'), 'csm_portal', format($$INSERT INTO csm.articles (base_id, title, body) VALUES (%s, 'x', 'x')$$, pg_temp.base('help'))), '^ERROR 42501', 'B40 read does not imply contribute');
SELECT matches(small.run(small.u('account team'), 'csm_agent', format($$INSERT INTO csm.articles (base_id, title, body) VALUES (%s, 'x', 'x')$$, b)), '^ERROR 42501',
               'V15 a base that is hidden, missing, of another tenant: 42501')
FROM unnest(ARRAY[pg_temp.base('shut'), 99999999, (SELECT id FROM csm.knowledge_bases WHERE tenant_id = small.tenant('foreign'))]) b;
SELECT matches(small.run(small.u('account team'), 'csm_portal', format($$INSERT INTO csm.articles (base_id, title, body, %s) VALUES (%s, 'x', 'x', 99999999)$$, c, pg_temp.base('help'))), '^ERROR 42501',
               'V15 a reference that is missing: 42501: ' || c)
FROM unnest('{category_id,product_id,translation_of}'::text[]) c;
-- No criteria: nobody but staff.
INSERT INTO k SELECT 'shut', pg_temp.article('published', 'b2b agent', 'shut');
SELECT ok(NOT pg_temp.reads(p, pg_temp.k('shut'), r), format('B40 fails closed: %s does not read a base without criteria', p))
FROM (VALUES ('son', 'csm_portal'), ('globex contact', 'csm_portal'), ('account team', 'csm_agent'), ('consumer agent', 'csm_agent'), ('viewer', 'csm_reporter'), ('desk admin', 'csm_admin')) v(p, r);
SELECT ok(pg_temp.reads('desk manager', pg_temp.k('shut'), 'csm_agent'), 'B40 allow: its staff');
-- Deny wins, and counts at once.
SELECT pg_temp.grants(pg_temp.audience('help'), 'read', 'lodgers', true);
SELECT ok(NOT pg_temp.reads('lodger', pg_temp.k('plain')), 'V10 B40 deny wins, at once');
SELECT ok(pg_temp.reads('son', pg_temp.k('plain')), 'B40 allow: the others go on reading');
DELETE FROM csm.audience_grants WHERE denies;
SELECT ok(pg_temp.reads('lodger', pg_temp.k('plain')), 'V10 B40 and ends at once');
UPDATE csm.user_criteria SET active = false WHERE key = 'consumers';
SELECT ok(NOT pg_temp.reads('son', pg_temp.k('plain')), 'V10 criteria that are not active any more hide at once');
UPDATE csm.user_criteria SET active = true WHERE key = 'consumers';
DELETE FROM csm.consumers WHERE user_id = small.u('son');
SELECT ok(NOT pg_temp.reads('son', pg_temp.k('plain')), 'V10 who ceases to be a consumer does not read');
INSERT INTO csm.consumers (tenant_id, user_id) VALUES (small.tenant(), small.u('son'));
UPDATE csm.audience_grants SET denies = true WHERE criteria_id = (SELECT id FROM csm.user_criteria WHERE key = 'writers') AND action = 'contribute';
SELECT ok(NOT pg_temp.reads('account team', pg_temp.k('review account team'), 'csm_agent'), 'V10 who may not contribute any more loses his drafts');
SELECT matches(pg_temp.does('account team', format('SELECT csm.act_on_article(%s, ''withdraw'')', pg_temp.k('review account team'))), '^ERROR 42501', 'V10 and acts on them no more');
UPDATE csm.audience_grants SET denies = false WHERE denies;
-- Narrowing one article, also to owners of a product (A5, B40).
INSERT INTO k SELECT 'narrow', pg_temp.article('published', 'account team');
SELECT matches(small.run(small.u('account team'), 'csm_agent', format($$SELECT csm.restrict_article(%s, '[{"criteria": "lodgers", "action": "read"}]')$$, pg_temp.k('narrow'))), '^ERROR 42501', 'B40 its author does not restrict it');
SELECT is(pg_temp.does('desk manager', format($$SELECT (csm.restrict_article(%s, '[{"criteria": "lodgers", "action": "read"}]')).id$$, pg_temp.k('narrow'))), pg_temp.k('narrow')::text, 'B40 staff of the base restrict an article');
SELECT ok(pg_temp.reads('lodger', pg_temp.k('narrow')) AND NOT pg_temp.reads('son', pg_temp.k('narrow')), 'B40 V10 base and article must both let him');
SELECT ok(pg_temp.reads('desk manager', pg_temp.k('narrow'), 'csm_agent'), 'B40 allow: staff of the base');
DO $$ BEGIN PERFORM pg_temp.does('desk manager', format($q$SELECT csm.restrict_article(%s, '[{"criteria": "owners", "action": "read"}]')$q$, pg_temp.k('narrow'))); END $$;
SELECT ok(NOT pg_temp.reads('son', pg_temp.k('narrow')), 'B40 knowledge of a product is for its owners');
INSERT INTO csm.sold_products (tenant_id, user_id, product_id) SELECT small.tenant(), small.u('son'), min(id) FROM csm.products;
SELECT ok(pg_temp.reads('son', pg_temp.k('narrow')), 'B40 allow: a consumer who owns it');
DO $$ BEGIN PERFORM pg_temp.does('desk manager', format($q$SELECT csm.restrict_article(%s, '[]')$q$, pg_temp.k('narrow'))); END $$;
SELECT ok(pg_temp.reads('mother', pg_temp.k('narrow')), 'B40 back to what the base says');
SELECT throws_ok(format('UPDATE csm.articles SET audience_id = %s WHERE id = %s', pg_temp.audience('shut'), pg_temp.k('narrow')), '23514', NULL, 'B40 an article does not leave the audience of its base');

-- V13, V14
SELECT is(small.run((SELECT min(id) FROM csm.users WHERE tenant_id = small.tenant('foreign')), r, 'SELECT count(*) FROM csm.articles'), '0', 'V13 another tenant reads nothing as ' || r)
FROM unnest('{csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r;
SELECT is(small.run(NULL, r, 'SELECT count(*) FROM ' || t), '0', format('V14 nobody as %s: no row of %s', r, t))
FROM unnest('{csm_portal,csm_agent,csm_reporter,csm_admin}'::text[]) r, unnest('{csm.articles,csm.knowledge_bases,csm.knowledge_categories}'::text[]) t;
SELECT is(small.run(NULL, 'csm_guest', 'SELECT count(*) FROM ' || t), '0', 'V14 visitor: no row of ' || t) FROM unnest('{csm.articles,csm.knowledge_bases,csm.knowledge_categories}'::text[]) t;

-- ---- visitors ----

CREATE FUNCTION pg_temp.visitor(article bigint, of_tenant text DEFAULT 'small') RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.tenant', of_tenant, true);
    RETURN small.run(NULL, 'csm_guest', format('SELECT count(*) FROM csm.articles WHERE id = %s', article)) = '1';
END $$;
INSERT INTO k SELECT 'open', pg_temp.article('published', 'account team');
SELECT matches(pg_temp.does('desk manager', format('UPDATE csm.articles SET is_public = true WHERE id = %s', pg_temp.k('open'))), '^ERROR 23514', 'B40 no public article in a base that is not');
SELECT matches(pg_temp.does('desk manager', format('UPDATE csm.knowledge_bases SET is_public = true WHERE id = %s', pg_temp.base('help'))), '^ERROR 42501', 'B40 staff of the base do not open it to the world');
SELECT is(pg_temp.does('desk admin', format('UPDATE csm.knowledge_bases SET is_public = true WHERE id = %s RETURNING key', pg_temp.base('help')), 'csm_admin'), 'help', 'B40 allow: an administrator does');
SELECT ok(NOT pg_temp.visitor(pg_temp.k('open')), 'B40 a public base alone shows no article');
SELECT is(pg_temp.does('desk manager', format('UPDATE csm.articles SET is_public = true WHERE id = %s RETURNING id', pg_temp.k('open'))), pg_temp.k('open')::text, 'B40 an article is flagged by itself');
SELECT ok(pg_temp.visitor(pg_temp.k('open')), 'B40 allow: base and article flagged, a visitor reads');
SELECT ok(NOT pg_temp.visitor(pg_temp.k('plain')), 'B40 not its twin without the flag');
SELECT ok(NOT pg_temp.visitor(pg_temp.k('open'), 'foreign'), 'V13 nor does a visitor of another tenant');
SELECT ok(NOT pg_temp.visitor(pg_temp.k('open'), 'none'), 'V14 nor of none');
SELECT ok(pg_temp.reads('globex contact', pg_temp.k('open')), 'A5 what visitors read, everybody reads');
SET csm.tenant = 'small';
SELECT is(small.run(NULL, 'csm_guest', 'SELECT string_agg(key, '','') FROM csm.knowledge_bases'), 'help', 'B40 visitors see public bases');
DO $$ BEGIN PERFORM pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, ''retire'')', pg_temp.k('open'))); END $$;
SELECT ok(NOT pg_temp.visitor(pg_temp.k('open')), 'B40 not once it is retired');
INSERT INTO k SELECT 'open again', pg_temp.article('published', 'account team');
UPDATE csm.articles SET is_public = true WHERE id = pg_temp.k('open again');
SELECT matches(small.run(NULL, 'csm_guest', s), '^ERROR 42501', 'B58 a visitor does not: ' || s)
FROM unnest(ARRAY['UPDATE csm.articles SET is_public = true', 'INSERT INTO csm.articles (base_id, title, body) VALUES (1, ''x'', ''x'')', 'SELECT * FROM csm.article_versions',
                  'SELECT * FROM csm.article_feedback', 'SELECT csm.act_on_article(1, ''publish'')', 'SELECT csm.edit_article(1, 1)', 'SELECT csm.article_actions(1)']) s;
SELECT is(small.run(small.u('viewer'), 'csm_reporter', 'SELECT title FROM csm.articles LIMIT 1'), 'ERROR 42501: permission denied for table articles', 'A37 reporting reads no text');
SELECT isnt(small.run(small.u('viewer'), 'csm_reporter', 'SELECT number FROM csm.articles LIMIT 1'), NULL, 'A37 allow: reporting reads keys');

-- ---- time ----

INSERT INTO k SELECT 'planned', pg_temp.article('review', 'account team');
SELECT is(pg_temp.does('desk manager', format($$SELECT (csm.act_on_article(%s, 'publish', at => clock_timestamp() + interval '2 days')).state$$, pg_temp.k('planned'))), 'review', 'B40 planned');
SELECT lives_ok($$SELECT * FROM csm.run_due(clock_timestamp() + interval '1 day')$$, 'B40 a day later');
SELECT ok(NOT pg_temp.reads('son', pg_temp.k('planned')), 'B40 not before its time');
SELECT is((SELECT sum(done)::int FROM csm.run_due(clock_timestamp() + interval '3 days') WHERE kind = 'article_publish'), 1, 'B40 run_due publishes what was approved');
SELECT ok(pg_temp.reads('son', pg_temp.k('planned')), 'B40 then it is read');
SELECT is((SELECT approved_by FROM csm.article_versions WHERE article_id = pg_temp.k('planned')), small.u('desk manager'), 'B40 and says who approved it');
INSERT INTO k SELECT 'recalled', pg_temp.article('review', 'account team');
DO $$ BEGIN PERFORM pg_temp.does('desk manager', format($q$SELECT csm.act_on_article(%s, 'publish', at => clock_timestamp() + interval '2 days')$q$, pg_temp.k('recalled'))); END $$;
SELECT is(pg_temp.does('account team', format($$SELECT (csm.act_on_article(%s, 'withdraw')).state$$, pg_temp.k('recalled'))), 'draft', 'B40 withdrawn before its time');
SELECT is((SELECT count(*)::int FROM csm.timers WHERE kind = 'article_publish'), 0, 'B40 no timer is left');
SELECT matches(pg_temp.does('desk manager', format($$SELECT csm.act_on_article(%s, 'retire', at => now())$$, pg_temp.k('planned'))), '^ERROR 22023', 'B40 only publishing is planned');
UPDATE csm.articles SET expires_at = clock_timestamp() + interval '0.2 seconds' WHERE id = pg_temp.k('planned');
SELECT ok(pg_temp.reads('son', pg_temp.k('planned')), 'V10 B40 shortly before it expires');
SELECT pg_sleep(0.3);
SELECT ok(NOT pg_temp.reads('son', pg_temp.k('planned')), 'V10 B40 after it expired, without any write');
SELECT is((SELECT state FROM csm.articles WHERE id = pg_temp.k('planned')), 'published', 'B40 nothing was written yet');
SELECT is((SELECT sum(done)::int FROM csm.run_due() WHERE kind = 'article_expiry'), 1, 'B40 run_due looks at it');
SELECT is((SELECT state || ' ' || note FROM csm.article_versions WHERE article_id = pg_temp.k('planned')), 'retired expired', 'B40 and retires it');
SELECT is(pg_temp.does('desk manager', format($$SELECT (csm.act_on_article(%s, 'revise')).state$$, pg_temp.k('planned'))), 'retired', 'B40 a retired article is revised');
SELECT matches(pg_temp.does('desk manager', format($$SELECT csm.act_on_article(%s, 'submit')$$, pg_temp.k('planned'))) || pg_temp.does('b2b agent', format($$SELECT csm.act_on_article(%s, 'publish')$$, pg_temp.k('planned'))),
               'ERROR 22023', 'B40 not published anew when it would be expired');
UPDATE csm.articles SET expires_at = NULL WHERE id = pg_temp.k('planned');
SELECT is(pg_temp.does('b2b agent', format($$SELECT state || ' ' || version FROM csm.act_on_article(%s, 'publish')$$, pg_temp.k('planned'))), 'published 2', 'B40 published anew');
SELECT is((SELECT count(*)::int FROM csm.timers WHERE kind = 'article_expiry'), 0, 'B40 no timer is left of expiry');

-- ---- categories and translations ----

SELECT is(pg_temp.does('desk manager', format($$INSERT INTO csm.knowledge_categories (base_id, title) VALUES (%s, 'Top') RETURNING title$$, pg_temp.base('help'))), 'Top', 'A28 staff of the base keep its categories');
SELECT matches(small.run(small.u('account team'), 'csm_agent', format($$INSERT INTO csm.knowledge_categories (base_id, title) VALUES (%s, 'x')$$, pg_temp.base('help'))), '^ERROR 42501', 'A28 others do not');
INSERT INTO csm.knowledge_categories (tenant_id, base_id, parent_id, title) SELECT tenant_id, base_id, id, 'Below' FROM csm.knowledge_categories;
SELECT throws_ok($$UPDATE csm.knowledge_categories t SET parent_id = b.id FROM csm.knowledge_categories b WHERE t.title = 'Top' AND b.title = 'Below'$$, '23514', NULL, 'A28 categories make no circle');
SELECT throws_ok(format($$INSERT INTO csm.knowledge_categories (tenant_id, base_id, parent_id, title) SELECT tenant_id, %s, id, 'x' FROM csm.knowledge_categories WHERE title = 'Top'$$, pg_temp.base('shut')),
                 '23503', NULL, 'A28 nor span bases');
SELECT is(small.run(small.u('son'), 'csm_portal', 'SELECT count(*) FROM csm.knowledge_categories'), '2', 'A28 who sees the base sees its categories');
DELETE FROM csm.audience_grants WHERE criteria_id = (SELECT id FROM csm.user_criteria WHERE key = 'consumers') AND audience_id = pg_temp.audience('quick');
SELECT is(small.run(small.u('globex contact'), 'csm_portal', format('SELECT count(*) FROM csm.knowledge_bases WHERE id = %s', pg_temp.base('quick'))), '0', 'A28 who does not, sees neither');

INSERT INTO k SELECT 'de', pg_temp.does('account team', format($$INSERT INTO csm.articles (base_id, language, translation_of, title, keywords, body)
    VALUES (%s, 'de', %s, 'Überweisung rückgängig machen', 'Storno', 'Wie man Überweisungen zurückholt') RETURNING id$$, pg_temp.base('help'), pg_temp.k('plain')))::bigint;
SELECT matches(small.run(small.u('account team'), 'csm_agent', format($$INSERT INTO csm.articles (base_id, language, translation_of, title, body) VALUES (%s, 'DE', %s, 'x', 'x')$$, pg_temp.base('help'), pg_temp.k('plain'))),
               '^ERROR 23505', 'A28 one translation a language');
SELECT matches(small.run(small.u('account team'), 'csm_agent', format($$INSERT INTO csm.articles (base_id, language, translation_of, title, body) VALUES (%s, 'fr', %s, 'x', 'x')$$, pg_temp.base('help'), pg_temp.k('de'))),
               '^ERROR 42501', 'A28 no translation of a translation');
SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT language FROM csm.article_in(%s, ''de'')', pg_temp.k('plain'))), 'en', 'A28 a translation that is not published is not offered');
DO $$ BEGIN PERFORM pg_temp.does('account team', format('SELECT csm.act_on_article(%s, ''submit'')', pg_temp.k('de'))), pg_temp.does('desk manager', format('SELECT csm.act_on_article(%s, ''publish'')', pg_temp.k('de'))); END $$;
SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT language FROM csm.article_in(%s, %L)', pg_temp.k(a), l)), found, format('A28 %s wanted in %s', a, coalesce(l, 'his own language')))
FROM (VALUES ('plain', 'de', 'de'), ('plain', 'de-AT', 'de'), ('plain', 'fr', 'en'), ('de', 'en', 'en'), ('de', 'fr', 'de'), ('plain', NULL, 'en')) v(a, l, found);
UPDATE csm.users SET language = 'de-CH' WHERE id = small.u('son');
SELECT is(small.run(small.u('son'), 'csm_portal', format('SELECT language FROM csm.article_in(%s)', pg_temp.k('plain'))), 'de', 'A28 the reader gets his language');
SELECT is(small.run(small.u('globex contact'), 'csm_portal', format('SELECT (csm.article_in(%s, ''de'')).id', pg_temp.k('plain'))), NULL, 'A28 and nothing where he does not read the article');

-- ---- search ----

SELECT is((SELECT search FROM csm.articles WHERE id = pg_temp.k('de')),
          csm_private.search_vector('de', (SELECT number FROM csm.articles WHERE id = pg_temp.k('de')) || ' Überweisung rückgängig machen', 'Storno', 'Wie man Überweisungen zurückholt'), 'A5 words of title, keywords and body');
SELECT is(small.run(small.u('son'), 'csm_portal', format($$SELECT string_agg(id::text, ',') FROM csm.articles WHERE csm.matches(search, csm.search_query('Ueberweisungen OR überweisung', 'de')) AND language = 'de'$$)), pg_temp.k('de')::text,
          'A5 found in its language');
SELECT is(small.run(small.u('globex contact'), 'csm_portal', $$SELECT count(*) FROM csm.articles WHERE csm.matches(search, csm.search_query('überweisung', 'de'))$$), '0', 'A5 not by who does not read it');

-- ---- what readers say ----

SELECT is(pg_temp.does('son', format('SELECT helpful || '' '' || rating FROM csm.rate_article(%s, true, 5, comment => ''thanks'')', pg_temp.k('plain')), 'csm_portal'), 'true 5', 'A28 a reader rates an article');
SELECT is(pg_temp.does('son', format('SELECT helpful || '' '' || rating || '' '' || solved || '' '' || comment FROM csm.rate_article(%s, rating => 4, solved => true)', pg_temp.k('plain')), 'csm_portal'), 'true 4 true thanks', 'A28 and changes his mind');
SELECT is((SELECT count(*)::int FROM csm.article_feedback), 1, 'A28 one row a person');
SELECT matches(small.run(small.u('globex contact'), 'csm_portal', format('SELECT csm.rate_article(%s, true)', a)), '^ERROR 42501: article \d+ does not exist', 'V15 not of an article that is hidden or missing')
FROM unnest(ARRAY[pg_temp.k('plain'), 99999999]) a;
SELECT matches(small.run(small.u('son'), 'csm_portal', format('SELECT csm.rate_article(%s, %s)', pg_temp.k('plain'), a)), '^ERROR 22023', 'A28 refused: ' || a)
FROM unnest(ARRAY['NULL', 'rating => 6', 'rating => 0', 'comment => '' ''']) a;
SELECT is(small.run(small.u('mother'), 'csm_portal', 'SELECT count(*) FROM csm.article_feedback'), '0', 'A28 another reader does not see it');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', 'SELECT string_agg(comment, '''') FROM csm.article_feedback'), 'thanks', 'A28 allow: staff of the base do');
SELECT is(small.run(small.u('account team'), 'csm_agent', 'SELECT count(*) FROM csm.article_feedback'), '0', 'A28 not who contributes');
SELECT is((SELECT count(*)::int FROM (SELECT small.run(NULL, 'csm_guest', format('SELECT csm.rate_article(%s, true)', pg_temp.k('open again')), keep => true) FROM generate_series(1, 12)) v(x) WHERE x ~ '^ERROR SM007'), 2,
          'SM007 visitors are limited');
SELECT is((SELECT count(*)::int FROM csm.article_feedback WHERE user_id IS NULL), 10, 'A28 allow: visitors are counted');
SELECT matches(small.run(NULL, 'csm_guest', format('SELECT csm.rate_article(%s, true)', pg_temp.k('plain'))), '^ERROR 42501', 'A28 a visitor only what he reads');

SELECT is(pg_temp.does('son', format('SELECT id FROM csm.view_article(%s, ''en'')', pg_temp.k('plain')), 'csm_portal'), pg_temp.k('plain')::text, 'A28 viewed');
SELECT is(small.run(NULL, 'csm_guest', format('SELECT (csm.view_article(%s)).id', pg_temp.k('open again')), keep => true), pg_temp.k('open again')::text, 'A28 viewed by a visitor');
SELECT is(pg_temp.does('globex contact', format('SELECT (csm.view_article(%s)).id', pg_temp.k('plain')), 'csm_portal'), NULL, 'A28 not viewed by who does not read it');
SELECT is((SELECT count(*)::int FROM csm_private.article_view_log), 2, 'A28 views are appended');
SELECT ok((SELECT sum(done) FROM csm.run_due(clock_timestamp() + interval '10 days') WHERE kind = 'article_views') >= 1, 'A28 run_due adds them up');
SELECT results_eq($$SELECT article_id, views FROM csm.article_views ORDER BY 1$$, format($$VALUES (%s::bigint, 1::bigint), (%s, 1)$$, pg_temp.k('plain'), pg_temp.k('open again')), 'A28 by article and day');
SELECT is((SELECT count(*)::int FROM csm_private.article_view_log), 0, 'A28 and nothing is counted twice');
CREATE FUNCTION pg_temp.viewed(person bigint, role_name text, source text, times integer) RETURNS text LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE x = pg_temp.k('open again')::text) || ' read, ' || (SELECT count(*) FROM csm_private.article_view_log) || ' counted'
    FROM (SELECT small.run(person, role_name, format('SELECT (csm.view_article(%s, NULL, %L)).id', pg_temp.k('open again'), source), keep => true) FROM generate_series(1, times) OFFSET 0) v(x) $$;
SELECT matches(pg_temp.viewed(NULL, 'csm_guest', '192.0.2.1', 105), '^105 read', 'SM007 a visitor reads on, however often');
SELECT cmp_ok((SELECT count(*) FROM csm_private.article_view_log), '<', 104::bigint, 'SM007 but of a place 100 views an hour count');
SELECT cmp_ok((SELECT count(*) FROM csm_private.article_view_log), '>=', 100::bigint, 'A28 allow: 100 do');
TRUNCATE csm_private.article_view_log;
SELECT matches(pg_temp.viewed(NULL, 'csm_guest', '192.0.2.2', 3), '^3 read', 'A28 another visitor');
SELECT is((SELECT count(*) FROM csm_private.article_view_log), 3::bigint, 'A28 counts');
SELECT matches(pg_temp.viewed(NULL, 'csm_guest', NULL, 105), '^105 read', 'A28 who names no place');
SELECT is((SELECT count(*) FROM csm_private.article_view_log), 108::bigint, 'A28 has more: many may stand behind one connection');
SELECT matches(pg_temp.viewed(small.u('son'), 'csm_portal', '192.0.2.1', 3), '^3 read', 'A28 who is signed in');
SELECT is((SELECT count(*) FROM csm_private.article_view_log), 111::bigint, 'A28 counts always');
TRUNCATE csm_private.article_view_log;
SELECT is(small.run(small.u(p), 'csm_agent', 'SELECT count(*) > 0 FROM csm.article_views'), v, 'A28 views are for staff of the base: ' || p) FROM (VALUES ('desk manager', 'true'), ('account team', 'false')) x(p, v);

-- ---- cases ----

UPDATE csm.audience_grants SET denies = false WHERE denies;
SELECT pg_temp.grants(pg_temp.audience('help'), 'read', 'contacts');
SELECT is(pg_temp.does('b2b agent', format('SELECT relation FROM csm.attach_article(%s, %s)', small.c('north: pump'), pg_temp.k('plain'))), 'suggested', 'B55 an agent attaches an article');
SELECT is(pg_temp.does('b2b agent', format('SELECT relation FROM csm.attach_article(%s, %s, ''related'')', small.c('north: pump'), pg_temp.k('plain'))), 'related', 'B55 and changes its relation');
SELECT is(small.run(small.u(p), 'csm_portal', 'SELECT count(*) FROM csm.case_articles'), v, format('B55 the link is seen with case and article: %s %s', p, v))
FROM (VALUES ('north contact', '1'), ('north manager', '1'), ('south contact', '0'), ('son', '0')) x(p, v);
DELETE FROM csm.audience_grants WHERE criteria_id = (SELECT id FROM csm.user_criteria WHERE key = 'contacts');
SELECT is(small.run(small.u('north contact'), 'csm_portal', 'SELECT count(*) FROM csm.case_articles'), '0', 'V10 B55 not without the article');
SELECT matches(small.run(small.u(p), r, format('SELECT csm.attach_article(%s, %s)', c, a)), e, format('B55 refused: %s', what))
FROM (VALUES ('north contact', 'csm_agent', small.c('north: pump'), pg_temp.k('open again'), '^ERROR 42501: an article on case', 'a customer attaches'),
             ('b2b agent', 'csm_agent', 99999999, pg_temp.k('plain'), '^ERROR SM001', 'a missing case'),
             ('consumer agent', 'csm_agent', small.c('north: pump'), pg_temp.k('open again'), '^ERROR SM001', 'a hidden case'),
             ('consumer agent', 'csm_agent', small.c('son: phone'), pg_temp.k('shut'), '^ERROR 42501: article', 'a hidden article'),
             ('b2b agent', 'csm_agent', small.c('north: pump'), 99999999, '^ERROR 42501: article', 'a missing article'),
             ('b2b agent', 'csm_agent', small.c('north: pump'), pg_temp.k('review account team'), '^ERROR 42501: article', 'an article that is not published')) v(p, r, c, a, e, what);
SELECT is(pg_temp.does('b2b agent', format('SELECT state || '' '' || resolution_code FROM csm.resolve_with_article(%s, %s, ''knowledge'', ''See the article.'')', small.c('north: pump'), pg_temp.k('open again'))), 'resolved knowledge',
          'B55 an article is proposed as the solution');
SELECT is((SELECT relation FROM csm.case_articles WHERE article_id = pg_temp.k('open again')), 'solution', 'B55 and linked as that');
SELECT matches(small.run(small.u('north contact'), 'csm_portal', format('SELECT resolution_notes FROM csm.cases WHERE id = %s', small.c('north: pump'))), '^KB\d+: published by account team$', 'B55 the customer reads which');
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', format('SELECT csm.resolve_with_article(%s, %s)', small.c('south: delivery'), pg_temp.k('shut'))), '^ERROR 42501', 'B55 not an article that the customer does not read');
DO $$ BEGIN PERFORM small.run(small.u('north contact'), 'csm_portal', format('SELECT csm.act(%s, ''accept'')', small.c('north: pump')), keep => true); END $$;
SELECT matches(small.run(small.u('b2b agent'), 'csm_agent', format('SELECT csm.attach_article(%s, %s)', small.c('north: pump'), pg_temp.k('plain'))), '^ERROR SM004', 'SM004 nothing is attached to a closed case');

SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT views || '' '' || helpful || '' '' || solved || '' '' || average_rating FROM csm_report.article_use WHERE article_id = %s', pg_temp.k('plain'))), '1 1 1 4.00', 'A28 counted for staff of the base');
SELECT is(small.run(small.u('desk manager'), 'csm_agent', format('SELECT views || '' '' || helpful || '' '' || solutions FROM csm_report.article_use WHERE article_id = %s', pg_temp.k('open again'))), '1 10 1', 'B55 with what it solved');
SELECT is(small.run(small.u('account team'), 'csm_agent', 'SELECT count(*) FROM csm_report.article_use'), '0', 'A28 not for who contributes');

-- ---- gaps ----

INSERT INTO k SELECT 'gap', pg_temp.does('b2b agent', format('SELECT id FROM csm.report_knowledge_gap(%s, ''How to bleed a valve'', %s)', small.c('north: valve'), pg_temp.base('help')))::bigint;
INSERT INTO k SELECT 'private gap', pg_temp.does('b2b agent', format('SELECT id FROM csm.report_knowledge_gap(%s, ''Odd'')', small.c('north: valve')))::bigint;
SELECT matches(small.run(small.u(p), 'csm_agent', format('SELECT csm.report_knowledge_gap(%s, ''x'')', small.c('north: valve'))), e, 'B55 a gap is reported by who works on the case, not by ' || p)
FROM (VALUES ('north colleague', '^ERROR 42501'), ('consumer agent', '^ERROR SM001')) v(p, e);
SELECT is(small.run(small.u(p), 'csm_agent', format('SELECT count(*) FROM csm.knowledge_gaps WHERE id = %s', pg_temp.k(g))), v, format('B55 %s seen by %s: %s', g, p, v))
FROM (VALUES ('gap', 'b2b agent', '1'), ('gap', 'proxy', '1'), ('gap', 'consumer agent', '0'), ('private gap', 'proxy', '0'), ('private gap', 'b2b agent', '1')) x(g, p, v);
SELECT is(pg_temp.does('proxy', format('SELECT state FROM csm.act_on_gap(%s, ''claim'')', pg_temp.k('gap'))), 'claimed', 'B55 a contributor claims it');
SELECT matches(pg_temp.does(p, format('SELECT csm.act_on_gap(%s, %L)', pg_temp.k('gap'), a)), e, format('B55 %s by %s: %s', a, p, e))
FROM (VALUES ('proxy', 'claim', '^ERROR SM002'), ('account team', 'release', '^ERROR 42501: knowledge gap \d+ is claimed'), ('consumer agent', 'claim', '^ERROR 42501: knowledge gap \d+ does not exist'),
             ('proxy', 'answer', '^ERROR 22023'), ('proxy', 'eat', '^ERROR 22023')) v(p, a, e);
SELECT matches(pg_temp.does('proxy', format('SELECT csm.act_on_gap(%s, ''answer'', %s)', pg_temp.k('gap'), pg_temp.k('shut'))), '^ERROR 42501: article', 'B55 not by an article that he does not read');
SELECT is(pg_temp.does('proxy', format('SELECT state FROM csm.act_on_gap(%s, ''answer'', %s)', pg_temp.k('gap'), pg_temp.k('plain'))), 'answered', 'B55 and answers it by an article');
SELECT matches(pg_temp.does('proxy', format('SELECT csm.act_on_gap(%s, ''dismiss'')', pg_temp.k('gap'))), '^ERROR SM002', 'B55 what is answered stays');
SELECT is(pg_temp.does('b2b agent', format('SELECT state FROM csm.act_on_gap(%s, ''dismiss'')', pg_temp.k('private gap'))), 'dismissed', 'B55 dismissed');

-- ---- personal data ----

UPDATE csm.users SET display_name = 'Eberhard Quux' WHERE id = small.u('mother');
INSERT INTO k SELECT 'quux', pg_temp.does('account team', format($$INSERT INTO csm.articles (base_id, title, body) VALUES (%s, 'How it was solved', 'As for Eberhard Quux') RETURNING id$$, pg_temp.base('help')))::bigint;
RESET csm.user_id;
SELECT set_has(format('SELECT table_name, row_id FROM csm.find_mentions(%s)', small.u('mother')), format($$VALUES ('csm.articles', %s::bigint)$$, pg_temp.k('quux')), 'A37 who is named in an article is found');
SELECT ok(csm.redact_mention(small.u('mother'), 'csm.articles', 'body', pg_temp.k('quux')), 'A37 and redacted');
SELECT ok(body !~ 'Quux' AND NOT csm.matches(search, csm.search_query('quux', 'en')), 'A37 in the text and in the words by which it is found') FROM csm.articles WHERE id = pg_temp.k('quux');
SELECT lives_ok(format('SELECT csm.erase_person(%s, ''asked'')', small.u('son')), 'A37 a reader is erased');
SELECT is((SELECT comment FROM csm.article_feedback WHERE user_id = small.u('son')), 'erased', 'A37 and what he wrote');
SELECT lives_ok(format('SELECT csm.merge_users(%s, %s, ''the same'')', small.u('proxy'), small.u('account team')), 'A36 an author is merged');
SELECT is((SELECT count(*)::int FROM csm.article_versions WHERE author_id = small.u('account team') OR edited_by = small.u('account team')), 0, 'A36 his versions follow him');
SELECT isnt_empty(format('SELECT FROM csm.article_versions WHERE state = ''published'' AND author_id = %s', small.u('proxy')), 'A36 published ones too');

SELECT * FROM finish();
