-- Search over everything that a person may read (R A5, B55).
--
-- Every statement below runs with the rights of whoever searches, so a hit is a
-- row that he may read, and what he may not read has no part in anything: a
-- score comes from the row and the query (csm.search_score()), never from how
-- many rows hold a word; what bounds the work is an order of the rows he sees.
--
-- Kinds of things are searched one by one, each by its own indexes:
--	cases, articles, questions	by words; where no row has them all, by some of
--		them; where that finds nothing either, by titles that resemble what was typed
--	accounts, people, products	by names that resemble it
-- and a number (an e-mail) that was typed is looked up first.  Of very common
-- words the newest rows are ranked (500 of a kind; cases: 60 to 500).
--
-- Paging.  A cursor holds the time of the first page, how the rows of each kind
-- were found on it, and the place of a row in the order. The order of two rows
-- depends on these rows and that time, so nothing that is opened, asked or
-- published meanwhile moves a page; cases and questions of later are left out.
-- Nor does it make some words give way to all of them: later pages look in the
-- way in which the first one found.

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

-- Names by trigrams.  They stand here because tables come before csm.resembles().
DO $$
DECLARE
    ops CONSTANT text := csm_private.schema_of('pg_trgm') || '.gin_trgm_ops';
BEGIN
    EXECUTE format('CREATE INDEX accounts_name_trgm_idx ON csm.accounts USING gin (name %s)', ops);
    EXECUTE format('CREATE INDEX users_display_name_trgm_idx ON csm.users USING gin (display_name %s)', ops);
    EXECUTE format('CREATE INDEX products_name_trgm_idx ON csm.products USING gin (name %s)', ops);
END $$;

-- ---- what was asked ----

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
CREATE FUNCTION csm_private.search_cursor(asked text, as_of timestamptz, ways integer, score numeric, kind text, id bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place CONSTANT text := concat_ws('|', (extract(epoch FROM as_of) * 1000000)::bigint, ways, score, kind, id);
BEGIN
    RETURN translate(encode(convert_to(place || '|' || left(md5(place || asked), 12), 'UTF8'), 'base64'), E'+/=\n', '-_');
END $$;
ALTER FUNCTION csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint) IS
'Cursor for the page after a row: time of the first page, how its rows were found (csm_private.search_way()), and place of the row';

CREATE FUNCTION csm_private.search_page("limit" integer, after text, asked text)
RETURNS TABLE (as_of timestamptz, ways integer, score numeric, kind text, id bigint)
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
            ways := place[2]::integer;
            score := place[3]::numeric;
            kind := place[4];
            id := place[5]::bigint;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            place := NULL;
        END;
        IF cardinality(place) IS DISTINCT FROM 6
           OR place[6] IS DISTINCT FROM left(md5(array_to_string(place[1:5], '|') || asked), 12)
           OR after <> translate(encode(convert_to(said, 'UTF8'), 'base64'), E'+/=\n', '-_') THEN
            RAISE EXCEPTION 'the cursor is not one of this search' USING ERRCODE = '22023',
                HINT = 'Pass the cursor of a row that the same query, kinds and filters gave, or NULL for the first page.';
        END IF;
    END IF;
    RETURN NEXT;
