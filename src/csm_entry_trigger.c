/*
 * csm_entry_trigger.c
 *	  The triggers of csm.case_entries: who wrote it, on which side, and that
 *	  it stays as it was written.
 *
 * Like the trigger of csm.cases it runs before row security checks the new
 * row.  On a case that is missing, hidden, or not the author's to comment on it
 * fills in values that say nothing and leaves the refusal to the policy, so
 * that the three cannot be told apart.  A writer whom row security does not
 * bind is refused here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "csm_case_touch.h"
#include "csm_errors.h"
#include "csm_family.h"
#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_entry_guard);
PG_FUNCTION_INFO_V1(csm_entry_is_note);
PG_FUNCTION_INFO_V1(csm_begin_entry);
PG_FUNCTION_INFO_V1(csm_entry_effects);

/* What is known of the case of a new entry, and of its author. */
typedef struct EntryCase
{
	bool		found;
	CsmCaseKeys keys;
	char	   *branch;
	char	   *number;
	char	   *state;
	int			state_class;
	char	   *author_name;
} EntryCase;

/*
 * The entry that csm.act() writes has no effects of its own.  Of notes that one
 * statement writes for many cases, the first and the last; 0 for none.
 */
static int64 first_note = 0;
static int64 last_note = 0;

static void
take_case(const CsmCaseRow *row, void *arg)
{
	EntryCase  *c = (EntryCase *) arg;

	csm_case_row_keys(row, &c->keys);
	c->branch = csm_case_row_text(row, CASE_branch);
	c->number = csm_case_row_text(row, CASE_number);
	c->state = csm_case_row_text(row, CASE_state);
	c->state_class = csm_class_from_name(csm_case_row_text(row, CASE_state_class));
	if (!csm_case_row_null(row, CASE_major_state))
		csm_family_met();
}

static void
read_case(EntryCase *c, int64 tenant_id, int64 case_id, int64 author_id)
{
	memset(c, 0, sizeof(*c));
	c->found = csm_case_fetch(case_id, tenant_id, take_case, c);
	if (c->found)
		c->author_name = csm_look_person_name(author_id);
}

/* A new row, by name of column; there are few. */
typedef struct EntryRow
{
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
} EntryRow;

static int
place_of(const EntryRow *row, const char *column)
{
	int			attnum = SPI_fnumber(row->desc, column);

	if (attnum <= 0)
		elog(ERROR, "csm.case_entries has no column \"%s\"", column);
	return attnum - 1;
}

static int64
get_id(const EntryRow *row, const char *column)
{
	int			place = place_of(row, column);

	return row->nulls[place] ? 0 : DatumGetInt64(row->values[place]);
}

static const char *
get_text(const EntryRow *row, const char *column)
{
	int			place = place_of(row, column);

	return row->nulls[place] ? NULL : TextDatumGetCString(row->values[place]);
}

static void
put(EntryRow *row, const char *column, Datum value)
{
	int			place = place_of(row, column);

	row->values[place] = value;
	row->nulls[place] = false;
}

static void
put_text(EntryRow *row, const char *column, const char *value)
{
	put(row, column, CStringGetTextDatum(value));
}

static void
put_author(EntryRow *row, int64 author_id)
{
	if (author_id != 0)
		put(row, "author_id", Int64GetDatum(author_id));
	else
		row->nulls[place_of(row, "author_id")] = true;
}

static void
put_behalf(EntryRow *row, int64 behalf)
{
	if (behalf != 0)
		put(row, "on_behalf_of", Int64GetDatum(behalf));
	else
		row->nulls[place_of(row, "on_behalf_of")] = true;
}

static void
open_entry(EntryRow *row, const TriggerData *data)
{
	row->desc = RelationGetDescr(data->tg_relation);
	row->values = (Datum *) palloc(row->desc->natts * sizeof(Datum));
	row->nulls = (bool *) palloc(row->desc->natts * sizeof(bool));
	heap_deform_tuple(data->tg_trigtuple, row->desc, row->values, row->nulls);
}

static HeapTuple
finish(const EntryRow *row)
{
	return heap_form_tuple(row->desc, row->values, row->nulls);
}

/* Author and time as the other system had them; what is missing is derived. */
static HeapTuple
import_entry(EntryRow *row, const EntryCase *c, int64 author_id)
{
	if (c->found)
		put_text(row, "branch", c->branch);
	if (get_text(row, "author_name") == NULL)
		put_text(row, "author_name", c->author_name ? c->author_name : "system");
	if (get_text(row, "side") == NULL)
		put_text(row, "side", author_id != 0 &&
				 (author_id == c->keys.requester_id || author_id == c->keys.opened_by)
				 ? "customer" : "operator");
	return finish(row);
}

/* The same for missing, hidden and not permitted. */
static HeapTuple
leave_to_policy(EntryRow *row, Relation relation, int64 case_id, int64 me)
{
	if (check_enable_rls(RelationGetRelid(relation), InvalidOid, true) != RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("an entry on case " INT64_FORMAT " is not permitted", case_id),
				 errhint("Who may comment on a case sees it and has case_comment; work notes need case_work.")));
	put_text(row, "branch", "internal");
	put_text(row, "author_name", "-");
	put_text(row, "side", "customer");
	put_author(row, me);
	return finish(row);
}

