/*
 * csm_field_value.c
 *	  One value of a typed field: the form that its type demands.
 *
 * Dates and times are strings in one form each, so that no setting of a session
 * has a say.  A reference is looked for with the eyes of the writer: a row that
 * he may not see is refused like one that does not exist.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rls.h"

#include "csm_case_fields.h"
#include "csm_spi.h"

/* What a message shows of a value, in bytes. */
#define SHOWN 100

/* ---- forms of values ---- */

/* The next n digits as a number; moves on.  -1: there are fewer. */
static int
digits(const char **at, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		if (!(**at >= '0' && **at <= '9'))
			return -1;
		value = value * 10 + (*(*at)++ - '0');
	}
	return value;
}

static bool
skip(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* YYYY-MM-DD of the Gregorian calendar. */
static bool
take_date(const char **at)
{
	int			year = digits(at, 4);
	int			month = year > 0 && skip(at, '-') ? digits(at, 2) : -1;
	int			day = month >= 1 && month <= 12 && skip(at, '-') ? digits(at, 2) : -1;

	return day >= 1 && day <= day_tab[isleap(year)][month - 1];
}

static bool
take_clock(const char **at)
{
	int			hour = digits(at, 2);
	int			minute = hour >= 0 && hour <= 23 && skip(at, ':') ? digits(at, 2) : -1;

	return minute >= 0 && minute <= 59;
}

/* RFC 3339: date, T or a blank, time, offset; an offset, or it names no instant. */
static bool
is_timestamp(const char *at)
{
	int			second;

	if (!take_date(&at) || !(skip(&at, 'T') || skip(&at, ' ')) || !take_clock(&at))
		return false;
	if (skip(&at, ':'))
	{
		second = digits(&at, 2);
		if (second < 0 || second > 59)
			return false;
		if (skip(&at, '.'))
		{
			if (digits(&at, 1) < 0)
				return false;
			while (*at >= '0' && *at <= '9')
				at++;
		}
	}
	if (skip(&at, 'Z'))
		return *at == '\0';
	return (skip(&at, '+') || skip(&at, '-')) && take_clock(&at) && *at == '\0';
}

static bool
is_date(const char *at)
{
	return take_date(&at) && *at == '\0';
}

/* A whole number that bigint can hold. */
static bool
is_integer(Numeric number, int64 *value)
{
	char	   *text = numeric_normalize(number);
	char	   *end;

	if (strchr(text, '.') != NULL)
		return false;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* ---- references ---- */

static void
ignore_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
}

/* One text a table: plans are kept by the address of the text. */
static const struct
{
	const char *table;
	const char *sql;
}			references[] =
{
#define REFERENCE(name) {#name, "SELECT FROM csm." #name " r WHERE r.id = $1 AND r.tenant_id = $2"}
	REFERENCE(users),
	REFERENCE(accounts),
	REFERENCE(contacts),
	REFERENCE(households),
	REFERENCE(products),
	REFERENCE(sold_products),
	REFERENCE(assets),
	REFERENCE(contracts),
	REFERENCE(entitlements),
	REFERENCE(cases),
	REFERENCE(groups),
	REFERENCE(service_organizations),
};

static void
check_reference(const CsmMachine *machine, const CsmField *field, int64 id)
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	Oid			role = csm_session_role();
	Oid			relid = get_relname_relid(field->reference, get_namespace_oid("csm", false));
	bool		bound = check_enable_rls(relid, role, true) == RLS_ENABLED;
	bool		found = false;

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(machine->tenant_id);
	for (int i = 0; i < (int) lengthof(references); i++)
	{
		if (strcmp(references[i].table, field->reference) == 0 &&
			pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK)
			found = csm_spi_query_as_caller(references[i].sql, 2, types, values, NULL,
											ignore_row, NULL) > 0;
	}
	if (!found)
		ereport(ERROR,
				(errcode(bound ? ERRCODE_INSUFFICIENT_PRIVILEGE : ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("field \"%s\" of case type \"%s\" refers to no row that you may see",
						field->name, machine->case_type),
				 errdetail("There is no " INT64_FORMAT " in csm.%s.", id, field->reference),
				 errhint("A row that you may not see is reported in the same way.")));
}

/* ---- one value ---- */

bool
csm_field_lists(char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static char *
choice_names(const CsmField *field)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < field->nchoices; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", field->choices[i]);
	return list.data;
}

char *
csm_field_text(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

bool
csm_field_blank(const JsonbValue *value)
{
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < value->val.string.len; i++)
	{
		if (!isspace((unsigned char) value->val.string.val[i]))
			return false;
	}
	return true;
}

bool
csm_field_same(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvBinary:
			return compareJsonbContainers(a->val.binary.data, b->val.binary.data) == 0;
		default:
			return false;
	}
}

/* The value as a message shows it. */
static char *
shown(const JsonbValue *value)
{
	char	   *text;
	int			len;

	switch (value->type)
	{
		case jbvString:
			text = csm_field_text(value);
			len = strlen(text);
			return psprintf("\"%.*s\"%s", pg_mbcliplen(text, len, SHOWN), text, len > SHOWN ? "..." : "");
		case jbvNumeric:
			text = numeric_normalize(value->val.numeric);
			return psprintf("%.*s%s", SHOWN, text, strlen(text) > SHOWN ? "..." : "");
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		default:
			return "an object or array";
	}
}

static void
refuse_value(const CsmMachine *machine, const CsmField *field, const JsonbValue *value, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("field \"%s\" of case type \"%s\" takes %s", field->name, machine->case_type, expected),
			 errdetail("Given: %s.", shown(value)),
			 errhint("csm.case_type_fields describes the fields of each type.")));
}

void
csm_field_check(const CsmMachine *machine, const CsmField *field, const JsonbValue *value)
{
	const char *type = field->type;
	int64		whole;

	if (value->type == jbvNull)
		return;
	if (strcmp(type, "text") == 0)
	{
		if (value->type != jbvString)
			refuse_value(machine, field, value, "a string");
	}
	else if (strcmp(type, "integer") == 0)
	{
		if (value->type != jbvNumeric || !is_integer(value->val.numeric, &whole))
			refuse_value(machine, field, value, "a whole number of 64 bits");
	}
	else if (strcmp(type, "number") == 0)
	{
		if (value->type != jbvNumeric)
			refuse_value(machine, field, value, "a number");
	}
	else if (strcmp(type, "boolean") == 0)
	{
		if (value->type != jbvBool)
			refuse_value(machine, field, value, "true or false");
	}
	else if (strcmp(type, "date") == 0)
	{
		if (value->type != jbvString || !is_date(csm_field_text(value)))
			refuse_value(machine, field, value, "a date as string, YYYY-MM-DD");
	}
	else if (strcmp(type, "timestamp") == 0)
	{
		if (value->type != jbvString || !is_timestamp(csm_field_text(value)))
			refuse_value(machine, field, value, "a time as string with its offset, such as 2026-03-29T09:00:00Z");
	}
	else if (strcmp(type, "choice") == 0)
	{
		if (value->type != jbvString ||
			!csm_field_lists(field->choices, field->nchoices, csm_field_text(value)))
			refuse_value(machine, field, value, psprintf("one of: %s", choice_names(field)));
	}
	else if (strcmp(type, "reference") == 0)
	{
		if (value->type != jbvNumeric || !is_integer(value->val.numeric, &whole))
			refuse_value(machine, field, value, psprintf("the id of a row of csm.%s", field->reference));
		check_reference(machine, field, whole);
	}
	else
		elog(ERROR, "unknown type \"%s\" of a field", type);
}
