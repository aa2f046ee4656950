/*
 * csm_map_answer.c
 *	  What an access map says: whose rights it holds, and whether they allow an
 *	  action on something.
 *
 * Look-ups alone: they read the map in hand and nothing else, change nothing
 * and raise no error.
 */
#include "postgres.h"

#include "csm.h"
#include "csm_map.h"

int64
csm_map_user(const CsmMap *map)
{
	return map->actor_id;
}

int64
csm_map_person(const CsmMap *map)
{
	return map->user_id;
}

int64
csm_map_home_account(const CsmMap *map)
{
	return map->home_account_id;
}

int64
csm_map_tenant(const CsmMap *map)
{
	return map->tenant_id;
}

bool
csm_map_staff(const CsmMap *map, int action)
{
	return action < 0 ? map->staff : (map->staff_any & CSM_BIT(action)) != 0;
}

bool
csm_map_all(const CsmMap *map, int64 tenant_id, CsmBranch branch, CsmAction action)
{
	return map->tenant_id == tenant_id && (map->all[branch] & CSM_BIT(action)) != 0;
}

static bool
key_allows(csm_key_hash *keys, int64 id, CsmBranch branch, CsmAction action)
{
	const CsmKeyBits *entry = csm_key_lookup(keys, id);

	return entry != NULL && (entry->bits[branch] & CSM_BIT(action)) != 0;
}

/* Most people are on no team: the empty hash is not probed. */
static inline bool
team_allows(csm_key_hash *team, int64 id, CsmBranch branch, CsmAction action)
{
	return team->members > 0 && key_allows(team, id, branch, action);
}

bool
csm_map_account(const CsmMap *map, int64 account_id, CsmAction action)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	return (account != NULL && (account->bits & CSM_BIT(action)) != 0) ||
		team_allows(map->team_accounts, account_id, CSM_B2B, action);
}

static bool
account_since(const CsmMap *map, const CsmAccount *account, TimestampTz opened_at, CsmAction action)
{
	CsmActionBits bit = CSM_BIT(action);

	if (account->bits & bit)
		return true;
	if ((account->since_bits & bit) && opened_at >= account->history)
		return true;
	if (account->flags & CSM_ACC_MORE)
	{
		for (int i = 0; i < map->nmore; i++)
		{
			if (map->more[i].account_id == account->id &&
				(map->more[i].since_bits & bit) && opened_at >= map->more[i].history)
				return true;
		}
	}
	return false;
}

bool
csm_map_contact_since(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	return account != NULL && account_since(map, account, opened_at, action);
}

bool
csm_map_account_since(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action)
{
	return csm_map_contact_since(map, account_id, opened_at, action) ||
		team_allows(map->team_accounts, account_id, CSM_B2B, action);
}

/* Does that partner account of his look after the account, with scope named where asked? */
static bool
looks_after(const CsmMap *map, uint8 partner, int64 account_id, bool named)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	if (account == NULL || partner == 0)
		return false;
	if (account->partner == partner && (!named || (account->flags & CSM_ACC_NAMED)))
		return true;
	if (account->flags & CSM_ACC_MORE)
	{
		for (int i = 0; i < map->nmore; i++)
		{
			if (map->more[i].account_id == account_id && map->more[i].partner == partner &&
				(!named || map->more[i].named))
				return true;
		}
	}
	return false;
}

static bool
account_is_known(const CsmMap *map, const CsmAccount *account)
{
	if (account->bits != 0 || account->since_bits != 0 || (account->flags & CSM_ACC_OWN))
		return true;
	if ((account->flags & CSM_ACC_NAMED) && map->partners[account->partner].named_bits != 0)
		return true;
	if (account->flags & CSM_ACC_MORE)
	{
		for (int i = 0; i < map->nmore; i++)
		{
			if (map->more[i].account_id == account->id &&
				(map->more[i].since_bits != 0 ||
				 (map->more[i].named && map->partners[map->more[i].partner].named_bits != 0)))
				return true;
		}
	}
	return false;
}

bool
csm_map_account_known(const CsmMap *map, int64 account_id)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	return (account != NULL && account_is_known(map, account)) ||
		(map->team_accounts->members > 0 && csm_key_lookup(map->team_accounts, account_id) != NULL);
}

/* Does that account of his, being a partner, look after the other now? */
bool
csm_map_looks_after(const CsmMap *map, int64 partner_account_id, int64 account_id)
{
	for (int i = 1; i <= map->npartners; i++)
	{
		if (map->partners[i].account_id == partner_account_id)
			return looks_after(map, (uint8) i, account_id, false);
	}
	return false;
}

bool
csm_map_own_account(const CsmMap *map, int64 account_id)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	return account != NULL && (account->flags & CSM_ACC_OWN) != 0;
}

/* V4: is the persona behind an own case of the branch valid? */
static bool
own_is_valid(const CsmMap *map, CsmBranch branch, int64 account_id)
{
	const CsmAccount *account;

	switch (branch)
	{
		case CSM_INTERNAL:
			return map->own_internal;
		case CSM_B2C:
			return map->own_consumer;
		default:
			account = csm_acc_lookup(map->accounts, account_id);
			return account != NULL && (account->flags & (CSM_ACC_OWN | CSM_ACC_RELATED)) != 0;
	}
}

