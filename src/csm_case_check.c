/*
 * csm_case_check.c
 *	  What every row of csm.cases and csm.case_entries holds, whoever writes it
 *	  and however: the CHECK constraints of the two tables.
 *
 * The server parses the expression of a CHECK constraint anew for every
 * statement.  As SQL these rules were 17 kB of stored expression and a tenth of
 * the time that a case takes; as one call of C a table they are next to nothing.
 * A rule that is broken is reported as the server reports a constraint, under a
 * name of its own that clients may rely on.
 *
 * Like every constraint these are immutable: they look at nothing but the row.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/typcache.h"

#include "csm_case_row.h"
#include "csm_lifecycle.h"

#define LONG_TEXT 100000
#define ATTRIBUTES_BYTES 65536

static void
report(const char *table, const char *rule, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for relation \"%s\" violates check constraint \"%s_%s_check\"", table, table, rule),
			 errdetail("%s", detail),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, "csm"),
			 err_generic_string(PG_DIAG_TABLE_NAME, table),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, psprintf("%s_%s_check", table, rule))));
}

/* ---- text ---- */

/* Characters are counted, and text is read, only where the bytes leave it open. */
static bool
text_fits(Datum value, int least, int most)
{
	int			bytes = (int) toast_raw_datum_size(value) - VARHDRSZ;
	int			characters;

	if (bytes < least)
		return false;
	if (bytes <= most && least <= 1)
		return true;
	characters = DatumGetInt32(DirectFunctionCall1(textlen, value));
	return characters >= least && characters <= most;
}

/* Visible ASCII is beyond doubt; what else counts as space, the collation says. */
static bool
is_blank(Datum value)
{
	text	   *t = DatumGetTextPP(value);
	const char *bytes = VARDATA_ANY(t);

	for (int i = 0; i < VARSIZE_ANY_EXHDR(t); i++)
	{
		if (bytes[i] > ' ' && bytes[i] < 0x7f)
			return false;
	}
	return DatumGetBool(DirectFunctionCall2Coll(textregexeq, DEFAULT_COLLATION_OID, PointerGetDatum(t),
												CStringGetTextDatum("^[[:space:]]*$")));
}

static bool
is_one_of(Datum value, const char *const *words, int n)
{
	text	   *t = DatumGetTextPP(value);

	for (int i = 0; i < n; i++)
	{
		if (strlen(words[i]) == VARSIZE_ANY_EXHDR(t) &&
			memcmp(words[i], VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)) == 0)
			return true;
	}
	return false;
}

/* ---- csm.cases ---- */

static bool
given(const CsmCaseRow *row, CsmCaseColumn column)
{
	return !csm_case_row_null(row, column);
}

/* True where both ids are given and are the same. */
static bool
coincide(const CsmCaseRow *row, CsmCaseColumn one, CsmCaseColumn other)
{
	return given(row, one) && csm_case_row_id(row, one) == csm_case_row_id(row, other);
}

static bool
within(const CsmCaseRow *row, CsmCaseColumn column, int least, int most)
{
	int			value = DatumGetInt16(csm_case_row_value(row, column));

	return value >= least && value <= most;
}

static bool
texts_fit(const CsmCaseRow *row)
{
	static const struct
	{
		CsmCaseColumn column;
		int			least;
		int			most;
	}			limits[] = {
		{CASE_description, 0, LONG_TEXT},
		{CASE_resolution_notes, 0, LONG_TEXT},
		{CASE_resolution_code, 0, 100},
		{CASE_channel, 1, 40},
		{CASE_language, 0, 63},
		{CASE_idempotency_key, 0, 200},
		{CASE_number, 1, 40}
	};

	for (int i = 0; i < (int) lengthof(limits); i++)
	{
		if (given(row, limits[i].column) &&
			!text_fits(csm_case_row_value(row, limits[i].column), limits[i].least, limits[i].most))
			return false;
	}
	return true;
}

static bool
attributes_fit(const CsmCaseRow *row)
{
	Datum		value = csm_case_row_value(row, CASE_attributes);

	return toast_datum_size(value) <= ATTRIBUTES_BYTES && JB_ROOT_IS_OBJECT(DatumGetJsonbP(value));
}

