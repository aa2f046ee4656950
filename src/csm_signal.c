/*
 * csm_signal.c
 *	  How a change of an access edge reaches every session's maps.
 *
 * The row triggers of the edge tables send the relcache message of an anchor:
 * one of CSM_ANCHORS empty tables, chosen by a hash of the key that changed.
 * The server delivers such messages with the commit, to standbys too, takes
 * them back with a rollback and carries them through PREPARE.  The edge table
 * itself is not invalidated: that would throw away everybody's plans.
 *
 * A message says that a map built from the key may be out of date; it tells no
 * key, so a map is suspected without cause where another key shares its anchor
 * (a map depends on some five keys: one unrelated write in fifty).
 *
 * The callback runs wherever messages are read, even in the middle of an
 * abort: it counts, marks maps, and touches no catalogue.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "csm.h"
#include "csm_map.h"

uint32		csm_signal_count[CSM_ANCHORS];
uint64		csm_signal_total = 0;

static Oid	anchor_oid[CSM_ANCHORS];

static const char *const kind_names[CSM_SIGNAL_KINDS] = {
	[CSM_SIGNAL_USER] = "user",
	[CSM_SIGNAL_ACCOUNT] = "account",
	[CSM_SIGNAL_TREE] = "tree",
	[CSM_SIGNAL_RELATION] = "relation",
	[CSM_SIGNAL_PARTY] = "party",
	[CSM_SIGNAL_CONTACT] = "contact",
	[CSM_SIGNAL_ENTITLEMENT] = "entitlement",
	[CSM_SIGNAL_HOUSEHOLD] = "household",
	[CSM_SIGNAL_ORGANIZATION] = "organization",
	[CSM_SIGNAL_CONFIG] = "config",
	[CSM_SIGNAL_MACHINE] = "machine",
	[CSM_SIGNAL_LOGIN] = "login",
	[CSM_SIGNAL_TENANT] = "tenant",
	[CSM_SIGNAL_TENANTS] = "tenants",
	[CSM_SIGNAL_CALENDAR] = "calendar",
	[CSM_SIGNAL_SLA] = "sla",
	[CSM_SIGNAL_SESSION] = "session",
	[CSM_SIGNAL_AUDIENCE] = "audience",
	[CSM_SIGNAL_MEMBER] = "member",
	[CSM_SIGNAL_OWNED] = "owned",
};

static void
anchor_invalidated(Datum arg, Oid relid)
{
	csm_signal_total++;
	if (!OidIsValid(relid))
	{
		for (int i = 0; i < CSM_ANCHORS; i++)
			csm_signal_count[i]++;
		csm_map_suspect_all();
		return;
	}
	for (int i = 0; i < CSM_ANCHORS; i++)
	{
		if (anchor_oid[i] == relid)
		{
			csm_signal_count[i]++;
			csm_map_suspect(i);
			return;
		}
	}
}

void
csm_signal_init(void)
{
	CacheRegisterRelcacheCallback(anchor_invalidated, (Datum) 0);
}

/*
 * Messages that other sessions sent are read when a lock is taken; a cached
 * plan takes none that is new, so the reader of a map asks for them.
 */
void
csm_signal_watch(void)
{
	AcceptInvalidationMessages();
}

static Oid
lookup_anchor(int anchor)
{
	char		name[NAMEDATALEN];
	Oid			schema = get_namespace_oid("csm_private", true);

	if (!OidIsValid(schema))
		return InvalidOid;
	snprintf(name, sizeof(name), "anchor_%d", anchor);
	return get_relname_relid(name, schema);
}

/*
 * Looking the anchor up again each time costs a cache probe and survives
 * DROP and CREATE EXTENSION in a session.
 */
static int
watched(uint64 hash)
{
	int			anchor = (int) (hash % CSM_ANCHORS);

	anchor_oid[anchor] = lookup_anchor(anchor);
	return anchor;
}

/* Anchor of a key; from now on its messages are counted. */
int
csm_signal_anchor(CsmSignalKind kind, uint64 key)
{
	return watched(hash_combine64(hash_bytes_extended((unsigned char *) &key, sizeof(key), 0), kind * UINT64CONST(0x9E3779B97F4A7C15)));
}

int
csm_signal_anchor_text(CsmSignalKind kind, const char *key)
{
	return watched(hash_combine64(hash_bytes_extended((const unsigned char *) key, strlen(key), 0), kind * UINT64CONST(0x9E3779B97F4A7C15)));
}

static void
send(int anchor)
{
	if (OidIsValid(anchor_oid[anchor]))
		CacheInvalidateRelcacheByRelid(anchor_oid[anchor]);
}

static CsmSignalKind
kind_from_name(const char *name)
{
	for (int i = 0; i < CSM_SIGNAL_KINDS; i++)
	{
		if (strcmp(kind_names[i], name) == 0)
			return (CsmSignalKind) i;
	}
	elog(ERROR, "unknown signal kind \"%s\"", name);
}

static void
signal_value(CsmSignalKind kind, HeapTuple tuple, TupleDesc desc, const char *column)
{
	int			attnum;
	bool		isnull;
	Datum		value;

	if (column[0] == '\0')
	{
		send(csm_signal_anchor(kind, 0));
		return;
	}
	attnum = SPI_fnumber(desc, column);
	if (attnum <= 0)
		elog(ERROR, "column \"%s\" does not exist", column);
	value = heap_getattr(tuple, attnum, desc, &isnull);
	if (isnull)
		return;
	if (TupleDescAttr(desc, attnum - 1)->atttypid == INT8OID)
		send(csm_signal_anchor(kind, (uint64) DatumGetInt64(value)));
	else
		send(csm_signal_anchor_text(kind, TextDatumGetCString(value)));
}

PG_FUNCTION_INFO_V1(csm_signal);

/* Trigger; arguments are pairs of key kind and column, for OLD and NEW alike. */
Datum
csm_signal(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.signal() must be an AFTER trigger")));

	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
	{
		for (int i = 0; i < CSM_ANCHORS; i++)
		{
			anchor_oid[i] = lookup_anchor(i);
			send(i);
		}
		return PointerGetDatum(NULL);
	}

	desc = RelationGetDescr(data->tg_relation);
	for (int i = 0; i + 1 < data->tg_trigger->tgnargs; i += 2)
	{
		CsmSignalKind kind = kind_from_name(data->tg_trigger->tgargs[i]);
		const char *column = data->tg_trigger->tgargs[i + 1];

		signal_value(kind, data->tg_trigtuple, desc, column);
		if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
			signal_value(kind, data->tg_newtuple, desc, column);
	}
	return PointerGetDatum(NULL);
}
