/*
 * csm_search_score.c
 *	  How well a row answers a query, from the row and the query alone.
 *
 * Rankings that weigh a word by how many rows hold it (tf-idf, BM25) change
 * with rows that the person does not see, and so tell of them.  Here a word
 * weighs by its length, which stands in for how much it says.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tsearch/ts_utils.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(csm_search_score);

/* Letters from which on a word is not taken to say more. */
#define LONG_WORD		10

/* What a place is worth, by weight D, C, B, A: a title says more than a text. */
static const float places[] = {0.5, 0.6, 0.7, 1.0};

/* Share of the score that comes from words standing close to one another. */
#define NEARNESS		0.2

/* ts_rank_cd(): divided by 1 + log(length), then mapped to 0 .. 1. */
#define CD_NORMALIZATION	(1 | 32)

typedef struct Found
{
	double		got;
	double		wanted;
} Found;

/* The best place in which a word, or one that begins with it, stands; 0 for none. */
static double
best_place(TSVector document, const char *word, int length, bool prefix)
{
	WordEntry  *entries = ARRPTR(document);
	char	   *words = STRPTR(document);
	int			low = 0;
	int			high = document->size;
	double		best = 0;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (tsCompareString(words + entries[middle].pos, entries[middle].len,
							unconstify(char *, word), length, false) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < document->size; low++)
	{
		WordEntry  *entry = &entries[low];

		if (prefix ? entry->len < length || memcmp(words + entry->pos, word, length) != 0
			: entry->len != length || memcmp(words + entry->pos, word, length) != 0)
			break;
		best = Max(best, places[0]);
		for (int i = 0; i < (entry->haspos ? POSDATALEN(document, entry) : 0); i++)
			best = Max(best, places[WEP_GETWEIGHT(POSDATAPTR(document, entry)[i])]);
		if (!prefix)
			break;
	}
	return best;
}

/* What of the query the document has; of alternatives the best. */
static Found
coverage(TSVector document, const QueryItem *item, const char *operands)
{
	Found		left;
	Found		right;

	check_stack_depth();
	if (item->type == QI_VAL)
	{
		const QueryOperand *word = &item->qoperand;

		right.wanted = Min(word->length, LONG_WORD);
		right.got = right.wanted * best_place(document, operands + word->distance, (int) word->length, word->prefix);
		return right;
	}
	if (item->qoperator.oper == OP_NOT)
		return (Found) {0, 0};
	right = coverage(document, item + 1, operands);
	left = coverage(document, item + item->qoperator.left, operands);
	if (item->qoperator.oper != OP_OR)
		return (Found) {left.got + right.got, left.wanted + right.wanted};
	return left.got * right.wanted >= right.got * left.wanted ? left : right;
}

/* csm.search_score(document, query): 0 .. 1 */
Datum
csm_search_score(PG_FUNCTION_ARGS)
{
	TSVector	document = PG_GETARG_TSVECTOR(0);
	TSQuery		query = PG_GETARG_TSQUERY(1);
	Found		found;
	float4		near;

	if (query->size == 0)
		PG_RETURN_FLOAT4(0);
	found = coverage(document, GETQUERY(query), GETOPERAND(query));
	if (found.wanted == 0)
		PG_RETURN_FLOAT4(0);
	near = DatumGetFloat4(DirectFunctionCall3(ts_rankcd_ttf, TSVectorGetDatum(document), TSQueryGetDatum(query),
											  Int32GetDatum(CD_NORMALIZATION)));
	PG_RETURN_FLOAT4((float4) ((1 - NEARNESS) * found.got / found.wanted + NEARNESS * near));
}
