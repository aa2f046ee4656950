-- What others wrote of a person: found and redacted before he is erased.

CREATE FUNCTION csm_private.mention_pattern(person csm.users) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(DISTINCT regexp_replace(w.word, '([][\\.(){}*+?^$|])', '\\\1', 'g'), '|')
    -- he himself, and whoever was made one with him
    FROM (SELECT t.term
          FROM (SELECT person.display_name, person.email, person.phone, person.external_id
                UNION ALL
                SELECT m.removed ->> 'display_name', m.removed ->> 'email', m.removed ->> 'phone', m.removed ->> 'external_id'
                FROM csm.user_merges m WHERE m.kept_id = person.id AND m.tenant_id = person.tenant_id) p
          CROSS JOIN LATERAL unnest(ARRAY[p.display_name, p.email, p.phone, p.external_id,
                                          substring(p.display_name FROM '[^[:space:]]+$')]) t(term)
          WHERE length(btrim(t.term)) >= 3 AND p.display_name <> 'erased') n
    -- as it stands in a text, and as JSON writes it
    CROSS JOIN LATERAL (VALUES (btrim(n.term)), (btrim(to_json(btrim(n.term))::text, '"'))) w(word)
$$;
COMMENT ON FUNCTION csm_private.mention_pattern(csm.users) IS
'Regular expression for the strings by which texts name the person: name, last name, e-mail, phone, external id, those of persons made one with him too; NULL for an erased one';

-- Which column tells a row of a table, and which its case.
CREATE FUNCTION csm_private.row_key(table_name text, OUT key text, OUT case_key text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT a.attname FROM pg_attribute a
            WHERE a.attrelid = table_name::regclass AND a.attname IN ('id', 'case_id', 'user_id') AND NOT a.attisdropped
            ORDER BY array_position('{id,case_id,user_id}', a.attname::text) LIMIT 1),
           CASE WHEN table_name = 'csm.cases' THEN 'id'
                WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = table_name::regclass AND a.attname = 'case_id') THEN 'case_id' END
$$;
COMMENT ON FUNCTION csm_private.row_key(text) IS 'Name of the column by which csm.find_mentions() names a row of the table, and of the one that holds its case, NULL for none';

