/*
 * csm_insert.c
 *	  A row put into one of csm's own journals without a statement: the rows
 *	  that every change of a case leaves (history, events).
 *
 * As a statement each costs four times as much: a plan to start and end, a
 * snapshot, settings, a trigger for every foreign key.  What is written here is
 * made by the C code that calls, about a case whose row that code has locked,
 * so nothing of that can find a fault.  Indexes are kept, unique ones checked,
 * the log and logical decoding see an ordinary insert.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "csm_compat.h"
#include "csm_insert.h"

/* What somebody attached to the table wants to hear of its rows. */
bool
csm_is_plain_table(Relation relation, int ncolumns, int16 event)
{
	TriggerDesc *triggers = relation->trigdesc;

	if ((ncolumns != 0 && RelationGetNumberOfAttributes(relation) != ncolumns) ||
		relation->rd_rel->relkind != RELKIND_RELATION)
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *t = &triggers->triggers[i];

		if (!t->tgisinternal && t->tgenabled != TRIGGER_DISABLED && (t->tgtype & event))
			return false;
	}
	return true;
}

static Oid
journal(const char *table)
{
	return get_relname_relid(table, get_namespace_oid("csm", false));
}

bool
csm_insert_row(const char *table, int ncolumns, const Datum *values, const bool *nulls)
{
	Relation	relation = table_open(journal(table), RowExclusiveLock);
	EState	   *estate;
	ResultRelInfo *target;
	TupleTableSlot *slot;

	if (!csm_is_plain_table(relation, ncolumns, TRIGGER_TYPE_INSERT))
	{
		table_close(relation, NoLock);
		return false;
	}
	estate = CreateExecutorState();
	target = makeNode(ResultRelInfo);
	InitResultRelInfo(target, relation, 0, NULL, 0);
	ExecOpenIndices(target, false);
	slot = table_slot_create(relation, NULL);
	memcpy(slot->tts_values, values, ncolumns * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, ncolumns * sizeof(bool));
	ExecStoreVirtualTuple(slot);

	table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
	if (target->ri_NumIndices > 0)
		list_free(csm_insert_index_tuples(target, slot, estate));

	ExecDropSingleTupleTableSlot(slot);
	ExecCloseIndices(target);
	FreeExecutorState(estate);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	return true;
}
