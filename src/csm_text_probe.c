/*
 * csm_text_probe.c
 *	  How common some words are among the newest rows, asked of an index while
 *	  a query is planned.
 *
 * Statistics list a thousand words of a column. Whether one that they do not
 * list is in a row of every five hundred or in none decides between a walk that
 * ends at once and one that reads the whole table. An index of words and slices
 * of time (csm_slice.c) knows: it is asked for the rows of the newest slices
 * that hold the words, which skips the rest of their lists. So do the server's
 * own estimates look into an index for the ends of a column.
 *
 * What is learnt is one number, of rows whoever may see them. It goes where the
 * column's statistics go: into estimates, which nobody is shown who asks for
 * service (csm_explain.c). Time tells no more than the index scan itself does,
 * which reads the words' whole lists.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/tidbitmap.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "csm_compat.h"
#include "csm_text.h"

/* So many rows tell enough; of fewer than the least, and of a wider window, nothing is asked. */
#define ENOUGH_ROWS		20000
#define LEAST_ROWS		1000
#define MOST_ROWS		200000
#define MOST_SLICES		100

/* The newest slices of a table, and how many rows they are thought to hold. */
typedef struct Window
{
	int64		first;
	int64		last;
	double		rows;
} Window;

/* ---- which index, which window ---- */

/* The time whose slices this expression makes, or NULL. */
static Var *
time_of_slices(Node *expression)
{
	FuncExpr   *call;
	FmgrInfo	function;
	Var		   *time;

	if (IsA(expression, ArrayExpr) && list_length(((ArrayExpr *) expression)->elements) == 1)
		expression = linitial(((ArrayExpr *) expression)->elements);
	call = (FuncExpr *) expression;
	if (!IsA(call, FuncExpr))
		return NULL;
	fmgr_info(call->funcid, &function);
	if (function.fn_addr != csm_time_slice && function.fn_addr != csm_time_slices)
		return NULL;
	time = linitial(call->args);
	return IsA(time, Var) ? time : NULL;
}

static bool
is_index_of(const IndexOptInfo *index, Node *document)
{
	return index->relam == GIN_AM_OID && index->nkeycolumns == 2 && index->indpred == NIL && !index->hypothetical &&
		match_index_to_operand(document, 0, unconstify(IndexOptInfo *, index)) &&
		op_in_opfamily(OID_TS_MATCH_OP, index->opfamily[0]) && op_in_opfamily(OID_ARRAY_OVERLAP_OP, index->opfamily[1]);
}

/* Share of the rows from this time on, by a histogram. */
static double
share_since(const AttStatsSlot *histogram, TimestampTz at)
{
	double		bins = 0;

	for (int i = histogram->nvalues - 1; i > 0; i--)
	{
		TimestampTz high = DatumGetTimestampTz(histogram->values[i]);
		TimestampTz low = DatumGetTimestampTz(histogram->values[i - 1]);

		if (low >= at)
			bins += 1;
		else if (high > at)
			bins += (double) (high - at) / (double) (high - low);
	}
	return bins / (histogram->nvalues - 1);
}

/* False: there are no statistics, or too few rows, or too many in the newest slice alone. */
static bool
newest_window(PlannerInfo *root, const RelOptInfo *rel, Var *time, Window *window)
{
	VariableStatData column;
	AttStatsSlot histogram;
	bool		known = false;

	examine_variable(root, (Node *) time, 0, &column);
	if (HeapTupleIsValid(column.statsTuple) &&
		get_attstatsslot(&histogram, column.statsTuple, STATISTIC_KIND_HISTOGRAM, InvalidOid, ATTSTATSSLOT_VALUES))
	{
		double		tuples = rel->tuples * (1.0 - ((Form_pg_statistic) GETSTRUCT(column.statsTuple))->stanullfrac);
		TimestampTz newest = histogram.nvalues > 1 ? DatumGetTimestampTz(histogram.values[histogram.nvalues - 1]) : DT_NOEND;

		if (!TIMESTAMP_NOT_FINITE(newest))
		{
			window->last = csm_slice_of(newest);
			for (window->first = window->last;; window->first--)
			{
				window->rows = tuples * share_since(&histogram, csm_start_of_slice(window->first));
				if (window->rows >= ENOUGH_ROWS || window->last - window->first + 1 >= MOST_SLICES)
					break;
			}
			known = window->rows >= LEAST_ROWS && window->rows <= MOST_ROWS;
		}
		free_attstatsslot(&histogram);
	}
	ReleaseVariableStats(column);
	return known;
}

/* ---- asking ---- */

static Datum
slices_of(const Window *window)
{
	Datum		slices[MOST_SLICES];
	int			n = 0;

	for (int64 slice = window->first; slice <= window->last; slice++)
		slices[n++] = Int64GetDatum(slice);
	return PointerGetDatum(construct_array(slices, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Rows of the window that the index finds.  Dead ones count too, and no snapshot
 * of ours makes this a read that a serializable transaction has to answer for.
 */
static int64
count_found(Oid index_oid, TSQuery query, const Window *window)
{
	Relation	index = index_open(index_oid, NoLock);
	TIDBitmap  *found = tbm_create(64 * (Size) 1024, NULL);
	IndexScanDesc scan;
	ScanKeyData keys[2];
	int64		count;

	ScanKeyEntryInitialize(&keys[0], 0, 1, 1, InvalidOid, InvalidOid, F_TS_MATCH_VQ, TSQueryGetDatum(query));
	ScanKeyEntryInitialize(&keys[1], 0, 2, 1, InvalidOid, InvalidOid, F_ARRAYOVERLAP, slices_of(window));
	scan = csm_index_beginscan_bitmap(index, SnapshotAny, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	count = index_getbitmap(scan, found);
	index_endscan(scan);
	tbm_free(found);
	index_close(index, NoLock);
	return count;
}

/* One query is planned with several questions about its words. */
static double
share_found(Oid index, TSQuery query, const Window *window)
{
	static struct
	{
		TimestampTz statement;
		Oid			index;
		uint64		query;
		double		share;
	}			last = {0};
	uint64		hash = hash_bytes_extended((const unsigned char *) query, VARSIZE(query), 0);

	if (last.statement != GetCurrentStatementStartTimestamp() || last.index != index || last.query != hash)
	{
		last.index = InvalidOid;
		last.share = (double) count_found(index, query, window) / window->rows;
		last.statement = GetCurrentStatementStartTimestamp();
		last.index = index;
		last.query = hash;
	}
	return last.share;
}

/* Share of the newest rows that hold the words; -1 where no index can say, or not for little. */
double
csm_newest_share(PlannerInfo *root, RelOptInfo *rel, Node *document, TSQuery query, double *of_rows)
{
	ListCell   *cell;

	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);
		Var		   *time;
		Window		window;

		if (!is_index_of(index, document))
			continue;
		time = time_of_slices((Node *) ((TargetEntry *) lsecond(index->indextlist))->expr);
		if (time == NULL || !newest_window(root, rel, time, &window))
			continue;
		*of_rows = window.rows;
		return Min(share_found(index->indexoid, query, &window), 1.0);
	}
	return -1;
}
