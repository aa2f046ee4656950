/*
 * csm_compat.h
 *	  Every difference between PostgreSQL 15 and 18 that csm meets, and
 *	  nothing else.
 */
#ifndef CSM_COMPAT_H
#define CSM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "csm needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "access/tableam.h"
#include "varatt.h"
#endif

/* 16: check hooks allocate with guc_malloc, which survives an error in the caller. */
#if PG_VERSION_NUM >= 160000
#define csm_guc_malloc(size) guc_malloc(LOG, (size))
#define csm_guc_free(ptr) guc_free(ptr)
#else
#define csm_guc_malloc(size) malloc(size)
#define csm_guc_free(ptr) free(ptr)
#endif

/* 17: the virtual transaction id became a struct in PGPROC. */
#if PG_VERSION_NUM >= 170000
#define csm_lxid(proc) ((proc)->vxid.lxid)
#else
#define csm_lxid(proc) ((proc)->lxid)
#endif

/* 16: one more argument, and an update may concern summarizing indexes alone. */
#if PG_VERSION_NUM >= 160000
#define csm_update_indexes TU_UpdateIndexes
#define csm_any_index(indexes) ((indexes) != TU_None)
#define csm_update_index_tuples(rel, slot, estate, indexes) \
	ExecInsertIndexTuples(rel, slot, estate, true, false, NULL, NIL, (indexes) == TU_Summarizing)
#define csm_insert_index_tuples(rel, slot, estate) ExecInsertIndexTuples(rel, slot, estate, false, false, NULL, NIL, false)
#else
#define csm_update_indexes bool
#define csm_any_index(indexes) (indexes)
#define csm_update_index_tuples(rel, slot, estate, indexes) \
	ExecInsertIndexTuples(rel, slot, estate, true, false, NULL, NIL)
#define csm_insert_index_tuples(rel, slot, estate) ExecInsertIndexTuples(rel, slot, estate, false, false, NULL, NIL)
#endif

/* 17: what an index keeps between insertions is given back. */
#if PG_VERSION_NUM >= 170000
#define csm_index_insert_cleanup(index, info) index_insert_cleanup(index, info)
#else
#define csm_index_insert_cleanup(index, info) ((void) 0)
#endif

/* 18: whether a deferrable key counts; and what index scans count for EXPLAIN. */
#if PG_VERSION_NUM >= 180000
#define csm_primary_key(rel) RelationGetPrimaryKeyIndex(rel, false)
#define csm_index_beginscan(heap, index, snapshot, keys) index_beginscan(heap, index, snapshot, NULL, keys, 0)
#define csm_index_beginscan_bitmap(index, snapshot, keys) index_beginscan_bitmap(index, snapshot, NULL, keys)
#else
#define csm_primary_key(rel) RelationGetPrimaryKeyIndex(rel)
#define csm_index_beginscan(heap, index, snapshot, keys) index_beginscan(heap, index, snapshot, keys, 0)
#define csm_index_beginscan_bitmap(index, snapshot, keys) index_beginscan_bitmap(index, snapshot, keys)
#endif

#endif							/* CSM_COMPAT_H */
