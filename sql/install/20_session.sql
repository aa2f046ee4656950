-- Who is asking: identity, tenant, persona.  The settings themselves
-- (csm.user_id, csm.tenant, csm.persona, ...) are defined by the library; see
-- src/csm_session.c.

CREATE FUNCTION csm.current_user_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_user_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.current_user_id() IS
'The signed-in person (csm.users.id); NULL when nobody is signed in, or the person or the tenant is disabled';

CREATE FUNCTION csm.current_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_current_tenant_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.current_tenant_id() IS
'Tenant of the signed-in person; NULL when nobody is signed in';

CREATE FUNCTION csm.guest_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_guest_tenant_id' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1;
COMMENT ON FUNCTION csm.guest_tenant_id() IS
'Tenant of a visitor who is not signed in: the one whose key stands in csm.tenant, by default the only tenant; NULL when somebody is signed in, the key is unknown, or the tenant is disabled';

CREATE FUNCTION csm.default_tenant_id() RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_default_tenant_id' LANGUAGE c STABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION csm.default_tenant_id() IS
'Default of every tenant_id column: the tenant of the signed-in person; without identity the only tenant; error 22023 where there are several';

CREATE FUNCTION csm.sign_out() RETURNS void
AS 'MODULE_PATHNAME', 'csm_sign_out' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm.sign_out() IS
'Makes the session nobody, with no fallback to a mapped login role, until the setting is made anew or RESET ALL';

CREATE FUNCTION csm.act_as(persona text) RETURNS void
AS 'MODULE_PATHNAME', 'csm_act_as' LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION csm.act_as(text) IS
'Narrows the rights of the transaction to one persona: contact:<id>, consumer, employee or staff:<role>; NULL lifts it. Error 22023 for text of another form; a well-formed persona that the person does not hold gives no rights';

ALTER FUNCTION csm.current_user_id() OWNER TO csm_owner;
ALTER FUNCTION csm.current_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.guest_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.default_tenant_id() OWNER TO csm_owner;
ALTER FUNCTION csm.sign_out() OWNER TO csm_owner;
ALTER FUNCTION csm.act_as(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.current_user_id(), csm.current_tenant_id(), csm.guest_tenant_id(),
    csm.default_tenant_id(), csm.sign_out(), csm.act_as(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.current_user_id(), csm.current_tenant_id(), csm.guest_tenant_id(),
    csm.default_tenant_id(), csm.sign_out(), csm.act_as(text)
    TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
