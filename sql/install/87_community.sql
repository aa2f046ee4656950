-- The community: forums, questions, answers, comments (R A6).
--
-- Who may do what in a forum says its audience: read, ask, answer, moderate.  A
-- post carries the audience of its forum and whether it is shown, so that the
-- policies compare columns of the row alone.
--
-- Every writer of a thread locks the question first; what depends on more than
-- one row of it (thread_shown, answer_count, answered) is reckoned under that
-- lock by csm_private.settle_thread().

CREATE TABLE csm.forums (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    parent_id bigint,
    key text NOT NULL,
    title text NOT NULL,
    description text,
    inherits boolean NOT NULL DEFAULT false,
    is_public boolean NOT NULL DEFAULT false,
    hold_posts integer NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT forums_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT forums_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT forums_parent_fkey FOREIGN KEY (parent_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT forums_key_key UNIQUE (tenant_id, key),
    CONSTRAINT forums_audience_key UNIQUE (audience_id),
    CONSTRAINT forums_key_check CHECK (key ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT forums_title_check CHECK (length(title) BETWEEN 1 AND 200),
    CONSTRAINT forums_description_check CHECK (length(description) <= 4000),
    CONSTRAINT forums_self_check CHECK (parent_id <> id),
    CONSTRAINT forums_inherits_check CHECK (NOT inherits OR parent_id IS NOT NULL),
    CONSTRAINT forums_hold_check CHECK (hold_posts BETWEEN 0 AND 1000)
);
CREATE INDEX forums_parent_idx ON csm.forums (parent_id) WHERE parent_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.forums');

CREATE TABLE csm.questions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    forum_id bigint NOT NULL,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    activity_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    score integer NOT NULL DEFAULT 0,
    answer_count integer NOT NULL DEFAULT 0,
    is_public boolean NOT NULL,
    locked boolean NOT NULL DEFAULT false,
    answered boolean NOT NULL DEFAULT false,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    language text NOT NULL DEFAULT 'english',
    title text NOT NULL,
    body text NOT NULL,
    search tsvector,
    CONSTRAINT questions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT questions_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT questions_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT questions_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT questions_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT questions_title_check CHECK (length(title) BETWEEN 1 AND 400 AND title !~ '^[[:space:]]*$'),
    CONSTRAINT questions_body_check CHECK (length(body) BETWEEN 1 AND 100000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT questions_text_check CHECK (length(author_name) BETWEEN 1 AND 200 AND length(language) <= 63)
);
CREATE INDEX questions_audience_idx ON csm.questions (audience_id, created_at DESC, id DESC);
CREATE INDEX questions_forum_idx ON csm.questions (forum_id, created_at DESC, id DESC);
CREATE INDEX questions_author_idx ON csm.questions (author_id);
CREATE INDEX questions_held_idx ON csm.questions (audience_id) WHERE state = 'held';
CREATE INDEX questions_public_idx ON csm.questions (tenant_id, created_at DESC) WHERE is_public;
CREATE INDEX questions_newest_idx ON csm.questions (tenant_id, created_at DESC, id DESC);
CREATE INDEX questions_search_idx ON csm.questions USING gin (search, csm.time_slices(created_at, is_public));
DO $$
BEGIN
    EXECUTE format('CREATE INDEX questions_title_trgm_idx ON csm.questions USING gin (title %s.gin_trgm_ops, csm.time_slices(created_at, is_public))',
                   csm_private.schema_of('pg_trgm'));
END $$;
SELECT csm_private.adopt_table('csm.questions');
-- As in csm.articles.
ALTER TABLE csm.questions ALTER COLUMN search SET STORAGE MAIN;

CREATE TABLE csm.answers (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint NOT NULL,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    score integer NOT NULL DEFAULT 0,
    is_public boolean NOT NULL,
    thread_shown boolean NOT NULL DEFAULT true,
    accepted boolean NOT NULL DEFAULT false,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    body text NOT NULL,
    CONSTRAINT answers_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT answers_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT answers_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT answers_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT answers_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT answers_accepted_check CHECK (NOT accepted OR state = 'visible'),
    CONSTRAINT answers_body_check CHECK (length(body) BETWEEN 1 AND 100000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT answers_text_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX answers_question_idx ON csm.answers (question_id, created_at);
CREATE UNIQUE INDEX answers_accepted_key ON csm.answers (question_id) WHERE accepted;
CREATE INDEX answers_author_idx ON csm.answers (author_id);
CREATE INDEX answers_audience_idx ON csm.answers (audience_id, created_at);
CREATE INDEX answers_held_idx ON csm.answers (audience_id) WHERE state = 'held';
SELECT csm_private.adopt_table('csm.answers');

CREATE TABLE csm.post_comments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    audience_id bigint NOT NULL,
    question_id bigint NOT NULL,
    answer_id bigint,
    author_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    is_public boolean NOT NULL,
    thread_shown boolean NOT NULL DEFAULT true,
    by_staff boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'visible',
    author_name text NOT NULL,
    body text NOT NULL,
    CONSTRAINT post_comments_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT post_comments_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT post_comments_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT post_comments_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT post_comments_author_fkey FOREIGN KEY (author_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT post_comments_state_check CHECK (state IN ('visible', 'held', 'hidden', 'deleted')),
    CONSTRAINT post_comments_body_check CHECK (length(body) BETWEEN 1 AND 4000 AND body !~ '^[[:space:]]*$'),
    CONSTRAINT post_comments_text_check CHECK (length(author_name) BETWEEN 1 AND 200)
);
CREATE INDEX post_comments_question_idx ON csm.post_comments (question_id, created_at);
CREATE INDEX post_comments_answer_idx ON csm.post_comments (answer_id) WHERE answer_id IS NOT NULL;
CREATE INDEX post_comments_author_idx ON csm.post_comments (author_id);
CREATE INDEX post_comments_audience_idx ON csm.post_comments (audience_id, created_at);
CREATE INDEX post_comments_held_idx ON csm.post_comments (audience_id) WHERE state = 'held';
SELECT csm_private.adopt_table('csm.post_comments');

-- One row a person and post.  The score of the post is kept by triggers in
-- 87_community_fn.sql, whoever writes here.
CREATE TABLE csm.votes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    question_id bigint,
    answer_id bigint,
    voter_id bigint NOT NULL,
    value smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT votes_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT votes_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT votes_answer_fkey FOREIGN KEY (answer_id, tenant_id) REFERENCES csm.answers (id, tenant_id),
    CONSTRAINT votes_voter_fkey FOREIGN KEY (voter_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT votes_question_key UNIQUE (question_id, voter_id),
    CONSTRAINT votes_answer_key UNIQUE (answer_id, voter_id),
    CONSTRAINT votes_one_post CHECK (num_nonnulls(question_id, answer_id) = 1),
    CONSTRAINT votes_value_check CHECK (value IN (-1, 1))
);
CREATE INDEX votes_voter_idx ON csm.votes (voter_id);
SELECT csm_private.adopt_table('csm.votes');

-- A news reader's place: no row is written for each that follows.
CREATE TABLE csm.subscriptions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    forum_id bigint,
    question_id bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT subscriptions_pkey PRIMARY KEY (id, tenant_id),
    CONSTRAINT subscriptions_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT subscriptions_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT subscriptions_question_fkey FOREIGN KEY (question_id, tenant_id) REFERENCES csm.questions (id, tenant_id),
    CONSTRAINT subscriptions_forum_key UNIQUE (user_id, forum_id),
    CONSTRAINT subscriptions_question_key UNIQUE (user_id, question_id),
    CONSTRAINT subscriptions_one_target CHECK (num_nonnulls(forum_id, question_id) = 1)
);
CREATE INDEX subscriptions_forum_idx ON csm.subscriptions (forum_id) WHERE forum_id IS NOT NULL;
CREATE INDEX subscriptions_question_idx ON csm.subscriptions (question_id) WHERE question_id IS NOT NULL;
SELECT csm_private.adopt_table('csm.subscriptions');

CREATE TABLE csm.community_profiles (
    user_id bigint NOT NULL DEFAULT csm.current_user_id(),
    tenant_id bigint NOT NULL DEFAULT csm.default_tenant_id(),
    forum_id bigint NOT NULL,
    audience_id bigint NOT NULL,
    visible boolean NOT NULL DEFAULT false,
    handle text NOT NULL,
    display text,
    about text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT community_profiles_pkey PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT community_profiles_user_fkey FOREIGN KEY (user_id, tenant_id) REFERENCES csm.users (id, tenant_id),
    CONSTRAINT community_profiles_forum_fkey FOREIGN KEY (forum_id, tenant_id) REFERENCES csm.forums (id, tenant_id),
    CONSTRAINT community_profiles_audience_fkey FOREIGN KEY (audience_id, tenant_id) REFERENCES csm.audiences (id, tenant_id),
    CONSTRAINT community_profiles_handle_key UNIQUE (tenant_id, handle),
    -- member-<number> is who has no profile
    CONSTRAINT community_profiles_handle_check CHECK (handle ~ '^[a-z][a-z0-9_.-]{2,29}$' AND handle !~ '^member-'),
    CONSTRAINT community_profiles_text_check CHECK (length(display) BETWEEN 1 AND 100 AND length(about) <= 4000)
);
CREATE INDEX community_profiles_audience_idx ON csm.community_profiles (audience_id) WHERE visible;
SELECT csm_private.adopt_table('csm.community_profiles');

-- Policies ------------------------------------------------------------------

-- What stands between an audience and a post: state, and for answers and
-- comments whether what they hang on is shown.  A deleted post is shown as a
-- place where something was, so that what hangs on it can be read.
CREATE POLICY forums_select ON csm.forums FOR SELECT TO csm_portal, csm_agent
    USING (csm.audience_allows(audience_id, 'read'));
CREATE POLICY forums_select_admin ON csm.forums FOR SELECT TO csm_admin
    USING (csm.audience_allows(audience_id, 'read') OR csm.all_in(tenant_id, 'internal', 'configure'));
CREATE POLICY forums_guest ON csm.forums FOR SELECT TO csm_guest
    USING (is_public AND tenant_id = csm.guest_tenant_id());
CREATE POLICY forums_write ON csm.forums FOR ALL TO csm_admin
    USING (csm.all_in(tenant_id, 'internal', 'configure'));

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN VALUES ('questions', 'state IN (''visible'', ''deleted'')'),
                    ('answers', 'state IN (''visible'', ''deleted'') AND thread_shown'),
                    ('post_comments', 'state IN (''visible'', ''deleted'') AND thread_shown') LOOP
        EXECUTE format('CREATE POLICY %1$s_select ON csm.%1$s FOR SELECT TO csm_portal, csm_agent, csm_admin '
                       'USING (csm.audience_allows(audience_id, ''read'') '
                       'AND (%2$s OR author_id = csm.current_user_id() OR csm.audience_allows(audience_id, ''moderate'')))',
                       t.column1, t.column2);
        EXECUTE format('CREATE POLICY %1$s_guest ON csm.%1$s FOR SELECT TO csm_guest '
                       'USING (is_public AND %2$s AND tenant_id = csm.guest_tenant_id())', t.column1, t.column2);
        EXECUTE format('COMMENT ON POLICY %1$s_select ON csm.%1$s IS ''Who may read in the forum; what is held or hidden only its author and moderators''', t.column1);
        EXECUTE format('COMMENT ON POLICY %1$s_guest ON csm.%1$s IS ''Visitors: what is shown in public forums of their tenant''', t.column1);
        EXECUTE format('GRANT SELECT ON csm.%1$s TO csm_portal, csm_agent, csm_admin', t.column1);
    END LOOP;
END $$;

CREATE POLICY votes_select ON csm.votes FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (voter_id = csm.current_user_id());
CREATE POLICY subscriptions_own ON csm.subscriptions FOR ALL TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id())
    WITH CHECK (user_id = csm.current_user_id()
        AND CASE WHEN question_id IS NULL THEN EXISTS (SELECT FROM csm.forums f WHERE f.id = forum_id AND f.tenant_id = subscriptions.tenant_id)
                 ELSE EXISTS (SELECT FROM csm.questions q WHERE q.id = question_id AND q.tenant_id = subscriptions.tenant_id) END);
CREATE POLICY community_profiles_select ON csm.community_profiles FOR SELECT TO csm_portal, csm_agent, csm_admin
    USING (user_id = csm.current_user_id() OR visible AND csm.audience_allows(audience_id, 'read'));
-- A missing forum leaves audience_id null, which is refused as a hidden one is.
CREATE POLICY community_profiles_own ON csm.community_profiles FOR ALL TO csm_portal, csm_agent
    USING (user_id = csm.current_user_id())
    WITH CHECK (user_id = csm.current_user_id() AND csm.audience_allows(audience_id, 'read'));

GRANT SELECT ON csm.forums TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (parent_id, key, title, description, inherits, is_public, hold_posts, active),
      UPDATE (key, title, description, inherits, is_public, hold_posts, active) ON csm.forums TO csm_admin;
-- Visitors see who wrote as a name, not as a number.
GRANT SELECT (id, tenant_id, parent_id, key, title, description, active) ON csm.forums TO csm_guest;
GRANT SELECT (id, tenant_id, forum_id, created_at, activity_at, edited_at, score, answer_count, locked, answered, by_staff,
              author_name, language, title, body, search, is_public) ON csm.questions TO csm_guest;
GRANT SELECT (id, tenant_id, question_id, created_at, edited_at, score, accepted, by_staff, author_name, body) ON csm.answers TO csm_guest;
GRANT SELECT (id, tenant_id, question_id, answer_id, created_at, edited_at, by_staff, author_name, body) ON csm.post_comments TO csm_guest;
GRANT SELECT ON csm.votes TO csm_portal, csm_agent, csm_admin;
GRANT SELECT, INSERT (forum_id, question_id), UPDATE (seen_at), DELETE ON csm.subscriptions TO csm_portal, csm_agent;
GRANT SELECT ON csm.community_profiles TO csm_portal, csm_agent, csm_admin;
GRANT INSERT (forum_id, visible, handle, display, about), UPDATE (forum_id, visible, handle, display, about), DELETE
    ON csm.community_profiles TO csm_portal, csm_agent;

-- Triggers ------------------------------------------------------------------

-- A forum has one audience for life.  It stands within that of the parent only
-- where the forum says so: nothing is inherited by accident.
CREATE FUNCTION csm_private.forum_audience() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outer_id CONSTANT bigint := CASE WHEN NEW.inherits THEN (SELECT f.audience_id FROM csm.forums f
                                                             WHERE f.id = NEW.parent_id AND f.tenant_id = NEW.tenant_id) END;
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' AND NEW.audience_id IS NULL THEN
        INSERT INTO csm.audiences (tenant_id, within_id) VALUES (NEW.tenant_id, outer_id) RETURNING id INTO NEW.audience_id;
    ELSIF TG_OP = 'UPDATE' AND (NEW.parent_id IS DISTINCT FROM OLD.parent_id OR NEW.audience_id <> OLD.audience_id) THEN
        RAISE EXCEPTION 'forum "%" stays where it is', OLD.key USING ERRCODE = '42501',
            HINT = 'Make a new forum and move the questions; who may do what say the grants of its audience.';
    ELSE
        UPDATE csm.audiences a SET within_id = outer_id
        WHERE a.id = NEW.audience_id AND a.tenant_id = NEW.tenant_id AND a.within_id IS DISTINCT FROM outer_id;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.forum_audience() IS
'Trigger of csm.forums: makes the audience of a new forum, within that of the parent where inherits is set, and keeps it so; 42501 for another parent or audience';
CREATE TRIGGER forums_10_audience BEFORE INSERT OR UPDATE OF parent_id, audience_id, inherits ON csm.forums
    FOR EACH ROW EXECUTE FUNCTION csm_private.forum_audience();

-- Takes the locks in the order of csm.move: forum, question, what hangs on it.
CREATE FUNCTION csm_private.forum_publicity() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.questions q SET is_public = NEW.is_public WHERE q.forum_id = NEW.id AND q.is_public <> NEW.is_public;
        UPDATE csm.answers a SET is_public = NEW.is_public
        FROM csm.questions q WHERE q.forum_id = NEW.id AND a.question_id = q.id AND a.is_public <> NEW.is_public;
        UPDATE csm.post_comments c SET is_public = NEW.is_public
        FROM csm.questions q WHERE q.forum_id = NEW.id AND c.question_id = q.id AND c.is_public <> NEW.is_public;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.forum_publicity() IS 'Trigger of csm.forums: posts are public while their forum is';
CREATE TRIGGER forums_20_publicity AFTER UPDATE OF is_public ON csm.forums
    FOR EACH ROW WHEN (OLD.is_public <> NEW.is_public) EXECUTE FUNCTION csm_private.forum_publicity();

CREATE FUNCTION csm_private.question_fill() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF csm_private.restoring() THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        -- locked against a change of is_public that has not been committed
        SELECT f.audience_id, f.is_public INTO NEW.audience_id, NEW.is_public
        FROM csm.forums f WHERE f.id = NEW.forum_id AND f.tenant_id = NEW.tenant_id FOR SHARE;
        NEW.author_name := coalesce(NEW.author_name, csm_private.community_name(NEW.author_id));
    END IF;
    NEW.search := CASE WHEN NEW.state <> 'deleted' THEN csm_private.search_vector(NEW.language, NEW.title, NEW.body) END;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.question_fill() IS
'Trigger of csm.questions: audience and publicity of the forum, the author''s name, the words for search';
CREATE TRIGGER questions_10_fill BEFORE INSERT OR UPDATE OF language, title, body, state ON csm.questions
    FOR EACH ROW EXECUTE FUNCTION csm_private.question_fill();

CREATE FUNCTION csm_private.reply_fill() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        SELECT q.audience_id, q.is_public INTO NEW.audience_id, NEW.is_public
        FROM csm.questions q WHERE q.id = NEW.question_id AND q.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
        NEW.author_name := coalesce(NEW.author_name, csm_private.community_name(NEW.author_id));
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.reply_fill() IS
'Trigger of csm.answers and csm.post_comments: audience and publicity of the question, which it locks, and the author''s name';
CREATE TRIGGER answers_10_fill BEFORE INSERT ON csm.answers FOR EACH ROW EXECUTE FUNCTION csm_private.reply_fill();
CREATE TRIGGER post_comments_10_fill BEFORE INSERT ON csm.post_comments FOR EACH ROW EXECUTE FUNCTION csm_private.reply_fill();

CREATE FUNCTION csm_private.profile_audience() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT csm_private.restoring() THEN
        NEW.audience_id := (SELECT f.audience_id FROM csm.forums f WHERE f.id = NEW.forum_id AND f.tenant_id = NEW.tenant_id);
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION csm_private.profile_audience() IS
'Trigger of csm.community_profiles: the audience of the forum, NULL where there is none; the policy judges it';
CREATE TRIGGER community_profiles_10_audience BEFORE INSERT OR UPDATE OF forum_id ON csm.community_profiles
    FOR EACH ROW EXECUTE FUNCTION csm_private.profile_audience();

-- Who takes the profile back takes his name off what he wrote.
CREATE FUNCTION csm_private.profile_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    neutral CONSTANT text := csm_private.community_name(OLD.user_id);
BEGIN
    IF NOT csm_private.restoring() THEN
        UPDATE csm.questions q SET author_name = neutral WHERE q.author_id = OLD.user_id;
        UPDATE csm.answers a SET author_name = neutral WHERE a.author_id = OLD.user_id;
        UPDATE csm.post_comments c SET author_name = neutral WHERE c.author_id = OLD.user_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION csm_private.profile_gone() IS
'Trigger of csm.community_profiles: what the person wrote bears a neutral name from now on';
CREATE TRIGGER community_profiles_20_gone AFTER DELETE ON csm.community_profiles
    FOR EACH ROW EXECUTE FUNCTION csm_private.profile_gone();

CREATE FUNCTION csm_private.community_name(user_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT coalesce(p.display, p.handle) FROM csm.community_profiles p WHERE p.user_id = community_name.user_id),
                    'member-' || community_name.user_id)
$$;
COMMENT ON FUNCTION csm_private.community_name(bigint) IS
'Name under which the person writes in the community: that of his profile, else member- and his number; never the one in csm.users (V11)';

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY[
        'csm_private.forum_audience()',
        'csm_private.forum_publicity()',
        'csm_private.question_fill()',
        'csm_private.reply_fill()',
        'csm_private.profile_audience()',
        'csm_private.profile_gone()',
        'csm_private.community_name(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO csm_owner', f);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

COMMENT ON TABLE csm.forums IS 'Places to ask, in a tree. Who may read, ask, answer and moderate says the audience of each; a forum takes over nothing from its parent unless inherits is set';
COMMENT ON COLUMN csm.forums.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.forums.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.forums.audience_id IS 'Its own audience, made with it and never changed: grants of read, ask, answer, moderate, manage stand in csm.audience_grants';
COMMENT ON COLUMN csm.forums.parent_id IS 'Forum above, never changed; NULL at the top';
COMMENT ON COLUMN csm.forums.key IS 'Short name, unique in the tenant';
COMMENT ON COLUMN csm.forums.title IS 'Name that people read';
COMMENT ON COLUMN csm.forums.description IS 'What it is for; NULL for nothing';
COMMENT ON COLUMN csm.forums.inherits IS 'True: the audience stands within that of the parent, whose grants hold where it has none of its own, and whose limits always hold; false: nothing is inherited';
COMMENT ON COLUMN csm.forums.is_public IS 'True: visitors who are not signed in read what is shown. Not inherited';
COMMENT ON COLUMN csm.forums.hold_posts IS 'Posts of a person wait for a moderator until so many of his, in any forum, are shown; 0: none waits';
COMMENT ON COLUMN csm.forums.active IS 'False: it can be read, and nothing more be written';
COMMENT ON POLICY forums_select ON csm.forums IS 'Who may read in it';
COMMENT ON POLICY forums_select_admin ON csm.forums IS 'Who may read in it, and administrators';
COMMENT ON POLICY forums_guest ON csm.forums IS 'Visitors: public forums of their tenant';
COMMENT ON POLICY forums_write ON csm.forums IS 'Administrators';

COMMENT ON TABLE csm.questions IS 'Questions. Written by csm.ask(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.questions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.questions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.questions.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.questions.forum_id IS 'Where it was asked, or moved to';
COMMENT ON COLUMN csm.questions.author_id IS 'Who asked';
COMMENT ON COLUMN csm.questions.created_at IS 'When it was asked';
COMMENT ON COLUMN csm.questions.activity_at IS 'When it was asked or last answered';
COMMENT ON COLUMN csm.questions.edited_at IS 'When title or body last changed; NULL for never';
COMMENT ON COLUMN csm.questions.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.questions.answer_count IS 'How many answers are shown';
COMMENT ON COLUMN csm.questions.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.questions.locked IS 'True: only moderators change the thread';
COMMENT ON COLUMN csm.questions.answered IS 'Whether an answer is accepted';
COMMENT ON COLUMN csm.questions.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.questions.state IS 'visible; held (waits for a moderator); hidden (by a moderator); deleted (by its author: title and body say so, what hangs on it stays)';
COMMENT ON COLUMN csm.questions.author_name IS 'Name of the author''s community profile when he asked, else member- and his number';
COMMENT ON COLUMN csm.questions.language IS 'Language for search: a text search configuration, such as english, or a language tag; an unknown one counts as simple';
COMMENT ON COLUMN csm.questions.title IS 'The question in one line, up to 400 characters';
COMMENT ON COLUMN csm.questions.body IS 'The question, up to 100,000 characters';
COMMENT ON COLUMN csm.questions.search IS 'The words of title (weight A) and body (B); NULL for a deleted question';

COMMENT ON TABLE csm.answers IS 'Answers to questions. Written by csm.answer_question(), csm.accept_answer(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.answers.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.answers.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.answers.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.answers.question_id IS 'The question';
COMMENT ON COLUMN csm.answers.author_id IS 'Who answered';
COMMENT ON COLUMN csm.answers.created_at IS 'When it was written';
COMMENT ON COLUMN csm.answers.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.answers.score IS 'Sum of the votes';
COMMENT ON COLUMN csm.answers.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.answers.thread_shown IS 'Whether the question is shown';
COMMENT ON COLUMN csm.answers.accepted IS 'The one that solved the question, says the asker or a moderator; at most one a question';
COMMENT ON COLUMN csm.answers.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.answers.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.answers.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.answers.body IS 'The answer, up to 100,000 characters';

COMMENT ON TABLE csm.post_comments IS 'Comments on questions and answers. Written by csm.comment_post(), csm.edit_post(), csm.delete_post() and csm.moderate(); never deleted';
COMMENT ON COLUMN csm.post_comments.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.post_comments.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.post_comments.audience_id IS 'Audience of the forum';
COMMENT ON COLUMN csm.post_comments.question_id IS 'The question';
COMMENT ON COLUMN csm.post_comments.answer_id IS 'The answer commented on; NULL for the question itself';
COMMENT ON COLUMN csm.post_comments.author_id IS 'Who commented';
COMMENT ON COLUMN csm.post_comments.created_at IS 'When it was written';
COMMENT ON COLUMN csm.post_comments.edited_at IS 'When the body last changed; NULL for never';
COMMENT ON COLUMN csm.post_comments.is_public IS 'As the forum''s';
COMMENT ON COLUMN csm.post_comments.thread_shown IS 'Whether the question, and the answer commented on, are shown';
COMMENT ON COLUMN csm.post_comments.by_staff IS 'Whether the author wrote it as staff';
COMMENT ON COLUMN csm.post_comments.state IS 'visible, held, hidden or deleted, as that of csm.questions';
COMMENT ON COLUMN csm.post_comments.author_name IS 'Name of the author''s community profile when he wrote, else member- and his number';
COMMENT ON COLUMN csm.post_comments.body IS 'The comment, up to 4,000 characters';

COMMENT ON TABLE csm.votes IS 'Votes on questions and answers, one a person and post, written by csm.vote()';
COMMENT ON COLUMN csm.votes.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.votes.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.votes.question_id IS 'The question; exactly one of question and answer is set';
COMMENT ON COLUMN csm.votes.answer_id IS 'The answer';
COMMENT ON COLUMN csm.votes.voter_id IS 'Who voted';
COMMENT ON COLUMN csm.votes.value IS '1 for, -1 against';
COMMENT ON COLUMN csm.votes.created_at IS 'When he first voted on it';
COMMENT ON POLICY votes_select ON csm.votes IS 'One''s own; others read scores';

COMMENT ON TABLE csm.subscriptions IS 'Who follows which forum or question, and up to when he has read; csm.community_news() says what is new. A subscription gives no right';
COMMENT ON COLUMN csm.subscriptions.id IS 'Identity, unique in the database';
COMMENT ON COLUMN csm.subscriptions.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.subscriptions.user_id IS 'Who follows';
COMMENT ON COLUMN csm.subscriptions.forum_id IS 'The forum; exactly one of forum and question is set';
COMMENT ON COLUMN csm.subscriptions.question_id IS 'The question';
COMMENT ON COLUMN csm.subscriptions.created_at IS 'Since when';
COMMENT ON COLUMN csm.subscriptions.seen_at IS 'What was written until then is not news';
COMMENT ON POLICY subscriptions_own ON csm.subscriptions IS 'One''s own, of forums and questions that one reads';

COMMENT ON TABLE csm.community_profiles IS 'How a person shows himself in the community, if he wants to: his name on posts, and, where visible, his entry in csm.community_people()';
COMMENT ON COLUMN csm.community_profiles.user_id IS 'The person; at most one profile each';
COMMENT ON COLUMN csm.community_profiles.tenant_id IS 'Tenant of the row';
COMMENT ON COLUMN csm.community_profiles.forum_id IS 'The forum to whose readers he shows himself; he must be one of them';
COMMENT ON COLUMN csm.community_profiles.audience_id IS 'Audience of that forum';
COMMENT ON COLUMN csm.community_profiles.visible IS 'True: readers of the forum find him; false (default): only his name on posts';
COMMENT ON COLUMN csm.community_profiles.handle IS 'Short name, unique in the tenant: 3 to 30 of a to z, 0 to 9, ., _ and -, the first a letter; not beginning with member-';
COMMENT ON COLUMN csm.community_profiles.display IS 'Name on posts; NULL: the handle';
COMMENT ON COLUMN csm.community_profiles.about IS 'What he says of himself; NULL for nothing';
COMMENT ON COLUMN csm.community_profiles.created_at IS 'Since when';
COMMENT ON POLICY community_profiles_select ON csm.community_profiles IS 'One''s own; visible ones, who may read in the forum that the person chose';
COMMENT ON POLICY community_profiles_own ON csm.community_profiles IS 'Everyone keeps his own, for a forum that he reads';
