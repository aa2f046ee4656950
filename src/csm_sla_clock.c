/*
 * csm_sla_clock.c
 *	  What an attached SLA has counted: a function of its log and of the
 *	  calendar, and of nothing else.
 *
 * Each change is a row of the log; the stored sums are those as of the last
 * row.  Counting on from them and folding the whole log give the same, because
 * both are csm_sla_clock_apply(), row by row, and microseconds add up exactly.
 *
 * The time is up at the earliest instant at which the open time counted equals
 * the duration.  So these three say the same: the SLA is breached; the open time
 * counted is not less than the duration; it was stopped at or after due_at.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "csm_sla_clock.h"

static const char *const state_names[CSM_SLA_STATES] = {
	[CSM_SLA_RUNNING] = "running",
	[CSM_SLA_PAUSED] = "paused",
	[CSM_SLA_COMPLETED] = "completed",
	[CSM_SLA_CANCELLED] = "cancelled",
};

static const char *const event_names[CSM_SLA_EVENTS] = {
	[CSM_SLA_ATTACH] = "attach",
	[CSM_SLA_PAUSE] = "pause",
	[CSM_SLA_RESUME] = "resume",
	[CSM_SLA_RESET] = "reset",
	[CSM_SLA_RETARGET] = "retarget",
	[CSM_SLA_WARN] = "warn",
	[CSM_SLA_BREACH] = "breach",
	[CSM_SLA_RECKON] = "reckon",
	[CSM_SLA_COMPLETE] = "complete",
	[CSM_SLA_CANCEL] = "cancel",
};

static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

const char *
csm_sla_state_name(CsmSlaState state)
{
	return state_names[state];
}

int
csm_sla_state_from_name(const char *name)
{
	return find_name(state_names, CSM_SLA_STATES, name);
}

const char *
csm_sla_event_name(CsmSlaEvent event)
{
	return event_names[event];
}

int
csm_sla_event_from_name(const char *name)
{
	return find_name(event_names, CSM_SLA_EVENTS, name);
}

/* When the open time counted will be so much. */
static TimestampTz
reaches(const CsmSlaClock *clock, int64 business)
{
	TimestampTz at;

	if (!csm_calendar_reach(clock->tenant_id, clock->calendar_id, clock->as_of,
							business - clock->business, &at))
		return DT_NOEND;
	return at;
}

TimestampTz
csm_sla_clock_reaches(const CsmSlaClock *clock, int percent)
{
	return reaches(clock, csm_sla_share(clock, percent));
}

int64
csm_sla_clock_business(const CsmSlaClock *clock, TimestampTz at)
{
	if (clock->state != CSM_SLA_RUNNING || at <= clock->as_of)
		return clock->business;
	return clock->business + csm_calendar_between(clock->tenant_id, clock->calendar_id, clock->as_of, at);
}

static void
count_until(CsmSlaClock *clock, TimestampTz at)
{
	int64		business;

	if (at <= clock->as_of)
		return;
	if (clock->state == CSM_SLA_RUNNING)
	{
		business = csm_sla_clock_business(clock, at);
		if (clock->business < clock->duration && business >= clock->duration)
			clock->breached_at = reaches(clock, clock->duration);
		clock->business = business;
		clock->elapsed += at - clock->as_of;
	}
	clock->as_of = at;
}

void
csm_sla_clock_apply(CsmSlaClock *clock, CsmSlaEvent event, TimestampTz at)
{
	bool		was_running = event != CSM_SLA_ATTACH && clock->state == CSM_SLA_RUNNING;

	if (event != CSM_SLA_ATTACH)
		count_until(clock, at);
	switch (event)
	{
		case CSM_SLA_ATTACH:
			clock->attached_at = at;
			clock->as_of = at;
			clock->state = CSM_SLA_RUNNING;
			/* FALLTHROUGH */
		case CSM_SLA_RESET:
			clock->started_at = clock->as_of;
			clock->elapsed = 0;
			clock->business = 0;
			clock->breached_at = 0;
			break;
		case CSM_SLA_PAUSE:
			clock->state = CSM_SLA_PAUSED;
			break;
		case CSM_SLA_RESUME:
			clock->state = CSM_SLA_RUNNING;
			break;
		case CSM_SLA_COMPLETE:
			clock->state = CSM_SLA_COMPLETED;
			break;
		case CSM_SLA_CANCEL:
			clock->state = CSM_SLA_CANCELLED;
			break;
		default:
			break;
	}

	/* What was due when it ended is kept; while it is paused nothing is due. */
	if (clock->state == CSM_SLA_RUNNING)
		clock->due_at = clock->breached_at != 0 ? clock->breached_at : reaches(clock, clock->duration);
	else if (csm_sla_is_open(clock) || !was_running)
		clock->due_at = 0;
}
