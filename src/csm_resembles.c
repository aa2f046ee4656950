/*
 * csm_resembles.c
 *	  Names in spite of typing errors, where row-level security holds.
 *
 * A needle resembles a haystack that holds at least half of its trigrams.
 * Trigrams are those of pg_trgm: words in lower case, two blanks before and one
 * after.  Its operators are not leakproof, and their limit is a setting of the
 * session; this function is LEAKPROOF and has one limit: nothing but its result
 * depends on a row.  Text in a table is valid in the encoding of the database,
 * so there is no error to make of it, and no more than MAX_HAYSTACK of it is
 * looked at.
 *
 * haystack %> needle finds a superset in a pg_trgm index, as long as its limit
 * (pg_trgm.word_similarity_threshold) is no higher than ours: the index
 * compares the same share.  The condition is therefore lossy, and offered only
 * where that holds.  csm.search() sets the limit for its own statements.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "csm_plan.h"
#include "csm_text.h"

PG_FUNCTION_INFO_V1(csm_resembles);
PG_FUNCTION_INFO_V1(csm_resemblance);
PG_FUNCTION_INFO_V1(csm_resembles_support);

/* Share of the needle's trigrams that a haystack must hold. */
#define LIMIT			0.5

/* Bytes that are looked at: names and titles are shorter. */
#define MAX_HAYSTACK	4000
#define MAX_NEEDLE		400

/* gin_trgm_ops, gist_trgm_ops: text %> text */
#define TRGM_WORD_SIMILARITY_STRATEGY	7

/* What share of the rows is thought to resemble a needle. */
#define GUESS			0.001

/* Where the policies admit a smaller share of the rows, theirs are the indexes to use. */
#define FEW_ROWS		0.01

typedef uint64 Trigram;

typedef struct Trigrams
{
	int			n;
	Trigram    *list;
} Trigrams;

/* The needle, from row to row. */
typedef struct Needle
{
	int			length;
	char	   *text;
	Trigrams	trigrams;
} Needle;

#define ST_SORT sort_trigrams
#define ST_ELEMENT_TYPE Trigram
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* 21 bits for a character: its code point in UTF8. */
static Trigram
character(const char *c)
{
	uint32		value = 0;

	if (!IS_HIGHBIT_SET(*c))
		return (unsigned char) *c;
	if (GetDatabaseEncoding() == PG_UTF8)
		return utf8_to_unicode((const unsigned char *) c);
	for (int i = 0; i < pg_mblen(c); i++)
		value = value << 8 | (unsigned char) c[i];
	return value & 0x1fffff;
}

/* Sorted, each once. */
static Trigrams
trigrams_of(const char *from, int length)
{
	char	   *lower = palloc(length + 1);
	Trigrams	result;
	Trigram		last = 0;
	Trigram		before = 0;
	int			n = 0;
	bool		in_word = false;

	if (csm_fold_ascii(lower, from, length))
		lower[length] = '\0';
	else
	{
		pfree(lower);
		lower = str_tolower(from, length, DEFAULT_COLLATION_OID);
	}
	/* A word of k characters has k + 1 of them. */
	result.list = palloc(sizeof(Trigram) * (2 * strlen(lower) + 2));
	for (const char *c = lower;; c += IS_HIGHBIT_SET(*c) ? pg_mblen(c) : 1)
	{
		bool		is_word = *c != '\0' && csm_is_word_character(c);

		if (is_word && !in_word)
			before = last = ' ';
		if (is_word || in_word)
		{
			Trigram		next = is_word ? character(c) : ' ';

			result.list[n++] = before << 42 | last << 21 | next;
			before = last;
			last = next;
		}
		in_word = is_word;
		if (*c == '\0')
			break;
	}
	pfree(lower);
	sort_trigrams(result.list, n);
	result.n = 0;
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || result.list[i] != result.list[i - 1])
			result.list[result.n++] = result.list[i];
	}
	return result;
}

/* How many the two have in common. */
static int
in_both(const Trigrams *a, const Trigrams *b)
{
	int			i = 0;
	int			j = 0;
	int			both = 0;

	while (i < a->n && j < b->n)
	{
		if (a->list[i] == b->list[j])
		{
			both++;
			i++;
			j++;
		}
		else if (a->list[i] < b->list[j])
			i++;
		else
			j++;
	}
	return both;
}

