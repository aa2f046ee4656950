/*
 * csm_text_support.c
 *	  What the planner learns of csm.matches(), csm.contains() and
 *	  csm.in_slices(): the conditions of the indexes that they need, and how
 *	  many rows they find.
 *
 * matches() becomes the server's own @@, exactly.  contains() becomes ILIKE,
 * of which a trigram index compares trigrams only; contains() has the last word
 * on what it finds.  in_slices() becomes &&, beside one of the others and where
 * that one is the first key of the same index.  Whether an index is worth it is
 * judged in csm_text_estimate.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "csm_compat.h"
#include "csm_plan.h"
#include "csm_text.h"

/* Entries of a text index against a row; trigrams give several lists to merge. */
#define MATCHES_BREADTH		10
#define CONTAINS_BREADTH	2

/* An index is asked for so many slices of time: each is a list to merge. */
#define MAX_SLICES			200

/* Strategies of the operator classes that we turn our functions into. */
#define TSEARCH_MATCH_STRATEGY	1	/* gin and gist tsvector_ops: @@ */
#define TRGM_ILIKE_STRATEGY		4	/* gin_trgm_ops, gist_trgm_ops: ~~* */

PG_FUNCTION_INFO_V1(csm_text_support);

/* The expression csm_private.like_pattern(needle); NULL if it is missing. */
static Expr *
pattern_expression(Expr *needle)
{
	Oid			text_oid = TEXTOID;
	oidvector  *arguments = buildoidvector(&text_oid, 1);
	Oid			schema = get_namespace_oid("csm_private", true);
	Oid			function = InvalidOid;

	if (OidIsValid(schema))
		function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
								   CStringGetDatum("like_pattern"),
								   PointerGetDatum(arguments),
								   ObjectIdGetDatum(schema));
	if (!OidIsValid(function))
		return NULL;
	return (Expr *) makeFuncExpr(function, TEXTOID, list_make1(copyObject(needle)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * Three word characters in a row make a trigram that every matching row has.
 * Without one pg_trgm would scan the whole index.
 */
static bool
has_trigram(text *needle)
{
	char	   *copy = text_to_cstring(needle);
	int			run = 0;

	for (char *c = copy; *c != '\0' && run < 3; c += pg_mblen(c))
		run = csm_is_word_character(c) ? run + 1 : 0;
	pfree(copy);
	return run >= 3;
}

/*
 * Before version 18 pg_trgm folds by libc, whatever provider the database has.
 * With another provider an index could miss rows.
 */
bool
csm_trgm_folds_as_we_do(void)
{
#if PG_VERSION_NUM >= 180000
	return true;
#else
	static int	known = -1;

	if (known < 0)
	{
		HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));

		if (!HeapTupleIsValid(tuple))
			return false;
		known = ((Form_pg_database) GETSTRUCT(tuple))->datlocprovider == COLLPROVIDER_LIBC;
		ReleaseSysCache(tuple);
	}
	return known == 1;
#endif
}

/* What share of the rows has the words that the query asks for beside a needle; 1 where it asks for none. */
static Selectivity
words_beside(RelOptInfo *rel, Oid funcid)
{
	RegProcedure support = get_func_support(funcid);
	Selectivity share = 1;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		FuncExpr   *clause = (FuncExpr *) restriction->clause;

		if (IsA(clause, FuncExpr) && list_length(clause->args) == 2 && exprType(linitial(clause->args)) == TSVECTOROID &&
			get_func_support(clause->funcid) == support && restriction->norm_selec >= 0)
			share = Min(share, restriction->norm_selec);
	}
	return share;
}

/* The condition of the query on slices of time, or NULL. */
static FuncExpr *
slices_asked(RelOptInfo *rel, Oid funcid)
{
	RegProcedure support = get_func_support(funcid);
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		FuncExpr   *clause = (FuncExpr *) lfirst_node(RestrictInfo, cell)->clause;

		if (IsA(clause, FuncExpr) && list_length(clause->args) == 3 && get_func_support(clause->funcid) == support)
			return clause;
	}
	return NULL;
}

/* The slices of time that are asked for, where the index holds them beside the text, or NULL. */
static FuncExpr *
slices_beside(SupportRequestIndexCondition *req)
{
	return req->index->nkeycolumns > 1 ? slices_asked(req->index->rel, req->funcid) : NULL;
}

/* Are they slices of what is public? */
static bool
public_slices(const FuncExpr *slices)
{
	const Const *first = lsecond(slices->args);

	return IsA(first, Const) && !first->constisnull && DatumGetInt64(first->constvalue) >= CSM_PUBLIC_SLICES;
}

