/*
 * csm_machine.c
 *	  State machines: read from case_types, case_states, case_transitions and
 *	  case_type_fields, kept per backend, and asked what they allow.
 *
 * A machine is kept until a row of its tenant's machines is signalled
 * (csm_signal.c); one that was read under the snapshot of a REPEATABLE READ or
 * SERIALIZABLE transaction serves that transaction only.  At most MAX_MACHINES
 * are kept; the one that rested longest gives way.
 *
 * What a type inherits is decided by the SQL functions in 42_machines.sql.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm_compat.h"
#include "csm_machine.h"
#include "csm_spi.h"

#define MAX_MACHINES 64

#define DEFAULT_PRIORITY 4

typedef struct Kept
{
	CsmMachine *machine;
	MemoryContext context;
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
	LocalTransactionId only_in; /* provisional: valid in this transaction */
	uint64		used;
} Kept;

static MemoryContext machines_context = NULL;
static Kept kept[MAX_MACHINES];
static int	nkept = 0;
static uint64 clock = 0;

static const char *const class_names[CSM_CLASSES] = {
	"draft", "new", "open", "waiting", "resolved", "closed", "cancelled"
};

const char *
csm_class_name(CsmStateClass state_class)
{
	return class_names[state_class];
}

int
csm_class_from_name(const char *name)
{
	for (int i = 0; i < CSM_CLASSES; i++)
	{
		if (strcmp(class_names[i], name) == 0)
			return i;
	}
	return -1;
}

bool
csm_class_is_final(CsmStateClass state_class)
{
	return state_class == CSM_CLASS_CLOSED || state_class == CSM_CLASS_CANCELLED;
}

/* ---- decisions ---- */

const CsmState *
csm_machine_state(const CsmMachine *machine, const char *key)
{
	for (int i = 0; i < machine->nstates; i++)
	{
		if (strcmp(machine->states[i].key, key) == 0)
			return &machine->states[i];
	}
	return NULL;
}

/* The state of the class with the lowest value: where a case begins. */
const CsmState *
csm_machine_first(const CsmMachine *machine, CsmStateClass state_class)
{
	const CsmState *first = NULL;

	for (int i = 0; i < machine->nstates; i++)
	{
		const CsmState *state = &machine->states[i];

		if (state->state_class == state_class && (first == NULL || state->value < first->value))
			first = state;
	}
	return first;
}

/*
 * May the action be taken?  Who could take it in no state at all is told that
 * it is not his (42501); only to others it is the state that forbids it.
 */
CsmVerdict
csm_machine_judge(const CsmMachine *machine, const CsmState *from, const char *action,
				  uint32 actors, const CsmTransition **transition)
{
	bool		known = false;
	bool		permitted = false;

	*transition = NULL;
	for (int i = 0; i < machine->ntransitions; i++)
	{
		const CsmTransition *t = &machine->transitions[i];

		if (strcmp(t->action, action) != 0)
			continue;
		known = true;
		if (t->from == from)
			*transition = t;
		if (t->actors & actors)
			permitted = true;
	}
	if (actors == 0)
		return CSM_NOT_PERMITTED;
	if (!known)
		return CSM_UNKNOWN_ACTION;
	if (csm_class_is_final(from->state_class))
		return permitted ? CSM_FINAL : CSM_NOT_PERMITTED;
	if (*transition != NULL)
		return ((*transition)->actors & actors) ? CSM_ALLOWED : CSM_NOT_PERMITTED;
	return permitted ? CSM_NO_TRANSITION : CSM_NOT_PERMITTED;
}

/*
 * May the state be changed so, by whatever action leads there?  The permitted
 * ones are returned in the order of their keys.
 */
CsmVerdict
csm_machine_judge_change(const CsmMachine *machine, const CsmState *from, const CsmState *to,
						 uint32 actors, const CsmTransition **found, int max, int *nfound)
{
	bool		exists = false;

	*nfound = 0;
	for (int i = 0; i < machine->ntransitions; i++)
	{
		const CsmTransition *t = &machine->transitions[i];

		if (t->from != from || t->to != to)
			continue;
		exists = true;
		if ((t->actors & actors) && *nfound < max)
			found[(*nfound)++] = t;
	}
	if (*nfound > 0)
		return CSM_ALLOWED;
	return exists || actors == 0 ? CSM_NOT_PERMITTED : CSM_NO_TRANSITION;
}

