-- Business time: the C arithmetic against a naive definition in SQL that asks for every minute what the wall clock of the
-- zone shows and whether that is an open time; on random calendars in zones whose clocks change at 2:00, by half an hour,
-- and at midnight. Then the laws, inheritance, exceptions, errors, what others may see, and the import of holidays.
\set ON_ERROR_STOP on
SELECT * FROM no_plan();
SET TIME ZONE 'UTC';
SET jit = off;
SELECT setseed(0.47);
SELECT csm.create_tenant('time', 'Time', 'boss@time.example') AS tenant \gset
SELECT csm.create_tenant('other', 'Other', 'boss@other.example') AS other \gset
SELECT u.id AS boss FROM csm.users u WHERE u.tenant_id = :tenant \gset
SELECT u.id AS stranger FROM csm.users u WHERE u.tenant_id = :other \gset
\ir ../lib/naive_time.sql

-- ---- random calendars around changes of the clocks ----

-- Of years past: no government changes those any more.
CREATE TABLE naive.change (zone text, at timestamptz, what text);
INSERT INTO naive.change VALUES
    ('Europe/Berlin', '2024-03-31 01:00Z', 'gap at 2:00'), ('Europe/Berlin', '2024-10-27 01:00Z', 'fold at 3:00'),
    ('America/New_York', '2024-03-10 07:00Z', 'gap at 2:00'), ('America/New_York', '2024-11-03 06:00Z', 'fold at 2:00'),
    ('Australia/Lord_Howe', '2024-10-05 15:30Z', 'gap of half an hour'), ('Australia/Lord_Howe', '2024-04-06 15:00Z', 'fold of half an hour'),
    ('America/Havana', '2024-03-10 05:00Z', 'gap at midnight'), ('America/Havana', '2024-11-03 05:00Z', 'fold to midnight'),
    ('Asia/Beirut', '2024-03-30 22:00Z', 'gap at midnight'), ('Asia/Beirut', '2024-10-26 21:00Z', 'fold across midnight'),
    ('Pacific/Apia', '2011-12-30 10:00Z', 'a date that does not exist'), ('Asia/Kathmandu', '1985-12-31 18:30Z', 'quarter of an hour'),
    ('UTC', '2100-02-28 00:00Z', 'no change; no leap day'), ('Europe/Berlin', '2150-03-29 01:00Z', 'a rule for years to come');
-- The changes are where the test believes them to be, or it would prove little.
SELECT is((SELECT string_agg(format('%s %s', c.zone, c.at), ', ') FROM naive.change c
           WHERE c.zone <> 'UTC' AND c.at < '2100-01-01'
             AND ((c.at AT TIME ZONE c.zone) - ((c.at - '1 second'::interval) AT TIME ZONE c.zone)) = '1 second'), NULL,
          'B26 business time: the clocks do change where this test looks');

