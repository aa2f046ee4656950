/*
 * csm_map_customer.c
 *	  The customer-side edges of an access map: contacts, relationships,
 *	  households and representation, shares (V1 to V8).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm_map_load.h"

#define CASE_RIGHTS (CSM_BIT(CSM_CASE_READ) | CSM_BIT(CSM_CASE_COMMENT) | CSM_BIT(CSM_CASE_DECIDE))
#define CONTACT_RIGHTS (CSM_BIT(CSM_CONTACT_READ) | CSM_BIT(CSM_CONTACT_MANAGE))

static void
add_more(CsmMap *map, CsmAccount *account, TimestampTz history, CsmActionBits bits,
		 uint8 partner, bool named)
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
	map->more[map->nmore].named = named;
	map->nmore++;
	account->flags |= CSM_ACC_MORE;
}

/* --- contacts: reach account and subtree, V1 to V4 and V8 --- */

static void
take_contact(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	Contact    *contact;
	const char *persona = loader->map->persona;

	csm_heed_change(loader, tuple, desc, 5);
	csm_heed_change(loader, tuple, desc, 7);
	if (!csm_get_bool(tuple, desc, 4))
		return;
	if (strncmp(persona, "contact:", 8) == 0 &&
		strtoll(persona + 8, NULL, 10) != csm_get_id(tuple, desc, 1))
		return;
	if (loader->ncontacts == loader->maxcontacts)
	{
		loader->maxcontacts = loader->maxcontacts ? loader->maxcontacts * 2 : 8;
		loader->contacts = loader->contacts
			? repalloc(loader->contacts, sizeof(Contact) * loader->maxcontacts)
			: MemoryContextAlloc(loader->map->context, sizeof(Contact) * loader->maxcontacts);
	}
	contact = &loader->contacts[loader->ncontacts++];
	contact->id = csm_get_id(tuple, desc, 1);
	contact->account_id = csm_get_id(tuple, desc, 2);
	contact->role = csm_find_role(loader, csm_get_text(tuple, desc, 3));
	contact->leaderless = csm_get_bool(tuple, desc, 6);
	contact->root_id = csm_get_id(tuple, desc, 8);
	if (persona[0] != '\0' || csm_get_bool(tuple, desc, 10))
		loader->map->home_account_id = contact->account_id;
	if (contact->role != NULL && contact->role->kind != 'c')
		contact->role = NULL;
	/* B19 and B20: a plain contact's own account may show him less. */
	contact->lost = csm_get_bool(tuple, desc, 9) ? PRODUCT_RIGHTS : 0;
	if (loader->linked_assets_only)
		contact->lost |= CSM_BIT(CSM_ASSET_READ);
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
	csm_expect_accounts(loader->map, n);
	for (int i = 0; i < n; i++)
		csm_account_entry(loader->map, ids[i])->bits |= loader->bits;
}

void
csm_load_contacts(Loader *loader)
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
		" a.root_id, a.restrict_contact_access, c.is_home"
		" FROM csm.contacts c JOIN csm.accounts a ON a.id = c.account_id AND a.tenant_id = c.tenant_id"
		" WHERE c.user_id = $1 AND c.tenant_id = $2";
	static const char subtree[] =
		"SELECT array_agg(s) FROM csm_private.subtree($1, $2) s WHERE $3 IS NOT NULL";
	CsmMap	   *map = loader->map;

	csm_load_query(loader, sql, map->user_id, take_contact);
	map->contacts = palloc(sizeof(CsmOwnContact) * (loader->ncontacts + 1));
	for (int i = 0; i < loader->ncontacts; i++)
	{
		Contact    *contact = &loader->contacts[i];
		CsmAccount *account = csm_account_entry(map, contact->account_id);

		csm_watch_key(loader, CSM_SIGNAL_ACCOUNT, contact->account_id);
		map->contacts[map->ncontacts].id = contact->id;
		map->contacts[map->ncontacts++].partner = 0;
		account->flags |= CSM_ACC_OWN;
		if (contact->leaderless)
			account->flags |= CSM_ACC_LEADERLESS;
		if (contact->role == NULL)
			continue;
		account->bits |= contact->role->bits[REACH_ACCOUNT] & ~contact->lost;
		loader->bits = contact->role->bits[REACH_SUBTREE];
		if (loader->bits != 0)
		{
			csm_watch_key(loader, CSM_SIGNAL_TREE, contact->root_id);
			csm_load_query(loader, subtree, contact->account_id, take_account_ids);
		}
	}
}

/* --- relationships: reach related, V5, and V4 through a partner --- */

