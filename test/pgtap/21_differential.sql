-- The access map against the definition in plain SQL, on a random world: a thousand people, every case, SELECT as
-- csm_portal and as csm_agent, what each may do, UPDATE, INSERT, personas, and the other tables.
\ir ../lib/world.sql
\ir ../lib/rules.sql
\ir ../lib/compare.sql
SET jit = off;
SELECT * FROM no_plan();
SELECT world.build(seed => 0.42, people => 1000, accounts => 300, cases => 2600) \g /dev/null

-- By definition, once for all pairs.
SELECT world.compute(statement_timestamp()) \g /dev/null
CREATE TEMP TABLE reason AS
SELECT r.*, r.rule || ' ' || CASE
        WHEN r.rule = 'V4' THEN regexp_replace(r.via, '^(requester|opener), (\S+).*$', '\1, \2')
        WHEN r.rule = 'V6' THEN CASE WHEN r.via ~ 'within' THEN 'representative within' WHEN r.via ~ '^repr' THEN 'representative' ELSE 'head' END
        WHEN r.rule = 'V7' THEN CASE WHEN r.via ~ 'account' THEN 'account' ELSE 'person' END
        WHEN r.rule IN ('V5', 'V8') THEN CASE WHEN r.via ~ 'named as' THEN 'named contact' WHEN r.via ~ 'partner account' THEN 'named account'
                                              WHEN r.via ~ 'without' THEN 'any contact' WHEN r.via ~ 'relationship' THEN 'scope all'
                                              ELSE 'role' END
        WHEN r.rule = 'V9' THEN regexp_replace(r.via, '( of branch .*| \d+)$', '')
        WHEN r.rule IN ('V1', 'V3') THEN (regexp_match(r.via, '\w+$'))[1]
        END AS arm
FROM world.reason r
WHERE 'case_read' = ANY (r.actions) OR r.actions && '{case_comment,case_decide,case_work}'::text[];
ANALYZE reason;
CREATE INDEX ON reason (user_id, case_id);
CREATE TEMP TABLE slow AS
SELECT side.staff, r.user_id, r.case_id, world.as_letters(array_agg(DISTINCT a.action)) AS letters
FROM (VALUES (false), (true)) side(staff)
JOIN reason r ON side.staff OR NOT r.staff
CROSS JOIN unnest(r.actions) a(action)
GROUP BY 1, 2, 3 HAVING 'case_read' = ANY (array_agg(a.action));

CREATE INDEX ON slow (user_id);

-- By asking.
CREATE TEMP TABLE person AS
SELECT t.id AS tenant_id, u.id, row_number() OVER (PARTITION BY t.id ORDER BY u.id) AS n
FROM world.tenants t JOIN csm.users u ON u.tenant_id = t.id;
CREATE TEMP TABLE fast AS
SELECT r.role_name = 'csm_agent' AS staff, p.id AS user_id, f.case_id, f.letters
FROM person p
CROSS JOIN unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
CROSS JOIN LATERAL world.fast(p.id, r.role_name) f;

CREATE TEMP TABLE difference AS
SELECT staff, user_id, case_id, f.letters AS fast, s.letters AS slow
FROM fast f FULL JOIN slow s USING (staff, user_id, case_id)
WHERE f.letters IS DISTINCT FROM s.letters;
SELECT diag(format('%s people, %s cases, %s pairs visible by definition, %s by asking',
                   (SELECT count(*) FROM person), (SELECT count(*) FROM csm.cases), (SELECT count(*) FROM slow), (SELECT count(*) FROM fast)));
SELECT is((SELECT count(*) FROM difference d WHERE NOT d.staff AND (d.fast IS NULL OR d.slow IS NULL)), 0::bigint,
          'V1 to V8: a SELECT as csm_portal shows what the definition says');
SELECT is((SELECT count(*) FROM difference d WHERE d.staff AND (d.fast IS NULL OR d.slow IS NULL)), 0::bigint,
          'V9: a SELECT as csm_agent shows what the definition says');
SELECT is((SELECT count(*) FROM difference d WHERE d.fast <> d.slow), 0::bigint,
          'V1 to V9: comment, decide and work as the definition says');
SELECT diag(format('staff %s user %s case %s (%s): asked %s, defined %s: %s', d.staff, d.user_id, d.case_id, c.branch,
                   coalesce(quote_literal(d.fast), 'hidden'), coalesce(quote_literal(d.slow), 'hidden'),
                   coalesce((SELECT string_agg(r.arm || ' [' || r.via || '] ' || r.role || ' ' || r.actions::text, ' + ')
                             FROM reason r WHERE r.user_id = d.user_id AND r.case_id = d.case_id), 'no reason')))
