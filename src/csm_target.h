/*
 * csm_target.h
 *	  What writing a row of a table without a statement needs.
 */
#ifndef CSM_TARGET_H
#define CSM_TARGET_H

#include "nodes/execnodes.h"

#include "csm_compat.h"

typedef struct CsmTarget
{
	EState	   *estate;
	ResultRelInfo *rel;
	TupleTableSlot *slot;		/* for the new row */
	MemoryContext context;
	struct CsmPlace *place;
	uint32		changes;
	Oid		   *indexes;		/* NULL: not opened yet */
	bool		passing;		/* something in it ends with the statement */
} CsmTarget;

/*
 * Taken for a relation that the caller has opened and locked; until it is given
 * back it is the caller's alone.  After an error there is nothing to clean up.
 */
extern CsmTarget *csm_target_take(Relation relation);
extern void csm_target_give(CsmTarget *target);

/* An error where the row in the slot, values in its arrays, violates a constraint that somebody added. */
extern void csm_target_check(CsmTarget *target);

/*
 * Index entries for the row in the slot; new ones, or those that an update made
 * necessary: then the deferrable keys that are still to be checked.
 */
extern void csm_target_insert_entries(CsmTarget *target);
extern List *csm_target_update_entries(CsmTarget *target, csm_update_indexes changed);

#endif							/* CSM_TARGET_H */
