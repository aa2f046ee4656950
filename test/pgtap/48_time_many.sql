-- What time does reads as many rows for each timer when there are many of them, whatever statistics say (D5).
\set ON_ERROR_STOP on
\ir ../lib/clockwork.sql
SELECT * FROM no_plan();
\set n 2000
CREATE FUNCTION cw.rows_read(named text, OUT by_index bigint, OUT in_all bigint) LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(idx_tup_fetch, 0), coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
    WHERE schemaname = 'csm' AND relname = named
$$;

INSERT INTO csm.accounts (name) SELECT 'Account ' || n FROM generate_series(1, :n) n;
SELECT cw.as('manager', 'INSERT INTO csm.recipient_lists (name) VALUES (''all'') RETURNING id') AS list \gset
INSERT INTO csm.recipients (list_id, account_id) SELECT :list, id FROM csm.accounts WHERE name LIKE 'Account %';
SELECT cw.as('manager', 'SELECT (csm.open_major(''outage'')).id') AS m \gset
-- statistics know of no timer, and then of one parent that has all children
DELETE FROM csm.timers;
VACUUM ANALYZE csm.timers, csm.cases;
SELECT is(cw.as('manager', format('SELECT csm.create_children(%s, %s)', :m, :list)), :'n', 'B32 a child for each recipient');
ANALYZE csm.case_children;
SELECT cw.as('manager', format($$SELECT (csm.act(%s, 'close', NULL, '{"resolution_code": "a", "resolution_notes": "b"}')).state$$, :m));

BEGIN;
SELECT is((SELECT format('%s/%s/%s', done, failed, busy) FROM csm.run_due("limit" => 100000) WHERE kind = 'follow_parent'), :n || '/0/0',
          'D5 all children follow their parent in one call');
-- Twenty groups: who reads what is left for each of them reads ten times as much.
SELECT cmp_ok(by_index, '<', 2 * :n::bigint, 'D5 claiming a group does not read the timers behind it') FROM cw.rows_read('timers');
-- A group may read the small table once; each child must not.
SELECT cmp_ok(in_all, '<', 50 * :n::bigint, 'D5 a child does not read its siblings') FROM cw.rows_read('case_children');
COMMIT;
SELECT is((SELECT count(*) FROM csm.cases WHERE parent_id = :m AND state = 'closed'), :n::bigint, 'B32 all children are closed');
SELECT is((SELECT count(*) FROM csm.cases c WHERE c.parent_id = :m AND (SELECT count(*) FROM csm.case_entries e WHERE e.case_id = c.id) <> 1), 0::bigint,
          'B32 each child got one entry');
SELECT * FROM finish();
