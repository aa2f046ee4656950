/*
 * Message translation that does nothing, to be preloaded where the C library's own cannot be used.
 */
char *
bindtextdomain(const char *domain, const char *folder)
{
	return (char *) folder;
}

char *
textdomain(const char *domain)
{
	return (char *) domain;
}

char *
bind_textdomain_codeset(const char *domain, const char *codeset)
{
	return (char *) codeset;
}

char *
gettext(const char *message)
{
	return (char *) message;
}

char *
dgettext(const char *domain, const char *message)
{
	return (char *) message;
}

char *
dcgettext(const char *domain, const char *message, int category)
{
	return (char *) message;
}

char *
dcngettext(const char *domain, const char *singular, const char *plural, unsigned long count, int category)
{
	return (char *) (count == 1 ? singular : plural);
}

char *
dngettext(const char *domain, const char *singular, const char *plural, unsigned long count)
{
	return (char *) (count == 1 ? singular : plural);
}

char *
ngettext(const char *singular, const char *plural, unsigned long count)
{
	return (char *) (count == 1 ? singular : plural);
}
