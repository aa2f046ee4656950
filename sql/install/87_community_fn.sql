-- The verbs of the community: ask, answer, comment, edit, delete, accept, vote,
-- follow.
--
-- They run as csm_owner and ask the audience of the forum themselves, by the
-- words of the policies.  A post that is hidden from the caller and one that
-- does not exist are reported alike.

-- Posts of all kinds as one, for those functions.
CREATE VIEW csm_private.posts WITH (security_invoker = true) AS
    SELECT 'question' AS kind, q.id, q.tenant_id, q.id AS question_id, NULL::bigint AS answer_id, NULL::bigint AS comment_id,
           q.forum_id, q.audience_id, q.author_id, q.created_at, q.state,
           q.state IN ('visible', 'deleted') AS shown, q.locked, q.state AS question_state, q.author_id AS asker_id, q.title, q.body
    FROM csm.questions q
  UNION ALL
    SELECT 'answer', a.id, a.tenant_id, a.question_id, a.id, NULL,
           q.forum_id, a.audience_id, a.author_id, a.created_at, a.state,
           a.state IN ('visible', 'deleted') AND a.thread_shown, q.locked, q.state, q.author_id, NULL, a.body
    FROM csm.answers a JOIN csm.questions q ON q.id = a.question_id AND q.tenant_id = a.tenant_id
  UNION ALL
    SELECT 'comment', c.id, c.tenant_id, c.question_id, c.answer_id, c.id,
           q.forum_id, c.audience_id, c.author_id, c.created_at, c.state,
           c.state IN ('visible', 'deleted') AND c.thread_shown, q.locked, q.state, q.author_id, NULL, c.body
    FROM csm.post_comments c JOIN csm.questions q ON q.id = c.question_id AND q.tenant_id = c.tenant_id;
ALTER VIEW csm_private.posts OWNER TO csm_owner;
REVOKE ALL ON csm_private.posts FROM PUBLIC;
GRANT SELECT ON csm_private.posts TO csm_portal, csm_agent;
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

-- Settings of the tenant ----------------------------------------------------

