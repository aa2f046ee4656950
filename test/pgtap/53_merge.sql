-- Two persons made one: everything re-pointed, nothing lost, history still valid. A reference to csm.users that the merge
-- would not find, or a constraint that it does not know, fails here.
\ir ../lib/small.sql
SELECT * FROM no_plan();

CREATE FUNCTION pg_temp.does(person text, statement text, role_name text DEFAULT 'csm_agent') RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(small.run(small.u(person), role_name, statement, NULL, true), '^(ERROR .....): .*', '\1')
$$;
-- Every column that refers to a person, with the number of rows that name this one.
CREATE FUNCTION pg_temp.named_in(person bigint) RETURNS TABLE (col text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT c.conrelid::regclass AS tab, a.attname AS name
             FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname <> 'tenant_id'
             WHERE c.contype = 'f' AND c.confrelid = 'csm.users'::regclass ORDER BY 1, 2
    LOOP
        EXECUTE format('SELECT %L, count(*) FROM %s WHERE %I = $1', r.tab || '.' || r.name, r.tab, r.name) INTO col, n USING person;
        RETURN NEXT;
    END LOOP;
END $$;

-- Constraints that a merge must know: by the catalogue, so that a new one cannot be forgotten.
SELECT set_eq($$SELECT x.tab, x.col FROM (
        SELECT c.conrelid::regclass::text AS tab, a.attname::text AS col, pg_get_constraintdef(c.oid) AS def
        FROM pg_constraint c
        JOIN pg_constraint f ON f.conrelid = c.conrelid AND f.contype = 'f' AND f.confrelid = 'csm.users'::regclass
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND a.attname <> 'tenant_id'
        WHERE c.contype = 'x' AND c.conname <> 'contacts_one_home') x WHERE x.def ~ ('\m' || x.col || '\M')$$,
    'SELECT m.tab, m.person_column FROM csm_private.merge_ranges() m',
    'merge: csm_private.merge_ranges() names every exclusion constraint that has a person in it');
SELECT set_eq($$SELECT m.tab, k FROM csm_private.merge_ranges() m, unnest(m.key_columns) k$$,
    $$SELECT m.tab, a.attname::text FROM csm_private.merge_ranges() m
      JOIN pg_constraint c ON c.conrelid = m.tab::regclass AND c.contype = 'x' AND c.conname <> 'contacts_one_home'
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum > 0 AND pg_get_constraintdef(c.oid) ~ ('\m' || a.attname || '\M')
      WHERE a.attname NOT IN ('valid_during', m.person_column)
        AND NOT (m.tab IN ('csm.case_parties', 'csm.asset_parties') AND a.attname = 'account_id')
        AND NOT (m.tab = 'csm.account_team' AND m.person_column = 'user_id' AND a.attname IN ('account_id', 'household_id'))$$,
    'merge: and the columns by which their rows are told apart');
SELECT is_empty($$SELECT x.indexrelid::regclass FROM pg_index x
    JOIN pg_constraint f ON f.conrelid = x.indrelid AND f.contype = 'f' AND f.confrelid = 'csm.users'::regclass
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) AND a.attname <> 'tenant_id'
    WHERE x.indisunique AND 0 = ANY (x.indkey) AND pg_get_indexdef(x.indexrelid) ~ ('\m' || a.attname || '\M')$$,
    'merge: no unique index over expressions has a person in it');
SELECT is_empty($$SELECT c.conrelid::regclass, c.conname FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
    JOIN pg_constraint f ON f.conrelid = c.conrelid AND f.contype = 'f' AND f.confrelid = 'csm.users'::regclass AND a.attnum = ANY (f.conkey)
    WHERE c.contype = 'f' AND c.confrelid <> 'csm.users'::regclass AND a.attname <> 'tenant_id'$$,
    'merge: no reference to anything else has a person in it');

-- "double" is "north contact" once more, with rows everywhere.
DO $$
DECLARE
    twice bigint := small.new_user('double');
    t bigint := small.tenant();
    p bigint;
