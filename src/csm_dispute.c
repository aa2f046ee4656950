/*
 * csm_dispute.c
 *	  What a dispute demands beyond its machine: nobody on both sides, a second
 *	  person who confirms a ruling, who is named for the other side, and
 *	  proposals that keep in step with the state.
 *
 * A case is a dispute when it has a counterparty; a machine is one of disputes
 * when it has something for the respondent to do.  Which action makes or
 * decides a proposal, its transition says in the effect "proposal".
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_dispute.h"
#include "csm_errors.h"
#include "csm_event.h"
#include "csm_json.h"
#include "csm_judged.h"
#include "csm_lifecycle.h"
#include "csm_spi.h"

#define CUSTOMERS (CSM_ACTOR_REQUESTER | CSM_ACTOR_CUSTOMER | CSM_ACTOR_CLAIMANT)
#define OPERATORS (CSM_ACTOR_AGENT | CSM_ACTOR_SYSTEM)

/* ---- look-ups ---- */

static void
take_id(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	*(int64 *) arg = isnull ? 0 : DatumGetInt64(value);
}

static void
take_boolean(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	*(bool *) arg = !isnull && DatumGetBool(value);
}

static bool
both_sides_allowed(const CsmCaseRow *row)
{
	static const char sql[] = "SELECT csm_private.type_setting($1, $2, 'both_sides') = 'true'";
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];
	bool		allowed = false;

	values[0] = csm_case_row_value(row, CASE_tenant_id);
	values[1] = csm_case_row_value(row, CASE_case_type);
	csm_spi_query(sql, 2, types, values, NULL, take_boolean, &allowed);
	return allowed;
}

/* Who gave the ruling that waits for confirmation; 0: the system, or none waits. */
static int64
ruler(const CsmCaseRow *row)
{
	static const char sql[] =
		"SELECT p.proposed_by FROM csm.dispute_proposals p"
		" WHERE p.case_id = $1 AND p.tenant_id = $2 AND p.outcome IS NULL AND p.side = 'operator'";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		id = 0;

	values[0] = csm_case_row_value(row, CASE_id);
	values[1] = csm_case_row_value(row, CASE_tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_id, &id);
	return id;
}

/* The person behind a current contact of the other side; 0: there is none. */
static int64
person_of_contact(const CsmCaseRow *row)
{
	static const char sql[] =
		"SELECT k.user_id FROM csm.contacts k"
		" WHERE k.id = $1 AND k.account_id = $2 AND k.tenant_id = $3 AND k.login_enabled"
		"   AND (k.valid_during IS NULL OR k.valid_during @> statement_timestamp())";
	Oid			types[3] = {INT8OID, INT8OID, INT8OID};
	Datum		values[3];
	int64		id = 0;

	values[0] = csm_case_row_value(row, CASE_counterparty_contact_id);
	values[1] = csm_case_row_value(row, CASE_counterparty_account_id);
	values[2] = csm_case_row_value(row, CASE_tenant_id);
	csm_spi_query(sql, 3, types, values, NULL, take_id, &id);
	return id;
}

/* ---- who acts ---- */

/*
 * Who could decide for both sides acts for the one on which the case names
 * him: as requester or opener, else as the contact named for the other side.
 * Somebody whom it does not name acts for neither.
 */
uint32
csm_relations(const CsmCaseRow *row, const CsmCaseKeys *keys)
{
	uint32		actors = csm_case_actors(keys);

	if (keys->counterparty_account_id == 0 || (actors & (CUSTOMERS | CSM_ACTOR_RESPONDENT)) == 0 ||
		!csm_case_on_both_sides(keys) || both_sides_allowed(row))
		return actors;
	switch (csm_case_named_side(keys))
	{
		case CSM_SIDE_CUSTOMER:
			return actors & ~CSM_ACTOR_RESPONDENT;
		case CSM_SIDE_COUNTERPARTY:
			return actors & ~CUSTOMERS;
		default:
			return actors & ~(CUSTOMERS | CSM_ACTOR_RESPONDENT);
	}
}

typedef enum Refusal
{
	REFUSE_NOT,
	REFUSE_SAME_PERSON,			/* a ruling is confirmed by another than who gave it */
	REFUSE_NOT_MANAGER			/* who is named, those decide who manage that side's cases */
} Refusal;

static bool
names_contact(const CsmTransition *t)
{
	for (int i = 0; i < t->nrequired; i++)
	{
		if (strcmp(t->required[i], csm_case_column_name(CASE_counterparty_contact_id)) == 0)
			return true;
	}
	return false;
}

static Refusal
refusal(const CsmTransition *t, uint32 actors, const CsmCaseRow *row)
{
	const char *effect = csm_transition_value(t, "proposal", 0);

	if (csm_map_current() == NULL || (actors & CSM_ACTOR_SYSTEM))
		return REFUSE_NOT;
	if (effect != NULL && strcmp(effect, CSM_PROPOSAL_CONFIRMED) == 0)
		return ruler(row) == csm_map_user(csm_map_current()) ? REFUSE_SAME_PERSON : REFUSE_NOT;
	if (names_contact(t) && (actors & OPERATORS) == 0 &&
		!csm_map_contact_since(csm_map_current(), csm_case_row_id(row, CASE_counterparty_account_id),
							   DatumGetTimestampTz(csm_case_row_value(row, CASE_opened_at)), CSM_CASE_DECIDE))
		return REFUSE_NOT_MANAGER;
	return REFUSE_NOT;
}

