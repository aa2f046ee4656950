/*
 * csm_sla_rule.h
 *	  Definitions of csm.sla_definitions in memory, and what they say of a row
 *	  of csm.cases.
 */
#ifndef CSM_SLA_RULE_H
#define CSM_SLA_RULE_H

#include "csm_case_row.h"

typedef enum CsmSlaType
{
	CSM_SLA_RESPONSE,
	CSM_SLA_RESOLUTION,
	CSM_SLA_UPDATE,
	CSM_SLA_TYPES
} CsmSlaType;

typedef enum CsmSlaCondition
{
	CSM_SLA_START,
	CSM_SLA_PAUSE_WHEN,
	CSM_SLA_STOP,
	CSM_SLA_RESET_WHEN,
	CSM_SLA_CANCEL_WHEN,
	CSM_SLA_CONDITIONS
} CsmSlaCondition;

/* What a definition says of a row: its conditions, and whether it concerns the case at all. */
#define CSM_SLA_BIT(condition)	(1 << (condition))
#define CSM_SLA_CONCERNS		CSM_SLA_BIT(CSM_SLA_CONDITIONS)

typedef enum CsmSlaCalendarFrom
{
	CSM_SLA_FROM_NONE,
	CSM_SLA_FROM_FIXED,
	CSM_SLA_FROM_ACCOUNT,
	CSM_SLA_FROM_ENTITLEMENT
} CsmSlaCalendarFrom;

typedef struct CsmSlaRule
{
	int64		id;
	char	   *name;
	char	   *type_name;
	CsmSlaType	type;
	int64		duration;		/* microseconds */
	CsmSlaCalendarFrom calendar_from;
	int64		calendar_id;	/* fixed, or where account or entitlement have none; CSM_NO_CALENDAR */
	bool		any_type;
	char	  **types;			/* case types, with those that inherit */
	int			ntypes;
	uint32		branches;		/* bits by CsmBranch */
	uint32		priorities;		/* bits 1 to 4 */
	void	   *when[CSM_SLA_CONDITIONS];	/* jsonpath; NULL: never */
	int		   *warn;			/* percent, ascending */
	int			nwarn;
	bool		visible;		/* to customers */
	bool		active;
} CsmSlaRule;

typedef struct CsmSlaRules
{
	int64		tenant_id;
	CsmSlaRule *rules;
	int			nrules;
	bool		watched[CASE_COLUMNS];	/* columns on which any definition depends */
	bool		read[CASE_COLUMNS]; /* columns that conditions read */
} CsmSlaRules;

/* Of a tenant.  It may be freed by the next call, and by nothing else. */
extern const CsmSlaRules *csm_sla_rules_get(int64 tenant_id);
extern const CsmSlaRule *csm_sla_rule_find(const CsmSlaRules *rules, int64 definition_id);

/* Bits for each definition, in their order. */
extern void csm_sla_rules_judge(const CsmSlaRules *rules, const CsmCaseRow *row, uint32 *says);

#endif							/* CSM_SLA_RULE_H */
