/*
 * csm_calendar.c
 *	  Calendars, compiled (csm_calendar_load.c), kept per backend and asked.
 *
 * A compiled calendar is kept until a calendar of its tenant is signalled
 * (csm_signal.c); one that was read under the snapshot of a REPEATABLE READ or
 * SERIALIZABLE transaction serves that transaction only.  When MAX_CALENDARS
 * are kept, all are forgotten.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_actor.h"
#include "csm_calendar.h"
#include "csm_compat.h"
#include "csm_spi.h"

#define MAX_CALENDARS 512

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

static MemoryContext calendars_context = NULL;
static HTAB *calendars = NULL;
static Calendar *latest = NULL; /* the one asked for last */

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
	Calendar   *calendar;
	bool		found;

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	built.anchor = csm_signal_anchor(CSM_SIGNAL_CALENDAR, (uint64) tenant_id);
	built.seen = csm_signal_count[built.anchor];
	built.context = AllocSetContextCreate(building, "csm calendar", ALLOCSET_SMALL_SIZES);
	if (!csm_calendar_load(tenant_id, id, built.context, &built.name, &built.hours))
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(building);
		return NULL;
	}
	built.tenant_id = tenant_id;
	built.only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);

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
	bool		isnull;

	*(int64 *) arg = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
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
