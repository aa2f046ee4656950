/*
 * csm.h
 *	  What the files of csm offer to one another, grouped by the file that
 *	  defines it.  README.md beside this file tells lifetimes and who may
 *	  call whom.
 */
#ifndef CSM_H
#define CSM_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/palloc.h"

/*
 * Actions, in the order of their bits; csm_access.c has their names.
 * asset_read is granted by no row of its own: it is product_read, less where
 * plain contacts see only items that they are linked to.
 */
typedef enum CsmAction
{
	CSM_CASE_READ,
	CSM_CASE_COMMENT,
	CSM_CASE_CREATE,
	CSM_CASE_DECIDE,
	CSM_CONTACT_READ,
	CSM_CONTACT_MANAGE,
	CSM_PRODUCT_READ,
	CSM_PRODUCT_MANAGE,
	CSM_ENTITLEMENT_READ,
	CSM_ACCOUNT_MANAGE,
	CSM_PERSON_MANAGE,
	CSM_CASE_WORK,
	CSM_CONFIGURE,
	CSM_ASSET_READ,
	CSM_ACT_FOR,
	CSM_ACTIONS
} CsmAction;

typedef uint16 CsmActionBits;

#define CSM_BIT(action) ((CsmActionBits) (1 << (action)))
#define CSM_ALL_ACTIONS ((CsmActionBits) ((1 << CSM_ACTIONS) - 1))

/* What criteria can grant on something; csm_audience.c has their names. */
typedef enum CsmAudienceAction
{
	CSM_AUDIENCE_READ,
	CSM_AUDIENCE_CONTRIBUTE,
	CSM_AUDIENCE_ASK,
	CSM_AUDIENCE_ANSWER,
	CSM_AUDIENCE_MODERATE,
	CSM_AUDIENCE_MANAGE,
	CSM_AUDIENCE_ACTIONS
} CsmAudienceAction;

typedef enum CsmBranch
{
	CSM_B2B,
	CSM_B2C,
	CSM_INTERNAL,
	CSM_BRANCHES
} CsmBranch;

/* The arrays that a predicate's index condition can use; see csm_map_keys.c. */
typedef enum CsmKeySet
{
	CSM_SET_ACCOUNTS,
	CSM_SET_ACCOUNTS_KNOWN,
	CSM_SET_REQUESTERS,
	CSM_SET_OPENERS,
	CSM_SET_INTERNAL_CONTACTS,
	CSM_SET_PARTNER_ACCOUNTS,
	CSM_SET_PARTNER_CONTACTS,
	CSM_SET_HOUSEHOLDS,
	CSM_SET_ORGANIZATIONS,
	CSM_SET_SHARED_CASES,
	CSM_SET_ASSETS,
	CSM_SET_SOLD_PRODUCTS,
	CSM_SET_COUNTERPARTIES,
	CSM_SET_COUNTERPARTY_CONTACTS,
	CSM_SET_PARTIES,
	CSM_SET_AUDIENCES,			/* its actions are those of audiences */
	CSM_SET_ARTICLES,			/* keys of articles, see csm_article.c; for no action */
	CSM_SETS
} CsmKeySet;

/*
 * The rarer parties of a case stand together in csm.cases.party_keys, a key
 * being the id of the party times 8 plus its kind.
 */
typedef enum CsmPartyKind
{
	CSM_PARTY_PARTNER_ACCOUNT,
	CSM_PARTY_PARTNER_CONTACT,
	CSM_PARTY_HOUSEHOLD,
	CSM_PARTY_INTERNAL_CONTACT,
	CSM_PARTY_ORGANIZATION,
	CSM_PARTY_COUNTERPARTY_ACCOUNT,
	CSM_PARTY_COUNTERPARTY_CONTACT,
	CSM_PARTY_KINDS
} CsmPartyKind;

#define CSM_PARTY_KEY(kind, id) ((id) * 8 + (kind))

typedef struct CsmMap CsmMap;

/* What a row of csm.cases says about who is who on it; 0 stands for NULL. */
typedef struct CsmCaseKeys
{
	int64		id;
	int64		tenant_id;
	CsmBranch	branch;
	int64		requester_id;
	int64		opened_by;
	int64		account_id;
	int64		household_id;
	int64		counterparty_account_id;
	int64		counterparty_contact_id;
	int64		partner_account_id;
	int64		partner_contact_id;
	int64		internal_contact_id;
	int64		service_organization_id;
	int64		assigned_to;
	TimestampTz opened_at;
	bool		submitted;
} CsmCaseKeys;

