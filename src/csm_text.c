/*
 * csm_text.c
 *	  Search that may run below a row-security policy: csm.matches() and
 *	  csm.contains(), and the support function that turns them into the
 *	  conditions of the indexes they need.
 *
 * Both functions are declared LEAKPROOF, so the planner may evaluate them, and
 * scan an index for them, before the policies have decided which rows the
 * person may see.  The promise is that nothing but their result depends on the
 * content of a row: no error, no message, no side effect.
 *
 * matches() is the server's own @@.  Its errors are about the query alone:
 * depth of the recursion, an operator it does not know.  What it allocates for
 * a row is bounded by the size of a tsvector (1 MB).
 *
 * contains() looks for one string in another after folding case.  There is no
 * pattern language that a row could break.  Text in a table is valid in the
 * encoding of the database, so folding it cannot meet a character that it does
 * not know; what the platform would refuse for its size is cut before
 * (MAX_HAYSTACK).  An index is asked with an ILIKE pattern, but compares
 * trigrams only; what it finds is rechecked by contains() itself.
 *
 * Neither argues about time: a row that takes longer to search takes longer.
 */
#include "postgres.h"

#include <math.h>
#include <string.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "tsearch/ts_locale.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "csm_compat.h"
#include "csm_plan.h"
#include "csm_text.h"

/* Entries of a text index against a row; trigrams give several lists to merge. */
#define MATCHES_BREADTH		10
#define CONTAINS_BREADTH	2

/* An index is asked for so many slices of time: each is a list to merge. */
#define MAX_SLICES			200

PG_FUNCTION_INFO_V1(csm_matches);
PG_FUNCTION_INFO_V1(csm_contains);
PG_FUNCTION_INFO_V1(csm_like_pattern);
PG_FUNCTION_INFO_V1(csm_text_support);

/* Strategies of the operator classes that we turn our functions into. */
#define TSEARCH_MATCH_STRATEGY	1	/* gin and gist tsvector_ops: @@ */
#define TRGM_ILIKE_STRATEGY		4	/* gin_trgm_ops, gist_trgm_ops: ~~* */

/* tsvector @@ tsquery; the server's headers have no name for it. */
#define OID_TS_MATCH_OP			3636

/*
 * Bytes of a haystack that contains() looks at.  Folding needs four bytes a
 * character and must not meet the limit of an allocation, which would be an
 * error that depends on the row.
 */
#define MAX_HAYSTACK			(64 * 1024 * 1024)

/* Up to this size the buffer for folding is kept from row to row. */
#define KEPT_BUFFER				(256 * 1024)

/* What contains() remembers from row to row. */
typedef struct ContainsState
{
	char	   *needle;			/* as given, to notice another one */
	int			needle_len;
	char	   *folded;
	int			folded_len;
	bool		folded_is_ascii;
	char	   *buffer;
	int			buffer_size;
} ContainsState;

Datum
csm_matches(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall2(ts_match_vq, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
}

/*
 * Does the database fold the 26 letters as English does?  Turkish and
 * Azerbaijani do not.  The locale of a database never changes.
 */
static bool
ascii_folds_plainly(void)
{
	static int	known = -1;

	if (known < 0)
	{
		char	   *folded = str_tolower("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26, DEFAULT_COLLATION_OID);

		known = strcmp(folded, "abcdefghijklmnopqrstuvwxyz") == 0;
		pfree(folded);
	}
	return known == 1;
}

/*
 * Fold ASCII text into "to"; false when a byte is not ASCII, and then "to" is
 * of no use.  No branch in the loop, so that the compiler vectorises it.
 */
static bool
fold_ascii(char *to, const char *from, int len)
{
	unsigned char seen = 0;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) from[i];

		seen |= c;
		to[i] = (char) (c + (((unsigned char) (c - 'A') < 26) << 5));
	}
	return (seen & 0x80) == 0;
}

