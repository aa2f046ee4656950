/*
 * csm_sla_trigger.c
 *	  The AFTER trigger of csm.cases that attaches SLAs and moves them on.
 *
 * What the definitions say is a function of the row.  Where it is the same of
 * the old row and of the new one nothing is read or written; where no column
 * changed on which any definition depends, it is not even asked.  So between
 * two changes of the case nothing happens but time, which is the timers'.
 *
 * Per definition and change, the first that applies: an SLA whose definition no
 * longer concerns the case goes over to one of the same type that now does, with
 * all it has counted, else it is cancelled; cancel; stop (completes); reset;
 * then pause or resume, as the pause condition says.  Where none is open, start
 * attaches one, unless stop or cancel hold or one was completed already.  Reset
 * acts when its condition becomes true.
 *
 * An ordinary trigger: rows that a subscription applies have their SLAs with
 * them.  An imported case, and one that is older than a definition, gets SLAs
 * with the next change that alters an answer.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_intent.h"
#include "csm_sla.h"

PG_FUNCTION_INFO_V1(csm_case_slas);

/* One change of a case. */
typedef struct Change
{
	const CsmSlaRules *rules;
	const CsmCaseRow *row;
	const uint32 *was;			/* by definition; all 0 for a new case */
	const uint32 *is;
	bool		answered;		/* staff wrote to the customer */
	bool		other_entitlement;
	TimestampTz at;
	CsmSla	   *slas;			/* attached and not cancelled */
	int			nslas;
	bool		missed;
} Change;

#define SAYS(bits, condition) (((bits) & CSM_SLA_BIT(condition)) != 0)

static CsmSla *
open_sla(const Change *c, int64 definition_id)
{
	for (int i = 0; i < c->nslas; i++)
	{
		if (c->slas[i].definition_id == definition_id && csm_sla_is_open(&c->slas[i].clock))
			return &c->slas[i];
	}
	return NULL;
}

static bool
was_completed(const Change *c, int64 definition_id)
{
	for (int i = 0; i < c->nslas; i++)
	{
		if (c->slas[i].definition_id == definition_id && c->slas[i].clock.state == CSM_SLA_COMPLETED)
			return true;
	}
	return false;
}

static bool
attaches(const CsmSlaRule *rule, uint32 says)
{
	return rule->active && SAYS(says, CSM_SLA_START) && !SAYS(says, CSM_SLA_STOP) &&
		!SAYS(says, CSM_SLA_CANCEL_WHEN);
}

/* A definition of the same type under which an SLA can go on. */
static const CsmSlaRule *
successor(const Change *c, const CsmSlaRule *rule)
{
	for (int i = 0; i < c->rules->nrules; i++)
	{
		const CsmSlaRule *other = &c->rules->rules[i];

		if (other->type == rule->type && (c->is[i] & CSM_SLA_CONCERNS) && other->active &&
			!SAYS(c->is[i], CSM_SLA_CANCEL_WHEN) && open_sla(c, other->id) == NULL)
			return other;
	}
	return NULL;
}

static void
move(Change *c, CsmSla *sla, const CsmSlaRule *rule, CsmSlaEvent event)
{
	if (csm_sla_move(sla, rule, event, c->at))
		c->missed = true;
}

/* Those whose definition no longer concerns the case. */
static void
hand_over(Change *c)
{
	for (int i = 0; i < c->rules->nrules; i++)
	{
		const CsmSlaRule *rule = &c->rules->rules[i];
		CsmSla	   *sla = c->is[i] & CSM_SLA_CONCERNS ? NULL : open_sla(c, rule->id);
		const CsmSlaRule *next = sla ? successor(c, rule) : NULL;

		if (sla == NULL)
			continue;
		if (next == NULL)
			move(c, sla, rule, CSM_SLA_CANCEL);
		else if (csm_sla_retarget(sla, next, csm_sla_calendar(next, c->row), c->at))
			c->missed = true;
	}
}

static void
go_on(Change *c, CsmSla *sla, const CsmSlaRule *rule, uint32 was, uint32 is)
{
	bool		paused = SAYS(is, CSM_SLA_PAUSE_WHEN);
	int64		calendar_id;

	if (SAYS(is, CSM_SLA_CANCEL_WHEN))
	{
		move(c, sla, rule, CSM_SLA_CANCEL);
		return;
	}
	if (SAYS(is, CSM_SLA_STOP))
	{
		move(c, sla, rule, CSM_SLA_COMPLETE);
		return;
	}
	if (c->other_entitlement && rule->calendar_from == CSM_SLA_FROM_ENTITLEMENT)
	{
		calendar_id = csm_sla_calendar(rule, c->row);
		if (calendar_id != sla->clock.calendar_id && csm_sla_retarget(sla, rule, calendar_id, c->at))
			c->missed = true;
	}
	if ((SAYS(is, CSM_SLA_RESET_WHEN) && !SAYS(was, CSM_SLA_RESET_WHEN)) ||
		(c->answered && rule->type == CSM_SLA_UPDATE))
		move(c, sla, rule, CSM_SLA_RESET);
	if (paused && sla->clock.state == CSM_SLA_RUNNING)
		move(c, sla, rule, CSM_SLA_PAUSE);
	else if (!paused && sla->clock.state == CSM_SLA_PAUSED)
		move(c, sla, rule, CSM_SLA_RESUME);
}

