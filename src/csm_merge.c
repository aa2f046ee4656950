/*
 * csm_merge.c
 *	  Two persons are being made one: csm_private.merge_users() announces it,
 *	  then re-points every row that refers to the one.
 *
 * Meanwhile triggers that derive or judge step aside, as they do while a dump is
 * loaded: nothing happened to these rows but that a person has another id.  The
 * journal of a case alone goes on: a case whose people change gets a link.
 *
 * Rows that are never changed may have the id of the removed person replaced,
 * and lose an idempotency key that the other person used as well.  History keeps
 * the id as it was, because links are hashed with it; csm.user_merges says whose
 * it became.
 *
 * The announcement is memory of the backend.  It ends with end_merge(), with the
 * (sub)transaction at the latest.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/datum.h"

#include "csm_merge.h"

static struct
{
	int64		removed;		/* 0: nothing is merged */
	int64		kept;
}			merge = {0};

static void
forget_at_end(XactEvent event, void *arg)
{
	merge.removed = 0;
}

static void
forget_at_abort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		merge.removed = 0;
}

bool
csm_is_merging(void)
{
	return merge.removed != 0;
}

static bool
is_repointed(const FormData_pg_attribute *att, Datum before, bool was_null, Datum after, bool is_null)
{
	if (att->atttypid == INT8OID)
		return !was_null && !is_null &&
			DatumGetInt64(before) == merge.removed && DatumGetInt64(after) == merge.kept;
	return is_null && strcmp(NameStr(att->attname), "idempotency_key") == 0;
}

bool
csm_merge_repoints(HeapTuple before, HeapTuple after, TupleDesc desc)
{
	if (merge.removed == 0)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		was_null;
		bool		is_null;
		Datum		was = heap_getattr(before, i + 1, desc, &was_null);
		Datum		is = heap_getattr(after, i + 1, desc, &is_null);

		if (att->attisdropped ||
			(was_null == is_null && (was_null || datum_image_eq(was, is, att->attbyval, att->attlen))))
			continue;
		if (!is_repointed(att, was, was_null, is, is_null))
			return false;
	}
	return true;
}

PG_FUNCTION_INFO_V1(csm_begin_merge);

/* csm_private.begin_merge(removed, kept) */
Datum
csm_begin_merge(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(forget_at_end, NULL);
		RegisterSubXactCallback(forget_at_abort, NULL);
		registered = true;
	}
	merge.removed = PG_GETARG_INT64(0);
	merge.kept = PG_GETARG_INT64(1);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_end_merge);

Datum
csm_end_merge(PG_FUNCTION_ARGS)
{
	merge.removed = 0;
	PG_RETURN_VOID();
}
