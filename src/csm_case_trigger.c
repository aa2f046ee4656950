/*
 * csm_case_trigger.c
 *	  The trigger of csm.cases, for whoever writes: psql, COPY, an ORM, a
 *	  superuser's script, csm's own functions.
 *
 * It runs before row security checks the new row, so it must raise nothing
 * that depends on a row the writer may not see.
 *
 * It is an ordinary ("origin") trigger: rows that a subscription applies were
 * judged where they were written.  While a dump is restored it steps aside.
 *
 * Columns fall into three groups.  Identity (who, for whom, when) is fixed at
 * the start: writing it is refused.  Derived columns (state_class, times,
 * counters, search) are computed: what a writer gives is not looked at.  The
 * others belong to whoever works on the case.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "csm_case_fields.h"
#include "csm_dependents.h"
#include "csm_errors.h"
#include "csm_judged.h"
#include "csm_lifecycle.h"
#include "csm_merge.h"

PG_FUNCTION_INFO_V1(csm_case_guard);

#define WORKERS (CSM_ACTOR_AGENT | CSM_ACTOR_SYSTEM)

/* R B45: a customer's comment on a case of this priority or a higher one makes it follow the sun. */
#define URGENT 2

/* For whom a comment from the customer's side counts. */
#define ANSWERING (CSM_ACTOR_CUSTOMER | CSM_ACTOR_CLAIMANT)

static const CsmCaseColumn fixed_columns[] = {
	CASE_id, CASE_tenant_id, CASE_number, CASE_branch, CASE_opened_by, CASE_opened_at,
	CASE_idempotency_key
};

/* Fixed too, but a data repair without identity may correct them. */
static const CsmCaseColumn party_reference_columns[] = {
	CASE_requester_id, CASE_account_id, CASE_counterparty_account_id
};

static const CsmCaseColumn derived_columns[] = {
	CASE_state_class, CASE_search, CASE_submitted_at, CASE_resolved_at, CASE_closed_at,
	CASE_updated_at, CASE_first_response_at, CASE_last_response_at, CASE_reopen_count,
	CASE_reassignment_count
};

/* Derived by csm's own functions, which announce it. */
static const CsmCaseColumn flag_columns[] = {
	CASE_escalated, CASE_follow_the_sun, CASE_major_state, CASE_made_sla
};

static const CsmCaseColumn work_columns[] = {
	CASE_case_type, CASE_priority, CASE_impact, CASE_urgency, CASE_subject, CASE_description,
	CASE_language, CASE_channel, CASE_household_id, CASE_counterparty_contact_id,
	CASE_partner_account_id, CASE_partner_contact_id, CASE_internal_contact_id,
	CASE_service_organization_id, CASE_product_id, CASE_asset_id, CASE_entitlement_id,
	CASE_assigned_group_id, CASE_assigned_to, CASE_parent_id, CASE_resolution_code,
	CASE_resolution_notes, CASE_needs_attention, CASE_attributes, CASE_auto_close,
	CASE_follow_up_at
};

/* ---- a new case ---- */

static void
note_import(const CsmCaseRow *row)
{
	CsmCaseKeys keys;

	csm_case_row_keys(row, &keys);
	csm_judged_note(&keys, CSM_JUDGED_IMPORT, CSM_ACTOR_SYSTEM, CSM_ACTOR_SYSTEM, false);
}

static HeapTuple
guard_insert(TriggerData *data)
{
	CsmCaseRow	row;
	TimestampTz now = GetCurrentTimestamp();
	const CsmMap *map;
	CsmCaseKeys keys;
	uint32		actors;

	csm_case_row_open(&row, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	if (csm_is_importing())
	{
		csm_case_import(&row, now);
		note_import(&row);
		return csm_case_row_form(&row, data->tg_trigtuple);
	}

	map = csm_map_current();
	if (map == NULL && !csm_acts_as_system())
	{
		/* Nobody: the policy refuses, as it refuses a row that he may not write. */
		if (check_enable_rls(RelationGetRelid(data->tg_relation), InvalidOid, true) == RLS_ENABLED)
			return data->tg_trigtuple;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody is signed in"),
				 errdetail("The identity of the session is unknown, disabled or signed out."),
				 errhint("Sign in, or RESET csm.user_id to write as the system.")));
	}
	csm_case_open(&row, map, now);
	csm_case_row_keys(&row, &keys);
	actors = csm_case_actors(&keys);
	csm_judged_note(&keys, CSM_JUDGED_OPEN, actors, actors, false);
	return csm_case_row_form(&row, data->tg_trigtuple);
}