FROM (SELECT d.*, row_number() OVER (PARTITION BY staff, d.fast IS NULL, d.slow IS NULL ORDER BY user_id, case_id) AS n FROM difference d) d
JOIN csm.cases c ON c.id = d.case_id
WHERE d.n <= 6;

-- Each arm has granted and denied often enough to mean something. A pair counts as denied when the case has the arm's
-- key and the person does not see it.
CREATE TEMP TABLE arm AS
SELECT v.arm, v.staff, v.key,
       (SELECT count(DISTINCT (r.user_id, r.case_id)) FROM reason r WHERE r.arm = v.arm) AS grants,
       (SELECT count(*) FROM (SELECT r.user_id, r.case_id FROM reason r WHERE r.staff <= v.staff GROUP BY 1, 2
                              HAVING bool_and(r.arm = v.arm)) s) AS alone
FROM (VALUES
    ('V1 subtree', false, 'account_id'), ('V3 account', false, 'account_id'), ('V3 subtree', false, 'account_id'),
    ('V4 requester, any', false, 'internal'), ('V4 opener, any', false, 'internal'),
    ('V4 requester, consumer', false, 'b2c'), ('V4 opener, consumer', false, 'b2c'),
    ('V4 requester, contact', false, 'account_id'), ('V4 opener, contact', false, 'account_id'),
    ('V5 scope all', false, 'account_id'), ('V5 named account', false, 'partner_account_id'), ('V5 named contact', false, 'partner_contact_id'),
    ('V6 head', false, 'b2c'), ('V6 representative', false, 'b2c'), ('V6 representative within', false, 'b2c'),
    ('V7 person', false, 'share'), ('V7 account', false, 'share'),
    ('V8 role', false, 'counterparty_account_id'), ('V8 scope all', false, 'counterparty_account_id'),
    ('V8 any contact', false, 'counterparty_account_id'), ('V8 named contact', false, 'counterparty_contact_id'),
    ('V9 all', true, 'any'), ('V9 team of account', true, 'account_id'), ('V9 team of user', true, 'b2c'),
    ('V9 team of household', true, 'b2c'), ('V9 member of service organisation', true, 'service_organization_id'),
    ('V9 role for service organisation', true, 'service_organization_id'), ('V9 opener', true, 'any'), ('V9 internal contact', true, 'internal_contact_id')
) v(arm, staff, key);
ALTER TABLE arm ADD denials bigint;
UPDATE arm SET denials =
    (SELECT count(*) FROM csm.cases c JOIN person p ON p.tenant_id = c.tenant_id
     WHERE CASE arm.key WHEN 'any' THEN true WHEN 'internal' THEN c.branch = 'internal' WHEN 'b2c' THEN c.branch = 'b2c'
                        WHEN 'share' THEN EXISTS (SELECT FROM csm.case_parties s WHERE s.case_id = c.id)
                        ELSE to_jsonb(c) ->> arm.key IS NOT NULL END
       AND p.n <= 100)
  - (SELECT count(*) FROM fast f JOIN csm.cases c ON c.id = f.case_id JOIN person p ON p.id = f.user_id
     WHERE f.staff = arm.staff AND p.n <= 100
       AND CASE arm.key WHEN 'any' THEN true WHEN 'internal' THEN c.branch = 'internal' WHEN 'b2c' THEN c.branch = 'b2c'
                        WHEN 'share' THEN EXISTS (SELECT FROM csm.case_parties s WHERE s.case_id = c.id)
                        ELSE to_jsonb(c) ->> arm.key IS NOT NULL END);
