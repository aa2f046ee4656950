/*
 * csm_session_token.c
 *	  The rows of csm.sessions: from a token to the row, and whether a row on
 *	  which somebody's identity stands is still there.
 *
 * A token is found by its SHA-256.  Nothing of a row changes but the time of
 * its last use; a session ends by the deletion of its row, which the trigger
 * on the table signals, so that whoever is signed in by it is nobody from the
 * next statement on, in open transactions too.
 *
 * The time of the last use is written in place, as a sequence is, and not by an
 * UPDATE.  That would hold a row lock until the client's transaction ends:
 * parallel requests with one token would wait for one another, and whoever
 * revokes the session would wait for a transaction of the person he locks out.
 * In place it needs no transaction, also where the client's is read-only or
 * rolls back.  A crash may lose the last of it, nothing else.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_history.h"
#include "csm_session_token.h"
#include "csm_spi.h"

#define KEPT_SESSIONS 16
#define RENEWAL (60 * USECS_PER_SEC)
/* Longer than any token of csm: is not hashed at all. */
#define LONGEST_TOKEN 128

typedef struct Found
{
	bool		found;
	CsmSession	session;
	TimestampTz expires_at;
	TimestampTz last_used_at;
	int			idle_minutes;	/* 0: no idle expiry */
	ItemPointerData place;
} Found;

typedef struct Kept
{
	CsmSession	session;
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
} Kept;

/* Where the columns of csm.sessions begin, all of fixed length and not null. */
typedef struct FixedColumns
{
	int64		id;
	int64		tenant_id;
	int64		user_id;
	TimestampTz last_used_at;
} FixedColumns;

static Kept kept[KEPT_SESSIONS];
static int	nkept = 0;
static int	oldest = 0;

/* ---- reading ---- */

#define COLUMNS \
	"s.id, s.user_id, s.kind = 'key', s.expires_at, s.last_used_at, coalesce(s.idle_minutes, 0), s.ctid," \
	" coalesce(s.persona, ''), s.actions"

static CsmActionBits
read_actions(Datum array)
{
	CsmActionBits actions = 0;
	Datum	   *names;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		text	   *name = DatumGetTextPP(names[i]);
		int			action = csm_action_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));

		if (action >= 0)
			actions |= CSM_BIT(action);
	}
	/* as in csm_map_load.c: it has no permission of its own */
	if (actions & CSM_BIT(CSM_PRODUCT_READ))
		actions |= CSM_BIT(CSM_ASSET_READ);
	return actions;
}

static void
take_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Found	   *found = (Found *) arg;
	CsmSession *session = &found->session;
	bool		isnull;
	Datum		actions;

	found->found = true;
	session->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	session->user_id = DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull));
	session->is_key = DatumGetBool(heap_getattr(tuple, 3, desc, &isnull));
	found->expires_at = DatumGetTimestampTz(heap_getattr(tuple, 4, desc, &isnull));
	found->last_used_at = DatumGetTimestampTz(heap_getattr(tuple, 5, desc, &isnull));
	found->idle_minutes = DatumGetInt32(heap_getattr(tuple, 6, desc, &isnull));
	found->place = *(ItemPointer) DatumGetPointer(heap_getattr(tuple, 7, desc, &isnull));
	strlcpy(session->persona, TextDatumGetCString(heap_getattr(tuple, 8, desc, &isnull)),
			sizeof(session->persona));
	actions = heap_getattr(tuple, 9, desc, &isnull);
	session->actions = isnull ? CSM_ALL_ACTIONS : read_actions(actions);
}

static void
read_by_hash(const uint8 *hash, Found *found)
{
	static const char sql[] =
		"SELECT " COLUMNS
		" FROM csm_private.session_tokens t JOIN csm.sessions s ON s.id = t.session_id AND s.tenant_id = t.tenant_id"
		" WHERE t.token_hash = $1";
	Oid			types[1] = {BYTEAOID};
	Datum		values[1];
	union
	{
		bytea		bytes;
		char		room[VARHDRSZ + PG_SHA256_DIGEST_LENGTH];
	}			key;

	SET_VARSIZE(&key.bytes, sizeof(key.room));
	memcpy(VARDATA(&key.bytes), hash, PG_SHA256_DIGEST_LENGTH);
	values[0] = PointerGetDatum(&key.bytes);
	csm_spi_query_latest(sql, 1, types, values, NULL, take_row, found);
}

