/*
 * csm_sla_rule.c
 *	  Definitions of SLAs: read from csm.sla_definitions, kept per backend, and
 *	  asked what they say of a row of csm.cases.
 *
 * A condition is a jsonpath predicate over the row as a JSON object: data that
 * cannot run code and reaches no other row.  csm_sla_condition() checks it when
 * it is written and finds the columns it reads; only these are put into the
 * object, and an UPDATE that changes none of them is judged by nobody.  A
 * condition that fails on a row (compares what cannot be compared) is false.
 *
 * Definitions are kept until one of the tenant's, or a case type, is signalled;
 * as machines are, see csm_machine.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "csm_calendar.h"
#include "csm_compat.h"
#include "csm_sla_rule.h"
#include "csm_spi.h"

#define MAX_TENANTS 16

/* A chain of parent types longer than this is taken for a circle. */
#define MAX_ANCESTORS "32"

typedef struct Kept
{
	CsmSlaRules *rules;
	MemoryContext context;
	int			anchors[2];		/* definitions, case types */
	uint32		seen[2];
	LocalTransactionId only_in; /* provisional: valid in this transaction */
	uint64		used;
} Kept;

static MemoryContext rules_context = NULL;
static Kept kept[MAX_TENANTS];
static int	nkept = 0;
static uint64 clock = 0;

/* ---- conditions ---- */

static bool
is_predicate(JsonPathItemType type)
{
	switch (type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return true;
		default:
			return false;
	}
}

/* The column behind "$"; the words of the search are no column that a condition reads. */
static void
note_column(JsonPathItem *root, bool *columns)
{
	JsonPathItem key;
	char	   *name = NULL;
	int32		length;
	int			column = -1;

	if (jspGetNext(root, &key) && key.type == jpiKey)
	{
		name = jspGetString(&key, &length);
		column = csm_case_column_from_name(pnstrdup(name, length));
	}
	if (column < 0 || column == CASE_search)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 name == NULL ? errmsg("a condition of an SLA must name columns")
				 : errmsg("a condition of an SLA names an unknown column \"%s\"", name),
				 errhint("Write each as $.column, a column of csm.cases; of attributes $.attributes.key.")));
	columns[column] = true;
}

static void
walk(JsonPathItem *item, bool *columns)
{
	JsonPathItem part;

	check_stack_depth();
	switch (item->type)
	{
		case jpiRoot:
			note_column(item, columns);
			break;
		case jpiVariable:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a condition of an SLA has no variables"),
					 errhint("Write the value itself.")));
			break;
		case jpiAnd:
		case jpiOr:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
		case jpiStartsWith:
			jspGetLeftArg(item, &part);
			walk(&part, columns);
			jspGetRightArg(item, &part);
			walk(&part, columns);
			break;
		case jpiNot:
		case jpiIsUnknown:
		case jpiExists:
		case jpiPlus:
		case jpiMinus:
		case jpiFilter:
			jspGetArg(item, &part);
			walk(&part, columns);
			break;
		case jpiLikeRegex:
			jspInitByBuffer(&part, item->base, item->content.like_regex.expr);
			walk(&part, columns);
			break;
		case jpiIndexArray:
			for (int i = 0; i < item->content.array.nelems; i++)
			{
				JsonPathItem to;

				if (jspGetArraySubscript(item, &part, &to, i))
					walk(&to, columns);
				walk(&part, columns);
			}
			break;
		default:
			break;
	}
	if (jspGetNext(item, &part))
		walk(&part, columns);
}

/* Marks the columns that a condition reads; an error where it is no condition. */
static void
columns_of(JsonPath *path, bool *columns)
{
	JsonPathItem root;

	jspInit(&root, path);
	if (!is_predicate(root.type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a condition of an SLA must be true or false"),
				 errhint("Compare: $.state_class == \"new\"; or ask: exists($.attributes.key).")));
	walk(&root, columns);
}

PG_FUNCTION_INFO_V1(csm_sla_condition);

/* csm_private.sla_condition(jsonpath): true, or an error. */
Datum
csm_sla_condition(PG_FUNCTION_ARGS)
{
	bool		columns[CASE_COLUMNS] = {0};

	columns_of(PG_GETARG_JSONPATH_P(0), columns);
	PG_RETURN_BOOL(true);
}

