/*
 * csm_map_facts.h
 *	  What is true of the person of an access map.
 */
#ifndef CSM_MAP_FACTS_H
#define CSM_MAP_FACTS_H

#include "csm_audience.h"
#include "csm_map.h"

typedef struct CsmFacts
{
	CsmFact    *facts;			/* sorted as csm_audiences_judge() needs them */
	int			n;
	bool		staff;			/* being owner, or in the group, of an audience counts */
	TimestampTz valid_until;	/* of what was read */
	uint64		watch[CSM_ANCHORS / 64];	/* anchors it depends on */
} CsmFacts;

/* Those that the criteria of the tenant ask for, in the current context. */
extern void csm_facts_gather(CsmMap *map, const CsmAudiences *audiences, CsmFacts *into);

#endif							/* CSM_MAP_FACTS_H */
