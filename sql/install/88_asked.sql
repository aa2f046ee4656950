-- What a search asks for: words in the languages that count, filters, kinds of
-- things, a page. 88_search.sql answers it.

CREATE FUNCTION csm_private.search_languages() RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := coalesce(csm.current_tenant_id(), csm.guest_tenant_id());
    own CONSTANT text := (SELECT u.language FROM csm.users u WHERE u.id = csm.current_user_id() AND u.tenant_id = tenant);
    shared jsonb;
BEGIN
    IF tenant IS NULL THEN
        RETURN '{}'::text[];
    END IF;
    SELECT t.settings -> 'search' -> 'languages' INTO shared FROM csm.tenants t WHERE t.id = tenant;
    IF jsonb_typeof(shared) IS DISTINCT FROM 'array' THEN
        shared := '["english"]';
    END IF;
    RETURN array_remove(own || ARRAY(SELECT jsonb_array_elements_text(shared)), NULL);
END $$;
ALTER FUNCTION csm_private.search_languages() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_languages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_languages() TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.search_languages() IS
'Languages in which the caller searches: his own, and those of csm.tenants.settings -> search -> languages (english where there are none); empty for nobody';

CREATE FUNCTION csm.search_query(query text) RETURNS tsquery
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT csm_private.search_query_in(query, csm_private.search_languages(), false);
END;
ALTER FUNCTION csm.search_query(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_query(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_query(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_query(text) IS
'What somebody typed as a query for csm.matches(), in his language and in those of the tenant (csm.tenants.settings -> search -> languages, english by default); NULL for NULL';

-- Lists throughout, and texts that can be cast.
CREATE FUNCTION csm_private.search_filters(filters jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f record;
    v record;
    checked jsonb := '{}'::jsonb;
    shape text;
BEGIN
    IF jsonb_typeof(filters) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'filters are not a JSON object' USING ERRCODE = '22023', HINT = 'Pass {} for none.';
    END IF;
    FOR f IN SELECT e.key, CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END AS list
             FROM jsonb_each(filters) e
    LOOP
        shape := CASE
            WHEN f.key IN ('language', 'state_class', 'case_type', 'state') THEN '^.{1,100}$'
            WHEN f.key IN ('account_id', 'product_id', 'base_id', 'category_id', 'forum_id', 'priority') THEN '^[0-9]{1,18}$'
            WHEN f.key = 'answered' THEN '^(true|false)$'
            WHEN f.key IN ('since', 'until') THEN '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?([+-][0-9]{2}(:?[0-9]{2})?|Z)?)?$' END;
        IF shape IS NULL THEN
            RAISE EXCEPTION 'unknown filter "%"', left(f.key, 63) USING ERRCODE = '22023',
                HINT = 'Filters are language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id and answered.';
        END IF;
        FOR v IN SELECT a.value, a.value #>> '{}' AS said FROM jsonb_array_elements(f.list) a LOOP
            IF jsonb_typeof(v.value) NOT IN ('string', 'number', 'boolean') OR v.said !~ shape OR jsonb_array_length(f.list) > 100 THEN
                RAISE EXCEPTION 'filter "%" has a value that it cannot have', f.key USING ERRCODE = '22023',
                    DETAIL = left(v.value::text, 100);
            END IF;
        END LOOP;
        IF f.key IN ('since', 'until') THEN
            BEGIN
                checked := checked || jsonb_build_object(f.key, (f.list ->> 0)::timestamptz);
            EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
                RAISE EXCEPTION 'filter "%" has a value that it cannot have', f.key USING ERRCODE = '22023',
                    DETAIL = left(f.list ->> 0, 100);
            END;
        ELSE
            checked := checked || jsonb_build_object(f.key, (SELECT jsonb_agg(a.value #>> '{}') FROM jsonb_array_elements(f.list) a));
        END IF;
    END LOOP;
    RETURN checked;
END $$;
ALTER FUNCTION csm_private.search_filters(jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_filters(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_filters(jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_filters(jsonb) IS 'The filters of a search, checked, with a list for each; error 22023 for what is none';

-- A kind that has not what a filter asks about is left out.
CREATE FUNCTION csm_private.search_kinds(kinds text[], filters jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everything CONSTANT text[] := '{account,article,case,person,product,question}'::text[];
    wanted text[] := coalesce(kinds, everything);
BEGIN
    IF NOT wanted <@ everything THEN
        RAISE EXCEPTION 'unknown kind "%"', (SELECT left(k, 63) FROM unnest(wanted) k WHERE k IS NULL OR k <> ALL (everything) LIMIT 1)
            USING ERRCODE = '22023', HINT = format('Kinds are %s.', array_to_string(everything, ', '));
    -- Nobody finds nothing; a visitor finds what is public.
    ELSIF csm.current_tenant_id() IS NULL
          AND (csm.guest_tenant_id() IS NULL OR NOT pg_has_role('csm_guest', 'USAGE')) THEN
        RETURN '{}'::text[];
    END IF;
    RETURN ARRAY(
        SELECT DISTINCT k.kind
        FROM unnest(wanted) AS w(kind)
        JOIN (VALUES ('account', 'csm.accounts', 'name', '{}'::text[]),
                     ('person', 'csm.users', 'display_name', '{}'),
                     ('product', 'csm.products', 'name', '{}'),
                     ('case', 'csm.cases', 'search', '{language,since,until,state_class,state,case_type,priority,account_id,product_id}'),
                     ('article', 'csm.articles', 'search', '{language,since,until,base_id,category_id,product_id}'),
                     ('question', 'csm.questions', 'search', '{language,since,until,forum_id,answered}'))
             AS k(kind, of_table, column_name, knows) ON k.kind = w.kind
        WHERE has_column_privilege(k.of_table, k.column_name, 'SELECT') AND ARRAY(SELECT jsonb_object_keys(filters)) <@ k.knows);
END $$;
ALTER FUNCTION csm_private.search_kinds(text[], jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_kinds(text[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_kinds(text[], jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_kinds(text[], jsonb) IS
'Kinds that the caller''s search looks through: those asked for (NULL: all) that his role may read and whose rows have what the filters name; none for nobody; error 22023 for an unknown one';

-- The digest shows damage and a cursor of another search. It is no proof of
-- anything: whoever makes one up gets the rows that he may read, from where he says.
CREATE FUNCTION csm_private.search_cursor(asked text, as_of timestamptz, before bigint, ways integer, score numeric, kind text, id bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place CONSTANT text := concat_ws('|', (extract(epoch FROM as_of) * 1000000)::bigint, before, ways, score, kind, id);
BEGIN
    RETURN translate(encode(convert_to(place || '|' || left(md5(place || asked), 12), 'UTF8'), 'base64'), E'+/=\n', '-_');
END $$;
ALTER FUNCTION csm_private.search_cursor(text, timestamptz, bigint, integer, numeric, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_cursor(text, timestamptz, bigint, integer, numeric, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_cursor(text, timestamptz, bigint, integer, numeric, text, bigint) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_cursor(text, timestamptz, bigint, integer, numeric, text, bigint) IS
'Cursor for the page after a row: time of the first page, or where a later generation of cases begins with the case before it (0: the first one), how its rows were found (csm_private.search_way()), and place of the row';

CREATE FUNCTION csm_private.search_page(asked text, "limit" integer, after text)
RETURNS TABLE (as_of timestamptz, before bigint, ways integer, score numeric, kind text, id bigint)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place text[];
    said text;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'limit is %', coalesce("limit"::text, 'NULL') USING ERRCODE = '22023', HINT = 'A page has 1 to 100 rows.';
    END IF;
    as_of := clock_timestamp();
    IF after IS NOT NULL THEN
        BEGIN
            said := convert_from(decode(rpad(translate(after, '-_', '+/'), (length(after) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
            place := string_to_array(said, '|');
            as_of := timestamptz 'epoch' + place[1]::bigint * interval '1 microsecond';
            before := nullif(place[2]::bigint, 0);
            ways := place[3]::integer;
            score := place[4]::numeric;
            kind := place[5];
            id := place[6]::bigint;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            place := NULL;
        END;
        IF cardinality(place) IS DISTINCT FROM 7
           OR place[7] IS DISTINCT FROM left(md5(array_to_string(place[1:6], '|') || asked), 12)
           OR after <> translate(encode(convert_to(said, 'UTF8'), 'base64'), E'+/=\n', '-_') THEN
            RAISE EXCEPTION 'the cursor is not one of this search' USING ERRCODE = '22023',
                HINT = 'Pass the cursor of a row that the same query, kinds and filters gave, or NULL for the first page.';
        END IF;
    END IF;
    RETURN NEXT;
END $$;
ALTER FUNCTION csm_private.search_page(text, integer, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_page(text, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_page(text, integer, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_page(text, integer, text) IS
'Where a page begins: time of the first page and, after it, what a cursor holds, before NULL in the first generation of cases; errors 22023: limit, a cursor that is damaged or of another search';

-- Two bits a kind: 0 all words or the number, 1 some words, 2 what resembles.
CREATE FUNCTION csm_private.search_way(kind text, found_by text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE found_by WHEN 'some words' THEN 1 WHEN 'similar' THEN 2 ELSE 0 END
       << CASE kind WHEN 'case' THEN 0 WHEN 'article' THEN 2 WHEN 'question' THEN 4 ELSE 6 END;
ALTER FUNCTION csm_private.search_way(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_way(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_way(text, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_way(text, text) IS
'How a hit was found, for a cursor and for the filter "ways" that csm.search() gives to the searches below on later pages: cases in bits 0 and 1, articles in 2 and 3, questions in 4 and 5';
