/*
 * csm_event.h
 *	  Writing to csm.events.
 */
#ifndef CSM_EVENT_H
#define CSM_EVENT_H

#include "csm.h"

/*
 * Writes an event.  The caller holds the row lock of the case (has inserted,
 * updated or locked it in this transaction), so that ids within a case are in
 * the order of commits; it has asked csm_is_restoring() and
 * csm_is_importing().  side is given for audience "private" and else NULL;
 * actor_id is 0 for the system.
 */
extern void csm_event_emit_as(int64 actor_id, int64 tenant_id, int64 case_id, const char *kind,
							  const char *audience, const char *side, Datum payload_jsonb);

/* The same in the name of whoever is signed in. */
extern void csm_event_emit(int64 tenant_id, int64 case_id, const char *kind,
						   const char *audience, const char *side, Datum payload_jsonb);

#endif							/* CSM_EVENT_H */
