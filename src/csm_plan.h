/*
 * csm_plan.h
 *	  Estimates for the planner, in csm_plan_estimate.c.
 */
#ifndef CSM_PLAN_H
#define CSM_PLAN_H

#include "nodes/pathnodes.h"

#include "csm.h"

/* Shares of a relation's rows, from 0 to 1; 0 without a map, which is nobody's. */
extern double csm_keys_selectivity(PlannerInfo *root, Node *column, int varRelid, CsmMap *map,
								   CsmKeySet set, CsmAction action);
extern double csm_all_in_selectivity(PlannerInfo *root, List *args, int varRelid, CsmMap *map, CsmAction action);
extern double csm_party_selectivity(PlannerInfo *root, Node *column, int varRelid, CsmMap *map, CsmAction action);
extern double csm_entry_selectivity(PlannerInfo *root, CsmMap *map);

/* What the policies let through, whoever wrote the query. */
extern double csm_policy_share(PlannerInfo *root, RelOptInfo *rel);

#endif							/* CSM_PLAN_H */
