-- For whom the planner is offered the ids of his accounts, and where something else reads fewer rows than they save: a tree of
-- 4 accounts, one of 40, of 200 and of 400, among 2,000 with ten cases each. Ten cases are major, 1,000 have a parent and 6,000
-- somebody who works on them; each of these stands in a partial index.
\set ON_ERROR_STOP on
\ir ../lib/small.sql
SELECT * FROM no_plan();

DO $$
BEGIN
    PERFORM small.new_account('tree of ' || n), small.new_contact('manager of ' || n, 'tree of ' || n, 'case_manager') FROM unnest('{4,40,200,400}'::int[]) n;
    INSERT INTO csm.accounts (tenant_id, name, parent_id)
    SELECT small.tenant(), 'account ' || n, CASE WHEN n <= 400 THEN small.a('tree of 400') WHEN n <= 600 THEN small.a('tree of 200')
                                                 WHEN n <= 640 THEN small.a('tree of 40') WHEN n <= 644 THEN small.a('tree of 4') END
    FROM generate_series(1, 2000) n;
    SET LOCAL session_replication_role = replica;
    INSERT INTO csm.cases (tenant_id, number, branch, state, state_class, priority, subject, requester_id, opened_by, account_id, opened_at, submitted_at,
                           major_state, parent_id, assigned_to, counterparty_account_id)
    SELECT a.tenant_id, 'P' || n || '-' || a.id, 'b2b', 'open', 'open', 4, 'c', small.u('umbrella admin'), small.u('umbrella admin'), a.id, now() - n * interval '1 hour', now(),
           CASE WHEN n = 1 AND a.id % 200 = 0 THEN 'accepted' END, CASE WHEN n = 2 AND a.id % 2 = 0 THEN 1 END,
           CASE WHEN n > 7 THEN small.u('desk manager') END, CASE WHEN n = 5 AND a.id % 2 = 0 THEN small.a('umbrella') END
    FROM generate_series(1, 10) n, csm.accounts a WHERE a.name LIKE 'account %';
    SET LOCAL session_replication_role = origin;
END $$;
ANALYZE csm.cases;

-- Of ids that it was offered the planner asks how many rows they name: it calls their function, which is counted.
SET csm.allow_explain = on;
SET track_functions = 'all';
CREATE FUNCTION pg_temp.asked() RETURNS bigint LANGUAGE sql
RETURN coalesce(pg_stat_get_xact_function_calls('csm.accounts_allowing(text)'::regprocedure), 0);
CREATE FUNCTION pg_temp.offered(person text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    role_secured boolean;
BEGIN
    PERFORM set_config('csm.user_id', small.u(person)::text, true);
    PERFORM set_config('role', 'csm_portal', true);
    role_secured := row_security_active('csm.cases');
    PERFORM set_config('role', 'none', true);
    before := pg_temp.asked();
    PERFORM set_config('role', 'csm_portal', true);
    EXECUTE 'EXPLAIN ' || query;
    PERFORM set_config('role', 'none', true);
    PERFORM set_config('csm.user_id', '', true);
    RETURN role_secured AND pg_temp.asked() > before;
END $$;

CREATE TEMP TABLE queries (name text, query text, who_is_offered int[]);
INSERT INTO queries VALUES
    -- the ids of 400 save reading four fifths of the rows
    ('a list of all', 'SELECT subject FROM csm.cases', '{4,40,200,400}'),
    -- so few ids are not worth a thought; but to more of them an index of few rows is preferred
    ('major cases', $$SELECT subject FROM csm.cases WHERE major_state = 'accepted'$$, '{4}'),
    ('cases with a parent', 'SELECT subject FROM csm.cases WHERE parent_id IS NOT NULL', '{4,40}'),
    ('cases in somebody''s hands', 'SELECT subject FROM csm.cases WHERE assigned_to IS NOT NULL', '{4,40,200,400}'),
    -- an ordered index gives ten of his soon
    ('the newest', 'SELECT subject FROM csm.cases ORDER BY opened_at DESC, id DESC LIMIT 10', '{4,40}'),
    ('one case', 'SELECT subject FROM csm.cases WHERE id = 1', '{}');
SELECT is(pg_temp.offered('manager of ' || n, q.query), n = ANY (q.who_is_offered), format('plans: ids offered for %s, to who holds %s accounts', q.name, n))
FROM queries q, unnest('{4,40,200,400}'::int[]) n ORDER BY q.name, n;
SELECT is(small.run(small.u('manager of ' || n), 'csm_portal', 'SELECT count(*) FROM csm.cases'), (10 * n)::text, format('plans: all cases of %s accounts are seen', n))
FROM unnest('{4,40,200,400}'::int[]) n;
SELECT * FROM finish();
