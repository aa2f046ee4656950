/*
 * csm_as_person.c
 *	  What csm does with the rights of a person who is not signed in: a mail is
 *	  answered for its sender, a notification judged for its recipient.
 *
 * Three things are switched for a dynamic extent: the claim of identity with
 * all that narrows or widens it, the role that decides which side counts and
 * whose privileges apply, and row security.  The first and the last are settings
 * of a nesting level of their own (csm_session_become()), the role is the
 * current user; the server restores both when a (sub)transaction aborts.  This
 * file keeps nothing.
 *
 * No client gets here: the only function of SQL is csm_owner's, and what it
 * calls is one of csm's own functions, whose text is not the client's.  Such a
 * function can name what the role may name, hence nothing in csm_private.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "csm.h"
#include "csm_as_person.h"

void
csm_as_person_begin(CsmAsPerson *saved, int64 user_id, const char *role)
{
	Oid			roleid;

	if (user_id <= 0 || role == NULL ||
		(strcmp(role, "csm_portal") != 0 && strcmp(role, "csm_agent") != 0))
		elog(ERROR, "cannot act as person " INT64_FORMAT " under role \"%s\"",
			 user_id, role ? role : "");
	roleid = get_role_oid(role, false);

	GetUserIdAndSecContext(&saved->user, &saved->context);
	saved->guc_level = NewGUCNestLevel();
	csm_session_become(user_id, roleid);
	SetUserIdAndSecContext(roleid, (saved->context | SECURITY_LOCAL_USERID_CHANGE) & ~SECURITY_NOFORCE_RLS);
}

void
csm_as_person_end(const CsmAsPerson *saved)
{
	AtEOXact_GUC(true, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->context);
}

/* A function (jsonb) returns jsonb of csm_private that runs with the rights of its caller. */
static void
check_act(Oid act)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(act));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", act);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->pronamespace != get_namespace_oid("csm_private", false) ||
		form->proowner != csm_owner_oid(false) || form->prosecdef || form->proretset ||
		form->prokind != PROKIND_FUNCTION || form->pronargs != 1 ||
		form->proargtypes.values[0] != JSONBOID || form->prorettype != JSONBOID)
		elog(ERROR, "function \"%s\" cannot be run as a person", NameStr(form->proname));
	ReleaseSysCache(tuple);
}

PG_FUNCTION_INFO_V1(csm_as_person);

/* csm_private.as_person(user_id, role, act, argument) */
Datum
csm_as_person(PG_FUNCTION_ARGS)
{
	Oid			act = PG_GETARG_OID(2);
	LOCAL_FCINFO(call, 1);
	FmgrInfo	flinfo;
	CsmAsPerson saved;
	Datum		result;
	bool		is_null;

	check_act(act);
	csm_as_person_begin(&saved, PG_GETARG_INT64(0), NameStr(*PG_GETARG_NAME(1)));
	/* found here, so that the role that needs no privilege on it is not asked for one */
	fmgr_info(act, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, 1, InvalidOid, NULL, NULL);
	call->args[0].value = PG_GETARG_DATUM(3);
	call->args[0].isnull = false;
	result = FunctionCallInvoke(call);
	is_null = call->isnull;
	csm_as_person_end(&saved);
	if (is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