BEGIN
    UPDATE csm.users SET phone = '+49 30 1', title = 'Buyer' WHERE id = twice;
    PERFORM small.new_contact('double', 'north', 'case_manager', true), small.new_contact('double', 'south', 'customer', false),
            small.new_contact('double', 'acme', 'customer', false, tstzrange('2024-01-01', '2025-01-01'));
    PERFORM small.new_contact('north contact', 'acme', 'customer', false, tstzrange('2024-06-01', '2024-07-01'));
    INSERT INTO csm.consumers (tenant_id, user_id, registered_at) VALUES (t, twice, '2020-01-01'), (t, small.u('north contact'), '2021-01-01');
    INSERT INTO csm.employees (tenant_id, user_id, department, manager_id) VALUES (t, twice, 'Sales', small.u('north contact')), (t, small.u('north contact'), NULL, NULL);
    INSERT INTO csm.household_members (tenant_id, household_id, user_id, valid_during) VALUES
        (t, small.h('family'), twice, '[2020-01-01,2026-01-01)'), (t, small.h('family'), small.u('north contact'), '[2022-01-01,2023-01-01)');
    UPDATE csm.households SET head_user_id = twice WHERE id = small.h('family');
    INSERT INTO csm.representations (tenant_id, representative_id, represented_id) VALUES
        (t, twice, small.u('ward')), (t, small.u('north contact'), small.u('ward')), (t, small.u('mother'), twice), (t, twice, small.u('north contact'));
    INSERT INTO csm.notification_preferences (tenant_id, user_id, event, channel, enabled) VALUES
        (t, twice, 'closed', 'email', false), (t, twice, 'opened', 'email', false), (t, small.u('north contact'), 'closed', 'email', true);
    INSERT INTO csm.groups (tenant_id, name) VALUES (t, 'desk') RETURNING id INTO p;
    INSERT INTO csm.group_members (tenant_id, group_id, user_id) VALUES (t, p, twice), (t, p, small.u('north contact'));
    INSERT INTO csm.account_team (tenant_id, member_id, account_id, user_id) VALUES (t, small.u('account team'), NULL, twice), (t, small.u('account team'), NULL, small.u('north contact'));
    INSERT INTO csm.case_parties (tenant_id, case_id, user_id, capabilities) VALUES
        (t, small.c('south: delivery'), twice, '{case_read,case_comment}'), (t, small.c('south: delivery'), small.u('north contact'), '{case_read}'),
        (t, small.c('plant: leak'), twice, '{case_read}');
    PERFORM small.new_case('double: closed', 'b2b', 'double', 'north', '{}', 'closed'), small.new_case('double: mine', 'b2c', 'double');
    INSERT INTO csm.products (tenant_id, name) VALUES (t, 'pump') RETURNING id INTO p;
    INSERT INTO csm.assets (tenant_id, user_id, product_id, serial_number) VALUES (t, twice, p, 'D1') RETURNING id INTO p;
    INSERT INTO csm.asset_parties (tenant_id, asset_id, user_id) VALUES (t, p, small.u('son'));
END $$;
-- What they do themselves: comments with the same key, an attachment, a case each, history of it all
SELECT is(pg_temp.does('double', format($$SELECT body FROM csm.comment(%s, 'from the double', 'shared', 'k1')$$, small.c('south: delivery')), 'csm_portal'), 'from the double', 'merge: (the double comments)');
UPDATE csm.case_parties SET capabilities = '{case_read,case_comment}' WHERE user_id = small.u('north contact') AND case_id = small.c('south: delivery');
SELECT is(pg_temp.does('north contact', format($$SELECT body FROM csm.comment(%s, 'from the other', 'shared', 'k1')$$, small.c('south: delivery')), 'csm_portal'), 'from the other', 'merge: (so does the other)');
UPDATE csm.case_parties SET capabilities = '{case_read}' WHERE user_id = small.u('north contact') AND case_id = small.c('south: delivery');
SELECT is(pg_temp.does('double', format($$SELECT subject FROM csm.open_case('by the double', account_id => %s, idempotency_key => 'c1')$$, small.a('north')), 'csm_portal'), 'by the double', 'merge: (and opens a case)');
SELECT is(pg_temp.does('north contact', format($$SELECT subject FROM csm.open_case('by the other', account_id => %s, idempotency_key => 'c1')$$, small.a('north')), 'csm_portal'), 'by the other', 'merge: (as the other does)');
SELECT is(pg_temp.does('double', format($$SELECT file_name FROM csm.attach(%s, 'a.txt', 'text/plain', 'x')$$, (SELECT id FROM csm.cases WHERE subject = 'by the double')), 'csm_portal'), 'a.txt', 'merge: (with a file)');
SELECT is((SELECT intact::text || coalesce(' ' || what, '') FROM csm.verify_history()), 'true', 'merge: (the history is whole before)');
SELECT matches(pg_temp.does('double', 'SELECT csm.start_session()', 'csm_portal'), '^[A-Za-z0-9_-]{43}$', 'merge: (and has a session open)');
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM csm.case_entries) AS entries, (SELECT count(*) FROM csm.cases) AS cases,
    (SELECT max(updated_at) FROM csm.cases WHERE subject = 'double: closed') AS closed_at, (SELECT count(*) FROM csm.events) AS events;

