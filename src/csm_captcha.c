/*
 * csm_captcha.c
 *	  Proof of work as ALTCHA asks for it: challenges, and what solves one.
 *
 * Nothing is stored for a challenge: its signature says that it is ours.
 *
 *	  salt      = 24 hexadecimal digits "?expires=" seconds since 1970 "&"
 *	  challenge = hex(SHA-256(salt number))		number, in decimal, is secret
 *	  signature = hex(HMAC-SHA-256(key, challenge))
 *
 * The solver tries numbers up to maxnumber until the hash is the challenge.  The
 * salt ends with a character that is no digit, and only a salt of just this
 * form is accepted: else digits could be moved from the number to the time of
 * expiry, with the same hash.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "csm.h"

#define SALT_BYTES 12
#define HASH_BYTES PG_SHA256_DIGEST_LENGTH
#define HASH_DIGITS (2 * HASH_BYTES)
#define MAX_SALT 64
#define MAX_SECONDS INT64CONST(99999999999)
#define EPOCH_SHIFT ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static char *verifier_setting;

void
csm_captcha_init(void)
{
	DefineCustomStringVariable("csm.captcha_verifier",
							   "Function that verifies a captcha in place of csm's own proof of work.",
							   "Name with schema of a function (tenant_id bigint, payload text, source text) "
							   "that returns boolean; empty for the proof of work.",
							   &verifier_setting, "", PGC_SUSET,
							   GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

static void
to_hex(const uint8 *bytes, int len, char *digits)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < len; i++)
	{
		digits[2 * i] = hex[bytes[i] >> 4];
		digits[2 * i + 1] = hex[bytes[i] & 0xf];
	}
	digits[2 * len] = '\0';
}

static void
challenge_of(const char *salt, int64 number, char *digits)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	char		decimal[MAXINT8LEN + 1];
	uint8		hash[HASH_BYTES];

	pg_lltoa(number, decimal);
	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) salt, strlen(salt)) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) decimal, strlen(decimal)) < 0 ||
		pg_cryptohash_final(ctx, hash, HASH_BYTES) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the hash of a captcha")));
	pg_cryptohash_free(ctx);
	to_hex(hash, HASH_BYTES, digits);
}

static void
signature_of(const bytea *key, const char *challenge, char *digits)
{
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	uint8		hash[HASH_BYTES];

	if (ctx == NULL ||
		pg_hmac_init(ctx, (const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) challenge, strlen(challenge)) < 0 ||
		pg_hmac_final(ctx, hash, HASH_BYTES) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not sign a captcha")));
	pg_hmac_free(ctx);
	to_hex(hash, HASH_BYTES, digits);
}

/* Takes as long wherever the two differ. */
static bool
same_digits(const text *given, const char *wanted)
{
	const char *digits = VARDATA_ANY(given);
	int			differ = 0;

	if (VARSIZE_ANY_EXHDR(given) != HASH_DIGITS)
		return false;
	for (int i = 0; i < HASH_DIGITS; i++)
		differ |= digits[i] ^ wanted[i];
	return differ == 0;
}

/* The time of expiry in a salt of our form, in seconds since 1970; 0: of another. */
static int64
expiry_of(const char *salt)
{
	static const char infix[] = "?expires=";
	const char *p = salt;
	int64		seconds = 0;

	while ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f'))
		p++;
	if (p - salt != 2 * SALT_BYTES || strncmp(p, infix, sizeof(infix) - 1) != 0)
		return 0;
	for (p += sizeof(infix) - 1; *p >= '0' && *p <= '9'; p++)
	{
		seconds = seconds * 10 + (*p - '0');
		if (seconds > MAX_SECONDS)
			return 0;
	}
	return strcmp(p, "&") == 0 ? seconds : 0;
}

PG_FUNCTION_INFO_V1(csm_altcha_challenge);

/* key, maxnumber, expires: the JSON text that the widget expects. */
Datum
csm_altcha_challenge(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	int32		max_number = PG_GETARG_INT32(1);
	int64		seconds = PG_GETARG_TIMESTAMPTZ(2) / USECS_PER_SEC + EPOCH_SHIFT;
	uint8		random[SALT_BYTES];
	uint64		number;
	char		digits[2 * SALT_BYTES + 1];
	char		challenge[HASH_DIGITS + 1];
	char		signature[HASH_DIGITS + 1];
	char	   *salt;
	StringInfoData json;

	if (max_number < 1 || seconds < 1 || seconds > MAX_SECONDS || VARSIZE_ANY_EXHDR(key) < HASH_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key, greatest number or expiry of a captcha is out of range")));
	if (!pg_strong_random(random, sizeof(random)) || !pg_strong_random(&number, sizeof(number)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random numbers")));
	to_hex(random, SALT_BYTES, digits);
	salt = psprintf("%s?expires=" INT64_FORMAT "&", digits, seconds);
	challenge_of(salt, (int64) (number % ((uint64) max_number + 1)), challenge);
	signature_of(key, challenge, signature);

	initStringInfo(&json);
	appendStringInfo(&json,
					 "{\"algorithm\":\"SHA-256\",\"challenge\":\"%s\",\"maxnumber\":%d,\"salt\":\"%s\",\"signature\":\"%s\"}",
					 challenge, max_number, salt, signature);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

PG_FUNCTION_INFO_V1(csm_altcha_solved);

/*
 * key, challenge, number, salt, signature: until when the challenge may be
 * used; null when it is not ours or the number does not solve it.
 */
Datum
csm_altcha_solved(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	text	   *challenge = PG_GETARG_TEXT_PP(1);
	int64		number = PG_GETARG_INT64(2);
	text	   *salt_text = PG_GETARG_TEXT_PP(3);
	text	   *signature = PG_GETARG_TEXT_PP(4);
	char		wanted[HASH_DIGITS + 1];
	char		signed_as[HASH_DIGITS + 1];
	char	   *salt;
	int64		seconds;

	if (number < 0 || VARSIZE_ANY_EXHDR(salt_text) > MAX_SALT)
		PG_RETURN_NULL();
	salt = text_to_cstring(salt_text);
	seconds = expiry_of(salt);
	if (seconds == 0)
		PG_RETURN_NULL();
	challenge_of(salt, number, wanted);
	signature_of(key, wanted, signed_as);
	if (!same_digits(challenge, wanted) || !same_digits(signature, signed_as))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ((seconds - EPOCH_SHIFT) * USECS_PER_SEC);
}
