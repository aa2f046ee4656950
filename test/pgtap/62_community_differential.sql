-- What each person sees of a random world of forums and posts, and what each command answers him, against the rules of
-- the community said once more, slowly, over the bare tables: criteria, the tree of forums, states.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();
\if :{?seed}
\else
    SELECT (extract(epoch FROM clock_timestamp())::bigint % 1000000)::int AS seed \gset
\endif
SELECT diag('seed ' || :'seed');
SELECT setseed(:seed / 1000000.0);
SET jit = off;
SET plan_cache_mode = force_custom_plan;

-- ---- the world ----
CREATE FUNCTION pg_temp.any_of(a anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS 'SELECT a[1 + floor(random() * cardinality(a))::int]';
INSERT INTO csm.users (tenant_id, display_name, enabled) VALUES (small.tenant(), 'disabled', false), (small.tenant('foreign'), 'foreigner', true);
INSERT INTO small.named SELECT 'user', display_name, id FROM csm.users WHERE display_name IN ('disabled', 'foreigner');
CREATE TEMP TABLE who AS
SELECT n AS name, small.u(n) AS id FROM unnest('{son,mother,all three,employee,student,guardian,north contact,north manager,plant contact,
    b2b agent,consumer agent,desk manager,desk admin,disabled,foreigner}'::text[]) n;
DO $$
DECLARE
    ours CONSTANT bigint[] := ARRAY(SELECT id FROM who WHERE name <> 'foreigner' ORDER BY id);
    -- some have written nothing yet
    authors CONSTANT bigint[] := ARRAY(SELECT id FROM who WHERE name NOT IN ('foreigner', 'all three', 'consumer agent', 'plant contact') ORDER BY id);
    f csm.forums;
    q csm.questions;
    a csm.answers;
    p csm_private.posts;
    made bigint;
BEGIN
    INSERT INTO csm.groups (tenant_id, name) SELECT small.tenant(), 'g' || i FROM generate_series(1, 3) i;
    UPDATE csm.groups SET parent_id = (SELECT id FROM csm.groups WHERE name = 'g1') WHERE name = 'g2';
    INSERT INTO csm.group_members (tenant_id, group_id, user_id)
    SELECT DISTINCT small.tenant(), g.id, pg_temp.any_of(ours) FROM csm.groups g, generate_series(1, 4);
    UPDATE csm.contacts SET login_enabled = false WHERE random() < 0.1;
    INSERT INTO csm.user_criteria (tenant_id, key, label, match, active)
    SELECT small.tenant(), 'c' || i, 'C', pg_temp.any_of('{all,any,any}'::text[]), random() < 0.9 FROM generate_series(1, 14) i;
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona, account_id, include_descendants, role, user_id, group_id)
    SELECT small.tenant(), c.id, k, CASE k WHEN 'persona' THEN pg_temp.any_of('{consumer,contact,employee,staff}'::text[]) END,
           CASE k WHEN 'account' THEN small.a(pg_temp.any_of('{holding,acme,north}'::text[])) END, k = 'account' AND random() < 0.6,
           CASE k WHEN 'role' THEN pg_temp.any_of('{agent,manager,case_manager,customer}'::text[]) END,
           CASE k WHEN 'user' THEN pg_temp.any_of(ours) END, CASE k WHEN 'group' THEN pg_temp.any_of(ARRAY(SELECT id FROM csm.groups)) END
    FROM csm.user_criteria c, generate_series(1, 2) i,
         LATERAL (SELECT pg_temp.any_of('{persona,persona,persona,account,role,user,group}'::text[]) WHERE c.id > 0 AND i > 0) v(k)
    WHERE random() < 0.8;

    UPDATE csm.user_criteria SET active = true, match = 'any' WHERE key IN ('c1', 'c2');
    DELETE FROM csm.user_criteria_parts x USING csm.user_criteria c WHERE c.id = x.criteria_id AND c.key IN ('c1', 'c2');
    INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, persona)
    SELECT small.tenant(), c.id, 'persona', k FROM csm.user_criteria c, unnest('{consumer,contact,staff}'::text[]) k WHERE c.key = 'c1' OR c.key = 'c2' AND k <> 'consumer';
    FOR i IN 1 .. 10 LOOP
        SELECT CASE WHEN i > 3 THEN pg_temp.any_of(ARRAY(SELECT id FROM csm.forums)) END INTO made;
        INSERT INTO csm.forums (tenant_id, key, title, parent_id, inherits, is_public, hold_posts, active)
        VALUES (small.tenant(), 'f' || i, 'F', made, made IS NOT NULL AND (i = 4 OR random() < 0.6), random() < 0.4, CASE i WHEN 2 THEN 100 ELSE pg_temp.any_of('{0,0,0,1,30}'::int[]) END, i = 2 OR random() < 0.8)
        RETURNING * INTO f;
        UPDATE csm.audiences SET owner_id = CASE WHEN random() < 0.2 THEN pg_temp.any_of(ours) END,
                                 group_id = CASE WHEN random() < 0.2 THEN pg_temp.any_of(ARRAY(SELECT id FROM csm.groups)) END
        WHERE id = f.audience_id;
        INSERT INTO csm.audience_grants (tenant_id, audience_id, criteria_id, action, denies)
        SELECT small.tenant(), f.audience_id, pg_temp.any_of(ARRAY(SELECT id FROM csm.user_criteria)),
               pg_temp.any_of('{read,read,read,ask,ask,answer,answer,moderate,moderate,manage}'::text[]), random() < 0.15
        FROM generate_series(1, CASE WHEN i = 2 THEN 0 WHEN f.inherits THEN 4 ELSE 9 END) ON CONFLICT DO NOTHING;
        -- so that no world is without readers, and some moderate in more than one forum
        INSERT INTO csm.audience_grants (tenant_id, audience_id, criteria_id, action)
        SELECT small.tenant(), f.audience_id, c.id, g FROM csm.user_criteria c, unnest('{read,ask,moderate}'::text[]) g
        WHERE c.key = CASE g WHEN 'moderate' THEN 'c2' ELSE 'c1' END AND i IN (1, 2, 3, 7) AND (g = 'read' OR i = 2 OR random() < 0.7) ON CONFLICT DO NOTHING;
    END LOOP;

    PERFORM set_config('csm.importing', 'on', true);
    FOR i IN 1 .. 110 LOOP
        INSERT INTO csm.questions (tenant_id, forum_id, author_id, state, locked, title, body, created_at)
        VALUES (small.tenant(), pg_temp.any_of(ARRAY(SELECT id FROM csm.forums)), pg_temp.any_of(authors), pg_temp.any_of('{visible,visible,visible,held,hidden,deleted}'::text[]),
                random() < 0.25, 'q', 'b', clock_timestamp() - pg_temp.any_of('{0,1,2}'::int[]) * interval '50 minutes') RETURNING * INTO q;
        FOR j IN 1 .. floor(random() * 3) LOOP
            INSERT INTO csm.answers (tenant_id, question_id, author_id, state, body, created_at)
            VALUES (small.tenant(), q.id, pg_temp.any_of(authors), pg_temp.any_of('{visible,visible,visible,held,hidden,deleted}'::text[]), 'b',
                    clock_timestamp() - pg_temp.any_of('{0,2}'::int[]) * interval '50 minutes') RETURNING * INTO a;
            UPDATE csm.answers x SET accepted = true WHERE x.id = a.id AND x.state = 'visible' AND random() < 0.3
                AND NOT EXISTS (SELECT FROM csm.answers o WHERE o.question_id = q.id AND o.accepted);
        END LOOP;
        FOR j IN 1 .. floor(random() * 4) LOOP
            INSERT INTO csm.post_comments (tenant_id, question_id, answer_id, author_id, state, body)
            VALUES (small.tenant(), q.id, pg_temp.any_of(ARRAY(SELECT o.id FROM csm.answers o WHERE o.question_id = q.id) || NULL::bigint), pg_temp.any_of(authors),
                    pg_temp.any_of('{visible,visible,held,hidden,deleted}'::text[]), 'b');
        END LOOP;
        PERFORM csm_private.settle_thread(q.id);
    END LOOP;
    -- what hangs on posts, and on forums
    FOR p IN SELECT * FROM csm_private.posts LOOP
        IF random() < 0.15 THEN
            INSERT INTO csm.post_versions (tenant_id, audience_id, question_id, answer_id, comment_id, author_id, body)
            VALUES (p.tenant_id, p.audience_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, p.comment_id, p.author_id, 'b');
        END IF;
        IF random() < 0.2 THEN
            INSERT INTO csm.post_reports (tenant_id, audience_id, question_id, answer_id, comment_id, reporter_id, reason, closed_at)
            SELECT p.tenant_id, p.audience_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, p.comment_id, pg_temp.any_of(ours), 'r',
                   CASE WHEN random() < 0.3 THEN now() END FROM generate_series(1, 2) ON CONFLICT DO NOTHING;
        END IF;
        IF random() < 0.1 THEN
            INSERT INTO csm.moderation_acts (tenant_id, audience_id, forum_id, question_id, answer_id, comment_id, author_id, action, actor_id, reason)
            VALUES (p.tenant_id, p.audience_id, p.forum_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, p.comment_id, p.author_id,
                    'dismiss', pg_temp.any_of(ours), 'r');
        END IF;
        IF random() < 0.4 AND p.kind <> 'comment' THEN
            INSERT INTO csm.votes (tenant_id, question_id, answer_id, voter_id, value)
            SELECT p.tenant_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, w.id, pg_temp.any_of('{-1,1}'::int[])
            FROM who w WHERE w.id = ANY (ours) AND w.id <> p.author_id AND random() < 0.3;
        END IF;
    END LOOP;
    PERFORM set_config('csm.importing', 'off', true);
    INSERT INTO csm.subscriptions (tenant_id, user_id, forum_id) SELECT small.tenant(), w.id, x.id FROM who w, csm.forums x WHERE w.id = ANY (ours) AND random() < 0.2;
    INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) SELECT small.tenant(), w.id, x.id FROM who w, csm.questions x WHERE w.id = ANY (ours) AND random() < 0.1;
    INSERT INTO csm.community_profiles (tenant_id, user_id, forum_id, visible, handle)
    SELECT small.tenant(), w.id, pg_temp.any_of(ARRAY(SELECT id FROM csm.forums)), random() < 0.6, 'h' || w.id || 'xx' FROM who w WHERE w.id = ANY (ours) AND w.name <> 'mother' AND random() < 0.6;
    UPDATE csm.tenants SET settings = settings || '{"community": {"posts_per_day": null, "votes_per_day": null, "reports_per_day": null}}' WHERE key = 'small';
