-- Windows of time decide how much is read, never what is found: csm.search() and csm.suggest() against plain statements
-- under the same policies, over rows of six years for every kind of person.
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/small.sql
SELECT * FROM no_plan();

-- ---- slices ----
SELECT is(csm.time_slice(t), s, format('A5 slice of %s', t)) FROM (VALUES
    ('2000-01-01 00:00+00'::timestamptz, 0::bigint), ('1999-12-31 23:59:59.999999+00', -1), ('2000-01-07 23:59:59.999999+00', 0), ('2000-01-08 00:00+00', 1),
    ('1999-12-25 00:00+00', -1), ('infinity', 2147483647), ('-infinity', -2147483648)) v(t, s);
SELECT ok(csm.slice_start(csm.time_slice(t)) <= t AND csm.slice_start(csm.time_slice(t) + 1) > t AND csm.time_slice(csm.slice_start(csm.time_slice(t))) = csm.time_slice(t),
          format('A5 %s lies in its slice', t))
FROM unnest('{1066-10-14,1999-12-31 23:00+00,2026-02-28 12:00+00,290000-01-01}'::timestamptz[]) t;
SELECT is(csm.slice_start(s), t::timestamptz, 'A5 no slice is out of range') FROM (VALUES (9000000000000000000, 'infinity'), (-9000000000000000000, '-infinity')) v(s, t);
SELECT is(csm.time_slices('2000-01-09 00:00+00', p), s::bigint[], 'A5 slices of what is public') FROM (VALUES (false, '{1}'), (true, '{1,4294967297,8589934592}')) v(p, s);
SELECT is(csm.in_slices(s::bigint[], 3, 5), r, format('A5 %s in slices 3 to 5', s)) FROM (VALUES
    ('{2}', false), ('{3}', true), ('{5}', true), ('{6}', false), ('{}', false), ('{NULL}', false), ('{NULL,4}', true), ('{{1,2},{4,9}}', true)) v(s, r);
SELECT is(csm.next_slices(f, 500, 2), w, format('A5 %s found', f)) FROM (VALUES (0::bigint, NULL::bigint), (499, 1), (250, 3), (100, 9), (5, NULL), (500, NULL)) v(f, w);

-- ---- the world: rows of six years, many at the same time, some where a slice begins ----
DO $$
DECLARE
    base bigint;
    forum bigint;
BEGIN
    PERFORM setseed(0.5), set_config('csm.importing', 'on', true);
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) VALUES (small.tenant(), 'windows', 'Windows', 'any');
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id)
    SELECT small.tenant(), id, 'user', small.u('mother') FROM csm.user_criteria WHERE key = 'windows';
    INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) VALUES (small.tenant(), 'windows', 'W', true) RETURNING id INTO base;
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT b.tenant_id, b.audience_id, 'read', c.id FROM csm.knowledge_bases b, csm.user_criteria c WHERE b.id = base AND c.key = 'windows';
    -- the desk manager manages the base, and so reads what is retired as well
    INSERT INTO csm.groups (tenant_id, name) VALUES (small.tenant(), 'windows');
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, small.u('desk manager') FROM csm.groups WHERE name = 'windows';
    UPDATE csm.audiences a SET group_id = g.id FROM csm.groups g, csm.knowledge_bases b WHERE g.name = 'windows' AND b.id = base AND a.id = b.audience_id;
    INSERT INTO csm.articles (tenant_id, base_id, is_public, state, published_at, expires_at, title, body)
    SELECT small.tenant(), base, random() < 0.4, CASE WHEN random() < 0.1 THEN 'retired' ELSE 'published' END, CASE WHEN i % 11 = 0 THEN csm.slice_start(csm.time_slice(now()) - i % 70) ELSE now() - (floor(random() * random() * 2200) + 1) * interval '1 day' END,
           CASE WHEN random() < 0.05 THEN now() - interval '1 hour' END, 'heading ' || i || CASE WHEN i % 9 = 0 THEN ' gasket' ELSE '' END || CASE WHEN i % 250 = 3 THEN ' trombone' ELSE '' END,
           'common' || CASE WHEN i % 3 = 0 THEN ' third' ELSE '' END || CASE WHEN i % 50 = 0 THEN ' rarely' ELSE '' END || CASE WHEN i % 7 = 0 THEN ' seventh' ELSE '' END
    FROM generate_series(1, 2000) i;
    INSERT INTO csm.cases (tenant_id, branch, requester_id, opened_by, account_id, opened_at, submitted_at, updated_at, subject)
    SELECT small.tenant(), 'b2b', small.u('north contact'), small.u('north contact'), small.a(CASE WHEN i % 4 = 0 THEN 'north' ELSE 'south' END), t, t, t,
           'common case ' || i || CASE WHEN i % 3 = 0 THEN ' third' ELSE '' END || CASE WHEN i % 50 = 0 THEN ' rarely' ELSE '' END || CASE WHEN i % 7 = 0 THEN ' seventh' ELSE '' END
    FROM generate_series(1, 2000) i, LATERAL (SELECT CASE WHEN i % 11 = 0 THEN csm.slice_start(csm.time_slice(now()) - i % 70) ELSE now() - (floor(random() * random() * 2200) + 1) * interval '1 day' END AS t) x;
    -- more than are ranked, within the first window
    INSERT INTO csm.cases (tenant_id, branch, requester_id, opened_by, account_id, opened_at, submitted_at, updated_at, subject)
    SELECT small.tenant(), 'b2b', small.u('north contact'), small.u('north contact'), small.a('north'), t, t, t, 'dense'
    FROM generate_series(1, 700) i, LATERAL (SELECT now() - i % 360 * interval '13 minutes' AS t) x;
    INSERT INTO csm.forums (tenant_id, key, title, is_public) VALUES (small.tenant(), 'windows', 'W', true) RETURNING id INTO forum;
    INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id)
    SELECT f.tenant_id, f.audience_id, 'read', c.id FROM csm.forums f, csm.user_criteria c WHERE f.id = forum AND c.key = 'windows';
    INSERT INTO csm.questions (tenant_id, forum_id, author_id, created_at, title, body)
    SELECT small.tenant(), forum, small.u('mother'), now() - CASE WHEN i <= 700 THEN i % 360 * interval '13 minutes' ELSE i * interval '1 day' END, 'question ' || i,
           'common' || CASE WHEN i <= 700 THEN ' dense' ELSE '' END || CASE WHEN i % 3 = 0 THEN ' third' ELSE '' END || CASE WHEN i % 7 = 0 THEN ' seventh' ELSE '' END
    FROM generate_series(1, 1500) i;
    PERFORM set_config('csm.importing', 'off', true);
