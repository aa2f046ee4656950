/*
 * csm_map_facts.c
 *	  The facts that are true of the person of an access map: what criteria can
 *	  ask for, read from his personas, groups, accounts and products.
 *
 * Whoever acts for another, or by an API key that is limited to some actions,
 * reads what is left of the persona by case_read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "csm_map_facts.h"
#include "csm_map_load.h"

/* An account of which he is a contact. */
typedef struct Home
{
	int64		account_id;
	bool		counts;
} Home;

typedef struct Gathering
{
	CsmMap	   *map;
	CsmFacts   *into;
	TimestampTz now;
	CsmFact    *facts;
	int			n;
	int			max;
	Home	   *homes;
	int			nhomes;
	int			maxhomes;
	bool		consumer;
	bool		consumer_counts;
	bool		any_counts;		/* some persona of his does */
	bool		self_counts;	/* what is true of himself does */
	bool		staff_counts;	/* a staff role does */
	char	   *location;
	char	   *language;
	bool		owner_counts;	/* of the products that are being read */
} Gathering;

/* ---- what counts ---- */

static bool
branch_left(const CsmMap *map, CsmBranch branch)
{
	return (map->limit.allowed[branch] & CSM_BIT(CSM_CASE_READ)) != 0;
}

static bool
any_branch_left(const CsmMap *map)
{
	return branch_left(map, CSM_B2B) || branch_left(map, CSM_B2C) || branch_left(map, CSM_INTERNAL);
}

static bool
narrowed_to(const CsmMap *map, const char *persona)
{
	return map->persona[0] == '\0' || strcmp(map->persona, persona) == 0;
}

/* ---- facts ---- */

static void
add_fact(Gathering *g, CsmFactKind kind, int64 id, const char *word, bool counts)
{
	if (g->n == g->max)
	{
		g->max *= 2;
		g->facts = repalloc(g->facts, sizeof(CsmFact) * g->max);
	}
	g->facts[g->n].kind = kind;
	g->facts[g->n].id = id;
	g->facts[g->n].word = word;
	g->facts[g->n].counts = counts;
	g->n++;
}

static void
watch(Gathering *g, CsmSignalKind kind, int64 key)
{
	int			anchor = csm_signal_anchor(kind, (uint64) key);

	g->into->watch[anchor / 64] |= UINT64CONST(1) << (anchor % 64);
}

/* The column holds the instant of the next change, NULL for never. */
static void
heed_change(Gathering *g, HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	if (!isnull && DatumGetTimestampTz(value) < g->into->valid_until)
		g->into->valid_until = DatumGetTimestampTz(value);
}

/* What is copied lives as long as the gathering: as the caller's context. */
static char *
copy_text(Gathering *g, HeapTuple tuple, TupleDesc desc, int column)
{
	char	   *text = csm_get_text(tuple, desc, column);

	return text ? MemoryContextStrdup(GetMemoryChunkContext(g->facts), text) : NULL;
}

static void
add_home(Gathering *g, int64 account_id, bool counts)
{
	if (g->nhomes == g->maxhomes)
	{
		g->maxhomes *= 2;
		g->homes = repalloc(g->homes, sizeof(Home) * g->maxhomes);
	}
	g->homes[g->nhomes].account_id = account_id;
	g->homes[g->nhomes].counts = counts;
	g->nhomes++;
}

static void
add_persona(Gathering *g, const char *persona, bool counts)
{
	add_fact(g, CSM_FACT_PERSONA, 0, persona, counts);
	g->any_counts |= counts;
}

