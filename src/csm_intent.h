/*
 * csm_intent.h
 *	  What csm's own functions announce to the triggers that will judge their
 *	  write.
 */
#ifndef CSM_INTENT_H
#define CSM_INTENT_H

#include "csm_actor.h"

/*
 * An intent holds for one case (CSM_INTENT_OPEN: the next new one), until the
 * trigger has met it or the (sub)transaction fails; CSM_INTENT_ERASE until it is
 * taken back, for as many rows as there are, and if it says so for all cases.
 * ACT and NOTE of the system can be announced for many cases, each of which
 * meets it once.  Only functions in
 * csm_private announce one: no client can name them, and there is no setting.
 */
typedef enum CsmIntentKind
{
	CSM_INTENT_NONE,
	CSM_INTENT_OPEN,			/* csm.open_case: draft, idempotency key */
	CSM_INTENT_ACT,				/* csm.act: this action, judged for these actors */
	CSM_INTENT_NOTE,			/* csm.act: its note, an entry without effects */
	CSM_INTENT_ENTRY,			/* a new entry touches its case */
	CSM_INTENT_SYSTEM,			/* csm's own function changes the case, as the system */
	CSM_INTENT_ERASE			/* personal data in append-only rows of the case are erased */
} CsmIntentKind;

#define CSM_MAX_KEY 200			/* characters of an idempotency key */

/* What csm.act() can give to a transition beside columns of the case. */
#define CSM_GIVEN_NOTE		0x1
#define CSM_GIVEN_REFERENCE 0x2
#define CSM_GIVEN_AMOUNT	0x4
#define CSM_GIVEN_CURRENCY	0x8
#define CSM_GIVEN_PROPOSAL	(CSM_GIVEN_REFERENCE | CSM_GIVEN_AMOUNT | CSM_GIVEN_CURRENCY)

typedef struct CsmIntent
{
	CsmIntentKind kind;
	int64		case_id;
	bool		many;			/* one of those that were announced together */
	bool		all;			/* ERASE: whatever the case, and rows of none */
	char		action[NAMEDATALEN];
	uint32		actors;
	uint32		given;			/* ACT: CSM_GIVEN_*, beside columns */
	bool		as_system;		/* NOTE: the system's, whoever runs csm's function */
	bool		draft;			/* OPEN */
	char		key[CSM_MAX_KEY * 4 + 1];	/* OPEN; empty: none */
	CsmSide		side;			/* ENTRY: who wrote */
	bool		shared;			/* ENTRY: both sides can read it */
	bool		internal;		/* ENTRY: a work note */
	int64		author_id;		/* ENTRY; 0: the system */
} CsmIntent;

/* The intent of that kind for the case, or NULL. */
extern const CsmIntent *csm_intent(CsmIntentKind kind, int64 case_id);
extern void csm_intent_set(const CsmIntent *intent);
extern void csm_intent_met(void);

/* Rows are loaded with states and times as another system had them. */
extern bool csm_is_importing(void);

/* The texts given with the act that last announced itself for the case. */
typedef struct CsmGiven
{
	int64		case_id;
	char	   *note;			/* all NULL where not given */
	char	   *reference;
	char	   *amount;
	char	   *currency;
} CsmGiven;

extern const CsmGiven *csm_given(int64 case_id);	/* NULL: the write is no act */
extern void csm_given_forget(void);
extern uint32 csm_given_bit(const char *name);	/* 0: no such */

#endif							/* CSM_INTENT_H */
