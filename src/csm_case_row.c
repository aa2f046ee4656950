/*
 * csm_case_row.c
 *	  A row of csm.cases as C code handles it: by column, not by position.
 *
 * Where the columns stand is looked up by name and kept, for one row type and
 * until the server says that a column of any table has changed: it holds after
 * ALTER TABLE, and after DROP and CREATE EXTENSION in one session.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "csm_case_row.h"

static const char *const names[CASE_COLUMNS] = {
#define X(name) [CASE_##name] = #name,
	CSM_CASE_COLUMN_LIST(X)
#undef X
};

static int	places[CASE_COLUMNS];

const char *
csm_case_column_name(CsmCaseColumn column)
{
	return names[column];
}

int
csm_case_column_from_name(const char *name)
{
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

static bool
stands_at(TupleDesc desc, int place, const char *name)
{
	Form_pg_attribute att;

	if (place >= desc->natts)
		return false;
	att = TupleDescAttr(desc, place);
	return !att->attisdropped && strcmp(NameStr(att->attname), name) == 0;
}

static int
find_column(TupleDesc desc, CsmCaseColumn column)
{
	if (stands_at(desc, places[column], names[column]))
		return places[column];
	for (places[column] = 0; places[column] < desc->natts; places[column]++)
	{
		if (stands_at(desc, places[column], names[column]))
			return places[column];
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("csm.cases has no column \"%s\"", names[column]),
			 errhint("Restore the column, or update the extension.")));
	return -1;
}

/* The row type whose columns were all found where they are kept; forgotten with any change of a column. */
static Oid	known_type = InvalidOid;

static void
forget_columns(Datum arg, int cache, uint32 hash)
{
	known_type = InvalidOid;
}

static const int *
find_columns(TupleDesc desc)
{
	static bool listening = false;

	if (known_type == desc->tdtypeid && OidIsValid(known_type))
		return places;
	if (!listening)
	{
		CacheRegisterSyscacheCallback(ATTNUM, forget_columns, (Datum) 0);
		listening = true;
	}
	for (int i = 0; i < CASE_COLUMNS; i++)
		(void) find_column(desc, i);
	known_type = desc->tdtypeid == RECORDOID ? InvalidOid : desc->tdtypeid;
	return places;
}

void
csm_case_row_open(CsmCaseRow *row, HeapTuple tuple, TupleDesc desc)
{
	row->desc = desc;
	row->at = find_columns(desc);
	row->values = (Datum *) palloc(desc->natts * sizeof(Datum));
	row->nulls = (bool *) palloc(desc->natts * sizeof(bool));
	heap_deform_tuple(tuple, desc, row->values, row->nulls);
}

/* A row that SQL passed as an argument. */
void
csm_case_row_open_argument(CsmCaseRow *row, HeapTupleHeader header)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header),
												   HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

	csm_case_row_open(row, &tuple, desc);
}

/* The row as a tuple that stands where "like" stands. */
HeapTuple
csm_case_row_form(const CsmCaseRow *row, HeapTuple like)
{
	HeapTuple	tuple = heap_form_tuple(row->desc, row->values, row->nulls);

	tuple->t_data->t_ctid = like->t_data->t_ctid;
	tuple->t_self = like->t_self;
	tuple->t_tableOid = like->t_tableOid;
	return tuple;
}

int64
csm_case_row_id(const CsmCaseRow *row, CsmCaseColumn column)
{
	return csm_case_row_null(row, column) ? 0 : DatumGetInt64(csm_case_row_value(row, column));
}

char *
csm_case_row_text(const CsmCaseRow *row, CsmCaseColumn column)
{
	return csm_case_row_null(row, column) ? NULL : TextDatumGetCString(csm_case_row_value(row, column));
}

void
csm_case_row_set_text(CsmCaseRow *row, CsmCaseColumn column, const char *value)
{
	csm_case_row_set(row, column, CStringGetTextDatum(value));
}

/* Sets a column of any type from its text; NULL clears it. */
void
csm_case_row_parse(CsmCaseRow *row, CsmCaseColumn column, const char *value)
{
	Form_pg_attribute att = TupleDescAttr(row->desc, row->at[column]);
	Oid			input;
	Oid			param;

	if (value == NULL)
	{
		csm_case_row_set_null(row, column);
		return;
	}
	getTypeInputInfo(att->atttypid, &input, &param);
	csm_case_row_set(row, column,
					 OidInputFunctionCall(input, pstrdup(value), param, att->atttypmod));
}

void
csm_case_row_copy(CsmCaseRow *to, const CsmCaseRow *from, CsmCaseColumn column)
{
	to->values[to->at[column]] = from->values[from->at[column]];
	to->nulls[to->at[column]] = from->nulls[from->at[column]];
}

