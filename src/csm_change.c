/*
 * csm_change.c
 *	  A row of csm's own tables changed, deleted, or held as a foreign key holds
 *	  it, without a statement: SLAs and timers, which move with their case.
 *
 * Whoever calls holds the lock of the case, as all who write these rows do, so
 * what was found is what there is.  Where that does not hold after all (a
 * superuser at work, a runner who claimed the timer first), the caller has a
 * statement, which waits, looks again, and reports what is wrong.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "csm_change.h"
#include "csm_insert.h"
#include "csm_look.h"
#include "csm_target.h"

bool
csm_change_row(const char *table, ItemPointer at, int ncolumns, const Datum *values, const bool *nulls)
{
	Relation	relation = table_open(csm_look_oid(table), RowExclusiveLock);
	CsmTarget  *target;
	TupleTableSlot *slot;
	TM_FailureData failure;
	LockTupleMode mode;
	csm_update_indexes indexes;
	bool		done;

	if (!ItemPointerIsValid(at) || !csm_is_plain_table(relation, ncolumns, TRIGGER_TYPE_UPDATE))
	{
		table_close(relation, NoLock);
		return false;
	}
	CheckCmdReplicaIdentity(relation, CMD_UPDATE);
	target = csm_target_take(relation);
	slot = target->slot;
	memcpy(slot->tts_values, values, ncolumns * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, ncolumns * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	csm_target_check(target);

	done = table_tuple_update(relation, at, slot, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot,
							  true, &failure, &mode, &indexes) == TM_Ok;
	if (done)
		list_free(csm_target_update_entries(target, indexes));
	*at = slot->tts_tid;
	csm_target_give(target);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	return done;
}

bool
csm_delete_row(const char *table, ItemPointer at)
{
	Relation	relation = table_open(csm_look_oid(table), RowExclusiveLock);
	TM_FailureData failure;
	bool		done = false;

	if (csm_is_plain_table(relation, 0, TRIGGER_TYPE_DELETE))
	{
		CheckCmdReplicaIdentity(relation, CMD_DELETE);
		done = table_tuple_delete(relation, at, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot,
								  true, &failure, false) == TM_Ok;
	}
	table_close(relation, NoLock);
	CommandCounterIncrement();
	return done;
}

static void
lock_key(HeapTuple tuple, Relation table, void *arg)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TM_FailureData failure;

	*(TM_Result *) arg = table_tuple_lock(table, &tuple->t_self, GetLatestSnapshot(), slot, GetCurrentCommandId(false),
										  LockTupleKeyShare, LockWaitBlock, 0, &failure);
	ExecDropSingleTupleTableSlot(slot);
}

/* A row that was changed after it was found is looked for again. */
bool
csm_hold_row(const char *table, const char *index, int64 id, int64 tenant_id)
{
	Relation	relation = table_open(csm_look_oid(table), RowShareLock);
	TM_Result	result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		result = TM_Deleted;
		csm_look_row(table, index, id, tenant_id, lock_key, &result);
	} while (result == TM_Updated);
	table_close(relation, NoLock);
	return result == TM_Ok;
}
