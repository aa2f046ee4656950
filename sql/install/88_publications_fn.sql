-- Publications: the functions by which people write, address, review, publish
-- and read them. Each asks csm_private.publication_actors() what the caller is to
-- the publication; the triggers of 88_publications.sql hold all the same.

-- ---- who may do what ----

CREATE FUNCTION csm_private.publication_actors(p csm.publications) RETURNS text[]
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

CREATE FUNCTION csm_private.known_publication(publication_id bigint) RETURNS csm.publications
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
CREATE FUNCTION csm_private.publication_to_write(publication_id bigint) RETURNS csm.publications
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

CREATE FUNCTION csm_private.note_publication(p csm.publications, action text, note text DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO csm.publication_acts (tenant_id, publication_id, action, note)
    VALUES (p.tenant_id, p.id, note_publication.action, note_publication.note)
$$;

CREATE FUNCTION csm.create_publication(series text, title text, body text, language text DEFAULT 'en', by_mail boolean DEFAULT true,
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

CREATE FUNCTION csm.edit_publication(publication_id bigint, revision integer, title text, body text, language text DEFAULT NULL)
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
CREATE FUNCTION csm_private.list_criteria(list_id bigint) RETURNS text
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

CREATE FUNCTION csm.address_publication(publication_id bigint, criteria text[] DEFAULT '{}', lists bigint[] DEFAULT '{}',
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

CREATE FUNCTION csm.publication_actions(publication_id bigint)
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

CREATE FUNCTION csm.act_on_publication(publication_id bigint, action text, note text DEFAULT NULL, at timestamptz DEFAULT NULL,
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
CREATE FUNCTION csm_private.publication_text(p csm.publications, language text) RETURNS csm.publication_texts
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t FROM csm.publication_texts t CROSS JOIN (SELECT lower(publication_text.language) AS wanted) w
    WHERE t.publication_id = (p).id AND t.tenant_id = (p).tenant_id
    ORDER BY lower(t.language) = w.wanted DESC NULLS LAST,
             split_part(lower(t.language), '-', 1) = split_part(w.wanted, '-', 1) DESC NULLS LAST,
             lower(t.language) = lower((p).language) DESC, t.language
    LIMIT 1;
END;

CREATE FUNCTION csm.my_publications("limit" integer DEFAULT 50, before timestamptz DEFAULT NULL)
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
