-- For time.sh: cases whose solution nobody answered, recipients of a major case.
CREATE SCHEMA bench;
SELECT csm.create_tenant('bench', 'Bench', 'boss@bench.example');
INSERT INTO csm.users (display_name) VALUES ('customer'), ('manager');
INSERT INTO csm.user_roles (user_id, role) SELECT id, 'manager' FROM csm.users WHERE display_name = 'manager';
INSERT INTO csm.accounts (name) SELECT 'Account ' || n FROM generate_series(1, :rows) n;
INSERT INTO csm.contacts (user_id, account_id, role, is_home)
SELECT u.id, a.id, 'customer', a.name = 'Account 1' FROM csm.users u, csm.accounts a WHERE u.display_name = 'customer';

-- Cases take turns: what was closed is given back, so that each measurement finds the same.
SET csm.importing = on;
INSERT INTO csm.cases (subject, requester_id, account_id, branch, state, resolved_at, resolution_code, resolution_notes)
SELECT 'Case ' || n, u.id, (SELECT min(id) FROM csm.accounts) + n % 1000, 'b2b', 'resolved', clock_timestamp(), 'Fixed', 'Replaced'
FROM csm.users u, generate_series(1, :rows) n WHERE u.display_name = 'customer';
RESET csm.importing;
CREATE FUNCTION bench.due() RETURNS void LANGUAGE sql SET csm.importing = on AS $$
    UPDATE csm.cases SET state = 'resolved', closed_at = NULL,
        resolved_at = clock_timestamp() - CASE WHEN id % 2 = 0 THEN interval '6 days' ELSE interval '11 days' END
    WHERE subject LIKE 'Case %';
    DELETE FROM csm.timers WHERE kind LIKE 'auto%' OR kind = 'notify';
    INSERT INTO csm.timers (tenant_id, kind, object_id, case_id, due_at)
    SELECT tenant_id, CASE WHEN id % 2 = 0 THEN 'auto_close_reminder' ELSE 'auto_close' END, id, id, now() - random() * interval '1 hour' FROM csm.cases
    WHERE subject LIKE 'Case %';
$$;
-- What the runs had to tell the customer, told at once.
CREATE FUNCTION bench.notify() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    before CONSTANT bigint := (SELECT count(*) FROM csm.notifications);
BEGIN
    INSERT INTO csm.timers (tenant_id, kind, object_id, due_at) SELECT id, 'notify', id, now() FROM csm.tenants WHERE key = 'bench';
    LOOP
        made := (SELECT count(*) FROM csm.notifications);
        PERFORM csm.run_due(clock_timestamp(), 1);
        EXIT WHEN made = (SELECT count(*) FROM csm.notifications);
    END LOOP;
    RETURN made - before;
END $$;
-- Each half was done, and once.
CREATE FUNCTION bench.check() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    ASSERT NOT EXISTS (SELECT FROM csm.cases WHERE subject LIKE 'Case %' AND (state = 'closed') <> (id % 2 = 1)), 'a case in the wrong state';
    ASSERT NOT EXISTS (SELECT FROM csm.case_entries GROUP BY case_id HAVING count(*) <> 2), 'an entry too many or too few';
    RETURN 'checked: every case was reminded or closed once in each run';
END $$;

CREATE TABLE bench.major (id bigint);
CREATE FUNCTION bench.manager() RETURNS text LANGUAGE sql AS $$
    SELECT set_config('csm.user_id', (SELECT id::text FROM csm.users WHERE display_name = 'manager'), true)
$$;
BEGIN;
SELECT bench.manager();
INSERT INTO bench.major SELECT (csm.open_major('Outage')).id;
COMMIT;
INSERT INTO csm.recipient_lists (name) VALUES ('all');
INSERT INTO csm.recipients (list_id, account_id) SELECT l.id, a.id FROM csm.recipient_lists l, csm.accounts a;
CREATE FUNCTION bench.children() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bench.manager();
    RETURN csm.create_children((SELECT id FROM bench.major), (SELECT id FROM csm.recipient_lists));
END $$;
CREATE FUNCTION bench.close_major() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bench.manager();
    PERFORM csm.act((SELECT id FROM bench.major), 'close', NULL, '{"resolution_code": "Fixed", "resolution_notes": "New router"}');
END $$;
SET client_min_messages = error;
VACUUM ANALYZE;
