/*
 * csm_sla.c
 *	  SLAs attached to cases: read, moved on, reckoned anew, and written.
 *
 * What an SLA has counted is decided in csm_sla_clock.c.  Here a change becomes
 * rows of the log, the sums as of the last of them, and the timer of what comes
 * next; the log is written without a statement (csm_insert.c).  Warnings and the breach are noticed by whatever comes
 * first after their instant, a timer or a change, and stand in the log at their
 * instant.
 *
 * When the target or the calendar has changed, the log is folded anew; what is
 * then already behind is noticed at once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_event.h"
#include "csm_insert.h"
#include "csm_intent.h"
#include "csm_json.h"
#include "csm_look.h"
#include "csm_sla.h"
#include "csm_spi.h"
#include "csm_timer.h"

/* Rows of the log that one change adds: a breach, 99 warnings, and itself. */
#define MAX_ADDED 102

#define BREACH_PERCENT 100

typedef struct Added
{
	int			n;
	CsmSlaEvent event[MAX_ADDED];
	TimestampTz at[MAX_ADDED];
	int			percent[MAX_ADDED];	/* 0: none */
	bool		breached;
} Added;

/* A row of the log. */
typedef struct LogRow
{
	CsmSlaEvent event;
	TimestampTz at;
	int			percent;
} LogRow;

typedef struct Log
{
	MemoryContext context;
	LogRow	   *rows;
	int			n;
	int64		duration;		/* the last target */
	int64		calendar_id;
} Log;

/* ---- reading ---- */

typedef struct SlaList
{
	MemoryContext context;
	int64		tenant_id;
	CsmSla	   *slas;
	int			n;
} SlaList;

static Interval *
as_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return interval;
}

static Datum
value_at(HeapTuple tuple, TupleDesc desc, int column, Datum if_null)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? if_null : value;
}

static TimestampTz
instant_at(HeapTuple tuple, TupleDesc desc, int column)
{
	return DatumGetTimestampTz(value_at(tuple, desc, column, TimestampTzGetDatum(0)));
}

#define SLA_COLUMNS \
	"s.id, s.case_id, s.definition_id, s.name, s.type, s.visible_to_customer, s.calendar_id, s.duration_seconds," \
	" s.state, s.attached_at, s.started_at, s.as_of, s.elapsed, s.business_elapsed, s.due_at, s.breached_at"

static void
take_sla(HeapTuple tuple, TupleDesc desc, void *arg)
{
	SlaList    *list = (SlaList *) arg;
	CsmSla	   *sla;
	CsmSlaClock *c;

	if (list->slas == NULL)
		list->slas = MemoryContextAllocZero(list->context, 8 * sizeof(CsmSla));
	else if (list->n >= 8 && (list->n & (list->n - 1)) == 0)
		list->slas = repalloc(list->slas, 2 * list->n * sizeof(CsmSla));
	sla = &list->slas[list->n++];
	c = &sla->clock;
	sla->id = DatumGetInt64(value_at(tuple, desc, 1, 0));
	sla->case_id = DatumGetInt64(value_at(tuple, desc, 2, 0));
	sla->definition_id = DatumGetInt64(value_at(tuple, desc, 3, 0));
	sla->name = MemoryContextStrdup(list->context, TextDatumGetCString(value_at(tuple, desc, 4, 0)));
	sla->type_name = MemoryContextStrdup(list->context, TextDatumGetCString(value_at(tuple, desc, 5, 0)));
	sla->visible = DatumGetBool(value_at(tuple, desc, 6, 0));
	c->tenant_id = list->tenant_id;
	c->calendar_id = DatumGetInt64(value_at(tuple, desc, 7, Int64GetDatum(CSM_NO_CALENDAR)));
	c->duration = DatumGetInt64(value_at(tuple, desc, 8, 0)) * USECS_PER_SEC;
	c->state = (CsmSlaState) csm_sla_state_from_name(TextDatumGetCString(value_at(tuple, desc, 9, 0)));
	c->attached_at = instant_at(tuple, desc, 10);
	c->started_at = instant_at(tuple, desc, 11);
	c->as_of = instant_at(tuple, desc, 12);
	c->elapsed = DatumGetIntervalP(value_at(tuple, desc, 13, 0))->time;
	c->business = DatumGetIntervalP(value_at(tuple, desc, 14, 0))->time;
	c->due_at = instant_at(tuple, desc, 15);
	c->breached_at = instant_at(tuple, desc, 16);
}

