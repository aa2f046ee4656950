/*
 * csm_history_store.c
 *	  The chain of a case as csm.case_history keeps it: its last link, and a new
 *	  one.
 *
 * The last link is read straight from the index: the trigger that asks runs with
 * every write of a case, and a query would cost it more than all the rest of a
 * link but the insert.  The snapshot is the latest, also where the transaction
 * keeps an older one: whoever asks holds the lock of the case, so what is
 * committed by now is all there is.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "csm_history.h"
#include "csm_insert.h"
#include "csm_spi.h"

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
	head->at = DatumGetTimestampTz(value_of(tuple, table, "at", &isnull));
	hash = DatumGetByteaPP(value_of(tuple, table, "hash", &isnull));
	memcpy(head->hash, VARDATA_ANY(hash), Min(VARSIZE_ANY_EXHDR(hash), CSM_HASH_BYTES));
}

void
csm_history_head(int64 case_id, CsmHead *head)
{
	memset(head, 0, sizeof(*head));
	last_of("case_history", "case_history_chain_key", "case_id", case_id, take_head, head);
}

static int64
next_id(void)
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
static char *
name_of(int64 user_id)
{
	char	   *name = NULL;

	if (user_id != 0)
		last_of("users", "users_pkey", "id", user_id, take_name, &name);
	return name;
}

/* ---- appending ---- */

static bytea *
to_bytea(const uint8 *bytes, int len)
{
	bytea	   *result = (bytea *) palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

static void
insert_link(const CsmLink *link, const uint8 *salt, const Jsonb *payload, const uint8 *hash)
{
	static const char sql[] =
		"INSERT INTO csm.case_history (id, tenant_id, case_id, seq, at, action, actor_id, actor_name,"
		"    persona, relation, on_behalf_of, audience, payload, salt, payload_hash, previous_hash, hash)"
		" OVERRIDING SYSTEM VALUE"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
	static Oid	types[17] = {
		INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID,
		TEXTOID, TEXTOID, INT8OID, TEXTOID, JSONBOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID
	};
	Datum		values[17] = {0};
	char		nulls[17];
	bool		isnull[17];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(link->id);
	values[1] = Int64GetDatum(link->tenant_id);
	values[2] = Int64GetDatum(link->case_id);
	values[3] = Int64GetDatum(link->seq);
	values[4] = TimestampTzGetDatum(link->at);
	values[5] = CStringGetTextDatum(link->action);
	values[6] = Int64GetDatum(link->actor_id);
	nulls[6] = link->actor_id ? ' ' : 'n';
	values[7] = CStringGetTextDatum(link->actor_name);
	if (link->persona)
		values[8] = CStringGetTextDatum(link->persona);
	nulls[8] = link->persona ? ' ' : 'n';
	if (link->relation)
		values[9] = CStringGetTextDatum(link->relation);
	nulls[9] = link->relation ? ' ' : 'n';
	values[10] = Int64GetDatum(link->on_behalf_of);
	nulls[10] = link->on_behalf_of ? ' ' : 'n';
	values[11] = CStringGetTextDatum(link->audience);
	values[12] = PointerGetDatum(payload);
	values[13] = PointerGetDatum(to_bytea(salt, CSM_SALT_BYTES));
	values[14] = PointerGetDatum(to_bytea(link->payload_hash, CSM_HASH_BYTES));
	if (!link->first)
		values[15] = PointerGetDatum(to_bytea(link->previous, CSM_HASH_BYTES));
	nulls[15] = link->first ? 'n' : ' ';
	values[16] = PointerGetDatum(to_bytea(hash, CSM_HASH_BYTES));
	for (int i = 0; i < (int) lengthof(values); i++)
		isnull[i] = nulls[i] == 'n';
	if (!csm_insert_row("case_history", lengthof(values), values, isnull))
		csm_spi_write(sql, 17, types, values, nulls, NULL, NULL);
}

/* Chains the link to the head, which then is the link. */
void
csm_history_append(CsmLink *link, const Jsonb *payload, CsmHead *head)
{
	uint8		salt[CSM_SALT_BYTES];

	if (!pg_strong_random(salt, sizeof(salt)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes for the history of a case")));
	if (link->actor_name == NULL)
		link->actor_name = name_of(link->actor_id);
	if (link->actor_name == NULL)
		link->actor_name = "system";
	link->id = next_id();
	link->seq = head->seq + 1;
	link->first = head->seq == 0;
	memcpy(link->previous, head->hash, CSM_HASH_BYTES);
	csm_hash_payload(salt, link->actor_name, payload, link->payload_hash);
	csm_hash_link(link, head->hash);
	insert_link(link, salt, payload, head->hash);
	head->seq = link->seq;
}
