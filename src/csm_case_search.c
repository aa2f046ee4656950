/*
 * csm_case_search.c
 *	  The words of a case, for csm.matches(): number and subject weigh A, the
 *	  description B, by the text search configuration of the case's language.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "csm_case_row.h"
#include "csm_words.h"

void
csm_case_index_words(CsmCaseRow *row)
{
	char	   *language = csm_case_row_text(row, CASE_language);
	char	   *number = csm_case_row_text(row, CASE_number);
	char	   *subject = csm_case_row_text(row, CASE_subject);
	char	   *description = csm_case_row_text(row, CASE_description);
	Oid			config = csm_words_config(language);
	Datum		vector;

	if (!OidIsValid(config))
	{
		csm_case_row_set_null(row, CASE_search);
		return;
	}
	vector = csm_words_of(config, psprintf("%s %s", number ? number : "", subject ? subject : ""), 'A');
	if (description != NULL)
		vector = DirectFunctionCall2(tsvector_concat, vector, csm_words_of(config, description, 'B'));
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
