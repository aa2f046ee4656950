/*
 * csm_map_keys.c
 *	  The keys for which a predicate can be true, as sorted arrays.
 *
 * They are the right side of an index condition and the planner's measure of
 * how much a predicate lets through.  An array is made when it is first asked
 * for and lives as long as its map; never more keys than the predicate needs,
 * never fewer (the predicate is evaluated again on every row, so a key too many
 * costs time and a key too few would hide a row).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "csm.h"
#include "csm_map.h"

static bool
staff_own(const CsmMap *map, CsmActionBits bit)
{
	return ((map->staff_own[CSM_B2B] | map->staff_own[CSM_B2C] | map->staff_own[CSM_INTERNAL]) & bit) != 0;
}

static bool
account_in_set(CsmMap *map, const CsmAccount *account, CsmKeySet set, CsmAction action)
{
	CsmActionBits bit = CSM_BIT(action);

	if (set == CSM_SET_ACCOUNTS_KNOWN)
		return csm_map_account_known(map, account->id);
	if ((account->bits | account->since_bits) & bit)
		return true;
	if (set == CSM_SET_COUNTERPARTIES && (account->flags & CSM_ACC_LEADERLESS) && (map->own_bits & bit))
		return true;
	if (account->flags & CSM_ACC_MORE)
	{
		for (int i = 0; i < map->nmore; i++)
		{
			if (map->more[i].account_id == account->id && (map->more[i].since_bits & bit))
				return true;
		}
	}
	return false;
}

/* The hashes in which a set's keys stand, beside accounts and loose keys. */
#define HASHES_A_SET 2

static void
hashes_of_set(CsmMap *map, CsmKeySet set, csm_key_hash **hashes)
{
	hashes[0] = hashes[1] = NULL;
	switch (set)
	{
		case CSM_SET_ACCOUNTS:
		case CSM_SET_ACCOUNTS_KNOWN:
			hashes[0] = map->team_accounts;
			break;
		case CSM_SET_REQUESTERS:
			hashes[0] = map->persons;
			hashes[1] = map->team_persons;
			break;
		case CSM_SET_HOUSEHOLDS:
			hashes[0] = map->households;
			hashes[1] = map->team_households;
			break;
		case CSM_SET_ORGANIZATIONS:
			hashes[0] = map->organizations;
			break;
		case CSM_SET_SHARED_CASES:
			hashes[0] = map->shared_cases;
			break;
		case CSM_SET_ASSETS:
			hashes[0] = map->assets;
			break;
		case CSM_SET_SOLD_PRODUCTS:
			hashes[0] = map->sold_products;
			break;
		default:
			break;
	}
}

static bool
bits_in_set(const CsmKeyBits *entry, CsmAction action)
{
	return ((entry->bits[CSM_B2B] | entry->bits[CSM_B2C] | entry->bits[CSM_INTERNAL]) & CSM_BIT(action)) != 0;
}

/* Keys that stand outside the hashes: himself, his contacts, his partners. */
static int
loose_keys(CsmMap *map, CsmKeySet set, CsmAction action, int64 *keys)
{
	CsmActionBits bit = CSM_BIT(action);
	bool		own = (map->own_bits & bit) != 0;
	int			n = 0;

	switch (set)
	{
		case CSM_SET_REQUESTERS:
			if (own || (map->consumer_bits & bit) != 0)
				keys[n++] = map->user_id;
			break;
		case CSM_SET_OPENERS:
			if (own || staff_own(map, bit))
				keys[n++] = map->user_id;
			break;
		case CSM_SET_INTERNAL_CONTACTS:
			if (staff_own(map, bit))
				keys[n++] = map->user_id;
			break;
		case CSM_SET_PARTNER_ACCOUNTS:
			for (int i = 1; i <= map->npartners; i++)
			{
				if (map->partners[i].named_bits & bit)
					keys[n++] = map->partners[i].account_id;
			}
			break;
		case CSM_SET_PARTNER_CONTACTS:
		case CSM_SET_COUNTERPARTY_CONTACTS:
			for (int i = 0; own && i < map->ncontacts; i++)
			{
				if (set == CSM_SET_COUNTERPARTY_CONTACTS || map->contacts[i].partner != 0)
					keys[n++] = map->contacts[i].id;
			}
			break;
		default:
			break;
	}
	return n;
}

static bool
is_account_set(CsmKeySet set)
{
	return set == CSM_SET_ACCOUNTS || set == CSM_SET_ACCOUNTS_KNOWN || set == CSM_SET_COUNTERPARTIES;
}

/* The sets that csm.cases.party_keys gathers, by the kind of their keys. */
static const CsmKeySet party_sets[CSM_PARTY_KINDS] = {
	[CSM_PARTY_PARTNER_ACCOUNT] = CSM_SET_PARTNER_ACCOUNTS,
	[CSM_PARTY_PARTNER_CONTACT] = CSM_SET_PARTNER_CONTACTS,
	[CSM_PARTY_HOUSEHOLD] = CSM_SET_HOUSEHOLDS,
	[CSM_PARTY_INTERNAL_CONTACT] = CSM_SET_INTERNAL_CONTACTS,
	[CSM_PARTY_ORGANIZATION] = CSM_SET_ORGANIZATIONS,
	[CSM_PARTY_COUNTERPARTY_ACCOUNT] = CSM_SET_COUNTERPARTIES,
	[CSM_PARTY_COUNTERPARTY_CONTACT] = CSM_SET_COUNTERPARTY_CONTACTS,
};

