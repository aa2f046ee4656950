/*
 * csm_session.c
 *	  The settings of csm: who the session says it is, and how.
 *
 * Identity is a setting and not a variable of the library, because a setting
 * rolls back with (sub)transactions and reaches parallel workers by itself.
 * It is PGC_SUSET: a plain role can set it in no way, and what it planted
 * before the library was loaded is dropped at load.
 *
 * Whoever may set it (a superuser, or a backend with SET privilege on the
 * parameter) is believed only within the top-level transaction in which he
 * said so.  The check hook therefore appends the local transaction id to the
 * value, "42@77"; the show hook hides it.  A value that came from anywhere but
 * a SET in a running transaction (ALTER ROLE, PGOPTIONS, a placeholder that
 * was there before the library) gets transaction 0, which is nobody.  A
 * parallel worker receives the value with its stamp and compares it with the
 * leader's transaction, so that it never believes what the leader does not.
 *
 * csm_session_sign_in() sets it for whoever proved who he is: for the
 * transaction, or for the session ("42@s").  Such a claim has an end, after
 * which it is nobody, and may name the row of the session that it stands on:
 * "42@77:<end>:<session>".  The show hook hides all of it, so that no SET
 * FROM CURRENT can carry it on.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rls.h"

#include "csm.h"
#include "csm_merge.h"
#include "csm_compat.h"
#include "csm_map.h"

/* What the check hook makes of a value of csm.user_id. */
typedef struct CsmClaim
{
	int64		user_id;		/* 0: nobody */
	LocalTransactionId lxid;	/* in which it was said; 0: never honoured */
	bool		whole_session;	/* honoured in every transaction */
	bool		leader_agrees;	/* in a worker: stamp is the leader's */
	TimestampTz until;			/* honoured by statements that start before */
	int64		session_id;		/* 0: not signed in by a session of csm */
} CsmClaim;

/* 42@4294967295:9223372036854775807:9223372036854775807 and its end */
#define CLAIM_LENGTH 80

typedef enum CsmRestoring
{
	CSM_RESTORING_AUTO,
	CSM_RESTORING_ON,
	CSM_RESTORING_OFF
} CsmRestoring;

static const struct config_enum_entry restoring_options[] = {
	{"auto", CSM_RESTORING_AUTO, false},
	{"on", CSM_RESTORING_ON, false},
	{"off", CSM_RESTORING_OFF, false},
	{"true", CSM_RESTORING_ON, true},
	{"false", CSM_RESTORING_OFF, true},
	{NULL, 0, false}
};

bool		csm_importing = false;
bool		csm_allow_explain = false;
int			csm_map_memory = 65536;
uint64		csm_session_generation = 0;

static char *user_id_setting = NULL;
static char *tenant_setting = NULL;
static char *persona_setting = NULL;
static char *behalf_setting = NULL;
static char *as_role_setting = NULL;
static int	restoring_setting = CSM_RESTORING_AUTO;
static bool allow_drop = false;

/* Copied by the assign hook; points into the setting's own extra. */
static const CsmClaim *claim = NULL;

/* Values that stood before the library are re-applied while it defines. */
static bool defining = false;

/* What csm_session_sign_in() is about to set; NULL at any other time. */
static const CsmClaim *proven = NULL;

/* csm.on_behalf_of is being set by the function of that name. */
static bool behalf_asked = false;

/* csm.as_role: what csm_session_become() sets, and what stands in it. */
static bool role_asked = false;
static Oid	as_role = InvalidOid;

/* The empty string is nobody; in a worker the leader's stamp follows. */
static bool
parse_claim(const char *value, CsmClaim *parsed)
{
	const char *p = value;
	uint64		number = 0;

	memset(parsed, 0, sizeof(CsmClaim));
	parsed->until = DT_NOEND;
	for (; isdigit((unsigned char) *p); p++)
	{
		if (number > (PG_INT64_MAX - 9) / 10)
			return false;
		number = number * 10 + (*p - '0');
	}
	parsed->user_id = (int64) number;
	if (*p == '@' && IsParallelWorker())
	{
		char	   *rest = unconstify(char *, p + 1);

		parsed->whole_session = *rest == 's';
		if (parsed->whole_session)
			rest++;
		else
			parsed->lxid = (LocalTransactionId) strtoul(rest, &rest, 10);
		if (*rest == ':')
		{
			parsed->until = strtoi64(rest + 1, &rest, 10);
			if (*rest == ':')
				parsed->session_id = strtoi64(rest + 1, &rest, 10);
		}
		return true;
	}
	return *p == '\0';
}