int
csm_sla_list(int64 tenant_id, int64 case_id, CsmSla **slas)
{
	static const char sql[] =
		"SELECT " SLA_COLUMNS " FROM csm.case_slas s"
		" WHERE s.case_id = $1 AND s.tenant_id = $2 AND s.state <> 'cancelled' ORDER BY s.id";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	SlaList		list = {.context = CurrentMemoryContext, .tenant_id = tenant_id};

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_sla, &list);
	*slas = list.slas;
	return list.n;
}

static CsmSla *
read_sla(int64 tenant_id, int64 id)
{
	static const char sql[] =
		"SELECT " SLA_COLUMNS " FROM csm.case_slas s WHERE s.id = $1 AND s.tenant_id = $2";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	SlaList		list = {.context = CurrentMemoryContext, .tenant_id = tenant_id};

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_sla, &list);
	return list.slas;
}

static void
take_log(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Log		   *log = (Log *) arg;
	LogRow	   *row;
	Datum		duration = value_at(tuple, desc, 4, 0);

	if (log->rows == NULL)
		log->rows = MemoryContextAlloc(log->context, 16 * sizeof(LogRow));
	else if (log->n >= 16 && (log->n & (log->n - 1)) == 0)
		log->rows = repalloc(log->rows, 2 * log->n * sizeof(LogRow));
	row = &log->rows[log->n++];
	row->event = (CsmSlaEvent) csm_sla_event_from_name(TextDatumGetCString(value_at(tuple, desc, 1, 0)));
	row->at = instant_at(tuple, desc, 2);
	row->percent = DatumGetInt16(value_at(tuple, desc, 3, 0));
	if (duration != 0)
	{
		log->duration = DatumGetInt64(duration) * USECS_PER_SEC;
		log->calendar_id = DatumGetInt64(value_at(tuple, desc, 5, Int64GetDatum(CSM_NO_CALENDAR)));
	}
}

static void
read_log(int64 tenant_id, int64 id, Log *log)
{
	static const char sql[] =
		"SELECT event, at, percent, duration_seconds, calendar_id FROM csm.sla_events"
		" WHERE case_sla_id = $1 AND tenant_id = $2 ORDER BY id";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	memset(log, 0, sizeof(*log));
	log->context = CurrentMemoryContext;
	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_log, log);
}

/* The pure function; returns the highest part of the duration that was noticed since the begin. */
static int
fold(const Log *log, CsmSlaClock *clock)
{
	int			noticed = 0;

	for (int i = 0; i < log->n; i++)
	{
		const LogRow *row = &log->rows[i];

		csm_sla_clock_apply(clock, row->event, row->at);
		if (row->event == CSM_SLA_RESET)
			noticed = 0;
		else if (row->event == CSM_SLA_WARN)
			noticed = Max(noticed, row->percent);
		else if (row->event == CSM_SLA_BREACH)
			noticed = BREACH_PERCENT;
	}
	return noticed;
}

/* ---- writing ---- */

static void
add(Added *added, CsmSlaClock *clock, CsmSlaEvent event, TimestampTz at, int percent)
{
	csm_sla_clock_apply(clock, event, at);
	added->event[added->n] = event;
	added->at[added->n] = clock->as_of;
	added->percent[added->n] = percent;
	added->n++;
	if (event == CSM_SLA_BREACH)
		added->breached = true;
}

/* The next part of the duration to be noticed, and when; false: none. */
static bool
next_part(const CsmSlaClock *clock, const CsmSlaRule *rule, int *percent, TimestampTz *at)
{
	if (clock->state != CSM_SLA_RUNNING || clock->business >= clock->duration)
		return false;
	*percent = BREACH_PERCENT;
	for (int i = 0; rule != NULL && i < rule->nwarn; i++)
	{
		if (csm_sla_share(clock, rule->warn[i]) > clock->business)
		{
			*percent = rule->warn[i];
			break;
		}
	}
	*at = csm_sla_clock_reaches(clock, *percent);
	return *at != DT_NOEND;
}