/*
 * Byte search.  In UTF-8 and in one-byte encodings a hit is a hit; in the
 * others it may begin in the middle of a character and is looked at again.
 */
static bool
find_bytes(const char *haystack, int haystack_len, const char *needle, int needle_len)
{
	int			encoding = GetDatabaseEncoding();
	const char *end = haystack + haystack_len;
	const char *character = haystack;
	const char *hit = haystack;

	while ((hit = memmem(hit, end - hit, needle, needle_len)) != NULL)
	{
		if (encoding == PG_UTF8 || pg_database_encoding_max_length() == 1)
			return true;
		while (character < hit)
			character += pg_encoding_mblen(encoding, character);
		if (character == hit)
			return true;
		hit++;
	}
	return false;
}

/* The state for this needle. */
static ContainsState *
contains_state(FmgrInfo *flinfo, const char *needle, int needle_len)
{
	ContainsState *state = flinfo->fn_extra;
	MemoryContext old;

	if (state != NULL && state->needle_len == needle_len &&
		memcmp(state->needle, needle, needle_len) == 0)
		return state;

	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	if (state == NULL)
		state = palloc0(sizeof(ContainsState));
	else
	{
		/* Until it is complete it must match no needle. */
		flinfo->fn_extra = NULL;
		pfree(state->needle);
		pfree(state->folded);
	}
	state->needle = pnstrdup(needle, needle_len);
	state->needle_len = needle_len;
	state->folded = str_tolower(needle, needle_len, DEFAULT_COLLATION_OID);
	state->folded_len = (int) strlen(state->folded);
	state->folded_is_ascii = true;
	for (int i = 0; i < state->folded_len; i++)
		if (IS_HIGHBIT_SET(state->folded[i]))
			state->folded_is_ascii = false;
	flinfo->fn_extra = state;
	MemoryContextSwitchTo(old);
	return state;
}

/*
 * Is the needle somewhere in the haystack, regardless of case?  Case is folded
 * as the database's own collation does, whatever the arguments' collation:
 * pg_trgm knows only that one, and the answer must not depend on the plan.
 */
Datum
csm_contains(PG_FUNCTION_ARGS)
{
	text	   *haystack = PG_GETARG_TEXT_PP(0);
	text	   *needle = PG_GETARG_TEXT_PP(1);
	const char *data = VARDATA_ANY(haystack);
	int			len = VARSIZE_ANY_EXHDR(haystack);
	ContainsState *state = contains_state(fcinfo->flinfo, VARDATA_ANY(needle),
										  VARSIZE_ANY_EXHDR(needle));
	char	   *folded;
	bool		found;

	if (state->folded_len == 0)
		PG_RETURN_BOOL(true);
	if (len > MAX_HAYSTACK)
		len = pg_mbcliplen(data, len, MAX_HAYSTACK);

	/* Most text is ASCII, and folding that is cheap. */
	if (ascii_folds_plainly())
	{
		if (state->buffer_size < len)
		{
			int			size = Max(1024, len);

			if (state->buffer != NULL)
				pfree(state->buffer);
			state->buffer = NULL;
			state->buffer_size = 0;
			state->buffer = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, size);
			state->buffer_size = size;
		}
		if (fold_ascii(state->buffer, data, len))
		{
			found = state->folded_is_ascii &&
				memmem(state->buffer, len, state->folded, state->folded_len) != NULL;
			goto done;
		}
	}

	folded = str_tolower(data, len, DEFAULT_COLLATION_OID);
	found = find_bytes(folded, (int) strlen(folded), state->folded, state->folded_len);
	pfree(folded);

done:
	if (state->buffer_size > KEPT_BUFFER)
	{
		pfree(state->buffer);
		state->buffer = NULL;
		state->buffer_size = 0;
	}
	PG_FREE_IF_COPY(haystack, 0);
	PG_RETURN_BOOL(found);
}

