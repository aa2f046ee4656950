/*
 * csm_dependents.h
 *	  Tasks, lines and blocks of a case, and what its state has to do with them.
 */
#ifndef CSM_DEPENDENTS_H
#define CSM_DEPENDENTS_H

#include "csm_case_row.h"
#include "csm_machine.h"

/*
 * Raises SM002 where a case may not become resolved or closed yet: a blocking
 * task is open, or a line is not finished.  The row lock of the case is held.
 */
extern void csm_refuse_unfinished(const CsmCaseRow *row, CsmStateClass to, uint32 actors);

/* Does the case belong to an accepted major case? */
extern bool csm_child_of_major(const CsmCaseRow *row);

#endif							/* CSM_DEPENDENTS_H */