-- Refusals
SELECT is(pg_temp.does(x.person, format('SELECT csm.merge_users(%s, %s, %L)', x.keep, x.remove, x.reason), x.conn), 'ERROR ' || x.code, format('merge: refused: %s', x.why))
FROM (VALUES
    ('b2b agent', small.u('north contact'), small.u('double'), 'same', 'csm_agent', '42501', 'without person_manage'),
    ('north admin', small.u('north contact'), small.u('double'), 'same', 'csm_portal', '42501', 'a customer''s administrator'),
    ('desk manager', small.u('north contact'), small.u('double'), 'same', 'csm_portal', '42501', 'staff at the portal'),
    ('desk manager', small.u('north contact'), 999999999, 'same', 'csm_agent', '42501', 'a missing person'),
    ('desk manager', small.u('north contact'), (SELECT min(id) FROM csm.users WHERE tenant_id = small.tenant('foreign')), 'same', 'csm_agent', '42501', 'a person of another tenant'),
    ('desk manager', small.u('double'), small.u('double'), 'same', 'csm_agent', '22023', 'the same person'),
    ('desk manager', small.u('north contact'), small.u('double'), ' ', 'csm_agent', '22023', 'no reason'),
    ('desk manager', small.u('desk manager'), small.u('double'), 'same', 'csm_agent', '42501', 'oneself'),
    ('desk manager', small.u('north contact'), small.u('desk admin'), 'same', 'csm_agent', '42501', 'a person with a staff role'),
    ('desk manager', small.u('desk admin'), small.u('double'), 'same', 'csm_agent', '42501', 'into a person with a staff role')
) x(person, keep, remove, reason, conn, code, why);
SELECT csm.allow_mail_sender(small.u('stranger'));
SELECT is(pg_temp.does('desk manager', format('SELECT csm.merge_users(%s, %s, ''x'')', small.u('north contact'), small.u('stranger'))), 'ERROR 42501', 'merge: refused: who reads the mail');
SELECT csm.allow_mail_sender(small.u('stranger'), false);
SELECT is((SELECT count(*) FROM csm.user_merges), 0::bigint, 'merge: nothing half done');
SELECT throws_ok(format($$UPDATE csm.case_entries SET author_id = %s WHERE author_id = %s$$, small.u('north contact'), small.u('double')), '42501', NULL,
    'merge: who wrote an entry, nobody changes by himself');

-- And the merge
CREATE TEMP TABLE the_double AS SELECT small.u('double') AS id;
SELECT is(pg_temp.does('desk manager', format($$SELECT (csm.merge_users(%s, %s, 'one and the same')).kept_id$$, small.u('north contact'), small.u('double'))),
    small.u('north contact')::text, 'merge: staff with person_manage make two persons one');
SELECT is((SELECT count(*) FROM csm.users WHERE id = small.u('double')), 0::bigint, 'merge: the second row is gone');
SELECT is_empty($$SELECT * FROM pg_temp.named_in((SELECT id FROM the_double)) WHERE n > 0$$, 'merge: nothing refers to it any more');
SELECT is((SELECT string_agg(col, ' ' ORDER BY col) FROM pg_temp.named_in(small.u('north contact')) WHERE n > 0
             AND col IN ('csm.cases.requester_id', 'csm.case_entries.author_id', 'csm.attachments.author_id', 'csm.assets.user_id', 'csm.households.head_user_id')),
    'csm.assets.user_id csm.attachments.author_id csm.case_entries.author_id csm.cases.requester_id csm.households.head_user_id', 'merge: but to the one who was kept');
SELECT is((SELECT phone || ' ' || title || ' ' || email FROM csm.users WHERE id = small.u('north contact')), '+49 30 1 Buyer north.contact@small.example',
    'merge: what his row lacked is filled in, what it had stays');