static void
carry_out(Change *c)
{
	hand_over(c);
	for (int i = 0; i < c->rules->nrules; i++)
	{
		const CsmSlaRule *rule = &c->rules->rules[i];
		CsmSla	   *sla;

		if ((c->is[i] & CSM_SLA_CONCERNS) == 0)
			continue;
		sla = open_sla(c, rule->id);
		if (sla != NULL)
			go_on(c, sla, rule, c->was[i], c->is[i]);
		else if (attaches(rule, c->is[i]) &&
				 (!was_completed(c, rule->id) ||
				  (SAYS(c->is[i], CSM_SLA_RESET_WHEN) && !SAYS(c->was[i], CSM_SLA_RESET_WHEN))))
			csm_sla_attach(rule, c->row, c->at, SAYS(c->is[i], CSM_SLA_PAUSE_WHEN));
	}
}

static bool
any_watched_changed(const CsmSlaRules *rules, const CsmCaseRow *before, const CsmCaseRow *after)
{
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		if (rules->watched[i] && csm_case_row_changed(before, after, (CsmCaseColumn) i))
			return true;
	}
	return false;
}

static void
on_insert(const CsmSlaRules *rules, const CsmCaseRow *row, TimestampTz at)
{
	Change		c = {.rules = rules, .row = row, .at = at};
	uint32	   *is = palloc(rules->nrules * sizeof(uint32));

	csm_sla_rules_judge(rules, row, is);
	c.was = palloc0(rules->nrules * sizeof(uint32));
	c.is = is;
	carry_out(&c);
}

static void
on_update(const CsmSlaRules *rules, const CsmCaseRow *before, const CsmCaseRow *after, TimestampTz at)
{
	Change		c = {.rules = rules, .row = after, .at = at};
	uint32	   *was = palloc(rules->nrules * sizeof(uint32));
	uint32	   *is = palloc(rules->nrules * sizeof(uint32));

	if (!any_watched_changed(rules, before, after))
		return;
	csm_sla_rules_judge(rules, before, was);
	csm_sla_rules_judge(rules, after, is);
	c.was = was;
	c.is = is;
	c.answered = rules->watched[CASE_last_response_at] &&
		csm_case_row_changed(before, after, CASE_last_response_at);
	c.other_entitlement = rules->watched[CASE_entitlement_id] &&
		csm_case_row_changed(before, after, CASE_entitlement_id);
	if (!c.answered && !c.other_entitlement && memcmp(was, is, rules->nrules * sizeof(uint32)) == 0)
		return;
	c.nslas = csm_sla_list(rules->tenant_id, csm_case_row_id(after, CASE_id), &c.slas);
	carry_out(&c);
	if (c.missed && DatumGetBool(csm_case_row_value(after, CASE_made_sla)))
		csm_sla_note_missed(rules->tenant_id, csm_case_row_id(after, CASE_id));
}

/* AFTER INSERT OR UPDATE FOR EACH ROW on csm.cases. */
Datum
csm_case_slas(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	CsmCaseRow	before;
	CsmCaseRow	after;
	const CsmSlaRules *rules;
	TimestampTz at;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_slas() must be an AFTER INSERT OR UPDATE row trigger")));
	if (csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);

	desc = RelationGetDescr(data->tg_relation);
	rules = csm_sla_rules_get(DatumGetInt64(SPI_getbinval(data->tg_trigtuple, desc,
														  SPI_fnumber(desc, "tenant_id"), &isnull)));
	if (rules->nrules == 0)
		return PointerGetDatum(NULL);
	csm_case_row_open(&before, data->tg_trigtuple, desc);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		at = DatumGetTimestampTz(csm_case_row_value(&before, CASE_updated_at));
		on_insert(rules, &before, at);
	}
	else
	{
		csm_case_row_open(&after, data->tg_newtuple, desc);
		at = DatumGetTimestampTz(csm_case_row_value(&after, CASE_updated_at));
		on_update(rules, &before, &after, at);
	}
	return PointerGetDatum(NULL);
}
