/*
 * csm_sla_clock.h
 *	  What an attached SLA has counted: a function of its log and of the
 *	  calendar, and of nothing else.
 */
#ifndef CSM_SLA_CLOCK_H
#define CSM_SLA_CLOCK_H

#include "csm_calendar.h"

typedef enum CsmSlaState
{
	CSM_SLA_RUNNING,
	CSM_SLA_PAUSED,
	CSM_SLA_COMPLETED,
	CSM_SLA_CANCELLED,
	CSM_SLA_STATES
} CsmSlaState;

/* Kinds of row in csm.sla_events. */
typedef enum CsmSlaEvent
{
	CSM_SLA_ATTACH,
	CSM_SLA_PAUSE,
	CSM_SLA_RESUME,
	CSM_SLA_RESET,
	CSM_SLA_RETARGET,
	CSM_SLA_WARN,
	CSM_SLA_BREACH,
	CSM_SLA_RECKON,
	CSM_SLA_COMPLETE,
	CSM_SLA_CANCEL,
	CSM_SLA_EVENTS
} CsmSlaEvent;

/* Times in microseconds; 0 for an instant that is not there. */
typedef struct CsmSlaClock
{
	int64		tenant_id;
	int64		calendar_id;	/* CSM_NO_CALENDAR: every instant counts */
	int64		duration;		/* open time that is allowed */
	CsmSlaState state;
	TimestampTz attached_at;
	TimestampTz started_at;		/* since when it counts: attached, or reset */
	TimestampTz as_of;			/* of the last row of the log; what follows was counted until then */
	int64		elapsed;		/* by the clock on the wall */
	int64		business;		/* open time of the calendar */
	TimestampTz due_at;			/* while it runs; DT_NOEND: never */
	TimestampTz breached_at;	/* when the time was up */
} CsmSlaClock;

extern const char *csm_sla_state_name(CsmSlaState state);
extern int	csm_sla_state_from_name(const char *name);	/* -1: unknown */
extern const char *csm_sla_event_name(CsmSlaEvent event);
extern int	csm_sla_event_from_name(const char *name);	/* -1: unknown */

/*
 * Counts until the instant of a row of the log, then does what it says.  An
 * instant before that of the last row is taken for that of the last row.
 * CSM_SLA_ATTACH begins; target must be set.  CSM_SLA_RETARGET only counts:
 * the new target holds for the whole log, so whoever folds sets the last one
 * beforehand.
 */
extern void csm_sla_clock_apply(CsmSlaClock *clock, CsmSlaEvent event, TimestampTz at);

/* Open time counted until an instant after the last row. */
extern int64 csm_sla_clock_business(const CsmSlaClock *clock, TimestampTz at);

/* When that part of the duration is reached, if nothing happens before; DT_NOEND: never. */
extern TimestampTz csm_sla_clock_reaches(const CsmSlaClock *clock, int percent);

static inline int64
csm_sla_share(const CsmSlaClock *clock, int percent)
{
	return clock->duration / 100 * percent;
}

static inline bool
csm_sla_is_open(const CsmSlaClock *clock)
{
	return clock->state == CSM_SLA_RUNNING || clock->state == CSM_SLA_PAUSED;
}

#endif							/* CSM_SLA_CLOCK_H */
