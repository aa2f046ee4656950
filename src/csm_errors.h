/*
 * csm_errors.h
 *	  Outcomes that a client must be able to tell apart, beside the standard
 *	  codes.
 *
 *	  SM001  no such case: unknown and hidden alike
 *	  SM002  transition not allowed from this state
 *	  SM003  required field missing
 *	  SM004  case is closed
 *	  SM005  account tree would contain a cycle
 *	  SM006  idempotency key reused with another body
 *	  SM007  quota exceeded
 *
 * A case that the person sees and may not act upon is 42501, and that is
 * decided before SM002.  Where a case may be hidden, message, detail and hint
 * must be the same as for one that does not exist.
 */
#ifndef CSM_ERRORS_H
#define CSM_ERRORS_H

#include "utils/elog.h"

#define ERRCODE_CSM_NO_CASE				MAKE_SQLSTATE('S', 'M', '0', '0', '1')
#define ERRCODE_CSM_TRANSITION			MAKE_SQLSTATE('S', 'M', '0', '0', '2')
#define ERRCODE_CSM_FIELD_MISSING		MAKE_SQLSTATE('S', 'M', '0', '0', '3')
#define ERRCODE_CSM_CLOSED				MAKE_SQLSTATE('S', 'M', '0', '0', '4')
#define ERRCODE_CSM_CYCLE				MAKE_SQLSTATE('S', 'M', '0', '0', '5')
#define ERRCODE_CSM_KEY_REUSED			MAKE_SQLSTATE('S', 'M', '0', '0', '6')
#define ERRCODE_CSM_QUOTA				MAKE_SQLSTATE('S', 'M', '0', '0', '7')

#endif							/* CSM_ERRORS_H */
