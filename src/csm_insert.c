/*
 * csm_insert.c
 *	  A row put into one of csm's own journals without a statement: the rows
 *	  that every change of a case leaves (history, events).
 *
 * As a statement each costs four times as much: a plan to start and end, a
 * snapshot, settings, a trigger for every foreign key.  What is written here is
 * made by the C code that calls, about a case whose row that code has locked,
 * so nothing of csm's own can find a fault.  Constraints of others are checked,
 * indexes kept, the log and logical decoding see an ordinary insert.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "csm_insert.h"
#include "csm_look.h"
#include "csm_target.h"

/* Of a foreign key between two of csm's tables; not of a deferrable key, which belongs to no other table. */
static bool
is_own_key(Relation relation, const Trigger *t)
{
	return t->tgisinternal && OidIsValid(t->tgconstrrelid) &&
		get_rel_namespace(t->tgconstrrelid) == RelationGetNamespace(relation);
}

/* What somebody attached to the table wants to hear of its rows. */
bool
csm_is_plain_table(Relation relation, int ncolumns, int16 event)
{
	TriggerDesc *triggers = relation->trigdesc;

	if ((ncolumns != 0 && RelationGetNumberOfAttributes(relation) != ncolumns) ||
		relation->rd_rel->relkind != RELKIND_RELATION || relation->rd_rules != NULL)
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *t = &triggers->triggers[i];

		if (t->tgenabled != TRIGGER_DISABLED && (t->tgtype & event) && !is_own_key(relation, t))
			return false;
	}
	return true;
}

bool
csm_insert_row(const char *table, int ncolumns, const Datum *values, const bool *nulls)
{
	Relation	relation = table_open(csm_look_oid(table), RowExclusiveLock);
	CsmTarget  *target;

	if (!csm_is_plain_table(relation, ncolumns, TRIGGER_TYPE_INSERT))
	{
		table_close(relation, NoLock);
		return false;
	}
	target = csm_target_take(relation);
	memcpy(target->slot->tts_values, values, ncolumns * sizeof(Datum));
	memcpy(target->slot->tts_isnull, nulls, ncolumns * sizeof(bool));
	ExecStoreVirtualTuple(target->slot);
	csm_target_check(target);

	table_tuple_insert(relation, target->slot, GetCurrentCommandId(true), 0, NULL);
	csm_target_insert_entries(target);

	csm_target_give(target);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	return true;
}
