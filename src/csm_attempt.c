/*
 * csm_attempt.c
 *	  Counters of attempts that no ROLLBACK takes back.
 *
 * A client that guesses passwords does so in a transaction that it rolls back,
 * so a counter must not be part of one.  Neither shared memory (the library
 * need not be preloaded, and a restart would forget) nor a sequence a key
 * serves.  The counters are the rows of csm_private.attempts: made by the
 * install script, never inserted, updated or deleted after, all of one fixed
 * length, changed in place under the lock of their page and logged as such.
 * That is what the server does with the row of a sequence.
 *
 * The table is a cache of 64-bit tags of (kind, key), hashed with a secret of
 * the database, so that nobody can choose keys that meet on one page.  A key
 * lives on the page that its hash names, in any free row.  On a full page the
 * row that would expire first gives way: counters that last long, such as
 * those of locked logins, are not driven out by a flood of short ones.
 *
 * What the last transactions before a crash counted may be lost, nothing else.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_spi.h"

#define SECRET_LENGTH 32

/* A row of csm_private.attempts, as it lies on the page. */
typedef struct Counter
{
	int64		tag;			/* 0: never used */
	TimestampTz free_at;		/* rate: when the bucket is empty; back-off: end of the pause */
	TimestampTz expires_at;		/* from then on the row is free */
	int32		count;			/* back-off: attempts that failed */
} Counter;

typedef struct Limit
{
	int32		allowed;
	int64		period;			/* microseconds */
	int64		longest;		/* back-off: longest pause; 0: a rate */
} Limit;

/* Which counter is wanted; the page and, once found, the row on it. */
typedef struct Place
{
	int64		tag;
	uint32		hash;
	Buffer		buffer;
	GenericXLogState *log;
	Counter    *counter;
} Place;

static uint8 secret[SECRET_LENGTH];
static bool secret_is_known = false;

static void
take_secret(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	bytea	   *value = DatumGetByteaPP(heap_getattr(tuple, 1, desc, &isnull));

	if (VARSIZE_ANY_EXHDR(value) != SECRET_LENGTH)
		elog(ERROR, "secret of csm_private.attempts has a wrong length");
	memcpy(secret, VARDATA_ANY(value), SECRET_LENGTH);
	secret_is_known = true;
}

static void
hash_key(Place *place, const char *kind, const text *key)
{
	static const char sql[] = "SELECT value FROM csm_private.secrets WHERE name = 'attempts'";
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *hmac;

	if (!secret_is_known)
		csm_spi_query(sql, 0, NULL, NULL, NULL, take_secret, NULL);
	if (!secret_is_known)
		elog(ERROR, "secret of csm_private.attempts is missing");

	hmac = pg_hmac_create(PG_SHA256);
	if (hmac == NULL ||
		pg_hmac_init(hmac, secret, SECRET_LENGTH) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) kind, strlen(kind) + 1) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) < 0 ||
		pg_hmac_final(hmac, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute the hash of an attempt");
	pg_hmac_free(hmac);
	memcpy(&place->tag, digest, sizeof(place->tag));
	memcpy(&place->hash, digest + sizeof(place->tag), sizeof(place->hash));
	if (place->tag == 0)
		place->tag = 1;
}

/*
 * The counter of the tag; else a free row; else the one that expires first.
 * What is returned lies on the copy of the page that will be logged.
 */
static Counter *
find_counter(Page page, int64 tag, TimestampTz now)
{
	Counter    *best = NULL;

	for (OffsetNumber n = FirstOffsetNumber; n <= PageGetMaxOffsetNumber(page); n++)
	{
		ItemId		item = PageGetItemId(page, n);
		HeapTupleHeader tuple;
		Counter    *counter;

		if (!ItemIdIsNormal(item))
			continue;
		tuple = (HeapTupleHeader) PageGetItem(page, item);
		/* a row of another shape is none of ours */
		if (ItemIdGetLength(item) < tuple->t_hoff + offsetof(Counter, count) + sizeof(int32) ||
			(tuple->t_infomask & HEAP_HASNULL) != 0)
			continue;
		counter = (Counter *) ((char *) tuple + tuple->t_hoff);
		if (counter->tag == tag)
			return counter;
		if (best == NULL || counter->expires_at < best->expires_at)
			best = counter;
	}
	return best;
}