/* %needle%, with what LIKE would read as its own escaped. */
Datum
csm_like_pattern(PG_FUNCTION_ARGS)
{
	text	   *needle = PG_GETARG_TEXT_PP(0);
	const char *from = VARDATA_ANY(needle);
	const char *end = from + VARSIZE_ANY_EXHDR(needle);
	text	   *pattern = palloc(VARHDRSZ + 2 + 2 * (Size) (end - from));
	char	   *to = VARDATA(pattern);

	*to++ = '%';
	while (from < end)
	{
		int			len = Min(pg_encoding_mblen(GetDatabaseEncoding(), from), (int) (end - from));

		if (*from == '%' || *from == '_' || *from == '\\')
			*to++ = '\\';
		memcpy(to, from, len);
		to += len;
		from += len;
	}
	*to++ = '%';
	SET_VARSIZE(pattern, to - (char *) pattern);
	PG_RETURN_TEXT_P(pattern);
}

/* The expression csm_private.like_pattern(needle); NULL if it is missing. */
static Expr *
pattern_expression(Expr *needle)
{
	Oid			text_oid = TEXTOID;
	oidvector  *arguments = buildoidvector(&text_oid, 1);
	Oid			schema = get_namespace_oid("csm_private", true);
	Oid			function = InvalidOid;

	if (OidIsValid(schema))
		function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
								   CStringGetDatum("like_pattern"),
								   PointerGetDatum(arguments),
								   ObjectIdGetDatum(schema));
	if (!OidIsValid(function))
		return NULL;
	return (Expr *) makeFuncExpr(function, TEXTOID, list_make1(copyObject(needle)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Is this a character of which pg_trgm makes trigrams? */
static bool
is_word_character(const char *c)
{
#if PG_VERSION_NUM >= 180000
	return t_isalnum(c);
#else
	return t_isalpha(c) || t_isdigit(c);
#endif
}

/*
 * Three word characters in a row make a trigram that every matching row has.
 * Without one pg_trgm would scan the whole index.
 */
static bool
has_trigram(text *needle)
{
	char	   *copy = text_to_cstring(needle);
	int			run = 0;

	for (char *c = copy; *c != '\0' && run < 3; c += pg_mblen(c))
		run = is_word_character(c) ? run + 1 : 0;
	pfree(copy);
	return run >= 3;
}

/*
 * Before version 18 pg_trgm folds by libc, whatever provider the database has.
 * With another provider an index could miss rows.
 */
bool
csm_trgm_folds_as_we_do(void)
{
#if PG_VERSION_NUM >= 180000
	return true;
#else
	static int	known = -1;

	if (known < 0)
	{
		HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));

		if (!HeapTupleIsValid(tuple))
			return false;
		known = ((Form_pg_database) GETSTRUCT(tuple))->datlocprovider == COLLPROVIDER_LIBC;
		ReleaseSysCache(tuple);
	}
	return known == 1;
#endif
}

/* What share of the rows has the words that the query asks for beside a needle; 1 where it asks for none. */
static Selectivity
words_beside(RelOptInfo *rel, Oid funcid)
{
	RegProcedure support = get_func_support(funcid);
	Selectivity share = 1;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		FuncExpr   *clause = (FuncExpr *) restriction->clause;

		if (IsA(clause, FuncExpr) && list_length(clause->args) == 2 && exprType(linitial(clause->args)) == TSVECTOROID &&
			get_func_support(clause->funcid) == support && restriction->norm_selec >= 0)
			share = Min(share, restriction->norm_selec);
	}
	return share;
}

/* The condition of the query on slices of time, or NULL. */
static FuncExpr *
slices_asked(RelOptInfo *rel, Oid funcid)
{
	RegProcedure support = get_func_support(funcid);
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		FuncExpr   *clause = (FuncExpr *) lfirst_node(RestrictInfo, cell)->clause;

		if (IsA(clause, FuncExpr) && list_length(clause->args) == 3 && get_func_support(clause->funcid) == support)
			return clause;
	}
	return NULL;
}

