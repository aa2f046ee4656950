-- Data of the bench: one tenant, an account world, people of every reach.
-- Variables: cases, accounts.  Cases and entries follow in load_cases.sql and
-- load_entries.sql, which run side by side.
--
-- Everything follows from ids through hashes, so that each run has the same
-- rows, and several sessions can load at once.
--
-- Triggers and foreign keys are off while loading (replica role): what they
-- would derive is computed here, and measure.pl checks the outcome against the
-- extension's own answers before it measures.

\set ON_ERROR_STOP on
-- Its triggers are needed.
SELECT csm.create_tenant('bench', 'Bench', 'admin@bench.example') AS tenant \gset
SET session_replication_role = replica;
SET csm.restoring = on;
SET client_min_messages = warning;

CREATE SCHEMA bench;

CREATE TABLE bench.config AS
    SELECT :tenant::bigint AS tenant, :cases::bigint AS cases, :accounts::bigint AS accounts,
           timestamptz '2023-01-01 00:00+00' AS first_day, timestamptz '2026-01-01 00:00+00' AS last_day,
           10000::bigint AS agents_from, 1000::bigint AS agents,
           20000::bigint AS employees_from, 20000::bigint AS employees,
           50000::bigint AS consumers_from, 100000::bigint AS consumers,
           200000::bigint AS contacts_from,     -- first contact of account a: contacts_from + a
           600000::bigint AS seconds_from;      -- second contact of every other account

-- A number from 0 to 1 that depends on id and salt only.
CREATE FUNCTION bench.r(id bigint, salt bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(id, salt) & 1073741823) / 1073741824.0::double precision;

