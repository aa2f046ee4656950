/*
 * csm_map_load.c
 *	  Builds an access map from rows: the rules V1 to V9, compiled.
 *
 * Each section reads the edges of one kind with an indexed query and turns
 * them into bits on keys (csm_map_customer.c, csm_map_staff.c).  Beside the rights it notes on which anchors they
 * depend and at which instant the next validity range begins or ends.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm_map_load.h"

const char *const csm_reach_names[REACHES] = {
	"own", "account", "subtree", "related", "team", "organization", "all"
};

/* These are for staff, whatever a role's rows say. */
#define STAFF_ONLY (CSM_BIT(CSM_CASE_WORK) | CSM_BIT(CSM_CONFIGURE) | CSM_BIT(CSM_ACT_FOR))

int64
csm_get_id(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

bool
csm_get_bool(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && DatumGetBool(value);
}

int
csm_get_int(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

char *
csm_get_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* The column holds the instant of the next change, NULL for never. */
void
csm_heed_change(Loader *loader, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	if (!isnull && DatumGetTimestampTz(value) < loader->map->valid_until)
		loader->map->valid_until = DatumGetTimestampTz(value);
}

void
csm_watch_key(Loader *loader, CsmSignalKind kind, int64 key)
{
	csm_map_watch(loader->map, csm_signal_anchor(kind, (uint64) key));
}

/* Runs a query whose parameters are the id, the tenant and the instant. */
uint64
csm_load_query(Loader *loader, const char *sql, int64 id, CsmTupleFn fn)
{
	static const Oid types[3] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(loader->map->tenant_id);
	values[2] = TimestampTzGetDatum(loader->now);
	return csm_spi_query(sql, 3, types, values, NULL, fn, loader);
}

CsmAccount *
csm_account_entry(CsmMap *map, int64 id)
{
	bool		found;
	CsmAccount *account = csm_acc_insert(map->accounts, id, &found);

	if (!found)
	{
		account->history = DT_NOBEGIN;
		account->bits = 0;
		account->since_bits = 0;
		account->flags = 0;
		account->partner = 0;
	}
	return account;
}

/* Room for so many more at once: growing step by step copies them again and again. */
void
csm_expect_accounts(CsmMap *map, int n)
{
	uint64		wanted = (map->accounts->members + (uint64) n) * 10 / 8;

	if (wanted > map->accounts->size)
		csm_acc_grow(map->accounts, wanted);
}

void
csm_key_entry(csm_key_hash *hash, int64 id, const CsmActionBits *bits)
{
	bool		found;
	CsmKeyBits *entry = csm_key_insert(hash, id, &found);

	if (!found)
		memset(entry->bits, 0, sizeof(entry->bits));
	for (int b = 0; b < CSM_BRANCHES; b++)
		entry->bits[b] |= bits[b];
}

/* --- the person and the roles of the tenant --- */

static void
take_person(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMap	   *map = ((Loader *) arg)->map;

	map->tenant_id = csm_get_id(tuple, desc, 1);
	map->somebody = csm_get_bool(tuple, desc, 2);
	map->own_consumer = csm_get_bool(tuple, desc, 3);
	map->own_internal = true;
	((Loader *) arg)->linked_assets_only = csm_get_bool(tuple, desc, 4);
}

static void
load_person(Loader *loader)
{
	static const char sql[] =
		"SELECT u.tenant_id, u.enabled AND t.enabled,"
		" EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = u.id AND c.tenant_id = u.tenant_id),"
		" t.settings -> 'use_asset_contacts' = 'true'"
		" FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id"
		" WHERE u.id = $1 AND $2 IS NOT NULL AND $3 IS NOT NULL";

	csm_watch_key(loader, CSM_SIGNAL_USER, loader->map->user_id);
	csm_load_query(loader, sql, loader->map->user_id, take_person);
	csm_watch_key(loader, CSM_SIGNAL_TENANT, loader->map->tenant_id);
	csm_watch_key(loader, CSM_SIGNAL_CONFIG, loader->map->tenant_id);
}

Role *
csm_find_role(Loader *loader, const char *name)
{
	for (int i = 0; i < loader->nroles; i++)
	{
		if (strcmp(loader->roles[i].name, name) == 0)
			return &loader->roles[i];
	}
	return NULL;
}

static void
take_permission(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	char	   *name = csm_get_text(tuple, desc, 1);
	char	   *kind = csm_get_text(tuple, desc, 2);
	char	   *action_name = csm_get_text(tuple, desc, 3);
	char	   *reach_name = csm_get_text(tuple, desc, 4);
	Role	   *role = csm_find_role(loader, name);
	int			action;

	if (role == NULL)
	{
		if (loader->nroles == loader->maxroles)
		{
			loader->maxroles = loader->maxroles ? loader->maxroles * 2 : 32;
			loader->roles = loader->roles
				? repalloc(loader->roles, sizeof(Role) * loader->maxroles)
				: MemoryContextAlloc(loader->map->context, sizeof(Role) * loader->maxroles);
		}
		role = &loader->roles[loader->nroles++];
		memset(role, 0, sizeof(*role));
		strlcpy(role->name, name, sizeof(role->name));
		role->kind = strcmp(kind, "consumer") == 0 ? 'u' : kind[0];
	}
	if (action_name == NULL)
		return;
	action = csm_action_from_name(action_name, (int) strlen(action_name));
	for (int r = 0; action >= 0 && r < REACHES; r++)
	{
		if (strcmp(csm_reach_names[r], reach_name) == 0 &&
			(role->kind == 's' || (CSM_BIT(action) & STAFF_ONLY) == 0))
			role->bits[r] |= action == CSM_PRODUCT_READ ? PRODUCT_RIGHTS : CSM_BIT(action);
	}
}

static void
load_roles(Loader *loader)
{
	static const char sql[] =
		"SELECT r.role, r.kind, p.action, p.reach"
		" FROM csm.roles r LEFT JOIN csm.role_permissions p ON p.role = r.role AND p.tenant_id = r.tenant_id"
		" WHERE r.tenant_id = $2 AND $1 IS NOT NULL AND $3 IS NOT NULL";
	Role	   *person;
	Role	   *consumer;

	csm_load_query(loader, sql, 0, take_permission);
	person = csm_find_role(loader, "person");
	if (person != NULL && person->kind == 'p')
		loader->map->own_bits = person->bits[REACH_OWN];
	consumer = csm_find_role(loader, "consumer");
	if (consumer != NULL && consumer->kind == 'u')
		loader->consumer_bits = consumer->bits[REACH_OWN];
}

static void
limit_keys(csm_key_hash *keys, const CsmActionBits *allowed)
{
	csm_key_iterator walk;
	CsmKeyBits *entry;

	csm_key_start_iterate(keys, &walk);
	while ((entry = csm_key_iterate(keys, &walk)) != NULL)
	{
		for (int b = 0; b < CSM_BRANCHES; b++)
			entry->bits[b] &= allowed[b];
	}
}

static void
limit_accounts(CsmMap *map, CsmActionBits allowed)
{
	csm_acc_iterator walk;
	CsmAccount *account;

	csm_acc_start_iterate(map->accounts, &walk);
	while ((account = csm_acc_iterate(map->accounts, &walk)) != NULL)
	{
		account->bits &= allowed;
		account->since_bits &= allowed;
	}
	for (int i = 0; i < map->nmore; i++)
		map->more[i].since_bits &= allowed;
	for (int i = 1; i <= map->npartners; i++)
		map->partners[i].named_bits &= allowed;
}

/*
 * What is not kept by branch holds in each of them: of it remains what is
 * allowed in all that are left, and of what does not look at the branch at all
 * (shares, links) what is allowed in all three.
 */
static void
limit_map(CsmMap *map)
{
	const CsmActionBits *allowed = map->limit.allowed;
	CsmActionBits left = CSM_ALL_ACTIONS;
	CsmActionBits everywhere[CSM_BRANCHES];
	CsmActionBits anywhere = 0;

	everywhere[0] = CSM_ALL_ACTIONS;
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		if (allowed[b] != 0)
			left &= allowed[b];
		everywhere[0] &= allowed[b];
		anywhere |= allowed[b];
		map->staff_own[b] &= allowed[b];
		map->all[b] &= allowed[b];
	}
	for (int b = 1; b < CSM_BRANCHES; b++)
		everywhere[b] = everywhere[0];
	map->staff_any &= anywhere;
	map->own_bits &= left;
	map->consumer_bits &= allowed[CSM_B2C];
	limit_accounts(map, allowed[CSM_B2B]);
	limit_keys(map->persons, allowed);
	limit_keys(map->households, allowed);
	limit_keys(map->organizations, allowed);
	limit_keys(map->team_accounts, allowed);
	limit_keys(map->team_persons, allowed);
	limit_keys(map->team_households, allowed);
	limit_keys(map->shared_cases, everywhere);
	limit_keys(map->assets, everywhere);
	limit_keys(map->sold_products, everywhere);
}

static bool
is_limited(const CsmMap *map)
{
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		if (map->limit.allowed[b] != CSM_ALL_ACTIONS)
			return true;
	}
	return false;
}

