-- What a case type inherits: one chain from the type to its farthest ancestor,
-- and on it the nearest word counts.

CREATE OR REPLACE FUNCTION csm_private.type_setting(tenant_id bigint, case_type text, key text) RETURNS jsonb
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE chain AS (
        SELECT t.parent_type, t.settings, 0 AS depth FROM csm.case_types t
        WHERE t.case_type = type_setting.case_type AND t.tenant_id = type_setting.tenant_id
      UNION ALL
        SELECT t.parent_type, t.settings, c.depth + 1
        FROM chain c JOIN csm.case_types t ON t.case_type = c.parent_type AND t.tenant_id = type_setting.tenant_id
        WHERE c.depth < 32
    )
    SELECT nullif(c.settings -> type_setting.key, 'null') FROM chain c
    WHERE c.settings ? type_setting.key ORDER BY c.depth LIMIT 1
$$;
ALTER FUNCTION csm_private.type_setting(bigint, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.type_setting(bigint, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.type_setting(bigint, text, text) IS
'A key of csm.case_types.settings as it holds for the type: its own, else the nearest ancestor''s; NULL where nobody says anything or the nearest says null';
