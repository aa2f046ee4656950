/*
 * csm_session_token.h
 *	  The rows of csm.sessions: csm's own sessions, and API keys.
 */
#ifndef CSM_SESSION_TOKEN_H
#define CSM_SESSION_TOKEN_H

#include "csm.h"

typedef struct CsmSession
{
	int64		id;
	int64		user_id;
	bool		is_key;
	CsmActionBits actions;		/* an API key may narrow them; else all */
	char		persona[NAMEDATALEN + 16];	/* empty: all of the person's */
} CsmSession;

/* The row on which the identity stands, as it is now; NULL: gone. */
extern const CsmSession *csm_session_standing(int64 session_id);

/*
 * Signs in whose token it is, as csm_session_sign_in().  0, and nothing done,
 * where it is no token of a session or key, or one that has expired.
 */
extern int64 csm_session_sign_in_by_token(const char *token, int length, bool local);

#endif							/* CSM_SESSION_TOKEN_H */