/* ---- a change ---- */

static void
refuse_change(const CsmCaseRow *row, CsmCaseColumn column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("column \"%s\" of case %s cannot be changed", csm_case_column_name(column),
					csm_case_label(row)),
			 errhint("It is fixed when the case is opened.")));
}

static void
keep_fixed(const CsmCaseRow *before, const CsmCaseRow *after, uint32 actors)
{
	for (int i = 0; i < (int) lengthof(fixed_columns); i++)
	{
		if (csm_case_row_changed(before, after, fixed_columns[i]))
			refuse_change(before, fixed_columns[i]);
	}
	if (actors & CSM_ACTOR_SYSTEM)
		return;
	for (int i = 0; i < (int) lengthof(party_reference_columns); i++)
	{
		if (csm_case_row_changed(before, after, party_reference_columns[i]))
			refuse_change(before, party_reference_columns[i]);
	}
}

/* The first that was changed, of those that a transition does not judge. */
static const CsmCaseColumn *
changed_work(const CsmCaseRow *before, const CsmCaseRow *after, bool with_transition)
{
	for (int i = 0; i < (int) lengthof(work_columns); i++)
	{
		if (with_transition && csm_transition_judges(work_columns[i]))
			continue;
		if (csm_case_row_changed(before, after, work_columns[i]))
			return &work_columns[i];
	}
	return NULL;
}

/* R 2.5: whoever has the case in hand, his manager, an administrator. */
static bool
may_calm(const CsmCaseRow *before, uint32 actors)
{
	const CsmMap *map = csm_map_current();

	return csm_case_row_null(before, CASE_assigned_to) ||
		(actors & (CSM_ACTOR_ASSIGNEE | CSM_ACTOR_MANAGER | CSM_ACTOR_SYSTEM)) != 0 ||
		(map != NULL &&
		 csm_map_all(map, csm_case_row_id(before, CASE_tenant_id), CSM_INTERNAL, CSM_CONFIGURE));
}

/* What a plain UPDATE may do beside the state. */
static void
check_work(const CsmCaseRow *before, const CsmCaseRow *after, uint32 actors, bool with_transition)
{
	const CsmCaseColumn *column = changed_work(before, after, with_transition);

	if (column != NULL && (actors & WORKERS) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("column \"%s\" of case %s is changed by those who work on the case",
						csm_case_column_name(*column), csm_case_label(before)),
				 errdetail("Relations to the case: %s.", actors ? csm_actor_names(actors) : "none"),
				 errhint("Write a comment.")));
	if (csm_case_row_changed(before, after, CASE_needs_attention) &&
		!csm_case_row_null(after, CASE_needs_attention) &&
		!DatumGetBool(csm_case_row_value(after, CASE_needs_attention)) &&
		!may_calm(before, actors))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("needs_attention of case %s is switched off by its assignee, a manager or an administrator",
						csm_case_label(before)),
				 errhint("Take the case over first.")));
}

/* Another type must know the state in which the case is. */
static void
check_type(const CsmCaseRow *before, const CsmCaseRow *after, const CsmMachine *machine)
{
	char	   *state = csm_case_row_text(before, CASE_state);

	if (!csm_case_row_changed(before, after, CASE_case_type))
		return;
	if (!machine->active)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("case type \"%s\" is not active", machine->case_type),
				 errhint("Choose one of csm.case_types that is active.")));
	if (csm_machine_state(machine, state) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_TRANSITION),
				 errmsg("case %s cannot become one of type \"%s\"", csm_case_label(before), machine->case_type),
				 errdetail("That type has no state \"%s\".", state),
				 errhint("Bring the case into a state that both types have.")));
	csm_dispute_check_new(machine, after);
}

/*
 * A plain UPDATE says from where to where.  Of the permitted actions that lead
 * there, the first that has all it demands is meant.
 */
