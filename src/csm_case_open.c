/*
 * csm_case_open.c
 *	  What a new case of csm.cases gets where its writer left it out: branch,
 *	  account, number, first state, times.
 *
 * Other tables are looked at only to fill in what was left out; whether the
 * references in the row may be made, the policy decides afterwards.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "csm_case_fields.h"
#include "csm_dispute.h"
#include "csm_errors.h"
#include "csm_lifecycle.h"
#include "csm_spi.h"

typedef struct Affiliation
{
	int64		account_id;		/* 0: contact of none */
	bool		consumer;
} Affiliation;

static void
take_affiliation(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Affiliation *found = (Affiliation *) arg;
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	found->account_id = isnull ? 0 : DatumGetInt64(value);
	found->consumer = DatumGetBool(heap_getattr(tuple, 2, desc, &isnull));
}

static Affiliation
affiliation(int64 tenant_id, int64 user_id, int64 contact_id)
{
	static const char sql[] =
		"SELECT (SELECT k.account_id FROM csm.contacts k"
		"         WHERE k.user_id = $2 AND k.tenant_id = $1 AND k.login_enabled"
		"           AND CASE WHEN $3 = 0 THEN k.is_home ELSE k.id = $3 END"
		"           AND (k.valid_during IS NULL OR k.valid_during @> statement_timestamp())"
		"         LIMIT 1),"
		"       EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = $2 AND c.tenant_id = $1)";
	Oid			types[3] = {INT8OID, INT8OID, INT8OID};
	Datum		values[3];
	Affiliation found = {0, false};

	values[0] = Int64GetDatum(tenant_id);
	values[1] = Int64GetDatum(user_id);
	values[2] = Int64GetDatum(contact_id);
	csm_spi_query(sql, 3, types, values, NULL, take_affiliation, &found);
	return found;
}

/*
 * For whom the case is decides what kind of case it is.  Somebody who asks for
 * himself does so through the persona he has narrowed himself to, else as
 * contact of his home account, else as consumer, else as anybody.  For another
 * person the account must be named, or he is a consumer; who is only a contact
 * is asked for at his home account.
 */
static void
choose_branch(CsmCaseRow *row, const CsmMap *map)
{
	int64		tenant_id = csm_case_row_id(row, CASE_tenant_id);
	int64		requester_id = csm_case_row_id(row, CASE_requester_id);
	bool		own = map != NULL && requester_id == csm_map_person(map);
	const char *persona = own ? csm_session_persona() : NULL;
	const char *branch = NULL;
	int64		contact_id = 0;
	Affiliation person;

	if (!csm_case_row_null(row, CASE_account_id))
		branch = "b2b";
	else if (!csm_case_row_null(row, CASE_household_id) || (persona && strcmp(persona, "consumer") == 0))
		branch = "b2c";
	else if (persona && strncmp(persona, "contact:", 8) != 0)
		branch = "internal";
	else if (!own && map != NULL &&
			 csm_map_requester(map, requester_id, CSM_B2C, 0, CSM_CASE_CREATE))
		branch = "b2c";
	if (branch == NULL && own && csm_map_home_account(map) != 0 && csm_map_tenant(map) == tenant_id)
	{
		csm_case_row_set(row, CASE_account_id, Int64GetDatum(csm_map_home_account(map)));
		branch = "b2b";
	}
	if (branch == NULL)
	{
		if (persona != NULL)
			contact_id = strtoll(persona + 8, NULL, 10);
		person = affiliation(tenant_id, requester_id, contact_id);
		if (person.account_id != 0 && (own || !person.consumer))
		{
			csm_case_row_set(row, CASE_account_id, Int64GetDatum(person.account_id));
			branch = "b2b";
		}
		else if (person.consumer && persona == NULL)
			branch = "b2c";
		else
			branch = "internal";
	}
	csm_case_row_set_text(row, CASE_branch, branch);
}

static void
fill_number(CsmCaseRow *row)
{
	if (csm_case_row_null(row, CASE_number) && !csm_case_row_null(row, CASE_id))
		csm_case_row_set_text(row, CASE_number,
							  psprintf("CS%07lld", (long long) csm_case_row_id(row, CASE_id)));
}