SELECT results_eq(format($$SELECT removed_id, kept_id, reason, merged_by, removed->>'email' FROM csm.user_merges$$),
    format($$VALUES (%s::bigint, %s::bigint, 'one and the same', %s::bigint, 'double@small.example')$$, small.u('double'), small.u('north contact'), small.u('desk manager')),
    'merge: recorded, with the row that was');
SELECT is((SELECT actor_id = small.u('desk manager') AND subject_user_id = small.u('north contact') FROM csm.audit_log WHERE kind = 'users_merged'), true, 'merge: and in the audit log');
SELECT is((SELECT array_agg(DISTINCT g->>'table' ORDER BY g->>'table') FROM csm.user_merges m, jsonb_array_elements(m.given_up) g),
    '{csm.account_team,csm.case_parties,csm.consumers,csm.contacts,csm.employees,csm.group_members,csm.household_members,csm.notification_preferences,csm.representations}',
    'merge: what both had is kept in the record');

-- Rows of which one can be
SELECT is((SELECT string_agg(a.name || ' ' || k.role || CASE WHEN k.is_home THEN ' home' ELSE '' END || coalesce(' ' || to_char(lower(k.valid_during) AT TIME ZONE 'UTC', 'YYYY-MM'), ''), ', '
                             ORDER BY a.name, lower(k.valid_during))
           FROM csm.contacts k JOIN csm.accounts a ON a.id = k.account_id WHERE k.user_id = small.u('north contact')),
    'acme customer 2024-01, acme customer 2024-06, acme customer 2024-07, north case_manager home, south customer',
    'merge: contacts: the wider role where both are one, what lies outside the other''s time, one home');
SELECT is((SELECT string_agg(to_char(lower(valid_during) AT TIME ZONE 'UTC', 'YYYY') || '-' || to_char(upper(valid_during) AT TIME ZONE 'UTC', 'YYYY'), ' ' ORDER BY valid_during)
           FROM csm.household_members WHERE user_id = small.u('north contact')), '2020-2022 2022-2023 2023-2026', 'merge: memberships add up to both');
SELECT is((SELECT string_agg(coalesce(m.name, '') || '>' || coalesce(r.name, ''), ' ' ORDER BY m.name)
           FROM csm.representations x JOIN small.named m ON m.kind = 'user' AND m.id = x.representative_id JOIN small.named r ON r.kind = 'user' AND r.id = x.represented_id
           WHERE small.u('north contact') IN (x.representative_id, x.represented_id)), 'mother>north contact north contact>ward', 'merge: nobody represents himself, nor twice');
SELECT is((SELECT department || ' ' || coalesce(manager_id::text, 'none') FROM csm.employees WHERE user_id = small.u('north contact')), 'Sales none', 'merge: nor is his own superior');
SELECT is((SELECT registered_at FROM csm.consumers WHERE user_id = small.u('north contact')), '2020-01-01'::timestamptz, 'merge: a consumer since he first was one');
SELECT is((SELECT string_agg(event || ' ' || enabled, ' ' ORDER BY event) FROM csm.notification_preferences WHERE user_id = small.u('north contact')), 'closed true opened false',
    'merge: his own preference goes first');
SELECT is((SELECT capabilities FROM csm.case_parties WHERE case_id = small.c('south: delivery') AND user_id = small.u('north contact')), '{case_comment,case_read}', 'merge: a share permits what either did');
SELECT is((SELECT count(*) FROM csm.asset_parties p JOIN csm.assets a ON a.id = p.asset_id WHERE a.user_id = small.u('north contact')), 1::bigint, 'merge: an item that only changes ids keeps who is authorised on it');
SELECT is((SELECT string_agg(coalesce(idempotency_key, 'none'), ' ' ORDER BY body DESC) FROM csm.case_entries WHERE author_id = small.u('north contact') AND case_id = small.c('south: delivery')),
    'k1 none', 'merge: of two entries with one key both stay');
SELECT is((SELECT string_agg(coalesce(idempotency_key, 'none'), ' ' ORDER BY subject DESC) FROM csm.cases WHERE opened_by = small.u('north contact') AND subject LIKE 'by the %'),
    'c1 none', 'merge: of two cases too');

-- The journal
SELECT is((SELECT intact::text || coalesce(' ' || what, '') FROM csm.verify_history()), 'true', 'merge: the history is whole after');
SELECT is((SELECT payload FROM csm.case_history WHERE case_id = small.c('double: closed') AND action = 'merge'),
    jsonb_build_object('requester_id', jsonb_build_array((SELECT id FROM the_double), small.u('north contact')), 'opened_by', jsonb_build_array((SELECT id FROM the_double), small.u('north contact'))),
    'merge: each case tells it, a closed one too');