END $$;
ALTER FUNCTION csm_private.search_page(integer, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_page(integer, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_page(integer, text, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.search_page(integer, text, text) IS
'Where a page begins: time of the first page and, after it, how its rows were found and the place that a cursor holds; errors 22023: limit, a cursor that is damaged or of another search';

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

-- ---- kinds, one by one ----
--
-- They name nothing of csm_private, because they run with the rights of whoever
-- searches. Plans are made for the very words, which decide whether an index is
-- worth it.
--
-- The newest rows with words are looked for in windows of time: two weeks, as
-- many as it may take, all that is left (for visitors, of what is public, which
-- is a slice of its own). They decide how much is read, never what is found; of
-- cases, which are asked for the latest, how many beyond sixty.

CREATE FUNCTION csm_private.search_cases(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    classes CONSTANT text[] := CASE WHEN filters ? 'state_class' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state_class')) END;
    states CONSTANT text[] := CASE WHEN filters ? 'state' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'state')) END;
    types CONSTANT text[] := CASE WHEN filters ? 'case_type' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'case_type')) END;
    priorities CONSTANT bigint[] := CASE WHEN filters ? 'priority' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'priority') v) END;
    accounts CONSTANT bigint[] := CASE WHEN filters ? 'account_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'account_id') v) END;
    products CONSTANT bigint[] := CASE WHEN filters ? 'product_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'product_id') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := least((filters ->> 'until')::timestamptz, as_of);
    -- Who sees a part of them only has to go back further for as many: hence three pages, where two weeks do not hold more.
    enough CONSTANT bigint := 60;
    exact bigint;
    way CONSTANT integer := (filters ->> 'ways')::integer & 3;
    newest timestamptz;
    high timestamptz;
    low timestamptz;
    first bigint;
    width bigint;
    more bigint;
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'case' = ANY (kinds) THEN
        RETURN;
    END IF;
    SELECT c.id INTO exact FROM csm.cases c
    WHERE c.number = ANY (ARRAY[typed, upper(typed)])
      AND c.opened_at BETWEEN since AND before
      AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
      AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
      AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
      AND (languages IS NULL OR c.language = ANY (languages))
    ORDER BY c.number = typed DESC LIMIT 1;
    IF exact IS NOT NULL THEN
        RETURN QUERY SELECT 'case', c.id, c.number, c.subject, 2::numeric, 'number', c.opened_at FROM csm.cases c WHERE c.id = exact;
    END IF;

    newest := (SELECT c.opened_at FROM csm.cases c WHERE c.opened_at BETWEEN since AND before ORDER BY c.opened_at DESC, c.id DESC LIMIT 1);
    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0
            OR CASE way WHEN 0 THEN q <> strict OR n > 0 WHEN 1 THEN q = strict WHEN 2 THEN true ELSE q = loose AND (n > 0 OR exact IS NOT NULL) END;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN 2 END;
        WHILE n < enough AND high >= since LOOP
            first := csm.time_slice(high) - width + 1;
            low := greatest(since, csm.slice_start(first), '-infinity');
            RETURN QUERY
            SELECT 'case', c.id, c.number, c.subject,
                   round((csm.search_score(c.search, strict) * CASE WHEN q = strict THEN 0.9 ELSE 0.5 END
                          + 0.1 * exp(- extract(epoch FROM as_of - c.opened_at)::float8 / 31536000))::numeric, 6),
                   CASE WHEN q = strict THEN 'words' ELSE 'some words' END, c.opened_at
            FROM (SELECT c.id, c.number, c.subject, c.search, c.opened_at FROM csm.cases c
                  WHERE csm.matches(c.search, q)
                    AND c.opened_at BETWEEN low AND high
                    AND (first IS NULL OR csm.in_slices(ARRAY[csm.time_slice(c.opened_at)], first, csm.time_slice(high)))
                    AND c.id IS DISTINCT FROM exact
                    AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
                    AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
                    AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
                    AND (languages IS NULL OR c.language = ANY (languages))
                  ORDER BY c.opened_at DESC, c.id DESC LIMIT 500 - n) c;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            width := csm.next_slices(n, enough, csm.time_slice(newest) - first + 1);
            high := low - interval '1 microsecond';
        END LOOP;
    END LOOP;

    -- Subjects of the newest cases: an index on trigrams of all of them would
    -- take longer than reading these.
    IF coalesce(way = 2, n = 0 AND exact IS NULL) AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'case', c.id, c.number, c.subject, round((0.5 * csm.resemblance(c.subject, typed))::numeric, 6), 'similar', c.opened_at
        FROM (SELECT c.id, c.number, c.subject, c.opened_at FROM csm.cases c
              WHERE c.opened_at BETWEEN since AND before
                AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
                AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
                AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
                AND (languages IS NULL OR c.language = ANY (languages))
              ORDER BY c.opened_at DESC, c.id DESC LIMIT 2000) c
        WHERE csm.resembles(c.subject, typed);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among the caller''s cases: the number, the newest 60 to 500 with all words (two weeks, and as many more as 60 take), where there are none those with some words, else of the newest 2,000 those whose subject resembles what was typed';

