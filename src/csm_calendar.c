/*
 * csm_calendar.c
 *	  Calendars: read from csm.calendars and what hangs on it, compiled into
 *	  open hours (csm_business_time.c) and kept per backend.
 *
 * A compiled calendar is kept until a calendar of its tenant is signalled
 * (csm_signal.c); one that was read under the snapshot of a REPEATABLE READ or
 * SERIALIZABLE transaction serves that transaction only.  When MAX_CALENDARS
 * are kept, all are forgotten.
 *
 * Of the chain from a calendar up to its top: the time zone is the calendar's
 * own, the weekly hours are those of the nearest that has any, and on each
 * date the exceptions of the nearest that has some count.
 *
 * Zones are kept for the life of the backend, as the server itself keeps what
 * it read of the time zone database.  No offset is stored anywhere.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "pgtime.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_actor.h"
#include "csm_calendar.h"
#include "csm_compat.h"
#include "csm_spi.h"

#define MAX_CALENDARS 512

/* A chain of parents longer than this is taken for a circle. */
#define MAX_PARENTS "32"

/* Unix time of 2000-01-01, where timestamps count from. */
#define UNIX_OF_EPOCH ((pg_time_t) 10957 * SECS_PER_DAY)

typedef struct Calendar
{
	int64		id;				/* hash key */
	int64		tenant_id;
	MemoryContext context;
	char	   *name;
	CsmHours	hours;
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
	LocalTransactionId only_in; /* provisional: valid in this transaction */
} Calendar;

typedef struct KeptZone
{
	char		name[TZ_STRLEN_MAX + 1];	/* hash key */
	CsmZone		zone;
} KeptZone;

static MemoryContext calendars_context = NULL;
static HTAB *calendars = NULL;
static HTAB *zones = NULL;
static Calendar *latest = NULL; /* the one asked for last */

/* ---- zones ---- */

static void
add_stretch(CsmZone *zone, TimestampTz from, int64 offset)
{
	int			n = zone->nstretches;

	if (n > 0 && zone->offset[n - 1] == offset)
		return;
	if (n == 0)
	{
		zone->from = MemoryContextAlloc(calendars_context, 16 * sizeof(TimestampTz));
		zone->offset = MemoryContextAlloc(calendars_context, 16 * sizeof(int64));
	}
	else if (n >= 16 && (n & (n - 1)) == 0)
	{
		zone->from = repalloc(zone->from, 2 * n * sizeof(TimestampTz));
		zone->offset = repalloc(zone->offset, 2 * n * sizeof(int64));
	}
	zone->from[n] = from;
	zone->offset[n] = offset;
	zone->nstretches = n + 1;
}

static void
read_zone(CsmZone *zone, const pg_tz *tz)
{
	pg_time_t	end = CSM_HORIZON_TO / USECS_PER_SEC + UNIX_OF_EPOCH;
	pg_time_t	at = CSM_HORIZON_FROM / USECS_PER_SEC + UNIX_OF_EPOCH;

	for (;;)
	{
		TimestampTz from = (at - UNIX_OF_EPOCH) * USECS_PER_SEC;
		long int	before_offset;
		long int	after_offset;
		int			before_dst;
		int			after_dst;
		pg_time_t	boundary;
		int			found = pg_next_dst_boundary(&at, &before_offset, &before_dst, &boundary,
												 &after_offset, &after_dst, tz);

		if (found < 0)
			elog(ERROR, "could not read time zone \"%s\"", pg_get_timezone_name((pg_tz *) tz));
		add_stretch(zone, from, (int64) before_offset * USECS_PER_SEC);
		if (found == 0 || boundary >= end)
			break;
		at = boundary;
	}
}

static const CsmZone *
get_zone(const char *name, const char *calendar)
{
	pg_tz	   *tz = pg_tzset(name);
	KeptZone   *kept;
	char		key[TZ_STRLEN_MAX + 1] = {0};
	bool		found;
	CsmZone		zone = {0};

	if (tz == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" of calendar \"%s\" is not known to this server", name, calendar),
				 errhint("Choose one of pg_timezone_names.")));
	strlcpy(key, name, sizeof(key));
	kept = hash_search(zones, key, HASH_FIND, NULL);
	if (kept == NULL)
	{
		read_zone(&zone, tz);
		kept = hash_search(zones, key, HASH_ENTER, &found);
		kept->zone = zone;
	}
	return &kept->zone;
}