static const CsmTransition *
meant_transition(const CsmCaseRow *before, const CsmCaseRow *after, const CsmMachine *machine,
				 const CsmState *from, const CsmState *to, uint32 actors)
{
	const CsmTransition *found[8];
	int			n;
	CsmVerdict	verdict = csm_machine_judge_change(machine, from, to, actors, found, lengthof(found), &n);

	csm_report_verdict(verdict, before, machine, from, NULL, to, actors);
	for (int i = 0; i < n; i++)
	{
		if (!csm_transition_lacks(found[i], 0, actors, before, after))
			return found[i];
	}
	return found[0];
}

/*
 * R 2.5: attention is called by the customer, by anybody but the owner who
 * comments, and by a work note on a child of a major case.
 */
static bool
calls_attention(const CsmIntent *intent, const CsmCaseRow *before)
{
	int64		assignee = csm_case_row_id(before, CASE_assigned_to);

	if (intent->author_id == 0)
		return false;
	if (intent->internal)
		return csm_child_of_major(before);
	return intent->author_id != assignee &&
		(intent->side != CSM_SIDE_OPERATOR || assignee != 0);
}

/*
 * What a new entry means for its case.  A comment from the customer's side
 * answers a question, the first one of the other side acknowledges a dispute,
 * whoever of that side gives it: it counts even where the author could not
 * decide.
 */
static const CsmTransition *
entry_effects(const CsmIntent *intent, const CsmCaseRow *before, CsmCaseRow *after,
			  const CsmMachine *machine, const CsmState *from, TimestampTz now)
{
	const CsmTransition *t;

	if (intent->side == CSM_SIDE_OPERATOR && intent->shared && intent->author_id != 0)
	{
		csm_case_row_default(after, CASE_first_response_at, TimestampTzGetDatum(now));
		csm_case_row_set(after, CASE_last_response_at, TimestampTzGetDatum(now));
	}
	if (intent->side == CSM_SIDE_CUSTOMER && intent->shared && intent->author_id != 0 &&
		DatumGetInt16(csm_case_row_value(before, CASE_priority)) <= URGENT)
		csm_case_row_set(after, CASE_follow_the_sun, BoolGetDatum(true));
	if (calls_attention(intent, before))
		csm_case_row_set(after, CASE_needs_attention, BoolGetDatum(true));
	if (intent->side == CSM_SIDE_OPERATOR || !intent->shared)
		return NULL;
	if (intent->side == CSM_SIDE_COUNTERPARTY)
		return from->state_class == CSM_CLASS_NEW &&
			csm_machine_judge(machine, from, "acknowledge", CSM_ACTOR_RESPONDENT, &t) == CSM_ALLOWED ? t : NULL;
	return from->state_class == CSM_CLASS_WAITING &&
		csm_machine_judge(machine, from, "resume", ANSWERING, &t) == CSM_ALLOWED ? t : NULL;
}

static HeapTuple
import_change(TriggerData *data, CsmCaseRow *before, CsmCaseRow *after)
{
	const CsmMachine *machine = csm_case_machine(after);
	const CsmState *state = csm_case_state(after, machine);

	csm_case_row_set_text(after, CASE_state_class, csm_class_name(state->state_class));
	csm_fields_check_case(machine, before, after, true);
	csm_case_index_words(after);
	note_import(after);
	return csm_case_row_form(after, data->tg_newtuple);
}

/* A change under judgement. */
typedef struct Change
{
	CsmCaseRow	before;
	CsmCaseRow	after;
	CsmCaseKeys keys;
	const CsmIntent *act;		/* what was announced: one of these at most */
	const CsmIntent *entry;
	const CsmIntent *own;
	uint32		actors;
	TimestampTz at;
} Change;

static void
refuse_closed(const CsmCaseRow *before)
{
	char	   *state_class = csm_case_row_text(before, CASE_state_class);
	int			found = csm_class_from_name(state_class);

	if (found >= 0 && csm_class_is_final((CsmStateClass) found))
		ereport(ERROR,
				(errcode(ERRCODE_CSM_CLOSED),
				 errmsg("case %s is closed", csm_case_label(before)),
				 errdetail("Its state is \"%s\".", csm_case_row_text(before, CASE_state)),
				 errhint("Open a new case that refers to it.")));
}

