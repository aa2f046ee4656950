/*
 * csm_lifecycle.h
 *	  A new case, and taking a transition on one.
 */
#ifndef CSM_LIFECYCLE_H
#define CSM_LIFECYCLE_H

#include "csm_actor.h"
#include "csm_case_row.h"
#include "csm_dispute.h"
#include "csm_intent.h"
#include "csm_machine.h"

extern void csm_report_verdict(CsmVerdict verdict, const CsmCaseRow *row, const CsmMachine *machine,
							   const CsmState *from, const char *action, const CsmState *to,
							   uint32 actors);
extern bool csm_transition_judges(CsmCaseColumn column);
extern void csm_transition_apply(const CsmTransition *t, uint32 actors, uint32 given,
								 TimestampTz at, const CsmCaseRow *before, CsmCaseRow *after);
extern bool csm_transition_lacks(const CsmTransition *t, uint32 given, uint32 actors,
								 const CsmCaseRow *before, const CsmCaseRow *after);
extern const char *csm_transition_value(const CsmTransition *t, const char *column, uint32 actors);
extern bool csm_transition_proposes(const CsmTransition *t);
extern const CsmMachine *csm_case_machine(const CsmCaseRow *row);
extern const CsmState *csm_case_state(const CsmCaseRow *row, const CsmMachine *machine);
extern char *csm_case_label(const CsmCaseRow *row);

/* csm_case_open.c */
extern void csm_case_open(CsmCaseRow *row, const CsmMap *map, TimestampTz now);
extern void csm_case_import(CsmCaseRow *row, TimestampTz now);

/* csm_case_trigger.c */
extern PGDLLEXPORT Datum csm_case_guard(PG_FUNCTION_ARGS);

/* csm_entry_trigger.c */
extern bool csm_entry_was_note(int64 entry_id);

#endif							/* CSM_LIFECYCLE_H */
