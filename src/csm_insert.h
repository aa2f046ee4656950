/*
 * csm_insert.h
 *	  A row put into one of csm's own journals without a statement.
 */
#ifndef CSM_INSERT_H
#define CSM_INSERT_H

#include "utils/rel.h"

/*
 * Inserts a row whose values stand in the order of the table's columns.  False,
 * and nothing written, where the table is not as the install script made it
 * (further columns, a trigger, a rule): then a statement has to do it.
 *
 * csm's own constraints and foreign keys are not looked at.  The caller vouches
 * for them: it made the values itself, and holds the lock of the case.
 */
extern bool csm_insert_row(const char *table, int ncolumns, const Datum *values, const bool *nulls);

/*
 * A table with so many columns (0: any number) and without rules, on which no
 * trigger waits for the event (TRIGGER_TYPE_INSERT ...) but those of foreign keys
 * from and to csm's own tables.
 */
extern bool csm_is_plain_table(Relation relation, int ncolumns, int16 event);

#endif							/* CSM_INSERT_H */
