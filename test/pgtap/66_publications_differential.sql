-- Who reads which publication of a random world, asked of the policies and defined in plain SQL over base tables, and whom
-- one addresses, asked from the criteria and of each person.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.41, people => 30, accounts => 30, cases => 5) \g /dev/null
\ir ../lib/criteria.sql

-- A series for each audience that stands alone, publications of every stage for it and for those within it.
INSERT INTO csm.publication_series (tenant_id, audience_id, key, title) SELECT tenant_id, id, 's' || id, 'S' FROM csm.audiences WHERE within_id IS NULL;
SET csm.importing = on;
INSERT INTO csm.publications (tenant_id, series_id, audience_id, author_id, state, published_at, expires_at)
SELECT a.tenant_id, s.id, a.id, (SELECT u.id FROM csm.users u WHERE u.tenant_id = a.tenant_id AND n > 0 AND a.id > 0 ORDER BY random() LIMIT 1), x.state,
       CASE WHEN x.state IN ('published', 'expired') THEN now() - interval '2 days' END,
       CASE WHEN world.chance(0.4 + 0 * (a.id + n)) THEN now() + world.pick('{-1 day,1 day}'::text[])::interval END
FROM csm.audiences a JOIN csm.publication_series s ON s.audience_id IN (a.id, a.within_id)
CROSS JOIN (VALUES ('author', 1), ('author', 2), ('review', 1), ('ready', 1), ('published', 1), ('published', 2), ('published', 3), ('expired', 1), ('cancelled', 1)) x(state, n);
INSERT INTO csm.publication_texts (tenant_id, publication_id, language, title, body) SELECT tenant_id, id, 'en', 't', 'b' FROM csm.publications;
RESET csm.importing;
ANALYZE;