CREATE FUNCTION csm_private.search_articles(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    bases CONSTANT bigint[] := CASE WHEN filters ? 'base_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'base_id') v) END;
    categories CONSTANT bigint[] := CASE WHEN filters ? 'category_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'category_id') v) END;
    products CONSTANT bigint[] := CASE WHEN filters ? 'product_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'product_id') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := coalesce((filters ->> 'until')::timestamptz, 'infinity');
    exact bigint;
    way CONSTANT integer := (filters ->> 'ways')::integer >> 2 & 3;
    visitor CONSTANT boolean := csm.current_user_id() IS NULL AND row_security_active('csm.articles');
    first_slice bigint;
    last_slice bigint;
    newest timestamptz;
    high timestamptz;
    low timestamptz;
    first bigint;
    width bigint;
    more bigint;
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'article' = ANY (kinds) THEN
        RETURN;
    END IF;
    SELECT a.id INTO exact FROM csm.articles a
    WHERE a.number = ANY (ARRAY[typed, upper(typed)])
      AND a.state = 'published' AND a.published_at BETWEEN since AND before
      AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
      AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
    ORDER BY a.number = typed DESC LIMIT 1;
    IF exact IS NOT NULL THEN
        RETURN QUERY SELECT 'article', a.id, a.number, a.title, 2::numeric, 'number', a.published_at FROM csm.articles a WHERE a.id = exact;
    END IF;

    newest := (SELECT a.published_at FROM csm.articles a WHERE a.state = 'published' AND a.published_at BETWEEN since AND before
               ORDER BY a.published_at DESC, a.id DESC LIMIT 1);
    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0
            OR CASE way WHEN 0 THEN q <> strict OR n > 0 WHEN 1 THEN q = strict WHEN 2 THEN true ELSE q = loose AND (n > 0 OR exact IS NOT NULL) END;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN 2 END;
        WHILE n < 500 AND high >= since LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            low := greatest(since, csm.slice_start(first), '-infinity');
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title,
                   round((csm.search_score(a.search, strict) * CASE WHEN q = strict THEN 1 ELSE 0.5 END)::numeric, 6),
                   CASE WHEN q = strict THEN 'words' ELSE 'some words' END, a.published_at
            FROM (SELECT a.id, a.number, a.title, a.search, a.published_at FROM csm.articles a
                  WHERE csm.matches(a.search, q)
                    AND a.state = 'published' AND a.published_at BETWEEN low AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(a.published_at, a.is_public), first_slice, last_slice))
                    AND a.id IS DISTINCT FROM exact
                    AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
                    AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
                  ORDER BY a.published_at DESC, a.id DESC LIMIT 500 - n) a;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            width := csm.next_slices(n, 500, csm.time_slice(newest) - first + 1);
            width := CASE WHEN NOT visitor OR width <= 20 THEN width END;
            high := low - interval '1 microsecond';
        END LOOP;
    END LOOP;

    IF coalesce(way = 2, n = 0 AND exact IS NULL) AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'article', a.id, a.number, a.title, round((0.5 * csm.resemblance(a.title, typed))::numeric, 6), 'similar', a.published_at
        FROM (SELECT a.id, a.number, a.title, a.published_at FROM csm.articles a
              WHERE csm.resembles(a.title, typed)
                AND a.state = 'published' AND a.published_at BETWEEN since AND before
                AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
                AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
              ORDER BY a.published_at DESC, a.id DESC LIMIT 500) a;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_articles(text[], tsquery, tsquery, text, jsonb) IS
'Hits of a search among published articles that the caller reads: the number, the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed. Age has no part in the score';

