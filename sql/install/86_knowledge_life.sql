-- The life of an article: drafts, review, publishing, retiring, by hand or by
-- time.
--
-- Which state of a version follows which is said once, in
-- csm_private.article_transitions(); the trigger of csm.article_versions holds
-- whoever writes to it, the functions below say who may. Nobody but csm_owner
-- writes versions.
--
-- Locks: the version first, then its article.

-- from_state and to_state are states of a version. actors: author (began the
-- version and may contribute), contributor (may contribute and reads the
-- article), manager (manages the audience), reviewer (a manager who has not
-- written the text, unless the base lets people publish their own), publisher
-- (author or manager, where it does). Without actors only csm's own functions
-- take the step. begins: a new version, beside the one that stands.
CREATE FUNCTION csm_private.article_transitions()
RETURNS TABLE (action text, from_state text, to_state text, actors text[], note_required boolean, begins boolean, label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 13
BEGIN ATOMIC
    VALUES ('submit', 'draft', 'review', '{author,manager}'::text[], false, false, 'Submit for review'),
           ('publish', 'draft', 'published', '{publisher}'::text[], false, false, 'Publish'),
           ('publish', 'review', 'published', '{reviewer,publisher}'::text[], false, false, 'Publish'),
           ('withdraw', 'review', 'draft', '{author}'::text[], false, false, 'Withdraw'),
           ('reject', 'review', 'draft', '{manager}'::text[], true, false, 'Reject'),
           ('discard', 'draft', 'discarded', '{author,manager}'::text[], false, false, 'Discard'),
           ('discard', 'review', 'discarded', '{manager}'::text[], true, false, 'Discard'),
           ('retire', 'published', 'retired', '{manager}'::text[], false, false, 'Retire'),
           ('revise', 'published', 'draft', '{contributor,manager}'::text[], false, true, 'Revise'),
           ('revise', 'retired', 'draft', '{manager}'::text[], false, true, 'Revise'),
           ('replace', 'published', 'replaced', '{}'::text[], false, false, 'Replace'),
           ('replace', 'retired', 'replaced', '{}'::text[], false, false, 'Replace');
END;

CREATE FUNCTION csm_private.article_version_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' AND pg_trigger_depth() < 2 AND NOT csm_private.importing() THEN
            RAISE EXCEPTION 'a new version of article % is a draft', NEW.article_id USING ERRCODE = 'SM002',
                DETAIL = format('Its state was given as "%s".', NEW.state), HINT = 'Publish it by csm.act_on_article().';
        END IF;
        RETURN NEW;
    ELSIF (NEW.id, NEW.tenant_id, NEW.article_id, NEW.version, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.article_id, OLD.version, OLD.created_at) THEN
        RAISE EXCEPTION 'id, tenant, article and number of version % of article % cannot change', OLD.version, OLD.article_id
            USING ERRCODE = '42501', HINT = 'Begin another version.';
    ELSIF NEW.state <> OLD.state AND NOT EXISTS (SELECT FROM csm_private.article_transitions() t
                                                 WHERE t.from_state = OLD.state AND t.to_state = NEW.state AND NOT t.begins) THEN
        RAISE EXCEPTION 'version % of article % cannot become %', OLD.version, OLD.article_id, NEW.state USING ERRCODE = 'SM002',
            DETAIL = format('It is %s.', OLD.state), HINT = 'csm.article_actions() lists what can be done.';
    ELSIF (NEW.title, NEW.keywords, NEW.body) IS DISTINCT FROM (OLD.title, OLD.keywords, OLD.body) THEN
        IF OLD.state <> 'draft' OR NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'the text of version % of article % cannot change', OLD.version, OLD.article_id USING ERRCODE = '42501',
                DETAIL = format('It is %s.', OLD.state), HINT = 'Only a draft is written on; withdraw it from review, or begin a new version.';
        END IF;
        NEW.revision := OLD.revision + 1;
        NEW.edited_at := clock_timestamp();
    END IF;
    IF NEW.state <> 'review' THEN
        NEW.publish_at := NULL;
    END IF;
    IF NEW.state = 'published' AND OLD.state <> 'published' THEN
        -- before this one stands: there is room for one
        UPDATE csm.article_versions v SET state = 'replaced'
        WHERE v.article_id = NEW.article_id AND v.tenant_id = NEW.tenant_id AND v.state IN ('published', 'retired');
    END IF;
    IF NEW.state <> OLD.state THEN
        NEW.published_at := CASE WHEN NEW.state = 'published' THEN clock_timestamp() ELSE OLD.published_at END;
        NEW.ended_at := CASE WHEN NEW.state IN ('retired', 'replaced', 'discarded') THEN clock_timestamp() END;
        IF NEW.state = 'draft' THEN
            NEW.approved_by := NULL;
        END IF;
    ELSIF OLD.state NOT IN ('draft', 'review')
          AND (NEW.author_id, NEW.edited_by, NEW.approved_by, NEW.published_at, NEW.ended_at, NEW.note, NEW.edited_at)
              IS DISTINCT FROM (OLD.author_id, OLD.edited_by, OLD.approved_by, OLD.published_at, OLD.ended_at, OLD.note, OLD.edited_at) THEN
        RAISE EXCEPTION 'version % of article % is as it was published', OLD.version, OLD.article_id USING ERRCODE = '42501',
            HINT = 'Begin another version.';
    END IF;
    RETURN NEW;
END $$;

-- The article takes over the text that stands; before there is one, the text
-- being written.
CREATE FUNCTION csm_private.article_version_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'published' THEN
        UPDATE csm.articles a SET state = 'published', version = NEW.version, published_at = NEW.published_at,
               title = NEW.title, keywords = NEW.keywords, body = NEW.body
        WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id;
    ELSIF NEW.state = 'retired' AND OLD.state = 'published' THEN
        UPDATE csm.articles a SET state = 'retired' WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id;
    ELSIF NEW.state IN ('draft', 'review', 'discarded') THEN
        UPDATE csm.articles a SET state = CASE NEW.state WHEN 'discarded' THEN 'retired' ELSE NEW.state END,
               title = NEW.title, keywords = NEW.keywords, body = NEW.body
        WHERE a.id = NEW.article_id AND a.tenant_id = NEW.tenant_id AND a.version IS NULL;
    END IF;
    IF NEW.publish_at IS DISTINCT FROM OLD.publish_at THEN
        PERFORM csm_private.set_timer(NEW.tenant_id, 'article_publish', NEW.id, NULL, NEW.publish_at);
    END IF;
    RETURN NULL;
END $$;

-- ---- who may do what ----

CREATE FUNCTION csm_private.article_actors(a csm.articles, v csm.article_versions) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    contributes boolean;
    manages boolean;
    writes boolean;
    alone boolean;
BEGIN
    IF csm_private.acts_as_system() THEN
        RETURN '{author,contributor,manager,reviewer,publisher}'::text[];
    END IF;
    contributes := csm.audience_allows(a.audience_id, 'contribute');
    manages := csm.audience_allows(a.audience_id, 'manage');
    writes := contributes AND v.author_id = me;
    SELECT b.self_publish INTO alone FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id;
    RETURN array_remove(ARRAY[
        CASE WHEN writes THEN 'author' END,
        CASE WHEN contributes AND csm_private.article_allows(a.id, a.tenant_id, 'read') THEN 'contributor' END,
        CASE WHEN manages THEN 'manager' END,
        CASE WHEN manages AND (alone OR v.edited_by IS DISTINCT FROM me) THEN 'reviewer' END,
        CASE WHEN alone AND (writes OR manages) THEN 'publisher' END], NULL);
END $$;

-- The article for somebody who reads it, manages it or has written on it.
CREATE FUNCTION csm_private.known_article(article_id bigint) RETURNS csm.articles
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles;
BEGIN
    SELECT * INTO a FROM csm.articles x
    WHERE x.id = article_id AND (x.tenant_id = csm.current_tenant_id() OR csm_private.acts_as_system());
    IF a.id IS NULL
       OR NOT (csm_private.acts_as_system() OR csm_private.article_allows(a.id, a.tenant_id, 'read')
               OR csm.audience_allows(a.audience_id, 'contribute')
                  AND EXISTS (SELECT FROM csm.article_versions v WHERE v.article_id = a.id AND v.tenant_id = a.tenant_id
                              AND v.author_id = csm.current_user_id())) THEN
        RAISE EXCEPTION 'article % does not exist', coalesce(article_id::text, 'NULL') USING ERRCODE = '42501',
            HINT = 'An article that you may not see is reported in the same way.';
    END IF;
    RETURN a;
END $$;

CREATE FUNCTION csm.article_actions(article_id bigint)
RETURNS TABLE (action text, label text, version integer, from_state text, to_state text, note_required boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT csm.articles := csm_private.known_article(article_actions.article_id);
BEGIN
    RETURN QUERY
        SELECT t.action, t.label, v.version, t.from_state, t.to_state, t.note_required
        FROM csm.article_versions v JOIN csm_private.article_transitions() t ON t.from_state = v.state
        WHERE v.article_id = a.id AND v.tenant_id = a.tenant_id AND t.actors && csm_private.article_actors(a, v)
          AND (NOT t.begins OR NOT EXISTS (SELECT FROM csm.article_versions w
                                           WHERE w.article_id = a.id AND w.tenant_id = a.tenant_id AND w.state IN ('draft', 'review')))
        ORDER BY v.version DESC, t.action;
END $$;

CREATE FUNCTION csm.act_on_article(article_id bigint, action text, note text DEFAULT NULL, at timestamptz DEFAULT NULL,
    revision integer DEFAULT NULL) RETURNS csm.articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles := csm_private.known_article(article_id);
    me CONSTANT bigint := csm.current_user_id();
    working csm.article_versions;
    shown csm.article_versions;
    v csm.article_versions;
    t record;
BEGIN
    IF NOT EXISTS (SELECT FROM csm_private.article_transitions() x WHERE x.action = action AND cardinality(x.actors) > 0) THEN
        RAISE EXCEPTION 'action "%" is unknown', coalesce(action, 'NULL') USING ERRCODE = '22023',
            HINT = 'csm.article_actions() lists what can be done.';
    ELSIF at IS NOT NULL AND action <> 'publish' THEN
        RAISE EXCEPTION 'only publishing can be planned' USING ERRCODE = '22023', HINT = 'Leave at out.';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'note is longer than 10,000 characters' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO working FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review') FOR NO KEY UPDATE;
    SELECT * INTO shown FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('published', 'retired') FOR NO KEY UPDATE;
    IF working.id IS NULL THEN
        -- somebody may have begun one while this waited
        SELECT * INTO working FROM csm.article_versions x
        WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review');
    END IF;
    SELECT x.*, x.from_state = working.state AS of_working INTO t FROM csm_private.article_transitions() x
    WHERE x.action = action AND x.from_state IN (working.state, shown.state)
      AND (NOT x.begins OR working.id IS NULL)
    ORDER BY x.from_state = working.state DESC LIMIT 1;
    v := CASE WHEN t.of_working THEN working WHEN t.action IS NOT NULL THEN shown WHEN working.id IS NOT NULL THEN working ELSE shown END;
    -- permission before state: D 6
    IF NOT EXISTS (SELECT FROM csm_private.article_transitions() x
                   WHERE x.action = action AND (t.action IS NULL OR x.from_state = t.from_state)
                     AND x.actors && csm_private.article_actors(a, v)) THEN
        RAISE EXCEPTION 'to % article % is not permitted', action, a.number USING ERRCODE = '42501',
            HINT = CASE WHEN action = 'publish' AND v.edited_by = me THEN 'A second person publishes what you have written.'
                        ELSE 'csm.article_actions() lists what you can do.' END;
    ELSIF t.action IS NULL THEN
        RAISE EXCEPTION 'to % article % is not possible now', action, a.number USING ERRCODE = 'SM002',
            DETAIL = format('Version %s is %s.', v.version, v.state), HINT = 'csm.article_actions() lists what you can do.';
    ELSIF t.note_required AND coalesce(note, '') ~ '^[[:space:]]*$' THEN
        RAISE EXCEPTION 'to % article % needs a note', action, a.number USING ERRCODE = 'SM003', HINT = 'Say why.';
    ELSIF revision <> v.revision THEN
        RAISE EXCEPTION 'version % of article % has changed since it was read', v.version, a.number USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', v.revision, revision), HINT = 'Read it again.';
    END IF;

    IF t.begins THEN
        INSERT INTO csm.article_versions (tenant_id, article_id, version, title, keywords, body, note)
        SELECT a.tenant_id, a.id, max(x.version) + 1, v.title, v.keywords, v.body, note
        FROM csm.article_versions x WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id;
    ELSIF action = 'publish' AND coalesce(at, '-infinity') > clock_timestamp() THEN
        PERFORM csm_private.check_article_end(a, at);
        UPDATE csm.article_versions x SET state = 'review', publish_at = at, approved_by = me, note = coalesce(note, x.note)
        WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    ELSE
        IF action = 'publish' THEN
            PERFORM csm_private.check_article_end(a, clock_timestamp());
        END IF;
        UPDATE csm.article_versions x
        SET state = t.to_state, note = coalesce(note, x.note), approved_by = CASE WHEN action = 'publish' THEN me ELSE x.approved_by END
        WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    END IF;
    SELECT * INTO a FROM csm.articles x WHERE x.id = a.id AND x.tenant_id = a.tenant_id;
    RETURN a;
END $$;

CREATE FUNCTION csm_private.check_article_end(a csm.articles, at timestamptz) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF a.expires_at <= at THEN
        RAISE EXCEPTION 'article % would not be read by anybody', a.number USING ERRCODE = '22023',
            DETAIL = format('It expires at %s.', a.expires_at), HINT = 'Change or clear expires_at first.';
    END IF;
END $$;

CREATE FUNCTION csm.edit_article(article_id bigint, revision integer, title text DEFAULT NULL, body text DEFAULT NULL,
    keywords text DEFAULT NULL) RETURNS csm.article_versions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a CONSTANT csm.articles := csm_private.known_article(article_id);
    v csm.article_versions;
BEGIN
    SELECT * INTO v FROM csm.article_versions x
    WHERE x.article_id = a.id AND x.tenant_id = a.tenant_id AND x.state IN ('draft', 'review') FOR NO KEY UPDATE;
    IF v.id IS NULL AND NOT csm_private.article_actors(a, v) && '{contributor,manager}'::text[]
       OR v.id IS NOT NULL AND NOT csm_private.article_actors(a, v) && '{author,manager}'::text[] THEN
        RAISE EXCEPTION 'to edit article % is not permitted', a.number USING ERRCODE = '42501',
            HINT = 'Who began the draft edits it, and staff of the base.';
    ELSIF v.state IS DISTINCT FROM 'draft' THEN
        RAISE EXCEPTION 'article % has no draft', a.number USING ERRCODE = 'SM002',
            DETAIL = CASE WHEN v.state = 'review' THEN 'What was written is in review.' ELSE 'Nothing is being written.' END,
            HINT = CASE WHEN v.state = 'review' THEN 'Withdraw or reject it first.' ELSE 'Begin one: csm.act_on_article(id, ''revise'').' END;
    ELSIF revision IS NULL THEN
        RAISE EXCEPTION 'revision of csm.edit_article() is null' USING ERRCODE = '22004', HINT = 'Give the one that you have read.';
    ELSIF revision <> v.revision THEN
        RAISE EXCEPTION 'version % of article % has changed since it was read', v.version, a.number USING ERRCODE = '40001',
            DETAIL = format('Its revision is %s, not %s.', v.revision, revision), HINT = 'Read it again and repeat the change.';
    END IF;
    UPDATE csm.article_versions x
    SET title = coalesce(title, x.title), body = coalesce(body, x.body),
        keywords = CASE WHEN keywords IS NULL THEN x.keywords ELSE nullif(btrim(keywords), '') END, edited_by = csm.current_user_id()
    WHERE x.id = v.id AND x.tenant_id = v.tenant_id RETURNING * INTO v;
    RETURN v;
END $$;

-- Who reads it within the base; staff of the base say so.
CREATE FUNCTION csm.restrict_article(article_id bigint, grants jsonb) RETURNS csm.articles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a csm.articles := csm_private.known_article(article_id);
    base_audience bigint;
BEGIN
    SELECT b.audience_id INTO base_audience FROM csm.knowledge_bases b WHERE b.id = a.base_id AND b.tenant_id = a.tenant_id;
    IF NOT (csm_private.acts_as_system()
            OR coalesce(csm.audience_allows(a.audience_id, 'manage') AND csm.audience_allows(base_audience, 'manage'), false)) THEN
        RAISE EXCEPTION 'to restrict article % is not permitted', a.number USING ERRCODE = '42501', HINT = 'Staff of the base say who reads it.';
    END IF;
    UPDATE csm.articles x SET audience_id = csm_private.audience_within(base_audience, grants)
    WHERE x.id = a.id AND x.tenant_id = a.tenant_id RETURNING * INTO a;
    RETURN a;
END $$;

-- ---- the reader's language ----

CREATE FUNCTION csm_private.reader_language() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.language FROM csm.users u WHERE u.id = csm.current_user_id()
$$;

-- Runs under the policies of the caller: of the translations he meets those that
-- he reads.
CREATE FUNCTION csm.article_in(article_id bigint, language text DEFAULT NULL) RETURNS csm.articles
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT t
    FROM csm.articles a
    JOIN csm.articles t ON coalesce(t.translation_of, t.id) = coalesce(a.translation_of, a.id)
    CROSS JOIN (SELECT lower(coalesce(article_in.language, csm_private.reader_language())) AS wanted) w
    WHERE a.id = article_in.article_id AND t.state <> 'retired' AND (t.state = 'published' OR t.id = a.id)
       OR a.id = article_in.article_id AND t.id = a.id
    ORDER BY lower(t.language) = w.wanted DESC NULLS LAST,
             split_part(lower(t.language), '-', 1) = split_part(w.wanted, '-', 1) DESC NULLS LAST, t.id = a.id DESC, t.id
    LIMIT 1;
END;

-- ---- what time does ----

CREATE FUNCTION csm_private.due_article_publish(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    v csm.article_versions;
BEGIN
    SELECT * INTO v FROM csm.article_versions x WHERE x.id = object_id AND x.tenant_id = tenant_id FOR NO KEY UPDATE SKIP LOCKED;
    IF v.id IS NULL THEN
        -- in somebody's hands
        PERFORM csm_private.set_timer(tenant_id, 'article_publish', object_id, NULL, at + interval '1 minute');
    ELSIF v.state = 'review' AND v.publish_at <= at THEN
        UPDATE csm.article_versions x SET state = 'published' WHERE x.id = v.id AND x.tenant_id = v.tenant_id;
    END IF;
END $$;

CREATE FUNCTION csm_private.due_article_expiry(tenant_id bigint, object_id bigint, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE csm.article_versions v SET state = 'retired', note = 'expired'
    FROM csm.articles a
    WHERE a.id = object_id AND a.tenant_id = tenant_id AND a.expires_at <= at
      AND v.article_id = a.id AND v.tenant_id = a.tenant_id AND v.state = 'published';
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.article_transitions()',
        'csm_private.article_version_guard()',
        'csm_private.article_version_follow()',
        'csm_private.article_actors(csm.articles, csm.article_versions)',
        'csm_private.known_article(bigint)',
        'csm_private.check_article_end(csm.articles, timestamptz)',
        'csm.article_actions(bigint)',
        'csm.act_on_article(bigint, text, text, timestamptz, integer)',
        'csm.edit_article(bigint, integer, text, text, text)',
        'csm.restrict_article(bigint, jsonb)',
        'csm_private.reader_language()',
        'csm.article_in(bigint, text)',
        'csm_private.due_article_publish(bigint, bigint, timestamptz)',
        'csm_private.due_article_expiry(bigint, bigint, timestamptz)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION csm.article_actions(bigint), csm.act_on_article(bigint, text, text, timestamptz, integer),
    csm.edit_article(bigint, integer, text, text, text) TO csm_portal, csm_agent;
GRANT EXECUTE ON FUNCTION csm.restrict_article(bigint, jsonb) TO csm_agent;
GRANT EXECUTE ON FUNCTION csm.article_in(bigint, text), csm_private.reader_language() TO csm_guest, csm_portal, csm_agent, csm_admin;
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

CREATE TRIGGER article_versions_10_guard BEFORE INSERT OR UPDATE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_version_guard();
CREATE TRIGGER article_versions_10_append_only BEFORE DELETE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER article_versions_10_append_only_truncate BEFORE TRUNCATE ON csm.article_versions
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();
CREATE TRIGGER article_versions_20_follow AFTER UPDATE ON csm.article_versions
    FOR EACH ROW EXECUTE FUNCTION csm_private.article_version_follow();
