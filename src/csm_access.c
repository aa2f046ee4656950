/*
 * csm_access.c
 *	  The access predicates and their companions, as SQL calls them.
 *
 * Why they are LEAKPROOF.  A leakproof function may see a row before the
 * policy has admitted it, so it must tell nothing of its arguments but the
 * result.  Of what a predicate here can do besides returning:
 *	- errors: an unknown action or branch, a NULL, an id that names nothing are
 *	  all just false.  Loading the map can fail (out of memory, interrupt, a
 *	  damaged table); that depends on the person, never on an argument.
 *	- messages: none are sent.
 *	- time: a hash probe whose outcome depends on the id and on the map of the
 *	  person who asks, not on any row that he cannot see.  Whether an id is in
 *	  his own map is what the result says anyway.
 * The same holds of the companions, whose only argument is the action, and of
 * csm.current_user_id() and its like, which have none.
 *
 * The action is a constant wherever a policy calls a predicate; its number is
 * then looked up once and kept with the call site.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_compat.h"

static const char *const action_names[CSM_ACTIONS] = {
	[CSM_CASE_READ] = "case_read",
	[CSM_CASE_COMMENT] = "case_comment",
	[CSM_CASE_CREATE] = "case_create",
	[CSM_CASE_DECIDE] = "case_decide",
	[CSM_CONTACT_READ] = "contact_read",
	[CSM_CONTACT_MANAGE] = "contact_manage",
	[CSM_PRODUCT_READ] = "product_read",
	[CSM_PRODUCT_MANAGE] = "product_manage",
	[CSM_ENTITLEMENT_READ] = "entitlement_read",
	[CSM_ACCOUNT_MANAGE] = "account_manage",
	[CSM_PERSON_MANAGE] = "person_manage",
	[CSM_CASE_WORK] = "case_work",
	[CSM_CONFIGURE] = "configure",
	[CSM_ASSET_READ] = "asset_read",
	[CSM_ACT_FOR] = "act_for",
};

int
csm_action_from_name(const char *name, int len)
{
	for (int i = 0; i < CSM_ACTIONS; i++)
	{
		if ((int) strlen(action_names[i]) == len && memcmp(action_names[i], name, len) == 0)
			return i;
	}
	return -1;
}

/* Called for every row that reach "all" is asked about. */
int
csm_branch_from_name(const char *name, int len)
{
	if (len == 3 && name[0] == 'b' && name[1] == '2')
		return name[2] == 'b' ? CSM_B2B : name[2] == 'c' ? CSM_B2C : -1;
	if (len == 8 && memcmp(name, "internal", 8) == 0)
		return CSM_INTERNAL;
	return -1;
}

/* What a call site remembers of a constant action. */
typedef struct SiteAction
{
	int			action;
} SiteAction;

/*
 * A parameter is no constant: the variable of a PL/pgSQL function, for which
 * the server keeps one call site as long as the transaction.
 */
static bool
is_constant(FmgrInfo *function, int arg)
{
	Node	   *call = function->fn_expr;

	return call != NULL && IsA(call, FuncExpr) && arg < list_length(((FuncExpr *) call)->args) &&
		IsA(list_nth(((FuncExpr *) call)->args, arg), Const);
}

static int
read_action_of(FunctionCallInfo fcinfo, int arg, int (*from_name) (const char *name, int len))
{
	text	   *name;
	SiteAction *site = fcinfo->flinfo ? fcinfo->flinfo->fn_extra : NULL;
	int			action;

	if (likely(site != NULL))
		return site->action;
	if (PG_ARGISNULL(arg))
		return -1;
	name = PG_GETARG_TEXT_PP(arg);
	action = from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	if (fcinfo->flinfo != NULL && is_constant(fcinfo->flinfo, arg))
	{
		site = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(SiteAction));
		site->action = action;
		fcinfo->flinfo->fn_extra = site;
	}
	return action;
}

static int
read_action(FunctionCallInfo fcinfo, int arg)
{
	return read_action_of(fcinfo, arg, csm_action_from_name);
}

static int
read_branch(FunctionCallInfo fcinfo, int arg)
{
	text	   *name;

	if (PG_ARGISNULL(arg))
		return -1;
	name = PG_GETARG_TEXT_PP(arg);
	return csm_branch_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
}

/* NULL is no id: 0 names nothing, because identities begin at 1. */
static inline int64
read_id(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT64(arg);
}

/*
 * Each predicate: the key must be there, the action known, somebody signed in.
 * The order keeps a NULL key, the common case of most arms, cheapest.
 */
#define PREDICATE_PROLOGUE(action_arg) \
	int			action; \
	CsmMap	   *map; \
 \
	if (PG_ARGISNULL(0)) \
		PG_RETURN_BOOL(false); \
	action = read_action(fcinfo, action_arg); \
	map = csm_map_current(); \
	if (action < 0 || map == NULL) \
		PG_RETURN_BOOL(false)

PG_FUNCTION_INFO_V1(csm_all_in);

