/*
 * csm_text.c
 *	  Search that may run below a row-security policy: csm.matches() and
 *	  csm.contains().  What the planner makes of them: csm_text_support.c.
 *
 * Both functions are declared LEAKPROOF, so the planner may evaluate them, and
 * scan an index for them, before the policies have decided which rows the
 * person may see.  The promise is that nothing but their result depends on the
 * content of a row: no error, no message, no side effect.
 *
 * matches() is the server's own @@.  Its errors are about the query alone:
 * depth of the recursion, an operator it does not know.  What it allocates for
 * a row is bounded by the size of a tsvector (1 MB).
 *
 * contains() looks for one string in another after folding case.  There is no
 * pattern language that a row could break.  Text in a table is valid in the
 * encoding of the database, so folding it cannot meet a character that it does
 * not know; what the platform would refuse for its size is cut before
 * (MAX_HAYSTACK).  An index is asked with an ILIKE pattern, but compares
 * trigrams only; what it finds is rechecked by contains() itself.
 *
 * Neither argues about time: a row that takes longer to search takes longer.
 */
#include "postgres.h"

#include <string.h>

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_locale.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"

#include "csm_compat.h"
#include "csm_text.h"

PG_FUNCTION_INFO_V1(csm_matches);
PG_FUNCTION_INFO_V1(csm_contains);
PG_FUNCTION_INFO_V1(csm_like_pattern);

/*
 * Bytes of a haystack that contains() looks at.  Folding needs four bytes a
 * character and must not meet the limit of an allocation, which would be an
 * error that depends on the row.
 */
#define MAX_HAYSTACK			(64 * 1024 * 1024)

/* Up to this size the buffer for folding is kept from row to row. */
#define KEPT_BUFFER				(256 * 1024)

/* What contains() remembers from row to row. */
typedef struct ContainsState
{
	char	   *needle;			/* as given, to notice another one */
	int			needle_len;
	char	   *folded;
	int			folded_len;
	bool		folded_is_ascii;
	char	   *buffer;
	int			buffer_size;
} ContainsState;

Datum
csm_matches(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall2(ts_match_vq, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
}

/*
 * Does the database fold the 26 letters as English does?  Turkish and
 * Azerbaijani do not.  The locale of a database never changes.
 */
static bool
ascii_folds_plainly(void)
{
	static int	known = -1;

	if (known < 0)
	{
		char	   *folded = str_tolower("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26, DEFAULT_COLLATION_OID);

		known = strcmp(folded, "abcdefghijklmnopqrstuvwxyz") == 0;
		pfree(folded);
	}
	return known == 1;
}

/*
 * Fold ASCII text into "to"; false when a byte is not ASCII, or the database
 * has its own way with ASCII, and then "to" is of no use.  No branch in the
 * loop, so that the compiler vectorises it.
 */
bool
csm_fold_ascii(char *to, const char *from, int len)
{
	unsigned char seen = ascii_folds_plainly() ? 0 : 0x80;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) from[i];

		seen |= c;
		to[i] = (char) (c + (((unsigned char) (c - 'A') < 26) << 5));
	}
	return (seen & 0x80) == 0;
}

