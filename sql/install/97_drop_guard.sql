-- DROP EXTENSION with rows present demands csm.allow_drop = on, whichever
-- command it comes from (src/csm_drop.c).  The owner of an event trigger must
-- be a superuser, so it stays with whoever installs.

CREATE FUNCTION csm_private.drop_guard() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'csm_drop_guard' LANGUAGE c;
ALTER FUNCTION csm_private.drop_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.drop_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.drop_guard() IS
'Sees to it that no command of this session drops a table of csm that holds rows, unless csm.allow_drop is on (error 55000)';

CREATE EVENT TRIGGER csm_drop_guard ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION csm_private.drop_guard();
COMMENT ON EVENT TRIGGER csm_drop_guard IS
'Arms csm_private.drop_guard() before a command that can take the extension with it';