CREATE FUNCTION naive.pick(VARIADIC options text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT options[1 + floor(random() * cardinality(options))::integer] $$;
CREATE FUNCTION naive.hours(calendar bigint, of_weekday integer, exception bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a time; b time;
BEGIN
    a := naive.pick('00:00', '00:30', '01:30', '02:00', '02:15', '06:00', '08:00', '09:17', '13:30', '18:00', '22:00', '23:30');
    b := naive.pick('00:00', '00:15', '01:00', '02:30', '03:00', '05:59', '12:00', '13:30', '17:00', '23:00', '24:00');
    IF a <> b THEN
        INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, exception_id, start_time, end_time)
        VALUES (1, calendar, of_weekday, exception, a, b);
    END IF;
END $$;
-- A calendar for each change: hours on some weekdays, several a day, over midnight; exceptions near the change, several on
-- one date, some inherited from a parent, sometimes the hours too.
CREATE FUNCTION naive.calendar(around naive.change, n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    c bigint; parent bigint; x bigint; owner bigint;
    day date := (around.at AT TIME ZONE around.zone)::date;
    inherits boolean := random() < 0.4;
BEGIN
    INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (1, format('parent %s', n), 'Asia/Tokyo') RETURNING id INTO parent;
    INSERT INTO csm.calendars (tenant_id, name, time_zone, parent_id)
    VALUES (1, format('%s %s', around.zone, n), around.zone, CASE WHEN random() < 0.7 THEN parent END) RETURNING id INTO c;
    FOR i IN 1 .. 3 + floor(random() * 9)::integer LOOP
        PERFORM naive.hours(CASE WHEN inherits THEN parent ELSE c END, 1 + floor(random() * 7)::integer, NULL);
    END LOOP;
    FOR i IN 1 .. floor(random() * 6)::integer LOOP
        owner := CASE WHEN random() < 0.5 THEN parent ELSE c END;
        INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name)
        VALUES (1, owner, day + floor(random() * 5)::integer - 2, 'x' || i) RETURNING id INTO x;
        FOR k IN 1 .. floor(random() * 3)::integer LOOP
            PERFORM naive.hours(NULL, NULL, x);
        END LOOP;
    END LOOP;
    RETURN c;
END $$;
CREATE TABLE naive.world AS
SELECT naive.calendar(c, row_number() OVER (ORDER BY c.zone, c.at, k)::integer) AS calendar, c.zone, c.what, c.at
FROM naive.change c, generate_series(1, 4) AS k;
SELECT count(naive.watch(w.calendar, w.zone, w.at - '30 hours'::interval, w.at + '30 hours'::interval)) FROM naive.world w \gset
ANALYZE naive.minute;
CREATE INDEX ON naive.minute (calendar, before);
SELECT cmp_ok((SELECT count(*) FROM naive.minute WHERE open), '>', 10000::bigint, 'B26 business time: the random calendars are open now and then');
SELECT cmp_ok((SELECT count(*) FROM naive.minute WHERE NOT open), '>', 10000::bigint, 'B26 business time: and closed now and then');

-- ---- C against naive ----

-- Minute by minute from the begin of the stretch: no minute is counted wrongly, in whatever zone.
SELECT is((SELECT count(*) FROM (
               SELECT m.calendar, m.at, csm.business_seconds(m.calendar, m.at, m.at + '1 minute') AS fast, 60 * m.open::integer AS slow
               FROM naive.minute m) x WHERE x.fast <> x.slow), 0::bigint,
          format('B26 business_seconds is the naive definition at each minute around: %s', w.zones))
FROM (SELECT string_agg(DISTINCT zone, ', ') AS zones FROM naive.world) w;
-- Ranges between random minutes, both ways round.
CREATE TABLE naive.range AS
SELECT w.calendar, w.zone, w.what, w.at - '30 hours'::interval + floor(random() * 3600) * '1 minute'::interval AS a,
       w.at - '30 hours'::interval + floor(random() * 3600) * '1 minute'::interval AS b
FROM naive.world w, generate_series(1, 25);
SELECT is((SELECT count(*) FROM naive.range r WHERE r.zone = z.zone AND r.what = z.what
             AND csm.business_seconds(r.calendar, r.a, r.b)
                 <> CASE WHEN r.a <= r.b THEN naive.seconds(r.calendar, r.a, r.b) ELSE -naive.seconds(r.calendar, r.b, r.a) END),
          0::bigint, format('B26 business_seconds over random ranges: %s, %s', z.zone, z.what))
FROM (SELECT DISTINCT zone, what FROM naive.range) z;
-- The naive definition of adding: of all minutes that so much open time separates from here, the nearest.
CREATE TABLE naive.step AS
SELECT r.calendar, r.zone, r.what, r.a, csm.business_seconds(r.calendar, r.a, r.b) AS s FROM naive.range r;
SELECT is((SELECT count(*) FROM naive.step p JOIN naive.minute o ON o.calendar = p.calendar AND o.at = p.a
           WHERE p.zone = z.zone AND p.what = z.what AND p.s <> 0
             AND csm.business_add(p.calendar, p.a, p.s) <>
                 CASE WHEN p.s > 0
                 THEN (SELECT min(m.at) FROM naive.minute m WHERE m.calendar = p.calendar AND m.before = o.before + p.s)
                 ELSE (SELECT max(m.at) FROM naive.minute m WHERE m.calendar = p.calendar AND m.before = o.before + p.s) END),
          0::bigint, format('B26 business_add is the nearest such minute: %s, %s', z.zone, z.what))
FROM (SELECT DISTINCT zone, what FROM naive.step WHERE s <> 0) z;

-- ---- laws, on spans of decades ----

CREATE TABLE naive.far AS
SELECT w.calendar, timestamptz '1971-01-01' + random() * '228 years'::interval AS a,
       timestamptz '1971-01-01' + random() * '228 years'::interval AS b,
       timestamptz '1971-01-01' + random() * '228 years'::interval AS c,
       floor((random() - 0.5) * 2e8)::bigint AS s
FROM naive.world w, generate_series(1, 40)
WHERE csm.business_seconds(w.calendar, '1990-01-01', '1990-02-01') > 0;
UPDATE naive.far SET a = date_trunc('second', a), b = date_trunc('second', b), c = date_trunc('second', c);
SELECT cmp_ok((SELECT count(*) FROM naive.far), '>', 500::bigint, 'B26 law: there are cases to try');
SELECT is((SELECT count(*) FROM naive.far f
           WHERE csm.business_seconds(f.calendar, f.a, f.b) + csm.business_seconds(f.calendar, f.b, f.c)
                 <> csm.business_seconds(f.calendar, f.a, f.c)), 0::bigint, 'B26 law: seconds(a, b) + seconds(b, c) = seconds(a, c)');
CREATE FUNCTION naive.add(calendar bigint, a timestamptz, s bigint) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    RETURN csm.business_add(calendar, a, s);
EXCEPTION WHEN datetime_field_overflow THEN RETURN NULL;
END $$;
SELECT cmp_ok((SELECT count(*) FROM naive.far f WHERE naive.add(f.calendar, f.a, f.s) IS NOT NULL), '>', 300::bigint,
    'B26 law: most sums are within reach');
SELECT is((SELECT count(*) FROM naive.far f
           WHERE csm.business_seconds(f.calendar, f.a, naive.add(f.calendar, f.a, f.s)) <> f.s), 0::bigint,
    'B26 law: seconds(a, add(a, s)) = s');
SELECT is((SELECT count(*) FROM naive.far f CROSS JOIN LATERAL naive.add(f.calendar, f.a, f.s) AS t
           WHERE f.s <> 0 AND csm.business_seconds(f.calendar, f.a, t - sign(f.s) * '1 second'::interval) = f.s), 0::bigint,
    'B26 law: no instant nearer than add(a, s) has the same distance');
SELECT is((SELECT count(*) FROM naive.far f
           WHERE f.s > 0 AND naive.add(f.calendar, naive.add(f.calendar, f.a, f.s / 2), f.s - f.s / 2) <> naive.add(f.calendar, f.a, f.s)),
    0::bigint, 'B26 law: add(add(a, s), t) = add(a, s + t)');
SELECT is(csm.business_add(w.calendar, timestamptz '2026-05-05 03:33:33.123456Z', 0), timestamptz '2026-05-05 03:33:33.123456Z',
    'B26 law: add(a, 0) = a, open or closed') FROM naive.world w LIMIT 1;

-- ---- a desk that a person can follow ----

INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'desk', 'Europe/Berlin') RETURNING id AS desk \gset
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
SELECT :tenant, :desk, d, s::time, e::time FROM generate_series(1, 5) d, (VALUES ('09:00', '12:30'), ('13:30', '17:00')) h(s, e);
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) VALUES (:tenant, :desk, '2026-12-25', 'Christmas');
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) VALUES (:tenant, :desk, '2026-12-24', 'Christmas Eve') RETURNING id AS eve \gset
INSERT INTO csm.calendar_intervals (tenant_id, exception_id, start_time, end_time) VALUES (:tenant, :eve, '09:00', '12:00');
SELECT is(csm.business_seconds(:desk, '2026-12-23 17:00+01', '2026-12-28 09:00+01'), 3 * 3600::bigint, 'B26 a special day has its own hours, a holiday none');
SELECT is(csm.business_seconds(:desk, '2026-11-23 00:00+01', '2026-11-24 00:00+01'), 7 * 3600::bigint, 'B26 split shift: the lunch break does not count');
SELECT is(csm.business_add(:desk, '2026-11-23 12:00+01', 3600), timestamptz '2026-11-23 14:00+01', 'B26 split shift: an hour from noon ends after lunch');
SELECT is(csm.business_add(:desk, '2026-11-20 16:00+01', 3600), timestamptz '2026-11-20 17:00+01', 'B26 a due time is the close of business, not the next morning');
SELECT is(csm.business_add(:desk, '2026-11-21 10:00+01', 1), timestamptz '2026-11-23 09:00:01+01', 'B26 from a Saturday time runs on Monday');
SELECT is(csm.business_add(:desk, '2026-11-23 09:00+01', -1), timestamptz '2026-11-20 16:59:59+01', 'B26 negative: backwards over the weekend');
SELECT is(csm.business_seconds(:desk, '2026-11-23 09:00:00.9+01', '2026-11-23 09:00:02.3+01'), 1::bigint, 'B26 seconds are whole, rounded toward zero');
SELECT is(csm.business_seconds(:desk, '2026-11-23 09:00:02.3+01', '2026-11-23 09:00:00.9+01'), -1::bigint, 'B26 reversed: negative, rounded toward zero');
SELECT is(csm.business_seconds(:desk, NULL, '2026-11-23'), NULL, 'B26 NULL in, NULL out');

