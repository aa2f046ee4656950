/*
 * csm_case_fields.h
 *	  Typed fields of case types: what their values must be.
 */
#ifndef CSM_CASE_FIELDS_H
#define CSM_CASE_FIELDS_H

#include "csm_case_row.h"
#include "csm_machine.h"

/* Does the action demand a value? */
extern bool csm_field_demanded(const CsmField *field, const char *action);

/* csm.cases.attributes as written; before is NULL for a new case. */
extern void csm_fields_check_case(const CsmMachine *machine, const CsmCaseRow *before,
								  const CsmCaseRow *after, bool importing);

/*
 * What the action demands of the type's fields is there (SM003), and who does
 * not work on the case has written nothing else (42501).
 */
extern void csm_fields_check_action(const CsmMachine *machine, const char *action, bool works,
									const CsmCaseRow *before, const CsmCaseRow *after);

#endif							/* CSM_CASE_FIELDS_H */
