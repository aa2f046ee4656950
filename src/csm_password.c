/*
 * csm_password.c
 *	  Passwords, hashed with Argon2id by libsodium.
 *
 * One hash takes 64 MB and some 60 ms, outside memory contexts and without a
 * chance to be cancelled.  So only a few backends of a database compute at the
 * same time; the others wait, interruptibly, for a lock that no client can
 * take, because it is on no object that SQL can name.
 *
 * Whoever has no password is compared with a hash of the same cost that
 * nothing fits, so that the time does not tell who is known.
 */
#include "postgres.h"

#include <sodium.h>

#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "csm_compat.h"

#define AT_THE_SAME_TIME 8

#define HASH_OPERATIONS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define HASH_MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE

/* Of random bytes that were thrown away. */
static const char nobody_hash[] =
	"$argon2id$v=19$m=65536,t=2,p=1$FN57JNx+VJuvpJC9vZ6GsQ$a9MdeVrr4M5j+BgtkEnM/2m5N0AdA/IFGqNISrbtD7w";

static void
start_sodium(void)
{
	static bool started = false;

	if (started)
		return;
	if (sodium_init() < 0)
		elog(ERROR, "could not start libsodium");
	started = true;
}

/* Waits until one of the places is free. */
static void
take_place(LOCKTAG *place)
{
	Oid			table_id = get_relname_relid("attempts", get_namespace_oid("csm_private", false));
	int			first = MyProcPid % AT_THE_SAME_TIME;

	for (int i = 0; i < AT_THE_SAME_TIME; i++)
	{
		SET_LOCKTAG_OBJECT(*place, MyDatabaseId, table_id, (first + i) % AT_THE_SAME_TIME, 1);
		if (LockAcquire(place, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
			return;
	}
	SET_LOCKTAG_OBJECT(*place, MyDatabaseId, table_id, first, 1);
	(void) LockAcquire(place, ExclusiveLock, false, false);
}

PG_FUNCTION_INFO_V1(csm_password_hash);

/* A string that carries its salt and cost. */
Datum
csm_password_hash(PG_FUNCTION_ARGS)
{
	text	   *password = PG_GETARG_TEXT_PP(0);
	char		hash[crypto_pwhash_STRBYTES];
	LOCKTAG		place;
	int			result;

	start_sodium();
	take_place(&place);
	result = crypto_pwhash_str(hash, VARDATA_ANY(password), VARSIZE_ANY_EXHDR(password),
							   HASH_OPERATIONS, HASH_MEMORY);
	LockRelease(&place, ExclusiveLock, false);
	if (result != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not compute the hash of a password"),
				 errdetail("It needs %zu bytes of memory.", (size_t) HASH_MEMORY)));
	PG_RETURN_TEXT_P(cstring_to_text(hash));
}

PG_FUNCTION_INFO_V1(csm_password_matches);

/* password, hash: hash NULL takes as long and is false. */
Datum
csm_password_matches(PG_FUNCTION_ARGS)
{
	text	   *password;
	const char *hash = nobody_hash;
	LOCKTAG		place;
	int			result;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	password = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
		hash = text_to_cstring(PG_GETARG_TEXT_PP(1));
	start_sodium();
	take_place(&place);
	result = crypto_pwhash_str_verify(hash, VARDATA_ANY(password), VARSIZE_ANY_EXHDR(password));
	LockRelease(&place, ExclusiveLock, false);
	PG_RETURN_BOOL(result == 0 && !PG_ARGISNULL(1));
}

PG_FUNCTION_INFO_V1(csm_password_outdated);

/* Was the hash made with another cost than now? */
Datum
csm_password_outdated(PG_FUNCTION_ARGS)
{
	const char *hash = text_to_cstring(PG_GETARG_TEXT_PP(0));

	start_sodium();
	PG_RETURN_BOOL(crypto_pwhash_str_needs_rehash(hash, HASH_OPERATIONS, HASH_MEMORY) != 0);
}
