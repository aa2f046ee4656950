/*
 * csm_append_only.c
 *	  The trigger of tables whose rows are neither changed nor deleted: journal,
 *	  history, attachments.
 *
 * It refuses UPDATE, DELETE and TRUNCATE for everybody.  There are two doors:
 * while csm_private.begin_erasure() is announced for the case of a row, or
 * begin_erasures() for all, the columns that the trigger's arguments name may be
 * changed, and no other; while csm_private.begin_merge() is, references from the
 * removed to the kept person.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "csm_intent.h"
#include "csm_merge.h"

PG_FUNCTION_INFO_V1(csm_append_only);

static bool
may_erase(const Trigger *trigger, const char *column)
{
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		if (strcmp(trigger->tgargs[i], column) == 0)
			return true;
	}
	return false;
}

static bool
is_erasure(const TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	int			column = SPI_fnumber(desc, "case_id");
	int64		case_id = 0;	/* a row that names no case: only where all are meant */
	bool		was_null = false;
	bool		is_null;
	Datum		was;
	Datum		is;

	if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event) || data->tg_trigger->tgnargs == 0)
		return false;
	if (column > 0)
	{
		was = heap_getattr(data->tg_trigtuple, column, desc, &was_null);
		case_id = was_null ? 0 : DatumGetInt64(was);
	}
	if (csm_intent(CSM_INTENT_ERASE, case_id) == NULL)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || may_erase(data->tg_trigger, NameStr(att->attname)))
			continue;
		was = heap_getattr(data->tg_trigtuple, i + 1, desc, &was_null);
		is = heap_getattr(data->tg_newtuple, i + 1, desc, &is_null);
		if (was_null != is_null || (!was_null && !datum_image_eq(was, is, att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

static bool
is_merge(const TriggerData *data)
{
	return TRIGGER_FIRED_BY_UPDATE(data->tg_event) &&
		csm_merge_repoints(data->tg_trigtuple, data->tg_newtuple, RelationGetDescr(data->tg_relation));
}

Datum
csm_append_only(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.append_only() must be a BEFORE trigger")));
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event) && (is_erasure(data) || is_merge(data)))
		return PointerGetDatum(data->tg_newtuple);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("rows of %s are neither changed nor deleted",
					RelationGetRelationName(data->tg_relation)),
			 errhint("Write a further entry.")));
}
