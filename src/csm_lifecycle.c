/*
 * csm_lifecycle.c
 *	  Taking a transition on a row of csm.cases: who may, what must be filled
 *	  in, what follows.
 *
 * Nothing here reads or writes a table.  csm_machine.c decides whether a
 * transition is allowed, csm_case_trigger.c applies the result to the row that
 * is being written, and the functions at the end let csm.act() and
 * csm.open_case() say beforehand which action their write means.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_errors.h"
#include "csm_lifecycle.h"

#define CUSTOMER_SIDE (CSM_ACTOR_REQUESTER | CSM_ACTOR_CUSTOMER | CSM_ACTOR_CLAIMANT)
#define OPERATOR_SIDE (CSM_ACTOR_AGENT | CSM_ACTOR_SYSTEM)

/* What an action may write: by its effects, and by the fields of csm.act(). */
static const CsmCaseColumn action_columns[] = {
	CASE_subject, CASE_description, CASE_priority, CASE_impact, CASE_urgency,
	CASE_assigned_to, CASE_assigned_group_id, CASE_product_id, CASE_asset_id,
	CASE_resolution_code, CASE_resolution_notes
};

/*
 * Of these, what somebody who does not work on the case may write, where the
 * transition demands it: no column that refers to another row.
 */
static const CsmCaseColumn party_columns[] = {
	CASE_subject, CASE_description, CASE_priority, CASE_resolution_code, CASE_resolution_notes
};

static CsmIntent current = {.kind = CSM_INTENT_NONE};

/* ---- intents ---- */

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

/* ---- a case and its machine ---- */

char *
csm_case_label(const CsmCaseRow *row)
{
	return csm_case_row_null(row, CASE_number)
		? psprintf(INT64_FORMAT, csm_case_row_id(row, CASE_id))
		: csm_case_row_text(row, CASE_number);
}

const CsmMachine *
csm_case_machine(const CsmCaseRow *row)
{
	char	   *type = csm_case_row_text(row, CASE_case_type);
	const CsmMachine *machine = type == NULL ? NULL :
		csm_machine_get(csm_case_row_id(row, CASE_tenant_id), type);

	if (machine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("case type \"%s\" does not exist", type ? type : ""),
				 errhint("Choose one of csm.case_types.")));
	return machine;
}

const CsmState *
csm_case_state(const CsmCaseRow *row, const CsmMachine *machine)
{
	char	   *key = csm_case_row_text(row, CASE_state);
	const CsmState *state = key == NULL ? NULL : csm_machine_state(machine, key);

	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_TRANSITION),
				 errmsg("case type \"%s\" has no state \"%s\"", machine->case_type, key ? key : ""),
				 errhint("Choose one of csm.case_states with case_type = '%s'.", machine->machine_type)));
	return state;
}

/* ---- refusals ---- */

static void
append_name(StringInfo list, const char *name)
{
	appendStringInfo(list, "%s%s", list->len > 0 ? ", " : "", name);
}

/* What the person could do instead. */
static char *
offered(const CsmMachine *machine, const CsmState *from, uint32 actors)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < machine->ntransitions; i++)
	{
		const CsmTransition *t = &machine->transitions[i];

		if (t->from == from && (t->actors & actors))
			append_name(&list, t->action);
	}
	return list.len > 0 ? list.data : "none";
}

/*
 * The person sees the case, so its number and state may be named.  Either
 * action or to says what was wanted.
 */
