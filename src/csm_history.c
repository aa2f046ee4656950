/*
 * csm_history.c
 *	  The trigger that writes csm.case_history: one link for a change of a case,
 *	  of its fields that not everybody reads, a new entry, a new attachment.
 *
 * A case has one chain.  Whoever extends it holds the lock of the case's row:
 * an update of the case has it anyway, the others take it.  Under that lock the
 * last link is read with a snapshot taken after the lock was had, so that of two
 * writers the second continues what the first left.
 *
 * What a comment or an attachment changes in its case (attention, first response)
 * goes into its own link: the trigger on csm.cases, which fires first, leaves it in
 * "pending".  Every write of a case sets or empties that, and no entry gets here
 * without a write of its case before it, so what is found there is its own.
 *
 * A case that was loaded without history (a dump of an older version) gets its
 * first link, with all of the row, before its first change.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "csm_history.h"
#include "csm_judged.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_history);

#define STAFF (CSM_ACTOR_AGENT | CSM_ACTOR_ASSIGNEE | CSM_ACTOR_MANAGER)
#define CUSTOMERS (CSM_ACTOR_REQUESTER | CSM_ACTOR_CUSTOMER | CSM_ACTOR_CLAIMANT)

static struct
{
	int64		case_id;		/* 0: nothing */
	Jsonb	   *payload;
}			pending = {0, NULL};

/* ---- the chain ---- */

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
	csm_spi_write(sql, 17, types, values, nulls, NULL, NULL);
}

