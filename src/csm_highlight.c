/*
 * csm_highlight.c
 *	  The passage of a text that answers a query, as HTML that is safe to show:
 *	  what the text holds is escaped, and the only tags are the <mark> around
 *	  words that were found.
 *
 * The server's ts_headline() puts two control characters around the words.
 * They are taken out of the text before, so that no text can bring its own.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "csm_compat.h"
#include "csm_words.h"

PG_FUNCTION_INFO_V1(csm_highlight);

#define BEGIN_MARK	'\001'
#define END_MARK	'\002'

/* Characters of a text that are looked through. */
#define MAX_TEXT	50000

/* Words of a passage. */
#define MAX_WORDS	200

static text *
without_marks(text *document)
{
	const char *from = VARDATA_ANY(document);
	int			length = pg_mbcharcliplen(from, (int) VARSIZE_ANY_EXHDR(document), MAX_TEXT);
	text	   *result = cstring_to_text_with_len(from, length);

	for (char *c = VARDATA(result); c < VARDATA(result) + length; c++)
	{
		if (*c == BEGIN_MARK || *c == END_MARK)
			*c = ' ';
	}
	return result;
}

static text *
as_html(text *marked)
{
	StringInfoData html;
	const char *end = VARDATA_ANY(marked) + VARSIZE_ANY_EXHDR(marked);

	initStringInfo(&html);
	for (const char *c = VARDATA_ANY(marked); c < end; c++)
	{
		switch (*c)
		{
			case BEGIN_MARK:
				appendStringInfoString(&html, "<mark>");
				break;
			case END_MARK:
				appendStringInfoString(&html, "</mark>");
				break;
			case '&':
				appendStringInfoString(&html, "&amp;");
				break;
			case '<':
				appendStringInfoString(&html, "&lt;");
				break;
			case '>':
				appendStringInfoString(&html, "&gt;");
				break;
			case '"':
				appendStringInfoString(&html, "&quot;");
				break;
			case '\'':
				appendStringInfoString(&html, "&#39;");
				break;
			default:
				appendStringInfoChar(&html, *c);
		}
	}
	return cstring_to_text_with_len(html.data, html.len);
}

/* csm.highlight(language, document, typed, words) */
Datum
csm_highlight(PG_FUNCTION_ARGS)
{
	Oid			config = csm_words_config(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	text	   *document = without_marks(PG_GETARG_TEXT_PP(1));
	char	   *typed = text_to_cstring(PG_GETARG_TEXT_PP(2));
	int			words = Max(5, Min(PG_GETARG_INT32(3), MAX_WORDS));
	char	   *options = psprintf("StartSel=\"%c\", StopSel=\"%c\", MaxWords=%d, MinWords=%d, ShortWord=0",
								   BEGIN_MARK, END_MARK, words, Max(3, words / 2));
	TSQuery		query;

	if (!OidIsValid(config))
		PG_RETURN_NULL();
	query = csm_words_any(typed, config, VARDATA_ANY(document), (int) VARSIZE_ANY_EXHDR(document));
	PG_RETURN_TEXT_P(as_html(DatumGetTextPP(DirectFunctionCall4(ts_headline_byid_opt, ObjectIdGetDatum(config),
																PointerGetDatum(document), TSQueryGetDatum(query),
																CStringGetTextDatum(options)))));
}
