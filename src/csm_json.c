/*
 * csm_json.c
 *	  A flat JSON object, key by key.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "csm_json.h"

static void
push(CsmJson *json, JsonbIteratorToken token, JsonbValue *value)
{
	(void) pushJsonbValue(&json->state, token, value);
}

static void
push_key(CsmJson *json, const char *key)
{
	JsonbValue	v = {.type = jbvString};

	v.val.string.val = unconstify(char *, key);
	v.val.string.len = strlen(key);
	push(json, WJB_KEY, &v);
}

void
csm_json_begin(CsmJson *json)
{
	json->state = NULL;
	push(json, WJB_BEGIN_OBJECT, NULL);
}

void
csm_json_text(CsmJson *json, const char *key, const char *value)
{
	JsonbValue	v = {.type = jbvNull};

	push_key(json, key);
	if (value != NULL)
	{
		v.type = jbvString;
		v.val.string.val = unconstify(char *, value);
		v.val.string.len = strlen(value);
	}
	push(json, WJB_VALUE, &v);
}

void
csm_json_integer(CsmJson *json, const char *key, int64 value)
{
	JsonbValue	v = {.type = jbvNumeric};

	push_key(json, key);
	v.val.numeric = int64_to_numeric(value);
	push(json, WJB_VALUE, &v);
}

void
csm_json_id(CsmJson *json, const char *key, int64 value)
{
	if (value != 0)
		csm_json_integer(json, key, value);
	else
		csm_json_text(json, key, NULL);
}

void
csm_json_boolean(CsmJson *json, const char *key, bool value)
{
	JsonbValue	v = {.type = jbvBool};

	push_key(json, key);
	v.val.boolean = value;
	push(json, WJB_VALUE, &v);
}

Datum
csm_json_end(CsmJson *json)
{
	JsonbValue *object = pushJsonbValue(&json->state, WJB_END_OBJECT, NULL);

	return JsonbPGetDatum(JsonbValueToJsonb(object));
}
