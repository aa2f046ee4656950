/*
 * csm_words.c
 *	  The words of a text: the one way in which search columns are filled.
 *
 * A language is the name of a text search configuration (english,
 * schema.name) or a language tag (de, pt-BR); what is unknown counts as simple.
 *
 * Accents.  A document holds each word twice where an accent makes a
 * difference: its stem without accents, and the stem of the word without
 * accents.  So a word is found by whoever types it with its accents (stems and
 * stop words of the language hold) and by whoever does not.  csm_search_query.c
 * makes a query of both readings in the same way.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_ts_config.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "csm_fold.h"
#include "csm_words.h"

PG_FUNCTION_INFO_V1(csm_search_vector);

/*
 * Characters of a text that are indexed.  The longest text of a case is as
 * long; a longer one must not fail here for being too long to be indexed.
 */
#define MAX_TEXT		100000

/* ISO 639-1 to the server's own configurations. */
static const struct
{
	const char *tag;
	const char *config;
}			tags[] = {
	{"ar", "arabic"}, {"ca", "catalan"}, {"da", "danish"}, {"de", "german"},
	{"el", "greek"}, {"en", "english"}, {"es", "spanish"}, {"eu", "basque"},
	{"fi", "finnish"}, {"fr", "french"}, {"ga", "irish"}, {"hi", "hindi"},
	{"hu", "hungarian"}, {"hy", "armenian"}, {"id", "indonesian"}, {"it", "italian"},
	{"lt", "lithuanian"}, {"nb", "norwegian"}, {"ne", "nepali"}, {"nl", "dutch"},
	{"nn", "norwegian"}, {"no", "norwegian"}, {"pt", "portuguese"}, {"ro", "romanian"},
	{"ru", "russian"}, {"sr", "serbian"}, {"sv", "swedish"}, {"ta", "tamil"},
	{"tr", "turkish"}, {"yi", "yiddish"},
};

static Oid
config_named(const char *name, Oid schema)
{
	if (!OidIsValid(schema) || strlen(name) >= NAMEDATALEN)
		return InvalidOid;
	return GetSysCacheOid2(TSCONFIGNAMENSP, Anum_pg_ts_config_oid,
						   CStringGetDatum(name), ObjectIdGetDatum(schema));
}

/* "de", "de-AT", "DE_at": the language that the tag begins with. */
static const char *
config_of_tag(const char *tag)
{
	if (strlen(tag) < 2 || (tag[2] != '\0' && tag[2] != '-' && tag[2] != '_'))
		return NULL;
	for (int i = 0; i < (int) lengthof(tags); i++)
	{
		if (pg_strncasecmp(tags[i].tag, tag, 2) == 0)
			return tags[i].config;
	}
	return NULL;
}

/* Never by the search_path. */
Oid
csm_words_config(const char *language)
{
	const char *dot = language ? strchr(language, '.') : NULL;
	Oid			config = InvalidOid;

	if (dot != NULL)
		config = config_named(dot + 1, get_namespace_oid(pnstrdup(language, dot - language), true));
	else if (language != NULL)
	{
		const char *known = config_of_tag(language);

		config = config_named(known ? known : language, PG_CATALOG_NAMESPACE);
	}
	return OidIsValid(config) ? config : config_named("simple", PG_CATALOG_NAMESPACE);
}

static void
parse(Oid config, const char *text, int length, ParsedText *words)
{
	words->lenwords = Max(2, length / 6);
	words->curwords = 0;
	words->pos = 0;
	words->words = palloc(sizeof(ParsedWord) * words->lenwords);
	parsetext(config, words, unconstify(char *, text), length);
}

/* The stem of a word without its accents, in its place. */
static void
fold_word(ParsedWord *word)
{
	char	   *folded = csm_fold_accents(word->word, word->len);

	if (folded == NULL || strlen(folded) >= MAXSTRLEN)
		return;
	word->word = folded;
	word->len = (uint16) strlen(folded);
}

Datum
csm_words_of(Oid config, const char *text, char weight)
{
	int			length = pg_mbcharcliplen(text, (int) strlen(text), MAX_TEXT);
	char	   *folded = csm_fold_accents(text, length);
	ParsedText	words;

	parse(config, text, length, &words);
	if (folded != NULL)
	{
		ParsedText	plain;

		for (int i = 0; i < words.curwords; i++)
			fold_word(&words.words[i]);
		parse(config, folded, (int) strlen(folded), &plain);
		words.words = repalloc(words.words, sizeof(ParsedWord) * Max(1, words.curwords + plain.curwords));
		memcpy(words.words + words.curwords, plain.words, sizeof(ParsedWord) * plain.curwords);
		words.curwords += plain.curwords;
	}
	return DirectFunctionCall2(tsvector_setweight, TSVectorGetDatum(make_tsvector(&words)), CharGetDatum(weight));
}

static bool
is_among(const char *word, int length, char **words, int n)
{
	for (int i = 0; i < n; i++)
	{
		if ((int) strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
			return true;
	}
	return false;
}

/*
 * A word is alike by its stem without accents, or by the stem of the word
 * without accents, as in search columns; the two readings of a text go word by
 * word.
 */
int
csm_words_alike(Oid config, const char *text, int length, char **asked, int n, char **found, int most)
{
	char	   *folded = csm_fold_accents(text, length);
	ParsedText	words;
	ParsedText	plain;
	int			other = 0;
	int			count = 0;

	if (folded == NULL)
		return 0;
	parse(config, text, length, &words);
	parse(config, folded, (int) strlen(folded), &plain);
	for (int i = 0; i < words.curwords && count < most; i++)
	{
		ParsedWord *word = &words.words[i];
		ParsedWord	stem = *word;
		bool		alike;

		fold_word(&stem);
		alike = is_among(stem.word, stem.len, asked, n);
		while (other < plain.curwords && plain.words[other].pos.pos < word->pos.pos)
			other++;
		for (int j = other; !alike && j < plain.curwords && plain.words[j].pos.pos == word->pos.pos; j++)
			alike = is_among(plain.words[j].word, plain.words[j].len, asked, n);
		if (alike && !is_among(word->word, word->len, asked, n) && !is_among(word->word, word->len, found, count))
			found[count++] = pnstrdup(word->word, word->len);
	}
	return count;
}

/* csm_private.search_vector(language, a, b, d): NULL texts have no words. */
Datum
csm_search_vector(PG_FUNCTION_ARGS)
{
	static const char weights[] = {'A', 'B', 'D'};
	Oid			config = csm_words_config(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Datum		vector = (Datum) 0;

	if (!OidIsValid(config))
		PG_RETURN_NULL();
	for (int i = 0; i < (int) lengthof(weights); i++)
	{
		Datum		words;

		if (PG_ARGISNULL(i + 1) && (i > 0 || vector != (Datum) 0))
			continue;
		words = csm_words_of(config, PG_ARGISNULL(i + 1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(i + 1)), weights[i]);
		vector = vector == (Datum) 0 ? words : DirectFunctionCall2(tsvector_concat, vector, words);
	}
	PG_RETURN_DATUM(vector);
}