static void
check_parties(const CsmCaseRow *row)
{
	static const char *const branches[] = {"b2b", "b2c", "internal"};
	Datum		branch = csm_case_row_value(row, CASE_branch);
	bool		b2b = is_one_of(branch, branches, 1);

	if (!is_one_of(branch, branches, lengthof(branches)))
		report("cases", "branch", "The branch is b2b, b2c or internal.");
	if (coincide(row, CASE_counterparty_account_id, CASE_account_id))
		report("cases", "counterparty", "The counterparty is another account than the customer.");
	if (b2b != given(row, CASE_account_id) ||
		(given(row, CASE_household_id) && !is_one_of(branch, &branches[1], 1)))
		report("cases", "customer", "A b2b case, and no other, has an account; only a b2c case has a household.");
	if ((given(row, CASE_counterparty_contact_id) && !given(row, CASE_counterparty_account_id)) ||
		(given(row, CASE_partner_contact_id) && !given(row, CASE_partner_account_id)) ||
		(given(row, CASE_partner_account_id) && !given(row, CASE_account_id)))
		report("cases", "named_contact",
			   "The contact of a counterparty or a partner needs that account, a partner the customer's.");
}

static void
check_values(const CsmCaseRow *row)
{
	static const char *const major_states[] = {"proposed", "accepted", "rejected", "cancelled"};

	if (!attributes_fit(row))
		report("cases", "attributes", "Attributes are a JSON object of up to 64 kB.");
	if (csm_class_from_name(csm_case_row_text(row, CASE_state_class)) < 0)
		report("cases", "class", "The class is one of those of csm.case_states.");
	if (!within(row, CASE_impact, 1, 3) || !within(row, CASE_urgency, 1, 3))
		report("cases", "impact", "Impact and urgency are 1 to 3.");
	if (given(row, CASE_major_state) &&
		!is_one_of(csm_case_row_value(row, CASE_major_state), major_states, lengthof(major_states)))
		report("cases", "major", "A major case is proposed, accepted, rejected or cancelled.");
	if (!within(row, CASE_priority, 1, 4))
		report("cases", "priority", "The priority is 1 to 4.");
	if (coincide(row, CASE_parent_id, CASE_id))
		report("cases", "self", "A case is not its own parent.");
	if (!text_fits(csm_case_row_value(row, CASE_subject), 1, 400) || is_blank(csm_case_row_value(row, CASE_subject)))
		report("cases", "subject", "The subject has 1 to 400 characters, and one that is seen.");
	if (!texts_fit(row))
		report("cases", "text",
			   "At most 100,000 characters in description and resolution_notes, 100 in resolution_code, 200 in idempotency_key,"
			   " 63 in language, 1 to 40 in channel and number.");
}

PG_FUNCTION_INFO_V1(csm_case_fits);

/* csm_private.case_fits(c) */
Datum
csm_case_fits(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	CsmCaseRow	row;

	csm_case_row_open(&row, &tuple, desc);
	check_parties(&row);
	check_values(&row);
	ReleaseTupleDesc(desc);
	PG_RETURN_BOOL(true);
}

/* ---- csm.case_entries ---- */

PG_FUNCTION_INFO_V1(csm_entry_fits);

/* csm_private.entry_fits(visibility, side, body, idempotency_key) */
Datum
csm_entry_fits(PG_FUNCTION_ARGS)
{
	static const char *const visibilities[] = {"shared", "internal", "private"};
	static const char *const sides[] = {"customer", "counterparty", "operator"};

	if (!text_fits(PG_GETARG_DATUM(2), 1, LONG_TEXT) ||
		(!PG_ARGISNULL(3) && !text_fits(PG_GETARG_DATUM(3), 0, 200)))
		report("case_entries", "body", "A text has 1 to 100,000 characters, an idempotency key at most 200.");
	if (!is_one_of(PG_GETARG_DATUM(1), sides, lengthof(sides)))
		report("case_entries", "side", "The side is customer, counterparty or operator.");
	if (!is_one_of(PG_GETARG_DATUM(0), visibilities, lengthof(visibilities)))
		report("case_entries", "visibility", "An entry is shared, internal or private.");
	PG_RETURN_BOOL(true);
}