/* Are words worth an index, in those slices of time that the query asks for? */
static bool
words_are_worth_it(SupportRequestIndexCondition *req, Oid operator, List *args, Const *value)
{
	Selectivity share = csm_words_selectivity(req->root, linitial(args), value, 0);

	bool		common = csm_words_are_common(req->root, linitial(args), value);

	if (slices_asked(req->index->rel, req->funcid) != NULL)
		return csm_window_is_worth_it(req->root, req->index, share, MATCHES_BREADTH, common);
	return csm_index_is_worth_it(req->root, req->index,
								 restriction_selectivity(req->root, operator, args, InvalidOid, 0),
								 share, MATCHES_BREADTH, common);
}

/*
 * document @@ query for an index that knows the operator.  The operator and
 * our function are the same code, so nothing is left to check.
 */
static List *
matches_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Node	   *document = linitial(args);
	Node	   *query = lsecond(args);
	Const	   *value;
	Oid			operator;

	if (req->indexarg != 0 || !is_pseudo_constant_for_index(req->root, query, req->index))
		return NIL;
	operator = get_opfamily_member(req->opfamily, TSVECTOROID, TSQUERYOID, TSEARCH_MATCH_STRATEGY);
	if (!OidIsValid(operator) || get_opcode(operator) != F_TS_MATCH_VQ)
		return NIL;
	value = csm_expected_value(req->root, query);
	if (value != NULL && !words_are_worth_it(req, operator, args, value))
		return NIL;
	req->lossy = false;
	return list_make1(make_opclause(operator, BOOLOID, false,
									(Expr *) document, (Expr *) query, InvalidOid, InvalidOid));
}

/*
 * haystack ~~* like_pattern(needle) for a trigram index.  Whether it is worth
 * an index is judged by the value that the needle has now; the condition holds
 * the needle itself, so that a plan kept for another value stays right.  Lossy:
 * contains() has the last word on every row.  Beside words that fewer rows have
 * these are found first.
 */
static List *
contains_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Node	   *haystack = linitial(args);
	Node	   *needle = lsecond(args);
	Const	   *value;
	Selectivity share;
	Expr	   *pattern;

	if (req->indexarg != 0 || !is_pseudo_constant_for_index(req->root, needle, req->index))
		return NIL;
	if (get_opfamily_member(req->opfamily, TEXTOID, TEXTOID, TRGM_ILIKE_STRATEGY) != OID_TEXT_ICLIKE_OP)
		return NIL;
	value = csm_expected_value(req->root, needle);
	if (value == NULL || !csm_trgm_folds_as_we_do() || !has_trigram(DatumGetTextPP(value->constvalue)) ||
		(slices_asked(req->index->rel, req->funcid) != NULL && words_beside(req->index->rel, req->funcid) < 1))
		return NIL;
	share = csm_contains_selectivity(req->root, req->funcid, haystack, value, 0);
	if (share > 2 * words_beside(req->index->rel, req->funcid) ||
		!csm_index_is_worth_it(req->root, req->index, csm_guessed_selectivity(req->root, haystack, value, 0), share,
							   CONTAINS_BREADTH, true))
		return NIL;
	pattern = pattern_expression((Expr *) needle);
	if (pattern == NULL)
		return NIL;
	/* A needle written into the query gives a pattern that people can read. */
	if (IsA(needle, Const))
		pattern = (Expr *) eval_const_expressions(req->root, (Node *) pattern);
	req->lossy = true;
	return list_make1(make_opclause(OID_TEXT_ICLIKE_OP, BOOLOID, false,
									(Expr *) haystack, pattern,
									InvalidOid, DEFAULT_COLLATION_OID));
}

/*
 * slices && {first, ..., last}, beside words that are worth the same index:
 * alone it would fetch every row of the window.  The ends are known in the plan,
 * which is one of these values and no others.
 */