static void
notice(CsmSlaClock *clock, const CsmSlaRule *rule, TimestampTz until, Added *added)
{
	int			percent;
	TimestampTz at;

	while (next_part(clock, rule, &percent, &at) && at <= until)
		add(added, clock, percent == BREACH_PERCENT ? CSM_SLA_BREACH : CSM_SLA_WARN, at, percent);
}

/* After folding anew: what is behind and was not noticed. */
static void
notice_late(CsmSlaClock *clock, const CsmSlaRule *rule, int noticed, Added *added)
{
	for (int i = 0; rule != NULL && i < rule->nwarn; i++)
	{
		if (rule->warn[i] > noticed && csm_sla_share(clock, rule->warn[i]) <= clock->business)
			add(added, clock, CSM_SLA_WARN, clock->as_of, rule->warn[i]);
	}
	if (noticed < BREACH_PERCENT && clock->breached_at != 0)
		add(added, clock, CSM_SLA_BREACH, clock->as_of, BREACH_PERCENT);
}

static void
set_instant(Datum *values, char *nulls, int i, TimestampTz at)
{
	values[i] = TimestampTzGetDatum(at);
	nulls[i] = at == 0 ? 'n' : ' ';
}

/* What attaching and moving write; $17 is the id. */
#define PARAMETERS 17

static const Oid types[PARAMETERS] = {
	INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, INT8OID
};

static void
set_parameters(const CsmSla *sla, Datum *values, char *nulls)
{
	const CsmSlaClock *c = &sla->clock;

	memset(nulls, ' ', PARAMETERS);
	values[0] = Int64GetDatum(c->tenant_id);
	values[1] = Int64GetDatum(sla->case_id);
	values[2] = CStringGetTextDatum(csm_sla_state_name(c->state));
	set_instant(values, nulls, 3, c->started_at);
	set_instant(values, nulls, 4, c->as_of);
	values[5] = PointerGetDatum(as_interval(c->elapsed));
	values[6] = PointerGetDatum(as_interval(c->business));
	set_instant(values, nulls, 7, c->due_at);
	set_instant(values, nulls, 8, c->breached_at);
	values[9] = Int64GetDatum(sla->definition_id);
	values[10] = Int64GetDatum(c->calendar_id);
	nulls[10] = c->calendar_id == CSM_NO_CALENDAR ? 'n' : ' ';
	values[11] = Int64GetDatum(c->duration / USECS_PER_SEC);
	values[12] = CStringGetTextDatum(sla->name);
	values[13] = CStringGetTextDatum(sla->type_name);
	values[14] = BoolGetDatum(sla->visible);
	set_instant(values, nulls, 15, c->attached_at);
	values[16] = Int64GetDatum(sla->id);
}

static void
insert_by_statement(const Datum *row, const bool *isnull)
{
	static const char sql[] =
		"INSERT INTO csm.sla_events (id, tenant_id, case_sla_id, at, event, percent, definition_id, calendar_id, duration_seconds)"
		" OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
	Oid			row_types[] = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT2OID, INT8OID, INT8OID, INT8OID};
	char		nulls[lengthof(row_types)];

	for (int i = 0; i < (int) lengthof(row_types); i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	csm_spi_write(sql, lengthof(row_types), row_types, row, nulls, NULL, NULL);
}

/* The target stands in the log with the events that set it. */
static void
write_log(const CsmSla *sla, const Added *added)
{
	const CsmSlaClock *c = &sla->clock;

	for (int i = 0; i < added->n; i++)
	{
		bool		sets = added->event[i] == CSM_SLA_ATTACH || added->event[i] == CSM_SLA_RETARGET;
		/* in the order of the columns of csm.sla_events */
		Datum		row[9];
		bool		isnull[9] = {false};

		row[0] = Int64GetDatum(nextval_internal(csm_look_oid("sla_events_id_seq"), false));
		row[1] = Int64GetDatum(c->tenant_id);
		row[2] = Int64GetDatum(sla->id);
		row[3] = TimestampTzGetDatum(added->at[i]);
		row[4] = CStringGetTextDatum(csm_sla_event_name(added->event[i]));
		row[5] = Int16GetDatum(added->percent[i]);
		isnull[5] = added->percent[i] == 0;
		row[6] = Int64GetDatum(sla->definition_id);
		isnull[6] = !sets;
		row[7] = Int64GetDatum(c->calendar_id);
		isnull[7] = !sets || c->calendar_id == CSM_NO_CALENDAR;
		row[8] = Int64GetDatum(c->duration / USECS_PER_SEC);
		isnull[8] = !sets;
		if (!csm_insert_row("sla_events", lengthof(row), row, isnull))
			insert_by_statement(row, isnull);
	}
}

