/*
 * csm_intent.c
 *	  What csm's own functions announce to the triggers that will judge their
 *	  write: which action it means, who acts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "csm_errors.h"
#include "csm_lifecycle.h"

static CsmIntent current = {.kind = CSM_INTENT_NONE};

static void
forget_at_end(XactEvent event, void *arg)
{
	current.kind = CSM_INTENT_NONE;
}

static void
forget_at_abort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		current.kind = CSM_INTENT_NONE;
}

void
csm_intent_set(const CsmIntent *intent)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(forget_at_end, NULL);
		RegisterSubXactCallback(forget_at_abort, NULL);
		registered = true;
	}
	current = *intent;
}

const CsmIntent *
csm_intent(CsmIntentKind kind, int64 case_id)
{
	return current.kind == kind && current.case_id == case_id ? &current : NULL;
}

void
csm_intent_met(void)
{
	current.kind = CSM_INTENT_NONE;
}

/* The setting alone does not do: SET ROLE may have left the superuser behind. */
bool
csm_is_importing(void)
{
	return csm_importing && superuser_arg(GetOuterUserId());
}

/* ---- by SQL functions of csm_private ---- */

PG_FUNCTION_INFO_V1(csm_begin_act);

/*
 * csm_private.begin_act(c csm.cases, action text, note text, as_system
 * boolean): judges the action and announces it.  Returns the note to write: the
 * caller's, else what the transition's effects offer, else null.
 */
Datum
csm_begin_act(PG_FUNCTION_ARGS)
{
	CsmCaseRow	row;
	CsmCaseKeys keys;
	CsmIntent	intent = {.kind = CSM_INTENT_ACT};
	const CsmMachine *machine;
	const CsmTransition *t;
	const CsmState *from;
	const char *offered;
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *note = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	CsmVerdict	verdict;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);
	intent.case_id = keys.id;
	intent.actors = PG_GETARG_BOOL(3) ? CSM_ACTOR_SYSTEM : csm_case_actors(&keys);
	strlcpy(intent.action, action, sizeof(intent.action));

	machine = csm_case_machine(&row);
	from = csm_case_state(&row, machine);
	verdict = csm_machine_judge(machine, from, action, intent.actors, &t);
	csm_report_verdict(verdict, &row, machine, from, action, NULL, intent.actors);

	if (note == NULL)
	{
		offered = csm_transition_value(t, "note", intent.actors);
		note = offered ? pstrdup(offered) : NULL;
	}
	intent.has_note = note != NULL;
	csm_intent_set(&intent);
	if (note == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(note));
}

PG_FUNCTION_INFO_V1(csm_begin_note);

/* csm_private.begin_note(case_id, as_system): the next entry is the note of an act. */
Datum
csm_begin_note(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_NOTE};

	intent.case_id = PG_GETARG_INT64(0);
	intent.as_system = PG_GETARG_BOOL(1);
	csm_intent_set(&intent);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_system);

/*
 * csm_private.begin_system(case_id): the next change of the case is csm's own.
 * It is judged as the system's, and may write derived flags.
 */
Datum
csm_begin_system(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_SYSTEM};

	intent.case_id = PG_GETARG_INT64(0);
	csm_intent_set(&intent);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_open);

/* csm_private.begin_open(draft, idempotency_key): about the next new case. */
Datum
csm_begin_open(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_OPEN};
	char	   *key = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (key != NULL && (key[0] == '\0' || pg_mbstrlen(key) > CSM_MAX_KEY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency_key must have 1 to %d characters", CSM_MAX_KEY),
				 errdetail("It has %d.", pg_mbstrlen(key)),
				 errhint("A random UUID serves well.")));
	intent.draft = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);
	if (key != NULL)
		strlcpy(intent.key, key, sizeof(intent.key));
	csm_intent_set(&intent);
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(csm_end_open);

/* csm_private.end_open(csm.cases): returns its argument; no intent is left. */
Datum
csm_end_open(PG_FUNCTION_ARGS)
{
	csm_intent_met();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

PG_FUNCTION_INFO_V1(csm_importing_sql);

Datum
csm_importing_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_is_importing());
}
