/*
 * csm_lifecycle.c
 *	  Taking a transition on a row of csm.cases: who may, what must be filled
 *	  in, what follows.
 *
 * Nothing here reads or writes a table.  csm_machine.c decides whether a
 * transition is allowed, csm_case_trigger.c applies the result to the row that
 * is being written, and csm_intent.c says what csm's own functions mean by
 * their write.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
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
	CASE_counterparty_contact_id, CASE_resolution_code, CASE_resolution_notes
};

/*
 * Of these, what somebody who does not work on the case may write, where the
 * transition demands it: no column that refers to another row, but the contact
 * of the other side, which csm_dispute.c checks.
 */
static const CsmCaseColumn party_columns[] = {
	CASE_subject, CASE_description, CASE_priority, CASE_counterparty_contact_id,
	CASE_resolution_code, CASE_resolution_notes
};

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
				 errhint("csm.machine_diagram('%s') shows its states.", machine->case_type)));
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
					 errhint("csm.machine_diagram('%s') shows its actions.", machine->case_type)));
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

/* What an effect sets for these actors; NULL: nothing. */
const char *
csm_transition_value(const CsmTransition *t, const char *column, uint32 actors)
{
	const CsmEffect *effect = effect_on(t, column, actors);

	return effect ? effect->value : NULL;
}

/* Does the transition make a proposal, so that it takes a reference? */
bool
csm_transition_proposes(const CsmTransition *t)
{
	const char *effect = csm_transition_value(t, "proposal", 0);

	return effect != NULL && strcmp(effect, CSM_PROPOSAL_MADE) == 0;
}

/* A value that the caller wrote in the same statement goes first. */
static void
apply_effects(const CsmTransition *t, uint32 actors, const CsmCaseRow *before, CsmCaseRow *after)
{
	for (int i = 0; i < t->neffects; i++)
	{
		const CsmEffect *effect = &t->effects[i];
		int			column = csm_case_column_from_name(effect->column);

		if (strcmp(effect->column, "note") == 0 || strcmp(effect->column, "proposal") == 0 ||
			effect_on(t, effect->column, actors) != effect)
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
missing_fields(const CsmTransition *t, uint32 given, const CsmCaseRow *after)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < t->nrequired; i++)
	{
		int			column = csm_case_column_from_name(t->required[i]);

		if (column < 0 ? (csm_given_bit(t->required[i]) & given) == 0 : csm_case_row_blank(after, column))
			append_name(&list, t->required[i]);
	}
	if (t->note_required && !(given & CSM_GIVEN_NOTE))
		append_name(&list, "note");
	return list.len > 0 ? list.data : NULL;
}

/* Would the transition be refused for want of a field? */
bool
csm_transition_lacks(const CsmTransition *t, uint32 given, uint32 actors,
					 const CsmCaseRow *before, const CsmCaseRow *after)
{
	for (int i = 0; i < t->nrequired; i++)
	{
		int			column = csm_case_column_from_name(t->required[i]);
		const CsmEffect *effect = effect_on(t, t->required[i], actors);

		if (column < 0 ? (csm_given_bit(t->required[i]) & given) == 0 :
			csm_case_row_blank(after, column) && (effect == NULL || effect->value == NULL))
			return true;
	}
	return t->note_required && !(given & CSM_GIVEN_NOTE);
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

	/* A proposal of the other side calls upon the claimant, not on staff. */
	if (to == CSM_CLASS_RESOLVED && (actors & OPERATOR_SIDE) == 0)
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(false));
	else if (csm_class_is_final(to))
	{
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(false));
		csm_case_row_set(after, CASE_escalated, BoolGetDatum(false));
	}
	else if (t->from != t->to && from != CSM_CLASS_DRAFT && (actors & OPERATOR_SIDE) == 0)
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(true));
	/* The block that waiting meant is resolved.  With a solution it is moot. */
	else if (from == CSM_CLASS_WAITING && to != CSM_CLASS_WAITING && to != CSM_CLASS_RESOLVED)
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(true));
}

/*
 * A case whose solution was rejected is not closed by time, until there is the
 * next one.  What the writer says goes first.
 */
static void
apply_auto_close(const CsmTransition *t, const CsmCaseRow *before, CsmCaseRow *after)
{
	CsmStateClass from = t->from->state_class;
	CsmStateClass to = t->to->state_class;

	if (csm_case_row_changed(before, after, CASE_auto_close))
		return;
	if (csm_case_row_changed(before, after, CASE_reopen_count))
		csm_case_row_set(after, CASE_auto_close, BoolGetDatum(false));
	else if (from != CSM_CLASS_RESOLVED && to == CSM_CLASS_RESOLVED &&
			 DatumGetInt32(csm_case_row_value(before, CASE_reopen_count)) > 0)
		csm_case_row_set(after, CASE_auto_close, BoolGetDatum(true));
}

/*
 * "after" holds what the caller wrote.  The transition has been permitted;
 * what it demands is checked here, after its effects.
 */
void
csm_transition_apply(const CsmTransition *t, uint32 actors, uint32 given, TimestampTz at,
					 const CsmCaseRow *before, CsmCaseRow *after)
{
	char	   *missing;

	if ((actors & OPERATOR_SIDE) == 0)
		check_party_fields(t, actors, before, after);
	apply_effects(t, actors, before, after);
	missing = missing_fields(t, given, after);
	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_FIELD_MISSING),
				 errmsg("action \"%s\" on case %s lacks a required field", t->action, csm_case_label(before)),
				 errdetail("Missing: %s.", missing),
				 errhint("Give them to csm.act() in fields, a note in note.")));
	csm_case_row_set_text(after, CASE_state, t->to->key);
	csm_case_row_set_text(after, CASE_state_class, csm_class_name(t->to->state_class));
	apply_classes(t, actors, at, after);
	apply_auto_close(t, before, after);
	if ((given & CSM_GIVEN_NOTE) && (actors & CSM_ACTOR_AGENT))
	{
		csm_case_row_default(after, CASE_first_response_at, TimestampTzGetDatum(at));
		csm_case_row_set(after, CASE_last_response_at, TimestampTzGetDatum(at));
	}
}
