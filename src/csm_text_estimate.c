/*
 * csm_text_estimate.c
 *	  What share of the rows holds some text.
 *
 * The server keeps a column's statistics from operators that are not leakproof
 * when the column stands below a policy, and guesses.  Here they are compared
 * with the words or the needle of the query by leakproof means; what comes of
 * it is the choice of a plan.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "tsearch/ts_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "csm.h"
#include "csm_plan.h"
#include "csm_text.h"

/* Microseconds, measured: a row fetched through a bitmap, one of a walk in order, one in the list of a word, one stepped over in that of a slice. */
#define WINDOW_FETCH	2.0
#define WINDOW_WALK		0.5
#define WINDOW_LIST		0.14
#define WINDOW_STEP		0.009

/* The value that the planner knows or expects an expression to have, or NULL. */
Const *
csm_expected_value(PlannerInfo *root, Node *expression)
{
	Node	   *value;

	if (root == NULL)
		return NULL;
	value = estimate_expression_value(root, expression);
	if (value == NULL || !IsA(value, Const) || ((Const *) value)->constisnull)
		return NULL;
	return (Const *) value;
}

/*
 * What ILIKE would be estimated at.  Below a policy that is no more than a
 * guess from the length of the pattern: the server does not show the column's
 * statistics to an operator that is not leakproof.
 */
Selectivity
csm_guessed_selectivity(PlannerInfo *root, Node *haystack, Const *needle, int varRelid)
{
	Node	   *pattern = (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
											 DirectFunctionCall1(csm_like_pattern, needle->constvalue),
											 false, false);

	return restriction_selectivity(root, OID_TEXT_ICLIKE_OP, list_make2(haystack, pattern),
								   DEFAULT_COLLATION_OID, varRelid);
}

/*
 * Share of rows that contain the needle: contains() itself, which is
 * leakproof, counted over the most common values and the histogram, as the
 * server does for LIKE (patternsel in like_support.c).
 */
Selectivity
csm_contains_selectivity(PlannerInfo *root, Oid function, Node *haystack, Const *needle, int varRelid)
{
	Selectivity guess = csm_guessed_selectivity(root, haystack, needle, varRelid);
	Selectivity result = guess;
	VariableStatData column;

	examine_variable(root, haystack, varRelid, &column);
	if (HeapTupleIsValid(column.statsTuple))
	{
		double		nulls = ((Form_pg_statistic) GETSTRUCT(column.statsTuple))->stanullfrac;
		double		common;
		double		common_matches;
		int			size;
		FmgrInfo	contains;

		fmgr_info(function, &contains);
		result = histogram_selectivity(&column, &contains, DEFAULT_COLLATION_OID,
									   needle->constvalue, true, 10, 1, &size);
		/* A small histogram has only a part of the say. */
		if (result < 0)
			result = guess;
		else if (size < 100)
			result = (result * size + guess * (100 - size)) / 100;
		/* None or all of a hundred samples is not none or all of the rows. */
		result = Min(Max(result, 0.0001), 0.9999);

		common_matches = mcv_selectivity(&column, &contains, DEFAULT_COLLATION_OID,
										 needle->constvalue, true, &common);
		result = result * (1.0 - nulls - common) + common_matches;
	}
	ReleaseVariableStats(column);
	CLAMP_PROBABILITY(result);
	return result;
}

/* The most common words of a column, as statistics hold them. */
typedef struct CommonWords
{
	AttStatsSlot slot;
	double		least;			/* frequency of the rarest one listed */
	double		unlisted;		/* of one that is not, as we think */
} CommonWords;

/* Most words that are not listed are rarer by far than those that are; a beginning stands for some of them. */
static double
word_share(const CommonWords *words, const char *word, int length, bool prefix)
{
	double		share = 0;

	for (int i = 0; i < words->slot.nvalues; i++)
	{
		text	   *listed = DatumGetTextPP(words->slot.values[i]);
		int			size = (int) VARSIZE_ANY_EXHDR(listed);

		if (prefix ? size < length : size != length)
			continue;
		if (memcmp(VARDATA_ANY(listed), word, length) != 0)
			continue;
		share += words->slot.numbers[i];
		if (!prefix)
			break;
	}
	if (share == 0)
		share = prefix ? Min(words->least, words->unlisted * 10) : words->unlisted;
	return Min(share, 1.0);
}

/* Words are taken to be independent of one another. */
static double
query_share(const CommonWords *words, const QueryItem *item, const char *operands)
{
	double		left;
	double		right;

	check_stack_depth();
	if (item->type == QI_VAL)
		return word_share(words, operands + item->qoperand.distance,
						  item->qoperand.length, item->qoperand.prefix);
	right = query_share(words, item + 1, operands);
	if (item->qoperator.oper == OP_NOT)
		return 1.0 - right;
	left = query_share(words, item + item->qoperator.left, operands);
	return item->qoperator.oper == OP_OR ? left + right - left * right : left * right;
}

