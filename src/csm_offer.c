/*
 * csm_offer.c
 *	  What a person may do with a case now, before he does it: the same machine
 *	  and the same relations that will judge the act.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "csm_case_fields.h"
#include "csm_lifecycle.h"

PG_FUNCTION_INFO_V1(csm_offers);

/*
 * The columns that nobody but the caller can fill in, then the fields of the
 * type that the action demands.
 */
static Datum
demands(const CsmMachine *machine, const CsmTransition *t, uint32 actors)
{
	Datum	   *names = (Datum *) palloc((t->nrequired + machine->nfields + 1) * sizeof(Datum));
	int			n = 0;

	for (int i = 0; i < t->nrequired; i++)
	{
		if (csm_transition_value(t, t->required[i], actors) == NULL)
			names[n++] = CStringGetTextDatum(t->required[i]);
	}
	for (int i = 0; i < machine->nfields; i++)
	{
		if (csm_field_demanded(&machine->fields[i], t->action))
			names[n++] = CStringGetTextDatum(machine->fields[i].name);
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* csm_private.offers(csm.cases): action, label, to_state, required_fields, note_required */
Datum
csm_offers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CsmCaseRow	row;
	CsmCaseKeys keys;
	const CsmMachine *machine;
	const CsmState *from;
	uint32		actors;

	InitMaterializedSRF(fcinfo, 0);
	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);
	actors = csm_case_actors(&keys);
	machine = csm_case_machine(&row);
	from = csm_case_state(&row, machine);
	if (csm_class_is_final(from->state_class))
		PG_RETURN_VOID();
	for (int i = 0; i < machine->ntransitions; i++)
	{
		const CsmTransition *t = &machine->transitions[i];
		Datum		values[5];
		bool		nulls[5] = {false};

		if (t->from != from || (t->actors & actors) == 0)
			continue;
		values[0] = CStringGetTextDatum(t->action);
		values[1] = CStringGetTextDatum(t->label);
		values[2] = CStringGetTextDatum(t->to->key);
		values[3] = demands(machine, t, actors);
		values[4] = BoolGetDatum(t->note_required && csm_transition_value(t, "note", actors) == NULL);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_VOID();
}
