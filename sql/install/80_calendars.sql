-- Calendars: when a desk is open.  Compiled and kept in each session by
-- src/csm_calendar.c, reckoned with by src/csm_business_time.c.

CREATE TABLE csm.calendars (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    name text NOT NULL,
    time_zone text NOT NULL,
    parent_id bigint,
    CONSTRAINT calendars_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendars_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT calendars_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.calendars (id, tenant_id),
    CONSTRAINT calendars_name_key UNIQUE (tenant_id, name),
    CONSTRAINT calendars_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT calendars_zone_check CHECK (length(time_zone) BETWEEN 1 AND 100),
    CONSTRAINT calendars_self_check CHECK (parent_id <> id)
);
CREATE INDEX calendars_parent_idx ON csm.calendars (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.calendars');
SELECT csm_private.signal_on('csm.calendars', '{id,tenant_id,name,time_zone,parent_id}', 'calendar', 'tenant_id');

CREATE TABLE csm.calendar_exceptions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    calendar_id bigint NOT NULL,
    on_date date NOT NULL,
    name text NOT NULL,
    CONSTRAINT calendar_exceptions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendar_exceptions_calendar_fkey FOREIGN KEY (calendar_id, tenant_id)
        REFERENCES csm.calendars (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_exceptions_once UNIQUE (calendar_id, on_date, name),
    CONSTRAINT calendar_exceptions_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT calendar_exceptions_date_check CHECK (on_date >= '1970-01-01' AND on_date < '2200-01-01')
);
SELECT csm_private.adopt_table('csm.calendar_exceptions');
SELECT csm_private.signal_on('csm.calendar_exceptions', '{id,tenant_id,calendar_id,on_date}', 'calendar', 'tenant_id');

CREATE TABLE csm.calendar_intervals (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    calendar_id bigint,
    weekday smallint,
    exception_id bigint,
    start_time time(0) NOT NULL,
    end_time time(0) NOT NULL,
    CONSTRAINT calendar_intervals_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT calendar_intervals_calendar_fkey FOREIGN KEY (calendar_id, tenant_id)
        REFERENCES csm.calendars (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_intervals_exception_fkey FOREIGN KEY (exception_id, tenant_id)
        REFERENCES csm.calendar_exceptions (id, tenant_id) ON DELETE CASCADE,
    CONSTRAINT calendar_intervals_day_check CHECK (num_nonnulls(calendar_id, exception_id) = 1
        AND (calendar_id IS NULL) = (weekday IS NULL)),
    CONSTRAINT calendar_intervals_weekday_check CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT calendar_intervals_time_check CHECK (start_time < '24:00' AND end_time <> start_time)
);
CREATE INDEX calendar_intervals_calendar_idx ON csm.calendar_intervals (calendar_id) WHERE calendar_id IS NOT NULL;
CREATE INDEX calendar_intervals_exception_idx ON csm.calendar_intervals (exception_id) WHERE exception_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.calendar_intervals');
SELECT csm_private.signal_on('csm.calendar_intervals',
    '{tenant_id,calendar_id,weekday,exception_id,start_time,end_time}', 'calendar', 'tenant_id');

ALTER TABLE csm.accounts ADD COLUMN calendar_id bigint,
    ADD CONSTRAINT accounts_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id);
CREATE INDEX accounts_calendar_idx ON csm.accounts (calendar_id) WHERE calendar_id IS NOT NULL;
GRANT INSERT (calendar_id), UPDATE (calendar_id) ON csm.accounts TO csm_agent;
COMMENT ON COLUMN csm.accounts.calendar_id IS
'Calendar by which SLAs of the account are reckoned where their definition says so; NULL: that of the nearest account above that has one';

ALTER TABLE csm.entitlements
    ADD CONSTRAINT entitlements_calendar_fkey FOREIGN KEY (calendar_id, tenant_id) REFERENCES csm.calendars (id, tenant_id);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{calendars,calendar_exceptions,calendar_intervals}'::text[] LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_agent, csm_reporter, csm_admin '
                       'USING (tenant_id = csm.current_tenant_id())', t);
        EXECUTE format('CREATE POLICY %1$s_write ON csm.%1$s FOR ALL TO csm_admin '
                       'USING (csm.all_in(tenant_id, ''internal'', ''configure''))', t);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS '
                       '''Staff connections read the calendars of the tenant; a calendar''''s name may be that of a customer''', t);
        EXECUTE format('COMMENT ON POLICY %1$s_write ON csm.%1$s IS ''Administrators keep them''', t);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_agent, csm_reporter, csm_admin', t);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON csm.%1$s TO csm_admin', t);
    END LOOP;