/* ---- reading ---- */

static char *
text_at(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
take_type(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMachine *machine = (CsmMachine *) arg;
	MemoryContext context = GetMemoryChunkContext(machine);
	bool		isnull;
	Datum		value;

	machine->active = DatumGetBool(heap_getattr(tuple, 1, desc, &isnull));
	machine->machine_type = MemoryContextStrdup(context, text_at(tuple, desc, 2));
	machine->begins_as_draft = DatumGetBool(heap_getattr(tuple, 3, desc, &isnull));
	value = heap_getattr(tuple, 4, desc, &isnull);
	machine->priority = isnull ? DEFAULT_PRIORITY : DatumGetInt32(value);
}

/* Room for one more element, doubling. */
static void *
grow(MemoryContext context, void *array, int used, Size element)
{
	if (array == NULL)
		return MemoryContextAllocZero(context, 8 * element);
	if (used >= 8 && (used & (used - 1)) == 0)
		return repalloc(array, 2 * used * element);
	return array;
}

static void
take_state(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMachine *machine = (CsmMachine *) arg;
	MemoryContext context = GetMemoryChunkContext(machine);
	CsmState   *state;
	bool		isnull;
	int			state_class = csm_class_from_name(text_at(tuple, desc, 3));

	if (state_class < 0)
		elog(ERROR, "unknown state class");
	machine->states = grow(context, machine->states, machine->nstates, sizeof(CsmState));
	state = &machine->states[machine->nstates++];
	state->key = MemoryContextStrdup(context, text_at(tuple, desc, 1));
	state->value = DatumGetInt32(heap_getattr(tuple, 2, desc, &isnull));
	state->state_class = (CsmStateClass) state_class;
}

/* The elements of a text[], in the machine's memory. */
static char **
texts_at(MemoryContext context, HeapTuple tuple, TupleDesc desc, int column, int *n)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	char	  **texts;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, n);
	texts = (char **) MemoryContextAllocZero(context, Max(*n, 1) * sizeof(char *));
	for (int i = 0; i < *n; i++)
		texts[i] = nulls[i] ? NULL : MemoryContextStrdup(context, TextDatumGetCString(elements[i]));
	return texts;
}

/* Keys and values in order, "actor:column" before "column". */
static void
take_effects(CsmTransition *t, MemoryContext context, char **keys, char **values, int n)
{
	t->effects = (CsmEffect *) MemoryContextAllocZero(context, Max(n, 1) * sizeof(CsmEffect));
	t->neffects = n;
	for (int i = 0; i < n; i++)
	{
		CsmEffect  *effect = &t->effects[i];
		char	   *colon = strchr(keys[i], ':');

		if (colon != NULL)
		{
			*colon = '\0';
			effect->actor = csm_actor_from_name(keys[i]);
			if (effect->actor == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("effect of action \"%s\" names an unknown actor \"%s\"", t->action, keys[i]),
						 errhint("Write \"column\" or \"actor:column\" in csm.case_transitions.effects.")));
		}
		effect->column = colon ? colon + 1 : keys[i];
		effect->value = values[i];
	}
}