static void
related_account(Loader *loader, int64 id, CsmActionBits always, CsmActionBits since, TimestampTz history)
{
	CsmMap	   *map = loader->map;
	CsmAccount *account = csm_account_entry(map, id);

	account->flags |= CSM_ACC_RELATED;
	account->bits |= always;
	if (account->partner == 0)
		account->partner = loader->partner;
	if (account->partner != loader->partner)
		add_more(map, account, DT_NOEND, 0, loader->partner, loader->named);
	else if (loader->named)
		account->flags |= CSM_ACC_NAMED;
	if (since == 0)
		return;
	if (account->since_bits == 0 || account->since_bits == since)
	{
		account->history = account->since_bits == 0 ? history : Min(account->history, history);
		account->since_bits = since;
	}
	else
		add_more(map, account, history, since, 0, false);
}

/* What comes of a relationship whatever the case's age; cases: does it show them? */
static CsmActionBits
relation_bits(const Loader *loader, bool administers, bool cases)
{
	CsmActionBits bits = loader->bits & ~(CASE_RIGHTS | CONTACT_RIGHTS);

	if (administers)
		bits |= loader->bits & CONTACT_RIGHTS;
	if (cases)
		bits |= loader->bits & CASE_RIGHTS;
	return bits;
}

/* Bits below the id of a customer, in the array of take_lasting_relations(). */
#define RELATION_ADMINISTERS	1
#define RELATION_ALL			2
#define RELATION_FLAGS			4

/* Relationships without dates, as one array; and how many there are with dates. */
static void
take_lasting_relations(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmActionBits bits[RELATION_FLAGS];
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);
	ArrayType  *array;
	int64	   *ids;
	int			n;

	loader->count = csm_get_id(tuple, desc, 2);
	if (isnull)
		return;
	for (int flags = 0; flags < RELATION_FLAGS; flags++)
		bits[flags] = relation_bits(loader, (flags & RELATION_ADMINISTERS) != 0, (flags & RELATION_ALL) != 0);
	array = DatumGetArrayTypeP(value);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	ids = (int64 *) ARR_DATA_PTR(array);
	csm_expect_accounts(loader->map, n);
	for (int i = 0; i < n; i++)
	{
		int			flags = (int) (ids[i] % RELATION_FLAGS);

		loader->named = (flags & RELATION_ALL) == 0;
		related_account(loader, ids[i] / RELATION_FLAGS, bits[flags], 0, DT_NOBEGIN);
	}
}