/* Are words worth an index?  And what share of the rows holds them? */
static bool
words_are_worth_it(SupportRequestIndexCondition *req, Node *document, Node *query, const Const *value, CsmTextShare *share)
{
	FuncExpr   *slices = slices_beside(req);

	*share = csm_words_share(req->root, document, value, 0);
	if (slices != NULL)
		return csm_window_is_worth_it(req->root, req->index, share, public_slices(slices), MATCHES_BREADTH);
	return csm_index_is_worth_it(req->root, req->index,
								 restriction_selectivity(req->root, OID_TS_MATCH_OP, list_make2(document, query), InvalidOid, 0),
								 share->rows, MATCHES_BREADTH, share->common);
}

/*
 * Is a needle?  Beside words that fewer rows have these are found first, and
 * already where its advantage is small, because the lists of its trigrams are
 * longer than what they have in common.
 */
static bool
needle_is_worth_it(SupportRequestIndexCondition *req, Oid contains, Node *haystack, Const *value, CsmTextShare *share)
{
	Selectivity words = words_beside(req->index->rel, req->funcid);
	FuncExpr   *slices = slices_beside(req);

	if (!csm_trgm_folds_as_we_do() || !has_trigram(DatumGetTextPP(value->constvalue)))
		return false;
	share->rows = csm_contains_selectivity(req->root, contains, haystack, value, 0);
	share->listed = share->rows;
	share->common = true;
	if (share->rows > (words < 1 ? words / 10 : 1))
		return false;
	if (slices != NULL)
		return csm_window_is_worth_it(req->root, req->index, share, public_slices(slices), CONTAINS_BREADTH);
	return csm_index_is_worth_it(req->root, req->index, csm_guessed_selectivity(req->root, haystack, value, 0), share->rows,
							  CONTAINS_BREADTH, share->common);
}

/*
 * document @@ query for an index that knows the operator.  The operator and
 * our function are the same code, so nothing is left to check.
 */
static List *
matches_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Node	   *document = linitial(args);
	Node	   *query = lsecond(args);
	Const	   *value;
	CsmTextShare share;
	Oid			operator;

	if (req->indexarg != 0 || !is_pseudo_constant_for_index(req->root, query, req->index))
		return NIL;
	operator = get_opfamily_member(req->opfamily, TSVECTOROID, TSQUERYOID, TSEARCH_MATCH_STRATEGY);
	if (!OidIsValid(operator) || get_opcode(operator) != F_TS_MATCH_VQ)
		return NIL;
	value = csm_expected_value(req->root, query);
	if (value != NULL && !words_are_worth_it(req, document, query, value, &share))
		return NIL;
	req->lossy = false;
	return list_make1(make_opclause(operator, BOOLOID, false,
									(Expr *) document, (Expr *) query, InvalidOid, InvalidOid));
}

/*
 * haystack ~~* like_pattern(needle) for a trigram index.  Whether it is worth
 * an index is judged by the value that the needle has now; the condition holds
 * the needle itself, so that a plan kept for another value stays right.  Lossy:
 * contains() has the last word on every row.
 */
static List *
contains_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Node	   *haystack = linitial(args);
	Node	   *needle = lsecond(args);
	Const	   *value;
	CsmTextShare share;
	Expr	   *pattern;

	if (req->indexarg != 0 || !is_pseudo_constant_for_index(req->root, needle, req->index))
		return NIL;
	if (get_opfamily_member(req->opfamily, TEXTOID, TEXTOID, TRGM_ILIKE_STRATEGY) != OID_TEXT_ICLIKE_OP)
		return NIL;
	value = csm_expected_value(req->root, needle);
	if (value == NULL || !needle_is_worth_it(req, req->funcid, haystack, value, &share))
		return NIL;
	pattern = pattern_expression((Expr *) needle);
	if (pattern == NULL)
		return NIL;
	/* A needle written into the query gives a pattern that people can read. */
	if (IsA(needle, Const))
		pattern = (Expr *) eval_const_expressions(req->root, (Node *) pattern);
	req->lossy = true;
	return list_make1(make_opclause(OID_TEXT_ICLIKE_OP, BOOLOID, false,
									(Expr *) haystack, pattern,
									InvalidOid, DEFAULT_COLLATION_OID));
}

