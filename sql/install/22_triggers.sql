-- C trigger functions, and how a table becomes one of csm's.

CREATE FUNCTION csm_private.signal() RETURNS trigger
AS 'MODULE_PATHNAME', 'csm_signal' LANGUAGE c;
ALTER FUNCTION csm_private.signal() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.signal() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.signal() IS
'Row and TRUNCATE trigger of the edge tables: tells every session that access maps built from these keys are suspect. Arguments: pairs of key kind and column';

CREATE FUNCTION csm_private.restoring() RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_restoring' LANGUAGE c STABLE PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.restoring() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.restoring() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.restoring() IS
'True while rows are loaded from a dump (csm.restoring is on, or auto and a superuser runs with row_security off) and while personal data are erased. Every trigger that derives or judges honours it';

-- Anchors: empty tables that no plan uses.  A change of an access edge sends
-- the relcache message of the anchor to which its key hashes; a session that
-- receives it knows which of its maps may be out of date.  Their number is
-- CSM_ANCHORS in src/csm_signal.c.
DO $$
BEGIN
    FOR i IN 0 .. 255 LOOP
        EXECUTE format('CREATE TABLE csm_private.anchor_%s ()', i);
        EXECUTE format('ALTER TABLE csm_private.anchor_%s OWNER TO csm_owner', i);
        EXECUTE format('REVOKE ALL ON csm_private.anchor_%s FROM PUBLIC', i);
        EXECUTE format('COMMENT ON TABLE csm_private.anchor_%s IS %L', i,
                       'Never holds a row: carries invalidation messages of access edges');
    END LOOP;
END $$;

-- What every table of csm gets: owner, row security, the tenant wall (V13) and
-- registration for pg_dump, its identity sequence included.  The wall compares
-- a plain column, so that an index that begins with tenant_id keeps its order.
CREATE FUNCTION csm_private.adopt_table(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seq text := (SELECT pg_catalog.pg_get_serial_sequence(name, 'id') FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = name::pg_catalog.regclass AND a.attname = 'id' AND a.attidentity <> '');
    short text := pg_catalog.split_part(name, '.', 2);
    tenant_column text := CASE WHEN name = 'csm.tenants' THEN 'id' ELSE 'tenant_id' END;
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO csm_owner', name);
    EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %s FROM PUBLIC', name);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE pg_catalog.format(
        'CREATE POLICY %s_tenant ON %s AS RESTRICTIVE FOR ALL TO csm_portal, csm_agent, csm_reporter, csm_admin '
        'USING (%s = csm.current_tenant_id())', short, name, tenant_column);
    EXECUTE pg_catalog.format('COMMENT ON POLICY %s_tenant ON %s IS %L', short, name,
        'V13: no permissive policy can reach across tenants');
    PERFORM pg_catalog.pg_extension_config_dump(name::pg_catalog.regclass, '');
    IF seq IS NOT NULL THEN
        PERFORM pg_catalog.pg_extension_config_dump(seq::pg_catalog.regclass, '');
    END IF;
END $$;
ALTER FUNCTION csm_private.adopt_table(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.adopt_table(text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.adopt_table(text) IS
'Install scripts only: owner, row security, tenant policy and dump registration for a new table';

-- Attaches the signal trigger; "keys" are its arguments, "columns" limits
-- updates to those that matter.  ENABLE ALWAYS: rows that a subscription
-- applies change access as well.
CREATE FUNCTION csm_private.signal_on(name text, columns text[], VARIADIC keys text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    short text := pg_catalog.split_part(name, '.', 2);
    changed text := (SELECT pg_catalog.string_agg(pg_catalog.format(
                         -- ltree's own operator is not in pg_catalog
                         CASE c WHEN 'path' THEN 'OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text'
                                ELSE 'OLD.%1$I IS DISTINCT FROM NEW.%1$I' END, c), ' OR ')
                     FROM pg_catalog.unnest(columns) c);
    arguments text := (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(k), ', ' ORDER BY n)
                       FROM pg_catalog.unnest(keys) WITH ORDINALITY AS u(k, n));
BEGIN
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal AFTER INSERT OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION csm_private.signal(%s)', short, name, arguments);
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal_update AFTER UPDATE ON %s '
        'FOR EACH ROW WHEN (%s) EXECUTE FUNCTION csm_private.signal(%s)',
        short, name, changed, arguments);
    EXECUTE pg_catalog.format('CREATE TRIGGER %s_signal_truncate AFTER TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION csm_private.signal()', short, name);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal', name, short);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal_update', name, short);
    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_signal_truncate', name, short);
END $$;
ALTER FUNCTION csm_private.signal_on(text, text[], text[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.signal_on(text, text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.signal_on(text, text[], text[]) IS
'Install scripts only: attaches the signal triggers to an edge table';