void
csm_report_verdict(CsmVerdict verdict, const CsmCaseRow *row, const CsmMachine *machine,
				   const CsmState *from, const char *action, const CsmState *to, uint32 actors)
{
	const char *label = csm_case_label(row);
	char	   *wanted = action ? psprintf("action \"%s\"", action) :
		psprintf("change to state \"%s\"", to->key);

	switch (verdict)
	{
		case CSM_ALLOWED:
			return;
		case CSM_NOT_PERMITTED:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s on case %s is not permitted", wanted, label),
					 errdetail("Relations to the case: %s.", actors ? csm_actor_names(actors) : "none"),
					 errhint("csm.actions() lists what you may do.")));
			break;
		case CSM_UNKNOWN_ACTION:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("case type \"%s\" has no action \"%s\"", machine->case_type, action),
					 errhint("Choose one of csm.case_transitions with case_type = '%s'.",
							 machine->machine_type)));
			break;
		case CSM_FINAL:
			ereport(ERROR,
					(errcode(ERRCODE_CSM_CLOSED),
					 errmsg("case %s is closed", label),
					 errdetail("Its state is \"%s\".", from->key),
					 errhint("Open a new case that refers to it.")));
			break;
		case CSM_NO_TRANSITION:
			ereport(ERROR,
					(errcode(ERRCODE_CSM_TRANSITION),
					 errmsg("%s is not possible on case %s", wanted, label),
					 errdetail("Its state is \"%s\"; actions possible now: %s.",
							   from->key, offered(machine, from, actors)),
					 errhint("csm.actions() lists what you may do.")));
			break;
	}
}

/* ---- taking a transition ---- */

static bool
listed(const CsmCaseColumn *columns, int n, int column)
{
	for (int i = 0; i < n; i++)
	{
		if ((int) columns[i] == column)
			return true;
	}
	return false;
}

/* Is it for a transition to say who writes the column? */
bool
csm_transition_judges(CsmCaseColumn column)
{
	return listed(action_columns, (int) lengthof(action_columns), column);
}

/* The effect on a column that counts for these actors; one of an actor first. */
static const CsmEffect *
effect_on(const CsmTransition *t, const char *column, uint32 actors)
{
	for (int i = 0; i < t->neffects; i++)
	{
		const CsmEffect *effect = &t->effects[i];

		if (strcmp(effect->column, column) == 0 &&
			(effect->actor == 0 || (effect->actor & actors)))
			return effect;
	}
	return NULL;
}

/* A value that the caller wrote in the same statement goes first. */
static void
apply_effects(const CsmTransition *t, uint32 actors, const CsmCaseRow *before, CsmCaseRow *after)
{
	for (int i = 0; i < t->neffects; i++)
	{
		const CsmEffect *effect = &t->effects[i];
		int			column = csm_case_column_from_name(effect->column);

		if (strcmp(effect->column, "note") == 0 || effect_on(t, effect->column, actors) != effect)
			continue;
		if (column < 0 || !csm_transition_judges((CsmCaseColumn) column))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("effect of action \"%s\" names column \"%s\", which no action sets",
							t->action, effect->column),
					 errhint("Correct csm.case_transitions.effects.")));
		if (!csm_case_row_changed(before, after, column))
			csm_case_row_parse(after, column, effect->value);
	}
}

/* Names of what is missing; NULL where nothing is. */
static char *
missing_fields(const CsmTransition *t, bool has_note, const CsmCaseRow *after)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < t->nrequired; i++)
	{
		int			column = csm_case_column_from_name(t->required[i]);

		if (column < 0 || csm_case_row_blank(after, column))
			append_name(&list, t->required[i]);
	}
	if (t->note_required && !has_note)
		append_name(&list, "note");
	return list.len > 0 ? list.data : NULL;
}

/* Would the transition be refused for want of a field? */
bool
csm_transition_lacks(const CsmTransition *t, bool has_note, uint32 actors,
					 const CsmCaseRow *before, const CsmCaseRow *after)
{
	for (int i = 0; i < t->nrequired; i++)
	{
		int			column = csm_case_column_from_name(t->required[i]);
		const CsmEffect *effect = effect_on(t, t->required[i], actors);

		if (column < 0)
			return true;
		if (csm_case_row_blank(after, column) && (effect == NULL || effect->value == NULL))
			return true;
	}
	return t->note_required && !has_note;
}

/*
 * Whoever does not work on the case writes what the transition demands of him,
 * and nothing else.
 */