static void
read_by_id(int64 id, Found *found)
{
	static const char sql[] = "SELECT " COLUMNS " FROM csm.sessions s WHERE s.id = $1";
	Oid			types[1] = {INT8OID};
	Datum		values[1];

	values[0] = Int64GetDatum(id);
	if (IsInParallelMode())
		csm_spi_query(sql, 1, types, values, NULL, take_row, found);
	else
		csm_spi_query_latest(sql, 1, types, values, NULL, take_row, found);
}

/* ---- whether a row still stands ---- */

static const CsmSession *
keep(const CsmSession *session, int anchor, uint32 seen)
{
	Kept	   *place;

	if (nkept < KEPT_SESSIONS)
		place = &kept[nkept++];
	else
		place = &kept[oldest++ % KEPT_SESSIONS];
	place->session = *session;
	place->anchor = anchor;
	place->seen = seen;
	return &place->session;
}

static void
forget(int i)
{
	kept[i] = kept[--nkept];
}

static int
place_of(int64 session_id)
{
	for (int i = 0; i < nkept; i++)
	{
		if (kept[i].session.id == session_id)
			return i;
	}
	return -1;
}

/* Waiting messages have been read; see csm_signal_watch(). */
const CsmSession *
csm_session_standing(int64 session_id)
{
	static CsmSession passing;
	Found		found = {0};
	int			i = place_of(session_id);
	int			anchor;
	uint32		seen;

	if (i >= 0)
	{
		if (kept[i].seen == csm_signal_count[kept[i].anchor])
			return &kept[i].session;
		forget(i);
	}
	/* Counted before reading: what is signalled meanwhile makes it stale. */
	anchor = csm_signal_anchor(CSM_SIGNAL_SESSION, (uint64) session_id);
	seen = csm_signal_count[anchor];
	read_by_id(session_id, &found);
	if (!found.found)
		return NULL;
	if (!IsInParallelMode())
		return keep(&found.session, anchor, seen);
	passing = found.session;
	return &passing;
}

/* ---- signing in ---- */

static FixedColumns *
columns_at(Page page, const Found *found)
{
	OffsetNumber n = ItemPointerGetOffsetNumber(&found->place);
	ItemId		item;
	HeapTupleHeader row;
	FixedColumns *columns;

	if (n > PageGetMaxOffsetNumber(page))
		return NULL;
	item = PageGetItemId(page, n);
	if (!ItemIdIsNormal(item))
		return NULL;
	row = (HeapTupleHeader) PageGetItem(page, item);
	if (ItemIdGetLength(item) < row->t_hoff + sizeof(FixedColumns))
		return NULL;
	columns = (FixedColumns *) ((char *) row + row->t_hoff);
	return columns->id == found->session.id ? columns : NULL;
}

/* The row may be gone by now, and another stand in its place: then nothing happens. */
static void
renew(const Found *found, TimestampTz now)
{
	Oid			table_id = get_relname_relid("sessions", get_namespace_oid("csm", false));
	Relation	rel = table_open(table_id, RowExclusiveLock);
	BlockNumber block = ItemPointerGetBlockNumber(&found->place);
	GenericXLogState *log;
	FixedColumns *columns;
	Buffer		buffer;

	if (block < RelationGetNumberOfBlocks(rel))
	{
		buffer = ReadBuffer(rel, block);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		log = GenericXLogStart(rel);
		columns = columns_at(GenericXLogRegisterBuffer(log, buffer, 0), found);
		if (columns != NULL && columns->last_used_at < now)
		{
			columns->last_used_at = now;
			GenericXLogFinish(log);
		}
		else
			GenericXLogAbort(log);
		UnlockReleaseBuffer(buffer);
	}
	table_close(rel, RowExclusiveLock);
}

