/*
 * csm_sla.c
 *	  SLAs attached to cases: attached, moved on, reckoned anew.
 *
 * What an SLA has counted is decided in csm_sla_clock.c.  Here a change becomes
 * rows of the log, the sums as of the last of them, and the timer of what comes
 * next; csm_sla_store.c writes them.  Warnings and the breach are noticed by
 * whatever comes first after their instant, a timer or a change, and stand in the
 * log at their instant.
 *
 * When the target or the calendar has changed, the log is folded anew; what is
 * then already behind is noticed at once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_event.h"
#include "csm_intent.h"
#include "csm_json.h"
#include "csm_sla_store.h"
#include "csm_spi.h"
#include "csm_timer.h"

#define BREACH_PERCENT 100

/* The pure function; returns the highest part of the duration that was noticed since the begin. */
static int
fold(const CsmSlaLog *log, CsmSlaClock *clock)
{
	int			noticed = 0;

	for (int i = 0; i < log->n; i++)
	{
		const CsmSlaLogRow *row = &log->rows[i];

		csm_sla_clock_apply(clock, row->event, row->at);
		if (row->event == CSM_SLA_RESET)
			noticed = 0;
		else if (row->event == CSM_SLA_WARN)
			noticed = Max(noticed, row->percent);
		else if (row->event == CSM_SLA_BREACH)
			noticed = BREACH_PERCENT;
	}
	return noticed;
}

static void
add(CsmSlaAdded *added, CsmSlaClock *clock, CsmSlaEvent event, TimestampTz at, int percent)
{
	csm_sla_clock_apply(clock, event, at);
	added->event[added->n] = event;
	added->at[added->n] = clock->as_of;
	added->percent[added->n] = percent;
	added->n++;
	if (event == CSM_SLA_BREACH)
		added->breached = true;
}

/* The next part of the duration to be noticed, and when; false: none. */
static bool
next_part(const CsmSlaClock *clock, const CsmSlaRule *rule, int *percent, TimestampTz *at)
{
	if (clock->state != CSM_SLA_RUNNING || clock->business >= clock->duration)
		return false;
	*percent = BREACH_PERCENT;
	for (int i = 0; rule != NULL && i < rule->nwarn; i++)
	{
		if (csm_sla_share(clock, rule->warn[i]) > clock->business)
		{
			*percent = rule->warn[i];
			break;
		}
	}
	*at = csm_sla_clock_reaches(clock, *percent);
	return *at != DT_NOEND;
}

static void
notice(CsmSlaClock *clock, const CsmSlaRule *rule, TimestampTz until, CsmSlaAdded *added)
{
	int			percent;
	TimestampTz at;

	while (next_part(clock, rule, &percent, &at) && at <= until)
		add(added, clock, percent == BREACH_PERCENT ? CSM_SLA_BREACH : CSM_SLA_WARN, at, percent);
}

/* After folding anew: what is behind and was not noticed. */
static void
notice_late(CsmSlaClock *clock, const CsmSlaRule *rule, int noticed, CsmSlaAdded *added)
{
	for (int i = 0; rule != NULL && i < rule->nwarn; i++)
	{
		if (rule->warn[i] > noticed && csm_sla_share(clock, rule->warn[i]) <= clock->business)
			add(added, clock, CSM_SLA_WARN, clock->as_of, rule->warn[i]);
	}
	if (noticed < BREACH_PERCENT && clock->breached_at != 0)
		add(added, clock, CSM_SLA_BREACH, clock->as_of, BREACH_PERCENT);
}

static void
emit(const CsmSla *sla, const CsmSlaAdded *added)
{
	for (int i = 0; i < added->n; i++)
	{
		CsmJson		json;

		if (added->event[i] != CSM_SLA_WARN && added->event[i] != CSM_SLA_BREACH)
			continue;
		csm_json_begin(&json);
		csm_json_id(&json, "case_sla_id", sla->id);
		csm_json_text(&json, "name", sla->name);
		csm_json_text(&json, "type", sla->type_name);
		csm_json_integer(&json, "percent", added->percent[i]);
		csm_event_emit_as(0, sla->clock.tenant_id, sla->case_id,
						  added->event[i] == CSM_SLA_WARN ? "sla_warned" : "sla_breached",
						  sla->visible ? "shared" : "internal", NULL, csm_json_end(&json));
	}
}

static void
write_sla(CsmSla *sla, const CsmSlaRule *rule, const CsmSlaAdded *added, bool retargeted)
{
	int			percent;
	TimestampTz next;

	csm_sla_update(sla, retargeted);
	if (next_part(&sla->clock, rule, &percent, &next))
		csm_timer_set(sla->clock.tenant_id, "sla", sla->id, sla->case_id, next);
	else
		csm_timer_clear(sla->clock.tenant_id, "sla", sla->id);
	csm_sla_write_log(sla, added);
	emit(sla, added);
}

