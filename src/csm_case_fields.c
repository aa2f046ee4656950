/*
 * csm_case_fields.c
 *	  Typed fields of case types, judged whoever writes them: the trigger of
 *	  csm.cases asks for csm.cases.attributes, the trigger at the end of this
 *	  file stands on csm.case_internal and csm.case_side_fields.
 *
 * A type that neither has nor inherits a field takes any JSON object.  Where
 * fields are defined, an object holds those of its audience and nothing else;
 * what stood there before and is not touched is left alone, so that a type can
 * be changed while its cases live.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "csm_case_fields.h"
#include "csm_errors.h"
#include "csm_lifecycle.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_fields_guard);
PG_FUNCTION_INFO_V1(csm_with_attributes);

/* ---- the definition ---- */

static const CsmField *
field_named(const CsmMachine *machine, CsmAudience audience, const char *name)
{
	for (int i = 0; i < machine->nfields; i++)
	{
		if (machine->fields[i].audience == audience && strcmp(machine->fields[i].name, name) == 0)
			return &machine->fields[i];
	}
	return NULL;
}

bool
csm_field_demanded(const CsmField *field, const char *action)
{
	return csm_field_lists(field->required_for, field->nrequired_for, action);
}

/* Names of the fields of an audience, or what a choice may be: for messages. */
static char *
field_names(const CsmMachine *machine, CsmAudience audience)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < machine->nfields; i++)
	{
		if (machine->fields[i].audience == audience)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", machine->fields[i].name);
	}
	return list.len > 0 ? list.data : "none";
}

/* ---- one object ---- */

/* The value under a key; NULL where there is none. */
static JsonbValue *
value_of(Jsonb *object, const char *name)
{
	JsonbValue	key;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
}

static bool
has_value(Jsonb *object, const char *name)
{
	JsonbValue *value = value_of(object, name);

	return value != NULL && !csm_field_blank(value);
}

/*
 * Walks over the keys whose value is not as before: each is a field of the
 * audience and has the form of its type.
 */
static void
check_object(const CsmMachine *machine, CsmAudience audience, Jsonb *before, Jsonb *after)
{
	JsonbIterator *walk;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(after))
		return;					/* a CHECK constraint refuses it */
	walk = JsonbIteratorInit(&after->root);
	while ((token = JsonbIteratorNext(&walk, &value, true)) != WJB_DONE)
	{
		const CsmField *field;
		JsonbValue *was;

		if (token == WJB_KEY)
			name = csm_field_text(&value);
		if (token != WJB_VALUE)
			continue;
		was = value_of(before, name);
		if (was != NULL && csm_field_same(was, &value))
			continue;
		field = field_named(machine, audience, name);
		if (field == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("case type \"%s\" has no field \"%s\" here", machine->case_type, name),
					 errdetail("Fields here: %s.", field_names(machine, audience)),
					 errhint("csm.case_type_fields describes the fields of each type, and who reads them.")));
		csm_field_check(machine, field, &value);
	}
}

static Jsonb *
attributes_of(const CsmCaseRow *row)
{
	return csm_case_row_null(row, CASE_attributes) ? NULL :
		DatumGetJsonbP(csm_case_row_value(row, CASE_attributes));
}

static bool
is_draft(const CsmCaseRow *row)
{
	char	   *state_class = csm_case_row_text(row, CASE_state_class);

	return state_class != NULL && strcmp(state_class, csm_class_name(CSM_CLASS_DRAFT)) == 0;
}

static void
refuse_missing(const CsmMachine *machine, const CsmCaseRow *row, const char *what, const char *missing)
{
	ereport(ERROR,
			(errcode(ERRCODE_CSM_FIELD_MISSING),
			 errmsg("%s lacks a required field", what),
			 errdetail("Missing: %s.", missing),
			 errhint("csm.case_type_fields describes the fields of case type \"%s\".", machine->case_type)));
}

/*
 * A field that is required is there from the moment at which the case is no
 * draft.  One that came to be required later is asked for when it is cleared.
 */
