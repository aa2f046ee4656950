/*
 * csm_map.c
 *	  The access map of a person: its lifetime.  What it says: csm_map_answer.c.
 *
 * A backend keeps the maps of several people, least recently used first out,
 * because a pooled connection serves many.  The map of the current statement
 * is found once per statement: comparing the statement's key costs a few
 * instructions, and everything else is behind it.
 *
 * Why a map that is found may be used:
 *	- the statement began within [valid_from, valid_until): validity ranges
 *	  that begin or end need no write to take effect;
 *	- no anchor it depends on was signalled since before it was read (a signal
 *	  that comes during the reading leaves it suspect, so the next statement
 *	  reads again);
 *	- it was read under the latest snapshot.  A map that could not be (parallel
 *	  mode, REPEATABLE READ and above) is provisional and ends with the
 *	  transaction, under READ COMMITTED with the statement.
 * A map is built whole in a context of its own and put in place as the last
 * step; an error half way leaves nothing behind.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "csm.h"
#include "csm_compat.h"
#include "csm_map.h"
#include "csm_session_token.h"
#include "csm_spi.h"

/* What makes two calls belong to one statement of one person. */
typedef struct StatementKey
{
	TimestampTz started;
	uint64		generation;
	LocalTransactionId lxid;
	Oid			role;
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;		/* of a standby: there xcnt is 0 */
	CommandId	curcid;
} StatementKey;

static StatementKey current_key;
static CsmMap *current = NULL;
static bool current_known = false;
uint64		csm_map_statements = 0;

static dlist_head maps = DLIST_STATIC_INIT(maps);
static MemoryContext maps_context = NULL;

static const CsmLimit no_limit = {{CSM_ALL_ACTIONS, CSM_ALL_ACTIONS, CSM_ALL_ACTIONS}};

/* Size class for which the cached plans of this session were made. */
static int	planned_class = -1;

static inline void
statement_key(StatementKey *key)
{
	key->started = GetCurrentStatementStartTimestamp();
	key->generation = csm_session_generation;
	key->lxid = csm_lxid(MyProc);
	key->role = csm_session_role();
	if (ActiveSnapshotSet())
	{
		Snapshot	snapshot = GetActiveSnapshot();

		key->xmin = snapshot->xmin;
		key->xmax = snapshot->xmax;
		key->xcnt = snapshot->xcnt;
		key->subxcnt = snapshot->subxcnt;
		key->curcid = snapshot->curcid;
	}
	else
	{
		key->xmin = key->xmax = InvalidTransactionId;
		key->xcnt = 0;
		key->subxcnt = 0;
		key->curcid = InvalidCommandId;
	}
}

/* For every row and predicate: compares in place, and makes no key. */
static inline bool
same_statement(const StatementKey *key)
{
	Snapshot	snapshot;

	if (key->generation != csm_session_generation || key->lxid != csm_lxid(MyProc) ||
		key->started != GetCurrentStatementStartTimestamp() ||
		key->role != csm_session_role() || !ActiveSnapshotSet())
		return false;
	snapshot = GetActiveSnapshot();
	return key->curcid == snapshot->curcid && key->xmin == snapshot->xmin &&
		key->xmax == snapshot->xmax && key->xcnt == snapshot->xcnt &&
		key->subxcnt == snapshot->subxcnt;
}

void
csm_map_suspect(int anchor)
{
	dlist_iter	iter;

	dlist_foreach(iter, &maps)
	{
		CsmMap	   *map = dlist_container(CsmMap, lru, iter.cur);

		if (map->watch[anchor / 64] & (UINT64CONST(1) << (anchor % 64)))
			map->suspect = true;
		csm_map_audiences_suspect(map, anchor);
	}
}

void
csm_map_suspect_all(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &maps)
		dlist_container(CsmMap, lru, iter.cur)->suspect = true;
}

static void
drop_map(CsmMap *map)
{
	if (map == current)
	{
		current = NULL;
		current_known = false;
	}
	dlist_delete(&map->lru);
	MemoryContextDelete(map->context);
}

static bool
usable(const CsmMap *map, const StatementKey *key)
{
	if (map->suspect || key->started < map->valid_from || key->started >= map->valid_until)
		return false;
	if (!map->provisional)
		return true;
	return map->lxid == key->lxid && IsolationUsesXactSnapshot();
}

