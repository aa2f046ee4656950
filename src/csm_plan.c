/*
 * csm_plan.c
 *	  What the planner learns of the access predicates.
 *
 * The support function answers three questions.  *Index condition*: a
 * predicate on key k can be true only where k = ANY (companion(action)).  The
 * right side is the stable call and never the ids of now, so that a plan that
 * is kept is right for whoever runs it next; the condition is lossy, so that
 * the predicate itself is evaluated on every row it finds and a mistake here
 * can cost time, never show a row.  *Selectivity*: see csm_plan_estimate.c.
 * *Cost*: a hash probe.
 *
 * The planner evaluates a companion and looks up the frequency of every id in
 * it, and the executor sorts them again: about ARRAY_COST per id.  The
 * condition is therefore offered only where it saves more than that; see
 * worth_an_index().
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "csm_plan.h"

/* Microseconds, measured on one core; only their ratios matter. */
#define ARRAY_COST		2.0		/* an id in a companion, planning and execution */
#define SCAN_COST		0.25	/* a row read in order and judged by the policy */
#define WALK_COST		0.8		/* a row read through an ordered index and judged */
#define FETCH_COST		0.7		/* a row fetched through a bitmap */
#define PARTY_COST		4.0		/* a key of party_allows, looked up in a GIN index */
#define ALWAYS_OFFERED	8		/* so few keys cost nothing worth a thought */
#define MOST_OF_IT		0.5		/* share of rows above which no bitmap is worth planning */

typedef struct Predicate
{
	const char *name;
	CsmKeySet	set;
	const char *companion;
} Predicate;

static const Predicate predicates[] = {
	{"account_allows", CSM_SET_ACCOUNTS, "accounts_allowing"},
	{"account_known", CSM_SET_ACCOUNTS_KNOWN, "accounts_known"},
	{"requester_allows", CSM_SET_REQUESTERS, "requesters_allowing"},
	{"opener_allows", CSM_SET_OPENERS, "openers_allowing"},
	{"internal_contact_allows", CSM_SET_INTERNAL_CONTACTS, "internal_contacts_allowing"},
	{"partner_allows", CSM_SET_PARTNER_ACCOUNTS, "partner_accounts_allowing"},
	{"partner_contact_allows", CSM_SET_PARTNER_CONTACTS, "partner_contacts_allowing"},
	{"household_allows", CSM_SET_HOUSEHOLDS, "households_allowing"},
	{"organization_allows", CSM_SET_ORGANIZATIONS, "organizations_allowing"},
	{"shared_case_allows", CSM_SET_SHARED_CASES, "shared_cases_allowing"},
	{"asset_allows", CSM_SET_ASSETS, "assets_allowing"},
	{"sold_product_allows", CSM_SET_SOLD_PRODUCTS, "sold_products_allowing"},
	{"counterparty_allows", CSM_SET_COUNTERPARTIES, "counterparties_allowing"},
	{"counterparty_contact_allows", CSM_SET_COUNTERPARTY_CONTACTS, "counterparty_contacts_allowing"},
	{"audience_allows", CSM_SET_AUDIENCES, "audiences_allowing"},
	{"article_shown", CSM_SET_ARTICLES, "article_keys_shown"},
};

/* The key of this one is itself an array: && instead of = ANY, GIN instead of btree. */
static const Predicate party_allows = {"party_allows", CSM_SET_PARTIES, "parties_allowing"};

/* Entries follow their case: an estimate and nothing else. */
static const Predicate entry_allows = {"entry_allows", CSM_SETS, NULL};

/* all_in() has a companion of another shape: one tenant, not an array. */
static const Predicate all_in = {"all_in", CSM_SETS, "all_tenant"};