/* Opens the counter of (kind, key) for a change; a new one is at zero. */
static Relation
open_counter(Place *place, TimestampTz now)
{
	Oid			table_id = get_relname_relid("attempts", get_namespace_oid("csm_private", false));
	Relation	rel = table_open(table_id, RowExclusiveLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	Page		page;

	if (blocks == 0)
		elog(ERROR, "csm_private.attempts has no rows");
	place->buffer = ReadBuffer(rel, place->hash % blocks);
	LockBuffer(place->buffer, BUFFER_LOCK_EXCLUSIVE);
	place->log = GenericXLogStart(rel);
	page = GenericXLogRegisterBuffer(place->log, place->buffer, 0);
	place->counter = find_counter(page, place->tag, now);
	if (place->counter == NULL)
		elog(ERROR, "a page of csm_private.attempts has no rows");
	if (place->counter->tag != place->tag || place->counter->expires_at <= now)
	{
		place->counter->tag = place->tag;
		place->counter->free_at = now;
		place->counter->expires_at = now;
		place->counter->count = 0;
	}
	return rel;
}

static void
close_counter(Relation rel, Place *place, bool changed)
{
	if (changed)
		GenericXLogFinish(place->log);
	else
		GenericXLogAbort(place->log);
	UnlockReleaseBuffer(place->buffer);
	table_close(rel, RowExclusiveLock);
}

/*
 * A rate is a bucket that drains evenly: an attempt adds period / allowed to
 * the time at which it is empty, which may not lie further ahead than period.
 */
static bool
count_rate(Counter *counter, const Limit *limit, TimestampTz now)
{
	TimestampTz empty_at = Max(counter->free_at, now) + limit->period / limit->allowed;

	if (empty_at - now > limit->period)
		return false;
	counter->free_at = counter->expires_at = empty_at;
	return true;
}

/*
 * Back-off: the attempt that uses up what is allowed begins a pause, each
 * further one a pause twice as long.  An attempt in a pause is refused and does
 * not count, or whoever keeps trying would keep the owner out for ever.
 */
static bool
count_backoff(Counter *counter, const Limit *limit, TimestampTz now)
{
	int64		pause = 0;

	if (counter->count > 0 && now < counter->free_at)
		return false;
	if (counter->count < PG_INT32_MAX)
		counter->count++;
	if (counter->count >= limit->allowed)
	{
		pause = limit->period;
		for (int32 n = limit->allowed; n < counter->count && pause < limit->longest; n++)
			pause *= 2;
		pause = Min(pause, limit->longest);
	}
	counter->free_at = now + pause;
	counter->expires_at = counter->free_at + limit->longest;
	return true;
}

static int64
microseconds(const Interval *span, const char *name)
{
	int64		days = (int64) span->month * DAYS_PER_MONTH + span->day;

	if (days < 0 || days > 366 || span->time < 0 || span->time > USECS_PER_DAY * 366 ||
		(days == 0 && span->time == 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of an attempt is out of range", name),
				 errdetail("It must be longer than nothing and at most a year.")));
	return days * USECS_PER_DAY + span->time;
}

/* kind, key, allowed, period, longest; only longest may be null. */
static void
read_arguments(FunctionCallInfo fcinfo, Place *place, Limit *limit)
{
	char	   *kind;

	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("kind, key, allowed and period of an attempt must not be null")));
	}
	PreventCommandDuringRecovery("csm_private.attempt()");
	limit->allowed = PG_GETARG_INT32(2);
	if (limit->allowed < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an attempt must be allowed at least once, not %d times", limit->allowed)));
	limit->period = microseconds(PG_GETARG_INTERVAL_P(3), "period");
	limit->longest = PG_ARGISNULL(4) ? 0 : microseconds(PG_GETARG_INTERVAL_P(4), "longest pause");
	kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	hash_key(place, kind, PG_GETARG_TEXT_PP(1));
}

PG_FUNCTION_INFO_V1(csm_attempt);

/* Counts an attempt; false when it is one too many. */
Datum
csm_attempt(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Place		place;
	Limit		limit;
	Relation	rel;
	bool		allowed;

	read_arguments(fcinfo, &place, &limit);
	rel = open_counter(&place, now);
	allowed = limit.longest == 0 ? count_rate(place.counter, &limit, now)
		: count_backoff(place.counter, &limit, now);
	close_counter(rel, &place, allowed);
	PG_RETURN_BOOL(allowed);
}

PG_FUNCTION_INFO_V1(csm_attempt_forgive);

/* A rate gets one attempt back, a back-off begins anew. */
Datum
csm_attempt_forgive(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Place		place;
	Limit		limit;
	Relation	rel;

	read_arguments(fcinfo, &place, &limit);
	rel = open_counter(&place, now);
	place.counter->free_at = limit.longest == 0
		? Max(now, place.counter->free_at - limit.period / limit.allowed) : now;
	place.counter->expires_at = place.counter->free_at;
	place.counter->count = 0;
	close_counter(rel, &place, true);
	PG_RETURN_VOID();
}
