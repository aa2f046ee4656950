/*
 * csm_timer.h
 *	  When csm.run_due() has to look at something again.
 */
#ifndef CSM_TIMER_H
#define CSM_TIMER_H

#include "datatype/timestamp.h"

/*
 * One timer per kind and object: setting it again moves it.  The caller holds
 * the lock of the case (run_due locks timers only of cases that it could lock).
 */
extern void csm_timer_set(int64 tenant_id, const char *kind, int64 object_id,
						  int64 case_id, TimestampTz due_at);
extern void csm_timer_clear(int64 tenant_id, const char *kind, int64 object_id);

/* All timers of a case whose kind begins so. */
extern void csm_timer_clear_all(int64 tenant_id, const char *kinds, int64 case_id);

#endif							/* CSM_TIMER_H */