SELECT diag(format('%-36s grants %6s (alone %6s), denies %7s', arm, grants, alone, denials)) FROM arm ORDER BY arm;
SELECT ok(grants >= 100 AND denials >= 100, split_part(arm, ' ', 1) || ': at least 100 pairs granted and 100 denied by arm ' || arm) FROM arm;
SELECT is_empty('SELECT DISTINCT r.arm FROM reason r WHERE r.arm NOT IN (SELECT a.arm FROM arm a)', 'V1 to V9: no arm beside those counted');
-- V2 only denies: managers of a descendant or a sibling, on cases above or beside.
SELECT cmp_ok((SELECT count(DISTINCT (k.user_id, c.id))
               FROM csm.contacts k
               JOIN csm.accounts below ON below.id = k.account_id
               JOIN csm.cases c ON c.account_id = below.parent_id
               WHERE k.role IN ('case_manager', 'customer_admin', 'partner_admin') AND k.login_enabled
                 AND (k.valid_during IS NULL OR k.valid_during @> statement_timestamp())
                 AND NOT EXISTS (SELECT FROM fast f WHERE f.user_id = k.user_id AND f.case_id = c.id AND NOT f.staff)),
              '>=', 100::bigint, 'V2: at least 100 pairs of a child''s manager and a parent''s case denied');
SELECT is((SELECT count(*) FROM fast f JOIN csm.cases c ON c.id = f.case_id JOIN csm.users u ON u.id = f.user_id
           WHERE u.tenant_id <> c.tenant_id), 0::bigint, 'V13: nobody sees a case of the other tenant');
SELECT is((SELECT count(*) FROM fast f JOIN csm.users u ON u.id = f.user_id WHERE NOT u.enabled), 0::bigint,
          'V10: a disabled person sees nothing');

-- UPDATE: the rows that a plain UPDATE reaches are those on which the definition lets him work.
CREATE FUNCTION pg_temp.updatable(who bigint) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
BEGIN
    BEGIN
        PERFORM world.enter(who, 'csm_agent');
        WITH w AS (UPDATE csm.cases SET impact = impact RETURNING id) SELECT array_agg(id::text ORDER BY id) INTO found FROM w;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN found := ARRAY[SQLSTATE, SQLERRM];
    END;
    PERFORM world.leave();
    RETURN found;
END $$;
CREATE TEMP TABLE updates AS
SELECT p.id AS user_id, pg_temp.updatable(p.id) AS asked,
       (SELECT array_agg(s.case_id::text ORDER BY s.case_id) FROM slow s WHERE s.staff AND s.user_id = p.id AND s.letters ~ 'w') AS defined
FROM person p WHERE p.n % 9 = 0 OR p.n % 25 = 1;
SELECT diag(format('UPDATE: %s people, %s pairs', count(*), sum(cardinality(asked)))) FROM updates;
SELECT is((SELECT count(*) FROM updates WHERE asked IS DISTINCT FROM defined), 0::bigint, 'V9: UPDATE reaches the rows that the definition says');
SELECT diag(format('UPDATE user %s: asked %s rows (%s ...), defined %s', user_id, cardinality(asked), asked[1:2], cardinality(defined)))
FROM updates WHERE asked IS DISTINCT FROM defined LIMIT 5;
SELECT cmp_ok((SELECT sum(cardinality(asked)) FROM updates), '>=', 100::bigint, 'V9: at least 100 pairs updated');

-- INSERT through the portal.
CREATE FUNCTION pg_temp.try_insert(me bigint, requester bigint, account bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        PERFORM world.enter(me, 'csm_portal', CASE WHEN account IS NULL THEN
            CASE WHEN EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = requester) THEN 'consumer' END END);
        INSERT INTO csm.cases (subject, requester_id, account_id) VALUES ('random', requester, account) RETURNING branch INTO answer;
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
    EXCEPTION
        WHEN SQLSTATE 'ZZZZZ' THEN NULL;
        WHEN OTHERS THEN answer := SQLSTATE;
    END;
    PERFORM world.leave();
    RETURN answer;