CREATE FUNCTION csm_private.community_setting(settings jsonb, name text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN settings->'community' ? name THEN (settings->'community'->>name)::integer
            ELSE CASE name WHEN 'posts_per_day' THEN 50 WHEN 'votes_per_day' THEN 500
                           WHEN 'reports_per_day' THEN 20 WHEN 'edit_minutes' THEN 60 END END;
COMMENT ON FUNCTION csm_private.community_setting(jsonb, text) IS
'A number from the setting community of a tenant, or its default: posts_per_day 50, votes_per_day 500, reports_per_day 20 (a person), edit_minutes 60 (in which an author edits); NULL means no limit';

CREATE FUNCTION csm_private.check_community_settings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
BEGIN
    IF csm_private.restoring() OR NOT NEW.settings ? 'community' THEN
        RETURN NULL;
    END IF;
    FOR s IN SELECT e.key, e.value FROM jsonb_each(CASE jsonb_typeof(NEW.settings->'community') WHEN 'object'
                                                   THEN NEW.settings->'community' ELSE '{"community": true}' END) e LOOP
        IF s.key NOT IN ('posts_per_day', 'votes_per_day', 'reports_per_day', 'edit_minutes')
           OR jsonb_typeof(s.value) NOT IN ('number', 'null') OR s.value::text !~ '^([0-9]{1,6}|null)$' THEN
            RAISE EXCEPTION 'setting community of a tenant has posts_per_day, votes_per_day, reports_per_day and edit_minutes'
                USING ERRCODE = '22023', DETAIL = format('It has %s: %s.', s.key, s.value),
                      HINT = 'Each is a whole number, or null for no limit.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.check_community_settings() IS 'Trigger of csm.tenants: judges the setting community (22023)';
CREATE TRIGGER tenants_50_community AFTER INSERT OR UPDATE OF settings ON csm.tenants
    FOR EACH ROW EXECUTE FUNCTION csm_private.check_community_settings();

-- Not counted for moderators: it is they who clear up.
CREATE FUNCTION csm_private.count_community(setting text, audience_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := (SELECT csm_private.community_setting(t.settings, count_community.setting)
                              FROM csm.tenants t WHERE t.id = csm.current_tenant_id());
BEGIN
    IF most IS NULL OR csm.audience_allows(count_community.audience_id, 'moderate') THEN
        RETURN;
    ELSIF most = 0 OR NOT csm_private.attempt('community_' || setting, csm.current_user_id()::text, most, interval '1 day') THEN
        RAISE EXCEPTION 'no more % in the community today', split_part(setting, '_', 1) USING ERRCODE = 'SM007',
            DETAIL = format('The limit is %s in 24 hours.', most), HINT = 'Try again later.';
    END IF;
END $$;
COMMENT ON FUNCTION csm_private.count_community(text, bigint) IS
'Counts a post, vote or report of the caller, whether or not the transaction commits; SM007 when it is one too many. Nothing for moderators';

-- Finding and locking -------------------------------------------------------

CREATE FUNCTION csm_private.post_allows(p csm_private.posts) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(p.tenant_id = csm.current_tenant_id() AND csm.audience_allows(p.audience_id, 'read')
                    AND (p.shown OR p.author_id = csm.current_user_id() OR csm.audience_allows(p.audience_id, 'moderate')), false);
END $$;
COMMENT ON FUNCTION csm_private.post_allows(csm_private.posts) IS
'Whether the caller reads the post, by the rule of the policies; false for a missing one';

CREATE FUNCTION csm_private.seen_post(kind text, post_id bigint) RETURNS csm_private.posts
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
COMMENT ON FUNCTION csm_private.seen_post(text, bigint) IS
'The post, by the rule of the policies; 42501 for hidden and missing alike, 22023 for an unknown kind';

-- Asked before, so that nobody locks what he does not see, and after, so that
-- the answer is about what the lock holds.
CREATE FUNCTION csm_private.lock_post(kind text, post_id bigint) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p csm_private.posts := csm_private.seen_post(kind, post_id);
BEGIN
    PERFORM FROM csm.questions q WHERE q.id = p.question_id AND q.tenant_id = p.tenant_id FOR NO KEY UPDATE;
    RETURN csm_private.seen_post(kind, post_id);
END $$;
COMMENT ON FUNCTION csm_private.lock_post(text, bigint) IS
'The post, its thread locked; errors as csm_private.seen_post()';

-- What depends on several posts of a thread; the caller has locked it.
CREATE FUNCTION csm_private.settle_thread(question_id bigint) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    q csm.questions;
    is_shown boolean;
BEGIN
    SELECT * INTO q FROM csm.questions x WHERE x.id = question_id;
    is_shown := q.state IN ('visible', 'deleted');
    UPDATE csm.answers a SET thread_shown = is_shown WHERE a.question_id = question_id AND a.thread_shown <> is_shown;
    UPDATE csm.post_comments c SET thread_shown = v.shown
    FROM (SELECT m.id, is_shown AND (a.id IS NULL OR a.state IN ('visible', 'deleted')) AS shown
          FROM csm.post_comments m LEFT JOIN csm.answers a ON a.id = m.answer_id AND a.tenant_id = m.tenant_id
          WHERE m.question_id = question_id) v
    WHERE c.id = v.id AND c.thread_shown <> v.shown;
    UPDATE csm.questions x SET answer_count = s.n, answered = s.accepted, activity_at = greatest(x.activity_at, s.last)
    FROM (SELECT count(*) AS n, coalesce(bool_or(a.accepted), false) AS accepted, max(a.created_at) AS last
          FROM csm.answers a WHERE a.question_id = question_id AND a.state = 'visible') s
    WHERE x.id = question_id AND (x.answer_count, x.answered, x.activity_at) IS DISTINCT FROM (s.n, s.accepted, greatest(x.activity_at, s.last));
    SELECT * INTO q FROM csm.questions x WHERE x.id = question_id;
    RETURN q;
END $$;
COMMENT ON FUNCTION csm_private.settle_thread(bigint) IS
'Reckons thread_shown, answer_count, answered and activity_at of a thread anew and returns the question';

-- Writing -------------------------------------------------------------------

CREATE FUNCTION csm_private.open_forum(forum text, action text) RETURNS csm.forums
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f csm.forums;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.key = open_forum.forum AND x.tenant_id = csm.current_tenant_id();
    IF f.id IS NULL OR NOT csm.audience_allows(f.audience_id, 'read') THEN
        RAISE EXCEPTION 'forum "%" does not exist', coalesce(forum, 'NULL') USING ERRCODE = '42501',
            HINT = 'One that you may not see is reported in the same way.';
    ELSIF NOT csm.audience_allows(f.audience_id, action) THEN
        RAISE EXCEPTION 'permission denied in forum "%"', f.key USING ERRCODE = '42501',
            DETAIL = format('It takes the right "%s".', action), HINT = 'The grants of its audience say who has it.';
    ELSIF NOT f.active THEN
        RAISE EXCEPTION 'forum "%" is closed', f.key USING ERRCODE = '55000', HINT = 'It can be read.';
    END IF;
    RETURN f;
END $$;
COMMENT ON FUNCTION csm_private.open_forum(text, text) IS
'The forum of that key, where the caller has the right; 42501 for hidden and missing alike, 55000 where it is closed';

-- First posts wait where the forum says so.
CREATE FUNCTION csm_private.first_state(f csm.forums) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN f.hold_posts > 0 AND NOT csm.audience_allows(f.audience_id, 'moderate')
                     AND (SELECT count(*) FROM (SELECT FROM csm_private.posts p
                                                WHERE p.author_id = csm.current_user_id() AND p.state = 'visible'
                                                LIMIT f.hold_posts) x) < f.hold_posts
                THEN 'held' ELSE 'visible' END
$$;
COMMENT ON FUNCTION csm_private.first_state(csm.forums) IS
'State of a new post of the caller in the forum: held while too few of his posts are shown (csm.forums.hold_posts), else visible';

CREATE FUNCTION csm.ask(forum text, title text, body text, language text DEFAULT 'english') RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f CONSTANT csm.forums := csm_private.open_forum(forum, 'ask');
    q csm.questions;
BEGIN
    PERFORM csm_private.count_community('posts_per_day', f.audience_id);
    INSERT INTO csm.questions (tenant_id, forum_id, author_id, by_staff, state, language, title, body)
    VALUES (f.tenant_id, f.id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), language, title, body)
    RETURNING * INTO q;
    INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) VALUES (q.tenant_id, q.author_id, q.id);
    RETURN q;