static void
emit(const CsmSla *sla, const Added *added)
{
	for (int i = 0; i < added->n; i++)
	{
		CsmJson		json;

		if (added->event[i] != CSM_SLA_WARN && added->event[i] != CSM_SLA_BREACH)
			continue;
		csm_json_begin(&json);
		csm_json_id(&json, "case_sla_id", sla->id);
		csm_json_text(&json, "name", sla->name);
		csm_json_text(&json, "type", sla->type_name);
		csm_json_integer(&json, "percent", added->percent[i]);
		csm_event_emit_as(0, sla->clock.tenant_id, sla->case_id,
						  added->event[i] == CSM_SLA_WARN ? "sla_warned" : "sla_breached",
						  sla->visible ? "shared" : "internal", NULL, csm_json_end(&json));
	}
}

static void
write_sla(const CsmSla *sla, const CsmSlaRule *rule, const Added *added)
{
	static const char sql[] =
		"UPDATE csm.case_slas SET state = $3, started_at = $4, as_of = $5, elapsed = $6, business_elapsed = $7,"
		"   due_at = $8, breached_at = $9, definition_id = $10, calendar_id = $11, duration_seconds = $12,"
		"   name = $13, type = $14, visible_to_customer = $15"
		" WHERE id = $17 AND tenant_id = $1";
	Datum		values[PARAMETERS];
	char		nulls[PARAMETERS];
	int			percent;
	TimestampTz next;

	set_parameters(sla, values, nulls);
	csm_spi_write(sql, PARAMETERS, types, values, nulls, NULL, NULL);
	if (next_part(&sla->clock, rule, &percent, &next))
		csm_timer_set(sla->clock.tenant_id, "sla", sla->id, sla->case_id, next);
	else
		csm_timer_clear(sla->clock.tenant_id, "sla", sla->id);
	write_log(sla, added);
	emit(sla, added);
}

/* ---- changes ---- */

static void
take_id(HeapTuple tuple, TupleDesc desc, void *arg)
{
	*(int64 *) arg = DatumGetInt64(value_at(tuple, desc, 1, Int64GetDatum(CSM_NO_CALENDAR)));
}

/*
 * The entitlement's own calendar; the account's, else that of the nearest
 * account above; the definition's where there is none.
 */
int64
csm_sla_calendar(const CsmSlaRule *rule, const CsmCaseRow *row)
{
	static const char account_sql[] =
		"WITH RECURSIVE up(parent_id, calendar_id, depth) AS ("
		"  SELECT a.parent_id, a.calendar_id, 0 FROM csm.accounts a WHERE a.id = $1 AND a.tenant_id = $2"
		"  UNION ALL"
		"  SELECT a.parent_id, a.calendar_id, up.depth + 1"
		"    FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = $2"
		"   WHERE up.calendar_id IS NULL AND up.depth < 100)"
		" SELECT calendar_id FROM up ORDER BY depth DESC LIMIT 1";
	static const char entitlement_sql[] =
		"SELECT calendar_id FROM csm.entitlements WHERE id = $1 AND tenant_id = $2";
	bool		of_account = rule->calendar_from == CSM_SLA_FROM_ACCOUNT;
	CsmCaseColumn column = of_account ? CASE_account_id : CASE_entitlement_id;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		found = CSM_NO_CALENDAR;

	if (rule->calendar_from == CSM_SLA_FROM_NONE)
		return CSM_NO_CALENDAR;
	if (rule->calendar_from == CSM_SLA_FROM_FIXED || csm_case_row_null(row, column))
		return rule->calendar_id;
	values[0] = csm_case_row_value(row, column);
	values[1] = csm_case_row_value(row, CASE_tenant_id);
	csm_spi_query(of_account ? account_sql : entitlement_sql, 2, types, values, NULL, take_id, &found);
	return found == CSM_NO_CALENDAR ? rule->calendar_id : found;
}

