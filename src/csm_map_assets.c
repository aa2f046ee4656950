/*
 * csm_map_assets.c
 *	  The edges that lead to single sold products and install-base items: the
 *	  person is linked to one as its contact, or is authorised on it, himself
 *	  or through an account of which he is a contact (B18 to B20).
 *
 * A contact of a partner keeps his link only while the partner looks after the
 * owner, so relationships are loaded before.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "csm_map_load.h"

static void
take_item(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;
	CsmMap	   *map = loader->map;
	int64		asset = csm_get_id(tuple, desc, 1);
	int64		owner = csm_get_id(tuple, desc, 5);
	int64		linked_account = csm_get_id(tuple, desc, 6);
	CsmActionBits bits[CSM_BRANCHES] = {0};

	csm_heed_change(loader, tuple, desc, 4);
	if (!csm_get_bool(tuple, desc, 3))
		return;
	if (linked_account != owner && !csm_map_looks_after(map, linked_account, owner))
		return;
	bits[CSM_B2B] = PRODUCT_RIGHTS;
	if (asset != 0)
		csm_key_entry(map->assets, asset, bits);
	else
		csm_key_entry(map->sold_products, csm_get_id(tuple, desc, 2), bits);
}

void
csm_load_assets(Loader *loader)
{
	static const char by_user[] =
		"SELECT p.asset_id, p.sold_product_id, csm_private.is_valid(p.valid_during, $3),"
		" csm_private.next_change(p.valid_during, $3), NULL::bigint, NULL::bigint"
		" FROM csm.asset_parties p WHERE p.user_id = $1 AND p.tenant_id = $2 AND p.authorized";
	static const char by_contact[] =
		"SELECT l.asset_id, l.sold_product_id, $3 IS NOT NULL, NULL::timestamptz,"
		" coalesce(a.account_id, s.account_id), k.account_id"
		" FROM csm.asset_contacts l"
		" JOIN csm.contacts k ON k.id = l.contact_id"
		" LEFT JOIN csm.assets a ON a.id = l.asset_id"
		" LEFT JOIN csm.sold_products s ON s.id = l.sold_product_id"
		" WHERE l.contact_id = $1 AND l.tenant_id = $2"
		" UNION ALL"
		" SELECT p.asset_id, p.sold_product_id, csm_private.is_valid(p.valid_during, $3),"
		" csm_private.next_change(p.valid_during, $3), NULL, NULL"
		" FROM csm.contacts k JOIN csm.asset_parties p ON p.account_id = k.account_id"
		" WHERE k.id = $1 AND p.tenant_id = $2 AND p.authorized";

	csm_load_query(loader, by_user, loader->map->user_id, take_item);
	for (int i = 0; i < loader->ncontacts; i++)
	{
		csm_watch_key(loader, CSM_SIGNAL_CONTACT, loader->contacts[i].id);
		csm_load_query(loader, by_contact, loader->contacts[i].id, take_item);
	}
}
