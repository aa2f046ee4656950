/*
 * csm_timer.c
 *	  Writes csm.timers.  What a timer means, the module that sets it knows;
 *	  csm.run_due() calls that module's handler when it is due.
 *
 * Who holds the lock of the case looks first whether there is one, and needs no
 * statement then.  csm_private.set_timer() asks for no lock, so it always takes
 * the statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_change.h"
#include "csm_insert.h"
#include "csm_look.h"
#include "csm_spi.h"
#include "csm_timer.h"

PG_FUNCTION_INFO_V1(csm_set_timer);
PG_FUNCTION_INFO_V1(csm_set_case_timer);

/* A failure that was noted belongs to the old time. */
static void
set_by_statement(int64 tenant_id, const char *kind, int64 object_id, int64 case_id, TimestampTz due_at)
{
	static const char sql[] =
		"INSERT INTO csm.timers AS t (tenant_id, kind, object_id, case_id, due_at)"
		" VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT ON CONSTRAINT timers_pkey DO UPDATE"
		" SET case_id = excluded.case_id, due_at = excluded.due_at, attempts = 0, error = NULL"
		" WHERE t.due_at <> excluded.due_at OR t.attempts > 0";
	Oid			types[5] = {INT8OID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};

	values[0] = Int64GetDatum(tenant_id);
	values[1] = CStringGetTextDatum(kind);
	values[2] = Int64GetDatum(object_id);
	values[3] = Int64GetDatum(case_id);
	nulls[3] = case_id == 0 ? 'n' : ' ';
	values[4] = TimestampTzGetDatum(due_at);
	csm_spi_write(sql, 5, types, values, nulls, NULL, NULL);
}

static void
clear_by_statement(int64 tenant_id, const char *kind, int64 object_id)
{
	static const char sql[] =
		"DELETE FROM csm.timers WHERE kind = $2 AND object_id = $3 AND tenant_id = $1";
	Oid			types[3] = {INT8OID, TEXTOID, INT8OID};
	Datum		values[3];

	values[0] = Int64GetDatum(tenant_id);
	values[1] = CStringGetTextDatum(kind);
	values[2] = Int64GetDatum(object_id);
	csm_spi_write(sql, 3, types, values, NULL, NULL, NULL);
}

/* The timer of a kind and object, as it is. */
typedef struct Found
{
	bool		any;
	ItemPointerData at;
	TimestampTz due_at;
	int32		attempts;
} Found;

static void
take_timer(HeapTuple tuple, Relation table, void *arg)
{
	Found	   *found = (Found *) arg;
	bool		isnull;

	found->any = true;
	found->at = tuple->t_self;
	found->due_at = DatumGetTimestampTz(csm_look_value(tuple, table, "due_at", &isnull));
	found->attempts = DatumGetInt32(csm_look_value(tuple, table, "attempts", &isnull));
}

void
csm_timer_set(int64 tenant_id, const char *kind, int64 object_id, int64 case_id, TimestampTz due_at)
{
	/* in the order of the columns of csm.timers */
	Datum		row[7] = {0};
	bool		isnull[7] = {false};
	Found		found = {false};

	csm_look_timer(kind, object_id, tenant_id, take_timer, &found);
	if (found.any && found.due_at == due_at && found.attempts == 0)
		return;
	row[0] = Int64GetDatum(tenant_id);
	row[1] = CStringGetTextDatum(kind);
	row[2] = Int64GetDatum(object_id);
	row[3] = Int64GetDatum(case_id);
	row[4] = TimestampTzGetDatum(due_at);
	row[5] = Int32GetDatum(0);	/* attempts */
	isnull[6] = true;			/* error */
	if (found.any ? !csm_change_row("timers", &found.at, lengthof(row), row, isnull)
		: !csm_insert_row("timers", lengthof(row), row, isnull))
		set_by_statement(tenant_id, kind, object_id, case_id, due_at);
}

void
csm_timer_clear(int64 tenant_id, const char *kind, int64 object_id)
{
	Found		found = {false};

	csm_look_timer(kind, object_id, tenant_id, take_timer, &found);
	if (found.any && !csm_delete_row("timers", &found.at))
		clear_by_statement(tenant_id, kind, object_id);
}

typedef struct Kinds
{
	const char *begin;
	int64		tenant_id;
	MemoryContext context;
	List	   *found;			/* of char * */
} Kinds;

static void
take_kind(HeapTuple tuple, Relation table, void *arg)
{
	Kinds	   *kinds = (Kinds *) arg;
	MemoryContext old = MemoryContextSwitchTo(kinds->context);
	bool		isnull;
	char	   *kind = TextDatumGetCString(csm_look_value(tuple, table, "kind", &isnull));

	if (strncmp(kind, kinds->begin, strlen(kinds->begin)) == 0 &&
		DatumGetInt64(csm_look_value(tuple, table, "tenant_id", &isnull)) == kinds->tenant_id)
		kinds->found = lappend(kinds->found, kind);
	MemoryContextSwitchTo(old);
}

void
csm_timer_clear_all(int64 tenant_id, const char *begin, int64 case_id)
{
	Kinds		kinds = {.begin = begin, .tenant_id = tenant_id, .context = CurrentMemoryContext};
	ListCell   *cell;

	csm_look_all("timers", "timers_case_idx", case_id, take_kind, &kinds);
	foreach(cell, kinds.found)
		csm_timer_clear(tenant_id, (const char *) lfirst(cell), case_id);
}

/* csm_private.set_timer(tenant_id, kind, object_id, case_id, due_at): due_at NULL clears it. */
Datum
csm_set_timer(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < 3; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("tenant_id, kind and object_id of a timer must not be null")));
	}
	if (PG_ARGISNULL(4))
		clear_by_statement(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_INT64(2));
	else
		set_by_statement(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_INT64(2),
						 PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3), PG_GETARG_TIMESTAMPTZ(4));
	PG_RETURN_VOID();
}

/* csm_private.set_case_timer(tenant_id, kind, case_id, due_at): the caller holds the lock of the case. */
Datum
csm_set_case_timer(PG_FUNCTION_ARGS)
{
	int64		case_id = PG_GETARG_INT64(2);

	csm_timer_set(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), case_id, case_id, PG_GETARG_TIMESTAMPTZ(3));
	PG_RETURN_VOID();
}