-- inheritance
INSERT INTO csm.calendars (tenant_id, name, time_zone, parent_id) VALUES (:tenant, 'branch', 'Europe/Lisbon', :desk) RETURNING id AS branch \gset
SELECT is(csm.business_seconds(:branch, '2026-12-24 00:00Z', '2026-12-26 00:00Z'), 3 * 3600::bigint, 'B26 a child inherits hours and holidays');
SELECT is(csm.business_seconds(:branch, '2026-11-23 08:00Z', '2026-11-23 09:30Z'), 1800::bigint, 'B26 inherited hours are read on the child''s own wall clock');
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time) VALUES (:tenant, :branch, 5, '22:00', '02:00');
SELECT is(csm.business_seconds(:branch, '2026-11-23 00:00Z', '2026-11-30 00:00Z'), 4 * 3600::bigint, 'B26 own weekly hours replace inherited ones; over midnight');
SELECT is(csm.business_seconds(:branch, '2026-12-25 00:00Z', '2026-12-27 00:00Z'), 0::bigint, 'B26 a holiday on which a night shift begins takes all of it');
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) VALUES (:tenant, :branch, '2026-12-05', 'Saturday off');
SELECT is(csm.business_seconds(:branch, '2026-12-04 00:00Z', '2026-12-07 00:00Z'), 2 * 3600::bigint, 'B26 a holiday ends the night shift of the eve at midnight');
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) VALUES (:tenant, :branch, '2026-12-25', 'open after all') RETURNING id AS after_all \gset
INSERT INTO csm.calendar_intervals (tenant_id, exception_id, start_time, end_time) VALUES (:tenant, :after_all, '10:00', '11:00');
SELECT is(csm.business_seconds(:branch, '2026-12-25 00:00Z', '2026-12-26 00:00Z'), 3600::bigint, 'B26 on a date with exceptions of its own the parent''s do not count');
DELETE FROM csm.calendar_exceptions WHERE calendar_id = :desk AND on_date = '2026-12-24';
SELECT is(csm.business_seconds(:branch, '2026-12-24 00:00Z', '2026-12-25 00:00Z'), 0::bigint, 'B26 a change of the parent counts at once (Thursday is no day of the branch)');
SELECT throws_ok(format('UPDATE csm.calendars SET parent_id = %s WHERE id = %s', :branch, :desk), '22023', NULL, 'B26 parents form no circle');

