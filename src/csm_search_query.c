/*
 * csm_search_query.c
 *	  What somebody typed, as a query.
 *
 * The syntax is the server's websearch syntax; no input is an error.  Each
 * language gives a query of its own (stems differ), joined by OR.  The loose
 * form of a query asks for some of its words: for any two of the longest, which
 * say most.  How many rows hold a word is not asked, because the answer would
 * tell of rows that the person does not see.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tsearch/ts_utils.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/pg_crc.h"

#include "csm_fold.h"
#include "csm_words.h"

PG_FUNCTION_INFO_V1(csm_search_query);
PG_FUNCTION_INFO_V1(csm_search_query_in);

/* Characters of a query that are read: nobody types more. */
#define MAX_QUERY		1000

/* Words of a loose query. */
#define MAX_LOOSE		5

/* Words that are marked in a passage. */
#define MAX_MARKED		24

/* Languages that are asked at once. */
#define MAX_LANGUAGES	8

/*
 * A minus that no word follows before the next one says nothing, but nests: the
 * server's parser has room for 32 of them and fails.
 */
static void
drop_idle_minuses(char *text)
{
	char	   *minus = NULL;

	for (char *c = text; *c != '\0'; c++)
	{
		if (*c == '-')
		{
			if (minus != NULL)
				*minus = ' ';
			minus = c;
		}
		else if (IS_HIGHBIT_SET(*c) || isalnum((unsigned char) *c))
			minus = NULL;
	}
}