SELECT is((SELECT actor_id FROM csm.case_history WHERE case_id = small.c('double: closed') AND action = 'merge'), small.u('desk manager'), 'merge: and who did it');
SELECT is((SELECT updated_at FROM csm.cases WHERE id = small.c('double: closed')), (SELECT closed_at FROM before), 'merge: nothing else about it changes');
SELECT is((SELECT actor_id FROM csm.case_history h JOIN csm.cases c ON c.id = h.case_id WHERE c.subject = 'by the double' AND h.action = 'open'), (SELECT id FROM the_double),
    'merge: links keep the id under which they were hashed');
SELECT is(csm_private.person_now((SELECT id FROM the_double), small.tenant()), small.u('north contact'), 'merge: and whose that is can be asked');
SELECT is(csm_private.person_ids(small.u('north contact'), small.tenant()), ARRAY[small.u('north contact'), (SELECT id FROM the_double)], 'merge: both ways');
SELECT is((SELECT count(*) FROM csm.case_entries), (SELECT entries FROM before), 'merge: no entry more or less');
SELECT is((SELECT count(*) FROM csm.events), (SELECT events FROM before), 'merge: nothing happened, so no event');
SELECT is(small.sees('north contact', 'double: mine')::text || small.sees('north contact', 'north: pump') || small.sees('north contact', 'plant: leak') || small.sees('north contact', 'double: closed'),
    'truetruetruetrue', 'merge: he sees what either saw');
SELECT is(small.run((SELECT id FROM the_double), 'csm_portal', 'SELECT count(*) FROM csm.cases'), '0', 'merge: the other is nobody');
SELECT throws_ok(format($$UPDATE csm.case_entries SET author_id = %s WHERE author_id = %s$$, small.u('son'), small.u('north contact')), '42501', NULL, 'merge: the door is shut again');
SELECT throws_ok(format($$UPDATE csm.cases SET subject = 'x' WHERE id = %s$$, small.c('double: closed')), 'SM004', NULL, 'merge: a closed case is closed again');

-- Once more: the one who was kept becomes somebody else's second row.
SELECT is(pg_temp.does('desk manager', format($$SELECT (csm.merge_users(%s, %s, 'again')).kept_id$$, small.u('north colleague'), small.u('north contact'))), small.u('north colleague')::text, 'merge: a merged person can be merged');
SELECT is(csm_private.person_now((SELECT id FROM the_double), small.tenant()), small.u('north colleague'), 'merge: the first id leads to the last person');
SELECT is((SELECT intact::text || coalesce(' ' || what, '') FROM csm.verify_history()), 'true', 'merge: the history is whole');
SELECT is_empty('SELECT * FROM csm.verify_accounts()', 'merge: so are the accounts');
SELECT is(pg_temp.does('desk manager', 'SELECT count(*) FROM csm.user_merges'), '2', 'merge: staff with person_manage read the record');
SELECT is(pg_temp.does('b2b agent', 'SELECT count(*) FROM csm.user_merges'), '0', 'merge: an agent does not');

-- A table that somebody adds
CREATE TABLE csm.planted (id bigint PRIMARY KEY, tenant_id bigint, a bigint, b bigint, UNIQUE (a, b), FOREIGN KEY (a, tenant_id) REFERENCES csm.users (id, tenant_id));
ALTER TABLE csm.planted OWNER TO csm_owner;
ALTER EXTENSION csm ADD TABLE csm.planted;
INSERT INTO csm.planted VALUES (1, small.tenant(), small.u('son'), 1), (2, small.tenant(), small.u('daughter'), 1), (3, small.tenant(), small.u('daughter'), 2), (4, small.tenant(), small.u('daughter'), NULL);
SELECT lives_ok(format($$SELECT csm.merge_users(%s, %s, 'planted')$$, small.u('son'), small.u('daughter')), 'merge: a table that is added is found by its foreign key');
SELECT results_eq('SELECT id, a FROM csm.planted ORDER BY id', format('VALUES (1::bigint, %1$s::bigint), (3, %1$s), (4, %1$s)', small.u('son')), 'merge: and its unique key respected');
ALTER EXTENSION csm DROP TABLE csm.planted;
DROP TABLE csm.planted;
SELECT * FROM finish();
