/*
 * csm_identity.c
 *	  What the session is when no setting says so: the person to whom its
 *	  PostgreSQL role is mapped, and the tenant of a visitor.
 *
 * Both are looked up once and kept until a row of csm.users or csm.tenants on
 * which the answer depends is signalled.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csm.h"
#include "csm_map.h"
#include "csm_spi.h"

#define KEPT_LOGINS 8

typedef struct KeptLogin
{
	char		role[NAMEDATALEN];
	int64		user_id;		/* 0: not mapped */
	int			anchor;
	uint32		seen;			/* csm_signal_count of the anchor */
} KeptLogin;

static KeptLogin logins[KEPT_LOGINS];
static int	nlogins = 0;

static struct
{
	bool		valid;
	int			anchor;
	uint32		seen;
	int			count;
	int64		only_id;
	char		key[NAMEDATALEN];	/* for which guest_id was looked up */
	int64		guest_id;
}			tenants;

static void
take_id(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, 1, desc, &isnull);

	*(int64 *) arg = isnull ? 0 : DatumGetInt64(value);
}

static int64
mapped_user(Oid roleid)
{
	static const char sql[] = "SELECT id FROM csm.users WHERE login_role = $1";
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	char	   *role = GetUserNameFromId(roleid, true);
	KeptLogin  *kept;
	int			anchor;
	uint32		seen;
	int64		user_id = 0;

	if (role == NULL)
		return 0;
	for (int i = 0; i < nlogins; i++)
	{
		if (strcmp(logins[i].role, role) == 0)
		{
			if (logins[i].seen == csm_signal_count[logins[i].anchor])
				return logins[i].user_id;
			logins[i] = logins[--nlogins];
			break;
		}
	}

	anchor = csm_signal_anchor_text(CSM_SIGNAL_LOGIN, role);
	seen = csm_signal_count[anchor];
	values[0] = CStringGetTextDatum(role);
	csm_spi_query(sql, 1, types, values, NULL, take_id, &user_id);

	/* What a transaction's own snapshot says is used and not kept. */
	if (csm_spi_latest())
	{
		kept = &logins[nlogins < KEPT_LOGINS ? nlogins++ : 0];
		strlcpy(kept->role, role, sizeof(kept->role));
		kept->user_id = user_id;
		kept->anchor = anchor;
		kept->seen = seen;
	}
	return user_id;
}

/* The role of SET ROLE where that one is mapped, else the session user. */
int64
csm_identity_of_login(void)
{
	int64		user_id = mapped_user(GetOuterUserId());

	if (user_id == 0 && GetOuterUserId() != GetSessionUserId())
		user_id = mapped_user(GetSessionUserId());
	return user_id;
}

static void
take_tenant(HeapTuple tuple, TupleDesc desc, void *arg)
{
	bool		isnull;

	tenants.count = (int) DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
	tenants.only_id = DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull));
	if (isnull || tenants.count != 1)
		tenants.only_id = 0;
	tenants.guest_id = DatumGetInt64(heap_getattr(tuple, 3, desc, &isnull));
	if (isnull)
		tenants.guest_id = 0;
}

static void
look_up_tenants(void)
{
	static const char sql[] =
		"SELECT count(*), min(id), min(id) FILTER (WHERE key = $1 AND enabled) FROM csm.tenants";
	const char *key = csm_session_tenant_key();
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	uint32		seen;

	csm_signal_watch();
	if (tenants.valid && tenants.seen == csm_signal_count[tenants.anchor] &&
		strcmp(tenants.key, key ? key : "") == 0)
		return;
	tenants.valid = false;
	tenants.anchor = csm_signal_anchor(CSM_SIGNAL_TENANTS, 0);
	seen = csm_signal_count[tenants.anchor];
	values[0] = CStringGetTextDatum(key ? key : "");
	csm_spi_query(sql, 1, types, values, NULL, take_tenant, NULL);
	strlcpy(tenants.key, key ? key : "", sizeof(tenants.key));
	tenants.seen = seen;
	tenants.valid = csm_spi_latest();
}

/* The only tenant, or 0; *count tells how many there are. */
int64
csm_only_tenant(int *count)
{
	look_up_tenants();
	*count = tenants.count;
	return tenants.only_id;
}

/* Tenant of a visitor who is not signed in, or 0. */
int64
csm_guest_tenant(void)
{
	look_up_tenants();
	return csm_session_tenant_key() ? tenants.guest_id : tenants.only_id;
}

PG_FUNCTION_INFO_V1(csm_current_user_id);

Datum
csm_current_user_id(PG_FUNCTION_ARGS)
{
	CsmMap	   *map = csm_map_current();

	if (map == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(csm_map_user(map));
}

PG_FUNCTION_INFO_V1(csm_current_tenant_id);

Datum
csm_current_tenant_id(PG_FUNCTION_ARGS)
{
	CsmMap	   *map = csm_map_current();

	if (map == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(csm_map_tenant(map));
}

PG_FUNCTION_INFO_V1(csm_guest_tenant_id);

Datum
csm_guest_tenant_id(PG_FUNCTION_ARGS)
{
	int64		tenant_id = csm_map_current() ? 0 : csm_guest_tenant();

	if (tenant_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tenant_id);
}

PG_FUNCTION_INFO_V1(csm_default_tenant_id);

Datum
csm_default_tenant_id(PG_FUNCTION_ARGS)
{
	CsmMap	   *map = csm_map_current();
	int64		tenant_id;
	int			count;

	if (map != NULL)
		PG_RETURN_INT64(csm_map_tenant(map));
	tenant_id = csm_only_tenant(&count);
	if (tenant_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tenant of the new row is not known"),
				 errdetail("Nobody is signed in, and there is not exactly one tenant."),
				 errhint("Give tenant_id, or sign in.")));
	PG_RETURN_INT64(tenant_id);
}