static void
take_persona(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Gathering  *g = arg;
	const CsmMap *map = g->map;
	char		persona[NAMEDATALEN + 16];
	char	   *role;
	bool		counts;

	heed_change(g, tuple, desc, 6);
	if (!csm_get_bool(tuple, desc, 5))
		return;
	switch (csm_get_text(tuple, desc, 1)[0])
	{
		case 'c':
			snprintf(persona, sizeof(persona), "contact:" INT64_FORMAT, csm_get_id(tuple, desc, 3));
			counts = branch_left(map, CSM_B2B) && narrowed_to(map, persona);
			add_persona(g, "contact", counts);
			add_home(g, csm_get_id(tuple, desc, 2), counts);
			add_fact(g, CSM_FACT_ACCOUNT, csm_get_id(tuple, desc, 2), NULL, counts);
			role = copy_text(g, tuple, desc, 4);
			if (role != NULL)
				add_fact(g, CSM_FACT_ROLE, 0, role, counts);
			break;
		case 's':
			role = copy_text(g, tuple, desc, 4);
			snprintf(persona, sizeof(persona), "staff:%s", role);
			counts = map->staff_side && any_branch_left(map) && narrowed_to(map, persona);
			add_persona(g, "staff", counts);
			add_fact(g, CSM_FACT_ROLE, 0, role, counts);
			g->staff_counts |= counts;
			break;
		case 'n':
			g->consumer = true;
			g->consumer_counts = branch_left(map, CSM_B2C) && narrowed_to(map, "consumer");
			add_persona(g, "consumer", g->consumer_counts);
			break;
		case 'e':
			add_persona(g, "employee", branch_left(map, CSM_INTERNAL) && narrowed_to(map, "employee"));
			break;
		default:
			g->location = copy_text(g, tuple, desc, 4);
			g->language = copy_text(g, tuple, desc, 7);
			break;
	}
}

static void
query(Gathering *g, const char *sql, CsmTupleFn fn)
{
	static const Oid types[3] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = Int64GetDatum(g->map->user_id);
	values[1] = Int64GetDatum(g->map->tenant_id);
	values[2] = TimestampTzGetDatum(g->now);
	csm_spi_query(sql, 3, types, values, NULL, fn, g);
}

/* Changes of these edges are signalled to the map itself, which watches the person. */
static void
gather_personas(Gathering *g)
{
	static const char sql[] =
		"SELECT 'c', k.account_id, k.id, r.role, k.login_enabled AND csm_private.is_valid(k.valid_during, $3),"
		" csm_private.next_change(k.valid_during, $3), NULL::text"
		" FROM csm.contacts k"
		" LEFT JOIN csm.roles r ON r.role = k.role AND r.tenant_id = k.tenant_id AND r.kind = 'contact'"
		" WHERE k.user_id = $1 AND k.tenant_id = $2"
		" UNION ALL"
		" SELECT 's', NULL, NULL, u.role, csm_private.is_valid(u.valid_during, $3),"
		" csm_private.next_change(u.valid_during, $3), NULL"
		" FROM csm.user_roles u JOIN csm.roles r ON r.role = u.role AND r.tenant_id = u.tenant_id AND r.kind = 'staff'"
		" WHERE u.user_id = $1 AND u.tenant_id = $2"
		" UNION ALL"
		" SELECT 'n', NULL, NULL, NULL, true, NULL, NULL FROM csm.consumers WHERE user_id = $1 AND tenant_id = $2"
		" UNION ALL"
		" SELECT 'e', NULL, NULL, NULL, true, NULL, NULL FROM csm.employees WHERE user_id = $1 AND tenant_id = $2"
		" UNION ALL"
		" SELECT 'u', NULL, NULL, location, true, NULL, language FROM csm.users WHERE id = $1 AND tenant_id = $2";

	query(g, sql, take_persona);
}

/* True of the person himself, through every persona that he has; anybody asks for internal service. */
static void
gather_self(Gathering *g)
{
	const CsmMap *map = g->map;
	bool		counts = g->any_counts;

	if (map->persona[0] == '\0')
		counts |= any_branch_left(map);
	else if (strcmp(map->persona, "employee") == 0)
		counts |= branch_left(map, CSM_INTERNAL);
	g->self_counts = counts;
	add_fact(g, CSM_FACT_USER, map->user_id, NULL, counts);
	if (g->location != NULL)
		add_fact(g, CSM_FACT_LOCATION, 0, g->location, counts);
	if (g->language != NULL)
		add_fact(g, CSM_FACT_LANGUAGE, 0, g->language, counts);
}

/* Being owner, or in a group, counts on a staff connection, through any staff role that counts. */
static bool
counts_as_staff(const Gathering *g)
{
	return g->map->staff_side && any_branch_left(g->map) && (g->map->persona[0] == '\0' || g->staff_counts);
}

static void
take_group(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Gathering  *g = arg;

	add_fact(g, CSM_FACT_GROUP, csm_get_id(tuple, desc, 1), NULL, counts_as_staff(g));
}