CREATE FUNCTION csm_private.search_questions(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
DECLARE
    languages CONSTANT text[] := CASE WHEN filters ? 'language' THEN ARRAY(SELECT jsonb_array_elements_text(filters -> 'language')) END;
    forums CONSTANT bigint[] := CASE WHEN filters ? 'forum_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'forum_id') v) END;
    answers CONSTANT boolean[] := CASE WHEN filters ? 'answered' THEN ARRAY(SELECT v::boolean FROM jsonb_array_elements_text(filters -> 'answered') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := least((filters ->> 'until')::timestamptz, as_of);
    way CONSTANT integer := (filters ->> 'ways')::integer >> 4 & 3;
    visitor CONSTANT boolean := csm.current_user_id() IS NULL AND row_security_active('csm.questions');
    first_slice bigint;
    last_slice bigint;
    newest timestamptz;
    high timestamptz;
    low timestamptz;
    first bigint;
    width bigint;
    more bigint;
    q tsquery;
    n bigint := 0;
BEGIN
    IF NOT 'question' = ANY (kinds) THEN
        RETURN;
    END IF;
    newest := (SELECT t.created_at FROM csm.questions t WHERE t.created_at BETWEEN since AND before
               ORDER BY t.created_at DESC, t.id DESC LIMIT 1);
    FOREACH q IN ARRAY ARRAY[strict, loose] LOOP
        CONTINUE WHEN numnode(q) = 0
            OR CASE way WHEN 0 THEN q <> strict OR n > 0 WHEN 1 THEN q = strict WHEN 2 THEN true ELSE q = loose AND n > 0 END;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN 2 END;
        WHILE n < 500 AND high >= since LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            low := greatest(since, csm.slice_start(first), '-infinity');
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title,
                   round((csm.search_score(t.search, strict) * CASE WHEN q = strict THEN 0.8 ELSE 0.4 END
                          + 0.1 * exp(- extract(epoch FROM as_of - t.created_at)::float8 / 31536000))::numeric, 6),
                   CASE WHEN q = strict THEN 'words' ELSE 'some words' END, t.created_at
            FROM (SELECT t.id, t.title, t.search, t.created_at FROM csm.questions t
                  WHERE csm.matches(t.search, q)
                    AND t.created_at BETWEEN low AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(t.created_at, t.is_public), first_slice, last_slice))
                    AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
                    AND (answers IS NULL OR t.answered = ANY (answers))
                  ORDER BY t.created_at DESC, t.id DESC LIMIT 500 - n) t;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            width := csm.next_slices(n, 500, csm.time_slice(newest) - first + 1);
            width := CASE WHEN NOT visitor OR width <= 20 THEN width END;
            high := low - interval '1 microsecond';
        END LOOP;
    END LOOP;

    IF coalesce(way = 2, n = 0) AND length(typed) BETWEEN 4 AND 100 THEN
        RETURN QUERY
        SELECT 'question', t.id, NULL::text, t.title, round((0.4 * csm.resemblance(t.title, typed))::numeric, 6), 'similar', t.created_at
        FROM (SELECT t.id, t.title, t.created_at FROM csm.questions t
              WHERE csm.resembles(t.title, typed) AND t.search IS NOT NULL
                AND t.created_at BETWEEN since AND before
                AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
                AND (answers IS NULL OR t.answered = ANY (answers))
              ORDER BY t.created_at DESC, t.id DESC LIMIT 500) t;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among questions that the caller reads: the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed';

CREATE FUNCTION csm_private.search_names(kinds text[], typed text)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric, found_by text, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
AS $$
#variable_conflict use_column
BEGIN
    IF 'account' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'account', a.id, a.number, a.name,
               CASE WHEN a.number = ANY (ARRAY[typed, upper(typed)]) THEN 2 ELSE round(csm.resemblance(a.name, typed)::numeric, 6) END,
               CASE WHEN a.number = ANY (ARRAY[typed, upper(typed)]) THEN 'number' WHEN csm.contains(a.name, typed) THEN 'words' ELSE 'similar' END,
               a.created_at
        FROM (SELECT a.id, a.number, a.name, a.created_at FROM csm.accounts a WHERE a.number = ANY (ARRAY[typed, upper(typed)])
              UNION
              (SELECT a.id, a.number, a.name, a.created_at FROM csm.accounts a WHERE csm.resembles(a.name, typed)
               ORDER BY a.id DESC LIMIT 1000)) a;
    END IF;
    IF 'person' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'person', u.id, NULL::text, u.display_name,
               CASE WHEN u.email_key = lower(typed) THEN 2 ELSE round(csm.resemblance(u.display_name, typed)::numeric, 6) END,
               CASE WHEN u.email_key = lower(typed) THEN 'number' WHEN csm.contains(u.display_name, typed) THEN 'words' ELSE 'similar' END,
               u.created_at
        FROM (SELECT u.id, u.display_name, u.email_key, u.created_at FROM csm.users u WHERE u.email_key = lower(typed)
              UNION
              (SELECT u.id, u.display_name, u.email_key, u.created_at FROM csm.users u WHERE csm.resembles(u.display_name, typed)
               ORDER BY u.id DESC LIMIT 1000)) u;
    END IF;
    IF 'product' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'product', p.id, NULL::text, p.name, round(csm.resemblance(p.name, typed)::numeric, 6),
               CASE WHEN csm.contains(p.name, typed) THEN 'words' ELSE 'similar' END, NULL::timestamptz
        FROM (SELECT p.id, p.name FROM csm.products p WHERE csm.resembles(p.name, typed) ORDER BY p.id DESC LIMIT 1000) p;
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.search_names(text[], text) IS
'Hits of a search among the caller''s accounts, people and products: number or e-mail, and names that resemble what was typed (of each kind the newest 1,000)';

