/*
 * csm_judged.c
 *	  What the guard of csm.cases permitted, kept for the AFTER triggers.
 *
 * They fire when the statement ends, so it is kept for every case that the
 * statement wrote.  With the next client statement nothing of it is wanted any
 * more: no AFTER trigger is left that could ask.  What a subtransaction rolled
 * back left behind is harmless, because a trigger asks only for a row that was
 * written, and writing it replaced what stood here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "csm_judged.h"

typedef struct Entry
{
	int64		case_id;		/* key */
	CsmJudged	judged;
} Entry;

static MemoryContext context = NULL;
static HTAB *entries = NULL;
static List *actions = NIL;		/* of char *: there are few, an entry points into them */
static TimestampTz statement = 0;

static void
begin_statement(void)
{
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Entry)};

	if (entries != NULL && statement == GetCurrentStatementStartTimestamp())
		return;
	entries = NULL;
	actions = NIL;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "csm judged cases", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(context);
	control.hcxt = context;
	entries = hash_create("csm judged cases", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	statement = GetCurrentStatementStartTimestamp();
}

static const char *
kept_action(const char *action)
{
	ListCell   *cell;
	MemoryContext old;
	char	   *copy;

	foreach(cell, actions)
	{
		if (strcmp((const char *) lfirst(cell), action) == 0)
			return (const char *) lfirst(cell);
	}
	old = MemoryContextSwitchTo(context);
	copy = pstrdup(action);
	actions = lappend(actions, copy);
	MemoryContextSwitchTo(old);
	return copy;
}

void
csm_judged_note(const CsmCaseKeys *keys, const char *action, uint32 actors, uint32 through, bool taken)
{
	Entry	   *entry;
	const char *kept;

	begin_statement();
	kept = kept_action(action);
	entry = (Entry *) hash_search(entries, &keys->id, HASH_ENTER, NULL);
	entry->judged.action = kept;
	entry->judged.actors = actors;
	entry->judged.through = through;
	entry->judged.taken = taken;
	entry->judged.system = (actors & CSM_ACTOR_SYSTEM) != 0;
	entry->judged.branch = keys->branch;
	entry->judged.requester_id = keys->requester_id;
}

const CsmJudged *
csm_judged(int64 case_id)
{
	Entry	   *entry;

	if (entries == NULL || statement != GetCurrentStatementStartTimestamp())
		return NULL;
	entry = (Entry *) hash_search(entries, &case_id, HASH_FIND, NULL);
	return entry ? &entry->judged : NULL;
}