END $$;
COMMENT ON FUNCTION csm.ask(text, text, text, text) IS
'Asks a question in the forum of that key and returns it; the asker follows it. It may wait for a moderator (state held). Errors: 42501 no such forum, or no right to ask in it, 55000 forum closed, 23502 and 23514 title or body missing, blank or too long, SM007 too many posts today';

CREATE FUNCTION csm_private.thread_to_answer(kind text, post_id bigint, asker_may boolean) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
    f csm.forums;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    IF NOT (csm.audience_allows(p.audience_id, 'answer')
            OR asker_may AND p.asker_id = csm.current_user_id() AND csm.audience_allows(p.audience_id, 'ask')) THEN
        RAISE EXCEPTION 'permission denied in forum "%"', f.key USING ERRCODE = '42501',
            DETAIL = 'It takes the right "answer".', HINT = 'The grants of its audience say who has it.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR NOT f.active
          OR p.locked AND NOT csm.audience_allows(p.audience_id, 'moderate') THEN
        RAISE EXCEPTION '% % takes no answer', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is held, hidden or deleted, or the thread is locked or the forum closed.',
            HINT = 'A moderator can release it.';
    END IF;
    PERFORM csm_private.count_community('posts_per_day', p.audience_id);
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.thread_to_answer(text, bigint, boolean) IS
'The post, its thread locked, where the caller may write below it now, which is counted; asker_may: the asker may with the right to ask. Errors of csm.answer_question()';

