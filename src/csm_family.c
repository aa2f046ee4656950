/*
 * csm_family.c
 *	  The trigger of csm.case_entries for cases that have a parent or are major
 *	  cases.
 *
 * In C because every entry fires it and few concern a family: what the guard
 * saw of the case answers without reading a table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "csm_judged.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_entry_family);

static Datum
value_of(TriggerData *data, const char *column)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	int			attnum = SPI_fnumber(desc, column);
	bool		isnull;
	Datum		value = attnum > 0 ? SPI_getbinval(data->tg_trigtuple, desc, attnum, &isnull) : (Datum) 0;

	if (attnum <= 0 || isnull)
		elog(ERROR, "csm.case_entries has no value for \"%s\"", column);
	return value;
}

/* AFTER INSERT FOR EACH ROW on csm.case_entries. */
Datum
csm_entry_family(PG_FUNCTION_ARGS)
{
	static const char sql[] = "SELECT csm_private.family_entry($1, $2, $3, $4)";
	static const char *const columns[4] = {"tenant_id", "case_id", "id", "visibility"};
	TriggerData *data = (TriggerData *) fcinfo->context;
	Oid			types[4] = {INT8OID, INT8OID, INT8OID, TEXTOID};
	Datum		values[4];
	const CsmJudged *judged;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.entry_family() must be an AFTER INSERT row trigger")));
	if (csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);

	for (int i = 0; i < 4; i++)
		values[i] = value_of(data, columns[i]);
	judged = csm_judged(DatumGetInt64(values[1]));
	if (judged == NULL || judged->family)
		csm_spi_write(sql, 4, types, values, NULL, NULL, NULL);
	return PointerGetDatum(NULL);
}
