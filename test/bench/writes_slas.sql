-- Two SLAs for every case: one is stopped when somebody takes the case, the other when it is closed.
SELECT tenant FROM bench.config \gset
INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'desk', 'Europe/Berlin') RETURNING id AS desk \gset
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
SELECT :tenant, :desk, d, '09:00', '17:00' FROM generate_series(1, 5) d;
INSERT INTO csm.sla_definitions (tenant_id, name, type, duration_seconds, calendar_from, calendar_id, start_when, stop_when)
VALUES (:tenant, 'response', 'response', 14400, 'fixed', :desk, '$.state_class == "new"', '$.state_class != "new"'),
       (:tenant, 'resolution', 'resolution', 144000, 'fixed', :desk, '$.state_class == "new"', '$.state_class == "closed"');
VACUUM ANALYZE;