/* Chains the link to the head, which then is the link. */
static void
append_link(CsmLink *link, const Jsonb *payload, CsmHead *head)
{
	uint8		salt[CSM_SALT_BYTES];

	if (!pg_strong_random(salt, sizeof(salt)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes for the history of a case")));
	if (link->actor_name == NULL)
		link->actor_name = csm_history_actor_name(link->actor_id);
	if (link->actor_name == NULL)
		link->actor_name = "system";
	link->id = csm_history_next_id();
	link->seq = head->seq + 1;
	link->first = head->seq == 0;
	memcpy(link->previous, head->hash, CSM_HASH_BYTES);
	csm_hash_payload(salt, link->actor_name, payload, link->payload_hash);
	csm_hash_link(link, head->hash);
	insert_link(link, salt, payload, head->hash);
	head->seq = link->seq;
}

/* ---- a case without history ---- */

typedef struct WholeCase
{
	Jsonb	   *payload;
	TimestampTz updated_at;
	bool		draft;
	MemoryContext context;
} WholeCase;

static void
see_whole_case(WholeCase *whole, const CsmCaseRow *row)
{
	CsmPayload	payload;

	whole->updated_at = DatumGetTimestampTz(csm_case_row_value(row, CASE_updated_at));
	whole->draft = csm_case_row_null(row, CASE_submitted_at);
	csm_payload_begin(&payload);
	csm_payload_add_case(&payload, NULL, row);
	whole->payload = csm_payload_end(&payload);
}

static void
take_whole_case(HeapTuple tuple, TupleDesc desc, void *arg)
{
	WholeCase  *whole = (WholeCase *) arg;
	MemoryContext old = MemoryContextSwitchTo(whole->context);
	CsmCaseRow	row;

	csm_case_row_open(&row, tuple, desc);
	see_whole_case(whole, &row);
	MemoryContextSwitchTo(old);
}

/* The row before the change where that is known, else as it stands. */
static void
begin_chain(const CsmLink *link, const CsmCaseRow *before, CsmHead *head)
{
	static const char sql[] = "SELECT c.* FROM csm.cases c WHERE c.id = $1 AND c.tenant_id = $2";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	WholeCase	whole = {.context = CurrentMemoryContext};
	CsmLink		first = {0};

	if (before != NULL)
		see_whole_case(&whole, before);
	else
	{
		values[0] = Int64GetDatum(link->case_id);
		values[1] = Int64GetDatum(link->tenant_id);
		csm_spi_write(sql, 2, types, values, NULL, take_whole_case, &whole);
	}
	if (whole.payload == NULL)
		return;
	first.tenant_id = link->tenant_id;
	first.case_id = link->case_id;
	first.at = whole.updated_at;
	first.action = CSM_JUDGED_IMPORT;
	first.relation = "system";
	first.audience = whole.draft ? "customer" : "shared";
	append_link(&first, whole.payload, head);
}

static void
write_link(CsmLink *link, CsmPayload *payload, bool opens, const CsmCaseRow *before)
{
	Jsonb	   *fields = csm_payload_end(payload);
	CsmHead		head;

	csm_history_head(link->case_id, &head);
	if (head.seq == 0 && !opens)
		begin_chain(link, before, &head);
	append_link(link, fields, &head);
}

/* ---- who ---- */

static const char *
persona_of(uint32 through, CsmBranch branch)
{
	const char *narrowed = csm_session_persona();

	if (narrowed != NULL)
		return narrowed;
	if (through & STAFF)
		return "staff";
	if (through & CUSTOMERS)
		return branch == CSM_B2B ? "contact" : branch == CSM_B2C ? "consumer" : "employee";
	return (through & (CSM_ACTOR_RESPONDENT | CSM_ACTOR_PARTNER)) ? "contact" : NULL;
}

/*
 * Whoever opens a case for somebody, or speaks for the customer without being
 * the requester, does so on the requester's behalf.
 */
static void
name_actor(CsmLink *link, const CsmJudged *judged, int64 me, bool opens)
{
	if (judged == NULL || judged->system || me == 0)
	{
		link->relation = "system";
		return;
	}
	link->actor_id = me;
	link->persona = persona_of(judged->through, judged->branch);
	link->relation = judged->through ? csm_actor_names(judged->through) : NULL;
	if (judged->requester_id != me && (opens || (judged->through & CUSTOMERS)))
		link->on_behalf_of = judged->requester_id;
}

static int64
signed_in(void)
{
	const CsmMap *map = csm_map_current();

	return map ? csm_map_user(map) : 0;
}

/* ---- csm.cases ---- */

/*
 * The counterparty learns nothing of a draft, so what happens there, and what
 * else changes when it is submitted, is for the customer's side.
 */
static const char *
audience_of_case(const CsmCaseRow *before, const CsmCaseRow *after)
{
	static const CsmCaseColumn of_submitting[] = {
		CASE_state, CASE_state_class, CASE_submitted_at, CASE_updated_at, CASE_needs_attention
	};

	if (csm_case_row_null(after, CASE_submitted_at))
		return "customer";
	if (before == NULL || !csm_case_row_null(before, CASE_submitted_at))
		return "shared";
	for (int i = 0; i < CASE_COLUMNS; i++)
	{
		bool		expected = false;

		for (int k = 0; k < (int) lengthof(of_submitting); k++)
			expected = expected || i == of_submitting[k];
		if (!expected && csm_case_row_changed(before, after, i))
			return "customer";
	}
	return "shared";
}

static void
keep_pending(int64 case_id, CsmPayload *payload)
{
	static MemoryContext context = NULL;
	Jsonb	   *fields = csm_payload_end(payload);

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "csm history of a comment", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(context);
	pending.payload = (Jsonb *) MemoryContextAlloc(context, VARSIZE(fields));
	memcpy(pending.payload, fields, VARSIZE(fields));
	pending.case_id = case_id;
}

static void
add_pending(CsmPayload *payload, int64 case_id)
{
	if (pending.case_id != case_id)
		return;
	csm_payload_add_all(payload, pending.payload);
	pending.case_id = 0;
}

static void
case_changed(TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		opens = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	const CsmJudged *judged;
	CsmCaseRow	before_row;
	CsmCaseRow	after;
	const CsmCaseRow *before = NULL;
	CsmPayload	payload;
	CsmLink		link = {0};

	csm_case_row_open(&after, opens ? data->tg_trigtuple : data->tg_newtuple, desc);
	if (!opens)
	{
		csm_case_row_open(&before_row, data->tg_trigtuple, desc);
		before = &before_row;
	}
	link.case_id = csm_case_row_id(&after, CASE_id);
	link.tenant_id = csm_case_row_id(&after, CASE_tenant_id);
	judged = csm_judged(link.case_id);
	pending.case_id = 0;

	csm_payload_begin(&payload);
	csm_payload_add_case(&payload, before, &after);
	if (payload.fields == 0)
		return;
	if (judged != NULL && !judged->taken && strcmp(judged->action, CSM_JUDGED_COMMENT) == 0)
	{
		keep_pending(link.case_id, &payload);
		return;
	}
	link.at = csm_is_importing() ? GetCurrentTimestamp() :
		DatumGetTimestampTz(csm_case_row_value(&after, CASE_updated_at));
	link.action = judged ? judged->action : CSM_JUDGED_UPDATE;
	link.audience = audience_of_case(before, &after);
	name_actor(&link, judged, signed_in(), opens);
	write_link(&link, &payload, opens, before);
}

/* ---- rows that belong to a case ---- */

typedef struct ChildRow
{
	TupleDesc	desc;
	HeapTuple	tuple;			/* new, or deleted */
} ChildRow;

static int64
child_id(const ChildRow *row, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(row->tuple, SPI_fnumber(row->desc, column), row->desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static char *
child_text(const ChildRow *row, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(row->tuple, SPI_fnumber(row->desc, column), row->desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
add_child_column(CsmPayload *payload, const ChildRow *row, const char *column, const char *field)
{
	int			attnum = SPI_fnumber(row->desc, column);
	bool		isnull;
	Datum		value = heap_getattr(row->tuple, attnum, row->desc, &isnull);

	if (!isnull)
		csm_payload_add(payload, field, TupleDescAttr(row->desc, attnum - 1)->atttypid, NULL, &value);
}

/* "shared", "internal" or the side of a private row */
static const char *
audience_of_child(const char *visibility, const char *side)
{
	if (strcmp(visibility, "private") != 0)
		return visibility;
	return strcmp(side, "operator") == 0 ? "internal" : side;
}

/* Its case was written just before: by the comment's effects, or by the act whose note it is. */
static void
entry_written(TriggerData *data)
{
	ChildRow	row = {RelationGetDescr(data->tg_relation), data->tg_trigtuple};
	CsmPayload	payload;
	CsmLink		link = {0};
	char	   *visibility = child_text(&row, "visibility");
	char	   *body = child_text(&row, "body");
	uint8		hash[CSM_HASH_BYTES];
	char		hex[2 * CSM_HASH_BYTES + 1];

	link.case_id = child_id(&row, "case_id");
	link.tenant_id = child_id(&row, "tenant_id");
	link.at = GetCurrentTimestamp();
	link.action = strcmp(visibility, "shared") == 0 ? CSM_JUDGED_COMMENT :
		strcmp(visibility, "internal") == 0 ? "work_note" : "private_entry";
	link.audience = audience_of_child(visibility, child_text(&row, "side"));
	name_actor(&link, csm_judged(link.case_id), child_id(&row, "author_id"), false);
	link.actor_name = child_text(&row, "author_name");

	csm_hash_text(body, strlen(body), hash);
	hex[hex_encode((const char *) hash, CSM_HASH_BYTES, hex)] = '\0';
	csm_payload_begin(&payload);
	add_child_column(&payload, &row, "id", "entry.id");
	add_child_column(&payload, &row, "author_id", "entry.author_id");
	add_child_column(&payload, &row, "visibility", "entry.visibility");
	add_child_column(&payload, &row, "side", "entry.side");
	add_child_column(&payload, &row, "created_at", "entry.created_at");
	csm_payload_add_text(&payload, "entry.body_sha256", hex);
	add_pending(&payload, link.case_id);
	write_link(&link, &payload, false, NULL);
}

static void
take_keys(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmCaseRow	row;

	csm_case_row_open(&row, tuple, desc);
	csm_case_row_keys(&row, (CsmCaseKeys *) arg);
}

/* False: no such case; the foreign key says so. */
static bool
lock_case(const CsmLink *link, CsmJudged *judged)
{
	static const char sql[] =
		"SELECT c.* FROM csm.cases c WHERE c.id = $1 AND c.tenant_id = $2 FOR NO KEY UPDATE";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	CsmCaseKeys keys = {0};

	values[0] = Int64GetDatum(link->case_id);
	values[1] = Int64GetDatum(link->tenant_id);
	csm_spi_write(sql, 2, types, values, NULL, take_keys, &keys);
	judged->actors = csm_case_actors(&keys);
	judged->through = (judged->actors & STAFF) ? judged->actors & STAFF : judged->actors;
	judged->system = judged->actors == CSM_ACTOR_SYSTEM;
	judged->branch = keys.branch;
	judged->requester_id = keys.requester_id;
	return keys.id != 0;
}

/* csm.case_internal and csm.case_side_fields. */
static void
fields_changed(TriggerData *data)
{
	ChildRow	row = {RelationGetDescr(data->tg_relation), data->tg_trigtuple};
	ChildRow	new = {row.desc, TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple};
	int			attnum = SPI_fnumber(row.desc, "attributes");
	CsmJudged	judged = {0};
	CsmPayload	payload;
	CsmLink		link = {0};
	bool		isnull;
	Datum		before = heap_getattr(row.tuple, attnum, row.desc, &isnull);
	Datum		after = heap_getattr(new.tuple, attnum, row.desc, &isnull);

	link.case_id = child_id(&new, "case_id");
	link.tenant_id = child_id(&new, "tenant_id");
	link.action = CSM_JUDGED_UPDATE;
	link.audience = SPI_fnumber(row.desc, "side") > 0 ? child_text(&new, "side") : "internal";
	if (!lock_case(&link, &judged))
		return;
	link.at = GetCurrentTimestamp();
	name_actor(&link, &judged, signed_in(), false);

	csm_payload_begin(&payload);
	csm_payload_add(&payload, psprintf("%s.attributes", link.audience), JSONBOID,
					TRIGGER_FIRED_BY_INSERT(data->tg_event) ? NULL : &before,
					TRIGGER_FIRED_BY_DELETE(data->tg_event) ? NULL : &after);
	write_link(&link, &payload, false, NULL);
}

static void
add_hash(CsmPayload *payload, const ChildRow *row, const char *column, const char *field)
{
	bool		isnull;
	Datum		value = heap_getattr(row->tuple, SPI_fnumber(row->desc, column), row->desc, &isnull);

	if (!isnull)
	{
		bytea	   *bytes = DatumGetByteaPP(value);
		char	   *hex = (char *) palloc(2 * VARSIZE_ANY_EXHDR(bytes) + 1);

		hex[hex_encode(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), hex)] = '\0';
		csm_payload_add_text(payload, field, hex);
	}
}

/* csm.attachments: who sees the entry it belongs to sees the link. */
static void
attachment_written(TriggerData *data)
{
	static const char *const columns[] = {
		"id", "entry_id", "author_id", "visibility", "side", "file_name", "media_type", "size", "url", "created_at"
	};
	ChildRow	row = {RelationGetDescr(data->tg_relation), data->tg_trigtuple};
	CsmJudged	judged = {0};
	CsmPayload	payload;
	CsmLink		link = {0};

	link.case_id = child_id(&row, "case_id");
	link.tenant_id = child_id(&row, "tenant_id");
	link.action = "attach";
	link.audience = audience_of_child(child_text(&row, "visibility"), child_text(&row, "side"));
	if (!lock_case(&link, &judged))
		return;
	link.at = GetCurrentTimestamp();
	name_actor(&link, &judged, child_id(&row, "author_id"), false);
	link.actor_name = child_text(&row, "author_name");

	csm_payload_begin(&payload);
	for (int i = 0; i < (int) lengthof(columns); i++)
		add_child_column(&payload, &row, columns[i], psprintf("attachment.%s", columns[i]));
	add_hash(&payload, &row, "sha256", "attachment.sha256");
	add_pending(&payload, link.case_id);
	write_link(&link, &payload, false, NULL);
}

/*
 * AFTER ROW.  The argument says what the table is: case, entry, fields or
 * attachment.  An import leaves one link for each write of a case and none for
 * what belongs to it.
 */
Datum
csm_history(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	const char *kind;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || data->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.history() must be an AFTER row trigger with one argument")));
	kind = data->tg_trigger->tgargs[0];
	if (csm_is_restoring())
		return PointerGetDatum(NULL);
	if (strcmp(kind, "case") == 0)
		case_changed(data);
	else if (csm_is_importing())
		return PointerGetDatum(NULL);
	else if (strcmp(kind, "entry") == 0)
		entry_written(data);
	else if (strcmp(kind, "fields") == 0)
		fields_changed(data);
	else
		attachment_written(data);
	return PointerGetDatum(NULL);
}
