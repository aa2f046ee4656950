/*
 * csm_case_row.h
 *	  A row of csm.cases as C code handles it: by column, not by position.
 */
#ifndef CSM_CASE_ROW_H
#define CSM_CASE_ROW_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "csm.h"

#define CSM_CASE_COLUMN_LIST(X) \
	X(id) X(tenant_id) X(number) X(branch) X(case_type) X(state) X(state_class) \
	X(priority) X(impact) X(urgency) X(subject) X(description) X(language) X(channel) \
	X(requester_id) X(opened_by) X(account_id) X(household_id) \
	X(counterparty_account_id) X(counterparty_contact_id) \
	X(partner_account_id) X(partner_contact_id) X(internal_contact_id) \
	X(service_organization_id) X(product_id) X(asset_id) X(entitlement_id) \
	X(assigned_group_id) X(assigned_to) X(parent_id) \
	X(resolution_code) X(resolution_notes) X(needs_attention) X(attributes) X(search) \
	X(idempotency_key) X(opened_at) X(submitted_at) X(resolved_at) X(closed_at) X(updated_at) \
	X(first_response_at) X(reopen_count) X(reassignment_count) \
	X(auto_close) X(escalated) X(follow_the_sun) X(major_state) \
	X(follow_up_at) X(last_response_at) X(made_sla)

typedef enum CsmCaseColumn
{
#define X(name) CASE_##name,
	CSM_CASE_COLUMN_LIST(X)
#undef X
	CASE_COLUMNS
} CsmCaseColumn;

typedef struct CsmCaseRow
{
	TupleDesc	desc;
	const int  *at;				/* index into the arrays, by CsmCaseColumn */
	Datum	   *values;			/* in the order of the table */
	bool	   *nulls;
} CsmCaseRow;

extern const char *csm_case_column_name(CsmCaseColumn column);
extern int	csm_case_column_from_name(const char *name);	/* -1: unknown */

extern void csm_case_row_open(CsmCaseRow *row, HeapTuple tuple, TupleDesc desc);
extern void csm_case_row_open_argument(CsmCaseRow *row, HeapTupleHeader header);
extern int	csm_case_attnum(TupleDesc desc, CsmCaseColumn column);
extern bool csm_case_tuple_has(HeapTuple tuple, TupleDesc desc, CsmCaseColumn column);
extern HeapTuple csm_case_row_form(const CsmCaseRow *row, HeapTuple like);
extern void csm_case_slot_keys(TupleTableSlot *slot, CsmCaseKeys *keys);
extern void csm_case_row_keys(const CsmCaseRow *row, CsmCaseKeys *keys);
extern bool csm_case_row_changed(const CsmCaseRow *before, const CsmCaseRow *after, CsmCaseColumn column);
extern bool csm_case_row_differs(const CsmCaseRow *before, const CsmCaseRow *after, int place);
extern bool csm_case_row_blank(const CsmCaseRow *row, CsmCaseColumn column);
extern char *csm_case_row_text(const CsmCaseRow *row, CsmCaseColumn column);	/* NULL: null */
extern int64 csm_case_row_id(const CsmCaseRow *row, CsmCaseColumn column);	/* 0: null */
extern void csm_case_row_set_text(CsmCaseRow *row, CsmCaseColumn column, const char *value);
extern void csm_case_row_parse(CsmCaseRow *row, CsmCaseColumn column, const char *value);
extern void csm_case_row_copy(CsmCaseRow *to, const CsmCaseRow *from, CsmCaseColumn column);

/* csm_case_fetch.c */
extern bool csm_case_find(Relation cases, int64 case_id, int64 tenant_id, Snapshot snapshot, TupleTableSlot *slot);
extern bool csm_case_fetch(int64 case_id, int64 tenant_id,
						   void (*take) (const CsmCaseRow *row, void *arg), void *arg);

/* csm_case_search.c */
extern void csm_case_index_words(CsmCaseRow *row);

static inline bool
csm_case_row_null(const CsmCaseRow *row, CsmCaseColumn column)
{
	return row->nulls[row->at[column]];
}

static inline Datum
csm_case_row_value(const CsmCaseRow *row, CsmCaseColumn column)
{
	return row->values[row->at[column]];
}

static inline void
csm_case_row_set(CsmCaseRow *row, CsmCaseColumn column, Datum value)
{
	row->values[row->at[column]] = value;
	row->nulls[row->at[column]] = false;
}

static inline void
csm_case_row_set_null(CsmCaseRow *row, CsmCaseColumn column)
{
	row->values[row->at[column]] = (Datum) 0;
	row->nulls[row->at[column]] = true;
}

static inline void
csm_case_row_default(CsmCaseRow *row, CsmCaseColumn column, Datum value)
{
	if (csm_case_row_null(row, column))
		csm_case_row_set(row, column, value);
}

#endif							/* CSM_CASE_ROW_H */