/* Is this a character of which pg_trgm makes trigrams?  Of ASCII every locale thinks the same. */
bool
csm_is_word_character(const char *c)
{
	if (!IS_HIGHBIT_SET(*c))
		return (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
#if PG_VERSION_NUM >= 180000
	return t_isalnum(c);
#else
	return t_isalpha(c) || t_isdigit(c);
#endif
}

/*
 * Byte search.  In UTF-8 and in one-byte encodings a hit is a hit; in the
 * others it may begin in the middle of a character and is looked at again.
 */
static bool
find_bytes(const char *haystack, int haystack_len, const char *needle, int needle_len)
{
	int			encoding = GetDatabaseEncoding();
	const char *end = haystack + haystack_len;
	const char *character = haystack;
	const char *hit = haystack;

	while ((hit = memmem(hit, end - hit, needle, needle_len)) != NULL)
	{
		if (encoding == PG_UTF8 || pg_database_encoding_max_length() == 1)
			return true;
		while (character < hit)
			character += pg_encoding_mblen(encoding, character);
		if (character == hit)
			return true;
		hit++;
	}
	return false;
}

/* The state for this needle. */
static ContainsState *
contains_state(FmgrInfo *flinfo, const char *needle, int needle_len)
{
	ContainsState *state = flinfo->fn_extra;
	MemoryContext old;

	if (state != NULL && state->needle_len == needle_len &&
		memcmp(state->needle, needle, needle_len) == 0)
		return state;

	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	if (state == NULL)
		state = palloc0(sizeof(ContainsState));
	else
	{
		/* Until it is complete it must match no needle. */
		flinfo->fn_extra = NULL;
		pfree(state->needle);
		pfree(state->folded);
	}
	state->needle = pnstrdup(needle, needle_len);
	state->needle_len = needle_len;
	state->folded = str_tolower(needle, needle_len, DEFAULT_COLLATION_OID);
	state->folded_len = (int) strlen(state->folded);
	state->folded_is_ascii = true;
	for (int i = 0; i < state->folded_len; i++)
		if (IS_HIGHBIT_SET(state->folded[i]))
			state->folded_is_ascii = false;
	flinfo->fn_extra = state;
	MemoryContextSwitchTo(old);
	return state;
}

/*
 * Is the needle somewhere in the haystack, regardless of case?  Case is folded
 * as the database's own collation does, whatever the arguments' collation:
 * pg_trgm knows only that one, and the answer must not depend on the plan.
 */
Datum
csm_contains(PG_FUNCTION_ARGS)
{
	text	   *haystack = PG_GETARG_TEXT_PP(0);
	text	   *needle = PG_GETARG_TEXT_PP(1);
	const char *data = VARDATA_ANY(haystack);
	int			len = VARSIZE_ANY_EXHDR(haystack);
	ContainsState *state = contains_state(fcinfo->flinfo, VARDATA_ANY(needle),
										  VARSIZE_ANY_EXHDR(needle));
	char	   *folded;
	bool		found;

	if (state->folded_len == 0)
		PG_RETURN_BOOL(true);
	if (len > MAX_HAYSTACK)
		len = pg_mbcliplen(data, len, MAX_HAYSTACK);

	/* Most text is ASCII, and folding that is cheap. */
	if (state->buffer_size < len)
	{
		int			size = Max(1024, len);

		if (state->buffer != NULL)
			pfree(state->buffer);
		state->buffer = NULL;
		state->buffer_size = 0;
		state->buffer = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, size);
		state->buffer_size = size;
	}
	if (csm_fold_ascii(state->buffer, data, len))
	{
		found = state->folded_is_ascii &&
			memmem(state->buffer, len, state->folded, state->folded_len) != NULL;
		goto done;
	}

	folded = str_tolower(data, len, DEFAULT_COLLATION_OID);
	found = find_bytes(folded, (int) strlen(folded), state->folded, state->folded_len);
	pfree(folded);

done:
	if (state->buffer_size > KEPT_BUFFER)
	{
		pfree(state->buffer);
		state->buffer = NULL;
		state->buffer_size = 0;
	}
	PG_FREE_IF_COPY(haystack, 0);
	PG_RETURN_BOOL(found);
}

/* %needle%, with what LIKE would read as its own escaped. */
Datum
csm_like_pattern(PG_FUNCTION_ARGS)
{
	text	   *needle = PG_GETARG_TEXT_PP(0);
	const char *from = VARDATA_ANY(needle);
	const char *end = from + VARSIZE_ANY_EXHDR(needle);
	text	   *pattern = palloc(VARHDRSZ + 2 + 2 * (Size) (end - from));
	char	   *to = VARDATA(pattern);

	*to++ = '%';
	while (from < end)
	{
		int			len = Min(pg_encoding_mblen(GetDatabaseEncoding(), from), (int) (end - from));

		if (*from == '%' || *from == '_' || *from == '\\')
			*to++ = '\\';
		memcpy(to, from, len);
		to += len;
		from += len;
	}
	*to++ = '%';
	SET_VARSIZE(pattern, to - (char *) pattern);
	PG_RETURN_TEXT_P(pattern);
}
