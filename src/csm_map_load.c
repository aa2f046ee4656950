/*
 * csm_map_load.c
 *	  Builds an access map from rows: the rules V1 to V9, compiled.
 *
 * Each section reads the edges of one kind with an indexed query and turns
 * them into bits on keys.  Beside the rights it notes on which anchors they
 * depend and at which instant the next validity range begins or ends.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm.h"
#include "csm_map.h"
#include "csm_spi.h"

/* The reaches a permission can have, in the order of CsmRole.bits. */
typedef enum Reach
{
	REACH_OWN,
	REACH_ACCOUNT,
	REACH_SUBTREE,
	REACH_RELATED,
	REACH_TEAM,
	REACH_ORGANIZATION,
	REACH_ALL,
	REACHES
} Reach;

static const char *const reach_names[REACHES] = {
	"own", "account", "subtree", "related", "team", "organization", "all"
};

typedef struct Role
{
	char		name[NAMEDATALEN];
	char		kind;			/* p, c(ontact), u (consumer), s(taff) */
	CsmActionBits bits[REACHES];
} Role;

typedef struct Contact
{
	int64		id;
	int64		account_id;
	int64		root_id;
	bool		leaderless;
	Role	   *role;
} Contact;

typedef struct Loader
{
	CsmMap	   *map;
	TimestampTz now;
	Role	   *roles;
	int			nroles;
	Contact    *contacts;
	int			ncontacts;
	int			maxcontacts;

	/* what the section that is running hands to its callback */
	void	   *item;
	CsmActionBits bits;
	CsmActionBits branch_bits[CSM_BRANCHES];
	uint8		partner;
} Loader;

/* case_work and configure are for staff, whatever a role's rows say. */
#define STAFF_ONLY (CSM_BIT(CSM_CASE_WORK) | CSM_BIT(CSM_CONFIGURE))
#define CASE_RIGHTS (CSM_BIT(CSM_CASE_READ) | CSM_BIT(CSM_CASE_COMMENT) | CSM_BIT(CSM_CASE_DECIDE))
#define CONTACT_RIGHTS (CSM_BIT(CSM_CONTACT_READ) | CSM_BIT(CSM_CONTACT_MANAGE))

