/*
 * csm_case_touch.h
 *	  A case written as it stands, without a statement.
 */
#ifndef CSM_CASE_TOUCH_H
#define CSM_CASE_TOUCH_H

/*
 * What "UPDATE csm.cases SET updated_at = updated_at" does to one case: its
 * guard changes the row, its other triggers have run when this returns.  False,
 * and nothing written, where triggers or rules beside those of the install
 * script could tell the difference: then a statement has to do it.
 */
extern bool csm_case_touch(int64 case_id, int64 tenant_id);

#endif							/* CSM_CASE_TOUCH_H */
