/*
 * csm_history.h
 *	  The history of a case: payloads of its links, and how links are chained.
 */
#ifndef CSM_HISTORY_H
#define CSM_HISTORY_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "csm_case_row.h"

#define CSM_HASH_BYTES 32		/* SHA-256 */
#define CSM_SALT_BYTES 16

/* ---- csm_history_payload.c: field -> [old, new] ---- */

typedef struct CsmPayload
{
	JsonbParseState *state;
	int			fields;
	bool		hides_old;		/* what was is not to be told: it is being erased */
} CsmPayload;

extern void csm_payload_begin(CsmPayload *payload);
extern Jsonb *csm_payload_end(CsmPayload *payload);
extern void csm_payload_add(CsmPayload *payload, const char *field, Oid type,
							const Datum *before, const Datum *after);	/* NULL: null */
extern void csm_payload_add_text(CsmPayload *payload, const char *field, const char *after);
extern void csm_payload_add_all(CsmPayload *payload, const Jsonb *from);

/* What of a case is tracked; before is NULL for a first link. */
extern void csm_payload_add_case(CsmPayload *payload, const CsmCaseRow *before, const CsmCaseRow *after);

/* The same without what the case has no more. */
extern void csm_payload_add_case_but(CsmPayload *payload, const CsmCaseRow *before, const CsmCaseRow *after,
									 const CsmCaseRow *current);

/* ---- csm_history_chain.c: the canonical binary form ---- */

typedef struct CsmLink
{
	int64		id;
	int64		tenant_id;
	int64		case_id;
	int64		seq;
	TimestampTz at;
	const char *action;
	int64		actor_id;		/* 0: the system */
	const char *actor_name;		/* goes into payload_hash */
	const char *persona;		/* NULL: none */
	const char *relation;		/* NULL: none */
	int64		on_behalf_of;	/* 0: nobody */
	const char *audience;
	uint8		payload_hash[CSM_HASH_BYTES];
	bool		first;			/* no link before it */
	uint8		previous[CSM_HASH_BYTES];
} CsmLink;

extern void csm_hash_text(const char *data, int len, uint8 *hash);
extern void csm_hash_payload(const uint8 *salt, const char *actor_name, const Jsonb *payload, uint8 *hash);
extern void csm_hash_link(const CsmLink *link, uint8 *hash);

/* ---- csm_history_store.c ---- */

/* The end of a chain. */
typedef struct CsmHead
{
	int64		seq;			/* 0: no link yet */
	TimestampTz at;
	uint8		hash[CSM_HASH_BYTES];
} CsmHead;

extern void csm_history_head(int64 case_id, CsmHead *head);
extern void csm_history_head_of_new(int64 case_id, CsmHead *head);

/* Chains the link to the head, which then is the link. */
extern void csm_history_append(CsmLink *link, const Jsonb *payload, CsmHead *head);

#endif							/* CSM_HISTORY_H */