static void
check_party_fields(const CsmTransition *t, uint32 actors, const CsmCaseRow *before, const CsmCaseRow *after)
{
	for (int i = 0; i < (int) lengthof(action_columns); i++)
	{
		CsmCaseColumn column = action_columns[i];
		const char *name = csm_case_column_name(column);
		bool		demanded = false;

		if (!csm_case_row_changed(before, after, column))
			continue;
		for (int r = 0; r < t->nrequired; r++)
			demanded = demanded || strcmp(t->required[r], name) == 0;
		if (!demanded || !listed(party_columns, lengthof(party_columns), column))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("field \"%s\" of case %s may not be set with action \"%s\"",
							name, csm_case_label(before), t->action),
					 errdetail("Relations to the case: %s.", csm_actor_names(actors)),
					 errhint("Leave the field out, or say it in the note.")));
	}
}

/* What the classes of the two states mean for times and counters. */
static void
apply_classes(const CsmTransition *t, uint32 actors, TimestampTz at, CsmCaseRow *after)
{
	CsmStateClass from = t->from->state_class;
	CsmStateClass to = t->to->state_class;
	Datum		now = TimestampTzGetDatum(at);
	bool		by_customer = (t->actors & actors & CUSTOMER_SIDE) != 0;

	if (from == CSM_CLASS_DRAFT && to != CSM_CLASS_DRAFT && !csm_class_is_final(to))
		csm_case_row_set(after, CASE_submitted_at, now);
	if (to == CSM_CLASS_RESOLVED)
		csm_case_row_set(after, CASE_resolved_at, now);
	else if (from == CSM_CLASS_RESOLVED && !csm_class_is_final(to))
	{
		csm_case_row_set_null(after, CASE_resolved_at);
		if (by_customer)
			csm_case_row_set(after, CASE_reopen_count,
							 Int32GetDatum(DatumGetInt32(csm_case_row_value(after, CASE_reopen_count)) + 1));
	}
	if (csm_class_is_final(to))
		csm_case_row_set(after, CASE_closed_at, now);

	/* An agent who starts work on what nobody has takes it. */
	if (from == CSM_CLASS_NEW && to == CSM_CLASS_OPEN && (t->actors & actors & CSM_ACTOR_AGENT) &&
		csm_case_row_null(after, CASE_assigned_to) && csm_map_current() != NULL)
		csm_case_row_set(after, CASE_assigned_to, Int64GetDatum(csm_map_user(csm_map_current())));

	if (csm_class_is_final(to))
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(false));
	else if (t->from != t->to && from != CSM_CLASS_DRAFT && (actors & OPERATOR_SIDE) == 0)
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(true));
}

/*
 * "after" holds what the caller wrote.  The transition has been permitted;
 * what it demands is checked here, after its effects.
 */
void
csm_transition_apply(const CsmTransition *t, uint32 actors, bool has_note, TimestampTz at,
					 const CsmCaseRow *before, CsmCaseRow *after)
{
	char	   *missing;

	if ((actors & OPERATOR_SIDE) == 0)
		check_party_fields(t, actors, before, after);
	apply_effects(t, actors, before, after);
	missing = missing_fields(t, has_note, after);
	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_FIELD_MISSING),
				 errmsg("action \"%s\" on case %s lacks a required field", t->action, csm_case_label(before)),
				 errdetail("Missing: %s.", missing),
				 errhint("Give them to csm.act() in fields, a note in note.")));
	csm_case_row_set_text(after, CASE_state, t->to->key);
	csm_case_row_set_text(after, CASE_state_class, csm_class_name(t->to->state_class));
	apply_classes(t, actors, at, after);
	if (has_note && (actors & CSM_ACTOR_AGENT) && csm_case_row_null(after, CASE_first_response_at))
		csm_case_row_set(after, CASE_first_response_at, TimestampTzGetDatum(at));
}

/* ---- what SQL functions of csm_private announce ---- */

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
	const CsmEffect *effect;
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
		effect = effect_on(t, "note", intent.actors);
		note = effect && effect->value ? pstrdup(effect->value) : NULL;
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
