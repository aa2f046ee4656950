/*
 * csm_case_follow.c
 *	  What a change of a case sets in motion: timers of a solution or a question
 *	  that nobody answers, the clocks of a dispute, a survey, the end of an open
 *	  escalation, what children of a major case have to follow.
 *
 * Triggers of csm.cases decide in C what concerns them: a WHEN clause is parsed
 * anew for every statement.  Few changes concern any of this.
 *
 * Of a proposed solution there is one timer at a time, first the reminder's,
 * then the closing's; the handlers (67_case_timers.sql) lead from one to the
 * other.  Imported cases set nothing in motion: their life was led elsewhere.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_spi.h"
#include "csm_timer.h"
#include "csm_type_setting.h"

PG_FUNCTION_INFO_V1(csm_case_follows);
PG_FUNCTION_INFO_V1(csm_kept_open);

/* What a child of a major case can take over. */
static const CsmCaseColumn passed_columns[] = {
	CASE_priority, CASE_resolution_code, CASE_resolution_notes
};

static CsmStateClass
class_of(const CsmCaseRow *row)
{
	int			found = csm_class_from_name(csm_case_row_text(row, CASE_state_class));

	if (found < 0)
		elog(ERROR, "unknown state class");
	return (CsmStateClass) found;
}

/* ---- timers ---- */

/* The reminder comes only where it comes before the closing. */
static void
await_answer(const CsmCaseRow *row, int64 tenant_id, int64 case_id)
{
	char	   *type = csm_case_row_text(row, CASE_case_type);
	TimestampTz resolved = DatumGetTimestampTz(csm_case_row_value(row, CASE_resolved_at));
	TimestampTz reminder;
	TimestampTz closing;
	bool		reminds = csm_type_period(tenant_id, type, "reminder_days", &reminder);
	bool		closes = csm_type_period(tenant_id, type, "close_days", &closing);

	if (reminds && (!closes || reminder < closing))
		csm_timer_set(tenant_id, "auto_close_reminder", case_id, case_id, resolved + reminder);
	else if (closes)
		csm_timer_set(tenant_id, "auto_close", case_id, case_id, resolved + closing);
}

static void
await_information(const CsmCaseRow *row, int64 tenant_id, int64 case_id)
{
	TimestampTz since = DatumGetTimestampTz(csm_case_row_value(row, CASE_updated_at));
	TimestampTz period;

	if (csm_type_period(tenant_id, csm_case_row_text(row, CASE_case_type), "awaiting_info_days", &period))
		csm_timer_set(tenant_id, "awaiting_timeout", case_id, case_id, since + period);
}

static void
move_timers(const CsmCaseRow *after, CsmStateClass was, CsmStateClass is, int64 tenant_id, int64 case_id)
{
	if (was == CSM_CLASS_RESOLVED)
		csm_timer_clear_all(tenant_id, "auto_close", case_id);
	else if (was == CSM_CLASS_WAITING)
		csm_timer_clear(tenant_id, "awaiting_timeout", case_id);
	if (is == CSM_CLASS_RESOLVED)
		await_answer(after, tenant_id, case_id);
	else if (is == CSM_CLASS_WAITING)
		await_information(after, tenant_id, case_id);
}

static void
move_follow_up(const CsmCaseRow *after, int64 tenant_id, int64 case_id)
{
	if (csm_case_row_null(after, CASE_follow_up_at))
		csm_timer_clear(tenant_id, "follow_up", case_id);
	else
		csm_timer_set(tenant_id, "follow_up", case_id, case_id,
					  DatumGetTimestampTz(csm_case_row_value(after, CASE_follow_up_at)));
}

/* Whether and whom to ask how content he was, the handler decides (88_surveys.sql). */
static void
await_survey(const CsmCaseRow *row, int64 tenant_id, int64 case_id)
{
	if (csm_case_row_null(row, CASE_parent_id) &&
		csm_type_setting(tenant_id, csm_case_row_text(row, CASE_case_type), "survey") != NULL)
		csm_timer_set(tenant_id, "survey", case_id, case_id, GetCurrentTimestamp());
}

