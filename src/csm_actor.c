/*
 * csm_actor.c
 *	  What the current person is to a case: the relations that the transitions
 *	  of a machine name.
 *
 * Everything is answered from the access map, by the arms that the policies of
 * csm.cases have (csm_private.case_arms in 38_case_policies.sql); a change
 * there is a change here.
 *
 *	  requester	 the case is his, and the persona behind it is valid (V4)
 *	  customer	 has case_decide through a customer-side arm
 *	  claimant	 customer of a case that has a counterparty
 *	  respondent has case_decide through a counterparty arm, once submitted
 *	  partner	 may comment as the partner named on the case
 *	  agent		 has case_work
 *	  assignee	 agent to whom the case is assigned
 *	  manager	 agent with account_manage where the case belongs
 *	  system	 a write without identity
 *	  approver	 customer who neither asked for the case nor opened it
 *
 * Those who work on cases hold case_work and not case_decide, so case_decide
 * means the customer's side; employees who hold it through reach own
 * (contributor, proxy) speak for the customer.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "csm_actor.h"
#include "csm_case_row.h"
#include "csm_dispute.h"

static const struct
{
	const char *name;
	uint32		bit;
}			relations[] =
{
	{"requester", CSM_ACTOR_REQUESTER},
	{"customer", CSM_ACTOR_CUSTOMER},
	{"claimant", CSM_ACTOR_CLAIMANT},
	{"respondent", CSM_ACTOR_RESPONDENT},
	{"partner", CSM_ACTOR_PARTNER},
	{"agent", CSM_ACTOR_AGENT},
	{"assignee", CSM_ACTOR_ASSIGNEE},
	{"manager", CSM_ACTOR_MANAGER},
	{"system", CSM_ACTOR_SYSTEM},
	{"approver", CSM_ACTOR_APPROVER},
};

uint32
csm_actor_from_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(relations); i++)
	{
		if (strcmp(relations[i].name, name) == 0)
			return relations[i].bit;
	}
	return 0;
}

char *
csm_actor_names(uint32 actors)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(relations); i++)
	{
		if (actors & relations[i].bit)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", relations[i].name);
	}
	return names.data;
}

const char *
csm_side_name(CsmSide side)
{
	switch (side)
	{
		case CSM_SIDE_OPERATOR:
			return "operator";
		case CSM_SIDE_COUNTERPARTY:
			return "counterparty";
		default:
			return "customer";
	}
}

/*
 * Nobody is not the system: a setting that names somebody unknown, and a login
 * mapped to somebody disabled, leave a person without rights.  What remains is
 * a role that row security does not bind.  Inside csm's own SECURITY DEFINER
 * functions that is the role that called, not csm_owner.
 */
bool
csm_acts_as_system(void)
{
	Oid			owner = csm_owner_oid(true);
	Oid			role = GetUserId();
	int64		claimed;

	if (csm_map_current() != NULL || csm_session_claims(&claimed) || csm_identity_of_login() != 0)
		return false;
	if (role == owner)
		role = csm_session_role();
	return has_bypassrls_privilege(role) || (OidIsValid(owner) && has_privs_of_role(role, owner));
}

/* The customer's side, as far as the case was not shared with him. */
static bool
customer_holds(const CsmMap *map, const CsmCaseKeys *k, CsmAction action)
{
	return csm_map_contact_since(map, k->account_id, k->opened_at, action) ||
		csm_map_speaks_for(map, k->requester_id, k->branch, k->account_id, action) ||
		csm_map_opener(map, k->opened_by, k->branch, k->account_id, action) ||
		csm_map_partner(map, k->partner_account_id, k->account_id, action) ||
		csm_map_partner_contact(map, k->partner_contact_id, k->account_id, action) ||
		csm_map_heads(map, k->household_id, action) ||
		csm_map_internal_contact(map, k->internal_contact_id, k->branch, action);
}

static bool
customer_permits(const CsmMap *map, const CsmCaseKeys *k, CsmAction action)
{
	return customer_holds(map, k, action) || csm_map_shared_case(map, k->id, action);
}

static bool
counterparty_permits(const CsmMap *map, const CsmCaseKeys *k, CsmAction action)
{
	return k->submitted &&
		(csm_map_counterparty(map, k->counterparty_account_id, k->opened_at, action) ||
		 csm_map_counterparty_contact(map, k->counterparty_contact_id, action));
}

