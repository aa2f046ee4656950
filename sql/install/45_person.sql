-- Who acts, for whom, and signed in by what; see src/csm_map.c.

CREATE FUNCTION csm_private.person_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_person_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.person_id() IS
'The person whose rights count: csm.current_user_id(), or the one for whom he acts (csm.on_behalf_of()); NULL when nobody is signed in';

CREATE FUNCTION csm_private.in_person() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_in_person' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.in_person() IS
'Whether somebody is signed in, neither by an API key nor acting for another: what concerns his own login is done in person';

CREATE FUNCTION csm_private.current_session_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_session_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm_private.current_session_id() IS
'csm.sessions.id of the session or API key by which somebody is signed in; NULL where he is signed in otherwise, and for nobody';

ALTER FUNCTION csm_private.person_id() OWNER TO csm_owner;
ALTER FUNCTION csm_private.in_person() OWNER TO csm_owner;
ALTER FUNCTION csm_private.current_session_id() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.person_id(), csm_private.in_person(), csm_private.current_session_id() FROM PUBLIC;
