/*
 * csm_machine.h
 *	  State machines in memory, and what they say.
 */
#ifndef CSM_MACHINE_H
#define CSM_MACHINE_H

#include "csm.h"

typedef enum CsmStateClass
{
	CSM_CLASS_DRAFT,
	CSM_CLASS_NEW,
	CSM_CLASS_OPEN,
	CSM_CLASS_WAITING,
	CSM_CLASS_RESOLVED,
	CSM_CLASS_CLOSED,
	CSM_CLASS_CANCELLED,
	CSM_CLASSES
} CsmStateClass;

typedef struct CsmState
{
	char	   *key;
	int			value;
	CsmStateClass state_class;
} CsmState;

/* One entry of case_transitions.effects; actor 0 means whoever acts. */
typedef struct CsmEffect
{
	uint32		actor;
	char	   *column;			/* of csm.cases, or "note" */
	char	   *value;			/* NULL: clear */
} CsmEffect;

typedef struct CsmTransition
{
	char	   *action;
	char	   *label;
	const CsmState *from;
	const CsmState *to;
	uint32		actors;
	char	  **required;
	int			nrequired;
	CsmEffect  *effects;
	int			neffects;
	bool		note_required;
} CsmTransition;

/* Who reads a field, and with it where the value lives. */
typedef enum CsmAudience
{
	CSM_AUDIENCE_ALL,			/* csm.cases.attributes */
	CSM_AUDIENCE_STAFF,			/* csm.case_internal */
	CSM_AUDIENCE_CUSTOMER,		/* csm.case_side_fields */
	CSM_AUDIENCE_COUNTERPARTY,
	CSM_AUDIENCES
} CsmAudience;

/* A row of csm.case_type_fields. */
typedef struct CsmField
{
	char	   *name;
	char	   *type;
	CsmAudience audience;
	bool		required;
	char	  **required_for;	/* actions */
	int			nrequired_for;
	char	  **choices;
	int			nchoices;
	char	   *reference;		/* NULL: not a reference */
} CsmField;

typedef struct CsmMachine
{
	int64		tenant_id;
	char	   *case_type;
	char	   *machine_type;	/* the farthest type on the chain whose states count */
	bool		active;
	bool		begins_as_draft;
	int			priority;		/* of a case that names none */
	CsmState   *states;
	int			nstates;
	CsmTransition *transitions;
	int			ntransitions;
	CsmField   *fields;			/* none: the type takes any JSON object */
	int			nfields;
} CsmMachine;

typedef enum CsmVerdict
{
	CSM_ALLOWED,
	CSM_NOT_PERMITTED,			/* 42501 */
	CSM_UNKNOWN_ACTION,			/* 22023 */
	CSM_FINAL,					/* SM004 */
	CSM_NO_TRANSITION			/* SM002 */
} CsmVerdict;

/*
 * The machine of a case type, NULL for an unknown type.  It may be freed by the
 * next call, and by nothing else.
 */
extern const CsmMachine *csm_machine_get(int64 tenant_id, const char *case_type);

/* Decisions: nothing below reads anything but its arguments. */
extern const CsmState *csm_machine_state(const CsmMachine *machine, const char *key);
extern const CsmState *csm_machine_first(const CsmMachine *machine, CsmStateClass state_class);
extern CsmVerdict csm_machine_judge(const CsmMachine *machine, const CsmState *from,
									const char *action, uint32 actors,
									const CsmTransition **transition);
extern CsmVerdict csm_machine_judge_change(const CsmMachine *machine, const CsmState *from,
										   const CsmState *to, uint32 actors,
										   const CsmTransition **found, int max, int *nfound);
extern bool csm_class_is_final(CsmStateClass state_class);
extern const char *csm_class_name(CsmStateClass state_class);
extern int	csm_class_from_name(const char *name);	/* -1: unknown */

#endif							/* CSM_MACHINE_H */
