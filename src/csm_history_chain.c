/*
 * csm_history_chain.c
 *	  The canonical binary form of history, and its hashes.
 *
 * The form depends on neither time zone, DateStyle, collation, byte order nor
 * the server's version.  All hashes are SHA-256.
 *
 *	  int8	 8 bytes, two's complement, most significant byte first
 *	  opt	 byte 0 for null, or byte 1 and the int8
 *	  str	 length in bytes as 4 bytes, most significant first, and the text in
 *			 UTF-8; null is the length 0xFFFFFFFF and nothing else
 *	  time	 int8: microseconds since 2000-01-01 00:00 UTC; the greatest and the
 *			 least int8 are infinity and -infinity
 *	  json	 "o", for each key its str and its value, "e"; "a", the values, "e";
 *			 "s" and a str; "n" and the number's text as str; "t"; "f"; "z" for
 *			 null.  Keys in jsonb's order: by length in bytes, then byte by byte
 *
 *	  payload_hash = H("csm payload 1" ‖ salt, 16 bytes ‖ str actor_name ‖ json payload)
 *	  hash = H("csm link 1" ‖ previous hash, 32 bytes, zeros in a first link ‖
 *			   int8 id ‖ int8 tenant_id ‖ int8 case_id ‖ int8 seq ‖ time at ‖ str action ‖
 *			   opt actor_id ‖ str persona ‖ str relation ‖ opt on_behalf_of ‖
 *			   str audience ‖ payload_hash, 32 bytes)
 *
 * The name of the actor stands with the salted payload because it can be erased
 * as that can; without the salt, payload_hash tells nothing about either.
 *
 *	  leaf = H("csm leaf 1" ‖ int8 tenant_id ‖ int8 case_id ‖ int8 length ‖ last hash, 32 bytes)
 *	  node = H("csm node 1" ‖ left, 32 bytes ‖ right, 32 bytes)
 *	  seal = H("csm seal 1" ‖ previous seal's hash, 32 bytes, zeros in a first seal ‖
 *			   int8 tenant_id ‖ int8 seq ‖ time at ‖ int8 leaves ‖ root, 32 bytes)
 *
 * Leaves stand in the order of their cases; of an odd number the last goes up
 * as it is.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_history.h"

/*
 * To get ready for so few bytes costs more than to hash them, so context and
 * algorithm are kept for the backend's life.  A context in which something
 * failed is begun anew by the next hash.
 */
static void
hash_bytes_of(const char *data, size_t len, uint8 *hash)
{
	static EVP_MD *sha256 = NULL;
	static EVP_MD_CTX *context = NULL;

	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	if (context == NULL)
		context = EVP_MD_CTX_new();
	if (sha256 == NULL || context == NULL ||
		!EVP_DigestInit_ex2(context, sha256, NULL) ||
		!EVP_DigestUpdate(context, data, len) ||
		!EVP_DigestFinal_ex(context, hash, NULL))
	{
		ERR_clear_error();
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute SHA-256")));
	}
}

/* ---- the form ---- */

static void
put_bytes(StringInfo form, const void *data, int len)
{
	appendBinaryStringInfo(form, data, len);
}

static void
put_int8(StringInfo form, int64 value)
{
	uint64		network = pg_hton64((uint64) value);

	put_bytes(form, (const char *) &network, sizeof(network));
}

static void
put_opt(StringInfo form, int64 value)
{
	appendStringInfoChar(form, value != 0 ? 1 : 0);
	if (value != 0)
		put_int8(form, value);
}

static void
put_length(StringInfo form, uint32 len)
{
	uint32		network = pg_hton32(len);

	put_bytes(form, (const char *) &network, sizeof(network));
}

static void
put_text(StringInfo form, const char *text, int len)
{
	char	   *utf8 = pg_server_to_any(text, len, PG_UTF8);

	if (utf8 != text)
		len = strlen(utf8);
	put_length(form, len);
	put_bytes(form, utf8, len);
	if (utf8 != text)
		pfree(utf8);
}

static void
put_str(StringInfo form, const char *text)
{
	if (text == NULL)
		put_length(form, PG_UINT32_MAX);
	else
		put_text(form, text, strlen(text));
}

static void
put_scalar(StringInfo form, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoChar(form, 'z');
			break;
		case jbvBool:
			appendStringInfoChar(form, value->val.boolean ? 't' : 'f');
			break;
		case jbvNumeric:
			appendStringInfoChar(form, 'n');
			put_str(form, DatumGetCString(DirectFunctionCall1(numeric_out,
															  NumericGetDatum(value->val.numeric))));
			break;
		case jbvString:
			appendStringInfoChar(form, 's');
			put_text(form, value->val.string.val, value->val.string.len);
			break;
		default:
			elog(ERROR, "unexpected kind %d of value in a payload of csm.case_history", value->type);
	}
}

