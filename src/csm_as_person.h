/*
 * csm_as_person.h
 *	  What csm does with the rights of a person who is not signed in.
 */
#ifndef CSM_AS_PERSON_H
#define CSM_AS_PERSON_H

typedef struct CsmAsPerson
{
	Oid			user;
	int			context;
	int			guc_level;
} CsmAsPerson;

/*
 * From here to the end statements run as this person, under csm_portal or
 * csm_agent and row security; nobody else's persona, narrowing or acting for
 * somebody counts.  Ends are in reverse order of beginnings.  An error in
 * between needs no end: the (sub)transaction that it aborts restores all.
 */
extern void csm_as_person_begin(CsmAsPerson *saved, int64 user_id, const char *role);
extern void csm_as_person_end(const CsmAsPerson *saved);

#endif							/* CSM_AS_PERSON_H */
