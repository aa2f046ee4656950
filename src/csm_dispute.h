/*
 * csm_dispute.h
 *	  What a dispute demands beyond its machine.
 */
#ifndef CSM_DISPUTE_H
#define CSM_DISPUTE_H

#include "csm_case_row.h"
#include "csm_machine.h"

/* Values of the effect "proposal" of a transition; the others are outcomes. */
#define CSM_PROPOSAL_MADE		"made"
#define CSM_PROPOSAL_CONFIRMED	"confirmed"
#define CSM_PROPOSAL_LAPSED		"lapsed"

/*
 * Relations of the current person to a case, with nobody on both sides of a
 * dispute.
 */
extern uint32 csm_relations(const CsmCaseRow *row, const CsmCaseKeys *keys);

extern void csm_dispute_check_new(const CsmMachine *machine, const CsmCaseRow *row);
extern void csm_dispute_check(const CsmTransition *t, uint32 actors,
							  const CsmCaseRow *before, const CsmCaseRow *after);

#endif							/* CSM_DISPUTE_H */