/* Who writes, and what was announced about it. */
static void
find_writer(Change *c)
{
	csm_case_row_keys(&c->before, &c->keys);
	c->act = csm_intent(CSM_INTENT_ACT, c->keys.id);
	c->entry = csm_intent(CSM_INTENT_ENTRY, c->keys.id);
	c->own = csm_intent(CSM_INTENT_SYSTEM, c->keys.id);
	if (c->act != NULL)
		c->actors = c->act->actors;
	else if (c->entry != NULL)
		c->actors = c->entry->side == CSM_SIDE_COUNTERPARTY ? CSM_ACTOR_RESPONDENT : ANSWERING;
	else
		c->actors = c->own ? CSM_ACTOR_SYSTEM : csm_relations(&c->before, &c->keys);
	if (c->act == NULL)
		csm_given_forget();
	if (c->actors == 0)
		csm_report_verdict(CSM_NOT_PERMITTED, &c->before, NULL, NULL, "update", NULL, 0);
}

/* What is derived stays as it was, until it is derived anew. */
static void
keep_derived(Change *c)
{
	for (int i = 0; i < (int) lengthof(derived_columns); i++)
		csm_case_row_copy(&c->after, &c->before, derived_columns[i]);
	for (int i = 0; c->own == NULL && i < (int) lengthof(flag_columns); i++)
		csm_case_row_copy(&c->after, &c->before, flag_columns[i]);
}

/* The transition that the write means; NULL for none. */
static const CsmTransition *
find_transition(Change *c, const CsmMachine *machine, const CsmState *from, bool state_given)
{
	const CsmTransition *t;

	if (c->act != NULL)
	{
		CsmVerdict	verdict = csm_machine_judge(machine, from, c->act->action, c->actors, &t);

		csm_report_verdict(verdict, &c->before, machine, from, c->act->action, NULL, c->actors);
		return t;
	}
	if (c->entry != NULL)
		return entry_effects(c->entry, &c->before, &c->after, machine, from, c->at);
	if (state_given)
		return meant_transition(&c->before, &c->after, machine, from,
								csm_case_state(&c->after, machine), c->actors);
	return NULL;
}

static void
derive(Change *c)
{
	CsmCaseRow *before = &c->before;
	CsmCaseRow *after = &c->after;

	if (!csm_case_row_null(before, CASE_assigned_to) && !csm_case_row_null(after, CASE_assigned_to) &&
		csm_case_row_changed(before, after, CASE_assigned_to))
		csm_case_row_set(after, CASE_reassignment_count,
						 Int32GetDatum(DatumGetInt32(csm_case_row_value(before, CASE_reassignment_count)) + 1));
	if (csm_case_row_changed(before, after, CASE_escalated) &&
		DatumGetBool(csm_case_row_value(after, CASE_escalated)))
		csm_case_row_set(after, CASE_follow_the_sun, BoolGetDatum(true));
	if (csm_case_row_changed(before, after, CASE_subject) ||
		csm_case_row_changed(before, after, CASE_description) ||
		csm_case_row_changed(before, after, CASE_language))
		csm_case_index_words(after);
	csm_case_row_set(after, CASE_updated_at, TimestampTzGetDatum(c->at));
}

/* That an SLA was missed may turn out when the case is closed already; no work was done on it. */
static bool
is_missed_sla(const CsmCaseRow *before, const CsmCaseRow *after)
{
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		if (i != CASE_made_sla && csm_case_row_changed(before, after, (CsmCaseColumn) i))
			return false;
	}
	return csm_intent(CSM_INTENT_SYSTEM, csm_case_row_id(before, CASE_id)) != NULL;
}

/*
 * What personal data stands in may be emptied whatever the state of the case:
 * nobody works on it, no time of it changes.  Only the system announces that.
 */
static bool
is_erasure(const CsmCaseRow *before, const CsmCaseRow *after)
{
	static const CsmCaseColumn personal[] = {
		CASE_subject, CASE_description, CASE_resolution_notes, CASE_attributes, CASE_idempotency_key, CASE_search
	};

	if (csm_intent(CSM_INTENT_ERASE, csm_case_row_id(before, CASE_id)) == NULL)
		return false;
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		bool		allowed = false;

		for (int k = 0; k < (int) lengthof(personal); k++)
			allowed = allowed || i == (int) personal[k];
		if (!allowed && csm_case_row_changed(before, after, (CsmCaseColumn) i))
			return false;
	}
	return true;
}

/*
 * For the AFTER triggers.  A comment is judged as its side's, but it is its
 * author who wrote.
 */
