/*
 * csm_sla_store.c
 *	  SLAs of cases as csm.case_slas and its log, csm.sla_events, keep them:
 *	  read, attached, written.
 *
 * Without statements, as long as the tables are as the install script made them:
 * a case can have several SLAs, and each would cost as much as the case itself.
 * The case is locked.  That the definition and the calendar of a new SLA are
 * still there is asked as a foreign key asks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_change.h"
#include "csm_insert.h"
#include "csm_look.h"
#include "csm_sla_store.h"
#include "csm_spi.h"

/* Columns of csm.case_slas, in their order. */
typedef enum SlaColumn
{
	SLA_id, SLA_tenant_id, SLA_case_id, SLA_definition_id, SLA_name, SLA_type, SLA_visible_to_customer,
	SLA_calendar_id, SLA_duration_seconds, SLA_state, SLA_attached_at, SLA_started_at, SLA_as_of,
	SLA_elapsed, SLA_business_elapsed, SLA_due_at, SLA_breached_at, SLA_COLUMNS
} SlaColumn;

static const Oid column_types[SLA_COLUMNS] = {
	INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, BOOLOID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID, TIMESTAMPTZOID, TIMESTAMPTZOID
};

/* ---- reading ---- */

typedef struct SlaList
{
	MemoryContext context;
	int64		tenant_id;
	CsmSla	   *slas;
	int			n;
} SlaList;

Interval *
csm_sla_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return interval;
}

static TimestampTz
instant_in(const Datum *values, const bool *nulls, SlaColumn column)
{
	return nulls[column] ? 0 : DatumGetTimestampTz(values[column]);
}

static void
read_clock(CsmSlaClock *c, const Datum *values, const bool *nulls)
{
	c->tenant_id = DatumGetInt64(values[SLA_tenant_id]);
	c->calendar_id = nulls[SLA_calendar_id] ? CSM_NO_CALENDAR : DatumGetInt64(values[SLA_calendar_id]);
	c->duration = DatumGetInt64(values[SLA_duration_seconds]) * USECS_PER_SEC;
	c->state = (CsmSlaState) csm_sla_state_from_name(TextDatumGetCString(values[SLA_state]));
	c->attached_at = DatumGetTimestampTz(values[SLA_attached_at]);
	c->started_at = DatumGetTimestampTz(values[SLA_started_at]);
	c->as_of = DatumGetTimestampTz(values[SLA_as_of]);
	c->elapsed = DatumGetIntervalP(values[SLA_elapsed])->time;
	c->business = DatumGetIntervalP(values[SLA_business_elapsed])->time;
	c->due_at = instant_in(values, nulls, SLA_due_at);
	c->breached_at = instant_in(values, nulls, SLA_breached_at);
}

static void
take_sla(HeapTuple tuple, Relation table, void *arg)
{
	SlaList    *list = (SlaList *) arg;
	MemoryContext old = MemoryContextSwitchTo(list->context);
	int			natts = RelationGetNumberOfAttributes(table);
	Datum	   *values = (Datum *) palloc(natts * sizeof(Datum));
	bool	   *nulls = (bool *) palloc(natts * sizeof(bool));
	CsmSla	   *sla;

	heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
	if (DatumGetInt64(values[SLA_tenant_id]) == list->tenant_id)
	{
		if (list->slas == NULL)
			list->slas = palloc0(8 * sizeof(CsmSla));
		else if (list->n >= 8 && (list->n & (list->n - 1)) == 0)
			list->slas = repalloc(list->slas, 2 * list->n * sizeof(CsmSla));
		sla = &list->slas[list->n++];
		sla->at = tuple->t_self;
		sla->id = DatumGetInt64(values[SLA_id]);
		sla->case_id = DatumGetInt64(values[SLA_case_id]);
		sla->definition_id = DatumGetInt64(values[SLA_definition_id]);
		sla->name = TextDatumGetCString(values[SLA_name]);
		sla->type_name = TextDatumGetCString(values[SLA_type]);
		sla->visible = DatumGetBool(values[SLA_visible_to_customer]);
		read_clock(&sla->clock, values, nulls);
	}
	MemoryContextSwitchTo(old);
}

