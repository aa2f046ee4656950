/*
 * csm_calendar_load.c
 *	  A calendar, read from csm.calendars and what hangs on it, and compiled into
 *	  open hours (csm_business_time.c).
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
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm_calendar.h"
#include "csm_spi.h"

/* A chain of parents longer than this is taken for a circle. */
#define MAX_PARENTS "32"

/* Unix time of 2000-01-01, where timestamps count from. */
#define UNIX_OF_EPOCH ((pg_time_t) 10957 * SECS_PER_DAY)

typedef struct KeptZone
{
	char		name[TZ_STRLEN_MAX + 1];	/* hash key */
	CsmZone		zone;
} KeptZone;

static MemoryContext zones_context = NULL;
static HTAB *zones = NULL;

/* ---- zones ---- */

static void
add_stretch(CsmZone *zone, TimestampTz from, int64 offset)
{
	int			n = zone->nstretches;

	if (n > 0 && zone->offset[n - 1] == offset)
		return;
	if (n == 0)
	{
		zone->from = MemoryContextAlloc(zones_context, 16 * sizeof(TimestampTz));
		zone->offset = MemoryContextAlloc(zones_context, 16 * sizeof(int64));
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

static void
start_keeping(void)
{
	HASHCTL		ctl = {0};

	zones_context = AllocSetContextCreate(TopMemoryContext, "csm zones", ALLOCSET_SMALL_SIZES);
	ctl.keysize = TZ_STRLEN_MAX + 1;
	ctl.entrysize = sizeof(KeptZone);
	ctl.hcxt = zones_context;
	zones = hash_create("csm zones", 16, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
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
	if (zones == NULL)
		start_keeping();
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
compile(CsmHours *hours, const Reading *reading, MemoryContext context)
{
	for (int i = 0; i < 7; i++)
		hours->week[i] = make_day(&reading->week[i], &reading->week[(i + 6) % 7], context);

	if (reading->ndates > 0)
		qsort(reading->dates, reading->ndates, sizeof(ExceptionDate), compare_dates);
	hours->special = MemoryContextAlloc(context,
										Max(2 * reading->ndates, 1) * sizeof(CsmSpecialDay));
	for (int i = 0; i < reading->ndates; i++)
	{
		const ExceptionDate *d = &reading->dates[i];

		add_special(hours, d->date, make_day(&d->open, NULL, context));
		if (i + 1 == reading->ndates || d[1].date != d->date + 1)
			add_special(hours, d->date + 1,
						make_day(&reading->week[weekday(d->date + 1)], &d->open, context));
	}
	csm_hours_finish(hours, context);
}

bool
csm_calendar_load(int64 tenant_id, int64 id, MemoryContext context, char **name, CsmHours *hours)
{
	Reading		reading = {.context = CurrentMemoryContext};

	if (!read_calendar(&reading, id) || reading.tenant_id != tenant_id)
		return false;
	*name = MemoryContextStrdup(context, reading.name);
	hours->zone = get_zone(reading.zone, reading.name);
	compile(hours, &reading, context);
	return true;
}