static Trigrams
trigrams_of_text(text *value, int limit)
{
	const char *from = VARDATA_ANY(value);

	return trigrams_of(from, pg_mbcliplen(from, (int) VARSIZE_ANY_EXHDR(value), limit));
}

/* The trigrams of the needle, which is the same from row to row. */
static Trigrams *
needle_of(FmgrInfo *flinfo, text *value)
{
	Needle	   *needle = flinfo->fn_extra;
	MemoryContext old;

	if (needle != NULL && needle->length == (int) VARSIZE_ANY_EXHDR(value) &&
		memcmp(needle->text, VARDATA_ANY(value), needle->length) == 0)
		return &needle->trigrams;
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	needle = palloc(sizeof(Needle));
	needle->length = (int) VARSIZE_ANY_EXHDR(value);
	needle->text = pnstrdup(VARDATA_ANY(value), needle->length);
	needle->trigrams = trigrams_of_text(value, MAX_NEEDLE);
	MemoryContextSwitchTo(old);
	flinfo->fn_extra = needle;
	return &needle->trigrams;
}

/* csm.resembles(haystack, needle) */
Datum
csm_resembles(PG_FUNCTION_ARGS)
{
	Trigrams   *needle = needle_of(fcinfo->flinfo, PG_GETARG_TEXT_PP(1));
	Trigrams	haystack;
	bool		result;

	if (needle->n == 0)
		PG_RETURN_BOOL(false);
	haystack = trigrams_of_text(PG_GETARG_TEXT_PP(0), MAX_HAYSTACK);
	result = in_both(needle, &haystack) >= LIMIT * needle->n;
	pfree(haystack.list);
	PG_RETURN_BOOL(result);
}

/* csm.resemblance(haystack, needle): 0 .. 1, 1 where both have the same trigrams */
Datum
csm_resemblance(PG_FUNCTION_ARGS)
{
	Trigrams   *needle = needle_of(fcinfo->flinfo, PG_GETARG_TEXT_PP(1));
	Trigrams	haystack = trigrams_of_text(PG_GETARG_TEXT_PP(0), MAX_HAYSTACK);
	double		both = in_both(needle, &haystack);

	if (both == 0)
		PG_RETURN_FLOAT4(0);
	/* What was typed counts for more than what else is there. */
	PG_RETURN_FLOAT4((float4) (0.75 * both / needle->n + 0.25 * both / haystack.n));
}

/* --- planning --- */

/* Does the index compare with a limit no higher than ours, now? */
static bool
index_finds_all(void)
{
	const char *limit = GetConfigOption("pg_trgm.word_similarity_threshold", true, false);

	return limit != NULL && atof(limit) <= LIMIT;
}

static List *
index_condition(SupportRequestIndexCondition *req, List *args)
{
	Node	   *needle = lsecond(args);
	Const	   *value;
	Oid			operator;
	char	   *name;

	if (req->indexarg != 0 || !is_pseudo_constant_for_index(req->root, needle, req->index))
		return NIL;
	operator = get_opfamily_member(req->opfamily, TEXTOID, TEXTOID, TRGM_WORD_SIMILARITY_STRATEGY);
	name = OidIsValid(operator) ? get_opname(operator) : NULL;
	if (name == NULL || strcmp(name, "%>") != 0)
		return NIL;
	value = csm_expected_value(req->root, needle);
	if (value == NULL || !csm_trgm_folds_as_we_do() || !index_finds_all() ||
		csm_policy_share(req->root, req->index->rel) < FEW_ROWS)
		return NIL;
	req->lossy = true;
	return list_make1(make_opclause(operator, BOOLOID, false, linitial(args), (Expr *) needle,
									InvalidOid, DEFAULT_COLLATION_OID));
}

Datum
csm_resembles_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	if (IsA(request, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *req = (SupportRequestIndexCondition *) request;

		if (is_funcclause(req->node) && list_length(((FuncExpr *) req->node)->args) == 2)
			answer = (Node *) index_condition(req, ((FuncExpr *) req->node)->args);
	}
	else if (IsA(request, SupportRequestSelectivity) && !((SupportRequestSelectivity *) request)->is_join)
	{
		((SupportRequestSelectivity *) request)->selectivity = GUESS;
		answer = request;
	}
	PG_RETURN_POINTER(answer);
}
