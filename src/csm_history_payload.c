/*
 * csm_history_payload.c
 *	  What a link of a case's history says: a JSON object, field -> [old, new].
 *
 * Fields are the columns of csm.cases; a name with a point in it is no column
 * ("internal.attributes", "entry.id").  Values are JSON of their own kind, times
 * are ISO 8601 in UTC with microseconds, whatever the session's settings, so
 * that csm.case_as_of() reads back exactly what was written.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "csm_history.h"

/* The row's own place, and what is computed from the other columns. */
static const CsmCaseColumn untracked[] = {CASE_id, CASE_tenant_id, CASE_search};

void
csm_payload_begin(CsmPayload *payload)
{
	payload->state = NULL;
	payload->fields = 0;
	payload->hides_old = false;
	pushJsonbValue(&payload->state, WJB_BEGIN_OBJECT, NULL);
}

Jsonb *
csm_payload_end(CsmPayload *payload)
{
	return JsonbValueToJsonb(pushJsonbValue(&payload->state, WJB_END_OBJECT, NULL));
}

static void
push_string(CsmPayload *payload, JsonbIteratorToken token, const char *text, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = len;
	pushJsonbValue(&payload->state, token, &value);
}

static void
push_integer(CsmPayload *payload, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(&payload->state, WJB_ELEM, &value);
}

static void
push_value(CsmPayload *payload, Oid type, const Datum *datum)
{
	JsonbValue	value;

	if (datum == NULL)
	{
		value.type = jbvNull;
		pushJsonbValue(&payload->state, WJB_ELEM, &value);
		return;
	}
	switch (type)
	{
		case BOOLOID:
			value.type = jbvBool;
			value.val.boolean = DatumGetBool(*datum);
			pushJsonbValue(&payload->state, WJB_ELEM, &value);
			break;
		case INT2OID:
			push_integer(payload, DatumGetInt16(*datum));
			break;
		case INT4OID:
			push_integer(payload, DatumGetInt32(*datum));
			break;
		case INT8OID:
			push_integer(payload, DatumGetInt64(*datum));
			break;
		case TEXTOID:
			{
				text	   *t = DatumGetTextPP(*datum);

				push_string(payload, WJB_ELEM, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
				break;
			}
		case TIMESTAMPTZOID:
			{
				char	   *iso = (char *) palloc(MAXDATELEN + 1);
				int			utc = 0;

				JsonEncodeDateTime(iso, *datum, TIMESTAMPTZOID, &utc);
				push_string(payload, WJB_ELEM, iso, strlen(iso));
				break;
			}
		case JSONBOID:
			{
				Jsonb	   *jb = DatumGetJsonbP(*datum);

				value.type = jbvBinary;
				value.val.binary.data = &jb->root;
				value.val.binary.len = VARSIZE(jb) - VARHDRSZ;
				pushJsonbValue(&payload->state, WJB_ELEM, &value);
				break;
			}
		default:
			{
				Oid			output;
				bool		varlena;
				char	   *text;

				/* no column of csm; of one that somebody added, its text */
				getTypeOutputInfo(type, &output, &varlena);
				text = OidOutputFunctionCall(output, *datum);
				push_string(payload, WJB_ELEM, text, strlen(text));
			}
	}
}

void
csm_payload_add(CsmPayload *payload, const char *field, Oid type, const Datum *before, const Datum *after)
{
	push_string(payload, WJB_KEY, field, strlen(field));
	pushJsonbValue(&payload->state, WJB_BEGIN_ARRAY, NULL);
	push_value(payload, type, payload->hides_old ? NULL : before);
	push_value(payload, type, after);
	pushJsonbValue(&payload->state, WJB_END_ARRAY, NULL);
	payload->fields++;
}

void
csm_payload_add_text(CsmPayload *payload, const char *field, const char *after)
{
	Datum		value = after ? CStringGetTextDatum(after) : (Datum) 0;

	csm_payload_add(payload, field, TEXTOID, NULL, after ? &value : NULL);
}

/* Every field of another payload. */
void
csm_payload_add_all(CsmPayload *payload, const Jsonb *from)
{
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, &from->root));
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			pushJsonbValue(&payload->state, WJB_KEY, &value);
			payload->fields++;
		}
		else if (token == WJB_VALUE)
			pushJsonbValue(&payload->state, WJB_VALUE, &value);
	}
}

static bool
tracked(const CsmCaseRow *row, int place)
{
	Form_pg_attribute att = TupleDescAttr(row->desc, place);

	if (att->attisdropped || att->attgenerated != '\0')
		return false;
	for (int i = 0; i < (int) lengthof(untracked); i++)
	{
		if (row->at[untracked[i]] == place)
			return false;
	}
	return true;
}

/* Every column, also one that a later version or a DBA added. */
void
csm_payload_add_case(CsmPayload *payload, const CsmCaseRow *before, const CsmCaseRow *after)
{
	csm_payload_add_case_but(payload, before, after, NULL);
}

void
csm_payload_add_case_but(CsmPayload *payload, const CsmCaseRow *before, const CsmCaseRow *after,
						 const CsmCaseRow *current)
{
	TupleDesc	desc = after->desc;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const Datum *old = before == NULL || before->nulls[i] ? NULL : &before->values[i];
		const Datum *new = after->nulls[i] ? NULL : &after->values[i];

		if (before == NULL ? new == NULL : !csm_case_row_differs(before, after, i))
			continue;
		if (tracked(after, i) && (current == NULL || !csm_case_row_differs(after, current, i)))
			csm_payload_add(payload, NameStr(att->attname), att->atttypid, old, new);
	}
}

PG_FUNCTION_INFO_V1(csm_case_payload);

/* csm_private.case_payload(csm.cases) */
Datum
csm_case_payload(PG_FUNCTION_ARGS)
{
	CsmCaseRow	row;
	CsmPayload	payload;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_payload_begin(&payload);
	csm_payload_add_case(&payload, NULL, &row);
	PG_RETURN_JSONB_P(csm_payload_end(&payload));
}
