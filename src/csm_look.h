/*
 * csm_look.h
 *	  Single rows of csm's tables, looked up through an index.
 */
#ifndef CSM_LOOK_H
#define CSM_LOOK_H

#include "access/htup.h"
#include "utils/rel.h"

typedef void (*CsmLookFn) (HeapTuple tuple, Relation table, void *arg);

/* Calls take with the last row, in the order of the index, whose first column is the key. */
extern void csm_look_last(const char *table, const char *index, int64 key, CsmLookFn take, void *arg);

/* False only where the index leads to no row for the key. */
extern bool csm_look_any(const char *table, const char *index, int64 key);

/* Calls it with each row of the key, the last one first. */
extern void csm_look_all(const char *table, const char *index, int64 key, CsmLookFn take, void *arg);

/* The row of a primary key. */
extern void csm_look_row(const char *table, const char *index, int64 id, int64 tenant_id, CsmLookFn take, void *arg);
extern void csm_look_timer(const char *kind, int64 object_id, int64 tenant_id, CsmLookFn take, void *arg);

extern Datum csm_look_value(HeapTuple tuple, Relation table, const char *column, bool *isnull);
extern Oid	csm_look_oid(const char *name);	/* the name is a constant: it is kept */
extern char *csm_look_person_name(int64 user_id);	/* NULL: no such person */

#endif							/* CSM_LOOK_H */