-- Place in the plan of trees -> account id: neighbours in a tree are no neighbours in the index.
CREATE FUNCTION bench.account(place bigint, accounts bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (place * 7919 + 12345) % accounts + 1;

-- Popularity -> account id.
CREATE FUNCTION bench.customer(luck double precision, accounts bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (floor(accounts * power(luck, 1.5))::bigint * 48271) % accounts + 1;

-- --- words and texts ---

CREATE TABLE bench.words AS
    SELECT row_number() OVER () AS n, w AS word
    FROM (
        SELECT * FROM regexp_split_to_table(
            'order invoice delivery payment account error device printer screen battery network password login access '
            'update install licence contract service support request question problem failure damage missing late wrong '
            'broken refund return exchange warranty repair replace cancel change address shipment parcel customer product '
            'machine sensor pump valve motor cable router switch server database backup restore report export import file '
            'format page website mobile application browser window button form field value price quote discount tax credit '
            'debit card bank transfer balance statement month year date time zone language email phone call message answer '
            'agent manager partner site branch office warehouse stock supplier spare part manual training course user role '
            'permission security certificate key token session timeout speed slow crash restart freeze noise leak heat cold '
            'pressure power outage voltage fuse lamp door lock gate camera alarm signal antenna radio test sample quality',
            ' ') AS w
        UNION ALL
        SELECT a || b || c
        FROM unnest('{bra,kel,mor,tun,sil,dov,pra,gil,nex,vor,zan,lum,fer,hol,cor}'::text[]) WITH ORDINALITY AS x(a, i),
             unnest('{ba,de,ki,lo,mu,na,re,si,to,va,xo,zi,pe,ga}'::text[]) WITH ORDINALITY AS y(b, j),
             unnest('{dan,mek,lor,tis,bun,rax,vel,pon,sid,gar,fim,hux,job,wes}'::text[]) WITH ORDINALITY AS z(c, k)
    ) v;

ANALYZE bench.words;

-- 40,000 of each: words of the front of the list are the more frequent ones.
CREATE TABLE bench.subjects AS
    SELECT g AS n, string_agg(CASE i WHEN 1 THEN initcap(w.word) ELSE w.word END, ' ' ORDER BY i) AS body,
           setweight(to_tsvector('english', string_agg(w.word, ' ' ORDER BY i)), 'A') AS vector
    FROM generate_series(0, 39999) g CROSS JOIN generate_series(1, 6) i
    JOIN bench.words w ON w.n = 1 + floor((SELECT count(*) FROM bench.words) * power(bench.r(g, i), 3))::bigint
    WHERE i <= 4 + g % 3
    GROUP BY g;
CREATE TABLE bench.descriptions AS
    SELECT g AS n, string_agg(w.word, ' ' ORDER BY i) AS body,
           setweight(to_tsvector('english', string_agg(w.word, ' ' ORDER BY i)), 'B') AS vector
    FROM generate_series(0, 39999) g CROSS JOIN generate_series(1, 16) i
    JOIN bench.words w ON w.n = 1 + floor((SELECT count(*) FROM bench.words) * power(bench.r(g, 100 + i), 3))::bigint
    WHERE i <= 9 + g % 8
    GROUP BY g;
CREATE UNIQUE INDEX ON bench.subjects (n);
CREATE UNIQUE INDEX ON bench.descriptions (n);
ANALYZE bench.subjects;
ANALYZE bench.descriptions;

-- Words to look for: found in about 1 of 500 and 1 of 40 cases; a part of a word.
CREATE TABLE bench.terms AS
    WITH lexemes AS (
        SELECT s.word, s.ndoc / 40000.0 AS share
        FROM ts_stat('SELECT vector FROM bench.subjects UNION ALL SELECT vector FROM bench.descriptions') s
        WHERE length(s.word) BETWEEN 4 AND 10
    )
    SELECT (SELECT word FROM lexemes ORDER BY abs(ln(share / 0.002)), word LIMIT 1) AS rare_word,
           (SELECT word FROM lexemes ORDER BY abs(ln(share / 0.025)), word LIMIT 1) AS common_word,
           (SELECT substr(s.word, 2, 5)
            FROM ts_stat('SELECT vector FROM bench.subjects') s
            WHERE length(s.word) BETWEEN 7 AND 10 ORDER BY abs(ln(s.ndoc / 40000.0 / 0.002)), s.word LIMIT 1) AS substring;

-- --- accounts ---

-- size: accounts in the tree, its top included.
CREATE TABLE bench.trees (tree bigint, place bigint, size bigint);
DO $$
DECLARE
    total bigint := (SELECT accounts FROM bench.config);
    at bigint := 0;
    tree bigint := 0;
    s bigint;
    sizes bigint[] := '{2,40,400,5000,10000}';
    mix bigint[] := '{5001}' || array_fill(401::bigint, ARRAY[5]) || array_fill(41::bigint, ARRAY[50])
                    || array_fill(6::bigint, ARRAY[500]) || array_fill(1::bigint, ARRAY[3000]);
BEGIN
    FOREACH s IN ARRAY sizes LOOP
        INSERT INTO bench.trees VALUES (tree, at, s);
        tree := tree + 1;
        at := at + s;
    END LOOP;
    -- the last 4,000 stand alone: partners, counterparties
    WHILE at < total - 4000 LOOP
        s := least(mix[1 + tree % cardinality(mix)], total - 4000 - at);
        INSERT INTO bench.trees VALUES (tree, at, s);
        tree := tree + 1;
        at := at + s;
    END LOOP;
    INSERT INTO bench.trees SELECT tree + g, at + g, 1 FROM generate_series(0, total - at - 1) g;
END $$;

INSERT INTO csm.accounts (id, tenant_id, number, name, parent_id, root_id, is_customer, is_partner, path)
OVERRIDING SYSTEM VALUE
WITH RECURSIVE nodes AS (
    SELECT t.place, t.place AS top, t.size, 0::bigint AS nth, bench.account(t.place, c.accounts) AS id,
           NULL::bigint AS parent_id, bench.account(t.place, c.accounts) AS root_id,
           bench.account(t.place, c.accounts)::text AS path
    FROM bench.trees t, bench.config c
  UNION ALL
    SELECT n.top + k, n.top, n.size, k, bench.account(n.top + k, c.accounts), n.id, n.root_id,
           n.path || '.' || bench.account(n.top + k, c.accounts)
    FROM nodes n, bench.config c, generate_series(n.nth * 7 + 1, least(n.nth * 7 + 7, n.size - 1)) k
)
SELECT n.id, c.tenant, 'ACC' || lpad(n.id::text, 7, '0'), 'Company ' || n.id, n.parent_id, n.root_id,
       true, n.place >= c.accounts - 3500, n.path::ltree
FROM nodes n, bench.config c;

-- --- people ---

-- Bench persons: what they hold, and how many accounts that reaches.
CREATE TABLE bench.people (ord integer, reach text, person bigint, role text, account bigint, sees_all boolean);
INSERT INTO bench.people
SELECT v.ord, v.reach, v.person, v.role, bench.account(v.place, c.accounts), v.sees_all
FROM bench.config c, (VALUES
    (1, 'own', 1001, 'csm_portal', (SELECT accounts - 4001 FROM bench.config), false),
    (2, '2', 1002, 'csm_portal', 0, false),
    (3, '40', 1003, 'csm_portal', 2, false),
    (4, '400', 1004, 'csm_portal', 42, false),
    (5, '5000', 1005, 'csm_portal', 442, false),
    (6, '50000', 1006, 'csm_portal', (SELECT accounts - 1 FROM bench.config), false),
    (7, '150000', 1007, 'csm_portal', (SELECT accounts - 2 FROM bench.config), false),
    (8, 'agent', 1008, 'csm_agent', NULL, true),
    (9, '10000', 1009, 'csm_portal', 5442, false)) AS v(ord, reach, person, role, place, sees_all);

INSERT INTO csm.users (id, tenant_id, display_name, email)
OVERRIDING SYSTEM VALUE
SELECT p.person, c.tenant, 'Person of reach ' || p.reach, 'person' || p.person || '@bench.example'
FROM bench.people p, bench.config c
UNION ALL
SELECT c.agents_from + g, c.tenant, 'Agent ' || g, 'agent' || g || '@bench.example'
FROM bench.config c, generate_series(1, c.agents) g
UNION ALL
SELECT c.employees_from + g, c.tenant, 'Employee ' || g, 'employee' || g || '@bench.example'
FROM bench.config c, generate_series(1, c.employees) g
UNION ALL
SELECT c.consumers_from + g, c.tenant, 'Consumer ' || g, 'consumer' || g || '@mail.example'
FROM bench.config c, generate_series(1, c.consumers) g
UNION ALL
SELECT c.contacts_from + g, c.tenant, 'Contact ' || g, 'contact' || g || '@customer.example'
FROM bench.config c, generate_series(1, c.accounts) g
UNION ALL
SELECT c.seconds_from + g, c.tenant, 'Second contact ' || g, 'second' || g || '@customer.example'
FROM bench.config c, generate_series(2, c.accounts, 2) g;

INSERT INTO csm.employees (user_id, tenant_id)
SELECT c.employees_from + g, c.tenant FROM bench.config c, generate_series(1, c.employees) g;
INSERT INTO csm.consumers (user_id, tenant_id)
SELECT c.consumers_from + g, c.tenant FROM bench.config c, generate_series(1, c.consumers) g;
INSERT INTO csm.user_roles (tenant_id, user_id, role)
SELECT c.tenant, 1008, 'manager' FROM bench.config c
UNION ALL
SELECT c.tenant, c.agents_from + g, CASE WHEN g % 5 = 0 THEN 'consumer_agent' ELSE 'agent' END
FROM bench.config c, generate_series(1, c.agents) g;

-- Filled without indexes; run.sh builds them, with those of cases and entries.
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN ('csm.contacts'::regclass, 'csm.account_relationships'::regclass);
\c
SET session_replication_role = replica;
SET csm.restoring = on;

INSERT INTO csm.contacts (tenant_id, user_id, account_id, role)
SELECT c.tenant, p.person, p.account,
       CASE p.reach WHEN 'own' THEN 'customer' WHEN '50000' THEN 'partner_admin' WHEN '150000' THEN 'partner_admin'
                    ELSE 'case_manager' END
FROM bench.people p, bench.config c WHERE p.account IS NOT NULL
UNION ALL
SELECT c.tenant, c.contacts_from + g, g,
       CASE WHEN g % 10 = 0 THEN 'customer_admin' WHEN g % 10 = 1 THEN 'case_reader' ELSE 'customer' END
FROM bench.config c, generate_series(1, c.accounts) g
UNION ALL
SELECT c.tenant, c.seconds_from + g, g, 'customer'
FROM bench.config c, generate_series(2, c.accounts, 2) g;

-- Two large partners, and 3,000 small ones with ten customers each.
INSERT INTO csm.account_relationships (tenant_id, type, partner_account_id, customer_account_id, scope)
SELECT c.tenant, 'partner_of', p.account, bench.account(g, c.accounts), 'all'
FROM bench.config c, bench.people p, generate_series(16000, 165999) g WHERE p.reach = '150000'
UNION ALL
SELECT c.tenant, 'partner_of', p.account, bench.account(g, c.accounts), 'all'
FROM bench.config c, bench.people p, generate_series(120000, 169999) g WHERE p.reach = '50000'
UNION ALL
SELECT c.tenant, 'partner_of', bench.account(c.accounts - 3500 + g, c.accounts),
       bench.account(floor(bench.r(g * 16 + k, 3) * 16000)::bigint + k * 16000, c.accounts), 'named'
FROM bench.config c, generate_series(0, 2999) g, generate_series(0, 9) k;

INSERT INTO csm.products (tenant_id, name)
SELECT c.tenant, 'Product ' || g FROM bench.config c, generate_series(1, 200) g;

ANALYZE csm.accounts;
ANALYZE csm.contacts;
ANALYZE csm.account_relationships;

-- Who sees which accounts, as an ordinary table: what hand-written SQL and the
-- common-practice policies work with.
CREATE TABLE bench.person_accounts (person bigint, account_id bigint);
INSERT INTO bench.person_accounts
SELECT p.person, d.id
FROM bench.people p
JOIN csm.accounts a ON a.id = p.account
JOIN csm.accounts d ON d.path <@ a.path
WHERE p.reach <> 'own'
UNION
SELECT p.person, r.customer_account_id
FROM bench.people p JOIN csm.account_relationships r ON r.partner_account_id = p.account
WHERE r.scope = 'all';
ALTER TABLE bench.person_accounts ADD PRIMARY KEY (person, account_id);

-- The ids of one person in a table of their own.
DO $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT * FROM bench.people LOOP
        EXECUTE format('CREATE TABLE bench.ids_%s (account_id bigint PRIMARY KEY)', p.person);
        EXECUTE format('INSERT INTO bench.ids_%s SELECT account_id FROM bench.person_accounts WHERE person = %s ORDER BY account_id',
                       p.person, p.person);
    END LOOP;
END $$;

SELECT setval(pg_get_serial_sequence('csm.users', 'id'), 10000000),
       setval(pg_get_serial_sequence('csm.accounts', 'id'), 10000000) \g /dev/null

-- Filled by load_cases.sql and load_entries.sql, indexed afterwards.
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN ('csm.cases'::regclass, 'csm.case_entries'::regclass);