END $$;
ANALYZE csm.articles, csm.cases, csm.questions;
CREATE TEMP TABLE person AS SELECT * FROM (VALUES ('mother', 'csm_portal'), ('north contact', 'csm_portal'), ('south contact', 'csm_portal'), ('b2b agent', 'csm_agent'),
    ('desk manager', 'csm_agent'), (NULL, 'csm_guest')) v(who, role_name);

-- Everything that the pages of a search hold.
CREATE FUNCTION pg_temp.found(who text, role_name text, words text, kinds text[], size integer DEFAULT 100) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := '{}';
    cursor text;
    page bigint[];
BEGIN
    PERFORM set_config('csm.tenant', 'small', true), set_config('csm.user_id', coalesce(CASE WHEN who IS NOT NULL THEN small.u(who) END::text, ''), true), set_config('role', role_name, true);
    LOOP
        SELECT array_agg(s.id ORDER BY s.n), max(s.cursor) FILTER (WHERE s.n = size) INTO page, cursor
        FROM (SELECT x.*, row_number() OVER () AS n FROM csm.search(words, kinds, "limit" => size, after => cursor) x) s;
        ids := ids || coalesce(page, '{}');
        -- pages that go round in a circle are to fail, not to go on for ever
        EXIT WHEN cursor IS NULL OR cardinality(ids) > 10000;
    END LOOP;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN ids;
