-- Search that may run below row-level security (src/csm_text.c, where the
-- argument for LEAKPROOF stands).

CREATE FUNCTION csm_private.text_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_text_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.text_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.text_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches and csm.contains: index condition, selectivity';

-- Evaluated in index conditions, with the rights of whoever searches.
CREATE FUNCTION csm_private.like_pattern(needle text) RETURNS text
AS 'MODULE_PATHNAME', 'csm_like_pattern' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1;
ALTER FUNCTION csm_private.like_pattern(text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.like_pattern(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm_private.like_pattern(text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm_private.like_pattern(text) IS
'LIKE pattern for a literal substring: %needle% with %, _ and \ escaped; NULL for NULL';

CREATE FUNCTION csm.matches(document tsvector, query tsquery) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_matches' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.matches(tsvector, tsquery) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.matches(tsvector, tsquery) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.matches(tsvector, tsquery) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.matches(tsvector, tsquery) IS
'document @@ query, but able to use a GIN or GiST index below row-level security; NULL if either is NULL';

CREATE FUNCTION csm.contains(haystack text, needle text) RETURNS boolean
AS 'MODULE_PATHNAME', 'csm_contains' LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 8
SUPPORT csm_private.text_support;
ALTER FUNCTION csm.contains(text, text) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm.contains(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION csm.contains(text, text) TO csm_guest, csm_portal, csm_agent, csm_reporter, csm_admin;
COMMENT ON FUNCTION csm.contains(text, text) IS
'Whether needle stands literally in haystack, case folded as the database''s collation does; no wildcards, an empty needle is everywhere, NULL if either is NULL. Uses a pg_trgm index when the needle is known and has three letters or digits in a row';

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
