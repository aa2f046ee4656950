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

/* A query for any word of what was typed, as it stands and without accents (csm_search_query.c). */
extern TSQuery csm_words_any(const char *typed, Oid config);

#endif