END $$;
ANALYZE;

-- ---- whom a forum lets do what, by the rules in README ----
-- What a person is just now. A hat counts on a connection and under the hat that he has narrowed himself to; staff hats on staff connections alone.
CREATE TEMP TABLE hat AS
SELECT w.id AS person, h.* FROM who w JOIN csm.users u ON u.id = w.id AND u.enabled
CROSS JOIN LATERAL (
    SELECT 'contact:' || k.id AS hat, 'contact' AS kind, k.role, k.account_id FROM csm.contacts k WHERE k.user_id = w.id AND k.login_enabled
    UNION ALL SELECT 'staff:' || r.role, 'staff', r.role, NULL FROM csm.user_roles r WHERE r.user_id = w.id
    UNION ALL SELECT 'consumer', 'consumer', NULL, NULL FROM csm.consumers c WHERE c.user_id = w.id
    UNION ALL SELECT 'employee', 'employee', NULL, NULL FROM csm.employees c WHERE c.user_id = w.id) h;
CREATE TEMP TABLE viewer AS
SELECT row_number() OVER (ORDER BY w.id, r.role_name, h.hat) AS n, w.name, w.id AS person, r.role_name, r.role_name <> 'csm_portal' AS staff_side, h.hat
FROM who w, unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r(role_name),
     LATERAL (SELECT NULL AS hat UNION SELECT x.hat FROM hat x WHERE x.person = w.id AND r.role_name <> 'csm_admin') h;

