/*
 * csm_sign_in.c
 *	  csm.sign_in(): from a token to a person.
 *
 * What csm issued itself is looked up (csm_session_token.c).  An ID token is
 * judged by the providers of the visitor's tenant: what they demand, their keys
 * and who their subjects are stand in tables.  A refusal is a row that says no
 * more than that; the reason goes to the audit log.  It leaves nobody signed in,
 * whoever was before.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm.h"
#include "csm_session_token.h"
#include "csm_spi.h"
#include "csm_token.h"

/* A provider and one of its keys that the token may be signed with. */
typedef struct Candidate
{
	int64		provider_id;
	CsmTokenRules rules;
	bool		single_use;
	char	   *subject_claim;
	int64		key_id;			/* 0: no key of that name */
	char	   *jwk;
	bool		allowed;		/* the key, for the token's algorithm */
} Candidate;

typedef struct Attempt
{
	int64		tenant_id;
	int64		provider_id;
	int64		user_id;
	TimestampTz until;
	const char *refusal;
} Attempt;

typedef struct Found
{
	MemoryContext context;		/* in which refusal is kept */
	int64		user_id;
	char	   *refusal;
} Found;

static char *
text_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
int_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
bool_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && DatumGetBool(value);
}

typedef struct CandidateList
{
	MemoryContext context;
	List	   *all;
} CandidateList;

static void
take_candidate(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CandidateList *list = (CandidateList *) arg;
	MemoryContext before = MemoryContextSwitchTo(list->context);
	Candidate  *c = palloc0(sizeof(Candidate));

	c->provider_id = int_column(tuple, desc, 1);
	c->rules.issuer = text_column(tuple, desc, 2);
	c->rules.audience = text_column(tuple, desc, 3);
	c->rules.skew = int_column(tuple, desc, 4);
	c->rules.nonce_required = bool_column(tuple, desc, 5);
	c->single_use = bool_column(tuple, desc, 6);
	c->subject_claim = text_column(tuple, desc, 7);
	c->key_id = int_column(tuple, desc, 8);
	c->jwk = text_column(tuple, desc, 9);
	c->allowed = bool_column(tuple, desc, 10);
	list->all = lappend(list->all, c);
	MemoryContextSwitchTo(before);
}

/* Providers with the token's issuer; of their keys those that its header names. */
static List *
candidates_for(const CsmToken *token, int64 tenant_id)
{
	static const char sql[] =
		"SELECT p.id, p.issuer, p.audience, (extract(epoch FROM p.clock_skew) * 1000000)::bigint,"
		" p.require_nonce, p.single_use, p.subject_claim, k.id, k.jwk::text,"
		" $3 = ANY (p.algorithms) AND $3 = ANY (k.algorithms)"
		" FROM csm.identity_providers p"
		" LEFT JOIN csm.identity_provider_keys k ON k.provider_id = p.id AND k.tenant_id = p.tenant_id"
		" AND ($4 IS NULL OR k.kid = $4)"
		" WHERE p.tenant_id = $1 AND p.issuer = $2 AND p.enabled";
	const char *issuer = csm_token_text(token, "iss");
	const char *key_id = csm_token_key_id(token);
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', key_id == NULL ? 'n' : ' '};
	CandidateList list = {CurrentMemoryContext, NIL};

	if (issuer == NULL)
		return NIL;
	values[0] = Int64GetDatum(tenant_id);
	values[1] = CStringGetTextDatum(issuer);
	values[2] = CStringGetTextDatum(csm_token_algorithm(token));
	values[3] = key_id == NULL ? (Datum) 0 : CStringGetTextDatum(key_id);
	csm_spi_query(sql, 4, types, values, nulls, take_candidate, &list);
	return list.all;
}

/*
 * The one key that the token may be signed with.  A token that names none is
 * accepted where its provider has a single key for its algorithm: trying them
 * all would let the token choose.  Of a token for nobody here the signature is
 * looked at all the same, so that the audit log tells a forged one from one
 * that went to the wrong door.
 */
