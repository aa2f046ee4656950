/*
 * csm_text.h
 *	  What search functions and their estimates share.
 */
#ifndef CSM_TEXT_H
#define CSM_TEXT_H

#include "fmgr.h"
#include "nodes/pathnodes.h"

/* csm_text.c */
extern Datum csm_like_pattern(PG_FUNCTION_ARGS);
extern bool csm_trgm_folds_as_we_do(void);

/* csm_text_estimate.c */
extern Const *csm_expected_value(PlannerInfo *root, Node *expression);
extern Selectivity csm_guessed_selectivity(PlannerInfo *root, Node *haystack, Const *needle, int varRelid);
extern Selectivity csm_contains_selectivity(PlannerInfo *root, Oid function, Node *haystack,
											Const *needle, int varRelid);
extern Selectivity csm_words_selectivity(PlannerInfo *root, Node *document, const Const *query, int varRelid);
extern bool csm_words_are_common(PlannerInfo *root, Node *document, const Const *query);
extern bool csm_index_is_worth_it(PlannerInfo *root, IndexOptInfo *index, Selectivity guess,
								  Selectivity share, double breadth, bool common);
extern bool csm_window_is_worth_it(PlannerInfo *root, IndexOptInfo *index, Selectivity share, double breadth,
								   bool common);

#endif							/* CSM_TEXT_H */
