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
 * "pending".  Where the case is written again before the entry's trigger gets
 * there, by what follows from the comment, it becomes a link of its own.
 *
 * AFTER triggers fire row by row.  When what follows from one row of a statement
 * changes another row of it, the link of that second change is written first.
 * The late link leaves out what was changed again, so that in the order of a
 * chain the last value of a field is always the present one.
 *
 * What is erased leaves a link that says which fields, and nothing of what they
 * were; it names no person: csm.erasure_requests says who had it done.
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
#include "csm_intent.h"
#include "csm_judged.h"
#include "csm_merge.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_history);

#define STAFF (CSM_ACTOR_AGENT | CSM_ACTOR_ASSIGNEE | CSM_ACTOR_MANAGER)
#define CUSTOMERS (CSM_ACTOR_REQUESTER | CSM_ACTOR_CUSTOMER | CSM_ACTOR_CLAIMANT)

static struct
{
	int64		case_id;		/* 0: nothing */
	int64		tenant_id;
	TimestampTz at;
	const char *audience;
	CsmJudged	judged;
	Jsonb	   *payload;
}			pending = {0};

/* ---- the case ---- */

typedef struct ReadCase
{
	CsmCaseRow *row;
	MemoryContext context;
} ReadCase;

static void
take_case(HeapTuple tuple, TupleDesc desc, void *arg)
{
	ReadCase   *read = (ReadCase *) arg;
	MemoryContext old = MemoryContextSwitchTo(read->context);
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	csm_case_row_open_argument(read->row, (HeapTupleHeader) PG_DETOAST_DATUM_COPY(value));
	MemoryContextSwitchTo(old);
}

/* False: no such case. */
static bool
read_case(const CsmLink *link, bool lock, CsmCaseRow *row)
{
	static const char reading[] =
		"SELECT c FROM csm.cases c WHERE c.id = $1 AND c.tenant_id = $2";
	static const char locking[] =
		"SELECT c FROM csm.cases c WHERE c.id = $1 AND c.tenant_id = $2 FOR NO KEY UPDATE";
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	ReadCase	read = {row, CurrentMemoryContext};

	values[0] = Int64GetDatum(link->case_id);
	values[1] = Int64GetDatum(link->tenant_id);
	return csm_spi_write(lock ? locking : reading, 2, types, values, NULL, take_case, &read) > 0;
}

/* The first link of a case that has none: the row before the change, else as it stands. */
static void
begin_chain(const CsmLink *link, const CsmCaseRow *before, CsmHead *head)
{
	CsmCaseRow	current;
	CsmPayload	payload;
	CsmLink		first = {0};

	if (before == NULL)
	{
		if (!read_case(link, false, &current))
			return;
		before = &current;
	}
	csm_payload_begin(&payload);
	csm_payload_add_case(&payload, NULL, before);
	first.tenant_id = link->tenant_id;
	first.case_id = link->case_id;
	first.at = DatumGetTimestampTz(csm_case_row_value(before, CASE_updated_at));
	first.action = CSM_JUDGED_IMPORT;
	first.relation = "system";
	first.audience = csm_case_row_null(before, CASE_submitted_at) ? "customer" : "shared";
	csm_history_append(&first, csm_payload_end(&payload), head);
}

/* The times of a chain never go back, whatever the clock does. */
static void
write_link(CsmLink *link, const Jsonb *payload, CsmHead *head)
{
	link->at = Max(link->at, head->at);
	csm_history_append(link, payload, head);
}

static void
write_child_link(CsmLink *link, CsmPayload *payload)
{
	CsmHead		head;

	csm_history_head(link->case_id, &head);
	if (head.seq == 0)
		begin_chain(link, NULL, &head);
	write_link(link, csm_payload_end(payload), &head);
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
 * Beside csm.on_behalf_of(): whoever opens a case for somebody, or speaks for
 * the customer without being the requester, does so on the requester's behalf.
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
	link->on_behalf_of = csm_behalf();
	if (link->on_behalf_of == 0 && judged->requester_id != me && (opens || (judged->through & CUSTOMERS)))
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
forget_pending(XactEvent event, void *arg)
{
	pending.case_id = 0;
}

static void
forget_pending_at_abort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		pending.case_id = 0;
}

/* As a link of its own. */
static void
write_pending(void)
{
	CsmLink		link = {0};
	CsmHead		head;

	link.case_id = pending.case_id;
	link.tenant_id = pending.tenant_id;
	link.at = pending.at;
	link.action = CSM_JUDGED_COMMENT;
	link.audience = pending.audience;
	name_actor(&link, &pending.judged, signed_in(), false);
	pending.case_id = 0;
	csm_history_head(link.case_id, &head);
	if (head.seq == 0)
		begin_chain(&link, NULL, &head);
	write_link(&link, pending.payload, &head);
}

