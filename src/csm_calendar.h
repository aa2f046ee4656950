/*
 * csm_calendar.h
 *	  Calendars of csm.calendars in memory.
 */
#ifndef CSM_CALENDAR_H
#define CSM_CALENDAR_H

#include "csm_business_time.h"

#define CSM_NO_CALENDAR PG_INT64_MIN

/*
 * Open time between two instants in microseconds, negative when reversed.
 * CSM_NO_CALENDAR: every instant is open.  An unknown
 * calendar and an instant outside the horizon raise an error.
 */
extern int64 csm_calendar_between(int64 tenant_id, int64 calendar_id, TimestampTz from, TimestampTz to);

/* The instant that so much open time separates from another; see csm_hours_add(). */
extern bool csm_calendar_reach(int64 tenant_id, int64 calendar_id, TimestampTz from, int64 amount,
							   TimestampTz *result);	/* false: the calendar has not so much */
extern TimestampTz csm_calendar_add(int64 tenant_id, int64 calendar_id, TimestampTz from, int64 amount);

/*
 * csm_calendar_load.c: the open hours of a calendar, in the given context; what
 * is read on the way stays in the current one.  False: the tenant has no such
 * calendar.
 */
extern bool csm_calendar_load(int64 tenant_id, int64 id, MemoryContext context, char **name, CsmHours *hours);

#endif							/* CSM_CALENDAR_H */
