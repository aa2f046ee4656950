/*
 * csm_words.h
 *	  The words of a text, as search columns hold them.
 */
#ifndef CSM_WORDS_H
#define CSM_WORDS_H

#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"

/* Text search configuration of a language; InvalidOid where even "simple" is missing. */
extern Oid	csm_words_config(const char *language);

/* The words of a text with one weight, with and without their accents. */
extern Datum csm_words_of(Oid config, const char *text, char weight);

/*
 * Words of a text, as the configuration writes them, that are without accents
 * what was asked for: into "found", whose room is "most"; how many there are.
 */
extern int	csm_words_alike(Oid config, const char *text, int length, char **asked, int n, char **found, int most);

/*
 * A query for any word of what was typed, as it stands and without accents, and
 * for what differs from it in a document by accents (csm_search_query.c).
 */
extern TSQuery csm_words_any(const char *typed, Oid config, const char *document, int length);

#endif
