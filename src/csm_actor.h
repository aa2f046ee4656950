/*
 * csm_actor.h
 *	  What the current person is to a case.
 */
#ifndef CSM_ACTOR_H
#define CSM_ACTOR_H

#include "csm.h"

typedef enum CsmSide
{
	CSM_SIDE_CUSTOMER,
	CSM_SIDE_COUNTERPARTY,
	CSM_SIDE_OPERATOR
} CsmSide;

/* Does a write without identity, by whoever executes now, act as the system? */
extern bool csm_acts_as_system(void);

/* The rule of the policies of csm.cases, for a row in hand. */
extern bool csm_case_permits(const CsmCaseKeys *keys, CsmAction action);

/* May he read what belongs to that side of it?  operator: whoever works on it. */
extern bool csm_case_side_permits(const CsmCaseKeys *keys, CsmSide side);

/* On which side of the case the person speaks. */
extern CsmSide csm_case_side(const CsmCaseKeys *keys);
extern bool csm_case_on_both_sides(const CsmCaseKeys *keys);
extern CsmSide csm_case_named_side(const CsmCaseKeys *keys);
extern const char *csm_side_name(CsmSide side);

/* Relations as a reader knows them: "agent, assignee". */
extern char *csm_actor_names(uint32 actors);

#endif							/* CSM_ACTOR_H */
