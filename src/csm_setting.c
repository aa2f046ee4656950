/*
 * csm_setting.c
 *	  What tenants set in csm.tenants.settings, kept per backend.
 *
 * Kept until a row of csm.tenants is signalled (csm_signal.c).  What was read
 * where the latest rows cannot be read serves one call.  Defaults stand in SQL
 * (csm_private.quota).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"

#include "csm_setting.h"
#include "csm_spi.h"

#define MAX_TENANTS 32

typedef struct Kept
{
	int64		tenant_id;
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
	CsmTenantSettings settings;
} Kept;

static Kept kept[MAX_TENANTS];
static int	nkept = 0;
static int	oldest = 0;

static void
take_settings(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmTenantSettings *settings = (CsmTenantSettings *) arg;
	bool		isnull;

	settings->event_notify = DatumGetBool(heap_getattr(tuple, 1, desc, &isnull));
	for (int i = 0; i < CSM_QUOTAS; i++)
	{
		Datum		value = heap_getattr(tuple, 2 + i, desc, &isnull);

		settings->quota[i] = isnull ? CSM_UNLIMITED : DatumGetInt32(value);
	}
}

static CsmTenantSettings
read_settings(int64 tenant_id)
{
	static const char sql[] =
		"SELECT coalesce(t.settings->'event_notify' = 'true'::jsonb, false),"
		"       csm_private.quota(t.settings, 'cases_per_day'),"
		"       csm_private.quota(t.settings, 'comments_per_day'),"
		"       csm_private.quota(t.settings, 'attachments'),"
		"       csm_private.quota(t.settings, 'products')"
		"  FROM csm.tenants t WHERE t.id = $1";
	Oid			types[1] = {INT8OID};
	Datum		values[1];
	CsmTenantSettings settings = {0};

	values[0] = Int64GetDatum(tenant_id);
	csm_spi_query(sql, 1, types, values, NULL, take_settings, &settings);
	return settings;
}

CsmTenantSettings
csm_tenant_settings(int64 tenant_id)
{
	CsmTenantSettings settings;
	int			anchor;
	uint32		seen;
	int			place;

	csm_signal_watch();
	for (place = 0; place < nkept; place++)
	{
		if (kept[place].tenant_id != tenant_id)
			continue;
		if (kept[place].seen == csm_signal_count[kept[place].anchor])
			return kept[place].settings;
		break;
	}

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	anchor = csm_signal_anchor(CSM_SIGNAL_TENANT, (uint64) tenant_id);
	seen = csm_signal_count[anchor];
	settings = read_settings(tenant_id);
	if (!csm_spi_latest())
		return settings;
	if (place == nkept)
	{
		if (nkept < MAX_TENANTS)
			nkept++;
		else
			place = oldest++ % MAX_TENANTS;
	}
	kept[place].tenant_id = tenant_id;
	kept[place].anchor = anchor;
	kept[place].seen = seen;
	kept[place].settings = settings;
	return settings;
}
