/*
 * csm_text.h
 *	  What search functions and their estimates share.
 */
#ifndef CSM_TEXT_H
#define CSM_TEXT_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/pathnodes.h"
#include "tsearch/ts_type.h"

/* tsvector @@ tsquery; the server's headers have no name for it. */
#define OID_TS_MATCH_OP			3636

/* csm_text.c */
extern Datum csm_like_pattern(PG_FUNCTION_ARGS);
extern bool csm_fold_ascii(char *to, const char *from, int len);
extern bool csm_is_word_character(const char *c);

/* csm_text_support.c */
extern bool csm_trgm_folds_as_we_do(void);

/* Shares of the rows of a table, for some text that is looked for. */
typedef struct CsmTextShare
{
	Selectivity rows;			/* they hold the text */
	Selectivity listed;			/* they stand in the lists of the index that are read to find them */
	bool		common;			/* as far as statistics say, there are some */
} CsmTextShare;

/* csm_text_estimate.c */
extern Const *csm_expected_value(PlannerInfo *root, Node *expression);
extern Selectivity csm_guessed_selectivity(PlannerInfo *root, Node *haystack, Const *needle, int varRelid);
extern Selectivity csm_contains_selectivity(PlannerInfo *root, Oid function, Node *haystack,
											Const *needle, int varRelid);
extern CsmTextShare csm_words_share(PlannerInfo *root, Node *document, const Const *query, int varRelid);
extern bool csm_index_is_worth_it(PlannerInfo *root, IndexOptInfo *index, Selectivity guess,
								  Selectivity share, double breadth, bool common);
extern bool csm_window_is_worth_it(PlannerInfo *root, IndexOptInfo *index, const CsmTextShare *share,
								   bool public_slices, double breadth);
extern bool csm_slices_are_worth_it(PlannerInfo *root, RelOptInfo *rel, const CsmTextShare *share, bool public_slices);

/* csm_text_probe.c */
extern double csm_newest_share(PlannerInfo *root, RelOptInfo *rel, Node *document, TSQuery query, double *of_rows);

/* csm_slice.c */
extern int64 csm_slice_of(TimestampTz at);
extern TimestampTz csm_start_of_slice(int64 slice);
extern Datum csm_time_slice(PG_FUNCTION_ARGS);
extern Datum csm_time_slices(PG_FUNCTION_ARGS);

/* What is public stands in slices of time of its own as well, so much further on. */
#define CSM_PUBLIC_SLICES	((int64) 1 << 32)

#endif							/* CSM_TEXT_H */
