-- Business time, defined naively: for every minute, what the wall clock of the calendar's zone shows and whether that is an
-- open time. To be run as superuser in a test database:
--
--   \ir ../lib/naive_time.sql
--
-- naive.watch(calendar, zone, from, to) fills naive.minute; naive.seconds(calendar, from, to) counts.
CREATE SCHEMA naive;
-- Does an open time of the calendar lie on this reading of the wall clock? An exception takes the whole date; of several on
-- a date all must agree. Hours that go over midnight belong to the day on which they begin.
CREATE FUNCTION naive.chain(calendar bigint) RETURNS TABLE (id bigint, depth integer) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT c.id, c.parent_id, 0 AS depth FROM csm.calendars c WHERE c.id = calendar
        UNION ALL SELECT c.id, c.parent_id, up.depth + 1 FROM up JOIN csm.calendars c ON c.id = up.parent_id)
    SELECT up.id, up.depth FROM up $$;
CREATE FUNCTION naive.exceptions(calendar bigint, d date) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT e.id FROM csm.calendar_exceptions e JOIN naive.chain(calendar) c ON c.id = e.calendar_id
    WHERE e.on_date = d AND c.depth = (SELECT min(k.depth) FROM csm.calendar_exceptions f JOIN naive.chain(calendar) k
                                       ON k.id = f.calendar_id WHERE f.on_date = d) $$;
CREATE FUNCTION naive.within(i csm.calendar_intervals, t interval) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT t >= i.start_time::interval
       AND t < CASE WHEN i.end_time < i.start_time THEN i.end_time::interval + '24:00' ELSE i.end_time::interval END $$;
CREATE TABLE naive.exception (calendar bigint, d date, x bigint, PRIMARY KEY (calendar, d, x));
CREATE TABLE naive.shift (calendar bigint, d date, x bigint, opens timestamp, closes timestamp);
CREATE INDEX ON naive.shift (calendar, d);
CREATE TABLE naive.minute (calendar bigint, at timestamptz, open boolean NOT NULL, before bigint NOT NULL, PRIMARY KEY (calendar, at));
-- A minute at a time, what the wall clock shows then: hours that began on its date, or on the eve if the date has no exception.
CREATE FUNCTION naive.watch(of_calendar bigint, zone text, a timestamptz, b timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO naive.exception
    SELECT of_calendar, d, x FROM generate_series(a::date - 3, b::date + 3, '1 day') AS g(d), naive.exceptions(of_calendar, d::date) x;
    INSERT INTO naive.shift
    SELECT of_calendar, d, i.exception_id, d + i.start_time,
           d + i.end_time + CASE WHEN i.end_time < i.start_time THEN '1 day' ELSE '0' END::interval
    FROM generate_series(a::date - 3, b::date + 3, '1 day') AS g(d)
    JOIN csm.calendar_intervals i
      ON i.weekday = extract(isodow FROM d) AND i.calendar_id = (
             SELECT c.id FROM naive.chain(of_calendar) c
             WHERE EXISTS (SELECT FROM csm.calendar_intervals j WHERE j.calendar_id = c.id) ORDER BY c.depth LIMIT 1)
      OR i.exception_id IN (SELECT e.x FROM naive.exception e WHERE e.calendar = of_calendar AND e.d = g.d);
    INSERT INTO naive.minute
    SELECT of_calendar, m.at, m.open, 60 * (count(*) FILTER (WHERE m.open) OVER (ORDER BY m.at) - m.open::integer)
    FROM (SELECT m.at, EXISTS (
                     SELECT FROM (VALUES (0), (1)) AS b(back)
                     WHERE (back = 0 OR NOT EXISTS (SELECT FROM naive.exception e WHERE e.calendar = of_calendar AND e.d = wall::date))
                       AND CASE WHEN EXISTS (SELECT FROM naive.exception e WHERE e.calendar = of_calendar AND e.d = wall::date - back)
                           THEN NOT EXISTS (SELECT FROM naive.exception e
                                            WHERE e.calendar = of_calendar AND e.d = wall::date - back
                                              AND NOT EXISTS (SELECT FROM naive.shift s
                                                              WHERE s.calendar = of_calendar AND s.d = e.d AND s.x = e.x
                                                                AND wall >= s.opens AND wall < s.closes))
                           ELSE EXISTS (SELECT FROM naive.shift s
                                        WHERE s.calendar = of_calendar AND s.d = wall::date - back AND s.x IS NULL
                                          AND wall >= s.opens AND wall < s.closes) END) AS open
          FROM generate_series(a, b, '1 minute') AS m(at), LATERAL (SELECT m.at AT TIME ZONE zone) AS w(wall)) AS m;
END $$;
CREATE FUNCTION naive.seconds(of_calendar bigint, a timestamptz, b timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT m.before FROM naive.minute m WHERE m.calendar = of_calendar AND m.at = b)
         - (SELECT m.before FROM naive.minute m WHERE m.calendar = of_calendar AND m.at = a) $$;