static void
keep_pending(const CsmLink *link, const CsmJudged *judged, CsmPayload *payload)
{
	static MemoryContext context = NULL;
	Jsonb	   *fields = csm_payload_end(payload);

	if (pending.case_id != 0)
		write_pending();
	if (context == NULL)
	{
		context = AllocSetContextCreate(TopMemoryContext, "csm history of a comment", ALLOCSET_SMALL_SIZES);
		RegisterXactCallback(forget_pending, NULL);
		RegisterSubXactCallback(forget_pending_at_abort, NULL);
	}
	MemoryContextReset(context);
	pending.payload = (Jsonb *) MemoryContextAlloc(context, VARSIZE(fields));
	memcpy(pending.payload, fields, VARSIZE(fields));
	pending.case_id = link->case_id;
	pending.tenant_id = link->tenant_id;
	pending.at = link->at;
	pending.audience = link->audience;
	pending.judged = *judged;
}

static void
add_pending(CsmPayload *payload, int64 case_id)
{
	if (pending.case_id != case_id)
		return;
	csm_payload_add_all(payload, pending.payload);
	pending.case_id = 0;
}

static bool
is_erased(const CsmLink *link)
{
	return csm_intent(CSM_INTENT_ERASE, link->case_id) != NULL;
}

static void
write_case_link(CsmLink *link, CsmPayload *payload, const CsmCaseRow *before, const CsmCaseRow *after)
{
	CsmCaseRow	current;
	CsmHead		head;

	if (before == NULL)
		csm_history_head_of_new(link->case_id, &head);
	else
		csm_history_head(link->case_id, &head);
	if (head.seq == 0 && before != NULL)
		begin_chain(link, payload->hides_old ? after : before, &head);
	else if ((before == NULL ? head.seq > 0 : head.at > link->at) && read_case(link, false, &current))
	{
		csm_payload_begin(payload);
		payload->hides_old = is_erased(link);
		csm_payload_add_case_but(payload, before, after, &current);
	}
	write_link(link, csm_payload_end(payload), &head);
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
	if (pending.case_id == link.case_id)
		write_pending();

	csm_payload_begin(&payload);
	payload.hides_old = is_erased(&link);
	csm_payload_add_case(&payload, before, &after);
	if (payload.fields == 0)
		return;
	link.at = csm_is_importing() || csm_is_merging() || payload.hides_old ? GetCurrentTimestamp() :
		DatumGetTimestampTz(csm_case_row_value(&after, CASE_updated_at));
	link.action = opens && !csm_is_importing() ? CSM_JUDGED_OPEN :
		judged ? judged->action : CSM_JUDGED_UPDATE;
	link.audience = audience_of_case(before, &after);
	if (judged != NULL && !judged->taken && strcmp(judged->action, CSM_JUDGED_COMMENT) == 0)
	{
		keep_pending(&link, judged, &payload);
		return;
	}
	name_actor(&link, judged, signed_in(), opens);
	write_case_link(&link, &payload, before, &after);
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
	write_child_link(&link, &payload);
}

/* False: no such case; the foreign key says so. */
static bool
lock_case(const CsmLink *link, CsmJudged *judged)
{
	CsmCaseRow	row;
	CsmCaseKeys keys;

	if (!read_case(link, true, &row))
		return false;
	csm_case_row_keys(&row, &keys);
	judged->actors = csm_case_actors(&keys);
	judged->through = (judged->actors & STAFF) ? judged->actors & STAFF : judged->actors;
	judged->system = judged->actors == CSM_ACTOR_SYSTEM;
	judged->branch = keys.branch;
	judged->requester_id = keys.requester_id;
	return true;
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
	csm_payload_begin(&payload);
	payload.hides_old = is_erased(&link);
	if (payload.hides_old)
		link.action = CSM_JUDGED_ERASE;
	name_actor(&link, payload.hides_old ? NULL : &judged, signed_in(), false);
	csm_payload_add(&payload, psprintf("%s.attributes", link.audience), JSONBOID,
					TRIGGER_FIRED_BY_INSERT(data->tg_event) ? NULL : &before,
					TRIGGER_FIRED_BY_DELETE(data->tg_event) ? NULL : &after);
	write_child_link(&link, &payload);
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
	write_child_link(&link, &payload);
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
	if (csm_is_restoring() && !csm_is_merging())
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
