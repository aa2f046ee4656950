/*
 * csm_init.c
 *	  Module magic and start: each file with state of its own registers it.
 */
#include "postgres.h"

#include "fmgr.h"

#include "csm.h"
#include "csm_compat.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	csm_signal_init();
	csm_session_init();
	csm_explain_init();
	csm_captcha_init();
}
