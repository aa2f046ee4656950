-- What each person reads of a random world of bases, grants, denials, narrowed articles, states and flags, through the
-- policies, against the rule over the bare tables with the slow definition of an audience's rights.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();
\if :{?seed}
\else
    SELECT (extract(epoch FROM clock_timestamp())::bigint % 1000000)::int AS seed \gset
\endif
SELECT diag('seed ' || :'seed');
SELECT setseed(:seed / 1000000.0);
-- as csm.explain_audience() runs its definition
SET jit = off;
SET plan_cache_mode = force_custom_plan;

CREATE FUNCTION pg_temp.any_of(a anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS 'SELECT a[1 + floor(random() * cardinality(a))::int]';
CREATE TEMP TABLE who AS
SELECT n AS name, small.u(n) AS id FROM unnest('{son,mother,all three,employee,student,north contact,north manager,
    b2b agent,consumer agent,desk manager,viewer,desk admin}'::text[]) n;
DO $$
DECLARE
    people CONSTANT bigint[] := ARRAY(SELECT id FROM who ORDER BY id);
    n integer;
    b csm.knowledge_bases;
    made bigint;
BEGIN
    INSERT INTO csm.groups (tenant_id, name) SELECT small.tenant(), 'g' || i FROM generate_series(1, 3) i;
    INSERT INTO csm.group_members (tenant_id, group_id, user_id)
    SELECT DISTINCT small.tenant(), g.id, pg_temp.any_of(people) FROM csm.groups g, generate_series(1, 4);
    INSERT INTO csm.user_criteria (tenant_id, key, label, match) SELECT small.tenant(), 'c' || i, 'C', pg_temp.any_of('{all,any}'::text[]) FROM generate_series(1, 10) i;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona, account_id, include_descendants, role, user_id)
    SELECT small.tenant(), c.id, k, CASE k WHEN 'persona' THEN pg_temp.any_of('{consumer,contact,employee,staff}'::text[]) END,
           CASE k WHEN 'account' THEN small.a(pg_temp.any_of('{holding,acme,north}'::text[])) END, k = 'account' AND random() < 0.5,
           CASE k WHEN 'role' THEN pg_temp.any_of('{agent,manager,case_manager,customer}'::text[]) END, CASE k WHEN 'user' THEN pg_temp.any_of(people) END
    FROM csm.user_criteria c, generate_series(1, 2) i, LATERAL (SELECT pg_temp.any_of('{persona,persona,account,role,user}'::text[]) WHERE c.id > 0 AND i > 0) v(k);
    INSERT INTO csm.knowledge_bases (tenant_id, key, title, is_public) SELECT small.tenant(), 'b' || i, 'B', random() < 0.3 FROM generate_series(1, 6) i;
    UPDATE csm.audiences SET group_id = pg_temp.any_of(ARRAY(SELECT id FROM csm.groups)) WHERE random() < 0.4;
    UPDATE csm.audiences SET owner_id = pg_temp.any_of(people) WHERE random() < 0.3;
    INSERT INTO csm.audience_grants (tenant_id, audience_id, criteria_id, action, denies)
    SELECT small.tenant(), a.id, pg_temp.any_of(ARRAY(SELECT id FROM csm.user_criteria)), pg_temp.any_of('{read,read,read,contribute,contribute,manage}'::text[]), random() < 0.2
    FROM csm.audiences a, generate_series(1, 5) ON CONFLICT DO NOTHING;
    FOR b IN SELECT * FROM csm.knowledge_bases LOOP
        FOR n IN 1 .. 12 LOOP
            PERFORM set_config('csm.importing', 'on', true);
            INSERT INTO csm.articles (tenant_id, base_id, author_id, is_public, state, published_at, expires_at, title, body, audience_id)
            VALUES (b.tenant_id, b.id, pg_temp.any_of(people), b.is_public AND random() < 0.4, pg_temp.any_of('{draft,review,published,published,published,retired}'::text[]), now(),
                    pg_temp.any_of(ARRAY[NULL, NULL, now() - interval '1 hour', now() + interval '1 hour']), 'a', 'b',
                    CASE WHEN random() < 0.3 THEN csm_private.audience_within(b.audience_id, jsonb_build_array(jsonb_build_object('criteria', 'c' || (1 + floor(random() * 10)::int),
                        'action', pg_temp.any_of('{read,contribute}'::text[]), 'denies', random() < 0.3))) ELSE b.audience_id END);
            PERFORM set_config('csm.importing', 'off', true);
        END LOOP;
    END LOOP;
    -- two that do not read: the student contributes to a base, the employee manages one in which he is denied all else
    INSERT INTO csm.user_criteria (tenant_id, key, label) VALUES (small.tenant(), 'writer', 'W'), (small.tenant(), 'keeper', 'K');
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, user_id)
    SELECT tenant_id, id, 'user', small.u(CASE key WHEN 'writer' THEN 'student' ELSE 'employee' END) FROM csm.user_criteria WHERE key IN ('writer', 'keeper');
    INSERT INTO csm.knowledge_bases (tenant_id, key, title) VALUES (small.tenant(), 'writer', 'W'), (small.tenant(), 'keeper', 'K');
    INSERT INTO csm.audience_grants (tenant_id, audience_id, criteria_id, action, denies)
    SELECT k.tenant_id, k.audience_id, c.id, v.action, v.denies
    FROM csm.knowledge_bases k JOIN csm.user_criteria c USING (key) JOIN (VALUES ('writer', 'contribute', false), ('keeper', 'manage', false), ('keeper', 'read', true), ('keeper', 'contribute', true)) v(key, action, denies) USING (key);
    PERFORM set_config('csm.importing', 'on', true);
    INSERT INTO csm.articles (tenant_id, base_id, author_id, state, title, body)
    SELECT tenant_id, id, small.u('student'), 'draft', 'a', 'b' FROM csm.knowledge_bases WHERE key IN ('writer', 'keeper');
    PERFORM set_config('csm.importing', 'off', true);