static void
take_escalated(HeapTuple tuple, Relation table, void *arg)
{
	bool		isnull;
	char	   *state = TextDatumGetCString(csm_look_value(tuple, table, "state", &isnull));

	*(bool *) arg = strcmp(state, "escalated") == 0;
}

/*
 * csm_private.kept_open(needs_attention, escalated, account_id): asked by the
 * handlers of timers, which hold the lock of the case.
 */
Datum
csm_kept_open(PG_FUNCTION_ARGS)
{
	bool		kept = PG_GETARG_BOOL(0) || PG_GETARG_BOOL(1);

	if (!kept && !PG_ARGISNULL(2))
		csm_look_last("escalations", "escalations_open_account_idx", PG_GETARG_INT64(2), take_escalated, &kept);
	PG_RETURN_BOOL(kept);
}

/* ---- disputes ---- */

/*
 * Which of the three clocks runs, the machine says: the one whose action the
 * system may take from the state.
 */
static void
move_dispute_clocks(const CsmCaseRow *row, int64 tenant_id, int64 case_id)
{
	static const struct
	{
		const char *timer;
		const char *action;
		const char *setting;
		int			part;		/* of a day: what the setting counts */
	}			clocks[] = {
		{"dispute_response", "escalate", "response_hours", 24},
		{"dispute_auto_accept", "accept", "auto_accept_days", 1},
		{"dispute_appeal", "confirm", "appeal_days", 1}
	};
	const CsmMachine *machine = csm_case_machine(row);
	const CsmState *state = csm_case_state(row, machine);

	for (int i = 0; i < (int) lengthof(clocks); i++)
	{
		const CsmTransition *t;
		TimestampTz period;

		if (csm_machine_judge(machine, state, clocks[i].action, CSM_ACTOR_SYSTEM, &t) == CSM_ALLOWED &&
			csm_type_period(tenant_id, csm_case_row_text(row, CASE_case_type), clocks[i].setting, &period))
			csm_timer_set(tenant_id, clocks[i].timer, case_id, case_id,
						  GetCurrentTimestamp() + period / clocks[i].part);
		else
			csm_timer_clear(tenant_id, clocks[i].timer, case_id);
	}
}

/* ---- escalations ---- */

/* What is open on a case ends with it; the flag went off in the same change. */
static void
end_escalations(int64 tenant_id, int64 case_id)
{
	static const char sql[] =
		"UPDATE csm.escalations SET state = 'closed', closed_at = clock_timestamp(),"
		"       closing_note = 'The case ended.'"
		" WHERE case_id = $2 AND tenant_id = $1 AND state IN ('requested', 'escalated')";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	if (!csm_look_any("escalations", "escalations_open_case_idx", case_id))
		return;
	values[0] = Int64GetDatum(tenant_id);
	values[1] = Int64GetDatum(case_id);
	csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
}

/* ---- parents and children ---- */

static bool
is_major(const CsmCaseRow *row)
{
	return !csm_case_row_null(row, CASE_major_state) &&
		strcmp(csm_case_row_text(row, CASE_major_state), "accepted") == 0;
}