/* The same, where a word that is not listed is thought to be that common. */
static double
rows_share(CommonWords *words, TSQuery asked, double unlisted)
{
	words->unlisted = unlisted;
	return query_share(words, GETQUERY(asked), GETOPERAND(asked));
}

/* Of words that have to be there together the shortest list is read; of others all. */
static double
list_share(const CommonWords *words, const QueryItem *item, const char *operands)
{
	double		left;
	double		right;

	check_stack_depth();
	if (item->type == QI_VAL)
		return query_share(words, item, operands);
	if (item->qoperator.oper == OP_NOT)
		return 1.0;
	right = list_share(words, item + 1, operands);
	left = list_share(words, item + item->qoperator.left, operands);
	return item->qoperator.oper == OP_OR ? Min(left + right, 1.0) : Min(left, right);
}

/* Can an index of this table deliver the order that the query asks for? */
static bool
order_has_index(PlannerInfo *root, RelOptInfo *rel)
{
	ListCell   *cell;

	if (root->query_pathkeys == NIL)
		return false;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(cell);

		if (index->sortopfamily != NULL &&
			(pathkeys_contained_in(root->query_pathkeys,
								   build_index_pathkeys(root, index, ForwardScanDirection)) ||
			 pathkeys_contained_in(root->query_pathkeys,
								   build_index_pathkeys(root, index, BackwardScanDirection))))
			return true;
	}
	return false;
}

/* How many rows lie within the times that the query asks for. */
static double
window_rows(PlannerInfo *root, RelOptInfo *rel)
{
	List	   *times = NIL;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		OpExpr	   *clause = (OpExpr *) restriction->clause;

		if (IsA(clause, OpExpr) && exprType(linitial(clause->args)) == TIMESTAMPTZOID)
			times = lappend(times, restriction);
	}
	return rel->tuples * clauselist_selectivity(root, times, 0, JOIN_INNER, NULL);
}

/*
 * Words as common as they may be at most would end a walk before their rows
 * could be fetched: then it matters how common they are.
 */
static bool
may_end_a_walk(PlannerInfo *root, RelOptInfo *rel, Selectivity most)
{
	double		rows = window_rows(root, rel);
	double		ends = root->limit_tuples / Max(most * csm_policy_share(root, rel), 1e-9);

	return root->limit_tuples > 0 && order_has_index(root, rel) &&
		Min(ends, rows) * WINDOW_WALK < rows * most * WINDOW_FETCH;
}

/* The lists of all words that begin so would be read whole. */
static bool
has_beginnings(TSQuery asked)
{
	for (int i = 0; i < asked->size; i++)
	{
		if (GETQUERY(asked)[i].type == QI_VAL && GETQUERY(asked)[i].qoperand.prefix)
			return true;
	}
	return false;
}

/* Asks an index about words that statistics do not list. */
static void
ask_index(PlannerInfo *root, Node *document, TSQuery asked, Selectivity most, CsmTextShare *result)
{
	int			relid;
	RelOptInfo *rel;
	double		rows;
	double		found;

	if (has_beginnings(asked) || !bms_get_singleton_member(pull_varnos(root, document), &relid))
		return;
	rel = root->simple_rel_array[relid];
	if (rel == NULL || !may_end_a_walk(root, rel, most))
		return;
	found = csm_newest_share(root, rel, document, asked, &rows);
	if (found < 0)
		return;
	result->common = found > 0;
	result->rows = found > 0 ? found : Min(result->rows, 1.0 / rows);
	result->listed = Max(result->listed, result->rows);
}

/*
 * Shares of rows for a tsvector that matches; without statistics small ones.
 *
 * A word that statistics do not list may be in no row at all ("common"), and a
 * walk that waits for it reads all of the table.  All at once, because the
 * statistics have to be unpacked.
 */
