-- The account tree: paths, moves, cycles, depth; COPY in any order; account_tree and verify_accounts.
\ir ../lib/small.sql
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.problems() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM csm.verify_accounts()';
CREATE FUNCTION pg_temp.path(account text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(n.name, '>' ORDER BY p.place) FROM csm.accounts a, unnest(string_to_array(a.path::text, '.')) WITH ORDINALITY AS p(id, place)
    JOIN small.named n ON n.kind = 'account' AND n.id = p.id::bigint WHERE a.id = small.a(account) $$;
CREATE FUNCTION pg_temp.move(account text, parent text) RETURNS text LANGUAGE sql AS $$
    SELECT format('UPDATE csm.accounts SET parent_id = %s WHERE id = %s', CASE WHEN parent IS NULL THEN 'NULL' ELSE small.a(parent)::text END, small.a(account)) $$;
CREATE FUNCTION pg_temp.sees(person text, account text) RETURNS boolean LANGUAGE sql AS $$
    SELECT small.run(small.u(person), 'csm_portal', format('SELECT count(*) FROM csm.accounts WHERE id = %s', small.a(account))) = '1' $$;
CREATE FUNCTION pg_temp.tree(person text, root text DEFAULT 'NULL', role_name text DEFAULT 'csm_portal') RETURNS text LANGUAGE sql AS $$
    SELECT small.run(small.u(person), role_name, format('SELECT string_agg(t.tree, E''\n'' ORDER BY t.place)
        FROM csm.account_tree(%s) WITH ORDINALITY AS t(account_id, number, depth, tree, place)', root)) $$;

SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: nothing to report');
SELECT is(pg_temp.path('plant'), 'holding>acme>north>plant', 'accounts: the path leads from the top down');
SELECT is((SELECT root_id FROM csm.accounts WHERE id = small.a('plant')), small.a('holding'), 'accounts: root_id is the top');
SELECT ok((SELECT bool_and(number ~ '^ACC[0-9]{7,}$') FROM csm.accounts WHERE number LIKE 'ACC%'), 'accounts: numbers');

-- account_tree under the caller's policies
SELECT is(pg_temp.tree('holding manager'),
          E'holding\n└─ acme\n   ├─ north\n   │  └─ plant\n   └─ south', 'V12 the manager of the top sees his tree');
SELECT is(pg_temp.tree('plant manager'), 'plant', 'V12 the manager of a child: his tree begins at the child');
SELECT is(pg_temp.tree('plant manager', small.a('north')::text), NULL, 'V12 from a parent that he may not see: no row');
SELECT is(pg_temp.tree('plant manager', '999999999'), NULL, 'V15 from an account that does not exist: no row either');
SELECT is(pg_temp.tree('holding manager', small.a('north')::text), E'north\n└─ plant', 'account_tree: from an account down');
SELECT is(small.run(NULL, 'csm_portal', 'SELECT count(*) FROM csm.account_tree()'), '0', 'V14 account_tree: nobody sees none');
SELECT results_eq(format('SELECT account_id, depth FROM csm.account_tree(%s)', small.a('acme')),
                  format('VALUES (%s::bigint, 0), (%s, 1), (%s, 2), (%s, 1)', small.a('acme'), small.a('north'), small.a('plant'), small.a('south')),
                  'account_tree: depth counts from where it begins');

-- T2: a move
SELECT ok(pg_temp.sees('holding manager', 'plant') AND pg_temp.sees('north manager', 'plant'), 'T2 before the move the old ancestors see the account');
SELECT ok(NOT pg_temp.sees('south admin', 'plant'), 'T2 before the move the sibling does not');
SELECT lives_ok(pg_temp.move('plant', 'south'), 'T2 the account moves');
SELECT ok(NOT pg_temp.sees('north manager', 'plant'), 'T2 in the same transaction the old parent has lost it');
SELECT ok(pg_temp.sees('south admin', 'plant'), 'T2 in the same transaction the new parent has it');
SELECT ok(pg_temp.sees('holding manager', 'plant'), 'T2 who is above both keeps it');
SELECT ok(NOT small.sees('north manager', 'plant: leak') AND small.sees('south admin', 'plant: leak'), 'T2 the cases go with it');
SELECT is(pg_temp.path('plant'), 'holding>acme>south>plant', 'T2 the path follows');
SELECT lives_ok(pg_temp.move('acme', NULL), 'accounts: a subtree becomes a tree of its own');
SELECT is(pg_temp.path('plant'), 'acme>south>plant', 'accounts: with everything below it');
SELECT is((SELECT count(DISTINCT root_id) FROM csm.accounts WHERE id IN (small.a('acme'), small.a('plant'), small.a('north'))), 1::bigint, 'accounts: root_id too');
SELECT ok(NOT pg_temp.sees('holding manager', 'plant'), 'T2 the former top has lost it');
SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: after the moves nothing to report');

-- cycles
SELECT throws_ok(pg_temp.move('acme', 'acme'), 'SM005', NULL, 'SM005 an account is not its own parent');
SELECT throws_ok(pg_temp.move('acme', 'south'), 'SM005', NULL, 'SM005 nor below its child');
SELECT throws_ok(pg_temp.move('acme', 'plant'), 'SM005', NULL, 'T2 SM005 nor below any descendant');
SELECT throws_ok(format('UPDATE csm.accounts SET parent_id = CASE id WHEN %1$s THEN %2$s ELSE %1$s END WHERE id IN (%1$s, %2$s)', small.a('north'), small.a('south')),
                 'SM005', NULL, 'SM005 two accounts below each other in one statement');
SELECT throws_ok('INSERT INTO csm.accounts (id, tenant_id, name, parent_id) OVERRIDING SYSTEM VALUE VALUES (990001, small.tenant(), ''a'', 990001)',
                 'SM005', NULL, 'SM005 a new account below itself');
SELECT throws_ok('INSERT INTO csm.accounts (id, tenant_id, name, parent_id) OVERRIDING SYSTEM VALUE
                  VALUES (990001, small.tenant(), ''a'', 990003), (990002, small.tenant(), ''b'', 990001), (990003, small.tenant(), ''c'', 990002)',
                 'SM005', NULL, 'SM005 new accounts in a circle');
SELECT is(pg_temp.path('plant'), 'acme>south>plant', 'SM005 and nothing has moved');
SELECT lives_ok(format('UPDATE csm.accounts SET parent_id = CASE id WHEN %1$s THEN %2$s ELSE %3$s END WHERE id IN (%1$s, %2$s)',
                       small.a('acme'), small.a('south'), small.a('holding')), 'accounts: parent and child change places in one statement');
SELECT is(pg_temp.path('north'), 'holding>south>acme>north', 'accounts: and all below follows');
SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: nothing to report');

-- references
SELECT throws_ok('INSERT INTO csm.accounts (tenant_id, name, parent_id) VALUES (small.tenant(), ''a'', 999999999)', '23503', NULL, 'accounts: parent that does not exist');
SELECT csm.create_tenant('elsewhere', 'Elsewhere', 'e@elsewhere.example') AS elsewhere \gset
SELECT throws_ok(format('INSERT INTO csm.accounts (tenant_id, name, parent_id) VALUES (%s, ''a'', %s)', :elsewhere, small.a('holding')),
                 '23503', NULL, 'V13 accounts: parent in another tenant');
SELECT throws_ok(format('UPDATE csm.accounts SET id = DEFAULT WHERE id = %s', small.a('umbrella')), '42501', NULL, 'accounts: an id does not change');
SELECT throws_ok(format('UPDATE csm.accounts SET tenant_id = %s WHERE id = %s', :elsewhere, small.a('umbrella')), '42501', NULL, 'accounts: nor a tenant');
SELECT throws_ok('INSERT INTO csm.accounts (tenant_id, name) VALUES (small.tenant(), '''')', '23514', NULL, 'accounts: empty name');
SELECT throws_ok('INSERT INTO csm.accounts (tenant_id, name) VALUES (small.tenant(), repeat(''x'', 201))', '23514', NULL, 'accounts: name too long');
SELECT lives_ok(format('UPDATE csm.accounts SET path = NULL, root_id = 1 WHERE id = %s', small.a('umbrella')), 'accounts: even a superuser who writes the path');
SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: does not change it');

-- T3: COPY, children before parents
SELECT set_config('csm.user_id', small.u('student')::text, true);
COPY csm.accounts (id, number, name, parent_id) FROM stdin WITH (FORMAT csv);
880005,C5,five,880004
880003,C3,three,880001
880004,C4,four,880002
880002,C2,two,880001
880006,C6,six,
880001,C1,one,
\.
SELECT set_config('csm.user_id', '', true);
SELECT is((SELECT path::text FROM csm.accounts WHERE id = 880005), '880001.880002.880004.880005', 'T3 plain COPY, children before parents: the path is right');
SELECT is((SELECT root_id FROM csm.accounts WHERE id = 880005), 880001::bigint, 'T3 and the root');
SELECT is((SELECT path::text FROM csm.accounts WHERE id = 880006), '880006', 'T3 and a top account');
SELECT is(pg_temp.problems(), 0::bigint, 'T3 verify_accounts: nothing to report');
INSERT INTO csm.contacts (tenant_id, user_id, account_id, role, is_home)
VALUES (small.tenant(), small.u('student'), 880001, 'case_manager', true);
SELECT is(small.run(small.u('student'), 'csm_portal', 'SELECT string_agg(name, '','' ORDER BY id) FROM csm.accounts'), 'one,two,three,four,five',
          'T3 hierarchy access holds for accounts that came by COPY');

-- depth
INSERT INTO csm.accounts (id, tenant_id, name, parent_id) OVERRIDING SYSTEM VALUE
SELECT 870000 + i, small.tenant(), 'level ' || i, nullif(870000 + i - 1, 870000) FROM generate_series(1, 100) i;
SELECT is((SELECT cardinality(string_to_array(path::text, '.')) FROM csm.accounts WHERE id = 870100), 100, 'accounts: a hundred levels in one statement');
SELECT throws_ok('INSERT INTO csm.accounts (tenant_id, name, parent_id) VALUES (small.tenant(), ''too deep'', 870100)', '54000', NULL, 'accounts: one more is refused');
SELECT throws_ok('INSERT INTO csm.accounts (id, tenant_id, name, parent_id) OVERRIDING SYSTEM VALUE
                  SELECT 860000 + i, small.tenant(), ''level '' || i, nullif(860000 + i - 1, 860000) FROM generate_series(1, 101) i', '54000', NULL,
                 'accounts: so are 101 in one statement');
SELECT throws_ok('UPDATE csm.accounts SET parent_id = 880006 WHERE id = 870001', '54000', NULL, 'accounts: a tree of a hundred cannot be hung below another');
SELECT lives_ok('UPDATE csm.accounts SET parent_id = 880006 WHERE id = 870002', 'accounts: one of 99 can');
SELECT is((SELECT max(depth) FROM csm.account_tree(880006)), 99, 'account_tree: down to the last level');
SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: nothing to report');

-- verify_accounts finds what is wrong
CREATE FUNCTION pg_temp.spoil(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    ALTER TABLE csm.accounts DISABLE TRIGGER USER;
    EXECUTE change;
    SELECT string_agg(format('%s %s', coalesce(n.name, v.account_id::text), v.problem), '; ' ORDER BY v.account_id) INTO found
    FROM csm.verify_accounts() v LEFT JOIN small.named n ON n.kind = 'account' AND n.id = v.account_id;
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = 'undo';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN found;
END $$;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(pg_temp.spoil('UPDATE csm.accounts SET path = ''1.2'' WHERE id = small.a(''globex'')'),
          format('globex path is 1.2, its parents say %s', small.a('globex')), 'verify_accounts: a wrong path');
SELECT is(pg_temp.spoil('UPDATE csm.accounts SET path = NULL WHERE id = small.a(''globex'')'), 'globex has no path', 'verify_accounts: no path');
SELECT is(pg_temp.spoil('UPDATE csm.accounts SET root_id = NULL WHERE id = small.a(''globex'')'),
          format('globex root_id is NULL, its parents lead to %s', small.a('globex')), 'verify_accounts: a wrong root');
SELECT is(pg_temp.spoil('UPDATE csm.accounts SET parent_id = 880005 WHERE id = 880002'),
          '880002 its parents lead in a circle, not to a top account; 880004 its parents lead in a circle, not to a top account; '
          '880005 its parents lead in a circle, not to a top account', 'verify_accounts: a circle');
SELECT ok(pg_temp.spoil('UPDATE csm.accounts SET parent_id = 880005 WHERE id = 870002') LIKE '%; 870100 103 levels deep, 100 are allowed', 'verify_accounts: too deep');
SELECT is(pg_temp.problems(), 0::bigint, 'verify_accounts: nothing to report');

-- who may ask
SELECT id AS elsewhere_admin FROM csm.users WHERE tenant_id = :elsewhere \gset
INSERT INTO csm.accounts (id, tenant_id, name) OVERRIDING SYSTEM VALUE VALUES (850001, :elsewhere, 'theirs');
SELECT is(small.run(:elsewhere_admin, 'csm_admin', 'SELECT count(*) FROM csm.verify_accounts()'), '0', 'verify_accounts: an administrator may');
ALTER TABLE csm.accounts DISABLE TRIGGER USER;
UPDATE csm.accounts SET path = NULL WHERE id IN (850001, 880006);
ALTER TABLE csm.accounts ENABLE TRIGGER USER;
SELECT is(small.run(:elsewhere_admin, 'csm_admin', 'SELECT string_agg(account_id::text, '','') FROM csm.verify_accounts()'), '850001', 'V13 verify_accounts: he hears of his own tenant only');
SELECT is((SELECT count(*) FROM csm.verify_accounts()), 2::bigint, 'verify_accounts: a superuser hears of all');
SELECT matches(small.run(:elsewhere_admin, 'csm_admin', format('SELECT count(*) FROM csm.verify_accounts(%s)', small.tenant())), '^ERROR 42501', 'V13 verify_accounts: not for another tenant');
SELECT matches(small.run(:elsewhere_admin, 'csm_admin', 'SELECT count(*) FROM csm.verify_accounts(0)'), '^ERROR 42501', 'V15 verify_accounts: an unknown tenant gives the same error');
SELECT matches(small.run(NULL, 'csm_admin', 'SELECT count(*) FROM csm.verify_accounts()'), '^ERROR 42501', 'V14 verify_accounts: nobody may not');
SELECT matches(small.run(small.u('holding manager'), 'csm_portal', 'SELECT count(*) FROM csm.verify_accounts()'), '^ERROR 42501', 'verify_accounts: not for the portal');

SELECT * FROM finish();
ROLLBACK;