/* Long text that nobody touched is the same pointer, and is not read. */
bool
csm_case_row_differs(const CsmCaseRow *before, const CsmCaseRow *after, int place)
{
	Form_pg_attribute att = TupleDescAttr(after->desc, place);
	Datum		was = before->values[place];
	Datum		is = after->values[place];

	if (before->nulls[place] || after->nulls[place])
		return before->nulls[place] != after->nulls[place];
	if (att->attlen == -1 &&
		VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(was)) &&
		VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(is)) &&
		memcmp(DatumGetPointer(was), DatumGetPointer(is), VARSIZE_EXTERNAL(DatumGetPointer(was))) == 0)
		return false;
	return !datum_image_eq(was, is, att->attbyval, att->attlen);
}

bool
csm_case_row_changed(const CsmCaseRow *before, const CsmCaseRow *after, CsmCaseColumn column)
{
	return csm_case_row_differs(before, after, after->at[column]);
}

/* Null, or text without a visible character. */
bool
csm_case_row_blank(const CsmCaseRow *row, CsmCaseColumn column)
{
	if (csm_case_row_null(row, column))
		return true;
	if (TupleDescAttr(row->desc, row->at[column])->attlen != -1)
		return false;
	for (const char *c = csm_case_row_text(row, column); *c; c++)
	{
		if (!isspace((unsigned char) *c))
			return false;
	}
	return true;
}

void
csm_case_row_keys(const CsmCaseRow *row, CsmCaseKeys *keys)
{
	text	   *branch = csm_case_row_null(row, CASE_branch) ? NULL :
		DatumGetTextPP(csm_case_row_value(row, CASE_branch));

	keys->id = csm_case_row_id(row, CASE_id);
	keys->tenant_id = csm_case_row_id(row, CASE_tenant_id);
	keys->branch = branch == NULL ? CSM_BRANCHES :
		csm_branch_from_name(VARDATA_ANY(branch), VARSIZE_ANY_EXHDR(branch));
	keys->requester_id = csm_case_row_id(row, CASE_requester_id);
	keys->opened_by = csm_case_row_id(row, CASE_opened_by);
	keys->account_id = csm_case_row_id(row, CASE_account_id);
	keys->household_id = csm_case_row_id(row, CASE_household_id);
	keys->counterparty_account_id = csm_case_row_id(row, CASE_counterparty_account_id);
	keys->counterparty_contact_id = csm_case_row_id(row, CASE_counterparty_contact_id);
	keys->partner_account_id = csm_case_row_id(row, CASE_partner_account_id);
	keys->partner_contact_id = csm_case_row_id(row, CASE_partner_contact_id);
	keys->internal_contact_id = csm_case_row_id(row, CASE_internal_contact_id);
	keys->service_organization_id = csm_case_row_id(row, CASE_service_organization_id);
	keys->assigned_to = csm_case_row_id(row, CASE_assigned_to);
	keys->opened_at = csm_case_row_null(row, CASE_opened_at) ? 0 :
		DatumGetTimestampTz(csm_case_row_value(row, CASE_opened_at));
	keys->submitted = !csm_case_row_null(row, CASE_submitted_at);
}

int
csm_case_attnum(TupleDesc desc, CsmCaseColumn column)
{
	return find_column(desc, column) + 1;
}

bool
csm_case_tuple_has(HeapTuple tuple, TupleDesc desc, CsmCaseColumn column)
{
	return !heap_attisnull(tuple, csm_case_attnum(desc, column), desc);
}

static int64
slot_id(TupleTableSlot *slot, CsmCaseColumn column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, find_column(slot->tts_tupleDescriptor, column) + 1, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* The same from a row in a slot, unpacked no further than needed. */
void
csm_case_slot_keys(TupleTableSlot *slot, CsmCaseKeys *keys)
{
	bool		isnull;
	Datum		branch = slot_getattr(slot, find_column(slot->tts_tupleDescriptor, CASE_branch) + 1, &isnull);

	keys->branch = isnull ? CSM_BRANCHES :
		csm_branch_from_name(VARDATA_ANY(DatumGetPointer(branch)), VARSIZE_ANY_EXHDR(DatumGetPointer(branch)));
	keys->id = slot_id(slot, CASE_id);
	keys->tenant_id = slot_id(slot, CASE_tenant_id);
	keys->requester_id = slot_id(slot, CASE_requester_id);
	keys->opened_by = slot_id(slot, CASE_opened_by);
	keys->account_id = slot_id(slot, CASE_account_id);
	keys->household_id = slot_id(slot, CASE_household_id);
	keys->counterparty_account_id = slot_id(slot, CASE_counterparty_account_id);
	keys->counterparty_contact_id = slot_id(slot, CASE_counterparty_contact_id);
	keys->partner_account_id = slot_id(slot, CASE_partner_account_id);
	keys->partner_contact_id = slot_id(slot, CASE_partner_contact_id);
	keys->internal_contact_id = slot_id(slot, CASE_internal_contact_id);
	keys->service_organization_id = slot_id(slot, CASE_service_organization_id);
	keys->assigned_to = slot_id(slot, CASE_assigned_to);
	keys->opened_at = slot_id(slot, CASE_opened_at);
	keys->submitted = slot_id(slot, CASE_submitted_at) != 0;
}