END $$;
SELECT setseed(0.17) \g /dev/null
CREATE TEMP TABLE attempt AS
WITH p AS (SELECT p.tenant_id, p.id, random() AS luck, random() AS luck2 FROM person p WHERE p.n % 2 = 0),
rights AS MATERIALIZED (SELECT r.* FROM world.account_right r WHERE NOT r.staff)
-- an account that he knows, for himself
SELECT 'known, himself' AS kind, p.tenant_id, p.id AS me, p.id AS requester, a.account_id
FROM p CROSS JOIN LATERAL (SELECT r.account_id FROM rights r WHERE r.user_id = p.id ORDER BY hashint8(r.account_id + p.id) LIMIT 1) a
UNION ALL
-- any account, for himself
SELECT 'any, himself', p.tenant_id, p.id, p.id, a.id
FROM p CROSS JOIN LATERAL (SELECT a.id FROM csm.accounts a WHERE a.tenant_id = p.tenant_id ORDER BY hashint8(a.id * 7 + p.id) LIMIT 1) a
UNION ALL
-- an account that he knows, for a contact of it
SELECT 'known, contact', p.tenant_id, p.id, k.user_id, k.account_id
FROM p CROSS JOIN LATERAL (SELECT r.account_id FROM rights r WHERE r.user_id = p.id ORDER BY r.action IS DISTINCT FROM 'case_create', hashint8(r.account_id + p.id) LIMIT 1) a
CROSS JOIN LATERAL (SELECT k.user_id, k.account_id FROM csm.contacts k WHERE k.account_id = a.account_id ORDER BY hashint8(k.id + p.id) LIMIT 2) k
UNION ALL
-- an account that he knows, for somebody else
SELECT 'known, anybody', p.tenant_id, p.id, q.id, a.account_id
FROM p CROSS JOIN LATERAL (SELECT r.account_id FROM rights r WHERE r.user_id = p.id ORDER BY r.action IS DISTINCT FROM 'case_create', hashint8(r.account_id + p.id) LIMIT 1) a
CROSS JOIN LATERAL (SELECT q.id FROM person q WHERE q.tenant_id = p.tenant_id ORDER BY hashint8(q.id * 3 + p.id) LIMIT 1) q
UNION ALL
-- no account, for somebody he speaks for, or anybody who is a consumer
SELECT 'none, other', p.tenant_id, p.id, q.user_id, NULL
FROM p CROSS JOIN LATERAL (
    (SELECT s.for_id AS user_id FROM world.consumer_right s
     JOIN csm.consumers c ON c.user_id = s.for_id
     WHERE s.user_id = p.id AND NOT s.staff AND s.for_id <> p.id ORDER BY 1 LIMIT 1)
    UNION ALL
    (SELECT c.user_id FROM csm.consumers c WHERE c.tenant_id = p.tenant_id ORDER BY hashint8(c.user_id * 5 + p.id) LIMIT 1)) q
UNION ALL
-- no account, for himself, without a home account
SELECT 'none, himself', p.tenant_id, p.id, p.id, NULL
FROM p WHERE NOT EXISTS (SELECT FROM csm.contacts k WHERE k.user_id = p.id AND k.is_home);
ALTER TABLE attempt ADD asked text, ADD defined boolean;
UPDATE attempt SET asked = pg_temp.try_insert(me, requester, account_id),
                   defined = world.may_open(tenant_id, me, requester, account_id, statement_timestamp());
SELECT diag(format('INSERT %-16s %4s tried, %4s made, %4s refused', kind, count(*), count(*) FILTER (WHERE asked !~ '^\d'), count(*) FILTER (WHERE asked = '42501')))
FROM attempt GROUP BY kind ORDER BY kind;
SELECT is((SELECT count(*) FROM attempt WHERE defined <> (asked IN ('b2b', 'b2c', 'internal'))), 0::bigint, 'V4: INSERT through the portal is admitted as the definition says');
SELECT is((SELECT count(*) FROM attempt WHERE asked !~ '^(b2b|b2c|internal|42501)$'
              AND EXISTS (SELECT FROM csm.users u WHERE u.id = me AND u.enabled)), 0::bigint, 'V15: a refused INSERT is 42501 and nothing else');
SELECT diag(format('INSERT %s: user %s for %s on account %s: asked %s, defined %s', kind, me, requester, account_id, asked, defined))
FROM (SELECT a.*, row_number() OVER (PARTITION BY kind ORDER BY me) AS n FROM attempt a
      WHERE defined <> (asked IN ('b2b', 'b2c', 'internal'))
         OR asked !~ '^(b2b|b2c|internal|42501)$' AND EXISTS (SELECT FROM csm.users u WHERE u.id = me AND u.enabled)) a WHERE n <= 4;
SELECT cmp_ok(least((SELECT count(*) FROM attempt WHERE asked !~ '^\d'), (SELECT count(*) FROM attempt WHERE asked = '42501')), '>=', 100::bigint,
              'V4: at least 100 cases opened and 100 refused');

-- Personas narrow, they never widen.
CREATE TEMP TABLE narrowed AS
SELECT p.tenant_id, p.id AS user_id, r.role_name, x.persona
FROM person p
CROSS JOIN unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
CROSS JOIN LATERAL (
    SELECT 'contact:' || k.id FROM csm.contacts k WHERE k.user_id = p.id
    UNION SELECT 'consumer' FROM csm.consumers c WHERE c.user_id = p.id
    UNION SELECT 'employee' FROM csm.employees e WHERE e.user_id = p.id
    UNION SELECT 'staff:' || a.role FROM csm.user_roles a WHERE a.user_id = p.id) x(persona)