END $$;

-- A name is looked up, not only parsed: the server would take "UTC+3" for a
-- zone three hours west of Greenwich.
CREATE FUNCTION csm_private.calendar_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.time_zone IS DISTINCT FROM OLD.time_zone)
       AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = NEW.time_zone) THEN
        RAISE EXCEPTION 'calendar "%" names an unknown time zone', NEW.name
            USING ERRCODE = '22023', DETAIL = format('It is %L.', NEW.time_zone),
                  HINT = 'Choose a name of pg_timezone_names, for example Europe/Berlin.';
    END IF;
    IF NEW.parent_id IS NOT NULL AND EXISTS (
        WITH RECURSIVE up(id, parent_id, depth) AS (
            SELECT c.id, c.parent_id, 1 FROM csm.calendars c WHERE c.id = NEW.parent_id AND c.tenant_id = NEW.tenant_id
          UNION ALL
            SELECT c.id, c.parent_id, up.depth + 1
            FROM up JOIN csm.calendars c ON c.id = up.parent_id AND c.tenant_id = NEW.tenant_id WHERE up.depth < 32
        ) SELECT FROM up WHERE up.id = NEW.id OR up.depth = 32) THEN
        RAISE EXCEPTION 'calendar "%" cannot have this parent', NEW.name
            USING ERRCODE = '22023', DETAIL = 'The parents would form a circle, or a chain of more than 32.',
                  HINT = 'Choose a calendar that does not inherit from this one.';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION csm_private.calendar_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.calendar_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.calendar_guard() IS
'Trigger of csm.calendars: 22023 for a time zone that the server does not know and for parents that form a circle';
CREATE TRIGGER calendars_10_guard BEFORE INSERT OR UPDATE ON csm.calendars
    FOR EACH ROW EXECUTE FUNCTION csm_private.calendar_guard();

CREATE FUNCTION csm.business_seconds(calendar_id bigint, "from" timestamptz, "to" timestamptz) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_business_seconds' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz) IS
'Open time of a calendar between two instants in whole seconds, rounded toward zero; negative when "from" is later. An instant is open when the wall clock of the calendar''s zone then shows an open time: an hour that the clocks skip does not count, one that they repeat counts twice. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 22008 an instant that is infinite or not between 1970 and 2200';

CREATE FUNCTION csm.business_add(calendar_id bigint, "from" timestamptz, seconds bigint) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'csm_business_add' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION csm.business_add(bigint, timestamptz, bigint) IS
'The instant nearest to "from" that so many open seconds separate from it: the earliest after it, for a negative number the latest before it; "from" itself for 0. So business_seconds(c, f, business_add(c, f, s)) = s always. An infinite "from" is returned. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 55000 a calendar without any open time, 22008 a result or an instant that is not between 1970 and 2200';