CREATE FUNCTION csm.find_mentions(user_id bigint)
RETURNS TABLE (table_name text, column_name text, row_id bigint, case_id bigint, excerpt text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(find_mentions.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    own CONSTANT bigint[] := ARRAY(SELECT c.id FROM csm.cases c WHERE c.requester_id = person.id);
    c record;
BEGIN
    FOR c IN SELECT p.table_name AS tab, p.column_name AS col, p.subject, p.erasure, k.key, k.case_key
             FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
             WHERE p.content IN ('text', 'person') AND k.key IS NOT NULL AND p.table_name <> 'csm.users'
               AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content') AND pattern IS NOT NULL
             ORDER BY 1, 2
    LOOP
        -- without what csm.erase_person() empties by itself
        RETURN QUERY EXECUTE format(
            'SELECT %L, %L, t.%I, %s, substring(t.%I::text FROM ''(?i).{0,40}(?:'' || $2 || '').{0,40}'') FROM %s t '
            'WHERE t.tenant_id = $3 AND t.%I::text ~* $2 %s %s', c.tab, c.col, c.key, coalesce('t.' || quote_ident(c.case_key), 'NULL::bigint'),
            c.col, c.tab, c.col,
            CASE WHEN c.subject IS NOT NULL AND c.erasure <> 'offer' THEN format('AND t.%I IS DISTINCT FROM $1', c.subject) ELSE '' END,
            CASE WHEN c.tab IN ('csm.case_history', 'csm.case_internal', 'csm.case_side_fields', 'csm.case_lines', 'csm.attachments')
                 THEN format('AND t.%I <> ALL ($4)', c.case_key) ELSE '' END)
        USING person.id, pattern, person.tenant_id, own;
    END LOOP;
END $$;
COMMENT ON FUNCTION csm.find_mentions(bigint) IS
'Where texts that concern others name the person (name, last name, e-mail, phone, external id): what csm.erase_person() leaves. Reads all texts of the tenant. For csm.redact_mention(), which must come before the erasure: afterwards nobody knows the strings. Staff with person_manage, administrators; error 42501';

CREATE FUNCTION csm.redact_mention(user_id bigint, table_name text, column_name text, row_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT csm.users := csm_private.person_to_keep(redact_mention.user_id);
    pattern CONSTANT text := csm_private.mention_pattern(person);
    place record;
    n bigint;
BEGIN
    SELECT p.table_name AS tab, p.column_name AS col, k.key, k.case_key INTO place
    FROM csm_private.personal_columns() p CROSS JOIN LATERAL csm_private.row_key(p.table_name) k
    WHERE p.table_name = redact_mention.table_name AND p.column_name = redact_mention.column_name
      AND p.content IN ('text', 'person') AND k.key IS NOT NULL
      AND p.table_name <> 'csm.users' AND p.erasure <> 'delete' AND p.column_name NOT IN ('search', 'sha256', 'content');
    IF place.tab IS NULL THEN
        RAISE EXCEPTION 'nothing can be redacted in column %.%', redact_mention.table_name, redact_mention.column_name USING ERRCODE = '22023',
            HINT = 'csm.find_mentions() names table, column and row.';
    ELSIF NOT (csm_private.acts_as_system() OR EXISTS (SELECT FROM csm.erasure_requests r
                                                       WHERE r.user_id = person.id AND r.erased_at IS NULL
                                                         AND r.requested_by IS DISTINCT FROM csm.current_user_id())) THEN
        RAISE EXCEPTION 'redacting what others wrote about user % takes a second person', person.id USING ERRCODE = '42501',
            HINT = 'csm.request_erasure() asks for it, from his privacy request.';
    END IF;
    PERFORM csm_private.refuse_held(person);
    IF place.case_key IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s t JOIN csm.cases c ON c.id = t.%I AND c.tenant_id = t.tenant_id '
                       'WHERE t.%I = $1 AND t.tenant_id = $2 AND csm_private.holds_on(c)', place.tab, place.case_key, place.key)
        INTO n USING row_id, person.tenant_id;
        IF n > 0 THEN
            RAISE EXCEPTION 'row % of % belongs to a case under a legal hold', row_id, place.tab USING ERRCODE = '55006',
                HINT = 'csm.legal_holds names it.';
        END IF;
    END IF;
    PERFORM csm_private.begin_erasures();
    IF place.tab = 'csm.case_history' THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.id = row_id AND h.tenant_id = person.tenant_id AND (h.payload::text ~* pattern OR h.actor_name ~* pattern);
    ELSE
        EXECUTE format('UPDATE %1$s t SET %2$I = regexp_replace(t.%2$I::text, $1, ''erased'', ''gi'')::%3$s '
                       'WHERE t.%4$I = $2 AND t.tenant_id = $3 AND t.%2$I::text ~* $1',
                       place.tab, place.col, (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
                                              WHERE a.attrelid = place.tab::regclass AND a.attname = place.col), place.key)
        USING pattern, row_id, person.tenant_id;
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    -- A link that vouches for the old text cannot stay.
    IF n > 0 AND place.tab IN ('csm.case_entries', 'csm.attachments') THEN
        UPDATE csm.case_history h SET actor_name = NULL, payload = NULL, salt = NULL
        WHERE h.case_id = (SELECT e.case_id FROM csm.case_entries e WHERE place.tab = 'csm.case_entries' AND e.id = row_id
                           UNION ALL SELECT a.case_id FROM csm.attachments a WHERE place.tab = 'csm.attachments' AND a.id = row_id)
          AND h.payload #>> CASE place.tab WHEN 'csm.attachments' THEN '{attachment.id,1}'::text[] ELSE '{entry.id,1}' END = row_id::text;
    END IF;
    PERFORM csm_private.end_erasure();
    IF n > 0 THEN
        PERFORM csm_private.audit('mention_redacted', csm.current_user_id(), person.id, NULL,
                                  jsonb_build_object('table', place.tab, 'column', place.col, 'row', row_id), person.tenant_id);
    END IF;
    RETURN n > 0;
END $$;
COMMENT ON FUNCTION csm.redact_mention(bigint, text, text, bigint) IS
'Replaces the strings that name the person, in one text that csm.find_mentions() offered, by the word erased; a link of history is emptied instead. True where something was replaced. Staff with person_manage or administrators other than who asked for the erasure; the system. Errors: 42501, 22023 no such column, 55006 legal hold';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.mention_pattern(csm.users)',
        'csm_private.row_key(text)',
        'csm.find_mentions(bigint)',
        'csm.redact_mention(bigint, text, text, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.find_mentions(bigint), csm.redact_mention(bigint, text, text, bigint) TO csm_agent, csm_admin;
