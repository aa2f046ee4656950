/*
 * csm_setting.h
 *	  What a tenant set in csm.tenants.settings, as far as C code asks for it.
 */
#ifndef CSM_SETTING_H
#define CSM_SETTING_H

#include "csm.h"

typedef enum CsmQuota
{
	CSM_QUOTA_CASES,
	CSM_QUOTA_COMMENTS,
	CSM_QUOTA_ATTACHMENTS,
	CSM_QUOTA_PRODUCTS,
	CSM_QUOTAS
} CsmQuota;

#define CSM_UNLIMITED (-1)

typedef struct CsmTenantSettings
{
	bool		event_notify;
	int			quota[CSM_QUOTAS];	/* CSM_UNLIMITED: none */
} CsmTenantSettings;

/* Kept while nobody changes the tenant; copy what is needed beyond the call. */
extern CsmTenantSettings csm_tenant_settings(int64 tenant_id);

#endif							/* CSM_SETTING_H */