static const Candidate *
choose(const CsmToken *token, List *candidates, const char **refusal)
{
	const Candidate *chosen = NULL;
	bool		for_us = false;
	ListCell   *cell;

	*refusal = candidates == NIL ? "unknown_provider" : "unknown_key";
	foreach(cell, candidates)
	{
		const Candidate *c = lfirst(cell);
		bool		fits = csm_token_is_for(token, c->rules.audience);

		if (c->key_id == 0 || fits < for_us)
			continue;
		if (!c->allowed)
		{
			*refusal = "algorithm";
			continue;
		}
		if (chosen != NULL && fits && for_us)
		{
			*refusal = "ambiguous_key";
			return NULL;
		}
		chosen = c;
		for_us = fits;
	}
	return chosen;
}

static void
take_found(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Found	   *found = (Found *) arg;

	char	   *refusal = text_column(tuple, desc, 2);

	found->user_id = int_column(tuple, desc, 1);
	found->refusal = refusal ? MemoryContextStrdup(found->context, refusal) : NULL;
}

/* The person whom the provider calls so; linked or made when that is wanted. */
static const char *
find_person(const CsmToken *token, const Candidate *c, Attempt *attempt)
{
	static const char known[] =
		"SELECT u.id, CASE WHEN NOT u.enabled THEN 'disabled' END"
		" FROM csm.external_identities e JOIN csm.users u ON u.id = e.user_id AND u.tenant_id = e.tenant_id"
		" WHERE e.provider_id = $1 AND e.subject = $2 AND e.tenant_id = $3";
	static const char unknown[] =
		"SELECT a.user_id, a.refusal FROM csm_private.adopt_subject($1, $2, $3, $4::text::jsonb) a";
	const char *subject = csm_token_text(token, c->subject_claim);
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, TEXTOID};
	Datum		values[4];
	Found		found = {CurrentMemoryContext, 0, NULL};

	if (subject == NULL || subject[0] == '\0' || strlen(subject) > 400)
		return "subject";
	values[0] = Int64GetDatum(c->provider_id);
	values[1] = CStringGetTextDatum(subject);
	values[2] = Int64GetDatum(attempt->tenant_id);
	if (csm_spi_query(known, 3, types, values, NULL, take_found, &found) == 0)
	{
		if (RecoveryInProgress())
			return "unknown_subject";
		values[3] = CStringGetTextDatum(csm_token_claims(token));
		csm_spi_write(unknown, 4, types, values, NULL, take_found, &found);
	}
	attempt->user_id = found.user_id;
	return found.refusal;
}

static void
take_bool(HeapTuple tuple, TupleDesc desc, void *arg)
{
	*(bool *) arg = bool_column(tuple, desc, 1);
}