void
csm_sla_attach(const CsmSlaRule *rule, const CsmCaseRow *row, TimestampTz at, bool paused)
{
	static const char sql[] =
		"INSERT INTO csm.case_slas (tenant_id, case_id, state, started_at, as_of, elapsed, business_elapsed,"
		"   due_at, breached_at, definition_id, calendar_id, duration_seconds, name, type, visible_to_customer, attached_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id";
	Datum		values[PARAMETERS];
	char		nulls[PARAMETERS];
	CsmSla		sla = {0};
	Added		added = {0};
	int			percent;
	TimestampTz next;

	sla.case_id = csm_case_row_id(row, CASE_id);
	sla.definition_id = rule->id;
	sla.name = rule->name;
	sla.type_name = rule->type_name;
	sla.visible = rule->visible;
	sla.clock.tenant_id = csm_case_row_id(row, CASE_tenant_id);
	sla.clock.calendar_id = csm_sla_calendar(rule, row);
	sla.clock.duration = rule->duration;
	add(&added, &sla.clock, CSM_SLA_ATTACH, at, 0);
	if (paused)
		add(&added, &sla.clock, CSM_SLA_PAUSE, at, 0);
	set_parameters(&sla, values, nulls);
	csm_spi_write(sql, PARAMETERS - 1, types, values, nulls, take_id, &sla.id);
	if (next_part(&sla.clock, rule, &percent, &next))
		csm_timer_set(sla.clock.tenant_id, "sla", sla.id, sla.case_id, next);
	write_log(&sla, &added);
}

bool
csm_sla_move(CsmSla *sla, const CsmSlaRule *rule, CsmSlaEvent event, TimestampTz at)
{
	Added		added = {0};

	notice(&sla->clock, rule, at, &added);
	add(&added, &sla->clock, event, at, 0);
	write_sla(sla, rule, &added);
	return added.breached;
}

/* Folds the log with the given target and counts until now; event says why. */
static bool
fold_again(CsmSla *sla, const CsmSlaRule *rule, const Log *log, CsmSlaEvent event, TimestampTz at)
{
	Added		added = {0};
	int			noticed = fold(log, &sla->clock);

	add(&added, &sla->clock, event, at, 0);
	notice_late(&sla->clock, rule, noticed, &added);
	write_sla(sla, rule, &added);
	return added.breached;
}

/* Goes on under another definition, or as the same one is now; nothing counted or paused is lost. */
bool
csm_sla_retarget(CsmSla *sla, const CsmSlaRule *rule, int64 calendar_id, TimestampTz at)
{
	Log			log;

	read_log(sla->clock.tenant_id, sla->id, &log);
	sla->definition_id = rule->id;
	sla->name = rule->name;
	sla->type_name = rule->type_name;
	sla->visible = rule->visible;
	sla->clock.duration = rule->duration;
	sla->clock.calendar_id = calendar_id;
	return fold_again(sla, rule, &log, CSM_SLA_RETARGET, at);
}

/*
 * The write is csm's own.  A case whose flag is off already is not written, and
 * then the announcement must not wait for the next write of somebody else.
 */
void
csm_sla_note_missed(int64 tenant_id, int64 case_id)
{
	static const char sql[] =
		"UPDATE csm.cases SET made_sla = false WHERE id = $1 AND tenant_id = $2 AND made_sla";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	CsmIntent	intent = {.kind = CSM_INTENT_SYSTEM, .case_id = case_id};

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(tenant_id);
	csm_intent_set(&intent);
	csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
	csm_intent_met();
}

/* ---- what SQL calls ---- */

PG_FUNCTION_INFO_V1(csm_due_sla);