/* Without the server's notice about stop words: nobody reads it. */
static TSQuery
parse_query(Oid config, const char *text)
{
	int			nest = NewGUCNestLevel();
	TSQuery		query;

	(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	query = DatumGetTSQuery(DirectFunctionCall2(websearch_to_tsquery_byid, ObjectIdGetDatum(config),
												CStringGetTextDatum(text)));
	AtEOXact_GUC(true, nest);
	return query;
}

/* The same query with words that have no accents. */
static TSQuery
fold_query(TSQuery query)
{
	QueryItem  *items = GETQUERY(query);
	char	   *from = GETOPERAND(query);
	char	  **words = palloc0(sizeof(char *) * Max(1, query->size));
	Size		bytes = 0;
	TSQuery		result;
	char	   *to;

	for (int i = 0; i < query->size; i++)
	{
		QueryOperand *word = &items[i].qoperand;

		if (items[i].type != QI_VAL)
			continue;
		words[i] = csm_fold_accents(from + word->distance, (int) word->length);
		if (words[i] == NULL || strlen(words[i]) >= MAXSTRLEN)
			words[i] = pnstrdup(from + word->distance, word->length);
		bytes += strlen(words[i]) + 1;
	}
	result = palloc0(HDRSIZETQ + query->size * sizeof(QueryItem) + bytes);
	SET_VARSIZE(result, HDRSIZETQ + query->size * sizeof(QueryItem) + bytes);
	result->size = query->size;
	memcpy(GETQUERY(result), items, query->size * sizeof(QueryItem));
	to = GETOPERAND(result);
	for (int i = 0; i < query->size; i++)
	{
		QueryOperand *word = &GETQUERY(result)[i].qoperand;
		pg_crc32	crc;

		if (words[i] == NULL)
			continue;
		word->length = strlen(words[i]);
		word->distance = to - GETOPERAND(result);
		memcpy(to, words[i], word->length + 1);
		INIT_LEGACY_CRC32(crc);
		COMP_LEGACY_CRC32(crc, words[i], word->length);
		FIN_LEGACY_CRC32(crc);
		word->valcrc = (int32) crc;
		to += word->length + 1;
	}
	return result;
}

static bool
same_query(TSQuery a, TSQuery b)
{
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static TSQuery
empty_query(void)
{
	TSQuery		query = palloc0(HDRSIZETQ);

	SET_VARSIZE(query, HDRSIZETQ);
	return query;
}

/* The query of one language; NULL where there is no text search configuration at all. */
static TSQuery
query_in(const char *words, const char *language)
{
	Oid			config = csm_words_config(language);
	int			length = pg_mbcharcliplen(words, (int) strlen(words), MAX_QUERY);
	char	   *typed = pnstrdup(words, length);
	char	   *folded;
	TSQuery		query;
	TSQuery		plain;

	if (!OidIsValid(config))
		return NULL;
	drop_idle_minuses(typed);
	folded = csm_fold_accents(typed, length);
	query = fold_query(parse_query(config, typed));
	if (folded == NULL)
		return query;
	plain = parse_query(config, folded);
	if (same_query(plain, query))
		return query;
	return DatumGetTSQuery(DirectFunctionCall2(tsquery_or, TSQueryGetDatum(query), TSQueryGetDatum(plain)));
}

/* csm.search_query(query, language) */
Datum
csm_search_query(PG_FUNCTION_ARGS)
{
	TSQuery		query = query_in(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (query == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TSQUERY(query);
}

/* --- words of a query, one by one --- */

/* Words that are asked for, the longest first, each once. */
static int
longest_words(TSQuery query, const QueryItem *item, const QueryOperand **words, int n, int most)
{
	check_stack_depth();
	if (item->type == QI_VAL)
	{
		const QueryOperand *word = &item->qoperand;
		const char *operands = GETOPERAND(query);
		int			at = n;

		for (int i = 0; i < n; i++)
		{
			if (words[i]->length == word->length &&
				memcmp(operands + words[i]->distance, operands + word->distance, word->length) == 0)
				return n;
		}
		while (at > 0 && words[at - 1]->length < word->length)
			at--;
		if (at == most)
			return n;
		n = Min(n + 1, most);
		memmove(words + at + 1, words + at, sizeof(QueryOperand *) * (n - at - 1));
		words[at] = word;
		return n;
	}
	if (item->qoperator.oper == OP_NOT)
		return n;
	n = longest_words(query, item + item->qoperator.left, words, n, most);
	return longest_words(query, item + 1, words, n, most);
}

/* A query for one word. */
static Datum
word_query(TSQuery query, const QueryOperand *word)
{
	Size		size = HDRSIZETQ + sizeof(QueryItem) + word->length + 1;
	TSQuery		result = palloc0(size);

	SET_VARSIZE(result, size);
	result->size = 1;
	GETQUERY(result)->qoperand = *word;
	GETQUERY(result)->qoperand.distance = 0;
	memcpy(GETOPERAND(result), GETOPERAND(query) + word->distance, word->length);
	return TSQueryGetDatum(result);
}

/* Any two of the longest words; one of them where there are two; empty where there is one. */
static TSQuery
loose_query(TSQuery query)
{
	const QueryOperand *words[MAX_LOOSE];
	int			n = query->size == 0 ? 0 : longest_words(query, GETQUERY(query), words, 0, MAX_LOOSE);
	Datum		result = TSQueryGetDatum(empty_query());

	for (int i = 0; i < n - 1; i++)
	{
		for (int j = i + 1; j < n; j++)
			result = DirectFunctionCall2(tsquery_or, result,
										 DirectFunctionCall2(n == 2 ? tsquery_or : tsquery_and,
															 word_query(query, words[i]), word_query(query, words[j])));
	}
	return DatumGetTSQuery(result);
}

/* A query for one word that is known by its letters. */
static Datum
plain_word_query(const char *word)
{
	QueryOperand item = {.type = QI_VAL, .length = strlen(word)};
	TSQuery		query = palloc0(HDRSIZETQ + sizeof(QueryItem) + item.length + 1);
	pg_crc32	crc;

	INIT_LEGACY_CRC32(crc);
	COMP_LEGACY_CRC32(crc, word, item.length);
	FIN_LEGACY_CRC32(crc);
	item.valcrc = (int32) crc;
	SET_VARSIZE(query, HDRSIZETQ + sizeof(QueryItem) + item.length + 1);
	query->size = 1;
	GETQUERY(query)->qoperand = item;
	memcpy(GETOPERAND(query), word, item.length);
	return TSQueryGetDatum(query);
}

TSQuery
csm_words_any(const char *words, Oid config, const char *document, int length)
{
	const QueryOperand *longest[MAX_MARKED];
	char	   *asked[2 * MAX_MARKED];
	char	   *alike[MAX_MARKED];
	char	   *typed = pnstrdup(words, pg_mbcharcliplen(words, (int) strlen(words), MAX_QUERY));
	char	   *folded = csm_fold_accents(typed, (int) strlen(typed));
	Datum		result = TSQueryGetDatum(empty_query());
	int			n = 0;
	int			more;

	drop_idle_minuses(typed);
	for (int plain = 0; plain < (folded == NULL ? 1 : 2); plain++)
	{
		TSQuery		query = parse_query(config, plain ? folded : typed);
		int			found = query->size == 0 ? 0 : longest_words(query, GETQUERY(query), longest, 0, MAX_MARKED);

		for (int i = 0; i < found; i++)
		{
			asked[n++] = pnstrdup(GETOPERAND(query) + longest[i]->distance, longest[i]->length);
			result = DirectFunctionCall2(tsquery_or, result, word_query(query, longest[i]));
		}
	}
	more = csm_words_alike(config, document, length, asked, n, alike, MAX_MARKED);
	for (int i = 0; i < more; i++)
		result = DirectFunctionCall2(tsquery_or, result, plain_word_query(alike[i]));
	return DatumGetTSQuery(result);
}

/* csm_private.search_query_in(query, languages, loose) */
Datum
csm_search_query_in(PG_FUNCTION_ARGS)
{
	char	   *words = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		loose = PG_GETARG_BOOL(2);
	TSQuery		asked[MAX_LANGUAGES];
	int			n = 0;
	Datum		result = TSQueryGetDatum(empty_query());
	Datum	   *languages;
	bool	   *nulls;
	int			count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &languages, &nulls, &count);
	for (int i = 0; i < count && n < MAX_LANGUAGES; i++)
	{
		TSQuery		query = nulls[i] ? NULL : query_in(words, TextDatumGetCString(languages[i]));
		bool		known = query == NULL;

		for (int j = 0; j < n && !known; j++)
			known = same_query(asked[j], query);
		if (known)
			continue;
		asked[n++] = query;
		result = DirectFunctionCall2(tsquery_or, result, TSQueryGetDatum(loose ? loose_query(query) : query));
	}
	PG_RETURN_DATUM(result);
}