static void
take_relations(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmActionBits always;
	CsmActionBits since = 0;
	TimestampTz history = DT_NOBEGIN;
	bool		isnull;
	Datum		value;
	ArrayType  *array;
	int64	   *ids;
	int			n;

	csm_heed_change(loader, tuple, desc, 5);
	if (!csm_get_bool(tuple, desc, 4))
		return;
	loader->named = !csm_get_bool(tuple, desc, 1);	/* scope all or named */
	value = heap_getattr(tuple, 2, desc, &isnull);
	always = relation_bits(loader, csm_get_bool(tuple, desc, 3), !loader->named && isnull);
	if (!loader->named && !isnull)
	{
		since = loader->bits & CASE_RIGHTS;
		history = DatumGetTimestampTz(value);
	}

	/* Trees that the descendants come from; NULL where none are included. */
	value = heap_getattr(tuple, 7, desc, &isnull);
	if (!isnull)
	{
		array = DatumGetArrayTypeP(value);
		n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		ids = (int64 *) ARR_DATA_PTR(array);
		for (int i = 0; i < n; i++)
			csm_watch_key(loader, CSM_SIGNAL_TREE, ids[i]);
	}
	value = heap_getattr(tuple, 6, desc, &isnull);
	if (isnull)
		return;
	array = DatumGetArrayTypeP(value);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	ids = (int64 *) ARR_DATA_PTR(array);
	csm_expect_accounts(loader->map, n);
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
take_count(HeapTuple tuple, TupleDesc desc, void *arg)
{
	((Loader *) arg)->count = csm_get_id(tuple, desc, 1);
}

void
csm_load_relationships(Loader *loader)
{
	static const char exists[] =
		"SELECT count(*) FROM (SELECT FROM csm.account_relationships r"
		" WHERE r.partner_account_id = $1 AND r.tenant_id = $2 AND $3 IS NOT NULL LIMIT 1) x";
	/* Where there are many, nearly all have no dates; to group them would cost as much as to read them. */
	static const char lasting[] =
		"SELECT array_agg(customer_account_id * 4 + (scope = 'all')::int * 2 + administers::int)"
		" FILTER (WHERE history_from IS NULL AND valid_during IS NULL),"
		" count(*) FILTER (WHERE history_from IS NOT NULL OR valid_during IS NOT NULL)"
		" FROM csm.account_relationships"
		" WHERE partner_account_id = $1 AND tenant_id = $2 AND type = 'partner_of' AND NOT include_descendants"
		" AND $3 IS NOT NULL";
	static const char dated[] =
		"SELECT scope = 'all', history_from, administers, csm_private.is_valid(valid_during, $3),"
		" min(csm_private.next_change(valid_during, $3)),"
		" array_agg(customer_account_id), NULL::bigint[]"
		" FROM csm.account_relationships"
		" WHERE partner_account_id = $1 AND tenant_id = $2 AND type = 'partner_of' AND NOT include_descendants"
		" AND (history_from IS NOT NULL OR valid_during IS NOT NULL)"
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

	map->partners = palloc0(sizeof(CsmPartner) * (Min(loader->ncontacts, PG_UINT8_MAX) + 1));
	for (int i = 0; i < loader->ncontacts; i++)
	{
		Contact    *contact = &loader->contacts[i];

		csm_watch_key(loader, CSM_SIGNAL_RELATION, contact->account_id);
		csm_load_query(loader, exists, contact->account_id, take_count);
		if (loader->count == 0)
			continue;
		loader->bits = contact->role ? contact->role->bits[REACH_RELATED] : 0;
		loader->partner = partner_index(loader, contact->account_id);
		map->partners[loader->partner].named_bits |= loader->bits & CASE_RIGHTS;
		if (loader->bits != 0)
			map->contacts[i].partner = loader->partner;
		csm_load_query(loader, lasting, contact->account_id, take_lasting_relations);
		if (loader->count > 0)
			csm_load_query(loader, dated, contact->account_id, take_relations);
		csm_load_query(loader, with_descendants, contact->account_id, take_relations);
	}
}

/* --- households and representation, V6 --- */

static void
take_household_member(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmMap	   *map = loader->map;
	int64		household = csm_get_id(tuple, desc, 1);

	csm_watch_key(loader, CSM_SIGNAL_HOUSEHOLD, household);
	csm_heed_change(loader, tuple, desc, 4);
	if (!csm_get_bool(tuple, desc, 5))	/* the head is no current member */
		return;
	csm_key_entry(map->households, household, loader->branch_bits);
	if (csm_get_bool(tuple, desc, 3))
		csm_key_entry(map->persons, csm_get_id(tuple, desc, 2), loader->branch_bits);
}

static void
take_represented(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	int64		household = csm_get_id(tuple, desc, 2);

	if (household != 0)
		csm_watch_key(loader, CSM_SIGNAL_HOUSEHOLD, household);
	csm_heed_change(loader, tuple, desc, 4);
	if (csm_get_bool(tuple, desc, 3))
		csm_key_entry(loader->map->persons, csm_get_id(tuple, desc, 1), loader->branch_bits);
}

void
csm_load_households(Loader *loader)
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
	loader->branch_bits[CSM_B2C] = loader->map->own_bits | (loader->consumer_bits & PRODUCT_RIGHTS);
	csm_load_query(loader, headed, loader->map->user_id, take_household_member);
	csm_load_query(loader, represented, loader->map->user_id, take_represented);
}

/* --- shares, V7 --- */

static void
take_share(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	int			capabilities = csm_get_int(tuple, desc, 2);
	CsmActionBits bits[CSM_BRANCHES] = {0};

	csm_heed_change(loader, tuple, desc, 4);
	if (!csm_get_bool(tuple, desc, 3))
		return;
	bits[CSM_B2B] = CSM_BIT(CSM_CASE_READ);
	if (capabilities & 1)
		bits[CSM_B2B] |= CSM_BIT(CSM_CASE_COMMENT);
	if (capabilities & 2)
		bits[CSM_B2B] |= CSM_BIT(CSM_CASE_DECIDE);
	csm_key_entry(loader->map->shared_cases, csm_get_id(tuple, desc, 1), bits);
}

#define SHARE_COLUMNS \
	"SELECT p.case_id, (p.capabilities @> '{case_comment}')::int + 2 * (p.capabilities @> '{case_decide}')::int," \
	" csm_private.is_valid(p.valid_during, $3), csm_private.next_change(p.valid_during, $3)" \
	" FROM csm.case_parties p"

void
csm_load_shares(Loader *loader)
{
	static const char by_user[] =
		SHARE_COLUMNS " WHERE p.user_id = $1 AND p.tenant_id = $2";
	static const char by_account[] =
		SHARE_COLUMNS " WHERE p.account_id = $1 AND p.tenant_id = $2";

	csm_load_query(loader, by_user, loader->map->user_id, take_share);
	for (int i = 0; i < loader->ncontacts; i++)
	{
		csm_watch_key(loader, CSM_SIGNAL_PARTY, loader->contacts[i].account_id);
		csm_load_query(loader, by_account, loader->contacts[i].account_id, take_share);
	}
}

