/*
 * csm_spi.c
 *	  The only file that speaks SPI.
 *
 * Access maps and machines are read as csm_owner, because row security would
 * ask for the map while it is being read.  csm_owner is no superuser, the path
 * is pinned and planner settings of the session do not count, so that neither
 * a planted operator nor a setting of the caller reaches these queries.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "csm.h"
#include "csm_spi.h"

#define MAX_PLANS	128

typedef struct KeptPlan
{
	const char *sql;
	SPIPlanPtr	plan;
	bool		planned;		/* has been executed */
} KeptPlan;

static KeptPlan plans[MAX_PLANS];
static int	nplans = 0;

Oid
csm_owner_oid(bool missing_ok)
{
	return get_role_oid("csm_owner", missing_ok);
}

/*
 * Parallel mode allows no new snapshot, and under REPEATABLE READ and
 * SERIALIZABLE the transaction's own is the right one.
 */
bool
csm_spi_latest(void)
{
	return !IsInParallelMode() && !IsolationUsesXactSnapshot();
}

static Snapshot
reading_snapshot(void)
{
	if (IsInParallelMode())
		return GetActiveSnapshot();
	if (IsolationUsesXactSnapshot())
		return GetTransactionSnapshot();
	return GetLatestSnapshot();
}

static KeptPlan *
kept_plan(const char *sql, int nargs, const Oid *argtypes)
{
	SPIPlanPtr	plan;

	for (int i = 0; i < nplans; i++)
	{
		if (plans[i].sql == sql)
			return &plans[i];
	}
	if (nplans == MAX_PLANS)
		elog(ERROR, "csm keeps more than %d plans", MAX_PLANS);
	plan = SPI_prepare_cursor(sql, nargs, (Oid *) argtypes, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare query of csm: %s", SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep plan of csm");
	plans[nplans].sql = sql;
	plans[nplans].plan = plan;
	plans[nplans].planned = false;
	return &plans[nplans++];
}

/*
 * For as long as a statement is planned, which is not often.  Statements look
 * up few rows by indexed keys; a sequential or bitmap scan would be chosen only
 * for want of statistics (of a table that was empty, say), and JIT never pays.
 */
static int
pin_planner(void)
{
	static const char *const pinned[][2] = {
		{"enable_seqscan", "off"},
		{"enable_bitmapscan", "off"},
		{"enable_indexscan", "on"},
		{"enable_indexonlyscan", "on"},
		{"enable_nestloop", "on"},
		{"jit", "off"},
	};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(pinned); i++)
		(void) set_config_option(pinned[i][0], pinned[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/*
 * Names are looked up again when a plan is found out of date, so the path is
 * pinned at every execution.  As a setting, which triggers of a written table
 * may change for themselves.  Errors restore user, path and settings with the
 * (sub)transaction.
 */
static void
become(CsmCaller *caller, Oid role, int flags)
{
	caller->level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&caller->user, &caller->context);
	SetUserIdAndSecContext(role, caller->context | flags);
}

void
csm_become_owner(CsmCaller *caller)
{
	become(caller, csm_owner_oid(false), SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
}

void
csm_become_caller(const CsmCaller *caller)
{
	SetUserIdAndSecContext(caller->user, caller->context);
	AtEOXact_GUC(true, caller->level);
}

static int
execute(const char *sql, int nargs, const Oid *argtypes, const Datum *values,
		const char *nulls, Snapshot snapshot, bool as_caller)
{
	KeptPlan   *kept = kept_plan(sql, nargs, argtypes);
	/* under row security a plan depends on the role, which the server checks later */
	bool		plans_now = as_caller || !kept->planned || !SPI_plan_is_valid(kept->plan);
	int			level = plans_now ? pin_planner() : 0;
	int			result;

	if (snapshot != NULL)
		result = SPI_execute_snapshot(kept->plan, (Datum *) values, nulls, snapshot,
									  InvalidSnapshot, true, false, 0);
	else
		result = SPI_execute_plan(kept->plan, (Datum *) values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "unexpected result of a statement of csm: %s", SPI_result_code_string(result));
	kept->planned = true;
	if (plans_now)
		AtEOXact_GUC(true, level);
	return result;
}

static uint64
run(const char *sql, int nargs, const Oid *argtypes, const Datum *values,
	const char *nulls, bool latest, bool as_caller, CsmTupleFn fn, void *arg)
{
	CsmCaller	caller;
	uint64		rows;

	if (as_caller)
		become(&caller, csm_session_role(), SECURITY_LOCAL_USERID_CHANGE);
	else
		csm_become_owner(&caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");

	PushActiveSnapshot(latest ? GetLatestSnapshot() : reading_snapshot());
	(void) execute(sql, nargs, argtypes, values, nulls, GetActiveSnapshot(), as_caller);
	PopActiveSnapshot();

	rows = SPI_processed;
	for (uint64 i = 0; i < rows; i++)
		fn(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, arg);

	SPI_finish();
	csm_become_caller(&caller);
	return rows;
}

uint64
csm_spi_query(const char *sql, int nargs, const Oid *argtypes,
			  const Datum *values, const char *nulls, CsmTupleFn fn, void *arg)
{
	return run(sql, nargs, argtypes, values, nulls, false, false, fn, arg);
}

/* What is committed by now, whatever the transaction's own snapshot says. */
uint64
csm_spi_query_latest(const char *sql, int nargs, const Oid *argtypes,
					 const Datum *values, const char *nulls, CsmTupleFn fn, void *arg)
{
	return run(sql, nargs, argtypes, values, nulls, true, false, fn, arg);
}

/* SET ROLE decides who that is, also inside csm's SECURITY DEFINER functions. */
uint64
csm_spi_query_as_caller(const char *sql, int nargs, const Oid *argtypes,
						const Datum *values, const char *nulls, CsmTupleFn fn, void *arg)
{
	return run(sql, nargs, argtypes, values, nulls, false, true, fn, arg);
}

uint64
csm_spi_write(const char *sql, int nargs, const Oid *argtypes,
			  const Datum *values, const char *nulls, CsmTupleFn fn, void *arg)
{
	CsmCaller	caller;
	uint64		rows;

	csm_become_owner(&caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");

	(void) execute(sql, nargs, argtypes, values, nulls, NULL, false);
	rows = SPI_processed;
	for (uint64 i = 0; fn != NULL && SPI_tuptable != NULL && i < rows; i++)
		fn(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, arg);

	SPI_finish();
	csm_become_caller(&caller);
	return rows;
}
