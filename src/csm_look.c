/*
 * csm_look.c
 *	  Single rows of csm's tables, looked up through an index and not by a
 *	  statement: what triggers ask with every write of a case.  A query would cost
 *	  them several times as much, for a plan to start and end, settings and
 *	  snapshots.
 *
 * The snapshot is the latest, also where the transaction keeps an older one:
 * whoever asks holds the lock of the case, so what is committed by now is all
 * there is.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "csm_look.h"

#define MAX_KEYS 3

/* Tables, indexes and sequences by name, until the server says that a relation has changed. */
#define MAX_OIDS 64

static struct
{
	const char *name;
	Oid			oid;
}			oids[MAX_OIDS];
static int	noids = 0;

static void
forget_oids(Datum arg, int cache, uint32 hash)
{
	noids = 0;
}

Oid
csm_look_oid(const char *name)
{
	static bool listening = false;
	Oid			oid;

	for (int i = 0; i < noids; i++)
	{
		if (oids[i].name == name || strcmp(oids[i].name, name) == 0)
			return oids[i].oid;
	}
	if (!listening)
		CacheRegisterSyscacheCallback(RELOID, forget_oids, (Datum) 0);
	listening = true;
	oid = get_relname_relid(name, get_namespace_oid("csm", false));
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation csm.%s does not exist", name),
				 errhint("Restore it, or update the extension.")));
	if (noids < MAX_OIDS)
	{
		oids[noids].name = name;
		oids[noids++].oid = oid;
	}
	return oid;
}

static int
attnum_of(Relation table, const char *column)
{
	TupleDesc	desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, i)->attname), column) == 0)
			return i + 1;
	}
	elog(ERROR, "csm.%s has no column \"%s\"", RelationGetRelationName(table), column);
	return 0;
}

Datum
csm_look_value(HeapTuple tuple, Relation table, const char *column, bool *isnull)
{
	return heap_getattr(tuple, attnum_of(table, column), RelationGetDescr(table), isnull);
}

/* The first columns of the index are compared with the keys: bigint, or text where the column is. */
static void
look(const char *table_name, const char *index_name, int nkeys, const Datum *keys, bool all, CsmLookFn take, void *arg)
{
	Relation	table = table_open(csm_look_oid(table_name), AccessShareLock);
	Relation	index = index_open(csm_look_oid(index_name), AccessShareLock);
	Snapshot	snapshot;
	SysScanDesc scan;
	ScanKeyData scan_keys[MAX_KEYS];
	HeapTuple	tuple;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int i = 0; i < nkeys; i++)
	{
		int			column = index->rd_index->indkey.values[i];
		bool		text = TupleDescAttr(RelationGetDescr(table), column - 1)->atttypid == TEXTOID;

		ScanKeyEntryInitialize(&scan_keys[i], 0, column, BTEqualStrategyNumber, InvalidOid,
							   index->rd_indcollation[i], text ? F_TEXTEQ : F_INT8EQ, keys[i]);
	}
	scan = systable_beginscan_ordered(table, index, snapshot, nkeys, scan_keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, BackwardScanDirection)))
	{
		take(tuple, table, arg);
		if (!all)
			break;
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, NoLock);
	table_close(table, NoLock);
}

void
csm_look_last(const char *table, const char *index, int64 key, CsmLookFn take, void *arg)
{
	Datum		keys[1] = {Int64GetDatum(key)};

	look(table, index, 1, keys, false, take, arg);
}

void
csm_look_all(const char *table, const char *index, int64 key, CsmLookFn take, void *arg)
{
	Datum		keys[1] = {Int64GetDatum(key)};

	look(table, index, 1, keys, true, take, arg);
}

void
csm_look_row(const char *table, const char *index, int64 id, int64 tenant_id, CsmLookFn take, void *arg)
{
	Datum		keys[2] = {Int64GetDatum(id), Int64GetDatum(tenant_id)};

	look(table, index, 2, keys, false, take, arg);
}

static void
take_any(HeapTuple tuple, Relation table, void *arg)
{
	*(bool *) arg = true;
}

bool
csm_look_any(const char *table, const char *index, int64 key)
{
	bool		found = false;

	csm_look_last(table, index, key, take_any, &found);
	return found;
}

void
csm_look_timer(const char *kind, int64 object_id, int64 tenant_id, CsmLookFn take, void *arg)
{
	Datum		keys[MAX_KEYS];

	keys[0] = CStringGetTextDatum(kind);
	keys[1] = Int64GetDatum(object_id);
	keys[2] = Int64GetDatum(tenant_id);
	look("timers", "timers_pkey", MAX_KEYS, keys, false, take, arg);
}

static void
take_name(HeapTuple tuple, Relation table, void *arg)
{
	bool		isnull;
	Datum		name = csm_look_value(tuple, table, "display_name", &isnull);

	if (!isnull)
		*(char **) arg = TextDatumGetCString(name);
}

char *
csm_look_person_name(int64 user_id)
{
	char	   *name = NULL;

	if (user_id != 0)
		csm_look_last("users", "users_pkey", user_id, take_name, &name);
	return name;
}