static void
stamp_claim(const CsmClaim *made, char *stamped)
{
	char		stamp[16] = "s";

	if (made->user_id == 0)
	{
		stamped[0] = '\0';
		return;
	}
	if (!made->whole_session)
		snprintf(stamp, sizeof(stamp), "%u", made->lxid);
	if (made->until == DT_NOEND && made->session_id == 0)
		snprintf(stamped, CLAIM_LENGTH, INT64_FORMAT "@%s", made->user_id, stamp);
	else
		snprintf(stamped, CLAIM_LENGTH, INT64_FORMAT "@%s:" INT64_FORMAT ":" INT64_FORMAT,
				 made->user_id, stamp, made->until, made->session_id);
}

static bool
check_user_id(char **newval, void **extra, GucSource source)
{
	CsmClaim   *made;
	char	   *stamped;
	CsmClaim	parsed;

	*extra = NULL;
	if (*newval == NULL)
		return true;
	if (proven != NULL)
		parsed = *proven;
	else if (!parse_claim(*newval, &parsed))
	{
		GUC_check_errdetail("The value is the id of a person in csm.users.");
		return false;
	}

	if (IsParallelWorker())
		parsed.leader_agrees = parsed.whole_session ||
			(parsed.lxid != InvalidLocalTransactionId &&
			 MyProc->lockGroupLeader != NULL &&
			 csm_lxid(MyProc->lockGroupLeader) == parsed.lxid);
	else if (source == PGC_S_SESSION && !defining && IsTransactionState())
		parsed.lxid = csm_lxid(MyProc);

	made = csm_guc_malloc(sizeof(CsmClaim));
	stamped = csm_guc_malloc(CLAIM_LENGTH);
	if (made == NULL || stamped == NULL)
		return false;
	*made = parsed;
	stamp_claim(made, stamped);
	csm_guc_free(*newval);
	*newval = stamped;
	*extra = made;
	return true;
}

static void
assign_user_id(const char *newval, void *extra)
{
	claim = (const CsmClaim *) extra;
	csm_session_generation++;
	if (!IsParallelWorker())
		csm_map_person_changes(claim ? claim->user_id : 0);
}

static const char *
show_user_id(void)
{
	static char shown[32];

	if (user_id_setting == NULL)
		return "";
	strlcpy(shown, user_id_setting, sizeof(shown));
	shown[strcspn(shown, "@")] = '\0';
	return shown;
}

/* contact:<id>, consumer, employee, staff:<role>; empty lifts the narrowing. */
static bool
check_persona(char **newval, void **extra, GucSource source)
{
	const char *value = *newval;
	const char *rest;

	if (value == NULL || value[0] == '\0' ||
		strcmp(value, "consumer") == 0 || strcmp(value, "employee") == 0)
		return true;
	if (strncmp(value, "contact:", 8) == 0)
	{
		rest = value + 8;
		if (*rest != '\0' && strspn(rest, "0123456789") == strlen(rest) && strlen(rest) <= 18)
			return true;
	}
	else if (strncmp(value, "staff:", 6) == 0)
	{
		rest = value + 6;
		if (*rest != '\0' && strlen(rest) < NAMEDATALEN &&
			strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(rest))
			return true;
	}
	GUC_check_errdetail("A persona is contact:<id>, consumer, employee or staff:<role>.");
	return false;
}

/*
 * "<for whom>@<who acts>", by the function alone.  Whether he may is asked
 * where the rights are put together, in every statement (csm_map.c).
 */
static bool
check_behalf(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || (*newval)[0] == '\0' || behalf_asked || IsParallelWorker())
		return true;
	GUC_check_errdetail("It is set by csm.on_behalf_of() only.");
	return false;
}

/* The oid of a role, by csm_session_become() alone; a worker believes its leader. */
static bool
check_as_role(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || (*newval)[0] == '\0' || role_asked || IsParallelWorker())
		return true;
	GUC_check_errdetail("It is set by csm only, while it acts for a person.");
	return false;
}

static void
assign_as_role(const char *newval, void *extra)
{
	as_role = newval != NULL ? (Oid) strtoul(newval, NULL, 10) : InvalidOid;
	csm_session_generation++;
}

static void
assign_generation(const char *newval, void *extra)
{
	csm_session_generation++;
}