static void
push_value(JsonbParseState **state, const CsmCaseRow *row, CsmCaseColumn column)
{
	static const int utc = 0;
	JsonbValue	value;
	Datum		datum = csm_case_row_value(row, column);
	Oid			type = TupleDescAttr(row->desc, row->at[column])->atttypid;
	char	   *text;

	value.type = jbvNull;
	if (!csm_case_row_null(row, column))
	{
		switch (type)
		{
			case INT2OID:
			case INT4OID:
			case INT8OID:
				value.type = jbvNumeric;
				value.val.numeric = int64_to_numeric(type == INT8OID ? DatumGetInt64(datum) :
													 type == INT4OID ? DatumGetInt32(datum) : DatumGetInt16(datum));
				break;
			case BOOLOID:
				value.type = jbvBool;
				value.val.boolean = DatumGetBool(datum);
				break;
			case JSONBOID:
				value.type = jbvBinary;
				value.val.binary.data = &DatumGetJsonbP(datum)->root;
				value.val.binary.len = VARSIZE(DatumGetJsonbP(datum)) - VARHDRSZ;
				break;
			case TIMESTAMPTZOID:
				/* independent of the session's time zone */
				text = JsonEncodeDateTime(palloc(MAXDATELEN + 1), datum, TIMESTAMPTZOID, &utc);
				value.type = jbvString;
				value.val.string.val = text;
				value.val.string.len = strlen(text);
				break;
			default:
				text = csm_case_row_text(row, column);
				value.type = jbvString;
				value.val.string.val = text;
				value.val.string.len = strlen(text);
		}
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

static Jsonb *
row_as_json(const CsmSlaRules *rules, const CsmCaseRow *row)
{
	JsonbParseState *state = NULL;
	JsonbValue	key;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		if (!rules->read[i])
			continue;
		key.type = jbvString;
		key.val.string.val = unconstify(char *, csm_case_column_name((CsmCaseColumn) i));
		key.val.string.len = strlen(key.val.string.val);
		pushJsonbValue(&state, WJB_KEY, &key);
		push_value(&state, row, (CsmCaseColumn) i);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* An error in the path, or an answer that is neither true nor false, is false. */
static bool
holds(void *path, Jsonb *row, Datum no_variables)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		answer;

	if (path == NULL)
		return false;
	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(row);
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[2].value = no_variables;
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	answer = jsonb_path_match(fcinfo);
	return !fcinfo->isnull && DatumGetBool(answer);
}

/* ---- what definitions say ---- */

static bool
concerns(const CsmSlaRule *rule, const CsmCaseRow *row, const char *case_type, uint32 branch, uint32 priority)
{
	if ((rule->branches & branch) == 0 || (rule->priorities & priority) == 0)
		return false;
	for (int i = 0; i < rule->ntypes; i++)
	{
		if (strcmp(rule->types[i], case_type) == 0)
			return true;
	}
	return rule->any_type;
}

void
csm_sla_rules_judge(const CsmSlaRules *rules, const CsmCaseRow *row, uint32 *says)
{
	char	   *case_type = csm_case_row_text(row, CASE_case_type);
	char	   *branch_name = csm_case_row_text(row, CASE_branch);
	int			branch = csm_branch_from_name(branch_name, strlen(branch_name));
	uint32		priority = 1 << DatumGetInt16(csm_case_row_value(row, CASE_priority));
	Datum		no_variables = (Datum) 0;
	Jsonb	   *json = NULL;

	for (int i = 0; i < rules->nrules; i++)
	{
		const CsmSlaRule *rule = &rules->rules[i];

		says[i] = 0;
		if (!concerns(rule, row, case_type, branch < 0 ? 0 : 1 << branch, priority))
			continue;
		if (json == NULL)
		{
			json = row_as_json(rules, row);
			no_variables = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		}
		says[i] = CSM_SLA_CONCERNS;
		for (int c = 0; c < CSM_SLA_CONDITIONS; c++)
		{
			if (holds(rule->when[c], json, no_variables))
				says[i] |= CSM_SLA_BIT(c);
		}
	}
}

const CsmSlaRule *
csm_sla_rule_find(const CsmSlaRules *rules, int64 definition_id)
{
	for (int i = 0; i < rules->nrules; i++)
	{
		if (rules->rules[i].id == definition_id)
			return &rules->rules[i];
	}
	return NULL;
}

/* ---- reading ---- */

static const char *const types[CSM_SLA_TYPES] = {"response", "resolution", "update"};
static const char *const sources[] = {"none", "fixed", "account", "entitlement"};
static const char *const branches[CSM_BRANCHES] = {"b2b", "b2c", "internal"};

static int
place_in(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	elog(ERROR, "unknown word \"%s\" in csm.sla_definitions", name);
}

static char *
text_at(MemoryContext context, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : MemoryContextStrdup(context, TextDatumGetCString(value));
}

static Datum *
elements_at(HeapTuple tuple, TupleDesc desc, int column, Oid type, int *n)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);
	Datum	   *elements;

	*n = 0;
	if (isnull)
		return NULL;
	if (type == INT2OID)
		deconstruct_array(DatumGetArrayTypeP(value), INT2OID, 2, true, TYPALIGN_SHORT, &elements, NULL, n);
	else
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, n);
	return elements;
}