/* Does this condition on words or a needle lead the index, and is it worth it? */
static bool
is_leading(SupportRequestIndexCondition *req, const FuncExpr *clause, CsmTextShare *share)
{
	Node	   *text;
	Const	   *value;

	if (!IsA(clause, FuncExpr) || list_length(clause->args) != 2 ||
		get_func_support(clause->funcid) != get_func_support(req->funcid))
		return false;
	text = linitial(clause->args);
	value = csm_expected_value(req->root, lsecond(clause->args));
	if (value == NULL || !match_index_to_operand(text, 0, req->index))
		return false;
	return exprType(text) == TSVECTOROID
		? words_are_worth_it(req, text, lsecond(clause->args), value, share)
		: needle_is_worth_it(req, clause->funcid, text, value, share);
}

/*
 * slices && {first, ..., last}, beside words or a needle that are worth the
 * same index: alone it would fetch every row of the window.  The ends are known
 * in the plan, which is one of these values and no others.
 */
static List *
slices_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Const	   *first = lsecond(args);
	Const	   *last = lthird(args);
	Datum		slices[MAX_SLICES];
	int64		n;
	ListCell   *cell;

	if (req->indexarg != 0 || !IsA(first, Const) || !IsA(last, Const) || first->constisnull || last->constisnull ||
		!op_in_opfamily(OID_ARRAY_OVERLAP_OP, req->opfamily))
		return NIL;
	n = DatumGetInt64(last->constvalue) - DatumGetInt64(first->constvalue) + 1;
	if (n < 1 || n > MAX_SLICES)
		return NIL;
	foreach(cell, req->index->rel->baserestrictinfo)
	{
		CsmTextShare share;

		if (!is_leading(req, (FuncExpr *) lfirst_node(RestrictInfo, cell)->clause, &share) ||
			!csm_slices_are_worth_it(req->root, req->index->rel, &share, public_slices((FuncExpr *) req->node)))
			continue;
		for (int i = 0; i < n; i++)
			slices[i] = Int64GetDatum(DatumGetInt64(first->constvalue) + i);
		req->lossy = true;
		return list_make1(make_opclause(OID_ARRAY_OVERLAP_OP, BOOLOID, false, linitial(args),
										(Expr *) makeConst(INT8ARRAYOID, -1, InvalidOid, -1,
														   PointerGetDatum(construct_array(slices, (int) n, INT8OID, sizeof(int64),
																						   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
														   false, false),
										InvalidOid, InvalidOid));
	}
	return NIL;
}

/* What the operator says: where we know no better. */
static Selectivity
operator_selectivity(SupportRequestSelectivity *req, Oid operator, Oid collation)
{
	if (req->is_join)
		return join_selectivity(req->root, operator, req->args, collation, req->jointype, req->sjinfo);
	return restriction_selectivity(req->root, operator, req->args, collation, req->varRelid);
}

static void
text_selectivity(SupportRequestSelectivity *req)
{
	Const	   *needle;

	/* Slices say again what a range of the time has said. */
	if (list_length(req->args) == 3)
		req->selectivity = 1;
	else if (exprType(linitial(req->args)) == TSVECTOROID)
	{
		needle = req->is_join ? NULL : csm_expected_value(req->root, lsecond(req->args));
		req->selectivity = needle == NULL
			? operator_selectivity(req, OID_TS_MATCH_OP, InvalidOid)
			: csm_words_share(req->root, linitial(req->args), needle, req->varRelid).rows;
	}
	else if (!req->is_join && (needle = csm_expected_value(req->root, lsecond(req->args))) != NULL)
		req->selectivity = csm_contains_selectivity(req->root, req->funcid, linitial(req->args),
												needle, req->varRelid);
	else
		req->selectivity = operator_selectivity(req, OID_TEXT_ICLIKE_OP, DEFAULT_COLLATION_OID);
}

/* Planner support of matches(), contains() and in_slices(). */
Datum
csm_text_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	if (IsA(request, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *req = (SupportRequestIndexCondition *) request;

		if (is_funcclause(req->node))
		{
			List	   *args = ((FuncExpr *) req->node)->args;

			if (list_length(args) == 3)
				answer = (Node *) slices_index_condition(req, args);
			else if (exprType(linitial(args)) == TSVECTOROID)
				answer = (Node *) matches_index_condition(req, args);
			else if (exprType(linitial(args)) == TEXTOID)
				answer = (Node *) contains_index_condition(req, args);
		}
	}
	else if (IsA(request, SupportRequestSelectivity))
	{
		text_selectivity((SupportRequestSelectivity *) request);
		answer = request;
	}
	PG_RETURN_POINTER(answer);
}
