/*
 * csm_tree.c
 *	  Whether a transaction with one snapshot may still reckon with the account
 *	  tree that it sees.
 *
 * Paths are derived from parents.  Under READ COMMITTED the tree lock is taken
 * before the snapshot that reads them.  Under REPEATABLE READ and SERIALIZABLE
 * the snapshot is older than the lock: a parent may have moved, or a child have
 * been born, since.  No row that the transaction writes would tell it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"

#include "csm.h"
#include "csm_spi.h"

typedef struct TreeState
{
	int64		moves;
	int64		accounts;
	int64		last;
} TreeState;

static int64
take_number(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
take_state(HeapTuple tuple, TupleDesc desc, void *arg)
{
	TreeState  *state = arg;

	state->moves = take_number(tuple, desc, 1);
	state->accounts = take_number(tuple, desc, 2);
	state->last = take_number(tuple, desc, 3);
}

PG_FUNCTION_INFO_V1(csm_tree_is_current);

/* The caller holds the tenant's tree lock, so the answer stays true. */
Datum
csm_tree_is_current(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"SELECT (SELECT moves FROM csm_private.tree_moves WHERE tenant_id = $1), count(*), max(id)"
		" FROM csm.accounts WHERE tenant_id = $1";
	static const Oid types[1] = {INT8OID};
	Datum		values[1];
	TreeState	own = {0};
	TreeState	latest = {0};

	if (!IsolationUsesXactSnapshot())
		PG_RETURN_BOOL(true);
	values[0] = PG_GETARG_DATUM(0);
	csm_spi_query(sql, 1, types, values, NULL, take_state, &own);
	csm_spi_query_latest(sql, 1, types, values, NULL, take_state, &latest);
	PG_RETURN_BOOL(own.moves == latest.moves && own.accounts == latest.accounts && own.last == latest.last);
}
