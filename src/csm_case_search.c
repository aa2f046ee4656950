/*
 * csm_case_search.c
 *	  The words of a case, for csm.matches(): number and subject weigh A, the
 *	  description B, by the text search configuration of the case's language.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_ts_config.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "csm_case_row.h"

/*
 * As the check constraint of description: what is longer is refused by it, and
 * must not fail here before for being too long to be indexed.
 */
#define MAX_SEARCHED 100000

/* "english", or "schema.name" for a site's own; never the search_path. */
static Oid
text_search_config(const char *language)
{
	const char *dot = language ? strchr(language, '.') : NULL;
	Oid			schema = PG_CATALOG_NAMESPACE;
	Oid			config = InvalidOid;

	if (dot != NULL)
		schema = get_namespace_oid(pnstrdup(language, dot - language), true);
	if (language != NULL && OidIsValid(schema) && strlen(dot ? dot + 1 : language) < NAMEDATALEN)
		config = GetSysCacheOid2(TSCONFIGNAMENSP, Anum_pg_ts_config_oid,
								 CStringGetDatum(dot ? dot + 1 : language),
								 ObjectIdGetDatum(schema));
	if (!OidIsValid(config))
		config = GetSysCacheOid2(TSCONFIGNAMENSP, Anum_pg_ts_config_oid,
								 CStringGetDatum("simple"), ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	return config;
}

static Datum
weighted(Oid config, const char *words, char weight)
{
	int			length = pg_mbcharcliplen(words, strlen(words), MAX_SEARCHED);
	Datum		vector = DirectFunctionCall2(to_tsvector_byid, ObjectIdGetDatum(config),
											 PointerGetDatum(cstring_to_text_with_len(words, length)));

	return DirectFunctionCall2(tsvector_setweight, vector, CharGetDatum(weight));
}

void
csm_case_index_words(CsmCaseRow *row)
{
	char	   *language = csm_case_row_text(row, CASE_language);
	char	   *number = csm_case_row_text(row, CASE_number);
	char	   *subject = csm_case_row_text(row, CASE_subject);
	char	   *description = csm_case_row_text(row, CASE_description);
	Oid			config = text_search_config(language);
	Datum		vector;

	if (!OidIsValid(config))
	{
		csm_case_row_set_null(row, CASE_search);
		return;
	}
	vector = weighted(config, psprintf("%s %s", number ? number : "", subject ? subject : ""), 'A');
	if (description != NULL)
		vector = DirectFunctionCall2(tsvector_concat, vector, weighted(config, description, 'B'));
	csm_case_row_set(row, CASE_search, vector);
}

PG_FUNCTION_INFO_V1(csm_case_words);

/* csm_private.case_words(csm.cases) */
Datum
csm_case_words(PG_FUNCTION_ARGS)
{
	CsmCaseRow	row;

	csm_case_row_open_argument(&row, PG_GETARG_HEAPTUPLEHEADER(0));
	csm_case_index_words(&row);
	if (csm_case_row_null(&row, CASE_search))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(csm_case_row_value(&row, CASE_search));
}
