/*
 * csm_map_audience.c
 *	  What the person of an access map may do as one of each audience: the facts
 *	  that are true of him (csm_map_facts.c), judged by the tenant's criteria
 *	  (csm_audience.c).
 *
 * A part of the map with a life of its own: it is made when an audience is
 * first asked for, so that who reads no article does not pay for it, and what
 * only criteria depend on (groups, products, audiences) makes this part suspect
 * and not the rest.  Where the map is dropped, it goes as well.  The conditions
 * under which it may be used are those of a map, see csm_map.c.
 *
 * Whoever acts for another, or by an API key that is limited to some actions,
 * reads what is left of the persona by case_read, and does nothing else here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "csm_audience.h"
#include "csm_compat.h"
#include "csm_map_facts.h"
#include "csm_map_load.h"
#include "csm_spi.h"

typedef struct CsmMapAudiences
{
	MemoryContext context;		/* below the map's */
	uint64		statement;		/* for which it was last found usable */
	TimestampTz valid_from;
	TimestampTz valid_until;
	bool		suspect;
	bool		provisional;
	LocalTransactionId lxid;
	uint64		watch[CSM_ANCHORS / 64];

	csm_key_hash *bits;			/* those that allow him something, in the first slot */
	int64	   *ids;			/* the same, sorted */
	int			n;
	CsmKeyArray keys[CSM_AUDIENCE_ACTIONS];
	CsmKeyArray article_keys;
} CsmMapAudiences;

/* As one of an audience that gives none of these, nobody sees any article of it but what is public. */
#define SHOWS_ARTICLES \
	(CSM_AUDIENCE_BIT(CSM_AUDIENCE_READ) | CSM_AUDIENCE_BIT(CSM_AUDIENCE_CONTRIBUTE) | CSM_AUDIENCE_BIT(CSM_AUDIENCE_MANAGE))

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

/* Everything that is palloc'd on the way, in the context of that name, goes when it is done. */
static void
compile(CsmMap *map, CsmMapAudiences *made)
{
	const CsmAudiences *audiences;
	CsmFacts	facts;
	CsmAudienceBits *bits;
	CsmAudienceBits left = is_limited(map) ? CSM_AUDIENCE_BIT(CSM_AUDIENCE_READ) : CSM_AUDIENCE_ALL;
	int			anchor = csm_signal_anchor(CSM_SIGNAL_AUDIENCE, (uint64) map->tenant_id);

	made->watch[anchor / 64] |= UINT64CONST(1) << (anchor % 64);
	audiences = csm_audiences_get(map->tenant_id);
	if (audiences->naudiences == 0)
		return;
	csm_facts_gather(map, audiences, &facts);
	made->valid_until = facts.valid_until;
	for (int i = 0; i < CSM_ANCHORS / 64; i++)
		made->watch[i] |= facts.watch[i];
	bits = palloc(sizeof(CsmAudienceBits) * audiences->naudiences);
	csm_audiences_judge(audiences, facts.facts, facts.n, map->user_id, facts.staff, bits);
	for (int i = 0; i < audiences->naudiences; i++)
	{
		CsmActionBits slots[CSM_BRANCHES] = {bits[i] & left};

		if (slots[0] == 0)
			continue;
		if (made->ids == NULL)
			made->ids = MemoryContextAlloc(made->context, sizeof(int64) * (audiences->naudiences - i));
		made->ids[made->n++] = csm_audience_id(audiences, i);
		csm_key_entry(made->bits, csm_audience_id(audiences, i), slots);
	}
}