/* The usable map of a person; out-of-date ones are dropped on the way. */
static CsmMap *
find_map(int64 user_id, bool staff_side, const char *persona, const CsmLimit *limit, const StatementKey *key)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &maps)
	{
		CsmMap	   *map = dlist_container(CsmMap, lru, iter.cur);

		if (map->user_id != user_id || map->staff_side != staff_side ||
			strcmp(map->persona, persona) != 0 || memcmp(&map->limit, limit, sizeof(CsmLimit)) != 0)
			continue;
		if (usable(map, key))
		{
			dlist_move_head(&maps, &map->lru);
			return map;
		}
		drop_map(map);
	}
	return NULL;
}

/* The map just made stays, however large. */
static void
trim_maps(void)
{
	Size		limit = (Size) csm_map_memory * 1024;

	while (MemoryContextMemAllocated(maps_context, true) > limit)
	{
		CsmMap	   *oldest = dlist_container(CsmMap, lru, dlist_tail_node(&maps));

		if (oldest == dlist_container(CsmMap, lru, dlist_head_node(&maps)))
			break;
		drop_map(oldest);
	}
}

static CsmMap *
build_map(int64 user_id, bool staff_side, const char *persona, const CsmLimit *limit, const StatementKey *key)
{
	MemoryContext context;
	MemoryContext saved;
	uint32	   *before;
	CsmMap	   *map;

	if (maps_context == NULL)
		maps_context = AllocSetContextCreate(TopMemoryContext, "csm access maps",
											 ALLOCSET_SMALL_SIZES);
	before = palloc(sizeof(csm_signal_count));
	memcpy(before, csm_signal_count, sizeof(csm_signal_count));

	/* Freed with the caller's context should an error cut the loading short. */
	context = AllocSetContextCreate(CurrentMemoryContext, "csm access map",
									ALLOCSET_DEFAULT_SIZES);
	saved = MemoryContextSwitchTo(context);
	map = palloc0(sizeof(CsmMap));
	map->context = context;
	map->user_id = user_id;
	map->staff_side = staff_side;
	strlcpy(map->persona, persona, sizeof(map->persona));
	map->limit = *limit;
	map->valid_from = key->started;
	map->valid_until = DT_NOEND;
	map->provisional = !csm_spi_latest();
	map->lxid = key->lxid;
	csm_map_load(map, key->started);
	MemoryContextSwitchTo(saved);

	for (int i = 0; i < CSM_ANCHORS; i++)
	{
		if (before[i] != csm_signal_count[i] &&
			(map->watch[i / 64] & (UINT64CONST(1) << (i % 64))))
			map->suspect = true;
	}
	pfree(before);
	MemoryContextSetParent(context, maps_context);
	dlist_push_head(&maps, &map->lru);
	trim_maps();
	return map;
}

/* NULL: there is no such person, or he is disabled. */
static CsmMap *
map_of(int64 user_id, bool staff_side, const char *persona, const CsmLimit *limit, const StatementKey *key)
{
	CsmMap	   *map = find_map(user_id, staff_side, persona, limit, key);

	if (map == NULL)
		map = build_map(user_id, staff_side, persona, limit, key);
	return map->somebody ? map : NULL;
}

/*
 * Whoever acts for somebody has that person's rights as a customer, less what
 * he could not do himself: a branch counts where he holds act_for in all of it
 * (and contact_read, for it shows whose account or household that is), and an
 * action where he holds that in all of the branch.  So the rights are part of
 * both.  NULL, which is nobody, where he may not.
 */
static CsmMap *
map_on_behalf(const CsmMap *own, int64 behalf, const StatementKey *key)
{
	const CsmActionBits needed = CSM_BIT(CSM_ACT_FOR) | CSM_BIT(CSM_CONTACT_READ);
	int64		actor_id = own->user_id;
	int64		tenant_id = own->tenant_id;
	CsmLimit	limit;
	CsmActionBits any = 0;
	CsmMap	   *map;

	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		CsmActionBits bits = own->all[b];

		limit.allowed[b] = (bits & needed) == needed ? bits & ~CSM_BIT(CSM_ACT_FOR) : 0;
		any |= limit.allowed[b];
	}
	if (any == 0)
		return NULL;
	map = map_of(behalf, false, "", &limit, key);
	if (map == NULL || map->tenant_id != tenant_id)
		return NULL;
	map->actor_id = actor_id;
	return map;
}

