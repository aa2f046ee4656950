-- How many rows answer a search (88_search.sql), by kind and by value.  Like the
-- search it runs with the rights of whoever asks, and counts what he may read.

-- Up to 10,000 rows of a kind are counted, the newest.
CREATE FUNCTION csm_private.facets_of(kinds text[], strict tsquery, typed text, filters jsonb)
RETURNS TABLE (kind text, n bigint, facet text, value text, count bigint)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET pg_trgm.word_similarity_threshold = 0.5
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
    bases CONSTANT bigint[] := CASE WHEN filters ? 'base_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'base_id') v) END;
    categories CONSTANT bigint[] := CASE WHEN filters ? 'category_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'category_id') v) END;
    forums CONSTANT bigint[] := CASE WHEN filters ? 'forum_id' THEN ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(filters -> 'forum_id') v) END;
    answers CONSTANT boolean[] := CASE WHEN filters ? 'answered' THEN ARRAY(SELECT v::boolean FROM jsonb_array_elements_text(filters -> 'answered') v) END;
    since CONSTANT timestamptz := coalesce((filters ->> 'since')::timestamptz, '-infinity');
    before CONSTANT timestamptz := coalesce((filters ->> 'until')::timestamptz, 'infinity');
BEGIN
    IF 'case' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT c.state_class, c.case_type, c.priority, c.language, c.product_id FROM csm.cases c
            WHERE csm.matches(c.search, strict) AND c.opened_at BETWEEN since AND before
              AND (classes IS NULL OR c.state_class = ANY (classes)) AND (states IS NULL OR c.state = ANY (states))
              AND (types IS NULL OR c.case_type = ANY (types)) AND (priorities IS NULL OR c.priority = ANY (priorities))
              AND (accounts IS NULL OR c.account_id = ANY (accounts)) AND (products IS NULL OR c.product_id = ANY (products))
              AND (languages IS NULL OR c.language = ANY (languages))
            ORDER BY c.opened_at DESC, c.id DESC LIMIT 10001)
        SELECT 'case', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'case'), ('state_class', h.state_class), ('case_type', h.case_type),
            ('priority', h.priority::text), ('language', h.language), ('product_id', h.product_id::text)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'article' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT a.base_id, a.category_id, a.language, a.product_id FROM csm.articles a
            WHERE csm.matches(a.search, strict) AND a.state = 'published' AND a.published_at BETWEEN since AND before
              AND (languages IS NULL OR a.language = ANY (languages)) AND (bases IS NULL OR a.base_id = ANY (bases))
              AND (categories IS NULL OR a.category_id = ANY (categories)) AND (products IS NULL OR a.product_id = ANY (products))
            ORDER BY a.published_at DESC, a.id DESC LIMIT 10001)
        SELECT 'article', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'article'), ('base_id', h.base_id::text), ('category_id', h.category_id::text),
            ('language', h.language), ('product_id', h.product_id::text)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'question' = ANY (kinds) AND numnode(strict) > 0 THEN
        RETURN QUERY
        WITH hit AS MATERIALIZED (
            SELECT t.forum_id, t.answered, t.language FROM csm.questions t
            WHERE csm.matches(t.search, strict) AND t.created_at BETWEEN since AND before
              AND (languages IS NULL OR t.language = ANY (languages)) AND (forums IS NULL OR t.forum_id = ANY (forums))
              AND (answers IS NULL OR t.answered = ANY (answers))
            ORDER BY t.created_at DESC, t.id DESC LIMIT 10001)
        SELECT 'question', (SELECT count(*) FROM hit), f.facet, f.value, count(*)
        FROM hit h CROSS JOIN LATERAL (VALUES ('kind', 'question'), ('forum_id', h.forum_id::text), ('answered', h.answered::text),
            ('language', h.language)) AS f(facet, value)
        GROUP BY f.facet, f.value;
    END IF;
    IF 'account' = ANY (kinds) THEN
        RETURN QUERY SELECT 'account', count(*), 'kind', 'account', count(*)
        FROM (SELECT FROM csm.accounts a WHERE csm.resembles(a.name, typed) ORDER BY a.id DESC LIMIT 10001) x;
    END IF;
    IF 'person' = ANY (kinds) THEN
        RETURN QUERY SELECT 'person', count(*), 'kind', 'person', count(*)
        FROM (SELECT FROM csm.users u WHERE csm.resembles(u.display_name, typed) ORDER BY u.id DESC LIMIT 10001) x;
    END IF;
    IF 'product' = ANY (kinds) THEN
        RETURN QUERY SELECT 'product', count(*), 'kind', 'product', count(*)
        FROM (SELECT FROM csm.products p WHERE csm.resembles(p.name, typed) ORDER BY p.id DESC LIMIT 10001) x;
    END IF;
END $$;
ALTER FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm_private.facets_of(text[], tsquery, text, jsonb) IS
'Counts of csm.search_facets() by kind; n: rows of the kind, up to 10,001';

CREATE FUNCTION csm.search_facets(query text, kinds text[] DEFAULT NULL, filters jsonb DEFAULT '{}')
RETURNS TABLE (kind text, facet text, value text, count bigint, complete boolean)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT x.kind, x.facet, x.value, least(x.count, 10000), x.n <= 10000
    FROM (SELECT btrim(left(query, 1000)) AS typed) a
    CROSS JOIN LATERAL csm_private.search_filters(filters) f
    CROSS JOIN LATERAL csm_private.search_kinds(kinds, f) k
    CROSS JOIN LATERAL csm_private.search_languages() l
    CROSS JOIN LATERAL csm_private.search_query_in(a.typed, l, false) strict
    CROSS JOIN LATERAL csm_private.facets_of(k, strict, a.typed, f) x
    WHERE a.typed <> '' AND x.count > 0 AND x.value IS NOT NULL
    ORDER BY x.kind, x.facet, x.count DESC, x.value;
END;
ALTER FUNCTION csm.search_facets(text, text[], jsonb) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.search_facets(text, text[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.search_facets(text, text[], jsonb) TO csm_guest, csm_portal, csm_agent, csm_admin;
COMMENT ON FUNCTION csm.search_facets(text, text[], jsonb) IS
'How many rows that the caller may read answer a query (all words of it, or a name that resembles it), by kind and by value: of cases state_class, case_type, priority, language, product_id; of articles base_id, category_id, language, product_id; of questions forum_id, answered, language. complete = false: only the newest 10,000 of the kind were counted. Arguments and errors as csm.search()';