/* What lies above what is signalled with the tenant's audiences. */
static void
gather_groups(Gathering *g)
{
	static const char sql[] =
		"WITH RECURSIVE up(id, parent_id) AS ("
		"   SELECT g.id, g.parent_id FROM csm.group_members m"
		"   JOIN csm.groups g ON g.id = m.group_id AND g.tenant_id = m.tenant_id"
		"   WHERE m.user_id = $1 AND m.tenant_id = $2 AND $3 IS NOT NULL"
		"  UNION"
		"   SELECT g.id, g.parent_id FROM up JOIN csm.groups g ON g.id = up.parent_id AND g.tenant_id = $2)"
		" SELECT id FROM up";

	watch(g, CSM_SIGNAL_MEMBER, g->map->user_id);
	query(g, sql, take_group);
}

static Datum
id_array(const int64 *ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * (n + 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
home_array(const Gathering *g)
{
	int64	   *ids = palloc(sizeof(int64) * (g->nhomes + 1));

	for (int i = 0; i < g->nhomes; i++)
		ids[i] = g->homes[i].account_id;
	return id_array(ids, g->nhomes);
}

/* Does being a contact of that account count? */
static bool
home_counts(const Gathering *g, int64 account_id)
{
	for (int i = 0; i < g->nhomes; i++)
	{
		if (g->homes[i].account_id == account_id && g->homes[i].counts)
			return true;
	}
	return false;
}

static void
take_account_above(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Gathering  *g = arg;

	watch(g, CSM_SIGNAL_ACCOUNT, csm_get_id(tuple, desc, 2));
	add_fact(g, CSM_FACT_BELOW_ACCOUNT, csm_get_id(tuple, desc, 2), NULL, home_counts(g, csm_get_id(tuple, desc, 1)));
}

static void
gather_accounts_above(Gathering *g)
{
	static const char sql[] =
		"WITH RECURSIVE up(account_id, id, parent_id) AS ("
		"   SELECT a.id, a.id, a.parent_id FROM csm.accounts a WHERE a.id = ANY ($1) AND a.tenant_id = $2"
		"  UNION"
		"   SELECT up.account_id, a.id, a.parent_id"
		"   FROM up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = $2)"
		" SELECT account_id, id FROM up";
	static const Oid types[2] = {INT8ARRAYOID, INT8OID};
	Datum		values[2];

	values[0] = home_array(g);
	values[1] = Int64GetDatum(g->map->tenant_id);
	csm_spi_query(sql, 2, types, values, NULL, take_account_above, g);
}

/* A row without a product says when one that is owned now, or will be, changes. */
static void
take_product(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Gathering  *g = arg;
	int64		product_id = csm_get_id(tuple, desc, 2);

	heed_change(g, tuple, desc, 3);
	if (product_id != 0)
		add_fact(g, CSM_FACT_PRODUCT, product_id, NULL, g->owner_counts || home_counts(g, csm_get_id(tuple, desc, 1)));
}

/*
 * Probes the products that criteria ask for, so that it costs what they are and
 * not what somebody owns.  One row without an end settles the matter.
 */
#define PRODUCTS_OF(owner) \
	"WITH RECURSIVE owned(holder, id, valid, change) AS (" \
	"   SELECT h.id, w.id, f.forever OR t.valid, t.change" \
	"   FROM unnest($1) h(id) CROSS JOIN unnest($4) w(id)" \
	"   CROSS JOIN LATERAL (SELECT" \
	"     EXISTS (SELECT FROM csm.assets a WHERE a." owner " = h.id AND a.product_id = w.id AND a.tenant_id = $2" \
	"             AND a.removed_at IS NULL) OR" \
	"     EXISTS (SELECT FROM csm.sold_products s WHERE s." owner " = h.id AND s.product_id = w.id AND s.tenant_id = $2" \
	"             AND s.valid_during IS NULL)) f(forever)" \
	"   CROSS JOIN LATERAL (" \
	"     SELECT bool_or(x.valid) AS valid, min(x.change) AS change FROM (" \
	"       SELECT a.removed_at > $3 AS valid, CASE WHEN a.removed_at > $3 THEN a.removed_at END AS change" \
	"       FROM csm.assets a WHERE a." owner " = h.id AND a.product_id = w.id AND a.tenant_id = $2" \
	"      UNION ALL" \
	"       SELECT csm_private.is_valid(s.valid_during, $3), csm_private.next_change(s.valid_during, $3)" \
	"       FROM csm.sold_products s WHERE s." owner " = h.id AND s.product_id = w.id AND s.tenant_id = $2) x" \
	"     WHERE NOT f.forever) t)," \
	" up(holder, id) AS (" \
	"   SELECT holder, id FROM owned WHERE valid" \
	"  UNION" \
	"   SELECT up.holder, p.parent_id FROM up JOIN csm.products p ON p.id = up.id AND p.tenant_id = $2" \
	"   WHERE p.parent_id IS NOT NULL)" \
	" SELECT holder, id, NULL::timestamptz FROM up" \
	" UNION ALL" \
	" SELECT NULL, NULL, min(change) FROM owned"

static void
gather_products(Gathering *g, const CsmAudiences *audiences)
{
	static const char by_account[] = PRODUCTS_OF("account_id");
	static const char by_user[] = PRODUCTS_OF("user_id");
	static const Oid types[4] = {INT8ARRAYOID, INT8OID, TIMESTAMPTZOID, INT8ARRAYOID};
	Datum		values[4];

	values[0] = home_array(g);
	values[1] = Int64GetDatum(g->map->tenant_id);
	values[2] = TimestampTzGetDatum(g->now);
	values[3] = id_array(audiences->products, audiences->nproducts);
	g->owner_counts = false;
	if (g->nhomes > 0)
		csm_spi_query(by_account, 4, types, values, NULL, take_product, g);
	if (!g->consumer)
		return;
	values[0] = id_array(&g->map->user_id, 1);
	g->owner_counts = g->consumer_counts;
	csm_spi_query(by_user, 4, types, values, NULL, take_product, g);
}

/* What he owns and what lists say of him have the same holders, and one signal. */
static void
watch_holders(Gathering *g)
{
	for (int i = 0; i < g->nhomes; i++)
		watch(g, CSM_SIGNAL_OWNED, g->homes[i].account_id);
	watch(g, CSM_SIGNAL_OWNED, g->map->user_id);
}

static void
take_list(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Gathering  *g = arg;
	int64		account_id = csm_get_id(tuple, desc, 2);
	bool		counts = g->self_counts;

	if (csm_get_bool(tuple, desc, 3))
	{
		if (!g->consumer)
			return;
		counts = g->consumer_counts;
	}
	if (account_id != 0)
		counts = home_counts(g, account_id);
	add_fact(g, CSM_FACT_LIST, csm_get_id(tuple, desc, 1), NULL, counts);
}

static void
gather_lists(Gathering *g)
{
	static const char sql[] =
		"SELECT r.list_id, r.account_id, l.kind = 'consumers'"
		" FROM (SELECT x.list_id, x.account_id FROM csm.recipients x"
		"       WHERE x.user_id = $1 AND x.tenant_id = $2 AND (x.account_id IS NULL OR x.account_id = ANY ($3))"
		"      UNION ALL"
		"       SELECT x.list_id, x.account_id FROM csm.recipients x"
		"       WHERE x.account_id = ANY ($3) AND x.tenant_id = $2 AND x.user_id IS NULL) r"
		" JOIN csm.recipient_lists l ON l.id = r.list_id AND l.tenant_id = $2";
	static const Oid types[3] = {INT8OID, INT8OID, INT8ARRAYOID};
	Datum		values[3];

	values[0] = Int64GetDatum(g->map->user_id);
	values[1] = Int64GetDatum(g->map->tenant_id);
	values[2] = home_array(g);
	csm_spi_query(sql, 3, types, values, NULL, take_list, g);
}

void
csm_facts_gather(CsmMap *map, const CsmAudiences *audiences, CsmFacts *into)
{
	Gathering	all = {.map = map,.into = into,.now = GetCurrentStatementStartTimestamp()};
	Gathering  *g = &all;

	memset(into, 0, sizeof(CsmFacts));
	into->valid_until = DT_NOEND;
	g->max = 64;
	g->facts = palloc(sizeof(CsmFact) * g->max);
	g->maxhomes = 16;
	g->homes = palloc(sizeof(Home) * g->maxhomes);
	gather_personas(g);
	gather_self(g);
	if (audiences->wanted[CSM_FACT_GROUP])
		gather_groups(g);
	if (audiences->wanted[CSM_FACT_BELOW_ACCOUNT] && g->nhomes > 0)
		gather_accounts_above(g);
	if (audiences->wanted[CSM_FACT_PRODUCT] || audiences->wanted[CSM_FACT_LIST])
		watch_holders(g);
	if (audiences->wanted[CSM_FACT_PRODUCT])
		gather_products(g, audiences);
	if (audiences->wanted[CSM_FACT_LIST])
		gather_lists(g);
	into->n = csm_facts_sort(g->facts, g->n);
	into->facts = g->facts;
	into->staff = counts_as_staff(g);
}