static void
check_required(const CsmMachine *machine, const CsmCaseRow *before, const CsmCaseRow *after,
			   Jsonb *was, Jsonb *is)
{
	bool		begins = before == NULL || is_draft(before) ||
		csm_case_row_changed(before, after, CASE_case_type);
	StringInfoData missing;

	initStringInfo(&missing);
	for (int i = 0; i < machine->nfields; i++)
	{
		const CsmField *field = &machine->fields[i];

		if (field->required && (begins || has_value(was, field->name)) && !has_value(is, field->name))
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? ", " : "", field->name);
	}
	if (missing.len > 0)
		refuse_missing(machine, after, psprintf("a case of type \"%s\"", machine->case_type), missing.data);
}

void
csm_fields_check_case(const CsmMachine *machine, const CsmCaseRow *before, const CsmCaseRow *after,
					  bool importing)
{
	Jsonb	   *was;
	Jsonb	   *is;
	CsmStateClass state_class;

	if (machine->nfields == 0)
		return;
	if (before != NULL && !csm_case_row_changed(before, after, CASE_attributes) &&
		!csm_case_row_changed(before, after, CASE_state_class) &&
		!csm_case_row_changed(before, after, CASE_case_type))
		return;
	was = before ? attributes_of(before) : NULL;
	is = attributes_of(after);
	if (is != NULL)
		check_object(machine, CSM_AUDIENCE_ALL, was, is);
	state_class = (CsmStateClass) csm_class_from_name(csm_case_row_text(after, CASE_state_class));
	if (!importing && state_class != CSM_CLASS_DRAFT && state_class != CSM_CLASS_CANCELLED)
		check_required(machine, before, after, was, is);
}

/* ---- what an action demands ---- */

typedef struct OtherFields
{
	MemoryContext context;
	Jsonb	   *objects[CSM_AUDIENCES];
} OtherFields;

static void
take_object(HeapTuple tuple, TupleDesc desc, void *arg)
{
	OtherFields *fields = (OtherFields *) arg;
	bool		isnull;
	int			audience = DatumGetInt32(heap_getattr(tuple, 1, desc, &isnull));
	Datum		value = heap_getattr(tuple, 2, desc, &isnull);
	MemoryContext old = MemoryContextSwitchTo(fields->context);

	fields->objects[audience] = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
}

/* What staff and the sides hold of the case; the numbers are CsmAudience. */
static void
read_others(OtherFields *fields, const CsmMachine *machine, int64 case_id)
{
	static const char sql[] =
		"SELECT 1, i.attributes FROM csm.case_internal i WHERE i.case_id = $1 AND i.tenant_id = $2"
		" UNION ALL "
		"SELECT CASE s.side WHEN 'customer' THEN 2 ELSE 3 END, s.attributes"
		"  FROM csm.case_side_fields s WHERE s.case_id = $1 AND s.tenant_id = $2";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(case_id);
	values[1] = Int64GetDatum(machine->tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_object, fields);
}

static void
check_party_attributes(const CsmMachine *machine, const char *action,
					   const CsmCaseRow *before, const CsmCaseRow *after)
{
	Jsonb	   *was = attributes_of(before);
	Jsonb	   *is = attributes_of(after);

	for (int i = 0; i < machine->nfields; i++)
	{
		const CsmField *field = &machine->fields[i];
		JsonbValue *old;
		JsonbValue *new;

		if (field->audience != CSM_AUDIENCE_ALL || csm_field_demanded(field, action))
			continue;
		old = value_of(was, field->name);
		new = value_of(is, field->name);
		if ((old == NULL) != (new == NULL) || (old != NULL && !csm_field_same(old, new)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("field \"%s\" of case %s may not be set with action \"%s\"",
							field->name, csm_case_label(before), action),
					 errhint("Leave the field out, or say it in the note.")));
	}
}

