/*
 * csm_json.h
 *	  A flat JSON object, key by key.
 */
#ifndef CSM_JSON_H
#define CSM_JSON_H

#include "utils/jsonb.h"

typedef struct CsmJson
{
	JsonbParseState *state;
} CsmJson;

extern void csm_json_begin(CsmJson *json);
extern void csm_json_text(CsmJson *json, const char *key, const char *value);	/* NULL: null */
extern void csm_json_integer(CsmJson *json, const char *key, int64 value);
extern void csm_json_id(CsmJson *json, const char *key, int64 value);	/* 0: null */
extern void csm_json_boolean(CsmJson *json, const char *key, bool value);
extern Datum csm_json_end(CsmJson *json);	/* jsonb */

#endif							/* CSM_JSON_H */
