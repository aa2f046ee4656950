/*
 * csm_escalation.c
 *	  The trigger of csm.cases that ends what is open when a case ends.
 *
 * In C because every case ends and few were ever escalated.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "csm_lifecycle.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_case_escalations);

/* AFTER UPDATE FOR EACH ROW on csm.cases, where the case was closed or cancelled. */
Datum
csm_case_escalations(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"UPDATE csm.escalations SET state = 'closed', closed_at = clock_timestamp(),"
		"       closing_note = 'The case ended.'"
		" WHERE case_id = $1 AND tenant_id = $2 AND state IN ('requested', 'escalated')";
	TriggerData *data = (TriggerData *) fcinfo->context;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	CsmCaseRow	row;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_escalations() must be an AFTER UPDATE row trigger")));
	if (!csm_is_restoring())
	{
		csm_case_row_open(&row, data->tg_newtuple, RelationGetDescr(data->tg_relation));
		values[0] = csm_case_row_value(&row, CASE_id);
		values[1] = csm_case_row_value(&row, CASE_tenant_id);
		csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
	}
	return PointerGetDatum(NULL);
}
