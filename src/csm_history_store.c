/*
 * csm_history_store.c
 *	  The chain of a case as csm.case_history keeps it: its last link, and a new
 *	  one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "csm_history.h"
#include "csm_insert.h"
#include "csm_look.h"
#include "csm_spi.h"

static void
take_head(HeapTuple tuple, Relation table, void *arg)
{
	CsmHead    *head = (CsmHead *) arg;
	bool		isnull;
	bytea	   *hash;

	head->seq = DatumGetInt64(csm_look_value(tuple, table, "seq", &isnull));
	head->at = DatumGetTimestampTz(csm_look_value(tuple, table, "at", &isnull));
	hash = DatumGetByteaPP(csm_look_value(tuple, table, "hash", &isnull));
	memcpy(head->hash, VARDATA_ANY(hash), Min(VARSIZE_ANY_EXHDR(hash), CSM_HASH_BYTES));
}

void
csm_history_head(int64 case_id, CsmHead *head)
{
	memset(head, 0, sizeof(*head));
	csm_look_last("case_history", "case_history_chain_key", case_id, take_head, head);
}

/* The statement that wrote the last link. */
static TimestampTz writing = 0;

/*
 * Of a case that the present statement inserted: nobody else can have written a
 * link of it, so as long as the statement has written none there is none.
 */
void
csm_history_head_of_new(int64 case_id, CsmHead *head)
{
	if (writing == GetCurrentStatementStartTimestamp())
		csm_history_head(case_id, head);
	else
		memset(head, 0, sizeof(*head));
}

static int64
next_id(void)
{
	return nextval_internal(csm_look_oid("case_history_id_seq"), false);
}

/* ---- appending ---- */

static bytea *
to_bytea(const uint8 *bytes, int len)
{
	bytea	   *result = (bytea *) palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

static void
insert_link(const CsmLink *link, const uint8 *salt, const Jsonb *payload, const uint8 *hash)
{
	static const char sql[] =
		"INSERT INTO csm.case_history (id, tenant_id, case_id, seq, at, action, actor_id, actor_name,"
		"    persona, relation, on_behalf_of, audience, payload, salt, payload_hash, previous_hash, hash)"
		" OVERRIDING SYSTEM VALUE"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
	static Oid	types[17] = {
		INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID,
		TEXTOID, TEXTOID, INT8OID, TEXTOID, JSONBOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID
	};
	Datum		values[17] = {0};
	char		nulls[17];
	bool		isnull[17];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(link->id);
	values[1] = Int64GetDatum(link->tenant_id);
	values[2] = Int64GetDatum(link->case_id);
	values[3] = Int64GetDatum(link->seq);
	values[4] = TimestampTzGetDatum(link->at);
	values[5] = CStringGetTextDatum(link->action);
	values[6] = Int64GetDatum(link->actor_id);
	nulls[6] = link->actor_id ? ' ' : 'n';
	values[7] = CStringGetTextDatum(link->actor_name);
	if (link->persona)
		values[8] = CStringGetTextDatum(link->persona);
	nulls[8] = link->persona ? ' ' : 'n';
	if (link->relation)
		values[9] = CStringGetTextDatum(link->relation);
	nulls[9] = link->relation ? ' ' : 'n';
	values[10] = Int64GetDatum(link->on_behalf_of);
	nulls[10] = link->on_behalf_of ? ' ' : 'n';
	values[11] = CStringGetTextDatum(link->audience);
	values[12] = PointerGetDatum(payload);
	values[13] = PointerGetDatum(to_bytea(salt, CSM_SALT_BYTES));
	values[14] = PointerGetDatum(to_bytea(link->payload_hash, CSM_HASH_BYTES));
	if (!link->first)
		values[15] = PointerGetDatum(to_bytea(link->previous, CSM_HASH_BYTES));
	nulls[15] = link->first ? 'n' : ' ';
	values[16] = PointerGetDatum(to_bytea(hash, CSM_HASH_BYTES));
	for (int i = 0; i < (int) lengthof(values); i++)
		isnull[i] = nulls[i] == 'n';
	if (!csm_insert_row("case_history", lengthof(values), values, isnull))
		csm_spi_write(sql, 17, types, values, nulls, NULL, NULL);
}

/* Random bytes cost less when many are fetched at once; each is handed out once and not kept. */
static void
take_salt(uint8 *salt)
{
	static uint8 random[64 * CSM_SALT_BYTES];
	static int	left = 0;

	if (left == 0)
	{
		if (!pg_strong_random(random, sizeof(random)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not get random bytes for the history of a case")));
		left = sizeof(random);
	}
	left -= CSM_SALT_BYTES;
	memcpy(salt, random + left, CSM_SALT_BYTES);
	explicit_bzero(random + left, CSM_SALT_BYTES);
}

/* Chains the link to the head, which then is the link. */
void
csm_history_append(CsmLink *link, const Jsonb *payload, CsmHead *head)
{
	uint8		salt[CSM_SALT_BYTES];

	take_salt(salt);
	if (link->actor_name == NULL)
		link->actor_name = csm_look_person_name(link->actor_id);
	if (link->actor_name == NULL)
		link->actor_name = "system";
	link->id = next_id();
	link->seq = head->seq + 1;
	link->first = head->seq == 0;
	memcpy(link->previous, head->hash, CSM_HASH_BYTES);
	csm_hash_payload(salt, link->actor_name, payload, link->payload_hash);
	csm_hash_link(link, head->hash);
	insert_link(link, salt, payload, head->hash);
	writing = GetCurrentStatementStartTimestamp();
	head->seq = link->seq;
}
