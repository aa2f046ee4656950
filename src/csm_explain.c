/*
 * csm_explain.c
 *	  EXPLAIN is refused to roles that only ask for service.
 *
 * A plan tells what the rows do not: EXPLAIN ANALYZE counts the rows that a
 * policy removed, and estimates speak of everybody's data.  Staff may look,
 * and whoever may set csm.allow_explain decides otherwise.  The hook stands
 * where all forms meet (EXPLAIN EXECUTE passes by ExplainOneQuery_hook); it is
 * in force once the library is loaded, hence with preloading from the start.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#include "csm.h"

static ProcessUtility_hook_type previous_hook = NULL;

static bool
asks_for_service_only(void)
{
	static const char *const asking[] = {"csm_portal", "csm_guest"};
	Oid			role = csm_session_role();

	if (superuser_arg(role) || csm_session_staff_side())
		return false;
	for (int i = 0; i < lengthof(asking); i++)
	{
		Oid			group = get_role_oid(asking[i], true);

		if (OidIsValid(group) && has_privs_of_role(role, group))
			return true;
	}
	return false;
}

static void
refuse_explain(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			   ProcessUtilityContext context, ParamListInfo params,
			   QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (IsA(pstmt->utilityStmt, ExplainStmt) && !csm_allow_explain && asks_for_service_only())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for EXPLAIN"),
				 errdetail("A plan counts rows that the role may not see."),
				 errhint("Connect with a staff role, or have csm.allow_explain set by a superuser.")));
	if (previous_hook)
		previous_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
}

void
csm_explain_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = refuse_explain;
}