static TimestampTz
idle_end(const Found *found)
{
	return found->idle_minutes == 0 ? DT_NOEND
		: found->last_used_at + found->idle_minutes * USECS_PER_MINUTE;
}

/*
 * A standby does not hear of uses on its primary soon enough to judge idleness,
 * and can note none: there the absolute end alone counts.
 */
static bool
still_good(Found *found, TimestampTz now)
{
	if (!found->found || now >= found->expires_at)
		return false;
	if (RecoveryInProgress())
		return true;
	if (now >= idle_end(found))
		return false;
	if (now - found->last_used_at >= RENEWAL)
	{
		renew(found, now);
		found->last_used_at = now;
	}
	return true;
}

/*
 * Whoever signs the whole connection in says again and again that he is there,
 * or is gone when the idle time is over.
 */
static TimestampTz
end_of_claim(const Found *found, bool local)
{
	if (local || RecoveryInProgress())
		return found->expires_at;
	return Min(found->expires_at, idle_end(found));
}

int64
csm_session_sign_in_by_token(const char *token, int length, bool local)
{
	Found		found = {0};
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	uint64		signalled;
	int			anchor;
	int			i;

	if (length == 0 || length > LONGEST_TOKEN)
		return 0;
	csm_hash_text(token, length, hash);
	csm_signal_watch();
	signalled = csm_signal_total;
	read_by_hash(hash, &found);
	if (!still_good(&found, GetCurrentTimestamp()))
		return 0;

	/* Kept only if nothing at all was signalled since before the reading. */
	i = place_of(found.session.id);
	if (i >= 0)
		forget(i);
	anchor = csm_signal_anchor(CSM_SIGNAL_SESSION, (uint64) found.session.id);
	if (signalled == csm_signal_total)
		(void) keep(&found.session, anchor, csm_signal_count[anchor]);
	csm_session_sign_in(found.session.user_id, local, end_of_claim(&found, local), found.session.id);
	return found.session.user_id;
}

PG_FUNCTION_INFO_V1(csm_in_person);

/* csm_private.in_person(): somebody, neither by an API key nor for another. */
Datum
csm_in_person(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();
	const CsmSession *session;

	if (map == NULL || csm_map_person(map) != csm_map_user(map))
		PG_RETURN_BOOL(false);
	session = csm_session_id() == 0 ? NULL : csm_session_standing(csm_session_id());
	PG_RETURN_BOOL(session == NULL || !session->is_key);
}

PG_FUNCTION_INFO_V1(csm_current_session_id);

/* csm_private.current_session_id() */
Datum
csm_current_session_id(PG_FUNCTION_ARGS)
{
	int64		session_id = csm_map_current() == NULL ? 0 : csm_session_id();

	if (session_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(session_id);
}

PG_FUNCTION_INFO_V1(csm_sign_in_by_token);

/* csm_private.sign_in_by_token(token, local): the person, or NULL. */
Datum
csm_sign_in_by_token(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	int64		user_id = csm_session_sign_in_by_token(VARDATA_ANY(token), (int) VARSIZE_ANY_EXHDR(token),
													   PG_GETARG_BOOL(1));

	if (user_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(user_id);
}

PG_FUNCTION_INFO_V1(csm_person_id);

/* csm_private.person_id(): whose rights count; another than csm.current_user_id() where he acts for somebody. */
Datum
csm_person_id(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();

	if (map == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(csm_map_person(map));
}

PG_FUNCTION_INFO_V1(csm_set_behalf);

/* csm_private.set_behalf(user_id): NULL lifts it. */
Datum
csm_set_behalf(PG_FUNCTION_ARGS)
{
	const CsmMap *map;

	csm_session_set_behalf(0, 0);
	map = csm_map_current();
	if (map != NULL && !PG_ARGISNULL(0))
		csm_session_set_behalf(PG_GETARG_INT64(0), csm_map_user(map));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_on_behalf_of);

/* csm.on_behalf_of() */
Datum
csm_on_behalf_of(PG_FUNCTION_ARGS)
{
	int64		behalf = csm_behalf();

	if (behalf == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(behalf);
}
