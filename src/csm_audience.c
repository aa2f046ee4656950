/*
 * csm_audience.c
 *	  User criteria and audiences of a tenant: read from csm.user_criteria,
 *	  csm.audiences and their rows, kept per backend, and asked what they say of
 *	  somebody of whom certain facts are true.
 *
 * The rules stand at the top of sql/install/86_criteria.sql.  Judging is pure:
 * it looks at what is in memory alone.  One tenant's rows are read once and
 * serve everybody whose session the backend has; they are kept until a signal
 * says that one of them changed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm_audience.h"
#include "csm_compat.h"
#include "csm_spi.h"

#define MAX_TENANTS 16

typedef struct CsmCriteriaPart
{
	CsmFactKind kind;
	int64		id;
	char	   *word;
} CsmCriteriaPart;

typedef struct CsmCriterion
{
	int64		id;
	bool		all;			/* every part, else one of them */
	int			first;
	int			n;
} CsmCriterion;

typedef struct CsmAudienceGrant
{
	int			criterion;		/* -1: criteria that nobody satisfies */
	CsmAudienceBits bit;
	bool		denies;
} CsmAudienceGrant;

typedef struct CsmAudience
{
	int64		id;
	int			within;			/* index of the outer one, -1: none */
	int64		owner_id;
	int64		group_id;
	int			first;
	int			n;
} CsmAudience;

/* What criteria say of somebody. */
#define MET		0x01			/* by all facts */
#define COUNTS	0x02			/* by those that count */

typedef struct Kept
{
	CsmAudiences *audiences;
	MemoryContext context;
	uint32		seen;
	LocalTransactionId only_in; /* provisional: valid in this transaction */
	uint64		used;
} Kept;

static MemoryContext audiences_context = NULL;
static Kept kept[MAX_TENANTS];
static int	nkept = 0;
static uint64 clock = 0;

static const char *const action_names[CSM_AUDIENCE_ACTIONS] = {
	[CSM_AUDIENCE_READ] = "read",
	[CSM_AUDIENCE_CONTRIBUTE] = "contribute",
	[CSM_AUDIENCE_ASK] = "ask",
	[CSM_AUDIENCE_ANSWER] = "answer",
	[CSM_AUDIENCE_MODERATE] = "moderate",
	[CSM_AUDIENCE_MANAGE] = "manage",
};

static const char *const kind_names[CSM_FACTS] = {
	[CSM_FACT_USER] = "user",
	[CSM_FACT_GROUP] = "group",
	[CSM_FACT_ACCOUNT] = "account",
	[CSM_FACT_BELOW_ACCOUNT] = "subtree",
	[CSM_FACT_PRODUCT] = "product",
	[CSM_FACT_LIST] = "list",
	[CSM_FACT_ROLE] = "role",
	[CSM_FACT_PERSONA] = "persona",
	[CSM_FACT_LOCATION] = "location",
	[CSM_FACT_LANGUAGE] = "language",
};

int
csm_audience_action_from_name(const char *name, int len)
{
	for (int i = 0; i < CSM_AUDIENCE_ACTIONS; i++)
	{
		if ((int) strlen(action_names[i]) == len && memcmp(action_names[i], name, len) == 0)
			return i;
	}
	return -1;
}

int64
csm_audience_id(const CsmAudiences *audiences, int i)
{
	return audiences->audiences[i].id;
}

/* ---- judging ---- */

