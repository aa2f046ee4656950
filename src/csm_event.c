/*
 * csm_event.c
 *	  What happened to a case, written once: the triggers of csm.cases and
 *	  csm.case_entries, and the way in which further modules write events of
 *	  cases.  Those of other subjects are written in SQL (88_subject_events.sql).
 *
 * Ids within a case must be in the order of commits, because csm.next_events()
 * hands out committed rows in the order of ids.  They are, as long as an id is
 * taken while the row lock of the case is held: a trigger of csm.cases holds
 * it, the one of csm.case_entries runs after the entry has touched its case,
 * and csm_private.emit() takes it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_event.h"
#include "csm_insert.h"
#include "csm_json.h"
#include "csm_judged.h"
#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_setting.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_emit);
PG_FUNCTION_INFO_V1(csm_case_events);
PG_FUNCTION_INFO_V1(csm_entry_events);

/* ---- writing ---- */

static int64
signed_in(void)
{
	const CsmMap *map = csm_map_current();

	return map == NULL ? 0 : csm_map_user(map);
}

/* Columns of csm.events; the last of them name subjects other than a case. */
#define EVENT_COLUMNS		15
#define FIRST_OTHER_SUBJECT 11

/* Checked by the table, for what comes from SQL. */
static void
insert_by_statement(const Datum *row, const bool *isnull)
{
	static const char sql[] =
		"INSERT INTO csm.events"
		" (id, tenant_id, case_id, kind, actor_id, audience, side, payload, created_at, position, on_behalf_of)"
		" OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
	Oid			types[] = {INT8OID, INT8OID, INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, INT8OID, INT8OID};
	char		nulls[lengthof(types)];

	for (int i = 0; i < (int) lengthof(types); i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	csm_spi_write(sql, lengthof(types), types, row, nulls, NULL, NULL);
}

static int64
next_id(void)
{
	return nextval_internal(csm_look_oid("events_id_seq"), false);
}

static void
emit(bool checked, int64 actor_id, int64 tenant_id, int64 case_id, const char *kind,
	 const char *audience, const char *side, Datum payload)
{
	/* in the order of the columns */
	Datum		row[EVENT_COLUMNS] = {0};
	bool		isnull[EVENT_COLUMNS] = {false};
	int64		behalf = actor_id == 0 ? 0 : csm_behalf();

	row[0] = Int64GetDatum(next_id());
	row[1] = Int64GetDatum(tenant_id);
	row[2] = Int64GetDatum(case_id);
	row[3] = CStringGetTextDatum(kind);
	row[4] = Int64GetDatum(actor_id);
	isnull[4] = actor_id == 0;
	row[5] = CStringGetTextDatum(audience);
	row[6] = side ? CStringGetTextDatum(side) : (Datum) 0;
	isnull[6] = side == NULL;
	row[7] = payload;
	row[8] = TimestampTzGetDatum(GetCurrentTimestamp());
	row[9] = (Datum) 0;			/* position */
	isnull[9] = true;
	row[10] = Int64GetDatum(behalf);
	isnull[10] = behalf == 0;
	for (int i = FIRST_OTHER_SUBJECT; i < EVENT_COLUMNS; i++)
		isnull[i] = true;
	if (checked || !csm_insert_row("events", lengthof(row), row, isnull))
		insert_by_statement(row, isnull);

	/* The server sends one message a transaction and tenant. */
	if (csm_tenant_settings(tenant_id).event_notify)
		Async_Notify("csm_events", psprintf(INT64_FORMAT, tenant_id));
}

void
csm_event_emit_as(int64 actor_id, int64 tenant_id, int64 case_id, const char *kind,
				  const char *audience, const char *side, Datum payload_jsonb)
{
	emit(false, actor_id, tenant_id, case_id, kind, audience, side, payload_jsonb);
}

void
csm_event_emit(int64 tenant_id, int64 case_id, const char *kind,
			   const char *audience, const char *side, Datum payload_jsonb)
{
	csm_event_emit_as(signed_in(), tenant_id, case_id, kind, audience, side, payload_jsonb);
}

static void
lock_case(int64 tenant_id, int64 case_id)
{
	static const char sql[] =
		"SELECT FROM csm.cases WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(tenant_id);
	csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
}

/* csm_private.emit(tenant_id, case_id, kind, payload, audience, side, actor_id) */
Datum
csm_emit(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an event needs tenant, case, kind, payload and audience")));
	if (csm_is_restoring() || csm_is_importing())
		PG_RETURN_VOID();
	lock_case(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	emit(true, PG_ARGISNULL(6) ? 0 : PG_GETARG_INT64(6), PG_GETARG_INT64(0), PG_GETARG_INT64(1),
		 text_to_cstring(PG_GETARG_TEXT_PP(2)),
		 text_to_cstring(PG_GETARG_TEXT_PP(4)),
		 PG_ARGISNULL(5) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(5)),
		 PG_GETARG_DATUM(3));
	PG_RETURN_VOID();
}

/* ---- cases ---- */

/* csm's own changes have no author, whoever runs the clock. */
static void
emit_change(const CsmCaseRow *c, const char *kind, CsmJson *json)
{
	int64		case_id = csm_case_row_id(c, CASE_id);
	const CsmJudged *judged = csm_judged(case_id);

	csm_event_emit_as(judged && judged->system ? 0 : signed_in(), csm_case_row_id(c, CASE_tenant_id),
					  case_id, kind, "shared", NULL, csm_json_end(json));
}

static void
emit_opened(const CsmCaseRow *c)
{
	CsmJson		json;

	csm_json_begin(&json);
	csm_json_text(&json, "case_type", csm_case_row_text(c, CASE_case_type));
	csm_json_text(&json, "state", csm_case_row_text(c, CASE_state));
	csm_json_integer(&json, "priority", DatumGetInt16(csm_case_row_value(c, CASE_priority)));
	csm_json_text(&json, "channel", csm_case_row_text(c, CASE_channel));
	emit_change(c, "opened", &json);
}

static CsmStateClass
class_of(const CsmCaseRow *c)
{
	return (CsmStateClass) csm_class_from_name(csm_case_row_text(c, CASE_state_class));
}

/* A change of state is one event, of the kind that says most. */
static const char *
kind_of_move(const CsmCaseRow *before, const CsmCaseRow *after)
{
	CsmStateClass from = class_of(before);
	CsmStateClass to = class_of(after);

	if (csm_class_is_final(to))
		return "closed";
	if (to == CSM_CLASS_RESOLVED && from != CSM_CLASS_RESOLVED)
		return "resolved";
	if (from == CSM_CLASS_RESOLVED && to != CSM_CLASS_RESOLVED)
		return "reopened";
	return "state_changed";
}

static void
emit_move(const CsmCaseRow *before, const CsmCaseRow *after)
{
	const CsmJudged *judged = csm_judged(csm_case_row_id(after, CASE_id));
	CsmJson		json;

	csm_json_begin(&json);
	csm_json_text(&json, "action", judged && judged->taken ? judged->action : NULL);
	csm_json_text(&json, "from", csm_case_row_text(before, CASE_state));
	csm_json_text(&json, "to", csm_case_row_text(after, CASE_state));
	csm_json_text(&json, "state_class", csm_case_row_text(after, CASE_state_class));
	emit_change(after, kind_of_move(before, after), &json);
}

static void
emit_assigned(const CsmCaseRow *before, const CsmCaseRow *after)
{
	CsmJson		json;

	csm_json_begin(&json);
	csm_json_id(&json, "assigned_to", csm_case_row_id(after, CASE_assigned_to));
	csm_json_id(&json, "assigned_group_id", csm_case_row_id(after, CASE_assigned_group_id));
	csm_json_id(&json, "from_person", csm_case_row_id(before, CASE_assigned_to));
	csm_json_id(&json, "from_group", csm_case_row_id(before, CASE_assigned_group_id));
	emit_change(after, "assigned", &json);
}

static void
emit_priority(const CsmCaseRow *before, const CsmCaseRow *after)
{
	CsmJson		json;

	csm_json_begin(&json);
	csm_json_integer(&json, "from", DatumGetInt16(csm_case_row_value(before, CASE_priority)));
	csm_json_integer(&json, "to", DatumGetInt16(csm_case_row_value(after, CASE_priority)));
	emit_change(after, "priority_changed", &json);
}

static bool
silent(void)
{
	return csm_is_restoring() || csm_is_importing();
}

static TriggerData *
after_row_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.%s() must be an AFTER row trigger for INSERT or UPDATE", name)));
	return data;
}

