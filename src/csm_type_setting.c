/*
 * csm_type_setting.c
 *	  Single settings of case types, remembered per backend.
 *
 * csm_private.type_setting() walks a chain of types; triggers and handlers ask
 * for the same few keys again and again.  An answer is kept until a machine of
 * its tenant is signalled (csm_signal.c), one that was read under the snapshot
 * of a REPEATABLE READ or SERIALIZABLE transaction for that transaction only.
 * At MAX_SETTINGS answers all are forgotten and asked anew.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_compat.h"
#include "csm_spi.h"
#include "csm_type_setting.h"

#define MAX_SETTINGS 1024

typedef struct SettingKey
{
	int64		tenant_id;
	char		case_type[NAMEDATALEN];
	char		key[NAMEDATALEN];
} SettingKey;

typedef struct Setting
{
	SettingKey	key;
	char	   *value;			/* NULL: none */
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
	LocalTransactionId only_in; /* provisional: valid in this transaction */
} Setting;

static MemoryContext settings_context = NULL;
static HTAB *settings = NULL;

static void
take_value(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	if (!isnull)
		*(char **) arg = MemoryContextStrdup(settings_context, TextDatumGetCString(value));
}

static char *
read_value(const SettingKey *key)
{
	static const char sql[] = "SELECT csm_private.type_setting($1, $2, $3) #>> '{}'";
	Oid			types[3] = {INT8OID, TEXTOID, TEXTOID};
	Datum		values[3];
	char	   *value = NULL;

	values[0] = Int64GetDatum(key->tenant_id);
	values[1] = CStringGetTextDatum(key->case_type);
	values[2] = CStringGetTextDatum(key->key);
	csm_spi_query(sql, 3, types, values, NULL, take_value, &value);
	return value;
}

static void
start(void)
{
	HASHCTL		control = {.keysize = sizeof(SettingKey), .entrysize = sizeof(Setting)};

	if (settings_context == NULL)
		settings_context = AllocSetContextCreate(TopMemoryContext, "csm type settings",
												 ALLOCSET_SMALL_SIZES);
	settings = NULL;
	MemoryContextReset(settings_context);
	control.hcxt = settings_context;
	settings = hash_create("csm type settings", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static bool
still_right(const Setting *s)
{
	return s->seen == csm_signal_count[s->anchor] &&
		(s->only_in == InvalidLocalTransactionId || s->only_in == csm_lxid(MyProc));
}

const char *
csm_type_setting(int64 tenant_id, const char *case_type, const char *key)
{
	SettingKey	wanted;
	Setting    *found;
	Setting		fresh;

	memset(&wanted, 0, sizeof(wanted));
	wanted.tenant_id = tenant_id;
	strlcpy(wanted.case_type, case_type, sizeof(wanted.case_type));
	strlcpy(wanted.key, key, sizeof(wanted.key));

	csm_signal_watch();
	if (settings == NULL || hash_get_num_entries(settings) >= MAX_SETTINGS)
		start();
	found = (Setting *) hash_search(settings, &wanted, HASH_FIND, NULL);
	if (found != NULL && still_right(found))
		return found->value;

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	fresh.anchor = csm_signal_anchor(CSM_SIGNAL_MACHINE, (uint64) tenant_id);
	fresh.seen = csm_signal_count[fresh.anchor];
	fresh.only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);
	fresh.value = read_value(&wanted);
	fresh.key = wanted;

	if (found != NULL && found->value != NULL)
		pfree(found->value);
	found = (Setting *) hash_search(settings, &wanted, HASH_ENTER, NULL);
	*found = fresh;
	return found->value;
}

bool
csm_type_period(int64 tenant_id, const char *case_type, const char *key, TimestampTz *period)
{
	const char *value = csm_type_setting(tenant_id, case_type, key);
	char	   *end;
	double		days;

	if (value == NULL)
		return false;
	days = strtod(value, &end);
	if (end == value || *end != '\0' || !(days >= 0 && days <= 36525))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("setting \"%s\" of case type \"%s\" is no number of days", key, case_type),
				 errdetail("It is %s.", value),
				 errhint("Correct csm.case_types.settings: 0 to 36525, or null for never.")));
	*period = (TimestampTz) (days * USECS_PER_DAY);
	return true;
}

PG_FUNCTION_INFO_V1(csm_type_text);

/* csm_private.type_text(tenant_id, case_type, key) */
Datum
csm_type_text(PG_FUNCTION_ARGS)
{
	const char *value = csm_type_setting(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
										 text_to_cstring(PG_GETARG_TEXT_PP(2)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

PG_FUNCTION_INFO_V1(csm_type_period_sql);

/* csm_private.type_period(tenant_id, case_type, key): days as an interval */
Datum
csm_type_period_sql(PG_FUNCTION_ARGS)
{
	TimestampTz period;
	Interval   *result;

	if (!csm_type_period(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 text_to_cstring(PG_GETARG_TEXT_PP(2)), &period))
		PG_RETURN_NULL();
	/* Whole and part days alike are hours here: a period does not follow clocks that are put forward. */
	result = (Interval *) palloc0(sizeof(Interval));
	result->time = period;
	PG_RETURN_INTERVAL_P(result);
}
