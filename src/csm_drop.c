/*
 * csm_drop.c
 *	  DROP EXTENSION does not take rows with it unasked.
 *
 * The extension can fall by many commands: DROP EXTENSION of its own name, of
 * ltree with CASCADE, DROP SCHEMA, DROP OWNED.  What a command will drop is
 * known only to the server, which tells it object by object through
 * object_access_hook, before each one goes and while it is still locked and
 * readable.  So the question is asked there, of each table of csm: is it empty?
 *
 * A session that has not used csm has not loaded this library.  An event
 * trigger on the start of such commands calls csm_drop_guard() below, which
 * loads it and sets the hook.  (An event trigger alone cannot judge: at the
 * start it does not know what will be dropped, at the end it is gone itself.)
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(csm_drop_guard);

static object_access_hook_type next_object_access_hook = NULL;
static bool hook_is_set = false;

static bool
drop_is_allowed(void)
{
	const char *value = GetConfigOption("csm.allow_drop", true, false);
	bool		allowed;

	return value != NULL && parse_bool(value, &allowed) && allowed;
}

/* A transaction that sees no row now sees none when the table goes: it is locked. */
static bool
has_rows(Oid relation)
{
	Relation	rel = table_open(relation, NoLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return found;
}

static void
guard_drop(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (next_object_access_hook)
		next_object_access_hook(access, classId, objectId, subId, arg);

	/* A script of the extension itself may drop what it made. */
	if (access != OAT_DROP || classId != RelationRelationId || subId != 0 || creating_extension)
		return;
	/* No table of csm_private has a row when csm.tenants has none. */
	if (get_rel_relkind(objectId) == RELKIND_RELATION &&
		get_rel_namespace(objectId) == get_namespace_oid("csm", true))
	{
		Oid			extension = getExtensionOfObject(RelationRelationId, objectId);

		if (OidIsValid(extension) && extension == get_extension_oid("csm", true) &&
			!drop_is_allowed() && has_rows(objectId))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot drop extension \"csm\" while its tables hold rows"),
					 errdetail("Table csm.%s is not empty.", quote_identifier(get_rel_name(objectId))),
					 errhint("To lose them for good, SET csm.allow_drop = on and repeat the command.")));
	}
}

/* Event trigger: loading this library is half of its work. */
Datum
csm_drop_guard(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.drop_guard() can only be called as an event trigger")));
	if (!hook_is_set)
	{
		next_object_access_hook = object_access_hook;
		object_access_hook = guard_drop;
		hook_is_set = true;
	}
	PG_RETURN_NULL();
}