-- The words that were found, in the text of one row.
CREATE FUNCTION csm_private.search_snippet(kind text, id bigint, typed text, words integer) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One statement a table: a role needs rights on the tables of a statement only.
    IF kind = 'case' THEN
        RETURN (SELECT csm.highlight(c.language, coalesce(c.description, c.subject), typed, words) FROM csm.cases c WHERE c.id = search_snippet.id);
    ELSIF kind = 'article' THEN
        RETURN (SELECT csm.highlight(a.language, a.body, typed, words) FROM csm.articles a WHERE a.id = search_snippet.id);
    ELSIF kind = 'question' THEN
        RETURN (SELECT csm.highlight(t.language, t.body, typed, words) FROM csm.questions t WHERE t.id = search_snippet.id);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.search_snippet(text, bigint, text, integer) IS
'Passage of a hit that holds what was typed, as safe HTML; NULL for kinds that have no text and for what the caller may not read';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz)',
                             'csm_private.search_articles(text[], tsquery, tsquery, text, jsonb)',
                             'csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz)',
                             'csm_private.search_names(text[], text)', 'csm_private.search_snippet(text, bigint, text, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest, csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;

-- ---- search ----

CREATE FUNCTION csm.search(query text, kinds text[] DEFAULT NULL, filters jsonb DEFAULT '{}', "limit" integer DEFAULT 20, after text DEFAULT NULL)
RETURNS TABLE (kind text, id bigint, number text, title text, snippet text, score numeric, found_by text, at timestamptz, cursor text)
LANGUAGE sql STABLE ROWS 20
BEGIN ATOMIC
    SELECT h.kind, h.id, h.number, h.title, csm_private.search_snippet(h.kind, h.id, h.typed, 30), h.score, h.found_by, h.at,
           csm_private.search_cursor(h.asked, h.as_of, h.ways, h.score, h.kind, h.id)
    FROM (
        SELECT x.*, a.typed, a.asked, p.as_of, coalesce(p.ways, bit_or(csm_private.search_way(x.kind, x.found_by)) OVER ()) AS ways
        FROM (SELECT btrim(left(query, 1000)) AS typed, md5(concat_ws('|', query, kinds::text, filters::text)) AS asked) a
        CROSS JOIN LATERAL csm_private.search_page("limit", after, a.asked) p
        CROSS JOIN LATERAL csm_private.search_filters(filters) f
        CROSS JOIN LATERAL (SELECT CASE WHEN p.ways IS NULL THEN f ELSE f || jsonb_build_object('ways', p.ways) END AS way) w
        CROSS JOIN LATERAL csm_private.search_kinds(kinds, f) k
        CROSS JOIN LATERAL csm_private.search_languages() l
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, true) loose
        CROSS JOIN LATERAL (
            SELECT * FROM csm_private.search_cases(k, strict, loose, a.typed, w.way, p.as_of)
            UNION ALL SELECT * FROM csm_private.search_articles(k, strict, loose, a.typed, w.way)
            UNION ALL SELECT * FROM csm_private.search_questions(k, strict, loose, a.typed, w.way, p.as_of)
            UNION ALL SELECT * FROM csm_private.search_names(k, a.typed)
        ) x
        WHERE a.typed <> '' AND (after IS NULL OR (x.score, p.kind, p.id) < (p.score, x.kind, x.id))
        ORDER BY x.score DESC, x.kind, x.id
        LIMIT greatest("limit", 1)
    ) h
    ORDER BY h.score DESC, h.kind, h.id;
END;
ALTER FUNCTION csm.search(text, text[], jsonb, integer, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search(text, text[], jsonb, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search(text, text[], jsonb, integer, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.search(text, text[], jsonb, integer, text) IS
'What the caller may read and what answers the query, best first, a page of limit rows (1 to 100). kinds: account, article, case, person, product, question (NULL: all that his role reads). filters: language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id, answered, each a value or a list; a kind without such a column is left out. snippet is HTML in which all but <mark> is escaped, NULL where there is no text. found_by: number (or e-mail), words, some words (where no row of the kind has all), similar. at: when it was opened, published or made. after: the cursor of the last row of the page before. NULL and empty queries find nothing. Error 22023: limit, kind, filter, cursor';
