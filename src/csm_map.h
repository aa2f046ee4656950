/*
 * csm_map.h
 *	  The access map from the inside: for csm_map.c (lifetime), csm_map_answer.c
 *	  (look-up), csm_map_load.c (building) and the files that tell it of changes.
 */
#ifndef CSM_MAP_H
#define CSM_MAP_H

#include "lib/ilist.h"
#include "nodes/bitmapset.h"
#include "utils/timestamp.h"

#include "csm.h"

/* Why an account is known, beside the actions on it. */
#define CSM_ACC_OWN			0x01	/* a current contact of it */
#define CSM_ACC_RELATED		0x02	/* customer of a partner he is a contact of */
#define CSM_ACC_LEADERLESS	0x04	/* own, and has neither manager nor admin */
#define CSM_ACC_MORE		0x08	/* further rows in map->more */
#define CSM_ACC_NAMED		0x10	/* relationship with its partner has scope named */

typedef struct CsmAccount
{
	int64		id;
	TimestampTz history;		/* since_bits hold for cases opened from here on */
	CsmActionBits bits;			/* whatever the case's age */
	CsmActionBits since_bits;
	uint8		flags;
	uint8		partner;		/* 1-based index of map->partners; 0: none */
	char		status;			/* simplehash */
} CsmAccount;

/* What does not fit the one slot of an account: further partners, histories. */
typedef struct CsmMore
{
	int64		account_id;
	TimestampTz history;
	CsmActionBits since_bits;
	uint8		partner;
	bool		named;
} CsmMore;

/* A partner account through which he looks after others. */
typedef struct CsmPartner
{
	int64		account_id;
	CsmActionBits named_bits;	/* on cases that name it, with scope named */
} CsmPartner;

/* One of his own current contact rows. */
typedef struct CsmOwnContact
{
	int64		id;
	uint8		partner;		/* index of map->partners where his role looks after others */
} CsmOwnContact;

/* Persons, households, organisations, shared cases. */
typedef struct CsmKeyBits
{
	int64		id;
	CsmActionBits bits[CSM_BRANCHES];
	char		status;			/* simplehash */
} CsmKeyBits;

static inline uint32
csm_hash_id(int64 id)
{
	uint64		h = (uint64) id * UINT64CONST(0x9E3779B97F4A7C15);

	return (uint32) (h >> 32);
}

/* The server's template shadows a variable of its own in 15. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow=compatible-local"

#define SH_PREFIX csm_acc
#define SH_ELEMENT_TYPE CsmAccount
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) csm_hash_id(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define SH_PREFIX csm_key
#define SH_ELEMENT_TYPE CsmKeyBits
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) csm_hash_id(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#pragma GCC diagnostic pop

typedef struct CsmKeyArray
{
	bool		counted;
	int			count;
	int64	   *keys;			/* sorted; NULL until asked for */
} CsmKeyArray;

/*
 * What an API key leaves of its person's rights, or what somebody may do on his
 * behalf.
 */
typedef struct CsmLimit
{
	CsmActionBits allowed[CSM_BRANCHES];
} CsmLimit;

struct CsmMap
{
	dlist_node	lru;
	MemoryContext context;

	/* for whom */
	int64		user_id;
	bool		staff_side;
	char		persona[NAMEDATALEN + 16];
	CsmLimit	limit;

	/* who acts: he himself, or in this statement somebody on his behalf */
	int64		actor_id;

	/* how long: statements in [valid_from, valid_until), unless suspect */
	TimestampTz valid_from;
	TimestampTz valid_until;
	bool		suspect;
	bool		provisional;	/* read under a snapshot of the transaction */
	LocalTransactionId lxid;	/* of a provisional map */
	uint64		watch[CSM_ANCHORS / 64];	/* anchors it depends on */

	/* what */
	bool		somebody;
	int64		tenant_id;
	bool		own_internal;
	bool		own_consumer;
	CsmActionBits own_bits;		/* role person, reach own */
	CsmActionBits consumer_bits;	/* role consumer, reach own, on what he owns */
	CsmActionBits staff_own[CSM_BRANCHES];
	CsmActionBits all[CSM_BRANCHES];
	bool		staff;			/* a staff role counts */
	CsmActionBits staff_any;	/* actions of those roles, whatever the reach */
	csm_acc_hash *accounts;
	csm_key_hash *team_accounts;	/* staff: on whose team he is */
	csm_key_hash *team_persons;
	csm_key_hash *team_households;
	csm_key_hash *persons;
	csm_key_hash *households;
	csm_key_hash *organizations;
	csm_key_hash *shared_cases;
	csm_key_hash *assets;		/* linked to him, or authorised */
	csm_key_hash *sold_products;
	CsmPartner *partners;		/* [1 .. npartners] */
	int			npartners;
	CsmOwnContact *contacts;
	int			ncontacts;
	int64		home_account_id;	/* for which he asks unless he names another; 0: none is known */
	CsmMore    *more;
	int			nmore;
	int			maxmore;

	CsmKeyArray keys[CSM_SETS][CSM_ACTIONS];

	struct CsmMapAudiences *audiences;	/* NULL until asked for */
};

/* csm_map.c */
extern uint64 csm_map_statements;	/* grows with each statement that asks for a map */
extern void csm_map_suspect(int anchor);
extern void csm_map_suspect_all(void);
extern void csm_map_person_changes(int64 user_id);

static inline void
csm_map_watch(CsmMap *map, int anchor)
{
	map->watch[anchor / 64] |= UINT64CONST(1) << (anchor % 64);
}

/* csm_map_answer.c */
extern bool csm_map_looks_after(const CsmMap *map, int64 partner_account_id, int64 account_id);

/* csm_map_audience.c */
extern void csm_map_audiences_suspect(CsmMap *map, int anchor);

/* csm_map_load.c: fills a map for the statement that began at "now" */
extern void csm_map_load(CsmMap *map, TimestampTz now);

#endif							/* CSM_MAP_H */