static int64
get_id(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
get_bool(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && DatumGetBool(value);
}

static int
get_int(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static char *
get_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* The column holds the instant of the next change, NULL for never. */
static void
heed_change(Loader *loader, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	if (!isnull && DatumGetTimestampTz(value) < loader->map->valid_until)
		loader->map->valid_until = DatumGetTimestampTz(value);
}

static void
watch(Loader *loader, CsmSignalKind kind, int64 key)
{
	csm_map_watch(loader->map, csm_signal_anchor(kind, (uint64) key));
}

/* Runs a query whose parameters are the id, the tenant and the instant. */
static uint64
query(Loader *loader, const char *sql, int64 id, CsmTupleFn fn)
{
	static const Oid types[3] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(loader->map->tenant_id);
	values[2] = TimestampTzGetDatum(loader->now);
	return csm_spi_query(sql, 3, types, values, NULL, fn, loader);
}

static CsmAccount *
account_entry(CsmMap *map, int64 id)
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

static void
key_entry(csm_key_hash *hash, int64 id, const CsmActionBits *bits)
{
	bool		found;
	CsmKeyBits *entry = csm_key_insert(hash, id, &found);

	if (!found)
		memset(entry->bits, 0, sizeof(entry->bits));
	for (int b = 0; b < CSM_BRANCHES; b++)
		entry->bits[b] |= bits[b];
}

static void
add_more(CsmMap *map, CsmAccount *account, TimestampTz history, CsmActionBits bits, uint8 partner)
{
	if (map->nmore == map->maxmore)
	{
		map->maxmore = map->maxmore ? map->maxmore * 2 : 16;
		map->more = map->more
			? repalloc(map->more, sizeof(CsmMore) * map->maxmore)
			: MemoryContextAlloc(map->context, sizeof(CsmMore) * map->maxmore);
	}
	map->more[map->nmore].account_id = account->id;
	map->more[map->nmore].history = history;
	map->more[map->nmore].since_bits = bits;
	map->more[map->nmore].partner = partner;
	map->nmore++;
	account->flags |= CSM_ACC_MORE;
}

/* --- the person and the roles of the tenant --- */

static void
take_person(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMap	   *map = ((Loader *) arg)->map;

	map->tenant_id = get_id(tuple, desc, 1);
	map->somebody = get_bool(tuple, desc, 2);
	map->own_consumer = get_bool(tuple, desc, 3);
	map->own_internal = true;
}

static void
load_person(Loader *loader)
{
	static const char sql[] =
		"SELECT u.tenant_id, u.enabled AND t.enabled,"
		" EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = u.id AND c.tenant_id = u.tenant_id)"
		" FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id"
		" WHERE u.id = $1 AND $2 IS NOT NULL AND $3 IS NOT NULL";

	watch(loader, CSM_SIGNAL_USER, loader->map->user_id);
	query(loader, sql, loader->map->user_id, take_person);
	watch(loader, CSM_SIGNAL_TENANT, loader->map->tenant_id);
	watch(loader, CSM_SIGNAL_CONFIG, loader->map->tenant_id);
}

static Role *
find_role(Loader *loader, const char *name)
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
	char	   *name = get_text(tuple, desc, 1);
	char	   *kind = get_text(tuple, desc, 2);
	char	   *action_name = get_text(tuple, desc, 3);
	char	   *reach_name = get_text(tuple, desc, 4);
	Role	   *role = find_role(loader, name);
	int			action;

	if (role == NULL)
	{
		/* Rows come ordered by role; the array is as large as their number. */
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
		if (strcmp(reach_names[r], reach_name) == 0 &&
			(role->kind == 's' || (CSM_BIT(action) & STAFF_ONLY) == 0))
			role->bits[r] |= CSM_BIT(action);
	}
}

static void
take_count(HeapTuple tuple, TupleDesc desc, void *arg)
{
	((Loader *) arg)->maxcontacts = (int) get_id(tuple, desc, 1);
}

static void
load_roles(Loader *loader)
{
	static const char count[] =
		"SELECT count(*) FROM csm.roles WHERE tenant_id = $2 AND $1 IS NOT NULL AND $3 IS NOT NULL";
	static const char sql[] =
		"SELECT r.role, r.kind, p.action, p.reach"
		" FROM csm.roles r LEFT JOIN csm.role_permissions p ON p.role = r.role AND p.tenant_id = r.tenant_id"
		" WHERE r.tenant_id = $2 AND $1 IS NOT NULL AND $3 IS NOT NULL";
	Role	   *person;

	query(loader, count, 0, take_count);
	loader->roles = palloc(sizeof(Role) * (loader->maxcontacts + 1));
	loader->maxcontacts = 0;
	query(loader, sql, 0, take_permission);
	person = find_role(loader, "person");
	if (person != NULL && person->kind == 'p')
		loader->map->own_bits = person->bits[REACH_OWN];
}

/* --- contacts: reach account and subtree, V1 to V4 and V8 --- */

static void
take_contact(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	Contact    *contact;
	const char *persona = loader->map->persona;

	heed_change(loader, tuple, desc, 5);
	heed_change(loader, tuple, desc, 7);
	if (!get_bool(tuple, desc, 4))
		return;
	if (strncmp(persona, "contact:", 8) == 0 &&
		strtoll(persona + 8, NULL, 10) != get_id(tuple, desc, 1))
		return;
	if (loader->ncontacts == loader->maxcontacts)
	{
		loader->maxcontacts = loader->maxcontacts ? loader->maxcontacts * 2 : 8;
		loader->contacts = loader->contacts
			? repalloc(loader->contacts, sizeof(Contact) * loader->maxcontacts)
			: MemoryContextAlloc(loader->map->context, sizeof(Contact) * loader->maxcontacts);
	}
	contact = &loader->contacts[loader->ncontacts++];
	contact->id = get_id(tuple, desc, 1);
	contact->account_id = get_id(tuple, desc, 2);
	contact->role = find_role(loader, get_text(tuple, desc, 3));
	contact->leaderless = get_bool(tuple, desc, 6);
	contact->root_id = get_id(tuple, desc, 8);
	if (contact->role != NULL && contact->role->kind != 'c')
		contact->role = NULL;
}

static void
take_account_ids(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);
	ArrayType  *array;
	int64	   *ids;
	int			n;

	if (isnull)
		return;
	array = DatumGetArrayTypeP(value);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	ids = (int64 *) ARR_DATA_PTR(array);
	for (int i = 0; i < n; i++)
		account_entry(loader->map, ids[i])->bits |= loader->bits;
}

