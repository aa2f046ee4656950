/*
 * csm_case_fetch.c
 *	  The case of a child row: found by its key, judged by the rule of
 *	  csm.cases.
 *
 * Entries are visible through their case.  An EXISTS in the policy says so too,
 * but the planner plans it anew with all the arms of csm.cases for every query
 * on entries, executed or not, and sets up an executor for it.  Here one row is
 * read through the primary key under the snapshot of the statement, and
 * csm_case_permits() judges it: the rule of the policies of csm.cases for a row
 * in hand, which the differential test compares with them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "csm_actor.h"
#include "csm_case_row.h"
#include "csm_compat.h"
#include "csm_spi.h"

/* Looked up again when it is gone: the extension may have been made anew. */
static Relation
open_cases(void)
{
	static Oid	cases = InvalidOid;
	Relation	relation = OidIsValid(cases) ? try_table_open(cases, AccessShareLock) : NULL;

	if (relation == NULL)
	{
		cases = get_relname_relid("cases", get_namespace_oid("csm", false));
		relation = table_open(cases, AccessShareLock);
	}
	return relation;
}

/* Puts the row into the slot; false where the snapshot holds no such case. */
bool
csm_case_find(Relation cases, int64 case_id, int64 tenant_id, Snapshot snapshot, TupleTableSlot *slot)
{
	Relation	index = index_open(csm_primary_key(cases), AccessShareLock);
	IndexScanDesc scan = csm_index_beginscan(cases, index, snapshot, 2);
	ScanKeyData key[2];
	bool		found;

	ScanKeyInit(&key[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(case_id));
	ScanKeyInit(&key[1], 2, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(tenant_id));
	index_rescan(scan, key, 2, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return found;
}

/* Calls take with the row while it is held. */
static bool
fetch(int64 case_id, int64 tenant_id, Snapshot snapshot, void (*take) (TupleTableSlot *slot, void *arg), void *arg)
{
	Relation	cases = open_cases();
	TupleTableSlot *slot = table_slot_create(cases, NULL);
	bool		found = csm_case_find(cases, case_id, tenant_id, snapshot, slot);

	if (found)
		take(slot, arg);
	ExecDropSingleTupleTableSlot(slot);
	table_close(cases, NoLock);
	return found;
}

static void
take_keys(TupleTableSlot *slot, void *arg)
{
	csm_case_slot_keys(slot, (CsmCaseKeys *) arg);
}

static bool
fetch_keys(int64 case_id, int64 tenant_id, CsmCaseKeys *keys)
{
	return fetch(case_id, tenant_id, GetActiveSnapshot(), take_keys, keys);
}

typedef struct Taker
{
	void		(*take) (const CsmCaseRow *row, void *arg);
	void	   *arg;
} Taker;

static void
take_row(TupleTableSlot *slot, void *arg)
{
	Taker	   *taker = (Taker *) arg;
	bool		free_it;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &free_it);
	CsmCaseRow	row;

	csm_case_row_open(&row, tuple, slot->tts_tupleDescriptor);
	taker->take(&row, taker->arg);
}

/* The case as it is committed by now, for triggers; what take keeps, it copies. */
bool
csm_case_fetch(int64 case_id, int64 tenant_id, void (*take) (const CsmCaseRow *row, void *arg), void *arg)
{
	Taker		taker = {take, arg};
	Snapshot	snapshot = RegisterSnapshot(csm_spi_latest() ? GetLatestSnapshot() : GetTransactionSnapshot());
	bool		found = fetch(case_id, tenant_id, snapshot, take_row, &taker);

	UnregisterSnapshot(snapshot);
	return found;
}

/* What a call site knows of the case that it saw last. */
typedef struct SeenCase
{
	uint64		statement;
	int64		case_id;
	int64		tenant_id;
	bool		readable;
	CsmCaseKeys keys;
} SeenCase;

/*
 * Entries of a case come one after the other, so the last row is kept for as
 * long as person, statement and snapshot are the same.
 */
static const SeenCase *
see_case(FmgrInfo *site, int64 case_id, int64 tenant_id)
{
	SeenCase   *seen = (SeenCase *) site->fn_extra;

	if (seen == NULL)
	{
		seen = (SeenCase *) MemoryContextAllocZero(site->fn_mcxt, sizeof(SeenCase));
		site->fn_extra = seen;
	}
	if (seen->statement == csm_map_statement() && seen->case_id == case_id && seen->tenant_id == tenant_id)
		return seen;

	seen->statement = 0;
	seen->readable = fetch_keys(case_id, tenant_id, &seen->keys) &&
		csm_case_permits(&seen->keys, CSM_CASE_READ);
	seen->case_id = case_id;
	seen->tenant_id = tenant_id;
	seen->statement = csm_map_statement();
	return seen;
}

static bool
is_text(text *value, const char *word)
{
	return VARSIZE_ANY_EXHDR(value) == strlen(word) &&
		memcmp(VARDATA_ANY(value), word, strlen(word)) == 0;
}

PG_FUNCTION_INFO_V1(csm_entry_allows);

/*
 * csm_private.entry_allows(case_id, tenant_id, branch, visibility, side).
 * Staff who see all of a branch need no look at the case.
 */
Datum
csm_entry_allows(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();
	int64		tenant_id = PG_GETARG_INT64(1);
	text	   *name = PG_GETARG_TEXT_PP(2);
	text	   *visibility = PG_GETARG_TEXT_PP(3);
	text	   *side = PG_GETARG_TEXT_PP(4);
	bool		shared = is_text(visibility, "shared");
	const SeenCase *seen;
	int			branch;

	if (map == NULL)
		PG_RETURN_BOOL(false);
	branch = csm_branch_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	if (branch >= 0 &&
		(csm_map_all(map, tenant_id, (CsmBranch) branch, CSM_CASE_WORK) ||
		 (shared && csm_map_all(map, tenant_id, (CsmBranch) branch, CSM_CASE_READ))))
		PG_RETURN_BOOL(true);

	seen = see_case(fcinfo->flinfo, PG_GETARG_INT64(0), tenant_id);
	if (!seen->readable || shared)
		PG_RETURN_BOOL(seen->readable);
	if (is_text(visibility, "internal"))
		PG_RETURN_BOOL(csm_case_permits(&seen->keys, CSM_CASE_WORK));
	PG_RETURN_BOOL(csm_case_side_permits(&seen->keys, is_text(side, "customer") ? CSM_SIDE_CUSTOMER :
										 is_text(side, "counterparty") ? CSM_SIDE_COUNTERPARTY :
										 CSM_SIDE_OPERATOR));
}

PG_FUNCTION_INFO_V1(csm_case_allows_by_id);

/* csm_private.case_allows(case_id, tenant_id, action) */
Datum
csm_case_allows_by_id(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(2);
	int			action = csm_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
	CsmCaseKeys keys;

	PG_RETURN_BOOL(action >= 0 && csm_map_current() != NULL &&
				   fetch_keys(PG_GETARG_INT64(0), PG_GETARG_INT64(1), &keys) &&
				   csm_case_permits(&keys, CSM_CASE_READ) &&
				   (action == CSM_CASE_READ || csm_case_permits(&keys, (CsmAction) action)));
}