static void
pass_down(const CsmCaseRow *before, const CsmCaseRow *after, bool closes, int64 tenant_id, int64 case_id)
{
	static const char sql[] = "SELECT csm_private.major_changed($1, $2, $3, $4)";
	Oid			types[4] = {INT8OID, INT8OID, TEXTARRAYOID, BOOLOID};
	Datum		changed[lengthof(passed_columns)];
	int			n = 0;
	Datum		values[4];

	for (int i = 0; i < (int) lengthof(passed_columns); i++)
	{
		if (csm_case_row_changed(before, after, passed_columns[i]))
			changed[n++] = CStringGetTextDatum(csm_case_column_name(passed_columns[i]));
	}
	if (n == 0 && !closes)
		return;
	values[0] = Int64GetDatum(tenant_id);
	values[1] = Int64GetDatum(case_id);
	values[2] = PointerGetDatum(construct_array(changed, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[3] = BoolGetDatum(closes);
	csm_spi_write(sql, 4, types, values, NULL, NULL, NULL);
}

/*
 * A new child follows from now on.  csm.create_children() has linked those that
 * it makes.
 */
static void
link_to_parent(const CsmCaseRow *row)
{
	static const char sql[] =
		"INSERT INTO csm.case_children AS k (parent_id, case_id, tenant_id, account_id, user_id, followed)"
		" VALUES ($1, $2, $3, $4, $5,"
		"         coalesce((SELECT m.id FROM csm.major_changes m WHERE m.case_id = $1 ORDER BY m.id DESC LIMIT 1), 0))"
		" ON CONFLICT ON CONSTRAINT case_children_pkey DO UPDATE SET followed = excluded.followed"
		" WHERE k.followed <> excluded.followed";
	Oid			types[5] = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', 'n', ' '};

	values[0] = csm_case_row_value(row, CASE_parent_id);
	values[1] = csm_case_row_value(row, CASE_id);
	values[2] = csm_case_row_value(row, CASE_tenant_id);
	values[3] = csm_case_row_value(row, CASE_account_id);
	values[4] = csm_case_row_value(row, CASE_requester_id);
	if (!csm_case_row_null(row, CASE_account_id))
	{
		nulls[3] = ' ';
		nulls[4] = 'n';
	}
	csm_spi_write(sql, 5, types, values, nulls, NULL, NULL);
}

/* ---- the trigger ---- */

static void
opened(HeapTuple tuple, TupleDesc desc)
{
	bool		disputed = csm_case_tuple_has(tuple, desc, CASE_counterparty_account_id);
	bool		child = csm_case_tuple_has(tuple, desc, CASE_parent_id);
	CsmCaseRow	row;

	if (!disputed && !child)
		return;
	csm_case_row_open(&row, tuple, desc);
	if (disputed)
		move_dispute_clocks(&row, csm_case_row_id(&row, CASE_tenant_id), csm_case_row_id(&row, CASE_id));
	if (child)
		link_to_parent(&row);
}

static void
changed(const CsmCaseRow *before, const CsmCaseRow *after, int64 tenant_id, int64 case_id)
{
	CsmStateClass was = class_of(before);
	CsmStateClass is = class_of(after);

	if (was != is)
	{
		move_timers(after, was, is, tenant_id, case_id);
		if (is == CSM_CLASS_RESOLVED || is == CSM_CLASS_CLOSED)
			await_survey(after, tenant_id, case_id);
		if (csm_class_is_final(is) && !csm_class_is_final(was))
			end_escalations(tenant_id, case_id);
	}
	if (csm_case_row_changed(before, after, CASE_follow_up_at))
		move_follow_up(after, tenant_id, case_id);
	if (is_major(after))
		pass_down(before, after, is == CSM_CLASS_CLOSED && was != is, tenant_id, case_id);
	if (!csm_case_row_null(after, CASE_parent_id) && csm_case_row_changed(before, after, CASE_parent_id))
		link_to_parent(after);
}

/* AFTER INSERT OR UPDATE FOR EACH ROW on csm.cases. */
Datum
csm_case_follows(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	CsmCaseRow	before;
	CsmCaseRow	after;
	int64		tenant_id;
	int64		case_id;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_follows() must be an AFTER INSERT OR UPDATE row trigger")));
	if (csm_is_restoring())
		return PointerGetDatum(NULL);

	desc = RelationGetDescr(data->tg_relation);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		opened(data->tg_trigtuple, desc);
		return PointerGetDatum(NULL);
	}
	csm_case_row_open(&before, data->tg_trigtuple, desc);
	csm_case_row_open(&after, data->tg_newtuple, desc);
	tenant_id = csm_case_row_id(&after, CASE_tenant_id);
	case_id = csm_case_row_id(&after, CASE_id);
	if (!csm_case_row_null(&after, CASE_counterparty_account_id) &&
		csm_case_row_changed(&before, &after, CASE_state))
		move_dispute_clocks(&after, tenant_id, case_id);
	if (!csm_is_importing())
		changed(&before, &after, tenant_id, case_id);
	return PointerGetDatum(NULL);
}
