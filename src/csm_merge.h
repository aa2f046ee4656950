/*
 * csm_merge.h
 *	  Two persons are being made one.
 */
#ifndef CSM_MERGE_H
#define CSM_MERGE_H

#include "access/htup.h"
#include "access/tupdesc.h"

/* Rows are being re-pointed from the one to the other. */
extern bool csm_is_merging(void);

/* Does the change re-point references to the removed person, and nothing else? */
extern bool csm_merge_repoints(HeapTuple before, HeapTuple after, TupleDesc desc);

#endif							/* CSM_MERGE_H */
