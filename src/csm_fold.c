/*
 * csm_fold.c
 *	  Letters without their accents: decomposition by the server's own
 *	  Unicode tables, without the marks of Latin, Greek and Cyrillic, composed
 *	  again.  Marks of other scripts stay, because there they make other words.
 *	  No extension is needed, nothing depends on a file that a DBA may change,
 *	  and what is stored can be computed anew.
 */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"

#include "csm_fold.h"

/* Letters that people type without the mark, but that do not decompose. */
static const struct
{
	pg_wchar	letter;
	const char *plain;
}			letters[] = {
	{0x00C6, "AE"}, {0x00D0, "D"}, {0x00D8, "O"}, {0x00DE, "TH"},
	{0x00DF, "ss"}, {0x00E6, "ae"}, {0x00F0, "d"}, {0x00F8, "o"}, {0x00FE, "th"},
	{0x0110, "D"}, {0x0111, "d"}, {0x0126, "H"}, {0x0127, "h"}, {0x0131, "i"},
	{0x0138, "k"}, {0x0141, "L"}, {0x0142, "l"}, {0x014A, "N"}, {0x014B, "n"},
	{0x0152, "OE"}, {0x0153, "oe"}, {0x0166, "T"}, {0x0167, "t"}, {0x1E9E, "SS"},
	{0x2019, "'"},
};

/* Combining diacritical marks. */
static bool
is_mark(pg_wchar c)
{
	return c >= 0x0300 && c <= 0x036F;
}

static const char *
plain_letter(pg_wchar c)
{
	for (int i = 0; i < (int) lengthof(letters); i++)
	{
		if (letters[i].letter == c)
			return letters[i].plain;
	}
	return NULL;
}

static bool
is_ascii(const char *text, int length)
{
	unsigned char seen = 0;

	for (int i = 0; i < length; i++)
		seen |= (unsigned char) text[i];
	return (seen & 0x80) == 0;
}

static pg_wchar *
characters(const char *text, int length)
{
	pg_wchar   *result = palloc(sizeof(pg_wchar) * (length + 1));
	int			n = 0;

	for (const char *c = text; c < text + length; c += pg_utf_mblen((const unsigned char *) c))
		result[n++] = utf8_to_unicode((const unsigned char *) c);
	result[n] = 0;
	return result;
}

static char *
bytes(const pg_wchar *from)
{
	int			n = 0;
	char	   *result;
	char	   *to;

	while (from[n] != 0)
		n++;
	result = to = palloc(4 * (Size) n + 1);
	for (int i = 0; i < n; i++)
	{
		unicode_to_utf8(from[i], (unsigned char *) to);
		to += pg_utf_mblen((unsigned char *) to);
	}
	*to = '\0';
	return result;
}

char *
csm_fold_accents(const char *text, int length)
{
	pg_wchar   *apart;
	pg_wchar   *kept;
	char	   *folded;
	int			n = 0;

	if (GetDatabaseEncoding() != PG_UTF8 || is_ascii(text, length))
		return NULL;
	apart = unicode_normalize(UNICODE_NFKD, characters(text, length));
	while (apart[n] != 0)
		n++;
	kept = palloc(sizeof(pg_wchar) * (2 * (Size) n + 1));
	n = 0;
	for (pg_wchar *c = apart; *c != 0; c++)
	{
		const char *plain = *c < 0x80 ? NULL : plain_letter(*c);

		if (is_mark(*c))
			continue;
		if (plain == NULL)
			kept[n++] = *c;
		else
			while (*plain != '\0')
				kept[n++] = (pg_wchar) *plain++;
	}
	kept[n] = 0;
	folded = bytes(unicode_normalize(UNICODE_NFKC, kept));
	if ((int) strlen(folded) == length && memcmp(folded, text, length) == 0)
		return NULL;
	return folded;
}
