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

#endif							/* CSM_CALENDAR_H */