static const Predicate *
find_predicate(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	const Predicate *found = NULL;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname);
	if (strcmp(name, all_in.name) == 0)
		found = &all_in;
	else if (strcmp(name, party_allows.name) == 0)
		found = &party_allows;
	else if (strcmp(name, entry_allows.name) == 0)
		found = &entry_allows;
	for (int i = 0; found == NULL && i < (int) lengthof(predicates); i++)
	{
		if (strcmp(name, predicates[i].name) == 0)
			found = &predicates[i];
	}
	ReleaseSysCache(tuple);
	return found;
}

/* Some ask for no action: their companions have no argument. */
static bool
takes_action(const Predicate *predicate)
{
	return predicate->set != CSM_SET_ACCOUNTS_KNOWN && predicate->set != CSM_SET_ARTICLES && predicate != &entry_allows;
}

/* The action is the last argument, where there is one. */
static int
constant_action(const Predicate *predicate, List *args)
{
	Node	   *last = llast(args);
	text	   *name;

	if (!takes_action(predicate))
		return CSM_CASE_READ;
	if (!IsA(last, Const) || ((Const *) last)->constisnull)
		return -1;
	name = DatumGetTextPP(((Const *) last)->constvalue);
	if (predicate->set == CSM_SET_AUDIENCES)
		return csm_audience_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	return csm_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
}

/* --- what a plan depends on --- */

static uint32 planned_for_hash = 0;
static bool planned_for_somebody = false;

/*
 * The map by which a plan is made.  The plan is marked, so that it can be
 * dropped when somebody for whom another would be better takes over the
 * session; the mark is a dependency on the support function, which no query
 * names.
 */
static CsmMap *
map_of_plan(PlannerInfo *root, Oid support)
{
	MemoryContext saved;
	PlanInvalItem *mark;
	ListCell   *lc;

	if (!planned_for_somebody)
	{
		planned_for_hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(support));
		planned_for_somebody = true;
	}
	foreach(lc, root->glob->invalItems)
	{
		PlanInvalItem *item = lfirst_node(PlanInvalItem, lc);

		if (item->cacheId == PROCOID && item->hashValue == planned_for_hash)
			return csm_map_current();
	}
	saved = MemoryContextSwitchTo(root->planner_cxt);
	mark = makeNode(PlanInvalItem);
	mark->cacheId = PROCOID;
	mark->hashValue = planned_for_hash;
	root->glob->invalItems = lappend(root->glob->invalItems, mark);
	MemoryContextSwitchTo(saved);
	return csm_map_current();
}

/* Drops the cached plans that were made by somebody's map. Cannot fail. */
void
csm_plans_forget(void)
{
	if (planned_for_somebody)
		CallSyscacheCallbacks(PROCOID, planned_for_hash);
}

/* Does the query name one row of the relation by an equality on its key? */
static bool
named_by_key(RelOptInfo *rel)
{
	ListCell   *lc;
	ListCell   *li;

	foreach(lc, rel->baserestrictinfo)
	{
		OpExpr	   *clause = (OpExpr *) lfirst_node(RestrictInfo, lc)->clause;
		Var		   *var;

		if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
			continue;
		var = linitial(clause->args);
		if (!IsA(var, Var))
			var = lsecond(clause->args);
		if (!IsA(var, Var) || var->varno != (int) rel->relid)
			continue;
		foreach(li, rel->indexlist)
		{
			IndexOptInfo *other = lfirst(li);

			if (other->unique && other->indexkeys[0] == var->varattno &&
				get_op_opfamily_strategy(clause->opno, other->opfamily[0]) == BTEqualStrategyNumber &&
				var->varattno == 1)
				return true;
		}
	}
	return false;
}

/* --- selectivity --- */

/*
 * Of a row that the query names there is one, whoever asks: its plan depends
 * on nobody, and stays when somebody else takes over the session.
 */
static bool
of_named_row(PlannerInfo *root, List *args)
{
	Var		   *var = linitial(args);

	return IsA(var, Var) && var->varlevelsup == 0 && var->varno < root->simple_rel_array_size &&
		root->simple_rel_array[var->varno] != NULL && named_by_key(root->simple_rel_array[var->varno]);
}