CREATE FUNCTION csm.answer_question(question_id bigint, body text) RETURNS csm.answers
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.thread_to_answer('question', question_id, false);
    f csm.forums;
    a csm.answers;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    INSERT INTO csm.answers (tenant_id, question_id, author_id, by_staff, state, body)
    VALUES (p.tenant_id, p.question_id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), body)
    RETURNING * INTO a;
    INSERT INTO csm.subscriptions (tenant_id, user_id, question_id) VALUES (p.tenant_id, a.author_id, p.question_id)
    ON CONFLICT ON CONSTRAINT subscriptions_question_key DO NOTHING;
    PERFORM csm_private.settle_thread(p.question_id);
    RETURN a;
END $$;
COMMENT ON FUNCTION csm.answer_question(bigint, text) IS
'Answers a question and returns the answer; who answers follows the question. It may wait for a moderator (state held). Errors: 42501 no such question, or no right to answer, 55000 held, hidden, deleted, locked or forum closed, 23502 and 23514 body missing, blank or too long, SM007 too many posts today';

CREATE FUNCTION csm.comment_post(kind text, post_id bigint, body text) RETURNS csm.post_comments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.thread_to_answer(kind, post_id, true);
    f csm.forums;
    c csm.post_comments;
BEGIN
    SELECT * INTO f FROM csm.forums x WHERE x.id = p.forum_id AND x.tenant_id = p.tenant_id;
    INSERT INTO csm.post_comments (tenant_id, question_id, answer_id, author_id, by_staff, state, body)
    VALUES (p.tenant_id, p.question_id, p.answer_id, csm.current_user_id(), csm_private.is_staff(), csm_private.first_state(f), body)
    RETURNING * INTO c;
    PERFORM csm_private.settle_thread(p.question_id);
    RETURN c;
END $$;
COMMENT ON FUNCTION csm.comment_post(text, bigint, text) IS
'Comments on a question or an answer (kind), or beside a comment, and returns the comment. By who may answer, and the asker. Errors as csm.answer_question(), and 22023 for an unknown kind';

CREATE FUNCTION csm_private.keep_version(p csm_private.posts) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO csm.post_versions (tenant_id, audience_id, question_id, answer_id, comment_id, author_id, title, body, replaced_by)
    VALUES (p.tenant_id, p.audience_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END,
            CASE p.kind WHEN 'comment' THEN p.id END, p.author_id, p.title, p.body, csm.current_user_id());
END $$;
COMMENT ON FUNCTION csm_private.keep_version(csm_private.posts) IS 'Keeps the text of a post that is about to change';

CREATE FUNCTION csm_private.post_to_change(kind text, post_id bigint, until_minutes boolean) RETURNS csm_private.posts
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
    minutes integer;
BEGIN
    IF csm.audience_allows(p.audience_id, 'moderate') AND until_minutes THEN
        NULL;
    ELSIF p.author_id IS DISTINCT FROM csm.current_user_id() THEN
        RAISE EXCEPTION 'permission denied to change % %', kind, p.id USING ERRCODE = '42501',
            HINT = 'Its author does, and moderators.';
    ELSIF p.locked OR p.state = 'hidden' THEN
        RAISE EXCEPTION '% % can no longer be changed', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It is hidden, or the thread is locked.', HINT = 'A moderator can release it.';
    ELSIF until_minutes THEN
        SELECT csm_private.community_setting(t.settings, 'edit_minutes') INTO minutes FROM csm.tenants t WHERE t.id = p.tenant_id;
        IF clock_timestamp() > p.created_at + make_interval(mins => minutes) THEN
            RAISE EXCEPTION '% % can no longer be changed', kind, p.id USING ERRCODE = '55000',
                DETAIL = format('An author edits for %s minutes.', minutes), HINT = 'Add a comment, or delete it.';
        END IF;
    END IF;
    IF p.state = 'deleted' THEN
        RAISE EXCEPTION '% % is deleted', kind, p.id USING ERRCODE = '55000', HINT = 'It stays as it is.';
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION csm_private.post_to_change(text, bigint, boolean) IS
'The post, its thread locked, where the caller may change it: its author (with until_minutes as long as the setting edit_minutes says), with until_minutes also moderators. Errors 42501, 55000';