static void
put_json(StringInfo form, const Jsonb *json)
{
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, &json->root));
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(form, 'o');
				break;
			case WJB_BEGIN_ARRAY:
				appendStringInfoChar(form, 'a');
				break;
			case WJB_END_OBJECT:
			case WJB_END_ARRAY:
				appendStringInfoChar(form, 'e');
				break;
			case WJB_KEY:
				put_text(form, value.val.string.val, value.val.string.len);
				break;
			default:
				put_scalar(form, &value);
		}
	}
}

/* ---- the hashes ---- */

/* Of a text, in UTF-8. */
void
csm_hash_text(const char *data, int len, uint8 *hash)
{
	char	   *utf8 = pg_server_to_any(data, len, PG_UTF8);

	hash_bytes_of(utf8, utf8 == data ? len : strlen(utf8), hash);
}

void
csm_hash_payload(const uint8 *salt, const char *actor_name, const Jsonb *payload, uint8 *hash)
{
	StringInfoData form;

	initStringInfo(&form);
	appendStringInfoString(&form, "csm payload 1");
	put_bytes(&form, salt, CSM_SALT_BYTES);
	put_str(&form, actor_name);
	put_json(&form, payload);
	hash_bytes_of(form.data, form.len, hash);
	pfree(form.data);
}

void
csm_hash_link(const CsmLink *link, uint8 *hash)
{
	static const uint8 zeros[CSM_HASH_BYTES] = {0};
	StringInfoData form;

	initStringInfo(&form);
	appendStringInfoString(&form, "csm link 1");
	put_bytes(&form, link->first ? zeros : link->previous, CSM_HASH_BYTES);
	put_int8(&form, link->id);
	put_int8(&form, link->tenant_id);
	put_int8(&form, link->case_id);
	put_int8(&form, link->seq);
	put_int8(&form, link->at);
	put_str(&form, link->action);
	put_opt(&form, link->actor_id);
	put_str(&form, link->persona);
	put_str(&form, link->relation);
	put_opt(&form, link->on_behalf_of);
	put_str(&form, link->audience);
	put_bytes(&form, link->payload_hash, CSM_HASH_BYTES);
	hash_bytes_of(form.data, form.len, hash);
	pfree(form.data);
}

/* ---- for SQL ---- */

PG_FUNCTION_INFO_V1(csm_history_payload_hash);
PG_FUNCTION_INFO_V1(csm_history_link_hash);
PG_FUNCTION_INFO_V1(csm_history_leaf);
PG_FUNCTION_INFO_V1(csm_history_root);
PG_FUNCTION_INFO_V1(csm_history_seal);

static bytea *
hash_result(const uint8 *hash)
{
	bytea	   *result = (bytea *) palloc(VARHDRSZ + CSM_HASH_BYTES);

	SET_VARSIZE(result, VARHDRSZ + CSM_HASH_BYTES);
	memcpy(VARDATA(result), hash, CSM_HASH_BYTES);
	return result;
}

/* False: not of that length, which a row that somebody changed can be. */
static bool
take_bytes(Datum datum, uint8 *to, int len)
{
	bytea	   *bytes = DatumGetByteaPP(datum);

	if (VARSIZE_ANY_EXHDR(bytes) != len)
		return false;
	memcpy(to, VARDATA_ANY(bytes), len);
	return true;
}

static char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* csm_private.history_payload_hash(salt, actor_name, payload); null when erased */
Datum
csm_history_payload_hash(PG_FUNCTION_ARGS)
{
	uint8		salt[CSM_SALT_BYTES];
	uint8		hash[CSM_HASH_BYTES];

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) ||
		!take_bytes(PG_GETARG_DATUM(0), salt, CSM_SALT_BYTES))
		PG_RETURN_NULL();
	csm_hash_payload(salt, text_argument(fcinfo, 1), PG_GETARG_JSONB_P(2), hash);
	PG_RETURN_BYTEA_P(hash_result(hash));
}

/*
 * csm_private.history_link_hash(previous_hash, id, tenant_id, case_id, seq, at, action,
 * actor_id, persona, relation, on_behalf_of, audience, payload_hash); null for
 * what cannot be a link.
 */