void
csm_session_init(void)
{
	defining = true;
	DefineCustomStringVariable("csm.user_id",
							   "The person on whose behalf the transaction runs.",
							   "Honoured only within the top-level transaction that set it; empty is nobody.",
							   &user_id_setting, NULL, PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE | GUC_NOT_WHILE_SEC_REST,
							   check_user_id, assign_user_id, show_user_id);
	defining = false;

	DefineCustomStringVariable("csm.tenant",
							   "Key of the tenant that a visitor who is not signed in looks at.",
							   "Ignored once somebody is signed in; by default the only tenant.",
							   &tenant_setting, NULL, PGC_USERSET, GUC_NOT_IN_SAMPLE,
							   NULL, assign_generation, NULL);
	DefineCustomStringVariable("csm.persona",
							   "Narrows the person's rights to one persona.",
							   NULL,
							   &persona_setting, NULL, PGC_USERSET, GUC_NOT_IN_SAMPLE,
							   check_persona, assign_generation, NULL);
	DefineCustomStringVariable("csm.on_behalf_of",
							   "For whom the transaction acts; set by csm.on_behalf_of().",
							   NULL,
							   &behalf_setting, NULL, PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_behalf, assign_generation, NULL);
	DefineCustomStringVariable("csm.as_role",
							   "Role under which csm acts for a person who is not signed in.",
							   NULL,
							   &as_role_setting, NULL, PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL | GUC_DISALLOW_IN_FILE,
							   check_as_role, assign_as_role, NULL);
	DefineCustomBoolVariable("csm.importing",
							 "Takes states and times of cases as given.",
							 "For loading history from another system; events and notifications are not made.",
							 &csm_importing, false, PGC_SUSET,
							 GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, NULL, NULL);
	DefineCustomEnumVariable("csm.restoring",
							 "Whether rows come from a dump, so that triggers neither derive nor judge.",
							 "auto: on while a superuser has row_security off, as every pg_dump script does.",
							 &restoring_setting, CSM_RESTORING_AUTO, restoring_options,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable("csm.allow_drop",
							 "Allows DROP EXTENSION csm while its tables hold rows.",
							 NULL,
							 &allow_drop, false, PGC_SUSET,
							 GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL, NULL, NULL);
	DefineCustomBoolVariable("csm.allow_explain",
							 "Lets csm_portal and csm_guest use EXPLAIN.",
							 "A plan tells how many rows a policy removed.",
							 &csm_allow_explain, false, PGC_SUSET,
							 GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomIntVariable("csm.map_memory",
							"Memory for the access maps that a backend keeps.",
							"The map in use is kept even where it alone is larger.",
							&csm_map_memory, 65536, 1024, MAX_KILOBYTES, PGC_SUSET,
							GUC_UNIT_KB | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	MarkGUCPrefixReserved("csm");
}

/* Is the claim still believed? */
static bool
claim_holds(void)
{
	if (claim->until != DT_NOEND && GetCurrentStatementStartTimestamp() >= claim->until)
		return false;
	if (IsParallelWorker())
		return claim->leader_agrees;
	return claim->whole_session ||
		(claim->lxid != InvalidLocalTransactionId && claim->lxid == csm_lxid(MyProc));
}

/*
 * Does the setting say who is asking?  *user_id is 0 where it says nobody,
 * where it is no longer honoured, or where it never was.
 */
bool
csm_session_claims(int64 *user_id)
{
	*user_id = 0;
	if (claim == NULL)
		return false;
	if (claim_holds())
		*user_id = claim->user_id;
	return true;
}

/* The row of csm's own session on which the identity stands; 0: none. */
int64
csm_session_id(void)
{
	return claim != NULL && claim_holds() ? claim->session_id : 0;
}

/*
 * Sets the claim.  The server refuses the setting inside SECURITY DEFINER
 * functions, so that nobody's function can act with another's identity; csm's
 * own, which have checked a proof, may.  In a security-restricted operation it
 * stays refused.
 */
static void
set_claim(const char *value, const CsmClaim *claimed, GucAction action)
{
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	PG_TRY();
	{
		proven = claimed;
		SetUserIdAndSecContext(user, context & ~SECURITY_LOCAL_USERID_CHANGE);
		(void) set_config_option("csm.user_id", value, PGC_SUSET, PGC_S_SESSION,
								 action, true, 0, false);
	}
	PG_FINALLY();
	{
		proven = NULL;
		SetUserIdAndSecContext(user, context);
	}
	PG_END_TRY();
}

/*
 * Signs a person in who proved who he is: for the transaction, or for the
 * session; until that time, DT_NOEND for no end.  Rolls back as any setting.
 */
void
csm_session_sign_in(int64 user_id, bool local, TimestampTz until, int64 session_id)
{
	CsmClaim	signed_in = {.user_id = user_id, .whole_session = !local, .until = until, .session_id = session_id};
	char		value[32];

	snprintf(value, sizeof(value), INT64_FORMAT, user_id);
	set_claim(value, &signed_in, local ? GUC_ACTION_LOCAL : GUC_ACTION_SET);
}

/* Nobody, with no fallback to the login. */
void
csm_session_sign_out(bool local)
{
	set_claim("", NULL, local ? GUC_ACTION_LOCAL : GUC_ACTION_SET);
}

/*
 * Makes the session this person under this role, alone and under row security,
 * until the caller's nesting level of settings ends; csm_as_person.c.
 */
void
csm_session_become(int64 user_id, Oid role)
{
	static const char *const others[][2] = {
		{"csm.persona", ""},
		{"csm.on_behalf_of", ""},
		{"row_security", "on"},
	};
	CsmClaim	person = {.user_id = user_id, .lxid = csm_lxid(MyProc), .until = DT_NOEND};
	char		value[32];

	snprintf(value, sizeof(value), INT64_FORMAT, user_id);
	set_claim(value, &person, GUC_ACTION_SAVE);
	for (int i = 0; i < (int) lengthof(others); i++)
		(void) set_config_option(others[i][0], others[i][1], PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	snprintf(value, sizeof(value), "%u", role);
	PG_TRY();
	{
		role_asked = true;
		(void) set_config_option("csm.as_role", value, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	PG_FINALLY();
	{
		role_asked = false;
	}
	PG_END_TRY();
}

/*
 * The role whose rights count: of SET ROLE (the session user's where none was
 * set), not the owner of a SECURITY DEFINER function; or that under which csm
 * acts for a person.
 */
Oid
csm_session_role(void)
{
	return OidIsValid(as_role) ? as_role : GetOuterUserId();
}

/* Asked for by another person, earlier in the transaction, it does not count. */
int64
csm_session_behalf(int64 user_id)
{
	int64		behalf;
	char	   *rest;

	if (behalf_setting == NULL || behalf_setting[0] == '\0')
		return 0;
	behalf = strtoi64(behalf_setting, &rest, 10);
	return *rest == '@' && strtoi64(rest + 1, NULL, 10) == user_id ? behalf : 0;
}

/* Until the end of the transaction; behalf 0 lifts it. */
void
csm_session_set_behalf(int64 behalf, int64 user_id)
{
	char		value[64] = "";

	if (behalf != 0)
		snprintf(value, sizeof(value), INT64_FORMAT "@" INT64_FORMAT, behalf, user_id);
	PG_TRY();
	{
		behalf_asked = true;
		(void) set_config_option("csm.on_behalf_of", value, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	}
	PG_FINALLY();
	{
		behalf_asked = false;
	}
	PG_END_TRY();
}

const char *
csm_session_persona(void)
{
	return (persona_setting && persona_setting[0]) ? persona_setting : NULL;
}

const char *
csm_session_tenant_key(void)
{
	return (tenant_setting && tenant_setting[0]) ? tenant_setting : NULL;
}

/* Does staff reach count? */
bool
csm_session_staff_side(void)
{
	static const char *const staff[] = {"csm_agent", "csm_reporter", "csm_admin"};
	Oid			role = csm_session_role();

	for (int i = 0; i < (int) lengthof(staff); i++)
	{
		Oid			group = get_role_oid(staff[i], true);

		if (OidIsValid(group) && has_privs_of_role(role, group))
			return true;
	}
	return false;
}

/* Rows are loaded from a dump; or re-pointed from one person to another, which is no change either. */
bool
csm_is_restoring(void)
{
	if (csm_is_merging())
		return true;
	switch (restoring_setting)
	{
		case CSM_RESTORING_ON:
			return true;
		case CSM_RESTORING_OFF:
			return false;
		default:
			return !row_security && superuser_arg(csm_session_role());
	}
}

PG_FUNCTION_INFO_V1(csm_sign_in_as);

/* csm_private.sign_in_as(user_id, local, until, session_id), for functions that have checked the proof. */
Datum
csm_sign_in_as(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("local of csm_private.sign_in_as() must not be null")));
	if (PG_ARGISNULL(0))
		csm_session_sign_out(PG_GETARG_BOOL(1));
	else
		csm_session_sign_in(PG_GETARG_INT64(0), PG_GETARG_BOOL(1),
						PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2),
						PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_sign_out);

/* Session-wide: what follows in the same connection is nobody as well. */
Datum
csm_sign_out(PG_FUNCTION_ARGS)
{
	csm_session_sign_out(false);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(csm_act_as);

Datum
csm_act_as(PG_FUNCTION_ARGS)
{
	const char *persona = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));

	(void) set_config_option("csm.persona", persona, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	PG_RETURN_VOID();
}
