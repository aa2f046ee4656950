/*
 * csm_quota.c
 *	  How much one consumer may make of a tenant's portal.
 *
 * A quota binds whoever is signed in and asks for service on a consumer case;
 * staff, the system, loading and restoring are exempt.  It is counted after the
 * statement has written its rows, all of them, so that neither a statement of
 * many rows nor a savepoint gets round it.  Two sessions of one person must not
 * both find the last place free: who counts cases holds the lock of his row in
 * csm.users, who counts comments that of the case, which the entry has just
 * touched; what is counted is what is committed by then, whatever the isolation
 * level.  Neither lock stands in anybody else's way, foreign keys included.
 *
 * A day is the last 24 hours, so that it does not depend on a time zone.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_errors.h"
#include "csm_lifecycle.h"
#include "csm_setting.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_case_quota);
PG_FUNCTION_INFO_V1(csm_entry_quota);
PG_FUNCTION_INFO_V1(csm_enforce_quota);

static const struct
{
	const char *key;			/* in settings, and for csm_private.enforce_quota */
	const char *what;
	const char *period;
}			quotas[CSM_QUOTAS] =
{
	[CSM_QUOTA_CASES] = {"cases_per_day", "new cases", " in 24 hours"},
	[CSM_QUOTA_COMMENTS] = {"comments_per_day", "comments on a case", " in 24 hours"},
	[CSM_QUOTA_ATTACHMENTS] = {"attachments", "attachments to a record", ""},
	[CSM_QUOTA_PRODUCTS] = {"products", "registered products", ""},
};

/* The person whom quotas bind; 0: nobody now. */
static int64
bound(void)
{
	const CsmMap *map = csm_map_current();

	if (map == NULL || csm_is_restoring() || csm_is_importing() || csm_session_staff_side())
		return 0;
	return csm_map_user(map);
}

static void
refuse_beyond(CsmQuota quota, int limit, int64 used)
{
	if (limit == CSM_UNLIMITED || used <= limit)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CSM_QUOTA),
			 errmsg("the quota of %s is used up", quotas[quota].what),
			 errdetail("Allowed are %d%s.", limit, quotas[quota].period),
			 errhint(quotas[quota].period[0] ? "Try again later, or ask the service desk."
					 : "Remove what is not needed any more, or ask the service desk.")));
}

static void
take_count(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;

	*(int64 *) arg = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
}

static int64
count_cases(int64 tenant_id, int64 person)
{
	static const char lock_sql[] =
		"SELECT FROM csm.users WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE";
	static const char count_sql[] =
		"SELECT count(*) FROM csm.cases"
		" WHERE opened_by = $1 AND tenant_id = $2 AND branch = 'b2c'"
		"   AND opened_at > clock_timestamp() - interval '24 hours'";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		used = 0;

	values[0] = Int64GetDatum(person);
	values[1] = Int64GetDatum(tenant_id);
	csm_spi_write(lock_sql, 2, types, values, NULL, NULL, NULL);
	csm_spi_query_latest(count_sql, 2, types, values, NULL, take_count, &used);
	return used;
}

static int64
count_comments(int64 tenant_id, int64 case_id, int64 person)
{
	static const char sql[] =
		"SELECT count(*) FROM csm.case_entries"
		" WHERE case_id = $1 AND tenant_id = $2 AND author_id = $3"
		"   AND created_at > clock_timestamp() - interval '24 hours'";
	Oid			types[3] = {INT8OID, INT8OID, INT8OID};
	Datum		values[3];
	int64		used = 0;

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(tenant_id);
	values[2] = Int64GetDatum(person);
	csm_spi_query_latest(sql, 3, types, values, NULL, take_count, &used);
	return used;
}

static int64
id_of(TriggerData *data, const char *column)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		isnull;
	Datum		value = SPI_getbinval(data->tg_trigtuple, desc, SPI_fnumber(desc, column), &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Made by a person on a consumer case? */
static bool
is_consumers(TriggerData *data, const char *author_column)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		isnull;
	Datum		branch = SPI_getbinval(data->tg_trigtuple, desc, SPI_fnumber(desc, "branch"), &isnull);

	return !isnull && strcmp(TextDatumGetCString(branch), "b2c") == 0 && id_of(data, author_column) != 0;
}

static TriggerData *
after_insert(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.%s() must be an AFTER INSERT row trigger", name)));
	return data;
}

Datum
csm_case_quota(PG_FUNCTION_ARGS)
{
	TriggerData *data = after_insert(fcinfo, "case_quota");
	int64		tenant_id = id_of(data, "tenant_id");
	int64		person = is_consumers(data, "opened_by") ? bound() : 0;
	int			limit;

	if (person == 0)
		return PointerGetDatum(NULL);
	limit = csm_tenant_settings(tenant_id).quota[CSM_QUOTA_CASES];
	if (limit != CSM_UNLIMITED)
		refuse_beyond(CSM_QUOTA_CASES, limit, count_cases(tenant_id, person));
	return PointerGetDatum(NULL);
}

/* The note of an act counts, but never stops the act. */
Datum
csm_entry_quota(PG_FUNCTION_ARGS)
{
	TriggerData *data = after_insert(fcinfo, "entry_quota");
	int64		tenant_id = id_of(data, "tenant_id");
	int64		person = is_consumers(data, "author_id") ? bound() : 0;
	int			limit;

	if (person == 0 || csm_entry_was_note(id_of(data, "id")))
		return PointerGetDatum(NULL);
	limit = csm_tenant_settings(tenant_id).quota[CSM_QUOTA_COMMENTS];
	if (limit != CSM_UNLIMITED)
	{
		CommandCounterIncrement();	/* see the rows of this statement */
		refuse_beyond(CSM_QUOTA_COMMENTS, limit,
					  count_comments(tenant_id, id_of(data, "case_id"), person));
	}
	return PointerGetDatum(NULL);
}

/* csm_private.enforce_quota(tenant_id, quota, used) */
Datum
csm_enforce_quota(PG_FUNCTION_ARGS)
{
	char	   *key = text_to_cstring(PG_GETARG_TEXT_PP(1));

	for (int i = 0; i < CSM_QUOTAS; i++)
	{
		if (strcmp(quotas[i].key, key) != 0)
			continue;
		if (bound() != 0)
			refuse_beyond((CsmQuota) i, csm_tenant_settings(PG_GETARG_INT64(0)).quota[i],
						  PG_GETARG_INT64(2));
		PG_RETURN_VOID();
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("quota \"%s\" is unknown", key),
			 errhint("Quotas are cases_per_day, comments_per_day, attachments and products.")));
}
