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
-- Where the first of them holds next to nothing, the others are not walked
-- through in order: that waits for rows that may not come, and statistics know
-- little of what is rare.  An order that no index has makes it so.

CREATE FUNCTION csm_private.suggested_articles(kinds text[], strict tsquery, rest tsquery, loose tsquery, typed text, fragment text)
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
    seen bigint;
    q tsquery;
    needle text;
    rare boolean;
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
    -- a title and the words before, all words, some words, a title with half of a word
    FOR attempt IN 1 .. 5 LOOP
        q := CASE attempt WHEN 1 THEN rest WHEN 2 THEN strict WHEN 3 THEN loose END;
        needle := CASE attempt WHEN 1 THEN fragment WHEN 4 THEN left(word, greatest(3, length(word) / 2)) WHEN 5 THEN right(word, (length(word) + 1) / 2) END;
        CONTINUE WHEN CASE attempt WHEN 1 THEN length(fragment) < 3 WHEN 2 THEN numnode(q) = 0 OR found_some AND numnode(rest) = 0
                                   WHEN 3 THEN numnode(q) = 0 OR found_some ELSE found_some OR length(word) < 5 OR length(typed) > 100 END;
        most := CASE attempt WHEN 1 THEN 50 WHEN 2 THEN 50 WHEN 3 THEN 200 ELSE 100 END;
        enough := CASE attempt WHEN 1 THEN 10 WHEN 2 THEN 20 WHEN 3 THEN 20 ELSE 100 END;
        n := 0;
        rare := false;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN CASE WHEN attempt = 1 AND numnode(q) > 0 THEN 8 ELSE 2 END END;
        WHILE n < enough AND high IS NOT NULL LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            RETURN QUERY
            SELECT 'article', a.id, a.number, a.title,
                   round(CASE attempt WHEN 1 THEN 0.5 + 0.5 * csm.resemblance(a.title, typed) WHEN 2 THEN csm.search_score(a.search, strict)
                         WHEN 3 THEN 0.5 * csm.search_score(a.search, strict)
                         ELSE CASE WHEN csm.resembles(a.title, typed) THEN 0.5 * csm.resemblance(a.title, typed) END END::numeric, 6)
            FROM (SELECT a.id, a.number, a.title, a.search FROM csm.articles a
                  WHERE (needle IS NULL OR csm.contains(a.title, needle)) AND (coalesce(numnode(q), 0) = 0 OR csm.matches(a.search, q))
                    AND a.state = 'published' AND (a.expires_at IS NULL OR a.expires_at > statement_timestamp())
                    AND a.published_at BETWEEN coalesce(csm.slice_start(first), '-infinity') AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(a.published_at, a.is_public), first_slice, last_slice))
                  ORDER BY CASE WHEN rare THEN a.published_at + interval '0' ELSE a.published_at END DESC, a.id DESC LIMIT most - n) a;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            rare := n < 5;
            seen := csm.time_slice(newest) - first + 1;
            width := CASE WHEN n > 0 THEN csm.next_slices(n, enough, seen) WHEN needle IS NOT NULL AND seen = 2 THEN 30 END;
            high := csm.slice_start(first) - interval '1 microsecond';
        END LOOP;
        found_some := found_some OR n > 0 AND attempt <= 3;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm_private.suggested_articles(text[], tsquery, tsquery, tsquery, text, text) IS
'Articles of csm.suggest(): strict asks for all that was typed, rest for all but the last word, loose for some of it; fragment is the last word while it is typed. score is NULL for a title that holds half of a word and yet does not resemble what was typed';

