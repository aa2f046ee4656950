/*
 * csm_business_time.c
 *	  Arithmetic with open hours: how much open time passes until an instant,
 *	  and at which instant so much has passed.
 *
 * Open time is first reckoned on the wall clock, as if the zone had no clock
 * changes: whole weeks times the hours of a week, plus the days of the week so
 * far, plus what special days before the date have more or less than their
 * weekdays, plus the part of the day.  Within a stretch of constant offset the
 * wall clock runs evenly, so an instant's open time is what the wall clock says
 * plus a lead that is the same throughout the stretch.  All sums over weeks,
 * special days and stretches are prepared by csm_hours_finish(): a question
 * costs two or three binary searches, whatever lies between the instants.
 *
 * Amounts and times are microseconds, so that sums are exact.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "csm_business_time.h"

#define DAYS_IN_WEEK 7

/* 2000-01-01 was a Saturday: five days into a week that begins on Monday. */
#define EPOCH_WEEKDAY 5

/* ---- spans of a day ---- */

static int
compare_spans(const void *a, const void *b)
{
	int64		x = ((const CsmSpan *) a)->from;
	int64		y = ((const CsmSpan *) b)->from;

	return (x > y) - (x < y);
}

int
csm_spans_normalize(CsmSpan *spans, int n)
{
	int			kept = 0;

	qsort(spans, n, sizeof(CsmSpan), compare_spans);
	for (int i = 0; i < n; i++)
	{
		if (spans[i].from >= spans[i].to)
			continue;
		if (kept > 0 && spans[i].from <= spans[kept - 1].to)
			spans[kept - 1].to = Max(spans[kept - 1].to, spans[i].to);
		else
			spans[kept++] = spans[i];
	}
	return kept;
}

int
csm_spans_intersect(const CsmSpan *a, int na, const CsmSpan *b, int nb, CsmSpan *result)
{
	int			n = 0;

	for (int i = 0, j = 0; i < na && j < nb;)
	{
		int64		from = Max(a[i].from, b[j].from);
		int64		to = Min(a[i].to, b[j].to);

		if (from < to)
		{
			result[n].from = from;
			result[n].to = to;
			n++;
		}
		if (a[i].to < b[j].to)
			i++;
		else
			j++;
	}
	return n;
}

static int64
open_until(const CsmDay *day, int64 time)
{
	int64		open = 0;

	for (int i = 0; i < day->nspans && day->spans[i].from < time; i++)
		open += Min(day->spans[i].to, time) - day->spans[i].from;
	return open;
}

/* The first time of the day at which so much was open; 0 < amount <= day->open. */
static int64
first_time(const CsmDay *day, int64 amount)
{
	int			i = 0;

	while (amount > day->spans[i].to - day->spans[i].from)
	{
		amount -= day->spans[i].to - day->spans[i].from;
		i++;
	}
	return day->spans[i].from + amount;
}

/* The last; 0 <= amount <= day->open. */
static int64
last_time(const CsmDay *day, int64 amount)
{
	for (int i = 0; i < day->nspans; i++)
	{
		int64		length = day->spans[i].to - day->spans[i].from;

		if (amount < length)
			return day->spans[i].from + amount;
		amount -= length;
	}
	return USECS_PER_DAY;
}

/* ---- the wall clock ---- */

static inline int32
date_of(int64 wall)
{
	int64		days = wall / USECS_PER_DAY;

	return (int32) (wall % USECS_PER_DAY < 0 ? days - 1 : days);
}

static inline int
weekday_of(int32 date, int32 *weeks)
{
	int32		since = date + EPOCH_WEEKDAY;
	int32		w = since / DAYS_IN_WEEK;

	if (since % DAYS_IN_WEEK < 0)
		w--;
	*weeks = w;
	return since - w * DAYS_IN_WEEK;
}

