/*
 * csm_secret.c
 *	  Random tokens.
 */
#include "postgres.h"

#include "common/base64.h"
#include "fmgr.h"
#include "utils/builtins.h"

#define TOKEN_BYTES 32

PG_FUNCTION_INFO_V1(csm_new_token);

/* 256 random bits in base64url, without padding: 43 characters. */
Datum
csm_new_token(PG_FUNCTION_ARGS)
{
	uint8		random[TOKEN_BYTES];
	char		encoded[48];
	int			length;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random token")));
	length = pg_b64_encode((const void *) random, sizeof(random), encoded, sizeof(encoded));
	while (length > 0 && encoded[length - 1] == '=')
		length--;
	for (int i = 0; i < length; i++)
	{
		if (encoded[i] == '+')
			encoded[i] = '-';
		else if (encoded[i] == '/')
			encoded[i] = '_';
	}
	explicit_bzero(random, sizeof(random));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(encoded, length));
}
