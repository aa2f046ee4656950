/*
 * csm_intent.c
 *	  What csm's own functions announce to the triggers that will judge their
 *	  write: which action it means, who acts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "csm_errors.h"
#include "csm_lifecycle.h"

#define MAX_MANY 256

static CsmIntent current = {.kind = CSM_INTENT_NONE};

/* Of an intent for many: the cases that have not met it, in order. */
static int64 many[MAX_MANY];
static int	nmany = 0;

static void
forget_at_end(XactEvent event, void *arg)
{
	current.kind = CSM_INTENT_NONE;
	nmany = 0;
	csm_given_forget();
}

static void
forget_at_abort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_at_end(XACT_EVENT_ABORT, NULL);
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
	nmany = 0;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return left < right ? -1 : left > right ? 1 : 0;
}

const CsmIntent *
csm_intent(CsmIntentKind kind, int64 case_id)
{
	if (current.kind != kind)
		return NULL;
	if (current.all)
		return &current;
	if (current.many && bsearch(&case_id, many, nmany, sizeof(int64), compare_ids) != NULL)
		current.case_id = case_id;
	return current.case_id == case_id ? &current : NULL;
}

void
csm_intent_met(void)
{
	int64	   *met = current.many
		? (int64 *) bsearch(&current.case_id, many, nmany, sizeof(int64), compare_ids) : NULL;

	if (met != NULL)
		memmove(met, met + 1, (char *) (many + nmany--) - (char *) (met + 1));
	current.case_id = 0;
	if (nmany == 0)
		current.kind = CSM_INTENT_NONE;
}

/* The setting alone does not do: SET ROLE may have left the superuser behind. */
bool
csm_is_importing(void)
{
	return csm_importing && superuser_arg(csm_session_role());
}

/* ---- by SQL functions of csm_private ---- */

/* ---- what is given with an act ---- */

static MemoryContext given_context = NULL;
static CsmGiven given;

const CsmGiven *
csm_given(int64 case_id)
{
	return given.case_id != 0 && given.case_id == case_id ? &given : NULL;
}

void
csm_given_forget(void)
{
	given.case_id = 0;
}

uint32
csm_given_bit(const char *name)
{
	if (strcmp(name, "reference") == 0)
		return CSM_GIVEN_REFERENCE;
	if (strcmp(name, "amount") == 0)
		return CSM_GIVEN_AMOUNT;
	if (strcmp(name, "currency") == 0)
		return CSM_GIVEN_CURRENCY;
	return 0;
}

/* A string or number of a JSON object; NULL for none, a blank, null. */
static char *
field_text(Jsonb *fields, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&fields->root, key, strlen(key), &buffer);
	char	   *text;

	if (value == NULL)
		return NULL;
	if (value->type == jbvString)
		text = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	else
		return NULL;
	return text[strspn(text, " \t\r\n")] == '\0' ? NULL : text;
}