PG_FUNCTION_INFO_V1(csm_dispute_permits);

/*
 * csm_private.dispute_permits(c csm.cases, action text): may the person take
 * the action, as far as it is not for the machine to say?
 */
Datum
csm_dispute_permits(PG_FUNCTION_ARGS)
{
	CsmCaseRow	row;
	CsmCaseKeys keys;
	const CsmMachine *machine;
	const CsmTransition *t;
	uint32		actors;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);
	actors = csm_relations(&row, &keys);
	machine = csm_case_machine(&row);
	if (csm_machine_judge(machine, csm_case_state(&row, machine), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						  actors, &t) != CSM_ALLOWED)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(refusal(t, actors, &row) == REFUSE_NOT);
}

/* ---- what the guard of csm.cases asks ---- */

/* Missing, foreign, ended: the same words. */
static void
check_contact(const CsmCaseRow *row)
{
	int64		person;

	if (csm_case_row_null(row, CASE_counterparty_contact_id))
		return;
	person = person_of_contact(row);
	if (person == 0 || ((person == csm_case_row_id(row, CASE_requester_id) ||
						 person == csm_case_row_id(row, CASE_opened_by)) && !both_sides_allowed(row)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("contact " INT64_FORMAT " cannot be named on case %s",
						csm_case_row_id(row, CASE_counterparty_contact_id), csm_case_label(row)),
				 errhint("Name a current contact of the other account who did not open the case.")));
}

void
csm_dispute_check_new(const CsmMachine *machine, const CsmCaseRow *row)
{
	bool		two_sided = false;

	for (int i = 0; !two_sided && i < machine->ntransitions; i++)
		two_sided = (machine->transitions[i].actors & CSM_ACTOR_RESPONDENT) != 0;
	if (!two_sided)
		return;
	if (csm_case_row_null(row, CASE_counterparty_account_id))
		ereport(ERROR,
				(errcode(ERRCODE_CSM_FIELD_MISSING),
				 errmsg("a case of type \"%s\" lacks the other side", machine->case_type),
				 errdetail("Missing: counterparty_account_id."),
				 errhint("csm.dispute_counterparties() lists whom you may name.")));
	check_contact(row);
}

/* t is NULL where no transition is taken. */
void
csm_dispute_check(const CsmTransition *t, uint32 actors, const CsmCaseRow *before, const CsmCaseRow *after)
{
	switch (t ? refusal(t, actors, before) : REFUSE_NOT)
	{
		case REFUSE_NOT:
			break;
		case REFUSE_SAME_PERSON:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("action \"%s\" on case %s is not permitted", t->action, csm_case_label(before)),
					 errdetail("You gave the ruling."),
					 errhint("A second person confirms it, or the appeal window ends.")));
			break;
		case REFUSE_NOT_MANAGER:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("action \"%s\" on case %s is not permitted", t->action, csm_case_label(before)),
					 errdetail("Relations to the case: %s.", csm_actor_names(actors)),
					 errhint("Managers and administrators of the account name its contact.")));
			break;
	}
	if (csm_case_row_changed(before, after, CASE_counterparty_contact_id))
		check_contact(after);
}

/* ---- proposals ---- */

typedef struct Proposal
{
	int64		id;
	int32		round;
} Proposal;

static void
take_proposal(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Proposal   *p = (Proposal *) arg;
	bool		isnull;

	p->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	p->round = DatumGetInt32(heap_getattr(tuple, 2, desc, &isnull));
}