CsmTextShare
csm_words_share(PlannerInfo *root, Node *document, const Const *query, int varRelid)
{
	TSQuery		asked = DatumGetTSQuery(query->constvalue);
	VariableStatData column;
	CommonWords words = {0};
	CsmTextShare result = {.rows = 0.005, .listed = 0.005, .common = asked->size != 0};

	if (asked->size == 0)
		return (CsmTextShare) {0};
	examine_variable(root, document, varRelid, &column);
	if (HeapTupleIsValid(column.statsTuple) &&
		get_attstatsslot(&words.slot, column.statsTuple, STATISTIC_KIND_MCELEM, InvalidOid,
						 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
	{
		/* Behind the frequencies stand the least and the greatest of them. */
		if (words.slot.nnumbers == words.slot.nvalues + 2)
		{
			double		present = 1.0 - ((Form_pg_statistic) GETSTRUCT(column.statsTuple))->stanullfrac;
			double		most;

			words.least = words.slot.numbers[words.slot.nvalues];
			result.common = rows_share(&words, asked, 0) > 0;
			most = rows_share(&words, asked, words.least) * present;
			result.rows = rows_share(&words, asked, words.least / 10) * present;
			/* of words as common as for the rows just before */
			result.listed = list_share(&words, GETQUERY(asked), GETOPERAND(asked)) * present;
			if (!result.common)
				ask_index(root, document, asked, most, &result);
		}
		free_attstatsslot(&words.slot);
	}
	ReleaseVariableStats(column);
	CLAMP_PROBABILITY(result.rows);
	CLAMP_PROBABILITY(result.listed);
	return result;
}

/* --- is an index the way? --- */

/*
 * Is the text index the way to find this share of the rows?
 *
 * The planner costs the index by a guess, because it does not look at
 * statistics for an operator that is not leakproof.  Where the guess is far too
 * low it would fetch half a table by bitmap to show the newest fifty rows, so
 * there we compare in its place: the bitmap with a scan of the table, and with
 * a walk in the order asked for that ends when there are rows enough.  Where
 * the policies admit far fewer rows than hold the words, theirs are the indexes
 * to use; "breadth" says how many entries of this one are read in the time in
 * which a row is fetched and judged.  A walk ends only where what is looked for
 * is known to be "common".
 */
bool
csm_index_is_worth_it(PlannerInfo *root, IndexOptInfo *index, Selectivity guess, Selectivity share, double breadth,
					  bool common)
{
	RelOptInfo *rel = index->rel;
	double		pages = Max(rel->pages, 1);
	double		row_cost = cpu_tuple_cost + rel->baserestrictcost.per_tuple;
	double		rows = share * rel->tuples;
	double		fetched;
	double		bitmap_cost;

	if (csm_policy_share(root, rel) * breadth < share)
		return false;
	if (guess * 3 >= share)
		return true;

	fetched = Min(pages, 2 * pages * rows / (2 * pages + rows));
	bitmap_cost = fetched * (random_page_cost -
							 (random_page_cost - seq_page_cost) * sqrt(fetched / pages)) +
		rows * (cpu_index_tuple_cost + row_cost);
	if (bitmap_cost > pages * seq_page_cost + rel->tuples * row_cost)
		return false;
	if (common && root->limit_tuples > 0 && order_has_index(root, rel))
	{
		double		walked = root->limit_tuples * rel->tuples / Max(rel->rows, 1);

		return walked * (random_page_cost + row_cost) > bitmap_cost;
	}
	return true;
}

/* What it takes to fetch the rows with some text, wherever they are. */
static double
text_cost(RelOptInfo *rel, const CsmTextShare *share)
{
	return rel->tuples * (share->rows * WINDOW_FETCH + share->listed * WINDOW_LIST);
}

/* The same from within slices of time; what is public stands in fewer. */
static double
slices_cost(PlannerInfo *root, RelOptInfo *rel, const CsmTextShare *share, bool public_slices)
{
	double		rows = window_rows(root, rel);

	if (public_slices)
		rows *= csm_policy_share(root, rel);
	return rows * (WINDOW_STEP + share->rows * WINDOW_FETCH);
}

/* Are slices worth their lists, beside some text? */
bool
csm_slices_are_worth_it(PlannerInfo *root, RelOptInfo *rel, const CsmTextShare *share, bool public_slices)
{
	return slices_cost(root, rel, share, public_slices) < text_cost(rel, share);
}

/*
 * Is the index the way within a window of time?  It finds the rows of the
 * slices alone where these are worth it; they are compared with a walk of the
 * window that ends when there are rows enough.
 */
bool
csm_window_is_worth_it(PlannerInfo *root, IndexOptInfo *index, const CsmTextShare *share, bool public_slices, double breadth)
{
	RelOptInfo *rel = index->rel;
	double		hits = Max(rel->rows, 1);
	double		walked = window_rows(root, rel);

	if (csm_policy_share(root, rel) * breadth < share->rows)
		return false;
	if (share->common && root->limit_tuples > 0 && root->limit_tuples < hits && order_has_index(root, rel))
		walked *= root->limit_tuples / hits;
	return Min(text_cost(rel, share), slices_cost(root, rel, share, public_slices)) < walked * WINDOW_WALK;
}