static List *
slices_index_condition(SupportRequestIndexCondition *req, List *args)
{
	Const	   *first = lsecond(args);
	Const	   *last = lthird(args);
	Datum		slices[MAX_SLICES];
	int64		n;
	ListCell   *cell;

	if (req->indexarg != 0 || !IsA(first, Const) || !IsA(last, Const) || first->constisnull || last->constisnull ||
		!op_in_opfamily(OID_ARRAY_OVERLAP_OP, req->opfamily))
		return NIL;
	n = DatumGetInt64(last->constvalue) - DatumGetInt64(first->constvalue) + 1;
	if (n < 1 || n > MAX_SLICES)
		return NIL;
	foreach(cell, req->index->rel->baserestrictinfo)
	{
		FuncExpr   *words = (FuncExpr *) lfirst_node(RestrictInfo, cell)->clause;
		Const	   *value;

		if (!IsA(words, FuncExpr) || list_length(words->args) != 2 || exprType(linitial(words->args)) != TSVECTOROID ||
			get_func_support(words->funcid) != get_func_support(req->funcid) ||
			(value = csm_expected_value(req->root, lsecond(words->args))) == NULL ||
			!csm_window_is_worth_it(req->root, req->index,
									csm_words_selectivity(req->root, linitial(words->args), value, 0), MATCHES_BREADTH,
									csm_words_are_common(req->root, linitial(words->args), value)))
			continue;
		for (int i = 0; i < n; i++)
			slices[i] = Int64GetDatum(DatumGetInt64(first->constvalue) + i);
		req->lossy = true;
		return list_make1(make_opclause(OID_ARRAY_OVERLAP_OP, BOOLOID, false, linitial(args),
										(Expr *) makeConst(INT8ARRAYOID, -1, InvalidOid, -1,
														   PointerGetDatum(construct_array(slices, (int) n, INT8OID, sizeof(int64),
																						   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
														   false, false),
										InvalidOid, InvalidOid));
	}
	return NIL;
}

/* What the operator says: where we know no better. */
static Selectivity
operator_selectivity(SupportRequestSelectivity *req, Oid operator, Oid collation)
{
	if (req->is_join)
		return join_selectivity(req->root, operator, req->args, collation, req->jointype, req->sjinfo);
	return restriction_selectivity(req->root, operator, req->args, collation, req->varRelid);
}

static void
text_selectivity(SupportRequestSelectivity *req)
{
	Const	   *needle;

	/* Slices say again what a range of the time has said. */
	if (list_length(req->args) == 3)
		req->selectivity = 1;
	else if (exprType(linitial(req->args)) == TSVECTOROID)
	{
		needle = req->is_join ? NULL : csm_expected_value(req->root, lsecond(req->args));
		req->selectivity = needle == NULL
			? operator_selectivity(req, OID_TS_MATCH_OP, InvalidOid)
			: csm_words_selectivity(req->root, linitial(req->args), needle, req->varRelid);
	}
	else if (!req->is_join && (needle = csm_expected_value(req->root, lsecond(req->args))) != NULL)
		req->selectivity = csm_contains_selectivity(req->root, req->funcid, linitial(req->args),
												needle, req->varRelid);
	else
		req->selectivity = operator_selectivity(req, OID_TEXT_ICLIKE_OP, DEFAULT_COLLATION_OID);
}

/* Planner support of matches(), contains() and in_slices(). */
Datum
csm_text_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	if (IsA(request, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *req = (SupportRequestIndexCondition *) request;

		if (is_funcclause(req->node))
		{
			List	   *args = ((FuncExpr *) req->node)->args;

			if (list_length(args) == 3)
				answer = (Node *) slices_index_condition(req, args);
			else if (exprType(linitial(args)) == TSVECTOROID)
				answer = (Node *) matches_index_condition(req, args);
			else if (exprType(linitial(args)) == TEXTOID)
				answer = (Node *) contains_index_condition(req, args);
		}
	}
	else if (IsA(request, SupportRequestSelectivity))
	{
		text_selectivity((SupportRequestSelectivity *) request);
		answer = request;
	}
	PG_RETURN_POINTER(answer);
}
