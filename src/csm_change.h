/*
 * csm_change.h
 *	  A row of csm's own tables changed, deleted or held without a statement.
 */
#ifndef CSM_CHANGE_H
#define CSM_CHANGE_H

#include "storage/itemptr.h"

/*
 * Rows that the caller found (csm_look.h) under the lock of their case.  False,
 * and nothing done, where somebody else has changed the row meanwhile, or the
 * table is not as the install script made it: then a statement has to do it.
 *
 * Values stand in the order of the table's columns.  csm's own constraints and
 * foreign keys are not looked at: the caller vouches for what it changes.  A row
 * that was changed stands elsewhere, and "at" says where.
 */
extern bool csm_change_row(const char *table, ItemPointer at, int ncolumns, const Datum *values, const bool *nulls);
extern bool csm_delete_row(const char *table, ItemPointer at);

/*
 * Keeps a row from being deleted until the transaction ends, as a foreign key
 * does.  False: there is no such row.
 */
extern bool csm_hold_row(const char *table, const char *index, int64 id, int64 tenant_id);

#endif							/* CSM_CHANGE_H */