-- ---- limits and errors ----

INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'never', 'UTC') RETURNING id AS never \gset
SELECT is(csm.business_seconds(:never, '2026-01-01', '2027-01-01'), 0::bigint, 'B26 a calendar without hours is never open');
SELECT throws_ok(format('SELECT csm.business_add(%s, now(), 1)', :never), '55000', 'calendar "never" has no open time', 'B26 never open: an error, no endless loop');
SELECT is(csm.business_add(:never, '2026-01-01 00:00Z', 0), timestamptz '2026-01-01 00:00Z', 'B26 never open: 0 seconds is where one stands');
INSERT INTO csm.calendar_exceptions (tenant_id, calendar_id, on_date, name) VALUES (:tenant, :never, '2026-06-01', 'one hour') RETURNING id AS hour \gset
INSERT INTO csm.calendar_intervals (tenant_id, exception_id, start_time, end_time) VALUES (:tenant, :hour, '23:30', '00:30');
SELECT is(csm.business_add(:never, '2026-01-01 00:00Z', 3600), timestamptz '2026-06-02 00:30Z', 'B26 hours of a special day alone, over its midnight');
SELECT throws_ok(format('SELECT csm.business_add(%s, %L, 3601)', :never, '2026-01-01'), '22008', 'calendar "never" does not have so much open time', 'B26 beyond the last open time: an error');
SELECT throws_ok(format('SELECT csm.business_add(%s, %L, 9223372036854775807)', :desk, '2026-01-01'), '22008', NULL, 'B26 more seconds than there are: an error');
SELECT throws_ok(format('SELECT csm.business_add(%s, %L, -9223372036854775808)', :desk, '2026-01-01'), '22008', NULL, 'B26 fewer seconds than there are: an error');
SELECT throws_ok(format('SELECT csm.business_seconds(%s, %L, %L)', :desk, '2026-01-01', 'infinity'), '22008', NULL, 'B26 an infinite range has no length');
SELECT throws_ok(format('SELECT csm.business_seconds(%s, %L, %L)', :desk, '1969-12-31', '2026-01-01'), '22008', NULL, 'B26 before 1970: an error');
SELECT is(csm.business_add(:desk, 'infinity', 5), 'infinity'::timestamptz, 'B26 infinity stays infinity');
SELECT is(csm.business_add(:desk, '-infinity', 5), '-infinity'::timestamptz, 'B26 -infinity stays -infinity');
SELECT throws_ok('SELECT csm.business_seconds(999999999, now(), now())', '22023', 'there is no calendar 999999999', 'B26 an unknown calendar: an error');
SELECT throws_ok($$INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (1, 'bad', 'Mars/Olympus')$$, '22023', NULL, 'B26 an unknown zone is refused');
SELECT throws_ok($$INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (1, 'bad', 'UTC+3')$$, '22023', NULL, 'B26 a POSIX rule is no name of a zone');
SELECT throws_ok(format($$INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time) VALUES (1, %s, 1, '08:00', '08:00')$$, :desk), '23514', NULL, 'B26 hours that end where they begin are refused');
SELECT throws_ok(format($$INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, exception_id, start_time, end_time) VALUES (1, %s, 1, %s, '08:00', '09:00')$$, :desk, :hour), '23514', NULL, 'B26 hours belong to a weekday or to an exception');

