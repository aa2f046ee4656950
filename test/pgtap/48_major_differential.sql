-- Children that follow their parent many at a time (R B32) against the same done one by one: two families of the same fate.
\set ON_ERROR_STOP on
\ir ../lib/clockwork.sql
SELECT * FROM no_plan();
SELECT setseed(0.83);
UPDATE csm.tenants SET settings = '{"major": {"sync": true, "recursive": true}}' WHERE key = 'clockwork';
INSERT INTO csm.accounts (name) SELECT 'Account ' || n FROM generate_series(1, 40) n;
INSERT INTO csm.recipient_lists (name) VALUES ('all') RETURNING id AS list \gset
INSERT INTO csm.recipients (list_id, account_id) SELECT :list, id FROM csm.accounts WHERE name LIKE 'Account %';
INSERT INTO csm.recipients (list_id, user_id) SELECT :list, :consumer;

-- The families by name: the major case, its children by account, and a child of every fifth child.
CREATE TABLE cw.family (family text, place integer, id bigint PRIMARY KEY);
SELECT count(cw.as('manager', format('SELECT (csm.open_major(%L)).id', f))) AS majors FROM unnest('{one by one,together}'::text[]) f \gset
INSERT INTO cw.family SELECT subject, 0, id FROM csm.cases WHERE major_state = 'accepted';
SELECT count(cw.as('manager', format('SELECT csm.create_children(%s, %s)', id, :list))) AS made FROM cw.family WHERE place = 0 \gset
INSERT INTO cw.family SELECT c.subject, row_number() OVER (PARTITION BY c.parent_id ORDER BY c.account_id), c.id FROM csm.cases c WHERE c.parent_id IN (SELECT id FROM cw.family);
CREATE FUNCTION cw.grandchild(of_case bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    g bigint := cw.new_case('grandchild');
BEGIN
    PERFORM cw.as('agent', format('UPDATE csm.cases SET parent_id = %s WHERE id = %s', of_case, g));
    RETURN g;
END $$;
INSERT INTO cw.family SELECT family, 1000 + place, cw.grandchild(id) FROM cw.family WHERE place > 0 AND place % 5 = 0;
SELECT is((SELECT string_agg(n::text, ',') FROM (SELECT count(*) AS n FROM cw.family GROUP BY family) x), '50,50', 'B32 fixture: two families of the same size');

-- What befalls a child before: a state, values of its own, a task that keeps it from being closed.
CREATE TABLE cw.fate AS SELECT place, statement FROM (SELECT place, floor(random() * 7)::integer AS fate, floor(random() * 4)::integer AS more FROM cw.family WHERE family = 'together' AND place > 0) x
CROSS JOIN LATERAL unnest(ARRAY[
    CASE WHEN fate BETWEEN 1 AND 4 THEN 'SELECT csm.act($1, ''take'')' END,
    CASE fate WHEN 2 THEN 'SELECT csm.act($1, ''request_info'', ''Which?'')' WHEN 3 THEN 'SELECT csm.act($1, ''propose'', NULL, ''{"resolution_code": "own", "resolution_notes": "own"}'')'
              WHEN 4 THEN 'SELECT csm.act($1, ''close'', NULL, ''{"resolution_code": "own", "resolution_notes": "own"}'')'
              WHEN 5 THEN 'INSERT INTO csm.case_tasks (case_id, subject, blocking) VALUES ($1, ''first this'', true) RETURNING id' END,
    CASE WHEN fate <> 4 AND more = 1 THEN 'UPDATE csm.cases SET priority = 1 WHERE id = $1' WHEN fate <> 4 AND more = 2 THEN 'UPDATE csm.cases SET resolution_code = ''Fixed'' WHERE id = $1' END]) AS statement
WHERE statement IS NOT NULL;
CREATE TABLE cw.befell AS SELECT f.family, f.place, cw.as(CASE WHEN c.branch = 'b2c' THEN 'consumer_agent' ELSE 'manager' END, replace(t.statement, '$1', f.id::text)) AS answer
FROM cw.family f JOIN cw.fate t USING (place) JOIN csm.cases c ON c.id = f.id;
SELECT is((SELECT string_agg(answer, ',') FROM cw.befell WHERE answer ~ '^([0-9A-Z]{5}|SM.*)$' AND length(answer) = 5), NULL, 'B32 fixture: nothing was refused');

-- Lets one family's clock run; "late" ones are left for another time.
CREATE FUNCTION cw.follow(of_family text, late integer DEFAULT 0) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    steps bigint := 0;
    n bigint;
BEGIN
    LOOP
        UPDATE csm.timers t SET due_at = CASE WHEN f.family = of_family AND (late = 0 OR f.place % late <> 0) THEN timestamptz '2020-01-01' ELSE 'infinity' END, attempts = 0
        FROM cw.family f WHERE f.id = t.case_id AND t.kind = 'follow_parent';
        SELECT coalesce(sum(r.done), 0) INTO n FROM csm.run_due('2020-01-02', CASE of_family WHEN 'together' THEN 1000 ELSE 1 END) r WHERE r.kind = 'follow_parent';
        EXIT WHEN n = 0 AND of_family = 'together';
        -- one by one, those that fail come first for ever
        IF n = 0 THEN
            DELETE FROM csm.timers t USING cw.family f WHERE f.id = t.case_id AND t.kind = 'follow_parent' AND f.family = of_family AND t.error IS NOT NULL;
            EXIT WHEN NOT FOUND;
        END IF;
        steps := steps + 1;
    END LOOP;
    DELETE FROM csm.timers t USING cw.family f WHERE f.id = t.case_id AND t.kind = 'follow_parent' AND f.family = of_family AND t.error IS NOT NULL;
    RETURN steps;
END $$;
CREATE VIEW cw.picture AS
SELECT f.family, f.place, format('%s %s %s %s %s | %s | %s | %s | %s', c.state, c.priority, c.resolution_code, c.resolution_notes, c.needs_attention,
       (SELECT string_agg(e.body || ' ' || e.visibility || ' ' || e.author_name || ' ' || (e.idempotency_key IS NULL), '; ' ORDER BY e.id) FROM csm.case_entries e WHERE e.case_id = c.id),
       (SELECT string_agg(h.action || ' ' || coalesce(h.actor_name, ''), '; ' ORDER BY h.seq) FROM csm.case_history h WHERE h.case_id = c.id),
       (SELECT string_agg(e.kind || ' ' || (e.actor_id IS NULL), '; ' ORDER BY e.id) FROM csm.events e WHERE e.case_id = c.id),
       (SELECT k.followed = coalesce(max(m.id), 0) FROM csm.case_children k LEFT JOIN csm.major_changes m ON m.case_id = k.parent_id WHERE k.case_id = c.id GROUP BY k.followed)) AS seen
FROM cw.family f JOIN csm.cases c ON c.id = f.id WHERE f.place > 0;
CREATE FUNCTION cw.differ() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s <> %s', place, a.seen, b.seen), E'\n') FROM (SELECT * FROM cw.picture WHERE family = 'together') a
    FULL JOIN (SELECT * FROM cw.picture WHERE family = 'one by one') b USING (place) WHERE a.seen IS DISTINCT FROM b.seen $$;
SELECT is(cw.differ(), NULL, 'B32 fixture: the families are alike');

CREATE FUNCTION cw.all_majors(statement text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(cw.as('manager', replace(statement, '$1', id::text))) FROM cw.family WHERE place = 0 $$;
SELECT cw.all_majors('UPDATE csm.cases SET priority = 2 WHERE id = $1') AS done, cw.all_majors('SELECT csm.comment($1, ''We are on it'')') AS said \gset
SELECT cw.follow('one by one', 3) > 20 AS many_steps, cw.follow('together', 3) < 5 AS few_steps \gset
SELECT ok(:'many_steps' AND :'few_steps', 'B32 one family follows one by one, the other many at a time');
SELECT is(cw.differ(), NULL, 'B32 priority and comment: the same, and the same for those that are late');
SELECT cmp_ok((SELECT count(DISTINCT k.followed) FROM csm.case_children k JOIN cw.family f ON f.id = k.case_id WHERE f.family = 'together' AND f.place < 1000), '>', 1::bigint, 'B32 children are behind by different changes');
SELECT cw.all_majors('SELECT csm.comment($1, ''Router 7'', ''internal'')') AS noted, cw.all_majors('UPDATE csm.cases SET resolution_code = ''Patch'', resolution_notes = ''soon'' WHERE id = $1') AS coded \gset
SELECT cw.follow('one by one'), cw.follow('together') \gset
SELECT is(cw.differ(), NULL, 'B32 a work note and further fields, after different changes: the same');
SELECT cmp_ok((SELECT count(*) FROM csm.cases c JOIN cw.family f ON f.id = c.id WHERE f.place >= 1000 AND c.resolution_code = 'Patch'), '>', 0::bigint, 'C21 children of children followed as well');
SELECT cw.all_majors('SELECT csm.act($1, ''close'', NULL, ''{"resolution_code": "Fixed", "resolution_notes": "New router"}'')') AS closed \gset
SELECT cw.follow('one by one'), cw.follow('together') \gset
SELECT is(cw.differ(), NULL, 'R2.2.18 the closing: the same');
SELECT cmp_ok((SELECT count(*) FROM csm.cases c JOIN cw.family f ON f.id = c.id WHERE f.family = 'together' AND c.state = 'closed' AND c.resolution_code = 'Fixed'), '>', 10::bigint, 'R2.2.18 many are closed');
SELECT is((SELECT string_agg(DISTINCT c.state, ',') FROM csm.case_tasks t JOIN csm.cases c ON c.id = t.case_id WHERE t.blocking), 'new', 'R2.2.18 but for those that a task keeps open, which hold up nobody');
SELECT * FROM finish();
