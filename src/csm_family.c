/*
 * csm_family.c
 *	  Parents and children: whether a case has any, and the trigger of
 *	  csm.case_entries for major cases, whose children may get the entry as well.
 *
 * In C because every entry fires it and few concern a major case.  The guard reads
 * the case before the entry is written, and says so when it has met one; as
 * long as it has met none in the client statement, no table is read here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_family.h"
#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_entry_family);
PG_FUNCTION_INFO_V1(csm_has_children);

static TimestampTz met_in = 0;	/* start of the client statement; 0: none */

void
csm_family_met(void)
{
	met_in = GetCurrentStatementStartTimestamp();
}

static Datum
value_of(TriggerData *data, const char *column)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	int			attnum = SPI_fnumber(desc, column);
	bool		isnull = true;
	Datum		value = attnum > 0 ? SPI_getbinval(data->tg_trigtuple, desc, attnum, &isnull) : (Datum) 0;

	if (isnull)
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

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.entry_family() must be an AFTER INSERT row trigger")));
	if (met_in != GetCurrentStatementStartTimestamp() || csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);

	for (int i = 0; i < 4; i++)
		values[i] = value_of(data, columns[i]);
	csm_spi_write(sql, 4, types, values, NULL, NULL, NULL);
	return PointerGetDatum(NULL);
}

/*
 * csm_private.has_children(case_id).  Asked for each child of a parent that may
 * have a hundred thousand; by statistics that know that parent, the planner would
 * read them all to find that a child has none.
 */
Datum
csm_has_children(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_look_any("case_children", "case_children_pkey", PG_GETARG_INT64(0)));
}
