/*
 * csm_token.c
 *	  Signed tokens (RFC 7515, 7519), verified with libcjose.
 *
 * The library decodes a token and checks its signature; everything else is
 * here, because it accepts what must not be accepted: any "crit" header, any
 * algorithm that fits the type of the key, a token that has expired.
 *
 * One parser reads the header: the library's, whose result is what the
 * signature is checked with.  The payload is what the library decoded, read
 * with the JSON parser that it brings (jansson), since that reports bad input
 * instead of raising an error, and refuses a name that stands twice.
 *
 * Nothing in a token chooses the key: the caller gives one from its table.
 * Keys are kept in the form in which the library imports them, found by id and
 * compared with the text they were made from, so that a changed one is never
 * used.
 */
#include "postgres.h"

#include <math.h>

#include <cjose/cjose.h>
#include <jansson.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm_token.h"

#define KEPT_KEYS 32
#define MIN_RSA_BITS 2048

struct CsmToken
{
	cjose_jws_t *jws;
	json_t	   *header;			/* belongs to jws */
	json_t	   *claims;
	MemoryContextCallback on_reset;
};

typedef struct KeptKey
{
	int64		id;				/* 0: free */
	char	   *text;			/* malloc'd, as the key is */
	cjose_jwk_t *key;
} KeptKey;

static KeptKey kept_keys[KEPT_KEYS];

static const char *const rsa_algorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", NULL};
static const char *const p256_algorithms[] = {"ES256", NULL};
static const char *const p384_algorithms[] = {"ES384", NULL};
static const char *const p521_algorithms[] = {"ES512", NULL};

/* The library allocates outside memory contexts: this ends what it made with the context. */
static void
release_token(void *arg)
{
	CsmToken   *token = (CsmToken *) arg;

	if (token->claims != NULL)
		json_decref(token->claims);
	if (token->jws != NULL)
		cjose_jws_release(token->jws);
	token->claims = NULL;
	token->jws = NULL;
}

/* By table: letters and digits come in no order that a branch could foresee. */
static const bool in_base64url[256] = {
	['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true, ['_'] = true
};

/* Three parts of base64url without padding, each of a length that can occur. */
static bool
well_formed(const char *compact, size_t length)
{
	const char *end = compact + length;

	for (int part = 1; part <= 3; part++)
	{
		const char *start = compact;

		while (compact < end && in_base64url[(unsigned char) *compact])
			compact++;
		if (compact == start || (compact - start) % 4 == 1)
			return false;
		if (part < 3 && (compact == end || *compact++ != '.'))
			return false;
	}
	return compact == end;
}

/* Text of another encoding than the server's would have to be converted, which may raise an error. */
static bool
server_can_read(const char *text, size_t length)
{
	if (GetDatabaseEncoding() == PG_UTF8)
		return true;
	for (size_t i = 0; i < length; i++)
	{
		if (IS_HIGHBIT_SET(text[i]))
			return false;
	}
	return true;
}

CsmToken *
csm_token_open(const char *compact, size_t length, const char **reason)
{
	CsmToken   *token;
	uint8_t    *payload;
	size_t		payload_length;
	cjose_err	error;

	*reason = "malformed";
	if (length > CSM_TOKEN_MAX_LENGTH)
	{
		*reason = "too_large";
		return NULL;
	}
	if (!well_formed(compact, length))
		return NULL;

	token = palloc0(sizeof(CsmToken));
	token->on_reset.func = release_token;
	token->on_reset.arg = token;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &token->on_reset);

	token->jws = cjose_jws_import(compact, length, &error);
	if (token->jws == NULL)
		return NULL;
	token->header = (json_t *) cjose_jws_get_protected(token->jws);
	if (!json_is_object(token->header) || !cjose_jws_get_plaintext(token->jws, &payload, &payload_length, &error))
		return NULL;
	if (json_object_get(token->header, "crit") != NULL)
	{
		*reason = "critical_header";
		return NULL;
	}
	if (!server_can_read((const char *) payload, payload_length))
		return NULL;
	token->claims = json_loadb((const char *) payload, payload_length, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(token->claims))
		return NULL;
	if (csm_token_algorithm(token) == NULL)
	{
		*reason = "algorithm";
		return NULL;
	}
	*reason = NULL;
	return token;
}

static const char *
text_member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? json_string_value(value) : NULL;
}

const char *
csm_token_algorithm(const CsmToken *token)
{
	return text_member(token->header, "alg");
}

const char *
csm_token_key_id(const CsmToken *token)
{
	return text_member(token->header, "kid");
}

const char *
csm_token_text(const CsmToken *token, const char *claim)
{
	return text_member(token->claims, claim);
}

char *
csm_token_claims(const CsmToken *token)
{
	char	   *made = json_dumps(token->claims, JSON_COMPACT);
	char	   *claims = pstrdup(made ? made : "{}");

	free(made);
	return claims;
}

static KeptKey *
place_for(int64 key_id, const char *jwk)
{
	KeptKey    *kept = &kept_keys[(uint64) key_id % KEPT_KEYS];

	if (kept->id == key_id && strcmp(kept->text, jwk) == 0)
		return kept;
	kept->id = 0;
	if (kept->key != NULL)
		cjose_jwk_release(kept->key);
	free(kept->text);
	kept->key = NULL;
	kept->text = NULL;
	return kept;
}

bool
csm_token_signed_by(CsmToken *token, int64 key_id, const char *jwk)
{
	KeptKey    *kept = place_for(key_id, jwk);
	cjose_err	error;

	if (kept->id == 0)
	{
		kept->text = strdup(jwk);
		kept->key = cjose_jwk_import(jwk, strlen(jwk), &error);
		if (kept->text == NULL || kept->key == NULL)
			return false;
		kept->id = key_id;
	}
	return cjose_jws_verify(token->jws, kept->key, &error);
}