static double
selectivity(PlannerInfo *root, const Predicate *predicate, List *args, int varRelid, CsmMap *map, CsmAction action)
{
	if (predicate == &all_in)
		return csm_all_in_selectivity(root, args, varRelid, map, action);
	if (predicate == &entry_allows)
		return csm_entry_selectivity(root, map);
	if (predicate == &party_allows)
		return csm_party_selectivity(root, linitial(args), varRelid, map, action);
	return csm_keys_selectivity(root, linitial(args), varRelid, map, predicate->set, action);
}

/* --- index condition --- */

/* How many rows the query wants in the end; 0 where it says nothing. */
static double
wanted_rows(PlannerInfo *root)
{
	Node	   *limit = root->parse->limitCount;

	if (root->limit_tuples > 0)
		return root->limit_tuples;
	if (limit != NULL && IsA(limit, Const) && !((Const *) limit)->constisnull)
		return (double) DatumGetInt64(((Const *) limit)->constvalue);
	return 0;
}

/* Is the predicate a condition by itself, rather than an arm of an OR? */
static bool
stands_alone(RelOptInfo *rel, Node *predicate)
{
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		if ((Node *) lfirst_node(RestrictInfo, cell)->clause == predicate)
			return true;
	}
	return false;
}

/*
 * Weighs what the ids cost against the rows that need not be read.  A LIMIT is
 * met by walking an ordered index until enough rows have passed; behind a join
 * or a grouping it may take more of them, but not the whole table.  Where no
 * order is asked for, a condition by itself finds as many rows as are wanted
 * and no more.
 */
static bool
worth_an_index(PlannerInfo *root, IndexOptInfo *index, Node *predicate, int n, double share)
{
	double		rows = Max(index->rel->tuples, 1.0);
	double		found = rows * share;
	double		cost;
	double		otherwise = rows * SCAN_COST;
	ListCell   *cell;

	if (n <= ALWAYS_OFFERED)
		return true;
	if (root->limit_tuples > 0 && root->query_pathkeys == NIL && stands_alone(index->rel, predicate))
		found = Min(found, root->limit_tuples);
	cost = n * ARRAY_COST + found * FETCH_COST;
	if (bms_membership(root->all_baserels) == BMS_MULTIPLE && n > 1000)
		return false;
	if (wanted_rows(root) > 0 && share > 0)
		otherwise = Min(otherwise, wanted_rows(root) / share * WALK_COST);
	foreach(cell, index->rel->indexlist)
	{
		IndexOptInfo *other = lfirst_node(IndexOptInfo, cell);

		/* What the query asks for stands in an index of few rows. */
		if (other->indpred != NIL && other->predOK)
			otherwise = Min(otherwise, other->tuples * FETCH_COST);
	}
	return cost < otherwise;
}

static Oid
companion_oid(const Predicate *predicate, Oid funcid)
{
	Oid			types[1] = {TEXTOID};
	int			nargs = takes_action(predicate) ? 1 : 0;

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(predicate->companion),
						   PointerGetDatum(buildoidvector(types, nargs)),
						   ObjectIdGetDatum(get_func_namespace(funcid)));
}

/*
 * Who has more keys than there are rows with parties finds these rows by
 * reading the index through: every key array contains the empty one.
 */
static Expr *
any_party(Node *column)
{
	Const	   *empty = makeConst(INT8ARRAYOID, -1, InvalidOid, -1,
								  PointerGetDatum(construct_empty_array(INT8OID)), false, false);

	return make_opclause(OID_ARRAY_CONTAINS_OP, BOOLOID, false, (Expr *) column, (Expr *) empty,
						 InvalidOid, InvalidOid);
}