CREATE FUNCTION csm_private.usual_hours(calendar_id bigint, tenant_id bigint, weekday integer) RETURNS int4multirange
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE up(id, parent_id, depth) AS (
        SELECT c.id, c.parent_id, 0 FROM csm.calendars c
        WHERE c.id = usual_hours.calendar_id AND c.tenant_id = usual_hours.tenant_id
      UNION ALL
        SELECT c.id, c.parent_id, up.depth + 1
        FROM up JOIN csm.calendars c ON c.id = up.parent_id AND c.tenant_id = usual_hours.tenant_id WHERE up.depth < 32
    ), source(id) AS (
        SELECT up.id FROM up WHERE EXISTS (SELECT FROM csm.calendar_intervals i WHERE i.calendar_id = up.id)
        ORDER BY up.depth LIMIT 1
    ), hours(weekday, opens, closes) AS (
        SELECT i.weekday, extract(epoch FROM i.start_time)::integer,
               extract(epoch FROM i.end_time)::integer + CASE WHEN i.end_time < i.start_time THEN 86400 ELSE 0 END
        FROM source s JOIN csm.calendar_intervals i ON i.calendar_id = s.id
    )
    SELECT coalesce(range_agg(r), '{}') FROM (
        SELECT int4range(h.opens, least(h.closes, 86400)) AS r FROM hours h WHERE h.weekday = usual_hours.weekday
        UNION ALL
        SELECT int4range(0, h.closes - 86400) FROM hours h
        WHERE h.weekday = (usual_hours.weekday + 5) % 7 + 1 AND h.closes > 86400) AS day;
END;
ALTER FUNCTION csm_private.usual_hours(bigint, bigint, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) IS
'Open hours of a weekday (1 = Monday) without exceptions, in seconds since midnight; what the night before leaves included';

-- One event as its property lines, unfolded, without those of nested parts
-- (an alarm); the time zone part of a file is passed over.
CREATE FUNCTION csm_private.ics_events(ics text) RETURNS TABLE (event integer, property text, params text, value text)
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    line text;
    inside text[] := ARRAY[]::text[];
    parts text[];
BEGIN
    event := 0;
    FOREACH line IN ARRAY regexp_split_to_array(regexp_replace(ics, E'\r?\n[ \t]', '', 'g'), E'\r?\n') LOOP
        parts := regexp_match(line, '^([A-Za-z0-9-]+)((?:;[^":]*(?:"[^"]*"[^":]*)*)?):(.*)$');
        CONTINUE WHEN parts IS NULL;
        property := upper(parts[1]);
        params := parts[2];
        value := parts[3];
        IF property = 'BEGIN' THEN
            inside := inside || upper(value);
            IF upper(value) = 'VEVENT' THEN
                event := event + 1;
                RETURN NEXT;
            END IF;
        ELSIF property = 'END' THEN
            inside := trim_array(inside, least(1, cardinality(inside)));
        ELSIF inside[cardinality(inside)] = 'VEVENT' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