/* Texts and ids as parameters of a statement; NULL and 0 are null. */
static Datum
text_value(const char *text, char *null)
{
	*null = text ? ' ' : 'n';
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
id_value(int64 id, char *null)
{
	*null = id != 0 ? ' ' : 'n';
	return Int64GetDatum(id);
}

static void
emit(const char *kind, const CsmCaseRow *row, int64 actor_id, const Proposal *p,
	 const char *outcome, const CsmGiven *given)
{
	CsmJson		json;

	csm_json_begin(&json);
	csm_json_id(&json, "proposal_id", p->id);
	csm_json_integer(&json, "round", p->round);
	if (outcome != NULL)
		csm_json_text(&json, "outcome", outcome);
	else
	{
		csm_json_text(&json, "reference", given ? given->reference : NULL);
		csm_json_text(&json, "amount", given ? given->amount : NULL);
		csm_json_text(&json, "currency", given ? given->currency : NULL);
	}
	csm_event_emit_as(actor_id, csm_case_row_id(row, CASE_tenant_id), csm_case_row_id(row, CASE_id),
					  kind, "shared", NULL, csm_json_end(&json));
}

static void
make_proposal(const CsmCaseRow *row, const char *side, int64 by, const CsmGiven *given)
{
	static const char sql[] =
		"INSERT INTO csm.dispute_proposals (tenant_id, case_id, round, side, proposed_by, proposed_name,"
		"                                   reference, amount, currency, resolution_code, notes)"
		" SELECT $1, $2, coalesce(max(p.round), 0) + 1, $3, $4,"
		"        coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = $4 AND u.tenant_id = $1), 'system'),"
		"        $5, $6::numeric, $7, $8, $9"
		"   FROM csm.dispute_proposals p WHERE p.case_id = $2 AND p.tenant_id = $1"
		" RETURNING id, round";
	Oid			types[9] = {INT8OID, INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[9];
	char		nulls[10] = "         ";
	Proposal	made;

	values[0] = csm_case_row_value(row, CASE_tenant_id);
	values[1] = csm_case_row_value(row, CASE_id);
	values[2] = CStringGetTextDatum(side);
	values[3] = id_value(by, &nulls[3]);
	values[4] = text_value(given ? given->reference : NULL, &nulls[4]);
	values[5] = text_value(given ? given->amount : NULL, &nulls[5]);
	values[6] = text_value(given ? given->currency : NULL, &nulls[6]);
	values[7] = text_value(csm_case_row_text(row, CASE_resolution_code), &nulls[7]);
	values[8] = text_value(csm_case_row_text(row, CASE_resolution_notes), &nulls[8]);
	csm_spi_write(sql, 9, types, values, nulls, take_proposal, &made);
	emit("proposal_made", row, by, &made, NULL, given);
}

static void
decide_proposal(const CsmCaseRow *row, const char *action, const char *outcome, int64 by, const CsmGiven *given)
{
	static const char sql[] =
		"UPDATE csm.dispute_proposals p"
		"   SET outcome = $3, decided_by = $4, decided_at = clock_timestamp(), reason = $5,"
		"       decided_name = coalesce((SELECT u.display_name FROM csm.users u WHERE u.id = $4 AND u.tenant_id = $1), 'system')"
		" WHERE p.case_id = $2 AND p.tenant_id = $1 AND p.outcome IS NULL"
		" RETURNING id, round";
	Oid			types[5] = {INT8OID, INT8OID, TEXTOID, INT8OID, TEXTOID};
	Datum		values[5];
	char		nulls[6] = "     ";
	Proposal	decided;

	values[0] = csm_case_row_value(row, CASE_tenant_id);
	values[1] = csm_case_row_value(row, CASE_id);
	values[2] = CStringGetTextDatum(outcome);
	values[3] = id_value(by, &nulls[3]);
	values[4] = text_value(given ? given->note : NULL, &nulls[4]);
	if (csm_spi_write(sql, 5, types, values, nulls, take_proposal, &decided) > 0)
		emit("proposal_decided", row, by, &decided, outcome, NULL);
	else if (strcmp(outcome, CSM_PROPOSAL_LAPSED) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_TRANSITION),
				 errmsg("action \"%s\" finds no proposal on case %s", action, csm_case_label(row)),
				 errhint("Cases that were imported with a proposal need its row in csm.dispute_proposals.")));
}

PG_FUNCTION_INFO_V1(csm_proposals_follow);

/* AFTER UPDATE FOR EACH ROW on csm.cases; concerns a dispute whose state changed. */
Datum
csm_proposals_follow(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const CsmJudged *judged;
	const CsmGiven *given;
	const CsmMachine *machine;
	const CsmTransition *t;
	const char *effect;
	CsmCaseRow	before;
	CsmCaseRow	after;
	int64		by;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.proposals_follow() must be an AFTER UPDATE row trigger")));
	if (!csm_case_tuple_has(data->tg_newtuple, RelationGetDescr(data->tg_relation), CASE_counterparty_account_id) ||
		csm_is_restoring())
		return PointerGetDatum(NULL);

	csm_case_row_open(&before, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_open(&after, data->tg_newtuple, RelationGetDescr(data->tg_relation));
	if (!csm_case_row_changed(&before, &after, CASE_state))
		return PointerGetDatum(NULL);
	judged = csm_judged(csm_case_row_id(&after, CASE_id));
	if (judged == NULL || !judged->taken)
		return PointerGetDatum(NULL);

	machine = csm_case_machine(&after);
	(void) csm_machine_judge(machine, csm_case_state(&before, machine), judged->action, judged->actors, &t);
	effect = t ? csm_transition_value(t, "proposal", 0) : NULL;
	if (effect == NULL)
		return PointerGetDatum(NULL);

	given = csm_given(csm_case_row_id(&after, CASE_id));
	by = judged->system || csm_map_current() == NULL ? 0 : csm_map_user(csm_map_current());
	if (strcmp(effect, CSM_PROPOSAL_MADE) == 0)
		make_proposal(&after, csm_side_name((judged->through & CSM_ACTOR_RESPONDENT)
											? CSM_SIDE_COUNTERPARTY : CSM_SIDE_OPERATOR), by, given);
	else
		decide_proposal(&after, judged->action, effect, by, given);
	return PointerGetDatum(NULL);
}
