/*
 * csm_case_timer.c
 *	  The trigger of csm.cases that sets the timers which follow from its
 *	  state: a proposed solution that nobody answers, a question that nobody
 *	  answers.
 *
 * Of a proposed solution there is one timer at a time, first the reminder's,
 * then the closing's; the handlers (67_case_timers.sql) lead from one to the
 * other.  Imported cases have none: their life was led elsewhere.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_lifecycle.h"
#include "csm_timer.h"
#include "csm_type_setting.h"

PG_FUNCTION_INFO_V1(csm_case_timers);

static CsmStateClass
class_of(const CsmCaseRow *row)
{
	int			found = csm_class_from_name(csm_case_row_text(row, CASE_state_class));

	if (found < 0)
		elog(ERROR, "unknown state class");
	return (CsmStateClass) found;
}

/* The reminder comes only where it comes before the closing. */
static void
await_answer(const CsmCaseRow *row, int64 tenant_id, int64 case_id, const char *type)
{
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
await_information(const CsmCaseRow *row, int64 tenant_id, int64 case_id, const char *type)
{
	TimestampTz since = DatumGetTimestampTz(csm_case_row_value(row, CASE_updated_at));
	TimestampTz period;

	if (csm_type_period(tenant_id, type, "awaiting_info_days", &period))
		csm_timer_set(tenant_id, "awaiting_timeout", case_id, case_id, since + period);
}

/* AFTER UPDATE FOR EACH ROW on csm.cases, where the class of the state changed. */
Datum
csm_case_timers(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	CsmCaseRow	before;
	CsmCaseRow	after;
	CsmStateClass was;
	CsmStateClass is;
	int64		tenant_id;
	int64		case_id;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_timers() must be an AFTER UPDATE row trigger")));
	if (csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);

	csm_case_row_open(&before, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_open(&after, data->tg_newtuple, RelationGetDescr(data->tg_relation));
	was = class_of(&before);
	is = class_of(&after);
	tenant_id = csm_case_row_id(&after, CASE_tenant_id);
	case_id = csm_case_row_id(&after, CASE_id);

	if (was == CSM_CLASS_RESOLVED && is != CSM_CLASS_RESOLVED)
		csm_timer_clear_either(tenant_id, "auto_close_reminder", "auto_close", case_id);
	if (was == CSM_CLASS_WAITING && is != CSM_CLASS_WAITING)
		csm_timer_clear(tenant_id, "awaiting_timeout", case_id);
	if (is == CSM_CLASS_RESOLVED && was != CSM_CLASS_RESOLVED)
		await_answer(&after, tenant_id, case_id, csm_case_row_text(&after, CASE_case_type));
	else if (is == CSM_CLASS_WAITING && was != CSM_CLASS_WAITING)
		await_information(&after, tenant_id, case_id, csm_case_row_text(&after, CASE_case_type));
	return PointerGetDatum(NULL);
}