/* ---- reading ---- */

/* Hours of one weekday or one exception, up to 48 h after its midnight. */
typedef struct SpanList
{
	CsmSpan    *spans;
	int			n;
} SpanList;

/* What all exceptions of a date leave open. */
typedef struct ExceptionDate
{
	int32		date;
	int64		exception_id;	/* while its hours are being read */
	SpanList	open;			/* of the exceptions before that one */
	SpanList	reading;
	bool		first;			/* there is none before it */
} ExceptionDate;

typedef struct Reading
{
	MemoryContext context;		/* of all that is read */
	char	   *name;
	int64		tenant_id;
	char	   *zone;
	int64	   *chain;			/* the calendar, its parent and so on */
	int			nchain;
	SpanList	week[7];
	bool		has_week;
	ExceptionDate *dates;
	int			ndates;
	int			nearer;			/* dates of nearer calendars stand before this place */
} Reading;

static int64
id_at(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void *
grow(MemoryContext context, void *array, int used, Size element)
{
	if (array == NULL)
		return MemoryContextAlloc(context, 8 * element);
	if (used >= 8 && (used & (used - 1)) == 0)
		return repalloc(array, 2 * used * element);
	return array;
}

/* Hours that end at or before their begin end on the next day. */
static void
add_hours(const Reading *reading, SpanList *list, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);
	CsmSpan    *span;

	if (isnull)
		return;
	list->spans = grow(reading->context, list->spans, list->n, sizeof(CsmSpan));
	span = &list->spans[list->n++];
	span->from = DatumGetTimeADT(value);
	span->to = DatumGetTimeADT(heap_getattr(tuple, column + 1, desc, &isnull));
	if (span->to <= span->from)
		span->to += USECS_PER_DAY;
}

static char *
text_at(const Reading *reading, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;

	return MemoryContextStrdup(reading->context,
							   TextDatumGetCString(heap_getattr(tuple, column, desc, &isnull)));
}

static void
take_chain(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Reading    *reading = (Reading *) arg;

	if (reading->nchain == 0)
	{
		reading->tenant_id = id_at(tuple, desc, 2);
		reading->name = text_at(reading, tuple, desc, 3);
		reading->zone = text_at(reading, tuple, desc, 4);
	}
	reading->chain = grow(reading->context, reading->chain, reading->nchain, sizeof(int64));
	reading->chain[reading->nchain++] = id_at(tuple, desc, 1);
}

static void
take_week(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Reading    *reading = (Reading *) arg;
	bool		isnull;
	int			weekday = DatumGetInt16(heap_getattr(tuple, 1, desc, &isnull)) - 1;

	if (weekday < 0 || weekday > 6)
		elog(ERROR, "unknown weekday");
	reading->has_week = true;
	add_hours(reading, &reading->week[weekday], tuple, desc, 2);
}

/* An exception has been read to its end: of a date only what all leave open is open. */
static void
end_exception(const Reading *reading, ExceptionDate *d)
{
	SpanList	both;

	d->reading.n = csm_spans_normalize(d->reading.spans, d->reading.n);
	if (d->first)
	{
		d->open = d->reading;
		d->first = false;
	}
	else
	{
		both.spans = MemoryContextAlloc(reading->context, (d->open.n + d->reading.n + 1) * sizeof(CsmSpan));
		both.n = csm_spans_intersect(d->open.spans, d->open.n, d->reading.spans, d->reading.n, both.spans);
		d->open = both;
	}
	memset(&d->reading, 0, sizeof(SpanList));
	d->exception_id = 0;
}

static bool
known_nearer(const Reading *reading, int32 date)
{
	for (int i = 0; i < reading->nearer; i++)
	{
		if (reading->dates[i].date == date)
			return true;
	}
	return false;
}

/* Rows come by date, then by exception, one for each stretch of hours or one without. */
static void
take_exception(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Reading    *reading = (Reading *) arg;
	bool		isnull;
	int32		date = DatumGetDateADT(heap_getattr(tuple, 1, desc, &isnull));
	int64		exception_id = id_at(tuple, desc, 2);
	ExceptionDate *d = reading->ndates > reading->nearer ? &reading->dates[reading->ndates - 1] : NULL;

	if (d != NULL && d->exception_id != 0 && d->exception_id != exception_id)
		end_exception(reading, d);
	if (d == NULL || d->date != date)
	{
		if (known_nearer(reading, date))
			return;
		reading->dates = grow(reading->context, reading->dates, reading->ndates, sizeof(ExceptionDate));
		d = &reading->dates[reading->ndates++];
		memset(d, 0, sizeof(ExceptionDate));
		d->date = date;
		d->first = true;
	}
	d->exception_id = exception_id;
	add_hours(reading, &d->reading, tuple, desc, 3);
}

