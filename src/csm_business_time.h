/*
 * csm_business_time.h
 *	  Open hours in a time zone, and arithmetic with them.  Nothing here reads
 *	  anything but its arguments.
 *
 *	  An instant is open when the wall clock of the zone then shows an open
 *	  time of day.  So an hour that a change of the clocks skips is no working
 *	  time, and one that it repeats counts twice.
 */
#ifndef CSM_BUSINESS_TIME_H
#define CSM_BUSINESS_TIME_H

#include "datatype/timestamp.h"
#include "utils/palloc.h"

/* Instants with which calendars reckon: 1970 up to, not including, 2200. */
#define CSM_HORIZON_FROM	((TimestampTz) (-10957) * USECS_PER_DAY)
#define CSM_HORIZON_TO		((TimestampTz) 73049 * USECS_PER_DAY)

/* A time zone as stretches of constant offset; [0] begins at CSM_HORIZON_FROM. */
typedef struct CsmZone
{
	int			nstretches;
	TimestampTz *from;
	int64	   *offset;			/* microseconds east of UTC */
} CsmZone;

/* Open hours, in microseconds since the midnight at which a day begins. */
typedef struct CsmSpan
{
	int64		from;
	int64		to;
} CsmSpan;

typedef struct CsmDay
{
	int			nspans;
	CsmSpan    *spans;			/* in order, apart, within [0, 24 h) */
	int64		open;			/* their sum */
} CsmDay;

/* A date that is not like its weekday. */
typedef struct CsmSpecialDay
{
	int32		date;			/* days since 2000-01-01 */
	CsmDay		day;
	int64		surplus;		/* of all earlier special days over their weekdays */
} CsmSpecialDay;

typedef struct CsmHours
{
	const CsmZone *zone;
	CsmDay		week[7];		/* from Monday */
	int64		before_day[8];	/* open hours of the week before each weekday */
	int			nspecial;
	CsmSpecialDay *special;		/* by date */
	int64	   *before_stretch; /* open time before each stretch of the zone */
	int64	   *lead;			/* how much further it is then than the wall clock's count */
	int64		total;			/* open time within the horizon */
} CsmHours;

/* Fills before_day, surplus, before_stretch, lead and total from the rest. */
extern void csm_hours_finish(CsmHours *hours, MemoryContext context);

/* Sorts spans, joins those that touch; returns how many are left. */
extern int	csm_spans_normalize(CsmSpan *spans, int n);
/* What both lists hold; the result has room for na + nb. */
extern int	csm_spans_intersect(const CsmSpan *a, int na, const CsmSpan *b, int nb, CsmSpan *result);

/* Open time since the horizon began; the instant must lie within the horizon. */
extern int64 csm_hours_until(const CsmHours *hours, TimestampTz at);

/*
 * The instant nearest to "from" that so much open time separates from it:
 * the earliest for a positive amount, the latest for a negative one.  False:
 * not within the horizon.
 */
extern bool csm_hours_add(const CsmHours *hours, TimestampTz from, int64 amount, TimestampTz *result);

static inline bool
csm_within_horizon(TimestampTz at)
{
	return at >= CSM_HORIZON_FROM && at < CSM_HORIZON_TO;
}

#endif							/* CSM_BUSINESS_TIME_H */