/* What holds for imported cases as well. */
static void
fill_defaults(CsmCaseRow *row, TimestampTz now)
{
	fill_number(row);
	if (csm_case_row_null(row, CASE_case_type))
		csm_case_row_set_text(row, CASE_case_type, "case");
	if (csm_case_row_null(row, CASE_language))
		csm_case_row_set_text(row, CASE_language, "english");
	if (csm_case_row_null(row, CASE_channel))
		csm_case_row_set_text(row, CASE_channel, "web");
	if (csm_case_row_null(row, CASE_attributes))
		csm_case_row_parse(row, CASE_attributes, "{}");
	csm_case_row_default(row, CASE_impact, Int16GetDatum(3));
	csm_case_row_default(row, CASE_urgency, Int16GetDatum(3));
	csm_case_row_default(row, CASE_needs_attention, BoolGetDatum(false));
	csm_case_row_default(row, CASE_reopen_count, Int32GetDatum(0));
	csm_case_row_default(row, CASE_reassignment_count, Int32GetDatum(0));
	csm_case_row_default(row, CASE_auto_close, BoolGetDatum(true));
	csm_case_row_default(row, CASE_escalated, BoolGetDatum(false));
	csm_case_row_default(row, CASE_follow_the_sun, BoolGetDatum(false));
	csm_case_row_default(row, CASE_made_sla, BoolGetDatum(true));
	csm_case_row_default(row, CASE_opened_at, TimestampTzGetDatum(now));
	csm_case_row_default(row, CASE_updated_at, TimestampTzGetDatum(now));
}

static void
fill_requester(CsmCaseRow *row, const CsmMap *map)
{
	if (!csm_case_row_null(row, CASE_requester_id))
		return;
	if (map == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("a case without a requester cannot be opened"),
				 errdetail("Nobody is signed in, so the case is opened by the system."),
				 errhint("Give requester_id, the person for whom the case is.")));
	csm_case_row_set(row, CASE_requester_id, Int64GetDatum(csm_map_person(map)));
}

/* States and times as the other system had them; the state must exist. */
void
csm_case_import(CsmCaseRow *row, TimestampTz now)
{
	const CsmMachine *machine;
	const CsmState *state;

	fill_defaults(row, now);
	machine = csm_case_machine(row);
	csm_case_row_default(row, CASE_priority, Int16GetDatum(machine->priority));
	if (csm_case_row_null(row, CASE_state))
	{
		state = csm_machine_first(machine, CSM_CLASS_NEW);
		if (state != NULL)
			csm_case_row_set_text(row, CASE_state, state->key);
	}
	state = csm_case_state(row, machine);
	csm_case_row_set_text(row, CASE_state_class, csm_class_name(state->state_class));
	if (state->state_class != CSM_CLASS_DRAFT)
		csm_case_row_default(row, CASE_submitted_at, csm_case_row_value(row, CASE_opened_at));
	if (csm_case_row_null(row, CASE_branch) && !csm_case_row_null(row, CASE_requester_id))
		choose_branch(row, NULL);
	csm_fields_check_case(machine, NULL, row, true);
	csm_case_index_words(row);
}

/* Where a case begins: as a draft if that was asked for, else as new. */
static const CsmState *
first_state(const CsmCaseRow *row, const CsmMachine *machine, bool draft)
{
	const CsmState *state = csm_machine_first(machine, draft ? CSM_CLASS_DRAFT : CSM_CLASS_NEW);
	const CsmState *given;

	if (!draft && !csm_case_row_null(row, CASE_state))
	{
		given = csm_case_state(row, machine);
		if (given != state && given->state_class != CSM_CLASS_DRAFT)
			ereport(ERROR,
					(errcode(ERRCODE_CSM_TRANSITION),
					 errmsg("a case cannot begin in state \"%s\"", given->key),
					 errhint("Leave state out, or load history with csm.importing = on.")));
		return given;
	}
	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("case type \"%s\" has no state of class \"%s\"", machine->case_type,
						csm_class_name(draft ? CSM_CLASS_DRAFT : CSM_CLASS_NEW)),
				 errhint("Add one to csm.case_states, or choose another type.")));
	return state;
}

