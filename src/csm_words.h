/*
 * csm_words.h
 *	  The words of a text, as search columns hold them.
 */
#ifndef CSM_WORDS_H
#define CSM_WORDS_H

#include "tsearch/ts_type.h"

/* Text search configuration of a language; InvalidOid where even "simple" is missing. */
extern Oid	csm_words_config(const char *language);

/* The words of a text with one weight, with and without their accents. */
extern Datum csm_words_of(Oid config, const char *text, char weight);

#endif