/* ---- changes ---- */

static void
take_calendar(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		id = heap_getattr(tuple, 1, desc, &isnull);

	*(int64 *) arg = isnull ? CSM_NO_CALENDAR : DatumGetInt64(id);
}

/*
 * The entitlement's own calendar; the account's, else that of the nearest
 * account above; the definition's where there is none.
 */
int64
csm_sla_calendar(const CsmSlaRule *rule, const CsmCaseRow *row)
{
	static const char account_sql[] =
		"WITH RECURSIVE up(parent_id, calendar_id, depth) AS ("
		"  SELECT a.parent_id, a.calendar_id, 0 FROM csm.accounts a WHERE a.id = $1 AND a.tenant_id = $2"
		"  UNION ALL"
		"  SELECT a.parent_id, a.calendar_id, up.depth + 1"
		"    FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = $2"
		"   WHERE up.calendar_id IS NULL AND up.depth < 100)"
		" SELECT calendar_id FROM up ORDER BY depth DESC LIMIT 1";
	static const char entitlement_sql[] =
		"SELECT calendar_id FROM csm.entitlements WHERE id = $1 AND tenant_id = $2";
	bool		of_account = rule->calendar_from == CSM_SLA_FROM_ACCOUNT;
	CsmCaseColumn column = of_account ? CASE_account_id : CASE_entitlement_id;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		found = CSM_NO_CALENDAR;

	if (rule->calendar_from == CSM_SLA_FROM_NONE)
		return CSM_NO_CALENDAR;
	if (rule->calendar_from == CSM_SLA_FROM_FIXED || csm_case_row_null(row, column))
		return rule->calendar_id;
	values[0] = csm_case_row_value(row, column);
	values[1] = csm_case_row_value(row, CASE_tenant_id);
	csm_spi_query(of_account ? account_sql : entitlement_sql, 2, types, values, NULL, take_calendar, &found);
	return found == CSM_NO_CALENDAR ? rule->calendar_id : found;
}

void
csm_sla_attach(const CsmSlaRule *rule, const CsmCaseRow *row, TimestampTz at, bool paused)
{
	CsmSla		sla = {0};
	CsmSlaAdded added = {0};
	int			percent;
	TimestampTz next;

	sla.case_id = csm_case_row_id(row, CASE_id);
	sla.definition_id = rule->id;
	sla.name = rule->name;
	sla.type_name = rule->type_name;
	sla.visible = rule->visible;
	sla.clock.tenant_id = csm_case_row_id(row, CASE_tenant_id);
	sla.clock.calendar_id = csm_sla_calendar(rule, row);
	sla.clock.duration = rule->duration;
	add(&added, &sla.clock, CSM_SLA_ATTACH, at, 0);
	if (paused)
		add(&added, &sla.clock, CSM_SLA_PAUSE, at, 0);
	if (!csm_sla_insert(&sla))
		return;
	if (next_part(&sla.clock, rule, &percent, &next))
		csm_timer_set(sla.clock.tenant_id, "sla", sla.id, sla.case_id, next);
	csm_sla_write_log(&sla, &added);
}

bool
csm_sla_move(CsmSla *sla, const CsmSlaRule *rule, CsmSlaEvent event, TimestampTz at)
{
	CsmSlaAdded added = {0};

	notice(&sla->clock, rule, at, &added);
	add(&added, &sla->clock, event, at, 0);
	write_sla(sla, rule, &added, false);
	return added.breached;
}

/* Folds the log with the given target and counts until now; event says why. */
static bool
fold_again(CsmSla *sla, const CsmSlaRule *rule, const CsmSlaLog *log, CsmSlaEvent event, TimestampTz at)
{
	CsmSlaAdded added = {0};
	int			noticed = fold(log, &sla->clock);

	add(&added, &sla->clock, event, at, 0);
	notice_late(&sla->clock, rule, noticed, &added);
	write_sla(sla, rule, &added, true);
	return added.breached;
}

/* Goes on under another definition, or as the same one is now; nothing counted or paused is lost. */
bool
csm_sla_retarget(CsmSla *sla, const CsmSlaRule *rule, int64 calendar_id, TimestampTz at)
{
	CsmSlaLog	log;

	csm_sla_read_log(sla->clock.tenant_id, sla->id, &log);
	sla->definition_id = rule->id;
	sla->name = rule->name;
	sla->type_name = rule->type_name;
	sla->visible = rule->visible;
	sla->clock.duration = rule->duration;
	sla->clock.calendar_id = calendar_id;
	return fold_again(sla, rule, &log, CSM_SLA_RETARGET, at);
}

/*
 * The write is csm's own.  A case whose flag is off already is not written, and
 * then the announcement must not wait for the next write of somebody else.
 */