/* How many there are at most; exact where it costs nothing to know. */
static int
upper_bound(CsmMap *map, CsmKeySet set)
{
	csm_key_hash *hashes[HASHES_A_SET];
	int			bound = 1 + map->npartners + map->ncontacts;

	if (set == CSM_SET_PARTIES)
	{
		int			n = 0;

		for (int kind = 0; kind < CSM_PARTY_KINDS; kind++)
			n += upper_bound(map, party_sets[kind]);
		return n;
	}
	if (is_account_set(set))
		bound += (int) map->accounts->members;
	hashes_of_set(map, set, hashes);
	for (int i = 0; i < HASHES_A_SET; i++)
		bound += hashes[i] ? (int) hashes[i]->members : 0;
	return bound;
}

static int
collect_parties(CsmMap *map, CsmAction action, int64 *keys)
{
	int			n = 0;

	for (int kind = 0; kind < CSM_PARTY_KINDS; kind++)
	{
		const int64 *ids;
		int			count;

		if (keys == NULL)
		{
			n += csm_map_key_count(map, party_sets[kind], action);
			continue;
		}
		count = csm_map_keys(map, party_sets[kind], action, &ids);
		for (int i = 0; i < count; i++)
			keys[n++] = CSM_PARTY_KEY(kind, ids[i]);
	}
	return n;
}

static int
collect_accounts(CsmMap *map, CsmKeySet set, CsmAction action, int64 *keys)
{
	csm_acc_iterator iter;
	CsmAccount *account;
	int			n = 0;

	csm_acc_start_iterate(map->accounts, &iter);
	while ((account = csm_acc_iterate(map->accounts, &iter)) != NULL)
	{
		if (!account_in_set(map, account, set, action))
			continue;
		if (keys)
			keys[n] = account->id;
		n++;
	}
	return n;
}

/*
 * Collects the keys, or only counts them where keys is NULL.  A key that comes
 * from two sides is counted twice.
 */
static int
collect(CsmMap *map, CsmKeySet set, CsmAction action, int64 *keys)
{
	csm_key_hash *hashes[HASHES_A_SET];
	int			n;

	if (set == CSM_SET_PARTIES)
		return collect_parties(map, action, keys);
	n = is_account_set(set)
		? collect_accounts(map, set, action, keys)
		: loose_keys(map, set, action, keys);
	hashes_of_set(map, set, hashes);
	for (int i = 0; i < HASHES_A_SET && hashes[i] != NULL; i++)
	{
		csm_key_iterator iter;
		CsmKeyBits *entry;

		csm_key_start_iterate(hashes[i], &iter);
		while ((entry = csm_key_iterate(hashes[i], &iter)) != NULL)
		{
			if (set != CSM_SET_ACCOUNTS_KNOWN && !bits_in_set(entry, action))
				continue;
			if (keys)
				keys[n] = entry->id;
			n++;
		}
	}
	return n;
}

int
csm_map_key_count(CsmMap *map, CsmKeySet set, CsmAction action)
{
	CsmKeyArray *array = &map->keys[set][action];
	const int64 *keys;

	if (set == CSM_SET_AUDIENCES)
		return csm_map_audience_keys(map, (CsmAudienceAction) action, &keys);
	if (set == CSM_SET_ARTICLES)
		return csm_map_article_keys(map, &keys);
	if (!array->counted)
	{
		/* Only accounts can be many; the array is sorted when it is needed. */
		if (is_account_set(set) || set == CSM_SET_PARTIES)
		{
			array->count = collect(map, set, action, NULL);
			array->counted = true;
		}
		else
			csm_map_keys(map, set, action, &keys);
	}
	return array->count;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

int
csm_map_keys(CsmMap *map, CsmKeySet set, CsmAction action, const int64 **keys)
{
	CsmKeyArray *array = &map->keys[set][action];

	if (set == CSM_SET_AUDIENCES)
		return csm_map_audience_keys(map, (CsmAudienceAction) action, keys);
	if (set == CSM_SET_ARTICLES)
		return csm_map_article_keys(map, keys);
	if (array->keys == NULL)
	{
		int64	   *made = MemoryContextAlloc(map->context,
											  sizeof(int64) * (upper_bound(map, set) + 1));
		int			n = collect(map, set, action, made);
		int			kept = 0;

		qsort(made, n, sizeof(int64), compare_ids);
		for (int i = 0; i < n; i++)
		{
			if (kept == 0 || made[kept - 1] != made[i])
				made[kept++] = made[i];
		}
		array->keys = made;
		array->count = kept;
		array->counted = true;
	}
	*keys = array->keys;
	return array->count;
}

bool
csm_map_has_key(CsmMap *map, CsmKeySet set, CsmAction action, int64 key)
{
	const int64 *keys;
	int			n;

	if (set == CSM_SET_AUDIENCES)
		return csm_map_audience(map, key, (CsmAudienceAction) action);
	if (set == CSM_SET_ARTICLES)
		return csm_map_article_key(map, key);
	if (set == CSM_SET_PARTIES)
	{
		int			kind = (int) (key % 8);

		return kind >= 0 && kind < CSM_PARTY_KINDS &&
			csm_map_has_key(map, party_sets[kind], action, key / 8);
	}
	/* Accounts can be many: no array for a look-up. */
	if (is_account_set(set))
	{
		const CsmAccount *account = csm_acc_lookup(map->accounts, key);

		if (account != NULL && account_in_set(map, account, set, action))
			return true;
		if (set == CSM_SET_COUNTERPARTIES || map->team_accounts->members == 0)
			return false;
	}
	n = csm_map_keys(map, set, action, &keys);
	return bsearch(&key, keys, n, sizeof(int64), compare_ids) != NULL;
}
