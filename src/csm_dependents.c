/*
 * csm_dependents.c
 *	  Tasks, lines and blocks of a case: what of them keeps the case from being
 *	  resolved or closed, and what becomes of them when its state changes.
 *
 * Whoever opens a task, a line or a block takes the row lock of the case first
 * (sql/install/75_blocks.sql), and a change of state holds it; what is asked
 * here is asked of the latest committed rows.  So a case is never closed beside
 * a task that is being opened.
 *
 * Here the case is locked before its dependents; where somebody writes a task
 * or a block of his own, that is locked before the case.  So dependents that
 * another session is writing are passed over here; when that session gets the
 * lock it finds what became of the case, and brings its row to an end itself.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "csm_dependents.h"
#include "csm_errors.h"
#include "csm_lifecycle.h"
#include "csm_look.h"
#include "csm_spi.h"

PG_FUNCTION_INFO_V1(csm_case_dependents);

/* ---- what is unfinished ---- */

typedef struct Unfinished
{
	char	   *task;			/* number of the oldest blocking task; NULL: none */
	int			line;			/* position of the first open line; 0: none */
	MemoryContext context;
} Unfinished;

static void
take_unfinished(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Unfinished *found = (Unfinished *) arg;
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	if (!isnull)
		found->task = MemoryContextStrdup(found->context, TextDatumGetCString(value));
	value = heap_getattr(tuple, 2, desc, &isnull);
	if (!isnull)
		found->line = DatumGetInt32(value);
}

static void
case_key(const CsmCaseRow *row, Datum *values)
{
	values[0] = csm_case_row_value(row, CASE_id);
	values[1] = csm_case_row_value(row, CASE_tenant_id);
}

static const Oid key_types[2] = {INT8OID, INT8OID};

/*
 * That the case is blocked, everybody may read who sees it (csm.case_blocks);
 * which task it is, only those who work on it.
 */
void
csm_refuse_unfinished(const CsmCaseRow *row, CsmStateClass to, uint32 actors)
{
	static const char sql[] =
		"SELECT (SELECT t.number FROM csm.case_tasks t"
		"         WHERE t.case_id = $1 AND t.tenant_id = $2 AND t.blocking"
		"           AND t.state IN ('open', 'in_progress') ORDER BY t.id LIMIT 1),"
		"       (SELECT l.position FROM csm.case_lines l"
		"         WHERE l.case_id = $1 AND l.tenant_id = $2"
		"           AND l.state IN ('draft', 'new', 'work_in_progress', 'awaiting_info')"
		"         ORDER BY l.position LIMIT 1)";
	Unfinished	found = {.context = CurrentMemoryContext};
	const char *change = to == CSM_CLASS_RESOLVED ? "resolved" : "closed";
	Datum		values[2];

	if (to != CSM_CLASS_RESOLVED && to != CSM_CLASS_CLOSED)
		return;
	case_key(row, values);
	if (!csm_look_any("case_tasks", "case_tasks_blocking_idx", DatumGetInt64(values[0])) &&
		!csm_look_any("case_lines", "case_lines_open_idx", DatumGetInt64(values[0])))
		return;
	csm_spi_query_latest(sql, 2, key_types, values, NULL, take_unfinished, &found);
	if (found.task != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_TRANSITION),
				 errmsg("case %s cannot be %s while a blocking task is open", csm_case_label(row), change),
				 (actors & (CSM_ACTOR_AGENT | CSM_ACTOR_SYSTEM))
				 ? errdetail("Task %s is open.", found.task)
				 : errdetail("The case is blocked: it needs a task to be done."),
				 errhint("The task must be closed, cancelled or made not blocking first.")));
	if (found.line != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CSM_TRANSITION),
				 errmsg("case %s cannot be %s while a line is open", csm_case_label(row), change),
				 errdetail("Line %d is neither resolved nor cancelled.", found.line),
				 errhint("Bring every line of csm.case_lines to an end first.")));
}

static void
take_nothing(HeapTuple tuple, TupleDesc desc, void *arg)
{
}

bool
csm_child_of_major(const CsmCaseRow *row)
{
	static const char sql[] =
		"SELECT FROM csm.cases WHERE id = $1 AND tenant_id = $2 AND major_state = 'accepted'";
	Datum		values[2];

	if (csm_case_row_null(row, CASE_parent_id))
		return false;
	values[0] = csm_case_row_value(row, CASE_parent_id);
	values[1] = csm_case_row_value(row, CASE_tenant_id);
	return csm_spi_query(sql, 2, key_types, values, NULL, take_nothing, NULL) > 0;
}