Datum
csm_all_in(PG_FUNCTION_ARGS)
{
	int			branch;

	PREDICATE_PROLOGUE(2);
	branch = read_branch(fcinfo, 1);
	PG_RETURN_BOOL(branch >= 0 && csm_map_all(map, PG_GETARG_INT64(0), branch, action));
}

PG_FUNCTION_INFO_V1(csm_is_staff);

/* csm_private.is_staff(action): NULL asks for any staff role. */
Datum
csm_is_staff(PG_FUNCTION_ARGS)
{
	CsmMap	   *map;
	int			action = -1;

	if (!PG_ARGISNULL(0))
	{
		action = read_action(fcinfo, 0);
		if (action < 0)
			PG_RETURN_BOOL(false);
	}
	map = csm_map_current();
	PG_RETURN_BOOL(map != NULL && csm_map_staff(map, action));
}

PG_FUNCTION_INFO_V1(csm_all_tenant);

Datum
csm_all_tenant(PG_FUNCTION_ARGS)
{
	int			action = read_action(fcinfo, 0);
	CsmMap	   *map = csm_map_current();

	if (action < 0 || map == NULL)
		PG_RETURN_NULL();
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		if (csm_map_all(map, csm_map_tenant(map), b, action))
			PG_RETURN_INT64(csm_map_tenant(map));
	}
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(csm_account_allows);

Datum
csm_account_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_account(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_account_allows_since);

Datum
csm_account_allows_since(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(2);
	PG_RETURN_BOOL(!PG_ARGISNULL(1) &&
				   csm_map_account_since(map, PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1), action));
}

PG_FUNCTION_INFO_V1(csm_account_known);

Datum
csm_account_known(PG_FUNCTION_ARGS)
{
	CsmMap	   *map;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	map = csm_map_current();
	PG_RETURN_BOOL(map != NULL && csm_map_account_known(map, PG_GETARG_INT64(0)));
}

PG_FUNCTION_INFO_V1(csm_requester_allows);

Datum
csm_requester_allows(PG_FUNCTION_ARGS)
{
	int			branch;

	PREDICATE_PROLOGUE(3);
	branch = read_branch(fcinfo, 1);
	PG_RETURN_BOOL(branch >= 0 &&
				   csm_map_requester(map, PG_GETARG_INT64(0), branch, read_id(fcinfo, 2), action));
}

PG_FUNCTION_INFO_V1(csm_opener_allows);

Datum
csm_opener_allows(PG_FUNCTION_ARGS)
{
	int			branch;

	PREDICATE_PROLOGUE(3);
	branch = read_branch(fcinfo, 1);
	PG_RETURN_BOOL(branch >= 0 &&
				   csm_map_opener(map, PG_GETARG_INT64(0), branch, read_id(fcinfo, 2), action));
}

PG_FUNCTION_INFO_V1(csm_internal_contact_allows);

Datum
csm_internal_contact_allows(PG_FUNCTION_ARGS)
{
	int			branch;

	PREDICATE_PROLOGUE(2);
	branch = read_branch(fcinfo, 1);
	PG_RETURN_BOOL(branch >= 0 && csm_map_internal_contact(map, PG_GETARG_INT64(0), branch, action));
}

PG_FUNCTION_INFO_V1(csm_partner_allows);

Datum
csm_partner_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(2);
	PG_RETURN_BOOL(csm_map_partner(map, PG_GETARG_INT64(0), read_id(fcinfo, 1), action));
}

PG_FUNCTION_INFO_V1(csm_partner_contact_allows);

Datum
csm_partner_contact_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(2);
	PG_RETURN_BOOL(csm_map_partner_contact(map, PG_GETARG_INT64(0), read_id(fcinfo, 1), action));
}

PG_FUNCTION_INFO_V1(csm_household_allows);

Datum
csm_household_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_household(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_organization_allows);

Datum
csm_organization_allows(PG_FUNCTION_ARGS)
{
	int			branch;

	PREDICATE_PROLOGUE(2);
	branch = read_branch(fcinfo, 1);
	PG_RETURN_BOOL(branch >= 0 && csm_map_organization(map, PG_GETARG_INT64(0), branch, action));
}

PG_FUNCTION_INFO_V1(csm_shared_case_allows);

Datum
csm_shared_case_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_shared_case(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_asset_allows);

Datum
csm_asset_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_asset(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_sold_product_allows);

Datum
csm_sold_product_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_sold_product(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_counterparty_allows);

Datum
csm_counterparty_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(2);
	PG_RETURN_BOOL(!PG_ARGISNULL(1) &&
				   csm_map_counterparty(map, PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1), action));
}

PG_FUNCTION_INFO_V1(csm_counterparty_contact_allows);

Datum
csm_counterparty_contact_allows(PG_FUNCTION_ARGS)
{
	PREDICATE_PROLOGUE(1);
	PG_RETURN_BOOL(csm_map_counterparty_contact(map, PG_GETARG_INT64(0), action));
}

PG_FUNCTION_INFO_V1(csm_audience_allows);

Datum
csm_audience_allows(PG_FUNCTION_ARGS)
{
	int			action = read_action_of(fcinfo, 1, csm_audience_action_from_name);
	CsmMap	   *map = csm_map_current();

	PG_RETURN_BOOL(action >= 0 && map != NULL && csm_map_audience(map, PG_GETARG_INT64(0), (CsmAudienceAction) action));
}

