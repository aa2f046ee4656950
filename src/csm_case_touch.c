/*
 * csm_case_touch.c
 *	  A case written as it stands, for what its guard makes of an announced
 *	  intent: every comment does that to its case.
 *
 * As a statement it costs twice as much: a plan to revalidate and start, all
 * indexes opened although none changes, constraints and the generated column
 * made ready and reckoned anew although nothing they look at has changed.  Here the
 * row is locked, the guard called, the row written and the AFTER triggers fired,
 * in the order and under the snapshots of the statement.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "csm_case_row.h"
#include "csm_case_touch.h"
#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_spi.h"
#include "csm_target.h"

/* ---- whether a statement would do more ---- */

static bool
fires_for(const Trigger *t, int attnum)
{
	if (t->tgenabled == TRIGGER_DISABLED || t->tgenabled == TRIGGER_FIRES_ON_REPLICA)
		return false;
	for (int i = 0; i < t->tgnattr; i++)
	{
		if (t->tgattr[i] == attnum)
			return true;
	}
	return t->tgnattr == 0;
}

static bool
is_guard(const Trigger *t)
{
	FmgrInfo	function;

	fmgr_info(t->tgfoid, &function);
	return function.fn_addr == csm_case_guard && t->tgqual == NULL;
}

/* The guard is the one BEFORE trigger, and nobody asked to hear of statements, of their rows together or of updated_at. */
static bool
as_installed(Relation cases, int updated_at)
{
	TriggerDesc *triggers = cases->trigdesc;
	bool		guarded = false;

	if (triggers == NULL || cases->rd_rules != NULL || cases->rd_rel->relkind != RELKIND_RELATION ||
		SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ||
		triggers->trig_update_before_statement || triggers->trig_update_after_statement ||
		triggers->trig_update_old_table || triggers->trig_update_new_table)
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *t = &triggers->triggers[i];

		if (!TRIGGER_FOR_UPDATE(t->tgtype) || !TRIGGER_FOR_ROW(t->tgtype) || !fires_for(t, updated_at))
			continue;
		if (t->tgnattr > 0)
			return false;
		if (!TRIGGER_FOR_BEFORE(t->tgtype))
			continue;
		if (guarded || !is_guard(t))
			return false;
		guarded = true;
	}
	return guarded;
}

/* ---- the row ---- */

static void
refuse_concurrent(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/* The latest version of the row, locked as an UPDATE locks it; false where there is none. */
static bool
lock_row(Relation cases, int64 case_id, int64 tenant_id, TupleTableSlot *slot)
{
	bool		fixed = IsolationUsesXactSnapshot();
	TM_FailureData failure;
	ItemPointerData tid;
	TM_Result	result;

	if (!csm_case_find(cases, case_id, tenant_id, GetActiveSnapshot(), slot))
		return false;
	tid = slot->tts_tid;
	result = table_tuple_lock(cases, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive, LockWaitBlock,
							  fixed ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (fixed && (result == TM_Updated || result == TM_Deleted))
		refuse_concurrent();
	if (result != TM_Ok && result != TM_Deleted)
		elog(ERROR, "unexpected result %d of locking case " INT64_FORMAT, (int) result, case_id);
	return result == TM_Ok;
}

static HeapTuple
guard(Relation cases, HeapTuple tuple)
{
	LOCAL_FCINFO(call, 0);
	TriggerData data = {
		.type = T_TriggerData,
		.tg_event = TRIGGER_EVENT_UPDATE | TRIGGER_EVENT_ROW | TRIGGER_EVENT_BEFORE,
		.tg_relation = cases,
		.tg_trigtuple = tuple,
		.tg_newtuple = tuple
	};

	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, (Node *) &data, NULL);
	return (HeapTuple) DatumGetPointer(csm_case_guard(call));
}

/* ---- writing it ---- */

/* Columns that no constraint of the install script and no generated column looks at. */
static bool
is_free(const CsmCaseRow *row, int place)
{
	static const CsmCaseColumn columns[] = {
		CASE_updated_at, CASE_needs_attention, CASE_first_response_at, CASE_last_response_at, CASE_follow_the_sun
	};

	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		if (row->at[columns[i]] == place)
			return true;
	}
	return false;
}

/* Does what held for the row hold for its new version? */
static bool
still_fits(Relation cases, HeapTuple before, HeapTuple after)
{
	TupleDesc	desc = RelationGetDescr(cases);
	int			generated = 0;
	CsmCaseRow	was;
	CsmCaseRow	is;

	if (desc->constr == NULL || desc->constr->num_check > 1)
		return false;
	csm_case_row_open(&was, before, desc);
	csm_case_row_open(&is, after, desc);
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		if (TupleDescAttr(desc, i)->attgenerated && ++generated > 1)
			return false;
		if (csm_case_row_differs(&was, &is, i) && !is_free(&is, i))
			return false;
	}
	return true;
}

static void
write_row(Relation cases, HeapTuple before, HeapTuple after)
{
	CsmTarget  *target = csm_target_take(cases);
	TupleTableSlot *slot = target->slot;
	ItemPointerData tid = before->t_self;
	CommandId	command = GetCurrentCommandId(true);
	csm_update_indexes changed;
	TM_FailureData failure;
	LockTupleMode mode;
	List	   *to_check;

	ExecForceStoreHeapTuple(after, slot, false);
	slot->tts_tableOid = RelationGetRelid(cases);
	if (!still_fits(cases, before, after))
	{
		ExecComputeStoredGenerated(target->rel, target->estate, slot, CMD_UPDATE);
		ExecConstraints(target->rel, slot, target->estate);
	}
	AfterTriggerBeginQuery();
	if (table_tuple_update(cases, &tid, slot, command, GetActiveSnapshot(), InvalidSnapshot,
						   true, &failure, &mode, &changed) != TM_Ok)
		elog(ERROR, "a locked case could not be written");
	to_check = csm_target_update_entries(target, changed);
	ExecARUpdateTriggers(target->estate, target->rel, NULL, NULL, &tid, NULL, slot, to_check, NULL, false);
	AfterTriggerEndQuery(target->estate);
	csm_target_give(target);
}

static void
touch(Relation cases, int64 case_id, int64 tenant_id)
{
	TupleTableSlot *slot = table_slot_create(cases, NULL);

	if (lock_row(cases, case_id, tenant_id, slot))
	{
		bool		copied;
		HeapTuple	before = ExecFetchSlotHeapTuple(slot, false, &copied);
		HeapTuple	after = guard(cases, before);

		if (after != NULL)
			write_row(cases, before, after);
	}
	ExecDropSingleTupleTableSlot(slot);
}

bool
csm_case_touch(int64 case_id, int64 tenant_id)
{
	Relation	cases = table_open(csm_look_oid("cases"), RowExclusiveLock);
	bool		suits = as_installed(cases, csm_case_attnum(RelationGetDescr(cases), CASE_updated_at));
	CsmCaller	caller;

	if (suits)
	{
		CheckCmdReplicaIdentity(cases, CMD_UPDATE);
		csm_become_owner(&caller);
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		touch(cases, case_id, tenant_id);
		PopActiveSnapshot();
		CommandCounterIncrement();
		csm_become_caller(&caller);
	}
	table_close(cases, NoLock);
	return suits;
}
