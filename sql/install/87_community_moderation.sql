-- Moderation: earlier texts, reports, acts.

CREATE TABLE csm.post_versions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    author_id bigint NOT NULL,
    title text,
    body text NOT NULL,
    replaced_by bigint,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT post_versions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_versions_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_versions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_versions_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_versions_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT post_versions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_versions_replaced_by_fkey FOREIGN KEY (replaced_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_versions_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1)
);
CREATE INDEX post_versions_audience_idx ON csm.post_versions (audience_id);
CREATE INDEX post_versions_question_idx ON csm.post_versions (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX post_versions_answer_idx ON csm.post_versions (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX post_versions_comment_idx ON csm.post_versions (comment_id) WHERE comment_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.post_versions');

CREATE TABLE csm.post_reports (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    reporter_id bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_by bigint,
    closed_at timestamptz,
    CONSTRAINT post_reports_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_reports_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_reports_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_reports_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_reports_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT post_reports_reporter_fkey FOREIGN KEY (reporter_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_reports_closed_by_fkey FOREIGN KEY (closed_by, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_reports_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1),
    CONSTRAINT post_reports_reason_check CHECK (length(reason) BETWEEN 1 AND 4000 AND reason !~ '^[[:space:]]*$')
);
-- One open report a person and post.
CREATE UNIQUE INDEX post_reports_question_key ON csm.post_reports (question_id, reporter_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX post_reports_answer_key ON csm.post_reports (answer_id, reporter_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX post_reports_comment_key ON csm.post_reports (comment_id, reporter_id) WHERE closed_at IS NULL;
CREATE INDEX post_reports_audience_idx ON csm.post_reports (audience_id, closed_at);
SELECT csm_private.adopt_table('csm.post_reports');

-- An act belongs to the forum in which it was done, wherever the post is now.
CREATE TABLE csm.moderation_acts (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    forum_id bigint NOT NULL,
    question_id bigint,
    answer_id bigint,
    comment_id bigint,
    author_id bigint NOT NULL,
    action text NOT NULL,
    to_forum_id bigint,
    actor_id bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT moderation_acts_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT moderation_acts_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT moderation_acts_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT moderation_acts_to_forum_fkey FOREIGN KEY (to_forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT moderation_acts_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT moderation_acts_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT moderation_acts_comment_fkey FOREIGN KEY (comment_id, tenant_id) REFERENCES csm.post_comments (id, tenant_id),
    CONSTRAINT moderation_acts_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT moderation_acts_actor_fkey FOREIGN KEY (actor_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT moderation_acts_one_post CHECK (num_nonnulls(question_id, answer_id, comment_id) = 1),
    CONSTRAINT moderation_acts_action_check CHECK (action IN ('approve', 'hide', 'restore', 'lock', 'unlock', 'move', 'dismiss')),
    CONSTRAINT moderation_acts_move_check CHECK ((action = 'move') = (to_forum_id IS NOT NULL)),
    CONSTRAINT moderation_acts_reason_check CHECK (length(reason) BETWEEN 1 AND 4000 AND reason !~ '^[[:space:]]*$')
);
CREATE INDEX moderation_acts_audience_idx ON csm.moderation_acts (audience_id, created_at DESC);
CREATE INDEX moderation_acts_question_idx ON csm.moderation_acts (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX moderation_acts_answer_idx ON csm.moderation_acts (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX moderation_acts_comment_idx ON csm.moderation_acts (comment_id) WHERE comment_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.moderation_acts');
CREATE TRIGGER moderation_acts_10_append_only BEFORE UPDATE OR DELETE ON csm.moderation_acts
    FOR EACH ROW EXECUTE FUNCTION csm_private.append_only('reason');
CREATE TRIGGER moderation_acts_10_append_only_truncate BEFORE TRUNCATE ON csm.moderation_acts
    FOR EACH STATEMENT EXECUTE FUNCTION csm_private.append_only();

CREATE POLICY post_versions_select ON csm.post_versions FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (author_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
CREATE POLICY post_reports_select ON csm.post_reports FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (reporter_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
CREATE POLICY moderation_acts_select ON csm.moderation_acts FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read') AND (author_id = csm.current_user_id() OR csm.audience_allows(audience_id, 'moderate')));
GRANT SELECT ON csm.post_versions, csm.post_reports, csm.moderation_acts TO csm_portal, csm_agent;

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

CREATE FUNCTION csm.report_post(kind text, post_id bigint, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
BEGIN
    IF p.author_id = csm.current_user_id() OR p.state = 'deleted' THEN
        RAISE EXCEPTION '% % cannot be reported', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is your own, or deleted.', HINT = 'csm.delete_post() takes back one''s own.';
    END IF;
    PERFORM csm_private.count_community('reports_per_day', p.audience_id);
    INSERT INTO csm.post_reports (tenant_id, audience_id, question_id, answer_id, comment_id, reporter_id, reason)
    VALUES (p.tenant_id, p.audience_id, CASE kind WHEN 'question' THEN p.id END, CASE kind WHEN 'answer' THEN p.id END,
            CASE kind WHEN 'comment' THEN p.id END, csm.current_user_id(), reason)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION csm.report_post(text, bigint, text) IS
'Brings a post (kind question, answer, comment) to the moderators of its forum; false where the caller has an open report on it. Errors: 42501 no such post, 55000 one''s own, or deleted, 23502 and 23514 no reason, 22023 unknown kind, SM007 too many reports today';

-- A question and what hangs on it goes to another forum.
CREATE FUNCTION csm_private.place_thread(question_id bigint, f csm.forums) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE csm.questions q SET forum_id = f.id, audience_id = f.audience_id, is_public = f.is_public WHERE q.id = question_id;
    UPDATE csm.answers a SET audience_id = f.audience_id, is_public = f.is_public WHERE a.question_id = question_id;
    UPDATE csm.post_comments c SET audience_id = f.audience_id, is_public = f.is_public WHERE c.question_id = question_id;
    UPDATE csm.post_versions v SET audience_id = f.audience_id
    WHERE v.question_id = question_id
       OR v.answer_id IN (SELECT a.id FROM csm.answers a WHERE a.question_id = question_id)
       OR v.comment_id IN (SELECT c.id FROM csm.post_comments c WHERE c.question_id = question_id);
    UPDATE csm.post_reports r SET audience_id = f.audience_id
    WHERE r.question_id = question_id
       OR r.answer_id IN (SELECT a.id FROM csm.answers a WHERE a.question_id = question_id)
       OR r.comment_id IN (SELECT c.id FROM csm.post_comments c WHERE c.question_id = question_id);
END $$;
COMMENT ON FUNCTION csm_private.place_thread(bigint, csm.forums) IS
'Moves a question with its answers, comments, earlier texts and reports to a forum; acts stay where they were done';

CREATE FUNCTION csm.moderate(kind text, post_id bigint, action text, reason text, forum text DEFAULT NULL) RETURNS csm.moderation_acts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    p csm_private.posts := csm_private.seen_post(kind, post_id);
    target csm.forums;
    done csm.moderation_acts;
BEGIN
    IF NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION 'permission denied to moderate % %', kind, p.id USING ERRCODE = '42501',
            HINT = 'Moderators of its forum do.';
    ELSIF action IS NULL OR action NOT IN ('approve', 'hide', 'restore', 'lock', 'unlock', 'move', 'dismiss')
          OR action IN ('lock', 'unlock', 'move') AND kind <> 'question' OR (action = 'move') <> (forum IS NOT NULL) THEN
        RAISE EXCEPTION 'a % cannot be moderated so', kind USING ERRCODE = '22023',
            DETAIL = format('Given: action %s, forum %s.', coalesce(action, 'NULL'), coalesce(forum, 'NULL')),
            HINT = 'Actions are approve, hide, restore and dismiss, of questions also lock, unlock and move (with a forum).';
    END IF;
    IF action = 'move' THEN
        target := csm_private.open_forum(forum, 'moderate');
        PERFORM FROM csm.forums x WHERE x.id = target.id AND x.tenant_id = target.tenant_id FOR SHARE;
        SELECT * INTO target FROM csm.forums x WHERE x.id = target.id AND x.tenant_id = target.tenant_id;
    END IF;
    p := csm_private.lock_post(kind, post_id);
    -- it may have been moved away before the lock
    IF NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION 'permission denied to moderate % %', kind, p.id USING ERRCODE = '42501', HINT = 'Moderators of its forum do.';
    ELSIF (CASE action WHEN 'approve' THEN p.state <> 'held' WHEN 'restore' THEN p.state <> 'hidden'
                       WHEN 'hide' THEN p.state NOT IN ('visible', 'held')
                       WHEN 'lock' THEN p.locked WHEN 'unlock' THEN NOT p.locked WHEN 'move' THEN p.forum_id = target.id
                       ELSE false END) THEN
        RAISE EXCEPTION '% % cannot be moderated so', kind, p.id USING ERRCODE = '55000',
            DETAIL = format('The action is %s; its state is %s%s.', action, p.state, CASE WHEN p.locked THEN ', locked' ELSE '' END),
            HINT = 'Another moderator may have been faster.';
    END IF;

    INSERT INTO csm.moderation_acts (tenant_id, audience_id, forum_id, question_id, answer_id, comment_id, author_id, action, to_forum_id, actor_id, reason)
    VALUES (p.tenant_id, p.audience_id, p.forum_id, CASE kind WHEN 'question' THEN p.id END, CASE kind WHEN 'answer' THEN p.id END,
            CASE kind WHEN 'comment' THEN p.id END, p.author_id, action, target.id, me, reason)
    RETURNING * INTO done;
    IF action IN ('approve', 'restore', 'hide') THEN
        CASE kind
            WHEN 'question' THEN
                UPDATE csm.questions q SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END WHERE q.id = p.id;
            WHEN 'answer' THEN
                UPDATE csm.answers a SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END, accepted = a.accepted AND action <> 'hide'
                WHERE a.id = p.id;
            ELSE
                UPDATE csm.post_comments c SET state = CASE action WHEN 'hide' THEN 'hidden' ELSE 'visible' END WHERE c.id = p.id;
        END CASE;
        PERFORM csm_private.settle_thread(p.question_id);
    ELSIF action IN ('lock', 'unlock') THEN
        UPDATE csm.questions q SET locked = action = 'lock' WHERE q.id = p.id;
    ELSIF action = 'move' THEN
        PERFORM csm_private.place_thread(p.id, target);
    END IF;
    IF action IN ('approve', 'restore', 'hide', 'dismiss') THEN
        UPDATE csm.post_reports r SET closed_by = me, closed_at = clock_timestamp()
        WHERE r.closed_at IS NULL AND r.tenant_id = p.tenant_id
          AND CASE kind WHEN 'question' THEN r.question_id WHEN 'answer' THEN r.answer_id ELSE r.comment_id END = p.id;
    END IF;
    RETURN done;
END $$;
COMMENT ON FUNCTION csm.moderate(text, bigint, text, text, text) IS
'Moderates a post (kind question, answer, comment) and returns the act, which is kept with its reason: approve (held: it is shown), hide, restore, dismiss (its reports, without effect), of questions lock, unlock, move (to a forum in which the caller moderates too, with all that hangs on it). What is hidden takes its answers and comments with it, and is accepted no longer. Errors: 42501 no such post or forum, or not a moderator of it, 55000 not from this state, 22023 argument, 23502 and 23514 no reason';

CREATE FUNCTION csm.moderation_queue()
RETURNS TABLE (kind text, post_id bigint, question_id bigint, forum_id bigint, why text, reports bigint, since timestamptz, title text, body text)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT p.kind, p.id, p.question_id, p.forum_id, 'held', 0::bigint, p.created_at, p.title, p.body
    FROM csm_private.posts p
    WHERE p.state = 'held' AND csm.audience_allows(p.audience_id, 'moderate')
  UNION ALL
    SELECT CASE WHEN r.question_id IS NOT NULL THEN 'question' WHEN r.answer_id IS NOT NULL THEN 'answer' ELSE 'comment' END,
           coalesce(r.question_id, r.answer_id, r.comment_id), q.id, q.forum_id, 'reported', r.n, r.since,
           CASE WHEN r.question_id IS NOT NULL THEN q.title END, coalesce(c.body, a.body, q.body)
    FROM (SELECT x.question_id, x.answer_id, x.comment_id, count(*) AS n, min(x.created_at) AS since
          FROM csm.post_reports x
          WHERE x.closed_at IS NULL AND csm.audience_allows(x.audience_id, 'moderate')
          GROUP BY 1, 2, 3) r
    LEFT JOIN csm.answers a ON a.id = r.answer_id
    LEFT JOIN csm.post_comments c ON c.id = r.comment_id
    JOIN csm.questions q ON q.id = coalesce(r.question_id, a.question_id, c.question_id)
    ORDER BY 7, 1, 2;
END;
COMMENT ON FUNCTION csm.moderation_queue() IS
'What waits for the caller as a moderator, the oldest first: posts that are held, and posts with open reports (why, how many, since when). No row for others';

DO $$
DECLARE
    f regprocedure;
BEGIN
    ALTER FUNCTION csm_private.place_thread(bigint, csm.forums) OWNER TO csm_owner;
    REVOKE ALL ON FUNCTION csm_private.place_thread(bigint, csm.forums) FROM PUBLIC;
    FOREACH f IN ARRAY ARRAY[
        'csm.report_post(text, bigint, text)',
        'csm.moderate(text, bigint, text, text, text)',
        'csm.moderation_queue()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