static bool
staff_permits(const CsmMap *map, const CsmCaseKeys *k, CsmAction action)
{
	return csm_map_all(map, k->tenant_id, k->branch, action) ||
		csm_map_organization(map, k->service_organization_id, k->branch, action) ||
		csm_map_team(map, k, action);
}

/* case_work: staff by branch, organisation or team, and by their own cases. */
static bool
operator_permits(const CsmMap *map, const CsmCaseKeys *k, CsmAction action)
{
	return staff_permits(map, k, action) ||
		csm_map_opener(map, k->opened_by, k->branch, k->account_id, action) ||
		csm_map_internal_contact(map, k->internal_contact_id, k->branch, action);
}

static bool
concerns(const CsmMap *map, const CsmCaseKeys *k)
{
	return map != NULL && k->tenant_id == csm_map_tenant(map) &&
		(unsigned int) k->branch < CSM_BRANCHES;
}

bool
csm_case_permits(const CsmCaseKeys *k, CsmAction action)
{
	const CsmMap *map = csm_map_current();

	if (map == NULL)
		return csm_acts_as_system();
	if (!concerns(map, k))
		return false;
	if (action == CSM_CASE_WORK)
		return operator_permits(map, k, action);
	return staff_permits(map, k, action) || customer_permits(map, k, action) ||
		counterparty_permits(map, k, action);
}

bool
csm_case_side_permits(const CsmCaseKeys *k, CsmSide side)
{
	const CsmMap *map = csm_map_current();

	if (!concerns(map, k))
		return false;
	return operator_permits(map, k, CSM_CASE_WORK) ||
		(side == CSM_SIDE_CUSTOMER && customer_permits(map, k, CSM_CASE_READ)) ||
		(side == CSM_SIDE_COUNTERPARTY && counterparty_permits(map, k, CSM_CASE_READ));
}

uint32
csm_case_actors(const CsmCaseKeys *k)
{
	const CsmMap *map = csm_map_current();
	int64		me;
	int64		person;
	uint32		actors = 0;

	if (map == NULL)
		return csm_acts_as_system() ? CSM_ACTOR_SYSTEM : 0;
	if (!concerns(map, k))
		return 0;
	me = csm_map_user(map);
	person = csm_map_person(map);

	if (k->requester_id == person &&
		csm_map_requester(map, person, k->branch, k->account_id, CSM_CASE_READ))
		actors |= CSM_ACTOR_REQUESTER;
	if (customer_permits(map, k, CSM_CASE_DECIDE))
		actors |= CSM_ACTOR_CUSTOMER |
			(k->counterparty_account_id != 0 ? CSM_ACTOR_CLAIMANT : 0) |
			(k->requester_id != me && k->opened_by != me &&
			 k->requester_id != person && k->opened_by != person ? CSM_ACTOR_APPROVER : 0);
	if (counterparty_permits(map, k, CSM_CASE_DECIDE))
		actors |= CSM_ACTOR_RESPONDENT;
	if (csm_map_partner(map, k->partner_account_id, k->account_id, CSM_CASE_COMMENT) ||
		csm_map_partner_contact(map, k->partner_contact_id, k->account_id, CSM_CASE_COMMENT))
		actors |= CSM_ACTOR_PARTNER;
	if (operator_permits(map, k, CSM_CASE_WORK))
	{
		actors |= CSM_ACTOR_AGENT;
		if (k->assigned_to == me)
			actors |= CSM_ACTOR_ASSIGNEE;
		if (staff_permits(map, k, CSM_ACCOUNT_MANAGE))
			actors |= CSM_ACTOR_MANAGER;
	}
	return actors;
}

/*
 * Could the person decide for both sides of the case, through whichever of his
 * personas?  What csm_map_current() gave before may be freed.
 */
bool
csm_case_on_both_sides(const CsmCaseKeys *k)
{
	const CsmMap *map = csm_map_unnarrowed();

	return map != NULL && concerns(map, k) &&
		customer_permits(map, k, CSM_CASE_DECIDE) && counterparty_permits(map, k, CSM_CASE_DECIDE);
}

/* The side on which the case names the person; CSM_SIDE_OPERATOR: on neither. */
CsmSide
csm_case_named_side(const CsmCaseKeys *k)
{
	const CsmMap *map = csm_map_unnarrowed();

	if (map != NULL && (k->requester_id == csm_map_person(map) || k->opened_by == csm_map_person(map)))
		return CSM_SIDE_CUSTOMER;
	if (map != NULL && csm_map_counterparty_contact(map, k->counterparty_contact_id, CSM_CASE_READ))
		return CSM_SIDE_COUNTERPARTY;
	return CSM_SIDE_OPERATOR;
}

