/*
 * csm_judged.h
 *	  What the guard of csm.cases permitted, for the triggers that fire after it.
 */
#ifndef CSM_JUDGED_H
#define CSM_JUDGED_H

#include "csm_lifecycle.h"

/* action of a write that took no transition */
#define CSM_JUDGED_OPEN		"open"
#define CSM_JUDGED_UPDATE	"update"
#define CSM_JUDGED_COMMENT	"comment"
#define CSM_JUDGED_IMPORT	"imported"
#define CSM_JUDGED_MERGE	"merge"
#define CSM_JUDGED_ERASE	"erase"

typedef struct CsmJudged
{
	const char *action;			/* the transition's, else one of the above */
	uint32		actors;			/* all relations of the writer to the case */
	uint32		through;		/* those under which the write was permitted */
	bool		taken;			/* action is that of a transition */
	bool		system;			/* csm's own change, or one without identity */
	CsmBranch	branch;			/* of the case */
	int64		requester_id;
} CsmJudged;

/*
 * What was last judged for the case in this client statement, or NULL: no guard
 * has run (a dump is restored, triggers are off).  The answer holds until the
 * next call.  An AFTER trigger that changes the same case again replaces it for
 * the triggers that follow.
 */
extern const CsmJudged *csm_judged(int64 case_id);

extern void csm_judged_note(const CsmCaseKeys *keys, const char *action, uint32 actors, uint32 through,
							bool taken);

#endif							/* CSM_JUDGED_H */
