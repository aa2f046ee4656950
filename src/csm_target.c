/*
 * csm_target.c
 *	  What writing a row of a table without a statement needs: an executor's
 *	  state, the table's triggers, constraints and indexes with their expressions
 *	  ready to run, slots.
 *
 * The server makes all that anew for every statement.  Here it is kept for the
 * session, until the server says that the table, an index or a function has
 * changed.  The relations themselves are opened for each row.
 *
 * Who takes a target has it for himself: its memory is the caller's until he
 * gives it back, so an error frees it, and whoever writes the same table
 * meanwhile (a trigger) gets another.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/pg_am_d.h"
#include "executor/executor.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "csm_compat.h"
#include "csm_target.h"

typedef struct CsmPlace
{
	Oid			relid;
	uint32		changes;		/* counts what the server said of the table, also of its indexes */
	CsmTarget  *kept;
} CsmPlace;

/* More tables than csm writes in this way; of one too many nothing is kept. */
#define MAX_PLACES 12

static CsmPlace places[MAX_PLACES];
static int	nplaces = 0;

/* ---- changes ---- */

static void
relation_changed(Datum arg, Oid relid)
{
	for (int i = 0; i < nplaces; i++)
	{
		if (relid == InvalidOid || relid == places[i].relid)
			places[i].changes++;
	}
}

/* A trigger, a constraint or an index may call it. */
static void
function_changed(Datum arg, int cache, uint32 hash)
{
	relation_changed(arg, InvalidOid);
}

static CsmPlace *
place_of(Oid relid)
{
	for (int i = 0; i < nplaces; i++)
	{
		if (places[i].relid == relid)
			return &places[i];
	}
	if (nplaces == MAX_PLACES)
		return NULL;
	if (nplaces == 0)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
	}
	places[nplaces].relid = relid;
	return &places[nplaces++];
}

/* ---- targets ---- */

/* A slot with a description of its own: that of a relation is counted by the transaction. */
static TupleTableSlot *
make_slot(Relation relation, TupleDesc desc)
{
	return MakeSingleTupleTableSlot(desc, table_slot_callbacks(relation));
}

static CsmTarget *
build(Relation relation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "csm target", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsmTarget  *target = (CsmTarget *) palloc0(sizeof(CsmTarget));
	TupleDesc	desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));

	target->context = context;
	target->estate = CreateExecutorState();
	target->rel = makeNode(ResultRelInfo);
	InitResultRelInfo(target->rel, relation, 0, NULL, 0);
	target->rel->ri_TrigOldSlot = make_slot(relation, desc);
	target->rel->ri_TrigNewSlot = make_slot(relation, desc);
	target->slot = make_slot(relation, desc);
	target->estate->es_opened_result_relations = list_make1(target->rel);
	MemoryContextSwitchTo(old);
	return target;
}

CsmTarget *
csm_target_take(Relation relation)
{
	CsmPlace   *place = place_of(RelationGetRelid(relation));
	CsmTarget  *target = place ? place->kept : NULL;

	if (target != NULL && target->changes != place->changes)
	{
		place->kept = NULL;
		MemoryContextDelete(target->context);
		target = NULL;
	}
	if (target != NULL)
	{
		place->kept = NULL;
		MemoryContextSetParent(target->context, CurrentMemoryContext);
		target->rel->ri_RelationDesc = relation;
		return target;
	}
	target = build(relation);
	target->place = place;
	target->changes = place ? place->changes : 0;
	return target;
}

void
csm_target_give(CsmTarget *target)
{
	CsmPlace   *place = target->place;

	ExecClearTuple(target->slot);
	ExecClearTuple(target->rel->ri_TrigOldSlot);
	ExecClearTuple(target->rel->ri_TrigNewSlot);
	ResetPerTupleExprContext(target->estate);
	if (place == NULL || place->kept != NULL || place->changes != target->changes || target->passing)
	{
		MemoryContextDelete(target->context);
		return;
	}
	MemoryContextSetParent(target->context, CacheMemoryContext);
	place->kept = target;
}

/* ---- constraints ---- */

/*
 * How many CHECK constraints a journal has, which the rows that csm makes
 * satisfy.  More of them than these are all checked; who drops one of csm's and
 * adds his own in its place is not heard.
 */
static int
installed_checks(Relation relation)
{
	static const struct
	{
		const char *table;
		int			checks;
	}			installed[] = {{"events", 5}, {"timers", 2}, {"case_slas", 1}, {"sla_events", 1}};

	for (int i = 0; i < (int) lengthof(installed); i++)
	{
		if (strcmp(RelationGetRelationName(relation), installed[i].table) == 0)
			return installed[i].checks;
	}
	return 0;
}

static bool
lacks_value(TupleDesc desc, const bool *nulls)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (nulls[i] && TupleDescAttr(desc, i)->attnotnull)
			return true;
	}
	return false;
}

/* Somebody may have added constraints of his own. */
void
csm_target_check(CsmTarget *target)
{
	Relation	relation = target->rel->ri_RelationDesc;
	TupleDesc	desc = RelationGetDescr(relation);

	target->slot->tts_tableOid = RelationGetRelid(relation);
	if (desc->constr != NULL &&
		(desc->constr->num_check != installed_checks(relation) || lacks_value(desc, target->slot->tts_isnull)))
		ExecConstraints(target->rel, target->slot, target->estate);
}

/* ---- indexes ---- */

/* Other kinds than btree keep something in it that ends with the statement. */
static void
open_anew(CsmTarget *target)
{
	MemoryContext old = MemoryContextSwitchTo(target->context);
	ResultRelInfo *rel = target->rel;

	ExecOpenIndices(rel, false);
	target->indexes = (Oid *) palloc((rel->ri_NumIndices + 1) * sizeof(Oid));
	for (int i = 0; i < rel->ri_NumIndices; i++)
	{
		target->indexes[i] = RelationGetRelid(rel->ri_IndexRelationDescs[i]);
		if (rel->ri_IndexRelationDescs[i]->rd_rel->relam != BTREE_AM_OID)
			target->passing = true;
	}
	MemoryContextSwitchTo(old);
}

static void
open_indexes(CsmTarget *target)
{
	if (target->indexes == NULL)
	{
		open_anew(target);
		return;
	}
	for (int i = 0; i < target->rel->ri_NumIndices; i++)
		target->rel->ri_IndexRelationDescs[i] = index_open(target->indexes[i], RowExclusiveLock);
}

static void
close_indexes(CsmTarget *target)
{
	for (int i = 0; i < target->rel->ri_NumIndices; i++)
	{
		csm_index_insert_cleanup(target->rel->ri_IndexRelationDescs[i], target->rel->ri_IndexRelationInfo[i]);
		index_close(target->rel->ri_IndexRelationDescs[i], NoLock);
	}
}

void
csm_target_insert_entries(CsmTarget *target)
{
	open_indexes(target);
	if (target->rel->ri_NumIndices > 0)
		list_free(csm_insert_index_tuples(target->rel, target->slot, target->estate));
	close_indexes(target);
}

List *
csm_target_update_entries(CsmTarget *target, csm_update_indexes changed)
{
	List	   *to_check = NIL;

	if (!csm_any_index(changed))
		return NIL;
	open_indexes(target);
	if (target->rel->ri_NumIndices > 0)
		to_check = csm_update_index_tuples(target->rel, target->slot, target->estate, changed);
	close_indexes(target);
	return to_check;
}