static void
load_contacts(Loader *loader)
{
	static const char sql[] =
		"SELECT c.id, c.account_id, c.role,"
		" c.login_enabled AND csm_private.is_valid(c.valid_during, $3),"
		" csm_private.next_change(c.valid_during, $3),"
		" NOT EXISTS (SELECT FROM csm.contacts l"
		"   JOIN csm.role_permissions p ON p.role = l.role AND p.tenant_id = l.tenant_id"
		"   JOIN csm.roles r ON r.role = l.role AND r.tenant_id = l.tenant_id"
		"   WHERE l.account_id = c.account_id AND csm_private.is_valid(l.valid_during, $3)"
		"   AND r.kind = 'contact' AND p.action = 'case_decide' AND p.reach IN ('account', 'subtree')),"
		" (SELECT min(csm_private.next_change(l.valid_during, $3)) FROM csm.contacts l"
		"   WHERE l.account_id = c.account_id AND l.valid_during IS NOT NULL),"
		" a.root_id"
		" FROM csm.contacts c JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id"
		" WHERE c.user_id = $1 AND c.tenant_id = $2";
	static const char subtree[] =
		"SELECT array_agg(s) FROM csm_private.subtree($1, $2) s WHERE $3 IS NOT NULL";
	CsmMap	   *map = loader->map;

	query(loader, sql, map->user_id, take_contact);
	map->contacts = palloc(sizeof(CsmOwnContact) * (loader->ncontacts + 1));
	for (int i = 0; i < loader->ncontacts; i++)
	{
		Contact    *contact = &loader->contacts[i];
		CsmAccount *account = account_entry(map, contact->account_id);

		watch(loader, CSM_SIGNAL_ACCOUNT, contact->account_id);
		map->contacts[map->ncontacts].id = contact->id;
		map->contacts[map->ncontacts++].partner = 0;
		account->flags |= CSM_ACC_OWN;
		if (contact->leaderless)
			account->flags |= CSM_ACC_LEADERLESS;
		if (contact->role == NULL)
			continue;
		account->bits |= contact->role->bits[REACH_ACCOUNT];
		loader->bits = contact->role->bits[REACH_SUBTREE];
		if (loader->bits != 0)
		{
			watch(loader, CSM_SIGNAL_TREE, contact->root_id);
			query(loader, subtree, contact->account_id, take_account_ids);
		}
	}
}

/* --- relationships: reach related, V5, and V4 through a partner --- */

static void
related_account(Loader *loader, int64 id, CsmActionBits always, CsmActionBits since, TimestampTz history)
{
	CsmMap	   *map = loader->map;
	CsmAccount *account = account_entry(map, id);

	account->flags |= CSM_ACC_RELATED;
	account->bits |= always;
	if (account->partner == 0)
		account->partner = loader->partner;
	else if (account->partner != loader->partner)
		add_more(map, account, DT_NOEND, 0, loader->partner);
	if (since == 0)
		return;
	if (account->since_bits == 0 || account->since_bits == since)
	{
		account->history = account->since_bits == 0 ? history : Min(account->history, history);
		account->since_bits = since;
	}
	else
		add_more(map, account, history, since, 0);
}

static void
take_relations(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmActionBits always = loader->bits & ~(CASE_RIGHTS | CONTACT_RIGHTS);
	CsmActionBits since = 0;
	TimestampTz history = DT_NOBEGIN;
	bool		isnull;
	Datum		value;
	ArrayType  *array;
	int64	   *ids;
	int			n;

	heed_change(loader, tuple, desc, 5);
	if (!get_bool(tuple, desc, 4))
		return;
	if (get_bool(tuple, desc, 3))	/* administers */
		always |= loader->bits & CONTACT_RIGHTS;
	if (get_bool(tuple, desc, 1))	/* scope all */
	{
		value = heap_getattr(tuple, 2, desc, &isnull);
		if (isnull)
			always |= loader->bits & CASE_RIGHTS;
		else
		{
			since = loader->bits & CASE_RIGHTS;
			history = DatumGetTimestampTz(value);
		}
	}

	/* Trees that the descendants come from; NULL where none are included. */
	value = heap_getattr(tuple, 7, desc, &isnull);
	if (!isnull)
	{
		array = DatumGetArrayTypeP(value);
		n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		ids = (int64 *) ARR_DATA_PTR(array);
		for (int i = 0; i < n; i++)
			watch(loader, CSM_SIGNAL_TREE, ids[i]);
	}
	value = heap_getattr(tuple, 6, desc, &isnull);
	if (isnull)
		return;
	array = DatumGetArrayTypeP(value);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	ids = (int64 *) ARR_DATA_PTR(array);
	for (int i = 0; i < n; i++)
		related_account(loader, ids[i], always, since, history);
}