static void
take_selection(CsmSlaRule *rule, MemoryContext context, HeapTuple tuple, TupleDesc desc)
{
	Datum	   *elements;
	int			n;
	bool		isnull;

	rule->any_type = DatumGetBool(heap_getattr(tuple, 7, desc, &isnull));
	elements = elements_at(tuple, desc, 8, TEXTOID, &rule->ntypes);
	rule->types = MemoryContextAlloc(context, Max(rule->ntypes, 1) * sizeof(char *));
	for (int i = 0; i < rule->ntypes; i++)
		rule->types[i] = MemoryContextStrdup(context, TextDatumGetCString(elements[i]));

	elements = elements_at(tuple, desc, 9, TEXTOID, &n);
	rule->branches = elements == NULL ? ~(uint32) 0 : 0;
	for (int i = 0; i < n; i++)
		rule->branches |= 1 << place_in(branches, lengthof(branches), TextDatumGetCString(elements[i]));

	elements = elements_at(tuple, desc, 10, INT2OID, &n);
	rule->priorities = elements == NULL ? ~(uint32) 0 : 0;
	for (int i = 0; i < n; i++)
		rule->priorities |= 1 << DatumGetInt16(elements[i]);
}

static void
take_rule(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmSlaRules *rules = (CsmSlaRules *) arg;
	MemoryContext context = GetMemoryChunkContext(rules);
	CsmSlaRule *rule;
	Datum		value;
	Datum	   *elements;
	bool		isnull;

	if (rules->nrules == 0)
		rules->rules = MemoryContextAllocZero(context, 8 * sizeof(CsmSlaRule));
	else if (rules->nrules >= 8 && (rules->nrules & (rules->nrules - 1)) == 0)
		rules->rules = repalloc(rules->rules, 2 * rules->nrules * sizeof(CsmSlaRule));
	rule = &rules->rules[rules->nrules++];
	memset(rule, 0, sizeof(*rule));

	rule->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	rule->name = text_at(context, tuple, desc, 2);
	rule->type_name = text_at(context, tuple, desc, 3);
	rule->type = (CsmSlaType) place_in(types, lengthof(types), rule->type_name);
	rule->duration = DatumGetInt64(heap_getattr(tuple, 4, desc, &isnull)) * USECS_PER_SEC;
	rule->calendar_from = (CsmSlaCalendarFrom) place_in(sources, lengthof(sources), text_at(context, tuple, desc, 5));
	value = heap_getattr(tuple, 6, desc, &isnull);
	rule->calendar_id = isnull ? CSM_NO_CALENDAR : DatumGetInt64(value);
	take_selection(rule, context, tuple, desc);
	for (int i = 0; i < CSM_SLA_CONDITIONS; i++)
	{
		JsonPath   *path;

		value = heap_getattr(tuple, 11 + i, desc, &isnull);
		if (isnull)
			continue;
		path = DatumGetJsonPathP(value);
		rule->when[i] = MemoryContextAlloc(context, VARSIZE(path));
		memcpy(rule->when[i], path, VARSIZE(path));
		columns_of(path, rules->read);
	}
	elements = elements_at(tuple, desc, 16, INT2OID, &rule->nwarn);
	rule->warn = MemoryContextAlloc(context, Max(rule->nwarn, 1) * sizeof(int));
	for (int i = 0; i < rule->nwarn; i++)
		rule->warn[i] = DatumGetInt16(elements[i]);
	rule->visible = DatumGetBool(heap_getattr(tuple, 17, desc, &isnull));
	rule->active = DatumGetBool(heap_getattr(tuple, 18, desc, &isnull));

	if (rule->type == CSM_SLA_UPDATE)
		rules->watched[CASE_last_response_at] = true;
	if (rule->calendar_from == CSM_SLA_FROM_ENTITLEMENT)
		rules->watched[CASE_entitlement_id] = true;
}

