-- Leaves of the triggers of csm.cases the one that judges a change (keep: ours,
-- plpgsql) or none (bare).  What remains of an UPDATE without it is taken off.
SELECT set_config('bench.keep', :'keep', false) AS keep \gset
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT tgrelid::regclass AS tab, tgname FROM pg_trigger
             WHERE tgrelid = 'csm.cases'::regclass AND NOT tgisinternal
               AND tgname <> CASE current_setting('bench.keep') WHEN 'ours' THEN 'cases_10_guard' WHEN 'plpgsql' THEN 'bench_10' ELSE '' END LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.tab, t.tgname);
    END LOOP;
END $$;
CREATE TABLE bench.subject AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM csm.cases WHERE state = 'open' ORDER BY id LIMIT 1000;
ALTER TABLE bench.subject ADD PRIMARY KEY (n);
-- Microseconds an update that proposes a solution, each case once: the median, which what else the machine does moves least.
CREATE FUNCTION bench.decide(many integer) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    took double precision[] := '{}';
    which bigint;
BEGIN
    FOR which IN SELECT id FROM bench.subject WHERE n <= many LOOP
        began := clock_timestamp();
        UPDATE csm.cases SET state = 'resolved', resolution_code = 'solved', resolution_notes = 'done' WHERE id = which;
        took := took || (extract(epoch FROM clock_timestamp() - began) * 1e6)::double precision;
    END LOOP;
    RETURN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(took) t);
END $$;
GRANT USAGE ON SCHEMA bench TO csm_agent;
GRANT SELECT ON bench.subject TO csm_agent;