/*
 * Whoever works on the case speaks for the operator, whatever else he is; who
 * belongs to both sides for the one on which he is named, else the customer's.
 */
CsmSide
csm_case_side(const CsmCaseKeys *k)
{
	const CsmMap *map = csm_map_current();

	if (map == NULL || !concerns(map, k) || operator_permits(map, k, CSM_CASE_WORK))
		return CSM_SIDE_OPERATOR;
	if (k->counterparty_account_id == 0 || !counterparty_permits(map, k, CSM_CASE_READ))
		return CSM_SIDE_CUSTOMER;
	if (!customer_permits(map, k, CSM_CASE_READ))
		return CSM_SIDE_COUNTERPARTY;
	return csm_case_named_side(k) == CSM_SIDE_COUNTERPARTY ? CSM_SIDE_COUNTERPARTY : CSM_SIDE_CUSTOMER;
}

/* The row is the first argument; false where there is none, and for nobody. */
static bool
case_argument(FunctionCallInfo fcinfo, CsmCaseKeys *keys)
{
	CsmCaseRow	row;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || csm_map_current() == NULL)
		return false;
	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, keys);
	return keys->id != 0;
}

PG_FUNCTION_INFO_V1(csm_case_allows);

/* csm_private.case_allows(csm.cases, action) */
Datum
csm_case_allows(PG_FUNCTION_ARGS)
{
	CsmCaseKeys keys;
	text	   *name;
	int			action;

	if (!case_argument(fcinfo, &keys))
		PG_RETURN_BOOL(false);
	name = PG_GETARG_TEXT_PP(1);
	action = csm_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	PG_RETURN_BOOL(action >= 0 && csm_case_permits(&keys, action));
}

PG_FUNCTION_INFO_V1(csm_case_staff_reads);

/* csm_private.case_staff_reads(csm.cases): does the person read the case as staff? */
Datum
csm_case_staff_reads(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();
	CsmCaseRow	row;
	CsmCaseKeys keys;

	if (map == NULL || PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);
	PG_RETURN_BOOL(concerns(map, &keys) && staff_permits(map, &keys, CSM_CASE_READ));
}

PG_FUNCTION_INFO_V1(csm_case_holds);

/* csm_private.case_holds(csm.cases, action) */
Datum
csm_case_holds(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();
	CsmCaseKeys keys;
	text	   *name;
	int			action;

	if (!case_argument(fcinfo, &keys) || !concerns(map, &keys))
		PG_RETURN_BOOL(false);
	name = PG_GETARG_TEXT_PP(1);
	action = csm_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	PG_RETURN_BOOL(action >= 0 && customer_holds(map, &keys, action));
}

PG_FUNCTION_INFO_V1(csm_case_side_allows);

/* csm_private.case_side_allows(csm.cases, side) */
Datum
csm_case_side_allows(PG_FUNCTION_ARGS)
{
	CsmCaseKeys keys;
	char	   *side;

	if (!case_argument(fcinfo, &keys))
		PG_RETURN_BOOL(false);
	side = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PG_RETURN_BOOL(csm_case_side_permits(&keys,
										 strcmp(side, csm_side_name(CSM_SIDE_CUSTOMER)) == 0 ? CSM_SIDE_CUSTOMER :
										 strcmp(side, csm_side_name(CSM_SIDE_COUNTERPARTY)) == 0 ? CSM_SIDE_COUNTERPARTY :
										 CSM_SIDE_OPERATOR));
}

PG_FUNCTION_INFO_V1(csm_case_actors_sql);

/* csm_private.case_actors(csm.cases): the relations as text[]. */
Datum
csm_case_actors_sql(PG_FUNCTION_ARGS)
{
	CsmCaseRow	row;
	CsmCaseKeys keys;
	uint32		actors;
	Datum		names[lengthof(relations)];
	int			n = 0;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_row_keys(&row, &keys);

	actors = csm_relations(&row, &keys);
	for (int i = 0; i < (int) lengthof(relations); i++)
	{
		if (actors & relations[i].bit)
			names[n++] = CStringGetTextDatum(relations[i].name);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(csm_acts_as_system_sql);

Datum
csm_acts_as_system_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_acts_as_system());
}