static void
take_transition(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMachine *machine = (CsmMachine *) arg;
	MemoryContext context = GetMemoryChunkContext(machine);
	CsmTransition *t;
	bool		isnull;
	int			n;
	char	  **texts;
	char	  **values;

	machine->transitions = grow(context, machine->transitions, machine->ntransitions,
								sizeof(CsmTransition));
	t = &machine->transitions[machine->ntransitions++];
	memset(t, 0, sizeof(*t));
	t->from = csm_machine_state(machine, text_at(tuple, desc, 1));
	t->action = MemoryContextStrdup(context, text_at(tuple, desc, 2));
	t->to = csm_machine_state(machine, text_at(tuple, desc, 3));
	if (t->from == NULL || t->to == NULL)
		elog(ERROR, "action \"%s\" of case type \"%s\" leads from or to an unknown state",
			 t->action, machine->machine_type);
	texts = texts_at(context, tuple, desc, 4, &n);
	for (int i = 0; i < n; i++)
		t->actors |= csm_actor_from_name(texts[i]);
	t->required = texts_at(context, tuple, desc, 5, &t->nrequired);
	t->note_required = DatumGetBool(heap_getattr(tuple, 6, desc, &isnull));
	t->label = MemoryContextStrdup(context, text_at(tuple, desc, 7));
	texts = texts_at(context, tuple, desc, 8, &n);
	values = texts_at(context, tuple, desc, 9, &n);
	take_effects(t, context, texts, values, n);
}

static CsmAudience
audience_from_name(const char *name)
{
	static const char *const names[CSM_AUDIENCES] = {
		"all", "staff", "customer", "counterparty"
	};

	for (int i = 0; i < CSM_AUDIENCES; i++)
	{
		if (strcmp(names[i], name) == 0)
			return (CsmAudience) i;
	}
	elog(ERROR, "unknown audience");
}

static void
take_field(HeapTuple tuple, TupleDesc desc, void *arg)
{
	CsmMachine *machine = (CsmMachine *) arg;
	MemoryContext context = GetMemoryChunkContext(machine);
	CsmField   *field;
	char	   *reference = text_at(tuple, desc, 7);
	bool		isnull;

	machine->fields = grow(context, machine->fields, machine->nfields, sizeof(CsmField));
	field = &machine->fields[machine->nfields++];
	field->name = MemoryContextStrdup(context, text_at(tuple, desc, 1));
	field->type = MemoryContextStrdup(context, text_at(tuple, desc, 2));
	field->audience = audience_from_name(text_at(tuple, desc, 3));
	field->required = DatumGetBool(heap_getattr(tuple, 4, desc, &isnull));
	field->required_for = texts_at(context, tuple, desc, 5, &field->nrequired_for);
	field->choices = texts_at(context, tuple, desc, 6, &field->nchoices);
	field->reference = reference ? MemoryContextStrdup(context, reference) : NULL;
}

static CsmMachine *
read_machine(MemoryContext context, int64 tenant_id, const char *case_type)
{
	static const char type_sql[] =
		"SELECT t.active,"
		"       (SELECT c.case_type FROM csm_private.type_chain($1, $2) c"
		"         WHERE c.in_machine ORDER BY c.depth DESC LIMIT 1),"
		"       coalesce(csm_private.type_setting($1, $2, 'begins_as_draft') = 'true', false),"
		"       csm_private.type_setting($1, $2, 'priority')::integer"
		"  FROM csm.case_types t WHERE t.case_type = $2 AND t.tenant_id = $1";
	static const char states_sql[] =
		"SELECT state, value, state_class FROM csm_private.machine_states($1, $2) ORDER BY value";
	static const char transitions_sql[] =
		"SELECT t.from_state, t.action, t.to_state, t.actors, t.required_fields, t.note_required, t.label,"
		"       array_agg(e.key ORDER BY strpos(e.key, ':') = 0, e.key) FILTER (WHERE e.key IS NOT NULL),"
		"       array_agg(e.value ORDER BY strpos(e.key, ':') = 0, e.key) FILTER (WHERE e.key IS NOT NULL)"
		"  FROM csm_private.machine_transitions($1, $2) t"
		"  LEFT JOIN LATERAL jsonb_each_text(t.effects) e ON true"
		" GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2";
	static const char fields_sql[] =
		"SELECT name, type, audience, required, required_for, choices, reference"
		"  FROM csm_private.type_fields($1, $2) ORDER BY \"position\", name";
	Oid			types[2] = {INT8OID, TEXTOID};
	Datum		values[2];
	CsmMachine *machine = (CsmMachine *) MemoryContextAllocZero(context, sizeof(CsmMachine));

	machine->tenant_id = tenant_id;
	machine->case_type = MemoryContextStrdup(context, case_type);
	values[0] = Int64GetDatum(tenant_id);
	values[1] = CStringGetTextDatum(case_type);
	if (csm_spi_query(type_sql, 2, types, values, NULL, take_type, machine) == 0)
		return NULL;
	csm_spi_query(states_sql, 2, types, values, NULL, take_state, machine);
	csm_spi_query(transitions_sql, 2, types, values, NULL, take_transition, machine);
	csm_spi_query(fields_sql, 2, types, values, NULL, take_field, machine);
	return machine;
}