/*
 * A definition for a case type holds for the types that inherit from it, unless
 * a nearer type has definitions of the same kind of SLA.
 */
static CsmSlaRules *
read_rules(MemoryContext context, int64 tenant_id)
{
	static const char sql[] =
		"WITH RECURSIVE line(case_type, ancestor, parent_type, depth) AS ("
		"  SELECT t.case_type, t.case_type, t.parent_type, 0 FROM csm.case_types t WHERE t.tenant_id = $1"
		"  UNION ALL"
		"  SELECT l.case_type, p.case_type, p.parent_type, l.depth + 1"
		"    FROM line l JOIN csm.case_types p ON p.case_type = l.parent_type AND p.tenant_id = $1"
		"   WHERE l.depth < " MAX_ANCESTORS
		"), nearest AS ("
		"  SELECT DISTINCT ON (d.type, l.case_type) d.type, l.case_type, l.ancestor"
		"    FROM line l JOIN csm.sla_definitions d ON d.tenant_id = $1 AND d.active AND l.ancestor = ANY (d.case_types)"
		"   ORDER BY d.type, l.case_type, l.depth)"
		" SELECT d.id, d.name, d.type, d.duration_seconds, d.calendar_from, d.calendar_id, d.case_types IS NULL,"
		"        (SELECT array_agg(n.case_type) FROM nearest n WHERE n.type = d.type AND n.ancestor = ANY (d.case_types)),"
		"        d.branches, d.priorities, d.start_when, d.pause_when, d.stop_when, d.reset_when, d.cancel_when,"
		"        (SELECT array_agg(DISTINCT w ORDER BY w) FROM unnest(d.warn_at) w), d.visible_to_customer, d.active"
		"   FROM csm.sla_definitions d WHERE d.tenant_id = $1 ORDER BY d.id";
	Oid			argtypes[1] = {INT8OID};
	Datum		values[1];
	CsmSlaRules *rules = MemoryContextAllocZero(context, sizeof(CsmSlaRules));

	rules->tenant_id = tenant_id;
	values[0] = Int64GetDatum(tenant_id);
	csm_spi_query(sql, 1, argtypes, values, NULL, take_rule, rules);

	for (int i = 0; i < CASE_COLUMNS; i++)
		rules->watched[i] |= rules->read[i];
	if (rules->nrules > 0)
		rules->watched[CASE_case_type] = rules->watched[CASE_branch] = rules->watched[CASE_priority] = true;
	return rules;
}

/* ---- keeping ---- */

static bool
still_right(const Kept *k)
{
	return k->seen[0] == csm_signal_count[k->anchors[0]] && k->seen[1] == csm_signal_count[k->anchors[1]] &&
		(k->only_in == InvalidLocalTransactionId || k->only_in == csm_lxid(MyProc));
}

static void
forget(int i)
{
	MemoryContextDelete(kept[i].context);
	kept[i] = kept[--nkept];
}

static void
forget_oldest(void)
{
	int			oldest = 0;

	for (int i = 1; i < nkept; i++)
	{
		if (kept[i].used < kept[oldest].used)
			oldest = i;
	}
	forget(oldest);
}

const CsmSlaRules *
csm_sla_rules_get(int64 tenant_id)
{
	Kept		built = {0};

	csm_signal_watch();
	for (int i = 0; i < nkept; i++)
	{
		if (kept[i].rules->tenant_id != tenant_id)
			continue;
		if (still_right(&kept[i]))
		{
			kept[i].used = ++clock;
			return kept[i].rules;
		}
		forget(i);
		break;
	}

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	built.anchors[0] = csm_signal_anchor(CSM_SIGNAL_SLA, (uint64) tenant_id);
	built.anchors[1] = csm_signal_anchor(CSM_SIGNAL_MACHINE, (uint64) tenant_id);
	for (int i = 0; i < 2; i++)
		built.seen[i] = csm_signal_count[built.anchors[i]];
	built.context = AllocSetContextCreate(CurrentMemoryContext, "csm sla rules", ALLOCSET_SMALL_SIZES);
	built.rules = read_rules(built.context, tenant_id);
	built.only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);
	built.used = ++clock;

	if (rules_context == NULL)
		rules_context = AllocSetContextCreate(TopMemoryContext, "csm sla definitions", ALLOCSET_SMALL_SIZES);
	if (nkept == MAX_TENANTS)
		forget_oldest();
	MemoryContextSetParent(built.context, rules_context);
	kept[nkept++] = built;
	return built.rules;
}