/*
 * What the session leaves of the person's rights: an API key its actions and
 * one persona, which the setting can narrow no further than to itself.  False
 * where the session is gone, or nothing is left.
 */
static bool
scope_of_session(CsmLimit *limit, const char **persona)
{
	int64		session_id = csm_session_id();
	const CsmSession *session;

	if (session_id == 0)
		return true;
	session = csm_session_standing(session_id);
	if (session == NULL)
		return false;
	for (int b = 0; b < CSM_BRANCHES; b++)
		limit->allowed[b] = session->actions;
	if (session->persona[0] == '\0')
		return true;
	if ((*persona)[0] != '\0' && strcmp(*persona, session->persona) != 0)
		return false;
	*persona = session->persona;
	return true;
}

/* narrowed: through which persona, and by which key, counts. */
static CsmMap *
find_or_build(const StatementKey *key, bool narrowed)
{
	const char *persona = csm_session_persona();
	CsmLimit	limit = no_limit;
	int64		user_id;
	int64		behalf;
	CsmMap	   *map;

	/* Outside a transaction nothing can be read, and nobody asks. */
	if (!IsTransactionState())
		return NULL;
	csm_signal_watch();
	if (!csm_session_claims(&user_id))
		user_id = csm_identity_of_login();
	if (user_id == 0)
		return NULL;

	if (persona == NULL)
		persona = "";
	if (!scope_of_session(&limit, &persona))
		return NULL;
	if (!narrowed)
	{
		persona = "";
		limit = no_limit;
	}
	map = map_of(user_id, csm_session_staff_side(), persona, &limit, key);
	if (map == NULL)
		return NULL;
	map->actor_id = user_id;
	behalf = csm_session_behalf(user_id);
	return behalf == 0 ? map : map_on_behalf(map, behalf, key);
}

CsmMap *
csm_map_current(void)
{
	StatementKey key;

	if (likely(current_known && same_statement(&current_key)))
		return current;

	current_known = false;
	statement_key(&key);
	current = find_or_build(&key, true);
	current_key = key;
	current_known = true;
	csm_map_statements++;
	return current;
}

uint64
csm_map_statement(void)
{
	(void) csm_map_current();
	return csm_map_statements;
}

/* The map that the person would have had he not narrowed himself to a persona. */
CsmMap *
csm_map_unnarrowed(void)
{
	StatementKey key;

	if (csm_session_persona() == NULL && csm_session_id() == 0)
		return csm_map_current();
	statement_key(&key);
	return find_or_build(&key, false);
}

int64
csm_behalf(void)
{
	const CsmMap *map = csm_map_current();

	return map == NULL || map->user_id == map->actor_id ? 0 : map->user_id;
}

/*
 * Plans are right for everybody but fast for the size they were made for.  A
 * power of eight in accounts is a class, reach "all" another, nobody a third.
 */
static int
size_class(const CsmMap *map)
{
	int			class = 1;

	if (map == NULL || !map->somebody)
		return 0;
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		if (map->all[b])
			return 100;
	}
	for (uint32 n = map->accounts->members; n > 0; n /= 8)
		class++;
	return class;
}

/*
 * From the assign hook of csm.user_id: looks at memory only and cannot fail.
 * A person without a map counts as a class of his own.  Nobody keeps the plans
 * that there are: the setting falls back to nobody at the end of every
 * transaction that set it, and his predicates are false on every plan.
 */
void
csm_map_person_changes(int64 user_id)
{
	int			class = user_id == 0 ? 0 : -2;
	dlist_iter	iter;

	dlist_foreach(iter, &maps)
	{
		CsmMap	   *map = dlist_container(CsmMap, lru, iter.cur);

		if (map->user_id == user_id)
		{
			class = size_class(map);
			break;
		}
	}
	if (class != 0 && class != planned_class)
	{
		planned_class = class;
		csm_plans_forget();
	}
}
