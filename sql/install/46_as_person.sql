-- What csm does with the rights of a person who is not signed in
-- (src/csm_as_person.c): for mail that comes in and notifications that go out.

CREATE FUNCTION csm_private.as_person(user_id bigint, role name, act regprocedure, argument jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'csm_as_person' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
ALTER FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) IS
'Runs a function (jsonb) returns jsonb of csm_private as this person, under csm_portal or csm_agent and row security, and returns what it returns; NULL where an argument is NULL. The function runs with the rights of its caller and can therefore name nothing in csm_private. A person who is disabled or does not exist is nobody. Its errors pass through; all is restored with the (sub)transaction';

-- Under csm_portal staff reach does not count, under csm_agent it does.
CREATE FUNCTION csm_private.role_of_person(user_id bigint, tenant_id bigint) RETURNS name
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (
               SELECT FROM csm.user_roles r
               WHERE r.user_id = role_of_person.user_id AND r.tenant_id = role_of_person.tenant_id
                 AND csm_private.is_valid(r.valid_during, statement_timestamp()))
           THEN 'csm_agent' ELSE 'csm_portal' END::name
$$;
ALTER FUNCTION csm_private.role_of_person(bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.role_of_person(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.role_of_person(bigint, bigint) IS
'Role under which csm acts for this person: csm_agent for staff, csm_portal for everybody else';