static List *
index_condition(SupportRequestIndexCondition *req, const Predicate *predicate, List *args, Oid support)
{
	int			action = constant_action(predicate, args);
	CsmMap	   *map;
	Expr	   *right;
	Oid			companion;
	Oid			equal;
	double		share;

	/* The key is the first argument; it must lead the index. */
	if (req->indexarg != 0 || action < 0 || req->indexcol != 0 || predicate == &entry_allows)
		return NIL;
	if (predicate == &party_allows)
		equal = op_in_opfamily(OID_ARRAY_OVERLAP_OP, req->opfamily) ? OID_ARRAY_OVERLAP_OP : InvalidOid;
	else
	{
		equal = get_opfamily_member(req->opfamily, INT8OID, INT8OID, BTEqualStrategyNumber);
		if (OidIsValid(equal) && get_opcode(equal) != F_INT8EQ)
			equal = InvalidOid;
	}
	if (!OidIsValid(equal) || named_by_key(req->index->rel) ||
		csm_policy_share(req->root, req->index->rel) > MOST_OF_IT)
		return NIL;

	map = map_of_plan(req->root, support);
	if (predicate != &all_in && map != NULL)
	{
		int			n = csm_map_key_count(map, predicate->set, action);

		if (n > ALWAYS_OFFERED)
		{
			share = selectivity(req->root, predicate, args, 0, map, action);
			if (predicate == &party_allows && n * PARTY_COST > req->index->tuples * FETCH_COST)
			{
				if (req->index->tuples > req->index->rel->tuples * MOST_OF_IT)
					return NIL;
				req->lossy = true;
				return list_make1(any_party((Node *) linitial(args)));
			}
			if (!worth_an_index(req->root, req->index, req->node, n, share))
				return NIL;
		}
	}

	companion = companion_oid(predicate, req->funcid);
	if (!OidIsValid(companion))
		return NIL;
	req->lossy = true;
	right = (Expr *) makeFuncExpr(companion, predicate == &all_in ? INT8OID : INT8ARRAYOID,
								  takes_action(predicate) ? list_make1(copyObject(llast(args))) : NIL,
								  InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
	if (predicate == &all_in || predicate == &party_allows)
		return list_make1(make_opclause(equal, BOOLOID, false, linitial(args), right,
										InvalidOid, InvalidOid));
	else
	{
		ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);

		any->opno = equal;
		any->opfuncid = get_opcode(equal);
		any->useOr = true;
		any->inputcollid = InvalidOid;
		any->args = list_make2(linitial(args), right);
		any->location = -1;
		return list_make1(any);
	}
}

PG_FUNCTION_INFO_V1(csm_access_support);

Datum
csm_access_support(PG_FUNCTION_ARGS)
{
	Node	   *raw = (Node *) PG_GETARG_POINTER(0);
	const Predicate *predicate;
	int			action;

	if (IsA(raw, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *req = (SupportRequestIndexCondition *) raw;

		predicate = find_predicate(req->funcid);
		if (predicate != NULL && is_funcclause(req->node))
			PG_RETURN_POINTER(index_condition(req, predicate, ((FuncExpr *) req->node)->args,
											  fcinfo->flinfo->fn_oid));
	}
	else if (IsA(raw, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *req = (SupportRequestSelectivity *) raw;

		predicate = req->is_join ? NULL : find_predicate(req->funcid);
		action = predicate ? constant_action(predicate, req->args) : -1;
		if (action >= 0)
		{
			if (of_named_row(req->root, req->args))
				req->selectivity = 1;
			else
				req->selectivity = selectivity(req->root, predicate, req->args, req->varRelid,
											   map_of_plan(req->root, fcinfo->flinfo->fn_oid), action);
			PG_RETURN_POINTER(req);
		}
	}
	else if (IsA(raw, SupportRequestCost))
	{
		SupportRequestCost *req = (SupportRequestCost *) raw;

		/* Unpacking the row is most of it. */
		req->startup = 0;
		req->per_tuple = 1.5 * cpu_operator_cost;
		PG_RETURN_POINTER(req);
	}
	PG_RETURN_POINTER(NULL);
}