/* ---- keeping ---- */

static bool
still_right(const Kept *k)
{
	return k->seen == csm_signal_count[k->anchor] &&
		(k->only_in == InvalidLocalTransactionId || k->only_in == csm_lxid(MyProc));
}

static void
forget(int i)
{
	MemoryContextDelete(kept[i].context);
	kept[i] = kept[--nkept];
}

static void
forget_oldest(void)
{
	int			oldest = 0;

	for (int i = 1; i < nkept; i++)
	{
		if (kept[i].used < kept[oldest].used)
			oldest = i;
	}
	forget(oldest);
}

const CsmMachine *
csm_machine_get(int64 tenant_id, const char *case_type)
{
	MemoryContext context;
	CsmMachine *machine;
	int			anchor;
	uint32		seen;

	csm_signal_watch();
	for (int i = 0; i < nkept; i++)
	{
		if (kept[i].machine->tenant_id != tenant_id ||
			strcmp(kept[i].machine->case_type, case_type) != 0)
			continue;
		if (still_right(&kept[i]))
		{
			kept[i].used = ++clock;
			return kept[i].machine;
		}
		forget(i);
		break;
	}

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	anchor = csm_signal_anchor(CSM_SIGNAL_MACHINE, (uint64) tenant_id);
	seen = csm_signal_count[anchor];
	context = AllocSetContextCreate(CurrentMemoryContext, "csm machine", ALLOCSET_SMALL_SIZES);
	machine = read_machine(context, tenant_id, case_type);
	if (machine == NULL)
	{
		MemoryContextDelete(context);
		return NULL;
	}

	if (machines_context == NULL)
		machines_context = AllocSetContextCreate(TopMemoryContext, "csm machines",
												 ALLOCSET_SMALL_SIZES);
	if (nkept == MAX_MACHINES)
		forget_oldest();
	MemoryContextSetParent(context, machines_context);
	kept[nkept].machine = machine;
	kept[nkept].context = context;
	kept[nkept].anchor = anchor;
	kept[nkept].seen = seen;
	kept[nkept].only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);
	kept[nkept].used = ++clock;
	nkept++;
	return machine;
}

PG_FUNCTION_INFO_V1(csm_machine_type);

/* csm_private.machine_type(tenant_id, case_type): with whom the machine began. */
Datum
csm_machine_type(PG_FUNCTION_ARGS)
{
	const CsmMachine *machine = csm_machine_get(PG_GETARG_INT64(0),
												text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (machine == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(machine->machine_type));
}

PG_FUNCTION_INFO_V1(csm_actions_for);

/*
 * csm_private.actions_for(tenant_id, case_type, state, actor): the actions that
 * a relation may take from a state; empty for what is unknown or null.
 */
Datum
csm_actions_for(PG_FUNCTION_ARGS)
{
	const CsmMachine *machine;
	const CsmState *from;
	Datum	   *actions;
	uint32		actor;
	int			n = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	machine = csm_machine_get(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (machine == NULL)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	from = csm_machine_state(machine, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	actor = csm_actor_from_name(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	actions = (Datum *) palloc((machine->ntransitions + 1) * sizeof(Datum));
	for (int i = 0; from != NULL && i < machine->ntransitions; i++)
	{
		const CsmTransition *t = &machine->transitions[i];

		if (t->from == from && (t->actors & actor))
			actions[n++] = CStringGetTextDatum(t->action);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(actions, n, TEXTOID, -1, false, TYPALIGN_INT));
}