-- What is seen: a change rolled back, a change in the same transaction, another order of statements.
BEGIN;
DELETE FROM csm.calendar_intervals WHERE calendar_id = :desk;
SELECT is(csm.business_seconds(:desk, '2026-11-23', '2026-11-28'), 0::bigint, 'B26 cache: the own change counts in the next statement');
ROLLBACK;
SELECT is(csm.business_seconds(:desk, '2026-11-23', '2026-11-28'), 35 * 3600::bigint, 'B26 cache: a change that was rolled back does not');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(csm.business_seconds(:desk, '2026-11-23', '2026-11-28'), 35 * 3600::bigint, 'B26 cache: repeatable read has its own');
COMMIT;

-- ---- who may ask ----

CREATE FUNCTION naive.as(person bigint, role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    BEGIN
        PERFORM set_config('csm.user_id', coalesce(person::text, ''), true), set_config('role', role_name, true);
        IF NOT row_security_active('csm.calendars') THEN
            RAISE EXCEPTION 'row security is not active';
        END IF;
        EXECUTE statement INTO answer;
    EXCEPTION WHEN OTHERS THEN answer := SQLSTATE || ' ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    RETURN answer;
END $$;
SELECT is(naive.as(:boss, 'csm_admin', format('SELECT csm.business_seconds(%s, %L, %L)', :desk, '2026-11-23', '2026-11-28')), '126000', 'V13 staff ask the calendars of their tenant');
SELECT is(naive.as(:stranger, 'csm_admin', format('SELECT csm.business_seconds(%s, %L, %L)', :desk, '2026-11-23', '2026-11-28')),
    format('22023 there is no calendar %s', :desk), 'V13 another tenant''s calendar is no calendar');
SELECT is(naive.as(NULL, 'csm_agent', format('SELECT csm.business_seconds(%s, %L, %L)', :desk, '2026-11-23', '2026-11-28')),
    format('22023 there is no calendar %s', :desk), 'V14 nobody has calendars');
SELECT is(naive.as(:stranger, 'csm_admin', 'SELECT count(*) FROM csm.calendars'), '0', 'V13 another tenant''s calendars are not listed');
SELECT isnt(naive.as(:boss, 'csm_admin', 'SELECT count(*) FROM csm.calendars'), '0', 'V13 one''s own are');
SELECT is(left(naive.as(:boss, 'csm_portal', 'SELECT count(*) FROM csm.calendars'), 5), '42501', 'B26 a portal connection reads no calendars');
SELECT is(left(naive.as(:boss, 'csm_agent', format('UPDATE csm.calendars SET name = %L WHERE id = %s RETURNING 1', 'mine', :desk)), 5), '42501', 'B26 agents do not change calendars');
SELECT is(naive.as(:boss, 'csm_admin', format('UPDATE csm.calendars SET name = %L WHERE id = %s RETURNING 1', 'desk 2', :desk)), '1', 'B26 administrators do');

-- ---- holidays from a file ----

INSERT INTO csm.calendars (tenant_id, name, time_zone) VALUES (:tenant, 'ics', 'Europe/Berlin') RETURNING id AS ics \gset
INSERT INTO csm.calendar_intervals (tenant_id, calendar_id, weekday, start_time, end_time)
SELECT :tenant, :ics, d, '08:00', '18:00' FROM generate_series(1, 7) d;
CREATE FUNCTION naive.file(VARIADIC events text[]) RETURNS text LANGUAGE sql AS $$
    SELECT E'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:X\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n'
        || (SELECT string_agg(E'BEGIN:VEVENT\r\n' || e || E'\r\nEND:VEVENT\r\n', '') FROM unnest(events) e) || E'END:VCALENDAR\r\n' $$;
SELECT naive.file(
    E'DTSTART;VALUE=DATE:20270101\r\nSUMMARY:New Year''s\r\n  Day\\, the first',
    E'DTSTART;VALUE=DATE:20271224\r\nDTEND;VALUE=DATE:20271227\r\nSUMMARY:Christmas\r\nBEGIN:VALARM\r\nSUMMARY:not this\r\nEND:VALARM',
    E'DTSTART:20270401T120000Z\r\nDTEND:20270401T140000Z\r\nSUMMARY:Fire drill',
    E'DTSTART;TZID=America/New_York:20270402T030000\r\nDURATION:PT1H30M\r\nSUMMARY:Meeting',
    E'DTSTART:20270403T170000\r\nDTEND:20270404T090000\r\nSUMMARY:Night',
    E'DTSTART;VALUE=DATE:20270505\r\nSTATUS:CANCELLED\r\nSUMMARY:Called off') AS file \gset
SELECT is(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, :'file')), '8', 'B26 import_holidays: eight new dates');
SELECT is(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, :'file')), '0', 'B26 import_holidays: a second time adds none');
SELECT is((SELECT string_agg(name, '; ' ORDER BY on_date) FROM csm.calendar_exceptions WHERE calendar_id = :ics),
    'New Year''s Day, the first; Fire drill; Meeting; Night; Night; Christmas; Christmas; Christmas', 'B26 import_holidays: folded lines, escapes, several days, no alarm, nothing cancelled');
