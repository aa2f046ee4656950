/*
 * csm_map_load.h
 *	  What the files that build an access map share while they build one.
 */
#ifndef CSM_MAP_LOAD_H
#define CSM_MAP_LOAD_H

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

extern const char *const csm_reach_names[REACHES];

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
	CsmActionBits lost;			/* what reach account does not give on it */
	Role	   *role;
} Contact;

typedef struct Loader
{
	CsmMap	   *map;
	TimestampTz now;
	Role	   *roles;
	int			nroles;
	int			maxroles;
	Contact    *contacts;
	int			ncontacts;
	int			maxcontacts;
	CsmActionBits consumer_bits;	/* role consumer, reach own */
	bool		linked_assets_only;	/* the tenant's setting use_asset_contacts */

	/* what the section that is running hands to its callback */
	void	   *item;
	int64		count;
	CsmActionBits bits;
	CsmActionBits branch_bits[CSM_BRANCHES];
	uint8		partner;
	bool		named;
} Loader;

extern int64 csm_get_id(HeapTuple tuple, TupleDesc desc, int column);
extern bool csm_get_bool(HeapTuple tuple, TupleDesc desc, int column);
extern int	csm_get_int(HeapTuple tuple, TupleDesc desc, int column);
extern char *csm_get_text(HeapTuple tuple, TupleDesc desc, int column);

/* The column holds the instant of the next change, NULL for never. */
extern void csm_heed_change(Loader *loader, HeapTuple tuple, TupleDesc desc, int column);
extern void csm_watch_key(Loader *loader, CsmSignalKind kind, int64 key);

/* Runs a query whose parameters are an id, the tenant and the instant. */
extern uint64 csm_load_query(Loader *loader, const char *sql, int64 id, CsmTupleFn fn);
extern CsmAccount *csm_account_entry(CsmMap *map, int64 id);
extern void csm_expect_accounts(CsmMap *map, int n);
extern void csm_key_entry(csm_key_hash *hash, int64 id, const CsmActionBits *bits);
extern Role *csm_find_role(Loader *loader, const char *name);

#define PRODUCT_RIGHTS (CSM_BIT(CSM_PRODUCT_READ) | CSM_BIT(CSM_ASSET_READ))

/* csm_map_customer.c */
extern void csm_load_contacts(Loader *loader);
extern void csm_load_relationships(Loader *loader);
extern void csm_load_households(Loader *loader);
extern void csm_load_shares(Loader *loader);

/* csm_map_assets.c */
extern void csm_load_assets(Loader *loader);

/* csm_map_staff.c */
extern void csm_load_staff(Loader *loader);

#endif							/* CSM_MAP_LOAD_H */