void
csm_fields_check_action(const CsmMachine *machine, const char *action, bool works,
						const CsmCaseRow *before, const CsmCaseRow *after)
{
	OtherFields others = {.context = CurrentMemoryContext};
	bool		read = false;
	StringInfoData missing;

	if (machine->nfields == 0)
		return;
	if (!works && csm_case_row_changed(before, after, CASE_attributes))
		check_party_attributes(machine, action, before, after);

	others.objects[CSM_AUDIENCE_ALL] = attributes_of(after);
	initStringInfo(&missing);
	for (int i = 0; i < machine->nfields; i++)
	{
		const CsmField *field = &machine->fields[i];

		if (!csm_field_demanded(field, action))
			continue;
		if (field->audience != CSM_AUDIENCE_ALL && !read)
		{
			read_others(&others, machine, csm_case_row_id(before, CASE_id));
			read = true;
		}
		if (!has_value(others.objects[field->audience], field->name))
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? ", " : "", field->name);
	}
	if (missing.len > 0)
		refuse_missing(machine, after,
					   psprintf("action \"%s\" on case %s", action, csm_case_label(before)), missing.data);
}

/* ---- staff's and a side's fields ---- */

/* What is known of the case to which a row belongs. */
typedef struct FieldCase
{
	MemoryContext context;
	bool		found;
	CsmCaseKeys keys;
	char	   *case_type;
	char	   *label;
	char	   *state;
	int			state_class;
} FieldCase;

static void
take_case(HeapTuple tuple, TupleDesc desc, void *arg)
{
	FieldCase  *c = (FieldCase *) arg;
	CsmCaseRow	row;
	MemoryContext old = MemoryContextSwitchTo(c->context);

	csm_case_row_open(&row, tuple, desc);
	csm_case_row_keys(&row, &c->keys);
	c->case_type = csm_case_row_text(&row, CASE_case_type);
	c->label = csm_case_label(&row);
	c->state = csm_case_row_text(&row, CASE_state);
	c->state_class = csm_class_from_name(csm_case_row_text(&row, CASE_state_class));
	c->found = true;
	MemoryContextSwitchTo(old);
}

static Datum
column_of(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull)
{
	int			attnum = SPI_fnumber(desc, name);

	if (attnum <= 0)
	{
		*isnull = true;
		return (Datum) 0;
	}
	return heap_getattr(tuple, attnum, desc, isnull);
}

/* case_internal has no side. */
static CsmAudience
audience_of(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		side = column_of(tuple, desc, "side", &isnull);

	if (isnull)
		return CSM_AUDIENCE_STAFF;
	return strcmp(TextDatumGetCString(side), csm_side_name(CSM_SIDE_CUSTOMER)) == 0
		? CSM_AUDIENCE_CUSTOMER : CSM_AUDIENCE_COUNTERPARTY;
}

/*
 * It runs before row security checks the new row: on a case that is missing or
 * not the writer's to work on it says nothing, and the policy refuses both.
 */
static void
guard_fields(TriggerData *data)
{
	static const char sql[] =
		"SELECT * FROM csm.cases c WHERE c.id = $1 AND c.tenant_id = $2";
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	HeapTuple	new = update ? data->tg_newtuple : data->tg_trigtuple;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	FieldCase	c = {.context = CurrentMemoryContext};
	const CsmMachine *machine;
	bool		isnull;
	bool		was_null = true;
	Datum		before = (Datum) 0;
	Datum		after;

	values[0] = column_of(new, desc, "case_id", &isnull);
	if (isnull)
		return;
	values[1] = column_of(new, desc, "tenant_id", &isnull);
	if (isnull)
		return;
	csm_spi_query(sql, 2, types, values, NULL, take_case, &c);
	if (!c.found ||
		(check_enable_rls(RelationGetRelid(data->tg_relation), InvalidOid, true) == RLS_ENABLED &&
		 !csm_case_permits(&c.keys, CSM_CASE_WORK)))
		return;
	if (c.state_class >= 0 && csm_class_is_final((CsmStateClass) c.state_class) && !csm_is_importing())
		ereport(ERROR,
				(errcode(ERRCODE_CSM_CLOSED),
				 errmsg("case %s is closed", c.label),
				 errdetail("Its state is \"%s\".", c.state),
				 errhint("Open a new case that refers to it.")));

	machine = csm_machine_get(c.keys.tenant_id, c.case_type);
	after = column_of(new, desc, "attributes", &isnull);
	if (machine == NULL || machine->nfields == 0 || isnull)
		return;
	if (update)
		before = column_of(data->tg_trigtuple, desc, "attributes", &was_null);
	check_object(machine, audience_of(new, desc), was_null ? NULL : DatumGetJsonbP(before),
				 DatumGetJsonbP(after));
}

