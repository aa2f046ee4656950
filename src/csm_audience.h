/*
 * csm_audience.h
 *	  User criteria and audiences of a tenant in memory, and what they say of
 *	  somebody of whom certain facts are true.
 */
#ifndef CSM_AUDIENCE_H
#define CSM_AUDIENCE_H

#include "csm.h"

typedef uint8 CsmAudienceBits;

#define CSM_AUDIENCE_BIT(action)	((CsmAudienceBits) (1 << (action)))
#define CSM_AUDIENCE_ALL			((CsmAudienceBits) ((1 << CSM_AUDIENCE_ACTIONS) - 1))

/* Kinds of facts and of the parts that ask for them; those from CSM_FACT_ROLE on are words. */
typedef enum CsmFactKind
{
	CSM_FACT_USER,
	CSM_FACT_GROUP,				/* a group, or one above */
	CSM_FACT_ACCOUNT,			/* a contact's own account */
	CSM_FACT_BELOW_ACCOUNT,		/* the same, and those above */
	CSM_FACT_PRODUCT,			/* one of his products, or one above */
	CSM_FACT_LIST,				/* a list of recipients that he is on */
	CSM_FACT_ROLE,
	CSM_FACT_PERSONA,
	CSM_FACT_LOCATION,
	CSM_FACT_LANGUAGE,
	CSM_FACTS
} CsmFactKind;

/*
 * Something that is true of a person.  It counts where his connection and the
 * persona to which he narrowed himself let it; what denies looks at all facts.
 */
typedef struct CsmFact
{
	CsmFactKind kind;
	int64		id;
	const char *word;
	bool		counts;
} CsmFact;

typedef struct CsmAudiences
{
	int64		tenant_id;
	int			anchor;			/* signalled when any of it changes */
	bool		wanted[CSM_FACTS];	/* some part, or some audience, asks for it */
	int64	   *products;		/* products that are, or are below, one that a part names */
	int			nproducts;
	struct CsmCriterion *criteria;
	int			ncriteria;
	struct CsmCriteriaPart *parts;
	int			nparts;
	struct CsmAudience *audiences;	/* by id; the outer one comes before the inner */
	int			naudiences;
	struct CsmAudienceGrant *grants;
	int			ngrants;
} CsmAudiences;

/* Of a tenant.  It may be freed by the next call, and by nothing else. */
extern const CsmAudiences *csm_audiences_get(int64 tenant_id);

/* Sorts facts, as csm_audiences_judge() needs them; returns how many are left. */
extern int	csm_facts_sort(CsmFact *facts, int n);

/*
 * What somebody may do as one of each audience, in their order.  staff: whether
 * being owner, or in the group, of an audience counts.
 */
extern void csm_audiences_judge(const CsmAudiences *audiences, const CsmFact *facts, int nfacts,
								int64 user_id, bool staff, CsmAudienceBits *bits);
extern int64 csm_audience_id(const CsmAudiences *audiences, int i);

/* csm_map_audience.c: what the person of a map may do as one of an audience */
extern CsmAudienceBits csm_map_audience_bits(CsmMap *map, int64 audience_id);

#endif							/* CSM_AUDIENCE_H */