static bool
read_calendar(Reading *reading, int64 id)
{
	static const char chain_sql[] =
		"WITH RECURSIVE up(id, tenant_id, name, time_zone, parent_id, depth) AS ("
		"  SELECT c.id, c.tenant_id, c.name, c.time_zone, c.parent_id, 0 FROM csm.calendars c WHERE c.id = $1"
		"  UNION ALL"
		"  SELECT c.id, c.tenant_id, c.name, c.time_zone, c.parent_id, up.depth + 1"
		"    FROM up JOIN csm.calendars c ON c.id = up.parent_id AND c.tenant_id = up.tenant_id"
		"   WHERE up.depth < " MAX_PARENTS ")"
		" SELECT id, tenant_id, name, time_zone FROM up ORDER BY depth";
	static const char week_sql[] =
		"SELECT weekday, start_time, end_time FROM csm.calendar_intervals"
		" WHERE calendar_id = $1 AND weekday IS NOT NULL";
	static const char exceptions_sql[] =
		"SELECT e.on_date, e.id, i.start_time, i.end_time FROM csm.calendar_exceptions e"
		"  LEFT JOIN csm.calendar_intervals i ON i.exception_id = e.id AND i.tenant_id = e.tenant_id"
		" WHERE e.calendar_id = $1 ORDER BY e.on_date, e.id";
	Oid			types[1] = {INT8OID};
	Datum		values[1];

	values[0] = Int64GetDatum(id);
	csm_spi_query(chain_sql, 1, types, values, NULL, take_chain, reading);
	for (int i = 0; i < reading->nchain; i++)
	{
		values[0] = Int64GetDatum(reading->chain[i]);
		if (!reading->has_week)
			csm_spi_query(week_sql, 1, types, values, NULL, take_week, reading);
		reading->nearer = reading->ndates;
		csm_spi_query(exceptions_sql, 1, types, values, NULL, take_exception, reading);
		if (reading->ndates > reading->nearer)
			end_exception(reading, &reading->dates[reading->ndates - 1]);
	}
	return reading->nchain > 0;
}

/* ---- compiling ---- */

/* The part of the list that lies on the given day after its own, and what is left of the eve. */
static CsmDay
make_day(const SpanList *own, const SpanList *eve, MemoryContext context)
{
	int			room = own->n + (eve ? eve->n : 0);
	CsmDay		day = {0};

	day.spans = MemoryContextAlloc(context, Max(room, 1) * sizeof(CsmSpan));
	for (int i = 0; i < own->n; i++)
	{
		day.spans[day.nspans].from = own->spans[i].from;
		day.spans[day.nspans++].to = Min(own->spans[i].to, USECS_PER_DAY);
	}
	for (int i = 0; eve != NULL && i < eve->n; i++)
	{
		day.spans[day.nspans].from = 0;
		day.spans[day.nspans++].to = eve->spans[i].to - USECS_PER_DAY;
	}
	day.nspans = csm_spans_normalize(day.spans, day.nspans);
	for (int i = 0; i < day.nspans; i++)
		day.open += day.spans[i].to - day.spans[i].from;
	return day;
}

static int
compare_dates(const void *a, const void *b)
{
	int32		x = ((const ExceptionDate *) a)->date;
	int32		y = ((const ExceptionDate *) b)->date;

	return (x > y) - (x < y);
}

/* Monday is 0; 2000-01-01 was a Saturday. */
static int
weekday(int32 date)
{
	return ((date + 5) % 7 + 7) % 7;
}

static void
add_special(CsmHours *hours, int32 date, CsmDay day)
{
	hours->special[hours->nspecial].date = date;
	hours->special[hours->nspecial].day = day;
	hours->nspecial++;
}

/*
 * An exception replaces a date from midnight to midnight: the night shift of
 * the eve ends there.  Its own hours may go on into the next date, which is
 * then special too.
 */