/*
 * A narrowed persona keeps its own section and drops the others; a share with
 * the person himself stays with every persona but a staff one.
 */
void
csm_map_load(CsmMap *map, TimestampTz now)
{
	Loader		loader = {0};
	const char *persona = map->persona;
	bool		any = persona[0] == '\0';
	const CsmActionBits *allowed = map->limit.allowed;
	bool		contact = (any || strncmp(persona, "contact:", 8) == 0) && allowed[CSM_B2B] != 0;
	bool		consumer = (any || strcmp(persona, "consumer") == 0) && allowed[CSM_B2C] != 0;
	bool		employee = (any || strcmp(persona, "employee") == 0) && allowed[CSM_INTERNAL] != 0;
	bool		staff = any || strncmp(persona, "staff:", 6) == 0;

	loader.map = map;
	loader.now = now;
	map->accounts = csm_acc_create(map->context, 64, NULL);
	map->team_accounts = csm_key_create(map->context, 8, NULL);
	map->team_persons = csm_key_create(map->context, 8, NULL);
	map->team_households = csm_key_create(map->context, 8, NULL);
	map->persons = csm_key_create(map->context, 8, NULL);
	map->households = csm_key_create(map->context, 8, NULL);
	map->organizations = csm_key_create(map->context, 8, NULL);
	map->shared_cases = csm_key_create(map->context, 8, NULL);
	map->assets = csm_key_create(map->context, 8, NULL);
	map->sold_products = csm_key_create(map->context, 8, NULL);

	load_person(&loader);
	if (!map->somebody)
		return;
	load_roles(&loader);
	map->own_consumer = map->own_consumer && consumer;
	map->own_internal = map->own_internal && employee;
	if (map->own_consumer)
		map->consumer_bits = loader.consumer_bits;
	if (contact)
	{
		csm_load_contacts(&loader);
		csm_load_relationships(&loader);
	}
	if (consumer)
		csm_load_households(&loader);
	if (contact || consumer || employee)
	{
		csm_load_shares(&loader);
		csm_load_assets(&loader);
	}
	if (staff && map->staff_side)
		csm_load_staff(&loader);
	if (!any && !contact && !consumer && !employee)
		map->own_bits = 0;
	if (is_limited(map))
		limit_map(map);
}
