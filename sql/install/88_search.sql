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
-- words the newest rows are ranked (500 of a kind; cases: 30 to 500, and on later
-- pages those before them, and so on to the oldest).
--
-- Paging.  A cursor holds the time of the first page, how the rows of each kind
-- were found on it, and the place of a row in the order. The order of two rows
-- depends on these rows and that time, so nothing that is opened, asked or
-- published meanwhile moves a page; cases and questions of later are left out.
-- Nor does it make some words give way to all of them: later pages look in the
-- way in which the first one found.

-- ---- kinds, one by one ----
--
-- They name nothing of csm_private, because they run with the rights of whoever
-- searches. Plans are made for the very words, which decide whether an index is
-- worth it.
--
-- The newest rows with words are looked for in windows of time: two weeks, as
-- many as it may take, all that is left (for visitors, of what is public, which
-- is a slice of its own). They decide how much is read, never what is found.
--
-- Of cases they decide what is ranked together, a generation: the latest are what
-- people ask for, and who sees few of them would go back for years to find as many
-- as somebody who sees all. The next one is a search for what was opened before
-- the oldest of the last one.

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
    way CONSTANT integer := (filters ->> 'ways')::integer & 3;
    oldest CONSTANT bigint := (filters ->> 'before')::bigint;
    -- A page of a hundred is filled from the rest of a generation and the next one.
    enough CONSTANT bigint := CASE WHEN oldest IS NULL THEN 30 ELSE 100 END;
    exact bigint;
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
    IF exact IS NOT NULL AND oldest IS NULL THEN
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
                    AND c.opened_at BETWEEN low AND high AND (oldest IS NULL OR (c.opened_at, c.id) < (as_of, oldest))
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
'Hits of a search among the caller''s cases opened by as_of (filter "before": and before that case), a generation of them: the number, the newest 30 to 500 with all words (two weeks, and as many more as 30 take), where there are none those with some words, else of the newest 2,000 those whose subject resembles what was typed. After the first generation the number is left out';

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

-- Names by trigrams.  They stand here because tables come before csm.resembles().
DO $$
DECLARE
    ops CONSTANT text := csm_private.schema_of('pg_trgm') || '.gin_trgm_ops';
BEGIN
    EXECUTE format('CREATE INDEX accounts_name_trgm_idx ON csm.accounts USING gin (name %s)', ops);
    EXECUTE format('CREATE INDEX users_display_name_trgm_idx ON csm.users USING gin (display_name %s)', ops);
    EXECUTE format('CREATE INDEX products_name_trgm_idx ON csm.products USING gin (name %s)', ops);
END $$;

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
    WITH asked AS MATERIALIZED (
        SELECT a.typed, a.asked, p.*, strict, loose,
               CASE WHEN p.before IS NULL THEN k ELSE ARRAY(SELECT unnest(k) INTERSECT SELECT 'case') END AS kinds,
               CASE WHEN p.ways IS NULL THEN f ELSE f || jsonb_build_object('ways', p.ways, 'before', p.before) END AS filters
        FROM (SELECT btrim(left(query, 1000)) AS typed, md5(concat_ws('|', query, kinds::text, filters::text)) AS asked) a
        CROSS JOIN LATERAL csm_private.search_page(a.asked, "limit", after) p
        CROSS JOIN LATERAL csm_private.search_filters(filters) f
        CROSS JOIN LATERAL csm_private.search_kinds(kinds, f) k
        CROSS JOIN LATERAL csm_private.search_languages() l
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
        CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, true) loose
    ), found AS MATERIALIZED (
        SELECT x.*, coalesce(a.ways, bit_or(csm_private.search_way(x.kind, x.found_by)) OVER ()) AS ways
        FROM asked a
        CROSS JOIN LATERAL (
            SELECT * FROM csm_private.search_cases(a.kinds, a.strict, a.loose, a.typed, a.filters, a.as_of)
            UNION ALL SELECT * FROM csm_private.search_articles(a.kinds, a.strict, a.loose, a.typed, a.filters)
            UNION ALL SELECT * FROM csm_private.search_questions(a.kinds, a.strict, a.loose, a.typed, a.filters, a.as_of)
            UNION ALL SELECT * FROM csm_private.search_names(a.kinds, a.typed)
        ) x
        WHERE a.typed <> ''
    ), page AS MATERIALIZED (
        SELECT x.*, a.as_of, a.before, 1 AS generation
        FROM found x CROSS JOIN asked a
        WHERE after IS NULL OR (x.score, a.kind, a.id) < (a.score, x.kind, x.id)
        ORDER BY x.score DESC, x.kind, x.id
        LIMIT greatest("limit", 1)
    ), earlier AS (
        SELECT x.*, o.ways, o.at, o.id, 2 AS generation
        FROM (SELECT c.at, c.id, c.ways, count(*) OVER () AS n FROM found c
              WHERE c.kind = 'case' AND c.found_by IN ('words', 'some words') ORDER BY c.at, c.id LIMIT 1) o
        CROSS JOIN asked a
        CROSS JOIN LATERAL csm_private.search_cases('{case}', a.strict, a.loose, a.typed,
                                                    a.filters || jsonb_build_object('ways', o.ways, 'before', o.id), o.at) x
        -- fewer than a generation has are all there are
        WHERE o.n >= 30 AND (SELECT count(*) FROM page) < "limit"
        ORDER BY x.score DESC, x.id
        LIMIT "limit" - (SELECT count(*) FROM page)
    )
    SELECT h.kind, h.id, h.number, h.title, csm_private.search_snippet(h.kind, h.id, a.typed, 30), h.score, h.found_by, h.at,
           csm_private.search_cursor(a.asked, h.as_of, coalesce(h.before, 0), h.ways, h.score, h.kind, h.id)
    FROM (SELECT * FROM page UNION ALL SELECT * FROM earlier) h CROSS JOIN asked a
    ORDER BY h.generation, h.score DESC, h.kind, h.id;
END;
ALTER FUNCTION csm.search(text, text[], jsonb, integer, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search(text, text[], jsonb, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search(text, text[], jsonb, integer, text) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.search(text, text[], jsonb, integer, text) IS
'What the caller may read and what answers the query, best first, a page of limit rows (1 to 100); of very many cases the newest are ranked, then those before them. kinds: account, article, case, person, product, question (NULL: all that his role reads). filters: language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id, answered, each a value or a list; a kind without such a column is left out. snippet is HTML in which all but <mark> is escaped, NULL where there is no text. found_by: number (or e-mail), words, some words (where no row of the kind has all), similar. at: when it was opened, published or made. after: the cursor of the last row of the page before. NULL and empty queries find nothing. Error 22023: limit, kind, filter, cursor';