void
csm_case_open(CsmCaseRow *row, const CsmMap *map, TimestampTz now)
{
	const CsmIntent *intent = csm_intent(CSM_INTENT_OPEN, 0);
	const CsmMachine *machine;
	const CsmState *state;

	if (map != NULL && csm_case_row_null(row, CASE_opened_by))
		csm_case_row_set(row, CASE_opened_by, Int64GetDatum(csm_map_user(map)));
	else if (map != NULL && csm_case_row_id(row, CASE_opened_by) != csm_map_user(map))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("a case is opened in one's own name"),
				 errhint("Leave opened_by out; for whom the case is, says requester_id.")));
	fill_requester(row, map);

	csm_case_row_set_null(row, CASE_opened_at);
	csm_case_row_set_null(row, CASE_updated_at);
	csm_case_row_set_null(row, CASE_resolved_at);
	csm_case_row_set_null(row, CASE_closed_at);
	csm_case_row_set_null(row, CASE_submitted_at);
	csm_case_row_set_null(row, CASE_first_response_at);
	csm_case_row_set_null(row, CASE_last_response_at);
	csm_case_row_set(row, CASE_made_sla, BoolGetDatum(true));
	csm_case_row_set_null(row, CASE_reopen_count);
	csm_case_row_set_null(row, CASE_reassignment_count);
	fill_defaults(row, now);

	machine = csm_case_machine(row);
	if (!machine->active)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("case type \"%s\" is not active", machine->case_type),
				 errhint("Choose one of csm.case_types that is active.")));
	csm_case_row_default(row, CASE_priority, Int16GetDatum(machine->priority));
	csm_dispute_check_new(machine, row);
	state = first_state(row, machine, machine->begins_as_draft || (intent && intent->draft));
	csm_case_row_set_text(row, CASE_state, state->key);
	csm_case_row_set_text(row, CASE_state_class, csm_class_name(state->state_class));
	if (state->state_class != CSM_CLASS_DRAFT)
		csm_case_row_set(row, CASE_submitted_at, TimestampTzGetDatum(now));

	if (csm_case_row_null(row, CASE_branch))
		choose_branch(row, map);
	if (intent != NULL && intent->key[0] != '\0')
		csm_case_row_set_text(row, CASE_idempotency_key, intent->key);
	if (intent != NULL)
		csm_intent_met();
	csm_fields_check_case(machine, NULL, row, false);
	csm_case_index_words(row);
}

PG_FUNCTION_INFO_V1(csm_may_open_plainly);

/*
 * csm_private.may_open_plainly(c): of csm_private.may_open() what the map alone
 * answers, and so most of all cases.  False says nothing.
 */
Datum
csm_may_open_plainly(PG_FUNCTION_ARGS)
{
	static const CsmCaseColumn references[] = {
		CASE_counterparty_account_id, CASE_partner_account_id, CASE_partner_contact_id, CASE_product_id
	};
	const CsmMap *map = csm_map_current();
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	CsmCaseRow	row;
	CsmCaseKeys keys;
	bool		may;

	csm_case_row_open(&row, &tuple, desc);
	csm_case_row_keys(&row, &keys);
	may = map != NULL && keys.opened_by == csm_map_user(map) && (unsigned) keys.branch < CSM_BRANCHES &&
		(keys.branch == CSM_B2B
		 ? keys.requester_id == csm_map_person(map) &&
		 (csm_map_account(map, keys.account_id, CSM_CASE_CREATE) ||
		  (csm_map_own_account(map, keys.account_id) &&
		   csm_map_opener(map, keys.requester_id, CSM_B2B, keys.account_id, CSM_CASE_CREATE)))
		 : csm_map_requester(map, keys.requester_id, keys.branch, 0, CSM_CASE_CREATE));
	for (int i = 0; i < (int) lengthof(references); i++)
		may = may && csm_case_row_null(&row, references[i]);
	ReleaseTupleDesc(desc);
	PG_RETURN_BOOL(may);
}
