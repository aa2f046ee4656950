-- Events of articles, questions and publications, in the stream of csm.events.
--
-- As with cases, an id is taken while the row of the subject is locked: of the
-- article, of the question for its whole thread, of the publication.  Whether a
-- subscriber gets one is asked when it is handed out, of the same rules as the
-- policies of the subject; what ended is told to those who would read it if it
-- stood, so that who keeps a copy hears of it.

CREATE FUNCTION csm_private.emit_about(tenant_id bigint, kind text, actor_id bigint, payload jsonb, article_id bigint DEFAULT NULL,
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

CREATE FUNCTION csm_private.event_allows(e csm.events, subjects text[]) RETURNS boolean
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
CREATE FUNCTION csm_private.article_events() RETURNS trigger
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
CREATE FUNCTION csm_private.question_events() RETURNS trigger
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

CREATE FUNCTION csm_private.answer_events() RETURNS trigger
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

CREATE FUNCTION csm_private.publication_events() RETURNS trigger
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