static uint8
partner_index(Loader *loader, int64 account_id)
{
	CsmMap	   *map = loader->map;

	for (int i = 1; i <= map->npartners; i++)
	{
		if (map->partners[i].account_id == account_id)
			return (uint8) i;
	}
	if (map->npartners == PG_UINT8_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a person can be contact of at most %d accounts that look after others", PG_UINT8_MAX)));
	map->npartners++;
	map->partners[map->npartners].account_id = account_id;
	map->partners[map->npartners].named_bits = 0;
	return (uint8) map->npartners;
}

static void
load_relationships(Loader *loader)
{
	static const char exists[] =
		"SELECT count(*) FROM (SELECT FROM csm.account_relationships r"
		" WHERE r.partner_account_id = $1 AND r.tenant_id = $2 AND $3 IS NOT NULL LIMIT 1) x";
	static const char plain[] =
		"SELECT scope = 'all', history_from, administers, csm_private.is_valid(valid_during, $3),"
		" min(csm_private.next_change(valid_during, $3)), array_agg(customer_account_id), NULL::bigint[]"
		" FROM csm.account_relationships"
		" WHERE partner_account_id = $1 AND tenant_id = $2 AND type = 'partner_of' AND NOT include_descendants"
		" GROUP BY 1, 2, 3, 4";
	static const char with_descendants[] =
		"SELECT r.scope = 'all', r.history_from, r.administers, csm_private.is_valid(r.valid_during, $3),"
		" min(csm_private.next_change(r.valid_during, $3)),"
		" array_agg(DISTINCT d.id), array_agg(DISTINCT a.root_id)"
		" FROM csm.account_relationships r"
		" JOIN csm.accounts a ON a.id = r.customer_account_id AND a.tenant_id = r.tenant_id"
		" CROSS JOIN LATERAL csm_private.subtree(r.customer_account_id, r.tenant_id) d(id)"
		" WHERE r.partner_account_id = $1 AND r.tenant_id = $2 AND r.type = 'partner_of' AND r.include_descendants"
		" GROUP BY 1, 2, 3, 4";
	CsmMap	   *map = loader->map;
	int			saved = loader->maxcontacts;

	map->partners = palloc0(sizeof(CsmPartner) * (Min(loader->ncontacts, PG_UINT8_MAX) + 1));
	for (int i = 0; i < loader->ncontacts; i++)
	{
		Contact    *contact = &loader->contacts[i];

		watch(loader, CSM_SIGNAL_RELATION, contact->account_id);
		query(loader, exists, contact->account_id, take_count);
		if (loader->maxcontacts == 0)
			continue;
		loader->bits = contact->role ? contact->role->bits[REACH_RELATED] : 0;
		loader->partner = partner_index(loader, contact->account_id);
		map->partners[loader->partner].named_bits |= loader->bits & CASE_RIGHTS;
		if (loader->bits != 0)
			map->contacts[i].partner = loader->partner;
		query(loader, plain, contact->account_id, take_relations);
		query(loader, with_descendants, contact->account_id, take_relations);
	}
	loader->maxcontacts = saved;
}

/* --- households and representation, V6 --- */

static void
take_household_member(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmMap	   *map = loader->map;
	int64		household = get_id(tuple, desc, 1);

	watch(loader, CSM_SIGNAL_HOUSEHOLD, household);
	heed_change(loader, tuple, desc, 4);
	if (!get_bool(tuple, desc, 5))	/* the head is no current member */
		return;
	key_entry(map->households, household, loader->branch_bits);
	if (get_bool(tuple, desc, 3))
		key_entry(map->persons, get_id(tuple, desc, 2), loader->branch_bits);
}

static void
take_represented(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	int64		household = get_id(tuple, desc, 2);

	if (household != 0)
		watch(loader, CSM_SIGNAL_HOUSEHOLD, household);
	heed_change(loader, tuple, desc, 4);
	if (get_bool(tuple, desc, 3))
		key_entry(loader->map->persons, get_id(tuple, desc, 1), loader->branch_bits);
}

static void
load_households(Loader *loader)
{
	static const char headed[] =
		"SELECT h.id, m.user_id, csm_private.is_valid(m.valid_during, $3),"
		" csm_private.next_change(m.valid_during, $3),"
		" EXISTS (SELECT FROM csm.household_members s WHERE s.household_id = h.id AND s.user_id = $1"
		"   AND csm_private.is_valid(s.valid_during, $3))"
		" FROM csm.households h JOIN csm.household_members m ON m.household_id = h.id AND m.tenant_id = h.tenant_id"
		" WHERE h.head_user_id = $1 AND h.tenant_id = $2";
	static const char represented[] =
		"SELECT r.represented_id, r.household_id, csm_private.is_valid(r.valid_during, $3)"
		" AND (r.household_id IS NULL OR"
		"   (EXISTS (SELECT FROM csm.household_members m WHERE m.household_id = r.household_id"
		"      AND m.user_id = r.representative_id AND csm_private.is_valid(m.valid_during, $3))"
		"   AND EXISTS (SELECT FROM csm.household_members m WHERE m.household_id = r.household_id"
		"      AND m.user_id = r.represented_id AND csm_private.is_valid(m.valid_during, $3)))),"
		" least(csm_private.next_change(r.valid_during, $3),"
		"   (SELECT min(csm_private.next_change(m.valid_during, $3)) FROM csm.household_members m"
		"    WHERE m.household_id = r.household_id AND m.user_id IN (r.representative_id, r.represented_id)))"
		" FROM csm.representations r WHERE r.representative_id = $1 AND r.tenant_id = $2";

	memset(loader->branch_bits, 0, sizeof(loader->branch_bits));
	loader->branch_bits[CSM_B2C] = loader->map->own_bits;
	query(loader, headed, loader->map->user_id, take_household_member);
	query(loader, represented, loader->map->user_id, take_represented);
}

/* --- shares, V7 --- */

static void
take_share(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	int			capabilities = get_int(tuple, desc, 2);
	CsmActionBits bits[CSM_BRANCHES] = {0};

	heed_change(loader, tuple, desc, 4);
	if (!get_bool(tuple, desc, 3))
		return;
	bits[CSM_B2B] = CSM_BIT(CSM_CASE_READ);
	if (capabilities & 1)
		bits[CSM_B2B] |= CSM_BIT(CSM_CASE_COMMENT);
	if (capabilities & 2)
		bits[CSM_B2B] |= CSM_BIT(CSM_CASE_DECIDE);
	key_entry(loader->map->shared_cases, get_id(tuple, desc, 1), bits);
}

#define SHARE_COLUMNS \
	"SELECT p.case_id, (p.capabilities @> '{case_comment}')::int + 2 * (p.capabilities @> '{case_decide}')::int," \
	" csm_private.is_valid(p.valid_during, $3), csm_private.next_change(p.valid_during, $3)" \
	" FROM csm.case_parties p"

static void
load_shares(Loader *loader)
{
	static const char by_user[] =
		SHARE_COLUMNS " WHERE p.user_id = $1 AND p.tenant_id = $2";
	static const char by_account[] =
		SHARE_COLUMNS " WHERE p.account_id = $1 AND p.tenant_id = $2";

	query(loader, by_user, loader->map->user_id, take_share);
	for (int i = 0; i < loader->ncontacts; i++)
	{
		watch(loader, CSM_SIGNAL_PARTY, loader->contacts[i].account_id);
		query(loader, by_account, loader->contacts[i].account_id, take_share);
	}
}

/* --- staff, V9 --- */

typedef struct StaffRole
{
	Role	   *role;
	int			branches;		/* bit per CsmBranch */
	int			reach;			/* replaces team, organization, all; -1: none */
	int64		organization_id;
} StaffRole;

typedef struct StaffRoles
{
	StaffRole  *roles;
	int			n;
	int			max;
} StaffRoles;

static void
take_staff_role(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	StaffRoles *staff = loader->item;
	char	   *name = get_text(tuple, desc, 1);
	char	   *reach = get_text(tuple, desc, 3);
	const char *persona = loader->map->persona;
	StaffRole  *made;

	heed_change(loader, tuple, desc, 6);
	if (!get_bool(tuple, desc, 5))
		return;
	if (strncmp(persona, "staff:", 6) == 0 && strcmp(persona + 6, name) != 0)
		return;
	if (staff->n == staff->max)
	{
		staff->max = staff->max ? staff->max * 2 : 8;
		staff->roles = staff->roles
			? repalloc(staff->roles, sizeof(StaffRole) * staff->max)
			: MemoryContextAlloc(loader->map->context, sizeof(StaffRole) * staff->max);
	}
	made = &staff->roles[staff->n];
	made->role = find_role(loader, name);
	if (made->role == NULL || made->role->kind != 's')
		return;
	made->branches = get_int(tuple, desc, 2);
	made->organization_id = get_id(tuple, desc, 4);
	made->reach = -1;
	for (int r = REACH_TEAM; reach != NULL && r <= REACH_ALL; r++)
	{
		if (strcmp(reach_names[r], reach) == 0)
			made->reach = r;
	}
	staff->n++;
}

static CsmActionBits
staff_bits(const StaffRole *staff, Reach reach)
{
	const CsmActionBits *bits = staff->role->bits;

	if (staff->reach < 0)
		return bits[reach];
	if (staff->reach != (int) reach)
		return 0;
	return bits[REACH_TEAM] | bits[REACH_ORGANIZATION] | bits[REACH_ALL];
}

static void
take_household_of_team(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;

	heed_change(loader, tuple, desc, 3);
	if (get_bool(tuple, desc, 2))
		key_entry(loader->map->persons, get_id(tuple, desc, 1), loader->branch_bits);
}

typedef struct TeamTarget
{
	int64		account_id;
	int64		user_id;
	int64		household_id;
} TeamTarget;

static void
take_team(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	List	  **targets = loader->item;
	MemoryContext saved;
	TeamTarget *target;

	heed_change(loader, tuple, desc, 5);
	if (!get_bool(tuple, desc, 4))
		return;
	saved = MemoryContextSwitchTo(loader->map->context);
	target = palloc(sizeof(TeamTarget));
	target->account_id = get_id(tuple, desc, 1);
	target->user_id = get_id(tuple, desc, 2);
	target->household_id = get_id(tuple, desc, 3);
	*targets = lappend(*targets, target);
	MemoryContextSwitchTo(saved);
}

static void
load_team(Loader *loader, CsmActionBits b2b, CsmActionBits b2c)
{
	static const char team[] =
		"SELECT account_id, user_id, household_id, csm_private.is_valid(valid_during, $3),"
		" csm_private.next_change(valid_during, $3)"
		" FROM csm.account_team WHERE member_id = $1 AND tenant_id = $2";
	static const char members[] =
		"SELECT user_id, csm_private.is_valid(valid_during, $3), csm_private.next_change(valid_during, $3)"
		" FROM csm.household_members WHERE household_id = $1 AND tenant_id = $2";
	CsmMap	   *map = loader->map;
	List	   *targets = NIL;
	ListCell   *cell;

	loader->item = &targets;
	query(loader, team, map->user_id, take_team);
	memset(loader->branch_bits, 0, sizeof(loader->branch_bits));
	loader->branch_bits[CSM_B2C] = b2c;
	foreach(cell, targets)
	{
		TeamTarget *target = lfirst(cell);

		if (target->account_id != 0 && b2b != 0)
			account_entry(map, target->account_id)->bits |= b2b;
		if (target->user_id != 0)
			key_entry(map->persons, target->user_id, loader->branch_bits);
		if (target->household_id != 0)
		{
			watch(loader, CSM_SIGNAL_HOUSEHOLD, target->household_id);
			key_entry(map->households, target->household_id, loader->branch_bits);
			query(loader, members, target->household_id, take_household_of_team);
		}
	}
}

static void
take_organization(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;

	key_entry(loader->map->organizations, get_id(tuple, desc, 1), loader->branch_bits);
}

static void
take_organization_change(HeapTuple tuple, TupleDesc desc, void *arg)
{
	heed_change((Loader *) arg, tuple, desc, 1);
}

/* The walk ends where a branch is excluded; UNION ends it on a circle. */
#define ORGANIZATIONS_BELOW \
	" t(id, excluded) AS (" \
	"   SELECT id, excluded FROM seed WHERE id <> ALL (excluded)" \
	"  UNION" \
	"   SELECT o.id, t.excluded FROM t JOIN csm.service_organizations o ON o.parent_id = t.id" \
	"   WHERE o.tenant_id = $2 AND o.id <> ALL (t.excluded))" \
	" SELECT DISTINCT id FROM t"

static void
load_organizations(Loader *loader, int64 own_organization)
{
	static const char changes[] =
		"SELECT min(csm_private.next_change(valid_during, $3)) FROM csm.service_organization_members"
		" WHERE user_id = $1 AND tenant_id = $2";
	static const char memberships[] =
		"WITH RECURSIVE seed AS ("
		"   SELECT m.service_organization_id AS id, m.excluded FROM csm.service_organization_members m"
		"   WHERE m.user_id = $1 AND m.tenant_id = $2 AND csm_private.is_valid(m.valid_during, $3)),"
		ORGANIZATIONS_BELOW;
	static const char assigned[] =
		"WITH RECURSIVE seed AS (SELECT $1 AS id, '{}'::bigint[] AS excluded WHERE $3 IS NOT NULL),"
		ORGANIZATIONS_BELOW;

	watch(loader, CSM_SIGNAL_ORGANIZATION, loader->map->tenant_id);
	query(loader, changes, loader->map->user_id, take_organization_change);
	query(loader, memberships, loader->map->user_id, take_organization);
	if (own_organization != 0)
		query(loader, assigned, own_organization, take_organization);
}

static void
load_staff(Loader *loader)
{
	static const char sql[] =
		"SELECT u.role,"
		" ('b2b' = ANY (r.branches) AND (u.branches IS NULL OR 'b2b' = ANY (u.branches)))::int"
		" + 2 * ('b2c' = ANY (r.branches) AND (u.branches IS NULL OR 'b2c' = ANY (u.branches)))::int"
		" + 4 * ('internal' = ANY (r.branches) AND (u.branches IS NULL OR 'internal' = ANY (u.branches)))::int,"
		" u.reach, u.service_organization_id, csm_private.is_valid(u.valid_during, $3),"
		" csm_private.next_change(u.valid_during, $3)"
		" FROM csm.user_roles u JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id"
		" WHERE u.user_id = $1 AND u.tenant_id = $2";
	CsmMap	   *map = loader->map;
	StaffRoles	staff = {0};
	CsmActionBits team[CSM_BRANCHES] = {0};

	loader->item = &staff;
	query(loader, sql, map->user_id, take_staff_role);
	for (int i = 0; i < staff.n; i++)
	{
		StaffRole  *role = &staff.roles[i];
		CsmActionBits organization = staff_bits(role, REACH_ORGANIZATION);

		memset(loader->branch_bits, 0, sizeof(loader->branch_bits));
		for (int b = 0; b < CSM_BRANCHES; b++)
		{
			if ((role->branches & (1 << b)) == 0)
				continue;
			map->all[b] |= staff_bits(role, REACH_ALL);
			map->staff_own[b] |= role->role->bits[REACH_OWN];
			team[b] |= staff_bits(role, REACH_TEAM);
			loader->branch_bits[b] = organization;
		}
		if (organization != 0)
			load_organizations(loader, role->organization_id);
	}
	if (team[CSM_B2B] != 0 || team[CSM_B2C] != 0)
		load_team(loader, team[CSM_B2B], team[CSM_B2C]);
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
	bool		contact = any || strncmp(persona, "contact:", 8) == 0;
	bool		consumer = any || strcmp(persona, "consumer") == 0;
	bool		employee = any || strcmp(persona, "employee") == 0;
	bool		staff = any || strncmp(persona, "staff:", 6) == 0;

	loader.map = map;
	loader.now = now;
	map->accounts = csm_acc_create(map->context, 64, NULL);
	map->persons = csm_key_create(map->context, 8, NULL);
	map->households = csm_key_create(map->context, 8, NULL);
	map->organizations = csm_key_create(map->context, 8, NULL);
	map->shared_cases = csm_key_create(map->context, 8, NULL);

	load_person(&loader);
	if (!map->somebody)
		return;
	load_roles(&loader);
	map->own_consumer = map->own_consumer && consumer;
	map->own_internal = map->own_internal && employee;
	if (contact)
	{
		load_contacts(&loader);
		load_relationships(&loader);
	}
	if (consumer)
		load_households(&loader);
	if (contact || consumer || employee)
		load_shares(&loader);
	if (staff && map->staff_side)
		load_staff(&loader);
	if (!any && !contact && !consumer && !employee)
		map->own_bits = 0;
}