/* csm_session.c */
extern bool csm_importing;
extern bool csm_allow_explain;
extern int	csm_map_memory;		/* kB */
extern uint64 csm_session_generation;	/* grows when identity or persona is set */

extern void csm_session_init(void);
extern bool csm_session_claims(int64 *user_id);	/* setting honoured? 0: nobody */
extern int64 csm_session_id(void);	/* row of csm's own session, 0: none */
extern void csm_session_sign_in(int64 user_id, bool local, TimestampTz until, int64 session_id);
extern void csm_session_sign_out(bool local);
extern const char *csm_session_persona(void);	/* NULL: all personas */
extern int64 csm_session_behalf(int64 user_id);	/* for whom that person acts, 0: himself */
extern void csm_session_set_behalf(int64 behalf, int64 user_id);
extern const char *csm_session_tenant_key(void);	/* NULL: not set */
extern void csm_session_become(int64 user_id, Oid role);
extern Oid	csm_session_role(void);	/* whose rights and side count */
extern bool csm_session_staff_side(void);
extern bool csm_is_restoring(void);

/* csm_signal.c */
#define CSM_ANCHORS 256

typedef enum CsmSignalKind
{
	CSM_SIGNAL_USER,
	CSM_SIGNAL_ACCOUNT,
	CSM_SIGNAL_TREE,
	CSM_SIGNAL_RELATION,
	CSM_SIGNAL_PARTY,
	CSM_SIGNAL_CONTACT,
	CSM_SIGNAL_ENTITLEMENT,
	CSM_SIGNAL_HOUSEHOLD,
	CSM_SIGNAL_ORGANIZATION,
	CSM_SIGNAL_CONFIG,
	CSM_SIGNAL_MACHINE,
	CSM_SIGNAL_LOGIN,
	CSM_SIGNAL_TENANT,
	CSM_SIGNAL_TENANTS,
	CSM_SIGNAL_CALENDAR,
	CSM_SIGNAL_SLA,
	CSM_SIGNAL_SESSION,
	CSM_SIGNAL_AUDIENCE,
	CSM_SIGNAL_MEMBER,
	CSM_SIGNAL_OWNED,
	CSM_SIGNAL_KINDS
} CsmSignalKind;

/* How often each anchor was signalled to this backend, and all together. */
extern uint32 csm_signal_count[CSM_ANCHORS];
extern uint64 csm_signal_total;

extern void csm_signal_init(void);
extern int	csm_signal_anchor(CsmSignalKind kind, uint64 key);
extern int	csm_signal_anchor_text(CsmSignalKind kind, const char *key);
extern void csm_signal_watch(void);

/* csm_explain.c */
extern void csm_explain_init(void);

/* csm_captcha.c */
extern void csm_captcha_init(void);

/* csm_spi.c; its interface is csm_spi.h */
extern Oid	csm_owner_oid(bool missing_ok);

/* csm_map.c */
extern CsmMap *csm_map_current(void);	/* NULL: nobody */
extern uint64 csm_map_statement(void);	/* changes with person, snapshot and statement */
extern CsmMap *csm_map_unnarrowed(void);	/* of all personas; may free the current one */
extern int64 csm_behalf(void);	/* for whom the statement acts, 0: nobody else */