static HeapTuple
guard_entry(TriggerData *data)
{
	EntryRow	row;
	EntryCase	c;
	const CsmMap *map;
	const CsmIntent *note;
	const char *visibility;
	int64		case_id;
	int64		author_id;
	bool		system;

	open_entry(&row, data);
	case_id = get_id(&row, "case_id");
	author_id = get_id(&row, "author_id");
	visibility = get_text(&row, "visibility");
	if (visibility == NULL)
	{
		visibility = "shared";
		put_text(&row, "visibility", visibility);
	}
	if (csm_is_importing())
	{
		read_case(&c, get_id(&row, "tenant_id"), case_id, author_id);
		if (row.nulls[place_of(&row, "created_at")])
			put(&row, "created_at", TimestampTzGetDatum(GetCurrentTimestamp()));
		return import_entry(&row, &c, author_id);
	}

	note = csm_intent(CSM_INTENT_NOTE, case_id);
	if (note == NULL || !note->many)
		first_note = last_note = 0;
	system = note != NULL && note->as_system;
	map = system ? NULL : csm_map_current();
	if (!system)
		system = csm_acts_as_system();
	if (map != NULL)
		author_id = csm_map_user(map);
	put(&row, "created_at", TimestampTzGetDatum(GetCurrentTimestamp()));
	read_case(&c, get_id(&row, "tenant_id"), case_id, author_id);

	if (!c.found && system)
		return finish(&row);	/* the foreign key names the case that is missing */
	if (!c.found || (!system && note == NULL &&
					 !csm_case_permits(&c.keys, strcmp(visibility, "internal") == 0
									   ? CSM_CASE_WORK : CSM_CASE_COMMENT)))
		return leave_to_policy(&row, data->tg_relation, case_id, map ? author_id : 0);

	if (note != NULL)
	{
		last_note = get_id(&row, "id");
		if (first_note == 0)
			first_note = last_note;
		csm_intent_met();
	}
	else if (c.state_class >= 0 && csm_class_is_final((CsmStateClass) c.state_class))
		ereport(ERROR,
				(errcode(ERRCODE_CSM_CLOSED),
				 errmsg("case %s is closed", c.number),
				 errdetail("Its state is \"%s\".", c.state),
				 errhint("Open a new case that refers to it.")));

	put_text(&row, "branch", c.branch);
	put_author(&row, author_id);
	put_behalf(&row, map != NULL ? csm_behalf() : 0);
	if (map != NULL || get_text(&row, "author_name") == NULL)
		put_text(&row, "author_name", c.author_name ? c.author_name : "system");
	put_text(&row, "side", csm_side_name(system ? CSM_SIDE_OPERATOR : csm_case_side(&c.keys)));
	return finish(&row);
}

/* BEFORE INSERT FOR EACH ROW on csm.case_entries. */
Datum
csm_entry_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.entry_guard() must be a BEFORE INSERT row trigger")));
	if (csm_is_restoring())
		return PointerGetDatum(data->tg_trigtuple);
	return PointerGetDatum(guard_entry(data));
}

/* Is it the note that csm.act() just wrote? */
bool
csm_entry_was_note(int64 entry_id)
{
	return first_note != 0 && entry_id >= first_note && entry_id <= last_note;
}

/* csm_private.entry_is_note(entry_id) */
Datum
csm_entry_is_note(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(csm_entry_was_note(PG_GETARG_INT64(0)));
}

/* The next change of the case is what a new entry means for it. */
static void
announce_entry(int64 case_id, const char *visibility, const char *side, int64 author_id)
{
	CsmIntent	intent = {.kind = CSM_INTENT_ENTRY};

	intent.case_id = case_id;
	intent.shared = strcmp(visibility, "shared") == 0;
	intent.internal = strcmp(visibility, "internal") == 0;
	intent.side = strcmp(side, "operator") == 0 ? CSM_SIDE_OPERATOR :
		strcmp(side, "counterparty") == 0 ? CSM_SIDE_COUNTERPARTY : CSM_SIDE_CUSTOMER;
	intent.author_id = author_id;
	csm_intent_set(&intent);
}

/* csm_private.begin_entry(case_id, visibility, side, author_id) */
Datum
csm_begin_entry(PG_FUNCTION_ARGS)
{
	announce_entry(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
				   text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3));
	PG_RETURN_VOID();
}

/*
 * AFTER INSERT FOR EACH ROW on csm.case_entries.  The author cannot write the
 * case, so its owner does.  The row is locked by the UPDATE: of two comments
 * at once, one waits.
 */
Datum
csm_entry_effects(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"UPDATE csm.cases c SET updated_at = c.updated_at WHERE c.id = $1 AND c.tenant_id = $2";
	TriggerData *data = (TriggerData *) fcinfo->context;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	EntryRow	row;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_INSERT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.entry_effects() must be an AFTER INSERT row trigger")));
	open_entry(&row, data);
	if (csm_is_restoring() || csm_is_importing() || csm_entry_was_note(get_id(&row, "id")))
		return PointerGetDatum(NULL);
	announce_entry(get_id(&row, "case_id"), get_text(&row, "visibility"), get_text(&row, "side"),
				   get_id(&row, "author_id"));
	values[0] = Int64GetDatum(get_id(&row, "case_id"));
	values[1] = Int64GetDatum(get_id(&row, "tenant_id"));
	if (!csm_case_touch(DatumGetInt64(values[0]), DatumGetInt64(values[1])))
		csm_spi_write(sql, 2, types, values, NULL, NULL, NULL);
	return PointerGetDatum(NULL);
}
