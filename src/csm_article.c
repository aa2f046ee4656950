/*
 * csm_article.c
 *	  Who sees a row of csm.articles: the rule of its policy, and the keys by
 *	  which an index finds what somebody sees.
 *
 * The rule, for who is signed in (the policy for visitors is plain SQL, in
 * sql/install/86_knowledge.sql):
 *	- who manages the audience sees everything;
 *	- what is published and has not expired is seen by who reads as one of the
 *	  audience, and by all where it is public;
 *	- what is being written is seen by its author while he may contribute.
 * One function rather than an OR of predicates, because three arms are planned
 * and evaluated three times, and because an OR can be answered from indexes
 * only by a bitmap of all its rows: a list that wants a hundred of them would
 * wait for it.
 *
 * An article's key is its audience, or CSM_ARTICLE_PUBLIC.  Nobody sees an
 * article whose key is none of his, so that key = ANY (keys) is an index
 * condition.
 *
 * Leakproof for the reasons at the top of csm_access.c: what is no state of an
 * article, an audience of nobody's, a NULL are just false.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_audience.h"
#include "csm_compat.h"

static bool
is_state(const text *state, const char *name, int len)
{
	return (int) VARSIZE_ANY_EXHDR(state) == len && memcmp(VARDATA_ANY(state), name, len) == 0;
}

#define IS_STATE(state, name) is_state(state, name, (int) sizeof(name) - 1)

PG_FUNCTION_INFO_V1(csm_article_shown);

/* csm_private.article_shown(article_key, audience_id, state, expires_at, author_id) */
Datum
csm_article_shown(PG_FUNCTION_ARGS)
{
	CsmMap	   *map = csm_map_current();
	CsmAudienceBits bits;
	const text *state;

	if (map == NULL || PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	bits = csm_map_audience_bits(map, PG_GETARG_INT64(1));
	if (bits & CSM_AUDIENCE_BIT(CSM_AUDIENCE_MANAGE))
		PG_RETURN_BOOL(true);
	if (bits == 0 && PG_GETARG_INT64(0) != CSM_ARTICLE_PUBLIC)
		PG_RETURN_BOOL(false);

	state = PG_GETARG_TEXT_PP(2);
	if (IS_STATE(state, "published"))
		PG_RETURN_BOOL((PG_GETARG_INT64(0) == CSM_ARTICLE_PUBLIC || (bits & CSM_AUDIENCE_BIT(CSM_AUDIENCE_READ))) &&
					   (PG_ARGISNULL(3) || PG_GETARG_TIMESTAMPTZ(3) > GetCurrentStatementStartTimestamp()));
	if (IS_STATE(state, "draft") || IS_STATE(state, "review"))
		PG_RETURN_BOOL((bits & CSM_AUDIENCE_BIT(CSM_AUDIENCE_CONTRIBUTE)) &&
					   !PG_ARGISNULL(4) && PG_GETARG_INT64(4) == csm_map_user(map));
	PG_RETURN_BOOL(false);
}
