/*
 * csm_entitlement.c
 *	  What the life of a case does to entitlements: one that fits is filled in
 *	  at opening, a unit is used at closing.
 *
 * Both run with every case, so they are one prepared statement each.  What
 * fits is defined in SQL, csm_private.entitlement_candidates(); of a tenant that
 * has no entitlement at all it is not asked, which is remembered until a row of
 * the tenant's entitlements is signalled (csm_signal.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_case_row.h"
#include "csm_event.h"
#include "csm_intent.h"
#include "csm_machine.h"
#include "csm_spi.h"

static TriggerData *
case_trigger(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_FOR_ROW(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.%s() must be a row trigger", name)));
	return (TriggerData *) fcinfo->context;
}

static Datum
id_or_null(int64 id, char *null)
{
	*null = id == 0 ? 'n' : ' ';
	return Int64GetDatum(id);
}

/* Tenants by their id modulo the size. */
#define KNOWN_TENANTS 16

typedef struct KnownTenant
{
	int64		tenant_id;		/* 0: none */
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
	bool		has_entitlements;
} KnownTenant;

static KnownTenant known_tenants[KNOWN_TENANTS];

static void
take_any(HeapTuple tuple, TupleDesc desc, void *arg)
{
}

static bool
has_entitlements(int64 tenant_id)
{
	static const char sql[] = "SELECT FROM csm.entitlements WHERE tenant_id = $1 LIMIT 1";
	static const Oid types[1] = {INT8OID};
	KnownTenant *known = &known_tenants[tenant_id % KNOWN_TENANTS];
	Datum		values[1] = {Int64GetDatum(tenant_id)};
	int			anchor;
	uint32		seen;
	bool		has;

	csm_signal_watch();
	if (known->tenant_id == tenant_id && known->seen == csm_signal_count[known->anchor])
		return known->has_entitlements;

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	anchor = csm_signal_anchor(CSM_SIGNAL_ENTITLEMENT, (uint64) tenant_id);
	seen = csm_signal_count[anchor];
	has = csm_spi_query(sql, 1, types, values, NULL, take_any, NULL) > 0;
	/* What a transaction's own snapshot shows is not for the next one. */
	if (csm_spi_latest())
		*known = (KnownTenant) {tenant_id, anchor, seen, has};
	return has;
}

static void
take_candidate(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;

	*(int64 *) arg = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
}

PG_FUNCTION_INFO_V1(csm_fill_entitlement);

/* BEFORE INSERT; concerns a case that names none. */
Datum
csm_fill_entitlement(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"SELECT k.entitlement_id FROM csm_private.entitlement_candidates($1, $2, $3, $4, $5, $6, $7) k LIMIT 2";
	/* Most cases name neither product nor item: a plan with less to start. */
	static const char sql_bare[] =
		"SELECT k.entitlement_id FROM csm_private.entitlement_candidates($1, $2, $3, NULL, NULL, $6, $7) k LIMIT 2";
	static const Oid types[7] = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	TriggerData *data = case_trigger(fcinfo, "fill_entitlement");
	CsmCaseRow	row;
	CsmCaseKeys keys;
	Datum		values[7];
	char		nulls[7];
	int64		found = 0;

	if (csm_case_tuple_has(data->tg_trigtuple, RelationGetDescr(data->tg_relation), CASE_entitlement_id) ||
		csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(data->tg_trigtuple);
	csm_case_row_open(&row, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_keys(&row, &keys);
	if (!has_entitlements(keys.tenant_id))
		return PointerGetDatum(data->tg_trigtuple);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(keys.tenant_id);
	values[1] = id_or_null(keys.account_id, &nulls[1]);
	values[2] = id_or_null(keys.branch == CSM_B2B ? 0 : keys.requester_id, &nulls[2]);
	values[3] = id_or_null(csm_case_row_id(&row, CASE_product_id), &nulls[3]);
	values[4] = id_or_null(csm_case_row_id(&row, CASE_asset_id), &nulls[4]);
	values[5] = csm_case_row_value(&row, CASE_channel);
	values[6] = TimestampTzGetDatum(GetCurrentStatementStartTimestamp());
	if (csm_spi_query(nulls[3] == 'n' && nulls[4] == 'n' ? sql_bare : sql, 7, types, values, nulls,
					  take_candidate, &found) != 1)
		return PointerGetDatum(data->tg_trigtuple);
	csm_case_row_set(&row, CASE_entitlement_id, Int64GetDatum(found));
	return PointerGetDatum(csm_case_row_form(&row, data->tg_trigtuple));
}

static void
take_over_use(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;

	*(bool *) arg = DatumGetBool(heap_getattr(tuple, 1, desc, &isnull));
}

PG_FUNCTION_INFO_V1(csm_use_entitlement);

/*
 * AFTER UPDATE; concerns a case with an entitlement that is closed.  The case's row is
 * locked by the update, so nobody else looks for its row in the ledger; the
 * entitlement's row is locked by taking the unit, so the last one is taken
 * once.
 */
Datum
csm_use_entitlement(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"WITH due AS ("
		"  SELECT e.id, e.tenant_id FROM csm.entitlements e"
		"  WHERE e.id = $1 AND e.tenant_id = $2 AND e.unit = 'cases'"
		"  AND NOT EXISTS (SELECT FROM csm.entitlement_uses u WHERE u.case_id = $3 AND u.unit = 'cases')"
		"), taken AS ("
		"  UPDATE csm.entitlements e SET used = e.used + 1 FROM due"
		"  WHERE e.id = due.id AND e.tenant_id = due.tenant_id AND (e.total IS NULL OR e.used < e.total)"
		"  RETURNING e.id"
		") INSERT INTO csm.entitlement_uses (tenant_id, entitlement_id, case_id, unit, units, over_units)"
		" SELECT due.tenant_id, due.id, $3, 'cases', 1, CASE WHEN EXISTS (SELECT FROM taken) THEN 0 ELSE 1 END FROM due"
		" RETURNING over_units > 0";
	static const Oid types[3] = {INT8OID, INT8OID, INT8OID};
	TriggerData *data = case_trigger(fcinfo, "use_entitlement");
	CsmCaseRow	before;
	CsmCaseRow	row;
	Datum		values[3];
	bool		over = false;

	if (!csm_case_tuple_has(data->tg_newtuple, RelationGetDescr(data->tg_relation), CASE_entitlement_id) ||
		csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);
	csm_case_row_open(&before, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_open(&row, data->tg_newtuple, RelationGetDescr(data->tg_relation));
	if (!csm_case_row_changed(&before, &row, CASE_state_class) ||
		strcmp(csm_case_row_text(&row, CASE_state_class), csm_class_name(CSM_CLASS_CLOSED)) != 0)
		return PointerGetDatum(NULL);
	values[0] = csm_case_row_value(&row, CASE_entitlement_id);
	values[1] = csm_case_row_value(&row, CASE_tenant_id);
	values[2] = csm_case_row_value(&row, CASE_id);
	csm_spi_write(sql, 3, types, values, NULL, take_over_use, &over);
	if (over)
	{
		char	   *payload = psprintf("{\"entitlement_id\": " INT64_FORMAT ", \"over_units\": 1}",
									   DatumGetInt64(values[0]));

		csm_event_emit(DatumGetInt64(values[1]), DatumGetInt64(values[2]), "entitlement_overused", "internal",
					   NULL, DirectFunctionCall1(jsonb_in, CStringGetDatum(payload)));
	}
	return PointerGetDatum(NULL);
}