void
csm_sla_note_missed(int64 tenant_id, int64 case_id)
{
	static const char sql[] =
		"UPDATE csm.cases SET made_sla = false WHERE id = $1 AND tenant_id = $2 AND made_sla";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	CsmIntent	intent = {.kind = CSM_INTENT_SYSTEM, .case_id = case_id};

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(tenant_id);
	csm_intent_set(&intent);
	csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
	csm_intent_met();
}

/* ---- what SQL calls ---- */

PG_FUNCTION_INFO_V1(csm_due_sla);

/* csm_private.due_sla(tenant_id, case_sla_id, at): the timer's handler. */
Datum
csm_due_sla(PG_FUNCTION_ARGS)
{
	CsmSla	   *sla = csm_sla_read(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	const CsmSlaRule *rule;
	CsmSlaAdded added = {0};

	if (sla == NULL || !csm_sla_is_open(&sla->clock))
		PG_RETURN_VOID();
	rule = csm_sla_rule_find(csm_sla_rules_get(sla->clock.tenant_id), sla->definition_id);
	notice(&sla->clock, rule, PG_GETARG_TIMESTAMPTZ(2), &added);
	write_sla(sla, rule, &added, false);
	if (added.breached)
		csm_sla_note_missed(sla->clock.tenant_id, sla->case_id);
	PG_RETURN_VOID();
}

static bool
same_clock(const CsmSlaClock *a, const CsmSlaClock *b)
{
	return a->state == b->state && a->attached_at == b->attached_at && a->started_at == b->started_at &&
		a->as_of == b->as_of && a->elapsed == b->elapsed && a->business == b->business &&
		a->due_at == b->due_at && a->breached_at == b->breached_at &&
		a->duration == b->duration && a->calendar_id == b->calendar_id;
}

PG_FUNCTION_INFO_V1(csm_recompute_sla);

/*
 * csm_private.recompute_sla(tenant_id, case_sla_id, write, retarget): folds the
 * log.  True when that gives what is stored; else, with write, it is stored.
 * With retarget an open SLA takes over its definition as it is now; a calendar
 * that came from account or entitlement stays.
 */
Datum
csm_recompute_sla(PG_FUNCTION_ARGS)
{
	CsmSla	   *sla = csm_sla_read(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	const CsmSlaRule *rule;
	CsmSlaClock stored;
	CsmSlaLog	log;
	CsmSlaAdded none = {0};
	bool		breached = false;
	bool		same;

	if (sla == NULL)
		PG_RETURN_NULL();
	rule = csm_sla_rule_find(csm_sla_rules_get(sla->clock.tenant_id), sla->definition_id);
	stored = sla->clock;
	csm_sla_read_log(stored.tenant_id, sla->id, &log);
	memset(&sla->clock, 0, sizeof(CsmSlaClock));
	sla->clock.tenant_id = stored.tenant_id;
	sla->clock.duration = log.duration;
	sla->clock.calendar_id = log.calendar_id;
	(void) fold(&log, &sla->clock);
	same = same_clock(&stored, &sla->clock);

	if (PG_GETARG_BOOL(3) && csm_sla_is_open(&sla->clock))
		breached = csm_sla_retarget(sla, rule,
									rule->calendar_from == CSM_SLA_FROM_NONE ? CSM_NO_CALENDAR :
									rule->calendar_from == CSM_SLA_FROM_FIXED ? rule->calendar_id : log.calendar_id,
									GetCurrentTimestamp());
	else if (!same && PG_GETARG_BOOL(2))
	{
		if (csm_sla_is_open(&sla->clock))
			breached = fold_again(sla, rule, &log, CSM_SLA_RECKON, GetCurrentTimestamp());
		else
			write_sla(sla, rule, &none, true);
	}
	if (breached)
		csm_sla_note_missed(stored.tenant_id, sla->case_id);
	PG_RETURN_BOOL(same);
}

PG_FUNCTION_INFO_V1(csm_sla_business);

/* csm_private.sla_business(csm.case_slas, at): open time counted until then. */
Datum
csm_sla_business(PG_FUNCTION_ARGS)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	CsmSlaClock clock = {0};
	bool		isnull;
	Datum		calendar;

	clock.tenant_id = DatumGetInt64(GetAttributeByName(row, "tenant_id", &isnull));
	calendar = GetAttributeByName(row, "calendar_id", &isnull);
	clock.calendar_id = isnull ? CSM_NO_CALENDAR : DatumGetInt64(calendar);
	clock.state = (CsmSlaState) csm_sla_state_from_name(TextDatumGetCString(GetAttributeByName(row, "state", &isnull)));
	clock.as_of = DatumGetTimestampTz(GetAttributeByName(row, "as_of", &isnull));
	clock.business = DatumGetIntervalP(GetAttributeByName(row, "business_elapsed", &isnull))->time;
	PG_RETURN_INTERVAL_P(csm_sla_interval(csm_sla_clock_business(&clock, PG_GETARG_TIMESTAMPTZ(1))));
}
