/*
 * csm_fold.h
 *	  Letters without their accents.
 */
#ifndef CSM_FOLD_H
#define CSM_FOLD_H

/*
 * The text without accents, in memory of its own; NULL where that is the text
 * itself, and in databases of another encoding than UTF8.
 */
extern char *csm_fold_accents(const char *text, int length);

#endif