/* csm_private.due_sla(tenant_id, case_sla_id, at): the timer's handler. */
Datum
csm_due_sla(PG_FUNCTION_ARGS)
{
	CsmSla	   *sla = read_sla(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	const CsmSlaRule *rule;
	Added		added = {0};

	if (sla == NULL || !csm_sla_is_open(&sla->clock))
		PG_RETURN_VOID();
	rule = csm_sla_rule_find(csm_sla_rules_get(sla->clock.tenant_id), sla->definition_id);
	notice(&sla->clock, rule, PG_GETARG_TIMESTAMPTZ(2), &added);
	write_sla(sla, rule, &added);
	if (added.breached)
		csm_sla_note_missed(sla->clock.tenant_id, sla->case_id);
	PG_RETURN_VOID();
}

static bool
same_clock(const CsmSlaClock *a, const CsmSlaClock *b)
{
	return a->state == b->state && a->attached_at == b->attached_at && a->started_at == b->started_at &&
		a->as_of == b->as_of && a->elapsed == b->elapsed && a->business == b->business &&
		a->due_at == b->due_at && a->breached_at == b->breached_at &&
		a->duration == b->duration && a->calendar_id == b->calendar_id;
}

PG_FUNCTION_INFO_V1(csm_recompute_sla);

/*
 * csm_private.recompute_sla(tenant_id, case_sla_id, write, retarget): folds the
 * log.  True when that gives what is stored; else, with write, it is stored.
 * With retarget an open SLA takes over its definition as it is now; a calendar
 * that came from account or entitlement stays.
 */
Datum
csm_recompute_sla(PG_FUNCTION_ARGS)
{
	CsmSla	   *sla = read_sla(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	const CsmSlaRule *rule;
	CsmSlaClock stored;
	Log			log;
	Added		none = {0};
	bool		breached = false;
	bool		same;

	if (sla == NULL)
		PG_RETURN_NULL();
	rule = csm_sla_rule_find(csm_sla_rules_get(sla->clock.tenant_id), sla->definition_id);
	stored = sla->clock;
	read_log(stored.tenant_id, sla->id, &log);
	memset(&sla->clock, 0, sizeof(CsmSlaClock));
	sla->clock.tenant_id = stored.tenant_id;
	sla->clock.duration = log.duration;
	sla->clock.calendar_id = log.calendar_id;
	(void) fold(&log, &sla->clock);
	same = same_clock(&stored, &sla->clock);

	if (PG_GETARG_BOOL(3) && csm_sla_is_open(&sla->clock))
		breached = csm_sla_retarget(sla, rule,
									rule->calendar_from == CSM_SLA_FROM_NONE ? CSM_NO_CALENDAR :
									rule->calendar_from == CSM_SLA_FROM_FIXED ? rule->calendar_id : log.calendar_id,
									GetCurrentTimestamp());
	else if (!same && PG_GETARG_BOOL(2))
	{
		if (csm_sla_is_open(&sla->clock))
			breached = fold_again(sla, rule, &log, CSM_SLA_RECKON, GetCurrentTimestamp());
		else
			write_sla(sla, rule, &none);
	}
	if (breached)
		csm_sla_note_missed(stored.tenant_id, sla->case_id);
	PG_RETURN_BOOL(same);
}

PG_FUNCTION_INFO_V1(csm_sla_business);

/* csm_private.sla_business(csm.case_slas, at): open time counted until then. */
Datum
csm_sla_business(PG_FUNCTION_ARGS)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	CsmSlaClock clock = {0};
	bool		isnull;
	Datum		calendar;

	clock.tenant_id = DatumGetInt64(GetAttributeByName(row, "tenant_id", &isnull));
	calendar = GetAttributeByName(row, "calendar_id", &isnull);
	clock.calendar_id = isnull ? CSM_NO_CALENDAR : DatumGetInt64(calendar);
	clock.state = (CsmSlaState) csm_sla_state_from_name(TextDatumGetCString(GetAttributeByName(row, "state", &isnull)));
	clock.as_of = DatumGetTimestampTz(GetAttributeByName(row, "as_of", &isnull));
	clock.business = DatumGetIntervalP(GetAttributeByName(row, "business_elapsed", &isnull))->time;
	PG_RETURN_INTERVAL_P(as_interval(csm_sla_clock_business(&clock, PG_GETARG_TIMESTAMPTZ(1))));
}