static int
by_id(const void *a, const void *b)
{
	int64		left = ((const CsmSla *) a)->id;
	int64		right = ((const CsmSla *) b)->id;

	return left < right ? -1 : left > right ? 1 : 0;
}

int
csm_sla_list(int64 tenant_id, int64 case_id, CsmSla **slas)
{
	SlaList		list = {.context = CurrentMemoryContext, .tenant_id = tenant_id};
	int			n = 0;

	csm_look_all("case_slas", "case_slas_case_idx", case_id, take_sla, &list);
	for (int i = 0; i < list.n; i++)
	{
		if (list.slas[i].clock.state != CSM_SLA_CANCELLED)
			list.slas[n++] = list.slas[i];
	}
	if (n > 1)
		qsort(list.slas, n, sizeof(CsmSla), by_id);
	*slas = list.slas;
	return n;
}

CsmSla *
csm_sla_read(int64 tenant_id, int64 id)
{
	SlaList		list = {.context = CurrentMemoryContext, .tenant_id = tenant_id};

	csm_look_row("case_slas", "case_slas_pkey", id, tenant_id, take_sla, &list);
	return list.slas;
}

static Datum
value_at(HeapTuple tuple, TupleDesc desc, int column, Datum if_null)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? if_null : value;
}

static void
take_log(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmSlaLog  *log = (CsmSlaLog *) arg;
	CsmSlaLogRow *row;
	Datum		duration = value_at(tuple, desc, 4, 0);

	if (log->rows == NULL)
		log->rows = MemoryContextAlloc(log->context, 16 * sizeof(CsmSlaLogRow));
	else if (log->n >= 16 && (log->n & (log->n - 1)) == 0)
		log->rows = repalloc(log->rows, 2 * log->n * sizeof(CsmSlaLogRow));
	row = &log->rows[log->n++];
	row->event = (CsmSlaEvent) csm_sla_event_from_name(TextDatumGetCString(value_at(tuple, desc, 1, 0)));
	row->at = DatumGetTimestampTz(value_at(tuple, desc, 2, 0));
	row->percent = DatumGetInt16(value_at(tuple, desc, 3, 0));
	if (duration != 0)
	{
		log->duration = DatumGetInt64(duration) * USECS_PER_SEC;
		log->calendar_id = DatumGetInt64(value_at(tuple, desc, 5, Int64GetDatum(CSM_NO_CALENDAR)));
	}
}

void
csm_sla_read_log(int64 tenant_id, int64 id, CsmSlaLog *log)
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

/* ---- writing ---- */

static void
set_instant(Datum *values, bool *nulls, SlaColumn column, TimestampTz at)
{
	values[column] = TimestampTzGetDatum(at);
	nulls[column] = at == 0;
}

static void
make_row(const CsmSla *sla, Datum *values, bool *nulls)
{
	const CsmSlaClock *c = &sla->clock;

	memset(nulls, false, SLA_COLUMNS * sizeof(bool));
	values[SLA_id] = Int64GetDatum(sla->id);
	values[SLA_tenant_id] = Int64GetDatum(c->tenant_id);
	values[SLA_case_id] = Int64GetDatum(sla->case_id);
	values[SLA_definition_id] = Int64GetDatum(sla->definition_id);
	values[SLA_name] = CStringGetTextDatum(sla->name);
	values[SLA_type] = CStringGetTextDatum(sla->type_name);
	values[SLA_visible_to_customer] = BoolGetDatum(sla->visible);
	values[SLA_calendar_id] = Int64GetDatum(c->calendar_id);
	nulls[SLA_calendar_id] = c->calendar_id == CSM_NO_CALENDAR;
	values[SLA_duration_seconds] = Int64GetDatum(c->duration / USECS_PER_SEC);
	values[SLA_state] = CStringGetTextDatum(csm_sla_state_name(c->state));
	set_instant(values, nulls, SLA_attached_at, c->attached_at);
	set_instant(values, nulls, SLA_started_at, c->started_at);
	set_instant(values, nulls, SLA_as_of, c->as_of);
	values[SLA_elapsed] = PointerGetDatum(csm_sla_interval(c->elapsed));
	values[SLA_business_elapsed] = PointerGetDatum(csm_sla_interval(c->business));
	set_instant(values, nulls, SLA_due_at, c->due_at);
	set_instant(values, nulls, SLA_breached_at, c->breached_at);
}

