/*
 * csm_slice.c
 *	  Slices of time beside the words of a text index.
 *
 * A GIN index finds every row that holds a word before one is shown.  With the
 * week of a row as a further key of the index, a search for the newest rows
 * asks week by week, and the index skips what lies outside of them:
 *
 *		CREATE INDEX ON t USING gin (search, (ARRAY[csm.time_slice(made_at)]));
 *		... WHERE csm.matches(search, q)
 *			  AND csm.in_slices(ARRAY[csm.time_slice(made_at)], 1290, 1293)
 *
 * csm_text_support.c makes the index condition.  in_slices() is LEAKPROOF: it
 * compares integers, whatever the array is like.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "csm_text.h"

PG_FUNCTION_INFO_V1(csm_time_slice);
PG_FUNCTION_INFO_V1(csm_time_slices);
PG_FUNCTION_INFO_V1(csm_slice_start);
PG_FUNCTION_INFO_V1(csm_in_slices);
PG_FUNCTION_INFO_V1(csm_next_slices);

#define SLICE			(7 * USECS_PER_DAY)

/* Slices of the infinite times, beyond those of all others. */
#define LAST_SLICE		((int64) PG_INT32_MAX)
#define FIRST_SLICE		((int64) PG_INT32_MIN)

/* A slice that holds all that is public. */
#define ALL_PUBLIC		((int64) 1 << 33)

/* A window of more slices than this is not asked for by slices. */
#define WIDEST			120

int64
csm_slice_of(TimestampTz at)
{
	if (TIMESTAMP_IS_NOBEGIN(at))
		return FIRST_SLICE;
	if (TIMESTAMP_IS_NOEND(at))
		return LAST_SLICE;
	return at / SLICE - (at % SLICE < 0 ? 1 : 0);
}

TimestampTz
csm_start_of_slice(int64 slice)
{
	if (slice <= MIN_TIMESTAMP / SLICE)
		return DT_NOBEGIN;
	if (slice > END_TIMESTAMP / SLICE)
		return DT_NOEND;
	return slice * SLICE;
}

/* csm.time_slice(at) */
Datum
csm_time_slice(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(csm_slice_of(PG_GETARG_TIMESTAMPTZ(0)));
}

/* csm.time_slices(at, public) */
Datum
csm_time_slices(PG_FUNCTION_ARGS)
{
	Datum		slices[3];

	slices[0] = csm_time_slice(fcinfo);
	slices[1] = Int64GetDatum(DatumGetInt64(slices[0]) + CSM_PUBLIC_SLICES);
	slices[2] = Int64GetDatum(ALL_PUBLIC);
	PG_RETURN_ARRAYTYPE_P(construct_array(slices, PG_GETARG_BOOL(1) ? 3 : 1, INT8OID,
										  sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* csm.slice_start(slice) */
Datum
csm_slice_start(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(csm_start_of_slice(PG_GETARG_INT64(0)));
}

/* csm.in_slices(slices, first, last) */
Datum
csm_in_slices(PG_FUNCTION_ARGS)
{
	ArrayType  *slices = PG_GETARG_ARRAYTYPE_P(0);
	int64		first = PG_GETARG_INT64(1);
	int64		last = PG_GETARG_INT64(2);
	ArrayIterator all = array_create_iterator(slices, 0, NULL);
	Datum		slice;
	bool		isnull;

	while (array_iterate(all, &slice, &isnull))
	{
		if (!isnull && DatumGetInt64(slice) >= first && DatumGetInt64(slice) <= last)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/*
 * csm.next_slices(found, wanted, seen): what is still wanted at the density of
 * what was found, and a tenth more; half as much as was seen at least, so that
 * a few looks are enough where it gets less dense.
 */
Datum
csm_next_slices(PG_FUNCTION_ARGS)
{
	int64		found = PG_GETARG_INT64(0);
	int64		wanted = PG_GETARG_INT64(1);
	int64		seen = PG_GETARG_INT64(2);
	double		width;

	if (found <= 0 || wanted <= found || seen <= 0)
		PG_RETURN_NULL();
	width = ceil(Max(0.5 * (double) seen, 1.1 * (double) seen * (double) (wanted - found) / (double) found));
	if (width > WIDEST)
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) width);
}