CREATE FUNCTION pg_temp.asked(who bigint, role_name text, narrowed text, relation text, key text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[];
BEGIN
    PERFORM world.enter(who, role_name, narrowed);
    IF NOT row_security_active('csm.publications') THEN
        RAISE EXCEPTION 'row security is not active';
    END IF;
    EXECUTE format('SELECT coalesce(array_agg(%I ORDER BY %1$I), ''{}'') FROM %s', key, relation) INTO found;
    PERFORM world.leave();
    RETURN found;
END $$;
CREATE TEMP TABLE may AS
SELECT u.id AS user_id, u.tenant_id, s.staff_side, a.id AS audience_id, array_agg(r.action) FILTER (WHERE r.granted) AS actions, min(r.via) FILTER (WHERE r.action = 'read') AS via,
       min(r.criteria) FILTER (WHERE r.action = 'read') AS criteria
FROM csm.users u JOIN csm.audiences a ON a.tenant_id = u.tenant_id CROSS JOIN (VALUES (true), (false)) s(staff_side)
CROSS JOIN LATERAL csm_private.audience_rights(u.tenant_id, u.id, a.id, s.staff_side, NULL, statement_timestamp()) r
GROUP BY 1, 2, 3, 4;
CREATE FUNCTION pg_temp.reads(who bigint, p csm.publications, actions text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce('read' = ANY (actions) AND p.state = 'published' AND coalesce(p.expires_at, 'infinity') > statement_timestamp() OR 'manage' = ANY (actions)
                    OR 'contribute' = ANY (actions) AND p.author_id = who AND p.state = ANY ('{author,review,ready}'::text[]), false)
$$;
CREATE TEMP TABLE answer AS
SELECT u.id AS user_id, u.tenant_id, r.role_name, pg_temp.asked(u.id, r.role_name, NULL, 'csm.publications', 'id') AS asked,
       pg_temp.asked(u.id, r.role_name, NULL, 'csm.publication_texts', 'publication_id') AS texts,
       CASE WHEN r.role_name IN ('csm_portal', 'csm_agent') THEN pg_temp.asked(u.id, r.role_name, NULL, 'csm.my_publications(1000)', 'publication_id') END AS mine,
       ARRAY(SELECT p.id FROM csm.publications p JOIN may m USING (audience_id)
             WHERE m.user_id = u.id AND m.staff_side = (r.role_name <> 'csm_portal') AND pg_temp.reads(u.id, p, m.actions) ORDER BY p.id) AS defined,
       ARRAY(SELECT p.id FROM csm.publications p JOIN may m USING (audience_id)
             WHERE m.user_id = u.id AND m.staff_side = (r.role_name <> 'csm_portal') AND 'read' = ANY (m.actions) AND p.state = 'published'
               AND coalesce(p.expires_at, 'infinity') > statement_timestamp() ORDER BY p.id) AS addressed
FROM csm.users u, unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r(role_name);
SELECT is((SELECT count(*) FROM answer a WHERE a.role_name = r AND a.asked <> a.defined), 0::bigint, 'B41 everybody reads what the definition says, as ' || r)
FROM unnest('{csm_portal,csm_agent,csm_admin}'::text[]) r;
SELECT is((SELECT count(*) FROM answer a WHERE a.texts <> a.asked), 0::bigint, 'B41 and the words of just these');
SELECT is((SELECT count(*) FROM answer a WHERE a.mine <> a.addressed), 0::bigint, 'B41 csm.my_publications() has those that are published and address him');
SELECT cmp_ok((SELECT sum(cardinality(asked)) FROM answer WHERE role_name = r), '>=', 300::bigint, 'B41 at least 300 answers yes, as ' || r) FROM unnest('{csm_portal,csm_agent}'::text[]) r;
SELECT cmp_ok((SELECT count(*) FROM answer a CROSS JOIN unnest(a.asked) x(id) JOIN csm.publications p ON p.id = x.id WHERE p.state = s AND NOT p.id = ANY (a.addressed)), '>=', 10::bigint,
              'B41 at least 10 of them a publication in stage ' || s) FROM unnest('{author,review,ready,expired,cancelled}'::text[]) s;
SELECT is((SELECT count(*) FROM answer a CROSS JOIN unnest(a.asked) x(id) JOIN csm.publications p ON p.id = x.id WHERE p.tenant_id <> a.tenant_id), 0::bigint, 'V13 no publication of the other tenant');
-- Events of them are for those who read them; that one ended for those who would read it, too. A subscriber for each role,
-- because what is hidden is passed by for good.
INSERT INTO csm.event_subscribers (tenant_id, key, user_id, subjects) SELECT tenant_id, r || id, id, '{publication}' FROM csm.users, unnest('{csm_portal,csm_agent}'::text[]) r;
INSERT INTO csm.events (tenant_id, kind, publication_id) SELECT tenant_id, k, id FROM csm.publications, unnest('{publication_published,publication_ended}'::text[]) k;
CREATE TEMP TABLE heard AS
SELECT a.user_id, a.role_name, a.asked, pg_temp.asked(a.user_id, a.role_name, NULL, format('(SELECT publication_id FROM csm.next_events(''%s'', 10000) WHERE kind = ''publication_published'') x', a.role_name || a.user_id), 'publication_id') AS published,
       pg_temp.asked(a.user_id, a.role_name, NULL, format('(SELECT publication_id FROM csm.next_events(''%s'', 10000) WHERE kind = ''publication_ended'') x', a.role_name || a.user_id), 'publication_id') AS ended,
       ARRAY(SELECT p.id FROM csm.publications p JOIN may m USING (audience_id) WHERE m.user_id = a.user_id AND m.staff_side = (a.role_name <> 'csm_portal')
             AND ('read' = ANY (m.actions) OR p.id = ANY (a.asked)) ORDER BY p.id) AS would
FROM answer a JOIN csm.users u ON u.id = a.user_id AND u.enabled WHERE a.role_name IN ('csm_portal', 'csm_agent') AND a.user_id % 3 = 0;
SELECT is((SELECT count(*) FROM heard WHERE published <> asked), 0::bigint, 'D5 an event is for who reads what it is about');
SELECT is((SELECT count(*) FROM heard WHERE ended <> would), 0::bigint, 'D5 that it ended for who would read it');
SELECT cmp_ok((SELECT count(*) FROM heard WHERE published <> ended), '>=', 5::bigint, 'D5 (which is not the same for at least 5)');
CREATE TEMP TABLE narrowed AS
SELECT x.user_id, x.persona, r.role_name, pg_temp.asked(x.user_id, r.role_name, x.persona, 'csm.publications', 'id') AS asked, 
       ARRAY(SELECT p.id FROM csm.users u JOIN csm.audiences a ON a.tenant_id = u.tenant_id
             CROSS JOIN LATERAL (SELECT array_agg(d.action) FILTER (WHERE d.granted) AS actions
                                 FROM csm_private.audience_rights(u.tenant_id, u.id, a.id, r.role_name <> 'csm_portal', x.persona, statement_timestamp()) d) d
             JOIN csm.publications p ON p.audience_id = a.id
             WHERE u.id = x.user_id AND pg_temp.reads(u.id, p, d.actions) ORDER BY p.id) AS defined
FROM (SELECT user_id, 'contact:' || id AS persona FROM csm.contacts UNION SELECT user_id, 'staff:' || role FROM csm.user_roles UNION SELECT user_id, 'consumer' FROM csm.consumers) x,
     unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
WHERE abs(hashtext(x.user_id || x.persona)) % 6 = 0;
SELECT is((SELECT count(*) FROM narrowed WHERE asked <> defined), 0::bigint, 'T12 each persona reads what the definition says of it');
SELECT cmp_ok((SELECT count(*) FROM narrowed WHERE cardinality(asked) > 0), '>=', 20::bigint, 'T12 at least 20 personas read something');

-- Whom: for each of the criteria by itself, and for audiences in which several, and outer ones, have a say.
CREATE TEMP TABLE probe (criteria_id bigint, tenant_id bigint, audience_id bigint);
DO $$
DECLARE
    c csm.user_criteria;
    made bigint;
BEGIN
    FOR c IN SELECT * FROM csm.user_criteria LOOP
        INSERT INTO csm.audiences (tenant_id) VALUES (c.tenant_id) RETURNING id INTO made;
        INSERT INTO csm.audience_grants (tenant_id, audience_id, action, criteria_id) VALUES (c.tenant_id, made, 'read', c.id);
        INSERT INTO probe VALUES (c.id, c.tenant_id, made);
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.people(audience bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$ SELECT coalesce(array_agg(x ORDER BY x), '{}') FROM csm_private.audience_people(audience) x $$;
CREATE TEMP TABLE satisfied AS
SELECT p.criteria_id, p.audience_id, pg_temp.people(p.audience_id) AS people,
       ARRAY(SELECT u.id FROM csm.users u CROSS JOIN LATERAL csm_private.audience_rights(p.tenant_id, u.id, p.audience_id, true, NULL, statement_timestamp()) r
             WHERE u.tenant_id = p.tenant_id AND r.action = 'read' AND r.granted ORDER BY u.id) AS defined
FROM probe p;
SELECT is((SELECT count(*) FROM satisfied WHERE people <> defined), 0::bigint, 'B41 who satisfies criteria, from them to the persons and the other way round');
SELECT diag(format('criteria %s: too many %s, missing %s, parts %s', criteria_id, (SELECT array_agg(x) FROM (SELECT unnest(people) EXCEPT SELECT unnest(defined)) y(x)),
                   (SELECT array_agg(x) FROM (SELECT unnest(defined) EXCEPT SELECT unnest(people)) y(x)), (SELECT json_agg(q) FROM csm.user_criteria_parts q WHERE q.criteria_id = s.criteria_id)))
FROM satisfied s WHERE people <> defined LIMIT 3;
SELECT cmp_ok((SELECT count(*) FROM satisfied WHERE cardinality(people) > 0), '>=', 30::bigint, 'B41 (at least 30 that somebody satisfies)');
SELECT cmp_ok((SELECT count(*) FROM satisfied s JOIN csm.user_criteria_parts p USING (criteria_id) WHERE p.kind = k AND cardinality(people) > 0), '>=', 1::bigint, 'B41 (some of them by ' || k || ')')
FROM unnest('{user,group,role,account,persona,product,location,language,list}'::text[]) k;
SELECT is((SELECT count(*) FROM csm.audiences a
           WHERE pg_temp.people(a.id) <> (WITH RECURSIVE chain(n, id, within_id) AS (
                                              SELECT 0, a.id, a.within_id UNION ALL SELECT c.n + 1, o.id, o.within_id FROM chain c JOIN csm.audiences o ON o.id = c.within_id)
                                          SELECT coalesce(array_agg(DISTINCT x ORDER BY x), '{}') FROM (
                                              SELECT min(c.n) AS n FROM chain c JOIN csm.audience_grants g ON g.audience_id = c.id AND g.action = 'read' AND NOT g.denies) i
                                          JOIN chain c ON c.n = i.n JOIN csm.audience_grants g ON g.audience_id = c.id AND g.action = 'read' AND NOT g.denies
                                          JOIN satisfied s ON s.criteria_id = g.criteria_id CROSS JOIN unnest(s.defined) x)), 0::bigint, 'B41 whom an audience addresses');
SELECT is((SELECT count(*) FROM may m
           WHERE 'read' = ANY (m.actions) AND m.via ~ '^granted' AND NOT m.user_id = ANY (pg_temp.people(m.audience_id))
             AND NOT EXISTS (SELECT FROM csm.audience_grants g JOIN csm.user_criteria c ON c.id = g.criteria_id
                             WHERE g.action = 'manage' AND NOT g.denies AND c.key = ANY (m.criteria) AND c.tenant_id = m.tenant_id)), 0::bigint,
          'B41 nobody who reads because somebody said so is left out');
SELECT * FROM finish();