ALTER FUNCTION csm_private.ics_events(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ics_events(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ics_events(text) IS
'Property lines of the VEVENTs of an iCalendar text (RFC 5545), numbered by event; each event begins with a row BEGIN';

CREATE FUNCTION csm_private.ics_wall(value text, params text, zone text) RETURNS timestamp
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tzid text := btrim((regexp_match(params, ';TZID=("[^"]*"|[^;]*)', 'i'))[1], '"');
    wall timestamp;
BEGIN
    IF value ~ '^[0-9]{8}$' THEN
        RETURN to_date(value, 'YYYYMMDD');
    ELSIF value !~ '^[0-9]{8}T[0-9]{6}Z?$' THEN
        RAISE EXCEPTION 'not a date or a time of iCalendar: %', left(value, 80)
            USING ERRCODE = '22007', HINT = 'Write 20261224, 20261224T140000 or 20261224T140000Z.';
    END IF;
    wall := (substr(value, 1, 8) || ' ' || substr(value, 10, 6))::timestamp;
    IF right(value, 1) = 'Z' THEN
        RETURN wall AT TIME ZONE 'UTC' AT TIME ZONE zone;
    ELSIF tzid IS NULL OR tzid = zone THEN
        RETURN wall;
    ELSIF NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = tzid) THEN
        RAISE EXCEPTION 'time zone "%" is not known to this server', left(tzid, 80)
            USING ERRCODE = '22023', HINT = 'Write the event in UTC, or with a name of pg_timezone_names.';
    END IF;
    RETURN wall AT TIME ZONE tzid AT TIME ZONE zone;
END $$;
ALTER FUNCTION csm_private.ics_wall(text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.ics_wall(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.ics_wall(text, text, text) IS
'A DATE or DATE-TIME value of iCalendar as the wall clock of a zone shows it; a value without zone is of that zone';

CREATE FUNCTION csm.import_holidays(calendar_id bigint, ics text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    calendar csm.calendars;
    e record;
    opens timestamp;
    closes timestamp;
    dates date[] := ARRAY[]::date[];
    names text[] := ARRAY[]::text[];
    shut int4range[] := ARRAY[]::int4range[];
    day date;
    added integer;
BEGIN
    SELECT * INTO calendar FROM csm.calendars c
    WHERE c.id = import_holidays.calendar_id
      AND (csm.all_in(c.tenant_id, 'internal', 'configure') OR csm_private.acts_as_system());
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no calendar %', coalesce(import_holidays.calendar_id::text, 'NULL')
            USING ERRCODE = '22023', HINT = 'Name a csm.calendars.id of a tenant that you administer.';
    ELSIF ics IS NULL OR ics !~* '(^|\n)BEGIN:VCALENDAR' THEN
        RAISE EXCEPTION 'not an iCalendar text' USING ERRCODE = '22023', HINT = 'It begins with BEGIN:VCALENDAR.';
    END IF;

    FOR e IN
        SELECT l.event,
               max(l.value) FILTER (WHERE l.property = 'DTSTART') AS dtstart,
               max(l.params) FILTER (WHERE l.property = 'DTSTART') AS dtstart_params,
               max(l.value) FILTER (WHERE l.property = 'DTEND') AS dtend,
               max(l.params) FILTER (WHERE l.property = 'DTEND') AS dtend_params,
               max(l.value) FILTER (WHERE l.property = 'DURATION') AS duration,
               min(l.property) FILTER (WHERE l.property IN ('RRULE', 'RDATE', 'EXDATE', 'EXRULE', 'RECURRENCE-ID')) AS recurring,
               coalesce(bool_or(upper(l.value) = 'CANCELLED') FILTER (WHERE l.property = 'STATUS'), false) AS cancelled,
               left(coalesce(nullif(btrim(regexp_replace(replace(replace(
                   max(l.value) FILTER (WHERE l.property = 'SUMMARY'), '\n', ' '), '\N', ' '), '\\([\\;,])', '\1', 'g')), ''),
                   'Closed'), 200) AS summary
        FROM csm_private.ics_events(ics) l GROUP BY l.event ORDER BY l.event
    LOOP
        IF e.recurring IS NOT NULL THEN
            RAISE EXCEPTION 'event % ("%") recurs', e.event, e.summary
                USING ERRCODE = '0A000', DETAIL = format('It has %s.', e.recurring),
                      HINT = 'Expand recurring events into one VEVENT a date before importing.';
        ELSIF e.dtstart IS NULL THEN
            RAISE EXCEPTION 'event % ("%") has no DTSTART', e.event, e.summary USING ERRCODE = '22023';
        END IF;
        CONTINUE WHEN e.cancelled;
        opens := csm_private.ics_wall(e.dtstart, e.dtstart_params, calendar.time_zone);
        closes := CASE WHEN e.dtend IS NOT NULL THEN csm_private.ics_wall(e.dtend, e.dtend_params, calendar.time_zone)
                       WHEN e.duration IS NOT NULL THEN opens + e.duration::interval
                       WHEN e.dtstart ~ 'T' THEN opens
                       ELSE opens + '1 day' END;
        IF closes < opens OR closes > opens + '366 days' THEN
            RAISE EXCEPTION 'event % ("%") has an impossible length', e.event, e.summary
                USING ERRCODE = '22023', DETAIL = format('It goes from %s to %s.', opens, closes),
                      HINT = 'An event ends after it begins, and within 366 days.';
        END IF;
        FOR day IN SELECT d::date FROM generate_series(opens::date, closes, '1 day') AS d WHERE d < closes LOOP
            dates := dates || day;
            names := names || e.summary;
            shut := shut || int4range(extract(epoch FROM greatest(opens, day) - day)::integer,
                                      extract(epoch FROM least(closes, day + '1 day'::interval) - day)::integer);
        END LOOP;
    END LOOP;

    -- One statement, so that SLAs are reckoned anew once.
    WITH wanted AS (
        SELECT DISTINCT ON (w.on_date, w.name) * FROM unnest(dates, names, shut) AS w(on_date, name, shut)
        ORDER BY w.on_date, w.name
    ), exception AS (
        INSERT INTO csm.calendar_exceptions AS x (tenant_id, calendar_id, on_date, name)
        SELECT calendar.tenant_id, calendar.id, w.on_date, w.name FROM wanted w
        ON CONFLICT ON CONSTRAINT calendar_exceptions_once DO NOTHING
        RETURNING x.id, x.on_date, x.name
    ), hours AS (
        INSERT INTO csm.calendar_intervals (tenant_id, exception_id, start_time, end_time)
        SELECT calendar.tenant_id, x.id, make_time(lower(o) / 3600, lower(o) / 60 % 60, lower(o) % 60),
               make_time(upper(o) / 3600, upper(o) / 60 % 60, upper(o) % 60)
        FROM exception x JOIN wanted w USING (on_date, name)
        CROSS JOIN LATERAL unnest(csm_private.usual_hours(calendar.id, calendar.tenant_id, extract(isodow FROM x.on_date)::integer)
                                  - int4multirange(w.shut)) AS o
    )
    SELECT count(*) INTO added FROM exception;
    RETURN added;
END $$;
COMMENT ON FUNCTION csm.import_holidays(bigint, text) IS
'Adds the events of an iCalendar text to a calendar as exceptions and returns how many dates were new; a date with the same name is there already and stays. Whole days are closed; on a day that an event covers in part the usual hours of now remain outside it. Values in UTC or another zone are converted, those without zone are of the calendar''s. Cancelled events are passed over. Administrators. Errors: 22023 no such calendar, text, zone or length, 22007 no date, 0A000 a recurring event';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm.business_seconds(bigint, timestamptz, timestamptz)',
                             'csm.business_add(bigint, timestamptz, bigint)',
                             'csm.import_holidays(bigint, text)']::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_admin', f);
    END LOOP;
    GRANT EXECUTE ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz),
        csm.business_add(bigint, timestamptz, bigint) TO csm_agent, csm_reporter;
END $$;

COMMENT ON TABLE csm.calendars IS 'When a desk is open: weekly hours in a time zone, less holidays, plus special days';
COMMENT ON COLUMN csm.calendars.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendars.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendars.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.calendars.time_zone IS 'Zone on whose wall clock the hours are read, a name of pg_timezone_names; never inherited';
COMMENT ON COLUMN csm.calendars.parent_id IS
'Calendar from which this one inherits: weekly hours where it has none of its own, exceptions on dates on which it has none of its own; NULL for none';
COMMENT ON TABLE csm.calendar_intervals IS
'Open hours, of a weekday or of an exception. Hours may overlap; they are then one';
COMMENT ON COLUMN csm.calendar_intervals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_intervals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_intervals.calendar_id IS 'Calendar, for weekly hours; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.weekday IS '1 = Monday to 7 = Sunday, the day on which the hours begin; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.exception_id IS 'Exception whose hours these are; NULL for weekly hours';
COMMENT ON COLUMN csm.calendar_intervals.start_time IS 'When they begin, on the wall clock; whole seconds';
COMMENT ON COLUMN csm.calendar_intervals.end_time IS
'When they end, not included; before start_time: on the next day. 24:00 is midnight; a day open throughout is 00:00 to 24:00';
COMMENT ON TABLE csm.calendar_exceptions IS
'Holidays and special days. An exception replaces its date from midnight to midnight, what a night shift of the eve leaves included: closed, or open in its own hours. Several on one date: open is what all of them leave open';
COMMENT ON COLUMN csm.calendar_exceptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_exceptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_exceptions.calendar_id IS 'Calendar; those that inherit from it have the exception too';
COMMENT ON COLUMN csm.calendar_exceptions.on_date IS 'Date in the zone of whichever calendar counts it';
COMMENT ON COLUMN csm.calendar_exceptions.name IS 'Name of the day';