CREATE FUNCTION csm_private.write_post(p csm_private.posts, title text, body text, state text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE p.kind
        WHEN 'question' THEN
            UPDATE csm.questions x SET title = title, body = body, state = state, edited_at = clock_timestamp() WHERE x.id = p.id;
        WHEN 'answer' THEN
            UPDATE csm.answers x SET body = body, state = state, accepted = x.accepted AND state = 'visible', edited_at = clock_timestamp()
            WHERE x.id = p.id;
        ELSE
            UPDATE csm.post_comments x SET body = body, state = state, edited_at = clock_timestamp() WHERE x.id = p.id;
    END CASE;
END $$;
COMMENT ON FUNCTION csm_private.write_post(csm_private.posts, text, text, text) IS 'Writes text and state of a post';

CREATE FUNCTION csm.edit_post(kind text, post_id bigint, body text, title text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.post_to_change(kind, post_id, true);
BEGIN
    IF title IS NOT NULL AND p.kind <> 'question' THEN
        RAISE EXCEPTION 'a % has no title', p.kind USING ERRCODE = '22023', HINT = 'Leave title out.';
    END IF;
    PERFORM csm_private.keep_version(p), csm_private.write_post(p, coalesce(title, p.title), coalesce(body, p.body), p.state);
END $$;
COMMENT ON FUNCTION csm.edit_post(text, bigint, text, text) IS
'Changes the text of a post (kind question, answer, comment); NULL: as it is. What it was stays in csm.post_versions. By its author as long as the setting community.edit_minutes says, and by moderators. Errors: 42501 no such post, or not one''s own, 55000 too late, hidden, deleted or locked, 22023 argument, 23514 text blank or too long';

CREATE FUNCTION csm.delete_post(kind text, post_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p CONSTANT csm_private.posts := csm_private.post_to_change(kind, post_id, false);
BEGIN
    PERFORM csm_private.keep_version(p), csm_private.write_post(p, 'deleted', 'deleted', 'deleted');
    PERFORM csm_private.settle_thread(p.question_id);
END $$;
COMMENT ON FUNCTION csm.delete_post(text, bigint) IS
'Its author takes a post back: in its place stands "deleted", and what hangs on it stays; the text is kept for moderators in csm.post_versions. Errors: 42501 no such post, or not one''s own, 55000 deleted already, hidden or locked';

CREATE FUNCTION csm.accept_answer(answer_id bigint, accepted boolean DEFAULT true) RETURNS csm.questions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT csm_private.posts := csm_private.lock_post('answer', answer_id);
    moderates CONSTANT boolean := csm.audience_allows(p.audience_id, 'moderate');
BEGIN
    IF p.asker_id IS DISTINCT FROM csm.current_user_id() AND NOT moderates THEN
        RAISE EXCEPTION 'permission denied to accept answer %', p.id USING ERRCODE = '42501',
            HINT = 'Who asked does, and moderators.';
    ELSIF accepted IS NULL THEN
        RAISE EXCEPTION 'accepted is null' USING ERRCODE = '22004', HINT = 'Pass true, or false to take it back.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR p.locked AND NOT moderates THEN
        RAISE EXCEPTION 'answer % cannot be accepted', p.id USING ERRCODE = '55000',
            DETAIL = 'It or the question is held, hidden or deleted, or the thread is locked.', HINT = 'A moderator can release it.';
    END IF;
    UPDATE csm.answers x SET accepted = false WHERE x.question_id = p.question_id AND x.accepted AND (accepted OR x.id = p.id);
    IF accepted THEN
        UPDATE csm.answers x SET accepted = true WHERE x.id = p.id;
    END IF;
    RETURN csm_private.settle_thread(p.question_id);
END $$;
COMMENT ON FUNCTION csm.accept_answer(bigint, boolean) IS
'Says that an answer solved the question, in place of any accepted before (false: takes it back), and returns the question. By who asked and moderators. Errors: 42501 no such answer, or not permitted, 55000 held, hidden, deleted or locked';

-- Votes ---------------------------------------------------------------------

CREATE FUNCTION csm_private.count_vote() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE csm.questions q SET score = q.score - OLD.value WHERE q.id = OLD.question_id AND q.tenant_id = OLD.tenant_id;
        UPDATE csm.answers a SET score = a.score - OLD.value WHERE a.id = OLD.answer_id AND a.tenant_id = OLD.tenant_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE csm.questions q SET score = q.score + NEW.value WHERE q.id = NEW.question_id AND q.tenant_id = NEW.tenant_id;
        UPDATE csm.answers a SET score = a.score + NEW.value WHERE a.id = NEW.answer_id AND a.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.count_vote() IS 'Trigger of csm.votes: the score of the post follows, whoever writes';
CREATE TRIGGER votes_20_count AFTER INSERT OR UPDATE OF value, question_id, answer_id OR DELETE ON csm.votes
    FOR EACH ROW EXECUTE FUNCTION csm_private.count_vote();

-- When two persons turn out to be one, a vote may turn out to be his second on a
-- post, or on one of his own.  Taken back before they are made one, while the
-- scores still follow.
CREATE FUNCTION csm_private.merge_votes(gone bigint, kept bigint) RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH d AS (
        DELETE FROM csm.votes v
        WHERE v.voter_id = gone
          AND EXISTS (SELECT FROM csm.votes k
                      WHERE k.voter_id = kept AND (k.question_id = v.question_id OR k.answer_id = v.answer_id))
           OR v.voter_id IN (gone, kept)
          AND EXISTS (SELECT FROM csm_private.posts p
                      WHERE p.author_id IN (gone, kept)
                        AND (p.kind = 'question' AND p.id = v.question_id OR p.kind = 'answer' AND p.id = v.answer_id))
        RETURNING v)
    SELECT coalesce(jsonb_agg(jsonb_build_object('table', 'csm.votes', 'row', to_jsonb(d.v))), '[]') FROM d
$$;
COMMENT ON FUNCTION csm_private.merge_votes(bigint, bigint) IS
'Takes back votes that cannot stand once the two persons are one, and returns them as csm.user_merges keeps them';

CREATE FUNCTION csm.vote(kind text, post_id bigint, value integer DEFAULT 1) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    me CONSTANT bigint := csm.current_user_id();
    p CONSTANT csm_private.posts := csm_private.lock_post(kind, post_id);
BEGIN
    IF value IS NULL OR value NOT IN (-1, 0, 1) OR p.kind = 'comment' THEN
        RAISE EXCEPTION 'a vote is 1, -1 or 0, on a question or an answer' USING ERRCODE = '22023',
            DETAIL = format('Given: %s on a %s.', coalesce(value::text, 'NULL'), p.kind), HINT = '0 takes a vote back.';
    ELSIF p.author_id = me THEN
        RAISE EXCEPTION '% % is your own', kind, p.id USING ERRCODE = '42501', HINT = 'Others vote on it.';
    ELSIF p.state <> 'visible' OR p.question_state <> 'visible' OR p.locked THEN
        RAISE EXCEPTION '% % takes no vote', kind, p.id USING ERRCODE = '55000',
            DETAIL = 'It or the question is held, hidden or deleted, or the thread is locked.', HINT = 'A moderator can release it.';
    END IF;
    PERFORM csm_private.count_community('votes_per_day', p.audience_id);
    DELETE FROM csm.votes v
    WHERE v.voter_id = me AND v.tenant_id = p.tenant_id AND v.value <> value
      AND CASE p.kind WHEN 'question' THEN v.question_id ELSE v.answer_id END = p.id;
    IF value <> 0 THEN
        INSERT INTO csm.votes (tenant_id, question_id, answer_id, voter_id, value)
        VALUES (p.tenant_id, CASE p.kind WHEN 'question' THEN p.id END, CASE p.kind WHEN 'answer' THEN p.id END, me, value)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN CASE p.kind WHEN 'question' THEN (SELECT q.score FROM csm.questions q WHERE q.id = p.id)
                       ELSE (SELECT a.score FROM csm.answers a WHERE a.id = p.id) END;
END $$;
COMMENT ON FUNCTION csm.vote(text, bigint, integer) IS
'Votes for (1) or against (-1) a question or an answer, or takes the vote back (0), and returns the score; one vote a person and post, the last one counts. Errors: 42501 no such post, or one''s own, 55000 held, hidden, deleted or locked, 22023 argument, SM007 too many votes today';

-- Following -----------------------------------------------------------------

-- With the rights of the caller: what he may not read any more is no news.
CREATE FUNCTION csm.community_news()
RETURNS TABLE (subscription_id bigint, kind text, post_id bigint, question_id bigint, title text, author_name text, created_at timestamptz)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT s.id, 'question', q.id, q.id, q.title, q.author_name, q.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.forum_id = s.forum_id AND q.tenant_id = s.tenant_id
    WHERE q.created_at > s.seen_at AND q.state = 'visible' AND q.author_id <> s.user_id
  UNION ALL
    SELECT s.id, 'answer', a.id, q.id, q.title, a.author_name, a.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.id = s.question_id AND q.tenant_id = s.tenant_id
    JOIN csm.answers a ON a.question_id = q.id AND a.tenant_id = q.tenant_id
    WHERE a.created_at > s.seen_at AND a.state = 'visible' AND a.author_id <> s.user_id
  UNION ALL
    SELECT s.id, 'comment', c.id, q.id, q.title, c.author_name, c.created_at
    FROM csm.subscriptions s JOIN csm.questions q ON q.id = s.question_id AND q.tenant_id = s.tenant_id
    JOIN csm.post_comments c ON c.question_id = q.id AND c.tenant_id = q.tenant_id
    WHERE c.created_at > s.seen_at AND c.state = 'visible' AND c.author_id <> s.user_id
    ORDER BY 7 DESC, 2, 3;
END;
COMMENT ON FUNCTION csm.community_news() IS
'What others wrote since seen_at in the forums (questions) and on the questions (answers, comments) that the caller follows, as far as he reads it, the newest first. UPDATE csm.subscriptions SET seen_at says what was read';

CREATE FUNCTION csm.community_people()
RETURNS TABLE (handle text, display text, about text, forum text, questions bigint, answers bigint, accepted bigint)
LANGUAGE sql STABLE ROWS 50
BEGIN ATOMIC
    SELECT p.handle, coalesce(p.display, p.handle), p.about, f.title,
           (SELECT count(*) FROM csm.questions q WHERE q.author_id = p.user_id AND q.tenant_id = p.tenant_id AND q.state = 'visible'),
           a.n, a.accepted
    FROM csm.community_profiles p
    JOIN csm.forums f ON f.id = p.forum_id AND f.tenant_id = p.tenant_id
    CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE x.accepted) AS accepted
                        FROM csm.answers x WHERE x.author_id = p.user_id AND x.tenant_id = p.tenant_id AND x.state = 'visible') a
    WHERE p.visible
    ORDER BY p.handle;
END;
COMMENT ON FUNCTION csm.community_people() IS
'People who show themselves to readers of a forum that the caller reads, with how many of their questions, answers and accepted answers he sees; nobody else is named';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.community_setting(jsonb, text)',
        'csm_private.check_community_settings()',
        'csm_private.count_community(text, bigint)',
        'csm_private.post_allows(csm_private.posts)',
        'csm_private.seen_post(text, bigint)',
        'csm_private.lock_post(text, bigint)',
        'csm_private.settle_thread(bigint)',
        'csm_private.open_forum(text, text)',
        'csm_private.first_state(csm.forums)',
        'csm_private.thread_to_answer(text, bigint, boolean)',
        'csm_private.keep_version(csm_private.posts)',
        'csm_private.post_to_change(text, bigint, boolean)',
        'csm_private.write_post(csm_private.posts, text, text, text)',
        'csm_private.count_vote()',
        'csm_private.merge_votes(bigint, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY[
        'csm.ask(text, text, text, text)',
        'csm.answer_question(bigint, text)',
        'csm.comment_post(text, bigint, text)',
        'csm.edit_post(text, bigint, text, text)',
        'csm.delete_post(text, bigint)',
        'csm.accept_answer(bigint, boolean)',
        'csm.vote(text, bigint, integer)',
        'csm.community_news()',
        'csm.community_people()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO csm_portal, csm_agent', f);
    END LOOP;
END $$;