WHERE p.n % 9 = 0 AND p.n <= 700;
CREATE TEMP TABLE narrow_difference AS
SELECT n.*, d.* FROM narrowed n CROSS JOIN LATERAL world.differences(n.user_id, n.role_name, n.persona) d;
SELECT diag(format('%s personas tried', count(*))) FROM narrowed;
SELECT is((SELECT count(*) FROM narrow_difference), 0::bigint, 'T12: each persona shows what the definition says of it');
SELECT diag(format('persona %s of user %s as %s, case %s: asked %s, defined %s: %s', n.persona, n.user_id, n.role_name, n.case_id, n.fast, n.slow,
                   (SELECT string_agg(r.arm || ' ' || coalesce(r.persona, '-'), ' + ') FROM reason r WHERE r.user_id = n.user_id AND r.case_id = n.case_id)))
FROM (SELECT n.*, row_number() OVER (PARTITION BY split_part(persona, ':', 1), fast IS NULL ORDER BY user_id) AS k FROM narrow_difference n) n WHERE k <= 3;

-- The other tables, for some people.
CREATE FUNCTION pg_temp.asked(who bigint, role_name text, tab text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    found text[];
    key text := CASE WHEN tab IN ('employees', 'consumers') THEN 'user_id' ELSE 'id' END;
BEGIN
    PERFORM world.enter(who, role_name);
    EXECUTE format('SELECT array_agg(%1$I::text ORDER BY %1$I) FROM csm.%2$I', key, tab) INTO found;
    PERFORM world.leave();
    RETURN found;
END $$;
CREATE TEMP TABLE seen AS
SELECT p.id AS user_id, r.role_name, v.tab, v.keys AS defined, pg_temp.asked(p.id, r.role_name, v.tab) AS asked
FROM person p
CROSS JOIN unnest('{csm_portal,csm_agent}'::text[]) r(role_name)
CROSS JOIN LATERAL world.visible(p.tenant_id, p.id, r.role_name = 'csm_agent', statement_timestamp()) v
WHERE p.n % 9 = 0 AND p.n <= 450 OR p.n % 40 = 1;
SELECT diag(format('%-24s %s people, %s rows', tab, count(*), sum(cardinality(asked)))) FROM seen GROUP BY tab ORDER BY tab;
SELECT is((SELECT count(*) FROM seen s WHERE s.tab = t.tab AND s.asked IS DISTINCT FROM s.defined), 0::bigint,
          'V13: rows of ' || t.tab || ' as the definition says')
FROM (SELECT DISTINCT tab FROM seen) t ORDER BY t.tab;
SELECT diag(format('%s, user %s as %s: too many %s, missing %s', s.tab, s.user_id, s.role_name,
                   (SELECT array_agg(k) FROM (SELECT unnest(s.asked) EXCEPT SELECT unnest(s.defined) LIMIT 5) x(k)),
                   (SELECT array_agg(k) FROM (SELECT unnest(s.defined) EXCEPT SELECT unnest(s.asked) LIMIT 5) x(k))))
FROM (SELECT s.*, row_number() OVER (PARTITION BY tab ORDER BY user_id) AS n FROM seen s WHERE asked IS DISTINCT FROM defined) s WHERE n <= 3;

-- T16: nobody costs no scan of a table of this size.
CREATE FUNCTION pg_temp.scans() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_all_tables WHERE relid = 'csm.cases'::regclass $$;
CREATE FUNCTION pg_temp.scanned_by_nobody(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := pg_temp.scans();
BEGIN
    PERFORM set_config('csm.user_id', '', true), set_config('role', 'csm_portal', true);
    EXECUTE statement;
    PERFORM set_config('role', 'none', true);
    RETURN pg_temp.scans() - before;
END $$;
SELECT is(pg_temp.scanned_by_nobody(s), 0::bigint, 'T16 nobody reads no row: ' || s) FROM unnest(ARRAY[
    'SELECT count(*) FROM csm.cases', 'SELECT * FROM csm.cases ORDER BY opened_at DESC LIMIT 50',
    'SELECT count(*) FROM csm.cases WHERE state = ''open''', 'SELECT count(*) FROM csm.cases WHERE id = 5']) s;
SELECT * FROM finish();