Datum
csm_case_events(PG_FUNCTION_ARGS)
{
	TriggerData *data = after_row_trigger(fcinfo, "case_events");
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	CsmCaseRow	before;
	CsmCaseRow	after;

	if (silent())
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		csm_case_row_open(&after, data->tg_trigtuple, desc);
		emit_opened(&after);
		return PointerGetDatum(NULL);
	}
	csm_case_row_open(&before, data->tg_trigtuple, desc);
	csm_case_row_open(&after, data->tg_newtuple, desc);
	if (csm_case_row_changed(&before, &after, CASE_state))
		emit_move(&before, &after);
	if (csm_case_row_changed(&before, &after, CASE_assigned_to) ||
		csm_case_row_changed(&before, &after, CASE_assigned_group_id))
		emit_assigned(&before, &after);
	if (csm_case_row_changed(&before, &after, CASE_priority))
		emit_priority(&before, &after);
	return PointerGetDatum(NULL);
}

/* ---- entries ---- */

static int64
entry_id(HeapTuple tuple, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, SPI_fnumber(desc, column), &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

Datum
csm_entry_events(PG_FUNCTION_ARGS)
{
	TriggerData *data = after_row_trigger(fcinfo, "entry_events");
	HeapTuple	entry = data->tg_trigtuple;
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	char	   *visibility;
	char	   *side;
	CsmJson		json;

	if (silent())
		return PointerGetDatum(NULL);
	visibility = SPI_getvalue(entry, desc, SPI_fnumber(desc, "visibility"));
	side = SPI_getvalue(entry, desc, SPI_fnumber(desc, "side"));
	csm_json_begin(&json);
	csm_json_integer(&json, "entry_id", entry_id(entry, desc, "id"));
	csm_json_text(&json, "visibility", visibility);
	csm_json_text(&json, "side", side);
	csm_event_emit_as(entry_id(entry, desc, "author_id"), entry_id(entry, desc, "tenant_id"),
					  entry_id(entry, desc, "case_id"), "commented", visibility,
					  strcmp(visibility, "private") == 0 ? side : NULL, csm_json_end(&json));
	return PointerGetDatum(NULL);
}
