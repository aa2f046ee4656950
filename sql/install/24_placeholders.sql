-- Texts with placeholders, whatever they are for: judged when they are written,
-- filled in when they are used.

CREATE FUNCTION csm_private.check_placeholders(template text, body text, known text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(DISTINCT m[1], ', ') INTO unknown
    FROM regexp_matches(body, '\{\{([^{}]*)\}\}', 'g') m WHERE m[1] <> ALL (known);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'template "%" has unknown placeholders', template USING ERRCODE = '22023',
            DETAIL = format('Unknown: %s.', unknown), HINT = format('Placeholders are %s.', array_to_string(known, ', '));
    ELSIF regexp_replace(body, '\{\{[^{}]*\}\}', '', 'g') ~ '\{\{|\}\}' THEN
        RAISE EXCEPTION 'template "%" has a placeholder that is not closed', template USING ERRCODE = '22023',
            HINT = 'Write {{name}}; two braces in a row always mean a placeholder.';
    END IF;
END $$;
ALTER FUNCTION csm_private.check_placeholders(text, text, text[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.check_placeholders(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.check_placeholders(text, text, text[]) IS
'Error 22023 for a placeholder that is not known, and for braces that make none; template names it in the message';

-- The text between placeholders and the values are put together in one pass, so
-- that braces in a value stay what they are.
CREATE FUNCTION csm_private.fill_in(body text, "values" jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(concat(between.text, "values" ->> named.name[1]), '' ORDER BY between.n)
            FROM regexp_split_to_table(body, '\{\{[^{}]*\}\}') WITH ORDINALITY AS between(text, n)
            LEFT JOIN LATERAL regexp_matches(body, '\{\{([^{}]*)\}\}', 'g') WITH ORDINALITY AS named(name, n) ON named.n = between.n);
END $$;
ALTER FUNCTION csm_private.fill_in(text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.fill_in(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.fill_in(text, jsonb) TO csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.fill_in(text, jsonb) IS
'The text with its placeholders replaced by the values, a JSON object; one without a value becomes empty';