/* BEFORE INSERT OR UPDATE FOR EACH ROW on csm.case_internal, csm.case_side_fields. */
Datum
csm_fields_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.fields_guard() must be a BEFORE INSERT OR UPDATE row trigger")));
	if (!csm_is_restoring() && csm_intent(CSM_INTENT_ERASE, 0) == NULL)
		guard_fields(data);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event)
						   ? data->tg_newtuple : data->tg_trigtuple);
}

/* ---- fields of a new case ---- */

static void
put_pair(JsonbParseState **state, JsonbValue *key, JsonbValue *value)
{
	pushJsonbValue(state, WJB_KEY, key);
	pushJsonbValue(state, WJB_VALUE, value);
}

/*
 * Copies the pairs of an object: those that name a field for all parties, or
 * the others.
 */
static void
put_pairs(JsonbParseState **state, const CsmMachine *machine, Jsonb *object, bool fields)
{
	JsonbIterator *walk = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&walk, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = value;
		else if (token == WJB_VALUE &&
				 (field_named(machine, CSM_AUDIENCE_ALL, csm_field_text(&key)) != NULL) == fields &&
				 (fields || strcmp(csm_field_text(&key), "attributes") != 0))
			put_pair(state, &key, &value);
	}
}

/* The object under "attributes" as it is; false where it is none. */
static bool
put_attributes(JsonbParseState **state, Jsonb *object)
{
	JsonbValue *given = value_of(object, "attributes");
	JsonbIterator *walk;
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	key;

	if (given == NULL)
		return true;
	if (given->type != jbvBinary || !JsonContainerIsObject(given->val.binary.data))
		return false;
	walk = JsonbIteratorInit(given->val.binary.data);
	while ((token = JsonbIteratorNext(&walk, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = value;
		else if (token == WJB_VALUE)
			put_pair(state, &key, &value);
	}
	return true;
}

static bool
names_a_field(const CsmMachine *machine, Jsonb *object)
{
	for (int i = 0; i < machine->nfields; i++)
	{
		if (machine->fields[i].audience == CSM_AUDIENCE_ALL &&
			value_of(object, machine->fields[i].name) != NULL)
			return true;
	}
	return false;
}

/* csm_private.with_attributes(case_type, fields) */
Datum
csm_with_attributes(PG_FUNCTION_ARGS)
{
	const CsmMap *map = csm_map_current();
	const CsmMachine *machine;
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString};
	Jsonb	   *object;
	int64		tenant_id;
	int			tenants;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	object = PG_GETARG_JSONB_P(1);
	if (!JB_ROOT_IS_OBJECT(object) || JB_ROOT_COUNT(object) == 0)
		PG_RETURN_JSONB_P(object);
	tenant_id = map ? csm_map_tenant(map) : csm_only_tenant(&tenants);
	machine = csm_machine_get(tenant_id, PG_ARGISNULL(0) ? "case" : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (machine == NULL || !names_a_field(machine, object))
		PG_RETURN_JSONB_P(object);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	put_pairs(&state, machine, object, false);
	key.val.string.val = "attributes";
	key.val.string.len = strlen("attributes");
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (!put_attributes(&state, object))
		PG_RETURN_JSONB_P(object);
	put_pairs(&state, machine, object, true);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