static void
by_statement(const char *sql, int n, const Oid *types, const Datum *values, const bool *isnull)
{
	char		nulls[SLA_COLUMNS];

	for (int i = 0; i < n; i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	csm_spi_write(sql, n, types, values, nulls, NULL, NULL);
}

/* As its foreign keys hold them; the case is locked. */
static bool
hold_definition(const CsmSla *sla)
{
	return csm_hold_row("sla_definitions", "sla_definitions_pkey", sla->definition_id, sla->clock.tenant_id);
}

static bool
hold_calendar(const CsmSla *sla)
{
	return sla->clock.calendar_id == CSM_NO_CALENDAR ||
		csm_hold_row("calendars", "calendars_pkey", sla->clock.calendar_id, sla->clock.tenant_id);
}

bool
csm_sla_insert(CsmSla *sla)
{
	static const char sql[] =
		"INSERT INTO csm.case_slas (id, tenant_id, case_id, definition_id, name, type, visible_to_customer, calendar_id,"
		"   duration_seconds, state, attached_at, started_at, as_of, elapsed, business_elapsed, due_at, breached_at)"
		" OVERRIDING SYSTEM VALUE"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
	Datum		values[SLA_COLUMNS];
	bool		nulls[SLA_COLUMNS];

	if (!hold_definition(sla))
		return false;
	sla->id = nextval_internal(csm_look_oid("case_slas_id_seq"), false);
	make_row(sla, values, nulls);
	if (!hold_calendar(sla) || !csm_insert_row("case_slas", SLA_COLUMNS, values, nulls))
		by_statement(sql, SLA_COLUMNS, column_types, values, nulls);
	return true;
}

void
csm_sla_update(CsmSla *sla, bool retargeted)
{
	static const char sql[] =
		"UPDATE csm.case_slas SET definition_id = $4, name = $5, type = $6, visible_to_customer = $7, calendar_id = $8,"
		"   duration_seconds = $9, state = $10, attached_at = $11, started_at = $12, as_of = $13, elapsed = $14,"
		"   business_elapsed = $15, due_at = $16, breached_at = $17"
		" WHERE id = $1 AND tenant_id = $2 AND case_id = $3";
	Datum		values[SLA_COLUMNS];
	bool		nulls[SLA_COLUMNS];

	make_row(sla, values, nulls);
	if ((retargeted && !(hold_definition(sla) && hold_calendar(sla))) ||
		!csm_change_row("case_slas", &sla->at, SLA_COLUMNS, values, nulls))
	{
		ItemPointerSetInvalid(&sla->at);
		by_statement(sql, SLA_COLUMNS, column_types, values, nulls);
	}
}

/* The target stands in the log with the events that set it. */
void
csm_sla_write_log(const CsmSla *sla, const CsmSlaAdded *added)
{
	static const char sql[] =
		"INSERT INTO csm.sla_events (id, tenant_id, case_sla_id, at, event, percent, definition_id, calendar_id, duration_seconds)"
		" OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT2OID, INT8OID, INT8OID, INT8OID};
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
			by_statement(sql, lengthof(row), types, row, isnull);
	}
}