bool
csm_map_speaks_for(const CsmMap *map, int64 requester_id, CsmBranch branch, int64 account_id, CsmAction action)
{
	const CsmKeyBits *person;
	CsmActionBits own = map->own_bits;

	if (branch == CSM_B2C)
		own |= map->consumer_bits;
	if (requester_id == map->user_id && (own & CSM_BIT(action)) &&
		own_is_valid(map, branch, account_id))
		return true;
	if (branch != CSM_B2C)
		return false;
	person = csm_key_lookup(map->persons, requester_id);
	return person != NULL && (person->bits[CSM_B2C] & CSM_BIT(action)) != 0;
}

bool
csm_map_requester(const CsmMap *map, int64 requester_id, CsmBranch branch, int64 account_id, CsmAction action)
{
	return csm_map_speaks_for(map, requester_id, branch, account_id, action) ||
		(branch == CSM_B2C && team_allows(map->team_persons, requester_id, CSM_B2C, action));
}

bool
csm_map_opener(const CsmMap *map, int64 opened_by, CsmBranch branch, int64 account_id, CsmAction action)
{
	if (opened_by != map->user_id)
		return false;
	if (map->staff_own[branch] & CSM_BIT(action))
		return true;
	return (map->own_bits & CSM_BIT(action)) && own_is_valid(map, branch, account_id);
}

bool
csm_map_internal_contact(const CsmMap *map, int64 user_id, CsmBranch branch, CsmAction action)
{
	return user_id == map->user_id && (map->staff_own[branch] & CSM_BIT(action)) != 0;
}

bool
csm_map_partner(const CsmMap *map, int64 partner_account_id, int64 account_id, CsmAction action)
{
	for (int i = 1; i <= map->npartners; i++)
	{
		if (map->partners[i].account_id == partner_account_id)
			return (map->partners[i].named_bits & CSM_BIT(action)) != 0 &&
				looks_after(map, (uint8) i, account_id, true);
	}
	return false;
}

bool
csm_map_partner_contact(const CsmMap *map, int64 contact_id, int64 account_id, CsmAction action)
{
	if ((map->own_bits & CSM_BIT(action)) == 0)
		return false;
	for (int i = 0; i < map->ncontacts; i++)
	{
		if (map->contacts[i].id == contact_id)
			return looks_after(map, map->contacts[i].partner, account_id, false);
	}
	return false;
}

bool
csm_map_heads(const CsmMap *map, int64 household_id, CsmAction action)
{
	return key_allows(map->households, household_id, CSM_B2C, action);
}

bool
csm_map_household(const CsmMap *map, int64 household_id, CsmAction action)
{
	return csm_map_heads(map, household_id, action) ||
		team_allows(map->team_households, household_id, CSM_B2C, action);
}

bool
csm_map_team(const CsmMap *map, const CsmCaseKeys *keys, CsmAction action)
{
	return team_allows(map->team_accounts, keys->account_id, CSM_B2B, action) ||
		(keys->branch == CSM_B2C &&
		 (team_allows(map->team_persons, keys->requester_id, CSM_B2C, action) ||
		  team_allows(map->team_households, keys->household_id, CSM_B2C, action)));
}

bool
csm_map_organization(const CsmMap *map, int64 organization_id, CsmBranch branch, CsmAction action)
{
	return key_allows(map->organizations, organization_id, branch, action);
}

/* A share or link does not look at the branch; its bits stand in the first slot. */
bool
csm_map_shared_case(const CsmMap *map, int64 case_id, CsmAction action)
{
	return key_allows(map->shared_cases, case_id, CSM_B2B, action);
}

bool
csm_map_asset(const CsmMap *map, int64 asset_id, CsmAction action)
{
	return key_allows(map->assets, asset_id, CSM_B2B, action);
}

bool
csm_map_sold_product(const CsmMap *map, int64 sold_product_id, CsmAction action)
{
	return key_allows(map->sold_products, sold_product_id, CSM_B2B, action);
}

bool
csm_map_counterparty(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action)
{
	const CsmAccount *account = csm_acc_lookup(map->accounts, account_id);

	if (account == NULL)
		return false;
	if ((account->flags & CSM_ACC_LEADERLESS) && (map->own_bits & CSM_BIT(action)))
		return true;
	return account_since(map, account, opened_at, action);
}

bool
csm_map_counterparty_contact(const CsmMap *map, int64 contact_id, CsmAction action)
{
	if ((map->own_bits & CSM_BIT(action)) == 0)
		return false;
	for (int i = 0; i < map->ncontacts; i++)
	{
		if (map->contacts[i].id == contact_id)
			return true;
	}
	return false;
}

bool
csm_map_party(const CsmMap *map, int64 party_key, CsmBranch branch, int64 account_id,
			  TimestampTz opened_at, bool submitted, CsmAction action)
{
	int64		id = party_key / 8;

	switch ((CsmPartyKind) (party_key % 8))
	{
		case CSM_PARTY_PARTNER_ACCOUNT:
			return csm_map_partner(map, id, account_id, action);
		case CSM_PARTY_PARTNER_CONTACT:
			return csm_map_partner_contact(map, id, account_id, action);
		case CSM_PARTY_HOUSEHOLD:
			return csm_map_household(map, id, action);
		case CSM_PARTY_INTERNAL_CONTACT:
			return csm_map_internal_contact(map, id, branch, action);
		case CSM_PARTY_ORGANIZATION:
			return csm_map_organization(map, id, branch, action);
		case CSM_PARTY_COUNTERPARTY_ACCOUNT:
			return submitted && csm_map_counterparty(map, id, opened_at, action);
		case CSM_PARTY_COUNTERPARTY_CONTACT:
			return submitted && csm_map_counterparty_contact(map, id, action);
		default:
			return false;
	}
}
