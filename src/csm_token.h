/*
 * csm_token.h
 *	  A signed token (RFC 7515, 7519) and what it claims.
 */
#ifndef CSM_TOKEN_H
#define CSM_TOKEN_H

#include "datatype/timestamp.h"

typedef struct CsmToken CsmToken;

/* What a provider demands of its tokens. */
typedef struct CsmTokenRules
{
	const char *issuer;
	const char *audience;
	const char *nonce;			/* NULL: none was sent with the request */
	bool		nonce_required;
	int64		skew;			/* microseconds that clocks may differ */
} CsmTokenRules;

/* The longest token that is looked at. */
#define CSM_TOKEN_MAX_LENGTH 16384

/*
 * Reads a token, believing nothing: NULL where it is malformed, and *reason
 * says how.  Lives as long as CurrentMemoryContext.
 */
extern CsmToken *csm_token_open(const char *compact, size_t length, const char **reason);

extern const char *csm_token_algorithm(const CsmToken *token);
extern const char *csm_token_key_id(const CsmToken *token); /* NULL: none */
extern const char *csm_token_text(const CsmToken *token, const char *claim);	/* NULL: none, or no text */
extern bool csm_token_is_for(const CsmToken *token, const char *audience);
extern char *csm_token_claims(const CsmToken *token);	/* palloc'd JSON */

/* Was it signed by the key, whose algorithms the caller has looked at? */
extern bool csm_token_signed_by(CsmToken *token, int64 key_id, const char *jwk);

/*
 * Do its claims fit the rules at this moment?  NULL if so, else the reason.
 * *until is when it ends.
 */
extern const char *csm_token_refusal(const CsmToken *token, const CsmTokenRules *rules,
									 TimestampTz now, TimestampTz *until);

/* What a public key can verify, NULL-terminated; NULL and *reason for a key that must not be used. */
extern const char *const *csm_token_key_algorithms(const char *jwk, const char **reason);

#endif							/* CSM_TOKEN_H */
