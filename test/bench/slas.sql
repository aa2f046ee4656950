-- Business time and SLAs; prints name|value|unit|limit a line. In a database of its own, which it drops:
--   psql -XAt -f test/bench/slas.sql postgres
\set ON_ERROR_STOP on
DROP DATABASE IF EXISTS bench_slas;
CREATE DATABASE bench_slas;
\c bench_slas
SET client_min_messages = warning;
SET jit = off;
CREATE EXTENSION csm CASCADE;
SELECT setseed(0.5) \gset
SELECT csm.create_tenant('bench-sla', 'Bench', 'boss@bench-sla.example') AS tenant \gset
SELECT u.id AS boss FROM csm.users u WHERE u.tenant_id = :tenant \gset
INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'desk', 'Europe/Berlin') RETURNING id AS desk \gset
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
SELECT :tenant, :desk, d, s::time, e::time FROM generate_series(1, 5) d, (VALUES ('09:00', '12:30'), ('13:30', '17:00')) h(s, e);
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name)
SELECT :tenant, :desk, date '2020-01-01' + (random() * 4000)::integer, 'holiday ' || n FROM generate_series(1, 120) n;

-- A million ranges of a year; the same query with a built-in function in place of csm's is subtracted.
CREATE TEMP TABLE bench_range AS
SELECT a, a + '1 year'::interval AS b, a AS c FROM (SELECT timestamptz '2022-01-01' + random() * '2 years'::interval AS a FROM generate_series(1, 1000000)) x;
GRANT SELECT ON bench_range TO csm_agent;
CREATE FUNCTION pg_temp.took(statement text, runs integer) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    best double precision := 'infinity';
BEGIN
    FOR i IN 1 .. runs LOOP
        began := clock_timestamp();
        EXECUTE statement;
        best := least(best, extract(epoch FROM clock_timestamp() - began));
    END LOOP;
    RETURN best;
END $$;
BEGIN;
SET LOCAL csm.user_id = :'boss';
SET LOCAL ROLE csm_agent;
SELECT pg_temp.took('SELECT count(timestamptz_larger(a, b)) FROM bench_range', 3) AS bare,
       pg_temp.took(format('SELECT count(csm.business_seconds(%s, a, b)) FROM bench_range', :desk), 3) AS seconds,
       pg_temp.took(format('SELECT count(csm.business_add(%s, a, 3600000)) FROM bench_range', :desk), 3) AS add \gset
COMMIT;
SELECT format('business_seconds over a year with holidays|%s|µs|1', round((:seconds - :bare)::numeric, 3));
SELECT format('business_add of 1000 open hours|%s|µs|', round((:add - :bare)::numeric, 3));

-- Cases with two SLAs, which the first change pauses and the second resumes, and cases that no definition concerns, in
-- turns and each change a transaction, as the system. The first ones make statistics and are not counted.
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, calendar_from, calendar_id, priorities, start_when, pause_when, stop_when)
SELECT :tenant, t || ' bench', t, 360000, 'fixed', :desk, '{1}', '$.state_class == "new"', '$.impact == 1', '$.state_class == "closed"'
FROM unnest('{response,resolution}'::text[]) t;
CREATE TABLE bench_took (what text, with_slas boolean, us double precision);
CREATE PROCEDURE bench_cases(n integer) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    c bigint;
BEGIN
    FOR i IN 1 .. n LOOP
        FOR k IN 0 .. 1 LOOP
            began := clock_timestamp();
            INSERT INTO csm.cases (case_type, subject, priority, requester_id) VALUES ('case', 'bench', 4 - 3 * k, 1) RETURNING id INTO c;
            INSERT INTO bench_took VALUES ('open', k = 1, extract(epoch FROM clock_timestamp() - began) * 1e6);
            COMMIT;
            FOR m IN 1 .. 2 LOOP
                began := clock_timestamp();
                UPDATE csm.cases SET impact = m WHERE id = c;
                INSERT INTO bench_took VALUES ('change', k = 1, extract(epoch FROM clock_timestamp() - began) * 1e6);
                COMMIT;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SET synchronous_commit = off;
CALL bench_cases(200);
ANALYZE;
\c
SET synchronous_commit = off;
CALL bench_cases(20);
TRUNCATE bench_took;
CALL bench_cases(500);
CREATE VIEW bench_median AS
SELECT what, percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FILTER (WHERE with_slas) - percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FILTER (WHERE NOT with_slas) AS more
FROM bench_took GROUP BY what;
SELECT format('an SLA paused or resumed: more for the update of its case|%s|µs|100', round((more / 2)::numeric, 1)) FROM bench_median WHERE what = 'change';
SELECT format('an SLA attached: more for the opening of its case|%s|µs|', round((more / 2)::numeric, 1)) FROM bench_median WHERE what = 'open';
\c postgres
DROP DATABASE bench_slas;
