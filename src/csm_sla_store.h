/*
 * csm_sla_store.h
 *	  SLAs of cases as tables keep them.  The caller holds the lock of the case.
 */
#ifndef CSM_SLA_STORE_H
#define CSM_SLA_STORE_H

#include "csm_sla.h"

/* Rows of the log that one change adds: a breach, 99 warnings, and itself. */
#define CSM_SLA_MAX_ADDED 102

typedef struct CsmSlaAdded
{
	int			n;
	CsmSlaEvent event[CSM_SLA_MAX_ADDED];
	TimestampTz at[CSM_SLA_MAX_ADDED];
	int			percent[CSM_SLA_MAX_ADDED]; /* 0: none */
	bool		breached;
} CsmSlaAdded;

/* A row of the log. */
typedef struct CsmSlaLogRow
{
	CsmSlaEvent event;
	TimestampTz at;
	int			percent;
} CsmSlaLogRow;

typedef struct CsmSlaLog
{
	MemoryContext context;
	CsmSlaLogRow *rows;
	int			n;
	int64		duration;		/* the last target */
	int64		calendar_id;
} CsmSlaLog;

extern CsmSla *csm_sla_read(int64 tenant_id, int64 id); /* NULL: no such SLA */
extern void csm_sla_read_log(int64 tenant_id, int64 id, CsmSlaLog *log);

/* Gives it an id.  False, and nothing written: its definition was deleted meanwhile. */
extern bool csm_sla_insert(CsmSla *sla);

/* Retargeted: definition or calendar may be others than before. */
extern void csm_sla_update(CsmSla *sla, bool retargeted);
extern void csm_sla_write_log(const CsmSla *sla, const CsmSlaAdded *added);

extern Interval *csm_sla_interval(int64 microseconds);

#endif							/* CSM_SLA_STORE_H */
