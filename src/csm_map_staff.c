/*
 * csm_map_staff.c
 *	  The staff edges of an access map: roles by branch, teams, service
 *	  organisations (V9).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm_map_load.h"

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
	char	   *name = csm_get_text(tuple, desc, 1);
	char	   *reach = csm_get_text(tuple, desc, 3);
	const char *persona = loader->map->persona;
	StaffRole  *made;

	csm_heed_change(loader, tuple, desc, 6);
	if (!csm_get_bool(tuple, desc, 5))
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
	made->role = csm_find_role(loader, name);
	if (made->role == NULL || made->role->kind != 's')
		return;
	made->branches = csm_get_int(tuple, desc, 2);
	made->organization_id = csm_get_id(tuple, desc, 4);
	made->reach = -1;
	for (int r = REACH_TEAM; reach != NULL && r <= REACH_ALL; r++)
	{
		if (strcmp(csm_reach_names[r], reach) == 0)
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

	csm_heed_change(loader, tuple, desc, 3);
	if (csm_get_bool(tuple, desc, 2))
		csm_key_entry(loader->map->team_persons, csm_get_id(tuple, desc, 1), loader->branch_bits);
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

	csm_heed_change(loader, tuple, desc, 5);
	if (!csm_get_bool(tuple, desc, 4))
		return;
	saved = MemoryContextSwitchTo(loader->map->context);
	target = palloc(sizeof(TeamTarget));
	target->account_id = csm_get_id(tuple, desc, 1);
	target->user_id = csm_get_id(tuple, desc, 2);
	target->household_id = csm_get_id(tuple, desc, 3);
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
	csm_load_query(loader, team, map->user_id, take_team);
	memset(loader->branch_bits, 0, sizeof(loader->branch_bits));
	loader->branch_bits[CSM_B2B] = b2b;
	loader->branch_bits[CSM_B2C] = b2c;
	foreach(cell, targets)
	{
		TeamTarget *target = lfirst(cell);

		if (target->account_id != 0)
			csm_key_entry(map->team_accounts, target->account_id, loader->branch_bits);
		if (target->user_id != 0)
			csm_key_entry(map->team_persons, target->user_id, loader->branch_bits);
		if (target->household_id != 0)
		{
			csm_watch_key(loader, CSM_SIGNAL_HOUSEHOLD, target->household_id);
			csm_key_entry(map->team_households, target->household_id, loader->branch_bits);
			csm_load_query(loader, members, target->household_id, take_household_of_team);
		}
	}
}

static void
take_organization(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Loader	   *loader = arg;

	csm_key_entry(loader->map->organizations, csm_get_id(tuple, desc, 1), loader->branch_bits);
}

static void
take_organization_change(HeapTuple tuple, TupleDesc desc, void *arg)
{
	csm_heed_change((Loader *) arg, tuple, desc, 1);
}

/* Each membership's subtree less its excluded subtrees; UNION ends a circle. */
#define ORGANIZATIONS_BELOW \
	" gone(seed, id) AS (" \
	"   SELECT seed, unnest(excluded) FROM seeds" \
	"  UNION" \
	"   SELECT g.seed, o.id FROM gone g JOIN csm.service_organizations o ON o.parent_id = g.id" \
	"   WHERE o.tenant_id = $2)," \
	" t(seed, id) AS (" \
	"   SELECT seed, id FROM seeds" \
	"  UNION" \
	"   SELECT t.seed, o.id FROM t JOIN csm.service_organizations o ON o.parent_id = t.id" \
	"   WHERE o.tenant_id = $2)" \
	" SELECT DISTINCT t.id FROM t WHERE NOT EXISTS" \
	"   (SELECT FROM gone g WHERE g.seed = t.seed AND g.id = t.id)"

static void
load_organizations(Loader *loader, int64 own_organization)
{
	static const char changes[] =
		"SELECT min(csm_private.next_change(valid_during, $3)) FROM csm.service_organization_members"
		" WHERE user_id = $1 AND tenant_id = $2";
	static const char memberships[] =
		"WITH RECURSIVE seeds AS ("
		"   SELECT m.id AS seed, m.service_organization_id AS id, m.excluded FROM csm.service_organization_members m"
		"   WHERE m.user_id = $1 AND m.tenant_id = $2 AND csm_private.is_valid(m.valid_during, $3)),"
		ORGANIZATIONS_BELOW;
	static const char assigned[] =
		"WITH RECURSIVE seeds AS (SELECT 0::bigint AS seed, $1 AS id, '{}'::bigint[] AS excluded WHERE $3 IS NOT NULL),"
		ORGANIZATIONS_BELOW;

	csm_watch_key(loader, CSM_SIGNAL_ORGANIZATION, loader->map->tenant_id);
	csm_load_query(loader, changes, loader->map->user_id, take_organization_change);
	csm_load_query(loader, memberships, loader->map->user_id, take_organization);
	if (own_organization != 0)
		csm_load_query(loader, assigned, own_organization, take_organization);
}

void
csm_load_staff(Loader *loader)
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
	csm_load_query(loader, sql, map->user_id, take_staff_role);
	for (int i = 0; i < staff.n; i++)
	{
		StaffRole  *role = &staff.roles[i];
		CsmActionBits organization = staff_bits(role, REACH_ORGANIZATION);

		map->staff = true;
		for (int r = REACH_OWN; r <= REACH_ALL; r++)
			map->staff_any |= role->role->bits[r];
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