Datum
csm_history_link_hash(PG_FUNCTION_ARGS)
{
	CsmLink		link = {0};
	uint8		hash[CSM_HASH_BYTES];

	for (int i = 1; i <= 6; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	link.first = PG_ARGISNULL(0);
	if (!link.first && !take_bytes(PG_GETARG_DATUM(0), link.previous, CSM_HASH_BYTES))
		PG_RETURN_NULL();
	link.id = PG_GETARG_INT64(1);
	link.tenant_id = PG_GETARG_INT64(2);
	link.case_id = PG_GETARG_INT64(3);
	link.seq = PG_GETARG_INT64(4);
	link.at = PG_GETARG_TIMESTAMPTZ(5);
	link.action = text_argument(fcinfo, 6);
	link.actor_id = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
	link.persona = text_argument(fcinfo, 8);
	link.relation = text_argument(fcinfo, 9);
	link.on_behalf_of = PG_ARGISNULL(10) ? 0 : PG_GETARG_INT64(10);
	link.audience = text_argument(fcinfo, 11);
	if (PG_ARGISNULL(12) || !take_bytes(PG_GETARG_DATUM(12), link.payload_hash, CSM_HASH_BYTES))
		PG_RETURN_NULL();
	csm_hash_link(&link, hash);
	PG_RETURN_BYTEA_P(hash_result(hash));
}

/* csm_private.history_leaf(tenant_id, case_id, length, last_hash) */
Datum
csm_history_leaf(PG_FUNCTION_ARGS)
{
	StringInfoData form;
	uint8		last[CSM_HASH_BYTES];
	uint8		hash[CSM_HASH_BYTES];

	if (!take_bytes(PG_GETARG_DATUM(3), last, CSM_HASH_BYTES))
		PG_RETURN_NULL();
	initStringInfo(&form);
	appendStringInfoString(&form, "csm leaf 1");
	put_int8(&form, PG_GETARG_INT64(0));
	put_int8(&form, PG_GETARG_INT64(1));
	put_int8(&form, PG_GETARG_INT64(2));
	put_bytes(&form, last, CSM_HASH_BYTES);
	hash_bytes_of(form.data, form.len, hash);
	PG_RETURN_BYTEA_P(hash_result(hash));
}

static void
hash_node(const uint8 *left, const uint8 *right, uint8 *hash)
{
	char		form[10 + 2 * CSM_HASH_BYTES];

	memcpy(form, "csm node 1", 10);
	memcpy(form + 10, left, CSM_HASH_BYTES);
	memcpy(form + 10 + CSM_HASH_BYTES, right, CSM_HASH_BYTES);
	hash_bytes_of(form, sizeof(form), hash);
}

/* csm_private.history_root(leaves bytea[]) */
Datum
csm_history_root(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *leaves;
	bool	   *nulls;
	int			n;
	uint8		(*level)[CSM_HASH_BYTES];

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &leaves, &nulls, &n);
	if (n == 0)
		PG_RETURN_NULL();
	level = palloc((Size) n * CSM_HASH_BYTES);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i] || !take_bytes(leaves[i], level[i], CSM_HASH_BYTES))
			PG_RETURN_NULL();
	}
	for (; n > 1; n = (n + 1) / 2)
	{
		for (int i = 0; i + 1 < n; i += 2)
			hash_node(level[i], level[i + 1], level[i / 2]);
		if (n % 2 == 1)
			memmove(level[n / 2], level[n - 1], CSM_HASH_BYTES);
	}
	PG_RETURN_BYTEA_P(hash_result(level[0]));
}

/* csm_private.history_seal(previous_hash, tenant_id, seq, at, leaves, root) */
Datum
csm_history_seal(PG_FUNCTION_ARGS)
{
	StringInfoData form;
	uint8		previous[CSM_HASH_BYTES] = {0};
	uint8		root[CSM_HASH_BYTES];
	uint8		hash[CSM_HASH_BYTES];

	for (int i = 1; i <= 5; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	if ((!PG_ARGISNULL(0) && !take_bytes(PG_GETARG_DATUM(0), previous, CSM_HASH_BYTES)) ||
		!take_bytes(PG_GETARG_DATUM(5), root, CSM_HASH_BYTES))
		PG_RETURN_NULL();
	initStringInfo(&form);
	appendStringInfoString(&form, "csm seal 1");
	put_bytes(&form, previous, CSM_HASH_BYTES);
	put_int8(&form, PG_GETARG_INT64(1));
	put_int8(&form, PG_GETARG_INT64(2));
	put_int8(&form, PG_GETARG_TIMESTAMPTZ(3));
	put_int8(&form, PG_GETARG_INT64(4));
	put_bytes(&form, root, CSM_HASH_BYTES);
	hash_bytes_of(form.data, form.len, hash);
	PG_RETURN_BYTEA_P(hash_result(hash));
}