static void
note_judged(const Change *c, const CsmTransition *t)
{
	bool		entry = c->entry != NULL;
	uint32		writer = entry ? csm_relations(&c->before, &c->keys) : c->actors;
	uint32		through = t && !entry ? t->actors & writer :
		(writer & WORKERS) ? writer & (WORKERS | CSM_ACTOR_ASSIGNEE | CSM_ACTOR_MANAGER) : writer;

	csm_judged_note(&c->keys, t ? t->action : entry ? CSM_JUDGED_COMMENT : CSM_JUDGED_UPDATE,
					writer, through, t != NULL);
}

static HeapTuple
guard_update(TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	Change		c = {.at = GetCurrentTimestamp()};
	const CsmMachine *machine;
	const CsmState *from;
	const CsmTransition *t;
	bool		state_given;

	csm_case_row_open(&c.before, data->tg_trigtuple, desc);
	csm_case_row_open(&c.after, data->tg_newtuple, desc);
	if (csm_is_importing())
		return import_change(data, &c.before, &c.after);

	if (is_missed_sla(&c.before, &c.after))
	{
		csm_intent_met();
		csm_case_row_keys(&c.before, &c.keys);
		csm_judged_note(&c.keys, CSM_JUDGED_UPDATE, CSM_ACTOR_SYSTEM, CSM_ACTOR_SYSTEM, false);
		return data->tg_newtuple;
	}
	if (is_erasure(&c.before, &c.after))
	{
		csm_case_row_keys(&c.before, &c.keys);
		csm_judged_note(&c.keys, CSM_JUDGED_ERASE, CSM_ACTOR_SYSTEM, CSM_ACTOR_SYSTEM, false);
		csm_case_index_words(&c.after);
		return csm_case_row_form(&c.after, data->tg_newtuple);
	}
	refuse_closed(&c.before);
	find_writer(&c);
	keep_fixed(&c.before, &c.after, c.actors);
	keep_derived(&c);
	state_given = csm_case_row_changed(&c.before, &c.after, CASE_state);

	machine = csm_case_machine(&c.after);
	if (!c.act && !c.entry)
		check_work(&c.before, &c.after, c.actors, state_given);
	check_type(&c.before, &c.after, machine);
	from = csm_case_state(&c.before, machine);
	csm_case_row_set_text(&c.after, CASE_state_class, csm_class_name(from->state_class));

	t = find_transition(&c, machine, from, state_given);
	if (!csm_case_row_null(&c.before, CASE_counterparty_account_id))
		csm_dispute_check(t, c.actors, &c.before, &c.after);
	if (t != NULL)
	{
		csm_transition_apply(t, c.actors, c.act ? c.act->given : 0, c.at, &c.before, &c.after);
		csm_fields_check_action(machine, t->action, (c.actors & WORKERS) != 0, &c.before, &c.after);
		if (t->from != t->to)
			csm_refuse_unfinished(&c.after, t->to->state_class, c.actors);
	}
	csm_fields_check_case(machine, &c.before, &c.after, false);
	note_judged(&c, t);
	if (c.act != NULL || c.entry != NULL || c.own != NULL)
		csm_intent_met();
	derive(&c);
	return csm_case_row_form(&c.after, data->tg_newtuple);
}

/* Two persons become one, on closed cases too: recorded, not judged. */
static HeapTuple
guard_merge(TriggerData *data)
{
	CsmCaseRow	after;
	CsmCaseKeys keys;

	csm_case_row_open(&after, data->tg_newtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_keys(&after, &keys);
	csm_judged_note(&keys, CSM_JUDGED_MERGE, CSM_ACTOR_MANAGER, CSM_ACTOR_MANAGER, false);
	return data->tg_newtuple;
}

/* ---- the trigger ---- */

Datum
csm_case_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_guard() must be a BEFORE trigger")));
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event) || TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cases are never deleted"),
				 errhint("Cancel the case: csm.act(id, 'cancel').")));
	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_guard() must be a row trigger for INSERT and UPDATE")));

	if (csm_is_merging() && TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		return PointerGetDatum(guard_merge(data));
	if (csm_is_restoring())
		return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event)
							   ? data->tg_newtuple : data->tg_trigtuple);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return PointerGetDatum(guard_insert(data));
	return PointerGetDatum(guard_update(data));
}
