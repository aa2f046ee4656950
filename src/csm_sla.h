/*
 * csm_sla.h
 *	  SLAs attached to cases: csm.case_slas and its log, csm.sla_events.
 */
#ifndef CSM_SLA_H
#define CSM_SLA_H

#include "storage/itemptr.h"

#include "csm_sla_clock.h"
#include "csm_sla_rule.h"

typedef struct CsmSla
{
	ItemPointerData at;			/* where the row was read */
	int64		id;
	int64		case_id;
	int64		definition_id;
	char	   *name;
	char	   *type_name;
	bool		visible;
	CsmSlaClock clock;
} CsmSla;

/*
 * All that is not cancelled, in memory of the caller.  The caller of every
 * function below holds the row lock of the case.
 */
extern int	csm_sla_list(int64 tenant_id, int64 case_id, CsmSla **slas);

/* Which calendar counts for a case. */
extern int64 csm_sla_calendar(const CsmSlaRule *rule, const CsmCaseRow *row);

extern void csm_sla_attach(const CsmSlaRule *rule, const CsmCaseRow *row, TimestampTz at, bool paused);

/* True: its time was up by then, which nobody had noticed. */
extern bool csm_sla_move(CsmSla *sla, const CsmSlaRule *rule, CsmSlaEvent event, TimestampTz at);
extern bool csm_sla_retarget(CsmSla *sla, const CsmSlaRule *rule, int64 calendar_id, TimestampTz at);

/* Writes cases.made_sla = false. */
extern void csm_sla_note_missed(int64 tenant_id, int64 case_id);

#endif							/* CSM_SLA_H */