/* csm_map_answer.c */
extern int64 csm_map_user(const CsmMap *map);	/* who acts */
extern int64 csm_map_person(const CsmMap *map);	/* whose rights they are */
extern int64 csm_map_tenant(const CsmMap *map);
extern bool csm_map_own_account(const CsmMap *map, int64 account_id);	/* a current contact of it? */
extern int64 csm_map_home_account(const CsmMap *map);	/* 0: none is known */
extern bool csm_map_staff(const CsmMap *map, int action);	/* -1: whatever the role permits */
extern bool csm_map_all(const CsmMap *map, int64 tenant_id, CsmBranch branch, CsmAction action);
extern bool csm_map_account(const CsmMap *map, int64 account_id, CsmAction action);
extern bool csm_map_account_since(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action);
extern bool csm_map_account_known(const CsmMap *map, int64 account_id);
extern bool csm_map_requester(const CsmMap *map, int64 requester_id, CsmBranch branch, int64 account_id, CsmAction action);
extern bool csm_map_opener(const CsmMap *map, int64 opened_by, CsmBranch branch, int64 account_id, CsmAction action);
extern bool csm_map_internal_contact(const CsmMap *map, int64 user_id, CsmBranch branch, CsmAction action);
extern bool csm_map_partner(const CsmMap *map, int64 partner_account_id, int64 account_id, CsmAction action);
extern bool csm_map_partner_contact(const CsmMap *map, int64 contact_id, int64 account_id, CsmAction action);
extern bool csm_map_household(const CsmMap *map, int64 household_id, CsmAction action);
extern bool csm_map_organization(const CsmMap *map, int64 organization_id, CsmBranch branch, CsmAction action);
extern bool csm_map_shared_case(const CsmMap *map, int64 case_id, CsmAction action);
extern bool csm_map_asset(const CsmMap *map, int64 asset_id, CsmAction action);
extern bool csm_map_sold_product(const CsmMap *map, int64 sold_product_id, CsmAction action);
extern bool csm_map_counterparty(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action);
extern bool csm_map_counterparty_contact(const CsmMap *map, int64 contact_id, CsmAction action);

/* The same without staff: as a contact or partner, for himself or another. */
extern bool csm_map_contact_since(const CsmMap *map, int64 account_id, TimestampTz opened_at, CsmAction action);
extern bool csm_map_speaks_for(const CsmMap *map, int64 requester_id, CsmBranch branch, int64 account_id, CsmAction action);
extern bool csm_map_heads(const CsmMap *map, int64 household_id, CsmAction action);

/* And staff alone: an account, requester or household of his team. */
extern bool csm_map_team(const CsmMap *map, const CsmCaseKeys *keys, CsmAction action);

/* One key of csm.cases.party_keys, with what else the rules look at. */
extern bool csm_map_party(const CsmMap *map, int64 party_key, CsmBranch branch, int64 account_id,
						  TimestampTz opened_at, bool submitted, CsmAction action);

/* csm_map_keys.c: sorted keys for which a predicate can be true; memory belongs to the map. */
extern int	csm_map_keys(CsmMap *map, CsmKeySet set, CsmAction action, const int64 **keys);
/* Whether a key is among them, without building the array. */
extern bool csm_map_has_key(CsmMap *map, CsmKeySet set, CsmAction action, int64 key);
/* At most how many there are, without building the array. */
extern int	csm_map_key_count(CsmMap *map, CsmKeySet set, CsmAction action);

/* csm_map_audience.c; compiled when it is first asked for */
extern bool csm_map_audience(CsmMap *map, int64 audience_id, CsmAudienceAction action);
extern int	csm_map_audience_keys(CsmMap *map, CsmAudienceAction action, const int64 **keys);
extern bool csm_map_article_key(CsmMap *map, int64 key);
extern int	csm_map_article_keys(CsmMap *map, const int64 **keys);

/* csm_audience.c; its interface is csm_audience.h */
extern int	csm_audience_action_from_name(const char *name, int len);	/* -1: unknown */

/* The key of an article that is public: no audience has it, because identities begin at 1. */
#define CSM_ARTICLE_PUBLIC	INT64CONST(0)

/* csm_identity.c: who stands behind the session when no setting says so */
extern int64 csm_identity_of_login(void);
extern int64 csm_guest_tenant(void);
extern int64 csm_only_tenant(int *count);

/* csm_access.c */
extern int	csm_action_from_name(const char *name, int len);	/* -1: unknown */
extern int	csm_branch_from_name(const char *name, int len);	/* -1: unknown */

/* csm_plan.c; what estimates need is in csm_plan.h */
extern void csm_plans_forget(void);

/* csm_actor.c */
#define CSM_ACTOR_REQUESTER		0x001
#define CSM_ACTOR_CUSTOMER		0x002
#define CSM_ACTOR_CLAIMANT		0x004
#define CSM_ACTOR_RESPONDENT	0x008
#define CSM_ACTOR_PARTNER		0x010
#define CSM_ACTOR_AGENT			0x020
#define CSM_ACTOR_ASSIGNEE		0x040
#define CSM_ACTOR_MANAGER		0x080
#define CSM_ACTOR_SYSTEM		0x100
#define CSM_ACTOR_APPROVER		0x200

extern uint32 csm_case_actors(const CsmCaseKeys *keys);
extern uint32 csm_actor_from_name(const char *name);	/* 0: unknown */

#endif							/* CSM_H */
