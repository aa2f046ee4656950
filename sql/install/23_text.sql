-- Search that may run below row-level security (src/csm_text.c, where the
-- argument for LEAKPROOF stands).

CREATE FUNCTION csm_private.text_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'csm_text_support' LANGUAGE c STRICT;
ALTER FUNCTION csm_private.text_support(internal) OWNER TO csm_owner;
REVOKE ALL ON FUNCTION csm_private.text_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION csm_private.text_support(internal) IS
'Planner support of csm.matches, csm.contains and csm.in_slices: index condition, selectivity';

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
