/*
 * csm_case_fields.h
 *	  Typed fields of case types: what their values must be.
 */
#ifndef CSM_CASE_FIELDS_H
#define CSM_CASE_FIELDS_H

#include "utils/jsonb.h"

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

/* csm_field_value.c: one value; 22023, 42501 where it is none of the field's */
extern void csm_field_check(const CsmMachine *machine, const CsmField *field, const JsonbValue *value);
extern bool csm_field_blank(const JsonbValue *value);
extern bool csm_field_same(const JsonbValue *a, const JsonbValue *b);
extern bool csm_field_lists(char *const *names, int n, const char *name);
extern char *csm_field_text(const JsonbValue *value);

#endif							/* CSM_CASE_FIELDS_H */