static CsmMapAudiences *
build(CsmMap *map)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "csm facts of a person", ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = AllocSetContextCreate(scratch, "csm audiences of a person", ALLOCSET_SMALL_SIZES);
	MemoryContext saved = MemoryContextSwitchTo(scratch);
	uint32	   *before = palloc(sizeof(csm_signal_count));
	CsmMapAudiences *made = MemoryContextAllocZero(context, sizeof(CsmMapAudiences));

	memcpy(before, csm_signal_count, sizeof(csm_signal_count));
	made->context = context;
	made->valid_from = GetCurrentStatementStartTimestamp();
	made->valid_until = DT_NOEND;
	made->provisional = !csm_spi_latest();
	made->lxid = csm_lxid(MyProc);
	made->bits = csm_key_create(context, 16, NULL);
	compile(map, made);
	for (int i = 0; i < CSM_ANCHORS; i++)
	{
		if (before[i] != csm_signal_count[i] && (made->watch[i / 64] & (UINT64CONST(1) << (i % 64))))
			made->suspect = true;
	}
	MemoryContextSwitchTo(saved);
	/* From here on nothing fails. */
	MemoryContextSetParent(context, map->context);
	MemoryContextDelete(scratch);
	return made;
}

void
csm_map_audiences_suspect(CsmMap *map, int anchor)
{
	if (map->audiences != NULL && (map->audiences->watch[anchor / 64] & (UINT64CONST(1) << (anchor % 64))))
		map->audiences->suspect = true;
}

static bool
usable(const CsmMapAudiences *made)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (made->suspect || now < made->valid_from || now >= made->valid_until)
		return false;
	return !made->provisional || (made->lxid == csm_lxid(MyProc) && IsolationUsesXactSnapshot());
}

/* Within one statement it stays as it was found, as the map does. */
static CsmMapAudiences *
audiences_of(CsmMap *map)
{
	CsmMapAudiences *made = map->audiences;

	if (likely(made != NULL && made->statement == csm_map_statements))
		return made;
	if (made != NULL && !usable(made))
	{
		map->audiences = NULL;
		MemoryContextDelete(made->context);
		made = NULL;
	}
	if (made == NULL)
		map->audiences = made = build(map);
	made->statement = csm_map_statements;
	return made;
}

CsmAudienceBits
csm_map_audience_bits(CsmMap *map, int64 audience_id)
{
	const CsmKeyBits *entry = csm_key_lookup(audiences_of(map)->bits, audience_id);

	return entry == NULL ? 0 : (CsmAudienceBits) entry->bits[0];
}

bool
csm_map_audience(CsmMap *map, int64 audience_id, CsmAudienceAction action)
{
	return (csm_map_audience_bits(map, audience_id) & CSM_AUDIENCE_BIT(action)) != 0;
}

/* Fills the array with a key that everybody has, where there is one, and the audiences that allow one of the actions. */
static int
keys_of(CsmMapAudiences *made, CsmKeyArray *array, const int64 *everybody, CsmAudienceBits any, const int64 **keys)
{
	if (!array->counted)
	{
		array->keys = MemoryContextAlloc(made->context, sizeof(int64) * (made->n + 1));
		if (everybody != NULL)
			array->keys[array->count++] = *everybody;
		for (int i = 0; i < made->n; i++)
		{
			if (csm_key_lookup(made->bits, made->ids[i])->bits[0] & any)
				array->keys[array->count++] = made->ids[i];
		}
		array->counted = true;
	}
	*keys = array->keys;
	return array->count;
}

int
csm_map_audience_keys(CsmMap *map, CsmAudienceAction action, const int64 **keys)
{
	CsmMapAudiences *made = audiences_of(map);

	return keys_of(made, &made->keys[action], NULL, CSM_AUDIENCE_BIT(action), keys);
}

bool
csm_map_article_key(CsmMap *map, int64 key)
{
	return key == CSM_ARTICLE_PUBLIC || (csm_map_audience_bits(map, key) & SHOWS_ARTICLES) != 0;
}

int
csm_map_article_keys(CsmMap *map, const int64 **keys)
{
	static const int64 everybody = CSM_ARTICLE_PUBLIC;
	CsmMapAudiences *made = audiences_of(map);

	return keys_of(made, &made->article_keys, &everybody, SHOWS_ARTICLES, keys);
}