/*
 * A point in time, in seconds since 1970 (RFC 7519, 2: may have a fraction).
 * False when the claim is missing, or is no time that the server knows.
 */
static bool
time_claim(const CsmToken *token, const char *claim, TimestampTz *at)
{
	const json_t *value = json_object_get(token->claims, claim);
	double		seconds;

	if (!json_is_number(value))
		return false;
	seconds = json_number_value(value);
	/* from 1970 to the year 9999 */
	if (isnan(seconds) || seconds < 0 || seconds > 253402300799.0)
		return false;
	*at = (TimestampTz) (seconds * USECS_PER_SEC) -
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return true;
}

/* Meant for the audience; where for others too, issued to the audience (OpenID Connect Core, 3.1.3.7). */
bool
csm_token_is_for(const CsmToken *token, const char *audience)
{
	const json_t *value = json_object_get(token->claims, "aud");
	const json_t *party = json_object_get(token->claims, "azp");
	bool		found = false;

	if (json_is_string(value))
		found = strcmp(json_string_value(value), audience) == 0;
	else if (json_is_array(value))
	{
		for (size_t i = 0; i < json_array_size(value); i++)
		{
			const char *one = json_string_value(json_array_get(value, i));

			if (one == NULL)
				return false;
			found = found || strcmp(one, audience) == 0;
		}
		if (json_array_size(value) > 1 && party == NULL)
			return false;
	}
	if (party != NULL && (!json_is_string(party) || strcmp(json_string_value(party), audience) != 0))
		return false;
	return found;
}

const char *
csm_token_refusal(const CsmToken *token, const CsmTokenRules *rules, TimestampTz now, TimestampTz *until)
{
	const char *issuer = csm_token_text(token, "iss");
	const char *nonce = csm_token_text(token, "nonce");
	TimestampTz at;

	if (issuer == NULL || strcmp(issuer, rules->issuer) != 0)
		return "issuer";
	if (!csm_token_is_for(token, rules->audience))
		return "audience";

	/* An ID token has both (OpenID Connect Core, 2). */
	if (!time_claim(token, "exp", until))
		return "expired";
	*until += rules->skew;
	if (now >= *until)
		return "expired";
	if (!time_claim(token, "iat", &at) || at - rules->skew > now)
		return "issued_in_future";
	if (json_object_get(token->claims, "nbf") != NULL &&
		(!time_claim(token, "nbf", &at) || at - rules->skew > now))
		return "not_yet_valid";

	if (rules->nonce == NULL)
		return rules->nonce_required ? "nonce" : NULL;
	return nonce != NULL && strcmp(nonce, rules->nonce) == 0 ? NULL : "nonce";
}

/* Signing is what the key is for, as far as it says so (RFC 7517, 4.2 and 4.3). */
static bool
is_for_signing(const json_t *jwk)
{
	const char *use = text_member(jwk, "use");
	const json_t *operations = json_object_get(jwk, "key_ops");

	if (use != NULL && strcmp(use, "sig") != 0)
		return false;
	if (operations == NULL)
		return true;
	for (size_t i = 0; i < json_array_size(operations); i++)
	{
		const char *operation = json_string_value(json_array_get(operations, i));

		if (operation != NULL && strcmp(operation, "verify") == 0)
			return true;
	}
	return false;
}

static const char *const *
algorithms_of(const json_t *members, const char *jwk, const char **reason)
{
	static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
	const char *const *algorithms = NULL;
	cjose_jwk_t *key;
	cjose_err	error;

	for (int i = 0; i < (int) lengthof(secrets); i++)
	{
		if (json_object_get(members, secrets[i]) != NULL)
		{
			*reason = "it is a private or symmetric key";
			return NULL;
		}
	}
	if (!is_for_signing(members))
	{
		*reason = "it is not meant for signatures";
		return NULL;
	}
	key = cjose_jwk_import(jwk, strlen(jwk), &error);
	if (key == NULL)
	{
		*reason = "its type is not supported, or it is damaged";
		return NULL;
	}
	*reason = NULL;
	switch (cjose_jwk_get_kty(key, &error))
	{
		case CJOSE_JWK_KTY_RSA:
			if (cjose_jwk_get_keysize(key, &error) < MIN_RSA_BITS)
				*reason = "it is shorter than 2048 bits";
			else
				algorithms = rsa_algorithms;
			break;
		case CJOSE_JWK_KTY_EC:
			switch (cjose_jwk_EC_get_curve(key, &error))
			{
				case CJOSE_JWK_EC_P_256:
					algorithms = p256_algorithms;
					break;
				case CJOSE_JWK_EC_P_384:
					algorithms = p384_algorithms;
					break;
				case CJOSE_JWK_EC_P_521:
					algorithms = p521_algorithms;
					break;
				default:
					*reason = "its curve is not supported";
			}
			break;
		default:
			*reason = "it is a private or symmetric key";
	}
	cjose_jwk_release(key);
	return algorithms;
}

const char *const *
csm_token_key_algorithms(const char *jwk, const char **reason)
{
	json_t	   *members = json_loads(jwk, JSON_REJECT_DUPLICATES, NULL);
	const char *const *algorithms = NULL;

	*reason = "it is not a JSON object";
	if (json_is_object(members))
		algorithms = algorithms_of(members, jwk, reason);
	if (members != NULL)
		json_decref(members);
	return algorithms;
}
