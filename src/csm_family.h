/*
 * csm_family.h
 *	  Whether a statement wrote an entry on a case that has a parent or is a
 *	  major case.
 */
#ifndef CSM_FAMILY_H
#define CSM_FAMILY_H

/* The guard of csm.case_entries has met one. */
extern void csm_family_met(void);

#endif							/* CSM_FAMILY_H */