static int
compare_facts(const void *a, const void *b)
{
	const CsmFact *x = a;
	const CsmFact *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* One fact that is true for two reasons counts where one of them does; words stay as they are. */
int
csm_facts_sort(CsmFact *facts, int n)
{
	int			left = 0;

	qsort(facts, n, sizeof(CsmFact), compare_facts);
	for (int i = 0; i < n; i++)
	{
		if (left > 0 && facts[i].kind < CSM_FACT_ROLE && compare_facts(&facts[left - 1], &facts[i]) == 0)
			facts[left - 1].counts |= facts[i].counts;
		else
			facts[left++] = facts[i];
	}
	return left;
}

/* Is a value the same as, or a part of, the one that is asked for: DE-BY of DE? */
static bool
lies_within(const char *value, const char *asked)
{
	size_t		len = strlen(asked);

	return pg_strncasecmp(value, asked, len) == 0 && (value[len] == '\0' || value[len] == '-');
}

static uint8
says_of_word(const CsmCriteriaPart *part, const CsmFact *facts, int nfacts)
{
	bool		within = part->kind == CSM_FACT_LOCATION || part->kind == CSM_FACT_LANGUAGE;
	uint8		says = 0;

	for (int i = nfacts - 1; i >= 0 && facts[i].kind >= CSM_FACT_ROLE; i--)
	{
		if (facts[i].kind == part->kind &&
			(within ? lies_within(facts[i].word, part->word) : strcmp(facts[i].word, part->word) == 0))
			says |= facts[i].counts ? MET | COUNTS : MET;
	}
	return says;
}

static uint8
says_of_id(CsmFactKind kind, int64 id, const CsmFact *facts, int nfacts)
{
	CsmFact		key = {.kind = kind,.id = id};
	const CsmFact *fact = bsearch(&key, facts, nfacts, sizeof(CsmFact), compare_facts);

	if (fact == NULL)
		return 0;
	return fact->counts ? MET | COUNTS : MET;
}

static uint8
says_of_criterion(const CsmAudiences *a, const CsmCriterion *criterion, const CsmFact *facts, int nfacts)
{
	uint8		says = criterion->all && criterion->n > 0 ? MET | COUNTS : 0;

	for (int i = criterion->first; i < criterion->first + criterion->n; i++)
	{
		const CsmCriteriaPart *part = &a->parts[i];
		uint8		one = part->word != NULL ? says_of_word(part, facts, nfacts)
			: says_of_id(part->kind, part->id, facts, nfacts);

		says = criterion->all ? says & one : says | one;
	}
	return says;
}

/* What one audience says by itself. */
typedef struct Level
{
	CsmAudienceBits ruled;		/* actions that it grants to anybody */
	CsmAudienceBits granted;
	CsmAudienceBits denied;
} Level;

static Level
level_of(const CsmAudiences *a, const CsmAudience *audience, const uint8 *says)
{
	Level		level = {0};

	for (int i = audience->first; i < audience->first + audience->n; i++)
	{
		const CsmAudienceGrant *grant = &a->grants[i];
		uint8		said = grant->criterion < 0 ? 0 : says[grant->criterion];

		if (!grant->denies)
			level.ruled |= grant->bit;
		if (grant->denies ? (said & MET) != 0 : (said & COUNTS) != 0)
		{
			if (grant->denies)
				level.denied |= grant->bit;
			else
				level.granted |= grant->bit;
		}
	}
	return level;
}

void
csm_audiences_judge(const CsmAudiences *a, const CsmFact *facts, int nfacts, int64 user_id, bool staff,
					CsmAudienceBits *bits)
{
	const CsmAudienceBits manage = CSM_AUDIENCE_BIT(CSM_AUDIENCE_MANAGE);
	uint8	   *says = palloc(a->ncriteria + 1);
	bool	   *is_staff = palloc(a->naudiences + 1);

	for (int i = 0; i < a->ncriteria; i++)
		says[i] = says_of_criterion(a, &a->criteria[i], facts, nfacts);
	for (int i = 0; i < a->naudiences; i++)
	{
		const CsmAudience *audience = &a->audiences[i];
		Level		level = level_of(a, audience, says);
		bool		own = staff &&
			(audience->owner_id == user_id ||
			 (audience->group_id != 0 && says_of_id(CSM_FACT_GROUP, audience->group_id, facts, nfacts) != 0));

		if (audience->within < 0)
		{
			is_staff[i] = own;
			bits[i] = level.granted & ~level.denied;
			if (bits[i] & manage)
				bits[i] = CSM_AUDIENCE_ALL & ~level.denied;
		}
		else
		{
			CsmAudienceBits outer = bits[audience->within];

			is_staff[i] = is_staff[audience->within] || (own && (outer & CSM_AUDIENCE_BIT(CSM_AUDIENCE_READ)));
			bits[i] = outer & ~level.denied;
			if ((outer & manage) == 0)
				bits[i] &= level.granted | ~level.ruled;
		}
		if (is_staff[i])
			bits[i] = CSM_AUDIENCE_ALL;
	}
	pfree(says);
	pfree(is_staff);
}

/* ---- reading ---- */

/* Where the rows of a query go; max: for how many there is room. */
typedef struct Rows
{
	CsmAudiences *into;
	MemoryContext context;
	int			max;
} Rows;

static void *
enlarged(const Rows *rows, void *array, Size size)
{
	return array ? repalloc(array, size * rows->max) : MemoryContextAlloc(rows->context, size * rows->max);
}

static bool
is_full(Rows *rows, int n)
{
	if (n < rows->max)
		return false;
	rows->max = rows->max ? rows->max * 2 : 64;
	return true;
}

static int64
get_id(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
get_bool(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && DatumGetBool(value);
}

static char *
get_word(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* A part of a kind that this library does not know is true of nobody. */
static void
take_part(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Rows	   *rows = arg;
	CsmAudiences *a = rows->into;
	int64		criteria_id = get_id(tuple, desc, 1);
	char	   *kind = get_word(tuple, desc, 3);
	char	   *word = get_word(tuple, desc, 5);
	CsmCriterion *criterion;
	CsmCriteriaPart *part;

	if (is_full(rows, a->nparts))
	{
		a->parts = enlarged(rows, a->parts, sizeof(CsmCriteriaPart));
		a->criteria = enlarged(rows, a->criteria, sizeof(CsmCriterion));
	}
	if (a->ncriteria == 0 || a->criteria[a->ncriteria - 1].id != criteria_id)
	{
		criterion = &a->criteria[a->ncriteria++];
		criterion->id = criteria_id;
		criterion->all = get_bool(tuple, desc, 2);
		criterion->first = a->nparts;
		criterion->n = 0;
	}
	criterion = &a->criteria[a->ncriteria - 1];
	part = &a->parts[a->nparts++];
	criterion->n++;
	part->kind = CSM_FACTS;
	for (int k = 0; k < CSM_FACTS; k++)
	{
		if (strcmp(kind_names[k], kind) == 0)
			part->kind = k;
	}
	part->id = get_id(tuple, desc, 4);
	part->word = word ? MemoryContextStrdup(rows->context, word) : NULL;
	if (part->kind < CSM_FACTS)
		a->wanted[part->kind] = true;
}

/* Position of an id in an array of structures that begin with theirs, in their order; -1: none. */
static int
find_id(const void *array, int n, Size size, int64 id)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (*(const int64 *) ((const char *) array + middle * size) < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && *(const int64 *) ((const char *) array + low * size) == id ? low : -1;
}

static void
take_audience(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Rows	   *rows = arg;
	CsmAudiences *a = rows->into;
	CsmAudience *audience;
	int64		within = get_id(tuple, desc, 2);

	if (is_full(rows, a->naudiences))
		a->audiences = enlarged(rows, a->audiences, sizeof(CsmAudience));
	audience = &a->audiences[a->naudiences];
	audience->id = get_id(tuple, desc, 1);
	audience->within = within == 0 ? -1 : find_id(a->audiences, a->naudiences, sizeof(CsmAudience), within);
	audience->owner_id = get_id(tuple, desc, 3);
	audience->group_id = get_id(tuple, desc, 4);
	audience->first = audience->n = 0;
	if (audience->group_id != 0)
		a->wanted[CSM_FACT_GROUP] = true;
	/* Without the outer one nothing can be said of it: it is left out. */
	if (within == 0 || audience->within >= 0)
		a->naudiences++;
}

static void
take_grant(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Rows	   *rows = arg;
	CsmAudiences *a = rows->into;
	int			i = find_id(a->audiences, a->naudiences, sizeof(CsmAudience), get_id(tuple, desc, 1));
	char	   *name = get_word(tuple, desc, 3);
	int			action = csm_audience_action_from_name(name, (int) strlen(name));
	CsmAudienceGrant *grant;

	if (i < 0 || action < 0)
		return;
	if (is_full(rows, a->ngrants))
		a->grants = enlarged(rows, a->grants, sizeof(CsmAudienceGrant));
	grant = &a->grants[a->ngrants];
	grant->criterion = find_id(a->criteria, a->ncriteria, sizeof(CsmCriterion), get_id(tuple, desc, 2));
	grant->bit = CSM_AUDIENCE_BIT(action);
	grant->denies = get_bool(tuple, desc, 4);
	if (a->audiences[i].n++ == 0)
		a->audiences[i].first = a->ngrants;
	a->ngrants++;
}

static void
take_product(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Rows	   *rows = arg;
	CsmAudiences *a = rows->into;

	if (is_full(rows, a->nproducts))
		a->products = enlarged(rows, a->products, sizeof(int64));
	a->products[a->nproducts++] = get_id(tuple, desc, 1);
}

static CsmAudiences *
read_audiences(MemoryContext context, int64 tenant_id)
{
	static const char parts[] =
		"SELECT c.id, c.match = 'all', CASE WHEN p.include_descendants THEN 'subtree' ELSE p.kind END,"
		" coalesce(p.user_id, p.group_id, p.account_id, p.product_id, p.list_id), coalesce(p.role, p.persona, p.location, p.language)"
		" FROM csm.user_criteria c"
		" JOIN csm.user_criteria_parts p ON p.criteria_id = c.id AND p.tenant_id = c.tenant_id"
		" WHERE c.tenant_id = $1 AND c.active ORDER BY c.id";
	static const char audiences[] =
		"SELECT id, within_id, owner_id, group_id FROM csm.audiences WHERE tenant_id = $1 ORDER BY id";
	static const char grants[] =
		"SELECT g.audience_id, g.criteria_id, g.action, g.denies"
		" FROM csm.audiences a JOIN csm.audience_grants g ON g.audience_id = a.id AND g.tenant_id = a.tenant_id"
		" WHERE a.tenant_id = $1 ORDER BY g.audience_id";
	static const char products[] =
		"WITH RECURSIVE below(id) AS ("
		"   SELECT p.product_id FROM csm.user_criteria c"
		"   JOIN csm.user_criteria_parts p ON p.criteria_id = c.id AND p.tenant_id = c.tenant_id"
		"   WHERE c.tenant_id = $1 AND c.active AND p.product_id IS NOT NULL"
		"  UNION"
		"   SELECT p.id FROM below b JOIN csm.products p ON p.parent_id = b.id AND p.tenant_id = $1)"
		" SELECT id FROM below";
	static const Oid types[1] = {INT8OID};
	Datum		values[1];
	Rows		rows = {.context = context};
	CsmAudiences *a = MemoryContextAllocZero(context, sizeof(CsmAudiences));

	a->tenant_id = tenant_id;
	rows.into = a;
	values[0] = Int64GetDatum(tenant_id);
	csm_spi_query(parts, 1, types, values, NULL, take_part, &rows);
	rows.max = 0;
	csm_spi_query(audiences, 1, types, values, NULL, take_audience, &rows);
	rows.max = 0;
	csm_spi_query(grants, 1, types, values, NULL, take_grant, &rows);
	rows.max = 0;
	if (a->wanted[CSM_FACT_PRODUCT])
		csm_spi_query(products, 1, types, values, NULL, take_product, &rows);
	return a;
}

/* ---- keeping ---- */

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

const CsmAudiences *
csm_audiences_get(int64 tenant_id)
{
	Kept		built = {0};

	for (int i = 0; i < nkept; i++)
	{
		Kept	   *k = &kept[i];

		if (k->audiences->tenant_id != tenant_id)
			continue;
		if (k->seen == csm_signal_count[k->audiences->anchor] &&
			(k->only_in == InvalidLocalTransactionId || k->only_in == csm_lxid(MyProc)))
		{
			k->used = ++clock;
			return k->audiences;
		}
		forget(i);
		break;
	}

	/* Counted before reading: what is signalled meanwhile makes it stale. */
	built.seen = csm_signal_count[csm_signal_anchor(CSM_SIGNAL_AUDIENCE, (uint64) tenant_id)];
	built.context = AllocSetContextCreate(CurrentMemoryContext, "csm audiences of a tenant", ALLOCSET_DEFAULT_SIZES);
	built.audiences = read_audiences(built.context, tenant_id);
	built.audiences->anchor = csm_signal_anchor(CSM_SIGNAL_AUDIENCE, (uint64) tenant_id);
	built.only_in = csm_spi_latest() ? InvalidLocalTransactionId : csm_lxid(MyProc);
	built.used = ++clock;

	if (audiences_context == NULL)
		audiences_context = AllocSetContextCreate(TopMemoryContext, "csm audiences", ALLOCSET_SMALL_SIZES);
	if (nkept == MAX_TENANTS)
		forget_oldest();
	MemoryContextSetParent(built.context, audiences_context);
	kept[nkept++] = built;
	return built.audiences;
}