END $$;

CREATE TEMP TABLE slow AS
SELECT w.id AS person, staff, a.audience_id, bool_or(r.granted) FILTER (WHERE r.action = 'read') AS reads,
       bool_or(r.granted) FILTER (WHERE r.action = 'contribute') AS contributes, bool_or(r.granted) FILTER (WHERE r.action = 'manage') AS manages
FROM who w, (VALUES (true), (false)) s(staff), (SELECT DISTINCT audience_id FROM csm.articles) a
CROSS JOIN LATERAL csm_private.audience_rights(small.tenant(), w.id, a.audience_id, staff, NULL, now()) r
GROUP BY w.id, staff, a.audience_id;
CREATE TEMP TABLE compared AS
SELECT w.name, w.id, role_name,
       (SELECT string_agg(a.id::text, ' ' ORDER BY a.id) FROM csm.articles a JOIN slow s ON s.audience_id = a.audience_id AND s.person = w.id AND s.staff = (role_name <> 'csm_portal')
        WHERE a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > now()) AND (a.is_public OR s.reads)
           OR a.state IN ('draft', 'review') AND a.author_id = w.id AND s.contributes OR s.manages) AS expected,
       small.run(w.id, role_name, 'SELECT string_agg(a.id::text, '' '' ORDER BY a.id) FROM csm.articles a') AS found,
       (SELECT string_agg(v.article_id || '.' || v.version, ' ' ORDER BY v.article_id, v.version) FROM csm.article_versions v JOIN csm.articles a ON a.id = v.article_id
        JOIN slow s ON s.audience_id = a.audience_id AND s.person = w.id AND s.staff = (role_name <> 'csm_portal')
        WHERE v.author_id = w.id AND s.contributes OR s.manages) AS expected_versions,
       small.run(w.id, role_name, 'SELECT string_agg(v.article_id || ''.'' || v.version, '' '' ORDER BY v.article_id, v.version) FROM csm.article_versions v') AS versions
FROM who w, unnest('{csm_portal,csm_agent,csm_admin}'::text[]) role_name;
SELECT is(found, expected, format('B40 T1 articles that %s reads as %s', name, role_name)) FROM compared ORDER BY name, role_name;
SELECT is(versions, expected_versions, format('B40 T1 versions that %s reads as %s', name, role_name)) FROM compared WHERE role_name <> 'csm_admin' ORDER BY name, role_name;
SELECT is(small.run(w.id, 'csm_reporter', 'SELECT string_agg(a.id::text, '' '' ORDER BY a.id) FROM csm.articles a'), c.expected, 'B40 T1 the same as csm_reporter: ' || w.name)
FROM who w JOIN compared c ON c.id = w.id AND c.role_name = 'csm_agent';
-- Whatever is seen has one of the person's keys, by which an index may look for it.
SELECT is(ARRAY(SELECT s.person FROM slow s JOIN csm.knowledge_bases b USING (audience_id) WHERE b.key = v.key AND NOT s.staff AND NOT s.reads AND (s.contributes OR s.manages)),
          ARRAY[small.u(v.name)], format('B40 T1 the %s sees articles that he does not read', v.name))
FROM (VALUES ('writer', 'student'), ('keeper', 'employee')) v(key, name);
CREATE FUNCTION pg_temp.without_key() RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(*)::text FROM csm.articles a
    WHERE NOT CASE WHEN a.is_public THEN 0 ELSE a.audience_id END = ANY (csm_private.article_keys_shown());
END;
SELECT is(small.run(id, role_name, 'SELECT pg_temp.without_key()'), '0', format('B40 T1 no article is seen without a key: %s as %s', name, role_name)) FROM compared;
-- An index never makes a difference.
SET enable_seqscan = off;
SELECT is(small.run(id, role_name, 'SELECT string_agg(a.id::text, '' '' ORDER BY a.id) FROM csm.articles a'), expected, format('B40 by index: %s as %s', name, role_name)) FROM compared;
RESET enable_seqscan;
SELECT cmp_ok((SELECT count(DISTINCT expected)::int FROM compared), '>', 5, 'B40 the world tells people apart');
SELECT * FROM finish();
