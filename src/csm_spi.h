/*
 * csm_spi.h
 *	  The one way in which C code of csm reads and writes tables.
 */
#ifndef CSM_SPI_H
#define CSM_SPI_H

#include "access/htup.h"
#include "access/tupdesc.h"

typedef void (*CsmTupleFn) (HeapTuple tuple, TupleDesc desc, void *arg);

/*
 * Runs a read-only query as csm_owner, with a pinned search_path, and calls fn
 * for each row.  The text must be a static string: its address is the key
 * under which the prepared plan is kept.  The snapshot is the latest, except
 * where that is impossible or not wanted; see csm_spi_latest().  fn runs while
 * the result lives: what it keeps, it copies.
 */
extern uint64 csm_spi_query(const char *sql, int nargs, const Oid *argtypes,
							const Datum *values, const char *nulls,
							CsmTupleFn fn, void *arg);
extern uint64 csm_spi_query_latest(const char *sql, int nargs, const Oid *argtypes,
							const Datum *values, const char *nulls,
							CsmTupleFn fn, void *arg);

/* The same with the rights of the caller, row security included. */
extern uint64 csm_spi_query_as_caller(const char *sql, int nargs, const Oid *argtypes,
							const Datum *values, const char *nulls,
							CsmTupleFn fn, void *arg);

/*
 * Runs a writing statement as csm_owner with a snapshot of its own; its
 * triggers have run when it returns.  Same rule for the text; fn, which may be
 * NULL, is called for each row of RETURNING.
 */
extern uint64 csm_spi_write(const char *sql, int nargs, const Oid *argtypes,
							const Datum *values, const char *nulls,
							CsmTupleFn fn, void *arg);

/*
 * Between the two the current user is csm_owner and the search_path is pinned:
 * for C code that writes rows by itself.
 */
typedef struct CsmCaller
{
	Oid			user;
	int			context;
	int			level;
} CsmCaller;

extern void csm_become_owner(CsmCaller *caller);
extern void csm_become_caller(const CsmCaller *caller);

/* Will csm_spi_query read what others committed until now? */
extern bool csm_spi_latest(void);

#endif							/* CSM_SPI_H */