END $$;
CREATE FUNCTION pg_temp.plain(who text, role_name text, statement text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM set_config('csm.tenant', 'small', true), set_config('csm.user_id', coalesce(CASE WHEN who IS NOT NULL THEN small.u(who) END::text, ''), true), set_config('role', role_name, true);
    EXECUTE 'SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM (' || statement || ') x' INTO ids;
    PERFORM set_config('role', 'none', true), set_config('csm.user_id', '', true);
    RETURN ids;
END $$;
CREATE TEMP TABLE asked AS SELECT words, coalesce(query, csm.search_query(words, 'en')) AS query FROM (VALUES
    ('common', NULL::tsquery), ('dense', NULL), ('third', NULL), ('rarely', NULL), ('seventh', NULL), ('third seventh', NULL), ('third -seventh', NULL),
    -- nothing has all three: any two
    ('rarely seventh missing', 'rare & seventh | rare & miss | seventh & miss')) v(words, query);

CREATE TEMP TABLE outcome AS
SELECT p.who, p.role_name, a.words, k.kind, pg_temp.found(p.who, p.role_name, a.words, ARRAY[k.kind]) AS ids,
       pg_temp.plain(p.who, p.role_name, format(k.statement, a.query, 500)) AS wanted
FROM person p CROSS JOIN asked a CROSS JOIN (VALUES
    ('question', 'SELECT id FROM csm.questions WHERE search @@ %L ORDER BY created_at DESC, id DESC LIMIT %s'),
    ('article', 'SELECT id FROM csm.articles WHERE state = ''published'' AND search @@ %L ORDER BY published_at DESC, id DESC LIMIT %s'),
    -- of cases later pages bring all
    ('case', 'SELECT id FROM csm.cases WHERE search @@ %L AND %s = 500')) k(kind, statement)
WHERE NOT (k.kind = 'case' AND p.role_name = 'csm_guest');
SELECT is(ARRAY(SELECT unnest(ids) ORDER BY 1), wanted, format('T17 %s: %s as %s finds the newest that hold the words, of cases all', kind, coalesce(who, 'a visitor'), role_name) || ': ' || words)
FROM outcome;
SELECT ok(bool_or(cardinality(wanted) >= bound) AND bool_or(cardinality(wanted) BETWEEN 1 AND bound - 1) AND (max(cardinality(wanted)) > 500) = (kind = 'case'), 'A5 more than the bound and less are both met: ' || kind)
FROM outcome CROSS JOIN LATERAL (SELECT CASE kind WHEN 'case' THEN 30 ELSE 500 END AS bound) b GROUP BY kind;
SELECT ok(bool_or(cardinality(ids) BETWEEN 5 AND 300), 'T17 a visitor finds a part') FROM outcome WHERE role_name = 'csm_guest' AND words <> 'common' AND kind = 'article';

-- Cases come by generations, the newest first, whatever the size of a page.
SELECT is(pg_temp.found(o.who, o.role_name, o.words, '{case}', size), o.ids, format('A5 %s pages through %s: the same cases in the same order with %s on a page', o.who, o.words, size))
FROM outcome o CROSS JOIN unnest('{13,61}'::integer[]) size WHERE o.kind = 'case' AND o.words IN ('dense', 'third seventh') AND o.who IN ('north contact', 'b2b agent');
SELECT is((SELECT count(*) FROM unnest(o.ids[1:30]) i WHERE i <> ALL (o.ids[31:]) AND (SELECT opened_at FROM csm.cases WHERE id = i) >=
              (SELECT max(opened_at) FROM csm.cases WHERE id = ANY (o.ids[501:]))), 30::bigint, 'A5 the first thirty are newer than those of later generations: ' || o.who)
FROM outcome o WHERE o.kind = 'case' AND o.words = 'dense' AND o.who IN ('north contact', 'b2b agent');
SELECT is(cardinality(pg_temp.found(who, role_name, 'common', '{case,article,question}', 40)), sum(cardinality(ids))::integer,
          format('A5 %s finds later generations of cases after what is found of %s kinds', who, count(*) FILTER (WHERE ids <> '{}')))
FROM outcome WHERE words = 'common' AND role_name <> 'csm_guest' GROUP BY who, role_name;
-- A case whose number others mention is the first, and comes once.
SELECT number AS mentioned, id AS mentioned_id FROM csm.cases WHERE subject = 'common case 13' AND tenant_id = small.tenant() \gset
SET csm.importing = on;
INSERT INTO csm.cases (tenant_id, branch, requester_id, opened_by, account_id, opened_at, submitted_at, updated_at, subject)
SELECT small.tenant(), 'b2b', small.u('north contact'), small.u('north contact'), small.a('north'), t, t, t, 'see ' || :'mentioned'
FROM generate_series(1, 170) i, LATERAL (SELECT now() - i * interval '5 days' AS t) x;
RESET csm.importing;
SELECT is(format('%s %s %s', ids[1], cardinality(ids), (SELECT count(DISTINCT i) FROM unnest(ids) i)), :mentioned_id || ' 171 171', 'A5 a number that many cases mention')
FROM pg_temp.found('b2b agent', 'csm_agent', :'mentioned', '{case}') ids;

-- Who manages a base reads more than is published, and finds what is.
SELECT cmp_ok(cardinality(pg_temp.plain('desk manager', 'csm_agent', 'SELECT id FROM csm.articles WHERE state = ''retired''')), '>', 100, 'A5 a manager reads what is retired');
SELECT ok(cardinality(f) > 0 AND f <@ pg_temp.plain('desk manager', 'csm_agent', 'SELECT id FROM csm.articles WHERE state = ''published'' AND title ~ ''gasket'''),
          'A5 a mistake finds him nothing that is retired')
FROM pg_temp.found('desk manager', 'csm_agent', 'gaskwt', '{article}') f;
SELECT is(pg_temp.found('desk manager', 'csm_agent', number, '{article}'), CASE state WHEN 'published' THEN ARRAY[id] ELSE '{}' END, 'A5 nor does its number: ' || state)
FROM (SELECT DISTINCT ON (state) number, state, id FROM csm.articles WHERE title ~ 'heading' ORDER BY state, id) a;

SELECT is(small.run(small.u('desk manager'), 'csm_agent', $$SELECT count FROM csm.search_facets('common', '{article}') WHERE facet = 'kind'$$),
          cardinality(pg_temp.plain('desk manager', 'csm_agent', 'SELECT id FROM csm.articles WHERE state = ''published'' AND search @@ ''common'''))::text,
          'A5 facets count what is published');

-- A number is a word of its case as well; what is opened after the first page has no part in the others.
SELECT is(cardinality(pg_temp.found('b2b agent', 'csm_agent', number, '{case}')), 1, 'A5 a number finds its case once')
FROM csm.cases WHERE subject LIKE 'common case 12 %' AND tenant_id = small.tenant();
SELECT small.run(small.u('north contact'), 'csm_portal', $$SELECT cursor FROM csm.search('third seventh', '{case}', "limit" => 1)$$) AS cursor \gset
DO $$
BEGIN
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.cases (tenant_id, branch, requester_id, opened_by, account_id, opened_at, submitted_at, updated_at, subject, description)
    SELECT small.tenant(), 'b2b', small.u('north contact'), small.u('north contact'), small.a('north'), t, t, t, 'later', 'third seventh' FROM clock_timestamp() t;
    PERFORM set_config('csm.importing', 'off', true);
END $$;
SELECT is(small.run(small.u('north contact'), 'csm_portal', format($$SELECT count(*) FILTER (WHERE title = 'later') || ' of ' || (count(*) > 5)
              FROM csm.search('third seventh', '{case}', "limit" => 100, after => %s)$$, after)), n || ' of true', 'A5 what is opened later is on no page: ' || n)
FROM (VALUES ('NULL', 1), (quote_literal(:'cursor'), 0)) v(after, n);

-- ---- suggestions: of what is there, and no mistake does harm ----
CREATE FUNCTION pg_temp.suggested(who text, role_name text, typed text) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_temp.plain(who, role_name, format('SELECT id FROM csm.suggest(%L, 20) WHERE kind = ''article''', typed));
END $$;
SELECT ok(cardinality(s) BETWEEN 1 AND 20 AND s <@ pg_temp.plain(p.who, p.role_name, 'SELECT id FROM csm.articles WHERE state = ''published'' AND (expires_at IS NULL OR expires_at > now()) AND ' || w),
          format('A5 %s as %s is offered what answers: %s', coalesce(p.who, 'a visitor'), p.role_name, t))
FROM person p CROSS JOIN (VALUES ('gask', 'title ~ ''gasket'''), ('rarely', 'search @@ ''rare'''), ('seventh third gas', 'search @@ ''seventh & third'' AND title ~ ''gasket'''),
    ('third rarely nonsense words', 'search @@ ''third & rare'''), ('gaskwt', 'title ~ ''gasket'''), ('gaskte', 'title ~ ''gasket'''), ('hading 1800', 'title ~ ''heading''')) v(t, w)
CROSS JOIN LATERAL pg_temp.suggested(p.who, p.role_name, t) s
WHERE p.role_name <> 'csm_portal' OR p.who = 'mother';
SELECT is(pg_temp.suggested('mother', 'csm_portal', t), '{}'::bigint[], format('A5 nothing is like %s', t)) FROM unnest('{xylophone,gxxkzz,zq,""}'::text[]) t;
SET LOCAL jit = off;
-- What few titles have is found in all the years, in spite of a mistake in either half, whatever way the planner takes.
SELECT is(pg_temp.suggested(p.who, p.role_name, t), w, format('A5 %s as %s is offered all that there is, %s: %s', coalesce(p.who, 'a visitor'), p.role_name, way, t))
FROM (VALUES (1, 'any way', 'x', 'off'), (2, 'no bitmap', 'enable_bitmapscan', 'off'), (3, 'no walk', 'enable_indexscan', 'off'), (4, 'no scan', 'enable_seqscan', 'off')) v(n, way, setting, value)
CROSS JOIN LATERAL (SELECT set_config('enable_bitmapscan', 'on', true), set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'on', true)) x
CROSS JOIN LATERAL (SELECT CASE WHEN n > 1 THEN set_config(setting, value, true) END) y
CROSS JOIN person p CROSS JOIN unnest('{trom,rombo,trombone,tromxone,trxmbone}'::text[]) t
CROSS JOIN LATERAL pg_temp.plain(p.who, p.role_name, 'SELECT id FROM csm.articles WHERE state = ''published'' AND (expires_at IS NULL OR expires_at > now()) AND title ~ ''trombone''') w
WHERE p.role_name <> 'csm_portal' OR p.who = 'mother';
SELECT * FROM finish();
ROLLBACK;
