/*
 * csm_history_head.c
 *	  What a new link continues: the last link of its case, read straight from
 *	  the index.
 *
 * The trigger that asks runs with every write of a case; a query would cost it
 * more than all the rest of a link together, but for the insert.  The snapshot
 * is the latest, also where the transaction keeps an older one: whoever asks
 * holds the lock of the case, so what is committed by now is all there is.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "csm_history.h"

static Oid
relation_named(const char *name)
{
	Oid			oid = get_relname_relid(name, get_namespace_oid("csm", false));

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation csm.%s does not exist", name),
				 errhint("Restore it, or update the extension.")));
	return oid;
}

static Datum
value_of(HeapTuple tuple, Relation table, const char *column, bool *isnull)
{
	return heap_getattr(tuple, get_attnum(RelationGetRelid(table), column), RelationGetDescr(table), isnull);
}

/*
 * Calls take with the last row, in the order of the index, whose first column
 * is the key.
 */
static void
last_of(const char *table_name, const char *index_name, const char *column, int64 key,
		void (*take) (HeapTuple tuple, Relation table, void *arg), void *arg)
{
	Relation	table = table_open(relation_named(table_name), AccessShareLock);
	Relation	index = index_open(relation_named(index_name), AccessShareLock);
	Snapshot	snapshot;
	SysScanDesc scan;
	ScanKeyData scan_key;
	HeapTuple	tuple;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyInit(&scan_key, get_attnum(RelationGetRelid(table), column),
				BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
	scan = systable_beginscan_ordered(table, index, snapshot, 1, &scan_key);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	if (HeapTupleIsValid(tuple))
		take(tuple, table, arg);
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(table, AccessShareLock);
}

static void
take_head(HeapTuple tuple, Relation table, void *arg)
{
	CsmHead    *head = (CsmHead *) arg;
	bool		isnull;
	bytea	   *hash;

	head->seq = DatumGetInt64(value_of(tuple, table, "seq", &isnull));
	hash = DatumGetByteaPP(value_of(tuple, table, "hash", &isnull));
	memcpy(head->hash, VARDATA_ANY(hash), Min(VARSIZE_ANY_EXHDR(hash), CSM_HASH_BYTES));
}

void
csm_history_head(int64 case_id, CsmHead *head)
{
	memset(head, 0, sizeof(*head));
	last_of("case_history", "case_history_chain_key", "case_id", case_id, take_head, head);
}

int64
csm_history_next_id(void)
{
	return nextval_internal(relation_named("case_history_id_seq"), false);
}

static void
take_name(HeapTuple tuple, Relation table, void *arg)
{
	bool		isnull;
	Datum		name = value_of(tuple, table, "display_name", &isnull);

	if (!isnull)
		*(char **) arg = TextDatumGetCString(name);
}

/* NULL: no such person */
char *
csm_history_actor_name(int64 user_id)
{
	char	   *name = NULL;

	if (user_id != 0)
		last_of("users", "users_pkey", "id", user_id, take_name, &name);
	return name;
}