CREATE FUNCTION csm_private.suggested_questions(kinds text[], strict tsquery, rest tsquery, loose tsquery, typed text, fragment text)
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
    seen bigint;
    q tsquery;
    needle text;
    rare boolean;
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
    FOR attempt IN 1 .. 5 LOOP
        q := CASE attempt WHEN 1 THEN rest WHEN 2 THEN strict WHEN 3 THEN loose END;
        needle := CASE attempt WHEN 1 THEN fragment WHEN 4 THEN left(word, greatest(3, length(word) / 2)) WHEN 5 THEN right(word, (length(word) + 1) / 2) END;
        CONTINUE WHEN CASE attempt WHEN 1 THEN length(fragment) < 3 WHEN 2 THEN numnode(q) = 0 OR found_some AND numnode(rest) = 0
                                   WHEN 3 THEN numnode(q) = 0 OR found_some ELSE found_some OR length(word) < 5 OR length(typed) > 100 END;
        most := CASE attempt WHEN 1 THEN 50 WHEN 2 THEN 50 WHEN 3 THEN 200 ELSE 100 END;
        enough := CASE attempt WHEN 1 THEN 10 WHEN 2 THEN 20 WHEN 3 THEN 20 ELSE 100 END;
        n := 0;
        rare := false;
        high := newest;
        width := CASE WHEN isfinite(newest) THEN CASE WHEN attempt = 1 AND numnode(q) > 0 THEN 8 ELSE 2 END END;
        WHILE n < enough AND high IS NOT NULL LOOP
            first := csm.time_slice(high) - width + 1;
            first_slice := CASE WHEN visitor THEN coalesce(first + 4294967296, 8589934592) ELSE first END;
            last_slice := first_slice + coalesce(width - 1, 0);
            RETURN QUERY
            SELECT 'question', t.id, NULL::text, t.title,
                   round(CASE attempt WHEN 1 THEN 0.5 + 0.5 * csm.resemblance(t.title, typed) WHEN 2 THEN csm.search_score(t.search, strict)
                         WHEN 3 THEN 0.5 * csm.search_score(t.search, strict)
                         ELSE CASE WHEN csm.resembles(t.title, typed) THEN 0.5 * csm.resemblance(t.title, typed) END END::numeric * 0.9, 6)
            FROM (SELECT t.id, t.title, t.search FROM csm.questions t
                  WHERE (needle IS NULL OR csm.contains(t.title, needle)) AND (coalesce(numnode(q), 0) = 0 OR csm.matches(t.search, q))
                    AND t.search IS NOT NULL
                    AND t.created_at BETWEEN coalesce(csm.slice_start(first), '-infinity') AND high
                    AND (first_slice IS NULL OR csm.in_slices(csm.time_slices(t.created_at, t.is_public), first_slice, last_slice))
                  ORDER BY CASE WHEN rare THEN t.created_at + interval '0' ELSE t.created_at END DESC, t.id DESC LIMIT most - n) t;
            GET DIAGNOSTICS more = ROW_COUNT;
            n := n + more;
            EXIT WHEN first IS NULL;
            rare := n < 5;
            seen := csm.time_slice(newest) - first + 1;
            width := CASE WHEN n > 0 THEN csm.next_slices(n, enough, seen) WHEN needle IS NOT NULL AND seen = 2 THEN 30 END;
            high := csm.slice_start(first) - interval '1 microsecond';
        END LOOP;
        found_some := found_some OR n > 0 AND attempt <= 3;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm_private.suggested_questions(text[], tsquery, tsquery, tsquery, text, text) IS
'Questions of csm.suggest(), as csm_private.suggested_articles()';

-- Major cases that are open: few, so the text is looked at row by row.
CREATE FUNCTION csm_private.suggested_cases(kinds text[], strict tsquery, loose tsquery)
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

CREATE FUNCTION csm.suggest(typed text, "limit" integer DEFAULT 5)
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
    WHERE btrim(a.typed) <> '' AND s.score IS NOT NULL
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

CREATE FUNCTION csm_private.case_to_compare(case_id bigint) RETURNS csm.cases
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

CREATE FUNCTION csm_private.cases_like(this csm.cases, strict tsquery, loose tsquery, "limit" integer)
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

CREATE FUNCTION csm.similar_cases(case_id bigint, "limit" integer DEFAULT 10)
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

CREATE FUNCTION csm_private.answer_passage(kind text, id bigint, typed text) RETURNS text
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

CREATE FUNCTION csm.answer(question text, "limit" integer DEFAULT 3)
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

CREATE FUNCTION csm_private.guess_fields(q tsquery, strict tsquery)
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
        SELECT c.case_type, c.priority, c.product_id, c.assigned_group_id, c.resolution_code, extract(epoch FROM c.closed_at - c.opened_at) / 3600 AS hours
        FROM (SELECT c.* FROM csm.cases c WHERE csm.matches(c.search, q) AND c.state_class = 'closed' ORDER BY c.opened_at DESC, c.id DESC LIMIT 300) c
        ORDER BY csm.search_score(c.search, strict) DESC, c.id DESC LIMIT 100
    ), counted AS (
        SELECT v.field, v.value, round(count(*)::numeric / sum(count(*)) OVER (PARTITION BY v.field), 4) AS share, count(*) AS cases
        FROM alike a CROSS JOIN LATERAL (VALUES ('case_type', a.case_type), ('priority', a.priority::text), ('product_id', a.product_id::text),
                                                ('assigned_group_id', a.assigned_group_id::text), ('resolution_code', a.resolution_code)) AS v(field, value)
        WHERE v.value IS NOT NULL
        GROUP BY v.field, v.value
    )
    (SELECT DISTINCT ON (c.field) c.field, c.value, c.share, c.cases FROM counted c ORDER BY c.field, c.cases DESC, c.value)
    UNION ALL
    SELECT x.field, round(x.value::numeric, 2)::text, NULL::numeric, x.cases
    FROM (SELECT 'hours_to_close_median' AS field, percentile_cont(0.5) WITHIN GROUP (ORDER BY a.hours) AS value, count(a.hours) AS cases FROM alike a
          UNION ALL SELECT 'hours_to_close_90', percentile_cont(0.9) WITHIN GROUP (ORDER BY a.hours), count(a.hours) FROM alike a) x
    WHERE x.cases > 0;
END $$;
COMMENT ON FUNCTION csm_private.guess_fields(tsquery, tsquery) IS 'Counts behind csm.predict_fields()';

CREATE FUNCTION csm.predict_fields(words text)
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
