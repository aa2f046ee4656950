/*
 * csm_type_setting.h
 *	  What csm.case_types.settings says for a type, remembered.
 */
#ifndef CSM_TYPE_SETTING_H
#define CSM_TYPE_SETTING_H

#include "datatype/timestamp.h"

/*
 * The value as text, inherited like csm_private.type_setting(); NULL for none.
 * It may be freed by the next call.
 */
extern const char *csm_type_setting(int64 tenant_id, const char *case_type, const char *key);

/* A number of days as microseconds; false for none. */
extern bool csm_type_period(int64 tenant_id, const char *case_type, const char *key, TimestampTz *period);

#endif							/* CSM_TYPE_SETTING_H */
