-- From 0.4 to 0.5.
\echo Use "ALTER EXTENSION csm UPDATE TO '0.5'" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

-- 37_cases.sql
ALTER TABLE csm.cases DROP CONSTRAINT cases_tenant_fkey;

-- 79_entitlements.sql
DROP TRIGGER cases_30_entitlement ON csm.cases;
CREATE TRIGGER cases_30_entitlement BEFORE INSERT ON csm.cases FOR EACH ROW
    EXECUTE FUNCTION csm_private.fill_entitlement();

-- 85_quotas.sql
DROP TRIGGER cases_20_quota ON csm.cases;
CREATE TRIGGER cases_20_quota AFTER INSERT ON csm.cases
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_quota();
DROP TRIGGER case_entries_30_quota ON csm.case_entries;
CREATE TRIGGER case_entries_30_quota AFTER INSERT ON csm.case_entries
    FOR EACH ROW EXECUTE FUNCTION csm_private.entry_quota();

-- What somebody sees of articles is one function in C, by a key that has an index.
CREATE FUNCTION csm_private.article_shown(article_key bigint, audience_id bigint, state text, expires_at timestamptz, author_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_article_shown' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 1
SUPPORT csm_private.access_support;
CREATE FUNCTION csm_private.article_keys_shown() RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_article_keys_shown' LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF COST 10;
ALTER FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint) OWNER TO csm_owner;
ALTER FUNCTION csm_private.article_keys_shown() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint), csm_private.article_keys_shown() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint), csm_private.article_keys_shown()
    TO csm_portal, csm_agent, csm_reporter, csm_admin;
CREATE OR REPLACE FUNCTION csm_private.article_arms(arms text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stands CONSTANT text := $e$state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp())$e$;
BEGIN
    RETURN CASE arms
        WHEN 'guest' THEN stands || ' AND is_public AND tenant_id = csm.guest_tenant_id()'
        WHEN 'person' THEN 'csm_private.article_shown(CASE WHEN is_public THEN 0 ELSE audience_id END, audience_id, state, expires_at, author_id)'
    END;
END $$;
CREATE INDEX articles_key_idx ON csm.articles ((CASE WHEN is_public THEN 0 ELSE audience_id END), published_at);
DO $$
BEGIN
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION csm_private.article_allows(article_id bigint, tenant_id bigint, action text) RETURNS boolean
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
        SET search_path = pg_catalog, pg_temp
        AS $b$
        #variable_conflict use_column
        BEGIN
            RETURN EXISTS (SELECT FROM csm.articles a
                           WHERE a.id = article_allows.article_id AND a.tenant_id = article_allows.tenant_id
                             AND CASE WHEN article_allows.action <> 'read' THEN csm.audience_allows(audience_id, article_allows.action)
                                      WHEN csm.current_user_id() IS NULL THEN %s
                                      ELSE a.tenant_id = csm.current_tenant_id() AND (%s) END);
        END $b$ $f$, csm_private.article_arms('guest'), csm_private.article_arms('person'));
    EXECUTE format('ALTER POLICY articles_select ON csm.articles USING (%s)', csm_private.article_arms('person'));
END $$;

-- 88_search.sql: a cursor says how the rows of its first page were found
CREATE FUNCTION csm_private.search_way(kind text, found_by text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE found_by WHEN 'some words' THEN 1 WHEN 'similar' THEN 2 ELSE 0 END
       << CASE kind WHEN 'case' THEN 0 WHEN 'article' THEN 2 WHEN 'question' THEN 4 ELSE 6 END;
CREATE OR REPLACE FUNCTION csm_private.search_cursor(asked text, as_of timestamptz, ways integer, score numeric, kind text, id bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place CONSTANT text := concat_ws('|', (extract(epoch FROM as_of) * 1000000)::bigint, ways, score, kind, id);
BEGIN
    RETURN translate(encode(convert_to(place || '|' || left(md5(place || asked), 12), 'UTF8'), 'base64'), E'+/=\n', '-_');
END $$;
CREATE OR REPLACE FUNCTION csm_private.search_page("limit" integer, after text, asked text)
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
CREATE OR REPLACE FUNCTION csm_private.search_cases(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
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
        WHILE n < 500 AND high >= since LOOP
            first := csm.time_slice(high) - width + 1;
            low := greatest(since, csm.slice_start(first), '-infinity');
            RETURN QUERY
            SELECT 'case', c.id, c.number, c.subject,
                   round((csm.search_score(c.search, strict) * CASE WHEN q = strict THEN 0.9 ELSE 0.5 END
                          + 0.1 * exp(- extract(epoch FROM as_of - c.opened_at) / 31536000.0)::float8)::numeric, 6),
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
            width := csm.next_slices(n, 500, csm.time_slice(newest) - first + 1);
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
CREATE OR REPLACE FUNCTION csm_private.search_articles(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb)
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
CREATE OR REPLACE FUNCTION csm_private.search_questions(kinds text[], strict tsquery, loose tsquery, typed text, filters jsonb, as_of timestamptz)
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
                          + 0.1 * exp(- extract(epoch FROM as_of - t.created_at) / 31536000.0)::float8)::numeric, 6),
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
CREATE OR REPLACE FUNCTION csm.search(query text, kinds text[] DEFAULT NULL, filters jsonb DEFAULT '{}', "limit" integer DEFAULT 20, after text DEFAULT NULL)
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
DROP FUNCTION csm_private.search_cursor(text, timestamptz, numeric, text, bigint);
DROP FUNCTION csm_private.search_place(integer, text, text);
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.search_way(text, text)', 'csm_private.search_page(integer, text, text)',
                             'csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint)']::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest, csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;

-- 88_interactions.sql: handed over to service organisations, closed when idle
ALTER TABLE csm.interactions ADD COLUMN service_organization_id bigint,
    ADD CONSTRAINT interactions_organization_fkey FOREIGN KEY (service_organization_id, tenant_id)
        REFERENCES csm.service_organizations (id, tenant_id);
CREATE INDEX interactions_organization_idx ON csm.interactions (service_organization_id, opened_at) WHERE service_organization_id IS NOT NULL;
GRANT SELECT (service_organization_id) ON csm.interactions TO csm_reporter;
ALTER POLICY interactions_select_staff ON csm.interactions
    USING (csm.all_in(tenant_id, branch, 'case_read')
           OR csm.account_allows(account_id, opened_at, 'case_read')
           OR csm.organization_allows(service_organization_id, branch, 'case_read')
           OR csm.requester_allows(requester_id, branch, account_id, 'case_read'));
CREATE OR REPLACE FUNCTION csm_private.interaction_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'interactions' ? name THEN (settings->'interactions'->>name)::integer
            ELSE CASE name WHEN 'guest_sessions_per_hour' THEN 200 WHEN 'sessions_per_hour' THEN 20
                           WHEN 'messages_per_hour' THEN 300 WHEN 'guest_hours' THEN 24
                           WHEN 'idle_hours' THEN 72 END END;
CREATE OR REPLACE FUNCTION csm_private.check_interaction_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    IF csm_private.restoring() OR NOT NEW.settings ? 'interactions' THEN
        RETURN NULL;
    END IF;
    FOR s IN SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings->'interactions') WHEN 'object'
                                                   THEN NEW.settings->'interactions' ELSE '{"interactions": true}' END) e LOOP
        IF s.key NOT IN ('guest_sessions_per_hour', 'sessions_per_hour', 'messages_per_hour', 'guest_hours', 'idle_hours')
           OR jsonb_typeof(s.value) <> 'number' OR s.value::text !~ '^[0-9]{1,5}$' THEN
            RAISE EXCEPTION 'setting interactions of a tenant has guest_sessions_per_hour, sessions_per_hour, messages_per_hour, guest_hours and idle_hours'
                USING ERRCODE = '22023', DETAIL = format('It has %s: %s.', s.key, s.value),
                      HINT = 'Each is a whole number up to 99999; 0 lets nobody in.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION csm_private.interaction_allows(i csm.interactions, action text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(csm.all_in(i.tenant_id, i.branch, action)
                    OR csm.account_allows(i.account_id, i.opened_at, action) AND csm_private.is_staff(action)
                    OR csm.organization_allows(i.service_organization_id, i.branch, action)
                    OR csm.requester_allows(i.requester_id, i.branch, i.account_id, action), false)
$$;
DROP FUNCTION csm.act_on_interaction(bigint, text);
CREATE OR REPLACE FUNCTION csm.act_on_interaction(interaction_id bigint, action text, service_organization_id bigint DEFAULT NULL) RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i csm.interactions := csm_private.lock_interaction(interaction_id);
    at CONSTANT timestamptz := clock_timestamp();
    me CONSTANT bigint := csm.current_user_id();
BEGIN
    IF action IS NULL OR action NOT IN ('take', 'hand_over', 'wrap_up', 'close') THEN
        RAISE EXCEPTION 'interactions have no action "%"', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'Actions are take, hand_over, wrap_up and close.';
    ELSIF NOT (action = 'close' AND csm.requester_allows(i.requester_id, i.branch, i.account_id, 'case_comment')) THEN
        PERFORM csm_private.require_work(i);
    END IF;
    IF service_organization_id IS NOT NULL AND action <> 'hand_over' THEN
        RAISE EXCEPTION 'a service organisation is given to hand over, and for nothing else' USING ERRCODE = '22023',
            DETAIL = format('The action is %s.', action), HINT = 'Leave it out.';
    ELSIF service_organization_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM csm.service_organizations o WHERE o.id = service_organization_id AND o.tenant_id = i.tenant_id) THEN
        RAISE EXCEPTION 'service organisation % does not exist', service_organization_id USING ERRCODE = '42501',
            HINT = 'Give one of this tenant, or none.';
    END IF;
    IF NOT (CASE action WHEN 'take' THEN i.state IN ('new', 'active') AND i.assigned_to IS NULL
                        WHEN 'close' THEN i.state <> 'closed'
                        ELSE i.state = 'active' END) THEN
        RAISE EXCEPTION 'interaction % does not permit "%"', i.id, action USING ERRCODE = 'SM002',
            DETAIL = format('Its state is %s, %s.', i.state, CASE WHEN i.assigned_to IS NULL THEN 'nobody has it' ELSE 'an agent has it' END),
            HINT = 'Somebody may have been faster.';
    END IF;
    CASE action
        WHEN 'take' THEN
            UPDATE csm.interactions x SET state = 'active', handled_by = 'agent', assigned_to = me, taken_at = at WHERE x.id = i.id;
        WHEN 'hand_over' THEN
            UPDATE csm.interactions x SET handled_by = 'agent', assigned_to = NULL, taken_at = NULL, handed_over_at = at,
                service_organization_id = coalesce(act_on_interaction.service_organization_id, x.service_organization_id) WHERE x.id = i.id;
        WHEN 'wrap_up' THEN
            UPDATE csm.interactions x SET state = 'wrap_up', wrapped_at = at WHERE x.id = i.id;
        ELSE
            UPDATE csm.interactions x SET state = 'closed', closed_at = at WHERE x.id = i.id;
    END CASE;
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id;
    RETURN i;
END $$;
CREATE OR REPLACE FUNCTION csm.verify_interaction(interaction_id bigint, verification text, how text, requester_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL)
RETURNS csm.interactions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    i csm.interactions := csm_private.lock_interaction(interaction_id);
    found csm.interactions := i;
    a record;
BEGIN
    PERFORM csm_private.require_work(i);
    IF verification IS NULL OR verification NOT IN ('claimed', 'verified') OR how IS NULL THEN
        RAISE EXCEPTION 'an identity is claimed or verified, by something' USING ERRCODE = '22023',
            DETAIL = format('Given: %s by %s.', coalesce(verification, 'NULL'), coalesce(how, 'NULL')), HINT = 'how is a key such as callback.';
    ELSIF i.state = 'closed' THEN
        RAISE EXCEPTION 'interaction % is over', i.id USING ERRCODE = '55000', HINT = 'What was known then stays.';
    ELSIF requester_id IS NOT NULL AND requester_id IS DISTINCT FROM i.requester_id THEN
        SELECT * INTO a FROM csm_private.affiliation(requester_id, i.tenant_id, NULL, account_id);
        found.requester_id := requester_id;
        found.branch := a.branch;
        found.account_id := a.account_id;
        -- an organisation has reach over what was handed to it, not over persons
        found.service_organization_id := NULL;
        IF i.case_id IS NOT NULL OR a.branch IS NULL OR NOT csm_private.interaction_allows(found, 'case_work')
           OR NOT EXISTS (SELECT FROM csm.users u WHERE u.id = requester_id AND u.tenant_id = i.tenant_id) THEN
            RAISE EXCEPTION 'interaction % cannot become that person''s', i.id USING ERRCODE = '42501',
                HINT = 'Persons in the reach of the caller, before there is a case.';
        END IF;
    ELSIF i.requester_id IS NULL THEN
        RAISE EXCEPTION 'interaction % has nobody to verify', i.id USING ERRCODE = '22023', HINT = 'Give requester_id.';
    END IF;
    UPDATE csm.interactions x
    SET requester_id = found.requester_id, branch = found.branch, account_id = found.account_id,
        verification = verification, verified_how = how, verified_by = csm.current_user_id(), verified_at = clock_timestamp()
    WHERE x.id = i.id;
    SELECT * INTO i FROM csm.interactions x WHERE x.id = i.id;
    RETURN i;
END $$;
CREATE OR REPLACE FUNCTION csm_private.open_interaction_case(i csm.interactions, subject text, description text, case_type text, priority integer) RETURNS csm.cases
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    IF i.case_id IS NOT NULL THEN
        SELECT * INTO c FROM csm.cases x WHERE x.id = i.case_id;
        RETURN c;
    END IF;
    RETURN csm.open_case(subject => coalesce(open_interaction_case.subject, i.subject), description => open_interaction_case.description,
                         case_type => open_interaction_case.case_type, account_id => i.account_id, requester_id => i.requester_id,
                         priority => open_interaction_case.priority, channel => i.channel,
                         -- by whom a case is served say staff
                         fields => CASE WHEN i.service_organization_id IS NOT NULL AND has_column_privilege('csm.cases', 'service_organization_id', 'INSERT')
                                        THEN jsonb_build_object('service_organization_id', i.service_organization_id) ELSE '{}' END);
END $$;
CREATE OR REPLACE FUNCTION csm_private.begin_idle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND NEW.state <> 'closed' AND NEW.channel <> 'email' THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'interaction_idle', NEW.id, NULL, NEW.opened_at + interval '1 hour');
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION csm_private.due_interaction_idle(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hours CONSTANT integer := (SELECT csm_private.interaction_setting(t.settings, 'idle_hours') FROM csm.tenants t WHERE t.id = tenant_id);
    i csm.interactions;
    idle_from timestamptz;
BEGIN
    SELECT * INTO i FROM csm.interactions x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF i.state = 'closed' THEN
        RETURN;
    ELSIF i.id IS NULL THEN
        -- somebody has it in hand, for whom time does not wait
        PERFORM csm_private.set_timer(tenant_id, 'interaction_idle', object_id, NULL, at + interval '1 hour');
        RETURN;
    END IF;
    idle_from := greatest(i.opened_at, i.taken_at, i.handed_over_at, i.wrapped_at,
                          (SELECT e.created_at FROM csm.interaction_entries e WHERE e.interaction_id = i.id ORDER BY e.id DESC LIMIT 1));
    IF hours = 0 OR idle_from + make_interval(hours => hours) > at THEN
        PERFORM csm_private.set_timer(tenant_id, 'interaction_idle', i.id, NULL,
                                      CASE hours WHEN 0 THEN at + interval '1 day' ELSE idle_from + make_interval(hours => hours) END);
        RETURN;
    END IF;
    PERFORM csm_private.write_interaction(i, 'system', NULL, format('Closed after %s hours without a word.', hours));
    UPDATE csm.interactions x SET state = 'closed', closed_at = at WHERE x.id = i.id AND x.tenant_id = tenant_id;
END $$;
CREATE OR REPLACE FUNCTION csm_private.run_timer(t csm.timers, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE t.kind
        WHEN 'awaiting_timeout' THEN PERFORM csm_private.due_awaiting_timeout(t.tenant_id, t.object_id, at);
        WHEN 'follow_up' THEN PERFORM csm_private.due_follow_up(t.tenant_id, t.object_id, at);
        WHEN 'dispute_response' THEN PERFORM csm_private.due_dispute_response(t.tenant_id, t.object_id, at);
        WHEN 'dispute_auto_accept' THEN PERFORM csm_private.due_dispute_auto_accept(t.tenant_id, t.object_id, at);
        WHEN 'dispute_appeal' THEN PERFORM csm_private.due_dispute_appeal(t.tenant_id, t.object_id, at);
        WHEN 'sla' THEN PERFORM csm_private.due_sla(t.tenant_id, t.object_id, at);
        WHEN 'seal' THEN PERFORM csm_private.due_seal(t.tenant_id, t.object_id, at);
        WHEN 'retention' THEN PERFORM csm_private.due_retention(t.tenant_id, t.object_id, at);
        WHEN 'article_publish' THEN PERFORM csm_private.due_article_publish(t.tenant_id, t.object_id, at);
        WHEN 'article_expiry' THEN PERFORM csm_private.due_article_expiry(t.tenant_id, t.object_id, at);
        WHEN 'article_views' THEN PERFORM csm_private.due_article_views(t.tenant_id, t.object_id, at);
        WHEN 'interaction_idle' THEN PERFORM csm_private.due_interaction_idle(t.tenant_id, t.object_id, at);
        WHEN 'publication_publish' THEN PERFORM csm_private.due_publication_publish(t.tenant_id, t.object_id, at);
        WHEN 'publication_expiry' THEN PERFORM csm_private.due_publication_expiry(t.tenant_id, t.object_id, at);
        WHEN 'publication_address' THEN PERFORM csm_private.due_publication_address(t.tenant_id, t.object_id, at);
        WHEN 'publication_mail' THEN PERFORM csm_private.due_publication_mail(t.tenant_id, t.object_id, at);
        WHEN 'publication_clear' THEN PERFORM csm_private.due_publication_clear(t.tenant_id, t.object_id, at);
        WHEN 'survey' THEN PERFORM csm_private.due_survey(t.tenant_id, t.object_id, at);
        WHEN 'survey_low' THEN PERFORM csm_private.due_survey_low(t.tenant_id, t.object_id, at);
        WHEN 'registration' THEN PERFORM csm_private.due_registration(t.tenant_id, t.object_id, at);
        WHEN 'notify' THEN PERFORM csm_private.due_notify(t.tenant_id, t.object_id, at);
        WHEN 'expired' THEN PERFORM csm_private.due_expired(t.tenant_id, t.object_id, at);
        ELSE
            RAISE EXCEPTION 'timers of kind "%" have no handler', t.kind USING ERRCODE = '0A000',
                HINT = 'A newer version of csm wrote it; update the extension.';
    END CASE;
END $$;
ALTER FUNCTION csm.act_on_interaction(bigint, text, bigint) OWNER TO csm_owner;
ALTER FUNCTION csm_private.begin_idle() OWNER TO csm_owner;
ALTER FUNCTION csm_private.due_interaction_idle(bigint, bigint, timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.act_on_interaction(bigint, text, bigint), csm_private.begin_idle(),
    csm_private.due_interaction_idle(bigint, bigint, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.act_on_interaction(bigint, text, bigint) TO csm_portal, csm_agent;
CREATE TRIGGER interactions_30_idle AFTER INSERT ON csm.interactions
    FOR EACH ROW EXECUTE FUNCTION csm_private.begin_idle();
SELECT csm_private.set_timer(i.tenant_id, 'interaction_idle', i.id, NULL, clock_timestamp() + interval '1 hour')
FROM csm.interactions i WHERE i.state <> 'closed' AND i.channel <> 'email';
CREATE OR REPLACE VIEW csm_report.interactions WITH (security_invoker = true) AS
SELECT i.id, i.branch, i.account_id, i.channel, i.state, i.handled_by, i.assigned_to, i.verification, i.verified_how, i.case_id,
       i.case_id IS NOT NULL AS became_case, i.opened_at, i.closed_at,
       extract(epoch FROM i.answered_at - i.opened_at)::bigint AS first_answer_seconds,
       extract(epoch FROM i.waited)::bigint AS waited_seconds,
       extract(epoch FROM i.lasted)::bigint AS lasted_seconds,
       i.service_organization_id
FROM csm.interactions i;

-- Lists of recipients of one kind, and criteria that ask who is on one.
ALTER TABLE csm.recipient_lists ADD COLUMN kind text,
    ADD CONSTRAINT recipient_lists_kind_check CHECK (kind IN ('users', 'accounts', 'contacts', 'consumers'));
ALTER TABLE csm.recipients DROP CONSTRAINT recipients_one_check, DROP CONSTRAINT recipients_account_key, DROP CONSTRAINT recipients_user_key,
    ADD CONSTRAINT recipients_some_check CHECK (num_nonnulls(account_id, user_id) >= 1),
    ADD CONSTRAINT recipients_once UNIQUE NULLS NOT DISTINCT (list_id, account_id, user_id);
SELECT csm_private.signal_on('csm.recipient_lists', '{id,tenant_id,kind}', 'audience', 'tenant_id');
SELECT csm_private.signal_on('csm.recipients', '{tenant_id,list_id,account_id,user_id}', 'owned', 'account_id', 'owned', 'user_id');
COMMENT ON POLICY recipient_lists_all ON csm.recipient_lists IS 'Managers keep them: whom a major case or a publication concerns';
COMMENT ON POLICY recipients_all ON csm.recipients IS 'Managers keep them: whom a major case or a publication concerns';
CREATE OR REPLACE FUNCTION csm_private.recipient_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    SELECT l.id, l.kind INTO wrong
    FROM written w JOIN csm.recipient_lists l ON l.id = w.list_id AND l.tenant_id = w.tenant_id
    WHERE CASE l.kind
              WHEN 'accounts' THEN w.user_id IS NOT NULL
              WHEN 'users' THEN w.account_id IS NOT NULL
              WHEN 'consumers' THEN w.account_id IS NOT NULL
                   OR NOT EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = w.user_id AND c.tenant_id = w.tenant_id)
              WHEN 'contacts' THEN
                   NOT EXISTS (SELECT FROM csm.contacts k
                               WHERE k.user_id = w.user_id AND k.account_id = w.account_id AND k.tenant_id = w.tenant_id)
              ELSE num_nonnulls(w.account_id, w.user_id) <> 1 END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a recipient is not of the kind of list %', wrong.id USING ERRCODE = '23514',
            DETAIL = format('The list holds %s.', coalesce(wrong.kind, 'accounts or persons')),
            HINT = 'A contact is named by person and account, everything else by one of the two.';
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION csm_private.recipient_list_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() AND EXISTS (SELECT FROM csm.recipients r WHERE r.list_id = OLD.id AND r.tenant_id = OLD.tenant_id) THEN
        RAISE EXCEPTION 'the kind of list % cannot change', OLD.id USING ERRCODE = '23514',
            DETAIL = 'It has recipients.', HINT = 'Make another list.';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION csm.create_children(major_case_id bigint, list_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most CONSTANT integer := 100000;
    m csm.cases := csm_private.take_candidate(major_case_id, true);
    recipients bigint;
    made bigint;
BEGIN
    -- The lock of the major case lets one at a time create children for it.
    SELECT count(*) INTO recipients FROM csm.recipients r WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id;
    IF m.major_state IS DISTINCT FROM 'accepted' THEN
        RAISE EXCEPTION 'case % is not a major case', m.number USING ERRCODE = 'SM002', HINT = 'Propose and accept one first.';
    ELSIF NOT EXISTS (SELECT FROM csm.recipient_lists l WHERE l.id = create_children.list_id AND l.tenant_id = m.tenant_id) THEN
        RAISE EXCEPTION 'there is no recipient list %', coalesce(list_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Choose one of csm.recipient_lists.';
    ELSIF EXISTS (SELECT FROM csm.recipient_lists l WHERE l.id = create_children.list_id AND l.tenant_id = m.tenant_id AND l.kind = 'contacts') THEN
        RAISE EXCEPTION 'recipient list % holds contacts', list_id USING ERRCODE = '22023',
            DETAIL = 'Children are opened for accounts and persons.', HINT = 'Make a list of their accounts.';
    ELSIF recipients > most THEN
        RAISE EXCEPTION 'recipient list % is too long', list_id USING ERRCODE = '54000',
            DETAIL = format('It has %s recipients; a list has at most %s.', recipients, most), HINT = 'Split it.';
    END IF;
    WITH new_cases AS (
        INSERT INTO csm.cases (tenant_id, branch, requester_id, account_id, case_type, subject, description, priority,
                               product_id, attributes, language, channel, parent_id)
        SELECT m.tenant_id, CASE WHEN r.account_id IS NOT NULL THEN 'b2b' WHEN u.user_id IS NOT NULL THEN 'b2c' ELSE 'internal' END,
               coalesce(r.user_id, k.user_id, m.requester_id), r.account_id, m.case_type, m.subject, m.description, m.priority,
               m.product_id, m.attributes, m.language, 'internal', m.id
        FROM csm.recipients r
        LEFT JOIN csm.consumers u ON u.user_id = r.user_id AND u.tenant_id = r.tenant_id
        -- who manages the account's cases before its other contacts; where there is nobody, the major case's own requester
        LEFT JOIN LATERAL (SELECT x.user_id FROM csm.contacts x
                           WHERE x.account_id = r.account_id AND x.tenant_id = r.tenant_id AND x.login_enabled
                             AND (x.valid_during IS NULL OR x.valid_during @> statement_timestamp())
                           ORDER BY x.role NOT IN ('customer_admin', 'case_manager', 'partner_admin'), x.id LIMIT 1) k ON true
        WHERE r.list_id = create_children.list_id AND r.tenant_id = m.tenant_id
          -- NOT IN is hashed whatever the statistics say, which know nothing of children made a moment ago
          AND (r.account_id IS NULL OR r.account_id NOT IN (SELECT x.account_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.account_id IS NOT NULL))
          AND (r.user_id IS NULL OR r.user_id NOT IN (SELECT x.user_id FROM csm.case_children x
                   WHERE x.parent_id = m.id AND x.tenant_id = m.tenant_id AND x.user_id IS NOT NULL))
        ORDER BY r.id
        RETURNING id, tenant_id, account_id, requester_id
    ), linked AS (
        INSERT INTO csm.case_children (parent_id, case_id, tenant_id, account_id, user_id, created, followed)
        SELECT m.id, n.id, n.tenant_id, n.account_id, CASE WHEN n.account_id IS NULL THEN n.requester_id END, true,
               coalesce((SELECT max(x.id) FROM csm.major_changes x WHERE x.case_id = m.id), 0)
        FROM new_cases n
        RETURNING 1
    )
    SELECT count(*) INTO made FROM linked;
    IF made > 0 THEN
        PERFORM csm_private.emit(m.tenant_id, m.id, 'children_created', jsonb_build_object('created', made, 'list_id', list_id), 'internal');
    END IF;
    RETURN made;
END $$;
ALTER FUNCTION csm_private.recipient_guard() OWNER TO csm_owner;
ALTER FUNCTION csm_private.recipient_list_guard() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.recipient_guard(), csm_private.recipient_list_guard() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.recipient_guard() IS 'Trigger of csm.recipients: error 23514 for a row that is not of the kind of its list';
COMMENT ON FUNCTION csm_private.recipient_list_guard() IS 'Trigger of csm.recipient_lists: error 23514 for another kind while there are recipients';
COMMENT ON FUNCTION csm.create_children(bigint, bigint) IS 'Opens a child of the major case for each recipient of the list who has none yet; returns how many. May be run again, and by several at once. Managers of the case. Errors: SM001, 42501, SM004, SM002 no major case, 22023 no such list or one of contacts, 54000 more than 100,000 recipients';
CREATE TRIGGER recipients_10_kind AFTER INSERT ON csm.recipients
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION csm_private.recipient_guard();
CREATE TRIGGER recipients_10_kind_update AFTER UPDATE ON csm.recipients
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION csm_private.recipient_guard();
CREATE TRIGGER recipient_lists_10_kind BEFORE UPDATE OF kind ON csm.recipient_lists
    FOR EACH ROW WHEN (NEW.kind IS DISTINCT FROM OLD.kind) EXECUTE FUNCTION csm_private.recipient_list_guard();
ALTER TABLE csm.user_criteria_parts ADD COLUMN list_id bigint,
    ADD CONSTRAINT user_criteria_parts_list_fkey FOREIGN KEY (list_id, tenant_id) REFERENCES csm.recipient_lists (id, tenant_id),
    DROP CONSTRAINT user_criteria_parts_kind_check,
    ADD CONSTRAINT user_criteria_parts_kind_check CHECK (
        num_nonnulls(user_id, group_id, role, account_id, persona, product_id, location, language, list_id) = 1
        AND CASE kind WHEN 'user' THEN user_id IS NOT NULL WHEN 'group' THEN group_id IS NOT NULL
                      WHEN 'role' THEN role IS NOT NULL WHEN 'account' THEN account_id IS NOT NULL
                      WHEN 'persona' THEN persona IS NOT NULL WHEN 'product' THEN product_id IS NOT NULL
                      WHEN 'location' THEN location IS NOT NULL WHEN 'language' THEN language IS NOT NULL
                      WHEN 'list' THEN list_id IS NOT NULL ELSE false END);
DROP TRIGGER user_criteria_parts_signal ON csm.user_criteria_parts;
DROP TRIGGER user_criteria_parts_signal_update ON csm.user_criteria_parts;
DROP TRIGGER user_criteria_parts_signal_truncate ON csm.user_criteria_parts;
SELECT csm_private.signal_on('csm.user_criteria_parts',
    '{tenant_id,criteria_id,kind,user_id,group_id,role,account_id,include_descendants,persona,product_id,location,language,list_id}',
    'audience', 'tenant_id');
GRANT INSERT (list_id), UPDATE (list_id) ON csm.user_criteria_parts TO csm_admin;
CREATE OR REPLACE FUNCTION csm_private.audience_rights(tenant bigint, person bigint, about bigint, staff_side boolean, narrowed text,
    at_time timestamptz)
RETURNS TABLE (action text, granted boolean, criteria text[], via text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 6
BEGIN ATOMIC
    WITH RECURSIVE me AS (
        SELECT u.id, u.location, u.language
        FROM csm.users u JOIN csm.tenants t ON t.id = u.tenant_id
        WHERE u.id = person AND u.tenant_id = tenant AND u.enabled AND t.enabled
    ),
    k AS (
        SELECT k.id, k.account_id, k.role, narrowed IS NULL OR narrowed = 'contact:' || k.id AS counts
        FROM csm.contacts k JOIN me ON me.id = k.user_id
        WHERE k.tenant_id = tenant AND k.login_enabled AND (k.valid_during IS NULL OR k.valid_during @> at_time)
    ),
    s AS (
        SELECT a.role, staff_side AND (narrowed IS NULL OR narrowed = 'staff:' || a.role) AS counts
        FROM csm.user_roles a
        JOIN me ON me.id = a.user_id
        JOIN csm.roles r ON r.role = a.role AND r.tenant_id = a.tenant_id AND r.kind = 'staff'
        WHERE a.tenant_id = tenant AND (a.valid_during IS NULL OR a.valid_during @> at_time)
    ),
    persona AS (
        SELECT 'contact' AS persona, k.counts FROM k
      UNION ALL
        SELECT 'staff', s.counts FROM s
      UNION ALL
        SELECT 'consumer', narrowed IS NULL OR narrowed = 'consumer'
        FROM csm.consumers c JOIN me ON me.id = c.user_id WHERE c.tenant_id = tenant
      UNION ALL
        SELECT 'employee', narrowed IS NULL OR narrowed = 'employee'
        FROM csm.employees e JOIN me ON me.id = e.user_id WHERE e.tenant_id = tenant
    ),
    -- What is true of the person counts through every persona that he has, the
    -- internal requester included, who needs no row; his groups and what he
    -- owns as staff on a staff connection alone.
    self AS (
        SELECT narrowed IS NULL OR narrowed = 'employee' OR EXISTS (SELECT FROM persona p WHERE p.counts) AS counts,
               staff_side AND (narrowed IS NULL OR narrowed LIKE 'staff:%' AND EXISTS (SELECT FROM persona p WHERE p.counts))
                   AS counts_as_staff
    ),
    account_up(account_id, parent_id, counts) AS (
        SELECT a.id, a.parent_id, k.counts FROM k JOIN csm.accounts a ON a.id = k.account_id AND a.tenant_id = tenant
      UNION
        SELECT a.id, a.parent_id, up.counts
        FROM account_up up JOIN csm.accounts a ON a.id = up.parent_id AND a.tenant_id = tenant
    ),
    group_up(group_id, parent_id) AS (
        SELECT g.id, g.parent_id
        FROM csm.group_members m JOIN me ON me.id = m.user_id
        JOIN csm.groups g ON g.id = m.group_id AND g.tenant_id = m.tenant_id
        WHERE m.tenant_id = tenant
      UNION
        SELECT g.id, g.parent_id
        FROM group_up up JOIN csm.groups g ON g.id = up.parent_id AND g.tenant_id = tenant
    ),
    product_up(product_id, counts) AS (
        SELECT o.product_id, h.counts
        FROM (SELECT sp.account_id, sp.user_id, sp.product_id FROM csm.sold_products sp
              WHERE sp.tenant_id = tenant AND (sp.valid_during IS NULL OR sp.valid_during @> at_time)
            UNION ALL
              SELECT a.account_id, a.user_id, a.product_id FROM csm.assets a
              WHERE a.tenant_id = tenant AND (a.removed_at IS NULL OR a.removed_at > at_time)) o
        JOIN (SELECT k.account_id, NULL::bigint AS user_id, k.counts FROM k
            UNION ALL
              SELECT NULL, me.id, p.counts FROM me CROSS JOIN persona p WHERE p.persona = 'consumer') h
          ON h.account_id = o.account_id OR h.user_id = o.user_id
      UNION
        SELECT p.parent_id, up.counts
        FROM product_up up JOIN csm.products p ON p.id = up.product_id AND p.tenant_id = tenant
        WHERE p.parent_id IS NOT NULL
    ),
    fact AS (
        SELECT p.id AS part_id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.id = p.user_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts_as_staff
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN group_up g ON g.group_id = p.group_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, r.counts
        FROM csm.user_criteria_parts p
        JOIN (SELECT k.role, k.counts FROM k JOIN csm.roles r ON r.role = k.role AND r.tenant_id = tenant AND r.kind = 'contact'
              UNION ALL SELECT s.role, s.counts FROM s) r ON r.role = p.role
        WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, k.counts
        FROM csm.user_criteria_parts p JOIN k ON k.account_id = p.account_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, up.counts
        FROM csm.user_criteria_parts p JOIN account_up up ON up.account_id = p.account_id
        WHERE p.tenant_id = tenant AND p.include_descendants
      UNION ALL
        SELECT p.id, h.counts
        FROM csm.user_criteria_parts p JOIN persona h ON h.persona = p.persona WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, o.counts
        FROM csm.user_criteria_parts p JOIN product_up o ON o.product_id = p.product_id WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON me.location || '-' LIKE p.location || '-%' WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, self.counts
        FROM csm.user_criteria_parts p CROSS JOIN self JOIN me ON lower(me.language) || '-' LIKE lower(p.language) || '-%'
        WHERE p.tenant_id = tenant
      UNION ALL
        SELECT p.id, CASE WHEN r.account_id IS NOT NULL THEN k.counts WHEN l.kind = 'consumers' THEN h.counts ELSE self.counts END
        FROM csm.user_criteria_parts p
        JOIN csm.recipient_lists l ON l.id = p.list_id AND l.tenant_id = tenant
        JOIN csm.recipients r ON r.list_id = l.id AND r.tenant_id = tenant
        CROSS JOIN self JOIN me ON r.user_id IS NULL OR r.user_id = me.id
        LEFT JOIN k ON k.account_id = r.account_id
        LEFT JOIN persona h ON h.persona = 'consumer'
        WHERE p.tenant_id = tenant AND (r.account_id IS NULL OR k.id IS NOT NULL)
          AND (l.kind IS DISTINCT FROM 'consumers' OR h.persona IS NOT NULL)
    ),
    part AS (
        SELECT p.criteria_id, count(f.part_id) > 0 AS met, coalesce(bool_or(f.counts), false) AS counts
        FROM csm.user_criteria_parts p LEFT JOIN fact f ON f.part_id = p.id
        WHERE p.tenant_id = tenant
        GROUP BY p.id, p.criteria_id
    ),
    criterion AS (
        SELECT c.id, c.key,
               CASE c.match WHEN 'all' THEN bool_and(p.met) ELSE bool_or(p.met) END AS met,
               CASE c.match WHEN 'all' THEN bool_and(p.counts) ELSE bool_or(p.counts) END AS counts
        FROM csm.user_criteria c JOIN part p ON p.criteria_id = c.id
        WHERE c.tenant_id = tenant AND c.active
        GROUP BY c.id, c.key, c.match
    ),
    chain(n, id, within_id, staff_of) AS (
        SELECT 0, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM csm.audiences a CROSS JOIN self
        WHERE a.id = about AND a.tenant_id = tenant AND EXISTS (SELECT FROM me)
      UNION ALL
        SELECT c.n + 1, a.id, a.within_id,
               CASE WHEN self.counts_as_staff THEN CASE WHEN a.owner_id = person THEN 'owner of audience ' || a.id
                    WHEN a.group_id IN (SELECT g.group_id FROM group_up g) THEN 'group of audience ' || a.id END END
        FROM chain c JOIN csm.audiences a ON a.id = c.within_id AND a.tenant_id = tenant CROSS JOIN self
    ),
    -- what each audience of the chain says by itself
    level AS (
        SELECT c.n, c.staff_of,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies), '{}') AS ruled,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted,
               coalesce(array_agg(DISTINCT g.action) FILTER (WHERE g.denies AND r.met), '{}') AS denied,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE NOT g.denies AND r.counts), '{}') AS granted_by,
               coalesce(array_agg(g.action || ' ' || r.key) FILTER (WHERE g.denies AND r.met), '{}') AS denied_by
        FROM chain c
        LEFT JOIN csm.audience_grants g ON g.audience_id = c.id AND g.tenant_id = tenant
        LEFT JOIN criterion r ON r.id = g.criteria_id
        GROUP BY c.n, c.staff_of
    ),
    -- from the outermost to the one that was asked about
    state(n, staff, actions) AS (
        SELECT l.n, l.staff_of IS NOT NULL,
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE l.staff_of IS NOT NULL
                        OR NOT a.action = ANY (l.denied)
                           AND (a.action = ANY (l.granted) OR 'manage' = ANY (l.granted) AND NOT 'manage' = ANY (l.denied)))
        FROM level l WHERE l.n = (SELECT max(x.n) FROM level x)
      UNION ALL
        SELECT l.n, s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions),
               ARRAY(SELECT a.action FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) a(action)
                     WHERE s.staff OR l.staff_of IS NOT NULL AND 'read' = ANY (s.actions)
                        OR a.action = ANY (s.actions) AND NOT a.action = ANY (l.denied)
                           AND (NOT a.action = ANY (l.ruled) OR a.action = ANY (l.granted) OR 'manage' = ANY (s.actions)))
        FROM state s JOIN level l ON l.n = s.n - 1
    )
    SELECT a.action, coalesce(a.action = ANY (s.actions), false),
           CASE WHEN s.staff THEN '{}'
                WHEN a.action = ANY (s.actions) THEN ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.granted_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) IN (a.action, 'manage') ORDER BY 1)
                ELSE ARRAY(
                    SELECT DISTINCT split_part(b.entry, ' ', 2) FROM level l CROSS JOIN unnest(l.denied_by) b(entry)
                    WHERE split_part(b.entry, ' ', 1) = a.action ORDER BY 1) END,
           CASE WHEN s.n IS NULL THEN 'no such audience, or no such person'
                WHEN s.staff THEN (SELECT min(l.staff_of) FROM level l)
                WHEN a.action = ANY (s.actions) THEN 'granted'
                WHEN EXISTS (SELECT FROM level l WHERE a.action = ANY (l.denied)) THEN 'denied'
                ELSE 'no grant' END
    FROM unnest('{read,contribute,ask,answer,moderate,manage}'::text[]) WITH ORDINALITY a(action, n)
    LEFT JOIN state s ON s.n = 0
    ORDER BY a.n;
END;

-- Publications.
CREATE OR REPLACE FUNCTION csm_private.base_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.audience_id IS NULL THEN
            INSERT INTO csm.audiences (tenant_id, owner_id) VALUES (NEW.tenant_id, csm.current_user_id()) RETURNING id INTO NEW.audience_id;
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.audience_id) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.audience_id) THEN
        RAISE EXCEPTION 'id, tenant and audience of "%" cannot change', OLD.key USING ERRCODE = '42501',
            HINT = 'Change what the audience grants.';
    END IF;
    RETURN NEW;
END $$;
-- Publications (R B41): what is said to many at once, each of whom gets it as if
-- it were said to him alone.
--
-- A publication belongs to a series, whose audience says who writes
-- (contribute), who approves (manage), and who can be addressed at all (read).
-- Whom it addresses narrows that audience by criteria and by lists of recipients
-- (86_criteria.sql, 83_major_cases.sql); who reads it is then the answer of the
-- audience, in the portal and for the mail alike.
--
-- Which stage follows which is said once, in csm_private.publication_transitions();
-- triggers hold whoever writes to it. How it is sent stands in
-- 88_publications_send.sql.
--
-- Locks: the publication, then what belongs to it.

CREATE TABLE csm.publication_series (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    event text NOT NULL DEFAULT 'publication',
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT publication_series_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_series_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES csm.tenants (id),
    CONSTRAINT publication_series_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT publication_series_key_key UNIQUE (tenant_id, key),
    CONSTRAINT publication_series_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT publication_series_text_check CHECK (length(title) BETWEEN 1 AND 200 AND length(description) <= 10000),
    CONSTRAINT publication_series_event_check CHECK (event ~ '^[a-z][a-z_]{0,39}$')
);
CREATE INDEX publication_series_audience_idx ON csm.publication_series (audience_id);
SELECT csm_private.adopt_table('csm.publication_series');

-- What policies and lists read stands first, as in csm.cases.
CREATE TABLE csm.publications (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    series_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'author',
    published_at timestamptz,
    expires_at timestamptz,
    author_id bigint DEFAULT csm.current_user_id(),
    by_mail boolean NOT NULL DEFAULT true,
    language text NOT NULL DEFAULT 'en',
    revision integer NOT NULL DEFAULT 1,
    publish_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT publications_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publications_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT publications_series_fkey FOREIGN KEY (series_id, tenant_id) REFERENCES csm.publication_series (id, tenant_id),
    CONSTRAINT publications_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publications_state_check CHECK (state IN ('author', 'review', 'ready', 'published', 'expired', 'cancelled')),
    CONSTRAINT publications_published_check CHECK (state NOT IN ('published', 'expired') OR published_at IS NOT NULL),
    CONSTRAINT publications_publish_check CHECK (publish_at IS NULL OR state = 'ready'),
    CONSTRAINT publications_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35)
);
CREATE INDEX publications_audience_idx ON csm.publications (audience_id, published_at);
CREATE INDEX publications_newest_idx ON csm.publications (tenant_id, published_at DESC, id DESC);
CREATE INDEX publications_series_idx ON csm.publications (series_id);
CREATE INDEX publications_draft_idx ON csm.publications (author_id) WHERE state IN ('author', 'review', 'ready');
SELECT csm_private.adopt_table('csm.publications');

CREATE TABLE csm.publication_texts (
    publication_id bigint NOT NULL,
    language text NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    title text NOT NULL,
    body text NOT NULL,
    CONSTRAINT publication_texts_pkey PRIMARY KEY (publication_id, language, tenant_id),
    CONSTRAINT publication_texts_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_texts_language_check CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$' AND length(language) <= 35),
    CONSTRAINT publication_texts_text_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'
        AND length(body) BETWEEN 1 AND 100000)
);
SELECT csm_private.adopt_table('csm.publication_texts');

CREATE TABLE csm.publication_acts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    publication_id bigint NOT NULL,
    action text NOT NULL,
    actor_id bigint DEFAULT csm.current_user_id(),
    note text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT publication_acts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_acts_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_acts_actor_fkey FOREIGN KEY (actor_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publication_acts_action_check CHECK (action ~ '^[a-z]{1,40}$'),
    CONSTRAINT publication_acts_note_check CHECK (length(note) <= 10000)
);
CREATE INDEX publication_acts_publication_idx ON csm.publication_acts (publication_id, id);
CREATE INDEX publication_acts_actor_idx ON csm.publication_acts (actor_id);
SELECT csm_private.adopt_table('csm.publication_acts');

CREATE TABLE csm.case_publications (
    case_id bigint NOT NULL,
    publication_id bigint NOT NULL,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    attached_by bigint DEFAULT csm.current_user_id(),
    attached_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT case_publications_pkey PRIMARY KEY (case_id, publication_id, tenant_id),
    CONSTRAINT case_publications_case_fkey FOREIGN KEY (case_id, tenant_id) REFERENCES csm.cases (id, tenant_id),
    CONSTRAINT case_publications_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT case_publications_attached_by_fkey FOREIGN KEY (attached_by, tenant_id) REFERENCES csm.users (id, tenant_id)
);
CREATE INDEX case_publications_publication_idx ON csm.case_publications (publication_id);
SELECT csm_private.adopt_table('csm.case_publications');

-- ---- who reads ----

-- Written once: the policy, and the same of the row in hand for what belongs to
-- a publication and for functions that run as csm_owner.
DO $$
DECLARE
    arms CONSTANT text := $e$state = 'published' AND (expires_at IS NULL OR expires_at > statement_timestamp())
            AND csm.audience_allows(audience_id, 'read')
        OR author_id = csm.current_user_id() AND state IN ('author', 'review', 'ready') AND csm.audience_allows(audience_id, 'contribute')
        OR csm.audience_allows(audience_id, 'manage')$e$;
BEGIN
    EXECUTE format('CREATE POLICY publications_select ON csm.publications FOR SELECT TO csm_portal, csm_agent, csm_reporter, csm_admin USING (%s)', arms);
    EXECUTE format($f$
        CREATE FUNCTION csm_private.publication_allows(publication_id bigint, tenant_id bigint, action text) RETURNS boolean
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE COST 100
        SET search_path = pg_catalog, pg_temp
        AS $b$
        #variable_conflict use_column
        BEGIN
            RETURN EXISTS (SELECT FROM csm.publications p
                           WHERE p.id = publication_allows.publication_id AND p.tenant_id = publication_allows.tenant_id
                             AND p.tenant_id = csm.current_tenant_id()
                             AND CASE publication_allows.action WHEN 'read' THEN %s
                                      ELSE csm.audience_allows(audience_id, publication_allows.action) END);
        END $b$ $f$, arms);
END $$;
ALTER FUNCTION csm_private.publication_allows(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.publication_allows(bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.publication_allows(bigint, bigint, text) TO csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.publication_allows(bigint, bigint, text) IS
'Whether the caller reads the publication (read, as the policy says), or its audience gives him contribute or manage; false for a missing one';

CREATE POLICY publication_series_select ON csm.publication_series FOR SELECT TO csm_portal, csm_agent, csm_reporter
    USING (csm.audience_allows(audience_id, 'read') OR csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY publication_series_write ON csm.publication_series FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY publications_update ON csm.publications FOR UPDATE TO csm_agent
    USING (csm.audience_allows(audience_id, 'manage') OR author_id = csm.current_user_id() AND state = 'author' AND csm.audience_allows(audience_id, 'contribute'));
CREATE POLICY publication_texts_select ON csm.publication_texts FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (csm_private.publication_allows(publication_id, tenant_id, 'read'));
CREATE POLICY publication_acts_select ON csm.publication_acts FOR SELECT TO csm_agent
    USING (csm_private.publication_allows(publication_id, tenant_id, 'read')
       AND (actor_id = csm.current_user_id() OR csm_private.publication_allows(publication_id, tenant_id, 'contribute')));
CREATE POLICY case_publications_select ON csm.case_publications FOR SELECT TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work') AND csm_private.publication_allows(publication_id, tenant_id, 'read'));
CREATE POLICY case_publications_write ON csm.case_publications FOR ALL TO csm_agent
    USING (csm_private.case_allows(case_id, tenant_id, 'case_work') AND csm_private.publication_allows(publication_id, tenant_id, 'read')
       AND csm_private.publication_allows(publication_id, tenant_id, 'contribute'));

GRANT SELECT ON csm.publication_series TO csm_portal, csm_agent, csm_reporter, csm_admin;
GRANT INSERT (audience_id, key, title, description, event, active), UPDATE (key, title, description, event, active)
    ON csm.publication_series TO csm_admin;
GRANT SELECT ON csm.publications, csm.publication_texts TO csm_portal, csm_agent, csm_admin;
GRANT SELECT (id, tenant_id, audience_id, series_id, state, published_at, expires_at, by_mail, language, revision, publish_at, ended_at, created_at)
    ON csm.publications TO csm_reporter;
GRANT UPDATE (expires_at, by_mail) ON csm.publications TO csm_agent;
GRANT SELECT ON csm.publication_acts TO csm_agent;
GRANT SELECT, INSERT (case_id, publication_id), DELETE ON csm.case_publications TO csm_agent;

COMMENT ON TABLE csm.publication_series IS 'What is published under one heading, such as outages or news, each with its audience';
COMMENT ON COLUMN csm.publication_series.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_series.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_series.audience_id IS 'Who can be addressed (read), writes (contribute) and approves (manage); never changes. A new series without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.publication_series.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.publication_series.title IS 'Name that people read';
COMMENT ON COLUMN csm.publication_series.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.publication_series.event IS 'Event of csm.notification_preferences under which persons say whether they want it by mail';
COMMENT ON COLUMN csm.publication_series.active IS 'False: nothing new is written in it';
COMMENT ON TABLE csm.publications IS 'Publications and their stages; the words stand in csm.publication_texts. Rows are never deleted';
COMMENT ON COLUMN csm.publications.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publications.audience_id IS 'Whom it addresses: the audience of the series, or one within it (csm.address_publication())';
COMMENT ON COLUMN csm.publications.series_id IS 'The series; never changes';
COMMENT ON COLUMN csm.publications.state IS 'author (being written), review, ready (approved), published, expired, cancelled; csm_private.publication_transitions() says what follows what';
COMMENT ON COLUMN csm.publications.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.publications.expires_at IS 'From when on it is not read any more, nor mailed; csm.run_due() then lets it expire. NULL for never';
COMMENT ON COLUMN csm.publications.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.publications.by_mail IS 'Whether those it addresses get it by mail too, or read it in the portal alone';
COMMENT ON COLUMN csm.publications.language IS 'Language tag (BCP 47) of its own text, for readers in whose language there is none';
COMMENT ON COLUMN csm.publications.revision IS 'Counts the changes of its texts; csm.edit_publication() wants the one that the writer has read';
COMMENT ON COLUMN csm.publications.publish_at IS 'When csm.run_due() publishes it; NULL where nothing is planned';
COMMENT ON COLUMN csm.publications.ended_at IS 'When it expired or was cancelled; NULL before';
COMMENT ON COLUMN csm.publications.created_at IS 'When it was begun';
COMMENT ON TABLE csm.publication_texts IS 'The words of a publication, by language; they change while it is being written';
COMMENT ON COLUMN csm.publication_texts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_texts.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.publication_texts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_texts.title IS 'One line, up to 400 characters; the subject of the mail';
COMMENT ON COLUMN csm.publication_texts.body IS 'The text, up to 100,000 characters';
COMMENT ON TABLE csm.publication_acts IS 'Who did what with a publication; neither changed nor deleted';
COMMENT ON COLUMN csm.publication_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_acts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_acts.action IS 'create, edit, address, or an action of csm.publication_actions()';
COMMENT ON COLUMN csm.publication_acts.actor_id IS 'Who did it; NULL for time and the system';
COMMENT ON COLUMN csm.publication_acts.note IS 'What he said with it; NULL for nothing';
COMMENT ON COLUMN csm.publication_acts.created_at IS 'When';
COMMENT ON TABLE csm.case_publications IS 'Publications about a major case';
COMMENT ON COLUMN csm.case_publications.case_id IS 'The major case';
COMMENT ON COLUMN csm.case_publications.publication_id IS 'The publication';
COMMENT ON COLUMN csm.case_publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_publications.attached_by IS 'Who said so; NULL for the system';
COMMENT ON COLUMN csm.case_publications.attached_at IS 'When';
COMMENT ON POLICY publication_series_select ON csm.publication_series IS 'Who can be addressed, and who writes in it';
COMMENT ON POLICY publication_series_write ON csm.publication_series IS 'Administrators';
COMMENT ON POLICY publications_select ON csm.publications IS 'What is published, until it expires, for those whom it addresses; one''s own before, while one may contribute; all for who manages the audience';
COMMENT ON POLICY publications_update ON csm.publications IS 'Who manages the audience, and the author while it is being written';
COMMENT ON POLICY publication_texts_select ON csm.publication_texts IS 'Who reads the publication';
COMMENT ON POLICY publication_acts_select ON csm.publication_acts IS 'Who writes or approves in the series, of publications that he reads';
COMMENT ON POLICY case_publications_select ON csm.case_publications IS 'Staff who work on the case and read the publication';
COMMENT ON POLICY case_publications_write ON csm.case_publications IS 'The same, where they write or approve in the series';

-- ---- stages ----

-- actors: author (began it and may contribute), manager (manages the audience),
-- reviewer (a manager who has written nothing of it).
CREATE OR REPLACE FUNCTION csm_private.publication_transitions()
RETURNS TABLE (action text, from_state text, to_state text, actors text[], note_required boolean, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
BEGIN ATOMIC
    VALUES ('submit', 'author', 'review', '{author,manager}'::text[], false, 'Submit for review'),
           ('withdraw', 'review', 'author', '{author}'::text[], false, 'Withdraw'),
           ('reject', 'review', 'author', '{manager}'::text[], true, 'Reject'),
           ('approve', 'review', 'ready', '{reviewer}'::text[], false, 'Approve'),
           ('revise', 'ready', 'author', '{author,manager}'::text[], false, 'Revise'),
           ('publish', 'ready', 'published', '{author,manager}'::text[], false, 'Publish'),
           ('expire', 'published', 'expired', '{manager}'::text[], false, 'Let expire'),
           ('cancel', 'author', 'cancelled', '{author,manager}'::text[], false, 'Cancel'),
           ('cancel', 'review', 'cancelled', '{manager}'::text[], true, 'Cancel'),
           ('cancel', 'ready', 'cancelled', '{manager}'::text[], true, 'Cancel'),
           ('cancel', 'published', 'cancelled', '{manager}'::text[], true, 'Cancel');
END;

CREATE OR REPLACE FUNCTION csm_private.publication_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.audience_id := coalesce(NEW.audience_id, (SELECT s.audience_id FROM csm.publication_series s
                                                      WHERE s.id = NEW.series_id AND s.tenant_id = NEW.tenant_id));
        IF NEW.state <> 'author' AND NOT csm_private.importing() THEN
            RAISE EXCEPTION 'a new publication is being written' USING ERRCODE = 'SM002',
                DETAIL = format('Its state was given as "%s".', NEW.state), HINT = 'Publish it by csm.act_on_publication().';
        END IF;
    ELSIF (NEW.id, NEW.tenant_id, NEW.series_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.series_id, OLD.created_at) THEN
        RAISE EXCEPTION 'id, tenant and series of publication % cannot change', OLD.id USING ERRCODE = '42501', HINT = 'Write another one.';
    ELSIF NEW.state <> OLD.state AND NOT EXISTS (SELECT FROM csm_private.publication_transitions() t
                                                 WHERE t.from_state = OLD.state AND t.to_state = NEW.state) THEN
        RAISE EXCEPTION 'publication % cannot become %', OLD.id, NEW.state USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'csm.publication_actions() lists what can be done.';
    ELSIF (NEW.audience_id, NEW.by_mail, NEW.language, NEW.revision)
          IS DISTINCT FROM (OLD.audience_id, OLD.by_mail, OLD.language, OLD.revision) AND OLD.state <> 'author'
       OR NEW.expires_at IS DISTINCT FROM OLD.expires_at AND OLD.state IN ('expired', 'cancelled') THEN
        RAISE EXCEPTION 'publication % cannot change', OLD.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'Only its end changes after it was submitted; withdraw or revise it first.';
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.audience_id <> OLD.audience_id)
       AND NOT EXISTS (SELECT FROM csm.audiences u JOIN csm.publication_series s ON s.id = NEW.series_id AND s.tenant_id = NEW.tenant_id
                       WHERE u.id = NEW.audience_id AND u.tenant_id = NEW.tenant_id AND s.audience_id IN (u.id, u.within_id)) THEN
        RAISE EXCEPTION 'audience of publication % is not within that of its series', NEW.id USING ERRCODE = '23514',
            HINT = 'Give that of the series, or one whose within_id is that of the series.';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.state <> OLD.state THEN
        IF NEW.state = 'published' THEN
            NEW.published_at := clock_timestamp();
        END IF;
        NEW.ended_at := CASE WHEN NEW.state IN ('expired', 'cancelled') THEN clock_timestamp() END;
    END IF;
    IF NEW.state <> 'ready' THEN
        NEW.publish_at := NULL;
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.expires_at IS DISTINCT FROM OLD.expires_at OR NEW.state = 'published' AND OLD.state <> 'published'
        OR NEW.publish_at IS DISTINCT FROM OLD.publish_at)
       AND NEW.expires_at <= greatest(NEW.publish_at, clock_timestamp()) AND NOT csm_private.importing() THEN
        RAISE EXCEPTION 'publication % would not be read by anybody', NEW.id USING ERRCODE = '22023',
            DETAIL = format('It expires at %s.', NEW.expires_at), HINT = 'Change or clear expires_at first.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER publications_10_guard BEFORE INSERT OR UPDATE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_guard();
CREATE TRIGGER publications_10_append_only BEFORE DELETE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER publications_10_append_only_truncate BEFORE TRUNCATE ON csm.publications
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER publication_series_10_guard BEFORE INSERT OR UPDATE ON csm.publication_series
    FOR EACH ROW EXECUTE FUNCTION csm_private.base_guard();

-- Timers, and the major cases that it is about.
CREATE OR REPLACE FUNCTION csm_private.publication_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.publish_at IS DISTINCT FROM OLD.publish_at THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_publish', NEW.id, NULL, NEW.publish_at);
    END IF;
    IF NEW.state = 'published' AND (OLD.state <> 'published' OR NEW.expires_at IS DISTINCT FROM OLD.expires_at) THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_expiry', NEW.id, NULL, NEW.expires_at);
    END IF;
    IF NEW.state = 'published' AND OLD.state <> 'published' THEN
        IF NEW.by_mail THEN
            PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_address', NEW.id, NULL, clock_timestamp());
        END IF;
        PERFORM csm_private.emit(a.tenant_id, a.case_id, 'publication_published', jsonb_build_object('publication_id', NEW.id), 'internal')
        FROM csm.case_publications a WHERE a.publication_id = NEW.id AND a.tenant_id = NEW.tenant_id;
    ELSIF OLD.state = 'published' AND NEW.state <> 'published' THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'publication_expiry', NEW.id, NULL, NULL),
                csm_private.set_timer(NEW.tenant_id, 'publication_address', NEW.id, NULL, NULL),
                csm_private.set_timer(NEW.tenant_id, 'publication_clear', NEW.id, NULL, clock_timestamp());
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER publications_20_follow AFTER UPDATE ON csm.publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_follow();

-- Locks the publication, so that nothing is written that was not reviewed.
CREATE OR REPLACE FUNCTION csm_private.publication_text_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.publication_texts;
BEGIN
    t := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN t;
    ELSIF TG_OP = 'UPDATE' AND (NEW.publication_id, NEW.tenant_id) IS DISTINCT FROM (OLD.publication_id, OLD.tenant_id) THEN
        RAISE EXCEPTION 'a text stays with publication %', OLD.publication_id USING ERRCODE = '42501', HINT = 'Write another one.';
    END IF;
    UPDATE csm.publications p SET revision = p.revision + 1
    WHERE p.id = t.publication_id AND p.tenant_id = t.tenant_id AND p.state = 'author';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the text of publication % cannot change', t.publication_id USING ERRCODE = 'SM002',
            DETAIL = 'It is not being written.', HINT = 'Withdraw, reject or revise it first.';
    END IF;
    RETURN t;
END $$;
CREATE TRIGGER publication_texts_10_guard BEFORE INSERT OR UPDATE OR DELETE ON csm.publication_texts
    FOR EACH ROW EXECUTE FUNCTION csm_private.publication_text_guard();
CREATE TRIGGER publication_acts_10_append_only BEFORE UPDATE OR DELETE ON csm.publication_acts
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('note');
CREATE TRIGGER publication_acts_10_append_only_truncate BEFORE TRUNCATE ON csm.publication_acts
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

-- After the policy has judged: a hidden case is refused there.
CREATE OR REPLACE FUNCTION csm_private.case_publication_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring()
       AND NOT EXISTS (SELECT FROM csm.cases c WHERE c.id = NEW.case_id AND c.tenant_id = NEW.tenant_id AND c.major_state = 'accepted') THEN
        RAISE EXCEPTION 'case % is not a major case', NEW.case_id USING ERRCODE = '22023', HINT = 'Propose and accept one first.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER case_publications_20_guard AFTER INSERT OR UPDATE ON csm.case_publications
    FOR EACH ROW EXECUTE FUNCTION csm_private.case_publication_guard();

-- ---- who may do what ----

CREATE OR REPLACE FUNCTION csm_private.publication_actors(p csm.publications) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    manages boolean;
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN '{author,manager,reviewer}'::text[];
    END IF;
    manages := csm.audience_allows(p.audience_id, 'manage');
    RETURN array_remove(ARRAY[
        CASE WHEN p.author_id = me AND csm.audience_allows(p.audience_id, 'contribute') THEN 'author' END,
        CASE WHEN manages THEN 'manager' END,
        CASE WHEN manages AND p.author_id IS DISTINCT FROM me
                  AND NOT EXISTS (SELECT FROM csm.publication_acts a
                                  WHERE a.publication_id = p.id AND a.tenant_id = p.tenant_id AND a.actor_id = me
                                    AND a.action IN ('create', 'edit', 'address')) THEN 'reviewer' END], NULL);
END $$;

CREATE OR REPLACE FUNCTION csm_private.known_publication(publication_id bigint) RETURNS csm.publications
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications;
BEGIN
    SELECT * INTO p FROM csm.publications x WHERE x.id = publication_id;
    IF p.id IS NULL OR NOT (csm_private.acts_as_system() OR coalesce(csm_private.publication_allows(p.id, p.tenant_id, 'read'), false)) THEN
        RAISE EXCEPTION 'publication % does not exist', coalesce(publication_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'A publication that you may not see is reported in the same way.';
    END IF;
    RETURN p;
END $$;

-- The publication, locked, for who may write on it now.
CREATE OR REPLACE FUNCTION csm_private.publication_to_write(publication_id bigint) RETURNS csm.publications
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p csm.publications := csm_private.known_publication(publication_id);
BEGIN
    IF NOT csm_private.publication_actors(p) && '{author,manager}'::text[] THEN
        RAISE EXCEPTION 'to write on publication % is not permitted', p.id USING ERRCODE = '42501',
            HINT = 'Who began it does, and who manages the audience of the series.';
    END IF;
    SELECT * INTO p FROM csm.publications x WHERE x.id = p.id AND x.tenant_id = p.tenant_id FOR NO KEY UPDATE;
    IF p.state <> 'author' THEN
        RAISE EXCEPTION 'publication % is not being written', p.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', p.state), HINT = 'Withdraw, reject or revise it first.';
    END IF;
    RETURN p;
END $$;

CREATE OR REPLACE FUNCTION csm_private.note_publication(p csm.publications, action text, note text DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO csm.publication_acts (tenant_id, publication_id, action, note)
    VALUES (p.tenant_id, p.id, note_publication.action, note_publication.note)
$$;

CREATE OR REPLACE FUNCTION csm.create_publication(series text, title text, body text, language text DEFAULT 'en', by_mail boolean DEFAULT true,
    expires_at timestamptz DEFAULT NULL) RETURNS csm.publications
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s csm.publication_series;
    p csm.publications;
BEGIN
    SELECT * INTO s FROM csm.publication_series x WHERE x.key = create_publication.series AND x.tenant_id = csm.current_tenant_id();
    IF NOT coalesce(csm.audience_allows(s.audience_id, 'contribute'), false) THEN
        RAISE EXCEPTION 'there is no series "%" in which you may write', coalesce(series, 'NULL') USING ERRCODE = '42501',
            HINT = 'csm.publication_series lists those that you see; contribute in the audience of one lets you write.';
    ELSIF NOT s.active THEN
        RAISE EXCEPTION 'series "%" is closed', s.key USING ERRCODE = '55000', HINT = 'An administrator can make it active.';
    END IF;
    INSERT INTO csm.publications (tenant_id, series_id, language, by_mail, expires_at)
    VALUES (s.tenant_id, s.id, create_publication.language, create_publication.by_mail, create_publication.expires_at) RETURNING * INTO p;
    INSERT INTO csm.publication_texts (tenant_id, publication_id, language, title, body)
    VALUES (p.tenant_id, p.id, p.language, create_publication.title, create_publication.body);
    PERFORM csm_private.note_publication(p, 'create');
    RETURN csm_private.known_publication(p.id);
END $$;

CREATE OR REPLACE FUNCTION csm.edit_publication(publication_id bigint, revision integer, title text, body text, language text DEFAULT NULL)
RETURNS csm.publications
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications := csm_private.publication_to_write(publication_id);
    tongue CONSTANT text := coalesce(language, p.language);
BEGIN
    IF revision IS NULL THEN
        RAISE EXCEPTION 'revision of csm.edit_publication() is null' USING ERRCODE = '22004', HINT = 'Give the one that you have read.';
    ELSIF revision <> p.revision THEN
        RAISE EXCEPTION 'publication % has changed since it was read', p.id USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', p.revision, revision), HINT = 'Read it again and repeat the change.';
    ELSIF title IS NULL AND body IS NULL THEN
        IF lower(tongue) = lower(p.language) THEN
            RAISE EXCEPTION 'publication % keeps its own text', p.id USING ERRCODE = '22004', HINT = 'Give title or body; only translations are taken away.';
        END IF;
        DELETE FROM csm.publication_texts t WHERE t.publication_id = p.id AND t.tenant_id = p.tenant_id AND lower(t.language) = lower(tongue);
    ELSE
        UPDATE csm.publication_texts t SET title = coalesce(title, t.title), body = coalesce(body, t.body)
        WHERE t.publication_id = p.id AND t.tenant_id = p.tenant_id AND lower(t.language) = lower(tongue);
        IF NOT FOUND THEN
            INSERT INTO csm.publication_texts (tenant_id, publication_id, language, title, body) VALUES (p.tenant_id, p.id, tongue, title, body);
        END IF;
    END IF;
    PERFORM csm_private.note_publication(p, 'edit');
    RETURN csm_private.known_publication(p.id);
END $$;

-- The criteria that stand for a list, made where there are none.
CREATE OR REPLACE FUNCTION csm_private.list_criteria(list_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    l csm.recipient_lists;
    made bigint;
    word text;
BEGIN
    SELECT * INTO l FROM csm.recipient_lists x WHERE x.id = list_criteria.list_id
       AND (csm_private.acts_as_system()
            OR x.tenant_id = csm.current_tenant_id() AND csm.all_in(x.tenant_id, 'internal', 'account_manage'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no recipient list %', coalesce(list_id::text, 'NULL') USING ERRCODE = '22023',
            HINT = 'Choose one of csm.recipient_lists that you see.';
    END IF;
    INSERT INTO csm.user_criteria (tenant_id, key, label) VALUES (l.tenant_id, 'list-' || l.id, l.name)
    ON CONFLICT ON CONSTRAINT user_criteria_key_key DO NOTHING RETURNING id INTO made;
    IF made IS NOT NULL THEN
        INSERT INTO csm.user_criteria_parts (tenant_id, criteria_id, kind, list_id) VALUES (l.tenant_id, made, 'list', l.id);
    END IF;
    SELECT c.key INTO word FROM csm.user_criteria c
    WHERE c.tenant_id = l.tenant_id AND c.key = 'list-' || l.id AND c.active
      AND (SELECT bool_and(p.list_id IS NOT DISTINCT FROM l.id) FROM csm.user_criteria_parts p WHERE p.criteria_id = c.id AND p.tenant_id = c.tenant_id);
    IF word IS NULL THEN
        RAISE EXCEPTION 'criteria "list-%" do not stand for that list', l.id USING ERRCODE = '22023',
            HINT = 'An administrator has changed them; let him name other criteria.';
    END IF;
    RETURN word;
END $$;

CREATE OR REPLACE FUNCTION csm.address_publication(publication_id bigint, criteria text[] DEFAULT '{}', lists bigint[] DEFAULT '{}',
    but_not text[] DEFAULT '{}') RETURNS csm.publications
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications := csm_private.publication_to_write(publication_id);
    keys CONSTANT text[] := coalesce(criteria, '{}') || ARRAY(SELECT csm_private.list_criteria(l) FROM unnest(lists) l);
    grants jsonb;
BEGIN
    SELECT coalesce(jsonb_agg(jsonb_build_object('criteria', g.key, 'action', 'read', 'denies', g.denies)), '[]') INTO grants
    FROM (SELECT unnest(keys) AS key, false AS denies UNION SELECT unnest(but_not), true) g;
    UPDATE csm.publications x
    SET audience_id = (SELECT csm_private.audience_within(s.audience_id, grants) FROM csm.publication_series s
                       WHERE s.id = x.series_id AND s.tenant_id = x.tenant_id)
    WHERE x.id = p.id AND x.tenant_id = p.tenant_id;
    PERFORM csm_private.note_publication(p, 'address');
    RETURN csm_private.known_publication(p.id);
END $$;

CREATE OR REPLACE FUNCTION csm.publication_actions(publication_id bigint)
RETURNS TABLE (action text, label text, from_state text, to_state text, note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 4
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p CONSTANT csm.publications := csm_private.known_publication(publication_actions.publication_id);
BEGIN
    RETURN QUERY
        SELECT t.action, t.label, t.from_state, t.to_state, t.note_required FROM csm_private.publication_transitions() t
        WHERE t.from_state = p.state AND t.actors && csm_private.publication_actors(p) ORDER BY t.action;
END $$;

CREATE OR REPLACE FUNCTION csm.act_on_publication(publication_id bigint, action text, note text DEFAULT NULL, at timestamptz DEFAULT NULL,
    revision integer DEFAULT NULL) RETURNS csm.publications
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications := csm_private.known_publication(publication_id);
    t record;
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.publication_transitions() x WHERE x.action = action) THEN
        RAISE EXCEPTION 'action "%" is unknown', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'csm.publication_actions() lists what can be done.';
    ELSIF at IS NOT NULL AND action <> 'publish' THEN
        RAISE EXCEPTION 'only publishing can be planned' USING ERRCODE = '22023', HINT = 'Leave at out.';
    END IF;
    SELECT * INTO p FROM csm.publications x WHERE x.id = p.id AND x.tenant_id = p.tenant_id FOR NO KEY UPDATE;
    SELECT * INTO t FROM csm_private.publication_transitions() x WHERE x.action = action AND x.from_state = p.state;
    -- permission before state: D 6
    IF NOT EXISTS (SELECT FROM csm_private.publication_transitions() x
                   WHERE x.action = action AND (t.action IS NULL OR x.from_state = t.from_state)
                     AND x.actors && csm_private.publication_actors(p)) THEN
        RAISE EXCEPTION 'to % publication % is not permitted', action, p.id USING ERRCODE = '42501',
            HINT = CASE WHEN action = 'approve' THEN 'A second person, who manages the audience, approves what was written.'
                        ELSE 'csm.publication_actions() lists what you can do.' END;
    ELSIF t.action IS NULL THEN
        RAISE EXCEPTION 'to % publication % is not possible now', action, p.id USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', p.state), HINT = 'csm.publication_actions() lists what you can do.';
    ELSIF t.note_required AND coalesce(note, '') ~ '^[[:space:]]*$' THEN
        RAISE EXCEPTION 'to % publication % needs a note', action, p.id USING ERRCODE = 'SM003', HINT = 'Say why.';
    ELSIF revision <> p.revision THEN
        RAISE EXCEPTION 'publication % has changed since it was read', p.id USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', p.revision, revision), HINT = 'Read it again.';
    END IF;
    IF action = 'publish' AND at > clock_timestamp() THEN
        UPDATE csm.publications x SET publish_at = at WHERE x.id = p.id AND x.tenant_id = p.tenant_id RETURNING * INTO p;
        PERFORM csm_private.note_publication(p, 'plan', note);
    ELSE
        IF action = 'publish' THEN
            PERFORM csm_private.check_reach(p);
        END IF;
        UPDATE csm.publications x SET state = t.to_state WHERE x.id = p.id AND x.tenant_id = p.tenant_id RETURNING * INTO p;
        PERFORM csm_private.note_publication(p, action, note);
    END IF;
    RETURN p;
END $$;

-- ---- reading ----

-- Run under the policies of the caller.
CREATE OR REPLACE FUNCTION csm_private.publication_text(p csm.publications, language text) RETURNS csm.publication_texts
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t FROM csm.publication_texts t CROSS JOIN (SELECT lower(publication_text.language) AS wanted) w
    WHERE t.publication_id = (p).id AND t.tenant_id = (p).tenant_id
    ORDER BY lower(t.language) = w.wanted DESC NULLS LAST,
             split_part(lower(t.language), '-', 1) = split_part(w.wanted, '-', 1) DESC NULLS LAST,
             lower(t.language) = lower((p).language) DESC, t.language
    LIMIT 1;
END;

CREATE OR REPLACE FUNCTION csm.my_publications("limit" integer DEFAULT 50, before timestamptz DEFAULT NULL)
RETURNS TABLE (publication_id bigint, series text, published_at timestamptz, expires_at timestamptz, language text, title text, body text)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT (q.p).id, s.key, (q.p).published_at, (q.p).expires_at, (t.words).language, (t.words).title, (t.words).body
    FROM (SELECT x AS p FROM csm.publications x
          WHERE x.state = 'published' AND (x.expires_at IS NULL OR x.expires_at > statement_timestamp())
            AND csm.audience_allows(x.audience_id, 'read') AND (before IS NULL OR x.published_at < before)
          ORDER BY x.published_at DESC, x.id DESC LIMIT least(greatest("limit", 0), 1000)) q
    LEFT JOIN csm.publication_series s ON s.id = (q.p).series_id AND s.tenant_id = (q.p).tenant_id
    CROSS JOIN LATERAL (SELECT csm_private.publication_text(q.p, csm_private.reader_language()) AS words) t
    ORDER BY (q.p).published_at DESC, (q.p).id DESC;
END;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.publication_transitions()', NULL, 'Which stage of a publication follows which, by which action, who may take it, and whether a note is required; constant'),
        ('csm_private.publication_guard()', NULL, 'Trigger of csm.publications: only steps of csm_private.publication_transitions() (SM002); what was submitted changes its end alone (SM002); an end that has passed is refused (22023); stamps times'),
        ('csm_private.publication_follow()', NULL, 'Trigger of csm.publications: timers follow the row; an internal event publication_published on the major cases it is about'),
        ('csm_private.publication_text_guard()', NULL, 'Trigger of csm.publication_texts: words change while the publication is being written (SM002), and are counted in its revision'),
        ('csm_private.case_publication_guard()', NULL, 'Trigger of csm.case_publications: error 22023 for a case that is not a major case'),
        ('csm_private.publication_actors(csm.publications)', NULL, 'What the caller is to a publication: author, manager, reviewer; the system is all'),
        ('csm_private.known_publication(bigint)', NULL, 'The publication, where the caller reads it; error 42501 otherwise, hidden and missing alike'),
        ('csm_private.publication_to_write(bigint)', NULL, 'The publication, locked, for its author and who manages its audience, while it is being written; errors 42501, SM002'),
        ('csm_private.note_publication(csm.publications, text, text)', NULL, 'Writes csm.publication_acts'),
        ('csm_private.list_criteria(bigint)', NULL, 'Key of the criteria that stand for a list of recipients, made where there are none; error 22023 for a list that the caller does not see'),
        ('csm.create_publication(text, text, text, text, boolean, timestamptz)', 'csm_agent', 'Begins a publication in the series of that key and returns it: who may contribute there. It addresses everybody whom the series lets read, until csm.address_publication(). Errors: 42501 no such series, or not permitted, 55000 series closed, 22023 it would have expired, 23502 and 23514 title or body missing, blank or too long, or no language tag'),
        ('csm.edit_publication(bigint, integer, text, text, text)', 'csm_agent', 'Changes the words in a language (default: its own), or adds those of another; NULL stays as it is, both NULL take a translation away. The author, and who manages the audience, while it is being written. Errors: 42501 hidden, missing or not permitted, SM002 not being written, 40001 somebody changed it meanwhile, 22004 revision missing, or the own text taken away, 23502 and 23514 as in csm.create_publication()'),
        ('csm.address_publication(bigint, text[], bigint[], text[])', 'csm_agent', 'Says whom a publication addresses, of those whom its series lets read: who satisfies one of the criteria (keys) or is on one of the lists (ids), but not who satisfies but_not; nothing given: all. A list takes account_manage. Who writes on it. Errors: 42501 hidden, missing or not permitted, SM002 not being written, 22023 no such criteria or list'),
        ('csm.publication_actions(bigint)', 'csm_agent', 'What the caller can do with a publication now, by csm.act_on_publication(). Error 42501 hidden or missing'),
        ('csm.act_on_publication(bigint, text, text, timestamptz, integer)', 'csm_agent', 'Takes an action: submit, withdraw, reject (note required), approve, revise, publish (from at on, where that is later than now), expire, cancel (note required but for what is being written); returns the publication. Who wrote anything of it, or said whom it addresses, does not approve it. With revision only if that is still its. Errors: 42501 hidden, missing or not permitted, SM002 not possible from this stage, SM003 note missing, 40001 changed since it was read, 22023 unknown action, at with another action, or it would have expired, 54000 it addresses more than 100,000 persons'),
        ('csm_private.publication_text(csm.publications, text)', 'csm_portal, csm_agent, csm_admin', 'The words of a publication in a language: the tag, its base, else the publication''s own. Under the policies of the caller'),
        ('csm.my_publications(integer, timestamptz)', 'csm_portal, csm_agent', 'Publications that address the caller now, the newest first, at most limit (up to 1,000) published before then, in his language. Under his policies')
    ) AS v(name, granted, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
        IF f.granted IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.name, f.granted);
        END IF;
    END LOOP;
END $$;
-- Publications on their way: whom one addresses, and a mail for each of them.
--
-- When a publication is published, csm.run_due() writes down whom it addresses,
-- once each, in batches; each batch has a timer of its own, so that several
-- runners share the work and a crash loses none of it. A batch asks for each
-- person, as he (csm_private.as_person()), whether he reads the publication, and
-- puts it into the outbox for him alone, in his language. Who does not read it,
-- has no address or does not want it gets nothing.

CREATE TABLE csm.publication_recipients (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    publication_id bigint NOT NULL,
    user_id bigint NOT NULL,
    batch bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    settled_at timestamptz,
    CONSTRAINT publication_recipients_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT publication_recipients_publication_fkey FOREIGN KEY (publication_id, tenant_id) REFERENCES csm.publications (id, tenant_id),
    CONSTRAINT publication_recipients_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT publication_recipients_once UNIQUE (publication_id, user_id),
    CONSTRAINT publication_recipients_state_check CHECK (state IN ('waiting', 'mailed', 'withheld', 'failed')
        AND (state = 'waiting') = (settled_at IS NULL))
);
CREATE INDEX publication_recipients_batch_idx ON csm.publication_recipients (batch) WHERE state = 'waiting';
CREATE INDEX publication_recipients_user_idx ON csm.publication_recipients (user_id);
SELECT csm_private.adopt_table('csm.publication_recipients');
CREATE POLICY publication_recipients_select ON csm.publication_recipients FOR SELECT TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id() AND csm_private.publication_allows(publication_id, tenant_id, 'read')
        OR csm_private.publication_allows(publication_id, tenant_id, 'manage'));
GRANT SELECT ON csm.publication_recipients TO csm_portal, csm_agent;

COMMENT ON TABLE csm.publication_recipients IS 'Persons whom a publication addressed when it was published by mail, once each, and what became of it. Written by csm.run_due(), deleted 90 days after the publication ended';
COMMENT ON COLUMN csm.publication_recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_recipients.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_recipients.user_id IS 'The person';
COMMENT ON COLUMN csm.publication_recipients.batch IS 'With which others he is looked at: object of a timer of kind publication_mail';
COMMENT ON COLUMN csm.publication_recipients.state IS 'waiting; mailed: his message was put into csm.outbox; withheld: he does not read it, has no address, does not want it, or it ended before; failed: it could not be put together';
COMMENT ON COLUMN csm.publication_recipients.settled_at IS 'When that was; NULL while he waits';
COMMENT ON POLICY publication_recipients_select ON csm.publication_recipients IS 'One''s own, of what one reads; all for who manages the audience';

-- ---- whom it addresses ----

-- The same rules as csm_private.audience_rights(), asked from the criteria to the
-- persons. What comes out is asked again of each person himself, so a person too
-- many does no harm; the test compares both.
CREATE OR REPLACE FUNCTION csm_private.audience_people(audience_id bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE chain(n, id, within_id, tenant_id) AS (
        SELECT 0, a.id, a.within_id, a.tenant_id FROM csm.audiences a WHERE a.id = audience_people.audience_id
      UNION ALL
        SELECT c.n + 1, a.id, a.within_id, a.tenant_id FROM chain c JOIN csm.audiences a ON a.id = c.within_id AND a.tenant_id = c.tenant_id
    ),
    -- the innermost that says who reads
    criterion AS (
        SELECT c.id, c.tenant_id, c.match, (SELECT count(*) FROM csm.user_criteria_parts p WHERE p.criteria_id = c.id AND p.tenant_id = c.tenant_id) AS parts
        FROM csm.audience_grants g JOIN csm.user_criteria c ON c.id = g.criteria_id AND c.tenant_id = g.tenant_id
        WHERE c.active AND g.action = 'read' AND NOT g.denies
          AND g.audience_id = (SELECT h.id FROM chain h
                               WHERE EXISTS (SELECT FROM csm.audience_grants x WHERE x.audience_id = h.id AND x.tenant_id = h.tenant_id
                                                                                 AND x.action = 'read' AND NOT x.denies)
                               ORDER BY h.n LIMIT 1)
    ),
    part AS MATERIALIZED (
        SELECT p.* FROM csm.user_criteria_parts p JOIN criterion c ON c.id = p.criteria_id AND c.tenant_id = p.tenant_id
    ),
    contact AS (
        SELECT k.user_id, k.account_id, k.role, k.tenant_id FROM csm.contacts k
        WHERE k.login_enabled AND csm_private.is_valid(k.valid_during, statement_timestamp())
    ),
    groups_below(part_id, tenant_id, group_id) AS (
        SELECT p.id, p.tenant_id, p.group_id FROM part p WHERE p.group_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, g.id FROM groups_below b JOIN csm.groups g ON g.parent_id = b.group_id AND g.tenant_id = b.tenant_id
    ),
    products_below(part_id, tenant_id, product_id) AS (
        SELECT p.id, p.tenant_id, p.product_id FROM part p WHERE p.product_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, d.id FROM products_below b JOIN csm.products d ON d.parent_id = b.product_id AND d.tenant_id = b.tenant_id
    ),
    accounts_below(part_id, tenant_id, account_id) AS (
        SELECT p.id, p.tenant_id, p.account_id FROM part p WHERE p.account_id IS NOT NULL
      UNION
        SELECT b.part_id, b.tenant_id, a.id
        FROM accounts_below b JOIN part p ON p.id = b.part_id AND p.include_descendants
        JOIN csm.accounts a ON a.parent_id = b.account_id AND a.tenant_id = b.tenant_id
    ),
    owned AS (
        SELECT b.part_id, b.tenant_id, o.account_id, o.user_id
        FROM products_below b CROSS JOIN LATERAL (
            SELECT s.account_id, s.user_id FROM csm.sold_products s
            WHERE s.product_id = b.product_id AND s.tenant_id = b.tenant_id AND csm_private.is_valid(s.valid_during, statement_timestamp())
          UNION ALL
            SELECT a.account_id, a.user_id FROM csm.assets a
            WHERE a.product_id = b.product_id AND a.tenant_id = b.tenant_id AND (a.removed_at IS NULL OR a.removed_at > statement_timestamp())) o
    ),
    fact(part_id, user_id) AS (
        SELECT p.id, p.user_id FROM part p WHERE p.user_id IS NOT NULL
      UNION ALL
        SELECT b.part_id, m.user_id FROM groups_below b JOIN csm.group_members m ON m.group_id = b.group_id AND m.tenant_id = b.tenant_id
      UNION ALL
        SELECT p.id, k.user_id
        FROM part p JOIN csm.roles o ON o.role = p.role AND o.tenant_id = p.tenant_id AND o.kind = 'contact'
        JOIN contact k ON k.role = o.role AND k.tenant_id = o.tenant_id
      UNION ALL
        SELECT p.id, r.user_id
        FROM part p JOIN csm.roles o ON o.role = p.role AND o.tenant_id = p.tenant_id AND o.kind = 'staff'
        JOIN csm.user_roles r ON r.role = o.role AND r.tenant_id = o.tenant_id
        WHERE csm_private.is_valid(r.valid_during, statement_timestamp())
      UNION ALL
        SELECT b.part_id, k.user_id FROM accounts_below b JOIN contact k ON k.account_id = b.account_id AND k.tenant_id = b.tenant_id
      UNION ALL
        SELECT p.id, h.user_id
        FROM part p CROSS JOIN LATERAL (
            SELECT c.user_id FROM csm.consumers c WHERE p.persona = 'consumer' AND c.tenant_id = p.tenant_id
          UNION ALL
            SELECT e.user_id FROM csm.employees e WHERE p.persona = 'employee' AND e.tenant_id = p.tenant_id
          UNION ALL
            SELECT k.user_id FROM contact k WHERE p.persona = 'contact' AND k.tenant_id = p.tenant_id
          UNION ALL
            SELECT r.user_id FROM csm.user_roles r JOIN csm.roles o ON o.role = r.role AND o.tenant_id = r.tenant_id AND o.kind = 'staff'
            WHERE p.persona = 'staff' AND r.tenant_id = p.tenant_id AND csm_private.is_valid(r.valid_during, statement_timestamp())) h
      UNION ALL
        SELECT o.part_id, k.user_id FROM owned o JOIN contact k ON k.account_id = o.account_id AND k.tenant_id = o.tenant_id
      UNION ALL
        SELECT o.part_id, c.user_id FROM owned o JOIN csm.consumers c ON c.user_id = o.user_id AND c.tenant_id = o.tenant_id
      UNION ALL
        SELECT p.id, u.id FROM part p JOIN csm.users u ON u.tenant_id = p.tenant_id AND u.location || '-' LIKE p.location || '-%'
      UNION ALL
        SELECT p.id, u.id FROM part p JOIN csm.users u ON u.tenant_id = p.tenant_id AND lower(u.language) || '-' LIKE lower(p.language) || '-%'
      UNION ALL
        SELECT p.id, coalesce(r.user_id, k.user_id)
        FROM part p
        JOIN csm.recipient_lists l ON l.id = p.list_id AND l.tenant_id = p.tenant_id
        JOIN csm.recipients r ON r.list_id = l.id AND r.tenant_id = l.tenant_id
        LEFT JOIN contact k ON k.account_id = r.account_id AND k.tenant_id = r.tenant_id AND (r.user_id IS NULL OR k.user_id = r.user_id)
        WHERE (r.account_id IS NULL OR k.user_id IS NOT NULL)
          AND (l.kind IS DISTINCT FROM 'consumers' OR EXISTS (SELECT FROM csm.consumers c WHERE c.user_id = r.user_id AND c.tenant_id = r.tenant_id))
    ),
    met AS (
        SELECT p.criteria_id, f.user_id, count(DISTINCT p.id) AS parts FROM fact f JOIN part p ON p.id = f.part_id GROUP BY 1, 2
    )
    SELECT DISTINCT u.id
    FROM met m
    JOIN criterion c ON c.id = m.criteria_id AND (c.match = 'any' OR m.parts = c.parts)
    JOIN csm.users u ON u.id = m.user_id AND u.tenant_id = c.tenant_id AND u.enabled
$$;

CREATE OR REPLACE FUNCTION csm_private.check_reach(p csm.publications) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100000;
BEGIN
    IF p.by_mail AND (SELECT count(*) FROM (SELECT FROM csm_private.audience_people(p.audience_id) LIMIT most + 1) x) > most THEN
        RAISE EXCEPTION 'publication % addresses too many', p.id USING ERRCODE = '54000',
            DETAIL = format('One is mailed to at most %s persons.', most), HINT = 'Write several, or publish it in the portal alone (by_mail).';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION csm.publication_reach(publication_id bigint, OUT persons bigint, OUT with_address bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm.publications := csm_private.known_publication(publication_reach.publication_id);
BEGIN
    IF NOT csm_private.publication_actors(p) && '{manager}'::text[] THEN
        RAISE EXCEPTION 'whom publication % reaches is for who approves it', p.id USING ERRCODE = '42501',
            HINT = 'Who manages the audience of the series does.';
    END IF;
    SELECT count(*), count(u.email) INTO persons, with_address
    FROM csm_private.audience_people(p.audience_id) a(user_id) JOIN csm.users u ON u.id = a.user_id AND u.tenant_id = p.tenant_id;
END $$;

-- ---- what time does ----

CREATE OR REPLACE FUNCTION csm_private.due_publication_publish(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications;
BEGIN
    SELECT * INTO p FROM csm.publications x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF p.id IS NULL THEN
        -- in somebody's hands
        PERFORM csm_private.set_timer(tenant_id, 'publication_publish', object_id, NULL, at + interval '1 minute');
    ELSIF p.state = 'ready' AND p.publish_at <= at THEN
        PERFORM csm_private.check_reach(p);
        UPDATE csm.publications x SET state = 'published' WHERE x.id = p.id AND x.tenant_id = p.tenant_id;
        INSERT INTO csm.publication_acts (tenant_id, publication_id, action, actor_id) VALUES (p.tenant_id, p.id, 'publish', NULL);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION csm_private.due_publication_expiry(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH ended AS (
        UPDATE csm.publications p SET state = 'expired'
        WHERE p.id = object_id AND p.tenant_id = tenant_id AND p.state = 'published' AND p.expires_at <= at
        RETURNING p.id
    )
    INSERT INTO csm.publication_acts (tenant_id, publication_id, action, actor_id) SELECT tenant_id, e.id, 'expire', NULL FROM ended e;
END $$;

-- Once in all: who is there already stays, whoever runs it again.
CREATE OR REPLACE FUNCTION csm_private.due_publication_address(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch_size CONSTANT integer := 200;
    p csm.publications;
    people bigint[];
    batch bigint;
BEGIN
    SELECT * INTO p FROM csm.publications x WHERE x.id = object_id AND x.tenant_id = tenant_id;
    IF p.state <> 'published' OR NOT p.by_mail THEN
        RETURN;
    END IF;
    people := ARRAY(SELECT a FROM csm_private.audience_people(p.audience_id) a ORDER BY 1);
    FOR n IN 0 .. (cardinality(people) - 1) / batch_size LOOP
        batch := nextval('csm.publication_recipients_id_seq');
        INSERT INTO csm.publication_recipients (tenant_id, publication_id, user_id, batch)
        SELECT p.tenant_id, p.id, u, batch FROM unnest(people[n * batch_size + 1:(n + 1) * batch_size]) u
        ON CONFLICT ON CONSTRAINT publication_recipients_once DO NOTHING;
        PERFORM csm_private.set_timer(p.tenant_id, 'publication_mail', batch, NULL, at);
    END LOOP;
END $$;

-- Run as the person by csm_private.as_person(): the one question that stands
-- between a publication that is published and who reads it.
CREATE OR REPLACE FUNCTION csm_private.reads_audience(argument jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_jsonb(csm.audience_allows((argument ->> 'audience_id')::bigint, 'read'));
END $$;

-- What is asked of a table is asked in one statement for the whole batch, in
-- select lists alone: a condition might be evaluated for every person there is.
-- Whether he reads it each person is asked by himself.
CREATE OR REPLACE FUNCTION csm_private.due_publication_mail(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.publications;
    s csm.publication_series;
    settings jsonb;
    of record;
    mailed bigint[] := '{}'::bigint[];
    failed bigint[] := '{}'::bigint[];
BEGIN
    SELECT x.* INTO p FROM csm.publications x
    WHERE x.tenant_id = tenant_id
      AND x.id = (SELECT r.publication_id FROM csm.publication_recipients r WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting' LIMIT 1);
    SELECT x.* INTO s FROM csm.publication_series x WHERE x.id = p.series_id AND x.tenant_id = tenant_id;
    SELECT t.settings INTO settings FROM csm.tenants t WHERE t.id = tenant_id;
    FOR of IN
        SELECT r.id, u.id AS user_id, csm_private.role_of_person(u.id, u.tenant_id) AS role,
               csm_private.wants_notification(u.id, u.tenant_id, s.event, 'email') IS NOT FALSE AS wants
        FROM csm.publication_recipients r JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
        WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting'
          AND p.state = 'published' AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp())
          AND u.enabled AND u.email ~ '^[^@[:space:][:cntrl:],;:<>()"\\[\]]+@[^@[:space:][:cntrl:],;:<>()"\\[\]]+$'
        ORDER BY r.id FOR NO KEY UPDATE OF r
    LOOP
        -- One who cannot be asked must not hold up the others.
        BEGIN
            IF of.wants AND csm_private.as_person(of.user_id, of.role, 'csm_private.reads_audience(jsonb)'::regprocedure,
                                                  jsonb_build_object('audience_id', p.audience_id)) = 'true' THEN
                mailed := mailed || of.id;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            failed := failed || of.id;
        END;
    END LOOP;
    PERFORM csm_private.send_mail(tenant_id, 'publication', k.email, k.user_id, (k.words).language,
                jsonb_build_object('publication_id', p.id, 'series', s.key, 'title', csm_private.one_line((k.words).title), 'body', (k.words).body,
                                   'unsubscribe_token', k.token, 'list_unsubscribe', csm_private.list_unsubscribe(k.token, settings)),
                coalesce(p.expires_at, at + interval '30 days'))
    FROM (SELECT u.id AS user_id, u.email, csm_private.publication_text(p, u.language) AS words,
                 csm_private.unsubscribe_token(u.id, u.tenant_id, s.event, 'email') AS token
          FROM csm.publication_recipients r JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
          WHERE r.id = ANY (mailed) AND r.tenant_id = tenant_id ORDER BY r.id) k;
    UPDATE csm.publication_recipients r
    SET state = CASE WHEN r.id = ANY (mailed) THEN 'mailed' WHEN r.id = ANY (failed) THEN 'failed' ELSE 'withheld' END, settled_at = clock_timestamp()
    WHERE r.batch = object_id AND r.tenant_id = tenant_id AND r.state = 'waiting';
END $$;

-- What waits in the outbox is not handed out any more, whoever put it there
-- meanwhile: csm.next_mail() asks.
CREATE OR REPLACE FUNCTION csm_private.publication_stands(publication_id bigint, tenant_id bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM csm.publications p
                   WHERE p.id = publication_stands.publication_id AND p.tenant_id = publication_stands.tenant_id AND p.state = 'published')
$$;

CREATE OR REPLACE FUNCTION csm_private.due_publication_clear(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at_once CONSTANT integer := 10000;
    keep CONSTANT interval := interval '90 days';
    ended timestamptz;
    n integer;
BEGIN
    SELECT p.ended_at INTO ended FROM csm.publications p WHERE p.id = object_id AND p.tenant_id = tenant_id;
    IF ended + keep > at THEN
        DELETE FROM csm.outbox m
        WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM csm.outbox o
                                  WHERE o.tenant_id = tenant_id AND o.kind = 'publication' AND o.payload ->> 'publication_id' = object_id::text
                                  FOR UPDATE SKIP LOCKED));
        PERFORM csm_private.set_timer(tenant_id, 'publication_clear', object_id, NULL, ended + keep);
    ELSE
        DELETE FROM csm.publication_recipients r
        WHERE r.id = ANY (ARRAY(SELECT x.id FROM csm.publication_recipients x
                                WHERE x.publication_id = object_id AND x.tenant_id = tenant_id LIMIT at_once));
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n = at_once THEN
            PERFORM csm_private.set_timer(tenant_id, 'publication_clear', object_id, NULL, at + interval '1 minute');
        END IF;
    END IF;
END $$;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.audience_people(bigint)', NULL, 'Persons who satisfy the criteria by which the innermost audience that says so grants read: all who could be addressed. Whether each of them reads is asked of himself'),
        ('csm_private.check_reach(csm.publications)', NULL, 'Error 54000 where a publication would be mailed to more than 100,000 persons'),
        ('csm.publication_reach(bigint)', 'csm_agent', 'How many persons a publication addresses, and how many of them have an address: for who manages its audience. Error 42501 hidden, missing or not permitted'),
        ('csm_private.due_publication_publish(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_publish: publishes what was planned; a minute later where somebody has it in hand'),
        ('csm_private.due_publication_expiry(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_expiry: lets a publication expire'),
        ('csm_private.due_publication_address(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_address: writes down whom a publication addresses, in batches of 200, each with a timer'),
        ('csm_private.reads_audience(jsonb)', 'csm_portal, csm_agent', 'Whether whoever runs it reads as one of the audience {"audience_id": …}. Run by csm_private.as_person()'),
        ('csm_private.due_publication_mail(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_mail: a mail for each person of a batch who is enabled, has a plain address, did not say that he wants none, and whom the audience of the publication lets read now'),
        ('csm_private.publication_stands(bigint, bigint)', NULL, 'Whether the publication is published still'),
        ('csm_private.due_publication_clear(bigint, bigint, timestamptz)', NULL, 'Handler of timers of kind publication_clear: takes what was not sent out of the outbox when a publication has ended; 90 days later forgets whom it addressed')
    ) AS v(name, granted, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
        IF f.granted IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.name, f.granted);
        END IF;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION csm.next_mail("limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes') RETURNS SETOF csm.outbox
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_mail() must be between 1 and 10000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce("limit"::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    DELETE FROM csm.outbox o
    WHERE o.expires_at <= at_time AND (mine IS NULL OR o.tenant_id = mine);
    RETURN QUERY
    WITH free AS (
        SELECT o.id, o.tenant_id FROM csm.outbox o
        WHERE (mine IS NULL OR o.tenant_id = mine) AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
          AND (o.kind <> 'publication' OR csm_private.publication_stands((o.payload ->> 'publication_id')::bigint, o.tenant_id))
        ORDER BY o.id LIMIT "limit" FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE csm.outbox o SET claimed_until = at_time + lease, attempts = o.attempts + 1
        FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
        RETURNING o.*
    )
    SELECT * FROM claimed c ORDER BY c.id;
END $$;
CREATE OR REPLACE FUNCTION csm_private.list_unsubscribe(token text, settings jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT nullif(concat_ws(', ', '<' || (settings -> 'notifications' ->> 'unsubscribe_url') || token || '>',
                                  '<mailto:unsubscribe+' || token || '@' || (settings -> 'notifications' ->> 'domain') || '>'), '');
END;
ALTER FUNCTION csm_private.list_unsubscribe(text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.list_unsubscribe(text, jsonb) FROM PUBLIC;
CREATE OR REPLACE FUNCTION csm_private.notification_headers(n csm.notifications, settings jsonb,
    OUT reply_token text, OUT message_id text, OUT thread_id text, OUT reply_to text, OUT unsubscribe_token text, OUT list_unsubscribe text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    domain CONSTANT text := settings -> 'notifications' ->> 'domain';
BEGIN
    reply_token := csm_private.mail_token(n.case_id, n.user_id);
    unsubscribe_token := csm_private.unsubscribe_token(n.user_id, n.tenant_id, n.kind, n.channel);
    IF domain IS NOT NULL THEN
        message_id := format('<%s.%s@%s>', reply_token, n.id, domain);
        thread_id := format('<%s@%s>', reply_token, domain);
        reply_to := format('reply+%s@%s', reply_token, domain);
    END IF;
    list_unsubscribe := csm_private.list_unsubscribe(unsubscribe_token, settings);
END $$;
CREATE OR REPLACE FUNCTION csm_private.personal_columns()
RETURNS TABLE (table_name text, column_name text, content text, subject text, erasure text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    VALUES
        ('csm.users', 'display_name', 'person', 'id', 'own'),
        ('csm.users', 'email', 'person', 'id', 'own'),
        ('csm.users', 'email_key', 'person', 'id', 'own'),
        ('csm.users', 'phone', 'person', 'id', 'own'),
        ('csm.users', 'title', 'person', 'id', 'own'),
        ('csm.users', 'login_role', 'person', 'id', 'own'),
        ('csm.users', 'external_id', 'person', 'id', 'own'),
        ('csm.users', 'location', 'person', 'id', 'null'),
        ('csm.employees', 'department', 'person', 'user_id', 'null'),
        ('csm.households', 'name', 'person', 'head_user_id', 'word'),
        ('csm.accounts', 'name', 'text', NULL, 'offer'),
        ('csm.assets', 'serial_number', 'person', 'user_id', 'null'),
        ('csm.assets', 'location', 'person', 'user_id', 'null'),
        ('csm.contracts', 'name', 'text', NULL, 'offer'),
        ('csm.contract_lines', 'description', 'text', NULL, 'offer'),
        ('csm.entitlements', 'name', 'text', NULL, 'offer'),
        ('csm.entitlement_uses', 'note', 'text', 'used_by', 'null'),
        ('csm.cases', 'subject', 'text', 'requester_id', 'own'),
        ('csm.cases', 'description', 'text', 'requester_id', 'own'),
        ('csm.cases', 'resolution_notes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'attributes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'search', 'text', 'requester_id', 'own'),
        ('csm.cases', 'idempotency_key', 'person', 'requester_id', 'own'),
        ('csm.case_internal', 'attributes', 'text', NULL, 'own'),
        ('csm.case_side_fields', 'attributes', 'text', NULL, 'own'),
        ('csm.case_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.case_entries', 'body', 'text', 'author_id', 'own'),
        ('csm.attachments', 'author_name', 'person', 'author_id', 'own'),
        ('csm.attachments', 'file_name', 'text', 'author_id', 'own'),
        ('csm.attachments', 'url', 'text', 'author_id', 'own'),
        ('csm.attachments', 'sha256', 'person', 'author_id', 'own'),
        ('csm.attachment_contents', 'content', 'person', NULL, 'own'),
        ('csm.case_history', 'actor_name', 'person', 'actor_id', 'own'),
        ('csm.case_history', 'payload', 'text', 'actor_id', 'own'),
        ('csm.case_history', 'salt', 'secret', 'actor_id', 'own'),
        ('csm.events', 'payload', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'proposed_name', 'person', 'proposed_by', 'word'),
        ('csm.dispute_proposals', 'notes', 'text', 'proposed_by', 'null'),
        ('csm.dispute_proposals', 'reference', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'decided_name', 'person', 'decided_by', 'word'),
        ('csm.dispute_proposals', 'reason', 'text', 'decided_by', 'null'),
        ('csm.case_tasks', 'subject', 'text', 'opened_by', 'word'),
        ('csm.case_tasks', 'description', 'text', 'opened_by', 'null'),
        ('csm.case_tasks', 'close_notes', 'text', 'closed_by', 'null'),
        ('csm.case_lines', 'description', 'text', 'opened_by', 'word'),
        ('csm.case_lines', 'resolution_notes', 'text', NULL, 'offer'),
        ('csm.case_blocks', 'note', 'text', 'blocked_by', 'word'),
        ('csm.escalations', 'justification', 'text', 'requested_by', 'word'),
        ('csm.escalations', 'decision_note', 'text', 'decided_by', 'word'),
        ('csm.escalations', 'closing_note', 'text', 'closed_by', 'word'),
        ('csm.handling_notes', 'body', 'text', 'user_id', 'word'),
        ('csm.response_templates', 'body', 'text', NULL, 'offer'),
        ('csm.articles', 'title', 'text', 'author_id', 'offer'),
        ('csm.articles', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.articles', 'body', 'text', 'author_id', 'offer'),
        ('csm.articles', 'search', 'text', 'author_id', 'own'),
        ('csm.article_versions', 'title', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'body', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'note', 'text', NULL, 'offer'),
        ('csm.article_feedback', 'comment', 'text', 'user_id', 'word'),
        ('csm.knowledge_gaps', 'summary', 'text', 'reported_by', 'word'),
        ('csm.questions', 'author_name', 'person', 'author_id', 'word'),
        ('csm.questions', 'title', 'text', 'author_id', 'word'),
        ('csm.questions', 'body', 'text', 'author_id', 'word'),
        ('csm.questions', 'search', 'text', 'author_id', 'null'),
        ('csm.answers', 'author_name', 'person', 'author_id', 'word'),
        ('csm.answers', 'body', 'text', 'author_id', 'word'),
        ('csm.post_comments', 'author_name', 'person', 'author_id', 'word'),
        ('csm.post_comments', 'body', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'title', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'body', 'text', 'author_id', 'word'),
        ('csm.post_reports', 'reason', 'text', 'reporter_id', 'word'),
        ('csm.moderation_acts', 'reason', 'text', 'actor_id', 'word'),
        ('csm.community_profiles', 'handle', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'display', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'about', 'text', 'user_id', 'delete'),
        ('csm.publication_texts', 'title', 'text', NULL, 'offer'),
        ('csm.publication_texts', 'body', 'text', NULL, 'offer'),
        ('csm.publication_acts', 'note', 'text', 'actor_id', 'word'),
        ('csm.interactions', 'subject', 'text', 'requester_id', 'word'),
        ('csm.interaction_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.interaction_entries', 'body', 'text', 'author_id', 'own'),
        ('csm_private.interaction_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.email_log', 'message_id', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'from_address', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'detail', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'subject', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'body', 'text', 'user_id', 'delete'),
        ('csm.survey_answers', 'body', 'text', 'user_id', 'null'),
        ('csm_private.survey_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.external_identities', 'subject', 'person', 'user_id', 'delete'),
        ('csm.passwords', 'hash', 'secret', 'user_id', 'delete'),
        ('csm.password_resets', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.registrations', 'email', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'email_key', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'display_name', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'terms', 'text', 'user_id', 'delete'),
        ('csm.registrations', 'reason', 'text', 'user_id', 'delete'),
        ('csm.sessions', 'label', 'person', 'user_id', 'delete'),
        ('csm_private.session_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm_private.email_changes', 'email', 'person', 'user_id', 'delete'),
        ('csm_private.email_changes', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm_private.mail_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.notifications', 'error', 'person', 'user_id', 'delete'),
        ('csm.notification_templates', 'subject', 'text', NULL, 'offer'),
        ('csm.notification_templates', 'body', 'text', NULL, 'offer'),
        ('csm.user_merges', 'reason', 'text', 'kept_id', 'word'),
        ('csm.user_merges', 'removed', 'person', 'kept_id', 'object'),
        ('csm.user_merges', 'given_up', 'person', 'kept_id', 'list'),
        ('csm_private.registration_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.legal_holds', 'reason', 'text', 'user_id', 'word'),
        ('csm.erasure_requests', 'reason', 'text', 'user_id', 'word')
  UNION ALL
    -- Names of things, keys, states, computed values: nothing of a person.
    SELECT n.table_name, c.column_name, 'none', NULL, NULL
    FROM (VALUES
        ('csm.users', 'language time_zone'),
        ('csm.tenants', 'key name settings'),
        ('csm.accounts', 'number'),
        ('csm.account_relationships', 'type scope'),
        ('csm.account_team', 'responsibility'),
        ('csm.contacts', 'role'),
        ('csm.user_roles', 'role branches reach'),
        ('csm.roles', 'role kind user_class label branches'),
        ('csm.role_permissions', 'role action reach'),
        ('csm.service_organizations', 'name'),
        ('csm.groups', 'name'),
        ('csm.user_criteria', 'key label match'),
        ('csm.user_criteria_parts', 'kind role persona location language'),
        ('csm.audiences', 'grants_key'),
        ('csm.audience_grants', 'action'),
        ('csm.products', 'name'),
        ('csm.knowledge_bases', 'key title description language'),
        ('csm.knowledge_categories', 'title'),
        ('csm.articles', 'state number language'),
        ('csm.article_versions', 'state'),
        ('csm.case_articles', 'relation'),
        ('csm.knowledge_gaps', 'state'),
        ('csm.sold_products', 'branch'),
        ('csm.assets', 'branch'),
        ('csm.contracts', 'branch number'),
        ('csm.entitlements', 'branch channels unit'),
        ('csm.entitlement_uses', 'unit'),
        ('csm.cases', 'branch state_class state number case_type language channel resolution_code major_state'),
        ('csm.case_types', 'case_type parent_type label settings'),
        ('csm.case_states', 'case_type state state_class label'),
        ('csm.case_transitions', 'case_type from_state action to_state actors required_fields effects label from_type to_type'),
        ('csm.case_type_fields', 'case_type name label type audience required_for choices reference'),
        ('csm.case_entries', 'branch visibility side idempotency_key'),
        ('csm.case_parties', 'capabilities'),
        ('csm.case_side_fields', 'side'),
        ('csm.attachments', 'visibility side media_type'),
        ('csm.case_history', 'action persona relation audience payload_hash previous_hash hash'),
        ('csm.history_seals', 'root previous_hash hash'),
        ('csm.history_leaves', 'last_hash'),
        ('csm.events', 'kind audience side'),
        ('csm.event_subscribers', 'key kinds case_types subjects'),
        ('csm.dispute_proposals', 'side currency resolution_code outcome'),
        ('csm.case_tasks', 'branch number state'),
        ('csm.case_lines', 'state'),
        ('csm.case_blocks', 'reason'),
        ('csm.case_links', 'kind'),
        ('csm.case_slas', 'name type state'),
        ('csm.sla_definitions', 'name type calendar_from case_types branches'),
        ('csm.sla_events', 'event'),
        ('csm.calendars', 'name time_zone'),
        ('csm.calendar_exceptions', 'name'),
        ('csm.escalation_templates', 'template label severity targets reasons'),
        ('csm.escalations', 'state source reason severity trend'),
        ('csm.recipient_lists', 'name kind'),
        ('csm.publication_series', 'key title description event'),
        ('csm.publications', 'state language'),
        ('csm.publication_texts', 'language'),
        ('csm.publication_acts', 'action'),
        ('csm.publication_recipients', 'state'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.forums', 'key title description'),
        ('csm.questions', 'state language'),
        ('csm.answers', 'state'),
        ('csm.post_comments', 'state'),
        ('csm.moderation_acts', 'action'),
        ('csm.case_questions', 'relation'),
        ('csm.interactions', 'branch channel state handled_by verification verified_how language'),
        ('csm.interaction_entries', 'author_kind'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.email_log', 'status reason'),
        ('csm.surveys', 'key label ask_when labels'),
        ('csm.survey_questions', 'key kind label labels'),
        ('csm.audit_log', 'kind'),
        ('csm.identity_providers', 'name issuer audience algorithms subject_claim claims link_by create_as create_role'),
        ('csm.identity_provider_keys', 'kid jwk algorithms'),
        ('csm.spent_tokens', 'token_hash'),
        ('csm.denied_passwords', 'password'),
        ('csm.account_domains', 'domain'),
        ('csm.notification_preferences', 'event channel'),
        ('csm.sessions', 'kind persona actions'),
        ('csm.registrations', 'kind state language role route'),
        ('csm_private.registration_codes', 'code_hash'),
        ('csm_private.registration_tokens', 'purpose'),
        ('csm_private.captcha_used', 'challenge'),
        ('csm_private.secrets', 'name value'),
        ('csm_private.mail_tokens', 'event channel'),
        ('csm.notifications', 'kind channel audience side state'),
        ('csm.notification_rules', 'event channel recipients'),
        ('csm.notification_templates', 'event channel language'),
        ('csm.erasure_requests', 'erased'),
        ('csm.licence_products', 'product label roles'),
        ('csm.licence_policies', 'policy label counts products'),
        ('csm_private.shipped_copies', 'kind key content')
    ) AS n(table_name, columns), string_to_table(n.columns, ' ') AS c(column_name);
END;
ALTER TABLE csm.publication_texts ALTER COLUMN title SET STATISTICS 0, ALTER COLUMN body SET STATISTICS 0;
ALTER TABLE csm.publication_acts ALTER COLUMN note SET STATISTICS 0;
-- 88_surveys.sql: in the language of who is asked
ALTER TABLE csm.surveys ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT surveys_labels_check CHECK (jsonb_typeof(labels) = 'object' AND NOT labels @?
        '$.keyvalue() ? (!(@.key like_regex "^[a-z]{2,3}(-[a-z0-9]{2,8})*$") || @.value.type() != "string" || !(@.value like_regex "[^[:space:]]") || !(@.value like_regex "^.{1,200}$" flag "s"))');
ALTER TABLE csm.survey_questions ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT survey_questions_labels_check CHECK (jsonb_typeof(labels) = 'object' AND NOT labels @?
        '$.keyvalue() ? (!(@.key like_regex "^[a-z]{2,3}(-[a-z0-9]{2,8})*$") || @.value.type() != "string" || !(@.value like_regex "[^[:space:]]") || !(@.value like_regex "^(.{1,250}){1,4}$" flag "s"))');
CREATE FUNCTION csm_private.label_in(label text, labels jsonb, language text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(labels ->> lower(language), labels ->> split_part(lower(language), '-', 1), label);
CREATE OR REPLACE FUNCTION csm_private.survey_form(survey_id bigint, tenant_id bigint, language text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('key', q.key, 'kind', q.kind, 'label', csm_private.label_in(q.label, q.labels, survey_form.language),
                                                 'required', q.required,
                                                 'from', CASE q.kind WHEN 'nps' THEN 0 WHEN 'text' THEN NULL ELSE 1 END,
                                                 'to', CASE q.kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 WHEN 'ces' THEN 7 END)
                              ORDER BY q.position, q.id), '[]')
    FROM csm.survey_questions q WHERE q.survey_id = survey_form.survey_id AND q.tenant_id = survey_form.tenant_id
$$;
CREATE OR REPLACE FUNCTION csm_private.due_survey(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
    s csm.surveys;
    person csm.users;
    asked_at timestamptz;
    response bigint;
    token CONSTANT text := csm_private.new_token();
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = due_survey.object_id AND x.tenant_id = due_survey.tenant_id;
    s := csm_private.survey_of(c);
    SELECT * INTO person FROM csm.users u WHERE u.id = c.requester_id AND u.tenant_id = c.tenant_id AND u.enabled;
    IF s.id IS NULL OR person.id IS NULL OR c.state_class NOT IN ('closed', s.ask_when) OR c.parent_id IS NOT NULL
       OR csm_private.wants_notification(person.id, c.tenant_id, 'survey', 'email') IS FALSE
       OR s.quarantine > '0' AND EXISTS (SELECT FROM csm.survey_responses r WHERE r.user_id = person.id AND r.sent_at > due_survey.at - s.quarantine)
       OR csm_private.as_person(person.id, 'csm_portal', 'csm_private.sees_case(jsonb)', jsonb_build_object('case_id', c.id)) <> 'true' THEN
        RETURN;
    END IF;
    asked_at := CASE s.ask_when WHEN 'resolved' THEN coalesce(c.resolved_at, c.closed_at) ELSE c.closed_at END + s.delay;
    IF asked_at > due_survey.at THEN
        PERFORM csm_private.set_timer(c.tenant_id, 'survey', c.id, c.id, asked_at);
        RETURN;
    END IF;
    INSERT INTO csm.survey_responses AS r (tenant_id, case_id, survey_id, user_id, sent_at, expires_at)
    VALUES (c.tenant_id, c.id, s.id, person.id, due_survey.at, due_survey.at + s.valid_for)
    ON CONFLICT ON CONSTRAINT survey_responses_case_key DO NOTHING
    RETURNING r.id INTO response;
    IF response IS NOT NULL AND person.email IS NOT NULL THEN
        INSERT INTO csm_private.survey_tokens (response_id, tenant_id, user_id, token_hash)
        VALUES (response, c.tenant_id, person.id, csm_private.token_hash(token));
        PERFORM csm_private.send_mail(c.tenant_id, 'survey', person.email, person.id, person.language,
            jsonb_build_object('token', token, 'name', person.display_name, 'number', c.number, 'label', csm_private.label_in(s.label, s.labels, person.language)),
            due_survey.at + s.valid_for);
    END IF;
END $$;
CREATE OR REPLACE FUNCTION csm.survey_by_token(token text) RETURNS TABLE (label text, questions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT csm_private.label_in(s.label, s.labels, u.language), csm_private.survey_form(s.id, s.tenant_id, u.language)
    FROM csm_private.survey_tokens t
    JOIN csm.survey_responses r ON r.id = t.response_id AND r.tenant_id = t.tenant_id
    JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
    JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    WHERE t.token_hash = csm_private.token_hash(survey_by_token.token) AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
$$;
CREATE OR REPLACE FUNCTION csm.my_surveys() RETURNS TABLE (response_id bigint, case_id bigint, label text, questions jsonb, sent_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.id, CASE WHEN csm_private.case_allows(r.case_id, r.tenant_id, 'case_read') THEN r.case_id END,
           csm_private.label_in(s.label, s.labels, u.language), csm_private.survey_form(s.id, s.tenant_id, u.language), r.sent_at, r.expires_at
    FROM csm.survey_responses r
    JOIN csm.surveys s ON s.id = r.survey_id AND s.tenant_id = r.tenant_id
    JOIN csm.users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
    WHERE r.user_id = csm.current_user_id() AND r.tenant_id = csm.current_tenant_id() AND csm_private.person_id() = r.user_id
      AND r.answered_at IS NULL AND r.expires_at > clock_timestamp()
    ORDER BY r.sent_at, r.id
$$;
CREATE OR REPLACE FUNCTION csm_private.personal_columns()
RETURNS TABLE (table_name text, column_name text, content text, subject text, erasure text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    VALUES
        ('csm.users', 'display_name', 'person', 'id', 'own'),
        ('csm.users', 'email', 'person', 'id', 'own'),
        ('csm.users', 'email_key', 'person', 'id', 'own'),
        ('csm.users', 'phone', 'person', 'id', 'own'),
        ('csm.users', 'title', 'person', 'id', 'own'),
        ('csm.users', 'login_role', 'person', 'id', 'own'),
        ('csm.users', 'external_id', 'person', 'id', 'own'),
        ('csm.users', 'location', 'person', 'id', 'null'),
        ('csm.employees', 'department', 'person', 'user_id', 'null'),
        ('csm.households', 'name', 'person', 'head_user_id', 'word'),
        ('csm.accounts', 'name', 'text', NULL, 'offer'),
        ('csm.assets', 'serial_number', 'person', 'user_id', 'null'),
        ('csm.assets', 'location', 'person', 'user_id', 'null'),
        ('csm.contracts', 'name', 'text', NULL, 'offer'),
        ('csm.contract_lines', 'description', 'text', NULL, 'offer'),
        ('csm.entitlements', 'name', 'text', NULL, 'offer'),
        ('csm.entitlement_uses', 'note', 'text', 'used_by', 'null'),
        ('csm.cases', 'subject', 'text', 'requester_id', 'own'),
        ('csm.cases', 'description', 'text', 'requester_id', 'own'),
        ('csm.cases', 'resolution_notes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'attributes', 'text', 'requester_id', 'own'),
        ('csm.cases', 'search', 'text', 'requester_id', 'own'),
        ('csm.cases', 'idempotency_key', 'person', 'requester_id', 'own'),
        ('csm.case_internal', 'attributes', 'text', NULL, 'own'),
        ('csm.case_side_fields', 'attributes', 'text', NULL, 'own'),
        ('csm.case_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.case_entries', 'body', 'text', 'author_id', 'own'),
        ('csm.attachments', 'author_name', 'person', 'author_id', 'own'),
        ('csm.attachments', 'file_name', 'text', 'author_id', 'own'),
        ('csm.attachments', 'url', 'text', 'author_id', 'own'),
        ('csm.attachments', 'sha256', 'person', 'author_id', 'own'),
        ('csm.attachment_contents', 'content', 'person', NULL, 'own'),
        ('csm.case_history', 'actor_name', 'person', 'actor_id', 'own'),
        ('csm.case_history', 'payload', 'text', 'actor_id', 'own'),
        ('csm.case_history', 'salt', 'secret', 'actor_id', 'own'),
        ('csm.events', 'payload', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'proposed_name', 'person', 'proposed_by', 'word'),
        ('csm.dispute_proposals', 'notes', 'text', 'proposed_by', 'null'),
        ('csm.dispute_proposals', 'reference', 'text', NULL, 'offer'),
        ('csm.dispute_proposals', 'decided_name', 'person', 'decided_by', 'word'),
        ('csm.dispute_proposals', 'reason', 'text', 'decided_by', 'null'),
        ('csm.case_tasks', 'subject', 'text', 'opened_by', 'word'),
        ('csm.case_tasks', 'description', 'text', 'opened_by', 'null'),
        ('csm.case_tasks', 'close_notes', 'text', 'closed_by', 'null'),
        ('csm.case_lines', 'description', 'text', 'opened_by', 'word'),
        ('csm.case_lines', 'resolution_notes', 'text', NULL, 'offer'),
        ('csm.case_blocks', 'note', 'text', 'blocked_by', 'word'),
        ('csm.escalations', 'justification', 'text', 'requested_by', 'word'),
        ('csm.escalations', 'decision_note', 'text', 'decided_by', 'word'),
        ('csm.escalations', 'closing_note', 'text', 'closed_by', 'word'),
        ('csm.handling_notes', 'body', 'text', 'user_id', 'word'),
        ('csm.response_templates', 'body', 'text', NULL, 'offer'),
        ('csm.articles', 'title', 'text', 'author_id', 'offer'),
        ('csm.articles', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.articles', 'body', 'text', 'author_id', 'offer'),
        ('csm.articles', 'search', 'text', 'author_id', 'own'),
        ('csm.article_versions', 'title', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'keywords', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'body', 'text', 'author_id', 'offer'),
        ('csm.article_versions', 'note', 'text', NULL, 'offer'),
        ('csm.article_feedback', 'comment', 'text', 'user_id', 'word'),
        ('csm.knowledge_gaps', 'summary', 'text', 'reported_by', 'word'),
        ('csm.questions', 'author_name', 'person', 'author_id', 'word'),
        ('csm.questions', 'title', 'text', 'author_id', 'word'),
        ('csm.questions', 'body', 'text', 'author_id', 'word'),
        ('csm.questions', 'search', 'text', 'author_id', 'null'),
        ('csm.answers', 'author_name', 'person', 'author_id', 'word'),
        ('csm.answers', 'body', 'text', 'author_id', 'word'),
        ('csm.post_comments', 'author_name', 'person', 'author_id', 'word'),
        ('csm.post_comments', 'body', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'title', 'text', 'author_id', 'word'),
        ('csm.post_versions', 'body', 'text', 'author_id', 'word'),
        ('csm.post_reports', 'reason', 'text', 'reporter_id', 'word'),
        ('csm.moderation_acts', 'reason', 'text', 'actor_id', 'word'),
        ('csm.community_profiles', 'handle', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'display', 'person', 'user_id', 'delete'),
        ('csm.community_profiles', 'about', 'text', 'user_id', 'delete'),
        ('csm.publication_texts', 'title', 'text', NULL, 'offer'),
        ('csm.publication_texts', 'body', 'text', NULL, 'offer'),
        ('csm.publication_acts', 'note', 'text', 'actor_id', 'word'),
        ('csm.interactions', 'subject', 'text', 'requester_id', 'word'),
        ('csm.interaction_entries', 'author_name', 'person', 'author_id', 'own'),
        ('csm.interaction_entries', 'body', 'text', 'author_id', 'own'),
        ('csm_private.interaction_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.timers', 'error', 'text', NULL, 'offer'),
        ('csm.outbox', 'recipient', 'person', 'user_id', 'delete'),
        ('csm.outbox', 'payload', 'secret', 'user_id', 'delete'),
        ('csm.audit_log', 'details', 'text', 'subject_user_id', 'object'),
        ('csm.email_log', 'message_id', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'from_address', 'person', 'user_id', 'delete'),
        ('csm.email_log', 'detail', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'subject', 'text', 'user_id', 'delete'),
        ('csm.email_log', 'body', 'text', 'user_id', 'delete'),
        ('csm.survey_answers', 'body', 'text', 'user_id', 'null'),
        ('csm_private.survey_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.external_identities', 'subject', 'person', 'user_id', 'delete'),
        ('csm.passwords', 'hash', 'secret', 'user_id', 'delete'),
        ('csm.password_resets', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.registrations', 'email', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'email_key', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'display_name', 'person', 'user_id', 'delete'),
        ('csm.registrations', 'terms', 'text', 'user_id', 'delete'),
        ('csm.registrations', 'reason', 'text', 'user_id', 'delete'),
        ('csm.sessions', 'label', 'person', 'user_id', 'delete'),
        ('csm_private.session_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm_private.email_changes', 'email', 'person', 'user_id', 'delete'),
        ('csm_private.email_changes', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm_private.mail_tokens', 'token_hash', 'secret', 'user_id', 'delete'),
        ('csm.notifications', 'error', 'person', 'user_id', 'delete'),
        ('csm.notification_templates', 'subject', 'text', NULL, 'offer'),
        ('csm.notification_templates', 'body', 'text', NULL, 'offer'),
        ('csm.user_merges', 'reason', 'text', 'kept_id', 'word'),
        ('csm.user_merges', 'removed', 'person', 'kept_id', 'object'),
        ('csm.user_merges', 'given_up', 'person', 'kept_id', 'list'),
        ('csm_private.registration_tokens', 'token_hash', 'secret', NULL, 'own'),
        ('csm.legal_holds', 'reason', 'text', 'user_id', 'word'),
        ('csm.erasure_requests', 'reason', 'text', 'user_id', 'word')
  UNION ALL
    -- Names of things, keys, states, computed values: nothing of a person.
    SELECT n.table_name, c.column_name, 'none', NULL, NULL
    FROM (VALUES
        ('csm.users', 'language time_zone'),
        ('csm.tenants', 'key name settings'),
        ('csm.accounts', 'number'),
        ('csm.account_relationships', 'type scope'),
        ('csm.account_team', 'responsibility'),
        ('csm.contacts', 'role'),
        ('csm.user_roles', 'role branches reach'),
        ('csm.roles', 'role kind user_class label branches'),
        ('csm.role_permissions', 'role action reach'),
        ('csm.service_organizations', 'name'),
        ('csm.groups', 'name'),
        ('csm.user_criteria', 'key label match'),
        ('csm.user_criteria_parts', 'kind role persona location language'),
        ('csm.audiences', 'grants_key'),
        ('csm.audience_grants', 'action'),
        ('csm.products', 'name'),
        ('csm.knowledge_bases', 'key title description language'),
        ('csm.knowledge_categories', 'title'),
        ('csm.articles', 'state number language'),
        ('csm.article_versions', 'state'),
        ('csm.case_articles', 'relation'),
        ('csm.knowledge_gaps', 'state'),
        ('csm.sold_products', 'branch'),
        ('csm.assets', 'branch'),
        ('csm.contracts', 'branch number'),
        ('csm.entitlements', 'branch channels unit'),
        ('csm.entitlement_uses', 'unit'),
        ('csm.cases', 'branch state_class state number case_type language channel resolution_code major_state'),
        ('csm.case_types', 'case_type parent_type label settings'),
        ('csm.case_states', 'case_type state state_class label'),
        ('csm.case_transitions', 'case_type from_state action to_state actors required_fields effects label from_type to_type'),
        ('csm.case_type_fields', 'case_type name label type audience required_for choices reference'),
        ('csm.case_entries', 'branch visibility side idempotency_key'),
        ('csm.case_parties', 'capabilities'),
        ('csm.case_side_fields', 'side'),
        ('csm.attachments', 'visibility side media_type'),
        ('csm.case_history', 'action persona relation audience payload_hash previous_hash hash'),
        ('csm.history_seals', 'root previous_hash hash'),
        ('csm.history_leaves', 'last_hash'),
        ('csm.events', 'kind audience side'),
        ('csm.event_subscribers', 'key kinds case_types subjects'),
        ('csm.dispute_proposals', 'side currency resolution_code outcome'),
        ('csm.case_tasks', 'branch number state'),
        ('csm.case_lines', 'state'),
        ('csm.case_blocks', 'reason'),
        ('csm.case_links', 'kind'),
        ('csm.case_slas', 'name type state'),
        ('csm.sla_definitions', 'name type calendar_from case_types branches'),
        ('csm.sla_events', 'event'),
        ('csm.calendars', 'name time_zone'),
        ('csm.calendar_exceptions', 'name'),
        ('csm.escalation_templates', 'template label severity targets reasons'),
        ('csm.escalations', 'state source reason severity trend'),
        ('csm.recipient_lists', 'name kind'),
        ('csm.publication_series', 'key title description event'),
        ('csm.publications', 'state language'),
        ('csm.publication_texts', 'language'),
        ('csm.publication_acts', 'action'),
        ('csm.publication_recipients', 'state'),
        ('csm.major_changes', 'fields'),
        ('csm.response_templates', 'name case_type'),
        ('csm.forums', 'key title description'),
        ('csm.questions', 'state language'),
        ('csm.answers', 'state'),
        ('csm.post_comments', 'state'),
        ('csm.moderation_acts', 'action'),
        ('csm.case_questions', 'relation'),
        ('csm.interactions', 'branch channel state handled_by verification verified_how language'),
        ('csm.interaction_entries', 'author_kind'),
        ('csm.timers', 'kind'),
        ('csm.outbox', 'kind language'),
        ('csm.email_log', 'status reason'),
        ('csm.surveys', 'key label ask_when labels'),
        ('csm.survey_questions', 'key kind label labels'),
        ('csm.audit_log', 'kind'),
        ('csm.identity_providers', 'name issuer audience algorithms subject_claim claims link_by create_as create_role'),
        ('csm.identity_provider_keys', 'kid jwk algorithms'),
        ('csm.spent_tokens', 'token_hash'),
        ('csm.denied_passwords', 'password'),
        ('csm.account_domains', 'domain'),
        ('csm.notification_preferences', 'event channel'),
        ('csm.sessions', 'kind persona actions'),
        ('csm.registrations', 'kind state language role route'),
        ('csm_private.registration_codes', 'code_hash'),
        ('csm_private.registration_tokens', 'purpose'),
        ('csm_private.captcha_used', 'challenge'),
        ('csm_private.secrets', 'name value'),
        ('csm_private.mail_tokens', 'event channel'),
        ('csm.notifications', 'kind channel audience side state'),
        ('csm.notification_rules', 'event channel recipients'),
        ('csm.notification_templates', 'event channel language'),
        ('csm.erasure_requests', 'erased'),
        ('csm.licence_products', 'product label roles'),
        ('csm.licence_policies', 'policy label counts products'),
        ('csm_private.shipped_copies', 'kind key content')
    ) AS n(table_name, columns), string_to_table(n.columns, ' ') AS c(column_name);
END;
DROP FUNCTION csm_private.survey_form(bigint, bigint);
ALTER FUNCTION csm_private.label_in(text, jsonb, text) OWNER TO csm_owner;
ALTER FUNCTION csm_private.survey_form(bigint, bigint, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.label_in(text, jsonb, text), csm_private.survey_form(bigint, bigint, text) FROM PUBLIC;

-- 39, 83, 89: children follow their parent many at a time
CREATE OR REPLACE FUNCTION csm_private.begin_systems(case_ids bigint[]) RETURNS void
AS 'MODULE_PATHNAME', 'csm_begin_systems' LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE;
CREATE OR REPLACE FUNCTION csm_private.run_group(claimed csm.timers[], at timestamptz) RETURNS text[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t csm.timers;
    free bigint[];
    reminders bigint[];
    closings bigint[];
    followers bigint[];
    outcomes text[] := '{}'::text[];
BEGIN
    free := ARRAY(SELECT c.id FROM csm.cases c
                  WHERE c.id = ANY (ARRAY(SELECT u.case_id FROM unnest(claimed) u WHERE u.case_id IS NOT NULL))
                  ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED);
    DELETE FROM csm.timers d USING unnest(claimed) u
    WHERE d.kind = u.kind AND d.object_id = u.object_id AND d.tenant_id = u.tenant_id
      AND (u.case_id IS NULL OR u.case_id = ANY (free));
    FOREACH t IN ARRAY claimed LOOP
        IF t.case_id IS NOT NULL AND t.case_id <> ALL (free) THEN
            outcomes := outcomes || 'busy'::text;
            CONTINUE;
        ELSIF t.kind = 'auto_close_reminder' THEN
            reminders := reminders || t.object_id;
        ELSIF t.kind = 'auto_close' THEN
            closings := closings || t.object_id;
        ELSIF t.kind = 'follow_parent' THEN
            followers := followers || t.object_id;
        ELSE
            PERFORM csm_private.run_timer(t, at);
        END IF;
        outcomes := outcomes || 'done'::text;
    END LOOP;
    IF reminders IS NOT NULL THEN
        PERFORM csm_private.due_auto_close_reminder(reminders, at);
    END IF;
    IF closings IS NOT NULL THEN
        PERFORM csm_private.due_auto_close(closings, at);
    END IF;
    IF followers IS NOT NULL THEN
        PERFORM csm_private.due_follow_parent(followers, at);
    END IF;
    RETURN outcomes;
END $$;
DROP FUNCTION csm_private.copy_entry(csm.cases, bigint);
DROP FUNCTION csm_private.due_follow_parent(bigint, bigint, timestamptz);
CREATE OR REPLACE FUNCTION csm_private.pass_down(tenant_id bigint, case_id bigint, fields text[], entry_id bigint, closes boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO csm.major_changes (tenant_id, case_id, fields, entry_id, closes)
    VALUES (tenant_id, case_id, fields, entry_id, closes);
    INSERT INTO csm.timers AS t (tenant_id, kind, object_id, case_id, due_at)
    SELECT c.tenant_id, 'follow_parent', c.id, c.id, clock_timestamp()
    FROM csm.case_children k JOIN csm.cases c ON c.id = k.case_id AND c.tenant_id = k.tenant_id
    -- not by "=", which could make the planner read all children for each of them
    WHERE k.parent_id = pass_down.case_id AND k.tenant_id = pass_down.tenant_id AND c.parent_id IS NOT DISTINCT FROM k.parent_id
      AND c.state_class NOT IN ('closed', 'cancelled')
    ORDER BY c.id
    ON CONFLICT ON CONSTRAINT timers_pkey DO UPDATE SET due_at = excluded.due_at, attempts = 0, error = NULL;
END $$;
CREATE OR REPLACE FUNCTION csm_private.copy_entry(children bigint[], e csm.case_entries) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    copy_of CONSTANT text := CASE WHEN e.idempotency_key ~ '^parent:[0-9]+$' AND e.author_id IS NULL THEN e.idempotency_key
                                  ELSE 'parent:' || e.id END;
    -- children whose entry is the first of them get none
    receiving CONSTANT bigint[] := ARRAY(
        SELECT c FROM unnest(children) c
        WHERE NOT EXISTS (SELECT FROM csm.case_entries x WHERE x.case_id = c AND x.author_id IS NULL AND x.idempotency_key = copy_of)
          AND NOT EXISTS (SELECT FROM csm.case_entries x WHERE x.id = split_part(copy_of, ':', 2)::bigint AND x.case_id = c)
        ORDER BY c);
BEGIN
    PERFORM csm_private.begin_notes(receiving);
    INSERT INTO csm.case_entries (tenant_id, case_id, body, visibility, idempotency_key)
    SELECT e.tenant_id, c, e.body, e.visibility, copy_of FROM unnest(receiving) c;
    PERFORM csm_private.end_many();
    RETURN receiving;
END $$;
CREATE OR REPLACE FUNCTION csm_private.follow_parent(tenant_id bigint, parent_id bigint, followed bigint, children bigint[], relays boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm.cases;
    missed record;
    e csm.case_entries;
    changed text[];
    writing bigint[];
    noted bigint[] := '{}'::bigint[];
BEGIN
    SELECT max(m.id) AS last, coalesce(bool_or(m.closes), false) AS closes,
           coalesce(array_agg(m.entry_id ORDER BY m.id) FILTER (WHERE m.entry_id IS NOT NULL), '{}') AS entries,
           string_to_array(string_agg(array_to_string(m.fields, ','), ',') FILTER (WHERE m.fields <> '{}'), ',') AS fields
      INTO missed FROM csm.major_changes m
     WHERE m.case_id = follow_parent.parent_id AND m.tenant_id = follow_parent.tenant_id AND m.id > follow_parent.followed;
    IF missed.last IS NULL THEN
        RETURN;
    END IF;
    -- not by "=", which could make the planner read all children of the parent
    UPDATE csm.case_children x SET followed = missed.last
    WHERE x.case_id = ANY (children) AND x.parent_id IS NOT DISTINCT FROM follow_parent.parent_id AND x.tenant_id = follow_parent.tenant_id;
    SELECT * INTO p FROM csm.cases x WHERE x.id = parent_id AND x.tenant_id = follow_parent.tenant_id;
    children := ARRAY(SELECT x.id FROM csm.cases x
                      WHERE x.id = ANY (children) AND x.state_class NOT IN ('resolved', 'closed', 'cancelled') ORDER BY x.id);
    IF children = '{}' THEN
        RETURN;
    END IF;

    IF missed.fields IS NOT NULL THEN
        SELECT array_agg(DISTINCT x.id), array_agg(DISTINCT f) INTO writing, changed
        FROM csm.cases x CROSS JOIN unnest(missed.fields) f
        WHERE x.id = ANY (children)
          AND CASE f WHEN 'priority' THEN x.priority <> p.priority
                     WHEN 'resolution_code' THEN x.resolution_code IS DISTINCT FROM p.resolution_code
                     WHEN 'resolution_notes' THEN x.resolution_notes IS DISTINCT FROM p.resolution_notes
                     ELSE false END;
        IF writing IS NOT NULL THEN
            PERFORM csm_private.begin_systems(writing);
            UPDATE csm.cases x SET
                priority = CASE WHEN 'priority' = ANY (changed) THEN p.priority ELSE x.priority END,
                resolution_code = CASE WHEN 'resolution_code' = ANY (changed) THEN p.resolution_code ELSE x.resolution_code END,
                resolution_notes = CASE WHEN 'resolution_notes' = ANY (changed) THEN p.resolution_notes ELSE x.resolution_notes END
            WHERE x.id = ANY (writing);
            PERFORM csm_private.end_many();
            IF relays THEN
                PERFORM csm_private.pass_down(tenant_id, children[1], changed, NULL, false);
            END IF;
        END IF;
    END IF;
    FOR e IN SELECT x.* FROM unnest(missed.entries) WITH ORDINALITY AS m(id, n)
             JOIN csm.case_entries x ON x.id = m.id AND x.tenant_id = follow_parent.tenant_id ORDER BY m.n LOOP
        writing := csm_private.copy_entry(children, e);
        IF e.visibility = 'internal' THEN
            noted := noted || writing;
        END IF;
        IF relays AND writing <> '{}' THEN
            PERFORM csm_private.pass_down(tenant_id, children[1], '{}', (SELECT max(x.id) FROM csm.case_entries x WHERE x.case_id = children[1]), false);
        END IF;
    END LOOP;
    -- R 2.5: a work note has landed on a child of a major case.
    writing := ARRAY(SELECT x.id FROM csm.cases x WHERE x.id = ANY (noted) AND NOT x.needs_attention ORDER BY x.id);
    IF writing <> '{}' THEN
        PERFORM csm_private.begin_systems(writing);
        UPDATE csm.cases x SET needs_attention = true WHERE x.id = ANY (writing);
        PERFORM csm_private.end_many();
    END IF;
    writing := ARRAY(SELECT x.id FROM csm.cases x WHERE x.id = ANY (children) AND x.state_class <> 'draft' ORDER BY x.id);
    IF missed.closes AND writing <> '{}' THEN
        PERFORM csm_private.begin_acts(writing, 'close_with_parent');
        UPDATE csm.cases x SET resolution_code = coalesce(p.resolution_code, x.resolution_code),
            resolution_notes = coalesce(p.resolution_notes, x.resolution_notes)
        WHERE x.id = ANY (writing);
        PERFORM csm_private.say_as_system_to_all(writing, 'major_text',
            'The cause that this case has in common with others was dealt with; it is closed with them.');
        IF relays THEN
            PERFORM csm_private.pass_down(tenant_id, children[1], '{}', NULL, true);
        END IF;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION csm_private.due_follow_parent(case_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g record;
BEGIN
    FOR g IN
        WITH child AS (
            SELECT k.tenant_id, k.parent_id, k.followed, c.id,
                   c.major_state IS DISTINCT FROM 'accepted'
                   AND EXISTS (SELECT FROM csm.case_children x WHERE x.parent_id = c.id AND x.tenant_id = c.tenant_id)
                   AND csm_private.major_recursive(c.tenant_id) AS relays
            FROM unnest(case_ids) u JOIN csm.cases c ON c.id = u
            JOIN csm.case_children k ON k.case_id = c.id AND k.parent_id IS NOT DISTINCT FROM c.parent_id AND k.tenant_id = c.tenant_id
        )
        SELECT h.tenant_id, h.parent_id, h.followed, h.relays, array_agg(h.id ORDER BY h.id) AS children
        FROM child h GROUP BY h.tenant_id, h.parent_id, h.followed, h.relays, CASE WHEN h.relays THEN h.id END
        ORDER BY min(h.id)
    LOOP
        PERFORM csm_private.follow_parent(g.tenant_id, g.parent_id, g.followed, g.children, g.relays);
    END LOOP;
END $$;
ALTER FUNCTION csm_private.begin_systems(bigint[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.begin_systems(bigint[]) FROM PUBLIC;
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.entry_family()', 'AFTER INSERT trigger of csm.case_entries: calls csm_private.family_entry() where the case was proposed or accepted as a major case'),
        ('csm_private.copy_entry(bigint[], csm.case_entries)', 'Copies an entry of the parent onto its children, once; returns those that did not have it'),
        ('csm_private.follow_parent(bigint, bigint, bigint, bigint[], boolean)', 'Children that have followed their parent up to the same change take over what it wrote down since'),
        ('csm_private.due_follow_parent(bigint[], timestamptz)', 'Handler: children take over what their parents wrote down')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
-- 94_receive_email.sql: the line above which one answers, in the language of the message
CREATE OR REPLACE FUNCTION csm_private.mail_setting(tenant_id bigint, key text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(t.settings -> 'mail_in' ->> mail_setting.key,
                    CASE mail_setting.key WHEN 'trust' THEN 'dmarc' WHEN 'unknown' THEN 'refuse' WHEN 'closed' THEN 'refuse'
                         WHEN 'opens' THEN 'true' WHEN 'case_type' THEN 'case' WHEN 'per_sender' THEN '20' END)
    FROM csm.tenants t WHERE t.id = mail_setting.tenant_id
$$;
CREATE OR REPLACE FUNCTION csm_private.mail_markers(tenant_id bigint, language text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.own = '' THEN '{}'
                WHEN lower(mail_markers.language) ~ '^de(-|$)' THEN array_remove(ARRAY[s.own, s.de, s.en], NULL)
                ELSE array_remove(ARRAY[s.own, s.en, s.de], NULL) END
    FROM (SELECT t.settings -> 'mail_in' ->> 'marker' AS own, '-- Please write above this line --' AS en,
                 '-- Bitte oberhalb dieser Zeile antworten --' AS de
          FROM csm.tenants t WHERE t.id = mail_markers.tenant_id) s
$$;
CREATE OR REPLACE FUNCTION csm_private.mail_reply(given text, markers text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    said text := given;
    marker text;
    lines text[];
    quoted boolean := false;
    n integer;
BEGIN
    FOREACH marker IN ARRAY markers LOOP
        IF strpos(said, marker) > 0 THEN
            quoted := true;
            said := regexp_replace(left(said, strpos(said, marker) - 1), '[^\n]*$', '');
        END IF;
    END LOOP;
    lines := string_to_array(said, E'\n');
    n := coalesce(cardinality(lines), 0);
    WHILE n > 0 AND lines[n] ~ '^\s*(>.*)?$' LOOP
        quoted := quoted OR lines[n] ~ '>';
        n := n - 1;
    END LOOP;
    IF quoted AND n > 0 AND lines[n] ~ '[:：]\s*$' THEN
        n := n - 1;
    END IF;
    RETURN btrim(array_to_string(lines[1:n], E'\n'), E' \t\n');
END $$;
CREATE OR REPLACE FUNCTION csm_private.judge_mail(e csm.email_log, mail jsonb) RETURNS csm.email_log
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token_shape CONSTANT text := '(^|[^0-9a-z])[0-9a-f]{40}(?![0-9a-z])';
    trust CONSTANT text := csm_private.mail_setting(e.tenant_id, 'trust');
    target record;
    person CONSTANT bigint := csm_private.mail_person(e.tenant_id, e.from_address);
    proven boolean := trust = 'any' OR lower(mail #>> '{authentication,dmarc}') = 'pass';
    said text;
    done jsonb;
    failure text;
BEGIN
    SELECT t.* INTO target FROM csm_private.mail_token_target(mail ->> 'to') t;
    IF target.case_id IS NULL AND lower(mail ->> 'to') ~ token_shape THEN
        -- a token that csm never made: no more is said of it than of a hidden case
        target.case_id := 0;
    ELSIF target.case_id IS NULL THEN
        SELECT t.* INTO target FROM csm_private.mail_token_target(concat_ws(' ', mail ->> 'in_reply_to', mail ->> 'references')) t;
    END IF;
    IF target.tenant_id <> e.tenant_id THEN
        target.case_id := 0;
    END IF;
    proven := coalesce(proven, false) OR coalesce(trust = 'token' AND target.user_id = person AND target.case_id <> 0, false);

    -- Counted apart, so that nobody uses up another's mails in his name.
    IF NOT csm_private.attempt('mail_in', concat_ws(' ', e.tenant_id, proven, e.from_address),
                               csm_private.mail_setting(e.tenant_id, 'per_sender')::integer, interval '1 hour') THEN
        e.status := 'refused';
        e.reason := 'too_many';
        RETURN e;
    ELSIF NOT proven THEN
        e.status := 'refused';
        e.reason := 'unauthenticated';
        RETURN e;
    ELSIF person IS NULL THEN
        e.status := CASE csm_private.mail_setting(e.tenant_id, 'unknown') WHEN 'queue' THEN 'queued' ELSE 'refused' END;
        e.reason := 'unknown_sender';
        RETURN e;
    END IF;
    e.user_id := person;
    IF target.case_id = 0 THEN
        e.status := 'refused';
        e.reason := 'not_permitted';
        e.detail := 'the token that it carries stands for nothing';
        RETURN e;
    END IF;
    e.case_id := target.case_id;

    said := csm_private.mail_reply(e.body, csm_private.mail_markers(e.tenant_id, NULL));
    BEGIN
        done := csm_private.as_person(person, csm_private.role_of_person(person, e.tenant_id), 'csm_private.mail_act(jsonb)',
            jsonb_build_object('case_id', target.case_id, 'subject', coalesce(nullif(e.subject, ''), '(no subject)'),
                'text', e.body, 'reply', said, 'attachments', coalesce(nullif(mail -> 'attachments', 'null'), '[]'),
                'opens', csm_private.mail_setting(e.tenant_id, 'opens'), 'closed', csm_private.mail_setting(e.tenant_id, 'closed'),
                'case_type', csm_private.mail_setting(e.tenant_id, 'case_type'),
                -- what came in before under an id that this mail names, the nearest first
                'candidates', (SELECT coalesce(jsonb_agg(l.case_id ORDER BY w.n DESC), '[]')
                               FROM (SELECT m.id[1] AS id, m.n
                                     FROM regexp_matches(concat_ws(' ', mail ->> 'references', mail ->> 'in_reply_to'), '<[^<>[:space:]]+>', 'g')
                                          WITH ORDINALITY m(id, n) ORDER BY m.n DESC LIMIT 50) w
                               JOIN csm.email_log l ON l.tenant_id = e.tenant_id AND l.message_id = w.id AND l.status IN ('opened', 'commented')),
                'numbers', (SELECT coalesce(jsonb_agg(DISTINCT upper(m.word[1])), '[]')
                            FROM (SELECT r.word FROM regexp_matches(e.subject, '\m([A-Za-z]{1,8}[0-9]{1,30})\M', 'g') r(word) LIMIT 5) m)));
    EXCEPTION
        WHEN insufficient_privilege OR data_exception OR integrity_constraint_violation OR SQLSTATE 'SM001' OR SQLSTATE 'SM002'
             OR SQLSTATE 'SM003' OR SQLSTATE 'SM004' OR SQLSTATE 'SM005' OR SQLSTATE 'SM006' OR SQLSTATE 'SM007' THEN
            GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT;
            e.detail := left(SQLSTATE || ': ' || failure, 1000);
            done := jsonb_build_object('refused', CASE WHEN SQLSTATE IN ('42501', 'SM001') THEN 'not_permitted' WHEN SQLSTATE = 'SM004' THEN 'case_closed'
                                                       WHEN SQLSTATE = 'SM007' THEN 'quota' ELSE 'not_accepted' END);
    END;
    IF done ? 'refused' THEN
        e.status := 'refused';
        e.reason := done ->> 'refused';
        e.detail := coalesce(e.detail, done ->> 'detail');
        RETURN e;
    END IF;
    e.status := done ->> 'status';
    e.case_id := (done ->> 'case_id')::bigint;
    e.entry_id := (done ->> 'entry_id')::bigint;
    e.attached := (done ->> 'attached')::integer;
    e.not_attached := (done ->> 'not_attached')::integer;
    e.subject := NULL;
    e.body := NULL;
    RETURN e;
END $$;
CREATE OR REPLACE FUNCTION csm.next_notifications(channel text DEFAULT 'email', "limit" integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS TABLE (id bigint, tenant_id bigint, user_id bigint, recipient text, case_id bigint, kind text, language text,
               subject text, body text, message_id text, thread_id text, reply_to text, list_unsubscribe text,
               reply_token text, unsubscribe_token text, attempts integer, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine CONSTANT bigint := csm_private.sender_tenant();
    at_time CONSTANT timestamptz := clock_timestamp();
    most_attempts CONSTANT integer := 10;
    -- Those that are withheld do not count, but not without end in one call.
    rounds integer := 10;
    wanted integer := next_notifications."limit";
    claimed bigint[];
    of record;
    n csm.notifications;
    message jsonb;
BEGIN
    IF next_notifications.channel IS NULL OR wanted IS NULL OR wanted NOT BETWEEN 1 AND 1000 OR lease IS NULL OR lease < interval '1 second' THEN
        RAISE EXCEPTION 'limit of csm.next_notifications() must be between 1 and 1000, and the lease at least a second' USING ERRCODE = '22023',
            DETAIL = format('They are %s and %s.', coalesce(wanted::text, 'null'), coalesce(lease::text, 'null')),
            HINT = 'Leave them out for 100 messages and five minutes.';
    END IF;
    WHILE wanted > 0 AND rounds > 0 LOOP
        rounds := rounds - 1;
        WITH free AS (
            SELECT o.id, o.tenant_id, o.attempts FROM csm.notifications o
            WHERE o.state = 'waiting' AND o.channel = next_notifications.channel AND (mine IS NULL OR o.tenant_id = mine)
              AND (o.claimed_until IS NULL OR o.claimed_until <= at_time)
            ORDER BY o.id LIMIT wanted FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE csm.notifications o
            SET state = CASE WHEN f.attempts < most_attempts THEN 'waiting' ELSE 'failed' END,
                error = CASE WHEN f.attempts < most_attempts THEN o.error ELSE coalesce(o.error, 'never acknowledged') END,
                claimed_until = CASE WHEN f.attempts < most_attempts THEN at_time + lease END,
                attempts = least(f.attempts + 1, most_attempts)
            FROM free f WHERE o.id = f.id AND o.tenant_id = f.tenant_id
            RETURNING o.id
        )
        SELECT array_agg(t.id) INTO claimed FROM taken t;
        EXIT WHEN claimed IS NULL;
        FOR of IN
            SELECT o AS notification, u AS person, t.settings
            FROM csm.notifications o
            JOIN csm.users u ON u.id = o.user_id AND u.tenant_id = o.tenant_id
            JOIN csm.tenants t ON t.id = o.tenant_id
            WHERE o.id = ANY (claimed) AND o.state = 'waiting' ORDER BY o.id
        LOOP
            n := of.notification;
            -- One that cannot be put together must not hold up the others.
            BEGIN
                message := csm_private.message_for(n, of.person);
            EXCEPTION WHEN OTHERS THEN
                UPDATE csm.notifications o SET error = 'could not be put together: ' || SQLSTATE WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END;
            IF message IS NULL THEN
                UPDATE csm.notifications o SET state = 'withheld', claimed_until = NULL WHERE o.id = n.id AND o.tenant_id = n.tenant_id;
                CONTINUE;
            END IF;
            wanted := wanted - 1;
            id := n.id;
            tenant_id := n.tenant_id;
            user_id := n.user_id;
            recipient := CASE n.channel WHEN 'email' THEN (of.person).email END;
            case_id := n.case_id;
            kind := n.kind;
            language := message ->> 'language';
            subject := message ->> 'subject';
            -- Where answers come back, above the line from which on they are cut.
            body := concat(CASE WHEN n.channel = 'email' AND of.settings -> 'notifications' ? 'domain'
                                THEN (csm_private.mail_markers(n.tenant_id, language))[1] || E'\n\n' END, message ->> 'body');
            attempts := n.attempts;
            created_at := n.created_at;
            SELECT h.reply_token, h.message_id, h.thread_id, h.reply_to, h.unsubscribe_token, h.list_unsubscribe
            INTO reply_token, message_id, thread_id, reply_to, unsubscribe_token, list_unsubscribe
            FROM csm_private.notification_headers(n, of.settings) h;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
DROP FUNCTION csm_private.mail_reply(text, text);
ALTER FUNCTION csm_private.mail_markers(bigint, text) OWNER TO csm_owner;
ALTER FUNCTION csm_private.mail_reply(text, text[]) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.mail_markers(bigint, text), csm_private.mail_reply(text, text[]) FROM PUBLIC;

-- Events of articles, questions and publications.
ALTER TABLE csm.events ALTER COLUMN case_id DROP NOT NULL,
    ADD COLUMN article_id bigint, ADD COLUMN question_id bigint, ADD COLUMN answer_id bigint, ADD COLUMN publication_id bigint,
    ADD CONSTRAINT events_subject_check CHECK (num_nonnulls(case_id, article_id, question_id, publication_id) = 1
        AND (answer_id IS NULL OR question_id IS NOT NULL));
ALTER TABLE csm.event_subscribers ADD COLUMN subjects text[] NOT NULL DEFAULT '{case}',
    ADD CONSTRAINT event_subscribers_subjects_check CHECK (subjects <@ '{case,article,question,publication}'::text[] AND cardinality(subjects) > 0);
GRANT INSERT (subjects), UPDATE (subjects) ON csm.event_subscribers TO csm_admin;
CREATE OR REPLACE FUNCTION csm.next_events(subscriber text, "limit" integer DEFAULT 100) RETURNS SETOF csm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Hidden events are passed by, but not without end in one call.
    most CONSTANT integer := 100000;
    s csm.event_subscribers := csm_private.own_subscriber(subscriber);
    of_cases CONSTANT boolean := 'case' = ANY (s.subjects);
    of_others CONSTANT boolean := s.subjects && '{article,question,publication}'::text[];
    found record;
    n integer := 0;
    skipped bigint := s.position;
    handed bigint := s.delivered;
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit of csm.next_events() must be between 1 and 10000' USING ERRCODE = '22023',
            DETAIL = format('It is %s.', coalesce("limit"::text, 'null')), HINT = 'Ask for what you can handle before you acknowledge.';
    END IF;
    PERFORM csm_private.give_positions(s.tenant_id);
    FOR found IN
        SELECT e, e.position AS at,
               (s.kinds IS NULL OR e.kind = ANY (s.kinds))
               AND CASE WHEN e.case_id IS NOT NULL
                        THEN of_cases AND (s.case_types IS NULL OR c.case_type = ANY (s.case_types))
                             AND csm_private.case_allows(c, CASE e.audience WHEN 'internal' THEN 'case_work' ELSE 'case_read' END)
                             AND (e.audience <> 'private' OR csm_private.case_side_allows(c, e.side))
                        ELSE of_others AND csm_private.event_allows(e, s.subjects) END AS wanted
        FROM csm.events e LEFT JOIN csm.cases c ON c.id = e.case_id AND c.tenant_id = e.tenant_id
        WHERE e.tenant_id = s.tenant_id AND e.position > s.position
        ORDER BY e.position LIMIT most
    LOOP
        IF found.wanted THEN
            n := n + 1;
            handed := greatest(handed, found.at);
            RETURN NEXT found.e;
            EXIT WHEN n = "limit";
        ELSIF n = 0 THEN
            skipped := found.at;
        END IF;
    END LOOP;
    handed := greatest(handed, skipped);
    IF (skipped, handed) IS DISTINCT FROM (s.position, s.delivered)
       OR s.asked_at IS NULL OR s.asked_at < clock_timestamp() - interval '1 minute' THEN
        UPDATE csm.event_subscribers x SET position = skipped, delivered = handed, asked_at = clock_timestamp()
        WHERE x.id = s.id AND x.tenant_id = s.tenant_id;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION csm_private.post_allows(p csm_private.posts) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(p.tenant_id = csm.current_tenant_id() AND csm.audience_allows(p.audience_id, 'read')
                    AND (p.shown OR p.author_id = csm.current_user_id() OR csm.audience_allows(p.audience_id, 'moderate')), false);
END $$;
ALTER FUNCTION csm_private.post_allows(csm_private.posts) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.post_allows(csm_private.posts) FROM PUBLIC;
CREATE OR REPLACE FUNCTION csm_private.seen_post(kind text, post_id bigint) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p csm_private.posts;
BEGIN
    IF kind IS NULL OR kind NOT IN ('question', 'answer', 'comment') THEN
        RAISE EXCEPTION 'there is no kind of post "%"', coalesce(kind, 'NULL') USING ERRCODE = '22023',
            HINT = 'Kinds are question, answer and comment.';
    END IF;
    SELECT * INTO p FROM csm_private.posts x WHERE x.kind = kind AND x.id = post_id;
    IF NOT csm_private.post_allows(p) THEN
        RAISE EXCEPTION '% % does not exist', kind, coalesce(post_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    END IF;
    RETURN p;
END $$;
-- Events of articles, questions and publications, in the stream of csm.events.
--
-- As with cases, an id is taken while the row of the subject is locked: of the
-- article, of the question for its whole thread, of the publication.  Whether a
-- subscriber gets one is asked when it is handed out, of the same rules as the
-- policies of the subject; what ended is told to those who would read it if it
-- stood, so that who keeps a copy hears of it.

CREATE OR REPLACE FUNCTION csm_private.emit_about(tenant_id bigint, kind text, actor_id bigint, payload jsonb, article_id bigint DEFAULT NULL,
    question_id bigint DEFAULT NULL, answer_id bigint DEFAULT NULL, publication_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF csm_private.restoring() OR csm_private.importing() THEN
        RETURN;
    END IF;
    INSERT INTO csm.events (tenant_id, kind, actor_id, on_behalf_of, payload, article_id, question_id, answer_id, publication_id)
    VALUES (tenant_id, kind, actor_id, CASE WHEN actor_id = csm.current_user_id() THEN csm.on_behalf_of() END, payload,
            article_id, question_id, answer_id, publication_id);
    IF (SELECT t.settings -> 'event_notify' = 'true' FROM csm.tenants t WHERE t.id = tenant_id) THEN
        PERFORM pg_notify('csm_events', tenant_id::text);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION csm_private.event_allows(e csm.events, subjects text[]) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF e.article_id IS NOT NULL THEN
        RETURN 'article' = ANY (subjects)
           AND (csm_private.article_allows(e.article_id, e.tenant_id, 'read')
                OR e.kind = 'article_retired'
                   AND EXISTS (SELECT FROM csm.articles a WHERE a.id = e.article_id AND a.tenant_id = e.tenant_id
                               AND (a.is_public OR csm.audience_allows(a.audience_id, 'read'))));
    ELSIF e.publication_id IS NOT NULL THEN
        RETURN 'publication' = ANY (subjects)
           AND csm_private.publication_allows(e.publication_id, e.tenant_id, 'read')
            OR 'publication' = ANY (subjects) AND e.kind = 'publication_ended'
               AND EXISTS (SELECT FROM csm.publications p WHERE p.id = e.publication_id AND p.tenant_id = e.tenant_id
                           AND csm.audience_allows(p.audience_id, 'read'));
    ELSE
        RETURN 'question' = ANY (subjects)
           AND (SELECT csm_private.post_allows(p) FROM csm_private.posts p
                WHERE p.kind = CASE WHEN e.answer_id IS NULL THEN 'question' ELSE 'answer' END AND p.id = coalesce(e.answer_id, e.question_id));
    END IF;
END $$;

-- After the article has followed its version, whose update holds its row.  What
-- was planned is done by time, whoever runs the clock.
CREATE OR REPLACE FUNCTION csm_private.article_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_time CONSTANT boolean := CASE NEW.state WHEN 'published' THEN OLD.publish_at <= clock_timestamp() AND NEW.approved_by IS NOT DISTINCT FROM OLD.approved_by
                                               ELSE NEW.note = 'expired' AND OLD.note IS DISTINCT FROM 'expired' END;
BEGIN
    PERFORM csm_private.emit_about(a.tenant_id, 'article_' || NEW.state, CASE WHEN by_time IS TRUE THEN NULL ELSE csm.current_user_id() END,
        jsonb_build_object('base_id', a.base_id, 'number', a.number, 'language', a.language, 'version', NEW.version), article_id => a.id)
    FROM csm.articles a WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id;
    RETURN NULL;
END $$;
CREATE TRIGGER article_versions_40_events AFTER UPDATE OF state ON csm.article_versions
    FOR EACH ROW WHEN (NEW.state = 'published' AND OLD.state <> 'published' OR NEW.state = 'retired' AND OLD.state = 'published')
    EXECUTE FUNCTION csm_private.article_events();

-- A post that was held is asked, or answered, when a moderator lets it pass.
CREATE OR REPLACE FUNCTION csm_private.question_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM csm_private.emit_about(NEW.tenant_id, 'question_asked', NEW.author_id,
        jsonb_build_object('forum_id', NEW.forum_id, 'language', NEW.language), question_id => NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER questions_40_events AFTER INSERT ON csm.questions
    FOR EACH ROW WHEN (NEW.state = 'visible') EXECUTE FUNCTION csm_private.question_events();
CREATE TRIGGER questions_40_events_update AFTER UPDATE OF state ON csm.questions
    FOR EACH ROW WHEN (NEW.state = 'visible' AND OLD.state = 'held') EXECUTE FUNCTION csm_private.question_events();

CREATE OR REPLACE FUNCTION csm_private.answer_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    q csm.questions;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    SELECT * INTO q FROM csm.questions x WHERE x.id = NEW.question_id AND x.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
    IF TG_OP = 'INSERT' OR OLD.state = 'held' AND NEW.state = 'visible' THEN
        PERFORM csm_private.emit_about(NEW.tenant_id, 'question_answered', NEW.author_id,
            jsonb_build_object('forum_id', q.forum_id), question_id => q.id, answer_id => NEW.id);
    END IF;
    IF NEW.accepted AND (TG_OP = 'INSERT' OR NOT OLD.accepted) THEN
        PERFORM csm_private.emit_about(NEW.tenant_id, 'answer_accepted', csm.current_user_id(),
            jsonb_build_object('forum_id', q.forum_id), question_id => q.id, answer_id => NEW.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER answers_40_events AFTER INSERT ON csm.answers
    FOR EACH ROW WHEN (NEW.state = 'visible') EXECUTE FUNCTION csm_private.answer_events();
CREATE TRIGGER answers_40_events_update AFTER UPDATE OF state, accepted ON csm.answers
    FOR EACH ROW WHEN (NEW.state = 'visible' AND OLD.state = 'held' OR NEW.accepted AND NOT OLD.accepted) EXECUTE FUNCTION csm_private.answer_events();

CREATE OR REPLACE FUNCTION csm_private.publication_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_time CONSTANT boolean := CASE NEW.state WHEN 'published' THEN OLD.publish_at <= clock_timestamp()
                                               WHEN 'expired' THEN NEW.expires_at <= clock_timestamp() END;
BEGIN
    PERFORM csm_private.emit_about(NEW.tenant_id, CASE NEW.state WHEN 'published' THEN 'publication_published' ELSE 'publication_ended' END,
        CASE WHEN by_time IS TRUE THEN NULL ELSE csm.current_user_id() END,
        jsonb_build_object('series_id', NEW.series_id, 'state', NEW.state), publication_id => NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER publications_40_events AFTER UPDATE OF state ON csm.publications
    FOR EACH ROW WHEN ((NEW.state = 'published') <> (OLD.state = 'published')) EXECUTE FUNCTION csm_private.publication_events();

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT * FROM (VALUES
        ('csm_private.emit_about(bigint, text, bigint, jsonb, bigint, bigint, bigint, bigint)', 'Writes an event of an article, a question (or an answer to it) or a publication, whose row the caller has locked; nothing while restoring or importing. actor_id: NULL where time acts'),
        ('csm_private.event_allows(csm.events, text[])', 'Whether the caller gets an event that is not about a case: its subject is wanted, and he reads it, or would if it stood where the event says that it ended'),
        ('csm_private.article_events()', 'AFTER trigger of csm.article_versions: article_published, article_retired'),
        ('csm_private.question_events()', 'AFTER trigger of csm.questions: question_asked, when it is shown first'),
        ('csm_private.answer_events()', 'AFTER trigger of csm.answers: question_answered, when it is shown first; answer_accepted. Locks the question'),
        ('csm_private.publication_events()', 'AFTER trigger of csm.publications: publication_published, publication_ended')
    ) AS v(name, comment)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name, f.comment);
    END LOOP;
END $$;
-- 86_knowledge_use.sql: views of visitors count within limits
DROP FUNCTION csm.view_article(bigint, text);
DROP FUNCTION csm_private.note_view(csm.articles);
CREATE OR REPLACE FUNCTION csm_private.note_view(a csm.articles, source text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF a.id IS NOT NULL AND a.state = 'published'
       AND (csm.current_user_id() IS NOT NULL
            OR csm_private.attempt('article views', a.tenant_id || ' ' || left(csm_private.source_of(note_view.source), 200),
                                   CASE WHEN btrim(note_view.source) <> '' THEN 100 ELSE 10000 END, interval '1 hour')) THEN
        INSERT INTO csm_private.article_view_log (base_id, tenant_id, article_id) VALUES (a.base_id, a.tenant_id, a.id);
    END IF;
    RETURN true;
END $$;
CREATE OR REPLACE FUNCTION csm.view_article(article_id bigint, language text DEFAULT NULL, source text DEFAULT NULL) RETURNS csm.articles
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT x.a FROM (SELECT csm.article_in(view_article.article_id, view_article.language) AS a OFFSET 0) x
    WHERE csm_private.note_view(x.a, view_article.source);
END;
ALTER FUNCTION csm.view_article(bigint, text, text) OWNER TO csm_owner;
ALTER FUNCTION csm_private.note_view(csm.articles, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.view_article(bigint, text, text), csm_private.note_view(csm.articles, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.view_article(bigint, text, text), csm_private.note_view(csm.articles, text) TO csm_guest, csm_portal, csm_agent;

-- Search: time beside words in the indexes of words. They are built anew, which
-- takes a few minutes where there are millions of rows.
-- Search that may run below row-level security (src/csm_text.c, where the
-- argument for LEAKPROOF stands).

CREATE OR REPLACE FUNCTION csm_private.text_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_text_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.text_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.text_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches, csm.contains and csm.in_slices: index condition, selectivity';

-- Evaluated in index conditions, with the rights of whoever searches.
CREATE OR REPLACE FUNCTION csm_private.like_pattern(needle text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_like_pattern' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.like_pattern(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.like_pattern(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.like_pattern(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';

CREATE OR REPLACE FUNCTION csm.matches(document tsvector, query tsquery) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_matches' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.matches(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.matches(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.matches(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm.contains(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_contains' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 8
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.contains(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.contains(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.contains(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';

-- Time beside words, so that the newest rows are found without all of them
-- (src/csm_slice.c).
CREATE OR REPLACE FUNCTION csm.time_slice(at timestamptz) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_time_slice' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 1;
ALTER FUNCTION csm.time_slice(timestamptz) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.time_slice(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.time_slice(timestamptz) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.time_slice(timestamptz) IS
'Number of the slice of time, seven days, that a time lies in; slice 0 begins with the year 2000 (UTC). NULL for NULL';

CREATE OR REPLACE FUNCTION csm.time_slices(at timestamptz, public boolean) RETURNS bigint[]
AS 'MODULE_PATHNAME', 'csm_time_slices' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 1;
ALTER FUNCTION csm.time_slices(timestamptz, boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.time_slices(timestamptz, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.time_slices(timestamptz, boolean) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.time_slices(timestamptz, boolean) IS
'The slice of a time; for what is public also the same slice of those that hold nothing else, 4294967296 more, and slice 8589934592 that holds all of it. NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm.slice_start(slice bigint) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'csm_slice_start' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 1;
ALTER FUNCTION csm.slice_start(bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.slice_start(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.slice_start(bigint) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.slice_start(bigint) IS
'When a slice of time begins; infinite where no time lies; NULL for NULL';

CREATE OR REPLACE FUNCTION csm.in_slices(slices bigint[], first bigint, last bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_in_slices' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 12
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.in_slices(bigint[], bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.in_slices(bigint[], bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.in_slices(bigint[], bigint, bigint) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.in_slices(bigint[], bigint, bigint) IS
'Whether one of the slices is first to last. Beside csm.matches() it lets an index USING gin (search, (ARRAY[csm.time_slice(made_at)])) find the words of these slices alone; put the range of made_at into the query too, of which the order can make use. NULL if any argument is NULL';

CREATE OR REPLACE FUNCTION csm.next_slices(found bigint, wanted bigint, seen bigint) RETURNS bigint
AS 'MODULE_PATHNAME', 'csm_next_slices' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 1;
ALTER FUNCTION csm.next_slices(bigint, bigint, bigint) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.next_slices(bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.next_slices(bigint, bigint, bigint) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.next_slices(bigint, bigint, bigint) IS
'Of how many slices a search for the newest rows looks through next, that found so many of those wanted in the slices it has seen; NULL where all that is left is looked through at once';

-- The one way in which search columns are filled (src/csm_words.c).
CREATE OR REPLACE FUNCTION csm_private.search_vector(language text, a text, b text DEFAULT NULL, d text DEFAULT NULL) RETURNS tsvector
AS 'MODULE_PATHNAME', 'csm_search_vector' LANGUAGE c STABLE PARALLEL SAFE COST 100;
ALTER FUNCTION csm_private.search_vector(text, text, text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_vector(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.search_vector(text, text, text, text) IS
'A search column: words of up to three texts with weights A, B and D, stemmed for a language (a text search configuration, or a language tag such as de or pt-BR; unknown and NULL count as simple), with and without accents. NULL texts have no words; 100,000 characters of each text count';

CREATE OR REPLACE FUNCTION csm.search_query(query text, language text) RETURNS tsquery
AS 'MODULE_PATHNAME', 'csm_search_query' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20;
ALTER FUNCTION csm.search_query(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_query(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_query(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_query(text, text) IS
'What somebody typed (words, "a phrase", or, -not) as a query for csm.matches(), for texts of a language (a text search configuration or a language tag); accents make no difference. No input is an error; 1,000 characters count; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm_private.search_query_in(query text, languages text[], loose boolean) RETURNS tsquery
AS 'MODULE_PATHNAME', 'csm_search_query_in' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100;
ALTER FUNCTION csm_private.search_query_in(text, text[], boolean) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.search_query_in(text, text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.search_query_in(text, text[], boolean) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.search_query_in(text, text[], boolean) IS
'What somebody typed as a query in several languages (up to 8), joined by OR; loose: any two of its five longest words, one of them where it has two, nothing where it has one';

CREATE OR REPLACE FUNCTION csm.search_score(document tsvector, query tsquery) RETURNS real
AS 'MODULE_PATHNAME', 'csm_search_score' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50;
ALTER FUNCTION csm.search_score(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_score(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_score(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.search_score(tsvector, tsquery) IS
'How well a document answers a query, 0 to 1, from these two alone, so that no other row has a say: the share of the query that it holds, where a long word weighs more than a short one and a title (weight A) more than a text, and how close together the words stand';

-- Names in spite of typing errors (src/csm_resembles.c).
CREATE OR REPLACE FUNCTION csm_private.resembles_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_resembles_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.resembles_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.resembles_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.resembles_support(internal) IS 'Planner support of csm.resembles: index condition, selectivity';

CREATE OR REPLACE FUNCTION csm.resembles(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_resembles' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 20
SUPPORT csm_private.resembles_support;
ALTER FUNCTION csm.resembles(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.resembles(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.resembles(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.resembles(text, text) IS
'Whether haystack, a name or title, holds at least half of the trigrams of needle, so that a typing error does no harm; case makes no difference, NULL if either is NULL. Uses a pg_trgm index below row-level security where pg_trgm.word_similarity_threshold is 0.5 or less';

CREATE OR REPLACE FUNCTION csm.resemblance(haystack text, needle text) RETURNS real
AS 'MODULE_PATHNAME', 'csm_resemblance' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20;
ALTER FUNCTION csm.resemblance(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.resemblance(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.resemblance(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.resemblance(text, text) IS
'How much a name or title is like what was typed, 0 to 1: three quarters the share of needle''s trigrams that it holds, one quarter the share of its own that needle holds; NULL if either is NULL';

CREATE OR REPLACE FUNCTION csm.highlight(language text, document text, query text, words integer DEFAULT 30) RETURNS text
AS 'MODULE_PATHNAME', 'csm_highlight' LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000;
ALTER FUNCTION csm.highlight(text, text, text, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.highlight(text, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.highlight(text, text, text, integer) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.highlight(text, text, text, integer) IS
'The passage of a document that answers best what was typed, of about so many words (5 to 200), as HTML: everything the document holds is escaped, words that were found stand in <mark>. The first 50,000 characters count; NULL if any argument is NULL';
DROP INDEX csm.cases_search_idx, csm.articles_search_idx, csm.questions_search_idx;
CREATE INDEX cases_search_idx ON csm.cases USING gin (search, (ARRAY[csm.time_slice(opened_at)]));
CREATE INDEX articles_search_idx ON csm.articles USING gin (search, csm.time_slices(published_at, is_public));
CREATE INDEX questions_search_idx ON csm.questions USING gin (search, csm.time_slices(created_at, is_public));
GRANT SELECT (is_public) ON csm.questions TO csm_guest;
-- What is offered before anybody asks for it: suggestions while somebody types
-- his question (R A5, deflection), cases like this one with their solutions
-- (R A30, B55), passages for a chat bot, and what fields a case will have.
--
-- As in 88_search.sql everything runs with the caller's rights, and nothing
-- counts rows that he does not see.

-- ---- while typing ----

-- The last word is a fragment while it is being typed: it is looked for in
-- titles from three letters on, the words before it in the whole text.  Where
-- nothing has all words, some of them are looked for; where nothing has these
-- either, titles with half of the longest word: one mistake leaves the other
-- half whole.  Few candidates, the newest, because an answer is wanted before
-- the next key: windows of time as in 88_search.sql, until there are enough.

CREATE OR REPLACE FUNCTION csm_private.suggested_articles(kinds text[], strict tsquery, rest tsquery, loose tsquery, typed text, fragment text)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    word CONSTANT text := (SELECT w FROM regexp_split_to_table(typed, '[^[:alnum:]]+') w ORDER BY length(w) DESC, w LIMIT 1);
    visitor CONSTANT boolean := csm.current_user_id() IS NULL AND row_security_active('csm.articles');
    first_slice bigint;
    last_slice bigint;
    newest timestamptz;
    high timestamptz;
    first bigint;
    width bigint;
    q tsquery;
    needle text;
    most bigint;
    enough bigint;
    n bigint;
    more bigint;
    found_some boolean := false;
BEGIN
    IF NOT 'article' = ANY (kinds) THEN
        RETURN;
    END IF;
    newest := (SELECT a.published_at FROM csm.articles a WHERE a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
               ORDER BY a.published_at DESC, a.id DESC LIMIT 1);
    -- a title and the words before, all words, some words
    FOR attempt IN 1 .. 3 LOOP
        q := CASE attempt WHEN 1 THEN rest WHEN 2 THEN strict ELSE loose END;
        needle := CASE WHEN attempt = 1 THEN fragment END;
        CONTINUE WHEN CASE attempt WHEN 1 THEN length(fragment) < 3 ELSE numnode(q) = 0 OR found_some AND (attempt = 3 OR numnode(rest) = 0) END;
        most := CASE attempt WHEN 3 THEN 200 ELSE 50 END;
        enough := CASE attempt WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE 40 END;
        n := 0;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN CASE WHEN attempt = 1 AND numnode(q) > 0 THEN 8 ELSE 2 END END;
        WHILE n < enough AND high IS NOT NULL LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title,
                   round(CASE attempt WHEN 1 THEN 0.5 + 0.5 * csm.resemblance(a.title, typed) WHEN 2 THEN csm.search_score(a.search, strict)
                         ELSE 0.5 * csm.search_score(a.search, strict) END::numeric, 6)
            FROM (SELECT a.id, a.number, a.title, a.search FROM csm.articles a
                  WHERE (needle IS NULL OR csm.contains(a.title, needle)) AND (numnode(q) = 0 OR csm.matches(a.search, q))
                    AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
                    AND a.published_at BETWEEN coalesce(csm.slice_start(first), '-infinity') AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(a.published_at, a.is_public), first_slice, last_slice))
                  ORDER BY a.published_at DESC, a.id DESC LIMIT most - n) a;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            -- a fragment without words that is rare is found by its trigrams
            width := CASE WHEN numnode(q) > 0 OR n >= 5 THEN csm.next_slices(n, enough, csm.time_slice(newest) - first + 1) END;
            high := csm.slice_start(first) - interval '1 microsecond';
        END LOOP;
        found_some := found_some OR n > 0;
    END LOOP;

    IF NOT found_some AND length(word) >= 5 AND length(typed) <= 100 THEN
        RETURN QUERY
        SELECT 'article', a.id, a.number, a.title, round((0.5 * csm.resemblance(a.title, typed))::numeric, 6)
        FROM (SELECT a.id, a.number, a.title FROM csm.articles a
              WHERE (csm.contains(a.title, left(word, greatest(3, length(word) / 2))) OR csm.contains(a.title, right(word, (length(word) + 1) / 2)))
                AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
              ORDER BY a.published_at DESC, a.id DESC LIMIT 200) a
        WHERE csm.resembles(a.title, typed);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.suggested_articles(text[], tsquery, tsquery, tsquery, text, text) IS
'Articles of csm.suggest(): strict asks for all that was typed, rest for all but the last word, loose for some of it; fragment is the last word while it is typed';

CREATE OR REPLACE FUNCTION csm_private.suggested_questions(kinds text[], strict tsquery, rest tsquery, loose tsquery, typed text, fragment text)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    word CONSTANT text := (SELECT w FROM regexp_split_to_table(typed, '[^[:alnum:]]+') w ORDER BY length(w) DESC, w LIMIT 1);
    visitor CONSTANT boolean := csm.current_user_id() IS NULL AND row_security_active('csm.questions');
    first_slice bigint;
    last_slice bigint;
    newest timestamptz;
    high timestamptz;
    first bigint;
    width bigint;
    q tsquery;
    needle text;
    most bigint;
    enough bigint;
    n bigint;
    more bigint;
    found_some boolean := false;
BEGIN
    IF NOT 'question' = ANY (kinds) THEN
        RETURN;
    END IF;
    newest := (SELECT t.created_at FROM csm.questions t ORDER BY t.created_at DESC, t.id DESC LIMIT 1);
    FOR attempt IN 1 .. 3 LOOP
        q := CASE attempt WHEN 1 THEN rest WHEN 2 THEN strict ELSE loose END;
        needle := CASE WHEN attempt = 1 THEN fragment END;
        CONTINUE WHEN CASE attempt WHEN 1 THEN length(fragment) < 3 ELSE numnode(q) = 0 OR found_some AND (attempt = 3 OR numnode(rest) = 0) END;
        most := CASE attempt WHEN 3 THEN 200 ELSE 50 END;
        enough := CASE attempt WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE 40 END;
        n := 0;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN CASE WHEN attempt = 1 AND numnode(q) > 0 THEN 8 ELSE 2 END END;
        WHILE n < enough AND high IS NOT NULL LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title,
                   round(CASE attempt WHEN 1 THEN 0.5 + 0.5 * csm.resemblance(t.title, typed) WHEN 2 THEN csm.search_score(t.search, strict)
                         ELSE 0.5 * csm.search_score(t.search, strict) END::numeric * 0.9, 6)
            FROM (SELECT t.id, t.title, t.search FROM csm.questions t
                  WHERE (needle IS NULL OR csm.contains(t.title, needle)) AND (numnode(q) = 0 OR csm.matches(t.search, q))
                    AND t.search IS NOT NULL
                    AND t.created_at BETWEEN coalesce(csm.slice_start(first), '-infinity') AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(t.created_at, t.is_public), first_slice, last_slice))
                  ORDER BY t.created_at DESC, t.id DESC LIMIT most - n) t;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            -- a fragment without words that is rare is found by its trigrams
            width := CASE WHEN numnode(q) > 0 OR n >= 5 THEN csm.next_slices(n, enough, csm.time_slice(newest) - first + 1) END;
            high := csm.slice_start(first) - interval '1 microsecond';
        END LOOP;
        found_some := found_some OR n > 0;
    END LOOP;

    IF NOT found_some AND length(word) >= 5 AND length(typed) <= 100 THEN
        RETURN QUERY
        SELECT 'question', t.id, NULL::text, t.title, round((0.5 * csm.resemblance(t.title, typed))::numeric * 0.9, 6)
        FROM (SELECT t.id, t.title FROM csm.questions t
              WHERE (csm.contains(t.title, left(word, greatest(3, length(word) / 2))) OR csm.contains(t.title, right(word, (length(word) + 1) / 2)))
                AND t.search IS NOT NULL
              ORDER BY t.created_at DESC, t.id DESC LIMIT 200) t
        WHERE csm.resembles(t.title, typed);
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.suggested_questions(text[], tsquery, tsquery, tsquery, text, text) IS
'Questions of csm.suggest(), as csm_private.suggested_articles()';

-- Major cases that are open: few, so the text is looked at row by row.
CREATE OR REPLACE FUNCTION csm_private.suggested_cases(kinds text[], strict tsquery, loose tsquery)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE plpgsql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    IF 'case' = ANY (kinds) THEN
        RETURN QUERY
        SELECT 'case', c.id, c.number, c.subject, round((csm.search_score(c.search, strict))::numeric, 6)
        FROM csm.cases c
        WHERE c.major_state = 'accepted' AND c.state_class IN ('new', 'open', 'waiting')
          AND (csm.matches(c.search, strict) OR csm.matches(c.search, loose));
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.suggested_cases(text[], tsquery, tsquery) IS 'Open major cases of csm.suggest()';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.suggested_articles(text[], tsquery, tsquery, tsquery, text, text)',
                             'csm_private.suggested_questions(text[], tsquery, tsquery, tsquery, text, text)',
                             'csm_private.suggested_cases(text[], tsquery, tsquery)'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_guest, csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION csm.suggest(typed text, "limit" integer DEFAULT 5)
RETURNS TABLE (kind text, id bigint, number text, title text, score numeric)
LANGUAGE sql STABLE ROWS 5
BEGIN ATOMIC
    SELECT s.kind, s.id, s.number, s.title, max(s.score)
    FROM (SELECT t.typed, t.fragment, left(t.typed, length(t.typed) - length(t.fragment)) AS before
          FROM (SELECT left(suggest.typed, 400) AS typed, coalesce(substring(left(suggest.typed, 400) FROM '[[:alnum:]]+$'), '') AS fragment) t) a
    CROSS JOIN LATERAL csm_private.search_kinds('{article,case,question}', '{}') k
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
    CROSS JOIN LATERAL csm_private.search_query_in(a.before, l, false) rest
    CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, true) loose
    CROSS JOIN LATERAL (
        SELECT * FROM csm_private.suggested_articles(k, strict, rest, loose, btrim(a.typed), a.fragment)
        UNION ALL SELECT * FROM csm_private.suggested_questions(k, strict, rest, loose, btrim(a.typed), a.fragment)
        UNION ALL SELECT * FROM csm_private.suggested_cases(k, strict, loose)
    ) s
    WHERE btrim(a.typed) <> ''
    GROUP BY s.kind, s.id, s.number, s.title
    ORDER BY max(s.score) DESC, s.kind, s.id
    LIMIT greatest(least("limit", 20), 0);
END;
ALTER FUNCTION csm.suggest(text, integer) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.suggest(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.suggest(text, integer) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.suggest(text, integer) IS
'What may answer a question while it is typed: published articles, questions of the community and open major cases that the caller may read, best first, at most limit (up to 20). The last word counts from three letters on, unfinished; where nothing has the words, titles that resemble what was typed; 400 characters count. NULL and empty text: no row; no input is an error';

-- ---- cases like this one ----

CREATE OR REPLACE FUNCTION csm_private.case_to_compare(case_id bigint) RETURNS csm.cases
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c csm.cases;
BEGIN
    SELECT * INTO c FROM csm.cases x WHERE x.id = case_id;
    IF c.id IS NULL THEN
        RAISE EXCEPTION 'case % does not exist', coalesce(case_id::text, 'NULL') USING ERRCODE = 'SM001',
            HINT = 'Pass csm.cases.id of a case that you can see.';
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION csm_private.case_to_compare(bigint) IS 'The case, read with the caller''s rights; SM001 for a hidden and a missing one';

CREATE OR REPLACE FUNCTION csm_private.cases_like(this csm.cases, strict tsquery, loose tsquery, "limit" integer)
RETURNS TABLE (id bigint, number text, subject text, state_class text, resolution_code text, resolution_notes text, opened_at timestamptz,
    closed_at timestamptz, score numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    q CONSTANT tsquery := CASE WHEN numnode(loose) > 0 THEN loose ELSE strict END;
BEGIN
    IF numnode(q) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT c.id, c.number, c.subject, c.state_class, c.resolution_code, c.resolution_notes, c.opened_at, c.closed_at,
           round((0.7 * csm.search_score(c.search, strict)
                  + CASE WHEN c.resolution_notes IS NOT NULL THEN 0.2 ELSE 0 END
                  + CASE WHEN c.product_id = this.product_id THEN 0.05 ELSE 0 END
                  + CASE WHEN c.case_type = this.case_type THEN 0.05 ELSE 0 END)::numeric, 6) AS score
    FROM (SELECT c.* FROM csm.cases c
          WHERE csm.matches(c.search, q) AND c.id <> this.id
          ORDER BY c.opened_at DESC, c.id DESC LIMIT 300) c
    ORDER BY 9 DESC, c.id DESC LIMIT greatest(least("limit", 100), 0);
END $$;
COMMENT ON FUNCTION csm_private.cases_like(csm.cases, tsquery, tsquery, integer) IS
'Of the newest 300 cases of the caller that share words with this one, those that are most like it';

CREATE OR REPLACE FUNCTION csm.similar_cases(case_id bigint, "limit" integer DEFAULT 10)
RETURNS TABLE (id bigint, number text, subject text, state_class text, resolution_code text, resolution_notes text, opened_at timestamptz,
    closed_at timestamptz, score numeric)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT s.id, s.number, s.subject, s.state_class, s.resolution_code, s.resolution_notes, s.opened_at, s.closed_at, s.score
    FROM csm_private.case_to_compare(case_id) c
    CROSS JOIN LATERAL (SELECT regexp_replace(c.subject, '["-]', ' ', 'g') AS words) w
    CROSS JOIN LATERAL csm_private.cases_like(ROW(c.*)::csm.cases, csm_private.search_query_in(w.words, ARRAY[c.language], false),
                                              csm_private.search_query_in(w.words, ARRAY[c.language], true), "limit") s
    ORDER BY s.score DESC, s.id DESC;
END;
COMMENT ON FUNCTION csm.similar_cases(bigint, integer) IS
'Cases that the caller may read and whose subject or description shares words with the subject of this one, best first, at most limit (up to 100): solved ones, those of the same product and type first. With how they were solved, for the agent to take over. Of the newest 300 that share two words. Error SM001: no such case, hidden and missing alike';

-- ---- for a chat bot ----

CREATE OR REPLACE FUNCTION csm_private.answer_passage(kind text, id bigint, typed text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind = 'article' THEN
        RETURN (SELECT csm.highlight(a.language, a.body, typed, 100) FROM csm.articles a WHERE a.id = answer_passage.id);
    END IF;
    RETURN (SELECT csm.highlight(t.language, w.body, typed, 100) FROM csm.questions t
            JOIN csm.answers w ON w.question_id = t.id AND w.accepted WHERE t.id = answer_passage.id);
END $$;
COMMENT ON FUNCTION csm_private.answer_passage(text, bigint, text) IS
'Passage of an article, or of the accepted answer of a question, that answers best; NULL where the caller reads none';

CREATE OR REPLACE FUNCTION csm.answer(question text, "limit" integer DEFAULT 3)
RETURNS TABLE (kind text, id bigint, number text, title text, passage text, score numeric)
LANGUAGE sql STABLE ROWS 3
BEGIN ATOMIC
    SELECT h.kind, h.id, h.number, h.title, p, h.score
    FROM (
        SELECT x.kind, x.id, x.number, x.title, x.score, a.words
        FROM (SELECT btrim(regexp_replace(left(question, 1000), '["-]', ' ', 'g')) AS words) a
        CROSS JOIN LATERAL csm_private.search_kinds('{article,question}', '{}') k
        CROSS JOIN LATERAL csm_private.search_languages() l
        CROSS JOIN LATERAL csm_private.search_query_in(a.words, l, false) strict
        CROSS JOIN LATERAL csm_private.search_query_in(a.words, l, true) loose
        CROSS JOIN LATERAL (
            SELECT * FROM csm_private.search_articles(k, strict, loose, a.words, '{}')
            UNION ALL SELECT * FROM csm_private.search_questions(k, strict, loose, a.words, '{"answered": ["true"]}', clock_timestamp())
        ) x
        WHERE a.words <> ''
        ORDER BY x.score DESC, x.kind, x.id
        LIMIT greatest(least("limit", 10), 0)
    ) h
    CROSS JOIN LATERAL csm_private.answer_passage(h.kind, h.id, h.words) p
    WHERE p IS NOT NULL
    ORDER BY h.score DESC, h.kind, h.id;
END;
COMMENT ON FUNCTION csm.answer(text, integer) IS
'For a chat bot: passages that answer a question, best first, at most limit (up to 10), each with its source: a published article or a question whose accepted answer is quoted. Only what the caller may read, so the bot signs in as whom it talks to. passage is HTML as csm.highlight() gives it; score 0 to 1, half of it where only some words were found. No input is an error';

-- ---- plain statistics ----

CREATE OR REPLACE FUNCTION csm_private.guess_fields(q tsquery, strict tsquery)
RETURNS TABLE (field text, value text, share numeric, cases bigint)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    IF numnode(q) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH alike AS MATERIALIZED (
        SELECT c.case_type, c.priority, c.product_id, c.assigned_group_id, c.resolution_code
        FROM (SELECT c.* FROM csm.cases c WHERE csm.matches(c.search, q) AND c.state_class = 'closed' ORDER BY c.opened_at DESC, c.id DESC LIMIT 300) c
        ORDER BY csm.search_score(c.search, strict) DESC, c.id DESC LIMIT 100
    )
    SELECT DISTINCT ON (v.field) v.field, v.value, round(count(*)::numeric / sum(count(*)) OVER (PARTITION BY v.field), 4), count(*)
    FROM alike a CROSS JOIN LATERAL (VALUES ('case_type', a.case_type), ('priority', a.priority::text), ('product_id', a.product_id::text),
                                            ('assigned_group_id', a.assigned_group_id::text), ('resolution_code', a.resolution_code)) AS v(field, value)
    WHERE v.value IS NOT NULL
    GROUP BY v.field, v.value
    ORDER BY v.field, count(*) DESC, v.value;
    RETURN QUERY
    WITH alike AS MATERIALIZED (
        SELECT c.id, c.search, extract(epoch FROM c.closed_at - c.opened_at) / 3600 AS hours
        FROM csm.cases c WHERE csm.matches(c.search, q) AND c.state_class = 'closed' ORDER BY c.opened_at DESC, c.id DESC LIMIT 300
    ), nearest AS (SELECT a.hours FROM alike a ORDER BY csm.search_score(a.search, strict) DESC, a.id DESC LIMIT 100)
    SELECT x.field, round(x.value::numeric, 2)::text, NULL::numeric, x.cases
    FROM (SELECT 'hours_to_close_median' AS field, percentile_cont(0.5) WITHIN GROUP (ORDER BY n.hours) AS value, count(n.hours) AS cases FROM nearest n
          UNION ALL SELECT 'hours_to_close_90', percentile_cont(0.9) WITHIN GROUP (ORDER BY n.hours), count(n.hours) FROM nearest n) x
    WHERE x.cases > 0;
END $$;
COMMENT ON FUNCTION csm_private.guess_fields(tsquery, tsquery) IS 'Counts behind csm.predict_fields()';

CREATE OR REPLACE FUNCTION csm.predict_fields(words text)
RETURNS TABLE (field text, value text, share numeric, cases bigint)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT g.field, g.value, g.share, g.cases
    FROM (SELECT regexp_replace(left(predict_fields.words, 1000), '["-]', ' ', 'g') AS said) w
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.search_query_in(w.said, l, false) strict
    CROSS JOIN LATERAL csm_private.search_query_in(w.said, l, true) loose
    CROSS JOIN LATERAL csm_private.guess_fields(CASE WHEN numnode(loose) > 0 THEN loose ELSE strict END, strict) g
    ORDER BY g.field;
END;
COMMENT ON FUNCTION csm.predict_fields(text) IS
'What a case with such a subject will probably have, by the 100 closed cases of the caller that are most like it (of the newest 300 that share two words): for case_type, priority, product_id, assigned_group_id and resolution_code the commonest value, its share among those that have one, and how many cases that are; hours_to_close_median and hours_to_close_90, with the number of cases behind them. No row where there is nothing to go by';

DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY['csm_private.case_to_compare(bigint)', 'csm_private.cases_like(csm.cases, tsquery, tsquery, integer)',
                             'csm.similar_cases(bigint, integer)', 'csm_private.answer_passage(text, bigint, text)', 'csm.answer(text, integer)',
                             'csm_private.guess_fields(tsquery, tsquery)', 'csm.predict_fields(text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent, csm_admin', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.answer(text, integer), csm_private.answer_passage(text, bigint, text) TO csm_guest;
DROP FUNCTION csm_private.suggestions(text[], tsquery, tsquery, tsquery, text, text);

-- Everything above is created by hand; comments and the check of the whole come last.
COMMENT ON SCHEMA csm IS 'Customer service management: the public tables and functions';
COMMENT ON SCHEMA csm_private IS 'Internals of csm; no role but csm_owner has USAGE';
COMMENT ON SCHEMA csm_report IS 'Views for reporting: row-level security of the reader applies, no personal data';
COMMENT ON FUNCTION csm_private.schema_of(text) IS
'Quoted name of the schema in which an installed extension lives; NULL when it is not installed';
COMMENT ON FUNCTION csm_private.is_valid(tstzrange, timestamptz) IS
'Whether the range counts at the instant; NULL range: always';
COMMENT ON FUNCTION csm_private.next_change(tstzrange, timestamptz) IS
'First instant after the given one at which is_valid() can answer otherwise; NULL when it never will';
COMMENT ON FUNCTION csm.current_user_id() IS
'The signed-in person (csm.users.id); NULL when nobody is signed in, or the person or the tenant is disabled';
COMMENT ON FUNCTION csm.current_tenant_id() IS
'Tenant of the signed-in person; NULL when nobody is signed in';
COMMENT ON FUNCTION csm.guest_tenant_id() IS
'Tenant of a visitor who is not signed in: the one whose key stands in csm.tenant, by default the only tenant; NULL when somebody is signed in, the key is unknown, or the tenant is disabled';
COMMENT ON FUNCTION csm.default_tenant_id() IS
'Default of every tenant_id column: the tenant of the signed-in person; without identity the only tenant; error 22023 where there are several';
COMMENT ON FUNCTION csm.sign_out() IS
'Makes the session nobody, with no fallback to a mapped login role, until the setting is made anew or RESET ALL';
COMMENT ON FUNCTION csm.act_as(text) IS
'Narrows the rights of the transaction to one persona: contact:<id>, consumer, employee or staff:<role>; NULL lifts it. Error 22023 for text of another form; a well-formed persona that the person does not hold gives no rights';
COMMENT ON FUNCTION csm_private.access_support(internal) IS
'Planner support of the access predicates: index condition, selectivity, cost';
COMMENT ON FUNCTION csm.all_tenant(text) IS
'The tenant in which the person has reach "all" for the action in at least one branch; NULL when in none';
COMMENT ON FUNCTION csm.accounts_allowing(text) IS
'Sorted ids: accounts on which the action is allowed, or on a part of whose cases; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.accounts_known() IS
'Sorted ids: accounts on which the person has any right at all; empty for nobody';
COMMENT ON FUNCTION csm.requesters_allowing(text) IS
'Sorted ids: the person and those he speaks for (household members, represented persons, persons on whose team he is); empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.openers_allowing(text) IS
'Sorted ids: the person himself when opening a case can give him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.internal_contacts_allowing(text) IS
'Sorted ids: the person himself when being the internal contact of a case gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_accounts_allowing(text) IS
'Sorted ids: partner accounts through which cases that name the partner account admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.partner_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids through which cases that name him as partner contact admit the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.households_allowing(text) IS
'Sorted ids: households that the person heads, or on whose team he is; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.organizations_allowing(text) IS
'Sorted ids: service organisations in the person''s reach; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.shared_cases_allowing(text) IS
'Sorted ids: cases shared with the person or one of his accounts; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparties_allowing(text) IS
'Sorted ids: accounts for which the person may act as the counterparty of a dispute; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.counterparty_contacts_allowing(text) IS
'Sorted ids: the person''s contact ids, when being named as the counterparty''s contact gives him the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.parties_allowing(text) IS
'Sorted keys of csm.cases.party_keys through which the person may have the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm_private.party_keys(bigint, bigint, bigint, bigint, bigint, bigint, bigint) IS
'The rarer parties of a case as one array (id * 8 + kind), NULL when there are none: one index and one arm of the policy serve them all';
COMMENT ON FUNCTION csm.party_allows(bigint[], text, bigint, timestamptz, timestamptz, text) IS
'True where any party in csm.cases.party_keys admits the action, each by its own rule: partner_allows, partner_contact_allows, household_allows, internal_contact_allows, organization_allows, and, once the case is submitted, counterparty_allows and counterparty_contact_allows';
COMMENT ON FUNCTION csm.all_in(bigint, text, text) IS
'True where the person has reach "all" for the action in the branch (b2b, b2c, internal) of that tenant';
COMMENT ON FUNCTION csm.account_allows(bigint, text) IS
'True where the person may do the action on every case and record of the account; an account of which he may see cases only from a date on is left out';
COMMENT ON FUNCTION csm.account_allows(bigint, timestamptz, text) IS
'As account_allows(bigint, text), and for an account of a partner relationship with history_from, from that instant on';
COMMENT ON FUNCTION csm.account_known(bigint) IS
'True where the person has any right on the account';
COMMENT ON FUNCTION csm.requester_allows(bigint, text, bigint, text) IS
'True for the person''s own cases while the persona behind them is valid (V4), and for b2c cases of those he speaks for (V6); account_id may be NULL';
COMMENT ON FUNCTION csm.opener_allows(bigint, text, bigint, text) IS
'True for cases that the person opened, while the persona he opened them through is valid (V4); account_id may be NULL';
COMMENT ON FUNCTION csm.internal_contact_allows(bigint, text, text) IS
'True where the person is the internal contact of the case and holds a staff role with reach own';
COMMENT ON FUNCTION csm.partner_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person''s partner account, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.partner_contact_allows(bigint, bigint, text) IS
'True for cases of a customer that name the person as partner contact, while the relationship is current (V5)';
COMMENT ON FUNCTION csm.household_allows(bigint, text) IS
'True for the household that the person heads, or on whose team he is';
COMMENT ON FUNCTION csm.organization_allows(bigint, text, text) IS
'True for service organisations in the person''s reach, less the excluded subtrees';
COMMENT ON FUNCTION csm.shared_case_allows(bigint, text) IS
'True for a case shared with the person or one of his accounts, as far as the share''s capabilities go (V7)';
COMMENT ON FUNCTION csm.counterparty_allows(bigint, timestamptz, text) IS
'True where the person acts for the account against which a dispute is raised: by role, or as any contact where the account has neither manager nor admin (V8)';
COMMENT ON FUNCTION csm.counterparty_contact_allows(bigint, text) IS
'True where the person is the named contact of the counterparty (V8)';
COMMENT ON FUNCTION csm_private.signal() IS
'Row and TRUNCATE trigger of the edge tables: tells every session that access maps built from these keys are suspect. Arguments: pairs of key kind and column';
COMMENT ON FUNCTION csm_private.restoring() IS
'True while rows are loaded from a dump (csm.restoring is on, or auto and a superuser runs with row_security off) and while personal data are erased. Every trigger that derives or judges honours it';
COMMENT ON FUNCTION csm_private.adopt_table(text) IS
'Install scripts only: owner, row security, tenant policy and dump registration for a new table';
COMMENT ON FUNCTION csm_private.signal_on(text, text[], text[]) IS
'Install scripts only: attaches the signal triggers to an edge table';
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches, csm.contains and csm.in_slices: index condition, selectivity';
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';
COMMENT ON FUNCTION csm.time_slice(timestamptz) IS
'Number of the slice of time, seven days, that a time lies in; slice 0 begins with the year 2000 (UTC). NULL for NULL';
COMMENT ON FUNCTION csm.time_slices(timestamptz, boolean) IS
'The slice of a time; for what is public also the same slice of those that hold nothing else, 4294967296 more, and slice 8589934592 that holds all of it. NULL if either is NULL';
COMMENT ON FUNCTION csm.slice_start(bigint) IS
'When a slice of time begins; infinite where no time lies; NULL for NULL';
COMMENT ON FUNCTION csm.in_slices(bigint[], bigint, bigint) IS
'Whether one of the slices is first to last. Beside csm.matches() it lets an index USING gin (search, (ARRAY[csm.time_slice(made_at)])) find the words of these slices alone; put the range of made_at into the query too, of which the order can make use. NULL if any argument is NULL';
COMMENT ON FUNCTION csm.next_slices(bigint, bigint, bigint) IS
'Of how many slices a search for the newest rows looks through next, that found so many of those wanted in the slices it has seen; NULL where all that is left is looked through at once';
COMMENT ON FUNCTION csm_private.search_vector(text, text, text, text) IS
'A search column: words of up to three texts with weights A, B and D, stemmed for a language (a text search configuration, or a language tag such as de or pt-BR; unknown and NULL count as simple), with and without accents. NULL texts have no words; 100,000 characters of each text count';
COMMENT ON FUNCTION csm.search_query(text, text) IS
'What somebody typed (words, "a phrase", or, -not) as a query for csm.matches(), for texts of a language (a text search configuration or a language tag); accents make no difference. No input is an error; 1,000 characters count; NULL if either is NULL';
COMMENT ON FUNCTION csm_private.search_query_in(text, text[], boolean) IS
'What somebody typed as a query in several languages (up to 8), joined by OR; loose: any two of its five longest words, one of them where it has two, nothing where it has one';
COMMENT ON FUNCTION csm.search_score(tsvector, tsquery) IS
'How well a document answers a query, 0 to 1, from these two alone, so that no other row has a say: the share of the query that it holds, where a long word weighs more than a short one and a title (weight A) more than a text, and how close together the words stand';
COMMENT ON FUNCTION csm_private.resembles_support(internal) IS 'Planner support of csm.resembles: index condition, selectivity';
COMMENT ON FUNCTION csm.resembles(text, text) IS
'Whether haystack, a name or title, holds at least half of the trigrams of needle, so that a typing error does no harm; case makes no difference, NULL if either is NULL. Uses a pg_trgm index below row-level security where pg_trgm.word_similarity_threshold is 0.5 or less';
COMMENT ON FUNCTION csm.resemblance(text, text) IS
'How much a name or title is like what was typed, 0 to 1: three quarters the share of needle''s trigrams that it holds, one quarter the share of its own that needle holds; NULL if either is NULL';
COMMENT ON FUNCTION csm.highlight(text, text, text, integer) IS
'The passage of a document that answers best what was typed, of about so many words (5 to 200), as HTML: everything the document holds is escaped, words that were found stand in <mark>. The first 50,000 characters count; NULL if any argument is NULL';
COMMENT ON FUNCTION csm_private.check_placeholders(text, text, text[]) IS
'Error 22023 for a placeholder that is not known, and for braces that make none; template names it in the message';
COMMENT ON FUNCTION csm_private.fill_in(text, jsonb) IS
'The text with its placeholders replaced by the values, a JSON object; one without a value becomes empty';
COMMENT ON TABLE csm.tenants IS 'One row an organisation that serves customers; made by csm.create_tenant()';
COMMENT ON COLUMN csm.tenants.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.tenants.key IS 'Short name for csm.tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.tenants.name IS 'Name that people read';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object';
COMMENT ON COLUMN csm.tenants.enabled IS 'False: nobody of the tenant is signed in any more, from the next statement on';
COMMENT ON COLUMN csm.tenants.created_at IS 'When the tenant was made';
COMMENT ON POLICY tenants_select ON csm.tenants IS 'Everyone signed in reads his own tenant';
COMMENT ON POLICY tenants_update ON csm.tenants IS 'Administrators change name and settings';
COMMENT ON TABLE csm.roles IS 'Roles that a persona can hold; shipped ones are copied by csm.create_tenant()';
COMMENT ON COLUMN csm.roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.roles.role IS 'Key of the role';
COMMENT ON COLUMN csm.roles.kind IS 'Who can hold it: person (everyone), contact, consumer or staff';
COMMENT ON COLUMN csm.roles.user_class IS 'Class for licence counting: external, stakeholder or fulfiller';
COMMENT ON COLUMN csm.roles.label IS 'Name that people read';
COMMENT ON COLUMN csm.roles.branches IS 'Branches in which a staff role counts; an assignment can only narrow them';
COMMENT ON COLUMN csm.roles.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON POLICY roles_select ON csm.roles IS 'Everyone signed in reads the roles of his tenant';
COMMENT ON POLICY roles_write ON csm.roles IS 'Administrators keep the roles';
COMMENT ON TABLE csm.role_permissions IS 'What a role may do, and how far it reaches; the rules V1 to V9 are compiled from these rows';
COMMENT ON COLUMN csm.role_permissions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.role_permissions.role IS 'Role that gets the permission';
COMMENT ON COLUMN csm.role_permissions.action IS 'Action; case_work (staff: take, answer, work notes, plain UPDATE), configure (administration) and act_for (csm.on_behalf_of(); shipped with no role) are for staff roles only';
COMMENT ON COLUMN csm.role_permissions.reach IS 'own; account, subtree, related (contacts); team, organization, all (staff). A reach that does not fit the kind of the role gives nothing';
COMMENT ON POLICY role_permissions_select ON csm.role_permissions IS 'Everyone signed in reads the permissions of his tenant';
COMMENT ON POLICY role_permissions_write ON csm.role_permissions IS 'Administrators keep the permissions';
COMMENT ON TABLE csm.users IS 'One row a human, whatever personas he has';
COMMENT ON COLUMN csm.users.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.users.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.users.display_name IS 'Name shown on cases he takes part in';
COMMENT ON COLUMN csm.users.email IS 'E-mail as written; NULL when unknown';
COMMENT ON COLUMN csm.users.email_key IS 'E-mail trimmed and in lower case; unique in the tenant';
COMMENT ON COLUMN csm.users.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.users.time_zone IS 'Time zone name (IANA)';
COMMENT ON COLUMN csm.users.phone IS 'Telephone number as written';
COMMENT ON COLUMN csm.users.title IS 'Job title or form of address';
COMMENT ON COLUMN csm.users.enabled IS 'False: the person is nobody, from the next statement on (V10)';
COMMENT ON COLUMN csm.users.login_role IS 'PostgreSQL role that acts as this person; set by csm.map_login() only';
COMMENT ON COLUMN csm.users.external_id IS 'Key in the directory the person was imported from; unique in the tenant';
COMMENT ON COLUMN csm.users.created_at IS 'When the row was made';
COMMENT ON COLUMN csm.users.location IS 'Where the person is, from the whole to the part, joined by -: country, region and so on (DE, DE-BY; capital letters and digits). User criteria go by it, so it is kept by staff with person_manage and not by the person; NULL when unknown';
COMMENT ON TABLE csm.employees IS 'Employee persona: the person works for the tenant';
COMMENT ON COLUMN csm.employees.user_id IS 'The person';
COMMENT ON COLUMN csm.employees.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.employees.department IS 'Department; NULL when unknown';
COMMENT ON COLUMN csm.employees.manager_id IS 'Superior; gives no rights';
COMMENT ON POLICY employees_select ON csm.employees IS 'Oneself; staff for internal service';
COMMENT ON POLICY employees_write ON csm.employees IS 'Staff with person_manage';
COMMENT ON TABLE csm.consumers IS 'Consumer persona: the person buys for himself (B2C)';
COMMENT ON COLUMN csm.consumers.user_id IS 'The person';
COMMENT ON COLUMN csm.consumers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.consumers.registered_at IS 'When he became a consumer';
COMMENT ON POLICY consumers_select ON csm.consumers IS 'Oneself, whom one speaks for (V6), staff for consumers';
COMMENT ON POLICY consumers_write ON csm.consumers IS 'Staff with person_manage';
COMMENT ON FUNCTION csm_private.subtree(bigint, bigint) IS
'Ids of an account and all its descendants; no row for an unknown account';
COMMENT ON TABLE csm.accounts IS 'Companies: customers, partners, or both, in a tree of up to 100 levels';
COMMENT ON COLUMN csm.accounts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.accounts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.accounts.number IS 'Human-facing number, unique in the tenant; made from the id when not given';
COMMENT ON COLUMN csm.accounts.name IS 'Name of the company';
COMMENT ON COLUMN csm.accounts.parent_id IS 'Parent account; NULL at the top. A cycle is refused with SM005';
COMMENT ON COLUMN csm.accounts.root_id IS 'Top of the tree, kept by trigger from path';
COMMENT ON COLUMN csm.accounts.path IS 'Ids from the top down to this account, kept by trigger; never written by a client';
COMMENT ON COLUMN csm.accounts.is_customer IS 'The company buys';
COMMENT ON COLUMN csm.accounts.is_partner IS 'The company looks after other accounts';
COMMENT ON COLUMN csm.accounts.active IS 'False: no business any more; gives or takes no access by itself';
COMMENT ON COLUMN csm.accounts.directory_visible IS 'True: contacts may list their colleagues';
COMMENT ON COLUMN csm.accounts.restrict_contact_access IS 'True: plain contacts (roles of reach account) lose the account-wide reading of sold products and install-base items; those linked or authorised keep it';
COMMENT ON COLUMN csm.accounts.created_at IS 'When the row was made';
COMMENT ON TABLE csm_private.tree_moves IS 'One row a tenant, written by every move in its account tree: serialises moves under REPEATABLE READ';
COMMENT ON COLUMN csm_private.tree_moves.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.tree_moves.moves IS 'How many times accounts were moved';
COMMENT ON FUNCTION csm_private.tree_is_current(bigint) IS
'Whether the transaction sees the tenant''s account tree as it is now; always true under READ COMMITTED';
COMMENT ON FUNCTION csm_private.accounts_before() IS 'Numbers an account and takes the tree lock before paths are read';
COMMENT ON FUNCTION csm_private.accounts_after() IS 'Gives new and moved accounts their paths; refuses cycles (SM005) and more than 100 levels (54000)';
COMMENT ON FUNCTION csm_private.depth_of(bigint, bigint) IS 'Levels from the top to the account, by its parents';
COMMENT ON TABLE csm.contacts IS 'Contact persona: the person acts for the account with a role; a person may be contact of many accounts';
COMMENT ON COLUMN csm.contacts.id IS 'Identity, unique in the database; the persona is contact:<id>';
COMMENT ON COLUMN csm.contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contacts.user_id IS 'The person';
COMMENT ON COLUMN csm.contacts.account_id IS 'The account';
COMMENT ON COLUMN csm.contacts.role IS 'Role of kind contact; one of another kind is refused';
COMMENT ON COLUMN csm.contacts.is_home IS 'Account for which he opens cases unless he names another; one at a time';
COMMENT ON COLUMN csm.contacts.login_enabled IS 'False: this persona gives no rights, from the next statement on; the person''s others stay (V10)';
COMMENT ON COLUMN csm.contacts.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON FUNCTION csm_private.check_role_kind() IS 'Refuses a role whose kind does not fit the table; the argument is the kind';
COMMENT ON TABLE csm.account_relationships IS 'A partner account looks after a customer account, or two accounts trade with one another';
COMMENT ON COLUMN csm.account_relationships.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_relationships.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_relationships.type IS 'partner_of gives the partner access (V5); trades_with gives none and allows disputes between the two';
COMMENT ON COLUMN csm.account_relationships.partner_account_id IS 'The partner';
COMMENT ON COLUMN csm.account_relationships.customer_account_id IS 'The customer that he looks after';
COMMENT ON COLUMN csm.account_relationships.scope IS 'What partner_admin reads: named (cases whose partner_account_id is his account) or all';
COMMENT ON COLUMN csm.account_relationships.history_from IS 'With scope all: cases opened before are left out; NULL means the whole history';
COMMENT ON COLUMN csm.account_relationships.include_descendants IS 'True: holds for the customer''s descendants too';
COMMENT ON COLUMN csm.account_relationships.administers IS 'True: partner_admin manages the customer''s contacts';
COMMENT ON COLUMN csm.account_relationships.valid_during IS 'When the relationship counts; NULL means always';
COMMENT ON POLICY accounts_select ON csm.accounts IS 'Accounts on which the person has any right; staff for business customers';
COMMENT ON POLICY accounts_insert ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY accounts_update ON csm.accounts IS 'Staff with account_manage';
COMMENT ON POLICY contacts_select ON csm.contacts IS 'One''s own, those of accounts with contact_read, staff for business customers';
COMMENT ON POLICY contacts_write ON csm.contacts IS 'Staff with account_manage';
COMMENT ON POLICY account_relationships_select ON csm.account_relationships IS 'The customer''s managers, the partner''s people, staff for business customers';
COMMENT ON POLICY account_relationships_write ON csm.account_relationships IS 'Staff with account_manage';
COMMENT ON POLICY users_select ON csm.users IS 'Oneself; whoever reads one of the person''s personas; staff for internal service';
COMMENT ON POLICY users_insert ON csm.users IS 'Staff with person_manage';
COMMENT ON POLICY users_update ON csm.users IS 'Staff with person_manage';
COMMENT ON TABLE csm.households IS 'Consumers who live together; the head, himself a current member, speaks for current members (V6)';
COMMENT ON COLUMN csm.households.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.households.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.households.name IS 'Name that people read';
COMMENT ON COLUMN csm.households.head_user_id IS 'Head of household; counts while he is a current member; NULL for none';
COMMENT ON TABLE csm.household_members IS 'Membership of a household; one current row a person and household';
COMMENT ON COLUMN csm.household_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.household_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.household_members.household_id IS 'The household';
COMMENT ON COLUMN csm.household_members.user_id IS 'The member';
COMMENT ON COLUMN csm.household_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.representations IS 'One person speaks for another in consumer cases (V6)';
COMMENT ON COLUMN csm.representations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.representations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.representations.representative_id IS 'Who speaks';
COMMENT ON COLUMN csm.representations.represented_id IS 'For whom he speaks';
COMMENT ON COLUMN csm.representations.household_id IS 'Within a household: counts only while both are current members; NULL for any';
COMMENT ON COLUMN csm.representations.valid_during IS 'When the representation counts; NULL means always';
COMMENT ON POLICY households_select ON csm.households IS 'Its head, its team, staff for consumers';
COMMENT ON POLICY household_members_select ON csm.household_members IS 'Oneself, the head, the team, staff for consumers';
COMMENT ON POLICY representations_select ON csm.representations IS 'Both persons, staff for consumers';
COMMENT ON POLICY households_write ON csm.households IS 'Staff with person_manage';
COMMENT ON POLICY household_members_write ON csm.household_members IS 'Staff with person_manage';
COMMENT ON POLICY representations_write ON csm.representations IS 'Staff with person_manage';
COMMENT ON TABLE csm.service_organizations IS 'Stores, branches and other places that give service, in a tree';
COMMENT ON COLUMN csm.service_organizations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organizations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organizations.name IS 'Name that people read';
COMMENT ON COLUMN csm.service_organizations.parent_id IS 'Organisation above; NULL at the top';
COMMENT ON TABLE csm.service_organization_members IS 'Staff of a service organisation: reach organization covers it and what lies below, less what is excluded (V9)';
COMMENT ON COLUMN csm.service_organization_members.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.service_organization_members.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.service_organization_members.service_organization_id IS 'The organisation';
COMMENT ON COLUMN csm.service_organization_members.user_id IS 'The person';
COMMENT ON COLUMN csm.service_organization_members.excluded IS 'Organisations left out with everything below them';
COMMENT ON COLUMN csm.service_organization_members.valid_during IS 'When the membership counts; NULL means always';
COMMENT ON TABLE csm.user_roles IS 'Staff personas: staff:<role>; they count under csm_agent, csm_reporter and csm_admin only (V9)';
COMMENT ON COLUMN csm.user_roles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_roles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_roles.user_id IS 'The person';
COMMENT ON COLUMN csm.user_roles.role IS 'Role of kind staff; one of another kind is refused';
COMMENT ON COLUMN csm.user_roles.branches IS 'Narrows the branches of the role; NULL keeps them';
COMMENT ON COLUMN csm.user_roles.reach IS 'Replaces the reach of the role''s permissions (not own); NULL keeps it';
COMMENT ON COLUMN csm.user_roles.service_organization_id IS 'With reach organization: this organisation and what lies below, beside the memberships; NULL for those alone';
COMMENT ON COLUMN csm.user_roles.valid_during IS 'When the role counts; NULL means always';
COMMENT ON TABLE csm.account_team IS 'Who looks after an account, a person or a household: reach team (V9)';
COMMENT ON COLUMN csm.account_team.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_team.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_team.account_id IS 'The account; exactly one of account, user and household is set';
COMMENT ON COLUMN csm.account_team.user_id IS 'The person (his b2c cases)';
COMMENT ON COLUMN csm.account_team.household_id IS 'The household (its cases and those of its current members)';
COMMENT ON COLUMN csm.account_team.member_id IS 'Who looks after it';
COMMENT ON COLUMN csm.account_team.responsibility IS 'In which function';
COMMENT ON COLUMN csm.account_team.valid_during IS 'When it counts; NULL means always';
COMMENT ON TABLE csm.groups IS 'Groups of staff to which cases are assigned; give no sight of cases';
COMMENT ON COLUMN csm.groups.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.groups.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.groups.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.groups.parent_id IS 'Group above; NULL at the top';
COMMENT ON TABLE csm.group_members IS 'Members of a group';
COMMENT ON COLUMN csm.group_members.group_id IS 'The group';
COMMENT ON COLUMN csm.group_members.user_id IS 'The person';
COMMENT ON COLUMN csm.group_members.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY user_roles_select ON csm.user_roles IS 'One''s own; staff with person_manage; administrators';
COMMENT ON POLICY user_roles_write ON csm.user_roles IS 'Administrators';
COMMENT ON POLICY account_team_select ON csm.account_team IS 'Members, and staff who read the account''s contacts';
COMMENT ON POLICY account_team_write ON csm.account_team IS 'Staff with account_manage';
COMMENT ON TABLE csm.products IS 'Catalogue of products and services, in a tree; a sub-product names its product as parent';
COMMENT ON COLUMN csm.products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.products.name IS 'Name, unique below its parent';
COMMENT ON COLUMN csm.products.parent_id IS 'Product above; NULL at the top';
COMMENT ON COLUMN csm.products.active IS 'False: not offered for new cases';
COMMENT ON POLICY products_select ON csm.products IS 'Everyone signed in reads the catalogue of his tenant';
COMMENT ON POLICY products_write ON csm.products IS 'Administrators, and staff with product_manage';
COMMENT ON TABLE csm.case_types IS 'Kinds of case; each has a state machine of its own';
COMMENT ON COLUMN csm.case_types.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_types.case_type IS 'Key of the type';
COMMENT ON COLUMN csm.case_types.parent_type IS 'Type from which states, transitions, fields and settings are inherited; NULL for none';
COMMENT ON COLUMN csm.case_types.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_types.active IS 'False: no new case of the type';
COMMENT ON COLUMN csm.case_types.shipped IS 'Came with csm; csm.refresh_shipped() keeps what the tenant changed';
COMMENT ON COLUMN csm.case_types.settings IS 'What the type says about time and forms, a JSON object; a key that is absent is inherited from the parent type, null switches it off. Keys: priority (1 to 4, of a new case that names none), begins_as_draft, reminder_days and close_days (of a proposed solution), awaiting_info_days, survey, max_attachments and max_attachment_bytes; of disputes response_hours, auto_accept_days, max_rounds, appeal_days, counterparties (trades_with, or any) and both_sides (true: one person may act for both)';
COMMENT ON COLUMN csm.case_types.own_machine IS 'True: only the type''s own states and transitions hold; fields and settings are still inherited';
COMMENT ON TABLE csm.case_states IS 'States of a case type; a state of a type hides the one of the same key that it would inherit';
COMMENT ON COLUMN csm.case_states.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_states.case_type IS 'The type';
COMMENT ON COLUMN csm.case_states.state IS 'Key of the state';
COMMENT ON COLUMN csm.case_states.value IS 'Number by which other systems know the state';
COMMENT ON COLUMN csm.case_states.state_class IS 'What the state means to timers, SLAs and reports: draft, new, open, waiting, resolved, closed or cancelled';
COMMENT ON COLUMN csm.case_states.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_states.active IS 'False: the type does without the state that it would inherit, and without the actions that lead from or to it';
COMMENT ON TABLE csm.case_transitions IS 'A row of a type hides the one of the same state and action that it would inherit. From which state which action leads where, who may take it, and what it demands';
COMMENT ON COLUMN csm.case_transitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_transitions.case_type IS 'The type';
COMMENT ON COLUMN csm.case_transitions.from_state IS 'State in which the action can be taken';
COMMENT ON COLUMN csm.case_transitions.action IS 'Key of the action; one that leads back to from_state changes fields only';
COMMENT ON COLUMN csm.case_transitions.to_state IS 'State to which it leads';
COMMENT ON COLUMN csm.case_transitions.actors IS 'Relations to the case that may take it; any one suffices';
COMMENT ON COLUMN csm.case_transitions.required_fields IS 'Columns of the case that must not be null or blank afterwards, and what csm.act() must be given with a proposal (reference, amount, currency); SM003 otherwise';
COMMENT ON COLUMN csm.case_transitions.note_required IS 'True: csm.act() demands a note (SM003); it becomes a shared entry';
COMMENT ON COLUMN csm.case_transitions.effects IS 'What the action sets, a JSON object. Key: a column (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes) or "actor:column" for one relation, which goes before the plain key; "note" offers the note; "proposal" makes one in csm.dispute_proposals (made) or decides the pending one (accepted, rejected, withdrawn, lapsed, confirmed). Value: text in the column''s input form, null clears. A value that the caller writes in the same statement goes first';
COMMENT ON COLUMN csm.case_transitions.label IS 'Caption of the button';
COMMENT ON COLUMN csm.case_transitions.active IS 'False: the type does without the action that it would inherit';
COMMENT ON COLUMN csm.case_transitions.from_type IS 'Type whose from_state it is, filled in: case_type or the farthest ancestor that has the state';
COMMENT ON COLUMN csm.case_transitions.to_type IS 'Type whose to_state it is, filled in likewise';
COMMENT ON FUNCTION csm_private.case_fits(csm.cases) IS
'CHECK constraint of csm.cases. True, or error 23514 that names the rule as a constraint: cases_ branch (b2b, b2c, internal), customer (an account makes it b2b, a household b2c), counterparty (another account), named_contact (with its account), class, priority (1 to 4), impact (1 to 3, urgency too), subject (1 to 400 characters, not blank), text (lengths of the other texts), attributes (a JSON object of 64 kB), self (not its own parent), major (proposed, accepted, rejected, cancelled), each followed by _check';
COMMENT ON FUNCTION csm_private.entry_fits(text, text, text, text) IS
'CHECK constraint of csm.case_entries. True, or error 23514 that names the rule as a constraint: case_entries_ visibility (shared, internal, private), side (customer, counterparty, operator), body (1 to 100,000 characters, the key at most 200), each followed by _check';
COMMENT ON TABLE csm.cases IS 'Cases. Rows are never deleted; closed ones never change. State changes are judged by the machine of the case type, whoever writes';
COMMENT ON COLUMN csm.cases.id IS 'Identity, unique in the database; tells the volume of cases to whoever sees two of them';
COMMENT ON COLUMN csm.cases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.cases.number IS 'Human-facing number, unique in the tenant; made from the id (CS0000042) when not given';
COMMENT ON COLUMN csm.cases.branch IS 'b2b, b2c or internal: set at creation from the requester''s persona, never changed';
COMMENT ON COLUMN csm.cases.case_type IS 'Type, and with it the machine';
COMMENT ON COLUMN csm.cases.state IS 'State of the machine';
COMMENT ON COLUMN csm.cases.state_class IS 'Class of the state, copied from csm.case_states';
COMMENT ON COLUMN csm.cases.priority IS '1 (critical) to 4 (low); the case type''s by default, else 4';
COMMENT ON COLUMN csm.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm.cases.subject IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.cases.description IS 'The matter, up to 100,000 characters; NULL for none';
COMMENT ON COLUMN csm.cases.language IS 'For search: a text search configuration, such as english, or a language tag, such as de; an unknown one counts as simple';
COMMENT ON COLUMN csm.cases.channel IS 'How it came in: web, phone, email, chat, ...';
COMMENT ON COLUMN csm.cases.requester_id IS 'For whom the case is; the caller by default';
COMMENT ON COLUMN csm.cases.opened_by IS 'Who opened it; NULL for the system';
COMMENT ON COLUMN csm.cases.account_id IS 'Customer account of a b2b case; the caller''s home account by default';
COMMENT ON COLUMN csm.cases.household_id IS 'Household of a b2c case';
COMMENT ON COLUMN csm.cases.counterparty_account_id IS 'The other company of a dispute; sees the case from submission on (V8)';
COMMENT ON COLUMN csm.cases.counterparty_contact_id IS 'Contact named for the other company';
COMMENT ON COLUMN csm.cases.partner_account_id IS 'Partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.partner_contact_id IS 'Contact of the partner that looks after the case (V5)';
COMMENT ON COLUMN csm.cases.internal_contact_id IS 'Employee who speaks for the customer';
COMMENT ON COLUMN csm.cases.service_organization_id IS 'Service organisation that the case belongs to (V9)';
COMMENT ON COLUMN csm.cases.product_id IS 'Product concerned';
COMMENT ON COLUMN csm.cases.asset_id IS 'Install-base item concerned';
COMMENT ON COLUMN csm.cases.entitlement_id IS 'Entitlement under which the case is worked';
COMMENT ON COLUMN csm.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm.cases.assigned_to IS 'Person who works on it';
COMMENT ON COLUMN csm.cases.parent_id IS 'Major case or case it follows up';
COMMENT ON COLUMN csm.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm.cases.resolution_notes IS 'The proposed solution, read by the customer';
COMMENT ON COLUMN csm.cases.needs_attention IS 'The customer, or somebody beside the assignee, said something new';
COMMENT ON COLUMN csm.cases.attributes IS 'Fields of the case type that every party to the case may read, a JSON object';
COMMENT ON COLUMN csm.cases.party_keys IS 'Partner, household, internal contact, service organisation and counterparty as keys for the policy (id * 8 + kind); NULL for none';
COMMENT ON COLUMN csm.cases.search IS 'Words of number, subject and description, with and without accents, for csm.matches(); kept by trigger';
COMMENT ON COLUMN csm.cases.idempotency_key IS 'Given by the client; the same opener and key return the first case';
COMMENT ON COLUMN csm.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm.cases.updated_at IS 'Last change of the row or new entry';
COMMENT ON COLUMN csm.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm.cases.auto_close IS 'False: a proposed solution that nobody answers is not closed by time. Goes off when a solution is given up, on again with the next one; what is written in the same statement goes first';
COMMENT ON COLUMN csm.cases.follow_up_at IS 'When whoever works on the case wants to look at it again: needs_attention goes on then, and a case that waits for information is not closed by time until a day later; NULL for never';
COMMENT ON COLUMN csm.cases.last_response_at IS 'Last shared entry by staff; NULL before the first';
COMMENT ON COLUMN csm.cases.made_sla IS 'False once any SLA of the case was breached; csm sets it';
COMMENT ON COLUMN csm.cases.escalated IS 'An escalation of the case is open; kept by csm.escalations';
COMMENT ON COLUMN csm.cases.follow_the_sun IS 'The customer spoke on a case of priority 1 or 2, or it was escalated: worked on around the clock';
COMMENT ON COLUMN csm.cases.major_state IS 'proposed, accepted, rejected or cancelled as a major case; NULL for an ordinary case';
COMMENT ON TABLE csm.case_parties IS 'A case shared with a person or an account (V7)';
COMMENT ON COLUMN csm.case_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_parties.case_id IS 'The case';
COMMENT ON COLUMN csm.case_parties.user_id IS 'Person it is shared with; exactly one of user and account is set';
COMMENT ON COLUMN csm.case_parties.account_id IS 'Account it is shared with: all its current contacts';
COMMENT ON COLUMN csm.case_parties.capabilities IS 'case_read, and case_comment and case_decide where granted';
COMMENT ON COLUMN csm.case_parties.granted_by IS 'Who shared it; NULL for the system';
COMMENT ON COLUMN csm.case_parties.valid_during IS 'When the share counts; NULL means always';
COMMENT ON TABLE csm.case_entries IS 'Comments, work notes and private entries; append-only';
COMMENT ON COLUMN csm.case_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_entries.case_id IS 'The case';
COMMENT ON COLUMN csm.case_entries.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_entries.author_id IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.case_entries.author_name IS 'His name when he wrote it (V11)';
COMMENT ON COLUMN csm.case_entries.visibility IS 'shared: all who see the case; internal: staff who work on it; private: the author''s side and staff who work on it';
COMMENT ON COLUMN csm.case_entries.side IS 'Side of the author: customer, counterparty or operator';
COMMENT ON COLUMN csm.case_entries.body IS 'Text, up to 100,000 characters';
COMMENT ON COLUMN csm.case_entries.idempotency_key IS 'Given by the client; the same author and key on a case return the first entry';
COMMENT ON COLUMN csm.case_entries.on_behalf_of IS 'For whom the author acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.case_entries.created_at IS 'When it was written';
COMMENT ON TABLE csm.case_internal IS 'Fields of a case that only staff who work on it may read';
COMMENT ON COLUMN csm.case_internal.case_id IS 'The case';
COMMENT ON COLUMN csm.case_internal.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_internal.attributes IS 'Fields, a JSON object';
COMMENT ON TABLE csm.case_side_fields IS 'Fields of a case that one side and staff who work on it may read';
COMMENT ON COLUMN csm.case_side_fields.case_id IS 'The case';
COMMENT ON COLUMN csm.case_side_fields.side IS 'customer or counterparty';
COMMENT ON COLUMN csm.case_side_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_side_fields.attributes IS 'Fields, a JSON object';
COMMENT ON FUNCTION csm_private.may_open_plainly(csm.cases) IS
'True only where csm_private.may_open() is: the person asks for himself, or for whom he represents, and the case names no counterparty, partner or product';
COMMENT ON FUNCTION csm_private.may_open(csm.cases) IS
'Whether the signed-in person may open this case for this requester and account, and every reference in it is one that he may make';
COMMENT ON FUNCTION csm_private.case_arms(text, text) IS
'Install scripts only: text of the visibility rule for an action; arms portal, everyone (staff connections) or operator';
COMMENT ON FUNCTION csm_private.case_allows(csm.cases, text) IS
'The rule of the policies of csm.cases for one row and any action; false for nobody, a null row and an unknown action';
COMMENT ON FUNCTION csm_private.case_side_allows(csm.cases, text) IS
'Whether the signed-in person reads what belongs to one side (customer, counterparty) of the case, or works on the case';
COMMENT ON FUNCTION csm_private.case_allows(bigint, bigint, text) IS
'Whether the case is visible to the signed-in person and allows him the action; false for a missing case, nobody and an unknown action';
COMMENT ON FUNCTION csm_private.entry_allows(bigint, bigint, text, text, text) IS
'Whether an entry of the case is visible to the signed-in person: shared with the case, internal to staff who work on it, private to its side and staff who work on it';
COMMENT ON POLICY cases_select ON csm.cases IS 'V1 to V8: whoever asks for service and has case_read through any arm';
COMMENT ON POLICY cases_select_staff ON csm.cases IS 'V1 to V9: staff connections, by any arm and by reach all';
COMMENT ON POLICY cases_update ON csm.cases IS 'Staff with case_work; the machine judges the rest';
COMMENT ON POLICY cases_insert ON csm.cases IS 'Who may open a case for himself or another, with references he may make';
COMMENT ON POLICY cases_insert_own ON csm.cases IS 'Staff open their own cases as everybody does';
COMMENT ON POLICY cases_insert_agent ON csm.cases IS 'Staff with case_create open cases for customers in their reach';
COMMENT ON POLICY case_entries_select ON csm.case_entries IS 'Shared: all who see the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON POLICY case_entries_insert ON csm.case_entries IS 'Whoever may comment, in his own name; work notes by staff who work on the case';
COMMENT ON POLICY case_parties_select ON csm.case_parties IS 'All who see the case but its counterparty';
COMMENT ON POLICY case_parties_write ON csm.case_parties IS 'Staff who work on the case';
COMMENT ON POLICY case_internal_all ON csm.case_internal IS 'Staff who work on the case';
COMMENT ON POLICY case_side_fields_select ON csm.case_side_fields IS 'One side, and staff who work on the case';
COMMENT ON FUNCTION csm_private.case_guard() IS
'Trigger of csm.cases: fills in a new case, judges every change by the machine of the case type (42501, SM002, SM003, SM004), refuses DELETE and TRUNCATE';
COMMENT ON FUNCTION csm_private.entry_guard() IS
'Trigger of csm.case_entries: author, name, side, branch and time of a new entry; SM004 on a closed case';
COMMENT ON FUNCTION csm_private.append_only() IS
'BEFORE trigger that refuses UPDATE, DELETE and TRUNCATE for everybody (42501). Arguments: columns that an announced erasure may change';
COMMENT ON FUNCTION csm_private.case_actors(csm.cases) IS
'Relations of the current person to the case, as case_transitions.actors names them; empty for none';
COMMENT ON FUNCTION csm_private.acts_as_system() IS
'True for a write without identity by a role that row security does not bind';
COMMENT ON FUNCTION csm_private.importing() IS
'True while a superuser loads history with csm.importing = on';
COMMENT ON FUNCTION csm_private.machine_type(bigint, text) IS
'The farthest type on the chain of parents whose states and transitions count for a case type, itself where it has a machine of its own; NULL for an unknown type';
COMMENT ON FUNCTION csm_private.actions_for(bigint, text, text, text) IS
'Actions that a relation (system, customer, ...) may take from a state of the type''s machine; empty for what is unknown or null';
COMMENT ON FUNCTION csm_private.dispute_permits(csm.cases, text) IS
'Whether the caller may take the action on a dispute: the machine, and that a second person confirms a ruling and a manager names the contact';
COMMENT ON FUNCTION csm_private.begin_open(boolean, text) IS
'Announces a new case: as draft or not, with a key or NULL; error 22023 for an empty key or one longer than 200 characters';
COMMENT ON FUNCTION csm_private.end_open(csm.cases) IS
'Ends the announcement of a new case that was not met; returns its argument';
COMMENT ON FUNCTION csm_private.begin_act(csm.cases, text, text, jsonb, boolean) IS
'Judges an action of the caller or, with as_system, of the system (42501, 22023, SM004, SM002) and announces it, with the proposal in fields (reference, amount, currency); returns the note to write, NULL for none';
COMMENT ON FUNCTION csm_private.begin_system(bigint) IS
'Announces that the next change of the case is csm''s own: judged as the system''s, and it may write escalated, follow_the_sun and major_state';
COMMENT ON FUNCTION csm_private.begin_systems(bigint[]) IS
'csm_private.begin_system() for each of these cases, at most 256';
COMMENT ON FUNCTION csm_private.begin_acts(bigint[], text) IS
'Announces that the next change of each of these cases is an action of the system''s with a note; at most 256 cases';
COMMENT ON FUNCTION csm_private.begin_notes(bigint[]) IS
'Announces an entry of the system''s on each of these cases, without effects of its own; at most 256 cases';
COMMENT ON FUNCTION csm_private.end_many() IS
'Takes back what was announced for many cases and has not been met';
COMMENT ON FUNCTION csm_private.begin_note(bigint, boolean) IS
'Announces the note of an act: an entry that has no effects of its own; with as_system it has no author';
COMMENT ON FUNCTION csm_private.begin_entry(bigint, text, text, bigint) IS
'Announces what a new entry means for its case; author_id is NULL for the system';
COMMENT ON FUNCTION csm_private.entry_is_note(bigint) IS
'Whether the entry is the note of the act just taken';
COMMENT ON FUNCTION csm_private.entry_effects() IS
'Trigger of csm.case_entries: a customer''s shared comment resumes a waiting case, needs_attention, first_response_at, updated_at';
COMMENT ON TABLE csm.case_type_fields IS 'Fields that a case type adds to its cases; a field of a type hides the one of the same name that it would inherit';
COMMENT ON COLUMN csm.case_type_fields.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_type_fields.case_type IS 'The type';
COMMENT ON COLUMN csm.case_type_fields.name IS 'Key of the value in the JSON object';
COMMENT ON COLUMN csm.case_type_fields.label IS 'Name that people read';
COMMENT ON COLUMN csm.case_type_fields.type IS 'What the JSON value must be: text and choice a string, integer a whole number of 64 bits, number, boolean, date a string YYYY-MM-DD, timestamp a string of RFC 3339 with its offset, reference the id of a row. null means no value';
COMMENT ON COLUMN csm.case_type_fields.audience IS 'Who reads it: all (csm.cases.attributes), staff (csm.case_internal), customer or counterparty (csm.case_side_fields of that side)';
COMMENT ON COLUMN csm.case_type_fields.required IS 'True: a case that is no draft has a value (SM003); audience all only';
COMMENT ON COLUMN csm.case_type_fields.required_for IS 'Actions that demand a value (SM003)';
COMMENT ON COLUMN csm.case_type_fields.choices IS 'What a choice may be; NULL for other types';
COMMENT ON COLUMN csm.case_type_fields.reference IS 'Table of csm to which a reference leads; NULL for other types. The row must exist in the tenant and be visible to the writer when it is written (42501)';
COMMENT ON COLUMN csm.case_type_fields."position" IS 'Order on a form';
COMMENT ON COLUMN csm.case_type_fields.active IS 'False: the type does without the field that it would inherit';
COMMENT ON POLICY case_type_fields_select ON csm.case_type_fields IS 'Who asks for service reads the fields of his tenant''s types, but staff''s';
COMMENT ON POLICY case_type_fields_select_staff ON csm.case_type_fields IS 'Staff connections read all fields of their tenant''s types';
COMMENT ON POLICY case_type_fields_write ON csm.case_type_fields IS 'Administrators keep them';
COMMENT ON FUNCTION csm_private.fields_guard() IS
'Trigger of csm.case_internal and csm.case_side_fields: values are fields of the case type for that audience (22023), references exist and are visible (42501), the case is not closed (SM004)';
COMMENT ON FUNCTION csm_private.with_attributes(text, jsonb) IS
'The object with those keys that name fields of the type for all parties moved into its key attributes; what is no object, and keys of an unknown type, come back as they are';
COMMENT ON FUNCTION csm_private.write_fields(csm.cases, jsonb, boolean) IS
'Writes fields of a case by their names where staff and sides have theirs, and returns what csm.cases.attributes becomes. Errors: 22023 no such field, 42501 another side''s or staff''s';
COMMENT ON FUNCTION csm_private.type_chain(bigint, text) IS
'The type (depth 0) and its ancestors; in_machine: whether states and transitions of that ancestor are inherited. No row for an unknown type';
COMMENT ON FUNCTION csm_private.type_setting(bigint, text, text) IS
'A key of csm.case_types.settings as it holds for the type: its own, else the nearest ancestor''s; NULL where nobody says anything or the nearest says null';
COMMENT ON FUNCTION csm_private.machine_states(bigint, text) IS
'States of the machine of a case type, inherited ones included; case_type and depth say whose row it is';
COMMENT ON FUNCTION csm_private.machine_transitions(bigint, text) IS
'Transitions of the machine of a case type, inherited ones included; none from or to a state that the machine does without';
COMMENT ON FUNCTION csm_private.type_fields(bigint, text) IS
'Fields of a case type, inherited ones included';
COMMENT ON FUNCTION csm_private.offers(csm.cases) IS
'Body of csm.actions(): what the machine of the case permits the current person in its state; no check that he sees the case';
COMMENT ON FUNCTION csm_private.type_chain_guard() IS
'Trigger of csm.case_types: 23514 where a type would be its own ancestor or have more than 31';
COMMENT ON FUNCTION csm_private.transition_types() IS
'Trigger of csm.case_transitions: whose states from_state and to_state are; 23503 where the type neither has nor inherits one';
COMMENT ON TABLE csm.notification_rules IS 'Which events are told to whom, by which channel; R A11. An event without a row is told to nobody';
COMMENT ON COLUMN csm.notification_rules.event IS 'Kind of event: as csm.events.kind, and submitted, approval_requested, declined, info_requested, ruled, group_assigned (csm_private.notification_kinds())';
COMMENT ON COLUMN csm.notification_rules.channel IS 'Way by which it is told: portal (the inbox, read in place) or one that a sender process serves, such as email';
COMMENT ON COLUMN csm.notification_rules.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_rules.recipients IS 'Relations to the case: requester, opener, partner_contact, customer_admin, approver (who may decide for the account, but for requester and opener), party, counterparty, internal_contact; of the desk assignee, group, desk (the assignee, else the group), account_team';
COMMENT ON COLUMN csm.notification_rules.enabled IS 'Whether it is told to those who say nothing in csm.notification_preferences; false: to those only who ask for it';
COMMENT ON POLICY notification_rules_select ON csm.notification_rules IS 'Everyone who is signed in: what he may have a preference for';
COMMENT ON POLICY notification_rules_write ON csm.notification_rules IS 'Administrators';
COMMENT ON TABLE csm.notification_templates IS 'The words of notifications, with placeholders';
COMMENT ON COLUMN csm.notification_templates.event IS 'Event of csm.notification_rules; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.channel IS 'Channel; * for those without a template of their own';
COMMENT ON COLUMN csm.notification_templates.language IS 'Language tag (BCP 47) in lower case';
COMMENT ON COLUMN csm.notification_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_templates.subject IS 'Subject; what is filled in becomes one line';
COMMENT ON COLUMN csm.notification_templates.body IS 'Text, with placeholders as in csm.response_templates, and {{entry.author}}, {{entry.body}} of the comment';
COMMENT ON POLICY notification_templates_write ON csm.notification_templates IS 'Administrators';
COMMENT ON FUNCTION csm_private.person_id() IS
'The person whose rights count: csm.current_user_id(), or the one for whom he acts (csm.on_behalf_of()); NULL when nobody is signed in';
COMMENT ON FUNCTION csm_private.in_person() IS
'Whether somebody is signed in, neither by an API key nor acting for another: what concerns his own login is done in person';
COMMENT ON FUNCTION csm_private.current_session_id() IS
'csm.sessions.id of the session or API key by which somebody is signed in; NULL where he is signed in otherwise, and for nobody';
COMMENT ON FUNCTION csm_private.as_person(bigint, name, regprocedure, jsonb) IS
'Runs a function (jsonb) returns jsonb of csm_private as this person, under csm_portal or csm_agent and row security, and returns what it returns; NULL where an argument is NULL. The function runs with the rights of its caller and can therefore name nothing in csm_private. A person who is disabled or does not exist is nobody. Its errors pass through; all is restored with the (sub)transaction';
COMMENT ON FUNCTION csm_private.role_of_person(bigint, bigint) IS
'Role under which csm acts for this person: csm_agent for staff, csm_portal for everybody else';
COMMENT ON TABLE csm.user_merges IS 'Which person became which: one row for each that was removed; written by csm.merge_users()';
COMMENT ON COLUMN csm.user_merges.removed_id IS 'csm.users.id that is no more; history and audit log still name it';
COMMENT ON COLUMN csm.user_merges.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_merges.kept_id IS 'Whose it is now; moves on when he is merged himself';
COMMENT ON COLUMN csm.user_merges.reason IS 'Why, in words';
COMMENT ON COLUMN csm.user_merges.merged_by IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.user_merges.merged_at IS 'When';
COMMENT ON COLUMN csm.user_merges.removed IS 'The row of csm.users as it was; personal data';
COMMENT ON COLUMN csm.user_merges.given_up IS 'Rows that both persons had, as they stood for the one removed, each {"table": …, "row": …}, without hashes and tokens. Personal data';
COMMENT ON POLICY user_merges_select ON csm.user_merges IS 'Staff with person_manage, administrators';
COMMENT ON FUNCTION csm_private.person_now(bigint, bigint) IS
'Whose id it is now: of a person who was merged, the one who was kept; else the same';
COMMENT ON FUNCTION csm_private.person_ids(bigint, bigint) IS
'Every id under which history and audit log may name the person: his own, and those merged into him';
COMMENT ON FUNCTION csm_private.begin_merge(bigint, bigint) IS
'Announces that rows are re-pointed from the one person to the other: until end_merge() or the end of the transaction triggers step aside as while restoring, but the history of cases goes on, and append-only rows may have the one id replaced by the other';
COMMENT ON FUNCTION csm_private.end_merge() IS 'Ends what begin_merge() announced';
COMMENT ON TABLE csm_private.shipped_copies IS 'What csm gave each tenant, to know at an update what the tenant has changed since';
COMMENT ON COLUMN csm_private.shipped_copies.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.shipped_copies.kind IS 'role (with its permissions), case_type, case_state, case_transition, case_field, notification_rule or notification_template';
COMMENT ON COLUMN csm_private.shipped_copies.key IS 'Key of the thing within its kind and tenant';
COMMENT ON COLUMN csm_private.shipped_copies.content IS 'The thing as it was given, as csm_private.shipped_items() writes it';
COMMENT ON FUNCTION csm.map_login(bigint, text) IS
'Lets a PostgreSQL role act as this person; NULL unmaps. It grants nothing: give the role csm_portal, csm_agent, csm_reporter or csm_admin as well. Superuser or member of csm_owner. Errors: 42704 no such role, 22023 no such user or a group role, 42501 a role that row-level security does not bind, 23505 mapped to another';
COMMENT ON FUNCTION csm.create_tenant(text, text, text, text) IS
'Makes a tenant with what csm ships and one person, who holds the staff roles admin and manager; returns the tenant''s id. admin_login_role: as csm.map_login(). Superuser or member of csm_owner. Errors: 22023 bad key, name or e-mail, 23505 key taken';
COMMENT ON FUNCTION csm.refresh_shipped(bigint) IS
'As csm.refresh_shipped(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.refresh_shipped() IS
'Merges what an update of csm brings into roles, permissions, case types, states, transitions, fields, and rules and words of notifications, and keeps what a tenant changed or deleted. A role counts as one thing with its permissions. Members of csm_owner: all tenants; an administrator: his own. Counts per kind: added, changed, removed (transitions, rules and words of notifications only), kept (differs from what csm ships)';
COMMENT ON FUNCTION csm_private.open_case_row(boolean, text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, text) IS
'Body of csm.open_case(): the INSERT with the caller''s rights, or the case that the key opened before';
COMMENT ON FUNCTION csm.open_case(text, text, text, bigint, bigint, bigint, bigint, bigint, integer, text, jsonb, boolean, text) IS
'Opens a case with the caller''s rights and returns it. requester_id: the caller by default; account_id: his home account. priority: the case type''s by default, else 4. fields: fields of the case type, and further columns by name (attributes, partner_account_id, partner_contact_id; staff also household_id, internal_contact_id, service_organization_id, counterparty_contact_id, impact, urgency, language, assigned_group_id, assigned_to, parent_id). draft: hidden from the counterparty until action submit. The same opener and idempotency_key return the first case. Errors: 42501 not permitted or a reference that does not exist or is hidden, 22023 unknown case type or field, 22004 subject null, 23514 value out of range, SM006 key used for another case';
COMMENT ON FUNCTION csm_private.take_action(bigint, text, text, jsonb, boolean) IS
'Body of csm.act() and csm_private.act_as_system(), run as csm_owner: as_system says who is judged; errors as csm.act()';
COMMENT ON FUNCTION csm_private.act_as_system(bigint, text, text, jsonb) IS
'Takes an action as the system, whoever runs the function of csm that calls it; only csm_owner may. A note has no author. Errors as csm.act()';
COMMENT ON FUNCTION csm.act(bigint, text, text, jsonb) IS
'Takes an action on a case and returns the case as it is then. note becomes a shared entry. fields: columns set with it (subject, description, priority, impact, urgency, assigned_to, assigned_group_id, product_id, asset_id, counterparty_contact_id, resolution_code, resolution_notes), and reference, amount, currency of a proposal, and fields of the case type by their names; who does not work on the case may set only what the transition demands. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM002 not from this state, SM003 field or note missing, 22023 unknown action or field, 22004 null argument';
COMMENT ON FUNCTION csm.actions(bigint) IS
'What the caller may do with the case now: action, caption, state it leads to, fields that must be filled in then, whether a note must be given. No row for a case that is closed, hidden or missing';
COMMENT ON FUNCTION csm.comment(bigint, text, text, text) IS
'Writes an entry on a case and returns it. visibility: shared (all who see the case), internal (work note), private (the author''s side and staff). The same author, case and idempotency_key return the first entry, also after the case was closed. Errors: SM001 no such case, 42501 not permitted, SM004 case closed, SM006 key used for another text, 22004 null argument, 22023 empty text or unknown visibility';
COMMENT ON FUNCTION csm.case_people(bigint) IS
'Names of the people and accounts on a case that the caller sees (V11); relation is requester, opener, assignee, internal_contact, account, counterparty, partner, counterparty_contact, partner_contact, household or party. user_id and account_id are NULL where they do not apply. Parties are not shown to the counterparty. No row for a hidden or missing case';
COMMENT ON FUNCTION csm_private.access_reasons(bigint, bigint, bigint, text, timestamptz) IS
'The rules V1 to V9 in plain SQL: one row a person, case and reason, at an instant. NULL person or case: all of the tenant. Side: customer, staff (counts under csm_agent, csm_reporter and csm_admin only) or NULL for both. Persona: through which persona; NULL: a share with the person himself';
COMMENT ON FUNCTION csm_private.staff_side() IS
'True when the role of SET ROLE, else of the session, has the privileges of csm_agent, csm_reporter or csm_admin';
COMMENT ON FUNCTION csm_private.asks_as_staff(bigint) IS
'Whether the caller sees the case as staff; false: as a party to it; SM001: not at all';
COMMENT ON FUNCTION csm.explain_access(bigint, bigint) IS
'Why a person can see a case: one row a reason with the rule (V1 to V9), the role, through what, and the actions; where nothing grants, one row with granted = false that says what is lacking. V9 counts under staff roles only. For staff who see the case; everybody else asks about himself (42501). A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.who_can_see(bigint) IS
'Who can see a case, by which rule and role, and what he may do there; V9 counts under staff roles only. Staff who see the case get everybody, anybody else his own rows. A hidden and a missing case: SM001';
COMMENT ON FUNCTION csm.account_tree(bigint) IS
'The accounts that the caller sees, as a tree to read: from "root" down, or from his topmost visible accounts. depth counts from 0 where the tree begins. No row for a root that is hidden or missing (V12)';
COMMENT ON FUNCTION csm_private.check_accounts(bigint) IS
'Accounts whose path or root is not what their parents say; NULL for all tenants. No check of the caller';
COMMENT ON FUNCTION csm.verify_accounts(bigint) IS
'As csm.verify_accounts(), for one''s own tenant; error 42501 without the action configure there';
COMMENT ON FUNCTION csm.verify_accounts() IS
'Accounts whose path, root or depth is not what their parents say, and what is wrong; no row when all is well. Members of csm_owner: all tenants; an administrator: his own';
COMMENT ON FUNCTION csm.whoami() IS
'Always one row: the signed-in person, his tenant (of a visitor: csm.guest_tenant_id()), the persona he narrowed himself to (NULL: all), the personas he holds, his roles, and how far they reach. Reach of staff roles is listed under staff roles only, where it counts. Nobody: NULLs and empty arrays';
COMMENT ON TABLE csm.events IS 'What happened, once each; read through csm.next_events(). Written by triggers, deleted by csm.prune_events()';
COMMENT ON COLUMN csm.events.id IS 'Identity, unique in the database; in the order of commits within a case, article, thread or publication, not across them';
COMMENT ON COLUMN csm.events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.events.case_id IS 'The case; exactly one of case, article, question and publication is set';
COMMENT ON COLUMN csm.events.article_id IS 'The article (csm.articles.id, no foreign key)';
COMMENT ON COLUMN csm.events.question_id IS 'The question (csm.questions.id, no foreign key)';
COMMENT ON COLUMN csm.events.answer_id IS 'The answer to the question that it is about (csm.answers.id, no foreign key); NULL where it is about the question';
COMMENT ON COLUMN csm.events.publication_id IS 'The publication (csm.publications.id, no foreign key)';
COMMENT ON COLUMN csm.events.kind IS 'What happened: opened, state_changed, resolved, reopened, closed, assigned, priority_changed, commented, and what further modules add';
COMMENT ON COLUMN csm.events.actor_id IS 'Person who did it (csm.users.id, no foreign key); NULL for the system';
COMMENT ON COLUMN csm.events.on_behalf_of IS 'For whom he acted by csm.on_behalf_of() (csm.users.id, no foreign key); NULL for himself';
COMMENT ON COLUMN csm.events.audience IS 'shared: who sees the case; internal: staff who work on it; private: one side and staff who work on it';
COMMENT ON COLUMN csm.events.side IS 'Side of a private event: customer, counterparty or operator; NULL for the others';
COMMENT ON COLUMN csm.events.payload IS 'Keys and values of the change, a JSON object without free text; README lists them by kind';
COMMENT ON COLUMN csm.events.created_at IS 'When it happened';
COMMENT ON COLUMN csm.events.position IS 'Place in the order of delivery within the tenant; NULL until csm.next_events() has met the committed row';
COMMENT ON FUNCTION csm_private.emit(bigint, bigint, text, jsonb, text, text, bigint) IS
'Writes an event, after locking its case; nothing while restoring or importing. actor_id: NULL where time acts, whoever runs the clock. Error 22004 when tenant, case or kind is null';
COMMENT ON FUNCTION csm_private.case_events() IS
'AFTER trigger of csm.cases: opened, then for a change of state one of resolved, reopened, closed, state_changed; assigned; priority_changed';
COMMENT ON FUNCTION csm_private.entry_events() IS
'AFTER trigger of csm.case_entries: commented, for whom the entry is';
COMMENT ON TABLE csm.timers IS 'When csm.run_due() looks at something again; at most one timer per kind and object';
COMMENT ON COLUMN csm.timers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.timers.kind IS 'What is due: names the handler';
COMMENT ON COLUMN csm.timers.object_id IS 'The row that it is about: which table, the kind says';
COMMENT ON COLUMN csm.timers.case_id IS 'Case to which the object belongs; NULL where it belongs to none';
COMMENT ON COLUMN csm.timers.due_at IS 'From when on it is looked at; after a failure the next attempt';
COMMENT ON COLUMN csm.timers.attempts IS 'How often the handler failed since the timer was set';
COMMENT ON COLUMN csm.timers.error IS 'SQLSTATE and message of the last failure; NULL when there was none';
COMMENT ON POLICY timers_select ON csm.timers IS 'Administrators all of the tenant; staff those of the cases that they work on';
COMMENT ON FUNCTION csm_private.set_timer(bigint, text, bigint, bigint, timestamptz) IS
'Sets or moves the timer of a kind and object; due_at NULL clears it, case_id NULL where the object belongs to no case';
COMMENT ON VIEW csm_report.cases IS 'One row for each case that the reader may see; no subject, no text, no personal data';
COMMENT ON COLUMN csm_report.cases.id IS 'Key, csm.cases.id';
COMMENT ON COLUMN csm_report.cases.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.cases.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.cases.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.cases.state IS 'State of its machine';
COMMENT ON COLUMN csm_report.cases.state_class IS 'draft, new, open, waiting, resolved, closed or cancelled: the same for every type';
COMMENT ON COLUMN csm_report.cases.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm_report.cases.impact IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.urgency IS '1 (high) to 3 (low)';
COMMENT ON COLUMN csm_report.cases.channel IS 'How it came in';
COMMENT ON COLUMN csm_report.cases.product_id IS 'Product concerned; NULL for none';
COMMENT ON COLUMN csm_report.cases.product IS 'Name of the product';
COMMENT ON COLUMN csm_report.cases.parent_product IS 'Name of the product above; NULL at the top';
COMMENT ON COLUMN csm_report.cases.account_id IS 'Customer account; NULL unless b2b';
COMMENT ON COLUMN csm_report.cases.account IS 'Name of the customer account; NULL where the reader may not see the account';
COMMENT ON COLUMN csm_report.cases.top_account_id IS 'Top of the customer''s account tree; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.top_account IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.partner_account_id IS 'Partner that looks after the case';
COMMENT ON COLUMN csm_report.cases.partner IS 'Name of the partner; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.counterparty_account_id IS 'The other company of a dispute';
COMMENT ON COLUMN csm_report.cases.counterparty IS 'Its name; NULL where the reader may not see it';
COMMENT ON COLUMN csm_report.cases.service_organization_id IS 'Service organisation that the case belongs to';
COMMENT ON COLUMN csm_report.cases.service_organization IS 'Its name';
COMMENT ON COLUMN csm_report.cases.assigned_group_id IS 'Group that works on it';
COMMENT ON COLUMN csm_report.cases.assigned_group IS 'Name of the group';
COMMENT ON COLUMN csm_report.cases.assignee_id IS 'Who works on it (csm.users.id); a name would be personal data';
COMMENT ON COLUMN csm_report.cases.resolution_code IS 'How it was solved';
COMMENT ON COLUMN csm_report.cases.needs_attention IS 'Something new was said';
COMMENT ON COLUMN csm_report.cases.reopen_count IS 'How often a proposed solution was rejected';
COMMENT ON COLUMN csm_report.cases.reassignment_count IS 'How often it changed hands after the first assignment';
COMMENT ON COLUMN csm_report.cases.opened_at IS 'When it was made';
COMMENT ON COLUMN csm_report.cases.submitted_at IS 'When it left draft; NULL while draft';
COMMENT ON COLUMN csm_report.cases.first_response_at IS 'First entry of staff that the customer can read';
COMMENT ON COLUMN csm_report.cases.resolved_at IS 'When a solution was last proposed; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN csm_report.cases.updated_at IS 'Last change or entry';
COMMENT ON COLUMN csm_report.cases.first_response_seconds IS 'Seconds from submission to the first response; NULL while there is none';
COMMENT ON COLUMN csm_report.cases.resolve_seconds IS 'Seconds from submission to the last proposed solution; NULL while none stands';
COMMENT ON COLUMN csm_report.cases.close_seconds IS 'Seconds from submission to closing; NULL while open';
COMMENT ON COLUMN csm_report.cases.age_seconds IS 'Seconds from making to closing, or to now while open; NULL when the time of closing is not known (imported cases)';
COMMENT ON FUNCTION csm.set_fields(bigint, jsonb) IS
'Sets fields of a case by their names, wherever they live, and returns the case; null clears a field. Staff who work on the case set all, a side the fields that only it reads. Errors: SM001 no such case, 42501 not permitted, or a reference that does not exist or is hidden, SM003 a required field would be cleared, SM004 case closed, 22023 no such field or a value of another type';
COMMENT ON FUNCTION csm_private.check_configures(bigint) IS
'42501 unless the caller holds the action configure in the tenant, or writes as the system';
COMMENT ON FUNCTION csm_private.machine_begins(bigint, text) IS
'States in which a new case can begin: the first of class draft, and the first of class new unless the type begins as draft';
COMMENT ON FUNCTION csm_private.machine_walk(bigint, text) IS
'States of a machine; reached: a new case can come there, ends: from there it can be closed or cancelled';
COMMENT ON FUNCTION csm.check_case_type(text) IS
'What is wrong with a case type: no first state, state cannot be reached, state without a way out, dead action, unknown actor, unknown field, unknown action, two states with one number, state of cases is missing, setting out of range. object names the state, the state and action, the field or the setting. No row: the machine is sound. Errors: 42501 without the action configure, 22023 no such type';
COMMENT ON FUNCTION csm.create_case_type(text, text, text, jsonb, jsonb, jsonb, jsonb, boolean) IS
'Makes a case type that inherits from parent (NULL: from none) and changes what is given. settings: as csm.case_types.settings. states, transitions, fields: arrays of objects with the columns of csm.case_states, csm.case_transitions (from_state may be an array) and csm.case_type_fields; of an inherited state or action only what changes need be said, "active": false does without it. own_machine: nothing of the parent''s machine is inherited. Errors: 42501 without the action configure, 22023 no such parent or a machine that is not sound (csm.check_case_type), 23503 no such state, 23505 the type exists, 23502 and 23514 a value that no row may have';
COMMENT ON FUNCTION csm.machine_diagram(text) IS
'The machine of a case type as a Mermaid stateDiagram, inherited states and actions included; NULL for an unknown type, and for nobody';
COMMENT ON TABLE csm.dispute_proposals IS 'Proposals of a dispute, round by round, and rulings of the operator. Written by the actions of the machine alone; a row never changes but for its outcome, once';
COMMENT ON COLUMN csm.dispute_proposals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.dispute_proposals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.dispute_proposals.case_id IS 'The dispute';
COMMENT ON COLUMN csm.dispute_proposals.round IS 'Counts the proposals and rulings of the dispute from 1';
COMMENT ON COLUMN csm.dispute_proposals.side IS 'counterparty: a proposal of the respondent; operator: a ruling';
COMMENT ON COLUMN csm.dispute_proposals.proposed_by IS 'Who made it; NULL for the system';
COMMENT ON COLUMN csm.dispute_proposals.proposed_name IS 'His name when he made it (V11)';
COMMENT ON COLUMN csm.dispute_proposals.proposed_at IS 'When it was made';
COMMENT ON COLUMN csm.dispute_proposals.reference IS 'What it stands on: number of a credit note, payment, shipment; NULL only for a ruling that moves no money';
COMMENT ON COLUMN csm.dispute_proposals.amount IS 'Amount offered, in currency; NULL for none';
COMMENT ON COLUMN csm.dispute_proposals.currency IS 'Three letters (ISO 4217); NULL without an amount';
COMMENT ON COLUMN csm.dispute_proposals.resolution_code IS 'Resolution code of the case as proposed';
COMMENT ON COLUMN csm.dispute_proposals.notes IS 'Resolution notes of the case as proposed; the text of a ruling';
COMMENT ON COLUMN csm.dispute_proposals.outcome IS 'accepted or rejected by the claimant, withdrawn by the respondent, lapsed (escalated, or the claim withdrawn), confirmed (a ruling); NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_by IS 'Who decided; NULL while pending and for the system';
COMMENT ON COLUMN csm.dispute_proposals.decided_name IS 'His name when he decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.decided_at IS 'When it was decided; NULL while pending';
COMMENT ON COLUMN csm.dispute_proposals.reason IS 'Note given with the decision; NULL for none';
COMMENT ON POLICY dispute_proposals_select ON csm.dispute_proposals IS 'All who see the case: both sides and the operator';
COMMENT ON FUNCTION csm_private.proposal_guard() IS
'Trigger of csm.dispute_proposals: written by the trigger of csm.cases only, or while importing; nothing changes but the outcome, once (42501)';
COMMENT ON FUNCTION csm_private.proposals_follow() IS
'AFTER trigger of csm.cases: makes or decides a proposal where the transition taken has the effect "proposal", and its event; SM002 when there is none to decide';
COMMENT ON FUNCTION csm_private.may_dispute(bigint, bigint, bigint, text) IS
'Whether whoever asks for service may name that other side: a current relationship trades_with between the two accounts, or, with the type setting counterparties = "any", any active account';
COMMENT ON FUNCTION csm.dispute_counterparties() IS
'With whom the caller may open a dispute: the other account and its name, for each of the accounts for which he may open cases (for_account_id). Current relationships of type trades_with, in either direction; no row for nobody';
COMMENT ON FUNCTION csm_private.due_dispute_response(bigint, bigint, timestamptz) IS
'Timer dispute_response: escalates a dispute on which the respondent said nothing for response_hours';
COMMENT ON FUNCTION csm_private.due_dispute_auto_accept(bigint, bigint, timestamptz) IS
'Timer dispute_auto_accept: accepts a proposal that nobody answered, unless auto_close is off or something keeps the case open (attention, an escalation); then it looks again a day later';
COMMENT ON FUNCTION csm_private.due_dispute_appeal(bigint, bigint, timestamptz) IS
'Timer dispute_appeal: a ruling becomes final when its appeal window has ended';
COMMENT ON FUNCTION csm_private.limit_rounds(csm.cases) IS
'Escalates a dispute in which max_rounds proposals were rejected; returns the case as it is then';
COMMENT ON TABLE csm.case_history IS 'What happened to a case: one link for each change; a chain for each case, append-only';
COMMENT ON COLUMN csm.case_history.id IS 'Identity, unique in the database; grows within a case';
COMMENT ON COLUMN csm.case_history.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_history.case_id IS 'The case';
COMMENT ON COLUMN csm.case_history.seq IS 'Place in the chain of the case, from 1 on without a gap';
COMMENT ON COLUMN csm.case_history.at IS 'When it happened; for a change of the case row its updated_at';
COMMENT ON COLUMN csm.case_history.action IS 'open, imported, update, comment, work_note, private_entry, attach, or the action of the machine that was taken';
COMMENT ON COLUMN csm.case_history.actor_id IS 'Who did it; NULL for the system';
COMMENT ON COLUMN csm.case_history.actor_name IS 'His name then, system for the system; NULL when erased';
COMMENT ON COLUMN csm.case_history.persona IS 'As what he did it: the persona he had narrowed himself to, else staff, contact, consumer or employee by his relation; NULL for the system and for who only shares the case';
COMMENT ON COLUMN csm.case_history.relation IS 'Relations to the case under which it was permitted, as csm.case_transitions.actors names them, separated by comma and blank; NULL for who only shares the case';
COMMENT ON COLUMN csm.case_history.on_behalf_of IS 'The requester, where another opened the case for him or spoke for his side; NULL otherwise';
COMMENT ON COLUMN csm.case_history.audience IS 'Who reads the link: shared (all who see the case), internal (staff who work on it), customer or counterparty (one side, and staff who work on it)';
COMMENT ON COLUMN csm.case_history.payload IS 'Field -> [old, new]; times in UTC. A first link has every field that is not null. A name with a point is no column of csm.cases: internal.attributes, customer.attributes, counterparty.attributes, entry.* and attachment.* of what was added. NULL when erased';
COMMENT ON COLUMN csm.case_history.salt IS '16 random bytes, hashed with actor_name and payload; NULL when erased';
COMMENT ON COLUMN csm.case_history.payload_hash IS 'SHA-256 of salt, actor_name and payload; outlives them';
COMMENT ON COLUMN csm.case_history.previous_hash IS 'hash of the link before; NULL in a first link';
COMMENT ON COLUMN csm.case_history.hash IS 'SHA-256 of previous_hash, the other columns and payload_hash';
COMMENT ON POLICY case_history_select ON csm.case_history IS 'Shared: all who see the case; internal: staff who work on it; else one side and staff who work on it';
COMMENT ON TABLE csm.history_seals IS 'Seals over the history of a tenant, chained and append-only; whoever keeps the hash of one elsewhere can prove later what the history was';
COMMENT ON COLUMN csm.history_seals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.history_seals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_seals.seq IS 'Place in the tenant''s chain of seals, from 1 on without a gap';
COMMENT ON COLUMN csm.history_seals.at IS 'When it was made';
COMMENT ON COLUMN csm.history_seals.leaves IS 'How many cases it has in csm.history_leaves';
COMMENT ON COLUMN csm.history_seals.root IS 'Merkle root over its leaves in the order of their cases';
COMMENT ON COLUMN csm.history_seals.previous_hash IS 'hash of the seal before; NULL in a first seal';
COMMENT ON COLUMN csm.history_seals.hash IS 'SHA-256 of previous_hash, tenant_id, seq, at, leaves and root';
COMMENT ON COLUMN csm.history_seals.covered_to IS 'Every link up to this csm.case_history.id is in this seal or one before';
COMMENT ON COLUMN csm.history_seals.scanned_to IS 'So is every link up to this id that was committed when the seal was made; one that is committed later finds the next seal';
COMMENT ON COLUMN csm.history_seals.horizon IS 'Transaction id: when all before it have ended, scanned_to counts as covered_to. One that this cluster has not reached comes from another, where all have ended';
COMMENT ON TABLE csm.history_leaves IS 'What a seal says of a case; append-only';
COMMENT ON COLUMN csm.history_leaves.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.history_leaves.seal_id IS 'The seal';
COMMENT ON COLUMN csm.history_leaves.case_id IS 'The case';
COMMENT ON COLUMN csm.history_leaves.length IS 'How many links its chain had';
COMMENT ON COLUMN csm.history_leaves.last_hash IS 'hash of the last of them';
COMMENT ON POLICY history_seals_select ON csm.history_seals IS 'Administrators, and managers with reach all';
COMMENT ON POLICY history_leaves_select ON csm.history_leaves IS 'Administrators, and managers with reach all';
COMMENT ON FUNCTION csm_private.history_payload_hash(bytea, text, jsonb) IS
'payload_hash of a link; NULL where salt or payload is null or the salt has another length than 16';
COMMENT ON FUNCTION csm_private.history_link_hash(bytea, bigint, bigint, bigint, bigint, timestamptz, text, bigint, text, text, bigint, text, bytea) IS
'hash of a link; NULL where a value is missing or a hash has another length than 32';
COMMENT ON FUNCTION csm_private.history_leaf(bigint, bigint, bigint, bytea) IS 'Leaf of a seal';
COMMENT ON FUNCTION csm_private.history_root(bytea[]) IS 'Merkle root over leaves in the order given; NULL for none';
COMMENT ON FUNCTION csm_private.history_seal(bytea, bigint, bigint, timestamptz, bigint, bytea) IS 'hash of a seal';
COMMENT ON FUNCTION csm_private.case_payload(csm.cases) IS
'The row as the payload of a first link: field -> [null, value] for what is tracked and not null';
COMMENT ON FUNCTION csm_private.case_words(csm.cases) IS 'csm.cases.search as it would be computed for the row';
COMMENT ON FUNCTION csm_private.history() IS
'AFTER row trigger that writes csm.case_history; argument: case, entry, fields or attachment';
COMMENT ON FUNCTION csm_private.begin_erasure(bigint) IS
'Announces that personal data in append-only rows of the case are erased: until end_erasure(), another announcement or the end of the transaction the columns that the triggers name may be changed, and no other';
COMMENT ON FUNCTION csm_private.begin_erasures() IS
'The same for all cases, for append-only rows of none, and for the personal columns of csm.cases, whatever their state; guards of other tables stand aside';
COMMENT ON FUNCTION csm_private.end_erasure() IS 'Ends what begin_erasure() announced';
COMMENT ON FUNCTION csm.case_as_of(bigint, timestamptz) IS
'The row of a case as it was at that time, rebuilt from its history, for whoever sees the case now; search is computed with today''s text search configuration. No row for a hidden or missing case, before it existed, before it was imported, and, for the counterparty, while it was a draft. Fields of erased links are missing';
COMMENT ON FUNCTION csm_private.seal_history(bigint, bigint) IS
'Seals what has been committed of a tenant''s history since the last seal, at most that many links; returns how many. No new link, no seal';
COMMENT ON FUNCTION csm_private.due_seal(bigint, bigint, timestamptz) IS
'Handler of timers of kind seal, one a tenant: seals, and comes again after the tenant''s setting seal_minutes (60 by default), at once where links were left over';
COMMENT ON FUNCTION csm_private.begin_seals() IS 'Trigger of csm.tenants: the first timer of kind seal';
COMMENT ON FUNCTION csm_private.history_link_problems(bigint, bigint) IS
'Every link with what is wrong with it or with the entry it speaks of, NULL where nothing is; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_case_problems(bigint, bigint) IS
'Cases that are missing, differ from what their history says, or have none though younger ones do; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.history_seal_problems(bigint, bigint) IS
'Seals that were changed or removed, and sealed links that are missing or others; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm.verify_history(bigint) IS
'Reads the history of the caller''s tenant (without identity: of all tenants), or of one case, and compares it with its hashes, its seals, the entries, attachments and cases as they are. Always one row: intact; links read, of these erased and not yet sealed; seals; and of the first broken row the case, the place in its chain, and what is wrong (case NULL: a seal). For administrators, and managers with reach all; errors: 42501, SM001';
COMMENT ON TABLE csm.attachments IS 'Files on a case; append-only, written by csm.attach()';
COMMENT ON COLUMN csm.attachments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.attachments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachments.case_id IS 'The case';
COMMENT ON COLUMN csm.attachments.entry_id IS 'Entry of the case that it belongs to; NULL: the case itself';
COMMENT ON COLUMN csm.attachments.author_id IS 'Who attached it; NULL for the system';
COMMENT ON COLUMN csm.attachments.author_name IS 'His name then (V11)';
COMMENT ON COLUMN csm.attachments.visibility IS 'That of its entry, copied; shared without one';
COMMENT ON COLUMN csm.attachments.side IS 'Side of its author, or of its entry, copied: customer, counterparty or operator';
COMMENT ON COLUMN csm.attachments.file_name IS 'Name without path, 1 to 255 characters';
COMMENT ON COLUMN csm.attachments.media_type IS 'Media type without parameters (RFC 6838), as the client gave it: not to be trusted';
COMMENT ON COLUMN csm.attachments.size IS 'Bytes; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.sha256 IS 'SHA-256 of the content, computed here where the content is here; NULL where a url was given without it';
COMMENT ON COLUMN csm.attachments.url IS 'http or https address of the content, up to 2,000 characters; NULL where it stands in csm.attachment_contents';
COMMENT ON COLUMN csm.attachments.created_at IS 'When it was attached';
COMMENT ON TABLE csm.attachment_contents IS 'Contents that are kept in the database; append-only';
COMMENT ON COLUMN csm.attachment_contents.attachment_id IS 'The attachment';
COMMENT ON COLUMN csm.attachment_contents.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.attachment_contents.content IS 'The bytes, not compressed';
COMMENT ON POLICY attachments_select ON csm.attachments IS 'As the entry it belongs to; without one, all who see the case';
COMMENT ON POLICY attachment_contents_select ON csm.attachment_contents IS 'Whoever sees the attachment';
COMMENT ON FUNCTION csm_private.file_name(text) IS
'A file name as it can be kept and shown: what follows the last / or \, without control and direction characters, without blanks and points at its ends, characters that a file system refuses as _, cut to 255 characters before the extension; NULL where nothing is left';
COMMENT ON FUNCTION csm_private.attachment_limit(csm.cases, text, bigint) IS
'A limit as the case type says, else the tenant, else the last argument';
COMMENT ON FUNCTION csm.attach(bigint, text, text, bytea, text, bigint, bigint, bytea) IS
'Attaches a file to a case, or to an entry that the caller wrote, and returns it. Either content, which is kept here and whose size and SHA-256 are computed (size and sha256, where given, must agree), or url, with which size and sha256 are kept as given. file_name loses its path and what cannot be shown. media_type: application/octet-stream by default. Limits: max_attachments of a case (100) and max_attachment_bytes of a content (10,485,760) in the settings of the case type, else of the tenant; of a consumer the quota attachments of the tenant. Errors: SM001 no such case, 42501 not permitted, or no entry of his, SM004 case closed, SM007 too many, 22004 null argument, 22023 name, type, url or content not acceptable or too large';
COMMENT ON FUNCTION csm_private.attachment_problems(bigint, bigint) IS
'Attachments that are not what the history says, and contents that are not what their attachment says; of one tenant or case, NULL for all';
COMMENT ON FUNCTION csm_private.is_staff(text) IS
'Whether a staff role of the person counts now, one that permits the action with whatever reach; NULL: any staff role. False under csm_portal and for nobody';
COMMENT ON FUNCTION csm_private.lock_for_dependent(bigint, bigint, text, boolean) IS
'Locks a case and returns it; a row of nulls where there is none. what: noun phrase for the message; unfinished: whether it would keep the case from being resolved. Errors: SM004 case closed, SM002 solution proposed. For triggers that have asked for the right before';
COMMENT ON FUNCTION csm_private.call_attention(bigint, bigint) IS
'Switches needs_attention on as csm''s own change; nothing on a case that has it, is resolved or is closed';
COMMENT ON FUNCTION csm_private.block_guard() IS
'Trigger of csm.case_blocks: who and when; SM004 or SM002 on a case that cannot be blocked any more, 42501 for a block that ended';
COMMENT ON FUNCTION csm_private.block_effects() IS
'Trigger of csm.case_blocks: the end of a block calls attention to the case (R 2.5); events blocked and unblocked for reasons problem and other';
COMMENT ON FUNCTION csm_private.block_overtaken() IS
'Trigger of csm.case_blocks: ends a block that was being changed while its case was resolved or closed';
COMMENT ON FUNCTION csm_private.never_deleted() IS
'Trigger that refuses DELETE and TRUNCATE for everybody (42501)';
COMMENT ON FUNCTION csm_private.case_dependents() IS
'Trigger of csm.cases: waiting for the customer begins and ends a block; a case that is resolved or ends has no blocks; cancelling it cancels its tasks and lines; submitting it submits its lines';
COMMENT ON TABLE csm.case_blocks IS 'What cases wait for, kept with beginning and end (R 2.5)';
COMMENT ON COLUMN csm.case_blocks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_blocks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_blocks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_blocks.reason IS 'customer_info: an answer of the customer, kept by the state of the case; task: a blocking task, kept by csm.case_tasks; problem: the workaround of a problem; other: something else, said in note. The last two are written by staff';
COMMENT ON COLUMN csm.case_blocks.note IS 'What it waits for, up to 400 characters, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_blocks.blocked_by IS 'Who began it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_blocks.blocked_at IS 'When it began, stamped';
COMMENT ON COLUMN csm.case_blocks.unblocked_by IS 'Who ended it, stamped; NULL for the system and while it lasts';
COMMENT ON COLUMN csm.case_blocks.unblocked_at IS 'When it ended: a value of a client''s own is replaced by the clock; NULL while it lasts. An ended block never changes';
COMMENT ON POLICY case_blocks_select ON csm.case_blocks IS 'All who see the case';
COMMENT ON POLICY case_blocks_insert ON csm.case_blocks IS 'Staff who work on the case, for reasons problem and other';
COMMENT ON POLICY case_blocks_update ON csm.case_blocks IS 'Staff who work on the case end a block of reason problem or other';
COMMENT ON VIEW csm.case_action_status IS 'Whose move it is on each case that the reader sees';
COMMENT ON COLUMN csm.case_action_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_action_status.tenant_id IS 'Tenant of the case';
COMMENT ON COLUMN csm.case_action_status.action_status IS 'done (closed or cancelled), else needs_attention, else blocked, else active';
COMMENT ON COLUMN csm.case_action_status.blocked_by_reasons IS 'Reasons of the open blocks, sorted; also where the status is needs_attention. Empty when none';
COMMENT ON COLUMN csm.case_action_status.blocked_since IS 'Beginning of the oldest open block; NULL when none, and for a case that was imported as waiting';
COMMENT ON FUNCTION csm_private.task_guard() IS
'Trigger of csm.case_tasks: number, branch, who and when; the states; the block of a blocking task. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 task or case closed, SM002 state a task cannot begin in, or a blocking task while a solution is proposed';
COMMENT ON FUNCTION csm_private.task_effects() IS
'Trigger of csm.case_tasks: ends the block of a task that does not block any more; cancels a task whose case was cancelled meanwhile; events task_opened and task_closed';
COMMENT ON TABLE csm.case_tasks IS 'Work for somebody on the desk that a case needs. Rows are never deleted; closed and cancelled ones never change';
COMMENT ON COLUMN csm.case_tasks.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_tasks.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_tasks.case_id IS 'The case';
COMMENT ON COLUMN csm.case_tasks.branch IS 'Branch of the case, copied';
COMMENT ON COLUMN csm.case_tasks.number IS 'Human-facing number, unique in the tenant; made from the id (CT0000042)';
COMMENT ON COLUMN csm.case_tasks.subject IS 'What is to be done, up to 400 characters';
COMMENT ON COLUMN csm.case_tasks.description IS 'More about it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.state IS 'open, in_progress, closed or cancelled';
COMMENT ON COLUMN csm.case_tasks.blocking IS 'True: while the task is open the case is blocked and can be neither resolved nor closed';
COMMENT ON COLUMN csm.case_tasks.visible_to_customer IS 'True: whoever sees the case sees the task, except the other company of a dispute';
COMMENT ON COLUMN csm.case_tasks.priority IS '1 (critical) to 4 (low)';
COMMENT ON COLUMN csm.case_tasks.assigned_group_id IS 'Group that does it; NULL for none';
COMMENT ON COLUMN csm.case_tasks.assigned_to IS 'Person who does it; NULL for nobody yet';
COMMENT ON COLUMN csm.case_tasks.due_at IS 'When it should be done; NULL for no term. Nothing happens by itself then';
COMMENT ON COLUMN csm.case_tasks.close_notes IS 'What came of it, up to 100,000 characters; NULL for none. Read by the customer where the task is visible to him';
COMMENT ON COLUMN csm.case_tasks.block_id IS 'The block that the task made last; NULL where it never blocked';
COMMENT ON COLUMN csm.case_tasks.opened_by IS 'Who opened it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_tasks.opened_at IS 'When it was opened, stamped';
COMMENT ON COLUMN csm.case_tasks.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_tasks.closed_by IS 'Who closed or cancelled it, stamped; NULL for the system and while it is open';
COMMENT ON COLUMN csm.case_tasks.closed_at IS 'When it was closed or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_tasks_select ON csm.case_tasks IS 'T10: tasks with the flag, by the customer''s side of a visible case';
COMMENT ON POLICY case_tasks_select_staff ON csm.case_tasks IS 'Those who work on the case; staff to whom the task is assigned, in person or by group; with the flag all who see the case but its counterparty';
COMMENT ON POLICY case_tasks_insert ON csm.case_tasks IS 'Staff who work on the case';
COMMENT ON POLICY case_tasks_update ON csm.case_tasks IS 'Staff who work on the case, and staff to whom the task is assigned';
COMMENT ON FUNCTION csm_private.may_order(csm.cases) IS
'Whether the person decides for the customer of a case that is draft or new; false for a null row';
COMMENT ON FUNCTION csm_private.line_guard() IS
'Trigger of csm.case_lines: position, first state, who and when; the states. Errors: 42501 not permitted (hidden and missing case alike) or a fixed column, SM004 line or case closed, SM002 state not possible, or a new line while a solution is proposed';
COMMENT ON FUNCTION csm_private.line_overtaken() IS
'Trigger of csm.case_lines: cancels a line that was being changed while its case was cancelled';
COMMENT ON TABLE csm.case_lines IS 'Products or issues of one case, each with a state of its own. Rows are never deleted; ended ones never change';
COMMENT ON COLUMN csm.case_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_lines.case_id IS 'The case';
COMMENT ON COLUMN csm.case_lines.position IS 'Number of the line in its case, from 1, given in the order of adding';
COMMENT ON COLUMN csm.case_lines.product_id IS 'Product that is ordered or concerned; NULL where description says what';
COMMENT ON COLUMN csm.case_lines.quantity IS 'How many, above 0, up to six decimals; the unit is the product''s';
COMMENT ON COLUMN csm.case_lines.description IS 'What it is about, up to 10,000 characters; NULL where the product says it';
COMMENT ON COLUMN csm.case_lines.state IS 'draft, new, work_in_progress, awaiting_info, resolved_accepted, resolved_denied or cancelled; begins as draft on a draft, else as new';
COMMENT ON COLUMN csm.case_lines.resolution_notes IS 'What came of it, read by all who see the case; NULL for none';
COMMENT ON COLUMN csm.case_lines.opened_by IS 'Who added it, stamped; NULL for the system';
COMMENT ON COLUMN csm.case_lines.opened_at IS 'When it was added, stamped';
COMMENT ON COLUMN csm.case_lines.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.case_lines.closed_at IS 'When it was resolved or cancelled, stamped; NULL while it is open';
COMMENT ON POLICY case_lines_select ON csm.case_lines IS 'All who see the case';
COMMENT ON POLICY case_lines_insert ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins; an active product of the tenant';
COMMENT ON POLICY case_lines_update ON csm.case_lines IS 'Staff who work on the case, and the customer''s side until work begins';
COMMENT ON FUNCTION csm_private.case_holds(csm.cases, text) IS
'Whether the person has the action on the customer''s side of the case by anything but a share; false for nobody and a null row';
COMMENT ON FUNCTION csm_private.may_share_with(bigint, bigint, bigint, boolean, boolean) IS
'Whether the signed-in person may let in this person or account. as_desk: whoever is visible to him; else a current contact, or an account, of the subtree of an account in which he is a contact himself. False for hidden and missing alike';
COMMENT ON FUNCTION csm_private.case_to_share(bigint) IS
'The case, where the caller may share it; errors SM001 and 42501 of csm.share_case()';
COMMENT ON FUNCTION csm_private.share_case_row(boolean, bigint, bigint, bigint, text[], timestamptz) IS
'Body of csm.share_case(); visible: whether the caller sees the person or account';
COMMENT ON FUNCTION csm.share_case(bigint, bigint, bigint, text[], timestamptz) IS
'Lets a person, or all current contacts of an account, in to a case, until the given time (NULL: without end), and returns the share. capabilities: case_read, and case_comment and case_decide where named. Sharing again replaces both. By staff who work on the case, with whom they see; by whoever has case_decide on the customer''s side other than by a share, with contacts and accounts of his own accounts'' subtrees. Counts from the next statement on. Errors: SM001 no such case, 42501 not his to share, or person or account out of reach (hidden and missing alike), 22023 argument';
COMMENT ON FUNCTION csm.unshare_case(bigint, bigint, bigint) IS
'Ends the share of a case with a person or an account, from the next statement on; true where one was ended. By staff who work on the case, whoever granted it or could grant it, and the person himself. The row is kept with its end. Errors: SM001 no such case, 42501 not permitted, 22023 not exactly one of user_id and account_id';
COMMENT ON TABLE csm.case_links IS 'Cases that belong together. A link changes no right on either case';
COMMENT ON COLUMN csm.case_links.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_links.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_links.from_case_id IS 'The case that follows up, is the duplicate, or is related';
COMMENT ON COLUMN csm.case_links.to_case_id IS 'The case that it refers to';
COMMENT ON COLUMN csm.case_links.kind IS 'follow_up: opened because the other one is closed (R 2.2); duplicate: the other one is the same matter; related';
COMMENT ON COLUMN csm.case_links.created_by IS 'Who linked them; NULL for the system';
COMMENT ON COLUMN csm.case_links.created_at IS 'When they were linked';
COMMENT ON POLICY case_links_select ON csm.case_links IS 'Whoever sees both cases';
COMMENT ON POLICY case_links_insert ON csm.case_links IS 'Staff who work on the case that refers and see the other';
COMMENT ON POLICY case_links_delete ON csm.case_links IS 'Staff who work on the case that refers; a follow-up stays one';
COMMENT ON FUNCTION csm_private.open_follow_up_row(bigint, text, text, text) IS
'Body of csm.open_follow_up(): opens the new case with the caller''s rights';
COMMENT ON FUNCTION csm_private.link_follow_up(csm.cases, bigint) IS
'Body of csm.open_follow_up(): links the case that the caller just opened; returns it';
COMMENT ON FUNCTION csm.open_follow_up(bigint, text, text, text) IS
'Opens a case that follows up a closed or cancelled one, with its type, requester, account, counterparty, product (where still offered) and priority, links the two and returns the new one. subject: that of the old one by default. The same opener and idempotency_key return the first case. Errors: SM001 no such case, SM002 the case is not closed, and those of csm.open_case()';
COMMENT ON FUNCTION csm.assets_allowing(text) IS
'Sorted ids: install-base items that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.sold_products_allowing(text) IS
'Sorted ids: sold products that the person is linked to or authorised on; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm.asset_allows(bigint, text) IS
'True for an install-base item that the person is linked to as its contact, or authorised on: action product_read or asset_read';
COMMENT ON FUNCTION csm.sold_product_allows(bigint, text) IS
'As asset_allows, of a sold product';
COMMENT ON POLICY asset_contacts_select ON csm.asset_contacts IS 'Who manages the item, and whoever sees both it and the contact';
COMMENT ON POLICY asset_contacts_insert ON csm.asset_contacts IS 'A15: who has product_manage on the item''s account, for a contact he reads; 42501 for hidden, missing and unfit alike';
COMMENT ON POLICY asset_contacts_delete ON csm.asset_contacts IS 'Who has product_manage on the item''s account';
COMMENT ON POLICY asset_parties_select ON csm.asset_parties IS 'The person authorised, and who manages the item';
COMMENT ON POLICY asset_parties_select_staff ON csm.asset_parties IS 'The person authorised, and staff who read the item';
COMMENT ON POLICY asset_parties_insert ON csm.asset_parties IS 'B18: staff with product_manage; a customer''s administrator for people and accounts that he manages';
COMMENT ON POLICY asset_parties_update ON csm.asset_parties IS 'Who manages the item';
COMMENT ON POLICY asset_parties_delete ON csm.asset_parties IS 'Who manages the item';
COMMENT ON TABLE csm.sold_products IS 'What was sold: a product of the catalogue in the hands of an account or a person, in a tree';
COMMENT ON COLUMN csm.sold_products.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sold_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sold_products.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.sold_products.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.sold_products.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.sold_products.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.sold_products.parent_id IS 'Sold product that it is part of; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.sold_products.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.sold_products.quantity IS 'How many, greater than 0';
COMMENT ON COLUMN csm.sold_products.valid_during IS 'When the sale holds; NULL means always. csm.state() makes in_preparation, active or expired of it';
COMMENT ON COLUMN csm.sold_products.created_at IS 'When the row was made';
COMMENT ON TABLE csm.assets IS 'Install base: each single item that an account or a person has, in a tree';
COMMENT ON COLUMN csm.assets.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.assets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.assets.account_id IS 'Account that owns it; exactly one of account and person is set';
COMMENT ON COLUMN csm.assets.user_id IS 'Consumer who owns it';
COMMENT ON COLUMN csm.assets.branch IS 'b2b where an account owns it, else b2c';
COMMENT ON COLUMN csm.assets.product_id IS 'Product of the catalogue';
COMMENT ON COLUMN csm.assets.sold_product_id IS 'Sale that it came with; NULL when unknown';
COMMENT ON COLUMN csm.assets.parent_id IS 'Item that it is built into; NULL at the top. A cycle is refused with 23514';
COMMENT ON COLUMN csm.assets.root_id IS 'Top of the tree, kept by trigger';
COMMENT ON COLUMN csm.assets.serial_number IS 'Serial number, unique for a product in the tenant; NULL when unknown';
COMMENT ON COLUMN csm.assets.location IS 'Where it stands, in words';
COMMENT ON COLUMN csm.assets.purchased_on IS 'Day of the purchase; NULL when unknown';
COMMENT ON COLUMN csm.assets.installed_at IS 'In use from then on; NULL: not yet. csm.state() makes in_preparation, installed or removed of this and removed_at';
COMMENT ON COLUMN csm.assets.removed_at IS 'Out of use from then on; NULL: never';
COMMENT ON COLUMN csm.assets.created_at IS 'When the row was made';
COMMENT ON TABLE csm.asset_contacts IS 'A contact linked to an item or a sold product; he reads it whatever else he may read. For a partner''s contact while the partner looks after the owner';
COMMENT ON COLUMN csm.asset_contacts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_contacts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_contacts.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_contacts.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_contacts.contact_id IS 'Contact of the account that owns it, or of a partner that looks after that account (23514 else); once for each item';
COMMENT ON TABLE csm.asset_parties IS 'A person or an account authorised on an item or a sold product (B18), or listed there';
COMMENT ON COLUMN csm.asset_parties.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.asset_parties.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.asset_parties.asset_id IS 'The item; exactly one of item and sold product is set';
COMMENT ON COLUMN csm.asset_parties.sold_product_id IS 'The sold product';
COMMENT ON COLUMN csm.asset_parties.user_id IS 'Person authorised; exactly one of person and account is set';
COMMENT ON COLUMN csm.asset_parties.account_id IS 'Account authorised: all its current contacts';
COMMENT ON COLUMN csm.asset_parties.authorized IS 'False: listed only, gives no access';
COMMENT ON COLUMN csm.asset_parties.granted_by IS 'Who authorised; NULL for the system';
COMMENT ON COLUMN csm.asset_parties.valid_during IS 'When it counts; NULL means always';
COMMENT ON FUNCTION csm_private.link_fits(csm.asset_contacts) IS
'Whether the contact belongs to the account that owns the item, or to a current partner of it; false where a person owns it';
COMMENT ON FUNCTION csm_private.manages_item(bigint, bigint, bigint) IS
'Whether the signed-in person has product_manage on the item or the sold product; false for a missing one';
COMMENT ON FUNCTION csm_private.may_link(csm.asset_contacts) IS 'Whether the signed-in person may link this contact to this item';
COMMENT ON FUNCTION csm_private.may_authorize(csm.asset_parties) IS 'Whether the signed-in person may authorise this party on this item';
COMMENT ON FUNCTION csm_private.item_tree_before() IS
'Trigger of csm.sold_products and csm.assets: takes the lock of the trees, begins root_id';
COMMENT ON FUNCTION csm_private.item_tree_after() IS
'Trigger of csm.sold_products and csm.assets: root_id of new and moved rows and of what hangs below; refuses cycles and more than 100 levels (23514)';
COMMENT ON FUNCTION csm_private.item_changes_hands() IS
'Trigger of csm.sold_products and csm.assets: a change of owner ends links and authorisations';
COMMENT ON FUNCTION csm_private.check_link() IS
'Trigger of csm.asset_contacts: refuses a contact who does not fit the item (23514)';
COMMENT ON FUNCTION csm_private.case_asset() IS
'Trigger of csm.cases: the install-base item named must be one that the writer reads (42501, hidden and missing alike)';
COMMENT ON FUNCTION csm.state(csm.sold_products) IS 'State of a sold product now: in_preparation, active or expired';
COMMENT ON FUNCTION csm.state(csm.assets) IS 'State of an install-base item now: in_preparation, installed or removed';
COMMENT ON FUNCTION csm.restrict_contact_access(bigint, boolean) IS
'Switches accounts.restrict_contact_access for who has product_manage on the account (B19): true takes the account-wide reading of sold products and items from plain contacts. Error 42501, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.register_product(bigint, text, date) IS
'A consumer registers an item he owns and gets it back. Errors: 42501 no consumer, 22023 bad argument, unknown product, or product and serial number held already (whoever holds them), SM007 more than the tenant''s quota of products (25); items removed do not count';
COMMENT ON POLICY contract_lines_select ON csm.contract_lines IS 'Whoever reads the contract';
COMMENT ON POLICY contract_lines_write ON csm.contract_lines IS 'Staff with product_manage for the branch of the contract';
COMMENT ON POLICY entitlement_uses_select ON csm.entitlement_uses IS 'Staff who see both the case and the entitlement';
COMMENT ON TABLE csm.contracts IS 'Service contracts of an account or a person';
COMMENT ON COLUMN csm.contracts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contracts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contracts.account_id IS 'Account whose contract it is; exactly one of account and person is set';
COMMENT ON COLUMN csm.contracts.user_id IS 'Consumer whose contract it is';
COMMENT ON COLUMN csm.contracts.branch IS 'b2b where it is an account''s, else b2c';
COMMENT ON COLUMN csm.contracts.number IS 'Number, unique in the tenant; NULL for none';
COMMENT ON COLUMN csm.contracts.name IS 'Name that people read';
COMMENT ON COLUMN csm.contracts.draft IS 'True: not approved yet, covers nothing';
COMMENT ON COLUMN csm.contracts.cancelled IS 'True: covers nothing any more';
COMMENT ON COLUMN csm.contracts.valid_during IS 'When it holds; NULL means always. csm.state() makes draft, active, expired or cancelled of the flags and this';
COMMENT ON COLUMN csm.contracts.created_at IS 'When the row was made';
COMMENT ON TABLE csm.contract_lines IS 'What a contract covers; one without lines covers everything of its owner';
COMMENT ON COLUMN csm.contract_lines.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.contract_lines.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.contract_lines.contract_id IS 'The contract';
COMMENT ON COLUMN csm.contract_lines.product_id IS 'Product covered; exactly one of product, sold product and item is set';
COMMENT ON COLUMN csm.contract_lines.sold_product_id IS 'Sold product covered, of the same owner (23514 else), with the items that came with it';
COMMENT ON COLUMN csm.contract_lines.asset_id IS 'Install-base item covered, of the same owner (23514 else)';
COMMENT ON COLUMN csm.contract_lines.quantity IS 'How many are covered; for people to read';
COMMENT ON COLUMN csm.contract_lines.description IS 'In words; NULL for none';
COMMENT ON TABLE csm.entitlements IS 'A right to service: for an account or person, a product, a sold product or item, a contract, or several of them at once, which a case must then meet all';
COMMENT ON COLUMN csm.entitlements.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlements.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlements.holder_account_id IS 'Account whose it is: the one named, else the owner of item, sold product or contract; kept by trigger';
COMMENT ON COLUMN csm.entitlements.holder_user_id IS 'Consumer whose it is, likewise; both NULL for an entitlement that names a product alone';
COMMENT ON COLUMN csm.entitlements.branch IS 'b2b or b2c by its holder; NULL without';
COMMENT ON COLUMN csm.entitlements.name IS 'Name that people read';
COMMENT ON COLUMN csm.entitlements.account_id IS 'Cases of this account; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.user_id IS 'Cases of this consumer; NULL does not ask. Weight 1';
COMMENT ON COLUMN csm.entitlements.product_id IS 'Cases on this product, named by the case or else by its item; NULL does not ask. Weight 2';
COMMENT ON COLUMN csm.entitlements.sold_product_id IS 'Cases on an item that came with this sold product; NULL does not ask. Weight 3 (once, with asset_id)';
COMMENT ON COLUMN csm.entitlements.asset_id IS 'Cases on this install-base item; NULL does not ask. Weight 3';
COMMENT ON COLUMN csm.entitlements.contract_id IS 'Cases that this contract covers while it is active; NULL does not ask. Weight 4';
COMMENT ON COLUMN csm.entitlements.calendar_id IS 'Calendar by which service is given; NULL for none of its own';
COMMENT ON COLUMN csm.entitlements.channels IS 'Channels by which the case must have come in; NULL for any';
COMMENT ON COLUMN csm.entitlements.valid_during IS 'When it holds; NULL means always';
COMMENT ON COLUMN csm.entitlements.unit IS 'What is counted: cases (one at closing) or hours (csm.use_entitlement_hours())';
COMMENT ON COLUMN csm.entitlements.total IS 'Units bought; NULL for no limit';
COMMENT ON COLUMN csm.entitlements.used IS 'Units used, never more than total; beyond it see csm.entitlement_uses.over_units';
COMMENT ON COLUMN csm.entitlements.suspended IS 'True: fits no case for the time being';
COMMENT ON COLUMN csm.entitlements.cancelled IS 'True: fits no case any more';
COMMENT ON COLUMN csm.entitlements.created_at IS 'When the row was made';
COMMENT ON TABLE csm.entitlement_uses IS 'Ledger of what was used of entitlements, and by which case; append-only';
COMMENT ON COLUMN csm.entitlement_uses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.entitlement_uses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.entitlement_uses.entitlement_id IS 'The entitlement';
COMMENT ON COLUMN csm.entitlement_uses.case_id IS 'The case; of unit cases it has one row at most';
COMMENT ON COLUMN csm.entitlement_uses.unit IS 'cases or hours';
COMMENT ON COLUMN csm.entitlement_uses.units IS 'Units of service given';
COMMENT ON COLUMN csm.entitlement_uses.over_units IS 'How many of them the entitlement had none left for; the rest counts in csm.entitlements.used';
COMMENT ON COLUMN csm.entitlement_uses.note IS 'What for, up to 2,000 characters; NULL for none';
COMMENT ON COLUMN csm.entitlement_uses.used_by IS 'Who closed the case or booked the hours; NULL for the system';
COMMENT ON COLUMN csm.entitlement_uses.used_at IS 'When';
COMMENT ON FUNCTION csm.state(csm.contracts) IS 'State of a contract now: draft (also before it begins), active, expired or cancelled';
COMMENT ON FUNCTION csm.state(csm.entitlements) IS 'State of an entitlement now: draft (before it begins), active, suspended, expired or cancelled; says nothing of units left';
COMMENT ON FUNCTION csm.case_entitlements(bigint) IS
'The entitlements that fit a case now and that the caller reads, best first: sum of the weights of what they name (account or person 1, product 2, sold product or item 3, contract 4), then the earlier end, then the lower id. remaining: units left, NULL for no limit. Error SM001 for a hidden and a missing case alike';
COMMENT ON FUNCTION csm.best_entitlement(bigint) IS
'The first of csm.case_entitlements(): its id, NULL when none fits. Error SM001';
COMMENT ON FUNCTION csm.use_entitlement_hours(bigint, numeric, text) IS
'Books hours of work on the entitlement of a case and returns the row of the ledger; what is more than is left becomes over-use. Hours are rounded to two decimals. Errors: SM001 no such case, 42501 not working on it, SM004 case closed, 22023 hours out of range, note too long, or the case has no entitlement of hours';
COMMENT ON FUNCTION csm_private.entitlement_holder() IS 'Trigger of csm.entitlements: keeps the holder';
COMMENT ON FUNCTION csm_private.holder_changes() IS 'Trigger of what an entitlement may name: a new owner becomes the holder';
COMMENT ON FUNCTION csm_private.check_line() IS 'Trigger of csm.contract_lines: what is covered belongs to the contract''s owner (23514)';
COMMENT ON FUNCTION csm_private.entitlement_candidates(bigint, bigint, bigint, bigint, bigint, text, timestamptz) IS
'Entitlements that fit a case of this account or person, product, item and channel at the instant, with the sum of their weights; whoever asks';
COMMENT ON FUNCTION csm_private.fill_entitlement() IS 'Trigger of csm.cases: gives a new case the entitlement that fits, when exactly one does';
COMMENT ON FUNCTION csm_private.use_entitlement() IS 'Trigger of csm.cases: a closed case uses a unit of an entitlement counted in cases, once';
COMMENT ON FUNCTION csm_private.check_entitlement() IS
'Trigger of csm.cases: an entitlement chosen must be readable (42501, hidden and missing alike) and fit the case (23514)';
COMMENT ON TABLE csm.handling_notes IS 'What staff should know about a case, account, contact, person, product or install-base item; never read by those who ask for service';
COMMENT ON COLUMN csm.handling_notes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.handling_notes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.handling_notes.case_id IS 'The case; exactly one of the six references is set';
COMMENT ON COLUMN csm.handling_notes.account_id IS 'The account';
COMMENT ON COLUMN csm.handling_notes.contact_id IS 'The contact: the person in his function for one account';
COMMENT ON COLUMN csm.handling_notes.user_id IS 'The person, whatever his personas';
COMMENT ON COLUMN csm.handling_notes.product_id IS 'The product';
COMMENT ON COLUMN csm.handling_notes.asset_id IS 'The install-base item';
COMMENT ON COLUMN csm.handling_notes.body IS 'The note, up to 10,000 characters';
COMMENT ON COLUMN csm.handling_notes.priority IS '1 (read first) to 4';
COMMENT ON COLUMN csm.handling_notes.expires_at IS 'From when on csm.notes_for() leaves it out; NULL for never. An end in the past ends it';
COMMENT ON COLUMN csm.handling_notes.created_by IS 'Who wrote it; NULL for the system';
COMMENT ON COLUMN csm.handling_notes.created_at IS 'When it was written';
COMMENT ON POLICY handling_notes_select ON csm.handling_notes IS 'Staff with case_work where the subject belongs';
COMMENT ON POLICY handling_notes_insert ON csm.handling_notes IS 'The same, in their own name';
COMMENT ON POLICY handling_notes_update ON csm.handling_notes IS 'The same';
COMMENT ON FUNCTION csm.notes_for(bigint) IS
'Handling notes that hold for a case now: on the case itself, its accounts, its contacts, the requester, its product and its install-base item; at most 20, by priority, then the newest. about: case, account, contact, person, product or asset. No row for a case that is hidden or missing';
COMMENT ON FUNCTION csm_private.template_values(bigint) IS
'Every placeholder that a template may use, with its value on the case for the caller; values are NULL for a case that he does not see, and where the case has none';
COMMENT ON FUNCTION csm_private.template_guard() IS
'Trigger of csm.response_templates: error 22023 for an unknown placeholder and for braces that make none';
COMMENT ON TABLE csm.response_templates IS 'Answers prepared for staff; csm.render_template() fills them in';
COMMENT ON COLUMN csm.response_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.response_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.response_templates.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.response_templates.body IS 'Text with placeholders such as {{case.number}} and {{requester.name}}; an unknown one is refused';
COMMENT ON COLUMN csm.response_templates.case_type IS 'Type of case that it is for, to choose by; NULL for any';
COMMENT ON COLUMN csm.response_templates.active IS 'False: not rendered any more';
COMMENT ON POLICY response_templates_select ON csm.response_templates IS 'Staff';
COMMENT ON POLICY response_templates_write ON csm.response_templates IS 'Administrators';
COMMENT ON FUNCTION csm_private.render_template_text(text, bigint) IS
'Text of an active template, once the case is seen; errors SM001 and 22023 of csm.render_template()';
COMMENT ON FUNCTION csm.render_template(text, bigint) IS
'The template of that name filled in for a case, with what the caller may read. A value that is missing or hidden is empty; a value is inserted as it stands and never expanded again. Errors: SM001 no such case, 22023 no such active template';
COMMENT ON COLUMN csm.accounts.calendar_id IS
'Calendar by which SLAs of the account are reckoned where their definition says so; NULL: that of the nearest account above that has one';
COMMENT ON FUNCTION csm_private.calendar_guard() IS
'Trigger of csm.calendars: 22023 for a time zone that the server does not know and for parents that form a circle';
COMMENT ON FUNCTION csm.business_seconds(bigint, timestamptz, timestamptz) IS
'Open time of a calendar between two instants in whole seconds, rounded toward zero; negative when "from" is later. An instant is open when the wall clock of the calendar''s zone then shows an open time: an hour that the clocks skip does not count, one that they repeat counts twice. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 22008 an instant that is infinite or not between 1970 and 2200';
COMMENT ON FUNCTION csm.business_add(bigint, timestamptz, bigint) IS
'The instant nearest to "from" that so many open seconds separate from it: the earliest after it, for a negative number the latest before it; "from" itself for 0. So business_seconds(c, f, business_add(c, f, s)) = s always. An infinite "from" is returned. NULL in, NULL out. Errors: 22023 no such calendar in the tenant, 55000 a calendar without any open time, 22008 a result or an instant that is not between 1970 and 2200';
COMMENT ON FUNCTION csm_private.usual_hours(bigint, bigint, integer) IS
'Open hours of a weekday (1 = Monday) without exceptions, in seconds since midnight; what the night before leaves included';
COMMENT ON FUNCTION csm_private.ics_events(text) IS
'Property lines of the VEVENTs of an iCalendar text (RFC 5545), numbered by event; each event begins with a row BEGIN';
COMMENT ON FUNCTION csm_private.ics_wall(text, text, text) IS
'A DATE or DATE-TIME value of iCalendar as the wall clock of a zone shows it; a value without zone is of that zone';
COMMENT ON FUNCTION csm.import_holidays(bigint, text) IS
'Adds the events of an iCalendar text to a calendar as exceptions and returns how many dates were new; a date with the same name is there already and stays. Whole days are closed; on a day that an event covers in part the usual hours of now remain outside it. Values in UTC or another zone are converted, those without zone are of the calendar''s. Cancelled events are passed over. Administrators. Errors: 22023 no such calendar, text, zone or length, 22007 no date, 0A000 a recurring event';
COMMENT ON TABLE csm.calendars IS 'When a desk is open: weekly hours in a time zone, less holidays, plus special days';
COMMENT ON COLUMN csm.calendars.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendars.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendars.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.calendars.time_zone IS 'Zone on whose wall clock the hours are read, a name of pg_timezone_names; never inherited';
COMMENT ON COLUMN csm.calendars.parent_id IS
'Calendar from which this one inherits: weekly hours where it has none of its own, exceptions on dates on which it has none of its own; NULL for none';
COMMENT ON TABLE csm.calendar_intervals IS
'Open hours, of a weekday or of an exception. Hours may overlap; they are then one';
COMMENT ON COLUMN csm.calendar_intervals.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_intervals.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_intervals.calendar_id IS 'Calendar, for weekly hours; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.weekday IS '1 = Monday to 7 = Sunday, the day on which the hours begin; NULL for those of an exception';
COMMENT ON COLUMN csm.calendar_intervals.exception_id IS 'Exception whose hours these are; NULL for weekly hours';
COMMENT ON COLUMN csm.calendar_intervals.start_time IS 'When they begin, on the wall clock; whole seconds';
COMMENT ON COLUMN csm.calendar_intervals.end_time IS
'When they end, not included; before start_time: on the next day. 24:00 is midnight; a day open throughout is 00:00 to 24:00';
COMMENT ON TABLE csm.calendar_exceptions IS
'Holidays and special days. An exception replaces its date from midnight to midnight, what a night shift of the eve leaves included: closed, or open in its own hours. Several on one date: open is what all of them leave open';
COMMENT ON COLUMN csm.calendar_exceptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.calendar_exceptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.calendar_exceptions.calendar_id IS 'Calendar; those that inherit from it have the exception too';
COMMENT ON COLUMN csm.calendar_exceptions.on_date IS 'Date in the zone of whichever calendar counts it';
COMMENT ON COLUMN csm.calendar_exceptions.name IS 'Name of the day';
COMMENT ON FUNCTION csm_private.sla_condition(jsonpath) IS
'Check constraint: true for a predicate over columns of csm.cases without variables, else error 22023';
COMMENT ON FUNCTION csm_private.case_staff_reads(csm.cases) IS
'Whether the signed-in person has case_read on the case as staff (V9), not only as a customer; false for nobody and a null row';
COMMENT ON POLICY sla_definitions_select ON csm.sla_definitions IS 'Staff connections read what is promised';
COMMENT ON POLICY sla_definitions_write ON csm.sla_definitions IS 'Administrators keep it';
COMMENT ON POLICY case_slas_select ON csm.case_slas IS 'Whoever sees the case, those that customers may see';
COMMENT ON POLICY case_slas_select_staff ON csm.case_slas IS
'Staff who read the case; on a case that he sees only as a customer, those that customers may see';
COMMENT ON POLICY case_slas_select_report ON csm.case_slas IS 'Reporting connections: those of the cases that they see';
COMMENT ON POLICY sla_events_select ON csm.sla_events IS 'Staff who read the case';
COMMENT ON FUNCTION csm_private.case_slas() IS
'AFTER trigger of csm.cases: attaches SLAs and moves them on as their definitions say';
COMMENT ON FUNCTION csm_private.due_sla(bigint, bigint, timestamptz) IS
'Timer handler: notes the warnings and the breach of an SLA that lie at or before "at", and sets the next timer; does nothing on one that has ended';
COMMENT ON FUNCTION csm_private.recompute_sla(bigint, bigint, boolean, boolean) IS
'Folds the log of an SLA; true when that gives what is stored. write: stores what it gives; retarget: an open one takes its definition as it is now. NULL for an unknown one. The caller holds the lock of the case';
COMMENT ON FUNCTION csm_private.sla_business(csm.case_slas, timestamptz) IS
'Open time that the SLA has counted until an instant not before as_of';
COMMENT ON FUNCTION csm_private.reckon_slas(bigint[]) IS
'Reckons open SLAs anew that depend on these calendars or on what inherits from them';
COMMENT ON FUNCTION csm_private.calendar_changed() IS 'Trigger of csm.calendars: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_exceptions_changed() IS 'Trigger of csm.calendar_exceptions: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm_private.calendar_intervals_changed() IS 'Trigger of csm.calendar_intervals: open SLAs are reckoned anew';
COMMENT ON FUNCTION csm.recompute_sla(bigint) IS
'Folds the log of an SLA and returns the row, corrected where something else was stored; an ended one is then reckoned by its calendar as that is now. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm.verify_slas(bigint) IS
'SLAs whose stored sums differ from what their log gives: none, but for ended ones whose calendar was changed afterwards. Changes nothing. Error 42501 without the action configure';
COMMENT ON FUNCTION csm.retarget_slas(bigint) IS
'Lets the open SLAs of a definition go on as the definition is now (duration, fixed calendar, name, visibility); nothing counted or paused is lost. Returns how many. Without it a changed definition counts for SLAs attached from then on. Administrators. Error 22023 for an unknown one';
COMMENT ON FUNCTION csm_private.standard_slas() IS
'What csm.create_standard_slas() writes (conditions: R 2.6)';
COMMENT ON FUNCTION csm.create_standard_slas(bigint, bigint) IS
'Writes a first set of definitions, to be changed as the tenant likes: response from opening to the first shared entry of staff, resolution to the closing with pauses while the customer is asked or has a solution to judge, an update every two hours of work on priority 1. A name that is there stays; returns how many are new. No tenant has definitions before: a promise is the tenant''s to make. Errors: 42501 without the action configure, 22023 no such calendar';
COMMENT ON VIEW csm.case_sla_status IS 'SLAs as they are at this moment, with no job to run; who sees which: csm.case_slas';
COMMENT ON COLUMN csm.case_sla_status.id IS 'csm.case_slas.id';
COMMENT ON COLUMN csm.case_sla_status.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_sla_status.case_id IS 'The case';
COMMENT ON COLUMN csm.case_sla_status.name IS 'Name of the definition';
COMMENT ON COLUMN csm.case_sla_status.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_sla_status.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_sla_status.started_at IS 'Since when it counts';
COMMENT ON COLUMN csm.case_sla_status.due_at IS 'When the time is or was up; NULL while paused, infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_sla_status.business_elapsed IS 'Open time counted until now';
COMMENT ON COLUMN csm.case_sla_status.remaining_seconds IS 'Open seconds left, rounded up; 0 when the time is up';
COMMENT ON COLUMN csm.case_sla_status.percent IS 'Part of the duration that has been counted, rounded down; above 100 after the breach';
COMMENT ON COLUMN csm.case_sla_status.breached IS 'The time is up, or was when it ended; true from due_at on, whether or not a timer has run';
COMMENT ON TABLE csm.sla_definitions IS
'What is promised: how much open time may pass between two conditions. Conditions are SQL/JSON path predicates over the row of csm.cases ($.column, of attributes $.attributes.key): data that runs no code; one that fails on a row is false. They are looked at when a column changes that some definition reads';
COMMENT ON COLUMN csm.sla_definitions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sla_definitions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_definitions.name IS 'Name, unique in the tenant';
COMMENT ON COLUMN csm.sla_definitions.type IS 'response, resolution or update; update begins anew with each shared entry of staff';
COMMENT ON COLUMN csm.sla_definitions.duration_seconds IS 'Open seconds that are allowed; at most ten years';
COMMENT ON COLUMN csm.sla_definitions.calendar_from IS
'Whose calendar counts: none (around the clock), fixed, that of the account or the nearest account above, that of the entitlement';
COMMENT ON COLUMN csm.sla_definitions.calendar_id IS 'The calendar when fixed; else the one where account or entitlement have none; NULL: around the clock';
COMMENT ON COLUMN csm.sla_definitions.case_types IS
'Case types for which it is, with those that inherit from them and have none of the same type of their own; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.branches IS 'Branches for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.priorities IS 'Priorities for which it is; NULL for all';
COMMENT ON COLUMN csm.sla_definitions.start_when IS 'Attaches one where none is open or completed and neither stop nor cancel hold; does not have to stay true';
COMMENT ON COLUMN csm.sla_definitions.pause_when IS 'Time does not count while it holds; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.stop_when IS 'Completes it';
COMMENT ON COLUMN csm.sla_definitions.reset_when IS 'When it becomes true, counting begins anew, also of one that was completed; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.cancel_when IS 'Ends it without result; goes before stop; NULL: never';
COMMENT ON COLUMN csm.sla_definitions.warn_at IS 'Percent of the duration at which event sla_warned is written, 1 to 99';
COMMENT ON COLUMN csm.sla_definitions.visible_to_customer IS 'Customers who see the case see its status';
COMMENT ON COLUMN csm.sla_definitions.active IS 'False: attaches no more; what is attached goes on';
COMMENT ON TABLE csm.case_slas IS
'SLAs of cases. All that is counted follows from csm.sla_events and the calendar (csm.recompute_sla); the row holds it as of the last event';
COMMENT ON COLUMN csm.case_slas.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_slas.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_slas.case_id IS 'The case';
COMMENT ON COLUMN csm.case_slas.definition_id IS 'The definition under which it runs now';
COMMENT ON COLUMN csm.case_slas.name IS 'Name of the definition when it was attached or took over';
COMMENT ON COLUMN csm.case_slas.type IS 'response, resolution or update';
COMMENT ON COLUMN csm.case_slas.visible_to_customer IS 'Customers who see the case see it';
COMMENT ON COLUMN csm.case_slas.calendar_id IS 'Calendar that counts, chosen when it was attached or took over; NULL: around the clock';
COMMENT ON COLUMN csm.case_slas.duration_seconds IS 'Open seconds allowed; kept when the definition changes, see csm.retarget_slas()';
COMMENT ON COLUMN csm.case_slas.state IS 'running, paused, completed or cancelled';
COMMENT ON COLUMN csm.case_slas.attached_at IS 'When it was attached';
COMMENT ON COLUMN csm.case_slas.started_at IS 'Since when it counts: attached_at, or the last reset';
COMMENT ON COLUMN csm.case_slas.as_of IS 'Until when elapsed and business_elapsed are counted: the last event; csm.case_sla_status counts until now';
COMMENT ON COLUMN csm.case_slas.elapsed IS 'Time counted around the clock, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.business_elapsed IS 'Open time counted, without pauses; hours and less, no days';
COMMENT ON COLUMN csm.case_slas.due_at IS
'When the time is up if nothing happens before: the earliest instant at which the open time equals the duration. NULL while paused, and when it was paused as it ended; infinity when the calendar has no such time';
COMMENT ON COLUMN csm.case_slas.breached_at IS 'When the time was up, as of the last event; NULL: it was not. A reset clears it; csm.cases.made_sla remembers';
COMMENT ON TABLE csm.sla_events IS 'The log of SLAs, append-only: elapsed, open and due time are a function of it and the calendar';
COMMENT ON COLUMN csm.sla_events.id IS 'Identity, unique in the database; the order of the log';
COMMENT ON COLUMN csm.sla_events.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sla_events.case_sla_id IS 'The SLA';
COMMENT ON COLUMN csm.sla_events.at IS 'When; never before the row before it';
COMMENT ON COLUMN csm.sla_events.event IS
'attach, pause, resume, reset, complete, cancel; retarget: went on under another target; reckon: the calendar had changed; warn and breach: noted, at their instant';
COMMENT ON COLUMN csm.sla_events.percent IS 'Part of the duration, for warn and breach; NULL for others';
COMMENT ON COLUMN csm.sla_events.definition_id IS 'Definition, for attach and retarget';
COMMENT ON COLUMN csm.sla_events.calendar_id IS 'Calendar, for attach and retarget; NULL there: around the clock';
COMMENT ON COLUMN csm.sla_events.duration_seconds IS 'Target, for attach and retarget; the last one holds for the whole log';
COMMENT ON TABLE csm.escalation_templates IS 'Kinds of escalation: how severe, why, and who decides';
COMMENT ON COLUMN csm.escalation_templates.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalation_templates.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalation_templates.template IS 'Key by which it is asked for';
COMMENT ON COLUMN csm.escalation_templates.label IS 'Name that people read, customers too where for_customers is set';
COMMENT ON COLUMN csm.escalation_templates.severity IS 'high or medium';
COMMENT ON COLUMN csm.escalation_templates.targets IS 'What can be escalated with it: case, account';
COMMENT ON COLUMN csm.escalation_templates.reasons IS 'Reasons for which it may be asked: inactivity, lack_of_progress, customer_deadline';
COMMENT ON COLUMN csm.escalation_templates.approval_group_id IS 'Group whose members decide; NULL, or a group without members: escalated at once';
COMMENT ON COLUMN csm.escalation_templates.for_customers IS 'Customers may ask for it, for cases';
COMMENT ON COLUMN csm.escalation_templates.active IS 'False: it can be asked for no more';
COMMENT ON TABLE csm.escalations IS 'Escalations of cases and accounts; staff only. At most one open (requested, escalated) per case and per account';
COMMENT ON COLUMN csm.escalations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.escalations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.escalations.template_id IS 'The template';
COMMENT ON COLUMN csm.escalations.case_id IS 'Case that is escalated; exactly one of case and account is set';
COMMENT ON COLUMN csm.escalations.account_id IS 'Account that is escalated';
COMMENT ON COLUMN csm.escalations.state IS 'requested, then escalated or declined; escalated ends closed, requested too when the case ends first';
COMMENT ON COLUMN csm.escalations.source IS 'customer or internal: on whose side it was asked for first';
COMMENT ON COLUMN csm.escalations.reason IS 'inactivity, lack_of_progress or customer_deadline';
COMMENT ON COLUMN csm.escalations.severity IS 'high or medium, from the template';
COMMENT ON COLUMN csm.escalations.trend IS 'improving, same or declining, as staff judge it';
COMMENT ON COLUMN csm.escalations.justification IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.escalations.requested_by IS 'Who asked; NULL for the system';
COMMENT ON COLUMN csm.escalations.requested_at IS 'When';
COMMENT ON COLUMN csm.escalations.decided_by IS 'Who decided; NULL where the template needs no decision, or the system did';
COMMENT ON COLUMN csm.escalations.decided_at IS 'When; NULL while requested';
COMMENT ON COLUMN csm.escalations.decision_note IS 'What he said; NULL for nothing';
COMMENT ON COLUMN csm.escalations.closed_by IS 'Who took it back; NULL while it is open, for the system, and where the end of the case closed it';
COMMENT ON COLUMN csm.escalations.closed_at IS 'When it ended; NULL before';
COMMENT ON COLUMN csm.escalations.closing_note IS 'Why; NULL for nothing';
COMMENT ON POLICY escalation_templates_select ON csm.escalation_templates IS 'Staff and administrators read those of their tenant';
COMMENT ON POLICY escalation_templates_write ON csm.escalation_templates IS 'Administrators keep them';
COMMENT ON POLICY escalations_select ON csm.escalations IS 'Staff who work on the case or for the account; nobody else (R 3.4)';
COMMENT ON POLICY escalations_update ON csm.escalations IS 'The same, the trend of an open one';
COMMENT ON FUNCTION csm_private.works_for_account(bigint, bigint) IS
'Whether the signed-in person works on cases of the account; false for nobody and for NULL';
COMMENT ON TABLE csm.recipient_lists IS 'Whom a major case or a publication concerns';
COMMENT ON COLUMN csm.recipient_lists.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipient_lists.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipient_lists.name IS 'Name that people read, unique in the tenant';
COMMENT ON COLUMN csm.recipient_lists.created_at IS 'When it was made';
COMMENT ON COLUMN csm.recipient_lists.kind IS 'What its rows name: users, accounts, contacts (person and account) or consumers; NULL: accounts and persons as they come. It does not change while there are rows';
COMMENT ON TABLE csm.recipients IS 'Accounts, persons or contacts of a list';
COMMENT ON COLUMN csm.recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.recipients.list_id IS 'The list';
COMMENT ON COLUMN csm.recipients.account_id IS 'Account: those who are its contacts; with a person: he, as its contact';
COMMENT ON COLUMN csm.recipients.user_id IS 'Person; alone, or with the account whose contact is meant';
COMMENT ON TABLE csm.case_children IS 'Cases that have or had a parent, and up to where they have followed it; kept by csm';
COMMENT ON COLUMN csm.case_children.parent_id IS 'The parent';
COMMENT ON COLUMN csm.case_children.case_id IS 'The child; it counts while cases.parent_id says so';
COMMENT ON COLUMN csm.case_children.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_children.account_id IS 'Account of the child; NULL where it has none';
COMMENT ON COLUMN csm.case_children.user_id IS 'Requester of the child where it has no account; NULL where it has one';
COMMENT ON COLUMN csm.case_children.created IS 'csm.create_children() made it';
COMMENT ON COLUMN csm.case_children.followed IS 'Last of the parent''s major_changes that the child has taken over or let pass';
COMMENT ON TABLE csm.major_changes IS 'What children of a case have to follow, in order; kept by csm';
COMMENT ON COLUMN csm.major_changes.id IS 'Identity; taken under the lock of the parent, so in the order of its changes';
COMMENT ON COLUMN csm.major_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.major_changes.case_id IS 'The parent';
COMMENT ON COLUMN csm.major_changes.fields IS 'Columns of the parent that changed; a child takes the value that the parent has when the child follows';
COMMENT ON COLUMN csm.major_changes.entry_id IS 'Entry of the parent that children get as well; NULL for none';
COMMENT ON COLUMN csm.major_changes.closes IS 'The parent was closed, and its children are';
COMMENT ON POLICY case_children_select ON csm.case_children IS 'Staff who work on the child';
COMMENT ON POLICY major_changes_select ON csm.major_changes IS 'Staff who work on the parent';
COMMENT ON TABLE csm.event_positions IS 'The last position given in each tenant; its row is locked by the session that gives positions';
COMMENT ON COLUMN csm.event_positions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_positions.last IS 'Highest position in csm.events; grows, also after events were pruned';
COMMENT ON POLICY event_positions_select ON csm.event_positions IS 'Administrators, who start a subscriber at the end';
COMMENT ON TABLE csm.event_subscribers IS 'Programs that follow the events of a tenant, each with its own place in the order. One that is not used any more is deleted, for it keeps csm.prune_events() from deleting what it has not acknowledged';
COMMENT ON COLUMN csm.event_subscribers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.event_subscribers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.event_subscribers.key IS 'Name in csm.next_events(), unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.event_subscribers.user_id IS 'Person who reads: events are those of what he sees, and only he can ask';
COMMENT ON COLUMN csm.event_subscribers.kinds IS 'Kinds of events wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.subjects IS 'What events are wanted of: case, article, question, publication';
COMMENT ON COLUMN csm.event_subscribers.case_types IS 'Of cases: types wanted; NULL means all';
COMMENT ON COLUMN csm.event_subscribers.position IS 'Acknowledged so far; a new subscriber begins after it: 0 with the oldest event that is kept, csm.event_positions.last with the next one';
COMMENT ON COLUMN csm.event_subscribers.delivered IS 'Highest position handed out to him';
COMMENT ON COLUMN csm.event_subscribers.created_at IS 'When the subscriber was made';
COMMENT ON COLUMN csm.event_subscribers.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_subscribers.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON POLICY event_subscribers_select ON csm.event_subscribers IS 'Everyone his own; administrators all';
COMMENT ON POLICY event_subscribers_write ON csm.event_subscribers IS 'Administrators make and delete subscribers';
COMMENT ON FUNCTION csm_private.own_subscriber(text) IS
'The subscriber of that key whose person is signed in, its row locked; 42501 for a missing one and for another person''s';
COMMENT ON FUNCTION csm_private.give_positions(bigint) IS
'Gives the next positions to committed events of the tenant, in the order of ids, up to 10,000; does nothing while another session does it';
COMMENT ON FUNCTION csm.next_events(text, integer) IS
'The next events of a subscriber after what he acknowledged, in the order of positions: the same again until csm.acknowledge(). Call it in a transaction of its own, read-write; positions hold once that has committed, id tells a repeated event. Only events of cases, articles, questions and publications that the caller sees now, of the subjects, kinds and types wanted; an empty answer means none for now. Errors: 42501 not the caller''s subscriber, 22023 limit outside 1 to 10000, 40001 under REPEATABLE READ when another session gave positions meanwhile';
COMMENT ON FUNCTION csm.acknowledge(text, bigint) IS
'Says that the subscriber has handled every event up to the position; returns how far he is. Never goes back. Errors: 42501 not the caller''s subscriber, 22023 beyond what was delivered, 22004 null';
COMMENT ON FUNCTION csm_private.events_waiting(bigint, bigint) IS
'How many events of the tenant stand after a position or wait for one, and the time of the oldest (NULL for none); for administrators (42501)';
COMMENT ON VIEW csm.event_lag IS 'How far each subscriber of the tenant is behind; for administrators';
COMMENT ON COLUMN csm.event_lag.tenant_id IS 'Tenant of the subscriber';
COMMENT ON COLUMN csm.event_lag.key IS 'The subscriber';
COMMENT ON COLUMN csm.event_lag.user_id IS 'Person who reads';
COMMENT ON COLUMN csm.event_lag.position IS 'Acknowledged so far';
COMMENT ON COLUMN csm.event_lag.delivered IS 'Handed out so far';
COMMENT ON COLUMN csm.event_lag.waiting IS 'Events of the tenant after that, also those that he will not be shown';
COMMENT ON COLUMN csm.event_lag.oldest IS 'When the oldest of them happened; NULL for none';
COMMENT ON COLUMN csm.event_lag.asked_at IS 'When he last asked, to the minute; NULL for never';
COMMENT ON COLUMN csm.event_lag.acknowledged_at IS 'When he last acknowledged something new; NULL for never';
COMMENT ON FUNCTION csm.prune_events(interval, integer) IS
'Deletes events older than keep that every subscriber of their tenant has acknowledged, and of which notifications were made (all old ones where there is no subscriber and csm.run_due() was not called for a day), up to limit rows; returns how many. Administrators for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023 negative keep or limit below 1';
COMMENT ON FUNCTION csm_private.quota(jsonb, text) IS
'A quota from the settings of a tenant, or its default; NULL means no limit. Quotas: cases_per_day 10, comments_per_day 25 (per case), attachments 5 (per record), products 25';
COMMENT ON COLUMN csm.tenants.settings IS 'Settings of the tenant, a JSON object. csm reads event_notify (true: NOTIFY with each event; off by default, because it makes commits wait for one another), use_asset_contacts (true: plain contacts see only install-base items that they are linked to), seal_minutes (between two seals of the history; 60), max_attachments (of a case; 100) and max_attachment_bytes (of one content; 10485760), unless the case type says otherwise, and quotas (cases_per_day 10, comments_per_day 25, attachments 5, products 25; null: no limit), registration, assignable_roles, captcha, community and interactions (README)';
COMMENT ON FUNCTION csm_private.case_quota() IS
'AFTER INSERT trigger of csm.cases: SM007 when a person opened more consumer cases through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.entry_quota() IS
'AFTER INSERT trigger of csm.case_entries: SM007 when a person commented more often on a consumer case through the portal in 24 hours than the tenant allows';
COMMENT ON FUNCTION csm_private.enforce_quota(bigint, text, bigint) IS
'SM007 when used, which counts what is being added, exceeds the quota; nothing for staff, the system, importing and restoring. The caller has locked what it counted, and asks for consumers only. Error 22023 for an unknown quota';
COMMENT ON FUNCTION csm_private.audience_rights(bigint, bigint, bigint, boolean, text, timestamptz) IS
'What a person may do as one of an audience, in plain SQL: a row an action. On a staff connection or not, narrowed to a persona (NULL: to none), at an instant. criteria: keys of those that grant it, or deny it';
COMMENT ON FUNCTION csm.audience_allows(bigint, text) IS
'True where the person may do the action (read, contribute, ask, answer, moderate, manage) as one of the audience; false for nobody and for an unknown action';
COMMENT ON FUNCTION csm.audiences_allowing(text) IS
'Sorted ids: audiences as one of which the person may do the action; empty for nobody and for an unknown action';
COMMENT ON FUNCTION csm_private.audience_within(bigint, jsonb) IS
'The audience within another that has exactly these grants, a JSON array of {"criteria": key, "action": …, "denies": boolean}; made where there is none, the outer one itself for an empty array. Errors 22023: no such audience, no such criteria, another form. No check of the caller';
COMMENT ON FUNCTION csm.explain_audience(bigint, bigint) IS
'What a person may do as one of an audience and why: a row an action, with the keys of the criteria that grant it, or deny it. Personas are not narrowed. Everybody asks about himself; staff who manage the audience, persons or the tenant about anybody (42501 else). A missing audience, a missing person and one of another tenant: nothing is granted';
COMMENT ON TABLE csm.user_criteria IS 'Whom something is for: a reusable rule about people';
COMMENT ON COLUMN csm.user_criteria.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria.key IS 'Short name, unique in the tenant: lower-case letters, digits, - and _';
COMMENT ON COLUMN csm.user_criteria.label IS 'Name that people read';
COMMENT ON COLUMN csm.user_criteria.match IS 'all: every part must be true of the person; any: one. Without parts: nobody';
COMMENT ON COLUMN csm.user_criteria.active IS 'False: nobody satisfies them, neither where they grant nor where they deny';
COMMENT ON TABLE csm.user_criteria_parts IS 'One thing that is true of a person or not; the kind says which column is set, and only that one is';
COMMENT ON COLUMN csm.user_criteria_parts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.user_criteria_parts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.user_criteria_parts.criteria_id IS 'The criteria it is part of';
COMMENT ON COLUMN csm.user_criteria_parts.kind IS 'user, group, role, account, persona, product, location, language or list';
COMMENT ON COLUMN csm.user_criteria_parts.user_id IS 'This person';
COMMENT ON COLUMN csm.user_criteria_parts.group_id IS 'Members of this group and of the groups below it; on a staff connection only';
COMMENT ON COLUMN csm.user_criteria_parts.role IS 'Who has this role now: a role of contacts, or (on a staff connection only) one of staff; 23514 for another kind';
COMMENT ON COLUMN csm.user_criteria_parts.account_id IS 'Current contacts of this account who may log in';
COMMENT ON COLUMN csm.user_criteria_parts.include_descendants IS 'With an account: contacts of the accounts below it as well';
COMMENT ON COLUMN csm.user_criteria_parts.persona IS 'Who has it now: employee (a row in csm.employees), consumer, contact of any account, or (on a staff connection only) staff of any role';
COMMENT ON COLUMN csm.user_criteria_parts.product_id IS 'Who owns this product or one below it: a consumer himself, a contact through his account. Sold products count while they are valid, install-base items until they are removed';
COMMENT ON COLUMN csm.user_criteria_parts.location IS 'Whose csm.users.location is this one or below it: DE is true of DE-BY';
COMMENT ON COLUMN csm.user_criteria_parts.language IS 'Whose csm.users.language is this one or narrower, in any case of letters: de is true of de-AT. Everybody chooses his language himself, so it sorts and does not protect';
COMMENT ON COLUMN csm.user_criteria_parts.list_id IS 'Who is on this list of csm.recipient_lists: the person himself, current contacts of an account who may log in; on one of consumers while he is one';
COMMENT ON TABLE csm.audiences IS 'What criteria grant on something: a knowledge base, some of its articles, a forum. Everything with the same rules can share one';
COMMENT ON COLUMN csm.audiences.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audiences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audiences.within_id IS 'The audience that this one narrows; NULL: it stands by itself';
COMMENT ON COLUMN csm.audiences.owner_id IS 'May do everything, on a staff connection only; within another audience only while that one lets him read. NULL: nobody';
COMMENT ON COLUMN csm.audiences.group_id IS 'Whose members, those of the groups below it included, may do the same; NULL: none';
COMMENT ON COLUMN csm.audiences.grants_key IS 'Grants for which csm made it, as text; they cannot change. NULL: its grants are kept by hand';
COMMENT ON TABLE csm.audience_grants IS 'Which criteria may, or may not, do what; no grant means nobody but the audience''s staff';
COMMENT ON COLUMN csm.audience_grants.audience_id IS 'The audience';
COMMENT ON COLUMN csm.audience_grants.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audience_grants.action IS 'read, contribute (write articles; does not imply read), ask, answer, moderate, or manage, which is all of them';
COMMENT ON COLUMN csm.audience_grants.criteria_id IS 'Whom it is for';
COMMENT ON COLUMN csm.audience_grants.denies IS 'True: who satisfies the criteria may not, whatever else grants it to him';
COMMENT ON POLICY audience_grants_insert ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_update ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON POLICY audience_grants_delete ON csm.audience_grants IS 'Who manages the audience';
COMMENT ON FUNCTION csm_private.check_criteria_role() IS 'Trigger of csm.user_criteria_parts: refuses a role that is neither of contacts nor of staff (23514)';
COMMENT ON FUNCTION csm_private.check_audience_grant() IS 'Trigger of csm.audience_grants: those of an audience that csm made cannot change (42501)';
COMMENT ON FUNCTION csm_private.article_shown(bigint, bigint, text, timestamptz, bigint) IS
'The rule of the policy of csm.articles for one row: published, not expired, and public or read by its audience; being written, by the author while he may contribute; or managed. article_key: 0 where the article is public, else its audience. False for nobody and where one of the first three is NULL';
COMMENT ON FUNCTION csm_private.article_keys_shown() IS
'Sorted keys of articles (see article_shown) of which the person may see any: 0, and the audiences as one of which he reads, contributes or manages; empty for nobody';
COMMENT ON FUNCTION csm_private.article_arms(text) IS
'Install scripts only: text of the rule who reads an article; arms guest (nobody is signed in) or person';
COMMENT ON FUNCTION csm_private.article_allows(bigint, bigint, text) IS
'Whether the caller reads the article (read, as the policies say; also for a visitor who is not signed in), or its audience gives him contribute or manage; false for a missing article';
COMMENT ON FUNCTION csm_private.base_allows(bigint, bigint, text) IS
'Whether the caller sees the base (read: public, or read or contribute by its audience), or its audience gives him another action; false for a missing base';
COMMENT ON TABLE csm.knowledge_bases IS 'Bases of knowledge, each with its audience';
COMMENT ON COLUMN csm.knowledge_bases.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_bases.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_bases.audience_id IS 'Who reads, contributes and manages; never changes. A new base without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.knowledge_bases.is_public IS 'Its articles may be public; taken back, every article of it ceases to be';
COMMENT ON COLUMN csm.knowledge_bases.self_publish IS 'True: who wrote a text may publish it himself, without review';
COMMENT ON COLUMN csm.knowledge_bases.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.knowledge_bases.title IS 'Name that people read';
COMMENT ON COLUMN csm.knowledge_bases.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.knowledge_bases.language IS 'Language tag (BCP 47) of an article that names none';
COMMENT ON COLUMN csm.knowledge_bases.created_at IS 'When it was made';
COMMENT ON TABLE csm.knowledge_categories IS 'Categories of a base, a tree';
COMMENT ON COLUMN csm.knowledge_categories.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_categories.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_categories.base_id IS 'The base';
COMMENT ON COLUMN csm.knowledge_categories.parent_id IS 'Category above, of the same base; NULL at the top';
COMMENT ON COLUMN csm.knowledge_categories.title IS 'Name that people read, unique below its parent';
COMMENT ON TABLE csm.articles IS 'Articles as people read them: the published text, and until there is one, the text being written. State and text follow csm.article_versions; rows are never deleted';
COMMENT ON COLUMN csm.articles.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.articles.audience_id IS 'Who reads, contributes and manages: the audience of the base, or one within it';
COMMENT ON COLUMN csm.articles.base_id IS 'The base; never changes';
COMMENT ON COLUMN csm.articles.is_public IS 'Read by everybody, signed in or not, once published; only in a public base';
COMMENT ON COLUMN csm.articles.state IS 'draft or review: never published; published; retired: published no more, or given up';
COMMENT ON COLUMN csm.articles.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm.articles.expires_at IS 'From when on it is not read any more; csm.run_due() then retires it. NULL for never';
COMMENT ON COLUMN csm.articles.author_id IS 'Who wrote it first; NULL for the system';
COMMENT ON COLUMN csm.articles.category_id IS 'Category of the base; NULL for none';
COMMENT ON COLUMN csm.articles.product_id IS 'Product that it is about; restricts nothing by itself';
COMMENT ON COLUMN csm.articles.translation_of IS 'Article of the same base that it translates, itself no translation; NULL for none. One article a language, retired ones aside';
COMMENT ON COLUMN csm.articles.version IS 'Number of the version that stands; NULL before the first was published';
COMMENT ON COLUMN csm.articles.updated_at IS 'Last change of the row';
COMMENT ON COLUMN csm.articles.number IS 'Human-facing number, unique in the tenant; made from the id (KB0000042) when not given';
COMMENT ON COLUMN csm.articles.language IS 'Language tag (BCP 47), and with it how search reads the words; that of the base by default';
COMMENT ON COLUMN csm.articles.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.articles.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.articles.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.articles.search IS 'Words for csm.matches(): number and title weigh A, keywords B, body D';
COMMENT ON TABLE csm.article_versions IS 'What was, is and shall be the text of an article. Immutable once published; never deleted';
COMMENT ON COLUMN csm.article_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_versions.article_id IS 'The article';
COMMENT ON COLUMN csm.article_versions.version IS '1, 2, ... within the article';
COMMENT ON COLUMN csm.article_versions.revision IS 'Counts the changes of its text; csm.edit_article() wants the one that the writer has read';
COMMENT ON COLUMN csm.article_versions.state IS 'draft, review, published, retired, replaced (by a later version) or discarded; csm_private.article_transitions() says what follows what';
COMMENT ON COLUMN csm.article_versions.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.article_versions.edited_by IS 'Who changed its text last, and so does not publish it, unless the base lets him; NULL for the system';
COMMENT ON COLUMN csm.article_versions.approved_by IS 'Who published it, or said when it is to be published; NULL for the system';
COMMENT ON COLUMN csm.article_versions.created_at IS 'When it was begun';
COMMENT ON COLUMN csm.article_versions.edited_at IS 'When its text was changed last';
COMMENT ON COLUMN csm.article_versions.publish_at IS 'When csm.run_due() publishes what was approved; NULL where nothing is planned';
COMMENT ON COLUMN csm.article_versions.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.article_versions.ended_at IS 'When it was retired, replaced or discarded; NULL before';
COMMENT ON COLUMN csm.article_versions.title IS 'One line, up to 400 characters';
COMMENT ON COLUMN csm.article_versions.keywords IS 'Words by which it is to be found beside its own; NULL for none';
COMMENT ON COLUMN csm.article_versions.body IS 'The text, up to 1,000,000 characters';
COMMENT ON COLUMN csm.article_versions.note IS 'What was said with the last action, such as why it was rejected; NULL for nothing';
COMMENT ON POLICY articles_select_guest ON csm.articles IS 'Not signed in: what is published and flagged, in the tenant that csm.tenant names';
COMMENT ON POLICY articles_select ON csm.articles IS 'What is published and flagged or read by its audience; one''s own before it is published, while one may contribute; all for who manages the audience';
COMMENT ON POLICY knowledge_bases_select_guest ON csm.knowledge_bases IS 'Not signed in: public ones';
COMMENT ON POLICY knowledge_bases_select ON csm.knowledge_bases IS 'Public ones, and where one reads or contributes';
COMMENT ON POLICY knowledge_bases_select_staff ON csm.knowledge_bases IS 'The same; administrators all of the tenant';
COMMENT ON POLICY knowledge_bases_write ON csm.knowledge_bases IS 'Administrators';
COMMENT ON POLICY knowledge_bases_update ON csm.knowledge_bases IS 'Staff of the base';
COMMENT ON POLICY knowledge_categories_select ON csm.knowledge_categories IS 'Who sees the base';
COMMENT ON POLICY knowledge_categories_write ON csm.knowledge_categories IS 'Staff of the base';
COMMENT ON POLICY article_versions_select ON csm.article_versions IS 'One''s own, while one may contribute; all for who manages the audience';
COMMENT ON FUNCTION csm_private.base_guard() IS 'Trigger of csm.knowledge_bases and csm.publication_series: an audience for a new row without one; error 42501 for a change of id, tenant or audience';
COMMENT ON FUNCTION csm_private.base_follow() IS 'Trigger of csm.knowledge_bases: a base that is not public any more has no public article';
COMMENT ON FUNCTION csm_private.category_guard() IS 'Trigger of csm.knowledge_categories: error 23514 for a circle, 42501 for a change of id, tenant or base';
COMMENT ON FUNCTION csm_private.may_place_article(csm.articles, text) IS
'Whether base and audience of the article give the caller the action, and its category, product and original are of the base and tenant and, the original, read by him; NULL or false otherwise, alike for hidden and missing';
COMMENT ON FUNCTION csm_private.article_guard() IS
'Trigger of csm.articles: fills in a new article, keeps search and updated_at. Errors: 42501 for a change of what is fixed or follows the versions, 23514 for an audience not within that of the base and for a public article of a base that is not';
COMMENT ON FUNCTION csm_private.article_begin() IS 'Trigger of csm.articles: the first version of new articles';
COMMENT ON FUNCTION csm_private.article_expiry() IS 'Trigger of csm.articles: the timer of expires_at';
COMMENT ON POLICY articles_insert ON csm.articles IS 'Who may contribute, in his own name; 42501 for a base, category or original that is hidden, missing or does not fit';
COMMENT ON POLICY articles_update ON csm.articles IS 'Staff of the audience: where it stands, who reads it, until when';
COMMENT ON FUNCTION csm_private.article_transitions() IS
'Which state of a version follows which, by which action, who may take it, whether a note is required and whether it begins a new version beside the one that stands; constant';
COMMENT ON FUNCTION csm_private.article_version_guard() IS
'Trigger of csm.article_versions: only steps of csm.article_transitions() (SM002); text changes in a draft alone and nothing of a version that stood or was given up (42501); counts revisions, stamps times; replaces the version that stood by the one published';
COMMENT ON FUNCTION csm_private.article_version_follow() IS
'Trigger of csm.article_versions: the article takes over text and state, the timer of a planned publication follows publish_at';
COMMENT ON FUNCTION csm_private.article_actors(csm.articles, csm.article_versions) IS
'What the caller is to an article and one of its versions: author, contributor, manager, reviewer, publisher; the system is all, nobody and null nothing';
COMMENT ON FUNCTION csm_private.known_article(bigint) IS
'The article, where the caller reads it or began a version of it and may still contribute; error 42501 otherwise, hidden and missing alike';
COMMENT ON FUNCTION csm_private.check_article_end(csm.articles, timestamptz) IS 'Error 22023 where the article would have expired by then';
COMMENT ON FUNCTION csm.article_actions(bigint) IS
'What the caller can do with an article now, by csm.act_on_article(): what a client needs to draw its buttons. Error 42501 for an article that is hidden or missing';
COMMENT ON FUNCTION csm.act_on_article(bigint, text, text, timestamptz, integer) IS
'Takes an action: submit, withdraw, reject (note required), publish (from at on, where that is later than now), discard, retire, revise (a new draft beside the text that stands); returns the article. With revision only if that is still the version''s. Who wrote the text does not publish it unless the base has self_publish. Errors: 42501 hidden, missing or not permitted, SM002 not possible from this state, SM003 note missing, 40001 changed since it was read, 22023 unknown action, at with another action, or it would have expired';
COMMENT ON FUNCTION csm.edit_article(bigint, integer, text, text, text) IS
'Changes the draft of an article: its author, and staff of the base. revision is the one that the writer has read; what is NULL stays, empty keywords clear them. Returns the version. Errors: 42501 hidden, missing or not permitted, SM002 no draft, 40001 somebody changed it meanwhile, 22004 revision NULL, 23514 a text out of its length';
COMMENT ON FUNCTION csm.restrict_article(bigint, jsonb) IS
'Who, of those whom the base lets, reads or writes the article: grants as csm_private.audience_within() takes them, [{"criteria": key, "action": "read"}, …]; an empty array leaves it to the base. Staff of the base. Errors: 42501 hidden, missing or not permitted, 22023 no such criteria or malformed';
COMMENT ON FUNCTION csm_private.reader_language() IS 'Language tag of the signed-in person; NULL for nobody';
COMMENT ON FUNCTION csm.article_in(bigint, text) IS
'The article, or its translation that the caller reads best: of the language (tag; his own by default), else of the same language elsewhere (de for de-AT), else the article itself. NULL where he does not read the article. Runs under the policies of the caller';
COMMENT ON FUNCTION csm_private.due_article_publish(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_publish: publishes an approved version whose time has come; a minute later where somebody has it in hand';
COMMENT ON FUNCTION csm_private.due_article_expiry(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_expiry: retires an article that has expired';
COMMENT ON TABLE csm.article_feedback IS 'What readers say of an article: one row a person, which he may change, and one each time for visitors who are not signed in; written by csm.rate_article()';
COMMENT ON COLUMN csm.article_feedback.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.article_feedback.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_feedback.article_id IS 'The article';
COMMENT ON COLUMN csm.article_feedback.user_id IS 'Who says it; NULL for a visitor';
COMMENT ON COLUMN csm.article_feedback.version IS 'Version of which he last said it';
COMMENT ON COLUMN csm.article_feedback.helpful IS 'Whether it helped; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.solved IS 'Whether it solved the matter, so that no case is needed; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.rating IS '1 (worst) to 5; NULL: not said';
COMMENT ON COLUMN csm.article_feedback.comment IS 'In words, up to 4,000 characters; NULL for nothing';
COMMENT ON COLUMN csm.article_feedback.created_at IS 'When it was first said';
COMMENT ON COLUMN csm.article_feedback.updated_at IS 'When it was last changed';
COMMENT ON POLICY article_feedback_select ON csm.article_feedback IS 'One''s own; all for staff of the base';
COMMENT ON TABLE csm_private.article_view_log IS 'Views not yet added up';
COMMENT ON COLUMN csm_private.article_view_log.base_id IS 'Base of the article';
COMMENT ON COLUMN csm_private.article_view_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.article_view_log.article_id IS 'The article; articles are never deleted, so without a foreign key';
COMMENT ON COLUMN csm_private.article_view_log.on_day IS 'Day of the view, UTC';
COMMENT ON TABLE csm.article_views IS 'How often an article was viewed on a day; kept by csm.run_due(), some minutes behind';
COMMENT ON COLUMN csm.article_views.article_id IS 'The article';
COMMENT ON COLUMN csm.article_views.on_day IS 'The day, UTC';
COMMENT ON COLUMN csm.article_views.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.article_views.views IS 'How often';
COMMENT ON POLICY article_views_select ON csm.article_views IS 'Staff of the base';
COMMENT ON TABLE csm.case_articles IS 'Articles on cases; written by csm.attach_article()';
COMMENT ON COLUMN csm.case_articles.case_id IS 'The case';
COMMENT ON COLUMN csm.case_articles.article_id IS 'The article';
COMMENT ON COLUMN csm.case_articles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_articles.relation IS 'suggested, related or solution';
COMMENT ON COLUMN csm.case_articles.attached_by IS 'Who attached it last; NULL for the system';
COMMENT ON COLUMN csm.case_articles.attached_at IS 'When it was attached, or its relation last changed';
COMMENT ON POLICY case_articles_select ON csm.case_articles IS 'Who reads both the case and the article';
COMMENT ON POLICY case_articles_delete ON csm.case_articles IS 'Staff who work on the case';
COMMENT ON TABLE csm.knowledge_gaps IS 'What a case showed to be missing in the knowledge: open, claimed by who writes it, answered by an article, or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.knowledge_gaps.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.knowledge_gaps.case_id IS 'The case';
COMMENT ON COLUMN csm.knowledge_gaps.base_id IS 'Base in which it is missing: its contributors among staff see the gap; NULL: only who works on the case does';
COMMENT ON COLUMN csm.knowledge_gaps.state IS 'open, claimed, answered or dismissed';
COMMENT ON COLUMN csm.knowledge_gaps.summary IS 'What is missing, up to 4,000 characters; read by people who do not see the case';
COMMENT ON COLUMN csm.knowledge_gaps.reported_by IS 'Who reported it; NULL for the system';
COMMENT ON COLUMN csm.knowledge_gaps.reported_at IS 'When';
COMMENT ON COLUMN csm.knowledge_gaps.claimed_by IS 'Who took it on; NULL for nobody';
COMMENT ON COLUMN csm.knowledge_gaps.article_id IS 'Article that answers it; NULL until then';
COMMENT ON COLUMN csm.knowledge_gaps.closed_at IS 'When it was answered or dismissed; NULL before';
COMMENT ON POLICY knowledge_gaps_select ON csm.knowledge_gaps IS 'Staff who work on the case, and staff who may contribute to the base';
COMMENT ON VIEW csm_report.article_use IS 'Articles whose audience the caller manages, and what became of them';
COMMENT ON COLUMN csm_report.article_use.article_id IS 'Identity of the article';
COMMENT ON COLUMN csm_report.article_use.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_report.article_use.base_id IS 'Knowledge base';
COMMENT ON COLUMN csm_report.article_use.number IS 'Human-facing number';
COMMENT ON COLUMN csm_report.article_use.language IS 'Language tag';
COMMENT ON COLUMN csm_report.article_use.state IS 'draft, review, published or retired';
COMMENT ON COLUMN csm_report.article_use.is_public IS 'Read without signing in';
COMMENT ON COLUMN csm_report.article_use.published_at IS 'When the text that stands was published; NULL before';
COMMENT ON COLUMN csm_report.article_use.views IS 'Views added up so far';
COMMENT ON COLUMN csm_report.article_use.helpful IS 'Readers whom it helped';
COMMENT ON COLUMN csm_report.article_use.not_helpful IS 'Readers whom it did not help';
COMMENT ON COLUMN csm_report.article_use.ratings IS 'Readers who rated it';
COMMENT ON COLUMN csm_report.article_use.average_rating IS '1.00 to 5.00; NULL without ratings';
COMMENT ON COLUMN csm_report.article_use.solved IS 'Readers whose matter it solved';
COMMENT ON COLUMN csm_report.article_use.cases IS 'Cases to which it is attached, of those that the caller reads';
COMMENT ON COLUMN csm_report.article_use.solutions IS 'Cases of them that it solves';
COMMENT ON FUNCTION csm.rate_article(bigint, boolean, integer, boolean, text, text) IS
'What the caller says of a published article that he reads: helpful, rating (1 to 5), solved, comment; what is NULL stays as he said it before. One row a person; a visitor who is not signed in adds one each time. source: where the caller of a trusted backend sits, as for signing in. Errors: 42501 hidden, missing or not published, 22023 nothing said or out of range, SM007 more than 100 an hour a person, 10 a visitor''s source';
COMMENT ON FUNCTION csm_private.note_view(csm.articles, text) IS
'Appends a view of a published article, of visitors who are not signed in at most 100 an hour from a source, 10,000 from the address of a connection where none is given; true';
COMMENT ON FUNCTION csm.view_article(bigint, text, text) IS
'csm.article_in(), and counts a view of the article returned; NULL for what the caller does not read. source: where a visitor sits who is not signed in, as the caller of a trusted backend says; of one source 100 views an hour count, of a connection that names none 10,000';
COMMENT ON FUNCTION csm_private.due_article_views(bigint, bigint, timestamptz) IS
'Handler of timers of kind article_views, one a base: adds up what was viewed and comes again ten minutes later';
COMMENT ON FUNCTION csm_private.begin_article_views() IS 'Trigger of csm.knowledge_bases: the first timer of kind article_views';
COMMENT ON FUNCTION csm.attach_article(bigint, bigint, text) IS
'Attaches a published article to a case, or changes its relation: suggested, related or solution. Staff who work on the case and read the article. Errors: SM001 no such case, 42501 not permitted, an article that is hidden, missing or not published, or as solution one that the requester may not read, SM004 case closed, 22023 unknown relation';
COMMENT ON FUNCTION csm.resolve_with_article(bigint, bigint, text, text) IS
'Attaches the article as solution and proposes it (csm.act, propose): its number and title become the resolution notes. Errors of csm.attach_article() and csm.act()';
COMMENT ON FUNCTION csm_private.gap_allows(bigint, bigint, bigint) IS
'Whether the caller sees a knowledge gap: works on the case, or is staff and may contribute to the base';
COMMENT ON FUNCTION csm.report_knowledge_gap(bigint, text, bigint) IS
'Reports that an article is missing for a case; with base_id to those who write there. Staff who work on the case. Errors: SM001 no such case, 42501 not permitted, or a base that is hidden or missing, 22023 summary empty or too long';
COMMENT ON FUNCTION csm.act_on_gap(bigint, text, bigint) IS
'Takes an action on a knowledge gap: claim, release, answer (with a published article), dismiss. Who sees the gap; once claimed, who claimed it and staff of the base. Errors: 42501 hidden, missing or not permitted, SM002 not possible from its state, 22023 unknown action, or an article missing or out of place';
COMMENT ON FUNCTION csm_private.forum_audience() IS
'Trigger of csm.forums: makes the audience of a new forum, within that of the parent where inherits is set, and keeps it so; 42501 for another parent or audience';
COMMENT ON FUNCTION csm_private.forum_publicity() IS 'Trigger of csm.forums: posts are public while their forum is';
COMMENT ON FUNCTION csm_private.question_fill() IS
'Trigger of csm.questions: audience and publicity of the forum, the author''s name, the words for search';
COMMENT ON FUNCTION csm_private.reply_fill() IS
'Trigger of csm.answers and csm.post_comments: audience and publicity of the question, which it locks, and the author''s name';
COMMENT ON FUNCTION csm_private.profile_audience() IS
'Trigger of csm.community_profiles: the audience of the forum, NULL where there is none; the policy judges it';
COMMENT ON FUNCTION csm_private.profile_gone() IS
'Trigger of csm.community_profiles: what the person wrote bears a neutral name from now on';
COMMENT ON FUNCTION csm_private.community_name(bigint) IS
'Name under which the person writes in the community: that of his profile, else member- and his number; never the one in csm.users (V11)';
COMMENT ON TABLE csm.forums IS 'Places to ask, in a tree. Who may read, ask, answer and moderate says the audience of each; a forum takes over nothing from its parent unless inherits is set';
COMMENT ON COLUMN csm.forums.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.forums.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.forums.audience_id IS 'Its own audience, made with it and never changed: grants of read, ask, answer, moderate, manage stand in csm.audience_grants';
COMMENT ON COLUMN csm.forums.parent_id IS 'Forum above, never changed; NULL at the top';
COMMENT ON COLUMN csm.forums.key IS 'Short name, unique in the tenant';
COMMENT ON COLUMN csm.forums.title IS 'Name that people read';
COMMENT ON COLUMN csm.forums.description IS 'What it is for; NULL for nothing';
COMMENT ON COLUMN csm.forums.inherits IS 'True: the audience stands within that of the parent, whose grants hold where it has none of its own, and whose limits always hold; false: nothing is inherited';
COMMENT ON COLUMN csm.forums.is_public IS 'True: visitors who are not signed in read what is shown. Not inherited';
COMMENT ON COLUMN csm.forums.hold_posts IS 'Posts of a person wait for a moderator until so many of his, in any forum, are shown; 0: none waits';
COMMENT ON COLUMN csm.forums.active IS 'False: it can be read, and nothing more be written';
COMMENT ON POLICY forums_select ON csm.forums IS 'Who may read in it';
COMMENT ON POLICY forums_select_admin ON csm.forums IS 'Who may read in it, and administrators';
COMMENT ON POLICY forums_guest ON csm.forums IS 'Visitors: public forums of their tenant';
COMMENT ON POLICY forums_write ON csm.forums IS 'Administrators';
COMMENT ON TABLE csm.questions IS 'Questions. Written by csm.ask(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.questions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.questions.forum_id IS 'Where it was asked, or moved to';
COMMENT ON COLUMN csm.questions.author_id IS 'Who asked';
COMMENT ON COLUMN csm.questions.created_at IS 'When it was asked';
COMMENT ON COLUMN csm.questions.activity_at IS 'When it was asked or last answered';
COMMENT ON COLUMN csm.questions.edited_at IS 'When title or body last changed; NULL for never';
COMMENT ON COLUMN csm.questions.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.questions.answer_count IS 'How many answers are shown';
COMMENT ON COLUMN csm.questions.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.questions.locked IS 'True: only moderators change the thread';
COMMENT ON COLUMN csm.questions.answered IS 'Whether an answer is accepted';
COMMENT ON COLUMN csm.questions.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.questions.state IS 'visible; held (waits for a moderator); hidden (by a moderator); deleted (by its author: title and body say so, what hangs on it stays)';
COMMENT ON COLUMN csm.questions.author_name IS 'Name of the author''s community profile when he asked, else member- and his number';
COMMENT ON COLUMN csm.questions.language IS 'Language for search: a text search configuration, such as english, or a language tag; an unknown one counts as simple';
COMMENT ON COLUMN csm.questions.title IS 'The question in one line, up to 400 characters';
COMMENT ON COLUMN csm.questions.body IS 'The question, up to 100,000 characters';
COMMENT ON COLUMN csm.questions.search IS 'The words of title (weight A) and body (B); NULL for a deleted question';
COMMENT ON TABLE csm.answers IS 'Answers to questions. Written by csm.answer_question(), csm.accept_answer(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.answers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.answers.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.answers.question_id IS 'The question';
COMMENT ON COLUMN csm.answers.author_id IS 'Who answered';
COMMENT ON COLUMN csm.answers.created_at IS 'When it was written';
COMMENT ON COLUMN csm.answers.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.answers.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.answers.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.answers.thread_shown IS 'Whether the question is shown';
COMMENT ON COLUMN csm.answers.accepted IS 'The one that solved the question, says the asker or a moderator; at most one a question';
COMMENT ON COLUMN csm.answers.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.answers.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.answers.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.answers.body IS 'The answer, up to 100,000 characters';
COMMENT ON TABLE csm.post_comments IS 'Comments on questions and answers. Written by csm.comment_post(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.post_comments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_comments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_comments.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_comments.question_id IS 'The question';
COMMENT ON COLUMN csm.post_comments.answer_id IS 'The answer commented on; NULL for the question itself';
COMMENT ON COLUMN csm.post_comments.author_id IS 'Who commented';
COMMENT ON COLUMN csm.post_comments.created_at IS 'When it was written';
COMMENT ON COLUMN csm.post_comments.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.post_comments.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.post_comments.thread_shown IS 'Whether the question, and the answer commented on, are shown';
COMMENT ON COLUMN csm.post_comments.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.post_comments.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.post_comments.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.post_comments.body IS 'The comment, up to 4,000 characters';
COMMENT ON TABLE csm.votes IS 'Votes on questions and answers, one a person and post, written by csm.vote()';
COMMENT ON COLUMN csm.votes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.votes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.votes.question_id IS 'The question; exactly one of question and answer is set';
COMMENT ON COLUMN csm.votes.answer_id IS 'The answer';
COMMENT ON COLUMN csm.votes.voter_id IS 'Who voted';
COMMENT ON COLUMN csm.votes.value IS '1 for, -1 against';
COMMENT ON COLUMN csm.votes.created_at IS 'When he first voted on it';
COMMENT ON POLICY votes_select ON csm.votes IS 'One''s own; others read scores';
COMMENT ON TABLE csm.subscriptions IS 'Who follows which forum or question, and up to when he has read; csm.community_news() says what is new. A subscription gives no right';
COMMENT ON COLUMN csm.subscriptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.subscriptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.subscriptions.user_id IS 'Who follows';
COMMENT ON COLUMN csm.subscriptions.forum_id IS 'The forum; exactly one of forum and question is set';
COMMENT ON COLUMN csm.subscriptions.question_id IS 'The question';
COMMENT ON COLUMN csm.subscriptions.created_at IS 'Since when';
COMMENT ON COLUMN csm.subscriptions.seen_at IS 'What was written until then is not news';
COMMENT ON POLICY subscriptions_own ON csm.subscriptions IS 'One''s own, of forums and questions that one reads';
COMMENT ON TABLE csm.community_profiles IS 'How a person shows himself in the community, if he wants to: his name on posts, and, where visible, his entry in csm.community_people()';
COMMENT ON COLUMN csm.community_profiles.user_id IS 'The person; at most one profile each';
COMMENT ON COLUMN csm.community_profiles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.community_profiles.forum_id IS 'The forum to whose readers he shows himself; he must be one of them';
COMMENT ON COLUMN csm.community_profiles.audience_id IS 'Audience of that forum';
COMMENT ON COLUMN csm.community_profiles.visible IS 'True: readers of the forum find him; false (default): only his name on posts';
COMMENT ON COLUMN csm.community_profiles.handle IS 'Short name, unique in the tenant: 3 to 30 of a to z, 0 to 9, ., _ and -, the first a letter; not beginning with member-';
COMMENT ON COLUMN csm.community_profiles.display IS 'Name on posts; NULL: the handle';
COMMENT ON COLUMN csm.community_profiles.about IS 'What he says of himself; NULL for nothing';
COMMENT ON COLUMN csm.community_profiles.created_at IS 'Since when';
COMMENT ON POLICY community_profiles_select ON csm.community_profiles IS 'One''s own; visible ones, who may read in the forum that the person chose';
COMMENT ON POLICY community_profiles_own ON csm.community_profiles IS 'Everyone keeps his own, for a forum that he reads';
COMMENT ON VIEW csm_private.posts IS 'Questions, answers and comments as rows of one form, under the rights of the reader';
COMMENT ON COLUMN csm_private.posts.kind IS 'question, answer or comment';
COMMENT ON COLUMN csm_private.posts.id IS 'Id within its kind';
COMMENT ON COLUMN csm_private.posts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.posts.question_id IS 'The question of the thread';
COMMENT ON COLUMN csm_private.posts.answer_id IS 'The answer, or the one that the comment is on; NULL for none';
COMMENT ON COLUMN csm_private.posts.comment_id IS 'The comment; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.forum_id IS 'Forum of the question';
COMMENT ON COLUMN csm_private.posts.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm_private.posts.author_id IS 'Who wrote it';
COMMENT ON COLUMN csm_private.posts.created_at IS 'When it was written';
COMMENT ON COLUMN csm_private.posts.state IS 'visible, held, hidden or deleted';
COMMENT ON COLUMN csm_private.posts.shown IS 'Whether everybody who reads the forum sees it';
COMMENT ON COLUMN csm_private.posts.locked IS 'Whether the thread is locked';
COMMENT ON COLUMN csm_private.posts.question_state IS 'State of the question';
COMMENT ON COLUMN csm_private.posts.asker_id IS 'Who asked the question';
COMMENT ON COLUMN csm_private.posts.title IS 'Title of a question; NULL for other kinds';
COMMENT ON COLUMN csm_private.posts.body IS 'The text';
COMMENT ON FUNCTION csm_private.community_setting(jsonb, text) IS
'A number from the setting community of a tenant, or its default: posts_per_day 50, votes_per_day 500, reports_per_day 20 (a person), edit_minutes 60 (in which an author edits); NULL means no limit';
COMMENT ON FUNCTION csm_private.check_community_settings() IS 'Trigger of csm.tenants: judges the setting community (22023)';
COMMENT ON FUNCTION csm_private.count_community(text, bigint) IS
'Counts a post, vote or report of the caller, whether or not the transaction commits; SM007 when it is one too many. Nothing for moderators';
COMMENT ON FUNCTION csm_private.post_allows(csm_private.posts) IS
'Whether the caller reads the post, by the rule of the policies; false for a missing one';
COMMENT ON FUNCTION csm_private.seen_post(text, bigint) IS
'The post, by the rule of the policies; 42501 for hidden and missing alike, 22023 for an unknown kind';
COMMENT ON FUNCTION csm_private.lock_post(text, bigint) IS
'The post, its thread locked; errors as csm_private.seen_post()';
COMMENT ON FUNCTION csm_private.settle_thread(bigint) IS
'Reckons thread_shown, answer_count, answered and activity_at of a thread anew and returns the question';
COMMENT ON FUNCTION csm_private.open_forum(text, text) IS
'The forum of that key, where the caller has the right; 42501 for hidden and missing alike, 55000 where it is closed';
COMMENT ON FUNCTION csm_private.first_state(csm.forums) IS
'State of a new post of the caller in the forum: held while too few of his posts are shown (csm.forums.hold_posts), else visible';
COMMENT ON FUNCTION csm.ask(text, text, text, text) IS
'Asks a question in the forum of that key and returns it; the asker follows it. It may wait for a moderator (state held). Errors: 42501 no such forum, or no right to ask in it, 55000 forum closed, 23502 and 23514 title or body missing, blank or too long, SM007 too many posts today';
COMMENT ON FUNCTION csm_private.thread_to_answer(text, bigint, boolean) IS
'The post, its thread locked, where the caller may write below it now, which is counted; asker_may: the asker may with the right to ask. Errors of csm.answer_question()';
COMMENT ON FUNCTION csm.answer_question(bigint, text) IS
'Answers a question and returns the answer; who answers follows the question. It may wait for a moderator (state held). Errors: 42501 no such question, or no right to answer, 55000 held, hidden, deleted, locked or forum closed, 23502 and 23514 body missing, blank or too long, SM007 too many posts today';
COMMENT ON FUNCTION csm.comment_post(text, bigint, text) IS
'Comments on a question or an answer (kind), or beside a comment, and returns the comment. By who may answer, and the asker. Errors as csm.answer_question(), and 22023 for an unknown kind';
COMMENT ON FUNCTION csm_private.keep_version(csm_private.posts) IS 'Keeps the text of a post that is about to change';
COMMENT ON FUNCTION csm_private.post_to_change(text, bigint, boolean) IS
'The post, its thread locked, where the caller may change it: its author (with until_minutes as long as the setting edit_minutes says), with until_minutes also moderators. Errors 42501, 55000';
COMMENT ON FUNCTION csm_private.write_post(csm_private.posts, text, text, text) IS 'Writes text and state of a post';
COMMENT ON FUNCTION csm.edit_post(text, bigint, text, text) IS
'Changes the text of a post (kind question, answer, comment); NULL: as it is. What it was stays in csm.post_versions. By its author as long as the setting community.edit_minutes says, and by moderators. Errors: 42501 no such post, or not one''s own, 55000 too late, hidden, deleted or locked, 22023 argument, 23514 text blank or too long';
COMMENT ON FUNCTION csm.delete_post(text, bigint) IS
'Its author takes a post back: in its place stands "deleted", and what hangs on it stays; the text is kept for moderators in csm.post_versions. Errors: 42501 no such post, or not one''s own, 55000 deleted already, hidden or locked';
COMMENT ON FUNCTION csm.accept_answer(bigint, boolean) IS
'Says that an answer solved the question, in place of any accepted before (false: takes it back), and returns the question. By who asked and moderators. Errors: 42501 no such answer, or not permitted, 55000 held, hidden, deleted or locked';
COMMENT ON FUNCTION csm_private.count_vote() IS 'Trigger of csm.votes: the score of the post follows, whoever writes';
COMMENT ON FUNCTION csm_private.merge_votes(bigint, bigint) IS
'Takes back votes that cannot stand once the two persons are one, and returns them as csm.user_merges keeps them';
COMMENT ON FUNCTION csm.vote(text, bigint, integer) IS
'Votes for (1) or against (-1) a question or an answer, or takes the vote back (0), and returns the score; one vote a person and post, the last one counts. Errors: 42501 no such post, or one''s own, 55000 held, hidden, deleted or locked, 22023 argument, SM007 too many votes today';
COMMENT ON FUNCTION csm.community_news() IS
'What others wrote since seen_at in the forums (questions) and on the questions (answers, comments) that the caller follows, as far as he reads it, the newest first. UPDATE csm.subscriptions SET seen_at says what was read';
COMMENT ON FUNCTION csm.community_people() IS
'People who show themselves to readers of a forum that the caller reads, with how many of their questions, answers and accepted answers he sees; nobody else is named';
COMMENT ON TABLE csm.case_questions IS 'Which case a question became, and which question a case became. The link gives no right on either';
COMMENT ON COLUMN csm.case_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.case_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_questions.case_id IS 'The case';
COMMENT ON COLUMN csm.case_questions.question_id IS 'The question';
COMMENT ON COLUMN csm.case_questions.relation IS 'raised: the question became the case, once (csm.case_from_question()); published: the case became the question, once (csm.question_from_case())';
COMMENT ON COLUMN csm.case_questions.created_by IS 'Who did; NULL for the system';
COMMENT ON COLUMN csm.case_questions.created_at IS 'When';
COMMENT ON POLICY case_questions_select ON csm.case_questions IS 'Whoever sees the case; who only reads the question learns nothing of a case';
COMMENT ON FUNCTION csm_private.question_for_case(bigint) IS
'The question, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_question()';
COMMENT ON FUNCTION csm_private.open_question_case(csm.questions) IS
'Body of csm.case_from_question(): the case that the question became, as far as the caller sees it, else a new one';
COMMENT ON FUNCTION csm_private.link_question(csm.cases, bigint) IS
'Body of csm.case_from_question(): links question and case; 55000 where it became another one that the caller does not see';
COMMENT ON FUNCTION csm.case_from_question(bigint) IS
'Opens a case out of a question and returns it, once: called again it returns the same case. Title and body become subject and description, the asker the requester (his persona decides branch and account), priority 4, channel community. By the asker, and by staff who may open a case for him. Errors: 42501 no such question, or not permitted, 55000 hidden, deleted, or a case already that the caller does not see; those of csm.open_case()';
COMMENT ON FUNCTION csm.question_from_case(bigint, text, text, text) IS
'Asks a question in the name of the caller out of what a case taught, once, and returns it. Nothing of the case is copied; a text is refused that holds its number, or the name of its account, requester or opener. The link is seen by who sees the case. By staff who work on the case and may ask in the forum. Errors: SM001 no such case, 42501 not permitted or no such forum, 55000 published already, 22023 the text names whom it must not; those of csm.ask()';
COMMENT ON TABLE csm.post_versions IS 'What posts said before they were changed or deleted';
COMMENT ON COLUMN csm.post_versions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_versions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_versions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_versions.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_versions.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_versions.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_versions.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.post_versions.title IS 'Title that it had; NULL for answers and comments';
COMMENT ON COLUMN csm.post_versions.body IS 'Text that it had';
COMMENT ON COLUMN csm.post_versions.replaced_by IS 'Who changed or deleted it; NULL for the system';
COMMENT ON COLUMN csm.post_versions.replaced_at IS 'When';
COMMENT ON POLICY post_versions_select ON csm.post_versions IS 'The author of the post, and moderators of its forum';
COMMENT ON TABLE csm.post_reports IS 'Posts that members brought to the moderators, by csm.report_post()';
COMMENT ON COLUMN csm.post_reports.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_reports.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_reports.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_reports.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.post_reports.answer_id IS 'The answer';
COMMENT ON COLUMN csm.post_reports.comment_id IS 'The comment';
COMMENT ON COLUMN csm.post_reports.reporter_id IS 'Who reported it; one open report a person and post';
COMMENT ON COLUMN csm.post_reports.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.post_reports.created_at IS 'When';
COMMENT ON COLUMN csm.post_reports.closed_by IS 'The moderator whose act closed it; NULL while it is open';
COMMENT ON COLUMN csm.post_reports.closed_at IS 'When it was closed; NULL while it is open';
COMMENT ON POLICY post_reports_select ON csm.post_reports IS 'Who reported, and moderators of the forum; not the author';
COMMENT ON TABLE csm.moderation_acts IS 'What moderators did, one row each, never changed';
COMMENT ON COLUMN csm.moderation_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.moderation_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.moderation_acts.audience_id IS 'Audience of the forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.forum_id IS 'Forum in which it was done';
COMMENT ON COLUMN csm.moderation_acts.question_id IS 'The question; exactly one of question, answer and comment is set';
COMMENT ON COLUMN csm.moderation_acts.answer_id IS 'The answer';
COMMENT ON COLUMN csm.moderation_acts.comment_id IS 'The comment';
COMMENT ON COLUMN csm.moderation_acts.author_id IS 'Author of the post';
COMMENT ON COLUMN csm.moderation_acts.action IS 'approve, hide, restore, lock, unlock, move or dismiss; see csm.moderate()';
COMMENT ON COLUMN csm.moderation_acts.to_forum_id IS 'Where a question was moved to; NULL for other acts';
COMMENT ON COLUMN csm.moderation_acts.actor_id IS 'The moderator';
COMMENT ON COLUMN csm.moderation_acts.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.moderation_acts.created_at IS 'When';
COMMENT ON POLICY moderation_acts_select ON csm.moderation_acts IS 'Moderators of the forum, and the author of the post';
COMMENT ON FUNCTION csm.report_post(text, bigint, text) IS
'Brings a post (kind question, answer, comment) to the moderators of its forum; false where the caller has an open report on it. Errors: 42501 no such post, 55000 one''s own, or deleted, 23502 and 23514 no reason, 22023 unknown kind, SM007 too many reports today';
COMMENT ON FUNCTION csm_private.place_thread(bigint, csm.forums) IS
'Moves a question with its answers, comments, earlier texts and reports to a forum; acts stay where they were done';
COMMENT ON FUNCTION csm.moderate(text, bigint, text, text, text) IS
'Moderates a post (kind question, answer, comment) and returns the act, which is kept with its reason: approve (held: it is shown), hide, restore, dismiss (its reports, without effect), of questions lock, unlock, move (to a forum in which the caller moderates too, with all that hangs on it). What is hidden takes its answers and comments with it, and is accepted no longer. Errors: 42501 no such post or forum, or not a moderator of it, 55000 not from this state, 22023 argument, 23502 and 23514 no reason';
COMMENT ON FUNCTION csm.moderation_queue() IS
'What waits for the caller as a moderator, the oldest first: posts that are held, and posts with open reports (why, how many, since when). No row for others';
COMMENT ON TABLE csm.interactions IS 'Conversations with people who ask for service, over any channel; written by functions only, never deleted';
COMMENT ON COLUMN csm.interactions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interactions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interactions.branch IS 'b2b, b2c or internal, from the requester''s persona; b2c for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.requester_id IS 'For whom it was opened; NULL for a visitor who is not known';
COMMENT ON COLUMN csm.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm.interactions.opened_by IS 'Who opened it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interactions.opened_at IS 'When';
COMMENT ON COLUMN csm.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm.interactions.state IS 'new (nobody answered yet), active, wrap_up (over, the agent still writes) or closed';
COMMENT ON COLUMN csm.interactions.handled_by IS 'bot or agent: who answers, or has to';
COMMENT ON COLUMN csm.interactions.assigned_to IS 'The agent who has it; NULL while none has';
COMMENT ON COLUMN csm.interactions.verification IS 'How sure it is that the requester is the one: none, claimed (he said so), verified';
COMMENT ON COLUMN csm.interactions.verified_how IS 'By what, as a key: sign_in, callback, security_question, ...; NULL for none';
COMMENT ON COLUMN csm.interactions.verified_by IS 'Who judged it; NULL where csm did';
COMMENT ON COLUMN csm.interactions.verified_at IS 'When';
COMMENT ON COLUMN csm.interactions.case_id IS 'The case that came of it; NULL for none';
COMMENT ON COLUMN csm.interactions.subject IS 'What it is about, up to 400 characters; NULL when not said';
COMMENT ON COLUMN csm.interactions.language IS 'Text search configuration of its language';
COMMENT ON COLUMN csm.interactions.answered_at IS 'First answer of a bot or agent';
COMMENT ON COLUMN csm.interactions.handed_over_at IS 'When the bot, or the agent before, last handed it over; NULL for never';
COMMENT ON COLUMN csm.interactions.taken_at IS 'When the agent who has it took it';
COMMENT ON COLUMN csm.interactions.wrapped_at IS 'When the conversation was over';
COMMENT ON COLUMN csm.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm.interactions.waited IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm.interactions.lasted IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON COLUMN csm.interactions.service_organization_id IS 'Service organisation to which it was handed over; NULL for none';
COMMENT ON POLICY interactions_select ON csm.interactions IS 'The requester, and who speaks for him (V4, V6)';
COMMENT ON POLICY interactions_select_staff ON csm.interactions IS 'Staff connections: by branch, account, team or service organisation (V9), and the requester';
COMMENT ON TABLE csm.interaction_entries IS 'What was said, never changed. A case that came of the interaction refers to it, nothing is copied';
COMMENT ON COLUMN csm.interaction_entries.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.interaction_entries.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.interaction_entries.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm.interaction_entries.author_kind IS 'customer, agent, bot or system';
COMMENT ON COLUMN csm.interaction_entries.author_id IS 'Who wrote it; NULL for a visitor who is not signed in';
COMMENT ON COLUMN csm.interaction_entries.author_name IS 'Name of the author when he wrote; visitor, bot and system as such';
COMMENT ON COLUMN csm.interaction_entries.body IS 'What was said, up to 10,000 characters';
COMMENT ON COLUMN csm.interaction_entries.created_at IS 'When';
COMMENT ON POLICY interaction_entries_select ON csm.interaction_entries IS 'Whoever sees the interaction';
COMMENT ON TABLE csm_private.interaction_tokens IS 'By what a visitor who is not signed in holds his interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.interaction_id IS 'The interaction';
COMMENT ON COLUMN csm_private.interaction_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.interaction_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.interaction_tokens.expires_at IS 'Until when it opens the interaction';
COMMENT ON FUNCTION csm_private.interaction_setting(jsonb, text) IS
'A number from the setting interactions of a tenant, or its default: guest_sessions_per_hour 200 (all visitors together), sessions_per_hour 20 (of a person), messages_per_hour 300 (of the customer in one interaction), guest_hours 24 (how long a visitor''s token holds), idle_hours 72 (without a word until it is closed; 0: it is not)';
COMMENT ON FUNCTION csm_private.check_interaction_settings() IS 'Trigger of csm.tenants: judges the setting interactions (22023)';
COMMENT ON FUNCTION csm_private.count_interaction(bigint, text, text) IS
'Counts one of what a setting limits to so many in an hour, whether or not the transaction commits; SM007 when it is one too many';
COMMENT ON FUNCTION csm_private.interaction_allows(csm.interactions, text) IS
'The rule of the policies for one row and any action; false for nobody and a null row';
COMMENT ON FUNCTION csm_private.lock_interaction(bigint) IS
'The interaction, locked; 42501 for hidden and missing alike';
COMMENT ON FUNCTION csm_private.require_work(csm.interactions) IS '42501 unless the caller works on such cases as staff';
COMMENT ON FUNCTION csm_private.affiliation(bigint, bigint, text, bigint) IS
'As what a person turns to the desk: branch, and account for b2b; branch NULL where he is no contact of the account named';
COMMENT ON FUNCTION csm.open_interaction(text, text, bigint, bigint, text, boolean) IS
'Opens an interaction and returns it: for oneself (verified by sign_in; by csm.on_behalf_of() claimed by on_behalf), staff also for a person in their reach (claimed by desk). channel: chat, phone, email, bot, social. account_id: the home account by default. by_bot: a bot answers first; so for channel bot. Errors: 42501 nobody signed in, or person or account out of reach (hidden and missing alike), 23514 channel or subject, SM007 too many this hour';
COMMENT ON FUNCTION csm.open_guest_interaction(text, text, text, boolean) IS
'Opens an interaction for a visitor who is not signed in, and returns the token by which alone he speaks and reads: csm.guest_say(), csm.guest_transcript(). channel: chat, bot, social. Errors: 42501 no tenant, or signed in, 22023 channel, 23514 subject, SM007 too many visitors this hour (setting interactions.guest_sessions_per_hour)';
COMMENT ON FUNCTION csm_private.write_interaction(csm.interactions, text, bigint, text) IS
'Writes an entry of an interaction that the caller has locked; the first answer makes it active. 55000 when it is over, SM007 too many messages of the customer';
COMMENT ON FUNCTION csm.say(bigint, text, text) IS
'Writes into the transcript and returns the entry: the requester as customer, staff who work on such cases as agent, or for a bot or a system that runs under their name. Errors: 42501 no such interaction, or not permitted, 55000 over, 22023 kind, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour';
COMMENT ON FUNCTION csm_private.guest_interaction(text) IS
'The interaction that a visitor''s token opens; 42501 for an unknown one, an expired one and one of another tenant alike';
COMMENT ON FUNCTION csm.guest_say(text, text) IS
'A visitor speaks; returns the id of the entry. Errors: 42501 token, 55000 over, 23502 and 23514 text missing, blank or too long, SM007 too many messages this hour. Pass both as bind parameters';
COMMENT ON FUNCTION csm.guest_transcript(text) IS
'What was said in a visitor''s interaction, in order. Error 42501 token. Pass it as a bind parameter';
COMMENT ON FUNCTION csm.act_on_interaction(bigint, text, bigint) IS
'Takes an action and returns the interaction: take (new or handed over: the caller has it, it is active), hand_over (active, by the bot or the agent before: it waits for an agent, with service_organization_id also for those of that organisation, who see it from then on), wrap_up (active), close. By staff who work on such cases; the requester may close. Errors: 42501 no such interaction, or not permitted, SM002 not from this state, 22023 unknown action, or an organisation with another one';
COMMENT ON FUNCTION csm.verify_interaction(bigint, text, text, bigint, bigint) IS
'Says who it is (requester_id, account_id) and how sure that is: verification claimed or verified, how a key such as callback or security_question. From then on the interaction is his. By staff who work on such cases, for persons in their reach. Errors: 42501 no such interaction, not permitted, or person out of reach (hidden and missing alike), 55000 over, 22023 argument, 23514 key';
COMMENT ON FUNCTION csm_private.interaction_for_case(bigint) IS
'The interaction, locked, where the caller may make a case of it; errors 42501 and 55000 of csm.case_from_interaction()';
COMMENT ON FUNCTION csm_private.open_interaction_case(csm.interactions, text, text, text, integer) IS
'Body of csm.case_from_interaction(): the case that came of it, as far as the caller sees it, else a new one with his rights';
COMMENT ON FUNCTION csm_private.link_interaction(csm.cases, bigint) IS
'Body of csm.case_from_interaction(): links interaction and case; 55000 where it has one that the caller does not see';
COMMENT ON FUNCTION csm.case_from_interaction(bigint, text, text, text, integer) IS
'Opens a case out of an interaction and returns it, once: called again it returns the same case. subject: that of the interaction by default; requester, account, channel and, where staff open it, service organisation are the interaction''s. The transcript stays where it is, csm.interactions.case_id leads to it. By staff who work on such cases, and the requester. Errors: 42501 no such interaction, or not permitted, 55000 nobody is known as requester, or a case that the caller does not see; those of csm.open_case()';
COMMENT ON FUNCTION csm_private.begin_idle() IS
'Trigger of csm.interactions: the timer of kind interaction_idle. An e-mail waits for its answer';
COMMENT ON FUNCTION csm_private.due_interaction_idle(bigint, bigint, timestamptz) IS
'Handler of timers of kind interaction_idle: closes an interaction in which nothing was said or done for as long as the setting interactions.idle_hours says, with an entry of the system';
COMMENT ON VIEW csm_report.interactions IS 'One row for each interaction that the reader may see, without what was said and with whom';
COMMENT ON COLUMN csm_report.interactions.id IS 'Key, csm.interactions.id';
COMMENT ON COLUMN csm_report.interactions.branch IS 'b2b, b2c or internal';
COMMENT ON COLUMN csm_report.interactions.account_id IS 'Account of a b2b interaction';
COMMENT ON COLUMN csm_report.interactions.channel IS 'chat, phone, email, bot or social';
COMMENT ON COLUMN csm_report.interactions.state IS 'new, active, wrap_up or closed';
COMMENT ON COLUMN csm_report.interactions.handled_by IS 'bot or agent';
COMMENT ON COLUMN csm_report.interactions.assigned_to IS 'The agent who has it';
COMMENT ON COLUMN csm_report.interactions.verification IS 'none, claimed or verified';
COMMENT ON COLUMN csm_report.interactions.verified_how IS 'By what; NULL for none';
COMMENT ON COLUMN csm_report.interactions.case_id IS 'The case that came of it';
COMMENT ON COLUMN csm_report.interactions.became_case IS 'Whether a case came of it';
COMMENT ON COLUMN csm_report.interactions.opened_at IS 'When it was opened';
COMMENT ON COLUMN csm_report.interactions.closed_at IS 'When it was closed';
COMMENT ON COLUMN csm_report.interactions.first_answer_seconds IS 'From the opening to the first answer of a bot or agent; NULL before';
COMMENT ON COLUMN csm_report.interactions.waited_seconds IS 'How long the customer last waited for an agent; NULL while none has taken it';
COMMENT ON COLUMN csm_report.interactions.lasted_seconds IS 'How long the conversation lasted; NULL while it lasts';
COMMENT ON COLUMN csm_report.interactions.service_organization_id IS 'Service organisation to which it was handed over';
COMMENT ON FUNCTION csm_private.publication_allows(bigint, bigint, text) IS
'Whether the caller reads the publication (read, as the policy says), or its audience gives him contribute or manage; false for a missing one';
COMMENT ON TABLE csm.publication_series IS 'What is published under one heading, such as outages or news, each with its audience';
COMMENT ON COLUMN csm.publication_series.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_series.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_series.audience_id IS 'Who can be addressed (read), writes (contribute) and approves (manage); never changes. A new series without one gets an audience of its own, whose owner is who made it';
COMMENT ON COLUMN csm.publication_series.key IS 'Key, unique in the tenant';
COMMENT ON COLUMN csm.publication_series.title IS 'Name that people read';
COMMENT ON COLUMN csm.publication_series.description IS 'What it is about; NULL for nothing said';
COMMENT ON COLUMN csm.publication_series.event IS 'Event of csm.notification_preferences under which persons say whether they want it by mail';
COMMENT ON COLUMN csm.publication_series.active IS 'False: nothing new is written in it';
COMMENT ON TABLE csm.publications IS 'Publications and their stages; the words stand in csm.publication_texts. Rows are never deleted';
COMMENT ON COLUMN csm.publications.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publications.audience_id IS 'Whom it addresses: the audience of the series, or one within it (csm.address_publication())';
COMMENT ON COLUMN csm.publications.series_id IS 'The series; never changes';
COMMENT ON COLUMN csm.publications.state IS 'author (being written), review, ready (approved), published, expired, cancelled; csm_private.publication_transitions() says what follows what';
COMMENT ON COLUMN csm.publications.published_at IS 'When it was published; NULL before';
COMMENT ON COLUMN csm.publications.expires_at IS 'From when on it is not read any more, nor mailed; csm.run_due() then lets it expire. NULL for never';
COMMENT ON COLUMN csm.publications.author_id IS 'Who began it; NULL for the system';
COMMENT ON COLUMN csm.publications.by_mail IS 'Whether those it addresses get it by mail too, or read it in the portal alone';
COMMENT ON COLUMN csm.publications.language IS 'Language tag (BCP 47) of its own text, for readers in whose language there is none';
COMMENT ON COLUMN csm.publications.revision IS 'Counts the changes of its texts; csm.edit_publication() wants the one that the writer has read';
COMMENT ON COLUMN csm.publications.publish_at IS 'When csm.run_due() publishes it; NULL where nothing is planned';
COMMENT ON COLUMN csm.publications.ended_at IS 'When it expired or was cancelled; NULL before';
COMMENT ON COLUMN csm.publications.created_at IS 'When it was begun';
COMMENT ON TABLE csm.publication_texts IS 'The words of a publication, by language; they change while it is being written';
COMMENT ON COLUMN csm.publication_texts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_texts.language IS 'Language tag (BCP 47)';
COMMENT ON COLUMN csm.publication_texts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_texts.title IS 'One line, up to 400 characters; the subject of the mail';
COMMENT ON COLUMN csm.publication_texts.body IS 'The text, up to 100,000 characters';
COMMENT ON TABLE csm.publication_acts IS 'Who did what with a publication; neither changed nor deleted';
COMMENT ON COLUMN csm.publication_acts.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_acts.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_acts.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_acts.action IS 'create, edit, address, or an action of csm.publication_actions()';
COMMENT ON COLUMN csm.publication_acts.actor_id IS 'Who did it; NULL for time and the system';
COMMENT ON COLUMN csm.publication_acts.note IS 'What he said with it; NULL for nothing';
COMMENT ON COLUMN csm.publication_acts.created_at IS 'When';
COMMENT ON TABLE csm.case_publications IS 'Publications about a major case';
COMMENT ON COLUMN csm.case_publications.case_id IS 'The major case';
COMMENT ON COLUMN csm.case_publications.publication_id IS 'The publication';
COMMENT ON COLUMN csm.case_publications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.case_publications.attached_by IS 'Who said so; NULL for the system';
COMMENT ON COLUMN csm.case_publications.attached_at IS 'When';
COMMENT ON POLICY publication_series_select ON csm.publication_series IS 'Who can be addressed, and who writes in it';
COMMENT ON POLICY publication_series_write ON csm.publication_series IS 'Administrators';
COMMENT ON POLICY publications_select ON csm.publications IS 'What is published, until it expires, for those whom it addresses; one''s own before, while one may contribute; all for who manages the audience';
COMMENT ON POLICY publications_update ON csm.publications IS 'Who manages the audience, and the author while it is being written';
COMMENT ON POLICY publication_texts_select ON csm.publication_texts IS 'Who reads the publication';
COMMENT ON POLICY publication_acts_select ON csm.publication_acts IS 'Who writes or approves in the series, of publications that he reads';
COMMENT ON POLICY case_publications_select ON csm.case_publications IS 'Staff who work on the case and read the publication';
COMMENT ON POLICY case_publications_write ON csm.case_publications IS 'The same, where they write or approve in the series';
COMMENT ON TABLE csm.publication_recipients IS 'Persons whom a publication addressed when it was published by mail, once each, and what became of it. Written by csm.run_due(), deleted 90 days after the publication ended';
COMMENT ON COLUMN csm.publication_recipients.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.publication_recipients.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.publication_recipients.publication_id IS 'The publication';
COMMENT ON COLUMN csm.publication_recipients.user_id IS 'The person';
COMMENT ON COLUMN csm.publication_recipients.batch IS 'With which others he is looked at: object of a timer of kind publication_mail';
COMMENT ON COLUMN csm.publication_recipients.state IS 'waiting; mailed: his message was put into csm.outbox; withheld: he does not read it, has no address, does not want it, or it ended before; failed: it could not be put together';
COMMENT ON COLUMN csm.publication_recipients.settled_at IS 'When that was; NULL while he waits';
COMMENT ON POLICY publication_recipients_select ON csm.publication_recipients IS 'One''s own, of what one reads; all for who manages the audience';
COMMENT ON FUNCTION csm_private.search_languages() IS
'Languages in which the caller searches: his own, and those of csm.tenants.settings -> search -> languages (english where there are none); empty for nobody';
COMMENT ON FUNCTION csm.search_query(text) IS
'What somebody typed as a query for csm.matches(), in his language and in those of the tenant (csm.tenants.settings -> search -> languages, english by default); NULL for NULL';
COMMENT ON FUNCTION csm_private.search_filters(jsonb) IS 'The filters of a search, checked, with a list for each; error 22023 for what is none';
COMMENT ON FUNCTION csm_private.search_kinds(text[], jsonb) IS
'Kinds that the caller''s search looks through: those asked for (NULL: all) that his role may read and whose rows have what the filters name; none for nobody; error 22023 for an unknown one';
COMMENT ON FUNCTION csm_private.search_cursor(text, timestamptz, integer, numeric, text, bigint) IS
'Cursor for the page after a row: time of the first page, how its rows were found (csm_private.search_way()), and place of the row';
COMMENT ON FUNCTION csm_private.search_page(integer, text, text) IS
'Where a page begins: time of the first page and, after it, how its rows were found and the place that a cursor holds; errors 22023: limit, a cursor that is damaged or of another search';
COMMENT ON FUNCTION csm_private.search_way(text, text) IS
'How a hit was found, for a cursor and for the filter "ways" that csm.search() gives to the searches below on later pages: cases in bits 0 and 1, articles in 2 and 3, questions in 4 and 5';
COMMENT ON FUNCTION csm_private.search_cases(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among the caller''s cases: the number, the newest 500 with all words, where there are none the newest 500 with some words, else of the newest 2,000 those whose subject resembles what was typed';
COMMENT ON FUNCTION csm_private.search_articles(text[], tsquery, tsquery, text, jsonb) IS
'Hits of a search among published articles that the caller reads: the number, the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed. Age has no part in the score';
COMMENT ON FUNCTION csm_private.search_questions(text[], tsquery, tsquery, text, jsonb, timestamptz) IS
'Hits of a search among questions that the caller reads: the newest 500 with all words, where there are none the newest 500 with some words, else the newest 500 whose title resembles what was typed';
COMMENT ON FUNCTION csm_private.search_names(text[], text) IS
'Hits of a search among the caller''s accounts, people and products: number or e-mail, and names that resemble what was typed (of each kind the newest 1,000)';
COMMENT ON FUNCTION csm_private.search_snippet(text, bigint, text, integer) IS
'Passage of a hit that holds what was typed, as safe HTML; NULL for kinds that have no text and for what the caller may not read';
COMMENT ON FUNCTION csm.search(text, text[], jsonb, integer, text) IS
'What the caller may read and what answers the query, best first, a page of limit rows (1 to 100). kinds: account, article, case, person, product, question (NULL: all that his role reads). filters: language, since, until, state_class, state, case_type, priority, account_id, product_id, base_id, category_id, forum_id, answered, each a value or a list; a kind without such a column is left out. snippet is HTML in which all but <mark> is escaped, NULL where there is no text. found_by: number (or e-mail), words, some words (where no row of the kind has all), similar. at: when it was opened, published or made. after: the cursor of the last row of the page before. NULL and empty queries find nothing. Error 22023: limit, kind, filter, cursor';
COMMENT ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) IS
'Counts of csm.search_facets() by kind; n: rows of the kind, up to 10,001';
COMMENT ON FUNCTION csm.search_facets(text, text[], jsonb) IS
'How many rows that the caller may read answer a query (all words of it, or a name that resembles it), by kind and by value: of cases state_class, case_type, priority, language, product_id; of articles base_id, category_id, language, product_id; of questions forum_id, answered, language. complete = false: only the newest 10,000 of the kind were counted. Arguments and errors as csm.search()';
COMMENT ON FUNCTION csm_private.suggested_articles(text[], tsquery, tsquery, tsquery, text, text) IS
'Articles of csm.suggest(): strict asks for all that was typed, rest for all but the last word, loose for some of it; fragment is the last word while it is typed';
COMMENT ON FUNCTION csm_private.suggested_questions(text[], tsquery, tsquery, tsquery, text, text) IS
'Questions of csm.suggest(), as csm_private.suggested_articles()';
COMMENT ON FUNCTION csm_private.suggested_cases(text[], tsquery, tsquery) IS 'Open major cases of csm.suggest()';
COMMENT ON FUNCTION csm.suggest(text, integer) IS
'What may answer a question while it is typed: published articles, questions of the community and open major cases that the caller may read, best first, at most limit (up to 20). The last word counts from three letters on, unfinished; where nothing has the words, titles that resemble what was typed; 400 characters count. NULL and empty text: no row; no input is an error';
COMMENT ON FUNCTION csm_private.case_to_compare(bigint) IS 'The case, read with the caller''s rights; SM001 for a hidden and a missing one';
COMMENT ON FUNCTION csm_private.cases_like(csm.cases, tsquery, tsquery, integer) IS
'Of the newest 300 cases of the caller that share words with this one, those that are most like it';
COMMENT ON FUNCTION csm.similar_cases(bigint, integer) IS
'Cases that the caller may read and whose subject or description shares words with the subject of this one, best first, at most limit (up to 100): solved ones, those of the same product and type first. With how they were solved, for the agent to take over. Of the newest 300 that share two words. Error SM001: no such case, hidden and missing alike';
COMMENT ON FUNCTION csm_private.answer_passage(text, bigint, text) IS
'Passage of an article, or of the accepted answer of a question, that answers best; NULL where the caller reads none';
COMMENT ON FUNCTION csm.answer(text, integer) IS
'For a chat bot: passages that answer a question, best first, at most limit (up to 10), each with its source: a published article or a question whose accepted answer is quoted. Only what the caller may read, so the bot signs in as whom it talks to. passage is HTML as csm.highlight() gives it; score 0 to 1, half of it where only some words were found. No input is an error';
COMMENT ON FUNCTION csm_private.guess_fields(tsquery, tsquery) IS 'Counts behind csm.predict_fields()';
COMMENT ON FUNCTION csm.predict_fields(text) IS
'What a case with such a subject will probably have, by the 100 closed cases of the caller that are most like it (of the newest 300 that share two words): for case_type, priority, product_id, assigned_group_id and resolution_code the commonest value, its share among those that have one, and how many cases that are; hours_to_close_median and hours_to_close_90, with the number of cases behind them. No row where there is nothing to go by';
COMMENT ON TABLE csm.surveys IS 'What is asked after a case; the setting survey of a case type names one by its key';
COMMENT ON COLUMN csm.surveys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.surveys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.surveys.key IS 'Name by which case types refer to it, unique in the tenant';
COMMENT ON COLUMN csm.surveys.label IS 'Title that people read';
COMMENT ON COLUMN csm.surveys.ask_when IS 'closed: when the case is closed; resolved: when a solution is proposed or the case is closed, whichever comes first';
COMMENT ON COLUMN csm.surveys.delay IS 'How long after that, up to 90 days; a case that is open again by then is not asked about yet';
COMMENT ON COLUMN csm.surveys.valid_for IS 'How long it can be answered, from an hour to 366 days';
COMMENT ON COLUMN csm.surveys.quarantine IS 'For so long after any survey a person is not asked again; zero for no such time';
COMMENT ON COLUMN csm.surveys.active IS 'False: nobody is asked any more';
COMMENT ON COLUMN csm.surveys.labels IS 'The title in other languages: an object of language tags in lower case and titles, of 1 to 200 characters';
COMMENT ON TABLE csm.survey_questions IS 'Questions of a survey; of each kind of score at most one';
COMMENT ON COLUMN csm.survey_questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_questions.survey_id IS 'The survey';
COMMENT ON COLUMN csm.survey_questions.key IS 'Name of the answer, unique in the survey';
COMMENT ON COLUMN csm.survey_questions.position IS 'Place among the questions';
COMMENT ON COLUMN csm.survey_questions.kind IS 'csat (satisfaction, 1 to 5), nps (would recommend, 0 to 10), ces (it was easy, 1 to 7) or text';
COMMENT ON COLUMN csm.survey_questions.label IS 'The question';
COMMENT ON COLUMN csm.survey_questions.required IS 'Whether an answer without it is refused';
COMMENT ON COLUMN csm.survey_questions.low IS 'A score up to this one is followed up; NULL: none is';
COMMENT ON COLUMN csm.survey_questions.labels IS 'The question in other languages: an object of language tags in lower case and texts, of 1 to 1,000 characters';
COMMENT ON TABLE csm.survey_responses IS 'Who was asked about which case, once a case, and his scores; written by csm.run_due() and csm.answer_survey()';
COMMENT ON COLUMN csm.survey_responses.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.survey_responses.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_responses.case_id IS 'The case';
COMMENT ON COLUMN csm.survey_responses.survey_id IS 'What was asked';
COMMENT ON COLUMN csm.survey_responses.user_id IS 'The person asked: who requested the case';
COMMENT ON COLUMN csm.survey_responses.sent_at IS 'When';
COMMENT ON COLUMN csm.survey_responses.expires_at IS 'Until when he can answer';
COMMENT ON COLUMN csm.survey_responses.answered_at IS 'When he answered; NULL while he has not';
COMMENT ON COLUMN csm.survey_responses.csat IS 'Satisfaction, 1 (not at all) to 5; NULL for none';
COMMENT ON COLUMN csm.survey_responses.nps IS 'Would recommend, 0 to 10: 9 and 10 promoters, up to 6 detractors; NULL for none';
COMMENT ON COLUMN csm.survey_responses.ces IS 'It was easy, 1 (not at all) to 7; NULL for none';
COMMENT ON COLUMN csm.survey_responses.low IS 'A score was low as its question says: followed up';
COMMENT ON TABLE csm.survey_answers IS 'The single answers';
COMMENT ON COLUMN csm.survey_answers.response_id IS 'To which survey';
COMMENT ON COLUMN csm.survey_answers.question_id IS 'The question';
COMMENT ON COLUMN csm.survey_answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.survey_answers.case_id IS 'The case, copied';
COMMENT ON COLUMN csm.survey_answers.user_id IS 'Who answered, copied';
COMMENT ON COLUMN csm.survey_answers.score IS 'The score; NULL for free text';
COMMENT ON COLUMN csm.survey_answers.body IS 'Free text, up to 4,000 characters; NULL for a score';
COMMENT ON TABLE csm_private.survey_tokens IS 'The tokens by which surveys are answered from a mail, as hashes; gone when used';
COMMENT ON COLUMN csm_private.survey_tokens.response_id IS 'Which survey of which case';
COMMENT ON COLUMN csm_private.survey_tokens.tenant_id IS 'Its tenant';
COMMENT ON COLUMN csm_private.survey_tokens.user_id IS 'The person asked, copied';
COMMENT ON COLUMN csm_private.survey_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON FUNCTION csm_private.survey_of(csm.cases) IS
'The survey that the case''s type names, itself or by its parent types; NULL where it names none that is active';
COMMENT ON FUNCTION csm_private.label_in(text, jsonb, text) IS
'A text in a language: of the exact tag, else of its base (de for de-AT), else as it was first written; so also for NULL';
COMMENT ON FUNCTION csm_private.sees_case(jsonb) IS
'Whether whoever runs it sees the case case_id; run by csm_private.as_person()';
COMMENT ON FUNCTION csm_private.due_survey(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey: asks who requested the case and sees it, by mail where he has an address. Not while the case is open again, within the quarantine, after he said that he does not want it (event survey, channel email), nor twice';
COMMENT ON FUNCTION csm_private.survey_form(bigint, bigint, text) IS
'The questions of a survey, in a language as far as they are translated, as a JSON array: key, kind, label, required, from and to (of a score)';
COMMENT ON FUNCTION csm_private.survey_fault(bigint, bigint, jsonb) IS
'True where the answers are not those of the survey: an unknown key, a required one missing, a score out of range, no text or one of more than 4,000 characters';
COMMENT ON FUNCTION csm_private.record_answers(bigint, bigint, jsonb) IS
'Writes the answers of a survey: accepted, invalid (nothing written), or refused where it is answered, expired or not there. Asks nothing';
COMMENT ON FUNCTION csm.survey_by_token(text) IS
'Title and questions of the survey whose mail carried the token, in the language of who was asked, for the page on which it is answered; nothing of the case. No row where the token is unknown, used or expired';
COMMENT ON FUNCTION csm.answer_survey(text, jsonb) IS
'Answers a survey by the token of its mail, signed in or not: an object of question keys with scores and texts. accepted; invalid: not the answers of this survey, try again; refused: the token is unknown, used or expired, all alike';
COMMENT ON FUNCTION csm.my_surveys() IS
'Surveys that the caller is asked to answer, in his language, by csm.answer_my_survey(); case_id is NULL where he does not see the case any more';
COMMENT ON FUNCTION csm.answer_my_survey(bigint, jsonb) IS
'Answers one of csm.my_surveys(); answers and status as csm.answer_survey(). refused also for somebody else''s';
COMMENT ON FUNCTION csm_private.due_survey_low(bigint, bigint, timestamptz) IS
'Handler of timers of kind survey_low: event survey_low_score, and for the group of the case a task, or, where it is closed, a case that follows it up';
COMMENT ON VIEW csm_report.surveys IS 'One row for each survey sent about a case that the reader may see; scores, no text, no personal data';
COMMENT ON COLUMN csm_report.surveys.id IS 'Key, csm.survey_responses.id';
COMMENT ON COLUMN csm_report.surveys.case_id IS 'The case';
COMMENT ON COLUMN csm_report.surveys.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.surveys.sent_at IS 'When the person was asked';
COMMENT ON COLUMN csm_report.surveys.expires_at IS 'Until when it can be answered';
COMMENT ON COLUMN csm_report.surveys.answered_at IS 'When it was answered; NULL while it is not';
COMMENT ON COLUMN csm_report.surveys.csat IS 'Satisfaction, 1 to 5';
COMMENT ON COLUMN csm_report.surveys.nps IS 'Would recommend, 0 to 10';
COMMENT ON COLUMN csm_report.surveys.ces IS 'It was easy, 1 to 7';
COMMENT ON COLUMN csm_report.surveys.nps_group IS 'promoter (9, 10), passive (7, 8) or detractor (0 to 6); NULL without that score';
COMMENT ON COLUMN csm_report.surveys.low IS 'A score was low as its question says';
COMMENT ON COLUMN csm_report.surveys.branch IS 'Branch of the case';
COMMENT ON COLUMN csm_report.surveys.case_type IS 'Type of the case';
COMMENT ON COLUMN csm_report.surveys.account_id IS 'Customer account of the case; NULL unless b2b';
COMMENT ON COLUMN csm_report.surveys.assigned_group_id IS 'Group that worked on it';
COMMENT ON COLUMN csm_report.surveys.assignee_id IS 'Who worked on it (csm.users.id)';
COMMENT ON VIEW csm_report.satisfaction IS 'Scores by survey, case type and month, of cases that the reader may see';
COMMENT ON COLUMN csm_report.satisfaction.id IS 'Key: survey, type and month';
COMMENT ON COLUMN csm_report.satisfaction.survey IS 'Key of the survey';
COMMENT ON COLUMN csm_report.satisfaction.case_type IS 'Type of case';
COMMENT ON COLUMN csm_report.satisfaction.month IS 'First day of the month (UTC) in which people were asked';
COMMENT ON COLUMN csm_report.satisfaction.sent IS 'How many were asked';
COMMENT ON COLUMN csm_report.satisfaction.answered IS 'How many answered';
COMMENT ON COLUMN csm_report.satisfaction.csat IS 'Average satisfaction, 1 to 5; NULL without answers';
COMMENT ON COLUMN csm_report.satisfaction.csat_satisfied IS 'Per cent of those answers that are 4 or 5';
COMMENT ON COLUMN csm_report.satisfaction.nps IS 'Net promoter score: per cent of promoters (9, 10) less per cent of detractors (0 to 6)';
COMMENT ON COLUMN csm_report.satisfaction.ces IS 'Average customer effort score, 1 to 7';
COMMENT ON COLUMN csm_report.satisfaction.low IS 'How many had a low score';
COMMENT ON FUNCTION csm_private.run_timer(csm.timers, timestamptz) IS
'Runs the handler of a timer whose case is locked; error 0A000 for a kind without a handler';
COMMENT ON FUNCTION csm_private.run_group(csm.timers[], timestamptz) IS
'Removes claimed timers and runs their handlers; done or busy for each, in their order';
COMMENT ON FUNCTION csm_private.run_timers(timestamptz, integer, bigint) IS
'Body of csm.run_due(); only_tenant NULL for all tenants. Error 22023 for a null or a limit below 1';
COMMENT ON FUNCTION csm.run_due_in(bigint, timestamptz, integer) IS
'csm.run_due() for one tenant: its administrators, never with a now beyond the clock; superuser or member of csm_owner without identity. Errors: 42501 not permitted or ahead of the clock, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.run_due(timestamptz, integer) IS
'Does what is due by now, the longest due first, at most limit timers; counts per kind: done (looked at; whatever was to be done is done), failed (put off, see csm.timers.error) and busy (the case was locked by another session: the next call). Any number of sessions may call it at once. Superuser or member of csm_owner: all tenants, with any now; an administrator: his own, never with a now beyond the clock. Errors: 42501, 22023 null or limit below 1';
COMMENT ON FUNCTION csm.schedule(text, integer) IS
'Lets pg_cron call csm.run_due() in this database, every minute by default (schedule in the form of cron); returns the id of the job, which is named csm: calling it again changes the job, SELECT cron.unschedule(''csm'') ends it. Superuser or member of csm_owner. Errors: 55000 pg_cron is not installed here, 42501, 22023 limit below 1';
COMMENT ON TABLE csm.audit_log IS 'Who signed in, was refused, was invited, changed or looked at: one row each, written by functions only, never changed';
COMMENT ON COLUMN csm.audit_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.audit_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.audit_log.at IS 'When it happened';
COMMENT ON COLUMN csm.audit_log.kind IS 'What happened; README lists the kinds';
COMMENT ON COLUMN csm.audit_log.actor_id IS 'Who did it (csm.users.id, no foreign key); NULL for somebody not signed in and for the system';
COMMENT ON COLUMN csm.audit_log.subject_user_id IS 'Whom it concerns (csm.users.id, no foreign key); NULL where no person is known';
COMMENT ON COLUMN csm.audit_log.account_id IS 'Account in which it was done (no foreign key): its administrators read the row; NULL for none';
COMMENT ON COLUMN csm.audit_log.details IS 'Keys and values by kind, a JSON object: reasons and ids, never a password or token';
COMMENT ON POLICY audit_log_select ON csm.audit_log IS 'What one did and what concerns oneself; who manages contacts, his accounts; administrators, all of their tenant';
COMMENT ON FUNCTION csm_private.audit(text, bigint, bigint, bigint, jsonb, bigint) IS
'Writes a row of csm.audit_log; nothing on a standby, in a read-only transaction, and where the tenant is not known';
COMMENT ON TABLE csm_private.secrets IS 'Random keys of this database; not part of a dump';
COMMENT ON COLUMN csm_private.secrets.name IS 'What the key is for';
COMMENT ON COLUMN csm_private.secrets.value IS '256 random bits';
COMMENT ON TABLE csm_private.attempts IS 'Counters of attempts, outside transactions; read and written by csm_private.attempt() only. Not part of a dump';
COMMENT ON COLUMN csm_private.attempts.tag IS 'Keyed hash of kind and key; 0 for a row not used yet';
COMMENT ON COLUMN csm_private.attempts.free_at IS 'Rate: when nothing is counted any more; back-off: end of the pause';
COMMENT ON COLUMN csm_private.attempts.expires_at IS 'From when on the row is free for another key';
COMMENT ON COLUMN csm_private.attempts.count IS 'Back-off: attempts so far';
COMMENT ON FUNCTION csm_private.attempt(text, text, integer, interval, interval) IS
'Counts an attempt of this kind by this key, whether or not the transaction commits; false when it is one too many, which is then not counted. longest NULL: so many in a period. Else back-off: after so many a pause of one period, doubled by each further attempt up to longest, forgotten when nothing happened for longest. Errors 22004 for NULL, 22023 for values out of range, 25006 on a standby';
COMMENT ON FUNCTION csm_private.attempt_forgive(text, text, integer, interval, interval) IS
'The attempt just counted was a good one: a rate gets it back, a back-off begins anew. Arguments as those of csm_private.attempt()';
COMMENT ON FUNCTION csm_private.sign_in_as(bigint, boolean, timestamptz, bigint) IS
'Makes the transaction (local) or the session that person''s, for statements that start before until; NULL: nobody''s. For functions that have checked the proof; asks nothing. Error 22004 when local is null';
COMMENT ON FUNCTION csm_private.new_token() IS
'256 random bits in base64url, 43 characters. Stored as csm_private.token_hash() only';
COMMENT ON FUNCTION csm_private.token_hash(text) IS
'SHA-256 of a token: what is stored and looked up. Enough for 256 random bits, never for a password';
COMMENT ON TABLE csm.identity_providers IS 'OpenID Connect providers of the tenant: what their ID tokens must be like, and who their subjects are';
COMMENT ON COLUMN csm.identity_providers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_providers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_providers.name IS 'Name that people read';
COMMENT ON COLUMN csm.identity_providers.issuer IS 'The claim iss, to the letter';
COMMENT ON COLUMN csm.identity_providers.audience IS 'The client id of the portal: must be in the claim aud, and be azp where that is given or aud names several';
COMMENT ON COLUMN csm.identity_providers.algorithms IS 'Signature algorithms accepted (RFC 7518); a key narrows them to what it can verify';
COMMENT ON COLUMN csm.identity_providers.clock_skew IS 'How far the clocks may differ for exp, iat and nbf; at most ten minutes';
COMMENT ON COLUMN csm.identity_providers.require_nonce IS 'True: csm.sign_in() must be given the nonce of the request';
COMMENT ON COLUMN csm.identity_providers.single_use IS 'True: a token must have a jti and is good for one sign-in; for portals that go on with a session of csm';
COMMENT ON COLUMN csm.identity_providers.subject_claim IS 'Claim that names the person for good: sub; oid for Microsoft Entra';
COMMENT ON COLUMN csm.identity_providers.claims IS 'Column of csm.users to the claim it is filled from when a person is made; external_id also serves link_by';
COMMENT ON COLUMN csm.identity_providers.trust_email IS 'True: the e-mail is believed without the claim email_verified, because the provider gives out the addresses itself';
COMMENT ON COLUMN csm.identity_providers.link_by IS 'An unknown subject is the known person with this e-mail (verified) or external_id; NULL: never';
COMMENT ON COLUMN csm.identity_providers.create_as IS 'An unknown subject becomes a person without persona (person), an employee, a consumer, or a contact of create_account_id; NULL: he is refused';
COMMENT ON COLUMN csm.identity_providers.create_account_id IS 'Account of the contacts that are made; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.create_role IS 'Their role; NULL unless create_as is contact';
COMMENT ON COLUMN csm.identity_providers.enabled IS 'False: its tokens are refused';
COMMENT ON COLUMN csm.identity_providers.created_at IS 'When the row was made';
COMMENT ON POLICY identity_providers_all ON csm.identity_providers IS 'Administrators keep the providers; issuer, audience and subject claim stay what they are, because identities stand on them';
COMMENT ON TABLE csm.identity_provider_keys IS 'Public keys of the providers, kept by csm.set_provider_keys()';
COMMENT ON COLUMN csm.identity_provider_keys.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.identity_provider_keys.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.identity_provider_keys.provider_id IS 'The provider';
COMMENT ON COLUMN csm.identity_provider_keys.kid IS 'Name of the key in the header of a token; NULL when it has none';
COMMENT ON COLUMN csm.identity_provider_keys.jwk IS 'The key as a JSON Web Key (RFC 7517), public members only';
COMMENT ON COLUMN csm.identity_provider_keys.algorithms IS 'What it may verify: by type and curve, or the one that the key names';
COMMENT ON COLUMN csm.identity_provider_keys.created_at IS 'When it was set';
COMMENT ON POLICY identity_provider_keys_select ON csm.identity_provider_keys IS 'Administrators see the keys';
COMMENT ON TABLE csm.external_identities IS 'Who the subjects of the providers are; a person may have one at each of several';
COMMENT ON COLUMN csm.external_identities.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.external_identities.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.external_identities.provider_id IS 'The provider';
COMMENT ON COLUMN csm.external_identities.subject IS 'What the provider calls the person, to the letter';
COMMENT ON COLUMN csm.external_identities.user_id IS 'The person';
COMMENT ON COLUMN csm.external_identities.created_at IS 'When they were linked';
COMMENT ON POLICY external_identities_select ON csm.external_identities IS 'One''s own; administrators, all';
COMMENT ON POLICY external_identities_insert ON csm.external_identities IS 'Administrators link subjects';
COMMENT ON POLICY external_identities_delete ON csm.external_identities IS 'Administrators unlink them';
COMMENT ON TABLE csm.spent_tokens IS 'Tokens of single_use providers that were used, until they would have expired; nobody but csm reads it';
COMMENT ON COLUMN csm.spent_tokens.provider_id IS 'The provider';
COMMENT ON COLUMN csm.spent_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.spent_tokens.token_hash IS 'SHA-256 of the claim jti';
COMMENT ON COLUMN csm.spent_tokens.expires_at IS 'When the token ends, clock skew included';
COMMENT ON FUNCTION csm_private.audit_identity() IS
'AFTER trigger of providers and identities: a row of the audit log for each change. Argument: beginning of the kind';
COMMENT ON FUNCTION csm_private.key_algorithms(text) IS
'Signature algorithms that a JSON Web Key can verify, or why it must not be used: one of the two is NULL';
COMMENT ON FUNCTION csm.set_provider_keys(bigint, jsonb) IS
'Makes these the keys of the provider, a JSON Web Key Set (RFC 7517), and returns how many can be used; keys for encryption and of unknown types are passed over, what is not in the set any more is accepted no longer. Errors: 42501 no such provider in the administrator''s tenant; 22023 no key set, no usable key, a name twice, a private or symmetric key';
COMMENT ON FUNCTION csm_private.adopt_subject(bigint, text, bigint, jsonb) IS
'Who an unknown subject of a verified token is: a known person by link_by, or a new one by create_as; else why he is refused. Raises nothing that claims could cause';
COMMENT ON FUNCTION csm_private.spend_token(bigint, bigint, text, timestamptz) IS
'True for the first use of a token, whether or not the transaction of that use commits';
COMMENT ON FUNCTION csm_private.record_refusal(bigint, text, text, bigint, bigint) IS
'Writes why somebody was not signed in: at most a thousand rows an hour for each person, and for nobody in particular';
COMMENT ON FUNCTION csm.sign_in(text, boolean, text) IS
'Signs in with the token of a session or API key that csm issued, or an ID token of a provider of the visitor''s tenant (csm.tenant): for the transaction, or with local false for the connection until the token ends. nonce: the one that the portal sent with its request, if it did. status is signed_in, or refused, which leaves nobody signed in and says no more; csm.audit_log has the reason. Raises nothing for what a token may contain';
COMMENT ON TABLE csm.mail_senders IS 'Persons, as a rule technical ones, as whom a sender process may fetch mail of the tenant; kept by csm.allow_mail_sender()';
COMMENT ON COLUMN csm.mail_senders.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_senders.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_senders.created_at IS 'Since when';
COMMENT ON POLICY mail_senders_select ON csm.mail_senders IS 'Administrators see who may fetch mail';
COMMENT ON TABLE csm.outbox IS 'Messages that wait for a sender process; read through csm.next_mail(), deleted when acknowledged or expired';
COMMENT ON COLUMN csm.outbox.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.outbox.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.outbox.kind IS 'Which template: README lists them with their payloads';
COMMENT ON COLUMN csm.outbox.recipient IS 'One e-mail address';
COMMENT ON COLUMN csm.outbox.user_id IS 'The person it is for; NULL when he has no row yet';
COMMENT ON COLUMN csm.outbox.language IS 'Language tag for the template';
COMMENT ON COLUMN csm.outbox.payload IS 'What the template fills in, a JSON object; token is a single-use secret';
COMMENT ON COLUMN csm.outbox.created_at IS 'When it was written';
COMMENT ON COLUMN csm.outbox.expires_at IS 'From then on it is deleted instead of handed out; NULL: never';
COMMENT ON COLUMN csm.outbox.claimed_until IS 'Not handed out again before, unless acknowledged; NULL: never handed out';
COMMENT ON COLUMN csm.outbox.attempts IS 'How often it was handed out';
COMMENT ON FUNCTION csm_private.send_mail(bigint, text, text, bigint, text, jsonb, timestamptz) IS
'Puts a message into the outbox; error 23514 for what is not one plain address';
COMMENT ON FUNCTION csm.allow_mail_sender(bigint, boolean) IS
'Lets a sender process that is signed in as this person fetch mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';
COMMENT ON FUNCTION csm_private.sender_tenant() IS
'Tenant whose mail the caller sends; NULL for the system, which sends everybody''s. Error 42501 for anybody else';
COMMENT ON FUNCTION csm.next_mail(integer, interval) IS
'Messages to be sent, the oldest first: each to one caller at a time, again when the lease has passed without csm.acknowledge_mail(). Commit before sending. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm.acknowledge_mail(bigint[]) IS
'Says that messages were sent, or are to be given up; deletes them and returns how many there were. Callers as csm.next_mail(). Error 42501';
COMMENT ON TABLE csm.password_policies IS 'What the tenant demands of passwords and of those who try them; without a row the defaults hold';
COMMENT ON COLUMN csm.password_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_policies.allowed IS 'False: nobody signs in with a password';
COMMENT ON COLUMN csm.password_policies.minimum_length IS 'Characters';
COMMENT ON COLUMN csm.password_policies.free_attempts IS 'Wrong passwords of one login until the first pause';
COMMENT ON COLUMN csm.password_policies.first_pause IS 'How long the login is then locked; each further wrong password doubles it';
COMMENT ON COLUMN csm.password_policies.longest_pause IS 'And never longer; without an attempt for so long all is forgotten';
COMMENT ON COLUMN csm.password_policies.source_attempts IS 'Wrong passwords and reset requests from one source in source_period';
COMMENT ON COLUMN csm.password_policies.source_period IS 'See source_attempts';
COMMENT ON COLUMN csm.password_policies.reset_valid IS 'How long the token of a reset is good';
COMMENT ON POLICY password_policies_all ON csm.password_policies IS 'Administrators';
COMMENT ON TABLE csm.denied_passwords IS 'Passwords that nobody of the tenant may choose: lists of leaked ones, the name of the company; COPY into it';
COMMENT ON COLUMN csm.denied_passwords.password IS 'In lower case; upper and lower case do not count';
COMMENT ON COLUMN csm.denied_passwords.tenant_id IS 'Tenant of the row';
COMMENT ON POLICY denied_passwords_all ON csm.denied_passwords IS 'Administrators';
COMMENT ON TABLE csm.passwords IS 'Who can sign in with a password; no role reads or writes it';
COMMENT ON COLUMN csm.passwords.user_id IS 'The person';
COMMENT ON COLUMN csm.passwords.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.passwords.hash IS 'Argon2id with salt and cost, as libsodium writes it';
COMMENT ON COLUMN csm.passwords.must_change IS 'True: good for nothing but csm.change_password()';
COMMENT ON COLUMN csm.passwords.changed_at IS 'When it was set';
COMMENT ON TABLE csm.password_resets IS 'Who may set a password with the token that he was sent: one at a time, a newer token replaces it; no role reads it';
COMMENT ON COLUMN csm.password_resets.user_id IS 'The person';
COMMENT ON COLUMN csm.password_resets.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.password_resets.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm.password_resets.expires_at IS 'From when on it is good for nothing';
COMMENT ON FUNCTION csm_private.password_hash(text) IS
'Argon2id with a new salt: 64 MB of memory, some 60 ms, at most eight at a time in a database';
COMMENT ON FUNCTION csm_private.password_matches(text, text) IS
'Is it the password of the hash? Hash NULL: false, after the same time';
COMMENT ON FUNCTION csm_private.password_outdated(text) IS
'Was the hash made at another cost than new ones?';
COMMENT ON FUNCTION csm_private.password_text(text) IS
'What is hashed of a password: Unicode in form NFKC; of what is too long to be one, the beginning';
COMMENT ON FUNCTION csm_private.password_policy(bigint) IS
'The policy of the tenant, or the defaults';
COMMENT ON FUNCTION csm_private.common_passwords() IS
'Passwords denied to everybody, in lower case, beside csm.denied_passwords';
COMMENT ON FUNCTION csm_private.password_fault(bigint, bigint, text) IS
'Why the person may not choose this password: too_short, too_long (1,000 characters), denied; NULL: he may. user_id NULL: nothing of the person is compared';
COMMENT ON FUNCTION csm_private.set_password(bigint, bigint, text, boolean) IS
'Stores the password of a person; asks nothing, tokens of resets end. The caller has looked at csm_private.password_fault()';
COMMENT ON FUNCTION csm_private.source_of(text) IS
'Where a request comes from: what a trusted backend says, else the address of the connection';
COMMENT ON FUNCTION csm_private.person_of_login(bigint, text) IS
'The person with this e-mail, else with this external id; NULL for none';
COMMENT ON FUNCTION csm_private.try_password(bigint, bigint, text, text) IS
'Is it the password of the person? Counts the attempt before it looks. refusal NULL: yes; else source_limit, locked, wrong_password, no_password (of a person who has none, is disabled or unknown, or where passwords are not allowed)';
COMMENT ON FUNCTION csm.sign_in_password(text, text, text, boolean) IS
'Signs a person of the visitor''s tenant (csm.tenant) in by e-mail or external id and password, for the transaction or with local false for the session. source: the visitor''s address, from a backend that stands between. status: signed_in; must_change: right, but only csm.change_password() is open to him; refused, which leaves nobody signed in and says no more. Pass the password as a bind parameter';
COMMENT ON FUNCTION csm.change_password(text, text, text, text) IS
'Sets another password: of the signed-in person, or, when nobody is signed in, of the person with that login (who must change it first). status: changed; refused (current password wrong, login locked); too_short, too_long, denied, unchanged (new password). Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.issue_password_reset(bigint, bigint, text, interval) IS
'Sends the person, to his address on record, a token with which he sets his password once; an earlier one ends. kind: the template. valid NULL: as the policy says. False when he is unknown, disabled or has no address; asks nothing else';
COMMENT ON FUNCTION csm.request_password_reset(text, text) IS
'Sends a person who has a password a token to set another one. status is always accepted, whether or not somebody is known by that login, and where too many were asked for: three an hour for a person, and those of a source';
COMMENT ON FUNCTION csm.reset_password(text, text) IS
'Sets the password with the token of a reset or an invitation, once, and unlocks the login; signs nobody in. status: changed; refused (token unknown, used, replaced or expired); too_short, too_long, denied, which leave the token good. Pass both as bind parameters';
COMMENT ON FUNCTION csm.send_password_reset(bigint) IS
'Sends the person a token to set his password, to his address on record; who had none gets one so. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm.require_password_change(bigint) IS
'The person''s password is good for nothing but csm.change_password() from now on. Staff with person_manage. Error 42501';
COMMENT ON FUNCTION csm_private.directory_fault(jsonb) IS
'What is wrong with an element given to csm.upsert_users(), taken by itself; NULL: nothing';
COMMENT ON FUNCTION csm_private.upsert_user(bigint, jsonb) IS
'One element of csm.upsert_users() in which csm_private.directory_fault() finds nothing: outcome created, updated, unchanged or rejected, the person, and why rejected';
COMMENT ON FUNCTION csm.upsert_users(jsonb, boolean) IS
'Makes and updates people by external_id: objects with external_id, display_name, email, language, time_zone, phone, title, enabled, location, employee, department; a key left out changes nothing. A row for each with outcome created, updated, unchanged or rejected and the reason; deactivate_missing disables enabled people who have an external_id that is not named (never the caller), outcome deactivated. Administrators. Errors: 42501; 22023 no array, or an empty one with deactivate_missing; 23505 where somebody else takes an e-mail at the same moment: nothing is done then, repeat it';
COMMENT ON FUNCTION csm_private.administers(bigint, bigint) IS
'Whether the caller administers the login of the person: staff with person_manage or configure; with contact_manage only while every persona of the person is a contact in his reach';
COMMENT ON TABLE csm.sessions IS 'Sessions and API keys that csm issued; made by csm.start_session() and csm.create_api_key(), ended by csm.revoke_session() and its like. A row that expired may stand until its person starts another';
COMMENT ON COLUMN csm.sessions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.sessions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.sessions.user_id IS 'The person who signs in by it';
COMMENT ON COLUMN csm.sessions.last_used_at IS 'Last sign-in by it, to the minute; uses on a standby do not count. Written outside transactions';
COMMENT ON COLUMN csm.sessions.kind IS 'session, or key (API key)';
COMMENT ON COLUMN csm.sessions.label IS 'What the person called it; NULL for nothing';
COMMENT ON COLUMN csm.sessions.created_at IS 'When it was made';
COMMENT ON COLUMN csm.sessions.expires_at IS 'Absolute end';
COMMENT ON COLUMN csm.sessions.idle_minutes IS 'A session ends when it was not used for so many minutes; NULL for an API key';
COMMENT ON COLUMN csm.sessions.persona IS 'An API key counts through this persona alone; NULL: through all';
COMMENT ON COLUMN csm.sessions.actions IS 'An API key permits these actions alone, as far as its person holds them; NULL: all';
COMMENT ON POLICY sessions_select ON csm.sessions IS 'One''s own, and those of people whose login one administers';
COMMENT ON TABLE csm_private.session_tokens IS 'How the token of a session or API key is known: the token itself is stored nowhere';
COMMENT ON COLUMN csm_private.session_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.session_tokens.session_id IS 'The session or API key';
COMMENT ON COLUMN csm_private.session_tokens.tenant_id IS 'Its tenant';
COMMENT ON FUNCTION csm_private.sign_in_by_token(text, boolean) IS
'Signs in by the token of a session or API key, for the transaction (local) or the connection; the person, or NULL and nothing done where the token is unknown or has expired. On a standby the absolute end alone counts';
COMMENT ON FUNCTION csm_private.session_setting(bigint, text) IS
'A setting of the tenant: session_idle_minutes (30), session_hours (12), api_key_days (365; 0: no API keys); what is no number counts as not set, what is out of range as the nearest';
COMMENT ON FUNCTION csm_private.add_session(text, text, timestamptz, text, text[], text) IS
'A row of csm.sessions for the signed-in person, and its token; error 42501 when he was disabled meanwhile';
COMMENT ON FUNCTION csm.start_session(text) IS
'A token by which the signed-in person can sign in (csm.sign_in()) until the session ends: 256 random bits, told once, stored as a hash. A person has at most 100 sessions. Errors: 42501 nobody, by an API key or for another; 22023 label too long; 25006 on a standby';
COMMENT ON FUNCTION csm.create_api_key(text, text, text[], timestamptz) IS
'A token for an integration, which signs in as the caller by csm.sign_in(): through one persona and for some actions only where given; with what the caller may at the time of use, never more. Ends after 90 days or as given, at most the tenant''s api_key_days. Told once, stored as a hash. Errors: 42501 nobody, by an API key, for another, another''s persona, keys forbidden; 22023 name, actions or end; SM007 more than 50';
COMMENT ON FUNCTION csm_private.end_sessions(bigint, bigint, boolean) IS
'Ends the sessions of a person, keys: his API keys as well; how many. For functions that change a login';
COMMENT ON FUNCTION csm.revoke_session(bigint) IS
'Ends a session or API key (csm.sessions.id) at once, open transactions included: one''s own, or of a person whose login one administers. False where there is none, another''s alike. Error 42501: nobody, by an API key or for another';
COMMENT ON FUNCTION csm.revoke_all_sessions(bigint, boolean) IS
'Ends all sessions of the person, by default the caller, and his API keys unless keys is false; how many. The one that the caller uses ends too. Error 42501: nobody, by an API key, for another, or a person whose login he does not administer, missing ones alike';
COMMENT ON FUNCTION csm_private.login_ends() IS
'Trigger of csm.users and csm.contacts: sessions and API keys end when the person is disabled, or the login of his last persona. Argument: the column that names the person';
COMMENT ON FUNCTION csm_private.set_behalf(bigint) IS
'The signed-in person acts for that one until the transaction ends; NULL lifts it. Asks nothing: whether he may shows in his rights';
COMMENT ON FUNCTION csm.on_behalf_of(bigint) IS
'Until the transaction ends the caller acts for that person: with that person''s rights as a customer, in the branches where the caller holds act_for and contact_read, and of the actions those that the caller himself holds there with reach all. Entries, history and events name both. NULL, or oneself, lifts it. Error 42501: nobody, without act_for, no such person, disabled or of another tenant';
COMMENT ON FUNCTION csm.on_behalf_of() IS
'For whom the caller acts (csm.users.id); NULL for himself';
COMMENT ON TABLE csm_private.captcha_used IS 'Challenges that were solved and used, until they expire; not part of a dump, as their key is not';
COMMENT ON COLUMN csm_private.captcha_used.tenant_id IS 'Tenant whose challenge it was';
COMMENT ON COLUMN csm_private.captcha_used.challenge IS 'The challenge, 32 bytes';
COMMENT ON COLUMN csm_private.captcha_used.expires_at IS 'From then on the row is not needed any more';
COMMENT ON FUNCTION csm_private.altcha_challenge(bytea, integer, timestamptz) IS
'A new signed challenge as JSON text; error 22023 for a key shorter than 32 bytes, a max_number below 1 or an expiry before 1970';
COMMENT ON FUNCTION csm_private.altcha_solved(bytea, text, bigint, text, text) IS
'Until when a challenge may be used, NULL unless it was signed with the key and the number solves it. Knows neither the clock nor what was used already';
COMMENT ON FUNCTION csm_private.captcha_setting(jsonb, text) IS
'max_number (the greatest number to try; 100000) or minutes (for which a challenge counts; 20) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.captcha_key(bigint) IS 'Key that signs the challenges of a tenant';
COMMENT ON FUNCTION csm.captcha_challenge() IS
'A challenge as the ALTCHA widget expects it from its challenge URL: algorithm, challenge, maxnumber, salt, signature. Nothing is stored. NULL where the tenant is not known';
COMMENT ON FUNCTION csm_private.use_captcha(bigint, text) IS
'Whether the payload of the widget (JSON in base64) solves a challenge of the tenant that is neither expired nor used; it is used then';
COMMENT ON FUNCTION csm_private.captcha_passed(bigint, text, text) IS
'Whether the captcha is passed: by the function that csm.captcha_verifier names, else by csm''s proof of work; always where the tenant''s settings say {"captcha": {"required": false}}';
COMMENT ON FUNCTION csm_private.role_within(bigint, text) IS
'Whether the role permits a contact of the account nothing that the caller, who manages its contacts, may not do there himself. True for staff with account_manage; false for nobody and where he does not manage them';
COMMENT ON TABLE csm.account_domains IS 'E-mail domains of accounts: who proves an address there may ask that account to take him in';
COMMENT ON COLUMN csm.account_domains.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.account_domains.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.account_domains.account_id IS 'The account';
COMMENT ON COLUMN csm.account_domains.domain IS 'Part of an address after the @, in lower case; subdomains are domains of their own';
COMMENT ON COLUMN csm.account_domains.verified_at IS 'When staff made sure that the domain is the company''s; NULL: not yet, and it counts for nothing';
COMMENT ON COLUMN csm.account_domains.created_at IS 'When the row was made';
COMMENT ON POLICY account_domains_select ON csm.account_domains IS 'Who manages contacts of the account; staff with account_manage';
COMMENT ON POLICY account_domains_write ON csm.account_domains IS 'Staff with account_manage: a customer does not vouch for himself';
COMMENT ON TABLE csm_private.registration_codes IS 'The registration code of an account, as a hash; the audit log says who made it';
COMMENT ON COLUMN csm_private.registration_codes.account_id IS 'The account';
COMMENT ON COLUMN csm_private.registration_codes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_codes.code_hash IS 'As csm_private.code_hash() makes it';
COMMENT ON COLUMN csm_private.registration_codes.created_at IS 'When the code was made';
COMMENT ON TABLE csm.registrations IS 'Requests of strangers to become a consumer or a contact, and invitations; written by functions only';
COMMENT ON COLUMN csm.registrations.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.registrations.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.registrations.kind IS 'consumer, contact (he asked) or invitation (he was asked)';
COMMENT ON COLUMN csm.registrations.state IS 'pending, requested, approved, rejected or no_longer_required; which may follow which is enforced';
COMMENT ON COLUMN csm.registrations.email IS 'Address as given';
COMMENT ON COLUMN csm.registrations.email_key IS 'Address as csm.users.email_key';
COMMENT ON COLUMN csm.registrations.display_name IS 'Name as given; of a person who is known already nothing is changed';
COMMENT ON COLUMN csm.registrations.language IS 'Language of his mail, and his own if he is new';
COMMENT ON COLUMN csm.registrations.terms IS 'Which terms he accepted; NULL: none were put to him';
COMMENT ON COLUMN csm.registrations.account_id IS 'Account to which he wants; NULL for consumers, and while staff have to find out';
COMMENT ON COLUMN csm.registrations.role IS 'Role that he gets; NULL until it is decided';
COMMENT ON COLUMN csm.registrations.route IS 'What led to the account: code, domain, invitation or staff; NULL while none is known';
COMMENT ON COLUMN csm.registrations.invited_by IS 'Who invited him; NULL where he asked himself';
COMMENT ON COLUMN csm.registrations.created_at IS 'When he registered or was invited';
COMMENT ON COLUMN csm.registrations.confirmed_at IS 'When he proved that the address is his; NULL: not yet';
COMMENT ON COLUMN csm.registrations.decided_at IS 'When it ended; NULL while open';
COMMENT ON COLUMN csm.registrations.decided_by IS 'Who decided; NULL where nobody had to';
COMMENT ON COLUMN csm.registrations.reason IS 'Reason of a rejection; it is mailed to him';
COMMENT ON COLUMN csm.registrations.user_id IS 'The person who has the persona now; NULL unless approved';
COMMENT ON POLICY registrations_select ON csm.registrations IS 'Proven ones and invitations: who manages contacts of the account, staff with account_manage (consumers: person_manage); one''s own';
COMMENT ON TABLE csm_private.registration_tokens IS 'The token by which a registration goes on, as a hash; gone when used';
COMMENT ON COLUMN csm_private.registration_tokens.registration_id IS 'The registration';
COMMENT ON COLUMN csm_private.registration_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.registration_tokens.purpose IS 'confirm: proves the address; invite: accepts an invitation';
COMMENT ON COLUMN csm_private.registration_tokens.token_hash IS 'As csm_private.token_hash() makes it';
COMMENT ON COLUMN csm_private.registration_tokens.expires_at IS 'From then on it is of no use';
COMMENT ON FUNCTION csm_private.guard_registration() IS
'Which state of a registration may follow which; error 55000';
COMMENT ON FUNCTION csm_private.registration_setting(jsonb, text) IS
'per_source (registrations of a source in an hour; 20), per_email (mails to an address in a day; 5), per_account (requests, and invitations, of an account in a day; 50), confirm_hours (48) or invite_days (14; how long tokens live) from the settings of a tenant';
COMMENT ON FUNCTION csm_private.contact_managers(bigint, bigint) IS
'Contacts who manage the contacts of an account: its own administrators, those of its ancestors, those of partners that administer it';
COMMENT ON FUNCTION csm_private.manages_contacts(bigint) IS
'Whether the caller manages the contacts of the account, as its administrator or as staff; NULL for a missing account';
COMMENT ON FUNCTION csm_private.may_assign_role(bigint, text) IS
'Whether the caller may give a contact of the account this role (R A14). Staff with account_manage: any contact role. Who manages its contacts: one that the tenant''s settings list (assignable_roles; by default customer, customer_admin, partner, partner_admin) and that is not above his own, as csm_private.role_within() says';
COMMENT ON FUNCTION csm_private.is_address(text) IS 'Whether mail can be sent there; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_name(text) IS 'Whether it can be a person''s name; NULL for NULL';
COMMENT ON FUNCTION csm_private.is_language(text) IS 'Whether it is a language tag as csm.users takes it; NULL for NULL';
COMMENT ON FUNCTION csm_private.code_hash(bigint, text) IS
'SHA-256 of a registration code within its tenant; case, blanks and hyphens do not count, O is read as 0, I and L as 1';
COMMENT ON FUNCTION csm_private.issue_registration_token(csm.registrations, text, timestamptz) IS
'Makes the token by which a registration goes on, and the timer that ends it; the caller mails it';
COMMENT ON FUNCTION csm_private.mail_registration(csm.registrations, text, jsonb, timestamptz) IS
'Mails something to whom a registration is about; the account''s name only where he is taken in, rejected or invited';
COMMENT ON FUNCTION csm_private.lock_registration(csm.registrations) IS
'Locks a registration and what else is open for its address; the row as it is then';
COMMENT ON FUNCTION csm_private.claim_registration(text, text) IS
'The registration whose unexpired token this is, locked; NULL for any other token';
COMMENT ON FUNCTION csm_private.end_registration_token(csm.registrations) IS 'Takes back the token of a registration and its timer';
COMMENT ON FUNCTION csm_private.person_of(csm.registrations) IS
'The person of the address, locked; made where nobody has it';
COMMENT ON FUNCTION csm_private.add_contact(bigint, bigint, bigint, text) IS
'Makes the person, whose row is locked, a contact of the account; false where he is one already';
COMMENT ON FUNCTION csm_private.decide_registration(csm.registrations, text, bigint, text) IS
'Ends a registration, whose row is locked, and where it is approved the other open ones of the same address for the same account';
COMMENT ON FUNCTION csm_private.request_registration(csm.registrations) IS
'Puts a proven registration before the administrators of its account and mails them';
COMMENT ON FUNCTION csm_private.is_superfluous(csm.registrations) IS
'Whether the person of the address is a contact of the account already, or another request of his is before its administrators';
COMMENT ON FUNCTION csm_private.still_manages(bigint, bigint, bigint) IS
'Whether the person, who need not be signed in, manages the contacts of the account now';
COMMENT ON FUNCTION csm_private.has_credentials(csm.users) IS
'Whether the person signs in somehow already, or comes from a directory that will let him: then registering gives him no password';
COMMENT ON FUNCTION csm_private.first_password_fault(csm.registrations, text) IS
'As csm_private.password_fault(), for somebody who is no person yet; NULL for no password';
COMMENT ON FUNCTION csm_private.complete_registration(csm.registrations, text) IS
'Gives the person of a proven address the persona, and a password where he has no credentials; false where he is disabled, and nothing is given';
COMMENT ON FUNCTION csm_private.forward_registration(csm.registrations) IS
'Puts a proven request before the administrators of its account, or leaves it pending for staff';
COMMENT ON FUNCTION csm_private.refuse_registration(bigint, text, text, bigint, text) IS
'Records why something was refused, at most a thousand times an hour for each person and for visitors together, and returns refused';
COMMENT ON FUNCTION csm_private.begin_registration(text, text, text, text, text, text, text, text) IS
'Writes a pending registration and the mail that proves its address; accepted, or refused for malformed or missing values, terms not accepted, a captcha not passed, or too many';
COMMENT ON FUNCTION csm.register_consumer(text, text, text, text, text, text) IS
'A visitor asks to become a consumer. accepted: a mail with a token went to the address, whoever has it; refused: malformed, captcha not passed, terms of the tenant not accepted, or too many from this source or to this address. captcha: payload of the widget; source: address of the visitor, where a backend stands between (NULL: that of the connection); terms: those he accepted. Raises nothing';
COMMENT ON FUNCTION csm.register_contact(text, text, text, text, text, text, text) IS
'A visitor asks to become a contact of the account whose registration code he gives, or without one of the account to which the domain of his address belongs. Once he has proven the address the administrators of the account are asked; staff, where code or domain lead nowhere. Answers and other arguments as csm.register_consumer()';
COMMENT ON FUNCTION csm.confirm_registration(text, text) IS
'Proves the address of a registration with the token that was mailed there. A consumer is one from then on; a known person gets the persona, nothing else about him changes. password: the first one of a consumer who has no credentials; NULL for who signs in through a provider. A contact''s request goes to those who decide, with the same answer wherever it goes. status: confirmed; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used or expired. Pass both as bind parameters';
COMMENT ON FUNCTION csm.accept_invitation(text, text) IS
'Accepts an invitation with the token that was mailed: the person of that address, made where nobody has it, becomes a contact of the account. password: his first one, where he has no credentials; NULL for who signs in through a provider. status: accepted; too_short, too_long, denied (password), which leave the token good; refused: token unknown, used, expired or withdrawn. Pass both as bind parameters';
COMMENT ON FUNCTION csm_private.claim_decision(bigint) IS
'A proven request of a contact, or an invitation, that the caller may decide, its row locked; NULL for a missing and a hidden one';
COMMENT ON FUNCTION csm.approve_registration(bigint, text) IS
'Makes whoever asked a contact of the account with that role, and mails him; without credentials he gets a second mail, with a token for csm.reset_password(). One approval suffices: a second one changes nothing. For who manages contacts of the account, and staff with account_manage. status: approved; no_longer_required when he is a contact there already; refused (recorded): no such registration, or a role that is not the caller''s to give. Error 55000 when it is neither requested nor approved';
COMMENT ON FUNCTION csm.reject_registration(bigint, text) IS
'Rejects a request with a reason, which is mailed, or withdraws an invitation. Callers as csm.approve_registration(); of requests without an account, staff. status: rejected, or refused (recorded): no such registration. Errors: 22023 no reason, 55000 decided already';
COMMENT ON FUNCTION csm.assign_registration(bigint, bigint) IS
'Staff say which account a request is for that led nowhere; its administrators are asked then. status: requested; no_longer_required when he is a contact there already; refused (recorded): no such registration or active account, or not staff with account_manage. Error 55000 when it is not pending';
COMMENT ON FUNCTION csm.invite_contact(bigint, text, text, text, text) IS
'Invites somebody to become a contact of the account: a mail with a token goes to the address, whoever has it. For who manages contacts of the account, and staff with account_manage; csm.reject_registration() withdraws it. status: invited, or refused (recorded): no such active account of his, or a role that is not his to give. Errors: 22023 malformed e-mail, name or language; SM007 too many';
COMMENT ON FUNCTION csm.rotate_registration_code(bigint, boolean) IS
'A new registration code for the account, shown this once; the one before counts no more, but for registrations begun with it. withdraw: no code from now on. For who manages contacts of the account, and staff with account_manage. status: rotated, withdrawn, or refused (recorded): no such account of his';
COMMENT ON FUNCTION csm_private.due_registration(bigint, bigint, timestamptz) IS
'When the token of a registration has expired: what was never proven is deleted, an invitation ends as no_longer_required';
COMMENT ON FUNCTION csm_private.audit_contacts() IS
'Trigger of csm.contacts: what somebody signed in changes is audited as contact_added, contact_removed, contact_moved, contact_role_changed, contact_login_enabled, contact_login_disabled or contact_validity_changed';
COMMENT ON FUNCTION csm_private.audit_user_roles() IS
'Trigger of csm.user_roles: what somebody signed in changes is audited as staff_role_added, staff_role_changed or staff_role_removed';
COMMENT ON FUNCTION csm_private.contact_to_administer(bigint) IS
'The contact, where the caller may administer it: not himself, in an account whose contacts he manages, with a role not above his own; else NULL';
COMMENT ON FUNCTION csm_private.person_in_reach(bigint) IS
'Whether every persona of the person, present or to come, is one that the caller may administer; staff with person_manage: always. False for himself';
COMMENT ON FUNCTION csm_private.refuse_administration(text, bigint, jsonb) IS
'Records a refusal, in the account only where the caller manages it, and returns refused';
COMMENT ON FUNCTION csm_private.limit_contact_mail(bigint) IS 'SM007 when administrators of the account had more than 100 mails sent in a day';
COMMENT ON FUNCTION csm.add_contact(bigint, text, text, text, text, text, text, text) IS
'Adds a contact to an account whose contacts the caller manages, with one of the assignable roles that is not above his own: a person of his own who counts at once, for cases on his behalf. An e-mail address becomes his when it has answered (csm.confirm_email()); if somebody has it already, the two become one then, and until then nothing tells. status: added, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.set_contact_login(bigint, boolean) IS
'Switches what this contact may do for his account off or on, from the next statement of every session on; the person''s other personas stay. Returns done, or refused (recorded): not the caller''s to administer, or himself';
COMMENT ON FUNCTION csm.set_contact_role(bigint, text) IS
'Gives a contact another of the assignable roles, none above the caller''s own; a contact always has one. Returns done, or refused (recorded): no such contact of his, himself, a role that is not his to give';
COMMENT ON FUNCTION csm.end_contact(bigint) IS
'Ends a contact''s membership of the account now; his row and his cases stay. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm.update_contact(bigint, text, text, text, text, text, text) IS
'Asks for a change of the person behind a contact; the empty string empties phone and title. Done while every persona of that person is the caller''s to administer, a new e-mail address when it has answered; else the person is asked, at his address on record, to do it himself. Returns accepted either way, or refused (recorded). Errors: 22023 what cannot stand in a profile, SM007 too many mails';
COMMENT ON FUNCTION csm.send_credentials(bigint) IS
'Sends a contact, to his address on record, a token to set his password (csm.reset_password()), his first one too. Nobody else learns it or sets it. Returns sent, also where he has no address, or refused (recorded): not the caller''s to administer, or the tenant has no passwords. Error SM007 too many mails';
COMMENT ON FUNCTION csm.colleagues(bigint) IS
'The directory: the current contacts of accounts in which the caller is one himself, where accounts.directory_visible is on; NULL for all of his accounts. No row elsewhere, for a hidden and a missing account alike';
COMMENT ON FUNCTION csm.show_directory(bigint, boolean) IS
'Switches accounts.directory_visible: whether contacts of the account may list one another. Returns done, or refused (recorded)';
COMMENT ON FUNCTION csm_private.merge_ranges() IS
'Tables in which a person has one row at a time, and what else the rows are told apart by';
COMMENT ON FUNCTION csm_private.given_up(text, jsonb) IS 'A row as csm.user_merges keeps it: without what is secret';
COMMENT ON FUNCTION csm_private.give_up_duplicates(regclass, text, bigint, bigint) IS
'Deletes rows that refer to the one where a unique index allows no second beside that of the other, and returns them; of rows that differ by idempotency_key only the key is taken';
COMMENT ON FUNCTION csm_private.repoint(regclass, bigint, bigint) IS
'Makes every row of csm''s own tables that refers to the one row of the target refer to the other; returns what was given up';
COMMENT ON FUNCTION csm_private.trim_ranges(bigint, bigint) IS
'Where both persons have a row at a time at which one can be, leaves of the one''s what lies outside the other''s; returns the rows as they were';
COMMENT ON FUNCTION csm_private.widen_rights(bigint, bigint) IS
'Gives rows of the kept person what the other''s rows for the same account, case or item permit beyond them, where those count for all of the time';
COMMENT ON FUNCTION csm_private.merge_users(bigint, bigint, text, bigint) IS
'Makes the two one; asks nothing. Both are of one tenant';
COMMENT ON FUNCTION csm.merge_users(bigint, bigint, text) IS
'Makes two persons one: everything that refers to the one refers to the other from then on, what is missing of the kept person''s row is filled in, sessions and API keys of the other end, and the other row is gone. Recorded in csm.user_merges, csm.audit_log and the history of each case (action merge). For staff with person_manage; with configure too where either has a staff role. Errors: 42501, 22023 the same person or no reason, 55000 the one to remove has a login role';
COMMENT ON TABLE csm.notification_preferences IS 'Which events a person wants to hear of, and how; what he does not say csm.notification_rules does';
COMMENT ON COLUMN csm.notification_preferences.user_id IS 'The person';
COMMENT ON COLUMN csm.notification_preferences.event IS 'Kind of event (as csm.notification_rules.event); * for every one without a row of its own';
COMMENT ON COLUMN csm.notification_preferences.channel IS 'Way by which he is told, such as email; * for every one without a row of its own. A row that names the event goes before one that names the channel';
COMMENT ON COLUMN csm.notification_preferences.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notification_preferences.enabled IS 'Whether he wants it';
COMMENT ON POLICY notification_preferences_select ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_insert ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_update ON csm.notification_preferences IS 'One''s own';
COMMENT ON POLICY notification_preferences_delete ON csm.notification_preferences IS 'One''s own';
COMMENT ON FUNCTION csm_private.wants_notification(bigint, bigint, text, text) IS
'What the person said about this event on this channel; NULL when nothing, and the default counts';
COMMENT ON TABLE csm_private.email_changes IS 'Addresses that wait to be confirmed';
COMMENT ON COLUMN csm_private.email_changes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.email_changes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.email_changes.user_id IS 'The person';
COMMENT ON COLUMN csm_private.email_changes.email IS 'Address that is to become his';
COMMENT ON COLUMN csm_private.email_changes.token_hash IS 'SHA-256 of the token that was sent there';
COMMENT ON COLUMN csm_private.email_changes.joins IS 'True: the row of a person whom an administrator added; where the address is somebody''s already, the two become one when he confirms';
COMMENT ON COLUMN csm_private.email_changes.created_at IS 'When it was asked for';
COMMENT ON COLUMN csm_private.email_changes.expires_at IS 'Until when the token counts';
COMMENT ON FUNCTION csm_private.ask_for_email(bigint, text, boolean) IS
'Sends a token to the address, which becomes the person''s with csm.confirm_email(); a request before is void. An address of somebody else gets a warning instead, or, where the person was added by an administrator (joins), the question whether he is the same. No check of the caller';
COMMENT ON FUNCTION csm_private.check_profile(text, text, text, text, text, text) IS
'Error 22023 for what cannot stand in a profile; NULL always can';
COMMENT ON FUNCTION csm_private.set_profile(bigint, text, text, text, text, text) IS
'Changes what is given; the empty string empties phone and title. No check of the caller, nor of what is given: csm_private.check_profile()';
COMMENT ON FUNCTION csm.update_profile(text, text, text, text, text, text) IS
'Changes what is given of the caller''s own profile and returns his row; the empty string empties phone and title. A new e-mail address counts after csm.confirm_email() with the token that is sent there. Errors: 42501 nobody, 22023 what cannot stand in a profile, SM007 more than five addresses a day';
COMMENT ON FUNCTION csm.confirm_email(text) IS
'Whoever has the token that was sent to a new address makes it his, signed in or not; single use, three days. A person whom a customer''s administrator added and whose address is somebody''s becomes one with him. Returns confirmed, or refused without saying why. The old address is told';
COMMENT ON TABLE csm_private.mail_tokens IS 'Tokens in mail that was sent: a case on which its reader answers, or an event that he may unsubscribe from';
COMMENT ON COLUMN csm_private.mail_tokens.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm_private.mail_tokens.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm_private.mail_tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN csm_private.mail_tokens.user_id IS 'The person to whom it was sent';
COMMENT ON COLUMN csm_private.mail_tokens.case_id IS 'The case that the mail is about; NULL for a token that unsubscribes';
COMMENT ON COLUMN csm_private.mail_tokens.event IS 'Event to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.channel IS 'Channel to unsubscribe from; NULL for a token of a case';
COMMENT ON COLUMN csm_private.mail_tokens.created_at IS 'When it was first given out';
COMMENT ON FUNCTION csm_private.derived_token(bytea) IS
'The token of a matter: 40 hexadecimal digits that nobody without the key of the database can guess';
COMMENT ON FUNCTION csm_private.mail_token(bigint, bigint) IS
'The token by which an answer of this person on this case is recognised: for Message-ID and Reply-To. Always the same until a restore. No check of the caller, nor of what the person sees';
COMMENT ON FUNCTION csm_private.unsubscribe_token(bigint, bigint, text, text) IS
'The token by which whoever has it lets this person hear no more of the event on the channel: csm.unsubscribe()';
COMMENT ON FUNCTION csm_private.mail_token_target(text) IS
'The case and the person of the first token of csm_private.mail_token() in the text; nulls where there is none. Says nothing about who sent the text';
COMMENT ON TABLE csm.notifications IS 'Who is told of which event, once by each channel. Written by csm.run_due(), deleted after a time (README)';
COMMENT ON COLUMN csm.notifications.id IS 'Identity, unique in the database; tells a repeated message';
COMMENT ON COLUMN csm.notifications.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.notifications.user_id IS 'The person who is told';
COMMENT ON COLUMN csm.notifications.case_id IS 'The case';
COMMENT ON COLUMN csm.notifications.event_id IS 'The event (csm.events.id, no foreign key: events are deleted sooner)';
COMMENT ON COLUMN csm.notifications.kind IS 'What happened: event of csm.notification_rules';
COMMENT ON COLUMN csm.notifications.channel IS 'Way by which he is told; portal is read in place by csm.my_notifications()';
COMMENT ON COLUMN csm.notifications.audience IS 'As csm.events.audience: who besides may know';
COMMENT ON COLUMN csm.notifications.side IS 'As csm.events.side';
COMMENT ON COLUMN csm.notifications.entry_id IS 'The comment that it is about (csm.case_entries.id, no foreign key); NULL for other events';
COMMENT ON COLUMN csm.notifications.state IS 'waiting: for a sender process; sent (in the portal: at once); withheld: when it was to be sent he saw the case no more, wanted no such mail any more, or had no address; failed: given up after ten attempts';
COMMENT ON COLUMN csm.notifications.created_at IS 'When it was made';
COMMENT ON COLUMN csm.notifications.read_at IS 'When he marked it as read; NULL until then';
COMMENT ON COLUMN csm.notifications.claimed_until IS 'Not handed out again before; NULL: never handed out, or done with';
COMMENT ON COLUMN csm.notifications.sent_at IS 'When a sender process said that it was sent; in the portal when it was made';
COMMENT ON COLUMN csm.notifications.attempts IS 'How often it was handed out';
COMMENT ON COLUMN csm.notifications.error IS 'What the sender process said of the last attempt that failed, up to 1,000 characters; NULL for none';
COMMENT ON POLICY notifications_select ON csm.notifications IS 'One''s own, while one sees the case, and what happened there';
COMMENT ON TABLE csm_private.notification_readers IS 'How far csm.run_due() has read the events of each tenant to make notifications';
COMMENT ON COLUMN csm_private.notification_readers.tenant_id IS 'The tenant';
COMMENT ON COLUMN csm_private.notification_readers.position IS 'Position in csm.events up to which notifications were made';
COMMENT ON COLUMN csm_private.notification_readers.since IS 'What happened before is told to nobody';
COMMENT ON COLUMN csm_private.notification_readers.read_at IS 'When it last read; NULL for never';
COMMENT ON FUNCTION csm_private.begin_notifications() IS
'Trigger of csm.notification_rules: with the first rule of a tenant, its events are read by csm.run_due()';
COMMENT ON FUNCTION csm_private.notification_values(bigint, bigint) IS
'Every placeholder of a notification, with what the caller may read there; null for what he may not';
COMMENT ON FUNCTION csm_private.notification_template_guard() IS
'Trigger of csm.notification_templates: error 22023 for an unknown placeholder and for braces that make none';
COMMENT ON FUNCTION csm_private.notification_kinds(text, jsonb) IS
'What an event is for csm.notification_rules, what says most first: assigned and group_assigned for what is new, submitted, approval_requested, declined, info_requested, escalated and ruled by the action, else its kind';
COMMENT ON FUNCTION csm_private.account_readers(bigint, bigint) IS
'Persons who read cases for an account: by their role, or, where no contact''s role says so, all contacts';
COMMENT ON FUNCTION csm_private.notification_recipients(csm.cases, text, text, text[]) IS
'Persons who stand in one of the relations to the case and on a side that the event is for. Whether they see the case is asked when they are told';
COMMENT ON FUNCTION csm_private.make_notifications(bigint, integer) IS
'Makes the notifications of the next events of a tenant, at most so many; returns how many events were read';
COMMENT ON FUNCTION csm_private.due_notify(bigint, bigint, timestamptz) IS
'Handler of timers of kind notify, one a tenant with rules: makes notifications, and deletes what is older than the tenant keeps (setting notifications, keep_days; 90)';
COMMENT ON FUNCTION csm_private.notification_template(text, text) IS
'The words for the signed-in person: of the event before those of all, in his language (exact tag, base) before the tenant''s and English, of the channel before those of all. No row where there are none, and for nobody';
COMMENT ON FUNCTION csm_private.one_line(text) IS
'The text as one line of at most 400 characters, without control characters';
COMMENT ON FUNCTION csm_private.notification_message(jsonb) IS
'language, subject and body of the notification {"id": …} for the person who reads it; NULL where it is not his, or he sees the case or the entry no more, or the tenant has no words for it';
COMMENT ON FUNCTION csm.my_notifications(integer, bigint, boolean) IS
'The caller''s inbox, the newest first, at most limit (up to 1,000) before that id, in his language; unread: only what is not marked as read. Only what he sees now. Words are NULL where the tenant has none';
COMMENT ON FUNCTION csm.mark_read(bigint[]) IS
'Marks these notifications of the caller''s inbox as read, NULL for all; returns how many were unread and are his to see';
COMMENT ON TABLE csm.mail_gateways IS 'Persons, as a rule technical ones, as whom a gateway may hand over mail for the tenant; kept by csm.allow_mail_gateway()';
COMMENT ON COLUMN csm.mail_gateways.user_id IS 'The person';
COMMENT ON COLUMN csm.mail_gateways.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.mail_gateways.created_at IS 'Since when';
COMMENT ON POLICY mail_gateways_select ON csm.mail_gateways IS 'Administrators see who may hand over mail';
COMMENT ON TABLE csm.email_log IS 'Mail that came in and what became of it, a row each; written by csm.receive_email(), the text kept where nothing was done with it';
COMMENT ON COLUMN csm.email_log.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.email_log.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.email_log.received_at IS 'When the gateway received it, or handed it over';
COMMENT ON COLUMN csm.email_log.message_id IS 'Its Message-ID, unique in the tenant; NULL where it had none that could be read';
COMMENT ON COLUMN csm.email_log.from_address IS 'Address of From, in lower case; NULL where there was none that could be read';
COMMENT ON COLUMN csm.email_log.user_id IS 'The person with that address; NULL where nobody had it, or it was not proven';
COMMENT ON COLUMN csm.email_log.status IS 'opened (a case), commented, queued (for staff), refused, ignored (no person wrote it); received only while it is worked on';
COMMENT ON COLUMN csm.email_log.reason IS 'Why nothing was done, as the gateway was told; NULL where something was';
COMMENT ON COLUMN csm.email_log.detail IS 'What the gateway was not told: error and message; NULL for none';
COMMENT ON COLUMN csm.email_log.case_id IS 'The case opened or commented on, or the one that was refused to him; NULL for none';
COMMENT ON COLUMN csm.email_log.entry_id IS 'The entry that it became; NULL for none';
COMMENT ON COLUMN csm.email_log.attached IS 'How many of its attachments were taken';
COMMENT ON COLUMN csm.email_log.not_attached IS 'How many were not: too large, too many, malformed';
COMMENT ON COLUMN csm.email_log.subject IS 'Subject without control and direction characters; NULL where the mail became a case or an entry';
COMMENT ON COLUMN csm.email_log.body IS 'Text likewise, the first 100,000 characters; NULL where the mail became a case or an entry, or was ignored';
COMMENT ON COLUMN csm.email_log.settled_by IS 'Who took it from the queue by csm.settle_email(); NULL for nobody';
COMMENT ON COLUMN csm.email_log.settled_at IS 'When; NULL while it waits, or never waited';
COMMENT ON POLICY email_log_select ON csm.email_log IS 'Administrators all of it; staff with person_manage what waits for them';
COMMENT ON FUNCTION csm_private.mail_setting(bigint, text) IS
'trust (dmarc: From counts where DMARC passed; token: also where the mail carries a token that was sent to that person; any: always, the gateway lets nobody else in), unknown (refuse or queue what an unknown address sends), closed (refuse an answer to a closed case, or open a follow_up), opens (whether mail opens cases), case_type (of those), per_sender (mails of an address in an hour; 20), from the setting mail_in of a tenant';
COMMENT ON FUNCTION csm_private.mail_clean(text, boolean) IS
'Text without control and direction characters, trimmed; lines: with its lines, ended by line feeds, else as one line';
COMMENT ON FUNCTION csm_private.mail_reply(text, text[]) IS
'What of a mail''s text is its answer: above the first line with a marker, without quoted lines at the end and a line that ends with a colon before them; may be empty';
COMMENT ON FUNCTION csm_private.mail_address(text) IS
'The one address of a header From, in lower case; NULL where there is none, more than one, or anything that a header would read otherwise';
COMMENT ON FUNCTION csm_private.mail_fault(jsonb) IS
'malformed or too_large; NULL where the mail can be read';
COMMENT ON FUNCTION csm_private.mail_loop(jsonb) IS
'Why nobody is to be answered: bounce, loop, auto_submitted or mailing_list; NULL where a person seems to have written';
COMMENT ON FUNCTION csm_private.mail_person(bigint, text) IS
'The enabled person who has this address, or had it before he was made one with another; NULL for none';
COMMENT ON FUNCTION csm_private.mail_act(jsonb) IS
'Body of csm.receive_email(), run as the sender: finds the case among what he sees and comments on it, or opens one. Returns what was done, or refused and why; errors as csm.comment() and csm.open_case()';
COMMENT ON FUNCTION csm_private.judge_mail(csm.email_log, jsonb) IS
'Finds the sender and the case, and does as the sender what the mail asks; the row of the log as it is then. What is refused is no error; others, such as a deadlock, pass through';
COMMENT ON FUNCTION csm.receive_email(jsonb) IS
'Takes a mail from a gateway: an object with message_id, in_reply_to, references, from, to, subject, text, received_at, headers (an object), authentication ({"dmarc": "pass"}), attachments (objects with file_name, media_type, and content in base64 or url, size, sha256 in hexadecimal). With the rights of the person who sent it, it becomes an entry of the case that it answers (status commented) or a new case (opened); else it is queued for staff, refused or ignored, and reason says why: README lists them. The same message_id gets the same answer. Persons named by csm.allow_mail_gateway(), for their tenant; the system. Errors: 42501 no gateway, 22023 no JSON object; what is wrong with a mail is no error';
COMMENT ON FUNCTION csm_private.mail_time(text) IS
'When the gateway says that it received the mail, never in the future; now where it says nothing that can be read';
COMMENT ON FUNCTION csm_private.gateway_tenant() IS
'Tenant for which the caller hands over mail; of the system the only one. Errors: 42501 for anybody else, 22023 for the system where there are several tenants';
COMMENT ON FUNCTION csm.allow_mail_gateway(bigint, boolean) IS
'Lets a gateway that is signed in as this person hand over mail, or no longer. Superuser or member of csm_owner. Errors: 42501, 22023 no such user';
COMMENT ON FUNCTION csm.settle_email(bigint, bigint) IS
'Takes a mail from the queue: case_id is the case that staff opened from it, NULL for none. Staff with person_manage, administrators. Errors: 42501 no such mail in the queue, SM001 no case on which he works, 55000 settled already';
COMMENT ON FUNCTION csm_private.forget_mail(bigint, timestamptz, integer) IS
'Deletes rows of csm.email_log received before, but for those of a person or case that a legal hold keeps; returns how many. A mail that comes again after that is a new one';
COMMENT ON FUNCTION csm_private.list_unsubscribe(text, jsonb) IS
'Value of the header List-Unsubscribe, by the tenant''s setting notifications; NULL without domain and unsubscribe_url';
COMMENT ON FUNCTION csm_private.mail_markers(bigint, text) IS
'Lines above which one answers a message: first the one for messages in that language, the tenant''s own (setting mail_in, marker) before the shipped ones; none where his own is empty';
COMMENT ON FUNCTION csm_private.notification_headers(csm.notifications, jsonb) IS
'Tokens of a message, and header values made of them and of the tenant''s setting notifications; these are NULL without domain or unsubscribe_url';
COMMENT ON FUNCTION csm_private.message_for(csm.notifications, csm.users) IS
'What csm_private.notification_message() gives the recipient now; NULL where he sees the matter no more, is disabled, has no plain address, or said that he does not want it';
COMMENT ON FUNCTION csm.next_notifications(text, integer, interval) IS
'Notifications of a channel that are to be sent, the oldest first, ready to be sent: each to one caller at a time, again when the lease has passed without csm.acknowledge_notifications(), at most ten times. What the recipient does not see any more is withheld. Call it in a transaction of its own and commit before sending. recipient: e-mail address, NULL for other channels. Persons named by csm.allow_mail_sender() for their tenant, members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm.acknowledge_notifications(bigint[], text) IS
'Says that notifications were sent, or, with an error, that they could not be: then they come again after 1, 2, 4 … minutes, and are given up after ten attempts. Returns how many there were. Callers as csm.next_notifications(). Error 42501';
COMMENT ON FUNCTION csm.notification_status() IS
'How many notifications of the tenant wait, were sent, withheld or given up, and the time of the oldest, by channel: whether the sender process keeps up. Administrators, the system; error 42501 for anybody else';
COMMENT ON FUNCTION csm.unsubscribe(text, boolean) IS
'Whoever has the token of a message lets its recipient hear no more of that kind of event on that channel, or of any (everything); as often as he likes. Always returns accepted. Undone in csm.notification_preferences';
COMMENT ON FUNCTION csm_private.delete_expired(bigint, integer) IS
'Deletes sessions and API keys that have ended, tokens of resets, of new addresses and of surveys, spent ID tokens, used captchas and messages that have expired: of each at most so many. Returns the greatest of the numbers. By the clock, never ahead of it';
COMMENT ON FUNCTION csm_private.due_expired(bigint, bigint, timestamptz) IS
'Handler of timers of kind expired, one a tenant: daily, after a minute where something was left over';
COMMENT ON FUNCTION csm_private.begin_expired() IS 'Trigger of csm.tenants: the first timer of kind expired';
COMMENT ON TABLE csm.licence_products IS 'What is licensed separately: each product covers the acts of some roles';
COMMENT ON COLUMN csm.licence_products.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_products.product IS 'Key of the product';
COMMENT ON COLUMN csm.licence_products.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_products.roles IS 'csm.roles that it covers. A staff role: what is done while holding it. Any role of another kind: whatever those do who ask for service';
COMMENT ON TABLE csm.licence_policies IS 'Readings of a licence contract: which acts make a person count. csm.licence_usage() answers by any of them, also for the past';
COMMENT ON COLUMN csm.licence_policies.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.licence_policies.policy IS 'Key of the policy';
COMMENT ON COLUMN csm.licence_policies.label IS 'Name that people read';
COMMENT ON COLUMN csm.licence_policies.counts IS 'Acts that count: fulfiller (worked on a case), stakeholder (acted for a customer by a staff role of that class), counterparty_act (an action on a dispute as the other company: propose, withdraw, escalate ...), counterparty_update (its comments and files, and the acknowledgement that its first comment is), approver (decided where an approver was asked), requester (whatever else those did who ask for service)';
COMMENT ON COLUMN csm.licence_policies.window_days IS 'An act counts in the period in which it falls and for so many days more; 0: in the period alone';
COMMENT ON COLUMN csm.licence_policies.products IS 'Only acts that these csm.licence_products cover; empty: all acts, as one product';
COMMENT ON COLUMN csm.licence_policies.union_products IS 'True: who acts under several products counts once; false: once for each';
COMMENT ON COLUMN csm.licence_policies.active IS 'The policy that is meant when none is named; at most one in a tenant';
COMMENT ON VIEW csm_private.acts IS 'Links of csm.case_history that a person made, with their kind for the licence meter';
COMMENT ON COLUMN csm_private.acts.id IS 'csm.case_history.id';
COMMENT ON COLUMN csm_private.acts.tenant_id IS 'Tenant of the link';
COMMENT ON COLUMN csm_private.acts.case_id IS 'The case';
COMMENT ON COLUMN csm_private.acts.at IS 'When it was done';
COMMENT ON COLUMN csm_private.acts.actor_id IS 'Who did it';
COMMENT ON COLUMN csm_private.acts.action IS 'What was done';
COMMENT ON COLUMN csm_private.acts.persona IS 'As what he did it';
COMMENT ON COLUMN csm_private.acts.relation IS 'In which relations to the case';
COMMENT ON COLUMN csm_private.acts.kind IS 'staff:<role>, staff, approver, counterparty_update, counterparty_act, other (for somebody else, or on a case shared with him) or requester';
COMMENT ON FUNCTION csm_private.act_kinds(bigint) IS 'Kinds of csm_private.acts that the tenant has, walked over by the index';
COMMENT ON FUNCTION csm_private.shipped_licence_policies() IS 'Licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.ship_licence_policies() IS 'Trigger of csm.tenants: the licence policies that a new tenant gets';
COMMENT ON FUNCTION csm_private.licence_firsts(csm.licence_policies, tstzrange) IS
'First act of each kind that counts by the policy in that time, for each person, and each product where the policy names some';
COMMENT ON FUNCTION csm_private.licence_policy(text) IS
'The policy of the caller''s tenant, the active one for NULL. Errors: 42501 for others than administrators and managers with reach all, 22023 no such policy, or one that names an unknown product';
COMMENT ON FUNCTION csm.licence_usage(tstzrange, text) IS
'Every person whom a policy (NULL: the active one) counts in the period, with the first act that made him count and the highest class he reached; once, or once for each product where the policy does not unite them. Without products the column product is null. Administrators, and managers with reach all; errors: 42501, 22023 no such policy or a period without beginning or end';
COMMENT ON FUNCTION csm.licence_preview(text, text, integer) IS
'What a policy would have counted in each of the last months (UTC, the running one included, 1 to 120), compared with another one (NULL: the active one): how many each counts, and whom the policy adds and drops. Administrators, and managers with reach all; errors: 42501, 22023';
COMMENT ON POLICY erasure_requests_select ON csm.erasure_requests IS 'Staff with person_manage, and administrators';
COMMENT ON TABLE csm.erasure_requests IS 'Erasures of persons, asked for and done; at most one open for a person';
COMMENT ON COLUMN csm.erasure_requests.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.erasure_requests.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.erasure_requests.user_id IS 'The person';
COMMENT ON COLUMN csm.erasure_requests.case_id IS 'Privacy request it comes from; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.reason IS 'Why; emptied with the erasure, as it may name the person';
COMMENT ON COLUMN csm.erasure_requests.requested_by IS 'Who asked for it; NULL for retention and the system';
COMMENT ON COLUMN csm.erasure_requests.requested_at IS 'When he asked';
COMMENT ON COLUMN csm.erasure_requests.approved_by IS 'The second person, who had it done; NULL for retention, the system and while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased_at IS 'When it was done; NULL while it is open';
COMMENT ON COLUMN csm.erasure_requests.erased IS 'How many rows were emptied or deleted, by table; a JSON object';
COMMENT ON FUNCTION csm_private.erase_texts(bigint[], boolean) IS
'Empties what is written in these cases: their own texts, fields and files, with all_texts also what anybody wrote on them; and the history of it. Returns how many rows by table';
COMMENT ON FUNCTION csm_private.erase(csm.users) IS
'Empties every registered column that concerns the person, disables him, and takes the statistics of subject and search anew; returns how many rows by table';
COMMENT ON FUNCTION csm.request_erasure(bigint, text) IS
'Asks that the requester of a privacy request be erased; a second person does it with csm.erase_person(). Staff who work on the case. Errors: SM001, 42501, 22023 no open privacy_request with right_asked erasure and an identity_proof, 23505 asked for already';
COMMENT ON FUNCTION csm.erase_person(bigint, text) IS
'Erases a person: every registered personal column of his, the texts, fields and files of his cases, his entries, the history of these; his row stays, disabled, as a number. Keeps cases, counts, and a chain that verifies. Done by staff with person_manage or an administrator other than who asked for it with csm.request_erasure(); the system needs no request. What others wrote: csm.find_mentions(), before. Errors: 42501 (also for an unknown person), 55000 nobody asked, 55006 legal hold, 22023 no reason';
COMMENT ON FUNCTION csm.export_person_in_full(bigint) IS
'csm.export_person() for those who keep personal data: everything but secrets and contents of files, whatever the caller''s own reach. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.export_person(bigint) IS
'All that concerns a person as one JSON document: user_id, made_at, made_by, and parts, each with the table, the column through which the rows concern him, and the rows. Without secrets and the contents of files. A person gets of himself what row-level security lets him read; staff with person_manage and administrators get all of anybody of the tenant. Error 42501 for anybody else';
COMMENT ON VIEW csm_report.people IS 'One row for each person whom the reader may see, under a number in place of a name';
COMMENT ON COLUMN csm_report.people.id IS 'Key, csm.users.id';
COMMENT ON COLUMN csm_report.people.label IS 'Stands for the name: Person and the key';
COMMENT ON COLUMN csm_report.people.enabled IS 'False: disabled, or erased';
COMMENT ON COLUMN csm_report.people.language IS 'Language tag';
COMMENT ON COLUMN csm_report.people.time_zone IS 'Time zone name';
COMMENT ON COLUMN csm_report.people.created_at IS 'When the row was made';
COMMENT ON COLUMN csm_report.people.is_employee IS 'Whether the reader sees an employee persona of his';
COMMENT ON COLUMN csm_report.people.is_consumer IS 'Whether the reader sees a consumer persona of his';
COMMENT ON COLUMN csm_report.people.is_contact IS 'Whether the reader sees a contact persona of his';
COMMENT ON POLICY legal_holds_select ON csm.legal_holds IS 'Staff with person_manage, and administrators';
COMMENT ON TABLE csm.legal_holds IS 'What must not be erased while it stands: by csm.erase_person(), csm.redact_mention() and csm.run_retention(). Kept by csm.place_hold() and csm.release_hold()';
COMMENT ON COLUMN csm.legal_holds.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.legal_holds.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.legal_holds.user_id IS 'The person held, with all cases that are his; exactly one of user, account and case is set';
COMMENT ON COLUMN csm.legal_holds.account_id IS 'The account whose cases are held';
COMMENT ON COLUMN csm.legal_holds.case_id IS 'The case held';
COMMENT ON COLUMN csm.legal_holds.reason IS 'Why, up to 4,000 characters';
COMMENT ON COLUMN csm.legal_holds.placed_by IS 'Who placed it; NULL for the system';
COMMENT ON COLUMN csm.legal_holds.placed_at IS 'From when on it holds';
COMMENT ON COLUMN csm.legal_holds.released_by IS 'Who released it; NULL for the system and while it holds';
COMMENT ON COLUMN csm.legal_holds.released_at IS 'When it was released; NULL while it holds';
COMMENT ON FUNCTION csm_private.may_keep_privacy(bigint) IS
'Whether the caller keeps personal data of the tenant: staff with person_manage, administrators, the system';
COMMENT ON FUNCTION csm_private.person_to_keep(bigint) IS
'The person; 42501 where the caller does not keep his data, or there is none';
COMMENT ON FUNCTION csm_private.holds_on(csm.cases) IS 'Whether a legal hold stands on the case, its requester or its account';
COMMENT ON FUNCTION csm_private.refuse_held(csm.users) IS
'Error 55006 where a legal hold stands on the person, one of his cases or the account of one';
COMMENT ON FUNCTION csm.place_hold(text, bigint, bigint, bigint) IS
'Places a legal hold on exactly one of a person, an account, a case. Staff with person_manage, administrators. Errors: 42501 (also for what does not exist), 23514 not exactly one, 23502 no reason';
COMMENT ON FUNCTION csm.release_hold(bigint) IS
'Releases a legal hold; one that is released already stays as it is. Staff with person_manage, administrators. Error 42501 (also for a hold that does not exist)';
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id, those of persons made one with him too; NULL for an erased one';
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';
COMMENT ON FUNCTION csm_private.personal_columns() IS
'Every column of a type that can hold words or bytes. content: none; person (data of the person whom the column subject names); text (free text, subject: its author or whom it is about; may mention anybody); secret (never exported). erasure: null, word (''erased'' where a value is), object ({}), list ([]), delete (the row), own (written out in csm_private.erase_texts() and erase()), offer (csm.find_mentions() alone)';
COMMENT ON FUNCTION csm.person_references() IS
'Every column of csm that names a person (csm.users.id): what csm.export_person() looks through';
COMMENT ON FUNCTION csm_private.retain(bigint, timestamptz, integer) IS
'Erases what the tenant''s setting retention says is over: texts of cases ended case_days ago, persons without a persona in use and without a sign of life for person_days, registrations of strangers that were decided before, what csm.email_log keeps of mail received mail_days ago; nothing where a legal hold stands';
COMMENT ON FUNCTION csm.run_retention(timestamptz, integer) IS
'Erases what the setting retention of the tenant says is over, at most limit cases, persons, registrations and mails of each tenant: how many, and how many a legal hold keeps. csm.run_due() does so daily. Administrators for their tenant, never with a now beyond the clock; members of csm_owner without identity for all. Errors: 42501, 22023';
COMMENT ON FUNCTION csm_private.due_retention(bigint, bigint, timestamptz) IS
'Handler of timers of kind retention, one a tenant that has the setting: daily, after a minute where something was left over';
COMMENT ON FUNCTION csm_private.begin_retention() IS
'Trigger of csm.tenants: judges the setting retention (22023), and sets or clears the timer of that kind';
COMMENT ON FUNCTION csm_private.drop_guard() IS
'Sees to it that no command of this session drops a table of csm that holds rows, unless csm.allow_drop is on (error 55000)';
COMMENT ON EVENT TRIGGER csm_drop_guard IS
'Arms csm_private.drop_guard() before a command that can take the extension with it';
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';
-- Ends the install and every update: refuses a catalogue that breaks a rule of
-- the house.  Tests call the function too.  Only members of the extension are
-- judged, and only the roles of csm: what a DBA adds in his own name is his.

CREATE OR REPLACE FUNCTION csm_private.verify_install()
RETURNS TABLE (problem text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH extension AS (
        SELECT e.oid, e.extconfig FROM pg_extension e WHERE e.extname = 'csm'
    ), house AS (
        SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname IN ('csm', 'csm_private', 'csm_report')
    ), csm_role AS (
        SELECT r.oid, r.rolname FROM pg_roles r
        WHERE r.rolname IN ('csm_guest', 'csm_portal', 'csm_agent', 'csm_reporter', 'csm_admin')
    ), owner AS (
        SELECT r.oid FROM pg_roles r WHERE r.rolname = 'csm_owner'
    ), member AS (
        SELECT d.classid, d.objid FROM pg_depend d, extension e
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    ), rel AS (
        SELECT c.*, h.nspname, format('%I.%I', h.nspname, c.relname) AS name,
               h.nspname = 'csm_private' AND c.relname ~ '^anchor_[0-9]+$' AS is_anchor
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
        JOIN house h ON h.oid = c.relnamespace
    ), func AS (
        SELECT p.*, h.nspname, p.oid::regprocedure::text AS name, l.lanname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
        JOIN house h ON h.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    ), named_type AS (
        -- not the row or the array of a table: some versions list those as members too
        SELECT t.oid, t.typowner, t.typcategory, format('type %s', t.oid::regtype) AS name
        FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
        LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
        LEFT JOIN pg_class c ON c.oid = coalesce(e.typrelid, t.typrelid)
        WHERE coalesce(c.relkind, 'c') = 'c'
    ), granted AS (
        -- what roles may do with a table or some of its columns
        SELECT DISTINCT r.oid AS relid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r, aclexplode(r.relacl) a
        UNION
        SELECT t.attrelid, r.relkind, r.name, a.grantee, a.privilege_type
        FROM rel r JOIN pg_attribute t ON t.attrelid = r.oid AND NOT t.attisdropped, aclexplode(t.attacl) a
    ), policy AS (
        SELECT p.*, r.name AS table_name,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS command
        FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
    )
    -- row-level security
    SELECT 'table without row-level security', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND NOT r.relrowsecurity AND NOT r.is_anchor
  UNION ALL
    SELECT 'table without restrictive tenant policy', r.name FROM rel r
    WHERE r.relkind IN ('r', 'p') AND r.nspname = 'csm'
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = r.oid AND NOT p.polpermissive AND p.polcmd = '*'
                        AND pg_get_expr(p.polqual, p.polrelid) ~ '^\(?(tenant_id|id) = csm\.current_tenant_id\(\)\)?$'
                        AND (p.polroles = '{0}'
                             OR p.polroles @> (SELECT array_agg(c.oid) FROM csm_role c WHERE c.rolname <> 'csm_guest')))
  UNION ALL
    -- granted without a permissive policy for the role and the command: either is a slip
    SELECT 'privilege without policy', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      AND NOT EXISTS (SELECT FROM policy p
                      WHERE p.polrelid = g.relid AND p.polpermissive AND (p.polcmd = '*' OR p.command = g.privilege_type)
                        AND (p.polroles = '{0}' OR g.grantee = ANY (p.polroles)))
  UNION ALL
    SELECT 'privilege that row-level security does not bind', format('%s on %s to %s', g.privilege_type, g.name, c.rolname)
    FROM granted g JOIN csm_role c ON c.oid = g.grantee
    WHERE g.relkind IN ('r', 'p') AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
  UNION ALL
    SELECT 'view without security_invoker', r.name FROM rel r
    WHERE r.relkind = 'v' AND NOT coalesce(r.reloptions && '{security_invoker=true,security_invoker=on}', false)
  UNION ALL
    SELECT 'report column of a type that BI tools cannot read', format('%s.%I', r.name, a.attname)
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE r.nspname = 'csm_report' AND (t.typname IN ('json', 'jsonb', 'ltree', 'tsvector') OR t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A')
  UNION ALL
    -- functions
    SELECT 'function without pinned search_path', f.name FROM func f
    WHERE (f.prosecdef OR f.lanname = 'plpgsql' OR f.lanname = 'sql' AND f.prosqlbody IS NULL)
      AND f.lanname NOT IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function without pinned search_path', f.name FROM func f
    WHERE f.prosecdef AND f.lanname IN ('c', 'internal')
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
  UNION ALL
    SELECT 'SECURITY DEFINER function of a superuser', f.name FROM func f JOIN pg_roles r ON r.oid = f.proowner
    WHERE f.prosecdef AND r.rolsuper
  UNION ALL
    -- owners
    SELECT 'owner is not csm_owner', v.name
    FROM (SELECT f.name, f.proowner FROM func f
          UNION ALL SELECT r.name, r.relowner FROM rel r
          UNION ALL SELECT format('schema %I', n.nspname), n.nspowner FROM pg_namespace n JOIN house h ON h.oid = n.oid
          UNION ALL SELECT t.name, t.typowner FROM named_type t)
         AS v(name, owner) CROSS JOIN owner o
    WHERE v.owner <> o.oid
  UNION ALL
    -- dump
    SELECT 'not registered for dump', r.name FROM rel r CROSS JOIN extension e
    WHERE r.relkind IN ('r', 'p', 'S') AND NOT r.is_anchor AND NOT r.oid = ANY (coalesce(e.extconfig, '{}'))
  UNION ALL
    -- comments
    SELECT 'without comment', v.name
    FROM (SELECT 'pg_class'::regclass, r.oid, 0, r.name FROM rel r WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_class'::regclass, r.oid, a.attnum, format('%s.%I', r.name, a.attname)
                    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE r.relkind <> 'S'
          UNION ALL SELECT 'pg_proc'::regclass, f.oid, 0, f.name FROM func f
          UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, p.table_name)
                    FROM policy p JOIN rel r ON r.oid = p.polrelid
                    WHERE starts_with(p.polname, r.relname)
          UNION ALL SELECT 'pg_namespace'::regclass, h.oid, 0, format('schema %I', h.nspname) FROM house h
          UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, t.name FROM named_type t WHERE t.typcategory <> 'A'
          UNION ALL SELECT 'pg_event_trigger'::regclass, t.oid, 0, format('event trigger %I', t.evtname)
                    FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid)
         AS v(class, oid, subid, name)
    WHERE NOT EXISTS (SELECT FROM pg_description d
                      WHERE d.classoid = v.class AND d.objoid = v.oid AND d.objsubid = v.subid AND d.description <> '')
  UNION ALL
    -- PUBLIC; a function without a list of privileges may be called by anybody
    SELECT 'open to PUBLIC', format('%s on %s', v.privilege_type, v.name)
    FROM (SELECT f.name, a.grantee, a.privilege_type
          FROM func f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
          UNION ALL SELECT g.name, g.grantee, g.privilege_type FROM granted g
          UNION ALL SELECT format('schema %I', n.nspname), a.grantee, a.privilege_type
                    FROM pg_namespace n JOIN house h ON h.oid = n.oid, aclexplode(n.nspacl) a) AS v
    WHERE v.grantee = 0
  UNION ALL
    -- nothing outside the three schemas; an event trigger has no schema
    SELECT 'outside the schemas of csm', pg_describe_object(m.classid, m.objid, 0)
    FROM member m, pg_identify_object(m.classid, m.objid, 0) i
    WHERE m.classid <> 'pg_event_trigger'::regclass
      AND NOT coalesce(i.schema IN (SELECT h.nspname FROM house h), false)
      AND NOT (m.classid = 'pg_namespace'::regclass AND m.objid IN (SELECT h.oid FROM house h))
$$;
ALTER FUNCTION csm_private.verify_install() OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.verify_install() FROM PUBLIC;
COMMENT ON FUNCTION csm_private.verify_install() IS
'What in the catalogue breaks a rule of the house: row-level security, tenant policy, privileges, pinned paths, owners, dump registration, comments, PUBLIC, schemas; no row when all is well';

DO $$
DECLARE
    found text;
    problems bigint;
BEGIN
    SELECT count(*), string_agg(format('%s: %s', v.problem, v.object), E'\n' ORDER BY v.problem, v.object)
      INTO problems, found FROM csm_private.verify_install() v;
    IF problems > 0 THEN
        RAISE EXCEPTION 'the catalogue of csm breaks % of its rules', problems
            USING ERRCODE = '55000', DETAIL = found,
                  HINT = 'This is a fault in the install script of csm.';
    END IF;
END $$;