static void
compile(Calendar *calendar, Reading *reading)
{
	CsmHours   *hours = &calendar->hours;

	for (int i = 0; i < 7; i++)
		hours->week[i] = make_day(&reading->week[i], &reading->week[(i + 6) % 7], calendar->context);

	if (reading->ndates > 0)
		qsort(reading->dates, reading->ndates, sizeof(ExceptionDate), compare_dates);
	hours->special = MemoryContextAlloc(calendar->context,
										Max(2 * reading->ndates, 1) * sizeof(CsmSpecialDay));
	for (int i = 0; i < reading->ndates; i++)
	{
		const ExceptionDate *d = &reading->dates[i];

		add_special(hours, d->date, make_day(&d->open, NULL, calendar->context));
		if (i + 1 == reading->ndates || d[1].date != d->date + 1)
			add_special(hours, d->date + 1,
						make_day(&reading->week[weekday(d->date + 1)], &d->open, calendar->context));
	}
	csm_hours_finish(hours, calendar->context);
}

/* ---- keeping ---- */

static void
start_keeping(void)
{
	HASHCTL		ctl = {0};

	calendars_context = AllocSetContextCreate(TopMemoryContext, "csm calendars", ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(Calendar);
	ctl.hcxt = calendars_context;
	calendars = hash_create("csm calendars", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.keysize = TZ_STRLEN_MAX + 1;
	ctl.entrysize = sizeof(KeptZone);
	zones = hash_create("csm zones", 16, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static void
forget(Calendar *calendar)
{
	MemoryContext context = calendar->context;

	latest = NULL;
	hash_search(calendars, &calendar->id, HASH_REMOVE, NULL);
	MemoryContextDelete(context);
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS status;
	Calendar   *calendar;

	hash_seq_init(&status, calendars);
	while ((calendar = hash_seq_search(&status)) != NULL)
		forget(calendar);
}

static inline bool
still_right(const Calendar *calendar)
{
	return calendar->seen == csm_signal_count[calendar->anchor] &&
		(calendar->only_in == InvalidLocalTransactionId || calendar->only_in == csm_lxid(MyProc));
}

static Calendar *
load(int64 tenant_id, int64 id)
{
	Calendar	built = {.id = id};
	MemoryContext building = AllocSetContextCreate(CurrentMemoryContext, "csm calendar reading",
												   ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(building);
	Reading		reading = {.context = building};
	Calendar   *calendar;
	bool		found;

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	built.anchor = csm_signal_anchor(CSM_SIGNAL_CALENDAR, (uint64) tenant_id);
	built.seen = csm_signal_count[built.anchor];
	if (!read_calendar(&reading, id) || reading.tenant_id != tenant_id)
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(building);
		return NULL;
	}
	built.tenant_id = reading.tenant_id;
	built.only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);
	built.context = AllocSetContextCreate(building, "csm calendar", ALLOCSET_SMALL_SIZES);
	built.name = MemoryContextStrdup(built.context, reading.name);
	built.hours.zone = get_zone(reading.zone, reading.name);
	compile(&built, &reading);

	if (hash_get_num_entries(calendars) >= MAX_CALENDARS)
		forget_all();
	calendar = hash_search(calendars, &id, HASH_ENTER, &found);
	*calendar = built;
	MemoryContextSetParent(calendar->context, calendars_context);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(building);
	return calendar;
}

/* NULL: the tenant has no such calendar. */
static Calendar *
get_calendar(int64 tenant_id, int64 id)
{
	Calendar   *calendar = latest;

	csm_signal_watch();
	if (calendars == NULL)
		start_keeping();
	if (latest == NULL || latest->id != id)
		calendar = hash_search(calendars, &id, HASH_FIND, NULL);
	if (calendar != NULL && !still_right(calendar))
	{
		forget(calendar);
		calendar = NULL;
	}
	if (calendar == NULL)
		calendar = load(tenant_id, id);
	latest = calendar;
	return calendar != NULL && calendar->tenant_id == tenant_id ? calendar : NULL;
}

/* ---- questions ---- */

static Calendar *
need_calendar(int64 tenant_id, int64 id)
{
	Calendar   *calendar = get_calendar(tenant_id, id);

	if (calendar == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no calendar " INT64_FORMAT, id),
				 errhint("Name a csm.calendars.id of the tenant.")));
	return calendar;
}

static void
check_instant(TimestampTz at)
{
	if (!csm_within_horizon(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("calendars do not reach %s", timestamptz_to_str(at)),
				 errdetail("They reckon from 1970-01-01 up to 2200-01-01, UTC.")));
}

int64
csm_calendar_between(int64 tenant_id, int64 calendar_id, TimestampTz from, TimestampTz to)
{
	Calendar   *calendar;

	check_instant(from);
	check_instant(to);
	if (calendar_id == CSM_NO_CALENDAR)
		return to - from;
	calendar = need_calendar(tenant_id, calendar_id);
	return csm_hours_until(&calendar->hours, to) - csm_hours_until(&calendar->hours, from);
}

bool
csm_calendar_reach(int64 tenant_id, int64 calendar_id, TimestampTz from, int64 amount, TimestampTz *result)
{
	check_instant(from);
	if (calendar_id == CSM_NO_CALENDAR)
		return !pg_add_s64_overflow(from, amount, result) && csm_within_horizon(*result);
	return csm_hours_add(&need_calendar(tenant_id, calendar_id)->hours, from, amount, result);
}

TimestampTz
csm_calendar_add(int64 tenant_id, int64 calendar_id, TimestampTz from, int64 amount)
{
	Calendar   *calendar = need_calendar(tenant_id, calendar_id);
	TimestampTz result;

	check_instant(from);
	if (csm_hours_add(&calendar->hours, from, amount, &result))
		return result;
	if (calendar->hours.total == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("calendar \"%s\" has no open time", calendar->name),
				 errhint("Give it or its parent weekly hours in csm.calendar_intervals.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("calendar \"%s\" does not have so much open time", calendar->name),
			 errdetail("Wanted: " INT64_FORMAT " seconds from %s, between 1970-01-01 and 2200-01-01, UTC.",
					   amount / USECS_PER_SEC, timestamptz_to_str(from))));
}

static void
take_tenant(HeapTuple tuple, TupleDesc desc, void *arg)
{
	*(int64 *) arg = id_at(tuple, desc, 1);
}

/*
 * Whose calendars the caller may use: those of his tenant; csm itself, and a
 * DBA without identity, those of all.  0: none.
 */
static int64
tenant_of_caller(int64 calendar_id)
{
	static const char sql[] = "SELECT tenant_id FROM csm.calendars WHERE id = $1";
	const CsmMap *map = csm_map_current();
	Oid			types[1] = {INT8OID};
	Datum		values[1];
	int64		tenant_id = 0;

	if (map != NULL)
		return csm_map_tenant(map);
	if (!csm_acts_as_system())
		return 0;
	if (latest != NULL && latest->id == calendar_id)
		return latest->tenant_id;
	values[0] = Int64GetDatum(calendar_id);
	csm_spi_query(sql, 1, types, values, NULL, take_tenant, &tenant_id);
	return tenant_id;
}

PG_FUNCTION_INFO_V1(csm_business_seconds);

/* csm.business_seconds(calendar_id, from, to): whole seconds, rounded toward zero. */
Datum
csm_business_seconds(PG_FUNCTION_ARGS)
{
	int64		calendar_id = PG_GETARG_INT64(0);

	PG_RETURN_INT64(csm_calendar_between(tenant_of_caller(calendar_id), calendar_id,
										 PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2)) / USECS_PER_SEC);
}

PG_FUNCTION_INFO_V1(csm_business_add);

/* csm.business_add(calendar_id, from, seconds) */
Datum
csm_business_add(PG_FUNCTION_ARGS)
{
	int64		calendar_id = PG_GETARG_INT64(0);
	TimestampTz from = PG_GETARG_TIMESTAMPTZ(1);
	int64		amount;

	if (pg_mul_s64_overflow(PG_GETARG_INT64(2), USECS_PER_SEC, &amount))
		amount = PG_GETARG_INT64(2) > 0 ? PG_INT64_MAX : PG_INT64_MIN + 1;
	if (TIMESTAMP_NOT_FINITE(from))
	{
		/* The calendar must be there and the caller's all the same. */
		csm_calendar_between(tenant_of_caller(calendar_id), calendar_id, 0, 0);
		PG_RETURN_TIMESTAMPTZ(from);
	}
	PG_RETURN_TIMESTAMPTZ(csm_calendar_add(tenant_of_caller(calendar_id), calendar_id, from, amount));
}
