/*
 * csm_plan_estimate.c
 *	  What share of the rows a predicate lets through.
 *
 * From the person's real keys and the statistics of the column: its most common
 * values are asked for one by one.  What comes of it is the choice of a plan.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_statistic.h"
#include "fmgr.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "csm_plan.h"

/*
 * Share of the rows whose column holds one of n keys: the most common values
 * one by one, the others by their average.  Without statistics every key
 * counts as one in a thousand.
 */
double
csm_keys_selectivity(PlannerInfo *root, Node *column, int varRelid, CsmMap *map, CsmKeySet set, CsmAction action)
{
	VariableStatData vardata;
	AttStatsSlot slot;
	double		nullfrac = 0;
	double		hit = 0;
	double		common = 0;
	double		distinct;
	bool		isdefault;
	int			listed = 0;
	int			matched = 0;
	int			n;

	if (map == NULL)
		return 0;
	n = csm_map_key_count(map, set, action);
	if (n == 0)
		return 0;

	examine_variable(root, column, varRelid, &vardata);
	distinct = get_variable_numdistinct(&vardata, &isdefault);
	if (HeapTupleIsValid(vardata.statsTuple))
	{
		nullfrac = ((Form_pg_statistic) GETSTRUCT(vardata.statsTuple))->stanullfrac;
		if (get_attstatsslot(&slot, vardata.statsTuple, STATISTIC_KIND_MCV, InvalidOid,
							 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
		{
			for (int i = 0; i < slot.nvalues; i++)
			{
				common += slot.numbers[i];
				if (csm_map_has_key(map, set, action, DatumGetInt64(slot.values[i])))
				{
					hit += slot.numbers[i];
					matched++;
				}
			}
			listed = slot.nvalues;
			free_attstatsslot(&slot);
		}
	}
	else if (isdefault && vardata.rel != NULL)
		distinct = Max(1000.0, n);
	ReleaseVariableStats(vardata);

	if (distinct > listed)
		hit += Min(1.0, (n - matched) / (distinct - listed)) * Max(0.0, 1.0 - common - nullfrac);
	CLAMP_PROBABILITY(hit);
	return hit;
}

/* Share of the rows in the branches where reach is "all". */
double
csm_all_in_selectivity(PlannerInfo *root, List *args, int varRelid, CsmMap *map, CsmAction action)
{
	Node	   *branch = lsecond(args);
	VariableStatData vardata;
	AttStatsSlot slot;
	double		hit = 0;
	bool		known = false;
	bool		allowed[CSM_BRANCHES];
	int			n = 0;

	if (map == NULL)
		return 0;
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		allowed[b] = csm_map_all(map, csm_map_tenant(map), b, action);
		n += allowed[b];
	}
	if (n == 0 || n == CSM_BRANCHES)
		return n == 0 ? 0 : 1;

	if (IsA(branch, Const))
	{
		text	   *name;
		int			b;

		if (((Const *) branch)->constisnull)
			return 0;
		name = DatumGetTextPP(((Const *) branch)->constvalue);
		b = csm_branch_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));
		return b >= 0 && allowed[b] ? 1 : 0;
	}
	examine_variable(root, branch, varRelid, &vardata);
	if (HeapTupleIsValid(vardata.statsTuple) &&
		get_attstatsslot(&slot, vardata.statsTuple, STATISTIC_KIND_MCV, InvalidOid,
						 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
	{
		known = true;
		for (int i = 0; i < slot.nvalues; i++)
		{
			text	   *name = DatumGetTextPP(slot.values[i]);
			int			b = csm_branch_from_name(VARDATA_ANY(name), (int) VARSIZE_ANY_EXHDR(name));

			if (b >= 0 && allowed[b])
				hit += slot.numbers[i];
		}
		free_attstatsslot(&slot);
	}
	ReleaseVariableStats(vardata);
	if (!known)
		hit = (double) n / CSM_BRANCHES;
	CLAMP_PROBABILITY(hit);
	return hit;
}

/*
 * Share of the rows that name a party of his: the most common keys one by one.
 * One that is not listed is rarer than those; few of a person's many keys
 * appear on any case, so a tenth of them is counted.
 */
double
csm_party_selectivity(PlannerInfo *root, Node *column, int varRelid, CsmMap *map, CsmAction action)
{
	VariableStatData vardata;
	AttStatsSlot slot;
	double		hit = 0.05;
	int			matched = 0;
	int			n = map ? csm_map_key_count(map, CSM_SET_PARTIES, action) : 0;

	if (n == 0)
		return 0;
	examine_variable(root, column, varRelid, &vardata);
	if (HeapTupleIsValid(vardata.statsTuple))
	{
		double		present = 1 - ((Form_pg_statistic) GETSTRUCT(vardata.statsTuple))->stanullfrac;

		hit = 0;
		if (get_attstatsslot(&slot, vardata.statsTuple, STATISTIC_KIND_MCELEM, InvalidOid,
							 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
		{
			double		miss = 1;

			for (int i = 0; i < slot.nvalues; i++)
			{
				if (csm_map_has_key(map, CSM_SET_PARTIES, action, DatumGetInt64(slot.values[i])))
				{
					miss *= 1 - slot.numbers[i];
					matched++;
				}
			}
			hit = 1 - miss;
			/* Behind the frequencies stands the least of them. */
			if (slot.nnumbers > slot.nvalues && n > matched)
				hit += Min(0.1, 0.1 * (n - matched) * slot.numbers[slot.nvalues]);
			free_attstatsslot(&slot);
		}
		hit *= present;
	}
	ReleaseVariableStats(vardata);
	CLAMP_PROBABILITY(hit);
	return hit;
}

/*
 * Next to another relation entries are read case by case, of cases that the
 * person sees.  How many he sees of all of them is not known.
 */
double
csm_entry_selectivity(PlannerInfo *root, CsmMap *map)
{
	if (map == NULL)
		return 0;
	if (bms_membership(root->all_baserels) == BMS_MULTIPLE)
		return 1;
	for (int b = 0; b < CSM_BRANCHES; b++)
	{
		if (csm_map_all(map, csm_map_tenant(map), (CsmBranch) b, CSM_CASE_READ))
			return 1;
	}
	return 0.5;
}

/* Share of the rows that the policies let through, whoever wrote the query. */
double
csm_policy_share(PlannerInfo *root, RelOptInfo *rel)
{
	double		share = 1.0;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, cell);

		/* Policies stand below the level of the query's own conditions. */
		if (clause->security_level < root->qual_security_level && clause->norm_selec >= 0)
			share *= clause->norm_selec;
	}
	return share;
}
