/*
 * token.c
 *	  How long the verification of a token takes: csm's (src/csm_token.c, linked
 *	  in) against OpenSSL's alone, in one process.
 *
 * Processor time of this thread, in microseconds a token.  Database look-ups
 * (providers, keys, persons) are no part of either.
 */
#include "postgres.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csm_token.h"

PG_MODULE_MAGIC;

#define MAX_SIGNATURE 1024

static double
cpu_microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

PG_FUNCTION_INFO_V1(bench_csm);

/* bench.csm(token, jwk, issuer, audience, rounds): read, signature and claims */
Datum
bench_csm(PG_FUNCTION_ARGS)
{
	char	   *compact = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *jwk = text_to_cstring(PG_GETARG_TEXT_PP(1));
	CsmTokenRules rules = {.issuer = text_to_cstring(PG_GETARG_TEXT_PP(2)),
	.audience = text_to_cstring(PG_GETARG_TEXT_PP(3))};
	int			rounds = PG_GETARG_INT32(4);
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "token", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(one);
	double		start = cpu_microseconds();

	for (int i = 0; i < rounds; i++)
	{
		const char *reason;
		CsmToken   *token = csm_token_open(compact, strlen(compact), &reason);
		TimestampTz until;

		if (token == NULL || !csm_token_signed_by(token, 1, jwk) ||
			csm_token_refusal(token, &rules, GetCurrentTimestamp(), &until) != NULL)
			elog(ERROR, "the token is refused");
		MemoryContextReset(one);
	}
	start = cpu_microseconds() - start;
	MemoryContextSwitchTo(before);
	PG_RETURN_FLOAT8(start / rounds);
}

/* The two numbers of an ECDSA signature as OpenSSL takes them. */
static int
der_signature(const unsigned char *numbers, size_t length, unsigned char *der)
{
	ECDSA_SIG  *pair = ECDSA_SIG_new();
	int			made;

	ECDSA_SIG_set0(pair, BN_bin2bn(numbers, length / 2, NULL), BN_bin2bn(numbers + length / 2, length / 2, NULL));
	made = i2d_ECDSA_SIG(pair, &der);
	ECDSA_SIG_free(pair);
	return made;
}

PG_FUNCTION_INFO_V1(bench_openssl);

/* bench.openssl(signed text, signature, SubjectPublicKeyInfo, rounds): EVP_DigestVerify with SHA-256 */
Datum
bench_openssl(PG_FUNCTION_ARGS)
{
	text	   *message = PG_GETARG_TEXT_PP(0);
	bytea	   *given = PG_GETARG_BYTEA_PP(1);
	bytea	   *spki = PG_GETARG_BYTEA_PP(2);
	int			rounds = PG_GETARG_INT32(3);
	const unsigned char *key_bytes = (const unsigned char *) VARDATA_ANY(spki);
	EVP_PKEY   *key = d2i_PUBKEY(NULL, &key_bytes, VARSIZE_ANY_EXHDR(spki));
	unsigned char signature[MAX_SIGNATURE];
	size_t		length = VARSIZE_ANY_EXHDR(given);
	double		start;

	if (key == NULL || length > MAX_SIGNATURE / 2)
		elog(ERROR, "no key, or a signature too long");
	if (EVP_PKEY_base_id(key) == EVP_PKEY_EC)
		length = der_signature((const unsigned char *) VARDATA_ANY(given), length, signature);
	else
		memcpy(signature, VARDATA_ANY(given), length);

	start = cpu_microseconds();
	for (int i = 0; i < rounds; i++)
	{
		EVP_MD_CTX *context = EVP_MD_CTX_new();

		if (EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
			EVP_DigestVerify(context, signature, length, (const unsigned char *) VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message)) != 1)
			elog(ERROR, "the signature does not hold");
		EVP_MD_CTX_free(context);
	}
	start = cpu_microseconds() - start;
	EVP_PKEY_free(key);
	PG_RETURN_FLOAT8(start / rounds);
}