/* Keeps note and fields for the triggers of the write; says what there is. */
static uint32
keep_given(int64 case_id, const char *note, Jsonb *fields)
{
	MemoryContext old;

	if (given_context == NULL)
		given_context = AllocSetContextCreate(TopMemoryContext, "csm act", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(given_context);
	memset(&given, 0, sizeof(given));
	old = MemoryContextSwitchTo(given_context);
	given.note = note ? pstrdup(note) : NULL;
	given.reference = field_text(fields, "reference");
	given.amount = field_text(fields, "amount");
	given.currency = field_text(fields, "currency");
	MemoryContextSwitchTo(old);
	given.case_id = case_id;
	return (given.note ? CSM_GIVEN_NOTE : 0) |
		(given.reference ? CSM_GIVEN_REFERENCE : 0) |
		(given.amount ? CSM_GIVEN_AMOUNT : 0) |
		(given.currency ? CSM_GIVEN_CURRENCY : 0);
}

PG_FUNCTION_INFO_V1(csm_begin_act);

/*
 * csm_private.begin_act(c csm.cases, action text, note text, fields jsonb,
 * as_system boolean): judges the action and announces it.  Returns the note to
 * write: the caller's, else what the transition's effects offer, else null.
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
	const char *note = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(1));
	CsmVerdict	verdict;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);
	intent.case_id = keys.id;
	intent.actors = PG_GETARG_BOOL(4) ? CSM_ACTOR_SYSTEM : csm_relations(&row, &keys);
	strlcpy(intent.action, action, sizeof(intent.action));

	machine = csm_case_machine(&row);
	from = csm_case_state(&row, machine);
	verdict = csm_machine_judge(machine, from, action, intent.actors, &t);
	csm_report_verdict(verdict, &row, machine, from, action, NULL, intent.actors);

	if (note == NULL)
		note = csm_transition_value(t, "note", intent.actors);
	intent.given = keep_given(keys.id, note, PG_GETARG_JSONB_P(3));
	if ((intent.given & CSM_GIVEN_PROPOSAL) && !csm_transition_proposes(t))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("action \"%s\" makes no proposal", action),
				 errhint("Leave reference, amount and currency out.")));
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

/* The same for many cases. */
static void
announce_for_many(CsmIntent *intent, ArrayType *ids)
{
	Datum	   *values;
	int			n;

	deconstruct_array(ids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, NULL, &n);
	if (n > MAX_MANY)
		elog(ERROR, "csm announces at most %d cases at once", MAX_MANY);
	intent->many = true;
	csm_intent_set(intent);
	csm_given_forget();
	for (int i = 0; i < n; i++)
		many[i] = DatumGetInt64(values[i]);
	nmany = n;
	qsort(many, nmany, sizeof(int64), compare_ids);
}

PG_FUNCTION_INFO_V1(csm_begin_systems);

/* csm_private.begin_systems(case_ids): csm_begin_system() for each. */
Datum
csm_begin_systems(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_SYSTEM};

	announce_for_many(&intent, PG_GETARG_ARRAYTYPE_P(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_acts);

/* csm_private.begin_acts(case_ids, action): the system takes it on each, and gives a note. */
Datum
csm_begin_acts(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_ACT, .actors = CSM_ACTOR_SYSTEM, .given = CSM_GIVEN_NOTE};

	text_to_cstring_buffer(PG_GETARG_TEXT_PP(1), intent.action, sizeof(intent.action));
	announce_for_many(&intent, PG_GETARG_ARRAYTYPE_P(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_notes);

/* csm_private.begin_notes(case_ids): an entry of the system's for each. */
Datum
csm_begin_notes(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_NOTE, .as_system = true};

	announce_for_many(&intent, PG_GETARG_ARRAYTYPE_P(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_end_many);

/* csm_private.end_many(): nothing is left of what was announced for many. */
Datum
csm_end_many(PG_FUNCTION_ARGS)
{
	nmany = 0;
	csm_intent_met();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_erasure);

/* csm_private.begin_erasure(case_id); see csm_append_only.c */
Datum
csm_begin_erasure(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_ERASE};

	intent.case_id = PG_GETARG_INT64(0);
	csm_intent_set(&intent);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_begin_erasures);

/* csm_private.begin_erasures(): the same for all cases, and for rows of none. */
Datum
csm_begin_erasures(PG_FUNCTION_ARGS)
{
	CsmIntent	intent = {.kind = CSM_INTENT_ERASE, .all = true};

	csm_intent_set(&intent);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_end_erasure);

Datum
csm_end_erasure(PG_FUNCTION_ARGS)
{
	csm_intent_met();
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

PG_FUNCTION_INFO_V1(csm_restoring);

/*
 * csm_private.restoring(): what a trigger would judge, stamp or derive stays as it
 * is.  So it is while personal data are erased everywhere.
 */
Datum
csm_restoring(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_is_restoring() || csm_intent(CSM_INTENT_ERASE, 0) != NULL);
}

PG_FUNCTION_INFO_V1(csm_importing_sql);

Datum
csm_importing_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_is_importing());
}