CREATE FUNCTION pg_temp.below(of_account bigint, account bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (SELECT account AS id UNION SELECT a.parent_id FROM csm.accounts a JOIN up ON up.id = a.id)
    SELECT EXISTS (SELECT FROM up WHERE up.id = of_account) $$;
CREATE FUNCTION pg_temp.member(who bigint, of_group bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH RECURSIVE down AS (SELECT of_group AS id UNION SELECT g.id FROM csm.groups g JOIN down ON down.id = g.parent_id)
    SELECT EXISTS (SELECT FROM csm.group_members m JOIN down ON down.id = m.group_id WHERE m.user_id = who) $$;
CREATE FUNCTION pg_temp.wears(who bigint, staff boolean, narrowed text) RETURNS SETOF hat LANGUAGE sql STABLE AS $$
    SELECT h.* FROM hat h WHERE h.person = who AND (staff OR h.kind <> 'staff') AND (narrowed IS NULL OR narrowed = h.hat) $$;
CREATE FUNCTION pg_temp.as_staff(who bigint, staff boolean, narrowed text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT staff AND (narrowed IS NULL OR narrowed LIKE 'staff:%') $$;
CREATE FUNCTION pg_temp.true_of(who bigint, p csm.user_criteria_parts, staff boolean, narrowed text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE p.kind
        WHEN 'user' THEN p.user_id = who AND (narrowed IS NULL OR EXISTS (SELECT FROM pg_temp.wears(who, staff, narrowed)))
        WHEN 'group' THEN pg_temp.as_staff(who, staff, narrowed) AND pg_temp.member(who, p.group_id)
        ELSE EXISTS (SELECT FROM pg_temp.wears(who, staff, narrowed) h
                     WHERE CASE p.kind WHEN 'persona' THEN h.kind = p.persona WHEN 'role' THEN h.role = p.role
                                       WHEN 'account' THEN h.account_id = p.account_id OR p.include_descendants AND pg_temp.below(p.account_id, h.account_id) END) END $$;
CREATE TEMP TABLE holds AS
SELECT v.person, v.staff_side, v.hat, c.id AS criteria_id,
       c.active AND CASE c.match WHEN 'all' THEN bool_and(pg_temp.true_of(v.person, p, v.staff_side, v.hat)) ELSE bool_or(pg_temp.true_of(v.person, p, v.staff_side, v.hat)) END AS grants,
       -- a denial looks at all that he is
       c.active AND CASE c.match WHEN 'all' THEN bool_and(pg_temp.true_of(v.person, p, true, NULL)) ELSE bool_or(pg_temp.true_of(v.person, p, true, NULL)) END AS denies
FROM (SELECT DISTINCT person, staff_side, hat FROM viewer) v, csm.user_criteria c JOIN csm.user_criteria_parts p ON p.criteria_id = c.id
GROUP BY 1, 2, 3, c.id, c.active, c.match;

-- From the root of what a forum inherits down to it.
CREATE FUNCTION pg_temp.rights(v viewer, of_forum bigint, OUT staff boolean, OUT may text[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    f csm.forums;
    outside record;
    own boolean;
    ruled text[];
    granted text[];
    denied text[];
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = of_forum;
    SELECT pg_temp.as_staff(v.person, v.staff_side, v.hat) AND coalesce(a.owner_id = v.person OR pg_temp.member(v.person, a.group_id), false)
    INTO own FROM csm.audiences a WHERE a.id = f.audience_id;
    SELECT coalesce(array_agg(g.action) FILTER (WHERE NOT g.denies), '{}'), coalesce(array_agg(g.action) FILTER (WHERE NOT g.denies AND h.grants), '{}'),
           coalesce(array_agg(g.action) FILTER (WHERE g.denies AND h.denies), '{}') INTO ruled, granted, denied
    FROM csm.audience_grants g
    LEFT JOIN holds h ON h.criteria_id = g.criteria_id AND h.person = v.person AND h.staff_side = v.staff_side AND h.hat IS NOT DISTINCT FROM v.hat
    WHERE g.audience_id = f.audience_id;
    IF NOT EXISTS (SELECT FROM csm.users u WHERE u.id = v.person AND u.enabled AND u.tenant_id = f.tenant_id) THEN
        staff := false;
    ELSIF f.inherits THEN
        SELECT * INTO outside FROM pg_temp.rights(v, f.parent_id);
        staff := outside.staff OR own AND 'read' = ANY (outside.may);
        may := ARRAY(SELECT a FROM unnest(outside.may) a WHERE a <> ALL (denied) AND (a <> ALL (ruled) OR a = ANY (granted) OR 'manage' = ANY (outside.may)));
    ELSE
        staff := own;
        may := ARRAY(SELECT a FROM unnest('{read,ask,answer,moderate,manage}'::text[]) a
                     WHERE a <> ALL (denied) AND (a = ANY (granted) OR 'manage' = ANY (granted) AND 'manage' <> ALL (denied)));
    END IF;
    may := CASE WHEN staff THEN '{read,ask,answer,moderate,manage}' ELSE coalesce(may, '{}') END;
END $$;
CREATE TEMP TABLE rights AS
SELECT v.n, f.id AS forum_id, 'read' = ANY (r.may) AS r, 'ask' = ANY (r.may) AS a, 'answer' = ANY (r.may) AS w, 'moderate' = ANY (r.may) AS m
FROM viewer v, csm.forums f, LATERAL pg_temp.rights(v, f.id) r;
CREATE INDEX ON rights (n, forum_id);

-- ---- what is seen ----
-- Posts of all kinds: shown is what every reader of the forum sees, by the states of the post and of what it hangs on.
CREATE TEMP TABLE post AS
SELECT 'question' AS kind, q.id, q.id AS question_id, NULL::bigint AS answer_id, q.forum_id, q.author_id, q.author_id AS asker_id, q.state, q.state AS of_question, q.locked,
       q.state IN ('visible', 'deleted') AS shown, q.created_at, q.score, NULL::boolean AS accepted FROM csm.questions q
UNION ALL
SELECT 'answer', a.id, q.id, a.id, q.forum_id, a.author_id, q.author_id, a.state, q.state, q.locked,
       a.state IN ('visible', 'deleted') AND q.state IN ('visible', 'deleted'), a.created_at, a.score, a.accepted FROM csm.answers a JOIN csm.questions q ON q.id = a.question_id
UNION ALL
SELECT 'comment', c.id, q.id, c.answer_id, q.forum_id, c.author_id, q.author_id, c.state, q.state, q.locked,
       c.state IN ('visible', 'deleted') AND q.state IN ('visible', 'deleted') AND coalesce(a.state, 'visible') IN ('visible', 'deleted'), c.created_at, NULL, NULL
FROM csm.post_comments c JOIN csm.questions q ON q.id = c.question_id LEFT JOIN csm.answers a ON a.id = c.answer_id;
CREATE TEMP TABLE seen AS
SELECT v.n, p.kind, p.id, r.r AND (p.shown OR p.author_id = v.person OR r.m) AS yes FROM viewer v JOIN rights r ON r.n = v.n JOIN post p ON p.forum_id = r.forum_id;
CREATE INDEX ON seen (n, kind, id);
CREATE TEMP TABLE leaf AS
SELECT 'post_versions' AS tab, x.id, coalesce(x.question_id, x.answer_id, x.comment_id) AS post_id, CASE WHEN x.question_id IS NOT NULL THEN 'question' WHEN x.answer_id IS NOT NULL THEN 'answer' ELSE 'comment' END AS kind,
       x.author_id AS of_person, false AS open FROM csm.post_versions x
UNION ALL
SELECT 'post_reports', x.id, coalesce(x.question_id, x.answer_id, x.comment_id), CASE WHEN x.question_id IS NOT NULL THEN 'question' WHEN x.answer_id IS NOT NULL THEN 'answer' ELSE 'comment' END,
       x.reporter_id, x.closed_at IS NULL FROM csm.post_reports x
UNION ALL
SELECT 'moderation_acts', x.id, coalesce(x.question_id, x.answer_id, x.comment_id), CASE WHEN x.question_id IS NOT NULL THEN 'question' WHEN x.answer_id IS NOT NULL THEN 'answer' ELSE 'comment' END,
       x.author_id, false FROM csm.moderation_acts x;

CREATE TEMP TABLE defined AS
SELECT v.n, 'forums' AS tab, f.id FROM viewer v JOIN rights r ON r.n = v.n JOIN csm.forums f ON f.id = r.forum_id
WHERE r.r OR v.role_name = 'csm_admin' AND v.name = 'desk admin'
UNION ALL SELECT s.n, CASE s.kind WHEN 'comment' THEN 'post_comments' ELSE s.kind || 's' END, s.id FROM seen s WHERE s.yes
UNION ALL SELECT v.n, 'votes', x.id FROM viewer v JOIN csm.votes x ON x.voter_id = v.person WHERE v.name <> 'disabled'
UNION ALL SELECT v.n, 'subscriptions', x.id FROM viewer v JOIN csm.subscriptions x ON x.user_id = v.person WHERE v.role_name <> 'csm_admin' AND v.name <> 'disabled'
UNION ALL SELECT v.n, 'community_profiles', x.user_id FROM viewer v JOIN rights r ON r.n = v.n JOIN csm.community_profiles x ON x.forum_id = r.forum_id
          WHERE v.name <> 'disabled' AND (x.user_id = v.person OR x.visible AND r.r)
UNION ALL SELECT v.n, l.tab, l.id FROM viewer v, leaf l JOIN post p ON p.kind = l.kind AND p.id = l.post_id JOIN rights r ON r.forum_id = p.forum_id
          WHERE r.n = v.n AND v.role_name <> 'csm_admin' AND r.r AND (l.of_person = v.person OR r.m)
-- The queue: what is held, and each post with open reports once.
UNION ALL SELECT v.n, 'queue held ' || p.kind, p.id FROM viewer v JOIN rights r ON r.n = v.n JOIN post p ON p.forum_id = r.forum_id
          WHERE v.role_name <> 'csm_admin' AND p.state = 'held' AND r.r AND r.m
UNION ALL SELECT DISTINCT v.n, 'queue reported ' || p.kind, p.id FROM viewer v JOIN rights r ON r.n = v.n JOIN post p ON p.forum_id = r.forum_id
          JOIN leaf l ON l.tab = 'post_reports' AND l.open AND l.kind = p.kind AND l.post_id = p.id WHERE v.role_name <> 'csm_admin' AND r.r AND r.m
-- News: what others wrote where he follows, as far as he reads it.
UNION ALL SELECT v.n, 'news question', p.id FROM viewer v JOIN csm.subscriptions x ON x.user_id = v.person JOIN post p ON p.kind = 'question' AND p.forum_id = x.forum_id
          JOIN seen s ON s.n = v.n AND s.kind = p.kind AND s.id = p.id AND s.yes
          WHERE v.role_name <> 'csm_admin' AND p.created_at > x.seen_at AND p.state = 'visible' AND p.author_id <> v.person
UNION ALL SELECT v.n, 'news ' || p.kind, p.id FROM viewer v JOIN csm.subscriptions x ON x.user_id = v.person JOIN post p ON p.kind <> 'question' AND p.question_id = x.question_id
          JOIN seen s ON s.n = v.n AND s.kind = p.kind AND s.id = p.id AND s.yes JOIN seen t ON t.n = v.n AND t.kind = 'question' AND t.id = p.question_id AND t.yes
          WHERE v.role_name <> 'csm_admin' AND p.created_at > x.seen_at AND p.state = 'visible' AND p.author_id <> v.person;

CREATE FUNCTION pg_temp.enter(v viewer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('csm.user_id', coalesce(v.person::text, ''), true), set_config('csm.persona', coalesce(v.hat, ''), true), set_config('role', v.role_name, true);
    IF NOT row_security_active('csm.questions') THEN
        RAISE EXCEPTION 'row security is not active for %', v.role_name;
    END IF;
END $$;
CREATE FUNCTION pg_temp.leave() RETURNS void LANGUAGE sql AS $$
    SELECT set_config('role', 'none', true), set_config('csm.persona', '', true), set_config('csm.user_id', '', true) $$;
CREATE FUNCTION pg_temp.read(v viewer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
    more text[] := '{}';
BEGIN
    PERFORM pg_temp.enter(v);
    SELECT array_agg(x.t || ' ' || x.id) INTO found
    FROM (SELECT 'forums' AS t, id FROM csm.forums UNION ALL SELECT 'questions', id FROM csm.questions UNION ALL SELECT 'answers', id FROM csm.answers
          UNION ALL SELECT 'post_comments', id FROM csm.post_comments UNION ALL SELECT 'votes', id FROM csm.votes
          UNION ALL SELECT 'community_profiles', user_id FROM csm.community_profiles) x;
    IF v.role_name <> 'csm_admin' THEN
        SELECT array_agg(x.t || ' ' || x.id) INTO more
        FROM (SELECT 'subscriptions' AS t, id FROM csm.subscriptions UNION ALL SELECT 'post_versions', id FROM csm.post_versions
              UNION ALL SELECT 'post_reports', id FROM csm.post_reports UNION ALL SELECT 'moderation_acts', id FROM csm.moderation_acts
              UNION ALL SELECT 'queue ' || why || ' ' || kind, post_id FROM csm.moderation_queue()
              UNION ALL SELECT 'news ' || kind, post_id FROM csm.community_news()) x;
    END IF;
    PERFORM pg_temp.leave();
    RETURN ARRAY(SELECT u FROM unnest(found || more) u ORDER BY u COLLATE "C");
END $$;
CREATE TEMP TABLE compared AS
SELECT v.*, pg_temp.read(v) AS found, ARRAY(SELECT d.tab || ' ' || d.id FROM defined d WHERE d.n = v.n ORDER BY (d.tab || ' ' || d.id) COLLATE "C") AS expected FROM viewer v;
SELECT is((SELECT count(*) FROM compared c WHERE c.role_name = r AND c.found <> c.expected), 0::bigint, 'A6 T1 everybody reads of the community what the rules say, as ' || r)
FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT diag(format('%s as %s %s: too many %s, missing %s', c.name, c.role_name, c.hat,
                   (SELECT array_agg(k) FROM (SELECT unnest(c.found) EXCEPT SELECT unnest(c.expected) LIMIT 5) x(k)),
                   (SELECT array_agg(k) FROM (SELECT unnest(c.expected) EXCEPT SELECT unnest(c.found) LIMIT 5) x(k))))
FROM (SELECT * FROM compared WHERE found <> expected LIMIT 5) c;
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM compared c, viewer v WHERE v.n = c.n AND pg_temp.read(v) <> c.expected), 0::bigint, 'A6 an index never makes a difference');
RESET enable_seqscan;

-- Visitors read what is shown in public forums of their tenant, nobody and the tenant next door nothing.
CREATE FUNCTION pg_temp.visits(of_tenant text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
BEGIN
    PERFORM set_config('csm.tenant', of_tenant, true), set_config('csm.user_id', '', true), set_config('role', 'csm_guest', true);
    SELECT array_agg(x.t || ' ' || x.id ORDER BY (x.t || ' ' || x.id) COLLATE "C") INTO found
    FROM (SELECT 'forum' AS t, id FROM csm.forums UNION ALL SELECT 'question', id FROM csm.questions UNION ALL SELECT 'answer', id FROM csm.answers UNION ALL SELECT 'comment', id FROM csm.post_comments) x;
    PERFORM set_config('role', 'none', true), set_config('csm.tenant', '', true);
    RETURN found;
END $$;
SELECT is(pg_temp.visits('small'), (SELECT array_agg(x.t || ' ' || x.id ORDER BY (x.t || ' ' || x.id) COLLATE "C")
    FROM (SELECT 'forum' AS t, f.id FROM csm.forums f WHERE f.is_public
          UNION ALL SELECT p.kind, p.id FROM post p JOIN csm.forums f ON f.id = p.forum_id WHERE f.is_public AND p.shown) x), 'B58 T1 visitors read what the rules say');
SELECT is(pg_temp.visits(t), NULL, format('V13 visitors of "%s" none', t)) FROM unnest('{foreign,"",nowhere}'::text[]) t;
SELECT is(pg_temp.read(ROW(0, 'nobody', NULL, r, r <> 'csm_portal', NULL)::viewer), '{}', 'V14 nobody reads nothing, as ' || r) FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;

-- ---- what is permitted ----
-- Each command on each class of posts: what the statement gives, or its error.
CREATE TEMP TABLE command (name text, kinds text[], statement text);
INSERT INTO command VALUES
    ('answer', '{question}', 'SELECT (csm.answer_question(%2$s, ''b'')).state'), ('comment', '{question,answer,comment}', 'SELECT (csm.comment_post(%1$L, %2$s, ''b'')).state'),
    ('vote', '{question,answer,comment}', 'SELECT csm.vote(%1$L, %2$s)'), ('accept', '{answer}', 'SELECT (csm.accept_answer(%2$s)).answered'),
    ('edit', '{question,answer,comment}', 'SELECT csm.edit_post(%1$L, %2$s, ''c'')'), ('delete', '{question,answer,comment}', 'SELECT csm.delete_post(%1$L, %2$s)'),
    ('report', '{question,answer,comment}', 'SELECT csm.report_post(%1$L, %2$s, ''r'')'), ('follow', '{question}', 'INSERT INTO csm.subscriptions (question_id) VALUES (%2$s) RETURNING ''ok''');
INSERT INTO command SELECT a, '{question,answer,comment}', format('SELECT (csm.moderate(%%1$L, %%2$s, %L, ''r'', %s)).action', a, CASE a WHEN 'move' THEN '%3$L' ELSE 'NULL' END)
FROM unnest('{approve,hide,restore,dismiss,lock,unlock,move}'::text[]) a;
CREATE FUNCTION pg_temp.first_state(v viewer, of_forum bigint, moderates boolean) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT moderates AND (SELECT count(*) FROM post p WHERE p.author_id = v.person AND p.state = 'visible') < f.hold_posts THEN 'held' ELSE 'visible' END
    FROM csm.forums f WHERE f.id = of_forum $$;
CREATE FUNCTION pg_temp.permitted(v viewer, c text, p post, target bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    r rights;
    t rights;
    f csm.forums;
    own CONSTANT boolean := p.author_id = v.person;
BEGIN
    SELECT * INTO r FROM rights x WHERE x.n = v.n AND x.forum_id = p.forum_id;
    SELECT * INTO t FROM rights x WHERE x.n = v.n AND x.forum_id = target;
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id;
    IF v.role_name = 'csm_admin' OR NOT (SELECT s.yes FROM seen s WHERE s.n = v.n AND s.kind = p.kind AND s.id = p.id) THEN
        -- nobody has no tenant in which to follow anything
        RETURN CASE WHEN c = 'follow' AND v.name = 'disabled' AND v.role_name <> 'csm_admin' THEN '22023' ELSE '42501' END;
    END IF;
    CASE c
    WHEN 'answer', 'comment' THEN
        RETURN CASE WHEN NOT (r.w OR c = 'comment' AND p.asker_id = v.person AND r.a) THEN '42501'
                    WHEN p.state <> 'visible' OR p.of_question <> 'visible' OR NOT f.active OR p.locked AND NOT r.m THEN '55000'
                    ELSE pg_temp.first_state(v, p.forum_id, r.m) END;
    WHEN 'vote' THEN
        RETURN CASE WHEN p.kind = 'comment' THEN '22023' WHEN own THEN '42501' WHEN p.state <> 'visible' OR p.of_question <> 'visible' OR p.locked THEN '55000'
                    ELSE ((SELECT coalesce(sum(x.value), 0) FROM csm.votes x WHERE x.voter_id <> v.person
                             AND CASE p.kind WHEN 'question' THEN x.question_id ELSE x.answer_id END = p.id) + 1)::text END;
    WHEN 'accept' THEN
        RETURN CASE WHEN NOT (p.asker_id = v.person OR r.m) THEN '42501' WHEN p.state <> 'visible' OR p.of_question <> 'visible' OR p.locked AND NOT r.m THEN '55000' ELSE 'true' END;
    WHEN 'edit' THEN
        RETURN CASE WHEN NOT own AND NOT r.m THEN '42501' WHEN p.state = 'deleted' THEN '55000'
                    WHEN NOT r.m AND (p.locked OR p.state = 'hidden' OR p.created_at < now() - interval '60 minutes') THEN '55000' ELSE '' END;
    WHEN 'delete' THEN
        RETURN CASE WHEN NOT own THEN '42501' WHEN p.locked OR p.state IN ('hidden', 'deleted') THEN '55000' ELSE '' END;
    WHEN 'report' THEN
        RETURN CASE WHEN own OR p.state = 'deleted' THEN '55000'
                    ELSE (NOT EXISTS (SELECT FROM leaf l WHERE l.tab = 'post_reports' AND l.open AND l.kind = p.kind AND l.post_id = p.id AND l.of_person = v.person))::text END;
    WHEN 'follow' THEN
        RETURN CASE WHEN EXISTS (SELECT FROM csm.subscriptions x WHERE x.question_id = p.id AND x.user_id = v.person) THEN '23505' ELSE 'ok' END;
    ELSE
        RETURN CASE WHEN NOT r.m THEN '42501' WHEN c IN ('lock', 'unlock', 'move') AND p.kind <> 'question' THEN '22023'
                    WHEN c = 'move' AND NOT (t.r AND t.m) THEN '42501'
                    WHEN c = 'move' AND NOT (SELECT x.active FROM csm.forums x WHERE x.id = target) THEN '55000'
                    WHEN c = 'approve' AND p.state <> 'held' OR c = 'restore' AND p.state <> 'hidden' OR c = 'hide' AND p.state NOT IN ('visible', 'held')
                         OR c = 'lock' AND p.locked OR c = 'unlock' AND NOT p.locked OR c = 'move' AND target = p.forum_id THEN '55000' ELSE c END;
    END CASE;
END $$;
CREATE FUNCTION pg_temp.try(v viewer, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        PERFORM pg_temp.enter(v);
        EXECUTE statement INTO answer;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := SQLSTATE;
    END;
    PERFORM pg_temp.leave();
    RETURN answer;
END $$;

-- For each command: a pair of each relation of a person to a post where the state of the post is not in the way, and one of
-- each state of a post where what the person may do is not.
CREATE TEMP TABLE tried AS
SELECT v.n, c.name AS command, p.kind, p.id, t.id AS target, pg_temp.permitted(v, c.name, p, t.id) AS expected, pg_temp.try(v, format(c.statement, p.kind, p.id, t.key)) AS found
FROM (SELECT x.*, row_number() OVER (PARTITION BY x.command, x.relation ORDER BY x.free DESC, random()) AS pick, row_number() OVER (PARTITION BY x.command, x.class ORDER BY x.able DESC, random()) AS other
      FROM (SELECT v.n, c.name AS command, p.kind, p.id, 
                   CASE c.name WHEN 'approve' THEN p.state = 'held' WHEN 'restore' THEN p.state = 'hidden' WHEN 'unlock' THEN p.locked
                       ELSE p.state = 'visible' AND p.of_question = 'visible' AND NOT p.locked AND f.active END AS free,
                   concat_ws(' ', p.kind, v.role_name = 'csm_admin', p.author_id = v.person, p.asker_id = v.person, CASE WHEN r.r THEN concat(r.a, r.w, r.m) END) AS relation,
                   concat_ws(' ', p.kind, p.state, p.of_question, p.locked, f.active, r.m) AS class,
                   v.role_name <> 'csm_admin' AND r.r AND r.a AND r.w AND (p.author_id = v.person) = (c.name IN ('edit', 'delete')) AND (p.asker_id = v.person OR c.name <> 'accept') AS able
            FROM viewer v CROSS JOIN command c JOIN post p ON p.kind = ANY (c.kinds) JOIN csm.forums f ON f.id = p.forum_id JOIN rights r ON r.n = v.n AND r.forum_id = p.forum_id) x) y
JOIN viewer v ON v.n = y.n JOIN command c ON c.name = y.command JOIN post p ON p.kind = y.kind AND p.id = y.id
-- where to: of forums in which he moderates, only reads, and reads nothing, one each
CROSS JOIN LATERAL (SELECT DISTINCT ON (m.r, m.m) f.* FROM csm.forums f JOIN rights m ON m.forum_id = f.id AND m.n = y.n
                    WHERE c.name = 'move' OR f.id = p.forum_id ORDER BY m.r, m.m, random()) t
WHERE y.pick = 1 OR y.other = 1;
INSERT INTO tried
SELECT v.n, 'ask', 'forum', f.id, NULL,
       CASE WHEN v.role_name = 'csm_admin' OR NOT (r.r AND r.a) THEN '42501' WHEN NOT f.active THEN '55000' ELSE pg_temp.first_state(v, f.id, r.m) END,
       pg_temp.try(v, format('SELECT (csm.ask(%L, ''t'', ''b'')).state', f.key))
FROM viewer v JOIN rights r ON r.n = v.n JOIN csm.forums f ON f.id = r.forum_id;
INSERT INTO tried
SELECT v.n, 'follow', 'forum', f.id, NULL,
       CASE WHEN v.role_name = 'csm_admin' OR NOT r.r THEN '42501' WHEN EXISTS (SELECT FROM csm.subscriptions s WHERE s.forum_id = f.id AND s.user_id = v.person) THEN '23505' ELSE 'ok' END,
       pg_temp.try(v, format('INSERT INTO csm.subscriptions (forum_id) VALUES (%s) RETURNING ''ok''', f.id))
FROM viewer v JOIN rights r ON r.n = v.n JOIN csm.forums f ON f.id = r.forum_id WHERE v.name <> 'disabled';
INSERT INTO tried
SELECT v.n, 'show oneself', 'forum', f.id, NULL,
       CASE WHEN v.role_name = 'csm_admin' OR NOT r.r THEN '42501' WHEN EXISTS (SELECT FROM csm.community_profiles x WHERE x.user_id = v.person) THEN '23505' ELSE 'ok' END,
       pg_temp.try(v, format('INSERT INTO csm.community_profiles (forum_id, handle) VALUES (%s, ''some.body'') RETURNING ''ok''', f.id))
FROM viewer v JOIN rights r ON r.n = v.n JOIN csm.forums f ON f.id = r.forum_id WHERE v.name <> 'disabled';
SELECT is((SELECT count(*) FROM tried t WHERE t.command = c AND t.found IS DISTINCT FROM t.expected), 0::bigint, format('A6 T1 %s answers everybody by the rules', c))
FROM (SELECT DISTINCT command FROM tried) x(c) ORDER BY c;
SELECT diag(format('%s by %s as %s %s on %s %s: %s instead of %s', t.command, v.name, v.role_name, v.hat, t.kind, t.id, t.found, t.expected))
FROM (SELECT * FROM tried WHERE found IS DISTINCT FROM expected LIMIT 8) t JOIN viewer v ON v.n = t.n;
SELECT is(pg_temp.try(ROW(0, 'nobody', NULL, r, r <> 'csm_portal', NULL)::viewer, format(c.statement, c.kinds[1], p.id, 'f1')), '42501', format('V14 %s by nobody, as %s', c.name, r))
FROM command c, unnest('{csm_portal,csm_agent,csm_guest}'::text[]) r, LATERAL (SELECT min(p.id) AS id FROM post p WHERE p.kind = c.kinds[1] AND p.shown) p
WHERE c.name <> 'follow' OR r = 'csm_guest';

-- The world says yes and no often enough to mean something.
SELECT cmp_ok((SELECT count(*) FROM tried t WHERE t.command = c AND t.found !~ '^([0-9]{5}|SM...)$'), '>=', 1::bigint, format('A6 somebody may %s', c)) FROM (SELECT DISTINCT command FROM tried) x(c) ORDER BY c;
SELECT cmp_ok((SELECT count(*) FROM tried t WHERE t.command = c AND t.found ~ '^[0-9]{5}$'), '>=', 10::bigint, format('A6 at least 10 may not %s', c)) FROM (SELECT DISTINCT command FROM tried) x(c) ORDER BY c;
SELECT cmp_ok((SELECT count(*) FROM tried WHERE found = 'held'), '>=', 1::bigint, 'A6 a post waits');
SELECT cmp_ok((SELECT count(DISTINCT expected)::int FROM compared), '>', 12, 'A6 the world tells people apart');
SELECT cmp_ok((SELECT count(*)::int FROM rights r JOIN csm.forums f ON f.id = r.forum_id AND f.inherits WHERE r.r), '>', 5, 'A6 some read what inherits');
SELECT diag(format('%s viewers, %s pairs tried', (SELECT count(*) FROM viewer), (SELECT count(*) FROM tried)));
SELECT * FROM finish();