SELECT is(csm.business_seconds(:ics, day::timestamp AT TIME ZONE 'Europe/Berlin', (day + 1)::timestamp AT TIME ZONE 'Europe/Berlin') / 60.0, minutes::numeric,
    'B26 import_holidays: open on ' || day)
FROM (VALUES (date '2027-01-01', 0), ('2027-01-02', 600), ('2027-12-23', 600), ('2027-12-24', 0), ('2027-12-26', 0), ('2027-12-27', 600),
             ('2027-04-01', 480), ('2027-04-02', 510), ('2027-04-03', 540), ('2027-04-04', 540), ('2027-05-05', 600)) v(day, minutes);
SELECT is(left(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, naive.file(
    E'DTSTART;VALUE=DATE:20280101\r\nSUMMARY:a', E'DTSTART;VALUE=DATE:20280102\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:b'))), 5), '0A000', 'B26 import_holidays: recurring events are refused');
SELECT is((SELECT count(*) FROM csm.calendar_exceptions WHERE calendar_id = :ics AND on_date >= '2028-01-01'), 0::bigint, 'B26 import_holidays: and nothing of that file is kept');
SELECT is(left(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, 'hello')), 5), '22023', 'B26 import_holidays: not an iCalendar');
SELECT is(left(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, naive.file('DTSTART:tomorrow'))), 5), '22007', 'B26 import_holidays: not a date');
SELECT is(left(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, naive.file(E'DTSTART;TZID=Nowhere:20270101T000000\r\nDURATION:PT1H'))), 5), '22023', 'B26 import_holidays: an unknown zone');
SELECT is(left(naive.as(:boss, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, naive.file(E'DTSTART:20270101\r\nDTEND:20290101'))), 5), '22023', 'B26 import_holidays: no event of two years');
SELECT is(left(naive.as(:stranger, 'csm_admin', format('SELECT csm.import_holidays(%s, %L)', :ics, :'file')), 5), '22023', 'V13 import_holidays: another tenant''s calendar is no calendar');
SELECT is(left(naive.as(:boss, 'csm_agent', format('SELECT csm.import_holidays(%s, %L)', :ics, :'file')), 5), '42501', 'B26 import_holidays: administrators only');
SELECT * FROM finish();