/* ---- what follows from a change of state ---- */

static void
write_dependents(const char *sql, const CsmCaseRow *row)
{
	Datum		values[2];

	case_key(row, values);
	csm_spi_write(sql, 2, key_types, values, NULL, NULL, NULL);
}

static void
begin_waiting(const CsmCaseRow *row)
{
	static const char sql[] =
		"INSERT INTO csm.case_blocks (case_id, tenant_id, reason) VALUES ($1, $2, 'customer_info')";

	write_dependents(sql, row);
}

/* Triggers of the block stamp who and when. */
static void
end_waiting(const CsmCaseRow *row)
{
	static const char sql[] =
		"UPDATE csm.case_blocks SET unblocked_at = clock_timestamp()"
		" WHERE case_id = $1 AND tenant_id = $2 AND unblocked_at IS NULL AND reason = 'customer_info'";

	write_dependents(sql, row);
}

static void
end_blocks(const CsmCaseRow *row)
{
	static const char sql[] =
		"UPDATE csm.case_blocks SET unblocked_at = clock_timestamp() WHERE id IN ("
		" SELECT b.id FROM csm.case_blocks b WHERE b.case_id = $1 AND b.tenant_id = $2"
		"  AND b.unblocked_at IS NULL FOR NO KEY UPDATE SKIP LOCKED)";

	if (csm_look_any("case_blocks", "case_blocks_open_idx", csm_case_row_id(row, CASE_id)))
		write_dependents(sql, row);
}

static void
cancel_dependents(const CsmCaseRow *row)
{
	static const char tasks[] =
		"UPDATE csm.case_tasks SET state = 'cancelled' WHERE id IN ("
		" SELECT t.id FROM csm.case_tasks t WHERE t.case_id = $1 AND t.tenant_id = $2"
		"  AND t.state IN ('open', 'in_progress') FOR NO KEY UPDATE SKIP LOCKED)";
	static const char lines[] =
		"UPDATE csm.case_lines SET state = 'cancelled' WHERE id IN ("
		" SELECT l.id FROM csm.case_lines l WHERE l.case_id = $1 AND l.tenant_id = $2"
		"  AND l.state IN ('draft', 'new', 'work_in_progress', 'awaiting_info')"
		"  FOR NO KEY UPDATE SKIP LOCKED)";

	write_dependents(tasks, row);
	write_dependents(lines, row);
}

static void
submit_lines(const CsmCaseRow *row)
{
	static const char sql[] =
		"UPDATE csm.case_lines SET state = 'new'"
		" WHERE case_id = $1 AND tenant_id = $2 AND state = 'draft'";

	write_dependents(sql, row);
}

static CsmStateClass
class_of(const CsmCaseRow *row)
{
	return (CsmStateClass) csm_class_from_name(csm_case_row_text(row, CASE_state_class));
}

static void
follow_state(const CsmCaseRow *row, CsmStateClass from, CsmStateClass to)
{
	if (to == CSM_CLASS_WAITING)
		begin_waiting(row);
	else if (to == CSM_CLASS_RESOLVED || csm_class_is_final(to))
	{
		/* Nothing blocks a case whose solution is proposed. */
		if (from != CSM_CLASS_RESOLVED)
			end_blocks(row);
		if (to == CSM_CLASS_CANCELLED)
			cancel_dependents(row);
	}
	else if (from == CSM_CLASS_WAITING)
		end_waiting(row);
	if (from == CSM_CLASS_DRAFT && !csm_class_is_final(to))
		submit_lines(row);
}

/* AFTER UPDATE FOR EACH ROW on csm.cases; concerns one whose state has another class now. */
Datum
csm_case_dependents(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	CsmCaseRow	before;
	CsmCaseRow	after;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("csm_private.case_dependents() must be an AFTER UPDATE row trigger")));
	if (csm_is_restoring() || csm_is_importing())
		return PointerGetDatum(NULL);

	csm_case_row_open(&before, data->tg_trigtuple, RelationGetDescr(data->tg_relation));
	csm_case_row_open(&after, data->tg_newtuple, RelationGetDescr(data->tg_relation));
	if (csm_case_row_changed(&before, &after, CASE_state_class))
		follow_state(&after, class_of(&before), class_of(&after));
	return PointerGetDatum(NULL);
}