PG_FUNCTION_INFO_V1(csm_party_allows);

/*
 * The array holds a handful of keys; one that is not flat bigint[] (a caller's
 * own) is no party at all.
 */
Datum
csm_party_allows(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	const int64 *keys;
	int			branch;
	int			n;

	PREDICATE_PROLOGUE(5);
	array = PG_GETARG_ARRAYTYPE_P(0);
	branch = read_branch(fcinfo, 1);
	if (branch < 0 || PG_ARGISNULL(3) || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT8OID)
		PG_RETURN_BOOL(false);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	keys = (const int64 *) ARR_DATA_PTR(array);
	for (int i = 0; i < n; i++)
	{
		if (csm_map_party(map, keys[i], branch, read_id(fcinfo, 2), PG_GETARG_TIMESTAMPTZ(3),
						  !PG_ARGISNULL(4), action))
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

static ArrayType *
make_array(const int64 *keys, int n)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(int64) * n;
	ArrayType  *array = palloc(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), keys, sizeof(int64) * n);
	return array;
}

PG_FUNCTION_INFO_V1(csm_party_keys);

/* Arguments in the order of CsmPartyKind; NULL where there is none. */
Datum
csm_party_keys(PG_FUNCTION_ARGS)
{
	int64		keys[CSM_PARTY_KINDS];
	int			n = 0;

	for (int kind = 0; kind < CSM_PARTY_KINDS; kind++)
	{
		if (!PG_ARGISNULL(kind))
			keys[n++] = CSM_PARTY_KEY(kind, PG_GETARG_INT64(kind));
	}
	if (n == 0)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(make_array(keys, n));
}

/* A copy: the map may be rebuilt while the caller still holds the array. */
static Datum
key_array(FunctionCallInfo fcinfo, CsmKeySet set)
{
	int			action = set == CSM_SET_ACCOUNTS_KNOWN || set == CSM_SET_ARTICLES ? CSM_CASE_READ
		: read_action_of(fcinfo, 0, set == CSM_SET_AUDIENCES ? csm_audience_action_from_name : csm_action_from_name);
	CsmMap	   *map = csm_map_current();
	const int64 *keys;
	int			n;

	if (action < 0 || map == NULL)
		return PointerGetDatum(construct_empty_array(INT8OID));
	n = csm_map_keys(map, set, action, &keys);
	if (n == 0)
		return PointerGetDatum(construct_empty_array(INT8OID));
	return PointerGetDatum(make_array(keys, n));
}

PG_FUNCTION_INFO_V1(csm_accounts_allowing);

Datum
csm_accounts_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_ACCOUNTS);
}

PG_FUNCTION_INFO_V1(csm_accounts_known);

Datum
csm_accounts_known(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_ACCOUNTS_KNOWN);
}

PG_FUNCTION_INFO_V1(csm_requesters_allowing);

Datum
csm_requesters_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_REQUESTERS);
}

PG_FUNCTION_INFO_V1(csm_openers_allowing);

Datum
csm_openers_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_OPENERS);
}

PG_FUNCTION_INFO_V1(csm_internal_contacts_allowing);

Datum
csm_internal_contacts_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_INTERNAL_CONTACTS);
}

PG_FUNCTION_INFO_V1(csm_partner_accounts_allowing);

Datum
csm_partner_accounts_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_PARTNER_ACCOUNTS);
}

PG_FUNCTION_INFO_V1(csm_partner_contacts_allowing);

Datum
csm_partner_contacts_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_PARTNER_CONTACTS);
}

PG_FUNCTION_INFO_V1(csm_households_allowing);

Datum
csm_households_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_HOUSEHOLDS);
}

PG_FUNCTION_INFO_V1(csm_organizations_allowing);

Datum
csm_organizations_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_ORGANIZATIONS);
}

PG_FUNCTION_INFO_V1(csm_shared_cases_allowing);

Datum
csm_shared_cases_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_SHARED_CASES);
}

PG_FUNCTION_INFO_V1(csm_assets_allowing);

Datum
csm_assets_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_ASSETS);
}

PG_FUNCTION_INFO_V1(csm_sold_products_allowing);

Datum
csm_sold_products_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_SOLD_PRODUCTS);
}

PG_FUNCTION_INFO_V1(csm_counterparties_allowing);

Datum
csm_counterparties_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_COUNTERPARTIES);
}

PG_FUNCTION_INFO_V1(csm_counterparty_contacts_allowing);

Datum
csm_counterparty_contacts_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_COUNTERPARTY_CONTACTS);
}

PG_FUNCTION_INFO_V1(csm_parties_allowing);

Datum
csm_parties_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_PARTIES);
}

PG_FUNCTION_INFO_V1(csm_audiences_allowing);

Datum
csm_audiences_allowing(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_AUDIENCES);
}

PG_FUNCTION_INFO_V1(csm_article_keys_shown);

Datum
csm_article_keys_shown(PG_FUNCTION_ARGS)
{
	return key_array(fcinfo, CSM_SET_ARTICLES);
}