/* A token that may be used once, is used now. */
static bool
spend(const CsmToken *token, const Candidate *c, const Attempt *attempt)
{
	static const char sql[] = "SELECT csm_private.spend_token($1, $2, $3, $4)";
	const char *jti = csm_token_text(token, "jti");
	Oid			types[4] = {INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[4];
	bool		spent = false;

	if (jti == NULL || jti[0] == '\0')
		return false;
	values[0] = Int64GetDatum(attempt->tenant_id);
	values[1] = Int64GetDatum(c->provider_id);
	values[2] = CStringGetTextDatum(jti);
	values[3] = TimestampTzGetDatum(attempt->until);
	csm_spi_write(sql, 4, types, values, NULL, take_bool, &spent);
	return spent;
}

/* NULL when the token is good and *attempt says whose it is. */
static const char *
judge_id_token(const text *compact, const char *nonce, Attempt *attempt)
{
	TimestampTz now = GetCurrentTimestamp();
	const char *refusal;
	const Candidate *c;
	CsmTokenRules rules;
	CsmToken   *token;

	attempt->tenant_id = csm_guest_tenant();
	if (attempt->tenant_id == 0)
		return "tenant";
	token = csm_token_open(VARDATA_ANY(compact), VARSIZE_ANY_EXHDR(compact), &refusal);
	if (token == NULL)
		return refusal;
	c = choose(token, candidates_for(token, attempt->tenant_id), &refusal);
	if (c == NULL)
		return refusal;
	attempt->provider_id = c->provider_id;
	if (!csm_token_signed_by(token, c->key_id, c->jwk))
		return "signature";
	rules = c->rules;
	rules.nonce = nonce;
	refusal = csm_token_refusal(token, &rules, now, &attempt->until);
	if (refusal != NULL)
		return refusal;
	refusal = find_person(token, c, attempt);
	if (refusal != NULL)
		return refusal;
	if (c->single_use && !spend(token, c, attempt))
		return "replayed";
	return NULL;
}

static void
record_refusal(const Attempt *attempt)
{
	static const char sql[] = "SELECT csm_private.record_refusal($1, 'token', $2, $3, $4)";
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, INT8OID};
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};

	if (attempt->tenant_id == 0 || RecoveryInProgress())
		return;
	values[0] = Int64GetDatum(attempt->tenant_id);
	values[1] = CStringGetTextDatum(attempt->refusal);
	values[2] = Int64GetDatum(attempt->user_id);
	nulls[2] = attempt->user_id == 0 ? 'n' : ' ';
	values[3] = Int64GetDatum(attempt->provider_id);
	nulls[3] = attempt->provider_id == 0 ? 'n' : ' ';
	csm_spi_write(sql, 4, types, values, nulls, NULL, NULL);
}

/* An ID token has dots; what csm issued has none. */
static bool
is_id_token(const text *token)
{
	return memchr(VARDATA_ANY(token), '.', VARSIZE_ANY_EXHDR(token)) != NULL;
}

/* NULL when the person is signed in. */
static const char *
sign_in(const text *token, const char *nonce, bool local, Attempt *attempt)
{
	const char *refusal;

	if (is_id_token(token))
	{
		refusal = judge_id_token(token, nonce, attempt);
		if (refusal == NULL)
			csm_session_sign_in(attempt->user_id, local, attempt->until, 0);
		return refusal;
	}
	attempt->user_id = csm_session_sign_in_by_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), local);
	if (attempt->user_id != 0)
		return NULL;
	attempt->tenant_id = csm_guest_tenant();
	return "session";
}

PG_FUNCTION_INFO_V1(csm_sign_in);

/* csm.sign_in(token, local, nonce): status, user_id */
Datum
csm_sign_in(PG_FUNCTION_ARGS)
{
	bool		local = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	char	   *nonce = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	Attempt		attempt = {.until = DT_NOEND};
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "csm.sign_in() does not return a row");
	attempt.refusal = PG_ARGISNULL(0) ? "malformed"
		: sign_in(PG_GETARG_TEXT_PP(0), nonce, local, &attempt);
	if (attempt.refusal != NULL)
	{
		csm_session_sign_out(local);
		record_refusal(&attempt);
	}
	values[0] = CStringGetTextDatum(attempt.refusal == NULL ? "signed_in" : "refused");
	values[1] = Int64GetDatum(attempt.user_id);
	nulls[1] = attempt.refusal != NULL;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(csm_key_algorithms);

/* csm_private.key_algorithms(jwk text): what it can verify, and why it cannot be used */
Datum
csm_key_algorithms(PG_FUNCTION_ARGS)
{
	const char *reason;
	const char *const *algorithms = csm_token_key_algorithms(text_to_cstring(PG_GETARG_TEXT_PP(0)), &reason);
	Datum		names[8];
	Datum		values[2];
	bool		nulls[2] = {algorithms == NULL, algorithms != NULL};
	TupleDesc	desc;
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "csm_private.key_algorithms() does not return a row");
	for (; algorithms != NULL && algorithms[n] != NULL; n++)
		names[n] = CStringGetTextDatum(algorithms[n]);
	values[0] = PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = algorithms == NULL ? CStringGetTextDatum(reason) : (Datum) 0;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