/* How many special days lie before the date. */
static inline int
special_before(const CsmHours *hours, int32 date)
{
	int			low = 0;
	int			high = hours->nspecial;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (hours->special[mid].date < date)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * Open time on the wall clock before the date begins, reckoned from the week of
 * 2000-01-01; negative before it.  *day is what the date is like.
 */
static int64
until_date(const CsmHours *hours, int32 date, const CsmDay **day)
{
	int32		weeks;
	int			weekday = weekday_of(date, &weeks);
	int			n = special_before(hours, date);
	int64		open = weeks * hours->before_day[DAYS_IN_WEEK] + hours->before_day[weekday];

	*day = &hours->week[weekday];
	if (n < hours->nspecial)
	{
		open += hours->special[n].surplus;
		if (hours->special[n].date == date)
			*day = &hours->special[n].day;
	}
	else if (n > 0)
	{
		const CsmSpecialDay *last = &hours->special[n - 1];

		weekday = weekday_of(last->date, &weeks);
		open += last->surplus + last->day.open - hours->week[weekday].open;
	}
	return open;
}

static int64
until_wall(const CsmHours *hours, int64 wall)
{
	int32		date = date_of(wall);
	const CsmDay *day;
	int64		open = until_date(hours, date, &day);

	return open + open_until(day, wall - date * USECS_PER_DAY);
}

/* ---- instants ---- */

/* The stretch of the zone in which the instant lies. */
static inline int
stretch_of(const CsmZone *zone, TimestampTz at)
{
	int			low = 0;
	int			high = zone->nstretches;

	while (high - low > 1)
	{
		int			mid = (low + high) / 2;

		if (zone->from[mid] <= at)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static inline TimestampTz
stretch_end(const CsmZone *zone, int stretch)
{
	return stretch + 1 < zone->nstretches ? zone->from[stretch + 1] : CSM_HORIZON_TO;
}

static inline int64
wall_at_start(const CsmZone *zone, int stretch)
{
	return zone->from[stretch] + zone->offset[stretch];
}

void
csm_hours_finish(CsmHours *hours, MemoryContext context)
{
	const CsmZone *zone = hours->zone;
	int64		surplus = 0;
	int64		open = 0;

	hours->before_day[0] = 0;
	for (int i = 0; i < DAYS_IN_WEEK; i++)
		hours->before_day[i + 1] = hours->before_day[i] + hours->week[i].open;
	for (int i = 0; i < hours->nspecial; i++)
	{
		int32		weeks;
		int			weekday = weekday_of(hours->special[i].date, &weeks);

		hours->special[i].surplus = surplus;
		surplus += hours->special[i].day.open - hours->week[weekday].open;
	}
	hours->before_stretch = MemoryContextAlloc(context, zone->nstretches * sizeof(int64));
	hours->lead = MemoryContextAlloc(context, zone->nstretches * sizeof(int64));
	for (int i = 0; i < zone->nstretches; i++)
	{
		hours->before_stretch[i] = open;
		hours->lead[i] = open - until_wall(hours, wall_at_start(zone, i));
		open = until_wall(hours, stretch_end(zone, i) + zone->offset[i]) + hours->lead[i];
	}
	hours->total = open;
}

int64
csm_hours_until(const CsmHours *hours, TimestampTz at)
{
	int			stretch = stretch_of(hours->zone, at);

	return hours->lead[stretch] + until_wall(hours, at + hours->zone->offset[stretch]);
}

/*
 * The last stretch before whose begin less than "open" passed (strict), or no
 * more than that.
 */
static int
stretch_with(const CsmHours *hours, int64 open, bool strict)
{
	int			low = 0;
	int			high = hours->zone->nstretches;

	while (high - low > 1)
	{
		int			mid = (low + high) / 2;

		if (strict ? hours->before_stretch[mid] < open : hours->before_stretch[mid] <= open)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* The same for dates between two, on the wall clock. */
static int32
date_with(const CsmHours *hours, int64 open, bool strict, int32 low, int32 last)
{
	int32		high = last + 1;
	const CsmDay *day;

	while (high - low > 1)
	{
		int32		mid = low + (high - low) / 2;
		int64		before = until_date(hours, mid, &day);

		if (strict ? before < open : before <= open)
			low = mid;
		else
			high = mid;
	}
	return low;
}

bool
csm_hours_add(const CsmHours *hours, TimestampTz from, int64 amount, TimestampTz *result)
{
	const CsmZone *zone = hours->zone;
	bool		forward = amount > 0;
	const CsmDay *day;
	int64		open;
	int64		wall_from;
	int			stretch;
	int32		date;

	*result = from;
	if (amount == 0)
		return true;
	if (amount > hours->total || amount < -hours->total)
		return false;
	open = csm_hours_until(hours, from) + amount;
	if (open < 0 || open > hours->total)
		return false;

	stretch = stretch_with(hours, open, forward);
	wall_from = wall_at_start(zone, stretch);
	open -= hours->lead[stretch];
	date = date_with(hours, open, forward, date_of(wall_from),
					 date_of(stretch_end(zone, stretch) + zone->offset[stretch]));
	open -= until_date(hours, date, &day);
	*result = date * USECS_PER_DAY + (forward ? first_time(day, open) : last_time(day, open)) -
		zone->offset[stretch];
	return true;
}
